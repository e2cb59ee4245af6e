//! The list as CSV (RFC 4180): one line per visible recipient, UTF-8 with a byte order mark, safe to open in a
//! spreadsheet.

use crate::{
    model::mail::{Recipient, VisibleMail},
    web::{format::Formats, pages::query::Query},
};

/// Byte order mark and head of the file.
pub const HEAD: &str = "\u{feff}time,queue_id,message_id,direction,sender,recipient,status,dsn,subject,ip,size,verdict,score,relay,delay\r\n";

/// Appends the lines of a mail: one per recipient, or one without where none is known.
pub fn write(out: &mut String, mail: &VisibleMail, formats: &Formats) {
    if mail.recipients.is_empty() {
        line(out, mail, None, formats);
    }
    for row in &mail.recipients {
        line(out, mail, Some(row), formats);
    }
}

/// The name of the file: `mails_alpha.test_2026-11-14_2026-11-20.csv`. `whose` is a domain, an address or empty.
pub fn file_name(whose: &str, query: &Query, formats: &Formats) -> String {
    let (from, to) = query.days(&formats.zone, formats.now);
    let to = to.unwrap_or_else(|| formats.now.in_zone(&formats.zone).date());
    let whose: String = whose
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '@'))
        .take(80)
        .collect();
    let parts = [Some(whose), from.map(|day| day.to_string()), Some(to.to_string())];
    let name: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    format!("mails_{}.csv", name.join("_"))
}

fn line(out: &mut String, mail: &VisibleMail, row: Option<&Recipient>, formats: &Formats) {
    let check = mail.check.as_ref();
    let status = row.map_or(mail.status, |row| row.status);
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let cells = [
        formats.iso(mail.first_seen),
        text(mail.queue_id.as_deref()),
        text(mail.message_id.as_deref()),
        mail.direction.code().to_owned(),
        text(mail.sender.as_deref()),
        text(row.map(|row| row.address.as_str())),
        status.code().to_owned(),
        text(row.map(|row| row.dsn.as_str()).or(mail.refusal.as_ref().map(|refused| refused.dsn.as_str()))),
        text(check.and_then(|check| check.subject.as_deref())),
        text(mail.client_ip.as_deref()),
        mail.size.map(|size| size.to_string()).unwrap_or_default(),
        mail.verdict.code().to_owned(),
        check
            .filter(|check| !check.action.is_empty())
            .map(|check| hundredths(check.score))
            .unwrap_or_default(),
        text(row.map(|row| row.relay.as_str())),
        text(row.map(|row| row.delay.as_str())),
    ];
    for (place, value) in cells.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        cell(out, value, place == SCORE);
    }
    out.push_str("\r\n");
}

/// Column of the score, the only one that may begin with a minus: it is a number that we wrote.
const SCORE: usize = 12;

/// Appends one cell. Spreadsheets take text that begins with one of these characters for a formula, and some part the
/// cells at a semicolon or a tab, where the quotes of a cell within do not count.
pub(super) fn cell(out: &mut String, value: &str, number: bool) {
    let quoted = value.contains(['"', ',', ';', '\t', '\r', '\n']);
    if quoted {
        out.push('"');
    }
    let mut begins = !number;
    for letter in value.chars() {
        if begins && matches!(letter, '=' | '+' | '-' | '@' | '\t' | '\r') {
            out.push('\'');
        }
        if letter == '"' {
            out.push('"');
        }
        out.push(letter);
        begins = !number && matches!(letter, ';' | '\t' | '\r' | '\n');
    }
    if quoted {
        out.push('"');
    }
}

fn hundredths(score: i32) -> String {
    let sign = if score < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", score.unsigned_abs() / 100, score.unsigned_abs() % 100)
}

#[cfg(test)]
mod tests;
