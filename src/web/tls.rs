//! The handlers of the pages about TLS reports.

use std::collections::BTreeSet;

use axum::{
    extract::Path,
    routing::{MethodRouter, get},
};

use super::{
    errors::WebError,
    pages::{dmarc::period::Period, dmarc::publish, frame::Entry, report, tls, tls_now, tls_report},
    reports::{domains_of, download, value},
    state::AppState,
    system::latest,
    visit::{Desk, render},
};
use crate::{
    model::{figures::StoredTlsReport, scope::normalise_domain},
    store::{audit::Action, samples::Which as Series, tls_reports},
};

/// `/tls-reports`: could other servers reach us with encryption?
pub fn list_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        desk.frame.entry = Some(Entry::Reports);
        let (db, scope) = (desk.db(), desk.scope());
        let reported = tls_reports::domain_names(db, scope).await?;
        let domain = normalise_domain(&value(&desk, "domain")).unwrap_or_default();
        let only = Some(domain.as_str()).filter(|domain| !domain.is_empty());
        let period = Period::parse(&value(&desk, "range"));
        let has_reports = only.map_or(!reported.is_empty(), |only| reported.iter().any(|one| one == only));
        if !has_reports {
            let domains = domains_of(&desk, reported).await?;
            let first = only.map(str::to_owned).filter(|only| domains.contains(only));
            let domain = first.or_else(|| domains.first().cloned());
            let domain = domain.unwrap_or_else(|| desk.visitor.domain().to_owned());
            let input = publish::Input {
                kind: publish::Kind::Tls,
                domain: &domain,
                domains: &domains,
                mailbox: desk.state.settings.report_mailbox.as_deref(),
                period,
                quiet: false,
            };
            return render(&publish::view(&desk.frame, input));
        }
        let after: Option<i64> = value(&desk, "after").parse().ok();
        let span = period.span(desk.now(), only);
        let input = tls::Input {
            domain: &domain,
            domains: &reported,
            period,
            days: &tls_reports::days(db, scope, &span).await?,
            failures: &tls_reports::failures(db, scope, &span).await?,
            lines: &tls_reports::list(db, scope, only, after, tls::PER_PAGE).await?,
            paged: after.is_some(),
        };
        render(&tls::view(&desk.frame, input))
    })
}

async fn found(desk: &Desk, id: &str) -> Result<StoredTlsReport, WebError> {
    let id: i64 = id.parse().map_err(|_| WebError::NotFound)?;
    tls_reports::find(desk.db(), desk.scope(), id).await?.ok_or(WebError::NotFound)
}

fn domains_in(stored: &StoredTlsReport) -> BTreeSet<String> {
    stored.report.policies.iter().filter_map(|policy| normalise_domain(&policy.domain)).collect()
}

/// `/tls-reports/{id}`: one report, as far as the visitor's domains go.
pub fn report_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk, Path(id): Path<String>| {
        desk.frame.entry = Some(Entry::Reports);
        let stored = found(&desk, &id).await?;
        desk.looked(Action::TlsReport, &stored.id.to_string(), domains_in(&stored));
        let now = latest(&desk, Series::Metrics(&tls_now::SERIES)).await?;
        render(&tls_report::view(&desk.frame, &stored, &now))
    })
}

/// `/tls-reports/{id}/json`: the JSON as it came, for those who may see all of it; with `other` that of another body of the
/// same report.
pub fn report_json() -> MethodRouter<AppState> {
    get(async |desk: Desk, Path(id): Path<String>| {
        let stored = found(&desk, &id).await?;
        let other = match value(&desk, "other").as_str() {
            "" => None,
            other => Some(other.parse().map_err(|_| WebError::NotFound)?),
        };
        let json = tls_reports::json(desk.db(), desk.scope(), stored.id, other).await?;
        let (json, domains) = (json.ok_or(WebError::NotFound)?, domains_in(&stored));
        let domain = domains.first().cloned().unwrap_or_default();
        desk.looked(Action::TlsReportJson, &stored.id.to_string(), domains);
        let end = format!("{}.json", stored.id);
        let name = report::file_name(&domain, &stored.report.org, stored.report.begin, &end);
        download(json, "application/json", &name)
    })
}
