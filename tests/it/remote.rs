//! The Mailcow client against a server that misbehaves in every documented way, and some more.

use std::{
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use mailcow_status::{
    model::time::{Clock, Millis},
    remote::{
        Cause, http,
        mailcow::{Log, Mailcow, OBJECT_LIMIT, REFUSED_PAUSE, Route, Settings, Span},
    },
};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, path},
};

const KEY: &str = "AAAAAA-BBBBBB-CCCCCC-DDDDDD-EEEEEE";

struct Client {
    mailcow: Mailcow,
    hand: Arc<AtomicI64>,
}

fn client(server: &MockServer) -> Client {
    let hand = Arc::new(AtomicI64::new(1_795_000_000_000));
    let settings = Settings {
        base: server.uri().parse().unwrap(),
        key: KEY.to_owned().into(),
        http: http::Settings { timeout: Duration::from_millis(500), ..Default::default() },
    };
    Client { mailcow: Mailcow::new(&settings, Clock::by_hand(Arc::clone(&hand))).unwrap(), hand }
}

async fn answering(answer: ResponseTemplate) -> (MockServer, Client) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let client = client(&server);
    (server, client)
}

#[tokio::test]
async fn the_key_goes_along_and_no_cookie_ever_comes_back() {
    let answer = ResponseTemplate::new(200)
        .set_body_string("{}")
        .insert_header("set-cookie", "MCSESSID=admin; Path=/");
    let (server, client) = answering(answer).await;
    for _ in 0..3 {
        client.mailcow.logs(Log::Postfix, Span::newest(1000), &mut |_| ()).await.unwrap();
    }
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 3);
    for request in requests {
        assert_eq!(request.url.path(), "/api/v1/get/logs/postfix/1000");
        assert_eq!(request.headers.get("x-api-key").unwrap(), KEY);
        assert_eq!(request.headers.get("cookie"), None, "the cookie is an admin's session");
        let agent = request.headers.get("user-agent").unwrap().to_str().unwrap();
        assert!(agent.starts_with("mailcow-status/"), "{agent}");
    }
}

#[tokio::test]
async fn each_odd_answer_has_its_name() {
    let cases: [(ResponseTemplate, Cause); 8] = [
        (ResponseTemplate::new(200), Cause::NotAuthenticated),
        (ResponseTemplate::new(200).set_body_string(" \n"), Cause::NotAuthenticated),
        (ResponseTemplate::new(200).set_body_string("<html>hello</html>"), Cause::Html),
        (
            ResponseTemplate::new(401)
                .set_body_string(r#"{"type":"error","msg":"api access denied for ip 192.0.2.1"}"#),
            Cause::Refused { status: 401, text: "api access denied for ip 192.0.2.1".into() },
        ),
        (ResponseTemplate::new(403), Cause::Refused { status: 403, text: String::new() }),
        (
            ResponseTemplate::new(500)
                .set_body_string("<center>Could not\n connect to <b>database</b></center>"),
            Cause::Status { status: 500, text: "Could not connect to database".into() },
        ),
        (
            ResponseTemplate::new(404).set_body_string(r#"{"type":"error","msg":"route not found"}"#),
            Cause::Status { status: 404, text: "route not found".into() },
        ),
        (ResponseTemplate::new(200).set_body_string("{}"), Cause::Missing),
    ];
    for (answer, cause) in cases {
        let (_server, client) = answering(answer).await;
        let error = client.mailcow.version().await.unwrap_err();
        assert_eq!(error.cause, cause);
        assert_eq!(error.target, "Mailcow get/status/version");
    }
    let (_server, client) =
        answering(ResponseTemplate::new(200).set_body_string(r#"{"version": "2026"#)).await;
    assert!(matches!(client.mailcow.version().await.unwrap_err().cause, Cause::Json(_)), "half JSON");
    let (_server, client) = answering(ResponseTemplate::new(200).set_body_string(r#"{"a": 1}"#)).await;
    assert!(
        matches!(client.mailcow.aliases().await.unwrap_err().cause, Cause::Json(_)),
        "an object is no list"
    );
}

#[tokio::test]
async fn empty_and_null_lists_are_lists() {
    for body in ["{}", "[]", "null", "[null, null]"] {
        let (_server, client) = answering(ResponseTemplate::new(200).set_body_string(body)).await;
        assert!(client.mailcow.aliases().await.unwrap().is_empty(), "{body}");
        assert!(client.mailcow.domain_admins().await.unwrap().is_empty(), "{body}");
    }
    let (_server, client) = answering(ResponseTemplate::new(200).set_body_string("{}")).await;
    assert!(client.mailcow.mailbox("ann@a.test").await.unwrap().is_none());
    assert!(!client.mailcow.rspamd_is_alive().await.unwrap());
}

#[tokio::test]
async fn redirects_are_never_followed() {
    let elsewhere = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_string("[]")).mount(&elsewhere).await;
    for status in [301, 302, 303, 307, 308] {
        let place = format!("{}/api/v1/get/alias/all", elsewhere.uri());
        let (_server, client) =
            answering(ResponseTemplate::new(status).insert_header("location", &*place)).await;
        let error = client.mailcow.aliases().await.unwrap_err();
        assert_eq!(error.cause, Cause::Redirect(place));
    }
    assert!(elsewhere.received_requests().await.unwrap().is_empty(), "the key went elsewhere");
}

#[tokio::test]
async fn a_refusal_silences_all_until_the_pause_is_over() {
    let (server, client) = answering(ResponseTemplate::new(401).set_body_string("{}")).await;
    let asked = async || server.received_requests().await.unwrap().len();
    for route in [Route::Aliases, Route::Mailboxes, Route::Version, Route::Mailbox("ann@a.test")] {
        let error = client.mailcow.ask(route).await.unwrap_err();
        assert!(matches!(error.cause, Cause::Refused { status: 401, .. }), "{error}");
    }
    assert_eq!(asked().await, 1);
    let since = client.mailcow.refused_since();
    assert_eq!(since, Some(Millis(1_795_000_000_000)));
    let wait = |by: Duration| {
        client.hand.fetch_add(by.as_millis() as i64, std::sync::atomic::Ordering::SeqCst);
    };
    wait(REFUSED_PAUSE - Duration::from_millis(1));
    let _ = client.mailcow.aliases().await;
    assert_eq!(asked().await, 1);
    wait(Duration::from_millis(1));
    for _ in 0..5 {
        let _ = client.mailcow.aliases().await;
    }
    assert_eq!(asked().await, 2, "one single try after the pause");
    client.mailcow.retry();
    for _ in 0..5 {
        let _ = client.mailcow.aliases().await;
    }
    assert_eq!(asked().await, 3, "one single try by hand");
    assert_eq!(client.mailcow.refused_since(), since);
    server.reset().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_string("[]")).mount(&server).await;
    client.mailcow.retry();
    assert!(client.mailcow.aliases().await.is_ok());
    assert!(client.mailcow.aliases().await.is_ok(), "the breaker is closed again");
    assert_eq!(client.mailcow.refused_since(), None);
}

#[tokio::test]
async fn an_outage_does_not_open_the_breaker() {
    for status in [500, 502, 404, 429] {
        let (server, client) = answering(ResponseTemplate::new(status)).await;
        for _ in 0..3 {
            let _ = client.mailcow.aliases().await;
        }
        assert_eq!(server.received_requests().await.unwrap().len(), 3, "{status}");
        assert_eq!(client.mailcow.refused_since(), None);
    }
}

#[tokio::test]
async fn a_hanging_server_is_left() {
    let answer = ResponseTemplate::new(200).set_body_string("[]").set_delay(Duration::from_secs(30));
    let (_server, client) = answering(answer).await;
    let begin = std::time::Instant::now();
    assert_eq!(client.mailcow.aliases().await.unwrap_err().cause, Cause::Timeout);
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn nobody_there_is_said_so() {
    let server = MockServer::start().await;
    let client = client(&server);
    drop(server);
    let gone = Settings {
        base: "http://127.0.0.1:9/".parse().unwrap(),
        key: KEY.to_owned().into(),
        http: http::Settings::default(),
    };
    drop(client);
    let error = Mailcow::new(&gone, Clock::system()).unwrap().aliases().await.unwrap_err();
    assert!(matches!(error.cause, Cause::Connect(_)), "{error}");
    assert!(!error.to_string().contains(KEY));
}

#[tokio::test]
async fn an_answer_may_not_be_endless() {
    let body = vec![b' '; OBJECT_LIMIT + 1];
    let (_server, client) = answering(ResponseTemplate::new(200).set_body_bytes(body.clone())).await;
    assert_eq!(client.mailcow.aliases().await.unwrap_err().cause, Cause::TooLarge(OBJECT_LIMIT));
    // Packed small, unpacked large: what counts is what we would hold.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, &body).unwrap();
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 100_000);
    let answer = ResponseTemplate::new(200).set_body_bytes(packed).insert_header("content-encoding", "gzip");
    let (_server, client) = answering(answer).await;
    assert_eq!(client.mailcow.aliases().await.unwrap_err().cause, Cause::TooLarge(OBJECT_LIMIT));
}

#[tokio::test]
async fn the_key_shows_nowhere() {
    let (_server, client) = answering(ResponseTemplate::new(500)).await;
    let error = client.mailcow.aliases().await.unwrap_err();
    for text in [format!("{error} {error:?}"), format!("{:?}", client.mailcow)] {
        assert!(!text.contains("AAAAAA"), "{text}");
    }
}

#[tokio::test]
async fn a_base_path_is_kept() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_string(r#"{"version":"2026-08"}"#);
    Mock::given(path("/mail/api/v1/get/status/version")).respond_with(answer).mount(&server).await;
    let settings = Settings {
        base: format!("{}/mail/", server.uri()).parse().unwrap(),
        key: KEY.to_owned().into(),
        http: http::Settings::default(),
    };
    let mailcow = Mailcow::new(&settings, Clock::system()).unwrap();
    assert_eq!(mailcow.version().await.unwrap(), "2026-08");
}

#[tokio::test]
async fn an_older_mailcow_lists_its_mailboxes_in_full() {
    let server = MockServer::start().await;
    let list = ResponseTemplate::new(200).set_body_string(r#"[{"username":"ann@a.test","active":1}]"#);
    Mock::given(path("/api/v1/get/mailbox/all")).respond_with(list).mount(&server).await;
    assert_eq!(client(&server).mailcow.mailboxes().await.unwrap().len(), 1);
}
