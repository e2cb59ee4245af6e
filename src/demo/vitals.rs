//! How the simulated server feels: numbers that follow the day, so that they have a past as well as a present, and
//! the file that a host collector on it would write.

use std::time::Duration;

use super::{outside, uptime};
use crate::{
    metrics::{
        collector_file::CollectorFile,
        modules::{self, disk, docker, host},
        registry::{Metric, Origin},
        samples::Samples,
        sources::SOURCES,
    },
    model::{
        sample::{Labels, State},
        time::Millis,
    },
    store::{
        self, Db,
        samples::{Batch, Book},
    },
};

const DAY: Duration = Duration::from_secs(86_400);
/// So many days is the past long.
const PAST: u32 = 7;
/// That of services and ports, whose days are shown.
const LONG_PAST: u32 = 90;

/// A number over time: the level of today, what the day adds at its height, how much it trembles, and what each day
/// adds.
struct Curve {
    key: &'static str,
    level: f64,
    day: f64,
    noise: f64,
    growth: f64,
}

const fn curve(key: &'static str, level: f64, day: f64, noise: f64, growth: f64) -> Curve {
    Curve { key, level, day, noise, growth }
}

/// What moves. Three things are wrong: Docker's disk is filling up, the newest backup is too old, and one of its
/// files is empty.
static CURVES: &[Curve] = &[
    curve("host.cpu.used", 11.0, 17.0, 6.0, 0.0),
    curve("host.memory.used", 57.0, 5.0, 2.0, 0.0),
    curve("host.swap.used", 3.0, 0.0, 0.0, 0.0),
    curve("host.cpu.cores", 4.0, 0.0, 0.0, 0.0),
    curve("host.memory.total", 8_589_934_592.0, 0.0, 0.0, 0.0),
    curve("host.memory.available", 3_300_000_000.0, -400_000_000.0, 90_000_000.0, 0.0),
    curve("host.load.1", 0.4, 0.9, 0.5, 0.0),
    curve("host.load.5", 0.5, 0.8, 0.2, 0.0),
    curve("host.load.15", 0.5, 0.8, 0.1, 0.0),
    curve("host.load.per_core", 13.0, 19.0, 5.0, 0.0),
    curve("host.processes", 412.0, 20.0, 9.0, 0.0),
    curve("host.processes.zombies", 0.0, 0.0, 0.0, 0.0),
    curve("host.ssh.failed", 310.0, 0.0, 60.0, 0.0),
    curve("host.fail2ban.bans", 14.0, 0.0, 4.0, 0.0),
    curve("host.fail2ban.banned", 3.0, 0.0, 1.0, 0.0),
    curve("host.vmail.permissions", 1.0, 0.0, 0.0, 0.0),
    curve("mailcow.disk.vmail.used", 11.0, 0.0, 0.0, 0.1),
    curve("mailcow.disk.vmail.maildir.size", 27_400.0, 0.0, 0.0, 90.0),
    curve("mailcow.disk.root.used", 41.0, 0.0, 0.0, 0.2),
    curve("mailcow.disk.root.total", 41_152_736.0, 0.0, 0.0, 0.0),
    curve("mailcow.disk.root.free", 23_800_000.0, 0.0, 0.0, -82_000.0),
    curve("mailcow.disk.docker.used", 83.6, 0.0, 0.2, 1.1),
    curve("mailcow.disk.docker.total", 103_081_248.0, 0.0, 0.0, 0.0),
    curve("mailcow.disk.docker.free", 16_900_000.0, 0.0, 0.0, -1_130_000.0),
    curve("mailcow.disk.log.used", 22.0, 0.0, 0.0, 0.3),
    curve("mailcow.disk.log.total", 20_511_312.0, 0.0, 0.0, 0.0),
    curve("mailcow.disk.log.free", 16_000_000.0, 0.0, 0.0, -61_000.0),
    curve("mailcow.queue.disk", 41.0, 0.0, 0.0, 0.2),
    curve("postfix.connections", 6.0, 12.0, 4.0, 0.0),
    curve("mailcow.dovecot.connections", 38.0, 71.0, 9.0, 0.0),
    curve("mailcow.docker.mem.total.mb", 3_410.0, 220.0, 60.0, 0.0),
    curve("mailcow.docker.cpu.total", 18.0, 24.0, 8.0, 0.0),
    curve("mailcow.docker.restarts.total", 1.0, 0.0, 0.0, 0.0),
    curve("mailcow.clamav.signatures", 8_710_402.0, 0.0, 0.0, 410.0),
    curve("mailcow.clamav.main.version", 62.0, 0.0, 0.0, 0.0),
    curve("mailcow.clamav.db.size", 228.0, 0.0, 0.0, 0.0),
    curve("mailcow.backup.age", 31.0, 0.0, 0.0, 0.0),
    curve("mailcow.backup.count", 14.0, 0.0, 0.0, 0.0),
    curve("mailcow.backup.dir.exists", 1.0, 0.0, 0.0, 0.0),
    curve("mailcow.backup.disk.free", 46.0, 0.0, 0.0, -0.5),
    curve("mailcow.backup.size", 24_900.0, 0.0, 0.0, 80.0),
    curve("mailcow.backup.zero.files", 1.0, 0.0, 0.0, 0.0),
    curve("mailcow.backup.script.exists", 1.0, 0.0, 0.0, 0.0),
    curve("mailcow.update.script.exists", 1.0, 0.0, 0.0, 0.0),
    curve("mailcow.queue.deferred", 3.0, 2.0, 2.5, 0.0),
    curve("mailcow.queue.active", 0.4, 1.0, 1.0, 0.0),
    curve("mailcow.queue.hold", 0.0, 0.0, 0.0, 0.0),
    curve("postfix.pfmailq", 4.0, 3.0, 2.5, 0.0),
    curve("mailcow.quarantine.total", 40.0, 0.0, 1.0, 2.0),
    curve("mailcow.rspamd.spam.rate", 24.0, -6.0, 7.0, 0.0),
    curve("mailcow.rspamd.bayes.ham.learned", 4_210.0, 0.0, 0.0, 12.0),
    curve("mailcow.rspamd.bayes.spam.learned", 1_702.0, 0.0, 0.0, 9.0),
    curve("mailcow.security.fail2ban.banned", 2.0, 0.0, 1.4, 0.0),
    curve("mailcow.mail.received", 180.0, 620.0, 60.0, 0.0),
    curve("mailcow.mail.delivered", 170.0, 600.0, 60.0, 0.0),
    curve("mailcow.mail.deferred", 3.0, 3.0, 3.0, 0.0),
    curve("mailcow.mail.bounced", 4.0, 9.0, 4.0, 0.0),
    curve("mailcow.mail.rejected", 60.0, 80.0, 25.0, 0.0),
    curve("mailcow.mail.reject.rate", 22.0, -7.0, 6.0, 0.0),
    curve("portal.mail.delay.average", 2.4, 1.4, 1.0, 0.0),
    curve("postfix.log.errors", 0.0, 0.0, 1.2, 0.0),
    curve("postfix.log.warnings", 20.0, 30.0, 9.0, 0.0),
    curve("mailcow.dovecot.imap.errors", 0.0, 0.0, 2.0, 0.0),
    curve("mailcow.dovecot.imap.login.failed", 6.0, 8.0, 5.0, 0.0),
    curve("mailcow.watchdog.overall", 100.0, 0.0, 0.0, 0.0),
    curve("mailcow.docker.running", 16.0, 0.0, 0.0, 0.0),
    curve("mailcow.docker.total", 17.0, 0.0, 0.0, 0.0),
    curve("mailcow.mailbox.total", 10.0, 0.0, 0.0, 0.0),
    curve("mailcow.mailbox.active", 8.0, 0.0, 0.0, 0.0),
    curve("mailcow.mailbox.quota.used.total", 2_060.0, 0.0, 0.0, 21.0),
];

/// A container with processor in percent and memory in MiB.
type Container = (&'static str, f64, f64);

static CONTAINERS: &[Container] = &[
    ("postfix", 1.2, 64.0),
    ("dovecot", 2.4, 130.0),
    ("rspamd", 4.8, 410.0),
    ("mysql", 3.1, 380.0),
    ("clamd", 1.9, 1_380.0),
    ("sogo", 2.0, 310.0),
    ("nginx", 0.4, 22.0),
    ("redis", 0.9, 31.0),
    ("unbound", 0.6, 58.0),
    ("php-fpm", 2.2, 170.0),
];
static DISKS: &[(&str, f64, f64, f64)] =
    &[("/", 41.0, 42e9, 0.2), ("/var/lib/docker", 83.6, 105e9, 1.1), ("/backup", 54.0, 500e9, 0.5)];

/// The numbers of one simulated server.
#[derive(Debug, Clone, Copy)]
pub struct Vitals {
    today: Millis,
}

impl Vitals {
    /// `today` is when the levels are as declared.
    pub fn new(today: Millis) -> Self {
        Self { today }
    }

    /// The number of a metric at a moment.
    pub fn number(&self, key: &str, at: Millis) -> Option<f64> {
        let curve = CURVES.iter().find(|curve| curve.key == key)?;
        let value = self.at(key, (curve.level, curve.day, curve.noise, curve.growth), at);
        // What is counted is whole; loads are not.
        let whole =
            curve.level.fract() == 0.0 && curve.growth.fract() == 0.0 && !key.starts_with("host.load");
        Some(if whole { value.round() } else { (value * 10.0).round() / 10.0 })
    }

    fn at(&self, key: &str, (level, day, noise, growth): (f64, f64, f64, f64), at: Millis) -> f64 {
        let days = (at.0 - self.today.0) as f64 / DAY.as_millis() as f64;
        let hour = at.secs().rem_euclid(86_400) as f64 / 3600.0;
        let height = (std::f64::consts::TAU * (hour - 7.0) / 24.0).sin().max(-0.4);
        (level + day * (height + 0.4) / 1.4 + noise * (tremble(key, at) - 0.5) * 2.0 + growth * days).max(0.0)
    }

    /// The file that a host collector writes.
    pub fn collector_file(&self, now: Millis) -> String {
        let mut out = Samples::new(now);
        self.tell(&[Origin::Docker, Origin::HostFiles, Origin::Host], now, &mut out);
        out.set(&host::UPTIME, 3_600_000_u32);
        out.set(&host::COLLECTOR_VERSION, env!("CARGO_PKG_VERSION"));
        out.set(&host::COLLECTOR_ERRORS, "mailcow.disk.log.used: no such folder");
        out.set(&disk::DOCKER_TOP_CONTAINERS, "rspamd:412MB,clamd:230MB,sogo:88MB,dovecot:41MB,postfix:9MB");
        out.set(&host::TOP_CPU, "rspamd:11.4%,php-fpm:6.2%,dovecot:2.9%,mariadbd:2.1%,clamd:0.8%");
        out.set(&host::TOP_MEMORY, "clamd:14.8%,php-fpm:9.1%,mariadbd:5.6%,rspamd:5.2%,sogod:3.3%");
        let texts = [("mailcow.version.branch", "master"), ("mailcow.backup.last.timestamp", "")];
        for (key, text) in texts {
            match modules::by_key(key) {
                Some(metric) if metric.kind.is_numeric() => {
                    out.set(metric, now.minus(Duration::from_secs(31 * 3600)).secs());
                }
                Some(metric) => out.set(metric, text),
                None => {}
            }
        }
        out.set(&docker::CONTAINER_DATA, self.containers(now));
        CollectorFile::of(&out, now).text()
    }

    /// Processor in percent, memory in MiB and in percent.
    fn container(&self, (name, cpu, memory): &Container, at: Millis) -> [f64; 3] {
        let tenths = |number: f64| (number * 10.0).round() / 10.0;
        [
            tenths(self.at(name, (*cpu, *cpu, *cpu / 3.0, 0.0), at)),
            self.at(name, (*memory, 0.0, *memory / 30.0, 0.0), at).round(),
            tenths(*memory / 81.92),
        ]
    }

    /// One container was restarted of late, and is not well.
    fn containers(&self, now: Millis) -> String {
        let one = |container: &Container| {
            let (name, ..) = container;
            let ill = *name == "sogo";
            let [cpu, memory, share] = self.container(container, now);
            let values = serde_json::json!({
                "cpu": cpu,
                "mem_mb": memory,
                "mem_pct": share,
                "pids": 4 + name.len() * 3,
                "restarts": u8::from(ill),
                "health": if ill { "unhealthy" } else { "healthy" },
            });
            ((*name).to_owned(), values)
        };
        serde_json::Value::Object(CONTAINERS.iter().map(one).collect()).to_string()
    }

    /// The numbers of these origins.
    fn tell(&self, origins: &[Origin], at: Millis, out: &mut Samples) {
        for metric in modules::of(origins) {
            if let Some(number) = self.number(metric.key, at) {
                out.set(metric, number);
            }
        }
        if origins.contains(&Origin::Host) {
            self.tell_parts(at, out);
        }
        if origins.contains(&Origin::Docker) {
            for container in CONTAINERS {
                let metrics = [&docker::EACH_CPU, &docker::EACH_MEM_MB, &docker::EACH_MEM_PCT];
                for (metric, value) in metrics.into_iter().zip(self.container(container, at)) {
                    let label = metric.labels.first().copied().unwrap_or_default();
                    out.set_each(metric, Labels::one(label, container.0), value);
                }
            }
        }
        uptime::tell(origins, self.today, at, out);
    }

    fn tell_parts(&self, at: Millis, out: &mut Samples) {
        let mut set = |metric: &Metric, name: &str, value: f64| {
            let label = metric.labels.first().copied().unwrap_or_default();
            out.set_each(metric, Labels::one(label, name), State::Number(value));
        };
        for core in ["0", "1", "2", "3"] {
            set(&host::EACH_CORE, core, self.at(core, (9.0, 16.0, 8.0, 0.0), at).round());
        }
        for (name, used, bytes, growth) in DISKS {
            set(
                &host::EACH_DISK_USED,
                name,
                (self.at(name, (*used, 0.0, 0.0, *growth), at) * 10.0).round() / 10.0,
            );
            set(&host::EACH_DISK_INODES, name, 12.0);
            set(&host::EACH_DISK_TOTAL, name, *bytes);
        }
        set(&host::EACH_NET_IN, "eth0", self.at("in", (41_000.0, 190_000.0, 30_000.0, 0.0), at).round());
        set(&host::EACH_NET_OUT, "eth0", self.at("out", (62_000.0, 310_000.0, 40_000.0, 0.0), at).round());
        set(&host::EACH_TEMPERATURE, "Package id 0", self.at("warm", (44.0, 9.0, 2.0, 0.0), at).round());
    }

    /// Writes the past into the history, as if the sources had run all week; the host collector was silent for an
    /// hour.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tell_past(&self, db: &Db, server: crate::model::mail::ServerId) -> store::Result<()> {
        let mut book = Book::default();
        for source in SOURCES {
            let watched = source.origins.iter().any(|it| matches!(it, Origin::Containers | Origin::Ports));
            let past = if watched { LONG_PAST } else { PAST };
            let (mut at, end) = (self.today.minus(DAY * past), self.today.minus(source.tier.period()));
            let mut before = Duration::ZERO;
            while at <= end {
                let mut out = Samples::new(at);
                self.tell(source.origins, at, &mut out);
                let left = self.today.since(at);
                // What the probes found in the last week; before, only what was up is told.
                if left <= DAY * PAST {
                    outside::tell(source.origins, left, &mut out);
                }
                if out.list().is_empty() {
                    break;
                }
                let step = match left {
                    _ if left > DAY * PAST => DAY,
                    _ if left > DAY => Duration::from_secs(3600),
                    _ => Duration::from_secs(600),
                };
                let silent = source.name == "host" && (14..16).contains(&(left.as_secs() / 3600));
                let error = (watched && !uptime::is_watched(self.today, at)).then_some("nobody looked");
                if !silent {
                    let samples = if error.is_some() { &[] } else { out.list() };
                    let took = Duration::from_millis(12);
                    // Where steps become shorter, nobody was silent.
                    let period = step.max(before);
                    let batch = Batch { server, source: source.name, at, took, period, error, samples };
                    book.append(db, batch).await?;
                }
                before = step;
                // The last one is as new as if the source had just run.
                let next = uptime::next_change(self.today, at).filter(|_| watched && at < end);
                let usual = if at < end { at.plus(step).min(end) } else { at.plus(step) };
                at = next.map_or(usual, |next| next.min(usual));
            }
        }
        store::samples::roll(db, self.today).await
    }
}

/// A number from 0 to 1 that stays for ten minutes.
fn tremble(key: &str, at: Millis) -> f64 {
    let seed = key.bytes().fold(at.secs().div_euclid(600) as u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    (super::Rng::new(seed).bits() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_is_of_a_metric_and_every_collector_value_is_told() {
        let vitals = Vitals::new(Millis::from_secs(1_795_000_000));
        for curve in CURVES {
            let metric = modules::by_key(curve.key);
            assert!(metric.is_some_and(|metric| metric.kind.is_numeric()), "{}", curve.key);
        }
        let now = Millis::from_secs(1_795_000_000);
        let file = CollectorFile::parse(vitals.collector_file(now).as_bytes()).unwrap();
        assert_eq!(file.written(), Some(now));
        let mut out = Samples::new(now);
        file.tell(modules::of(&[Origin::Docker, Origin::HostFiles, Origin::Host]), now, &mut out);
        let known = out.list().iter().filter(|sample| sample.state.is_known()).count();
        assert!(known > 80, "only {known} values are known");
        assert_eq!(vitals.number("mailcow.backup.age", now), Some(31.0));
        let week_ago = now.minus(DAY * 7);
        assert!(vitals.number("mailcow.disk.docker.used", week_ago) < Some(80.0), "it was fine a week ago");
    }
}
