//! Reads logs on all cores. Each thread takes the next block of lines and counts what every line says by itself; what
//! hangs on earlier lines of a mail it hands in, and one thread at a time counts that in the order of the blocks. The sum
//! is the same with any number of threads, but for which texts count as others where there are too many.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    num::NonZeroUsize,
    ops::Range,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use jiff::tz::TimeZone;
use simdutf8::basic::from_utf8;

use crate::{
    model::{
        flow::{self, Flow, Reader, Step},
        time::Millis,
    },
    parse::{
        docker,
        lines::{Blocks, lines_of},
        postfix, repeat,
        syslog::{YearGuess, parse_line, text},
    },
};

/// More threads only wait for each other.
const MOST_THREADS: usize = 8;
/// Blocks that wait for their turn: as many as all threads may have read while one was busy.
const MOST_WAITING: usize = 4 * MOST_THREADS;

/// About every third line hangs on others.
const BYTES_A_STEP: usize = 400;

/// Lines that were read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// All.
    pub lines: u64,
    /// Those that are no syslog lines.
    pub unreadable: u64,
}

/// Reads streams in their order. Queue ids go on from one to the next; an error says which could not be read.
pub(super) fn read<R: Read + Send, T: Send>(
    streams: impl Iterator<Item = Result<(T, R), (T, io::Error)>> + Send,
    zone: &TimeZone,
    threads: usize,
) -> Result<(Flow, Seen), (T, io::Error)> {
    let source = Mutex::new(Source { streams, open: None, ticket: 0, failed: None });
    let desk = Desk::default();
    let counted = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..threads.max(1)).map(|_| scope.spawn(|| count(&source, &desk, zone))).collect();
        threads.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
    });
    let source = source.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(failed) = source.failed {
        return Err(failed);
    }
    let told = desk.told.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (mut flow, mut seen) = (told.flow, Seen::default());
    for one in counted {
        let (own, own_seen) = one.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        flow.merge(&own);
        seen.lines += own_seen.lines;
        seen.unreadable += own_seen.unreadable;
    }
    Ok((flow, seen))
}

/// As many threads as there are cores.
pub(super) fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_THREADS)
}

/// What is left to read.
struct Source<S, R, T> {
    streams: S,
    /// The stream that is being read, and whose it is.
    open: Option<(T, Blocks<R>)>,
    /// Number of the next block.
    ticket: u64,
    /// What could not be read; nothing is read from then on.
    failed: Option<(T, io::Error)>,
}

impl<S, R, T> Source<S, R, T>
where
    S: Iterator<Item = Result<(T, R), (T, io::Error)>>,
    R: Read,
{
    /// Puts the next block into `block`; tells its number. `None` at the end.
    fn next_block(&mut self, block: &mut Vec<u8>) -> Option<u64> {
        while self.failed.is_none() {
            let (name, mut blocks) = match self.open.take() {
                Some(open) => open,
                None => match self.streams.next()? {
                    Ok((name, stream)) => (name, Blocks::new(stream)),
                    Err(failed) => {
                        self.failed = Some(failed);
                        break;
                    }
                },
            };
            match blocks.next_block(block) {
                Ok(true) => {
                    self.open = Some((name, blocks));
                    self.ticket += 1;
                    return Some(self.ticket - 1);
                }
                Ok(false) => {}
                Err(error) => self.failed = Some((name, error)),
            }
        }
        None
    }
}

type Steps<'a> = Vec<Step<'a>>;

self_cell::self_cell!(
    /// A block with what of its lines hangs on earlier ones.
    struct Block {
        owner: Vec<u8>,
        #[covariant]
        dependent: Steps,
    }
);

/// Where blocks are handed in.
#[derive(Default)]
struct Desk {
    queue: Mutex<Queue>,
    moved: Condvar,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Queue {
    /// Blocks that came before their turn, by number.
    waiting: BTreeMap<u64, Block>,
    /// Number of the block whose turn it is.
    next: u64,
    /// What blocks that are counted leave behind: room for others.
    spare: Vec<Vec<u8>>,
    /// A thread counts at present.
    counting: bool,
    /// A thread panicked: some turn never comes.
    broken: bool,
}

/// What is counted in the order of the blocks.
#[derive(Default)]
struct Told {
    reader: Reader,
    flow: Flow,
}

impl Desk {
    /// Hands in a block and counts those whose turn has come, unless somebody does. Waits where others are too far
    /// behind. Gives room for the next block; `None` when a turn never comes.
    fn hand_in(&self, ticket: u64, block: Block) -> Option<Vec<u8>> {
        let mut queue = self.queue();
        queue.waiting.insert(ticket, block);
        while !queue.counting
            && let Some(block) = queue.take()
        {
            queue.counting = true;
            drop(queue);
            {
                let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                let Told { reader, flow } = &mut *told;
                block.borrow_dependent().iter().for_each(|step| reader.step(step, flow));
            }
            let room = block.into_owner();
            queue = self.queue();
            queue.spare.push(room);
            queue.counting = false;
            self.moved.notify_all();
        }
        let far = |queue: &mut Queue| queue.waiting.len() >= MOST_WAITING && !queue.broken;
        let mut queue = self.moved.wait_while(queue, far).unwrap_or_else(PoisonError::into_inner);
        (!queue.broken).then(|| queue.spare.pop().unwrap_or_default())
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// The block whose turn it is, if it is there.
    fn take(&mut self) -> Option<Block> {
        let block = self.waiting.remove(&self.next)?;
        self.next += 1;
        Some(block)
    }
}

/// Frees those who wait for a thread that panicked.
struct Watch<'a>(&'a Desk);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.queue().broken = true;
            self.0.moved.notify_all();
        }
    }
}

/// Counts blocks as long as there are any; tells what their lines said by themselves.
fn count<S, R, T>(source: &Mutex<Source<S, R, T>>, desk: &Desk, zone: &TimeZone) -> (Flow, Seen)
where
    S: Iterator<Item = Result<(T, R), (T, io::Error)>>,
    R: Read,
{
    let _watch = Watch(desk);
    let now = Millis::now();
    let (mut flow, mut seen) = (Flow::default(), Seen::default());
    let mut room = Some(Vec::new());
    while let Some(mut block) = room {
        let taken = source.lock().ok().and_then(|mut source| source.next_block(&mut block));
        let Some(ticket) = taken else { break };
        // Within a year any line alone tells its year, and no guess reaches further back (but for a 29 February).
        let mut clock = YearGuess::new(zone.clone(), now);
        if from_utf8(&block).is_err() {
            block = text(&block).into_owned().into_bytes();
        }
        if holds_json(&block) {
            block = unpacked(&block);
        }
        let block = Block::new(block, |all| alone(all, &mut clock, &mut flow, &mut seen));
        room = desk.hand_in(ticket, block);
    }
    (flow, seen)
}

/// Whether a line of the block begins like those of Docker's json-file.
fn holds_json(block: &[u8]) -> bool {
    block.starts_with(b"{") || memchr::memmem::find(block, b"\n{").is_some()
}

/// The lines inside the lines of Docker's json-file; others as they are.
fn unpacked(block: &[u8]) -> Vec<u8> {
    let inner = |line| docker::unpacked(text(block.get(line).unwrap_or_default()));
    lines_of(block).flat_map(|line| [inner(line), "\n".into()]).collect::<String>().into_bytes()
}

/// Counts what the lines of a block say by themselves; hands on the rest.
fn alone<'a>(all: &'a [u8], clock: &mut YearGuess, flow: &mut Flow, seen: &mut Seen) -> Steps<'a> {
    let all = from_utf8(all).unwrap_or_default();
    let mut steps = Vec::with_capacity(all.len() / BYTES_A_STEP);
    for Range { start, end } in lines_of(all.as_bytes()) {
        seen.lines += 1;
        // A line that is too long may be cut in the middle of a letter.
        let whole = all.get(start..all.floor_char_boundary(end)).unwrap_or_default();
        match parse_line(whole, clock) {
            Some(line) => repeat::unfolded(line).for_each(|line| {
                let parsed = postfix::parse(line.program, line.text);
                steps.extend(flow::count(line.at, line.program, line.text, &parsed, flow));
            }),
            None => seen.unreadable += 1,
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::log_report::{json, print};

    /// A log in which each mail has lines far apart, and no two mails are alike.
    fn log(mails: usize) -> String {
        let mut log = String::new();
        for part in 0..4 {
            for n in 0..mails {
                let id = format!("{:06X}{n:05X}", n * 7919 % 0xff_ffff);
                let stamp = format!("Nov {:2} {:02}:{:02}:01 mail postfix", 1 + part, n / 60 % 24, n % 60);
                let line = match part {
                    0 => format!("/smtpd[7]: {id}: client=mx{}.example.org[192.0.2.1]", n % 50),
                    1 => {
                        format!(
                            "/qmgr[7]: {id}: from=<s{}@a{}.test>, size={n}, nrcpt=1 (queue active)",
                            n % 90,
                            n % 7
                        )
                    }
                    2 if n % 5 == 0 => format!(
                        "/smtp[7]: {id}: to=<r{}@b.test>, relay=mx.b.test[192.0.2.2]:25, delay={}.5, delays=0/0/0/0, \
                         dsn=4.7.1, status=deferred (host said: 450 4.7.1 try{n} later)",
                        n % 40,
                        n % 60
                    ),
                    2 => format!(
                        "/smtpd[7]: NOQUEUE: reject: RCPT from x[192.0.2.3]: 550 5.1.1 <n{n}@a.test>: no; from=<a@b.test> to=<n{n}@a.test> proto=ESMTP helo=<x>"
                    ),
                    _ => format!(
                        "/lmtp[7]: {id}: to=<r{}@b.test>, relay=dovecot[192.0.2.4]:24, delay={}.5, delays=0/0/0/0, \
                         dsn=2.0.0, status=sent (250 2.0.0 Saved)",
                        n % 40,
                        n % 60
                    ),
                };
                log.push_str(&format!("{stamp}{line}\n"));
            }
            log.push_str("no line of a log\n");
        }
        log
    }

    fn told(parts: &[&str], threads: usize) -> (String, String, Seen) {
        let streams = parts.iter().map(|part| Ok::<_, ((), io::Error)>(((), part.as_bytes())));
        let (flow, seen) = read(streams, &TimeZone::UTC, threads).unwrap();
        let mut out = Vec::new();
        print::report(&flow, &TimeZone::UTC, usize::MAX, &mut out).unwrap();
        (String::from_utf8(out).unwrap(), json::object(&flow, usize::MAX).to_string(), seen)
    }

    #[test]
    fn a_line_that_is_no_utf_8_costs_only_its_odd_bytes() {
        let line = |name: &[u8]| {
            let begin = b"Nov  1 00:00:01 mail postfix/smtpd[7]: NOQUEUE: reject: RCPT from x[192.0.2.3]: 550 5.1.1 <n@a.test>: ";
            [begin.as_slice(), name, b"; from=<a@b.test> to=<n@a.test> proto=ESMTP helo=<x>\n"].concat()
        };
        let told = |odd: &[u8]| {
            let log = [line(b"no"), line(odd), line("nö".as_bytes())].concat();
            let streams = std::iter::once(Ok::<_, ((), io::Error)>(((), log.as_slice())));
            let (flow, seen) = read(streams, &TimeZone::UTC, 1).unwrap();
            (json::object(&flow, usize::MAX).to_string(), seen)
        };
        let (odd, seen) = told(b"n\xff");
        assert_eq!(seen, Seen { lines: 3, unreadable: 0 });
        assert_eq!(odd, told("n\u{fffd}".as_bytes()).0);
        assert_ne!(odd, told(b"no").0);
    }

    #[test]
    fn what_rsyslog_folded_counts_as_often_as_it_was_written() {
        let refused = "NOQUEUE: reject: RCPT from x[192.0.2.3]: 550 5.1.1 <n@a.test>: no; from=<a@b.test> to=<n@a.test> proto=ESMTP helo=<x>";
        let log = format!(
            "Nov  1 00:00:01 mail postfix/smtpd[7]: {refused}\n\
             Nov  1 00:00:05 mail postfix/smtpd[7]: message repeated 3 times: [ {refused}]\n"
        );
        let streams = std::iter::once(Ok::<_, ((), io::Error)>(((), log.as_bytes())));
        let (flow, seen) = read(streams, &TimeZone::UTC, 1).unwrap();
        assert_eq!((flow.count(flow::Count::Rejected), seen.lines), (4, 2));
    }

    #[test]
    fn any_number_of_threads_tells_the_same() {
        let log = log(5000);
        let one = told(&[&log], 1);
        assert!(one.0.contains("5000   received") && one.0.contains("5000   delivered"), "{:.600}", one.0);
        assert_eq!(one.2, Seen { lines: 20_004, unreadable: 4 });
        let (head, tail) = log.split_at(log.len() / 2);
        let (head, tail) =
            (format!("{head}{}", tail.split_once('\n').unwrap().0), tail.split_once('\n').unwrap().1);
        for threads in [2, 3, 8] {
            assert_eq!(told(&[&log], threads), one, "{threads}");
            assert_eq!(told(&[&head, tail], threads), one, "{threads} threads, two files");
        }
    }

    #[test]
    fn time_goes_on_from_block_to_block() {
        // Almost a year up to this month, without a year in any stamp.
        let now = Millis::now().in_zone(&TimeZone::UTC).first_of_month().expect("a month has a first day");
        let mut log = String::new();
        for back in (0..11).rev() {
            let month = now.checked_sub(jiff::Span::new().months(back)).expect("in range");
            for n in 0..1900 {
                let stamp = month.strftime("%b %e %H:%M:%S");
                log.push_str(&format!(
                    "{stamp} mail postfix/smtpd[7]: {:06X}{n:05X}: client=mx.example.org[192.0.2.1]\n",
                    n * 7919
                ));
            }
        }
        for threads in [1, 3] {
            let streams = std::iter::once(Ok::<_, ((), io::Error)>(((), log.as_bytes())));
            let (flow, seen) = read(streams, &TimeZone::UTC, threads).unwrap();
            assert_eq!((flow.hours.len(), seen.unreadable), (11, 0));
            let first = now.checked_sub(jiff::Span::new().months(10)).expect("in range").timestamp();
            assert_eq!(flow.hours.keys().next(), Some(&(first.as_second() / 3600)));
        }
    }

    #[test]
    fn who_waits_for_a_thread_that_panicked_is_freed() {
        let desk = Desk::default();
        let block = || Block::new(Vec::new(), |_| Vec::new());
        let most = u64::try_from(MOST_WAITING).unwrap();
        // The first block never comes.
        assert!((1..most).all(|ticket| desk.hand_in(ticket, block()).is_some()));
        let freed = thread::scope(|scope| {
            let waiting = scope.spawn(|| desk.hand_in(most, block()).is_none());
            let panicked = scope.spawn(|| {
                let _watch = Watch(&desk);
                panic!("meant to be");
            });
            assert!(panicked.join().is_err());
            waiting.join().unwrap()
        });
        assert!(freed);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let streams = [Ok(("a", &b"x\n"[..])), Err(("b", io::Error::other("gone")))];
        let Err((name, error)) = read(streams.into_iter(), &TimeZone::UTC, 2) else { panic!("read") };
        assert_eq!((name, error.to_string().as_str()), ("b", "gone"));
    }
}
