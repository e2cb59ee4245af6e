//! One visit to one folder.

use super::{After, Error, Fetcher, Mailbox, Progress, Tally, Watcher};
use crate::{
    ingest::{
        reports::{self, Fate, Reading, blocking},
        trust,
    },
    model::report::Arrival,
    parse::envelope,
    remote::{
        self,
        imap::{Access, Listed, Mail, Session},
    },
    store::{
        self,
        mailbox_cursor::{self as cursor, Account, Task, Work},
        unreadable,
    },
};

/// Mails asked for at once: at most this many, …
const MAILS: usize = 100;
/// … and as many as have this many bytes together.
const BYTES: u64 = 4 << 20;
/// Servers misjudge sizes; so much more than they said is taken.
const LEEWAY: usize = 1 << 20;
/// What is kept of a mail that is too large.
const BEGIN: usize = 64 << 10;
/// Documents of so many bytes are written in one transaction.
const WRITTEN: usize = 8 << 20;
/// A mail that cannot be read is tried this often, each time in another run.
const TRIES: i64 = 5;

/// One visit to one folder.
pub(super) struct Visit<'a> {
    pub fetcher: &'a Fetcher,
    pub mailbox: &'a Mailbox,
    pub session: &'a mut Session,
    pub state: Account,
    pub tally: &'a mut Tally,
    pub watcher: Watcher<'a>,
}

/// Mails that have been read and are to be stored together.
#[derive(Default)]
struct Batch {
    mails: Vec<(u32, Option<String>, Reading)>,
    bytes: usize,
    /// Mails of which nothing remains to be done.
    done: Vec<u32>,
    /// Mails that could not be read.
    again: Vec<Task>,
    /// Everything up to this UID is dealt with.
    up_to: u32,
}

/// What came of asking for one mail.
enum Asked {
    Got(Vec<u8>),
    Gone,
    /// The server has it and does not hand it over, for this reason.
    Withheld(String),
}

impl Visit<'_> {
    pub async fn run(mut self) -> Result<(), Error> {
        let access = if self.mailbox.after == After::Keep { Access::Read } else { Access::Change };
        let validity = self.session.enter(&self.state.folder, access).await?;
        self.settle(i64::from(validity)).await?;
        self.read_new().await?;
        self.try_again().await?;
        // Last: what comes in must not wait for what cannot go out.
        let cleared = self.finish_clearing().await.map_err(Error::not_cleared);
        match &cleared {
            Ok(()) => self.state.succeed(self.fetcher.now()),
            Err(Error::Cleared(_)) => self.state.succeeded_at = Some(self.fetcher.now()),
            Err(_) => return cleared,
        }
        self.store(&Batch::default()).await?;
        cleared
    }

    /// Under another UIDVALIDITY the numbers mean other mails: the folder is read anew.
    async fn settle(&mut self, validity: i64) -> store::Result<()> {
        if self.state.validity == Some(validity) {
            return Ok(());
        }
        self.state.validity = Some(validity);
        self.state.last_uid = 0;
        let mut tx = self.fetcher.db.begin().await?;
        cursor::forget(&mut tx, &self.state).await?;
        cursor::save(&mut tx, &self.state).await?;
        tx.commit().await
    }

    async fn read_new(&mut self) -> Result<(), Error> {
        let (mut done, mut of) = (0, 0);
        while let Some(from) = u32::try_from(self.state.last_uid).ok().and_then(|last| last.checked_add(1)) {
            let listed = self.session.list(from).await?;
            if listed.is_empty() {
                break;
            }
            of += listed.len();
            for mails in portions(&listed) {
                self.take(mails).await?;
                done += mails.len();
                let (account, folder) = (self.state.account.as_str(), self.state.folder.as_str());
                (self.watcher)(Progress { account, folder, done, of, tally: *self.tally });
            }
        }
        Ok(())
    }

    /// Reads a portion of mails and stores what is in them.
    async fn take(&mut self, wanted: &[Listed]) -> Result<(), Error> {
        let (mut mails, end) = self.receive(wanted).await;
        let mut batch = Batch::default();
        for listed in wanted {
            let at = mails.iter().position(|(uid, _)| *uid == listed.uid);
            match at.map(|at| mails.swap_remove(at)) {
                Some((uid, mail)) => self.understand(&mut batch, uid, mail, listed.size).await,
                None => match &end {
                    // The line ended within this mail, perhaps because of it: it is tried again behind all others.
                    Err(error) if error.ends_session() => {
                        self.note_failure(&mut batch, Task::new(listed.uid, None), error.cause.to_string());
                        self.write(&mut batch).await?;
                        return Err(error.clone().into());
                    }
                    _ => match self.ask_alone(*listed).await {
                        Ok(Asked::Got(mail)) => {
                            self.understand(&mut batch, listed.uid, mail, listed.size).await;
                        }
                        Ok(Asked::Gone) => {}
                        Ok(Asked::Withheld(reason)) => {
                            self.note_failure(&mut batch, Task::new(listed.uid, None), reason);
                        }
                        Err(error) => {
                            self.note_failure(
                                &mut batch,
                                Task::new(listed.uid, None),
                                error.cause.to_string(),
                            );
                            self.write(&mut batch).await?;
                            return Err(error.into());
                        }
                    },
                },
            }
            batch.up_to = listed.uid;
            if batch.bytes >= WRITTEN {
                self.write(&mut batch).await?;
            }
        }
        self.write(&mut batch).await?;
        match end {
            Err(error) if error.ends_session() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Mails as far as they come. Of those that are too large only the begin is asked for; these come alone.
    async fn receive(&mut self, wanted: &[Listed]) -> (Vec<Mail>, Result<(), remote::Error>) {
        let most = self.fetcher.limits.mail;
        let told: u64 = wanted.iter().map(|listed| listed.size).sum();
        let told = usize::try_from(told).unwrap_or(usize::MAX);
        let each = if told > most && wanted.len() == 1 { BEGIN } else { most + 1 };
        let room = told.saturating_add(LEEWAY).min(each.saturating_add(BYTES as usize));
        let uids: Vec<u32> = wanted.iter().map(|listed| listed.uid).collect();
        let mut mails = Vec::new();
        let end = self.session.read(&uids, each, room, &mut mails).await;
        (mails, end)
    }

    async fn ask_alone(&mut self, listed: Listed) -> Result<Asked, remote::Error> {
        let (mails, end) = self.receive(&[listed]).await;
        if let Some((_, mail)) = mails.into_iter().next() {
            return Ok(Asked::Got(mail));
        }
        match end {
            Err(error) if error.ends_session() => return Err(error),
            Err(error) => return Ok(Asked::Withheld(error.cause.to_string())),
            Ok(()) => {}
        }
        let there = self.session.list(listed.uid).await?.first().is_some_and(|first| first.uid == listed.uid);
        Ok(if there {
            Asked::Withheld("the server lists the mail and does not hand it over".to_owned())
        } else {
            Asked::Gone
        })
    }

    async fn understand(&self, batch: &mut Batch, uid: u32, mail: Vec<u8>, size: u64) {
        let most = self.fetcher.limits.mail;
        let size = size.max(mail.len() as u64);
        let (trusted, via, now) = (self.mailbox.authserv.clone(), self.via(), self.fetcher.now());
        let (message_id, reading) = blocking(move || {
            let head = envelope::look(&mail).unwrap_or_default();
            let arrival = trust::arrival(&head, &trusted, &via, now);
            let reading = match size > most as u64 {
                true => reports::read_begin(&arrival, mail.get(..BEGIN).unwrap_or(&mail), size, most),
                false => reports::read(&arrival, &mail),
            };
            (head.message_id, reading)
        })
        .await;
        batch.bytes += reading.bytes();
        batch.mails.push((uid, message_id, reading));
    }

    fn via(&self) -> String {
        format!("{}, {}", self.state.account, self.state.folder)
    }

    /// Notes that a mail could not be read.
    fn note_failure(&self, batch: &mut Batch, mut task: Task, reason: String) {
        tracing::warn!(account = self.state.account, uid = task.uid, reason, "a mail could not be read");
        task.tries += 1;
        batch.up_to = u32::try_from(task.uid).unwrap_or(batch.up_to).max(batch.up_to);
        task.reason = Some(reason);
        batch.again.push(task);
    }

    /// Tries mails again that could not be read before.
    async fn try_again(&mut self) -> Result<(), Error> {
        let fetcher = self.fetcher;
        for task in cursor::tasks(&fetcher.db, &self.state, Work::Again).await? {
            let Ok(uid) = u32::try_from(task.uid) else { continue };
            let mut batch = Batch::default();
            let listed = self.session.list(uid).await?.first().copied().filter(|first| first.uid == uid);
            let asked = match listed {
                None => Ok(Asked::Gone),
                Some(listed) => self.ask_alone(listed).await,
            };
            match &asked {
                Ok(Asked::Got(_) | Asked::Gone) => batch.done.push(uid),
                Ok(Asked::Withheld(reason)) => self.note_failure(&mut batch, task, reason.clone()),
                Err(error) => self.note_failure(&mut batch, task, error.cause.to_string()),
            }
            if let Ok(Asked::Got(mail)) = asked {
                self.understand(&mut batch, uid, mail, listed.map_or(0, |listed| listed.size)).await;
                self.write(&mut batch).await?;
            } else {
                self.write(&mut batch).await?;
                asked?;
            }
        }
        Ok(())
    }

    /// Stores a batch; where the database refuses it, mail by mail, so that one keeps no other out.
    async fn write(&mut self, batch: &mut Batch) -> store::Result<()> {
        let batch = std::mem::take(batch);
        match self.store(&batch).await {
            Err(error) if !error.is_busy() && !batch.mails.is_empty() => self.write_apart(batch).await,
            done => done,
        }
    }

    async fn write_apart(&mut self, batch: Batch) -> store::Result<()> {
        let Batch { mails, mut done, again, up_to, .. } = batch;
        done.retain(|uid| mails.iter().all(|(mail, ..)| mail != uid));
        // First of all: the place in the folder passes those that are to be tried again.
        self.store(&Batch { done, again, ..Batch::default() }).await?;
        for mail in mails {
            let uid = mail.0;
            let mut one = Batch { mails: vec![mail], done: vec![uid], up_to: uid, ..Batch::default() };
            let (Err(error), Some((.., reading))) = (self.store(&one).await, one.mails.first_mut()) else {
                continue;
            };
            *reading = reports::instead(&self.fetcher.db, reading, error).await?;
            self.store(&one).await?;
        }
        self.store(&Batch { up_to, ..Batch::default() }).await
    }

    /// Stores a batch with the place in the folder, and what is to be done with its mails, in one transaction.
    async fn store(&mut self, batch: &Batch) -> store::Result<()> {
        let (mut state, mut tally) = (self.state.clone(), *self.tally);
        let mut clear = Vec::new();
        let mut tx = self.fetcher.db.begin().await?;
        let readings: Vec<&Reading> = batch.mails.iter().map(|(_, _, reading)| reading).collect();
        let taken = reports::store(&mut tx, &readings).await?;
        for ((uid, message_id, reading), taken) in batch.mails.iter().zip(taken) {
            count(&mut tally, reading, taken.iter().map(|taken| &taken.fate));
            if self.mailbox.after != After::Keep && reading.is_sound() {
                clear.push(Task::new(*uid, message_id.clone()));
            }
        }
        cursor::done(&mut tx, &state, &batch.done).await?;
        cursor::note(&mut tx, &state, Work::Clear, &clear).await?;
        let (given_up, again): (Vec<Task>, Vec<Task>) =
            batch.again.iter().cloned().partition(|task| task.tries >= TRIES);
        cursor::note(&mut tx, &state, Work::Again, &again).await?;
        for task in &given_up {
            self.give_up(&mut tx, task).await?;
            tally.refused += 1;
        }
        add(&mut state, tally, *self.tally);
        state.last_uid = state.last_uid.max(i64::from(batch.up_to));
        state.ran_at = Some(self.fetcher.now());
        cursor::save(&mut tx, &state).await?;
        tx.commit().await?;
        (self.state, *self.tally) = (state, tally);
        Ok(())
    }

    /// A mail that never comes is shown among what cannot be read, with where it is.
    async fn give_up(&self, tx: &mut store::Tx, task: &Task) -> store::Result<()> {
        let reason = task.reason.clone().unwrap_or_default();
        let place = format!(
            "{}: mail with UID {} (UIDVALIDITY {}) could not be fetched: {reason}\n",
            self.via(),
            task.uid,
            self.state.validity.unwrap_or_default()
        );
        let name = format!("UID {}", task.uid);
        let arrival = Arrival { at: self.fetcher.now(), via: self.via(), name, ..Arrival::default() };
        unreadable::insert(tx, &arrival, &format!("could not be fetched: {reason}"), place.as_bytes())
            .await?;
        cursor::done(tx, &self.state, &[u32::try_from(task.uid).unwrap_or_default()]).await
    }
}

/// Cuts a list into what is asked for at once. A mail that fills a portion by itself is alone in it.
fn portions(listed: &[Listed]) -> Vec<&[Listed]> {
    let mut portions = Vec::new();
    let (mut begin, mut bytes) = (0, 0_u64);
    for (at, mail) in listed.iter().enumerate() {
        bytes = bytes.saturating_add(mail.size);
        if at > begin && (at - begin >= MAILS || bytes > BYTES) {
            portions.extend(listed.get(begin..at));
            (begin, bytes) = (at, mail.size);
        }
    }
    portions.extend(listed.get(begin..).filter(|rest| !rest.is_empty()));
    portions
}

fn count<'a>(tally: &mut Tally, reading: &Reading, fates: impl Iterator<Item = &'a Fate>) {
    tally.mails += 1;
    if reading.foreign {
        tally.others += 1;
        return;
    }
    for fate in fates {
        match fate {
            Fate::New(_) => tally.reports += 1,
            Fate::Known(_) | Fate::Variant(_) => tally.known += 1,
            Fate::Refused(_) => tally.refused += 1,
        }
    }
}

fn add(state: &mut Account, now: Tally, before: Tally) {
    state.mails += now.mails - before.mails;
    state.reports += now.reports - before.reports;
    state.known += now.known - before.known;
    state.refused += now.refused - before.refused;
    state.others += now.others - before.others;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_are_bounded_by_count_and_bytes() {
        let list = |sizes: &[u64]| -> Vec<Listed> {
            sizes.iter().zip(1..).map(|(&size, uid)| Listed { uid, size }).collect()
        };
        let lengths = |sizes: &[u64]| -> Vec<usize> {
            portions(&list(sizes)).iter().map(|portion| portion.len()).collect()
        };
        assert_eq!(lengths(&[]), [0_usize; 0]);
        assert_eq!(lengths(&[1; 250]), [100, 100, 50]);
        assert_eq!(lengths(&[BYTES / 2, BYTES / 2, 1, BYTES * 9, u64::MAX, 1]), [2, 1, 1, 1, 1]);
    }
}
