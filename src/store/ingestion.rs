//! How far each log was read, what came in, what is missing, and what nobody understood.

use std::collections::BTreeMap;

use super::db::{Db, Result, Tx, Value, sql};
use crate::model::{mail::ServerId, time::Millis};

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;
/// Longest text kept of an error, an example or a shape.
const TEXT: usize = 500;

/// The state of reading one log.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Source {
    /// Whose log.
    pub server: ServerId,
    /// `postfix` or `rspamd`.
    pub source: String,
    /// Hashes of the last rows taken, oldest first: how the next poll finds its place.
    pub anchor: Vec<u8>,
    /// Encrypted sessions whose mail is still to come, as JSON.
    pub sessions: String,
    /// Moment of the newest row taken.
    pub newest_at: Option<Millis>,
    /// Since when rows are taken.
    pub started_at: Option<Millis>,
    /// Last attempt.
    pub polled_at: Option<Millis>,
    /// Last attempt that succeeded.
    pub succeeded_at: Option<Millis>,
    /// Present pause between polls.
    pub interval_ms: i64,
    /// Most rows that the log was seen to hold.
    pub ring_size: i64,
    /// Greatest share of the ring that was new at one poll, 0 to 1, slowly forgotten.
    pub ring_peak: f64,
    /// What is wrong at present.
    pub error: Option<String>,
    /// Since when.
    pub error_since: Option<Millis>,
    /// Mailcow refused the key, so we stopped asking.
    pub refused: bool,
}

impl Source {
    /// A source that was never read.
    pub fn new(server: ServerId, source: &str) -> Self {
        Self {
            server,
            source: source.to_owned(),
            anchor: Vec::new(),
            sessions: String::new(),
            newest_at: None,
            started_at: None,
            polled_at: None,
            succeeded_at: None,
            interval_ms: 0,
            ring_size: 0,
            ring_peak: 0.0,
            error: None,
            error_since: None,
            refused: false,
        }
    }

    /// Notes that reading failed, and since when.
    pub fn fail(&mut self, now: Millis, error: &str, refused: bool) {
        self.polled_at = Some(now);
        self.error = Some(error.chars().take(TEXT).collect());
        self.error_since.get_or_insert(now);
        self.refused = refused;
    }

    /// Notes that reading succeeded.
    pub fn succeed(&mut self, now: Millis) {
        self.polled_at = Some(now);
        self.succeeded_at = Some(now);
        self.error = None;
        self.error_since = None;
        self.refused = false;
    }
}

const SOURCE: &str = "SELECT server, source, anchor, sessions, newest_at, started_at, polled_at, succeeded_at, \
    interval_ms, ring_size, ring_peak, error, error_since, refused FROM log_source";

/// All sources, for pages and checks.
pub async fn sources(db: &Db) -> Result<Vec<Source>> {
    db.fetch(sql(format!("{SOURCE} ORDER BY server, source"))).await
}

/// One source, in the transaction that will advance it.
pub async fn source(tx: &mut Tx, server: ServerId, source: &str) -> Result<Source> {
    let statement = sql(format!("{SOURCE} WHERE server = ? AND source = ?")).bind(server.0).bind(source);
    Ok(tx.fetch_one(statement).await?.unwrap_or_else(|| Source::new(server, source)))
}

/// One source as it is now; other transactions that lock it wait until this one has ended.
pub async fn lock_source(tx: &mut Tx, server: ServerId, name: &str) -> Result<Source> {
    let missing = Source::new(server, name);
    // Also where the row exists, this locks it on MariaDB; a transaction of SQLite is alone anyway.
    tx.upsert("log_source", COLUMNS, &["server", "source"], &[], vec![row(&missing)]).await?;
    source(tx, server, name).await
}

/// Writes the state of a source.
pub async fn save_source(tx: &mut Tx, source: &Source) -> Result<()> {
    tx.touch_lists();
    tx.upsert("log_source", COLUMNS, &["server", "source"], &COLUMNS[2..], vec![row(source)]).await
}

const COLUMNS: [&str; 14] = [
    "server",
    "source",
    "anchor",
    "sessions",
    "newest_at",
    "started_at",
    "polled_at",
    "succeeded_at",
    "interval_ms",
    "ring_size",
    "ring_peak",
    "error",
    "error_since",
    "refused",
];

fn row(source: &Source) -> [Value<'_>; 14] {
    [
        source.server.0.into(),
        Value::from(&source.source),
        Value::from(&source.anchor),
        Value::from(&source.sessions),
        source.newest_at.into(),
        source.started_at.into(),
        source.polled_at.into(),
        source.succeeded_at.into(),
        source.interval_ms.into(),
        source.ring_size.into(),
        source.ring_peak.into(),
        source.error.as_ref().into(),
        source.error_since.into(),
        source.refused.into(),
    ]
}

/// What one batch brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows taken.
    pub lines: i64,
    /// Mails that were new.
    pub mails: i64,
    /// Rows that no rule knows.
    pub unknown: i64,
    /// Rows that could not be read at all.
    pub bad: i64,
}

/// Adds a batch to the day's ledger.
pub async fn count(tx: &mut Tx, server: ServerId, source: &str, now: Millis, tally: Tally) -> Result<()> {
    if tally == Tally::default() {
        return Ok(());
    }
    let day = now.0 - now.0.rem_euclid(DAY);
    let columns = ["server", "source", "day", "line_count", "mail_count", "unknown_count", "bad_count"];
    let counts = [tally.lines, tally.mails, tally.unknown, tally.bad].map(Value::Int);
    let [lines, mails, unknown, bad] = counts;
    let row = [server.0.into(), source.into(), day.into(), lines, mails, unknown, bad];
    tx.upsert_adding("log_ledger", columns, &columns[..3], &[], &columns[3..], vec![row]).await
}

/// One day of one source.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LedgerDay {
    /// Whose log.
    pub server: ServerId,
    /// `postfix` or `rspamd`.
    pub source: String,
    /// Begin of the day, UTC.
    pub day: Millis,
    /// Rows taken.
    pub line_count: i64,
    /// New mails.
    pub mail_count: i64,
    /// Rows that no rule knows.
    pub unknown_count: i64,
    /// Rows that could not be read.
    pub bad_count: i64,
}

/// The ledger from a day on.
pub async fn ledger(db: &Db, from: Millis) -> Result<Vec<LedgerDay>> {
    db.fetch(
        sql("SELECT server, source, day, line_count, mail_count, unknown_count, bad_count FROM log_ledger \
             WHERE day >= ? ORDER BY day, source")
        .bind(from.0 - from.0.rem_euclid(DAY)),
    )
    .await
}

/// A part of a log that passed unread.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Gap {
    /// Its number.
    pub id: i64,
    /// Whose log.
    pub server: ServerId,
    /// `postfix` or `rspamd`.
    pub source: String,
    /// Newest row before it.
    pub from_at: Millis,
    /// Oldest row behind it.
    pub to_at: Millis,
    /// At least so many rows are missing; 0 when nothing can be said.
    pub at_least: i64,
    /// Why, as a key of the texts: `overrun` or `cleared`.
    pub cause: String,
}

/// Notes a gap.
pub async fn add_gap(tx: &mut Tx, gap: &Gap) -> Result<()> {
    tx.touch_lists();
    tx.insert(
        "log_gap",
        ["server", "source", "from_at", "to_at", "at_least", "cause"],
        [
            gap.server.0.into(),
            Value::from(&gap.source),
            gap.from_at.into(),
            gap.to_at.into(),
            gap.at_least.into(),
            Value::from(&gap.cause),
        ],
    )
    .await
}

/// Gaps that touch a range, newest first, at most 100. They tell nothing about anybody's mails.
pub async fn gaps(db: &Db, from: Millis, to: Millis) -> Result<Vec<Gap>> {
    db.fetch(
        sql("SELECT id, server, source, from_at, to_at, at_least, cause FROM log_gap \
             WHERE to_at >= ? AND from_at <= ? ORDER BY to_at DESC LIMIT 100")
        .bind(from)
        .bind(to),
    )
    .await
}

/// Lines of one unknown shape.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct UnknownLine {
    /// The line with numbers, ids and addresses blotted out.
    pub shape: String,
    /// syslog program.
    pub program: String,
    /// How many were seen.
    pub line_count: i64,
    /// The latest one, addresses blotted out.
    pub example: String,
    /// When it was seen.
    pub last_at: Millis,
}

/// Counts lines that no rule knows. Keys are (program, shape).
pub async fn add_unknown(
    tx: &mut Tx,
    server: ServerId,
    lines: &BTreeMap<(String, String), (i64, String, Millis)>,
) -> Result<()> {
    let columns = ["server", "program", "shape", "line_count", "example", "last_at"];
    let rows = lines.iter().map(|((program, shape), (count, example, at))| {
        [
            server.0.into(),
            Value::from(program),
            Value::from(shape),
            Value::Int(*count),
            Value::from(example),
            (*at).into(),
        ]
    });
    let (update, add) = (["example", "last_at"], ["line_count"]);
    tx.upsert_adding("unknown_line", columns, &columns[..3], &update, &add, rows.collect()).await
}

/// The most frequent unknown shapes.
pub async fn unknown(db: &Db) -> Result<Vec<UnknownLine>> {
    db.fetch(sql(
        "SELECT shape, program, line_count, example, last_at FROM unknown_line ORDER BY line_count DESC LIMIT 100",
    ))
    .await
}

/// A remote answer that the dictionary does not know.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct UnknownPhrase {
    /// The answer with ids, addresses and numbers blotted out.
    pub phrase: String,
    /// How often it was met.
    pub phrase_count: i64,
    /// The latest one.
    pub example: String,
    /// When.
    pub last_at: Millis,
}

/// Counts answers that the dictionary does not know. Keys are phrases.
pub async fn add_phrases(tx: &mut Tx, phrases: &BTreeMap<String, (i64, String, Millis)>) -> Result<()> {
    let columns = ["phrase", "phrase_count", "example", "last_at"];
    let rows = phrases.iter().map(|(phrase, (count, example, at))| {
        [Value::from(phrase), Value::Int(*count), Value::from(example), (*at).into()]
    });
    let (update, add) = (["example", "last_at"], ["phrase_count"]);
    tx.upsert_adding("unknown_phrase", columns, &columns[..1], &update, &add, rows.collect()).await
}

/// The most frequent unknown answers.
pub async fn phrases(db: &Db) -> Result<Vec<UnknownPhrase>> {
    db.fetch(sql("SELECT phrase, phrase_count, example, last_at FROM unknown_phrase ORDER BY phrase_count DESC LIMIT 100"))
        .await
}

/// Forgets ledgers, gaps and unknown lines older than `before`.
pub async fn prune(tx: &mut Tx, before: Millis) -> Result<()> {
    tx.touch_lists();
    tx.execute(sql("DELETE FROM log_ledger WHERE day < ?").bind(before)).await?;
    tx.execute(sql("DELETE FROM log_gap WHERE to_at < ?").bind(before)).await?;
    tx.execute(sql("DELETE FROM unknown_line WHERE last_at < ?").bind(before)).await?;
    tx.execute(sql("DELETE FROM unknown_phrase WHERE last_at < ?").bind(before)).await?;
    Ok(())
}
