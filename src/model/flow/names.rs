//! Names with a tally each, in bounded space: strangers choose the names.

use std::collections::HashMap;

use compact_str::CompactString;

use super::{Fate, Volume};

/// Names that are told apart. When there are more, the half that counts least is counted together.
const MOST: usize = 100_000;

/// What can be counted together.
pub trait Tally: Default {
    /// How much it counts.
    fn weight(&self) -> u64;
    /// Adds another.
    fn merge(&mut self, other: &Self);
}

impl Tally for u64 {
    fn weight(&self) -> u64 {
        *self
    }

    fn merge(&mut self, other: &Self) {
        *self += other;
    }
}

impl Tally for Volume {
    fn weight(&self) -> u64 {
        self.count
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.bytes += other.bytes;
    }
}

impl Tally for Fate {
    fn weight(&self) -> u64 {
        self.attempts()
    }

    fn merge(&mut self, other: &Self) {
        self.add_all(other);
    }
}

/// Names with a tally each. Who counts much keeps the own tally, less at most what came before it counted much.
#[derive(Debug, Clone, Default)]
pub struct Names<T> {
    // Most names lie in the map itself.
    map: HashMap<CompactString, T, foldhash::fast::RandomState>,
    others: Option<T>,
}

impl<T: Tally> Names<T> {
    /// Changes the tally of a name.
    pub fn change(&mut self, name: &str, change: impl FnOnce(&mut T)) {
        if let Some(tally) = self.map.get_mut(name) {
            return change(tally);
        }
        if self.map.len() >= MOST {
            self.make_room();
        }
        let mut tally = T::default();
        change(&mut tally);
        self.map.insert(name.into(), tally);
    }

    /// Adds those of another list.
    pub fn merge(&mut self, other: &Self) {
        for (name, tally) in other.iter() {
            self.change(name, |own| own.merge(tally));
        }
        if let Some(others) = &other.others {
            self.others.get_or_insert_default().merge(others);
        }
    }

    /// The tally of a name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.map.get(name)
    }

    /// All that are told apart, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.map.iter().map(|(name, tally)| (name.as_str(), tally))
    }

    /// How many are told apart: all there were, unless there are others.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// What is counted together, because there were too many names.
    pub fn others(&self) -> Option<&T> {
        self.others.as_ref()
    }

    fn make_room(&mut self) {
        let mut weights: Vec<u64> = self.map.values().map(T::weight).collect();
        let half = weights.len() / 2;
        let (_, limit, _) = weights.select_nth_unstable(half);
        let limit = *limit;
        let mut lighter = self.map.values().filter(|tally| tally.weight() < limit).count();
        let others = self.others.get_or_insert_default();
        self.map.retain(|_, tally| {
            let weight = tally.weight();
            // Of those right at the limit only so many go that half is gone.
            let goes = weight < limit || (weight == limit && lighter < half);
            lighter += usize::from(weight == limit && goes);
            if goes {
                others.merge(tally);
            }
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_counts_most_stays_apart_and_nothing_is_lost() {
        let mut names: Names<Volume> = Names::default();
        for n in 0..3 * MOST {
            names.change(&format!("once{n}@a.test"), |volume| volume.add(10));
            if n % 100 == 0 {
                names.change("often@a.test", |volume| volume.add(1));
            }
        }
        assert!(names.len() <= MOST);
        let often = *names.get("often@a.test").unwrap();
        assert_eq!((often.count, often.bytes), (3 * MOST as u64 / 100, 3 * MOST as u64 / 100));
        let mut all = *names.others().unwrap();
        names.iter().for_each(|(_, volume)| all.merge(volume));
        assert_eq!(
            all,
            Volume { count: 3 * MOST as u64 + often.count, bytes: 30 * MOST as u64 + often.bytes }
        );
    }

    #[test]
    fn few_names_are_all_told_apart() {
        let mut names: Names<u64> = Names::default();
        (0..MOST).for_each(|n| names.change(&n.to_string(), |count| *count += 1));
        assert_eq!((names.len(), names.others()), (MOST, None));
    }
}
