//! The host's own logs: failed SSH logins, and fail2ban.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use jiff::tz::TimeZone;

use super::Look;
use crate::{
    metrics::modules::host as m,
    model::time::Millis,
    parse::{
        lines::unpacked,
        proc,
        syslog::{YearGuess, parse_line},
    },
};

/// Where sshd logs, by distribution.
const AUTH: [&str; 2] = ["/var/log/auth.log", "/var/log/secure"];
const FAIL2BAN: &str = "/var/log/fail2ban.log";
const DAY: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// The end of a log that is read at most, and as much of those that were rotated away.
const TAIL: u64 = 32 << 20;

pub(super) fn look(look: &mut Look<'_>) {
    ssh(look);
    fail2ban(look);
}

fn ssh(look: &mut Look<'_>) {
    let Some(path) = AUTH.iter().map(|path| look.places.at(path)).find(|path| path.exists()) else {
        return look.fail("ssh", "neither /var/log/auth.log nor /var/log/secure is there".to_owned());
    };
    let since = look.now.minus(DAY);
    let clock = || YearGuess::new(TimeZone::system(), look.now);
    let reaches_back = |text: &str| {
        let mut clock = clock();
        text.lines().find_map(|line| parse_line(line, &mut clock)).is_some_and(|line| line.at <= since)
    };
    match read(&path, &reaches_back) {
        Err(why) => look.fail("ssh", why),
        Ok(Log { short: Some(why), .. }) => look.fail("ssh", why),
        Ok(Log { text, short: None }) => {
            let mut clock = clock();
            let failed = text.lines().filter(|line| {
                parse_line(line, &mut clock).is_some_and(|line| {
                    line.at >= since && line.program.starts_with("sshd") && proc::is_failed_login(line.text)
                })
            });
            look.out.set(&m::SSH_FAILED, failed.count());
        }
    }
}

fn fail2ban(look: &mut Look<'_>) {
    let (day, week) = (stamp(look.now.minus(DAY)), stamp(look.now.minus(WEEK)));
    let begin = |text: &str| text.lines().find_map(|line| proc::ban_stamp(line).map(str::to_owned));
    // Bans may last for days. Where the logs do not reach back so far, there is nothing that tells of such.
    let log = match read(&look.places.at(FAIL2BAN), &|text| begin(text).is_some_and(|begin| begin <= week)) {
        Err(why) => return look.fail("fail2ban", why),
        Ok(log) => log,
    };
    if let Some(why) = log.short.filter(|_| begin(&log.text).is_none_or(|begin| begin > day)) {
        return look.fail("fail2ban", why);
    }
    let mut banned = BTreeSet::new();
    let mut bans = 0_u32;
    for (at, is_ban, network) in log.text.lines().filter_map(proc::ban) {
        bans += u32::from(is_ban && at >= day.as_str());
        if is_ban {
            banned.insert(network)
        } else {
            banned.remove(network)
        };
    }
    look.out.set(&m::BANS, bans);
    look.out.set(&m::BANNED, banned.len());
}

/// A moment as fail2ban writes it.
fn stamp(at: Millis) -> String {
    at.in_zone(&TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The lines of a log.
struct Log {
    text: String,
    /// Why they do not reach back as far as was asked.
    short: Option<String>,
}

/// The lines of one file.
struct Lines {
    text: String,
    /// Whether they are all of it.
    whole: bool,
}

/// The lines of a log, with those of the files that were rotated away as far as they are needed to reach back.
fn read(path: &Path, reaches_back: &dyn Fn(&str) -> bool) -> Result<Log, String> {
    let Lines { mut text, mut whole } = tail(path, TAIL)?;
    let (mut older, mut room) = (rotated(path).into_iter(), TAIL);
    let short = loop {
        if reaches_back(&text) {
            break None;
        }
        if !whole {
            break Some(format!("{}: its lines of the time in question are too many", path.display()));
        }
        let Some(next) = older.next() else {
            break Some(format!("{}: no log reaches back far enough", path.display()));
        };
        let before = match past(&next, room) {
            Ok(before) => before,
            Err(why) => break Some(why),
        };
        room = room.saturating_sub(before.text.len() as u64);
        (text, whole) = (before.text + &text, before.whole);
    };
    Ok(Log { text, short })
}

/// The files that logrotate made of a log, newest first: `auth.log.1`, `auth.log.2.gz`, `secure-20261122`.
fn rotated(path: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let is_one = |own: &str| {
        let number = own.strip_prefix(name).and_then(|rest| rest.strip_prefix(['.', '-']));
        number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
    };
    let mut found: Vec<(SystemTime, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(is_one))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

/// What a rotated file says.
fn past(path: &Path, room: u64) -> Result<Lines, String> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("gz") => {}
        Some("xz" | "bz2" | "zst" | "lz4") => {
            return Err(format!("{}: only gzip can be unpacked", path.display()));
        }
        _ => return tail(path, room),
    }
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut bytes = Vec::new();
    let stream = unpacked(File::open(path).map_err(failed)?).map_err(failed)?;
    stream.take(room + 1).read_to_end(&mut bytes).map_err(failed)?;
    // The end is what matters, and the begin is what was read.
    if bytes.len() as u64 > room {
        return Err(format!("{}: too large", path.display()));
    }
    Ok(Lines { text: String::from_utf8_lossy(&bytes).into_owned(), whole: true })
}

/// The end of a log, from the begin of a line.
fn tail(path: &Path, room: u64) -> Result<Lines, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(room))).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(room).read_to_end(&mut bytes).map_err(failed)?;
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if length > room {
        text = text.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    }
    Ok(Lines { text, whole: length <= room })
}
