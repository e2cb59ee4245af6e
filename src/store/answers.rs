//! Answers that were worked out before and are still true: what many ask again and again is read from the database once.
//!
//! An answer is remembered under its question, with a stamp of all that it was worked out from. Who asks reads that stamp
//! first, which must be cheap; an answer with another stamp is never found, and makes room for the new one.

use std::{
    any::Any,
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Two numbers that change whenever an answer may.
pub type Stamp = (i64, i64);

/// So many answers to questions about one database; the oldest goes first. Cheap to clone: all clones remember the same.
#[derive(Clone)]
pub struct Answers<const MOST: usize>(Arc<Mutex<VecDeque<Known>>>);

struct Known {
    question: String,
    stamp: Stamp,
    answer: Arc<dyn Any + Send + Sync>,
}

impl<const MOST: usize> Default for Answers<MOST> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<const MOST: usize> Answers<MOST> {
    /// The answer to a question, as long as the stamp is that of then.
    pub fn recall<T: Clone + 'static>(&self, question: &str, stamp: Stamp) -> Option<T> {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = answers.iter().find(|known| known.question == question && known.stamp == stamp)?;
        known.answer.downcast_ref::<T>().cloned()
    }

    /// Remembers an answer instead of the one before.
    pub fn keep<T: Send + Sync + 'static>(&self, question: String, stamp: Stamp, answer: T) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|known| known.question != question);
        if answers.len() >= MOST {
            answers.pop_front();
        }
        answers.push_back(Known { question, stamp, answer: Arc::new(answer) });
    }

    /// Forgets the answers with another stamp, where all answers have the same: nobody will ask for them again.
    pub fn forget_others(&self, stamp: Stamp) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|known| known.stamp == stamp);
    }

    /// Forgets all, as a restart does: for tests and measurements.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl<const MOST: usize> fmt::Debug for Answers<MOST> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.lock().unwrap_or_else(PoisonError::into_inner).len();
        write!(f, "Answers({count})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_by_its_stamp_only_and_the_newest_are_kept() {
        const MOST: usize = 96;
        let answers = Answers::<MOST>::default();
        answers.keep("a".to_owned(), (1, 1), 7_u32);
        assert_eq!(answers.recall("a", (1, 1)), Some(7_u32));
        assert_eq!(answers.recall::<u32>("a", (2, 1)), None, "something has changed");
        assert_eq!(answers.recall::<u32>("b", (1, 1)), None);
        assert_eq!(answers.recall::<u64>("a", (1, 1)), None, "of another type");
        answers.keep("a".to_owned(), (2, 1), 8_u32);
        assert_eq!(answers.clone().recall("a", (2, 1)), Some(8_u32));
        assert_eq!(answers.recall::<u32>("a", (1, 1)), None, "room was made for the new one");
        for number in 0..MOST {
            answers.keep(format!("q{number}"), (0, 0), number);
        }
        assert_eq!((answers.recall::<u32>("a", (2, 1)), answers.0.lock().unwrap().len()), (None, MOST));
        answers.keep("q5".to_owned(), (3, 0), 5_usize);
        answers.forget_others((3, 0));
        assert_eq!(
            (answers.recall::<usize>("q6", (0, 0)), answers.recall("q5", (3, 0))),
            (None, Some(5_usize))
        );
        answers.forget();
        assert_eq!(answers.recall::<usize>("q5", (0, 0)), None);
    }
}
