//! The health of the whole host: the overview, a page for each module, discovery tables. All of it is derived from
//! the registry of metrics.

use askama::Template;

use self::{
    chart::{Chart, Reach},
    plan::Group,
    shell::{Choice, Shell, choices},
    table::Table,
    window::{Window, Zoom},
};
use super::{frame::Frame, look::Look};
use crate::{
    metrics::{
        health::{Forecast, Health, Standing, Value},
        registry::{Metric, Module},
    },
    model::{history::Point, time::Millis},
    store::samples::{Range, Run},
};

pub mod announce;
pub mod certificates;
pub mod chart;
pub mod dns;
pub mod grid;
pub mod now;
pub mod overview;
pub mod own;
pub mod plan;
pub mod ports;
pub mod reasons;
pub mod shell;
pub mod table;
pub mod uptime;
pub mod window;
pub mod words;

/// A page below `/system/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// A module.
    Module(Module),
    /// Eight charts on one time axis.
    Trends,
    /// When what fills up is full.
    Capacity,
    /// The mail domains.
    Domains,
    /// How much of the time services and ports were up.
    Uptime,
    /// What strangers see.
    Public,
    /// Which ports were open.
    Ports,
    /// How long certificates last.
    Certificates,
    /// What DNS says of the domains.
    Dns,
}

impl Which {
    /// The page of the last part of an address.
    pub fn from_code(code: &str) -> Option<Self> {
        match code {
            "trends" => Some(Self::Trends),
            "capacity" => Some(Self::Capacity),
            "domains" => Some(Self::Domains),
            "containers" => Some(Self::Module(Module::Docker)),
            code => Module::from_code(code).map(Self::Module),
        }
    }

    /// The last part of its address.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Module(module) => module.code(),
            Self::Trends => "trends",
            Self::Capacity => "capacity",
            Self::Domains => "domains",
            Self::Uptime => "uptime",
            Self::Public => "public",
            Self::Ports => "ports",
            Self::Certificates => "certificates",
            Self::Dns => "dns",
        }
    }

    /// The table that stands on it.
    pub const fn listed(self) -> Option<table::Listed> {
        match self {
            Self::Domains => Some(table::Listed::Domains),
            Self::Module(Module::Mailboxes) => Some(table::Listed::Mailboxes),
            Self::Module(Module::SyncJobs) => Some(table::Listed::SyncJobs),
            Self::Module(Module::Docker) => Some(table::Listed::Containers),
            _ => None,
        }
    }
}

/// Something that fills up.
#[derive(Debug, Clone)]
pub struct Filling<'a> {
    /// What.
    pub value: Value<'a>,
    /// Where that leads.
    pub forecast: Option<Forecast>,
}

/// What a page below `/system/` is made of.
pub struct Input<'a> {
    /// Which page.
    pub which: Which,
    /// All modules.
    pub healths: &'a [Health<'a>],
    /// The charts.
    pub charts: Vec<Chart>,
    /// What they show.
    pub window: Window,
    /// The key of the one chart that is shown apart.
    pub apart: Option<&'static str>,
    /// Lowest, average and highest of each series by key and labels, as far as they were asked for.
    pub ranges: &'a [(&'static Metric, String, Range)],
    /// The discovery table.
    pub table: Option<Table>,
    /// The runs of the sources, for the collector's page.
    pub runs: &'a [Run],
    /// What fills up, for the capacity page.
    pub filling: &'a [Filling<'a>],
    /// Since when the worst value has been beyond its limit.
    pub since: Option<Millis>,
}

/// The page.
#[derive(Template)]
#[template(path = "system_module.html")]
pub struct ModulePage<'a> {
    frame: &'a Frame,
    title: String,
    shell: Shell,
    reaches: Vec<Choice>,
    zoom: Option<Zoom>,
    now: Vec<now::Group>,
    charts: Vec<Chart>,
    values: Vec<ValueRow>,
    table: Option<Table>,
    runs: Vec<RunRow>,
    filling: Vec<FillingRow>,
    whys: Vec<(String, String)>,
}

/// A group of the list at the left.
pub struct MenuGroup {
    /// Its name; empty for what belongs to none.
    pub name: &'static str,
    /// Its pages.
    pub links: Vec<MenuLink>,
}

/// A page in the list at the left.
pub struct MenuLink {
    href: String,
    word: &'static str,
    look: Option<Look>,
    here: bool,
}

struct ValueRow {
    name: String,
    key: String,
    now: String,
    low: String,
    mean: String,
    high: String,
    limits: String,
    look: Option<Look>,
    since: Option<String>,
    chart: Option<String>,
}

struct RunRow {
    name: String,
    last: String,
    every: String,
    took: String,
    told: String,
    look: Look,
    error: Option<String>,
}

struct FillingRow {
    names: Vec<String>,
    now: String,
    share: u64,
    tone: &'static str,
    week: String,
    full: String,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'_>) -> ModulePage<'a> {
    let health = match input.which {
        Which::Module(module) => input.healths.iter().find(|health| health.module == module),
        _ => None,
    };
    let (title, grounds, standing) = answer(frame, &input, health);
    let values: Vec<ValueRow> = health
        .map(|health| {
            health.values.iter().filter(is_row).map(|value| value_row(frame, &input, value)).collect()
        })
        .unwrap_or_default();
    ModulePage {
        frame,
        title,
        shell: Shell::new(frame, input.healths, input.which, standing, grounds),
        reaches: match input.charts.is_empty() {
            true => Vec::new(),
            false => {
                let here = input.window.reach.map_or("", Reach::code);
                choices(frame, input.which, &Reach::ALL.map(Reach::code), here)
            }
        },
        now: now::groups(frame, health),
        zoom: (!input.charts.is_empty()).then(|| window::zoom(frame, input.which, input.window, input.apart)),
        values,
        whys: health.map(|health| whys(frame, health)).unwrap_or_default(),
        runs: input.runs.iter().map(|run| run_row(frame, run)).collect(),
        filling: filling_rows(frame, input.filling),
        charts: input.charts,
        table: input.table,
    }
}

/// Series of a discovery table stand there.
fn is_row(value: &&Value<'_>) -> bool {
    use table::Listed::{Containers, Domains, Mailboxes, SyncJobs};
    ![Domains, Mailboxes, SyncJobs, Containers]
        .iter()
        .any(|listed| listed.metrics().any(|metric| metric.key == value.metric.key))
}

fn here_word(frame: &Frame, which: Which) -> &'static str {
    match which {
        Which::Module(module) => words::module_name(frame.lang(), module),
        other => frame.lang().t_in("system_page", other.code()),
    }
}

/// The list of all pages, each with how it is.
pub fn menu(frame: &Frame, healths: &[Health<'_>], here: Option<Which>) -> Vec<MenuGroup> {
    let lang = frame.lang();
    let side = |which: Which| MenuLink {
        href: frame.url(&format!("/system/{}", which.code())),
        word: lang.t_in("system_page", which.code()),
        look: None,
        here: here == Some(which),
    };
    let mut pages: Vec<MenuLink> = [
        Which::Uptime,
        Which::Trends,
        Which::Capacity,
        Which::Domains,
        Which::Ports,
        Which::Certificates,
        Which::Dns,
        Which::Public,
    ]
    .map(side)
    .into();
    let overview = MenuLink {
        href: frame.url("/system"),
        word: lang.t("system_page.overview"),
        look: None,
        here: here.is_none(),
    };
    pages.insert(0, overview);
    let module = |place: &plan::Place| MenuLink {
        href: frame.url(&format!("/system/{}", place.module.code())),
        word: words::module_name(lang, place.module),
        look: healths.iter().find(|it| it.module == place.module).map(|it| words::look(lang, it.standing)),
        here: here == Some(Which::Module(place.module)),
    };
    let group = |group: Group| MenuGroup {
        name: lang.t_in("module_group", group.code()),
        links: plan::PLACES.iter().filter(|place| place.group == group).map(module).collect(),
    };
    [MenuGroup { name: "", links: pages }].into_iter().chain(Group::ALL.map(group)).collect()
}

fn answer(frame: &Frame, input: &Input<'_>, health: Option<&Health<'_>>) -> (String, String, Standing) {
    let lang = frame.lang();
    if let Some(health) = health {
        return module_answer(frame, health, input.since);
    }
    let title = here_word(frame, input.which).to_owned();
    match input.which {
        Which::Capacity => capacity_answer(frame, input.filling),
        _ => {
            let sentence = input.table.as_ref().map(|table| table.sentence.clone());
            let look = if input.table.is_some() { Standing::Fine } else { Standing::Waiting };
            let bad = input.table.as_ref().is_some_and(|table| table.has_trouble());
            let standing = if bad { Standing::Warning } else { look };
            (sentence.unwrap_or(title), lang.t_in("system_about", input.which.code()).to_owned(), standing)
        }
    }
}

fn capacity_answer(frame: &Frame, filling: &[Filling<'_>]) -> (String, String, Standing) {
    let lang = frame.lang();
    let known = filling.iter().filter_map(|filling| filling.forecast).map(|forecast| forecast.known);
    let how = lang.tn("system.capacity.how", known.fold(0.0, f64::max).round() as i64, &[]);
    let soon = filling.iter().filter_map(|filling| Some((filling.forecast?.days?.0, &filling.value)));
    let Some((days, value)) = soon.min_by(|a, b| a.0.total_cmp(&b.0)) else {
        return (lang.t("system.capacity.none").to_owned(), how, Standing::Fine);
    };
    let (name, span) = (words::series_name(lang, value), span_of_days(frame, days, days));
    let title = lang.tf("system.capacity.first", &[("name", &name), ("days", &span)]);
    (title, how, if days < 30.0 { Standing::Warning } else { Standing::Fine })
}

/// "Queue: Messages in the deferred queue: 18. More than 10 is too much. Since 17:20."
fn module_answer(frame: &Frame, health: &Health<'_>, since: Option<Millis>) -> (String, String, Standing) {
    let lang = frame.lang();
    let name = words::module_name(lang, health.module);
    let worst = health.worst();
    let title = match (health.standing, worst) {
        (standing, Some(value)) if standing.is_trouble() => words::trouble(frame, value),
        (standing, _) => fill(lang.t_in("module_title", standing.code()), "{name}", name),
    };
    let mut grounds: Vec<String> = Vec::new();
    if let Some(value) = worst.filter(|value| value.standing.is_trouble()) {
        let number = value.latest.and_then(|latest| latest.state.number());
        grounds.extend(number.and_then(|number| words::passed(frame, value.metric, number)));
        grounds.extend(since.map(|at| lang.tf("system.since", &[("time", &frame.formats.sentence(at))])));
    } else if let Some(value) = worst.filter(|value| value.standing == Standing::Unknown) {
        grounds.extend(words::reason(lang, value));
    }
    grounds.push(lang.t_in("module_about", health.module.code()).to_owned());
    (title, grounds.join(" "), health.standing)
}

fn value_row(frame: &Frame, input: &Input<'_>, value: &Value<'_>) -> ValueRow {
    let labels = value.latest.map(|latest| latest.labels.text()).unwrap_or_default();
    let range = input.ranges.iter().find(|(metric, own, _)| metric.key == value.metric.key && *own == labels);
    let figures = range.and_then(|(_, _, range)| chart::figures(range));
    let word = |pick: fn((f64, f64, f64)) -> f64| {
        figures.map(|figures| words::number(frame, value.metric, pick(figures))).unwrap_or_default()
    };
    let is_off = matches!(value.standing, Standing::Unknown | Standing::NotInUse);
    ValueRow {
        name: words::series_name(frame.lang(), value),
        key: words::key(value),
        now: words::value(frame, value),
        low: word(|(low, _, _)| low),
        mean: word(|(_, mean, _)| mean),
        high: word(|(_, _, high)| high),
        limits: words::limits(frame, value),
        look: words::look_of(frame.lang(), value),
        since: value.latest.filter(|_| is_off).map(|latest| frame.formats.moment(latest.since)),
        chart: value.metric.kind.is_numeric().then(|| {
            let key: String = url::form_urlencoded::byte_serialize(value.metric.key.as_bytes()).collect();
            frame.url(&format!("/system/{}?chart={key}&{}", input.which.code(), input.window.query()))
        }),
    }
}

/// Why values are unknown or not in use, each reason once, with the names of the values.
fn whys(frame: &Frame, health: &Health<'_>) -> Vec<(String, String)> {
    let mut whys: Vec<(String, Vec<String>)> = Vec::new();
    let without =
        health.values.iter().filter(|value| matches!(value.standing, Standing::Unknown | Standing::NotInUse));
    for value in without.filter(is_row) {
        let stale = || frame.t("system.stale").to_owned();
        let reason = words::reason(frame.lang(), value).unwrap_or_else(stale);
        let name = words::series_name(frame.lang(), value);
        match whys.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(name),
            None => whys.push((reason, vec![name])),
        }
    }
    whys.into_iter().map(|(reason, names)| (reason, names.join(", "))).collect()
}

fn run_row(frame: &Frame, run: &Run) -> RunRow {
    let formats = &frame.formats;
    let length = |millis: i64| std::time::Duration::from_millis(millis.unsigned_abs());
    let late = run.fresh_until().is_none_or(|until| until < formats.now);
    let standing = match (&run.error, run.ended_at, late) {
        (Some(_), _, _) => Standing::Warning,
        (None, None, _) => Standing::Waiting,
        (None, Some(_), true) => Standing::Unknown,
        (None, Some(_), false) => Standing::Fine,
    };
    RunRow {
        name: run.source.clone(),
        last: run.ended_at.map(|at| formats.ago(at)).unwrap_or_else(|| "–".to_owned()),
        every: formats.duration(length(run.period_ms)),
        took: formats.duration(length(run.took_ms)),
        told: formats.number(run.told),
        look: words::look(frame.lang(), standing),
        error: run.error.clone(),
    }
}

/// One row for what has the same figures throughout: it is one file system under several names.
fn filling_rows(frame: &Frame, filling: &[Filling<'_>]) -> Vec<FillingRow> {
    let others = || filling.iter().map(|filling| &filling.value);
    let mut rows: Vec<FillingRow> = Vec::new();
    for own in filling.iter().filter(|own| !plan::is_told_better(&own.value, others())) {
        let row = filling_row(frame, own);
        let same = |known: &&mut FillingRow| {
            (&known.now, &known.week, &known.full) == (&row.now, &row.week, &row.full)
        };
        match rows.iter_mut().find(same) {
            Some(known) => known.names.extend(row.names),
            None => rows.push(row),
        }
    }
    rows
}

fn filling_row(frame: &Frame, filling: &Filling<'_>) -> FillingRow {
    let lang = frame.lang();
    let number = filling.value.number();
    let week = filling.forecast.map(|forecast| {
        let points = (forecast.per_day * 70.0).round() / 10.0;
        let sign = if points > 0.0 { "+" } else { "" };
        lang.tf("system.points", &[("points", &format!("{sign}{}", frame.formats.decimal(points)))])
    });
    let full = match filling.forecast {
        None => lang.t("system.capacity.unknown").to_owned(),
        Some(Forecast { days: None, .. }) => lang.t("system.capacity.never").to_owned(),
        Some(Forecast { days: Some((soon, late)), .. }) => span_of_days(frame, soon, late),
    };
    FillingRow {
        names: vec![words::series_name(lang, &filling.value)],
        now: words::value(frame, &filling.value),
        share: number.map_or(0, |number| number.clamp(0.0, 100.0) as u64),
        tone: match filling.value.standing {
            Standing::Warning => "wait",
            Standing::Critical => "bad",
            _ => "info",
        },
        week: week.unwrap_or_else(|| "–".to_owned()),
        full,
    }
}

/// Days, months or years, as exact as a guess may be: "15 to 16 days", "3 months".
fn span_of_days(frame: &Frame, soon: f64, late: f64) -> String {
    let lang = frame.lang();
    let (unit, length) = match soon {
        ..60.0 => ("days", 1.0),
        ..730.0 => ("months", 30.4),
        _ => ("years", 365.25),
    };
    let [soon, late] = [soon, late].map(|days| (days / length).max(1.0).round() as i64);
    match soon == late {
        true => lang.tn_in("span", unit, late, &[]),
        false => lang.tn_in("span_range", unit, late, &[("soon", &frame.formats.number(soon))]),
    }
}

/// The forecast of a share that fills up.
pub fn forecast(points: &[Point]) -> Option<Forecast> {
    crate::metrics::health::forecast(points, 100.0)
}

/// A text with its one place filled.
fn fill(text: &str, place: &str, value: &str) -> String {
    text.replacen(place, value, 1)
}
