//! What many sources come to: of each standing how many there are and what fails, and the few that are to be mended first.
//! Each source is looked at once, so that a forged report that speaks of millions costs no memory here.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{Judge, Standing, fails};
use crate::model::figures::Source;

/// Failing sources of one's own that a survey knows one by one.
pub const LEADING: usize = 3;

/// What the sources of one standing, or of some, come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many sources.
    pub sources: u64,
    /// Their mails.
    pub messages: u64,
    /// Mails of them that failed.
    pub failed: u64,
    /// Sources of which too many mails fail ([`fails`]).
    pub failing: u64,
    /// Mails of these that failed.
    pub harmed: u64,
}

impl Tally {
    fn and(self, other: Self) -> Self {
        Self {
            sources: self.sources.saturating_add(other.sources),
            messages: self.messages.saturating_add(other.messages),
            failed: self.failed.saturating_add(other.failed),
            failing: self.failing.saturating_add(other.failing),
            harmed: self.harmed.saturating_add(other.harmed),
        }
    }
}

/// What the sources of a span come to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    tallies: BTreeMap<Standing, Tally>,
    failing: Vec<(Standing, Source)>,
}

impl Survey {
    /// That of these sources.
    pub fn of_all<'a>(judge: &Judge, sources: impl IntoIterator<Item = &'a Source>) -> Self {
        let mut survey = Self::default();
        for source in sources {
            survey.add(judge, source);
        }
        survey
    }

    /// Adds a source; answers its standing.
    pub fn add(&mut self, judge: &Judge, source: &Source) -> Standing {
        let standing = judge.standing(source);
        let (messages, failed, fails) = (source.sums.messages, source.sums.failed(), fails(&source.sums));
        let (failing, harmed) = if fails { (1, failed) } else { (0, 0) };
        let tally = self.tallies.entry(standing).or_default();
        *tally = tally.and(Tally { sources: 1, messages, failed, failing, harmed });
        if fails && standing.is_own() {
            let key = |(standing, source): &(Standing, Source)| {
                (standing.is_asked(), Reverse(source.sums.failed()), source.ip)
            };
            let own = (standing, source.clone());
            let place = self.failing.partition_point(|other| key(other) < key(&own));
            if place < LEADING {
                self.failing.insert(place, own);
                self.failing.truncate(LEADING);
            }
        }
        standing
    }

    /// What the sources of these standings come to.
    pub fn of(&self, wanted: impl Fn(Standing) -> bool) -> Tally {
        let wanted = self.tallies.iter().filter(|(standing, _)| wanted(**standing));
        wanted.fold(Tally::default(), |sum, (_, tally)| sum.and(*tally))
    }

    /// The own sources that fail, at most [`LEADING`]: those that are surely own first, then by mails that fail.
    pub fn failing(&self) -> &[(Standing, Source)] {
        &self.failing
    }

    /// Says more of the failing sources: their names, and all of their sums.
    pub fn know(&mut self, known: impl IntoIterator<Item = Source>) {
        for source in known {
            if let Some((_, own)) = self.failing.iter_mut().find(|(_, own)| own.ip == source.ip) {
                *own = source;
            }
        }
    }
}
