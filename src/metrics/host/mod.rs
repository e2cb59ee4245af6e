//! The host collector: what only somebody on the mail host can see. It reads files and asks Docker; it runs no commands
//! and takes none.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    collector_file::CollectorFile,
    modules::{clamav, disk, host, updates},
    registry::{Metric, Privilege},
    samples::Samples,
};
use crate::{model::time::Millis, parse::proc, remote::docker::Docker};

mod backup;
mod containers;
mod files;
mod logs;
mod machine;
mod processes;

/// What takes long is looked at anew after this time only.
const SLOW: Duration = Duration::from_secs(3600);
/// Marks in our own file when the slow values were read.
const SLOW_AT: &str = "host.collector.slow_at";

/// Where to look.
#[derive(Debug, Clone)]
pub struct Places {
    /// The host's root: `/`, or where it is mounted in a container.
    pub root: PathBuf,
    /// Mailcow's folder.
    pub mailcow: PathBuf,
    /// The backup folder; where none is given, `/opt/backup` or `/backup`.
    pub backup: Option<PathBuf>,
    /// Docker's socket.
    pub docker: PathBuf,
}

impl Places {
    /// A path of the host.
    fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The text of a file of the host.
    fn text(&self, path: impl AsRef<Path>) -> Result<String, String> {
        let path = self.at(path);
        // Files below /proc have no size, so no limit can be asked for; they are short.
        std::fs::read(&path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// What one look at the host brings.
pub(super) struct Look<'a> {
    places: &'a Places,
    out: &'a mut Samples,
    /// What could not be read, by topic.
    faults: BTreeMap<&'static str, String>,
    /// Whether slow values are due.
    slow: bool,
    now: Millis,
}

impl Look<'_> {
    /// The value, or the reason why there is none, for these metrics.
    fn tell(&mut self, metric: &Metric, value: Result<f64, String>) {
        match value {
            Ok(value) => self.out.set(metric, value),
            Err(why) => self.fail(metric.module.code(), why),
        }
    }

    fn fail(&mut self, topic: &'static str, why: String) {
        self.faults.entry(topic).or_insert(why);
    }

    /// The folder of one of Mailcow's volumes.
    fn volume(&self, name: &str) -> PathBuf {
        Path::new("/var/lib/docker/volumes").join(format!("{}_{name}-vol-1/_data", self.project()))
    }

    /// What the names of Mailcow's containers and volumes begin with.
    fn project(&self) -> String {
        self.setting("COMPOSE_PROJECT_NAME").unwrap_or_else(|| "mailcowdockerized".to_owned())
    }

    fn setting(&self, name: &str) -> Option<String> {
        let text = self.places.text(self.places.mailcow.join("mailcow.conf")).ok()?;
        proc::setting(&text, name).map(str::to_owned)
    }
}

/// Looks at the host once. `before` is what was written last: slow values of it are kept for an hour.
pub async fn look(places: &Places, before: &CollectorFile, now: Millis) -> Samples {
    let mut out = Samples::new(now);
    // A moment to come is none of ours: the clock was set back.
    let slow = before.slow_at(SLOW_AT).is_none_or(|at| at > now || now.since(at) >= SLOW);
    out.set(&host::COLLECTOR_VERSION, env!("CARGO_PKG_VERSION"));
    let mut look = Look { places, out: &mut out, faults: BTreeMap::new(), slow, now };
    let first = machine::Counters::read(&look);
    containers::look(&mut look).await;
    // Rates need two readings; Docker's answer took its time already, as a rule.
    let pause = Duration::from_secs(1);
    tokio::time::sleep(pause).await;
    machine::look(&mut look, &first);
    files::look(&mut look);
    logs::look(&mut look);
    backup::look(&mut look);
    version(&mut look);
    let faults: Vec<String> = look.faults.iter().map(|(topic, why)| format!("{topic}: {why}")).collect();
    out.set(&host::COLLECTOR_ERRORS, if faults.is_empty() { "-".to_owned() } else { faults.join("; ") });
    out
}

/// The file of a look: with the slow values of the file before, where they were not due.
pub fn file_of(samples: &Samples, before: &CollectorFile, now: Millis) -> CollectorFile {
    let mut file = CollectorFile::of(samples, now);
    file.keep_slow(before, SLOW_METRICS, SLOW_AT, now);
    file
}

/// What takes long to read.
static SLOW_METRICS: &[&Metric] = &[
    &disk::VMAIL_MAILDIR_SIZE,
    &disk::DOCKER_TOP_CONTAINERS,
    &super::modules::backup::SIZE,
    &super::modules::backup::ZERO_FILES,
];

/// Mailcow's version as its own folder tells it, without fetching anything.
fn version(look: &mut Look<'_>) {
    let git = look.places.mailcow.join(".git");
    let script = look.places.at(look.places.mailcow.join("update.sh")).exists();
    look.out.set(&updates::UPDATE_SCRIPT_EXISTS, script);
    match look.places.text(git.join("HEAD")) {
        Err(why) => look.fail("updates", why),
        Ok(head) => {
            let reference = head.trim().strip_prefix("ref: ").map(str::to_owned);
            let branch = reference.as_deref().map_or("HEAD", |name| name.trim_start_matches("refs/heads/"));
            look.out.set(&updates::VERSION_BRANCH, branch);
            let commit = match &reference {
                None => Some(head.trim().to_owned()),
                Some(name) => look.places.text(git.join(name)).ok().or_else(|| packed(look, &git, name)),
            };
            let commit = commit.map(|commit| commit.trim().to_owned()).filter(|commit| commit.len() >= 7);
            if let Some(short) = commit.as_deref().and_then(|commit| commit.get(..7)) {
                look.out.set(&updates::VERSION_COMMIT, short);
            }
        }
    }
    for (metric, name) in [(&updates::CONFIG_HOSTNAME, "MAILCOW_HOSTNAME"), (&updates::CONFIG_TIMEZONE, "TZ")]
    {
        if let Some(value) = look.setting(name) {
            look.out.set(metric, value);
        }
    }
}

/// A reference that git keeps in its list.
fn packed(look: &Look<'_>, git: &Path, name: &str) -> Option<String> {
    let list = look.places.text(git.join("packed-refs")).ok()?;
    list.lines()
        .find_map(|line| line.split_once(' ').filter(|(_, own)| *own == name))
        .map(|(id, _)| id.to_owned())
}

/// The signatures of ClamAV, by the heads of its databases.
fn signatures(look: &mut Look<'_>) {
    let folder = look.places.at(look.volume("clamd-db"));
    let head = |name: &str| {
        [".cvd", ".cld"].iter().find_map(|ending| {
            let mut file = std::fs::File::open(folder.join(format!("{name}{ending}"))).ok()?;
            let mut head = [0; 512];
            std::io::Read::read(&mut file, &mut head).ok()?;
            proc::signatures(&head)
        })
    };
    let (daily, main) = (head("daily"), head("main"));
    match (daily, main) {
        (Some([_, daily]), Some([version, main])) => {
            look.out.set(&clamav::SIGNATURES, daily + main);
            look.out.set(&clamav::MAIN_VERSION, version);
        }
        _ => look.fail("clamav", format!("{}: no readable signatures", folder.display())),
    }
    match files::size(&folder, look.now) {
        Some(size) if folder.exists() => look.out.set(&clamav::DB_SIZE, (size.bytes / files::MIB).round()),
        _ => look.fail("clamav", format!("{}: cannot be read", folder.display())),
    }
}

/// How the collector is told where Docker is, and what to grant where it is not.
fn docker(look: &Look<'_>) -> Result<Docker, String> {
    let path = look.places.at(&look.places.docker);
    if !path.exists() {
        return Err(format!("{}: no such socket. {}", path.display(), Privilege::Host.grant()));
    }
    Docker::new(&path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
