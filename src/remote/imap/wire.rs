//! The line to an IMAP server: answers come in whole, and none costs more memory or time than its limits.
//!
//! A literal that is announced larger than allowed is refused before a byte of it is read.

use std::{io, pin::Pin, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    time::{Sleep, sleep, timeout},
};

use super::{
    Cause,
    answer::{Raw, may_hold_literals},
};

/// Longest line of an answer, in bytes, all lines of an answer together.
const LINE: usize = 64 << 10;
/// Bytes of literals in the answers to a command that asks for none.
pub const SMALL: usize = 4 << 10;
/// Bytes read at once.
const PIECE: usize = 16 << 10;

/// Anything that bytes go in and out of.
pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// What one connection may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To connect, and again to agree on encryption.
    pub connect: Duration,
    /// Longest silence of the server, and longest wait to be rid of a command.
    pub step: Duration,
    /// Everything from the connection to the end.
    pub total: Duration,
    /// Bytes of one mail.
    pub mail: usize,
    /// Bytes of everything.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            step: Duration::from_secs(30),
            total: Duration::from_secs(30 * 60),
            mail: 16 << 20,
            bytes: 2 << 30,
        }
    }
}

/// The line.
pub struct Wire {
    stream: BufReader<Box<dyn Stream>>,
    end: Pin<Box<Sleep>>,
    step: Duration,
    /// Bytes that may still come.
    left: u64,
    /// Bytes of literals that the present command may still bring.
    room: usize,
}

impl Wire {
    /// A line over this stream, which ends when `limits.total` has passed.
    pub fn new(stream: Box<dyn Stream>, limits: &Limits) -> Self {
        Self {
            stream: BufReader::with_capacity(PIECE, stream),
            end: Box::pin(sleep(limits.total)),
            step: limits.step,
            left: limits.bytes,
            room: SMALL,
        }
    }

    /// Begins a command whose answers have at most this many bytes of literals, all together.
    pub fn allow(&mut self, literals: usize) {
        self.room = literals;
    }

    /// The stream itself, to be encrypted. Refused when more came than was asked for: what was said before the
    /// encryption must not count as said under it (CVE-2011-0411).
    pub fn into_stream(self) -> Result<Box<dyn Stream>, Cause> {
        if !self.stream.buffer().is_empty() {
            return Err(Cause::Tls("the server said more before the encryption began".to_owned()));
        }
        Ok(self.stream.into_inner())
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        let stream = self.stream.get_mut();
        let sent = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        within(&mut self.end, self.step, sent).await
    }

    /// The next answer.
    pub async fn answer(&mut self) -> Result<Raw, Cause> {
        let mut raw = Raw::default();
        loop {
            self.line(&mut raw.line).await?;
            let Some(size) = announced(&raw.line).filter(|_| may_hold_literals(&raw.line)) else {
                return Ok(raw);
            };
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            self.room = self.room.checked_sub(size).ok_or(Cause::TooLarge(self.room))?;
            raw.line.push(b'\n');
            raw.literals.push(self.literal(size).await?);
        }
    }

    /// Appends the next line without its end.
    async fn line(&mut self, line: &mut Vec<u8>) -> Result<(), Cause> {
        loop {
            let piece = self.piece().await?;
            let end = piece.iter().position(|byte| *byte == b'\n');
            let wanted = end.unwrap_or(piece.len());
            if line.len() + wanted > LINE {
                return Err(Cause::TooLarge(LINE));
            }
            line.extend_from_slice(piece.get(..wanted).unwrap_or_default());
            let taken = end.map_or(wanted, |end| end + 1);
            self.take(taken);
            if end.is_some() {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(());
            }
        }
    }

    /// The next `size` bytes. Memory is taken as they come.
    async fn literal(&mut self, size: usize) -> Result<Vec<u8>, Cause> {
        let mut bytes = Vec::new();
        while bytes.len() < size {
            let piece = self.piece().await?;
            let wanted = piece.len().min(size - bytes.len());
            bytes.extend_from_slice(piece.get(..wanted).unwrap_or_default());
            self.take(wanted);
        }
        Ok(bytes)
    }

    fn take(&mut self, bytes: usize) {
        self.stream.consume(bytes);
        self.left = self.left.saturating_sub(bytes as u64);
    }

    /// What came in, at least one byte.
    async fn piece(&mut self) -> Result<&[u8], Cause> {
        if self.left == 0 {
            return Err(Cause::Broken("more data than one run takes".to_owned()));
        }
        let piece = within(&mut self.end, self.step, self.stream.fill_buf()).await?;
        if piece.is_empty() {
            return Err(Cause::Broken("the server ended it".to_owned()));
        }
        Ok(piece)
    }
}

async fn within<T>(
    end: &mut Pin<Box<Sleep>>,
    step: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, Cause> {
    tokio::select! {
        biased;
        () = end.as_mut() => Err(Cause::Timeout),
        done = timeout(step, work) => match done {
            Err(_) => Err(Cause::Timeout),
            Ok(done) => done.map_err(|error| Cause::Broken(error.to_string())),
        }
    }
}

/// The size in a `{size}` at the end of a line. One that no number holds is too large in any case.
fn announced(line: &[u8]) -> Option<u64> {
    let digits = line.strip_suffix(b"}")?;
    let begin = digits.iter().rposition(|byte| !byte.is_ascii_digit())?;
    let (b'{', digits) = digits.get(begin..)?.split_first()? else { return None };
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.is_empty())?;
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    async fn told(bytes: &[u8], limits: Limits, most: usize) -> Result<Raw, Cause> {
        let (mut server, client) = duplex(1 << 20);
        server.write_all(bytes).await.unwrap();
        let mut wire = Wire::new(Box::new(client), &limits);
        wire.allow(most);
        let answer = wire.answer().await;
        drop(server);
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_comes_with_its_literals() {
        let raw = told(b"* 1 FETCH (BODY[] {4}\r\nab\r\n X {0}\r\n)\r\nA1 OK\r\n", Limits::default(), 9)
            .await
            .unwrap();
        assert_eq!(raw.line, b"* 1 FETCH (BODY[] {4}\n X {0}\n)");
        assert_eq!(raw.literals, [b"ab\r\n".to_vec(), Vec::new()]);
        let raw = told(b"A1 NO see {4}\r\n", Limits::default(), 9).await.unwrap();
        assert_eq!(raw.line, b"A1 NO see {4}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_literal_that_is_too_large_is_refused_before_it_comes() {
        for size in ["10", "4000000000", "99999999999999999999999"] {
            let line = format!("* 1 FETCH (BODY[] {{{size}}}\r\n");
            assert_eq!(told(line.as_bytes(), Limits::default(), 9).await, Err(Cause::TooLarge(9)));
        }
        // Several together, too.
        let line = b"* 1 FETCH (A {9}\r\n123456789 B {1}\r\n";
        assert_eq!(told(line, Limits::default(), 9).await, Err(Cause::TooLarge(0)));
    }

    #[tokio::test(start_paused = true)]
    async fn lines_bytes_and_time_have_limits() {
        let endless = vec![b'x'; LINE + 1];
        assert_eq!(told(&endless, Limits::default(), 9).await, Err(Cause::TooLarge(LINE)));
        assert_eq!(told(b"* OK no end", Limits::default(), 9).await, Err(Cause::Timeout));
        let few = Limits { bytes: 4, ..Limits::default() };
        assert!(matches!(told(b"* 1 FETCH (BODY[] {9}\r\n12", few, 9).await, Err(Cause::Broken(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_drips_meets_the_end_of_the_whole() {
        let limits = Limits { total: Duration::from_secs(100), ..Limits::default() };
        let (mut server, client) = duplex(64);
        let drip = tokio::spawn(async move {
            for _ in 0..50 {
                sleep(Duration::from_secs(20)).await;
                if server.write_all(b"x").await.is_err() {
                    return;
                }
            }
        });
        assert_eq!(Wire::new(Box::new(client), &limits).answer().await, Err(Cause::Timeout));
        drip.abort();
    }
}
