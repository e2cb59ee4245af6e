//! Feeding the search index: what was written since, and everything once when the index is new or cut anew.

use std::collections::{BTreeSet, HashMap};

use super::{BLOCKS, Blocks, Shape, grams_of, noted, row, stored_shape};
use crate::{
    model::mail::{Mail, MailId},
    store::{
        db::{Db, Result, Tx, places, sql},
        mails::read,
    },
};

/// Mails of one step: bounds memory and the length of its transaction.
const STEP: usize = 2000;
/// Rows that are read and written at once: bounds memory.
const ROWS: usize = 4096;
/// Mails that a block should hold, as near as a power of two of seconds comes: fewer make the index larger, more make candidates
/// worse.
const PER_BLOCK: i64 = 16;
/// The width before anything is known of the traffic: a minute.
const FIRST_WIDTH: i64 = 6;
/// What is still to be fed of an index that is made anew.
const EVERYTHING: MailId = MailId(i64::MAX);

/// Chooses how the index is cut, and anew when the traffic has become quite another since: then all mails are
/// fed again. Cheap while there is nothing to do. One worker at a time calls this and [`feed`].
pub async fn shape(db: &Db) -> Result<()> {
    let shape = stored_shape(db).await?;
    if shape.is_some_and(|shape| shape.fed < shape.mails.saturating_mul(2) + 1000) {
        return Ok(());
    }
    let counts: Option<(i64, Option<MailId>, Option<MailId>)> =
        db.fetch_one(sql("SELECT COUNT(*), MIN(id), MAX(id) FROM mail_story")).await?;
    let (mails, first, last) = counts.unwrap_or((0, None, None));
    let (first, last) = (first.unwrap_or(MailId(0)), last.unwrap_or(MailId(0)));
    let next = cut(shape, mails, last.second().secs() - first.second().secs());
    let mut tx = db.begin().await?;
    let columns = ["id", "width", "rest", "mails", "fed"];
    let values = [1.into(), next.width.into(), next.rest.into(), next.mails.into(), next.fed.into()];
    tx.upsert("search_shape", columns, &columns[..1], &columns[1..], vec![values]).await?;
    if next.rest == EVERYTHING {
        tx.execute(sql("DELETE FROM search_gram")).await?;
        // These mails are there and are fed with all the others.
        tx.execute(sql("DELETE FROM search_todo")).await?;
    }
    tx.commit().await
}

/// The shape for so many mails of so many seconds: the one there is, unless the traffic has become quite another, or one segment
/// holds all there is. That one would never be pruned, and it is soon made anew.
fn cut(shape: Option<Shape>, mails: i64, seconds: i64) -> Shape {
    let wished = if mails < PER_BLOCK { FIRST_WIDTH } else { width(mails, seconds.max(1)) };
    let kept = shape.filter(|shape| (shape.width - wished).abs() < 2 && BLOCKS << shape.width <= seconds);
    match kept {
        Some(shape) => Shape { mails, fed: 0, ..shape },
        None => Shape { width: wished, rest: EVERYTHING, mails, fed: 0 },
    }
}

/// The width at which a block holds about [`PER_BLOCK`] mails.
fn width(mails: i64, seconds: i64) -> i64 {
    let wished = seconds.saturating_mul(PER_BLOCK) / mails.max(1);
    // The nearest power: half of the logarithm of twice the square.
    i64::from((2 * wished.clamp(1, 1 << 16).pow(2)).ilog2() / 2)
}

/// Feeds some of what is to be fed; true when there may be more.
pub async fn feed(db: &Db) -> Result<bool> {
    let Some(shape) = stored_shape(db).await? else { return Ok(false) };
    let todo: Vec<(i64, Vec<u8>)> =
        db.fetch(sql("SELECT id, mails FROM search_todo ORDER BY id LIMIT 64")).await?;
    if !todo.is_empty() {
        return feed_written(db, shape, todo).await;
    }
    if shape.rest.0 <= 0 {
        return Ok(false);
    }
    let text = format!("SELECT id FROM mail_story WHERE id < ? ORDER BY id DESC LIMIT {STEP}");
    let ids: Vec<(MailId,)> = db.fetch(sql(text).bind(shape.rest)).await?;
    let ids: Vec<MailId> = ids.into_iter().map(|(id,)| id).collect();
    let rest = ids.last().copied().unwrap_or(MailId(0));
    let mails = read(db, &ids).await?;
    let mut tx = db.begin().await?;
    if add(&mut tx, shape, &mails, Some(rest)).await? {
        tx.commit().await?;
    }
    Ok(true)
}

async fn feed_written(db: &Db, shape: Shape, todo: Vec<(i64, Vec<u8>)>) -> Result<bool> {
    let (mut numbers, mut ids) = (Vec::new(), BTreeSet::new());
    for (number, bytes) in todo {
        numbers.push(number);
        ids.extend(noted(&bytes));
        if ids.len() >= STEP {
            break;
        }
    }
    let ids: Vec<MailId> = ids.into_iter().collect();
    // Mails of a large batch are fed in several steps; its note goes with the last one.
    let steps = ids.chunks(STEP).collect::<Vec<_>>();
    for (index, ids) in steps.iter().enumerate() {
        let mails = read(db, ids).await?;
        let mut tx = db.begin().await?;
        if !add(&mut tx, shape, &mails, None).await? {
            return Ok(true);
        }
        if index + 1 == steps.len() {
            let text = format!("DELETE FROM search_todo WHERE id IN ({})", places(numbers.len()));
            tx.execute(sql(text).bind_all(numbers.iter().copied())).await?;
        }
        tx.commit().await?;
    }
    Ok(true)
}

/// Adds mails to the index. False when it was cut anew in the meantime: then nothing must be written.
async fn add(tx: &mut Tx, shape: Shape, mails: &[Mail], rest: Option<MailId>) -> Result<bool> {
    // Takes the row's lock: on MariaDB, a second feeder waits here, and reads what the first has written.
    let locked = tx
        .execute(
            sql(
                "UPDATE search_shape SET fed = fed + 1 + ?, rest = ? WHERE id = 1 AND width = ? AND rest = ?",
            )
            .bind(i64::try_from(mails.len()).unwrap_or(i64::MAX))
            .bind(rest.unwrap_or(shape.rest))
            .bind(shape.width)
            .bind(shape.rest),
        )
        .await?;
    if locked == 0 {
        return Ok(false);
    }
    // Segment, gram, block.
    let mut fresh: Vec<(i64, i32, i64)> = Vec::new();
    for mail in mails {
        let block = shape.block(mail.id);
        let (segment, block) = (block.div_euclid(BLOCKS), block.rem_euclid(BLOCKS));
        fresh.extend(grams_of(mail).into_iter().map(|gram| (segment, gram, block)));
    }
    fresh.sort_unstable();
    for fresh in fresh.chunk_by(|a, b| a.0 == b.0) {
        let rows: Vec<&[(i64, i32, i64)]> = fresh.chunk_by(|a, b| a.1 == b.1).collect();
        for rows in rows.chunks(ROWS) {
            add_rows(tx, rows).await?;
        }
    }
    Ok(true)
}

/// Adds blocks to rows of one segment: for each the blocks of its gram.
async fn add_rows(tx: &mut Tx, fresh: &[&[(i64, i32, i64)]]) -> Result<()> {
    let Some((segment, ..)) = fresh.first().and_then(|row| row.first()) else { return Ok(()) };
    let grams: Vec<i32> = fresh.iter().filter_map(|row| row.first()).map(|(_, gram, _)| *gram).collect();
    let known: Vec<(i32, Vec<u8>)> = tx
        .fetch_in(&grams, |list| {
            format!("SELECT gram, blocks FROM search_gram WHERE segment = {segment} AND gram IN ({list})")
        })
        .await?;
    let known: HashMap<i32, Vec<u8>> = known.into_iter().collect();
    let mut rows = Vec::new();
    for (gram, fresh) in grams.into_iter().zip(fresh) {
        let mut blocks = known.get(&gram).map_or_else(Blocks::none, |known| Blocks::unpack(known));
        let added = fresh.iter().filter(|(.., block)| blocks.add(*block)).count();
        if added > 0 {
            rows.push(row(*segment, gram, &blocks));
        }
    }
    let columns = ["segment", "gram", "blocks"];
    tx.upsert("search_gram", columns, &columns[..2], &columns[2..], rows).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        fresh::databases,
        search::tests::{SHAPE, index, mail},
    };

    #[tokio::test]
    async fn a_step_writes_all_of_its_rows_however_many() {
        let letters = || (b'a'..=b't').map(char::from);
        let words =
            letters().flat_map(|a| letters().flat_map(move |b| letters().map(move |c| format!("{a}{b}{c}"))));
        let mut mail = mail();
        let subject = words.collect::<Vec<_>>().join(" ");
        mail.check.iter_mut().for_each(|check| check.subject = Some(subject.clone()));
        let grams = grams_of(&mail);
        assert!(grams.len() > 2 * ROWS - 200, "{} rows", grams.len());
        let dir = tempfile::tempdir().unwrap();
        for db in databases(&dir).await {
            index(&db, &Default::default()).await;
            let mut tx = db.begin().await.unwrap();
            assert!(add(&mut tx, SHAPE, std::slice::from_ref(&mail), None).await.unwrap());
            tx.commit().await.unwrap();
            let rows: Vec<(i32,)> = db.fetch(sql("SELECT gram FROM search_gram")).await.unwrap();
            let rows: BTreeSet<i32> = rows.into_iter().map(|(gram,)| gram).collect();
            assert_eq!(rows, grams, "{}", db.engine());
        }
    }

    #[test]
    fn a_block_lasts_the_power_of_two_that_is_nearest() {
        let wished = |millis_a_mail: i64| width(1_000_000, 1000 * millis_a_mail);
        // 1, 11, 12, 26, 165 seconds.
        assert_eq!([100, 700, 800, 1660, 10_368].map(wished), [0, 3, 4, 5, 7]);
        assert_eq!(width(8, 100_000_000), 16, "eighteen hours at most");
    }

    #[test]
    fn an_index_is_made_anew_for_other_traffic_and_when_no_segment_would_ever_be_pruned() {
        let year = 365 * 86_400;
        let large = Shape { width: 5, rest: MailId(7), mails: 1_000_000, fed: 2_000_001 };
        let kept = |mails: i64, seconds: i64| {
            let next = cut(Some(large), mails, seconds);
            assert_eq!((next.mails, next.fed), (mails, 0));
            assert!(next.width == 5 || next.rest == EVERYTHING);
            next.rest == large.rest
        };
        assert!(kept(15_000_000, year));
        assert!(kept(7_000_000, year) && kept(31_000_000, year), "twice the traffic is much the same");
        assert!(!kept(3_500_000, year) && !kept(62_000_000, year));
        let segment = BLOCKS << 5;
        assert!(kept(segment / 2, segment) && !kept(segment / 2, segment - 1));
        assert!(!kept(0, 0));
    }
}
