//! Empty databases for tests: SQLite, and MariaDB where `MAILCOW_STATUS_TEST_MYSQL` names a server.

use sqlx::{Connection, Executor};

use super::db::{Db, Place};

/// The address of a fresh MariaDB database.
pub async fn mysql_url() -> Option<String> {
    let server = std::env::var("MAILCOW_STATUS_TEST_MYSQL").ok()?;
    let name = format!("test_{:016x}", getrandom::u64().unwrap());
    let mut connection = sqlx::MySqlConnection::connect(&server).await.unwrap();
    let create = format!("CREATE DATABASE {name} CHARACTER SET utf8mb4");
    connection.execute(sqlx::AssertSqlSafe(create)).await.unwrap();
    Some(format!("{}/{name}", server.trim_end_matches('/')))
}

/// A database of each engine; that of SQLite lies in the folder.
pub async fn databases(dir: &tempfile::TempDir) -> Vec<Db> {
    let mut places = vec![Place::Sqlite(dir.path().join("fresh.sqlite"))];
    places.extend(mysql_url().await.map(|url| Place::mysql_url(&url).unwrap()));
    let mut all = Vec::new();
    for place in places {
        all.push(Db::open(&place).await.unwrap());
    }
    all
}
