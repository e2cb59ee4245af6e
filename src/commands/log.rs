//! This program's own log, on standard error: how much, in which form, and what never gets in.

use std::io::{self, IsTerminal, Write};

use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, fmt, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::{
    config::{self, LogFormat, LogSettings},
    work::logged::LOGGED,
};

/// What stands in the log for an address.
const HIDDEN: &str = "(address)";

/// Arguments of every command that writes a log; they win over the settings.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct LogArgs {
    /// How much this program logs: error, warn, info, debug or trace; wins over LOG_LEVEL
    #[arg(long, global = true, value_name = "LEVEL", value_parser = config::log_level)]
    pub log_level: Option<Level>,
    /// How it logs: text for people, json for machines; wins over LOG_FORMAT
    #[arg(long, global = true, value_name = "FORMAT", value_parser = config::log_format)]
    pub log_format: Option<LogFormat>,
}

impl LogArgs {
    /// Starts the log as the command line says, else as the settings say.
    pub fn start(self, settings: LogSettings) {
        let level = self.log_level.unwrap_or(settings.level);
        let shown = fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(Careful(io::stderr));
        // Errors and warnings count, whatever is shown.
        let log = tracing_subscriber::registry().with(LOGGED.layer().with_filter(filter(Level::WARN)));
        let started = match self.log_format.unwrap_or(settings.format) {
            LogFormat::Text => log.with(shown.with_filter(filter(level))).try_init(),
            LogFormat::Json => log.with(shown.json().with_filter(filter(level))).try_init(),
        };
        if let Err(error) = started {
            eprintln!("mailcow-status: the log was started before: {error}");
        }
    }
}

/// The level is that of this program. Libraries tell warnings at most, whatever the level: what they say in detail holds
/// addresses, keys and statements, of which nobody here has a say.
fn filter(level: Level) -> EnvFilter {
    let others = LevelFilter::from_level(level).min(LevelFilter::WARN);
    // A slow statement is told with all its text, a step of the schema with pages of it: for those who look closely.
    let statements = if level > Level::INFO { others } else { LevelFilter::ERROR };
    EnvFilter::new(format!("{others},sqlx::query={statements},mailcow_status={level}"))
}

/// Writes whole events with each mail address blotted out. Errors of peers and of the database repeat what they were
/// asked for, and there are many ways for such words to get into a log: all of them lead through here.
#[derive(Debug, Clone, Copy)]
struct Careful<M>(M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Careful<M> {
    type Writer = Careful<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Careful(self.0.make_writer())
    }
}

impl<W: Write> Write for Careful<W> {
    /// Takes all of it: the subscriber hands over one whole event at a time.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(event) {
            Ok(text) => self.0.write_all(blotted(text).as_bytes())?,
            Err(_) => self.0.write_all(b"(an event that is no text)\n")?,
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The text without mail addresses: what surrounds an `@`, up to a space or a sign that begins or ends a value.
fn blotted(text: &str) -> String {
    let ends = |c: char| c.is_whitespace() || c.is_control() || "\"'`<>()[]{},;:=\\/|".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('@') {
        let kept = before.rfind(ends).map_or(0, |at| at + before.get(at..).map_or(0, first_length));
        out.push_str(before.get(..kept).unwrap_or_default());
        out.push_str(HIDDEN);
        let end = after.find(ends).unwrap_or(after.len());
        rest = after.get(end..).unwrap_or_default();
    }
    out + rest
}

fn first_length(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::commands::Cli;

    #[test]
    fn no_address_gets_through() {
        for (text, expected) in [
            ("no address here\n", "no address here\n"),
            ("Mailcow get/mailbox/ann+x@alpha.test: no answer", "Mailcow get/mailbox/(address): no answer"),
            ("from=<ann@alpha.test>, to=<é@ü.test>", "from=<(address)>, to=<(address)>"),
            (r#"{"error":"IMAP dmarc@alpha.test\n"}"#, r#"{"error":"IMAP (address)\n"}"#),
            ("a@b@c d@e", "(address) (address)"),
            ("@", "(address)"),
            ("mysql://status@db:3306/x", "mysql://(address):3306/x"),
        ] {
            assert_eq!(blotted(text), expected);
        }
    }

    #[test]
    fn a_writer_takes_each_event_whole() {
        let mut writer = Careful(Vec::new());
        writer.write_all(b"ann@alpha.test said\n").unwrap();
        writer.write_all(&[0xff, b'@', b'\n']).unwrap();
        assert_eq!(writer.0, b"(address) said\n(an event that is no text)\n");
    }

    #[test]
    fn libraries_never_say_more_than_warnings() {
        let shown = |level| filter(level).to_string();
        assert_eq!(shown(Level::TRACE), "mailcow_status=trace,sqlx::query=warn,warn");
        assert_eq!(shown(Level::INFO), "mailcow_status=info,sqlx::query=error,warn");
        assert_eq!(shown(Level::ERROR), "mailcow_status=error,sqlx::query=error,error");
    }

    #[test]
    fn the_command_line_knows_the_words_of_the_settings() {
        let line = ["mailcow-status", "serve", "--log-level", "Debug", "--log-format", "json"];
        let log = Cli::try_parse_from(line).unwrap().log;
        assert_eq!((log.log_level, log.log_format), (Some(Level::DEBUG), Some(LogFormat::Json)));
        let early = ["mailcow-status", "--log-level=warn", "prune"];
        assert_eq!(Cli::try_parse_from(early).unwrap().log.log_level, Some(Level::WARN));
        for wrong in [["serve", "--log-level", "loud"], ["serve", "--log-format", "xml"]] {
            let error = Cli::try_parse_from(["mailcow-status"].iter().chain(&wrong)).unwrap_err();
            assert!(error.to_string().contains("Give "), "{error}");
        }
    }
}
