//! TLS reports: two receivers, one policy, and two days on which the server's certificate had run out.

use super::{DAY, Mail, Packing, Post, json, mail::Checks, mail::HOST};
use crate::{
    demo::{rng::Rng, world::domain_of},
    model::{
        report::{TlsFailure, TlsPolicy, TlsReport},
        time::Millis,
    },
};

/// So many days ago the certificate had run out.
const EXPIRED: [i64; 2] = [9, 8];

/// The TLS reports about one day.
pub fn of_day(rng: &mut Rng, begin: i64, age: i64) -> Vec<Post> {
    let mut posts = Vec::new();
    for (org, from, sessions, domain) in [
        ("Bigmail Inc.", "noreply-smtp-tls-reporting@bigmail.example", 140, "alpha.test"),
        ("Outmail Corporation", "tlsrpt-noreply@outmail.example", 45, "alpha.test"),
        ("Bigmail Inc.", "noreply-smtp-tls-reporting@bigmail.example", 20, "beta.test"),
    ] {
        if domain == "beta.test" && age % 6 != 1 {
            continue;
        }
        let at = Millis::from_secs(begin + DAY + rng.between(3_600, 30_000) as i64);
        let policy = policy(rng, domain, sessions, age);
        let report = report(rng, org, begin, policy);
        posts.push(Post { at, bytes: mail(&report, at, from, domain).bytes() });
    }
    posts
}

fn policy(rng: &mut Rng, domain: &str, sessions: u64, age: i64) -> TlsPolicy {
    let all = rng.between(sessions / 2, sessions);
    let mut failures = Vec::new();
    if domain == "alpha.test" && EXPIRED.contains(&age) {
        failures.push(failure(rng, "certificate-expired", all * 3 / 5));
    }
    if rng.chance(12) {
        failures.push(failure(rng, "starttls-not-supported", 1));
    }
    if rng.chance(4) {
        failures.push(failure(rng, "validation-failure", 2));
    }
    let failed = failures.iter().map(|failure| failure.sessions).sum();
    TlsPolicy {
        kind: "sts".to_owned(),
        domain: domain.to_owned(),
        text: ["version: STSv1", "mode: enforce", "mx: mail.alpha.test", "max_age: 604800"]
            .map(str::to_owned)
            .to_vec(),
        mx_hosts: vec![HOST.to_owned()],
        successful: all.saturating_sub(failed),
        failed,
        failures,
    }
}

fn failure(rng: &mut Rng, kind: &str, sessions: u64) -> TlsFailure {
    TlsFailure {
        kind: kind.to_owned(),
        sending_ip: Some(format!("192.0.2.{}", rng.between(20, 40))),
        mx: Some(HOST.to_owned()),
        receiving_ip: Some("198.51.100.10".to_owned()),
        sessions,
        ..TlsFailure::default()
    }
}

fn report(rng: &mut Rng, org: &str, begin: i64, policy: TlsPolicy) -> TlsReport {
    TlsReport {
        org: org.to_owned(),
        contact: Some("smtp-tls-reporting@bigmail.example".to_owned()),
        report_id: format!("{begin}-{:x}@{}", rng.below(1 << 32), policy.domain),
        begin: Millis::from_secs(begin),
        end: Millis::from_secs(begin + DAY - 1),
        policies: vec![policy],
    }
}

fn mail(report: &TlsReport, at: Millis, from: &str, domain: &str) -> Mail {
    let by = domain_of(from);
    Mail {
        at,
        from: from.to_owned(),
        subject: format!("Report Domain: {domain} Submitter: {by} Report-ID: <{}>", report.report_id),
        file: format!("{by}!{domain}!{}!{}!001.json", report.begin.secs(), report.end.secs()),
        body: json(report),
        packing: Packing::Tls,
        checks: Checks::Pass,
    }
}
