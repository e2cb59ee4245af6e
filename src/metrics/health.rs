//! How each module is: judged from what its series are at present, by the limits that come with the metrics.

use std::cmp::Ordering;

use super::{
    modules,
    registry::{Direction, Limits, Metric, Module, Severity},
};
use crate::{
    model::{
        history::Point,
        sample::{MAILBOX, State},
    },
    store::samples::{Beyond, Gap, Latest, Limit, Passed},
};

/// How something is, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Within its limits.
    Fine,
    /// Not set up, or not granted.
    NotInUse,
    /// Nothing was told so far.
    Waiting,
    /// It should be known but is not.
    Unknown,
    /// A first limit is passed.
    Warning,
    /// A second limit is passed.
    Critical,
}

impl Standing {
    /// The word in text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::NotInUse => "not-in-use",
            Self::Waiting => "waiting",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// Whether somebody has to do something.
    pub fn is_trouble(self) -> bool {
        self >= Self::Warning
    }

    /// How a series is. What its source should have told again long ago is unknown.
    pub fn of(metric: &Metric, latest: &Latest) -> Self {
        match &latest.state {
            State::NotInUse(_) => Self::NotInUse,
            _ if !latest.fresh => Self::Unknown,
            State::Unknown(_) => Self::Unknown,
            state => Self::by(metric.severity_of(&latest.labels, state)),
        }
    }

    /// How something known is by the limit that it passed.
    pub const fn by(severity: Option<Severity>) -> Self {
        match severity {
            None | Some(Severity::Info) => Self::Fine,
            Some(Severity::Warning) => Self::Warning,
            Some(Severity::High | Severity::Disaster) => Self::Critical,
        }
    }
}

/// A series at present, and how it is.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    /// Its metric.
    pub metric: &'static Metric,
    /// What was told; `None` when nothing was, so far.
    pub latest: Option<&'a Latest>,
    /// How it is.
    pub standing: Standing,
}

impl Value<'_> {
    /// Its number, where it has one.
    pub fn number(&self) -> Option<f64> {
        self.latest?.state.number()
    }

    /// How bad it is: comparable among all values.
    pub fn gravity(&self) -> (Standing, Option<Severity>) {
        let severity = |latest: &Latest| self.metric.severity_of(&latest.labels, &latest.state);
        (self.standing, self.latest.and_then(severity))
    }

    /// Orders the series of one metric, the worst first.
    pub fn worst_first(&self, other: &Self) -> Ordering {
        let further = |one: &Self| {
            let number = one.number().unwrap_or(f64::NEG_INFINITY);
            if self.metric.direction() == Direction::Higher { -number } else { number }
        };
        other.gravity().cmp(&self.gravity()).then(further(other).total_cmp(&further(self)))
    }
}

/// How a module is.
#[derive(Debug, Clone)]
pub struct Health<'a> {
    /// Which.
    pub module: Module,
    /// How it is altogether.
    pub standing: Standing,
    /// Its series, in the order of the registry.
    pub values: Vec<Value<'a>>,
}

impl<'a> Health<'a> {
    /// The first series of a metric.
    pub fn value(&self, metric: &Metric) -> Option<&Value<'a>> {
        self.values.iter().find(|value| value.metric.key == metric.key)
    }

    /// The worst value: of those that are equally bad the first metric, and of that the series that has gone furthest.
    pub fn worst(&self) -> Option<&Value<'a>> {
        let is_judged =
            |value: &&Value<'_>| value.metric.limits != Limits::None || self.standing < Standing::Warning;
        let judged = || self.values.iter().filter(is_judged);
        let gravity = judged().map(Value::gravity).max()?;
        let first = judged().find(|value| value.gravity() == gravity)?;
        judged().filter(|value| value.metric.key == first.metric.key).min_by(|a, b| a.worst_first(b))
    }
}

/// All limits of what is measured of each single mailbox: what has passed none of them is fine, or not known.
pub fn mailbox_limits() -> Vec<Limit> {
    let limits = modules::all().filter(|metric| metric.labels.contains(&MAILBOX));
    let of = |metric: &'static Metric| {
        passed_limits(metric.limits, Severity::Info).map(|passed| Limit { metric: metric.key, passed })
    };
    limits.flat_map(of).collect()
}

/// The limits of numbers whose passing is as bad as this, or worse.
fn passed_limits(limits: Limits, least: Severity) -> impl Iterator<Item = Passed> {
    let steps = limits.steps().iter().filter(move |(severity, _)| *severity >= least);
    steps.filter_map(move |(_, limit)| match limits {
        Limits::Above(_) => Some(Passed::Above(*limit)),
        Limits::Below(_) => Some(Passed::Below(*limit)),
        Limits::Is(_) => Some(Passed::At(*limit)),
        Limits::None | Limits::IsBy(..) | Limits::Grows(_) | Limits::Says(..) => None,
    })
}

/// What to ask history for, to know since when a value has been in trouble; `None` for what has never been told.
pub fn trouble<'a>(value: &Value<'a>) -> Option<Beyond<'a>> {
    let latest = value.latest?;
    let passed = passed_limits(value.metric.limits.of(&latest.labels), Severity::Warning).collect();
    Some(Beyond { metric: value.metric.key, labels: &latest.labels, passed, gap: Gap::Pause })
}

/// Judges all modules, in the order of [`Module::ALL`].
pub fn judge(latest: &[Latest]) -> Vec<Health<'_>> {
    let mut healths: Vec<Health<'_>> = Module::ALL
        .into_iter()
        .map(|module| Health { module, standing: Standing::Waiting, values: Vec::new() })
        .collect();
    for metric in modules::all() {
        let begin = latest.partition_point(|one| one.metric.as_str() < metric.key);
        let own = latest.iter().skip(begin).take_while(|one| one.metric == metric.key);
        let mut values: Vec<Value<'_>> =
            own.map(|one| Value { metric, latest: Some(one), standing: Standing::of(metric, one) }).collect();
        if values.is_empty() && metric.labels.is_empty() {
            values.push(Value { metric, latest: None, standing: Standing::Waiting });
        }
        if let Some(health) = healths.iter_mut().find(|health| health.module == metric.module) {
            health.values.append(&mut values);
        }
    }
    for health in &mut healths {
        health.standing = altogether(&health.values);
    }
    healths
}

/// The worst trouble; unknown where what would tell of trouble is unknown, or nothing is known.
fn altogether(values: &[Value<'_>]) -> Standing {
    let worst = values.iter().map(|value| value.standing).max().unwrap_or(Standing::Waiting);
    let blind = |value: &&Value<'_>| {
        value.standing == Standing::Unknown && !matches!(value.metric.limits, Limits::None)
    };
    let fine = values.iter().any(|value| value.standing == Standing::Fine);
    match worst {
        worst if worst.is_trouble() => worst,
        _ if values.iter().filter(blind).count() > 0 => Standing::Unknown,
        _ if fine => Standing::Fine,
        worst => worst,
    }
}

/// When a growing share is full.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// What a day adds.
    pub per_day: f64,
    /// In so many days at the earliest and at the latest; `None`: not within ten years.
    pub days: Option<(f64, f64)>,
    /// The days that this follows from.
    pub known: f64,
}

/// Draws a straight line through the points (least squares) up to `full`, with twice its standard error; `None` when
/// less than a day is known.
pub fn forecast(points: &[Point], full: f64) -> Option<Forecast> {
    const DAY: f64 = 86_400_000.0;
    let known: Vec<(f64, f64)> =
        points.iter().filter_map(|point| Some((point.at.0 as f64 / DAY, point.mean()?))).collect();
    let ((first, _), (last, level)) = (*known.first()?, *known.last()?);
    if last - first < 1.0 {
        return None;
    }
    let count = known.len() as f64;
    let (x, y) = known.iter().fold((0.0, 0.0), |(x, y), (a, b)| (x + a / count, y + b / count));
    let spread: f64 = known.iter().map(|(a, _)| (a - x).powi(2)).sum();
    let slope = known.iter().map(|(a, b)| (a - x) * (b - y)).sum::<f64>() / spread;
    let rest: f64 = known.iter().map(|(a, b)| (b - y - slope * (a - x)).powi(2)).sum();
    let error = 2.0 * (rest / (count - 2.0).max(1.0) / spread).sqrt();
    let within =
        |slope: f64| Some((full - level).max(0.0) / slope).filter(|days| *days > 0.0 && *days < 3650.0);
    let soon = within(slope + error);
    let days = soon.filter(|_| slope > error).map(|soon| (soon, within(slope - error).unwrap_or(3650.0)));
    Some(Forecast { per_day: slope, days, known: last - first })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::modules::{docker, postfix, security, tls},
        *,
    };
    use crate::model::{sample::Labels, time::Millis};

    fn latest(metric: &Metric, state: State) -> Latest {
        Latest {
            metric: metric.key.to_owned(),
            labels: Labels::NONE,
            state,
            since: Millis(0),
            source: "x".to_owned(),
            told: Millis(0),
            fresh: true,
        }
    }

    fn standing(latest: &[Latest], module: Module) -> Standing {
        let mut latest = latest.to_vec();
        latest.sort_by(|a, b| a.metric.cmp(&b.metric));
        judge(&latest).iter().find(|health| health.module == module).unwrap().standing
    }

    #[test]
    fn a_module_is_as_its_worst_value_and_unknown_is_not_fine() {
        let number = |metric, number| latest(metric, State::Number(number));
        let unknown = |metric| latest(metric, State::Unknown("away".to_owned()));
        let queue = |list: &[Latest]| standing(list, Module::Queues);
        assert_eq!(queue(&[]), Standing::Waiting);
        assert_eq!(queue(&[number(&postfix::QUEUE_DEFERRED, 10.0)]), Standing::Fine);
        assert_eq!(queue(&[number(&postfix::QUEUE_DEFERRED, 11.0)]), Standing::Warning);
        assert_eq!(queue(&[number(&postfix::QUEUE_DEFERRED, 51.0)]), Standing::Critical);
        let half = [number(&postfix::QUEUE_ACTIVE, 1.0), unknown(&postfix::QUEUE_DEFERRED)];
        assert_eq!(queue(&half), Standing::Unknown, "what would tell of trouble is unknown");
        let harmless = [unknown(&postfix::QUEUE_ACTIVE), number(&postfix::QUEUE_DEFERRED, 1.0)];
        assert_eq!(queue(&harmless), Standing::Fine);
        let both = [unknown(&postfix::QUEUE_AGE_OLDEST_HOURS), number(&postfix::QUEUE_DEFERRED, 11.0)];
        assert_eq!(queue(&both), Standing::Warning);
        let old = Latest { fresh: false, ..number(&postfix::QUEUE_DEFERRED, 1.0) };
        assert_eq!(queue(&[old]), Standing::Unknown, "an old value says nothing of the present");
        let own = modules::all().filter(|metric| metric.module == Module::Quarantine);
        let ill = |text: &str| latest(&docker::EACH_HEALTH, text.into());
        let docker = |text: &str| standing(&[ill(text)], Module::Docker);
        assert_eq!(docker("unhealthy"), Standing::Warning);
        assert_eq!((docker("healthy"), docker("none")), (Standing::Fine, Standing::Fine));
        let none: Vec<Latest> =
            own.map(|metric| latest(metric, State::NotInUse("set it up".to_owned()))).collect();
        assert_eq!(standing(&none, Module::Quarantine), Standing::NotInUse);
        assert_eq!(standing(&none[1..], Module::Quarantine), Standing::Waiting);
    }

    #[test]
    fn the_worst_value_is_the_one_that_has_gone_furthest() {
        let port = |port: &str, days: f64| Latest {
            labels: Labels::one("port", port),
            ..latest(&tls::EACH_CERT_DAYS, State::Number(days))
        };
        let list = [
            port("143", 8.0),
            port("4190", -4.0),
            port("993", 2.0),
            latest(&tls::CERT_DAYS_993, State::Number(8.0)),
        ];
        let mut list = list.to_vec();
        list.sort_by(|a, b| a.metric.cmp(&b.metric));
        let healths = judge(&list);
        let health = healths.iter().find(|health| health.module == Module::Tls).unwrap();
        assert_eq!(health.worst().unwrap().latest.unwrap().labels.value("port"), Some("4190"));
    }

    #[test]
    fn a_check_is_as_bad_as_what_it_is_good_for() {
        let check = |name: &str| {
            let labels = Labels::one("domain", "a.test").with("check", name);
            standing(&[Latest { labels, ..latest(&security::EACH_CHECK, State::Number(0.0)) }], Module::Audit)
        };
        assert_eq!((check("DKIM"), check("BIMI")), (Standing::Critical, Standing::Fine));
    }

    fn points(numbers: &[Option<f64>]) -> Vec<Point> {
        let hour = Duration::from_secs(3600);
        let point = |(at, number): (u32, &Option<f64>)| Point {
            at: Millis(0).plus(hour * at),
            extremes: number.map(|number| (number, number)),
            total: number.unwrap_or_default() * 3600.0,
            seconds: number.map_or(0.0, |_| 3600.0),
            last: *number,
            told: true,
        };
        (0..).zip(numbers).map(point).collect()
    }

    #[test]
    fn whatever_is_trouble_of_a_mailbox_passes_one_of_its_limits() {
        let limits = mailbox_limits();
        for metric in modules::all().filter(|metric| metric.labels.contains(&MAILBOX)) {
            for number in [-1.0, 0.0, 0.5, 1.0, 47.0, 49.0, 81.0, 96.0, 1e6] {
                let trouble = metric.severity(&State::Number(number)).is_some();
                let mut own = limits.iter().filter(|limit| limit.metric == metric.key);
                let passed = own.any(|limit| match limit.passed {
                    Passed::Above(limit) => number > limit,
                    Passed::Below(limit) => number < limit,
                    Passed::At(limit) => number == limit,
                });
                assert_eq!(passed, trouble, "{} {number}", metric.key);
            }
        }
        assert!(limits.len() >= 3, "{limits:?}");
    }

    #[test]
    fn what_history_is_asked_for_is_what_a_warning_or_worse_means() {
        for metric in modules::all() {
            for number in [-1.0, 0.0, 0.5, 1.0, 3.0, 9.0, 47.0, 81.0, 96.0, 1e6] {
                let one = latest(metric, State::Number(number));
                let value = Value { metric, latest: Some(&one), standing: Standing::of(metric, &one) };
                let passed = trouble(&value).unwrap().passed.into_iter().any(|limit| match limit {
                    Passed::Above(limit) => number > limit,
                    Passed::Below(limit) => number < limit,
                    Passed::At(limit) => number == limit,
                });
                let severe = metric.severity(&State::Number(number)) >= Some(Severity::Warning);
                assert_eq!(passed, severe, "{} {number}", metric.key);
            }
        }
    }

    #[test]
    fn a_straight_line_is_followed_to_its_end() {
        let line: Vec<Option<f64>> = (0..240).map(|hour| Some(50.0 + f64::from(hour) / 24.0)).collect();
        let forecast = super::forecast(&points(&line), 100.0).unwrap();
        assert!((forecast.per_day - 1.0).abs() < 1e-6, "{forecast:?}");
        let (soon, late) = forecast.days.unwrap();
        assert!((soon - 40.04).abs() < 0.1 && (late - soon).abs() < 0.1, "{forecast:?}");
        let flat: Vec<Option<f64>> = vec![Some(50.0); 240];
        assert_eq!(super::forecast(&points(&flat), 100.0).unwrap().days, None);
        assert_eq!(super::forecast(&points(&line[..20]), 100.0), None, "less than a day says nothing");
    }
}
