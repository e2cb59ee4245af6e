//! Mailcow's quarantine: a mail that was refused, of which a copy can be released.

use std::sync::Arc;

use super::{
    correlate::{Batch, Novelty, take},
    sessions::Sessions,
};
use crate::{
    model::{mail::ServerId, time::Millis},
    remote::{self, mailcow::Mailcow},
    store::{self, Db},
};

/// Why the quarantine could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Mailcow could not be asked.
    #[error(transparent)]
    Remote(#[from] remote::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Marks the mails of which a copy was put into quarantine since `since`. Gives how many mails changed.
pub async fn refresh(db: &Db, mailcow: &Mailcow, server: ServerId, since: Millis) -> Result<usize, Error> {
    let entries = mailcow.quarantine().await?;
    let recent = entries.into_iter().filter(|entry| !entry.qid.is_empty());
    let mut quarantined: Vec<(String, Millis)> = recent
        .map(|entry| (entry.qid, Millis::from_secs(entry.created)))
        .filter(|(_, at)| *at >= since)
        .collect();
    // One entry per mailbox: the mail is the same, and so is the fact.
    quarantined.sort();
    quarantined.dedup_by(|a, b| a.0 == b.0);
    if quarantined.is_empty() {
        return Ok(0);
    }
    let batch = Batch {
        server,
        lines: &[],
        scans: Arc::default(),
        quarantined: &quarantined,
        novelty: Novelty::Perhaps,
    };
    let mut tx = db.begin().await?;
    let outcome = take(&mut tx, &batch, &mut Sessions::default()).await?;
    tx.commit().await?;
    Ok(outcome.changed.len())
}
