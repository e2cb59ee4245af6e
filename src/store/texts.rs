//! Texts that strangers write and people read: none is longer than its column.

use std::borrow::Cow;

/// Longest text kept of a name, a reason or an error, in characters: a fraction of what a column of MariaDB holds.
const MOST: usize = 500;
/// Stands where the rest was cut off.
const MORE: char = '…';

/// The text, or its beginning and a mark that it goes on.
pub fn cut(text: &str) -> Cow<'_, str> {
    // No text has more characters than bytes.
    if text.len() <= MOST || text.chars().count() <= MOST {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().take(MOST - 1).chain([MORE]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_so() {
        let (fits, long) = ("ä".repeat(MOST), "ä".repeat(MOST + 1));
        assert_eq!(cut(&fits), fits);
        assert_eq!(cut(&long), format!("{}…", "ä".repeat(MOST - 1)));
    }
}
