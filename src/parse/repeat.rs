//! Repetitions that rsyslog folds into one line: `message repeated 3 times: [ TEXT]` (its setting
//! `$RepeatedMsgReduction`).

use crate::model::event::LogLine;

/// No more lines than this come of one: what a damaged number can cost.
const MOST: usize = 10_000;

/// Nor more bytes than this: who keeps the lines, copies them.
const MOST_BYTES: usize = 4 << 20;

/// The line, as often as it was written.
pub fn unfolded(line: LogLine<'_>) -> impl Iterator<Item = LogLine<'_>> {
    let fits = |(times, text): &(usize, &str)| times * (line.program.len() + text.len()) <= MOST_BYTES;
    let (times, text) = times(line.text).filter(fits).unwrap_or((1, line.text));
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

    #[test]
    fn a_damaged_number_costs_no_more_memory_than_a_few_batches() {
        let count = |program: &str, length: usize| {
            let text = format!("message repeated 10000 times: [ {}]", "x".repeat(length));
            unfolded(LogLine { at: Millis(5), program, text: &text }).count()
        };
        assert_eq!((count("postfix/smtpd", 400), count("postfix/smtpd", 60_000)), (10_000, 1));
        assert_eq!(count(&"p".repeat(60_000), 1), 1);
    }
}
