//! Answers of Mailcow's log routes (`get/logs/...`), newest row first.
//!
//! Mailcow says most things with status 200: an empty body means "not authenticated", `{}` an empty list (or a filter
//! that is down), an HTML sentence that a part of it is down. Content types are of no use.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::loose::{Entries, Number, Object, Text};
use crate::model::time::Millis;

/// What an answer came to, apart from what its rows say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Rows that could be read.
    pub rows: usize,
    /// Rows that could not.
    pub bad: usize,
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

impl<'a> Line<'a> {
    /// Reads one row.
    ///
    /// # Errors
    /// [`BadRow`] when the row is no line of a log.
    pub fn read(row: &'a str) -> Result<Self, BadRow> {
        let Object(fields) =
            serde_json::from_str::<Object<LineFields>>(row).map_err(|_| BadRow::NotAnObject)?;
        fields.ok_or(BadRow::NotAnObject)?.line()
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

/// Reads a list as it comes in, piece by piece. Each row is handed on as soon as it is whole, and none is kept: an
/// answer of any length costs no more memory than what its reader keeps.
#[derive(Debug, Default)]
pub struct Reader {
    state: State,
    /// The begin of a row whose end has not come yet; all of an answer that is no list.
    begun: Vec<u8>,
    /// How many lists and objects are open within the row.
    depth: usize,
    quoted: bool,
    escaped: bool,
    rows: usize,
    bad: usize,
    /// The first row, when it is a bad one.
    first_bad: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing but white space so far.
    #[default]
    Before,
    /// Between `[` and `]`.
    List,
    /// Behind `]`.
    After,
    /// Not a list.
    Other,
}

impl Reader {
    /// Takes the next piece of the body. `take` gets each row that has become whole, newest first as they come, and
    /// tells whether it could read it.
    ///
    /// # Errors
    /// [`BodyError`] when this is no list: then no further piece is wanted, and the rows so far are worth nothing.
    pub fn push(&mut self, piece: &[u8], mut take: impl FnMut(&str) -> bool) -> Result<(), BodyError> {
        let mut rest = piece;
        if self.state == State::Before {
            rest = rest.trim_ascii_start();
            match rest.split_first() {
                None => return Ok(()),
                Some((b'[', behind)) => (self.state, rest) = (State::List, behind),
                Some(_) => self.state = State::Other,
            }
        }
        while self.state == State::List {
            let Some(end) = self.row_end(rest) else {
                self.begun.extend_from_slice(rest);
                return Ok(());
            };
            let (row, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            let closes = behind.first() == Some(&b']');
            self.row(row, closes, &mut take)?;
            if closes {
                self.state = State::After;
            }
            rest = behind.get(1..).unwrap_or_default();
        }
        if self.state == State::Other {
            self.begun.extend_from_slice(rest);
        } else if !rest.trim_ascii_start().is_empty() {
            return Err(BodyError::Broken("something stands behind the list".to_owned()));
        }
        Ok(())
    }

    /// Where the present row ends: at a comma or bracket outside of its strings, lists and objects.
    fn row_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if self.escaped {
                self.escaped = false;
            } else if self.quoted {
                at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
                self.escaped = bytes.get(at) == Some(&b'\\');
                self.quoted = self.escaped;
            } else {
                match byte {
                    b'"' => self.quoted = true,
                    b'{' | b'[' => self.depth += 1,
                    b',' | b']' if self.depth == 0 => return Some(at),
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
            }
            at += 1;
        }
        None
    }

    fn row(
        &mut self,
        end: &[u8],
        closes: bool,
        take: &mut impl FnMut(&str) -> bool,
    ) -> Result<(), BodyError> {
        let mut begun = std::mem::take(&mut self.begun);
        let row = if begun.is_empty() {
            end
        } else {
            begun.extend_from_slice(end);
            &begun
        };
        let row =
            std::str::from_utf8(row).map_err(|error| BodyError::Broken(error.to_string()))?.trim_ascii();
        if row.is_empty() && closes && self.rows + self.bad == 0 {
            return Ok(());
        }
        if take(row) {
            self.rows += 1;
        } else {
            serde_json::from_str::<&RawValue>(row).map_err(broken)?;
            if self.rows + self.bad == 0 {
                row.clone_into(&mut self.first_bad);
            }
            self.bad += 1;
        }
        // The room is used again for the next row.
        begun.clear();
        self.begun = begun;
        Ok(())
    }

    /// To be called when the body has ended.
    ///
    /// # Errors
    /// [`BodyError`] when the body was no whole list.
    pub fn end(self) -> Result<Ending, BodyError> {
        match self.state {
            State::Before => return Err(BodyError::Empty),
            State::List => return Err(BodyError::Broken("the list breaks off".to_owned())),
            State::Other if self.begun.first() == Some(&b'<') => {
                return Err(BodyError::Html(visible(&self.begun)));
            }
            State::Other => return no_list(self.begun.trim_ascii()),
            State::After => {}
        }
        // Mailcow wraps some refusals in a list of one.
        if (self.rows, self.bad) == (0, 1) {
            let refusal: Object<Refusal> = serde_json::from_str(&self.first_bad).map_err(broken)?;
            refusal.0.unwrap_or_default().check()?;
        }
        Ok(Ending { rows: self.rows, bad: self.bad, empty_object: false })
    }
}

/// What an answer that is no list means.
fn no_list(body: &[u8]) -> Result<Ending, BodyError> {
    let Entries(fields) = serde_json::from_slice::<Entries<IgnoredAny>>(body).map_err(broken)?;
    if fields.is_empty() && body.starts_with(b"{") {
        return Ok(Ending { rows: 0, bad: 0, empty_object: true });
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

    /// Reads a body that comes in pieces of this length: the lines, and why the other rows are none.
    fn read(body: &[u8], length: usize) -> Result<(Vec<Line<'static>>, Vec<BadRow>, Ending), BodyError> {
        let (mut lines, mut bad, mut reader) = (Vec::new(), Vec::new(), Reader::default());
        for piece in body.chunks(length) {
            reader.push(piece, |row| match Line::read(row) {
                Ok(Line { at, program, text }) => {
                    let (program, text) = (program.into_owned().into(), text.into_owned().into());
                    lines.push(Line { at, program, text });
                    true
                }
                Err(reason) => {
                    bad.push(reason);
                    false
                }
            })?;
        }
        let ending = reader.end()?;
        assert_eq!((ending.rows, ending.bad), (lines.len(), bad.len()));
        Ok((lines, bad, ending))
    }

    fn whole(body: &str) -> Result<(Vec<Line<'static>>, Vec<BadRow>, Ending), BodyError> {
        read(body.as_bytes(), usize::MAX)
    }

    #[test]
    fn reads_lines_as_mailcow_writes_them() {
        let body = r#"[
            { "time": "1795198146", "program": "postfix\/qmgr", "priority": "info", "message": "426A89E009B: removed" },
            { "time": 1795198145, "program": "postfix\/smtp", "message": "say \"hi\" \u00fc" }
        ]"#;
        let (lines, bad, ending) = whole(body).expect("a list");
        let line = |secs, program: &str, text: &str| Line {
            at: Millis::from_secs(secs),
            program: program.to_owned().into(),
            text: text.to_owned().into(),
        };
        assert_eq!(
            lines,
            [
                line(1_795_198_146, "postfix/qmgr", "426A89E009B: removed"),
                line(1_795_198_145, "postfix/smtp", "say \"hi\" ü"),
            ]
        );
        assert_eq!((bad, ending), (vec![], Ending { rows: 2, bad: 0, empty_object: false }));
    }

    #[test]
    fn keeps_good_rows_beside_bad_ones() {
        let body = r#"[null, {"time":"x","message":"a"}, {"time":1,"program":"p","message":"good"}, "text", 7,
            {"time":"2"}, {"time":[1],"message":"a"}, {"time":-1,"message":"a"}, {"message":"a"}, [1],
            {"time":1,"message":"\ud800"}]"#;
        let (lines, bad, _) = whole(body).expect("a list");
        assert_eq!(lines.len(), 1);
        use BadRow::{NoMessage, NoTime, NotAnObject};
        let reasons = [
            NotAnObject,
            NoTime,
            NotAnObject,
            NotAnObject,
            NoMessage,
            NoTime,
            NoTime,
            NoTime,
            NotAnObject,
            NotAnObject,
        ];
        assert_eq!(bad, reasons);
    }

    #[test]
    fn tells_empty_lists_apart() {
        for (body, empty_object) in [("{}", true), (" { } ", true), ("[]", false), ("[ ]\n", false)] {
            let (_, _, ending) = whole(body).expect("a list");
            assert_eq!(ending, Ending { rows: 0, bad: 0, empty_object }, "{body}");
        }
    }

    #[test]
    fn names_what_is_no_list() {
        let error = |body: &str| whole(body).err();
        assert_eq!(error(""), Some(BodyError::Empty));
        assert_eq!(error(" \r\n"), Some(BodyError::Empty));
        let page = "<center style='x'>Connection to <b>Redis</b> failed.</center>";
        assert_eq!(error(page), Some(BodyError::Html("Connection to Redis failed.".into())));
        for body in [
            "[{\"time\":\"1\",\"mess",
            "[",
            "{\"a\":",
            "nonsense",
            "[] x",
            "[]]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[{\"a\":1]]",
            "[{\"a\":1},",
            "[}]",
        ] {
            assert!(matches!(error(body), Some(BodyError::Broken(_))), "{body}");
        }
        for body in ["{\"a\":1}", "true", "\"text\"", "7", "\"\"", "null"] {
            assert_eq!(error(body), Some(BodyError::NotAList), "{body}");
        }
        assert!(matches!(read(b"[\"\xff\"]", 100), Err(BodyError::Broken(_))));
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
            assert_eq!(whole(body).err(), expected, "{body}");
        }
        assert_eq!(whole(r#"{"type":"success","msg":"x"}"#).err(), Some(BodyError::NotAList));
    }

    proptest! {
        #[test]
        fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\":,a0 \\\\u<-]{0,60}") {
            for body in [&body[..], text.as_bytes()] {
                let _ = read(body, 7);
            }
        }

        #[test]
        fn agrees_with_a_plain_reader_however_it_is_cut(
            rows in proptest::collection::vec("(null|7|\"[\\[\\]{},ü ]{0,4}\"|\\{\"time\":\"5\", \"message\": \"[a{}\\[\\],ü]{0,9}(\\\\\\\\|\\\\\")?\"\\}|\\[\\]|\\{|\\})", 0..6),
            comma in "(,|, ?\n)", length in 1_usize..40,
        ) {
            let body = format!("[{}]", rows.join(&comma));
            let plain = serde_json::from_str::<Vec<Box<RawValue>>>(&body).ok();
            let cut = read(body.as_bytes(), length);
            prop_assert_eq!(plain.map(|rows| rows.len()), cut.as_ref().ok().map(|(_, _, end)| end.rows + end.bad));
            prop_assert_eq!(cut, whole(&body));
        }
    }
}
