//! The file: whole or not there, and for its group only.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use anyhow::Context;

/// Readable by the owner and the group: the file names people.
const MODE: u32 = 0o640;

/// Where the file goes.
#[derive(Debug)]
pub(super) struct Output {
    path: PathBuf,
    group: Option<u32>,
}

impl Output {
    /// Fails when there is no such group.
    pub(super) fn new(path: &Path, group: Option<&str>) -> anyhow::Result<Self> {
        let group = match group {
            None => None,
            Some(name) => {
                let groups = fs::read_to_string("/etc/group").unwrap_or_default();
                Some(group_id(name, &groups).with_context(|| format!("--group {name}: no such group"))?)
            }
        };
        Ok(Self { path: path.to_owned(), group })
    }

    /// Writes beside the file and renames, so that a reader never sees half of it. The name beside it is made anew each
    /// time: in a folder that all may write to, nobody can put a link in its place.
    pub(super) fn write(&self, text: &str) -> anyhow::Result<()> {
        self.replace(text).with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".tmp");
        let beside = self.path.with_file_name(name);
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        // The group first: nobody else's must be able to read it for a moment.
        if let Some(group) = self.group {
            fchown(&file, None, Some(group))?;
        }
        // Whatever the umask says.
        file.set_permissions(Permissions::from_mode(MODE))?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)
    }
}

/// The number of a group, as `/etc/group` has it (group(5)).
fn group_id(name: &str, groups: &str) -> Option<u32> {
    if let Ok(id) = name.parse() {
        return Some(id);
    }
    let fields = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    fields.into_iter().find(|fields| fields.first() == Some(&name))?.get(2)?.parse().ok()
}

/// Whether we wrote a file ourselves: others may put one in its place before we first run.
pub(super) fn is_our_own(path: &Path) -> bool {
    // This folder belongs to whom the process runs as.
    let own = fs::metadata("/proc/self").map(|it| it.uid());
    let file = fs::symlink_metadata(path);
    matches!((own, file), (Ok(own), Ok(file)) if file.is_file() && file.uid() == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_whole_and_not_for_everybody() {
        let dir = tempfile::tempdir().unwrap();
        let (output, precious) = (dir.path().join("out.json"), dir.path().join("precious"));
        fs::write(&precious, "keep").unwrap();
        std::os::unix::fs::symlink(&precious, dir.path().join("out.json.tmp")).unwrap();
        for text in ["{\"a\":1}", "{}"] {
            Output::new(&output, None).unwrap().write(text).unwrap();
            assert_eq!(fs::read_to_string(&output).unwrap(), text);
            assert_eq!(fs::metadata(&output).unwrap().mode() & 0o7777, MODE);
        }
        assert_eq!(fs::read_to_string(&precious).unwrap(), "keep", "a link in the way is not followed");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        assert!(is_our_own(&output));
        std::os::unix::fs::symlink(&precious, dir.path().join("link")).unwrap();
        assert!(!is_our_own(&dir.path().join("link")) && !is_our_own(&dir.path().join("none")));
    }

    #[test]
    fn a_group_is_known_by_name_and_number() {
        let groups = "root:x:0:\nzabbix:x:117:\nbroken\nzab:x:9:zabbix\n";
        assert_eq!(group_id("zabbix", groups), Some(117));
        assert_eq!(group_id("42", groups), Some(42));
        assert_eq!((group_id("broken", groups), group_id("x", groups)), (None, None));
        let own = fs::metadata("/proc/self").unwrap().gid();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.json");
        Output::new(&path, Some(&own.to_string())).unwrap().write("{}").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().gid(), own);
        assert!(Output::new(&path, Some("no-such-group")).is_err());
    }
}
