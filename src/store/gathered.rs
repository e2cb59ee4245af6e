//! Where the keys of mails lie: new ones in a small table, older ones in a large one.
//!
//! Keys are hashes, so those of a batch land on as many pages of a large table as there are keys, and a database with little
//! memory reads and writes each of these pages. They are gathered in a table that is small enough to stay at hand, and worked into
//! the large one many at a time, in its order, by a job.
//!
//! Each key of a mail stands in one of the two. The large one has keys of mails up to a mark only, so that who asks for younger
//! mails need not look into it. Whoever writes or moves keys first takes hold of the mark's row, so that none is moved
//! while it is changed.

use std::time::Duration;

use super::db::{Db, Result, Tx, sql};
use crate::model::{mail::MailId, time::Millis};

/// The table of new keys.
pub(super) const NEW: &str = "mail_key_new";
/// The table of those that were worked in.
pub(super) const LARGE: &str = "mail_key";
/// Both: what lists ask of one they ask of the other.
pub(super) const TABLES: [&str; 2] = [NEW, LARGE];

/// Keys that are gathered before some are worked in.
const ENOUGH: i64 = 1 << 16;
/// With more keys than this, those of young mails go, too: the small table would not stay at hand.
const MANY: i64 = 3 * ENOUGH;
/// Keys worked in by one transaction: bounds how long others wait for it.
const SLICE: usize = 2048;
/// Mails younger than this keep their keys in the small table: what the log still tells is mostly of them, and a queue id that
/// begins is looked for among them ([`crate::model::fold::REUSE`]).
const YOUNG: Duration = Duration::from_secs(36 * 3600);

/// Mails above this id have no key in the large table. Without the row nobody knows.
pub(super) async fn settled(tx: &mut Tx) -> Result<MailId> {
    let row: Option<(MailId,)> = tx.fetch_one(sql("SELECT settled FROM mail_key_mark WHERE id = 1")).await?;
    Ok(row.map_or(MailId(i64::MAX), |(settled,)| settled))
}

/// Lets nobody move keys until the transaction ends, and counts those that it writes. Answers as [`settled`].
pub(super) async fn hold(tx: &mut Tx, written: usize) -> Result<MailId> {
    let columns = ["id", "settled", "gathered"];
    // At least one: of a row that an upsert does not change, MariaDB reads an earlier state afterwards, that of the
    // transaction's first look.
    let written = i64::try_from(written.max(1)).unwrap_or(i64::MAX);
    let row = [1_i64.into(), i64::MAX.into(), written.into()];
    tx.upsert_adding("mail_key_mark", columns, &columns[..1], &[], &columns[2..], vec![row]).await?;
    settled(tx).await
}

/// Writes the mark anew where all keys may lie in the large table: after a restore.
pub(super) async fn mark_anew(tx: &mut Tx) -> Result<()> {
    tx.execute(sql("DELETE FROM mail_key_mark")).await?;
    let mark =
        "INSERT INTO mail_key_mark (id, settled, gathered) SELECT 1, COALESCE(MAX(id), 0), 0 FROM mail_story";
    tx.execute(sql(mark)).await.map(drop)
}

/// Works gathered keys in where there are enough of them. Cheap while there are not.
pub async fn settle(db: &Db, now: Millis) -> Result<()> {
    let gathered: Option<(i64,)> =
        db.fetch_one(sql("SELECT gathered FROM mail_key_mark WHERE id = 1")).await?;
    if gathered.is_none_or(|(gathered,)| gathered < ENOUGH) {
        return Ok(());
    }
    // A clock that ran ahead must not make all others old.
    let newest = "SELECT MAX(id) FROM mail_story WHERE id < ?";
    let newest: Option<(Option<MailId>,)> = db.fetch_one(sql(newest).bind(MailId::floor(now))).await?;
    let there: Option<(i64, Option<MailId>)> =
        db.fetch_one(sql("SELECT COUNT(*), MIN(mail) FROM mail_key_new")).await?;
    let (Some((Some(newest),)), Some((count, Some(first)))) = (newest, there) else { return Ok(()) };
    let young = MailId::floor(newest.second().minus(YOUNG));
    let half = MailId(first.0 + (newest.0 - first.0) / 2);
    let last = if count >= MANY { young.max(half) } else { young };
    // All are young, and not too many yet: a pass would find nothing to move.
    if last < first { Ok(()) } else { settle_up_to(db, last).await }
}

/// Works the gathered keys of the mails up to this one in.
pub async fn settle_up_to(db: &Db, last: MailId) -> Result<()> {
    let mut tx = db.begin().await?;
    let settled = hold(&mut tx, 0).await?.max(last);
    tx.write(sql("UPDATE mail_key_mark SET settled = ?, gathered = 0 WHERE id = 1").bind(settled)).await?;
    tx.commit().await?;
    let mut from = i64::MIN;
    while let Some(next) = settle_slice(db, from, last).await? {
        from = next;
        // Between two slices, pollers and visitors get their turn.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Works a slice of the keys from `from` on in; where the next one begins, if there is one.
async fn settle_slice(db: &Db, from: i64, last: MailId) -> Result<Option<i64>> {
    let mut tx = db.begin().await?;
    hold(&mut tx, 0).await?;
    let text = format!("SELECT k FROM mail_key_new WHERE k >= ? ORDER BY k LIMIT 1 OFFSET {SLICE}");
    let next: Option<(i64,)> = tx.fetch_one(sql(text).bind(from)).await?;
    // A key with more rows than a slice is one by itself.
    let end = next.map(|(end,)| end.max(from + 1));
    let within = "k >= ? AND k < ? AND mail <= ?";
    let bound = |text: String| sql(text).bind(from).bind(end.unwrap_or(i64::MAX)).bind(last);
    let text = format!(
        "REPLACE INTO mail_key (k, mail, state) SELECT k, mail, state FROM mail_key_new WHERE {within}"
    );
    tx.write(bound(text)).await?;
    tx.write(bound(format!("DELETE FROM mail_key_new WHERE {within}"))).await?;
    tx.commit().await?;
    Ok(end)
}

#[cfg(test)]
mod tests;
