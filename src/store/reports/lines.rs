//! What lists and figures take of a report, derived from it in the transaction that stores it: its line, its sums by
//! source, and its month. All of it can be taken away again exactly.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::{Whose, packed, rows::fit};
use crate::{
    model::{
        report::{Proof, Report},
        scope::normalise_domain,
        time::Millis,
    },
    store::db::{Result, Sql, Tx, Value, places, sql},
};

/// The part of a line by which it is found and taken away.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Mark {
    /// Begin of the span.
    pub begin_at: Millis,
    /// Number of the report.
    pub serial: i64,
    /// Domain.
    pub domain: String,
    /// [`Proof::code`].
    pub proof: String,
    /// Records that were added up.
    pub records: i64,
    /// Messages in them.
    pub messages: i64,
    /// Other bodies that came under its key.
    pub variants: i64,
    /// Hash of what figures take from it.
    pub stamp: i64,
}

const MARK: &str =
    "SELECT begin_at, serial, domain, proof, records, messages, variants, stamp FROM report_line";

/// The domain of a report as it is compared; as written when it is no domain name.
fn domain_of(report: &Report) -> String {
    fit(&normalise_domain(&report.policy.domain).unwrap_or_else(|| report.policy.domain.clone()), 255)
}

/// The month of a moment: year * 100 + month, UTC.
pub(super) fn month_of(at: Millis) -> i64 {
    let at = at.in_zone(&TimeZone::UTC);
    i64::from(at.year()) * 100 + i64::from(at.month())
}

/// Forty bits of a hash: a million of them can be added up.
fn hash(bytes: &[u8]) -> i64 {
    (twox_hash::XxHash3_64::oneshot(bytes) >> 24) as i64
}

/// What a report adds to the stamp of its month.
pub(super) fn stamp(stamp: i64, proof: &str) -> i64 {
    hash(format!("{stamp} {proof}").as_bytes())
}

/// What is derived of reports, to be written at once.
#[derive(Default)]
pub struct Lines {
    lines: Vec<[Value<'static>; 22]>,
    sources: Vec<[Value<'static>; 5]>,
    /// By domain and month: how many more reports, and how much more in the stamp.
    months: BTreeMap<(String, i64), (i64, i64)>,
}

impl Lines {
    /// All of one report.
    pub fn of(serial: i64, report: &Report, proof: Proof, variants: i64) -> Self {
        let mut lines = Self::default();
        lines.add(serial, report, proof, variants);
        lines
    }

    /// Derives all of a report.
    pub fn add(&mut self, serial: i64, report: &Report, proof: Proof, variants: i64) {
        let (domain, sums) = (domain_of(report), packed::total(&report.records));
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let sources = packed::pack(&report.records);
        let (policy, org) = (&report.policy, fit(&report.org, 255));
        let words = (&policy.p, &policy.sp, policy.pct, &policy.testing);
        let whole = (serial, &domain, &org, report.begin, words, sums, &sources);
        let own = hash(format!("{whole:?}").as_bytes());
        let short = |text: &Option<String>| text.as_deref().map(|text| fit(text, 20));
        let report_id = fit(&report.report_id, 255);
        self.lines.push([
            report.begin.into(),
            serial.into(),
            report.end.into(),
            domain.clone().into(),
            searched(&org, &report_id).into(),
            org.into(),
            report_id.into(),
            packed::state(&report.records).code().into(),
            proof.code().into(),
            short(&policy.p).unwrap_or_default().into(),
            short(&policy.sp).into(),
            policy.pct.into(),
            short(&policy.testing).into(),
            number(report.records.len() as u64).into(),
            number(sums.messages).into(),
            number(sums.dkim).into(),
            number(sums.spf).into(),
            number(sums.aligned).into(),
            number(sums.quarantined).into(),
            number(sums.rejected).into(),
            variants.into(),
            own.into(),
        ]);
        let source =
            [domain.clone().into(), serial.into(), report.begin.into(), proof.code().into(), sources.into()];
        self.sources.push(source);
        let (reports, stamps) = self.months.entry((domain, month_of(report.begin))).or_default();
        *reports += 1;
        *stamps += stamp(own, proof.code());
    }

    /// Writes them.
    pub async fn write(self, tx: &mut Tx) -> Result<()> {
        tx.insert_all("report_line", LINE, self.lines).await?;
        let columns = ["domain", "serial", "begin_at", "proof", "sources"];
        tx.insert_all("report_source", columns, self.sources).await?;
        let months = self.months.into_iter().map(|((domain, month), (reports, stamp))| {
            [domain.into(), month.into(), reports.into(), stamp.into()]
        });
        add_months(tx, months.collect()).await
    }
}

const LINE: [&str; 22] = [
    "begin_at",
    "serial",
    "end_at",
    "domain",
    "words",
    "org",
    "report_id",
    "state",
    "proof",
    "policy_p",
    "policy_sp",
    "policy_pct",
    "policy_testing",
    "records",
    "messages",
    "dkim",
    "spf",
    "aligned",
    "quarantined",
    "rejected",
    "variants",
    "stamp",
];

/// Receiver and report id in lower case with a tab between; neither holds one itself.
fn searched(org: &str, report_id: &str) -> String {
    let plain = |text: &str| fit(&text.to_lowercase().replace('\t', " "), 383);
    format!("{}\t{}", plain(org), plain(report_id))
}

async fn add_months(tx: &mut Tx, months: Vec<[Value<'_>; 4]>) -> Result<()> {
    let columns = ["domain", "month", "reports", "stamp"];
    tx.upsert_adding("report_month", columns, &["domain", "month"], &[], &["reports", "stamp"], months).await
}

async fn add_month(tx: &mut Tx, mark: &Mark, reports: i64, stamp: i64) -> Result<()> {
    let month = month_of(mark.begin_at);
    add_months(tx, vec![[(&mark.domain).into(), month.into(), reports.into(), stamp.into()]]).await
}

/// The line of one report.
pub async fn mark(tx: &mut Tx, serial: i64) -> Result<Option<Mark>> {
    tx.fetch_one(sql(format!("{MARK} WHERE serial = ?")).bind(serial)).await
}

/// The oldest lines that begin before a moment.
pub async fn oldest(tx: &mut Tx, before: Millis, whose: Whose, limit: i64) -> Result<Vec<Mark>> {
    tx.fetch(oldest_statement(before, whose, limit)).await
}

/// Lines that begin after now, of reports that came before a moment: nobody would ever see them grow old.
pub async fn ahead(tx: &mut Tx, before: Millis, now: Millis, whose: Whose, limit: i64) -> Result<Vec<Mark>> {
    let text = format!(
        "{MARK} WHERE begin_at > ? AND EXISTS (SELECT 1 FROM report_body \
         WHERE report_body.serial = report_line.serial AND arrived_at < ?){} ORDER BY begin_at, serial LIMIT ?",
        only(whose)
    );
    tx.fetch(sql(text).bind(now).bind(before).bind(limit)).await
}

/// Leaves out lines of reports that are not of these.
fn only(whose: Whose) -> &'static str {
    match whose {
        Whose::Ours => {
            " AND (SELECT serial FROM report_body WHERE serial = report_line.serial) IS NOT NULL \
             AND (SELECT serial FROM report_adopted WHERE serial = report_line.serial) IS NULL"
        }
        Whose::Anybodys => "",
    }
}

pub(super) fn oldest_statement(before: Millis, whose: Whose, limit: i64) -> Sql<'static> {
    let text = format!("{MARK} WHERE begin_at < ?{} ORDER BY begin_at, serial LIMIT ?", only(whose));
    sql(text).bind(before).bind(limit)
}

/// Takes away all that was derived of these reports.
pub async fn remove(tx: &mut Tx, marks: &[Mark]) -> Result<()> {
    for mark in marks {
        let key = "DELETE FROM report_line WHERE begin_at = ? AND serial = ?";
        tx.execute(sql(key).bind(mark.begin_at).bind(mark.serial)).await?;
        let key = "DELETE FROM report_source WHERE domain = ? AND serial = ?";
        tx.execute(sql(key).bind(&mark.domain).bind(mark.serial)).await?;
        let stamp = stamp(mark.stamp, &mark.proof);
        add_month(tx, mark, -1, -stamp).await?;
        let empty = "DELETE FROM report_month WHERE domain = ? AND month = ? AND reports = 0";
        tx.execute(sql(empty).bind(&mark.domain).bind(month_of(mark.begin_at))).await?;
    }
    Ok(())
}

/// Sets the proof of a report.
pub async fn prove(tx: &mut Tx, mark: &Mark, proof: Proof) -> Result<()> {
    let line = "UPDATE report_line SET proof = ? WHERE begin_at = ? AND serial = ?";
    tx.execute(sql(line).bind(proof.code()).bind(mark.begin_at).bind(mark.serial)).await?;
    let sums = "UPDATE report_source SET proof = ? WHERE domain = ? AND serial = ?";
    tx.execute(sql(sums).bind(proof.code()).bind(&mark.domain).bind(mark.serial)).await?;
    let change = stamp(mark.stamp, proof.code()) - stamp(mark.stamp, &mark.proof);
    add_month(tx, mark, 0, change).await
}

/// Notes how many other bodies came under the key of a report.
pub async fn note_variants(tx: &mut Tx, serial: i64, variants: i64) -> Result<()> {
    tx.execute(sql("UPDATE report_line SET variants = ? WHERE serial = ?").bind(variants).bind(serial))
        .await?;
    Ok(())
}

/// Deletes side rows of these reports.
pub async fn delete_beside(tx: &mut Tx, serials: &[i64]) -> Result<()> {
    for text in [
        "DELETE FROM report_body WHERE serial",
        "DELETE FROM report_adopted WHERE serial",
        "DELETE FROM report_variant WHERE family = 'dmarc' AND serial",
    ] {
        let text = format!("{text} IN ({})", places(serials.len()));
        tx.execute(sql(text).bind_all(serials.iter().copied())).await?;
    }
    Ok(())
}
