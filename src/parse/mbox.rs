//! The mails of an mbox file, one after the other, so that a file of any size takes little memory (RFC 4155, and the
//! quoting of `mboxrd`).

use std::io::{self, BufRead, Read};

/// What is read at once of a line: lines may have any length.
const PIECE: u64 = 64 * 1024;

/// Whether a file begins like an mbox.
pub fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(b"From ")
}

/// One mail of an mbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mail {
    /// A whole mail.
    Whole(Vec<u8>),
    /// A mail that is longer than wanted, with its size. It was skipped.
    TooLong(usize),
}

/// Reads mails of bounded length from a stream.
#[derive(Debug)]
pub struct Mails<R> {
    stream: R,
    limit: usize,
    piece: Vec<u8>,
    /// The line that begins the next mail has been read.
    begun: bool,
}

impl<R: BufRead> Mails<R> {
    /// Reads mails of at most `limit` bytes.
    pub const fn new(stream: R, limit: usize) -> Self {
        Self { stream, limit, piece: Vec::new(), begun: false }
    }

    /// The next mail, or `None` at the end.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub fn next_mail(&mut self) -> io::Result<Option<Mail>> {
        let mut mail = Vec::new();
        let mut length = 0;
        let mut line_begins = true;
        // A mail begins behind an empty line only: elsewhere the word stands in a text.
        let mut after_empty = true;
        while self.read_piece()? {
            let is_border = line_begins && after_empty && begins(&self.piece);
            if is_border && std::mem::replace(&mut self.begun, true) {
                return Ok(Some(whole(mail, length, self.limit)));
            }
            if line_begins {
                after_empty = matches!(&self.piece[..], b"\n" | b"\r\n");
            }
            line_begins = self.piece.ends_with(b"\n");
            if !is_border {
                let line = unquoted(&self.piece);
                length += line.len();
                if length <= self.limit {
                    mail.extend_from_slice(line);
                }
            }
        }
        let begun = std::mem::replace(&mut self.begun, false);
        Ok(begun.then(|| whole(mail, length, self.limit)))
    }

    /// Reads a line or a piece of a long one. False at the end.
    fn read_piece(&mut self) -> io::Result<bool> {
        self.piece.clear();
        Ok(self.stream.by_ref().take(PIECE).read_until(b'\n', &mut self.piece)? > 0)
    }
}

fn whole(mail: Vec<u8>, length: usize, limit: usize) -> Mail {
    if length > limit { Mail::TooLong(length) } else { Mail::Whole(mail) }
}

/// The line without the `>` that keeps it from looking like the begin of a mail.
fn unquoted(line: &[u8]) -> &[u8] {
    let quotes = line.iter().take_while(|byte| **byte == b'>').count();
    match line.get(quotes..) {
        Some(rest) if quotes > 0 && begins(rest) => line.get(1..).unwrap_or_default(),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mails(text: &str, limit: usize) -> Vec<Mail> {
        let mut mails = Mails::new(text.as_bytes(), limit);
        std::iter::from_fn(|| mails.next_mail().expect("in memory")).collect()
    }

    #[test]
    fn mails_are_told_apart() {
        let text =
            "From a Sun Nov  1\nA: 1\n\nFromage\n>From x\nFrom here on\n\nFrom b Mon\r\nB: 2\r\n\r\nFrom c\n";
        let expected = ["A: 1\n\nFromage\nFrom x\nFrom here on\n\n", "B: 2\r\n\r\n", ""];
        let expected: Vec<Mail> = expected.iter().map(|mail| Mail::Whole((*mail).into())).collect();
        assert_eq!(mails(text, 1000), expected);
        assert_eq!(mails("", 1000), []);
    }

    #[test]
    fn a_long_mail_is_skipped_and_its_neighbours_are_read() {
        let text = format!("From a\nA: 1\n\nFrom b\n{}\n\nFrom c\nC: 3\n", "x".repeat(300_000));
        let expected =
            [Mail::Whole(b"A: 1\n\n".into()), Mail::TooLong(300_002), Mail::Whole(b"C: 3\n".into())];
        assert_eq!(mails(&text, 100_000), expected);
        assert_eq!(mails(&text, 300_002).len(), 3);
    }
}
