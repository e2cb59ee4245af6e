//! `POST /api/collector`: what `mailcow-status collect --portal` saw on the mail host.

use axum::{
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{self, MethodRouter},
};
use secrecy::ExposeSecret;

use super::{
    cron::{bearer, opens, plain, slower},
    errors::WebError,
    limits::Class,
    state::AppState,
    visitor::Guest,
};
use crate::{
    metrics::collector_file::{CollectorFile, Refused},
    store::collector_posts,
};

/// Most bytes of a post; a host with a hundred containers makes 50 kB.
pub const MOST_BYTES: usize = 1 << 20;

/// `POST /api/collector` with `Authorization: Bearer COLLECTOR_KEY`. The key is looked at before the post is.
pub fn post() -> MethodRouter<AppState> {
    routing::post(|State(state): State<AppState>, guest: Guest, request: Request| async move {
        if let Some(refused) = refusal(&state, &guest, request.headers()) {
            tracing::warn!("a post of a host collector was refused");
            return Ok(refused);
        }
        let text = to_bytes(request.into_body(), MOST_BYTES).await.map_err(|_| WebError::TooLarge)?;
        take(&state, &text).await
    })
}

async fn take(state: &AppState, text: &[u8]) -> Result<Response, WebError> {
    let (file, written) = match CollectorFile::posted(text, state.clock.now()) {
        Ok(posted) => posted,
        Err(Refused::Unreadable(why)) => return Ok(plain(StatusCode::BAD_REQUEST, &why)),
        Err(Refused::Untimely) => {
            return Ok(plain(
                StatusCode::CONFLICT,
                "The timestamp is not of the present: compare the clocks.",
            ));
        }
    };
    let mut tx = state.db.begin().await?;
    let kept = collector_posts::keep(&mut tx, state.settings.server, written, &file.text()).await?;
    tx.commit().await?;
    Ok(match kept {
        true => plain(StatusCode::OK, "ok"),
        false => plain(StatusCode::CONFLICT, "One of that moment or a later one is here already."),
    })
}

/// Why a caller may not, if so.
fn refusal(state: &AppState, guest: &Guest, headers: &HeaderMap) -> Option<Response> {
    let key = state.settings.collector_key.as_ref().map(|key| key.expose_secret());
    let words = match (bearer(headers), key.filter(|key| !key.trim().is_empty())) {
        (Some(offer), Some(key)) => match opens(state, guest, &offer, key, "collector") {
            Ok(true) => return state.admit(Class::Api, guest.client).err().map(|error| slower(&error)),
            Ok(false) => "The key is wrong.",
            Err(error) => return Some(slower(&error)),
        },
        (_, None) => "COLLECTOR_KEY is not set, so nobody may post.",
        (None, _) => "Send Authorization: Bearer COLLECTOR_KEY.",
    };
    let mut response = plain(StatusCode::UNAUTHORIZED, words);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Some(response.into_response())
}
