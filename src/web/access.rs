//! The handlers of the access log: of everybody for admins, of the own mailbox for everybody; and of the roles.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::IntoResponse,
    routing::{MethodRouter, get},
};
use futures_util::stream;

use super::{
    errors::WebError,
    pages::{
        access::{self, Query},
        frame::Entry,
        own_access::{self, KEPT},
        roles::{self, Holder, Origin},
    },
    reports::value,
    state::AppState,
    visit::{Desk, render},
};
use crate::{
    model::{
        inventory::scope_of,
        mail::MailId,
        scope::{Role, Scope},
        user::{Grant, Reach},
    },
    store::{
        audit::{self, Action, Filter, Place},
        inventory, mails, sessions,
    },
};

/// Rows of one piece of an export.
const EXPORT_PIECE: usize = 500;
/// Mailboxes that are shown as domain admins by their name.
const MOST_NAMED: u32 = 500;

/// `/access`: who looked at what.
pub fn page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        desk.frame.entry = Some(Entry::Ingestion);
        let query = Query::parse(&desk.query);
        let (db, scope) = (desk.db(), desk.scope());
        let filter = query.filter(desk.now());
        let entries = audit::list(db, scope, &filter, query.after, access::PER_PAGE + 1).await?;
        let week = desk.now().minus(Duration::from_secs(access::WEEK));
        let input = access::Input {
            query: &query,
            entries: &entries,
            summary: &audit::summary(db, scope, week).await?,
            lost: desk.state.looks.lost(),
            limits: &desk.state.limits,
            kept: desk.state.settings.keep_access,
        };
        let page = render(&access::view(&desk.frame, input));
        desk.looked(Action::AccessLog, &query.words(), []);
        page
    })
}

/// `/access.csv`: what the filter shows, complete.
pub fn csv() -> MethodRouter<AppState> {
    get(async |desk: Desk| {
        desk.admit_export()?;
        let query = Query::parse(&desk.query);
        desk.did(Action::AccessExport, &query.words());
        let filter = query.filter(desk.now());
        let begin = (desk, filter, Some(None));
        let mut response = Body::from_stream(stream::try_unfold(begin, export_piece)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
        let disposition = HeaderValue::from_static("attachment; filename=\"access.csv\"");
        headers.insert(header::CONTENT_DISPOSITION, disposition);
        Ok::<_, WebError>(response)
    })
}

/// An export under way; the last part is where the next piece begins, `None` at the end.
type Export = (Desk, Filter, Option<Option<Place>>);

async fn export_piece((desk, filter, place): Export) -> Result<Option<(String, Export)>, std::io::Error> {
    let Some(after) = place else { return Ok(None) };
    let entries = audit::list(desk.db(), desk.scope(), &filter, after, EXPORT_PIECE).await;
    let entries = entries.map_err(|error| {
        tracing::error!(%error, "an export broke off");
        std::io::Error::other("the export broke off")
    })?;
    let mut text = if after.is_none() { access::CSV_HEAD.to_owned() } else { String::new() };
    for entry in &entries {
        access::write_csv(&mut text, entry, &desk.frame.formats);
    }
    let last = entries.last().filter(|_| entries.len() == EXPORT_PIECE);
    let place = last.map(|entry| Some(Place { at: entry.at, id: entry.id }));
    Ok(Some((text, (desk, filter, place))))
}

/// `/mailbox/access`: who looked at the log of the visitor's own mailbox, whatever the visitor's role.
pub fn own_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        desk.frame.entry = Some(Entry::Mailbox);
        let own = own_scope(&desk).await?;
        let from = desk.now().minus(KEPT.min(desk.state.settings.keep_access));
        let address = desk.visitor.address.clone();
        let filter = Filter { other_than: Some(address.clone()), from, ..Filter::default() };
        let after = access::place(&value(&desk, "after"));
        let others = audit::list(desk.db(), &own, &filter, after, own_access::PER_PAGE + 1).await?;
        let mine = audit::by(desk.db(), &address, from, own_access::OWN).await?;
        let ids: BTreeSet<MailId> = others.iter().chain(&mine).filter_map(access::mail_of).collect();
        let ids: Vec<MailId> = ids.into_iter().collect();
        let input = own_access::Input {
            others: &others,
            paged: after.is_some(),
            mine: &mine,
            mails: &mails::find_all(desk.db(), &own, &ids).await?,
        };
        render(&own_access::view(&desk.frame, input))
    })
}

/// The visitor's own mailbox and its aliases, without what a role adds.
async fn own_scope(desk: &Desk) -> Result<Scope, WebError> {
    if let Scope::Only(_) = desk.scope() {
        return Ok(desk.scope().own(&desk.visitor.address));
    }
    let address = &desk.visitor.address;
    let known = inventory::mailbox(desk.db(), address).await?;
    let since = known.map_or(desk.now(), |known| known.since);
    let pairs = inventory::pairs(desk.db(), address).await?;
    let links = inventory::alias_domains(desk.db()).await?;
    Ok(scope_of(&Grant::user(), address, since, &pairs, &links))
}

/// `/roles`: who can see what.
pub fn roles_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        desk.frame.entry = Some(Entry::Ingestion);
        let mut holders = named(&desk);
        let db = desk.db();
        if let Some(prefix) = desk.state.rules.prefix() {
            let found = inventory::mailboxes_named(db, prefix, MOST_NAMED).await?;
            let by_name = |address: String| Holder::new(address, Role::DomainAdmin, Origin::Prefix);
            // Who is an admin is no domain admin besides.
            let admin = |address: &str| desk.state.rules.admins().any(|admin| admin == address);
            let found = found.into_iter().map(|mailbox| mailbox.address).filter(|address| !admin(address));
            holders.extend(found.map(by_name));
        }
        for session in sessions::by_link(db, desk.now()).await? {
            let origin = Origin::Link(session.domains.iter().cloned().collect());
            holders.push(Holder::new(session.address, session.role, origin));
        }
        let people: BTreeSet<String> = holders.iter().map(|holder| holder.address.clone()).collect();
        let people: Vec<String> = people.into_iter().collect();
        let visits = audit::last_visits(db, &people).await?;
        let known = inventory::mailboxes(db, &people).await?;
        for holder in &mut holders {
            holder.last = visits.get(&holder.address).copied();
            holder.can_sign_in = known.iter().any(|it| it.active && it.address == holder.address);
        }
        let input = roles::Input { holders: &holders, mailboxes: inventory::count(db).await? };
        render(&roles::view(&desk.frame, input))
    })
}

/// Those whom the settings name.
fn named(desk: &Desk) -> Vec<Holder> {
    let rules = &desk.state.rules;
    let admins =
        rules.admins().map(|admin| Holder::new(admin.to_owned(), Role::Admin, Origin::Setting(Vec::new())));
    let is_admin = |address: &str| rules.admins().any(|admin| admin == address);
    let others = rules.domain_admins().filter(|(address, _)| !is_admin(address)).map(|(address, reach)| {
        let origin = match reach {
            Reach::Domains(domains) => Origin::Setting(domains.iter().cloned().collect()),
            Reach::MailcowAdmin(name) => Origin::Mailcow(name.clone()),
        };
        Holder::new(address.to_owned(), Role::DomainAdmin, origin)
    });
    admins.chain(others).collect()
}
