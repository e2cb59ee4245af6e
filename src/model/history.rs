//! History as steps: a number holds until the next one is told. Spans of it are folded into buckets of equal width,
//! for roll-ups and for charts alike. Pure; filled by `store::samples`.

use super::time::Millis;

/// What a series was in a span of time: either one number throughout, or the summary of a roll-up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Its begin.
    pub at: Millis,
    /// Its end, exclusive.
    pub until: Millis,
    /// Least and greatest number, where there is one.
    pub extremes: Option<(f64, f64)>,
    /// The sum of number times seconds.
    pub total: f64,
    /// For how many seconds the number was known.
    pub seconds: f64,
    /// The number at the end; `None` when it was not known then.
    pub last: Option<f64>,
}

impl Span {
    /// One number throughout, or none.
    pub fn constant(at: Millis, until: Millis, number: Option<f64>) -> Self {
        let seconds = if number.is_some() { seconds(at, until) } else { 0.0 };
        Self {
            at,
            until,
            extremes: number.map(|number| (number, number)),
            total: number.unwrap_or(0.0) * seconds,
            seconds,
            last: number,
        }
    }

    /// The part of the span between two moments; a summary is cut in proportion.
    pub fn part(&self, from: Millis, to: Millis) -> Self {
        let (at, until) = (self.at.max(from), self.until.min(to));
        let share = match seconds(self.at, self.until) {
            whole if whole > 0.0 => seconds(at, until) / whole,
            _ => 0.0,
        };
        Self { at, until, total: self.total * share, seconds: self.seconds * share, ..*self }
    }
}

fn seconds(from: Millis, to: Millis) -> f64 {
    to.since(from).as_secs_f64()
}

/// What a series was in one bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Begin of the bucket.
    pub at: Millis,
    /// Least and greatest number; `None` where nothing is known.
    pub extremes: Option<(f64, f64)>,
    /// The sum of number times seconds.
    pub total: f64,
    /// For how many seconds of the bucket the number was known.
    pub seconds: f64,
    /// The number at the end of the bucket.
    pub last: Option<f64>,
    /// Whether anything was told in this bucket: if not, it is as the one before ended.
    pub told: bool,
}

impl Point {
    /// The average over the time in which the number was known. For a flag: the share of time in which it was set.
    pub fn mean(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.total / self.seconds)
    }

    fn empty(at: Millis, carried: Option<f64>) -> Self {
        Self { at, extremes: None, total: 0.0, seconds: 0.0, last: carried, told: false }
    }

    fn take(&mut self, span: &Span) {
        self.total += span.total;
        self.seconds += span.seconds;
        self.last = span.last;
        self.extremes = match (self.extremes, span.extremes) {
            (Some((low, high)), Some((less, more))) => Some((low.min(less), high.max(more))),
            (one, other) => one.or(other),
        };
    }
}

/// Turns changes into spans: each number holds until the next change, the last one until `to`. Oldest first.
pub fn spans_of(changes: &[(Millis, Option<f64>)], to: Millis) -> Vec<Span> {
    let ends = changes.iter().skip(1).map(|(at, _)| *at).chain([to]);
    changes
        .iter()
        .zip(ends)
        .map(|((at, number), until)| Span::constant(*at, until.max(*at), *number))
        .collect()
}

/// The spans, and in the gaps between them what was carried over from before; whether each was told. Oldest first.
pub fn filled(carried: Option<f64>, spans: &[Span], from: Millis, to: Millis) -> Vec<(Span, bool)> {
    let mut out = Vec::with_capacity(spans.len() * 2 + 1);
    let (mut at, mut carried) = (from, carried);
    for span in spans.iter().filter(|span| span.until > from && span.at < to) {
        if span.at > at {
            out.push((Span::constant(at, span.at, carried), false));
        }
        out.push((*span, true));
        (at, carried) = (span.until, span.last);
    }
    if at < to {
        out.push((Span::constant(at, to, carried), false));
    }
    out
}

/// Folds spans (oldest first, without overlap) into buckets of `width` milliseconds from `from` to `to`. `carried` is
/// the number before `from`. The last bucket may be shorter.
pub fn fold(carried: Option<f64>, spans: &[Span], from: Millis, to: Millis, width: i64) -> Vec<Point> {
    let width = width.max(1);
    let count = usize::try_from((to.0 - from.0 + width - 1).max(0) / width).unwrap_or(0);
    let begin =
        |index: usize| Millis(from.0 + i64::try_from(index).unwrap_or(i64::MAX).saturating_mul(width));
    let mut points: Vec<Point> = (0..count).map(|index| Point::empty(begin(index), None)).collect();
    let bucket = |at: Millis| usize::try_from((at.0 - from.0).max(0) / width).unwrap_or(usize::MAX);
    for (span, told) in filled(carried, spans, from, to) {
        let (first, last) = (bucket(span.at), bucket(Millis(span.until.min(to).0 - 1)).max(bucket(span.at)));
        for (index, point) in points.iter_mut().enumerate().take(last.saturating_add(1)).skip(first) {
            let end = Millis(point.at.0.saturating_add(width)).min(to);
            point.take(&span.part(point.at, end));
            point.told |= told && index == bucket(span.at) && span.at >= from;
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What each second was, counted one by one: the meaning of everything above.
    fn second_by_second(changes: &[(Millis, Option<f64>)], from: i64, to: i64) -> Vec<Option<f64>> {
        let at = |second: i64| {
            changes.iter().rev().find(|(at, _)| at.0 <= second * 1000).and_then(|(_, number)| *number)
        };
        (from..to).map(at).collect()
    }

    fn same(point: &Point, seconds: &[Option<f64>]) -> Result<(), TestCaseError> {
        let known: Vec<f64> = seconds.iter().flatten().copied().collect();
        prop_assert!((point.total - known.iter().sum::<f64>()).abs() < 1e-6, "{point:?} {seconds:?}");
        prop_assert!((point.seconds - known.len() as f64).abs() < 1e-6);
        prop_assert_eq!(point.last, seconds.last().copied().flatten());
        let low = known.iter().copied().reduce(f64::min);
        let high = known.iter().copied().reduce(f64::max);
        prop_assert_eq!(point.extremes, low.zip(high));
        Ok(())
    }

    fn changes() -> impl Strategy<Value = Vec<(Millis, Option<f64>)>> {
        let number = prop_oneof![3 => (-5_i32..5).prop_map(|n| Some(f64::from(n))), 1 => Just(None)];
        prop::collection::btree_map(0_i64..600, number, 0..40).prop_map(|map| {
            map.into_iter().map(|(second, number)| (Millis::from_secs(second), number)).collect()
        })
    }

    proptest! {
        #[test]
        fn a_fold_is_what_counting_each_second_gives(changes in changes(), width in 1_i64..90) {
            let (from, to) = (Millis(0), Millis::from_secs(600));
            let points = fold(None, &spans_of(&changes, to), from, to, width * 1000);
            let seconds = second_by_second(&changes, 0, 600);
            prop_assert_eq!(points.len(), seconds.chunks(width as usize).len());
            for (point, seconds) in points.iter().zip(seconds.chunks(width as usize)) {
                same(point, seconds)?;
                let told = changes.iter().any(|(at, _)| point.at <= *at && at.0 < point.at.0 + width * 1000);
                prop_assert_eq!(point.told, told);
            }
        }

        /// Roll-ups of roll-ups, with the untold buckets left out, tell the same.
        #[test]
        fn folding_in_two_stages_changes_nothing(changes in changes(), inner in 1_i64..12, times in 1_i64..8) {
            let (from, to) = (Millis(0), Millis::from_secs(inner * times * 10));
            let changes: Vec<_> = changes.into_iter().filter(|(at, _)| *at < to).collect();
            let fine = fold(None, &spans_of(&changes, to), from, to, inner * 1000);
            let spans: Vec<Span> = fine.iter().filter(|point| point.told).map(|point| Span {
                at: point.at,
                until: Millis(point.at.0 + inner * 1000),
                extremes: point.extremes,
                total: point.total,
                seconds: point.seconds,
                last: point.last,
            }).collect();
            let coarse = fold(None, &spans, from, to, inner * times * 1000);
            let seconds = second_by_second(&changes, 0, to.secs());
            for (point, seconds) in coarse.iter().zip(seconds.chunks((inner * times) as usize)) {
                same(point, seconds)?;
            }
        }

        #[test]
        fn what_was_carried_fills_the_begin(number in -5_i32..5, at in 1_i64..60) {
            let number = f64::from(number);
            let spans = spans_of(&[(Millis::from_secs(at), None)], Millis::from_secs(60));
            let points = fold(Some(number), &spans, Millis(0), Millis::from_secs(60), 60_000);
            prop_assert_eq!((points[0].seconds, points[0].mean()), (at as f64, Some(number)));
        }
    }
}
