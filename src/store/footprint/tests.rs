//! On SQLite, and on MariaDB where there is one.

use super::*;
use crate::store::{db::Place, fresh::databases};

/// Mails with stories of this many bytes, a minute apart, each with two keys.
async fn fill(db: &Db, mails: i64, story: usize) {
    let mut tx = db.begin().await.unwrap();
    let id = |n: i64| MailId((1_790_000_000 + n * 60) << MailId::HASH_BITS);
    let rows = (0..mails).map(|n| [id(n).into(), 1.into(), (n % 3).into(), vec![7_u8; story].into()]);
    tx.upsert("mail_story", ["id", "server", "state", "story"], &["id"], &[], rows.collect()).await.unwrap();
    let keys = (0..mails * 2)
        .map(|n| [(n.wrapping_mul(0x9E37_79B9) % 0x7FFF_FFFF).into(), id(n / 2).into(), 1.into()]);
    tx.upsert("mail_key", ["k", "mail", "state"], &["k", "mail"], &[], keys.collect()).await.unwrap();
    tx.commit().await.unwrap();
    if let Db::Mysql { .. } = db {
        let mut tx = db.begin().await.unwrap();
        let text = sql("ANALYZE TABLE mail_story, mail_key");
        tx.fetch::<(String, String, String, String)>(text).await.unwrap();
        tx.commit().await.unwrap();
    }
}

fn table<'a>(found: &'a Footprint, name: &str) -> &'a Table {
    found.tables.iter().find(|table| table.name == name).unwrap()
}

/// Within a third.
fn near(found: u64, truth: u64) -> bool {
    (truth * 2 / 3..=truth * 4 / 3).contains(&found)
}

#[tokio::test]
async fn large_tables_are_estimated_and_small_ones_known() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        fill(&db, 30_000, 300).await;
        let found = measure(&db).await.unwrap();
        let (mails, keys) = (table(&found, "mail_story"), table(&found, "mail_key"));
        assert!(near(mails.rows, 30_000) && near(keys.rows, 60_000), "{found:?}");
        assert!(!mails.exact && !keys.exact);
        assert!(mails.bytes > 30_000 * 300 && mails.bytes < 30_000 * 900, "{mails:?}");
        assert!(near(found.tables.iter().map(|table| table.bytes).sum(), found.bytes), "{found:?}");
        assert_eq!(found.tables.first(), Some(mails), "the largest one first");
        assert!(found.version.starts_with(|c: char| c.is_ascii_digit()), "{}", found.version);
        assert_eq!(table(&found, "audit").rows, 0);
    }
}

#[tokio::test]
async fn small_tables_are_exact_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(&Place::Sqlite(dir.path().join("small.sqlite"))).await.unwrap();
    fill(&db, 100, 300).await;
    let found = measure(&db).await.unwrap();
    for (name, rows) in [("mail_story", 100), ("mail_key", 200), ("audit", 0)] {
        let table = table(&found, name);
        assert_eq!((table.rows, table.exact), (rows, true), "{name}");
    }
}

/// Long entries flow over to further pages, which are counted with their table.
#[tokio::test]
async fn pages_of_long_entries_count() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(&Place::Sqlite(dir.path().join("long.sqlite"))).await.unwrap();
    fill(&db, 2_000, 20_000).await;
    let found = measure(&db).await.unwrap();
    let mails = table(&found, "mail_story");
    assert!(near(mails.rows, 2_000) && near(mails.bytes, 2_000 * 20_480), "{mails:?}");
}

#[tokio::test]
async fn the_begin_of_each_kind_is_told() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        assert_eq!(oldest(&db).await.unwrap(), Oldest::default(), "{}", db.engine());
        fill(&db, 10, 30).await;
        let mut tx = db.begin().await.unwrap();
        let columns = ["server", "source", "first_at", "last_at", "line_count", "data"];
        let row = [1.into(), "postfix".into(), 5.into(), 9.into(), 1.into(), vec![1_u8].into()];
        tx.insert("line_chunk", columns, row).await.unwrap();
        tx.insert("sample_rolled", ["step", "upto", "kept_from"], [300.into(), 9.into(), 7.into()])
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let found = oldest(&db).await.unwrap();
        assert_eq!(found.mails, Some(Millis::from_secs(1_790_000_000)));
        assert_eq!((found.lines, found.samples), (Some(Millis(9)), [None, Some(Millis(7)), None]));
    }
}
