//! Pages of one sentence: signing in and out, and everything that can go wrong.

use std::time::Duration;

use askama::Template;

use crate::web::pages::frame::Frame;

/// What such a page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plain {
    /// The way in; `href` begins the sign-in.
    SignIn {
        /// Where the button leads.
        href: String,
        /// Something that went wrong before.
        trouble: Option<Trouble>,
    },
    /// Nobody is signed in any more; `href` begins the sign-in.
    SignedOut {
        /// Where the button leads.
        href: String,
    },
    /// A login link: whom it signs in. Its form goes to where it came from, so that the token stands in no page.
    Link {
        /// Who will be signed in.
        address: String,
    },
    /// Foreign, missing and pruned things: one page, one text.
    NotFound,
    /// A form whose time is over, or that did not come from here.
    OldForm,
    /// More data than we take.
    TooLarge,
    /// Too many tries.
    TooMany {
        /// When it goes on.
        wait: Duration,
    },
    /// A time zone that nobody knows.
    UnknownZone {
        /// What was typed.
        zone: String,
    },
    /// Something broke.
    Broke {
        /// The number to hand on.
        id: String,
    },
}

/// Why a sign-in did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The account has no mailbox.
    NoMailbox,
    /// It took too long, or was begun in another browser.
    TooLate,
    /// Mailcow does not answer.
    Unreachable,
    /// Mailcow said no.
    Refused,
    /// The session ended before a form was sent.
    First,
    /// The login link was used or is too old.
    LinkSpent,
}

/// The page.
#[derive(Template)]
#[template(path = "plain.html")]
pub struct PlainPage<'a> {
    frame: &'a Frame,
    title: String,
    tone: &'static str,
    icon: &'static str,
    text: String,
    number: Option<String>,
    action: Option<(String, &'static str)>,
    form: Option<&'static str>,
    mailcow: bool,
}

/// The view.
pub fn view<'a>(frame: &'a Frame, plain: &Plain) -> PlainPage<'a> {
    let lang = frame.lang();
    let page = |tone, icon, title: &str, text: &str| PlainPage {
        frame,
        title: title.to_owned(),
        tone,
        icon,
        text: text.to_owned(),
        number: None,
        action: Some((frame.url("/"), lang.t("error.start"))),
        form: None,
        mailcow: false,
    };
    match plain {
        Plain::SignIn { href, trouble } => {
            let action = Some((href.clone(), lang.t("login.button")));
            let page = match trouble {
                None => page("info", "envelope-check", lang.t("login.title"), lang.t("login.next")),
                Some(Trouble::NoMailbox) => {
                    page("wait", "person", lang.t("login.no_mailbox"), lang.t("login.refused"))
                }
                Some(Trouble::TooLate) => {
                    page("wait", "clock", lang.t("login.failed"), lang.t("login.too_late"))
                }
                Some(Trouble::Unreachable) => {
                    page("bad", "plug", lang.t("login.failed"), lang.t("error.unreachable"))
                }
                Some(Trouble::Refused) => {
                    page("wait", "lock", lang.t("login.failed"), lang.t("login.said_no"))
                }
                Some(Trouble::First) => {
                    page("wait", "clock", lang.t("login.ended"), lang.t("error.sign_in_first"))
                }
                Some(Trouble::LinkSpent) => {
                    page("wait", "key", lang.t("login.link_over"), lang.t("login.link_spent"))
                }
            };
            PlainPage { action, mailcow: trouble.is_some(), ..page }
        }
        Plain::SignedOut { href } => PlainPage {
            action: Some((href.clone(), lang.t("login.again"))),
            mailcow: true,
            ..page("ok", "check-lg", lang.t("login.out"), lang.t("login.signed_out"))
        },
        Plain::Link { address } => PlainPage {
            action: None,
            form: Some(lang.t("login.title")),
            ..page("info", "key", &lang.tf("login.link", &[("address", address)]), lang.t("login.link_once"))
        },
        Plain::TooLarge => {
            page("wait", "slash-circle", lang.t("error.too_large"), lang.t("error.too_large.next"))
        }
        Plain::NotFound => {
            page("idle", "question-circle", lang.t("error.not_found"), lang.t("error.not_found.next"))
        }
        Plain::OldForm => page("wait", "clock", lang.t("error.form"), lang.t("error.form.next")),
        Plain::TooMany { wait } => {
            let wait = frame.formats.duration(*wait);
            page(
                "wait",
                "pause-circle",
                &lang.tf("error.too_many", &[("duration", &wait)]),
                lang.t("error.too_many.next"),
            )
        }
        Plain::UnknownZone { zone } => {
            let title = lang.tf("error.zone", &[("zone", zone)]);
            page("wait", "clock", &title, lang.t("error.zone.next"))
        }
        Plain::Broke { id } => PlainPage {
            number: Some(id.clone()),
            ..page(
                "bad",
                "exclamation-triangle",
                lang.t("error.broke"),
                &lang.tf("error.broke.next", &[("id", id)]),
            )
        },
    }
}
