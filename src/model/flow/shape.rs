//! A text without what differs from mail to mail: what stands in `<>` and `[]`, and numbers. Not longer than needed.

/// Longest text that is looked at, in characters.
const LONGEST: usize = 120;

/// Hands on the shape of a text.
pub(super) fn of<T>(text: &str, take: impl FnOnce(&str) -> T) -> T {
    // No shape is longer than what it is made of, and no character than four bytes.
    let mut space = [0; 4 * LONGEST];
    let mut shape = Shape { space: &mut space, length: 0 };
    let mut closing = None;
    let mut digits = false;
    for letter in text.chars().take(LONGEST) {
        if let Some(close) = closing {
            if letter == close {
                closing = None;
                shape.push(letter);
            }
            continue;
        }
        closing = match letter {
            '<' => Some('>'),
            '[' => Some(']'),
            _ => None,
        };
        let number = letter.is_ascii_digit();
        match (number, digits) {
            (true, true) => {}
            (true, false) => shape.push('#'),
            (false, _) => shape.push(if letter.is_control() { ' ' } else { letter }),
        }
        digits = number;
    }
    take(shape.text())
}

struct Shape<'a> {
    space: &'a mut [u8],
    length: usize,
}

impl Shape<'_> {
    fn push(&mut self, letter: char) {
        if let Some(room) = self.space.get_mut(self.length..self.length + letter.len_utf8()) {
            letter.encode_utf8(room);
            self.length += letter.len_utf8();
        }
    }

    fn text(&self) -> &str {
        self.space.get(..self.length).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_has_no_addresses_no_hosts_and_no_numbers() {
        let text = "host mx[192.0.2.1] said: 452 4.2.2 <ann@a.test> full\u{7}";
        assert_eq!(of(text, str::to_owned), "host mx[] said: # #.#.# <> full ");
        for letter in ["ä", "x", "\u{1f404}"] {
            assert_eq!(of(&letter.repeat(10_000), str::to_owned), letter.repeat(LONGEST));
        }
    }
}
