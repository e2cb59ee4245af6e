//! Login links: one use, ten minutes, made at the command line.

use std::time::Duration;

use super::{
    db::{Db, Error, Result, Tx, sql},
    sessions::{joined, parted},
};
use crate::model::{scope::Role, time::Millis, token::digest, user::Grant};

/// How long a link can be used.
pub const LIFE: Duration = Duration::from_secs(600);

/// Whom a link signs in, and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginLink {
    /// The mailbox, normalised; that of an admin need not exist.
    pub address: String,
    /// The role.
    pub grant: Grant,
}

#[derive(sqlx::FromRow)]
struct Row {
    address: String,
    role: String,
    domains: String,
}

/// Stores a link. Only the digest of the token is kept.
pub async fn make(tx: &mut Tx, token: &str, link: &LoginLink, now: Millis) -> Result<()> {
    let statement = sql("INSERT INTO login_link (token, address, role, domains, created_at, expires_at) \
                         VALUES (?, ?, ?, ?, ?, ?)")
    .bind(digest(token))
    .bind(&link.address)
    .bind(link.grant.role.code())
    .bind(joined(&link.grant.domains))
    .bind(now)
    .bind(now.plus(LIFE));
    tx.execute(statement).await.map(drop)
}

/// Looks at a link that can still be used, without using it.
pub async fn find(db: &Db, token: &str, now: Millis) -> Result<Option<LoginLink>> {
    let statement = sql("SELECT address, role, domains FROM login_link \
                         WHERE token = ? AND used_at IS NULL AND expires_at > ?");
    let row: Option<Row> = db.fetch_one(statement.bind(digest(token)).bind(now)).await?;
    row.map(link).transpose()
}

/// Uses a link up. `None` when it was used, is too old or never was.
pub async fn redeem(tx: &mut Tx, token: &str, now: Millis) -> Result<Option<LoginLink>> {
    let token = digest(token);
    let use_up =
        sql("UPDATE login_link SET used_at = ? WHERE token = ? AND used_at IS NULL AND expires_at > ?");
    if tx.execute(use_up.bind(now).bind(&token).bind(now)).await? != 1 {
        return Ok(None);
    }
    let row: Option<Row> = tx
        .fetch_one(sql("SELECT address, role, domains FROM login_link WHERE token = ?").bind(&token))
        .await?;
    row.map(link).transpose()
}

fn link(row: Row) -> Result<LoginLink> {
    let role = Role::from_code(&row.role).ok_or(Error::Damaged("login_link.role"))?;
    Ok(LoginLink { address: row.address, grant: Grant { role, domains: parted(&row.domains) } })
}
