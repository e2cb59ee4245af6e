//! How often one address may ask: images, cron, metrics, files, and wrong keys. Signing in is in `auth`.

use mailcow_status::web::limits::Class;

use super::support::portal::{API_TOKEN, Answer, CRON_KEY, Portal, Surfer, Wishes};

/// A portal behind a proxy on this machine, so that the test can come from any address.
async fn portal() -> Portal {
    Portal::start(Wishes { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Wishes::default() }).await
}

fn from(portal: &Portal, client: &str) -> Surfer {
    let mut browser = portal.browser();
    browser.headers.push(("x-forwarded-for".to_owned(), client.to_owned()));
    browser
}

fn with_key(mut browser: Surfer, key: &str) -> Surfer {
    browser.headers.push(("authorization".to_owned(), format!("Bearer {key}")));
    browser
}

fn wait(answer: &Answer) -> u64 {
    answer.headers["retry-after"].to_str().unwrap().parse().unwrap()
}

/// Asks one more time than the class allows; all but the last are answered otherwise than by 429.
async fn exhaust(browser: &mut Surfer, path: &str, class: Class) -> Answer {
    for number in 0..class.quota().burst {
        let answer = browser.get(path).await;
        assert_ne!(answer.status, 429, "{path} number {number}");
    }
    browser.get(path).await
}

#[tokio::test]
async fn an_image_over_the_limit_looks_the_same_and_counts_nothing() {
    let portal = portal().await;
    let token =
        mailcow_status::model::open::TrackerKey::new(super::support::portal::TRACKER_KEY.to_owned().into())
            .unwrap()
            .token("4cQm1L2Xz9k", "offer@alpha.test", portal.now(), "198.51.100.7".parse().unwrap());
    let mut reader = from(&portal, "203.0.113.9");
    let path = format!("/track/{token}.gif");
    let burst = Class::Pixel.quota().burst;
    let plain = |answer: &Answer| {
        let mut headers = answer.headers.clone();
        headers.remove("date");
        (answer.status, headers, answer.body.clone())
    };
    let first = reader.get(&path).await;
    for _ in 1..burst + 50 {
        assert_eq!(plain(&reader.get(&path).await), plain(&first));
    }
    assert_eq!(portal.state.limits.refused(Class::Pixel), 50);
    assert_eq!(portal.state.opens.numbers().waiting, u64::from(burst));
    // Old links count in the same store, and other readers in their own.
    assert_eq!(plain(&reader.get("/track.php?msg=00").await), plain(&first));
    assert_eq!(portal.state.limits.refused(Class::Pixel), 51);
    from(&portal, "203.0.113.10").get(&path).await;
    assert_eq!(portal.state.limits.refused(Class::Pixel), 51);
    // Admins see how many were left out; nobody sees whose they were.
    let mut admin = portal.signed_in("admin@alpha.test").await;
    let page = admin.get("/mailbox/tracking").await;
    assert!(
        page.body.contains("one address loaded too many") && page.body.contains("<dd>51</dd>"),
        "{}",
        page.body
    );
    assert!(!format!("{:?}", portal.entries().await).contains("203.0.113.9"));
}

#[tokio::test]
async fn wrong_keys_make_slow_and_only_those_who_send_them() {
    for (path, right) in [("/cron/update", CRON_KEY), ("/metrics", API_TOKEN), ("/api/metrics", API_TOKEN)] {
        let portal = portal().await;
        let pause = Class::Guess.quota().pause;
        let refused = exhaust(&mut with_key(from(&portal, "192.0.2.66"), "wrong"), path, Class::Guess).await;
        assert_eq!((refused.status, wait(&refused)), (429, pause.as_secs()), "{path}");
        assert!(refused.body.contains("wrong keys") && !refused.body.contains("<html"), "{}", refused.body);
        // From there no key opens anything for a while; to guess on is in vain.
        let mut guesser = with_key(from(&portal, "192.0.2.66"), right);
        assert_eq!(guesser.get(path).await.status, 429, "{path}");
        assert_eq!(
            with_key(from(&portal, "192.0.2.7"), right).get(path).await.status,
            200,
            "{path}: another address"
        );
        portal.advance(pause.as_secs());
        assert_eq!(guesser.get(path).await.status, 200, "{path}");
        // It is written down, once an hour and address, without the key.
        let entries = portal.entries().await;
        let count = |action: &str| {
            entries.iter().filter(|it| it.action == action && it.client == "192.0.2.66").count()
        };
        assert_eq!((count("key-refused"), count("limited")), (1, 1), "{entries:?}");
        assert!(!format!("{entries:?}").contains("wrong"), "{entries:?}");
        assert_eq!(
            portal.jobs.runs.load(std::sync::atomic::Ordering::SeqCst),
            if path == "/cron/update" { 2 } else { 0 }
        );
    }
}

#[tokio::test]
async fn who_changes_the_claimed_address_guesses_no_faster() {
    let portal = Portal::start(Wishes::default()).await;
    let mut statuses = Vec::new();
    for number in 0..20 {
        let mut guesser = with_key(from(&portal, &format!("198.51.100.{number}")), "wrong");
        statuses.push(guesser.get("/cron/update").await.status);
    }
    assert_eq!(statuses[..10], [403; 10]);
    assert_eq!(statuses[10..], [429; 10]);
}

#[tokio::test]
async fn who_writes_nonsense_is_not_taken_for_the_proxy() {
    let portal = portal().await;
    // The proxy appends the address to what a browser sent itself; or it says nothing that can be read.
    for (forwarded, client) in [("é, 203.0.113.6", "203.0.113.6"), ("é", "unknown")] {
        let mut guesser = with_key(from(&portal, forwarded), "wrong");
        assert_eq!(exhaust(&mut guesser, "/cron/update", Class::Guess).await.status, 429);
        let mut beside = with_key(portal.browser(), CRON_KEY);
        assert_eq!(beside.get("/cron/update").await.status, 200, "a program beside the proxy");
        let entries = portal.entries().await;
        let refused = entries.iter().filter(|it| it.action == "key-refused" && it.client == client);
        assert_eq!(refused.count(), 1, "{entries:?}");
    }
    assert_eq!(
        with_key(from(&portal, "\u{fc}"), CRON_KEY).get("/cron/update").await.status,
        429,
        "one stranger"
    );
    assert!(portal.entries().await.iter().all(|it| it.client != "127.0.0.1"));
    let mut admin = portal.signed_in("admin@alpha.test").await;
    assert!(admin.get("/access").await.body.contains(">unknown</td>"));
}

#[tokio::test]
async fn refused_sign_ins_of_strangers_are_bounded_and_what_is_left_out_is_counted() {
    let portal = portal().await;
    for number in 0..700 {
        let mut stranger = from(&portal, &format!("2001:db8:0:{number:x}::1"));
        let path = ["/callback?state=x", "/callback?error=x"][number % 2];
        assert_eq!(stranger.get(path).await.status, 400);
    }
    let entries = portal.entries().await;
    assert_eq!(entries.iter().filter(|it| it.action == "sign-in-refused").count(), 300);
    assert_eq!((entries.len(), portal.state.looks.lost()), (300, 400));
    // The same one counts once an hour.
    portal.advance(3600);
    for _ in 0..9 {
        from(&portal, "203.0.113.6").get("/callback?state=x").await;
    }
    assert_eq!(portal.entries().await.len(), 301);
    assert_eq!(from(&portal, "203.0.113.6").post("/login/link/none", &[]).await.status, 410);
    assert_eq!(portal.entries().await.len(), 302);
}

#[tokio::test]
async fn right_keys_have_a_limit_too() {
    let portal = portal().await;
    for (path, key, class) in [("/cron/update", CRON_KEY, Class::Cron), ("/metrics", API_TOKEN, Class::Api)] {
        let mut program = with_key(from(&portal, "192.0.2.7"), key);
        let refused = exhaust(&mut program, path, class).await;
        assert_eq!(refused.status, 429, "{path}");
        assert!(wait(&refused) >= 1 && !refused.body.contains("<html"), "{}", refused.body);
        assert_eq!(with_key(from(&portal, "192.0.2.8"), key).get(path).await.status, 200);
        portal.advance(wait(&refused));
        assert_eq!(program.get(path).await.status, 200, "{path}");
    }
    let runs = portal.jobs.runs.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(runs, Class::Cron.quota().burst as usize + 2, "what was refused did not run");
}

#[tokio::test]
async fn the_list_for_rspamd_has_both_limits() {
    let portal = portal().await;
    let key = portal.state.opens.key().unwrap().map_key();
    let path = |key: &str| format!("/internal/tracked.map?key={key}");
    let mut guesser = from(&portal, "192.0.2.66");
    assert_eq!(exhaust(&mut guesser, &path("wrong"), Class::Guess).await.status, 429);
    assert_eq!(guesser.get(&path(&key)).await.status, 429);
    let mut rspamd = from(&portal, "192.0.2.7");
    assert_eq!(exhaust(&mut rspamd, &path(&key), Class::Cron).await.status, 429);
}

#[tokio::test]
async fn files_have_a_limit() {
    let portal = portal().await;
    let admin = portal.signed_in("admin@alpha.test").await;
    for path in ["/mails.csv", "/access.csv"] {
        portal.advance(600);
        let mut admin = admin.clone();
        let refused = exhaust(&mut admin, path, Class::Export).await;
        assert_eq!((refused.status, wait(&refused)), (429, 1), "{path}");
        assert!(refused.body.contains("Too many tries."), "a page for people: {}", refused.body);
        assert_eq!(admin.get("/mails").await.status, 200, "pages go on");
    }
}
