//! Rspamd's counters, and what its Bayes filter learned.

use std::{collections::VecDeque, time::Duration};

use futures_util::FutureExt;

use super::Reach;
use crate::{
    metrics::{collector::Outcome, modules::rspamd as m, samples::Samples},
    model::time::Millis,
    remote::status::RspamdStats,
};

/// The time over which the share of spam is taken.
const HOUR: Duration = Duration::from_secs(3600);
/// Said of a counter that the reply lacks.
const LACKING: &str = "Rspamd did not tell it";

/// Scanned and spam at earlier moments, oldest first.
#[derive(Debug, Default)]
pub(super) struct Memory(VecDeque<(Millis, f64, f64)>);

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let stats = reach.mailcow.rspamd_stats().await?;
        let mut memory = reach.memory.rspamd.lock().await;
        tell(&stats, &mut memory, reach.clock.now(), out);
        Ok(())
    }
    .boxed()
}

pub(super) fn tell(stats: &RspamdStats, memory: &mut Memory, now: Millis, out: &mut Samples) {
    for (metric, action) in [
        (&m::GREYLIST, "greylist"),
        (&m::HAM, "no action"),
        (&m::REWRITE, "rewrite subject"),
        (&m::SOFT_REJECT, "soft reject"),
        (&m::SPAM, "reject"),
        (&m::REJECT_TOTAL, "reject"),
        (&m::ADD_HEADER, "add header"),
    ] {
        out.set_or(metric, stats.actions.get(action).copied(), LACKING);
    }
    out.set_or(&m::LEARNED, stats.learned, LACKING);
    out.set_or(&m::SCANNED, stats.scanned, LACKING);
    out.set_or(&m::UPTIME, stats.uptime, LACKING);
    out.set_or(&m::VERSION, stats.version.clone(), LACKING);
    let told = stats.actions.iter().filter(|(_, count)| **count > 0.0);
    let told: Vec<String> =
        told.map(|(action, count)| format!("{}:{count}", action.replace(' ', "_"))).collect();
    out.set(&m::ACTION_DETAIL, if told.is_empty() { "-".to_owned() } else { told.join(",") });
    let spam = ["reject", "add header"].map(|action| stats.actions.get(action).copied());
    match (stats.scanned, spam) {
        (Some(scanned), [Some(rejected), Some(marked)]) => {
            let rate = memory.rate(now, scanned, rejected + marked);
            out.set_or(&m::SPAM_RATE, rate, "nothing was scanned in the last hour");
        }
        _ => out.unknown(&m::SPAM_RATE, LACKING),
    }
    tell_bayes(stats, out);
}

impl Memory {
    /// The share of spam in the last hour, in percent. Until an hour is remembered: since Rspamd's counters began.
    fn rate(&mut self, now: Millis, scanned: f64, spam: f64) -> Option<f64> {
        // Counters that fell were reset.
        if self.0.back().is_some_and(|(_, before, _)| *before > scanned) {
            self.0.clear();
            self.0.push_back((now, 0.0, 0.0));
        }
        while self.0.get(1).is_some_and(|(at, ..)| now.since(*at) >= HOUR) {
            self.0.pop_front();
        }
        let covers = self.0.front().is_some_and(|(at, ..)| now.since(*at) >= HOUR);
        let (_, scanned_before, spam_before) =
            self.0.front().copied().filter(|_| covers).unwrap_or((now, 0.0, 0.0));
        self.0.push_back((now, scanned, spam));
        let new = scanned - scanned_before;
        (new > 0.0).then(|| ((spam - spam_before) / new * 1000.0).round() / 10.0)
    }
}

fn tell_bayes(stats: &RspamdStats, out: &mut Samples) {
    let learned = |symbol: &str| {
        let files = stats.statfiles.iter().filter(|file| file.symbol == symbol);
        // With Bayes per user there are several files of one symbol.
        files
            .map(|file| file.revision)
            .reduce(|one, other| one.zip(other).map(|(one, other)| one + other))
            .flatten()
    };
    let (ham, spam) = (learned("BAYES_HAM"), learned("BAYES_SPAM"));
    out.set_or(&m::BAYES_HAM_LEARNED, ham, LACKING);
    out.set_or(&m::BAYES_SPAM_LEARNED, spam, LACKING);
    let Some((ham, spam)) = ham.zip(spam) else {
        for metric in [&m::BAYES_TOTAL_LEARNED, &m::BAYES_RATIO, &m::BAYES_STATUS] {
            out.unknown(metric, LACKING);
        }
        return;
    };
    let total = ham + spam;
    out.set(&m::BAYES_TOTAL_LEARNED, total);
    let ratio = (total > 0.0).then(|| (ham / total * 1000.0).round() / 10.0);
    out.set_or(&m::BAYES_RATIO, ratio, "nothing was learned yet");
    let status = match total {
        0.0 => "untrained",
        ..200.0 => "low",
        _ if ham < 50.0 || spam < 50.0 => "unbalanced",
        ..1000.0 => "good",
        _ => "excellent",
    };
    out.set(&m::BAYES_STATUS, status);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_spam_is_that_of_the_last_hour() {
        let (mut memory, at) = (Memory::default(), |minute: i64| Millis(minute * 60_000));
        assert_eq!(memory.rate(at(0), 1000.0, 500.0), Some(50.0), "at first, since the counters began");
        for minute in 1..60 {
            memory.rate(at(minute), 1000.0, 500.0);
        }
        assert_eq!(memory.rate(at(60), 1010.0, 501.0), Some(10.0));
        assert_eq!(memory.rate(at(61), 1010.0, 501.0), Some(10.0));
        for minute in 62..125 {
            memory.rate(at(minute), 1010.0, 501.0);
        }
        assert_eq!(memory.rate(at(125), 1010.0, 501.0), None, "nothing is no share");
        assert_eq!(memory.rate(at(126), 4.0, 1.0), Some(25.0), "counters that were reset");
    }
}
