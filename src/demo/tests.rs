//! The simulated server over real HTTP: each oddity that the portal must live with.

use std::{collections::HashSet, sync::Arc, time::Duration};

use reqwest::{Client, Response, StatusCode, header, redirect::Policy};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::*;

const CALLBACK: &str = "http://127.0.0.1:8080/callback";

/// A running server and a client without a cookie jar.
struct Rig {
    mailcow: Arc<Mailcow>,
    base: String,
    client: Client,
    shutdown: CancellationToken,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Rig {
    async fn start(options: Options) -> Self {
        let mailcow = Arc::new(Mailcow::new(options));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        tokio::spawn(Arc::clone(&mailcow).serve(listener, shutdown.clone()));
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { mailcow, base, client, shutdown }
    }

    async fn fetch(&self, path: &str) -> Response {
        let request = self.client.get(format!("{}/api/v1/{path}", self.base));
        request.header("x-api-key", &self.mailcow.keys.api_key).send().await.unwrap()
    }

    async fn text(&self, path: &str) -> String {
        self.fetch(path).await.text().await.unwrap()
    }

    async fn rows(&self, path: &str) -> Vec<Value> {
        serde_json::from_str(&self.text(path).await).unwrap()
    }

    fn authorize_url(&self) -> String {
        let id = &self.mailcow.keys.client_id;
        format!(
            "{}/oauth/authorize?response_type=code&client_id={id}&redirect_uri={CALLBACK}&state=st4te&scope=profile",
            self.base
        )
    }

    /// Logs in on the form; gives back the session cookie and the answer.
    async fn login(&self, user: &str, password: &str) -> (String, Response) {
        let start = self.client.get(self.authorize_url()).send().await.unwrap();
        assert_eq!((start.status(), location(&start).as_str()), (StatusCode::FOUND, "/?oauth"));
        let request = self.client.post(format!("{}/", self.base)).header(header::COOKIE, session(&start));
        let answer = request.form(&[("login_user", user), ("pass_user", password)]).send().await.unwrap();
        (if answer.status() == StatusCode::FOUND { session(&answer) } else { String::new() }, answer)
    }

    /// Consents with this session; gives back the code.
    async fn consent(&self, cookie: &str) -> String {
        let page = self.client.get(self.authorize_url()).header(header::COOKIE, cookie).send().await.unwrap();
        assert_eq!(page.status(), StatusCode::OK);
        let page = page.text().await.unwrap();
        let csrf = page.split("csrf_token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let request = self.client.post(self.authorize_url()).header(header::COOKIE, cookie);
        code(&request.form(&[("authorized", "1"), ("csrf_token", &csrf)]).send().await.unwrap())
    }

    async fn token(&self, code: &str, redirect_uri: &str) -> (StatusCode, Value) {
        let keys = &self.mailcow.keys;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("client_id", &keys.client_id),
            ("client_secret", &keys.client_secret),
        ];
        let answer = self.client.post(format!("{}/oauth/token", self.base)).form(&form).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn profile(&self, token: &Value) -> Response {
        let request = self.client.get(format!("{}/oauth/profile", self.base));
        request.bearer_auth(token["access_token"].as_str().unwrap()).send().await.unwrap()
    }
}

fn location(answer: &Response) -> String {
    answer.headers()[header::LOCATION].to_str().unwrap().to_owned()
}

fn session(answer: &Response) -> String {
    answer.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned()
}

fn code(answer: &Response) -> String {
    assert_eq!(answer.status(), StatusCode::FOUND);
    let location = location(answer);
    assert!(location.ends_with("&state=st4te"), "{location}");
    location.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned()
}

fn kind(answer: &Response) -> &str {
    answer.headers()[header::CONTENT_TYPE].to_str().unwrap()
}

#[tokio::test]
async fn logs_are_newest_first_and_each_has_its_own_range_rule() {
    let rig = Rig::start(Options::default()).await;
    assert_eq!(rig.text("get/logs/postfix/5").await, "{}");
    assert_eq!(rig.text("get/mailq/all").await, "[]");
    for number in 1..=8 {
        rig.mailcow.push(&Letter::incoming("a@kunde-gmbh.example", &["ann@alpha.test"], &number.to_string()));
        rig.mailcow.advance(Duration::from_secs(60));
    }
    let all = rig.rows("get/logs/postfix").await;
    assert!(all[0]["time"].is_string());
    assert!(all[0]["time"].as_str() >= all[9]["time"].as_str());
    assert_eq!(rig.rows("get/logs/postfix/2-4").await, all[1..4]);
    assert_eq!(rig.rows("get/logs/postfix/999999").await, all);
    let scans = rig.rows("get/logs/rspamd-history").await;
    assert_eq!(scans.len(), 8);
    assert_eq!(rig.rows("get/logs/rspamd-history/1-5").await, scans[1..6]);
    assert_eq!(rig.rows("get/logs/rspamd-history/2-4").await, scans[2..5]);
    let logins = rig.rows("get/logs/sasl").await;
    assert_eq!(rig.rows("get/logs/sasl/2-2").await, logins[1..3]);
    for bad in ["0", "-1", "abc", "5-2", "0-3"] {
        for log in ["postfix", "rspamd-history", "sasl"] {
            assert_eq!(rig.text(&format!("get/logs/{log}/{bad}")).await, "{}", "{log}/{bad}");
        }
    }
    assert_eq!(rig.rows("get/logs/postfix/1.2").await.len(), 12);
}

#[tokio::test]
async fn who_asks_wrongly_is_answered_as_mailcow_does() {
    let rig = Rig::start(Options::default()).await;
    let url = format!("{}/api/v1/get/status/version", rig.base);
    let none = rig.client.get(&url).send().await.unwrap();
    assert_eq!((none.status(), kind(&none)), (StatusCode::OK, "application/json"));
    assert_eq!(none.text().await.unwrap(), "");
    assert_eq!(rig.text("get/status/version").await, r#"{"version":"2026-08"}"#);
    assert_eq!(rig.text("get/status/solr").await, "");
    assert_eq!(rig.text("get/mailbox/nosuch@alpha.test").await, "{}");
    assert_eq!(rig.text("get/transport/all").await, "{}");
    assert_eq!(rig.fetch("get/nosuchroute").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(rig.text("get/logs/nosuch").await, r#"{"type":"error","msg":"route not found"}"#);
    let key = rig.mailcow.keys.api_key.clone();
    let post =
        |path: &str| rig.client.post(format!("{}/api/v1/{path}", rig.base)).header("X-API-KEY", &key).send();
    assert_eq!(post("get/status/version").await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    let write = post("add/domain").await.unwrap();
    assert_eq!(write.status(), StatusCode::FORBIDDEN);
    assert_eq!(write.text().await.unwrap(), r#"{"type":"error","msg":"API read\/write access denied"}"#);
    let browser = rig.client.get(&url).header("x-api-key", &key).header("sec-fetch-dest", "document");
    assert_eq!(browser.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    let wrong = rig.client.get(&url).header("x-api-key", "AAAAAA").send().await.unwrap();
    assert_eq!((wrong.status(), kind(&wrong)), (StatusCode::UNAUTHORIZED, "text/html; charset=utf-8"));
    assert_eq!(wrong.text().await.unwrap(), r#"{"type":"error","msg":"authentication failed"}"#);
}

#[tokio::test]
async fn ten_bad_keys_ban_and_a_cookie_alone_is_a_session() {
    let rig = Rig::start(Options::default()).await;
    let url = format!("{}/api/v1/get/domain/all", rig.base);
    let cookie = session(&rig.fetch("get/status/version").await);
    let answer = rig.client.get(&url).header(header::COOKIE, &cookie).send().await.unwrap();
    assert!(answer.text().await.unwrap().contains("alpha.test"));
    assert!(rig.mailcow.calls().last().is_some_and(|call| call.with_cookie && !call.with_key));
    for _ in 0..10 {
        assert!(!rig.mailcow.banned());
        rig.client.get(&url).header("x-api-key", "BAD").send().await.unwrap();
    }
    assert!(rig.mailcow.banned());
    assert_eq!(rig.fetch("get/status/version").await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn faults_spoil_only_what_they_are_set_for() {
    let rig = Rig::start(Options { mails: 5, ..Options::default() }).await;
    rig.mailcow.fail("logs/postfix", Fault::NullRows);
    rig.mailcow.fail("rspamd-history", Fault::Half);
    rig.mailcow.fail("mailbox", Fault::Down);
    let rows = rig.rows("get/logs/postfix/3").await;
    assert!(rows.len() == 5 && rows[0].is_null() && rows[1].is_object() && rows[4].is_null());
    let half = rig.text("get/logs/rspamd-history").await;
    assert!(half.starts_with('[') && serde_json::from_str::<Value>(&half).is_err());
    assert_eq!(rig.fetch("get/mailbox/all").await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(rig.fetch("get/alias/all").await.status(), StatusCode::OK);
    rig.mailcow.fail("sogo", Fault::Hang);
    let hanging = tokio::time::timeout(Duration::from_millis(200), rig.fetch("get/logs/sogo/1")).await;
    assert!(hanging.is_err());
    rig.mailcow.recover();
    assert_eq!(rig.rows("get/logs/postfix/3").await.len(), 3);
}

#[tokio::test]
async fn login_history_is_deleted_by_a_get() {
    let rig = Rig::start(Options::default()).await;
    assert!(rig.text("get/logs/sasl").await.contains("ann@alpha.test"));
    rig.text("get/reset-last-login/ann@alpha.test").await;
    assert!(!rig.text("get/logs/sasl").await.contains("ann@alpha.test"));
    assert!(rig.mailcow.calls().iter().any(|call| call.target.contains("reset-last-login")));
}

#[tokio::test]
async fn consent_is_asked_every_time_and_a_code_works_once() {
    let rig = Rig::start(Options::default()).await;
    let (cookie, answer) = rig.login("Ann@Alpha.test", PASSWORD).await;
    assert!(location(&answer).starts_with("/oauth/authorize?"));
    let code = rig.consent(&cookie).await;
    // A failed attempt does not use it up.
    let (status, body) = rig.token(&code, "http://elsewhere.example/").await;
    assert_eq!((status, body["error"].as_str()), (StatusCode::BAD_REQUEST, Some("redirect_uri_mismatch")));
    let (status, token) = rig.token(&code, CALLBACK).await;
    assert_eq!((status, token["expires_in"].as_i64()), (StatusCode::OK, Some(86_400)));
    let (status, body) = rig.token(&code, CALLBACK).await;
    assert_eq!((status, body["error"].as_str()), (StatusCode::BAD_REQUEST, Some("invalid_grant")));
    let profile: Value = rig.profile(&token).await.json().await.unwrap();
    assert_eq!((&profile["success"], &profile["email"]), (&true.into(), &"ann@alpha.test".into()));
    assert_ne!(rig.consent(&cookie).await, code);
    rig.mailcow.deactivate("ann@alpha.test");
    let gone = rig.profile(&token).await;
    assert_eq!((gone.status(), kind(&gone)), (StatusCode::OK, "text/html; charset=utf-8"));
    assert_eq!(gone.text().await.unwrap(), r#"{"success":false}"#);
}

#[tokio::test]
async fn a_code_lives_thirty_seconds() {
    let rig = Rig::start(Options::default()).await;
    let (cookie, _) = rig.login("bob@alpha.test", PASSWORD).await;
    let (early, late) = (rig.consent(&cookie).await, rig.consent(&cookie).await);
    rig.mailcow.advance(Duration::from_secs(30));
    assert_eq!(rig.token(&early, CALLBACK).await.0, StatusCode::OK);
    rig.mailcow.advance(Duration::from_secs(1));
    let (status, body) = rig.token(&late, CALLBACK).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["error_description"], "The authorization code has expired");
}

#[tokio::test]
async fn a_code_without_a_login_is_bound_to_nobody() {
    let rig = Rig::start(Options::default()).await;
    let bare = rig.client.post(rig.authorize_url()).form(&[("authorized", "1")]).send().await.unwrap();
    let (status, token) = rig.token(&code(&bare), CALLBACK).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(rig.profile(&token).await.text().await.unwrap(), r#"{"success":false}"#);
}

#[tokio::test]
async fn only_active_mailboxes_log_in() {
    let rig = Rig::start(Options::default()).await;
    for (user, password) in
        [("dora@alpha.test", PASSWORD), ("alphaadmin", PASSWORD), ("ann@alpha.test", "wrong")]
    {
        let (_, answer) = rig.login(user, password).await;
        assert_eq!(answer.status(), StatusCode::OK, "{user}");
        assert!(answer.text().await.unwrap().contains("Login failed"));
    }
}

#[tokio::test]
async fn authorize_refuses_in_mailcows_words() {
    let rig = Rig::start(Options::default()).await;
    let ask = async |old: &str, new: &str| {
        rig.client.get(rig.authorize_url().replace(old, new)).send().await.unwrap()
    };
    let scope = ask("scope=profile", "scope=openid").await;
    let expected = "?error=invalid_scope&error_description=An+unsupported+scope+was+requested&state=st4te";
    assert_eq!(location(&scope), format!("{CALLBACK}{expected}"));
    let place = ask("state=st4te", "state=").await;
    let expected = "?error=invalid_request&error_description=The+state+parameter+is+required";
    assert_eq!(location(&place), format!("{CALLBACK}{expected}"));
    assert_eq!(ask("/callback", "/callback/x").await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(ask(&rig.mailcow.keys.client_id, "000000000000").await.status(), StatusCode::BAD_REQUEST);
    let get = rig.client.get(format!("{}/oauth/token", rig.base)).send().await.unwrap();
    assert_eq!(get.status(), StatusCode::METHOD_NOT_ALLOWED);
    let nobody = rig.client.get(format!("{}/oauth/profile", rig.base)).send().await.unwrap();
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(nobody.headers()[header::WWW_AUTHENTICATE], "Bearer realm=\"Service\"");
}

#[test]
fn same_seed_same_world_and_another_seed_another() {
    let world = |seed| Mailcow::new(Options { seed, mails: 300, ..Options::default() }).history();
    let (first, second, other) = (world(7), world(7), world(8));
    assert_eq!(first.lines, second.lines);
    assert_eq!(first.rows, second.rows);
    assert_ne!(first.lines, other.lines);
    assert!(first.lines.is_sorted_by_key(|line| line.time));
    let now = Options::default().now.secs();
    assert!(first.lines.last().is_some_and(|line| line.time <= now && line.time > now - 60));
}

#[test]
fn rings_are_cut_and_the_preload_may_widen_them() {
    let small = Mailcow::new(Options { mails: 200, ring: 50, rspamd_ring: 20, ..Options::default() });
    small.advance(Duration::from_secs(60));
    let state = small.state();
    assert_eq!((state.books.postfix.len(), state.books.rspamd.len()), (51, 20));
    drop(state);
    let wide = Mailcow::new(Options { mails: 1_200, ring: 50, preload_fits: true, ..Options::default() });
    let history = wide.history();
    assert_eq!(wide.state().books.postfix.len(), history.lines.len());
    assert_eq!(wide.state().books.rspamd.len(), history.rows.len());
}

#[test]
fn a_deferred_mail_is_queued_retried_and_leaves() {
    let mailcow = Mailcow::new(Options::default());
    let trouble = Trouble { dsn: "4.7.1".into(), reach: Reach::Answered, text: "450 4.7.1 later".into() };
    let mut letter = Letter::outgoing("ann@alpha.test", &["x@kunde-gmbh.example"], "Hello");
    letter.targets[0].fate = Fate::Later(1, trouble);
    let id = mailcow.push(&letter).queue_id;
    mailcow.advance(Duration::from_secs(30));
    let queue = mailcow.state().queue.iter().map(|mail| (mail.id.clone(), mail.queue)).collect::<Vec<_>>();
    assert_eq!(queue, [(id.clone(), "deferred")]);
    mailcow.advance(Duration::from_secs(600));
    assert!(mailcow.state().queue.is_empty());
    let lines = mailcow.history().lines;
    let told =
        |what: &str| lines.iter().any(|line| line.message.starts_with(&id) && line.message.contains(what));
    assert!(
        told("status=deferred (host mx1.kunde-gmbh.example[")
            && told("status=sent (250")
            && told(": removed")
    );
}

#[test]
fn two_thousand_mails_hold_every_story() {
    for seed in [1, 2, 3] {
        let mailcow = Mailcow::new(Options { seed, mails: 2_000, ..Options::default() });
        let History { lines, rows } = mailcow.history();
        let marks = [
            "status=sent",
            "status=deferred",
            "status=bounced",
            "status=expired, returned to sender",
            "sender non-delivery notification:",
            "sender delay notification:",
            "milter-reject: END-OF-MESSAGE",
            "5.7.1 This message does not",
            "4.7.1 Greylisted",
            "4.7.1 Ratelimit",
            ": hold: ",
            ": discard: ",
            "released from hold",
            "orig_to=<sales@alpha.test>",
            "@alpha-alias.test>, relay",
            "to=<ann+shop@alpha.test>",
            "delivered to file: /dev/null",
            "NOQUEUE: reject: RCPT from [",
            "Relay access denied",
            "User unknown in virtual mailbox table",
            "not owned by user",
            "blocked using",
            "SASL LOGIN authentication failed",
            "TLS connection established to",
            "TLS connection established from",
            "from=<>, size=",
            "PASS NEW",
            "PASS OLD",
        ];
        for mark in marks {
            assert!(lines.iter().any(|line| line.message.contains(mark)), "seed {seed}: {mark}");
        }
        for program in ["postfix/sogo/smtpd", "postfix/smtps/smtpd", "enforced-tls-smtp/smtp", "postfix/lmtp"]
        {
            assert!(lines.iter().any(|line| line.program == program), "seed {seed}: {program}");
        }
        let all = rows.concat();
        for action in ["no action", "add header", "rewrite subject", "soft reject", "reject"] {
            assert!(all.contains(&format!("\"action\": \"{action}\"")), "seed {seed}: {action}");
        }
        for mark in
            ["CLAM_VIRUS", "<script>", "=HYPERLINK(", "\"subject\": \"unknown\"", "\"symbols\": []", "ü"]
        {
            assert!(all.contains(mark), "seed {seed}: {mark}");
        }
        assert!(!mailcow.state().quarantine.is_empty());
        let clients = lines.iter().filter_map(|line| line.message.split_once(": client=")).map(|(id, _)| id);
        let mut seen = HashSet::new();
        assert!(clients.filter(|id| !seen.insert(*id)).count() > 0, "seed {seed}: no queue id came back");
        for queue in ["deferred", "hold"] {
            assert!(mailcow.state().queue.iter().any(|mail| mail.queue == queue), "seed {seed}: {queue}");
        }
    }
}
