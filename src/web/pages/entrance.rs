//! The pages around a session: sign in, signed out, login link, and whatever went wrong.

use crate::{
    model::user::Visitor,
    store::links::LoginLink,
    web::{
        errors::WebError,
        pages::{
            frame::Frame,
            plain::{self, Plain, Trouble},
        },
        state::AppState,
        visitor::Guest,
    },
};

/// The sign-in page; `wish` is the page to come back to, or empty.
pub fn sign_in(state: &AppState, guest: &Guest, wish: &str) -> String {
    show(state, guest, None, &Plain::SignIn { href: door(state, wish), trouble: None })
}

/// The page after signing out.
pub fn signed_out(state: &AppState, guest: &Guest) -> String {
    show(state, guest, None, &Plain::SignedOut { href: state.settings.at("/login/start") })
}

/// The page of a login link: whom it signs in, and the button that uses it up.
pub fn link(state: &AppState, guest: &Guest, link: &LoginLink) -> String {
    show(state, guest, None, &Plain::Link { address: link.address.clone() })
}

/// The page of whatever went wrong.
pub fn failure(
    state: &AppState,
    guest: &Guest,
    visitor: Option<&Visitor>,
    error: &WebError,
    id: &str,
) -> String {
    let failed = |trouble| Plain::SignIn { href: door(state, ""), trouble: Some(trouble) };
    let plain = match error {
        WebError::NotFound | WebError::NoAccess => Plain::NotFound,
        WebError::SignInFirst => failed(Trouble::First),
        WebError::Form => Plain::OldForm,
        WebError::TooLarge => Plain::TooLarge,
        WebError::TooMany(wait) => Plain::TooMany { wait: *wait },
        WebError::UnknownZone(zone) => Plain::UnknownZone { zone: zone.clone() },
        WebError::NoMailbox => failed(Trouble::NoMailbox),
        WebError::SignInTooLate => failed(Trouble::TooLate),
        WebError::SignInFailed => failed(Trouble::Refused),
        WebError::LinkSpent => failed(Trouble::LinkSpent),
        WebError::Unreachable => failed(Trouble::Unreachable),
        WebError::Broken(_) => Plain::Broke { id: id.to_owned() },
    };
    show(state, guest, visitor, &plain)
}

fn door(state: &AppState, wish: &str) -> String {
    let query: String = url::form_urlencoded::byte_serialize(wish.as_bytes()).collect();
    format!("{}?next={query}", state.settings.at("/login/start"))
}

/// A template of ours cannot fail but by lack of memory.
fn show(state: &AppState, guest: &Guest, visitor: Option<&Visitor>, plain: &Plain) -> String {
    let frame = Frame::around(state, guest, visitor, "/");
    askama::Template::render(&plain::view(&frame, plain)).unwrap_or_default()
}
