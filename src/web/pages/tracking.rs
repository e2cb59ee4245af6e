//! Open tracking: who is tracked, and what is stored.

use askama::Template;

use crate::{ingest::opens::Numbers, web::pages::frame::Frame};

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Whether opens are counted at all.
    pub on: bool,
    /// Mailboxes that opted in, as far as the visitor may know.
    pub tracked: &'a [String],
    /// For admins: the figures.
    pub stored: Option<Stored>,
    /// For how many days opens are kept.
    pub days: i64,
}

/// The figures of all open tracking.
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    /// What is on its way.
    pub numbers: Numbers,
    /// Opens that are stored.
    pub opens: i64,
    /// Loads that were not counted, because one address sent too many.
    pub refused: u64,
}

/// The page.
#[derive(Template)]
#[template(path = "tracking.html")]
pub struct TrackingPage<'a> {
    frame: &'a Frame,
    title: &'static str,
    grounds: &'static str,
    tone: &'static str,
    tracked: &'a [String],
    count: String,
    kept: String,
    numbers: Vec<(&'static str, String)>,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'a>) -> TrackingPage<'a> {
    let lang = frame.lang();
    let own = frame.visitor.as_ref().map(|badge| badge.address.as_str()).unwrap_or_default();
    let (tone, title, grounds) = match (input.on, input.tracked.iter().any(|address| address == own)) {
        (false, _) => ("idle", lang.t("tracking.off"), lang.t("tracking.off.grounds")),
        (true, true) => ("info", lang.t("tracking.own"), lang.t("tracking.hint")),
        (true, false) => ("idle", lang.t("tracking.not_own"), lang.t("tracking.hint")),
    };
    TrackingPage {
        frame,
        title,
        grounds,
        tone,
        tracked: input.tracked,
        count: lang.tn("tracking.mailboxes", input.tracked.len() as i64, &[]),
        kept: lang.tn("tracking.kept", input.days, &[]),
        numbers: input.stored.map(|stored| figures(frame, stored)).unwrap_or_default(),
    }
}

fn figures(frame: &Frame, Stored { numbers, opens, refused }: Stored) -> Vec<(&'static str, String)> {
    let (lang, formats) = (frame.lang(), &frame.formats);
    let number = |count: u64| formats.number(i64::try_from(count).unwrap_or(i64::MAX));
    let read = match numbers.map_read {
        Some(at) => formats.moment(at),
        None => lang.t("tracking.map.never").to_owned(),
    };
    vec![
        (lang.t("tracking.map"), read),
        (lang.t("tracking.stored"), formats.number(opens)),
        (lang.t("tracking.waiting"), number(numbers.waiting)),
        (lang.t("tracking.lost"), number(numbers.lost)),
        (lang.t("tracking.strange"), number(numbers.strange)),
        (lang.t("tracking.refused"), number(refused)),
    ]
}
