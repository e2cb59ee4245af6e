//! Who tells samples, how the newest run of each went, and who is at it.

use std::time::Duration;

use super::{Batch, LONGEST_ERROR, SILENCE};
use crate::{
    model::{mail::ServerId, time::Millis},
    store::db::{Db, Result, Tx, Value, sql},
};

/// The newest run of a source.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Run {
    /// Whose.
    pub server: ServerId,
    /// The source's name.
    pub source: String,
    /// How many batches were stored.
    pub run: i64,
    /// When it was told.
    pub ended_at: Option<Millis>,
    /// When a run last went well.
    pub succeeded_at: Option<Millis>,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
    /// How often it runs, in milliseconds.
    pub period_ms: i64,
    /// How many samples it told.
    pub told: i64,
    /// What is wrong.
    pub error: Option<String>,
    /// Since when.
    pub error_since: Option<Millis>,
}

impl Run {
    fn new(server: ServerId, source: &str) -> Self {
        Self {
            server,
            source: source.to_owned(),
            run: 0,
            ended_at: None,
            succeeded_at: None,
            took_ms: 0,
            period_ms: 0,
            told: 0,
            error: None,
            error_since: None,
        }
    }

    /// From when on the source was silent, if it was for too long: nobody ran it.
    pub(super) fn silent_since(&self, now: Millis, period: Duration) -> Option<Millis> {
        let ended = self.ended_at?;
        (now.since(ended) > period * SILENCE).then(|| ended.plus(period))
    }

    /// Until when what it told last is believed.
    pub fn fresh_until(&self) -> Option<Millis> {
        let period = Duration::from_millis(u64::try_from(self.period_ms).unwrap_or(0));
        self.ended_at.map(|ended| ended.plus(period * SILENCE))
    }

    pub(super) fn after(self, batch: &Batch<'_>) -> Self {
        let whole = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let error: Option<String> = batch.error.map(|error| error.chars().take(LONGEST_ERROR).collect());
        let error_since = error.is_some().then(|| self.error_since.unwrap_or(batch.at));
        Self {
            run: self.run + 1,
            ended_at: Some(batch.at),
            succeeded_at: if error.is_some() { self.succeeded_at } else { Some(batch.at) },
            took_ms: whole(batch.took),
            period_ms: whole(batch.period),
            told: i64::try_from(batch.samples.len()).unwrap_or(i64::MAX),
            error_since,
            error,
            ..self
        }
    }
}

const COLUMNS: [&str; 11] = [
    "server",
    "source",
    "claimed_until",
    "run",
    "ended_at",
    "succeeded_at",
    "took_ms",
    "period_ms",
    "told",
    "error",
    "error_since",
];

const RUN: &str = "SELECT server, source, run, ended_at, succeeded_at, took_ms, period_ms, told, error, error_since \
    FROM sample_source";

fn row(run: &Run, claimed_until: Millis) -> [Value<'_>; 11] {
    [
        run.server.0.into(),
        Value::from(&run.source),
        claimed_until.into(),
        run.run.into(),
        run.ended_at.into(),
        run.succeeded_at.into(),
        run.took_ms.into(),
        run.period_ms.into(),
        run.told.into(),
        run.error.as_ref().into(),
        run.error_since.into(),
    ]
}

/// The newest run of each source. It tells nothing about anybody's mails.
pub async fn sources(db: &Db) -> Result<Vec<Run>> {
    db.fetch(sql(format!("{RUN} ORDER BY server, source"))).await
}

/// The newest run; other transactions that lock it wait until this one has ended.
pub(super) async fn lock(tx: &mut Tx, server: ServerId, source: &str) -> Result<Run> {
    let missing = Run::new(server, source);
    tx.upsert("sample_source", COLUMNS, &["server", "source"], &[], vec![row(&missing, Millis(0))]).await?;
    let statement = sql(format!("{RUN} WHERE server = ? AND source = ?")).bind(server.0).bind(source);
    Ok(tx.fetch_one(statement).await?.unwrap_or(missing))
}

/// Stores a run, and gives the claim back.
pub(super) async fn save(tx: &mut Tx, run: &Run) -> Result<()> {
    tx.upsert("sample_source", COLUMNS, &["server", "source"], &COLUMNS[2..], vec![row(run, Millis(0))]).await
}

/// A source is due so long before its period is over.
const EARLY: Duration = Duration::from_secs(30);

/// Makes a source due at once, where it has run before: what it told stays as good as it was.
pub async fn wish(tx: &mut Tx, server: ServerId, source: &str, now: Millis) -> Result<()> {
    let early = i64::try_from(EARLY.as_millis()).unwrap_or(i64::MAX);
    let statement = sql("UPDATE sample_source SET ended_at = ? - period_ms + ? \
         WHERE server = ? AND source = ? AND ended_at > ? - period_ms + ?");
    let statement = statement.bind(now).bind(early).bind(server.0).bind(source).bind(now).bind(early);
    tx.execute(statement).await?;
    Ok(())
}

/// Takes those sources that are due and that nobody else is running, for as long as a run may take. `wanted`: name,
/// period, longest run.
pub async fn claim<'a>(
    db: &Db,
    server: ServerId,
    wanted: &[(&'a str, Duration, Duration)],
    now: Millis,
) -> Result<Vec<&'a str>> {
    let mut tx = db.begin().await?;
    let missing: Vec<Run> = wanted.iter().map(|(name, ..)| Run::new(server, name)).collect();
    let rows = missing.iter().map(|run| row(run, Millis(0)));
    tx.upsert("sample_source", COLUMNS, &["server", "source"], &[], rows.collect()).await?;
    let mut taken = Vec::new();
    for (name, period, longest) in wanted {
        // Early, because the schedule has a jitter, and counts from the begin of a run.
        let due = now.minus(period.saturating_sub(EARLY));
        let statement = sql("UPDATE sample_source SET claimed_until = ? WHERE server = ? AND source = ? \
             AND claimed_until <= ? AND (ended_at IS NULL OR ended_at <= ?)");
        let statement = statement.bind(now.plus(*longest)).bind(server.0).bind(*name).bind(now).bind(due);
        if tx.execute(statement).await? > 0 {
            taken.push(*name);
        }
    }
    tx.commit().await?;
    Ok(taken)
}
