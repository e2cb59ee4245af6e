//! What changed in the reports of a domain: new sources, sources gone, a share that moved, another policy.

use super::{DAY, Judge, NOTABLE, Standing, add};
use crate::model::{
    figures::{Day, DomainFigures, PolicySeen, Source, Sums},
    time::Millis,
};

/// Changes that are told.
const MOST_CHANGES: usize = 5;
/// A share that moved by more than this many thousandths has changed.
const MOVED: u64 = 20;
/// A source that was silent for so many days is gone.
const GONE_DAYS: u64 = 7;

/// What changed, with its day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change<'a> {
    /// A source that was never seen before.
    New(&'a Source),
    /// A source that sent much and has stopped.
    Gone(&'a Source),
    /// The share that passes moved by more than two points.
    Share {
        /// Sums before that day.
        before: Sums,
        /// Sums from that day on.
        after: Sums,
        /// The day.
        at: Millis,
    },
    /// Receivers see another policy.
    Policy {
        /// What it was.
        before: &'a PolicySeen,
        /// What it is.
        now: &'a PolicySeen,
        /// Begin of the first report with it.
        at: Millis,
    },
}

impl Change<'_> {
    /// Its day.
    pub fn at(&self) -> Millis {
        match self {
            Self::New(source) => source.first,
            Self::Gone(source) => source.last,
            Self::Share { at, .. } | Self::Policy { at, .. } => *at,
        }
    }
}

/// What changes are found in.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    /// The present moment.
    pub now: Millis,
    /// Figures of the span.
    pub figures: &'a DomainFigures,
    /// Days of the span and of the span before.
    pub days: &'a [Day],
    /// Sources of the span.
    pub sources: &'a [Source],
    /// Sources of the span before.
    pub earlier: &'a [Source],
    /// Measure of the sources of the span.
    pub judge: Judge<'a>,
}

impl<'a> History<'a> {
    /// What changed within the span, newest first.
    pub fn changes(&self) -> Vec<Change<'a>> {
        let from = self.judge.from;
        let fresh = self.sources.iter().filter(|source| self.judge.has_past && source.first >= from);
        let fresh = fresh.filter(|source| self.judge.standing(source) != Standing::Forged);
        let gone = self.earlier.iter().chain(self.sources).filter(|source| self.is_gone(source));
        let policy = self.figures.policy_before.as_ref().filter(|(_, at)| *at >= from);
        let shift = shift(self.days).filter(|shift| shift.at() >= from);
        let mut gone: Vec<&Source> = gone.collect();
        gone.sort_by_key(|source| (source.ip, std::cmp::Reverse(source.last)));
        gone.dedup_by_key(|source| source.ip);
        let mut changes: Vec<Change> = fresh.map(Change::New).collect();
        changes.extend(gone.into_iter().map(Change::Gone));
        changes.extend(shift);
        changes.extend(policy.map(|(before, at)| Change::Policy {
            before,
            now: &self.figures.policy,
            at: *at,
        }));
        changes.sort_by_key(|change| std::cmp::Reverse(change.at()));
        changes.truncate(MOST_CHANGES);
        changes
    }

    /// Gone are sources of use that have stopped within the span, while reports go on.
    fn is_gone(&self, source: &Source) -> bool {
        let silence = |at: Millis| self.now.since(at).as_secs() >= GONE_DAYS * DAY;
        source.sums.messages >= NOTABLE
            && source.sums.aligned * 2 >= source.sums.messages
            && silence(source.last)
            && self.figures.last.is_some_and(|last| !silence(last))
    }
}

/// The day that best parts a time with one share that passes from a time with another, if they differ by more than two
/// points. Both sides
/// have at least two days with mails and enough mails to speak of a share.
pub fn shift<'a>(days: &[Day]) -> Option<Change<'a>> {
    let days: Vec<&Day> = days.iter().filter(|day| day.sums.messages > 0).collect();
    let sum = |days: &[&Day]| days.iter().fold(Sums::default(), |sums, day| add(sums, &day.sums));
    let share = |sums: &Sums| sums.aligned * 1000 / sums.messages.max(1);
    let candidate = |at: usize| {
        let (before, after) = days.split_at_checked(at)?;
        let (first, before, after) = (after.first()?.at, sum(before), sum(after));
        let enough = before.messages >= NOTABLE && after.messages >= NOTABLE;
        let moved = share(&before).abs_diff(share(&after));
        // Many mails on both sides weigh more than one odd day at the end.
        let (left, right) = (u128::from(before.messages), u128::from(after.messages));
        let weight = u128::from(moved * moved) * left * right;
        (enough && moved > MOVED).then_some((weight, Change::Share { before, after, at: first }))
    };
    let last = days.len().saturating_sub(1);
    (2..last).filter_map(candidate).max_by_key(|(weight, _)| *weight).map(|(_, change)| change)
}
