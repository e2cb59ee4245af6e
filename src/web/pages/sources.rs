//! Sources: which addresses send in the name of the domains, and how each is judged.

use std::net::IpAddr;

use askama::Template;
use url::form_urlencoded;

use super::dmarc::{
    Tab,
    period::{Choice, Period},
    tabs,
    words::{self, Badge, count, number},
};
use crate::{
    model::{
        advice::{Judge, Standing, Survey},
        figures::{Source, SourceFilter, SourceSort, Span},
    },
    web::pages::frame::{Frame, NavLink},
};

/// Most sources on the page.
pub const MOST: usize = 500;

/// What the address says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Only this domain; empty for all in scope.
    pub domain: String,
    /// How far back.
    pub period: Period,
    /// Only sources with mails that failed.
    pub failing: bool,
    /// Only sources first seen in the period.
    pub new: bool,
    /// Only of this standing.
    pub standing: Option<Standing>,
    /// Order.
    pub sort: SourceSort,
    /// The fields of the filter whose value cannot be understood.
    pub faults: Vec<&'static str>,
}

/// What may be shown only, in addresses.
const SHOWS: [&str; 2] = ["failing", "new"];
/// The words of orders in addresses.
const SORTS: [(&str, SourceSort); 3] =
    [("mails", SourceSort::Messages), ("name", SourceSort::Name), ("last", SourceSort::LastSeen)];

impl Query {
    /// Reads the part of an address behind `?`; what cannot be understood is left out, and noted.
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()).take(50) {
            match &*name {
                "domain" => {
                    query.domain = crate::model::scope::normalise_domain(&value).unwrap_or_default();
                }
                "range" => {
                    query.note("range", value.is_empty() || Period::offered(&value).is_some());
                    query.period = Period::parse(&value);
                }
                "show" => {
                    query.note("show", value.is_empty() || SHOWS.contains(&&*value));
                    query.failing = value == "failing";
                    query.new = value == "new";
                }
                "standing" => {
                    query.standing = Standing::from_code(&value);
                    query.note("standing", value.is_empty() || query.standing.is_some());
                }
                "sort" => {
                    let sort = SORTS.into_iter().find(|(word, _)| *word == value);
                    query.sort = sort.map(|(_, sort)| sort).unwrap_or_default();
                }
                _ => {}
            }
        }
        query
    }

    fn note(&mut self, field: &'static str, is_understood: bool) {
        self.faults.retain(|fault| *fault != field);
        self.faults.extend((!is_understood).then_some(field));
    }

    /// The page's address.
    pub fn link(&self, frame: &Frame) -> String {
        let mut link = form_urlencoded::Serializer::new(String::new());
        if !self.domain.is_empty() {
            link.append_pair("domain", &self.domain);
        }
        if self.period != Period::default() {
            link.append_pair("range", &self.period.days.to_string());
        }
        if let Some(show) = self.show() {
            link.append_pair("show", show);
        }
        if let Some(standing) = self.standing {
            link.append_pair("standing", standing.code());
        }
        if self.sort != SourceSort::default() {
            link.append_pair("sort", sort_word(self.sort));
        }
        let query = link.finish();
        frame.url("/dmarc/sources") + if query.is_empty() { "" } else { "?" } + &query
    }

    fn show(&self) -> Option<&'static str> {
        match (self.failing, self.new) {
            (true, _) => Some("failing"),
            (_, true) => Some("new"),
            _ => None,
        }
    }

    /// What to ask the store for.
    pub fn filter(&self, span: Span) -> SourceFilter {
        SourceFilter { span, failing: self.failing, new: self.new, sort: self.sort }
    }
}

fn sort_word(sort: SourceSort) -> &'static str {
    SORTS.into_iter().find(|(_, own)| *own == sort).map_or("mails", |(word, _)| word)
}

/// The address of a source's page.
pub fn detail_link(frame: &Frame, ip: IpAddr, domain: &str, period: Period) -> String {
    let mut link = form_urlencoded::Serializer::new(String::new());
    if !domain.is_empty() {
        link.append_pair("domain", domain);
    }
    if period != Period::default() {
        link.append_pair("range", &period.days.to_string());
    }
    let query = link.finish();
    frame.url(&format!("/dmarc/sources/{ip}")) + if query.is_empty() { "" } else { "?" } + &query
}

/// One source in a table.
pub struct Row {
    /// Its page.
    pub href: String,
    /// What it is called.
    pub name: String,
    /// Name and address, as far as they are not above.
    pub second: String,
    /// Mails.
    pub mails: String,
    /// How DKIM went.
    pub dkim: Badge,
    /// How SPF went.
    pub spf: Badge,
    /// What receivers did.
    pub did: String,
    /// First day ever.
    pub first: String,
    /// Last day ever.
    pub last: String,
    /// Judgement.
    pub standing: Badge,
}

/// The row of a source.
pub fn row(frame: &Frame, judge: &Judge, source: &Source, query: &Query) -> Row {
    let name = words::source_name(frame, judge, source);
    Row {
        href: detail_link(frame, source.ip, &query.domain, query.period),
        second: words::source_second(&name, source),
        name,
        mails: number(frame, source.sums.messages),
        dkim: words::check(frame, &source.sums, source.sums.dkim),
        spf: words::check(frame, &source.sums, source.sums.spf),
        did: words::treatment(frame, &source.sums),
        first: words::day(frame, source.first),
        last: words::day(frame, source.last),
        standing: words::standing(frame, judge.standing(source), source),
    }
}

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What was asked for.
    pub query: &'a Query,
    /// What all sources come to that fit, but for their standing.
    pub survey: &'a Survey,
    /// Sources that fit, at most [`MOST`].
    pub sources: &'a [Source],
    /// Measure of the sources.
    pub judge: Judge<'a>,
    /// Domains to choose from.
    pub domains: &'a [String],
}

/// The page.
#[derive(Template)]
#[template(path = "sources.html")]
pub struct SourcesPage<'a> {
    frame: &'a Frame,
    tabs: Vec<NavLink>,
    title: String,
    grounds: String,
    tone: &'static str,
    icon: &'static str,
    form: Form,
    heads: Heads,
    rows: Vec<Row>,
    cut: Option<String>,
    clear: String,
}

/// The filter.
struct Form {
    action: String,
    domains: Vec<Choice>,
    periods: Vec<Choice>,
    shows: Vec<Choice>,
    standings: Vec<Choice>,
    sort: Option<&'static str>,
    faults: Vec<&'static str>,
}

impl Form {
    /// Whether the value of a field was not understood.
    fn is_wrong(&self, field: &str) -> bool {
        self.faults.contains(&field)
    }
}

/// The heads that sort.
struct Heads {
    name: Head,
    mails: Head,
    last: Head,
}

/// A head that sorts.
struct Head {
    word: &'static str,
    href: String,
    sorted: Option<&'static str>,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'_>) -> SourcesPage<'a> {
    let (query, judge) = (input.query, input.judge);
    let wanted = |one: Standing| query.standing.is_none_or(|own| own == one);
    let (all, own) = (input.survey.of(wanted), input.survey.of(|one| wanted(one) && one.is_own()));
    let lang = frame.lang();
    let (title, tone, icon) = match (all.sources, own.failing, own.failed) {
        (0, ..) => (lang.t("sources.answer.none").to_owned(), "idle", "hdd-network"),
        (all, 0, 0) => (lang.tn("sources.answer.fine", count(all), &[]), "ok", "check-lg"),
        (all, 0, failed) => {
            let all = lang.tn("sources.of", count(all), &[]);
            (lang.tn("sources.answer.stray", count(failed), &[("all", &all)]), "ok", "check-lg")
        }
        (all, failing, _) => {
            let all = lang.tn("sources.of", count(all), &[]);
            (lang.tn("sources.answer.failing", count(failing), &[("all", &all)]), "wait", "eye")
        }
    };
    let shown = number(frame, input.sources.len() as u64);
    SourcesPage {
        frame,
        tabs: tabs(frame, Tab::Sources),
        title,
        grounds: lang.tn("sources.grounds", count(all.messages), &[("period", &query.period.words(frame))]),
        tone,
        icon,
        form: form(frame, query, input.domains),
        heads: heads(frame, query),
        rows: input.sources.iter().map(|source| row(frame, &judge, source, query)).collect(),
        cut: (all.sources > input.sources.len() as u64)
            .then(|| lang.tf("sources.cut", &[("shown", &shown), ("count", &number(frame, all.sources))])),
        clear: Query::default().link(frame),
    }
}

fn form(frame: &Frame, query: &Query, domains: &[String]) -> Form {
    let choice = |value: &str, word: &str, chosen: bool| Choice {
        value: value.to_owned(),
        word: word.to_owned(),
        chosen,
    };
    let any = frame.t("mails.filter.any");
    let shows = [("", any), ("failing", frame.t("sources.failing")), ("new", frame.t("sources.new"))];
    let show = query.show().unwrap_or_default();
    let own = query.standing.map_or("", Standing::code);
    let standings = Standing::ALL.map(|one| (one.code(), frame.lang().t_in("standing", one.code())));
    let chooser = query.period.chooser(
        frame,
        "/dmarc/sources",
        domains,
        &query.domain,
        Some(frame.t("sources.all_domains")),
    );
    Form {
        action: chooser.action,
        domains: chooser.domains,
        periods: chooser.periods,
        shows: shows.map(|(value, word)| choice(value, word, value == show)).into(),
        standings: [("", any)]
            .into_iter()
            .chain(standings)
            .map(|(value, word)| choice(value, word, value == own))
            .collect(),
        sort: (query.sort != SourceSort::default()).then(|| sort_word(query.sort)),
        faults: query.faults.clone(),
    }
}

fn heads(frame: &Frame, query: &Query) -> Heads {
    let head = |word, sort, order| Head {
        word,
        href: Query { sort, ..query.clone() }.link(frame),
        sorted: (query.sort == sort).then_some(order),
    };
    Heads {
        name: head(frame.t("source.column.source"), SourceSort::Name, "ascending"),
        mails: head(frame.t("source.column.mails"), SourceSort::Messages, "descending"),
        last: head(frame.t("source.column.last"), SourceSort::LastSeen, "descending"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::scope::Role,
        web::{pages::samples, text::Lang},
    };

    #[test]
    fn each_judgement_has_a_word_of_its_own() {
        for lang in [Lang::En, Lang::De] {
            let mut words = Standing::ALL.map(|one| lang.t_in("standing", one.code())).to_vec();
            words.sort_unstable();
            words.dedup();
            assert_eq!(words.len(), Standing::ALL.len(), "{words:?}");
        }
    }

    #[test]
    fn an_address_says_the_same_both_ways() {
        let frame = samples::frame(Role::Admin, Lang::En);
        let text = "domain=Alpha.Test&range=7&show=failing&standing=forged&sort=last&x=y&range=7";
        let link = Query::parse(text).link(&frame);
        assert_eq!(link, "/dmarc/sources?domain=alpha.test&range=7&show=failing&standing=forged&sort=last");
        assert_eq!(Query::parse(link.split_once('?').unwrap().1), Query::parse(text));
        let odd = Query::parse("show=x&standing=x&sort=x&range=x&domain=%25");
        assert_eq!(odd.faults, ["show", "standing", "range"], "they are named beside their fields");
        assert_eq!(Query { faults: Vec::new(), ..odd }, Query::default());
        assert_eq!(Query::parse("show=&standing=&range="), Query::default());
        assert_eq!(Query::default().link(&frame), "/dmarc/sources");
    }
}
