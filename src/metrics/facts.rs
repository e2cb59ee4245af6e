//! What probes found out beyond numbers: written as JSON into a series, and read again by pages.

use serde::{Deserialize, Serialize};

/// The certificate that a port shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its owner.
    pub subject: String,
    /// Who vouches for it.
    pub issuer: String,
    /// DNS names that it is for.
    pub names: Vec<String>,
    /// Serial number in hexadecimal digits.
    pub serial: String,
    /// Begin of its time, Unix seconds.
    pub from: i64,
    /// End of its time, Unix seconds.
    pub until: i64,
    /// What is wrong with it, in words; nothing: it can be trusted.
    pub faults: Vec<String>,
    /// The owners of the whole chain as sent, its own first.
    pub chain: Vec<String>,
    /// `TLSv1.3`.
    pub version: String,
}

const DAY: i64 = 86_400;
/// Mailcow renews a certificate when so many days are left, or a third of its life where that is shorter.
const RENEWED_AT: i64 = 30;

/// When Mailcow renews a certificate, by the begin and the end of its time.
pub fn renewal(from: i64, until: i64) -> i64 {
    until - ((until - from).max(0) / 3).min(RENEWED_AT * DAY)
}

/// Whole days since which a renewal has been due; 0 while it is not.
pub fn overdue(renewal: i64, now: i64) -> i64 {
    (now - renewal).div_euclid(DAY).max(0)
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing is wrong.
    Good,
    /// Something is.
    Bad,
    /// That could not be found out.
    Unknown,
}

/// One check of a domain's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `SPF`, `DKIM` and so on.
    pub check: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What is wrong or not known, in words; empty where nothing is.
    pub why: String,
    /// The records that are there.
    pub found: Vec<String>,
    /// What should be there, where something is wrong.
    pub publish: Vec<Publish>,
}

/// Something to publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// The name in DNS, or the address of a file.
    pub name: String,
    /// Kind of record; `file` for a file.
    pub kind: String,
    /// The record's data, or the file's text.
    pub value: String,
}

/// All checks of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Records {
    /// In their order: the seven of the score, and MX.
    pub findings: Vec<Finding>,
}

/// A series' JSON; an empty text where there is none that could be written.
pub fn write<T: Serialize>(facts: &T) -> String {
    serde_json::to_string(facts).unwrap_or_default()
}

/// The facts of a series; `None` where it is of another version of this program.
pub fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    serde_json::from_str(json).ok()
}
