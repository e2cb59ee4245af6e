//! Where the keys of mails lie: new ones in a small table, older ones in a large one.
//!
//! Keys are hashes, so those of a batch land on as many pages of a large table as there are keys, and a database with little
//! memory reads and writes each of these pages. They are gathered in a table that is small enough to stay at hand, and worked into
//! the large one many at a time, in its order, by a job.
//!
//! Each key of a mail stands in one of the two. The large one has keys of mails up to a mark only, so that who asks for younger
//! mails need not look into it. Whoever writes or moves keys first takes hold of the mark's row, so that none is moved
//! while it is changed.

use super::db::{Db, Result, Tx, sql};
use crate::model::mail::MailId;

/// The table of new keys.
pub(super) const NEW: &str = "mail_key_new";
/// The table of those that were worked in.
pub(super) const LARGE: &str = "mail_key";
/// Both: what lists ask of one they ask of the other.
pub(super) const TABLES: [&str; 2] = [NEW, LARGE];

/// Keys that are gathered before some are worked in: a few for each page of a large table of a million mails.
const ENOUGH: i64 = 1 << 17;
/// Keys worked in by one transaction: bounds how long others wait for it.
const SLICE: usize = 2048;
/// Mails younger than this keep their keys in the small table, unless there are very many: what the log still tells is mostly of them,
/// and a queue id that begins is looked for among them ([`crate::model::fold::REUSE`]).
const YOUNG: std::time::Duration = std::time::Duration::from_secs(4 * 24 * 3600);

#[derive(Debug, Clone, Copy, sqlx::FromRow)]
struct Mark {
    settled: MailId,
    gathered: i64,
}

const NOTHING_KNOWN: Mark = Mark { settled: MailId(i64::MAX), gathered: 0 };
const MARK: &str = "SELECT settled, gathered FROM mail_key_mark WHERE id = 1";

/// Mails above this id have no key in the large table.
pub(super) async fn settled(tx: &mut Tx) -> Result<MailId> {
    Ok(tx.fetch_one(sql(MARK)).await?.unwrap_or(NOTHING_KNOWN).settled)
}

/// Lets nobody move keys until the transaction ends, and counts those that it writes. Answers as [`settled`].
pub(super) async fn hold(tx: &mut Tx, written: usize) -> Result<MailId> {
    let columns = ["id", "settled", "gathered"];
    let written = i64::try_from(written).unwrap_or(i64::MAX);
    let row = [1_i64.into(), NOTHING_KNOWN.settled.into(), written.into()];
    tx.upsert_adding("mail_key_mark", columns, &columns[..1], &[], &columns[2..], vec![row]).await?;
    settled(tx).await
}

/// Works gathered keys in where there are enough of them. Cheap while there are not.
pub async fn settle(db: &Db) -> Result<()> {
    let mark: Option<Mark> = db.fetch_one(sql(MARK)).await?;
    if mark.is_none_or(|mark| mark.gathered < ENOUGH) {
        return Ok(());
    }
    let Some(newest) = newest(db.fetch(sql(NEWEST)).await?) else { return Ok(()) };
    settle_up_to(db, MailId::floor(newest.second().minus(YOUNG))).await?;
    // What is young may be too many, too: then the older half of the time goes.
    let left: Vec<(i64, Option<MailId>)> =
        db.fetch(sql("SELECT COUNT(*), MIN(mail) FROM mail_key_new")).await?;
    match left.first() {
        Some((count, Some(first))) if *count >= 2 * ENOUGH => {
            settle_up_to(db, MailId(first.0 + (newest.0 - first.0) / 2)).await
        }
        _ => Ok(()),
    }
}

const NEWEST: &str = "SELECT MAX(id) FROM mail_story";

fn newest(rows: Vec<(Option<MailId>,)>) -> Option<MailId> {
    rows.first().and_then(|(newest,)| *newest)
}

/// Works the gathered keys of the mails up to this one in.
pub async fn settle_up_to(db: &Db, last: MailId) -> Result<()> {
    let mut tx = db.begin().await?;
    let settled = match hold(&mut tx, 0).await? {
        // Nobody knows what the large table holds, but it holds nothing of mails that are not there.
        settled if settled == NOTHING_KNOWN.settled => {
            let newest: Option<(Option<MailId>,)> =
                tx.fetch_one(sql("SELECT MAX(id) FROM mail_story")).await?;
            newest.and_then(|(newest,)| newest).unwrap_or(last).max(last)
        }
        settled => settled.max(last),
    };
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
