//! Which of many phrases stand in a text, found in one walk over it.
//!
//! A phrase is looked up by its first three bytes, so that a text of some hundred bytes meets a handful of
//! the 800 phrases instead of all of them, and time grows with the text's length only.

use std::collections::HashMap;

const BUCKETS: usize = 4096;

/// A set of phrases with numbers.
#[derive(Default)]
pub(super) struct Phrases {
    texts: Vec<String>,
    numbers: HashMap<String, u16>,
    /// Phrase numbers, sorted by bucket.
    sorted: Vec<u16>,
    /// Where each bucket begins in `sorted`; one more than there are buckets.
    begins: Vec<u16>,
}

/// The phrases that stand in one text, a bit each.
pub(super) struct Found(Vec<u64>);

impl Found {
    /// True if each of these phrases was found.
    pub(super) fn contain(&self, all: &[u16]) -> bool {
        all.iter().all(|number| {
            let word = self.0.get(usize::from(*number) / 64).copied().unwrap_or_default();
            word >> (number % 64) & 1 == 1
        })
    }
}

impl Phrases {
    /// Adds a phrase of at least three bytes and tells its number. Equal phrases share a number.
    pub(super) fn add(&mut self, phrase: &str) -> u16 {
        if let Some(number) = self.numbers.get(phrase) {
            return *number;
        }
        let number = u16::try_from(self.texts.len()).unwrap_or(u16::MAX);
        self.texts.push(phrase.to_owned());
        self.numbers.insert(phrase.to_owned(), number);
        number
    }

    /// Sorts the phrases for [`Self::found_in`]; to be called when all are added.
    pub(super) fn index(&mut self) {
        self.numbers = HashMap::new();
        let mut keyed: Vec<(usize, u16)> = self
            .texts
            .iter()
            .zip(0..)
            .filter_map(|(text, number)| Some((bucket(text.as_bytes())?, number)))
            .collect();
        keyed.sort_unstable();
        let before =
            |bucket| u16::try_from(keyed.partition_point(|(key, _)| *key < bucket)).unwrap_or(u16::MAX);
        self.begins = (0..=BUCKETS).map(before).collect();
        self.sorted = keyed.into_iter().map(|(_, number)| number).collect();
    }

    /// The phrases that stand in the text.
    pub(super) fn found_in(&self, text: &str) -> Found {
        let mut found = Found(vec![0; self.texts.len().div_ceil(64)]);
        let bytes = text.as_bytes();
        for at in 0..bytes.len() {
            let here = bytes.get(at..).unwrap_or_default();
            for number in self.candidates(here) {
                let phrase = self.texts.get(usize::from(*number)).map(String::as_bytes).unwrap_or_default();
                if here.starts_with(phrase)
                    && let Some(word) = found.0.get_mut(usize::from(*number) / 64)
                {
                    *word |= 1 << (number % 64);
                }
            }
        }
        found
    }

    fn candidates(&self, here: &[u8]) -> &[u16] {
        let range =
            bucket(here).and_then(|bucket| Some((*self.begins.get(bucket)?, *self.begins.get(bucket + 1)?)));
        range.and_then(|(from, to)| self.sorted.get(usize::from(from)..usize::from(to))).unwrap_or_default()
    }
}

fn bucket(bytes: &[u8]) -> Option<usize> {
    let &[a, b, c] = bytes.get(..3)? else { return None };
    let key = (usize::from(a) << 16) | (usize::from(b) << 8) | usize::from(c);
    // Multiplication spreads the three bytes over the upper bits (Knuth 6.4).
    Some((key.wrapping_mul(2_654_435_761) >> 16) % BUCKETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_found_wherever_they_stand() {
        let mut phrases = Phrases::default();
        let [spf, spam, spam_here, at_end] =
            ["spf", "spam", "spam here", "ß!!"].map(|phrase| phrases.add(phrase));
        assert_eq!(phrases.add("spf"), spf);
        phrases.index();
        let found = phrases.found_in("spam spf spaß!!");
        assert!(found.contain(&[spf, spam, at_end]));
        assert!(!found.contain(&[spam_here]) && !found.contain(&[spam, spam_here]));
        assert!(!phrases.found_in("sp").contain(&[spf]));
        assert!(!phrases.found_in("").contain(&[spf]));
    }
}
