//! `mailcow-status collect`: looks at the mail host and writes what it sees into one file. The only command that may
//! need root, and it does nothing else: it reads, it runs no program, and it listens to nobody.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::serve::{runtime, stop_on_signal};
use crate::{
    metrics::{
        collector_file::CollectorFile,
        host::{self, Places},
    },
    model::time::Millis,
};

/// Readable by the owner and the group: the file names people.
const MODE: u32 = 0o640;

/// Arguments of `collect`.
#[derive(Debug, clap::Args)]
pub struct CollectArgs {
    /// The file to write
    #[arg(long, default_value = "/var/tmp/mailcow-monitor.json")]
    pub output: PathBuf,
    /// Look once, then end; for a timer
    #[arg(long)]
    pub once: bool,
    /// Seconds between two looks
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..=3600))]
    pub interval: u64,
    /// Where the host's file system is mounted, when this runs in a container
    #[arg(long, default_value = "/")]
    pub root: PathBuf,
    /// Mailcow's folder on the host
    #[arg(long, default_value = "/opt/mailcow-dockerized")]
    pub mailcow: PathBuf,
    /// The backup folder on the host; else /opt/backup or /backup
    #[arg(long)]
    pub backup: Option<PathBuf>,
    /// Docker's socket on the host
    #[arg(long, default_value = "/var/run/docker.sock")]
    pub docker: PathBuf,
}

/// Looks once, or again and again until it is told to stop.
pub fn run(args: &CollectArgs) -> anyhow::Result<()> {
    let places = Places {
        root: args.root.clone(),
        mailcow: args.mailcow.clone(),
        backup: args.backup.clone(),
        docker: args.docker.clone(),
    };
    runtime()?.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        loop {
            let written = tokio::select! {
                written = look(&places, &args.output) => written,
                () = stop.cancelled() => return Ok(()),
            };
            if args.once {
                return written;
            }
            if let Err(error) = written {
                eprintln!("mailcow-status: {error:#}");
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(args.interval)) => {}
                () = stop.cancelled() => return Ok(()),
            }
        }
    })
}

async fn look(places: &Places, output: &Path) -> anyhow::Result<()> {
    // A file that is missing or damaged only means that slow values are read anew.
    let before = fs::read(output).ok().and_then(|text| CollectorFile::parse(&text).ok()).unwrap_or_default();
    let samples = host::look(places, &before, Millis::now()).await;
    let file = host::file_of(&samples, &before, Millis::now());
    write(output, &file.text()).with_context(|| format!("cannot write {}", output.display()))
}

/// Writes beside the file and renames, so that a reader never sees half of it. The name beside it is made anew each
/// time: in a folder that all may write to, nobody can put a link in its place.
fn write(output: &Path, text: &str) -> std::io::Result<()> {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let beside = output.with_file_name(name);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, output)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_is_whole_and_not_for_everybody() {
        let dir = tempfile::tempdir().unwrap();
        let (output, precious) = (dir.path().join("out.json"), dir.path().join("precious"));
        fs::write(&precious, "keep").unwrap();
        std::os::unix::fs::symlink(&precious, dir.path().join("out.json.tmp")).unwrap();
        for text in ["{\"a\":1}", "{}"] {
            write(&output, text).unwrap();
            assert_eq!(fs::read_to_string(&output).unwrap(), text);
            assert_eq!(fs::metadata(&output).unwrap().permissions().mode() & 0o777 & !MODE, 0);
        }
        assert_eq!(fs::read_to_string(&precious).unwrap(), "keep", "a link in the way is not followed");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
