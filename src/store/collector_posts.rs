//! What host collectors posted: the newest of each server, which holds nothing of people.

use super::db::{Db, Result, Tx, sql};
use crate::model::{mail::ServerId, time::Millis};

const COLUMNS: [&str; 3] = ["server", "at", "text"];

/// Keeps a post; false when one of that moment or a later one is kept already, so that no post counts twice.
pub async fn keep(tx: &mut Tx, server: ServerId, at: Millis, text: &str) -> Result<bool> {
    // Makes the row, or locks it: two posts at once come one after the other.
    let missing = [server.0.into(), Millis(0).into(), "".into()];
    tx.upsert("collector_post", COLUMNS, &COLUMNS[..1], &[], vec![missing]).await?;
    let statement = sql("SELECT at FROM collector_post WHERE server = ?").bind(server.0);
    let last: Option<(Millis,)> = tx.fetch_one(statement).await?;
    if last.is_some_and(|(last,)| last >= at) {
        return Ok(false);
    }
    let row = [server.0.into(), at.into(), text.into()];
    tx.upsert("collector_post", COLUMNS, &COLUMNS[..1], &COLUMNS[1..], vec![row]).await?;
    Ok(true)
}

/// The newest post of a server.
pub async fn newest(db: &Db, server: ServerId) -> Result<Option<String>> {
    let statement = sql("SELECT text FROM collector_post WHERE server = ? AND at > 0").bind(server.0);
    let row: Option<(String,)> = db.fetch_one(statement).await?;
    Ok(row.map(|(text,)| text))
}
