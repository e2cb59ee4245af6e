//! What correlation needs of the database: mails by queue id or message id, and writing them back.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    db::{LIST, Result, Tx, Value, places, sql},
    dictionaries, gathered,
    keys::{Kind, key, keys_of, state},
    pack::{Packer, Unpacked},
    search,
    story::Story,
    traffic,
};
use crate::model::{
    mail::{Mail, MailId, ServerId},
    time::Millis,
};

/// A mail as it lies in the database.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct PackedMail {
    pub id: MailId,
    pub server: ServerId,
    pub story: Vec<u8>,
}

/// A mail as it lay in the database, unpacked.
#[derive(Debug, Clone)]
pub struct StoredMail {
    /// Its id.
    pub id: MailId,
    /// Whose log.
    pub server: ServerId,
    /// [`Story`] bytes.
    pub story: Unpacked,
}

/// A mail to be written, as it will lie in the database.
pub struct MailWrite {
    /// Its id.
    pub id: MailId,
    server: ServerId,
    state: u8,
    story: Vec<u8>,
    /// Keys to be written, with their states.
    keys: Vec<(i32, u8)>,
    /// Keys of an earlier state of this mail that it has no more.
    gone: Vec<i32>,
    /// Whether it lies in the database already.
    known: bool,
}

impl MailWrite {
    /// Packs a mail that folds from this story; `known` is the mail as it lies in the database.
    pub fn new(mail: &Mail, story: &Story<'_>, known: Option<&Mail>, packer: Packer) -> Self {
        let before = known.map(keys_of).unwrap_or_default();
        let now = keys_of(mail);
        Self {
            id: mail.id,
            server: mail.server,
            state: state(mail.status, mail.direction),
            story: packer.pack(&story.encode(mail.id)),
            gone: before.keys().filter(|key| !now.contains_key(key)).copied().collect(),
            known: known.is_some(),
            keys: now.into_iter().filter(|(key, state)| before.get(key) != Some(state)).collect(),
        }
    }
}

/// Mails that may have one of these queue ids and began at these moments or later: a superset, compare the ids.
pub async fn by_queue_ids(tx: &mut Tx, ids: &BTreeMap<&str, Millis>) -> Result<Vec<StoredMail>> {
    by_keys(tx, Kind::Queue, ids).await
}

/// Mails that may have one of these message ids and began at these moments or later: a superset, compare the ids.
pub async fn by_message_ids(tx: &mut Tx, ids: &BTreeMap<&str, Millis>) -> Result<Vec<StoredMail>> {
    by_keys(tx, Kind::Message, ids).await
}

async fn by_keys(tx: &mut Tx, kind: Kind, names: &BTreeMap<&str, Millis>) -> Result<Vec<StoredMail>> {
    let mut keys: Vec<(i32, MailId)> =
        names.iter().map(|(name, since)| (key(kind, name), MailId::floor(*since))).collect();
    keys.sort_unstable();
    keys.dedup_by_key(|(key, _)| *key);
    let mut mails = Vec::new();
    for table in gathered::TABLES {
        if table == gathered::LARGE {
            // Asked for after the small table was read: what was moved before is told of here, what is moved later was seen there.
            let settled = gathered::settled(tx).await?;
            keys.retain(|(_, since)| *since <= settled);
        }
        let keys: Vec<i32> = keys.iter().map(|(key, _)| *key).collect();
        let found = tx
            .fetch_in(&keys, |list| {
                format!("SELECT m.id, m.server, m.story FROM {table} x JOIN mail_story m ON m.id = x.mail WHERE x.k IN ({list})")
            })
            .await?;
        mails.extend(dictionaries::mails_in(tx, found).await?);
    }
    mails.sort_unstable_by_key(|mail| mail.id);
    mails.dedup_by_key(|mail| mail.id);
    Ok(mails)
}

/// When the newest mail began.
pub async fn newest(tx: &mut Tx) -> Result<Millis> {
    let newest: Option<(Option<MailId>,)> = tx.fetch_one(sql("SELECT MAX(id) FROM mail_story")).await?;
    Ok(newest.and_then(|(newest,)| newest).map_or(Millis(0), MailId::second))
}

/// Which of these ids are taken.
pub async fn taken(tx: &mut Tx, ids: &[MailId]) -> Result<BTreeSet<MailId>> {
    let rows: Vec<(MailId,)> =
        tx.fetch_in(ids, |list| format!("SELECT id FROM mail_story WHERE id IN ({list})")).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Writes mails: new ones, and new states of known ones.
pub async fn save(tx: &mut Tx, mut mails: Vec<MailWrite>) -> Result<()> {
    if mails.is_empty() {
        return Ok(());
    }
    tx.touch_lists();
    // In order of the id, so that new mails are put at the end of the table and fill its pages.
    mails.sort_unstable_by_key(|mail| mail.id);
    let settled = gathered::hold(tx, mails.iter().map(|mail| mail.keys.len()).sum()).await?;
    let (mut ids, mut keys, mut former, mut rows) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for mail in mails {
        ids.push(mail.id);
        if mail.known && mail.id <= settled {
            // Those that are written stand in the small table from now on.
            let written = mail.keys.iter().map(|(key, _)| *key);
            former.push((gathered::LARGE, mail.id, mail.gone.iter().copied().chain(written).collect()));
        }
        former.push((gathered::NEW, mail.id, mail.gone));
        keys.extend(mail.keys.into_iter().map(|(key, state)| (key, mail.id, state)));
        rows.push([mail.id.into(), Value::Int(mail.server.0.into()), mail.state.into(), mail.story.into()]);
    }
    let columns = ["id", "server", "state", "story"];
    tx.upsert("mail_story", columns, &["id"], &["state", "story"], rows).await?;
    search::note(tx, ids.iter().copied()).await?;
    traffic::note(tx, ids.into_iter()).await?;
    for (table, mail, keys) in former {
        remove_keys(tx, table, mail, &keys).await?;
    }
    // In order of the key, so that neighbours land on one page of the index.
    keys.sort_unstable();
    let rows = keys.into_iter().map(|(key, mail, state)| [key.into(), mail.into(), state.into()]);
    tx.upsert(gathered::NEW, ["k", "mail", "state"], &["k", "mail"], &["state"], rows.collect()).await
}

/// Removes mails that turned out to be others: an earlier line came in, so their first moment moved.
pub async fn remove(tx: &mut Tx, mails: &[Mail]) -> Result<()> {
    if mails.is_empty() {
        return Ok(());
    }
    tx.touch_lists();
    let settled = gathered::hold(tx, 0).await?;
    traffic::note(tx, mails.iter().map(|mail| mail.id)).await?;
    for mail in mails {
        let keys: Vec<i32> = keys_of(mail).into_keys().collect();
        remove_keys(tx, gathered::NEW, mail.id, &keys).await?;
        if mail.id <= settled {
            remove_keys(tx, gathered::LARGE, mail.id, &keys).await?;
        }
    }
    for mails in mails.chunks(LIST) {
        let text = format!("DELETE FROM mail_story WHERE id IN ({})", places(mails.len()));
        tx.write(sql(text).bind_all(mails.iter().map(|mail| mail.id))).await?;
    }
    Ok(())
}

async fn remove_keys(tx: &mut Tx, table: &str, mail: MailId, keys: &[i32]) -> Result<()> {
    for keys in keys.chunks(LIST) {
        let text = format!("DELETE FROM {table} WHERE mail = ? AND k IN ({})", places(keys.len()));
        tx.write(sql(text).bind(mail).bind_all(keys.iter().copied())).await?;
    }
    Ok(())
}

impl StoredMail {
    /// The facts; borrows from the bytes.
    pub fn story(&self) -> Result<Story<'_>> {
        Story::decode(self.id, &self.story.0)
    }

    /// The mail.
    pub fn mail(&self) -> Result<Mail> {
        // The stored id wins: it was moved by one where two mails of a second had the same hash.
        Ok(Mail { id: self.id, ..self.story()?.fold(self.server) })
    }
}
