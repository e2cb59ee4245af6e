//! Byte lines of bounded length from a stream that may be gzipped.

use std::{
    io::{self, BufRead, BufReader, Cursor, Read},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use flate2::bufread::GzDecoder;

use crate::model::time::Millis;

/// The longest line that is kept whole; Postfix's own lines are at most some kilobytes.
pub const LINE_MAX: usize = 64 * 1024;

/// What is read at once.
const CHUNK: usize = 256 * 1024;

/// What is read at once of a block: little enough to stay in the caches of the cores that share it.
const BLOCK: usize = 128 * 1024;

/// The first bytes of a gzip stream (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Unpacks a stream that begins like gzip, also one of several members, and passes on any other.
///
/// # Errors
/// When the first bytes cannot be read.
pub fn unpacked<'a, R: Read + Send + 'a>(stream: R) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(unpacked_and_dated(stream)?.0)
}

/// The same, and when what is packed there was changed last.
///
/// # Errors
/// When the first bytes cannot be read.
pub fn unpacked_and_dated<'a, R: Read + Send + 'a>(
    mut stream: R,
) -> io::Result<(Box<dyn Read + Send + 'a>, Changed)> {
    let changed = Changed::default();
    let mut first = Vec::with_capacity(GZIP.len());
    stream.by_ref().take(GZIP.len() as u64).read_to_end(&mut first)?;
    let packed = first == GZIP;
    let stream = Cursor::new(first).chain(stream);
    if packed {
        let member = GzDecoder::new(BufReader::with_capacity(CHUNK, stream));
        changed.begin(&member);
        return Ok((Box::new(Members { member: Some(member), changed: changed.clone() }), changed));
    }
    Ok((Box::new(stream), changed))
}

/// When the file inside a gzip stream was changed last, where gzip wrote that down (RFC 1952, MTIME); of several members the
/// one that was read last. 0 where it is not known.
#[derive(Debug, Clone, Default)]
pub struct Changed(Arc<AtomicU32>);

impl Changed {
    /// What is known by now. No line that was given out is of a later member.
    pub fn known(&self) -> Option<Millis> {
        let seconds = self.0.load(Ordering::Relaxed);
        (seconds > 0).then(|| Millis::from_secs(i64::from(seconds)))
    }

    fn begin<R>(&self, member: &GzDecoder<R>) {
        self.0.store(member.header().map_or(0, |header| header.mtime()), Ordering::Relaxed);
    }
}

/// The members of a gzip stream, one behind the other. Zeros behind a member are padding to the end of a block, of a tape
/// for instance, and are left out as gzip(1) does.
struct Members<R> {
    member: Option<GzDecoder<R>>,
    changed: Changed,
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let rest = self.member.take().map(GzDecoder::into_inner);
            self.member = rest.map(next_member).transpose()?.flatten();
            self.member.iter().for_each(|member| self.changed.begin(member));
        }
        Ok(0)
    }
}

/// The member behind the one that `rest` has just left; `None` at the end.
fn next_member<R: BufRead>(mut rest: R) -> io::Result<Option<GzDecoder<R>>> {
    loop {
        let ahead = rest.fill_buf()?;
        let (length, zeros) = (ahead.len(), ahead.iter().take_while(|byte| **byte == 0).count());
        rest.consume(zeros);
        if zeros < length {
            return Ok(Some(GzDecoder::new(rest)));
        }
        if length == 0 {
            return Ok(None);
        }
    }
}

/// A line as it stands in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line without its line break.
    pub bytes: &'a [u8],
    /// Whether a line break stood behind it. The last line of a file that is still written may be half of one.
    pub ended: bool,
}

/// Lines of a stream, one after the other in the same buffer.
#[derive(Debug)]
pub struct Lines<R> {
    stream: R,
    buffer: Vec<u8>,
    /// What of the buffer has not been given out yet.
    start: usize,
    end: usize,
    /// The start of the last line that was too long.
    long: Vec<u8>,
    cut: u64,
    bytes: u64,
}

impl<R: Read> Lines<R> {
    /// Reads from `stream`, which needs no buffer of its own.
    pub fn new(stream: R) -> Self {
        let buffer = vec![0; CHUNK + LINE_MAX];
        Self { stream, buffer, start: 0, end: 0, long: Vec::new(), cut: 0, bytes: 0 }
    }

    /// How many lines were longer than [`LINE_MAX`] and lost their end.
    pub const fn cut(&self) -> u64 {
        self.cut
    }

    /// How many bytes of lines have been given out or skipped, line breaks included.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next line without `\n` or `\r\n`, or `None` at the end. A last line without line break counts.
    ///
    /// # Errors
    /// When the stream cannot be read or unpacked.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        let mut searched = 0;
        loop {
            let pending = self.buffer.get(self.start..self.end).unwrap_or_default();
            let fresh = pending.get(searched..).unwrap_or_default();
            if let Some(found) = memchr::memchr(b'\n', fresh) {
                return Ok(Some(self.take(searched + found, 1)));
            }
            searched = pending.len();
            if searched > LINE_MAX {
                return self.take_cut().map(Some);
            }
            if !self.fill()? {
                return Ok(if searched == 0 { None } else { Some(self.take(searched, 0)) });
            }
        }
    }

    /// Gives out `length` bytes and skips the line break behind them.
    fn take(&mut self, length: usize, line_break: usize) -> Line<'_> {
        let from = self.start;
        self.start += length + line_break;
        self.bytes += (length + line_break) as u64;
        self.cut += u64::from(length > LINE_MAX);
        let line = self.buffer.get(from..from + length.min(LINE_MAX)).unwrap_or_default();
        Line { bytes: line.strip_suffix(b"\r").unwrap_or(line), ended: line_break > 0 }
    }

    /// Gives out the start of a line that is too long, and skips the rest of it.
    fn take_cut(&mut self) -> io::Result<Line<'_>> {
        self.cut += 1;
        self.long.clear();
        self.long.extend_from_slice(self.buffer.get(self.start..self.start + LINE_MAX).unwrap_or_default());
        loop {
            let pending = self.buffer.get(self.start..self.end).unwrap_or_default();
            let found = memchr::memchr(b'\n', pending);
            let skipped = found.map_or(pending.len(), |found| found + 1);
            self.start += skipped;
            self.bytes += skipped as u64;
            if found.is_some() || !self.fill()? {
                return Ok(Line { bytes: &self.long, ended: found.is_some() });
            }
        }
    }

    /// Reads more behind what is pending. False at the end of the stream.
    fn fill(&mut self) -> io::Result<bool> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        loop {
            match self.stream.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => return Ok(false),
                Ok(read) => {
                    self.end += read;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Where the lines of a block stand, without `\n` or `\r\n`, cut to [`LINE_MAX`].
pub fn lines_of(block: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = block.get(start..).filter(|rest| !rest.is_empty())?;
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.get(..length.min(LINE_MAX))?;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let range = start..start + line.len();
        start += length + 1;
        Some(range)
    })
}

/// Blocks of whole lines of a stream. Lines of more than a block are cut to one.
#[derive(Debug)]
pub struct Blocks<R> {
    stream: R,
    /// The begin of a line, whose end is in the next block.
    rest: Vec<u8>,
    /// Whether the rest of a line that was too long is on its way.
    skipping: bool,
    /// The stream came to its end. What is written behind it meanwhile is not read.
    ended: bool,
}

impl<R: Read> Blocks<R> {
    /// Reads from `stream`, which needs no buffer of its own.
    pub const fn new(stream: R) -> Self {
        Self { stream, rest: Vec::new(), skipping: false, ended: false }
    }

    /// Puts the next block into `block`, in place of what is there. It ends with a line break, but for the last one of the
    /// stream. False at the end.
    ///
    /// # Errors
    /// When the stream cannot be read or unpacked.
    pub fn next_block(&mut self, block: &mut Vec<u8>) -> io::Result<bool> {
        block.clear();
        while !self.ended {
            block.append(&mut self.rest);
            block.reserve(BLOCK);
            self.ended = self.stream.by_ref().take(BLOCK as u64).read_to_end(block)? == 0;
            if self.skipping {
                let end = memchr::memchr(b'\n', block);
                self.skipping = end.is_none();
                block.drain(..end.map_or(block.len(), |end| end + 1));
            }
            if self.ended {
                return Ok(!block.is_empty());
            }
            if let Some(end) = memchr::memrchr(b'\n', block) {
                self.rest.extend(block.drain(end + 1..));
                return Ok(true);
            }
            // Of a line that is longer than a block only the begin counts.
            if block.len() > LINE_MAX {
                self.skipping = true;
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// All lines, each as its length and first bytes, and how many were cut.
    fn read(stream: impl Read + Send) -> (Vec<String>, u64) {
        let mut lines = Lines::new(unpacked(stream).expect("readable"));
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().expect("readable") {
            all.push(String::from_utf8_lossy(line.bytes).into_owned());
        }
        (all, lines.cut())
    }

    /// A stream that gives one byte at a time.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = usize::from(!self.0.is_empty()).min(buffer.len());
            let (head, tail) = self.0.split_at(length);
            buffer[..length].copy_from_slice(head);
            self.0 = tail;
            Ok(length)
        }
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).expect("in memory");
        encoder.finish().expect("in memory")
    }

    #[test]
    fn splits_lines_of_any_ending() {
        let text = "one\ntwo\r\n\nlast";
        let expected = vec!["one".to_owned(), "two".into(), "".into(), "last".into()];
        assert_eq!(read(text.as_bytes()), (expected.clone(), 0));
        assert_eq!(read(Drops(text.as_bytes())), (expected, 0));
        assert_eq!(read(&b""[..]), (vec![], 0));
    }

    #[test]
    fn blocks_hold_the_same_lines() {
        let long = "y".repeat(3 * BLOCK);
        let texts = [
            String::new(),
            "\n".into(),
            "a".into(),
            "a\nb\n".repeat(BLOCK / 3),
            format!("{long}\nb\n{long}\nc"),
        ];
        for text in texts {
            let mut blocks = Blocks::new(text.as_bytes());
            let (mut lines, mut block) = (Vec::new(), vec![7; 3]);
            while blocks.next_block(&mut block).expect("readable") {
                assert!(block.len() <= 2 * BLOCK + LINE_MAX);
                lines.extend(lines_of(&block).map(|line| String::from_utf8_lossy(&block[line]).into_owned()));
            }
            assert!(lines == read(text.as_bytes()).0, "{:.20}", text);
        }
    }

    #[test]
    fn tells_whether_a_line_ended() {
        for text in ["one\ntwo".to_owned(), format!("one\n{}", "x".repeat(3 * BLOCK))] {
            let mut lines = Lines::new(text.as_bytes());
            assert_eq!(lines.next_line().unwrap(), Some(Line { bytes: b"one", ended: true }));
            assert!(!lines.next_line().unwrap().unwrap().ended);
        }
    }

    #[test]
    fn unpacks_gzip_of_several_members_and_leaves_padding_out() {
        let padding = vec![0; 2 * CHUNK];
        let packed = [gzip("one\nt"), gzip("wo\n")].concat();
        assert_eq!(read(&packed[..]).0, ["one", "two"]);
        let packed = [gzip("one\nt"), padding.clone(), gzip("wo\n"), padding].concat();
        assert_eq!(read(&packed[..]).0, ["one", "two"]);
        assert_eq!(read(Drops(&packed)).0, ["one", "two"]);
        let garbage = [gzip("one\n"), b"two\n".to_vec()].concat();
        let mut lines = Lines::new(unpacked(&garbage[..]).unwrap());
        assert_eq!(lines.next_line().unwrap().unwrap().bytes, b"one");
        assert!(lines.next_line().is_err());
    }

    #[test]
    fn tells_when_the_packed_file_was_changed_last() {
        let packed = |seconds| {
            let mut encoder = flate2::GzBuilder::new().mtime(seconds).write(Vec::new(), Compression::fast());
            encoder.write_all(b"one\n").expect("in memory");
            encoder.finish().expect("in memory")
        };
        let changed = |stream: &[u8]| unpacked_and_dated(stream).unwrap().1.known();
        assert_eq!(changed(&packed(1_700_000_000)), Some(Millis::from_secs(1_700_000_000)));
        assert_eq!(changed(&packed(0)), None);
        assert_eq!(changed(b"one\n"), None);
        let several = [packed(1_700_000_000), packed(1_710_000_000), packed(0)].concat();
        let (stream, changed) = unpacked_and_dated(&several[..]).unwrap();
        let mut lines = Lines::new(stream);
        for expected in [1_700_000_000, 1_710_000_000, 0] {
            assert!(lines.next_line().unwrap().is_some());
            assert_eq!(changed.known().map_or(0, Millis::secs), expected);
        }
    }

    #[test]
    fn reports_a_broken_archive() {
        let packed = gzip(&"line\n".repeat(10_000));
        let mut lines = Lines::new(unpacked(&packed[..packed.len() / 2]).expect("readable"));
        let outcome = loop {
            match lines.next_line() {
                Ok(Some(_)) => {}
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.kind()),
            }
        };
        assert_eq!(outcome, Err(io::ErrorKind::UnexpectedEof));
    }

    #[test]
    fn cuts_and_counts_long_lines_and_goes_on_behind_them() {
        for length in [LINE_MAX, LINE_MAX + 1, LINE_MAX + BLOCK, 3 * BLOCK] {
            let text = format!("a\n{}\nb\nc", "x".repeat(length));
            let (lines, cut) = read(text.as_bytes());
            let lengths: Vec<usize> = lines.iter().map(String::len).collect();
            assert_eq!(lengths, [1, length.min(LINE_MAX), 1, 1], "{length}");
            assert_eq!(cut, u64::from(length > LINE_MAX));
            let (lines, _) = read(Drops(text.as_bytes()));
            assert_eq!(lines.len(), 4);
        }
    }

    #[test]
    fn counts_bytes() {
        let mut lines = Lines::new(&b"one\ntwo"[..]);
        while lines.next_line().expect("readable").is_some() {}
        assert_eq!(lines.bytes(), 7);
    }
}
