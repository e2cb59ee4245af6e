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
    errors::{Bare, WebError, whole_seconds},
    limits::Class,
    state::{AppState, JobEnd},
    visitor::Guest,
};

/// `GET` and `POST` `/cron/update`.
pub fn update() -> MethodRouter<AppState> {
    job("poll")
}

/// `GET` and `POST` `/cron/dmarc`.
pub fn dmarc() -> MethodRouter<AppState> {
    job("reports")
}

/// `GET` and `POST` `/cron/prune`.
pub fn prune() -> MethodRouter<AppState> {
    job("prune")
}

/// A job behind the key.
fn job(name: &'static str) -> MethodRouter<AppState> {
    let answer = move |State(state): State<AppState>, guest: Guest, request: Request| async move {
        match refusal(&state, &guest, &request) {
            None => told(state.run_job(name).await),
            Some(refused) => refused,
        }
    };
    get(answer).post(answer)
}

/// `ok` and `busy` are the words of the PHP app.
fn told(end: Option<JobEnd>) -> Response {
    match end {
        Some(JobEnd::Done) => plain(StatusCode::OK, "ok"),
        Some(JobEnd::Busy) => plain(StatusCode::OK, "busy"),
        Some(JobEnd::Failed(reason)) => plain(StatusCode::INTERNAL_SERVER_ERROR, &reason),
        None => plain(StatusCode::ACCEPTED, "running: it takes long, and goes on by itself"),
    }
}

/// Why a caller may not, if so.
fn refusal(state: &AppState, guest: &Guest, request: &Request) -> Option<Response> {
    let key = state.settings.cron_key.as_ref().map(|key| key.expose_secret());
    let Some(key) = key.filter(|key| !key.trim().is_empty()) else {
        let words = "CRON_KEY is not set, so nobody may call this. The portal keeps its own schedule.";
        return Some(plain(StatusCode::FORBIDDEN, words));
    };
    let Some(offer) = offered(request) else {
        let words = "The key is missing: Authorization: Bearer KEY, or ?key=KEY.";
        return Some(plain(StatusCode::FORBIDDEN, words));
    };
    match opens(state, guest, &offer, key, "cron") {
        Ok(true) => state.admit(Class::Cron, guest.client).err().map(|error| slower(&error)),
        Ok(false) => Some(plain(StatusCode::FORBIDDEN, "The key is wrong.")),
        Err(error) => Some(slower(&error)),
    }
}

/// Whether a key opens `what`. After too many wrong ones from an address none does for a while.
pub(super) fn opens(
    state: &AppState,
    guest: &Guest,
    offer: &str,
    key: &str,
    what: &'static str,
) -> Result<bool, WebError> {
    let right = same(offer, key);
    state.weigh(guest.client, right, what)?;
    Ok(right)
}

/// An answer to a program that asks too often.
pub(super) fn slower(error: &WebError) -> Response {
    let WebError::TooMany(wait) = error else { return error.clone().into_response() };
    let seconds = whole_seconds(*wait);
    let words = format!("Too many requests or wrong keys from your address. Go on in {seconds} s.");
    let mut response = plain(StatusCode::TOO_MANY_REQUESTS, &words);
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
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
fn same(offer: &str, key: &str) -> bool {
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
    use super::*;

    #[tokio::test]
    async fn a_job_that_takes_long_is_told_in_plain_text() {
        let response = told(None);
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        assert!(response.extensions().get::<Bare>().is_some(), "no page is put around it");
        let body = axum::body::to_bytes(response.into_body(), 200).await.unwrap();
        assert!(body.starts_with(b"running"), "{body:?}");
    }

    #[test]
    fn only_the_very_key_fits() {
        assert!(same("secret", "secret"));
        for offer in ["", "s", "Secret", "secret ", "secretsecret"] {
            assert!(!same(offer, "secret"), "{offer}");
        }
    }
}
