//! The stretch of time that charts show: a reach back from now, or from one moment to another. It is in the address, so that
//! zooming works by links and by a form, and what is seen can be sent.

use std::time::Duration;

use jiff::civil::DateTime;

use super::{Which, chart::Reach};
use crate::{model::time::Millis, web::pages::frame::Frame};

/// Closer than this there is nothing more to see.
const SHORTEST: i64 = 10 * 60_000;
/// Further back nothing is kept.
const OLDEST: Duration = Duration::from_secs(3 * 366 * 86_400);

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its begin.
    pub from: Millis,
    /// Its end.
    pub to: Millis,
    /// The reach, unless both moments were chosen.
    pub reach: Option<Reach>,
}

impl Window {
    /// So far back from now.
    pub fn back(reach: Reach, now: Millis) -> Self {
        Self { from: now.minus(reach.length()), to: now, reach: Some(reach) }
    }

    /// The window that a query asks for; `usual` where it asks for none, or for one that makes no sense.
    pub fn parse(frame: &Frame, query: &str, usual: Reach) -> Self {
        let value = |wished: &str| {
            url::form_urlencoded::parse(query.as_bytes())
                .find(|(name, _)| name == wished)
                .map(|(_, value)| value)
        };
        let now = frame.formats.now;
        let reach = value("range").and_then(|code| Reach::from_code(&code)).unwrap_or(usual);
        let moment = |wished: &str| value(wished).and_then(|text| moment(frame, &text));
        match (moment("from"), moment("to")) {
            (None, None) => Self::back(reach, now),
            (from, to) => {
                let to = to.unwrap_or(now).min(now);
                Self::between(from.unwrap_or_else(|| to.minus(reach.length())), to, now)
                    .unwrap_or_else(|| Self::back(reach, now))
            }
        }
    }

    /// From one moment to another, as far as that lies in the past.
    fn between(from: Millis, to: Millis, now: Millis) -> Option<Self> {
        let (from, to) = (from.max(now.minus(OLDEST)), to.min(now));
        let to = if to.0 - from.0 < SHORTEST { Millis(from.0 + SHORTEST).min(now) } else { to };
        (from < to).then_some(Self { from, to, reach: None })
    }

    /// How long it is.
    pub fn length(self) -> Duration {
        self.to.since(self.from)
    }

    /// As a query, without the question mark.
    pub fn query(self) -> String {
        match self.reach {
            Some(reach) => format!("range={}", reach.code()),
            None => format!("from={}&to={}", self.from.0, self.to.0),
        }
    }
}

/// Milliseconds since 1970 as in links, or a date with or without a time, as forms send it, in the visitor's zone.
fn moment(frame: &Frame, text: &str) -> Option<Millis> {
    if let Ok(millis) = text.parse::<i64>() {
        return (millis > 0).then_some(Millis(millis));
    }
    let local: DateTime = text.parse().ok()?;
    let zoned = local.to_zoned(frame.formats.zone.clone()).ok()?;
    Some(Millis(zoned.timestamp().as_millisecond()))
}

/// Ways to move the window, and the form for any other.
pub struct Zoom {
    /// Each with its name.
    pub links: Vec<(&'static str, String)>,
    /// The begin, as the form has it.
    pub from: String,
    /// The end.
    pub to: String,
    /// The one chart that is shown apart, if one is.
    pub chart: Option<String>,
    /// What is shown, in words; `None` for a reach, whose name is marked.
    pub shown: Option<String>,
}

/// The ways from a window to others. `chart`: the key of the one chart that is shown apart.
pub fn zoom(frame: &Frame, which: Which, window: Window, chart: Option<&str>) -> Zoom {
    let now = frame.formats.now;
    let (length, half) = (window.to.0 - window.from.0, (window.to.0 - window.from.0) / 2);
    let middle = window.from.0 + half;
    let ways = [
        (frame.t("zoom.earlier"), window.from.0 - half, window.to.0 - half, true),
        (frame.t("zoom.later"), window.from.0 + half, window.to.0 + half, window.to < now),
        (frame.t("zoom.closer"), middle - half / 2, middle + half / 2, length >= 2 * SHORTEST),
        (frame.t("zoom.wider"), middle - length, middle + length, true),
    ];
    let link = |(word, from, to, sensible): (&'static str, i64, i64, bool)| {
        // What would lie ahead is moved back: the length stays.
        let ahead = (to - now.0).max(0);
        let wider = Window::between(Millis(from - ahead), Millis(to - ahead), now).filter(|_| sensible)?;
        let chart = chart.map(|key| {
            let key: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
            format!("&chart={key}")
        });
        let query = format!("{}{}", wider.query(), chart.unwrap_or_default());
        Some((word, frame.url(&format!("/system/{}?{query}", which.code()))))
    };
    let field = |at: Millis| at.in_zone(&frame.formats.zone).strftime("%Y-%m-%dT%H:%M").to_string();
    Zoom {
        links: ways.into_iter().filter_map(link).collect(),
        from: field(window.from),
        to: field(window.to),
        chart: chart.map(str::to_owned),
        shown: window.reach.is_none().then(|| frame.formats.range(window.from, window.to)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::scope::Role,
        web::{pages::samples, text::Lang},
    };

    fn window(query: &str) -> Window {
        Window::parse(&samples::frame(Role::Admin, Lang::En), query, Reach::Day)
    }

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_window_is_asked_for_by_reach_by_moments_or_by_a_form() {
        let now = samples::NOW;
        let day = Window::back(Reach::Day, now);
        assert_eq!((window(""), window("range=1h")), (day, Window::back(Reach::Hour, now)));
        let (from, to) = (now.0 - 5 * HOUR, now.0 - 3 * HOUR);
        let asked = window(&format!("from={from}&to={to}"));
        assert_eq!(asked, Window { from: Millis(from), to: Millis(to), reach: None });
        assert_eq!(window(&asked.query()), asked, "its link leads to itself");
        let frame = samples::frame(Role::Admin, Lang::En);
        let field = |at: i64| Millis(at).in_zone(&frame.formats.zone).strftime("%Y-%m-%dT%H:%M").to_string();
        let minute = |at: i64| Millis(at - at.rem_euclid(60_000));
        let form = window(&format!("from={}&to={}", field(from), field(to)));
        assert_eq!((form.from, form.to), (minute(from), minute(to)));
        // Nothing is shown of what lies ahead, and nothing upside down.
        assert_eq!(window(&format!("from={from}&to={}", now.0 + HOUR)).to, now);
        for nonsense in [
            format!("from={to}0&to={from}"),
            "from=x&to=y".to_owned(),
            format!("from={}", now.0 + HOUR),
            "from=-5&to=99999999999999999999".to_owned(),
        ] {
            assert_eq!(window(&nonsense), day, "{nonsense}");
        }
        assert_eq!(window(&format!("from={from}&to={from}")).length().as_secs(), 600, "never too close");
        assert_eq!(window("from=1&to=9999999999999").length(), OLDEST);
    }

    #[test]
    fn links_move_and_zoom_without_script() {
        let frame = samples::frame(Role::Admin, Lang::En);
        let to = |window: Window, word: &str| {
            let zoom = zoom(&frame, Which::Trends, window, None);
            let link = zoom.links.into_iter().find(|(own, _)| *own == word).map(|(_, href)| href);
            link.map(|href| self::window(href.split_once('?').unwrap().1))
        };
        let now = samples::NOW.0;
        let shown = Window { from: Millis(now - 8 * HOUR), to: Millis(now - 4 * HOUR), reach: None };
        let at = |from: i64, to: i64| {
            Some(Window { from: Millis(now - from * HOUR), to: Millis(now - to * HOUR), reach: None })
        };
        assert_eq!(to(shown, "Earlier"), at(10, 6));
        assert_eq!(to(shown, "Later"), at(6, 2));
        assert_eq!(to(shown, "Closer"), at(7, 5));
        assert_eq!(to(shown, "Wider"), at(10, 2));
        let present = Window::back(Reach::SixHours, samples::NOW);
        assert_eq!(to(present, "Later"), None);
        assert_eq!(to(present, "Wider"), at(12, 0), "what would lie ahead is moved back");
    }
}
