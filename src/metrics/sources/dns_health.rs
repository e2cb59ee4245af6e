//! What DNS says of the domains and of the mail host: SPF, DKIM, DMARC, DANE, MTA-STS, TLS-RPT, BIMI, MX, reverse names.

use std::{net::IpAddr, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream};

use super::Reach;
use crate::{
    metrics::{
        collector::{Outcome, Trouble},
        facts::{self, Records},
        modules::security as m,
        registry::Metric,
        samples::Samples,
    },
    model::{
        sample::{DOMAIN, Labels, State},
        scope::normalise_domain,
    },
    remote::{
        Error,
        dns::{Dns, hostname},
        tls::Served,
    },
};
use checks::{Checker, Look, Verdict};

mod checks;

/// So many domains are looked at at the same time.
const AT_ONCE: usize = 6;
/// How long the mail host may take to show its certificate.
const PATIENCE: Duration = Duration::from_secs(15);
/// The checks, in the order of their verdicts. The first seven make the score.
pub(super) const CHECKS: [&str; 8] = ["SPF", "DKIM", "DMARC", "DANE", "MTA-STS", "TLS-RPT", "BIMI", "MX"];
/// How many of them count.
const COUNTED: usize = 7;
/// Why there is nothing to tell.
const NO_DOMAIN: &str = "Mailcow has no active domain.";
/// Where DKIM stands among them.
const DKIM: usize = 1;
/// Where DANE stands among them.
const DANE: usize = 3;

/// What was found out about one domain, in the order of [`CHECKS`].
pub(super) type Domain = (String, [Look; 8]);

/// What was found out about the mail host.
pub(super) struct Host {
    /// Each address: the verdict on its name being the host's, and on that of leading back.
    pub addresses: Result<Vec<(IpAddr, Verdict, Verdict)>, Trouble>,
    /// Its TLSA record.
    pub dane: Verdict,
}

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let (host, dns) = (reach.probes.host()?, reach.probes.dns()?);
        let domains = reach.mailcow.domain_use().await?;
        let active = domains.into_iter().filter(|it| it.active == Some(1.0));
        let active: Vec<String> = active.filter_map(|it| normalise_domain(&it.domain_name)).collect();
        let served = served(reach).await;
        let checker = Checker {
            dns,
            mailcow: &reach.mailcow,
            public: reach.probes.public.as_ref().map_err(Clone::clone)?,
            policy_port: reach.probes.policy_port,
            host,
            served: served.as_ref(),
        };
        let of_host =
            Host { addresses: addresses(reach, dns, host).await, dane: checker.dane(host).await.verdict };
        let looks: Vec<BoxFuture<'_, Domain>> =
            active.into_iter().map(|domain| checker.domain(domain).boxed()).collect();
        let found: Vec<Domain> = stream::iter(looks).buffered(AT_ONCE).collect().await;
        if let Some(why) = nothing(&of_host, &found) {
            return Err(Trouble::Failed(why));
        }
        tell(&of_host, &found, out);
        Ok(())
    }
    .boxed()
}

/// The reason, where no name server told anything. That a domain has no key for DKIM is told by Mailcow.
fn nothing(host: &Host, found: &[Domain]) -> Option<String> {
    let by_dns = |(_, looks): &'_ Domain| -> Vec<Verdict> {
        looks.iter().enumerate().filter(|(at, _)| *at != DKIM).map(|(_, look)| look.verdict.clone()).collect()
    };
    let all: Vec<Verdict> = found.iter().flat_map(by_dns).chain([host.dane.clone()]).collect();
    let why = all.first().and_then(Verdict::unknown)?;
    all.iter().all(|verdict| verdict.unknown().is_some()).then(|| why.to_owned())
}

/// The certificate at port 25, where that port is looked at.
async fn served(reach: &Reach) -> Option<Result<Served, Error>> {
    let port = reach.probes.ports.iter().find(|port| port.number == 25)?;
    let prober = reach.probes.prober().ok()?;
    Some(prober.look(reach.probes.peer().ok()?, *port, PATIENCE).await)
}

async fn addresses(reach: &Reach, dns: &Dns, host: &str) -> Result<Vec<(IpAddr, Verdict, Verdict)>, Trouble> {
    let mut found = Vec::new();
    for address in reach.probes.public_addresses().await? {
        let own = dns.pointers(address).await.map(|names| match names.first() {
            None => Err("no reverse name".to_owned()),
            // An address in place of a host name has nothing to be equal to.
            Some(_) if hostname(host).is_none_or(|host| names.contains(&host)) => Ok(()),
            Some(name) => Err(format!("the reverse name is {name}")),
        });
        let back = dns.name_of(address).await;
        let back = back.map(|name| name.map(drop).ok_or_else(|| "no reverse name leads back".to_owned()));
        found.push((address, own.into(), back.into()));
    }
    Ok(found)
}

pub(super) fn tell(host: &Host, domains: &[Domain], out: &mut Samples) {
    tell_host(host, out);
    for (domain, looks) in domains {
        tell_domain(domain, looks, out);
    }
    let column =
        |at: usize| Verdict::all(domains.iter().map(|(_, looks)| looks.get(at).map(|look| &look.verdict)));
    let by_check: [(usize, &Metric); 6] = [
        (0, &m::DNS_SPF_EXISTS),
        (1, &m::DNS_DKIM_EXISTS),
        (2, &m::DNS_DMARC_EXISTS),
        (4, &m::MTA_STS_EXISTS),
        (5, &m::TLS_RPT_EXISTS),
        (6, &m::BIMI_EXISTS),
    ];
    for (at, metric) in by_check {
        if domains.is_empty() {
            out.not_in_use(metric, NO_DOMAIN);
        } else {
            out.set(metric, column(at).state());
        }
    }
    if domains.is_empty() {
        for metric in [&m::DNS_DETAIL, &m::AUDIT_DETAIL, &m::AUDIT_SCORE] {
            out.not_in_use(metric, NO_DOMAIN);
        }
        return;
    }
    out.set(&m::AUDIT_SCORE, lowest(domains.iter().map(|(_, looks)| score(looks))));
    out.set(&m::DNS_DETAIL, summary(domains, 0..DANE, None));
    out.set(&m::AUDIT_DETAIL, summary(domains, 0..COUNTED, Some(&host.dane)));
}

fn tell_host(host: &Host, out: &mut Samples) {
    out.set(&m::DANE_EXISTS, host.dane.state());
    match &host.addresses {
        Ok(addresses) => {
            for (address, _, back) in addresses {
                out.set_each(&m::EACH_PTR, Labels::one("address", &address.to_string()), back.state());
            }
            out.set(&m::DNS_PTR_VALID, Verdict::all(addresses.iter().map(|(_, own, _)| Some(own))).state());
        }
        Err(trouble) => out.unknown(&m::DNS_PTR_VALID, &trouble.to_string()),
    }
}

fn tell_domain(domain: &str, looks: &[Look; 8], out: &mut Samples) {
    let labels = || Labels::one(DOMAIN, domain);
    let (mut wrong, mut records) = (Vec::new(), Records::default());
    for (name, look) in CHECKS.iter().zip(looks) {
        out.set_each(&m::EACH_CHECK, labels().with("check", name), look.verdict.state());
        wrong.extend(look.verdict.words().map(|words| format!("{name}: {words}")));
        records.findings.push(look.finding(name));
    }
    out.set_each(&m::EACH_DNS_FACTS, labels(), facts::write(&records));
    out.set_each(&m::EACH_SCORE, labels(), score(looks));
    out.set_each(
        &m::EACH_DNS_DETAIL,
        labels(),
        if wrong.is_empty() { "OK".to_owned() } else { wrong.join("; ") },
    );
}

/// Passed checks of a domain; unknown while one of them is.
fn score(looks: &[Look]) -> State {
    let counted = looks.iter().take(COUNTED).map(|look| &look.verdict);
    match counted.clone().find_map(Verdict::unknown) {
        Some(why) => State::Unknown(why.to_owned()),
        None => counted.filter(|verdict| **verdict == Verdict::Good).count().into(),
    }
}

/// The lowest of the domains' scores. While one is unknown it is told only where it is bad already.
fn lowest(scores: impl Iterator<Item = State>) -> State {
    let (known, unknown): (Vec<State>, Vec<State>) = scores.partition(State::is_known);
    let number = |state: &State| state.number().unwrap_or_default();
    let lowest = known.into_iter().min_by(|a, b| number(a).total_cmp(&number(b)));
    let is_bad = |state: &State| m::AUDIT_SCORE.severity(state).is_some();
    let told = lowest.filter(|lowest| unknown.is_empty() || is_bad(lowest));
    told.or(unknown.into_iter().next()).unwrap_or_else(|| State::NotInUse(NO_DOMAIN.to_owned()))
}

/// `host:DANE, a.test:SPF DKIM?`: who lacks what, for a part of the checks.
fn summary(domains: &[Domain], part: std::ops::Range<usize>, dane: Option<&Verdict>) -> String {
    let names = CHECKS.get(part.clone()).unwrap_or_default();
    let mark = |name: &str, verdict: &Verdict| match verdict {
        Verdict::Good => None,
        Verdict::Bad(_) => Some(name.to_owned()),
        Verdict::Unknown(_) => Some(format!("{name}?")),
    };
    let of_host = dane.and_then(|verdict| mark("DANE", verdict)).map(|mark| format!("host:{mark}"));
    let of_domains = domains.iter().filter_map(|(domain, looks)| {
        let looks = looks.get(part.clone()).unwrap_or_default();
        let marks = names.iter().zip(looks).filter_map(|(name, look)| mark(name, &look.verdict));
        let marks: Vec<String> = marks.collect();
        (!marks.is_empty()).then(|| format!("{domain}:{}", marks.join(" ")))
    });
    let lacking: Vec<String> = of_host.into_iter().chain(of_domains).collect();
    if lacking.is_empty() { "OK".to_owned() } else { lacking.join(", ") }
}
