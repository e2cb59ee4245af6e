//! Changes as a person reads them before they are made: which lines come and go, without secrets.

use std::fmt::Write;

use super::{plan::Change, wish::CONF_PREFIX};
use crate::config::settings::SECTIONS;

const HIDDEN: &str = "********";

/// One change: a headline, and the lines that come (`+`) and go (`-`).
pub fn change(change: &Change, secrets: &[String]) -> String {
    let path = change.path.display();
    let mode = if change.private { ", for its owner's eyes only" } else { "" };
    let mut out = match (&change.was, &change.becomes) {
        _ if change.is_nothing() => return format!("as it should be: {path}\n"),
        (None, _) => format!("new: {path}{mode}\n"),
        (_, None) => format!("taken away: {path}\n"),
        (was, becomes) if was == becomes => return format!("closed to others: {path}\n"),
        _ => match &change.restored {
            Some(from) => format!("put back: {path}, from {}\n", from.display()),
            None => format!("changed: {path}{mode}\n"),
        },
    };
    let (was, becomes) = (lines(&change.was), lines(&change.becomes));
    for (sign, line) in diff(&was, &becomes) {
        let _ = writeln!(out, "  {sign} {}", masked(line, secrets));
    }
    out
}

fn lines(text: &Option<String>) -> Vec<&str> {
    text.as_deref().unwrap_or_default().lines().collect()
}

/// The lines that go and come, in order: by the longest common run of lines.
fn diff<'a>(was: &[&'a str], becomes: &[&'a str]) -> Vec<(char, &'a str)> {
    let width = becomes.len() + 1;
    let mut common = vec![0_u32; (was.len() + 1) * width];
    let at = |common: &[u32], i: usize, j: usize| common.get(i * width + j).copied().unwrap_or(0);
    for (i, old) in was.iter().enumerate().rev() {
        for (j, new) in becomes.iter().enumerate().rev() {
            let best = match old == new {
                true => at(&common, i + 1, j + 1) + 1,
                false => at(&common, i + 1, j).max(at(&common, i, j + 1)),
            };
            if let Some(cell) = common.get_mut(i * width + j) {
                *cell = best;
            }
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    loop {
        match (was.get(i), becomes.get(j)) {
            (Some(old), Some(new)) if old == new => (i, j) = (i + 1, j + 1),
            (Some(old), new) if new.is_none() || at(&common, i + 1, j) >= at(&common, i, j + 1) => {
                out.push(('-', *old));
                i += 1;
            }
            (_, Some(new)) => {
                out.push(('+', *new));
                j += 1;
            }
            _ => return out,
        }
    }
}

/// A line without secrets: neither ours nor what stands behind a name that sounds like one.
fn masked(line: &str, secrets: &[String]) -> String {
    let mut line = line.to_owned();
    if let Some((name, value)) = line.split_once('=')
        && is_secret(name.trim_end().trim_start_matches([' ', '-', '"', '\'']))
        && !value.is_empty()
        && !value.starts_with("${")
    {
        line = format!("{name}={HIDDEN}");
    }
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        line = line.replace(secret.as_str(), HIDDEN);
    }
    line
}

/// Whether a name is that of a secret: one of our settings, in `mailcow.conf` too, or one of others that sounds like it.
pub fn is_secret(name: &str) -> bool {
    let name = name.strip_prefix("export ").unwrap_or(name).trim_start();
    let bare = name.strip_prefix(CONF_PREFIX).unwrap_or(name);
    let mut ours = SECTIONS.iter().flat_map(|section| section.entries);
    ours.any(|entry| entry.secret && entry.names().any(|its| its == bare))
        || ["PASS", "PASSWORD", "PASSPHRASE", "SECRET", "KEY", "TOKEN", "DBROOT"]
            .iter()
            .any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_shown() {
        let shown = |was: &str, becomes: &str| -> String {
            let (was, becomes): (Vec<_>, Vec<_>) = (was.lines().collect(), becomes.lines().collect());
            diff(&was, &becomes).iter().map(|(sign, line)| format!("{sign}{line} ")).collect()
        };
        assert_eq!(shown("a\nb\nc", "a\nx\nc"), "-b +x ");
        assert_eq!(shown("a\nb", "a\nn\nb\nm"), "+n +m ");
        assert_eq!(shown("", "a"), "+a ");
        assert_eq!(shown("a\nb", ""), "-a -b ");
        assert_eq!(shown("a", "a"), "");
    }

    #[test]
    fn secrets_are_masked() {
        let secrets = ["hush".to_owned()];
        for (line, expected) in [
            ("DBPASS=old", "DBPASS=********"),
            ("STATUS_API_KEY=A-B", "STATUS_API_KEY=********"),
            ("STATUS_BACKUP_PASSPHRASE=a b", "STATUS_BACKUP_PASSPHRASE=********"),
            ("IDENTIFIED BY 'hush';", "IDENTIFIED BY '********';"),
            ("  - DB_PASSWORD=${STATUS_DB_PASSWORD}", "  - DB_PASSWORD=${STATUS_DB_PASSWORD}"),
            ("STATUS_ADMIN=a@b.test", "STATUS_ADMIN=a@b.test"),
            ("export STATUS_API_TOKEN=A-B", "export STATUS_API_TOKEN=********"),
            ("      - \"API_TOKEN=A-B\"", "      - \"API_TOKEN=********"),
            ("IMAP_2_PASS=A-B", "IMAP_2_PASS=********"),
        ] {
            assert_eq!(masked(line, &secrets), expected);
        }
        for entry in SECTIONS.iter().flat_map(|section| section.entries).filter(|entry| entry.secret) {
            for name in entry.names() {
                assert_eq!(
                    masked(&format!("{CONF_PREFIX}{name}=A-B"), &[]),
                    format!("{CONF_PREFIX}{name}={HIDDEN}")
                );
            }
        }
    }
}
