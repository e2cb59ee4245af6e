//! How many errors and warnings this program logged in the last hour: a layer below its log, which keeps counts only.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use crate::model::time::Millis;

/// So many minutes are kept, one count for each: more there never are.
const MINUTES: i64 = 60;

/// What the log of this process said. A log is one for a process, so this is, too.
pub static LOGGED: Logged = Logged::new();

/// Errors and warnings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Errors.
    pub errors: u32,
    /// Warnings.
    pub warnings: u32,
}

/// Counts of the minutes of the last hour.
#[derive(Debug)]
pub struct Logged {
    counting: AtomicBool,
    minutes: Mutex<VecDeque<(i64, Tally)>>,
}

impl Logged {
    const fn new() -> Self {
        Self { counting: AtomicBool::new(false), minutes: Mutex::new(VecDeque::new()) }
    }

    /// The layer that counts. From now on the counts are whole.
    pub fn layer(&'static self) -> Counting {
        self.counting.store(true, Ordering::Relaxed);
        Counting(self)
    }

    /// The counts of the hour before a moment, since the process was started; `None` where nobody counts.
    pub fn last_hour(&self, now: Millis) -> Option<Tally> {
        let first = minute(now) - MINUTES;
        let minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = minutes.iter().filter(|(minute, _)| *minute > first).map(|(_, tally)| *tally);
        let sum = counted.fold(Tally::default(), |sum, one| Tally {
            errors: sum.errors.saturating_add(one.errors),
            warnings: sum.warnings.saturating_add(one.warnings),
        });
        self.counting.load(Ordering::Relaxed).then_some(sum)
    }

    fn note(&self, level: Level, at: Millis) {
        let at = minute(at);
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back adds to the newest minute.
        if minutes.back().is_none_or(|(newest, _)| *newest < at) {
            minutes.push_back((at, Tally::default()));
        }
        while minutes.front().is_some_and(|(oldest, _)| *oldest <= at - MINUTES) {
            minutes.pop_front();
        }
        if let Some((_, tally)) = minutes.back_mut() {
            match level {
                Level::ERROR => tally.errors = tally.errors.saturating_add(1),
                Level::WARN => tally.warnings = tally.warnings.saturating_add(1),
                _ => {}
            }
        }
    }
}

fn minute(at: Millis) -> i64 {
    at.0.div_euclid(60_000)
}

/// Counts what goes by.
#[derive(Debug)]
pub struct Counting(&'static Logged);

impl<S: Subscriber> Layer<S> for Counting {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.note(*event.metadata().level(), Millis::now());
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn errors_and_warnings_of_the_last_hour_count() {
        static OWN: Logged = Logged::new();
        assert_eq!(OWN.last_hour(Millis::now()), None, "nobody counts");
        let log = tracing_subscriber::registry().with(OWN.layer());
        tracing::subscriber::with_default(log, || {
            tracing::error!("x");
            tracing::warn!("x");
            tracing::warn!("x");
            tracing::info!("x");
        });
        assert_eq!(OWN.last_hour(Millis::now()), Some(Tally { errors: 1, warnings: 2 }));
    }

    #[test]
    fn what_is_older_is_forgotten() {
        let (logged, at) = (Logged::new(), |minute: i64| Millis(minute * 60_000 + 5));
        logged.counting.store(true, Ordering::Relaxed);
        for minute in 0..500 {
            logged.note(Level::ERROR, at(minute));
        }
        assert_eq!(logged.minutes.lock().unwrap().len(), 60);
        assert_eq!(logged.last_hour(at(499)), Some(Tally { errors: 60, warnings: 0 }));
        assert_eq!(logged.last_hour(at(549)), Some(Tally { errors: 10, warnings: 0 }));
        logged.note(Level::WARN, at(400));
        assert_eq!(logged.last_hour(at(558)), Some(Tally { errors: 1, warnings: 1 }), "a clock set back");
        assert_eq!(logged.last_hour(at(600)), Some(Tally::default()));
    }
}
