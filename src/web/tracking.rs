//! Open tracking: the image, the list of those who opted in, and the page that says who is tracked.

use std::net::{IpAddr, Ipv6Addr};

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderName, Method, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{MethodRouter, get},
};

use super::{
    client::Client,
    cron,
    errors::WebError,
    limits::Class,
    pages::{frame::Frame, tracking},
    state::AppState,
    visitor::Guest,
};
use crate::{
    ingest::opens::Caller,
    model::{scope::Role, user::Visitor},
    store::{inventory, opens},
};

/// One transparent pixel: GIF89a, 1 by 1, two colours, the first of them transparent.
const PIXEL: [u8; 43] = [
    b'G', b'I', b'F', b'8', b'9', b'a', 1, 0, 1, 0, 0x80, 0, 0, 0, 0, 0, 0xff, 0xff,
    0xff, // head, two colours
    0x21, 0xf9, 4, 1, 0, 0, 0, 0, // transparency
    0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0, 0x3b, // the image
];

/// `GET /track/{token}`: always the same image, whatever the token. The path is read as it came, so that no form of
/// it is answered otherwise.
pub fn pixel() -> MethodRouter<AppState> {
    get(|State(state): State<AppState>, request: Request| async move {
        let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        if let Some(caller) = caller(&state, request) {
            state.opens.note(name.strip_suffix(".gif").unwrap_or_default(), caller);
        }
        image()
    })
}

/// `GET /track.php?msg=`: the same image for mails that the PHP app's tracker marked.
pub fn old_pixel() -> MethodRouter<AppState> {
    get(|State(state): State<AppState>, request: Request| async move {
        let query = request.uri().query().unwrap_or_default();
        let link = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "msg");
        let link = link.map(|(_, link)| link.into_owned()).unwrap_or_default();
        if let Some(caller) = caller(&state, request) {
            state.opens.note_old(&link, caller);
        }
        image()
    })
}

/// Who loads an image; nobody when their address does so too often. That leaves no trace but a number: readers'
/// addresses are not written down. Whoever asks for the head alone does not see the image.
fn caller(state: &AppState, request: Request) -> Option<Caller> {
    if request.method() == Method::HEAD {
        return None;
    }
    let (parts, _) = request.into_parts();
    let (client, at) = (Client::of(&state.settings.trusted_proxies, &parts), state.clock.now());
    state.limits.admit(Class::Pixel, client, at).ok()?;
    let client = match client {
        Client::At(ip) => ip,
        // Those whom nobody can tell are one reader, and not the sender.
        Client::Unknown => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let agent = parts.headers.get(header::USER_AGENT).map(|agent| agent.as_bytes()).unwrap_or_default();
    Some(Caller { client, agent: String::from_utf8_lossy(agent).into_owned(), at })
}

fn image() -> Response {
    let reach = HeaderName::from_static("cross-origin-resource-policy");
    let headers = [
        (header::CONTENT_TYPE, "image/gif"),
        (header::CACHE_CONTROL, "no-store"),
        // Web mail shows it on pages of its own.
        (reach, "cross-origin"),
    ];
    (headers, PIXEL).into_response()
}

/// `GET /internal/tracked.map`: for Rspamd, the mailboxes that opted in and (with `@` before) the domains here, one a
/// line. Empty where open tracking is off; an error keeps Rspamd at what it knows.
pub fn map() -> MethodRouter<AppState> {
    get(|State(state): State<AppState>, guest: Guest, request: Request| async move {
        let Some(key) = state.opens.key().map(|key| key.map_key()) else {
            return Ok(cron::plain(StatusCode::OK, "# Open tracking is off.\n"));
        };
        let opened = match cron::offered(&request) {
            Some(offer) => cron::opens(&state, &guest, &offer, &key, "tracked.map"),
            None => Ok(false),
        };
        match opened {
            Ok(true) => {
                if let Err(error) = state.admit(Class::Cron, guest.client) {
                    return Ok(cron::slower(&error));
                }
            }
            Ok(false) => return Ok(cron::plain(StatusCode::FORBIDDEN, "The key is wrong or missing.\n")),
            Err(error) => return Ok(cron::slower(&error)),
        }
        let list = inventory::tracked_map(&state.db).await?;
        state.opens.note_map_read(state.clock.now());
        Ok::<_, WebError>(cron::plain(StatusCode::OK, &list))
    })
}

/// `GET /mailbox/tracking`: who is tracked, and what is stored.
pub fn page() -> MethodRouter<AppState> {
    get(|State(state): State<AppState>, guest: Guest, visitor: Visitor| async move {
        let frame = Frame::around(&state, &guest, Some(&visitor), "/mailbox/tracking");
        let tracked = opens::tracked(&state.db, &visitor.scope).await?;
        let stored = match visitor.role {
            Role::Admin => Some(tracking::Stored {
                numbers: state.opens.numbers(),
                opens: opens::count(&state.db).await?,
                refused: state.limits.refused(Class::Pixel),
            }),
            _ => None,
        };
        let days = i64::try_from(state.settings.keep_mails.as_secs() / 86_400).unwrap_or(i64::MAX);
        let input = tracking::Input { on: state.opens.key().is_some(), tracked: &tracked, stored, days };
        let page = tracking::view(&frame, input);
        Ok::<_, WebError>(Html(page.render().map_err(WebError::broken)?).into_response())
    })
}
