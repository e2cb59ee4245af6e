//! A set of blocks of one segment, and its form in the database, whichever is shorter: gaps in Rice's code (R. F. Rice, 1979:
//! high part in ones, low part in bits), or a bit for each block.

use super::BLOCKS;

const WORDS: usize = BLOCKS as usize / 64;
/// Bytes of the form with a bit for each block; the other form is always shorter.
const BITMAP: usize = WORDS * 8;
/// Bits of a low part at most: a gap has thirteen.
const LOW: u32 = BLOCKS.ilog2();

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

    /// How many blocks there are.
    pub fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether a block is there.
    pub fn has(&self, block: i64) -> bool {
        let word = usize::try_from(block / 64).ok().and_then(|index| self.0.get(index));
        word.is_some_and(|word| word >> (block % 64) & 1 == 1)
    }

    /// Whether there is no block.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Keeps what is in `other`, too.
    pub fn intersect(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(word, other)| *word &= other);
    }

    /// Takes in what is in `other`.
    pub fn unite(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(word, other)| *word |= other);
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

    /// How many blocks lie between one and the next, and before the first.
    fn gaps(&self) -> impl Iterator<Item = u32> {
        let mut next = 0;
        self.iter_from(0).map(move |block| {
            let gap = block - next;
            next = block + 1;
            gap as u32
        })
    }

    /// The form for the database.
    pub fn pack(&self) -> Vec<u8> {
        let gaps: Vec<u32> = self.gaps().collect();
        let rice =
            |low: u32| 1 + gaps.iter().map(|gap| (gap >> low) + 1 + low).sum::<u32>().div_ceil(8) as usize;
        let (shortest, low) = (0..=LOW).map(|low| (rice(low), low)).min().unwrap_or_default();
        if shortest < BITMAP {
            pack_rice(&gaps, low)
        } else {
            self.0.iter().flat_map(|word| word.to_le_bytes()).collect()
        }
    }

    /// Reads what [`Blocks::pack`] wrote.
    pub fn unpack(bytes: &[u8]) -> Self {
        let mut blocks = Self::none();
        if bytes.len() == BITMAP {
            for (word, bytes) in blocks.0.iter_mut().zip(bytes.as_chunks::<8>().0) {
                *word = u64::from_le_bytes(*bytes);
            }
        } else if let Some((low, gaps)) = bytes.split_first() {
            blocks.add_rice(gaps, u32::from(*low).min(LOW));
        }
        blocks
    }

    fn add_rice(&mut self, bytes: &[u8], low: u32) {
        let (mut buffer, mut held, mut rest) = (0_u64, 0, bytes.iter());
        let mut refill = |buffer: &mut u64, held: &mut u32| {
            while *held <= 56
                && let Some(byte) = rest.next()
            {
                *buffer |= u64::from(*byte) << *held;
                *held += 8;
            }
        };
        let (mut next, mut high) = (0_i64, 0_i64);
        loop {
            refill(&mut buffer, &mut held);
            let ones = buffer.trailing_ones().min(held);
            high += i64::from(ones);
            buffer = buffer.checked_shr(ones).unwrap_or_default();
            held -= ones;
            if held == 0 {
                // A long high part goes on behind what was held; or this is the end, filled up with ones.
                refill(&mut buffer, &mut held);
                if held == 0 {
                    return;
                }
                continue;
            }
            (buffer, held) = (buffer >> 1, held - 1);
            refill(&mut buffer, &mut held);
            let block = next + (high << low) + (buffer & ((1 << low) - 1)) as i64;
            if held < low || !self.add(block) {
                return;
            }
            (buffer, held) = (buffer >> low, held - low);
            (next, high) = (block + 1, 0);
        }
    }
}

/// The number of bits of a low part, then gaps in Rice's code, filled up with ones: what follows the last gap has no end and is
/// none.
fn pack_rice(gaps: &[u32], low: u32) -> Vec<u8> {
    let mut packed = vec![low as u8];
    let (mut buffer, mut held) = (0_u64, 0);
    let mut put = |packed: &mut Vec<u8>, bits: u64, count: u32| {
        buffer |= bits << held;
        held += count;
        while held >= 8 {
            packed.push(buffer as u8);
            buffer >>= 8;
            held -= 8;
        }
        held
    };
    let mut open = 0;
    for gap in gaps {
        for _ in 0..gap >> low {
            put(&mut packed, 1, 1);
        }
        put(&mut packed, 0, 1);
        open = put(&mut packed, u64::from(gap & ((1 << low) - 1)), low);
    }
    if open > 0 {
        put(&mut packed, (1 << (8 - open)) - 1, 8 - open);
    }
    packed
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
            for first in 0..=255 {
                let bytes = [&[first], bytes.as_slice()].concat();
                let blocks = Blocks::unpack(&bytes);
                prop_assert!(blocks.iter_from(0).all(|block| block < BLOCKS));
            }
        }

        /// Each form is the shorter one for some sets.
        #[test]
        fn dense_and_clustered_sets_survive_the_database(
            begin in 0..BLOCKS, step in 1..40_i64, count in 0..BLOCKS, odd in prop::collection::btree_set(0..BLOCKS, 0..40),
        ) {
            let mut blocks = Blocks::none();
            let even = (begin..BLOCKS).step_by(step as usize).take(count as usize);
            for number in even.chain(odd) {
                blocks.add(number);
            }
            let packed = blocks.pack();
            prop_assert!(packed.len() <= BITMAP);
            prop_assert_eq!(&Blocks::unpack(&packed), &blocks);
        }
    }

    #[test]
    fn the_shorter_form_is_taken() {
        let set = |numbers: &[i64]| {
            let mut blocks = Blocks::none();
            for number in numbers {
                blocks.add(*number);
            }
            blocks
        };
        assert_eq!(Blocks::unpack(&[]), Blocks::none());
        // Gaps 3 and 1 with one low bit each: 10 and 1, 0 and 1, filled up with ones; the lowest bit is the first.
        assert_eq!(Blocks::unpack(&[1, 0b1111_0101]), set(&[3, 5]));
        assert_eq!(set(&[3]).pack().len(), 2);
        assert_eq!(set(&[BLOCKS - 1]).pack().len(), 3);
        let even: Vec<i64> = (0..100).map(|number| number * 9).collect();
        assert!(set(&even).pack().len() < 70);
        assert_eq!(Blocks::all().pack(), [255; BITMAP]);
    }
}
