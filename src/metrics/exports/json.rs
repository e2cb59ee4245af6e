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
//! A value stands in `values` or `series` only while it is known. Where several things tell series apart, they stand side by
//! side: `{"portal.dns.check": {"a.test,DKIM": 1}}`, discovered as
//! `{"DOMAIN_CHECK": [{"{#DOMAIN}": "a.test", "{#CHECK}": "DKIM"}]}`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{super::modules, Told, base, discovered, discoveries, instance, macros, things, told};
use crate::{
    model::{sample::State, time::Millis},
    store::samples::Latest,
};

/// The object. Its discovery lists are all there, also empty ones.
pub fn object(list: &[Latest], now: Millis) -> Value {
    let (mut values, mut unknown, mut unused) = (Map::new(), Map::new(), Map::new());
    let mut series: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut found: BTreeMap<&str, BTreeSet<Vec<&str>>> =
        discoveries().into_iter().map(|(name, _)| (name, BTreeSet::new())).collect();
    for one in list {
        let Some(metric) = modules::by_key(&one.metric) else { continue };
        let things = things(metric, &one.labels);
        match told(one) {
            Told::Value(state) if things.is_empty() => {
                values.insert(metric.key.to_owned(), value(state));
            }
            Told::Value(state) => {
                series.entry(base(metric)).or_default().insert(things.join(","), value(state));
            }
            Told::Unknown(why) => {
                let entry = json!({ "why": why, "since": one.since.0 / 1000 });
                unknown.insert(instance(metric, &one.labels), entry);
            }
            Told::NotInUse(how) => {
                unused.insert(instance(metric, &one.labels), how.into());
            }
        }
        if let Some(name) = discovered(metric).filter(|_| !things.is_empty()) {
            found.entry(name).or_default().insert(things);
        }
    }
    let found: Map<String, Value> = found.into_iter().map(|(name, rows)| list_of(name, &rows)).collect();
    json!({
        "at": now.0 / 1000,
        "values": values,
        "series": series,
        "discovered": found,
        "unknown": unknown,
        "not_in_use": unused,
    })
}

/// The name of a discovery list: its macros without the signs.
pub(super) fn list_name(discovered: &str) -> String {
    let words = macros(discovered).map(|name| name.trim_start_matches("{#").trim_end_matches('}'));
    words.collect::<Vec<_>>().join("_")
}

fn list_of(discovered: &str, rows: &BTreeSet<Vec<&str>>) -> (String, Value) {
    let row = |things: &Vec<&str>| -> Value {
        macros(discovered).zip(things).map(|(name, thing)| (name, *thing)).collect()
    };
    (list_name(discovered), rows.iter().map(row).collect())
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
            super::modules::{backup, docker, mailflow, quarantine, security, updates},
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

    #[test]
    fn series_with_two_things_stand_side_by_side() {
        let check = |check: &str, state: State| {
            series(&security::EACH_CHECK, Labels::one("domain", "a.test").with("check", check), state)
        };
        let away = || State::Unknown("no answer".to_owned());
        let unused = || State::NotInUse("set it".to_owned());
        let list = [
            check("BIMI", unused()),
            check("DANE", unused()),
            check("DKIM", false.into()),
            check("DMARC", away()),
            check("MX", away()),
            check("SPF", true.into()),
        ];
        let found = object(&list, Millis(0));
        assert_eq!(found["series"], json!({ "portal.dns.check": { "a.test,DKIM": 0, "a.test,SPF": 1 } }));
        let rows = found["discovered"]["DOMAIN_CHECK"].as_array().unwrap();
        assert_eq!(rows.len(), list.len());
        assert_eq!(rows[2], json!({ "{#DOMAIN}": "a.test", "{#CHECK}": "DKIM" }));
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            keys(&found["unknown"]),
            ["portal.dns.check[a.test,DMARC]", "portal.dns.check[a.test,MX]"]
        );
        assert_eq!(
            keys(&found["not_in_use"]),
            ["portal.dns.check[a.test,BIMI]", "portal.dns.check[a.test,DANE]"]
        );
    }
}
