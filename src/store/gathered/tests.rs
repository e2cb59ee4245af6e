//! On SQLite, and on MariaDB where there is one.

use std::collections::BTreeMap;

use super::*;
use crate::{
    model::{
        event::{Attempt, Client, Event, Fact},
        filter::{Filter, Place},
        mail::{Mail, ServerId, Status},
        scope::{Holdings, Scope},
        time::Millis,
    },
    store::{
        Story,
        correlation::{self, MailWrite, StoredMail},
        dictionaries::Packer,
        fresh::databases,
        mails,
    },
};

const AT: Millis = Millis(1_790_000_000_000);

async fn rows(db: &Db, table: &str) -> Vec<(i64, MailId, i64)> {
    db.fetch(sql(format!("SELECT k, mail, state FROM {table} ORDER BY k, mail"))).await.unwrap()
}

/// A mail that came in, and was delivered or not yet.
async fn write(db: &Db, at: Millis, queue_id: &str, status: &str, known: Option<&Mail>) -> Mail {
    let client = Client { host: "unknown", ip: "192.0.2.1", login: None, parent: None, tls: None };
    let attempt = Attempt {
        to: "ann@alpha.test",
        orig_to: None,
        relay: "none",
        delay: "1",
        delays: "",
        dsn: "2.0.0",
        status,
        reply: "",
        tls: None,
    };
    let facts = [
        Fact::Client(client),
        Fact::Queued { sender: "bob@beta.test", size: 1, nrcpt: 1 },
        Fact::Attempt(attempt),
    ];
    let events = facts.map(|fact| Event { at, fact, program: "postfix/smtpd" }).to_vec();
    let story = Story { queue_id, name: "", events, verdicts: BTreeMap::new() };
    let mail = story.fold(ServerId::FIRST);
    let mut tx = db.begin().await.unwrap();
    correlation::save(&mut tx, vec![MailWrite::new(&mail, &story, known, Packer::default())]).await.unwrap();
    tx.commit().await.unwrap();
    mail
}

async fn found(db: &Db, filter: &Filter) -> Vec<(MailId, Status)> {
    let scope = Scope::mailbox("ann@alpha.test", Millis(0));
    let page = mails::search(db, &scope, filter, Place::Newest, 50).await.unwrap();
    page.mails.iter().map(|mail| (mail.id, mail.status)).collect()
}

/// Mails of the week as an admin of one domain counts them, and of both.
async fn counts(db: &Db) -> [i64; 2] {
    let mut counts = [0; 2];
    for (count, domains) in counts.iter_mut().zip([vec!["alpha.test"], vec!["alpha.test", "beta.test"]]) {
        let domains = domains.into_iter().map(str::to_owned).collect();
        let scope = Scope::Only(Holdings { domains, addresses: BTreeMap::new() });
        let hours = mails::hours(db, &scope, AT.minus(YOUNG), AT.plus(YOUNG)).await.unwrap();
        *count = hours.iter().map(|hour| hour.sent + hour.received + hour.problems).sum();
    }
    counts
}

#[tokio::test]
async fn each_key_stands_once_and_a_mail_that_changes_is_found_by_its_new_state_only() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let old = write(&db, AT, "4cAAAA1z", "deferred", None).await;
        let young = write(&db, Millis(AT.0 + 60_000), "4cAAAA2z", "sent", None).await;
        let delayed = Filter { statuses: vec![Status::Delayed], ..Filter::default() };
        let by_id = Filter { queue_id: Some("4cAAAA1z".to_owned()), ..Filter::default() };
        for settled in [false, true] {
            assert_eq!(rows(&db, LARGE).await.is_empty(), !settled, "{}", db.engine());
            let all = vec![(young.id, young.status), (old.id, Status::Delayed)];
            assert_eq!(found(&db, &Filter::default()).await, all);
            assert_eq!(found(&db, &delayed).await, [(old.id, Status::Delayed)]);
            assert_eq!(found(&db, &by_id).await.len(), 1);
            assert_eq!(counts(&db).await, [2, 2], "settled {settled}, {}", db.engine());
            settle_up_to(&db, old.id).await.unwrap();
        }
        assert!(rows(&db, LARGE).await.iter().all(|(_, mail, _)| *mail == old.id));
        assert!(rows(&db, NEW).await.iter().all(|(_, mail, _)| *mail == young.id));
        let before = rows(&db, LARGE).await.len();
        // Its state changes under the keys of people; under that of the queue id it stays.
        let now = write(&db, AT, "4cAAAA1z", "sent", Some(&old)).await;
        assert_eq!(now.id, old.id);
        let (large, new) = (rows(&db, LARGE).await, rows(&db, NEW).await);
        let changed = new.iter().filter(|(_, mail, _)| *mail == old.id).count();
        assert!(changed > 0 && large.len() + changed == before, "{}: {large:?} {new:?}", db.engine());
        assert_eq!(found(&db, &delayed).await, []);
        // The key that is asked for stands in one table, the one of who asks in the other.
        assert_eq!(found(&db, &by_id).await, [(old.id, now.status)]);
        assert_eq!(counts(&db).await, [2, 2], "{}", db.engine());
        assert_eq!(found(&db, &Filter::default()).await.len(), 2);
        // And once more it is worked in; then both go.
        settle_up_to(&db, old.id).await.unwrap();
        assert_eq!(rows(&db, LARGE).await.len(), before);
        let mut tx = db.begin().await.unwrap();
        correlation::remove(&mut tx, &[now, young]).await.unwrap();
        tx.commit().await.unwrap();
        assert!(rows(&db, LARGE).await.is_empty() && rows(&db, NEW).await.is_empty(), "{}", db.engine());
    }
}

#[tokio::test]
async fn who_asks_for_young_mails_does_not_look_into_the_large_table() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let old = write(&db, AT, "4cAAAA1z", "sent", None).await;
        let ids = async |since: Millis| -> Vec<MailId> {
            let mut tx = db.begin().await.unwrap();
            let found = correlation::by_queue_ids(&mut tx, &BTreeMap::from([("4cAAAA1z", since)])).await;
            found.unwrap().iter().map(|mail: &StoredMail| mail.id).collect()
        };
        let later = Millis(AT.0 + 1000);
        // As an older version left it, or a restore: all keys in the large table.
        let mut tx = db.begin().await.unwrap();
        tx.execute(sql("INSERT INTO mail_key SELECT * FROM mail_key_new")).await.unwrap();
        tx.execute(sql("DELETE FROM mail_key_new")).await.unwrap();
        mark_anew(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!((ids(later).await, ids(AT).await), (vec![], vec![old.id]), "{}", db.engine());
        // A mark never goes back.
        settle_up_to(&db, MailId(0)).await.unwrap();
        assert_eq!(ids(AT).await, [old.id]);
        let mut tx = db.begin().await.unwrap();
        tx.execute(sql("DELETE FROM mail_key_mark")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(ids(later).await, [old.id], "{}: nothing is known", db.engine());
    }
}

#[tokio::test]
async fn enough_keys_are_worked_in_and_those_of_young_mails_stay() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let old = write(&db, AT.minus(2 * YOUNG), "4cAAAA1z", "sent", None).await;
        let newest = write(&db, AT, "4cAAAA2z", "sent", None).await;
        // A clock that ran ahead.
        let ahead = write(&db, AT.plus(9 * YOUNG), "4cAAAA3z", "sent", None).await;
        let now = AT.plus(Duration::from_secs(1));
        settle(&db, now).await.unwrap();
        assert!(rows(&db, LARGE).await.is_empty(), "a few are not enough");
        let mut tx = db.begin().await.unwrap();
        hold(&mut tx, usize::try_from(ENOUGH).unwrap()).await.unwrap();
        tx.commit().await.unwrap();
        settle(&db, now).await.unwrap();
        let mails = async |table: &str| -> Vec<MailId> {
            let mut mails: Vec<MailId> = rows(&db, table).await.into_iter().map(|row| row.1).collect();
            mails.sort_unstable();
            mails.dedup();
            mails
        };
        assert_eq!(
            (mails(LARGE).await, mails(NEW).await),
            (vec![old.id], vec![newest.id, ahead.id]),
            "{}",
            db.engine()
        );
        // Nothing old is left: no pass begins, which would begin to count anew.
        let mut tx = db.begin().await.unwrap();
        hold(&mut tx, usize::try_from(ENOUGH).unwrap()).await.unwrap();
        tx.commit().await.unwrap();
        settle(&db, now).await.unwrap();
        let gathered = db.fetch_one(sql("SELECT gathered FROM mail_key_mark")).await.unwrap();
        assert!(gathered.is_some_and(|(gathered,): (i64,)| gathered >= ENOUGH), "{}", db.engine());
        // So many young ones that they do not stay at hand: half of the time goes, a key with more rows than a slice, too.
        let begin = newest.id.0 - MANY;
        let many: Vec<_> = (0..MANY).map(|n| [(n / 5000).into(), (begin + n).into(), 0.into()]).collect();
        let mut tx = db.begin().await.unwrap();
        tx.upsert(NEW, ["k", "mail", "state"], &["k", "mail"], &[], many).await.unwrap();
        hold(&mut tx, usize::try_from(ENOUGH).unwrap()).await.unwrap();
        tx.commit().await.unwrap();
        settle(&db, now).await.unwrap();
        let (large, new) = (rows(&db, LARGE).await, rows(&db, NEW).await);
        let half = MailId(begin + MANY / 2);
        assert!(
            large.iter().all(|row| row.1 <= half) && new.iter().all(|row| row.1 > half),
            "{}",
            db.engine()
        );
        assert!(
            large.len() as i64 > MANY / 2 && new.len() as i64 >= MANY / 2 - 1,
            "{} {}",
            large.len(),
            new.len()
        );
    }
}

/// On MariaDB a transaction sees the rows of its first look; the mark that it is told must be that of now all the same.
#[tokio::test]
async fn who_holds_the_mark_is_told_where_keys_lie_now() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await.into_iter().filter(|db| matches!(db, Db::Mysql { .. })) {
        let mail = write(&db, AT, "4cAAAA1z", "sent", None).await;
        let mut tx = db.begin().await.unwrap();
        correlation::newest(&mut tx).await.unwrap();
        settle_up_to(&db, mail.id).await.unwrap();
        correlation::remove(&mut tx, std::slice::from_ref(&mail)).await.unwrap();
        tx.commit().await.unwrap();
        assert!(rows(&db, LARGE).await.is_empty() && rows(&db, NEW).await.is_empty());
        // And none is moved while it is held.
        write(&db, AT, "4cAAAA1z", "sent", None).await;
        let mut tx = db.begin().await.unwrap();
        hold(&mut tx, 0).await.unwrap();
        let slice = settle_slice(&db, i64::MIN, mail.id);
        let moved = tokio::time::timeout(Duration::from_millis(300), slice).await;
        assert!(moved.is_err() && rows(&db, LARGE).await.is_empty());
        tx.commit().await.unwrap();
        settle_up_to(&db, mail.id).await.unwrap();
        assert!(rows(&db, NEW).await.is_empty());
    }
}
