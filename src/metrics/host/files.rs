//! File systems, and folders with what is in them.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path, time::Duration};

use super::{Look, signatures};
use crate::{
    metrics::{
        modules::{disk, host, postfix},
        registry::Metric,
    },
    model::{sample::Labels, time::Millis},
    parse::proc,
};

pub(super) const MIB: f64 = 1_048_576.0;
/// A folder whose size takes longer has none.
const PATIENCE: Duration = Duration::from_secs(60);
/// Owner and group of the mail store inside Mailcow's containers.
const VMAIL: u32 = 5000;

/// Size and fill of a file system.
struct Space {
    total: f64,
    free: f64,
    used_percent: f64,
    inodes_percent: Option<f64>,
}

pub(super) fn look(look: &mut Look<'_>) {
    let spool = look.volume("postfix");
    for (path, metrics) in [
        (Path::new("/"), [&disk::ROOT_TOTAL, &disk::ROOT_FREE, &disk::ROOT_USED]),
        (Path::new("/var/lib/docker"), [&disk::DOCKER_TOTAL, &disk::DOCKER_FREE, &disk::DOCKER_USED]),
        (Path::new("/var/log"), [&disk::LOG_TOTAL, &disk::LOG_FREE, &disk::LOG_USED]),
    ] {
        let space = space(&look.places.at(path));
        let values: [&dyn Fn(&Space) -> f64; 3] =
            [&|space| (space.total / 1024.0).floor(), &|space| (space.free / 1024.0).floor(), &|space| {
                space.used_percent
            }];
        for (metric, value) in metrics.into_iter().zip(values) {
            look.tell(metric, space.as_ref().map(value).map_err(Clone::clone));
        }
    }
    let used = space(&look.places.at(&spool)).map(|space| space.used_percent);
    look.tell(&postfix::QUEUE_DISK, used);
    disks(look);
    signatures(look);
    mail_store(look);
}

fn disks(look: &mut Look<'_>) {
    let mounts = look.places.text("/proc/1/mounts").or_else(|_| look.places.text("/proc/mounts"));
    let Ok(mounts) = mounts else { return look.fail("disks", "/proc/mounts: cannot be read".to_owned()) };
    for path in proc::mounts(&mounts) {
        let Ok(space) = space(&look.places.at(&path)) else { continue };
        let labels = || Labels::one("disk", &path);
        look.out.set_each(&host::EACH_DISK_TOTAL, labels(), space.total);
        look.out.set_each(&host::EACH_DISK_USED, labels(), space.used_percent);
        if let Some(inodes) = space.inodes_percent {
            look.out.set_each(&host::EACH_DISK_INODES, labels(), inodes);
        }
    }
}

fn mail_store(look: &mut Look<'_>) {
    let folder = look.places.at(look.volume("vmail"));
    match fs::metadata(&folder) {
        Ok(metadata) => {
            let sound = metadata.uid() == VMAIL && metadata.gid() == VMAIL && metadata.mode() & 0o007 == 0;
            look.out.set(&host::VMAIL_PERMISSIONS, sound);
            if look.slow {
                tell_size(look, &disk::VMAIL_MAILDIR_SIZE, &folder);
            }
        }
        Err(error) => look.fail("vmail", format!("{}: {error}", folder.display())),
    }
}

/// The size of a folder in MiB, if it can be told in time.
fn tell_size(look: &mut Look<'_>, metric: &Metric, folder: &Path) {
    match size(folder, Millis::now()) {
        Ok(size) => look.out.set(metric, (size.bytes / MIB).round()),
        Err(why) => look.fail_slow(metric.module.code(), why),
    }
}

/// What statvfs(3) says, in the words of df: used of what is there for everybody.
fn space(path: &Path) -> Result<Space, String> {
    let stat = rustix::fs::statvfs(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let block = stat.f_frsize as f64;
    let (total, free, available) =
        (stat.f_blocks as f64 * block, stat.f_bfree as f64 * block, stat.f_bavail as f64 * block);
    let used = total - free;
    let share = |used: f64, all: f64| if all > 0.0 { (used / all * 100.0).ceil() } else { 0.0 };
    let (inodes, inodes_free) = (stat.f_files as f64, stat.f_ffree as f64);
    let inodes_percent = (inodes > 0.0).then(|| share(inodes - inodes_free, inodes));
    if total <= 0.0 {
        return Err(format!("{}: no file system with a size", path.display()));
    }
    Ok(Space { total, free: available, used_percent: share(used, used + available), inodes_percent })
}

/// What is in a folder.
#[derive(Debug, Default)]
pub(super) struct Size {
    /// Bytes on the disk.
    pub bytes: f64,
    /// Files without content whose name does not begin with a dot.
    pub empty: usize,
}

/// Walks a folder, without following links. An error when that takes too long, and when a part cannot be read: the size of
/// the rest is not that of the folder.
pub(super) fn size(folder: &Path, start: Millis) -> Result<Size, String> {
    let (mut size, mut folders) = (Size::default(), vec![folder.to_owned()]);
    let top = folder;
    while let Some(folder) = folders.pop() {
        if Millis::now().since(start) > PATIENCE {
            return Err(format!("{}: takes too long", top.display()));
        }
        let failed = |error: io::Error| format!("{}: {error}", folder.display());
        let entries = fs::read_dir(&folder);
        let entries = if folder == top { entries.map(Some) } else { unless_gone(entries) };
        for entry in entries.map_err(failed)?.into_iter().flatten() {
            let Some(entry) = unless_gone(entry).map_err(failed)? else { continue };
            let Some(metadata) = unless_gone(entry.metadata()).map_err(failed)? else { continue };
            size.bytes += metadata.blocks() as f64 * 512.0;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if metadata.len() == 0 && !entry.file_name().as_encoded_bytes().starts_with(b".") {
                size.empty += 1;
            }
        }
    }
    Ok(size)
}

/// `None` for what has vanished since its folder was read, which is no error.
pub(super) fn unless_gone<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        outcome => outcome.map(Some),
    }
}
