//! Mailcow's quarantine: a mail that was refused, of which a copy can be released.

use std::time::Duration;

use super::{
    correlate::{Batch, Novelty, take},
    sessions::Sessions,
};
use crate::{
    model::{mail::ServerId, time::Millis},
    remote::{self, mailcow::Mailcow},
    store::{self, Db},
};

/// Entries older than this were seen before; they are not matched again.
const RECENT: Duration = Duration::from_secs(3 * 24 * 3600);

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

/// Marks the mails of which a copy lies in quarantine. Gives how many mails changed.
pub async fn refresh(db: &Db, mailcow: &Mailcow, server: ServerId, now: Millis) -> Result<usize, Error> {
    let entries = mailcow.quarantine().await?;
    let recent = entries.into_iter().filter(|entry| !entry.qid.is_empty());
    let mut quarantined: Vec<(String, Millis)> = recent
        .map(|entry| (entry.qid, Millis::from_secs(entry.created)))
        .filter(|(_, at)| now.since(*at) < RECENT)
        .collect();
    // One entry per mailbox: the mail is the same, and so is the fact.
    quarantined.sort();
    quarantined.dedup_by(|a, b| a.0 == b.0);
    if quarantined.is_empty() {
        return Ok(0);
    }
    let batch =
        Batch { server, lines: &[], scans: &[], quarantined: &quarantined, novelty: Novelty::Perhaps };
    let mut tx = db.begin().await?;
    let outcome = take(&mut tx, &batch, &mut Sessions::default()).await?;
    tx.commit().await?;
    Ok(outcome.changed.len())
}
