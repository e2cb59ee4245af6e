//! Byte lines of bounded length from a stream that may be gzipped.

use std::{
    io::{self, BufReader, Cursor, Read},
    ops::Range,
};

use flate2::bufread::MultiGzDecoder;

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
pub fn unpacked<'a, R: Read + Send + 'a>(mut stream: R) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut first = Vec::with_capacity(GZIP.len());
    stream.by_ref().take(GZIP.len() as u64).read_to_end(&mut first)?;
    let packed = first == GZIP;
    let stream = Cursor::new(first).chain(stream);
    if packed {
        return Ok(Box::new(MultiGzDecoder::new(BufReader::with_capacity(CHUNK, stream))));
    }
    Ok(Box::new(stream))
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
    pub fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
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
    fn take(&mut self, length: usize, line_break: usize) -> &[u8] {
        let from = self.start;
        self.start += length + line_break;
        self.bytes += (length + line_break) as u64;
        self.cut += u64::from(length > LINE_MAX);
        let line = self.buffer.get(from..from + length.min(LINE_MAX)).unwrap_or_default();
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// Gives out the start of a line that is too long, and skips the rest of it.
    fn take_cut(&mut self) -> io::Result<&[u8]> {
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
                return Ok(&self.long);
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
            all.push(String::from_utf8_lossy(line).into_owned());
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
    fn unpacks_gzip_of_several_members() {
        let packed = [gzip("one\nt"), gzip("wo\n")].concat();
        assert_eq!(read(&packed[..]).0, ["one", "two"]);
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
