//! Sharing among the cores what only computes.

use std::{num::NonZeroUsize, panic::resume_unwind, thread};

/// More cores would wait for the database all the same.
const MOST: usize = 4;
/// With fewer items for each, to begin a thread costs more than it saves.
const SHARE: usize = 64;

/// What `work` makes of each item, in their order.
///
/// # Panics
/// When `work` does.
pub fn map<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST);
    let share = items.len().div_ceil(cores).max(SHARE);
    if items.len() <= share {
        return items.into_iter().map(work).collect();
    }
    let mut results = Vec::with_capacity(items.len());
    thread::scope(|scope| {
        let mut own = items;
        let mut others = Vec::new();
        while own.len() > share {
            let some = own.split_off(own.len() - share);
            others.push(scope.spawn(|| some.into_iter().map(&work).collect::<Vec<R>>()));
        }
        results.extend(own.into_iter().map(&work));
        // They were taken from the end.
        for other in others.into_iter().rev() {
            results.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
    });
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_worked_on_once_and_in_order() {
        for count in [0, 1, SHARE, SHARE + 1, 2 * SHARE, 10 * SHARE + 7] {
            let items: Vec<usize> = (0..count).collect();
            assert_eq!(map(items, |item| item * 2), (0..count).map(|item| item * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    #[should_panic(expected = "the last")]
    fn a_panic_is_not_lost() {
        map((0..4 * SHARE).collect(), |item| assert!(item + 1 < 4 * SHARE, "the last"));
    }
}
