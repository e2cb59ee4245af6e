//! Fetching reports from mailboxes: each mail once, whatever other mail programs do in the same mailbox.
//!
//! What has been read is known by UIDVALIDITY and UID, never by a flag. Reports and the place in the folder are stored in
//! one transaction, and in the same one what is to be done with the mail afterwards; so a process that is killed at any
//! moment goes on where it was. What comes twice nevertheless (a folder that was made anew) is absorbed by the keys of
//! the reports.

mod clearing;
mod visit;

use crate::{
    model::time::{Clock, Millis},
    remote::{
        self,
        imap::{Account, Limits, Session},
    },
    store::{self, Db, mailbox_cursor as cursor},
};
use visit::Visit;

/// A mailbox that reports come to.
#[derive(Debug, Clone)]
pub struct Mailbox {
    /// Whom to ask.
    pub account: Account,
    /// Which folders to read.
    pub folders: Vec<String>,
    /// What becomes of a mail once its reports are stored.
    pub after: After,
    /// Names under which the servers that mails pass on their way into it write Authentication-Results, lower case.
    pub authserv: Vec<String>,
}

/// What becomes of a mail once its reports are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// It stays as it is.
    Keep,
    /// It goes to this folder.
    Move(String),
    /// It is removed.
    Delete,
}

/// Fetches from all mailboxes.
pub struct Fetcher {
    /// The database.
    pub db: Db,
    /// The mailboxes.
    pub mailboxes: Vec<Mailbox>,
    /// What one mailbox may cost.
    pub limits: Limits,
    /// The present moment.
    pub clock: Clock,
}

/// What a run brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetched {
    /// What came in.
    pub tally: Tally,
    /// What went wrong, a sentence for each mailbox or folder.
    pub faults: Vec<String>,
}

/// What came in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Mails read.
    pub mails: i64,
    /// New reports.
    pub reports: i64,
    /// Reports that were known, also those that are kept as another text of a known one.
    pub known: i64,
    /// Documents that could not be read.
    pub refused: i64,
    /// Mails without any report.
    pub others: i64,
}

/// How far a run is.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Name of the mailbox.
    pub account: &'a str,
    /// Its folder.
    pub folder: &'a str,
    /// Mails done in this folder.
    pub done: usize,
    /// Mails to do in this folder, as far as known.
    pub of: usize,
    /// What came in so far, in all folders.
    pub tally: Tally,
}

/// Who is told how far a run is.
pub type Watcher<'a> = &'a (dyn Fn(Progress<'_>) + Send + Sync);

/// Why a folder could not be read to its end; what was read is kept.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Remote(#[from] remote::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    /// All was read.
    #[error("the reports are stored, but mails could not be moved or removed: {0}")]
    Cleared(#[source] remote::Error),
}

impl Error {
    /// The same, met while mails were moved or removed.
    fn not_cleared(self) -> Self {
        match self {
            Self::Remote(error) => Self::Cleared(error),
            other => other,
        }
    }

    /// The error for the page that names mailbox and folder itself.
    fn told(&self) -> String {
        match self {
            Self::Remote(error) => error.cause.to_string(),
            Self::Cleared(_) | Self::Store(_) => self.to_string(),
        }
    }
}

impl Fetcher {
    /// Reads what is new in all mailboxes. A mailbox that fails does not keep the others from being read; a database that
    /// is busy or gone does.
    pub async fn run(&self, watcher: Watcher<'_>) -> store::Result<Fetched> {
        let mut fetched = Fetched::default();
        for mailbox in &self.mailboxes {
            match Session::open(&mailbox.account, &self.limits).await {
                Ok(session) => self.visit_folders(mailbox, session, &mut fetched, watcher).await?,
                Err(error) => {
                    for folder in &mailbox.folders {
                        self.fail(mailbox, folder, &error.cause.to_string()).await?;
                    }
                    fetched.faults.push(error.to_string());
                }
            }
        }
        Ok(fetched)
    }

    async fn visit_folders(
        &self,
        mailbox: &Mailbox,
        mut session: Session,
        fetched: &mut Fetched,
        watcher: Watcher<'_>,
    ) -> store::Result<()> {
        let mut broken: Option<String> = None;
        for folder in &mailbox.folders {
            if let Some(error) = &broken {
                self.fail(mailbox, folder, error).await?;
                continue;
            }
            let state = cursor::find(&self.db, &mailbox.account.name(), folder).await?;
            let tally = &mut fetched.tally;
            let visit = Visit { fetcher: self, mailbox, session: &mut session, state, tally, watcher };
            let error = match visit.run().await {
                Ok(()) => continue,
                Err(Error::Store(error)) if error.is_busy() => return Err(error),
                Err(error) => error,
            };
            self.fail(mailbox, folder, &error.told()).await?;
            fetched.faults.push(match &error {
                Error::Store(error) => format!("{}: {error} (folder {folder})", mailbox.account.name()),
                error => format!("{error} (folder {folder})"),
            });
            if let Error::Remote(error) | Error::Cleared(error) = error
                && error.ends_session()
            {
                broken = Some(error.cause.to_string());
            }
        }
        if broken.is_none() {
            session.close().await;
        }
        Ok(())
    }

    async fn fail(&self, mailbox: &Mailbox, folder: &str, error: &str) -> store::Result<()> {
        let mut state = cursor::find(&self.db, &mailbox.account.name(), folder).await?;
        state.fail(self.now(), error);
        let mut tx = self.db.begin().await?;
        cursor::save(&mut tx, &state).await?;
        tx.commit().await
    }

    fn now(&self) -> Millis {
        self.clock.now()
    }
}
