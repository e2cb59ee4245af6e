//! What figures take of the reports of one domain in one month, in two parts: a fact of each report, and all sightings
//! of sources. Figures are folds of digests.
//!
//! Layout of facts: a version byte, then one after the other in postcard. Layout of sightings: a version byte; the
//! number of different begins, then each as distance from the one before; the number of sightings that are handed on, then
//! each as length of the address and the address, place of the begin, both numbers; the number of IPv4 sightings, then each as
//! distance from the address before, place of the begin, sums; the number of IPv6 sightings, then each as 0 for the
//! address before or 1 and 16 bytes, place of the begin, sums. Numbers and sums are those of `packed`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::packed::{self, put, put_sums, take, take_sums};
use crate::{
    model::figures::{Handed, Sums},
    store::{Error, Result},
};

const VERSION: u8 = 2;

/// What figures take of a report, but for its sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact<'a> {
    /// Begin of the span, in milliseconds.
    pub begin: i64,
    /// Its number.
    pub serial: i64,
    /// Receiver.
    pub org: &'a str,
    /// Policy for the domain.
    pub p: &'a str,
    /// Policy for subdomains.
    pub sp: Option<&'a str>,
    /// Of a hundred mails.
    pub pct: Option<i64>,
    /// Whether the policy is only tested: `y` or `n`.
    pub testing: Option<&'a str>,
    /// Whether its sender is disproven: then it does not count.
    pub failed: bool,
    /// Sums of its records.
    pub sums: Sums,
}

/// Of which reports something was worked out: nothing else has the same count and stamp.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// How many.
    pub reports: i64,
    /// Sum of their stamps.
    pub stamp: i64,
    /// The highest serial.
    pub last: i64,
}

impl Extent {
    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            reports: self.reports + other.reports,
            stamp: self.stamp + other.stamp,
            last: self.last.max(other.last),
        }
    }

    /// Whether it is the state of a month or of a domain: count and stamp of all reports that are there.
    pub fn is(self, (reports, stamp): (i64, i64)) -> bool {
        (self.reports, self.stamp) == (reports, stamp)
    }
}

/// A digest in the making.
#[derive(Debug)]
pub struct Digest {
    /// Reports that are in it.
    pub extent: Extent,
    facts: Vec<u8>,
    v4: Vec<(u32, i64, Sums)>,
    v6: Vec<(u128, i64, Sums)>,
    handed: Vec<(IpAddr, i64, Handed)>,
}

impl Default for Digest {
    fn default() -> Self {
        Self {
            extent: Extent::default(),
            facts: vec![VERSION],
            v4: Vec::new(),
            v6: Vec::new(),
            handed: Vec::new(),
        }
    }
}

impl Digest {
    /// The digest that has these parts.
    pub fn of(extent: Extent, facts: Vec<u8>, parts: &[u8]) -> Result<Self> {
        let mut digest = Self { extent, facts, ..Self::default() };
        handed(parts, |ip, begin, handed| digest.handed.push((ip, begin, *handed)))?;
        sightings(parts, |ip, begin, sums| digest.see(ip, begin, sums))?;
        Ok(digest)
    }

    fn see(&mut self, ip: IpAddr, begin: i64, sums: &Sums) {
        match ip {
            IpAddr::V4(ip) => self.v4.push((ip.to_bits(), begin, *sums)),
            IpAddr::V6(ip) => self.v6.push((ip.to_bits(), begin, *sums)),
        }
    }

    /// Both together: those of other reports.
    pub fn and(mut self, mut other: Self) -> Self {
        self.extent = self.extent.and(other.extent);
        self.facts.extend(other.facts.get(1..).unwrap_or_default());
        self.v4.append(&mut other.v4);
        self.v6.append(&mut other.v6);
        self.handed.append(&mut other.handed);
        self
    }

    /// Address and begin of each sighting.
    pub fn seen(&self) -> impl Iterator<Item = (IpAddr, i64)> {
        let v4 = self.v4.iter().map(|(ip, begin, _)| (Ipv4Addr::from_bits(*ip).into(), *begin));
        v4.chain(self.v6.iter().map(|(ip, begin, _)| (Ipv6Addr::from_bits(*ip).into(), *begin)))
    }

    /// Adds a report with its stamp and its packed sums by source.
    pub fn add(&mut self, fact: &Fact<'_>, stamp: i64, sources: &[u8]) -> Result<()> {
        self.extent = self.extent.and(Extent { reports: 1, stamp, last: fact.serial });
        let facts = std::mem::take(&mut self.facts);
        self.facts = postcard::to_extend(fact, facts).map_err(|_| Error::Damaged("a report's figures"))?;
        if fact.failed {
            return Ok(());
        }
        let mut handed = packed::unpack_handed(sources)?.into_iter().peekable();
        let mut place = 0;
        packed::unpack(sources, |ip, sums| {
            self.see(ip, fact.begin, sums);
            if let Some((_, handed)) = handed.next_if(|(at, _)| *at == place) {
                self.handed.push((ip, fact.begin, handed));
            }
            place += 1;
        })
    }

    /// Both parts: facts, sightings.
    pub fn parts(self) -> (Vec<u8>, Vec<u8>) {
        let begins = self.v4.iter().map(|it| it.1).chain(self.v6.iter().map(|it| it.1));
        let mut begins: Vec<i64> = begins.collect();
        begins.sort_unstable();
        begins.dedup();
        let mut out = vec![VERSION];
        put(&mut out, begins.len() as u64);
        let mut before = 0;
        for begin in &begins {
            put(&mut out, begin.wrapping_sub(before).cast_unsigned());
            before = *begin;
        }
        let place = |begin: i64| begins.partition_point(|known| *known < begin) as u64;
        put(&mut out, self.handed.len() as u64);
        for (ip, begin, Handed { told, own }) in self.handed {
            match ip {
                IpAddr::V4(ip) => out.extend([4].into_iter().chain(ip.octets())),
                IpAddr::V6(ip) => out.extend([16].into_iter().chain(ip.octets())),
            }
            for number in [place(begin), told, own] {
                put(&mut out, number);
            }
        }
        let v4 = merged(self.v4);
        put(&mut out, v4.len() as u64);
        let mut before = 0;
        for (ip, begin, sums) in v4 {
            put(&mut out, u64::from(ip - before));
            before = ip;
            put(&mut out, place(begin));
            put_sums(&mut out, &sums);
        }
        let v6 = merged(self.v6);
        put(&mut out, v6.len() as u64);
        let mut before = None;
        for (ip, begin, sums) in v6 {
            if before == Some(ip) {
                out.push(0);
            } else {
                out.push(1);
                out.extend(ip.to_be_bytes());
            }
            before = Some(ip);
            put(&mut out, place(begin));
            put_sums(&mut out, &sums);
        }
        (self.facts, out)
    }
}

/// One sighting for each source and begin, in order.
fn merged<K: Ord + Copy>(mut all: Vec<(K, i64, Sums)>) -> Vec<(K, i64, Sums)> {
    all.sort_unstable_by_key(|(ip, begin, _)| (*ip, *begin));
    all.dedup_by(|next, kept| {
        let same = (next.0, next.1) == (kept.0, kept.1);
        if same {
            packed::add(&mut kept.2, &next.2);
        }
        same
    });
    all
}

/// Calls `each` with the fact of each report.
pub fn facts<'a>(bytes: &'a [u8], mut each: impl FnMut(Fact<'a>)) -> Result<()> {
    let damaged = || Error::Damaged("facts of reports that cannot be read");
    let mut rest = bytes.strip_prefix(&[VERSION]).ok_or_else(damaged)?;
    while !rest.is_empty() {
        let (fact, after) = postcard::take_from_bytes(rest).map_err(|_| damaged())?;
        each(fact);
        rest = after;
    }
    Ok(())
}

/// Calls `each` with address, begin and sums of each sighting.
pub fn sightings(bytes: &[u8], each: impl FnMut(IpAddr, i64, &Sums)) -> Result<()> {
    let mut rest = bytes.strip_prefix(&[VERSION]).unwrap_or_default();
    let begins = read_handed(&mut rest, |_, _, _| ());
    let read = begins.and_then(|begins| read_sightings(rest, &begins, each));
    read.ok_or(Error::Damaged("sightings of sources that cannot be read"))
}

/// Calls `each` with address, begin and numbers of each sighting that is handed on.
pub fn handed(bytes: &[u8], each: impl FnMut(IpAddr, i64, &Handed)) -> Result<()> {
    let mut rest = bytes.strip_prefix(&[VERSION]).unwrap_or_default();
    let read = read_handed(&mut rest, each).map(drop);
    read.ok_or(Error::Damaged("sightings of sources that cannot be read"))
}

/// Reads what stands in front of all sightings; answers the begins.
fn read_handed(rest: &mut &[u8], mut each: impl FnMut(IpAddr, i64, &Handed)) -> Option<Vec<i64>> {
    let mut begins: Vec<i64> = Vec::new();
    let mut begin = 0_i64;
    for _ in 0..take(rest)? {
        begin = begin.wrapping_add(take(rest)?.cast_signed());
        begins.push(begin);
    }
    for _ in 0..take(rest)? {
        let (length, after) = rest.split_first()?;
        let (octets, after) = after.split_at_checked((*length).into())?;
        *rest = after;
        let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
        let ip = v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()?;
        let begin = begins.get(usize::try_from(take(rest)?).ok()?)?;
        each(ip, *begin, &Handed { told: take(rest)?, own: take(rest)? });
    }
    Some(begins)
}

fn read_sightings(mut rest: &[u8], begins: &[i64], mut each: impl FnMut(IpAddr, i64, &Sums)) -> Option<()> {
    let at = |rest: &mut &[u8]| begins.get(usize::try_from(take(rest)?).ok()?).copied();
    let mut ip = 0_u32;
    for _ in 0..take(&mut rest)? {
        ip = ip.checked_add(u32::try_from(take(&mut rest)?).ok()?)?;
        let begin = at(&mut rest)?;
        each(IpAddr::V4(Ipv4Addr::from_bits(ip)), begin, &take_sums(&mut rest)?);
    }
    let mut ip = Ipv6Addr::UNSPECIFIED;
    for _ in 0..take(&mut rest)? {
        let (other, after) = rest.split_first()?;
        rest = after;
        if *other == 1 {
            let (octets, after) = rest.split_first_chunk::<16>()?;
            (ip, rest) = (Ipv6Addr::from(*octets), after);
        }
        let begin = at(&mut rest)?;
        each(IpAddr::V6(ip), begin, &take_sums(&mut rest)?);
    }
    rest.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn damage_is_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            for bytes in [[&[VERSION], bytes.as_slice()].concat(), [&[9], bytes.as_slice()].concat(), bytes] {
                let read = [facts(&bytes, |_| ()), sightings(&bytes, |_, _, _| ()), handed(&bytes, |_, _, _| ())];
                prop_assert!(bytes.first() == Some(&VERSION) || read.iter().all(Result::is_err));
            }
        }
    }
}
