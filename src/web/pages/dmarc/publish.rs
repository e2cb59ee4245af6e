//! No reports yet: how to ask receivers for them, with the very records to copy.

use askama::Template;

use super::{
    Tab,
    period::{Chooser, Period},
    tabs,
};
use crate::web::pages::frame::{Frame, NavLink};

/// Which reports are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// DMARC aggregate reports.
    Dmarc,
    /// TLS reports.
    Tls,
}

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Which reports.
    pub kind: Kind,
    /// For which domain.
    pub domain: &'a str,
    /// Domains to choose from.
    pub domains: &'a [String],
    /// Where reports are to be sent; `None` when no mailbox is set up.
    pub mailbox: Option<&'a str>,
    /// The period.
    pub period: Period,
    /// Whether there were reports before the period.
    pub quiet: bool,
}

/// The page.
#[derive(Template)]
#[template(path = "publish.html")]
pub struct PublishPage<'a> {
    frame: &'a Frame,
    tabs: Vec<NavLink>,
    chooser: Chooser,
    title: String,
    grounds: &'static str,
    step: String,
    records: Vec<(String, String)>,
    foreign: Option<String>,
    arrive: String,
    settings: Option<&'static str>,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'_>) -> PublishPage<'a> {
    let lang = frame.lang();
    let (tab, path) = match input.kind {
        Kind::Dmarc => (Tab::Dmarc, "/dmarc"),
        Kind::Tls => (Tab::Tls, "/tls-reports"),
    };
    let mailbox = input.mailbox.map_or_else(|| format!("dmarc@{}", input.domain), str::to_owned);
    let foreign = mailbox.rsplit_once('@').map(|(_, domain)| domain).filter(|host| *host != input.domain);
    let values = [("domain", input.domain), ("mailbox", mailbox.as_str())];
    PublishPage {
        frame,
        tabs: tabs(frame, tab),
        chooser: input.period.chooser(frame, path, input.domains, input.domain, None),
        title: match (input.kind, input.quiet) {
            (_, true) => lang.tf("publish.quiet", &[("period", &input.period.words(frame))]),
            (Kind::Dmarc, false) => lang.t("publish.dmarc").to_owned(),
            (Kind::Tls, false) => lang.t("publish.tls").to_owned(),
        },
        grounds: match input.kind {
            Kind::Dmarc => lang.t("publish.dmarc.grounds"),
            Kind::Tls => lang.t("publish.tls.grounds"),
        },
        step: lang.tf("publish.record", &[("domain", input.domain)]),
        records: vec![record(input.kind, input.domain, &mailbox)],
        foreign: foreign
            .filter(|_| input.kind == Kind::Dmarc)
            .map(|host| format!("{}._report._dmarc.{host}.  IN TXT  \"v=DMARC1;\"", input.domain)),
        arrive: match input.mailbox {
            Some(_) => lang.tf("publish.arrive", &values),
            None if frame.is_admin() => lang.tf("publish.arrive.setup", &values),
            None => lang.t("publish.arrive.ask").to_owned(),
        },
        settings: (input.mailbox.is_none() && frame.is_admin()).then_some(SETTINGS),
    }
}

/// The settings with which the portal reads a mailbox.
const SETTINGS: &str = "IMAP_HOST=…\nIMAP_USER=…\nIMAP_PASS=…";

/// What to publish, with its explanation's domain.
fn record(kind: Kind, domain: &str, mailbox: &str) -> (String, String) {
    match kind {
        Kind::Dmarc => (format!("_dmarc.{domain}."), format!("\"v=DMARC1; p=none; rua=mailto:{mailbox}\"")),
        Kind::Tls => (format!("_smtp._tls.{domain}."), format!("\"v=TLSRPTv1; rua=mailto:{mailbox}\"")),
    }
}
