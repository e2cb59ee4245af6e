//! The only room that opens outgoing connections. One file per kind of peer; every failure is typed, because
//! a failure is also something to show.

pub mod clamd;
pub mod dialogue;
pub mod dns;
pub mod docker;
pub mod health;
pub mod http;
pub mod imap;
pub mod mailcow;
pub mod memcached;
pub mod oauth;
pub mod objects;
pub mod outside;
pub mod portal;
pub mod ports;
pub mod releases;
pub mod smtp;
pub mod status;
pub mod tls;

/// A request that failed: whom we asked, and why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{target}: {cause}")]
pub struct Error {
    /// What was asked, without secrets: `Mailcow get/logs/postfix/1000`.
    pub target: String,
    /// What went wrong.
    pub cause: Cause,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// No connection; the text says why (refused, no such host).
    #[error("cannot be reached ({0})")]
    Connect(String),
    /// The connection cannot be trusted (certificate).
    #[error("the secure connection failed ({0})")]
    Tls(String),
    /// The connection broke while the answer came.
    #[error("the connection broke ({0})")]
    Broken(String),
    /// 401 or 403: the key or the address is not allowed. Mailcow bans those who keep trying.
    #[error("refused with {status}: {text}")]
    Refused {
        /// 401 or 403.
        status: u16,
        /// The peer's words.
        text: String,
    },
    /// 200 with an empty body: Mailcow did not recognise the key as one.
    #[error("an empty answer: the key was not recognised")]
    NotAuthenticated,
    /// HTML where JSON was expected: a proxy or an error page answered.
    #[error("a web page instead of data")]
    Html,
    /// JSON that ends early or is none, or another shape than documented.
    #[error("unreadable data ({0})")]
    Json(String),
    /// `{}` where Mailcow thereby says that there is no such object.
    #[error("no such object")]
    Missing,
    /// More bytes than we are willing to take.
    #[error("an answer of more than {0} bytes")]
    TooLarge(usize),
    /// A redirect, which is never followed; the text is where to.
    #[error("a redirect to {0}")]
    Redirect(String),
    /// Another status than 200.
    #[error("an error with {status}: {text}")]
    Status {
        /// The status.
        status: u16,
        /// The begin of the body, as plain text.
        text: String,
    },
    /// A name server answers, but without an answer; the text is its code (`Server Failure`).
    #[error("the name server failed ({0})")]
    Dns(String),
    /// A mailbox refused name or password, with these words.
    #[error("the login was refused: {0}")]
    Denied(String),
    /// A mailbox answered a command with NO or BAD, and these words.
    #[error("the server answered {0}")]
    Answer(String),
    /// What came is no IMAP.
    #[error("this is no mailbox server ({0})")]
    Garbled(String),
    /// The question cannot be asked: an argument holds characters that no Mailcow object has.
    #[error("the name cannot be asked for")]
    BadName,
}

impl Error {
    /// Whether the peer is away or ill, so that asking again later may help.
    pub fn is_outage(&self) -> bool {
        !matches!(self.cause, Cause::Missing | Cause::BadName)
    }

    /// Whether the connection to a mailbox is of no more use: the server did more than answer NO.
    pub fn ends_session(&self) -> bool {
        !matches!(self.cause, Cause::Answer(_))
    }
}
