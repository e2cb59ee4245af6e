//! Digests of months: worked out once after a report has come or gone, and read from then on, by any process, also after
//! a restart. Whether one is still true is told by count and stamp of the month's reports; one that is missing or no longer
//! true is worked out on the spot, so figures never wait for anybody and are always exact.

use std::collections::{BTreeMap, HashSet};

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{
    about::{About, DAY},
    by_ip::ByIp,
    digest::{self, Digest, Fact},
    figures::SumsRow,
    lines,
};
use crate::{
    model::{report::Proof, time::Millis},
    store::{
        Error,
        db::{Db, Result, Sql, Value, places, sql},
    },
};

/// Domains that one statement reads of: what bounds the memory.
const DOMAINS: usize = 32;
/// Reports of which a digest is worked out at once.
const STRIDE: i64 = 400;
/// A longer digest is not kept: a packet of the database holds 16 MiB.
const MOST: usize = 12 << 20;
/// The month that moments beyond the calendar count to.
const EPOCH: i64 = 197_001;

const SAME_MONTH: &str = "report_digest.domain = report_month.domain AND report_digest.month = report_month.month \
    AND report_digest.reports = report_month.reports AND report_digest.stamp = report_month.stamp";
const SAME_DOMAIN: &str = "report_debut.domain = whole.domain AND report_debut.reports = whole.reports \
    AND report_debut.stamp = whole.stamp";

/// Which part of digests is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// For [`digest::facts`].
    Facts,
    /// For [`digest::sightings`].
    Sightings,
}

/// One part of the digest of a domain's month.
#[derive(Debug)]
pub struct Piece {
    /// Domain.
    pub domain: String,
    /// Year * 100 + month.
    pub month: i64,
    /// Reports that are in it.
    pub reports: i64,
    /// Sum of their stamps.
    pub stamp: i64,
    /// The part.
    pub bytes: Vec<u8>,
}

#[derive(sqlx::FromRow)]
struct PieceRow {
    domain: String,
    month: i64,
    reports: i64,
    stamp: i64,
    bytes: Option<Vec<u8>>,
}

/// That part of all months that have to do with a question.
pub async fn pieces(db: &Db, about: &About, part: Part) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    for domains in about.domains.chunks(DOMAINS) {
        let rows: Vec<PieceRow> = db.fetch(statement(domains, about.from, about.to, part)).await?;
        for PieceRow { domain, month, reports, stamp, bytes } in rows {
            pieces.push(match bytes {
                Some(bytes) => Piece { domain, month, reports, stamp, bytes },
                None => {
                    let digest = work_out(db, &domain, month).await?;
                    let (reports, stamp) = (digest.reports, digest.stamp);
                    let (facts, sightings) = digest.parts();
                    let bytes = if part == Part::Facts { facts } else { sightings };
                    Piece { domain, month, reports, stamp, bytes }
                }
            });
        }
    }
    Ok(pieces)
}

pub(super) fn statement(domains: &[String], from: i64, to: i64, part: Part) -> Sql<'_> {
    let column = if part == Part::Facts { "facts" } else { "sightings" };
    let text = format!(
        "SELECT report_month.domain, report_month.month, report_month.reports, report_month.stamp, \
         report_digest.{column} AS bytes FROM report_month LEFT JOIN report_digest ON {SAME_MONTH} \
         WHERE report_month.domain IN ({}) AND (report_month.month BETWEEN ? AND ? OR report_month.month = {EPOCH})",
        places(domains.len())
    );
    let month = |at: i64| Timestamp::from_millisecond(at).map(|_| lines::month_of(Millis(at)));
    let (first, last) = (month(from).unwrap_or(i64::MIN), month(to.saturating_sub(1)).unwrap_or(i64::MAX));
    sql(text).bind_all(domains).bind(first).bind(last)
}

/// Begin of a month and of the next.
fn bounds(month: i64) -> (i64, i64) {
    let (year, number) = (month.div_euclid(100), month.rem_euclid(100));
    let first = i16::try_from(year).ok().zip(i8::try_from(number).ok());
    let first = first.and_then(|(year, number)| Date::new(year, number, 1).ok());
    let moment = |date: Date| date.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp().as_millisecond());
    let next = first.and_then(|date| date.last_of_month().tomorrow().ok());
    match month {
        EPOCH => (i64::MIN, i64::MAX),
        _ => (first.and_then(moment).unwrap_or(i64::MIN), next.and_then(moment).unwrap_or(i64::MAX)),
    }
}

impl Piece {
    /// Whether some of it may be within a span.
    pub fn meets(&self, about: &About) -> bool {
        let (begin, end) = bounds(self.month);
        begin < about.to && about.from < end
    }
}

#[derive(sqlx::FromRow)]
struct ReportRow {
    begin_at: i64,
    serial: i64,
    org: String,
    proof: String,
    policy_p: String,
    policy_sp: Option<String>,
    policy_pct: Option<i64>,
    stamp: i64,
    sources: Vec<u8>,
    #[sqlx(flatten)]
    sums: SumsRow,
}

async fn work_out(db: &Db, domain: &str, month: i64) -> Result<Digest> {
    let mut digest = Digest::default();
    let (from, to) = bounds(month);
    let mut after = (from, -1);
    loop {
        let rows: Vec<ReportRow> = db.fetch(reports_statement(domain, after, to)).await?;
        let rest = rows.len() as i64 == STRIDE;
        for row in rows {
            after = (row.begin_at, row.serial);
            if lines::month_of(Millis(row.begin_at)) != month {
                continue;
            }
            let fact = Fact {
                begin: row.begin_at,
                serial: row.serial,
                org: &row.org,
                p: &row.policy_p,
                sp: row.policy_sp.as_deref(),
                pct: row.policy_pct,
                failed: row.proof == Proof::Failed.code(),
                sums: row.sums.into(),
            };
            digest.add(&fact, lines::stamp(row.stamp, &row.proof), &row.sources)?;
        }
        if !rest {
            return Ok(digest);
        }
    }
}

pub(super) fn reports_statement(domain: &str, (begin, serial): (i64, i64), to: i64) -> Sql<'_> {
    sql("SELECT report_line.begin_at, report_line.serial, org, report_line.proof, policy_p, policy_sp, policy_pct, \
         messages, dkim, spf, aligned, quarantined, rejected, stamp, sources FROM report_line \
         JOIN report_source ON report_source.domain = report_line.domain AND report_source.serial = report_line.serial \
         WHERE report_line.domain = ? AND report_line.begin_at >= ? AND report_line.begin_at < ? \
         AND (report_line.begin_at > ? OR report_line.serial > ?) \
         ORDER BY report_line.begin_at, report_line.serial LIMIT ?")
    .bind(domain)
    .bind(begin)
    .bind(to)
    .bind(begin)
    .bind(serial)
    .bind(STRIDE)
}

/// On which day how many sources of a domain were first seen.
pub type Debut = Vec<(i64, u64)>;

/// The debuts of domains.
pub async fn debuts(db: &Db, about: &About) -> Result<BTreeMap<String, Debut>> {
    let mut debuts = BTreeMap::new();
    for domains in about.domains.chunks(DOMAINS) {
        let condition = format!("domain IN ({})", places(domains.len()));
        let text =
            format!("{} LEFT JOIN report_debut ON {SAME_DOMAIN}", whole(&condition, "report_debut.days"));
        let rows: Vec<(String, Option<Vec<u8>>)> = db.fetch(sql(text).bind_all(domains)).await?;
        for (domain, days) in rows {
            let debut = match days {
                Some(days) => {
                    postcard::from_bytes(&days).map_err(|_| Error::Damaged("days of first sightings"))?
                }
                None => work_out_debut(db, &domain).await?.2,
            };
            debuts.insert(domain, debut);
        }
    }
    Ok(debuts)
}

/// Begins a statement on the state of whole domains.
fn whole(condition: &str, columns: &str) -> String {
    format!(
        "SELECT whole.domain, {columns} FROM (SELECT domain, CAST(SUM(reports) AS SIGNED) AS reports, \
         CAST(SUM(stamp) AS SIGNED) AS stamp FROM report_month WHERE {condition} GROUP BY domain) AS whole"
    )
}

/// The debut of a domain, with the count and the stamp of the reports that it was worked out from.
async fn work_out_debut(db: &Db, domain: &str) -> Result<(i64, i64, Debut)> {
    let (mut reports, mut stamp, mut firsts) = (0, 0, ByIp::<i64>::default());
    for piece in pieces(db, &About::whole(domain), Part::Sightings).await? {
        reports += piece.reports;
        stamp += piece.stamp;
        digest::sightings(&piece.bytes, |ip, begin, _| {
            let first = firsts.entry(ip, || begin);
            *first = begin.min(*first);
        })?;
    }
    let mut days: BTreeMap<i64, u64> = BTreeMap::new();
    for (_, first) in firsts.iter() {
        *days.entry(first - first.rem_euclid(DAY)).or_default() += 1;
    }
    Ok((reports, stamp, days.into_iter().collect()))
}

/// Keeps digests of all months whose reports have changed, so that pages need not work them out.
pub async fn refresh(db: &Db) -> Result<()> {
    let text = "SELECT report_month.domain, report_month.month FROM report_month LEFT JOIN report_digest";
    let text = format!("{text} ON {SAME_MONTH} WHERE report_digest.domain IS NULL");
    for (domain, month) in db.fetch::<(String, i64)>(sql(text)).await? {
        keep_month(db, &domain, month).await?;
    }
    let text = whole("1 = 1", "whole.reports");
    let text = format!("{text} LEFT JOIN report_debut ON {SAME_DOMAIN} WHERE report_debut.domain IS NULL");
    for (domain, _) in db.fetch::<(String, i64)>(sql(text)).await? {
        let (reports, stamp, debut) = work_out_debut(db, &domain).await?;
        let days = postcard::to_stdvec(&debut).unwrap_or_default();
        let row: [Value<'_>; 4] = [domain.into(), reports.into(), stamp.into(), days.into()];
        let mut tx = db.begin().await?;
        let columns = ["domain", "reports", "stamp", "days"];
        tx.upsert("report_debut", columns, &["domain"], &["reports", "stamp", "days"], vec![row]).await?;
        tx.commit().await?;
    }
    forget(db).await
}

async fn keep_month(db: &Db, domain: &str, month: i64) -> Result<()> {
    let digest = work_out(db, domain, month).await?;
    let (reports, stamp) = (digest.reports, digest.stamp);
    let (facts, sightings) = digest.parts();
    if facts.len() + sightings.len() > MOST {
        return Ok(());
    }
    let row: [Value<'_>; 6] =
        [domain.into(), month.into(), reports.into(), stamp.into(), facts.into(), sightings.into()];
    let columns = ["domain", "month", "reports", "stamp", "facts", "sightings"];
    let update = ["reports", "stamp", "facts", "sightings"];
    let mut tx = db.begin().await?;
    tx.upsert("report_digest", columns, &["domain", "month"], &update, vec![row]).await?;
    tx.commit().await
}

/// Deletes digests of what is no longer there.
async fn forget(db: &Db) -> Result<()> {
    let months = "SELECT report_digest.domain, report_digest.month FROM report_digest LEFT JOIN report_month \
        ON report_month.domain = report_digest.domain AND report_month.month = report_digest.month \
        WHERE report_month.domain IS NULL";
    let months: Vec<(String, i64)> = db.fetch(sql(months)).await?;
    if months.is_empty() {
        return Ok(());
    }
    let mut tx = db.begin().await?;
    for (domain, month) in &months {
        let text = "DELETE FROM report_digest WHERE domain = ? AND month = ?";
        tx.execute(sql(text).bind(domain).bind(*month)).await?;
    }
    for domain in months.iter().map(|(domain, _)| domain).collect::<HashSet<_>>() {
        let text = "DELETE FROM report_debut WHERE domain = ? \
            AND NOT EXISTS (SELECT 1 FROM report_month WHERE report_month.domain = report_debut.domain)";
        tx.execute(sql(text).bind(domain)).await?;
    }
    tx.commit().await
}
