use std::{net::IpAddr, sync::Arc};

use super::*;
use crate::{
    model::scope::Scope,
    store::{
        audit::{Action, Filter},
        db::{Place, sql},
    },
};

const NOW: Millis = Millis(1_795_196_712_000);

async fn database(dir: &tempfile::TempDir) -> Db {
    let db = Db::open(&Place::Sqlite(dir.path().join("looks.sqlite"))).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    tx.execute(sql("INSERT INTO inventory_look (id, at) VALUES (1, 1)")).await.unwrap();
    reports::host(&mut tx, ["alpha.test"]).await.unwrap();
    tx.commit().await.unwrap();
    db
}

fn later(minutes: u64) -> Millis {
    NOW.plus(Duration::from_secs(60 * minutes))
}

fn look(at: Millis, mail: &str, owners: &[&str]) -> Entry {
    let entry = Entry::new(at, "boss@alpha.test", Action::Story, "192.0.2.1").role(Role::Admin);
    entry.detail(mail).about(owners.iter().map(|&owner| owner.to_owned()))
}

async fn kept(db: &Db) -> Vec<String> {
    let entries = audit::list(db, &Scope::All, &Filter::default(), None, 10_000).await.unwrap();
    let line = |it: Entry| format!("{} {} {} {}", it.action, it.actor, it.detail, it.owners.join(" "));
    entries.into_iter().rev().map(line).collect()
}

#[tokio::test]
async fn a_look_counts_once_an_hour_and_tells_whose_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(&dir).await;
    let looks = Looks::default();
    looks.note(look(NOW, "1", &["Ann+shop@Alpha.test", "x@away.test"]));
    looks.note(look(later(1), "1", &["ann@alpha.test", "x@away.test"]));
    looks.note(look(later(2), "2", &["x@away.test"]));
    looks.flush(&db).await.unwrap();
    let first = ["story boss@alpha.test 1 alpha.test ann@alpha.test", "story boss@alpha.test 2 "];
    assert_eq!(kept(&db).await, first);
    // Another owner of the same look counts, one from elsewhere does not; another browser and another hour do.
    looks.note(look(later(3), "1", &["ann@alpha.test", "bob@alpha.test"]));
    looks.note(look(later(4), "1", &["ann@alpha.test", "y@away.test"]));
    looks.note(Entry { client: "192.0.2.9".to_owned(), ..look(later(5), "1", &["ann@alpha.test"]) });
    looks.note(look(later(60), "1", &["ann@alpha.test"]));
    looks.flush(&db).await.unwrap();
    let again = "story boss@alpha.test 1 alpha.test ann@alpha.test";
    let more = ["story boss@alpha.test 1 alpha.test bob@alpha.test", again, again];
    assert_eq!(kept(&db).await[2..], more);
    looks.flush(&db).await.unwrap();
    assert_eq!(kept(&db).await.len(), 5, "nothing is written twice");
}

#[tokio::test]
async fn a_deed_counts_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(&dir).await;
    let looks = Looks::default();
    for _ in 0..2 {
        looks.add(Entry::new(NOW, "boss@alpha.test", Action::RunNow, "192.0.2.1").detail("update"));
    }
    looks.flush(&db).await.unwrap();
    assert_eq!(kept(&db).await.len(), 2);
}

#[tokio::test]
async fn while_the_database_is_away_looks_wait_and_what_has_no_room_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(&dir).await;
    let looks = Looks::default();
    for mail in 0..MOST + 7 {
        looks.note(look(NOW, &mail.to_string(), &[]));
    }
    assert_eq!(looks.lost(), 7);
    let away = Db::connect(&Place::Sqlite(dir.path().join("away.sqlite"))).await.unwrap();
    assert!(looks.flush(&away).await.is_err(), "a database without tables");
    looks.note(look(NOW, "one more", &[]));
    assert_eq!(looks.lost(), 8);
    looks.flush(&db).await.unwrap();
    let kept = kept(&db).await;
    assert_eq!(kept.len(), MOST);
    assert!(kept[0].starts_with("story boss@alpha.test 0 "), "in order: {}", kept[0]);
}

#[tokio::test]
async fn strangers_push_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(&dir).await;
    let looks = Looks::default();
    for number in 0..100_000_u32 {
        let client = IpAddr::V4(number.into()).to_string();
        looks.note(Entry::new(NOW, "", Action::KeyRefused, &client));
    }
    looks.note(look(NOW, "1", &[]));
    looks.flush(&db).await.unwrap();
    let kept = kept(&db).await;
    assert_eq!(kept.len(), MOST_STRANGERS as usize + 1);
    assert!(kept.iter().any(|line| line.starts_with("story")));
    assert_eq!(looks.lost(), 100_000 - u64::from(MOST_STRANGERS));
    assert!(looks.buffers().seen.len() <= MOST_MARKS + 1);
}

#[tokio::test]
async fn another_role_is_written_down_once_and_links_are_not_asked() {
    let dir = tempfile::tempdir().unwrap();
    let db = database(&dir).await;
    let mut tx = db.begin().await.unwrap();
    let sign_in = Entry::new(NOW, "ann@alpha.test", Action::SignIn, "").role(Role::User);
    audit::record(&mut tx, &sign_in).await.unwrap();
    tx.commit().await.unwrap();
    let looks = Looks::default();
    let visitor = |role, via| Visitor {
        address: "ann@alpha.test".to_owned(),
        name: String::new(),
        role,
        scope: Arc::new(Scope::mailbox("ann@alpha.test", NOW)),
        session: "s".to_owned(),
        via,
    };
    for (role, via) in [
        (Role::User, Via::Mailcow),
        (Role::Admin, Via::Link),
        (Role::DomainAdmin, Via::Mailcow),
        (Role::DomainAdmin, Via::Mailcow),
    ] {
        looks.meet(&visitor(role, via), later(1));
        looks.flush(&db).await.unwrap();
    }
    let changes: Vec<_> =
        kept(&db).await.into_iter().filter(|line| line.starts_with("role-changed")).collect();
    assert_eq!(changes, ["role-changed ann@alpha.test user "]);
}
