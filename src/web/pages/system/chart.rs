//! Lines over time, drawn by the server: with limits, with what is unknown left blank, with the same as a table.

use std::time::Duration;

use super::words;
use crate::{
    metrics::registry::{Kind, Limits, Metric, Severity, Unit},
    model::{history::Point, time::Millis},
    store::samples::Range,
    web::pages::frame::Frame,
};

/// Width of the drawing.
const WIDTH: f64 = 720.0;
/// Height of the drawing.
const HEIGHT: f64 = 200.0;
/// Points of a line at most.
pub const POINTS: u32 = 288;
/// Lines of a chart at most: more cannot be told apart.
pub const LINES: usize = 5;

/// How far back charts look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// An hour.
    Hour,
    /// Six hours.
    SixHours,
    /// A day.
    #[default]
    Day,
    /// Seven days.
    Week,
    /// 30 days.
    Month,
    /// 365 days.
    Year,
}

impl Reach {
    /// All of them, shortest first.
    pub const ALL: [Self; 6] = [Self::Hour, Self::SixHours, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The word in addresses and text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::SixHours => "6h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::Year => "1y",
        }
    }

    /// The reach of a [`Self::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reach| reach.code() == code)
    }

    /// How long it is.
    pub const fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Hour => 3600,
            Self::SixHours => 6 * 3600,
            Self::Day => 86_400,
            Self::Week => 7 * 86_400,
            Self::Month => 30 * 86_400,
            Self::Year => 365 * 86_400,
        })
    }
}

/// A line before it is drawn.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it is called.
    pub name: String,
    /// Its metric.
    pub metric: &'static Metric,
    /// Its points.
    pub range: Range,
}

/// A chart.
pub struct Chart {
    /// Tells charts of a page apart.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What it says, in a sentence.
    pub summary: String,
    /// The lines.
    pub lines: Vec<Drawn>,
    /// From the lowest to the highest, where there is one line.
    pub band: Option<String>,
    /// The limits.
    pub limits: Vec<LimitLine>,
    /// Where nothing is known: from and width.
    pub gaps: Vec<(String, String)>,
    /// Highest value, half of it, zero.
    pub scale: [String; 3],
    /// Five moments below it.
    pub labels: [String; 5],
    /// The same as a table, oldest first.
    pub rows: Vec<Row>,
    /// Whether anything is known.
    pub is_known: bool,
    /// Begin and end of the drawing, in milliseconds.
    pub span: (i64, i64),
}

/// A line.
pub struct Drawn {
    /// What it is called.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Which of the colours and dashes.
    pub style: usize,
}

/// A limit.
pub struct LimitLine {
    /// Its height.
    pub y: String,
    /// `wait` or `bad`.
    pub tone: &'static str,
    /// What it is.
    pub label: String,
}

/// A moment in words.
pub struct Row {
    /// When.
    pub time: String,
    /// From the left, of a thousand.
    pub place: u64,
    /// What each line was then.
    pub values: Vec<String>,
}

/// Draws lines of one unit from `from` to `to`.
pub fn draw(
    frame: &Frame,
    id: &str,
    title: String,
    mut lines: Vec<Line>,
    (from, to): (Millis, Millis),
) -> Chart {
    lines.truncate(LINES);
    for line in lines.iter_mut().filter(|line| line.metric.kind == Kind::Counter) {
        line.range.points = increases(&line.range.points, line.range.width);
    }
    let from =
        lines.iter().filter_map(|line| line.range.points.first()).map(|point| point.at).min().unwrap_or(from);
    let metric = lines.first().map(|line| line.metric);
    let top = metric.map_or(1.0, |metric| top(metric, &lines));
    let place = Place { from, to, top };
    let is_known = lines.iter().any(|line| line.range.points.iter().any(|point| point.mean().is_some()));
    let scale =
        |share: f64| metric.map(|metric| words::number(frame, metric, top * share)).unwrap_or_default();
    let label = |place: i64| moment(frame, Millis(from.0 + (to.0 - from.0) * place / 4), to.since(from));
    Chart {
        id: id.to_owned(),
        title,
        summary: summary(frame, &lines),
        band: match lines.as_slice() {
            [one] => Some(place.band(&one.range)),
            _ => None,
        },
        limits: metric.map(|metric| place.limits(frame, metric)).unwrap_or_default(),
        gaps: lines.first().map(|line| place.gaps(&line.range)).unwrap_or_default(),
        scale: [scale(1.0), scale(0.5), scale(0.0)],
        labels: [0, 1, 2, 3, 4].map(label),
        rows: rows(frame, &lines, &place),
        lines: lines
            .iter()
            .enumerate()
            .map(|(style, line)| Drawn { name: line.name.clone(), path: place.path(&line.range), style })
            .collect(),
        is_known,
        span: (from.0, to.0),
    }
}

/// A bucket of which less is known does not tell what a counter gained in it.
const KNOWN: f64 = 0.9;

/// What a counter gained in each bucket, as far as what is kept of it tells: its number at the end, the least and the
/// greatest one.
///
/// What it gained while nothing was known is no bucket's, as nobody knows when that was: a bucket that begins or ends unknown
/// tells what it gained while known, if that is nearly all of it. A counter that began anew counts up to its greatest number
/// and then from zero; what it had gained before it did is lost where it has grown beyond that again in the same bucket.
fn increases(points: &[Point], width: i64) -> Vec<Point> {
    let mut before = None;
    let step = |point: &Point| {
        let enough = point.seconds >= KNOWN * width as f64 / 1000.0;
        let gained = point.extremes.and_then(|(low, high)| {
            let edges = enough.then_some((low, high));
            let first = before.or(edges.map(|(low, _)| low))?;
            let last = point.last.or(edges.map(|(_, high)| high))?;
            Some(gained(first, (low, high), last))
        });
        before = point.last;
        Point {
            extremes: gained.map(|gained| (gained, gained)),
            total: gained.unwrap_or_default(),
            seconds: if gained.is_some() { 1.0 } else { 0.0 },
            last: gained,
            ..*point
        }
    };
    points.iter().map(step).collect()
}

/// What a counter gained from its first to its last number, with the least and the greatest between.
fn gained(first: f64, (low, high): (f64, f64), last: f64) -> f64 {
    if low >= first && high <= last {
        return last - first;
    }
    // It began anew. Behind that it only grows, so a number above the last one was there before.
    let peak = if high > last { high } else { first };
    last + if peak >= first { peak - first } else { peak }
}

/// The height of the drawing as a value: a round one above everything, and above a limit that is near.
fn top(metric: &Metric, lines: &[Line]) -> f64 {
    if metric.kind == Kind::Flag {
        return 1.0;
    }
    let one = lines.len() == 1;
    let points = lines.iter().flat_map(|line| line.range.points.iter());
    let heights =
        points.filter_map(|point| if one { point.extremes.map(|(_, high)| high) } else { point.mean() });
    let highest = heights.fold(0.0, f64::max);
    let limits = metric.limits.steps().iter().map(|(_, limit)| *limit);
    let highest = limits.filter(|limit| *limit <= highest * 2.0).fold(highest, f64::max);
    match metric.unit {
        Unit::Percent if highest > 40.0 && highest <= 100.0 => 100.0,
        Unit::Hours | Unit::Seconds | Unit::Days => round_time(highest * 1.05, metric.unit),
        _ => round_up(highest * 1.05),
    }
}

/// The next of 1, 2, 4, 5, 8 times a power of ten.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 4.0, 5.0, 8.0, 10.0]
        .into_iter()
        .map(|step| step * power)
        .find(|step| *step >= value)
        .unwrap_or(value)
}

/// The next length of time whose half is round, too; of seconds, hours or days.
fn round_time(value: f64, unit: Unit) -> f64 {
    let in_unit = match unit {
        Unit::Hours => 3_600.0,
        Unit::Days => 86_400.0,
        _ => 1.0,
    };
    const ROUND: [f64; 14] = [
        1.0, 2.0, 4.0, 10.0, 20.0, 60.0, 120.0, 600.0, 1_200.0, 3_600.0, 7_200.0, 14_400.0, 43_200.0,
        86_400.0,
    ];
    let least = value.max(1.0) * in_unit;
    let days = || round_up((least / 172_800.0).max(1.0)) * 172_800.0;
    ROUND.into_iter().find(|round| *round >= least).unwrap_or_else(days) / in_unit
}

struct Place {
    from: Millis,
    to: Millis,
    top: f64,
}

impl Place {
    fn x(&self, at: i64) -> f64 {
        let length = (self.to.0 - self.from.0).max(1) as f64;
        ((at - self.from.0) as f64 / length).clamp(0.0, 1.0) * WIDTH
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - (value / self.top).clamp(0.0, 1.0) * HEIGHT
    }

    fn middle(&self, range: &Range, point: &Point) -> f64 {
        self.x(point.at.0 + range.width / 2)
    }

    /// Unbroken where everything is known; a lone point is a short stroke.
    fn path(&self, range: &Range) -> String {
        let (mut path, mut open) = (String::new(), false);
        for point in &range.points {
            match point.mean() {
                Some(mean) => {
                    let (x, y) = (self.middle(range, point), self.y(mean));
                    path += &format!("{}{x:.1} {y:.1}", if open { "L" } else { "M" });
                    if !open {
                        path += "h.1";
                    }
                    open = true;
                }
                None => open = false,
            }
        }
        path
    }

    fn band(&self, range: &Range) -> String {
        let mut path = String::new();
        for stretch in
            range.points.split(|point| point.extremes.is_none()).filter(|stretch| stretch.len() > 1)
        {
            let corner = |point: &Point, high: bool| {
                let (low, top) = point.extremes.unwrap_or_default();
                format!("{:.1} {:.1}", self.middle(range, point), self.y(if high { top } else { low }))
            };
            let there: Vec<String> = stretch.iter().map(|point| corner(point, true)).collect();
            let back: Vec<String> = stretch.iter().rev().map(|point| corner(point, false)).collect();
            path += &format!("M{}L{}Z", there.join("L"), back.join("L"));
        }
        path
    }

    fn limits(&self, frame: &Frame, metric: &Metric) -> Vec<LimitLine> {
        if !matches!(metric.limits, Limits::Above(_) | Limits::Below(_)) {
            return Vec::new();
        }
        let steps = metric.limits.steps().iter().filter(|(_, limit)| *limit > 0.0 && *limit <= self.top);
        let line = |(severity, limit): &(Severity, f64)| {
            let limit_word = words::number(frame, metric, *limit);
            let (tone, key) = match severity {
                Severity::Info | Severity::Warning => ("wait", "warning"),
                Severity::High | Severity::Disaster => ("bad", "critical"),
            };
            LimitLine {
                y: format!("{:.1}", self.y(*limit)),
                tone,
                label: super::fill(frame.lang().t_in("limit_line", key), "{limit}", &limit_word),
            }
        };
        steps.map(line).collect()
    }

    fn gaps(&self, range: &Range) -> Vec<(String, String)> {
        let mut gaps: Vec<(f64, f64)> = Vec::new();
        let end = range.points.last().map_or(self.from.0, |point| point.at.0 + range.width);
        let unknown = range.points.iter().filter(|point| point.seconds <= 0.0);
        let spans = unknown.map(|point| (point.at.0, point.at.0 + range.width));
        // Beyond what was told, nothing is known.
        let tail = (self.to.0 - end > range.width).then_some((end, self.to.0));
        for (from, to) in spans.chain(tail) {
            let (from, to) = (self.x(from), self.x(to));
            match gaps.last_mut() {
                Some((_, end)) if from - *end < 0.05 => *end = to,
                _ => gaps.push((from, to)),
            }
        }
        gaps.into_iter().map(|(from, to)| (format!("{from:.1}"), format!("{:.1}", to - from))).collect()
    }
}

fn moment(frame: &Frame, at: Millis, length: Duration) -> String {
    match length.as_secs() {
        0..=90_000 => frame.formats.time(at),
        _ => frame.formats.short_date(at),
    }
}

/// Lowest, average and highest of what is known.
pub fn figures(range: &Range) -> Option<(f64, f64, f64)> {
    figures_of(&range.points)
}

/// The same of bare points.
pub fn figures_of(points: &[Point]) -> Option<(f64, f64, f64)> {
    let known = || points.iter().filter(|point| point.seconds > 0.0);
    let low = known().filter_map(|point| Some(point.extremes?.0)).reduce(f64::min)?;
    let high = known().filter_map(|point| Some(point.extremes?.1)).reduce(f64::max)?;
    let (total, seconds) =
        known().fold((0.0, 0.0), |(total, all), point| (total + point.total, all + point.seconds));
    Some((low, total / seconds, high))
}

fn summary(frame: &Frame, lines: &[Line]) -> String {
    let lang = frame.lang();
    let one = |line: &Line| {
        let (low, mean, high) = figures(&line.range)?;
        let [low, mean, high] = [low, mean, high].map(|value| words::number(frame, line.metric, value));
        let name = if lines.len() > 1 { format!("{}: ", line.name) } else { String::new() };
        let values = [("low", low.as_str()), ("mean", mean.as_str()), ("high", high.as_str())];
        let text = match line.metric.kind {
            Kind::Flag => lang.tf("system.summary.flag", &values),
            _ => lang.tf("system.summary", &values),
        };
        Some(format!("{name}{text}"))
    };
    let parts: Vec<String> = lines.iter().filter_map(one).collect();
    if parts.is_empty() {
        return lang.t("system.no_history").to_owned();
    }
    let known: f64 =
        lines.iter().take(1).flat_map(|line| &line.range.points).map(|point| point.seconds).sum();
    let all: f64 = lines
        .iter()
        .take(1)
        .map(|line| line.range.points.len() as f64 * line.range.width as f64 / 1000.0)
        .sum();
    let is_counter = lines.iter().any(|line| line.metric.kind == Kind::Counter);
    if all > 0.0 && known / all < 0.98 && !is_counter {
        let share = frame.formats.hundredths((known / all * 100.0).min(99.0));
        return format!("{} {}", parts.join(" "), lang.tf("system.known", &[("share", &share)]));
    }
    parts.join(" ")
}

fn rows(frame: &Frame, lines: &[Line], place: &Place) -> Vec<Row> {
    let Some(first) = lines.iter().max_by_key(|line| line.range.points.len()) else { return Vec::new() };
    let row = |point: &Point| Row {
        time: frame.formats.moment(point.at),
        place: (place.middle(&first.range, point) / WIDTH * 1000.0) as u64,
        values: lines.iter().map(|line| at(frame, line, point.at, lines.len() == 1)).collect(),
    };
    first.range.points.iter().map(row).collect()
}

fn at(frame: &Frame, line: &Line, at: Millis, alone: bool) -> String {
    let near = |point: &&Point| (point.at.0 - at.0).abs() < line.range.width.max(1);
    let Some(point) = line.range.points.iter().find(near) else { return "–".to_owned() };
    let word = |value: f64| words::number(frame, line.metric, value);
    match (point.mean(), point.extremes) {
        (Some(mean), Some((low, high))) if alone && word(low) != word(high) => {
            format!("{} ({}–{})", word(mean), word(low), word(high))
        }
        (Some(mean), _) => word(mean),
        (None, _) => frame.t("standing.unknown").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(numbers: &[Option<f64>]) -> Range {
        let point = |(index, number): (i64, &Option<f64>)| Point {
            at: Millis(index * 60_000),
            extremes: number.map(|number| (number, number)),
            total: number.unwrap_or_default() * 60.0,
            seconds: number.map_or(0.0, |_| 60.0),
            last: *number,
            told: true,
        };
        Range { width: 60_000, points: (0..).zip(numbers).map(point).collect() }
    }

    #[test]
    fn a_line_is_broken_where_nothing_is_known() {
        let place = Place { from: Millis(0), to: Millis(240_000), top: 10.0 };
        let path = place.path(&range(&[Some(0.0), Some(10.0), None, Some(5.0)]));
        assert_eq!(path, "M90.0 200.0h.1L270.0 0.0M630.0 100.0h.1");
        assert_eq!(
            place.gaps(&range(&[Some(0.0), None, None, Some(5.0)])),
            [("180.0".into(), "360.0".into())]
        );
        let old = place.gaps(&range(&[Some(0.0)]));
        assert_eq!(old, [("180.0".into(), "540.0".into())], "what was not told is not known");
    }

    fn gains(points: &[Point]) -> Vec<Option<f64>> {
        increases(points, 60_000).iter().map(Point::mean).collect()
    }

    /// What is kept of a bucket of a minute.
    fn bucket(low: f64, high: f64, last: Option<f64>, seconds: f64) -> Point {
        let extremes = Some((low, high));
        Point { at: Millis(0), extremes, total: high * seconds, seconds, last, told: true }
    }

    #[test]
    fn counters_show_what_they_gain_and_survive_a_reset() {
        let points = range(&[Some(10.0), Some(14.0), Some(14.0), Some(3.0)]).points;
        assert_eq!(gains(&points), [Some(0.0), Some(4.0), Some(0.0), Some(3.0)]);
        let whole = |low, high, last| bucket(low, high, Some(last), 60.0);
        let reset = [whole(900.0, 1000.0, 1000.0), whole(0.0, 5000.0, 200.0)];
        assert_eq!(gains(&reset), [Some(100.0), Some(4200.0)], "4,000 before it began anew, 200 since");
        let unseen = [whole(10.0, 10.0, 10.0), whole(10.0, 5000.0, 200.0)];
        assert_eq!(gains(&unseen)[1], Some(5190.0), "though it never was below its first number");
        let beyond = [whole(1000.0, 1000.0, 1000.0), whole(5.0, 3000.0, 3000.0)];
        assert_eq!(gains(&beyond)[1], Some(3000.0), "at least what it has since");
        let twice = [whole(1000.0, 1000.0, 1000.0), whole(0.0, 100.0, 50.0)];
        assert_eq!(gains(&twice)[1], Some(150.0), "never less than nothing");
    }

    #[test]
    fn what_a_counter_gained_in_a_gap_is_no_buckets() {
        let points = range(&[Some(10.0), None, None, Some(20.0), Some(25.0)]).points;
        assert_eq!(gains(&points), [Some(0.0), None, None, Some(0.0), Some(5.0)], "not 10 at once");
        let begun = [bucket(10.0, 10.0, None, 20.0), bucket(20.0, 24.0, Some(24.0), 30.0)];
        assert_eq!(gains(&begun), [None, None], "too little is known of either");
        let edges = [
            bucket(10.0, 10.0, Some(10.0), 60.0),
            bucket(10.0, 18.0, None, 58.0),
            bucket(21.0, 24.0, Some(24.0), 57.0),
        ];
        assert_eq!(gains(&edges), [Some(0.0), Some(8.0), Some(3.0)], "a short gap at the edge costs no day");
        let within = [bucket(10.0, 10.0, Some(10.0), 60.0), bucket(10.0, 30.0, Some(30.0), 6.0)];
        assert_eq!(gains(&within)[1], Some(20.0), "a gap within a bucket is in that bucket");
    }

    #[test]
    fn heights_are_round() {
        assert_eq!([0.0, 3.1, 18.0, 41.0, 950.0].map(round_up), [1.0, 4.0, 20.0, 50.0, 1000.0]);
        let hours = |value| round_time(value, Unit::Hours);
        assert_eq!([0.2, 3.0, 13.0, 27.0, 80.0].map(hours), [1.0, 4.0, 24.0, 48.0, 96.0]);
        assert_eq!([0.5, 1.5, 67.0].map(|value| round_time(value, Unit::Days)), [1.0, 2.0, 80.0]);
        assert_eq!([0.3, 1.4, 45.0].map(|value| round_time(value, Unit::Seconds)), [1.0, 2.0, 60.0]);
    }
}
