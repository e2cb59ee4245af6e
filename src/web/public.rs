//! The public page, its feed and its JSON: for everybody, without sign-in, put together once a minute. Off unless
//! `PUBLIC_STATUS` is on; then these addresses are as any that do not exist.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use askama::Template;
use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
    routing::{MethodRouter, get},
};

use super::{
    errors::{Bare, WebError},
    limits::Class,
    pages::{
        frame::{Brand, Entry, Frame},
        public,
    },
    router,
    state::AppState,
    visitor::Guest,
};
use crate::{
    metrics::uptime::{Board, board},
    model::time::Millis,
    store::Result,
};

/// For so long one answer serves all.
const LIFE: Duration = Duration::from_secs(60);
/// What caches on the way may do.
const CACHING: HeaderValue = HeaderValue::from_static("public, max-age=60");

/// What strangers saw last.
#[derive(Default)]
pub struct Shop(Mutex<Option<Arc<Board>>>);

impl Shop {
    async fn board(&self, state: &AppState, now: Millis) -> Result<Arc<Board>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known
            && now >= known.at
            && now.since(known.at) < LIFE
        {
            return Ok(known);
        }
        let fresh = Arc::new(board(&state.db, state.settings.server, &state.settings.zone, now).await?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Lets the next visitor see what an admin has just changed.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// `/public`.
pub fn page() -> MethodRouter<AppState> {
    get(async |State(state): State<AppState>, guest: Guest, request: Request| {
        answer(&state, guest, request, |frame, board| {
            Ok(Html(public::view(frame, board).render().map_err(WebError::broken)?).into_response())
        })
        .await
    })
    .fallback(router::lost)
}

/// `/public.atom`: the announcements for feed readers.
pub fn atom() -> MethodRouter<AppState> {
    get(async |State(state): State<AppState>, guest: Guest, request: Request| {
        let page = format!("{}/public", state.settings.public_url.as_str().trim_end_matches('/'));
        answer(&state, guest, request, |frame, board| {
            let feed = public::feed(frame, &page, board).render().map_err(WebError::broken)?;
            let kind = HeaderValue::from_static("application/atom+xml; charset=utf-8");
            Ok(([(header::CONTENT_TYPE, kind)], feed).into_response())
        })
        .await
    })
    .fallback(router::lost)
}

/// `/public.json`: everything for programs.
pub fn object() -> MethodRouter<AppState> {
    get(async |State(state): State<AppState>, guest: Guest, request: Request| {
        answer(&state, guest, request, |frame, board| {
            let mut response = Json(public::json(frame, board)).into_response();
            response.extensions_mut().insert(Bare);
            Ok(response)
        })
        .await
    })
    .fallback(router::lost)
}

async fn answer(
    state: &AppState,
    guest: Guest,
    request: Request,
    show: impl FnOnce(&Frame, &Board) -> std::result::Result<Response, WebError>,
) -> std::result::Result<Response, WebError> {
    if !state.settings.public_status {
        return Ok(router::lost(State(state.clone()), request).await);
    }
    state.admit(Class::Public, guest.client)?;
    let board = state.shop.board(state, guest.now).await?;
    let mut response = show(&frame(state, guest), &board)?;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, CACHING);
    headers.insert(header::VARY, HeaderValue::from_static("accept-language, cookie"));
    Ok(response)
}

/// A frame that names no host: what strangers see was chosen by the admin. Days and times are those of the server's
/// zone, since the answer is the same for all.
fn frame(state: &AppState, mut guest: Guest) -> Frame {
    guest.zone = state.settings.zone.clone();
    let frame = Frame::around(state, &guest, None, "/public");
    let brand = Brand { host: frame.brand.footer_company.clone(), ..frame.brand.clone() };
    Frame { entry: Some(Entry::Public), mailcow_url: None, brand, ..frame }
}
