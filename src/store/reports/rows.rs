//! The two tables of dmarcts-report-parser: writing what their columns hold, reading it back.
//!
//! Their times are timestamps on MariaDB (our sessions are at UTC) and Unix seconds on SQLite. `mindate` moves by
//! itself on MariaDB unless an UPDATE sets it.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{Incoming, Packed, packed::MOST};
use crate::{
    model::{
        report::{DkimResult, Evaluation, Policy, Reason, Record, Report, SpfResult},
        time::Millis,
    },
    store::{
        Error,
        db::{Db, Result, Sql, Tx, Value, places, sql},
    },
};

/// Rows in one statement: as many as leave it below the values with which it stays prepared.
const ROWS: usize = 128;
/// Reports that one statement writes, …
const AT_ONCE: usize = 16;
/// … or as many as hold this many bytes of XML: a packet of the database holds 16 MiB.
const BYTES_AT_ONCE: usize = 1 << 20;
/// Keys that are looked up by one statement.
const KEYS: usize = 32;
/// A timestamp holds no more; a report that says so is kept with its true moments beside.
const LAST_SECOND: i64 = i32::MAX as i64;

const RECORD_COLUMNS: [&str; 13] = [
    "serial",
    "ip",
    "ip6",
    "rcount",
    "disposition",
    "reason",
    "dkimdomain",
    "dkimresult",
    "spfdomain",
    "spfresult",
    "spf_align",
    "dkim_align",
    "identifier_hfrom",
];
const DISPOSITIONS: [&str; 3] = ["none", "quarantine", "reject"];
const DKIM_RESULTS: [&str; 7] = ["none", "pass", "fail", "neutral", "policy", "temperror", "permerror"];
const SPF_RESULTS: [&str; 7] = ["none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"];

/// By what a report is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Domain, receiver and report id, as long as their columns hold.
    names: [String; 3],
    /// Begin and end in Unix seconds, within what a timestamp holds.
    seconds: [i64; 2],
}

impl Key {
    /// The same for all keys that a table may take for this one: some compare without regard to case, accents or
    /// trailing spaces.
    pub fn outline(&self) -> String {
        let plain =
            |name: &String| name.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "");
        format!("{} {:?}", self.names.each_ref().map(plain).join(" "), self.seconds)
    }

    /// The key of a report.
    pub fn of(report: &Report) -> Self {
        let second = |at: Millis| at.secs().clamp(1, LAST_SECOND);
        Self {
            names: [&report.policy.domain, &report.org, &report.report_id].map(|name| fit(name, 255)),
            seconds: [second(report.begin), second(report.end)],
        }
    }
}

/// The text, or, when it is too long for its column, its beginning and a hash of the whole: two long texts with the same
/// beginning stay apart.
pub fn fit(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mark = twox_hash::XxHash3_64::oneshot(text.as_bytes());
    let begin: String = text.chars().take(most.saturating_sub(17)).collect();
    format!("{begin}#{mark:016x}")
}

/// Word for a moment that is bound as Unix seconds.
fn moment(tx: &Tx) -> &'static str {
    if tx.is_mysql() { "FROM_UNIXTIME(?)" } else { "?" }
}

/// The serials of the reports with these keys, in their order.
pub async fn serials(tx: &mut Tx, keys: &[Key]) -> Result<Vec<Option<i64>>> {
    let at = moment(tx);
    let mut serials = vec![None; keys.len()];
    for (first, keys) in (0..).step_by(KEYS).zip(keys.chunks(KEYS)) {
        // Each key is looked up by itself, so that names compare as the table compares them.
        let one = format!(
            "SELECT ? AS place, CAST(serial AS SIGNED) FROM report \
             WHERE domain = ? AND org = ? AND reportid = ? AND mindate = {at} AND maxdate = {at}"
        );
        let mut statement = sql(vec![one; keys.len()].join(" UNION ALL "));
        for (place, key) in (first..).zip(keys) {
            statement = statement.bind(place as i64).bind_all(&key.names).bind_all(key.seconds);
        }
        let found: Vec<(i64, i64)> = tx.fetch(statement).await?;
        for (place, serial) in found {
            let place = usize::try_from(place).ok().and_then(|place| serials.get_mut(place));
            place.into_iter().for_each(|known| *known = Some(serial));
        }
    }
    Ok(serials)
}

/// Writes new rows of `report`, no two with one key, and answers their serials.
pub async fn insert(tx: &mut Tx, reports: &[(Key, Incoming<'_>)]) -> Result<Vec<i64>> {
    let (mut all, mut rest) = (Vec::with_capacity(reports.len()), reports);
    while !rest.is_empty() {
        let (now, after) = rest.split_at(at_once(rest));
        let statement = insert_statement(moment(tx), now);
        if let [_] = now {
            all.push(tx.insert_serial(statement).await?);
        } else {
            // The numbers that one statement gives need not follow each other (`auto_increment_increment`).
            tx.execute(statement).await?;
            let keys: Vec<Key> = now.iter().map(|(key, _)| key.clone()).collect();
            let serials: Option<Vec<i64>> = serials(tx, &keys).await?.into_iter().collect();
            all.extend(serials.ok_or(Error::Damaged("a report that was written and is not there"))?);
        }
        rest = after;
    }
    Ok(all)
}

/// How many of these reports, at least one, go into one statement: a power of two, so that few texts have to be prepared,
/// of which each is found again by its key. Tables of other programs may hold other letters than ASCII otherwise.
fn at_once(reports: &[(Key, Incoming<'_>)]) -> usize {
    let mut bytes = 0;
    let fitting = reports.iter().take(AT_ONCE).take_while(|(key, one)| {
        bytes += one.packed.xml.as_ref().map_or(0, String::len);
        bytes <= BYTES_AT_ONCE && key.names.iter().all(|name| name.is_ascii())
    });
    1 << fitting.count().max(1).ilog2()
}

fn insert_statement<'a>(at: &str, reports: &'a [(Key, Incoming<'_>)]) -> Sql<'a> {
    let row = format!("(?, ?, ?, {at}, {at}, {})", places(8));
    let mut statement = sql(format!(
        "INSERT INTO report (domain, org, reportid, mindate, maxdate, email, extra_contact_info, policy_adkim, \
         policy_aspf, policy_p, policy_sp, policy_pct, raw_xml) VALUES {}",
        vec![row; reports.len()].join(", ")
    ));
    for (key, one) in reports {
        statement = statement.bind_all(&key.names).bind_all(key.seconds);
        statement = statement.bind_all(facts(one.report, one.packed));
    }
    statement
}

/// Writes another body over a row of `report`; its key stays.
pub async fn replace(tx: &mut Tx, serial: i64, report: &Report, packed: &Packed) -> Result<()> {
    let statement = sql(
        "UPDATE report SET mindate = mindate, email = ?, extra_contact_info = ?, policy_adkim = ?, policy_aspf = ?, \
         policy_p = ?, policy_sp = ?, policy_pct = ?, raw_xml = ? WHERE serial = ?",
    );
    tx.execute(statement.bind_all(facts(report, packed)).bind(serial)).await?;
    tx.execute(sql("DELETE FROM rptrecord WHERE serial = ?").bind(serial)).await?;
    Ok(())
}

fn facts<'a>(report: &Report, packed: &'a Packed) -> [Value<'a>; 8] {
    let policy = &report.policy;
    let text = |text: &Option<String>, most| Value::from(text.as_deref().map(|text| fit(text, most)));
    [
        text(&report.email, 255),
        text(&report.extra_contact_info, 255),
        text(&policy.adkim, 20),
        text(&policy.aspf, 20),
        text(&policy.p, 20),
        text(&policy.sp, 20),
        policy.pct.into(),
        packed.xml.as_deref().unwrap_or_default().into(),
    ]
}

/// Writes the records of reports, each with its serial.
pub async fn insert_records<'a>(tx: &mut Tx, of: &[(i64, &'a [Record])]) -> Result<()> {
    let with = |(serial, records): &(i64, &'a [Record])| {
        let serial = *serial;
        records.iter().map(move |record| (serial, record))
    };
    let mut records: Vec<(i64, &'a Record)> = of.iter().flat_map(with).collect();
    // In the order of the table's indexes: in any other, each row costs twice as much.
    records.sort_by_key(|(serial, record)| (*serial, record.source.map(|ip| ip.to_canonical())));
    for records in records.chunks(ROWS) {
        let rows = records.iter().map(|(serial, record)| row(*serial, record)).collect();
        tx.insert_all("rptrecord", RECORD_COLUMNS, rows).await?;
    }
    Ok(())
}

fn row(serial: i64, record: &Record) -> [Value<'_>; 13] {
    let (ip, ip6) = match record.source.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(ip)) => (ip.to_bits().into(), Value::Null),
        Some(IpAddr::V6(ip)) => (Value::Null, ip.octets().to_vec().into()),
        None => (Value::Null, Value::Null),
    };
    let disposition = match record.disposition.as_str() {
        "pass" => "none",
        word => known(word, &DISPOSITIONS),
    };
    let dkim = record.dkim_results.iter().map(|result| (result.domain.as_str(), result.result.as_str()));
    let spf = record.spf_results.iter().map(|result| (result.domain.as_str(), result.result.as_str()));
    let (dkim_domain, dkim_result) = joined(dkim);
    let (spf_domain, spf_result) = joined(spf);
    let reasons: Vec<&str> = record.reasons.iter().map(|reason| reason.kind.as_str()).collect();
    [
        serial.into(),
        ip,
        ip6,
        i64::try_from(record.count.min(MOST)).unwrap_or(0).into(),
        disposition.into(),
        (!reasons.is_empty()).then(|| fit(&reasons.join("/"), 255)).into(),
        dkim_domain.into(),
        dkim_result.map(|word| known(word, &DKIM_RESULTS)).into(),
        spf_domain.into(),
        spf_result.map(|word| known(word, &SPF_RESULTS)).into(),
        record.spf.code().into(),
        record.dkim.code().into(),
        fitting(&record.header_from).into(),
    ]
}

fn known<'a>(word: &str, words: &[&'a str]) -> &'a str {
    words.iter().find(|known| **known == word).copied().unwrap_or("unknown")
}

/// A text of a record, which nearly always fits as it is.
fn fitting(text: &str) -> Cow<'_, str> {
    if text.len() <= 255 { Cow::Borrowed(text) } else { Cow::Owned(fit(text, 255)) }
}

/// The domains joined as their tool joins them, and the result that counts: a pass, or the first.
fn joined<'a>(
    results: impl Iterator<Item = (&'a str, &'a str)> + Clone,
) -> (Option<Cow<'a, str>>, Option<&'a str>) {
    let best = results.clone().find(|(_, result)| *result == "pass").or_else(|| results.clone().next());
    let mut domains = results.map(|(domain, _)| domain);
    let joined = domains.next().map(|first| match domains.next() {
        None => fitting(first),
        Some(second) => {
            let all: Vec<&str> = [first, second].into_iter().chain(domains).collect();
            fit(&all.join("/"), 255).into()
        }
    });
    (joined, best.map(|(_, result)| result))
}

#[derive(sqlx::FromRow)]
struct ReportRow {
    begin_secs: i64,
    end_secs: Option<i64>,
    domain: String,
    org: String,
    reportid: String,
    email: Option<String>,
    extra_contact_info: Option<String>,
    policy_adkim: Option<String>,
    policy_aspf: Option<String>,
    policy_p: Option<String>,
    policy_sp: Option<String>,
    policy_pct: Option<i64>,
}

#[derive(sqlx::FromRow)]
struct RecordRow {
    ip: Option<i64>,
    ip6: Option<Vec<u8>>,
    rcount: i64,
    disposition: Option<String>,
    reason: Option<String>,
    dkimdomain: Option<String>,
    dkimresult: Option<String>,
    spfdomain: Option<String>,
    spfresult: Option<String>,
    spf_align: String,
    dkim_align: String,
    identifier_hfrom: Option<String>,
}

/// The report as far as the two tables tell it: how another program stored it.
pub async fn read(tx: &mut Tx, serial: i64) -> Result<Option<Report>> {
    let statement = report_statement(!tx.is_mysql(), serial);
    let Some(row): Option<ReportRow> = tx.fetch_one(statement).await? else { return Ok(None) };
    Ok(Some(joined_report(row, tx.fetch(records_statement(serial)).await?)))
}

/// As [`read`], outside of a transaction.
pub async fn look(db: &Db, serial: i64) -> Result<Option<Report>> {
    let statement = report_statement(matches!(db, Db::Sqlite { .. }), serial);
    let Some(row): Option<ReportRow> = db.fetch_one(statement).await? else { return Ok(None) };
    Ok(Some(joined_report(row, db.fetch(records_statement(serial)).await?)))
}

fn report_statement(sqlite: bool, serial: i64) -> Sql<'static> {
    let seconds = |column: &str| match sqlite {
        true => column.to_owned(),
        false => format!("CAST(UNIX_TIMESTAMP({column}) AS SIGNED)"),
    };
    let text = format!(
        "SELECT {} AS begin_secs, {} AS end_secs, domain, org, reportid, email, extra_contact_info, policy_adkim, \
         policy_aspf, policy_p, policy_sp, CAST(policy_pct AS SIGNED) AS policy_pct FROM report WHERE serial = ?",
        seconds("mindate"),
        seconds("maxdate"),
    );
    sql(text).bind(serial)
}

fn records_statement(serial: i64) -> Sql<'static> {
    sql("SELECT CAST(ip AS SIGNED) AS ip, ip6, CAST(rcount AS SIGNED) AS rcount, disposition, reason, dkimdomain, \
         dkimresult, spfdomain, spfresult, spf_align, dkim_align, identifier_hfrom FROM rptrecord WHERE serial = ? \
         ORDER BY id")
    .bind(serial)
}

fn joined_report(row: ReportRow, records: Vec<RecordRow>) -> Report {
    Report { records: records.into_iter().map(Record::from).collect(), ..Report::from(row) }
}

impl From<ReportRow> for Report {
    fn from(row: ReportRow) -> Self {
        let begin = Millis::from_secs(row.begin_secs);
        Self {
            org: row.org,
            email: row.email,
            extra_contact_info: row.extra_contact_info,
            report_id: row.reportid,
            begin,
            end: row.end_secs.map_or(begin, Millis::from_secs),
            policy: Policy {
                domain: row.domain,
                p: row.policy_p,
                sp: row.policy_sp,
                adkim: row.policy_adkim,
                aspf: row.policy_aspf,
                pct: row.policy_pct.and_then(|pct| u8::try_from(pct).ok()),
                ..Policy::default()
            },
            ..Self::default()
        }
    }
}

impl From<RecordRow> for Record {
    fn from(row: RecordRow) -> Self {
        let v4 =
            row.ip.and_then(|bits| u32::try_from(bits).ok()).map(|bits| Ipv4Addr::from_bits(bits).into());
        let v6 = row.ip6.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        let result = |word: Option<String>| word.unwrap_or_else(|| "unknown".to_owned());
        let kinds = row.reason.unwrap_or_default();
        let kinds = kinds.split('/').filter(|kind| !kind.is_empty());
        Self {
            source: v6.map(|bytes| Ipv6Addr::from(bytes).into()).or(v4),
            source_text: None,
            count: u64::try_from(row.rcount).unwrap_or(0),
            disposition: result(row.disposition),
            dkim: Evaluation::from_code(&row.dkim_align),
            spf: Evaluation::from_code(&row.spf_align),
            reasons: kinds.map(|kind| Reason { kind: kind.to_owned(), comment: None }).collect(),
            header_from: row.identifier_hfrom.unwrap_or_default(),
            envelope_from: None,
            envelope_to: None,
            dkim_results: row
                .dkimdomain
                .filter(|domain| !domain.is_empty())
                .map(|domain| DkimResult { domain, result: result(row.dkimresult), ..DkimResult::default() })
                .into_iter()
                .collect(),
            spf_results: row
                .spfdomain
                .filter(|domain| !domain.is_empty())
                .map(|domain| SpfResult { domain, result: result(row.spfresult), ..SpfResult::default() })
                .into_iter()
                .collect(),
        }
    }
}

/// What the column `raw_xml` holds for this report.
pub async fn raw_xml(tx: &mut Tx, serial: i64) -> Result<Option<String>> {
    let statement = sql("SELECT raw_xml FROM report WHERE serial = ?");
    let found: Option<(Option<String>,)> = tx.fetch_one(statement.bind(serial)).await?;
    Ok(found.and_then(|(text,)| text))
}

/// Deletes the rows of these reports.
pub async fn delete(tx: &mut Tx, serials: &[i64]) -> Result<()> {
    for table in ["rptrecord", "report"] {
        let text = format!("DELETE FROM {table} WHERE serial IN ({})", places(serials.len()));
        tx.execute(sql(text).bind_all(serials.iter().copied())).await?;
    }
    Ok(())
}
