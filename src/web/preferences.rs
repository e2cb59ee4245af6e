//! Language, light or dark, time zone: chosen by a form, kept in cookies, the same page comes back.

use axum::{
    Form,
    extract::State,
    http::header,
    response::{AppendHeaders, IntoResponse, Redirect, Response},
    routing::{MethodRouter, post},
};
use serde::Deserialize;

use super::{
    errors::WebError,
    login::own_path,
    session::{Reader, set_cookie},
    state::AppState,
    text::Lang,
    visitor::known_zone,
};
use crate::model::user::Theme;

const YEAR: u64 = 365 * 24 * 3600;

/// What the form may change; absent fields change nothing.
#[derive(Debug, Deserialize)]
struct Choice {
    lang: Option<String>,
    theme: Option<String>,
    zone: Option<String>,
    next: Option<String>,
}

/// `POST /preferences`.
pub fn page() -> MethodRouter<AppState> {
    post(choose)
}

async fn choose(State(state): State<AppState>, Form(choice): Form<Choice>) -> Result<Response, WebError> {
    let lang = choice.lang.as_deref().and_then(Lang::from_code).map(|lang| ("lang", lang.code().to_owned()));
    let theme =
        choice.theme.as_deref().and_then(Theme::from_code).map(|theme| ("theme", theme.code().to_owned()));
    let zone = choice.zone.map(|zone| zone.trim().to_owned()).filter(|zone| !zone.is_empty());
    if let Some(zone) = zone.as_ref().filter(|zone| known_zone(zone).is_none()) {
        return Err(WebError::UnknownZone(zone.chars().take(64).collect()));
    }
    let zone = zone.map(|zone| ("zone", zone));
    let mut cookies = Vec::new();
    for (name, value) in [lang, theme, zone].into_iter().flatten() {
        let cookie = set_cookie(&state.settings, name, &value, Some(YEAR), Reader::Script)?;
        cookies.push((header::SET_COOKIE, cookie));
    }
    let next = choice.next.and_then(|next| own_path(&state.settings, &next));
    let next = next.unwrap_or_else(|| state.settings.at("/"));
    Ok((AppendHeaders(cookies), Redirect::to(&next)).into_response())
}
