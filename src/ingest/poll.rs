//! Polling Mailcow's logs: fetch the newest rows, find the rows already taken, ask for more until they are
//! found, and take what is newer. Rows, mails and the place in the log are committed together, so that a
//! kill at any moment loses nothing and doubles nothing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    anchor::{Anchor, Found, row_hash},
    correlate::{Batch, Novelty, Outcome, take},
    sessions::Sessions,
};
use crate::{
    model::{
        event::LogLine,
        explain::Dictionary,
        mail::{MailId, ServerId},
        scan::Scan,
        time::Millis,
    },
    parse::{api, rspamd},
    remote::{
        self, Cause,
        mailcow::{Log, Mailcow, Span},
    },
    store::{
        self, Db, Tx,
        ingestion::{self, Gap, Source, Tally},
        lines,
    },
};

/// Rows committed at once while catching up: bounds memory and the length of a transaction.
const BATCH: usize = 10_000;
/// Rspamd keeps this many rows unless told otherwise (`history_redis.conf`, `nrows`).
const RSPAMD_RING: i64 = 1000;
/// Mailcow keeps this many lines unless told otherwise (`LOG_LINES`).
const POSTFIX_RING: i64 = 9999;
/// Asked for when the whole ring is wanted; Mailcow gives what there is.
const EVERYTHING: u32 = 1_000_000;
/// The shortest pause between polls.
const SHORTEST: Duration = Duration::from_secs(5);
/// The share of a ring that may be new at one poll before the pause shrinks.
const FULL: f64 = 0.2;
/// The share below which the pause grows again.
const QUIET: f64 = 0.05;

/// What a poll needs.
pub struct Poller {
    /// The database.
    pub db: Db,
    /// Mailcow.
    pub mailcow: Arc<Mailcow>,
    /// Whose logs these are.
    pub server: ServerId,
    /// Rows asked for first: Postfix, Rspamd.
    pub counts: (u32, u32),
    /// The longest pause between polls.
    pub longest: Duration,
    /// Knows remote answers; what it does not know is collected.
    pub dictionary: Arc<Dictionary>,
}

/// What a poll brought.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Polled {
    /// Postfix lines taken.
    pub lines: i64,
    /// Rspamd rows taken.
    pub scans: i64,
    /// Mails that were new.
    pub new_mails: i64,
    /// Wished pause until the next poll.
    pub pause: Duration,
    /// What went wrong, by source; the other source was taken all the same.
    pub faults: Vec<String>,
    /// Mailcow refuses our key.
    pub refused: bool,
    /// Mails that changed.
    pub changed: Vec<MailId>,
}

/// Rows of one source, ready to be taken, oldest first.
struct Page<T> {
    /// All rows that stand behind the place already read.
    fresh: Vec<(T, u64)>,
    /// Moment of the oldest row in the answer.
    oldest: Option<Millis>,
    /// Rows in the ring, as far as seen.
    ring: Option<i64>,
    /// A part of the log is lost: moment of the oldest row that is there.
    lost: Option<Millis>,
    bad: i64,
    /// The answer was `{}`.
    empty: bool,
    /// Some rows were there, fresh or not.
    traffic: bool,
}

/// A failure of one source.
struct Fault {
    text: String,
    refused: bool,
}

impl From<remote::Error> for Fault {
    fn from(error: remote::Error) -> Self {
        Self { refused: matches!(error.cause, Cause::Refused { .. }), text: error.to_string() }
    }
}

impl Poller {
    /// Polls both logs once; `None` when another poll took rows in the meantime, then this one leaves no trace.
    /// Fails only when the database does; what Mailcow does wrong is in the result and in the state of the sources.
    pub async fn poll(&self, now: Millis) -> store::Result<Option<Polled>> {
        let mut tx = self.db.begin().await?;
        let mut postfix = ingestion::source(&mut tx, self.server, "postfix").await?;
        let mut rspamd = ingestion::source(&mut tx, self.server, "rspamd").await?;
        drop(tx);
        let mut polled = Polled::default();

        let scans = self.fetch_scans(&rspamd).await;
        let mut body;
        let mut wanted = first_wish(&postfix, self.counts.0);
        let page = loop {
            match self.mailcow.logs(Log::Postfix, Span::newest(wanted)).await {
                Ok(bytes) => body = bytes,
                Err(error) => break Err(Fault::from(error)),
            }
            match line_page(&body, &postfix, wanted) {
                Ok(None) => wanted = wanted.saturating_mul(4).min(EVERYTHING),
                Ok(Some(page)) => break Ok(page),
                Err(fault) => break Err(fault),
            }
        };
        let scans = match (scans, &page) {
            (Ok(scans), Ok(lines)) if scans.empty && lines.traffic => Err(Fault {
                text: "Rspamd's history is empty although mails come in: Mailcow cannot reach Rspamd"
                    .to_owned(),
                refused: false,
            }),
            (scans, _) => scans,
        };

        let (lines, scan_rows) = (settle(&mut postfix, page, now), settle(&mut rspamd, scans, now));
        for source in [&postfix, &rspamd] {
            polled.faults.extend(source.error.as_ref().map(|error| format!("{}: {error}", source.source)));
            polled.refused |= source.refused;
        }
        // Both logs are read together, so the busier one sets the pace.
        let wished = postfix.interval_ms.min(rspamd.interval_ms);
        let pause = Duration::from_millis(u64::try_from(wished).unwrap_or(0));
        let pause = pause.clamp(SHORTEST.min(self.longest), self.longest);
        for source in [&mut postfix, &mut rspamd] {
            source.interval_ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        }
        if !self.take_all(&mut postfix, &mut rspamd, lines, scan_rows, now, &mut polled).await? {
            return Ok(None);
        }
        polled.pause = pause;
        Ok(Some(polled))
    }

    async fn fetch_scans(&self, source: &Source) -> Result<Page<Scan>, Fault> {
        let anchor = Anchor::from_bytes(&source.anchor);
        let mut wanted = first_wish(source, self.counts.1);
        loop {
            let body = self.mailcow.logs(Log::RspamdHistory, Span::newest(wanted)).await?;
            let answer = api::rows(&body).map_err(unreadable)?;
            let rows = answer.rows.len() + answer.bad.len();
            let whole = rows < usize::try_from(wanted).unwrap_or(usize::MAX);
            let mut bad = i64::try_from(answer.bad.len()).unwrap_or(i64::MAX);
            let mut fresh = Vec::with_capacity(rows);
            for row in answer.rows.iter().rev() {
                match rspamd::parse_raw(row) {
                    Ok(scan) => {
                        let hash = scan_hash(&scan);
                        fresh.push((scan, hash));
                    }
                    Err(_) => bad += 1,
                }
            }
            let hashes: Vec<u64> = fresh.iter().map(|(_, hash)| *hash).collect();
            let found = anchor.find(&hashes);
            let ring = whole.then(|| i64::try_from(rows).unwrap_or(i64::MAX));
            let empty = answer.empty_object;
            if matches!(found, Found::Nowhere | Found::Partly(_)) && !whole && wanted < EVERYTHING {
                wanted = wanted.saturating_mul(4).min(EVERYTHING);
                continue;
            }
            let traffic = !fresh.is_empty();
            let oldest = fresh.first().map(|(scan, _)| scan.at);
            let (start, lost) = place(&anchor, found, oldest);
            fresh.drain(..start);
            return Ok(Page { fresh, oldest, ring, lost, bad, empty, traffic });
        }
    }

    /// Takes the rows in batches, each with its place in the log in one transaction. False when another poll
    /// came first: the lease may run out under a process that was stopped for a while.
    async fn take_all(
        &self,
        postfix: &mut Source,
        rspamd: &mut Source,
        lines: Page<LineRow<'_>>,
        scans: Page<Scan>,
        now: Millis,
        polled: &mut Polled,
    ) -> store::Result<bool> {
        let mut scan_rows = scans.fresh.into_iter().peekable();
        let batches = lines.fresh.chunks(BATCH).collect::<Vec<_>>();
        let rounds = batches.len().max(1);
        for round in 0..rounds {
            let rows = batches.get(round).copied().unwrap_or_default();
            let last_round = round + 1 == rounds;
            let until = rows.last().map_or(now, |(line, _)| line.at);
            let mut batch_scans = Vec::new();
            while let Some(scan) = scan_rows.next_if(|(scan, _)| last_round || scan.at <= until) {
                batch_scans.push(scan);
            }
            let mut tx = self.db.begin().await?;
            if !(holds_place(&mut tx, postfix).await? && holds_place(&mut tx, rspamd).await?) {
                return Ok(false);
            }
            if round == 0 {
                note_gap(&mut tx, postfix, lines.lost).await?;
                note_gap(&mut tx, rspamd, scans.lost).await?;
            }
            let bad = if round == 0 { (lines.bad, scans.bad) } else { (0, 0) };
            self.take_batch(&mut tx, postfix, rspamd, rows, batch_scans, bad, now, polled).await?;
            tx.commit().await?;
        }
        Ok(true)
    }

    #[expect(clippy::too_many_arguments, reason = "both sources advance together, in one transaction")]
    async fn take_batch(
        &self,
        tx: &mut Tx,
        postfix: &mut Source,
        rspamd: &mut Source,
        rows: &[(LineRow<'_>, u64)],
        scans: Vec<(Scan, u64)>,
        bad: (i64, i64),
        now: Millis,
        polled: &mut Polled,
    ) -> store::Result<()> {
        let log: Vec<LogLine<'_>> = rows.iter().map(|(line, _)| line.as_line()).collect();
        let scan_places: Vec<(Millis, u64)> = scans.iter().map(|(scan, hash)| (scan.at, *hash)).collect();
        let scans: Vec<Scan> = scans.into_iter().map(|(scan, _)| scan).collect();
        let mut sessions = Sessions::from_json(&postfix.sessions);
        let batch = Batch {
            server: self.server,
            lines: &log,
            scans: &scans,
            quarantined: &[],
            novelty: Novelty::New,
        };
        let outcome = take(tx, &batch, &mut sessions).await?;
        lines::append(tx, self.server, "postfix", &log).await?;
        self.collect_phrases(tx, &outcome).await?;
        ingestion::add_unknown(tx, self.server, &outcome.unknown).await?;

        if let Some(last) = log.last() {
            postfix.sessions = sessions.to_json(last.at);
        }
        let places: Vec<(Millis, u64)> = rows.iter().map(|(line, hash)| (line.at, *hash)).collect();
        advance(postfix, &places);
        advance(rspamd, &scan_places);
        ingestion::save_source(tx, postfix).await?;
        ingestion::save_source(tx, rspamd).await?;

        let unknown = outcome.unknown.values().map(|(count, ..)| count).sum();
        let taken = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let tally = Tally { lines: taken, mails: outcome.new_mails, unknown, bad: bad.0 };
        ingestion::count(tx, self.server, "postfix", now, tally).await?;
        let scanned = i64::try_from(scans.len()).unwrap_or(i64::MAX);
        let tally = Tally { lines: scanned, bad: bad.1, ..Tally::default() };
        ingestion::count(tx, self.server, "rspamd", now, tally).await?;
        polled.lines += taken;
        polled.scans += scanned;
        polled.new_mails += outcome.new_mails;
        polled.changed.extend(outcome.changed);
        Ok(())
    }

    /// Answers of other servers that the dictionary does not know are counted for the admins.
    async fn collect_phrases(&self, tx: &mut Tx, outcome: &Outcome) -> store::Result<()> {
        let mut phrases: BTreeMap<String, (i64, String, Millis)> = BTreeMap::new();
        for (at, reply, dsn) in &outcome.replies {
            if self.dictionary.explain(reply, Some(dsn)).matched {
                continue;
            }
            let phrase: String = crate::model::explain::phrase_key(reply).chars().take(180).collect();
            let entry = phrases.entry(phrase).or_insert((0, String::new(), *at));
            *entry = (entry.0 + 1, super::shapes::example(reply), entry.2.max(*at));
        }
        ingestion::add_phrases(tx, &phrases).await
    }
}

/// A Postfix line that owns or borrows its parts.
type LineRow<'a> = api::Line<'a>;

/// Whether the place in the log is still the one from which the rows at hand were found. From here to the end of the
/// transaction nobody else moves it.
async fn holds_place(tx: &mut Tx, source: &Source) -> store::Result<bool> {
    let stored = ingestion::lock_source(tx, source.server, &source.source).await?;
    Ok(stored.anchor == source.anchor)
}

/// How many rows to ask for first: everything, while nothing was ever taken.
fn first_wish(source: &Source, count: u32) -> u32 {
    if source.anchor.is_empty() { EVERYTHING } else { count.max(1) }
}

/// The fresh lines of an answer to a wish for `wanted` rows. `None` when the place is not among them and older
/// ones can be asked for.
fn line_page<'a>(body: &'a [u8], source: &Source, wanted: u32) -> Result<Option<Page<LineRow<'a>>>, Fault> {
    let answer = api::postfix_lines(body).map_err(unreadable)?;
    let rows = answer.rows.len() + answer.bad.len();
    let whole = rows < usize::try_from(wanted).unwrap_or(usize::MAX);
    let mut fresh: Vec<(LineRow<'a>, u64)> = answer.rows.into_iter().map(|row| (row, 0)).collect();
    fresh.reverse();
    for (row, hash) in &mut fresh {
        *hash = line_hash(row);
    }
    let anchor = Anchor::from_bytes(&source.anchor);
    let hashes: Vec<u64> = fresh.iter().map(|(_, hash)| *hash).collect();
    let found = anchor.find(&hashes);
    if !matches!(found, Found::At(_)) && !whole && wanted < EVERYTHING {
        return Ok(None);
    }
    let traffic = fresh.iter().any(|(line, _)| line.program.ends_with("/cleanup"));
    let oldest = fresh.first().map(|(line, _)| line.at);
    let (start, lost) = place(&anchor, found, oldest);
    fresh.drain(..start);
    let count = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
    let ring = whole.then(|| count(rows));
    Ok(Some(Page {
        fresh,
        oldest,
        ring,
        lost,
        bad: count(answer.bad.len()),
        empty: answer.empty_object,
        traffic,
    }))
}

/// Where the fresh rows begin, and whether a part before them is lost.
fn place(anchor: &Anchor, found: Found, oldest: Option<Millis>) -> (usize, Option<Millis>) {
    match found {
        Found::At(start) | Found::Partly(start) => (start, None),
        Found::Nowhere if anchor.is_empty() => (0, None),
        Found::Nowhere => (0, oldest),
    }
}

fn line_hash(line: &LineRow<'_>) -> u64 {
    row_hash(line.at, [line.program.as_bytes(), line.text.as_bytes()])
}

fn scan_hash(scan: &Scan) -> u64 {
    let numbers = [scan.size.to_le_bytes(), i64::from(scan.score).to_le_bytes()].concat();
    let texts = [&scan.message_id, &scan.ip, &scan.user];
    let texts = texts.into_iter().map(|text| text.as_deref().unwrap_or_default().as_bytes());
    let parts = texts.chain([numbers.as_slice(), scan.action.as_bytes()]);
    row_hash(scan.at, parts.chain(scan.rcpts.iter().map(|rcpt| rcpt.as_bytes())))
}

fn unreadable(error: api::BodyError) -> Fault {
    Fault { text: error.to_string(), refused: false }
}

/// Notes in the source how the fetch went, and adapts its pause. A failed page is an empty one.
fn settle<T>(source: &mut Source, page: Result<Page<T>, Fault>, now: Millis) -> Page<T> {
    match page {
        Ok(page) => {
            source.succeed(now);
            // The log is complete from the oldest row on that was there at the first reading.
            source.started_at.get_or_insert(page.oldest.unwrap_or(now));
            adapt(source, &page);
            page
        }
        Err(fault) => {
            source.fail(now, &fault.text, fault.refused);
            Page {
                fresh: Vec::new(),
                oldest: None,
                ring: None,
                lost: None,
                bad: 0,
                empty: false,
                traffic: false,
            }
        }
    }
}

/// The pause shrinks when much of the ring was new, and grows when little was.
fn adapt<T>(source: &mut Source, page: &Page<T>) {
    let usual = if source.source == "rspamd" { RSPAMD_RING } else { POSTFIX_RING };
    // Until a ring was seen to be cut, its size is what Mailcow ships.
    source.ring_size = source.ring_size.max(usual).max(page.ring.unwrap_or(0));
    let first = source.newest_at.is_none();
    let share = page.fresh.len() as f64 / source.ring_size.max(1) as f64;
    let share = if page.lost.is_some() { 1.0 } else { share.min(1.0) };
    if !first {
        source.ring_peak = (source.ring_peak * 0.98).max(share);
    }
    let pause = if source.interval_ms == 0 { 60_000 } else { source.interval_ms };
    source.interval_ms = match share {
        _ if first => pause,
        share if share > FULL => (pause as f64 * FULL / share / 1.5) as i64,
        share if share < QUIET => pause + pause / 2,
        _ => pause,
    }
    .clamp(5_000, 3_600_000);
}

fn advance(source: &mut Source, places: &[(Millis, u64)]) {
    let anchor = Anchor::from_bytes(&source.anchor).advance(places);
    source.anchor = anchor.to_bytes();
    let newest = places.iter().map(|(at, _)| *at).max();
    source.newest_at = source.newest_at.max(newest);
}

/// The rows between the last one taken and the oldest one in the ring passed unread: at least one.
async fn note_gap(tx: &mut Tx, source: &Source, lost: Option<Millis>) -> store::Result<()> {
    let Some(oldest) = lost else { return Ok(()) };
    let from = source.newest_at.unwrap_or(oldest).min(oldest);
    let gap = Gap {
        id: 0,
        server: source.server,
        source: source.source.clone(),
        from_at: from,
        to_at: oldest,
        at_least: 1,
        cause: "overrun".to_owned(),
    };
    ingestion::add_gap(tx, &gap).await
}
