//! What the logs say: a line, and the fact that a line states about a mail.
//!
//! Facts borrow from the line (or from the stored story), so that parsing allocates nothing. Their
//! variants stand in the order in which they happen in the life of a mail: the derived `Ord` is the
//! canonical order of facts of one moment, which makes a mail independent of the order of arrival.

use serde::{Deserialize, Serialize};

use super::{scope::normalise_address, time::Millis};

/// One log line as the Mailcow API or a syslog file gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// When it was logged; whole seconds from the Mailcow API.
    pub at: Millis,
    /// syslog program without pid, such as `postfix/submission/smtpd`.
    pub program: &'a str,
    /// The message behind the program, unchanged.
    pub text: &'a str,
}

/// What a Postfix line turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Parsed<'a> {
    /// It states a fact about the mail with this queue id.
    Mail {
        /// Postfix queue id, short or long (postconf(5) `enable_long_queue_ids`).
        queue_id: &'a str,
        /// What is said.
        fact: Fact<'a>,
    },
    /// A mail was refused, held or thrown away before it got a queue id (`NOQUEUE:`).
    Refused(Refusal<'a>),
    /// An encrypted session began; belongs to the next mail of that peer.
    Session(Session<'a>),
    /// A line of a known kind that says nothing about a mail.
    Noise,
    /// A line that no rule knows. Counted and shown to admins, never guessed.
    Unknown,
}

/// A TLS session (`... TLS connection established from|to PEER: PROTOCOL with cipher ...`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Session<'a> {
    /// `HOST[IP]` for incoming, `HOST[IP]:PORT` for outgoing sessions.
    pub peer: &'a str,
    /// Protocol name, such as `TLSv1.3`.
    pub protocol: &'a str,
    /// True for outgoing (`to`), false for incoming (`from`) sessions.
    pub outgoing: bool,
}

/// A fact with its moment and daemon; what a story is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Event<'a> {
    /// When it was logged.
    pub at: Millis,
    /// What happened.
    #[serde(borrow)]
    pub fact: Fact<'a>,
    /// syslog program, such as `postfix/lmtp`.
    pub program: &'a str,
}

impl<'a> Event<'a> {
    /// The message id, where this fact tells it.
    pub fn message_id(&self) -> Option<&'a str> {
        match self.fact {
            Fact::MessageId(id) => Some(id),
            _ => None,
        }
    }
}

/// One fact about one mail. Variants stand in order of life; see the module's doc.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Fact<'a> {
    /// `client=HOST[IP]`: smtpd takes a mail; says who was logged in.
    #[serde(borrow)]
    Client(Client<'a>),
    /// `uid=N from=<...>`: handed in by a local program (pickup).
    Pickup {
        /// Numeric user id.
        uid: u32,
        /// Envelope sender.
        sender: &'a str,
    },
    /// `message-id=<...>`, without the angle brackets where they were there.
    MessageId(&'a str),
    /// This mail is a notice about another one, or went on from it under a new queue id.
    Parent {
        /// Queue id of the other mail.
        queue_id: &'a str,
        /// Which notice this is; `None` when the other mail was forwarded or re-injected.
        kind: Option<NoticeKind>,
    },
    /// The spam filter's verdict, from Rspamd's history.
    Checked(Checked<'a>),
    /// What an access table, a check or a milter has against the mail (`milter-reject`, `hold`, `discard`, ...).
    Refused(Refusal<'a>),
    /// `placed on hold` (postsuper); waits for an admin. `hold:` of older stories.
    Held {
        /// The text, or what stands behind `hold:` where nothing more can be read.
        reason: &'a str,
    },
    /// `discard:` of older stories, and where nothing more can be read.
    Discarded {
        /// The text behind `discard:`.
        reason: &'a str,
    },
    /// `released from hold` (postsuper).
    Released,
    /// `from=<...>, size=N, nrcpt=N (queue active)`.
    Queued {
        /// Envelope sender; empty for notices.
        sender: &'a str,
        /// Bytes in the queue file.
        size: u64,
        /// Recipients still in the envelope.
        nrcpt: u32,
    },
    /// One delivery attempt for one recipient.
    Attempt(Attempt<'a>),
    /// `status=expired, returned to sender` or `force-expired`.
    Expired {
        /// Envelope sender.
        sender: &'a str,
    },
    /// `sender non-delivery notification: QID` and its kin (bounce(8)).
    Notice {
        /// Which notice.
        kind: NoticeKind,
        /// Queue id of the notice itself.
        queue_id: &'a str,
    },
    /// Mailcow keeps a copy in quarantine.
    Quarantined,
    /// `removed`: the end of the queue id's life.
    Removed,
    /// What the PHP app kept of a mail whose log lines are gone. Behind the others, because stories are stored by place.
    Kept(Kept<'a>),
    /// An entry of the PHP app's history that is no line of Postfix.
    Noted {
        /// Its status as a `Status::code`; `unknown` where it may have been another.
        status: &'a str,
        /// Its text.
        text: &'a str,
    },
    /// `requeued` (postsuper): goes on under another queue id, which pickup(8) gives it.
    Requeued,
}

/// What the PHP app kept of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kept<'a> {
    /// Sender; empty for notices.
    pub sender: Option<&'a str>,
    /// Recipients, joined by line breaks.
    pub rcpts: &'a str,
    /// Client address.
    pub ip: Option<&'a str>,
    /// Bytes.
    pub size: Option<u64>,
    /// Decoded subject.
    pub subject: Option<&'a str>,
    /// A `Status::code`; `unknown` where it cannot be told.
    pub status: &'a str,
    /// It was handed in by somebody of ours.
    pub ours: bool,
}

/// `client=` line of smtpd(8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Client<'a> {
    /// Verified host name, or `unknown`.
    pub host: &'a str,
    /// Address without brackets; `unknown` where Postfix does not know it.
    pub ip: &'a str,
    /// `sasl_username`: who was logged in.
    pub login: Option<&'a str>,
    /// `orig_queue_id` after a content filter's re-injection (XFORWARD): the mail's first queue id.
    pub parent: Option<&'a str>,
    /// TLS protocol of the session, when a TLS line preceded.
    pub tls: Option<&'a str>,
}

/// One delivery attempt: `to=<...>, orig_to=<...>, relay=..., delay=..., delays=..., dsn=..., status=... (...)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt<'a> {
    /// Final recipient as on the envelope, without angle brackets.
    pub to: &'a str,
    /// Original recipient, when an alias changed it.
    pub orig_to: Option<&'a str>,
    /// `HOST[IP]:PORT`, `none`, `local`, `virtual`, a pipe's name or an LMTP socket.
    pub relay: &'a str,
    /// Seconds since arrival, as logged (`0.17`, `63495`).
    pub delay: &'a str,
    /// `a/b/c/d`: before the queue manager / in the queue / connecting / transmitting, in seconds.
    pub delays: &'a str,
    /// Enhanced status code (RFC 3463), `X.Y.Z`.
    pub dsn: &'a str,
    /// The word behind `status=`, unchanged: `sent`, `deferred`, `bounced`, `undeliverable`, ...
    pub status: &'a str,
    /// What stands in the parentheses, without them.
    pub reply: &'a str,
    /// TLS protocol or policy of the session, from a TLS line or Postfix's `tls=` field.
    pub tls: Option<&'a str>,
}

impl Attempt<'_> {
    /// Whether the server tries again. A failure for good is one for now with `soft_bounce = yes` (bounce(8)).
    pub fn is_deferred(&self) -> bool {
        matches!(self.status, "deferred" | "SOFTBOUNCE")
    }
}

/// What smtpd, cleanup or postscreen has against a mail: mostly a refusal, but see [`Action`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Refusal<'a> {
    /// The word before the stage: `reject`, `milter-reject`, `proxy-reject`, `hold`, `milter-discard`, ...
    pub verb: &'a str,
    /// `CONNECT`, `EHLO`, `MAIL`, `RCPT`, `DATA`, `END-OF-MESSAGE`, `VRFY`, `header`, `body`, `mime-error`, ...
    pub stage: &'a str,
    /// Client's host name; empty for postscreen, which knows only the address.
    pub host: &'a str,
    /// Client's address.
    pub ip: &'a str,
    /// Three-digit reply code; 0 where the line has none.
    pub code: u16,
    /// Enhanced status code; empty where the line has none.
    pub dsn: &'a str,
    /// The reply's text, from the reply code on (or from the enhanced code, where there is no reply code). What was
    /// found in the mail, where a check of its content has no text.
    pub reply: &'a str,
    /// Envelope sender, when the line names it.
    pub from: Option<&'a str>,
    /// Recipient, when the line names one. With several recipients, a milter's line names only the last.
    pub to: Option<&'a str>,
    /// `SMTP` or `ESMTP`.
    pub proto: &'a str,
    /// What the client called itself.
    pub helo: &'a str,
    /// `sasl_username` in newer Postfix lines.
    pub login: Option<&'a str>,
}

impl Refusal<'_> {
    /// What is done with the mail.
    pub fn action(&self) -> Action {
        match self.verb {
            "hold" | "milter-hold" => Action::Hold,
            "discard" | "milter-discard" => Action::Discard,
            _ => Action::Refuse,
        }
    }

    /// Who was logged in, where that is why the sender was refused: `reject_sender_login_mismatch` (postconf(5)) names who does
    /// not own the address. The address itself, which the client chose, stands before.
    pub fn other_login(&self) -> Option<&str> {
        let (_, login) = self.reply.strip_prefix("553 5.7.1 <")?.rsplit_once(OTHER_LOGIN)?;
        normalise_address(login).is_some().then_some(login)
    }

    /// Whether the client is told to keep the mail.
    pub fn refuses(&self) -> bool {
        self.action() == Action::Refuse
    }
}

/// What smtpd(8) says before the login that does not own a sender's address.
const OTHER_LOGIN: &str = ">: Sender address rejected: not owned by user ";

/// What access tables, header checks and milters do against a mail (access(5), header_checks(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The client is told to keep it.
    Refuse,
    /// It is taken, and waits for an admin.
    Hold,
    /// It is taken, and thrown away.
    Discard,
}

/// Whether the words of a refusal tell of a virus. Only a milter looks into mails; an address or a link that it quotes is
/// no word of its own.
pub fn names_virus(verb: &str, reply: &str) -> bool {
    let own = |word: &&str| !word.contains('@') && !word.contains("://");
    let mut words = outside_brackets(reply).flat_map(str::split_whitespace).filter(own);
    verb == "milter-reject" && words.any(|word| VIRUS.iter().any(|virus| holds(word, virus)))
}

/// What of a text stands outside of angle brackets.
fn outside_brackets(text: &str) -> impl Iterator<Item = &str> {
    let mut pieces = text.split('<');
    let first = pieces.next();
    let behind = |piece: &'_ str| piece.find('>').map_or(0, |end| end + 1);
    first.into_iter().chain(pieces.filter_map(move |piece| piece.get(behind(piece)..)))
}

/// What milters call a virus, or who found it.
const VIRUS: [&str; 3] = ["virus", "infected", "clamav"];

/// Whether a text holds a word in capital or small letters. `word` is in small ones.
pub(super) fn holds(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    let Some(first) = word.first() else { return true };
    memchr::memchr2_iter(*first, first.to_ascii_uppercase(), text)
        .any(|at| text.get(at..at + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word)))
}

/// The part of a Rspamd history row that belongs to the mail's story. Symbols are stored beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Checked<'a> {
    /// `no action`, `greylist`, `add header`, `rewrite subject`, `soft reject`, `reject`, `quarantine`, `discard`, ...
    pub action: &'a str,
    /// Score in hundredths.
    pub score: i32,
    /// Limit of the action `reject` (`required_score`) in hundredths, when the row has one.
    pub limit: Option<i32>,
    /// Limit of the action `add header` in hundredths, when the row has one.
    pub junk_limit: Option<i32>,
    /// Decoded subject; `None` when the mail has none.
    pub subject: Option<&'a str>,
    /// True when Rspamd was told to hide subjects (`subject_privacy`).
    pub subject_hidden: bool,
    /// Envelope recipients before alias expansion, tags removed, joined by line breaks.
    pub rcpts: &'a str,
    /// Client address, when known.
    pub ip: Option<&'a str>,
    /// Bytes before Postfix added headers.
    pub size: u64,
    /// True when a symbol says that a virus was found.
    pub virus: bool,
    /// `passthrough_module`: who forced the result (`greylist`, `ratelimit`, ...).
    pub forced_by: Option<&'a str>,
    /// Domain the mail was signed for by us (`DKIM_SIGNED`), when it was.
    pub signed_for: Option<&'a str>,
    /// Id of the stored scan with symbols.
    pub scan: i64,
}

/// Which notice bounce(8) sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NoticeKind {
    /// `sender non-delivery notification`.
    Bounce,
    /// `sender delay notification`.
    Delay,
    /// `sender delivery status notification` (success DSN).
    Success,
    /// `postmaster non-delivery notification` and other copies to the postmaster.
    Postmaster,
}
