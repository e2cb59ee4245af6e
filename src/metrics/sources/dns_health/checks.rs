//! The checks of one domain. What could not be looked up is never taken for missing.

use std::collections::HashMap;

use crate::{
    metrics::facts::{Finding, Outcome, Publish},
    model::sample::State,
    parse::records::{self, MISSING, SPF_LOOKUPS, Sound},
    remote::{
        Cause, Error,
        dns::{Dns, Tlsa},
        http::Http,
        mailcow::Mailcow,
        tls::{self, Served},
    },
};

/// A policy file of more bytes is none.
const POLICY: usize = 64 << 10;
/// Records of a name that are shown.
const SHOWN: usize = 6;
/// Longest part of a record that is shown, in characters.
const LONGEST: usize = 600;

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong.
    Good,
    /// What is wrong.
    Bad(String),
    /// Why that could not be found out.
    Unknown(String),
}

impl From<Result<Sound, Error>> for Verdict {
    fn from(outcome: Result<Sound, Error>) -> Self {
        match outcome {
            Ok(Ok(())) => Self::Good,
            Ok(Err(wrong)) => Self::Bad(wrong),
            Err(error) => Self::Unknown(error.to_string()),
        }
    }
}

impl Verdict {
    /// The verdict on all together: one that is bad suffices, one that is unknown prevents a good one.
    pub fn all<'a>(verdicts: impl Iterator<Item = Option<&'a Self>>) -> Self {
        let mut all = Self::Good;
        for verdict in verdicts.flatten() {
            match verdict {
                Self::Bad(_) => return verdict.clone(),
                Self::Unknown(_) => all = verdict.clone(),
                Self::Good => {}
            }
        }
        all
    }

    /// As a flag.
    pub fn state(&self) -> State {
        match self {
            Self::Good => true.into(),
            Self::Bad(_) => false.into(),
            Self::Unknown(why) => State::Unknown(why.clone()),
        }
    }

    /// Why it is unknown, if it is.
    pub fn unknown(&self) -> Option<&str> {
        match self {
            Self::Unknown(why) => Some(why),
            _ => None,
        }
    }

    /// What is wrong or not known.
    pub fn words(&self) -> Option<String> {
        match self {
            Self::Good => None,
            Self::Bad(wrong) => Some(wrong.clone()),
            Self::Unknown(why) => Some(format!("unknown ({why})")),
        }
    }
}

/// What a check found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// How it ended.
    pub verdict: Verdict,
    /// The records that are there.
    pub found: Vec<String>,
    /// What should be there.
    pub publish: Vec<Publish>,
}

impl Look {
    fn new(verdict: impl Into<Verdict>) -> Self {
        Self { verdict: verdict.into(), found: Vec::new(), publish: Vec::new() }
    }

    /// With these records; a forged zone may have any number, of any length.
    fn found<T: AsRef<str>>(mut self, records: impl IntoIterator<Item = T>) -> Self {
        let cut = |record: T| record.as_ref().chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        self.found = records.into_iter().take(SHOWN).map(cut).collect();
        self
    }

    /// What should be there, said where something is wrong.
    fn publish(mut self, name: String, kind: &str, value: String) -> Self {
        if matches!(self.verdict, Verdict::Bad(_)) {
            self.publish.push(Publish { name, kind: kind.to_owned(), value });
        }
        self
    }

    /// As it is kept.
    pub fn finding(&self, check: &str) -> Finding {
        let (outcome, why) = match &self.verdict {
            Verdict::Good => (Outcome::Good, ""),
            Verdict::Bad(wrong) => (Outcome::Bad, wrong.as_str()),
            Verdict::Unknown(why) => (Outcome::Unknown, why.as_str()),
        };
        Finding {
            check: check.to_owned(),
            outcome,
            why: why.to_owned(),
            found: self.found.clone(),
            publish: self.publish.clone(),
        }
    }
}

/// Looks at domains.
pub struct Checker<'a> {
    /// The name servers.
    pub dns: &'a Dns,
    /// Tells the keys that sign.
    pub mailcow: &'a Mailcow,
    /// Fetches policy files.
    pub public: &'a Http,
    /// Where policy files are served.
    pub policy_port: u16,
    /// The mail host.
    pub host: &'a str,
    /// What it shows at port 25.
    pub served: Option<&'a Result<Served, Error>>,
}

impl Checker<'_> {
    /// All checks of a domain, in their order.
    pub async fn domain(&self, domain: String) -> (String, [Look; 8]) {
        let exchanges = self.dns.exchanges(&domain).await;
        let reports = format!("rua=mailto:postmaster@{domain}");
        let picture = format!("v=BIMI1; l=https://{domain}/bimi.svg");
        let looks = [
            self.spf(&domain).await,
            self.dkim(&domain).await,
            self.dmarc(&domain).await,
            self.dane_of_all(&exchanges).await,
            self.mta_sts(&domain, &exchanges).await,
            self.record(format!("_smtp._tls.{domain}"), &format!("v=TLSRPTv1; {reports}"), records::tls_rpt)
                .await,
            self.record(format!("default._bimi.{domain}"), &picture, records::bimi).await,
            self.mx(&domain, &exchanges).await,
        ];
        (domain, looks)
    }

    /// The one record of a version; `wanted` is what it should be, its version first.
    async fn record(&self, name: String, wanted: &str, check: fn(&str) -> Sound) -> Look {
        let version = wanted.split(';').next().unwrap_or_default();
        match self.dns.texts(&name).await {
            Ok(texts) => Look::new(Ok(records::sole(&texts, version).and_then(check)))
                .found(records::of(&texts, version))
                .publish(name, "TXT", wanted.to_owned()),
            Err(error) => Look::new(Err(error)),
        }
    }

    async fn spf(&self, domain: &str) -> Look {
        match self.dns.texts(domain).await {
            Ok(texts) => Look::new(self.spf_of(domain, &texts).await)
                .found(records::of(&texts, "v=spf1"))
                .publish(domain.to_owned(), "TXT", format!("v=spf1 mx a:{} -all", self.host)),
            Err(error) => Look::new(Err(error)),
        }
    }

    /// Follows what the record includes, as receivers do (RFC 7208 section 4.6.4).
    async fn spf_of(&self, domain: &str, texts: &[String]) -> Result<Sound, Error> {
        let (mut lookups, mut next, mut texts) = (0, 0, texts.to_vec());
        let mut known = HashMap::new();
        let mut names = vec![domain.to_owned()];
        while let Some(name) = names.get(next).cloned() {
            if next > 0 {
                texts = self.dns.texts(&name).await?;
            }
            let found = match records::sole(&texts, "v=spf1").and_then(records::spf) {
                Ok(found) => found,
                Err(wrong) if next == 0 => return Ok(Err(wrong)),
                Err(wrong) => return Ok(Err(format!("{name}, which it refers to: {wrong}"))),
            };
            lookups += found.lookups;
            names.extend(found.others().map(str::to_owned));
            known.insert(name, found);
            if records::lets_everybody_send(domain, &known) {
                return Ok(Err("lets everybody send".to_owned()));
            }
            if lookups > SPF_LOOKUPS {
                return Ok(Err(format!("costs more than {SPF_LOOKUPS} lookups")));
            }
            next += 1;
        }
        Ok(Ok(()))
    }

    async fn dkim(&self, domain: &str) -> Look {
        let key = match self.mailcow.dkim(domain).await {
            Ok(Some(key)) => key,
            Ok(None) => return Look::new(Ok(Err("Mailcow has no key for it".to_owned()))),
            Err(error) => return Look::new(Err(error)),
        };
        let name = format!("{}._domainkey.{domain}", key.selector);
        match self.dns.texts(&name).await {
            Ok(texts) => Look::new(Ok(records::dkim(&texts, &key.record)))
                .found(&texts)
                .publish(name, "TXT", key.record),
            Err(error) => Look::new(Err(error)),
        }
    }

    /// The domain's own policy, or that of the next parent that has one.
    async fn dmarc(&self, domain: &str) -> Look {
        let wanted = format!("v=DMARC1; p=none; rua=mailto:postmaster@{domain}");
        let mut name = domain;
        loop {
            let texts = match self.dns.texts(&format!("_dmarc.{name}")).await {
                Ok(texts) => texts,
                Err(error) => return Look::new(Err(error)),
            };
            let sound = match records::sole(&texts, "v=DMARC1") {
                Err(wrong) if wrong == MISSING => match name.split_once('.') {
                    Some((_, parent)) if parent.contains('.') => {
                        name = parent;
                        continue;
                    }
                    _ => Err(wrong),
                },
                record => record.and_then(records::dmarc),
            };
            return Look::new(Ok(sound)).found(records::of(&texts, "v=DMARC1")).publish(
                format!("_dmarc.{domain}"),
                "TXT",
                wanted,
            );
        }
    }

    async fn dane_of_all(&self, exchanges: &Result<Vec<String>, Error>) -> Look {
        let exchanges = match exchanges {
            Ok(exchanges) if exchanges.is_empty() => {
                return Look::new(Ok(Err("no mail server".to_owned())));
            }
            Ok(exchanges) => exchanges,
            Err(error) => return Look::new(Err(error.clone())),
        };
        let (mut verdicts, mut found, mut publish) = (Vec::new(), Vec::new(), Vec::new());
        for exchange in exchanges {
            let look = self.dane(exchange).await;
            // Of several, it matters which.
            verdicts.push(match look.verdict {
                Verdict::Bad(wrong) if exchanges.len() > 1 => Verdict::Bad(format!("{exchange}: {wrong}")),
                verdict => verdict,
            });
            found.extend(look.found);
            publish.extend(look.publish);
        }
        Look { publish, ..Look::new(Verdict::all(verdicts.iter().map(Some))).found(found) }
    }

    /// Whether a mail server has a record that mail can use and that stands for its certificate. Other servers than the mail
    /// host are not connected to.
    pub async fn dane(&self, exchange: &str) -> Look {
        let found = match self.dns.tlsa(exchange).await {
            Ok(found) => found,
            Err(error) => return Look::new(Err(error)),
        };
        let own = self.served.filter(|_| exchange.eq_ignore_ascii_case(self.host));
        let look =
            Look::new(of_tlsa(&found, own)).found(found.iter().map(|record| format!("{exchange}: {record}")));
        match own.and_then(|served| served.as_ref().ok()?.tlsa()) {
            Some(data) => look.publish(format!("_25._tcp.{exchange}"), "TLSA", format!("3 1 1 {data}")),
            None => look,
        }
    }

    async fn mta_sts(&self, domain: &str, exchanges: &Result<Vec<String>, Error>) -> Look {
        let announced = self.record(format!("_mta-sts.{domain}"), "v=STSv1; id=1", records::mta_sts).await;
        let (named, hosts) = (announced.verdict == Verdict::Good, exchanges.as_deref().unwrap_or_default());
        let verdict = match exchanges {
            Ok(exchanges) if named => self.policy(domain, exchanges).await.into(),
            Err(error) if named => Verdict::Unknown(error.to_string()),
            _ => announced.verdict.clone(),
        };
        let hosts: String = hosts.iter().map(|host| format!("mx: {host}\n")).collect();
        Look { verdict, ..announced }.publish(
            policy_address(domain, 443),
            "file",
            format!("version: STSv1\nmode: testing\n{hosts}max_age: 86400"),
        )
    }

    /// The policy file. Where there is a web server, but without a sound file, senders will not find one either.
    async fn policy(&self, domain: &str, exchanges: &[String]) -> Result<Sound, Error> {
        let address = policy_address(domain, self.policy_port);
        let target = format!("policy file of {domain}");
        let bad_name = |_| Error { target: target.clone(), cause: Cause::BadName };
        let url = url::Url::parse(&address).map_err(bad_name)?;
        match self.public.fetch(url, POLICY, &target).await {
            Ok(answer) if answer.status == 200 => {
                Ok(records::mta_sts_policy(&String::from_utf8_lossy(&answer.body), exchanges))
            }
            Ok(answer) => Ok(Err(format!("the policy file cannot be had: status {}", answer.status))),
            Err(error) => match error.cause {
                Cause::Tls(_) | Cause::Redirect(_) | Cause::TooLarge(_) => {
                    Ok(Err(format!("the policy file cannot be had: {}", error.cause)))
                }
                _ => Err(error),
            },
        }
    }

    async fn mx(&self, domain: &str, exchanges: &Result<Vec<String>, Error>) -> Look {
        let exchanges = match exchanges {
            Ok(exchanges) => exchanges,
            Err(error) => return Look::new(Err(error.clone())),
        };
        let verdict = match exchanges.as_slice() {
            [] => Ok(Err(MISSING.to_owned())).into(),
            [only] if only == "." => Ok(Err("the domain takes no mail".to_owned())).into(),
            _ => self.reached(exchanges).await,
        };
        Look::new(verdict).found(exchanges).publish(domain.to_owned(), "MX", format!("10 {}", self.host))
    }

    async fn reached(&self, exchanges: &[String]) -> Verdict {
        let mut verdicts: Vec<Verdict> = Vec::new();
        for exchange in exchanges {
            let addresses = self.dns.addresses(exchange).await;
            let reached = addresses.map(|found| {
                if found.is_empty() { Err(format!("{exchange} has no address")) } else { Ok(()) }
            });
            verdicts.push(reached.into());
        }
        Verdict::all(verdicts.iter().map(Some))
    }
}

/// `own`: what the server shows, where that is known to be looked at.
fn of_tlsa(found: &[Tlsa], own: Option<&Result<Served, Error>>) -> Verdict {
    if found.is_empty() {
        return Verdict::Bad(MISSING.to_owned());
    }
    if !found.iter().any(|record| matches!(record.usage, 2 | 3)) {
        return Verdict::Bad("its usages mean nothing to mail servers".to_owned());
    }
    match own {
        None => Verdict::Good,
        Some(Ok(served)) if found.iter().any(|record| tls::matches(record, &served.chain)) => Verdict::Good,
        Some(Ok(_)) => Verdict::Bad("it stands for another certificate".to_owned()),
        Some(Err(error)) => Verdict::Unknown(error.to_string()),
    }
}

fn policy_address(domain: &str, port: u16) -> String {
    match port {
        443 => format!("https://mta-sts.{domain}/.well-known/mta-sts.txt"),
        port => format!("https://mta-sts.{domain}:{port}/.well-known/mta-sts.txt"),
    }
}
