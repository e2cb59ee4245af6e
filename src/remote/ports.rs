//! Ports of the mail host: whether somebody listens.

use std::time::Duration;

use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{
    Cause, Error,
    dialogue::{Dialogue, Speech},
    http::shown,
};

/// How encryption begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// With the first byte.
    Implicit,
    /// When asked for.
    StartTls,
}

/// A port, and what is spoken there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// Its number, which tells what is offered there.
    pub number: u16,
    /// Where that is reached, where something between gives it another number.
    pub at: u16,
    /// The protocol.
    pub speech: Speech,
    /// How encryption begins.
    pub encryption: Encryption,
}

impl Port {
    /// What is spoken at a port by its number, as IANA and Mailcow have it; a web server anywhere else.
    pub const fn usual(number: u16) -> Self {
        let (speech, encryption) = match number {
            25 | 587 => (Speech::Smtp, Encryption::StartTls),
            143 => (Speech::Imap, Encryption::StartTls),
            110 => (Speech::Pop3, Encryption::StartTls),
            4190 => (Speech::Sieve, Encryption::StartTls),
            465 => (Speech::Smtp, Encryption::Implicit),
            993 => (Speech::Imap, Encryption::Implicit),
            995 => (Speech::Pop3, Encryption::Implicit),
            _ => (Speech::Silent, Encryption::Implicit),
        };
        Self { number, at: number, speech, encryption }
    }
}

/// A host by the name that its certificates are for, and where it is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer<'a> {
    /// Its name.
    pub name: &'a str,
    /// A name or an address that leads to it from here.
    pub via: &'a str,
}

impl<'a> From<&'a str> for Peer<'a> {
    fn from(name: &'a str) -> Self {
        Self { name, via: name }
    }
}

/// A connection. An error of [`Cause::Connect`] or [`Cause::Timeout`] says that nobody is there.
///
/// # Errors
/// When there is no connection in time, or no such host.
pub async fn connect(host: &str, port: u16, patience: Duration) -> Result<TcpStream, Error> {
    let failed = |cause| Error { target: format!("port {port} of {host}"), cause };
    let stream = timeout(patience, TcpStream::connect((bare(host), port))).await;
    let stream = stream.map_err(|_| failed(Cause::Timeout))?;
    let stream = stream.map_err(|error| failed(Cause::Connect(shown(&error.to_string()))))?;
    // What is said is short and waits for its answer.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// Whether a host can be found at all.
///
/// # Errors
/// When its name has no address, or the name servers of this machine do not answer.
pub async fn find(host: &str, patience: Duration) -> Result<(), Error> {
    let failed = |cause| Error { target: host.to_owned(), cause };
    let found = timeout(patience, tokio::net::lookup_host((bare(host), 0))).await;
    let found = found.map_err(|_| failed(Cause::Timeout))?;
    found.map(drop).map_err(|error| failed(Cause::Connect(shown(&error.to_string()))))
}

/// An IPv6 address without its brackets.
pub(super) fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// How long it took until somebody accepted the connection; `None`: nobody listens. The server is greeted and left with the
/// proper word, so that its log tells of no lost connection; what it says does not matter.
pub async fn open_after(host: &str, port: Port, patience: Duration) -> Option<Duration> {
    let start = Instant::now();
    let stream = connect(host, port.at, patience).await.ok()?;
    let took = start.elapsed();
    if port.encryption == Encryption::StartTls {
        let mut dialogue = Dialogue::new(stream);
        let greeted = timeout(patience, port.speech.greeting(&mut dialogue)).await;
        let word = if matches!(greeted, Ok(Ok(()))) { port.speech.farewell() } else { "" };
        let _ = timeout(patience, dialogue.end(word)).await;
    }
    Some(took)
}
