//! A row of Rspamd's history: what the spam filter said about one transaction.

use serde::{Deserialize, Serialize};

use super::{event::Checked, time::Millis};

/// One row of the history. Sentinels (`unknown`, `undef`, null) have become `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scan {
    /// Start of the scan.
    pub at: Millis,
    /// Message id without angle brackets.
    pub message_id: Option<String>,
    /// Decoded subject.
    pub subject: Option<String>,
    /// Rspamd was told to hide subjects (`subject_privacy`).
    pub subject_hidden: bool,
    /// Bytes before Postfix added headers.
    pub size: u64,
    /// Client address.
    pub ip: Option<String>,
    /// Who was logged in.
    pub user: Option<String>,
    /// Envelope sender without tag; empty for notices.
    pub sender: String,
    /// Envelope recipients without tags, before aliases.
    pub rcpts: Vec<String>,
    /// Action word.
    pub action: String,
    /// Score in hundredths.
    pub score: i32,
    /// Limit for `reject`, in hundredths.
    pub limit: Option<i32>,
    /// Limit for `add header`, in hundredths.
    pub junk_limit: Option<i32>,
    /// Which module forced the result.
    pub forced_by: Option<String>,
    /// A virus was found.
    pub virus: bool,
    /// Domain that we signed the mail for.
    pub signed_for: Option<String>,
    /// The checks that hit.
    pub symbols: Vec<Symbol>,
}

/// One check that hit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Symbol {
    /// Rspamd's name of it.
    pub name: String,
    /// Points in hundredths.
    pub score: i32,
    /// What Rspamd says about it.
    pub description: Option<String>,
    /// Details, such as a signing domain.
    pub options: Vec<String>,
}

impl Scan {
    /// A copy without its symbols.
    pub fn without_symbols(&self) -> Self {
        Self {
            at: self.at,
            message_id: self.message_id.clone(),
            subject: self.subject.clone(),
            subject_hidden: self.subject_hidden,
            size: self.size,
            ip: self.ip.clone(),
            user: self.user.clone(),
            sender: self.sender.clone(),
            rcpts: self.rcpts.clone(),
            action: self.action.clone(),
            score: self.score,
            limit: self.limit,
            junk_limit: self.junk_limit,
            forced_by: self.forced_by.clone(),
            virus: self.virus,
            signed_for: self.signed_for.clone(),
            symbols: Vec::new(),
        }
    }

    /// The fact for the mail's story. `rcpts` are [`Scan::rcpts`] joined by line breaks; `id` is the stored scan's.
    pub fn checked<'a>(&'a self, rcpts: &'a str, id: i64) -> Checked<'a> {
        Checked {
            action: &self.action,
            score: self.score,
            limit: self.limit,
            junk_limit: self.junk_limit,
            subject: self.subject.as_deref(),
            subject_hidden: self.subject_hidden,
            rcpts,
            ip: self.ip.as_deref(),
            size: self.size,
            virus: self.virus,
            forced_by: self.forced_by.as_deref(),
            signed_for: self.signed_for.as_deref(),
            scan: id,
        }
    }
}
