//! Leases: who runs a job at present. A row with an expiry, so that a killed run blocks nobody for long.

use std::time::Duration;

use super::db::{Db, Result, Tx, sql};
use crate::model::time::Millis;

/// Takes the lease `name` for `holder` until `now + length`, or renews it. False when somebody else has it.
pub async fn take(db: &Db, name: &str, holder: &str, now: Millis, length: Duration) -> Result<bool> {
    let mut tx = db.begin().await?;
    tx.upsert(
        "lease",
        ["name", "holder", "expires_at"],
        &["name"],
        &[],
        vec![[name.into(), "".into(), 0_i64.into()]],
    )
    .await?;
    let taken = tx
        .execute(
            sql("UPDATE lease SET holder = ?, expires_at = ? WHERE name = ? AND (holder = ? OR expires_at <= ?)")
                .bind(holder)
                .bind(now.plus(length))
                .bind(name)
                .bind(holder)
                .bind(now),
        )
        .await?;
    tx.commit().await?;
    Ok(taken > 0)
}

/// Gives the lease back, if `holder` still has it.
pub async fn release(tx: &mut Tx, name: &str, holder: &str) -> Result<()> {
    tx.execute(sql("UPDATE lease SET expires_at = 0 WHERE name = ? AND holder = ?").bind(name).bind(holder))
        .await
        .map(drop)
}

/// The names of the leases that somebody has at present.
pub async fn taken(db: &Db, now: Millis) -> Result<Vec<String>> {
    let rows: Vec<(String,)> =
        db.fetch(sql("SELECT name FROM lease WHERE expires_at > ? ORDER BY name").bind(now)).await?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}
