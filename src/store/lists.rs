//! The newest mails and what stands around them, as page after page asks for them: worked out once, and remembered until
//! mails, opens, or how far the logs were read have changed.
//!
//! Whoever changes one of these says so by [`Tx::touch_lists`]; the commit then puts another number in the place of the
//! one before. It is read before all else, so that what changes meanwhile is never taken for what was worked out.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Db, Result,
    answers::Stamp,
    db::sql,
    ingestion::{self, Gap, Source},
    mails::{self, HourCount, Page},
    opens,
};
use crate::model::{
    filter::{Filter, Place},
    mail::MailId,
    open::TrackerKey,
    scope::Scope,
    time::Millis,
};

/// Recipients and steps of the mails of a page that is remembered; a list of large mailings is read again instead.
const MOST_KEPT: usize = 4000;

/// Lists as they are at one moment.
#[derive(Clone)]
pub struct Lists {
    db: Db,
    scope: Arc<Scope>,
    stamp: Stamp,
}

impl Lists {
    /// As they are now, for who sees this.
    pub async fn now(db: &Db, scope: &Arc<Scope>) -> Result<Self> {
        let stamp: Option<(i64,)> = db.fetch_one(sql("SELECT stamp FROM list_stamp WHERE id = 1")).await?;
        let stamp = (stamp.map_or(0, |(stamp,)| stamp), 0);
        Ok(Self { db: db.clone(), scope: Arc::clone(scope), stamp })
    }

    /// What is remembered under this question, or else what is worked out.
    async fn answer<T: Send + Sync + 'static>(
        &self,
        question: String,
        is_small: impl FnOnce(&T) -> bool,
        work_out: impl Future<Output = Result<T>>,
    ) -> Result<Arc<T>> {
        if let Some(answer) = self.db.memory().lists.recall(&question, self.stamp) {
            return Ok(answer);
        }
        let answer = Arc::new(work_out.await?);
        self.db.memory().lists.forget_others(self.stamp);
        if is_small(&answer) {
            self.db.memory().lists.keep(question, self.stamp, Arc::clone(&answer));
        }
        Ok(answer)
    }

    /// How far each log was read.
    pub async fn sources(&self) -> Result<Arc<Vec<Source>>> {
        self.answer("sources".to_owned(), |_| true, ingestion::sources(&self.db)).await
    }

    /// Gaps that touch a range.
    pub async fn gaps(&self, from: Millis, to: Millis) -> Result<Arc<Vec<Gap>>> {
        self.answer(format!("gaps {from:?} {to:?}"), |_| true, ingestion::gaps(&self.db, from, to)).await
    }

    /// A page of a list, newest first.
    pub async fn page(&self, filter: &Filter, place: Place, limit: usize) -> Result<Arc<Page>> {
        let search = mails::search(&self.db, &self.scope, filter, place, limit);
        match is_asked_often(filter, place) {
            true => self.answer(format!("page {limit} {filter:?} {:?}", self.scope), fits, search).await,
            false => search.await.map(Arc::new),
        }
    }

    /// A page of a list, newest first, and when its mails were first opened; see [`opens::first_opens`].
    pub async fn page_with_opens(
        &self,
        filter: &Filter,
        place: Place,
        limit: usize,
        key: Option<&TrackerKey>,
    ) -> Result<Arc<(Page, BTreeMap<MailId, Millis>)>> {
        let both = async {
            let page = mails::search(&self.db, &self.scope, filter, place, limit).await?;
            let opens = opens::first_opens(&self.db, &self.scope, key, &page.mails).await?;
            Ok((page, opens))
        };
        match is_asked_often(filter, place) {
            true => {
                self.answer(
                    format!("opens {limit} {filter:?} {:?}", self.scope),
                    |(page, _)| fits(page),
                    both,
                )
                .await
            }
            false => both.await.map(Arc::new),
        }
    }

    /// What somebody made of the first page of a list and gave here to be kept with it. `made` tells all that it depends on
    /// besides the list.
    pub fn recall<T: Send + Sync + 'static>(
        &self,
        filter: &Filter,
        place: Place,
        made: &str,
    ) -> Option<Arc<T>> {
        is_asked_often(filter, place).then_some(())?;
        self.db.memory().lists.recall(&self.made_of(filter, made), self.stamp)
    }

    /// Keeps what was made of the first page of a list; of other pages nothing is kept.
    pub fn keep<T: Send + Sync + 'static>(&self, filter: &Filter, place: Place, made: &str, what: Arc<T>) {
        if is_asked_often(filter, place) {
            self.db.memory().lists.keep(self.made_of(filter, made), self.stamp, what);
        }
    }

    fn made_of(&self, filter: &Filter, made: &str) -> String {
        format!("{made:?} of {filter:?} {:?}", self.scope)
    }

    /// Mails per hour from a moment on; see [`mails::hours`].
    pub async fn hours(&self, from: Millis, to: Millis) -> Result<Arc<Vec<HourCount>>> {
        let hours = mails::hours(&self.db, &self.scope, from, to);
        self.answer(format!("hours {from:?} {to:?} {:?}", self.scope), |_| true, hours).await
    }
}

/// What is searched for, and what lies further back, hardly anybody asks for twice.
fn is_asked_often(filter: &Filter, place: Place) -> bool {
    place == Place::Newest && !mails::filter_needs_more(filter)
}

fn fits(page: &Page) -> bool {
    page.mails.iter().map(|mail| mail.recipients.len() + mail.steps.len()).sum::<usize>() <= MOST_KEPT
}
