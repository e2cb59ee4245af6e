//! What is to be written where, and the writing: all or, as far as can be known before, nothing.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::model::time::Millis;

/// Everybody may read it.
const OPEN: u32 = 0o644;
/// Only its owner may read it.
const PRIVATE: u32 = 0o600;

/// What becomes of one file.
#[derive(Debug)]
pub struct Change {
    /// The file; where the path was a link, what it leads to.
    pub path: PathBuf,
    /// What it holds; `None`: there is none.
    pub was: Option<String>,
    /// What it will hold; `None`: there will be none.
    pub becomes: Option<String>,
    /// Whether it holds secrets.
    pub private: bool,
    /// Whether what it holds is kept beside it.
    pub backup: bool,
    /// The backup that goes back to its place, and so away.
    pub restored: Option<PathBuf>,
}

impl Change {
    /// A file with a new text, made from the present one.
    pub fn write(
        path: &Path,
        private: bool,
        text: impl FnOnce(Option<&str>) -> anyhow::Result<String>,
    ) -> anyhow::Result<Self> {
        let (path, was) = read(path)?;
        let becomes = text(was.as_deref()).with_context(|| path.display().to_string())?;
        Ok(Self { path, backup: was.is_some(), becomes: Some(becomes), was, private, restored: None })
    }

    /// Whether all is as it should be.
    pub fn is_nothing(&self) -> bool {
        self.was == self.becomes && !self.loosens()
    }

    /// Whether others may read secrets in it now.
    pub fn loosens(&self) -> bool {
        let mode = fs::metadata(&self.path).map(|meta| meta.mode() & 0o077);
        self.private && mode.is_ok_and(|mode| mode != 0)
    }
}

/// A file as it is, with its real path. A link that leads nowhere is refused: what would be made there is not ours to say.
pub fn read(path: &Path) -> anyhow::Result<(PathBuf, Option<String>)> {
    let named = || path.display().to_string();
    match fs::read(path) {
        Ok(bytes) => {
            let Ok(text) = String::from_utf8(bytes) else { bail!("{} is not UTF-8 text", named()) };
            Ok((fs::canonicalize(path).with_context(named)?, Some(text)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
            Ok((path.to_owned(), None))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("{} is a link that leads nowhere", named())
        }
        Err(error) => Err(error).with_context(named),
    }
}

/// Makes the changes; the backups that were made. New texts are all laid down beside their files before the first file
/// changes, so that a full disk or a directory that cannot be written stops everything.
pub fn apply(changes: &[Change], now: Millis) -> anyhow::Result<Vec<PathBuf>> {
    let due: Vec<&Change> = changes.iter().filter(|change| !change.is_nothing()).collect();
    let mut staged = Vec::new();
    for change in &due {
        match stage(change) {
            Ok(file) => staged.push(file),
            Err(error) => {
                staged.iter().flatten().for_each(|file| _ = fs::remove_file(file));
                return Err(error.context("nothing was written"));
            }
        }
    }
    let mut backups = Vec::new();
    for (change, staged) in due.iter().zip(&staged) {
        let failed = || format!("{}: run setup again once this is mended", change.path.display());
        backups.extend(replace(change, staged.as_deref(), now).with_context(failed)?);
    }
    Ok(backups)
}

/// The new text as a file beside the old one, with its owner and rights.
fn stage(change: &Change) -> anyhow::Result<Option<PathBuf>> {
    let Some(text) = &change.becomes else { return Ok(None) };
    let named = || format!("{} cannot be written", change.path.display());
    let folder = change.path.parent().with_context(named)?;
    if !folder.exists() {
        fs::create_dir_all(folder).with_context(named)?;
    }
    let old = fs::metadata(change.restored.as_deref().unwrap_or(&change.path)).ok();
    let mode = old.as_ref().map_or(if change.private { PRIVATE } else { OPEN }, |old| old.mode() & 0o777);
    let mode = if change.private { mode & 0o700 } else { mode };
    let mut name = std::ffi::OsString::from(".");
    name.push(change.path.file_name().with_context(named)?);
    name.push(".new");
    let staged = folder.join(name);
    // One that an interrupted run left behind.
    _ = fs::remove_file(&staged);
    let written = (|| {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&staged)?;
        file.write_all(text.as_bytes())?;
        if let Some(old) = old
            .filter(|old| file.metadata().is_ok_and(|new| (new.uid(), new.gid()) != (old.uid(), old.gid())))
        {
            chown(&staged, Some(old.uid()), Some(old.gid()))?;
        }
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()
    })();
    if let Err(error) = written {
        _ = fs::remove_file(&staged);
        return Err(error).with_context(named);
    }
    Ok(Some(staged))
}

fn replace(change: &Change, staged: Option<&Path>, now: Millis) -> io::Result<Option<PathBuf>> {
    let backup = match (&change.was, change.backup) {
        (Some(was), true) if change.becomes.as_ref() != Some(was) => {
            Some(keep(&change.path, change.private, now)?)
        }
        _ => None,
    };
    match staged {
        Some(staged) => fs::rename(staged, &change.path)?,
        None => fs::remove_file(&change.path)?,
    }
    if let Some(restored) = &change.restored {
        fs::remove_file(restored)?;
    }
    Ok(backup)
}

/// Copies a file beside itself under a name with the time, with its rights unless it is private, over nothing that
/// exists.
fn keep(path: &Path, private: bool, now: Millis) -> io::Result<PathBuf> {
    let stamp =
        jiff::Timestamp::from_millisecond(now.0).unwrap_or_default().strftime("%Y%m%d-%H%M%S").to_string();
    for number in 1.. {
        let number = if number == 1 { String::new() } else { format!("-{number}") };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{stamp}{number}.bak"));
        let backup = path.with_file_name(name);
        match fs::OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&backup) {
            Ok(_) => {
                fs::copy(path, &backup)?;
                let meta = fs::metadata(path)?;
                if private {
                    fs::set_permissions(&backup, fs::Permissions::from_mode(PRIVATE))?;
                }
                // Not being able to give it away does no harm: it is still ours to read.
                _ = chown(&backup, Some(meta.uid()), Some(meta.gid()));
                return Ok(backup);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// The backups of a file, oldest first.
pub fn backups(path: &Path) -> io::Result<Vec<PathBuf>> {
    let Some((folder, name)) = path.parent().zip(path.file_name()) else { return Ok(Vec::new()) };
    let begin = format!("{}.", name.to_string_lossy());
    let is_backup = |name: &str| {
        let stamp = name.strip_prefix(&begin).and_then(|rest| rest.strip_suffix(".bak"));
        stamp.is_some_and(|stamp| stamp.len() >= 15 && stamp.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if is_backup(&entry.file_name().to_string_lossy()) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}
