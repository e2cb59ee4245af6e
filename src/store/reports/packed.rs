//! Sums by source, packed: what makes figures of many records cheap. A report of a hundred records takes about half a
//! kilobyte, and ten thousand such reports are added up in a tenth of a second.
//!
//! Layout: a version byte; the number of IPv4 sources, then each as distance from the one before and its sums; the
//! number of IPv6 sources, then each as 16 bytes and its sums; the number of sources that hand on, then each as its place
//! among all and its two numbers (version 1 ends before these). Sums are one byte that says of the five parts whether
//! they are none, all or a part of the messages, then the messages, then the parts. Numbers are varints (LEB128).

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{
    model::{
        figures::{Handed, ReportState, Sums},
        report::{Evaluation, Reason, Record},
    },
    store::{Error, Result},
};

const VERSION: u8 = 2;
/// The version that does not tell what is handed on.
const PLAIN: u8 = 1;
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

/// What of a record a mailing list or a forwarder seems to have handed on.
pub fn handed_of(record: &Record) -> Handed {
    let messages = record.count.min(MOST);
    let told = |reason: &Reason| match reason.kind.as_str() {
        "forwarded" | "mailing_list" | "trusted_forwarder" => true,
        "local_policy" => reason.comment.as_deref().is_some_and(|words| words.contains("arc=pass")),
        _ => false,
    };
    if record.aligned() {
        Handed::default()
    } else if record.reasons.iter().any(told) {
        Handed { told: messages, own: 0 }
    } else if has_own_name(record) {
        Handed { told: 0, own: messages }
    } else {
        Handed::default()
    }
}

/// Whether SPF and DKIM both prove one name, or a name and one below it, that is not the domain's own.
fn has_own_name(record: &Record) -> bool {
    let below = |name: &str, other: &str| name.strip_suffix(other).is_some_and(|rest| rest.ends_with('.'));
    let one = |name: &str, other: &str| {
        !name.is_empty() && (name == other || below(name, other) || below(other, name))
    };
    let spf = || record.spf_results.iter().filter(|result| result.result == "pass");
    let mut dkim = record.dkim_results.iter().filter(|result| result.result == "pass");
    dkim.any(|signed| {
        !one(&signed.domain, &record.header_from) && spf().any(|sent| one(&signed.domain, &sent.domain))
    })
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
    let mut handed = BTreeMap::<IpAddr, Handed>::new();
    for record in records {
        match record.source.map(|ip| ip.to_canonical()) {
            Some(IpAddr::V4(ip)) => add(v4.entry(ip.to_bits()).or_default(), &sums_of(record)),
            Some(IpAddr::V6(ip)) => add(v6.entry(ip.to_bits()).or_default(), &sums_of(record)),
            None => {}
        }
        let own = handed_of(record);
        if let Some(ip) = record.source.filter(|_| own.all() > 0) {
            handed.entry(ip.to_canonical()).or_default().add(&own);
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
    put(&mut out, handed.len() as u64);
    // In the order of the sources: IPv4 first, each by address.
    for (ip, Handed { told, own }) in handed {
        let place = match ip {
            IpAddr::V4(ip) => v4.range(..ip.to_bits()).count(),
            IpAddr::V6(ip) => v4.len() + v6.range(..ip.to_bits()).count(),
        };
        for number in [place as u64, told, own] {
            put(&mut out, number);
        }
    }
    out
}

/// Calls `each` with each source and its sums.
pub fn unpack(bytes: &[u8], each: impl FnMut(IpAddr, &Sums)) -> Result<()> {
    let read = bytes.split_first().and_then(|(version, mut rest)| {
        read(&mut rest, each)?;
        match *version {
            PLAIN => rest.is_empty().then_some(()),
            VERSION => read_handed(&mut rest).map(drop),
            _ => None,
        }
    });
    read.ok_or(Error::Damaged("sums of sources that cannot be read"))
}

/// The sources that hand on, with what they do, by their place among all.
pub fn unpack_handed(bytes: &[u8]) -> Result<Vec<(u64, Handed)>> {
    let read = match bytes.split_first() {
        Some((&PLAIN, _)) => Some(Vec::new()),
        Some((&VERSION, mut rest)) => read(&mut rest, |_, _| ()).and_then(|()| read_handed(&mut rest)),
        _ => None,
    };
    read.ok_or(Error::Damaged("sums of sources that cannot be read"))
}

fn read_handed(rest: &mut &[u8]) -> Option<Vec<(u64, Handed)>> {
    let mut handed = Vec::new();
    for _ in 0..take(rest)? {
        handed.push((take(rest)?, Handed { told: take(rest)?, own: take(rest)? }));
    }
    rest.is_empty().then_some(handed)
}

fn read(rest: &mut &[u8], mut each: impl FnMut(IpAddr, &Sums)) -> Option<()> {
    let mut ip = 0_u32;
    for _ in 0..take(rest)? {
        ip = ip.checked_add(u32::try_from(take(rest)?).ok()?)?;
        each(IpAddr::V4(Ipv4Addr::from_bits(ip)), &take_sums(rest)?);
    }
    for _ in 0..take(rest)? {
        let (ip, after) = rest.split_first_chunk::<16>()?;
        *rest = after;
        each(IpAddr::V6(Ipv6Addr::from(*ip)), &take_sums(rest)?);
    }
    Some(())
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
    use crate::model::report::{DkimResult, SpfResult};

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
                count,
                disposition: disposition.to_owned(),
                dkim: Evaluation::from_code(dkim),
                spf: Evaluation::from_code(spf),
                ..Record::default()
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
            let _ = unpack_handed(&[&[VERSION], bytes.as_slice()].concat());
            let other = unpack(&[&[9], bytes.as_slice()].concat(), |_, _| {});
            prop_assert!(other.is_err());
        }
    }

    fn failing(ip: &str, count: u64, reason: Option<(&str, Option<&str>)>, names: [&str; 2]) -> Record {
        let [spf, dkim] = names;
        Record {
            source: ip.parse().ok(),
            count,
            reasons: reason
                .map(|(kind, comment)| Reason { kind: kind.to_owned(), comment: comment.map(str::to_owned) })
                .into_iter()
                .collect(),
            dkim: Evaluation::Fail,
            spf: Evaluation::Fail,
            dkim_results: vec![DkimResult {
                domain: dkim.to_owned(),
                result: "pass".to_owned(),
                ..DkimResult::default()
            }],
            spf_results: vec![SpfResult {
                domain: spf.to_owned(),
                result: "pass".to_owned(),
                ..SpfResult::default()
            }],
            ..Record::default()
        }
    }

    #[test]
    fn what_is_handed_on_is_known_by_the_receivers_words_or_by_a_name_of_its_own() {
        let own = ["bounces.lists.test", "lists.test"];
        let handed = |reason, names| handed_of(&failing("192.0.2.1", 5, reason, names));
        for kind in ["forwarded", "mailing_list", "trusted_forwarder"] {
            assert_eq!(handed(Some((kind, None)), ["", ""]), Handed { told: 5, own: 0 }, "{kind}");
        }
        assert_eq!(handed(Some(("local_policy", Some("arc=pass as.1.d=lists.test"))), ["", ""]).told, 5);
        for reason in [None, Some(("local_policy", Some("arc=fail"))), Some(("sampled_out", None))] {
            assert_eq!(handed(reason, own), Handed { told: 0, own: 5 }, "{reason:?}");
            assert_eq!(handed(reason, ["lists.test", "other.test"]), Handed::default());
            assert_eq!(handed(reason, ["notlists.test", "lists.test"]), Handed::default());
            assert_eq!(handed(reason, ["", ""]), Handed::default());
        }
        let strict = Record { header_from: "lists.test".to_owned(), ..failing("192.0.2.1", 5, None, own) };
        assert_eq!(
            handed_of(&strict),
            Handed::default(),
            "the domain's own name, which strict alignment refuses"
        );
        let passed =
            Record { spf: Evaluation::Pass, ..failing("192.0.2.1", 5, Some(("forwarded", None)), own) };
        assert_eq!(handed_of(&passed), Handed::default(), "it needs no excuse");
    }

    #[test]
    fn who_hands_on_is_found_again_and_old_sums_tell_of_nobody() {
        let records = [
            failing("2001:db8::1", 3, None, ["lists.test", "lists.test"]),
            failing("192.0.2.9", 4, Some(("forwarded", None)), ["", ""]),
            failing("192.0.2.1", 7, None, ["", ""]),
            failing("192.0.2.9", 2, None, ["lists.test", "lists.test"]),
        ];
        let packed = pack(&records);
        let wanted = vec![(1, Handed { told: 4, own: 2 }), (2, Handed { told: 0, own: 3 })];
        assert_eq!(unpack_handed(&packed).unwrap(), wanted);
        let mut old = pack(&records[2..3]);
        assert_eq!((old[0], old.pop()), (VERSION, Some(0)));
        old[0] = PLAIN;
        let mut count = 0;
        unpack(&old, |_, _| count += 1).unwrap();
        assert_eq!((count, unpack_handed(&old).unwrap()), (1, Vec::new()));
    }
}
