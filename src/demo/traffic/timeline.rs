//! What the traffic leaves behind: deeds with a moment, in order.

use std::{borrow::Cow, cmp::Ordering};

use crate::{demo::json::Json, model::time::Millis};

/// A Postfix line as syslog-ng hands it to Mailcow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whole Unix seconds.
    pub time: i64,
    /// syslog program, such as `postfix/qmgr`.
    pub program: Cow<'static, str>,
    /// `info` or `warning`.
    pub priority: &'static str,
    /// The message behind the program.
    pub message: String,
}

/// Something that a log, the queue or the quarantine will show.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Postfix(Line),
    Dovecot(String),
    Scan(Json),
    Netfilter { priority: &'static str, message: String },
    Ratelimited(Json),
    Quarantine(Kept),
    Queue { id: String, step: Step },
}

/// A copy in the quarantine.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub id: String,
    pub subject: String,
    pub virus: bool,
    pub score: f64,
    pub to: String,
    pub sender: String,
}

/// A change of a mail in the queue.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// It enters the active queue, or comes back to it.
    Active { sender: String, size: u64, recipients: Vec<String> },
    /// It is put on hold.
    Hold { sender: String, size: u64, recipients: Vec<String> },
    /// One recipient has to wait, for this reason.
    Wait { to: String, reason: String },
    /// One recipient is done with.
    Leave { to: String },
    /// The mail is gone.
    Gone,
}

/// A deed that is still to come. Ordered so that the earliest is the greatest, for a max-heap.
#[derive(Debug)]
pub(crate) struct Pending {
    pub at: Millis,
    pub number: u64,
    pub deed: Deed,
}

impl Ord for Pending {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pending {}
