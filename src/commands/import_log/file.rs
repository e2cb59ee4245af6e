//! The files of an import: how each is opened, read line by line, and what was wrong with it.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use jiff::tz::TimeZone;

use crate::{
    model::{event::LogLine, time::Millis},
    parse::{
        lines::{Changed, Line, Lines, unpacked_and_dated},
        postfix,
        syslog::{YearGuess, parse_line},
    },
};

/// What could not be read. Each fault is told at once, so that the other files are still read.
#[derive(Debug, Default)]
pub(super) struct Faults(usize);

impl Faults {
    /// Opens a file, or tells why not.
    pub(super) fn open(&mut self, path: &Path) -> Option<LogFile> {
        LogFile::open(path).map_err(|fault| self.tell(&fault)).ok()
    }

    /// Tells what was wrong with a file that has been read.
    pub(super) fn end(&mut self, file: LogFile, reader: &Reader) {
        file.progress.end();
        let name = &file.progress.name;
        if reader.cut {
            eprintln!("{name}: the last line is not complete and was left out; import the file again later");
        }
        if let Some(year) = reader.doubtful_year() {
            eprintln!(
                "{name}: lines were taken for ones of {year}, long before the file's last change, since their time stamps name \
                 no year; if that is wrong, import the file with --year and the year of its first line"
            );
        }
        if let Some(fault) = file.fault {
            let broken = format!("cannot read {name} to its end; what stands before was taken");
            self.tell(&anyhow!(fault).context(broken));
        } else if reader.unreadable > 0 && reader.readable == 0 {
            self.tell(&anyhow!(
                "{name}: none of its lines begins with a time stamp as syslog, the journal or Docker write it. Mailcow's \
                 own log comes from: docker compose logs --no-log-prefix postfix-mailcow"
            ));
        }
    }

    fn tell(&mut self, fault: &anyhow::Error) {
        eprintln!("{fault:#}");
        self.0 += 1;
    }

    /// A failure where there was a fault.
    pub(super) fn into_result(self) -> anyhow::Result<()> {
        match self.0 {
            0 => Ok(()),
            1 => Err(anyhow!("one file could not be read, or not all of it")),
            count => Err(anyhow!("{count} files could not be read, or not all of them")),
        }
    }
}

/// What a line of a file is.
pub(super) enum Piece<'a> {
    /// A log line.
    Line(LogLine<'a>),
    /// Nothing.
    Blank,
    /// No log line.
    Unreadable,
    /// The half of a line that is still being written.
    Cut,
}

/// Tells what the lines of one file are.
pub(super) struct Reader {
    clock: YearGuess,
    dates: Dates,
    readable: u64,
    unreadable: u64,
    cut: bool,
}

impl Reader {
    /// For a file whose first line is of the given year, or no line later than its last change.
    pub(super) fn new(file: &LogFile, zone: &TimeZone, year: Option<i16>) -> Self {
        let (zone, dates) = (zone.clone(), file.dates.clone());
        let clock = match year {
            Some(year) => YearGuess::beginning(zone, year),
            None => YearGuess::new(zone, dates.last_change()),
        };
        Self { clock, dates, readable: 0, unreadable: 0, cut: false }
    }

    /// The year that lines were taken for without much reason.
    pub(super) fn doubtful_year(&self) -> Option<i16> {
        Some(self.clock.doubtful()?.in_zone(&TimeZone::UTC).year())
    }

    /// `ended`: a line break stood behind the line. A line without one counts only where its text shows that it is whole.
    pub(super) fn read<'a>(&mut self, line: &'a str, ended: bool) -> Piece<'a> {
        self.clock.raise(self.dates.last_change());
        match parse_line(line, &mut self.clock) {
            Some(line) if ended || postfix::is_whole(line.text, &postfix::parse(line.program, line.text)) => {
                self.readable += 1;
                Piece::Line(line)
            }
            _ if line.trim().is_empty() => Piece::Blank,
            _ if ended => {
                self.unreadable += 1;
                Piece::Unreadable
            }
            _ => {
                self.cut = true;
                Piece::Cut
            }
        }
    }
}

/// When a file was changed last.
#[derive(Clone)]
struct Dates {
    /// What gzip wrote down: a copy of a packed file may be younger.
    packed: Changed,
    /// What the file system says; now for what is no file.
    file: Millis,
}

impl Dates {
    /// Of the part that is being read, where several packed files stand one behind the other.
    fn last_change(&self) -> Millis {
        self.packed.known().unwrap_or(self.file)
    }
}

/// A file that is being read.
pub(super) struct LogFile {
    progress: Progress,
    lines: Lines<Box<dyn Read + Send>>,
    dates: Dates,
    /// Why it was not read to its end.
    fault: Option<io::Error>,
}

impl LogFile {
    fn open(path: &Path) -> anyhow::Result<Self> {
        let file = (path.as_os_str() != "-").then(|| std::fs::metadata(path).ok()).flatten();
        let file = file.filter(std::fs::Metadata::is_file);
        let progress = Progress::new(path, file.as_ref().map(std::fs::Metadata::len));
        let (stream, packed) = stream(path)?;
        let changed = file.and_then(|file| file.modified().ok()).map(Millis::of_file);
        let dates = Dates { packed, file: changed.unwrap_or_else(Millis::now) };
        Ok(Self { progress, lines: Lines::new(stream), dates, fault: None })
    }

    /// The next line; `None` at the end, or where the file cannot be read any further.
    pub(super) fn next_line(&mut self) -> Option<Line<'_>> {
        match self.lines.next_line() {
            Ok(line) => {
                self.progress.tick(line?.bytes.len());
                line
            }
            Err(fault) => {
                self.fault = Some(fault);
                None
            }
        }
    }
}

/// Shows on a terminal how far a file is read.
struct Progress {
    name: String,
    size: Option<u64>,
    bytes: u64,
    lines: u64,
    began: Instant,
    shown: Instant,
    visible: bool,
}

impl Progress {
    fn new(path: &Path, size: Option<u64>) -> Self {
        let now = Instant::now();
        let name = path.display().to_string();
        Self { name, size, bytes: 0, lines: 0, began: now, shown: now, visible: io::stderr().is_terminal() }
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

/// What a file or standard input holds, unpacked, and when it was changed last where gzip wrote that down.
fn stream(path: &Path) -> anyhow::Result<(Box<dyn Read + Send>, Changed)> {
    let name = path.display();
    let opened = match path.to_str() {
        Some("-") => unpacked_and_dated(io::stdin()),
        _ => unpacked_and_dated(File::open(path).with_context(|| format!("cannot open {name}"))?),
    };
    opened.with_context(|| format!("cannot read {name}"))
}
