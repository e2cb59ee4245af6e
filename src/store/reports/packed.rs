//! Sums by source, packed: what makes figures of many records cheap. A report of a hundred records takes about half a
//! kilobyte, and ten thousand such reports are added up in a tenth of a second.
//!
//! Layout: a version byte; the number of IPv4 sources, then each as distance from the one before and its sums; the
//! number of IPv6 sources, then each as 16 bytes and its sums. Sums are one byte that says of the five parts whether
//! they are none, all or a part of the messages, then the messages, then the parts. Numbers are varints (LEB128).

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    model::{
        figures::{ReportState, Sums},
        report::{Evaluation, Record},
    },
    store::{Error, Result},
};

const VERSION: u8 = 1;
/// No record counts more: the column of dmarcts-report-parser holds no more, and sums cannot overflow.
pub const MOST: u64 = u32::MAX as u64;

/// Adds `more` to `sums`.
pub fn add(sums: &mut Sums, more: &Sums) {
    for (sum, more) in [
        (&mut sums.messages, more.messages),
        (&mut sums.dkim, more.dkim),
        (&mut sums.spf, more.spf),
        (&mut sums.aligned, more.aligned),
        (&mut sums.quarantined, more.quarantined),
        (&mut sums.rejected, more.rejected),
    ] {
        *sum = sum.saturating_add(more);
    }
}

/// The sums of one record.
pub fn sums_of(record: &Record) -> Sums {
    let messages = record.count.min(MOST);
    let when = |so: bool| if so { messages } else { 0 };
    Sums {
        messages,
        dkim: when(record.dkim == Evaluation::Pass),
        spf: when(record.spf == Evaluation::Pass),
        aligned: when(record.aligned()),
        quarantined: when(record.disposition == "quarantine"),
        rejected: when(record.disposition == "reject"),
    }
}

/// The sums of all records.
pub fn total(records: &[Record]) -> Sums {
    let mut sums = Sums::default();
    for record in records {
        add(&mut sums, &sums_of(record));
    }
    sums
}

/// The state of a report with these records.
pub fn state(records: &[Record]) -> ReportState {
    let sums = total(records);
    let told = |record: &Record| record.dkim != Evaluation::Unknown || record.spf != Evaluation::Unknown;
    match sums {
        Sums { messages: 0, .. } => ReportState::Other,
        _ if !records.iter().any(told) => ReportState::Other,
        Sums { aligned: 0, .. } => ReportState::Fail,
        Sums { messages, aligned, .. } if aligned == messages => ReportState::Pass,
        _ => ReportState::Mixed,
    }
}

/// Packs the sums of records by source; records without an address are in no source's sums.
pub fn pack(records: &[Record]) -> Vec<u8> {
    let (mut v4, mut v6) = (BTreeMap::<u32, Sums>::new(), BTreeMap::<u128, Sums>::new());
    for record in records {
        match record.source.map(|ip| ip.to_canonical()) {
            Some(IpAddr::V4(ip)) => add(v4.entry(ip.to_bits()).or_default(), &sums_of(record)),
            Some(IpAddr::V6(ip)) => add(v6.entry(ip.to_bits()).or_default(), &sums_of(record)),
            None => {}
        }
    }
    let mut out = vec![VERSION];
    put(&mut out, v4.len() as u64);
    let mut before = 0;
    for (ip, sums) in &v4 {
        put(&mut out, u64::from(ip - before));
        before = *ip;
        put_sums(&mut out, sums);
    }
    put(&mut out, v6.len() as u64);
    for (ip, sums) in &v6 {
        out.extend(ip.to_be_bytes());
        put_sums(&mut out, sums);
    }
    out
}

/// Calls `each` with each source and its sums.
pub fn unpack(bytes: &[u8], each: impl FnMut(IpAddr, &Sums)) -> Result<()> {
    let read = match bytes.split_first() {
        Some((&VERSION, rest)) => read(rest, each),
        _ => None,
    };
    read.ok_or(Error::Damaged("sums of sources that cannot be read"))
}

fn read(bytes: &[u8], mut each: impl FnMut(IpAddr, &Sums)) -> Option<()> {
    let mut rest = bytes;
    let mut ip = 0_u32;
    for _ in 0..take(&mut rest)? {
        ip = ip.checked_add(u32::try_from(take(&mut rest)?).ok()?)?;
        each(IpAddr::V4(Ipv4Addr::from_bits(ip)), &take_sums(&mut rest)?);
    }
    for _ in 0..take(&mut rest)? {
        let (ip, after) = rest.split_first_chunk::<16>()?;
        rest = after;
        each(IpAddr::V6(Ipv6Addr::from(*ip)), &take_sums(&mut rest)?);
    }
    rest.is_empty().then_some(())
}

pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(super) fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

pub(super) fn put_sums(out: &mut Vec<u8>, sums: &Sums) {
    let parts = [sums.dkim, sums.spf, sums.aligned, sums.quarantined, sums.rejected];
    let share = |part: u64| match part {
        0 => 0,
        part if part == sums.messages => 1,
        _ => 2,
    };
    out.push(parts.iter().rev().fold(0, |shape, part| shape * 3 + share(*part)));
    put(out, sums.messages);
    for part in parts.into_iter().filter(|part| share(*part) == 2) {
        put(out, part);
    }
}

pub(super) fn take_sums(rest: &mut &[u8]) -> Option<Sums> {
    let (shape, after) = rest.split_first()?;
    *rest = after;
    let mut shape = *shape;
    let messages = take(rest)?;
    let mut part = || {
        let share = shape % 3;
        shape /= 3;
        match share {
            0 => Some(0),
            1 => Some(messages),
            _ => take(rest),
        }
    };
    let (dkim, spf, aligned, quarantined, rejected) = (part()?, part()?, part()?, part()?, part()?);
    Some(Sums { messages, dkim, spf, aligned, quarantined, rejected })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> impl Strategy<Value = Record> {
        let ip = prop_oneof![
            any::<u32>().prop_map(|bits| Some(IpAddr::V4(Ipv4Addr::from_bits(bits % 9)))),
            any::<u32>().prop_map(|bits| Some(IpAddr::V4(Ipv4Addr::from_bits(bits)))),
            any::<u128>().prop_map(|bits| Some(IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical())),
            Just(None),
        ];
        let word = prop::sample::select(vec!["pass", "fail", "other"]);
        let done = prop::sample::select(vec!["none", "quarantine", "reject", "odd"]);
        (ip, prop_oneof![0_u64..300, any::<u64>()], word.clone(), word, done).prop_map(
            |(source, count, dkim, spf, disposition)| Record {
                source,
                source_text: None,
                count,
                disposition: disposition.to_owned(),
                dkim: Evaluation::from_code(dkim),
                spf: Evaluation::from_code(spf),
                reasons: Vec::new(),
                header_from: String::new(),
                envelope_from: None,
                envelope_to: None,
                dkim_results: Vec::new(),
                spf_results: Vec::new(),
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_back(records in prop::collection::vec(record(), 0..40)) {
            let mut wanted = BTreeMap::<IpAddr, Sums>::new();
            for record in &records {
                if let Some(ip) = record.source {
                    add(wanted.entry(ip).or_default(), &sums_of(record));
                }
            }
            let mut found = BTreeMap::new();
            unpack(&pack(&records), |ip, sums| assert!(found.insert(ip, *sums).is_none())).unwrap();
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn damage_is_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = unpack(&[&[VERSION], bytes.as_slice()].concat(), |_, _| {});
            let other = unpack(&[&[9], bytes.as_slice()].concat(), |_, _| {});
            prop_assert!(other.is_err());
        }
    }
}
