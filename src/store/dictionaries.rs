//! Dictionaries for packing that a database made from its own stories: they know its people, hosts and checks, which no
//! dictionary of the program can.
//!
//! The newest one packs. Each story names the one it was packed with, so a dictionary stays until no story needs it. Whoever
//! reads a story whose dictionary this process has not met takes it from the database: another process has made it.
//!
//! What a dictionary holds outlives the mails it came from. So it holds no word that only a few mails have.

use std::{collections::HashSet, num::NonZeroU16, ops::Range, time::Duration};

pub use super::pack::Packer;
use super::{
    correlation::{PackedMail, StoredMail},
    db::{Db, Error, Result, Sql, Tx, sql},
    pack::{self, Unpacked},
};
use crate::model::{mail::MailId, time::Millis};

/// Mails there must be before one is made, and how many are looked at, at most.
const SAMPLE: usize = 8192;
/// Of so many there must be one among those looked at: a database may hold little but old mails.
const SHARE: usize = 4;
/// They are taken from so many parts of the time that is looked at, so that one large mailing is not taken for the whole.
const PARTS: i64 = 16;
/// How far back is looked.
const RECENT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Bytes of stories that are looked at, at most: bounds memory.
const SAMPLE_BYTES: usize = 8 << 20;
/// One of so many of them is only for the proof.
const PROOF: usize = 8;
/// Mails that have a word before a dictionary may hold it.
const COMMON: usize = 8;
/// Bytes of a dictionary. Up to 128 KB, zstd takes parameters for smaller things, which pack less with level 5.
const BYTES: usize = 144 << 10;
/// After this time people, hosts and checks are others.
const RENEWED: Duration = Duration::from_secs(180 * 24 * 3600);
/// Where nothing could be learnt, it is tried again after this time.
const AGAIN: Duration = Duration::from_secs(24 * 3600);

const ALL: &str = "SELECT number, hash, data FROM pack_dictionary WHERE number > 0";
/// A dictionary's row: number, hash of the data, data.
type Row = (i64, i64, Vec<u8>);

/// What mails of this transaction are packed with.
pub async fn packer(tx: &mut Tx) -> Result<Packer> {
    // Until this transaction ends, no other may remove what it packs with. SQLite has one writer at a time.
    let locked = if tx.is_mysql() { " LOCK IN SHARE MODE" } else { "" };
    let text = format!(
        "SELECT number FROM pack_dictionary WHERE number > 0 ORDER BY made_at DESC, number DESC LIMIT 1{locked}"
    );
    let newest: Option<(i64,)> = tx.fetch_one(sql(text)).await?;
    let Some(number) = newest.and_then(|(number,)| as_number(number)) else { return Ok(Packer::default()) };
    if let Some(packer) = Packer::own(number) {
        return Ok(packer);
    }
    meet(tx.fetch(sql(format!("{ALL}{locked}"))).await?)?;
    Ok(Packer::own(number).unwrap_or_default())
}

fn as_number(number: i64) -> Option<NonZeroU16> {
    u16::try_from(number).ok().and_then(NonZeroU16::new)
}

fn hash_of(data: &[u8]) -> i64 {
    twox_hash::XxHash3_64::oneshot(data).cast_signed()
}

fn meet(rows: Vec<Row>) -> Result<()> {
    for (number, hash, data) in rows {
        let number = as_number(number).filter(|_| hash_of(&data) == hash);
        pack::meet(number.ok_or(Error::Damaged("a dictionary"))?, data)?;
    }
    Ok(())
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
    dictionaries: impl AsyncFnOnce() -> Result<Vec<Row>>,
) -> Result<Vec<StoredMail>> {
    let unpack_all = || rows.iter().map(unpack).collect();
    match unpack_all() {
        Err(Error::Unmet(_)) => {
            meet(dictionaries().await?)?;
            unpack_all()
        }
        mails => mails,
    }
}

fn unpack(PackedMail { id, server, story }: &PackedMail) -> Result<StoredMail> {
    Ok(StoredMail { id: *id, server: *server, story: Unpacked(pack::unpack(story)?) })
}

/// Makes a dictionary where there is none yet, or only an old one; true when it did. Cheap while there is nothing to do.
/// One worker at a time calls this. `kept` is how long mails are kept.
pub async fn learn(db: &Db, now: Millis, kept: Duration) -> Result<bool> {
    learn_from(db, now, kept, SAMPLE).await
}

async fn learn_from(db: &Db, now: Millis, kept: Duration, least: usize) -> Result<bool> {
    let tried = "SELECT (SELECT MAX(made_at) FROM pack_dictionary WHERE number > 0), \
                 (SELECT MAX(made_at) FROM pack_dictionary WHERE number = 0)";
    let tried: Option<(Option<Millis>, Option<Millis>)> = db.fetch_one(sql(tried)).await?;
    let (made, noted) = tried.unwrap_or_default();
    let is_recent = |at: Option<Millis>, within: Duration| at.is_some_and(|at| now.since(at) < within);
    if is_recent(made, RENEWED.min(kept)) || is_recent(noted, AGAIN) {
        return Ok(false);
    }
    let text = format!("SELECT COUNT(*) FROM (SELECT state FROM mail_story LIMIT {least}) AS some");
    let count: Option<(i64,)> = db.fetch_one(sql(text)).await?;
    if count.is_none_or(|(count,)| count < least as i64) {
        return Ok(false);
    }
    let stories = sample(db, now).await?;
    let data = match stories.len() {
        few if few < least / SHARE => None,
        _ => tokio::task::spawn_blocking(move || train(stories))
            .await
            .map_err(|_| sqlx::Error::WorkerCrashed)?,
    };
    let mut tx = db.begin().await?;
    let known: Vec<(i64,)> = tx.fetch(sql("SELECT number FROM pack_dictionary")).await?;
    let columns = ["number", "made_at", "hash", "data"];
    let Some(data) = data else {
        tracing::debug!("the mails of late teach no dictionary");
        let row = [0_i64.into(), now.into(), 0_i64.into(), Vec::new().into()];
        tx.upsert("pack_dictionary", columns, &columns[..1], &columns[1..], vec![row]).await?;
        tx.commit().await?;
        return Ok(false);
    };
    let hash = hash_of(&data);
    let mut numbers = (0..u16::MAX).filter_map(|step| NonZeroU16::new((hash as u16).wrapping_add(step)));
    let free = numbers.find(|number| {
        !known.contains(&(i64::from(number.get()),)) && pack::meet(*number, data.clone()).is_ok()
    });
    let free = free.ok_or(Error::Damaged("no number is left for a dictionary"))?;
    let row = [i64::from(free.get()).into(), now.into(), hash.into(), data.into()];
    tx.insert("pack_dictionary", columns, row).await?;
    tx.commit().await?;
    Ok(true)
}

/// Stories of recent mails. One that cannot be read is left out.
async fn sample(db: &Db, now: Millis) -> Result<Vec<Vec<u8>>> {
    meet(db.fetch(sql(ALL)).await?)?;
    let (low, high) = (MailId::floor(now.minus(RECENT)), MailId::floor(now));
    let text = "SELECT MIN(id) FROM mail_story WHERE id >= ? AND id < ?";
    let first: Option<(Option<MailId>,)> = db.fetch_one(sql(text).bind(low).bind(high)).await?;
    let low = first.and_then(|(first,)| first).unwrap_or(high);
    let begin = |part: i64| MailId(low.0 + (high.0 - low.0) / PARTS * part);
    let (mut stories, mut bytes) = (Vec::new(), 0);
    for part in 0..PARTS {
        let text = format!(
            "SELECT id, server, story FROM mail_story WHERE id >= ? AND id < ? ORDER BY id LIMIT {}",
            SAMPLE as i64 / PARTS
        );
        let rows: Vec<PackedMail> = db.fetch(sql(text).bind(begin(part)).bind(begin(part + 1))).await?;
        for story in rows.iter().filter_map(|row| Some(unpack(row).ok()?.story.0)) {
            bytes += story.len();
            if bytes > SAMPLE_BYTES {
                return Ok(stories);
            }
            stories.push(story);
        }
    }
    Ok(stories)
}

/// A dictionary of what these stories have in common; `None` where it would pack hardly better than the program's.
fn train(stories: Vec<Vec<u8>>) -> Option<Vec<u8>> {
    let (mut proof, mut known) = (Vec::new(), Vec::new());
    for (index, story) in stories.into_iter().enumerate() {
        if index % PROOF == 0 { proof.push(story) } else { known.push(story) }
    }
    make_noise(&mut known)?;
    let data = zstd::dict::from_samples(&known, BYTES).ok()?;
    let (own, programs) = pack::sizes(&data, proof.iter().map(Vec::as_slice)).ok()?;
    (own * 20 < programs * 19).then_some(data)
}

/// Where a story's words lie: what may tell of somebody. A word is no longer than what stands between two signs as `@`.
fn words(story: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let in_word = |byte: u8| {
        byte.is_ascii_alphanumeric() || byte >= 128 || matches!(byte, b'_' | b'.' | b'+' | b'=' | b'-')
    };
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at + story.get(at..)?.iter().position(|byte| in_word(*byte))?;
        let length = story[begin..].iter().position(|byte| !in_word(*byte));
        at = length.map_or(story.len(), |length| begin + length);
        Some(begin..at)
    })
}

/// Puts letters and digits drawn by lot in place of the words that only a few stories have. They stay there as letters and digits,
/// because a dictionary also tells how often each byte stands in a story. `None` without a source of randomness.
fn make_noise(stories: &mut [Vec<u8>]) -> Option<()> {
    let mut lot = getrandom::u64().ok()?;
    let seed = lot;
    let hash = |word: &[u8]| twox_hash::XxHash3_64::oneshot_with_seed(seed, word);
    // One for each story that has the word, equal ones side by side.
    let mut known: Vec<u64> = Vec::new();
    for story in &*stories {
        let own: HashSet<u64> = words(story).map(|word| hash(&story[word])).collect();
        known.extend(own);
    }
    known.sort_unstable();
    let is_rare = |word: &[u8]| {
        let word = hash(word);
        let first = known.partition_point(|known| *known < word);
        known.get(first + COMMON - 1) != Some(&word)
    };
    // Steele, Lea and Flood's SplitMix (2014): quick, and nobody has to be kept from guessing what stands for nothing.
    let mut draw = |range: Range<u8>| {
        lot = lot.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (lot ^ lot >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        range.start + (mixed >> 40) as u8 % (range.end - range.start)
    };
    for story in stories {
        let rare: Vec<Range<usize>> = words(story).filter(|word| is_rare(&story[word.clone()])).collect();
        for word in rare {
            let is_hex = |digit: Range<u8>| {
                story[word.clone()].iter().all(|byte| byte.is_ascii_digit() || digit.contains(byte))
            };
            let letters = if is_hex(b'a'..b'g') || is_hex(b'A'..b'G') { 6 } else { 26 };
            for byte in &mut story[word] {
                *byte = match *byte {
                    b'0'..=b'9' => draw(b'0'..b'9' + 1),
                    b'a'..=b'z' => draw(b'a'..b'a' + letters),
                    b'A'..=b'Z' => draw(b'A'..b'A' + letters),
                    128.. => draw(128..192),
                    sign => sign,
                };
            }
        }
    }
    Some(())
}

/// Removes dictionaries that no mail needs any more. `kept` is how long mails are kept.
pub async fn prune(db: &Db, now: Millis, kept: Duration) -> Result<()> {
    let rows: Vec<(i64, Millis)> = db
        .fetch(sql("SELECT number, made_at FROM pack_dictionary WHERE number > 0 ORDER BY made_at, number"))
        .await?;
    // Since its successor was made, nothing was packed with it.
    for ((number, _), (_, replaced)) in rows.iter().zip(rows.iter().skip(1)) {
        let Some(number) = as_number(*number).filter(|_| now.since(*replaced) >= kept) else { continue };
        let mut tx = db.begin().await?;
        // Mails of the future are kept for longer than others. All are looked at, but once in half a year.
        let [low, high] = number.get().to_le_bytes();
        let text = "SELECT id FROM mail_story WHERE SUBSTR(story, 1, 3) = ? LIMIT 1";
        let needed: Option<(MailId,)> =
            tx.fetch_one(sql(text).bind(vec![pack::OWN_BLOCK, low, high])).await?;
        if needed.is_none() {
            tx.execute(sql("DELETE FROM pack_dictionary WHERE number = ?").bind(i64::from(number.get())))
                .await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
