//! How a mail's facts are stored: compact, versioned, read back without copying.
//!
//! Layout: one byte version and time unit, then postcard (varints, length-prefixed UTF-8), then what was kept of the
//! verdicts. Moments are distances, in seconds when the log counts in seconds: the first one from the second in the mail's id, the
//! others from the first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    db::{Error, Result},
    scans::wished_id,
};
use crate::model::{
    event::{Checked, Event, Fact},
    mail::{Mail, MailId, ServerId},
    time::Millis,
};

const SECONDS: u8 = 1;
const MILLIS: u8 = 2;
/// Added to the unit in stories of older versions: ids of scans are distances from the begin of their second. The oldest have them
/// whole.
const NEAR: u8 = 4;
/// Added to the unit: the first moment is a distance from the mail's second, and ids of scans are distances from those that their
/// rows wish for ([`wished_id`]). Most are zero.
const FOUND_AGAIN: u8 = 8;

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
    /// The verdicts of the scans that the facts name. Not there for mails of older versions, whose scans have rows of
    /// their own.
    pub verdicts: Verdicts<'a>,
}

/// Verdicts by the ids of their scans. A mail has one, as a rule.
pub type Verdicts<'a> = BTreeMap<i64, Claimed<'a>>;

/// What was kept of a scan that a mail has claimed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claimed<'a> {
    /// The scan's message id. That of the mail, until the mail's facts are cut otherwise.
    pub message_id: &'a str,
    /// [`verdict`](super::verdict) bytes.
    pub verdict: &'a [u8],
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    first: i64,
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

fn message_id<'a>(events: &[Event<'a>]) -> Option<&'a str> {
    events.iter().find_map(Event::message_id)
}

fn scans(events: &[Event<'_>]) -> impl Iterator<Item = i64> {
    events.iter().filter_map(|event| match event.fact {
        Fact::Checked(checked) => Some(checked.scan),
        _ => None,
    })
}

/// A fact whose scan, if it has one, has its id moved by what is said of the verdict.
fn moved<'a>(fact: Fact<'a>, by: impl FnOnce(&Checked<'a>) -> i64) -> Fact<'a> {
    match fact {
        Fact::Checked(checked) => {
            Fact::Checked(Checked { scan: checked.scan.wrapping_add(by(&checked)), ..checked })
        }
        fact => fact,
    }
}

impl<'a> Story<'a> {
    /// The bytes for the database, under this id.
    pub fn encode(&self, id: MailId) -> Vec<u8> {
        let whole = self.events.iter().all(|event| event.at.0 % 1000 == 0);
        let (unit, millis) = if whole { (SECONDS, 1000) } else { (MILLIS, 1) };
        let first = self.events.first().map_or(id.second(), |event| event.at);
        let message_id = self.message_id().unwrap_or_default();
        let stored = Stored {
            first: (first.0 - id.second().0) / millis,
            queue_id: self.queue_id,
            name: self.name,
            events: self
                .events
                .iter()
                .map(|event| StoredEvent {
                    after: u64::try_from((event.at.0 - first.0) / millis).unwrap_or(0),
                    program: Program::of(event.program),
                    fact: moved(event.fact, |checked| {
                        wished_id(event.at, message_id, checked).wrapping_neg()
                    }),
                })
                .collect(),
        };
        // Serialising plain strings and numbers into a growing buffer cannot fail.
        let mut bytes = postcard::to_extend(&stored, vec![unit | FOUND_AGAIN]).unwrap_or_default();
        if !self.verdicts.is_empty() {
            for scan in scans(&self.events) {
                let verdict = self.verdicts.get(&scan).map_or(&[] as &[u8], |claimed| claimed.verdict);
                bytes = postcard::to_extend(verdict, bytes).unwrap_or_default();
            }
        }
        bytes
    }

    /// Reads bytes that [`Story::encode`] wrote under this id.
    pub fn decode(id: MailId, bytes: &'a [u8]) -> Result<Self> {
        let (unit, rest) = bytes.split_first().ok_or(Error::Damaged("an empty story"))?;
        let millis = match *unit & !(NEAR | FOUND_AGAIN) {
            SECONDS => 1000,
            MILLIS => 1,
            _ => return Err(Error::Damaged("a story of an unknown version")),
        };
        let damaged = |_| Error::Damaged("a story that cannot be read");
        let (stored, mut rest): (Stored, _) = postcard::take_from_bytes(rest).map_err(damaged)?;
        let found_again = unit & FOUND_AGAIN != 0;
        let begin = if found_again { id.second() } else { Millis(0) };
        let at = |after: u64| {
            let after = i64::try_from(after).unwrap_or(i64::MAX);
            let distance = stored.first.saturating_add(after).saturating_mul(millis);
            Millis(begin.0.saturating_add(distance))
        };
        let event = |event: StoredEvent<'a>| Event {
            at: at(event.after),
            fact: event.fact,
            program: event.program.name(),
        };
        let mut events: Vec<Event<'a>> = stored.events.into_iter().map(event).collect();
        let message_id = message_id(&events).unwrap_or_default();
        for event in &mut events {
            event.fact = moved(event.fact, |checked| {
                if found_again {
                    wished_id(event.at, message_id, checked)
                } else if unit & NEAR != 0 {
                    MailId::floor(event.at).0
                } else {
                    0
                }
            });
        }
        let mut verdicts = Verdicts::new();
        if !rest.is_empty() {
            for scan in scans(&events) {
                let verdict: &[u8];
                (verdict, rest) = postcard::take_from_bytes(rest).map_err(damaged)?;
                if !verdict.is_empty() {
                    verdicts.insert(scan, Claimed { message_id, verdict });
                }
            }
        }
        Ok(Self { queue_id: stored.queue_id, name: stored.name, events, verdicts })
    }

    /// The message id, without angle brackets.
    pub fn message_id(&self) -> Option<&'a str> {
        message_id(&self.events)
    }

    /// Ids of the scans that the mail has claimed.
    pub fn scans(&self) -> impl Iterator<Item = i64> {
        scans(&self.events)
    }

    /// The mail that these facts make.
    pub fn fold(&self, server: ServerId) -> Mail {
        let queue_id = (!self.queue_id.is_empty()).then_some(self.queue_id);
        Mail::from_events(server, queue_id, queue_id.unwrap_or(self.name), &self.events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(scan: i64) -> Checked<'static> {
        Checked {
            action: "no action",
            score: -123,
            limit: None,
            junk_limit: None,
            subject: Some("Hi"),
            subject_hidden: false,
            rcpts: "bob@b.test\ncy@b.test",
            ip: Some("192.0.2.1"),
            size: 900,
            virus: false,
            forced_by: None,
            signed_for: None,
            scan,
        }
    }

    /// What stories hold of moments and ids of scans, and that all comes back.
    #[test]
    fn what_can_be_found_again_takes_no_room() {
        const BEGIN: Millis = Millis(1_800_000_000_000);
        let id = MailId(MailId::floor(BEGIN).0 + 77);
        let wished = wished_id(Millis(BEGIN.0 + 2000), "m@a.test", &checked(0));
        let size = |first: i64, scan: i64, id: MailId| {
            let fact = |after: i64, fact| Event { at: Millis(first + after), fact, program: "postfix/smtpd" };
            let events = vec![fact(0, Fact::MessageId("m@a.test")), fact(2000, Fact::Checked(checked(scan)))];
            let verdicts = [(scan, Claimed { message_id: "m@a.test", verdict: b"v" })].into();
            let story = Story { queue_id: "4bWxYz", name: "", events, verdicts };
            let bytes = story.encode(id);
            assert_eq!(Story::decode(id, &bytes).unwrap(), story);
            bytes.len()
        };
        let least = size(BEGIN.0, wished, id);
        assert_eq!(size(BEGIN.0, wished + 1, id), least, "an id that was taken, so the next one");
        assert_eq!(size(BEGIN.0, wished + 200, id), least + 1);
        assert_eq!(size(BEGIN.0 + 999, wished, id), least + 2, "in milliseconds two numbers take two bytes");
        let moved = MailId(MailId::floor(BEGIN).0 - 1);
        assert_eq!(size(BEGIN.0, wished, moved), least, "an id that was moved into another second");
        assert!(size(BEGIN.0, i64::MIN, id) <= least + 9, "a scan of anywhere");
    }

    /// Stories in databases name a fact by its place: no place may change.
    #[test]
    fn facts_keep_their_places() {
        let (queue_id, sender, reason, status, text) = ("", "", "", "", "");
        let facts = [
            (2, Fact::MessageId("")),
            (3, Fact::Parent { queue_id, kind: None }),
            (5, Fact::Refused(crate::model::event::Refusal::default())),
            (6, Fact::Held { reason }),
            (7, Fact::Discarded { reason }),
            (8, Fact::Released),
            (9, Fact::Queued { sender, size: 0, nrcpt: 0 }),
            (11, Fact::Expired { sender }),
            (13, Fact::Quarantined),
            (14, Fact::Removed),
            (16, Fact::Noted { status, text }),
            (17, Fact::Requeued),
        ];
        for (place, fact) in facts {
            assert_eq!(postcard::to_stdvec(&fact).unwrap()[0], place, "{fact:?}");
        }
    }
}
