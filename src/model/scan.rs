//! A row of Rspamd's history: what the spam filter said about one transaction.

use std::{collections::HashMap, sync::Arc};

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
    /// The checks that hit; stored by themselves.
    #[serde(skip)]
    pub hits: Vec<Hit>,
}

/// A check of Rspamd.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Check {
    /// Rspamd's name of it.
    pub name: String,
    /// What Rspamd says about it.
    pub description: Option<String>,
}

/// One check that hit. Small, as one answer may hold a hundred thousand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hit {
    /// Which check.
    pub check: Arc<Check>,
    /// Points in hundredths.
    pub score: i32,
    options: Box<str>,
}

impl Hit {
    /// A hit with its details, such as a signing domain.
    pub fn new<'a>(check: Arc<Check>, score: i32, options: impl IntoIterator<Item = &'a str>) -> Self {
        let mut joined = String::new();
        for option in options.into_iter().filter(|option| !option.is_empty()) {
            if !joined.is_empty() {
                joined.push('\n');
            }
            // The line break parts options, so that no option has one.
            joined.extend(option.chars().map(|c| if c == '\n' { ' ' } else { c }));
        }
        Self { check, score, options: joined.into() }
    }

    /// The details.
    pub fn options(&self) -> impl Iterator<Item = &str> {
        self.options.split_terminator('\n')
    }
}

/// The checks that were met, each once.
#[derive(Debug, Default)]
pub struct Checks(HashMap<String, Arc<Check>>);

impl Checks {
    /// The check of this name; it keeps the first description that it got.
    pub fn shared(&mut self, name: &str, description: Option<&str>) -> Arc<Check> {
        if let Some(known) = self.0.get(name)
            && (known.description.is_some() || description.is_none())
        {
            return Arc::clone(known);
        }
        let check = Check { name: name.to_owned(), description: description.map(str::to_owned) };
        let check = Arc::new(check);
        self.0.insert(name.to_owned(), Arc::clone(&check));
        check
    }
}

/// One check that hit, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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
