//! One answer of a log route: no panic, both readers agree on whether it is a list, and every row is accounted for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailcow_status::parse::{api, rspamd};

fuzz_target!(|body: &[u8]| {
    let (rows, lines) = (api::rows(body), api::postfix_lines(body));
    if let (Ok(rows), Ok(lines)) = (&rows, &lines) {
        assert_eq!(rows.rows.len() + rows.bad.len(), lines.rows.len() + lines.bad.len());
    }
    for row in rows.iter().flat_map(|answer| &answer.rows) {
        let _ = rspamd::parse_raw(row);
    }
});
