//! Reports that receivers send to the simulated server: whole mails with DMARC and TLS reports, as bytes.
//!
//! The world of 60 days: `alpha.test` moves from `p=none` to `p=quarantine` while a newsletter service still fails,
//! `beta.test` has few reports, the alias domain none, and some mails are not what they say.

mod delivery;
mod mail;
mod odd;
mod senders;
#[cfg(test)]
mod tests;
mod tls;
mod writing;

use std::net::IpAddr;

pub use delivery::{deliver, deliver_past};
pub use mail::{Checks, Mail, Packing, gzip, zipped};
pub use writing::{json, xml};

use super::{dns::NameServer, rng::Rng, world::domain_of};
use crate::model::{
    report::{Policy, Record, Report},
    time::Millis,
};

/// Days that reports reach back.
pub const DAYS: i64 = 60;
/// So many days ago `alpha.test` asked receivers to quarantine.
const STRICTER: i64 = 20;
const DAY: i64 = 86_400;

/// A mail with a report, and when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// When it came.
    pub at: Millis,
    /// The whole mail.
    pub bytes: Vec<u8>,
}

/// What one receiver saw on one day.
pub(super) struct Seen {
    /// In whose name.
    domain: &'static str,
    /// Days ago.
    age: i64,
    /// Its share of the traffic in percent.
    weight: u64,
    /// The published policy.
    policy: &'static str,
    /// Whether it reports by RFC 9990.
    modern: bool,
}

impl Seen {
    fn share(&self, mails: u64) -> u64 {
        mails * self.weight / 100
    }
}

/// Who reports.
struct Receiver {
    org: &'static str,
    from: &'static str,
    weight: u64,
    packing: Packing,
    checks: Checks,
}

const fn receiver(
    org: &'static str,
    from: &'static str,
    weight: u64,
    packing: Packing,
    checks: Checks,
) -> Receiver {
    Receiver { org, from, weight, packing, checks }
}

const BIGMAIL: &str = "noreply-dmarc@bigmail.example";
const OUTMAIL: &str = "dmarcreport@outmail.example";
const WEBFREUNDE: &str = "noreply@dmarc.webfreunde.example";
const RECEIVERS: &[Receiver] = &[
    receiver("bigmail.example", BIGMAIL, 100, Packing::Zip, Checks::Pass),
    receiver("Enterprise Outmail", OUTMAIL, 60, Packing::Gzip, Checks::Pass),
    receiver("WebFreunde GmbH", WEBFREUNDE, 35, Packing::Gzip, Checks::Pass),
    receiver("uni-nord.example", "postmaster@uni-nord.example", 8, Packing::Unnamed, Checks::Pass),
    receiver("Kunde GmbH", "dmarc@kunde-gmbh.example", 4, Packing::Plain, Checks::None),
];
/// The one of them that follows RFC 9990.
const MODERN: &str = "uni-nord.example";
/// Receivers that report several times a day.
const SMALL: &[&str] =
    &["hosting.example", "sportclub.example", "steuerbuero.example", "shop24.example", "bank-online.example"];

/// The mails of the last [`DAYS`] days, up to `now`. The same seed and moment give the same bytes.
pub fn past(seed: u64, now: Millis) -> impl Iterator<Item = Post> {
    let today = now.secs().div_euclid(DAY);
    let days = (1..=DAYS).rev().flat_map(move |age| of_day(seed, today, age));
    days.filter(move |post| post.at <= now)
}

/// A small receiver's report of the last hour, as it comes at `now`; `number` tells such reports apart.
pub fn fresh(seed: u64, number: u64, now: Millis) -> Post {
    let mut rng = Rng::new(seed ^ 0xF2E5 ^ number.wrapping_mul(0x9E37_79B9));
    let org = rng.pick(SMALL);
    let seen = Seen { domain: "alpha.test", age: 0, weight: 3, policy: "quarantine", modern: false };
    let end = now.secs() - 60;
    let from = format!("dmarc@{org}");
    let mut report = report(&mut rng, (org, &from), end - 3_600, &seen, senders::alpha);
    report.end = Millis::from_secs(end);
    report.records.truncate(4);
    Post { at: now, bytes: mail(&report, now, &from, Packing::Gzip, Checks::Pass).bytes() }
}

/// A name server that knows the hosts which send in the name of the simulated domains.
pub fn name_server() -> NameServer {
    let (ip, claimed) = senders::pretender();
    let hosts = senders::hosts();
    let known = hosts.iter().fold(NameServer::default(), |server, (ip, name)| server.host(*ip, name));
    known.pointer(ip, claimed).address(claimed, IpAddr::from([192, 0, 2, 25]))
}

/// All that came about one day, `age` days before `today`.
fn of_day(seed: u64, today: i64, age: i64) -> Vec<Post> {
    let begin = (today - age) * DAY;
    let mut rng = Rng::new(seed ^ (begin as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let weekend = matches!((today - age + 3).rem_euclid(7), 5 | 6);
    let mut posts = Vec::new();
    for receiver in RECEIVERS {
        let Receiver { org, from, packing, checks, .. } = *receiver;
        let modern = org == MODERN;
        let weight = if weekend { receiver.weight / 3 } else { receiver.weight };
        let at = Millis::from_secs(begin + DAY + rng.between(1_800, 32_000) as i64);
        let policy = if age > STRICTER { "none" } else { "quarantine" };
        let alpha = Seen { domain: "alpha.test", age, weight, policy, modern };
        if weight > 1 {
            let report = report(&mut rng, (org, from), begin, &alpha, senders::alpha);
            posts.push(Post { at, bytes: mail(&report, at, from, packing, checks).bytes() });
        }
        let beta = Seen { domain: "beta.test", policy: "reject", ..alpha };
        if age % 9 == 4 && receiver.weight >= 60 {
            let at = Millis(at.0 + 2_000);
            let report = report(&mut rng, (org, from), begin, &beta, senders::beta);
            posts.push(Post { at, bytes: mail(&report, at, from, packing, checks).bytes() });
        }
    }
    posts.extend(tls::of_day(&mut rng, begin, age));
    posts.extend(odd::of_day(&mut rng, begin, age));
    posts
}

fn report(
    rng: &mut Rng,
    (org, from): (&str, &str),
    begin: i64,
    seen: &Seen,
    records: fn(&mut Rng, &Seen) -> Vec<Record>,
) -> Report {
    let modern = |word: &str| seen.modern.then(|| word.to_owned());
    Report {
        org: org.to_owned(),
        email: Some(from.to_owned()),
        report_id: format!("{begin}.{}", rng.below(1 << 40)),
        begin: Millis::from_secs(begin),
        end: Millis::from_secs(begin + DAY - 1),
        version: Some("1.0".to_owned()),
        generator: modern("nordreport 2.1"),
        policy: Policy {
            domain: seen.domain.to_owned(),
            p: Some(seen.policy.to_owned()),
            sp: Some(seen.policy.to_owned()),
            np: modern("reject"),
            adkim: Some("r".to_owned()),
            aspf: Some("r".to_owned()),
            pct: (!seen.modern).then_some(100),
            testing: modern("n"),
            discovery: modern("treewalk"),
            ..Policy::default()
        },
        records: records(rng, seen),
        ..Report::default()
    }
}

/// The mail that brings a report.
fn mail(report: &Report, at: Millis, from: &str, packing: Packing, checks: Checks) -> Mail {
    let domain = &report.policy.domain;
    let by = domain_of(from);
    Mail {
        at,
        from: from.to_owned(),
        subject: format!("Report Domain: {domain} Submitter: {by} Report-ID: <{}>", report.report_id),
        file: format!("{by}!{domain}!{}!{}.xml", report.begin.secs(), report.end.secs()),
        body: xml(report),
        packing,
        checks,
    }
}
