//! What could not be read as a report. For admins.

use askama::Template;

use super::dmarc::{Tab, tabs};
use crate::{
    model::figures::Unreadable,
    web::pages::frame::{Frame, NavLink},
};

/// Inputs on a page.
pub const PER_PAGE: usize = 50;

/// The page.
#[derive(Template)]
#[template(path = "unreadable.html")]
pub struct UnreadablePage<'a> {
    frame: &'a Frame,
    tabs: Vec<NavLink>,
    title: String,
    grounds: &'static str,
    rows: Vec<Row>,
    newest: Option<String>,
    older: Option<String>,
}

struct Row {
    name: String,
    sender: String,
    via: String,
    when: String,
    reason: String,
    size: String,
    retry: Option<String>,
}

/// The view. `inputs` are the newest first, one more than [`PER_PAGE`] when there are more; `paged` when they are
/// not the newest of all.
pub fn view<'a>(frame: &'a Frame, inputs: &[Unreadable], paged: bool) -> UnreadablePage<'a> {
    let shown = inputs.get(..PER_PAGE).unwrap_or(inputs);
    let last = shown.last().filter(|_| inputs.len() > PER_PAGE);
    let lang = frame.lang();
    let title = match (shown.len(), last.is_some() || paged) {
        (0, false) => lang.t("unreadable.none").to_owned(),
        (_, true) => lang.t("unreadable.many").to_owned(),
        (some, false) => lang.tn("unreadable.title", some as i64, &[]),
    };
    UnreadablePage {
        frame,
        tabs: tabs(frame, Tab::Unreadable),
        title,
        grounds: if shown.is_empty() { lang.t("unreadable.none.text") } else { lang.t("unreadable.grounds") },
        rows: shown.iter().map(|input| row(frame, input)).collect(),
        newest: paged.then(|| frame.url("/dmarc/unreadable")),
        older: last.map(|input| frame.url(&format!("/dmarc/unreadable?after={}", input.id))),
    }
}

fn row(frame: &Frame, input: &Unreadable) -> Row {
    let arrival = &input.arrival;
    Row {
        name: match arrival.name.as_str() {
            "" => frame.t("unreadable.nameless").to_owned(),
            name => name.to_owned(),
        },
        sender: arrival.sender.clone().unwrap_or_default(),
        via: arrival.via.clone(),
        when: frame.formats.moment(arrival.at),
        reason: input.reason.clone(),
        size: frame.formats.bytes(input.bytes),
        retry: input.kept.then(|| frame.url(&format!("/dmarc/unreadable/{}/retry", input.id))),
    }
}
