//! Uptime for admins, and what they let strangers see of it.

use std::collections::BTreeSet;

use axum::{
    extract::Path,
    response::{IntoResponse, Redirect, Response},
    routing::{MethodRouter, get, post},
};

use super::{
    errors::WebError,
    pages::{
        frame::Entry,
        system::{
            announce::{self, Draft},
            uptime,
        },
    },
    state::AppState,
    system::notable,
    visit::{Desk, render},
};
use crate::{
    metrics::{
        health::judge,
        uptime::{DAYS, Line, announced, board, lines, touches},
    },
    model::{
        announcement::{Announcement, Kind},
        uptime::day_bounds,
    },
    store::{
        audit::{self, Action},
        public::{self, Shown},
    },
};

/// `/system/uptime`.
pub fn page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        desk.frame.entry = Some(Entry::System);
        let latest = notable(&desk).await?;
        let announced = announced(desk.db(), desk.now()).await?;
        let zone = desk.frame.formats.zone.clone();
        let lines =
            lines(desk.db(), desk.scope(), desk.state.settings.server, &zone, desk.now(), &announced).await?;
        let bounds = day_bounds(&zone, desk.now(), DAYS);
        let works: Vec<_> = announced.iter().filter(|note| note.kind == Kind::Maintenance).collect();
        let planned = |line: &Line| -> Vec<bool> {
            let on = |(begin, end)| {
                works.iter().any(|note| note.is_about(&line.code) && touches(note, begin, end))
            };
            bounds.iter().copied().zip(bounds.iter().copied().skip(1)).map(on).collect()
        };
        let planned: Vec<_> = lines.iter().map(planned).collect();
        let healths = judge(&latest);
        let input = uptime::Input { healths: &healths, lines: &lines, bounds: &bounds, planned: &planned };
        render(&uptime::view(&desk.frame, &input))
    })
}

/// `/system/public`: what strangers see, and the forms to change it.
pub fn announce_page() -> MethodRouter<AppState> {
    get(async |mut desk: Desk| {
        let said = url::form_urlencoded::parse(desk.query.as_bytes())
            .find(|(name, _)| name == "said")
            .and_then(|(_, word)| SAID.into_iter().find(|said| *said == word));
        desk.frame.message = said.map(|said| desk.frame.lang().t_in("announce_said", said).to_owned());
        show(desk, None).await
    })
}

/// What an action says when it is done.
const SAID: [&str; 4] = ["services", "saved", "ended", "removed"];

async fn show(mut desk: Desk, draft: Option<Draft>) -> Result<Response, WebError> {
    desk.frame.entry = Some(Entry::System);
    let (server, now) = (desk.state.settings.server, desk.now());
    let latest = notable(&desk).await?;
    let zone = desk.frame.formats.zone.clone();
    let board = board(desk.db(), server, &zone, now).await?;
    let shown = public::shown(desk.db()).await?;
    let lines = watched(&desk).await?;
    let (healths, address) = (judge(&latest), desk.frame.url("/public"));
    let input = announce::Input {
        on: desk.state.settings.public_status,
        address: &address,
        healths: &healths,
        lines: &lines,
        shown: &shown,
        board: &board,
        draft: draft.as_ref(),
    };
    render(&announce::view(&desk.frame, &input))
}

/// What is watched, without its past.
async fn watched(desk: &Desk) -> Result<Vec<Line>, WebError> {
    let (server, now) = (desk.state.settings.server, desk.now());
    Ok(lines(desk.db(), desk.scope(), server, &desk.frame.formats.zone, now, &[]).await?)
}

fn done(desk: &Desk, said: &str) -> Response {
    desk.state.shop.forget();
    Redirect::to(&desk.frame.url(&format!("/system/public?said={said}"))).into_response()
}

/// `/system/public/services`: which services strangers see, under which names.
pub fn choose() -> MethodRouter<AppState> {
    post(async |desk: Desk, body: String| {
        let mut known = codes(watched(&desk).await?.iter().map(|line| line.code.as_str()));
        // A service that is not told at present stays chosen.
        known.extend(codes(public::shown(desk.db()).await?.iter().map(|one| one.code.as_str())));
        let services = announce::chosen(&body, &known);
        let named: Vec<String> =
            services.iter().map(|one: &Shown| format!("{}={}", one.code, one.name)).collect();
        let mut tx = desk.db().begin().await?;
        public::show(&mut tx, &services).await?;
        audit::record(&mut tx, &desk.entry(Action::PublicServices, &named.join(", "))).await?;
        tx.commit().await?;
        Ok::<_, WebError>(done(&desk, "services"))
    })
}

fn codes<'a>(codes: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    codes.map(str::to_owned).collect()
}

/// `/system/public/notes`: announces something new.
pub fn announce() -> MethodRouter<AppState> {
    post(async |desk: Desk, body: String| save(desk, Draft::parse(None, &body), None).await)
}

/// `/system/public/notes/{id}`: changes, ends or removes an announcement.
pub fn change() -> MethodRouter<AppState> {
    post(async |desk: Desk, Path(id): Path<String>, body: String| {
        let id: i64 = id.parse().map_err(|_| WebError::NotFound)?;
        let before = public::find(desk.db(), id).await?.ok_or(WebError::NotFound)?;
        let draft = Draft::parse(Some(id), &body);
        let act = url::form_urlencoded::parse(body.as_bytes()).find(|(name, _)| name == "act");
        match act.as_ref().map_or("", |(_, act)| act) {
            "save" => save(desk, draft, Some(before)).await,
            "end" => {
                let note = before.ended(draft.text, desk.now());
                store(desk, note, "ended").await
            }
            "remove" => {
                let mut tx = desk.db().begin().await?;
                public::remove(&mut tx, id).await?;
                let words = format!("removed: {}", before.title);
                audit::record(&mut tx, &desk.entry(Action::Announced, &words)).await?;
                tx.commit().await?;
                Ok(done(&desk, "removed"))
            }
            _ => Err(WebError::Form),
        }
    })
}

/// Stores a draft that has no faults; else shows it again with them.
async fn save(desk: Desk, draft: Draft, before: Option<Announcement>) -> Result<Response, WebError> {
    let known = codes(public::shown(desk.db()).await?.iter().map(|one| one.code.as_str()));
    match draft.announcement(&desk.frame, &known, before.as_ref()) {
        Ok(note) => store(desk, note, "saved").await,
        Err(faults) => show(desk, Some(Draft { faults, ..draft })).await,
    }
}

async fn store(desk: Desk, note: Announcement, said: &str) -> Result<Response, WebError> {
    let words = format!("{} {said}: {}", note.kind.code(), note.title);
    let mut tx = desk.db().begin().await?;
    public::save(&mut tx, &note).await?;
    audit::record(&mut tx, &desk.entry(Action::Announced, &words)).await?;
    tx.commit().await?;
    Ok(done(&desk, said))
}
