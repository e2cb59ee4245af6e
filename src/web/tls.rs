//! The handlers of the pages about TLS reports.

use std::collections::BTreeSet;

use axum::{
    extract::Path,
    routing::{MethodRouter, get},
};

use super::{
    errors::WebError,
    pages::{dmarc::period::Period, dmarc::publish, frame::Entry, tls, tls_now, tls_report},
    reports::{domains_of, value},
    state::AppState,
    system::latest,
    visit::{Desk, render},
};
use crate::{
    model::scope::normalise_domain,
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

/// `/tls-reports/{id}`: one report, as far as the visitor's domains go.
pub fn report_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk, Path(id): Path<String>| {
        desk.frame.entry = Some(Entry::Reports);
        let id: i64 = id.parse().map_err(|_| WebError::NotFound)?;
        let stored = tls_reports::find(desk.db(), desk.scope(), id).await?.ok_or(WebError::NotFound)?;
        let domains: BTreeSet<String> =
            stored.report.policies.iter().filter_map(|policy| normalise_domain(&policy.domain)).collect();
        desk.looked(Action::TlsReport, &id.to_string(), domains);
        let now = latest(&desk, Series::Metrics(&tls_now::SERIES)).await?;
        render(&tls_report::view(&desk.frame, &stored, &now))
    })
}
