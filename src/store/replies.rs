//! What admins corrected in, or added to, the dictionary of other servers' answers.

use super::db::{Db, Error, Result, Tx, Value, sql};
use crate::model::{explain::Override, time::Millis};

/// All corrections and additions, by name.
pub async fn all(db: &Db) -> Result<Vec<Override>> {
    let rows: Vec<(String,)> = db.fetch(sql("SELECT data FROM reply_override ORDER BY id")).await?;
    rows.iter()
        .map(|(data,)| serde_json::from_str(data).map_err(|_| Error::Damaged("a correction of a reply")))
        .collect()
}

/// Stores a correction or addition; one of the same name is replaced.
pub async fn save(tx: &mut Tx, entry: &Override, by: &str, now: Millis) -> Result<()> {
    let data = serde_json::to_string(entry).map_err(|_| Error::Damaged("a correction of a reply"))?;
    let columns = ["id", "data", "changed_by", "changed_at"];
    let row = [Value::from(&entry.id), data.into(), by.into(), now.into()];
    tx.upsert("reply_override", columns, &["id"], &columns[1..], vec![row]).await
}

/// Removes one.
pub async fn remove(tx: &mut Tx, id: &str) -> Result<()> {
    tx.execute(sql("DELETE FROM reply_override WHERE id = ?").bind(id)).await.map(drop)
}
