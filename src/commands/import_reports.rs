//! `mailcow-status import-reports PATH…`: DMARC and TLS reports from files, folders, maildirs and mbox files. With
//! `--dry-run --json` it prints what it understood and needs neither settings nor a database.

pub mod inputs;
pub mod storing;

use std::{
    collections::{BTreeMap, HashSet},
    io::Write,
    path::PathBuf,
};

use anyhow::bail;
use inputs::{Input, Inputs};
use serde_json::{Value, json};

use crate::{
    model::report::{Evaluation, Policy, Record, Report, TlsPolicy, TlsReport},
    parse::{
        attachment::{Limits, unpack},
        report::{Parsed, read},
    },
};

/// Arguments of `import-reports`.
#[derive(Debug, clap::Args)]
pub struct ImportReportsArgs {
    /// Reports (xml, json, gz, zip), mails (eml), mbox files, maildirs, or folders of these; `-` is standard input
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Read only, write nothing; needs no database
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object a report, and one a refused input
    #[arg(long, requires = "dry_run")]
    pub json: bool,
}

/// Reads the reports without a database and prints what they tell.
///
/// # Errors
/// When something was refused, or nothing can be printed.
pub fn dry_run(args: &ImportReportsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let limits = Limits::default();
    let mut tally = Tally::default();
    for input in Inputs::new(&args.paths, limits.input) {
        for line in lines(&input, &limits) {
            tally.count(&line);
            match args.json {
                true => writeln!(out, "{line}")?,
                false => writeln!(out, "{}", words(&line))?,
            }
        }
    }
    out.flush()?;
    let Tally { reports, messages, refused } = tally;
    eprintln!("{reports} reports of {messages} messages read, {refused} inputs refused");
    if refused > 0 {
        bail!("{refused} inputs were refused; see `error` for the reason of each");
    }
    Ok(())
}

/// How much was read.
#[derive(Default)]
struct Tally {
    reports: u64,
    messages: u64,
    refused: u64,
}

impl Tally {
    fn count(&mut self, line: &Value) {
        let refused = line.get("error").is_some();
        self.refused += u64::from(refused);
        self.reports += u64::from(!refused);
        self.messages =
            self.messages.saturating_add(line.get("messages").and_then(Value::as_u64).unwrap_or(0));
    }
}

/// What there is to say of an input: one object for each report and each refusal in it.
fn lines(input: &Input, limits: &Limits) -> Vec<Value> {
    let refusal =
        |error: &str, name: Option<&str>| json!({"file": input.name, "document": name, "error": error});
    let bytes = match &input.bytes {
        Ok(bytes) => bytes,
        Err(error) => return vec![refusal(error, None)],
    };
    let found = unpack(bytes, Some(&input.name), limits);
    let mut lines = Vec::new();
    for document in found.documents {
        let mut line = match read(&document.bytes) {
            Ok(Parsed::Aggregate(report)) => aggregate_json(&report),
            Ok(Parsed::Tls(report)) => tls_json(&report),
            Err(fault) => {
                lines.push(refusal(&fault.to_string(), Some(&document.name)));
                continue;
            }
        };
        line["file"] = json!(input.name);
        line["document"] = json!(document.name);
        lines.push(line);
    }
    lines.extend(found.refused.iter().map(|refused| refusal(&refused.reason, Some(&refused.name))));
    lines
}

fn aggregate_json(report: &Report) -> Value {
    let sum = |wanted: &dyn Fn(&Record) -> bool| {
        report.records.iter().filter(|record| wanted(record)).map(|record| record.count).sum::<u64>()
    };
    let mut dispositions: BTreeMap<&str, u64> = BTreeMap::new();
    for record in &report.records {
        *dispositions.entry(&record.disposition).or_default() += record.count;
    }
    let sources: HashSet<_> =
        report.records.iter().map(|record| (record.source, &record.source_text)).collect();
    json!({
        "kind": "dmarc",
        "org": report.org,
        "report_id": report.report_id,
        "begin": report.begin.secs(),
        "end": report.end.secs(),
        "domain": report.policy.domain,
        "policy": policy_json(&report.policy),
        "records": report.records.len(),
        "messages": sum(&|_| true),
        "dkim_aligned": sum(&|record| record.dkim == Evaluation::Pass),
        "spf_aligned": sum(&|record| record.spf == Evaluation::Pass),
        "aligned": sum(&Record::aligned),
        "dispositions": dispositions,
        "sources": sources.len(),
    })
}

fn policy_json(policy: &Policy) -> Value {
    json!({
        "p": policy.p,
        "sp": policy.sp,
        "np": policy.np,
        "adkim": policy.adkim,
        "aspf": policy.aspf,
        "pct": policy.pct,
        "fo": policy.fo,
        "testing": policy.testing,
        "discovery_method": policy.discovery,
    })
}

fn tls_json(report: &TlsReport) -> Value {
    let sum = |sessions: fn(&TlsPolicy) -> u64| report.policies.iter().map(sessions).sum::<u64>();
    let mut failures: BTreeMap<&str, u64> = BTreeMap::new();
    for failure in report.policies.iter().flat_map(|policy| &policy.failures) {
        *failures.entry(&failure.kind).or_default() += failure.sessions;
    }
    let domains: std::collections::BTreeSet<&str> =
        report.policies.iter().map(|policy| policy.domain.as_str()).collect();
    json!({
        "kind": "tls",
        "org": report.org,
        "report_id": report.report_id,
        "begin": report.begin.secs(),
        "end": report.end.secs(),
        "domains": domains,
        "policies": report.policies.len(),
        "successful": sum(|policy| policy.successful),
        "failed": sum(|policy| policy.failed),
        "failures": failures,
    })
}

/// A line for people.
fn words(line: &Value) -> String {
    let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| line.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (file, org, id) = (text("file"), text("org"), text("report_id"));
    if let Some(error) = line.get("error").and_then(Value::as_str) {
        return format!("{file}: refused: {error}");
    }
    match text("kind") {
        "tls" => {
            let (good, bad) = (number("successful"), number("failed"));
            format!("{file}: TLS report {id} of {org}: {good} sessions encrypted, {bad} failed")
        }
        _ => {
            let (domain, messages, aligned) = (text("domain"), number("messages"), number("aligned"));
            format!("{file}: DMARC report {id} of {org} on {domain}: {messages} messages, {aligned} aligned")
        }
    }
}

#[cfg(test)]
mod tests;
