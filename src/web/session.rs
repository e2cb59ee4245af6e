//! Sessions and cookies.
//!
//! A layer of our own rather than `tower-sessions`: our sessions have columns (whose, since when, last look at
//! Mailcow), end together by address, are stored under a digest, and are written at most once a minute. In a
//! store of opaque records none of that fits.

use axum::http::{HeaderMap, HeaderValue, header};

use super::{errors::WebError, state::WebSettings};
use crate::{
    model::{
        token::{digest, hex},
        user::Session,
    },
    store::{Tx, sessions},
};

/// The cookie with the session's id.
pub const COOKIE: &str = "status_session";
/// The cookie that tells that this browser signed out, so that Start does not sign in again by itself.
pub const SIGNED_OUT_COOKIE: &str = "status_signed_out";
/// Begins the names of the cookies that bind a sign-in to its browser; the begin of `state` follows.
pub const SIGN_IN_COOKIE: &str = "status_sign_in_";
/// All cookies of the portal's but those of sign-ins. The file for Mailcow's nginx lets no others through.
pub const COOKIES: [&str; 5] = [COOKIE, SIGNED_OUT_COOKIE, "lang", "theme", "zone"];

/// A fresh secret: 256 random bits, 64 hex digits.
pub fn secret() -> Result<String, WebError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| WebError::broken(format!("no randomness: {error}")))?;
    Ok(hex(&bytes))
}

/// Under which key the session with this id is stored.
pub fn key(id: &str) -> String {
    digest(id)
}

/// Stores a new session under a new id, in place of the one that the browser had; says the id.
pub async fn begin(tx: &mut Tx, headers: &HeaderMap, mut session: Session) -> Result<String, WebError> {
    if let Some(old) = cookie(headers, COOKIE) {
        sessions::end(tx, &key(old)).await?;
    }
    let id = secret()?;
    session.key = key(&id);
    sessions::begin(tx, &session).await?;
    Ok(id)
}

/// The value of a cookie; the first one where a browser sends two.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(found, value)| *found == name && value.len() <= 256).map(|(_, value)| value).next()
}

/// Who may read a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// The server only.
    Server,
    /// Our script, too.
    Script,
}

/// A `Set-Cookie` value. `seconds`: how long it stays; `None` until the browser closes, 0 removes it.
/// Name and value must be made of plain characters, which ours are.
pub fn set_cookie(
    settings: &WebSettings,
    name: &str,
    value: &str,
    seconds: Option<u64>,
    reader: Reader,
) -> Result<HeaderValue, WebError> {
    debug_assert!(COOKIES.contains(&name) || name.starts_with(SIGN_IN_COOKIE), "{name} is not in the list");
    let path = if settings.base_path.is_empty() { "/" } else { &settings.base_path };
    let mut text = format!("{name}={value}; Path={path}; SameSite=Lax");
    if let Some(seconds) = seconds {
        text.push_str(&format!("; Max-Age={seconds}"));
    }
    if reader == Reader::Server {
        text.push_str("; HttpOnly");
    }
    if settings.secure_cookies() {
        text.push_str("; Secure");
    }
    HeaderValue::from_str(&text).map_err(|_| WebError::broken("a cookie with odd characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("xstatus_session=no; status_session=one; lang=de"),
        );
        headers.append(header::COOKIE, HeaderValue::from_static("status_session=two"));
        assert_eq!(cookie(&headers, COOKIE), Some("one"));
        assert_eq!(cookie(&headers, "lang"), Some("de"));
        assert_eq!(cookie(&headers, "session"), None);
    }

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let (one, two) = (secret().ok().unwrap(), secret().ok().unwrap());
        assert!(one.len() == 64 && one != two);
    }
}
