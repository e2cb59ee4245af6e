//! The mail traffic: seeded, repeatable, in the form of a real server's logs.
//!
//! A story is written at once, up to its end, which may lie in the future; its deeds wait in order until
//! the clock reaches them. So a mail is seen as queued before it is delivered, and a deferred mail is
//! retried on schedule, without a task that would have to run.

mod letter;
mod post;
mod refused;
mod scan;
mod scribe;
mod stories;
pub(crate) mod timeline;
mod words;

use std::{collections::BinaryHeap, time::Duration};

use jiff::tz::TimeZone;

pub use letter::{Entry, Fate, Letter, Peer, Reach, Target, Trouble, Verdict};
pub use post::Posted;
use scribe::{Ids, Scribe};
use stories::MIX;
pub use stories::Story;
pub use timeline::Line;
use timeline::{Deed, Pending};

use super::{rng::Rng, world::World};
use crate::model::time::Millis;

/// Writes stories and keeps what is still to come.
#[derive(Debug)]
pub(crate) struct Traffic {
    rng: Rng,
    ids: Ids,
    zone: TimeZone,
    pending: BinaryHeap<Pending>,
    number: u64,
}

impl Traffic {
    /// No traffic yet; `zone` is the server's.
    pub fn new(seed: u64, zone: TimeZone) -> Self {
        let rng = Rng::new(seed);
        Self { rng, ids: Ids::default(), zone, pending: BinaryHeap::new(), number: 0 }
    }

    /// Hands in `letter` at `at`.
    pub fn post(&mut self, world: &World, at: Millis, letter: &Letter) -> Posted {
        self.write(world, |scribe| scribe.post(at, letter))
    }

    /// Tells `story` from `at` on.
    pub fn tell(&mut self, world: &World, at: Millis, story: Story) {
        self.write(world, |scribe| scribe.tell(story, at));
    }

    /// Tells a story as the mix has it.
    pub fn tell_any(&mut self, world: &World, at: Millis) {
        let total: u32 = MIX.iter().map(|(_, weight)| weight).sum();
        let mut draw = self.rng.below(u64::from(total)) as u32;
        let story = MIX.iter().find(|(_, weight)| match draw.checked_sub(*weight) {
            Some(rest) => {
                draw = rest;
                false
            }
            None => true,
        });
        self.tell(world, at, story.map_or(Story::Incoming, |(story, _)| *story));
    }

    /// Puts a single deed at `at`.
    pub fn put(&mut self, at: Millis, deed: Deed) {
        self.number += 1;
        self.pending.push(Pending { at, number: self.number, deed });
    }

    /// The next deed that is due at `now`.
    pub fn due(&mut self, now: Millis) -> Option<(Millis, Deed)> {
        if self.pending.peek().is_none_or(|next| next.at > now) {
            return None;
        }
        self.pending.pop().map(|next| (next.at, next.deed))
    }

    /// A pause around `mean`.
    pub fn pause(&mut self, mean: Duration) -> Duration {
        mean * self.rng.between(30, 170) as u32 / 100
    }

    /// `count` mails over the `days` before `now`, by day and on workdays more than by night and on Sundays;
    /// the last one ends at `now`.
    pub fn preload(&mut self, world: &World, now: Millis, count: usize, days: u32) {
        let mut stories = deck(count.saturating_sub(1));
        self.rng.shuffle(&mut stories);
        let start = now.minus(Duration::from_secs(u64::from(days) * 86_400));
        let span = now.since(start).as_millis() as u64;
        let mut moments: Vec<Millis> = stories.iter().map(|_| self.moment(start, span)).collect();
        moments.sort_unstable();
        for (at, story) in moments.into_iter().zip(stories) {
            self.tell(world, at, story);
        }
        if count > 0 {
            let letter = Letter::incoming("lena.maier@bigmail.example", &["ann@alpha.test"], "Bis gleich!");
            // The longest way in, past postscreen, takes less than ten seconds.
            self.post(world, now.minus(Duration::from_secs(10)), &letter);
        }
    }

    fn moment(&mut self, start: Millis, span: u64) -> Millis {
        loop {
            let at = Millis(start.0 + self.rng.below(span.saturating_sub(15_000)) as i64);
            let local = at.in_zone(&self.zone);
            let weight = match local.hour() {
                0..=5 => 8,
                6 | 7 | 19..=23 => 35,
                _ => 100,
            };
            let weekend = local.weekday().to_monday_zero_offset() >= 5;
            if self.rng.chance(if weekend { weight / 3 } else { weight }) {
                return at;
            }
        }
    }

    fn write<T>(&mut self, world: &World, tale: impl FnOnce(&mut Scribe<'_>) -> T) -> T {
        let out = Vec::with_capacity(24);
        let mut scribe = Scribe { rng: &mut self.rng, ids: &mut self.ids, world, zone: &self.zone, out };
        let result = tale(&mut scribe);
        for (at, deed) in scribe.out {
            self.number += 1;
            self.pending.push(Pending { at, number: self.number, deed });
        }
        result
    }
}

/// `count` stories in the proportions of the mix; from a few dozen on, every story occurs.
fn deck(count: usize) -> Vec<Story> {
    let total: usize = MIX.iter().map(|(_, weight)| *weight as usize).sum();
    let rare = if count >= 2 * MIX.len() { 1 } else { 0 };
    let mut stories: Vec<Story> = MIX
        .iter()
        .skip(1)
        .flat_map(|(story, weight)| std::iter::repeat_n(*story, (count * *weight as usize / total).max(rare)))
        .collect();
    stories.truncate(count);
    stories.resize(count, Story::Incoming);
    stories
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deck_has_the_size_asked_for_and_every_story() {
        for count in [0, 1, 5, 92, 2_000] {
            assert_eq!(deck(count).len(), count);
        }
        for (story, _) in MIX {
            assert!(deck(100).contains(story), "{story:?}");
        }
    }
}
