use super::*;
use crate::store::fresh;

/// A row with a value of each kind.
type Kinds = (i64, Option<f64>, Option<String>, Option<Vec<u8>>);

async fn databases() -> (tempfile::TempDir, Vec<Db>) {
    let dir = tempfile::tempdir().unwrap();
    let databases = fresh::databases(&dir).await;
    (dir, databases)
}

fn row(number: i64) -> [Value<'static>; 2] {
    [number.into(), 0_i64.into()]
}

const COLUMNS: [&str; 2] = ["at", "claimed"];

async fn stored(db: &Db) -> Vec<i64> {
    let rows: Vec<(i64,)> = db.fetch(sql("SELECT at FROM traffic_due ORDER BY at")).await.unwrap();
    rows.into_iter().map(|(at,)| at).collect()
}

#[tokio::test]
async fn what_is_asked_comes_after_what_is_on_its_way() {
    let (_dir, databases) = databases().await;
    for db in databases {
        let mut tx = db.begin().await.unwrap();
        // More statements than may be on their way.
        for number in 0..3 * AHEAD as i64 {
            tx.insert("traffic_due", COLUMNS, row(number)).await.unwrap();
        }
        let count: Option<(i64,)> = tx.fetch_one(sql("SELECT COUNT(*) FROM traffic_due")).await.unwrap();
        assert_eq!(count, Some((3 * AHEAD as i64,)), "{}", db.engine());
        tx.insert("traffic_due", COLUMNS, row(100)).await.unwrap();
        assert_eq!(
            tx.execute(sql("DELETE FROM traffic_due WHERE at < 100")).await.unwrap(),
            3 * AHEAD as u64
        );
        tx.insert("traffic_due", COLUMNS, row(101)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(stored(&db).await, [100, 101], "{}", db.engine());
    }
}

#[tokio::test]
async fn what_went_wrong_on_the_way_is_told_and_nothing_lasts() {
    let (_dir, databases) = databases().await;
    for db in databases {
        // By the commit.
        let mut tx = db.begin().await.unwrap();
        tx.insert_all("traffic_due", COLUMNS, vec![row(1), row(2)]).await.unwrap();
        tx.insert("traffic_due", COLUMNS, row(1)).await.unwrap();
        assert!(matches!(tx.commit().await, Err(Error::Conflict(_))), "{}", db.engine());
        // By the next question, and from then on by all.
        let mut tx = db.begin().await.unwrap();
        tx.insert_all("traffic_due", COLUMNS, vec![row(1), row(2), row(1)]).await.unwrap();
        let asked: Result<Vec<(i64,)>> = tx.fetch(sql("SELECT at FROM traffic_due")).await;
        assert!(matches!(asked, Err(Error::Conflict(_))), "{}", db.engine());
        assert!(tx.execute(sql("DELETE FROM traffic_due")).await.is_err(), "{}", db.engine());
        assert!(tx.insert("traffic_due", COLUMNS, row(3)).await.is_err(), "{}", db.engine());
        assert!(tx.commit().await.is_err(), "{}", db.engine());
        // By an insert, once nobody takes any more.
        let mut tx = db.begin().await.unwrap();
        let mut told = Ok(());
        for _ in 0..100 * AHEAD {
            if told.is_ok() {
                told = tx.insert("traffic_due", COLUMNS, row(1)).await;
            }
        }
        assert!(matches!(told, Err(Error::Conflict(_))), "{}", db.engine());
        drop(tx);
        assert_eq!(stored(&db).await, [] as [i64; 0], "{}", db.engine());
    }
}

#[tokio::test]
async fn what_is_dropped_on_its_way_leaves_no_trace() {
    let (_dir, databases) = databases().await;
    for db in databases {
        let mut tx = db.begin().await.unwrap();
        for number in 0..2 * AHEAD as i64 {
            tx.insert("traffic_due", COLUMNS, row(number)).await.unwrap();
        }
        drop(tx);
        // The next one does not wait for it in vain.
        let mut tx = db.begin().await.unwrap();
        tx.insert("traffic_due", COLUMNS, row(0)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(stored(&db).await, [0], "{}", db.engine());
    }
}

#[tokio::test]
async fn values_come_back_as_they_were_however_many_rows_there_are() {
    let (_dir, databases) = databases().await;
    for db in databases {
        let mut tx = db.begin().await.unwrap();
        let table = "CREATE TABLE kinds (id BIGINT PRIMARY KEY, real_one DOUBLE, word TEXT, data MEDIUMBLOB)";
        tx.execute(sql(table)).await.unwrap();
        let words = ["", "it's \"x'\" -- \\' ; \\", "nothing \0 ends", "grüße \u{1f4e7}", "?", "x'00'"];
        let reals = [0.0, -0.1, 1e300, f64::MIN_POSITIVE, 16_777_217.000_001, 5.0];
        let mut rows: Vec<Kinds> = vec![(i64::MIN, None, None, None)];
        for number in 0..48_i64 {
            let at = usize::try_from(number).unwrap();
            // None is bound by itself.
            let bytes = (0..=255).cycle().skip(at).take(at * LARGE / 48).collect();
            rows.push((number, Some(reals[at % 6]), Some(words[at % 6].to_owned()), Some(bytes)));
        }
        rows.push((i64::MAX, Some(f64::MAX), Some("end".to_owned()), Some(Vec::new())));
        let columns = ["id", "real_one", "word", "data"];
        // A few, many, and many of which one is large.
        rows.extend((1000..1100).map(|number| (number, None, None, Some(vec![7; 10]))));
        rows.push((1100, None, None, Some(vec![8; LARGE + 1])));
        rows.sort_by_key(|(id, ..)| *id);
        let (few, rest) = rows.split_at(3);
        for rows in [few, &rest[..60], &rest[60..]] {
            let values = rows.iter().map(|(id, real, word, data)| {
                [(*id).into(), (*real).into(), word.as_ref().into(), data.as_ref().into()]
            });
            tx.upsert("kinds", columns, &["id"], &["real_one", "word", "data"], values.collect())
                .await
                .unwrap();
        }
        tx.commit().await.unwrap();
        let stored: Vec<Kinds> =
            db.fetch(sql("SELECT id, real_one, word, data FROM kinds ORDER BY id")).await.unwrap();
        assert!(stored == rows, "{}", db.engine());
    }
}

#[tokio::test]
async fn a_file_is_made_for_its_owner_only_and_an_old_one_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("old.sqlite");
    std::fs::write(&old, "").unwrap();
    std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o640)).unwrap();
    for (name, expected) in [("new.sqlite", 0o600), ("old.sqlite", 0o640)] {
        let db = Db::open(&Place::Sqlite(dir.path().join(name))).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        tx.insert("traffic_due", COLUMNS, row(1)).await.unwrap();
        tx.commit().await.unwrap();
        for end in ["", "-wal", "-shm"] {
            let file = std::fs::metadata(dir.path().join(format!("{name}{end}"))).unwrap();
            assert_eq!(file.permissions().mode() & 0o777, expected, "{name}{end}");
        }
    }
}
