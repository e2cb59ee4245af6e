//! Whether the database lets us work: writing is tried and taken back, and the rights are read.

use super::db::{Db, Result, sql};

/// What the user of a MariaDB or MySQL database must be allowed to do there.
const NEEDED: [&str; 8] = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "INDEX", "DROP"];

/// Writes a row and takes it back.
pub async fn try_writing(db: &Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let row = [["doctor".into(), "".into(), 0_i64.into()]];
    tx.upsert("lease", ["name", "holder", "expires_at"], &["name"], &[], row.into()).await?;
    // Waits for the row, and tells what went wrong with it.
    tx.execute(sql("DELETE FROM lease WHERE name = ?").bind("doctor")).await.map(drop)
}

/// Rights that the user lacks; `None` when that cannot be told: rights may come from a role.
pub async fn missing_rights(db: &Db) -> Result<Option<Vec<&'static str>>> {
    let Db::Mysql { .. } = db else { return Ok(Some(Vec::new())) };
    let database: Option<(Option<String>,)> = db.fetch_one(sql("SELECT DATABASE()")).await?;
    let database = database.and_then(|(name,)| name).unwrap_or_default();
    let grants: Vec<(String,)> = db.fetch(sql("SHOW GRANTS")).await?;
    Ok(missing(grants.iter().map(|(grant,)| grant.as_str()), &database))
}

fn missing<'a>(grants: impl Iterator<Item = &'a str>, database: &str) -> Option<Vec<&'static str>> {
    let mut had: Vec<&str> = Vec::new();
    let mut has_role = false;
    for grant in grants {
        let Some((rights, place)) = grant.strip_prefix("GRANT ").and_then(|grant| grant.split_once(" ON "))
        else {
            has_role = true;
            continue;
        };
        if is_here(place, database) {
            had.extend(rights.split(',').map(str::trim));
        }
    }
    if had.contains(&"ALL PRIVILEGES") {
        return Some(Vec::new());
    }
    let missing: Vec<&'static str> = NEEDED.into_iter().filter(|right| !had.contains(right)).collect();
    (missing.is_empty() || !has_role).then_some(missing)
}

/// Whether a grant is for all tables of the database. Its name may be a pattern (GRANT, "Database Privileges").
fn is_here(place: &str, database: &str) -> bool {
    let Some((name, _)) = place.split_once(".* TO ") else { return false };
    let name = name.trim_matches('`').replace('\\', "");
    match name.split_once('%') {
        Some((begin, _)) => database.starts_with(begin),
        None => name == "*" || name == database,
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use sqlx::{Connection, Executor, mysql::MySqlConnectOptions};

    use super::*;
    use crate::store::db::Place;

    #[tokio::test]
    async fn the_rights_that_are_asked_for_are_enough() {
        let Ok(server) = std::env::var("MAILCOW_STATUS_TEST_MYSQL") else { return };
        // Not a name for whose databases MariaDB gives everybody rights, as test_.
        let name = format!("rights_{:016x}", getrandom::u64().unwrap());
        let mut connection = sqlx::MySqlConnection::connect(&server).await.unwrap();
        let mut run = async |text: String| connection.execute(sqlx::AssertSqlSafe(text)).await.unwrap();
        run(format!("CREATE DATABASE {name}")).await;
        for host in ["%", "localhost"] {
            run(format!("CREATE USER {name}@'{host}' IDENTIFIED BY 'secret'")).await;
            run(format!("GRANT {} ON {name}.* TO {name}@'{host}'", NEEDED.join(", "))).await;
        }
        let options = MySqlConnectOptions::from_str(&server).unwrap();
        let options = options.username(&name).password("secret").database(&name);
        let db = Db::open(&Place::Mysql(Box::new(options))).await.unwrap();
        assert_eq!(missing_rights(&db).await.unwrap(), Some(Vec::new()));
        try_writing(&db).await.unwrap();
    }

    #[test]
    fn rights_are_read_from_grants() {
        let lacks = |grants: &[&str]| missing(grants.iter().copied(), "mailcow_status");
        assert_eq!(lacks(&["GRANT ALL PRIVILEGES ON `mailcow\\_status`.* TO `status`@`%`"]), Some(vec![]));
        assert_eq!(lacks(&["GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"]), Some(vec![]));
        let some = "GRANT SELECT, INSERT, UPDATE, DELETE ON `mailcow_status`.* TO `s`@`%`";
        let usage = "GRANT USAGE ON *.* TO `s`@`%`";
        assert_eq!(lacks(&[usage, some]), Some(vec!["CREATE", "ALTER", "INDEX", "DROP"]));
        assert_eq!(
            lacks(&[usage, "GRANT ALL PRIVILEGES ON `other`.* TO `s`@`%`"]).map(|it| it.len()),
            Some(8)
        );
        let public =
            "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER ON `test\\_%`.* TO PUBLIC";
        assert_eq!(lacks(&[usage, public]).map(|it| it.len()), Some(8), "MariaDB's own grant for tests");
        assert_eq!(lacks(&[&public.replace("test", "mailcow")]), Some(vec![]), "a pattern that fits");
        assert_eq!(lacks(&["GRANT `writers` TO `s`@`%`", usage]), None, "a role may bring them");
    }
}
