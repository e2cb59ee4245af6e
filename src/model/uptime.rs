//! How long something was up: counted over the time that is known, day by day. Pure; filled from history.

use jiff::{ToSpan, tz::TimeZone};

use super::{history::Span, time::Millis};

/// A time of maintenance whose outages do not count: begin and end.
pub type Window = (Millis, Millis);

/// Below this many seconds nothing was down: sums of roll-ups are not exact.
const LEAST: f64 = 0.5;

/// Seconds of a stretch of time. What is neither up nor down was not known.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tally {
    /// Up.
    pub up: f64,
    /// Down.
    pub down: f64,
    /// Down during a maintenance, which does not count.
    pub excused: f64,
    /// All of it.
    pub length: f64,
}

impl Tally {
    /// The share of time up, of the time that is known and counts; `None` where none is.
    pub fn share(&self) -> Option<f64> {
        let counted = self.up + self.down;
        (counted > 0.0).then(|| self.up / counted)
    }

    /// The share of time that is known.
    pub fn known(&self) -> f64 {
        if self.length > 0.0 {
            ((self.up + self.down + self.excused) / self.length).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    /// Two stretches, or two things in one stretch, together.
    pub fn and(self, other: Self) -> Self {
        Self {
            up: self.up + other.up,
            down: self.down + other.down,
            excused: self.excused + other.excused,
            length: self.length + other.length,
        }
    }

    fn take(&mut self, span: &Span, windows: &[Window]) {
        let down = down_of(span);
        let excused = down.min(overlap(windows, span.at, span.until));
        self.up += span.seconds - down;
        self.down += down - excused;
        self.excused += excused;
    }
}

/// Seconds for which a flag was known and not set.
fn down_of(span: &Span) -> f64 {
    let down = span.seconds - span.total;
    if down < LEAST { 0.0 } else { down }
}

/// For how many seconds of a stretch there was maintenance; `windows` do not overlap.
fn overlap(windows: &[Window], from: Millis, to: Millis) -> f64 {
    windows.iter().map(|(begin, end)| (*end).min(to).since((*begin).max(from)).as_secs_f64()).sum()
}

/// The windows in order, those that touch as one.
pub fn merged(windows: &[Window]) -> Vec<Window> {
    let mut windows: Vec<Window> = windows.iter().copied().filter(|(begin, end)| begin < end).collect();
    windows.sort_unstable();
    let mut out: Vec<Window> = Vec::with_capacity(windows.len());
    for (begin, end) in windows {
        match out.last_mut().filter(|last| last.1 >= begin) {
            Some(last) => last.1 = last.1.max(end),
            None => out.push((begin, end)),
        }
    }
    out
}

/// The begins of the last `count` days in a zone, the present one included, and the present moment as the last end.
pub fn day_bounds(zone: &TimeZone, now: Millis, count: usize) -> Vec<Millis> {
    let today = now.in_zone(zone).date();
    let begin = |back: usize| {
        let back = i64::try_from(back).unwrap_or(0);
        let day = today.checked_sub(back.days()).ok()?.to_zoned(zone.clone()).ok()?;
        Some(Millis(day.timestamp().as_millisecond()))
    };
    (0..count).rev().filter_map(begin).chain([now]).collect()
}

/// How a flag was in each stretch between two bounds. `pieces`: its history, oldest first, without overlap; `windows`
/// as [`merged`] gives them.
pub fn tallies(pieces: &[Span], bounds: &[Millis], windows: &[Window]) -> Vec<Tally> {
    let stretches = bounds.iter().copied().zip(bounds.iter().copied().skip(1));
    let mut rest = pieces;
    stretches
        .map(|(from, to)| {
            let mut tally = Tally { length: to.since(from).as_secs_f64(), ..Tally::default() };
            // What ended before is looked at no more.
            let gone = rest.iter().take_while(|piece| piece.until <= from).count();
            rest = rest.get(gone..).unwrap_or_default();
            for piece in rest.iter().take_while(|piece| piece.at < to) {
                tally.take(&piece.part(from, to), windows);
            }
            tally
        })
        .collect()
}

/// A time in which something was down.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outage {
    /// Its begin.
    pub from: Millis,
    /// Its end; `None` while it lasts.
    pub until: Option<Millis>,
    /// Seconds down within it.
    pub down: f64,
    /// Seconds of these that were during a maintenance and do not count.
    pub excused: f64,
    /// Begin and end are exact; else only the sum within roll-ups is known.
    pub exact: bool,
}

/// The times in which a flag was not set, oldest first. What touches is one. `now`: until when it is known.
pub fn outages(pieces: &[Span], now: Millis, windows: &[Window]) -> Vec<Outage> {
    let mut out: Vec<Outage> = Vec::new();
    let mut end: Option<Millis> = None;
    for piece in pieces {
        let down = down_of(piece);
        if down <= 0.0 {
            continue;
        }
        let excused = down.min(overlap(windows, piece.at, piece.until));
        let exact = piece.extremes == Some((0.0, 0.0));
        let lasts = piece.until >= now && piece.last == Some(0.0);
        let until = (!lasts).then_some(piece.until);
        match out.last_mut().filter(|_| end == Some(piece.at)) {
            Some(last) => {
                *last = Outage {
                    until,
                    down: last.down + down,
                    excused: last.excused + excused,
                    exact: last.exact && exact,
                    ..*last
                };
            }
            None => out.push(Outage { from: piece.at, until, down, excused, exact }),
        }
        end = Some(piece.until);
    }
    out
}

/// How a day looks. Colour only supports it: each has a shape of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// Nothing is known.
    Unknown,
    /// Up all the time that is known.
    Full,
    /// Down for a short time: at most [`SHORT`] of what is known.
    Low,
    /// Down for longer.
    Broken,
}

/// The greatest share of a day that counts as a disturbance only: about half an hour.
pub const SHORT: f64 = 0.02;

impl Shape {
    /// The shape of a day.
    pub fn of(day: &Tally) -> Self {
        match day.share() {
            None if day.excused > 0.0 => Self::Full,
            None => Self::Unknown,
            Some(share) if share >= 1.0 => Self::Full,
            Some(share) if 1.0 - share <= SHORT => Self::Low,
            Some(_) => Self::Broken,
        }
    }

    /// The word in text keys and exports.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Full => "up",
            Self::Low => "disturbed",
            Self::Broken => "down",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::history::spans_of;

    const HOUR: i64 = 3_600_000;

    fn pieces(changes: &[(i64, Option<f64>)], to: i64) -> Vec<Span> {
        let changes: Vec<_> = changes.iter().map(|(hour, flag)| (Millis(hour * HOUR), *flag)).collect();
        spans_of(&changes, Millis(to * HOUR))
    }

    #[test]
    fn unknown_time_is_neither_up_nor_down() {
        let pieces = pieces(&[(0, Some(1.0)), (6, None), (12, Some(0.0)), (15, Some(1.0))], 24);
        let days = tallies(&pieces, &[Millis(0), Millis(24 * HOUR), Millis(48 * HOUR)], &[]);
        assert_eq!((days[0].up, days[0].down), (15.0 * 3600.0, 3.0 * 3600.0));
        assert_eq!((days[0].share(), days[0].known()), (Some(15.0 / 18.0), 0.75));
        assert_eq!((days[1].share(), days[1].known(), Shape::of(&days[1])), (None, 0.0, Shape::Unknown));
        assert_eq!(Shape::of(&days[0]), Shape::Broken);
    }

    #[test]
    fn a_maintenance_excuses_what_is_down_within_it_and_nothing_else() {
        let pieces = pieces(&[(0, Some(1.0)), (10, Some(0.0)), (14, Some(1.0))], 24);
        let window = [(Millis(9 * HOUR), Millis(12 * HOUR))];
        let day = tallies(&pieces, &[Millis(0), Millis(24 * HOUR)], &window)[0];
        assert_eq!((day.up, day.down, day.excused), (20.0 * 3600.0, 2.0 * 3600.0, 2.0 * 3600.0));
        let whole = [(Millis(0), Millis(24 * HOUR))];
        let day = tallies(&pieces, &[Millis(0), Millis(24 * HOUR)], &whole)[0];
        assert_eq!((day.share(), day.excused, Shape::of(&day)), (Some(1.0), 4.0 * 3600.0, Shape::Full));
        let overlapping = [(Millis(9), Millis(5)), (Millis(3), Millis(6)), (Millis(1), Millis(4))];
        assert_eq!(merged(&overlapping), [(Millis(1), Millis(6))]);
    }

    #[test]
    fn a_roll_up_tells_its_sum_only() {
        let hour = Span {
            at: Millis(0),
            until: Millis(HOUR),
            extremes: Some((0.0, 1.0)),
            total: 3000.0,
            seconds: 3600.0,
            last: Some(1.0),
        };
        let day = tallies(&[hour], &[Millis(0), Millis(24 * HOUR)], &[(Millis(0), Millis(HOUR / 12))])[0];
        assert_eq!((day.up, day.down, day.excused), (3000.0, 300.0, 300.0));
        let outages = outages(&[hour], Millis(24 * HOUR), &[]);
        assert_eq!((outages.len(), outages[0].down, outages[0].exact), (1, 600.0, false));
    }

    #[test]
    fn outages_have_a_begin_and_an_end_or_last() {
        let pieces = pieces(&[(0, Some(0.0)), (1, Some(1.0)), (5, Some(0.0)), (6, None), (9, Some(0.0))], 12);
        let list = outages(&pieces, Millis(12 * HOUR), &[]);
        let ends: Vec<_> =
            list.iter().map(|one| (one.from.0 / HOUR, one.until.map(|at| at.0 / HOUR))).collect();
        assert_eq!(ends, [(0, Some(1)), (5, Some(6)), (9, None)]);
        assert!(list.iter().all(|one| one.exact));
        // What is not known up to now does not last.
        assert_eq!(outages(&pieces, Millis(13 * HOUR), &[])[2].until, Some(Millis(12 * HOUR)));
    }

    #[test]
    fn days_follow_the_zone_through_its_changes() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        // Noon of 25 October 2026, which has 25 hours there.
        let now = Millis::from_secs(1_792_926_000);
        let bounds = day_bounds(&zone, now, 3);
        let hours: Vec<i64> = bounds.windows(2).map(|pair| (pair[1].0 - pair[0].0) / HOUR).collect();
        assert_eq!(hours, [24, 24, 13]);
        let next = day_bounds(&zone, now.plus(std::time::Duration::from_secs(86_400)), 2);
        assert_eq!((next[1].0 - next[0].0) / HOUR, 25);
    }

    proptest! {
        /// However days are cut, nothing is counted twice, and nothing is lost.
        #[test]
        fn days_sum_up_to_the_whole(
            flags in prop::collection::btree_map(0_i64..200, prop::option::of(0_u8..2), 0..30),
            cuts in prop::collection::btree_set(1_i64..199, 0..9),
            windows in prop::collection::vec((0_i64..200, 0_i64..200), 0..4),
        ) {
            let changes: Vec<_> = flags.into_iter().map(|(hour, flag)| (hour, flag.map(f64::from))).collect();
            let pieces = pieces(&changes, 200);
            let windows: Vec<Window> = windows.into_iter().map(|(a, b)| (Millis(a * HOUR), Millis(b * HOUR))).collect();
            let windows = merged(&windows);
            let mut bounds = vec![Millis(0)];
            bounds.extend(cuts.into_iter().map(|hour| Millis(hour * HOUR)));
            bounds.push(Millis(200 * HOUR));
            let sum = tallies(&pieces, &bounds, &windows).into_iter().fold(Tally::default(), Tally::and);
            let whole = tallies(&pieces, &[Millis(0), Millis(200 * HOUR)], &windows)[0];
            for (one, other) in [(sum.up, whole.up), (sum.down, whole.down), (sum.excused, whole.excused)] {
                prop_assert!((one - other).abs() < 1e-6);
            }
            let down: f64 = outages(&pieces, Millis(200 * HOUR), &windows).iter().map(|one| one.down).sum();
            prop_assert!((down - whole.down - whole.excused).abs() < 1e-6);
        }
    }
}
