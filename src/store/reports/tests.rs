//! How reports are stored, counted and forgotten: on SQLite, and on MariaDB where `MAILCOW_STATUS_TEST_MYSQL` names one.

mod beside;
mod oracle;
mod plans;

use std::{collections::BTreeSet, net::IpAddr};

use super::*;
use crate::{
    model::{
        report::{DkimResult, Evaluation, Policy, Reason, Record, SpfResult},
        scope::Holdings,
    },
    store::fresh::databases,
};

pub const DAY: i64 = 86_400_000;
/// Midnight, some day of November 2026.
pub const BEGIN: i64 = 20_770 * DAY;

pub fn record(ip: &str, count: u64, dkim: &str, spf: &str, disposition: &str) -> Record {
    Record {
        source: ip.parse::<IpAddr>().ok(),
        source_text: ip.parse::<IpAddr>().err().map(|_| ip.to_owned()),
        count,
        disposition: disposition.to_owned(),
        dkim: Evaluation::from_code(dkim),
        spf: Evaluation::from_code(spf),
        reasons: Vec::new(),
        header_from: "alpha.test".to_owned(),
        envelope_from: None,
        envelope_to: None,
        dkim_results: vec![DkimResult {
            domain: "alpha.test".to_owned(),
            selector: Some("s1".to_owned()),
            result: dkim.to_owned(),
            human_result: None,
        }],
        spf_results: vec![SpfResult {
            domain: "alpha.test".to_owned(),
            result: spf.to_owned(),
            ..SpfResult::default()
        }],
    }
}

pub fn report(domain: &str, org: &str, id: &str, day: i64, records: Vec<Record>) -> Report {
    Report {
        org: org.to_owned(),
        report_id: id.to_owned(),
        begin: Millis(BEGIN + day * DAY),
        end: Millis(BEGIN + (day + 1) * DAY - 1000),
        policy: Policy { domain: domain.to_owned(), p: Some("none".to_owned()), ..Policy::default() },
        records,
        ..Report::default()
    }
}

pub fn arrival(proof: Proof) -> Arrival {
    Arrival {
        at: Millis(BEGIN + 9 * DAY),
        via: "imap".to_owned(),
        name: "report.xml.gz".to_owned(),
        sender: Some("noreply@receiver.test".to_owned()),
        proof,
        evidence: Some("dkim=pass".to_owned()),
    }
}

pub fn admin_of(domains: &[&str]) -> Scope {
    let domains: BTreeSet<String> = domains.iter().map(|domain| (*domain).to_owned()).collect();
    Scope::Only(Holdings { domains, ..Holdings::default() })
}

pub async fn put(db: &Db, arrival: &Arrival, report: &Report, xml: &str) -> Stored {
    let mut tx = db.begin().await.unwrap();
    let (xml, packed) = (xml.as_bytes(), &Packed::of(report, xml.as_bytes()));
    let stored = insert(&mut tx, &[Incoming { arrival, report, xml, packed }]).await.unwrap();
    tx.commit().await.unwrap();
    stored[0]
}

pub async fn count(db: &Db, table: &str) -> i64 {
    let rows: Vec<(i64,)> = db.fetch(sql(format!("SELECT COUNT(*) FROM {table}"))).await.unwrap();
    rows[0].0
}

/// Every table that a report leaves rows in.
pub const TABLES: [&str; 10] = [
    "report",
    "rptrecord",
    "report_line",
    "report_source",
    "report_month",
    "report_body",
    "report_adopted",
    "report_variant",
    "report_digest",
    "report_debut",
];
