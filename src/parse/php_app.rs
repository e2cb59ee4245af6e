//! What the PHP app wrote into its tables: statuses as numbers, recipients joined by commas, and Rspamd's verdict as
//! `Spam Score N : ` with the symbols as JSON, at first within `<pre><code …>`.

use serde_json::{Map, Value};

use crate::model::scan::{Checks, Hit};

/// The status of an open.
pub const OPEN: i64 = 3;
/// Longest verdict that is read; the app's column holds no more.
const LONGEST: usize = 1 << 16;

/// The status of a history entry as a `Status::code`. 0 may be one that the app did not know.
pub fn word(status: i64) -> &'static str {
    match status {
        1 => "delayed",
        2 => "bounced",
        4 => "soft-rejected",
        5 => "rejected",
        6 => "junk",
        _ => "unknown",
    }
}

/// The status of a mail as a `Status::code`: its own, or where an open overwrote it the last one of its history.
/// `has_line` tells that lines of Postfix are there, which know better. A 0 tells nothing by itself.
pub fn status(own: Option<i64>, history: impl Iterator<Item = i64>, has_line: bool) -> &'static str {
    let last = match own {
        Some(OPEN) => history.filter(|status| *status != OPEN).last(),
        own => own,
    };
    match last {
        // With lines at hand the recipients' own status counts; junk is said by the filter, behind the delivery.
        Some(status) if !has_line || status == 6 => word(status),
        _ => "unknown",
    }
}

/// Rspamd's action of a mail's status; an unknown word where the app did not know it.
pub fn action(status: Option<i64>) -> &'static str {
    match status {
        Some(4) => "soft reject",
        Some(5) => "reject",
        Some(6) => "add header",
        _ => "unknown",
    }
}

/// The recipients of a mail.
pub fn recipients(text: &str) -> Vec<&str> {
    text.split(',').map(|part| part.trim().trim_matches(['<', '>'])).filter(|part| !part.is_empty()).collect()
}

/// What Rspamd said.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict<'a> {
    /// Points in hundredths.
    pub score: i32,
    symbols: Map<String, Value>,
    /// The text, where no symbols can be read from it.
    pub text: &'a str,
}

/// Reads a description; `None` when it is none of Rspamd's.
pub fn verdict(text: &str) -> Option<Verdict<'_>> {
    let rest = text.trim_start().strip_prefix("Spam Score ").filter(|_| text.len() <= LONGEST)?;
    let (score, rest) = rest.split_once(':')?;
    let score: f64 = score.trim().parse().ok().filter(|score: &f64| score.is_finite())?;
    let begin = rest.find(['{', '[']).unwrap_or(rest.len());
    let end = rest.rfind(['}', ']']).map_or(begin, |end| end + 1);
    let json = rest.get(begin..end).unwrap_or_default();
    let symbols = serde_json::from_str(json).or_else(|_| serde_json::from_str(&unescaped(json)));
    let symbols = match symbols {
        Ok(Value::Object(symbols)) => symbols,
        Ok(Value::Array(list)) => list.into_iter().filter_map(named).collect(),
        _ => Map::new(),
    };
    Some(Verdict { score: (score * 100.0).round() as i32, symbols, text })
}

/// The JSON as it was before it was written into HTML.
fn unescaped(json: &str) -> String {
    let quotes = json.replace("&quot;", "\"").replace("&#039;", "'");
    quotes.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn named(symbol: Value) -> Option<(String, Value)> {
    let name = symbol.get("name")?.as_str()?.to_owned();
    Some((name, symbol))
}

impl Verdict<'_> {
    /// Whether somebody of ours handed the mail in: Mailcow marks who was logged in, and signs for its own.
    pub fn handed_in(&self) -> bool {
        ["MAILCOW_AUTH", "DKIM_SIGNED"].iter().any(|name| self.symbols.contains_key(*name))
    }

    /// The checks that hit.
    pub fn hits(&self, checks: &mut Checks) -> Vec<Hit> {
        self.symbols.iter().map(|(name, value)| hit(name, value, checks)).collect()
    }
}

fn hit(name: &str, value: &Value, checks: &mut Checks) -> Hit {
    let field = |name: &str| value.get(name);
    let score = value.as_f64().or_else(|| field("score")?.as_f64()).unwrap_or(0.0);
    let check = checks.shared(name, field("description").and_then(Value::as_str));
    let options = field("options").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Hit::new(check, (score * 100.0).round() as i32, options.iter().filter_map(Value::as_str).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(text: &str) -> Vec<(String, i32)> {
        let hits = verdict(text).unwrap().hits(&mut Checks::default());
        hits.iter().map(|hit| (hit.check.name.clone(), hit.score)).collect()
    }

    #[test]
    fn verdicts_are_read_in_all_their_forms() {
        let symbols = r#"{"A":{"name":"A","score":1.5,"options":["x"]},"B":{"score":-2}}"#;
        let expected = [("A".to_owned(), 150), ("B".to_owned(), -200)];
        for text in [
            format!("Spam Score 12.34 : {symbols}"),
            format!("Spam Score 12.34 : <pre><code class=\"json\">{symbols}</code></pre>"),
            format!("Spam Score 12.34 : <pre><code>{}</code></pre>", symbols.replace('"', "&quot;")),
            r#"Spam Score 12.34 : [{"name":"A","score":1.5},{"name":"B","score":-2}]"#.to_owned(),
        ] {
            assert_eq!(names(&text), expected, "{text}");
            assert_eq!(verdict(&text).map(|said| said.score), Some(1234), "{text}");
        }
        assert!(names("Spam Score -3 : ").is_empty() && names("Spam Score 1 : {broken").is_empty());
        for text in
            ["", "Spam Score", "Spam Score x : {}", "Spam Score NaN : {}", "4A: to=<a@b>, status=sent (x)"]
        {
            assert_eq!(verdict(text), None, "{text}");
        }
    }

    #[test]
    fn a_zero_is_never_taken_for_sent() {
        let status = |own, history: &[i64], line| super::status(own, history.iter().copied(), line);
        assert_eq!(status(Some(0), &[0], false), "unknown");
        assert_eq!(status(None, &[], false), "unknown");
        assert_eq!(status(Some(99), &[], false), "unknown");
        assert_eq!(status(Some(2), &[1, 2], false), "bounced");
        assert_eq!(status(Some(OPEN), &[2, OPEN, OPEN], false), "bounced", "an open hides nothing");
        assert_eq!(status(Some(OPEN), &[OPEN], false), "unknown");
        assert_eq!(status(Some(1), &[1], true), "unknown", "the lines know better");
        assert_eq!(status(Some(6), &[0, 6], true), "junk");
    }

    #[test]
    fn recipients_are_parted() {
        assert_eq!(recipients("a@b.test, <c@d.test>,"), ["a@b.test", "c@d.test"]);
        assert!(recipients(" , ").is_empty());
    }

    proptest! {
        #[test]
        fn never_panics(text in "(Spam Score )?[0-9.: <>{}\\[\\]\"a-z&;]{0,80}") {
            let _ = verdict(&text).map(|said| said.hits(&mut Checks::default()));
        }
    }
}
