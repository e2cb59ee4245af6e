//! Time in cells: what a port was in each hour, part of a day or day; its interruptions; its shares. Pure.

use std::time::Duration;

use jiff::{Unit, ZonedRound, tz::TimeZone};

use crate::model::{history::Point, time::Millis};

/// An answer that takes longer is slow.
pub const SLOW: f64 = 2.0;

/// How far back the grid looks, and how wide its cells are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// 24 hours.
    #[default]
    Day,
    /// Seven days in parts of six hours.
    Week,
    /// 30 days.
    Month,
}

impl Reach {
    /// All of them, shortest first.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// The word in addresses and text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// The reach of a [`Self::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reach| reach.code() == code)
    }

    /// So many points suffice to see each interruption as far back as it was kept.
    pub const fn points(self) -> u32 {
        match self {
            Self::Day => 1440,
            Self::Week => 2016,
            Self::Month => 8640,
        }
    }

    /// The bounds of the cells, oldest first; the last cell has the present moment in it. Days have the length that they
    /// have in the zone.
    pub fn bounds(self, now: Millis, zone: &TimeZone) -> Vec<Millis> {
        let (count, hours) = match self {
            Self::Day => (24, 1),
            Self::Week => (28, 6),
            Self::Month => (30, 24),
        };
        let local = now.in_zone(zone);
        let hour = i64::from(local.hour()) / hours * hours;
        let begin = local
            .round(ZonedRound::new().smallest(Unit::Hour).mode(jiff::RoundMode::Floor))
            .ok()
            .and_then(|begin| match self {
                Self::Day => Some(begin),
                _ => begin.with().hour(i8::try_from(hour).ok()?).build().ok(),
            });
        let begin = begin.unwrap_or(local);
        let step = |cells: i64| {
            let span = match self {
                Self::Month => jiff::Span::new().days(cells),
                _ => jiff::Span::new().hours(cells * hours),
            };
            let at = begin.checked_add(span).ok()?;
            Some(Millis(at.timestamp().as_millisecond()))
        };
        ((1 - count)..=1).filter_map(step).collect()
    }
}

/// What a port was in one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// Open all the time, as far as is known.
    Open,
    /// Open, but slow.
    Slow,
    /// Closed for so long.
    Closed(Duration),
    /// Nothing is known.
    Unknown,
}

impl Cell {
    /// The shape that stands for it, and the word in text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Slow => "slow",
            Self::Closed(_) => "closed",
            Self::Unknown => "unknown",
        }
    }
}

/// The cells between bounds. `open` are points of a flag, `seconds` those of the time until a connection.
pub fn cells(bounds: &[Millis], open: &[Point], seconds: &[Point]) -> Vec<Cell> {
    let pairs = bounds.iter().zip(bounds.iter().skip(1));
    pairs
        .map(|(from, to)| {
            let within = |point: &&Point| (*from..*to).contains(&point.at);
            let own = || open.iter().filter(within);
            let closed: f64 = own().map(closed_seconds).sum();
            let known = own().any(|point| point.seconds > 0.0);
            let slow = seconds
                .iter()
                .filter(within)
                .any(|point| point.extremes.is_some_and(|(_, high)| high > SLOW));
            match (known, closed > 0.5, slow) {
                (false, ..) => Cell::Unknown,
                (_, true, _) => Cell::Closed(Duration::from_secs_f64(closed)),
                (_, _, true) => Cell::Slow,
                _ => Cell::Open,
            }
        })
        .collect()
}

fn closed_seconds(point: &Point) -> f64 {
    (point.seconds - point.total).max(0.0)
}

/// A time in which a port was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interruption {
    /// Its begin, as exact as the points are.
    pub from: Millis,
    /// Its end; `None` while it lasts.
    pub until: Option<Millis>,
    /// How long it was closed.
    pub closed: Duration,
}

/// The interruptions of a port, newest first. What is unknown ends one, as nobody can say that it went on, and counts as none.
pub fn interruptions(points: &[Point], width: i64) -> Vec<Interruption> {
    let mut found: Vec<Interruption> = Vec::new();
    let mut open = true;
    let mut last = None;
    for point in points {
        if point.seconds <= 0.0 {
            open = true;
            continue;
        }
        let closed = closed_seconds(point);
        let end = Millis(point.at.0 + width);
        if closed > 0.5 {
            let more = Duration::from_secs_f64(closed);
            match found.last_mut().filter(|_| !open) {
                Some(one) => {
                    one.closed += more;
                    one.until = Some(end);
                }
                None => found.push(Interruption { from: point.at, until: Some(end), closed: more }),
            }
        }
        open = closed <= 0.5;
        last = point.last;
    }
    // Closed to the end of what is known.
    if let Some(one) = found.last_mut().filter(|_| !open && last == Some(0.0)) {
        one.until = None;
    }
    found.reverse();
    found
}

/// Seconds that a port was open, and seconds of which anything is known.
pub fn shares(points: &[Point]) -> (f64, f64) {
    points.iter().fold((0.0, 0.0), |(open, known), point| (open + point.total, known + point.seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn points(numbers: &[Option<f64>]) -> Vec<Point> {
        let point = |(index, number): (i64, &Option<f64>)| Point {
            at: Millis(index * MINUTE),
            extremes: number.map(|number| (number, number)),
            total: number.unwrap_or_default() * 60.0,
            seconds: number.map_or(0.0, |_| 60.0),
            last: *number,
            told: true,
        };
        (0..).zip(numbers).map(point).collect()
    }

    const OPEN: Option<f64> = Some(1.0);
    const SHUT: Option<f64> = Some(0.0);

    #[test]
    fn a_cell_is_as_bad_as_its_worst_minute_and_unknown_only_when_nothing_is_known() {
        let bounds: Vec<Millis> = (0..=4).map(|cell| Millis(cell * 2 * MINUTE)).collect();
        let open = points(&[OPEN, None, OPEN, SHUT, None, None, OPEN, OPEN]);
        let seconds = points(&[Some(0.1), None, Some(0.1), None, None, None, Some(0.1), Some(2.4)]);
        assert_eq!(
            cells(&bounds, &open, &seconds),
            [Cell::Open, Cell::Closed(Duration::from_secs(60)), Cell::Unknown, Cell::Slow]
        );
        let half = [Point { total: 45.0, ..points(&[OPEN])[0] }];
        assert_eq!(cells(&bounds[..2], &half, &[]), [Cell::Closed(Duration::from_secs(15))]);
    }

    #[test]
    fn interruptions_have_a_begin_an_end_and_a_length() {
        let found = interruptions(&points(&[SHUT, OPEN, SHUT, None, SHUT, OPEN]), MINUTE);
        let one = |from: i64, until: i64, minutes: u64| Interruption {
            from: Millis(from * MINUTE),
            until: Some(Millis(until * MINUTE)),
            closed: Duration::from_secs(minutes * 60),
        };
        assert_eq!(
            found,
            [one(4, 5, 1), one(2, 3, 1), one(0, 1, 1)],
            "newest first; what is unknown parts them"
        );
        let lasting = interruptions(&points(&[OPEN, SHUT, SHUT]), MINUTE);
        assert_eq!(lasting, [Interruption { until: None, ..one(1, 3, 2) }]);
        assert_eq!(interruptions(&points(&[OPEN, None]), MINUTE), []);
        assert_eq!(shares(&points(&[OPEN, SHUT, None, OPEN])), (120.0, 180.0));
    }

    #[test]
    fn cells_follow_the_clock_of_the_visitor() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let now = Millis::from_secs(1_795_210_000); // 20 November 2026, 18:06:40 in Berlin
        let words = |reach: Reach| {
            let bounds = reach.bounds(now, &zone);
            let word = |at: &Millis| at.in_zone(&zone).strftime("%d %H:%M").to_string();
            (bounds.len(), bounds.first().map(word).unwrap(), bounds.last().map(word).unwrap())
        };
        let day = words(Reach::Day);
        assert_eq!((day.0, &day.2[3..]), (25, &words(Reach::Day).1[3..]));
        assert!(Reach::Day.bounds(now, &zone).iter().rev().nth(1).is_some_and(|at| *at <= now));
        assert!(Reach::Day.bounds(now, &zone).last().is_some_and(|at| *at > now));
        let month = words(Reach::Month);
        assert_eq!((month.0, &month.1[3..], &month.2[3..]), (31, "00:00", "00:00"));
        assert_eq!(words(Reach::Week).0, 29);
        // The day on which clocks go back has 25 hours, in one cell.
        let after = Millis::from_secs(1_793_000_000);
        let bounds = Reach::Month.bounds(after, &zone);
        assert!(bounds.windows(2).all(|pair| (pair[1].0 - pair[0].0) % (3600 * 1000) == 0));
    }
}
