//! How the jobs went, whichever process ran them: the newest run of each.

use super::db::{Db, Result, Tx, sql};
use crate::model::time::Millis;

/// Longest error that is kept, in characters.
const LONGEST: usize = 2000;

/// The newest run of a job.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct JobRun {
    /// The job's name, as in its lease.
    pub name: String,
    /// When it began.
    pub started_at: Millis,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
    /// When the newest run that went well began.
    pub succeeded_at: Option<Millis>,
    /// What went wrong, if the newest run failed.
    pub error: Option<String>,
    /// When the first failure in this row was.
    pub error_since: Option<Millis>,
}

/// Notes a run that has ended; `error` says what went wrong.
pub async fn record(
    tx: &mut Tx,
    name: &str,
    started: Millis,
    ended: Millis,
    error: Option<&str>,
) -> Result<()> {
    let known =
        "SELECT name, started_at, took_ms, succeeded_at, error, error_since FROM job_run WHERE name = ?";
    let before: Option<JobRun> = tx.fetch_one(sql(known).bind(name)).await?;
    let (succeeded, failing) = before.map_or((None, None), |run| (run.succeeded_at, run.error_since));
    let took = i64::try_from(ended.since(started).as_millis()).unwrap_or(i64::MAX);
    let text: Option<String> = error.map(|error| error.chars().take(LONGEST).collect());
    let since = text.as_ref().map(|_| failing.unwrap_or(started));
    let succeeded = if text.is_some() { succeeded } else { Some(started) };
    tx.upsert(
        "job_run",
        ["name", "started_at", "took_ms", "succeeded_at", "error", "error_since"],
        &["name"],
        &["started_at", "took_ms", "succeeded_at", "error", "error_since"],
        vec![[name.into(), started.into(), took.into(), succeeded.into(), text.into(), since.into()]],
    )
    .await
}

/// The newest run of each job, by name. For admins.
pub async fn all(db: &Db) -> Result<Vec<JobRun>> {
    db.fetch(sql(
        "SELECT name, started_at, took_ms, succeeded_at, error, error_since FROM job_run ORDER BY name",
    ))
    .await
}

/// The newest run of one job.
pub async fn find(db: &Db, name: &str) -> Result<Option<JobRun>> {
    let statement =
        "SELECT name, started_at, took_ms, succeeded_at, error, error_since FROM job_run WHERE name = ?";
    db.fetch_one(sql(statement).bind(name)).await
}
