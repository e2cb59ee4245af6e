//! The handlers of the system's pages: what the series are at present, their history, and who may see it.

use std::{collections::HashMap, time::Duration};

use axum::{
    Json,
    extract::Path,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};

use super::{
    errors::WebError,
    pages::{
        frame::{Entry, Frame},
        system::{
            self, Filling, Which,
            chart::{self, Chart, Line, POINTS, Reach},
            overview, own,
            plan::{self, Plan},
            table::{self, Listed},
            window::Window,
            words,
        },
    },
    state::AppState,
    traffic,
    visit::{Desk, render},
};
use crate::{
    metrics::{
        health::{Health, Value, judge, mailbox_limits, trouble},
        modules::{self, mailboxes},
        registry::{Metric, Module},
    },
    model::{
        mail::ServerId,
        sample::{Labels, MAILBOX, State as SampleState},
        scope::Scope,
        time::Millis,
    },
    remote::objects::Mailbox,
    store::{
        inventory,
        samples::{self, Beyond, Latest, Range, Which as Series},
    },
};

/// What fills up is looked at so far back.
const GROWTH: Duration = Duration::from_secs(30 * 86_400);
/// The page of domains tells so many of them with their mail flow.
const MOST_CARDS: usize = 50;
/// How long a page waits for what Mailcow knows of the last logins.
const LOGINS: Duration = Duration::from_secs(2);
/// A module with more series than this has no figures of their history on its page.
const MOST_FIGURES: usize = 40;

pub(super) async fn latest(desk: &Desk, which: Series<'_>) -> Result<Vec<Latest>, WebError> {
    Ok(samples::latest(desk.db(), desk.scope(), ServerId::FIRST, which, desk.now()).await?)
}

/// All series that a page about the whole needs: of single mailboxes only those that are not fine.
pub(super) async fn notable(desk: &Desk) -> Result<Vec<Latest>, WebError> {
    latest(desk, Series::Notable(&mailbox_limits())).await
}

/// The histories of the series that a page shows, in one span of time: each is read once.
pub(super) struct Histories(HashMap<(&'static str, String), Range>);

impl Histories {
    /// Reads them.
    pub(super) async fn read(
        desk: &Desk,
        series: &[(&'static Metric, &Labels)],
        span: (Millis, Millis),
        points: u32,
    ) -> Result<Self, WebError> {
        let mut wanted: Vec<(&str, &Labels)> = Vec::new();
        let mut keys = Vec::new();
        for (metric, labels) in series {
            let key = (metric.key, labels.text());
            if !keys.contains(&key) {
                keys.push(key);
                wanted.push((metric.key, labels));
            }
        }
        let found = samples::ranges(desk.db(), desk.scope(), ServerId::FIRST, &wanted, span, points).await?;
        Ok(Self(keys.into_iter().zip(found).filter_map(|(key, range)| Some((key, range?))).collect()))
    }

    /// That of one series; `None` where there is none that the visitor may see.
    pub(super) fn of(&self, metric: &'static Metric, labels: &Labels) -> Option<&Range> {
        self.0.get(&(metric.key, labels.text()))
    }
}

/// `/system`: is everything all right?
pub fn overview_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        desk.frame.entry = Some(Entry::System);
        let latest = notable(&desk).await?;
        let runs = samples::sources(desk.db()).await?;
        let healths = judge(&latest);
        let since = begins(&desk, &healths, overview::TROUBLES).await?;
        let input = overview::Input { healths: &healths, since: &since, runs: &runs };
        render(&overview::view(&desk.frame, input))
    })
}

/// Since when the first of the troubles have been, at most so many.
pub(super) async fn begins(
    desk: &Desk,
    healths: &[Health<'_>],
    most: usize,
) -> Result<Vec<Option<Millis>>, WebError> {
    let wrong = overview::troubles(healths);
    let first: Vec<&Value<'_>> =
        wrong.iter().take(most).filter_map(|trouble| trouble.first().copied()).collect();
    begins_of(desk, &first).await
}

/// Since when values have been beyond their limits; at the latest since they are just what they are.
async fn begins_of(desk: &Desk, values: &[&Value<'_>]) -> Result<Vec<Option<Millis>>, WebError> {
    let asked: Vec<Beyond<'_>> = values.iter().filter_map(|value| trouble(value)).collect();
    let begins = samples::beyond_since(desk.db(), desk.scope(), ServerId::FIRST, &asked).await?;
    let mut begins = begins.into_iter();
    let begin = |value: &&Value<'_>| {
        let latest = value.latest?;
        let begin = begins.next().flatten();
        Some(begin.map_or(latest.since, |begin| begin.min(latest.since)))
    };
    Ok(values.iter().map(begin).collect())
}

/// Since when each series of a metric that is in trouble has been so, by its labels.
pub(super) async fn troubled(
    desk: &Desk,
    healths: &[Health<'_>],
    metric: &Metric,
) -> Result<HashMap<Labels, Millis>, WebError> {
    let values = healths.iter().flat_map(|health| &health.values);
    let wrong = values.filter(|value| value.metric.key == metric.key && value.standing.is_trouble());
    let wrong: Vec<&Value<'_>> = wrong.collect();
    let begins = begins_of(desk, &wrong).await?;
    let labels = wrong.iter().filter_map(|value| value.latest).map(|latest| latest.labels.clone());
    Ok(labels.zip(begins).filter_map(|(labels, begin)| Some((labels, begin?))).collect())
}

/// `/system/{page}`: a module, trends, capacity, domains.
pub fn module_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk, Path(code): Path<String>| {
        desk.frame.entry = Some(Entry::System);
        let which = Which::from_code(&code).ok_or(WebError::NotFound)?;
        let asked = Asked::parse(&desk.frame, &desk.query, which);
        let latest =
            if lists_mailboxes(which) { latest(&desk, Series::All).await? } else { notable(&desk).await? };
        let healths = judge(&latest);
        let own = match which {
            Which::Module(module) => healths.iter().find(|health| health.module == module),
            _ => None,
        };
        let apart = asked.chart.map(|metric| [metric]);
        let plans: Vec<Plan<'_>> = match (which, &apart) {
            (_, Some(metric)) => vec![("", metric)],
            (Which::Module(module), None) => {
                plan::place_of(module).map(|place| place.charts.to_vec()).unwrap_or_default()
            }
            (Which::Trends, None) => plan::TRENDS.to_vec(),
            _ => Vec::new(),
        };
        let measured = measured(own);
        let mut series: Vec<(&'static Metric, &Labels)> =
            plans.iter().flat_map(|(_, metrics)| lines(&latest, metrics)).collect();
        series.extend(&measured);
        let span = (asked.window.from, asked.window.to);
        let histories = Histories::read(&desk, &series, span, POINTS).await?;
        let charts = plans.into_iter().filter_map(|plan| drawn(&desk, &latest, plan, &histories, span));
        let charts: Vec<Chart> = charts.collect();
        let ranges = measured.into_iter().filter_map(|(metric, labels)| {
            Some((metric, labels.text(), histories.of(metric, labels)?.clone()))
        });
        let ranges: Vec<_> = ranges.collect();
        let since = match own.and_then(Health::worst).filter(|value| value.standing.is_trouble()) {
            Some(value) => begins_of(&desk, &[value]).await?.into_iter().next().flatten(),
            None => None,
        };
        let is_collector = which == Which::Module(Module::Collector);
        let runs = if is_collector { samples::sources(desk.db()).await? } else { Vec::new() };
        let filling = if which == Which::Capacity { filling(&desk, &healths).await? } else { Vec::new() };
        let query = table::Query::parse(&desk.query);
        let input = system::Input {
            which,
            healths: &healths,
            charts,
            window: asked.window,
            apart: asked.chart.map(|metric| metric.key),
            ranges: &ranges,
            table: which.listed().map(|listed| table::view(&desk.frame, listed, &latest, query)),
            runs: &runs,
            filling: &filling,
            since,
        };
        render(&system::view(&desk.frame, input))
    })
}

/// Whether a page tells of each mailbox.
fn lists_mailboxes(which: Which) -> bool {
    match which {
        Which::Module(module) => {
            modules::all().any(|metric| metric.module == module && metric.labels.contains(&MAILBOX))
        }
        which => which == Which::Domains,
    }
}

/// What the address of a page asks for.
struct Asked {
    window: Window,
    chart: Option<&'static Metric>,
}

impl Asked {
    fn parse(frame: &Frame, query: &str, which: Which) -> Self {
        let value = |wished: &str| {
            url::form_urlencoded::parse(query.as_bytes())
                .find(|(name, _)| name == wished)
                .map(|(_, value)| value)
        };
        let usual = if which == Which::Trends { Reach::Month } else { Reach::default() };
        let chart = value("chart").and_then(|key| modules::by_key(&key)).filter(|metric| {
            metric.kind.is_numeric() && matches!(which, Which::Module(module) if module == metric.module)
        });
        Self { window: Window::parse(frame, query, usual), chart }
    }
}

/// The series that a chart of these metrics shows, those with the greatest numbers first.
fn lines<'a>(
    latest: &'a [Latest],
    metrics: &[&'static Metric],
) -> impl Iterator<Item = (&'static Metric, &'a Labels)> + use<'a> {
    let of = |metric: &'static Metric| {
        let mut own: Vec<&Latest> = latest
            .iter()
            .filter(|one| one.metric == metric.key && !matches!(one.state, SampleState::NotInUse(_)))
            .collect();
        own.sort_by(|a, b| b.state.number().unwrap_or(-1.0).total_cmp(&a.state.number().unwrap_or(-1.0)));
        own.into_iter().take(chart::LINES).map(move |one| (metric, &one.labels))
    };
    metrics.iter().copied().flat_map(of).collect::<Vec<_>>().into_iter()
}

/// A chart of a plan; `None` when none of its series is there, or none is in use.
fn drawn(
    desk: &Desk,
    latest: &[Latest],
    (title, metrics): Plan<'_>,
    histories: &Histories,
    span: (Millis, Millis),
) -> Option<Chart> {
    let lang = desk.frame.lang();
    let line = |(metric, labels): (&'static Metric, &Labels)| {
        let range = histories.of(metric, labels)?.clone();
        let label: Vec<&str> = labels.iter().map(|(_, value)| value).collect();
        let name = match (label.as_slice(), metrics.len()) {
            ([], _) => words::name(lang, metric).to_owned(),
            (_, 1) => label.join(", "),
            _ => format!("{}: {}", words::name(lang, metric), label.join(", ")),
        };
        Some(Line { name, metric, range })
    };
    let lines: Vec<Line> = lines(latest, metrics).filter_map(line).collect();
    let first = metrics.first().filter(|_| !lines.is_empty())?;
    let title = if title.is_empty() { words::name(lang, first) } else { lang.t_in("chart_title", title) };
    Some(chart::draw(&desk.frame, first.key, title.to_owned(), lines, span))
}

/// The series of a module whose lowest, average and highest its page tells.
fn measured<'a>(health: Option<&Health<'a>>) -> Vec<(&'static Metric, &'a Labels)> {
    let values = health.into_iter().flat_map(|health| &health.values);
    let numeric = values.filter(|value| value.metric.kind.is_numeric() && value.metric.labels.len() < 2);
    let series = numeric.take(MOST_FIGURES).filter_map(|value| Some((value.metric, &value.latest?.labels)));
    series.collect()
}

/// What fills up, fullest first.
async fn filling<'a>(desk: &Desk, healths: &[Health<'a>]) -> Result<Vec<Filling<'a>>, WebError> {
    let wanted = |value: &&Value<'_>| plan::FILLING.iter().any(|metric| metric.key == value.metric.key);
    let values = healths.iter().flat_map(|health| &health.values).filter(wanted);
    let told = values.filter_map(|value| {
        let latest = value.latest.filter(|latest| latest.state.number().is_some())?;
        Some((value, (value.metric, &latest.labels)))
    });
    let (values, series): (Vec<&Value<'_>>, Vec<_>) = told.unzip();
    let span = (desk.now().minus(GROWTH), desk.now());
    let histories = Histories::read(desk, &series, span, 2 * POINTS).await?;
    let forecast = |(metric, labels)| system::forecast(&histories.of(metric, labels)?.points);
    let filling = values.into_iter().zip(series);
    let mut filling: Vec<Filling<'_>> =
        filling.map(|(value, series)| Filling { value: *value, forecast: forecast(series) }).collect();
    let share =
        |filling: &Filling<'_>| filling.value.latest.and_then(|latest| latest.state.number()).unwrap_or(0.0);
    filling.sort_by(|a, b| share(b).total_cmp(&share(a)));
    Ok(filling)
}

/// `/domains`: the domains of a domain admin, and their mailboxes.
pub fn domains_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        desk.frame.entry = Some(if desk.frame.is_admin() { Entry::System } else { Entry::Domains });
        let latest = latest(&desk, Series::All).await?;
        let query = table::Query::parse(&desk.query);
        let listed = [Listed::Domains, Listed::Mailboxes, Listed::SyncJobs];
        let tables = listed.map(|listed| table::view(&desk.frame, listed, &latest, query.clone()));
        let (mut checked, mut cards) = (own::checked(&latest), Vec::new());
        if let Scope::Only(holdings) = desk.scope() {
            // Domains without any series, as alias domains, have mails all the same.
            for domain in &holdings.domains {
                checked.entry(domain).or_default();
            }
        }
        let mut links = inventory::alias_domains(desk.db()).await?;
        links.retain(|link| checked.contains_key(link.target.as_str()));
        let target = |domain: &str| links.iter().find(|link| link.alias_domain == domain);
        let all = checked.len();
        let day = traffic::counted_day(&desk).await?;
        for (domain, checks) in checked.into_iter().take(MOST_CARDS) {
            let flow = match day {
                Some(day) => Some(traffic::flow_of(&desk, domain, day).await?),
                None => None,
            };
            cards.push(match target(domain) {
                Some(link) => own::alias(&desk.frame, domain, &link.target, flow.as_ref()),
                None => own::card(&desk.frame, domain, &checks, flow.as_ref()),
            });
        }
        render(&own::domains(&desk.frame, cards, all, tables.into()))
    })
}

/// `/mailbox`: the visitor's own mailbox, and nobody else's, whatever their role.
pub fn mailbox_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        desk.frame.entry = Some(Entry::Mailbox);
        let address = desk.visitor.address.clone();
        let mut latest = latest(&desk, Series::All).await?;
        latest.retain(|one| one.labels.mailbox().as_deref() == Some(address.as_str()));
        let number = |metric: &Metric| {
            latest.iter().find(|one| one.metric == metric.key && one.fresh).and_then(|one| one.state.number())
        };
        let word =
            |metric: &'static Metric| number(metric).map(|value| words::number(&desk.frame, metric, value));
        let used = word(&mailboxes::EACH_MAILBOX_USED_MB).map(|used| {
            let quota = number(&mailboxes::EACH_MAILBOX_QUOTA_MB).filter(|quota| *quota > 0.0);
            let metric = &mailboxes::EACH_MAILBOX_QUOTA_MB;
            (used, quota.map(|quota| words::number(&desk.frame, metric, quota)))
        });
        let used_over_time = [&mailboxes::EACH_MAILBOX_USED_MB];
        let window = Window::back(Reach::Month, desk.now());
        let span = (window.from, window.to);
        let series: Vec<_> = lines(&latest, &used_over_time).collect();
        let histories = Histories::read(&desk, &series, span, POINTS).await?;
        let charts = drawn(&desk, &latest, ("", &used_over_time), &histories, span);
        let query = table::Query::default();
        let tables = [Listed::Mailboxes, Listed::SyncJobs];
        let tables = tables.map(|listed| table::view(&desk.frame, listed, &latest, query.clone()));
        let logins = logins(&desk, &address).await;
        let logins = own::logins(&desk.frame, logins.as_ref());
        render(&own::mailbox(&desk.frame, used, logins, charts.into_iter().collect(), tables.into()))
    })
}

/// What Mailcow says of a mailbox, if it says so soon: nobody waits for its last logins.
async fn logins(desk: &Desk, address: &str) -> Option<Mailbox> {
    tokio::time::timeout(LOGINS, desk.state.mailcow.mailbox(address)).await.ok()?.ok()?
}

/// `/chart/{key}`: the points of one series as JSON: moment in milliseconds, average, lowest, highest. The labels of
/// the series stand in the query; a series that the visitor may not see is not there.
pub fn chart_data() -> MethodRouter<AppState> {
    get(async |desk: Desk, Path(key): Path<String>| {
        let metric = modules::by_key(&key).ok_or(WebError::NotFound)?;
        let value = |wished: &str| {
            url::form_urlencoded::parse(desk.query.as_bytes())
                .find(|(name, _)| name == wished)
                .map(|(_, value)| value.into_owned())
        };
        let mut labels = Labels::NONE;
        for name in metric.labels {
            labels = labels.with(name, &value(name).ok_or(WebError::NotFound)?);
        }
        let window = Window::parse(&desk.frame, &desk.query, Reach::default());
        let span = (window.from, window.to);
        let histories = Histories::read(&desk, &[(metric, &labels)], span, POINTS).await?;
        let range = histories.of(metric, &labels).ok_or(WebError::NotFound)?;
        let points = range.points.iter().map(|point| {
            let (low, high) = point.extremes.unzip();
            serde_json::json!([point.at.0, point.mean(), low, high])
        });
        let points: Vec<serde_json::Value> = points.collect();
        let body = serde_json::json!({
            "key": metric.key, "unit": metric.unit.code(), "width": range.width, "points": points,
        });
        Ok::<Response, WebError>(Json(body).into_response())
    })
}
