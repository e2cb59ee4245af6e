//! `mailcow-status import-log FILE…`: years of old Postfix logs, plain or gzip, RFC 3164 or ISO time stamps.
//! Repeating it changes nothing. With `--dry-run --json` it prints what it understood and needs no database.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, IsTerminal, Read, Write},
    path::PathBuf,
    time::{Duration, Instant},
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
        event::{Event, Fact, Parsed},
        fold::split,
        mail::{Mail, Recipient, ServerId, Status},
        time::Millis,
    },
    parse::{
        lines::{Lines, unpacked},
        postfix,
        syslog::{YearGuess, parse_line, text},
    },
};

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
    /// Print one JSON object a mail, and one a refused attempt
    #[arg(long, requires = "dry_run")]
    pub json: bool,
    /// Time zone of time stamps without one (RFC 3164), such as Europe/Berlin
    #[arg(long, default_value = "UTC")]
    pub zone: String,
}

impl ImportLogArgs {
    fn time_zone(&self) -> anyhow::Result<TimeZone> {
        TimeZone::get(&self.zone).with_context(|| format!("--zone {}: no such time zone", self.zone))
    }
}

/// Reads the files without a database and prints what they tell.
pub fn dry_run(args: &ImportLogArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let zone = args.time_zone()?;
    let mut reading = Reading::default();
    for path in &args.files {
        let mut clock = YearGuess::new(zone.clone(), Millis::now());
        let mut progress = Progress::open(path)?;
        let mut lines = Lines::new(progress.stream()?);
        while let Some(bytes) = lines.next_line()? {
            progress.tick(bytes.len());
            let line = text(bytes);
            reading.take(&line, &mut clock, |value| match args.json {
                true => writeln!(out, "{value}").map_err(Into::into),
                false => Ok(()),
            })?;
        }
        progress.end();
    }
    reading.finish(|value| if args.json { writeln!(out, "{value}").map_err(Into::into) } else { Ok(()) })?;
    if !args.json {
        writeln!(out, "{}", reading.summary())?;
    } else {
        eprintln!("{}", reading.summary());
    }
    Ok(())
}

/// Reads the files into the database of the settings.
pub fn run(args: &ImportLogArgs, log: LogArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let config = Config::from_environment()?;
    log.start(config.log);
    let now = Millis::now();
    let (lines, mails) = (now.minus(config.retention.lines), now.minus(config.retention.mails));
    let report = runtime()?.block_on(async {
        let db = open_database(&config.database).await?;
        let report = import(args, Importer::new(db.clone(), SERVER, now, lines, mails)).await;
        db.close().await;
        report
    })?;
    let Report { lines, new_mails, unknown, unreadable, too_old } = report;
    writeln!(
        out,
        "{lines} lines: {new_mails} new mails, {unknown} lines that no rule knows, {unreadable} unreadable"
    )?;
    if too_old > 0 {
        writeln!(out, "{too_old} lines are past RETENTION and were left out; raise it to keep them")?;
    }
    Ok(())
}

/// Reads the files into a database.
pub async fn import(args: &ImportLogArgs, mut importer: Importer) -> anyhow::Result<Report> {
    let zone = args.time_zone()?;
    for path in &args.files {
        let mut clock = YearGuess::new(zone.clone(), Millis::now());
        let mut progress = Progress::open(path)?;
        let mut lines = Lines::new(progress.stream()?);
        while let Some(bytes) = lines.next_line()? {
            progress.tick(bytes.len());
            let line = text(bytes);
            match parse_line(&line, &mut clock) {
                Some(line) => importer.push(&line).await?,
                None if line.trim().is_empty() => {}
                None => importer.unreadable(&line),
            }
        }
        importer.flush().await?;
        progress.end();
    }
    Ok(importer.report())
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
}

#[derive(Default)]
struct Open {
    lines: Vec<(Millis, String, String)>,
}

impl Reading {
    fn take(
        &mut self,
        line: &str,
        clock: &mut YearGuess,
        mut emit: impl FnMut(Value) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.lines += 1;
        let Some(line) = parse_line(line, clock) else {
            self.unreadable += u64::from(!line.trim().is_empty());
            return Ok(());
        };
        match postfix::parse(line.program, line.text) {
            Parsed::Mail { queue_id, fact } => {
                let owned = (line.at, line.program.to_owned(), line.text.to_owned());
                self.open.entry(queue_id.to_owned()).or_default().lines.push(owned);
                if fact == Fact::Removed || matches!(fact, Fact::Refused(it) if it.refuses()) {
                    self.ended.push_back((self.lines + LATE, queue_id.to_owned()));
                }
            }
            Parsed::Refused(refusal) => {
                self.refused += 1;
                let event = Event { at: line.at, fact: Fact::Refused(refusal), program: line.program };
                let name = format!("refused {}", self.lines);
                let mail = Mail::from_events(ServerId::default(), None, &name, &[event]);
                let mut value = mail_json(&mail);
                value["rejected"] = refusal_json(&refusal);
                emit(value)?;
            }
            Parsed::Session(_) | Parsed::Noise => {}
            Parsed::Unknown => *self.unknown.entry(line.program.to_owned()).or_default() += 1,
        }
        while self.ended.front().is_some_and(|(due, _)| *due <= self.lines) {
            if let Some((_, queue_id)) = self.ended.pop_front() {
                self.emit(&queue_id, &mut emit)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, mut emit: impl FnMut(Value) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut left: Vec<(Millis, String)> = self
            .open
            .iter()
            .map(|(id, open)| (open.lines.first().map_or(Millis(0), |line| line.0), id.clone()))
            .collect();
        left.sort();
        left.into_iter().try_for_each(|(_, queue_id)| self.emit(&queue_id, &mut emit))
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
                Fact::Refused(refusal) => Some(refusal),
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
        format!(
            "{} lines: {} mails, {} refused attempts, {unknown} lines that no rule knows, {} unreadable",
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

fn refusal_json(refusal: &crate::model::event::Refusal<'_>) -> Value {
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

/// Shows on a terminal how far a file is read.
struct Progress {
    name: String,
    size: Option<u64>,
    path: PathBuf,
    bytes: u64,
    lines: u64,
    began: Instant,
    shown: Instant,
    visible: bool,
}

impl Progress {
    fn open(path: &PathBuf) -> anyhow::Result<Self> {
        let size = std::fs::metadata(path).ok().map(|file| file.len()).filter(|_| path.as_os_str() != "-");
        let now = Instant::now();
        let name = path.display().to_string();
        let visible = io::stderr().is_terminal();
        Ok(Self { name, size, path: path.clone(), bytes: 0, lines: 0, began: now, shown: now, visible })
    }

    fn stream(&self) -> anyhow::Result<Box<dyn Read + Send>> {
        if self.path.as_os_str() == "-" {
            return Ok(unpacked(io::stdin())?);
        }
        let file = File::open(&self.path).with_context(|| format!("cannot open {}", self.name))?;
        unpacked(file).with_context(|| format!("cannot read {}", self.name))
    }

    fn tick(&mut self, bytes: usize) {
        self.bytes += bytes as u64 + 1;
        self.lines += 1;
        if self.visible
            && self.lines.is_multiple_of(1024)
            && self.shown.elapsed() > Duration::from_millis(200)
        {
            self.shown = Instant::now();
            self.show("\r");
        }
    }

    fn show(&self, begin: &str) {
        let share = match self.size.filter(|size| *size > 0) {
            // A packed file has more bytes inside than outside.
            Some(size) if size >= self.bytes => {
                let filled = (self.bytes * 20 / size) as usize;
                format!("[{}{}] {:3} %", "#".repeat(filled), "-".repeat(20 - filled), self.bytes * 100 / size)
            }
            _ => format!("{} MB", self.bytes / 1_000_000),
        };
        let rate = self.lines as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        eprint!("{begin}{}: {share}, {} lines, {rate:.0} lines/s   ", self.name, self.lines);
    }

    fn end(&self) {
        if self.visible {
            self.show("\r");
            eprintln!();
        }
    }
}
