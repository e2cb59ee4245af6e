//! Uptime, and the public page: what strangers see, what they do not, and who may change it.

use mailcow_status::{
    demo::{Vitals, uptime},
    metrics::uptime::{DAYS, lines},
    model::scope::Scope,
};
use serde_json::json;

use super::support::{
    browser::Browser,
    portal::{Portal, Wishes},
    rig::SERVER,
};

const PAGES: [&str; 3] = ["/public", "/public.atom", "/public.json"];

/// A portal whose server had a few outages.
async fn told(portal: &Portal) {
    let db = &portal.state.db;
    Vitals::new(portal.now()).tell_past(db, SERVER).await.unwrap();
    uptime::announce(db, portal.now()).await.unwrap();
}

#[tokio::test]
async fn the_history_tells_how_much_of_90_days_each_was_up() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        told(&portal).await;
        let (db, zone) = (&portal.state.db, jiff::tz::TimeZone::UTC);
        let announced = mailcow_status::metrics::uptime::announced(db, portal.now()).await.unwrap();
        assert_eq!(announced.len(), 3);
        let lines = lines(db, &Scope::All, SERVER, &zone, portal.now(), &announced).await.unwrap();
        let line =
            |code: &str| lines.iter().find(|line| line.code == code).unwrap_or_else(|| panic!("no {code}"));
        let codes: Vec<&str> = lines.iter().map(|line| line.code.as_str()).collect();
        assert_eq!(codes[..6], ["postfix", "dovecot", "rspamd", "clamav", "web", "container-acme"]);
        assert_eq!(codes[codes.len() - 9], "port-25", "behind all containers");
        assert!(!codes.contains(&"container-postfix"), "which has a flag of its own");
        let sogo = line("container-sogo").last(DAYS);
        assert!((sogo.down - 12.0 * 60.0).abs() < 1.0, "{sogo:?}");
        assert_eq!((line("container-sogo").up, line("container-olefy").up), (Some(true), Some(false)));
        // Nine hours nobody looked: not up, not down.
        let postfix = line("postfix").last(DAYS);
        let unknown = postfix.length - postfix.up - postfix.down;
        assert!(postfix.down == 0.0 && unknown >= 9.0 * 3600.0, "{postfix:?}");
        assert!(postfix.share() == Some(1.0) && postfix.known() < 1.0, "{postfix:?}");
        let submission = line("port-465").last(DAYS);
        assert!((submission.down - 22.0 * 60.0).abs() < 1.0, "{submission:?}");
        // 35 minutes down, all of them during planned work.
        let dovecot = line("dovecot").last(DAYS);
        assert!((dovecot.excused - 35.0 * 60.0).abs() < 1.0 && dovecot.down < 1.0, "{dovecot:?}");
        let web: Vec<f64> = line("web").outages.iter().map(|outage| (outage.down / 60.0).round()).collect();
        assert_eq!(web, [6.0, 47.0]);
        assert_eq!(line("web").up, Some(true));
    }
}

#[tokio::test]
async fn strangers_see_what_was_chosen_and_nothing_else() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        told(&portal).await;
        let mut stranger = portal.browser();
        for path in PAGES {
            let answer = stranger.get(path).await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.cookies.is_empty(), "{path}");
            assert_eq!(answer.headers["cache-control"], "public, max-age=60");
            assert!(answer.headers["vary"].to_str().unwrap().contains("accept-language"));
            let host = portal.mailcow_url.rsplit('/').next().unwrap().to_owned();
            for secret in ["587", "clamav", "ClamAV", "Dovecot", "dovecot", "alpha.test", &host, "port-"] {
                let shown = answer.body.split("<body").last().unwrap();
                assert!(!shown.contains(secret), "{path} tells {secret}");
            }
        }
        let page = stranger.get("/public").await.body;
        for word in ["Sending mail", "Webmail", "Sending was not possible", "Update of the mail server"] {
            assert!(page.contains(word), "{word}");
        }
        let object: serde_json::Value =
            serde_json::from_str(&stranger.get("/public.json").await.body).unwrap();
        let names: Vec<&str> =
            object["services"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Receiving mail", "Sending mail", "Reading mail (IMAP)", "Webmail"]);
        assert_eq!(object["services"][1]["days"].as_array().unwrap().len(), DAYS);
        assert!(object["services"][1]["uptime"].as_f64().unwrap() < 1.0);
        assert_eq!(
            stranger.get("/public.atom").await.headers["content-type"],
            "application/atom+xml; charset=utf-8"
        );
        let mut german = portal.browser();
        german.headers.push(("accept-language".to_owned(), "de".to_owned()));
        assert!(german.get("/public").await.body.contains("Die letzten 90 Tage"));
    }
}

#[tokio::test]
async fn it_is_as_if_it_did_not_exist_while_it_is_off() {
    let portal = Portal::start(Wishes { public_status: false, ..Wishes::default() }).await;
    told(&portal).await;
    let mut visitors = [portal.browser(), portal.signed_in("admin@alpha.test").await];
    for visitor in &mut visitors {
        let missing = visitor.get("/publik").await;
        for path in PAGES {
            let answer = visitor.get(path).await;
            assert_eq!((answer.status, &answer.body), (404, &missing.body), "{path}");
            assert_eq!(answer.headers["cache-control"], missing.headers["cache-control"]);
            assert_eq!(visitor.post(path, &[]).await.status, 404);
        }
    }
    let [_, admin] = &mut visitors;
    let page = admin.get("/system/public").await.body;
    assert!(page.contains("Nobody sees the public page") && page.contains("PUBLIC_STATUS=on"));
}

#[tokio::test]
async fn an_answer_serves_all_for_a_minute_and_a_change_shows_at_once() {
    let portal = Portal::start(Wishes::default()).await;
    told(&portal).await;
    let mut stranger = portal.browser();
    let first: serde_json::Value = serde_json::from_str(&stranger.get("/public.json").await.body).unwrap();
    portal.advance(30);
    let second: serde_json::Value = serde_json::from_str(&stranger.get("/public.json").await.body).unwrap();
    assert_eq!(first["at"], second["at"]);
    portal.advance(31);
    let third: serde_json::Value = serde_json::from_str(&stranger.get("/public.json").await.body).unwrap();
    assert_ne!(first["at"], third["at"]);
    let mut admin = portal.signed_in("admin@alpha.test").await;
    let form =
        [("name-web", "Post im Netz"), ("place-web", "1"), ("name-port-25", ""), ("name-nonsense", "x")];
    let answer = admin.post("/system/public/services", &form).await;
    assert_eq!((answer.status, answer.location.as_str()), (303, "/status/system/public?said=services"));
    let page = stranger.get("/public").await.body;
    assert!(page.contains("Post im Netz") && !page.contains("Sending mail"), "a change shows at once");
    assert!(
        portal
            .audit()
            .await
            .iter()
            .any(|line| line == "public-services admin@alpha.test admin web=Post im Netz")
    );
}

#[tokio::test]
async fn too_many_requests_of_one_stranger_wait_and_sign_in_does_not() {
    let portal = Portal::start(Wishes::default()).await;
    let mut stranger = portal.browser();
    let mut refused = 0;
    for _ in 0..200 {
        let answer = stranger.get("/public").await;
        if answer.status == 429 {
            assert!(answer.headers.contains_key("retry-after"));
            refused += 1;
        }
    }
    assert!(refused > 50, "{refused}");
    assert_eq!(portal.browser().get("/login/start").await.status, 303);
}

#[tokio::test]
async fn announcements_are_written_changed_ended_and_removed_by_admins_only() {
    let portal = Portal::start(Wishes::default()).await;
    told(&portal).await;
    let mut admin = portal.signed_in("admin@alpha.test").await;
    let mut stranger = portal.browser();
    let form =
        [("kind", "incident"), ("title", "Webmail is slow"), ("text", "We <b>look</b>."), ("service", "web")];
    for other in ["ann@alpha.test", "postmaster@alpha.test"] {
        let answer = portal.signed_in(other).await.post("/system/public/notes", &form).await;
        assert_eq!(answer.status, 403, "{other}");
    }
    let mut foreign = admin.clone();
    foreign.headers.push(("sec-fetch-site".to_owned(), "cross-site".to_owned()));
    foreign.headers.push(("origin".to_owned(), "https://evil.example".to_owned()));
    assert_eq!(foreign.post("/system/public/notes", &form).await.status, 403, "a form from elsewhere");
    // With a fault it comes back as it was typed.
    let faulty = admin
        .post("/system/public/notes", &[("kind", "maintenance"), ("title", "Much work"), ("text", "x")])
        .await;
    assert!(faulty.status == 200 && faulty.body.contains("Planned work needs an end."), "{}", faulty.status);
    assert!(faulty.body.contains("value=\"Much work\""));
    assert!(!stranger.get("/public").await.body.contains("Much work"));

    assert_eq!(admin.post("/system/public/notes", &form).await.status, 303);
    let id = portal.now().0;
    let page = stranger.get("/public").await.body;
    assert!(
        page.contains("<h1>Webmail is slow</h1>") && page.contains("We &#60;b&#62;look&#60;/b&#62;."),
        "{page}"
    );
    portal.advance(600);
    let path = format!("/system/public/notes/{id}");
    let more =
        [("act", "save"), ("kind", "incident"), ("title", "Webmail is slow"), ("text", "A disk is full.")];
    assert_eq!(admin.post(&path, &more).await.status, 303);
    let page = stranger.get("/public").await.body;
    assert!(page.contains("A disk is full.") && page.contains("We &#60;b&#62;look"));
    portal.advance(600);
    assert_eq!(admin.post(&path, &[("act", "end"), ("text", "All is well again.")]).await.status, 303);
    let page = stranger.get("/public").await.body;
    assert!(!page.contains("<h1>Webmail is slow</h1>") && page.contains("All is well again."));
    let feed = stranger.get("/public.atom").await.body;
    assert!(feed.contains(&format!("#note-{id}</id>")) && feed.contains("All is well again."));
    assert_eq!(admin.post(&path, &[("act", "nonsense")]).await.status, 403);
    assert_eq!(admin.post(&path, &[("act", "remove")]).await.status, 303);
    assert!(!stranger.get("/public").await.body.contains("Webmail is slow"));
    assert_eq!(admin.post(&path, &[("act", "remove")]).await.status, 404);
    let audit = portal.audit().await;
    for line in
        ["incident saved: Webmail is slow", "incident ended: Webmail is slow", "removed: Webmail is slow"]
    {
        assert!(
            audit.iter().any(|entry| entry == &format!("announced admin@alpha.test admin {line}")),
            "{audit:?}"
        );
    }
}

#[tokio::test]
async fn a_stranger_reads_the_public_page_in_a_browser() {
    let Some(browser) = Browser::start().await else { return };
    let portal = Portal::start(Wishes::default()).await;
    told(&portal).await;
    for (width, lang) in [(1280, "en"), (390, "de"), (390, "en")] {
        browser.resize(width, 844).await;
        browser.goto(&format!("{}/public", portal.url)).await;
        browser.run("document.cookie = 'lang=' + arguments[0] + '; path=/status'", json!([lang])).await;
        browser.goto(&format!("{}/public", portal.url)).await;
        assert_eq!(browser.find_all(".services .bars").await.len(), 4);
        let name = browser.find(".services .bars").await.attribute("aria-label").await.unwrap();
        assert!(name.starts_with("Receiving mail: ") && name.contains('%'), "{name}");
        let widths = "return document.documentElement.scrollWidth <= window.innerWidth";
        assert_eq!(browser.run(widths, json!([])).await, json!(true), "too wide at {width} in {lang}");
        assert!(browser.find("a.sign-in").await.attribute("href").await.unwrap().ends_with("/login"));
    }
    super::browser::sign_in(&browser, &portal, "admin@alpha.test").await;
    for path in ["/system/uptime", "/system/public"] {
        browser.goto(&format!("{}{path}", portal.url)).await;
        let widths = "return document.documentElement.scrollWidth <= window.innerWidth";
        assert_eq!(browser.run(widths, json!([])).await, json!(true), "{path} is too wide");
    }
    super::browser::is_clean(&browser, "the public page").await;
}
