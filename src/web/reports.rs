//! The handlers of the DMARC pages. Every question goes to the store with the visitor's scope; what is foreign is
//! not found, exactly like what never was.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use axum::{
    Form,
    extract::Path,
    http::{HeaderValue, header},
    response::{IntoResponse, Redirect, Response},
    routing::{MethodRouter, get, post},
};
use serde::Deserialize;

use super::{
    errors::WebError,
    pages::{
        dmarc::{self, domains, foreign, period::Period, publish},
        frame::Entry,
        report, reports, source, sources,
    },
    state::AppState,
    visit::{Desk, render},
};
use crate::{
    model::{
        advice::{self, Judge, Survey, WINDOW_DAYS},
        figures::{DomainFigures, SourceFilter, SourceShare, Span, StoredReport, Verdict},
        scope::{Scope, normalise_domain},
        time::Millis,
    },
    store::{
        audit::{self, Action},
        names, reports as shelf,
    },
};

/// Sources among which the page of a domain finds what is new and what has gone.
const LISTED: usize = 500;
/// Longest name of a source.
const LABEL: usize = 80;

/// A value of the query; empty when there is none.
pub(super) fn value(desk: &Desk, wished: &str) -> String {
    let mut pairs = url::form_urlencoded::parse(desk.query.as_bytes());
    pairs.find(|(name, _)| name == wished).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// The domains that the visitor may ask about: administered ones, for admins all hosted ones, and those with
/// reports.
pub(super) async fn domains_of(desk: &Desk, reported: Vec<String>) -> Result<Vec<String>, WebError> {
    let mut domains = reported;
    match desk.scope() {
        Scope::Only(holdings) => domains.extend(holdings.domains.iter().cloned()),
        _ => domains.extend(shelf::hosted(desk.db()).await?.into_iter().flatten()),
    }
    domains.sort();
    domains.dedup();
    Ok(domains)
}

/// `/dmarc`: one domain in full, several as a table.
pub fn overview_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        desk.frame.entry = Some(Entry::Reports);
        let period = Period::parse(&value(&desk, "range"));
        if let Some(domain) = normalise_domain(&value(&desk, "domain")) {
            return Ok(Redirect::to(&domains::link(&desk.frame, &domain, period)).into_response());
        }
        let reported = shelf::domain_names(desk.db(), desk.scope()).await?;
        let span = period.span(desk.now(), None);
        let figures = shelf::domains(desk.db(), desk.scope(), &span).await?;
        let mut silent: BTreeSet<String> = match desk.scope() {
            Scope::Only(holdings) => holdings.domains.clone(),
            _ => shelf::hosted(desk.db()).await?.unwrap_or_default(),
        };
        for one in &figures {
            silent.remove(&one.domain);
        }
        let silent: Vec<String> = silent.into_iter().collect();
        match (figures.as_slice(), silent.as_slice()) {
            ([], [] | [_]) => {
                let domain = silent.first().cloned().unwrap_or_else(|| desk.visitor.domain().to_owned());
                show_publish(&desk, &domain, &reported, period).await
            }
            ([one], []) => {
                let domain = one.domain.clone();
                show_domain(&desk, &domain, &[], period).await
            }
            _ => render(&domains::view(&desk.frame, &figures, &silent, period)),
        }
    })
}

/// `/dmarc/{domain}`: what is sent in the name of a domain.
pub fn domain_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk, Path(domain): Path<String>| {
        desk.frame.entry = Some(Entry::Reports);
        let domain = normalise_domain(&domain).ok_or(WebError::NotFound)?;
        let reported = shelf::domain_names(desk.db(), desk.scope()).await?;
        let domains = domains_of(&desk, reported).await?;
        if !domains.contains(&domain) {
            return Err(WebError::NotFound);
        }
        show_domain(&desk, &domain, &domains, Period::parse(&value(&desk, "range"))).await
    })
}

async fn figures_of(desk: &Desk, span: &Span) -> Result<Option<DomainFigures>, WebError> {
    let figures = shelf::domains(desk.db(), desk.scope(), span).await?;
    Ok(figures.into_iter().find(|figures| Some(&figures.domain) == span.domain.as_ref()))
}

async fn show_domain(
    desk: &Desk,
    domain: &str,
    domains: &[String],
    period: Period,
) -> Result<Response, WebError> {
    let (db, scope, now) = (desk.db(), desk.scope(), desk.now());
    let span = period.span(now, Some(domain));
    let figures = figures_of(desk, &span).await?;
    let Some(figures) = figures.filter(|figures| figures.reports + figures.set_aside > 0) else {
        return show_publish(desk, domain, domains, period).await;
    };
    let before = period.before(now, Some(domain));
    let window = Period { days: WINDOW_DAYS }.span(now, Some(domain));
    let of = |span: &Span| SourceFilter { span: span.clone(), ..SourceFilter::default() };
    let host = &desk.frame.brand.host;
    let recent = figures_of(desk, &window).await?.unwrap_or_default();
    let lately = Judge::of(host, &window, &recent);
    let (recent_survey, _) = shelf::survey(db, scope, &of(&window), &lately, None, 0).await?;
    let judge = Judge::of(host, &span, &figures);
    let (survey, sources) = shelf::survey(db, scope, &of(&span), &judge, None, LISTED).await?;
    let both = Span { from: before.from, ..span.clone() };
    let input = dmarc::Input {
        figures: &figures,
        days: &shelf::days(db, scope, &both).await?,
        judge,
        survey: &survey,
        sources: &sources,
        earlier: &shelf::sources(db, scope, &of(&before), LISTED).await?,
        signers: &signers(desk, &recent_survey, &window).await?,
        recent: &recent,
        lately,
        recent_survey: &recent_survey,
        period,
        domains,
    };
    render(&dmarc::view(&desk.frame, input))
}

/// For which domain each own source signs of which nothing passes, where its signatures hold.
async fn signers(desk: &Desk, recent: &Survey, window: &Span) -> Result<BTreeMap<IpAddr, String>, WebError> {
    let mut signers = BTreeMap::new();
    for source in advice::silent(recent) {
        let detail = shelf::source(desk.db(), desk.scope(), source.ip, window).await?;
        let domain = detail.iter().flat_map(|detail| &detail.signers).find_map(SourceShare::signed_domain);
        signers.extend(domain.map(|domain| (source.ip, domain.to_owned())));
    }
    Ok(signers)
}

async fn show_publish(
    desk: &Desk,
    domain: &str,
    domains: &[String],
    period: Period,
) -> Result<Response, WebError> {
    let reported = shelf::domain_names(desk.db(), desk.scope()).await?;
    let input = publish::Input {
        kind: publish::Kind::Dmarc,
        domain,
        domains,
        mailbox: desk.state.settings.report_mailbox.as_deref(),
        period,
        quiet: reported.iter().any(|reported| reported == domain),
    };
    let hosted = shelf::hosted(desk.db()).await?;
    if input.quiet && hosted.is_some_and(|hosted| !hosted.contains(domain)) {
        let reports = shelf::how_many(desk.db(), desk.scope(), domain).await?;
        return render(&foreign::view(&desk.frame, domain, domains, reports, period));
    }
    render(&publish::view(&desk.frame, input))
}

/// `/dmarc/sources`: who sends in the name of the domains.
pub fn sources_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        desk.frame.entry = Some(Entry::Reports);
        let query = sources::Query::parse(&desk.query);
        let domain = Some(query.domain.as_str()).filter(|domain| !domain.is_empty());
        let span = query.period.span(desk.now(), domain);
        let (db, scope) = (desk.db(), desk.scope());
        let domains = shelf::domain_names(db, scope).await?;
        let host = desk.frame.brand.host.clone();
        let judge = judge(&desk, &host, &span).await?;
        let filter = query.filter(span);
        let (survey, found) =
            shelf::survey(db, scope, &filter, &judge, query.standing, sources::MOST).await?;
        let input =
            sources::Input { query: &query, survey: &survey, sources: &found, judge, domains: &domains };
        render(&sources::view(&desk.frame, input))
    })
}

/// The measure of all sources of a span in the visitor's scope.
async fn judge<'a>(desk: &Desk, host: &'a str, span: &Span) -> Result<Judge<'a>, WebError> {
    let figures = shelf::domains(desk.db(), desk.scope(), span).await?;
    let mut all = DomainFigures::default();
    for one in figures.iter().filter(|one| span.domain.as_ref().is_none_or(|own| *own == one.domain)) {
        all.sums = advice::add(all.sums, &one.sums);
        all.before = advice::add(all.before, &one.before);
    }
    Ok(Judge::of(host, span, &all))
}

/// `/dmarc/sources/{ip}`: one source.
pub fn source_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk, Path(ip): Path<String>| {
        desk.frame.entry = Some(Entry::Reports);
        let ip: IpAddr = ip.parse().map_err(|_| WebError::NotFound)?;
        let period = Period::parse(&value(&desk, "range"));
        let domain = normalise_domain(&value(&desk, "domain")).unwrap_or_default();
        let span = period.span(desk.now(), Some(domain.as_str()).filter(|domain| !domain.is_empty()));
        let (db, scope) = (desk.db(), desk.scope());
        let detail = shelf::source(db, scope, ip, &span).await?.ok_or(WebError::NotFound)?;
        let domains = shelf::domain_names(db, scope).await?;
        if value(&desk, "said") == "1" {
            desk.frame.message = Some(desk.frame.t("source.said").to_owned());
        }
        let host = desk.frame.brand.host.clone();
        let judge = judge(&desk, &host, &span).await?;
        let input = source::Input {
            detail: &detail,
            judge,
            domain: &domain,
            domains: &domains,
            period,
            mails_from: mails_from(&desk),
        };
        render(&source::view(&desk.frame, input))
    })
}

/// From when on mails are kept.
fn mails_from(desk: &Desk) -> Millis {
    desk.now().minus(desk.state.settings.keep_mails)
}

/// What an admin says of a source.
#[derive(Debug, Deserialize)]
struct Said {
    #[serde(default)]
    label: String,
    verdict: String,
}

/// `/dmarc/sources/{ip}/judgement`: an admin names and judges a source. It can be taken back, and is written down.
pub fn judge_source() -> MethodRouter<AppState> {
    post(async |desk: Desk, Path(ip): Path<String>, Form(said): Form<Said>| {
        let ip: IpAddr = ip.parse().map_err(|_| WebError::NotFound)?;
        let verdict = Verdict::from_code(&said.verdict).ok_or(WebError::Form)?;
        let everything =
            Span { from: Millis(0), to: Millis(i64::MAX), horizon: Millis(i64::MAX), domain: None };
        shelf::source(desk.db(), desk.scope(), ip, &everything).await?.ok_or(WebError::NotFound)?;
        let label: String = said.label.trim().chars().filter(|c| !c.is_control()).take(LABEL).collect();
        let label = Some(label.as_str()).filter(|label| !label.is_empty());
        let mut tx = desk.db().begin().await?;
        shelf::judge(&mut tx, ip, label, verdict).await?;
        let detail = format!("{ip}: {} {}", verdict.code(), label.unwrap_or_default());
        audit::record(&mut tx, &desk.entry(Action::SourceJudged, detail.trim_end())).await?;
        tx.commit().await?;
        Ok::<_, WebError>(Redirect::to(&desk.frame.url(&format!("/dmarc/sources/{ip}?said=1"))))
    })
}

/// `/dmarc/reports`: the list.
pub fn list_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        desk.frame.entry = Some(Entry::Reports);
        let query = reports::Query::parse(&desk.query);
        let (db, scope) = (desk.db(), desk.scope());
        let lines = shelf::list(db, scope, &query.filter, query.after, reports::PER_PAGE + 1).await?;
        let input = reports::Input {
            query: &query,
            lines: &lines,
            months: &shelf::months(db, scope).await?,
            domains: &shelf::domain_names(db, scope).await?,
        };
        render(&reports::view(&desk.frame, input))
    })
}

async fn found(desk: &Desk, serial: &str) -> Result<StoredReport, WebError> {
    let serial: i64 = serial.parse().map_err(|_| WebError::NotFound)?;
    shelf::find(desk.db(), desk.scope(), serial).await?.ok_or(WebError::NotFound)
}

/// `/dmarc/reports/{serial}`: one report.
pub fn report_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk, Path(serial): Path<String>| {
        desk.frame.entry = Some(Entry::Reports);
        let stored = found(&desk, &serial).await?;
        let xml = shelf::xml(desk.db(), desk.scope(), stored.line.serial).await?;
        let ips: Vec<IpAddr> = stored.report.records.iter().filter_map(|record| record.source).collect();
        let labels = names::said_of(desk.db(), &ips).await?;
        let labels: BTreeMap<IpAddr, String> =
            labels.into_iter().filter_map(|(ip, said)| Some((ip, said.label?))).collect();
        desk.looked(Action::Report, &serial, [stored.line.domain.clone()]);
        let input = report::Input {
            stored: &stored,
            xml: xml.as_deref(),
            names: &names::of(desk.db(), &ips).await?.into_iter().collect(),
            labels: &labels,
            back: desk.back.as_deref(),
            mails_from: mails_from(&desk),
        };
        render(&report::view(&desk.frame, input))
    })
}

/// `/dmarc/reports/{serial}/xml`: the XML as it came, to be saved and never to be shown by the browser; with `other`
/// that of another body of the same report.
pub fn report_xml() -> MethodRouter<AppState> {
    get(async |desk: Desk, Path(serial): Path<String>| {
        let stored = found(&desk, &serial).await?;
        let (db, scope, number) = (desk.db(), desk.scope(), stored.line.serial);
        let xml = match value(&desk, "other").as_str() {
            "" => shelf::xml(db, scope, number).await?,
            other => {
                let other = other.parse().map_err(|_| WebError::NotFound)?;
                shelf::variant_xml(db, scope, number, other).await?
            }
        };
        let xml = xml.ok_or(WebError::NotFound)?;
        desk.looked(Action::ReportXml, &serial, [stored.line.domain.clone()]);
        let line = &stored.line;
        let name = report::file_name(&line.domain, &line.org, line.begin, &format!("{serial}.xml"));
        download(xml, "text/xml; charset=utf-8", &name)
    })
}

/// A document as it came, to be saved and never to be shown by the browser.
pub(super) fn download(document: Vec<u8>, kind: &'static str, name: &str) -> Result<Response, WebError> {
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    let mut response = document.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_DISPOSITION, disposition.map_err(WebError::broken)?);
    Ok(response)
}
