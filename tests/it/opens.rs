//! Open tracking from the image to the story: what is counted, who sees it, and what nobody can tell from outside.

use std::{collections::BTreeMap, time::Duration};

use mailcow_status::{
    ingest::{
        correlate::{Batch, Novelty, take},
        sessions::Sessions,
    },
    model::{
        event::LogLine,
        filter::{Filter, Place},
        mail::{MailId, ServerId, Status, VisibleMail},
        open::{Reader, TrackerKey, marks_of},
        scope::Scope,
        time::Millis,
    },
    store::{Db, db::sql, mails, opens},
};

use reqwest::Method;

use super::support::portal::{Answer, Portal, TRACKER_KEY, Wishes};

const QUEUE_ID: &str = "4cQm1L2Xz9k";
const MESSAGE_ID: &str = "offer@alpha.test";
const THUNDERBIRD: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.0";

fn key() -> TrackerKey {
    TrackerKey::new(TRACKER_KEY.to_owned().into()).unwrap()
}

fn token(portal: &Portal) -> String {
    let sent = portal.now().minus(Duration::from_secs(600));
    key().token(QUEUE_ID, MESSAGE_ID, sent, "198.51.100.7".parse().unwrap())
}

/// A mail from Ann to Carla and to somebody outside, who refused it.
pub async fn write_mail(db: &Db, at: Millis, queue_id: &str, message_id: &str) {
    let texts = [
        (
            "postfix/submission/smtpd",
            format!("{queue_id}: client=pc[198.51.100.7], sasl_method=PLAIN, sasl_username=ann@alpha.test"),
        ),
        ("postfix/cleanup", format!("{queue_id}: message-id=<{message_id}>")),
        ("postfix/qmgr", format!("{queue_id}: from=<ann@alpha.test>, size=1000, nrcpt=2 (queue active)")),
        (
            "postfix/smtp",
            format!(
                "{queue_id}: to=<gone@gamma.example>, relay=mx.gamma.example[203.0.113.5]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.gamma.example[203.0.113.5] said: 550 5.1.1 unknown (in reply to RCPT TO command))"
            ),
        ),
        (
            "postfix/lmtp",
            format!(
                "{queue_id}: to=<carla@beta.test>, relay=dovecot[172.22.1.250]:24, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 <carla@beta.test> Saved)"
            ),
        ),
        ("postfix/qmgr", format!("{queue_id}: removed")),
    ];
    let lines: Vec<LogLine<'_>> = texts.iter().map(|(program, text)| LogLine { at, program, text }).collect();
    let mut tx = db.begin().await.unwrap();
    let batch = Batch {
        server: ServerId(1),
        lines: &lines,
        scans: Vec::new().into(),
        quarantined: &[],
        novelty: Novelty::New,
    };
    take(&mut tx, &batch, &mut Sessions::default()).await.unwrap();
    tx.commit().await.unwrap();
}

async fn written(wishes: Wishes) -> Vec<(Portal, VisibleMail)> {
    let mut all = Vec::new();
    for portal in Portal::on_each_engine(wishes).await {
        write_mail(&portal.state.db, portal.now().minus(Duration::from_secs(600)), QUEUE_ID, MESSAGE_ID)
            .await;
        let mail = the_mail(&portal.state.db, &Scope::All).await;
        all.push((portal, mail));
    }
    all
}

async fn the_mail(db: &Db, scope: &Scope) -> VisibleMail {
    let filter = Filter { queue_id: Some(QUEUE_ID.to_owned()), ..Filter::default() };
    mails::search(db, scope, &filter, Place::Newest, 1).await.unwrap().mails.remove(0)
}

async fn load(portal: &Portal, path: &str, agent: &str) -> Answer {
    let mut reader = portal.browser();
    reader.headers.push(("user-agent".to_owned(), agent.to_owned()));
    reader.get(path).await
}

async fn flush(portal: &Portal) {
    portal.state.opens.flush(&portal.state.db, portal.now()).await.unwrap();
}

async fn seen(portal: &Portal, mail: &VisibleMail) -> Vec<(Reader, i64, bool)> {
    let opens = opens::of_mail(&portal.state.db, &Scope::All, Some(&key()), mail).await.unwrap();
    opens.into_iter().map(|open| (open.reader, open.loads, open.verified)).collect()
}

#[tokio::test]
async fn every_token_gets_the_same_answer() {
    for (portal, _) in written(Wishes::default()).await {
        let good = format!("/track/{}.gif", token(&portal));
        let old: String =
            format!("{QUEUE_ID}|{MESSAGE_ID}").bytes().map(|byte| format!("{byte:02X}")).collect();
        let mut answers = BTreeMap::new();
        for path in [
            &good,
            &good.replace(".gif", ""),
            "/track/0.gif",
            "/track/%FF%00.gif",
            "/track/..%2F..%2Fetc.gif",
            &format!("/track/{}.gif", "a".repeat(5000)),
            &format!("/track.php?msg={old}"),
            "/track.php?msg=zz",
            "/track.php",
            "/track.php?msg=%FF&msg=41",
        ] {
            let answer = load(&portal, path, THUNDERBIRD).await;
            let mut headers: Vec<_> = answer
                .headers
                .iter()
                .filter(|(name, _)| *name != "date")
                .map(|pair| format!("{pair:?}"))
                .collect();
            headers.sort();
            assert!(answer.body.starts_with("GIF89a"), "{path}");
            assert!(answer.cookies.is_empty(), "{path}");
            answers
                .entry((answer.status, headers, answer.body))
                .or_insert_with(Vec::new)
                .push(path.to_owned());
        }
        assert_eq!(answers.len(), 1, "{answers:#?}");
        let (status, headers, _) = answers.keys().next().unwrap();
        assert_eq!(*status, 200);
        for header in [
            r#"("cache-control", "no-store")"#,
            r#"("content-type", "image/gif")"#,
            r#"("content-length", "43")"#,
            r#"("cross-origin-resource-policy", "cross-origin")"#,
        ] {
            assert!(headers.iter().any(|line| line == header), "{header} in {headers:#?}");
        }
    }
}

#[tokio::test]
async fn opens_are_counted_once_and_change_nothing_else() {
    for (portal, before) in written(Wishes::default()).await {
        let path = format!("/track/{}.gif", token(&portal));
        for _ in 0..3 {
            load(&portal, &path, THUNDERBIRD).await;
        }
        load(&portal, &path, "Mozilla/5.0").await;
        load(&portal, &path, "curl/8").await;
        flush(&portal).await;
        load(&portal, &path, THUNDERBIRD).await;
        flush(&portal).await;
        let mut found = seen(&portal, &before).await;
        found.sort();
        let expected = [(Reader::Person, 4, true), (Reader::Relay, 1, true), (Reader::Scanner, 1, true)];
        assert_eq!(found, expected, "{}", portal.state.db.engine());
        portal.advance(3700);
        load(&portal, &path, THUNDERBIRD).await;
        flush(&portal).await;
        assert_eq!(seen(&portal, &before).await.len(), 4, "a window later");
        let after = the_mail(&portal.state.db, &Scope::All).await;
        assert_eq!(after, before, "the mail itself");
        assert_eq!(after.status, Status::Bounced);
        let sources: Vec<(i64,)> =
            portal.state.db.fetch(sql("SELECT COUNT(*) FROM log_source")).await.unwrap();
        assert_eq!(sources, [(0,)], "no mark of the ingestion");
    }
}

#[tokio::test]
async fn an_open_before_the_log_is_found_later() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        load(&portal, &format!("/track/{}.gif", token(&portal)), THUNDERBIRD).await;
        flush(&portal).await;
        portal.advance(120);
        write_mail(&portal.state.db, portal.now().minus(Duration::from_secs(600)), QUEUE_ID, MESSAGE_ID)
            .await;
        let mail = the_mail(&portal.state.db, &Scope::All).await;
        assert_eq!(seen(&portal, &mail).await, [(Reader::Person, 1, true)]);
        // A mail that Postfix gave a message id only after Rspamd had seen it.
        let sent = portal.now().minus(Duration::from_secs(60));
        let bare = key().token("4cQm1L2XzBk", "", sent, "198.51.100.7".parse().unwrap());
        write_mail(&portal.state.db, sent, "4cQm1L2XzBk", "made.later@alpha.test").await;
        load(&portal, &format!("/track/{bare}.gif"), THUNDERBIRD).await;
        flush(&portal).await;
        let stored = opens::count(&portal.state.db).await.unwrap();
        assert_eq!(stored, 2);
    }
}

#[tokio::test]
async fn only_the_senders_side_learns_of_it() {
    for (portal, mail) in written(Wishes::default()).await {
        let path = format!("/mails/{}", mail.id.0);
        let before = portal.signed_in("ann@alpha.test").await.get("/mails?opened=1").await;
        assert!(before.status == 200 && !before.body.contains(&path), "nobody opened it yet");
        load(&portal, &format!("/track/{}.gif", token(&portal)), THUNDERBIRD).await;
        flush(&portal).await;
        for (address, knows) in [
            ("ann@alpha.test", true),
            ("carla@beta.test", false),
            ("postmaster@alpha.test", true),
            ("admin@alpha.test", true),
        ] {
            let mut browser = portal.signed_in(address).await;
            let story = browser.get(&path).await;
            assert_eq!(story.status, 200, "{address}");
            assert_eq!(story.body.contains("Probably opened"), knows, "{address}");
            assert_eq!(story.body.contains("Bounced"), knows, "{address}: the status is as it was");
            let list = browser.get("/mails?opened=1").await;
            assert_eq!(list.body.contains(&path), knows, "{address}: mails that were opened");
            let csv = browser.get("/mails.csv?opened=1").await;
            assert_eq!(csv.body.lines().count() > 1, knows, "{address}: {}", csv.body);
        }
        // A list tells it of mails that arrived; of this one it tells why it did not.
        let first = opens::first_opens(&portal.state.db, &Scope::All, Some(&key()), &[mail]).await.unwrap();
        assert_eq!(first.into_values().collect::<Vec<_>>(), [portal.now()]);
        let scope = Scope::mailbox("carla@beta.test", Millis(0));
        let visible = the_mail(&portal.state.db, &scope).await;
        assert!(opens::of_mail(&portal.state.db, &scope, Some(&key()), &visible).await.unwrap().is_empty());
        let marks = opens::first_opens(&portal.state.db, &scope, Some(&key()), &[visible]).await.unwrap();
        assert!(marks.is_empty());
    }
}

#[tokio::test]
async fn the_senders_own_network_is_told_apart_by_trusted_proxies_only() {
    let wishes = Wishes { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Wishes::default() };
    for (wishes, expected) in [(wishes, Reader::Own), (Wishes::default(), Reader::Person)] {
        for (portal, mail) in written(wishes).await {
            let mut reader = portal.browser();
            reader.headers.push(("user-agent".to_owned(), THUNDERBIRD.to_owned()));
            reader.headers.push(("x-forwarded-for".to_owned(), "198.51.100.7".to_owned()));
            reader.get(&format!("/track/{}.gif", token(&portal))).await;
            flush(&portal).await;
            assert_eq!(seen(&portal, &mail).await, [(expected, 1, true)]);
        }
    }
}

#[tokio::test]
async fn old_links_count_for_mails_that_there_are_and_are_marked() {
    for (portal, mail) in written(Wishes::default()).await {
        let link = |text: &str| text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>();
        for text in [
            format!("{QUEUE_ID}|{MESSAGE_ID}"),
            format!("{QUEUE_ID}|other@alpha.test"),
            "4Nothing|x@y".to_owned(),
        ] {
            load(&portal, &format!("/track.php?msg={}", link(&text)), THUNDERBIRD).await;
        }
        flush(&portal).await;
        assert_eq!(seen(&portal, &mail).await, [(Reader::Person, 1, false)]);
        assert_eq!(opens::count(&portal.state.db).await.unwrap(), 1);
        assert_eq!(portal.state.opens.numbers().strange, 2);
        let story = portal.signed_in("ann@alpha.test").await.get(&format!("/mails/{}", mail.id.0)).await;
        assert!(story.body.contains("which anybody could have made"));
    }
}

#[tokio::test]
async fn old_links_count_without_open_tracking() {
    for (portal, _) in written(Wishes { tracking: false, ..Wishes::default() }).await {
        let link: String =
            format!("{QUEUE_ID}|{MESSAGE_ID}").bytes().map(|byte| format!("{byte:02X}")).collect();
        load(&portal, &format!("/track.php?msg={link}"), THUNDERBIRD).await;
        load(&portal, &format!("/track/{}.gif", token(&portal)), THUNDERBIRD).await;
        flush(&portal).await;
        let mail = the_mail(&portal.state.db, &Scope::All).await;
        let opens = opens::of_mail(&portal.state.db, &Scope::All, None, &mail).await.unwrap();
        let opens: Vec<_> = opens.iter().map(|open| (open.reader, open.verified)).collect();
        assert_eq!(opens, [(Reader::Person, false)]);
    }
}

#[tokio::test]
async fn who_asks_for_the_head_of_an_image_has_not_seen_it() {
    let portal = Portal::start(Wishes::default()).await;
    let old: String = format!("{QUEUE_ID}|{MESSAGE_ID}").bytes().map(|byte| format!("{byte:02X}")).collect();
    for path in [format!("/track/{}.gif", token(&portal)), format!("/track.php?msg={old}")] {
        let mut reader = portal.browser();
        reader.headers.push(("user-agent".to_owned(), THUNDERBIRD.to_owned()));
        let head = reader.send(Method::HEAD, &path, &[]).await;
        assert_eq!((head.status, head.headers["content-type"].to_str().unwrap()), (200, "image/gif"));
        assert_eq!(portal.state.opens.numbers(), Default::default(), "{path}");
        reader.get(&path).await;
        assert_eq!(portal.state.opens.numbers().waiting, 1, "{path}");
        flush(&portal).await;
    }
}

/// As a preview does, and then a person.
#[tokio::test]
async fn a_load_that_comes_too_soon_hides_no_person() {
    for (portal, mail) in written(Wishes::default()).await {
        let link = key().token(QUEUE_ID, MESSAGE_ID, portal.now(), "198.51.100.7".parse().unwrap());
        let path = format!("/track/{link}.gif");
        let first = async |seen: &[(Reader, i64, bool)], person: Option<Millis>| {
            flush(&portal).await;
            assert_eq!(self::seen(&portal, &mail).await, seen);
            let mails = std::slice::from_ref(&mail);
            let firsts =
                opens::first_opens(&portal.state.db, &Scope::All, Some(&key()), mails).await.unwrap();
            assert_eq!(firsts.get(&mail.id).copied(), person);
        };
        load(&portal, &path, THUNDERBIRD).await;
        first(&[(Reader::Scanner, 1, true)], None).await;
        portal.advance(5);
        let person = portal.now();
        load(&portal, &path, THUNDERBIRD).await;
        first(&[(Reader::Person, 2, true)], Some(person)).await;
        portal.advance(5);
        load(&portal, &path, THUNDERBIRD).await;
        first(&[(Reader::Person, 3, true)], Some(person)).await;
    }
}

#[tokio::test]
async fn while_the_database_is_away_images_answer_and_opens_wait() {
    for (portal, mail) in written(Wishes::default()).await {
        let (db, path) = (&portal.state.db, format!("/track/{}.gif", token(&portal)));
        let mut tx = db.begin().await.unwrap();
        tx.execute(sql("ALTER TABLE opened RENAME TO away")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(load(&portal, &path, THUNDERBIRD).await.status, 200);
        assert!(portal.state.opens.flush(db, portal.now()).await.is_err());
        assert_eq!(load(&portal, &path, THUNDERBIRD).await.status, 200);
        assert!(portal.state.opens.flush(db, portal.now()).await.is_err());
        assert_eq!(portal.state.opens.numbers().waiting, 1);
        let mut tx = db.begin().await.unwrap();
        tx.execute(sql("ALTER TABLE away RENAME TO opened")).await.unwrap();
        tx.commit().await.unwrap();
        flush(&portal).await;
        assert_eq!(seen(&portal, &mail).await, [(Reader::Person, 2, true)]);
        assert_eq!(portal.state.opens.numbers().waiting, 0);
    }
}

#[tokio::test]
async fn one_mail_cannot_fill_the_database() {
    for (portal, mail) in written(Wishes::default()).await {
        let path = format!("/track/{}.gif", token(&portal));
        for round in 0..3 {
            for reader in 0..99 {
                load(&portal, &path, &format!("Reader {round} {reader}")).await;
            }
            flush(&portal).await;
        }
        let stored = seen(&portal, &mail).await.len() as i64;
        assert_eq!(stored, opens::MOST_PER_MAIL, "{}", portal.state.db.engine());
    }
}

#[tokio::test]
async fn old_opens_are_pruned() {
    for (portal, mail) in written(Wishes::default()).await {
        load(&portal, &format!("/track/{}.gif", token(&portal)), THUNDERBIRD).await;
        flush(&portal).await;
        for (before, left) in [(portal.now(), 1), (Millis(portal.now().0 + 1), 0)] {
            let mut tx = portal.state.db.begin().await.unwrap();
            assert!(!opens::prune(&mut tx, before).await.unwrap());
            tx.commit().await.unwrap();
            assert_eq!(seen(&portal, &mail).await.len(), left);
        }
    }
}

#[tokio::test]
async fn the_list_of_those_who_opted_in_is_for_rspamd_only() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        for path in [
            "/internal/tracked.map",
            "/internal/tracked.map?key=",
            "/internal/tracked.map?key=x",
            &format!("/internal/tracked.map?key={TRACKER_KEY}"),
        ] {
            let refused = portal.browser().get(path).await;
            assert_eq!(refused.status, 403, "{path}");
            assert!(!refused.body.contains('@'), "{path}");
        }
        assert_eq!(portal.state.opens.numbers().map_read, None);
        let path = format!("/internal/tracked.map?key={}", key().map_key());
        let map = portal.browser().get(&path).await;
        let lines: Vec<&str> = map.body.lines().collect();
        assert_eq!(map.status, 200);
        assert!(lines.contains(&"ann@alpha.test") && !lines.contains(&"bob@alpha.test"), "{lines:?}");
        assert!(lines.contains(&"@alpha.test"), "{lines:?}");
        assert!(portal.state.opens.numbers().map_read.is_some());
    }
    let off = Portal::start(Wishes { tracking: false, ..Wishes::default() }).await;
    let map = off.browser().get(&format!("/internal/tracked.map?key={}", key().map_key())).await;
    assert!(map.status == 200 && !map.body.contains('@'), "{}", map.body);
}

#[tokio::test]
async fn the_page_says_who_is_tracked_to_whom_it_may() {
    let portal = Portal::start(Wishes::default()).await;
    for (address, title, list, numbers) in [
        ("ann@alpha.test", "Mails that you send", true, false),
        ("carla@beta.test", "Your mails are not tracked", false, false),
        ("postmaster@alpha.test", "Your mails are not tracked", true, false),
        ("admin@alpha.test", "Your mails are not tracked", true, true),
    ] {
        let page = portal.signed_in(address).await.get("/mailbox/tracking").await;
        assert!(page.body.contains(title), "{address}");
        assert_eq!(page.body.contains("<li>ann@alpha.test</li>"), list, "{address}");
        assert_eq!(page.body.contains("Rspamd read the list"), numbers, "{address}");
    }
    let off = Portal::start(Wishes { tracking: false, ..Wishes::default() }).await;
    let page = off.signed_in("ann@alpha.test").await.get("/mailbox/tracking").await;
    assert!(page.body.contains("Open tracking is off"), "{}", page.body);
}

/// What a whole log of the program at its loudest tells of a load.
#[tokio::test]
async fn nothing_of_a_load_is_logged() {
    use std::sync::{Arc, Mutex};
    // In a process of its own: places that log remember that the other tests on their threads wanted nothing.
    const ALONE: &str = "MAILCOW_STATUS_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let again = ["--exact", "opens::nothing_of_a_load_is_logged", "--test-threads=1"];
        let program = std::env::current_exe().unwrap();
        let run = std::process::Command::new(program).args(again).env(ALONE, "1").output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
        assert!(String::from_utf8_lossy(&run.stdout).contains("1 passed"), "the test ran");
        return;
    }
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("mailcow_status=trace")
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let wishes = Wishes { trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()], ..Wishes::default() };
    let (portal, _) = written(wishes).await.remove(0);
    let token = token(&portal);
    let mut reader = portal.browser();
    reader.headers.push(("user-agent".to_owned(), "Unmistakable/1.0".to_owned()));
    reader.headers.push(("x-forwarded-for".to_owned(), "203.0.113.99".to_owned()));
    reader.get(&format!("/track/{token}.gif")).await;
    reader.get("/track.php?msg=41424344").await;
    flush(&portal).await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("/track/{token}"), "the log was caught: {text}");
    for trace in [&token[..12], "Unmistakable", "203.0.113.99", "41424344", TRACKER_KEY] {
        assert!(!text.contains(trace), "{trace} in {text}");
    }
}

/// A stored open holds nothing that tells an address, whatever the table's columns are called.
#[tokio::test]
async fn what_is_stored_tells_no_address() {
    for (portal, mail) in written(Wishes::default()).await {
        load(&portal, &format!("/track/{}.gif", token(&portal)), THUNDERBIRD).await;
        flush(&portal).await;
        let rows: Vec<(i64, i64, i64, i64, i64, i64, i64)> = portal
            .state
            .db
            .fetch(sql("SELECT token, reader, slot, at, loads, class, verified FROM opened"))
            .await
            .unwrap();
        let [(token, ..)] = rows[..] else { panic!("{rows:?}") };
        assert!(marks_of(Some(&key()), &mail).contains(&token));
        assert_ne!(MailId(token), mail.id);
        let other = Portal::start(Wishes::default()).await;
        load(&other, &format!("/track/{}.gif", self::token(&portal)), THUNDERBIRD).await;
        flush(&other).await;
        let again: Vec<(i64,)> = other.state.db.fetch(sql("SELECT reader FROM opened")).await.unwrap();
        assert_ne!(again[0].0, rows[0].1, "another process, another key: a mark cannot be worked out again");
    }
}
