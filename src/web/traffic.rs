//! Mail flow: what became of mails, hour by hour, of the domains that the visitor may see.

use std::time::Duration;

use axum::routing::{MethodRouter, get};

use super::{
    errors::WebError,
    pages::{
        frame::Entry,
        known::{Blind, Known},
        traffic::{self, Reach},
    },
    reports::value,
    state::AppState,
    visit::{Desk, render},
};
use crate::{
    model::{
        scope::{Scope, normalise_domain},
        time::Millis,
        traffic::{Side, Traffic},
    },
    store::{
        audit::Action,
        ingestion,
        traffic::{self as shelf, Whose},
    },
};

/// `/flow`.
pub fn page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        let reach = Reach::from_code(&value(&desk, "range")).unwrap_or_default();
        let side = Side::from_code(&value(&desk, "side")).unwrap_or(Side::In);
        let asked = Some(value(&desk, "domain")).filter(|domain| !domain.is_empty());
        let domain = asked.as_deref().and_then(normalise_domain);
        // A foreign domain and none look alike.
        if asked.is_some() && domain.as_ref().is_none_or(|domain| !may_see(desk.scope(), domain)) {
            return Err(WebError::NotFound);
        }
        let (from, to) = reach.span(&desk.frame);
        desk.freshness(if desk.frame.is_admin() { Entry::System } else { Entry::Domains }, from, to).await?;
        let whose = match &domain {
            Some(domain) => Whose::Domain(domain, side),
            None => Whose::All(side),
        };
        let hours = shelf::hours(desk.db(), desk.scope(), &whose, (from, to)).await?;
        let domains: Vec<String> = match desk.scope() {
            Scope::Only(holdings) => holdings.domains.iter().cloned().collect(),
            _ => shelf::ours(desk.db()).await?.into_iter().collect(),
        };
        let input = traffic::Input {
            reach,
            side: (domain.is_some() || !desk.frame.is_admin()).then_some(side),
            domain: domain.as_deref(),
            domains: &domains,
            hours: &hours,
            complete: shelf::is_complete(desk.db(), (from, to)).await?,
        };
        // It names who writes to whom most.
        desk.looked(Action::MailFlow, domain.as_deref().unwrap_or_default(), domain.clone());
        render(&traffic::view(&desk.frame, &input))
    })
}

fn may_see(scope: &Scope, domain: &str) -> bool {
    !matches!(scope, Scope::Only(holdings) if !holdings.domains.contains(domain))
}

/// The last 24 hours, for an overview of domains; `None` while the log was not read, or mails of theirs are still to be counted.
pub(super) async fn counted_day(desk: &Desk) -> Result<Option<(Millis, Millis)>, WebError> {
    let (from, to) = (desk.now().minus(Duration::from_secs(86_400)), desk.now());
    let day = (Millis(from.0 - from.0.rem_euclid(3_600_000)), to);
    let sources = ingestion::sources(desk.db()).await?;
    let kept = desk.state.settings.keep_mails;
    let is_read = !Known::new(&sources, &[], kept, (Some(day.0), None), to).blind().contains(&Blind::Unread);
    Ok((is_read && shelf::is_complete(desk.db(), day).await?).then_some(day))
}

/// The mails to a domain and from it, in a span of whole hours.
pub(super) async fn flow_of(
    desk: &Desk,
    domain: &str,
    span: (Millis, Millis),
) -> Result<[Traffic; 2], WebError> {
    let mut sums = [const { None }; 2];
    for (sum, side) in sums.iter_mut().zip(Side::ALL) {
        let hours = shelf::hours(desk.db(), desk.scope(), &Whose::Domain(domain, side), span).await?;
        let mut whole = Traffic::default();
        hours.iter().for_each(|(_, hour)| whole.merge(hour));
        *sum = Some(whole);
    }
    Ok(sums.map(Option::unwrap_or_default))
}
