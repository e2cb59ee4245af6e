//! Polling Mailcow's logs: fetch the newest rows, find the rows already taken, ask for more until they are
//! found, and take what is newer. Rows, mails and the place in the log are committed together, so that a
//! kill at any moment loses nothing and doubles nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::oneshot, task::JoinError};
use tokio_util::task::AbortOnDropHandle;

use super::{
    anchor::{Anchor, Found, row_hash},
    correlate::{Batch, Novelty, Outcome, known_scans, take},
    sessions::Sessions,
};
use crate::{
    model::{
        event::LogLine,
        explain::Dictionary,
        mail::{MailId, ServerId},
        scan::{Checks, Scan},
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
    work::memory,
};

/// Lines committed at once: what Mailcow keeps unless told otherwise, so that a poll is one transaction.
const AT_ONCE: usize = 10_000;
/// Lines committed at once where there are more: bounds memory.
const BATCH: usize = 5_000;
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

/// What a fetch of one source brought.
#[derive(Default)]
struct Fetched<R> {
    rows: R,
    /// Hashes of the rows behind the place already read, oldest first. These are the newest of `rows`.
    fresh: Vec<u64>,
    /// Moment of the oldest row in the answer.
    oldest: Option<Millis>,
    /// Rows in the ring, as far as seen.
    ring: Option<i64>,
    /// A part of the log is lost: moment of the oldest row that is there.
    lost: Option<Millis>,
    bad: i64,
    /// The answer was `{}`.
    empty: bool,
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

impl From<JoinError> for Fault {
    fn from(error: JoinError) -> Self {
        Self { refused: false, text: error.to_string() }
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

        // A key that Mailcow refuses is not tried a second time: so the second log is asked for once the first one comes.
        let (coming, comes) = oneshot::channel();
        let wish = Wish { log: Log::RspamdHistory, place: rspamd.anchor.clone(), count: self.counts.1 };
        let scans = tokio::spawn(fetch(self.mailcow.clone(), wish, Some(coming)));
        let scans = AbortOnDropHandle::new(scans);
        // The sender is gone where nothing came.
        let _ = comes.await;
        let wish = Wish { log: Log::Postfix, place: postfix.anchor.clone(), count: self.counts.0 };
        let lines: Result<Fetched<LineRows>, Fault> = fetch(self.mailcow.clone(), wish, None).await;
        let scans: Result<Fetched<ScanRows>, Fault> = scans.await.unwrap_or_else(|error| Err(error.into()));
        let scans = match (scans, &lines) {
            (Ok(scans), Ok(lines)) if scans.empty && lines.rows.traffic => Err(Fault {
                text: "Rspamd's history is empty although mails come in: Mailcow cannot reach Rspamd"
                    .to_owned(),
                refused: false,
            }),
            (scans, _) => scans,
        };

        let (lines, scan_rows) = (settle(&mut postfix, lines, now), settle(&mut rspamd, scans, now));
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

    /// Takes the rows in batches, each with its place in the log in one transaction. False when another poll
    /// came first: the lease may run out under a process that was stopped for a while.
    async fn take_all(
        &self,
        postfix: &mut Source,
        rspamd: &mut Source,
        lines: Fetched<LineRows>,
        scans: Fetched<ScanRows>,
        now: Millis,
        polled: &mut Polled,
    ) -> store::Result<bool> {
        let mut scan_rows = scans.rows.newest(scans.fresh.len()).zip(scans.fresh).peekable();
        let log = Arc::new(lines.rows);
        let mut sessions = Sessions::from_json(&postfix.sessions);
        let most = if lines.fresh.len() <= AT_ONCE { AT_ONCE } else { BATCH };
        let rounds = lines.fresh.len().div_ceil(most).max(1);
        // A ring that does not know our place, and yet holds rows from before it, was set back: some may be known.
        let back = |lost: Option<Millis>, source: &Source| lost.and(source.newest_at);
        let (known_lines, scans_until) = (back(lines.lost, postfix), back(scans.lost, rspamd));
        for round in 0..rounds {
            let hashes = lines.fresh.chunks(most).nth(round).unwrap_or_default();
            let (place, count) = (lines.fresh.len() - round * most, hashes.len());
            let rows = log.some(place, count);
            let last_round = round + 1 == rounds;
            let until = rows.last().map_or(now, |line| line.at);
            let (mut batch_scans, mut scan_hashes) = (Vec::new(), Vec::new());
            while let Some((scan, hash)) = scan_rows.next_if(|(scan, _)| last_round || scan.at <= until) {
                batch_scans.push(scan);
                scan_hashes.push(hash);
            }
            let known = known_lines.zip(rows.first()).is_some_and(|(until, first)| first.at <= until);
            // What is all new is packed while it is being understood.
            let packing =
                (!known).then(|| lines::begin_packing(log.clone(), move |log| log.some(place, count)));
            let mut tx = self.db.begin().await?;
            if !(holds_place(&mut tx, postfix).await? && holds_place(&mut tx, rspamd).await?) {
                return Ok(false);
            }
            let mut bad = (0, 0);
            if round == 0 {
                note_gap(&mut tx, postfix, lines.lost).await?;
                note_gap(&mut tx, rspamd, scans.lost).await?;
                bad = (lines.bad, scans.bad);
            }
            advance(postfix, rows.iter().map(|line| line.at), hashes);
            advance(rspamd, batch_scans.iter().map(|scan| scan.at), &scan_hashes);
            let batch = Batch {
                server: self.server,
                lines: &rows,
                scans: unknown_scans(&mut tx, self.server, batch_scans, scans_until).await?.into(),
                quarantined: &[],
                novelty: if known { Novelty::Perhaps } else { Novelty::New },
            };
            self.take_batch(&mut tx, &batch, packing, &mut sessions, bad, now, polled).await?;
            if let Some(last) = rows.last() {
                sessions.forget(last.at);
                postfix.sessions = sessions.to_json();
            }
            ingestion::save_source(&mut tx, postfix).await?;
            ingestion::save_source(&mut tx, rspamd).await?;
            tx.commit().await?;
            // It costs as much as hundreds of lines.
            if !last_round {
                memory::give_back();
            }
        }
        Ok(true)
    }

    /// Takes a batch. `packing` are its lines, where all of them are new.
    #[expect(clippy::too_many_arguments, reason = "both logs are taken together, in one transaction")]
    async fn take_batch(
        &self,
        tx: &mut Tx,
        batch: &Batch<'_>,
        packing: Option<lines::Packing>,
        sessions: &mut Sessions,
        bad: (i64, i64),
        now: Millis,
        polled: &mut Polled,
    ) -> store::Result<()> {
        let outcome = if let Some(packing) = packing {
            // They go their way while they are being understood.
            lines::append_packed(tx, self.server, "postfix", packing).await?;
            take(tx, batch, sessions).await?
        } else {
            let outcome = take(tx, batch, sessions).await?;
            let telling: BTreeSet<usize> = outcome.telling.iter().copied().collect();
            let fresh: Vec<LogLine<'_>> =
                telling.iter().filter_map(|index| batch.lines.get(*index).copied()).collect();
            lines::append(tx, self.server, "postfix", &fresh).await?;
            outcome
        };
        self.collect_phrases(tx, &outcome).await?;
        ingestion::add_unknown(tx, self.server, &outcome.unknown).await?;

        let unknown = outcome.unknown.values().map(|(count, ..)| count).sum();
        let taken = i64::try_from(batch.lines.len()).unwrap_or(i64::MAX);
        let tally = Tally { lines: taken, mails: outcome.new_mails, unknown, bad: bad.0 };
        ingestion::count(tx, self.server, "postfix", now, tally).await?;
        let scanned = i64::try_from(batch.scans.len()).unwrap_or(i64::MAX);
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

/// What is asked of a log.
struct Wish {
    log: Log,
    /// The place already read, as [`Source::anchor`].
    place: Vec<u8>,
    /// So many of the newest rows at first.
    count: u32,
}

/// Asks for more and more rows until the place already read is among them, or all are there. `coming` is told when Mailcow
/// has begun to answer.
async fn fetch<R: Rows>(
    mailcow: Arc<Mailcow>,
    wish: Wish,
    mut coming: Option<oneshot::Sender<()>>,
) -> Result<Fetched<R>, Fault> {
    let anchor = Anchor::from_bytes(&wish.place);
    // Everything, while nothing was ever taken.
    let mut wanted = if wish.place.is_empty() { EVERYTHING } else { wish.count.max(1) };
    loop {
        let (rows, mut hashes, ending) = read::<R>(&mailcow, wish.log, wanted, &mut coming).await?;
        let seen = ending.rows + ending.bad;
        let whole = seen < usize::try_from(wanted).unwrap_or(usize::MAX);
        hashes.reverse();
        let found = anchor.find(&hashes);
        if !matches!(found, Found::At(_)) && !whole && wanted < EVERYTHING {
            wanted = wanted.saturating_mul(4).min(EVERYTHING);
            continue;
        }
        let oldest = rows.oldest();
        let (start, lost) = place(&anchor, found, oldest);
        hashes.drain(..start);
        let count = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
        let ring = whole.then(|| count(seen));
        let (bad, empty) = (count(ending.bad), ending.empty_object);
        return Ok(Fetched { rows, fresh: hashes, oldest, ring, lost, bad, empty });
    }
}

/// Reads the newest rows of a log as they come in, with their hashes, newest first.
async fn read<R: Rows>(
    mailcow: &Mailcow,
    log: Log,
    wanted: u32,
    coming: &mut Option<oneshot::Sender<()>>,
) -> Result<(R, Vec<u64>, api::Ending), Fault> {
    let (mut rows, mut hashes) = (R::default(), Vec::new());
    let mut reader = api::Reader::default();
    let mut state = Ok(());
    let mut take = |piece: &[u8]| {
        if let Some(coming) = coming.take() {
            // Whoever does not wait any more does not mind.
            let _ = coming.send(());
        }
        if state.is_ok() {
            state = reader.push(piece, |row| rows.keep(row).map(|hash| hashes.push(hash)).is_some());
        }
    };
    mailcow.logs(log, Span::newest(wanted), &mut take).await?;
    let ending = state.and_then(|()| reader.end());
    let ending = ending.map_err(|error| Fault { text: error.to_string(), refused: false })?;
    Ok((rows, hashes, ending))
}

/// Rows of an answer as they come in, newest first.
trait Rows: Default + Send {
    /// Keeps a row and gives its hash; `None` when it cannot be read.
    fn keep(&mut self, row: &str) -> Option<u64>;

    /// Moment of the oldest row.
    fn oldest(&self) -> Option<Millis>;
}

/// Postfix lines, in one piece of memory.
#[derive(Default)]
struct LineRows {
    /// Programs and messages in turn.
    text: String,
    /// When, and where program and message end.
    rows: Vec<(Millis, usize, usize)>,
    /// Mails came in.
    traffic: bool,
}

impl Rows for LineRows {
    fn keep(&mut self, row: &str) -> Option<u64> {
        let line = api::Line::read(row).ok()?;
        self.traffic |= line.program.ends_with("/cleanup");
        self.text.push_str(&line.program);
        let middle = self.text.len();
        self.text.push_str(&line.text);
        self.rows.push((line.at, middle, self.text.len()));
        Some(row_hash(line.at, [line.program.as_bytes(), line.text.as_bytes()]))
    }

    fn oldest(&self) -> Option<Millis> {
        self.rows.last().map(|(at, ..)| *at)
    }
}

impl LineRows {
    /// So many lines, oldest first; the first of them is the newest but `place`, counted from 1.
    fn some(&self, place: usize, count: usize) -> Vec<LogLine<'_>> {
        (place.saturating_sub(count)..place).rev().filter_map(|place| self.line(place)).collect()
    }

    fn line(&self, place: usize) -> Option<LogLine<'_>> {
        let before = place.checked_sub(1).and_then(|place| self.rows.get(place));
        let begin = before.map_or(0, |(_, _, end)| *end);
        let &(at, middle, end) = self.rows.get(place)?;
        Some(LogLine { at, program: self.text.get(begin..middle)?, text: self.text.get(middle..end)? })
    }
}

/// Rows of Rspamd's history.
#[derive(Default)]
struct ScanRows {
    scans: Vec<Scan>,
    checks: Checks,
}

impl Rows for ScanRows {
    fn keep(&mut self, row: &str) -> Option<u64> {
        let scan = rspamd::parse(row, &mut self.checks).ok()?;
        let hash = scan_hash(&scan);
        self.scans.push(scan);
        Some(hash)
    }

    fn oldest(&self) -> Option<Millis> {
        self.scans.last().map(|scan| scan.at)
    }
}

impl ScanRows {
    /// The newest rows, oldest first.
    fn newest(self, count: usize) -> impl Iterator<Item = Scan> {
        let mut scans = self.scans;
        scans.truncate(count);
        scans.into_iter().rev()
    }
}

/// Whether the place in the log is still the one from which the rows at hand were found. From here to the end of the
/// transaction nobody else moves it.
async fn holds_place(tx: &mut Tx, source: &Source) -> store::Result<bool> {
    let stored = ingestion::lock_source(tx, source.server, &source.source).await?;
    Ok(stored.anchor == source.anchor)
}

/// Those of the scans that are not stored. Only up to `until` some may be.
async fn unknown_scans(
    tx: &mut Tx,
    server: ServerId,
    rows: Vec<Scan>,
    until: Option<Millis>,
) -> store::Result<Vec<Scan>> {
    let Some(until) = until else { return Ok(rows) };
    let known = known_scans(tx, server, &rows).await?;
    let fresh = rows.into_iter().zip(known).filter(|(scan, known)| scan.at > until || !known);
    Ok(fresh.map(|(scan, _)| scan).collect())
}

/// Where the fresh rows begin, and whether a part before them is lost.
fn place(anchor: &Anchor, found: Found, oldest: Option<Millis>) -> (usize, Option<Millis>) {
    match found {
        Found::At(start) | Found::Partly(start) => (start, None),
        Found::Nowhere if anchor.is_empty() => (0, None),
        Found::Nowhere => (0, oldest),
    }
}

fn scan_hash(scan: &Scan) -> u64 {
    let numbers = [scan.size.to_le_bytes(), i64::from(scan.score).to_le_bytes()].concat();
    let texts = [&scan.message_id, &scan.ip, &scan.user];
    let texts = texts.into_iter().map(|text| text.as_deref().unwrap_or_default().as_bytes());
    let parts = texts.chain([numbers.as_slice(), scan.action.as_bytes()]);
    row_hash(scan.at, parts.chain(scan.rcpts.iter().map(|rcpt| rcpt.as_bytes())))
}

/// Notes in the source how the fetch went, and adapts its pause. A failed fetch brought nothing.
fn settle<R: Rows>(source: &mut Source, fetched: Result<Fetched<R>, Fault>, now: Millis) -> Fetched<R> {
    match fetched {
        Ok(fetched) => {
            source.succeed(now);
            // The log is complete from the oldest row on that was there at the first reading.
            source.started_at.get_or_insert(fetched.oldest.unwrap_or(now));
            adapt(source, &fetched);
            fetched
        }
        Err(fault) => {
            source.fail(now, &fault.text, fault.refused);
            Fetched::default()
        }
    }
}

/// The pause shrinks when much of the ring was new, and grows when little was.
fn adapt<R>(source: &mut Source, fetched: &Fetched<R>) {
    let usual = if source.source == "rspamd" { RSPAMD_RING } else { POSTFIX_RING };
    // Until a ring was seen to be cut, its size is what Mailcow ships.
    source.ring_size = source.ring_size.max(usual).max(fetched.ring.unwrap_or(0));
    let first = source.newest_at.is_none();
    let share = fetched.fresh.len() as f64 / source.ring_size.max(1) as f64;
    let share = if fetched.lost.is_some() { 1.0 } else { share.min(1.0) };
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

fn advance(source: &mut Source, moments: impl Iterator<Item = Millis>, hashes: &[u64]) {
    let places: Vec<(Millis, u64)> = moments.zip(hashes.iter().copied()).collect();
    let anchor = Anchor::from_bytes(&source.anchor).advance(&places);
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
