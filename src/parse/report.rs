//! A report document, as it comes out of a mail or an archive: which kind it is, and what it says.

use std::borrow::Cow;

use jiff::{Timestamp, civil, tz::TimeZone};

use super::{charset, dmarc, tlsrpt};
use crate::model::{
    report::{Report, TlsReport},
    scope::normalise_domain,
    time::Millis,
};

/// The longest text of a report that is kept; longer ones are cut.
pub const TEXT_MAX: usize = 1000;

/// The longest name of a report or a reporter, in characters: the columns of the dmarcts tables hold no longer one.
pub const NAME_MAX: usize = 255;

/// A report of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// DMARC aggregate report (RFC 7489, RFC 9990).
    Aggregate(Box<Report>),
    /// TLS report (RFC 8460).
    Tls(Box<TlsReport>),
}

/// Why a document is no report that can be taken, in words for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Neither XML nor JSON.
    #[error("this is neither an XML report (DMARC) nor a JSON report (TLS)")]
    Foreign,
    /// XML or JSON of another kind.
    #[error("this is no report: it begins with {0}")]
    Root(String),
    /// The document ends before its last element does.
    #[error("the document is cut off: it ends inside <{0}>")]
    Truncated(String),
    /// What no XML reader can read.
    #[error("the XML is broken at byte {at}: {what}")]
    Syntax {
        /// Where, in bytes of the decoded text.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// A document type definition that defines something.
    #[error("the document brings definitions of its own (a DTD), which reports never do and attacks do")]
    Definitions,
    /// Elements inside elements without end.
    #[error("the elements are nested too deeply")]
    Deep,
    /// More records, results or values than any report has.
    #[error("the document has more entries than a report may have")]
    Many,
    /// What a report cannot do without.
    #[error("the report has no {0}")]
    Missing(&'static str),
    /// A value that cannot be understood.
    #[error("{what} cannot be understood: {value:?}")]
    Odd {
        /// Which one.
        what: &'static str,
        /// As written, cut.
        value: String,
    },
    /// What is no JSON.
    #[error("the JSON is broken: {0}")]
    Json(String),
}

/// Reads a report of either kind.
///
/// # Errors
/// When it is none, is cut off, or lacks what a report cannot do without.
pub fn read(bytes: &[u8]) -> Result<Parsed, Fault> {
    let text = charset::decode(bytes);
    match text.trim_start().as_bytes().first() {
        Some(b'<') => dmarc::parse(&text).map(|report| Parsed::Aggregate(Box::new(report))),
        Some(b'{' | b'[') => tlsrpt::parse(&text).map(|report| Parsed::Tls(Box::new(report))),
        _ => Err(Fault::Foreign),
    }
}

/// A moment as reporters write it: Unix seconds (also `1700000000.0`, also milliseconds), or an ISO 8601 date.
pub(super) fn moment(text: &str) -> Option<Millis> {
    /// The last second of the year 9999. A larger number counts milliseconds.
    const SECONDS_MAX: f64 = 253_402_300_799.0;
    if let Ok(number) = text.parse::<f64>() {
        let millis = if number > SECONDS_MAX { number } else { number.floor() * 1000.0 };
        // The range check fails for what is no number, too.
        return (0.0..=SECONDS_MAX * 1000.0).contains(&millis).then_some(Millis(millis as i64));
    }
    let moment = text.parse::<Timestamp>().or_else(|_| {
        let civil: civil::DateTime = text.parse()?;
        civil.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp())
    });
    moment.ok().map(|moment| Millis(moment.as_millisecond()))
}

/// A domain in the form in which domains are compared: lower case, ASCII form, no dot at the end.
pub(super) fn domain(text: &str) -> Option<String> {
    // What nearly all reports say, and needs no second look.
    let is_plain = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    if (1..=253).contains(&text.len()) && all(text, is_plain) && !text.ends_with('.') {
        return Some(text.to_owned());
    }
    if text.is_ascii() {
        return normalise_domain(text);
    }
    let ascii = url::Host::parse(text.trim().trim_end_matches('.')).ok()?.to_string();
    normalise_domain(&ascii)
}

/// The text without blanks around it and without control characters, cut to `max` bytes.
pub(super) fn tidy(text: &str, max: usize) -> Cow<'_, str> {
    let is_plain = |byte: &u8| matches!(byte, b'!'..=b'~');
    if text.len() <= max && all(text, is_plain) {
        return Cow::Borrowed(text);
    }
    let text = text.trim();
    let cut = text.floor_char_boundary(max);
    let text = text.get(..cut).unwrap_or_default();
    if text.contains(char::is_control) {
        return Cow::Owned(text.replace(char::is_control, " "));
    }
    Cow::Borrowed(text)
}

/// The reporter's name of a report. It is part of what makes a report one report: never cut.
pub(super) fn report_id(text: &str) -> Result<String, Fault> {
    let name = tidy(text, usize::MAX);
    // No text has more characters than bytes.
    if name.len() > NAME_MAX && name.chars().count() > NAME_MAX {
        return Err(Fault::Odd { what: "the report id, which is too long", value: quoted(text) });
    }
    Ok(name.into_owned())
}

/// Whether all bytes of a short text are of a kind. Without a way out, so that several are looked at in one step.
fn all(text: &str, is: impl Fn(&u8) -> bool) -> bool {
    text.as_bytes().iter().fold(true, |all, byte| all & is(byte))
}

/// A value in a fault: short enough for a log and a page.
pub(super) fn quoted(text: &str) -> String {
    tidy(text, 60).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_every_form() {
        for text in [
            "1700000000",
            "1700000000.0",
            "1700000000.7",
            "1.7e9",
            "1700000000000",
            "2023-11-14T22:13:20Z",
            "2023-11-14 22:13:20",
            "2023-11-14T23:13:20+01:00",
        ] {
            assert_eq!(moment(text), Some(Millis::from_secs(1_700_000_000)), "{text}");
        }
        assert_eq!(moment("2023-11-14"), Some(Millis::from_secs(1_699_920_000)));
        for text in ["", "-1", "NaN", "inf", "1e300", "yesterday", "2023-13-14"] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn domains_have_one_form() {
        for text in ["münchen.example", "MÜNCHEN.example.", " xn--mnchen-3ya.EXAMPLE "] {
            assert_eq!(domain(text).as_deref(), Some("xn--mnchen-3ya.example"), "{text}");
        }
        for text in ["", " ", "a b.example", "x@y.example", "ü ber.example", &"a".repeat(300)] {
            assert_eq!(domain(text), None, "{text}");
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(tidy(" ä\u{7}b ", 10), "ä b");
        assert_eq!(tidy("ää", 3), "ä");
    }

    #[test]
    fn what_is_no_report_is_said() {
        assert_eq!(read(b"hello"), Err(Fault::Foreign));
        assert_eq!(read(b""), Err(Fault::Foreign));
        assert_eq!(read(b"<html></html>"), Err(Fault::Root("<html>".into())));
        assert!(matches!(read(b"{]"), Err(Fault::Json(_))));
    }
}
