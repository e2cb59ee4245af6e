//! TLS reports (RFC 8460): JSON of types that cannot be relied on.

use serde_json::Value;

use super::report::{Fault, NAME_MAX, TEXT_MAX, domain, moment, quoted, report_id, tidy};
use crate::model::{
    report::{TlsFailure, TlsPolicy, TlsReport},
    time::Millis,
};

/// Commas and brackets, which is at least as many as values: a real report has some hundreds.
const PIECES_MAX: usize = 400_000;

/// Reads a TLS report.
///
/// # Errors
/// When the text is no TLS report, is cut off, or lacks what a report cannot do without.
pub(super) fn parse(text: &str) -> Result<TlsReport, Fault> {
    let pieces = memchr::memchr3_iter(b',', b'[', b'{', text.as_bytes());
    if pieces.take(PIECES_MAX + 1).count() > PIECES_MAX {
        return Err(Fault::Many);
    }
    let value: Value = serde_json::from_str(text).map_err(fault)?;
    let Some(range) = value.get("date-range") else {
        return Err(Fault::Root("JSON that is no TLS report (RFC 8460)".to_owned()));
    };
    let named = words(&value, "report-id", usize::MAX).ok_or(Fault::Missing("report id"))?;
    let report_id = report_id(&named)?;
    let contact = words(&value, "contact-info", TEXT_MAX);
    let org = words(&value, "organization-name", NAME_MAX).or_else(|| contact.clone()).unwrap_or_default();
    let policies: Vec<TlsPolicy> = list(&value, "policies").map(policy).collect::<Result<_, _>>()?;
    if policies.is_empty() {
        return Err(Fault::Missing("policies"));
    }
    let (begin, end) = (date(range, "start-datetime")?, date(range, "end-datetime")?);
    Ok(TlsReport { org, contact, report_id, begin, end, policies })
}

fn fault(error: serde_json::Error) -> Fault {
    match error.is_eof() {
        true => Fault::Truncated("the report".to_owned()),
        false => Fault::Json(error.to_string()),
    }
}

fn date(range: &Value, name: &'static str) -> Result<Millis, Fault> {
    let text = words(range, name, TEXT_MAX).ok_or(Fault::Missing(name))?;
    moment(&text).ok_or_else(|| Fault::Odd { what: name, value: quoted(&text) })
}

fn policy(entry: &Value) -> Result<TlsPolicy, Fault> {
    let policy = entry.get("policy").unwrap_or(&Value::Null);
    let name = words(policy, "policy-domain", TEXT_MAX).ok_or(Fault::Missing("domain of a policy"))?;
    let failures: Vec<TlsFailure> = list(entry, "failure-details").map(failure).collect::<Result<_, _>>()?;
    let summary = entry.get("summary").unwrap_or(&Value::Null);
    let successful = number(summary, "total-successful-session-count")?;
    let failed = number(summary, "total-failure-session-count")?;
    if successful.is_none() && failed.is_none() && failures.is_empty() {
        return Err(Fault::Missing("number of sessions of a policy"));
    }
    let known = failures.iter().fold(0, |sum: u64, failure| sum.saturating_add(failure.sessions));
    Ok(TlsPolicy {
        kind: lower(policy, "policy-type"),
        domain: domain(&name)
            .ok_or_else(|| Fault::Odd { what: "the domain of a policy", value: quoted(&name) })?,
        text: texts(policy, "policy-string"),
        mx_hosts: texts(policy, "mx-host"),
        successful: successful.unwrap_or(0),
        failed: failed.unwrap_or(known),
        failures,
    })
}

fn failure(entry: &Value) -> Result<TlsFailure, Fault> {
    let sessions = number(entry, "failed-session-count")?;
    Ok(TlsFailure {
        kind: lower(entry, "result-type"),
        sending_ip: words(entry, "sending-mta-ip", TEXT_MAX),
        mx: words(entry, "receiving-mx-hostname", TEXT_MAX),
        mx_helo: words(entry, "receiving-mx-helo", TEXT_MAX),
        receiving_ip: words(entry, "receiving-ip", TEXT_MAX),
        sessions: sessions.ok_or(Fault::Missing("number of sessions of a failure"))?,
        more: words(entry, "additional-information", TEXT_MAX),
        reason_code: words(entry, "failure-reason-code", TEXT_MAX),
    })
}

/// The entries of a list; what should be a list and is none is its only entry.
fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    let entries: &[Value] = match value.get(name) {
        Some(Value::Array(entries)) => entries,
        None | Some(Value::Null) => &[],
        Some(entry) => std::slice::from_ref(entry),
    };
    entries.iter()
}

fn texts(value: &Value, name: &str) -> Vec<String> {
    list(value, name).filter_map(|entry| text(entry, TEXT_MAX)).collect()
}

fn words(value: &Value, name: &str, max: usize) -> Option<String> {
    text(value.get(name)?, max)
}

fn lower(value: &Value, name: &str) -> String {
    words(value, name, NAME_MAX).unwrap_or_default().to_ascii_lowercase()
}

/// A text that says something; a number is written out.
fn text(value: &Value, max: usize) -> Option<String> {
    let text = match value {
        Value::String(text) => tidy(text, max).into_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// A number of sessions, also as a string or with a fraction of zero. No larger than what adds up in a database.
fn number(value: &Value, name: &'static str) -> Result<Option<u64>, Fault> {
    let number = match value.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse::<f64>().ok(),
        Some(_) => None,
    };
    let whole = number.filter(|number| (0.0..=f64::from(u32::MAX)).contains(number) && number.fract() == 0.0);
    let odd = || Fault::Odd {
        what: name,
        value: value.get(name).map(|value| quoted(&value.to_string())).unwrap_or_default(),
    };
    whole.map(|number| Some(number as u64)).ok_or_else(odd)
}

#[cfg(test)]
mod tests;
