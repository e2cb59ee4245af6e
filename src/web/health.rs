//! `/healthz` (the process is alive) and `/readyz` (the database answers, the last successful poll is not too old).

use axum::{
    extract::State,
    http::StatusCode,
    routing::{MethodRouter, get},
};

use super::{cron::plain, state::AppState};

/// `GET /healthz`.
pub fn alive() -> MethodRouter<AppState> {
    get(|| async { plain(StatusCode::OK, "ok") })
}

/// `GET /readyz`.
pub fn ready() -> MethodRouter<AppState> {
    get(|State(state): State<AppState>| async move {
        match fault(&state).await {
            None => plain(StatusCode::OK, "ok"),
            Some(words) => plain(StatusCode::SERVICE_UNAVAILABLE, &words),
        }
    })
}

/// What is wrong, without internals: the address is open to everybody.
async fn fault(state: &AppState) -> Option<String> {
    let last = match state.jobs.last_success().await {
        Ok(last) => last,
        Err(error) => {
            tracing::error!("not ready: {error}");
            return Some("the database does not answer".to_owned());
        }
    };
    // A process that has just begun gets the same patience for its first poll.
    let last = last.unwrap_or(state.started).max(state.started);
    let age = state.clock.now().since(last);
    (age > state.settings.poll_patience).then(|| format!("no successful poll for {} seconds", age.as_secs()))
}
