//! An input of any kind: no panic, no more memory than the limits allow, and either a document or a reason.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailcow_status::parse::{
    attachment::{Limits, unpack},
    envelope, report,
};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { output: 4 << 20, ..Limits::default() };
    let found = unpack(bytes, None, &limits);
    assert!(!found.documents.is_empty() || !found.refused.is_empty());
    // A document may be a piece of the input itself, which is not counted.
    let all: usize = found.documents.iter().map(|document| document.bytes.len()).sum();
    assert!(all <= limits.output + bytes.len());
    for document in &found.documents {
        let _ = report::read(&document.bytes);
    }
    let _ = envelope::look(bytes);
});
