//! The program's own log, at its most talkative: no address, no subject, no key, no token, no session gets into it.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use mailcow_status::{
    demo::Options,
    model::{open::TrackerKey, time::Millis},
    store::{job_runs, lease},
};

use super::{
    ingest::settings,
    support::{
        db::{FreshDb, fresh_databases},
        portal::Surfer,
        rig::{Log, Source, open},
    },
};

const CRON: &str = "cr0n-key-of-the-log-test";
const API: &str = "ap1-token-of-the-log-test";
const TRACKER: &str = "tr4cker-secret-of-the-log-test-0123456789";
const CLIENT: &str = "203.0.113.77";

/// The program with everything switched on, its log in a file.
struct Program {
    child: Child,
    url: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    async fn start(fresh: &FreshDb, source: &Source, port: u16, log: &Path, arguments: &[&str]) -> Self {
        let url = format!("http://127.0.0.1:{port}");
        let own = [
            ("LISTEN", format!("127.0.0.1:{port}")),
            ("PUBLIC_URL", format!("{url}/")),
            ("POLL_INTERVAL", "5s".to_owned()),
            ("ADMIN", "admin@alpha.test".to_owned()),
            ("CRON_KEY", CRON.to_owned()),
            ("API_TOKEN", API.to_owned()),
            ("OPEN_TRACKING", "yes".to_owned()),
            ("TRACKER_KEY", TRACKER.to_owned()),
            ("TRUSTED_PROXIES", "127.0.0.1".to_owned()),
            ("LOG_LEVEL", if arguments.is_empty() { "trace" } else { "error" }.to_owned()),
            ("MAILCOW_CLIENT_ID", source.mailcow.keys.client_id.clone()),
            ("MAILCOW_CLIENT_SECRET", source.mailcow.keys.client_secret.clone()),
        ];
        let child = Command::new(env!("CARGO_BIN_EXE_mailcow-status"))
            .arg("serve")
            .args(arguments)
            .env_clear()
            .envs(settings(fresh, &source.url, &source.mailcow.keys.api_key))
            .envs(own)
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::null())
            .stderr(File::create(log).unwrap())
            .spawn()
            .unwrap();
        let program = Self { child, url };
        let begun = Instant::now();
        while Surfer::try_get(&program.url, "/readyz").await != Some(200) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", std::fs::read_to_string(log).unwrap());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        program
    }

    /// Asks it to stop, and waits until it has.
    async fn stop(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        for _ in 0..200 {
            if self.child.try_wait().unwrap().is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it does not stop");
    }

    fn browser(&self) -> Surfer {
        let mut browser = Surfer::at(&self.url);
        browser.headers.push(("x-forwarded-for".to_owned(), CLIENT.to_owned()));
        browser
    }
}

/// A look at everything that knows secrets; what must not be found in the log, by what it is.
async fn look_around(program: &Program, source: &Source, fresh: &FreshDb) -> Vec<(&'static str, String)> {
    let mut secrets = vec![
        ("the API key", source.mailcow.keys.api_key.clone()),
        ("the client secret", source.mailcow.keys.client_secret.clone()),
        ("the cron key", CRON.to_owned()),
        ("the token for other systems", API.to_owned()),
        ("the tracker key", TRACKER.to_owned()),
        ("the visitor's address", CLIENT.to_owned()),
    ];
    let subjects = Log::of(&source.mailcow).scans.into_iter().filter_map(|scan| scan.subject);
    secrets.extend(subjects.filter(|subject| subject.len() > 8).map(|subject| ("a subject", subject)));

    let mut stranger = program.browser();
    let cron = stranger.get(&format!("/cron/update?key={CRON}")).await;
    assert!(cron.status == 200, "{}", cron.body);
    stranger.get("/cron/update?key=wr0ng-cron-key").await;
    secrets.push(("a wrong key", "wr0ng-cron-key".to_owned()));
    stranger.get(&format!("/metrics?key={API}")).await;

    let key = TrackerKey::new(TRACKER.to_owned().into()).unwrap();
    let token = key.token("4cQm1L2Xz1k", "1@alpha.test", Millis::now(), "192.0.2.1".parse().unwrap());
    assert_eq!(stranger.get(&format!("/track/{token}.gif")).await.status, 200);
    assert_eq!(stranger.get(&format!("/internal/tracked.map?key={}", key.map_key())).await.status, 200);
    secrets.extend([("a pixel's token", token), ("the map's key", key.map_key())]);

    for address in ["ann@alpha.test", "admin@alpha.test"] {
        let mut browser = program.browser();
        let back = browser.consent(address, "/mails?q=hidden-wish").await;
        let query = back.split_once('?').unwrap().1.to_owned();
        secrets.extend(
            query.split('&').map(|pair| ("a code or state", pair.split_once('=').unwrap().1.to_owned())),
        );
        assert_eq!(browser.get(&back).await.status, 303, "{address}");
        secrets.push(("a session", browser.cookie("status_session").unwrap()));
        look_at_mails(&mut browser).await;
        if address.starts_with("admin") {
            run_jobs(&mut browser, fresh, &secrets).await;
        }
        assert_eq!(browser.post("/logout", &[]).await.status, 303);
    }
    secrets.push(("a search", "hidden-wish".to_owned()));
    stranger.get("/callback?code=c0de-of-nobody&state=st4te-of-nobody").await;
    stranger.get("/login/link/l1nk-of-nobody").await;
    for what in ["c0de-of-nobody", "st4te-of-nobody", "l1nk-of-nobody"] {
        secrets.push(("what a stranger sent", what.to_owned()));
    }
    secrets
}

async fn look_at_mails(browser: &mut Surfer) {
    let list = browser.get("/mails?q=hidden-wish").await;
    assert_eq!(list.status, 200);
    // The first poll may still be under way.
    let begin = Instant::now();
    let story = loop {
        let list = browser.get("/mails?from=2020-01-01").await.body;
        let story = list.split('"').find(|text| {
            text.strip_prefix("/mails/").is_some_and(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
        });
        if let Some(story) = story {
            break story.to_owned();
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "no mail in the list: {list}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    assert_eq!(browser.get(&story).await.status, 200);
    assert_eq!(browser.get(&format!("{story}/proof?lines=all")).await.status, 200);
    assert_eq!(browser.get("/mails.csv").await.status, 200);
}

/// Jobs by hand, with the leases of a real program; and the settings, which show no secret either.
async fn run_jobs(admin: &mut Surfer, fresh: &FreshDb, secrets: &[(&'static str, String)]) {
    let db = open(fresh).await;
    let answer = admin.post("/jobs/prune/run", &[]).await;
    assert_eq!(answer.location, "/jobs?ran=prune&end=done");
    let run = job_runs::find(&db, "prune").await.unwrap().unwrap();
    assert!(run.error.is_none() && run.succeeded_at.is_some(), "{run:?}");
    assert!(lease::take(&db, "prune", "somebody", Millis::now(), Duration::from_secs(60)).await.unwrap());
    let answer = admin.post("/jobs/prune/run", &[]).await;
    assert_eq!(answer.location, "/jobs?ran=prune&end=busy", "a lease of somebody else");
    let jobs = admin.get("/jobs").await.body;
    assert!(jobs.contains("Running") && jobs.contains("poll"), "{jobs}");
    let mut tx = db.begin().await.unwrap();
    lease::release(&mut tx, "prune", "somebody").await.unwrap();
    tx.commit().await.unwrap();
    db.close().await;

    let page = admin.get("/settings").await.body;
    assert!(page.contains("<code>CRON_KEY</code>") && page.contains("Environment"), "{page}");
    let keys = secrets.iter().filter(|(what, _)| what.contains("key") || what.contains("secret"));
    for (what, secret) in keys {
        assert!(!page.contains(secret.as_str()), "the settings show {what}");
    }
    assert!(
        !page.contains(&fresh.url) || fresh.url.starts_with("sqlite"),
        "the settings show the database's password"
    );
}

/// What was found in a log that must not be there.
fn leaks(log: &str, secrets: &[(&'static str, String)]) -> Vec<String> {
    let found = secrets.iter().filter(|(_, secret)| log.contains(secret.as_str()));
    let mut found: Vec<String> = found.map(|(what, secret)| format!("{what}: {secret}")).collect();
    found.extend(log.lines().filter(|line| line.contains('@')).map(|line| format!("an address: {line}")));
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_most_talkative_log_holds_no_personal_data_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let ways: [&[&str]; 2] = [&[], &["--log-level", "trace", "--log-format", "json"]];
    for (fresh, arguments) in fresh_databases().await.into_iter().zip(ways) {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = Options {
            mails: 60,
            ring: 50_000,
            rspamd_ring: 50_000,
            now: Millis::now(),
            redirect_uris: vec![format!("http://127.0.0.1:{port}/callback")],
            keep_history: true,
            ..Options::default()
        };
        let source = Source::start(options).await;
        let file = folder.path().join(format!("{port}.log"));
        let program = Program::start(&fresh, &source, port, &file, arguments).await;
        let secrets = look_around(&program, &source, &fresh).await;
        assert!(secrets.len() > 30, "{secrets:?}");
        // Mailcow goes away: errors repeat what was asked for.
        drop(source);
        tokio::time::sleep(Duration::from_secs(8)).await;
        program.stop().await;
        let log = std::fs::read_to_string(&file).unwrap();
        for part in
            ["/mails/{id}", "/track/{token}", "/cron/update", "/callback", "sign-in", "failed", "stopping"]
        {
            assert!(log.contains(part), "the log is not complete: {part}\n{log}");
        }
        assert_eq!(leaks(&log, &secrets), Vec::<String>::new(), "\n{log}");
        if arguments.is_empty() {
            assert!(log.contains("DEBUG"), "{log}");
        } else {
            let objects = log.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
            assert_eq!(objects.count(), log.lines().count(), "{log}");
        }
    }
}

#[test]
fn the_check_finds_what_it_is_for() {
    let secrets = [("a session", "5e551on".to_owned())];
    assert_eq!(leaks("INFO signed in session=5e551on\nINFO to=(address)\n", &secrets).len(), 1);
    assert_eq!(leaks("INFO to=ann@alpha.test\n", &secrets).len(), 1);
}
