//! Time: one newtype for every stored moment, and the only place that reads the clock.

use std::time::{Duration, SystemTime};

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC. The only form in which moments are stored and passed around.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, sqlx::Type,
)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// The present moment. Pages and workers take it once and pass it down.
    pub fn now() -> Self {
        Self(Timestamp::now().as_millisecond())
    }

    /// A moment from whole Unix seconds, as Mailcow's logs count.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// The moment of a file's time stamp. Moments beyond jiff's range become the epoch.
    pub fn of_file(at: SystemTime) -> Self {
        Self(Timestamp::try_from(at).map_or(0, Timestamp::as_millisecond))
    }

    /// Whole Unix seconds, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment plus `duration`.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment minus `duration`.
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The wall clock of `zone` at this moment. Moments beyond jiff's range become the epoch.
    pub fn in_zone(self, zone: &TimeZone) -> jiff::Zoned {
        Timestamp::from_millisecond(self.0).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.clone())
    }
}

/// Where the present moment comes from: the system's clock, or a test's hand.
#[derive(Debug, Clone, Default)]
pub struct Clock(Option<std::sync::Arc<std::sync::atomic::AtomicI64>>);

impl Clock {
    /// The clock of this machine.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still at `hand` (milliseconds since the epoch) until somebody moves it.
    pub fn by_hand(hand: std::sync::Arc<std::sync::atomic::AtomicI64>) -> Self {
        Self(Some(hand))
    }

    /// The present moment.
    pub fn now(&self) -> Millis {
        match &self.0 {
            Some(hand) => Millis(hand.load(std::sync::atomic::Ordering::SeqCst)),
            None => Millis::now(),
        }
    }
}
