//! A text without what differs from mail to mail: what stands in `<>` and `[]`, and numbers. Not longer than needed.

/// Longest text that is looked at, in characters.
const LONGEST: usize = 120;

/// Hands on the shape of a text.
pub(super) fn of<T>(text: &str, take: impl FnOnce(&str) -> T) -> T {
    // Places and digits are ASCII: what is left out begins and ends at whole characters. No shape is longer than what it is
    // made of, and no character than four bytes.
    let mut space = [0; 4 * LONGEST];
    let mut length = 0;
    let mut push = |byte| {
        if let Some(place) = space.get_mut(length) {
            *place = byte;
            length += 1;
        }
    };
    let (mut closing, mut digits) = (None, false);
    for byte in start_of(text).bytes() {
        if let Some(close) = closing {
            if byte == close {
                closing = None;
                push(byte);
            }
            continue;
        }
        closing = match byte {
            b'<' => Some(b'>'),
            b'[' => Some(b']'),
            _ => None,
        };
        let number = byte.is_ascii_digit();
        match (number, digits) {
            (true, true) => {}
            (true, false) => push(b'#'),
            (false, _) => push(if byte.is_ascii_control() { b' ' } else { byte }),
        }
        digits = number;
    }
    take(space.get(..length).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default())
}

/// The characters that are looked at.
fn start_of(text: &str) -> &str {
    match text.get(..LONGEST) {
        Some(start) if start.is_ascii() => start,
        _ => text.char_indices().nth(LONGEST).and_then(|(end, _)| text.get(..end)).unwrap_or(text),
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
