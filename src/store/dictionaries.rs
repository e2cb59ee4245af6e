//! Dictionaries for packing that a database made from its own stories: they know its people, hosts and checks, which no
//! dictionary of the program can.
//!
//! The newest one packs. Each story names the one it was packed with, so dictionaries stay. Whoever reads a story whose
//! dictionary this process has not met takes it from the database: another process has made it.

use std::{num::NonZeroU16, time::Duration};

pub use super::pack::Packer;
use super::{
    correlation::{PackedMail, StoredMail},
    db::{Db, Error, Result, Sql, Tx, sql},
    pack::{self, Unpacked},
};
use crate::model::{mail::MailId, time::Millis};

/// Mails there must be before one is made, and how many are looked at.
const SAMPLE: i64 = 8192;
/// They are taken from so many parts of the time that is looked at, so that one large mailing is not taken for the whole.
const PARTS: i64 = 16;
/// How far back is looked.
const RECENT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Bytes of stories that are looked at, at most: bounds memory.
const SAMPLE_BYTES: usize = 8 << 20;
/// Bytes of a dictionary. Up to 128 KB, zstd takes parameters for smaller things, which pack less with level 5.
const BYTES: usize = 144 << 10;
/// After this time people, hosts and checks are others.
const RENEWED: Duration = Duration::from_secs(180 * 24 * 3600);

const ALL: &str = "SELECT number, data FROM pack_dictionary WHERE number > 0";

/// What mails of this transaction are packed with.
pub async fn packer(tx: &mut Tx) -> Result<Packer> {
    let newest = "SELECT number FROM pack_dictionary ORDER BY made_at DESC, number DESC LIMIT 1";
    let newest: Option<(i64,)> = tx.fetch_one(sql(newest)).await?;
    let Some(number) = newest.and_then(|(number,)| as_number(number)) else { return Ok(Packer::default()) };
    if let Some(packer) = Packer::own(number) {
        return Ok(packer);
    }
    meet(tx.fetch(sql(ALL)).await?)?;
    Ok(Packer::own(number).unwrap_or_default())
}

fn as_number(number: i64) -> Option<NonZeroU16> {
    u16::try_from(number).ok().and_then(NonZeroU16::new)
}

fn meet(rows: Vec<(i64, Vec<u8>)>) -> Result<()> {
    let rows = rows.into_iter().filter_map(|(number, data)| Some((as_number(number)?, data)));
    rows.map(|(number, data)| pack::meet(number, data)).collect()
}

/// The mails of a statement that reads their ids, servers and stories. For jobs: nothing is cut to a scope here.
pub async fn mails_of(db: &Db, statement: Sql<'_>) -> Result<Vec<StoredMail>> {
    unpacked(db.fetch(statement).await?, async || db.fetch(sql(ALL)).await).await
}

/// These mails, read by this transaction.
pub(super) async fn mails_in(tx: &mut Tx, rows: Vec<PackedMail>) -> Result<Vec<StoredMail>> {
    unpacked(rows, async || tx.fetch(sql(ALL)).await).await
}

async fn unpacked(
    rows: Vec<PackedMail>,
    dictionaries: impl AsyncFnOnce() -> Result<Vec<(i64, Vec<u8>)>>,
) -> Result<Vec<StoredMail>> {
    match unpack_all(&rows) {
        Err(Error::Unmet(_)) => {
            meet(dictionaries().await?)?;
            unpack_all(&rows)
        }
        mails => mails,
    }
}

fn unpack_all(rows: &[PackedMail]) -> Result<Vec<StoredMail>> {
    let unpack = |PackedMail { id, server, story }: &PackedMail| {
        Ok(StoredMail { id: *id, server: *server, story: Unpacked(pack::unpack(story)?) })
    };
    rows.iter().map(unpack).collect()
}

/// Makes a dictionary where there is none yet, or only an old one; true when it did. Cheap while there is nothing to do.
pub async fn learn(db: &Db, now: Millis) -> Result<bool> {
    learn_from(db, now, SAMPLE).await
}

async fn learn_from(db: &Db, now: Millis, least: i64) -> Result<bool> {
    let newest: Option<(Option<Millis>,)> =
        db.fetch_one(sql("SELECT MAX(made_at) FROM pack_dictionary")).await?;
    if newest.and_then(|(made_at,)| made_at).is_some_and(|made_at| now.since(made_at) < RENEWED) {
        return Ok(false);
    }
    let text = format!("SELECT COUNT(*) FROM (SELECT state FROM mail_story LIMIT {least}) AS some");
    let count: Option<(i64,)> = db.fetch_one(sql(text)).await?;
    if count.is_none_or(|(count,)| count < least) {
        return Ok(false);
    }
    let (bytes, sizes) = sample(db).await?;
    let trained = tokio::task::spawn_blocking(move || zstd::dict::from_continuous(&bytes, &sizes, BYTES));
    let trained = trained.await.map_err(|_| sqlx::Error::WorkerCrashed)?;
    // Stories that are all alike, as those of a monitor, teach nothing; that is noted, too.
    let data = trained.unwrap_or_else(|error| {
        tracing::debug!(%error, "mails from which no dictionary can be made");
        Vec::new()
    });
    let mut tx = db.begin().await?;
    let known: Vec<(i64,)> = tx.fetch(sql("SELECT number FROM pack_dictionary")).await?;
    let is_free = |number: &NonZeroU16| {
        let number = (i64::from(number.get()),);
        !known.contains(&number)
    };
    let hash = twox_hash::XxHash3_64::oneshot(&data) as u16;
    let mut numbers =
        (0..u16::MAX).filter_map(|step| NonZeroU16::new(hash.wrapping_add(step))).filter(is_free);
    let free =
        if data.is_empty() { None } else { numbers.find(|free| pack::meet(*free, data.clone()).is_ok()) };
    let row = [free.map_or(0, |free| i64::from(free.get())).into(), data.into(), now.into()];
    let columns = ["number", "data", "made_at"];
    tx.upsert("pack_dictionary", columns, &columns[..1], &columns[1..], vec![row]).await?;
    tx.commit().await?;
    Ok(free.is_some())
}

/// Stories of recent mails, one behind the other, and how long each is.
async fn sample(db: &Db) -> Result<(Vec<u8>, Vec<usize>)> {
    let ends = "SELECT (SELECT MIN(id) FROM mail_story), (SELECT MAX(id) FROM mail_story)";
    let ends: Option<(Option<MailId>, Option<MailId>)> = db.fetch_one(sql(ends)).await?;
    let (mut bytes, mut sizes) = (Vec::new(), Vec::new());
    let Some((Some(first), Some(last))) = ends else { return Ok((bytes, sizes)) };
    let low = first.max(MailId::floor(last.second().minus(RECENT)));
    let begin = |part: i64| MailId(low.0 + (last.0 - low.0) / PARTS * part);
    for part in 0..PARTS {
        let text = format!(
            "SELECT id, server, story FROM mail_story WHERE id >= ? AND id < ? ORDER BY id LIMIT {}",
            SAMPLE / PARTS
        );
        for mail in mails_of(db, sql(text).bind(begin(part)).bind(begin(part + 1))).await? {
            if bytes.len() + mail.story.0.len() <= SAMPLE_BYTES {
                bytes.extend_from_slice(&mail.story.0);
                sizes.push(mail.story.0.len());
            }
        }
    }
    Ok((bytes, sizes))
}

#[cfg(test)]
mod tests;
