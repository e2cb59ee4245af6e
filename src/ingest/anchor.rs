//! Finding one's place in a ring that has no ids: the last rows taken are looked for, as a sequence.
//!
//! Times cannot serve: they are whole seconds, and equal rows within a second are legal and must be counted.

use crate::model::time::Millis;

/// At least so many rows are remembered, and all rows of the newest second with the row before it.
const ROWS: usize = 64;
/// Never more than this, however busy a second was.
const MOST: usize = 4096;

/// The last rows taken, as hashes, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Anchor(Vec<u64>);

/// Where new rows begin in a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Rows from this index on (oldest first) are new.
    At(usize),
    /// Only the end of the anchor stands at the beginning of the page; rows from this index on are new if the
    /// page begins where the ring begins.
    Partly(usize),
    /// Not here: ask for an older page, or a part of the log is lost.
    Nowhere,
}

impl Anchor {
    /// Reads the bytes of [`Anchor::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect())
    }

    /// For the database.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|hash| hash.to_le_bytes()).collect()
    }

    /// Whether nothing was ever taken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Looks for the anchor in a page of row hashes, oldest first.
    ///
    /// The whole anchor is looked for from the oldest row on: it either reaches back before its newest second, and
    /// then stands in one place only, or it is all that was ever taken, and then the first place is the right one.
    pub fn find(&self, page: &[u64]) -> Found {
        let Some(last) = self.0.last() else { return Found::At(0) };
        let mut partly = None;
        for end in (0..page.len()).filter(|end| page.get(*end) == Some(last)) {
            let rows = self.0.len().min(end + 1);
            let same = page.get(end + 1 - rows..=end) == self.0.get(self.0.len() - rows..);
            match (same, rows == self.0.len()) {
                (true, true) => return Found::At(end + 1),
                (true, false) => partly = Some(end + 1),
                _ => {}
            }
        }
        partly.map_or(Found::Nowhere, Found::Partly)
    }

    /// The anchor after these rows were taken, oldest first.
    pub fn advance(&self, rows: &[(Millis, u64)]) -> Self {
        let Some((newest, _)) = rows.last() else { return self.clone() };
        let same_second = rows.iter().rev().take_while(|(at, _)| at.secs() == newest.secs()).count();
        let wanted = (same_second + 1).clamp(ROWS, MOST);
        let mut hashes: Vec<u64> = rows.iter().rev().take(wanted).map(|(_, hash)| *hash).collect();
        // A batch that is shorter than the anchor continues it; equal rows may reach back into the last one.
        let missing =
            wanted.saturating_sub(hashes.len()).max(if same_second == rows.len() { ROWS } else { 0 });
        hashes.extend(self.0.iter().rev().take(missing.min(MOST)));
        hashes.truncate(MOST);
        hashes.reverse();
        Self(hashes)
    }
}

/// The hash of a row's parts.
pub fn row_hash<'a>(at: Millis, parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hash = twox_hash::XxHash3_64::oneshot(&at.0.to_le_bytes());
    for part in parts {
        hash = twox_hash::XxHash3_64::oneshot_with_seed(hash, part);
    }
    hash
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn anchored(rows: &[(Millis, u64)]) -> Anchor {
        Anchor::default().advance(rows)
    }

    #[test]
    fn equal_rows_of_one_second_are_counted() {
        let at = Millis::from_secs(100);
        let before = [(Millis::from_secs(99), 1), (at, 7), (at, 7), (at, 7)];
        let anchor = anchored(&before);
        assert_eq!(anchor.find(&[1, 7, 7, 7]), Found::At(4));
        assert_eq!(anchor.find(&[1, 7, 7, 7, 7, 7]), Found::At(4), "two more of the same are new");
    }

    #[test]
    fn a_lost_place_is_told() {
        let rows: Vec<_> = (0..200).map(|n| (Millis::from_secs(n), n as u64)).collect();
        let anchor = anchored(&rows);
        assert_eq!(anchor.find(&[500, 501]), Found::Nowhere);
        assert_eq!(anchor.find(&[198, 199, 200]), Found::Partly(2));
        assert_eq!(anchor.find(&[]), Found::Nowhere);
        assert_eq!(Anchor::default().find(&[5]), Found::At(0));
    }

    #[test]
    fn equal_rows_from_the_very_first_second_on_are_counted() {
        let anchor = anchored(&[(Millis::from_secs(1), 7)]);
        assert_eq!(anchor.find(&[7, 7, 7]), Found::At(1));
    }

    proptest! {
        #[test]
        fn any_split_takes_each_row_once(
            seconds in prop::collection::vec(0_u8..3, 1..400),
            cuts in prop::collection::vec(0_usize..400, 0..8),
        ) {
            let mut at = 1000;
            let rows: Vec<(Millis, u64)> = seconds
                .iter()
                .map(|step| {
                    at += i64::from(*step == 0);
                    let at = Millis::from_secs(at);
                    (at, row_hash(at, [&[*step][..]]))
                })
                .collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(rows.len())).collect();
            cuts.push(rows.len());
            cuts.sort_unstable();
            let (mut anchor, mut taken) = (Anchor::default(), 0);
            for cut in cuts.into_iter().filter(|cut| *cut > 0) {
                let page: Vec<u64> = rows[..cut].iter().map(|(_, hash)| *hash).collect();
                let Found::At(new) = anchor.find(&page) else { panic!("lost the place") };
                prop_assert_eq!(new, taken);
                anchor = Anchor::from_bytes(&anchor.advance(&rows[new..cut]).to_bytes());
                taken = cut;
            }
        }
    }
}
