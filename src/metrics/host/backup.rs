//! The backup folder: Mailcow's script makes one sub-folder `mailcow-…` per backup.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{Look, Places, files};
use crate::{metrics::modules::backup as m, model::time::Millis};

/// Where the script's users keep backups.
const USUAL: [&str; 2] = ["/opt/backup", "/backup"];

pub(super) fn look(look: &mut Look<'_>) {
    let script = look.places.mailcow.join("helper-scripts/backup_and_restore.sh");
    look.tell_exists(&m::SCRIPT_EXISTS, script);
    let folder = match folder(look.places) {
        Ok(folder) => folder,
        Err(why) => return look.fail("backup", why),
    };
    look.out.set(&m::DIR_EXISTS, folder.is_some());
    let Some(folder) = folder else { return look.fail("backup", "there is no backup folder".to_owned()) };
    match rustix::fs::statvfs(&folder) {
        Ok(stat) if stat.f_blocks > 0 => {
            let (used, free) = (stat.f_blocks - stat.f_bfree, stat.f_bavail);
            look.out.set(&m::DISK_FREE, (free as f64 / (used + free).max(1) as f64 * 100.0).floor());
        }
        _ => look.fail("backup", format!("{}: its disk has no size", folder.display())),
    }
    let backups = match backups(&folder) {
        Ok(backups) => backups,
        Err(error) => return look.fail("backup", format!("{}: {error}", folder.display())),
    };
    look.out.set(&m::COUNT, backups.len());
    let Some((at, newest)) = backups.into_iter().max() else {
        return look.fail("backup", format!("{}: no backup yet", folder.display()));
    };
    look.out.set(&m::LAST_TIMESTAMP, at);
    look.out.set(&m::AGE, look.now.since(Millis::from_secs(at)).as_secs() / 3600);
    if look.slow {
        match files::size(&newest, Millis::now()) {
            Ok(size) => {
                look.out.set(&m::SIZE, (size.bytes / files::MIB).round());
                look.out.set(&m::ZERO_FILES, size.empty);
            }
            Err(why) => look.fail_slow("backup", why),
        }
    }
}

/// The backup folder, where there is one.
fn folder(places: &Places) -> Result<Option<PathBuf>, String> {
    let named = places.backup.clone().map(|path| vec![path]);
    for path in named.unwrap_or_else(|| USUAL.map(PathBuf::from).into()) {
        let path = places.at(path);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => return Ok(Some(path)),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => return Err(format!("{}: {error}", path.display())),
        }
    }
    Ok(None)
}

/// The backups in a folder, and when each was made.
fn backups(folder: &Path) -> io::Result<Vec<(i64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b"mailcow-") {
            continue;
        }
        if let Some(metadata) = files::unless_gone(entry.metadata())?.filter(fs::Metadata::is_dir) {
            found.push((metadata.mtime(), entry.path()));
        }
    }
    Ok(found)
}
