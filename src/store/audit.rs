//! Who signed in, how, from where, and who was refused.

use std::time::Duration;

use super::db::{Db, Result, Tx, sql};
use crate::model::time::Millis;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Signed in at Mailcow.
    SignIn,
    /// Tried to sign in and was refused; the detail says why.
    SignInRefused,
    /// Signed in by a login link.
    LinkUsed,
    /// A login link was made at the command line.
    LinkMade,
    /// Signed out.
    SignOut,
    /// Signed out everywhere.
    SignOutEverywhere,
    /// Mailcow's answer ended the session.
    SessionEnded,
    /// Said whose a source of DMARC reports is.
    SourceJudged,
    /// Ran a job by hand; the detail is its name.
    JobRun,
}

impl Action {
    /// The word in the database and in text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::SignInRefused => "sign-in-refused",
            Self::LinkUsed => "link-used",
            Self::LinkMade => "link-made",
            Self::SignOut => "sign-out",
            Self::SignOutEverywhere => "sign-out-everywhere",
            Self::SessionEnded => "session-ended",
            Self::SourceJudged => "source-judged",
            Self::JobRun => "job-run",
        }
    }
}

/// One thing that somebody did.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Entry {
    /// When.
    pub at: Millis,
    /// Whose address; empty when nobody proved one.
    pub actor: String,
    /// [`Action::code`].
    pub action: String,
    /// The role at that time, as [`crate::model::scope::Role::code`]; may be empty.
    pub role: String,
    /// Address of the browser, or `command line`.
    pub client: String,
    /// More words; never a secret.
    pub detail: String,
}

impl Entry {
    /// An entry without role and detail.
    pub fn new(at: Millis, actor: &str, action: Action, client: &str) -> Self {
        Self {
            at,
            actor: actor.to_owned(),
            action: action.code().to_owned(),
            role: String::new(),
            client: client.to_owned(),
            detail: String::new(),
        }
    }

    /// The same with a role.
    pub fn role(mut self, role: crate::model::scope::Role) -> Self {
        self.role = role.code().to_owned();
        self
    }

    /// The same with more words.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

/// Writes an entry down.
pub async fn record(tx: &mut Tx, entry: &Entry) -> Result<()> {
    let statement =
        sql("INSERT INTO audit (at, actor, action, role, client, detail) VALUES (?, ?, ?, ?, ?, ?)")
            .bind(entry.at)
            .bind(&entry.actor)
            .bind(&entry.action)
            .bind(&entry.role)
            .bind(&entry.client)
            .bind(&entry.detail);
    tx.execute(statement).await.map(drop)
}

/// The newest entries, newest first. For admins and for whoever looks after the host.
pub async fn newest(db: &Db, limit: u32) -> Result<Vec<Entry>> {
    let statement = sql("SELECT at, actor, action, role, client, detail FROM audit ORDER BY id DESC LIMIT ?");
    db.fetch(statement.bind(limit)).await
}

/// How long entries are kept.
pub const LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long refusals are kept, of which strangers can make many.
pub const REFUSED_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Removes what is old.
pub async fn prune(tx: &mut Tx, now: Millis) -> Result<()> {
    tx.execute(sql("DELETE FROM audit WHERE at < ?").bind(now.minus(LIFE))).await?;
    let refusals = sql("DELETE FROM audit WHERE at < ? AND action = ?");
    tx.execute(refusals.bind(now.minus(REFUSED_LIFE)).bind(Action::SignInRefused.code())).await.map(drop)
}
