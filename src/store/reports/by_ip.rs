//! Something for each source. Keys of families by themselves and a short hash: a million sightings are gathered in a
//! hundredth of a second, in the memory of as many sources as there are.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// A map by address; IPv4 written as IPv6 is IPv4.
#[derive(Debug)]
pub struct ByIp<T> {
    v4: HashMap<u32, T, Mix>,
    v6: HashMap<u128, T, Mix>,
}

impl<T> Default for ByIp<T> {
    fn default() -> Self {
        let mix = Mix(RandomState::new().hash_one(0));
        Self { v4: HashMap::with_hasher(mix), v6: HashMap::with_hasher(mix) }
    }
}

impl<T> ByIp<T> {
    /// What is there for an address, or what `fresh` puts there.
    pub fn entry(&mut self, ip: IpAddr, fresh: impl FnOnce() -> T) -> &mut T {
        match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.entry(ip.to_bits()).or_insert_with(fresh),
            IpAddr::V6(ip) => self.v6.entry(ip.to_bits()).or_insert_with(fresh),
        }
    }

    /// What is there for an address.
    pub fn find(&mut self, ip: IpAddr) -> Option<&mut T> {
        match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.get_mut(&ip.to_bits()),
            IpAddr::V6(ip) => self.v6.get_mut(&ip.to_bits()),
        }
    }

    /// All, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, &T)> {
        let v4 = self.v4.iter().map(|(ip, it)| (Ipv4Addr::from_bits(*ip).into(), it));
        v4.chain(self.v6.iter().map(|(ip, it)| (Ipv6Addr::from_bits(*ip).into(), it)))
    }
}

/// Begins hashes with a number that nobody knows: addresses come from strangers, who could choose such that collide.
#[derive(Debug, Clone, Copy)]
struct Mix(u64);

impl BuildHasher for Mix {
    type Hasher = Mixed;

    fn build_hasher(&self) -> Mixed {
        Mixed(self.0)
    }
}

struct Mixed(u64);

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    /// Multiplies and folds the halves of the product together.
    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }

    fn write_u128(&mut self, number: u128) {
        self.write_u64(number as u64);
        self.write_u64((number >> 64) as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_kept_apart_and_one_address_is_one() {
        let mut all: ByIp<u32> = ByIp::default();
        for ip in ["192.0.2.1", "::ffff:192.0.2.1", "::c000:201", "2001:db8::1", "2001:db8::1"] {
            *all.entry(ip.parse().unwrap(), || 0) += 1;
        }
        let mut found: Vec<(String, u32)> = all.iter().map(|(ip, count)| (ip.to_string(), *count)).collect();
        found.sort();
        let text = |(ip, count): (&str, u32)| (ip.to_owned(), count);
        assert_eq!(found, [("192.0.2.1", 2), ("2001:db8::1", 2), ("::c000:201", 1)].map(text));
        assert_eq!(all.find("::ffff:c000:201".parse().unwrap()), Some(&mut 2));
        assert_eq!(all.find("192.0.2.2".parse().unwrap()), None);
    }
}
