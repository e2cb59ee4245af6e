//! One answer of a log route: no panic, it means the same however it is cut, and every row is accounted for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mailcow_status::{
    model::scan::Checks,
    parse::{api, rspamd},
};

fn read(body: &[u8], length: usize) -> (usize, Result<api::Ending, api::BodyError>) {
    let (mut rows, mut reader, mut checks) = (0, api::Reader::default(), Checks::default());
    let mut state = Ok(());
    for piece in body.chunks(length) {
        state = state.and_then(|()| {
            reader.push(piece, |row| {
                rows += 1;
                let _ = rspamd::parse(row, &mut checks);
                api::Line::read(row).is_ok()
            })
        });
    }
    (rows, state.and_then(|()| reader.end()))
}

fuzz_target!(|body: &[u8]| {
    let (rows, whole) = read(body, usize::MAX);
    assert_eq!(whole, read(body, 3).1);
    if let Ok(ending) = whole {
        assert_eq!(rows, ending.rows + ending.bad);
    }
});
