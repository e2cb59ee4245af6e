//! Reads logs on all cores: one thread cuts them into lines, and each of the others counts the mails that fall to it. What
//! one mail's lines say together thereby stays together, and the sum is the same with any number of threads.

use std::{
    borrow::Cow,
    io::{self, Read},
    num::NonZeroUsize,
    ops::Range,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use jiff::tz::TimeZone;

use crate::{
    model::{
        flow::{Flow, Reader},
        time::Millis,
    },
    parse::{
        lines::{Blocks, lines_of},
        postfix,
        syslog::{YearGuess, parse_line, text},
    },
};

/// More threads only wait for the one that reads.
const MOST_THREADS: usize = 8;
/// Blocks that wait for a thread.
const WAITING: usize = 4;

/// `Nov 20 09:59:58`: no time stamp is shorter.
const STAMP: usize = 15;

/// Lines that were read.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// All.
    pub lines: u64,
    /// Those that are no syslog lines.
    pub unreadable: u64,
}

/// What goes to each thread.
enum Piece {
    /// A new file begins: time may start anew.
    File,
    /// A block, and where in it the lines stand that are to be counted.
    Lines(Arc<Block>, Vec<Range<usize>>),
}

/// Whole lines. That they are UTF-8 is found once for all of them, where they all are.
enum Block {
    Text(String),
    Bytes(Vec<u8>),
}

impl Block {
    fn new(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Self::Bytes(error.into_bytes()), Self::Text)
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    fn line(&self, range: Range<usize>) -> Option<Cow<'_, str>> {
        match self {
            // Lines may be cut in the middle of a letter.
            Self::Text(all) => {
                all.get(range.clone()).map(Cow::Borrowed).or_else(|| all.as_bytes().get(range).map(text))
            }
            Self::Bytes(all) => all.get(range).map(text),
        }
    }
}

/// Reads streams in their order. Queue ids go on from one to the next; an error says which could not be read.
pub(super) fn read<R: Read, T>(
    streams: impl Iterator<Item = Result<(T, R), (T, io::Error)>>,
    zone: &TimeZone,
    threads: usize,
) -> Result<(Flow, Seen), (T, io::Error)> {
    thread::scope(|scope| {
        let start = |_| {
            let (sender, receiver) = sync_channel(WAITING);
            (sender, scope.spawn(move || count(&receiver, zone)))
        };
        let (senders, counting): (Vec<_>, Vec<_>) = (0..threads.max(1)).map(start).unzip();
        let cut = streams.into_iter().try_for_each(|stream| {
            let (name, stream) = stream?;
            hand_out(stream, &senders).map_err(|error| (name, error))
        });
        drop(senders);
        let (mut flow, mut seen) = (Flow::default(), Seen::default());
        for one in counting {
            // A thread that panicked has said so.
            let Ok((own, own_seen)) = one.join() else { continue };
            flow.merge(&own);
            seen.lines += own_seen.lines;
            seen.unreadable += own_seen.unreadable;
        }
        cut.map(|()| (flow, seen))
    })
}

/// As many threads as there are cores.
pub(super) fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_THREADS)
}

fn hand_out(stream: impl Read, senders: &[SyncSender<Piece>]) -> io::Result<()> {
    let send = |sender: &SyncSender<Piece>, piece| {
        sender.send(piece).map_err(|_| io::Error::other("a thread has ended"))
    };
    senders.iter().try_for_each(|sender| send(sender, Piece::File))?;
    let mut blocks = Blocks::new(stream);
    let mut turn = 0;
    while let Some(block) = blocks.next_block()? {
        let mut shares = vec![Vec::new(); senders.len()];
        let block = Block::new(block);
        for line in lines_of(block.bytes()) {
            let owner = block.bytes().get(line.clone()).and_then(|line| falls_to(line, senders.len()));
            turn = (turn + 1) % senders.len();
            shares.get_mut(owner.unwrap_or(turn)).into_iter().for_each(|share| share.push(line.clone()));
        }
        let block = Arc::new(block);
        for (sender, share) in senders.iter().zip(shares) {
            send(sender, Piece::Lines(Arc::clone(&block), share))?;
        }
    }
    Ok(())
}

/// Counts the lines that fall to a thread.
fn count(pieces: &Receiver<Piece>, zone: &TimeZone) -> (Flow, Seen) {
    let (mut flow, mut reader, mut seen) = (Flow::default(), Reader::default(), Seen::default());
    let new_clock = || YearGuess::new(zone.clone(), Millis::now());
    let mut clock = new_clock();
    for piece in pieces {
        let Piece::Lines(block, share) = piece else {
            clock = new_clock();
            continue;
        };
        for whole in share.into_iter().filter_map(|line| block.line(line)) {
            seen.lines += 1;
            match parse_line(&whole, &mut clock) {
                Some(line) => {
                    let parsed = postfix::parse(line.program, line.text);
                    reader.count(line.at, line.program, line.text, parsed, &mut flow);
                }
                None => seen.unreadable += 1,
            }
        }
    }
    (flow, seen)
}

/// Which thread counts the mail of a line; `None` where the line is of no mail.
fn falls_to(line: &[u8], threads: usize) -> Option<usize> {
    // The first colon before a blank ends the name of the program. Those of the time stamp stand before digits.
    let line = line.get(STAMP..)?;
    let end = memchr::memchr_iter(b':', line).find(|at| line.get(at + 1) == Some(&b' '))?;
    let id = postfix::queue_id_of(line.get(end + 2..)?)?;
    let print =
        id.iter().fold(0_usize, |print, byte| print.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    Some(print % threads)
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
    fn what_cannot_be_read_is_named() {
        let streams = [Ok(("a", &b"x\n"[..])), Err(("b", io::Error::other("gone")))];
        let Err((name, error)) = read(streams.into_iter(), &TimeZone::UTC, 2) else { panic!("read") };
        assert_eq!((name, error.to_string().as_str()), ("b", "gone"));
    }
}
