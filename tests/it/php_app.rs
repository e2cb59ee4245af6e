//! Taking over what the PHP app kept, from a real MariaDB with its tables: complete, once, and without touching them.

use std::{collections::BTreeSet, sync::Mutex};

use mailcow_status::{
    app::SERVER,
    ingest::{
        correlate::{Batch, Novelty, take},
        php_app::{Import, Report},
        sessions::Sessions,
    },
    model::{
        event::LogLine,
        filter::{Filter, Place},
        mail::{Status, StepKind, VisibleMail},
        scope::Scope,
        time::Millis,
    },
    store::{Db, db::sql, mails, opens, php_app, scans},
};

use super::support::{
    db::{FreshDb, fresh_databases, mysql},
    portal::place,
    rig::open,
};

const TABLES: [&str; 2] = [
    "CREATE TABLE mail (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, queue_id VARCHAR(20) NOT NULL, \
     message_id VARCHAR(255) NULL, recipient TEXT NOT NULL, sender VARCHAR(255) NULL, timestamp DATETIME NOT NULL, \
     status TINYINT UNSIGNED NULL, subject VARCHAR(255) NULL, ip VARCHAR(40) NULL, size INT UNSIGNED NULL, \
     UNIQUE (queue_id, message_id)) CHARACTER SET utf8mb4",
    "CREATE TABLE mail_history (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, mail_id BIGINT UNSIGNED NOT NULL, \
     timestamp DATETIME NOT NULL, status TINYINT UNSIGNED NOT NULL, description TEXT, \
     UNIQUE (mail_id, timestamp, status), FOREIGN KEY (mail_id) REFERENCES mail (id) ON DELETE CASCADE) \
     CHARACTER SET utf8mb4",
];

/// The app's database with a few mails of each kind, and many plain ones.
async fn app() -> Option<(FreshDb, Db)> {
    let fresh = mysql().await?;
    let db = Db::connect(&place(&fresh.url)).await.unwrap();
    for table in TABLES {
        write(&db, table).await;
    }
    for row in [
        "(1, 'A00000000001', 'm1@alpha.test', 'bob@other.example', 'ann@alpha.test', '2026-11-20 10:00:00', 3, 'Offer', \
          '192.0.2.7', 4321)",
        "(2, 'A00000000002', 'm2@other.example', 'ann@alpha.test, ben@alpha.test', 'eve@other.example', \
          '2026-11-20 11:00:00', 0, NULL, NULL, NULL)",
        "(3, 'A00000000003', 'm3@other.example', 'ann@alpha.test', 'spam@other.example', '2026-11-20 12:00:00', 6, \
          'Grüße', '203.0.113.9', 99)",
        "(4, '', 'm4@other.example', 'ann@alpha.test', 'spam@other.example', '2026-11-20 13:00:00', 5, 'No', \
          '203.0.113.9', NULL)",
        "(5, 'A00000000005', NULL, 'ann@alpha.test', '', '2026-11-20 14:00:00', NULL, NULL, NULL, NULL)",
    ] {
        write(&db, &format!("INSERT INTO mail VALUES {row}")).await;
    }
    for row in [
        "(1, '2026-11-20 10:00:05', 1, 'A00000000001: to=<bob@other.example>, relay=none, delay=5, delays=1/1/1/2, \
          dsn=4.4.1, status=deferred (connect to other.example: Connection timed out)')",
        "(1, '2026-11-20 10:10:00', 0, 'A00000000001: to=<bob@other.example>, relay=mx.other.example[203.0.113.9]:25, \
          delay=600, delays=1/1/1/2, dsn=2.0.0, status=sent (250 2.0.0 Ok)')",
        "(1, '2026-11-20 10:20:00', 3, 'aaaa')",
        "(1, '2026-11-20 12:20:00', 3, 'bbbb')",
        "(3, '2026-11-18 12:00:01', 6, 'Spam Score 9.5 : <pre><code class=\"json\">{\"BAYES_SPAM\":{\"score\":5.1}}</code></pre>')",
        "(3, '2026-11-20 12:00:02', 0, 'A00000000003: to=<ann@alpha.test>, relay=dovecot[172.22.1.250]:24, delay=1, \
          delays=1/0/0/0, dsn=2.0.0, status=sent (250 2.0.0 Saved)')",
    ] {
        write(
            &db,
            &format!("INSERT INTO mail_history (mail_id, timestamp, status, description) VALUES {row}"),
        )
        .await;
    }
    let many: Vec<String> = (100..900)
        .map(|id| format!("({id}, 'B{id:011}', 'n{id}@alpha.test', 'x@other.example', 'ann@alpha.test', '2026-11-19 10:00:00', 2)"))
        .collect();
    let head = "INSERT INTO mail (id, queue_id, message_id, recipient, sender, timestamp, status) VALUES ";
    write(&db, &format!("{head}{}", many.join(","))).await;
    Some((fresh, db))
}

async fn write(db: &Db, text: &str) {
    let mut tx = db.begin().await.unwrap();
    tx.execute(sql(text.to_owned())).await.unwrap();
    tx.commit().await.unwrap();
}

async fn untouched(app: &Db) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for table in ["mail", "mail_history"] {
        let text = format!(
            "SELECT '{table}', CONCAT(COUNT(*), ' ', SUM(CRC32(CONCAT_WS('|', id, timestamp, status)))) FROM {table}"
        );
        all.extend(app.fetch::<(String, String)>(sql(text)).await.unwrap());
    }
    all
}

async fn import(app: &Db, to: &Db, keep: i64) -> Report {
    let hosted = BTreeSet::from(["alpha.test".to_owned()]);
    let shares = Mutex::new(Vec::new());
    let import = Import { from: app, to, server: SERVER, keep: Millis(keep), hosted };
    let report = import.run(&|share, _| shares.lock().unwrap().push(share)).await.unwrap();
    let shares = shares.into_inner().unwrap();
    assert!(shares.len() > 2 && shares.is_sorted() && shares.last() == Some(&1.0), "progress: {shares:?}");
    report
}

async fn find(db: &Db, filter: Filter) -> Vec<VisibleMail> {
    mails::search(db, &Scope::All, &filter, Place::Newest, 2000).await.unwrap().mails
}

async fn by_message(db: &Db, id: &str) -> VisibleMail {
    let mut found = find(db, Filter { message_id: Some(id.to_owned()), ..Filter::default() }).await;
    assert_eq!(found.len(), 1, "{id}");
    found.remove(0)
}

#[tokio::test]
async fn everything_comes_over_once_and_the_tables_stay_as_they_are() {
    let Some((app_fresh, app)) = app().await else { return };
    assert!(php_app::is_there(&app).await.unwrap());
    let before = untouched(&app).await;
    let mut targets = fresh_databases().await;
    // Also beside the app's own tables, in its database.
    targets.push(app_fresh);
    for target in targets {
        let db = open(&target).await;
        let report = import(&app, &db, 0).await;
        assert_eq!((report.mails, report.new, report.renewed), (805, 805, 0), "{}", db.engine());
        assert_eq!((report.opens, report.unusable, report.too_old), (2, 0, 0));
        assert_eq!(find(&db, Filter::default()).await.len(), 805);
        stories(&db).await;
        let again = import(&app, &db, 0).await;
        assert_eq!((again.new, again.renewed), (0, 0), "a second run, {}", db.engine());
        assert_eq!(find(&db, Filter::default()).await.len(), 805);
        assert_eq!(opens::count(&db).await.unwrap(), 2);
        assert_eq!(untouched(&app).await, before);
    }
}

async fn stories(db: &Db) {
    let sent = by_message(db, "m1@alpha.test").await;
    assert_eq!(sent.status, Status::Sent, "the open does not hide the delivery");
    assert_eq!((sent.recipients[0].attempts, sent.size), (2, Some(4321)));
    assert_eq!(sent.check.as_ref().and_then(|check| check.subject.as_deref()), Some("Offer"));
    let opened = opens::of_mail(db, &Scope::All, None, &sent).await.unwrap();
    assert_eq!(opened.len(), 2);
    assert!(opened.iter().all(|open| !open.verified));
    let unknown = by_message(db, "m2@other.example").await;
    assert_eq!(unknown.status, Status::Unknown, "a status 0 is no proof of a delivery");
    assert_eq!(unknown.recipients.len(), 2);
    let junk = by_message(db, "m3@other.example").await;
    assert_eq!(junk.status, Status::Junk);
    assert_eq!(junk.check.as_ref().map(|check| check.score), Some(950));
    let symbols = scans::symbols(db, &Scope::All, &junk).await.unwrap();
    assert_eq!(
        symbols.iter().map(|symbol| (symbol.name.as_str(), symbol.score)).collect::<Vec<_>>(),
        [("BAYES_SPAM", 510)]
    );
    let refused = by_message(db, "m4@other.example").await;
    assert_eq!((refused.status, refused.queue_id.as_deref()), (Status::Rejected, None));
    let bare = find(db, Filter { queue_id: Some("A00000000005".to_owned()), ..Filter::default() }).await;
    assert_eq!((bare.len(), bare[0].status), (1, Status::Unknown));
    assert!(bare[0].steps.iter().any(|step| step.kind == StepKind::Kept));
}

#[tokio::test]
async fn mails_that_the_log_told_of_are_not_doubled() {
    let Some((_fresh, app)) = app().await else { return };
    for target in fresh_databases().await {
        let db = open(&target).await;
        let at = Millis::from_secs(1_795_168_800);
        let line = |text| LogLine { at, program: "postfix/cleanup", text };
        let lines = [
            line("A00000000001: message-id=<m1@alpha.test>"),
            line("A00000000002: message-id=<another@x.test>"),
        ];
        let batch = Batch {
            server: SERVER,
            lines: &lines,
            scans: Vec::new().into(),
            quarantined: &[],
            novelty: Novelty::New,
        };
        let mut tx = db.begin().await.unwrap();
        take(&mut tx, &batch, &mut Sessions::default()).await.unwrap();
        tx.commit().await.unwrap();
        let before = by_message(&db, "m1@alpha.test").await;
        let report = import(&app, &db, 0).await;
        assert_eq!(report.new, 804, "the second one has the queue id only");
        assert_eq!(by_message(&db, "m1@alpha.test").await, before);
        by_message(&db, "m2@other.example").await;
        by_message(&db, "another@x.test").await;
    }
}

#[tokio::test]
async fn what_the_app_adds_later_is_taken_at_the_next_run() {
    let Some((_fresh, app)) = app().await else { return };
    for target in fresh_databases().await {
        let db = open(&target).await;
        import(&app, &db, 0).await;
        write(&app, "UPDATE mail SET status = 0 WHERE id = 100").await;
        write(
            &app,
            "REPLACE INTO mail_history (id, mail_id, timestamp, status, description) VALUES (500, 100, '2026-11-19 10:05:00', 0, \
             'B00000000100: to=<x@other.example>, relay=mx.other.example[203.0.113.9]:25, delay=1, delays=1/0/0/0, \
             dsn=2.0.0, status=sent (250 ok)')",
        )
        .await;
        let report = import(&app, &db, 0).await;
        assert_eq!((report.new, report.renewed), (0, 1));
        assert_eq!(by_message(&db, "n100@alpha.test").await.status, Status::Sent);
        write(&app, "UPDATE mail SET status = 2 WHERE id = 100").await;
        write(&app, "DELETE FROM mail_history WHERE id = 500").await;
    }
}

#[tokio::test]
async fn what_is_past_its_retention_stays_behind() {
    let Some((_fresh, app)) = app().await else { return };
    let target = super::support::db::sqlite();
    let db = open(&target).await;
    let report = import(&app, &db, Millis::from_secs(1_795_150_000).0).await;
    assert_eq!((report.too_old, report.new), (800, 5));
}

#[tokio::test]
async fn addresses_of_the_app_lead_on() {
    use super::support::portal::{Portal, Wishes};
    let portal = Portal::start(Wishes::default()).await;
    let mut admin = portal.signed_in("admin@alpha.test").await;
    for (old, parts) in [
        ("/?task=monitor", &["/status/mails"][..]),
        (
            "/?task=monitor&timestamp=2026-11-20&queue_id=A1&message_id=m%40x&sender=a%40b.test&recipient=c%40d.test\
             &status=2&subject=Hi&ip=192.0.2.1&attachment=1&page=3",
            &[
                "/status/mails?",
                "from=2026-11-20",
                "to=2026-11-20",
                "queue_id=A1",
                "message_id=m%40x",
                "sender=a%40b.test",
                "rcpt=c%40d.test",
                "status=bounced",
                "subject=Hi",
                "ip=192.0.2.1",
            ],
        ),
        ("/?task=monitor&status=0", &["status=sent", "from=any"]),
        ("/?task=monitor&status=3", &["/status/mails?opened=1"]),
        ("/?task=monitor&ip=192.0.2", &["q=192.0.2&"]),
        ("/?task=monitor&queue_id=A1&status=", &["queue_id=A1&from=any"]),
        ("/?task=monitor&timestamp=2026-11-20", &["?from=2026-11-20&to=2026-11-20"]),
        ("/?task=dmarc", &["/status/dmarc/reports"]),
        ("/?task=ajax&action=dmarc-report&report_id=7", &["/status/dmarc/reports/7"]),
        ("/?task=ajax&action=mail-history&mail_id=7", &["/status/"]),
        ("/?task=download&action=dmarc-xml&report_id=7", &["/status/dmarc/reports/7/xml"]),
        ("/?task=logout", &["/status/"]),
        ("/?task=nothing", &["/status/"]),
    ] {
        let answer = admin.get(old).await;
        assert_eq!(answer.status, 303, "{old}");
        for part in parts {
            assert!(answer.location.contains(part), "{old}: {} has no {part}", answer.location);
        }
        let target = admin.get(&answer.location).await.status;
        assert!(matches!(target, 200 | 404), "{old} leads to {target}");
    }
    assert_eq!(admin.get("/mails").await.status, 200, "a link signs nobody out");
    // Whoever is not signed in comes back to the wish.
    let stranger = portal.browser().get("/?task=monitor&status=1").await;
    assert!(stranger.location.contains("task%3Dmonitor"), "{}", stranger.location);
    // What has no like is not left out in silence.
    for (old, said) in [("status=99", "99"), ("ip=office", "office"), ("timestamp=yesterday", "yesterday")] {
        let page = admin.get(&format!("/?task=monitor&{old}")).await;
        assert_eq!(page.status, 303);
        let list = admin.get(&page.location).await.body;
        assert!(list.contains(&format!(": {said}. ")), "{old}: {list}");
    }
    assert_eq!(
        portal.browser().get("/callback.php").await.status,
        portal.browser().get("/callback").await.status
    );
}
