//! Signing in at Mailcow and out again, and by links from the command line.
//!
//! A sign-in is bound to one browser by a cookie of its own, whose digest is stored under the digest of `state`;
//! both serve once, for ten minutes. The PKCE verifier is derived from that cookie, so it is stored nowhere.

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{AppendHeaders, Html, IntoResponse, Redirect, Response},
    routing::{MethodRouter, get, post},
};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use super::{
    errors::WebError,
    limits::Class,
    pages::entrance,
    session::{self, COOKIE, Reader, SIGN_IN_COOKIE, SIGNED_OUT_COOKIE, cookie, set_cookie},
    state::{AppState, WebSettings},
    visitor::{Guest, standing},
};
use crate::{
    model::{
        inventory::moment,
        scope::Role,
        time::Millis,
        token::digest,
        user::{Session, Standing, Via, Visitor},
    },
    remote::oauth::{Identity, SignInError},
    store::{
        self,
        audit::{self, Action, Entry},
        db::Db,
        inventory::{self, Mailbox},
        links::{self, LoginLink},
        sessions::{self, SIGN_IN_LIFE, SignIn},
    },
};

const DAY: u64 = 24 * 3600;

type Cookies = Vec<(HeaderName, HeaderValue)>;

#[derive(Debug, Deserialize)]
struct Wish {
    next: Option<String>,
}

/// `GET /login`: one button.
pub fn page() -> MethodRouter<AppState> {
    get(|State(state): State<AppState>, guest: Guest, Query(wish): Query<Wish>| async move {
        let wish = wish.next.and_then(|next| own_path(&state.settings, &next));
        Html(entrance::sign_in(&state, &guest, wish.as_deref().unwrap_or_default()))
    })
}

/// `GET /login/start`: off to Mailcow.
pub fn start() -> MethodRouter<AppState> {
    get(begin)
}

async fn begin(
    State(state): State<AppState>,
    guest: Guest,
    Query(wish): Query<Wish>,
) -> Result<Response, WebError> {
    state.admit(Class::SignIn, guest.client)?;
    let wish = wish.next.and_then(|next| own_path(&state.settings, &next));
    let wish = wish.unwrap_or_else(|| state.settings.at("/"));
    let (browser, token) = (session::secret()?, session::secret()?);
    let sign_in = SignIn { browser: digest(&browser), wish, created_at: guest.now };
    let mut tx = state.db.begin().await?;
    sessions::begin_sign_in(&mut tx, &digest(&token), &sign_in).await?;
    tx.commit().await?;
    let cookie = set_cookie(
        &state.settings,
        &cookie_name(&token),
        &browser,
        Some(SIGN_IN_LIFE.as_secs()),
        Reader::Server,
    )?;
    let mailcow = state.oauth.authorize_url(&token, &verifier(&browser));
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Redirect::to(mailcow.as_str())).into_response())
}

fn cookie_name(state: &str) -> String {
    let begin: String = state.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    format!("{SIGN_IN_COOKIE}{begin}")
}

fn verifier(browser: &str) -> String {
    digest(&format!("PKCE verifier {browser}"))
}

/// What Mailcow sends a browser back with.
#[derive(Debug, Deserialize)]
struct Return {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
}

/// `GET /callback` and `/callback.php`: back from Mailcow.
pub fn callback() -> MethodRouter<AppState> {
    get(complete)
}

async fn complete(
    State(state): State<AppState>,
    guest: Guest,
    headers: HeaderMap,
    Query(back): Query<Return>,
) -> Result<Response, WebError> {
    state.admit(Class::SignIn, guest.client)?;
    // Mailcow returns an error without the state where the state was the fault.
    if let (None, Some(error)) = (&back.state, &back.error) {
        return Err(refuse_error(&state, &guest, error));
    }
    let (token, browser, sign_in) = redeem(&state, &guest, &headers, back.state.as_deref()).await?;
    let code = match (&back.code, &back.error) {
        (Some(code), None) if !code.is_empty() => code,
        (_, error) => {
            return Err(refuse_error(&state, &guest, error.as_deref().unwrap_or("no code")));
        }
    };
    let identity = match state.oauth.identify(code, &verifier(&browser)).await {
        Ok(identity) => identity,
        Err(error) => return Err(turn_away(&state, &guest, &error)),
    };
    let session = admit(&state, &guest, identity).await?;
    let role = session.grant(&state.rules).role;
    let client = guest.client.to_string();
    let entry = Entry::new(guest.now, &session.address, Action::SignIn, &client).role(role);
    let change = audit::role_change(&state.db, &session.address, role, guest.now).await?;
    let change = change.map(|change| Entry { client, ..change });
    let spent = set_cookie(&state.settings, &cookie_name(&token), "", Some(0), Reader::Server)?;
    let entries = (entry, change);
    enter(&state, &headers, session, entries, &sign_in.wish, vec![(header::SET_COOKIE, spent)]).await
}

fn refuse_error(state: &AppState, guest: &Guest, words: &str) -> WebError {
    refuse(state, guest, "", &format!("Mailcow answered: {}", words.escape_default()));
    WebError::SignInFailed
}

/// Takes the sign-in out of the database: it must have begun in this browser, not long ago, and serves once.
async fn redeem(
    state: &AppState,
    guest: &Guest,
    headers: &HeaderMap,
    token: Option<&str>,
) -> Result<(String, String, SignIn), WebError> {
    let token = token.filter(|token| token.len() == 64);
    let bound = token.and_then(|token| Some((token, cookie(headers, &cookie_name(token))?)));
    let Some((token, browser)) = bound else {
        refuse(state, guest, "", "the sign-in did not begin in this browser");
        return Err(WebError::SignInTooLate);
    };
    let mut tx = state.db.begin().await?;
    let sign_in = sessions::redeem_sign_in(&mut tx, &digest(token)).await?;
    tx.commit().await?;
    let fits = |sign_in: &SignIn| {
        bool::from(digest(browser).as_bytes().ct_eq(sign_in.browser.as_bytes()))
            && guest.now.since(sign_in.created_at) < SIGN_IN_LIFE
    };
    match sign_in.filter(fits) {
        Some(sign_in) => Ok((token.to_owned(), browser.to_owned(), sign_in)),
        None => {
            refuse(state, guest, "", "the sign-in was too old, used before, or of another browser");
            Err(WebError::SignInTooLate)
        }
    }
}

/// A session for a proven identity, unless Mailcow's API says that the mailbox is not active.
async fn admit(state: &AppState, guest: &Guest, identity: Identity) -> Result<Session, WebError> {
    let now = guest.now;
    let (created, domains) = match standing(state, &identity.address, now).await {
        Standing::Active { created, lent } => (created, lent),
        // The profile has just proved an active mailbox; without the API it lends no domains.
        Standing::Unasked => (identity.created, Default::default()),
        Standing::Gone => return Err(refuse_inactive(state, guest, &identity.address)),
    };
    let known = inventory::mailbox(&state.db, &identity.address).await?;
    let since = mailbox_since(&state.db, known.as_ref(), &created, now).await?;
    Ok(Session {
        key: String::new(),
        address: identity.address,
        name: identity.name,
        via: Via::Mailcow,
        role: Role::User,
        domains,
        mailbox_created: created,
        mailbox_since: since,
        created: now,
        seen: now,
        checked: now,
    })
}

/// From when on an address belonged to the mailbox that was made at this time of Mailcow's.
async fn mailbox_since(
    db: &Db,
    known: Option<&Mailbox>,
    created: &str,
    now: Millis,
) -> Result<Millis, WebError> {
    if let Some(known) = known.filter(|known| known.created == created) {
        return Ok(known.since);
    }
    let look = inventory::last_look(db).await?;
    Ok(moment(created, look.and_then(|look| look.clock_offset), now).unwrap_or(now).min(now))
}

/// Stores the session, writes down that somebody is in and perhaps in another role than before, and sends the browser
/// to the wished page.
async fn enter(
    state: &AppState,
    headers: &HeaderMap,
    session: Session,
    (entry, change): (Entry, Option<Entry>),
    wish: &str,
    mut cookies: Cookies,
) -> Result<Response, WebError> {
    let mut tx = state.db.begin().await?;
    let id = session::begin(&mut tx, headers, session).await?;
    for entry in change.iter().chain([&entry]) {
        audit::record(&mut tx, entry).await?;
    }
    tx.commit().await?;
    // Who and from where, the access log tells; this log is for machines, and may lie where others read it.
    tracing::info!(role = entry.role, "{}", entry.action);
    let life = Some(state.settings.sessions.absolute.as_secs());
    cookies.push((header::SET_COOKIE, set_cookie(&state.settings, COOKIE, &id, life, Reader::Server)?));
    cookies.push((
        header::SET_COOKIE,
        set_cookie(&state.settings, SIGNED_OUT_COOKIE, "", Some(0), Reader::Server)?,
    ));
    Ok((AppendHeaders(cookies), Redirect::to(wish)).into_response())
}

/// Notes a refusal for the access log.
fn refuse(state: &AppState, guest: &Guest, address: &str, reason: &str) {
    let reason: String = reason.chars().take(300).collect();
    tracing::warn!("sign-in refused: {reason}");
    let entry = Entry::new(guest.now, address, Action::SignInRefused, &guest.client.to_string());
    state.looks.note(entry.detail(reason));
}

fn refuse_inactive(state: &AppState, guest: &Guest, address: &str) -> WebError {
    refuse(state, guest, address, "the mailbox is not active");
    WebError::NoMailbox
}

fn turn_away(state: &AppState, guest: &Guest, error: &SignInError) -> WebError {
    refuse(state, guest, "", &error.to_string());
    match error {
        SignInError::NoMailbox => WebError::NoMailbox,
        SignInError::BadCode(_) => WebError::SignInTooLate,
        SignInError::Misconfigured(_) => WebError::SignInFailed,
        SignInError::Remote(_) => WebError::Unreachable,
    }
}

/// `POST /logout`.
pub fn logout() -> MethodRouter<AppState> {
    post(|State(state): State<AppState>, guest: Guest, headers: HeaderMap| async move {
        let mut tx = state.db.begin().await?;
        if let Some(id) = cookie(&headers, COOKIE) {
            let key = session::key(id);
            if let Some(session) = sessions::find(&state.db, &key).await? {
                let client = guest.client.to_string();
                audit::record(&mut tx, &Entry::new(guest.now, &session.address, Action::SignOut, &client))
                    .await?;
            }
            sessions::end(&mut tx, &key).await?;
        }
        tx.commit().await?;
        leave(&state)
    })
}

/// `POST /logout/everywhere`: ends all sessions of the visitor's address.
pub fn logout_everywhere() -> MethodRouter<AppState> {
    post(|State(state): State<AppState>, guest: Guest, visitor: Visitor| async move {
        let mut tx = state.db.begin().await?;
        let ended = sessions::end_all(&mut tx, &visitor.address).await?;
        let entry =
            Entry::new(guest.now, &visitor.address, Action::SignOutEverywhere, &guest.client.to_string());
        audit::record(&mut tx, &entry.role(visitor.role).detail(format!("{ended} sessions"))).await?;
        tx.commit().await?;
        leave(&state)
    })
}

fn leave(state: &AppState) -> Result<Response, WebError> {
    let cookies = [
        (header::SET_COOKIE, set_cookie(&state.settings, COOKIE, "", Some(0), Reader::Server)?),
        (header::SET_COOKIE, set_cookie(&state.settings, SIGNED_OUT_COOKIE, "1", Some(DAY), Reader::Server)?),
    ];
    Ok((AppendHeaders(cookies), Redirect::to(&state.settings.at("/signed-out"))).into_response())
}

/// Whether this browser signed out and has not signed in since.
pub fn has_signed_out(headers: &HeaderMap) -> bool {
    cookie(headers, SIGNED_OUT_COOKIE) == Some("1")
}

/// `GET /signed-out`.
pub fn signed_out() -> MethodRouter<AppState> {
    get(
        |State(state): State<AppState>, guest: Guest| async move { Html(entrance::signed_out(&state, &guest)) },
    )
}

/// `/login/link/{token}`: a page with a button, so that a preview of the link does not use it up; the button
/// signs in.
pub fn link() -> MethodRouter<AppState> {
    get(show_link).post(use_link)
}

async fn show_link(
    State(state): State<AppState>,
    guest: Guest,
    Path(token): Path<String>,
) -> Result<Html<String>, WebError> {
    state.admit(Class::SignIn, guest.client)?;
    let link = links::find(&state.db, &token, guest.now).await?.ok_or(WebError::LinkSpent)?;
    Ok(Html(entrance::link(&state, &guest, &link)))
}

async fn use_link(
    State(state): State<AppState>,
    guest: Guest,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Result<Response, WebError> {
    state.admit(Class::SignIn, guest.client)?;
    let now = guest.now;
    let Some(link) = links::find(&state.db, &token, now).await? else {
        return Err(refuse_link(&state, &guest));
    };
    let created = mailbox_of(&state, &guest, &link).await?;
    let mut tx = state.db.begin().await?;
    let link = links::redeem(&mut tx, &token, now).await?;
    tx.commit().await?;
    let Some(LoginLink { address, grant }) = link else { return Err(refuse_link(&state, &guest)) };
    let known = inventory::mailbox(&state.db, &address).await?;
    let created = created.or(known.as_ref().map(|known| known.created.clone())).unwrap_or_default();
    let since = mailbox_since(&state.db, known.as_ref(), &created, now).await?;
    let client = guest.client.to_string();
    let entry = Entry::new(now, &address, Action::LinkUsed, &client).role(grant.role);
    let session = Session {
        key: String::new(),
        address,
        name: known.map(|known| known.name).unwrap_or_default(),
        via: Via::Link,
        role: grant.role,
        domains: grant.domains,
        mailbox_created: created,
        mailbox_since: since,
        created: now,
        seen: now,
        checked: now,
    };
    enter(&state, &headers, session, (entry, None), &state.settings.at("/"), Vec::new()).await
}

/// When Mailcow made the mailbox of a link, which must be active; `None` for a link that needs none. A link proves nothing
/// about its mailbox: while Mailcow cannot be asked it lets nobody in, and is not used up.
async fn mailbox_of(state: &AppState, guest: &Guest, link: &LoginLink) -> Result<Option<String>, WebError> {
    if !Via::Link.needs_mailbox(link.grant.role) {
        return Ok(None);
    }
    match standing(state, &link.address, guest.now).await {
        Standing::Active { created, .. } => Ok(Some(created)),
        Standing::Unasked => Err(WebError::Unreachable),
        Standing::Gone => Err(refuse_inactive(state, guest, &link.address)),
    }
}

fn refuse_link(state: &AppState, guest: &Guest) -> WebError {
    refuse(state, guest, "", "the login link was used, too old or never was");
    WebError::LinkSpent
}

/// Makes a login link and writes that down; answers its token, for `/login/link/TOKEN` below the public address.
/// For the command line: whoever has the host has everything.
pub async fn invite(db: &Db, link: &LoginLink, now: Millis) -> Result<String, store::Error> {
    let token = session::secret().map_err(|_| store::Error::Damaged("no randomness"))?;
    let mut tx = db.begin().await?;
    links::make(&mut tx, &token, link, now).await?;
    let entry = Entry::new(now, &link.address, Action::LinkMade, "command line").role(link.grant.role);
    audit::record(&mut tx, &entry).await?;
    tx.commit().await?;
    Ok(token)
}

/// A wished page, if it is one of ours: a path on this host below the base path, and none that signs in or out.
pub fn own_path(settings: &WebSettings, wish: &str) -> Option<String> {
    let plain = wish.len() <= 2000 && !wish.chars().any(|c| c.is_control() || c == '\\' || c == ' ');
    if !plain || !wish.starts_with('/') {
        return None;
    }
    let url = settings.public_url.join(wish).ok()?;
    if url.origin() != settings.public_url.origin() || url.path().contains("//") {
        return None;
    }
    let inner = url.path().strip_prefix(&settings.base_path)?;
    let ours = inner.is_empty() || inner.starts_with('/');
    let door = ["/login", "/logout", "/callback", "/signed-out"].iter().any(|door| inner.starts_with(door));
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    (ours && !door).then(|| format!("{}{query}", url.path()))
}
