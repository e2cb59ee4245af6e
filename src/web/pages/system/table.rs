//! Discovery tables: domains, mailboxes, sync jobs, containers. Which columns there are follows from the registry.

use std::collections::{BTreeMap, BTreeSet};

use super::{dns, words};
use crate::{
    metrics::{
        facts,
        health::{Standing, Value},
        modules::{self, security, sync_jobs},
        registry::{Kind, Limits, Metric, Module, Unit},
    },
    model::sample::{DOMAIN, MAILBOX, State},
    store::samples::Latest,
    web::pages::{frame::Frame, look::Look},
};

/// Rows of a page.
pub const PER_PAGE: usize = 50;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// Mail domains.
    Domains,
    /// Mailboxes.
    Mailboxes,
    /// Sync jobs.
    SyncJobs,
    /// Containers.
    Containers,
}

impl Listed {
    /// The word in text keys and ids.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Domains => "domains",
            Self::Mailboxes => "mailboxes",
            Self::SyncJobs => "sync-jobs",
            Self::Containers => "containers",
        }
    }

    fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Domains => &[DOMAIN],
            Self::Mailboxes => &[MAILBOX],
            Self::SyncJobs => &["job", MAILBOX],
            Self::Containers => &["container"],
        }
    }

    /// The metrics of a row, in the order of the columns.
    pub fn metrics(self) -> impl Iterator<Item = &'static Metric> {
        modules::all().filter(move |metric| metric.labels == self.labels())
    }

    /// Those that have a column: not what programs read, nor mail flow, which has a page of its own for any time.
    pub fn columns(self) -> impl Iterator<Item = &'static Metric> {
        self.metrics().filter(|metric| metric.kind != Kind::Json && metric.module != Module::Mailflow)
    }

    /// What is said of so many, of which some are not fine.
    fn sentence(self, frame: &Frame, all: usize, bad: usize) -> String {
        let lang = frame.lang();
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        match (all, bad) {
            (0, _) => lang.t_in("listed_none", self.code()).to_owned(),
            (_, 0) => lang.tn_in("listed_fine", self.code(), count(all), &[]),
            (1, _) => lang.t_in("listed_only", self.code()).to_owned(),
            _ => {
                let all = frame.formats.number(count(all));
                lang.tn_in("listed_bad", self.code(), count(bad), &[("all", &all)])
            }
        }
    }
}

/// How a table is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Column: a key, or empty for the state.
    pub sort: String,
    /// Smallest first.
    pub ascending: bool,
    /// What the name contains.
    pub search: String,
    /// Only rows that are not fine.
    pub trouble: bool,
    /// Page, from 0.
    pub page: usize,
}

impl Query {
    /// The query of an address; what is no query of ours is passed over.
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "sort" => query.sort = value.chars().take(80).collect(),
                "order" => query.ascending = value == "asc",
                "q" => query.search = value.trim().chars().take(200).collect(),
                "only" => query.trouble = value == "trouble",
                "page" => query.page = value.parse().unwrap_or_default(),
                _ => {}
            }
        }
        query
    }

    fn link(&self) -> String {
        let mut out = url::form_urlencoded::Serializer::new(String::new());
        if !self.sort.is_empty() {
            out.append_pair("sort", &self.sort);
        }
        if self.ascending {
            out.append_pair("order", "asc");
        }
        if !self.search.is_empty() {
            out.append_pair("q", &self.search);
        }
        if self.trouble {
            out.append_pair("only", "trouble");
        }
        if self.page > 0 {
            out.append_pair("page", &self.page.to_string());
        }
        format!("?{}", out.finish())
    }
}

/// A table.
pub struct Table {
    /// Tells tables of a page apart.
    pub id: &'static str,
    /// What it lists.
    pub title: &'static str,
    /// What it says, in a sentence.
    pub sentence: String,
    /// The columns.
    pub heads: Vec<Head>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Said when there are none.
    pub empty: &'static str,
    /// How it was asked for.
    pub query: Query,
    /// The page before and the next one.
    pub pages: (Option<String>, Option<String>),
    /// Whether there is enough to search in.
    pub searchable: bool,
    /// The names of all that is not fine.
    pub wrong: BTreeSet<String>,
}

impl Table {
    /// Whether something is not fine.
    pub fn has_trouble(&self) -> bool {
        !self.wrong.is_empty()
    }
}

/// A column.
pub struct Head {
    /// Its name.
    pub word: String,
    /// Sorts by it.
    pub href: String,
    /// For `aria-sort`.
    pub order: Option<&'static str>,
    /// Whether it holds numbers.
    pub end: bool,
}

/// A row.
pub struct Row {
    /// What it is of.
    pub name: String,
    /// The cells.
    pub cells: Vec<Cell>,
    /// How it is.
    pub look: Look,
}

/// A cell.
pub struct Cell {
    /// Name of its column, for phones.
    pub head: String,
    /// Its value.
    pub text: String,
    /// Why there is none.
    pub why: Option<String>,
    /// A share of a hundred, with its tone.
    pub meter: Option<(u64, &'static str)>,
    /// Whether it is a number.
    pub end: bool,
}

struct Item<'a> {
    name: String,
    values: BTreeMap<&'static str, Value<'a>>,
    standing: Standing,
}

/// The table of what the visitor may see.
pub fn view(frame: &Frame, listed: Listed, latest: &[Latest], query: Query) -> Table {
    let lang = frame.lang();
    let metrics: Vec<&'static Metric> = listed.columns().collect();
    let mut items = items(listed, latest);
    let wrong = items.iter().filter(|item| item.standing > Standing::Waiting);
    let (all, wrong): (usize, BTreeSet<String>) =
        (items.len(), wrong.map(|item| item.name.clone()).collect());
    items.retain(|item| {
        (query.search.is_empty() || item.name.to_lowercase().contains(&query.search.to_lowercase()))
            && (!query.trouble || item.standing > Standing::Waiting)
    });
    sort(&mut items, &query, &metrics);
    let pages = items.len().div_ceil(PER_PAGE).max(1);
    let query = Query { page: query.page.min(pages - 1), ..query };
    let to = |page: usize| Query { page, ..query.clone() }.link();
    let shown = items.iter().skip(query.page * PER_PAGE).take(PER_PAGE);
    Table {
        id: listed.code(),
        title: lang.t_in("listed", listed.code()),
        sentence: listed.sentence(frame, all, wrong.len()),
        rows: shown.map(|item| row(frame, item, &metrics)).collect(),
        heads: heads(frame, &metrics, &query),
        empty: if all == 0 { lang.t_in("listed_none", listed.code()) } else { lang.t("system.none_match") },
        pages: (query.page.checked_sub(1).map(to), (query.page + 1 < pages).then(|| to(query.page + 1))),
        query,
        searchable: all > 5,
        wrong,
    }
}

fn items(listed: Listed, latest: &[Latest]) -> Vec<Item<'_>> {
    let mut items: BTreeMap<String, BTreeMap<&'static str, Value<'_>>> = BTreeMap::new();
    for one in latest {
        let metric = modules::by_key(&one.metric).filter(|metric| metric.labels == listed.labels());
        let Some(metric) = metric else { continue };
        // The last label first: it is what people know.
        let name: Vec<&str> = one.labels.iter().map(|(_, value)| value).collect();
        let name: Vec<&str> = name.into_iter().rev().collect();
        let value = Value { metric, latest: Some(one), standing: Standing::of(metric, one) };
        items.entry(name.join(", ")).or_default().insert(metric.key, value);
    }
    items.into_iter().map(|(name, values)| Item::new(name, values)).collect()
}

impl<'a> Item<'a> {
    fn new(name: String, values: BTreeMap<&'static str, Value<'a>>) -> Self {
        // Without a limit nothing is wrong: the end of a job that never ran is unknown, and that is fine.
        let judged = values.values().filter(|value| value.metric.limits != Limits::None);
        let judged = judged.filter(|value| value.standing != Standing::NotInUse);
        let standing = judged.map(|value| value.standing).max();
        let fresh = values.values().all(|value| value.latest.is_none_or(|latest| latest.fresh));
        let rest = if fresh { Standing::Fine } else { Standing::Unknown };
        let item = Self { name, values, standing: standing.unwrap_or(rest) };
        // A domain is as its page of DNS says, too.
        let by_records = item.records().map_or(Standing::Fine, |records| dns::standing(&records));
        Self { standing: item.standing.max(by_records), ..item }
    }
}

fn sort(items: &mut [Item<'_>], query: &Query, metrics: &[&Metric]) {
    let by = metrics.iter().find(|metric| metric.key == query.sort);
    let share = metrics.iter().find(|metric| metric.unit == Unit::Percent).copied();
    let number = |item: &Item<'_>, metric: &Metric| {
        let state = item.values.get(metric.key).and_then(|value| value.latest).map(|latest| &latest.state);
        state.and_then(State::number).unwrap_or(f64::NEG_INFINITY)
    };
    match (query.sort.as_str(), by) {
        ("name", _) => {}
        (_, Some(metric)) => items.sort_by(|a, b| number(b, metric).total_cmp(&number(a, metric))),
        _ => items.sort_by(|a, b| {
            let fullest = || {
                share.map_or(std::cmp::Ordering::Equal, |share| number(b, share).total_cmp(&number(a, share)))
            };
            b.standing.cmp(&a.standing).then_with(fullest)
        }),
    }
    if query.ascending {
        items.reverse();
    }
}

fn heads(frame: &Frame, metrics: &[&'static Metric], query: &Query) -> Vec<Head> {
    let head = |key: &str, word: String, end: bool| {
        let here = query.sort == key;
        let ascending = if here { !query.ascending } else { false };
        let next = Query { sort: key.to_owned(), ascending, page: 0, ..query.clone() };
        // Names read from A to Z, numbers from the greatest.
        let order =
            here.then_some(if query.ascending != (key == "name") { "ascending" } else { "descending" });
        Head { word, href: next.link(), order, end }
    };
    let columns = metrics.iter().map(|metric| {
        head(metric.key, frame.lang().t_in("column", metric.key).to_owned(), metric.kind.is_numeric())
    });
    [head("name", frame.t("system.name").to_owned(), false)]
        .into_iter()
        .chain(columns)
        .chain([head("", frame.t("system.state").to_owned(), false)])
        .collect()
}

fn row(frame: &Frame, item: &Item<'_>, metrics: &[&'static Metric]) -> Row {
    Row {
        name: item.name.clone(),
        cells: metrics.iter().map(|metric| cell(frame, item, metric)).collect(),
        look: words::look(frame.lang(), item.standing),
    }
}

fn cell(frame: &Frame, item: &Item<'_>, metric: &'static Metric) -> Cell {
    let lang = frame.lang();
    let head = lang.t_in("column", metric.key).to_owned();
    let end = metric.kind.is_numeric();
    // Nothing is a part of no limit.
    let is_endless = metric.unit == Unit::Percent && item.is_unlimited();
    let Some(value) = item.values.get(metric.key).filter(|_| !is_endless) else {
        return Cell { head, text: "–".to_owned(), why: None, meter: None, end };
    };
    let tone = match value.standing {
        Standing::Warning => "wait",
        Standing::Critical => "bad",
        _ => "info",
    };
    let (text, why) = match &metric.key {
        key if *key == security::EACH_DNS_DETAIL.key => (item.lacks(frame, value), None),
        key if *key == sync_jobs::EACH_SYNCJOB_EXIT_STATUS.key => exit(frame, value),
        _ => (words::value(frame, value), words::reason(lang, value)),
    };
    let is_share = metric.unit == Unit::Percent;
    let share = value.number().filter(|_| is_share).map(|number| number.clamp(0.0, 100.0) as u64);
    Cell { head, text, why, meter: share.map(|share| (share, tone)), end }
}

impl Item<'_> {
    /// Whether it may take as much as it likes.
    fn is_unlimited(&self) -> bool {
        self.values.values().any(|value| words::is_quota(value.metric) && value.number() == Some(0.0))
    }

    /// What is known at present of a domain's records.
    fn records(&self) -> Option<facts::Records> {
        let told = self.values.get(security::EACH_DNS_FACTS.key)?.latest.filter(|latest| latest.fresh)?;
        match &told.state {
            State::Text(text) => facts::read(text),
            _ => None,
        }
    }

    /// The names of the checks that a domain does not pass; what is wrong with each stands on the page of DNS.
    fn lacks(&self, frame: &Frame, detail: &Value<'_>) -> String {
        self.records().map_or_else(|| words::value(frame, detail), |records| dns::names_lacking(&records))
    }
}

/// How a job of imapsync ended, in plain words where its word is known; with the word itself where that is no good end.
fn exit(frame: &Frame, value: &Value<'_>) -> (String, Option<String>) {
    const KNOWN: [&str; 17] = [
        "EX_OK",
        "EX_USAGE",
        "EX_UNAVAILABLE",
        "EXIT_BY_SIGNAL",
        "EXIT_CATCH_ALL",
        "EXIT_CONNECTION_FAILURE",
        "EXIT_CONNECTION_FAILURE_HOST1",
        "EXIT_CONNECTION_FAILURE_HOST2",
        "EXIT_TLS_FAILURE",
        "EXIT_AUTHENTICATION_FAILURE",
        "EXIT_AUTHENTICATION_FAILURE_USER1",
        "EXIT_AUTHENTICATION_FAILURE_USER2",
        "EXIT_SUBFOLDER1_NO_EXISTS",
        "EXIT_WITH_ERRORS",
        "EXIT_WITH_ERRORS_MAX",
        "EXIT_OVERQUOTA",
        "EXIT_TRANSFER_EXCEEDED",
    ];
    let text = words::value(frame, value);
    match KNOWN.iter().find(|known| **known == text) {
        Some(known) => (frame.lang().t_in("imapsync", known).to_owned(), (*known != "EX_OK").then_some(text)),
        None => (text, words::reason(frame.lang(), value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        metrics::modules::mailboxes,
        model::{sample::Labels, scope::Role},
        web::{pages::samples, text::Lang},
    };

    fn told(metric: &Metric, labels: Labels, state: State) -> Latest {
        let (metric, source) = (metric.key.to_owned(), String::new());
        let (since, told) = (samples::NOW, samples::NOW);
        Latest { metric, labels, state, since, source, told, fresh: true }
    }

    fn texts(listed: Listed, latest: &[Latest]) -> Vec<String> {
        let frame = samples::frame(Role::Admin, Lang::En);
        let table = view(&frame, listed, latest, Query::default());
        assert!(table.heads.iter().all(|head| head.word.chars().count() < 30), "heads are short");
        table.rows.into_iter().flat_map(|row| row.cells).map(|cell| cell.text).collect()
    }

    #[test]
    fn no_quota_is_no_limit_and_nothing_of_it_is_used() {
        let one = |metric, number| told(metric, Labels::one(MAILBOX, "bob@a.test"), State::Number(number));
        let latest = [
            one(&mailboxes::EACH_MAILBOX_QUOTA_MB, 0.0),
            one(&mailboxes::EACH_MAILBOX_USED_MB, 143.0),
            one(&mailboxes::EACH_MAILBOX_USAGE_PCT, 0.0),
        ];
        assert_eq!(texts(Listed::Mailboxes, &latest), ["–", "143 MiB", "unlimited", "–"]);
    }

    #[test]
    fn a_domain_names_what_it_lacks_and_shows_no_json() {
        let finding = |check: &str, outcome| facts::Finding {
            check: check.to_owned(),
            outcome,
            why: "a reason; a long one".to_owned(),
            found: Vec::new(),
            publish: Vec::new(),
        };
        let findings = vec![
            finding("SPF", facts::Outcome::Good),
            finding("DKIM", facts::Outcome::Bad),
            finding("MX", facts::Outcome::Unknown),
        ];
        let json = facts::write(&facts::Records { findings });
        let one = |metric, text: &str| told(metric, Labels::one(DOMAIN, "a.test"), text.into());
        let latest = [
            one(&security::EACH_DNS_DETAIL, "DKIM: a reason; a long one"),
            one(&security::EACH_DNS_FACTS, &json),
        ];
        let texts = texts(Listed::Domains, &latest);
        assert!(texts.contains(&"DKIM, MX?".to_owned()), "{texts:?}");
        assert!(!texts.iter().any(|text| text.contains("other systems")), "{texts:?}");
    }

    #[test]
    fn an_exit_is_told_in_plain_words() {
        let frame = samples::frame(Role::Admin, Lang::En);
        let exit = |word: &str| {
            let labels = Labels::one("job", "1").with(MAILBOX, "ann@a.test");
            let latest = told(&sync_jobs::EACH_SYNCJOB_EXIT_STATUS, labels, word.into());
            let metric = &sync_jobs::EACH_SYNCJOB_EXIT_STATUS;
            super::exit(&frame, &Value { metric, latest: Some(&latest), standing: Standing::Fine })
        };
        assert_eq!(exit("EX_OK"), ("It went well".to_owned(), None));
        let (text, raw) = exit("EXIT_OVERQUOTA");
        assert!(!text.contains('_') && raw.as_deref() == Some("EXIT_OVERQUOTA"), "{text}");
        assert_eq!(exit("EXIT_NEW_ONE"), ("EXIT_NEW_ONE".to_owned(), None));
    }
}
