//! A mail: the pure fold of the facts that the logs state about one queue id (or one refused attempt).

use serde::{Deserialize, Serialize};

use super::{event::NoticeKind, time::Millis};

/// Identifies a mail and orders mails by time: seconds since the epoch shifted left by 30 bits, plus
/// 30 bits of a hash over server and queue id. Derived from the facts, so the same log gives the same ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct MailId(pub i64);

impl MailId {
    /// Bits below the seconds.
    pub const HASH_BITS: u32 = 30;

    /// The lowest id of a second; ids of mails first seen at or after `at` are not below it.
    pub const fn floor(at: Millis) -> Self {
        Self(at.secs() << Self::HASH_BITS)
    }

    /// The next id of the same second; behind its last one, its first.
    pub const fn next_in_second(self) -> Self {
        let bits = (1 << Self::HASH_BITS) - 1;
        Self(self.0 & !bits | (self.0 + 1) & bits)
    }

    /// The second in which the mail was first seen.
    pub const fn second(self) -> Millis {
        Millis::from_secs(self.0 >> Self::HASH_BITS)
    }
}

/// Which mail server's log this comes from. One today; every row carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, sqlx::Type)]
#[sqlx(transparent)]
pub struct ServerId(pub i16);

impl ServerId {
    /// The one Mailcow that the settings know.
    pub const FIRST: Self = Self(1);
}

/// What became of a mail for one recipient; for the whole mail the worst that may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Status {
    /// The next server, or the mailbox here, took it.
    Sent = 0,
    /// Taken; the first try is still to come.
    Queued = 1,
    /// We cannot tell.
    #[default]
    Unknown = 2,
    /// Dropped on purpose, by a rule or an admin.
    Discarded = 3,
    /// Delivered into the Junk folder.
    Junk = 4,
    /// Refused for now (greylisting, rate); a real sender tries again.
    SoftRejected = 5,
    /// A try failed for now; the server goes on.
    Delayed = 6,
    /// Kept back, can be released.
    Quarantined = 7,
    /// An admin must release it.
    Held = 8,
    /// Refused before we took it.
    Rejected = 9,
    /// Tried until the time was up, then returned.
    Expired = 10,
    /// Refused for good after we took it.
    Bounced = 11,
    /// Refused or kept because of a virus.
    Virus = 12,
}

impl Status {
    /// All, best first: the greater, the worse.
    pub const ALL: [Self; 13] = [
        Self::Sent,
        Self::Queued,
        Self::Unknown,
        Self::Discarded,
        Self::Junk,
        Self::SoftRejected,
        Self::Delayed,
        Self::Quarantined,
        Self::Held,
        Self::Rejected,
        Self::Expired,
        Self::Bounced,
        Self::Virus,
    ];

    /// The word in URLs, exports and text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Queued => "queued",
            Self::Unknown => "unknown",
            Self::Discarded => "discarded",
            Self::Junk => "junk",
            Self::SoftRejected => "soft-rejected",
            Self::Delayed => "delayed",
            Self::Quarantined => "quarantined",
            Self::Held => "held",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Bounced => "bounced",
            Self::Virus => "virus",
        }
    }

    /// The status of a [`Status::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }

    /// Whether nothing more will happen by itself.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Delayed | Self::Held | Self::Unknown)
    }
}

/// Which way a mail went, seen from this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Direction {
    /// From outside.
    In = 0,
    /// To outside.
    Out = 1,
    /// From a mailbox here to mailboxes here.
    Internal = 2,
}

impl Direction {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::In, Self::Out, Self::Internal];

    /// The word in URLs, exports and text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Internal => "internal",
        }
    }

    /// The direction of a [`Direction::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|direction| direction.code() == code)
    }
}

/// The spam filter's verdict: an axis of its own beside the delivery status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Verdict {
    /// Not looked at, or we do not know.
    None = 0,
    /// `no action`.
    Clean = 1,
    /// `greylist`, or `soft reject` forced by the greylisting module.
    Greylisted = 2,
    /// `soft reject` for another reason.
    SoftReject = 3,
    /// `rewrite subject`.
    SubjectChanged = 4,
    /// `add header`: goes to the Junk folder.
    Junk = 5,
    /// `quarantine`.
    Quarantine = 6,
    /// `discard`.
    Discard = 7,
    /// `reject`.
    Reject = 8,
    /// A word that we do not know.
    Other = 9,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::None,
        Self::Clean,
        Self::Greylisted,
        Self::SoftReject,
        Self::SubjectChanged,
        Self::Junk,
        Self::Quarantine,
        Self::Discard,
        Self::Reject,
        Self::Other,
    ];

    /// The word in URLs, exports and text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Clean => "clean",
            Self::Greylisted => "greylisted",
            Self::SoftReject => "soft-reject",
            Self::SubjectChanged => "subject-changed",
            Self::Junk => "junk",
            Self::Quarantine => "quarantine",
            Self::Discard => "discard",
            Self::Reject => "reject",
            Self::Other => "other",
        }
    }

    /// The verdict of a [`Verdict::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.code() == code)
    }

    /// The verdict of a Rspamd action; `forced_by` is the row's `passthrough_module`.
    pub fn from_action(action: &str, forced_by: Option<&str>) -> Self {
        match action {
            "no action" => Self::Clean,
            "greylist" => Self::Greylisted,
            "soft reject" if forced_by == Some("greylist") => Self::Greylisted,
            "soft reject" => Self::SoftReject,
            "rewrite subject" => Self::SubjectChanged,
            "add header" => Self::Junk,
            "quarantine" => Self::Quarantine,
            "discard" => Self::Discard,
            "reject" => Self::Reject,
            _ => Self::Other,
        }
    }
}

/// How a mail came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entrance {
    /// Port 25, from another server.
    Smtp,
    /// Port 587.
    Submission,
    /// Port 465.
    Smtps,
    /// Web mail (SOGo).
    Webmail,
    /// Released from quarantine.
    Release,
    /// A Bcc map's copy.
    BccCopy,
    /// Handed in by a program on the server (pickup).
    Local,
    /// Made by the mail system itself (a notice, a forwarded mail).
    System,
}

/// One mail as the logs tell it. What a visitor sees of it is a [`VisibleMail`].
#[derive(Debug, Clone, PartialEq)]
pub struct Mail {
    /// Id; see [`MailId`].
    pub id: MailId,
    /// Whose log.
    pub server: ServerId,
    /// Moment of the first fact.
    pub first_seen: Millis,
    /// Moment of the last fact.
    pub last_seen: Millis,
    /// Postfix queue id; `None` for attempts refused before one was given.
    pub queue_id: Option<String>,
    /// Message id without angle brackets.
    pub message_id: Option<String>,
    /// Envelope sender; empty for notices, `None` when no line told it.
    pub sender: Option<String>,
    /// Who was logged in (`sasl_username`).
    pub login: Option<String>,
    /// Host name of the client, when verified.
    pub client_host: Option<String>,
    /// Address of the client.
    pub client_ip: Option<String>,
    /// What the client called itself, where a refusal tells it.
    pub helo: Option<String>,
    /// TLS protocol of the incoming session; `None` means not told, not "unencrypted".
    pub client_tls: Option<String>,
    /// How it came in; `None` when no line told it.
    pub entrance: Option<Entrance>,
    /// Bytes; Postfix's figure, else Rspamd's.
    pub size: Option<u64>,
    /// Which way it went.
    pub direction: Direction,
    /// Worst status of all recipients, or of the mail itself where there are none.
    pub status: Status,
    /// The spam filter's verdict.
    pub verdict: Verdict,
    /// What the spam filter said.
    pub check: Option<Check>,
    /// One row per recipient, in order of address.
    pub recipients: Vec<Recipient>,
    /// The refusal of the whole mail, if it was refused.
    pub refusal: Option<Refused>,
    /// Notices that the mail system sent about this mail.
    pub notices: Vec<NoticeSent>,
    /// Queue id of the mail that this notice is about, or that was re-injected as this one.
    pub parent: Option<String>,
    /// Whether the queue id's life has ended.
    pub removed: Option<Millis>,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

impl Mail {
    /// Whether a step of this kind was taken.
    pub fn has(&self, kind: &StepKind) -> bool {
        self.steps.iter().any(|step| step.kind == *kind)
    }
}

/// What the spam filter said about a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Rspamd's action word.
    pub action: String,
    /// Score in hundredths.
    pub score: i32,
    /// Limit for `reject`, in hundredths.
    pub limit: Option<i32>,
    /// Limit for Junk, in hundredths.
    pub junk_limit: Option<i32>,
    /// Decoded subject.
    pub subject: Option<String>,
    /// Rspamd was told to hide subjects (`subject_privacy`).
    pub subject_hidden: bool,
    /// A virus was found.
    pub virus: bool,
    /// Which module forced the result.
    pub forced_by: Option<String>,
    /// Domain that we signed the mail for (DKIM).
    pub signed_for: Option<String>,
    /// Id of the stored scan with its symbols.
    pub scan: i64,
}

/// One recipient of one mail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recipient {
    /// Final address.
    pub address: String,
    /// Address before aliases, when another.
    pub orig_to: Option<String>,
    /// Latest status; `None` is never stored, see [`Status::Unknown`].
    pub status: Status,
    /// The word of the log, when [`Status::Unknown`] stands for a word that we do not know.
    pub status_word: String,
    /// Enhanced status code of the last answer.
    pub dsn: String,
    /// `HOST[IP]:PORT` of the last attempt.
    pub relay: String,
    /// Whether the last stop is a mailbox here.
    pub local: bool,
    /// Seconds from arrival to the last attempt, as logged.
    pub delay: String,
    /// `a/b/c/d`, as logged.
    pub delays: String,
    /// Last answer, complete.
    pub reply: String,
    /// TLS protocol of the last attempt, when told.
    pub tls: Option<String>,
    /// Number of attempts.
    pub attempts: u32,
    /// Moment of the last attempt.
    pub last_attempt: Millis,
}

impl Recipient {
    /// What stands for the answer where a mail went on as [`StepKind::Requeued`].
    pub const REQUEUED: &str = "requeued";

    /// Whether it goes on in another mail, under another queue id.
    pub fn goes_on(&self) -> bool {
        self.reply.starts_with("forwarded as ") || self.reply == Self::REQUEUED
    }
}

/// The refusal of a whole mail or of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// `reject`, `milter-reject`, ...
    pub verb: String,
    /// SMTP stage.
    pub stage: String,
    /// Reply code, 0 when the line has none.
    pub code: u16,
    /// Enhanced status code, may be empty.
    pub dsn: String,
    /// Our server's words.
    pub reply: String,
}

/// A notice that the mail system sent about a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeSent {
    /// When.
    pub at: Millis,
    /// Which.
    pub kind: NoticeKind,
    /// Queue id of the notice.
    pub queue_id: String,
}

/// One step of the story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Millis,
    /// What.
    pub kind: StepKind,
}

/// What a step of the story is. Details stand in the mail's fields; attempts carry their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepKind {
    /// A client handed the mail over.
    Received,
    /// The spam filter looked at it.
    Checked,
    /// Refused as a whole.
    Refused,
    /// One recipient was refused.
    RecipientRefused(Box<Recipient>),
    /// Put on hold; the text is the reason.
    Held(String),
    /// Released from hold.
    Released,
    /// Dropped on purpose; the text is the reason.
    Discarded(String),
    /// Taken into the queue (first time only).
    Queued,
    /// One attempt: the recipient as it stood after this attempt.
    Attempt(Box<Recipient>),
    /// Given up after the queue life time.
    Expired,
    /// The mail system told somebody.
    Notice(NoticeSent),
    /// A copy is in quarantine.
    Quarantined,
    /// The end.
    Removed,
    /// An admin deleted it from the queue.
    Deleted,
    /// An admin put it into the queue anew; it goes on under another queue id.
    Requeued,
    /// Taken over from the PHP app, because the log lines are gone.
    Kept,
    /// An entry of the PHP app's history, as it was written.
    Noted(Status, String),
}

/// What one visitor sees of a mail: foreign recipients and their traces are gone. Only
/// `scope::Scope::view` makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct VisibleMail {
    pub(super) mail: Mail,
    pub(super) sight: super::scope::Sight,
}

impl std::ops::Deref for VisibleMail {
    type Target = Mail;

    fn deref(&self) -> &Mail {
        &self.mail
    }
}

impl VisibleMail {
    /// How much of the mail the visitor sees.
    pub fn sight(&self) -> super::scope::Sight {
        self.sight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_moves_on_stays_in_its_second() {
        let first = MailId::floor(Millis::from_secs(1_790_000_000));
        let last = MailId(MailId::floor(Millis::from_secs(1_790_000_001)).0 - 1);
        assert_eq!(first.next_in_second(), MailId(first.0 + 1));
        assert_eq!(last.next_in_second(), first);
    }
}
