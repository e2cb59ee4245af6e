//! Whether the database lets us work: writing is tried and taken back, and the rights are read.

use super::db::{Db, Result, sql};

/// What the user of a MariaDB or MySQL database must be allowed to do there.
const NEEDED: [&str; 7] = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "INDEX"];

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
    use super::missing;

    #[test]
    fn rights_are_read_from_grants() {
        let lacks = |grants: &[&str]| missing(grants.iter().copied(), "mailcow_status");
        assert_eq!(lacks(&["GRANT ALL PRIVILEGES ON `mailcow\\_status`.* TO `status`@`%`"]), Some(vec![]));
        assert_eq!(lacks(&["GRANT ALL PRIVILEGES ON *.* TO `root`@`%` WITH GRANT OPTION"]), Some(vec![]));
        let some = "GRANT SELECT, INSERT, UPDATE, DELETE ON `mailcow_status`.* TO `s`@`%`";
        let usage = "GRANT USAGE ON *.* TO `s`@`%`";
        assert_eq!(lacks(&[usage, some]), Some(vec!["CREATE", "ALTER", "INDEX"]));
        assert_eq!(
            lacks(&[usage, "GRANT ALL PRIVILEGES ON `other`.* TO `s`@`%`"]).map(|it| it.len()),
            Some(7)
        );
        let public = "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, INDEX, ALTER ON `test\\_%`.* TO PUBLIC";
        assert_eq!(lacks(&[usage, public]).map(|it| it.len()), Some(7), "MariaDB's own grant for tests");
        assert_eq!(lacks(&[&public.replace("test", "mailcow")]), Some(vec![]), "a pattern that fits");
        assert_eq!(lacks(&["GRANT `writers` TO `s`@`%`", usage]), None, "a role may bring them");
    }
}
