//! Names, values and limits of metrics as people read them.

use std::{collections::HashMap, sync::OnceLock, time::Duration};

use crate::{
    metrics::{
        exports::instance,
        health::{Standing, Value},
        modules::mailboxes,
        registry::{Kind, Limits, Metric, Module, Severity, Unit},
    },
    model::{sample::State, time::Millis},
    web::{
        pages::{frame::Frame, look::Look},
        text::Lang,
    },
};

pub use super::reasons::in_language;

/// Longest text of a value, in characters.
const LONGEST: usize = 160;

/// The name of a metric: in English the begin of its help, which is declared with it.
pub fn name(lang: Lang, metric: &Metric) -> &'static str {
    static GERMAN: OnceLock<HashMap<&str, &str>> = OnceLock::new();
    let german = || {
        let file = include_str!("../../../../locales/metrics.de.txt").lines();
        file.filter_map(|line| line.split_once(" = ")).collect()
    };
    let english = || first_sentence(metric.help);
    match lang {
        Lang::En => english(),
        Lang::De => GERMAN.get_or_init(german).get(metric.key).copied().unwrap_or_else(english),
    }
}

/// The first sentence without what explains it.
fn first_sentence(help: &'static str) -> &'static str {
    let help = help.trim();
    let ends = [". ", ".\n", "; ", ": ", " ("].into_iter().filter_map(|end| help.find(end));
    help.get(..ends.min().unwrap_or(help.len())).unwrap_or(help).trim_end_matches('.')
}

/// The name of a series: what tells it apart, else the name of its metric.
pub fn series_name(lang: Lang, value: &Value<'_>) -> String {
    let labels = value.latest.map(|latest| latest.labels.iter().map(|(_, label)| label).collect::<Vec<_>>());
    match labels {
        Some(labels) if !labels.is_empty() => format!("{}: {}", name(lang, value.metric), labels.join(", ")),
        _ => name(lang, value.metric).to_owned(),
    }
}

/// What is wrong with a series in trouble: a sentence where it is a flag, else its name and its value.
pub fn trouble(frame: &Frame, value: &Value<'_>) -> String {
    let Some(latest) = value.latest.filter(|_| value.metric.kind == Kind::Flag) else {
        return format!("{}: {}", series_name(frame.lang(), value), self::value(frame, value));
    };
    let labels: Vec<(&str, &str)> = latest.labels.iter().collect();
    frame.lang().tf_in("wrong", value.metric.key, &labels)
}

/// The key of a series: that of its metric, with the things themselves in the places of the macros.
pub fn key(value: &Value<'_>) -> String {
    value.latest.map_or_else(|| value.metric.key.to_owned(), |latest| instance(value.metric, &latest.labels))
}

/// The name of a module.
pub fn module_name(lang: Lang, module: Module) -> &'static str {
    lang.t_in("module", module.code())
}

/// A number of a metric.
pub fn number(frame: &Frame, metric: &Metric, number: f64) -> String {
    let formats = &frame.formats;
    let bytes = |factor: f64| formats.bytes((number.max(0.0) * factor) as u64);
    let duration = |seconds: f64| {
        if number == 0.0 {
            return frame.lang().t_in("nothing", metric.unit.code()).to_owned();
        }
        let length = Duration::try_from_secs_f64(number.abs() * seconds).unwrap_or_default();
        let sign = if number < 0.0 { "−" } else { "" };
        format!("{sign}{}", formats.duration(length))
    };
    match (metric.kind, metric.unit) {
        (Kind::Flag, _) if number == 0.0 => frame.t("word.no").to_owned(),
        (Kind::Flag, _) if number == 1.0 => frame.t("word.yes").to_owned(),
        // A share of time.
        (Kind::Flag, _) => formats.hundredths(number * 100.0),
        (Kind::Moment, _) => formats.moment(Millis::from_secs(number as i64)),
        _ if number == 0.0 && is_quota(metric) => frame.t("word.unlimited").to_owned(),
        (_, Unit::Percent) => formats.hundredths(number),
        (_, Unit::Bytes) => bytes(1.0),
        (_, Unit::Kib) => bytes(1024.0),
        (_, Unit::Mib) => bytes(1_048_576.0),
        (_, Unit::BytesPerSecond) => format!("{}/s", bytes(1.0)),
        (_, Unit::Seconds) => duration(1.0),
        (_, Unit::Hours) => duration(3600.0),
        (_, Unit::Days) => duration(86_400.0),
        (_, Unit::Celsius) => format!("{} °C", formats.decimal(number)),
        (_, Unit::Count | Unit::None) => formats.decimal(number),
    }
}

/// The quotas: Mailcow's 0 means that there is none.
const QUOTAS: [&Metric; 2] = [&mailboxes::EACH_DOMAIN_QUOTA_MB, &mailboxes::EACH_MAILBOX_QUOTA_MB];

/// Whether a metric is a quota.
pub fn is_quota(metric: &Metric) -> bool {
    QUOTAS.iter().any(|quota| quota.key == metric.key)
}

/// What a series is at present.
pub fn value(frame: &Frame, value: &Value<'_>) -> String {
    match value.latest.map(|latest| &latest.state) {
        Some(State::Number(own)) => number(frame, value.metric, *own),
        Some(State::Text(_)) if value.metric.kind == Kind::Json => frame.t("system.data").to_owned(),
        Some(State::Text(text)) => cut(text),
        Some(State::Unknown(_)) => frame.t("standing.unknown").to_owned(),
        Some(State::NotInUse(_)) => frame.t("standing.not-in-use").to_owned(),
        None => frame.t("standing.waiting").to_owned(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Why a series has no value.
pub fn reason(lang: Lang, value: &Value<'_>) -> Option<String> {
    match &value.latest?.state {
        State::Unknown(reason) | State::NotInUse(reason) => Some(in_language(lang, reason)),
        _ => None,
    }
}

/// Icon, tone and word of a standing.
pub fn look(lang: Lang, standing: Standing) -> Look {
    let (icon, tone) = match standing {
        Standing::Fine => ("check-circle", "ok"),
        Standing::NotInUse => ("dash-circle", "idle"),
        Standing::Waiting => ("arrow-clockwise", "info"),
        Standing::Unknown => ("question-circle", "idle"),
        Standing::Warning => ("exclamation-triangle", "wait"),
        Standing::Critical => ("x-octagon", "bad"),
    };
    Look { icon, tone, word: lang.t_in("standing", standing.code()) }
}

/// The look of a value; none of a text that nothing judges. What is good to have, and no trouble without, is not called fine
/// where it is missing.
pub fn look_of(lang: Lang, value: &Value<'_>) -> Option<Look> {
    let word = match (value.gravity(), value.metric.kind, value.metric.limits) {
        ((Standing::Fine, Some(Severity::Info)), Kind::Flag, _) => "optional",
        ((Standing::Fine, Some(Severity::Info)), ..) => "note",
        ((Standing::Fine, _), Kind::Text | Kind::Json, Limits::None) => return None,
        _ => return Some(look(lang, value.standing)),
    };
    Some(Look { icon: "dash-circle", tone: "idle", word: lang.t_in("standing", word) })
}

/// The limits of a series in short: `10 / 50`; a dash where there are none.
pub fn limits(frame: &Frame, value: &Value<'_>) -> String {
    let metric = value.metric;
    let limits = value.latest.map_or(metric.limits, |latest| metric.limits.of(&latest.labels));
    let steps = limits.steps().iter().filter(|(severity, _)| *severity >= Severity::Warning);
    let steps: Vec<String> = steps.map(|(_, limit)| number(frame, metric, *limit)).collect();
    match limits {
        Limits::Says(severity, text) if severity >= Severity::Warning => {
            frame.lang().tf("system.limit.not", &[("limit", text)])
        }
        _ if steps.is_empty() => "–".to_owned(),
        Limits::Is(_) => frame.lang().tf("system.limit.not", &[("limit", &steps.join(" / "))]),
        Limits::Below(_) => frame.lang().tf("system.limit.least", &[("limit", &steps.join(" / "))]),
        _ => steps.join(" / "),
    }
}

/// The limit that a value passed, as a sentence.
pub fn passed(frame: &Frame, metric: &Metric, at: f64) -> Option<String> {
    let mut steps = metric.limits.steps().iter();
    let (key, limit) = match metric.limits {
        Limits::Above(_) => ("above", steps.rfind(|(_, limit)| at > *limit)?.1),
        Limits::Below(_) => ("below", steps.rfind(|(_, limit)| at < *limit)?.1),
        _ => return None,
    };
    Some(super::fill(frame.lang().t_in("passed", key), "{limit}", &number(frame, metric, limit)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        metrics::modules::{self, clamav, security, sync_jobs},
        model::{sample::Labels, scope::Role},
        store::samples::Latest,
        web::pages::samples,
    };

    fn told(metric: &Metric, labels: Labels, state: State) -> Latest {
        let (metric, source) = (metric.key.to_owned(), String::new());
        let (since, told) = (samples::NOW, samples::NOW);
        Latest { metric, labels, state, since, source, told, fresh: true }
    }

    #[test]
    fn a_flag_in_trouble_is_told_in_a_sentence_and_nothing_has_its_unit() {
        let frame = samples::frame(Role::Admin, Lang::En);
        for metric in modules::all().filter(|metric| metric.kind == Kind::Flag) {
            let labels = metric.labels.iter().fold(Labels::NONE, |labels, name| labels.with(name, "DKIM"));
            for state in [0.0, 1.0].map(State::Number) {
                if metric.severity_of(&labels, &state) < Some(Severity::Warning) {
                    continue;
                }
                let latest = told(metric, labels.clone(), state);
                let value = Value { metric, latest: Some(&latest), standing: Standing::Critical };
                assert!(trouble(&frame, &value).split(' ').count() > 2, "{}", metric.key);
            }
        }
        assert_eq!(number(&frame, &clamav::DAILY_AGE, 0.0), "0 days");
        assert_eq!(number(&frame, &sync_jobs::EACH_SYNCJOB_AGE_HOURS, 0.0), "0 h");
        assert_eq!(number(&frame, &mailboxes::EACH_MAILBOX_QUOTA_MB, 0.0), "unlimited");
    }

    #[test]
    fn a_series_has_its_own_key_and_what_is_optional_is_not_fine() {
        let labels = Labels::one("domain", "a.test").with("check", "BIMI");
        let latest = told(&security::EACH_CHECK, labels, State::Number(0.0));
        let value = Value { metric: &security::EACH_CHECK, latest: Some(&latest), standing: Standing::Fine };
        assert_eq!(key(&value), "portal.dns.check[a.test,BIMI]");
        assert_eq!(look_of(Lang::En, &value).unwrap().word, "Optional");
        let text = told(&security::AUDIT_DETAIL, Labels::NONE, "a.test:BIMI".into());
        let value = Value { metric: &security::AUDIT_DETAIL, latest: Some(&text), standing: Standing::Fine };
        assert_eq!(look_of(Lang::En, &value), None);
    }

    #[test]
    fn every_metric_has_a_name_in_both_languages() {
        let file = include_str!("../../../../locales/metrics.de.txt");
        for metric in modules::all() {
            let english = name(Lang::En, metric);
            assert!(!english.is_empty() && english.len() < 140, "{}", metric.key);
            assert!(
                file.lines().any(|line| line.starts_with(&format!("{} = ", metric.key))),
                "{}",
                metric.key
            );
        }
        for line in file.lines().filter(|line| !line.starts_with('#')) {
            let (key, text) = line.split_once(" = ").expect(line);
            assert!(modules::by_key(key).is_some() && !text.trim().is_empty(), "{line}");
        }
    }
}
