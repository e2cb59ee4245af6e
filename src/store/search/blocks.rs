//! A set of blocks of one segment, and its form in the database: gaps while there are few, else a bit each.

use super::BLOCKS;

const WORDS: usize = BLOCKS as usize / 64;
/// Bytes of the form with a bit for each block; the other form is always shorter.
const BITMAP: usize = WORDS * 8;

/// A set of numbers below [`BLOCKS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks(Box<[u64; WORDS]>);

impl Blocks {
    /// No block.
    pub fn none() -> Self {
        Self(Box::new([0; WORDS]))
    }

    /// Every block.
    pub fn all() -> Self {
        Self(Box::new([u64::MAX; WORDS]))
    }

    /// Adds a block; true when it was not there.
    pub fn add(&mut self, block: i64) -> bool {
        let Some(word) = usize::try_from(block / 64).ok().and_then(|index| self.0.get_mut(index)) else {
            return false;
        };
        let bit = 1 << (block % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Whether a block is there.
    pub fn has(&self, block: i64) -> bool {
        let word = usize::try_from(block / 64).ok().and_then(|index| self.0.get(index));
        word.is_some_and(|word| word >> (block % 64) & 1 == 1)
    }

    /// Keeps what is in `other`, too.
    pub fn intersect(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(word, other)| *word &= other);
    }

    /// The last block that is not above `limit`.
    pub fn last_up_to(&self, limit: i64) -> Option<i64> {
        let last = usize::try_from(limit / 64).ok()?;
        let words = self.0.iter().enumerate().take(last + 1).rev();
        words
            .map(|(index, word)| {
                let word = if index == last { word & (u64::MAX >> (63 - limit % 64)) } else { *word };
                (index, word)
            })
            .find(|(_, word)| *word != 0)
            .map(|(index, word)| index as i64 * 64 + 63 - i64::from(word.leading_zeros()))
    }

    /// The first block that is not below `limit`.
    pub fn first_from(&self, limit: i64) -> Option<i64> {
        self.iter_from(limit).next()
    }

    fn iter_from(&self, limit: i64) -> impl Iterator<Item = i64> {
        let first = usize::try_from(limit / 64).unwrap_or(WORDS);
        self.0.iter().enumerate().skip(first).flat_map(move |(index, word)| {
            let base = index as i64 * 64;
            let word = if index == first { word & (u64::MAX << (limit % 64)) } else { *word };
            bits(word).map(move |bit| base + i64::from(bit))
        })
    }

    /// The form for the database.
    pub fn pack(&self) -> Vec<u8> {
        let mut gaps = Vec::new();
        let mut next = 0;
        for block in self.iter_from(0) {
            let gap = block - next;
            next = block + 1;
            if gap >= 128 {
                gaps.push((gap >> 7) as u8 | 128);
            }
            gaps.push((gap & 127) as u8);
            if gaps.len() >= BITMAP {
                return self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
            }
        }
        gaps
    }

    /// Reads what [`Blocks::pack`] wrote.
    pub fn unpack(bytes: &[u8]) -> Self {
        let mut blocks = Self::none();
        if bytes.len() == BITMAP {
            for (word, bytes) in blocks.0.iter_mut().zip(bytes.as_chunks::<8>().0) {
                *word = u64::from_le_bytes(*bytes);
            }
            return blocks;
        }
        let (mut next, mut high) = (0, 0);
        for byte in bytes {
            if byte & 128 != 0 {
                high = i64::from(byte & 127) << 7;
                continue;
            }
            let block = next + high + i64::from(*byte);
            blocks.add(block);
            (next, high) = (block + 1, 0);
        }
        blocks
    }
}

/// The numbers of the bits that are set, lowest first.
fn bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        word &= word.checked_sub(1)?;
        Some(bit)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sets_survive_the_database_and_find_neighbours(
            numbers in prop::collection::btree_set(0..BLOCKS, 0..900), limit in 0..BLOCKS,
        ) {
            let mut blocks = Blocks::none();
            for number in &numbers {
                prop_assert!(blocks.add(*number) && !blocks.add(*number));
            }
            let packed = blocks.pack();
            prop_assert!(packed.len() <= BITMAP);
            prop_assert_eq!(&Blocks::unpack(&packed), &blocks);
            prop_assert_eq!(blocks.iter_from(0).collect::<BTreeSet<_>>(), numbers.clone());
            prop_assert_eq!(blocks.last_up_to(limit), numbers.range(..=limit).next_back().copied());
            prop_assert_eq!(blocks.first_from(limit), numbers.range(limit..).next().copied());
            prop_assert_eq!(blocks.has(limit), numbers.contains(&limit));
        }

        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let blocks = Blocks::unpack(&bytes);
            prop_assert!(blocks.iter_from(0).all(|block| block < BLOCKS));
        }
    }
}
