//! Taking away what setup wrote: pieces go out of files of others, whole files go, and what they had replaced comes back.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::{
    SetupArgs,
    block::{self, Origin},
    files::Files,
    plan::{Change, backups, read},
};

/// What goes, and what is left alone.
pub struct Removal {
    /// The changes.
    pub changes: Vec<Change>,
    /// Files of setup's names that are not of setup.
    foreign: Vec<PathBuf>,
}

/// Looks at every file that setup may ever have written.
pub fn plan(args: &SetupArgs, mailcow: &Path) -> anyhow::Result<Removal> {
    let files = Files::at(mailcow, args);
    let mut removal = Removal { changes: Vec::new(), foreign: Vec::new() };
    for (path, private) in [(&files.conf, true), (&files.compose, false), (&files.rspamd, false)] {
        removal.take_out(path, private)?;
    }
    // An earlier version wrote it as a whole.
    match read(&files.env)?.1.is_some_and(|was| block::origin(&was) != Origin::Foreign) {
        true => removal.take_away(&files.env, true)?,
        false => removal.take_out(&files.env, true)?,
    }
    let open = [&files.below, &files.own_host, &files.lua, &files.unit];
    for (path, private) in open.map(|path| (path, false)).into_iter().chain([(&files.sql, true)]) {
        removal.take_away(path, private)?;
    }
    Ok(removal)
}

impl Removal {
    /// A file of others: without our pieces it is as it would be without us, later changes included.
    fn take_out(&mut self, path: &Path, private: bool) -> anyhow::Result<()> {
        let (path, Some(was)) = read(path)? else { return Ok(()) };
        let rest = block::without(&was).with_context(|| path.display().to_string())?;
        if rest != was {
            let becomes = Some(rest).filter(|rest| !rest.trim().is_empty());
            self.changes.push(Change {
                path,
                was: Some(was),
                becomes,
                private,
                backup: true,
                restored: None,
            });
        }
        Ok(())
    }

    /// A whole file. What somebody changed in it is kept as a backup.
    fn take_away(&mut self, path: &Path, private: bool) -> anyhow::Result<()> {
        let (path, Some(was)) = read(path)? else { return Ok(()) };
        let origin = block::origin(&was);
        if origin == Origin::Foreign {
            self.foreign.push(path);
            return Ok(());
        }
        let mut earlier = None;
        for backup in backups(&path)?.into_iter().rev() {
            if let (_, Some(text)) = read(&backup)?
                && block::origin(&text) == Origin::Foreign
            {
                earlier = Some((backup, text));
                break;
            }
        }
        let (restored, becomes) = earlier.unzip();
        let backup = origin == Origin::Edited;
        self.changes.push(Change { path, was: Some(was), becomes, private, backup, restored });
        Ok(())
    }

    /// What a person should know and do afterwards.
    pub fn words(&self, mailcow: &Path) -> String {
        let mut out = String::new();
        for path in &self.foreign {
            let _ = writeln!(out, "left alone, because setup did not write it: {}", path.display());
        }
        let _ = write!(
            out,
            "\nWhat is left to do by hand:\n  \
             cd '{}' && docker compose up -d --remove-orphans && docker compose restart nginx-mailcow rspamd-mailcow\n  \
             With systemd: systemctl disable --now mailcow-status (before the unit goes, or kill its process)\n  \
             The data is kept, in the database or the volume status-vol-1. Before a DROP DATABASE mailcowstatus: the PHP app\n  \
             and the report fetcher have their tables there, too (mail, mail_history, report, rptrecord), and the same user.\n  \
             In Mailcow: delete the OAuth2 app and the App link; make a new API key if no other tool uses it.\n  \
             Backups (*.bak) stay; those of mailcow.conf hold secrets.\n",
            mailcow.display()
        );
        out
    }
}
