//! What the host collector and the portal give each other: the portal its values for the file, the collector what only
//! the host can tell.

use serde_json::{Map, Value};

use super::{CollectorFile, MOST_SERIES, OLDEST, SERIES};
use crate::{
    metrics::{
        modules,
        registry::{Metric, Privilege},
    },
    model::time::Millis,
};

/// Why a post is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It is no file of a collector; what is wrong with it.
    Unreadable(String),
    /// It speaks of another time than the present.
    Untimely,
}

impl CollectorFile {
    /// What a collector posted, and when it says that was. All that only the portal may say is left out.
    pub fn posted(text: &[u8], now: Millis) -> Result<(Self, Millis), Refused> {
        let file = Self::parse(text).map_err(Refused::Unreadable)?;
        let written =
            file.written().ok_or_else(|| Refused::Unreadable("there is no timestamp".to_owned()))?;
        if now.since(written) > OLDEST || file.ahead(now).is_some() {
            return Err(Refused::Untimely);
        }
        Ok((file.of_host(), written))
    }

    /// Only what the host tells.
    pub fn of_host(&self) -> Self {
        let mut values = Map::new();
        for (key, value) in &self.values {
            if key == "timestamp" || by_host(key).is_some_and(|metric| metric.labels.is_empty()) {
                values.insert(key.clone(), value.clone());
            }
        }
        let mut series = self.series();
        series.retain(|key, _| by_host(key).is_some_and(|metric| !metric.labels.is_empty()));
        let mut room = MOST_SERIES;
        for labels in series.values_mut().filter_map(Value::as_object_mut) {
            labels.retain(|_, _| {
                room = room.saturating_sub(1);
                room > 0
            });
        }
        if !series.is_empty() {
            values.insert(SERIES.to_owned(), Value::Object(series).to_string().into());
        }
        Self { values }
    }

    /// Adds what the portal knows (`values` of its `/api/metrics`) under the keys of the Zabbix package. What the host
    /// tells is left out: the portal has it from this file, and would keep alive what the host no longer knows.
    pub fn add_portal(&mut self, known: Map<String, Value>) {
        for (key, value) in known {
            let ours = modules::by_key(&key).is_some_and(|metric| {
                metric.origin.privilege() != Privilege::Host && metric.labels.is_empty() && is_zabbix(&key)
            });
            if ours && (value.is_number() || value.is_string()) {
                self.values.entry(key).or_insert(value);
            }
        }
    }
}

/// The metric, if only the host collector can tell it.
fn by_host(key: &str) -> Option<&'static Metric> {
    modules::by_key(key).filter(|metric| metric.origin.privilege() == Privilege::Host)
}

/// Whether the Zabbix package has such keys; ours begin otherwise.
fn is_zabbix(key: &str) -> bool {
    ["mailcow.", "postfix.", "zabbix.agent."].iter().any(|begin| key.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::{
        metrics::{
            exports::{self, samples::series},
            modules::{disk, docker, host, postfix},
            registry::{Kind, Origin},
            samples::Samples,
        },
        model::sample::{Labels, State},
    };

    const NOW: Millis = Millis::from_secs(1_795_200_000);

    /// What the Zabbix package's reader prints for a key of a file: `None` is "not supported".
    fn printed(text: &str, key: &str) -> Option<String> {
        let file: Value = serde_json::from_str(text).unwrap();
        let written = file["timestamp"].as_f64()?;
        if NOW.secs() as f64 - written > 300.0 {
            return None;
        }
        Some(match file.get(key)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    /// A portal that knows everything, and a collector that does.
    fn whole() -> CollectorFile {
        let value = |metric: &Metric| match metric.kind {
            Kind::Json => State::from(r#"[{"{#DOMAIN}":"a.test"}]"#),
            Kind::Text => State::from("words, with \"quotes\" and ä"),
            _ => State::Number(2.5),
        };
        let mut samples = Samples::new(NOW);
        let told = modules::of(&[Origin::Docker, Origin::HostFiles, Origin::Host]);
        for metric in told.filter(|metric| metric.labels.is_empty()) {
            samples.set(metric, value(metric));
        }
        let mut file = CollectorFile::of(&samples, NOW);
        let all: Vec<_> = modules::all()
            .filter(|metric| metric.labels.is_empty())
            .map(|metric| series(metric, Labels::NONE, value(metric)))
            .collect();
        let answer = exports::json::object(&all, NOW);
        file.add_portal(answer["values"].as_object().unwrap().clone());
        file
    }

    #[test]
    fn the_reader_of_the_zabbix_package_reads_each_of_its_246_keys() {
        let text = whole().text();
        let names = include_str!("../../../tests/fixtures/metric-keys.txt");
        let names: BTreeSet<&str> = names.lines().filter(|name| !name.is_empty()).collect();
        assert_eq!(names.len(), 246);
        for name in names {
            let printed = printed(&text, name).unwrap_or_else(|| panic!("{name} is not supported"));
            let metric = modules::by_key(name).unwrap();
            match metric.kind {
                Kind::Json => assert!(serde_json::from_str::<Value>(&printed).is_ok(), "{name}: {printed}"),
                Kind::Text => assert!(printed.starts_with("words"), "{name}: {printed}"),
                _ => assert_eq!(printed, "2.5", "{name}"),
            }
        }
        let file: Value = serde_json::from_str(&text).unwrap();
        let flat = file.as_object().unwrap().values().all(|value| value.is_number() || value.is_string());
        assert!(flat, "no true, no null, nothing nested");
    }

    #[test]
    fn the_portal_speaks_for_itself_only_and_the_host_for_the_host() {
        let mut file = CollectorFile::of(&Samples::new(NOW), NOW);
        let known = json!({
            "mailcow.queue.deferred": 3, "mailcow.disk.root.used": 7, "mailcow.docker.container.data": "{}",
            "host.cpu.used": 5, "timestamp": 1, "unheard.of": 1, "mailcow.mail.received": null,
        });
        file.add_portal(known.as_object().unwrap().clone());
        let keys: Vec<&str> = file.values.keys().map(String::as_str).collect();
        assert_eq!(keys, ["mailcow.queue.deferred", "timestamp"]);
        assert_eq!(file.written(), Some(NOW));
    }

    #[test]
    fn a_post_says_what_only_the_host_can_tell() {
        let disks: Map<String, Value> = (0..2 * MOST_SERIES).map(|n| (format!("/{n}"), json!(1))).collect();
        let series = json!({
            host::EACH_DISK_USED.key: disks,
            "mailcow.mailbox.lld.used_mb[{#MAILBOX}]": { "ann@a.test": 1 },
        });
        let text = json!({
            "timestamp": NOW.secs() - 5, "mailcow.queue.deferred": 99, "zabbix.agent.running": 0, "other": {},
            disk::ROOT_USED.key: 61, docker::CONTAINER_DATA.key: "{}", SERIES: series.to_string(),
        });
        let (file, written) = CollectorFile::posted(text.to_string().as_bytes(), NOW).unwrap();
        assert_eq!(written, Millis::from_secs(NOW.secs() - 5));
        let keys: BTreeSet<&str> = file.values.keys().map(String::as_str).collect();
        let expected = [disk::ROOT_USED.key, docker::CONTAINER_DATA.key, SERIES, "timestamp"];
        assert_eq!(keys, BTreeSet::from(expected));
        let series = file.series();
        assert_eq!(series.len(), 1, "nobody's mailbox");
        assert!(series[host::EACH_DISK_USED.key].as_object().unwrap().len() < MOST_SERIES);
        let mut out = Samples::new(NOW);
        file.tell(modules::of(&[Origin::Docker, Origin::HostFiles, Origin::Host]), NOW, &mut out);
        assert!(out.list().iter().all(|sample| sample.metric != postfix::QUEUE_DEFERRED.key));
    }

    #[test]
    fn a_post_is_of_the_present() {
        let at = |ahead: i64| {
            let text = json!({ "timestamp": NOW.secs() + ahead }).to_string();
            CollectorFile::posted(text.as_bytes(), NOW).map(|(_, written)| written)
        };
        assert!(at(0).is_ok() && at(-300).is_ok() && at(60).is_ok());
        for ahead in [-301, 61, i64::MAX / 10_000, -NOW.secs()] {
            assert_eq!(at(ahead), Err(Refused::Untimely), "{ahead}");
        }
        for text in ["", "[]", "{}", r#"{"timestamp":"now"}"#, "\u{0}", &"[".repeat(10_000)] {
            let refused = CollectorFile::posted(text.as_bytes(), NOW);
            assert!(matches!(refused, Err(Refused::Unreadable(_))), "{text:.20}");
        }
    }
}
