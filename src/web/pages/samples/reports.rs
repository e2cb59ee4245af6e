//! Reports as their pages show them: a printer that fails, a forger, a forwarder; and hostile words everywhere.

use std::net::{IpAddr, Ipv4Addr};

use super::{NOW, ago};
use crate::{
    metrics::{
        facts::{self, Finding, Outcome, Records, Shown},
        modules::{security, tls},
    },
    model::{
        advice::add,
        figures::*,
        report::*,
        sample::{DOMAIN, Labels, State},
        time::Millis,
    },
    store::samples::Latest,
};

const DAY: u64 = 86_400;

fn midnight(days: u64) -> Millis {
    let at = ago(days * DAY);
    Millis(at.0 - at.0.rem_euclid(DAY as i64 * 1000))
}

pub fn sums(messages: u64, dkim: u64, spf: u64) -> Sums {
    Sums { messages, dkim, spf, aligned: dkim.max(spf), ..Sums::default() }
}

/// Sixty days: calm, and since eight days a printer that fails.
pub fn days() -> Vec<Day> {
    let day = |back: u64| {
        let all = if back % 7 < 2 { 210 } else { 640 + back * 7 % 190 };
        let failed = if back < 8 { 26 } else { 0 };
        Day { at: midnight(back), sums: sums(all, all - failed, all - failed) }
    };
    (1..60).rev().map(day).collect()
}

pub fn source(octet: u8, name: Option<&str>, sums: Sums) -> Source {
    Source {
        ip: IpAddr::V4(Ipv4Addr::new(203, 0, 113, octet)),
        name: name.map(str::to_owned),
        label: None,
        verdict: Verdict::Unsaid,
        sums,
        handed: Handed::default(),
        first: midnight(200),
        last: midnight(1),
    }
}

pub fn sources() -> Vec<Source> {
    let mailcow = source(10, Some("mail.alpha.test"), sums(16_902, 16_902, 16_890));
    let news = Source {
        label: Some("Newsletter service".to_owned()),
        verdict: Verdict::Known,
        ..source(77, Some("out.mailing.example"), sums(1011, 1011, 0))
    };
    let printer = Source { first: midnight(8), ..source(31, Some("dsl-31.access.example"), sums(204, 0, 0)) };
    let gone = Source { last: midnight(12), ..source(9, None, sums(44, 44, 44)) };
    vec![
        mailcow,
        news,
        printer,
        source(190, Some("fwd.school.example"), sums(81, 81, 0)),
        gone,
        Source {
            sums: Sums { rejected: 5, quarantined: 10, ..sums(15, 0, 0) },
            ..source(201, None, sums(0, 0, 0))
        },
    ]
}

pub fn figures(domain: &str, p: &str) -> DomainFigures {
    let total = sources().iter().fold(Sums::default(), |total, source| add(total, &source.sums));
    DomainFigures {
        domain: domain.to_owned(),
        sums: total,
        before: sums(17_000, 16_990, 16_900),
        reports: 118,
        receivers: 9,
        first: Some(midnight(29)),
        last: Some(midnight(1)),
        policy: PolicySeen { p: p.to_owned(), sp: Some("reject".to_owned()), pct: Some(50), testing: false },
        policy_before: Some((PolicySeen { p: "none".to_owned(), ..PolicySeen::default() }, midnight(20))),
        new_sources: 1,
        set_aside: 3,
    }
}

pub fn arrival(proof: Proof) -> Arrival {
    Arrival {
        at: ago(9000),
        via: "dmarc@alpha.test at mail.alpha.test, INBOX".to_owned(),
        name: "bigmail.example!alpha.test!1.xml.gz".to_owned(),
        sender: Some("noreply-dmarc@bigmail.example".to_owned()),
        proof,
        evidence: Some("dkim=pass header.d=bigmail.example".to_owned()),
    }
}

pub fn line(serial: i64, state: ReportState, proof: Proof) -> ReportLine {
    ReportLine {
        serial,
        domain: "alpha.test".to_owned(),
        org: "bigmail.example".to_owned(),
        report_id: format!("17950464{serial}@bigmail.example"),
        begin: midnight(1),
        end: Millis(midnight(0).0 - 1000),
        sums: match state {
            ReportState::Pass => sums(803, 803, 700),
            ReportState::Fail => sums(9, 0, 0),
            ReportState::Mixed => sums(812, 803, 700),
            ReportState::Other => sums(0, 0, 0),
        },
        state,
        proof,
        variants: u64::from(proof == Proof::Failed),
    }
}

pub fn report_lines() -> Vec<ReportLine> {
    let states = ReportState::ALL.into_iter().cycle();
    let proofs = Proof::ALL.into_iter().cycle();
    (1..=51).zip(states.zip(proofs)).map(|(serial, (state, proof))| line(serial, state, proof)).collect()
}

/// A report with `text` wherever a receiver may write.
pub fn report(text: &str) -> StoredReport {
    let own = |word: &str| if text.is_empty() { word.to_owned() } else { text.to_owned() };
    let record = |source: Option<IpAddr>, count, dkim, spf, disposition: &str| Record {
        source,
        source_text: source.is_none().then(|| own("not an address")),
        count,
        disposition: disposition.to_owned(),
        dkim,
        spf,
        reasons: vec![
            Reason { kind: "forwarded".to_owned(), comment: Some(own("looks forwarded")) },
            Reason { kind: own("odd"), comment: None },
        ],
        header_from: own("alpha.test"),
        envelope_from: Some(own("bounce.alpha.test")),
        envelope_to: Some(own("bigmail.example")),
        dkim_results: ["pass", "temperror"]
            .map(|result| DkimResult {
                domain: own("alpha.test"),
                selector: Some(own("dkim")),
                result: result.to_owned(),
                human_result: Some(own("good signature")),
            })
            .into(),
        spf_results: vec![SpfResult {
            domain: own("alpha.test"),
            scope: Some("mfrom".to_owned()),
            result: own("softfail"),
            human_result: None,
        }],
    };
    let ip = |octet| Some(IpAddr::from([203, 0, 113, octet]));
    let policy = Policy {
        domain: "alpha.test".to_owned(),
        p: Some("none".to_owned()),
        sp: Some(own("quarantine")),
        np: Some("reject".to_owned()),
        adkim: Some("r".to_owned()),
        aspf: Some("s".to_owned()),
        pct: Some(50),
        fo: Some(own("1")),
        testing: Some("n".to_owned()),
        discovery: Some("treewalk".to_owned()),
    };
    StoredReport {
        line: ReportLine {
            org: own("bigmail.example"),
            report_id: own("1795046400"),
            ..line(7, ReportState::Mixed, Proof::Proven)
        },
        report: Report {
            org: own("bigmail.example"),
            email: Some(own("noreply-dmarc@bigmail.example")),
            extra_contact_info: Some(own("https://bigmail.example/dmarc")),
            report_id: own("1795046400"),
            begin: midnight(1),
            end: midnight(0),
            version: Some(own("1.0")),
            generator: Some(own("opendmarc")),
            errors: vec![own("quota of lookups reached")],
            policy,
            records: vec![
                record(ip(10), 803, Evaluation::Pass, Evaluation::Pass, "none"),
                record(ip(10), 4, Evaluation::Fail, Evaluation::Fail, "quarantine"),
                record(ip(201), 5, Evaluation::Fail, Evaluation::Unknown, "reject"),
                record(None, 0, Evaluation::Unknown, Evaluation::Unknown, &own("")),
            ],
        },
        arrival: Some(Arrival {
            evidence: Some(own("dkim=pass header.d=bigmail.example")),
            via: own("INBOX"),
            ..arrival(Proof::Proven)
        }),
        has_xml: true,
        others: vec![(1, arrival(Proof::Failed))],
    }
}

pub fn unreadable(text: &str) -> Unreadable {
    let arrival =
        Arrival { name: text.to_owned(), sender: Some(text.to_owned()), ..arrival(Proof::Unchecked) };
    Unreadable { id: 3, arrival, reason: text.to_owned(), bytes: 48_000, kept: true }
}

pub fn tls_days() -> Vec<TlsDay> {
    (1..28).map(|back| TlsDay { at: midnight(back), successful: 300, failed: back % 9 }).collect()
}

pub fn tls_failures(text: &str) -> Vec<TlsFailureSum> {
    let one = |kind: &str, days| TlsFailureSum {
        kind: kind.to_owned(),
        mx: "mail.alpha.test".to_owned(),
        sessions: 42,
        last: midnight(days),
    };
    vec![
        one("certificate-expired", 1),
        one("sts-policy-fetch-error", 9),
        one("validation-failure", 1),
        one(text, 1),
    ]
}

pub fn tls_lines() -> Vec<TlsLine> {
    let one = |id, successful, failed| TlsLine {
        id,
        domain: "alpha.test".to_owned(),
        org: "bigmail.example".to_owned(),
        report_id: "2026-11-19T00:00:00Z_alpha.test".to_owned(),
        begin: midnight(1),
        end: midnight(0),
        successful,
        failed,
        proof: Proof::Proven,
        variants: u64::from(id == 3),
    };
    vec![one(4, 300, 0), one(3, 280, 20), one(2, 0, 9), one(1, 0, 0)]
}

pub fn tls_report(text: &str) -> StoredTlsReport {
    let own = |word: &str| if text.is_empty() { word.to_owned() } else { text.to_owned() };
    let failure = |kind: &str| TlsFailure {
        kind: kind.to_owned(),
        sending_ip: Some(own("198.51.100.7")),
        mx: Some(own("mail.alpha.test")),
        mx_helo: Some(own("mail")),
        receiving_ip: Some(own("203.0.113.10")),
        sessions: 20,
        more: Some(own("https://bigmail.example/x")),
        reason_code: Some(own("X509_V_ERR")),
    };
    let policy = TlsPolicy {
        kind: own("sts"),
        domain: "alpha.test".to_owned(),
        text: vec![own("version: STSv1"), own("mode: enforce")],
        mx_hosts: vec![own("mail.alpha.test")],
        successful: 280,
        failed: 20,
        failures: vec![failure("certificate-expired"), failure(&own("made-up"))],
    };
    let other =
        TlsPolicy { kind: "no-policy-found".to_owned(), failed: 0, failures: Vec::new(), ..policy.clone() };
    StoredTlsReport {
        id: 3,
        report: TlsReport {
            org: own("bigmail.example"),
            contact: Some(own("smtp-tls-reporting@bigmail.example")),
            report_id: own("2026-11-19"),
            begin: midnight(1),
            end: NOW,
            policies: vec![policy, other],
        },
        arrival: arrival(Proof::Proven),
        whole: true,
        others: vec![(1, arrival(Proof::Failed))],
    }
}

/// What our own probes saw last of `alpha.test` and of the mail server; `fresh` or long ago.
pub fn tls_now(text: &str, fresh: bool) -> Vec<Latest> {
    let finding = |check: &str, outcome, why: &str| Finding {
        check: check.to_owned(),
        outcome,
        why: why.to_owned(),
        found: Vec::new(),
        publish: Vec::new(),
    };
    let why = if text.is_empty() { "there is no record" } else { text };
    let records = Records {
        findings: vec![
            finding("SPF", Outcome::Bad, "not asked for here"),
            finding("MTA-STS", Outcome::Bad, why),
            finding("MX", Outcome::Good, ""),
            finding("DANE", Outcome::Unknown, why),
        ],
    };
    let shown = Shown {
        subject: "mail.alpha.test".to_owned(),
        issuer: "Some Authority".to_owned(),
        names: Vec::new(),
        serial: String::new(),
        from: 0,
        until: 0,
        faults: vec![why.to_owned()],
        chain: Vec::new(),
        version: "TLSv1.3".to_owned(),
    };
    let one = |metric: &str, labels, text: String| Latest {
        metric: metric.to_owned(),
        labels,
        state: State::Text(text),
        since: midnight(2),
        source: String::new(),
        told: midnight(0),
        fresh,
    };
    vec![
        one(security::EACH_DNS_FACTS.key, Labels::one(DOMAIN, "alpha.test"), facts::write(&records)),
        one(tls::EACH_CERT_FACTS.key, Labels::one("port", "25"), facts::write(&shown)),
    ]
}
