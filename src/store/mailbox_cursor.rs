//! How far the mailboxes that reports come to have been read, and which mails in them still want something done.

use super::{
    db::{Db, Result, Tx, Value, sql},
    texts::cut,
};
use crate::model::time::Millis;

/// The longest line of a header (RFC 5322): no Message-ID is longer, and none can be searched for that is.
const LINE: usize = 998;
/// UIDs in one statement.
const UIDS: usize = 256;

/// A folder of a mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Account {
    /// Name and host: `dmarc@a.test at mail.a.test`.
    pub account: String,
    /// Folder, as in the settings.
    pub folder: String,
    /// UIDVALIDITY under which `last_uid` counts; `None` before the first look.
    pub validity: Option<i64>,
    /// Mails up to this UID have been read.
    pub last_uid: i64,
    /// Last attempt.
    pub ran_at: Option<Millis>,
    /// Last attempt that succeeded.
    pub succeeded_at: Option<Millis>,
    /// What is wrong at present.
    pub error: Option<String>,
    /// Since when.
    pub error_since: Option<Millis>,
    /// Mails read, ever.
    pub mails: i64,
    /// Reports taken from them.
    pub reports: i64,
    /// Reports in them that were known already, also those that are kept as another text of a known one.
    pub known: i64,
    /// Documents in them that could not be read, and are kept as such.
    pub refused: i64,
    /// Mails without any report, which were left alone.
    pub others: i64,
}

impl Account {
    /// A folder that was never read.
    pub fn new(account: &str, folder: &str) -> Self {
        Self { account: account.to_owned(), folder: folder.to_owned(), ..Self::default() }
    }

    /// Notes that reading failed, and since when.
    pub fn fail(&mut self, now: Millis, error: &str) {
        self.ran_at = Some(now);
        self.error = Some(cut(error).into_owned());
        self.error_since.get_or_insert(now);
    }

    /// Notes that reading succeeded.
    pub fn succeed(&mut self, now: Millis) {
        self.ran_at = Some(now);
        self.succeeded_at = Some(now);
        self.error = None;
        self.error_since = None;
    }
}

const COLUMNS: [&str; 13] = [
    "account",
    "folder",
    "validity",
    "last_uid",
    "ran_at",
    "succeeded_at",
    "error",
    "error_since",
    "mails",
    "reports",
    "known",
    "refused",
    "others",
];

/// Every folder that was ever read, for the page of admins.
pub async fn accounts(db: &Db) -> Result<Vec<Account>> {
    let columns = COLUMNS.join(", ");
    db.fetch(sql(format!("SELECT {columns} FROM mailbox_cursor ORDER BY account, folder"))).await
}

/// One folder; a new one when it was never read.
pub async fn find(db: &Db, account: &str, folder: &str) -> Result<Account> {
    let columns = COLUMNS.join(", ");
    let text = format!("SELECT {columns} FROM mailbox_cursor WHERE account = ? AND folder = ?");
    let found = db.fetch_one(sql(text).bind(account).bind(folder)).await?;
    Ok(found.unwrap_or_else(|| Account::new(account, folder)))
}

/// Writes the state of a folder.
pub async fn save(tx: &mut Tx, it: &Account) -> Result<()> {
    let row: [Value<'_>; 13] = [
        Value::from(&it.account),
        Value::from(&it.folder),
        it.validity.into(),
        it.last_uid.into(),
        it.ran_at.into(),
        it.succeeded_at.into(),
        it.error.as_deref().into(),
        it.error_since.into(),
        it.mails.into(),
        it.reports.into(),
        it.known.into(),
        it.refused.into(),
        it.others.into(),
    ];
    tx.upsert("mailbox_cursor", COLUMNS, &["account", "folder"], &COLUMNS[2..], vec![row]).await
}

/// What is still to be done with a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Its reports are kept: move or remove it.
    Clear,
    /// It may have been copied to where it belongs, and is to be removed.
    Copied,
    /// It could not be read: try again.
    Again,
}

impl Work {
    /// The word in the database.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Copied => "copied",
            Self::Again => "again",
        }
    }
}

/// A mail on which something is still to be done.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Task {
    /// Its UID.
    pub uid: i64,
    /// How often it was tried.
    pub tries: i64,
    /// Its Message-ID, if it has one that can be searched for.
    pub message_id: Option<String>,
    /// Why it could not be read.
    pub reason: Option<String>,
}

impl Task {
    /// The task of a mail that nothing more is known of.
    pub fn new(uid: u32, message_id: Option<String>) -> Self {
        Self { uid: i64::from(uid), tries: 0, message_id, reason: None }
    }
}

/// What is still to be done in a folder, of one kind, lowest UID first; some hundred at once.
pub async fn tasks(db: &Db, it: &Account, work: Work) -> Result<Vec<Task>> {
    let text = "SELECT uid, tries, message_id, reason FROM mailbox_task \
        WHERE account = ? AND folder = ? AND task = ? ORDER BY uid LIMIT 500";
    db.fetch(sql(text).bind(&it.account).bind(&it.folder).bind(work.code())).await
}

/// Notes what is to be done with mails.
pub async fn note(tx: &mut Tx, it: &Account, work: Work, tasks: &[Task]) -> Result<()> {
    let rows = tasks.iter().map(|task| -> [Value<'_>; 7] {
        [
            Value::from(&it.account),
            Value::from(&it.folder),
            task.uid.into(),
            work.code().into(),
            task.tries.into(),
            task.message_id.as_deref().filter(|id| id.len() <= LINE).into(),
            task.reason.as_deref().map(cut).into(),
        ]
    });
    let columns = ["account", "folder", "uid", "task", "tries", "message_id", "reason"];
    tx.upsert("mailbox_task", columns, &columns[..3], &columns[3..], rows.collect()).await
}

/// Notes that nothing more is to be done with mails.
pub async fn done(tx: &mut Tx, it: &Account, uids: &[u32]) -> Result<()> {
    for uids in uids.chunks(UIDS) {
        let places = super::db::places(uids.len());
        let text = format!("DELETE FROM mailbox_task WHERE account = ? AND folder = ? AND uid IN ({places})");
        let uids = uids.iter().map(|uid| i64::from(*uid));
        tx.execute(sql(text).bind(&it.account).bind(&it.folder).bind_all(uids)).await?;
    }
    Ok(())
}

/// Forgets every task of a folder, whose UIDs no longer mean the same mails.
pub async fn forget(tx: &mut Tx, it: &Account) -> Result<()> {
    let text = "DELETE FROM mailbox_task WHERE account = ? AND folder = ?";
    tx.execute(sql(text).bind(&it.account).bind(&it.folder)).await?;
    Ok(())
}
