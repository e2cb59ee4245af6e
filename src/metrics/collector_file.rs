//! The file of the host collector: one flat JSON object, key to number or text, and `timestamp`. It is the file of the
//! Zabbix package, so that its readers read ours, and we read what its collector wrote.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    modules::{backup, clamav, disk, docker, dovecot, host, postfix},
    registry::{Kind, Metric},
    samples::Samples,
};
use crate::model::{
    sample::{Labels, State},
    time::Millis,
};

mod exchange;

pub use exchange::Refused;

/// Said of a key that the file lacks.
const LACKING: &str = "the host collector could not read it";
/// Said of a zero that the Zabbix package writes where it failed.
const FALSE_ZERO: &str = "the Zabbix package writes 0 where it cannot tell";
/// What is older says nothing of the present: also the Zabbix package says so.
pub const OLDEST: Duration = Duration::from_secs(300);
/// What says that it is of a moment further ahead of our clock is not of the present either.
const AHEAD: Duration = Duration::from_secs(60);
/// Most series with labels that a file may hold: each is kept for years.
const MOST_SERIES: usize = 1000;
/// The key under which series with labels stand: metric to label to number, as JSON text.
const SERIES: &str = "host.data";

/// What a collector wrote.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CollectorFile {
    values: Map<String, Value>,
}

impl CollectorFile {
    /// Reads a file's text; an error that says what is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        match serde_json::from_slice(text) {
            Ok(Value::Object(values)) => Ok(Self { values }),
            Ok(_) => Err("the collector's file is no JSON object".to_owned()),
            Err(error) => Err(format!("the collector's file is no JSON ({error})")),
        }
    }

    /// A file of these samples. What is unknown or not in use is left out: there is no word for it in this format.
    pub fn of(samples: &Samples, now: Millis) -> Self {
        let mut values = Map::new();
        let mut series: Map<String, Value> = Map::new();
        for sample in samples.list() {
            let value = match &sample.state {
                State::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                    Value::from(*number as i64)
                }
                State::Number(number) => Value::from(*number),
                State::Text(text) => Value::from(text.as_str()),
                State::Unknown(_) | State::NotInUse(_) => continue,
            };
            match sample.labels.iter().next() {
                None => {
                    values.insert(sample.metric.to_owned(), value);
                }
                Some((_, label)) => {
                    series.entry(sample.metric).or_insert_with(|| Value::Object(Map::new()))[label] = value;
                }
            }
        }
        if !series.is_empty() {
            values.insert(SERIES.to_owned(), Value::Object(series).to_string().into());
        }
        values.insert("timestamp".to_owned(), now.secs().into());
        Self { values }
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        Value::Object(self.values.clone()).to_string()
    }

    /// When it was written.
    pub fn written(&self) -> Option<Millis> {
        let seconds = self.values.get("timestamp")?.as_f64()?;
        Some(Millis((seconds * 1000.0) as i64))
    }

    /// How far it is ahead of the present, if that is more than clocks differ.
    pub fn ahead(&self, now: Millis) -> Option<Duration> {
        self.written().map(|written| written.since(now)).filter(|ahead| *ahead > AHEAD)
    }

    /// The moment, in Unix seconds, under a key of our own.
    pub(super) fn slow_at(&self, key: &str) -> Option<Millis> {
        Some(Millis::from_secs(self.values.get(key)?.as_i64()?))
    }

    /// Notes the moment at which slow values were read under a key of our own.
    pub(super) fn mark_slow(&mut self, key: &str, at: Millis) {
        self.values.insert(key.to_owned(), at.secs().into());
    }

    /// Takes over these values from the file before, with the moment at which they were read.
    pub(super) fn keep_slow(&mut self, before: &Self, metrics: &[&Metric], key: &str) {
        for key in metrics.iter().map(|metric| metric.key).chain([key]) {
            if let Some(value) = before.values.get(key) {
                self.values.insert(key.to_owned(), value.clone());
            }
        }
    }

    /// A value as this metric has it.
    pub fn state(&self, metric: &Metric) -> Option<State> {
        state(self.values.get(metric.key)?, metric.kind)
    }

    /// Whether our own collector wrote it.
    pub fn is_ours(&self) -> bool {
        self.values.contains_key(host::COLLECTOR_VERSION.key)
    }

    /// The values of these metrics.
    pub fn tell<'a>(&self, metrics: impl Iterator<Item = &'a Metric>, now: Millis, out: &mut Samples) {
        let series = self.series();
        for metric in metrics {
            match metric.labels {
                [] => match self.state(metric) {
                    Some(State::Number(0.0)) if self.is_false_zero(metric) => out.unknown(metric, FALSE_ZERO),
                    Some(State::Number(999_999.0)) if metric.key == backup::AGE.key => {
                        out.unknown(metric, "there is no backup");
                    }
                    Some(state) => out.set(metric, state),
                    None => out.unknown(metric, LACKING),
                },
                [label, ..] => {
                    let values = series.get(metric.key).and_then(Value::as_object);
                    for (name, value) in values.into_iter().flatten().take(MOST_SERIES) {
                        if let Some(state) = state(value, metric.kind) {
                            out.set_each(metric, Labels::one(label, name), state);
                        }
                    }
                }
            }
        }
        self.tell_containers(out);
        if let Some(written) = self.written() {
            out.set(&host::COLLECTOR_AGE, now.since(written).as_secs());
        }
    }

    fn series(&self) -> Map<String, Value> {
        let text = self.values.get(SERIES).and_then(Value::as_str).unwrap_or("{}");
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The values of each container, which stand in one text.
    fn tell_containers(&self, out: &mut Samples) {
        let text = self.values.get(docker::CONTAINER_DATA.key).and_then(Value::as_str).unwrap_or("{}");
        let data: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
        for (name, values) in data.iter().take(MOST_SERIES) {
            for (metric, field) in CONTAINER_FIELDS {
                if let Some(state) = values.get(*field).and_then(|value| state(value, metric.kind)) {
                    out.set_each(metric, Labels::one("container", name), state);
                }
            }
        }
    }

    /// Zeros that cannot be, in a file that the Zabbix package wrote: it writes 0 for every failure.
    fn is_false_zero(&self, metric: &Metric) -> bool {
        let zero = |metric: &Metric| self.state(metric) == Some(State::Number(0.0));
        let of = |group: &[&Metric]| group.iter().any(|own| own.key == metric.key);
        if self.is_ours() {
            return false;
        }
        of(&[&postfix::CONNECTIONS, &dovecot::CONNECTIONS, &disk::VMAIL_MAILDIR_SIZE, &backup::SIZE])
            || of(&[&backup::LAST_TIMESTAMP, &clamav::SIGNATURES, &clamav::MAIN_VERSION, &clamav::DB_SIZE])
            || (of(&[&backup::DISK_FREE, &backup::ZERO_FILES]) && zero(&backup::DIR_EXISTS))
            || (of(&[&disk::ROOT_TOTAL, &disk::ROOT_USED, &disk::ROOT_FREE]) && zero(&disk::ROOT_TOTAL))
            || (of(&[&disk::DOCKER_TOTAL, &disk::DOCKER_USED, &disk::DOCKER_FREE])
                && zero(&disk::DOCKER_TOTAL))
            || (of(&[&disk::LOG_TOTAL, &disk::LOG_USED, &disk::LOG_FREE]) && zero(&disk::LOG_TOTAL))
            || (of(&[&docker::RESTARTS_TOTAL, &docker::MEM_TOTAL_MB, &docker::CPU_TOTAL])
                && zero(&docker::MEM_TOTAL_MB))
    }
}

/// The metrics of a container and their names in `mailcow.docker.container.data`.
pub static CONTAINER_FIELDS: &[(&Metric, &str)] = &[
    (&docker::EACH_CPU, "cpu"),
    (&docker::EACH_MEM_MB, "mem_mb"),
    (&docker::EACH_MEM_PCT, "mem_pct"),
    (&docker::EACH_PIDS, "pids"),
    (&docker::EACH_RESTARTS, "restarts"),
    (&docker::EACH_HEALTH, "health"),
];

/// A JSON value as a metric of this kind has it.
fn state(value: &Value, kind: Kind) -> Option<State> {
    if !kind.is_numeric() {
        return Some(match value {
            Value::String(text) => State::Text(text.clone()),
            other => State::Text(other.to_string()),
        });
    }
    match value {
        Value::Number(number) => number.as_f64().map(State::Number),
        Value::Bool(flag) => Some((*flag).into()),
        Value::String(text) => text.trim().parse().ok().map(State::Number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{modules, registry::Origin},
        *,
    };

    const ORIGINS: [Origin; 3] = [Origin::Docker, Origin::HostFiles, Origin::Host];

    fn told(file: &CollectorFile) -> Samples {
        let mut out = Samples::new(Millis::from_secs(1000));
        file.tell(modules::of(&ORIGINS), Millis::from_secs(1060), &mut out);
        out
    }

    fn state_of<'a>(samples: &'a Samples, metric: &Metric) -> Option<&'a State> {
        samples.list().iter().find(|sample| sample.metric == metric.key).map(|sample| &sample.state)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut samples = Samples::new(Millis::from_secs(1000));
        samples.set(&host::COLLECTOR_VERSION, "1.0");
        samples.set(&disk::ROOT_USED, 61_u32);
        samples.set(&host::LOAD_1, 0.52);
        samples.unknown(&disk::LOG_USED, "no such folder");
        samples.set(&backup::SIZE, 0_u32);
        samples.set_each(&host::EACH_DISK_USED, Labels::one("disk", "/var/lib/docker"), 61_u32);
        samples.set(
            &docker::CONTAINER_DATA,
            r#"{"postfix":{"cpu":1.5,"mem_mb":40,"health":"healthy","restarts":2}}"#,
        );
        let file =
            CollectorFile::parse(CollectorFile::of(&samples, Millis::from_secs(1000)).text().as_bytes())
                .unwrap();
        assert_eq!(file.written(), Some(Millis::from_secs(1000)));
        let read = told(&file);
        assert_eq!(state_of(&read, &disk::ROOT_USED), Some(&State::Number(61.0)));
        assert_eq!(state_of(&read, &disk::LOG_USED), Some(&State::Unknown(LACKING.to_owned())));
        assert_eq!(state_of(&read, &backup::SIZE), Some(&State::Number(0.0)), "our zero is a zero");
        assert_eq!(state_of(&read, &host::EACH_DISK_USED), Some(&State::Number(61.0)));
        assert_eq!(state_of(&read, &docker::EACH_CPU), Some(&State::Number(1.5)));
        assert_eq!(state_of(&read, &docker::EACH_HEALTH), Some(&State::from("healthy")));
        assert!(
            read.list()
                .iter()
                .any(|it| it.metric == host::COLLECTOR_AGE.key && it.state == State::Number(60.0))
        );
    }

    #[test]
    fn the_zeros_of_the_zabbix_package_are_looked_at_twice() {
        let text =
            br#"{"timestamp": 1000.5, "mailcow.disk.root.total": 41152736, "mailcow.disk.root.used": 0,
            "mailcow.disk.log.total": 0, "mailcow.disk.log.used": 0, "postfix.connections": 0,
            "mailcow.backup.age": 999999, "mailcow.backup.dir.exists": 0, "mailcow.backup.disk.free": 0,
            "mailcow.backup.count": "0", "mailcow.docker.container.data": "not json",
            "mailcow.version.branch": "master"}"#;
        let read = told(&CollectorFile::parse(text).unwrap());
        let is = |metric: &Metric| state_of(&read, metric).cloned().unwrap();
        assert_eq!(is(&disk::ROOT_USED), State::Number(0.0), "an empty disk may be");
        for metric in
            [&disk::LOG_USED, &postfix::CONNECTIONS, &backup::AGE, &backup::DISK_FREE, &docker::CPU_TOTAL]
        {
            assert!(matches!(is(metric), State::Unknown(_)), "{}", metric.key);
        }
        assert_eq!(is(&backup::COUNT), State::Number(0.0));
        assert_eq!(is(modules::by_key("mailcow.version.branch").unwrap()), State::from("master"));
        for damaged in ["", "[]", "{", "null"] {
            assert!(CollectorFile::parse(damaged.as_bytes()).is_err());
        }
    }
}
