//! What a handler of a page begins with: the visitor, the frame, the query.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use askama::Template;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Uri, header, request},
    response::{Html, IntoResponse, Response},
};

use super::{
    client::Client,
    errors::WebError,
    limits::Class,
    pages::{
        frame::{Entry, Frame, Freshness},
        mails::Whose,
        query::Query,
        reports,
    },
    state::AppState,
    visitor::Guest,
};
use crate::{
    model::{
        explain::Dictionary,
        mail::VisibleMail,
        scope::{Role, Scope},
        time::Millis,
        user::Visitor,
    },
    store::{
        Db,
        audit::{self, Action},
        ingestion::{self, Gap, Source},
        lists::Lists,
    },
};

/// What most pages fit in, in bytes.
const ROOM: usize = 64 << 10;

/// A visitor at work: who asks, in which frame, for what.
pub(super) struct Desk {
    /// What every handler may use.
    pub state: AppState,
    /// Who asks.
    pub visitor: Visitor,
    /// Everything around the page.
    pub frame: Frame,
    /// The part of the address behind `?`.
    pub query: String,
    /// The list with its filter, if that is where the visitor came from.
    pub back: Option<String>,
    /// Address of the browser.
    pub client: Client,
}

/// What tells how fresh the data are, and the lists of that moment.
pub(super) struct Fresh {
    /// Lists as they are now.
    pub lists: Lists,
    /// How far each log was read.
    pub sources: Arc<Vec<Source>>,
    /// Gaps in the range.
    pub gaps: Arc<Vec<Gap>>,
}

impl FromRequestParts<AppState> for Desk {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut request::Parts, state: &AppState) -> Result<Self, WebError> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        let guest = Guest::read(state, parts);
        let here = below_base(state, &parts.uri);
        let frame = Frame::around(state, &guest, Some(&visitor), &here);
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let back = list_before(state, &frame, &parts.headers);
        Ok(Self { state: state.clone(), visitor, frame, query, back, client: guest.client })
    }
}

/// The list that the visitor came from, with its filter: that of mails or that of reports.
fn list_before(state: &AppState, frame: &Frame, headers: &HeaderMap) -> Option<String> {
    let before = url::Url::parse(headers.get(header::REFERER)?.to_str().ok()?).ok()?;
    if before.origin() != state.settings.public_url.origin() {
        return None;
    }
    let query = before.query().unwrap_or_default();
    match before.path() {
        path if path == state.settings.at("/mails") => {
            Some(state.settings.at("/mails") + &Query::parse(query).link())
        }
        path if path == state.settings.at("/dmarc/reports") => Some(reports::Query::parse(query).link(frame)),
        _ => None,
    }
}

/// The path and query of a request below the base path.
fn below_base(state: &AppState, uri: &Uri) -> String {
    let whole = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = whole.strip_prefix(&state.settings.base_path).unwrap_or(whole);
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

impl Desk {
    /// The database.
    pub fn db(&self) -> &Db {
        &self.state.db
    }

    /// What the visitor may see.
    pub fn scope(&self) -> &Scope {
        &self.visitor.scope
    }

    /// The page's moment.
    pub fn now(&self) -> Millis {
        self.frame.formats.now
    }

    /// Whose mails the visitor sees.
    pub fn whose(&self) -> Whose {
        match (self.visitor.role, self.scope()) {
            (Role::Admin, _) => Whose::All,
            (Role::DomainAdmin, Scope::Only(holdings)) => {
                Whose::Domains(holdings.domains.iter().cloned().collect())
            }
            _ => Whose::Own,
        }
    }

    /// Notes how fresh the data are, and gives what lies behind: the lists as they are now, and gaps in the range.
    pub async fn freshness(&mut self, entry: Entry, from: Millis, to: Millis) -> Result<Fresh, WebError> {
        let lists = Lists::now(self.db(), &self.visitor.scope).await?;
        let gaps = Arc::new(ingestion::gaps(self.db(), from, to).await?);
        self.fresh(entry, lists, gaps).await
    }

    /// As [`Self::freshness`], for a range that is asked for again and again.
    pub async fn freshness_of_list(
        &mut self,
        entry: Entry,
        from: Millis,
        to: Millis,
    ) -> Result<Fresh, WebError> {
        let lists = Lists::now(self.db(), &self.visitor.scope).await?;
        let gaps = lists.gaps(from, to).await?;
        self.fresh(entry, lists, gaps).await
    }

    async fn fresh(&mut self, entry: Entry, lists: Lists, gaps: Arc<Vec<Gap>>) -> Result<Fresh, WebError> {
        let sources = lists.sources().await?;
        self.frame.entry = Some(entry);
        self.frame.freshness = Some(Freshness::of(&sources, &gaps, self.now()));
        Ok(Fresh { lists, sources, gaps })
    }

    /// What other servers' answers mean.
    pub async fn dictionary(&self) -> Result<Arc<Dictionary>, WebError> {
        Ok(self.state.replies.current(self.db(), self.now()).await?)
    }

    /// Notes for the access log that the visitor looked at something of these owners.
    pub fn looked(&self, action: Action, detail: &str, owners: impl IntoIterator<Item = String>) {
        self.state.looks.note(self.entry(action, detail).about(owners));
    }

    /// Notes that the visitor did something.
    pub fn did(&self, action: Action, detail: &str) {
        self.state.looks.add(self.entry(action, detail));
    }

    /// An entry of the access log about something that the visitor does; written down with the deed itself.
    pub fn entry(&self, action: Action, detail: &str) -> audit::Entry {
        let client = self.client.to_string();
        let entry = audit::Entry::new(self.now(), &self.visitor.address, action, &client);
        entry.role(self.visitor.role).detail(detail)
    }

    /// Notes a look at a list of mails, unless the visitor sees only the own ones anyhow.
    pub fn looked_at_list<'a>(
        &self,
        action: Action,
        detail: &str,
        mails: impl IntoIterator<Item = &'a VisibleMail>,
    ) {
        if self.visitor.role > Role::User {
            self.looked(action, detail, self.owners(mails));
        }
    }

    /// Whose mails these are: the visitor's own, where they may be seen as such; else of all who sent or received
    /// them, as far as the visitor sees that.
    pub fn owners<'a>(&self, mails: impl IntoIterator<Item = &'a VisibleMail>) -> BTreeSet<String> {
        let own = self.scope().own(&self.visitor.address);
        let mut owners = BTreeSet::new();
        for mail in mails {
            if own.sight(mail).is_some() {
                owners.insert(self.visitor.address.clone());
                continue;
            }
            owners.extend(mail.login.iter().chain(&mail.sender).cloned());
            for row in &mail.recipients {
                owners.extend([&row.address].into_iter().chain(&row.orig_to).cloned());
            }
        }
        owners
    }

    /// Counts a list that is saved as a file.
    pub fn admit_export(&self) -> Result<(), WebError> {
        self.state.admit(Class::Export, self.client)
    }

    /// For how many days raw lines and mails are kept.
    pub fn retention_days(&self) -> (i64, i64) {
        let days = |span: Duration| i64::try_from(span.as_secs() / 86_400).unwrap_or(i64::MAX);
        (days(self.state.settings.keep_lines), days(self.state.settings.keep_mails))
    }
}

/// The page as an answer.
pub(super) fn render(page: &impl Template) -> Result<Response, WebError> {
    let mut text = String::with_capacity(ROOM);
    page.render_into(&mut text).map_err(WebError::broken)?;
    Ok(Html(text).into_response())
}
