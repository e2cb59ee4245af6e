//! The host collector and the portal: what it posts, who may, and what it writes with what the portal knows.

use std::{collections::BTreeSet, path::Path, time::Duration};

use mailcow_status::{
    metrics::modules::{disk, host, postfix},
    model::{mail::ServerId, time::Millis},
    remote::portal::{self, Portal as Client},
    store::collector_posts,
};
use serde_json::{Value, json};

use super::support::portal::{API_TOKEN, COLLECTOR_KEY, Portal, Wishes};

const PATH: &str = "/api/collector";

fn text(at: Millis) -> String {
    json!({ "timestamp": at.secs(), disk::ROOT_USED.key: 61, "mailcow.queue.deferred": 99 }).to_string()
}

async fn posted(portal: &Portal, key: Option<&str>, body: String) -> (u16, String) {
    let mut request = reqwest::Client::new().post(format!("{}{PATH}", portal.url)).body(body);
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn newest(portal: &Portal) -> Option<Value> {
    let text = collector_posts::newest(&portal.state.db, portal.state.settings.server).await.unwrap();
    text.map(|text| serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn only_the_key_opens_it_and_only_what_the_host_tells_is_kept() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let now = portal.now();
        for key in [None, Some(""), Some("c0llector-ke"), Some("c0llector-key2"), Some(API_TOKEN)] {
            let (status, body) = posted(&portal, key, text(now)).await;
            assert_eq!(status, 401, "{key:?}: {body}");
        }
        assert_eq!(newest(&portal).await, None);
        assert!(matches!(portal.browser().get(PATH).await.status, 404 | 405));
        let mut admin = portal.signed_in("admin@alpha.test").await;
        assert_eq!(admin.post(PATH, &[("x", "y")]).await.status, 401, "a session is no key");
        assert_eq!(posted(&portal, Some(COLLECTOR_KEY), text(now)).await, (200, "ok".to_owned()));
        let expected = json!({ "timestamp": now.secs(), disk::ROOT_USED.key: 61 });
        assert_eq!(newest(&portal).await, Some(expected.clone()));
        // Again, older, of another time, and no post at all.
        for (body, expected) in [
            (text(now), 409),
            (text(now.minus(Duration::from_secs(1))), 409),
            (text(now.plus(Duration::from_secs(3600))), 409),
            ("[]".to_owned(), 400),
            ("{}".to_owned(), 400),
            (" ".repeat(2 << 20), 413),
        ] {
            assert_eq!(posted(&portal, Some(COLLECTOR_KEY), body).await.0, expected);
        }
        assert_eq!(newest(&portal).await, Some(expected));
        let later = now.plus(Duration::from_secs(1));
        assert_eq!(posted(&portal, Some(COLLECTOR_KEY), text(later)).await.0, 200);
        assert_eq!(newest(&portal).await.unwrap()["timestamp"], later.secs());
        let other = ServerId(portal.state.settings.server.0 + 1);
        assert_eq!(collector_posts::newest(&portal.state.db, other).await.unwrap(), None);
    }
}

#[tokio::test]
async fn without_a_key_nobody_may_and_too_many_must_wait() {
    let portal = Portal::start(Wishes { collector_key: false, ..Wishes::default() }).await;
    for key in [None, Some(""), Some(COLLECTOR_KEY)] {
        assert_eq!(posted(&portal, key, text(portal.now())).await.0, 401);
    }
    let portal = Portal::start(Wishes::default()).await;
    let guesses = (0..200).map(|_| posted(&portal, Some("guess"), String::new()));
    let answers = futures_util::future::join_all(guesses).await;
    let statuses: BTreeSet<u16> = answers.into_iter().map(|(status, _)| status).collect();
    assert_eq!(statuses, BTreeSet::from([401, 429]));
}

fn client(portal: &Portal, token: Option<&str>, key: Option<&str>) -> Client {
    let secret = |text: Option<&str>| text.map(|text| text.to_owned().into());
    let settings = portal::Settings {
        base: portal.url.parse().unwrap(),
        api_token: secret(token),
        collector_key: secret(key),
        roots_pem: None,
    };
    Client::new(&settings).unwrap()
}

#[tokio::test]
async fn the_collectors_client_gets_what_the_portal_knows_and_posts_what_it_saw() {
    let portal = Portal::start(Wishes::default()).await;
    super::exports::told(&portal).await;
    let known = client(&portal, Some(API_TOKEN), None).values().await.unwrap();
    assert_eq!(known["mailcow.docker.running"], 17);
    assert!(client(&portal, None, None).values().await.unwrap().is_empty());
    let refused = client(&portal, Some("wrong"), Some("wrong"));
    for error in [refused.values().await.unwrap_err(), refused.post(text(portal.now())).await.unwrap_err()] {
        assert!(error.to_string().contains("refused with 401"), "{error}");
        assert!(!format!("{error:?}").contains("Bearer wrong"), "{error:?}");
    }
    client(&portal, None, Some(COLLECTOR_KEY)).post(text(portal.now())).await.unwrap();
    assert_eq!(newest(&portal).await.unwrap()[disk::ROOT_USED.key], 61);
}

/// The program itself, on an empty host, beside a portal.
fn collect(folder: &Path, portal: &str, secrets: &[(&str, &str)], more: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_mailcow-status"))
        .args(["collect", "--once", "--portal", portal, "--root"])
        .arg(folder)
        .arg("--output")
        .arg(folder.join("out.json"))
        .args(more)
        .env_clear()
        .envs(secrets.iter().copied())
        .output()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_writes_what_both_know_and_a_portal_that_is_away_costs_only_its_keys() {
    let portal = Portal::start(Wishes::default()).await;
    super::exports::told(&portal).await;
    let dir = tempfile::tempdir().unwrap();
    let (folder, url) = (dir.path().to_owned(), portal.url.clone());
    let secret = folder.join("token");
    std::fs::write(&secret, format!("{API_TOKEN}\n")).unwrap();
    let named = secret.to_str().unwrap().to_owned();
    let run = move |portal: String, more: &'static [&'static str]| {
        let (folder, named) = (folder.clone(), named.clone());
        tokio::task::spawn_blocking(move || collect(&folder, &portal, &[("API_TOKEN_FILE", &named)], more))
    };
    let file = dir.path().join("out.json");
    let read = || serde_json::from_str::<Value>(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let output = run(url.clone(), &[]).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(read()["mailcow.docker.running"], 17);
    assert_eq!(read()[host::COLLECTOR_VERSION.key], env!("CARGO_PKG_VERSION"));
    assert_eq!(read().get(postfix::QUEUE_DEFERRED.key), None, "unknown is left out");
    // Nobody listens on port 9.
    let output = run("http://127.0.0.1:9/status".to_owned(), &[]).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("goes without what the portal knows"));
    assert_eq!(read().get("mailcow.docker.running"), None);
    assert_eq!(read()[host::COLLECTOR_VERSION.key], env!("CARGO_PKG_VERSION"));
    let output = run(url, &["--no-file"]).await.unwrap();
    assert!(!output.status.success(), "a token alone lets nobody post");
    let output = run("http://mail.example.org/".to_owned(), &[]).await.unwrap();
    assert!(!output.status.success(), "secrets do not leave this machine in the clear");
}
