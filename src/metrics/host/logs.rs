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
/// What is read of a log at most, the newest first, with all the files that were rotated away: the collector's unit has 128 MiB.
const ROOM: u64 = 32 << 20;

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
    match read(&path, ROOM, &reaches_back) {
        Err(why) => look.fail("ssh", why),
        Ok(Log { short: Some(why), .. }) => look.fail("ssh", why),
        Ok(log) => {
            let mut clock = clock();
            let failed = log.lines().filter(|line| {
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
    let reaches_back =
        |text: &str| text.lines().find_map(proc::ban_stamp).is_some_and(|begin| begin <= week.as_str());
    // Bans may last for days. Where the logs do not reach back so far, there is nothing that tells of such.
    let log = match read(&look.places.at(FAIL2BAN), ROOM, &reaches_back) {
        Err(why) => return look.fail("fail2ban", why),
        Ok(log) => log,
    };
    let begin = log.lines().find_map(proc::ban_stamp);
    if let Some(why) = log.short.as_ref().filter(|_| begin.is_none_or(|begin| begin > day.as_str())) {
        return look.fail("fail2ban", why.clone());
    }
    let mut banned = BTreeSet::new();
    let mut bans = 0_u32;
    for (at, is_ban, network) in log.lines().filter_map(proc::ban) {
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
    /// The texts of its files, the newest first.
    texts: Vec<String>,
    /// Why they do not reach back as far as was asked.
    short: Option<String>,
}

impl Log {
    /// The lines, the oldest first.
    fn lines(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().rev().flat_map(|text| text.lines())
    }
}

/// The lines of one file.
struct Lines {
    text: String,
    /// Whether they are all of it.
    whole: bool,
}

/// The lines of a log, with those of the files that were rotated away as far as they are needed to reach back.
fn read(path: &Path, mut room: u64, reaches_back: &dyn Fn(&str) -> bool) -> Result<Log, String> {
    let mut lines = tail(path, room)?;
    let (mut older, mut texts) = (rotated(path).into_iter(), Vec::new());
    let short = loop {
        let (reaches, whole) = (reaches_back(&lines.text), lines.whole);
        room = room.saturating_sub(lines.text.len() as u64);
        texts.push(lines.text);
        if reaches {
            break None;
        }
        if !whole {
            break Some(format!("{}: its lines of the time in question are too many", path.display()));
        }
        let Some(next) = older.next() else {
            break Some(format!("{}: no log reaches back far enough", path.display()));
        };
        lines = match past(&next, room) {
            Ok(lines) => lines,
            Err(why) => break Some(why),
        };
    };
    Ok(Log { texts, short })
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
    Ok(Lines { text: text(bytes), whole: true })
}

/// The end of a log, from the begin of a line.
fn tail(path: &Path, room: u64) -> Result<Lines, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(room))).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(room).read_to_end(&mut bytes).map_err(failed)?;
    if length > room {
        let begin = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        bytes.drain(..begin);
    }
    Ok(Lines { text: text(bytes), whole: length <= room })
}

/// Bytes as text in the same place, with `?` for each that is none.
fn text(mut bytes: Vec<u8>) -> String {
    let mut from = 0;
    while let Err(wrong) = std::str::from_utf8(bytes.get(from..).unwrap_or_default()) {
        from += wrong.valid_up_to();
        if let Some(byte) = bytes.get_mut(from) {
            *byte = b'?';
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_of_a_log_share_one_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("auth.log");
        let lines = |name: char| format!("{name}\n").repeat(30);
        fs::write(&path, lines('b')).unwrap();
        fs::write(dir.path().join("auth.log.1"), lines('a')).unwrap();
        let of = |room: u64| read(&path, room, &|text| text.starts_with('a')).unwrap();
        let all = of(120);
        assert_eq!((all.lines().next(), all.lines().count(), &all.short), (Some("a"), 60, &None));
        // The begin of a line is cut off, and the newer file is there as a whole.
        for (room, texts) in [(100, 2), (61, 2), (60, 2), (40, 1)] {
            let part = of(room);
            assert_eq!(part.texts.len(), texts, "{room}");
            assert!(part.texts.iter().map(String::len).sum::<usize>() as u64 <= room, "{room}");
            assert_eq!(part.lines().last(), Some("b"), "{room}");
        }
        assert!(of(40).short.is_some(), "the newer file alone is too large");
        assert!(of(61).short.is_some(), "nothing is left of the older one");
    }

    #[test]
    fn what_is_no_text_spoils_no_line() {
        assert_eq!(text(b"a\xff\xfeb\nc\xc3\xa4\xc3".to_vec()), "a??b\ncä?");
        assert_eq!(text(Vec::new()), "");
    }
}
