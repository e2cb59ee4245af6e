//! Charts: the histories of some series over one span of time, all read together.

use std::collections::HashMap;

use super::{
    STEPS,
    read::{Visible, fresh_until},
    roll::{MARKS, Mark, RAW, ROLLS, RollRow, before_statement, of_mailboxes},
};
use crate::{
    model::{
        history::{Point, Span, fold, spans_of},
        mail::ServerId,
        sample::Labels,
        scope::Scope,
        time::Millis,
    },
    store::db::{Db, Result, Sql, places, sql},
};

/// How far apart samples are at least, in seconds.
const SHORTEST: i64 = 60;
/// Series in one statement.
pub(super) const AT_ONCE: usize = 64;

/// A chart of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    /// Width of a bucket in milliseconds.
    pub width: i64,
    /// The buckets, oldest first; one in which nothing is known has no extremes.
    pub points: Vec<Point>,
}

#[derive(sqlx::FromRow)]
struct SeriesRow {
    id: i64,
    metric: String,
    labels: String,
    domain: Option<String>,
    address: Option<String>,
    ended_at: Option<Millis>,
    period_ms: i64,
}

/// A series with what it takes to read and to draw its history.
struct Drawn {
    id: i64,
    /// An index into [`STEPS`]; `None` stands for the samples themselves.
    level: Option<usize>,
    width: i64,
    from: Millis,
    /// Beyond what was told, nothing is known.
    end: Millis,
    /// From when on it belongs to the visitor.
    held: Option<Millis>,
}

/// Charts of these series, each by metric and labels, with about `points` points at most; `None` where there is no such
/// series, or none that the visitor may see. The owner of a mailbox sees nothing from before it was theirs.
pub async fn ranges(
    db: &Db,
    scope: &Scope,
    server: ServerId,
    wanted: &[(&str, &Labels)],
    (from, to): (Millis, Millis),
    points: u32,
) -> Result<Vec<Option<Range>>> {
    let mut known: HashMap<(String, String), SeriesRow> = HashMap::new();
    for wanted in wanted.chunks(AT_ONCE) {
        let Some(statement) = series_statement(scope, server, wanted) else { break };
        let rows: Vec<SeriesRow> = db.fetch(statement).await?;
        for row in rows {
            known.insert((row.metric.clone(), row.labels.clone()), row);
        }
    }
    if known.is_empty() {
        return Ok(vec![None; wanted.len()]);
    }
    let marks: Vec<Mark> = db.fetch(sql(MARKS)).await?;
    let drawn = |row: &SeriesRow| {
        let (level, width) = grain(&marks, row.address.is_some(), from, to, points);
        // Aligned, so that a chart does not flicker as time goes on.
        let from = Millis(from.0 - from.0.rem_euclid(width));
        let end = row.ended_at.map_or(from, |told| fresh_until(told, row.period_ms)).min(to).max(from);
        let held = held_since(scope, row.domain.as_ref(), row.address.as_ref());
        Drawn { id: row.id, level, width, from, end, held }
    };
    let all: Vec<Drawn> = known.values().map(drawn).collect();
    let mut folded: HashMap<i64, Range> = HashMap::new();
    // Those of single mailboxes may be kept by another step than the rest.
    for level in [None, Some(0), Some(1), Some(2)] {
        let same: Vec<&Drawn> = all.iter().filter(|one| one.level == level).collect();
        for some in same.chunks(AT_ONCE) {
            fold_all(db, &marks, level, some, &mut folded).await?;
        }
    }
    let of = |(metric, labels): &(&str, &Labels)| {
        let row = known.get(&((*metric).to_owned(), labels.text()))?;
        folded.get(&row.id).cloned()
    };
    Ok(wanted.iter().map(of).collect())
}

/// Those of the series that are there and that the visitor may see.
fn series_statement<'a>(scope: &'a Scope, server: ServerId, wanted: &[(&str, &Labels)]) -> Option<Sql<'a>> {
    let visible = Visible::of(scope)?;
    let each = vec!["(s.server = ? AND s.metric = ? AND s.labels = ?)"; wanted.len()].join(" OR ");
    let mut statement = sql(format!(
        "SELECT s.id, s.metric, s.labels, s.domain, s.address, r.ended_at, r.period_ms FROM series s \
         JOIN sample_source r ON r.server = s.server AND r.source = s.source WHERE ({each}){}",
        visible.condition
    ));
    for (metric, labels) in wanted {
        statement = statement.bind(server.0).bind((*metric).to_owned()).bind(labels.text());
    }
    Some(visible.bind(statement))
}

/// From when on the series belongs to the visitor, where it does so only by a mailbox.
pub(super) fn held_since(scope: &Scope, domain: Option<&String>, address: Option<&String>) -> Option<Millis> {
    let Scope::Only(holdings) = scope else { return None };
    if domain.is_some_and(|domain| holdings.domains.contains(domain)) {
        return None;
    }
    let holding = address.and_then(|address| holdings.addresses.get(address));
    Some(holding.map_or(Millis(i64::MAX), |holding| holding.since))
}

/// The finest step that gives no more points than wanted and reaches back far enough, with the width of a bucket. The
/// step is an index into [`STEPS`]; `None` stands for the samples themselves.
fn grain(marks: &[Mark], of_mailbox: bool, from: Millis, to: Millis, points: u32) -> (Option<usize>, i64) {
    let length = (to.0 - from.0).max(1);
    let points = i64::from(points.max(1));
    let kept_from = |step: i64| marks.iter().find(|mark| mark.step == step).map(|mark| mark.kept_from);
    let reaches = |step: i64| {
        let own = kept_from(of_mailboxes(step)).filter(|_| of_mailbox && step != RAW);
        kept_from(step).map(|all| own.map_or(all, |own| own.max(all)) <= from)
    };
    let all = [(None, SHORTEST, RAW)]
        .into_iter()
        .chain(STEPS.into_iter().enumerate().map(|(i, step)| (Some(i), step, step)));
    let mut chosen = (None, SHORTEST);
    for (level, step, mark) in all {
        // A step that is not there yet is no choice; samples are always there.
        let reach = reaches(mark);
        if reach.is_none() && level.is_some() {
            break;
        }
        chosen = (level, step);
        if length <= points * step * 1000 && reach.unwrap_or(true) {
            break;
        }
    }
    let (level, step) = chosen;
    let (wanted, step) = ((length + points - 1) / points, step * 1000);
    (level, ((wanted + step - 1) / step).max(1) * step)
}

/// Folds series of one level.
async fn fold_all(
    db: &Db,
    marks: &[Mark],
    level: Option<usize>,
    some: &[&Drawn],
    folded: &mut HashMap<i64, Range>,
) -> Result<()> {
    let Some(from) = some.first().map(|one| one.from) else { return Ok(()) };
    let told = some.iter().filter(|one| one.end > from);
    let ends: HashMap<i64, Millis> = told.map(|one| (one.id, one.end)).collect();
    let to = ends.values().copied().max().unwrap_or(from);
    let mut found = read(db, &ends, &stretches(marks, level, from, to)).await?;
    for one in some {
        let (carried, spans) = found.remove(&one.id).unwrap_or_default();
        let mut points = fold(carried, &spans, one.from, one.end, one.width);
        if let Some(since) = one.held {
            points.retain(|point| point.at >= since);
        }
        folded.insert(one.id, Range { width: one.width, points });
    }
    Ok(())
}

/// A stretch of time, and the step that tells of it; [`RAW`] stands for the samples themselves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) step: i64,
    pub(super) from: Millis,
    pub(super) to: Millis,
}

/// From the step of a level as far as it is rolled up, and then from ever finer ones.
fn stretches(marks: &[Mark], level: Option<usize>, from: Millis, to: Millis) -> Vec<Stretch> {
    let (mut at, mut all) = (from, Vec::new());
    let levels = level.map_or(0, |level| level + 1);
    for step in STEPS.into_iter().take(levels).rev() {
        let upto = marks.iter().find(|mark| mark.step == step).map_or(at, |mark| mark.upto).min(to);
        if upto > at {
            all.push(Stretch { step, from: at, to: upto });
            at = upto;
        }
    }
    if at < to {
        all.push(Stretch { step: RAW, from: at, to });
    }
    all
}

/// Of each series, what it was just before the first stretch, and its spans in all of them up to its own end.
pub(super) async fn read(
    db: &Db,
    ends: &HashMap<i64, Millis>,
    stretches: &[Stretch],
) -> Result<HashMap<i64, (Option<f64>, Vec<Span>)>> {
    let ids: Vec<i64> = ends.keys().copied().collect();
    let Some(first) = stretches.first().filter(|_| !ids.is_empty()) else { return Ok(HashMap::new()) };
    let mut found: HashMap<i64, (Option<f64>, Vec<Span>)> = HashMap::new();
    let numbers: Vec<(i64, Option<f64>)> = db.fetch(before_statement(&ids, first.step, first.from)).await?;
    for (id, number) in numbers {
        found.entry(id).or_default().0 = number;
    }
    for stretch in stretches.iter().copied() {
        let statement = within_statement(&ids, stretch);
        if stretch.step == RAW {
            let rows: Vec<(i64, Millis, Option<f64>)> = db.fetch(statement).await?;
            for rows in rows.chunk_by(|(one, ..), (next, ..)| one == next) {
                let Some((series, ..)) = rows.first() else { continue };
                let end = ends.get(series).copied().unwrap_or(stretch.from);
                let own = rows.iter().filter(|(_, at, _)| *at < end);
                let own: Vec<(Millis, Option<f64>)> = own.map(|(_, at, number)| (*at, *number)).collect();
                found.entry(*series).or_default().1.extend(spans_of(&own, end));
            }
            continue;
        }
        let rows: Vec<RollRow> = db.fetch(statement).await?;
        for row in rows.into_iter().filter(|row| ends.get(&row.series).is_some_and(|end| row.at < *end)) {
            found.entry(row.series).or_default().1.push(row.span(stretch.step));
        }
    }
    Ok(found)
}

/// What of the series is in a stretch.
fn within_statement(series: &[i64], Stretch { step, from, to }: Stretch) -> Sql<'static> {
    let within = format!("series IN ({}) AND at >= ? AND at < ? ORDER BY series, at", places(series.len()));
    let text = match step {
        RAW => format!("SELECT series, at, number FROM sample WHERE {within}"),
        step => format!("{ROLLS} WHERE step = {step} AND {within}"),
    };
    sql(text).bind_all(series.iter().copied()).bind(from).bind(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fresh::{Step, databases, plan, scans};

    /// What is no table: MariaDB's results of other steps, and the one row of SQLite's `SCAN CONSTANT ROW`.
    fn is_found(name: &str) -> bool {
        name == "CONSTANT" || name.starts_with('<')
    }

    async fn fill(db: &Db) {
        let mut tx = db.begin().await.unwrap();
        let columns = ["server", "source", "claimed_until", "run", "took_ms", "period_ms", "told"];
        let sources = (0..200_i64).map(|n| {
            [
                1_i64.into(),
                format!("s{n}").into(),
                0_i64.into(),
                1_i64.into(),
                1_i64.into(),
                1_i64.into(),
                1_i64.into(),
            ]
        });
        tx.insert_all("sample_source", columns, sources.collect()).await.unwrap();
        let columns = ["id", "server", "metric", "labels", "source"];
        let series = (1..=4000_i64).map(|n| {
            [
                n.into(),
                1_i64.into(),
                format!("m{}", n % 500).into(),
                format!("l={n}").into(),
                format!("s{}", n % 200).into(),
            ]
        });
        tx.insert_all("series", columns, series.collect()).await.unwrap();
        let rows = || (0..40_000_i64).map(|n| (1 + n % 4000, n / 4000 * 60_000));
        let raw = rows().map(|(series, at)| [series.into(), at.into(), 1.5.into()]);
        tx.insert_all("sample", ["series", "at", "number"], raw.collect()).await.unwrap();
        let columns = ["step", "series", "at", "total", "seconds"];
        let rolls =
            rows().map(|(series, at)| [300_i64.into(), series.into(), at.into(), 1.0.into(), 60.0.into()]);
        tx.insert_all("sample_roll", columns, rolls.collect()).await.unwrap();
        tx.commit().await.unwrap();
        if let Db::Mysql { .. } = db {
            let text = "ANALYZE TABLE series, sample_source, sample, sample_roll";
            let _: Vec<(String, String, String, String)> = db.fetch(sql(text)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn no_chart_scans() {
        let dir = tempfile::tempdir().unwrap();
        for db in databases(&dir).await {
            fill(&db).await;
            let labels: Vec<Labels> = (1..=40).map(|n| Labels::NONE.with("l", &n.to_string())).collect();
            let wanted: Vec<(&str, &Labels)> = labels.iter().map(|labels| ("m7", labels)).collect();
            let mine = Scope::mailbox("ann@alpha.test", Millis(0));
            let ids: Vec<i64> = (1..=40).collect();
            for some in [1, 40] {
                for scope in [&Scope::All, &mine] {
                    let statement = series_statement(scope, ServerId(1), &wanted[..some]).unwrap();
                    let found = scans(&db, statement, is_found).await;
                    assert!(found.is_empty(), "{} {some} {scope:?}: {found:?}", db.engine());
                }
                for step in [RAW, 300] {
                    // The moment narrows the index, too: nothing else that lies before or behind is read.
                    let whole_key = if step == RAW { " PRIMARY 12" } else { " PRIMARY 16" };
                    let narrowed = |step: &Step| step.text.contains("at<?") || step.text.ends_with(whole_key);
                    let before = before_statement(&ids[..some], step, Millis(300_000));
                    let steps = plan(&db, before, is_found).await;
                    let texts: Vec<&str> = steps.iter().map(|step| step.text.as_str()).collect();
                    assert!(steps.iter().any(narrowed), "{}: {texts:?}", db.engine());
                    let stretch = Stretch { step, from: Millis(60_000), to: Millis(300_000) };
                    for statement in [
                        within_statement(&ids[..some], stretch),
                        before_statement(&ids[..some], step, stretch.from),
                    ] {
                        let found = scans(&db, statement, is_found).await;
                        assert!(found.is_empty(), "{} {some} {stretch:?}: {found:?}", db.engine());
                    }
                }
            }
            db.close().await;
        }
    }
}
