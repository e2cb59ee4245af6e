//! The host's own logs: failed SSH logins, and fail2ban.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
    time::Duration,
};

use jiff::tz::TimeZone;

use super::Look;
use crate::{
    metrics::modules::host as m,
    parse::{
        proc,
        syslog::{YearGuess, parse_line},
    },
};

/// Where sshd logs, by distribution.
const AUTH: [&str; 2] = ["/var/log/auth.log", "/var/log/secure"];
const FAIL2BAN: &str = "/var/log/fail2ban.log";
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The end of a log that is read at most.
const TAIL: u64 = 32 << 20;

pub(super) fn look(look: &mut Look<'_>) {
    let auth = AUTH.iter().map(|path| look.places.at(path)).find(|path| path.exists());
    match auth.as_deref().map(tail) {
        None => look.fail("ssh", "neither /var/log/auth.log nor /var/log/secure is there".to_owned()),
        Some(Err(why)) => look.fail("ssh", why),
        Some(Ok(text)) => {
            let mut clock = YearGuess::new(TimeZone::system(), look.now);
            let since = look.now.minus(DAY);
            let failed = text.lines().filter(|line| {
                parse_line(line, &mut clock).is_some_and(|line| {
                    line.at >= since && line.program.starts_with("sshd") && proc::is_failed_login(line.text)
                })
            });
            let failed = failed.count();
            look.out.set(&m::SSH_FAILED, failed);
        }
    }
    match tail(&look.places.at(FAIL2BAN)) {
        Err(why) => look.fail("fail2ban", why),
        Ok(text) => {
            let since =
                look.now.minus(DAY).in_zone(&TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string();
            let mut banned = BTreeSet::new();
            let mut bans = 0_u32;
            for (at, is_ban, network) in text.lines().filter_map(proc::ban) {
                bans += u32::from(is_ban && at >= since.as_str());
                if is_ban {
                    banned.insert(network)
                } else {
                    banned.remove(network)
                };
            }
            look.out.set(&m::BANS, bans);
            look.out.set(&m::BANNED, banned.len());
        }
    }
}

/// The end of a log, from the begin of a line.
fn tail(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(if length > TAIL {
        text.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default()
    } else {
        text
    })
}
