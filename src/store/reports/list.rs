//! Lists of reports, newest first, and single reports.

use std::collections::BTreeSet;

use jiff::{civil::Date, tz::TimeZone};

use super::{
    body, rows,
    scope::{condition, hosted, sees},
};
use crate::{
    model::{
        figures::{Aside, ReportFilter, ReportLine, ReportPlace, ReportState, StoredReport, Sums},
        report::{Arrival, Proof, Report},
        scope::Scope,
        time::Millis,
    },
    store::{
        db::{Db, Result, Sql, Value, places, sql},
        pack::Unpacked,
    },
};

/// Domains that are listed each by its own index range; a visitor with more gets a walk through all in order of time.
const RANGES: usize = 16;

const COLUMNS: &str = "SELECT serial, domain, org, report_id, begin_at, end_at, state, proof, variants, messages, \
    dkim, spf, aligned, quarantined, rejected FROM report_line";

#[derive(sqlx::FromRow)]
struct Row {
    serial: i64,
    domain: String,
    org: String,
    report_id: String,
    begin_at: Millis,
    end_at: Millis,
    state: String,
    proof: String,
    variants: i64,
    #[sqlx(flatten)]
    sums: super::figures::SumsRow,
}

impl From<Row> for ReportLine {
    fn from(row: Row) -> Self {
        Self {
            serial: row.serial,
            domain: row.domain,
            org: row.org,
            report_id: row.report_id,
            begin: row.begin_at,
            end: row.end_at,
            sums: Sums::from(row.sums),
            state: ReportState::from_code(&row.state).unwrap_or_default(),
            proof: Proof::from_code(&row.proof).unwrap_or_default(),
            variants: row.variants.unsigned_abs(),
        }
    }
}

/// Reports that fit, newest first, behind `after`.
pub async fn list(
    db: &Db,
    scope: &Scope,
    filter: &ReportFilter,
    after: Option<ReportPlace>,
    limit: usize,
) -> Result<Vec<ReportLine>> {
    let mut found: Vec<ReportLine> = Vec::new();
    let hosted = match filter.aside {
        // As long as nobody has looked at Mailcow, no domain is foreign.
        Some(Aside::Foreign) => match hosted(db).await? {
            Some(hosted) => hosted,
            None => return Ok(found),
        },
        _ => BTreeSet::new(),
    };
    for statement in statements(scope, filter, &hosted, after, limit) {
        let rows: Vec<Row> = db.fetch(statement).await?;
        found.extend(rows.into_iter().map(ReportLine::from));
    }
    found.sort_by_key(|line| std::cmp::Reverse((line.begin, line.serial)));
    found.truncate(limit);
    Ok(found)
}

/// One statement for each domain, or one for all. The hosted domains matter where foreign ones are asked for.
pub(super) fn statements<'a>(
    scope: &'a Scope,
    filter: &'a ReportFilter,
    hosted: &'a BTreeSet<String>,
    after: Option<ReportPlace>,
    limit: usize,
) -> Vec<Sql<'a>> {
    let one = |domain: &'a String| ("domain = ?".to_owned(), vec![Value::from(domain)]);
    let wheres = match (&filter.domain, scope) {
        (Some(domain), _) if sees(scope, domain) => vec![one(domain)],
        (Some(_), _) => Vec::new(),
        (None, Scope::Only(holdings)) if holdings.domains.len() <= RANGES => {
            holdings.domains.iter().map(one).collect()
        }
        (None, _) => vec![condition(scope, "domain")],
    };
    wheres.into_iter().map(|(text, values)| statement(text, values, filter, hosted, after, limit)).collect()
}

fn statement<'a>(
    mut text: String,
    mut values: Vec<Value<'a>>,
    filter: &'a ReportFilter,
    hosted: &'a BTreeSet<String>,
    after: Option<ReportPlace>,
    limit: usize,
) -> Sql<'a> {
    let mut and = |condition: &str, more: Vec<Value<'a>>| {
        text.push_str(" AND ");
        text.push_str(condition);
        values.extend(more);
    };
    if let Some(state) = filter.state {
        and("state = ?", vec![state.code().into()]);
    }
    if let Some((from, to)) = filter.month.map(span_of) {
        and("begin_at >= ? AND begin_at < ?", vec![from.into(), to.into()]);
    }
    if let Some(org) = &filter.org {
        and("words LIKE ? ESCAPE '!'", vec![format!("%{}%\t%", pattern(org)).into()]);
    }
    if let Some(id) = &filter.report_id {
        and("words LIKE ? ESCAPE '!'", vec![format!("%\t%{}%", pattern(id)).into()]);
    }
    match filter.aside {
        Some(Aside::Unproven) => and("proof = ?", vec![Proof::Failed.code().into()]),
        Some(Aside::Foreign) if !hosted.is_empty() => {
            let condition = format!("domain NOT IN ({})", places(hosted.len()));
            and(&condition, hosted.iter().map(Value::from).collect());
        }
        _ => {}
    }
    if let Some(ReportPlace { begin, serial }) = after {
        let begin = Value::from(begin);
        and("begin_at <= ? AND (begin_at < ? OR serial < ?)", vec![begin.clone(), begin, serial.into()]);
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let text = format!("{COLUMNS} WHERE {text} ORDER BY begin_at DESC, serial DESC LIMIT ?");
    sql(text).bind_all(values).bind(limit)
}

/// A text as part of a LIKE pattern, in the form of the column `words`.
fn pattern(text: &str) -> String {
    let text = text.to_lowercase().replace('\t', " ");
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

/// Begin of a month and of the next; an impossible month is empty.
fn span_of((year, month): (i16, i8)) -> (Millis, Millis) {
    let at = |date: Date| date.to_zoned(TimeZone::UTC).ok().map(|at| Millis(at.timestamp().as_millisecond()));
    let first = Date::new(year, month, 1).ok();
    let next = first.and_then(|date| date.last_of_month().tomorrow().ok());
    (first.and_then(at).unwrap_or_default(), next.and_then(at).unwrap_or_default())
}

/// Months with reports, newest first: year and month in UTC.
pub async fn months(db: &Db, scope: &Scope) -> Result<Vec<(i16, i8)>> {
    let (condition, values) = condition(scope, "domain");
    let text = format!("SELECT DISTINCT month FROM report_month WHERE {condition} ORDER BY month DESC");
    let rows: Vec<(i64,)> = db.fetch(sql(text).bind_all(values)).await?;
    let month = |(month,): (i64,)| Some((i16::try_from(month / 100).ok()?, i8::try_from(month % 100).ok()?));
    Ok(rows.into_iter().filter_map(month).collect())
}

/// How many reports of a domain are kept, whether or not they count.
pub async fn how_many(db: &Db, scope: &Scope, domain: &str) -> Result<u64> {
    if !sees(scope, domain) {
        return Ok(0);
    }
    let text = "SELECT CAST(COALESCE(SUM(reports), 0) AS SIGNED) FROM report_month WHERE domain = ?";
    let found: Option<(i64,)> = db.fetch_one(sql(text).bind(domain)).await?;
    Ok(found.map_or(0, |(reports,)| reports.unsigned_abs()))
}

pub(super) async fn line(db: &Db, scope: &Scope, serial: i64) -> Result<Option<ReportLine>> {
    let row: Option<Row> = db.fetch_one(sql(format!("{COLUMNS} WHERE serial = ?")).bind(serial)).await?;
    Ok(row.map(ReportLine::from).filter(|line| sees(scope, &line.domain)))
}

/// How something came, as the database answers it.
#[derive(sqlx::FromRow)]
pub struct ArrivalRow {
    arrived_at: Millis,
    via: String,
    name: String,
    sender: Option<String>,
    evidence: Option<String>,
    proof: String,
}

impl From<ArrivalRow> for Arrival {
    fn from(row: ArrivalRow) -> Self {
        let ArrivalRow { arrived_at: at, via, name, sender, evidence, proof } = row;
        Self { at, via, name, sender, evidence, proof: Proof::from_code(&proof).unwrap_or_default() }
    }
}

#[derive(sqlx::FromRow)]
struct BodyRow {
    #[sqlx(flatten)]
    arrival: ArrivalRow,
    body: Vec<u8>,
}

#[derive(sqlx::FromRow)]
struct VariantRow {
    id: i64,
    #[sqlx(flatten)]
    arrival: ArrivalRow,
}

/// One report with all it says.
pub async fn find(db: &Db, scope: &Scope, serial: i64) -> Result<Option<StoredReport>> {
    let Some(line) = line(db, scope, serial).await? else { return Ok(None) };
    let statement = sql("SELECT arrived_at, via, name, sender, evidence, body, proof FROM report_body \
         JOIN report_line ON report_line.serial = report_body.serial WHERE report_body.serial = ?");
    let own: Option<BodyRow> = db.fetch_one(statement.bind(serial)).await?;
    let (report, arrival): (Option<Report>, _) = match own {
        Some(row) => (Some(body::decode(row.body)?), Some(row.arrival.into())),
        None => (rows::look(db, serial).await?, None),
    };
    let Some(report) = report else { return Ok(None) };
    let others = other_bodies(db, "dmarc", serial).await?;
    let has_xml = "SELECT COUNT(*) FROM report WHERE serial = ? AND raw_xml IS NOT NULL AND raw_xml <> ''";
    let has_xml: Option<(i64,)> = db.fetch_one(sql(has_xml).bind(serial)).await?;
    Ok(Some(StoredReport { line, report, arrival, has_xml: has_xml == Some((1,)), others }))
}

/// Bodies that came under the key of a report of a family, `dmarc` or `tls`: number and arrival of each.
pub async fn other_bodies(db: &Db, family: &str, serial: i64) -> Result<Vec<(i64, Arrival)>> {
    let statement = sql("SELECT id, arrived_at, via, name, sender, evidence, proof FROM report_variant \
         WHERE family = ? AND serial = ? ORDER BY id");
    let rows: Vec<VariantRow> = db.fetch(statement.bind(family).bind(serial)).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.arrival.into())).collect())
}

/// What came under the key of a report, as it came.
pub async fn other_body(db: &Db, family: &str, serial: i64, number: i64) -> Result<Option<Vec<u8>>> {
    let text = "SELECT document FROM report_variant WHERE family = ? AND serial = ? AND id = ?";
    let found: Option<(Vec<u8>,)> = db.fetch_one(sql(text).bind(family).bind(serial).bind(number)).await?;
    let document = found.map(|(packed,)| Unpacked::try_from(packed)).transpose()?;
    Ok(document.map(|document| document.0))
}

/// The XML of a report, where it was kept.
pub async fn xml(db: &Db, scope: &Scope, serial: i64) -> Result<Option<Vec<u8>>> {
    if line(db, scope, serial).await?.is_none() {
        return Ok(None);
    }
    let statement = sql("SELECT raw_xml FROM report WHERE serial = ?").bind(serial);
    let found: Option<(Option<String>,)> = db.fetch_one(statement).await?;
    Ok(found.and_then(|(text,)| body::xml_of(&text?)))
}
