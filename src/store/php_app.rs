//! The tables of the PHP app, `mail` and `mail_history`: read in pieces by their key, never written.
//!
//! Its moments are DATETIME at UTC; our sessions are at UTC, so they are read as they are.

use super::db::{Db, Result, places, sql};
use crate::model::time::Millis;

/// A row of `mail`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Mail {
    /// Its number.
    pub id: i64,
    /// Queue id; may be empty.
    pub queue_id: Option<String>,
    /// Message id without angle brackets.
    pub message_id: Option<String>,
    /// One address, or several joined by `, `.
    pub recipient: Option<String>,
    /// Envelope sender.
    pub sender: Option<String>,
    /// Unix seconds; `None` where the moment is none.
    pub at: Option<i64>,
    /// 0 to 6, see the app; `None` when it saw none.
    pub status: Option<i64>,
    /// Decoded subject.
    pub subject: Option<String>,
    /// Client address.
    pub ip: Option<String>,
    /// Bytes.
    pub size: Option<i64>,
}

/// A row of `mail_history`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Entry {
    /// Number of its mail.
    pub mail_id: i64,
    /// Unix seconds; `None` where the moment is none.
    pub at: Option<i64>,
    /// 0 to 6.
    pub status: i64,
    /// A Postfix message, Rspamd's score and symbols, or the fingerprint of an open.
    pub description: Option<String>,
}

impl Entry {
    /// When.
    pub fn moment(&self) -> Option<Millis> {
        self.at.map(Millis::from_secs)
    }
}

/// Whether the database has the app's tables: always false on SQLite, which it does not know.
pub async fn is_there(db: &Db) -> Result<bool> {
    let Db::Mysql { .. } = db else { return Ok(false) };
    let found: Option<(i64,)> = db
        .fetch_one(sql("SELECT CAST(COUNT(DISTINCT table_name) AS SIGNED) FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND ((table_name = 'mail' AND column_name = 'queue_id') \
             OR (table_name = 'mail_history' AND column_name = 'mail_id'))"))
        .await?;
    Ok(found == Some((2,)))
}

/// The lowest and the highest number of a mail; `None` when there is none.
pub async fn span(db: &Db) -> Result<Option<(i64, i64)>> {
    let span: Option<(Option<i64>, Option<i64>)> =
        db.fetch_one(sql("SELECT CAST(MIN(id) AS SIGNED), CAST(MAX(id) AS SIGNED) FROM mail")).await?;
    Ok(span.and_then(|(low, high)| Some((low?, high?))))
}

/// The next mails behind `after`, in order of their numbers.
pub async fn mails(db: &Db, after: i64, count: usize) -> Result<Vec<Mail>> {
    let text = format!(
        "SELECT CAST(id AS SIGNED) AS id, queue_id, message_id, recipient, sender, \
         CAST(UNIX_TIMESTAMP(timestamp) AS SIGNED) AS at, CAST(status AS SIGNED) AS status, subject, ip, \
         CAST(size AS SIGNED) AS size FROM mail WHERE id > ? ORDER BY mail.id LIMIT {count}"
    );
    db.fetch(sql(text).bind(after)).await
}

/// The history of these mails, in the order in which it was written.
pub async fn history(db: &Db, ids: &[i64]) -> Result<Vec<Entry>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let text = format!(
        "SELECT CAST(mail_id AS SIGNED) AS mail_id, CAST(UNIX_TIMESTAMP(timestamp) AS SIGNED) AS at, \
         CAST(status AS SIGNED) AS status, description FROM mail_history WHERE mail_id IN ({}) \
         ORDER BY mail_history.mail_id, mail_history.id",
        places(ids.len())
    );
    db.fetch(sql(text).bind_all(ids.iter().copied())).await
}
