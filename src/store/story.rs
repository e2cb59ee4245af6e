//! How a mail's facts are stored: compact, versioned, read back without copying.
//!
//! Layout: one byte version and time unit, then postcard (varints, length-prefixed UTF-8). Moments are
//! distances from the first one, in seconds when the log counts in seconds.

use serde::{Deserialize, Serialize};

use super::db::{Error, Result};
use crate::model::{
    event::{Event, Fact},
    mail::{Mail, ServerId},
    time::Millis,
};

const SECONDS: u8 = 1;
const MILLIS: u8 = 2;

/// The daemons that Mailcow runs; others are stored by name. Order is part of the format: append only.
const PROGRAMS: [&str; 24] = [
    "postfix/smtpd",
    "postfix/cleanup",
    "postfix/qmgr",
    "postfix/lmtp",
    "postfix/smtp",
    "postfix/submission/smtpd",
    "postfix/smtps/smtpd",
    "postfix/sogo/smtpd",
    "enforced-tls-smtp/smtp",
    "postfix/bounce",
    "postfix/error",
    "postfix/local",
    "postfix/virtual",
    "postfix/pipe",
    "postfix/pickup",
    "postfix/postscreen",
    "postfix/discard",
    "postfix/quarantine/smtpd",
    "postfix/bcc/smtpd",
    "postfix/submission-haproxy/smtpd",
    "postfix/smtps-haproxy/smtpd",
    "haproxy/smtpd",
    "postfix/postsuper",
    "rspamd",
];

/// The facts of one mail (one queue id's life, or one refused attempt).
#[derive(Debug, Clone, PartialEq)]
pub struct Story<'a> {
    /// Queue id; empty for an attempt refused before it got one.
    pub queue_id: &'a str,
    /// What identifies the mail within its second where there is no queue id; else empty.
    pub name: &'a str,
    /// The facts, sorted.
    pub events: Vec<Event<'a>>,
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    base: i64,
    #[serde(borrow)]
    queue_id: &'a str,
    name: &'a str,
    events: Vec<StoredEvent<'a>>,
}

#[derive(Serialize, Deserialize)]
struct StoredEvent<'a> {
    after: u64,
    #[serde(borrow)]
    program: Program<'a>,
    fact: Fact<'a>,
}

#[derive(Serialize, Deserialize)]
enum Program<'a> {
    Known(u8),
    Other(&'a str),
}

impl<'a> Program<'a> {
    fn of(name: &'a str) -> Self {
        let known = PROGRAMS.iter().position(|known| *known == name);
        known.and_then(|index| u8::try_from(index).ok()).map_or(Self::Other(name), Self::Known)
    }

    fn name(self) -> &'a str {
        match self {
            Self::Known(index) => PROGRAMS.get(usize::from(index)).copied().unwrap_or("unknown"),
            Self::Other(name) => name,
        }
    }
}

impl<'a> Story<'a> {
    /// The bytes for the database.
    pub fn encode(&self) -> Vec<u8> {
        let whole = self.events.iter().all(|event| event.at.0 % 1000 == 0);
        let (unit, millis) = if whole { (SECONDS, 1000) } else { (MILLIS, 1) };
        let base = self.events.first().map_or(0, |event| event.at.0);
        let stored = Stored {
            base: base / millis,
            queue_id: self.queue_id,
            name: self.name,
            events: self
                .events
                .iter()
                .map(|event| StoredEvent {
                    after: u64::try_from((event.at.0 - base) / millis).unwrap_or(0),
                    program: Program::of(event.program),
                    fact: event.fact,
                })
                .collect(),
        };
        // Serialising plain strings and numbers into a growing buffer cannot fail.
        postcard::to_extend(&stored, vec![unit]).unwrap_or_default()
    }

    /// Reads bytes of [`Story::encode`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self> {
        let (unit, rest) = bytes.split_first().ok_or(Error::Damaged("an empty story"))?;
        let millis = match *unit {
            SECONDS => 1000,
            MILLIS => 1,
            _ => return Err(Error::Damaged("a story of an unknown version")),
        };
        let stored: Stored =
            postcard::from_bytes(rest).map_err(|_| Error::Damaged("a story that cannot be read"))?;
        let at = |after: u64| {
            let after = i64::try_from(after).unwrap_or(i64::MAX);
            Millis(stored.base.saturating_add(after).saturating_mul(millis))
        };
        let events = stored
            .events
            .into_iter()
            .map(|event| Event { at: at(event.after), fact: event.fact, program: event.program.name() })
            .collect();
        Ok(Self { queue_id: stored.queue_id, name: stored.name, events })
    }

    /// The mail that these facts make.
    pub fn fold(&self, server: ServerId) -> Mail {
        let queue_id = (!self.queue_id.is_empty()).then_some(self.queue_id);
        Mail::from_events(server, queue_id, queue_id.unwrap_or(self.name), &self.events)
    }
}
