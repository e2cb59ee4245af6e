//! What a question about reports is about, and the answers that are still true: adding up the digests of a million records
//! takes some hundredths of a second, and reports come a few times a day. The stamp of an answer are those of the
//! months of the domains that count: any change of a report changes one.

use super::scope::{counted, names};
use crate::{
    model::{figures::Span, scope::Scope},
    store::{
        answers::Stamp,
        db::{Db, Result, places, sql},
    },
};

/// A day in milliseconds.
pub const DAY: i64 = 86_400_000;

/// What a question is about: the domains that count, whole days, and the state of the reports in the database.
#[derive(Debug, Clone)]
pub struct About {
    /// Domains that count, sorted.
    pub domains: Vec<String>,
    /// First moment.
    pub from: i64,
    /// First moment behind.
    pub to: i64,
    horizon: i64,
    stamp: Stamp,
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
        let stamp = match domains.is_empty() {
            true => None,
            false => db.fetch_one(sql(text).bind_all(&domains)).await?,
        };
        Ok(Self { domains, from, to, horizon: span.horizon.0, stamp: stamp.unwrap_or_default() })
    }

    /// All that is in our memory of one domain, whether or not it counts.
    pub fn whole(domain: &str) -> Self {
        Self {
            domains: vec![domain.to_owned()],
            from: i64::MIN,
            to: i64::MAX,
            horizon: i64::MAX,
            stamp: (0, 0),
        }
    }

    /// Whether a moment, in milliseconds, is in the span.
    pub fn holds(&self, moment: i64) -> bool {
        (self.from..self.to).contains(&moment)
    }

    /// Whether a report of that begin may tell of policies and of when sources were seen: not from the future.
    pub fn believes(&self, begin: i64) -> bool {
        begin < self.horizon
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
    pub async fn answer<T, F>(&self, db: &Db, question: &str, work: F) -> Result<T>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T>>,
    {
        let question =
            format!("reports: {question} {:?} {} {} {}", self.domains, self.from, self.to, self.horizon);
        if let Some(answer) = db.memory().answers.recall(&question, self.stamp) {
            return Ok(answer);
        }
        let answer = work.await?;
        db.memory().answers.keep(question, self.stamp, answer.clone());
        Ok(answer)
    }
}
