//! Repetitions that rsyslog folds into one line: `message repeated 3 times: [ TEXT]` (its setting
//! `$RepeatedMsgReduction`).

use crate::model::event::LogLine;

/// No more lines than this come of one: what a damaged number can cost.
const MOST: usize = 10_000;

/// The line, as often as it was written.
pub fn unfolded(line: LogLine<'_>) -> impl Iterator<Item = LogLine<'_>> {
    let (times, text) = times(line.text).unwrap_or((1, line.text));
    std::iter::repeat_n(LogLine { text, ..line }, times)
}

/// How often which text was written.
fn times(text: &str) -> Option<(usize, &str)> {
    let (number, rest) = text.strip_prefix("message repeated ")?.split_once(' ')?;
    let text = rest.strip_prefix("times: [")?.strip_suffix(']')?;
    let times = number.parse().ok().filter(|times| (1..=MOST).contains(times))?;
    Some((times, text.strip_prefix(' ').unwrap_or(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Millis;

    #[test]
    fn a_repeated_line_counts_as_often_as_it_was_written() {
        for (text, times, expected) in [
            ("message repeated 3 times: [ 4E74613FE70: removed]", 3, "4E74613FE70: removed"),
            ("message repeated 2 times: [a [b]]", 2, "a [b]"),
            ("message repeated 0 times: [ a]", 1, "message repeated 0 times: [ a]"),
            ("message repeated 10001 times: [ a]", 1, "message repeated 10001 times: [ a]"),
            (
                "message repeated 99999999999999999999 times: [ a]",
                1,
                "message repeated 99999999999999999999 times: [ a]",
            ),
            ("message repeated 3 times: [ a", 1, "message repeated 3 times: [ a"),
            ("message repeated", 1, "message repeated"),
            ("4E74613FE70: removed", 1, "4E74613FE70: removed"),
        ] {
            let line = LogLine { at: Millis(5), program: "postfix/qmgr", text };
            let all: Vec<_> = unfolded(line).collect();
            assert_eq!(all, vec![LogLine { text: expected, ..line }; times], "{text}");
        }
    }
}
