//! Bars of days, drawn by the server: what was good and what was bad, with the same in words and as a table.

use super::period::{DAY, midnight};
use crate::{
    model::{figures::Span, time::Millis},
    web::pages::frame::Frame,
};

/// From one bar to the next.
const STEP: u64 = 20;
/// Width of a bar.
const BAR: u64 = 14;
/// Height of the highest.
const HIGHEST: u64 = 150;
/// Height of a share of all.
const WHOLE: u64 = 36;
/// From so many days on a bar is a week.
const WEEKS_FROM: u64 = 100;

/// What was counted on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// The day.
    pub at: Millis,
    /// What was good.
    pub good: u64,
    /// What was bad.
    pub bad: u64,
}

/// The words of a chart.
pub struct Words {
    /// Its title by day.
    pub by_day: &'static str,
    /// Its title by week.
    pub by_week: &'static str,
    /// What is good.
    pub good: &'static str,
    /// What is bad.
    pub bad: &'static str,
    /// Title of the shares.
    pub share: &'static str,
}

/// A chart.
pub struct Chart {
    /// Its title.
    pub title: &'static str,
    /// What is good.
    pub good: &'static str,
    /// What is bad.
    pub bad: &'static str,
    /// Title of the shares.
    pub share: &'static str,
    /// What it says, in a sentence.
    pub summary: String,
    /// Width of the drawing.
    pub width: u64,
    /// The bars.
    pub bars: Vec<Bar>,
    /// Highest value, half of it, zero.
    pub scale: [String; 3],
    /// Five days below it.
    pub labels: [String; 5],
    /// The same as a table, newest first.
    pub rows: Vec<Row>,
}

/// One day.
pub struct Bar {
    /// Place from the left.
    pub x: u64,
    /// Top and height of the good.
    pub good: (u64, u64),
    /// Top and height of the bad, below it.
    pub bad: (u64, u64),
    /// Top and height of the share; `None` when there was nothing.
    pub share: Option<(u64, u64)>,
}

/// One day in words.
pub struct Row {
    /// The day.
    pub day: String,
    /// What was good.
    pub good: String,
    /// What was bad.
    pub bad: String,
    /// The share of the good.
    pub share: String,
}

/// The counts of each day of a span, or of each week of a long one; days without any count zero.
pub fn buckets(span: &Span, counts: &[Count]) -> Vec<Count> {
    let day = DAY as i64 * 1000;
    let days = (span.to.0.saturating_sub(span.from.0) / day).clamp(0, 1000);
    let width = if days as u64 >= WEEKS_FROM { 7 } else { 1 };
    let length = (days + width - 1) / width;
    // Weeks end with the last day, so that the newest bar is a whole one.
    let first = span.to.0 - length * width * day;
    let bucket = |place: i64| Count { at: Millis(first + place * width * day), ..Count::default() };
    let mut buckets: Vec<Count> = (0..length).map(bucket).collect();
    for count in counts.iter().filter(|count| span.from <= count.at && count.at < span.to) {
        let place = (midnight(count.at).0 - first) / (width * day);
        if let Some(bucket) = usize::try_from(place).ok().and_then(|place| buckets.get_mut(place)) {
            bucket.good += count.good;
            bucket.bad += count.bad;
        }
    }
    buckets
}

/// The chart of a span; `summary` says what it shows.
pub fn draw(frame: &Frame, words: Words, span: &Span, counts: &[Count], summary: String) -> Chart {
    let buckets = buckets(span, counts);
    let highest = buckets.iter().map(|count| count.good + count.bad).max().unwrap_or_default().max(1);
    let weekly = span.to.since(span.from).as_secs() >= WEEKS_FROM * DAY;
    let number = |value: u64| frame.formats.number(i64::try_from(value).unwrap_or(i64::MAX));
    let label = |place: usize| {
        let at = buckets.get((buckets.len().saturating_sub(1)) * place / 4).map(|count| count.at);
        at.map(|at| frame.formats.short_date(noon(at))).unwrap_or_default()
    };
    Chart {
        title: if weekly { words.by_week } else { words.by_day },
        good: words.good,
        bad: words.bad,
        share: words.share,
        summary,
        width: (buckets.len() as u64 * STEP).max(STEP),
        bars: (0..).zip(&buckets).map(|(place, count)| bar(place, count, highest)).collect(),
        scale: [number(highest), number(highest / 2), number(0)],
        labels: [0, 1, 2, 3, 4].map(label),
        rows: buckets.iter().rev().map(|count| row(frame, count)).collect(),
    }
}

/// A day in UTC is named by its noon, which is the same day in nearly all zones.
pub fn noon(day: Millis) -> Millis {
    Millis(midnight(day).0 + DAY as i64 * 500)
}

fn bar(place: u64, count: &Count, highest: u64) -> Bar {
    // What is there is seen, however little.
    let height = |value: u64| match value {
        0 => 0,
        _ => (u128::from(value) * u128::from(HIGHEST) / u128::from(highest)).max(2) as u64,
    };
    let (good, bad) = (height(count.good), height(count.bad));
    let (ground, all) = (HIGHEST + 10, count.good + count.bad);
    let share = (all > 0).then(|| {
        let height = (u128::from(count.good) * u128::from(WHOLE) / u128::from(all)) as u64;
        (WHOLE + 2 - height, height)
    });
    Bar {
        x: place * STEP + (STEP - BAR) / 2,
        good: (ground.saturating_sub(bad + good), good),
        bad: (ground.saturating_sub(bad), bad),
        share,
    }
}

fn row(frame: &Frame, count: &Count) -> Row {
    let number = |value: u64| frame.formats.number(i64::try_from(value).unwrap_or(i64::MAX));
    let all = count.good + count.bad;
    Row {
        day: frame.formats.table_date(noon(count.at)),
        good: number(count.good),
        bad: number(count.bad),
        share: if all == 0 { "–".to_owned() } else { frame.formats.share(count.good, all) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn span(days: i64) -> Span {
        Span {
            from: Millis(20_000 * DAY_MS),
            to: Millis((20_000 + days) * DAY_MS),
            horizon: Millis(i64::MAX),
            domain: None,
        }
    }

    fn count(day: i64, good: u64, bad: u64) -> Count {
        Count { at: Millis((20_000 + day) * DAY_MS), good, bad }
    }

    #[test]
    fn each_day_has_a_bar_and_foreign_days_have_none() {
        let counts = [count(-1, 9, 9), count(0, 5, 1), count(6, 2, 0), count(6, 1, 1), count(7, 9, 9)];
        let buckets = buckets(&span(7), &counts);
        assert_eq!(buckets.len(), 7);
        assert_eq!(buckets[0], count(0, 5, 1));
        assert_eq!(buckets[6], count(6, 3, 1));
        assert_eq!(buckets[1..6].iter().map(|count| count.good + count.bad).sum::<u64>(), 0);
    }

    #[test]
    fn a_year_is_drawn_by_weeks_that_lose_nothing() {
        let counts: Vec<Count> = (0..365).map(|day| count(day, 2, 1)).collect();
        let buckets = buckets(&span(365), &counts);
        assert_eq!(buckets.len(), 53);
        assert_eq!(buckets.iter().map(|count| count.good).sum::<u64>(), 730);
        assert_eq!(buckets[52].good, 14, "the newest week is whole");
    }

    #[test]
    fn bars_stay_within_the_drawing_and_little_is_seen() {
        let bar = bar(0, &Count { good: u64::MAX / 4, bad: 1, at: Millis(0) }, u64::MAX / 4 + 1);
        assert_eq!(bar.bad.1, 2);
        assert!(bar.good.0 + bar.good.1 <= bar.bad.0 && bar.bad.0 + bar.bad.1 == HIGHEST + 10);
        assert_eq!(super::bar(0, &Count::default(), 1).share, None);
    }
}
