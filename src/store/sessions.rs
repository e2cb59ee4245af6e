//! Sessions, and sign-ins on their way.

use std::collections::BTreeSet;

use super::db::{Db, Error, Result, Tx, sql};
use crate::model::{
    scope::Role,
    time::Millis,
    user::{Session, SessionLimits, Via, Visit},
};

#[derive(sqlx::FromRow)]
struct SessionRow {
    id: String,
    address: String,
    name: String,
    via: String,
    role: String,
    domains: String,
    mailbox_created: String,
    mailbox_since: Millis,
    created_at: Millis,
    seen_at: Millis,
    checked_at: Millis,
}

/// Stores a new session.
pub async fn begin(tx: &mut Tx, session: &Session) -> Result<()> {
    let statement =
        sql("INSERT INTO session (id, address, name, via, role, domains, mailbox_created, mailbox_since, \
                         created_at, seen_at, checked_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(&session.key)
        .bind(&session.address)
        .bind(&session.name)
        .bind(session.via.code())
        .bind(session.role.code())
        .bind(joined(&session.domains))
        .bind(&session.mailbox_created)
        .bind(session.mailbox_since)
        .bind(session.created)
        .bind(session.seen)
        .bind(session.checked);
    tx.execute(statement).await.map(drop)
}

/// The session with this key, however old.
pub async fn find(db: &Db, key: &str) -> Result<Option<Session>> {
    let row: Option<SessionRow> = db.fetch_one(sql("SELECT * FROM session WHERE id = ?").bind(key)).await?;
    row.map(session).transpose()
}

/// Notes a visit, and that Mailcow confirmed the mailbox with the domains that stand in the row. What is later than that
/// stays, and who has other domains by now is asked about anew.
pub async fn note_visit(tx: &mut Tx, key: &str, visit: &Visit) -> Result<()> {
    let seen = sql("UPDATE session SET seen_at = ? WHERE id = ? AND seen_at < ?");
    tx.write(seen.bind(visit.seen).bind(key).bind(visit.seen)).await?;
    let checked = sql("UPDATE session SET checked_at = ? WHERE id = ? AND checked_at < ? AND domains = ?");
    let checked = checked.bind(visit.checked).bind(key).bind(visit.checked);
    tx.write(checked.bind(joined(&visit.domains))).await
}

/// Writes that Mailcow confirmed the mailbox, with the domains that its domain admins lend now.
pub async fn confirm(tx: &mut Tx, key: &str, domains: &BTreeSet<String>, now: Millis) -> Result<()> {
    let statement = sql("UPDATE session SET checked_at = ?, domains = ? WHERE id = ?");
    tx.execute(statement.bind(now).bind(joined(domains)).bind(key)).await.map(drop)
}

/// Those who are here by a login link and not past its time, by address.
pub async fn by_link(db: &Db, now: Millis) -> Result<Vec<Session>> {
    let statement =
        sql("SELECT * FROM session WHERE via = ? AND created_at > ? ORDER BY address, created_at");
    let statement = statement.bind(Via::Link.code()).bind(now.minus(SessionLimits::LINK));
    let rows: Vec<SessionRow> = db.fetch(statement).await?;
    rows.into_iter().map(session).collect()
}

/// Ends one session.
pub async fn end(tx: &mut Tx, key: &str) -> Result<()> {
    tx.execute(sql("DELETE FROM session WHERE id = ?").bind(key)).await.map(drop)
}

/// Ends all sessions of an address; says how many there were.
pub async fn end_all(tx: &mut Tx, address: &str) -> Result<u64> {
    tx.execute(sql("DELETE FROM session WHERE address = ?").bind(address)).await
}

/// Removes sessions, sign-ins and login links that time has ended.
pub async fn prune(tx: &mut Tx, limits: &SessionLimits, now: Millis) -> Result<()> {
    let sessions =
        sql("DELETE FROM session WHERE seen_at <= ? OR created_at <= ? OR (via = ? AND created_at <= ?)")
            .bind(now.minus(limits.idle))
            .bind(now.minus(limits.absolute))
            .bind(Via::Link.code())
            .bind(now.minus(SessionLimits::LINK));
    tx.execute(sessions).await?;
    tx.execute(sql("DELETE FROM sign_in WHERE created_at <= ?").bind(now.minus(SIGN_IN_LIFE))).await?;
    tx.execute(sql("DELETE FROM login_link WHERE expires_at <= ?").bind(now)).await.map(drop)
}

/// How long a sign-in may take.
pub const SIGN_IN_LIFE: std::time::Duration = std::time::Duration::from_secs(600);

/// A sign-in on its way to Mailcow and back.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct SignIn {
    /// Digest of the cookie that binds it to one browser.
    pub browser: String,
    /// The page that was wished: a path of ours.
    pub wish: String,
    /// When it began.
    pub created_at: Millis,
}

/// Stores that a sign-in began. `state` is a digest.
pub async fn begin_sign_in(tx: &mut Tx, state: &str, sign_in: &SignIn) -> Result<()> {
    let statement = sql("INSERT INTO sign_in (state, browser, wish, created_at) VALUES (?, ?, ?, ?)")
        .bind(state)
        .bind(&sign_in.browser)
        .bind(&sign_in.wish)
        .bind(sign_in.created_at);
    tx.execute(statement).await.map(drop)
}

/// Takes a sign-in out, so that its state serves once. `None` when it was used or never was.
pub async fn redeem_sign_in(tx: &mut Tx, state: &str) -> Result<Option<SignIn>> {
    let found = tx
        .fetch_one(sql("SELECT browser, wish, created_at FROM sign_in WHERE state = ?").bind(state))
        .await?;
    // Of two that come at once, one deletes the row.
    let taken = tx.execute(sql("DELETE FROM sign_in WHERE state = ?").bind(state)).await?;
    Ok(found.filter(|_| taken == 1))
}

fn session(row: SessionRow) -> Result<Session> {
    Ok(Session {
        via: Via::from_code(&row.via).ok_or(Error::Damaged("session.via"))?,
        role: Role::from_code(&row.role).ok_or(Error::Damaged("session.role"))?,
        domains: parted(&row.domains),
        key: row.id,
        address: row.address,
        name: row.name,
        mailbox_created: row.mailbox_created,
        mailbox_since: row.mailbox_since,
        created: row.created_at,
        seen: row.seen_at,
        checked: row.checked_at,
    })
}

/// Domains as one text; no domain holds a comma.
pub(super) fn joined(domains: &BTreeSet<String>) -> String {
    domains.iter().map(String::as_str).collect::<Vec<_>>().join(",")
}

pub(super) fn parted(text: &str) -> BTreeSet<String> {
    text.split(',').filter(|domain| !domain.is_empty()).map(str::to_owned).collect()
}
