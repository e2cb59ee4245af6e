//! Every address that the router knows, with every role and with tricky ids: nobody gets what is not theirs.

use mailcow_status::{
    model::scope::Role,
    web::router::{Access, PAGES},
};

use super::support::portal::{Portal, Surfer, Wishes, probes};

/// Ids that were trouble elsewhere.
const TRICKY: &[&str] = &[
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "9223372036854775808",
    "1%20OR%201=1",
    "%00",
    "..%2F..%2Fetc%2Fpasswd",
    "%27%22%3E%3Cscript%3E",
    "%F0%9F%90%84",
    "*",
    "%25",
    "null",
    "192.0.2.1",
    "::ffff:192.0.2.1",
    "alpha.test",
    "beta.test.",
];

/// The addresses of a page: as it stands, or once with each tricky id.
fn addresses(path: &str) -> Vec<String> {
    let Some((head, rest)) = path.split_once('{') else { return vec![path.to_owned()] };
    let tail = rest.split_once('}').map_or("", |(_, tail)| tail);
    TRICKY.iter().flat_map(|id| addresses(&format!("{head}{id}{tail}"))).collect()
}

#[test]
fn every_page_is_declared_once() {
    let mut paths: Vec<_> = PAGES.iter().map(|page| page.path).collect();
    paths.sort_unstable();
    let count = paths.len();
    paths.dedup();
    assert_eq!(paths.len(), count);
    assert!(paths.iter().all(|path| path.starts_with('/')));
}

/// Whoever opens a page to everybody must say so here, too.
#[test]
fn public_pages_are_few_and_named() {
    let expected = [
        "/login",
        "/login/start",
        "/login/link/{token}",
        "/callback",
        "/callback.php",
        "/logout",
        "/signed-out",
        "/preferences",
        "/public",
        "/public.atom",
        "/public.json",
        "/cron/update",
        "/cron/update.php",
        "/cron/dmarc",
        "/cron/prune",
        "/cron/prune.php",
        "/metrics",
        "/api/metrics",
        "/api/collector",
        "/healthz",
        "/readyz",
        "/track/{token}",
        "/track.php",
        "/internal/tracked.map",
    ];
    let public: Vec<_> =
        PAGES.iter().filter(|page| page.access == Access::Public).map(|page| page.path).collect();
    let extra: Vec<_> =
        public.iter().filter(|path| !expected.contains(path) && !path.starts_with("/static/")).collect();
    assert!(extra.is_empty(), "{extra:?}");
}

#[tokio::test]
async fn strangers_get_nothing_but_the_way_in() {
    let portal = Portal::start(Wishes::default()).await;
    for page in PAGES.iter().copied().chain(probes()).filter(|page| page.access != Access::Public) {
        for address in addresses(page.path) {
            let mut stranger = portal.browser();
            let answer = stranger.get(&address).await;
            assert!(matches!(answer.status, 303 | 405), "{address}: {}", answer.status);
            if answer.status == 303 {
                assert!(answer.location.starts_with("/status/login"), "{address}: {}", answer.location);
                assert_eq!(answer.body, "", "{address} says something");
            }
            let answer = portal.browser().post(&address, &[]).await;
            assert!(matches!(answer.status, 401 | 405), "{address}: {}", answer.status);
            // A session that never was, in every form.
            for id in ["", "x", "%", &"0".repeat(64), &"a".repeat(300)] {
                let mut forged = portal.browser();
                forged.plant("status_session", id);
                let answer = forged.get(&address).await;
                assert!(matches!(answer.status, 303 | 405), "{address} with {id}: {}", answer.status);
            }
        }
    }
}

#[tokio::test]
async fn each_role_gets_its_pages_and_no_other() {
    let portal = Portal::start(Wishes::default()).await;
    let visitors: [(Role, Surfer); 3] = [
        (Role::User, portal.signed_in("ann@alpha.test").await),
        (Role::DomainAdmin, portal.signed_in("postmaster@alpha.test").await),
        (Role::Admin, portal.signed_in("admin@alpha.test").await),
    ];
    for (role, browser) in visitors {
        for page in PAGES.iter().copied().chain(probes()).filter(|page| page.access != Access::Public) {
            for address in addresses(page.path) {
                let answer = browser.clone().get(&address).await;
                match page.access.admits(role) {
                    false => assert_eq!(answer.status, 403, "{role:?} {address}"),
                    true => assert!(
                        !matches!(answer.status, 303 | 401 | 403) && answer.status < 500,
                        "{role:?} {address}: {}",
                        answer.status
                    ),
                }
            }
        }
    }
}

#[tokio::test]
async fn a_page_for_people_that_is_declared_public_stays_shut() {
    let portal = Portal::start(Wishes::default()).await;
    assert_eq!(portal.browser().get("/probe/mistake").await.status, 500);
    assert_eq!(portal.signed_in("admin@alpha.test").await.get("/probe/mistake").await.status, 500);
}

#[tokio::test]
async fn unknown_addresses_look_alike_for_all() {
    let portal = Portal::start(Wishes::default()).await;
    let mut admin = portal.signed_in("admin@alpha.test").await;
    for path in ["/nothing", "/probe/", "/probe/admin/x", "/.env", "/api/v1/get/mailbox/all"] {
        let stranger = portal.browser().get(path).await;
        assert_eq!(stranger.status, 404, "{path}");
        assert!(stranger.body.contains("There is nothing here, or it is not yours to see."), "{path}");
        let known = admin.get(path).await;
        assert_eq!(known.status, 404, "{path}");
        assert!(
            !stranger.body.contains("/logout") && known.body.contains("/logout"),
            "{path}: the account menu"
        );
    }
}

#[tokio::test]
async fn every_answer_keeps_its_bounds() {
    let portal = Portal::start(Wishes::default()).await;
    let mut ann = portal.signed_in("ann@alpha.test").await;
    for path in ["/probe", "/nothing", "/login", "/probe/admin", "/healthz"] {
        let answer = ann.get(path).await;
        let header =
            |name: &str| answer.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self';",
            "style-src 'self';",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert!(policy.contains(&format!("form-action 'self' {};", portal.mailcow_url)), "{policy}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert!(!header("permissions-policy").is_empty(), "{path}");
        assert_eq!(header("access-control-allow-origin"), "", "{path}");
        assert_eq!(header("strict-transport-security"), "", "plain http: {path}");
    }
}

/// Whatever somebody sends, it is their fault, never ours.
#[tokio::test]
async fn garbage_is_no_reason_to_break() {
    let portal = Portal::start(Wishes::default()).await;
    let long = "x".repeat(20_000);
    let queries = [
        "q=%00",
        "q=%FF%FE",
        "q=%",
        "q=%zz",
        "&&&===",
        "from=99999-99-99&to=0000-00-00",
        "from=2026-02-30",
        "before=9223372036854775807",
        "after=-9223372036854775808",
        "before=99999999999999999999",
        "after=x",
        "status=%27%20OR%201=1",
        "direction=[]&direction=x",
        "size_from=-1&size_to=99999999999999999999",
        "sender=@&rcpt=@@&domain=%25",
        "queue_id=%00&message_id=%3C%3E",
        "code=%F0%9F%90%84",
        "tls=maybe",
        "q=%F0%9F%90%84&subject=%E2%80%AE",
        "way=x&who=%00&from=9",
        "task=monitor&status=99",
        "lines=all&lines=%00",
        &long,
    ];
    // Both sign in first: who asks for so many sign-ins as this test has to wait.
    let visitors = [portal.signed_in("admin@alpha.test").await, portal.signed_in("ann@alpha.test").await];
    for browser in visitors {
        for page in PAGES {
            for path in addresses(page.path).iter().take(3) {
                // A log out on the way would end the test.
                if path.starts_with("/logout") || path.starts_with("/signed-out") {
                    continue;
                }
                for query in queries {
                    let answer = browser.clone().get(&format!("{path}?{query}")).await;
                    assert!(
                        answer.status < 500 || answer.status == 503,
                        "{path}?{query:.40}: {}",
                        answer.status
                    );
                }
                let mut heavy = browser.clone();
                heavy.headers.push((
                    "cookie".to_owned(),
                    format!("zone={}; lang=%FF; theme=\u{7f}", "z".repeat(100_000)).replace('\u{7f}', ""),
                ));
                let answer = heavy.get(path).await;
                assert!(
                    answer.status < 500 || answer.status == 503,
                    "{path} with a heavy cookie: {}",
                    answer.status
                );
                for body in ["text=%00%FF", "lang=%00&theme=%FF&zone=../../etc&next=//evil.example", &*long] {
                    let form = [("text", body), ("next", body), ("lang", body), ("zone", body)];
                    let answer = browser.clone().post(path, &form).await;
                    assert!(answer.status < 500 || answer.status == 503, "POST {path}: {}", answer.status);
                    assert!(!answer.location.contains("evil"), "{path} leads to {}", answer.location);
                }
            }
        }
    }
}
