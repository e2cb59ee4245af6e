//! A fresh database for each test, on each engine that there is.

use sqlx::{Connection, Executor, MySqlConnection};
use tempfile::TempDir;

/// A database that nobody else uses.
pub struct FreshDb {
    /// As in `DATABASE_URL`.
    pub url: String,
    /// Holds the SQLite file; a MariaDB database is left to the server, which is thrown away.
    _dir: Option<TempDir>,
}

/// A fresh SQLite database, and a fresh MariaDB one where `MAILCOW_STATUS_TEST_MYSQL` names a server.
pub async fn fresh_databases() -> Vec<FreshDb> {
    let mut all = vec![sqlite()];
    all.extend(mysql().await);
    all
}

/// A fresh SQLite database.
pub fn sqlite() -> FreshDb {
    let dir = tempfile::tempdir().expect("a temporary directory");
    FreshDb { url: format!("sqlite:{}", dir.path().join("test.sqlite").display()), _dir: Some(dir) }
}

/// A fresh database on the MariaDB of the tests, if there is one. `tests/run` starts one, so nothing is left out there.
pub async fn mysql() -> Option<FreshDb> {
    let Ok(server) = std::env::var("MAILCOW_STATUS_TEST_MYSQL") else {
        eprintln!("left out on MariaDB: MAILCOW_STATUS_TEST_MYSQL is not set (tests/run sets it)");
        return None;
    };
    let name = format!("test_{:016x}", getrandom::u64().expect("randomness"));
    let mut connection = MySqlConnection::connect(&server).await.expect("the MariaDB of the tests");
    let create = format!("CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin");
    connection.execute(sqlx::AssertSqlSafe(create)).await.expect("a new database");
    Some(FreshDb { url: format!("{}/{name}", server.trim_end_matches('/')), _dir: None })
}

#[tokio::test]
async fn databases_are_fresh_and_differ() {
    let (first, second) = (fresh_databases().await, fresh_databases().await);
    assert!(first[0].url.starts_with("sqlite:/"));
    for (first, second) in first.iter().zip(&second) {
        assert_ne!(first.url, second.url);
    }
    for url in [first.get(1), second.get(1)].into_iter().flatten().map(|db| &db.url) {
        let mut connection = MySqlConnection::connect(url).await.unwrap();
        let tables: Vec<String> = sqlx::query_scalar("SHOW TABLES").fetch_all(&mut connection).await.unwrap();
        assert!(tables.is_empty());
    }
}
