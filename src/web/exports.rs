//! `/metrics` and `/api/metrics`, for programs that know `API_TOKEN`, and for admins who look at what these read.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use secrecy::ExposeSecret;

use super::{
    cron::{bearer, opens, plain, slower},
    errors::{Bare, WebError},
    limits::Class,
    state::AppState,
    visitor::{Caller, Guest, recognise},
};
use crate::{
    metrics::exports::{
        json, present,
        prometheus::{self, Wanted},
    },
    model::scope::Role,
    store::samples::Latest,
};

/// `GET /metrics`; with `?mailboxes=yes` the series of single mailboxes, too.
pub fn prometheus() -> MethodRouter<AppState> {
    get(|State(state): State<AppState>, guest: Guest, headers: HeaderMap, uri: Uri| async move {
        let list = read(&state, &guest, &headers).await?;
        let query = uri.query().unwrap_or_default();
        let wanted = url::form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| name == "mailboxes" && value == "yes");
        let wanted = if wanted { Wanted::WithMailboxes } else { Wanted::Usual };
        Ok::<_, Response>(told(prometheus::CONTENT_TYPE, prometheus::text(&list, wanted)))
    })
}

/// `GET /api/metrics`.
pub fn object() -> MethodRouter<AppState> {
    get(|State(state): State<AppState>, guest: Guest, headers: HeaderMap| async move {
        let list = read(&state, &guest, &headers).await?;
        let object = json::object(&list, state.clock.now());
        Ok::<_, Response>(told("application/json", object.to_string()))
    })
}

/// Everything, if the caller may see everything.
async fn read(state: &AppState, guest: &Guest, headers: &HeaderMap) -> Result<Vec<Latest>, Response> {
    match refusal(state, guest, headers).await.map_err(IntoResponse::into_response)? {
        Some(refused) => Err(refused),
        None => present(&state.db, state.settings.server, state.clock.now())
            .await
            .map_err(|error| WebError::from(error).into_response()),
    }
}

/// Why a caller may not, if so. A wrong token is not made good by a session.
async fn refusal(state: &AppState, guest: &Guest, headers: &HeaderMap) -> Result<Option<Response>, WebError> {
    let token = state.settings.api_token.as_ref().map(|token| token.expose_secret());
    let token = token.filter(|token| !token.trim().is_empty());
    let refused = match (bearer(headers), token) {
        (Some(offer), Some(token)) => match opens(state, guest, &offer, token, "metrics") {
            Ok(true) => None,
            Ok(false) => Some(unknown("The token is wrong.")),
            Err(error) => Some(slower(&error)),
        },
        (Some(_), None) => Some(unknown("API_TOKEN is not set, so no token opens this.")),
        (None, _) => match recognise(state, headers).await? {
            Caller::Known(visitor) if visitor.role >= Role::Admin => None,
            Caller::Known(_) => Some(plain(StatusCode::FORBIDDEN, "Only admins may see this.")),
            Caller::Unknown | Caller::Waiting => {
                Some(unknown("Send Authorization: Bearer API_TOKEN, or sign in as an admin."))
            }
        },
    };
    Ok(refused.or_else(|| state.admit(Class::Api, guest.client).err().map(|error| slower(&error))))
}

fn unknown(words: &str) -> Response {
    let mut response = plain(StatusCode::UNAUTHORIZED, words);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn told(kind: &'static str, text: String) -> Response {
    let mut response = ([(header::CONTENT_TYPE, kind)], text).into_response();
    response.extensions_mut().insert(Bare);
    response
}
