//! Mail flow: figures of each hour, counted anew whenever mails of that hour have changed. A page adds up hours, so it
//! is quick however many mails there are.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    db::{Db, Error, Result, Tx, Value, places, sql},
    dictionaries,
    pack::{Unpacked, pack},
};
use crate::model::{
    mail::MailId,
    scope::Scope,
    time::Millis,
    traffic::{Hour, Side, Traffic},
};

const HOUR: i64 = 3_600_000;
/// Mails that are read at once.
const STEP: usize = 500;
/// How figures are written: this byte, then the fields in their order. Another order, or another [`Status`](crate::model::mail::Status),
/// needs another byte and a step of the schema that has all hours counted anew.
const FORM: u8 = 1;
/// The side of all mails, with an empty domain.
const ALL: &str = "all";

fn hour_of(id: MailId) -> Millis {
    let at = id.second();
    Millis(at.0 - at.0.rem_euclid(HOUR))
}

/// Remembers that mails have changed.
pub(super) async fn note(tx: &mut Tx, ids: impl Iterator<Item = MailId>) -> Result<()> {
    let hours: BTreeSet<Millis> = ids.map(hour_of).collect();
    let rows = hours.into_iter().map(|hour| [hour.into(), 0_i64.into()]);
    tx.upsert("traffic_due", ["at", "claimed"], &["at"], &["claimed"], rows.collect()).await
}

/// Hours that are to be counted, newest first.
pub async fn due(db: &Db, most: u32) -> Result<Vec<Millis>> {
    let rows: Vec<(Millis,)> =
        db.fetch(sql("SELECT at FROM traffic_due ORDER BY at DESC LIMIT ?").bind(most)).await?;
    Ok(rows.into_iter().map(|(at,)| at).collect())
}

/// Our domains, normalised: those with mailboxes, with aliases, and all others that Mailcow names.
pub async fn ours(db: &Db) -> Result<BTreeSet<String>> {
    let mut ours = BTreeSet::new();
    for text in ["SELECT address FROM mailbox", "SELECT DISTINCT alias FROM alias_pair"] {
        let rows: Vec<(String,)> = db.fetch(sql(text)).await?;
        ours.extend(rows.into_iter().filter_map(|(address,)| Some(address.rsplit_once('@')?.1.to_owned())));
    }
    for text in [
        "SELECT alias_domain FROM alias_domain",
        "SELECT DISTINCT domain FROM series WHERE domain IS NOT NULL AND address IS NULL",
    ] {
        let rows: Vec<(String,)> = db.fetch(sql(text)).await?;
        ours.extend(rows.into_iter().map(|(domain,)| domain));
    }
    Ok(ours)
}

/// Counts an hour. When its mails change meanwhile, it stays due.
pub async fn count(db: &Db, at: Millis, ours: &BTreeSet<String>) -> Result<()> {
    let mut tx = db.begin().await?;
    tx.execute(sql("UPDATE traffic_due SET claimed = 1 WHERE at = ?").bind(at)).await?;
    tx.commit().await?;
    let mut hour = Hour::default();
    let (mut low, high) = (MailId::floor(at), MailId::floor(Millis(at.0 + HOUR)));
    loop {
        let text = "SELECT id, server, story FROM mail_story WHERE id >= ? AND id < ? ORDER BY id LIMIT ?";
        let statement = sql(text).bind(low).bind(high).bind(STEP as i64);
        let rows = dictionaries::mails_of(db, statement).await?;
        for row in &rows {
            hour.add(&row.mail()?, ours);
        }
        match rows.last() {
            Some(last) if rows.len() == STEP => low = MailId(last.id.0 + 1),
            _ => break,
        }
        // Between two steps, pollers and visitors get their turn.
        tokio::task::yield_now().await;
    }
    let mut tx = db.begin().await?;
    write(&mut tx, at, hour).await?;
    tx.execute(sql("DELETE FROM traffic_due WHERE at = ? AND claimed = 1").bind(at)).await?;
    tx.commit().await
}

/// Counts all hours that are due, newest first. One worker at a time calls this.
pub async fn catch_up(db: &Db) -> Result<()> {
    let ours = ours(db).await?;
    let mut before = None;
    loop {
        let hours = due(db, 24).await?;
        // What is due again already waits for the next turn.
        if hours.is_empty() || before == Some(hours.clone()) {
            return Ok(());
        }
        for hour in &hours {
            count(db, *hour, &ours).await?;
        }
        before = Some(hours);
    }
}

async fn write(tx: &mut Tx, at: Millis, hour: Hour) -> Result<()> {
    tx.execute(sql("DELETE FROM traffic_hour WHERE at = ?").bind(at)).await?;
    let all = (hour.all != Traffic::default()).then(|| ((String::new(), ALL), hour.all));
    let sides = hour.domains.into_iter().map(|((domain, side), traffic)| ((domain, side.code()), traffic));
    let mut rows: Vec<[Value<'_>; 4]> = Vec::new();
    for ((domain, side), traffic) in all.into_iter().chain(sides) {
        rows.push([domain.into(), side.into(), at.into(), pack(&written(&traffic.cut())?).into()]);
    }
    let columns = ["domain", "side", "at", "data"];
    tx.upsert("traffic_hour", columns, &columns[..3], &columns[3..], rows).await
}

const DAMAGED: Error = Error::Damaged("figures of an hour");

fn written(traffic: &Traffic) -> Result<Vec<u8>> {
    postcard::to_extend(traffic, vec![FORM]).map_err(|_| DAMAGED)
}

fn read(bytes: &[u8]) -> Result<Traffic> {
    let Some((&FORM, fields)) = bytes.split_first() else { return Err(DAMAGED) };
    match postcard::take_from_bytes(fields) {
        Ok((traffic, [])) => Ok(traffic),
        _ => Err(DAMAGED),
    }
}

/// Has all hours counted anew: after a restore, as no backup holds their figures.
pub async fn count_anew(tx: &mut Tx) -> Result<()> {
    tx.execute(sql("DELETE FROM traffic_hour")).await?;
    tx.execute(sql("DELETE FROM traffic_due")).await?;
    let (hour, second) = (3600_i64 << MailId::HASH_BITS, 1_i64 << MailId::HASH_BITS);
    let text = format!(
        "INSERT INTO traffic_due (at, claimed) SELECT DISTINCT (id - id % {hour}) / {second} * 1000, 0 FROM mail_story"
    );
    tx.execute(sql(text)).await.map(drop)
}

/// Whose mail flow is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose<'a> {
    /// All mails. For admins; others get [`Whose::Domains`] of this side.
    All(Side),
    /// One side of all domains that the visitor may see.
    Domains(Side),
    /// One side of one domain, if the visitor may see it.
    Domain(&'a str, Side),
}

#[derive(sqlx::FromRow)]
struct Row {
    at: Millis,
    #[sqlx(try_from = "Vec<u8>")]
    data: Unpacked,
}

/// The figures of each hour with mails, oldest first. Admins see all mails and all domains; others those of the domains
/// that they administer, exactly; who administers none sees nothing.
pub async fn hours(
    db: &Db,
    scope: &Scope,
    whose: &Whose<'_>,
    (from, to): (Millis, Millis),
) -> Result<Vec<(Millis, Traffic)>> {
    let domains: Option<Vec<&str>> = match (scope, whose) {
        (Scope::All, Whose::All(_)) => Some(vec![""]),
        (Scope::All, Whose::Domains(_)) => None,
        (Scope::All, Whose::Domain(domain, _)) => Some(vec![*domain]),
        (Scope::Only(holdings), Whose::Domain(domain, _)) => {
            Some(holdings.domains.iter().map(String::as_str).filter(|own| own == domain).collect())
        }
        (Scope::Only(holdings), _) => Some(holdings.domains.iter().map(String::as_str).collect()),
    };
    let side = match (scope, whose) {
        (Scope::All, Whose::All(_)) => ALL,
        (_, Whose::All(side) | Whose::Domains(side) | Whose::Domain(_, side)) => side.code(),
    };
    let narrowed = match &domains {
        Some(domains) if domains.is_empty() => return Ok(Vec::new()),
        Some(domains) => format!(" AND domain IN ({})", places(domains.len())),
        None => " AND domain <> ''".to_owned(),
    };
    let text = format!("SELECT at, data FROM traffic_hour WHERE side = ? AND at >= ? AND at < ?{narrowed}");
    let statement = sql(text).bind(side).bind(from).bind(to).bind_all(domains.into_iter().flatten());
    let rows: Vec<Row> = db.fetch(statement).await?;
    let mut hours: BTreeMap<Millis, Traffic> = BTreeMap::new();
    for row in rows {
        hours.entry(row.at).or_default().merge(&read(&row.data.0)?);
    }
    Ok(hours.into_iter().collect())
}

/// Whether each hour of a range was counted at least once: after an update, the past takes some minutes.
pub async fn is_complete(db: &Db, (from, to): (Millis, Millis)) -> Result<bool> {
    let text = "SELECT d.at FROM traffic_due d WHERE d.at >= ? AND d.at < ? \
         AND NOT EXISTS (SELECT 1 FROM traffic_hour h WHERE h.at = d.at) LIMIT 1";
    // The present hour has only just begun.
    let row: Option<(Millis,)> = db.fetch_one(sql(text).bind(from).bind(Millis(to.0 - HOUR))).await?;
    Ok(row.is_none())
}

#[cfg(test)]
mod tests;
