//! The text of a TLS report: no panic, and what is taken has what a report cannot do without.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailcow_status::parse::report::{Parsed, read};

fuzz_target!(|bytes: &[u8]| {
    let document = [b"{\"date-range\":", bytes].concat();
    for document in [bytes, &document] {
        if let Ok(Parsed::Tls(report)) = read(document) {
            assert!(!report.report_id.is_empty() && !report.policies.is_empty());
            assert!(report.policies.iter().all(|policy| !policy.domain.is_empty()));
        }
    }
});
