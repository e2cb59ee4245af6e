//! The layers around all pages: what browsers may do with them, who may send forms, how much and how long. Order
//! matters; the outermost comes last.

use std::time::Duration;

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use tower_http::{
    CompressionLevel,
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{NotForContentType, Predicate, SizeAbove},
    },
    csrf::{CsrfLayer, ProtectionError},
    timeout::TimeoutLayer,
};

use super::{errors::WebError, state::AppState, state::WebSettings};
use crate::model::time::Millis;

/// How long a page may take until its first byte.
const PATIENCE: Duration = Duration::from_secs(30);
/// One year, the least that browsers' lists ask for.
const STRICT_TRANSPORT: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Puts the layers around the routes.
pub(super) fn wrap(router: Router, state: &AppState) -> Router {
    let origin = state.settings.public_url.origin().ascii_serialization();
    let csrf = CsrfLayer::new();
    // A proxy may call us by another host name than the one that visitors type.
    let csrf = csrf.clone().add_trusted_origin(&origin).unwrap_or(csrf);
    let worth_packing = SizeAbove::new(860).and(NotForContentType::IMAGES).and(NotForContentType::SSE);
    let pages = in_time(router, PATIENCE)
        .layer(csrf.with_rejection_response(|_: ProtectionError| WebError::Form.into_response()))
        .layer(CatchPanicLayer::custom(|_| WebError::broken("a page panicked").into_response()));
    pages
        .layer(from_fn_with_state(state.clone(), super::errors::dress))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worth_packing))
        .layer(from_fn_with_state(state.clone(), protect))
        .layer(from_fn(record))
}

/// Ends pages that take longer, and says so in the log.
fn in_time(router: Router, patience: Duration) -> Router {
    router
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, patience))
        .layer(from_fn(note_late))
}

/// Logs a page that was ended, by its declared path, which holds nothing of whom or what it is about.
async fn note_late(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = declared_path(&request);
    let started = Millis::now();
    let response = next.run(request).await;
    if response.status() == StatusCode::GATEWAY_TIMEOUT {
        let took = Millis::now().since(started).as_millis();
        tracing::warn!(%method, path, ms = took, "a page took too long and was ended");
    }
    response
}

/// The path of the route that answers: neither queries nor what stands in its places.
fn declared_path(request: &Request) -> String {
    let path = request.extensions().get::<MatchedPath>();
    path.map_or("(none)".to_owned(), |path| path.as_str().to_owned())
}

/// Sets the headers that keep pages in their bounds.
async fn protect(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // The image of open tracking is made for other people's pages and says so itself.
    let reach = HeaderName::from_static("cross-origin-resource-policy");
    headers.entry(reach).or_insert(HeaderValue::from_static("same-origin"));
    if let Ok(policy) = HeaderValue::from_str(&content_policy(&state.settings)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    if state.settings.public_url.scheme() == "https" {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT);
    }
    // Embedded files set their own; whatever shows people's data must not stay in a cache.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// What a page may load: our own files, and the configured logos. Forms lead here and, by redirect, to Mailcow.
fn content_policy(settings: &WebSettings) -> String {
    let mailcow = settings.mailcow_url.origin().ascii_serialization();
    let logos = [&settings.logo_dark, &settings.logo_light].into_iter().flatten();
    let mut hosts: Vec<String> = logos
        .filter_map(|logo| url::Url::parse(logo).ok())
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .map(|url| format!(" {}", url.origin().ascii_serialization()))
        .collect();
    hosts.sort();
    hosts.dedup();
    format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'{}; font-src 'self'; \
         connect-src 'self'; manifest-src 'self'; form-action 'self' {mailcow}; base-uri 'none'; \
         frame-ancestors 'none'",
        hosts.concat()
    )
}

/// Logs each request by its declared path: neither queries nor tokens in paths reach a log.
async fn record(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = declared_path(&request);
    let started = Millis::now();
    let response = next.run(request).await;
    let took = Millis::now().since(started).as_millis();
    tracing::debug!(%method, path, status = response.status().as_u16(), ms = took, "request");
    response
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What is logged meanwhile.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_page_that_takes_too_long_is_ended_and_logged_without_what_it_is_about() {
        let written = Written::default();
        let log = written.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(move || log.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let routes = Router::new()
            .route("/quick/{id}", get(|| async { "here" }))
            .route("/slow/{id}", get(std::future::pending::<()>));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = in_time(routes, Duration::from_millis(60));
        tokio::spawn(async move { axum::serve(listener, router).await });
        for (path, status) in [("/quick/ann@a.test", "200"), ("/slow/ann@a.test?q=bob@b.test", "504")] {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        }
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("WARN") && text.contains("GET") && text.contains("/slow/{id}"), "{text}");
        assert!(!text.contains("a.test") && !text.contains("b.test"), "{text}");
        let took = text.split_once("ms=").unwrap().1.trim().parse::<u64>().unwrap();
        assert!((60..5_000).contains(&took), "{text}");
    }
}
