//! The search index: makes searches for a part of a text skip the mails that cannot match.
//!
//! A block is a span of time, some mails long; for each gram (three bytes of lower-case text) the index knows
//! the blocks in which it occurs: those in whose ids, and those in whose words (addresses and subjects), as the
//! letters that ids are drawn from make any three bytes common. A block that holds all grams of a wish is a
//! candidate, no more: the mails are read, the scope cuts them and the filter decides. The index only grows
//! between prunes, may be behind or missing, and widens nobody's sight: what it has not seen yet counts as a
//! candidate.
//!
//! It is fed behind the ingestion: whoever writes mails notes their ids in the same transaction, a worker
//! reads those mails again and adds their grams. Where a mail stands follows from its id alone, so that feeding
//! twice changes nothing.

mod blocks;
mod feed;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use super::db::{Db, Result, Tx, Value, filled, places, sql};
use crate::model::{
    filter::{Filter, Place, Text},
    mail::{Mail, MailId},
    time::Millis,
};
use blocks::Blocks;
pub use feed::{feed, shape};

/// Blocks of one segment. The more, the fewer rows; with a bit for each, a row of SQLite still lies on one page (it may take a
/// quarter of it: fileformat2.html, 1.6).
const BLOCKS: i64 = 7680;
/// Segments looked at first, with all grams: a search begins with the newest and often ends there. They tell
/// which grams are sharp. Two, as the newest may be young.
const FIRST: i64 = 2;
/// Segments looked at together from then on.
const TOGETHER: i64 = 16;
/// A gram that leaves out less than one in so many of the blocks is not worth its rows.
const HARDLY: usize = 16;
/// Grams that are read first of each of these segments, the sharpest; twice as many follow where these leave a candidate, and so on.
const SHARPEST: usize = 2;
/// More grams of one wish narrow no further.
const GRAMS: usize = 32;
/// With more unfed batches than this, the index is left aside until its worker has caught up.
const UNFED: usize = 256;

/// How the index is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
struct Shape {
    /// A block lasts `2^width` seconds.
    width: i64,
    /// Mails below this id are still to be fed.
    rest: MailId,
    /// Mails there were when this shape was chosen.
    mails: i64,
    /// Mails fed since.
    fed: i64,
}

impl Shape {
    fn shift(&self) -> u32 {
        MailId::HASH_BITS + u32::try_from(self.width.clamp(0, 24)).unwrap_or_default()
    }

    /// The block of a mail, counted from the epoch.
    fn block(&self, id: MailId) -> i64 {
        id.0 >> self.shift()
    }

    /// The lowest id of a block.
    fn begin(&self, block: i64) -> MailId {
        MailId(block.saturating_mul(1 << self.shift()))
    }
}

/// The shape, and the first and the last segment there is.
#[derive(sqlx::FromRow)]
struct Extent {
    #[sqlx(flatten)]
    shape: Shape,
    low: Option<i64>,
    high: Option<i64>,
}

/// A row of the index.
#[derive(sqlx::FromRow)]
struct Row {
    segment: i64,
    gram: i32,
    blocks: Vec<u8>,
}

async fn stored_shape(db: &Db) -> Result<Option<Shape>> {
    db.fetch_one(sql("SELECT width, rest, mails, fed FROM search_shape WHERE id = 1")).await
}

/// Sets of grams: every mail that fits the filter has all of one of them. Empty when the index cannot help.
fn wanted(filter: &Filter) -> Vec<Vec<i32>> {
    let one = |anywhere: Text| {
        let mut grams = BTreeSet::new();
        let ip = filter.ip.as_deref().map(|ip| (ip.trim(), Some(Text::Ids)));
        for (part, text) in filter.parts().chain(ip) {
            add_grams(&mut grams, text.unwrap_or(anywhere), part);
        }
        grams.into_iter().take(GRAMS).collect::<Vec<i32>>()
    };
    let mut sets = vec![one(Text::Ids), one(Text::Words)];
    // Without a part that may lie in either they are the same, and a set that every mail has tells nothing.
    sets.dedup();
    if sets.iter().any(Vec::is_empty) { Vec::new() } else { sets }
}

/// The grams of a mail: of everything in which `Filter` looks for parts, as it compares them.
fn grams_of(mail: &Mail) -> BTreeSet<i32> {
    let mut grams = BTreeSet::new();
    let ids = [&mail.queue_id, &mail.message_id, &mail.client_ip];
    ids.into_iter().flatten().for_each(|text| add_grams(&mut grams, Text::Ids, text));
    let subject = mail.check.as_ref().and_then(|check| check.subject.as_ref());
    let words = [mail.sender.as_ref(), mail.login.as_ref(), subject].into_iter();
    let rows = mail.recipients.iter().flat_map(|row| [Some(&row.address), row.orig_to.as_ref()]);
    words.chain(rows).flatten().for_each(|text| add_grams(&mut grams, Text::Words, text));
    grams
}

/// Adds three bytes of a text each, and behind them the bit that tells what text it is: the two rows of a gram are neighbours.
fn add_grams(grams: &mut BTreeSet<i32>, of: Text, text: &str) {
    let lower = text.to_lowercase();
    grams.extend(
        lower
            .as_bytes()
            .windows(3)
            .map(|bytes| bytes.iter().fold(0, |gram, byte| gram << 8 | i32::from(*byte)) << 1 | of as i32),
    );
}

/// Notes mails as written and not yet fed, in the transaction that wrote them.
pub(super) async fn note(tx: &mut Tx, ids: impl Iterator<Item = MailId>) -> Result<()> {
    let bytes: Vec<u8> = ids.flat_map(|id| id.0.to_le_bytes()).collect();
    if bytes.is_empty() {
        return Ok(());
    }
    tx.insert("search_todo", ["mails"], [bytes.into()]).await
}

/// The ids of some [`note`].
fn noted(bytes: &[u8]) -> impl Iterator<Item = MailId> {
    bytes.as_chunks::<8>().0.iter().map(|chunk| MailId(i64::from_le_bytes(*chunk)))
}

/// Forgets what lies wholly before a moment.
pub(super) async fn prune(tx: &mut Tx, before: Millis) -> Result<()> {
    let shape: Option<Shape> =
        tx.fetch_one(sql("SELECT width, rest, mails, fed FROM search_shape WHERE id = 1")).await?;
    if let Some(shape) = shape {
        let segment = shape.block(MailId::floor(before)).div_euclid(BLOCKS);
        tx.execute(sql("DELETE FROM search_gram WHERE segment < ?").bind(segment)).await?;
    }
    Ok(())
}

/// The blocks in which mails may lie that have all wanted grams.
pub(super) struct Candidates {
    shape: Shape,
    /// The sets of wanted grams, one of which will do; once segments were looked at, the sharpest first and without those that
    /// cut hardly anything.
    wishes: Vec<Vec<i32>>,
    /// Blocks with mails that are not fed yet.
    unfed: BTreeSet<i64>,
    /// The first and the last segment there is.
    ends: (i64, i64),
    /// Candidates of the segments looked at; a segment without any is missing.
    known: BTreeMap<i64, Blocks>,
    /// Segments looked at.
    looked_at: BTreeSet<i64>,
}

impl Candidates {
    /// `None` when the index cannot help with this filter, or not now.
    pub async fn of(db: &Db, filter: &Filter) -> Result<Option<Self>> {
        let wishes = wanted(filter);
        if wishes.is_empty() {
            return Ok(None);
        }
        // Unfed mails first: what is fed in between is then known twice, and never missed.
        let text = format!("SELECT mails FROM search_todo ORDER BY id LIMIT {}", UNFED + 1);
        let todo: Vec<(Vec<u8>,)> = db.fetch(sql(text)).await?;
        let extent: Option<Extent> = db
            .fetch_one(sql("SELECT width, rest, mails, fed, (SELECT MIN(segment) FROM search_gram) AS low, \
                 (SELECT MAX(segment) FROM search_gram) AS high FROM search_shape WHERE id = 1"))
            .await?;
        let Some(Extent { shape, low, high }) = extent.filter(|_| todo.len() <= UNFED) else {
            return Ok(None);
        };
        let unfed = todo.iter().flat_map(|(ids,)| noted(ids)).map(|id| shape.block(id)).collect();
        let ends = low.zip(high).unwrap_or((0, -1));
        let (known, looked_at) = (BTreeMap::new(), BTreeSet::new());
        Ok(Some(Self { shape, wishes, unfed, ends, known, looked_at }))
    }

    /// Whether the index was not cut anew while it was read.
    pub async fn still_stands(&self, db: &Db) -> Result<bool> {
        let now = stored_shape(db).await?;
        // One that was made anew has fewer mails fed, or counted other mails when it began.
        Ok(now.is_some_and(|now| {
            let Shape { width, rest, mails, fed } = self.shape;
            (now.width, now.mails) == (width, mails) && now.rest <= rest && now.fed >= fed
        }))
    }

    /// The place from which the next candidate stands in the list, on from `at`; `None` when there is none.
    pub async fn leap(&mut self, db: &Db, at: Place) -> Result<Option<Place>> {
        Ok(match at {
            Place::Newest => self.below(db, MailId(i64::MAX)).await?.map(Place::Before),
            Place::Before(id) => self.below(db, id).await?.map(Place::Before),
            Place::After(id) => self.above(db, id).await?.map(Place::After),
        })
    }

    /// The next candidates on from `at`, in the order of the list: the lowest id of each and the one behind its highest; at most so many.
    pub async fn spans(&mut self, db: &Db, at: Place, most: usize) -> Result<Vec<(MailId, MailId)>> {
        let (mut at, mut spans) = (at, Vec::new());
        while spans.len() < most
            && let Some(next) = self.leap(db, at).await?
        {
            let (low, high) = match next {
                Place::After(id) => {
                    let first = MailId(id.0.saturating_add(1));
                    (
                        first,
                        if first < self.shape.rest {
                            self.shape.rest
                        } else {
                            self.shape.begin(self.shape.block(first) + 1)
                        },
                    )
                }
                Place::Before(MailId(end)) => {
                    let last = MailId(end.saturating_sub(1));
                    let rest = last < self.shape.rest;
                    (
                        if rest { MailId(i64::MIN) } else { self.shape.begin(self.shape.block(last)) },
                        MailId(end),
                    )
                }
                Place::Newest => break,
            };
            spans.push((low, high));
            at = if let Place::After(_) = next {
                Place::After(MailId(high.0 - 1))
            } else {
                Place::Before(low)
            };
            if low.0 == i64::MIN {
                break;
            }
        }
        Ok(spans)
    }

    /// Keeps the ids that lie in candidates.
    pub async fn retain(&mut self, db: &Db, ids: &mut Vec<MailId>) -> Result<()> {
        for id in ids.iter() {
            self.look_at(db, self.shape.block(*id).div_euclid(BLOCKS)).await?;
        }
        ids.retain(|id| {
            let block = self.shape.block(*id);
            *id < self.shape.rest
                || self.unfed.contains(&block)
                || self
                    .known
                    .get(&block.div_euclid(BLOCKS))
                    .is_some_and(|known| known.has(block.rem_euclid(BLOCKS)))
        });
        Ok(())
    }

    /// The highest id, plus one, below `id` that lies in a candidate.
    async fn below(&mut self, db: &Db, id: MailId) -> Result<Option<MailId>> {
        if id <= self.shape.rest {
            return Ok(Some(id));
        }
        let top = self.shape.block(MailId(id.0.saturating_sub(1)));
        let mut best = self.unfed.range(..=top).next_back().copied();
        let mut segment = top.div_euclid(BLOCKS).min(self.ends.1);
        while segment >= self.ends.0 && best.is_none_or(|best| best.div_euclid(BLOCKS) <= segment) {
            self.look_at(db, segment).await?;
            let limit = (top - segment * BLOCKS).min(BLOCKS - 1);
            if let Some(block) = self.known.get(&segment).and_then(|known| known.last_up_to(limit)) {
                best = best.max(Some(segment * BLOCKS + block));
                break;
            }
            segment -= 1;
        }
        let found = best.map(|block| self.shape.begin(block + 1).min(id));
        // Below `rest` everything is a candidate.
        let rest = Some(self.shape.rest).filter(|rest| rest.0 > 0);
        Ok(found.max(rest))
    }

    /// The id after which the first candidate above `id` stands.
    async fn above(&mut self, db: &Db, id: MailId) -> Result<Option<MailId>> {
        if id.0 < self.shape.rest.0.saturating_sub(1) {
            return Ok(Some(id));
        }
        let bottom = self.shape.block(MailId(id.0.saturating_add(1)));
        let mut best = self.unfed.range(bottom..).next().copied();
        let mut segment = bottom.div_euclid(BLOCKS).max(self.ends.0);
        while segment <= self.ends.1 && best.is_none_or(|best| best.div_euclid(BLOCKS) >= segment) {
            self.look_at(db, segment).await?;
            let limit = (bottom - segment * BLOCKS).max(0);
            if let Some(block) = self.known.get(&segment).and_then(|known| known.first_from(limit)) {
                let block = segment * BLOCKS + block;
                best = Some(best.map_or(block, |best| best.min(block)));
                break;
            }
            segment += 1;
        }
        Ok(best.map(|block| MailId(self.shape.begin(block).0.saturating_sub(1)).max(id)))
    }

    /// Finds the candidates of a segment and its neighbours, once.
    async fn look_at(&mut self, db: &Db, segment: i64) -> Result<()> {
        let ends = self.ends.0..=self.ends.1;
        if self.looked_at.contains(&segment) || !ends.contains(&segment) {
            return Ok(());
        }
        let is_first = self.looked_at.is_empty();
        let group = segment.div_euclid(TOGETHER) * TOGETHER;
        let near = if is_first { segment + 1 - FIRST..segment + 1 } else { group..group + TOGETHER };
        let new: Vec<i64> =
            near.filter(|near| ends.contains(near) && !self.looked_at.contains(near)).collect();
        for wish in &mut self.wishes {
            let found = if is_first {
                let (sharpest, found) = first_look(db, wish, &new).await?;
                *wish = sharpest;
                found
            } else {
                look(db, wish, &new).await?
            };
            for (segment, blocks) in found {
                self.known.entry(segment).or_insert_with(Blocks::none).unite(&blocks);
            }
        }
        self.looked_at.extend(new);
        Ok(())
    }
}

/// The blocks of some segments that have all of some grams, and the sharpest of these, as they are there.
async fn first_look(db: &Db, grams: &[i32], segments: &[i64]) -> Result<(Vec<i32>, BTreeMap<i64, Blocks>)> {
    let rows = rows_of(db, segments, grams).await?;
    let mut sample: BTreeMap<i32, BTreeMap<i64, Blocks>> = BTreeMap::new();
    for row in &rows {
        sample.entry(row.gram).or_default().insert(row.segment, Blocks::unpack(&row.blocks));
    }
    Ok((sharpest(grams, &sample, whole(segments)), narrowed(whole(segments), grams.len(), &rows)))
}

/// The blocks of some segments that have all of some grams, of which the first are the sharpest: more than a few are read only of
/// segments that still have a block with all of these.
async fn look(db: &Db, grams: &[i32], segments: &[i64]) -> Result<BTreeMap<i64, Blocks>> {
    let (mut left, mut rest, mut ahead) = (whole(segments), grams, SHARPEST);
    while !left.is_empty() && !rest.is_empty() {
        let (grams, later) = rest.split_at(ahead.min(rest.len()));
        let segments: Vec<i64> = left.keys().copied().collect();
        left = narrowed(left, grams.len(), &rows_of(db, &segments, grams).await?);
        (ahead, rest) = (2 * ahead, later);
    }
    Ok(left)
}

/// All blocks of some segments.
fn whole(segments: &[i64]) -> BTreeMap<i64, Blocks> {
    segments.iter().map(|segment| (*segment, Blocks::all())).collect()
}

/// The grams in the order in which each leaves the fewest blocks of the segments of a sample, next to those before it. Those of one
/// word imply each other: what cuts hardly anything more is left out. Where nothing is left to be cut, the rarest come first.
fn sharpest(
    grams: &[i32],
    sample: &BTreeMap<i32, BTreeMap<i64, Blocks>>,
    segments: BTreeMap<i64, Blocks>,
) -> Vec<i32> {
    let with = |gram: i32, left: &BTreeMap<i64, Blocks>| -> BTreeMap<i64, Blocks> {
        let sets = sample.get(&gram);
        let common = left.iter().filter_map(|(segment, blocks)| {
            let mut common = blocks.clone();
            common.intersect(sets?.get(segment)?);
            Some((*segment, common))
        });
        common.collect()
    };
    let count = |left: &BTreeMap<i64, Blocks>| left.values().map(Blocks::count).sum::<usize>();
    let (mut rest, mut left, mut sorted) = (grams.to_vec(), segments.clone(), Vec::new());
    while let Some((index, fewest)) =
        rest.iter().map(|gram| count(&with(*gram, &left))).enumerate().min_by_key(|(_, count)| *count)
    {
        let before = count(&left);
        if before == 0 {
            rest.sort_by_cached_key(|gram| count(&with(*gram, &segments)));
            sorted.append(&mut rest);
        } else if fewest * HARDLY > before * (HARDLY - 1) {
            break;
        } else {
            let gram = rest.remove(index);
            left = with(gram, &left);
            sorted.push(gram);
        }
    }
    // One at least: whoever is asked for a gram has it.
    if sorted.is_empty() { grams.first().copied().into_iter().collect() } else { sorted }
}

/// The rows of some segments and grams, in the order of the segments.
async fn rows_of(db: &Db, segments: &[i64], grams: &[i32]) -> Result<Vec<Row>> {
    let (segments, grams) = (filled(segments), filled(grams));
    let text = format!(
        "SELECT segment, gram, blocks FROM search_gram WHERE segment IN ({}) AND gram IN ({}) ORDER BY segment",
        places(segments.len()),
        places(grams.len())
    );
    db.fetch(sql(text).bind_all(segments).bind_all(grams)).await
}

/// Of segments' blocks those that have all of so many grams, by the rows of these; segments without any are left out.
fn narrowed(mut segments: BTreeMap<i64, Blocks>, grams: usize, rows: &[Row]) -> BTreeMap<i64, Blocks> {
    let mut left = BTreeMap::new();
    for rows in rows.chunk_by(|a, b| a.segment == b.segment) {
        // A gram without a row is in no block.
        let Some(first) = rows.first().filter(|_| rows.len() == grams) else { continue };
        let Some(mut common) = segments.remove(&first.segment) else { continue };
        rows.iter().for_each(|row| common.intersect(&Blocks::unpack(&row.blocks)));
        if !common.is_empty() {
            left.insert(first.segment, common);
        }
    }
    left
}

/// Values of one row of `search_gram`.
fn row(segment: i64, gram: i32, blocks: &Blocks) -> [Value<'static>; 3] {
    [segment.into(), gram.into(), blocks.pack().into()]
}
