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
use crate::{
    model::{sample::State, time::Millis},
    parse::proc,
    remote::docker::Docker,
};

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
/// What could not be read of the slow values, kept in our own file as long as they are.
static SLOW_FAULTS: Metric = Metric::text("host.collector.slow_faults");

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
    faults: Faults,
    /// The same of slow values.
    slow_faults: Faults,
    /// Whether slow values are due.
    slow: bool,
    now: Millis,
}

type Faults = BTreeMap<&'static str, String>;

impl Look<'_> {
    /// The value, or the reason why there is none, for these metrics.
    fn tell(&mut self, metric: &Metric, value: Result<f64, String>) {
        match value {
            Ok(value) => self.out.set(metric, value),
            Err(why) => self.fail(metric.module.code(), why),
        }
    }

    /// Whether something is there, where that can be seen.
    fn tell_exists(&mut self, metric: &Metric, path: PathBuf) {
        let path = self.places.at(path);
        let exists = path.try_exists().map_err(|error| format!("{}: {error}", path.display()));
        self.tell(metric, exists.map(|exists| f64::from(u8::from(exists))));
    }

    fn fail(&mut self, topic: &'static str, why: String) {
        self.faults.entry(topic).or_insert(why);
    }

    fn fail_slow(&mut self, topic: &'static str, why: String) {
        self.slow_faults.entry(topic).or_insert(why);
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
    let slow = is_slow_due(before, now);
    out.set(&host::COLLECTOR_VERSION, env!("CARGO_PKG_VERSION"));
    let (faults, slow_faults) = (Faults::new(), Faults::new());
    let mut look = Look { places, out: &mut out, faults, slow_faults, slow, now };
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
    let told = |faults: &Faults| faults.iter().map(|(topic, why)| format!("{topic}: {why}")).collect();
    let mut faults: Vec<String> = told(&look.faults);
    let slow_faults: Vec<String> = told(&look.slow_faults);
    if !slow_faults.is_empty() {
        out.set(&SLOW_FAULTS, slow_faults.join("; "));
    }
    faults.extend(slow_faults);
    if let Some(State::Text(kept)) = before.state(&SLOW_FAULTS).filter(|_| !slow) {
        faults.push(kept);
    }
    out.set(&host::COLLECTOR_ERRORS, if faults.is_empty() { "-".to_owned() } else { faults.join("; ") });
    out
}

/// Whether slow values are to be read. A moment to come is none of ours: the clock was set back.
fn is_slow_due(before: &CollectorFile, now: Millis) -> bool {
    before.slow_at(SLOW_AT).is_none_or(|at| at > now || now.since(at) >= SLOW)
}

/// The file of a look: with the slow values of the file before, where they were not due.
pub fn file_of(samples: &Samples, before: &CollectorFile, now: Millis) -> CollectorFile {
    let mut file = CollectorFile::of(samples, now);
    // Where they were due, they are of this look, also those that it could not read.
    if is_slow_due(before, samples.at()) {
        file.mark_slow(SLOW_AT, now);
    } else {
        file.keep_slow(before, SLOW_METRICS, SLOW_AT);
    }
    file
}

/// What takes long to read.
static SLOW_METRICS: &[&Metric] = &[
    &disk::VMAIL_MAILDIR_SIZE,
    &disk::DOCKER_TOP_CONTAINERS,
    &super::modules::backup::SIZE,
    &super::modules::backup::ZERO_FILES,
    &SLOW_FAULTS,
];

/// Mailcow's version as its own folder tells it, without fetching anything.
fn version(look: &mut Look<'_>) {
    let git = look.places.mailcow.join(".git");
    look.tell_exists(&updates::UPDATE_SCRIPT_EXISTS, look.places.mailcow.join("update.sh"));
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
    let size = files::size(&folder, Millis::now());
    look.tell(&clamav::DB_SIZE, size.map(|size| (size.bytes / files::MIB).round()));
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
