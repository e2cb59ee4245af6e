//! Signing in and out, sessions, roles, and what Mailcow's word does to them.

use std::time::Duration;

use mailcow_status::{
    demo::Fault,
    model::{
        scope::Role,
        user::{Grant, Reach, RoleRules},
    },
    store::{db::sql, links::LoginLink, sessions},
    web::login,
};

use super::support::portal::{CRON_KEY, Portal, Surfer, Wishes};

const SESSION: &str = "status_session";

async fn who(browser: &mut Surfer) -> String {
    let page = browser.get("/probe").await;
    if page.status == 200 { page.body } else { format!("status {}", page.status) }
}

#[tokio::test]
async fn each_sample_login_has_its_role_and_scope() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let mut admin = portal.signed_in("admin@alpha.test").await;
        assert!(who(&mut admin).await.starts_with("admin@alpha.test admin All"));
        let mut postmaster = portal.signed_in("postmaster@alpha.test").await;
        let text = who(&mut postmaster).await;
        assert!(text.starts_with("postmaster@alpha.test domain-admin"), "{text}");
        assert!(text.contains(r#"domains: {"alpha-alias.test", "alpha.test"}"#), "{text}");
        let mut bob = portal.signed_in("bob@alpha.test").await;
        assert!(who(&mut bob).await.starts_with("bob@alpha.test domain-admin"), "lent by alphaadmin");
        let mut carla = portal.signed_in("carla@beta.test").await;
        let text = who(&mut carla).await;
        assert!(text.starts_with("carla@beta.test user") && text.contains("domains: {}"), "{text}");
        assert!(text.contains("office@beta.test") && !text.contains("alpha"), "{text}");
        let mut ann = portal.signed_in("ann@alpha.test").await;
        let text = who(&mut ann).await;
        for address in ["ann@alpha.test", "sales@alpha.test", "info@alpha.test", "ann@alpha-alias.test"] {
            assert!(text.contains(&format!("{address:?}")), "{address} in {text}");
        }
        assert!(!text.contains("bob@"), "{text}");
    }
}

#[tokio::test]
async fn a_shared_alias_gives_no_sent_mails() {
    let portal = Portal::start(Wishes::default()).await;
    let mut ann = portal.signed_in("ann@alpha.test").await;
    let text = who(&mut ann).await;
    let holding = |address: &str| {
        let rest = text.split(&format!("{address:?}: Holding ")).nth(1).unwrap_or_default().to_owned();
        rest.split('}').next().unwrap_or_default().to_owned()
    };
    assert!(holding("sales@alpha.test").contains("sends: Some("), "{text}");
    assert!(holding("info@alpha.test").contains("sends: None"), "{text}");
}

#[tokio::test]
async fn a_profile_without_success_is_nobody() {
    let wishes = Wishes { rules: RoleRules::new([""], [], None), ..Wishes::default() };
    for portal in Portal::on_each_engine(wishes).await {
        // Mailcow gives a code to whoever posts the consent, even without a login; its profile is `success: false`.
        let mut browser = portal.browser();
        let start = browser.get("/login/start").await;
        let back = browser.post(&start.location, &[("authorized", "1")]).await.location;
        assert!(back.contains("code="), "{back}");
        let page = browser.get(&back).await;
        assert_eq!(page.status, 403);
        assert!(page.body.contains("This account has no mailbox"), "{}", page.body);
        assert_eq!(browser.cookie(SESSION), None);
        assert_eq!(who(&mut browser).await, "status 303");
        assert!(portal.audit().await[0].starts_with("sign-in-refused"), "{:?}", portal.audit().await);
    }
}

#[tokio::test]
async fn an_empty_admin_setting_makes_nobody_admin() {
    let wishes = Wishes { rules: RoleRules::new(["", " "], [], Some("")), ..Wishes::default() };
    let portal = Portal::start(wishes).await;
    for address in ["admin@alpha.test", "postmaster@alpha.test", "ann@alpha.test"] {
        let mut browser = portal.signed_in(address).await;
        assert!(who(&mut browser).await.starts_with(&format!("{address} user")));
    }
}

#[tokio::test]
async fn a_state_serves_once_in_one_browser_for_ten_minutes() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        // From another browser: the victim of a forged sign-in.
        let mut attacker = portal.browser();
        let back = attacker.consent("ann@alpha.test", "").await;
        let mut victim = portal.browser();
        let page = victim.get(&back).await;
        assert_eq!((page.status, victim.cookie(SESSION)), (400, None));
        assert!(page.body.contains("Start it once more"), "{}", page.body);
        // The victim's own cookie of another sign-in does not help either.
        let other = victim.get("/login/start").await;
        let other = reqwest::Url::parse(&other.location).unwrap();
        let other = other.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let state = back.split("state=").nth(1).unwrap();
        let planted = victim.cookie(&format!("status_sign_in_{}", &other[..16])).unwrap();
        victim.plant(&format!("status_sign_in_{}", &state[..16]), &planted);
        assert_eq!(victim.get(&back).await.status, 400);
        assert_eq!(victim.cookie(SESSION), None);
        // Used up by that try; and a sign-in that went well cannot be repeated.
        assert_eq!(attacker.get(&back).await.status, 400);
        let back = attacker.consent("ann@alpha.test", "").await;
        assert_eq!(attacker.get(&back).await.status, 303);
        assert_eq!(attacker.get(&back).await.status, 400);
        // Too old.
        let mut slow = portal.browser();
        let back = slow.consent("ann@alpha.test", "").await;
        portal.advance(600);
        assert_eq!((slow.get(&back).await.status, slow.cookie(SESSION)), (400, None));
        assert!(portal.audit().await[0].contains("too old"), "our own limit, not Mailcow's");
    }
}

#[tokio::test]
async fn a_callback_without_state_or_code_is_refused() {
    let portal = Portal::start(Wishes::default()).await;
    for query in
        ["", "?code=abc", "?state=&code=abc", "?state=abc&code=abc", "?state=&code=", "?error=access_denied"]
    {
        let mut browser = portal.browser();
        for path in ["/callback", "/callback.php"] {
            let page = browser.get(&format!("{path}{query}")).await;
            assert_eq!((page.status, browser.cookie(SESSION)), (400, None), "{path}{query}");
        }
    }
}

#[tokio::test]
async fn a_code_that_mailcow_does_not_take_signs_nobody_in() {
    let portal = Portal::start(Wishes::default()).await;
    let mut browser = portal.browser();
    let back = browser.consent("ann@alpha.test", "").await;
    let code = back.split("code=").nth(1).unwrap()[..40].to_owned();
    let mut other = portal.browser();
    let start = other.get("/login/start").await;
    let state = start.location.split("state=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    assert_eq!(browser.get(&back).await.status, 303);
    let replay = other.get(&format!("/callback?code={code}&state={state}")).await;
    assert_eq!((replay.status, other.cookie(SESSION)), (400, None));
}

#[tokio::test]
async fn cookies_are_kept_close() {
    let portal = Portal::start(Wishes::default()).await;
    let mut browser = portal.browser();
    let page = browser.sign_in("ann@alpha.test").await;
    let line = page.cookies.iter().find(|line| line.starts_with(SESSION)).unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/status"] {
        assert!(line.contains(part), "{line}");
    }
    assert!(!line.contains("Secure"), "plain http on loopback: {line}");
    let id = browser.cookie(SESSION).unwrap();
    assert!(sessions::find(&portal.state.db, &id).await.unwrap().is_none(), "the id itself is not stored");
    let wishes = Wishes { public_url: Some("https://mail.example.org"), ..Wishes::default() };
    let portal = Portal::start(wishes).await;
    let page = portal.browser().sign_in("ann@alpha.test").await;
    assert!(page.cookies.iter().all(|line| line.contains("; Secure")), "{:?}", page.cookies);
    assert!(page.headers.contains_key("strict-transport-security"));
}

#[tokio::test]
async fn a_login_gets_a_new_id_and_ends_the_old_session() {
    let portal = Portal::start(Wishes::default()).await;
    let mut browser = portal.browser();
    browser.plant(SESSION, &"f".repeat(64));
    browser.sign_in("ann@alpha.test").await;
    let first = browser.cookie(SESSION).unwrap();
    assert_ne!(first, "f".repeat(64), "an id from outside is never taken");
    browser.sign_in("carla@beta.test").await;
    let second = browser.cookie(SESSION).unwrap();
    assert_ne!(first, second);
    let mut old = portal.browser();
    old.plant(SESSION, &first);
    assert_eq!(who(&mut old).await, "status 303");
    assert!(who(&mut browser).await.starts_with("carla@beta.test"));
}

#[tokio::test]
async fn sessions_end_by_time() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let mut browser = portal.signed_in("ann@alpha.test").await;
        portal.advance(12 * 3600 - 1);
        assert!(who(&mut browser).await.starts_with("ann"), "idle, but not too long");
        portal.advance(12 * 3600);
        assert_eq!(who(&mut browser).await, "status 303", "idle too long");
        portal.advance(1);
        assert_eq!(who(&mut browser).await, "status 303", "and gone for good");
        let mut busy = portal.signed_in("ann@alpha.test").await;
        for _ in 0..13 {
            portal.advance(11 * 3600);
            assert!(who(&mut busy).await.starts_with("ann"));
        }
        portal.advance(26 * 3600);
        assert_eq!(who(&mut busy).await, "status 303");
        portal.advance(8 * 24 * 3600);
    }
}

#[tokio::test]
async fn visits_are_written_once_a_minute() {
    let portal = Portal::start(Wishes::default()).await;
    let mut browser = portal.signed_in("ann@alpha.test").await;
    let key = mailcow_status::model::token::digest(&browser.cookie(SESSION).unwrap());
    let began = sessions::find(&portal.state.db, &key).await.unwrap().unwrap().seen;
    portal.advance(59);
    who(&mut browser).await;
    assert_eq!(sessions::find(&portal.state.db, &key).await.unwrap().unwrap().seen, began);
    portal.advance(1);
    who(&mut browser).await;
    portal.state.flush().await.unwrap();
    assert_eq!(sessions::find(&portal.state.db, &key).await.unwrap().unwrap().seen, portal.now());
}

#[tokio::test]
async fn a_page_waits_for_nobody_who_writes() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let mut ann = portal.signed_in("ann@alpha.test").await;
        let key = mailcow_status::model::token::digest(&ann.cookie(SESSION).unwrap());
        let asked =
            || portal.mailcow.calls().iter().filter(|call| call.target.contains("ann@alpha.test")).count();
        portal.state.flush().await.unwrap();
        let mut other = portal.state.db.begin().await.unwrap();
        other.execute(sql("UPDATE session SET name = name")).await.unwrap();
        portal.advance(60);
        let before = asked();
        for _ in 0..3 {
            assert_eq!(ann.get("/mails").await.status, 200, "{}", portal.state.db.engine());
        }
        assert_eq!(asked(), before + 1, "what is on its way counts");
        drop(other);
        let row = || async { sessions::find(&portal.state.db, &key).await.unwrap().unwrap() };
        assert!(row().await.checked < portal.now() && row().await.seen < portal.now());
        portal.state.flush().await.unwrap();
        assert_eq!((row().await.checked, row().await.seen), (portal.now(), portal.now()));
        // Idle times are told from what is on its way, too.
        for _ in 0..2 {
            portal.advance(12 * 3600 - 1);
            assert!(who(&mut ann).await.starts_with("ann"));
        }
        portal.mailcow.set_active("ann@alpha.test", 0);
        portal.advance(60);
        assert_eq!(who(&mut ann).await, "status 303");
        portal.state.flush().await.unwrap();
        assert!(sessions::find(&portal.state.db, &key).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn signing_out_is_a_post_and_lasts() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let mut browser = portal.signed_in("ann@alpha.test").await;
        let stolen = browser.clone();
        assert_eq!(browser.get("/logout").await.status, 405);
        assert!(who(&mut browser).await.starts_with("ann"));
        let page = browser.post("/logout", &[]).await;
        assert_eq!((page.status, page.location.as_str()), (303, "/status/signed-out"));
        assert_eq!(browser.cookie(SESSION), None);
        assert_eq!(who(&mut stolen.clone()).await, "status 303", "the id is worth nothing any more");
        let page = browser.get("/").await;
        assert!(page.location.starts_with("/status/login?next="), "no sign-in by itself: {}", page.location);
        assert!(browser.get("/signed-out").await.body.contains("You are signed out"));
        browser.sign_in("ann@alpha.test").await;
        assert!(who(&mut browser).await.starts_with("ann"));
    }
}

#[tokio::test]
async fn signing_out_everywhere_ends_all_own_sessions_only() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let (mut desk, mut phone) =
            (portal.signed_in("ann@alpha.test").await, portal.signed_in("ann@alpha.test").await);
        let mut bob = portal.signed_in("bob@alpha.test").await;
        assert_eq!(phone.post("/logout/everywhere", &[]).await.status, 303);
        assert_eq!((who(&mut desk).await, who(&mut phone).await), ("status 303".into(), "status 303".into()));
        assert!(who(&mut bob).await.starts_with("bob"));
        assert_eq!(portal.audit().await[0], "sign-out-everywhere ann@alpha.test user 2 sessions");
    }
}

#[tokio::test]
async fn the_wished_page_is_kept_and_never_leads_elsewhere() {
    let portal = Portal::start(Wishes::default()).await;
    let mut browser = portal.browser();
    let page = browser.get("/probe?a=b&c=d").await;
    assert_eq!(
        (page.status, page.location.as_str()),
        (303, "/status/login?next=%2Fstatus%2Fprobe%3Fa%3Db%26c%3Dd")
    );
    let back = browser.consent("ann@alpha.test", "/status/probe?a=b&c=d").await;
    assert_eq!(browser.get(&back).await.location, "/status/probe?a=b&c=d");
    for evil in [
        "//evil.test",
        "//evil.test/status/probe",
        "///evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "https://evil.test/status/",
        "/status//evil.test",
        "/status/../../evil",
        "/status/..//evil.test",
        "/other",
        "/statusx",
        "/status\t//evil.test",
        "javascript:alert(1)",
        "/status/logout",
        "/status/login/start",
        "@evil.test",
        ".evil.test",
    ] {
        let back = browser.consent("ann@alpha.test", evil).await;
        assert_eq!(browser.get(&back).await.location, "/status/", "{evil}");
        let form = [("lang", "de"), ("next", evil)];
        assert_eq!(browser.post("/preferences", &form).await.location, "/status/", "{evil}");
    }
}

#[tokio::test]
async fn the_first_visit_goes_straight_through_mailcow() {
    let portal = Portal::start(Wishes::default()).await;
    for path in ["/status", "/status/"] {
        let mut browser = portal.browser();
        let page = browser.get(path).await;
        assert!(page.location.starts_with("/status/login/start?next="), "{path}: {}", page.location);
        let page = browser.get(&page.location).await;
        assert!(
            page.location.starts_with(&format!("{}/oauth/authorize?", portal.mailcow_url)),
            "{}",
            page.location
        );
        assert!(page.location.contains("scope=profile&") || page.location.ends_with("scope=profile"));
        assert!(page.location.contains("code_challenge_method=S256"));
    }
}

#[tokio::test]
async fn a_deactivated_mailbox_loses_access_within_the_minute() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        for active in [0, 2] {
            portal.mailcow.set_active("ann@alpha.test", 1);
            let mut ann = portal.signed_in("ann@alpha.test").await;
            portal.mailcow.set_active("ann@alpha.test", active);
            portal.advance(59);
            assert!(who(&mut ann).await.starts_with("ann"));
            portal.advance(1);
            assert_eq!(who(&mut ann).await, "status 303", "active = {active}");
            portal.mailcow.set_active("ann@alpha.test", 1);
            assert_eq!(who(&mut ann).await, "status 303", "the session does not come back");
        }
        assert!(portal.audit().await.iter().any(|line| line.starts_with("session-ended ann@alpha.test")));
    }
}

#[tokio::test]
async fn a_deleted_or_recreated_mailbox_ends_the_session() {
    let portal = Portal::start(Wishes::default()).await;
    let mut ann = portal.signed_in("ann@alpha.test").await;
    portal.mailcow.change(|world| world.mailbox_mut("ann@alpha.test").unwrap().created.0 += 86_400_000);
    portal.advance(60);
    assert_eq!(who(&mut ann).await, "status 303", "another mailbox at the same address");
    let mut ann = portal.signed_in("ann@alpha.test").await;
    portal.mailcow.change(|world| world.mailboxes.retain(|mailbox| mailbox.address != "ann@alpha.test"));
    portal.advance(60);
    assert_eq!(who(&mut ann).await, "status 303", "deleted");
}

#[tokio::test]
async fn lent_domains_follow_mailcow() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let mut bob = portal.signed_in("bob@alpha.test").await;
        assert_eq!(bob.get("/probe/domain").await.status, 200);
        portal.mailcow.change(|world| world.domain_admins[0].domains = vec!["beta.test".to_owned()]);
        portal.advance(60);
        let text = who(&mut bob).await;
        assert!(text.contains(r#"domains: {"beta.test"}"#), "{text}");
        portal.mailcow.change(|world| world.domain_admins[0].active = false);
        portal.advance(60);
        assert!(who(&mut bob).await.starts_with("bob@alpha.test user"));
        assert_eq!(bob.get("/probe/domain").await.status, 403);
    }
}

#[tokio::test]
async fn while_mailcow_cannot_be_asked_nobody_gains_and_rights_wait() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        portal.mailcow.change(|world| world.domain_admins[0].active = false);
        let mut bob = portal.signed_in("bob@alpha.test").await;
        let mut ann = portal.signed_in("ann@alpha.test").await;
        portal.mailcow.change(|world| world.domain_admins[0].active = true);
        portal.mailcow.fail("", Fault::Down);
        portal.advance(60);
        assert!(who(&mut bob).await.starts_with("bob@alpha.test user"), "no right was gained");
        assert!(who(&mut ann).await.starts_with("ann"), "none was lost");
        portal.advance(3539);
        assert!(who(&mut ann).await.starts_with("ann"));
        portal.advance(1);
        let page = ann.get("/probe").await;
        assert_eq!(page.status, 503, "an hour without Mailcow's word");
        assert!(page.body.contains("Mailcow cannot be reached"));
        portal.mailcow.recover();
        portal.advance(15);
        assert!(who(&mut ann).await.starts_with("ann"), "and it goes on");
        assert!(who(&mut bob).await.starts_with("bob@alpha.test domain-admin"));
    }
}

#[tokio::test]
async fn a_half_answer_adds_no_right() {
    let portal = Portal::start(Wishes::default()).await;
    portal.mailcow.change(|world| world.domain_admins[0].active = false);
    let mut bob = portal.signed_in("bob@alpha.test").await;
    portal.mailcow.change(|world| world.domain_admins[0].active = true);
    for fault in [Fault::Html, Fault::Empty, Fault::Half, Fault::Gateway] {
        portal.mailcow.recover();
        portal.mailcow.fail("domain-admin", fault);
        portal.advance(60);
        assert!(who(&mut bob).await.starts_with("bob@alpha.test user"), "{fault:?}");
    }
}

#[tokio::test]
async fn pages_do_not_hang_with_mailcow() {
    let portal = Portal::start(Wishes::default()).await;
    let (mut ann, mut bob) =
        (portal.signed_in("ann@alpha.test").await, portal.signed_in("bob@alpha.test").await);
    portal.mailcow.fail("", Fault::Hang);
    portal.advance(60);
    let begin = std::time::Instant::now();
    assert!(who(&mut ann).await.starts_with("ann"));
    assert!(begin.elapsed().as_secs() < 7);
    let begin = std::time::Instant::now();
    assert!(who(&mut bob).await.starts_with("bob"));
    assert!(begin.elapsed().as_secs() < 1, "nobody waits a second time");
}

#[tokio::test]
async fn a_refused_key_is_not_tried_again_and_sign_in_still_works() {
    let portal = Portal::start(Wishes::default()).await;
    let mut ann = portal.signed_in("ann@alpha.test").await;
    portal.mailcow.fail("", Fault::Unauthorized);
    for _ in 0..30 {
        portal.advance(60);
        assert!(who(&mut ann).await.starts_with("ann"));
    }
    let refused = portal.mailcow.calls().iter().filter(|call| call.status == 401).count();
    assert_eq!(refused, 1);
    assert!(!portal.mailcow.banned());
    assert!(portal.state.mailcow.refused_since().is_some());
    // The profile alone proves an active mailbox.
    let mut carla = portal.signed_in("carla@beta.test").await;
    assert!(who(&mut carla).await.starts_with("carla@beta.test user"));
    portal.mailcow.recover();
    portal.state.mailcow.retry();
    portal.advance(60);
    who(&mut ann).await;
    assert_eq!(portal.state.mailcow.refused_since(), None);
}

#[tokio::test]
async fn new_rules_count_at_once_for_old_sessions() {
    let portal = Portal::start(Wishes::default()).await;
    let session = {
        let browser = portal.signed_in("admin@alpha.test").await;
        let key = mailcow_status::model::token::digest(&browser.cookie(SESSION).unwrap());
        sessions::find(&portal.state.db, &key).await.unwrap().unwrap()
    };
    let none = RoleRules::new(["xadmin@alpha.test"], [], None);
    assert_eq!(session.grant(&none), Grant::user(), "the role is not stored with the session");
}

#[tokio::test]
async fn look_alikes_get_nothing() {
    let named = ("nn@alpha.test".to_owned(), Reach::Domains(["alpha.test".to_owned()].into()));
    let rules = RoleRules::new(["nn@alpha.test", "%", "%@alpha.test", "_nn@alpha.test"], [named], None);
    let portal = Portal::start(Wishes { rules, ..Wishes::default() }).await;
    let mut ann = portal.signed_in("ann@alpha.test").await;
    let text = who(&mut ann).await;
    assert!(text.starts_with("ann@alpha.test user") && text.contains("domains: {}"), "{text}");
}

async fn invite(portal: &Portal, address: &str, role: Role, domains: &[&str]) -> String {
    let domains = domains.iter().map(|&domain| domain.to_owned()).collect();
    let link = LoginLink { address: address.to_owned(), grant: Grant { role, domains } };
    let token = login::invite(&portal.state.db, &link, portal.now()).await.unwrap();
    format!("/login/link/{token}")
}

#[tokio::test]
async fn a_login_link_serves_once_and_is_written_down() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let link = invite(&portal, "owner@host.test", Role::Admin, &[]).await;
        let mut browser = portal.browser();
        for _ in 0..2 {
            let page = browser.get(&link).await;
            assert_eq!(page.status, 200, "a preview does not use it up");
            assert!(page.body.contains("owner@host.test") && page.body.contains("method=\"post\""));
            assert_eq!(browser.cookie(SESSION), None);
        }
        assert_eq!(browser.post(&link, &[]).await.status, 303);
        assert!(who(&mut browser).await.starts_with("owner@host.test admin All"));
        let mut second = portal.browser();
        assert_eq!((second.get(&link).await.status, second.post(&link, &[]).await.status), (410, 410));
        assert_eq!(who(&mut second).await, "status 303");
        let audit = portal.audit().await;
        assert!(audit.iter().any(|line| line.starts_with("link-made owner@host.test admin")), "{audit:?}");
        assert!(audit.iter().any(|line| line.starts_with("link-used owner@host.test admin")), "{audit:?}");
        assert!(audit[0].starts_with("sign-in-refused"), "{audit:?}");
        // No mailbox, so Mailcow is not asked; the session ends by time.
        portal.advance(11 * 3600);
        assert!(who(&mut browser).await.starts_with("owner@host.test admin"));
        portal.advance(3600);
        assert_eq!(who(&mut browser).await, "status 303");
    }
}

#[tokio::test]
async fn a_login_link_gives_its_role_and_no_more() {
    let portal = Portal::start(Wishes::default()).await;
    let late = invite(&portal, "owner@host.test", Role::Admin, &[]).await;
    portal.advance(600);
    assert_eq!(portal.browser().post(&late, &[]).await.status, 410, "too old");
    let mut user = portal.browser();
    user.post(&invite(&portal, "admin@alpha.test", Role::User, &[]).await, &[]).await;
    assert!(who(&mut user).await.starts_with("admin@alpha.test user"));
    assert_eq!(user.get("/probe/domain").await.status, 403);
    let mut domain = portal.browser();
    domain.post(&invite(&portal, "carla@beta.test", Role::DomainAdmin, &["alpha.test"]).await, &[]).await;
    for _ in 0..2 {
        let text = who(&mut domain).await;
        assert!(text.starts_with("carla@beta.test domain-admin"), "{text}");
        assert!(text.contains(r#"domains: {"alpha-alias.test", "alpha.test"}"#), "{text}");
        assert_eq!(domain.get("/probe/admin").await.status, 403);
        // Mailcow's word about the mailbox changes nothing about the link's role.
        portal.advance(60);
        portal.state.flush().await.unwrap();
    }
}

#[tokio::test]
async fn a_login_link_lasts_no_longer_than_its_mailbox() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        for (role, domains) in [(Role::User, &[][..]), (Role::DomainAdmin, &["alpha.test"])] {
            portal.mailcow.set_active("carla@beta.test", 1);
            let mut carla = portal.browser();
            carla.post(&invite(&portal, "carla@beta.test", role, domains).await, &[]).await;
            portal.advance(60);
            let expected = format!("carla@beta.test {}", role.code());
            assert!(who(&mut carla).await.starts_with(&expected), "confirmed");
            portal.mailcow.set_active("carla@beta.test", 0);
            portal.advance(59);
            assert!(who(&mut carla).await.starts_with(&expected));
            portal.advance(1);
            assert_eq!(who(&mut carla).await, "status 303", "{role:?}");
            // Nobody gets in for a mailbox that is not active, or for none.
            for address in ["carla@beta.test", "owner@host.test"] {
                let mut late = portal.browser();
                let page = late.post(&invite(&portal, address, role, domains).await, &[]).await;
                assert_eq!((page.status, late.cookie(SESSION)), (403, None), "{address}");
            }
        }
        let audit = portal.audit().await;
        assert!(audit.iter().any(|line| line.starts_with("session-ended carla@beta.test")), "{audit:?}");
        assert!(audit.iter().any(|line| line.starts_with("sign-in-refused owner@host.test")), "{audit:?}");
    }
}

#[tokio::test]
async fn a_login_link_waits_for_mailcow_unless_it_is_an_admins() {
    let portal = Portal::start(Wishes::default()).await;
    let mut carla = portal.browser();
    carla.post(&invite(&portal, "carla@beta.test", Role::User, &[]).await, &[]).await;
    portal.mailcow.fail("", Fault::Down);
    let link = invite(&portal, "ann@alpha.test", Role::User, &[]).await;
    let mut ann = portal.browser();
    assert_eq!((ann.post(&link, &[]).await.status, ann.cookie(SESSION)), (503, None));
    let mut owner = portal.browser();
    let admin = invite(&portal, "owner@host.test", Role::Admin, &[]).await;
    assert_eq!(owner.post(&admin, &[]).await.status, 303);
    assert!(who(&mut owner).await.starts_with("owner@host.test admin All"));
    portal.advance(60);
    portal.mailcow.recover();
    assert_eq!(ann.post(&link, &[]).await.status, 303, "it was not used up");
    portal.mailcow.fail("", Fault::Down);
    portal.advance(3599);
    assert!(who(&mut ann).await.starts_with("ann@alpha.test user"), "rights wait for an hour");
    assert_eq!(who(&mut carla).await, "status 503");
    assert!(who(&mut owner).await.starts_with("owner@host.test admin All"));
}

#[tokio::test]
async fn forms_from_elsewhere_are_refused() {
    let portal = Portal::start(Wishes::default()).await;
    let mut ann = portal.signed_in("ann@alpha.test").await;
    for (name, value) in
        [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.test")]
    {
        let mut forged = ann.clone();
        forged.headers.push((name.to_owned(), value.to_owned()));
        let page = forged.post("/logout", &[]).await;
        assert_eq!(page.status, 403, "{name}: {value}");
        assert!(page.body.contains("This form is too old"), "{}", page.body);
    }
    assert!(who(&mut ann).await.starts_with("ann"));
    let mut own = ann.clone();
    own.headers.push(("sec-fetch-site".to_owned(), "same-origin".to_owned()));
    assert_eq!(own.post("/logout", &[]).await.status, 303);
}

#[tokio::test]
async fn a_flood_of_tries_is_stopped_by_network_and_not_by_claim() {
    let portal = Portal::start(Wishes::default()).await;
    let mut statuses = Vec::new();
    for number in 0..70 {
        let mut browser = portal.browser();
        // Nobody trusted says so: another address each time changes nothing.
        browser.headers.push(("x-forwarded-for".to_owned(), format!("198.51.100.{number}")));
        statuses.push(browser.get("/login/start").await.status);
    }
    assert_eq!(statuses[..60], [303; 60]);
    assert_eq!(statuses[60..], [429; 10]);
    let page = portal.browser().get("/callback?code=x&state=y").await;
    assert_eq!((page.status, page.headers["retry-after"].to_str().unwrap()), (429, "1"));
    assert!(page.body.contains("Too many tries. Go on in 1.0 s."), "{}", page.body);
    portal.advance(1);
    assert_eq!(portal.browser().get("/login/start").await.status, 303);
}

#[tokio::test]
async fn cron_needs_its_key() {
    let portal = Portal::start(Wishes::default()).await;
    let mut browser = portal.browser();
    for path in ["/cron/update", "/cron/dmarc", "/cron/prune", "/cron/update.php", "/cron/prune.php"] {
        // Wrong keys make slow.
        portal.advance(300);
        let runs = || portal.jobs.runs.load(std::sync::atomic::Ordering::SeqCst);
        let before = runs();
        for query in ["", "?key=", "?key=wrong", "?key=cron-s3cre", "?key=cron-s3crett", "?KEY=cron-s3cret"] {
            let page = browser.get(&format!("{path}{query}")).await;
            assert_eq!(page.status, 403, "{path}{query}");
            assert!(!page.body.contains(CRON_KEY), "{}", page.body);
        }
        assert_eq!(runs(), before);
        let page = browser.get(&format!("{path}?key={CRON_KEY}")).await;
        assert_eq!((page.status, page.body.as_str()), (200, "ok"));
        let mut bearer = portal.browser();
        bearer.headers.push(("authorization".to_owned(), format!("Bearer {CRON_KEY}")));
        assert_eq!(bearer.post(path, &[]).await.body, "ok");
        assert_eq!(runs(), before + 2);
    }
    use mailcow_status::web::state::JobEnd;
    *portal.jobs.end.lock().unwrap() = Some(JobEnd::Busy);
    assert_eq!(browser.get(&format!("/cron/update?key={CRON_KEY}")).await.body, "busy");
    *portal.jobs.end.lock().unwrap() = Some(JobEnd::Failed("Mailcow: no answer in time".to_owned()));
    let page = browser.get(&format!("/cron/update?key={CRON_KEY}")).await;
    assert_eq!((page.status, page.body.as_str()), (500, "Mailcow: no answer in time"));
}

#[tokio::test]
async fn a_cron_job_comes_to_its_end_also_when_the_caller_has_gone() {
    let portal = Portal::start(Wishes::default()).await;
    *portal.jobs.takes.lock().unwrap() = Duration::from_millis(400);
    let count = |number: &std::sync::atomic::AtomicUsize| number.load(std::sync::atomic::Ordering::SeqCst);
    let mut browser = portal.browser();
    let path = format!("/cron/update?key={CRON_KEY}");
    assert!(tokio::time::timeout(Duration::from_millis(200), browser.get(&path)).await.is_err());
    assert_eq!((count(&portal.jobs.runs), count(&portal.jobs.ended)), (1, 0));
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if count(&portal.jobs.ended) == 1 {
            return;
        }
    }
    panic!("it was dropped with the request");
}

#[tokio::test]
async fn without_a_key_cron_is_closed() {
    let portal = Portal::start(Wishes { cron_key: false, ..Wishes::default() }).await;
    for query in ["", "?key=", "?key=null"] {
        let page = portal.browser().get(&format!("/cron/update{query}")).await;
        assert_eq!(page.status, 403);
        assert!(page.body.contains("CRON_KEY is not set"), "{}", page.body);
    }
}

#[tokio::test]
async fn health_tells_alive_from_ready() {
    let portal = Portal::start(Wishes::default()).await;
    let mut browser = portal.browser();
    assert_eq!(browser.get("/readyz").await.status, 200, "a fresh process has time for its first poll");
    portal.advance(901);
    let page = browser.get("/readyz").await;
    assert_eq!((page.status, page.body.as_str()), (503, "no successful poll for 901 seconds"));
    assert_eq!(browser.get("/healthz").await.status, 200);
    *portal.jobs.last.lock().unwrap() = Some(portal.now());
    assert_eq!(browser.get("/readyz").await.status, 200);
}

async fn prune(portal: &Portal) {
    let mut tx = portal.state.db.begin().await.unwrap();
    sessions::prune(&mut tx, &portal.state.settings.sessions, portal.now()).await.unwrap();
    let before = portal.now().minus(portal.state.settings.keep_access);
    mailcow_status::store::audit::prune(&mut tx, before, portal.now()).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_time_has_ended_is_removed() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let db = &portal.state.db;
        let browser = portal.signed_in("ann@alpha.test").await;
        let key = mailcow_status::model::token::digest(&browser.cookie(SESSION).unwrap());
        portal.browser().get("/callback?code=x&state=y").await;
        prune(&portal).await;
        assert!(sessions::find(db, &key).await.unwrap().is_some(), "too early");
        assert_eq!(portal.entries().await.len(), 2);
        portal.advance(31 * 24 * 3600);
        prune(&portal).await;
        assert!(sessions::find(db, &key).await.unwrap().is_none());
        let left = portal.entries().await;
        assert_eq!((left.len(), left[0].action.as_str()), (1, "sign-in"));
        portal.advance(150 * 24 * 3600);
        prune(&portal).await;
        assert!(portal.entries().await.is_empty());
    }
}

#[tokio::test]
async fn mailcow_s_own_errors_are_told_apart() {
    let portal = Portal::start(Wishes::default()).await;
    let page = portal.browser().get("/callback?error=invalid_request&error_description=%3Cb%3E").await;
    assert!(page.status == 400 && page.body.contains("did not take the sign-in"), "{}", page.body);
    assert!(!page.body.contains("invalid_request"), "Mailcow's words are for the log");
    assert!(portal.audit().await[0].contains("invalid_request"));
}

#[tokio::test]
async fn pages_around_the_session_speak_the_visitors_language() {
    let portal = Portal::start(Wishes::default()).await;
    let mut browser = portal.browser();
    browser.headers.push(("accept-language".to_owned(), "de-AT,de;q=0.9,en;q=0.5".to_owned()));
    let page = browser.get("/login").await;
    assert!(page.body.contains("Mit Mailcow anmelden") && page.body.contains("lang=\"de\""), "{}", page.body);
    let page =
        browser.post("/preferences", &[("lang", "en"), ("theme", "dark"), ("zone", "Europe/Vienna")]).await;
    assert_eq!(page.status, 303);
    assert!(
        browser.get("/login").await.body.contains("Sign in with Mailcow"),
        "the choice wins over the browser"
    );
    assert_eq!(browser.cookie("theme").as_deref(), Some("dark"));
    assert_eq!(browser.cookie("zone").as_deref(), Some("Europe/Vienna"));
    let odd = [("lang", "xx"), ("theme", "pink; Path=/"), ("zone", "../../etc/passwd")];
    assert!(browser.post("/preferences", &odd).await.cookies.is_empty());
}
