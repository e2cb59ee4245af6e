//! Importing old logs: batches of lines that may be known already.

use std::sync::Arc;

use super::{
    correlate::{Batch, Novelty, take},
    sessions::Sessions,
    shapes,
};
use crate::{
    model::{event::LogLine, mail::ServerId, time::Millis},
    parse::repeat,
    store::{
        self, Db, gathered,
        ingestion::{self, Tally},
        lines,
    },
};

/// Lines written at once.
const BATCH: usize = 20_000;

/// Takes lines of a file, in order.
pub struct Importer {
    db: Db,
    server: ServerId,
    now: Millis,
    /// Raw lines older than this are past their retention.
    keep_lines: Millis,
    /// Mails older than this are past their retention.
    keep_mails: Millis,
    sessions: Sessions,
    waiting: Vec<(Millis, String, String)>,
    report: Report,
}

/// What an import brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines read.
    pub lines: i64,
    /// Mails that were not known before.
    pub new_mails: i64,
    /// Lines that no rule knows.
    pub unknown: i64,
    /// Lines without a readable time stamp.
    pub unreadable: i64,
    /// Lines past the retention of mails, left out.
    pub too_old: i64,
}

impl Importer {
    /// An importer that keeps what the retentions keep.
    pub fn new(db: Db, server: ServerId, now: Millis, keep_lines: Millis, keep_mails: Millis) -> Self {
        Self {
            db,
            server,
            now,
            keep_lines,
            keep_mails,
            sessions: Sessions::default(),
            waiting: Vec::with_capacity(BATCH),
            report: Report::default(),
        }
    }

    /// Takes a line; a full batch is written once its last second has passed.
    pub async fn push(&mut self, line: &LogLine<'_>) -> store::Result<()> {
        self.report.lines += 1;
        if line.at < self.keep_mails {
            self.report.too_old += 1;
            return Ok(());
        }
        // Equal refusals of one second are counted within a batch: a second is never cut in two.
        let next_second = self.waiting.last().is_some_and(|(at, ..)| at.secs() != line.at.secs());
        if self.waiting.len() >= BATCH && next_second {
            self.flush().await?;
        }
        let lines = repeat::unfolded(*line);
        self.waiting.extend(lines.map(|line| (line.at, line.program.to_owned(), line.text.to_owned())));
        Ok(())
    }

    /// Counts a line whose time stamp cannot be read.
    pub fn unreadable(&mut self, line: &str) {
        self.report.lines += 1;
        self.report.unreadable += 1;
        tracing::debug!(shape = shapes::shape(line), "a line without a readable time stamp");
    }

    /// Writes what waits, in one transaction.
    pub async fn flush(&mut self) -> store::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let log: Vec<LogLine<'_>> =
            self.waiting.iter().map(|(at, program, text)| LogLine { at: *at, program, text }).collect();
        let batch = Batch {
            server: self.server,
            lines: &log,
            scans: Arc::default(),
            quarantined: &[],
            novelty: Novelty::Perhaps,
        };
        let mut tx = self.db.begin().await?;
        let outcome = take(&mut tx, &batch, &mut self.sessions).await?;
        if let Some(last) = log.last() {
            self.sessions.forget(last.at);
        }
        let telling: std::collections::BTreeSet<usize> = outcome.telling.iter().copied().collect();
        let fresh: Vec<LogLine<'_>> = telling
            .iter()
            .filter_map(|index| log.get(*index).copied())
            .filter(|line| line.at >= self.keep_lines)
            .collect();
        lines::append(&mut tx, self.server, "import", &fresh).await?;
        let known = outcome.new_mails == 0 && fresh.is_empty() && telling.is_empty();
        let unknown: i64 = outcome.unknown.values().map(|(count, ..)| count).sum();
        if !known {
            ingestion::add_unknown(&mut tx, self.server, &outcome.unknown).await?;
        }
        let lines = i64::try_from(telling.len()).unwrap_or(i64::MAX);
        let tally =
            Tally { lines, mails: outcome.new_mails, unknown: if known { 0 } else { unknown }, bad: 0 };
        ingestion::count(&mut tx, self.server, "import", self.now, tally).await?;
        tx.commit().await?;
        gathered::settle(&self.db, Millis::now()).await?;
        self.report.new_mails += outcome.new_mails;
        self.report.unknown += unknown;
        self.waiting.clear();
        Ok(())
    }

    /// What came in so far.
    pub fn report(&self) -> Report {
        self.report
    }
}
