//! A dashboard for Grafana on the numbers of `/metrics`: a row for each module; in it one panel for all metrics of one
//! unit, and one for each discovered metric.

use serde_json::{Value, json};

use super::{
    super::{
        modules,
        registry::{Kind, Metric, Module, Unit},
    },
    prometheus::{label, name},
    title,
};
use crate::model::sample::MAILBOX;

/// Width of the whole dashboard in Grafana's units.
const WIDTH: usize = 24;
/// Width and height of a panel.
const PANEL: (usize, usize) = (12, 8);

/// The text of `docs/grafana-dashboard.json`.
pub fn dashboard() -> String {
    let mut panels = Vec::new();
    let (mut id, mut y) = (0, 0);
    for module in Module::ALL {
        let charts = charts(module);
        if charts.is_empty() {
            continue;
        }
        id += 1;
        let row = id;
        let inside: Vec<Value> = charts
            .iter()
            .enumerate()
            .map(|(index, chart)| {
                id += 1;
                chart.panel(id, index * PANEL.0 % WIDTH, y + 1 + index / (WIDTH / PANEL.0) * PANEL.1)
            })
            .collect();
        panels.push(json!({
            "id": row,
            "type": "row",
            "title": module.code(),
            "collapsed": true,
            "gridPos": { "x": 0, "y": y, "w": WIDTH, "h": 1 },
            "panels": inside,
        }));
        y += 1;
    }
    let dashboard = json!({
        "title": "mailcow-status",
        "uid": "mailcow-status",
        "description": "Derived from the code by `mailcow-status settings --grafana`; do not edit.",
        "tags": ["mailcow"],
        "editable": true,
        "schemaVersion": 39,
        "refresh": "1m",
        "time": { "from": "now-24h", "to": "now" },
        "templating": { "list": [source()] },
        "panels": panels,
    });
    format!("{dashboard:#}\n")
}

fn source() -> Value {
    json!({ "name": "source", "label": "Data source", "type": "datasource", "query": "prometheus" })
}

/// Metrics that share a panel.
struct Chart {
    title: String,
    unit: &'static str,
    metrics: Vec<&'static Metric>,
}

/// The charts of a module: what has no labels by unit, then each discovered metric. Single mailboxes are left out, as
/// `/metrics` leaves them out.
fn charts(module: Module) -> Vec<Chart> {
    let metrics = modules::all().filter(|metric| metric.module == module && metric.kind.is_numeric());
    let mut charts: Vec<Chart> = Vec::new();
    let mut each = Vec::new();
    for metric in metrics {
        let unit = unit(metric);
        if metric.labels.contains(&MAILBOX) {
            continue;
        }
        if !metric.labels.is_empty() {
            each.push(Chart { title: title(metric), unit, metrics: vec![metric] });
            continue;
        }
        match charts.iter_mut().find(|chart| chart.unit == unit) {
            Some(chart) => chart.metrics.push(metric),
            None => charts.push(Chart { title: module.code().to_owned(), unit, metrics: vec![metric] }),
        }
    }
    charts.into_iter().chain(each).collect()
}

/// Grafana's name of the unit that the number has in `/metrics`.
fn unit(metric: &Metric) -> &'static str {
    match (metric.kind, metric.unit) {
        (Kind::Flag, _) => "bool_on_off",
        (Kind::Counter, _) => "ops",
        (Kind::Moment, _) => "dateTimeAsIso",
        (_, Unit::Percent) => "percentunit",
        (_, Unit::Bytes | Unit::Kib | Unit::Mib) => "bytes",
        (_, Unit::Seconds | Unit::Hours | Unit::Days) => "s",
        (_, Unit::Celsius) => "celsius",
        (_, Unit::BytesPerSecond) => "Bps",
        (_, Unit::None | Unit::Count) => "short",
    }
}

impl Chart {
    fn panel(&self, id: usize, x: usize, y: usize) -> Value {
        let source = json!({ "type": "prometheus", "uid": "${source}" });
        let targets: Vec<Value> =
            self.metrics.iter().enumerate().map(|(at, metric)| target(at, metric)).collect();
        let kind = if self.unit == "dateTimeAsIso" { "stat" } else { "timeseries" };
        json!({
            "id": id,
            "type": kind,
            "title": self.title,
            "datasource": source,
            "gridPos": { "x": x, "y": y, "w": PANEL.0, "h": PANEL.1 },
            "fieldConfig": { "defaults": { "unit": self.unit }, "overrides": [] },
            "targets": targets,
        })
    }
}

fn target(at: usize, metric: &Metric) -> Value {
    let name = name(metric);
    let expression = match metric.kind {
        Kind::Counter => format!("rate({name}[10m])"),
        // Grafana wants milliseconds.
        Kind::Moment => format!("{name} * 1000"),
        _ => name,
    };
    let labels: Vec<String> = metric.labels.iter().map(|name| format!("{{{{{}}}}}", label(name))).collect();
    let legend = if labels.is_empty() { title(metric) } else { labels.join(", ") };
    json!({ "refId": format!("M{at}"), "expr": expression, "legendFormat": legend })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::metrics::modules::security;

    #[test]
    fn every_number_is_on_the_dashboard_once_and_no_panels_overlap() {
        let dashboard: Value = serde_json::from_str(&dashboard()).unwrap();
        let (mut ids, mut expressions) = (BTreeSet::new(), Vec::new());
        for row in dashboard["panels"].as_array().unwrap() {
            assert!(ids.insert(row["id"].as_u64().unwrap()));
            let mut places = BTreeSet::new();
            for panel in row["panels"].as_array().unwrap() {
                assert!(ids.insert(panel["id"].as_u64().unwrap()));
                let place = (panel["gridPos"]["x"].as_u64(), panel["gridPos"]["y"].as_u64());
                assert!(places.insert(place), "{place:?} twice in {}", row["title"]);
                expressions.extend(panel["targets"].as_array().unwrap().iter().map(|it| it["expr"].clone()));
            }
        }
        let shown: BTreeSet<String> = expressions.iter().map(|it| it.as_str().unwrap().to_owned()).collect();
        assert_eq!(shown.len(), expressions.len());
        let wanted: Vec<&Metric> =
            modules::all().filter(|it| it.kind.is_numeric() && !it.labels.contains(&MAILBOX)).collect();
        for metric in &wanted {
            let name = name(metric);
            let found = shown.iter().filter(|it| {
                **it == name || **it == format!("rate({name}[10m])") || **it == format!("{name} * 1000")
            });
            assert_eq!(found.count(), 1, "{name}");
        }
        assert_eq!(shown.len(), wanted.len());
    }

    #[test]
    fn a_legend_names_all_that_tells_series_apart() {
        let legend = |metric: &Metric| target(0, metric)["legendFormat"].clone();
        assert_eq!(legend(&security::EACH_CHECK), "{{domain}}, {{check}}");
        assert_eq!(legend(&security::EACH_SCORE), "{{domain}}");
        assert_eq!(legend(&security::AUDIT_SCORE), title(&security::AUDIT_SCORE));
    }

    #[test]
    fn the_file_is_what_the_code_says() {
        crate::metrics::exports::samples::same_as_file("docs/grafana-dashboard.json", &dashboard());
    }
}
