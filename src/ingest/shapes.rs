//! Shapes of lines that no rule knows: numbers, ids and addresses blotted out, so that equal kinds count
//! together and nothing personal is kept.

/// Longest shape kept, in characters: fits the key of both engines.
const LENGTH: usize = 120;

/// The shape of a line: words that hold an address, a digit or an angle bracket become `…`.
pub fn shape(text: &str) -> String {
    let mut shape = String::new();
    for word in text.split_whitespace().take(24) {
        let telling =
            word.contains(['@', '<', '>', '[', '=']) || word.bytes().any(|byte| byte.is_ascii_digit());
        let word = if telling { "…" } else { word };
        if telling && shape.ends_with('…') {
            continue;
        }
        if !shape.is_empty() {
            shape.push(' ');
        }
        shape.push_str(word);
    }
    shape.chars().take(LENGTH).collect()
}

/// The line with addresses blotted out, to be shown as an example.
pub fn example(text: &str) -> String {
    let words = text.split_whitespace().map(|word| if word.contains('@') { "…@…" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_hide_what_differs_and_who_is_meant() {
        let text = "4ABC: strange thing with ann@alpha.test happened 17 times";
        assert_eq!(shape(text), "… strange thing with … happened … times");
        assert!(!example(text).contains("ann"));
        assert!(shape(&"word ".repeat(500)).chars().count() <= LENGTH);
    }
}
