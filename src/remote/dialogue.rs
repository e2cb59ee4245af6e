//! Short dialogues in lines, as mail servers, Memcached and clamd speak them. The caller sets the time-out of the whole.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Cause, http::shown};

/// So many bytes may one peer say in a whole dialogue.
const MOST: usize = 64 << 10;

/// A line of dialogue with a peer.
pub struct Dialogue<S> {
    stream: S,
    ahead: Vec<u8>,
    left: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialogue<S> {
    /// A dialogue; nothing is said yet.
    pub fn new(stream: S) -> Self {
        Self { stream, ahead: Vec::new(), left: MOST }
    }

    /// The peer's next line, without its end.
    ///
    /// # Errors
    /// When the connection ends or breaks, or when the peer says too much.
    pub async fn line(&mut self) -> Result<String, Cause> {
        loop {
            if let Some(end) = self.ahead.iter().position(|&byte| byte == b'\n' || byte == 0) {
                let line: Vec<u8> = self.ahead.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n', '\0']).to_owned());
            }
            let mut piece = [0_u8; 2048];
            let length = self.stream.read(&mut piece).await.map_err(|error| broken(&error))?;
            if length == 0 {
                return Err(Cause::Broken("the server ended the connection".to_owned()));
            }
            self.left = self.left.checked_sub(length).ok_or(Cause::TooLarge(MOST))?;
            self.ahead.extend_from_slice(piece.get(..length).unwrap_or_default());
        }
    }

    /// Says something.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn send(&mut self, text: &str) -> Result<(), Cause> {
        self.stream.write_all(text.as_bytes()).await.map_err(|error| broken(&error))?;
        self.stream.flush().await.map_err(|error| broken(&error))
    }

    /// Ends it: says the word, if there is one, and hangs up.
    pub async fn end(mut self, word: &str) {
        // Who hangs up has no use for errors any more.
        let _ = self.send(word).await;
        let _ = self.stream.shutdown().await;
    }

    /// The bare connection, to be encrypted.
    ///
    /// # Errors
    /// When the peer has already said more: somebody in between could have put words into its mouth.
    pub fn into_stream(self) -> Result<S, Cause> {
        if self.ahead.is_empty() {
            return Ok(self.stream);
        }
        Err(Cause::Tls("the server goes on in clear text after STARTTLS".to_owned()))
    }

    /// An SMTP reply: its code, and its lines as one (RFC 5321 section 4.2).
    ///
    /// # Errors
    /// As [`Dialogue::line`], and when what comes is no reply.
    pub async fn smtp(&mut self) -> Result<(u16, String), Cause> {
        let mut text = String::new();
        loop {
            let line = self.line().await?;
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let Some(code) = code.filter(|code| (200..600).contains(code)) else {
                return Err(unexpected(&line));
            };
            text.push_str(line.get(4..).unwrap_or_default());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok((code, shown(&text)));
            }
            text.push(' ');
        }
    }
}

/// What a server of a kind of mail protocol says and wants to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// RFC 5321; STARTTLS of RFC 3207.
    Smtp,
    /// RFC 9051.
    Imap,
    /// RFC 1939; STLS of RFC 2595.
    Pop3,
    /// ManageSieve, RFC 5804.
    Sieve,
    /// The client speaks first, as with HTTP.
    Silent,
}

impl Speech {
    /// Hears the greeting out.
    ///
    /// # Errors
    /// When it does not come, or is none of this protocol.
    pub async fn greeting<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        with: &mut Dialogue<S>,
    ) -> Result<(), Cause> {
        match self {
            Self::Smtp => match with.smtp().await? {
                (220, _) => Ok(()),
                (code, text) => Err(Cause::Answer(format!("{code} {text}"))),
            },
            Self::Imap => expect(&with.line().await?, "* OK"),
            Self::Pop3 => expect(&with.line().await?, "+OK"),
            Self::Sieve => sieve(with).await,
            Self::Silent => Ok(()),
        }
    }

    /// Asks for encryption, after the greeting.
    ///
    /// # Errors
    /// When the server does not want to encrypt.
    pub async fn start_tls<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        with: &mut Dialogue<S>,
        own: &str,
    ) -> Result<(), Cause> {
        let refused = |text: String| Cause::Tls(format!("the server does not encrypt: {text}"));
        match self {
            Self::Smtp => {
                with.send(&format!("EHLO {own}\r\n")).await?;
                let (code, text) = with.smtp().await?;
                if code != 250 {
                    return Err(Cause::Answer(format!("{code} {text}")));
                }
                with.send("STARTTLS\r\n").await?;
                match with.smtp().await? {
                    (220, _) => Ok(()),
                    (code, text) => Err(refused(format!("{code} {text}"))),
                }
            }
            Self::Imap => {
                with.send("S1 STARTTLS\r\n").await?;
                loop {
                    let line = with.line().await?;
                    if !line.starts_with('*') {
                        return expect(&line, "S1 OK").map_err(|_| refused(shown(&line)));
                    }
                }
            }
            Self::Pop3 => {
                with.send("STLS\r\n").await?;
                let line = with.line().await?;
                expect(&line, "+OK").map_err(|_| refused(shown(&line)))
            }
            Self::Sieve => {
                with.send("STARTTLS\r\n").await?;
                sieve(with).await.map_err(|cause| refused(cause.to_string()))
            }
            Self::Silent => Err(refused("this protocol has no STARTTLS".to_owned())),
        }
    }

    /// The last word, so that the server's log has no lost connection.
    pub const fn farewell(self) -> &'static str {
        match self {
            Self::Smtp | Self::Pop3 => "QUIT\r\n",
            Self::Imap => "S2 LOGOUT\r\n",
            Self::Sieve => "LOGOUT\r\n",
            Self::Silent => "",
        }
    }
}

/// Capabilities until `OK`.
async fn sieve<S: AsyncRead + AsyncWrite + Unpin>(with: &mut Dialogue<S>) -> Result<(), Cause> {
    loop {
        let line = with.line().await?;
        if !line.starts_with('"') {
            return expect(&line, "OK");
        }
    }
}

fn expect(line: &str, word: &str) -> Result<(), Cause> {
    let begin = line.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
    if begin { Ok(()) } else { Err(unexpected(line)) }
}

fn unexpected(line: &str) -> Cause {
    Cause::Answer(shown(line).chars().take(100).collect())
}

fn broken(error: &std::io::Error) -> Cause {
    Cause::Broken(shown(&error.to_string()))
}
