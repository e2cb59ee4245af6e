//! A mail to be simulated: who hands it in, to whom, what the filter thinks, and what becomes of each recipient.

use std::borrow::Cow;

/// One mail and its fate. Start from [`Letter::incoming`] or [`Letter::outgoing`] and change what matters.
#[derive(Debug, Clone)]
pub struct Letter {
    /// How it enters the server.
    pub entry: Entry,
    /// Envelope sender, tag included; empty for notices of other servers.
    pub sender: String,
    /// Address in the From header; the envelope sender without its tag when `None`.
    pub from: Option<String>,
    /// Envelope recipients.
    pub targets: Vec<Target>,
    /// People of other servers in To and Cc, who are not on this envelope.
    pub elsewhere: Vec<String>,
    /// Decoded subject; `None` when the mail has none.
    pub subject: Option<String>,
    /// Without angle brackets; `None`: the mail has none, and Postfix invents one.
    pub message_id: Option<String>,
    /// Bytes as Rspamd counts them.
    pub size: u64,
    /// What the filter decides.
    pub verdict: Verdict,
}

/// How a mail enters the server.
#[derive(Debug, Clone)]
pub enum Entry {
    /// Port 25, from another server.
    Remote(Peer),
    /// Port 587, by a mail program of this login.
    Submission(String),
    /// Port 465, by a mail program of this login.
    Smtps(String),
    /// Web mail of this login.
    Webmail(String),
}

/// Another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Verified name, or `unknown`.
    pub host: String,
    /// IPv4 or IPv6 address.
    pub ip: String,
}

/// An envelope recipient.
#[derive(Debug, Clone)]
pub struct Target {
    /// Address as on the envelope.
    pub address: String,
    /// Bcc: on the envelope, not in the headers.
    pub hidden: bool,
    /// What becomes of it, at every final address behind it.
    pub fate: Fate,
}

/// What becomes of a recipient once the mail is queued.
#[derive(Debug, Clone)]
pub enum Fate {
    /// Taken at the first attempt.
    Good,
    /// Put off so many times, then taken.
    Later(u32, Trouble),
    /// Refused for good at the first attempt.
    Bounce(Trouble),
    /// Put off so many times, then refused for good.
    LateBounce(u32, Trouble, Trouble),
    /// Put off at every attempt, until the mail expires after five days.
    Stuck(Trouble),
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Enhanced status code, `4.x.x` or `5.x.x`.
    pub dsn: Cow<'static, str>,
    /// How far the attempt came.
    pub reach: Reach,
    /// The other side's answer, or Postfix's own words. `{mx}` becomes `HOST[IP]`, `{to}` the recipient,
    /// `{domain}` its domain.
    pub text: Cow<'static, str>,
}

/// How far an attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The other side answered; logged as `host HOST[IP] said: ...`.
    Answered,
    /// The conversation broke off.
    Dropped,
    /// There was no conversation; `relay=none`.
    Unreached,
}

/// What the filter decides about a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// `no action`
    Clean,
    /// `no action`, with the many symbols of a mailing.
    Bulk,
    /// `add header`: delivered into Junk.
    Junk,
    /// `rewrite subject`
    Rewrite,
    /// `soft reject`; the sender comes back later under another queue id and is let in.
    Greylist,
    /// `soft reject`; the sender never comes back.
    GreylistOnly,
    /// `reject`
    Spam,
    /// `reject`, and a copy is kept in quarantine.
    Quarantine,
    /// `reject` because of a virus, and a copy is kept in quarantine.
    Virus,
    /// `soft reject` because the sender sends too much.
    RateLimit,
    /// Let in without checks (mail to postmaster); a row without symbols.
    Waved,
    /// No row in the history at all.
    Unseen,
    /// A header check puts it on hold; released after an hour, or never.
    Hold {
        /// Whether an admin releases it.
        released: bool,
    },
    /// A header check throws it away.
    Discard,
}

impl Letter {
    /// A clean mail from `sender` to `to`, handed in by the sender's mail server.
    pub fn incoming(sender: &str, to: &[&str], subject: &str) -> Self {
        let domain = super::super::world::domain_of(sender);
        Self::new(Entry::Remote(Peer::of("mx", domain)), sender, to, subject)
    }

    /// A clean mail of `login` to `to`, handed in on the submission port.
    pub fn outgoing(login: &str, to: &[&str], subject: &str) -> Self {
        Self::new(Entry::Submission(login.to_owned()), login, to, subject)
    }

    fn new(entry: Entry, sender: &str, to: &[&str], subject: &str) -> Self {
        Self {
            entry,
            sender: sender.to_owned(),
            from: None,
            targets: to.iter().map(|to| Target::good(to)).collect(),
            elsewhere: Vec::new(),
            subject: Some(subject.to_owned()),
            message_id: None,
            size: 4_000,
            verdict: Verdict::Clean,
        }
    }

    /// Who is logged in, if anybody.
    pub fn login(&self) -> Option<&str> {
        match &self.entry {
            Entry::Remote(_) => None,
            Entry::Submission(login) | Entry::Smtps(login) | Entry::Webmail(login) => Some(login),
        }
    }
}

impl Target {
    /// A recipient in To who gets the mail.
    pub fn good(address: &str) -> Self {
        Self { address: address.to_owned(), hidden: false, fate: Fate::Good }
    }

    /// The same, with another fate.
    pub fn with(address: &str, fate: Fate) -> Self {
        Self { fate, ..Self::good(address) }
    }

    /// A Bcc recipient who gets the mail.
    pub fn bcc(address: &str) -> Self {
        Self { hidden: true, ..Self::good(address) }
    }
}

impl Peer {
    /// The host `PREFIX.DOMAIN`, whose address in a documentation range depends on its name only.
    pub fn of(prefix: &str, domain: &str) -> Self {
        let host = format!("{prefix}.{domain}");
        let hash = host.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let last = hash % 250 + 2;
        let ip = match (hash >> 8) % 8 {
            0 => format!("2001:db8:{:x}::{last:x}", (hash >> 16) % 0xffff + 1),
            1..=4 => format!("203.0.113.{last}"),
            _ => format!("192.0.2.{last}"),
        };
        Self { host, ip }
    }

    /// `HOST[IP]`, as Postfix writes it.
    pub fn name(&self) -> String {
        format!("{}[{}]", self.host, self.ip)
    }
}

/// What a recipient's attempt number `run` (from 0) comes to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome<'a> {
    Taken,
    PutOff(&'a Trouble),
    Refused(&'a Trouble),
}

impl Fate {
    pub(super) fn outcome(&self, run: u32) -> Outcome<'_> {
        match self {
            Self::Good => Outcome::Taken,
            Self::Later(tries, trouble) if run < *tries => Outcome::PutOff(trouble),
            Self::Later(..) => Outcome::Taken,
            Self::Bounce(trouble) => Outcome::Refused(trouble),
            Self::LateBounce(tries, first, _) if run < *tries => Outcome::PutOff(first),
            Self::LateBounce(_, _, last) => Outcome::Refused(last),
            Self::Stuck(trouble) => Outcome::PutOff(trouble),
        }
    }
}
