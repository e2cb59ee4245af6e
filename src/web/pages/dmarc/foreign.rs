//! A domain that is not hosted here: its reports are kept, and count nowhere.

use askama::Template;

use super::{
    Tab,
    period::{Chooser, Period},
    tabs,
    words::count,
};
use crate::web::pages::{
    frame::{Frame, NavLink},
    reports,
};

/// The page.
#[derive(Template)]
#[template(path = "dmarc_foreign.html")]
pub struct ForeignPage<'a> {
    frame: &'a Frame,
    tabs: Vec<NavLink>,
    chooser: Chooser,
    title: String,
    grounds: String,
    list: String,
}

/// The view; `all` are the domains to choose from.
pub fn view<'a>(
    frame: &'a Frame,
    domain: &str,
    all: &[String],
    reports: u64,
    period: Period,
) -> ForeignPage<'a> {
    ForeignPage {
        frame,
        tabs: tabs(frame, Tab::Dmarc),
        chooser: period.chooser(frame, "/dmarc", all, domain, None),
        title: frame.lang().tf("foreign.title", &[("domain", domain)]),
        grounds: frame.lang().tn("foreign.grounds", count(reports), &[]),
        list: reports::Query::of_domain(domain).link(frame),
    }
}
