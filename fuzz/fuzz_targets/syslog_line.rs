//! Some lines of one file: no panic, and a line's time is never more than a day after the reference.
#![no_main]

use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use mailcow_status::{
    model::time::Millis,
    parse::{lines::Lines, postfix, syslog},
};

const NOW: Millis = Millis(1_795_257_000_000);

fuzz_target!(|data: &[u8]| {
    let mut clock = syslog::YearGuess::new(TimeZone::UTC, NOW);
    let mut lines = Lines::new(data);
    while let Ok(Some(line)) = lines.next_line() {
        let text = syslog::text(line.bytes);
        if let Some(line) = syslog::parse_line(&text, &mut clock) {
            let old = text.starts_with(|first: char| first.is_ascii_uppercase());
            assert!(!old || line.at.0 <= NOW.0 + 86_400_000 + 60_000);
            postfix::parse(line.program, line.text);
        }
    }
    assert_eq!(lines.bytes(), data.len() as u64);
});
