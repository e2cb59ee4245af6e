//! `/cron/update`, `/cron/dmarc` and `/cron/prune`, for those who let a cron call. The portal has a schedule of its own.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use secrecy::ExposeSecret;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::{
    errors::Bare,
    state::{AppState, JobEnd},
};

/// `GET` and `POST` `/cron/update`.
pub fn update() -> MethodRouter<AppState> {
    async fn run(State(state): State<AppState>, request: Request) -> Response {
        match refusal(&state, &request) {
            None => told(state.jobs.run("poll").await),
            Some(refused) => plain(StatusCode::FORBIDDEN, refused),
        }
    }
    get(run).post(run)
}

/// `GET` and `POST` `/cron/dmarc`.
pub fn dmarc() -> MethodRouter<AppState> {
    async fn run(State(state): State<AppState>, request: Request) -> Response {
        match refusal(&state, &request) {
            None => told(state.jobs.run("reports").await),
            Some(refused) => plain(StatusCode::FORBIDDEN, refused),
        }
    }
    get(run).post(run)
}

/// `GET` and `POST` `/cron/prune`.
pub fn prune() -> MethodRouter<AppState> {
    async fn run(State(state): State<AppState>, request: Request) -> Response {
        match refusal(&state, &request) {
            None => told(state.jobs.run("prune").await),
            Some(refused) => plain(StatusCode::FORBIDDEN, refused),
        }
    }
    get(run).post(run)
}

fn told(end: JobEnd) -> Response {
    match end {
        JobEnd::Done => plain(StatusCode::OK, "ok"),
        JobEnd::Busy => plain(StatusCode::OK, "busy"),
        JobEnd::Failed(reason) => plain(StatusCode::INTERNAL_SERVER_ERROR, &reason),
    }
}

/// Why a caller may not, if so.
fn refusal(state: &AppState, request: &Request) -> Option<&'static str> {
    let key = state.settings.cron_key.as_ref().map(|key| key.expose_secret());
    let Some(key) = key.filter(|key| !key.trim().is_empty()) else {
        return Some("CRON_KEY is not set, so nobody may call this. The portal keeps its own schedule.");
    };
    match offered(request) {
        Some(offer) if same(&offer, key) => None,
        Some(_) => Some("The key is wrong."),
        None => Some("The key is missing: Authorization: Bearer KEY, or ?key=KEY."),
    }
}

/// The key that a program sent, by header or in the query.
pub(super) fn offered(request: &Request) -> Option<String> {
    bearer(request.headers()).or_else(|| {
        let query = request.uri().query().unwrap_or_default();
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "key")
            .map(|(_, key)| key.into_owned())
    })
}

/// The key that a program sent by header (RFC 6750, 2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim().to_owned())
}

/// Compares digests, so that neither content nor length shows in the time it takes.
pub(super) fn same(offer: &str, key: &str) -> bool {
    Sha256::digest(offer.as_bytes()).ct_eq(&Sha256::digest(key.as_bytes())).into()
}

/// A short answer for programs.
pub(super) fn plain(status: StatusCode, words: &str) -> Response {
    let mut response = (status, words.to_owned()).into_response();
    response.extensions_mut().insert(Bare);
    response
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_the_very_key_fits() {
        assert!(super::same("secret", "secret"));
        for offer in ["", "s", "Secret", "secret ", "secretsecret"] {
            assert!(!super::same(offer, "secret"), "{offer}");
        }
    }
}
