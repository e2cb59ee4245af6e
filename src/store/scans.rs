//! Rspamd's verdicts with their symbols: kept beside the mails, claimed by them when both sides are known.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    db::{Db, Error, Result, Tx, Value, sql},
    keys::{Kind, key},
    pack::{Apart, Unpacked, pack},
};
use crate::model::{
    mail::{MailId, VisibleMail},
    scan::{Hit, Scan, Symbol},
    scope::{Scope, Sight},
};

/// Options are details; what is longer is cut, so that one mail cannot fill the database.
const OPTIONS_KEPT: usize = 8;
const OPTION_LENGTH: usize = 120;
/// Claimed scans struck off at once. Few: the engine tries each key with each scan.
const CLAIMED: usize = 32;

/// A scan in the database.
pub struct StoredScan {
    /// Its id.
    pub id: i64,
    /// The row; what hit is left out, that stays in the database.
    pub scan: Scan,
}

#[derive(Deserialize)]
struct Stored {
    scan: Scan,
    _zero: u8,
    symbols: Vec<(i64, i32, Vec<String>)>,
}

/// [`Stored`] as it is written.
#[derive(Serialize)]
struct Storing<'a> {
    scan: &'a Scan,
    /// The scan once had a list here that was always empty.
    zero: u8,
    symbols: Vec<(i64, i32, Vec<&'a str>)>,
}

/// New rows while another core packs them.
pub struct Packing(Apart<Vec<Vec<u8>>>);

/// Begins to pack new rows, whose symbols get their numbers first.
pub async fn begin_packing(tx: &mut Tx, scans: &Arc<[Scan]>) -> Result<Packing> {
    let numbers = intern_symbols(tx, scans).await?;
    let scans = Arc::clone(scans);
    Ok(Packing(Apart::begin(move || scans.iter().map(|scan| packed(scan, &numbers)).collect())))
}

fn packed(scan: &Scan, numbers: &Numbers) -> Vec<u8> {
    let symbols = scan.hits.iter().filter_map(|hit| {
        let options = hit.options().take(OPTIONS_KEPT).map(cut).collect();
        Some((*numbers.get(&hit.check.name)?, hit.score, options))
    });
    let stored = Storing { scan, zero: 0, symbols: symbols.collect() };
    pack(&postcard::to_stdvec(&stored).unwrap_or_default())
}

/// Stores new rows under their [`free_ids`].
pub async fn insert(tx: &mut Tx, packing: Packing, ids: &[i64]) -> Result<()> {
    let rows = packing.0.end().await?.into_iter().zip(ids).map(|(data, id)| [Value::Int(*id), data.into()]);
    tx.upsert("scan", ["id", "data"], &["id"], &[], rows.collect()).await
}

/// Notes which scans wait for a mail, and which no longer do.
pub async fn set_pending(tx: &mut Tx, waiting: &[(&str, i64)], claimed: &[(&str, i64)]) -> Result<()> {
    let rows = waiting.iter().map(|(message_id, id)| [key(Kind::Message, message_id).into(), (*id).into()]);
    tx.upsert("scan_pending", ["k", "scan"], &["k", "scan"], &[], rows.collect()).await?;
    for claimed in claimed.chunks(CLAIMED) {
        // A scan waits under one key, so that the two lists name no other pairs.
        let list = super::db::places(claimed.len());
        let text = format!("DELETE FROM scan_pending WHERE k IN ({list}) AND scan IN ({list})");
        let statement = sql(text).bind_all(claimed.iter().map(|(id, _)| key(Kind::Message, id)));
        tx.write(statement.bind_all(claimed.iter().map(|(_, id)| *id))).await?;
    }
    Ok(())
}

/// Scans that wait for a mail with one of these message ids.
pub async fn pending(tx: &mut Tx, message_ids: &BTreeSet<&str>) -> Result<Vec<StoredScan>> {
    let keys: BTreeSet<i32> = message_ids.iter().map(|id| key(Kind::Message, id)).collect();
    let keys: Vec<i32> = keys.into_iter().collect();
    let rows: Vec<(i64, Vec<u8>)> = tx
        .fetch_in(&keys, |list| {
            format!(
                "SELECT s.id, s.data FROM scan_pending p JOIN scan s ON s.id = p.scan WHERE p.k IN ({list})"
            )
        })
        .await?;
    rows.into_iter().map(read).collect()
}

/// Scans by id.
pub async fn by_ids(tx: &mut Tx, ids: &[i64]) -> Result<Vec<StoredScan>> {
    let rows: Vec<(i64, Vec<u8>)> =
        tx.fetch_in(ids, |list| format!("SELECT id, data FROM scan WHERE id IN ({list})")).await?;
    rows.into_iter().map(read).collect()
}

/// The checks that hit for a mail, weightiest first, as its visitor may see them: one recipient among
/// several learns nothing about the others, not even how many there are.
pub async fn symbols(db: &Db, scope: &Scope, mail: &VisibleMail) -> Result<Vec<Symbol>> {
    let Some(scan) = mail.check.as_ref().map(|check| check.scan).filter(|id| *id != 0) else {
        return Ok(Vec::new());
    };
    // The visible mail was made by a scope; asking again keeps this function closed on its own.
    let sight = if *scope == Scope::All { Sight::Full } else { mail.sight() };
    let row: Option<(Vec<u8>,)> = db.fetch_one(sql("SELECT data FROM scan WHERE id = ?").bind(scan)).await?;
    let Some((data,)) = row else { return Ok(Vec::new()) };
    let stored: Stored = postcard::from_bytes(&Unpacked::try_from(data)?.0)
        .map_err(|_| Error::Damaged("a scan that cannot be read"))?;
    let names: Vec<(i64, String, Option<String>)> = db.fetch(symbol_names(&stored)).await?;
    let names: BTreeMap<i64, (String, Option<String>)> =
        names.into_iter().map(|(id, name, description)| (id, (name, description))).collect();
    let mut symbols: Vec<Symbol> = stored
        .symbols
        .into_iter()
        .filter_map(|(id, score, options)| {
            let (name, description) = names.get(&id)?.clone();
            let options =
                if sight == Sight::Recipients && !tells_of_sender(&name) { Vec::new() } else { options };
            Some(Symbol { name, score, description, options })
        })
        .filter(|symbol| sight != Sight::Recipients || !tells_of_recipients(&symbol.name))
        .collect();
    symbols.sort_by(|a, b| b.score.abs().cmp(&a.score.abs()).then_with(|| a.name.cmp(&b.name)));
    Ok(symbols)
}

fn symbol_names(stored: &Stored) -> super::db::Sql<'static> {
    let ids = stored.symbols.iter().map(|(id, ..)| *id);
    let places = super::db::places(stored.symbols.len().max(1));
    let statement = sql(format!("SELECT id, name, description FROM symbol WHERE id IN ({places})"));
    if stored.symbols.is_empty() { statement.bind(0) } else { statement.bind_all(ids) }
}

/// Symbols that tell how many recipients there are or which.
fn tells_of_recipients(name: &str) -> bool {
    const WORDS: [&str; 8] = ["RCPT", "ENVRCPT", "RECIPIENTS", "RECIPS", "TO", "CC", "BCC", "UNDISC"];
    name.split('_').any(|word| WORDS.contains(&word))
        || ["BCC", "MAILLIST", "DYN_RL"].iter().any(|head| name.starts_with(head))
}

/// Symbols whose details concern the sender only.
fn tells_of_sender(name: &str) -> bool {
    ["R_SPF_", "R_DKIM_", "DKIM_", "DMARC_", "ARC_", "ASN", "RBL_", "RECEIVED_", "MX_", "MIME_"]
        .iter()
        .any(|head| name.starts_with(head))
}

type Numbers = HashMap<String, i64, foldhash::fast::RandomState>;

/// Names and descriptions of what hit.
fn met_symbols(scans: &[Scan]) -> BTreeMap<&str, Option<&str>> {
    let mut met: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    // Most rows share their checks.
    let mut seen: HashSet<_, foldhash::fast::RandomState> = HashSet::default();
    for Hit { check, .. } in scans.iter().flat_map(|scan| &scan.hits) {
        if seen.insert(Arc::as_ptr(check)) {
            let description = met.entry(check.name.as_str()).or_default();
            *description = description.or(check.description.as_deref());
        }
    }
    met
}

async fn intern_symbols(tx: &mut Tx, scans: &[Scan]) -> Result<Numbers> {
    let wanted = met_symbols(scans);
    let mut known = symbol_ids(tx, &wanted).await?;
    let missing: Vec<_> = wanted.iter().filter(|(name, _)| !known.contains_key(**name)).collect();
    if !missing.is_empty() {
        let rows = missing.iter().map(|(name, description)| [Value::from(**name), (**description).into()]);
        tx.upsert("symbol", ["name", "description"], &["name"], &["description"], rows.collect()).await?;
        known = symbol_ids(tx, &wanted).await?;
    }
    Ok(known)
}

async fn symbol_ids(tx: &mut Tx, wanted: &BTreeMap<&str, Option<&str>>) -> Result<Numbers> {
    let names: Vec<&str> = wanted.keys().copied().collect();
    let rows: Vec<(String, i64)> =
        tx.fetch_in(&names, |list| format!("SELECT name, id FROM symbol WHERE name IN ({list})")).await?;
    Ok(rows.into_iter().collect())
}

/// Whether each of these rows is stored, or one that cannot be told from it.
pub async fn known(tx: &mut Tx, scans: &[Scan]) -> Result<Vec<bool>> {
    let wished: Vec<i64> = scans.iter().map(wished_id).collect();
    let rows: Vec<(i64,)> =
        tx.fetch_in(&wished, |list| format!("SELECT id FROM scan WHERE id IN ({list})")).await?;
    let taken: BTreeSet<i64> = rows.into_iter().map(|(id,)| id).collect();
    Ok(wished.iter().map(|id| taken.contains(id)).collect())
}

/// Ids for new rows, in their order, that no row has: the second, and a hash over what tells rows of one second apart.
pub async fn free_ids(tx: &mut Tx, scans: &[Scan]) -> Result<Vec<i64>> {
    let wished: Vec<i64> = scans.iter().map(wished_id).collect();
    let rows: Vec<(i64,)> =
        tx.fetch_in(&wished, |list| format!("SELECT id FROM scan WHERE id IN ({list})")).await?;
    let mut taken: BTreeSet<i64> = rows.into_iter().map(|(id,)| id).collect();
    Ok(wished
        .into_iter()
        .map(|mut id| {
            while !taken.insert(id) {
                id += 1;
            }
            id
        })
        .collect())
}

fn wished_id(scan: &Scan) -> i64 {
    let name = format!(
        "{}\n{}\n{}\n{}\n{}",
        scan.message_id.as_deref().unwrap_or_default(),
        scan.ip.as_deref().unwrap_or_default(),
        scan.size,
        scan.score,
        scan.rcpts.join(" ")
    );
    let hash = twox_hash::XxHash3_64::oneshot(name.as_bytes()) & ((1 << MailId::HASH_BITS) - 1);
    (scan.at.secs() << MailId::HASH_BITS) | hash as i64
}

fn read((id, data): (i64, Vec<u8>)) -> Result<StoredScan> {
    let stored: Stored = postcard::from_bytes(&Unpacked::try_from(data)?.0)
        .map_err(|_| Error::Damaged("a scan that cannot be read"))?;
    Ok(StoredScan { id, scan: stored.scan })
}

fn cut(option: &str) -> &str {
    let end = option.char_indices().nth(OPTION_LENGTH).map_or(option.len(), |(end, _)| end);
    option.get(..end).unwrap_or(option)
}
