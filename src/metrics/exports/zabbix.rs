//! A template for Zabbix 6.0 and newer, which take over older exports: one HTTP agent item reads `/api/metrics`, everything else depends on it. Keys are those
//! of the registry, so that history and dashboards of the other package's template keep their names.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    super::{
        modules,
        registry::{Kind, Limits, Metric, Severity, Unit},
    },
    base, discoveries,
    json::list_name,
    title,
};

/// The template's name.
const TEMPLATE: &str = "mailcow-status by HTTP";
/// The key of the item that reads everything. It keeps no history, so nothing can be asked of it.
const MASTER: &str = "mailcow-status.json";
/// The key of the item that tells when the portal answered: it has a value as often as the portal answers.
const ANSWER: &str = "mailcow-status.at";
/// The template group.
const GROUP: &str = "Templates/Applications";
/// Zabbix's own identifier of that group.
const GROUP_UUID: &str = "a571c0d144b14fd4a87a9d9b2aa9fcd6";
/// Longest name of an item.
const LONGEST: usize = 255;

/// The text of `docs/zabbix-template.json`.
pub fn template() -> String {
    let plain = modules::all().filter(|metric| metric.labels.is_empty());
    let mut items = vec![master(), answer()];
    items.extend(plain.map(|metric| item(metric, None)));
    let rules: Vec<Value> = discoveries().iter().map(|(name, metrics)| rule(name, metrics)).collect();
    let export = json!({
        "zabbix_export": {
            "version": "6.0",
            "groups": [{ "uuid": GROUP_UUID, "name": GROUP }],
            "templates": [{
                "uuid": uuid("template"),
                "template": TEMPLATE,
                "name": TEMPLATE,
                "description": "Reads all metrics of mailcow-status at once. Set both macros on the host. \
                    An item without a value is not supported: its value is unknown or not in use, never 0. \
                    Derived from the code by `mailcow-status settings --zabbix`; do not edit.",
                "groups": [{ "name": GROUP }],
                "items": items,
                "discovery_rules": rules,
                "macros": macros(),
            }],
        }
    });
    format!("{export:#}\n")
}

fn macros() -> Value {
    json!([
        {
            "macro": "{$MAILCOW_STATUS.TOKEN}",
            "type": "SECRET_TEXT",
            "description": "API_TOKEN of mailcow-status.",
        },
        {
            "macro": "{$MAILCOW_STATUS.URL}",
            "value": "https://mail.example.org/status",
            "description": "PUBLIC_URL of mailcow-status.",
        },
    ])
}

fn master() -> Value {
    json!({
        "uuid": uuid(MASTER),
        "name": "All metrics",
        "type": "HTTP_AGENT",
        "key": MASTER,
        "delay": "1m",
        "history": "0",
        "trends": "0",
        "value_type": "TEXT",
        "url": "{$MAILCOW_STATUS.URL}/api/metrics",
        "timeout": "15s",
        "headers": [{ "name": "Authorization", "value": "Bearer {$MAILCOW_STATUS.TOKEN}" }],
    })
}

fn answer() -> Value {
    json!({
        "uuid": uuid(ANSWER),
        "name": "Time of the newest answer",
        "type": "DEPENDENT",
        "key": ANSWER,
        "delay": "0",
        "history": "1d",
        "trends": "0",
        "units": "unixtime",
        "master_item": { "key": MASTER },
        "preprocessing": [{ "type": "JSONPATH", "parameters": ["$.at"] }],
        "triggers": [{
            "uuid": uuid("silent"),
            "expression": format!("nodata(/{TEMPLATE}/{ANSWER},10m)=1"),
            "name": "mailcow-status does not answer",
            "priority": "HIGH",
        }],
    })
}

/// An item, or an item prototype with the macro of its thing.
fn item(metric: &Metric, discovered: Option<&str>) -> Value {
    let path = match discovered {
        None => format!("$.values['{}']", metric.key),
        Some(name) => format!("$.series['{}']['{name}']", base(metric)),
    };
    let (times, unit) = unit(metric);
    let mut steps = vec![json!({ "type": "JSONPATH", "parameters": [path] })];
    if times != 1.0 {
        steps.push(json!({ "type": "MULTIPLIER", "parameters": [times.to_string()] }));
    }
    let mut item = json!({
        "uuid": uuid(metric.key),
        "name": named(metric, discovered),
        "type": "DEPENDENT",
        "key": metric.key,
        "delay": "0",
        "description": description(metric),
        "master_item": { "key": MASTER },
        "preprocessing": steps,
        "tags": [{ "tag": "module", "value": metric.module.code() }],
    });
    if metric.kind.is_numeric() {
        item["value_type"] = "FLOAT".into();
        item["units"] = unit.into();
    } else {
        item["value_type"] = "TEXT".into();
        item["trends"] = "0".into();
    }
    let triggers = triggers(metric, discovered, times);
    if !triggers.is_empty() {
        item[if discovered.is_some() { "trigger_prototypes" } else { "triggers" }] = triggers.into();
    }
    item
}

fn named(metric: &Metric, discovered: Option<&str>) -> String {
    let name = discovered.map_or_else(String::new, |name| format!("{}: ", name.replace(',', ", ")));
    (name + &title(metric)).chars().take(LONGEST).collect()
}

fn description(metric: &Metric) -> String {
    let help = metric.help.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{help} Window: {}. Source: {}.", metric.window.code(), metric.origin.code())
}

/// What a value is multiplied by, and the unit that it then has. `!` keeps Zabbix from scaling.
const fn unit(metric: &Metric) -> (f64, &'static str) {
    match (metric.kind, metric.unit) {
        (Kind::Moment, _) => (1.0, "unixtime"),
        (_, Unit::None | Unit::Count) => (1.0, ""),
        (_, Unit::Percent) => (1.0, "%"),
        (_, Unit::Bytes) => (1.0, "B"),
        (_, Unit::Kib) => (1024.0, "B"),
        (_, Unit::Mib) => (1_048_576.0, "B"),
        (_, Unit::Seconds) => (1.0, "s"),
        (_, Unit::Hours) => (1.0, "!h"),
        (_, Unit::Days) => (1.0, "!d"),
        (_, Unit::Celsius) => (1.0, "°C"),
        (_, Unit::BytesPerSecond) => (1.0, "Bps"),
    }
}

/// One trigger for each limit; a milder one is silent while the next worse one speaks.
fn triggers(metric: &Metric, discovered: Option<&str>, times: f64) -> Vec<Value> {
    let steps = metric.limits.steps().iter().map(|(severity, limit)| {
        let (expression, words) = expression(metric, limit * times, *limit);
        (*severity, expression, words)
    });
    let text = match metric.limits {
        Limits::Says(severity, text) => {
            Some((severity, format!("last(/{TEMPLATE}/{})=\"{text}\"", metric.key), format!("is {text}")))
        }
        _ => None,
    };
    let all: Vec<(Severity, String, String)> = steps
        .chain(text)
        .map(|(severity, expression, words)| {
            (severity, expression, format!("{}: {words}", named(metric, discovered)))
        })
        .collect();
    let mut triggers = Vec::new();
    for (index, (severity, expression, name)) in all.iter().enumerate() {
        let mut trigger = json!({
            "uuid": uuid(&format!("{} {}", metric.key, severity.code())),
            "expression": expression,
            "name": name,
            "priority": severity.code().to_uppercase(),
        });
        if let Some((_, expression, name)) = all.get(index + 1) {
            trigger["dependencies"] = json!([{ "name": name, "expression": expression }]);
        }
        triggers.push(trigger);
    }
    triggers
}

fn expression(metric: &Metric, limit: f64, shown: f64) -> (String, String) {
    let unit = match metric.unit {
        Unit::None | Unit::Count => String::new(),
        unit => format!(" {}", unit.code()),
    };
    let (function, sign, words) = match metric.limits {
        Limits::Above(_) | Limits::None | Limits::Says(..) | Limits::IsBy(..) => ("last", ">", "over"),
        Limits::Below(_) => ("last", "<", "under"),
        Limits::Is(_) => ("last", "=", "is"),
        Limits::Grows(_) => ("change", ">", "grew by over"),
    };
    (format!("{function}(/{TEMPLATE}/{}){sign}{limit}", metric.key), format!("{words} {shown}{unit}"))
}

fn rule(discovered: &str, metrics: &[&Metric]) -> Value {
    let list = list_name(discovered);
    let prototypes: Vec<Value> = metrics.iter().map(|metric| item(metric, Some(discovered))).collect();
    json!({
        "uuid": uuid(&format!("discovery {list}")),
        "name": format!("Discovery: {}", list.to_lowercase().replace('_', " ")),
        "type": "DEPENDENT",
        "key": format!("mailcow-status.discovery[{}]", list.to_lowercase()),
        "delay": "0",
        "lifetime": "7d",
        "master_item": { "key": MASTER },
        "preprocessing": [{ "type": "JSONPATH", "parameters": [format!("$.discovered['{list}']")] }],
        "item_prototypes": prototypes,
    })
}

/// The same name has the same identifier in each version of the template. Zabbix takes version 4 only (RFC 9562).
fn uuid(name: &str) -> String {
    let digest = Sha256::digest(format!("mailcow-status zabbix {name}"));
    let mut hex = format!("{digest:x}");
    hex.truncate(32);
    hex.replace_range(12..13, "4");
    hex.replace_range(16..17, "a");
    hex
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::metrics::modules::docker;

    fn parsed() -> Value {
        let export: Value = serde_json::from_str(&template()).unwrap();
        export["zabbix_export"]["templates"][0].clone()
    }

    fn list(value: &Value) -> &[Value] {
        value.as_array().map_or(&[], Vec::as_slice)
    }

    /// Each object with a `uuid`.
    fn identified<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
        if value["uuid"].is_string() {
            found.push(value);
        }
        match value {
            Value::Array(values) => values.iter().for_each(|value| identified(value, found)),
            Value::Object(map) => map.values().for_each(|value| identified(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_metric_is_an_item_that_depends_on_the_one_that_reads() {
        let template = parsed();
        let mut keys: BTreeSet<String> = BTreeSet::new();
        let items = list(&template["items"]);
        let rules = list(&template["discovery_rules"]);
        let prototypes = rules.iter().flat_map(|rule| list(&rule["item_prototypes"]));
        for item in items.iter().skip(2).chain(prototypes) {
            let key = item["key"].as_str().unwrap();
            assert_eq!(item["master_item"]["key"], MASTER, "{key}");
            assert!(keys.insert(key.to_owned()), "{key} twice");
        }
        let declared: BTreeSet<String> = modules::all().map(|metric| metric.key.to_owned()).collect();
        assert_eq!(keys, declared);
        assert_eq!(items[0]["type"], "HTTP_AGENT");
        assert_eq!((&items[1]["key"], &items[1]["master_item"]["key"]), (&json!(ANSWER), &json!(MASTER)));
    }

    /// Zabbix evaluates nothing of an item without history.
    #[test]
    fn every_trigger_asks_items_that_keep_history() {
        let template = parsed();
        let mut found = Vec::new();
        identified(&template, &mut found);
        let kept: BTreeSet<&str> = found
            .iter()
            .filter(|it| it["type"].is_string() && it["history"] != "0")
            .filter_map(|it| it["key"].as_str())
            .collect();
        let expressions = found.iter().filter_map(|it| it["expression"].as_str());
        let mut asked = 0;
        for expression in expressions {
            for part in expression.split(&format!("(/{TEMPLATE}/")).skip(1) {
                let is_whole = |rest: &str| rest.starts_with([',', ')']);
                assert!(kept.iter().any(|key| part.strip_prefix(key).is_some_and(is_whole)), "{expression}");
                asked += 1;
            }
        }
        assert!(asked > 100, "{asked}");
    }

    #[test]
    fn a_thing_of_two_parts_is_two_macros() {
        let template = parsed();
        let rules = list(&template["discovery_rules"]);
        let rule = rules.iter().find(|it| it["key"] == "mailcow-status.discovery[domain_check]").unwrap();
        assert_eq!(rule["preprocessing"][0]["parameters"][0], "$.discovered['DOMAIN_CHECK']");
        let item = &rule["item_prototypes"][0];
        let path = "$.series['portal.dns.check']['{#DOMAIN},{#CHECK}']";
        assert_eq!(item["preprocessing"][0]["parameters"][0], path);
        assert!(item["name"].as_str().unwrap().starts_with("{#DOMAIN}, {#CHECK}: "));
    }

    #[test]
    fn identifiers_are_of_version_4_and_of_one_thing_each() {
        let template = parsed();
        let mut found = Vec::new();
        identified(&template, &mut found);
        let mut seen = BTreeSet::new();
        for value in found {
            let uuid = value["uuid"].as_str().unwrap();
            assert!(uuid.len() == 32 && uuid.bytes().all(|b| b.is_ascii_hexdigit()), "{uuid}");
            assert!(&uuid[12..13] == "4" && &uuid[16..17] == "a", "{uuid}");
            assert!(seen.insert(uuid), "{uuid} twice: {value}");
        }
    }

    #[test]
    fn limits_are_triggers_in_the_unit_of_the_item_and_the_worse_one_silences_the_milder() {
        let template = parsed();
        let item = |key: &str| list(&template["items"]).iter().find(|item| item["key"] == key).unwrap();
        let deferred = &item("mailcow.queue.deferred")["triggers"];
        assert_eq!(deferred[0]["expression"], format!("last(/{TEMPLATE}/mailcow.queue.deferred)>10"));
        assert_eq!(deferred[0]["dependencies"][0]["name"], deferred[1]["name"]);
        assert_eq!(deferred[1]["dependencies"], Value::Null);
        let health = triggers(&docker::EACH_HEALTH, Some("{#CONTAINER}"), 1.0);
        let expression = format!("last(/{TEMPLATE}/mailcow.docker.health[{{#CONTAINER}}])=\"unhealthy\"");
        assert_eq!(health[0]["expression"], expression);
        for metric in modules::all() {
            let (times, _) = unit(metric);
            for (trigger, (_, limit)) in triggers(metric, None, times).iter().zip(metric.limits.steps()) {
                let expression = trigger["expression"].as_str().unwrap();
                assert!(expression.ends_with(&(limit * times).to_string()), "{expression}");
            }
        }
    }

    #[test]
    fn the_file_is_what_the_code_says() {
        crate::metrics::exports::samples::same_as_file("docs/zabbix-template.json", &template());
    }
}
