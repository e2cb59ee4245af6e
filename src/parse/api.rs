//! Answers of Mailcow's log routes (`get/logs/...`), newest row first.
//!
//! Mailcow says most things with status 200: an empty body means "not authenticated", `{}` an empty list (or a filter
//! that is down), an HTML sentence that a part of it is down. Content types are of no use.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::loose::{Entries, Number, Object, Text};
use crate::model::{event::LogLine, time::Millis};

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

impl Line<'_> {
    /// The line for the parsers.
    pub fn as_line(&self) -> LogLine<'_> {
        LogLine { at: self.at, program: &self.program, text: &self.text }
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(body: &str) -> Option<BodyError> {
        let error = postfix_lines(body.as_bytes()).err();
        assert_eq!(error, rows(body.as_bytes()).err(), "both readers agree about {body}");
        error
    }

    #[test]
    fn reads_lines_as_mailcow_writes_them() {
        let body = br#"[
            { "time": "1795198146", "program": "postfix\/qmgr", "priority": "info", "message": "426A89E009B: removed" },
            { "time": 1795198145, "program": "postfix\/smtp", "message": "say \"hi\" \u00fc" }
        ]"#;
        let answer = postfix_lines(body).expect("a list");
        let line = |secs, program: &str, text: &str| Line {
            at: Millis::from_secs(secs),
            program: program.to_owned().into(),
            text: text.to_owned().into(),
        };
        assert_eq!(
            answer.rows,
            [
                line(1_795_198_146, "postfix/qmgr", "426A89E009B: removed"),
                line(1_795_198_145, "postfix/smtp", "say \"hi\" ü"),
            ]
        );
        assert_eq!((answer.bad, answer.empty_object), (vec![], false));
    }

    #[test]
    fn keeps_good_rows_beside_bad_ones() {
        let body =
            br#"[null, {"time":"x","message":"a"}, {"time":1,"program":"p","message":"good"}, "text", 7,
            {"time":"2"}, {"time":[1],"message":"a"}, {"time":-1,"message":"a"}, {"message":"a"}, [1]]"#;
        let answer = postfix_lines(body).expect("a list");
        assert_eq!(answer.rows.len(), 1);
        assert_eq!(
            answer.bad,
            [
                (0, BadRow::NotAnObject),
                (1, BadRow::NoTime),
                (3, BadRow::NotAnObject),
                (4, BadRow::NotAnObject),
                (5, BadRow::NoMessage),
                (6, BadRow::NoTime),
                (7, BadRow::NoTime),
                (8, BadRow::NoTime),
                (9, BadRow::NotAnObject),
            ]
        );
        let answer = rows(body).expect("a list");
        assert_eq!((answer.rows.len(), answer.bad.len()), (6, 4));
    }

    #[test]
    fn tells_empty_lists_apart() {
        for (body, empty_object) in [("{}", true), (" { } ", true), ("[]", false), ("[ ]\n", false)] {
            let answer = postfix_lines(body.as_bytes()).expect("a list");
            assert_eq!(
                (answer.rows.len(), answer.bad.len(), answer.empty_object),
                (0, 0, empty_object),
                "{body}"
            );
        }
    }

    #[test]
    fn names_what_is_no_list() {
        assert_eq!(error(""), Some(BodyError::Empty));
        assert_eq!(error(" \r\n"), Some(BodyError::Empty));
        let page = "<center style='x'>Connection to <b>Redis</b> failed.</center>";
        assert_eq!(error(page), Some(BodyError::Html("Connection to Redis failed.".into())));
        for body in ["[{\"time\":\"1\",\"mess", "[", "{\"a\":", "nonsense", "[] x", "[1,]"] {
            assert!(matches!(error(body), Some(BodyError::Broken(_))), "{body}");
        }
        for body in ["{\"a\":1}", "true", "\"text\"", "7", "\"\"", "null"] {
            assert_eq!(error(body), Some(BodyError::NotAList), "{body}");
        }
        assert!(matches!(postfix_lines(b"[\"\xff\"]"), Err(BodyError::Broken(_))));
    }

    #[test]
    fn hears_refusals_in_every_form() {
        for (body, message) in [
            (r#"{"type":"error","msg":"authentication failed"}"#, "authentication failed"),
            (r#"{"type":"danger","msg":["access_denied","logs"]}"#, "access_denied logs"),
            (r#"[{"type":"danger","log":[],"msg":"no"}]"#, "no"),
            (r#"{"type":"error"}"#, ""),
        ] {
            let expected = Some(BodyError::Refused(message.into()));
            assert_eq!(postfix_lines(body.as_bytes()).err(), expected, "{body}");
        }
        assert_eq!(error(r#"{"type":"success","msg":"x"}"#), Some(BodyError::NotAList));
    }

    proptest! {
        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\":,a0 \\\\u<-]{0,60}") {
            for body in [&body[..], text.as_bytes()] {
                let _ = (rows(body), postfix_lines(body));
            }
        }
    }
}
