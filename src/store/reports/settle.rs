//! Rows that another program wrote into `report` and `rptrecord`, or that an existing database holds: what lists and
//! figures need is derived from them here, in pieces.

use super::{
    lines::{self, Lines},
    months, packed, rows,
};
use crate::{
    model::report::{Proof, Report},
    store::db::{Db, Result, Sql, Tx, Value, sql},
};

/// Reports in one piece.
const PIECE: i64 = 100;
/// So many serials back are looked at again: the other program may write a report's records after the report, and
/// commits out of order.
const LOOK_BACK: i64 = 200;

#[derive(sqlx::FromRow)]
struct Row {
    serial: i64,
    records: Option<i64>,
    own: Option<i64>,
    written: i64,
}

/// Brings lists and figures up to date with rows of other programs, and the digests of months with all reports; answers
/// how many reports were taken.
pub async fn settle(db: &Db) -> Result<u64> {
    let count = take_new(db).await?;
    months::refresh(db).await?;
    Ok(count)
}

async fn take_new(db: &Db) -> Result<u64> {
    let begin = (settled(db).await? - LOOK_BACK).max(0);
    let (mut at, mut count) = (begin, 0);
    loop {
        let rows: Vec<Row> = db.fetch(statement(at)).await?;
        let Some(last) = rows.last().map(|row| row.serial) else { return Ok(count) };
        let open: Vec<i64> = rows.into_iter().filter(is_open).map(|row| row.serial).collect();
        let mut tx = db.begin().await?;
        for serial in &open {
            take(&mut tx, *serial).await?;
        }
        let row: [Value<'_>; 2] = [1_i64.into(), last.into()];
        tx.upsert("report_settled", ["id", "serial"], &["id"], &["serial"], vec![row]).await?;
        tx.commit().await?;
        count += open.len() as u64;
        at = last;
    }
}

async fn settled(db: &Db) -> Result<i64> {
    let found: Option<(i64,)> = db.fetch_one(sql("SELECT serial FROM report_settled WHERE id = 1")).await?;
    Ok(found.map_or(0, |(serial,)| serial))
}

pub(super) fn statement(after: i64) -> Sql<'static> {
    sql("SELECT CAST(report.serial AS SIGNED) AS serial, report_line.records AS records, report_body.serial AS own, \
         (SELECT COUNT(*) FROM rptrecord WHERE rptrecord.serial = report.serial) AS written \
         FROM report LEFT JOIN report_line ON report_line.serial = report.serial \
         LEFT JOIN report_body ON report_body.serial = report.serial \
         WHERE report.serial > ? ORDER BY report.serial LIMIT ?")
    .bind(after)
    .bind(PIECE)
}

/// Whether a report has no line, or records came after it was settled. Ours are written at once.
fn is_open(row: &Row) -> bool {
    row.records.is_none() || (row.own.is_none() && row.records != Some(row.written))
}

/// Derives all of one report from the two tables.
pub async fn take(tx: &mut Tx, serial: i64) -> Result<()> {
    let Some(report) = rows::read(tx, serial).await? else { return Ok(()) };
    let mark = lines::mark(tx, serial).await?;
    let Some(mark) = mark else { return Lines::of(serial, &report, Proof::Unchecked, 0).write(tx).await };
    let (proof, variants) = (Proof::from_code(&mark.proof).unwrap_or_default(), mark.variants);
    lines::remove(tx, &[mark]).await?;
    Lines::of(serial, &report, proof, variants).write(tx).await
}

/// Whether a report says the same as what another program stored of it, as far as its tables can hold it.
pub fn same(mark: &lines::Mark, report: &Report) -> bool {
    let sums = packed::total(&report.records);
    mark.records == report.records.len() as i64 && mark.messages.unsigned_abs() == sums.messages
}
