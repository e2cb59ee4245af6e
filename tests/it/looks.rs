//! Who looked at what: from the page to the access log, to those who look after it and to those whose mails they are.

use std::time::Duration;

use mailcow_status::{
    ingest::reports::take,
    model::{
        filter::{Filter, Place},
        report::{Arrival, Proof},
        scope::Scope,
    },
    store::{
        audit::Entry,
        db::sql,
        mailbox_cursor::{self, Account},
        mails,
    },
};

use super::{
    opens::write_mail,
    support::portal::{Portal, Surfer, Wishes},
};

const QUEUE_ID: &str = "4cQm1L2Xz9k";

/// A portal on each engine with a mail from Ann (alpha.test) to Carla (beta.test), and the address of its story.
async fn portals() -> Vec<(Portal, String)> {
    let mut all = Vec::new();
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let db = &portal.state.db;
        write_mail(db, portal.now().minus(Duration::from_secs(600)), QUEUE_ID, "offer@alpha.test").await;
        let filter = Filter { queue_id: Some(QUEUE_ID.to_owned()), ..Filter::default() };
        let found = mails::search(db, &Scope::All, &filter, Place::Newest, 1).await.unwrap();
        let story = format!("/mails/{}", found.mails[0].id.0);
        all.push((portal, story));
    }
    all
}

async fn body(browser: &mut Surfer, path: &str) -> String {
    let answer = browser.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}

/// The page of the own log: what others did, and what the visitor did.
async fn own(portal: &Portal, address: &str) -> (String, String) {
    let mut browser = portal.signed_in(address).await;
    portal.entries().await;
    let page = body(&mut browser, "/mailbox/access").await;
    let main = page.split_once("<main").unwrap().1.to_owned();
    let (others, mine) = main.split_once("<details").unwrap();
    (others.to_owned(), mine.to_owned())
}

fn line(entry: &Entry) -> String {
    format!("{} {} {} {}", entry.action, entry.actor, entry.role, entry.owners.join(" "))
}

#[tokio::test]
async fn everybody_reads_who_looked_at_their_log() {
    for (portal, story) in portals().await {
        let nobody = "Nobody but you looked at your log in the last 30 days.";
        assert!(own(&portal, "ann@alpha.test").await.0.contains(nobody));
        // An admin by role, a domain admin by role; the recipient in her own right, the sender in hers.
        for address in ["admin@alpha.test", "postmaster@alpha.test", "carla@beta.test", "ann@alpha.test"] {
            let mut browser = portal.signed_in(address).await;
            for _ in 0..3 {
                body(&mut browser, &story).await;
            }
            // Who has no right leaves no trace in the log of others.
            assert_eq!(portal.signed_in("emil@beta.test").await.get(&story).await.status, 404);
        }
        let looks: Vec<String> =
            portal.entries().await.iter().filter(|it| it.action == "story").map(line).rev().collect();
        let all = "alpha.test ann@alpha.test beta.test carla@beta.test";
        let expected = [
            format!("story admin@alpha.test admin {all}"),
            format!("story postmaster@alpha.test domain-admin {all}"),
            "story carla@beta.test user beta.test carla@beta.test".to_owned(),
            "story ann@alpha.test user alpha.test ann@alpha.test".to_owned(),
        ];
        assert_eq!(looks, expected, "each once");
        for address in ["ann@alpha.test", "carla@beta.test"] {
            let (others, mine) = own(&portal, address).await;
            assert!(others.contains("2 people besides you looked at your log"), "{others}");
            assert!(
                others.contains("admin@alpha.test") && others.contains("postmaster@alpha.test"),
                "{others}"
            );
            assert!(others.contains("Opened the story of a mail") && others.contains(&story), "{others}");
            assert!(!others.contains("127.0.0.1"), "not more than needed: {others}");
            let other = if address.starts_with("ann") { "carla@beta.test" } else { "ann@alpha.test" };
            assert!(!others.contains(other), "{address} sees that {other} looked: {others}");
            assert!(mine.contains("Opened the story of a mail") && mine.contains("Signed in"), "{mine}");
        }
        assert!(own(&portal, "emil@beta.test").await.0.contains(nobody));
        // An admin's own log is their own, not everybody's.
        assert!(own(&portal, "admin@alpha.test").await.0.contains(nobody));
        // After a month it is over.
        portal.advance(31 * 86_400);
        assert!(own(&portal, "ann@alpha.test").await.0.contains(nobody));
    }
}

#[tokio::test]
async fn a_mailbox_that_was_made_anew_does_not_inherit_the_log() {
    for (portal, story) in portals().await {
        body(&mut portal.signed_in("admin@alpha.test").await, &story).await;
        assert!(own(&portal, "ann@alpha.test").await.0.contains("One person besides you"));
        let mut tx = portal.state.db.begin().await.unwrap();
        let later = portal.now().plus(Duration::from_secs(60));
        let since = sql("UPDATE mailbox SET since_at = ? WHERE address = ?").bind(later);
        tx.execute(since.bind("ann@alpha.test")).await.unwrap();
        tx.commit().await.unwrap();
        portal.advance(120);
        assert!(own(&portal, "ann@alpha.test").await.0.contains("Nobody but you"));
    }
}

#[tokio::test]
async fn lists_searches_prints_and_files_of_others_are_written_down_and_own_lists_are_not() {
    for (portal, story) in portals().await {
        let proof = format!("{story}/proof?lines=all");
        let paths = [
            "/mails",
            "/mails?rcpt=carla@beta.test&ids=1",
            "/find?way=sent&who=carla@beta.test&from=any",
            &proof,
        ];
        for address in ["admin@alpha.test", "ann@alpha.test"] {
            let mut browser = portal.signed_in(address).await;
            for path in paths {
                body(&mut browser, path).await;
            }
            assert!(body(&mut browser, "/mails.csv?q=offer").await.starts_with('\u{feff}'));
        }
        let entries = portal.entries().await;
        let of = |actor: &str| -> Vec<String> {
            let all = entries.iter().rev().filter(|it| it.actor == actor && it.action != "sign-in");
            all.map(|it| format!("{} {} {}", it.action, it.detail, it.owners.join(" "))).collect()
        };
        let (all, id) =
            ("alpha.test ann@alpha.test beta.test carla@beta.test", story.rsplit('/').next().unwrap());
        let expected = [
            format!("mails  {all}"),
            format!("search rcpt=carla%40beta.test {all}"),
            format!("search from=any&rcpt=carla%40beta.test {all}"),
            format!("proof {id} {all}"),
        ];
        let admin = of("admin@alpha.test");
        assert_eq!(admin[..4], expected, "{admin:?}");
        assert!(admin[4].starts_with("export q=offer"), "{admin:?}");
        let ann = of("ann@alpha.test");
        assert_eq!(ann[0], format!("proof {id} alpha.test ann@alpha.test"));
        assert!(ann.len() == 2 && ann[1].starts_with("export q=offer"), "{ann:?}");
        // The owner reads that, and not what was searched for.
        let (others, _) = own(&portal, "carla@beta.test").await;
        for words in ["Saw mails in a list", "Searched mails", "Opened the print form of a mail"] {
            assert!(others.contains(words), "{words}: {others}");
        }
        assert!(!others.contains("rcpt"), "{others}");
    }
}

#[tokio::test]
async fn reports_and_what_admins_do_are_written_down() {
    for (portal, _) in portals().await {
        let report = "<?xml version=\"1.0\"?><feedback><report_metadata><org_name>big.example</org_name>\
             <report_id>7</report_id><date_range><begin>1795046400</begin><end>1795132799</end></date_range>\
             </report_metadata><policy_published><domain>alpha.test</domain><p>none</p></policy_published><record><row>\
             <source_ip>192.0.2.1</source_ip><count>3</count><policy_evaluated><disposition>none</disposition>\
             <dkim>pass</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>alpha.test</header_from>\
             </identifiers><auth_results><dkim><domain>alpha.test</domain><result>pass</result></dkim></auth_results>\
             </record></feedback>";
        let arrival = Arrival {
            at: portal.now(),
            via: "upload".to_owned(),
            name: "a.xml".to_owned(),
            sender: None,
            proof: Proof::Proven,
            evidence: None,
        };
        take(&portal.state.db, &arrival, report.as_bytes().to_vec()).await.unwrap();
        let mut admin = portal.signed_in("admin@alpha.test").await;
        let list = body(&mut admin, "/dmarc/reports").await;
        let link = list.split("/dmarc/reports/").nth(1).unwrap().split('"').next().unwrap();
        body(&mut admin, &format!("/dmarc/reports/{link}")).await;
        body(&mut admin, &format!("/dmarc/reports/{link}/xml")).await;
        for path in ["/ingestion/read", "/doctor"] {
            assert_eq!(admin.post(path, &[]).await.status, 303, "{path}");
        }
        let words = [
            ("id", "own"),
            ("phrase", "x"),
            ("who_acts", "sender"),
            ("text_en", "a"),
            ("text_de", "a"),
            ("next_en", "a"),
            ("next_de", "a"),
        ];
        assert_eq!(admin.post("/replies", &words).await.status, 303);
        body(&mut admin, "/access").await;
        body(&mut admin, "/access.csv?days=0").await;
        let lines: Vec<String> = portal.entries().await.iter().rev().map(line).collect();
        for wanted in [
            "report admin@alpha.test admin alpha.test",
            "report-xml admin@alpha.test admin alpha.test",
            "run-now admin@alpha.test admin ",
            "reply-explained admin@alpha.test admin ",
            "access-log admin@alpha.test admin ",
            "access-export admin@alpha.test admin ",
        ] {
            assert!(lines.iter().any(|line| line == wanted), "{wanted}: {lines:?}");
        }
        assert_eq!(lines.iter().filter(|line| line.starts_with("run-now")).count(), 2, "{lines:?}");
    }
}

#[tokio::test]
async fn admins_narrow_the_log_page_by_page_and_save_it() {
    for (portal, story) in portals().await {
        let mut admin = portal.signed_in("admin@alpha.test").await;
        body(&mut admin, &story).await;
        portal.browser().get("/callback?code=x&state=y").await;
        for number in 0..60 {
            body(&mut admin, &format!("/mails?q=word{number}")).await;
        }
        portal.entries().await;
        let first = body(&mut admin, "/access").await;
        assert!(first.contains("One person looked at one story in 7 days; nothing unusual."), "{first}");
        let rows = |page: &str| page.matches("<time datetime").count();
        assert_eq!(rows(&first), 50);
        let older = first.split("/access?after=").nth(1).unwrap().split('"').next().unwrap();
        let second = body(&mut admin, &format!("/access?after={older}")).await;
        // 60 searches, the story, two sign-ins.
        assert_eq!(rows(&second), 13, "{second}");
        for (query, count) in [
            ("kind=story", 1),
            ("kind=sign-in-refused", 1),
            ("owner=carla@beta.test", 1),
            ("owner=beta.test", 1),
            ("owner=beta.test&person=ann@alpha.test", 0),
            ("person=admin@alpha.test&kind=sign-in", 1),
            ("person=nobody@alpha.test", 0),
        ] {
            let page = body(&mut admin, &format!("/access?{query}")).await;
            assert_eq!(rows(&page), count, "{query}: {page}");
        }
        let file = body(&mut admin, "/access.csv?kind=story").await;
        let lines: Vec<&str> = file.lines().collect();
        assert_eq!(lines.len(), 2, "{file}");
        assert!(lines[1].contains(
            ",admin@alpha.test,admin,story,alpha.test ann@alpha.test beta.test carla@beta.test,127.0.0.1,"
        ));
        assert!(body(&mut admin, "/access.csv").await.lines().count() > 60);
    }
}

#[tokio::test]
async fn the_page_of_roles_says_who_has_which_from_where() {
    for (portal, _) in portals().await {
        let mut admin = portal.signed_in("admin@alpha.test").await;
        let page = body(&mut admin, "/roles").await;
        let row = |address: &str| {
            let rest = page.split(&format!("role=\"rowheader\">{address}")).nth(1).unwrap_or_default();
            rest.split("</tr>").next().unwrap_or_default().to_owned()
        };
        assert!(row("admin@alpha.test").contains("Setting ADMIN"), "{page}");
        assert!(
            row("bob@alpha.test").contains("Mailcow&#39;s domain admin alphaadmin"),
            "{}",
            row("bob@alpha.test")
        );
        let postmaster = row("postmaster@alpha.test");
        assert!(
            postmaster.contains("DOMAIN_ADMIN_PREFIX") && postmaster.contains("alpha.test"),
            "{postmaster}"
        );
        assert!(
            postmaster.contains("None that is kept")
                && !row("admin@alpha.test").contains("None that is kept")
        );
        assert!(row("carla@beta.test").is_empty());
        assert!(page.contains("One admin sees everything."), "{page}");
    }
}

#[tokio::test]
async fn the_mail_flow_with_its_busiest_people_is_a_look_too() {
    let portal = Portal::start(Wishes::default()).await;
    let mut postmaster = portal.signed_in("postmaster@alpha.test").await;
    body(&mut postmaster, "/flow?domain=alpha.test").await;
    assert_eq!(postmaster.get("/flow?domain=beta.test").await.status, 404);
    let flow: Vec<String> =
        portal.entries().await.iter().filter(|it| it.action == "mail-flow").map(line).collect();
    assert_eq!(flow, ["mail-flow postmaster@alpha.test domain-admin alpha.test"]);
}

#[tokio::test]
async fn admins_see_which_mailbox_of_reports_cannot_be_read() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let mut admin = portal.signed_in("admin@alpha.test").await;
        assert!(!body(&mut admin, "/ingestion").await.contains("Mailboxes of reports"));
        let mut account = Account::new("dmarc@alpha.test at mail.alpha.test", "INBOX");
        account.fail(portal.now(), "the certificate has expired");
        let mut tx = portal.state.db.begin().await.unwrap();
        mailbox_cursor::save(&mut tx, &account).await.unwrap();
        tx.commit().await.unwrap();
        let page = body(&mut admin, "/ingestion").await;
        for told in ["dmarc@alpha.test at mail.alpha.test", "the certificate has expired", "Silent"] {
            assert!(page.contains(told), "{told}: {page}");
        }
    }
}
