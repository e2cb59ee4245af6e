//! Since when numbers have been beyond their limits.

use super::{
    STEPS,
    ranges::{AT_ONCE, held_since},
    read::{Passed, Visible},
    roll::RAW,
};
use crate::{
    model::{mail::ServerId, sample::Labels, scope::Scope, time::Millis},
    store::db::{Db, Result, Sql, Value, sql},
};

/// What a time is in which nothing was known of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// A pause.
    Pause,
    /// None: what was so before and after it was so all the time.
    Bridged,
}

/// A series, and limits of its numbers.
#[derive(Debug, Clone)]
pub struct Beyond<'a> {
    /// The metric's key.
    pub metric: &'a str,
    /// The series' labels.
    pub labels: &'a Labels,
    /// It is beyond its limits when it has passed one of these.
    pub passed: Vec<Passed>,
    /// What a time without numbers is.
    pub gap: Gap,
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
    gap: Gap,
    /// From when on it belongs to the visitor.
    held: Option<Millis>,
}

/// For each, since when it has been beyond its limits without a pause, as far as history tells; `None` where it does
/// not, and where the visitor may not see it. What began before the samples
/// that are kept is as exact as the finest roll-up that reaches back so far.
pub async fn beyond_since(
    db: &Db,
    scope: &Scope,
    server: ServerId,
    asked: &[Beyond<'_>],
) -> Result<Vec<Option<Millis>>> {
    let mut begins = Vec::with_capacity(asked.len());
    for some in asked.chunks(AT_ONCE) {
        begins.extend(some_since(db, scope, server, some).await?);
    }
    Ok(begins)
}

async fn some_since(
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
            gap: one.gap,
            held: held_since(scope, row.domain.as_ref(), row.address.as_ref()),
        }));
    }
    Ok(open)
}

/// For each series, in one step: its id, when it was last not beyond, and the first row after that in which it was.
fn statement(step: i64, open: &[Open<'_>]) -> Sql<'static> {
    let (table, number) = match step {
        RAW => ("sample", "number"),
        _ => ("sample_roll", "CASE WHEN last IS NULL AND seconds > 0 THEN total / seconds ELSE last END"),
    };
    let narrowed = if step == RAW { String::new() } else { format!("step = {step} AND ") };
    let (mut texts, mut values) = (Vec::new(), Vec::<Value<'static>>::new());
    for one in open {
        let passed: Vec<String> = one.passed.iter().map(|it| format!("({number}) {} ?", it.sign())).collect();
        let passed = passed.join(" OR ");
        let unknown = match one.gap {
            Gap::Pause => format!("({number}) IS NULL OR "),
            Gap::Bridged => String::new(),
        };
        let limits = || one.passed.iter().map(|it| it.number().into());
        values.extend([one.id.into(), one.id.into()]);
        values.extend(limits());
        values.push(one.id.into());
        values.extend(limits());
        texts.push(format!(
            "SELECT ? AS series, p.paused, (SELECT at FROM {table} WHERE {narrowed}series = ? \
             AND at > COALESCE(p.paused, -1) AND ({passed}) ORDER BY at LIMIT 1) AS first FROM \
             (SELECT (SELECT at FROM {table} WHERE {narrowed}series = ? AND ({unknown}NOT ({passed})) \
             ORDER BY at DESC LIMIT 1) AS paused) p"
        ));
    }
    let text = texts.join(" UNION ALL ");
    sql(text).bind_all(values)
}
