//! What series are at present, and their histories as they are kept. Series of a mailbox or a domain are people's: they need
//! a scope.

use std::{collections::HashMap, sync::Arc};

use super::{
    STEPS,
    ranges::{self, AT_ONCE, Stretch},
    roll::{MARKS, Mark, RAW},
    state_of,
};
use crate::{
    model::{
        history::{Span, filled},
        mail::ServerId,
        sample::{Labels, State},
        scope::Scope,
        time::Millis,
    },
    store::{
        answers::Stamp,
        db::{Db, Result, Sql, places, sql},
    },
};

/// Rows that are remembered at most.
const MOST_KEPT: usize = 2_000;

/// Which series are asked for.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    /// All.
    All,
    /// Those of these metrics.
    Metrics(&'a [&'a str]),
    /// Those that a source tells.
    Source(&'a str),
    /// All, but of single mailboxes only those that have passed one of these limits: they are many, and mostly fine.
    Notable(&'a [Limit]),
}

/// A limit of a metric of single mailboxes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// The metric's key.
    pub metric: &'static str,
    /// How a number passes it.
    pub passed: Passed,
}

/// How a number passes a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Passed {
    /// By being greater.
    Above(f64),
    /// By being less.
    Below(f64),
    /// By being just that.
    At(f64),
}

impl Passed {
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Above(_) => ">",
            Self::Below(_) => "<",
            Self::At(_) => "=",
        }
    }

    pub(super) const fn number(self) -> f64 {
        match self {
            Self::Above(number) | Self::Below(number) | Self::At(number) => number,
        }
    }
}

/// What a series is at present.
#[derive(Debug, Clone, PartialEq)]
pub struct Latest {
    /// The metric's key.
    pub metric: String,
    /// Its labels.
    pub labels: Labels,
    /// What it is.
    pub state: State,
    /// Since when it is that: for unknown and not in use, since when it is so for whatever reason.
    pub since: Millis,
    /// Who tells it.
    pub source: String,
    /// When it was told last.
    pub told: Millis,
    /// False when its source should have run again long ago: then the state is only what it was.
    pub fresh: bool,
}

#[derive(sqlx::FromRow)]
struct LatestRow {
    metric: String,
    labels: String,
    kind: i64,
    number: Option<f64>,
    text: Option<String>,
    since_at: Millis,
    source: String,
    ended_at: Option<Millis>,
    period_ms: i64,
}

/// What the series that the visitor may see are at present, by metric and labels. Admins see all; others those of
/// their domains and mailboxes.
pub async fn latest(
    db: &Db,
    scope: &Scope,
    server: ServerId,
    which: Which<'_>,
    now: Millis,
) -> Result<Vec<Latest>> {
    let rows = match scope {
        Scope::All => remembered(db, server, which).await?,
        Scope::Only(_) => Arc::new(read(db, scope, server, which).await?),
    };
    rows.iter().filter_map(|row| row.latest(now).transpose()).collect()
}

/// What admins see, again and again, is read once for each batch that a source tells.
async fn remembered(db: &Db, server: ServerId, which: Which<'_>) -> Result<Arc<Vec<LatestRow>>> {
    let statement =
        sql("SELECT CAST(COALESCE(SUM(run), 0) AS SIGNED), CAST(COALESCE(SUM(ended_at), 0) AS SIGNED) \
         FROM sample_source WHERE server = ?");
    let stamp: Stamp = db.fetch_one(statement.bind(server.0)).await?.unwrap_or_default();
    let question = format!("latest: {server:?} {which:?}");
    if let Some(rows) = db.memory().answers.recall(&question, stamp) {
        return Ok(rows);
    }
    let rows = Arc::new(read(db, &Scope::All, server, which).await?);
    if rows.len() <= MOST_KEPT {
        db.memory().answers.keep(question, stamp, Arc::clone(&rows));
    }
    Ok(rows)
}

async fn read(db: &Db, scope: &Scope, server: ServerId, which: Which<'_>) -> Result<Vec<LatestRow>> {
    let Some(visible) = Visible::of(scope) else { return Ok(Vec::new()) };
    let narrowed = match which {
        Which::All => String::new(),
        Which::Metrics([]) => return Ok(Vec::new()),
        Which::Metrics(metrics) => format!(" AND s.metric IN ({})", places(metrics.len())),
        Which::Source(_) => " AND s.source = ?".to_owned(),
        Which::Notable(limits) => {
            let passed = |limit: &Limit| format!(" OR (s.metric = ? AND t.number {} ?)", limit.passed.sign());
            format!(" AND (s.address IS NULL{})", limits.iter().map(passed).collect::<String>())
        }
    };
    let mut statement = sql(format!(
        "SELECT s.metric, s.labels, t.kind, t.number, t.text, t.since_at, s.source, r.ended_at, r.period_ms \
         FROM series s JOIN series_state t ON t.series = s.id \
         JOIN sample_source r ON r.server = s.server AND r.source = s.source \
         WHERE s.server = ? AND t.kind <> 4{narrowed}{} ORDER BY s.metric, s.labels",
        visible.condition
    ))
    .bind(server.0);
    statement = match which {
        Which::All => statement,
        Which::Metrics(metrics) => statement.bind_all(metrics.iter().copied()),
        Which::Source(source) => statement.bind(source),
        Which::Notable(limits) => {
            limits.iter().fold(statement, |statement, it| statement.bind(it.metric).bind(it.passed.number()))
        }
    };
    db.fetch(visible.bind(statement)).await
}

impl LatestRow {
    fn latest(&self, now: Millis) -> Result<Option<Latest>> {
        let Some(state) = state_of(self.kind, self.number, self.text.clone())? else { return Ok(None) };
        let told = self.ended_at.unwrap_or(self.since_at);
        Ok(Some(Latest {
            labels: Labels::parse(&self.labels),
            metric: self.metric.clone(),
            state,
            since: self.since_at,
            source: self.source.clone(),
            fresh: now <= fresh_until(told, self.period_ms),
            told,
        }))
    }
}

/// What was told last is believed for three periods.
pub(super) fn fresh_until(told: Millis, period_ms: i64) -> Millis {
    Millis(told.0.saturating_add(period_ms.saturating_mul(i64::from(super::SILENCE))))
}

/// The condition that a scope puts on series, and its values.
pub(super) struct Visible<'a> {
    pub(super) condition: String,
    values: Vec<&'a str>,
}

impl<'a> Visible<'a> {
    /// `None` for a scope that holds nothing.
    pub(super) fn of(scope: &'a Scope) -> Option<Self> {
        let Scope::Only(holdings) = scope else {
            return Some(Self { condition: String::new(), values: Vec::new() });
        };
        let part = |column: &str, count: usize| match count {
            0 => None,
            count => Some(format!("s.{column} IN ({})", places(count))),
        };
        let parts = [part("domain", holdings.domains.len()), part("address", holdings.addresses.len())];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let values = holdings.domains.iter().chain(holdings.addresses.keys()).map(String::as_str).collect();
        (!parts.is_empty()).then(|| Self { condition: format!(" AND ({})", parts.join(" OR ")), values })
    }

    pub(super) fn bind(&self, statement: Sql<'a>) -> Sql<'a> {
        statement.bind_all(self.values.iter().copied())
    }
}

/// The history of one series as exactly as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// The metric's key.
    pub metric: String,
    /// Its labels.
    pub labels: Labels,
    /// Until when something is known: what was told last is believed for three periods.
    pub until: Millis,
    /// What it was, oldest first, without a gap up to `until`.
    pub pieces: Vec<Span>,
}

#[derive(sqlx::FromRow)]
struct TrackRow {
    id: i64,
    metric: String,
    labels: String,
    ended_at: Option<Millis>,
    period_ms: i64,
}

/// The histories of the series of some metrics, as far as they are still told and in use.
pub async fn tracks(
    db: &Db,
    scope: &Scope,
    server: ServerId,
    metrics: &[&str],
    (from, to): (Millis, Millis),
) -> Result<Vec<Track>> {
    let Some(visible) = Visible::of(scope).filter(|_| !metrics.is_empty()) else { return Ok(Vec::new()) };
    let text = format!(
        "SELECT s.id, s.metric, s.labels, r.ended_at, r.period_ms FROM series s \
         JOIN series_state t ON t.series = s.id \
         JOIN sample_source r ON r.server = s.server AND r.source = s.source \
         WHERE s.server = ? AND t.kind NOT IN (3, 4) AND s.metric IN ({}){} ORDER BY s.metric, s.labels",
        places(metrics.len()),
        visible.condition
    );
    let statement = visible.bind(sql(text).bind(server.0).bind_all(metrics.iter().copied()));
    let rows: Vec<TrackRow> = db.fetch(statement).await?;
    let marks: Vec<Mark> = db.fetch(sql(MARKS)).await?;
    let mut tracks = Vec::with_capacity(rows.len());
    let until_of =
        |row: &TrackRow| row.ended_at.map_or(from, |told| fresh_until(told, row.period_ms)).min(to).max(from);
    for rows in rows.chunks(AT_ONCE) {
        let told = rows.iter().map(|row| (row.id, until_of(row))).filter(|(_, until)| *until > from);
        let ends: HashMap<i64, Millis> = told.collect();
        let end = ends.values().copied().max().unwrap_or(from);
        let mut found = ranges::read(db, &ends, &finest(&marks, from, end)).await?;
        for row in rows {
            let until = until_of(row);
            let (carried, spans) = found.remove(&row.id).unwrap_or_default();
            let pieces = filled(carried, &spans, from, until).into_iter().map(|(span, _)| span).collect();
            let (labels, metric) = (Labels::parse(&row.labels), row.metric.clone());
            tracks.push(Track { labels, metric, until, pieces });
        }
    }
    Ok(tracks)
}

/// Each stretch of time from the finest step that still has it.
fn finest(marks: &[Mark], from: Millis, to: Millis) -> Vec<Stretch> {
    let mark = |step: i64| marks.iter().find(|mark| mark.step == step);
    let [minutes, hours, _] = STEPS;
    let (mut at, mut all) = (from, Vec::new());
    for (step, finer) in [(hours, minutes), (minutes, RAW)] {
        let (Some(own), Some(finer)) = (mark(step), mark(finer)) else { continue };
        let width = step * 1000;
        let whole = finer.kept_from.0 + (-finer.kept_from.0).rem_euclid(width);
        let end = Millis(whole).min(own.upto).min(to);
        if end > at {
            all.push(Stretch { step, from: Millis(at.0 - at.0.rem_euclid(width)), to: end });
            at = end;
        }
    }
    if at < to {
        all.push(Stretch { step: RAW, from: at, to });
    }
    all
}
