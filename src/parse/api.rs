//! Answers of Mailcow's log routes (`get/logs/...`), newest row first.
//!
//! Mailcow says most things with status 200: an empty body means "not authenticated", `{}` an empty list (or a filter
//! that is down), an HTML sentence that a part of it is down. Content types are of no use.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::loose::{Entries, Number, Object, Text};
use crate::model::time::Millis;

/// The rows of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// Newest first, as they came.
    pub rows: Vec<T>,
    /// Rows that could not be read, with their place in the list from 0.
    pub bad: Vec<(usize, BadRow)>,
    /// The answer was `{}`: nothing there, or the part of Mailcow that knows is down.
    pub empty_object: bool,
}

/// Why a row is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BadRow {
    /// `null`, or a value that is no object.
    #[error("the row is null or no object")]
    NotAnObject,
    /// No `time`, or one that is no number of seconds.
    #[error("the row has no valid time")]
    NoTime,
    /// No `message`.
    #[error("the row has no message")]
    NoMessage,
}

/// Why an answer is no list of rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// No body at all: the key was not recognised.
    #[error("the answer is empty: Mailcow did not recognise the API key")]
    Empty,
    /// HTML: a part of Mailcow is down, or this is not Mailcow's API.
    #[error("the answer is a web page: {0}")]
    Html(String),
    /// JSON that breaks off or has a fault; with the fault.
    #[error("the answer is no valid JSON: {0}")]
    Broken(String),
    /// `{"type":"error","msg":...}`; with the message.
    #[error("Mailcow refuses: {0}")]
    Refused(String),
    /// JSON, but no list.
    #[error("the answer is no list")]
    NotAList,
}

/// A line of the Postfix log (and of the Dovecot and SOGo logs, which have the same shape).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Whole seconds.
    pub at: Millis,
    /// syslog program without pid.
    pub program: Cow<'a, str>,
    /// The message, unchanged.
    pub text: Cow<'a, str>,
}

/// The rows of any log as they stand in the answer. Rows that are null or no object are bad ones.
///
/// # Errors
/// [`BodyError`] when the body is no list.
pub fn rows(body: &[u8]) -> Result<Answer<&RawValue>, BodyError> {
    list(body, |row: &RawValue| row.get().starts_with('{').then_some(row).ok_or(BadRow::NotAnObject))
}

/// The lines of the Postfix log.
///
/// # Errors
/// [`BodyError`] when the body is no list.
pub fn postfix_lines(body: &[u8]) -> Result<Answer<Line<'_>>, BodyError> {
    list(body, |Object(row): Object<LineFields>| row.ok_or(BadRow::NotAnObject)?.line())
}

/// A line as it is written: `time` and the like are strings, `time` a number in some logs.
#[derive(Deserialize)]
struct LineFields<'a> {
    #[serde(default)]
    time: Number,
    #[serde(borrow, default)]
    program: Text<'a>,
    #[serde(borrow, default)]
    message: Text<'a>,
}

impl<'a> LineFields<'a> {
    fn line(self) -> Result<Line<'a>, BadRow> {
        let time = self.time.0.filter(|time| (0.0..1e11).contains(time)).ok_or(BadRow::NoTime)?;
        Ok(Line {
            at: Millis((time * 1000.0) as i64),
            program: self.program.0.unwrap_or_default(),
            text: self.message.0.ok_or(BadRow::NoMessage)?,
        })
    }
}

/// Reads a list, each row by `read`.
fn list<'a, R, T>(body: &'a [u8], read: impl Fn(R) -> Result<T, BadRow>) -> Result<Answer<T>, BodyError>
where
    R: Deserialize<'a>,
{
    let body = body.trim_ascii();
    match body.first() {
        None => return Err(BodyError::Empty),
        Some(b'<') => return Err(BodyError::Html(visible(body))),
        Some(b'[') => {}
        Some(_) => return no_list(body),
    }
    let entries: Vec<R> = serde_json::from_slice(body).map_err(broken)?;
    let mut answer = Answer { rows: Vec::with_capacity(entries.len()), bad: Vec::new(), empty_object: false };
    for (place, row) in entries.into_iter().enumerate() {
        match read(row) {
            Ok(row) => answer.rows.push(row),
            Err(reason) => answer.bad.push((place, reason)),
        }
    }
    // Mailcow wraps some refusals in a list of one.
    if answer.rows.is_empty() && answer.bad.len() == 1 {
        let [refusal] = serde_json::from_slice::<[Object<Refusal>; 1]>(body).map_err(broken)?;
        refusal.0.unwrap_or_default().check()?;
    }
    Ok(answer)
}

/// What an answer that is no list means.
fn no_list<T>(body: &[u8]) -> Result<Answer<T>, BodyError> {
    let Entries(fields) = serde_json::from_slice::<Entries<IgnoredAny>>(body).map_err(broken)?;
    if fields.is_empty() && body.starts_with(b"{") {
        return Ok(Answer { rows: Vec::new(), bad: Vec::new(), empty_object: true });
    }
    serde_json::from_slice::<Object<Refusal>>(body).map_err(broken)?.0.unwrap_or_default().check()?;
    Err(BodyError::NotAList)
}

fn broken(error: serde_json::Error) -> BodyError {
    BodyError::Broken(error.to_string())
}

/// `{"type":"error","msg":...}`; the message is a string, or a list of strings.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    msg: Entries<'a, Text<'a>>,
}

impl Refusal<'_> {
    fn check(self) -> Result<(), BodyError> {
        if !matches!(self.kind.0.as_deref(), Some("error" | "danger")) {
            return Ok(());
        }
        let words: Vec<_> = self.msg.0.into_iter().filter_map(|(_, Text(word))| word).collect();
        Err(BodyError::Refused(words.join(" ")))
    }
}

/// The visible start of a web page: without tags, at most 200 characters.
fn visible(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(page);
    let mut tag = false;
    let text = page.chars().filter(|&c| {
        let hidden = tag || c == '<';
        tag = (tag || c == '<') && c != '>';
        !hidden
    });
    text.take(200).collect::<String>().trim().to_owned()
}
