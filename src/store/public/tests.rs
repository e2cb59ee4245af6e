//! On SQLite, and on MariaDB where there is one.

use super::*;
use crate::{model::announcement::samples::maintenance, store::fresh::databases};

#[tokio::test]
async fn what_is_chosen_replaces_what_was() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let one = |code: &str, name: &str| Shown { code: code.to_owned(), name: name.to_owned() };
        for choice in
            [vec![one("web", "Webmail"), one("port-25", "Empfang")], vec![one("port-25", "In")], vec![]]
        {
            let mut tx = db.begin().await.unwrap();
            show(&mut tx, &choice).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(shown(&db).await.unwrap(), choice);
        }
        db.close().await;
    }
}

#[tokio::test]
async fn announcements_come_back_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let old = maintenance(Millis(1_000), Millis(2_000), &["web"]);
        let mut open = maintenance(Millis(5_000), Millis(6_000), &[]);
        open = Announcement { kind: Kind::Incident, until: None, excuses: false, ..open };
        open.updates.push(Update { at: Millis(5_500), text: "Zeile\n„zwei“ 🐄".to_owned() });
        let mut tx = db.begin().await.unwrap();
        save(&mut tx, &old).await.unwrap();
        save(&mut tx, &open).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(announcements(&db, Millis(2_000)).await.unwrap(), [open.clone(), old.clone()]);
        assert_eq!(announcements(&db, Millis(2_001)).await.unwrap(), [open.clone()], "what is long over");
        let ended = open.ended("Over.".to_owned(), Millis(9_000));
        let mut tx = db.begin().await.unwrap();
        save(&mut tx, &ended).await.unwrap();
        remove(&mut tx, old.id).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(find(&db, ended.id).await.unwrap(), Some(ended));
        assert_eq!(find(&db, old.id).await.unwrap(), None);
        db.close().await;
    }
}
