//! The list of DMARC reports with its five filters, and one for reports that do not count.

use askama::Template;
use url::form_urlencoded;

use super::dmarc::{
    Tab,
    period::{Choice, is_ahead},
    tabs,
    words::{self, Badge, number},
};
use crate::{
    model::{
        figures::{Aside, ReportFilter, ReportLine, ReportPlace, ReportState},
        scope::normalise_domain,
        time::Millis,
    },
    web::pages::frame::{Frame, NavLink},
};

/// Reports on a page.
pub const PER_PAGE: usize = 50;
/// Longer texts are not searched for.
const LONGEST: usize = 255;

/// What the address says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// The filters.
    pub filter: ReportFilter,
    /// Where the page begins.
    pub after: Option<ReportPlace>,
}

impl Query {
    /// All reports of a domain.
    pub fn of_domain(domain: &str) -> Self {
        let filter = ReportFilter { domain: Some(domain.to_owned()), ..ReportFilter::default() };
        Self { filter, after: None }
    }

    /// The reports of a domain whose sender is not proven.
    pub fn set_aside(domain: &str) -> Self {
        let mut query = Self::of_domain(domain);
        query.filter.aside = Some(Aside::Unproven);
        query
    }

    /// Reads the part of an address behind `?`; what cannot be understood is left out.
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()).take(50) {
            query.add(&name, value.trim());
        }
        query
    }

    /// Adds one parameter; `date` and `reporter` are the PHP app's names.
    fn add(&mut self, name: &str, value: &str) {
        let text = || {
            let sound = !value.is_empty() && value.len() <= LONGEST && !value.chars().any(char::is_control);
            sound.then(|| value.to_owned())
        };
        match name {
            "status" => self.filter.state = ReportState::from_code(value),
            "month" | "date" => self.filter.month = month(value),
            "domain" => self.filter.domain = normalise_domain(value),
            "org" | "reporter" => self.filter.org = text(),
            "report_id" => self.filter.report_id = text(),
            "trust" => self.filter.aside = Aside::from_code(value),
            "after" => self.after = place(value),
            _ => {}
        }
    }

    /// The page's address.
    pub fn link(&self, frame: &Frame) -> String {
        let query = self.text();
        frame.url("/dmarc/reports") + if query.is_empty() { "" } else { "?" } + &query
    }

    fn text(&self) -> String {
        let ReportFilter { state, month, domain, org, report_id, aside } = &self.filter;
        let month = month.map(|(year, month)| format!("{year:04}-{month:02}"));
        let after = self.after.map(|place| format!("{}.{}", place.begin.0, place.serial));
        let pairs = [
            ("status", state.map(|state| state.code().to_owned())),
            ("month", month),
            ("domain", domain.clone()),
            ("org", org.clone()),
            ("report_id", report_id.clone()),
            ("trust", aside.map(|aside| aside.code().to_owned())),
            ("after", after),
        ];
        let pairs = pairs.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }
}

/// `2026-11`.
fn month(text: &str) -> Option<(i16, i8)> {
    let (year, month) = text.split_once('-')?;
    let (year, month) = (year.parse().ok()?, month.parse().ok()?);
    ((1970..=9000).contains(&year) && (1..=12).contains(&month)).then_some((year, month))
}

fn place(text: &str) -> Option<ReportPlace> {
    let (begin, serial) = text.split_once('.')?;
    Some(ReportPlace { begin: Millis(begin.parse().ok()?), serial: serial.parse().ok()? })
}

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What was asked for.
    pub query: &'a Query,
    /// Reports, newest first; one more than [`PER_PAGE`] when there are more.
    pub lines: &'a [ReportLine],
    /// Months with reports, newest first.
    pub months: &'a [(i16, i8)],
    /// Domains with reports.
    pub domains: &'a [String],
}

/// The page.
#[derive(Template)]
#[template(path = "reports.html")]
pub struct ReportsPage<'a> {
    frame: &'a Frame,
    tabs: Vec<NavLink>,
    title: String,
    form: Form,
    chips: Vec<Chip>,
    clear: String,
    rows: Vec<Row>,
    newest: Option<String>,
    older: Option<String>,
    per_page: String,
}

struct Form {
    action: String,
    states: Vec<Choice>,
    months: Vec<Choice>,
    domains: Vec<Choice>,
    trust: Vec<Choice>,
    org: String,
    report_id: String,
}

struct Chip {
    name: &'static str,
    value: String,
    href: String,
    remove: String,
}

struct Row {
    href: String,
    state: Badge,
    span: String,
    ahead: bool,
    domain: String,
    org: String,
    report_id: String,
    mails: String,
    failed: Option<String>,
    proof: Badge,
    variants: Option<String>,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'_>) -> ReportsPage<'a> {
    let lines = input.lines.get(..PER_PAGE).unwrap_or(input.lines);
    let last = lines.last().filter(|_| input.lines.len() > PER_PAGE);
    let at = |after: Option<ReportPlace>| Query { after, ..input.query.clone() }.link(frame);
    let older = last.map(|line| at(Some(ReportPlace { begin: line.begin, serial: line.serial })));
    ReportsPage {
        frame,
        tabs: tabs(frame, Tab::Reports),
        title: match &input.query.filter.domain {
            Some(domain) => frame.lang().tf("reports.title.domain", &[("domain", domain)]),
            None => frame.t("reports.title").to_owned(),
        },
        form: form(frame, input),
        chips: chips(frame, input.query),
        clear: Query::default().link(frame),
        rows: lines.iter().map(|line| row(frame, line)).collect(),
        newest: input.query.after.map(|_| at(None)),
        older,
        per_page: frame.lang().tn("mails.per_page", PER_PAGE as i64, &[]),
    }
}

/// The address of a report.
pub fn report_link(frame: &Frame, serial: i64) -> String {
    frame.url(&format!("/dmarc/reports/{serial}"))
}

/// The days of a report: `19 Nov`, or `19 Nov to 20 Nov` when it tells of more than one.
pub fn span(frame: &Frame, begin: Millis, end: Millis) -> String {
    let day = |at: Millis| words::day(frame, at);
    // Reports of one day end at midnight, or a second before.
    let last = Millis(end.0.saturating_sub(1)).max(begin);
    if day(begin) == day(last) {
        return day(begin);
    }
    format!("{} {} {}", day(begin), frame.t("word.to_day"), day(last))
}

fn row(frame: &Frame, line: &ReportLine) -> Row {
    let failed = line.sums.failed();
    Row {
        href: report_link(frame, line.serial),
        state: words::state(frame, line.state),
        span: span(frame, line.begin, line.end),
        ahead: is_ahead(frame, line.begin),
        domain: line.domain.clone(),
        org: line.org.clone(),
        report_id: line.report_id.clone(),
        mails: number(frame, line.sums.messages),
        failed: (failed > 0).then(|| frame.lang().tn("reports.failed", words::count(failed), &[])),
        proof: words::proof(frame, line.proof),
        variants: (line.variants > 0)
            .then(|| frame.lang().tn("reports.variants", words::count(line.variants), &[])),
    }
}

fn form(frame: &Frame, input: Input<'_>) -> Form {
    let filter = &input.query.filter;
    let any = || Choice { value: String::new(), word: frame.t("mails.filter.any").to_owned(), chosen: false };
    let state = |state: ReportState| Choice {
        value: state.code().to_owned(),
        word: frame.lang().t_in("report_state", state.code()).to_owned(),
        chosen: filter.state == Some(state),
    };
    let month = |month: &(i16, i8)| Choice {
        value: format!("{:04}-{:02}", month.0, month.1),
        word: frame.formats.month(*month),
        chosen: filter.month == Some(*month),
    };
    let domain = |domain: &String| Choice {
        value: domain.clone(),
        word: domain.clone(),
        chosen: filter.domain.as_ref() == Some(domain),
    };
    let mut domains: Vec<Choice> = input.domains.iter().map(domain).collect();
    if let Some(own) = filter.domain.as_ref().filter(|own| !input.domains.contains(own)) {
        // A domain without reports stays what was asked for.
        domains.push(Choice { value: own.clone(), word: own.clone(), chosen: true });
    }
    let aside = |aside: Aside| Choice {
        value: aside.code().to_owned(),
        word: frame.lang().t_in("report_aside", aside.code()).to_owned(),
        chosen: filter.aside == Some(aside),
    };
    // Only admins see reports about domains of others.
    let asides = Aside::ALL.into_iter().filter(|aside| frame.is_admin() || *aside != Aside::Foreign);
    Form {
        action: frame.url("/dmarc/reports"),
        states: [any()].into_iter().chain(ReportState::ALL.map(state)).collect(),
        months: [any()].into_iter().chain(input.months.iter().map(month)).collect(),
        domains: [any()].into_iter().chain(domains).collect(),
        trust: [any()].into_iter().chain(asides.map(aside)).collect(),
        org: filter.org.clone().unwrap_or_default(),
        report_id: filter.report_id.clone().unwrap_or_default(),
    }
}

fn chips(frame: &Frame, query: &Query) -> Vec<Chip> {
    let all = &query.filter;
    let chip = |name: &'static str, value: Option<String>, rest: ReportFilter| {
        let value = value?;
        let whole = format!("{name}: {value}");
        let remove = frame.lang().tf("mails.filter.remove", &[("name", &whole)]);
        Some(Chip { name, value, href: Query { filter: rest, after: None }.link(frame), remove })
    };
    let state = all.state.map(|state| frame.lang().t_in("report_state", state.code()).to_owned());
    let month = all.month.map(|month| frame.formats.month(month));
    let aside = all.aside.map(|aside| frame.lang().t_in("report_aside", aside.code()).to_owned());
    [
        chip(frame.t("mails.column.status"), state, ReportFilter { state: None, ..all.clone() }),
        chip(frame.t("reports.month"), month, ReportFilter { month: None, ..all.clone() }),
        chip(frame.t("reports.domain"), all.domain.clone(), ReportFilter { domain: None, ..all.clone() }),
        chip(frame.t("reports.receiver"), all.org.clone(), ReportFilter { org: None, ..all.clone() }),
        chip(frame.t("reports.id"), all.report_id.clone(), ReportFilter { report_id: None, ..all.clone() }),
        chip(frame.t("reports.sender"), aside, ReportFilter { aside: None, ..all.clone() }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::scope::Role,
        web::{pages::samples, text::Lang},
    };

    #[test]
    fn an_address_says_the_same_both_ways() {
        let frame = samples::frame(Role::Admin, Lang::En);
        let text = "status=mixed&month=2026-11&domain=Alpha.Test&org=big+mail&report_id=%3C1%3E&trust=foreign&after=5.-3";
        let link = Query::parse(text).link(&frame);
        assert_eq!(
            link,
            "/dmarc/reports?status=mixed&month=2026-11&domain=alpha.test&org=big+mail&report_id=%3C1%3E&trust=foreign&after=5.-3"
        );
        assert_eq!(Query::parse(link.split_once('?').unwrap().1), Query::parse(text));
    }

    #[test]
    fn what_the_php_app_said_is_understood_and_nonsense_is_left_out() {
        let old = Query::parse("task=dmarc&status=fail&date=2025-02&reporter=google.com&page=3");
        assert_eq!(old.filter.state, Some(ReportState::Fail));
        assert_eq!((old.filter.month, old.filter.org.as_deref()), (Some((2025, 2)), Some("google.com")));
        for text in [
            "month=2026-13",
            "month=99999-01",
            "month=x",
            "status=x",
            "trust=x",
            "after=1",
            "after=x.y",
            "org=%00",
        ] {
            assert_eq!(Query::parse(text), Query::default(), "{text}");
        }
    }

    #[test]
    fn only_admins_may_ask_for_domains_of_others() {
        for (role, may) in [(Role::Admin, true), (Role::DomainAdmin, false)] {
            let frame = samples::frame(role, Lang::En);
            let query = Query::default();
            let input = Input { query: &query, lines: &[], months: &[], domains: &[] };
            let page = view(&frame, input).render().unwrap();
            assert!(page.contains("value=\"unproven\""), "{role:?}");
            assert_eq!(page.contains("value=\"foreign\""), may, "{role:?}");
        }
    }

    #[test]
    fn a_report_of_one_day_has_one_day() {
        let frame = samples::frame(Role::Admin, Lang::En);
        let begin = Millis(1_795_046_400_000);
        assert_eq!(span(&frame, begin, Millis(begin.0 + 86_399_000)), "19 Nov");
        assert_eq!(span(&frame, begin, Millis(begin.0 + 86_400_000)), "19 Nov");
        assert_eq!(span(&frame, begin, Millis(begin.0 + 2 * 86_400_000)), "19 Nov to 20 Nov");
        assert_eq!(span(&frame, begin, Millis(0)), "19 Nov", "an end before the begin");
    }
}
