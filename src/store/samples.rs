//! Series, what each is at present, and its history.
//!
//! Only changes are written: a number holds until the next row, so a series that does not move costs nothing. What a
//! source told last is remembered in a [`Book`], by hash, and read back when another process wrote in between.

use std::{collections::HashMap, time::Duration};

use super::db::{Db, Error, Result, Tx, Value, places, sql};
use crate::model::{
    mail::ServerId,
    sample::{Sample, State},
    time::Millis,
};

mod ranges;
mod read;
mod roll;
mod runs;
mod since;

pub use ranges::{Range, ranges};
pub use read::{Latest, Limit, Passed, Track, Which, latest, tracks};
pub use roll::{Keep, STEPS, prune, roll};
pub use runs::{Run, claim, sources, wish};
pub use since::{Beyond, Gap, beyond_since};

/// Longest labels that are stored, in characters.
const LONGEST_LABELS: usize = 600;
/// Values in one list of a statement.
const VALUES: usize = 256;
/// Longest error that is stored.
const LONGEST_ERROR: usize = 500;
/// A source that was silent for so many periods was not run: its numbers were unknown meanwhile.
const SILENCE: u32 = 3;

/// What one run of a source told.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Whose.
    pub server: ServerId,
    /// The source's name.
    pub source: &'a str,
    /// When it was told.
    pub at: Millis,
    /// How long the run took.
    pub took: Duration,
    /// How often the source runs.
    pub period: Duration,
    /// What is wrong, when the run failed: then series that are not among the samples are unknown, not gone.
    pub error: Option<&'a str>,
    /// The samples; series of the source that are not among them are told no more.
    pub samples: &'a [Sample],
}

/// What was told last, so that what is told again costs no statement. Shared by the runs of one process.
#[derive(Debug, Default)]
pub struct Book {
    pages: HashMap<(ServerId, String), Page>,
}

#[derive(Debug, Default)]
struct Page {
    run: i64,
    entries: HashMap<u64, Entry>,
}

/// A series and the fingerprint of its state.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Entry {
    id: i64,
    kind: Kind,
    /// The bits of the number, or a hash of the text.
    print: u64,
}

/// As stored in `series_state.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number = 0,
    Text = 1,
    Unknown = 2,
    NotInUse = 3,
    Gone = 4,
}

impl Kind {
    fn of(state: &State) -> Self {
        match state {
            State::Number(_) => Self::Number,
            State::Text(_) => Self::Text,
            State::Unknown(_) => Self::Unknown,
            State::NotInUse(_) => Self::NotInUse,
        }
    }

    fn read(code: i64) -> Self {
        match code {
            0 => Self::Number,
            1 => Self::Text,
            2 => Self::Unknown,
            3 => Self::NotInUse,
            _ => Self::Gone,
        }
    }
}

fn fingerprint(state: &State) -> u64 {
    match state {
        State::Number(number) => number.to_bits(),
        State::Text(text) | State::Unknown(text) | State::NotInUse(text) => {
            twox_hash::XxHash3_64::oneshot(text.as_bytes())
        }
    }
}

fn series_hash(metric: &str, labels: &str) -> u64 {
    twox_hash::XxHash3_64::oneshot([metric.as_bytes(), b"\n", labels.as_bytes()].concat().as_slice())
}

impl Book {
    /// Stores a batch; returns how many series changed. After an error nothing of the batch is stored.
    pub async fn append(&mut self, db: &Db, batch: Batch<'_>) -> Result<usize> {
        let key = (batch.server, batch.source.to_owned());
        // Taken out and put back when all went well: what a failed batch leaves in it is not the truth.
        let page = self.pages.remove(&key);
        let mut tx = db.begin().await?;
        let run = runs::lock(&mut tx, batch.server, batch.source).await?;
        let mut page = match page {
            Some(page) if page.run == run.run => page,
            _ => load(&mut tx, batch.server, batch.source).await?,
        };
        let silent = match run.silent_since(batch.at, batch.period) {
            // What is rolled up stays as it is.
            Some(since) => Some(since.max(roll::rolled_upto(&mut tx).await?)),
            None => None,
        };
        let changed = write(&mut tx, &mut page, batch, silent).await?;
        page.run = run.run + 1;
        runs::save(&mut tx, &run.after(&batch)).await?;
        tx.commit().await?;
        self.pages.insert(key, page);
        Ok(changed)
    }
}

#[derive(sqlx::FromRow)]
struct SeriesRow {
    id: i64,
    metric: String,
    labels: String,
    kind: Option<i64>,
    number: Option<f64>,
    text: Option<String>,
}

async fn load(tx: &mut Tx, server: ServerId, source: &str) -> Result<Page> {
    let statement = sql("SELECT s.id, s.metric, s.labels, t.kind, t.number, t.text FROM series s \
         LEFT JOIN series_state t ON t.series = s.id WHERE s.server = ? AND s.source = ?");
    let rows: Vec<SeriesRow> = tx.fetch(statement.bind(server.0).bind(source)).await?;
    let entry = |row: SeriesRow| {
        let kind = row.kind.map_or(Kind::Gone, Kind::read);
        let print = match kind {
            Kind::Number => row.number.unwrap_or_default().to_bits(),
            _ => twox_hash::XxHash3_64::oneshot(row.text.unwrap_or_default().as_bytes()),
        };
        (series_hash(&row.metric, &row.labels), Entry { id: row.id, kind, print })
    };
    Ok(Page { run: 0, entries: rows.into_iter().map(entry).collect() })
}

/// What is to be written of a batch.
#[derive(Default)]
struct Changes<'a> {
    /// Series, number, moment.
    numbers: Vec<(i64, Option<f64>, Millis)>,
    /// Series that are in a new state from now on.
    states: Vec<(i64, Kind, Option<&'a State>)>,
    /// Series that have the state of before, but new rows in their history.
    touched: Vec<i64>,
    /// Series whose reason has another text, but that are unknown or not in use since before.
    reasons: Vec<(i64, &'a State)>,
}

async fn write(tx: &mut Tx, page: &mut Page, batch: Batch<'_>, silent: Option<Millis>) -> Result<usize> {
    let told: HashMap<u64, &Sample> = batch
        .samples
        .iter()
        .map(|sample| (sample, sample.labels.text()))
        .filter(|(_, labels)| labels.chars().count() <= LONGEST_LABELS)
        .map(|(sample, labels)| (series_hash(sample.metric, &labels), sample))
        .collect();
    name_new(tx, page, batch, &told).await?;
    let lost = State::Unknown(batch.error.unwrap_or_default().to_owned());
    let mut changes = Changes::default();
    for (hash, entry) in &mut page.entries {
        if let (Kind::Number, Some(since)) = (entry.kind, silent) {
            changes.numbers.push((entry.id, None, since));
        }
        let state = match told.get(hash) {
            Some(sample) => Some(&sample.state),
            None if batch.error.is_some() && entry.kind != Kind::Gone => Some(&lost),
            None => None,
        };
        changes.note(entry, state, batch.at, silent.is_some());
    }
    changes.store(tx, batch.at).await
}

/// Makes series of those that are new, and enters them in the page.
async fn name_new(
    tx: &mut Tx,
    page: &mut Page,
    batch: Batch<'_>,
    told: &HashMap<u64, &Sample>,
) -> Result<()> {
    let fresh: Vec<&&Sample> =
        told.iter().filter(|(hash, _)| !page.entries.contains_key(hash)).map(|(_, sample)| sample).collect();
    if fresh.is_empty() {
        return Ok(());
    }
    let rows = fresh.iter().map(|sample| -> [Value<'_>; 6] {
        [
            batch.server.0.into(),
            sample.metric.into(),
            sample.labels.text().into(),
            batch.source.into(),
            sample.labels.domain().into(),
            sample.labels.mailbox().into(),
        ]
    });
    let columns = ["server", "metric", "labels", "source", "domain", "address"];
    tx.upsert("series", columns, &columns[..3], &["source"], rows.collect()).await?;
    let known = load(tx, batch.server, batch.source).await?;
    for (hash, entry) in known.entries {
        page.entries.entry(hash).or_insert(entry);
    }
    Ok(())
}

impl<'a> Changes<'a> {
    /// Compares what an entry was with what it is (`None`: told no more), and notes what that changes.
    fn note(&mut self, entry: &mut Entry, state: Option<&'a State>, at: Millis, restarted: bool) {
        let (kind, print) = state.map_or((Kind::Gone, 0), |state| (Kind::of(state), fingerprint(state)));
        let same_kind = entry.kind == kind;
        let same = same_kind && (entry.print == print || kind == Kind::Gone);
        if kind == Kind::Number && (!same || restarted) {
            self.numbers.push((entry.id, state.and_then(State::number), at));
        } else if entry.kind == Kind::Number && kind != Kind::Number && !restarted {
            self.numbers.push((entry.id, None, at));
        }
        match state {
            _ if same && restarted && kind == Kind::Number => self.touched.push(entry.id),
            _ if same => {}
            Some(state) if same_kind && matches!(kind, Kind::Unknown | Kind::NotInUse) => {
                self.reasons.push((entry.id, state));
            }
            state => self.states.push((entry.id, kind, state)),
        }
        (entry.kind, entry.print) = (kind, print);
    }

    async fn store(self, tx: &mut Tx, at: Millis) -> Result<usize> {
        let changed = self.states.len() + self.reasons.len();
        let rows = self.numbers.iter().map(|(id, number, at)| [(*id).into(), (*at).into(), (*number).into()]);
        tx.upsert("sample", ["series", "at", "number"], &["series", "at"], &["number"], rows.collect())
            .await?;
        let text = |state: Option<&'a State>| match state {
            Some(State::Text(text) | State::Unknown(text) | State::NotInUse(text)) => Some(text),
            _ => None,
        };
        for ids in self.touched.chunks(VALUES) {
            let text =
                format!("UPDATE series_state SET changed_at = ? WHERE series IN ({})", places(ids.len()));
            tx.execute(sql(text).bind(at).bind_all(ids.iter().copied())).await?;
        }
        let columns = ["series", "kind", "number", "text", "since_at", "changed_at"];
        let rows = self.states.iter().map(|(id, kind, state)| -> [Value<'_>; 6] {
            let number = state.and_then(State::number);
            [(*id).into(), (*kind as u8).into(), number.into(), text(*state).into(), at.into(), at.into()]
        });
        tx.upsert("series_state", columns, &columns[..1], &columns[1..], rows.collect()).await?;
        let rows = self.reasons.iter().map(|(id, state)| -> [Value<'_>; 6] {
            let (kind, text) = (Kind::of(state) as u8, text(Some(state)));
            [(*id).into(), kind.into(), Value::Null, text.into(), at.into(), at.into()]
        });
        tx.upsert("series_state", columns, &columns[..1], &["text"], rows.collect()).await?;
        Ok(changed)
    }
}

/// The state of a stored row; `None` when the series is told no more.
fn state_of(kind: i64, number: Option<f64>, text: Option<String>) -> Result<Option<State>> {
    let text = text.unwrap_or_default();
    Ok(Some(match Kind::read(kind) {
        Kind::Number => State::Number(number.ok_or(Error::Damaged("a number without a number"))?),
        Kind::Text => State::Text(text),
        Kind::Unknown => State::Unknown(text),
        Kind::NotInUse => State::NotInUse(text),
        Kind::Gone => return Ok(None),
    }))
}

#[cfg(test)]
mod tests;
