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

/// Details of a hit, in one piece of memory.
#[derive(Debug, Default)]
pub struct Options(String);

impl Options {
    /// Adds a detail; an empty one is none.
    fn push(&mut self, option: &str) {
        if option.is_empty() {
            return;
        }
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        // The line break parts options, so that no option has one.
        for (index, line) in option.split('\n').enumerate() {
            if index > 0 {
                self.0.push(' ');
            }
            self.0.push_str(line);
        }
    }
}

impl<'a> Extend<&'a str> for Options {
    fn extend<I: IntoIterator<Item = &'a str>>(&mut self, options: I) {
        options.into_iter().for_each(|option| self.push(option));
    }
}

impl<'a> FromIterator<&'a str> for Options {
    fn from_iter<I: IntoIterator<Item = &'a str>>(options: I) -> Self {
        let mut joined = Self::default();
        joined.extend(options);
        joined
    }
}

impl Hit {
    /// A hit with its details, such as a signing domain.
    pub fn new(check: Arc<Check>, score: i32, options: Options) -> Self {
        Self { check, score, options: options.0.into() }
    }

    /// The details.
    pub fn options(&self) -> impl Iterator<Item = &str> {
        self.options.split_terminator('\n')
    }
}

/// The checks that were met, each once.
#[derive(Debug, Default)]
pub struct Checks(HashMap<String, Arc<Check>, foldhash::fast::RandomState>);

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
    /// What a fact of [`Self::checked`] tells of the scan that it was made of.
    pub fn unclaimed(at: Millis, checked: &Checked<'_>) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            at,
            subject: owned(checked.subject),
            subject_hidden: checked.subject_hidden,
            size: checked.size,
            ip: owned(checked.ip),
            rcpts: checked.rcpts.split_terminator('\n').map(str::to_owned).collect(),
            action: checked.action.to_owned(),
            score: checked.score,
            limit: checked.limit,
            junk_limit: checked.junk_limit,
            forced_by: owned(checked.forced_by),
            virus: checked.virus,
            signed_for: owned(checked.signed_for),
            ..Self::default()
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
