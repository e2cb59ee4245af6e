//! Moving and removing mails whose reports are stored, so that a process killed between two steps leaves none behind and
//! none twice.

use super::{After, Error, visit::Visit};
use crate::{
    remote::imap::Access,
    store::{
        self,
        mailbox_cursor::{self as cursor, Task, Work},
    },
};

/// UIDs in one command.
const UIDS: usize = 100;

impl Visit<'_> {
    /// Does what is left to do, by this run or a former one.
    pub async fn finish_clearing(&mut self) -> Result<(), Error> {
        loop {
            let copied = cursor::tasks(&self.fetcher.db, &self.state, Work::Copied).await?;
            self.finish_copying(&copied).await?;
            let left = cursor::tasks(&self.fetcher.db, &self.state, Work::Clear).await?;
            self.clear(&left).await?;
            if copied.is_empty() && left.is_empty() {
                return Ok(());
            }
        }
    }

    /// Moves or removes mails. The tasks are noted already, and end here.
    async fn clear(&mut self, tasks: &[Task]) -> Result<(), Error> {
        for tasks in tasks.chunks(UIDS) {
            let uids = uids(tasks);
            match &self.mailbox.after {
                // The settings have changed since.
                After::Keep => {}
                After::Delete => self.session.remove(&uids).await?,
                // UIDs that were moved before are gone, and the server passes over them.
                After::Move(target) if self.session.can("MOVE").await? => {
                    self.session.move_to(&uids, target).await?;
                }
                After::Move(target) => {
                    self.note(Work::Copied, tasks).await?;
                    self.session.copy_to(&uids, target).await?;
                    self.session.remove(&uids).await?;
                }
            }
            self.end(&uids).await?;
        }
        Ok(())
    }

    /// A run was stopped around a copy: whether it was made shows in the folder that it went to.
    async fn finish_copying(&mut self, tasks: &[Task]) -> Result<(), Error> {
        let After::Move(target) = &self.mailbox.after else {
            return Ok(self.note(Work::Clear, tasks).await?);
        };
        if tasks.is_empty() {
            return Ok(());
        }
        let there = match self.session.enter(target, Access::Read).await {
            Ok(_) => true,
            Err(error) if error.ends_session() => return Err(error.into()),
            // Not even the folder was made.
            Err(_) => false,
        };
        let (mut copied, mut open) = (Vec::new(), Vec::new());
        for task in tasks {
            let found = match task.message_id.as_deref().filter(|_| there) {
                Some(id) => self.session.count(id).await? > 0,
                None => false,
            };
            if found { copied.push(task.clone()) } else { open.push(task.clone()) }
        }
        self.session.enter(&self.state.folder, Access::Change).await?;
        for tasks in copied.chunks(UIDS) {
            self.session.remove(&uids(tasks)).await?;
            self.end(&uids(tasks)).await?;
        }
        Ok(self.note(Work::Clear, &open).await?)
    }

    async fn note(&mut self, work: Work, tasks: &[Task]) -> store::Result<()> {
        let mut tx = self.fetcher.db.begin().await?;
        cursor::note(&mut tx, &self.state, work, tasks).await?;
        tx.commit().await
    }

    async fn end(&mut self, uids: &[u32]) -> store::Result<()> {
        let mut tx = self.fetcher.db.begin().await?;
        cursor::done(&mut tx, &self.state, uids).await?;
        tx.commit().await
    }
}

fn uids(tasks: &[Task]) -> Vec<u32> {
    tasks.iter().filter_map(|task| u32::try_from(task.uid).ok()).collect()
}
