//! Every address of the portal, declared once: the routes, their guards and the access test follow from
//! [`PAGES`]. Deny by default: a page is served to whom its entry names, and to nobody else.

use std::{future::IntoFuture, net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::Method,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Redirect, Response},
    routing::{MethodRouter, get},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::limit::RequestBodyLimitLayer;

use super::{
    access, assets, brand, bring, collector, cron, desk, doctor,
    errors::WebError,
    exports, health, login, network, operation,
    pages::upload::MOST_BYTES,
    preferences, public, replies, reports, security,
    state::AppState,
    system, tls, tracking, traffic, uptime,
    visitor::{Caller, recognise},
};
use crate::model::scope::Role;

/// Who may ask for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody. Such a page has no visitor.
    Public,
    /// Whoever is signed in.
    SignedIn,
    /// This role and those above it.
    AtLeast(Role),
}

impl Access {
    /// Whether a signed-in visitor of this role may.
    pub fn admits(self, role: Role) -> bool {
        match self {
            Self::Public | Self::SignedIn => true,
            Self::AtLeast(least) => role >= least,
        }
    }
}

/// An address of the portal.
#[derive(Clone, Copy)]
pub struct Page {
    /// Path below the base path, in axum's writing.
    pub path: &'static str,
    /// Who may.
    pub access: Access,
    /// The handlers by method.
    pub routes: fn() -> MethodRouter<AppState>,
    /// Most bytes of a request.
    pub most: usize,
}

/// Most bytes of a request; the largest form but the upload is a pasted notice.
pub const BODY_LIMIT: usize = 256 << 10;

const fn page(path: &'static str, access: Access, routes: fn() -> MethodRouter<AppState>) -> Page {
    Page { path, access, routes, most: BODY_LIMIT }
}

/// All addresses.
pub const PAGES: &[Page] = &[
    page("/", Access::SignedIn, desk::start_page),
    page("/mails", Access::SignedIn, desk::mails_page),
    page("/mails.csv", Access::SignedIn, desk::mails_csv),
    page("/mails/{id}", Access::SignedIn, desk::mail_page),
    page("/mails/{id}/proof", Access::SignedIn, desk::proof_page),
    page("/find", Access::SignedIn, desk::find_page),
    page("/dmarc", Access::AtLeast(Role::DomainAdmin), reports::overview_page),
    page("/dmarc/sources", Access::AtLeast(Role::DomainAdmin), reports::sources_page),
    page("/dmarc/sources/{ip}", Access::AtLeast(Role::DomainAdmin), reports::source_page),
    page("/dmarc/sources/{ip}/judgement", Access::AtLeast(Role::Admin), reports::judge_source),
    page("/dmarc/reports", Access::AtLeast(Role::DomainAdmin), reports::list_page),
    page("/dmarc/reports/{serial}", Access::AtLeast(Role::DomainAdmin), reports::report_page),
    page("/dmarc/reports/{serial}/xml", Access::AtLeast(Role::DomainAdmin), reports::report_xml),
    page("/dmarc/unreadable", Access::AtLeast(Role::Admin), bring::unreadable_page),
    page("/dmarc/unreadable/{id}/retry", Access::AtLeast(Role::Admin), bring::retry),
    Page { most: MOST_BYTES, ..page("/dmarc/upload", Access::AtLeast(Role::Admin), bring::upload_page) },
    page("/dmarc/{domain}", Access::AtLeast(Role::DomainAdmin), reports::domain_page),
    page("/tls-reports", Access::AtLeast(Role::DomainAdmin), tls::list_page),
    page("/tls-reports/{id}", Access::AtLeast(Role::DomainAdmin), tls::report_page),
    page("/tls-reports/{id}/json", Access::AtLeast(Role::DomainAdmin), tls::report_json),
    page("/system", Access::AtLeast(Role::Admin), system::overview_page),
    page("/system/uptime", Access::AtLeast(Role::Admin), uptime::page),
    page("/system/public", Access::AtLeast(Role::Admin), uptime::announce_page),
    page("/system/public/services", Access::AtLeast(Role::Admin), uptime::choose),
    page("/system/public/notes", Access::AtLeast(Role::Admin), uptime::announce),
    page("/system/public/notes/{id}", Access::AtLeast(Role::Admin), uptime::change),
    page("/system/ports", Access::AtLeast(Role::Admin), network::ports_page),
    page("/system/certificates", Access::AtLeast(Role::Admin), network::certificates_page),
    page("/system/dns", Access::AtLeast(Role::Admin), network::dns_page),
    page("/system/check", Access::AtLeast(Role::Admin), network::check),
    page("/system/{page}", Access::AtLeast(Role::Admin), system::module_page),
    page("/flow", Access::AtLeast(Role::DomainAdmin), traffic::page),
    page("/domains", Access::AtLeast(Role::DomainAdmin), system::domains_page),
    page("/mailbox", Access::SignedIn, system::mailbox_page),
    page("/chart/{key}", Access::SignedIn, system::chart_data),
    page("/ingestion", Access::AtLeast(Role::Admin), desk::ingestion_page),
    page("/ingestion/read", Access::AtLeast(Role::Admin), desk::read_now),
    page("/jobs", Access::AtLeast(Role::Admin), operation::jobs_page),
    page("/jobs/{name}/run", Access::AtLeast(Role::Admin), operation::run_job),
    page("/settings", Access::AtLeast(Role::Admin), operation::settings_page),
    page("/doctor", Access::AtLeast(Role::Admin), doctor::page),
    page("/access", Access::AtLeast(Role::Admin), access::page),
    page("/access.csv", Access::AtLeast(Role::Admin), access::csv),
    page("/roles", Access::AtLeast(Role::Admin), access::roles_page),
    page("/about", Access::AtLeast(Role::Admin), operation::about_page),
    page("/replies", Access::AtLeast(Role::Admin), replies::page),
    page("/brand/{file}", Access::SignedIn, brand::file),
    page(assets::ROUTE, Access::Public, || get(assets::serve)),
    page("/mailbox/tracking", Access::SignedIn, tracking::page),
    page("/mailbox/access", Access::SignedIn, access::own_page),
    // Answers programs that know a key made from TRACKER_KEY, and no others.
    page("/internal/tracked.map", Access::Public, tracking::map),
    page("/track/{token}", Access::Public, tracking::pixel),
    // As the PHP app wrote it into mails.
    page("/track.php", Access::Public, tracking::old_pixel),
    page("/login", Access::Public, login::page),
    page("/login/start", Access::Public, login::start),
    page("/login/link/{token}", Access::Public, login::link),
    page("/callback", Access::Public, login::callback),
    // As the PHP app registered it with Mailcow.
    page("/callback.php", Access::Public, login::callback),
    page("/logout", Access::Public, login::logout),
    page("/logout/everywhere", Access::SignedIn, login::logout_everywhere),
    page("/signed-out", Access::Public, login::signed_out),
    page("/preferences", Access::Public, preferences::page),
    // These are as if they did not exist unless PUBLIC_STATUS is on.
    page("/public", Access::Public, public::page),
    page("/public.atom", Access::Public, public::atom),
    page("/public.json", Access::Public, public::object),
    page("/cron/update", Access::Public, cron::update),
    page("/cron/update.php", Access::Public, cron::update),
    page("/cron/dmarc", Access::Public, cron::dmarc),
    page("/cron/prune", Access::Public, cron::prune),
    page("/cron/prune.php", Access::Public, cron::prune),
    // Both answer programs that know API_TOKEN, and admins.
    page("/metrics", Access::Public, exports::prometheus),
    page("/api/metrics", Access::Public, exports::object),
    // Takes what a program posts that knows COLLECTOR_KEY.
    Page { most: collector::MOST_BYTES, ..page("/api/collector", Access::Public, collector::post) },
    page("/healthz", Access::Public, health::alive),
    page("/readyz", Access::Public, health::ready),
];

/// The whole portal: every page behind its guard, below the base path, within the common layers.
pub fn build(state: AppState) -> Router {
    assemble(state, PAGES)
}

/// Serves the portal until `stop`; requests under way then have `grace` to finish. Fails when the listener does.
pub async fn serve(
    state: AppState,
    listener: TcpListener,
    stop: CancellationToken,
    grace: Duration,
) -> std::io::Result<()> {
    let service = build(state).into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned());
    tokio::select! {
        ended = server.into_future() => ended,
        () = async { stop.cancelled().await; tokio::time::sleep(grace).await } => Ok(()),
    }
}

/// The portal with these pages; tests add their own.
pub fn assemble(state: AppState, pages: &[Page]) -> Router {
    let mut router = Router::new();
    for page in pages {
        let limited = (page.routes)().layer(RequestBodyLimitLayer::new(page.most));
        let guarded = limited.layer(from_fn_with_state((state.clone(), page.access), guard));
        let path = state.settings.at(page.path);
        if page.path == "/" && !state.settings.base_path.is_empty() {
            router = router.route(&state.settings.base_path, guarded.clone());
        }
        router = router.route(&path, guarded);
    }
    let router = router.fallback(lost);
    security::wrap(router.with_state(state.clone()), &state)
}

/// An address that is none. The answer is the same for all; only its way out fits who asks.
pub(super) async fn lost(State(state): State<AppState>, request: Request) -> Response {
    let mut response = WebError::NotFound.into_response();
    if let Ok(Caller::Known(visitor)) = recognise(&state, request.headers()).await {
        response.extensions_mut().insert(visitor);
    }
    response
}

/// Lets a request through to its page, or not.
async fn guard(
    State((state, access)): State<(AppState, Access)>,
    mut request: Request,
    next: Next,
) -> Response {
    if access == Access::Public {
        return next.run(request).await;
    }
    match recognise(&state, request.headers()).await {
        Ok(Caller::Known(visitor)) if access.admits(visitor.role) => {
            request.extensions_mut().insert(visitor.clone());
            let mut response = next.run(request).await;
            response.extensions_mut().insert(visitor);
            response
        }
        Ok(Caller::Known(visitor)) => {
            let mut response = WebError::NoAccess.into_response();
            response.extensions_mut().insert(visitor);
            response
        }
        Ok(Caller::Unknown) => send_to_login(&state, &request),
        Ok(Caller::Waiting) => WebError::Unreachable.into_response(),
        Err(error) => error.into_response(),
    }
}

/// Sends a stranger to the sign-in and keeps the wished page. Start goes straight through Mailcow's consent,
/// unless the stranger has just signed out.
fn send_to_login(state: &AppState, request: &Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return WebError::SignInFirst.into_response();
    }
    let at_start = request.uri().path().trim_end_matches('/') == state.settings.base_path;
    let wish = request.uri().path_and_query().map_or("/", |wish| wish.as_str());
    let next: String = url::form_urlencoded::byte_serialize(wish.as_bytes()).collect();
    let door = match at_start && !login::has_signed_out(request.headers()) {
        true => "/login/start",
        false => "/login",
    };
    Redirect::to(&format!("{}?next={next}", state.settings.at(door))).into_response()
}
