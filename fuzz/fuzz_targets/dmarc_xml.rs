//! The text of an aggregate report: no panic, and what is taken has what a report cannot do without.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailcow_status::parse::report::{Parsed, read};

fuzz_target!(|bytes: &[u8]| {
    let document = [b"<feedback>", bytes].concat();
    for document in [bytes, &document] {
        if let Ok(Parsed::Aggregate(report)) = read(document) {
            assert!(!report.policy.domain.is_empty() && !report.report_id.is_empty());
            assert!(report.records.iter().all(|record| record.count <= u64::from(u32::MAX)));
        }
    }
});
