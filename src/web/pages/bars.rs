//! A row of days as bars. The state is in the shape, colour only supports it: full, low, broken in the middle, a thin
//! line. What is not known of a day stands as a thin line above the rest.

use crate::{
    model::{
        time::Millis,
        uptime::{Shape, Tally},
    },
    web::pages::frame::Frame,
};

/// Width of a bar with the gap behind it.
const STEP: f64 = 10.0;
/// Width of a bar.
const WIDE: f64 = 8.0;
/// Height of a bar.
const HIGH: f64 = 24.0;
/// Less than this share of a day that is not known is not drawn.
const LITTLE: f64 = 0.01;

/// The drawing.
pub struct Bars {
    /// Width of the whole.
    pub width: usize,
    /// Paths by the class of their colour.
    pub paths: Vec<(&'static str, String)>,
    /// What a pointer reads on days that are not just fine: place and words.
    pub tips: Vec<(usize, String)>,
}

/// Draws days, oldest first; `planned` are those with planned work on them.
pub fn draw(frame: &Frame, days: &[Tally], planned: &[bool], bounds: &[Millis]) -> Bars {
    let mut paths = ["f-calm", "f-wait", "f-bad", "f-idle", "f-info"].map(|class| (class, String::new()));
    let mut tips = Vec::new();
    for (index, day) in days.iter().enumerate() {
        let x = index as f64 * STEP;
        let on_work = planned.get(index).copied().unwrap_or(false);
        let [(_, calm), (_, wait), (_, bad), (_, idle), (_, info)] = &mut paths;
        let blank = if 1.0 - day.known() < LITTLE { 0.0 } else { (1.0 - day.known()).min(0.75) * HIGH };
        let rest = HIGH - blank;
        let shape = Shape::of(day);
        match shape {
            Shape::Unknown => rect(idle, x, 11.0, WIDE, 2.0),
            Shape::Full => rect(calm, x, blank, WIDE, rest),
            Shape::Low => rect(wait, x, blank + rest * 0.4, WIDE, rest * 0.6),
            Shape::Broken => {
                rect(bad, x, blank, WIDE, rest * 0.36);
                rect(bad, x, blank + rest * 0.64, WIDE, rest * 0.36);
            }
        }
        if blank > 0.0 && shape != Shape::Unknown {
            rect(idle, x + 3.0, 0.0, 2.0, blank);
        }
        if on_work {
            rect(info, x, HIGH + 2.0, WIDE, 2.0);
        }
        if shape > Shape::Full || on_work || (blank > 0.0 && shape != Shape::Unknown) {
            let begin = bounds.get(index).copied().unwrap_or_default();
            tips.push((index * STEP as usize, tip(frame, begin, day, on_work)));
        }
    }
    Bars {
        width: days.len() * STEP as usize,
        paths: paths.into_iter().filter(|(_, path)| !path.is_empty()).collect(),
        tips,
    }
}

fn rect(path: &mut String, x: f64, y: f64, width: f64, height: f64) {
    use std::fmt::Write;
    // Writing to a text does not fail.
    let _ = write!(path, "M{x:.0} {y:.1}h{width:.0}v{height:.1}h-{width:.0}z");
}

/// "4 Nov: 97.21 %, 40 min down, known for 88 % of the time, planned work".
fn tip(frame: &Frame, begin: Millis, day: &Tally, on_work: bool) -> String {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let mut words = vec![share(frame, day)];
    if day.down > 0.0 {
        let down = formats.duration(seconds(day.down));
        words.push(lang.tf("uptime.down_for", &[("duration", &down)]));
    }
    words.extend(known(frame, day));
    if on_work {
        words.push(lang.t("uptime.planned").to_owned());
    }
    format!("{}: {}", formats.short_date(begin), words.join(", "))
}

/// `99.95 %`, or a dash where nothing is known.
pub fn share(frame: &Frame, tally: &Tally) -> String {
    frame.formats.uptime(seconds(tally.up), seconds(tally.up + tally.down))
}

/// "known for 93 % of the time", where it is not all of it.
pub fn known(frame: &Frame, tally: &Tally) -> Option<String> {
    let known = tally.known();
    (known < 1.0 - LITTLE).then(|| {
        let share = frame.formats.hundredths((known * 100.0).floor());
        frame.lang().tf("uptime.known", &[("share", &share)])
    })
}

/// Seconds as a length of time.
pub fn seconds(seconds: f64) -> std::time::Duration {
    std::time::Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::scope::Role,
        web::{pages::samples, text::Lang},
    };

    #[test]
    fn each_state_has_a_shape_of_its_own() {
        let frame = samples::frame(Role::Admin, Lang::En);
        let day = |up: f64, down: f64| Tally { up, down, excused: 0.0, length: 86_400.0 };
        let days = [
            day(86_400.0, 0.0),
            day(86_000.0, 400.0),
            day(80_000.0, 6_400.0),
            day(0.0, 0.0),
            day(43_200.0, 0.0),
        ];
        let bars = draw(&frame, &days, &[false, false, false, true, false], &[samples::NOW; 6]);
        let classes: Vec<_> = bars.paths.iter().map(|(class, _)| *class).collect();
        assert_eq!(classes, ["f-calm", "f-wait", "f-bad", "f-idle", "f-info"]);
        let bad = &bars.paths[2].1;
        assert_eq!(bad.matches('M').count(), 2, "broken in the middle: {bad}");
        assert!(bars.paths[1].1.starts_with("M10 9.6"), "low: {}", bars.paths[1].1);
        assert!(
            bars.paths[0].1.contains("M40 12.0h8v12.0"),
            "half of the day is not known: {}",
            bars.paths[0].1
        );
        let tips: Vec<_> = bars.tips.iter().map(|(x, _)| *x).collect();
        assert_eq!(tips, [10, 20, 30, 40]);
        assert!(
            bars.tips[1].1.contains("92.59") && bars.tips[1].1.contains("1 h 47 min down"),
            "{:?}",
            bars.tips
        );
        assert!(bars.tips[3].1.contains("known for 50"), "{:?}", bars.tips);
    }
}
