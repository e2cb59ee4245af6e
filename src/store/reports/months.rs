//! Digests of months: worked out once after a report has come or gone, and read from then on, by any process, also after
//! a restart. Whether one is still true is told by count and stamp of the month's reports. To one that lacks the newest ones
//! these are added, any other is worked out, both on the spot: figures never wait for anybody and are always exact.

use std::collections::HashSet;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{
    about::About,
    debut,
    digest::{Digest, Extent, Fact},
    figures::SumsRow,
    lines,
};
use crate::{
    model::{report::Proof, time::Millis},
    store::db::{Db, Result, Sql, Value, places, sql},
};

/// Domains that one statement reads of: what bounds the memory.
const DOMAINS: usize = 32;
/// Reports of which a digest is worked out at once.
const STRIDE: i64 = 400;
/// A longer digest is not kept: a packet of the database holds 16 MiB.
const MOST: usize = 12 << 20;
/// Bytes that are written at once, unless a single digest has more.
const KEPT_AT_ONCE: usize = 1 << 20;
const DIGEST: &[&str; 7] = &["domain", "month", "reports", "stamp", "last", "facts", "sightings"];
/// The month that moments beyond the calendar count to.
const EPOCH: i64 = 197_001;

/// Months whose digests are brought up to date at once.
const PIECE: usize = 64;
/// What newer reports are looked up for by one statement.
const AT_ONCE: usize = 16;
/// Newer reports that are read at once.
const NEWER: i64 = 1000;

const SAME_MONTH: &str =
    "report_digest.domain = report_month.domain AND report_digest.month = report_month.month";

/// Which part of digests is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// For [`digest::facts`].
    Facts,
    /// For [`digest::sightings`].
    Sightings,
}

/// One part of what is known of reports of one month of a domain.
#[derive(Debug)]
pub struct Piece {
    /// Domain.
    pub domain: String,
    /// Year * 100 + month.
    pub month: i64,
    /// Of which reports it tells.
    pub extent: Extent,
    /// The part.
    pub bytes: Vec<u8>,
}

/// A month as it is, and what is kept of it.
#[derive(sqlx::FromRow)]
struct MonthRow {
    domain: String,
    month: i64,
    reports: i64,
    stamp: i64,
    #[sqlx(flatten)]
    kept: KeptRow,
}

#[derive(sqlx::FromRow)]
struct PieceRow {
    #[sqlx(flatten)]
    of: MonthRow,
    bytes: Option<Vec<u8>>,
}

impl MonthRow {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            domain: &self.domain,
            month: Some(self.month),
            kept: self.kept.extent(),
            state: (self.reports, self.stamp),
        }
    }
}

/// [`Extent`] of what is kept, if anything is.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct KeptRow {
    kept_reports: Option<i64>,
    kept_stamp: Option<i64>,
    kept_last: Option<i64>,
}

impl KeptRow {
    /// Its columns in a statement.
    pub fn columns(table: &str) -> String {
        format!("{table}.reports AS kept_reports, {table}.stamp AS kept_stamp, {table}.last AS kept_last")
    }

    /// What is kept; where nothing is, it is of no reports.
    pub fn extent(self) -> Extent {
        let [reports, stamp, last] =
            [self.kept_reports, self.kept_stamp, self.kept_last].map(Option::unwrap_or_default);
        Extent { reports, stamp, last }
    }
}

/// Reports of a domain that may be lacking from something that is kept.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Of which domain.
    pub domain: &'a str,
    /// Of which month; `None`: of any.
    pub month: Option<i64>,
    /// What is kept.
    pub kept: Extent,
    /// Reports that there are, and the sum of their stamps.
    pub state: (i64, i64),
}

/// What something lacks that is kept of reports.
pub enum Lack {
    /// It is true.
    Nothing,
    /// These have come since.
    Newer(Digest),
    /// It is of no use: others have gone or changed.
    All,
}

/// What each of these lacks, in their order. Newer reports are read for many at once, and of so many only that they fit
/// into memory.
pub async fn lacks(db: &Db, wanted: &[Wanted<'_>]) -> Result<Vec<Lack>> {
    let mut lacks: Vec<Lack> = Vec::with_capacity(wanted.len());
    let mut open: Vec<(usize, Wanted<'_>)> = Vec::new();
    let mut room = NEWER;
    for (at, one) in wanted.iter().enumerate() {
        let lacking = one.state.0 - one.kept.reports;
        lacks.push(if one.kept.is(one.state) { Lack::Nothing } else { Lack::All });
        if one.kept.reports > 0 && (1..=room).contains(&lacking) {
            room -= lacking;
            open.push((at, *one));
        }
    }
    for open in open.chunks(AT_ONCE) {
        compare(db, open, &mut lacks).await?;
    }
    Ok(lacks)
}

/// Reads what is newer, and notes where that is all that was lacking.
async fn compare(db: &Db, open: &[(usize, Wanted<'_>)], lacks: &mut [Lack]) -> Result<()> {
    let wanted: Vec<Wanted<'_>> = open.iter().map(|(_, one)| *one).collect();
    let mut rows: Vec<ReportRow> = db.fetch(newer_statement(&wanted)).await?;
    // The span of the month beyond the calendar holds all others.
    rows.sort_unstable_by_key(|row| row.serial);
    rows.dedup_by_key(|row| row.serial);
    for (at, one) in open {
        let mut newer = Digest::default();
        let month = |row: &ReportRow| lines::month_of(Millis(row.begin_at));
        let own = rows.iter().filter(|row| row.domain == one.domain && row.serial > one.kept.last);
        for row in own.filter(|row| one.month.is_none_or(|wanted| wanted == month(row))) {
            row.add_to(&mut newer)?;
        }
        let whole = one.kept.and(newer.extent).is(one.state);
        if let Some(lack) = lacks.get_mut(*at).filter(|_| whole) {
            *lack = Lack::Newer(newer);
        }
    }
    Ok(())
}

/// Each is looked up by itself, each time by an index; what two find comes twice.
pub(super) fn newer_statement<'a>(wanted: &[Wanted<'a>]) -> Sql<'a> {
    let each = wanted.iter().map(|one| match one.month {
        Some(_) => format!(
            "{REPORTS} WHERE report_line.domain = ? AND report_line.begin_at >= ? AND report_line.begin_at < ? \
             AND report_line.serial > ?"
        ),
        None => format!("{REPORTS} WHERE report_source.domain = ? AND report_source.serial > ?"),
    });
    let mut statement = sql(each.collect::<Vec<_>>().join(" UNION ALL "));
    for one in wanted {
        statement = statement.bind(one.domain);
        if let Some((from, to)) = one.month.map(bounds) {
            statement = statement.bind(from).bind(to);
        }
        statement = statement.bind(one.kept.last);
    }
    statement
}

/// That part of all months that have to do with a question: of each month one piece, or two that are to be added up.
pub async fn pieces(db: &Db, about: &About, part: Part) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    for domains in about.domains.chunks(DOMAINS) {
        let rows: Vec<PieceRow> = db.fetch(statement(domains, about.from, about.to, part)).await?;
        let wanted: Vec<Wanted<'_>> = rows.iter().map(|row| row.of.wanted()).collect();
        let lacks = lacks(db, &wanted).await?;
        for (PieceRow { of: MonthRow { domain, month, kept, .. }, bytes }, lack) in
            rows.into_iter().zip(lacks)
        {
            if let (Some(bytes), Lack::Nothing | Lack::Newer(_)) = (bytes, &lack) {
                pieces.push(Piece { domain: domain.clone(), month, extent: kept.extent(), bytes });
            }
            let digest = match lack {
                Lack::Nothing => continue,
                Lack::Newer(newer) => newer,
                Lack::All => work_out(db, &domain, month).await?,
            };
            let extent = digest.extent;
            let (facts, sightings) = digest.parts();
            let bytes = if part == Part::Facts { facts } else { sightings };
            pieces.push(Piece { domain, month, extent, bytes });
        }
    }
    Ok(pieces)
}

pub(super) fn statement(domains: &[String], from: i64, to: i64, part: Part) -> Sql<'_> {
    let column = if part == Part::Facts { "facts" } else { "sightings" };
    let text = format!(
        "SELECT report_month.domain, report_month.month, report_month.reports, report_month.stamp, {}, \
         report_digest.{column} AS bytes FROM report_month LEFT JOIN report_digest ON {SAME_MONTH} \
         WHERE report_month.domain IN ({}) AND (report_month.month BETWEEN ? AND ? OR report_month.month = {EPOCH})",
        KeptRow::columns("report_digest"),
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
    domain: String,
    begin_at: i64,
    serial: i64,
    org: String,
    proof: String,
    policy_p: String,
    policy_sp: Option<String>,
    policy_pct: Option<i64>,
    policy_testing: Option<String>,
    stamp: i64,
    sources: Vec<u8>,
    #[sqlx(flatten)]
    sums: SumsRow,
}

impl ReportRow {
    fn add_to(&self, digest: &mut Digest) -> Result<()> {
        let fact = Fact {
            begin: self.begin_at,
            serial: self.serial,
            org: &self.org,
            p: &self.policy_p,
            sp: self.policy_sp.as_deref(),
            pct: self.policy_pct,
            testing: self.policy_testing.as_deref(),
            failed: self.proof == Proof::Failed.code(),
            sums: self.sums.into(),
        };
        digest.add(&fact, lines::stamp(self.stamp, &self.proof), &self.sources)
    }
}

/// The digest of a domain's month.
async fn work_out(db: &Db, domain: &str, month: i64) -> Result<Digest> {
    let mut digest = Digest::default();
    let (from, to) = bounds(month);
    let mut after = (from, -1);
    loop {
        let rows: Vec<ReportRow> = db.fetch(reports_statement(domain, after, to)).await?;
        for row in &rows {
            after = (row.begin_at, row.serial);
            if lines::month_of(Millis(row.begin_at)) == month {
                row.add_to(&mut digest)?;
            }
        }
        if (rows.len() as i64) < STRIDE {
            return Ok(digest);
        }
    }
}

const REPORTS: &str = "SELECT report_line.domain, report_line.begin_at, report_line.serial, org, report_line.proof, \
     policy_p, policy_sp, policy_pct, policy_testing, \
     messages, dkim, spf, aligned, quarantined, rejected, stamp, sources FROM report_line \
     JOIN report_source ON report_source.domain = report_line.domain AND report_source.serial = report_line.serial";

pub(super) fn reports_statement(domain: &str, (begin, serial): (i64, i64), to: i64) -> Sql<'_> {
    sql(format!(
        "{REPORTS} WHERE report_line.domain = ? AND report_line.begin_at >= ? AND report_line.begin_at < ? \
         AND (report_line.begin_at > ? OR report_line.serial > ?) \
         ORDER BY report_line.begin_at, report_line.serial LIMIT {STRIDE}"
    ))
    .bind(domain)
    .bind(begin)
    .bind(to)
    .bind(begin)
    .bind(serial)
}

/// Keeps digests of all months whose reports have changed, so that pages need not work them out.
pub async fn refresh(db: &Db) -> Result<()> {
    let text = format!(
        "SELECT report_month.domain, report_month.month, report_month.reports, report_month.stamp, {} \
         FROM report_month LEFT JOIN report_digest ON {SAME_MONTH} WHERE report_digest.domain IS NULL \
         OR report_digest.reports <> report_month.reports OR report_digest.stamp <> report_month.stamp",
        KeptRow::columns("report_digest")
    );
    let rows: Vec<MonthRow> = db.fetch(sql(text)).await?;
    let mut keep = Keep::new("report_digest", DIGEST, &["domain", "month"]);
    for rows in rows.chunks(PIECE) {
        let wanted: Vec<Wanted<'_>> = rows.iter().map(MonthRow::wanted).collect();
        for (MonthRow { domain, month, kept, .. }, lack) in rows.iter().zip(lacks(db, &wanted).await?) {
            let digest = match lack {
                Lack::Nothing => continue,
                Lack::Newer(newer) => add_up(db, domain, *month, kept.extent(), newer).await?,
                Lack::All => work_out(db, domain, *month).await?,
            };
            let Extent { reports, stamp, last } = digest.extent;
            let (facts, sightings) = digest.parts();
            let bytes = facts.len() + sightings.len();
            let row = [
                domain.clone().into(),
                (*month).into(),
                reports.into(),
                stamp.into(),
                last.into(),
                facts.into(),
                sightings.into(),
            ];
            keep.add(db, row, bytes).await?;
        }
    }
    keep.write(db).await?;
    debut::refresh(db).await?;
    forget(db).await
}

/// What is kept of a month, and newer reports; the whole month where something else is kept by now.
async fn add_up(db: &Db, domain: &str, month: i64, kept: Extent, newer: Digest) -> Result<Digest> {
    let text = "SELECT facts, sightings FROM report_digest WHERE domain = ? AND month = ? AND reports = ? AND stamp = ?";
    let statement = sql(text).bind(domain).bind(month).bind(kept.reports).bind(kept.stamp);
    match db.fetch_one(statement).await? {
        Some((facts, sightings)) => {
            let (facts, sightings): (Vec<u8>, Vec<u8>) = (facts, sightings);
            Ok(Digest::of(kept, facts, &sightings)?.and(newer))
        }
        None => work_out(db, domain, month).await,
    }
}

/// Rows that are written when they are many, or the last ones: each commit waits for the disk.
pub struct Keep<const N: usize> {
    table: &'static str,
    columns: [&'static str; N],
    keys: &'static [&'static str],
    rows: Vec<[Value<'static>; N]>,
    bytes: usize,
}

impl<const N: usize> Keep<N> {
    /// For a table with these columns, of which the first are its key.
    pub fn new(
        table: &'static str,
        columns: &'static [&'static str; N],
        keys: &'static [&'static str],
    ) -> Self {
        Self { table, columns: *columns, keys, rows: Vec::new(), bytes: 0 }
    }

    /// Adds a row of so many bytes, unless the database cannot take them.
    pub async fn add(&mut self, db: &Db, row: [Value<'static>; N], bytes: usize) -> Result<()> {
        if bytes > MOST {
            return Ok(());
        }
        if self.bytes + bytes > KEPT_AT_ONCE {
            self.write(db).await?;
        }
        self.bytes += bytes;
        self.rows.push(row);
        Ok(())
    }

    /// Writes what was added.
    pub async fn write(&mut self, db: &Db) -> Result<()> {
        self.bytes = 0;
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(());
        }
        let update = self.columns.get(self.keys.len()..).unwrap_or_default();
        let mut tx = db.begin().await?;
        tx.upsert(self.table, self.columns, self.keys, update, rows).await?;
        tx.commit().await
    }
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
