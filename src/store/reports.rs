//! DMARC aggregate reports. On MariaDB they live in the tables of dmarcts-report-parser, which other programs may read
//! and write, too; what those tables cannot hold, and what lists and figures need, lives beside them.
//!
//! A report is stored once: it is known by receiver, report id, domain, begin and end. Another body under the same key
//! is kept as a variant and marked; of two bodies the one counts whose sender is better proven, so that a forged report
//! that comes first does not keep the true one out.
//!
//! | file | what |
//! |---|---|
//! | `rows` | the tables `report` and `rptrecord` |
//! | `lines` | what is derived of a report for lists and figures |
//! | `packed` | sums by source |
//! | `settle` | deriving it for rows of other programs |
//! | `digest`, `months` | what figures take of a month, worked out once |
//! | `debut` | when sources were first seen |
//! | `figures`, `sources`, `by_ip` | sums for pages |
//! | `about` | what a question is about, and answers that are still true |

mod about;
mod body;
mod by_ip;
mod debut;
mod digest;
mod figures;
mod lines;
mod list;
mod months;
mod packed;
mod rows;
mod scope;
mod settle;
mod sources;
#[cfg(test)]
pub(super) mod tests;

pub use body::{MOST_PACKED, Packed};
pub(super) use body::{decode, encode, hash};
pub use figures::{days, domains, receivers};
pub(super) use list::{ArrivalRow, other_bodies, other_body};
pub use list::{find, how_many, list, months, xml};
pub use months::refresh;
pub(super) use rows::fit;
pub(super) use scope::{condition, counted, sees};
pub use scope::{host, hosted, names as domain_names};
pub use settle::settle;
pub use sources::{judge, source, sources, survey};

use std::collections::HashSet;

use self::lines::Lines;
use super::{
    db::{Db, Result, Tx, Value, sql},
    pack::pack,
    texts::cut,
};
use crate::model::{
    report::{Arrival, Proof, Report},
    scope::Scope,
    time::Millis,
};

/// Reports that one step of pruning deletes.
const PIECE: i64 = 50;

/// What became of a report that was handed in, with its number in our database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is new.
    New(i64),
    /// It was here already.
    Known(i64),
    /// Another body with the same key was here; both are kept.
    Variant(i64),
}

/// A report on its way in.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// How it came.
    pub arrival: &'a Arrival,
    /// What it says.
    pub report: &'a Report,
    /// What it was read from.
    pub xml: &'a [u8],
    /// Both, packed.
    pub packed: &'a Packed,
}

/// Stores reports, one after the other. Storing one again changes nothing, unless its sender is better proven this time:
/// then that counts.
pub async fn insert(tx: &mut Tx, incoming: &[Incoming<'_>]) -> Result<Vec<Stored>> {
    let keys: Vec<rows::Key> = incoming.iter().map(|one| rows::Key::of(one.report)).collect();
    let known = rows::serials(tx, &keys).await?;
    let (mut batch, mut begun, mut stored) = (Batch::default(), HashSet::new(), Vec::new());
    let keyed: Vec<_> = incoming.iter().zip(keys).zip(known).collect();
    for ((one, key), mut serial) in keyed {
        if !begun.insert(key.outline()) && serial.is_none() {
            // It may be one of those that wait.
            batch.write(tx, &mut stored).await?;
            serial = rows::serials(tx, std::slice::from_ref(&key)).await?.first().copied().flatten();
        }
        match serial {
            None => batch.reports.push((key, *one)),
            Some(serial) => {
                batch.write(tx, &mut stored).await?;
                stored.push(again(tx, serial, one).await?);
            }
        }
    }
    batch.write(tx, &mut stored).await?;
    Ok(stored)
}

/// New reports that are written at once.
#[derive(Default)]
struct Batch<'a> {
    reports: Vec<(rows::Key, Incoming<'a>)>,
}

impl Batch<'_> {
    /// Writes them, notes what became of each, and is empty then.
    async fn write(&mut self, tx: &mut Tx, stored: &mut Vec<Stored>) -> Result<()> {
        let reports = std::mem::take(&mut self.reports);
        let serials = rows::insert(tx, &reports).await?;
        let (mut records, mut bodies, mut lines) = (Vec::new(), Vec::new(), Lines::default());
        for (serial, (_, one)) in serials.into_iter().zip(&reports) {
            records.push((serial, one.report.records.as_slice()));
            bodies.push(body_row(serial, one));
            lines.add(serial, one.report, one.arrival.proof, 0);
            stored.push(Stored::New(serial));
        }
        rows::insert_records(tx, &records).await?;
        tx.insert_all("report_body", BODY, bodies).await?;
        lines.write(tx).await
    }
}

const BODY: [&str; 8] = ["serial", "hash", "arrived_at", "via", "name", "sender", "evidence", "body"];

fn body_row<'a>(serial: i64, one: &Incoming<'a>) -> [Value<'a>; 8] {
    let Incoming { arrival, packed, .. } = *one;
    [
        serial.into(),
        (&packed.hash).into(),
        arrival.at.into(),
        cut(&arrival.via).into(),
        cut(&arrival.name).into(),
        arrival.sender.as_deref().map(cut).into(),
        arrival.evidence.as_deref().map(cut).into(),
        (&packed.body).into(),
    ]
}

/// A report whose key is here already.
async fn again(tx: &mut Tx, serial: i64, one: &Incoming<'_>) -> Result<Stored> {
    let Incoming { arrival, report, packed, .. } = *one;
    if lines::mark(tx, serial).await?.is_none() {
        settle::take(tx, serial).await?;
    }
    let Some(mark) = lines::mark(tx, serial).await? else { return Ok(Stored::Known(serial)) };
    let proof = Proof::from_code(&mark.proof).unwrap_or_default();
    let known = "SELECT hash FROM report_body WHERE serial = ?";
    let known: Option<(Vec<u8>,)> = tx.fetch_one(sql(known).bind(serial)).await?;
    match known {
        // Another program stored it: we know more of it now.
        None if settle::same(&mark, report) => {
            tx.insert("report_body", BODY, body_row(serial, one)).await?;
            tx.insert("report_adopted", ["serial"], [serial.into()]).await?;
            let variants = mark.variants;
            lines::remove(tx, &[mark]).await?;
            Lines::of(serial, report, arrival.proof.min(proof), variants).write(tx).await?;
            Ok(Stored::Known(serial))
        }
        Some((known,)) if known == packed.hash => {
            if arrival.proof < proof {
                prove(tx, serial, arrival.proof, arrival.evidence.as_deref()).await?;
            }
            Ok(Stored::Known(serial))
        }
        own => {
            let better = arrival.proof < proof;
            // What another program stored gives way only where its text is kept, so that nothing is lost.
            let has_text = |text: Option<String>| text.and_then(|text| body::xml_of(&text)).is_some();
            let movable = better && (own.is_some() || has_text(rows::raw_xml(tx, serial).await?));
            if movable && own.is_none() {
                tx.insert("report_adopted", ["serial"], [serial.into()]).await?;
            }
            vary(tx, &mark, one, movable).await
        }
    }
}

/// Keeps another body of a report: as the report itself, when its sender is better proven, else beside it.
async fn vary(tx: &mut Tx, mark: &lines::Mark, one: &Incoming<'_>, better: bool) -> Result<Stored> {
    let Incoming { arrival, report, xml, packed } = *one;
    let (serial, hash) = (mark.serial, &packed.hash);
    let known = "SELECT id FROM report_variant WHERE family = 'dmarc' AND serial = ? AND hash = ?";
    let known: Option<(i64,)> = tx.fetch_one(sql(known).bind(serial).bind(hash)).await?;
    match (known, better) {
        (Some(_), false) => return Ok(Stored::Known(serial)),
        (None, false) => insert_variant(tx, "dmarc", serial, arrival, hash, xml).await?,
        (_, true) => {
            set_aside(tx, mark, arrival.at).await?;
            forget_variant(tx, serial, hash).await?;
            rows::replace(tx, serial, report, packed).await?;
            rows::insert_records(tx, &[(serial, &report.records)]).await?;
            tx.insert("report_body", BODY, body_row(serial, one)).await?;
            lines::remove(tx, std::slice::from_ref(mark)).await?;
            Lines::of(serial, report, arrival.proof, 0).write(tx).await?;
        }
    }
    let variants = variants(tx, serial).await?;
    lines::note_variants(tx, serial, variants).await?;
    Ok(Stored::Variant(serial))
}

/// Makes the body of a report one of its variants.
async fn set_aside(tx: &mut Tx, mark: &lines::Mark, now: Millis) -> Result<()> {
    let serial = mark.serial;
    let text = rows::raw_xml(tx, serial).await?.unwrap_or_default();
    let columns = "family, serial, hash, arrived_at, via, name, sender, proof, evidence, document";
    let statement = format!(
        "INSERT INTO report_variant ({columns}) SELECT 'dmarc', serial, hash, arrived_at, via, name, sender, ?, \
         evidence, ? FROM report_body WHERE serial = ?"
    );
    let document = body::xml_of(&text).unwrap_or_default();
    let packed = pack(&document);
    if tx.execute(sql(statement).bind(&mark.proof).bind(packed).bind(serial)).await? == 0 {
        // Another program stored it, and how it came is known to nobody.
        let (hash, proof) = (hash(&document), Proof::from_code(&mark.proof).unwrap_or_default());
        let theirs = Arrival { at: now, via: "another program".to_owned(), proof, ..Arrival::default() };
        forget_variant(tx, serial, &hash).await?;
        insert_variant(tx, "dmarc", serial, &theirs, &hash, &document).await?;
    }
    tx.execute(sql("DELETE FROM report_body WHERE serial = ?").bind(serial)).await?;
    Ok(())
}

async fn forget_variant(tx: &mut Tx, serial: i64, hash: &[u8]) -> Result<()> {
    let text = "DELETE FROM report_variant WHERE family = 'dmarc' AND serial = ? AND hash = ?";
    tx.execute(sql(text).bind(serial).bind(hash)).await?;
    Ok(())
}

pub(super) async fn insert_variant(
    tx: &mut Tx,
    family: &'static str,
    serial: i64,
    arrival: &Arrival,
    hash: &[u8],
    document: &[u8],
) -> Result<()> {
    let row: [Value<'_>; 10] = [
        family.into(),
        serial.into(),
        hash.into(),
        arrival.at.into(),
        cut(&arrival.via).into(),
        cut(&arrival.name).into(),
        arrival.sender.as_deref().map(cut).into(),
        arrival.proof.code().into(),
        arrival.evidence.as_deref().map(cut).into(),
        pack(document).into(),
    ];
    let columns =
        ["family", "serial", "hash", "arrived_at", "via", "name", "sender", "proof", "evidence", "document"];
    tx.insert("report_variant", columns, row).await
}

async fn variants(tx: &mut Tx, serial: i64) -> Result<i64> {
    let text = "SELECT COUNT(*) FROM report_variant WHERE family = 'dmarc' AND serial = ?";
    let found: Option<(i64,)> = tx.fetch_one(sql(text).bind(serial)).await?;
    Ok(found.map_or(0, |(count,)| count))
}

/// The XML of another body of a report, by its number in `StoredReport::others`.
pub async fn variant_xml(db: &Db, scope: &Scope, serial: i64, number: i64) -> Result<Option<Vec<u8>>> {
    if list::line(db, scope, serial).await?.is_none() {
        return Ok(None);
    }
    list::other_body(db, "dmarc", serial, number).await
}

/// Sets whether it is proven who sent a report: by a later check, or because an admin vouches for it.
pub async fn prove(tx: &mut Tx, serial: i64, proof: Proof, evidence: Option<&str>) -> Result<()> {
    let Some(mark) = lines::mark(tx, serial).await? else { return Ok(()) };
    lines::prove(tx, &mark, proof).await?;
    let text = "UPDATE report_body SET evidence = ? WHERE serial = ?";
    tx.execute(sql(text).bind(evidence.map(cut)).bind(serial)).await?;
    Ok(())
}

/// Whose reports a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Those whose rows in `report` and `rptrecord` this program wrote.
    Ours,
    /// Those of other programs, too.
    Anybodys,
}

/// Deletes some of the reports that begin before a moment, or came before it and begin after now, with all that was derived
/// of them. True: more are left.
pub async fn prune(tx: &mut Tx, before: Millis, now: Millis, whose: Whose) -> Result<bool> {
    let mut marks = lines::oldest(tx, before, whose, PIECE).await?;
    if marks.is_empty() {
        marks = lines::ahead(tx, before, now, whose, PIECE).await?;
    }
    if marks.is_empty() {
        return Ok(false);
    }
    let serials: Vec<i64> = marks.iter().map(|mark| mark.serial).collect();
    lines::remove(tx, &marks).await?;
    lines::delete_beside(tx, &serials).await?;
    rows::delete(tx, &serials).await?;
    Ok(marks.len() as i64 == PIECE)
}
