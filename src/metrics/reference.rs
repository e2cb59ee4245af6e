//! The declared metrics as `docs/metrics.md`.

use std::fmt::Write;

use super::{
    modules,
    registry::{Audience, Limits, Metric, Module, Severity},
};

/// The text of `docs/metrics.md`: the rules, and a table for each module.
pub fn reference() -> String {
    let mut out = String::from(
        "# Metrics\n\n\
         Derived from the code by `mailcow-status settings --metrics`; do not edit.\n\n\
         - Keys are those of the Zabbix package, exactly; those that begin with `host.` or `portal.` are further ones. A key\n  \
         in brackets has one series for each discovered thing.\n\
         - A value is known, unknown (with the reason and since when), or not in use (with how to grant it). A value that is\n  \
         not known is never 0.\n\
         - \"Last hour\" and its kin are real time: events whose time stamp lies in it.\n\
         - Limits are the defaults; a rule of one's own replaces them.\n\
         - Admins see all metrics; domain admins and users those of their domains and mailboxes, as said in the meaning.\n",
    );
    for module in Module::ALL {
        let metrics: Vec<&Metric> = modules::all().filter(|metric| metric.module == module).collect();
        let _ = write!(
            out,
            "\n## {} ({})\n\n| key | value | window | source | limits | meaning |\n|---|---|---|---|---|---|\n",
            module.code(),
            metrics.len()
        );
        for metric in metrics {
            row(&mut out, metric);
        }
    }
    out
}

fn row(out: &mut String, metric: &Metric) {
    let value = format!("{} {}", metric.kind.code(), metric.unit.code());
    let mut meaning = metric.help.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    match metric.audience() {
        Audience::Admins => {}
        Audience::DomainAdmins => meaning.push_str(" Its domain's admins see it, too."),
        Audience::Owners => meaning.push_str(" Its owner and its domain's admins see it, too."),
    }
    if !metric.corrects.is_empty() {
        let _ = write!(meaning, " *Other than the Zabbix package:* {}", metric.corrects);
    }
    let cells = [
        format!("`{}`", metric.key),
        value.trim().to_owned(),
        metric.window.code().to_owned(),
        metric.origin.code().to_owned(),
        limits(metric),
        meaning,
    ];
    let _ = writeln!(out, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
}

fn limits(metric: &Metric) -> String {
    let sign = match metric.limits {
        Limits::None => return "none".to_owned(),
        Limits::Above(_) => ">",
        Limits::Below(_) => "<",
        Limits::Is(_) => "=",
        Limits::Grows(_) => "grows by >",
        Limits::IsBy(_, kinds) => {
            let kind = |(kind, own): &(&str, &[_])| format!("{kind}: {}", steps(own, "="));
            return kinds.iter().map(kind).collect::<Vec<_>>().join("; ");
        }
        Limits::Says(severity, text) => return format!("{} = {text}", severity.code()),
    };
    steps(metric.limits.steps(), sign)
}

fn steps(steps: &[(Severity, f64)], sign: &str) -> String {
    let step = |(severity, limit): &(Severity, f64)| format!("{} {sign} {limit}", severity.code());
    steps.iter().map(step).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn keys(list: &str) -> BTreeSet<&str> {
        list.lines().filter(|line| !line.is_empty()).collect()
    }

    #[test]
    fn every_key_of_the_zabbix_package_is_declared_once() {
        let expected = keys(include_str!("../../tests/fixtures/metric-keys.txt"));
        let discovered = keys(include_str!("../../tests/fixtures/metric-keys-discovered.txt"));
        assert_eq!((expected.len(), discovered.len()), (246, 21));
        let all: Vec<&str> = modules::all().map(|metric| metric.key).collect();
        let declared: BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(all.len(), declared.len(), "declared twice");
        let missing: Vec<_> = expected.union(&discovered).filter(|key| !declared.contains(*key)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let further: Vec<_> =
            declared.difference(&expected).filter(|key| !discovered.contains(*key)).collect();
        assert!(
            further.iter().all(|key| key.starts_with("host.") || key.starts_with("portal.")),
            "{further:?}"
        );
    }

    #[test]
    fn the_documentation_is_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        if std::env::var_os("MAILCOW_STATUS_WRITE").is_some() {
            std::fs::write(path, reference()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == reference(), "stale: run the tests once with MAILCOW_STATUS_WRITE=1");
    }

    #[test]
    fn each_metric_is_whole() {
        for metric in modules::all() {
            assert!(metric.help.trim().ends_with('.'), "{}: {}", metric.key, metric.help);
            assert_eq!(metric.labels.is_empty(), !metric.key.contains('['), "{}", metric.key);
            let has_text = matches!(metric.limits, Limits::Says(..));
            assert!(metric.limits == Limits::None || metric.kind.is_numeric() != has_text, "{}", metric.key);
            let steps = metric.limits.steps();
            assert!(steps.is_sorted_by_key(|(severity, _)| *severity), "{}: mildest first", metric.key);
        }
        let corrected = modules::all().filter(|metric| !metric.corrects.is_empty()).count();
        assert!(corrected >= 54, "{corrected} of the 54 faults are documented");
    }
}
