//! What came in and could not be read as a report: kept with its reason, so that people see it and a better parser can
//! try again. The same bytes are kept once.

use super::{
    db::{Db, Result, Tx, Value, sql},
    pack::{Unpacked, pack},
    reports::ArrivalRow,
    texts::cut,
};
use crate::model::{figures::Unreadable, report::Arrival, time::Millis};

/// More bytes are not kept.
const MOST_BYTES: usize = 48 << 20;
/// Bytes that take more when packed are not kept: a packet of the database holds 16 MiB.
const MOST: usize = 8 << 20;
/// Rows that one step of pruning deletes.
const PIECE: i64 = 200;

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    #[sqlx(flatten)]
    arrival: ArrivalRow,
    reason: String,
    size: i64,
    kept: i64,
}

impl From<Row> for Unreadable {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            arrival: row.arrival.into(),
            reason: row.reason,
            bytes: row.size.unsigned_abs(),
            kept: row.kept == 1,
        }
    }
}

/// Keeps something unreadable and answers its number. The same bytes again keep their number and get the new reason.
pub async fn insert(tx: &mut Tx, arrival: &Arrival, reason: &str, bytes: &[u8]) -> Result<i64> {
    let hash = super::reports::hash(bytes);
    let packed = (bytes.len() <= MOST_BYTES).then(|| pack(bytes)).filter(|packed| packed.len() <= MOST);
    let row: [Value<'_>; 10] = [
        (&hash).into(),
        arrival.at.into(),
        cut(&arrival.via).into(),
        cut(&arrival.name).into(),
        arrival.sender.as_deref().map(cut).into(),
        arrival.proof.code().into(),
        arrival.evidence.as_deref().map(cut).into(),
        cut(reason).into(),
        i64::try_from(bytes.len()).unwrap_or(i64::MAX).into(),
        packed.into(),
    ];
    let columns =
        ["hash", "arrived_at", "via", "name", "sender", "proof", "evidence", "reason", "size", "document"];
    tx.upsert("unreadable_report", columns, &["hash"], &["reason"], vec![row]).await?;
    let found: Option<(i64,)> =
        tx.fetch_one(sql("SELECT id FROM unreadable_report WHERE hash = ?").bind(&hash)).await?;
    Ok(found.map_or(0, |(id,)| id))
}

/// What could not be read, newest first, behind `after`.
pub async fn list(db: &Db, after: Option<i64>, limit: usize) -> Result<Vec<Unreadable>> {
    let statement = sql("SELECT id, arrived_at, via, name, sender, proof, evidence, reason, size, \
         CASE WHEN document IS NULL THEN 0 ELSE 1 END AS kept FROM unreadable_report WHERE id < ? \
         ORDER BY id DESC LIMIT ?");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows: Vec<Row> = db.fetch(statement.bind(after.unwrap_or(i64::MAX)).bind(limit)).await?;
    Ok(rows.into_iter().map(Unreadable::from).collect())
}

/// The bytes themselves with how they came, where they were kept.
pub async fn bytes(db: &Db, id: i64) -> Result<Option<(Arrival, Vec<u8>)>> {
    #[derive(sqlx::FromRow)]
    struct Kept {
        #[sqlx(flatten)]
        arrival: ArrivalRow,
        document: Option<Vec<u8>>,
    }
    let statement = sql(
        "SELECT arrived_at, via, name, sender, proof, evidence, document FROM unreadable_report WHERE id = ?",
    );
    let Some(row): Option<Kept> = db.fetch_one(statement.bind(id)).await? else { return Ok(None) };
    let document = row.document.map(Unpacked::try_from).transpose()?;
    Ok(document.map(|document| (row.arrival.into(), document.0)))
}

/// Forgets one, for example because it could be read now.
pub async fn remove(tx: &mut Tx, id: i64) -> Result<()> {
    tx.execute(sql("DELETE FROM unreadable_report WHERE id = ?").bind(id)).await?;
    Ok(())
}

/// Deletes some that came before a moment. True: more may be left.
pub async fn prune(tx: &mut Tx, before: Millis) -> Result<bool> {
    let oldest = "SELECT id FROM unreadable_report WHERE arrived_at < ? ORDER BY arrived_at, id LIMIT ?";
    let ids: Vec<(i64,)> = tx.fetch(sql(oldest).bind(before).bind(PIECE)).await?;
    for (id,) in &ids {
        remove(tx, *id).await?;
    }
    Ok(ids.len() as i64 == PIECE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::report::Proof,
        store::{
            fresh::databases,
            reports::tests::{BEGIN, arrival, count},
        },
    };

    async fn put(db: &Db, reason: &str, bytes: &[u8]) -> i64 {
        let mut tx = db.begin().await.unwrap();
        let id = insert(&mut tx, &arrival(Proof::Unchecked), reason, bytes).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_kept_once() {
        let dir = tempfile::tempdir().unwrap();
        for db in databases(&dir).await {
            let first = put(&db, "no XML", b"junk").await;
            let second = put(&db, "cut off", b"<feedback>").await;
            assert_eq!(put(&db, "no XML, says a newer reader", b"junk").await, first);
            let noise: Vec<u8> = (0..MOST / 2)
                .flat_map(|n| (n as u64 ^ 7).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[4..7].to_vec())
                .collect();
            let big = put(&db, "too big", &noise).await;
            let all = list(&db, None, 9).await.unwrap();
            let seen: Vec<_> =
                all.iter().map(|one| (one.id, one.reason.as_str(), one.bytes, one.kept)).collect();
            let junk = (first, "no XML, says a newer reader", 4, true);
            assert_eq!(
                seen,
                [(big, "too big", noise.len() as u64, false), (second, "cut off", 10, true), junk]
            );
            assert_eq!(all[0].arrival, arrival(Proof::Unchecked));
            assert_eq!(list(&db, Some(second), 9).await.unwrap().len(), 1);
            assert_eq!(
                bytes(&db, second).await.unwrap(),
                Some((arrival(Proof::Unchecked), b"<feedback>".to_vec()))
            );
            assert_eq!(bytes(&db, big).await.unwrap(), None);
            let mut tx = db.begin().await.unwrap();
            remove(&mut tx, second).await.unwrap();
            assert!(!prune(&mut tx, Millis(BEGIN)).await.unwrap());
            tx.commit().await.unwrap();
            assert_eq!(count(&db, "unreadable_report").await, 2);
            let mut tx = db.begin().await.unwrap();
            assert!(!prune(&mut tx, Millis(i64::MAX)).await.unwrap());
            tx.commit().await.unwrap();
            assert_eq!(count(&db, "unreadable_report").await, 0);
        }
    }
}
