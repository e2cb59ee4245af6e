//! The start page, the list and its file agree on how many mails there are of what.

use std::sync::Arc;

use mailcow_status::{
    demo::{Letter, Verdict},
    ingest::poll::Poller,
    model::explain::Dictionary,
};

use super::support::{
    portal::{Portal, Surfer, Wishes},
    rig::SERVER,
};

/// A portal with mails of all kinds, of the last hours.
async fn portals() -> Vec<Portal> {
    let portals = Portal::on_each_engine(Wishes::default()).await;
    for portal in &portals {
        for number in 0..3 {
            let mut letter = Letter::incoming("lena@bigmail.example", &["ann@alpha.test"], "A file");
            letter.verdict = [Verdict::Virus, Verdict::Quarantine, Verdict::Spam][number];
            portal.mailcow.push(&letter);
        }
        portal.mailcow.bustle(150);
        portal.advance(7200);
        let state = &portal.state;
        let poller = Poller {
            db: state.db.clone(),
            mailcow: Arc::clone(&state.mailcow),
            server: SERVER,
            counts: (5000, 1000),
            longest: std::time::Duration::from_secs(60),
            dictionary: Arc::new(Dictionary::built_in()),
        };
        poller.poll(portal.now()).await.unwrap().unwrap();
    }
    portals
}

async fn body(browser: &mut Surfer, path: &str) -> String {
    let answer = browser.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

/// The number behind a word.
fn number(page: &str, word: &str) -> usize {
    let behind = page.split(word).nth(1).unwrap_or_else(|| panic!("no {word} in {page}"));
    let digits: String =
        behind.trim_start().chars().take_while(|c| c.is_ascii_digit() || *c == ',').collect();
    digits.replace(',', "").parse().unwrap()
}

/// How many mails a file holds: one line for each recipient, so that mails are told by time and ids.
async fn mails(browser: &mut Surfer, statuses: &[&str]) -> usize {
    let query: Vec<String> = statuses.iter().map(|status| format!("status={status}")).collect();
    let mut page = body(browser, &format!("/mails?{}", query.join("&"))).await;
    let mut count = 0;
    loop {
        count += page.matches("<tr class=\"m\"").count();
        let Some(older) = page.split("rel=\"next\"").next().filter(|_| page.contains("rel=\"next\"")) else {
            return count;
        };
        let href = older.rsplit("href=\"").next().unwrap().split('"').next().unwrap();
        let href = href.replace("&amp;", "&").replace("&#38;", "&");
        page = body(browser, href.strip_prefix("/status").unwrap()).await;
    }
}

#[tokio::test]
async fn the_figures_of_the_start_page_are_those_of_the_list() {
    for portal in portals().await {
        for address in ["admin@alpha.test", "postmaster@alpha.test", "ann@alpha.test"] {
            let mut browser = portal.signed_in(address).await;
            let page = body(&mut browser, "/").await;
            let problems = mails(&mut browser, &["virus", "bounced", "expired", "held", "delayed"]).await;
            assert_eq!(number(&page, "Problems"), problems, "{address}");
            let all = mails(&mut browser, &[]).await;
            let total = format!("{all} mails in the last 7 days");
            assert!(page.contains(&total), "{address}: {total}: {page}");
            let kept = mails(&mut browser, &["quarantined"]).await;
            assert_eq!(number(&page, "to be looked at:"), problems + kept, "{address}");
        }
    }
}

#[tokio::test]
async fn a_file_of_what_nobody_understands_is_refused() {
    let portal = Portal::start(Wishes::default()).await;
    let mut ann = portal.signed_in("ann@alpha.test").await;
    for (query, words) in [
        ("status=zzz", "Status: zzz"),
        ("status=open", "Status: open"),
        ("verdict=x", "Spam verdict: x"),
        ("from=2026-12-24&to=2026-12-01", "The first day lies behind the last one"),
    ] {
        let answer = ann.get(&format!("/mails.csv?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.body);
        assert!(
            answer.body.contains(words) && answer.body.contains("Nothing was exported."),
            "{}",
            answer.body
        );
        assert!(!answer.body.contains('<'), "a plain sentence: {}", answer.body);
        let page = ann.get(&format!("/mails?{query}")).await;
        assert!(page.status == 200 && page.body.contains(words), "{}", page.body);
    }
    assert_eq!(ann.get("/mails.csv?status=sent").await.status, 200);
}

#[tokio::test]
async fn an_unknown_time_zone_is_refused_in_words() {
    let portal = Portal::start(Wishes::default()).await;
    let mut ann = portal.signed_in("ann@alpha.test").await;
    let answer = ann.post("/preferences", &[("zone", "Berlin <b>"), ("next", "/status/mails")]).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("We do not know the time zone “Berlin"), "{}", answer.body);
    assert_eq!(ann.cookie("zone"), None);
    let answer = ann.post("/preferences", &[("zone", "Europe/Berlin"), ("next", "/status/mails")]).await;
    assert_eq!((answer.status, ann.cookie("zone").as_deref()), (303, Some("Europe/Berlin")));
}
