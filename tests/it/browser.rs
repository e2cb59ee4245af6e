//! Journeys in a real browser: each role signs in, finds a mail, reads its story, changes language and theme, signs out.

use mailcow_status::{
    demo::{Fate, Letter, Reach, Trouble, reports},
    ingest::poll::Poller,
    model::{
        explain::Dictionary,
        figures::ReportFilter,
        filter::{Filter, Place},
        scope::Scope,
    },
    store::{self, mails},
};
use serde_json::json;

use super::support::{
    browser::Browser,
    portal::{Portal, Wishes},
    rig::SERVER,
};

const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";

/// A portal with a few mails of known fate.
async fn portal() -> Portal {
    let portal = Portal::start(Wishes::default()).await;
    let push = |letter: &Letter| drop(portal.mailcow.push(letter));
    push(&Letter::incoming("lena@bigmail.example", &["ann@alpha.test"], "Greetings to Ann"));
    push(&Letter::incoming("lena@bigmail.example", &["carla@beta.test"], "Greetings to Carla"));
    let gone = Trouble { dsn: "5.1.1".into(), reach: Reach::Answered, text: "550 5.1.1 User unknown".into() };
    let mut lost = Letter::outgoing("ann@alpha.test", &["nobody@kunde-gmbh.example"], "A lost letter");
    lost.targets[0].fate = Fate::Bounce(gone);
    push(&lost);
    portal.mailcow.bustle(25);
    portal.advance(600);
    let state = &portal.state;
    let poller = Poller {
        db: state.db.clone(),
        mailcow: std::sync::Arc::clone(&state.mailcow),
        server: SERVER,
        counts: (1000, 1000),
        longest: std::time::Duration::from_secs(60),
        dictionary: std::sync::Arc::new(Dictionary::built_in()),
    };
    poller.poll(portal.now()).await.unwrap().unwrap();
    portal
}

pub async fn sign_in(browser: &Browser, portal: &Portal, address: &str) {
    browser.goto(&format!("{}/login/start", portal.url)).await;
    browser.wait_for("input[name=login_user]").await.type_text(address).await;
    browser.find("input[name=pass_user]").await.type_text("demo").await;
    browser.find("button").await.click().await;
    if browser.find_all("button[name=authorized]").await.is_empty() {
        browser.goto(&format!("{}/login/start", portal.url)).await;
    }
    browser.wait_for("button[name=authorized]").await.click().await;
    browser.wait_for("header.bar nav").await;
    assert!(browser.url().await.starts_with(&portal.url), "{}", browser.url().await);
}

/// The page keeps its own rules.
pub async fn is_clean(browser: &Browser, whose: &str) {
    let complaints: Vec<String> = browser.console().await;
    let serious = |line: &&String| !line.contains("favicon") && !line.contains("404 (Not Found)");
    let serious: Vec<_> = complaints.iter().filter(serious).collect();
    assert!(serious.is_empty(), "{whose}: {serious:?}");
}

#[tokio::test]
async fn each_role_finds_a_mail_reads_its_story_and_leaves() {
    let Some(browser) = Browser::start().await else { return };
    let portal = portal().await;
    browser.resize(1280, 900).await;
    for (address, subject) in [
        ("ann@alpha.test", "A lost letter"),
        ("postmaster@alpha.test", "Greetings to Ann"),
        ("admin@alpha.test", "Greetings to Carla"),
    ] {
        sign_in(&browser, &portal, address).await;
        assert!(browser.find("header.bar").await.text().await.contains(address));
        // Finds it.
        browser.goto(&format!("{}/mails", portal.url)).await;
        let field = browser.find("[data-find]").await;
        field.type_text(subject).await;
        // The page that is there before has a chip, too: the days that a list looks back.
        browser.run("document.documentElement.dataset.old = ''", json!([])).await;
        field.type_text(ENTER).await;
        browser.wait_for("html:not([data-old]) a.chip").await;
        browser.wait_for("html:not([data-old]) footer").await;
        let rows = browser.find_all("a[data-row]").await;
        let chips = browser.texts("a.chip b").await;
        assert_eq!((rows.len(), chips[0].as_str()), (1, subject), "{address} at {}", browser.url().await);
        let export = browser.find("a[download]").await.attribute("href").await.unwrap();
        assert!(export.contains("/mails.csv?q="), "{export}");
        // Reads its story.
        rows[0].click().await;
        browser.wait_for("a.back").await;
        let story = browser.find("main").await.text().await;
        assert!(story.contains(subject), "{address}: {story}");
        let title = browser.find("h1").await.text().await;
        // Changes language and theme, and is where they were.
        let here = browser.url().await;
        let choose = |css: &'static str, menu: usize| {
            let browser = &browser;
            async move {
                // The page that is there before looks like the one that comes.
                browser.run("document.documentElement.dataset.old = ''", json!([])).await;
                browser.find_all("details.menu.only-wide > summary").await[menu].click().await;
                browser.find(css).await.click().await;
                browser.wait_for("html:not([data-old]) a.back").await;
            }
        };
        choose(".only-wide button[name=lang][value=de]", 0).await;
        assert_eq!(browser.find("html").await.attribute("lang").await.as_deref(), Some("de"));
        assert_ne!(browser.find("h1").await.text().await, title, "{address}");
        assert_eq!(browser.url().await, here);
        choose(".only-wide button[name=theme][value=dark]", 1).await;
        assert_eq!(browser.find("html").await.attribute("data-bs-theme").await.as_deref(), Some("dark"));
        choose(".only-wide button[name=lang][value=en]", 0).await;
        choose(".only-wide button[name=theme][value=system]", 1).await;
        assert_eq!(browser.find("h1").await.text().await, title);
        is_clean(&browser, address).await;
        // Leaves.
        browser.find_all("details.menu.only-wide > summary").await[2].click().await;
        browser.find(".only-wide form[action$='/logout'] button").await.click().await;
        browser.wait_for("main").await;
        browser.goto(&format!("{}/mails", portal.url)).await;
        assert!(browser.find_all("a[data-row]").await.is_empty(), "{address} is still signed in");
        browser.forget_cookies().await;
        browser.goto(&portal.mailcow_url).await;
        browser.forget_cookies().await;
    }
}

/// For a moment the vendored style sheet may be all there is: the pictures it brings must be allowed by themselves.
#[tokio::test]
async fn the_vendored_style_alone_keeps_the_rules() {
    let Some(browser) = Browser::start().await else { return };
    let portal = portal().await;
    sign_in(&browser, &portal, "ann@alpha.test").await;
    browser.goto(&format!("{}/mails", portal.url)).await;
    let alone = "document.querySelector('link[href$=\"portal.css\"]').disabled = true;
        return getComputedStyle(document.querySelector('select.form-select')).backgroundImage";
    assert_eq!(browser.run(alone, json!([])).await, json!("none, none"));
    // A picture is asked for when the page is drawn.
    browser.screenshot().await;
    is_clean(&browser, "ann").await;
}

#[tokio::test]
async fn a_foreign_mail_is_not_found() {
    let Some(browser) = Browser::start().await else { return };
    let portal = portal().await;
    let filter = Filter { subject: Some("Greetings to Carla".to_owned()), ..Filter::default() };
    let found = mails::search(&portal.state.db, &Scope::All, &filter, Place::Newest, 5).await.unwrap();
    let id = found.mails[0].id.0;
    sign_in(&browser, &portal, "ann@alpha.test").await;
    browser.goto(&format!("{}/mails/{id}", portal.url)).await;
    let text = browser.find("main").await.text().await;
    assert!(text.contains("There is nothing here, or it is not yours to see."), "{text}");
    assert!(!browser.source().await.contains("Carla"));
}

#[tokio::test]
async fn a_keyboard_is_enough() {
    let Some(browser) = Browser::start().await else { return };
    let portal = portal().await;
    browser.resize(1280, 900).await;
    sign_in(&browser, &portal, "ann@alpha.test").await;
    let focus = async || {
        browser
            .run("return document.activeElement.className + '#' + document.activeElement.id", json!([]))
            .await
    };
    browser.goto(&format!("{}/mails", portal.url)).await;
    browser.find("body").await.type_text(TAB).await;
    assert_eq!(focus().await, json!("skip#"), "the first stop is the way past the navigation");
    let box_ = browser.run("const r = document.activeElement.getBoundingClientRect(); return r.top >= 0 && r.left >= 0 && r.width > 20", json!([])).await;
    assert_eq!(box_, json!(true), "it can be seen");
    browser.find("body").await.type_text("/").await;
    assert!(focus().await.as_str().unwrap().ends_with("#q"), "{}", focus().await);
    assert_eq!(
        browser.find("#q").await.attribute("value").await.unwrap_or_default(),
        "",
        "the key itself is not typed"
    );
    browser.run("document.activeElement.blur()", json!([])).await;
    browser.find("body").await.type_text("j").await;
    browser.find("a[data-row]").await.type_text(ENTER).await;
    browser.wait_for("a.back").await;
    browser.find("body").await.type_text("u").await;
    browser.wait_for("a[data-row]").await;
    is_clean(&browser, "the keyboard").await;
}

#[tokio::test]
async fn a_phone_shows_each_page_without_sideways_scrolling() {
    let Some(browser) = Browser::start().await else { return };
    let portal = portal().await;
    sign_in(&browser, &portal, "admin@alpha.test").await;
    browser.resize(390, 844).await;
    let newest =
        mails::search(&portal.state.db, &Scope::All, &Filter::default(), Place::Newest, 1).await.unwrap();
    let story = format!("/mails/{}", newest.mails[0].id.0);
    let proof = format!("{story}/proof");
    for lang in ["en", "de"] {
        browser.run("document.cookie = 'lang=' + arguments[0] + '; path=/status'", json!([lang])).await;
        for path in ["/", "/mails", &story, &proof, "/find", "/ingestion", "/replies", "/nothing"] {
            browser.goto(&format!("{}{path}", portal.url)).await;
            let widths = "return [document.documentElement.scrollWidth, window.innerWidth]";
            let widths = browser.run(widths, json!([])).await;
            assert!(widths[0].as_i64() <= widths[1].as_i64(), "{lang} {path}: {widths}");
            let small = browser.run("return window.innerWidth <= 500", json!([])).await;
            assert_eq!(small, json!(true), "the window is that of a phone");
        }
    }
    is_clean(&browser, "the phone").await;
}

#[tokio::test]
async fn a_tablet_shows_tables_of_reports_without_sideways_scrolling() {
    let Some(browser) = Browser::start().await else { return };
    let portal = portal().await;
    reports::deliver_past(&portal.state.db, 1, portal.now()).await.unwrap();
    sign_in(&browser, &portal, "admin@alpha.test").await;
    browser.resize(768, 1024).await;
    browser.run("document.cookie = 'lang=de; path=/status'", json!([])).await;
    for path in ["/dmarc", "/dmarc/reports", "/dmarc/sources"] {
        browser.goto(&format!("{}{path}", portal.url)).await;
        let widths =
            "return [document.documentElement.scrollWidth, window.innerWidth, document.documentElement.lang]";
        let widths = browser.run(widths, json!([])).await;
        assert!(widths[0].as_i64() <= widths[1].as_i64() && widths[2] == "de", "{path}: {widths}");
    }
    is_clean(&browser, "the tablet").await;
}

#[tokio::test]
async fn a_domain_admin_reads_a_report_and_no_foreign_one() {
    let Some(browser) = Browser::start().await else { return };
    let portal = portal().await;
    let db = &portal.state.db;
    reports::deliver_past(db, 1, portal.now()).await.unwrap();
    sign_in(&browser, &portal, "postmaster@alpha.test").await;
    browser.resize(1280, 900).await;
    browser.goto(&format!("{}/dmarc", portal.url)).await;
    assert!(browser.find("main").await.text().await.contains("alpha.test"));
    browser.goto(&format!("{}/dmarc/reports", portal.url)).await;
    let rows = browser.find_all("a[data-row]").await;
    assert!(rows.len() > 5, "{}", rows.len());
    rows[0].click().await;
    browser.wait_for("a.back").await;
    let text = browser.find("main").await.text().await;
    assert!(text.contains("alpha.test") && text.contains("198.51.100.10"), "{text}");
    is_clean(&browser, "a report").await;
    // Reports of another domain are neither listed nor found.
    let filter = ReportFilter { domain: Some("beta.test".to_owned()), ..ReportFilter::default() };
    let foreign = store::reports::list(db, &Scope::All, &filter, None, 1).await.unwrap();
    for path in [format!("/dmarc/reports/{}", foreign[0].serial), "/dmarc/beta.test".to_owned()] {
        browser.goto(&format!("{}{path}", portal.url)).await;
        let text = browser.find("main").await.text().await;
        assert!(text.contains("There is nothing here, or it is not yours to see."), "{path}: {text}");
        assert!(!browser.source().await.contains(&foreign[0].report_id), "{path}");
    }
    browser.goto(&format!("{}/dmarc/upload", portal.url)).await;
    assert!(browser.find_all("input[type=file]").await.is_empty(), "only admins bring reports");
}

#[tokio::test]
async fn an_admin_brings_a_report_by_hand() {
    let Some(browser) = Browser::start().await else { return };
    let portal = portal().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("brought.eml");
    std::fs::write(&file, reports::fresh(1, 1, portal.now()).bytes).unwrap();
    sign_in(&browser, &portal, "admin@alpha.test").await;
    for result in ["Taken", "Known already"] {
        browser.goto(&format!("{}/dmarc/upload", portal.url)).await;
        browser.find("input[type=file]").await.type_text(&file.display().to_string()).await;
        browser.find("main form button").await.click().await;
        browser.wait_for("#answers").await;
        let text = browser.find("main").await.text().await;
        assert!(text.contains(result) && text.contains("alpha.test"), "{text}");
    }
    is_clean(&browser, "the upload").await;
    let all = store::reports::list(&portal.state.db, &Scope::All, &ReportFilter::default(), None, 5).await;
    let all = all.unwrap();
    assert_eq!(all.len(), 1, "the second time changes nothing");
    browser.goto(&format!("{}/dmarc/reports/{}", portal.url, all[0].serial)).await;
    let text = browser.find("main").await.text().await;
    assert!(text.contains("by hand"), "who vouches for it is told: {text}");
}
