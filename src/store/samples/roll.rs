//! Roll-ups: 5 minutes from the samples, an hour from those, a day from these; and what is kept how long.
//!
//! Spans in which nothing was told get no row. So a roll-up costs what changed, and a pause of days costs nothing.

use std::{collections::BTreeMap, time::Duration};

use super::VALUES;
use crate::{
    model::{
        history::{Point, Span, fold, spans_of},
        time::Millis,
    },
    store::db::{Db, Result, Sql, Tx, Value, places, sql},
};

/// Lengths of the roll-ups in seconds, finest first.
pub const STEPS: [i64; 3] = [300, 3600, 86_400];
/// In `sample_rolled`, the samples themselves.
pub(super) const RAW: i64 = 0;
/// A batch may be stored this much later than it was told.
const SETTLE: Duration = Duration::from_secs(120);
/// One transaction rolls up no more than this.
const STRETCH: i64 = 86_400_000;

/// How long history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// The samples themselves.
    pub raw: Duration,
    /// Roll-ups of 5 minutes.
    pub minutes: Duration,
    /// Roll-ups of an hour and of a day.
    pub hours: Duration,
    /// Roll-ups of an hour of single mailboxes, which are by far the most series; their roll-ups of 5 minutes are kept as
    /// long as the samples, those of a day as long as all others.
    pub mailboxes: Duration,
}

impl Keep {
    fn of(&self, step: i64) -> Duration {
        match step {
            RAW => self.raw,
            300 => self.minutes,
            _ => self.hours,
        }
    }

    fn of_mailboxes(&self, step: i64) -> Duration {
        let own = if step == 300 { self.raw } else { self.mailboxes };
        own.min(self.of(step))
    }
}

/// Roll-ups that are kept for less time where they are of single mailboxes.
const SHORTER: [i64; 2] = [300, 3600];

/// In `sample_rolled`, since when a step is kept of single mailboxes.
pub(super) const fn of_mailboxes(step: i64) -> i64 {
    -step
}

/// How far a step is rolled up, and since when it is kept.
#[derive(Debug, Clone, Copy, PartialEq, sqlx::FromRow)]
pub(super) struct Mark {
    pub step: i64,
    pub upto: Millis,
    pub kept_from: Millis,
}

pub(super) const MARKS: &str = "SELECT step, upto, kept_from FROM sample_rolled";

/// Up to when samples are rolled up: nothing may be added before.
pub(super) async fn rolled_upto(tx: &mut Tx) -> Result<Millis> {
    let marks: Vec<Mark> = tx.fetch(sql(MARKS)).await?;
    Ok(marks.into_iter().filter(|mark| mark.step > RAW).map(|mark| mark.upto).max().unwrap_or_default())
}

/// Rolls up all spans that have ended.
pub async fn roll(db: &Db, now: Millis) -> Result<()> {
    for (index, step) in STEPS.into_iter().enumerate() {
        let finer = index.checked_sub(1).and_then(|index| STEPS.get(index)).copied();
        while roll_stretch(db, step, finer, now).await? {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// Rolls up a stretch of one step; true when there is more to do.
async fn roll_stretch(db: &Db, step: i64, finer: Option<i64>, now: Millis) -> Result<bool> {
    let width = step * 1000;
    let mut tx = db.begin().await?;
    let marks: Vec<Mark> = tx.fetch(sql(MARKS)).await?;
    let mark = |step: i64| marks.iter().find(|mark| mark.step == step).map(|mark| mark.upto);
    let whole = |at: Millis| Millis(at.0 - at.0.rem_euclid(width));
    // A coarser step cannot be ahead of the one that it is made of.
    let settled = finer.map_or_else(|| Some(now.minus(SETTLE)), mark);
    let end = settled.map(whole).unwrap_or_default();
    let Some(begin) = mark(step) else {
        let first: Option<(Option<i64>,)> = tx.fetch_one(sql("SELECT MIN(at) FROM sample")).await?;
        if let Some((Some(first),)) = first {
            let begin = whole(Millis(first));
            set_mark(&mut tx, Mark { step, upto: begin, kept_from: begin }).await?;
            tx.commit().await?;
            return Ok(begin < end);
        }
        return Ok(false);
    };
    let end = Millis(end.0.min(begin.0 + STRETCH));
    if end <= begin {
        return Ok(false);
    }
    let changed: Vec<(i64,)> =
        tx.fetch(sql("SELECT series FROM series_state WHERE changed_at >= ?").bind(begin)).await?;
    let ids: Vec<i64> = changed.into_iter().map(|(id,)| id).collect();
    for ids in ids.chunks(VALUES) {
        let rows = rolled(&mut tx, ids, step, finer, begin, end).await?;
        write(&mut tx, step, &rows).await?;
    }
    let text = "UPDATE sample_rolled SET upto = ? WHERE step = ?";
    tx.execute(sql(text).bind(end).bind(step)).await?;
    tx.commit().await?;
    Ok(end < settled.map(whole).unwrap_or_default())
}

async fn set_mark(tx: &mut Tx, mark: Mark) -> Result<()> {
    let row = [mark.step.into(), mark.upto.into(), mark.kept_from.into()];
    tx.upsert("sample_rolled", ["step", "upto", "kept_from"], &["step"], &["upto", "kept_from"], vec![row])
        .await
}

/// The told buckets of some series.
async fn rolled(
    tx: &mut Tx,
    ids: &[i64],
    step: i64,
    finer: Option<i64>,
    begin: Millis,
    end: Millis,
) -> Result<Vec<(i64, Point)>> {
    let spans = match finer {
        None => changed_spans(tx, ids, begin, end).await?,
        Some(finer) => rolled_spans(tx, ids, finer, begin, end).await?,
    };
    let ids: Vec<i64> = spans.keys().copied().collect();
    let carried = if ids.is_empty() { BTreeMap::new() } else { carried(tx, &ids, finer, begin).await? };
    let mut rows = Vec::new();
    for (id, spans) in spans {
        let points = fold(carried.get(&id).copied().flatten(), &spans, begin, end, step * 1000);
        rows.extend(points.into_iter().filter(|point| point.told).map(|point| (id, point)));
    }
    Ok(rows)
}

async fn changed_spans(
    tx: &mut Tx,
    ids: &[i64],
    begin: Millis,
    end: Millis,
) -> Result<BTreeMap<i64, Vec<Span>>> {
    let text = format!(
        "SELECT series, at, number FROM sample WHERE series IN ({}) AND at >= ? AND at < ? ORDER BY series, at",
        places(ids.len())
    );
    let rows: Vec<(i64, Millis, Option<f64>)> =
        tx.fetch(sql(text).bind_all(ids.iter().copied()).bind(begin).bind(end)).await?;
    let mut changes: BTreeMap<i64, Vec<(Millis, Option<f64>)>> = BTreeMap::new();
    for (id, at, number) in rows {
        changes.entry(id).or_default().push((at, number));
    }
    Ok(changes.into_iter().map(|(id, changes)| (id, spans_of(&changes, end))).collect())
}

#[derive(sqlx::FromRow)]
pub(super) struct RollRow {
    pub(super) series: i64,
    pub(super) at: Millis,
    low: Option<f64>,
    high: Option<f64>,
    total: f64,
    seconds: f64,
    last: Option<f64>,
}

impl RollRow {
    pub(super) fn span(self, step: i64) -> Span {
        Span {
            at: self.at,
            until: Millis(self.at.0 + step * 1000),
            extremes: self.low.zip(self.high),
            total: self.total,
            seconds: self.seconds,
            last: self.last,
        }
    }
}

pub(super) const ROLLS: &str = "SELECT series, at, low, high, total, seconds, last FROM sample_roll";

async fn rolled_spans(
    tx: &mut Tx,
    ids: &[i64],
    finer: i64,
    begin: Millis,
    end: Millis,
) -> Result<BTreeMap<i64, Vec<Span>>> {
    let text = format!(
        "{ROLLS} WHERE step = ? AND series IN ({}) AND at >= ? AND at < ? ORDER BY series, at",
        places(ids.len())
    );
    let statement = sql(text).bind(finer).bind_all(ids.iter().copied()).bind(begin).bind(end);
    let rows: Vec<RollRow> = tx.fetch(statement).await?;
    let mut spans: BTreeMap<i64, Vec<Span>> = BTreeMap::new();
    for row in rows {
        spans.entry(row.series).or_default().push(row.span(finer));
    }
    Ok(spans)
}

/// What each series was just before a moment.
async fn carried(
    tx: &mut Tx,
    ids: &[i64],
    finer: Option<i64>,
    before: Millis,
) -> Result<BTreeMap<i64, Option<f64>>> {
    let statement = before_statement(ids, finer.unwrap_or(RAW), before);
    let rows: Vec<(i64, Option<f64>)> = tx.fetch(statement).await?;
    Ok(rows.into_iter().collect())
}

/// What each series was just before a moment: one look into an index for each, however much lies before and behind. (One
/// statement for all of them, with the ids from a list, would read one of the two.) SQLite takes 500 series at most.
pub(super) fn before_statement(series: &[i64], step: i64, before: Millis) -> Sql<'static> {
    let each = match step {
        RAW => "SELECT ? AS series, (SELECT number FROM sample WHERE series = ? AND at < ? \
             ORDER BY at DESC LIMIT 1) AS number"
            .to_owned(),
        step => format!(
            "SELECT ? AS series, (SELECT last FROM sample_roll WHERE step = {step} AND series = ? AND at < ? \
             ORDER BY at DESC LIMIT 1) AS number"
        ),
    };
    let mut statement = sql(vec![each; series.len()].join(" UNION ALL "));
    for id in series {
        statement = statement.bind(*id).bind(*id).bind(before);
    }
    statement
}

async fn write(tx: &mut Tx, step: i64, rows: &[(i64, Point)]) -> Result<()> {
    let columns = ["step", "series", "at", "low", "high", "total", "seconds", "last"];
    let rows = rows.iter().map(|(id, point)| -> [Value<'_>; 8] {
        let extremes = point.extremes;
        [
            step.into(),
            (*id).into(),
            point.at.into(),
            extremes.map(|(low, _)| low).into(),
            extremes.map(|(_, high)| high).into(),
            point.total.into(),
            point.seconds.into(),
            point.last.into(),
        ]
    });
    tx.upsert("sample_roll", columns, &columns[..3], &columns[3..], rows.collect()).await
}

/// Forgets what is past its time, but never the newest row before it, which still holds. Series that were told no more
/// for as long as hours are kept are forgotten as a whole.
pub async fn prune(db: &Db, keep: &Keep, now: Millis) -> Result<()> {
    for step in [RAW].into_iter().chain(STEPS) {
        let before = now.minus(keep.of(step));
        let newest = match step {
            RAW => sql("SELECT series, MAX(at) FROM sample WHERE at < ? GROUP BY series HAVING COUNT(*) > 1")
                .bind(before),
            step => sql("SELECT series, MAX(at) FROM sample_roll WHERE step = ? AND at < ? GROUP BY series \
                 HAVING COUNT(*) > 1")
            .bind(step)
            .bind(before),
        };
        let mark = Mark { step, upto: now, kept_from: before };
        prune_step(db, step, db.fetch(newest).await?, mark).await?;
    }
    for step in SHORTER {
        let before = now.minus(keep.of_mailboxes(step));
        let newest = sql("SELECT r.series, MAX(r.at) FROM sample_roll r JOIN series s ON s.id = r.series \
             WHERE r.step = ? AND r.at < ? AND s.address IS NOT NULL GROUP BY r.series HAVING COUNT(*) > 1");
        let newest = db.fetch(newest.bind(step).bind(before)).await?;
        let mark = Mark { step: of_mailboxes(step), upto: Millis(0), kept_from: before };
        prune_step(db, step, newest, mark).await?;
    }
    forget_gone(db, now.minus(keep.hours)).await
}

/// Forgets what is older than these rows, and marks since when the step is kept.
async fn prune_step(db: &Db, step: i64, newest: Vec<(i64, Millis)>, mark: Mark) -> Result<()> {
    for newest in newest.chunks(VALUES) {
        let mut tx = db.begin().await?;
        for (series, at) in newest {
            let statement = match step {
                RAW => sql("DELETE FROM sample WHERE series = ? AND at < ?"),
                step => sql("DELETE FROM sample_roll WHERE step = ? AND series = ? AND at < ?").bind(step),
            };
            tx.execute(statement.bind(*series).bind(*at)).await?;
        }
        tx.commit().await?;
    }
    let mut tx = db.begin().await?;
    if mark.step > RAW {
        let text = "UPDATE sample_rolled SET kept_from = ? WHERE step = ? AND kept_from < ?";
        tx.execute(sql(text).bind(mark.kept_from).bind(step).bind(mark.kept_from)).await?;
    } else {
        set_mark(&mut tx, mark).await?;
    }
    tx.commit().await
}

async fn forget_gone(db: &Db, before: Millis) -> Result<()> {
    let gone = sql("SELECT series FROM series_state WHERE kind = 4 AND changed_at < ?").bind(before);
    let gone: Vec<(i64,)> = db.fetch(gone).await?;
    let gone: Vec<i64> = gone.into_iter().map(|(id,)| id).collect();
    for ids in gone.chunks(VALUES) {
        let mut tx = db.begin().await?;
        let places = places(ids.len());
        for condition in ["series_state WHERE series", "sample WHERE series", "series WHERE id"] {
            tx.execute(sql(format!("DELETE FROM {condition} IN ({places})")).bind_all(ids.iter().copied()))
                .await?;
        }
        for step in STEPS {
            let text = format!("DELETE FROM sample_roll WHERE step = ? AND series IN ({places})");
            tx.execute(sql(text).bind(step).bind_all(ids.iter().copied())).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}
