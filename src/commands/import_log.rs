//! `mailcow-status import-log FILE…`: years of old Postfix logs, plain or gzip, from syslog, the journal or Docker.
//! Repeating it changes nothing. With `--dry-run --json` it prints what it understood and needs no database.

use std::{
    collections::{BTreeMap, HashMap},
    io::Write,
    path::PathBuf,
};

use anyhow::Context;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{log::LogArgs, serve::runtime};
use crate::{
    app::{SERVER, open_database},
    config::Config,
    ingest::import::{Importer, Report},
    model::{
        event::{Action, Event, Fact, LogLine, Parsed, Refusal},
        fold::{ends, refuses_whole, split},
        mail::{Mail, Recipient, ServerId, Status},
        time::Millis,
    },
    parse::{docker, postfix, repeat, syslog::text},
};
use file::{Faults, Piece, Reader};

mod file;

/// A finished mail may get late lines for this many lines more.
const LATE: u64 = 20_000;

/// Arguments of `import-log`.
#[derive(Debug, clap::Args)]
pub struct ImportLogArgs {
    /// Log files, plain or gzip; `-` is standard input
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Read only, write nothing; needs no database
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object a mail, and one an attempt without a queue id
    #[arg(long, requires = "dry_run")]
    pub json: bool,
    /// Time zone of time stamps without one (RFC 3164), such as Europe/Berlin
    #[arg(long, default_value = "UTC")]
    pub zone: String,
    /// Year of each file's first line, for time stamps without one (RFC 3164); without it, the time of the file's last
    /// change tells
    #[arg(long, value_parser = clap::value_parser!(i16).range(1970..=9000))]
    pub year: Option<i16>,
}

impl ImportLogArgs {
    fn time_zone(&self) -> anyhow::Result<TimeZone> {
        TimeZone::get(&self.zone).with_context(|| format!("--zone {}: no such time zone", self.zone))
    }
}

/// Reads the files without a database and prints what they tell.
pub fn dry_run(args: &ImportLogArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let zone = args.time_zone()?;
    let (mut reading, mut faults) = (Reading::default(), Faults::default());
    let mut emit = |value: Value| match args.json {
        true => writeln!(out, "{value}").map_err(Into::into),
        false => Ok(()),
    };
    for path in &args.files {
        let Some(mut file) = faults.open(path) else { continue };
        let mut reader = Reader::new(&file, &zone, args.year);
        while let Some(line) = file.next_line() {
            reading.lines += 1;
            match reader.read(&docker::unpacked(text(line.bytes)), line.ended) {
                Piece::Line(line) => {
                    repeat::unfolded(line).try_for_each(|line| reading.take(&line, &mut emit))?
                }
                Piece::Unreadable => reading.unreadable += 1,
                Piece::Blank | Piece::Cut => {}
            }
        }
        faults.end(file, &reader);
    }
    reading.finish(&mut emit)?;
    if !args.json {
        writeln!(out, "{}", reading.summary())?;
    } else {
        eprintln!("{}", reading.summary());
    }
    faults.into_result()
}

/// Reads the files into the database of the settings.
pub fn run(args: &ImportLogArgs, log: LogArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let config = Config::from_environment()?;
    log.start(config.log);
    let now = Millis::now();
    let (lines, mails) = (now.minus(config.retention.lines), now.minus(config.retention.mails));
    let (report, faults) = runtime()?.block_on(async {
        let db = open_database(&config.database).await?;
        let told = import(args, Importer::new(db.clone(), SERVER, now, lines, mails)).await;
        db.close().await;
        told
    })?;
    let Report { lines, new_mails, unknown, unreadable, too_old } = report;
    writeln!(
        out,
        "{lines} lines: {new_mails} new mails, {unknown} lines that no rule knows, {unreadable} unreadable"
    )?;
    if too_old > 0 {
        writeln!(out, "{too_old} lines are past RETENTION and were left out; raise it to keep them")?;
    }
    out.flush()?;
    faults.into_result()
}

/// Reads the files into a database. What cannot be read costs no other file.
async fn import(args: &ImportLogArgs, mut importer: Importer) -> anyhow::Result<(Report, Faults)> {
    let zone = args.time_zone()?;
    let mut faults = Faults::default();
    for path in &args.files {
        let Some(mut file) = faults.open(path) else { continue };
        let mut reader = Reader::new(&file, &zone, args.year);
        while let Some(line) = file.next_line() {
            let text = docker::unpacked(text(line.bytes));
            match reader.read(&text, line.ended) {
                Piece::Line(line) => importer.push(&line).await?,
                Piece::Unreadable => importer.unreadable(&text),
                Piece::Blank | Piece::Cut => {}
            }
        }
        importer.flush().await?;
        faults.end(file, &reader);
    }
    Ok((importer.report(), faults))
}

/// Mails in the making while a log is read without a database.
#[derive(Default)]
struct Reading {
    open: HashMap<String, Open>,
    ended: std::collections::VecDeque<(u64, String)>,
    lines: u64,
    unreadable: u64,
    unknown: BTreeMap<String, u64>,
    mails: u64,
    refused: u64,
    /// Attempts without a queue id that were held or thrown away: nobody was refused.
    kept_back: u64,
}

#[derive(Default)]
struct Open {
    lines: Vec<(Millis, String, String)>,
}

impl Reading {
    fn take(
        &mut self,
        line: &LogLine<'_>,
        emit: &mut impl FnMut(Value) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        match postfix::parse(line.program, line.text) {
            Parsed::Mail { queue_id, fact } => {
                let owned = (line.at, line.program.to_owned(), line.text.to_owned());
                self.open.entry(queue_id.to_owned()).or_default().lines.push(owned);
                if ends(&fact) {
                    self.ended.push_back((self.lines + LATE, queue_id.to_owned()));
                }
            }
            Parsed::Refused(refusal) => {
                match refusal.refuses() {
                    true => self.refused += 1,
                    false => self.kept_back += 1,
                }
                let event = Event { at: line.at, fact: Fact::Refused(refusal), program: line.program };
                let name = format!("refused {}", self.lines);
                let mail = Mail::from_events(ServerId::default(), None, &name, &[event]);
                let mut value = mail_json(&mail);
                value[action_word(&refusal)] = refusal_json(&refusal);
                emit(value)?;
            }
            Parsed::Session(_) | Parsed::Noise => {}
            Parsed::Unknown => *self.unknown.entry(line.program.to_owned()).or_default() += 1,
        }
        while self.ended.front().is_some_and(|(due, _)| *due <= self.lines) {
            if let Some((_, queue_id)) = self.ended.pop_front() {
                self.emit(&queue_id, emit)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, emit: &mut impl FnMut(Value) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut left: Vec<(Millis, String)> = self
            .open
            .iter()
            .map(|(id, open)| (open.lines.first().map_or(Millis(0), |line| line.0), id.clone()))
            .collect();
        left.sort();
        left.into_iter().try_for_each(|(_, queue_id)| self.emit(&queue_id, emit))
    }

    fn emit(
        &mut self,
        queue_id: &str,
        emit: &mut impl FnMut(Value) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Some(open) = self.open.remove(queue_id) else { return Ok(()) };
        let events =
            open.lines.iter().filter_map(|(at, program, text)| match postfix::parse(program, text) {
                Parsed::Mail { fact, .. } => Some(Event { at: *at, fact, program }),
                _ => None,
            });
        for events in split(events.collect()) {
            self.mails += 1;
            let mail = Mail::from_events(ServerId::default(), Some(queue_id), queue_id, &events);
            let mut value = mail_json(&mail);
            let whole = events.iter().rev().find_map(|event| match &event.fact {
                Fact::Refused(refusal) => Some(refusal).filter(|refusal| refuses_whole(refusal)),
                _ => None,
            });
            if let Some(refusal) = whole.filter(|_| mail.refusal.is_some()) {
                self.refused += 1;
                value["rejected"] = refusal_json(refusal);
            }
            emit(value)?;
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let unknown: u64 = self.unknown.values().sum();
        let kept_back = match self.kept_back {
            0 => String::new(),
            count => format!("{count} attempts held or discarded, "),
        };
        format!(
            "{} lines: {} mails, {} refused attempts, {kept_back}{unknown} lines that no rule knows, {} unreadable",
            self.lines, self.mails, self.refused, self.unreadable
        )
    }
}

fn mail_json(mail: &Mail) -> Value {
    json!({
        "queue_id": mail.queue_id,
        "message_id": mail.message_id,
        "sender": mail.sender,
        "login": mail.login,
        "size": mail.size,
        "first_seen": iso(mail.first_seen),
        "direction": mail.direction.code(),
        "status": mail.status.code(),
        "recipients": mail.recipients.iter().map(recipient_json).collect::<Vec<_>>(),
    })
}

fn recipient_json(row: &Recipient) -> Value {
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "address": row.address,
        "orig_to": row.orig_to,
        "status": log_word(row),
        "state": row.status.code(),
        "dsn": known(&row.dsn),
        "relay": known(&row.relay),
        "delay": row.delay.parse::<f64>().ok(),
        "delays": known(&row.delays),
        "reply": known(&row.reply),
        "attempts": row.attempts,
        "tls": row.tls,
    })
}

/// Postfix's own word, as it stands in the log, where there is one.
fn log_word(row: &Recipient) -> &str {
    match row.status {
        Status::Delayed => "deferred",
        // The discard transport says `sent`.
        Status::Discarded => "sent",
        Status::Unknown if !row.status_word.is_empty() => &row.status_word,
        status => status.code(),
    }
}

/// What became of an attempt without a queue id.
fn action_word(refusal: &Refusal<'_>) -> &'static str {
    match refusal.action() {
        Action::Refuse => "rejected",
        Action::Hold => "held",
        Action::Discard => "discarded",
    }
}

fn refusal_json(refusal: &Refusal<'_>) -> Value {
    json!({
        "event": refusal.verb,
        "stage": refusal.stage,
        "client_host": refusal.host,
        "client_ip": refusal.ip,
        "smtp_code": (refusal.code != 0).then_some(refusal.code),
        "dsn": (!refusal.dsn.is_empty()).then_some(refusal.dsn),
        "reply": refusal.reply,
        "from": refusal.from,
        "to": refusal.to,
        "proto": refusal.proto,
        "helo": refusal.helo,
    })
}

fn iso(at: Millis) -> String {
    at.in_zone(&TimeZone::UTC).timestamp().to_string()
}

#[cfg(test)]
mod tests;
