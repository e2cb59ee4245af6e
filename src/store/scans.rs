//! Rspamd's verdicts: one that a mail has claimed lies in the mail's story, one that waits for its mail lies here.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{
    db::{Db, Error, Result, Tx, Value, sql},
    dictionaries,
    keys::{Kind, key},
    pack::{Apart, Unpacked, pack},
    story::Claimed,
    verdict::{self, StoredSymbol, Verdict},
};
use crate::model::{
    event::Checked,
    mail::{MailId, VisibleMail},
    scan::{Hit, Scan, Symbol},
    scope::{Scope, Sight},
    time::Millis,
};

/// Rows named in one statement that deletes. Few: the engine tries each key with each scan.
const CLAIMED: usize = 32;

/// A scan with what is kept of its hits.
#[derive(Debug, Clone)]
pub struct StoredScan {
    /// Its id.
    pub id: i64,
    /// The row, without hits.
    pub scan: Scan,
    /// [`verdict`] bytes, for the story of the mail that claims it.
    pub verdict: Vec<u8>,
}

/// What follows a scan in its row: this byte and the verdict. Rows of older versions have a zero instead, and the
/// symbols, each with a list of options.
const VERDICT: u8 = 1;
type OldSymbols = Vec<(i64, i32, Vec<String>)>;

/// Verdicts of new rows while another core makes them.
pub struct Making(Apart<Vec<Vec<u8>>>);

impl Making {
    /// Begins to make those of new rows, whose symbols get their numbers first.
    pub async fn begin(tx: &mut Tx, scans: &Arc<[Scan]>) -> Result<Self> {
        let numbers = intern_symbols(tx, scans).await?;
        let scans = Arc::clone(scans);
        Ok(Self(Apart::begin(move || scans.iter().map(|scan| verdict_of(scan, &numbers)).collect())))
    }

    /// One for each row.
    pub async fn end(self) -> Result<Vec<Vec<u8>>> {
        self.0.end().await
    }
}

fn verdict_of(scan: &Scan, numbers: &Numbers) -> Vec<u8> {
    let symbols = scan
        .hits
        .iter()
        .filter_map(|hit| Some((*numbers.get(&hit.check.name)?, hit.score, verdict::kept(hit.options()))));
    verdict::encode(scan, symbols.collect())
}

/// The scan that a mail has claimed, from what its story holds of it.
///
/// # Errors
/// The verdict cannot be read.
pub fn unclaimed(at: Millis, checked: &Checked<'_>, claimed: &Claimed<'_>) -> Result<StoredScan> {
    let scan = Verdict::decode(claimed.verdict)?.scan(at, claimed.message_id, checked);
    Ok(StoredScan { id: checked.scan, scan, verdict: claimed.verdict.to_vec() })
}

/// Stores scans that wait for a mail. One that is there already stays as it is.
pub async fn insert<'v>(tx: &mut Tx, rows: impl Iterator<Item = (i64, &'v Scan, &'v [u8])>) -> Result<()> {
    let rows = rows.map(|(id, scan, verdict)| {
        // Serialising plain strings and numbers cannot fail.
        let mut bytes = postcard::to_stdvec(scan).unwrap_or_default();
        bytes.push(VERDICT);
        bytes.extend_from_slice(verdict);
        [Value::Int(id), pack(&bytes).into()]
    });
    tx.upsert("scan", ["id", "data"], &["id"], &[], rows.collect()).await
}

/// Notes which scans wait for a mail, and lets go of those that no longer do: their mails have them.
pub async fn set_pending(tx: &mut Tx, waiting: &[(&str, i64)], claimed: &[(&str, i64)]) -> Result<()> {
    let rows = waiting.iter().map(|(message_id, id)| [key(Kind::Message, message_id).into(), (*id).into()]);
    tx.upsert("scan_pending", ["k", "scan"], &["k", "scan"], &[], rows.collect()).await?;
    for claimed in claimed.chunks(CLAIMED) {
        // A scan waits under one key, so that the two lists name no other pairs.
        let list = super::db::places(claimed.len());
        let text = format!("DELETE FROM scan_pending WHERE k IN ({list}) AND scan IN ({list})");
        let statement = sql(text).bind_all(claimed.iter().map(|(id, _)| key(Kind::Message, id)));
        tx.write(statement.bind_all(claimed.iter().map(|(_, id)| *id))).await?;
        let statement = sql(format!("DELETE FROM scan WHERE id IN ({list})"));
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
    let stored = stored_symbols(db, mail.id, scan).await?;
    let names: Vec<(i64, String, Option<String>)> = db.fetch(symbol_names(&stored)).await?;
    let names: BTreeMap<i64, (String, Option<String>)> =
        names.into_iter().map(|(id, name, description)| (id, (name, description))).collect();
    let mut symbols: Vec<Symbol> = stored
        .into_iter()
        .filter_map(|(id, score, options)| {
            let (name, description) = names.get(&id)?.clone();
            let hidden = sight == Sight::Recipients && !tells_of_sender(&name);
            let options = options.split_terminator('\n').filter(|_| !hidden).map(str::to_owned).collect();
            Some(Symbol { name, score, description, options })
        })
        .filter(|symbol| sight != Sight::Recipients || !tells_of_recipients(&symbol.name))
        .collect();
    symbols.sort_by(|a, b| b.score.abs().cmp(&a.score.abs()).then_with(|| a.name.cmp(&b.name)));
    Ok(symbols)
}

/// What hit in a scan that a mail has claimed: the mail's story tells, or, when an older version wrote that, the scan's row.
async fn stored_symbols(db: &Db, mail: MailId, scan: i64) -> Result<Vec<StoredSymbol>> {
    let text = "SELECT id, server, story FROM mail_story WHERE id = ?";
    let Some(mail) = dictionaries::mails_of(db, sql(text).bind(mail)).await?.pop() else {
        return Ok(Vec::new());
    };
    if let Some(claimed) = mail.story()?.verdicts.get(&scan) {
        return Ok(Verdict::decode(claimed.verdict)?.symbols);
    }
    let row: Option<(i64, Vec<u8>)> =
        db.fetch_one(sql("SELECT id, data FROM scan WHERE id = ?").bind(scan)).await?;
    let Some(row) = row else { return Ok(Vec::new()) };
    Ok(Verdict::decode(&read(row)?.verdict)?.symbols)
}

fn symbol_names(symbols: &[StoredSymbol]) -> super::db::Sql<'static> {
    let ids = symbols.iter().map(|(id, ..)| *id);
    let places = super::db::places(symbols.len().max(1));
    let statement = sql(format!("SELECT id, name, description FROM symbol WHERE id IN ({places})"));
    if symbols.is_empty() { statement.bind(0) } else { statement.bind_all(ids) }
}

/// Symbols that tell how many recipients there are or which, also by what one of them has in the address book or the lists.
fn tells_of_recipients(name: &str) -> bool {
    const WORDS: [&str; 8] = ["RCPT", "ENVRCPT", "RECIPIENTS", "RECIPS", "TO", "CC", "BCC", "UNDISC"];
    name.split('_').any(|word| WORDS.contains(&word))
        || ["BCC", "MAILLIST", "DYN_RL", "SOGO_CONTACT", "MAILCOW_WHITE", "MAILCOW_BLACK"]
            .iter()
            .any(|head| name.starts_with(head))
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

/// The ids that these rows wish for, and which of these are taken by rows that wait.
pub async fn wished_ids(tx: &mut Tx, scans: &[Scan]) -> Result<(Vec<i64>, BTreeSet<i64>)> {
    let wish = |scan: &Scan| {
        wished_id(
            scan.at,
            scan.message_id.as_deref().unwrap_or_default(),
            &scan.checked(&scan.rcpts.join("\n"), 0),
        )
    };
    let wished: Vec<i64> = scans.iter().map(wish).collect();
    let taken = of_these(tx, &wished).await?;
    Ok((wished, taken))
}

/// Ids for new rows, in their order, that no row and no scan of `claimed` has: as wished, or the next free ones.
pub async fn free_ids(tx: &mut Tx, scans: &[Scan], claimed: BTreeSet<i64>) -> Result<Vec<i64>> {
    let (wished, rows) = wished_ids(tx, scans).await?;
    let mut taken = &rows | &claimed;
    let mut asked: BTreeSet<i64> = wished.iter().copied().collect();
    loop {
        let mut own = taken.clone();
        let free = |wished: &i64| {
            let mut id = *wished;
            while !own.insert(id) {
                id += 1;
            }
            id
        };
        let ids: Vec<i64> = wished.iter().map(free).collect();
        // Rows that moved on may have met others.
        let next: Vec<i64> = ids.iter().copied().filter(|id| asked.insert(*id)).collect();
        let met = of_these(tx, &next).await?;
        if met.is_empty() {
            return Ok(ids);
        }
        taken.extend(met);
    }
}

/// Those of some ids that rows have.
async fn of_these(tx: &mut Tx, ids: &[i64]) -> Result<BTreeSet<i64>> {
    let rows: Vec<(i64,)> =
        tx.fetch_in(ids, |list| format!("SELECT id FROM scan WHERE id IN ({list})")).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// The id that a row wishes for: its second, and a hash over what tells rows of one second apart. Part of the format of stories.
pub(super) fn wished_id(at: Millis, message_id: &str, checked: &Checked<'_>) -> i64 {
    let name = format!(
        "{message_id}\n{}\n{}\n{}\n{}",
        checked.ip.unwrap_or_default(),
        checked.size,
        checked.score,
        checked.rcpts.replace('\n', " ")
    );
    let hash = twox_hash::XxHash3_64::oneshot(name.as_bytes()) & ((1 << MailId::HASH_BITS) - 1);
    MailId::floor(at).0 | hash as i64
}

fn read((id, data): (i64, Vec<u8>)) -> Result<StoredScan> {
    let damaged = |_| Error::Damaged("a scan that cannot be read");
    let bytes = Unpacked::try_from(data)?.0;
    let (scan, rest): (Scan, _) = postcard::take_from_bytes(&bytes).map_err(damaged)?;
    let verdict = match rest.split_first() {
        Some((&VERDICT, verdict)) => verdict.to_vec(),
        Some((_, rest)) => {
            let symbols: OldSymbols = postcard::from_bytes(rest).map_err(damaged)?;
            let symbols = symbols.into_iter().map(|(id, score, options)| (id, score, options.join("\n")));
            verdict::encode(&scan, symbols.collect())
        }
        None => return Err(Error::Damaged("a scan that cannot be read")),
    };
    Ok(StoredScan { id, scan, verdict })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            event::{Event, Fact},
            mail::ServerId,
        },
        store::{Story, correlation::StoredMail},
    };

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
        hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    /// A mail and its scan as the first version stored them: each with an id of the scan, the symbols in the scan's row.
    #[test]
    fn rows_of_the_first_version_are_read() {
        const SCAN: i64 = 1_925_754_696_439_278_609;
        const STORY: &str = "0128b52ffd60a1004d04000305113dde7b61ed47463671e97653e5af3ab13b7ff4876fdceb57f7779b6a42bf\
            93f3de2c4204197a44b1b1479821febf081169eccc0068b5f0cd5cc76078270566cc055c980118fcb91857cf1dfb457d900b34ee\
            e5097c4606b8d4848078c8c3db15ae4587a5999468e690435398afa2ed7af8b2e233b0db38a1fcb731abfbd4a6dd550107681609";
        let stored = StoredMail {
            id: MailId(1_925_754_694_384_248_464),
            server: ServerId::FIRST,
            story: Unpacked::try_from(bytes(STORY)).unwrap(),
        };
        let story = stored.story().unwrap();
        assert_eq!((story.queue_id, story.scans().collect::<Vec<_>>()), ("4EF68534BB", vec![SCAN]));
        assert!(story.verdicts.is_empty());
        let mail = stored.mail().unwrap();
        let check = mail.check.unwrap();
        assert_eq!((check.scan, check.subject.as_deref()), (SCAN, Some("Undelivered: cedar")));
        let row = read((SCAN, bytes("0128b52ffd60940045000000010091b08cca80"))).unwrap();
        assert_eq!((row.scan.sender.as_str(), row.scan.score), ("sales@ravenyonder.test", 228));
        let symbols = Verdict::decode(&row.verdict).unwrap().symbols;
        assert_eq!((symbols.len(), symbols[0].clone()), (13, (1, 0, String::new())));
        assert!(symbols.contains(&(18, -10, "ravenyonder.test:~\nravenyonder.test:s=dkim".to_owned())));
        // Written anew, the mail names the same scan.
        let again = story.encode(stored.id);
        assert_eq!(Story::decode(stored.id, &again).unwrap(), story);
        assert!(again.len() < stored.story.0.len());
        // And with the verdict of the row, it has all that the row has.
        let message_id = row.scan.message_id.clone().unwrap();
        let claimed = Claimed { message_id: &message_id, verdict: &row.verdict };
        let with = Story { verdicts: [(SCAN, claimed)].into(), ..story };
        let bytes = with.encode(stored.id);
        assert_eq!(Story::decode(stored.id, &bytes).unwrap(), with);
        let Some(Event { at, fact: Fact::Checked(checked), .. }) =
            with.events.iter().find(|event| matches!(event.fact, Fact::Checked(_)))
        else {
            panic!("a mail with a verdict");
        };
        let back = unclaimed(*at, checked, &claimed).unwrap();
        assert_eq!((back.id, back.scan), (SCAN, row.scan));
    }

    /// A mail as the programs before this form of stories stored it.
    #[test]
    fn stories_with_whole_moments_and_near_scans_are_read() {
        const ID: MailId = MailId(1_925_878_645_679_077_194);
        const STORY: &str = "02604901c50500838615bf29c2ddf19bc9f1e0e6664e57ca268e4c9cf422cb8b2daff3abdf9da108f0fa0c3db6ffed0e11c4\
            a4f1fffa0cbd0f51420af69291255296fb9e71ca11ee1c7025c254a657e9f20085b4eed96eadd9c0e0c00a2a740123fcdeae\
            ecfa0b312856f43bb60b3c62713ee156a9f00ffdafd449d93e132aec964d8c6ea28358249e922d82df4b9713b98d97839853\
            fd891cf7c7e36ed704d071af776515431c17eb16b15c43c3d61bd79e44b3a27b683d401f558627ee7d";
        let bytes = Unpacked::try_from(bytes(STORY)).unwrap().0;
        let story = Story::decode(ID, &bytes).unwrap();
        let events: Vec<_> = story.events.iter().map(|event| event.at.secs()).collect();
        assert_eq!((events[0], story.queue_id), (1_793_614_258, "6725966ED4"));
        let (scan, claimed) = story.verdicts.first_key_value().unwrap();
        assert_eq!(Verdict::decode(claimed.verdict).unwrap().symbols.len(), 13);
        // The scan has the id that its row wished for.
        assert_eq!(*scan, (events[0] << MailId::HASH_BITS) + 390_262_035);
        let again = story.encode(ID);
        assert_eq!(Story::decode(ID, &again).unwrap(), story);
        assert_eq!(
            again.len() + 4 + 4,
            bytes.len(),
            "a moment of five bytes and an id of five take one each"
        );
    }
}
