//! What Dovecot's log said in the last hour.

use futures_util::FutureExt;

use super::{Reach, window::Window};
use crate::{
    metrics::{collector::Outcome, modules::dovecot as m, registry::Metric, samples::Samples},
    model::time::Millis,
    remote::{mailcow::Log, status::LogRow},
};

/// Rows asked for as a rule, and where these do not reach back to the last run.
const ROWS: [u32; 2] = [1000, 10_000];
/// Rows of the newest seconds may still be on their way.
const SETTLE: i64 = 3;

#[derive(Debug, Default)]
pub(super) struct Memory {
    window: Window<Tally>,
    /// The last second that was counted.
    upto: Option<i64>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Tally([u32; 6]);

static METRICS: [&Metric; 6] = [
    &m::IMAP_DISCONNECTED,
    &m::IMAP_ERRORS,
    &m::IMAP_LOGIN_FAILED,
    &m::POP3_LOGIN_FAILED,
    &m::QUOTA_WARNINGS,
    &m::SYNC_ERRORS,
];

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let mut memory = reach.memory.dovecot.lock().await;
        let first = if memory.upto.is_none() { &ROWS[1..] } else { &ROWS[..] };
        for asked in first {
            let rows = reach.mailcow.log_rows(Log::Dovecot, *asked).await?;
            let whole = rows.len() < *asked as usize;
            if memory.take(&rows, whole, *asked == ROWS[1], reach.clock.now()) {
                break;
            }
        }
        memory.tell(reach.clock.now(), out);
        Ok(())
    }
    .boxed()
}

impl Memory {
    /// Counts the rows (newest first) since the last run; false when they do not reach back to it and more may help.
    /// `whole`: these are all that there are.
    pub(super) fn take(&mut self, rows: &[LogRow], whole: bool, last_chance: bool, now: Millis) -> bool {
        let second = |row: &LogRow| row.time.map(|at| at as i64);
        let oldest = rows.iter().rev().find_map(second);
        let reaches = whole || self.upto.is_some_and(|upto| oldest.is_some_and(|oldest| oldest <= upto));
        if !reaches && !last_chance {
            return false;
        }
        match (self.upto, oldest) {
            (None, _) if whole => self.window.cover_from(Millis(0)),
            (None, Some(oldest)) => self.window.cover_from(Millis::from_secs(oldest + 1)),
            (Some(_), Some(oldest)) if !reaches => self.window.lose_before(Millis::from_secs(oldest + 1)),
            _ => {}
        }
        let (from, to) = (self.upto.unwrap_or(i64::MIN), now.secs() - SETTLE);
        for (row, at) in rows.iter().filter_map(|row| Some((row, second(row)?))) {
            if from < at
                && at <= to
                && let Some(index) = kind(&row.message, &row.priority)
                && let Some(count) = self.window.at(Millis::from_secs(at)).0.get_mut(index)
            {
                *count += 1;
            }
        }
        self.upto = Some(to);
        true
    }

    pub(super) fn tell(&mut self, now: Millis, out: &mut Samples) {
        match self.window.hour(now) {
            Ok(tallies) => {
                for (index, metric) in METRICS.iter().enumerate() {
                    out.set(metric, tallies.clone().filter_map(|tally| tally.0.get(index)).sum::<u32>());
                }
            }
            Err(why) => METRICS.iter().for_each(|metric| out.unknown(metric, &why)),
        }
    }
}

/// Which count a line belongs to: an index into [`METRICS`]. A failed login is told twice, by `auth` and by the login
/// process; only the latter names the protocol.
fn kind(message: &str, priority: &str) -> Option<usize> {
    let has = |word: &str| message.contains(word);
    let begins = |word: &str| message.starts_with(word);
    let failed = has("(auth failed") || has("Password mismatch") || has("unknown user");
    if begins("imap-login: ") && failed {
        Some(2)
    } else if begins("pop3-login: ") && failed {
        Some(3)
    } else if (begins("dsync") || begins("doveadm") || begins("replicator")) && has("Error: ") {
        Some(5)
    } else if has("Quota exceeded") || has("quota exceeded") || has("quota-warning") || has("Mailbox is full")
    {
        Some(4)
    } else if begins("imap") && (has("Error: ") || has("Fatal: ") || priority == "err") {
        Some(1)
    } else if begins("imap(") && (has("Disconnected") || has("Connection closed") || has("Logged out")) {
        Some(0)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(at: i64, message: &str) -> LogRow {
        LogRow {
            time: Some(at as f64),
            message: message.to_owned(),
            priority: "info".to_owned(),
            service: String::new(),
            lvl: None,
        }
    }

    #[test]
    fn lines_are_told_apart() {
        for (message, expected) in [
            (
                "imap-login: Disconnected: Connection closed (auth failed, 1 attempts in 2 secs): user=<b@x.test>",
                Some(2),
            ),
            (
                "pop3-login: Disconnected (auth failed, 3 attempts in 9 secs): user=<b@x.test>, method=PLAIN",
                Some(3),
            ),
            ("imap(b@x.test)<12><a>: Error: Mailbox INBOX: damaged", Some(1)),
            ("imap(b@x.test)<12><a>: Disconnected: Logged out in=90 out=900", Some(0)),
            ("lmtp(b@x.test): Error: sieve: msgid=<1@y.test>: failed to store: Quota exceeded", Some(4)),
            ("doveadm: Error: sync: /var/vmail: connection lost", Some(5)),
            ("imap-login: Login: user=<b@x.test>, method=PLAIN", None),
            ("auth: lua(b@x.test,203.0.113.9,<b>): Password mismatch", None),
        ] {
            assert_eq!(kind(message, "info"), expected, "{message}");
        }
    }

    #[test]
    fn each_line_counts_once_for_an_hour() {
        let mut memory = Memory::default();
        let failed = "imap-login: Disconnected (auth failed, 1 attempts): user=<b@x.test>";
        let counted = |memory: &mut Memory, now: i64| {
            let mut out = Samples::new(Millis::from_secs(now));
            memory.tell(Millis::from_secs(now), &mut out);
            let state = |metric: &Metric| {
                out.list().iter().find(|it| it.metric == metric.key).unwrap().state.number()
            };
            state(&m::IMAP_LOGIN_FAILED)
        };
        let mut rows = vec![row(9000, failed), row(8990, failed), row(8990, failed), row(100, "old")];
        assert!(memory.take(&rows, true, false, Millis::from_secs(9001)));
        assert_eq!(counted(&mut memory, 9001), Some(2.0), "the newest seconds are not settled");
        rows.insert(0, row(9070, failed));
        assert!(memory.take(&rows, true, false, Millis::from_secs(9100)));
        assert_eq!(counted(&mut memory, 9100), Some(4.0));
        assert_eq!(counted(&mut memory, 12_670), Some(1.0), "only what lies within the hour");
        // A full log that does not reach back: something is missing.
        assert!(!memory.take(&[row(13_000, failed)], false, false, Millis::from_secs(13_010)));
        assert!(memory.take(&[row(13_000, failed)], false, true, Millis::from_secs(13_010)));
        assert_eq!(counted(&mut memory, 13_010), None);
    }
}
