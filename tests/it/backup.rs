//! Backups: made while the portal works, whole or refused, equal after a restore into either engine; and what becomes of
//! a database, or of Mailcow's logs, that was set back in time.

use std::{os::unix::fs::PermissionsExt, path::PathBuf};

use mailcow_status::{
    commands::backup::{Summary, TableSum, check, restore, write, write_file},
    demo::Options,
    model::{
        scope::Scope,
        time::Millis,
        traffic::{Side, Traffic},
    },
    store::{
        Db,
        db::sql,
        ingestion,
        traffic::{self, Whose},
    },
};

use secrecy::SecretString;

use super::support::{
    db::fresh_databases,
    rig::{Picture, Source, open},
};

async fn sums(db: &Db) -> Vec<TableSum> {
    write(db, std::io::sink(), None, Millis(0)).await.unwrap().tables
}

async fn flow_of(db: &Db) -> Vec<(Millis, Traffic)> {
    let ever = (Millis(0), Millis(i64::MAX));
    traffic::hours(db, &Scope::All, &Whose::All(Side::In), ever).await.unwrap()
}

fn rows(summary: &Summary, name: &str) -> u64 {
    summary.tables.iter().find(|table| table.name == name).unwrap().rows
}

/// A row of every kind of value, in a table that no other test fills here.
async fn add_report(db: &Db) {
    let mut tx = db.begin().await.unwrap();
    let moment = if db.engine() == "SQLite" { "?" } else { "FROM_UNIXTIME(?)" };
    let text = format!(
        "INSERT INTO report (mindate, maxdate, domain, org, reportid, policy_pct, raw_xml) \
         VALUES ({moment}, NULL, 'a.test', 'Ünïcode \u{1F42E}', '1', 100, NULL)"
    );
    tx.execute(sql(text).bind(1_795_000_000_i64)).await.unwrap();
    tx.execute(
        sql("INSERT INTO rptrecord (serial, ip6, rcount, disposition, spf_align, dkim_align) \
                    VALUES (1, ?, 3, 'none', 'pass', 'fail')")
        .bind(vec![0_u8, 255, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
    )
    .await
    .unwrap();
    tx.execute(sql("INSERT INTO session (id, address, name, via, role, domains, mailbox_created, mailbox_since, \
                    created_at, seen_at, checked_at) VALUES ('x', 'a@a.test', '', '', 'user', '', '', 0, 0, 0, 0)"))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_backup_of_either_engine_fills_either_engine() {
    let dir = tempfile::tempdir().unwrap();
    for fresh in fresh_databases().await {
        let source = Source::start(Options { mails: 120, ..Options::default() }).await;
        let db = open(&fresh).await;
        source.poller(&db).poll(source.now()).await.unwrap().unwrap();
        add_report(&db).await;
        traffic::catch_up(&db).await.unwrap();
        let file: PathBuf = dir.path().join(format!("{}.backup", db.engine()));
        let summary = write_file(&db, &file, None, source.now()).await.unwrap();
        assert_eq!(check(&file, None).unwrap(), summary);
        assert!(rows(&summary, "mail_story") > 100 && rows(&summary, "report") == 1, "{summary:?}");
        let copied = |name: &str| summary.tables.iter().any(|table| table.name == name);
        assert!(!copied("session"), "nobody is signed in anew");
        assert!(
            ["traffic_hour", "report_digest", "search_gram", "search_shape"].iter().all(|name| !copied(name)),
            "what is made from others is made anew"
        );
        let flow = flow_of(&db).await;
        assert!(flow.len() > 10);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no part is left");
        for target in fresh_databases().await {
            let other = open(&target).await;
            restore(&other, &file, None, false).await.unwrap();
            let what = format!("{} to {}", db.engine(), other.engine());
            assert_eq!(sums(&other).await, summary.tables, "{what}");
            Picture::of(&other).await.must_equal(&Picture::of(&db).await, &what);
            assert!(flow_of(&other).await.is_empty());
            traffic::catch_up(&other).await.unwrap();
            assert!(flow_of(&other).await == flow, "{what}: another mail flow");
            // A full database is refused, and left as it is.
            let refused = restore(&other, &file, None, false).await.unwrap_err().to_string();
            assert!(refused.contains("not empty") && refused.contains("--replace"), "{refused}");
            assert_eq!(sums(&other).await, summary.tables, "{what}");
        }
        std::fs::remove_file(&file).unwrap();
    }
}

#[tokio::test]
async fn a_damaged_or_newer_backup_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for fresh in fresh_databases().await {
        let source = Source::start(Options { mails: 20, ..Options::default() }).await;
        let db = open(&fresh).await;
        source.poller(&db).poll(source.now()).await.unwrap().unwrap();
        let before = sums(&db).await;
        let file = dir.path().join("b");
        write_file(&db, &file, None, source.now()).await.unwrap();
        let whole = std::fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x55;
        for bytes in [&whole[..whole.len() - 7], &flipped, b"backup", b""] {
            std::fs::write(&file, bytes).unwrap();
            assert!(restore(&db, &file, None, true).await.is_err());
            assert_eq!(sums(&db).await, before, "nothing was touched");
        }
    }
}

/// An encrypted backup goes into either engine; without its passphrase, or damaged, into none.
#[tokio::test]
async fn an_encrypted_backup_needs_its_passphrase_and_all_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("b");
    let (right, wrong): (SecretString, SecretString) = ("correct horse battery".into(), "wrong".into());
    for fresh in fresh_databases().await {
        let source = Source::start(Options { mails: 120, ..Options::default() }).await;
        let db = open(&fresh).await;
        source.poller(&db).poll(source.now()).await.unwrap().unwrap();
        let summary = write_file(&db, &file, Some(&right), source.now()).await.unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let whole = std::fs::read(&file).unwrap();
        assert!(whole.starts_with(b"age-encryption.org/v1\n-> scrypt "), "what the program age opens");
        assert!(!holds(&whole, b"mailcow-status backup") && !holds(&whole, b"mail_story"));
        assert_eq!(check(&file, Some(&right)).unwrap(), summary);

        let untouched = |before: Vec<TableSum>, secret: Option<SecretString>, words: &'static str| {
            let (db, file) = (&db, &file);
            async move {
                let refused = restore(db, file, secret.as_ref(), true).await.unwrap_err();
                let refused = format!("{refused:#}");
                assert!(refused.contains(words) && refused.contains("othing was changed"), "{refused}");
                assert_eq!(sums(db).await, before, "{words}: nothing was touched");
                before
            }
        };
        let before =
            untouched(summary.tables.clone(), None, "is encrypted: name the file of its passphrase").await;
        let before = untouched(before, Some(wrong.clone()), "the passphrase is wrong").await;
        let mut flipped = whole.clone();
        let late = whole.len() - 20;
        flipped[late] ^= 1;
        std::fs::write(&file, &flipped).unwrap();
        let before = untouched(before, Some(right.clone()), "cut short or altered").await;
        std::fs::write(&file, &whole[..late]).unwrap();
        let before = untouched(before, Some(right.clone()), "cut short or altered").await;
        std::fs::write(&file, &whole[..400]).unwrap();
        untouched(before, Some(right.clone()), "cut short or altered").await;

        std::fs::write(&file, &whole).unwrap();
        for target in fresh_databases().await {
            let other = open(&target).await;
            restore(&other, &file, Some(&right), false).await.unwrap();
            assert_eq!(sums(&other).await, summary.tables, "{} to {}", db.engine(), other.engine());
        }
    }
}

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[tokio::test]
async fn a_backup_holds_one_moment_while_mails_come_in() {
    let dir = tempfile::tempdir().unwrap();
    for fresh in fresh_databases().await {
        let source =
            Source::start(Options { mails: 60, ring: 50_000, rspamd_ring: 50_000, ..Options::default() })
                .await;
        let db = open(&fresh).await;
        source.poller(&db).poll(source.now()).await.unwrap().unwrap();
        let file = dir.path().join("b");
        let writer = async {
            for _ in 0..5 {
                source.mailcow.bustle(30);
                source.advance(60);
                source.poller(&db).poll(source.now()).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(write_file(&db, &file, None, source.now()), writer);
        written.unwrap();
        let target = super::support::db::sqlite();
        let other = open(&target).await;
        restore(&other, &file, None, false).await.unwrap();
        // Each key leads to a mail, and each mail has keys: what was committed together is there together.
        let stray = "SELECT COUNT(*) FROM mail_key_new WHERE mail NOT IN (SELECT id FROM mail_story)";
        let bare = "SELECT COUNT(*) FROM mail_story WHERE id NOT IN (SELECT mail FROM mail_key_new)";
        for text in [stray, bare] {
            let count: Option<(i64,)> = other.fetch_one(sql(text)).await.unwrap();
            assert_eq!(count, Some((0,)), "{text}");
        }
        // And its place in the log is the one of its mails: a poll brings the rest.
        source.poller(&other).poll(source.now()).await.unwrap().unwrap();
        source.poller(&db).poll(source.now()).await.unwrap().unwrap();
        let ours = Picture::of(&db).await.without_tls();
        Picture::of(&other).await.without_tls().must_equal(&ours, "after the next poll");
    }
}

#[tokio::test]
async fn a_database_that_was_set_back_reads_on() {
    let dir = tempfile::tempdir().unwrap();
    for fresh in fresh_databases().await {
        let source =
            Source::start(Options { mails: 60, ring: 50_000, rspamd_ring: 50_000, ..Options::default() })
                .await;
        let db = open(&fresh).await;
        source.poller(&db).poll(source.now()).await.unwrap().unwrap();
        let file = dir.path().join("b");
        write_file(&db, &file, None, source.now()).await.unwrap();
        for _ in 0..3 {
            source.mailcow.bustle(40);
            source.advance(90);
            source.poller(&db).poll(source.now()).await.unwrap().unwrap();
        }
        let full = Picture::of(&db).await.without_tls();
        restore(&db, &file, None, true).await.unwrap();
        assert!(Picture::of(&db).await.parts["mails"].len() < full.parts["mails"].len());
        source.poller(&db).poll(source.now()).await.unwrap().unwrap();
        Picture::of(&db).await.without_tls().must_equal(&full, "nothing lost, nothing double");
        assert!(ingestion::gaps(&db, Millis(0), Millis(i64::MAX)).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_place_ahead_of_the_ring_and_of_the_clock_makes_no_trouble() {
    for fresh in fresh_databases().await {
        let options = Options { seed: 5, mails: 60, ring: 50_000, rspamd_ring: 50_000, ..Options::default() };
        let source = Source::start(options.clone()).await;
        let db = open(&fresh).await;
        source.poller(&db).poll(source.now()).await.unwrap().unwrap();
        // Mailcow's logs as they were before: the same begin, without what came since.
        let twin = Source::start(options).await;
        source.mailcow.bustle(40);
        source.advance(3600);
        source.poller(&db).poll(source.now()).await.unwrap().unwrap();
        let full = Picture::of(&db).await;
        let polled = twin.poller(&db).poll(twin.now()).await.unwrap().unwrap();
        assert_eq!(polled.faults, [""; 0]);
        assert_eq!(polled.new_mails, 0, "all of it was known");
        Picture::of(&db).await.must_equal(&full, "nothing double");
        // It reads on from there, although its newest row lies in the future.
        twin.mailcow.bustle(1);
        twin.advance(61);
        let polled = twin.poller(&db).poll(twin.now()).await.unwrap().unwrap();
        assert!(polled.lines > 0 && polled.faults.is_empty());
        let next = twin.poller(&db).poll(twin.now()).await.unwrap().unwrap();
        assert_eq!((next.lines, next.new_mails), (0, 0));
    }
}
