//! Sums over reports: by day, by domain, by receiver. Only reports count whose sender is not disproven and whose domain
//! is hosted here; both are looked at when a question is asked, because both may change.

use std::collections::BTreeMap;

use super::{memory::About, sources};
use crate::{
    model::{
        figures::{Day, DomainFigures, PolicySeen, Span, Sums},
        scope::Scope,
        time::Millis,
    },
    store::db::{Db, Result, Sql, places, sql},
};

/// The sums of a selection of lines.
pub const SUMS: &str = "CAST(SUM(messages) AS SIGNED) AS messages, CAST(SUM(dkim) AS SIGNED) AS dkim, \
    CAST(SUM(spf) AS SIGNED) AS spf, CAST(SUM(aligned) AS SIGNED) AS aligned, \
    CAST(SUM(quarantined) AS SIGNED) AS quarantined, CAST(SUM(rejected) AS SIGNED) AS rejected";

/// [`Sums`] as the database answers them.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct SumsRow {
    messages: i64,
    dkim: i64,
    spf: i64,
    aligned: i64,
    quarantined: i64,
    rejected: i64,
}

impl From<SumsRow> for Sums {
    fn from(row: SumsRow) -> Self {
        let number = |number: i64| u64::try_from(number).unwrap_or(0);
        Self {
            messages: number(row.messages),
            dkim: number(row.dkim),
            spf: number(row.spf),
            aligned: number(row.aligned),
            quarantined: number(row.quarantined),
            rejected: number(row.rejected),
        }
    }
}

#[derive(sqlx::FromRow)]
struct DayRow {
    at: Millis,
    #[sqlx(flatten)]
    sums: SumsRow,
}

#[derive(sqlx::FromRow)]
struct NamedRow {
    name: String,
    #[sqlx(flatten)]
    sums: SumsRow,
}

#[derive(sqlx::FromRow)]
struct DomainRow {
    domain: String,
    reports: i64,
    receivers: i64,
    first_at: Millis,
    last_at: Millis,
    #[sqlx(flatten)]
    sums: SumsRow,
}

#[derive(sqlx::FromRow)]
struct PolicyRow {
    domain: String,
    policy_p: String,
    policy_sp: Option<String>,
    policy_pct: Option<i64>,
    last_at: Millis,
    last_serial: i64,
}

/// Sums by day, in order; days without a report are not there. Days at either end of the span count as a whole.
pub async fn days(db: &Db, scope: &Scope, span: &Span) -> Result<Vec<Day>> {
    let about = About::of(db, scope, span).await?;
    about
        .answer("days", async {
            let columns = format!("begin_at - begin_at % 86400000 AS at, {SUMS}");
            let Some(statement) = selection(&about, &columns, "<>", "GROUP BY at ORDER BY at") else {
                return Ok(Vec::new());
            };
            let rows: Vec<DayRow> = db.fetch(statement).await?;
            Ok(rows.into_iter().map(|row| Day { at: row.at, sums: row.sums.into() }).collect())
        })
        .await
}

/// Receivers with their sums, most messages first.
pub async fn receivers(db: &Db, scope: &Scope, span: &Span) -> Result<Vec<(String, Sums)>> {
    let about = About::of(db, scope, span).await?;
    about
        .answer("receivers", async {
            let columns = format!("org AS name, {SUMS}");
            let tail = "GROUP BY org ORDER BY messages DESC, org";
            let Some(statement) = selection(&about, &columns, "<>", tail) else { return Ok(Vec::new()) };
            let rows: Vec<NamedRow> = db.fetch(statement).await?;
            Ok(rows.into_iter().map(|row| (row.name, row.sums.into())).collect())
        })
        .await
}

/// One entry for each domain that has reports, counts and is in scope, by name.
pub async fn domains(db: &Db, scope: &Scope, span: &Span) -> Result<Vec<DomainFigures>> {
    let about = About::of(db, scope, span).await?;
    about.answer("domains", work_out_domains(db, &about)).await
}

async fn work_out_domains(db: &Db, about: &About) -> Result<Vec<DomainFigures>> {
    let names = about.domains.iter();
    let mut all: BTreeMap<String, DomainFigures> = names
        .map(|domain| (domain.clone(), DomainFigures { domain: domain.clone(), ..DomainFigures::default() }))
        .collect();
    let columns = format!(
        "domain, COUNT(*) AS reports, COUNT(DISTINCT org) AS receivers, MIN(begin_at) AS first_at, \
         MAX(begin_at) AS last_at, {SUMS}"
    );
    if let Some(statement) = selection(about, &columns, "<>", "GROUP BY domain") {
        for row in db.fetch::<DomainRow>(statement).await? {
            let Some(figures) = all.get_mut(&row.domain) else { continue };
            figures.sums = row.sums.into();
            figures.reports = row.reports.unsigned_abs();
            figures.receivers = row.receivers.unsigned_abs();
            figures.first = Some(row.first_at);
            figures.last = Some(row.last_at);
        }
    }
    let columns = format!("domain AS name, {SUMS}");
    if let Some(statement) = selection(&about.before(), &columns, "<>", "GROUP BY domain") {
        for row in db.fetch::<NamedRow>(statement).await? {
            if let Some(figures) = all.get_mut(&row.name) {
                figures.before = row.sums.into();
            }
        }
    }
    if let Some(statement) = selection(about, "domain, COUNT(*)", "=", "GROUP BY domain") {
        for (domain, reports) in db.fetch::<(String, i64)>(statement).await? {
            if let Some(figures) = all.get_mut(&domain) {
                figures.set_aside = reports.unsigned_abs();
            }
        }
    }
    add_policies(db, about, &mut all).await?;
    for (domain, figures) in &mut all {
        figures.new_sources = sources::count_new(db, domain, about).await?;
    }
    Ok(all.into_values().collect())
}

async fn add_policies(db: &Db, about: &About, all: &mut BTreeMap<String, DomainFigures>) -> Result<()> {
    let whole = about.ever();
    let columns =
        "domain, policy_p, policy_sp, policy_pct, MAX(begin_at) AS last_at, MAX(serial) AS last_serial";
    let tail = "GROUP BY domain, policy_p, policy_sp, policy_pct";
    let Some(statement) = selection(&whole, columns, "<>", tail) else { return Ok(()) };
    let mut rows: Vec<PolicyRow> = db.fetch(statement).await?;
    rows.sort_by_key(|row| (row.last_at, row.last_serial));
    let mut seen: BTreeMap<String, Vec<PolicyRow>> = BTreeMap::new();
    for row in rows {
        seen.entry(row.domain.clone()).or_default().push(row);
    }
    for (domain, mut policies) in seen {
        let (Some(figures), Some(newest)) = (all.get_mut(&domain), policies.pop()) else { continue };
        let old = policies.into_iter().rev().find(|row| row.meaning() != newest.meaning());
        figures.policy = newest.into();
        let Some(old) = old else { continue };
        let text = "SELECT MIN(begin_at) FROM report_line \
            WHERE domain = ? AND begin_at > ? AND proof <> 'failed'";
        let since: Option<(Option<Millis>,)> =
            db.fetch_one(sql(text).bind(&domain).bind(old.last_at)).await?;
        let since = since.and_then(|(since,)| since).unwrap_or(old.last_at);
        figures.policy_before = Some((old.into(), since));
    }
    Ok(())
}

impl PolicyRow {
    /// What the words mean where a receiver leaves some out: `sp` follows `p`, and `pct` is 100 (RFC 7489 section 6.3).
    fn meaning(&self) -> (&str, &str, i64) {
        let sp = self.policy_sp.as_deref().unwrap_or(&self.policy_p);
        (&self.policy_p, sp, self.policy_pct.unwrap_or(100))
    }
}

impl From<PolicyRow> for PolicySeen {
    fn from(row: PolicyRow) -> Self {
        let pct = row.policy_pct.and_then(|pct| u8::try_from(pct).ok());
        Self { p: row.policy_p, sp: row.policy_sp, pct }
    }
}

/// A statement on the lines in question: those whose proof is (`=`) or is not (`<>`) failed. `None`: no domain counts.
pub fn selection<'a>(about: &'a About, columns: &str, proof: &str, tail: &str) -> Option<Sql<'a>> {
    let text = format!(
        "SELECT {columns} FROM report_line WHERE begin_at >= ? AND begin_at < ? AND domain IN ({}) \
         AND proof {proof} 'failed' {tail}",
        places(about.domains.len())
    );
    let some = !about.domains.is_empty();
    some.then(|| sql(text).bind(about.from).bind(about.to).bind_all(&about.domains))
}
