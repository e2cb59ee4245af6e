//! Empty databases for tests: SQLite, and MariaDB where `MAILCOW_STATUS_TEST_MYSQL` names a server; and how each
//! engine would run a statement.

use sqlx::{Connection, Executor};

use super::db::{Db, Place, Sql};

/// The address of a fresh MariaDB database.
pub async fn mysql_url() -> Option<String> {
    let server = std::env::var("MAILCOW_STATUS_TEST_MYSQL").ok()?;
    let name = format!("test_{:016x}", getrandom::u64().unwrap());
    let mut connection = sqlx::MySqlConnection::connect(&server).await.unwrap();
    let create = format!("CREATE DATABASE {name} CHARACTER SET utf8mb4");
    connection.execute(sqlx::AssertSqlSafe(create)).await.unwrap();
    Some(format!("{}/{name}", server.trim_end_matches('/')))
}

/// Where fresh databases of each engine may be made; that of SQLite lies in the folder.
pub async fn places(dir: &tempfile::TempDir) -> Vec<Place> {
    let mut places = vec![Place::Sqlite(dir.path().join("fresh.sqlite"))];
    places.extend(mysql_url().await.map(|url| Place::mysql_url(&url).unwrap()));
    places
}

/// A database of each engine; that of SQLite lies in the folder.
pub async fn databases(dir: &tempfile::TempDir) -> Vec<Db> {
    let mut all = Vec::new();
    for place in places(dir).await {
        all.push(Db::open(&place).await.unwrap());
    }
    all
}

/// A step of the engine's plan for a statement.
pub struct Step {
    /// Whether a whole table or index is read.
    pub whole: bool,
    /// SQLite: its own words. MariaDB: way of access, table, key and the bytes of it that are used.
    pub text: String,
}

/// How the engine would run a statement. `found` tells by its name what is no table but the result of another step, and
/// may be read whole: what the statement calls it, and with MariaDB `<derived2>` and its kin.
pub async fn plan(db: &Db, statement: Sql<'_>, found: impl Fn(&str) -> bool) -> Vec<Step> {
    let statement = statement.explained(db);
    let steps: Vec<Step> = if let Db::Sqlite { .. } = db {
        let steps: Vec<(i64, i64, i64, String)> = db.fetch(statement).await.unwrap();
        let whole = |text: &str| {
            let name = text.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            name.is_some_and(|name| !found(name))
        };
        steps.into_iter().map(|(_, _, _, text)| Step { whole: whole(&text), text }).collect()
    } else {
        let steps: Vec<MysqlStep> = db.fetch(statement).await.unwrap();
        steps.into_iter().map(|step| step.told(&found)).collect()
    };
    assert!(!steps.is_empty());
    steps
}

/// The steps that read a whole table or index; `found` as for [`plan`].
pub async fn scans(db: &Db, statement: Sql<'_>, found: impl Fn(&str) -> bool) -> Vec<String> {
    plan(db, statement, found).await.into_iter().filter(|step| step.whole).map(|step| step.text).collect()
}

#[derive(sqlx::FromRow)]
struct MysqlStep {
    table: Option<String>,
    #[sqlx(rename = "type")]
    kind: Option<String>,
    key: Option<String>,
    key_len: Option<String>,
}

impl MysqlStep {
    fn told(self, found: impl Fn(&str) -> bool) -> Step {
        let [table, kind, key, bytes] =
            [self.table, self.kind, self.key, self.key_len].map(Option::unwrap_or_default);
        let whole = !found(&table) && matches!(kind.as_str(), "ALL" | "index");
        Step { whole, text: format!("{kind} {table} {key} {bytes}") }
    }
}
