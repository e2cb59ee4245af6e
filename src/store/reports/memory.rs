//! Answers that were worked out before and are still true: adding up the digests of a million records takes some
//! hundredths of a second, and reports come a few times a day.
//!
//! An answer is remembered under its question and the state of all that it was worked out from: the domains that count
//! with the stamps of their months. Any change of a report changes a stamp, so an old answer is never found again.

use std::{
    any::Any,
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use super::scope::{counted, names};
use crate::{
    model::{figures::Span, scope::Scope},
    store::db::{Db, Result, places, sql},
};

/// Answers that are kept.
const MOST: usize = 96;
/// A day in milliseconds.
pub const DAY: i64 = 86_400_000;

type Answer = Arc<dyn Any + Send + Sync>;
static ANSWERS: Mutex<VecDeque<(String, Answer)>> = Mutex::new(VecDeque::new());

/// What a question is about: the domains that count, whole days, and the state of the reports in the database.
#[derive(Debug, Clone)]
pub struct About {
    /// Domains that count, sorted.
    pub domains: Vec<String>,
    /// First moment.
    pub from: i64,
    /// First moment behind.
    pub to: i64,
    state: (i64, i64),
}

impl About {
    /// Looks up what a question is about. Days at either end count as a whole.
    pub async fn of(db: &Db, scope: &Scope, span: &Span) -> Result<Self> {
        let domains = counted(db, names(db, scope).await?, span.domain.as_deref()).await?;
        let from = span.from.0 - span.from.0.rem_euclid(DAY);
        let to = span.to.0.saturating_add((-span.to.0).rem_euclid(DAY));
        let text = format!(
            "SELECT COUNT(*), CAST(COALESCE(SUM(stamp), 0) AS SIGNED) FROM report_month WHERE domain IN ({})",
            places(domains.len())
        );
        let state = match domains.is_empty() {
            true => None,
            false => db.fetch_one(sql(text).bind_all(&domains)).await?,
        };
        Ok(Self { domains, from, to, state: state.unwrap_or_default() })
    }

    /// All that is in our memory of one domain, whether or not it counts.
    pub fn whole(domain: &str) -> Self {
        Self { domains: vec![domain.to_owned()], from: i64::MIN, to: i64::MAX, state: (0, 0) }
    }

    /// Whether a moment, in milliseconds, is in the span.
    pub fn holds(&self, moment: i64) -> bool {
        (self.from..self.to).contains(&moment)
    }

    /// The span before, of the same length.
    pub fn before(&self) -> Self {
        Self {
            to: self.from,
            from: self.from.saturating_sub(self.to.saturating_sub(self.from)),
            ..self.clone()
        }
    }

    /// All that is in our memory.
    pub fn ever(&self) -> Self {
        Self { from: i64::MIN, to: i64::MAX, ..self.clone() }
    }

    /// The remembered answer to a question, or the one that `work` finds.
    pub async fn answer<T, F>(&self, question: &str, work: F) -> Result<T>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T>>,
    {
        let question = format!("{question} {:?} {} {} {:?}", self.domains, self.from, self.to, self.state);
        if let Some(answer) = recall(&question) {
            return Ok(answer);
        }
        let answer = work.await?;
        let mut answers = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= MOST {
            answers.pop_front();
        }
        answers.push_back((question, Arc::new(answer.clone())));
        Ok(answer)
    }
}

fn recall<T: Clone + 'static>(question: &str) -> Option<T> {
    let answers = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, answer) = answers.iter().find(|(known, _)| known == question)?;
    answer.downcast_ref::<T>().cloned()
}

/// Forgets all answers, as a restart does: for tests and measurements.
pub fn forget_answers() {
    ANSWERS.lock().unwrap_or_else(PoisonError::into_inner).clear();
}
