//! Lists are remembered for as long as nothing of them changes, by each scope for itself, and no longer.

use std::{sync::Arc, time::Duration};

use mailcow_status::{
    ingest::{
        correlate::{Batch, Novelty, take},
        sessions::Sessions,
    },
    model::{
        event::LogLine,
        filter::{Filter, Place},
        mail::{MailId, ServerId},
        open::{Reader, TrackerKey, marks_of},
        scope::Scope,
        time::Millis,
    },
    store::{
        Db, backup,
        db::sql,
        ingestion::{self, Gap, Source},
        lists::Lists,
        mails, opens,
    },
};

use super::{
    opens::write_mail,
    support::{
        db::{fresh_databases, sqlite},
        portal::{Portal, Surfer, TRACKER_KEY, Wishes},
        rig::open,
    },
};

const AT: Millis = Millis(1_790_000_000_000);

/// What a page shows: rows, their first opens, the mails of the hours, sources and gaps.
async fn seen(db: &Db, scope: &Arc<Scope>) -> (usize, usize, i64, usize, usize) {
    let key = TrackerKey::new(TRACKER_KEY.to_owned().into()).unwrap();
    let lists = Lists::now(db, scope).await.unwrap();
    let filter = Filter::default();
    let both = lists.page_with_opens(&filter, Place::Newest, 50, Some(&key)).await.unwrap();
    let rows = lists.page(&filter, Place::Newest, 50).await.unwrap().mails.len();
    assert_eq!(both.0.mails.len(), rows);
    let hours =
        lists.hours(AT.minus(Duration::from_secs(86_400)), AT.plus(Duration::from_secs(86_400))).await;
    let count = hours.unwrap().iter().map(|hour| hour.sent + hour.received + hour.problems).sum();
    let gaps = lists.gaps(Millis(0), Millis(i64::MAX)).await.unwrap().len();
    (rows, both.1.len(), count, lists.sources().await.unwrap().len(), gaps)
}

#[tokio::test]
async fn what_changes_is_seen_at_once_and_what_does_not_is_remembered() {
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        // Another process with the same database, with a memory of its own.
        let other = open(&fresh).await;
        let all = Arc::new(Scope::All);
        let ann = Arc::new(Scope::mailbox("ann@alpha.test", Millis(0)));
        let dora = Arc::new(Scope::mailbox("dora@alpha.test", Millis(0)));
        assert_eq!(seen(&db, &all).await, (0, 0, 0, 0, 0), "{}", fresh.url);
        write_mail(&other, AT, "4cQm1L2Xz9k", "offer@alpha.test").await;
        assert_eq!(seen(&db, &all).await, (1, 0, 1, 0, 0));
        assert_eq!(seen(&db, &ann).await, (1, 0, 1, 0, 0));
        assert_eq!(seen(&db, &dora).await, (0, 0, 0, 0, 0), "each scope has its own");
        write_mail(&db, AT, "4cQm1L2XzCk", "offer2@alpha.test").await;
        assert_eq!(seen(&other, &ann).await, (2, 0, 2, 0, 0));
        assert_eq!(seen(&db, &ann).await, (2, 0, 2, 0, 0));

        // Opens.
        let key = TrackerKey::new(TRACKER_KEY.to_owned().into()).unwrap();
        let page = mails::search(&db, &all, &Filter::default(), Place::Newest, 1).await.unwrap();
        let row = opens::Row {
            token: marks_of(Some(&key), &page.mails[0])[0],
            reader: 1,
            slot: AT,
            at: AT.plus(Duration::from_secs(60)),
            loads: 1,
            class: Reader::Person,
            verified: true,
        };
        let mut tx = other.begin().await.unwrap();
        opens::add(&mut tx, &[row]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(seen(&db, &all).await, (2, 1, 2, 0, 0));
        let mut tx = db.begin().await.unwrap();
        opens::prune(&mut tx, AT.plus(Duration::from_secs(3600))).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(seen(&db, &all).await, (2, 0, 2, 0, 0));
        let mut tx = db.begin().await.unwrap();
        opens::add_missing(&mut tx, &[row]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(seen(&db, &all).await, (2, 1, 2, 0, 0));

        // How far the logs were read.
        let mut tx = db.begin().await.unwrap();
        ingestion::save_source(&mut tx, &Source::new(ServerId(1), "postfix")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(seen(&db, &all).await, (2, 1, 2, 1, 0));
        let gap = Gap {
            id: 0,
            server: ServerId(1),
            source: "postfix".to_owned(),
            from_at: AT,
            to_at: AT,
            at_least: 1,
            cause: "overrun".to_owned(),
        };
        let mut tx = db.begin().await.unwrap();
        ingestion::add_gap(&mut tx, &gap).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(seen(&db, &all).await, (2, 1, 2, 1, 1));
        let mut tx = db.begin().await.unwrap();
        ingestion::prune(&mut tx, AT.plus(Duration::from_secs(1))).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(seen(&db, &all).await, (2, 1, 2, 1, 0));

        // What nobody told of is not looked at again: this is what makes it fast.
        let mut tx = db.begin().await.unwrap();
        tx.execute(sql("DELETE FROM log_source")).await.unwrap();
        tx.execute(sql("DELETE FROM opened")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(seen(&db, &all).await, (2, 1, 2, 1, 0));
        // A transaction that leaves no trace changes nothing either, and a prune changes all.
        let mut tx = db.begin().await.unwrap();
        mails::prune(&mut tx, AT.plus(Duration::from_secs(3600))).await.unwrap();
        drop(tx);
        assert_eq!(seen(&db, &all).await, (2, 1, 2, 1, 0));
        let mut tx = db.begin().await.unwrap();
        mails::prune(&mut tx, AT.plus(Duration::from_secs(3600))).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(seen(&db, &all).await, (0, 0, 0, 0, 0));
        assert_eq!(seen(&db, &ann).await, (0, 0, 0, 0, 0));

        // A restore puts other mails in the place of these.
        write_mail(&db, AT, "4cQm1L2XzBk", "offer3@alpha.test").await;
        assert_eq!(seen(&db, &all).await, (1, 0, 1, 0, 0));
        let mut tx = other.begin().await.unwrap();
        backup::clear(&mut tx, &backup::tables().await.unwrap()).await.unwrap();
        backup::complete(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(seen(&db, &all).await, (0, 0, 0, 0, 0));
    }
}

#[tokio::test]
async fn what_is_searched_for_and_what_lies_further_back_is_looked_up_each_time() {
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        let all = Arc::new(Scope::All);
        write_mail(&db, AT, "4cQm1L2Xz9k", "offer@alpha.test").await;
        let lists = Lists::now(&db, &all).await.unwrap();
        let searched = Filter { q: Some("offer".to_owned()), ..Filter::default() };
        let newest =
            mails::search(&db, &all, &Filter::default(), Place::Newest, 1).await.unwrap().mails[0].id;
        let before = Place::Before(MailId(newest.0 + 1));
        for (filter, place, kept) in [
            (&Filter::default(), Place::Newest, 1),
            (&Filter::default(), before, 0),
            (&searched, Place::Newest, 0),
        ] {
            assert_eq!(lists.page(filter, place, 50).await.unwrap().mails.len(), 1, "{filter:?}");
            assert_eq!(lists.page_with_opens(filter, place, 50, None).await.unwrap().0.mails.len(), 1);
            let mut tx = db.begin().await.unwrap();
            tx.execute(sql("UPDATE mail_story SET id = id + 100000000000000000")).await.unwrap();
            tx.execute(sql("DELETE FROM mail_key_new")).await.unwrap();
            tx.commit().await.unwrap();
            let found = lists.page(filter, place, 50).await.unwrap();
            let same = found.mails.iter().filter(|mail| mail.id == newest).count();
            assert_eq!(same, kept, "{filter:?} {place:?}");
            let mut tx = db.begin().await.unwrap();
            tx.execute(sql("UPDATE mail_story SET id = id - 100000000000000000")).await.unwrap();
            tx.commit().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_page_of_large_mailings_is_not_remembered() {
    for (recipients, kept) in [(100, 1), (2500, 0)] {
        let fresh = sqlite();
        let db = open(&fresh).await;
        let queue_id = "4cQm1L2Xz9k";
        let mut texts =
            vec![format!("{queue_id}: from=<ann@alpha.test>, size=1000, nrcpt={recipients} (queue active)")];
        texts.extend((0..recipients).map(|number| {
            format!(
                "{queue_id}: to=<r{number}@gamma.example>, relay=mx.gamma.example[203.0.113.5]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)"
            )
        }));
        let lines: Vec<LogLine<'_>> =
            texts.iter().map(|text| LogLine { at: AT, program: "postfix/smtp", text }).collect();
        let batch = Batch {
            server: ServerId(1),
            lines: &lines,
            scans: Vec::new().into(),
            quarantined: &[],
            novelty: Novelty::New,
        };
        let mut tx = db.begin().await.unwrap();
        take(&mut tx, &batch, &mut Sessions::default()).await.unwrap();
        tx.commit().await.unwrap();
        let lists = Lists::now(&db, &Arc::new(Scope::All)).await.unwrap();
        let filter = Filter::default();
        assert_eq!(lists.page(&filter, Place::Newest, 50).await.unwrap().mails.len(), 1);
        assert_eq!(lists.page_with_opens(&filter, Place::Newest, 50, None).await.unwrap().0.mails.len(), 1);
        let mut tx = db.begin().await.unwrap();
        tx.execute(sql("DELETE FROM mail_story")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(lists.page(&filter, Place::Newest, 50).await.unwrap().mails.len(), kept);
        let again = lists.page_with_opens(&filter, Place::Newest, 50, None).await.unwrap();
        assert_eq!(again.0.mails.len(), kept, "{recipients}");
    }
}

/// The rows of the list as a visitor reads them.
async fn rows(browser: &mut Surfer) -> String {
    let page = browser.get("/mails").await;
    assert_eq!(page.status, 200, "{}", page.body);
    page.body.split("<tbody").skip(1).collect()
}

#[tokio::test]
async fn rows_are_remembered_for_one_visitor_language_zone_and_day() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let at = portal.now().minus(Duration::from_secs(600));
        write_mail(&portal.state.db, at, "4cQm1L2Xz9k", "offer@alpha.test").await;
        let mut admin = portal.signed_in("admin@alpha.test").await;
        let english = rows(&mut admin).await;
        assert!(english.contains("Bounced") && english.contains("Today, "), "{english}");
        assert_eq!(rows(&mut admin).await, english);
        // Language and zone.
        admin.plant("lang", "de");
        let german = rows(&mut admin).await;
        assert!(german.contains("Heute, ") && !german.contains("Bounced"), "{german}");
        admin.plant("lang", "en");
        admin.plant("zone", "Asia/Kathmandu");
        assert!(rows(&mut admin).await.contains("+05:45\""));
        admin.plant("zone", "America/St_Johns");
        assert!(!rows(&mut admin).await.contains("+05:45\""));
        // Who looks: the recipient sees neither the other one nor what became of the mail there.
        let mut carla = portal.signed_in("carla@beta.test").await;
        let hers = rows(&mut carla).await;
        assert!(hers.contains("Delivered") && !hers.contains("Bounced"), "{hers}");
        // What an admin says of an answer counts at once.
        let words = [
            ("id", "own"),
            ("phrase", "550 5.1.1 unknown"),
            ("who_acts", "sender"),
            ("text_en", "Nobody of that name lives there"),
            ("text_de", "a"),
            ("next_en", "a"),
            ("next_de", "a"),
        ];
        let before = rows(&mut admin).await;
        assert_eq!(admin.post("/replies", &words).await.status, 303);
        let after = rows(&mut admin).await;
        assert_ne!(after, before);
        // The day goes by, and no mail comes.
        portal.advance(86_400);
        let mut admin = portal.signed_in("admin@alpha.test").await;
        let next = rows(&mut admin).await;
        assert!(next.contains("Yesterday, ") && !next.contains("Today, "), "{next}");
    }
}
