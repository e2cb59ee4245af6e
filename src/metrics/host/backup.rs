//! The backup folder: Mailcow's script makes one sub-folder `mailcow-…` per backup.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

use super::{Look, files};
use crate::{metrics::modules::backup as m, model::time::Millis};

/// Where the script's users keep backups.
const USUAL: [&str; 2] = ["/opt/backup", "/backup"];

pub(super) fn look(look: &mut Look<'_>) {
    let script = look.places.mailcow.join("helper-scripts/backup_and_restore.sh");
    look.out.set(&m::SCRIPT_EXISTS, look.places.at(script).exists());
    let folder = look
        .places
        .backup
        .clone()
        .or_else(|| USUAL.iter().map(PathBuf::from).find(|path| look.places.at(path).is_dir()));
    let folder = folder.map(|path| look.places.at(path)).filter(|path| path.is_dir());
    look.out.set(&m::DIR_EXISTS, folder.is_some());
    let Some(folder) = folder else { return look.fail("backup", "there is no backup folder".to_owned()) };
    match rustix::fs::statvfs(&folder) {
        Ok(stat) if stat.f_blocks > 0 => {
            let (used, free) = (stat.f_blocks - stat.f_bfree, stat.f_bavail);
            look.out.set(&m::DISK_FREE, (free as f64 / (used + free).max(1) as f64 * 100.0).floor());
        }
        _ => look.fail("backup", format!("{}: its disk has no size", folder.display())),
    }
    let backups = fs::read_dir(&folder).into_iter().flatten().flatten().filter_map(|entry| {
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_dir)?;
        entry.file_name().to_str()?.starts_with("mailcow-").then(|| (metadata.mtime(), entry.path()))
    });
    let backups: Vec<(i64, PathBuf)> = backups.collect();
    look.out.set(&m::COUNT, backups.len());
    let Some((at, newest)) = backups.into_iter().max() else {
        return look.fail("backup", format!("{}: no backup yet", folder.display()));
    };
    look.out.set(&m::LAST_TIMESTAMP, at);
    look.out.set(&m::AGE, look.now.since(Millis::from_secs(at)).as_secs() / 3600);
    if look.slow {
        match files::size(&newest, Millis::now()) {
            Some(size) => {
                look.out.set(&m::SIZE, (size.bytes / files::MIB).round());
                look.out.set(&m::ZERO_FILES, size.empty);
            }
            None => look.fail("backup", format!("{}: takes too long", newest.display())),
        }
    }
}
