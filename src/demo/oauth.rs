//! Mailcow's OAuth2 server: plain RFC 6749, mailbox users only, with its traps.
//!
//! Codes live 30 seconds; PKCE is ignored; consent is asked every time; and a bare POST of `authorized=1`
//! without any login yields a real code, whose token is bound to nobody.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Form, FromRequest, Query, Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{Html, IntoResponse, Response},
};

use super::{
    Keys, Mailcow,
    api::{cookie, remote, set_cookie},
    json::{Json, object},
    pages,
    rng::Rng,
    session::Session,
    state::State as Server,
    traffic::timeline::Deed,
};
use crate::model::time::Millis;

type Fields = HashMap<String, String>;

const CODE_LIFETIME: Duration = Duration::from_secs(30);
const ACCESS_LIFETIME: Duration = Duration::from_secs(86_400);
const REFRESH_LIFETIME: Duration = Duration::from_secs(31 * 86_400);

/// Codes and tokens that were given out.
#[derive(Debug, Default)]
pub(super) struct Grants {
    codes: HashMap<String, Code>,
    access: HashMap<String, Token>,
    refresh: HashMap<String, Token>,
}

#[derive(Debug, Clone)]
struct Code {
    user: Option<String>,
    redirect_uri: Option<String>,
    expires: Millis,
}

#[derive(Debug, Clone)]
struct Token {
    user: Option<String>,
    expires: Millis,
}

/// An OAuth2 error: code, description, link.
type Fault = (&'static str, String, Option<&'static str>);

fn fault(error: &'static str, description: impl Into<String>) -> Fault {
    (error, description.into(), None)
}

/// `GET /`: the login form, or who is logged in.
pub(super) async fn login_form(State(mailcow): State<Arc<Mailcow>>, headers: HeaderMap) -> Response {
    let now = mailcow.now();
    let mut state = mailcow.state();
    match state.sessions.find(cookie(&headers), now) {
        Some(Session { user: Some(user), .. }) => Html(pages::home(user)).into_response(),
        Some(_) => Html(pages::login(false, &hints(&mailcow, &state))).into_response(),
        None => {
            let page = Html(pages::login(false, &hints(&mailcow, &state)));
            let id = open(&mut state, now, Session::default());
            ([(header::SET_COOKIE, set_cookie(&id))], page).into_response()
        }
    }
}

/// `POST /`: a login. A wrong one shows the form again, later each time.
pub(super) async fn login(State(mailcow): State<Arc<Mailcow>>, request: Request) -> Response {
    let ip = remote(&request);
    let id = cookie(request.headers()).map(str::to_owned);
    let fields = fields(request).await;
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let now = mailcow.now();
    let user = {
        let state = mailcow.state();
        let mailbox = state.world.mailbox(field("login_user").trim());
        let good = mailbox.filter(|found| found.active == 1 && found.password == field("pass_user"));
        good.map(|mailbox| mailbox.address.clone())
    };
    match user {
        Some(user) => welcome(&mailcow, now, id.as_deref(), user, ip),
        None => turn_away(&mailcow, now, id.as_deref(), field("login_user"), ip).await,
    }
}

fn welcome(mailcow: &Mailcow, now: Millis, id: Option<&str>, user: String, ip: IpAddr) -> Response {
    let mut state = mailcow.state();
    let ip = ip.to_string();
    let (msg, call) = (
        format!("[\"logged_in_as\",\"{user}\"]"),
        format!("[\"user_login\",\"{user}\",\"*\",\"Provider: mailcow\"]"),
    );
    state.log_ui(now, "success", msg, Some(call), &user, &ip);
    state.log_login(now, "MAILCOWUI", &user, &ip);
    let old = id.and_then(|id| state.sessions.close(id)).unwrap_or_default();
    let target = old.wants.unwrap_or_else(|| "/".to_owned());
    let id = open(&mut state, now, Session { user: Some(user), ..Session::default() });
    redirect(&target, Some(&id))
}

async fn turn_away(mailcow: &Mailcow, now: Millis, id: Option<&str>, user: &str, ip: IpAddr) -> Response {
    let (page, wait) = {
        let mut state = mailcow.state();
        let failures = state.sessions.find(id, now).map_or(1, |session| {
            session.failures += 1;
            session.failures
        });
        let call = Json::List(vec!["check_login".into(), user.into(), "*".into()]).compact();
        state.log_ui(
            now,
            "danger",
            "\"login_failed\"".to_owned(),
            Some(call),
            "unauthenticated",
            &ip.to_string(),
        );
        let message = format!("{ip} matched rule id 1 (mailcow UI: Invalid password for {user} by {ip})");
        state.traffic.put(now, Deed::Netfilter { priority: "warn", message });
        state.settle(now);
        let wait = Duration::from_millis(500) * failures.min(20);
        (pages::login(true, &hints(mailcow, &state)), wait)
    };
    tokio::time::sleep(wait).await;
    Html(page).into_response()
}

/// `GET /oauth/authorize`: to the login, or the question for consent.
pub(super) async fn authorize(
    State(mailcow): State<Arc<Mailcow>>,
    Query(query): Query<Fields>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let now = mailcow.now();
    let mut state = mailcow.state();
    if let Err(refusal) = validate(&mailcow.keys, &state.redirect_uris, &query) {
        return *refusal;
    }
    if let Some(session) = state.sessions.find(cookie(&headers), now)
        && let Some(user) = &session.user
    {
        return Html(pages::consent(user, &session.csrf)).into_response();
    }
    let wants = Some(uri.to_string());
    match state.sessions.find(cookie(&headers), now) {
        Some(session) => {
            session.wants = wants;
            redirect("/?oauth", None)
        }
        None => {
            let id = open(&mut state, now, Session { wants, ..Session::default() });
            redirect("/?oauth", Some(&id))
        }
    }
}

/// `POST /oauth/authorize`: consent. Without a login it is believed all the same.
pub(super) async fn consent(State(mailcow): State<Arc<Mailcow>>, request: Request) -> Response {
    let query = Query::<Fields>::try_from_uri(request.uri()).map(|Query(query)| query).unwrap_or_default();
    let ip = remote(&request).to_string();
    let id = cookie(request.headers()).map(str::to_owned);
    let fields = fields(request).await;
    let now = mailcow.now();
    let mut state = mailcow.state();
    let target = match validate(&mailcow.keys, &state.redirect_uris, &query) {
        Ok(target) => target,
        Err(refusal) => return *refusal,
    };
    let session = state.sessions.find(id.as_deref(), now).cloned().unwrap_or_default();
    if let Some(user) = &session.user
        && fields.get("csrf_token") != Some(&session.csrf)
    {
        state.log_ui(now, "warning", "\"session_token\"".to_owned(), None, user, &ip);
        return Html(pages::consent(user, &session.csrf)).into_response();
    }
    if fields.get("authorized").is_none_or(|answer| answer != "1") {
        return StatusCode::OK.into_response();
    }
    let code = state.rng.hex(40);
    let redirect_uri = query.get("redirect_uri").cloned();
    let expires = now.plus(CODE_LIFETIME);
    state.grants.codes.insert(code.clone(), Code { user: session.user, redirect_uri, expires });
    let place = query.get("state").map_or("", String::as_str);
    redirect(&with_query(&target, &[("code", &code), ("state", place)]), None)
}

/// Checks an authorization request; gives back the redirect URI.
fn validate(keys: &Keys, registered: &[String], query: &Fields) -> Result<String, Box<Response>> {
    let field = |name: &str| query.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let bad = |fault| Box::new(complain(StatusCode::BAD_REQUEST, &fault));
    let client = field("client_id").ok_or_else(|| bad(fault("invalid_client", "No client id supplied")))?;
    if client != keys.client_id {
        return Err(bad(fault("invalid_client", "The client id supplied is invalid")));
    }
    let target = match (field("redirect_uri"), registered) {
        (Some(uri), _) if registered.iter().any(|known| known == uri) => uri.to_owned(),
        (None, [only]) => only.clone(),
        _ => {
            return Err(bad((
                "redirect_uri_mismatch",
                "The redirect URI provided is missing or does not match".to_owned(),
                Some("http://tools.ietf.org/html/rfc6749#section-3.1.2"),
            )));
        }
    };
    let place = field("state");
    let back = |(error, description, _): Fault| {
        let mut pairs = vec![("error", error), ("error_description", description.as_str())];
        let mut body = vec![
            ("error".into(), Json::from(error)),
            ("error_description".into(), Json::from(description.as_str())),
        ];
        if let Some(place) = place {
            pairs.push(("state", place));
            body.push(("state".into(), Json::from(place)));
        }
        let location = [(header::LOCATION, with_query(&target, &pairs))];
        Box::new((StatusCode::FOUND, location, json(&Json::Object(body))).into_response())
    };
    match field("response_type") {
        Some("code") => {}
        Some("token") => {
            return Err(back(fault("unsupported_response_type", "implicit grant type not supported")));
        }
        _ => return Err(back(fault("invalid_request", "Invalid or missing response type"))),
    }
    if field("scope").is_some_and(|scope| scope != "profile") {
        return Err(back(fault("invalid_scope", "An unsupported scope was requested")));
    }
    if place.is_none() {
        return Err(back(fault("invalid_request", "The state parameter is required")));
    }
    Ok(target)
}

/// `/oauth/token`: a code, a refresh token or a password becomes tokens.
pub(super) async fn token(State(mailcow): State<Arc<Mailcow>>, request: Request) -> Response {
    if request.method() != Method::POST {
        let link = Some("http://tools.ietf.org/html/rfc6749#section-3.2");
        let words = "The request method must be POST when requesting an access token".to_owned();
        return complain(StatusCode::METHOD_NOT_ALLOWED, &("invalid_request", words, link));
    }
    let basic = basic(request.headers());
    let fields = fields(request).await;
    let now = mailcow.now();
    let mut state = mailcow.state();
    let result =
        client_is_good(&mailcow.keys, &fields, basic).and_then(|()| redeem(&mut state, &fields, now));
    match result {
        Ok(user) => {
            let Server { grants, rng, .. } = &mut *state;
            json(&grants.hand_out(rng, now, user))
        }
        Err(fault) if fault.1 == WRONG_PASSWORD => complain(StatusCode::UNAUTHORIZED, &fault),
        Err(fault) => complain(StatusCode::BAD_REQUEST, &fault),
    }
}

const WRONG_PASSWORD: &str = "Invalid username and password combination";

fn client_is_good(keys: &Keys, fields: &Fields, basic: Option<(String, String)>) -> Result<(), Fault> {
    match fields.get("grant_type").map_or("", String::as_str) {
        "" => return Err(fault("invalid_request", "The grant type was not specified in the request")),
        "authorization_code" | "refresh_token" | "password" => {}
        other => {
            return Err(fault("unsupported_grant_type", format!("Grant type \"{other}\" not supported")));
        }
    }
    let (id, secret) = match basic {
        Some((id, secret)) => (id, Some(secret)),
        None => (fields.get("client_id").cloned().unwrap_or_default(), fields.get("client_secret").cloned()),
    };
    if id.is_empty() {
        return Err(fault("invalid_client", "Client credentials were not found in the headers or body"));
    }
    match secret.filter(|secret| !secret.is_empty()) {
        None => {
            Err(fault("invalid_client", "This client is invalid or must authenticate using a client secret"))
        }
        Some(secret) if id == keys.client_id && secret == keys.client_secret => Ok(()),
        Some(_) => Err(fault("invalid_client", "The client credentials are invalid")),
    }
}

/// The user that a grant is bound to, if any.
fn redeem(state: &mut Server, fields: &Fields, now: Millis) -> Result<Option<String>, Fault> {
    let field = |name: &str| fields.get(name).map(String::as_str).filter(|value| !value.is_empty());
    match field("grant_type") {
        Some("authorization_code") => {
            let code = field("code")
                .ok_or_else(|| fault("invalid_request", "Missing parameter: \"code\" is required"))?;
            state.grants.redeem_code(code, field("redirect_uri"), now)
        }
        Some("refresh_token") => {
            let token = field("refresh_token").ok_or_else(|| {
                fault("invalid_request", "Missing parameter: \"refresh_token\" is required")
            })?;
            state.grants.redeem_refresh(token, now)
        }
        _ => {
            let (Some(user), Some(password)) = (field("username"), field("password")) else {
                let words = "Missing parameters: \"username\" and \"password\" required";
                return Err(fault("invalid_request", words));
            };
            let mailbox = state.world.mailbox(user);
            let good = mailbox.filter(|found| found.active == 1 && found.password == password);
            match good.map(|mailbox| mailbox.address.clone()) {
                Some(user) => {
                    state.log_login(now, "NONE", &user, "127.0.0.1");
                    Ok(Some(user))
                }
                None => Err(fault("invalid_grant", WRONG_PASSWORD)),
            }
        }
    }
}

impl Grants {
    /// Uses up a code; a failed attempt leaves it as it was.
    fn redeem_code(
        &mut self,
        code: &str,
        redirect_uri: Option<&str>,
        now: Millis,
    ) -> Result<Option<String>, Fault> {
        let Some(known) = self.codes.get(code) else {
            let words = "Authorization code doesn't exist or is invalid for the client";
            return Err(fault("invalid_grant", words));
        };
        if known.redirect_uri.as_deref().is_some_and(|uri| Some(uri) != redirect_uri) {
            return Err((
                "redirect_uri_mismatch",
                "The redirect URI is missing or do not match".to_owned(),
                Some("http://tools.ietf.org/html/rfc6749#section-4.1.3"),
            ));
        }
        if known.expires < now {
            return Err(fault("invalid_grant", "The authorization code has expired"));
        }
        Ok(self.codes.remove(code).and_then(|code| code.user))
    }

    /// Uses up a refresh token; the access token that came with it lives on.
    fn redeem_refresh(&mut self, token: &str, now: Millis) -> Result<Option<String>, Fault> {
        match self.refresh.remove(token) {
            None => Err(fault("invalid_grant", "Invalid refresh token")),
            Some(known) if known.expires < now => Err(fault("invalid_grant", "Refresh token has expired")),
            Some(known) => Ok(known.user),
        }
    }

    fn hand_out(&mut self, rng: &mut Rng, now: Millis, user: Option<String>) -> Json {
        let (access, refresh) = (rng.hex(40), rng.hex(40));
        self.access.insert(access.clone(), Token { user: user.clone(), expires: now.plus(ACCESS_LIFETIME) });
        self.refresh.insert(refresh.clone(), Token { user, expires: now.plus(REFRESH_LIFETIME) });
        object! {
            "access_token": access, "expires_in": 86_400, "token_type": "Bearer", "scope": "profile",
            "refresh_token": refresh,
        }
    }
}

/// `/oauth/profile`: who a token belongs to. Without an active mailbox behind it: `{"success":false}`.
pub(super) async fn profile(State(mailcow): State<Arc<Mailcow>>, request: Request) -> Response {
    let query = Query::<Fields>::try_from_uri(request.uri()).map(|Query(query)| query).unwrap_or_default();
    let header =
        request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let fields = if request.method() == Method::POST { fields(request).await } else { Fields::new() };
    let unauthorized = |words| complain(StatusCode::UNAUTHORIZED, &fault("invalid_token", words));
    let token = match header {
        Some(header) => match header.strip_prefix("Bearer ") {
            Some(token) => token.trim().to_owned(),
            None => {
                return complain(
                    StatusCode::UNAUTHORIZED,
                    &fault("invalid_request", "Malformed auth header"),
                );
            }
        },
        None => match query.get("access_token").or_else(|| fields.get("access_token")) {
            Some(token) => token.clone(),
            None => {
                let ask = [(header::WWW_AUTHENTICATE, "Bearer realm=\"Service\"")];
                return (StatusCode::UNAUTHORIZED, ask).into_response();
            }
        },
    };
    let now = mailcow.now();
    let state = mailcow.state();
    match state.grants.access.get(&token) {
        None => unauthorized("The access token provided is invalid"),
        Some(known) if known.expires < now => unauthorized("The access token provided has expired"),
        Some(known) => describe(&state, known.user.as_deref()),
    }
}

fn describe(state: &Server, user: Option<&str>) -> Response {
    let Some(mailbox) = user.and_then(|user| state.world.mailbox(user)).filter(|mailbox| mailbox.active == 1)
    else {
        let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
        return (kind, "{\"success\":false}").into_response();
    };
    let address = mailbox.address.as_str();
    let name = if mailbox.name.is_empty() { "mailcow administrative user" } else { &mailbox.name };
    json(&object! {
        "success": true,
        "username": address,
        "id": address,
        "identifier": address,
        "email": address,
        "full_name": name,
        "displayName": name,
        "created": state.local(mailbox.created),
        "modified": mailbox.modified.map_or(String::new(), |at| state.local(at)),
        "active": 1,
    })
}

fn hints(mailcow: &Mailcow, state: &Server) -> Vec<String> {
    let active = state.world.mailboxes.iter().filter(|mailbox| mailbox.active == 1);
    if mailcow.options.hints {
        active.take(5).map(|mailbox| mailbox.address.clone()).collect()
    } else {
        Vec::new()
    }
}

fn open(state: &mut Server, now: Millis, session: Session) -> String {
    let Server { sessions, rng, .. } = state;
    sessions.open(rng, now, session)
}

/// Form fields or a JSON object of strings.
async fn fields(request: Request) -> Fields {
    let kind =
        request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/json") {
        let bytes = axum::body::to_bytes(request.into_body(), 1 << 16).await.unwrap_or_default();
        return serde_json::from_slice(&bytes).unwrap_or_default();
    }
    Form::<Fields>::from_request(request, &()).await.map(|Form(fields)| fields).unwrap_or_default()
}

fn redirect(target: &str, session: Option<&str>) -> Response {
    let mut response =
        (StatusCode::FOUND, [(header::LOCATION, target.to_owned())], Body::empty()).into_response();
    if let Some(value) = session.and_then(|session| set_cookie(session).parse().ok()) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

fn json(value: &Json) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, value.compact()).into_response()
}

fn complain(status: StatusCode, (error, description, link): &Fault) -> Response {
    let mut pairs = vec![
        ("error".into(), Json::from(*error)),
        ("error_description".into(), Json::from(description.as_str())),
    ];
    if let Some(link) = link {
        pairs.push(("error_uri".into(), Json::from(*link)));
    }
    (status, json(&Json::Object(pairs))).into_response()
}

/// `target` with these parameters, as PHP's `http_build_query` writes them.
fn with_query(target: &str, pairs: &[(&str, &str)]) -> String {
    let query: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{name}={}", form_encode(value))).collect();
    let join = if target.contains('?') { '&' } else { '?' };
    format!("{target}{join}{}", query.join("&"))
}

fn form_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// Client id and secret of HTTP Basic (RFC 7617).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let text = String::from_utf8(decode_base64(value.strip_prefix("Basic ")?.trim())?).ok()?;
    text.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned()))
}

/// RFC 4648 base64; `None` for other letters.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        assert_eq!(decode_base64("Y2xpZW50OnNlY3JldA==").as_deref(), Some(b"client:secret".as_slice()));
        assert_eq!(decode_base64("a b"), None);
    }

    #[test]
    fn queries_are_written_like_php() {
        let uri =
            with_query("http://x/cb", &[("error_description", "The state parameter"), ("state", "a/b~ü")]);
        assert_eq!(uri, "http://x/cb?error_description=The+state+parameter&state=a%2Fb%7E%C3%BC");
    }
}
