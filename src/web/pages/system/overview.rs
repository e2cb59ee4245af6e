//! Is everything all right? What is wrong first, then all modules.

use askama::Template;

use super::{
    fill,
    plan::{self, Group},
    ports::service,
    words,
};
use crate::{
    metrics::{
        health::{Health, Standing, Value},
        modules::{disk, docker, host, tls},
        registry::{Kind, Metric},
    },
    model::time::Millis,
    store::samples::Run,
    web::pages::{frame::Frame, look::Look},
};

/// Series of one metric that are named in one trouble.
const NAMED: usize = 4;
/// Troubles shown at most.
pub const TROUBLES: usize = 12;

/// What the page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// All modules.
    pub healths: &'a [Health<'a>],
    /// Since when the troubles are, in the order of [`troubles`].
    pub since: &'a [Option<Millis>],
    /// The runs of the sources.
    pub runs: &'a [Run],
}

/// The page.
#[derive(Template)]
#[template(path = "system.html")]
pub struct OverviewPage<'a> {
    frame: &'a Frame,
    title: String,
    grounds: String,
    look: Look,
    troubles: Vec<Trouble>,
    more: Option<String>,
    groups: Vec<TileGroup>,
    meters: Vec<Meter>,
    runs: (String, Vec<(String, String)>),
}

/// Something beyond its limits.
pub struct Trouble {
    /// How bad it is.
    pub look: Look,
    /// In one sentence.
    pub what: String,
    /// Its limit, and since when.
    pub text: String,
    /// Name of the page about it.
    pub module: &'static str,
    /// Address of that page.
    pub href: String,
}

struct TileGroup {
    name: &'static str,
    tiles: Vec<Tile>,
}

struct Tile {
    look: Look,
    kind: &'static str,
    name: &'static str,
    value: String,
    href: String,
}

/// A share of a hundred.
pub struct Meter {
    /// Of what.
    pub name: String,
    /// In words.
    pub value: String,
    /// In whole hundredths, 100 at most.
    pub share: u64,
    /// `info`, `wait` or `bad`.
    pub tone: &'static str,
}

impl Meter {
    /// A meter; its tone follows from how the value is.
    pub fn new(name: String, value: String, number: f64, standing: Standing) -> Self {
        let tone = match standing {
            Standing::Warning => "wait",
            Standing::Critical => "bad",
            _ => "info",
        };
        Self { name, value, share: number.clamp(0.0, 100.0) as u64, tone }
    }
}

/// All values beyond their limits, worst first; within one standing in the order of the modules. Series of one metric that
/// are equally bad are one trouble, and what is told twice counts once.
pub fn troubles<'a, 'b>(healths: &'b [Health<'a>]) -> Vec<Vec<&'b Value<'a>>> {
    let bad = || healths.iter().flat_map(|health| &health.values).filter(|value| value.standing.is_trouble());
    let told_better = |value: &&Value<'a>| {
        plan::is_told_better(value, bad().filter(|other| other.standing >= value.standing))
    };
    let mut troubles: Vec<Vec<&Value<'a>>> = Vec::new();
    for value in bad().filter(|value| !told_better(value)) {
        let alike = |trouble: &&mut Vec<&Value<'a>>| {
            trouble
                .first()
                .is_some_and(|first| first.metric.key == value.metric.key && first.standing == value.standing)
        };
        match troubles.iter_mut().find(alike) {
            Some(trouble) => trouble.push(value),
            None => troubles.push(vec![value]),
        }
    }
    troubles.iter_mut().for_each(|trouble| trouble.sort_by(|a, b| a.worst_first(b)));
    troubles.sort_by_key(|trouble| std::cmp::Reverse(trouble.first().map(|value| value.gravity())));
    troubles
}

/// The view.
pub fn view<'a>(frame: &'a Frame, input: Input<'_>) -> OverviewPage<'a> {
    let lang = frame.lang();
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let (standing, all) = (altogether(input.healths), troubles(input.healths).len());
    let title = match (all, standing) {
        (0, Standing::Unknown) => lang.t("system.title.unknown").to_owned(),
        (0, Standing::Waiting) => lang.t("system.title.waiting").to_owned(),
        (0, _) => lang.t("system.title.fine").to_owned(),
        (number, _) => lang.tn("system.title.trouble", count(number), &[]),
    };
    OverviewPage {
        frame,
        title,
        grounds: grounds(frame, input),
        look: words::look(lang, standing),
        troubles: told(frame, input.healths, input.since, TROUBLES),
        more: all
            .checked_sub(TROUBLES)
            .filter(|more| *more > 0)
            .map(|more| lang.tn("system.more", count(more), &[])),
        groups: Group::ALL.map(|group| tiles(frame, group, input.healths)).into(),
        meters: meters(frame, input.healths),
        runs: runs(frame, input.runs),
    }
}

/// How everything is together; modules that have no values beside others that have are fine.
pub fn altogether(healths: &[Health<'_>]) -> Standing {
    match healths.iter().map(|health| health.standing).max().unwrap_or(Standing::Waiting) {
        Standing::Waiting if !is_new(healths) => Standing::Fine,
        worst => worst,
    }
}

/// The first of the troubles in words, at most so many; `since` is in their order.
pub fn told(frame: &Frame, healths: &[Health<'_>], since: &[Option<Millis>], most: usize) -> Vec<Trouble> {
    let since = since.iter().copied().chain(std::iter::repeat(None));
    let shown = troubles(healths).into_iter().zip(since).take(most);
    shown.filter_map(|(values, since)| trouble(frame, &values, since)).collect()
}

fn is_new(healths: &[Health<'_>]) -> bool {
    healths.iter().all(|health| matches!(health.standing, Standing::Waiting | Standing::NotInUse))
}

/// "22 of 27 modules are fine, one is unknown. Checked 38 seconds ago."
fn grounds(frame: &Frame, input: Input<'_>) -> String {
    let lang = frame.lang();
    let of = |standing: Standing| input.healths.iter().filter(|health| health.standing == standing).count();
    let number = |count: usize| frame.formats.number(i64::try_from(count).unwrap_or(i64::MAX));
    let mut parts = vec![lang.tf(
        "system.modules_fine",
        &[("fine", &number(of(Standing::Fine))), ("all", &number(input.healths.len()))],
    )];
    let counted = |standing: Standing| i64::try_from(of(standing)).unwrap_or(i64::MAX);
    let others = [counted(Standing::Unknown), counted(Standing::NotInUse), counted(Standing::Waiting)];
    let [unknown, unused, waiting] = others;
    let words = [
        lang.tn("system.modules_unknown", unknown, &[]),
        lang.tn("system.modules_unused", unused, &[]),
        lang.tn("system.modules_waiting", waiting, &[]),
    ];
    parts.extend(words.into_iter().zip(others).filter(|(_, count)| *count > 0).map(|(word, _)| word));
    let checked = input.runs.iter().filter_map(|run| run.ended_at).max();
    let checked = checked.map(|at| lang.tf("system.checked", &[("ago", &frame.formats.ago(at))]));
    format!("{}. {}", parts.join(", "), checked.unwrap_or_default())
}

fn trouble(frame: &Frame, values: &[&Value<'_>], since: Option<Millis>) -> Option<Trouble> {
    let lang = frame.lang();
    let value = *values.first()?;
    let limit = value.number().and_then(|number| words::passed(frame, value.metric, number));
    let since = since.map(|at| lang.tf("system.since", &[("time", &frame.formats.sentence(at))]));
    let page = plan::page_of(value.metric);
    Some(Trouble {
        look: words::look(lang, value.standing),
        what: match values {
            ports if value.metric.key == tls::EACH_PORT_OPEN.key => closed(frame, ports),
            many => several(frame, many),
        },
        text: limit.into_iter().chain(since).collect::<Vec<_>>().join(" "),
        module: match page == value.metric.module.code() {
            true => words::module_name(lang, value.metric.module),
            false => lang.t_in("system_page", page),
        },
        href: frame.url(&format!("/system/{page}")),
    })
}

/// "2 ports are closed: POP3, IMAP."
fn closed(frame: &Frame, values: &[&Value<'_>]) -> String {
    let number = |value: &&Value<'_>| value.latest?.labels.value("port").map(|port| service(frame, port));
    let names: Vec<String> = values.iter().filter_map(number).collect();
    let count = i64::try_from(values.len()).unwrap_or(i64::MAX);
    frame.lang().tn("ports.title_many", count, &[("names", &names.join(", "))])
}

/// "Days until the certificate at a port expires: 143: 8 days, 993: 8 days, and 2 more."
fn several(frame: &Frame, values: &[&Value<'_>]) -> String {
    let lang = frame.lang();
    let first = values.first().filter(|value| values.len() == 1 || value.metric.kind == Kind::Flag);
    let one = |value: &&Value<'_>| {
        if first.is_some() {
            return words::trouble(frame, value);
        }
        let labels = value.latest.iter().flat_map(|latest| latest.labels.iter().map(|(_, label)| label));
        let labels: Vec<&str> = labels.collect();
        format!("{} ({})", labels.join(", "), words::value(frame, value))
    };
    let named: Vec<String> = values.iter().take(NAMED).map(one).collect();
    let more = values.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| lang.tn("system.and_more", i64::try_from(more).unwrap_or(i64::MAX), &[]));
    let told = named.into_iter().chain(more).collect::<Vec<_>>();
    match (first, values.first()) {
        (None, Some(value)) => format!("{}: {}", words::name(lang, value.metric), told.join(", ")),
        _ => told.join("; "),
    }
}

fn tiles(frame: &Frame, group: Group, healths: &[Health<'_>]) -> TileGroup {
    let of = |place: &plan::Place| healths.iter().find(|health| health.module == place.module);
    let places = plan::PLACES.iter().filter(|place| place.group == group);
    TileGroup {
        name: frame.lang().t_in("module_group", group.code()),
        tiles: places.filter_map(|place| Some(tile(frame, place, of(place)?))).collect(),
    }
}

fn tile(frame: &Frame, place: &plan::Place, health: &Health<'_>) -> Tile {
    let lang = frame.lang();
    let look = words::look(lang, health.standing);
    let main = match health.standing.is_trouble() {
        true => health.worst(),
        false => health.value(place.main),
    };
    let known =
        main.filter(|value| value.latest.is_some_and(|latest| latest.state.is_known() && latest.fresh));
    let value = match (health.standing, known) {
        (Standing::NotInUse | Standing::Unknown | Standing::Waiting, _) | (_, None) => look.word.to_owned(),
        (standing, Some(value)) if standing.is_trouble() => words::trouble(frame, value),
        (_, Some(value)) => {
            let text = containers_of(frame, health).unwrap_or_else(|| words::value(frame, value));
            fill(lang.t_in("tile", place.module.code()), "{value}", &text)
        }
    };
    Tile {
        kind: match health.standing {
            Standing::NotInUse => "off",
            Standing::Warning => "wait",
            Standing::Critical => "bad",
            _ => "",
        },
        look,
        name: words::module_name(lang, place.module),
        value,
        href: frame.url(&format!("/system/{}", place.module.code())),
    }
}

/// Of containers, both numbers matter.
fn containers_of(frame: &Frame, health: &Health<'_>) -> Option<String> {
    let number = |metric: &Metric| health.value(metric)?.latest?.state.number();
    let (running, all) = (number(&docker::RUNNING)?, number(&docker::TOTAL)?);
    let decimal = |value: f64| frame.formats.decimal(value);
    Some(frame.lang().tf("system.of", &[("part", &decimal(running)), ("all", &decimal(all))]))
}

fn meters(frame: &Frame, healths: &[Health<'_>]) -> Vec<Meter> {
    let named = [
        (&host::CPU, "cpu"),
        (&host::MEMORY, "memory"),
        (&host::LOAD_PER_CORE, "load"),
        (&disk::VMAIL_USED, "mails"),
    ];
    let meter = |(metric, key): (&'static Metric, &'static str)| {
        let value = healths.iter().find(|health| health.module == metric.module)?.value(metric)?;
        let number = value.latest.filter(|latest| latest.fresh).and_then(|latest| latest.state.number());
        debug_assert!(metric.kind == Kind::Gauge);
        let text = match value.standing {
            Standing::Unknown => frame.t("standing.unknown").to_owned(),
            _ => words::value(frame, value),
        };
        let name = frame.lang().t_in("host_meter", key).to_owned();
        Some(Meter::new(name, text, number.unwrap_or(0.0), value.standing))
    };
    named.into_iter().filter_map(meter).collect()
}

/// What the sources say in a sentence, and those that failed with their errors.
fn runs(frame: &Frame, runs: &[Run]) -> (String, Vec<(String, String)>) {
    let failed: Vec<(String, String)> =
        runs.iter().filter_map(|run| Some((run.source.clone(), run.error.clone()?))).collect();
    let count = i64::try_from(runs.len() - failed.len()).unwrap_or(i64::MAX);
    let all = frame.formats.number(i64::try_from(runs.len()).unwrap_or(i64::MAX));
    (frame.lang().tn("system.sources", count, &[("all", &all)]), failed)
}
