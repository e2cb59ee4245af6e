//! Discovery tables: domains, mailboxes, sync jobs, containers. Which columns there are follows from the registry.

use std::collections::BTreeMap;

use super::words;
use crate::{
    metrics::{
        health::{Standing, Value},
        modules,
        registry::{Limits, Metric, Unit},
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
    trouble: bool,
}

impl Table {
    /// Whether a row is not fine.
    pub fn has_trouble(&self) -> bool {
        self.trouble
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
    let metrics: Vec<&'static Metric> = listed.metrics().collect();
    let mut items = items(listed, latest);
    let (all, bad) = (items.len(), items.iter().filter(|item| item.standing > Standing::Waiting).count());
    items.retain(|item| {
        (query.search.is_empty() || item.name.to_lowercase().contains(&query.search.to_lowercase()))
            && (!query.trouble || item.standing > Standing::Waiting)
    });
    sort(&mut items, &query, &metrics);
    let pages = items.len().div_ceil(PER_PAGE).max(1);
    let query = Query { page: query.page.min(pages - 1), ..query };
    let to = |page: usize| Query { page, ..query.clone() }.link();
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let shown = items.iter().skip(query.page * PER_PAGE).take(PER_PAGE);
    Table {
        id: listed.code(),
        title: lang.t_in("listed", listed.code()),
        sentence: match bad {
            _ if all == 0 => lang.t_in("listed_none", listed.code()).to_owned(),
            0 => lang.tn("system.listed_fine", count(all), &[]),
            _ => lang.tn("system.listed", count(bad), &[("all", &frame.formats.number(count(all)))]),
        },
        rows: shown.map(|item| row(frame, item, &metrics)).collect(),
        heads: heads(frame, &metrics, &query),
        empty: if all == 0 { lang.t_in("listed_none", listed.code()) } else { lang.t("system.none_match") },
        pages: (query.page.checked_sub(1).map(to), (query.page + 1 < pages).then(|| to(query.page + 1))),
        query,
        searchable: all > 5,
        trouble: bad > 0,
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
        let standing = standing.unwrap_or(rest);
        Self { name, values, standing }
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
        head(metric.key, words::name(frame.lang(), metric).to_owned(), metric.kind.is_numeric())
    });
    [head("name", frame.t("system.name").to_owned(), false)]
        .into_iter()
        .chain(columns)
        .chain([head("", frame.t("system.state").to_owned(), false)])
        .collect()
}

fn row(frame: &Frame, item: &Item<'_>, metrics: &[&'static Metric]) -> Row {
    let cell = |metric: &&'static Metric| {
        let head = words::name(frame.lang(), metric).to_owned();
        let end = metric.kind.is_numeric();
        let Some(value) = item.values.get(metric.key) else {
            return Cell { head, text: "–".to_owned(), why: None, meter: None, end };
        };
        let number = value.latest.and_then(|latest| latest.state.number());
        let tone = match value.standing {
            Standing::Warning => "wait",
            Standing::Critical => "bad",
            _ => "info",
        };
        let is_share = metric.unit == Unit::Percent;
        Cell {
            head,
            text: words::value(frame, value),
            why: words::reason(frame.lang(), value),
            meter: number.filter(|_| is_share).map(|number| (number.clamp(0.0, 100.0) as u64, tone)),
            end,
        }
    };
    Row {
        name: item.name.clone(),
        cells: metrics.iter().map(cell).collect(),
        look: words::look(frame.lang(), item.standing),
    }
}
