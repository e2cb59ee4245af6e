//! `/metrics` and `/api/metrics`: who may read them, and what they say.

use std::time::Duration;

use mailcow_status::{
    metrics::{
        exports::prometheus::{self, Wanted},
        modules::{self, docker, mailboxes},
        registry::Metric,
    },
    model::{
        sample::{Labels, MAILBOX, Sample, State},
        time::Millis,
    },
    store::samples::{Batch, Book, Latest},
};

use super::support::portal::{API_TOKEN, Answer, Portal, Surfer, Wishes};

const PATHS: [&str; 2] = ["/metrics", "/api/metrics"];

pub async fn told(portal: &Portal) {
    let at = portal.now();
    let sample =
        |metric: &'static str, labels, state: f64| Sample { metric, labels, state: state.into(), at };
    let samples = [
        sample(docker::RUNNING.key, Labels::NONE, 17.0),
        sample(mailboxes::EACH_MAILBOX_USAGE_PCT.key, Labels::one(MAILBOX, "ann@alpha.test"), 50.0),
    ];
    let batch = Batch {
        server: portal.state.settings.server,
        source: "test",
        at,
        took: Duration::ZERO,
        period: Duration::from_secs(60),
        error: None,
        samples: &samples,
    };
    Book::default().append(&portal.state.db, batch).await.unwrap();
}

async fn with(portal: &Portal, token: &str, path: &str) -> Answer {
    let mut browser = portal.browser();
    browser.headers.push(("authorization".to_owned(), format!("Bearer {token}")));
    browser.get(path).await
}

async fn asked(browser: &Surfer, path: &str) -> Answer {
    browser.clone().get(path).await
}

#[tokio::test]
async fn the_token_and_admins_open_them_and_nobody_else_learns_anything() {
    let portal = Portal::start(Wishes::default()).await;
    told(&portal).await;
    let admin = portal.signed_in("admin@alpha.test").await;
    let (owner, user) =
        (portal.signed_in("postmaster@alpha.test").await, portal.signed_in("ann@alpha.test").await);
    for path in PATHS {
        let by_key = format!("{path}?key={API_TOKEN}");
        let refused = [
            (portal.browser().get(path).await, 401),
            // A token in an address ends up in logs.
            (portal.browser().get(&by_key).await, 401),
            (with(&portal, "", path).await, 401),
            (with(&portal, "t0ken-for-other", path).await, 401),
            (with(&portal, "t0ken-for-otherss", path).await, 401),
            (asked(&owner, path).await, 403),
            (asked(&user, path).await, 403),
        ];
        for (answer, status) in refused {
            assert_eq!(answer.status, status, "{path}: {}", answer.body);
            assert!(!answer.body.contains("17") && !answer.body.contains(API_TOKEN), "{}", answer.body);
            assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401);
        }
        for answer in [with(&portal, API_TOKEN, path).await, asked(&admin, path).await] {
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            assert!(answer.body.contains("17"), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn without_a_token_only_admins_may() {
    let portal = Portal::start(Wishes { api_token: false, ..Wishes::default() }).await;
    for path in PATHS {
        for token in ["", "null", API_TOKEN] {
            assert_eq!(with(&portal, token, path).await.status, 401, "{path}");
        }
        assert_eq!(portal.signed_in("admin@alpha.test").await.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn they_say_what_is_known_and_stop_when_its_source_is_silent() {
    let portal = Portal::start(Wishes::default()).await;
    told(&portal).await;
    let prometheus = with(&portal, API_TOKEN, "/metrics").await;
    assert_eq!(prometheus.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(prometheus.body.contains("\nmailcow_docker_running 17\n"), "{}", prometheus.body);
    assert!(!prometheus.body.contains("ann@alpha.test"));
    let all = with(&portal, API_TOKEN, "/metrics?mailboxes=yes").await;
    assert!(all.body.contains("{mailbox=\"ann@alpha.test\"} 0.5\n"), "{}", all.body);
    let object: serde_json::Value =
        serde_json::from_str(&with(&portal, API_TOKEN, "/api/metrics").await.body).unwrap();
    assert_eq!(object["values"]["mailcow.docker.running"], 17);
    assert_eq!(object["series"]["mailcow.mailbox.lld.usage_pct"]["ann@alpha.test"], 50);
    portal.advance(600);
    let later = with(&portal, API_TOKEN, "/metrics").await;
    assert!(!later.body.contains("mailcow_docker_running"), "{}", later.body);
    let object: serde_json::Value =
        serde_json::from_str(&with(&portal, API_TOKEN, "/api/metrics").await.body).unwrap();
    assert_eq!(object["values"], serde_json::json!({}));
    assert_eq!(object["unknown"]["mailcow.docker.running"]["why"], "its source is silent");
}

/// What Prometheus' own tool says of each metric that there is, with hostile labels; `tests/run` provides it.
#[test]
fn promtool_has_nothing_to_complain_about() {
    let Some(promtool) = std::env::var_os("MAILCOW_STATUS_TEST_PROMTOOL") else {
        eprintln!("left out: MAILCOW_STATUS_TEST_PROMTOOL is not set");
        return;
    };
    let series = |metric: &'static Metric, n: usize| Latest {
        metric: metric.key.to_owned(),
        labels: metric
            .labels
            .iter()
            .fold(Labels::NONE, |labels, name| labels.with(name, &format!("a\"}} {n}\\ ä"))),
        state: State::Number(n as f64 / 3.0),
        since: Millis(0),
        source: "test".to_owned(),
        told: Millis(0),
        fresh: true,
    };
    let list: Vec<Latest> = modules::all()
        .flat_map(|metric| (0..if metric.labels.is_empty() { 1 } else { 3 }).map(move |n| series(metric, n)))
        .collect();
    let text = prometheus::text(&list, Wanted::WithMailboxes);
    let (complaints, sound) = check(&promtool, &text);
    assert!(sound && complaints.is_empty(), "{complaints}");
    let (complaints, sound) = check(&promtool, &format!("{text}noHelpAtAll 1\n"));
    assert!(!sound || !complaints.is_empty(), "the tool sees what is wrong");
}

fn check(promtool: &std::ffi::OsStr, text: &str) -> (String, bool) {
    use std::{io::Write, process::Stdio};
    let mut child = std::process::Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let words = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&words).into_owned(), output.status.success())
}
