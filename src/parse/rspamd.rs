//! Rows of Rspamd's history (`get/logs/rspamd-history`): what the spam filter thought of a mail.
//!
//! Rspamd (`history_redis.lua`) writes `unknown` and `undef` for what a mail lacks, null in rows that it could not
//! finish, and PHP turns empty objects into `[]` and some numbers into strings. Plus tags are missing in all addresses,
//! recipients are those of the envelope before aliases. One row may belong to several queue ids and the other way round.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};

use super::loose::{Entries, Number, Object, Strings, Text};
use crate::model::{
    scan::{Checks, Hit, Options, Scan},
    time::Millis,
};

/// Why a row is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RowError {
    /// `null`, as Rspamd's history gives for what it cannot decode.
    #[error("the row is null")]
    Null,
    /// A value that is no object.
    #[error("the row is no object")]
    NotAnObject,
    /// `unix_time` is missing or no time.
    #[error("the row has no valid time")]
    NoTime,
    /// Not JSON.
    #[error("the row is not JSON")]
    NotJson,
}

/// Reads one row from its JSON text. Checks that other rows have named before are shared with them.
///
/// # Errors
/// [`RowError`] when the row has no object or no time; other fields are absent when they are of the wrong type.
pub fn parse(json: &str, checks: &mut Checks) -> Result<Scan, RowError> {
    let json = json.trim_ascii();
    if json == "null" {
        return Err(RowError::Null);
    }
    if !json.starts_with('{') {
        return Err(if json.starts_with('[') || serde_json::from_str::<IgnoredAny>(json).is_ok() {
            RowError::NotAnObject
        } else {
            RowError::NotJson
        });
    }
    serde_json::from_str::<Fields>(json).map_err(|_| RowError::NotJson)?.row(checks)
}

/// The row as it is written.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Fields<'a> {
    unix_time: Number,
    #[serde(borrow, rename = "message-id")]
    message_id: Text<'a>,
    subject: Text<'a>,
    size: Number,
    ip: Text<'a>,
    user: Text<'a>,
    sender_smtp: Text<'a>,
    rcpt_smtp: Entries<'a, Text<'a>>,
    action: Text<'a>,
    score: Number,
    required_score: Number,
    thresholds: Object<Thresholds>,
    symbols: Entries<'a, Object<OneSymbol<'a>>>,
    passthrough_module: Text<'a>,
}

/// `thresholds`: action to limit.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Thresholds {
    reject: Number,
    #[serde(rename = "add header")]
    junk: Number,
}

/// One of `symbols`, which are an object by name, or an empty list.
#[derive(Deserialize, Default)]
#[serde(default)]
struct OneSymbol<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    score: Number,
    options: Strings<Options>,
    description: Text<'a>,
}

impl<'a> Fields<'a> {
    fn row(self, checks: &mut Checks) -> Result<Scan, RowError> {
        let at = self.unix_time.0.filter(|time| (0.0..1e11).contains(time)).ok_or(RowError::NoTime)?;
        let known = |Text(text): Text<'a>, absent: &str| {
            text.filter(|text| !text.is_empty() && text != absent).map(Cow::into_owned)
        };
        let thresholds = self.thresholds.0.unwrap_or_default();
        let subject = known(self.subject, "unknown");
        let mut hits: Vec<Hit> =
            self.symbols.0.into_iter().filter_map(|(key, symbol)| symbol.0?.named(key, checks)).collect();
        // They lie where the symbols lay, which take several times as much.
        hits.shrink_to_fit();
        Ok(Scan {
            at: Millis((at * 1000.0).round() as i64),
            message_id: known(self.message_id, "undef").map(|id| without_brackets(&id).to_owned()),
            subject_hidden: subject.as_deref().is_some_and(is_hidden),
            subject,
            size: self.size.0.map_or(0, |size| size.max(0.0) as u64),
            ip: known(self.ip, "unknown"),
            user: known(self.user, "unknown"),
            sender: known(self.sender_smtp, "unknown").unwrap_or_default(),
            rcpts: texts(self.rcpt_smtp),
            action: known(self.action, "unknown").unwrap_or_default(),
            score: self.score.0.map_or(0, hundredths),
            limit: self.required_score.0.or(thresholds.reject.0).map(hundredths),
            junk_limit: thresholds.junk.0.map(hundredths),
            virus: hits.iter().any(|hit| is_virus(&hit.check.name)),
            signed_for: signed_for(&hits),
            forced_by: known(self.passthrough_module, "unknown"),
            hits,
        })
    }
}

/// The strings of a list that are not empty. A line break parts them where they are kept, so that none has one.
fn texts(entries: Entries<Text>) -> Vec<String> {
    let texts = entries.0.into_iter().filter_map(|(_, Text(text))| text.filter(|text| !text.is_empty()));
    texts.map(|text| if text.contains('\n') { text.replace('\n', " ") } else { text.into_owned() }).collect()
}

/// A score in hundredths, at the bounds where it does not fit.
fn hundredths(score: f64) -> i32 {
    (score * 100.0).round() as i32
}

fn without_brackets(id: &str) -> &str {
    id.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')).unwrap_or(id)
}

/// `obf:` and a hash, as `subject_privacy` of Rspamd's history writes.
fn is_hidden(subject: &str) -> bool {
    subject.strip_prefix("obf:").is_some_and(|hash| {
        (8..=128).contains(&hash.len())
            && hash.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.')
    })
}

/// Rspamd's antivirus module names its symbols `CLAM_VIRUS`, `SOPHOS_VIRUS`, ...; Mailcow's composite is `VIRUS_FOUND`.
/// `..._VIRUS_FAIL` and `..._VIRUS_ENCRYPTED` mean that nothing was found.
pub fn is_virus(name: &str) -> bool {
    name == "VIRUS_FOUND" || name.ends_with("_VIRUS")
}

/// The domain in the option `DOMAIN:s=SELECTOR` of `DKIM_SIGNED`.
fn signed_for(hits: &[Hit]) -> Option<String> {
    let signed = hits.iter().find(|hit| hit.check.name == "DKIM_SIGNED")?;
    let (domain, _selector) = signed.options().next()?.split_once(':')?;
    (!domain.is_empty()).then(|| domain.to_owned())
}

impl OneSymbol<'_> {
    fn named(self, key: Option<Cow<str>>, checks: &mut Checks) -> Option<Hit> {
        let name = self.name.0.or(key)?;
        let check = checks.shared(&name, self.description.0.as_deref().filter(|text| !text.is_empty()));
        let score = self.score.0.map_or(0, hundredths);
        Some(Hit::new(check, score, self.options.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::scan::Check;

    fn parse(json: &str) -> Result<Scan, RowError> {
        super::parse(json, &mut Checks::default())
    }

    fn hit(name: &str, description: Option<&str>, score: i32, options: &[&str]) -> Hit {
        let check = Check { name: name.to_owned(), description: description.map(str::to_owned) };
        Hit::new(check.into(), score, options.iter().copied().collect())
    }

    const INCOMING: &str = r#"{
        "time_real": 0.02, "required_score": 15, "score": 8.828151, "sender_smtp": "friend@out.example",
        "sender_mime": "friend@out.example", "rcpt_smtp": ["info@alpha.example", "ann@alpha.example"], "rcpt_mime": [],
        "user": "unknown", "unix_time": 1795198003, "thresholds": {"add header": 8, "reject": 15, "greylist": 7},
        "size": 363, "subject": "Grüße \u2713", "message-id": "1795.2176@out.example", "ip": "203.0.113.25",
        "action": "add header", "is_skipped": false, "passthrough_module": "greylist",
        "symbols": {
            "R_SPF_ALLOW": {"score": -0.2, "name": "R_SPF_ALLOW", "metric_score": -0.2, "description": "SPF passes",
                            "options": ["+ip4:203.0.113.0/24", "c"]},
            "CLAM_VIRUS": {"score": 0, "name": "CLAM_VIRUS", "metric_score": 0}
        }}"#;

    #[test]
    fn reads_a_whole_row() {
        let row = parse(INCOMING).expect("a row");
        assert_eq!(
            row,
            Scan {
                at: Millis(1_795_198_003_000),
                message_id: Some("1795.2176@out.example".into()),
                subject: Some("Grüße ✓".into()),
                subject_hidden: false,
                size: 363,
                ip: Some("203.0.113.25".into()),
                user: None,
                sender: "friend@out.example".into(),
                rcpts: vec!["info@alpha.example".into(), "ann@alpha.example".into()],
                action: "add header".into(),
                score: 883,
                limit: Some(1500),
                junk_limit: Some(800),
                hits: vec![
                    hit("R_SPF_ALLOW", Some("SPF passes"), -20, &["+ip4:203.0.113.0/24", "c"]),
                    hit("CLAM_VIRUS", None, 0, &[]),
                ],
                forced_by: Some("greylist".into()),
                virus: true,
                signed_for: None,
            }
        );
    }

    #[test]
    fn words_for_nothing_are_nothing() {
        let row = parse(
            r#"{"unix_time":"1795198003.5","message-id":"undef","subject":"unknown","user":"unknown","ip":"unknown",
                "sender_smtp":"","symbols":[],"thresholds":[],"required_score":null,"rcpt_smtp":null,"size":"17"}"#,
        )
        .expect("a row");
        assert_eq!(row.at, Millis(1_795_198_003_500));
        assert_eq!((row.message_id, row.subject, row.user, row.ip), (None, None, None, None));
        assert_eq!((row.sender.as_str(), row.rcpts.len(), row.hits.len(), row.size), ("", 0, 0, 17));
        assert_eq!((row.limit, row.junk_limit, row.action.as_str(), row.score), (None, None, "", 0));
    }

    #[test]
    fn options_are_a_list_an_object_or_one_text() {
        let row = parse(
            r#"{"unix_time":1,"symbols":{"A":{"options":["x",7,null,"",["no"]]},"B":{"options":{"1":"y\nz","2":false}},
                "C":{"options":"alone"},"D":{"options":3},"E":{"options":null}}}"#,
        )
        .expect("a row");
        let found: Vec<Vec<&str>> = row.hits.iter().map(|hit| hit.options().collect()).collect();
        assert_eq!(found, [vec!["x", "7"], vec!["y z"], vec!["alone"], vec![], vec![]]);
    }

    #[test]
    fn wrong_types_spoil_only_their_field() {
        let row = parse(
            r#"{"unix_time":1,"score":"-2500.5","size":{"a":[1]},"rcpt_smtp":"ann@alpha.example","action":7,"ip":["x"],
                "symbols":{"A":null,"B":{"score":"1.5","options":{"1":"x","2":null}},"C":"text"},
                "thresholds":{"reject":"15","add header":null},"user":true,"message-id":"<a@b>"}"#,
        )
        .expect("a row");
        assert_eq!(
            (row.score, row.size, row.rcpts.as_slice()),
            (-250_050, 0, &["ann@alpha.example".to_owned()][..])
        );
        assert_eq!((row.action.as_str(), row.ip, row.user), ("7", None, None));
        assert_eq!((row.limit, row.junk_limit, row.message_id.as_deref()), (Some(1500), None, Some("a@b")));
        assert_eq!(row.hits, [hit("B", None, 150, &["x"])]);
    }

    #[test]
    fn rows_share_their_checks() {
        let mut checks = Checks::default();
        let mut check = |description: &str| {
            let json = format!(r#"{{"unix_time":1,"symbols":{{"A":{{"score":1{description}}}}}}}"#);
            super::parse(&json, &mut checks).expect("a row").hits.remove(0).check
        };
        let bare = check("");
        let told = check(r#", "description": "why""#);
        assert_eq!((bare.description.as_deref(), told.description.as_deref()), (None, Some("why")));
        assert!(
            std::sync::Arc::ptr_eq(&told, &check(""))
                && std::sync::Arc::ptr_eq(&told, &check(r#", "description": "else""#))
        );
    }

    #[test]
    fn a_row_takes_no_more_room_than_its_hits() {
        let symbols: Vec<String> = (0..30).map(|n| format!(r#""S{n}":{{"score":1}}"#)).collect();
        let row = parse(&format!(r#"{{"unix_time":1,"symbols":{{{}}}}}"#, symbols.join(","))).expect("a row");
        assert_eq!((row.hits.len(), row.hits.capacity()), (30, 30));
    }

    #[test]
    fn options_stay_apart() {
        let options = |json: &str| {
            let json = format!(r#"{{"unix_time":1,"symbols":{{"A":{{"options":{json}}}}}}}"#);
            parse(&json).expect("a row").hits[0].options().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(options(r#"["one", "", "two\nlines", 3]"#), ["one", "two lines", "3"]);
        assert!(options("[]").is_empty() && options(r#"[""]"#).is_empty());
    }

    #[test]
    fn hidden_subjects_are_told() {
        for (subject, hidden) in
            [("obf:u9kz3c8bqe1y", true), ("obf:", false), ("obf: offer", false), ("OBF:u9kz3c8bqe1y", false)]
        {
            let row = parse(&format!(r#"{{"unix_time":1,"subject":"{subject}"}}"#)).expect("a row");
            assert_eq!(row.subject_hidden, hidden, "{subject}");
        }
    }

    #[test]
    fn signatures_of_ours_name_the_domain() {
        let row = |options: &str| {
            let json =
                format!(r#"{{"unix_time":1,"symbols":{{"DKIM_SIGNED":{{"score":0,"options":{options}}}}}}}"#);
            parse(&json).expect("a row").signed_for
        };
        assert_eq!(row(r#"["alpha.example:s=dkim"]"#).as_deref(), Some("alpha.example"));
        assert_eq!((row("[]"), row(r#"["odd"]"#), row(r#"[":s=x"]"#)), (None, None, None));
    }

    #[test]
    fn only_found_viruses_count() {
        for (name, virus) in [
            ("CLAM_VIRUS", true),
            ("VIRUS_FOUND", true),
            ("CLAM_VIRUS_FAIL", false),
            ("CLAM_VIRUS_ENCRYPTED", false),
        ] {
            let json = format!(r#"{{"unix_time":1,"symbols":{{"{name}":{{"score":0}}}}}}"#);
            assert_eq!(parse(&json).map(|row| row.virus), Ok(virus), "{name}");
        }
    }

    #[test]
    fn useless_rows_say_why() {
        for (json, error) in [
            ("null", RowError::Null),
            ("[]", RowError::NotAnObject),
            ("\"x\"", RowError::NotAnObject),
            ("7", RowError::NotAnObject),
            ("{}", RowError::NoTime),
            (r#"{"unix_time":null}"#, RowError::NoTime),
            (r#"{"unix_time":-1}"#, RowError::NoTime),
            (r#"{"unix_time":"1e400"}"#, RowError::NoTime),
            (r#"{"unix_time":1"#, RowError::NotJson),
            ("", RowError::NotJson),
            ("x", RowError::NotJson),
        ] {
            assert_eq!(parse(json), Err(error), "{json}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,80}", cut in 0..INCOMING.len(), noise in "[\\[\\]{}\":,0a-]{0,3}") {
            let _ = parse(&text);
            if let (Some(head), Some(tail)) = (INCOMING.get(..cut), INCOMING.get(cut..)) {
                let _ = parse(&format!("{head}{noise}{tail}"));
            }
        }
    }
}
