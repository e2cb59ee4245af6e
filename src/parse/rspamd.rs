//! Rows of Rspamd's history (`get/logs/rspamd-history`): what the spam filter thought of a mail.
//!
//! Rspamd (`history_redis.lua`) writes `unknown` and `undef` for what a mail lacks, null in rows that it could not
//! finish, and PHP turns empty objects into `[]` and some numbers into strings. Plus tags are missing in all addresses,
//! recipients are those of the envelope before aliases. One row may belong to several queue ids and the other way round.

use std::borrow::Cow;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::loose::{Entries, Number, Object, Text};
use crate::model::time::Millis;

/// One scan of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanRow {
    /// Start of the scan.
    pub at: Millis,
    /// Message id without angle brackets; `None` when the mail had none.
    pub message_id: Option<String>,
    /// Decoded subject; `None` when the mail had none. With [`ScanRow::subject_hidden`] it is `obf:` and a hash.
    pub subject: Option<String>,
    /// Rspamd's `subject_privacy` replaced the subject by a hash.
    pub subject_hidden: bool,
    /// Bytes before Postfix added headers.
    pub size: u64,
    /// Client's address, when known.
    pub ip: Option<String>,
    /// Who was logged in.
    pub user: Option<String>,
    /// Envelope sender without plus tag; empty for notices.
    pub sender: String,
    /// Envelope recipients of this transaction, without plus tags, before aliases.
    pub rcpts: Vec<String>,
    /// `no action`, `greylist`, `add header`, `rewrite subject`, `soft reject`, `reject`, ...; empty when missing.
    pub action: String,
    /// Score in hundredths.
    pub score: i32,
    /// Limit of `reject` in hundredths.
    pub limit: Option<i32>,
    /// Limit of `add header` in hundredths.
    pub junk_limit: Option<i32>,
    /// What the filter noticed, in the order of the row.
    pub symbols: Vec<Symbol>,
    /// `passthrough_module`: who forced the result (`greylist`, `ratelimit`, ...).
    pub forced_by: Option<String>,
    /// Whether a symbol says that a virus was found.
    pub virus: bool,
    /// Domain that the mail was signed for by us.
    pub signed_for: Option<String>,
}

/// One thing that the filter noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// Rspamd's name, such as `R_SPF_ALLOW`.
    pub name: String,
    /// Its part of the score, in hundredths.
    pub score: i32,
    /// What exactly, such as the domain that signed.
    pub options: Vec<String>,
    /// What the symbol means, in English.
    pub description: Option<String>,
}

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

/// Reads one row as it stands in the answer.
///
/// # Errors
/// [`RowError`] when the row has no object or no time; other fields are absent when they are of the wrong type.
pub fn parse_raw(row: &RawValue) -> Result<ScanRow, RowError> {
    parse(row.get())
}

/// Reads one row from its JSON text.
///
/// # Errors
/// As [`parse_raw`].
pub fn parse(json: &str) -> Result<ScanRow, RowError> {
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
    serde_json::from_str::<Fields>(json).map_err(|_| RowError::NotJson)?.row()
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
    options: Entries<'a, Text<'a>>,
    description: Text<'a>,
}

impl<'a> Fields<'a> {
    fn row(self) -> Result<ScanRow, RowError> {
        let at = self.unix_time.0.filter(|time| (0.0..1e11).contains(time)).ok_or(RowError::NoTime)?;
        let known = |Text(text): Text<'a>, absent: &str| {
            text.filter(|text| !text.is_empty() && text != absent).map(Cow::into_owned)
        };
        let thresholds = self.thresholds.0.unwrap_or_default();
        let subject = known(self.subject, "unknown");
        let symbols: Vec<Symbol> =
            self.symbols.0.into_iter().filter_map(|(key, symbol)| symbol.0?.named(key)).collect();
        Ok(ScanRow {
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
            virus: symbols.iter().any(|symbol| is_virus(&symbol.name)),
            signed_for: signed_for(&symbols),
            forced_by: known(self.passthrough_module, "unknown"),
            symbols,
        })
    }
}

/// The strings of a list.
fn texts(entries: Entries<Text>) -> Vec<String> {
    entries.0.into_iter().filter_map(|(_, Text(text))| text.map(Cow::into_owned)).collect()
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
fn is_virus(name: &str) -> bool {
    name == "VIRUS_FOUND" || name.ends_with("_VIRUS")
}

/// The domain in the option `DOMAIN:s=SELECTOR` of `DKIM_SIGNED`.
fn signed_for(symbols: &[Symbol]) -> Option<String> {
    let signed = symbols.iter().find(|symbol| symbol.name == "DKIM_SIGNED")?;
    let (domain, _selector) = signed.options.first()?.split_once(':')?;
    (!domain.is_empty()).then(|| domain.to_owned())
}

impl OneSymbol<'_> {
    fn named(self, key: Option<Cow<str>>) -> Option<Symbol> {
        Some(Symbol {
            name: self.name.0.or(key)?.into_owned(),
            score: self.score.0.map_or(0, hundredths),
            options: texts(self.options),
            description: self.description.0.map(Cow::into_owned).filter(|text| !text.is_empty()),
        })
    }
}
