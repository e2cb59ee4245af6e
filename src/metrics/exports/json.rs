//! All series as one JSON object, which a Zabbix HTTP agent reads at once:
//!
//! ```json
//! {"at": 1795200060,
//!  "values": {"mailcow.queue.deferred": 3, "mailcow.version.current": "2026-08"},
//!  "series": {"mailcow.docker.pids": {"dovecot-mailcow": 12}},
//!  "discovered": {"CONTAINER": [{"{#CONTAINER}": "dovecot-mailcow"}]},
//!  "unknown": {"mailcow.dns.ptr.valid": {"why": "no answer", "since": 1795200000}},
//!  "not_in_use": {"mailcow.backup.count": "how to grant it"}}
//! ```
//!
//! A value stands in `values` or `series` only while it is known.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{super::modules, Told, base, discovered, discoveries, instance, told};
use crate::{
    model::{sample::State, time::Millis},
    store::samples::Latest,
};

/// The object. Its discovery lists are all there, also empty ones.
pub fn object(list: &[Latest], now: Millis) -> Value {
    let (mut values, mut unknown, mut unused) = (Map::new(), Map::new(), Map::new());
    let mut series: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut things: BTreeMap<&str, BTreeSet<&str>> =
        discoveries().into_iter().map(|(name, _)| (name, BTreeSet::new())).collect();
    for one in list {
        let Some(metric) = modules::by_key(&one.metric) else { continue };
        let thing = one.labels.iter().next().map(|(_, thing)| thing);
        if let (Some(name), Some(thing)) = (discovered(metric), thing) {
            things.entry(name).or_default().insert(thing);
        }
        match (told(one), thing) {
            (Told::Value(state), None) => {
                values.insert(metric.key.to_owned(), value(state));
            }
            (Told::Value(state), Some(thing)) => {
                series.entry(base(metric)).or_default().insert(thing.to_owned(), value(state));
            }
            (Told::Unknown(why), _) => {
                let entry = json!({ "why": why, "since": one.since.0 / 1000 });
                unknown.insert(instance(metric, &one.labels), entry);
            }
            (Told::NotInUse(how), _) => {
                unused.insert(instance(metric, &one.labels), how.into());
            }
        }
    }
    let things: Map<String, Value> =
        things.into_iter().map(|(name, things)| list_of(name, &things)).collect();
    json!({
        "at": now.0 / 1000,
        "values": values,
        "series": series,
        "discovered": things,
        "unknown": unknown,
        "not_in_use": unused,
    })
}

/// The name of a discovery list: its macro without the signs.
pub(super) fn list_name(discovered: &str) -> &str {
    discovered.trim_start_matches("{#").trim_end_matches('}')
}

fn list_of(discovered: &str, things: &BTreeSet<&str>) -> (String, Value) {
    let things = things.iter().map(|thing| json!({ discovered: thing }));
    (list_name(discovered).to_owned(), things.collect())
}

/// Whole numbers without a fraction. JSON that is kept as text stays text, as in the Zabbix package's file.
fn value(state: &State) -> Value {
    match state {
        // Exact as f64, and therefore as i64.
        State::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => json!(*number as i64),
        State::Number(number) => json!(number),
        State::Text(text) | State::Unknown(text) | State::NotInUse(text) => json!(text),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            super::modules::{backup, docker, mailflow, quarantine, updates},
            samples::series,
        },
        *,
    };
    use crate::model::sample::Labels;

    #[test]
    fn each_series_stands_in_one_place() {
        let mut silent = series(&quarantine::TOTAL, Labels::NONE, 0_u32);
        silent.fresh = false;
        let list = [
            series(&mailflow::DEFERRED, Labels::NONE, 3_u32),
            series(&mailflow::REJECT_RATE, Labels::NONE, 0.5),
            series(&updates::VERSION_CURRENT, Labels::NONE, "2026-08"),
            series(&docker::EACH_PIDS, Labels::one("container", "dovecot"), 12_u32),
            series(&docker::EACH_CPU, Labels::one("container", "acme"), State::Unknown("gone".to_owned())),
            series(&backup::COUNT, Labels::NONE, State::NotInUse("set it".to_owned())),
            silent,
        ];
        let found = object(&list, Millis(1_795_200_060_000));
        assert_eq!(found["at"], 1_795_200_060);
        let values = json!({
            "mailcow.mail.deferred": 3, "mailcow.mail.reject.rate": 0.5, "mailcow.version.current": "2026-08",
        });
        assert_eq!(found["values"], values);
        assert_eq!(found["series"], json!({ "mailcow.docker.pids": { "dovecot": 12 } }));
        let containers = json!([{ "{#CONTAINER}": "acme" }, { "{#CONTAINER}": "dovecot" }]);
        assert_eq!(found["discovered"]["CONTAINER"], containers);
        assert_eq!(found["discovered"]["MAILBOX"], json!([]));
        assert_eq!(found["unknown"]["mailcow.docker.cpu[acme]"]["why"], "gone");
        assert_eq!(found["unknown"]["mailcow.quarantine.total"]["since"], 1_795_200_000);
        assert_eq!(found["not_in_use"], json!({ "mailcow.backup.count": "set it" }));
    }
}
