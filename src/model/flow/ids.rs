//! Queue ids that are only told apart.

use std::{collections::HashSet, hash::BuildHasher, sync::OnceLock};

use foldhash::fast::RandomState;

/// More are not told apart.
const MOST: usize = 1_000_000;

/// Eight bytes that stand for a queue id, enough to tell millions apart: another one each time the program runs.
pub(super) fn print(id: &str) -> u64 {
    // One key for all sets, so that they can be merged.
    static KEY: OnceLock<RandomState> = OnceLock::new();
    KEY.get_or_init(RandomState::default).hash_one(id)
}

/// A set of queue ids by their [`print`].
#[derive(Debug, Clone, Default)]
pub struct Ids {
    prints: HashSet<u64, RandomState>,
    more: bool,
}

impl Ids {
    /// Adds one.
    pub fn insert(&mut self, id: &str) {
        self.insert_print(print(id));
    }

    /// Adds those of another set.
    pub fn merge(&mut self, other: &Self) {
        self.more |= other.more;
        other.prints.iter().for_each(|print| self.insert_print(*print));
    }

    fn insert_print(&mut self, print: u64) {
        if self.prints.len() < MOST {
            self.prints.insert(print);
        } else {
            self.more |= !self.prints.contains(&print);
        }
    }

    /// How many different ones, at least.
    pub fn len(&self) -> usize {
        self.prints.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.prints.is_empty()
    }

    /// Whether there were more than are told apart.
    pub fn is_open(&self) -> bool {
        self.more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counts_once_however_often_it_comes() {
        let mut ids = Ids::default();
        ["4A1", "4A2", "4A1"].into_iter().for_each(|id| ids.insert(id));
        let mut others = Ids::default();
        ["4A2", "4A3"].into_iter().for_each(|id| others.insert(id));
        ids.merge(&others);
        assert_eq!((ids.len(), ids.is_empty(), ids.is_open()), (3, false, false));
    }

    #[test]
    fn their_number_has_an_end() {
        let mut ids = Ids::default();
        (0..MOST as u64 + 5).for_each(|print| ids.insert_print(print));
        assert_eq!((ids.len(), ids.is_open()), (MOST, true));
    }
}
