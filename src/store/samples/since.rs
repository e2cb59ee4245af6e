//! Since when numbers have been beyond their limits.

use super::{
    STEPS,
    ranges::held_since,
    read::{Passed, Visible},
    roll::RAW,
};
use crate::{
    model::{mail::ServerId, sample::Labels, scope::Scope, time::Millis},
    store::db::{Db, Result, Sql, Value, sql},
};

/// A series, and limits of its numbers.
#[derive(Debug, Clone)]
pub struct Beyond<'a> {
    /// The metric's key.
    pub metric: &'a str,
    /// The series' labels.
    pub labels: &'a Labels,
    /// It is beyond its limits when it has passed one of these.
    pub passed: Vec<Passed>,
}

#[derive(sqlx::FromRow)]
struct Known {
    id: i64,
    metric: String,
    labels: String,
    domain: Option<String>,
    address: Option<String>,
}

/// A series whose begin is looked for.
struct Open<'a> {
    /// Its place in what was asked.
    index: usize,
    id: i64,
    passed: &'a [Passed],
    /// From when on it belongs to the visitor.
    held: Option<Millis>,
}

/// For each, since when it has been beyond its limits without a pause, as far as history tells; `None` where it does
/// not, and where the visitor may not see it. A time in which nothing is known is a pause. What began before the samples
/// that are kept is as exact as the finest roll-up that reaches back so far.
pub async fn beyond_since(
    db: &Db,
    scope: &Scope,
    server: ServerId,
    asked: &[Beyond<'_>],
) -> Result<Vec<Option<Millis>>> {
    let mut begins = vec![None; asked.len()];
    let mut open = known(db, scope, server, asked).await?;
    for step in [RAW].into_iter().chain(STEPS) {
        if open.is_empty() {
            break;
        }
        let rows: Vec<(i64, Option<Millis>, Option<Millis>)> = db.fetch(statement(step, &open)).await?;
        for (id, paused, first) in rows {
            for one in open.iter().filter(|one| one.id == id) {
                if let (Some(begin), Some(first)) = (begins.get_mut(one.index), first) {
                    *begin = Some(one.held.map_or(first, |held| first.max(held)));
                }
            }
            // Where there was no pause, coarser steps may reach further back.
            if paused.is_some() {
                open.retain(|one| one.id != id);
            }
        }
    }
    Ok(begins)
}

/// The series that the visitor may see.
async fn known<'a>(
    db: &Db,
    scope: &Scope,
    server: ServerId,
    asked: &'a [Beyond<'_>],
) -> Result<Vec<Open<'a>>> {
    let Some(visible) = Visible::of(scope).filter(|_| !asked.is_empty()) else { return Ok(Vec::new()) };
    let each = vec!["(s.server = ? AND s.metric = ? AND s.labels = ?)"; asked.len()].join(" OR ");
    let text = format!(
        "SELECT s.id, s.metric, s.labels, s.domain, s.address FROM series s WHERE ({each}){}",
        visible.condition
    );
    let labels: Vec<String> = asked.iter().map(|one| one.labels.text()).collect();
    let mut statement = sql(text);
    for (one, labels) in asked.iter().zip(&labels) {
        statement = statement.bind(server.0).bind(one.metric).bind(labels.as_str());
    }
    let rows: Vec<Known> = db.fetch(visible.bind(statement)).await?;
    let mut open = Vec::new();
    for (index, (one, labels)) in
        asked.iter().zip(&labels).enumerate().filter(|(_, (one, _))| !one.passed.is_empty())
    {
        let row = rows.iter().find(|row| row.metric == one.metric && row.labels == *labels);
        open.extend(row.map(|row| Open {
            index,
            id: row.id,
            passed: &one.passed,
            held: held_since(scope, row.domain.as_ref(), row.address.as_ref()),
        }));
    }
    Ok(open)
}

/// For each series, in one step: its id, when it was last not beyond, and the first row after that.
fn statement(step: i64, open: &[Open<'_>]) -> Sql<'static> {
    let (table, number) = match step {
        RAW => ("sample", "number"),
        _ => ("sample_roll", "CASE WHEN last IS NULL AND seconds > 0 THEN total / seconds ELSE last END"),
    };
    let narrowed = if step == RAW { String::new() } else { format!("step = {step} AND ") };
    let mut values: Vec<Value<'static>> = Vec::new();
    let pauses = open.iter().map(|one| {
        let passed: Vec<String> = one.passed.iter().map(|it| format!("({number}) {} ?", it.sign())).collect();
        values.extend([one.id.into(), one.id.into()]);
        values.extend(one.passed.iter().map(|it| it.number().into()));
        format!(
            "SELECT ? AS series, (SELECT at FROM {table} WHERE {narrowed}series = ? \
             AND (({number}) IS NULL OR NOT ({})) ORDER BY at DESC LIMIT 1) AS paused",
            passed.join(" OR ")
        )
    });
    let pauses = pauses.collect::<Vec<_>>().join(" UNION ALL ");
    let text = format!(
        "SELECT t.series, t.paused, (SELECT MIN(at) FROM {table} WHERE {narrowed}series = t.series \
         AND at > COALESCE(t.paused, -1)) FROM ({pauses}) t"
    );
    sql(text).bind_all(values)
}
