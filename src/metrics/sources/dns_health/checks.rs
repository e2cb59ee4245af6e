//! The checks of one domain. What could not be looked up is never taken for missing.

use crate::{
    model::sample::State,
    parse::records::{self, MISSING, SPF_LOOKUPS, Sound},
    remote::{
        Cause, Error,
        dns::Dns,
        http::Http,
        mailcow::Mailcow,
        tls::{self, Served},
    },
};

/// A policy file of more bytes is none.
const POLICY: usize = 64 << 10;

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

/// Looks at domains.
pub struct Checker<'a> {
    /// The name servers.
    pub dns: &'a Dns,
    /// Tells the keys that sign.
    pub mailcow: &'a Mailcow,
    /// Fetches policy files.
    pub policies: &'a Http,
    /// Where policy files are served.
    pub policy_port: u16,
    /// The mail host.
    pub host: &'a str,
    /// What it shows at port 25.
    pub served: Option<&'a Result<Served, Error>>,
}

impl Checker<'_> {
    /// All checks of a domain, in their order.
    pub async fn domain(&self, domain: String) -> (String, [Verdict; 8]) {
        let exchanges = self.dns.exchanges(&domain).await;
        let verdicts = [
            self.spf(&domain).await.into(),
            self.dkim(&domain).await.into(),
            self.dmarc(&domain).await.into(),
            self.dane_of_all(&exchanges).await,
            self.mta_sts(&domain, &exchanges).await,
            self.record(&format!("_smtp._tls.{domain}"), "v=TLSRPTv1", records::tls_rpt).await,
            self.record(&format!("default._bimi.{domain}"), "v=BIMI1", records::bimi).await,
            self.mx(&exchanges).await,
        ];
        (domain, verdicts)
    }

    async fn record(&self, name: &str, version: &str, check: fn(&str) -> Sound) -> Verdict {
        let texts = self.dns.texts(name).await;
        texts.map(|texts| records::sole(&texts, version).and_then(check)).into()
    }

    /// Follows what the record includes, as receivers do (RFC 7208 section 4.6.4).
    async fn spf(&self, domain: &str) -> Result<Sound, Error> {
        let mut lookups = 0;
        let mut names = vec![domain.to_owned()];
        let mut next = 0;
        while let Some(name) = names.get(next).cloned() {
            let texts = self.dns.texts(&name).await?;
            let found = match records::sole(&texts, "v=spf1").and_then(records::spf) {
                Ok(found) => found,
                Err(wrong) if next == 0 => return Ok(Err(wrong)),
                Err(wrong) => return Ok(Err(format!("{name}, which it refers to: {wrong}"))),
            };
            if next == 0 && found.lets_all {
                return Ok(Err("lets everybody send".to_owned()));
            }
            lookups += found.lookups;
            if lookups > SPF_LOOKUPS {
                return Ok(Err(format!("costs more than {SPF_LOOKUPS} lookups")));
            }
            names.extend(found.others);
            next += 1;
        }
        Ok(Ok(()))
    }

    async fn dkim(&self, domain: &str) -> Result<Sound, Error> {
        let Some(key) = self.mailcow.dkim(domain).await? else {
            return Ok(Err("Mailcow has no key for it".to_owned()));
        };
        let texts = self.dns.texts(&format!("{}._domainkey.{domain}", key.selector)).await?;
        Ok(records::dkim(&texts, &key.record))
    }

    /// The domain's own policy, or that of the next parent that has one.
    async fn dmarc(&self, domain: &str) -> Result<Sound, Error> {
        let mut name = domain;
        loop {
            let texts = self.dns.texts(&format!("_dmarc.{name}")).await?;
            match records::sole(&texts, "v=DMARC1") {
                Ok(record) => return Ok(records::dmarc(record)),
                Err(wrong) if wrong != MISSING => return Ok(Err(wrong)),
                Err(_) => {}
            }
            match name.split_once('.') {
                Some((_, parent)) if parent.contains('.') => name = parent,
                _ => return Ok(Err(MISSING.to_owned())),
            }
        }
    }

    async fn dane_of_all(&self, exchanges: &Result<Vec<String>, Error>) -> Verdict {
        match exchanges {
            Err(error) => Verdict::Unknown(error.to_string()),
            Ok(exchanges) if exchanges.is_empty() => Verdict::Bad("no mail server".to_owned()),
            Ok(exchanges) => {
                let mut verdicts = Vec::new();
                for exchange in exchanges {
                    verdicts.push(self.dane(exchange).await);
                }
                Verdict::all(verdicts.iter().map(Some))
            }
        }
    }

    /// Whether a mail server has a record that mail can use and that stands for its certificate. Other servers than the mail
    /// host are not connected to.
    pub async fn dane(&self, exchange: &str) -> Verdict {
        let found = match self.dns.tlsa(exchange).await {
            Ok(found) => found,
            Err(error) => return Verdict::Unknown(error.to_string()),
        };
        if found.is_empty() {
            return Verdict::Bad(MISSING.to_owned());
        }
        if !found.iter().any(|record| matches!(record.usage, 2 | 3)) {
            return Verdict::Bad("its usages mean nothing to mail servers".to_owned());
        }
        match self.served.filter(|_| exchange.eq_ignore_ascii_case(self.host)) {
            None => Verdict::Good,
            Some(Ok(served)) if found.iter().any(|record| tls::matches(record, &served.chain)) => {
                Verdict::Good
            }
            Some(Ok(_)) => Verdict::Bad("it stands for another certificate".to_owned()),
            Some(Err(error)) => Verdict::Unknown(error.to_string()),
        }
    }

    async fn mta_sts(&self, domain: &str, exchanges: &Result<Vec<String>, Error>) -> Verdict {
        let announced = self.record(&format!("_mta-sts.{domain}"), "v=STSv1", records::mta_sts).await;
        match exchanges {
            Ok(exchanges) if announced == Verdict::Good => self.policy(domain, exchanges).await.into(),
            Err(error) if announced == Verdict::Good => Verdict::Unknown(error.to_string()),
            _ => announced,
        }
    }

    /// The policy file. Where there is a web server, but without a sound file, senders will not find one either.
    async fn policy(&self, domain: &str, exchanges: &[String]) -> Result<Sound, Error> {
        let address = match self.policy_port {
            443 => format!("https://mta-sts.{domain}/.well-known/mta-sts.txt"),
            port => format!("https://mta-sts.{domain}:{port}/.well-known/mta-sts.txt"),
        };
        let target = format!("policy file of {domain}");
        let bad_name = |_| Error { target: target.clone(), cause: Cause::BadName };
        let url = url::Url::parse(&address).map_err(bad_name)?;
        match self.policies.fetch(url, POLICY, &target).await {
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

    async fn mx(&self, exchanges: &Result<Vec<String>, Error>) -> Verdict {
        let exchanges = match exchanges {
            Ok(exchanges) => exchanges,
            Err(error) => return Verdict::Unknown(error.to_string()),
        };
        match exchanges.as_slice() {
            [] => return Verdict::Bad(MISSING.to_owned()),
            [only] if only == "." => return Verdict::Bad("the domain takes no mail".to_owned()),
            _ => {}
        }
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
