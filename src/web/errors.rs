//! What a visitor can meet: the only place with status codes. Internals are logged with an id; the visitor sees
//! the id. A failure travels as a mark on an empty response and is dressed as a page at the way out, where the
//! visitor's language is known.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{pages::entrance, session, state::AppState, visitor::Guest};
use crate::model::user::Visitor;

/// What a visitor can meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebError {
    /// Nothing here, or not theirs to see: one answer for foreign, missing and pruned things.
    NotFound,
    /// A page for another role.
    NoAccess,
    /// Sign-in is needed, where no redirect helps.
    SignInFirst,
    /// A form from elsewhere, or too old.
    Form,
    /// More data than we take.
    TooLarge,
    /// Too many tries; go on after this time.
    TooMany(Duration),
    /// A time zone that nobody knows; its name.
    UnknownZone(String),
    /// The account has no active mailbox.
    NoMailbox,
    /// The sign-in took too long, was used before, or began in another browser.
    SignInTooLate,
    /// Mailcow did not take the sign-in.
    SignInFailed,
    /// The login link was used, is too old or never was.
    LinkSpent,
    /// Mailcow cannot be reached.
    Unreachable,
    /// Something broke; the words are for the log only.
    Broken(String),
}

/// The mark of a failed response.
#[derive(Debug, Clone)]
struct Failure {
    error: WebError,
    id: String,
}

/// The mark of a response that stays as it is: for programs, not for people.
#[derive(Debug, Clone, Copy)]
pub struct Bare;

impl WebError {
    /// Something broke; the words are for the log only and must hold no secrets.
    pub fn broken(words: impl std::fmt::Display) -> Self {
        Self::Broken(words.to_string())
    }

    /// The status code.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NoAccess | Self::Form | Self::NoMailbox => StatusCode::FORBIDDEN,
            Self::SignInFirst => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::SignInTooLate | Self::SignInFailed | Self::UnknownZone(_) => StatusCode::BAD_REQUEST,
            Self::LinkSpent => StatusCode::GONE,
            Self::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<crate::store::Error> for WebError {
    fn from(error: crate::store::Error) -> Self {
        Self::broken(format_args!("database: {error}"))
    }
}

impl IntoResponse for WebError {
    fn into_response(self) -> Response {
        let id = session::secret().map(|id| id.chars().take(8).collect()).unwrap_or_else(|_| "0".to_owned());
        if let Self::Broken(words) = &self {
            tracing::error!(id, "{words}");
        }
        let mut response = self.status().into_response();
        if let Self::TooMany(wait) = self {
            response.headers_mut().insert(header::RETRY_AFTER, whole_seconds(wait).into());
        }
        response.extensions_mut().insert(Failure { error: self, id });
        response
    }
}

/// A wait for `Retry-After` (RFC 9110, 10.2.3): whole seconds, none of them too few.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// Turns failed responses into pages in the visitor's language.
pub async fn dress(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let guest = Guest::read(&state, &parts);
    let response = next.run(Request::from_parts(parts, body)).await;
    let Some(failure) = failure_of(&response) else { return response };
    let visitor = response.extensions().get::<Visitor>().cloned();
    let page = entrance::failure(&state, &guest, visitor.as_ref(), &failure.error, &failure.id);
    let (mut head, _) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Response::from_parts(head, page.into())
}

/// The failure of a response: our own mark, or what the framework refused by itself (a query that cannot be
/// read, an unknown method).
fn failure_of(response: &Response) -> Option<Failure> {
    if let Some(failure) = response.extensions().get::<Failure>() {
        return Some(failure.clone());
    }
    if response.extensions().get::<Bare>().is_some() {
        return None;
    }
    let error = match response.status() {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => WebError::NotFound,
        StatusCode::PAYLOAD_TOO_LARGE => WebError::TooLarge,
        StatusCode::GATEWAY_TIMEOUT => WebError::Broken("a page took too long".to_owned()),
        status if status.is_client_error() => WebError::Form,
        _ => return None,
    };
    Some(Failure { error, id: String::new() })
}
