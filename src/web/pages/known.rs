//! What the log tells of a span of time, and what it does not: where nothing was recorded, nobody may say that
//! there was nothing.

use std::time::Duration;

use crate::{
    model::time::Millis,
    store::ingestion::{Gap, Source},
    web::pages::frame::Freshness,
};

/// Why the log does not tell all of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blind {
    /// It is still to come.
    ToCome,
    /// The log was never read.
    Unread,
    /// The log begins then, after the whole span.
    Before(Millis),
    /// The log begins then, within the span.
    Begins(Millis),
    /// The log was last read then, too long ago.
    Stale(Millis),
    /// Parts of it are missing, so much in all.
    Gaps(Duration),
}

/// What the log tells of a span.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Gaps in the span.
    pub gaps: &'a [Gap],
    begins: Option<Millis>,
    stale: Option<Millis>,
    span: (Option<Millis>, Option<Millis>),
    now: Millis,
}

impl<'a> Known<'a> {
    /// What is known of the time from `span.0` to `span.1`, which may be open. `kept`: how long mails are kept.
    pub fn new(
        sources: &[Source],
        gaps: &'a [Gap],
        kept: Duration,
        span: (Option<Millis>, Option<Millis>),
        now: Millis,
    ) -> Self {
        let postfix = sources.iter().filter(|source| source.source == "postfix");
        let started = postfix.filter_map(|source| source.started_at).max();
        let freshness = Freshness::of(sources, gaps, now);
        Self {
            gaps,
            begins: started.map(|started| started.max(now.minus(kept))),
            stale: freshness.as_of.filter(|_| freshness.stale.is_some()),
            span,
            now,
        }
    }

    /// Why it is not all that there was; nothing where the log is complete.
    pub fn blind(&self) -> Vec<Blind> {
        let from = self.span.0.unwrap_or(Millis(i64::MIN));
        let to = self.span.1.unwrap_or(self.now).min(self.now);
        let Some(begins) = self.begins else { return vec![Blind::Unread] };
        if from > self.now {
            return vec![Blind::ToCome];
        }
        if begins >= to {
            return vec![Blind::Before(begins)];
        }
        let missing = self.gaps.iter().map(|gap| gap.to_at.min(to).since(gap.from_at.max(from))).sum();
        [
            (begins > from).then_some(Blind::Begins(begins)),
            self.stale.filter(|read| *read < to).map(Blind::Stale),
            (!self.gaps.is_empty()).then_some(Blind::Gaps(missing)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Whether the span has ended.
    pub fn is_past(&self) -> bool {
        self.span.1.is_some_and(|to| to <= self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::samples::{NOW, ago, gap, source};

    const DAY: u64 = 86_400;
    const KEPT: Duration = Duration::from_secs(120 * DAY);

    fn blind(gaps: &[Gap], from: Option<Millis>, to: Option<Millis>) -> Vec<Blind> {
        Known::new(&[source("postfix")], gaps, KEPT, (from, to), NOW).blind()
    }

    #[test]
    fn what_was_never_recorded_is_not_known() {
        let begin = ago(14 * DAY);
        assert_eq!(blind(&[], Some(ago(7 * DAY)), None), []);
        assert_eq!(blind(&[], None, None), [Blind::Begins(begin)]);
        assert_eq!(blind(&[], Some(ago(30 * DAY)), Some(ago(DAY))), [Blind::Begins(begin)]);
        assert_eq!(blind(&[], Some(ago(30 * DAY)), Some(ago(20 * DAY))), [Blind::Before(begin)]);
        assert_eq!(blind(&[], None, Some(ago(20 * DAY))), [Blind::Before(begin)]);
        let tomorrow = NOW.plus(Duration::from_secs(DAY));
        assert_eq!(blind(&[], Some(tomorrow), None), [Blind::ToCome]);
        assert_eq!(blind(&[], Some(ago(DAY)), Some(tomorrow)), []);
    }

    #[test]
    fn what_was_not_read_or_is_no_longer_kept_is_not_known() {
        let span = (Some(ago(7 * DAY)), None);
        assert_eq!(Known::new(&[], &[], KEPT, span, NOW).blind(), [Blind::Unread]);
        let two_days = Duration::from_secs(2 * DAY);
        let known = Known::new(&[source("postfix")], &[], two_days, span, NOW);
        assert_eq!(known.blind(), [Blind::Begins(ago(2 * DAY))]);
        let old = Source { succeeded_at: Some(ago(3600)), ..source("postfix") };
        let stale = |to| Known::new(std::slice::from_ref(&old), &[], KEPT, (None, to), NOW).blind();
        assert!(stale(None).contains(&Blind::Stale(ago(3600))));
        assert!(!stale(Some(ago(DAY))).contains(&Blind::Stale(ago(3600))), "it was read since");
    }

    #[test]
    fn a_gap_counts_as_far_as_it_lies_in_the_span() {
        let hole = gap();
        let length = hole.to_at.since(hole.from_at);
        let gaps = [hole.clone()];
        assert_eq!(blind(&gaps, Some(ago(DAY)), None), [Blind::Gaps(length)]);
        let half = hole.from_at.plus(length / 2);
        assert_eq!(blind(&gaps, Some(half), None), [Blind::Gaps(hole.to_at.since(half))]);
    }
}
