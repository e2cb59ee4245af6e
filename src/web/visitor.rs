//! From a request to a visitor: the session, its standing at Mailcow, the role, the scope. And what a request
//! tells without a session: language, look, time zone, address of the browser.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request},
};
use jiff::tz::TimeZone;

use super::{
    client::Client,
    errors::WebError,
    session::{self, cookie},
    state::AppState,
    text::Lang,
};
use crate::{
    model::{
        inventory,
        scope::Scope,
        time::Millis,
        user::{Grant, Ruling, Session, Standing, Theme, Via, Visitor},
    },
    store::{
        self,
        audit::{self, Action, Entry},
        sessions,
    },
};

/// How long a page waits for Mailcow's word about a mailbox.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// After Mailcow did not answer, nobody waits for it again for this long.
const ASK_PAUSE: Duration = Duration::from_secs(15);
/// How long a worked-out scope serves; the inventory behind it changes every few minutes.
const SCOPE_LIFE: Duration = Duration::from_secs(10);
/// More scopes than this are not kept.
const SCOPES_KEPT: usize = 4096;

/// Who a request comes from.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Somebody with a session.
    Known(Visitor),
    /// Nobody, or a session that has ended.
    Unknown,
    /// A session that waits, because Mailcow has not been reachable for too long.
    Waiting,
}

/// Finds out who a request comes from. Everything about a session is decided here.
pub async fn recognise(state: &AppState, headers: &HeaderMap) -> Result<Caller, WebError> {
    let Some(id) = cookie(headers, session::COOKIE) else { return Ok(Caller::Unknown) };
    let key = session::key(id);
    let visit = state.visits.of(&key);
    let Some(mut session) = sessions::find(&state.db, &key).await? else { return Ok(Caller::Unknown) };
    if let Some(visit) = visit {
        session.recall(&visit);
    }
    let now = state.clock.now();
    if state.settings.sessions.ended(&session, now) {
        let mut tx = state.db.begin().await?;
        sessions::end(&mut tx, &session.key).await?;
        tx.commit().await?;
        return Ok(Caller::Unknown);
    }
    if session.is_stale(now) {
        match confirm(state, &mut session, now).await? {
            Ruling::Ended => return Ok(Caller::Unknown),
            Ruling::Suspended => return Ok(Caller::Waiting),
            Ruling::Confirmed | Ruling::Kept => {}
        }
    }
    if session.is_unnoted(now) {
        session.seen = now;
        state.visits.note(&session);
    }
    let grant = session.grant(&state.rules);
    let scope = state.scopes.of(state, &session, &grant, now).await?;
    let visitor = Visitor {
        role: grant.role,
        scope,
        address: session.address,
        name: session.name,
        session: session.key,
        via: session.via,
    };
    state.looks.meet(&visitor, now);
    Ok(Caller::Known(visitor))
}

/// Asks Mailcow about the mailbox of a session and stores what follows. What changes a right is written at once; that all
/// is as it was, is noted only.
async fn confirm(state: &AppState, session: &mut Session, now: Millis) -> Result<Ruling, WebError> {
    let standing = standing(state, &session.address, now).await;
    let ruling = session.judge(&standing, now);
    match (ruling, standing) {
        (Ruling::Ended, _) => {
            let mut tx = state.db.begin().await?;
            sessions::end(&mut tx, &session.key).await?;
            let entry = Entry::new(now, &session.address, Action::SessionEnded, "");
            audit::record(&mut tx, &entry.detail("the mailbox is not active any more, or another one"))
                .await?;
            tx.commit().await?;
        }
        (Ruling::Confirmed, Standing::Active { lent, .. }) => {
            session.checked = now;
            // The domains of a link are its own.
            match session.via == Via::Link || lent == session.domains {
                true => state.visits.note(session),
                false => lend(state, session, lent).await?,
            }
        }
        _ => {}
    }
    Ok(ruling)
}

/// Writes that Mailcow's domain admins lend other domains to a session than before.
async fn lend(state: &AppState, session: &mut Session, lent: BTreeSet<String>) -> Result<(), WebError> {
    let now = session.checked;
    let before = std::mem::replace(&mut session.domains, lent);
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let entry = Entry::new(now, &session.address, Action::RoleChanged, "");
    let entry = entry.role(session.grant(&state.rules).role).detail(before.join(", "));
    let mut tx = state.db.begin().await?;
    sessions::confirm(&mut tx, &session.key, &session.domains, now).await?;
    audit::record(&mut tx, &entry).await?;
    Ok(tx.commit().await?)
}

/// What Mailcow says about a mailbox now. Any doubt is [`Standing::Unasked`], which adds no right.
pub(super) async fn standing(state: &AppState, address: &str, now: Millis) -> Standing {
    if now.since(state.scopes.last_failure()) < ASK_PAUSE {
        return Standing::Unasked;
    }
    let asked = async {
        let Some(mailbox) = state.mailcow.mailbox(address).await?.filter(|mailbox| mailbox.active == 1)
        else {
            return Ok(Standing::Gone);
        };
        let mut live = HashMap::new();
        if state.rules.needs_live_domains(address) {
            let admins = state.mailcow.domain_admins().await?;
            let active = admins.into_iter().filter(|admin| admin.active == 1);
            live.extend(active.map(|admin| (admin.username, admin.selected_domains.into_iter().collect())));
        }
        let lent = state.rules.lent_domains(address, &live.into_iter().collect());
        Ok::<_, crate::remote::Error>(Standing::Active { created: mailbox.created, lent })
    };
    match tokio::time::timeout(ASK_TIMEOUT, asked).await {
        Ok(Ok(standing)) => standing,
        // An address that no Mailcow mailbox can have.
        Ok(Err(error)) if !error.is_outage() => Standing::Gone,
        Ok(Err(error)) => {
            tracing::warn!(%error, "Mailcow could not be asked about a mailbox");
            state.scopes.note_failure(now);
            Standing::Unasked
        }
        Err(_) => {
            tracing::warn!("Mailcow did not answer in time about a mailbox");
            state.scopes.note_failure(now);
            Standing::Unasked
        }
    }
}

struct Kept {
    at: Millis,
    grant: Grant,
    scope: Arc<Scope>,
}

/// Scopes worked out a moment ago, by session. They matter for speed only.
pub(super) struct Scopes {
    kept: Mutex<HashMap<String, Kept>>,
    failed_at: AtomicI64,
}

impl Default for Scopes {
    fn default() -> Self {
        Self { kept: Mutex::default(), failed_at: AtomicI64::new(i64::MIN) }
    }
}

impl Scopes {
    async fn of(
        &self,
        state: &AppState,
        session: &Session,
        grant: &Grant,
        now: Millis,
    ) -> Result<Arc<Scope>, WebError> {
        if let Some(kept) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&session.key)
            && now >= kept.at
            && now.since(kept.at) < SCOPE_LIFE
            && kept.grant == *grant
        {
            return Ok(Arc::clone(&kept.scope));
        }
        let pairs = store::inventory::pairs(&state.db, &session.address).await?;
        let links = store::inventory::alias_domains(&state.db).await?;
        let scope = inventory::scope_of(grant, &session.address, session.mailbox_since, &pairs, &links);
        let scope = Arc::new(scope);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= SCOPES_KEPT {
            kept.clear();
        }
        kept.insert(session.key.clone(), Kept { at: now, grant: grant.clone(), scope: Arc::clone(&scope) });
        Ok(scope)
    }

    fn last_failure(&self) -> Millis {
        Millis(self.failed_at.load(Ordering::Relaxed))
    }

    fn note_failure(&self, now: Millis) {
        self.failed_at.store(now.0, Ordering::Relaxed);
    }
}

/// What a request tells without a session. Every page has it, the sign-in page and error pages too.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Language: chosen, else the browser's, else the setting's.
    pub lang: Lang,
    /// Light or dark, as chosen.
    pub theme: Theme,
    /// Time zone: chosen or told by the browser, else the setting's.
    pub zone: TimeZone,
    /// Address of the browser, as far as trusted proxies tell it.
    pub client: Client,
    /// The present moment, one for the whole page.
    pub now: Millis,
}

impl Guest {
    /// Reads the headers.
    pub fn read(state: &AppState, parts: &request::Parts) -> Self {
        let headers = &parts.headers;
        let asked = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let lang = cookie(headers, "lang").and_then(Lang::from_code);
        let zone = cookie(headers, "zone").map(|zone| zone.replace("%2F", "/"));
        Self {
            lang: lang
                .unwrap_or_else(|| asked.map_or(state.settings.default_lang, Lang::from_accept_language)),
            theme: cookie(headers, "theme").and_then(Theme::from_code).unwrap_or_default(),
            zone: zone.and_then(|zone| known_zone(&zone)).unwrap_or_else(|| state.settings.zone.clone()),
            client: Client::of(&state.settings.trusted_proxies, parts),
            now: state.clock.now(),
        }
    }
}

/// The zone of an IANA name; nothing else of what a browser may send.
pub(super) fn known_zone(name: &str) -> Option<TimeZone> {
    let sound = name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || "/_+-".contains(c));
    if sound { TimeZone::get(name).ok() } else { None }
}

impl FromRequestParts<AppState> for Guest {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut request::Parts,
        state: &AppState,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self::read(state, parts))
    }
}

impl FromRequestParts<AppState> for Visitor {
    type Rejection = WebError;

    /// The visitor whom the guard of the route let in. A handler on a public route that asks for one fails.
    async fn from_request_parts(parts: &mut request::Parts, _: &AppState) -> Result<Self, WebError> {
        let visitor = parts.extensions.get::<Self>().cloned();
        visitor.ok_or_else(|| WebError::broken("a public route asks for a visitor"))
    }
}
