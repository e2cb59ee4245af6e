//! How often one address may ask. Counted by class, a whole /64 of IPv6 as one address, in bounded memory.
//!
//! Each address has a store of requests that fills up again with time (GCRA, as ATM Forum TM 4.0 describes it): one
//! moment per address says when its store will be full. Own code, because a guess must be weighed and counted in one
//! step, and because tests move the clock.

use std::{
    array,
    collections::HashMap,
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::client::Client;
use crate::model::time::Millis;

/// Addresses that are remembered in each class. Beyond, those that asked least are forgotten.
const MOST: usize = 4096;

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Signing in.
    SignIn,
    /// Images of open tracking.
    Pixel,
    /// `/cron/…` with the right key, and the list for Rspamd.
    Cron,
    /// `/metrics`, `/api/metrics` and `/api/collector`.
    Api,
    /// Lists as files: mails, the access log.
    Export,
    /// The public page.
    Public,
    /// Wrong keys.
    Guess,
}

/// How many at once, and the pause after which one more is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// At once.
    pub burst: u32,
    /// Then one each.
    pub pause: Duration,
}

impl Class {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 7] =
        [Self::SignIn, Self::Pixel, Self::Cron, Self::Api, Self::Export, Self::Public, Self::Guess];

    /// The word in the database and in text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Pixel => "pixel",
            Self::Cron => "cron",
            Self::Api => "api",
            Self::Export => "export",
            Self::Public => "public",
            Self::Guess => "guess",
        }
    }

    /// What one address may ask. Offices and image services share one, so the figures are generous but for guesses.
    pub const fn quota(self) -> Quota {
        let (burst, pause) = match self {
            Self::SignIn => (60, Duration::from_secs(1)),
            Self::Pixel => (600, Duration::from_millis(100)),
            Self::Cron => (30, Duration::from_secs(2)),
            Self::Api => (60, Duration::from_secs(1)),
            Self::Export => (60, Duration::from_secs(1)),
            Self::Public => (60, Duration::from_secs(1)),
            Self::Guess => (10, Duration::from_secs(30)),
        };
        Quota { burst, pause }
    }
}

/// The counts of all classes since the start of this process.
pub struct Limits([Counter; Class::ALL.len()]);

#[derive(Default)]
struct Counter {
    /// When the store of each address will be full.
    full_at: Mutex<HashMap<Client, Millis>>,
    refused: AtomicU64,
}

impl Default for Limits {
    fn default() -> Self {
        Self(array::from_fn(|_| Counter::default()))
    }
}

impl Limits {
    /// Counts a request; an error says when the next one is allowed.
    pub fn admit(&self, class: Class, client: Client, now: Millis) -> Result<(), Duration> {
        self.take(class, client, 1, now)
    }

    /// Takes a key's word: a wrong one is counted, and after too many of them no key opens anything for a while, so
    /// that guessing on is in vain. Addresses that sent none are not concerned.
    pub fn weigh(&self, client: Client, right: bool, now: Millis) -> Result<(), Duration> {
        self.take(Class::Guess, client, u32::from(!right), now)
    }

    /// Requests that were refused.
    pub fn refused(&self, class: Class) -> u64 {
        self.counter(class).map_or(0, |counter| counter.refused.load(Ordering::Relaxed))
    }

    fn counter(&self, class: Class) -> Option<&Counter> {
        self.0.get(class as usize)
    }

    fn take(&self, class: Class, client: Client, count: u32, now: Millis) -> Result<(), Duration> {
        let Some(counter) = self.counter(class) else { return Ok(()) };
        let Quota { burst, pause } = class.quota();
        let mut stores = counter.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let network = network(client);
        let empty = now.plus(pause * burst);
        if let Some(full_at) = stores.get_mut(&network) {
            // A clock that was set back makes nobody wait longer than from an empty store.
            *full_at = (*full_at).min(empty);
        }
        let full_at = stores.get(&network).copied().unwrap_or(now).max(now);
        // Room for one is asked for also where nothing is taken.
        let latest = now.plus(pause * (burst - 1));
        if full_at > latest {
            counter.refused.fetch_add(1, Ordering::Relaxed);
            return Err(full_at.since(latest));
        }
        if count > 0 {
            make_room(&mut stores, network, now);
            stores.insert(network, full_at.plus(pause * count));
        }
        Ok(())
    }
}

fn network(client: Client) -> Client {
    match client {
        Client::At(IpAddr::V6(ip)) => Client::At(IpAddr::V6((u128::from(ip) >> 64 << 64).into())),
        Client::At(IpAddr::V4(_)) | Client::Unknown => client,
    }
}

/// Forgets those whose store is full, and where that is not enough the half that asked least: whoever comes from
/// thousands of addresses pushes out himself first.
fn make_room(stores: &mut HashMap<Client, Millis>, network: Client, now: Millis) {
    if stores.len() < MOST || stores.contains_key(&network) {
        return;
    }
    stores.retain(|_, full_at| *full_at > now);
    if stores.len() < MOST {
        return;
    }
    let mut all: Vec<(Millis, Client)> =
        stores.iter().map(|(network, full_at)| (*full_at, *network)).collect();
    all.sort_unstable();
    for (_, network) in all.into_iter().take(MOST / 2) {
        stores.remove(&network);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_795_196_712_000);

    fn ip(text: &str) -> Client {
        Client::At(text.parse().unwrap())
    }

    fn later(seconds: u64) -> Millis {
        NOW.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn each_class_gives_its_burst_and_then_one_each_pause() {
        for class in Class::ALL {
            let limits = Limits::default();
            let Quota { burst, pause } = class.quota();
            let client = ip("192.0.2.1");
            let tries = (0..2000).filter(|_| limits.admit(class, client, NOW).is_ok()).count();
            assert_eq!(tries, burst as usize, "{class:?}");
            assert_eq!(limits.refused(class), 2000 - u64::from(burst));
            assert_eq!(limits.admit(class, client, NOW), Err(pause), "the wait is told");
            assert_eq!(limits.admit(class, client, NOW.plus(pause)), Ok(()));
            assert!(limits.admit(class, client, NOW.plus(pause)).is_err());
            assert_eq!(limits.admit(class, ip("192.0.2.2"), NOW), Ok(()), "somebody else");
            let tomorrow = later(86_400);
            let tries = (0..2000).filter(|_| limits.admit(class, client, tomorrow).is_ok()).count();
            assert_eq!(tries, burst as usize, "it never gives more than its burst");
        }
    }

    #[test]
    fn classes_are_counted_apart() {
        let limits = Limits::default();
        while limits.admit(Class::Cron, ip("192.0.2.1"), NOW).is_ok() {}
        assert_eq!(limits.admit(Class::Api, ip("192.0.2.1"), NOW), Ok(()));
    }

    #[test]
    fn an_ipv6_network_is_one() {
        let limits = Limits::default();
        while limits.admit(Class::SignIn, ip("2001:db8::1"), NOW).is_ok() {}
        assert!(limits.admit(Class::SignIn, ip("2001:db8::ffff"), NOW).is_err(), "the same network");
        assert!(limits.admit(Class::SignIn, ip("2001:db8:0:1::1"), NOW).is_ok(), "another network");
    }

    #[test]
    fn those_whom_nobody_can_tell_have_a_store_of_their_own() {
        let limits = Limits::default();
        while limits.weigh(Client::Unknown, false, NOW).is_ok() {}
        assert!(limits.weigh(Client::Unknown, true, NOW).is_err(), "they share one");
        for known in ["127.0.0.1", "::1", "::", "192.0.2.1"] {
            assert_eq!(limits.weigh(ip(known), true, NOW), Ok(()), "{known}");
        }
    }

    #[test]
    fn after_too_many_guesses_even_the_right_key_waits() {
        let limits = Limits::default();
        let (guesser, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
        for _ in 0..1000 {
            assert_eq!(limits.weigh(guesser, true, NOW), Ok(()), "right keys cost nothing");
        }
        let wrong = (0..1000).filter(|_| limits.weigh(guesser, false, NOW).is_ok()).count();
        assert_eq!(wrong, 10);
        assert_eq!(limits.weigh(guesser, true, NOW), Err(Duration::from_secs(30)));
        assert_eq!(limits.weigh(other, true, NOW), Ok(()), "others' guesses lock nobody out");
        assert_eq!(limits.weigh(guesser, true, later(30)), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let limits = Limits::default();
        while limits.admit(Class::SignIn, ip("192.0.2.1"), later(86_400)).is_ok() {}
        assert_eq!(limits.admit(Class::SignIn, ip("192.0.2.1"), NOW), Err(Duration::from_secs(1)));
        assert_eq!(limits.admit(Class::SignIn, ip("192.0.2.1"), later(1)), Ok(()));
        while limits.admit(Class::Guess, ip("192.0.2.1"), later(86_400)).is_ok() {}
        assert!(limits.weigh(ip("192.0.2.1"), true, NOW).unwrap_err() <= Duration::from_secs(30));
    }

    #[test]
    fn memory_is_bounded_and_who_asks_most_is_not_forgotten() {
        let limits = Limits::default();
        let guesser = ip("192.0.2.1");
        while limits.weigh(guesser, false, NOW).is_ok() {}
        for number in 0..100_000_u32 {
            let _ = limits.weigh(Client::At(IpAddr::V4((0x0a00_0000 + number).into())), false, NOW);
        }
        assert!(limits.counter(Class::Guess).unwrap().full_at.lock().unwrap().len() <= MOST);
        assert!(limits.weigh(guesser, true, NOW).is_err());
    }
}
