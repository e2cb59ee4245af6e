//! Upgrades: a database of every released step comes forward with all its rows; a newer one is refused.

use std::path::Path;

use mailcow_status::{
    commands::backup::{TableSum, restore, write, write_file},
    demo::Options,
    ingest::{
        correlate::{Batch, Novelty, take},
        inventory,
        sessions::Sessions,
    },
    model::{mail::MailId, scan::Scan, time::Millis},
    store::{
        self, Db,
        backup::{self, Cells, Snapshot, Table},
        db::{Place, sql},
        gathered, search, traffic,
    },
};
use sqlx::migrate::Migrator;

use super::support::{
    db::{FreshDb, fresh_databases, sqlite},
    portal::place,
    rig::{Picture, SERVER, Source, open},
};

/// The steps of an engine, as files in order.
fn steps(engine: &str) -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// Makes the schema of the first `count` steps, as a release that had no more.
pub async fn make(fresh: &FreshDb, count: usize) {
    let dir = tempfile::tempdir().unwrap();
    let engine = if fresh.url.starts_with("sqlite:") { "sqlite" } else { "mysql" };
    for file in steps(engine).into_iter().take(count) {
        std::fs::copy(&file, dir.path().join(file.file_name().unwrap())).unwrap();
    }
    let migrator = Migrator::new(dir.path()).await.unwrap();
    match fresh.url.strip_prefix("sqlite:") {
        Some(path) => {
            let pool = sqlx::SqlitePool::connect(&format!("sqlite:{path}?mode=rwc")).await.unwrap();
            migrator.run(&pool).await.unwrap();
            pool.close().await;
        }
        None => {
            let pool = sqlx::MySqlPool::connect(&fresh.url).await.unwrap();
            migrator.run(&pool).await.unwrap();
            pool.close().await;
        }
    }
}

/// MariaDB commits each statement by itself: who is killed within a step meets it half done at the next start, and repeats it.
#[tokio::test]
async fn each_step_of_mariadb_can_be_repeated() {
    for fresh in fresh_databases().await {
        if fresh.url.starts_with("sqlite:") {
            continue;
        }
        let pool = sqlx::MySqlPool::connect(&fresh.url).await.unwrap();
        for count in 1..=steps("mysql").len() {
            make(&fresh, count).await;
            let forget = "DELETE FROM _sqlx_migrations ORDER BY version DESC LIMIT 1";
            assert_eq!(sqlx::query(forget).execute(&pool).await.unwrap().rows_affected(), 1);
            make(&fresh, count).await;
        }
        pool.close().await;
        Db::open(&place(&fresh.url)).await.unwrap().close().await;
    }
}

/// Rows by table after a backup of a database, which is not upgraded by it, and a restore by this version.
async fn backed_up(fresh: &FreshDb) -> Vec<(String, u64)> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup");
    let old = Db::look(&place(&fresh.url)).await.unwrap();
    let steps = old.steps().await.unwrap();
    let written = write_file(&old, &file, None, Millis(0)).await.unwrap();
    assert_eq!(written.schema, steps[steps.len() - 1]);
    assert_eq!(old.steps().await.unwrap(), steps, "it was upgraded");
    old.close().await;
    let target = sqlite();
    let db = open(&target).await;
    restore(&db, &file, None, false).await.unwrap();
    let now = write(&db, std::io::sink(), None, Millis(0)).await.unwrap().tables;
    let filled = now.into_iter().filter(|table| table.rows > 0);
    filled.map(|table| (table.name, table.rows)).collect()
}

/// Everything that a working database holds.
async fn content() -> Vec<(Table, Vec<Cells>)> {
    let fresh = sqlite();
    let source = Source::start(Options { mails: 60, ..Options::default() }).await;
    let db = open(&fresh).await;
    let poller = source.poller(&db);
    poller.poll(source.now()).await.unwrap().unwrap();
    inventory::refresh(&db, &poller.mailcow, source.now()).await.unwrap();
    // A verdict that waits for its mail.
    let waiting = Scan { at: source.now(), message_id: Some("m@x.example".to_owned()), ..Scan::default() };
    let batch = Batch {
        server: SERVER,
        lines: &[],
        scans: [waiting].into(),
        quarantined: &[],
        novelty: Novelty::New,
    };
    let mut tx = db.begin().await.unwrap();
    take(&mut tx, &batch, &mut Sessions::default()).await.unwrap();
    tx.commit().await.unwrap();
    let ids: Vec<(MailId,)> = db.fetch(sql("SELECT id FROM mail_story ORDER BY id")).await.unwrap();
    gathered::settle_up_to(&db, ids[ids.len() / 2].0).await.unwrap();
    search::shape(&db).await.unwrap();
    while search::feed(&db).await.unwrap() {}
    let mut snapshot = Snapshot::begin(&db).await.unwrap();
    let mut content = Vec::new();
    for table in backup::tables().await.unwrap() {
        let mut rows = Vec::new();
        let mut take = |cells| {
            rows.push(cells);
            Ok::<_, store::Error>(())
        };
        snapshot.read(&table, &mut take).await.unwrap();
        content.push((table, rows));
    }
    snapshot.end().await.unwrap();
    content
}

#[tokio::test]
async fn a_database_of_every_step_comes_forward_with_its_rows() {
    let content = content().await;
    let released = steps("sqlite").len();
    assert_eq!(released, steps("mysql").len());
    // Tables of each step that the portal fills by itself.
    for name in [
        "mail_story",
        "mail_key",
        "mail_key_new",
        "scan",
        "line_chunk",
        "mailbox",
        "search_gram",
        "hosted_domain",
    ] {
        let rows = content.iter().find(|(table, _)| table.name == name).map(|(_, rows)| rows.len());
        assert!(rows.is_some_and(|rows| rows > 0), "{name} is empty");
    }
    for count in 1..=released {
        for fresh in fresh_databases().await {
            make(&fresh, count).await;
            let old = Db::connect(&place(&fresh.url)).await.unwrap();
            let mut kept: Vec<(String, u64)> = Vec::new();
            for (table, rows) in &content {
                let there = old.fetch::<(i64,)>(sql(format!("SELECT 1 FROM {} LIMIT 1", table.name))).await;
                if there.is_err() {
                    continue;
                }
                let columns: Vec<_> = table.columns.iter().collect();
                let mut tx = old.begin().await.unwrap();
                for rows in rows.chunks(200) {
                    backup::insert(&mut tx, table, &columns, rows.to_vec()).await.unwrap();
                }
                tx.commit().await.unwrap();
                if !table.derived {
                    kept.push((table.name.clone(), rows.len() as u64));
                }
            }
            // The mark of the keys is no content; the step that makes it finds its place, as the end of a restore does.
            if old.fetch::<(i64,)>(sql("SELECT 1 FROM mail_key_mark")).await.is_ok() {
                let mut tx = old.begin().await.unwrap();
                backup::complete(&mut tx).await.unwrap();
                tx.commit().await.unwrap();
            }
            assert!(kept.iter().any(|(name, rows)| name == "mail_story" && *rows > 50), "{kept:?}");
            old.close().await;
            let filled: Vec<_> = kept.iter().filter(|(_, rows)| *rows > 0).cloned().collect();
            assert_eq!(backed_up(&fresh).await, filled, "a backup before step {}", count + 1);
            let db = open(&fresh).await;
            let now: Vec<TableSum> = write(&db, std::io::sink(), None, Millis(0)).await.unwrap().tables;
            let rows = |name: &str| now.iter().find(|table| table.name == name).map(|table| table.rows);
            for (name, count) in &kept {
                assert_eq!(rows(name), Some(*count), "{name} of step {count}, {}", db.engine());
            }
            assert_eq!(Picture::of(&db).await.parts["mails"].len() as u64, rows("mail_story").unwrap());
            // What is made from other tables may be gone; then it is made again.
            assert!(!traffic::due(&db, 1).await.unwrap().is_empty(), "mail flow of step {count}");
            let grams =
                async || db.fetch::<(i64,)>(sql("SELECT COUNT(*) FROM search_gram")).await.unwrap()[0].0;
            assert!(count >= 20 || grams().await == 0, "rows of another form of step {count}");
            search::shape(&db).await.unwrap();
            while search::feed(&db).await.unwrap() {}
            assert!(grams().await > 0, "the search index of step {count}");
            // Once more: nothing is left to do.
            drop(open(&fresh).await);
        }
    }
}

#[tokio::test]
async fn a_newer_database_is_refused_with_a_clear_word() {
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        let mut tx = db.begin().await.unwrap();
        let row = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                   VALUES (9999, 'future', TRUE, 'x', 0)";
        tx.execute(sql(row)).await.unwrap();
        tx.commit().await.unwrap();
        db.close().await;
        let place: Place = place(&fresh.url);
        let refused = Db::open(&place).await.err().expect("refused");
        assert!(matches!(refused, store::Error::NewerSchema(9999)), "{refused:?}");
        let words = refused.to_string();
        assert!(
            words.contains("newer version") && words.contains("9999") && words.contains("upgrade"),
            "{words}"
        );
    }
}
