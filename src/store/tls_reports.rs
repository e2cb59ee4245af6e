//! TLS reports (RFC 8460). A report is stored once, known by receiver, report id, span and domains; another body under
//! the same key is kept beside it, and of two bodies the one counts whose sender is better proven.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    db::{Db, Result, Sql, Tx, Value, places, sql},
    pack::{Unpacked, pack},
    reports::{
        ArrivalRow, MOST_PACKED, Stored, condition, counted, decode, encode, fit, hash, insert_variant,
        other_bodies, other_body, sees,
    },
    texts::cut,
};
use crate::model::{
    figures::{Span, StoredTlsReport, TlsDay, TlsFailureSum, TlsLine},
    report::{Arrival, Proof, TlsPolicy, TlsReport},
    scope::{Scope, normalise_domain},
    time::Millis,
};

/// Reports that one step of pruning deletes.
const PIECE: i64 = 100;
/// Sessions beyond this in one row are not believed, so that sums cannot overflow.
const MOST: u64 = 1 << 40;
const DAY: i64 = 86_400_000;

fn number(sessions: u64) -> i64 {
    i64::try_from(sessions.min(MOST)).unwrap_or(0)
}

/// The domain of a policy as it is compared.
fn domain_of(policy: &TlsPolicy) -> String {
    fit(&normalise_domain(&policy.domain).unwrap_or_else(|| policy.domain.clone()), 255)
}

fn identity(report: &TlsReport) -> Vec<u8> {
    let domains: BTreeSet<String> = report.policies.iter().map(domain_of).collect();
    hash(format!("{:?}", (&report.org, &report.report_id, report.begin, report.end, domains)).as_bytes())
}

/// Whether the database can hold a report and the JSON that it was read from: both stand in one row.
pub fn fits(report: &TlsReport, json: &[u8]) -> bool {
    // Neither takes more than the JSON, and nearly all are small.
    json.len() < MOST_PACKED / 2 || encode(report).len() + pack(json).len() <= MOST_PACKED
}

/// Stores a report with the JSON that it was read from. Storing it again changes nothing, unless its sender is better
/// proven this time: then that counts.
pub async fn insert(tx: &mut Tx, arrival: &Arrival, report: &TlsReport, json: &[u8]) -> Result<Stored> {
    let (identity, own) = (identity(report), hash(json));
    let known = "SELECT id, hash, proof FROM tls_report WHERE identity = ?";
    let known: Option<(i64, Vec<u8>, String)> = tx.fetch_one(sql(known).bind(&identity)).await?;
    let Some((id, known, proof)) = known else {
        return Ok(Stored::New(write(tx, &identity, arrival, report, json).await?));
    };
    let better = arrival.proof < Proof::from_code(&proof).unwrap_or_default();
    if known == own {
        if better {
            prove(tx, id, arrival.proof, arrival.evidence.as_deref()).await?;
        }
        return Ok(Stored::Known(id));
    }
    let same = "SELECT id FROM report_variant WHERE family = 'tls' AND serial = ? AND hash = ?";
    let same: Option<(i64,)> = tx.fetch_one(sql(same).bind(id).bind(&own)).await?;
    match (same, better) {
        (Some(_), false) => return Ok(Stored::Known(id)),
        (None, false) => insert_variant(tx, "tls", id, arrival, &own, json).await?,
        (_, true) => return replace(tx, id, &identity, arrival, report, json).await,
    }
    Ok(Stored::Variant(id))
}

/// Puts a better proven body in the place of the one that is there, which becomes a variant.
async fn replace(
    tx: &mut Tx,
    id: i64,
    identity: &[u8],
    arrival: &Arrival,
    report: &TlsReport,
    json: &[u8],
) -> Result<Stored> {
    let text = "DELETE FROM report_variant WHERE family = 'tls' AND serial = ? AND hash = ?";
    tx.execute(sql(text).bind(id).bind(hash(json))).await?;
    let columns = "hash, arrived_at, via, name, sender, proof, evidence, document";
    let text = format!(
        "INSERT INTO report_variant (family, serial, {columns}) SELECT 'tls', id, {columns} FROM tls_report WHERE id = ?"
    );
    tx.execute(sql(text).bind(id)).await?;
    delete(tx, &[id]).await?;
    let new = write(tx, identity, arrival, report, json).await?;
    let text = "UPDATE report_variant SET serial = ? WHERE family = 'tls' AND serial = ?";
    tx.execute(sql(text).bind(new).bind(id)).await?;
    Ok(Stored::Variant(new))
}

async fn write(
    tx: &mut Tx,
    identity: &[u8],
    arrival: &Arrival,
    report: &TlsReport,
    json: &[u8],
) -> Result<i64> {
    let row: [Value<'_>; 11] = [
        identity.into(),
        report.begin.into(),
        hash(json).into(),
        arrival.at.into(),
        cut(&arrival.via).into(),
        cut(&arrival.name).into(),
        arrival.sender.as_deref().map(cut).into(),
        arrival.proof.code().into(),
        arrival.evidence.as_deref().map(cut).into(),
        encode(report).into(),
        pack(json).into(),
    ];
    let columns = [
        "identity",
        "begin_at",
        "hash",
        "arrived_at",
        "via",
        "name",
        "sender",
        "proof",
        "evidence",
        "body",
        "document",
    ];
    tx.insert("tls_report", columns, row).await?;
    let id: Option<(i64,)> =
        tx.fetch_one(sql("SELECT id FROM tls_report WHERE identity = ?").bind(identity)).await?;
    let id = id.map_or(0, |(id,)| id);
    add_lines(tx, id, arrival.proof, report).await?;
    add_failures(tx, id, report).await?;
    Ok(id)
}

async fn add_lines(tx: &mut Tx, id: i64, proof: Proof, report: &TlsReport) -> Result<()> {
    let mut lines: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for policy in &report.policies {
        let sums = lines.entry(domain_of(policy)).or_default();
        sums.0 += number(policy.successful);
        sums.1 += number(policy.failed);
    }
    let (org, report_id) = (fit(&report.org, 255), fit(&report.report_id, 255));
    let rows = lines.iter().map(|(domain, (successful, failed))| -> [Value<'_>; 9] {
        [
            id.into(),
            domain.into(),
            report.begin.into(),
            report.end.into(),
            (&org).into(),
            (&report_id).into(),
            proof.code().into(),
            (*successful).into(),
            (*failed).into(),
        ]
    });
    let columns =
        ["report", "domain", "begin_at", "end_at", "org", "report_id", "proof", "successful", "failed"];
    tx.upsert("tls_line", columns, &["report", "domain"], &[], rows.collect()).await
}

async fn add_failures(tx: &mut Tx, id: i64, report: &TlsReport) -> Result<()> {
    let mut failures: BTreeMap<(String, String, String), i64> = BTreeMap::new();
    for policy in &report.policies {
        for failure in &policy.failures {
            let mx = fit(failure.mx.as_deref().unwrap_or_default(), 255);
            *failures.entry((domain_of(policy), fit(&failure.kind, 191), mx)).or_default() +=
                number(failure.sessions);
        }
    }
    let rows = failures.iter().map(|((domain, kind, mx), sessions)| -> [Value<'_>; 5] {
        [id.into(), domain.into(), kind.into(), mx.into(), (*sessions).into()]
    });
    let columns = ["report", "domain", "kind", "mx", "sessions"];
    tx.upsert("tls_failure", columns, &["report", "domain", "kind", "mx"], &[], rows.collect()).await
}

/// Sets whether it is proven who sent a report.
pub async fn prove(tx: &mut Tx, id: i64, proof: Proof, evidence: Option<&str>) -> Result<()> {
    let text = "UPDATE tls_report SET proof = ?, evidence = ? WHERE id = ?";
    tx.execute(sql(text).bind(proof.code()).bind(evidence.map(cut)).bind(id)).await?;
    tx.execute(sql("UPDATE tls_line SET proof = ? WHERE report = ?").bind(proof.code()).bind(id)).await?;
    Ok(())
}

const LINES: &str = "SELECT report, domain, org, report_id, begin_at, end_at, successful, failed, proof, \
    (SELECT COUNT(*) FROM report_variant WHERE family = 'tls' AND serial = tls_line.report) AS variants FROM tls_line";

#[derive(sqlx::FromRow)]
struct LineRow {
    report: i64,
    domain: String,
    org: String,
    report_id: String,
    begin_at: Millis,
    end_at: Millis,
    successful: i64,
    failed: i64,
    proof: String,
    variants: i64,
}

impl From<LineRow> for TlsLine {
    fn from(row: LineRow) -> Self {
        Self {
            id: row.report,
            domain: row.domain,
            org: row.org,
            report_id: row.report_id,
            begin: row.begin_at,
            end: row.end_at,
            successful: row.successful.unsigned_abs(),
            failed: row.failed.unsigned_abs(),
            proof: Proof::from_code(&row.proof).unwrap_or_default(),
            variants: row.variants.unsigned_abs(),
        }
    }
}

fn list_statement<'a>(
    scope: &'a Scope,
    domain: Option<&'a str>,
    after: Option<i64>,
    limit: usize,
) -> Sql<'a> {
    let (mut condition, mut values) = condition(scope, "domain");
    if let Some(domain) = domain {
        condition.push_str(" AND domain = ?");
        values.push(domain.into());
    }
    let text = format!(
        "{LINES} \
         WHERE report < ? AND {condition} ORDER BY report DESC, domain LIMIT ?"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    sql(text).bind(after.unwrap_or(i64::MAX)).bind_all(values).bind(limit)
}

/// Reports, those taken last first, behind the report `after`: one line for each domain that they speak of. A report's
/// lines stay together, so that a page may hold a few more than `limit`.
pub async fn list(
    db: &Db,
    scope: &Scope,
    domain: Option<&str>,
    after: Option<i64>,
    limit: usize,
) -> Result<Vec<TlsLine>> {
    let mut rows: Vec<LineRow> = db.fetch(list_statement(scope, domain, after, limit)).await?;
    if let (Some(last), true) = (rows.last().map(|row| row.report), rows.len() >= limit) {
        rows.retain(|row| row.report != last);
        let (condition, values) = condition(scope, "domain");
        let text = format!(
            "{LINES} \
             WHERE report = ? AND {condition} ORDER BY domain"
        );
        let whole: Vec<LineRow> = db.fetch(sql(text).bind(last).bind_all(values)).await?;
        rows.extend(whole.into_iter().filter(|row| domain.is_none_or(|domain| domain == row.domain)));
    }
    Ok(rows.into_iter().map(TlsLine::from).collect())
}

/// The domains with TLS reports that the scope sees, sorted.
pub async fn domain_names(db: &Db, scope: &Scope) -> Result<Vec<String>> {
    let (condition, values) = condition(scope, "domain");
    let text = format!("SELECT DISTINCT domain FROM tls_line WHERE {condition} ORDER BY domain");
    let rows: Vec<(String,)> = db.fetch(sql(text).bind_all(values)).await?;
    Ok(rows.into_iter().map(|(domain,)| domain).collect())
}

/// The condition on lines that count, for whole days: hosted domains in scope, sender not disproven. `None`: none counts.
async fn counting(db: &Db, scope: &Scope, span: &Span) -> Result<Option<(String, Vec<Value<'static>>)>> {
    let domains = counted(db, domain_names(db, scope).await?, span.domain.as_deref()).await?;
    if domains.is_empty() {
        return Ok(None);
    }
    let (from, to) =
        (span.from.0 - span.from.0.rem_euclid(DAY), span.to.0.saturating_add((-span.to.0).rem_euclid(DAY)));
    let text = format!(
        "tls_line.begin_at >= ? AND tls_line.begin_at < ? AND tls_line.proof <> 'failed' AND tls_line.domain IN ({})",
        places(domains.len())
    );
    let values = [Value::from(from), to.into()].into_iter().chain(domains.into_iter().map(Value::from));
    Ok(Some((text, values.collect())))
}

/// Sessions by day, in order; days without a report are not there.
pub async fn days(db: &Db, scope: &Scope, span: &Span) -> Result<Vec<TlsDay>> {
    let Some((condition, values)) = counting(db, scope, span).await? else { return Ok(Vec::new()) };
    let text = format!(
        "SELECT begin_at - begin_at % 86400000 AS at, CAST(SUM(successful) AS SIGNED), CAST(SUM(failed) AS SIGNED) \
         FROM tls_line WHERE {condition} GROUP BY at ORDER BY at"
    );
    let rows: Vec<(Millis, i64, i64)> = db.fetch(sql(text).bind_all(values)).await?;
    let day = |(at, successful, failed): (Millis, i64, i64)| TlsDay {
        at,
        successful: successful.unsigned_abs(),
        failed: failed.unsigned_abs(),
    };
    Ok(rows.into_iter().map(day).collect())
}

/// What failed by kind and receiving server, most sessions first.
pub async fn failures(db: &Db, scope: &Scope, span: &Span) -> Result<Vec<TlsFailureSum>> {
    let Some((condition, values)) = counting(db, scope, span).await? else { return Ok(Vec::new()) };
    let text = format!(
        "SELECT kind, mx, CAST(SUM(sessions) AS SIGNED) AS total, MAX(tls_line.begin_at) AS last_at FROM tls_line \
         JOIN tls_failure ON tls_failure.report = tls_line.report AND tls_failure.domain = tls_line.domain \
         WHERE {condition} GROUP BY kind, mx ORDER BY total DESC, kind, mx"
    );
    let rows: Vec<(String, String, i64, Millis)> = db.fetch(sql(text).bind_all(values)).await?;
    let sum = |(kind, mx, sessions, last): (String, String, i64, Millis)| TlsFailureSum {
        kind,
        mx,
        sessions: sessions.unsigned_abs(),
        last,
    };
    Ok(rows.into_iter().map(sum).collect())
}

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    arrival: ArrivalRow,
    body: Vec<u8>,
}

/// One report, with the policies that the scope sees; `None` when it sees none of them.
pub async fn find(db: &Db, scope: &Scope, id: i64) -> Result<Option<StoredTlsReport>> {
    let statement =
        sql("SELECT arrived_at, via, name, sender, proof, evidence, body FROM tls_report WHERE id = ?");
    let Some(row): Option<Row> = db.fetch_one(statement.bind(id)).await? else { return Ok(None) };
    let mut report: TlsReport = decode(row.body)?;
    let policies = report.policies.len();
    report.policies.retain(|policy| sees(scope, &domain_of(policy)));
    if report.policies.is_empty() && (policies > 0 || *scope != Scope::All) {
        return Ok(None);
    }
    // Other bodies under its key speak of the same domains.
    let whole = report.policies.len() == policies;
    let others = if whole { other_bodies(db, "tls", id).await? } else { Vec::new() };
    Ok(Some(StoredTlsReport { id, report, arrival: row.arrival.into(), whole, others }))
}

/// The JSON of a report, or that of another body under its key, if the scope sees all that it speaks of.
pub async fn json(db: &Db, scope: &Scope, id: i64, other: Option<i64>) -> Result<Option<Vec<u8>>> {
    let statement = sql("SELECT body, document FROM tls_report WHERE id = ?").bind(id);
    let found: Option<(Vec<u8>, Vec<u8>)> = db.fetch_one(statement).await?;
    let Some((body, document)) = found else { return Ok(None) };
    let report: TlsReport = decode(body)?;
    let all = report.policies.iter().all(|policy| sees(scope, &domain_of(policy)));
    if !all || (report.policies.is_empty() && *scope != Scope::All) {
        return Ok(None);
    }
    match other {
        Some(number) => other_body(db, "tls", id, number).await,
        None => Ok(Some(Unpacked::try_from(document)?.0)),
    }
}

async fn delete(tx: &mut Tx, ids: &[i64]) -> Result<()> {
    for key in ["tls_failure WHERE report", "tls_line WHERE report", "tls_report WHERE id"] {
        let text = format!("DELETE FROM {key} IN ({})", places(ids.len()));
        tx.execute(sql(text).bind_all(ids.iter().copied())).await?;
    }
    Ok(())
}

/// Deletes some of the reports that begin before a moment, or came before it and begin after now. True: more are left.
pub async fn prune(tx: &mut Tx, before: Millis, now: Millis) -> Result<bool> {
    let oldest = "SELECT id FROM tls_report WHERE begin_at < ? ORDER BY begin_at, id LIMIT ?";
    let mut ids: Vec<(i64,)> = tx.fetch(sql(oldest).bind(before).bind(PIECE)).await?;
    if ids.is_empty() {
        // Nobody would ever see them grow old.
        let ahead =
            "SELECT id FROM tls_report WHERE begin_at > ? AND arrived_at < ? ORDER BY begin_at, id LIMIT ?";
        ids = tx.fetch(sql(ahead).bind(now).bind(before).bind(PIECE)).await?;
    }
    let ids: Vec<i64> = ids.into_iter().map(|(id,)| id).collect();
    if ids.is_empty() {
        return Ok(false);
    }
    let text =
        format!("DELETE FROM report_variant WHERE family = 'tls' AND serial IN ({})", places(ids.len()));
    tx.execute(sql(text).bind_all(ids.iter().copied())).await?;
    delete(tx, &ids).await?;
    Ok(ids.len() as i64 == PIECE)
}

#[cfg(test)]
mod tests;
