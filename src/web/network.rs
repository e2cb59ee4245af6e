//! The handlers of what is looked at over the network: ports, certificates, DNS records.

use std::collections::HashMap;

use axum::{
    Form,
    response::{IntoResponse, Redirect},
    routing::{MethodRouter, get, post},
};
use serde::Deserialize;

use super::{
    errors::WebError,
    pages::{
        frame::Entry,
        system::{certificates, dns, grid::Reach, ports},
    },
    state::AppState,
    system::{Histories, notable, troubled},
    visit::{Desk, render},
};
use crate::{
    metrics::{
        facts::{self, Records, Shown},
        health::{Standing, judge},
        modules::{security, tls},
        registry::Metric,
    },
    model::{
        mail::ServerId,
        sample::{DOMAIN, Labels, State},
        time::Millis,
    },
    store::samples::{Latest, wish},
};

/// The value of a name in a query.
fn asked(query: &str, wished: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == wished)
        .map(|(_, value)| value.chars().take(80).collect())
}

/// What the table is sorted by, and whether the other way round.
fn sort(query: &str) -> (String, bool) {
    (asked(query, "sort").unwrap_or_default(), asked(query, "order").as_deref() == Some("turned"))
}

/// All series of a metric.
fn each<'a>(latest: &'a [Latest], metric: &Metric) -> Vec<&'a Latest> {
    latest.iter().filter(|one| one.metric == metric.key).collect()
}

/// What one series is; `None` when it was never told.
fn state<'a>(latest: &'a [Latest], metric: &Metric) -> Option<&'a State> {
    latest.iter().find(|one| one.metric == metric.key).map(|one| &one.state)
}

async fn begin(desk: &mut Desk) -> Result<Vec<Latest>, WebError> {
    desk.frame.entry = Some(Entry::System);
    if asked(&desk.query, "asked").is_some() {
        desk.frame.message = Some(desk.frame.t("network.asked").to_owned());
    }
    notable(desk).await
}

fn port<'a>(
    latest: &'a Latest,
    histories: &Histories,
    closed: &HashMap<Labels, Millis>,
) -> Option<ports::Port<'a>> {
    let of = |metric| histories.of(metric, &latest.labels).cloned();
    let open = of(&tls::EACH_PORT_OPEN)?;
    Some(ports::Port {
        number: latest.labels.value("port")?,
        latest,
        closed_since: closed.get(&latest.labels).copied(),
        open,
        seconds: of(&tls::EACH_PORT_SECONDS),
    })
}

/// `/system/ports`: which ports were open in each hour.
pub fn ports_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        let latest = begin(&mut desk).await?;
        let healths = judge(&latest);
        let reach = asked(&desk.query, "range").and_then(|code| Reach::from_code(&code)).unwrap_or_default();
        let bounds = reach.bounds(desk.now(), &desk.frame.formats.zone);
        let from = bounds.first().copied().unwrap_or(desk.now());
        // What is no longer looked at is no port of ours.
        let used = |one: &&Latest| !matches!(one.state, State::NotInUse(_));
        let looked_at: Vec<&Latest> = each(&latest, &tls::EACH_PORT_OPEN).into_iter().filter(used).collect();
        let both = [&tls::EACH_PORT_OPEN, &tls::EACH_PORT_SECONDS];
        let series: Vec<_> =
            looked_at.iter().flat_map(|one| both.map(|metric| (metric, &one.labels))).collect();
        let histories = Histories::read(&desk, &series, (from, desk.now()), reach.points()).await?;
        let closed = troubled(&desk, &healths, &tls::EACH_PORT_OPEN).await?;
        let found = looked_at.into_iter().filter_map(|one| port(one, &histories, &closed)).collect();
        let (by, turned) = sort(&desk.query);
        let input = ports::Input {
            healths: &healths,
            ports: found,
            reach,
            bounds: &bounds,
            sort: (&by, turned),
            absent: state(&latest, &tls::HTTPS_CHECK),
        };
        render(&ports::view(&desk.frame, input))
    })
}

/// `/system/certificates`: how long each certificate lasts.
pub fn certificates_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        let latest = begin(&mut desk).await?;
        let healths = judge(&latest);
        let shown = each(&latest, &tls::EACH_CERT_FACTS);
        let stale = desk.frame.t("system.stale");
        let port = |one: &&'_ Latest| -> Option<(String, Result<Shown, String>)> {
            let number = one.labels.value("port")?.to_owned();
            let shown = match &one.state {
                State::NotInUse(_) => return None,
                _ if Standing::of(&tls::EACH_CERT_FACTS, one) == Standing::Unknown
                    && one.state.is_known() =>
                {
                    Err(stale.to_owned())
                }
                State::Text(text) => facts::read(text).ok_or_else(|| stale.to_owned()),
                State::Unknown(why) => Err(why.clone()),
                State::Number(_) => return None,
            };
            Some((number, shown))
        };
        let mut found: Vec<(String, Result<Shown, String>)> = shown.iter().filter_map(port).collect();
        found.sort_by_key(|(number, _)| number.parse::<u32>().unwrap_or(u32::MAX));
        let ports = found.iter().map(|(number, shown)| certificates::Port { number, shown: shown.clone() });
        let (by, turned) = sort(&desk.query);
        let input = certificates::Input {
            healths: &healths,
            ports: ports.collect(),
            told: shown.first().map(|one| one.told),
            sort: (&by, turned),
            absent: state(&latest, &tls::CERT_EXISTS),
        };
        render(&certificates::view(&desk.frame, input))
    })
}

/// `/system/dns`: what DNS says of each domain.
pub fn dns_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        let latest = begin(&mut desk).await?;
        let healths = judge(&latest);
        let told = each(&latest, &security::EACH_DNS_FACTS);
        let input = dns::Input {
            healths: &healths,
            domains: domains(&told),
            told: told.first().map(|one| one.told),
            query: dns::Query::parse(&desk.query),
            absent: state(&latest, &security::DNS_DETAIL),
        };
        render(&dns::view(&desk.frame, input))
    })
}

/// The domains of which something is known at present.
pub(super) fn domains<'a>(told: &[&'a Latest]) -> Vec<dns::Domain<'a>> {
    let domain = |one: &&'a Latest| {
        let State::Text(text) = &one.state else { return None };
        let records: Records = facts::read(text).filter(|_| one.fresh)?;
        Some(dns::Domain { name: one.labels.value(DOMAIN)?, records })
    };
    told.iter().filter_map(domain).collect()
}

/// What is to be looked at again.
#[derive(Debug, Deserialize)]
struct Wish {
    page: String,
}

/// `POST /system/check`: lets a probe run as soon as the collector looks, instead of in an hour.
pub fn check() -> MethodRouter<AppState> {
    post(async |desk: Desk, Form(wanted): Form<Wish>| {
        let page = ["ports", "certificates", "dns"].into_iter().find(|page| *page == wanted.page);
        // The sources have the names of the pages.
        let page = page.ok_or(WebError::NotFound)?;
        let mut tx = desk.db().begin().await?;
        wish(&mut tx, ServerId::FIRST, page, desk.now()).await?;
        tx.commit().await?;
        Ok::<_, WebError>(Redirect::to(&desk.frame.url(&format!("/system/{page}?asked=1"))).into_response())
    })
}
