//! `/api/v1/`: who may ask, what is answered, and how it looks.

use std::{collections::HashMap, net::IpAddr, net::SocketAddr, sync::Arc};

use axum::{
    body::{self, Body},
    extract::{ConnectInfo, Path, Query, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    Mailcow,
    book::{Rule, Span, list},
    json::{Json, object},
    objects,
    session::Session,
    state::{Call, Fault, State as Server},
};
use crate::model::time::Millis;

/// An answer before it becomes HTTP.
struct Reply {
    status: StatusCode,
    kind: &'static str,
    body: String,
}

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";

impl Reply {
    fn new(status: StatusCode, kind: &'static str, body: impl Into<String>) -> Self {
        Self { status, kind, body: body.into() }
    }

    fn ok(body: impl Into<String>) -> Self {
        Self::new(StatusCode::OK, JSON, body)
    }

    fn error(status: StatusCode, kind: &'static str, msg: &str) -> Self {
        Self::new(status, kind, object! { "type": "error", "msg": msg }.compact())
    }

    fn not_found() -> Self {
        Self::error(StatusCode::NOT_FOUND, JSON, "route not found")
    }
}

/// A request to the API, taken apart.
struct Question {
    now: Millis,
    method: Method,
    path: String,
    query: HashMap<String, String>,
    target: String,
    remote: IpAddr,
    key: String,
    cookie: Option<String>,
    foreign: bool,
    data: Vec<u8>,
}

/// Answers every path below `/api/v1/`.
pub(super) async fn answer(
    State(mailcow): State<Arc<Mailcow>>,
    Path(path): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    request: Request,
) -> Response {
    let question = Question {
        now: mailcow.now(),
        method: request.method().clone(),
        query,
        target: request.uri().to_string(),
        remote: remote(&request),
        key: key(request.headers()),
        cookie: cookie(request.headers()).map(str::to_owned),
        foreign: request.headers().get("sec-fetch-dest").is_some_and(|dest| dest != "empty"),
        path,
        data: body::to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default().to_vec(),
    };
    let fault = mailcow.state().fault(&question.path);
    if fault == Some(Fault::Hang) {
        note(&mut mailcow.state(), &question, 0);
        std::future::pending::<()>().await;
    }
    let mut state = mailcow.state();
    let (reply, admin) = match fault.and_then(spoiled) {
        Some(reply) => (reply, false),
        None => permit(&mailcow, &mut state, &question),
    };
    let reply = spoil(reply, fault);
    note(&mut state, &question, reply.status.as_u16());
    let session = keep_session(&mut state, &question, admin);
    drop(state);
    let mut headers = HeaderMap::new();
    for (name, value) in
        [(header::CONTENT_TYPE, reply.kind.to_owned()), (header::SET_COOKIE, set_cookie(&session))]
    {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    }
    (reply.status, headers, Body::from(reply.body)).into_response()
}

/// The session cookie as Mailcow sets it over plain HTTP.
pub(super) fn set_cookie(session: &str) -> String {
    format!("MCSESSID={session}; path=/; HttpOnly; SameSite=Lax")
}

/// The session id that a browser sent.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let mut cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.find_map(|line| line.split(';').find_map(|pair| pair.trim().strip_prefix("MCSESSID=")))
}

/// The address of who asks; loopback when unknown.
pub(super) fn remote(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.map_or(IpAddr::from([127, 0, 0, 1]), |ConnectInfo(address)| address.ip())
}

/// The API key; anything but letters, digits and dashes is dropped.
fn key(headers: &HeaderMap) -> String {
    let value = headers.get("x-api-key").and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-').collect()
}

/// Every answer opens a session; with a good key (or such a session) it is an administrator's.
fn keep_session(state: &mut Server, question: &Question, admin: bool) -> String {
    if let Some(id) = &question.cookie
        && state.sessions.find(Some(id), question.now).is_some()
    {
        return id.clone();
    }
    let Server { sessions, rng, .. } = state;
    sessions.open(rng, question.now, Session { api: admin, ..Session::default() })
}

fn note(state: &mut Server, question: &Question, status: u16) {
    if state.calls.len() >= 10_000 {
        state.calls.pop_front();
    }
    state.calls.push_back(Call {
        at: question.now,
        method: question.method.to_string(),
        target: question.target.clone(),
        with_key: !question.key.is_empty(),
        with_cookie: question.cookie.is_some(),
        status,
    });
}

/// Faults that replace the answer.
fn spoiled(fault: Fault) -> Option<Reply> {
    let sentence = "<center style='font-family:sans-serif;'>Connection to dockerapi container failed.<br /><br />\
                    The following error was reported:<br/>111 - Connection refused</center>";
    let gateway =
        "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>";
    Some(match fault {
        Fault::Down => Reply::new(StatusCode::INTERNAL_SERVER_ERROR, HTML, sentence),
        Fault::Gateway => Reply::new(StatusCode::BAD_GATEWAY, HTML, gateway),
        Fault::Html => {
            Reply::new(StatusCode::OK, HTML, "<!doctype html><title>mailcow UI</title><p>Please wait")
        }
        Fault::Empty => Reply::ok(""),
        Fault::Object => Reply::ok("{}"),
        Fault::Unauthorized => Reply::error(StatusCode::UNAUTHORIZED, HTML, "authentication failed"),
        Fault::Forbidden => Reply::new(StatusCode::FORBIDDEN, HTML, ""),
        Fault::Half | Fault::NullRows | Fault::Hang => return None,
    })
}

/// Faults that change the answer.
fn spoil(mut reply: Reply, fault: Option<Fault>) -> Reply {
    match fault {
        Some(Fault::Half) => {
            let middle = reply.body.floor_char_boundary(reply.body.len() / 2);
            reply.body.truncate(middle);
        }
        Some(Fault::NullRows) => {
            if let Some(rows) = reply.body.strip_prefix("[\n").and_then(|body| body.strip_suffix("\n]")) {
                reply.body = format!("[\n    null,\n{rows},\n    null\n]");
            }
        }
        _ => {}
    }
    reply
}

/// Lets in who may ask; the second part says whether the answer's session is an administrator's.
fn permit(mailcow: &Mailcow, state: &mut Server, question: &Question) -> (Reply, bool) {
    if state.banned {
        // A real firewall drops the packets; a test wants to see it.
        return (Reply::new(StatusCode::FORBIDDEN, HTML, "banned"), false);
    }
    if question.foreign {
        return (Reply::new(StatusCode::FORBIDDEN, JSON, ""), false);
    }
    let remote = question.remote.to_string();
    if question.key.is_empty() {
        let session = state.sessions.find(question.cookie.as_deref(), question.now);
        if !session.is_some_and(|session| session.api) {
            return (Reply::ok(""), false);
        }
    } else if question.key != mailcow.keys.api_key {
        state.count_failure(question.now, &remote);
        return (Reply::error(StatusCode::UNAUTHORIZED, HTML, "authentication failed"), false);
    } else if mailcow.options.allow_from.as_ref().is_some_and(|allowed| !allowed.contains(&question.remote)) {
        state.count_failure(question.now, &remote);
        let msg = format!("api access denied for ip {remote}");
        return (Reply::error(StatusCode::UNAUTHORIZED, HTML, &msg), false);
    }
    state.log_api(question.now, question.method.as_str(), &question.target, &remote, "");
    (act(mailcow, state, question), true)
}

fn act(mailcow: &Mailcow, state: &mut Server, question: &Question) -> Reply {
    let parts: Vec<&str> = question.path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["get", ..] if question.method != Method::GET => {
            Reply::error(StatusCode::METHOD_NOT_ALLOWED, JSON, "only GET method is allowed")
        }
        ["get", category, rest @ ..] => {
            let object = rest.first().copied();
            get(mailcow, state, question, category, object, rest.get(1).copied())
        }
        ["add" | "edit" | "delete" | "search", ..] if question.method != Method::POST => {
            Reply::error(StatusCode::METHOD_NOT_ALLOWED, JSON, "only POST method is allowed")
        }
        ["add" | "edit" | "delete", ..] => {
            Reply::error(StatusCode::FORBIDDEN, JSON, "API read/write access denied")
        }
        ["search", ..] if serde_json::from_slice::<serde_json::Value>(&question.data).is_err() => {
            Reply::error(StatusCode::BAD_REQUEST, JSON, "Request body doesn't contain valid json!")
        }
        ["search", "mailbox"] => {
            let rows = mailboxes(state, "all", None, &question.query);
            Reply::ok(search(rows).pretty(0))
        }
        ["search", "domain"] => Reply::ok(search(domains(state)).pretty(0)),
        _ => Reply::not_found(),
    }
}

fn get(
    mailcow: &Mailcow,
    state: &mut Server,
    question: &Question,
    category: &str,
    object: Option<&str>,
    extra: Option<&str>,
) -> Reply {
    let all = object.is_none_or(|object| object == "all");
    let name = object.unwrap_or_default();
    match category {
        "logs" => logs(state, name, extra),
        "status" => status(mailcow, question.now, name),
        "mailbox" if all || name == "reduced" => {
            show(Json::List(mailboxes(state, name, extra, &question.query)))
        }
        "mailbox" => {
            show_one(state.world.mailbox(name).map(|mailbox| objects::mailbox(state, mailbox, true)))
        }
        "domain" if all => show(Json::List(domains(state))),
        "domain" => show_one(objects::domain(state, name)),
        "alias" if all => show(objects::aliases(state, extra)),
        "alias" => show_one(objects::alias(state, name)),
        "alias-domain" if all => show(objects::alias_domains(state)),
        "domain-admin" if all => show(objects::domain_admins(state)),
        "admin" if all => show(objects::admins(state, question.now)),
        // These two answer `[]` when there is nothing.
        "mailq" if all => Reply::ok(objects::mailq(state).pretty(0)),
        "quarantine" if all => Reply::ok(Json::List(state.quarantine.clone()).pretty(0)),
        "oauth2-client" if all => show(objects::oauth2_clients(state, &mailcow.keys)),
        "last-login" => Reply::ok(objects::last_login(state, name).pretty(0)),
        "reset-last-login" => {
            state.logins.retain(|login| login.username != name);
            Reply::ok(object! { "type": "success", "msg": "ok" }.compact())
        }
        "rspamd" if name == "actions" => Reply::ok(objects::rspamd_actions(state).pretty(0)),
        "syncjobs" if name == "all" => show(objects::syncjobs(state, question.now, extra == Some("no_log"))),
        "fail2ban" | "dkim" | "syncjobs" | "rl-mbox" | "rl-domain" | "passwordpolicy" | "spam-score"
        | "identity-provider" | "global_filters" => show_one(objects::setting(category, name)),
        "transport"
        | "relayhost"
        | "resource"
        | "bcc"
        | "recipient_map"
        | "tls-policy-map"
        | "filters"
        | "rsetting"
        | "fwdhost"
        | "app-passwd"
        | "time_limited_aliases"
        | "policy_wl_domain"
        | "policy_bl_domain"
        | "policy_wl_mailbox"
        | "policy_bl_mailbox"
        | "alias-domain"
        | "domain-admin"
        | "admin"
        | "mailq"
        | "quarantine"
        | "oauth2-client" => Reply::ok("{}"),
        _ => Reply::not_found(),
    }
}

fn logs(state: &Server, name: &str, part: Option<&str>) -> Reply {
    let span = Span::parse(part);
    let books = &state.books;
    let book = match name {
        "postfix" => &books.postfix,
        "dovecot" => &books.dovecot,
        "sogo" => &books.sogo,
        "netfilter" => &books.netfilter,
        "watchdog" => &books.watchdog,
        "acme" => &books.acme,
        "api" => &books.api,
        "ratelimited" => &books.ratelimited,
        "autodiscover" => &books.autodiscover,
        "cron" => &books.cron,
        "rspamd-history" => return Reply::ok(books.rspamd.page(span, Rule::FromZero)),
        "rspamd-stats" => return Reply::ok(objects::rspamd_stats(state).pretty(0)),
        "ui" => return sql(state.ui.iter().rev().map(|row| row.pretty(1)), span),
        "sasl" => {
            return sql(state.logins.iter().rev().map(|login| objects::login(state, login).pretty(1)), span);
        }
        _ => return Reply::not_found(),
    };
    Reply::ok(book.page(span, Rule::FromOne))
}

/// The two logs that live in SQL tables.
fn sql(rows: impl Iterator<Item = String>, span: Span) -> Reply {
    let (skip, take) = span.bounds(Rule::Count);
    let rows: Vec<String> = rows.skip(skip).take(take).collect();
    Reply::ok(list(rows.iter().map(String::as_str)))
}

fn status(mailcow: &Mailcow, now: Millis, name: &str) -> Reply {
    let value = match name {
        "version" => object! { "version": "2026-08" },
        "host" => objects::host(&mailcow.vitals(), now),
        "containers" => objects::containers(now),
        "vmail" => objects::vmail(&mailcow.vitals(), now),
        // Objects that were removed, or never were: 200 and nothing.
        _ => return Reply::ok(""),
    };
    Reply::ok(value.compact())
}

fn mailboxes(state: &Server, name: &str, domain: Option<&str>, query: &HashMap<String, String>) -> Vec<Json> {
    // No sample mailbox has tags, so asking for tags finds nothing.
    if query.get("tags").is_some_and(|tags| !tags.is_empty()) {
        return Vec::new();
    }
    let wanted = |address: &str| {
        domain
            .is_none_or(|domains| domains.split(',').any(|domain| address.rsplit('@').next() == Some(domain)))
    };
    let found = state.world.mailboxes.iter().filter(|mailbox| wanted(&mailbox.address));
    found.map(|mailbox| objects::mailbox(state, mailbox, name != "reduced")).collect()
}

fn domains(state: &Server) -> Vec<Json> {
    state.world.domains.iter().filter_map(|domain| objects::domain(state, &domain.name)).collect()
}

fn search(rows: Vec<Json>) -> Json {
    object! { "draw": 1, "recordsTotal": rows.len(), "recordsFiltered": rows.len(), "data": rows }
}

/// A list; an empty one is `{}`.
fn show(rows: Json) -> Reply {
    Reply::ok(if rows == Json::List(Vec::new()) { "{}".to_owned() } else { rows.pretty(0) })
}

/// One object; a missing one is `{}`.
fn show_one(found: Option<Json>) -> Reply {
    Reply::ok(found.map_or_else(|| "{}".to_owned(), |object| object.pretty(0)))
}
