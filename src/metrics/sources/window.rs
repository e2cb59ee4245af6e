//! Events of the last hour, by minute: what is counted is what happened in it, by the time stamps of the events.

use std::{collections::VecDeque, time::Duration};

use crate::model::time::Millis;

/// How far a window reaches back.
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// Tallies of the minutes of the last hour, and since when nothing is missing.
#[derive(Debug, Default)]
pub(super) struct Window<T> {
    minutes: VecDeque<(i64, T)>,
    covered_from: Option<Millis>,
}

impl<T: Default> Window<T> {
    /// The tally of the minute of a moment. Moments come in order, but for a few that are late.
    pub(super) fn at(&mut self, at: Millis) -> &mut T {
        let minute = at.0.div_euclid(60_000);
        let index = self.minutes.partition_point(|(own, _)| *own < minute);
        if self.minutes.get(index).is_none_or(|(own, _)| *own != minute) {
            self.minutes.insert(index, (minute, T::default()));
        }
        let index = index.min(self.minutes.len().saturating_sub(1));
        &mut self.minutes[index].1
    }

    /// Nothing is missing from this moment on.
    pub(super) fn cover_from(&mut self, at: Millis) {
        self.covered_from = Some(at);
    }

    /// Something is missing before this moment.
    pub(super) fn lose_before(&mut self, at: Millis) {
        self.covered_from = self.covered_from.map(|from| from.max(at)).or(Some(at));
    }

    /// The tallies of the hour before a moment, older ones forgotten; an error that says why the hour is not whole.
    pub(super) fn hour(&mut self, now: Millis) -> Result<impl Iterator<Item = &T> + Clone, String> {
        let first = now.minus(HOUR).0.div_euclid(60_000);
        while self.minutes.front().is_some_and(|(minute, _)| *minute < first) {
            self.minutes.pop_front();
        }
        covers(self.covered_from, now)?;
        Ok(self.minutes.iter().map(|(_, tally)| tally))
    }
}

/// An error that says why what is known from a moment on, if anything, is not the whole hour before another.
pub(super) fn covers(from: Option<Millis>, now: Millis) -> Result<(), String> {
    match from {
        // A minute of grace: the minute at the edge counts as a whole.
        Some(from) if from <= now.minus(HOUR).plus(Duration::from_secs(60)) => Ok(()),
        Some(from) => Err(format!("counted for {} of the 60 minutes so far", now.since(from).as_secs() / 60)),
        None => Err("not read yet".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(n: i64) -> Millis {
        Millis(n * 60_000 + 30_000)
    }

    #[test]
    fn only_a_whole_hour_counts() {
        let mut window: Window<u32> = Window::default();
        assert!(window.hour(minute(0)).is_err());
        window.cover_from(minute(100));
        for n in [100, 101, 159, 158, 159] {
            *window.at(minute(n)) += 1;
        }
        assert_eq!(
            window.hour(minute(130)).err().as_deref(),
            Some("counted for 30 of the 60 minutes so far")
        );
        assert_eq!(window.hour(minute(160)).unwrap().sum::<u32>(), 5);
        assert_eq!(window.hour(minute(162)).unwrap().sum::<u32>(), 3);
        window.lose_before(minute(140));
        assert!(window.hour(minute(163)).is_err());
    }
}
