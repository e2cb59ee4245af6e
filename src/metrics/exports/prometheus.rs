//! Prometheus' text format 0.0.4. Numbers only, in base units; what is not known is left out, so that an alert with
//! `absent()` sees it. Texts are left out, because each new text would be a new series.

use std::{collections::HashMap, fmt::Write};

use super::{
    super::{
        modules,
        registry::{Kind, Metric, Unit},
    },
    Told, base, title, told,
};
use crate::{model::sample::MAILBOX, store::samples::Latest};

/// The content type of [`text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Most series of one metric.
const MOST: usize = 1000;
/// Words of keys that name a unit: names here end in the base unit instead.
const UNIT_WORDS: [&str; 9] = ["bytes", "mb", "pct", "percent", "seconds", "hours", "h", "days", "ratio"];

/// Which series are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All but those of single mailboxes, which are many and personal.
    Usual,
    /// Those of single mailboxes, too.
    WithMailboxes,
}

/// Series as Prometheus reads them: metrics in the order of the registry, then how many series are in which state.
pub fn text(list: &[Latest], wanted: Wanted) -> String {
    let mut by_key: HashMap<&str, Vec<&Latest>> = HashMap::new();
    for series in list {
        by_key.entry(series.metric.as_str()).or_default().push(series);
    }
    let mut out = String::new();
    let mut left_out = 0;
    for metric in modules::all().filter(|metric| metric.kind.is_numeric()) {
        let known: Vec<(&Latest, f64)> =
            by_key.get(metric.key).into_iter().flatten().filter_map(|it| Some((*it, number(it)?))).collect();
        let most = match wanted {
            Wanted::Usual if metric.labels.contains(&MAILBOX) => 0,
            _ => MOST,
        };
        left_out += known.len().saturating_sub(most);
        block(&mut out, metric, known.get(..most).unwrap_or(&known));
    }
    states(&mut out, list, left_out);
    out
}

fn number(series: &Latest) -> Option<f64> {
    match told(series) {
        Told::Value(state) => state.number(),
        Told::Unknown(_) | Told::NotInUse(_) => None,
    }
}

fn block(out: &mut String, metric: &Metric, known: &[(&Latest, f64)]) {
    if known.is_empty() {
        return;
    }
    let name = name(metric);
    head(out, &name, &title(metric), if metric.kind == Kind::Counter { "counter" } else { "gauge" });
    let (times, by) = factor(metric.unit);
    for (series, number) in known {
        let labels: Vec<String> = series
            .labels
            .iter()
            .map(|(name, value)| format!("{}=\"{}\"", label(name), quoted(value)))
            .collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(out, "{name}{labels} {}", number * times / by);
    }
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    let help = help.replace('\\', "\\\\").replace('\n', "\\n");
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn states(out: &mut String, list: &[Latest], left_out: usize) {
    let mut counts = [("known", 0), ("unknown", 0), ("not_in_use", 0)];
    for series in list {
        let index = match told(series) {
            Told::Value(_) => 0,
            Told::Unknown(_) => 1,
            Told::NotInUse(_) => 2,
        };
        counts[index].1 += 1;
    }
    head(out, "mailcow_portal_series", "Series by state; only known ones have a value here", "gauge");
    for (state, count) in counts {
        let _ = writeln!(out, "mailcow_portal_series{{state=\"{state}\"}} {count}");
    }
    let help = "Known series that are left out here, because they are too many";
    head(out, "mailcow_portal_series_left_out", help, "gauge");
    let _ = writeln!(out, "mailcow_portal_series_left_out {left_out}");
}

/// The name of a metric: its key with `_`, in base units, as the conventions of Prometheus ask. A discovered one has
/// `each`, because a key and a discovered key may differ in the macro only.
pub fn name(metric: &Metric) -> String {
    let words = base(metric).split(['.', '_', '-']);
    let mut words: Vec<&str> =
        words.skip_while(|word| *word == "mailcow").filter(|word| !UNIT_WORDS.contains(word)).collect();
    // `total` at the end is what counters end in; in keys it means all.
    if let Some(last) = words.last_mut().filter(|last| **last == "total") {
        *last = "all";
    }
    if !metric.labels.is_empty() {
        words.push("each");
    }
    words.push(match (metric.kind, metric.unit) {
        (Kind::Moment, _) => "timestamp_seconds",
        (_, Unit::Percent) => "ratio",
        (_, Unit::Bytes | Unit::Kib | Unit::Mib) => "bytes",
        (_, Unit::Seconds | Unit::Hours | Unit::Days) => "seconds",
        (_, Unit::Celsius) => "celsius",
        (_, Unit::BytesPerSecond) => "bytes_per_second",
        (_, Unit::None | Unit::Count) => "",
    });
    if metric.kind == Kind::Counter {
        words.push("total");
    }
    words.retain(|word| !word.is_empty());
    // Such ends belong to histograms and summaries.
    if words.last().is_some_and(|last| ["count", "sum", "bucket", "info"].contains(last)) {
        words.push("value");
    }
    format!("mailcow_{}", words.join("_"))
}

/// From the metric's unit to the base unit: multiply, then divide, so that whole numbers stay exact.
pub const fn factor(unit: Unit) -> (f64, f64) {
    match unit {
        Unit::Percent => (1.0, 100.0),
        Unit::Kib => (1024.0, 1.0),
        Unit::Mib => (1_048_576.0, 1.0),
        Unit::Hours => (3600.0, 1.0),
        Unit::Days => (86_400.0, 1.0),
        _ => (1.0, 1.0),
    }
}

/// `job` and `instance` are Prometheus' own.
pub fn label(name: &str) -> String {
    match name {
        "job" | "instance" => format!("mailcow_{name}"),
        _ => name.to_owned(),
    }
}

fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{
        super::{
            super::modules::{backup, disk, docker, mailboxes, mailflow, sync_jobs, tls},
            samples::series,
        },
        *,
    };
    use crate::model::sample::{Labels, State};

    fn is_name(text: &str) -> bool {
        let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        first && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    /// Reads label pairs up to the closing brace; returns them and what follows.
    fn labels(mut text: &str) -> (BTreeMap<String, String>, &str) {
        let mut found = BTreeMap::new();
        loop {
            let (name, rest) = text.split_once("=\"").unwrap();
            assert!(is_name(name) && !name.starts_with("__"), "{name}");
            let mut value = String::new();
            let mut chars = rest.char_indices();
            let end = loop {
                match chars.next().expect("a closing quote") {
                    (at, '"') => break at,
                    (_, '\\') => match chars.next().unwrap().1 {
                        'n' => value.push('\n'),
                        c @ ('\\' | '"') => value.push(c),
                        c => panic!("escaped {c}"),
                    },
                    (_, c) => value.push(c),
                }
            };
            assert!(found.insert(name.to_owned(), value).is_none(), "{name} twice");
            match rest[end + 1..].chars().next().unwrap() {
                ',' => text = &rest[end + 2..],
                '}' => return (found, &rest[end + 2..]),
                c => panic!("{c} after a label"),
            }
        }
    }

    /// As strict as `promtool check metrics`: order of the lines, names, units, no series twice.
    fn strictly(text: &str) -> BTreeMap<(String, BTreeMap<String, String>), f64> {
        assert!(text.ends_with('\n') && !text.contains("\n\n"));
        let (mut found, mut families) = (BTreeMap::new(), BTreeSet::new());
        let (mut family, mut typed) = (String::new(), false);
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(families.insert(name.to_owned()), "{name} in two places");
                assert!(is_name(name) && !help.trim().is_empty(), "{line}");
                (family, typed) = (name.to_owned(), false);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(name == family && !typed, "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(matches!(kind, "counter" | "gauge"), "{line}");
                assert!(
                    ["_count", "_sum", "_bucket", "_info"].iter().all(|end| !name.ends_with(end)),
                    "{name}"
                );
                typed = true;
            } else {
                let end = line.find(['{', ' ']).unwrap();
                let name = &line[..end];
                assert!(name == family && typed, "{line} outside of {family}");
                let (labels, rest) = match &line[end..=end] {
                    "{" => labels(&line[end + 1..]),
                    _ => (BTreeMap::new(), &line[end..]),
                };
                let value: f64 = rest.strip_prefix(' ').unwrap().parse().unwrap();
                assert!(value.is_finite(), "{line}");
                assert!(found.insert((name.to_owned(), labels), value).is_none(), "{line} twice");
            }
        }
        found
    }

    #[test]
    fn every_number_of_the_registry_is_told_by_rules() {
        let list: Vec<Latest> = modules::all()
            .map(|metric| {
                let labels = metric.labels.iter().fold(Labels::NONE, |labels, name| labels.with(name, "x"));
                series(metric, labels, if metric.kind.is_numeric() { State::Number(7.0) } else { "y".into() })
            })
            .collect();
        let found = strictly(&text(&list, Wanted::WithMailboxes));
        let numeric = modules::all().filter(|metric| metric.kind.is_numeric()).count();
        assert_eq!(found.len(), numeric + 4, "two metrics have one name");
        let names: BTreeSet<&str> = found.keys().map(|(name, _)| name.as_str()).collect();
        for name in &names {
            let foreign = ["hours", "days", "kib", "mib", "mb", "percent", "pct"];
            assert!(name.split('_').all(|word| !foreign.contains(&word)), "{name}");
        }
        assert!(!text(&list, Wanted::WithMailboxes).contains("\"y\""));
    }

    #[test]
    fn names_and_values_are_in_base_units() {
        for (metric, expected, seven) in [
            (&mailflow::BYTES_RECEIVED, "mailcow_mail_received_bytes", 7.0),
            (&disk::ROOT_USED, "mailcow_disk_root_used_ratio", 0.07),
            (&disk::ROOT_TOTAL, "mailcow_disk_root_all_bytes", 7168.0),
            (&tls::CERT_DAYS_443, "mailcow_tls_cert_443_seconds", 604_800.0),
            (&tls::CERT_VALID_UNTIL, "mailcow_acme_cert_valid_until_timestamp_seconds", 7.0),
            (&docker::RESTARTS_TOTAL, "mailcow_docker_restarts_all_total", 7.0),
        ] {
            let out = text(&[series(metric, Labels::NONE, 7.0)], Wanted::Usual);
            assert_eq!(strictly(&out)[&(expected.to_owned(), BTreeMap::new())], seven, "{out}");
        }
        assert_eq!(name(&docker::EACH_RESTARTS), "mailcow_docker_restarts_each_total");
    }

    #[test]
    fn what_is_not_known_is_absent_and_never_zero() {
        let mut stale = series(&docker::RUNNING, Labels::NONE, 3_u32);
        stale.fresh = false;
        let unknown = series(&backup::COUNT, Labels::NONE, State::Unknown("away".to_owned()));
        let unused = series(&disk::ROOT_FREE, Labels::NONE, State::NotInUse("set it".to_owned()));
        let out = text(&[stale, unknown, unused], Wanted::Usual);
        let found = strictly(&out);
        assert_eq!(found.len(), 4, "{out}");
        let count = |state: &str| {
            found[&(
                "mailcow_portal_series".to_owned(),
                BTreeMap::from([("state".to_owned(), state.to_owned())]),
            )]
        };
        assert_eq!((count("known"), count("unknown"), count("not_in_use")), (0.0, 2.0, 1.0));
    }

    #[test]
    fn hostile_labels_stay_inside_their_quotes() {
        let evil = "a\"} 1\nmailcow_x{b=\"\\";
        let mut one = series(&docker::EACH_CPU, Labels::NONE, 50.0);
        one.labels = Labels::one("container", evil);
        let found = strictly(&text(&[one], Wanted::Usual));
        let (_, labels) = found.keys().find(|(name, _)| name == "mailcow_docker_cpu_each_ratio").unwrap();
        // Labels hold no line breaks.
        assert_eq!(labels["container"], evil.replace('\n', " "));
        let job = Labels::one("job", "7").with(MAILBOX, "ann@alpha.test");
        let out = text(&[series(&sync_jobs::EACH_SYNCJOB_ACTIVE, job, true)], Wanted::WithMailboxes);
        assert!(out.contains("{mailcow_job=\"7\",mailbox=\"ann@alpha.test\"} 1\n"), "{out}");
    }

    #[test]
    fn the_number_of_series_has_an_end_and_mailboxes_are_asked_for() {
        let each = |metric: &Metric, label: &str| -> Vec<Latest> {
            (0..MOST + 5).map(|n| series(metric, Labels::one(label, &format!("n{n}")), 1_u32)).collect()
        };
        let lines = |list: &[Latest], wanted: Wanted| {
            let found = strictly(&text(list, wanted));
            (found.len() - 4, found[&("mailcow_portal_series_left_out".to_owned(), BTreeMap::new())])
        };
        let containers = each(&docker::EACH_PIDS, "container");
        assert_eq!(lines(&containers, Wanted::Usual), (MOST, 5.0));
        let mailboxes = each(&mailboxes::EACH_MAILBOX_USED_MB, MAILBOX);
        assert_eq!(lines(&mailboxes, Wanted::Usual), (0, MOST as f64 + 5.0));
        assert_eq!(lines(&mailboxes, Wanted::WithMailboxes), (MOST, 5.0));
    }
}
