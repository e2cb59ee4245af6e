//! One row of Rspamd's history: no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailcow_status::{model::scan::Checks, parse::rspamd};

fuzz_target!(|json: &str| {
    let _ = rspamd::parse(json, &mut Checks::default());
});
