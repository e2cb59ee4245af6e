use std::collections::BTreeSet;

use super::*;
use crate::{
    model::{scope::Role, time::Millis, user::Via},
    store::fresh,
};

fn session(key: &str) -> Session {
    Session {
        key: key.to_owned(),
        address: "ann@alpha.test".to_owned(),
        name: String::new(),
        via: Via::Mailcow,
        role: Role::User,
        domains: ["alpha.test".to_owned()].into(),
        mailbox_created: String::new(),
        mailbox_since: Millis(0),
        created: Millis(0),
        seen: Millis(0),
        checked: Millis(0),
    }
}

/// The session of the row, with what is on its way.
async fn met(visits: &Visits, db: &Db, key: &str) -> (i64, i64) {
    let visit = visits.of(key);
    let mut session = sessions::find(db, key).await.unwrap().unwrap();
    session.recall(&visit.unwrap_or_default());
    (session.seen.0, session.checked.0)
}

async fn begin(db: &Db, key: &str) {
    let mut tx = db.begin().await.unwrap();
    sessions::begin(&mut tx, &session(key)).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_visit_counts_before_and_after_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    for db in fresh::databases(&dir).await {
        let visits = Visits::default();
        begin(&db, "a").await;
        visits.note(&Session { seen: Millis(70), checked: Millis(60), ..session("a") });
        // Of two pages at once the later one counts.
        visits.note(&Session { seen: Millis(65), checked: Millis(65), ..session("a") });
        assert_eq!(met(&visits, &db, "a").await, (70, 65), "{}", db.engine());
        let row = sessions::find(&db, "a").await.unwrap().unwrap();
        assert_eq!((row.seen, row.checked), (Millis(0), Millis(0)), "not written yet");
        visits.flush(&db).await.unwrap();
        assert_eq!(visits.of("a"), None);
        assert_eq!(met(&visits, &db, "a").await, (70, 65));
        // An older one, by another process, changes nothing.
        visits.note(&Session { seen: Millis(50), checked: Millis(50), ..session("a") });
        visits.flush(&db).await.unwrap();
        assert_eq!(met(&visits, &db, "a").await, (70, 65));
    }
}

#[tokio::test]
async fn a_confirmation_of_other_domains_than_the_rows_counts_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for db in fresh::databases(&dir).await {
        let visits = Visits::default();
        begin(&db, "a").await;
        visits.note(&Session { seen: Millis(70), checked: Millis(70), ..session("a") });
        let mut tx = db.begin().await.unwrap();
        sessions::confirm(&mut tx, "a", &BTreeSet::new(), Millis(60)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(met(&visits, &db, "a").await, (70, 60), "{}", db.engine());
        visits.flush(&db).await.unwrap();
        assert_eq!(met(&visits, &db, "a").await, (70, 60));
    }
}

#[tokio::test]
async fn a_session_that_has_ended_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    for db in fresh::databases(&dir).await {
        let visits = Visits::default();
        begin(&db, "a").await;
        visits.note(&session("a"));
        let mut tx = db.begin().await.unwrap();
        sessions::end(&mut tx, "a").await.unwrap();
        tx.commit().await.unwrap();
        visits.flush(&db).await.unwrap();
        assert_eq!((sessions::find(&db, "a").await.unwrap(), visits.of("a")), (None, None));
    }
}

#[tokio::test]
async fn while_the_database_is_away_visits_wait_in_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let place = crate::store::db::Place::Sqlite(dir.path().join("away.sqlite"));
    let away = Db::connect(&place).await.unwrap();
    let visits = Visits::default();
    for number in 0..MOST + 7 {
        visits.note(&session(&number.to_string()));
    }
    assert!(visits.flush(&away).await.is_err(), "a database without tables");
    assert_eq!(visits.waiting().len(), MOST);
    visits.note(&Session { seen: Millis(9), ..session("1") });
    assert_eq!(visits.of("1").unwrap().seen, Millis(9), "those that wait are still noted");
}
