//! How far back report pages look, and the form that chooses it.

use std::time::Duration;

use crate::{
    model::{figures::Span, time::Millis},
    web::pages::frame::Frame,
};

/// Seconds of a day.
pub const DAY: u64 = 86_400;
/// A report that begins more days after today is not believed: a clock is wrong, or somebody lies. Zones and inexact clocks
/// are less.
const AHEAD_DAYS: u64 = 2;
/// Days that can be chosen.
const CHOICES: [u64; 4] = [7, 30, 90, 365];

/// A number of days up to today. Reports count by days in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Days, today included.
    pub days: u64,
}

impl Default for Period {
    fn default() -> Self {
        Self { days: 30 }
    }
}

/// One value of a field that chooses.
pub struct Choice {
    /// What the address says.
    pub value: String,
    /// What people read.
    pub word: String,
    /// Whether it is in force.
    pub chosen: bool,
}

/// The form of domain and period.
pub struct Chooser {
    /// Where it leads.
    pub action: String,
    /// Domains; none when there is nothing to choose.
    pub domains: Vec<Choice>,
    /// Periods.
    pub periods: Vec<Choice>,
}

impl Period {
    /// The period of an address; what is not offered is the usual one.
    pub fn parse(value: &str) -> Self {
        Self::offered(value).unwrap_or_default()
    }

    /// The period of an address, if it is offered.
    pub fn offered(value: &str) -> Option<Self> {
        value.parse().ok().filter(|days| CHOICES.contains(days)).map(|days| Self { days })
    }

    /// What counts for a domain, or for all in scope.
    pub fn span(self, now: Millis, domain: Option<&str>) -> Span {
        let to = midnight(now).plus(Duration::from_secs(DAY));
        let horizon = to.plus(Duration::from_secs(AHEAD_DAYS * DAY));
        Span { from: to.minus(self.length()), to, horizon, domain: domain.map(str::to_owned) }
    }

    /// The span of the same length before.
    pub fn before(self, now: Millis, domain: Option<&str>) -> Span {
        let span = self.span(now, domain);
        Span { from: span.from.minus(self.length()), to: span.from, ..span }
    }

    fn length(self) -> Duration {
        Duration::from_secs(self.days * DAY)
    }

    /// `30 days`.
    pub fn words(self, frame: &Frame) -> String {
        frame.lang().tn("period.days", i64::try_from(self.days).unwrap_or(i64::MAX), &[])
    }

    /// All periods.
    pub fn choices(self, frame: &Frame) -> Vec<Choice> {
        let word = |days: u64| frame.lang().tn("period.last", i64::try_from(days).unwrap_or(i64::MAX), &[]);
        CHOICES
            .map(|days| Choice { value: days.to_string(), word: word(days), chosen: days == self.days })
            .into()
    }

    /// The form for pages about one of these domains, or about all of them where `all` names them.
    pub fn chooser(
        self,
        frame: &Frame,
        path: &str,
        domains: &[String],
        here: &str,
        all: Option<&'static str>,
    ) -> Chooser {
        let one = |name: &String| Choice { value: name.clone(), word: name.clone(), chosen: name == here };
        let mut choices: Vec<Choice> = domains.iter().map(one).collect();
        if let Some(word) = all.filter(|_| choices.len() > 1) {
            let choice = Choice { value: String::new(), word: word.to_owned(), chosen: here.is_empty() };
            choices.insert(0, choice);
        }
        if choices.len() < 2 {
            choices.clear();
        }
        Chooser { action: frame.url(path), domains: choices, periods: self.choices(frame) }
    }
}

/// Whether a report of that begin comes from the future, so that it does not count ([`Span::horizon`]).
pub fn is_ahead(frame: &Frame, begin: Millis) -> bool {
    begin >= Period::default().span(frame.formats.now, None).horizon
}

/// Midnight UTC of a moment's day.
pub fn midnight(at: Millis) -> Millis {
    Millis(at.0 - at.0.rem_euclid(DAY as i64 * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_with_today_and_follows_the_one_before() {
        let now = Millis(1_795_196_712_000);
        let period = Period::parse("7");
        let (span, before) = (period.span(now, Some("a.test")), period.before(now, Some("a.test")));
        assert!(span.to > now && span.to.since(now).as_secs() <= DAY);
        assert_eq!(span.to.since(span.from).as_secs(), 7 * DAY);
        assert_eq!((before.to, before.to.since(before.from).as_secs()), (span.from, 7 * DAY));
        assert_eq!(span.domain.as_deref(), Some("a.test"));
    }

    #[test]
    fn an_odd_period_is_the_usual_one() {
        for value in ["", "0", "31", "-7", "99999999999999999999", "x"] {
            assert_eq!(Period::parse(value), Period::default(), "{value}");
        }
    }
}
