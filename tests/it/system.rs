//! The system's pages: who sees which series, and a journey in a real browser.

use mailcow_status::{
    demo::Vitals,
    metrics::modules::{mailboxes, sync_jobs},
    model::sample::{Labels, MAILBOX, Sample, State},
    store::samples::{Batch, Book, sources},
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
    assert!(!domains.contains("JSON") && !domains.contains(">0 B<"), "{domains}");
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
    // The backup has lacked files for all of the week that is known: a first look reaches back a day only.
    let old = overview.body.split("Empty files in the newest backup").nth(1);
    let old = old.and_then(|tail| tail.split("</li>").next());
    let old = old.unwrap_or_else(|| panic!("the empty files are not told: {}", overview.body));
    let begin = portal.now().minus(std::time::Duration::from_secs(7 * 86_400));
    let day = begin.in_zone(&jiff::tz::TimeZone::UTC).strftime("Since %-d %b, ").to_string();
    assert!(old.contains(&day), "{day}: {old}");
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
    for (path, query, said) in [
        ("ports", "?range=7d&sort=share&order=turned", "POP3 has been closed since"),
        ("ports", "?range=30d&sort=x", "Nothing is known of"),
        ("dns", "?only=trouble&q=%25&page=9&sort=name&domain=x", "DNS health"),
        ("certificates", "?sort=name&order=turned", "Certificates"),
        ("host", "?from=1&to=2", "Host"),
        ("host", "?from=2026-11-19T10:00&to=2026-11-19T18:30", "Earlier"),
    ] {
        let answer = admin.get(&format!("/system/{path}{query}")).await;
        assert_eq!(answer.status, 200, "{path}{query}");
        assert!(answer.body.contains(said), "{path}{query} does not say {said:?}");
    }
    // The same moment, whatever is shown.
    let mut begins = std::collections::BTreeSet::new();
    for range in ["24h", "7d", "30d"] {
        let page = admin.get(&format!("/system/ports?range={range}")).await.body;
        let begin = page.split("POP3 has been closed since ").nth(1).and_then(|tail| tail.split('.').next());
        begins.insert(begin.unwrap_or_else(|| panic!("{range}: {page}")).to_owned());
    }
    assert_eq!(begins.len(), 1, "{begins:?}");
    for begin in begins {
        assert!(overview.body.contains(&format!("Since {begin}.")), "{begin}: {}", overview.body);
    }
    let capacity = admin.get("/system/capacity").await.body;
    assert!(capacity.contains("is full in about"), "{capacity}");
}

#[tokio::test]
async fn a_probe_runs_again_when_an_admin_wishes() {
    let portal = portal().await;
    let mut admin = portal.signed_in("admin@alpha.test").await;
    let asked = admin.post("/system/check", &[("page", "ports")]).await;
    assert_eq!(asked.status, 303);
    assert!(admin.get("/system/ports?asked=1").await.body.contains("looked at within a minute"));
    assert_eq!(admin.post("/system/check", &[("page", "mailboxes")]).await.status, 404, "only probes");
    let runs = sources(&portal.state.db).await.unwrap();
    let ports = runs.iter().find(|run| run.source == "ports").unwrap();
    assert!(ports.ended_at.is_some_and(|at| portal.now().since(at).as_secs() >= 30), "it is due");
    let mut postmaster = portal.signed_in("postmaster@alpha.test").await;
    assert_eq!(postmaster.post("/system/check", &[("page", "ports")]).await.status, 403);
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

    // Dragging over a chart looks closer, by an address that can be sent; 0 leads back.
    let drag = "const svg = document.querySelector('[data-plot] svg'), box = svg.getBoundingClientRect(); \
        svg.setPointerCapture = () => {}; \
        const at = (kind, part) => svg.dispatchEvent(new PointerEvent(kind, { bubbles: true, button: 0, pointerId: 1, \
            clientX: box.left + box.width * part, clientY: box.top + 5 })); \
        at('pointerdown', .5); at('pointermove', .7); at('pointerup', .75); return 1";
    browser.run(drag, json!([])).await;
    browser.wait_for(".zoom b").await;
    let closer = browser.run("return location.search", json!([])).await;
    assert!(closer.as_str().is_some_and(|it| it.contains("from=") && it.contains("to=")), "{closer}");
    let reset = "const svg = document.querySelector('[data-plot] svg'); svg.focus(); \
        svg.dispatchEvent(new KeyboardEvent('keydown', { key: '0', bubbles: true })); return 1";
    browser.run(reset, json!([])).await;
    browser.wait_for(".reach [aria-current]").await;

    // What renews itself leaves alone what is open or has the focus.
    browser.goto(&format!("{}/system/queues", portal.url)).await;
    let before = "document.querySelector('#live-answer h1').textContent = 'old'; \
        const values = document.querySelector('#live-values tbody'); values.dataset.old = 1; \
        document.querySelector('#live-values a').focus(); \
        const chart = document.querySelector('[id^=live-chart]'); chart.dataset.old = 1; \
        chart.querySelector('details').open = true; chart.querySelector('h2').textContent = 'old'; \
        document.dispatchEvent(new Event('visibilitychange')); return 1";
    browser.run(before, json!([])).await;
    let after = "return [document.querySelector('#live-answer h1').textContent !== 'old', \
        document.querySelector('#live-values tbody').dataset.old === '1' \
            && document.activeElement === document.querySelector('#live-values a'), \
        document.querySelector('[id^=live-chart] details').open]";
    let mut seen = json!(null);
    for _ in 0..100 {
        seen = browser.run(after, json!([])).await;
        if seen[0] == json!(true) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(seen, json!([true, true, true]), "renewed; kept what has the focus; kept what is open");

    browser.goto(&format!("{}/system/ports", portal.url)).await;
    let grid = "return [document.querySelectorAll('.heat .bars').length, \
        document.querySelectorAll('.heat .bars:first-of-type .tip').length]";
    let grid = browser.run(grid, json!([])).await;
    assert_eq!(grid[0], json!(9), "a row for each port: {grid}");

    browser.goto(&format!("{}/system/mailboxes?sort=name", portal.url)).await;
    let first = browser.find(".found-table tbody th").await.text().await;
    assert_eq!(first, "ann@alpha.test");
    for (width, lang) in [(390, "de"), (390, "en"), (1280, "de")] {
        browser.resize(width, 844).await;
        browser.run("document.cookie = 'lang=' + arguments[0] + '; path=/status'", json!([lang])).await;
        for path in [
            "/system",
            "/system/host",
            "/system/mailboxes",
            "/system/capacity",
            "/system/ports",
            "/mailbox",
            "/domains",
        ] {
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
