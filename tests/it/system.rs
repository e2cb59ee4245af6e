//! The system's pages: who sees which series, and a journey in a real browser.

use mailcow_status::{
    demo::Vitals,
    metrics::modules::{mailboxes, sync_jobs},
    model::sample::{Labels, MAILBOX, Sample, State},
    store::samples::{Batch, Book},
};
use serde_json::json;

use super::support::{
    browser::Browser,
    portal::{Portal, Wishes},
    rig::SERVER,
};

/// A portal with a week of history, and mailboxes of two domains.
async fn portal() -> Portal {
    let portal = Portal::start(Wishes::default()).await;
    let db = &portal.state.db;
    Vitals::new(portal.now()).tell_past(db, SERVER).await.unwrap();
    let mut samples = Vec::new();
    for (name, share) in [
        ("ann@alpha.test", 12.5),
        ("bob@alpha.test", 97.25),
        ("carla@beta.test", 43.75),
        ("emil@beta.test", 31.0),
    ] {
        for (metric, value) in
            [(&mailboxes::EACH_MAILBOX_USAGE_PCT, share), (&mailboxes::EACH_MAILBOX_USED_MB, share * 10.0)]
        {
            let (labels, state) = (Labels::one(MAILBOX, name), State::Number(value));
            samples.push(Sample { metric: metric.key, labels, state, at: portal.now() });
        }
        let labels = Labels::one("job", "7").with(MAILBOX, name);
        let metric = &sync_jobs::EACH_SYNCJOB_SUCCESS;
        samples.push(Sample { metric: metric.key, labels, state: State::Number(1.0), at: portal.now() });
    }
    let minute = std::time::Duration::from_secs(60);
    let batch = Batch {
        server: SERVER,
        source: "mailboxes",
        at: portal.now(),
        took: minute / 60,
        period: minute,
        error: None,
        samples: &samples,
    };
    Book::default().append(db, batch).await.unwrap();
    portal
}

#[tokio::test]
async fn each_sees_the_series_of_their_own_mailboxes_only() {
    let portal = portal().await;
    let mut ann = portal.signed_in("ann@alpha.test").await;
    let mut postmaster = portal.signed_in("postmaster@alpha.test").await;
    let mut admin = portal.signed_in("admin@alpha.test").await;

    let own = ann.get("/mailbox").await.body;
    assert!(own.contains("ann@alpha.test") && own.contains("12.5"), "{own}");
    for foreign in ["bob@alpha.test", "carla@beta.test", "97.3", "43.8"] {
        assert!(!own.contains(foreign), "{foreign} shows");
    }
    let domains = postmaster.get("/domains").await.body;
    assert!(domains.contains("ann@alpha.test") && domains.contains("bob@alpha.test"));
    assert!(!domains.contains("beta.test") && !domains.contains("43.8"), "a foreign domain shows");
    assert!(!postmaster.get("/mailbox").await.body.contains("bob@alpha.test"), "not the own mailbox");
    let all = admin.get("/system/mailboxes").await.body;
    assert!(all.contains("bob@alpha.test") && all.contains("carla@beta.test"));

    let of =
        |mailbox: &str| format!("/chart/mailcow.mailbox.lld.used_mb%5B%7B%23MAILBOX%7D%5D?mailbox={mailbox}");
    assert_eq!(ann.get(&of("ann@alpha.test")).await.status, 200);
    assert_eq!(ann.get(&of("bob@alpha.test")).await.status, 404);
    assert_eq!(postmaster.get(&of("bob@alpha.test")).await.status, 200);
    assert_eq!(postmaster.get(&of("carla@beta.test")).await.status, 404);
    assert_eq!(admin.get(&of("carla@beta.test")).await.status, 200);
    for mut surfer in [ann, postmaster] {
        assert_eq!(surfer.get("/chart/host.cpu.used").await.status, 404, "the host is for admins");
        assert_eq!(surfer.get("/system").await.status, 403);
    }
    let chart = admin.get("/chart/host.cpu.used?range=7d").await;
    let points: serde_json::Value = serde_json::from_str(&chart.body).unwrap();
    assert!(points["points"].as_array().unwrap().len() > 50, "{}", chart.body);
}

#[tokio::test]
async fn every_page_of_the_system_answers() {
    let portal = portal().await;
    let mut admin = portal.signed_in("admin@alpha.test").await;
    let overview = admin.get("/system").await;
    assert_eq!(overview.status, 200);
    for wrong in ["/var/lib/docker", "newest backup"] {
        assert!(overview.body.contains(wrong), "{wrong} is not said");
    }
    let links: Vec<&str> = overview.body.split("href=\"/status/system/").skip(1).collect();
    let links: std::collections::BTreeSet<&str> =
        links.iter().filter_map(|tail| tail.split('"').next()).collect();
    assert!(links.len() >= 30, "{links:?}");
    for link in links {
        for query in ["", "?range=1y", "?range=30d&chart=mailcow.queue.deferred&sort=x&page=9&q=%25"] {
            let answer = admin.get(&format!("/system/{link}{query}")).await;
            assert_eq!(answer.status, 200, "{link}{query}");
        }
    }
    let capacity = admin.get("/system/capacity").await.body;
    assert!(capacity.contains("is full in about"), "{capacity}");
}

#[tokio::test]
async fn an_admin_reads_the_overview_a_chart_and_a_table() {
    let Some(browser) = Browser::start().await else { return };
    let portal = portal().await;
    super::browser::sign_in(&browser, &portal, "admin@alpha.test").await;
    browser.resize(1280, 900).await;
    browser.goto(&format!("{}/system", portal.url)).await;
    assert!(browser.find("h1").await.text().await.contains("need"), "the answer");
    browser.find(".wrongs .btn").await.click().await;
    browser.wait_for("#live-values").await;

    browser.goto(&format!("{}/system/host?range=7d", portal.url)).await;
    let key = "const svg = document.querySelector('[data-plot] svg'); svg.focus(); \
        svg.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowLeft', bubbles: true })); \
        return document.querySelector('[data-readout]').textContent";
    let readout = browser.run(key, json!([])).await;
    assert!(readout.as_str().is_some_and(|text| text.contains('%')), "{readout}");

    browser.goto(&format!("{}/system/mailboxes?sort=name", portal.url)).await;
    let first = browser.find(".found-table tbody th").await.text().await;
    assert_eq!(first, "ann@alpha.test");
    for (width, lang) in [(390, "de"), (390, "en"), (1280, "de")] {
        browser.resize(width, 844).await;
        browser.run("document.cookie = 'lang=' + arguments[0] + '; path=/status'", json!([lang])).await;
        for path in
            ["/system", "/system/host", "/system/mailboxes", "/system/capacity", "/mailbox", "/domains"]
        {
            browser.goto(&format!("{}{path}", portal.url)).await;
            let widths = "return document.documentElement.scrollWidth <= window.innerWidth";
            assert_eq!(
                browser.run(widths, json!([])).await,
                json!(true),
                "{path} is too wide at {width} in {lang}"
            );
        }
    }
    super::browser::is_clean(&browser, "the system").await;
}
