//! What visits leave in the rows of their sessions, on its way to the database: when the visitor was last here, and that
//! Mailcow confirmed the mailbox. A page only notes, so that it never waits for whoever else writes; the rows go to the
//! database in batches. What is on its way counts as if it were written.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    model::user::{Session, Visit},
    store::{self, Db, sessions},
};

/// Sessions of which something may wait for the database. Of more nothing is noted: they go on, and Mailcow is asked again
/// for each of their pages.
const MOST: usize = 10_000;

/// Visits on their way, by the key of the session.
#[derive(Default)]
pub struct Visits(Mutex<HashMap<String, Visit>>);

impl Visits {
    /// What is on its way of a session. Ask before its row is read: what is written meanwhile is then in the row.
    pub fn of(&self, key: &str) -> Option<Visit> {
        self.waiting().get(key).cloned()
    }

    /// Notes a visit of this session as it now stands.
    pub fn note(&self, session: &Session) {
        let mut waiting = self.waiting();
        if waiting.len() < MOST || waiting.contains_key(&session.key) {
            waiting.entry(session.key.clone()).or_default().join(session);
        }
    }

    /// Brings what was noted to the database. When that fails, it waits for the next time.
    pub async fn flush(&self, db: &Db) -> store::Result<()> {
        let batch = self.waiting().clone();
        if batch.is_empty() {
            return Ok(());
        }
        let mut tx = db.begin().await?;
        for (key, visit) in &batch {
            sessions::note_visit(&mut tx, key, visit).await?;
        }
        tx.commit().await?;
        self.waiting().retain(|key, visit| batch.get(key) != Some(visit));
        Ok(())
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, Visit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
