//! DMARC of several domains: a table, worst first.

use askama::Template;

use super::{
    Tab,
    period::{Chooser, Period},
    tabs,
    words::{self, Badge, count, number},
};
use crate::{
    model::{
        advice::Glance,
        figures::{DomainFigures, Sums},
    },
    web::pages::frame::{Frame, NavLink},
};

/// The page.
#[derive(Template)]
#[template(path = "dmarc_domains.html")]
pub struct DomainsPage<'a> {
    frame: &'a Frame,
    tabs: Vec<NavLink>,
    chooser: Chooser,
    title: String,
    grounds: String,
    tone: &'static str,
    icon: &'static str,
    rows: Vec<Row>,
}

struct Row {
    domain: String,
    href: String,
    policy: String,
    mails: String,
    share: String,
    trend: String,
    fresh: String,
    next: Badge,
}

/// The view. `silent` are domains of the visitor without reports.
pub fn view<'a>(
    frame: &'a Frame,
    figures: &[DomainFigures],
    silent: &[String],
    period: Period,
) -> DomainsPage<'a> {
    let mut sorted: Vec<(Glance, &DomainFigures)> =
        figures.iter().map(|figures| (Glance::at(figures), figures)).collect();
    sorted.sort_by_key(|(glance, figures)| (*glance, std::cmp::Reverse(figures.sums.failed())));
    let (title, tone, icon) = answer(frame, &sorted);
    let mut rows: Vec<Row> =
        sorted.iter().map(|(glance, figures)| row(frame, *glance, figures, period)).collect();
    rows.extend(silent.iter().map(|domain| silent_row(frame, domain, period)));
    DomainsPage {
        frame,
        tabs: tabs(frame, Tab::Dmarc),
        chooser: period.chooser(frame, "/dmarc", &[], "", None),
        title,
        grounds: match figures {
            [] => frame.t("publish.dmarc.grounds").to_owned(),
            _ => grounds(frame, figures, period),
        },
        tone,
        icon,
        rows,
    }
}

/// The address of a domain's page.
pub fn link(frame: &Frame, domain: &str, period: Period) -> String {
    let domain: String = url::form_urlencoded::byte_serialize(domain.as_bytes()).collect();
    let range = if period == Period::default() { String::new() } else { format!("?range={}", period.days) };
    frame.url(&format!("/dmarc/{domain}{range}"))
}

fn answer(frame: &Frame, sorted: &[(Glance, &DomainFigures)]) -> (String, &'static str, &'static str) {
    let troubled = sorted.iter().filter(|(glance, _)| *glance <= Glance::Look).count();
    let lang = frame.lang();
    match sorted.first() {
        None => (lang.t("domains.none").to_owned(), "info", "envelope"),
        Some((glance, worst)) if *glance <= Glance::Look => {
            let title = match troubled {
                1 => lang.tf("domains.worst", &[("domain", &worst.domain)]),
                _ => lang.tn("domains.some", troubled as i64, &[("domain", &worst.domain)]),
            };
            (title, if *glance == Glance::Harm { "bad" } else { "wait" }, "eye")
        }
        _ => (lang.tn("domains.fine", sorted.len() as i64, &[]), "ok", "check-lg"),
    }
}

fn grounds(frame: &Frame, figures: &[DomainFigures], period: Period) -> String {
    let sums =
        figures.iter().fold(Sums::default(), |sums, figures| crate::model::advice::add(sums, &figures.sums));
    let share = frame.formats.share(sums.aligned, sums.messages);
    let values = [("period", period.words(frame)), ("share", share)];
    let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    frame.lang().tn("domains.grounds", count(sums.messages), &values)
}

fn row(frame: &Frame, glance: Glance, figures: &DomainFigures, period: Period) -> Row {
    let formats = &frame.formats;
    let (icon, tone) = match glance {
        Glance::Harm => ("exclamation-triangle", "bad"),
        Glance::Mend => ("exclamation-triangle", "wait"),
        Glance::Look => ("eye", "wait"),
        Glance::Tighten => ("arrow-right", "info"),
        Glance::Wait => ("clock", "idle"),
        Glance::Fine => ("check-circle", "ok"),
    };
    Row {
        domain: figures.domain.clone(),
        href: link(frame, &figures.domain, period),
        policy: words::policy_tag(&figures.policy),
        mails: number(frame, figures.sums.messages),
        share: match figures.sums.messages {
            0 => "–".to_owned(),
            messages => formats.share(figures.sums.aligned, messages),
        },
        trend: trend(frame, figures),
        fresh: match figures.before.messages {
            // Without a past all are new, which says nothing.
            0 => "–".to_owned(),
            _ => number(frame, figures.new_sources),
        },
        next: Badge { icon, tone, word: frame.lang().t_in("glance", glance.code()).to_owned() },
    }
}

/// By how many points the share moved against the span before.
fn trend(frame: &Frame, figures: &DomainFigures) -> String {
    let share = |sums: &Sums| sums.aligned as f64 * 100.0 / sums.messages as f64;
    if figures.sums.messages < 20 || figures.before.messages < 20 {
        return "–".to_owned();
    }
    let points = share(&figures.sums) - share(&figures.before);
    // Tenths of a point; a score is written in hundredths.
    let moved = frame.formats.score((points * 100.0).round() as i32);
    let sign = if points >= 0.05 { "+" } else { "" };
    frame.lang().tf("domains.points", &[("points", &format!("{sign}{moved}"))])
}

fn silent_row(frame: &Frame, domain: &str, period: Period) -> Row {
    let none = || "–".to_owned();
    Row {
        domain: domain.to_owned(),
        href: link(frame, domain, period),
        policy: none(),
        mails: none(),
        share: none(),
        trend: none(),
        fresh: none(),
        next: Badge { icon: "question-circle", tone: "idle", word: frame.t("domains.silent").to_owned() },
    }
}
