//! What people look at, and what strangers are refused, on its way to the access log. A page only notes; the rows go to
//! the database in batches, and the same look of the same person counts once an hour. What is on the way is bounded;
//! while the database is away it waits here, and what no longer fits is counted.

use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map::RandomState},
    hash::BuildHasher,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    model::{
        scope::{Role, domain_of, normalise_address, untagged},
        time::Millis,
        user::{Via, Visitor},
    },
    store::{
        self, Db,
        audit::{self, Entry},
        reports,
    },
};

/// How often rows go to the database.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Entries that may wait for the database.
const MOST: usize = 4000;
/// Entries of people who have not signed in that are taken in an hour.
const MOST_STRANGERS: u32 = 300;
/// Entries of one batch: a transaction that others wait for stays short.
const BATCH: usize = 200;
/// Marks of what was noted in this hour; beyond, the hour begins anew.
const MOST_MARKS: usize = 100_000;
/// People whose role is remembered.
const MOST_PEOPLE: usize = 10_000;
/// Longest detail, in characters.
const DETAIL: usize = 500;
/// Owners of one entry.
const MOST_OWNERS: usize = 500;
const HOUR: i64 = 3_600_000;

/// Looks on their way.
#[derive(Default)]
pub struct Looks {
    buffers: Mutex<Buffers>,
    marks: RandomState,
    lost: AtomicU64,
}

#[derive(Default)]
struct Buffers {
    waiting: Vec<Waiting>,
    /// Marks of what was noted in this hour: of each look, and of each look with each owner.
    seen: HashSet<u64>,
    hour: i64,
    strangers: u32,
    /// In which role each person was last met.
    people: HashMap<String, Role>,
    /// Those met in a role for the first time.
    met: Vec<(String, Role, Millis)>,
}

struct Waiting {
    entry: Entry,
    /// The same look was noted before, about others: it counts only if these owners are of this server.
    again: bool,
}

impl Looks {
    /// Notes a look. Its owners may be any addresses; those of this server count.
    pub fn note(&self, mut entry: Entry) {
        entry.detail = entry.detail.chars().take(DETAIL).collect();
        let key = (&entry.actor, &entry.client, &entry.action, &entry.detail);
        let mark = self.marks.hash_one(key);
        let mut buffers = self.buffers();
        buffers.begin_hour(entry.at);
        let again = !buffers.seen.insert(mark);
        let owners: BTreeSet<String> = entry.owners.iter().filter_map(|owner| plain(owner)).collect();
        let fresh = |owner: &String| buffers.seen.insert(self.marks.hash_one((mark, owner)));
        entry.owners = owners.into_iter().filter(fresh).collect();
        if again && entry.owners.is_empty() {
            return;
        }
        if entry.actor.is_empty() {
            buffers.strangers += 1;
        }
        match entry.actor.is_empty() && buffers.strangers > MOST_STRANGERS {
            true => self.lose(1),
            false => self.push(&mut buffers, Waiting { entry, again }),
        }
    }

    /// Notes a deed, which counts each time.
    pub fn add(&self, mut entry: Entry) {
        entry.detail = entry.detail.chars().take(DETAIL).collect();
        self.push(&mut self.buffers(), Waiting { entry, again: false });
    }

    fn push(&self, buffers: &mut Buffers, waiting: Waiting) {
        match buffers.waiting.len() >= MOST {
            true => self.lose(1),
            false => buffers.waiting.push(waiting),
        }
    }

    /// Notes in which role somebody is here. Login links say so themselves.
    pub fn meet(&self, visitor: &Visitor, now: Millis) {
        let mut buffers = self.buffers();
        if visitor.via == Via::Link || buffers.people.get(&visitor.address) == Some(&visitor.role) {
            return;
        }
        if buffers.people.len() >= MOST_PEOPLE {
            buffers.people.clear();
        }
        buffers.people.insert(visitor.address.clone(), visitor.role);
        if buffers.met.len() < MOST_PEOPLE {
            buffers.met.push((visitor.address.clone(), visitor.role, now));
        }
    }

    /// Entries that found no room any more.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Brings what was noted to the database. When that fails, it waits for the next time.
    pub async fn flush(&self, db: &Db) -> store::Result<()> {
        self.compare_roles(db).await?;
        loop {
            let batch: Vec<Waiting> = {
                let mut buffers = self.buffers();
                let count = buffers.waiting.len().min(BATCH);
                buffers.waiting.drain(..count).collect()
            };
            if batch.is_empty() {
                return Ok(());
            }
            if let Err(error) = write(db, &batch).await {
                self.put_back(batch);
                return Err(error);
            }
        }
    }

    /// Writes down who has another role than when last met.
    async fn compare_roles(&self, db: &Db) -> store::Result<()> {
        let met = std::mem::take(&mut self.buffers().met);
        for (place, (actor, role, at)) in met.iter().enumerate() {
            match audit::role_change(db, actor, *role, *at).await {
                Ok(change) => {
                    let waiting = change.map(|entry| Waiting { entry, again: false });
                    self.buffers().waiting.extend(waiting);
                }
                Err(error) => {
                    self.buffers().met.extend_from_slice(met.get(place..).unwrap_or_default());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn put_back(&self, mut batch: Vec<Waiting>) {
        let mut buffers = self.buffers();
        let room = MOST.saturating_sub(buffers.waiting.len());
        self.lose(batch.len().saturating_sub(room) as u64);
        batch.truncate(room);
        batch.append(&mut buffers.waiting);
        buffers.waiting = batch;
    }

    fn lose(&self, count: u64) {
        if count > 0 && self.lost.fetch_add(count, Ordering::Relaxed) == 0 {
            tracing::warn!(
                "looks come in faster than they can be kept; the page of the access log counts those lost"
            );
        }
    }

    fn buffers(&self) -> MutexGuard<'_, Buffers> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffers {
    fn begin_hour(&mut self, now: Millis) {
        let hour = now.0.div_euclid(HOUR);
        if hour != self.hour {
            self.hour = hour;
            self.strangers = 0;
            self.seen.clear();
        }
        if self.seen.len() >= MOST_MARKS {
            self.seen.clear();
        }
    }
}

/// An address in the form of mailboxes, or a domain as it stands.
fn plain(owner: &str) -> Option<String> {
    if !owner.contains('@') {
        return Some(owner.to_lowercase()).filter(|domain| !domain.is_empty());
    }
    normalise_address(owner).map(|address| untagged(&address).into_owned())
}

async fn write(db: &Db, batch: &[Waiting]) -> store::Result<()> {
    let hosted = reports::hosted(db).await?;
    let is_here = |name: &str| hosted.as_ref().is_none_or(|hosted| hosted.contains(name));
    let mut tx = db.begin().await?;
    for Waiting { entry, again } in batch {
        let here = entry.owners.iter().filter(|owner| is_here(domain_of(owner).unwrap_or(owner)));
        let mut owners: BTreeSet<String> = here.take(MOST_OWNERS).cloned().collect();
        let domains: Vec<String> =
            owners.iter().filter_map(|owner| domain_of(owner).map(str::to_owned)).collect();
        owners.extend(domains);
        if !(*again && owners.is_empty()) {
            let entry = Entry { owners: owners.into_iter().collect(), ..entry.clone() };
            audit::record(&mut tx, &entry).await?;
        }
    }
    tx.commit().await
}

#[cfg(test)]
mod tests;
