//! What Mailcow had at the last look: mailboxes, aliases, alias domains, each with the moment since when.

use std::collections::BTreeSet;

use super::db::{Db, Result, Tx, Value, places, sql};
use crate::model::{
    inventory::{AliasDomainLink, AliasPair, ClockOffset, domain},
    time::Millis,
};

/// The last look at Mailcow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// When.
    pub at: Millis,
    /// Minutes that Mailcow's wall clock is ahead of UTC, if it could be learnt.
    pub clock_offset: ClockOffset,
}

/// A mailbox as it was at the last look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// The address, normalised.
    pub address: String,
    /// Display name.
    pub name: String,
    /// Whether one can sign in to it.
    pub active: bool,
    /// Mailcow's `created`, as text.
    pub created: String,
    /// From when on mails to this address belong to this mailbox.
    pub since: Millis,
}

/// Everything of one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// When, and with which offset.
    pub look: Look,
    /// All mailboxes.
    pub mailboxes: Vec<Mailbox>,
    /// All aliases by mailbox.
    pub pairs: Vec<AliasPair>,
    /// All alias domains.
    pub alias_domains: Vec<AliasDomainLink>,
}

#[derive(sqlx::FromRow)]
struct MailboxRow {
    address: String,
    name: String,
    active: i64,
    created: String,
    since_at: Millis,
}

#[derive(sqlx::FromRow)]
struct PairRow {
    mailbox: String,
    alias: String,
    /// Since when it leads to nobody else; zero where it leads to others, too. Older versions wrote one for "as long as it is
    /// theirs", which is a moment so early that it says the same.
    alone: i64,
    since_at: Millis,
}

#[derive(sqlx::FromRow)]
struct AliasDomainRow {
    alias_domain: String,
    target: String,
    since_at: Millis,
}

#[derive(sqlx::FromRow)]
struct LookRow {
    at: Millis,
    clock_offset: Option<i64>,
}

/// The last look, if there was one.
pub async fn last_look(db: &Db) -> Result<Option<Look>> {
    let row: Option<LookRow> =
        db.fetch_one(sql("SELECT at, clock_offset FROM inventory_look WHERE id = 1")).await?;
    Ok(row.map(|row| Look {
        at: row.at,
        clock_offset: row.clock_offset.and_then(|minutes| i32::try_from(minutes).ok()),
    }))
}

/// The mailbox with this address.
pub async fn mailbox(db: &Db, address: &str) -> Result<Option<Mailbox>> {
    let statement = sql("SELECT address, name, active, created, since_at FROM mailbox WHERE address = ?");
    let row: Option<MailboxRow> = db.fetch_one(statement.bind(address)).await?;
    Ok(row.map(Mailbox::from))
}

/// Those of some addresses that are mailboxes.
pub async fn mailboxes(db: &Db, addresses: &[String]) -> Result<Vec<Mailbox>> {
    let mut found = Vec::new();
    for addresses in addresses.chunks(200) {
        let places = places(addresses.len());
        let text = format!(
            "SELECT address, name, active, created, since_at FROM mailbox WHERE address IN ({places})"
        );
        let rows: Vec<MailboxRow> = db.fetch(sql(text).bind_all(addresses)).await?;
        found.extend(rows.into_iter().map(Mailbox::from));
    }
    Ok(found)
}

/// The mailboxes with this part before the `@`, in order.
pub async fn mailboxes_named(db: &Db, local_part: &str, limit: u32) -> Result<Vec<Mailbox>> {
    // `A` follows `@`, so this is a range of the key.
    let statement = sql("SELECT address, name, active, created, since_at FROM mailbox \
                         WHERE address >= ? AND address < ? ORDER BY address LIMIT ?");
    let statement = statement.bind(format!("{local_part}@")).bind(format!("{local_part}A")).bind(limit);
    let rows: Vec<MailboxRow> = db.fetch(statement).await?;
    Ok(rows.into_iter().map(Mailbox::from).collect())
}

/// How many mailboxes one can sign in to. A number only.
pub async fn count(db: &Db) -> Result<i64> {
    let count = sql("SELECT COUNT(*) FROM mailbox WHERE active = 1");
    Ok(db.fetch_one(count).await?.map_or(0, |(count,): (i64,)| count))
}

/// The aliases of one mailbox.
pub async fn pairs(db: &Db, mailbox: &str) -> Result<Vec<AliasPair>> {
    let statement = sql("SELECT mailbox, alias, alone, since_at FROM alias_pair WHERE mailbox = ?");
    let rows: Vec<PairRow> = db.fetch(statement.bind(mailbox)).await?;
    Ok(rows.into_iter().map(AliasPair::from).collect())
}

/// All alias domains.
pub async fn alias_domains(db: &Db) -> Result<Vec<AliasDomainLink>> {
    let rows: Vec<AliasDomainRow> =
        db.fetch(sql("SELECT alias_domain, target, since_at FROM alias_domain")).await?;
    Ok(rows.into_iter().map(AliasDomainLink::from).collect())
}

/// Everything of the last look; `None` before the first.
pub async fn snapshot(db: &Db) -> Result<Option<Snapshot>> {
    let Some(look) = last_look(db).await? else { return Ok(None) };
    let mailboxes: Vec<MailboxRow> =
        db.fetch(sql("SELECT address, name, active, created, since_at FROM mailbox")).await?;
    let pairs: Vec<PairRow> = db.fetch(sql("SELECT mailbox, alias, alone, since_at FROM alias_pair")).await?;
    Ok(Some(Snapshot {
        look,
        mailboxes: mailboxes.into_iter().map(Mailbox::from).collect(),
        pairs: pairs.into_iter().map(AliasPair::from).collect(),
        alias_domains: alias_domains(db).await?,
    }))
}

/// For Rspamd, one a line: mailboxes that opted in to open tracking, also under alias domains, and behind an `@` each
/// domain here. For the server itself, so without a scope.
pub async fn tracked_map(db: &Db) -> Result<String> {
    let tracked: Vec<(String,)> = db.fetch(sql("SELECT address FROM tracked_mailbox")).await?;
    let mailboxes: Vec<(String,)> = db.fetch(sql("SELECT address FROM mailbox")).await?;
    let links = alias_domains(db).await?;
    let mut lines = BTreeSet::new();
    for (address,) in &mailboxes {
        lines.insert(format!("@{}", domain(address)));
    }
    lines.extend(links.iter().map(|link| format!("@{}", link.alias_domain)));
    for (address,) in tracked {
        let (name, home) = address.rsplit_once('@').unwrap_or((&address, ""));
        let forms = links.iter().filter(|link| link.target == home);
        lines.extend(forms.map(|link| format!("{name}@{}", link.alias_domain)));
        lines.insert(address);
    }
    // A space would make the rest a value, and Rspamd's maps know nothing else.
    let lines = lines.into_iter().filter(|line| line != "@" && !line.contains(char::is_whitespace));
    Ok(lines.map(|line| line + "\n").collect())
}

/// Puts a new look in the place of the last one.
pub async fn replace(tx: &mut Tx, snapshot: &Snapshot) -> Result<()> {
    for table in ["mailbox", "alias_pair", "alias_domain"] {
        tx.execute(sql(format!("DELETE FROM {table}"))).await?;
    }
    note_mailboxes(tx, &snapshot.mailboxes).await?;
    let pairs = snapshot.pairs.iter().map(|pair| -> [Value<'_>; 4] {
        [
            (&pair.mailbox).into(),
            (&pair.alias).into(),
            pair.alone.unwrap_or_default().into(),
            pair.since.into(),
        ]
    });
    let (keys, rest) = (["mailbox", "alias"], ["alone", "since_at"]);
    tx.upsert("alias_pair", ["mailbox", "alias", "alone", "since_at"], &keys, &rest, pairs.collect()).await?;
    let links = snapshot.alias_domains.iter().map(|link| -> [Value<'_>; 3] {
        [(&link.alias_domain).into(), (&link.target).into(), link.since.into()]
    });
    let (keys, rest) = (["alias_domain"], ["target", "since_at"]);
    tx.upsert("alias_domain", ["alias_domain", "target", "since_at"], &keys, &rest, links.collect()).await?;
    let offset = snapshot.look.clock_offset;
    let look: [Value<'_>; 3] = [1_i64.into(), snapshot.look.at.into(), offset.into()];
    tx.upsert("inventory_look", ["id", "at", "clock_offset"], &["id"], &["at", "clock_offset"], vec![look])
        .await
}

async fn note_mailboxes(tx: &mut Tx, mailboxes: &[Mailbox]) -> Result<()> {
    let rows = mailboxes.iter().map(|mailbox| -> [Value<'_>; 5] {
        [
            (&mailbox.address).into(),
            (&mailbox.name).into(),
            mailbox.active.into(),
            (&mailbox.created).into(),
            mailbox.since.into(),
        ]
    });
    let columns = ["address", "name", "active", "created", "since_at"];
    tx.upsert("mailbox", columns, &["address"], &["name", "active", "created", "since_at"], rows.collect())
        .await
}

impl From<MailboxRow> for Mailbox {
    fn from(row: MailboxRow) -> Self {
        let MailboxRow { address, name, active, created, since_at } = row;
        Self { address, name, active: active == 1, created, since: since_at }
    }
}

impl From<PairRow> for AliasPair {
    fn from(row: PairRow) -> Self {
        let PairRow { mailbox, alias, alone, since_at } = row;
        Self { alias, mailbox, alone: (alone != 0).then_some(Millis(alone)), since: since_at }
    }
}

impl From<AliasDomainRow> for AliasDomainLink {
    fn from(row: AliasDomainRow) -> Self {
        Self { alias_domain: row.alias_domain, target: row.target, since: row.since_at }
    }
}
