//! Mail flow from the log to the page: figures of what each may see, and of nothing else.

use std::{sync::Arc, time::Duration};

use mailcow_status::{
    demo::{Fate, Letter, Reach, Trouble},
    ingest::poll::Poller,
    model::explain::Dictionary,
    store::traffic,
};

use super::support::{
    portal::{Portal, Wishes},
    rig::SERVER,
};

async fn poll(portal: &Portal) {
    let poller = Poller {
        db: portal.state.db.clone(),
        mailcow: Arc::clone(&portal.state.mailcow),
        server: SERVER,
        counts: (1000, 1000),
        longest: Duration::from_secs(60),
        dictionary: Arc::new(Dictionary::built_in()),
    };
    poller.poll(portal.now()).await.unwrap().unwrap();
}

async fn read(portal: &Portal) {
    poll(portal).await;
    traffic::catch_up(&portal.state.db).await.unwrap();
}

/// The value behind a word in the figures.
fn figure(page: &str, word: &str) -> String {
    let tail = page.split(&format!("<dt>{word}</dt><dd>")).nth(1).unwrap_or_else(|| panic!("no {word}"));
    tail.split('<').next().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_not_counted_yet_is_not_none() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let domains = async || portal.signed_in("postmaster@alpha.test").await.get("/domains").await.body;
        assert!(domains().await.contains("not counted yet"), "no log was read");
        drop(portal.mailcow.push(&Letter::incoming("lena@bigmail.example", &["ann@alpha.test"], "To alpha")));
        portal.advance(300);
        poll(&portal).await;
        portal.advance(2 * 3600);
        let page = domains().await;
        assert!(page.contains("not counted yet") && !page.contains("0 delivered"), "{page}");
        traffic::catch_up(&portal.state.db).await.unwrap();
        let page = domains().await;
        assert!(page.contains("1 delivered") && !page.contains("not counted yet"), "{page}");
    }
}

#[tokio::test]
async fn figures_are_those_of_the_mails_that_each_may_see() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let push = |letter: &Letter| drop(portal.mailcow.push(letter));
        push(&Letter::incoming("lena@bigmail.example", &["ann@alpha.test", "bob@alpha.test"], "To alpha"));
        push(&Letter::incoming("lena@bigmail.example", &["carla@beta.test"], "To beta"));
        let gone =
            Trouble { dsn: "5.1.1".into(), reach: Reach::Answered, text: "550 5.1.1 User unknown".into() };
        let mut lost = Letter::outgoing("ann@alpha.test", &["nobody@kunde-gmbh.example"], "A lost letter");
        lost.targets[0].fate = Fate::Bounce(gone);
        push(&lost);
        portal.advance(300);
        read(&portal).await;

        let mut postmaster = portal.signed_in("postmaster@alpha.test").await;
        let to = postmaster.get("/flow?side=in").await.body;
        assert_eq!(figure(&to, "Senders"), "2", "{to}");
        assert!(to.contains("lena@bigmail.example") && to.contains("bob@alpha.test"));
        assert!(!to.contains("beta.test") && !to.contains("carla"), "a foreign domain shows");
        let from = postmaster.get("/flow?side=out&range=7d").await.body;
        assert_eq!((figure(&from, "Mails taken in").as_str(), figure(&from, "Bounced").as_str()), ("1", "1"));
        assert!(from.contains("nobody@kunde-gmbh.example") && from.contains("kunde-gmbh.example"));
        for foreign in ["/flow?domain=beta.test", "/flow?domain=nowhere.test", "/flow?domain=%25"] {
            assert_eq!(postmaster.get(foreign).await.status, 404, "{foreign}");
        }
        let domains = postmaster.get("/domains").await.body;
        assert!(!domains.contains("beta.test"), "a foreign domain shows");

        let mut admin = portal.signed_in("admin@alpha.test").await;
        let all = admin.get("/flow?range=30d").await.body;
        assert!(all.contains("carla@beta.test") && all.contains("bob@alpha.test"));
        let beta = admin.get("/flow?domain=beta.test").await.body;
        assert_eq!(figure(&beta, "Delivered"), "1", "{beta}");
        assert!(!beta.contains("bob@alpha.test"));
        assert_eq!(portal.signed_in("ann@alpha.test").await.get("/flow").await.status, 403);

        // What changes later is counted anew: the notice of the lost mail, and a mail more.
        push(&Letter::incoming("lena@bigmail.example", &["ann@alpha.test"], "One more"));
        portal.advance(300);
        read(&portal).await;
        let later = admin.get("/flow?range=30d").await.body;
        let number = |page: &str| figure(page, "Mails taken in").parse::<u64>().unwrap();
        assert!(number(&later) > number(&all), "{} {}", number(&later), number(&all));
    }
}

#[tokio::test]
async fn last_logins_are_told_and_what_is_not_known_is_not_guessed() {
    let portal = Portal::start(Wishes::default()).await;
    let mut ann = portal.signed_in("ann@alpha.test").await;
    let page = ann.get("/mailbox").await.body;
    assert!(page.contains("Last logins") && page.contains("<dt>Single sign-on</dt><dd>never</dd>"), "{page}");
    portal.mailcow.fail("get/mailbox", mailcow_status::demo::Fault::Down);
    let page = ann.get("/mailbox").await.body;
    assert!(page.contains("<dt>IMAP</dt><dd>not known</dd>"), "{page}");
}
