//! What correlation needs of the database: mails by queue id or message id, and writing them back.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    db::{LIST, ROWS_PER_STATEMENT, Result, Tx, Value, places, sql},
    keys::{Kind, key, keys_of, state},
    pack::{Unpacked, pack},
    search,
    story::Story,
    traffic,
};
use crate::model::mail::{Mail, MailId, ServerId};

/// A mail as it lies in the database.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct StoredMail {
    /// Its id.
    pub id: MailId,
    /// Whose log.
    pub server: ServerId,
    /// [`Story`] bytes.
    #[sqlx(try_from = "Vec<u8>")]
    pub story: Unpacked,
}

/// A mail to be written.
pub struct MailWrite {
    /// The mail.
    pub mail: Mail,
    /// [`Story`] bytes of the same mail.
    pub story: Vec<u8>,
    /// The keys that lie in the database from an earlier state of this mail, for [`save`] to leave alone.
    pub known_keys: BTreeMap<i32, u8>,
}

/// The keys of a mail, to be remembered in [`MailWrite::known_keys`].
pub fn keys(mail: &Mail) -> BTreeMap<i32, u8> {
    keys_of(mail)
}

/// Mails that may have one of these queue ids: a superset, compare the ids.
pub async fn by_queue_ids(tx: &mut Tx, ids: &BTreeSet<&str>) -> Result<Vec<StoredMail>> {
    by_keys(tx, ids.iter().map(|id| key(Kind::Queue, id)).collect()).await
}

/// Mails that may have one of these message ids: a superset, compare the ids.
pub async fn by_message_ids(tx: &mut Tx, ids: &BTreeSet<&str>) -> Result<Vec<StoredMail>> {
    by_keys(tx, ids.iter().map(|id| key(Kind::Message, id)).collect()).await
}

async fn by_keys(tx: &mut Tx, keys: BTreeSet<i32>) -> Result<Vec<StoredMail>> {
    let keys: Vec<i32> = keys.into_iter().collect();
    let mut mails: Vec<StoredMail> = tx
        .fetch_in(&keys, |list| {
            format!("SELECT m.id, m.server, m.story FROM mail_key x JOIN mail_story m ON m.id = x.mail WHERE x.k IN ({list})")
        })
        .await?;
    mails.sort_unstable_by_key(|mail| mail.id);
    mails.dedup_by_key(|mail| mail.id);
    Ok(mails)
}

/// Which of these ids are taken.
pub async fn taken(tx: &mut Tx, ids: &[MailId]) -> Result<BTreeSet<MailId>> {
    let rows: Vec<(MailId,)> =
        tx.fetch_in(ids, |list| format!("SELECT id FROM mail_story WHERE id IN ({list})")).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Writes mails: new ones, and new states of known ones.
pub async fn save(tx: &mut Tx, mails: &[MailWrite]) -> Result<()> {
    tx.touch_lists();
    let columns = ["id", "server", "state", "story"];
    // Packed a statement at a time, while the one before is on its way.
    for mails in mails.chunks(ROWS_PER_STATEMENT) {
        let rows = mails.iter().map(|write| {
            let mail = &write.mail;
            let state = state(mail.status, mail.direction);
            [mail.id.into(), Value::Int(mail.server.0.into()), state.into(), pack(&write.story).into()]
        });
        tx.upsert("mail_story", columns, &["id"], &["state", "story"], rows.collect()).await?;
    }
    search::note(tx, mails.iter().map(|write| write.mail.id)).await?;
    traffic::note(tx, mails.iter().map(|write| write.mail.id)).await?;
    let mut keys = Vec::new();
    let mut dead = Vec::new();
    for write in mails {
        let now = keys_of(&write.mail);
        let fresh = now.iter().filter(|(key, state)| write.known_keys.get(key) != Some(state));
        keys.extend(fresh.map(|(key, state)| (*key, write.mail.id, *state)));
        let gone: Vec<i32> = write.known_keys.keys().filter(|key| !now.contains_key(key)).copied().collect();
        if !gone.is_empty() {
            dead.push((write.mail.id, gone));
        }
    }
    // In order of the key, so that neighbours land on one page of the index.
    keys.sort_unstable();
    let rows = keys.into_iter().map(|(key, mail, state)| [key.into(), mail.into(), state.into()]);
    tx.upsert("mail_key", ["k", "mail", "state"], &["k", "mail"], &["state"], rows.collect()).await?;
    for (mail, keys) in dead {
        remove_keys(tx, mail, &keys).await?;
    }
    Ok(())
}

/// Removes mails that turned out to be others: an earlier line came in, so their first moment moved.
pub async fn remove(tx: &mut Tx, mails: &[Mail]) -> Result<()> {
    tx.touch_lists();
    traffic::note(tx, mails.iter().map(|mail| mail.id)).await?;
    for mail in mails {
        remove_keys(tx, mail.id, &keys_of(mail).into_keys().collect::<Vec<_>>()).await?;
    }
    for mails in mails.chunks(LIST) {
        let text = format!("DELETE FROM mail_story WHERE id IN ({})", places(mails.len()));
        tx.write(sql(text).bind_all(mails.iter().map(|mail| mail.id))).await?;
    }
    Ok(())
}

async fn remove_keys(tx: &mut Tx, mail: MailId, keys: &[i32]) -> Result<()> {
    for keys in keys.chunks(LIST) {
        let text = format!("DELETE FROM mail_key WHERE mail = ? AND k IN ({})", places(keys.len()));
        tx.write(sql(text).bind(mail).bind_all(keys.iter().copied())).await?;
    }
    Ok(())
}

impl StoredMail {
    /// The facts; borrows from the bytes.
    pub fn story(&self) -> Result<Story<'_>> {
        Story::decode(&self.story.0)
    }

    /// The mail.
    pub fn mail(&self) -> Result<Mail> {
        // The stored id wins: it was moved by one where two mails of a second had the same hash.
        Ok(Mail { id: self.id, ..self.story()?.fold(self.server) })
    }
}
