//! The pages around a session: sign in, signed out, login link, and whatever went wrong.

use askama::Template;

use crate::{
    model::user::Visitor,
    store::links::LoginLink,
    web::{errors::WebError, format::Formats, state::AppState, text::Lang, visitor::Guest},
};

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="{{ lang.code() }}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{ title }}</title></head>
<body><main><h1>{{ title }}</h1>
{% for line in lines %}<p>{{ line }}</p>
{% endfor %}{% if let Some((action, button)) = form %}<form method="post" action="{{ action }}"><button>{{ button }}</button></form>
{% endif %}{% if let Some((href, words)) = go %}<p><a href="{{ href }}">{{ words }}</a></p>
{% endif %}{% if let Some(number) = number %}<p><small>{{ number }}</small></p>
{% endif %}</main></body></html>
"#
)]
struct Entrance {
    lang: Lang,
    title: String,
    lines: Vec<String>,
    form: Option<(String, &'static str)>,
    go: Option<(String, &'static str)>,
    number: Option<u16>,
}

impl Entrance {
    fn new(lang: Lang, title: impl Into<String>) -> Self {
        Self { lang, title: title.into(), lines: Vec::new(), form: None, go: None, number: None }
    }

    /// A template of ours cannot fail but by lack of memory.
    fn page(&self) -> String {
        self.render().unwrap_or_default()
    }
}

/// The sign-in page; `wish` is the page to come back to, or empty.
pub fn sign_in(state: &AppState, guest: &Guest, wish: &str) -> String {
    let query: String = url::form_urlencoded::byte_serialize(wish.as_bytes()).collect();
    Entrance {
        lines: vec![guest.lang.t("login.next").to_owned()],
        go: Some((
            format!("{}?next={query}", state.settings.at("/login/start")),
            guest.lang.t("login.button"),
        )),
        ..Entrance::new(guest.lang, guest.lang.t("login.title"))
    }
    .page()
}

/// The page after signing out.
pub fn signed_out(state: &AppState, guest: &Guest) -> String {
    Entrance {
        go: Some((state.settings.at("/login/start"), guest.lang.t("login.again"))),
        ..Entrance::new(guest.lang, guest.lang.t("login.signed_out"))
    }
    .page()
}

/// The page of a login link: whom it signs in, and the button that uses it up.
pub fn link(_state: &AppState, guest: &Guest, link: &LoginLink) -> String {
    Entrance {
        lines: vec![guest.lang.t("login.link_once").to_owned()],
        // The form goes to where it came from, so that the token stands in no page.
        form: Some((String::new(), guest.lang.t("login.title"))),
        ..Entrance::new(guest.lang, guest.lang.tf("login.link", &[("address", &link.address)]))
    }
    .page()
}

/// The page of whatever went wrong.
pub fn failure(
    state: &AppState,
    guest: &Guest,
    visitor: Option<&Visitor>,
    error: &WebError,
    id: &str,
) -> String {
    let lang = guest.lang;
    let sentence = match error {
        WebError::NotFound | WebError::NoAccess => lang.t("error.not_found").to_owned(),
        WebError::SignInFirst => lang.t("error.sign_in_first").to_owned(),
        WebError::Form => lang.t("error.form").to_owned(),
        WebError::TooLarge => lang.t("error.too_large").to_owned(),
        WebError::TooMany(pause) => {
            let formats = Formats { lang, zone: guest.zone.clone(), now: guest.now };
            lang.tf("error.too_many", &[("duration", &formats.duration_in_sentence(*pause))])
        }
        WebError::NoMailbox => lang.t("login.refused").to_owned(),
        WebError::SignInTooLate => lang.t("login.too_late").to_owned(),
        WebError::SignInFailed => lang.t("login.failed").to_owned(),
        WebError::LinkSpent => lang.t("login.link_spent").to_owned(),
        WebError::Unreachable => lang.t("error.unreachable").to_owned(),
        WebError::Broken(_) => lang.tf("error.broke", &[("id", id)]),
    };
    let go = match error {
        WebError::NoMailbox | WebError::SignInTooLate | WebError::SignInFailed | WebError::SignInFirst => {
            (state.settings.at("/login"), lang.t("login.again"))
        }
        _ if visitor.is_none() => (state.settings.at("/login"), lang.t("login.title")),
        _ => (state.settings.at("/"), lang.t("error.start")),
    };
    Entrance { go: Some(go), number: Some(error.status().as_u16()), ..Entrance::new(lang, sentence) }.page()
}
