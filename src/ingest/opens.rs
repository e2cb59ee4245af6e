//! Opens on their way from the image to the database: the image answers at once, the rows go in batches. What is on
//! the way is bounded; while the database is away it waits here, and what no longer fits is counted.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    model::{
        filter::{Filter, Place},
        open::{DayKey, Reader, Token, TrackerKey, old_mail, window},
        scope::Scope,
        time::Millis,
    },
    store::{self, Db, mails, opens},
};

/// How often rows go to the database.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Loads that may come in between two flushes.
const MOST_LOADS: usize = 4096;
/// Rows that may wait for the database.
const MOST_ROWS: usize = 10_000;
/// Rows of one mail that may wait: whoever has one link must not push out the others.
const MOST_OF_ONE: usize = 100;
/// Old links that are looked up at one flush.
const MOST_OLD: usize = 200;
/// Browsers' names are cut here.
const AGENT: usize = 300;

/// Who loads an image. Never stored.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Address of the browser, as far as trusted proxies tell it.
    pub client: IpAddr,
    /// What it calls itself.
    pub agent: String,
    /// When.
    pub at: Millis,
}

/// Numbers for admins, since the start of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbers {
    /// Opens that wait for the database.
    pub waiting: u64,
    /// Loads that found no room any more.
    pub lost: u64,
    /// Loads by links that are not ours.
    pub strange: u64,
    /// When Rspamd last read the list of those who opted in.
    pub map_read: Option<Millis>,
}

enum Mark {
    Ours(Token),
    Old { queue_id: String, message_id: String },
}

struct Load {
    mark: Mark,
    caller: Caller,
}

/// Mail, reader, window: as in the table.
type RowKey = (i64, i64, Millis);

#[derive(Default)]
struct Buffers {
    loads: VecDeque<Load>,
    rows: BTreeMap<RowKey, opens::Row>,
    day: Option<DayKey>,
}

/// Opens on their way. Without a key only old links count, which need none; all images still answer.
#[derive(Default)]
pub struct Opens {
    key: Option<TrackerKey>,
    buffers: Mutex<Buffers>,
    lost: AtomicU64,
    strange: AtomicU64,
    map_read: AtomicI64,
}

impl Opens {
    /// Counts opens of tokens that this key made.
    pub fn new(key: Option<TrackerKey>) -> Self {
        Self { key, ..Self::default() }
    }

    /// The key, where open tracking is on.
    pub fn key(&self) -> Option<&TrackerKey> {
        self.key.as_ref()
    }

    /// Takes a load of a token's image. Nothing is waited for, and all tokens take the same way.
    pub fn note(&self, token: &str, caller: Caller) {
        let Some(key) = &self.key else { return };
        self.take(key.read(token).map(Mark::Ours), caller);
    }

    /// Takes a load by a link of the PHP app, which anybody can make.
    pub fn note_old(&self, link: &str, caller: Caller) {
        let mark = crate::model::open::old_link(link);
        self.take(mark.map(|(queue_id, message_id)| Mark::Old { queue_id, message_id }), caller);
    }

    fn take(&self, mark: Option<Mark>, mut caller: Caller) {
        caller.agent = caller.agent.chars().take(AGENT).collect();
        let mut buffers = self.buffers();
        match mark {
            None => drop(self.strange.fetch_add(1, Ordering::Relaxed)),
            Some(_) if buffers.loads.len() >= MOST_LOADS => self.lose(1),
            Some(mark) => buffers.loads.push_back(Load { mark, caller }),
        }
    }

    /// Notes that Rspamd reads the list of those who opted in.
    pub fn note_map_read(&self, at: Millis) {
        self.map_read.store(at.0, Ordering::Relaxed);
    }

    /// Numbers for admins.
    pub fn numbers(&self) -> Numbers {
        let buffers = self.buffers();
        let read = self.map_read.load(Ordering::Relaxed);
        Numbers {
            waiting: (buffers.loads.len() + buffers.rows.len()) as u64,
            lost: self.lost.load(Ordering::Relaxed),
            strange: self.strange.load(Ordering::Relaxed),
            map_read: (read != 0).then_some(Millis(read)),
        }
    }

    /// Brings what has come in to the database. Addresses are forgotten here in any case; when the database fails, the
    /// rows wait for the next time.
    pub async fn flush(&self, db: &Db, now: Millis) -> store::Result<()> {
        let old = self.digest(now);
        let known = self.known(db, old).await;
        let rows = std::mem::take(&mut self.buffers().rows);
        if rows.is_empty() {
            return known;
        }
        let batch: Vec<opens::Row> = rows.values().copied().collect();
        let written = async {
            let mut tx = db.begin().await?;
            opens::add(&mut tx, &batch).await?;
            tx.commit().await
        };
        if let Err(error) = written.await {
            rows.into_values().for_each(|row| self.keep(row));
            return Err(error);
        }
        known
    }

    /// Turns loads into rows without addresses; gives the loads by old links, whose mails must be looked up first.
    fn digest(&self, now: Millis) -> Vec<(String, String, opens::Row)> {
        let (loads, day) = {
            let mut buffers = self.buffers();
            (std::mem::take(&mut buffers.loads), buffers.day_key(now))
        };
        let mut old = Vec::new();
        for Load { mark, caller } in loads {
            match mark {
                Mark::Ours(token) => {
                    let class = match Reader::of(&caller.agent, Some(caller.at.since(token.sent))) {
                        Reader::Person if self.is_own(&token, caller.client) => Reader::Own,
                        class => class,
                    };
                    self.keep(row(day.as_ref(), token.mail, &caller, class, true));
                }
                Mark::Old { queue_id, message_id } => {
                    let mail = old_mail(&queue_id, &message_id);
                    let row = row(day.as_ref(), mail, &caller, Reader::of(&caller.agent, None), false);
                    old.push((queue_id, message_id, row));
                }
            }
        }
        old
    }

    /// Whether a mail is loaded where it came from.
    fn is_own(&self, token: &Token, client: IpAddr) -> bool {
        self.key.as_ref().is_some_and(|key| key.is_from(token, client))
    }

    /// Keeps the opens by old links whose mails there are: anybody can make links to others.
    async fn known(&self, db: &Db, old: Vec<(String, String, opens::Row)>) -> store::Result<()> {
        self.lose(old.len().saturating_sub(MOST_OLD) as u64);
        for (queue_id, message_id, row) in old.into_iter().take(MOST_OLD) {
            let filter =
                Filter { queue_id: Some(queue_id), message_id: Some(message_id), ..Filter::default() };
            let found = mails::search(db, &Scope::All, &filter, Place::Newest, 1).await;
            match found {
                Ok(found) if found.mails.is_empty() => drop(self.strange.fetch_add(1, Ordering::Relaxed)),
                Ok(_) => self.keep(row),
                Err(error) => {
                    self.lose(1);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn keep(&self, row: opens::Row) {
        let mut buffers = self.buffers();
        let key = (row.token, row.reader, row.slot);
        if let Some(kept) = buffers.rows.get_mut(&key) {
            return kept.join(&row);
        }
        let of_mail = (row.token, i64::MIN, Millis(i64::MIN))..=(row.token, i64::MAX, Millis(i64::MAX));
        let full = buffers.rows.len() >= MOST_ROWS || buffers.rows.range(of_mail).count() >= MOST_OF_ONE;
        match full {
            true => self.lose(1),
            false => drop(buffers.rows.insert(key, row)),
        }
    }

    fn lose(&self, count: u64) {
        if count > 0 && self.lost.fetch_add(count, Ordering::Relaxed) == 0 {
            tracing::warn!("opens come in faster than they can be kept; the tracking page counts those lost");
        }
    }

    fn buffers(&self) -> MutexGuard<'_, Buffers> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffers {
    /// The key of today; yesterday's is gone.
    fn day_key(&mut self, now: Millis) -> Option<DayKey> {
        if self.day.as_ref().is_none_or(|day| !day.is_of(now)) {
            let mut key = [0; 32];
            self.day = getrandom::fill(&mut key).ok().map(|()| DayKey::new(now, key));
        }
        self.day.clone()
    }
}

fn row(day: Option<&DayKey>, token: i64, caller: &Caller, class: Reader, verified: bool) -> opens::Row {
    // Without randomness all are one reader: rather that than a mark that can be undone.
    let reader = day.map_or(0, |day| day.reader(token, caller.client, &caller.agent));
    opens::Row { token, reader, slot: window(caller.at), at: caller.at, loads: 1, class, verified }
}

#[cfg(test)]
mod tests;
