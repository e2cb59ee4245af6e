//! Queue ids at the start of a line (postconf(5), `enable_long_queue_ids`).

/// Bits of [`CLASS`]: the byte may stand in a short id, in a long id.
const SHORT: u8 = 1;
const LONG: u8 = 2;

/// Short ids are upper-case hex, long ones base 52 (digits and consonants), with `z` before the inode number.
const CLASS: [u8; 256] = {
    let mut class = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        if b.is_ascii_digit() || matches!(b, b'A'..=b'F') {
            class[byte] |= SHORT;
        }
        let vowel = matches!(b, b'a' | b'e' | b'i' | b'o' | b'u' | b'A' | b'E' | b'I' | b'O' | b'U');
        if b.is_ascii_digit() || (b.is_ascii_alphabetic() && !vowel) {
            class[byte] |= LONG;
        }
        byte += 1;
    }
    class
};

/// Takes the queue id off a line: `(ID, what stands behind "ID: ")`.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let mut all = SHORT | LONG;
    let mut separator = false;
    let mut length = 0;
    for &byte in text.as_bytes() {
        if byte == b':' {
            break;
        }
        all &= CLASS[usize::from(byte)];
        if all == 0 {
            return None;
        }
        separator |= byte == b'z';
        length += 1;
    }
    let id = text.get(..length)?;
    is_id(all, separator, length).then_some(())?;
    Some((id, text.get(length..)?.strip_prefix(": ")?))
}

/// Whether a whole word is a queue id.
pub(super) fn is_whole(word: &[u8]) -> bool {
    let all = word.iter().fold(SHORT | LONG, |all, byte| all & CLASS[usize::from(*byte)]);
    is_id(all, word.contains(&b'z'), word.len())
}

/// Short: five digits of microseconds and an inode. Long: six of seconds, four of microseconds, `z`, an inode.
fn is_id(class: u8, separator: bool, length: usize) -> bool {
    (class & SHORT != 0 && length >= 6) || (class & LONG != 0 && separator && length >= 10)
}
