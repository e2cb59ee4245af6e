//! Mail flow: lines of Postfix's log, counted. The words mean what they mean in pflogsumm, but that all services count,
//! also those under another syslog name.

use std::collections::{BTreeMap, HashMap};

use super::time::Millis;

mod ids;
mod names;
mod reader;
mod shape;

pub use ids::Ids;
pub use names::{Names, Tally};
pub use reader::{Reader, Step, count};

/// Texts of one place that are counted apart are no more than this; the rest is counted together.
const MOST_TEXTS: usize = 5000;
/// Places whose texts are counted apart, of each kind of reason.
const MOST_PLACES: usize = 1000;
/// What texts and places beyond these are counted as.
const OTHERS: &str = "others";
/// Hours that are told: eleven years. A log with more is none.
const MOST_HOURS: usize = 100_000;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Mails that a client or a local program handed in.
    Received,
    /// Deliveries, one for each recipient.
    Delivered,
    /// Recipients that became others.
    Forwarded,
    /// Deliveries that failed for good, one for each recipient.
    Bounced,
    /// Mails that waited too long and went back.
    Expired,
    /// Attempts that are to be repeated.
    Deferrals,
    /// Refusals, for good or for now.
    Rejected,
    /// Refusals that only warn.
    RejectWarnings,
    /// Mails put on hold.
    Held,
    /// Mails thrown away by a rule.
    Discarded,
    /// Refusals because of a block list.
    RejectedByList,
    /// Refusals because there is no such mailbox.
    RejectedUser,
    /// Refusals to relay.
    RejectedRelay,
    /// Refusals because of a domain that does not exist.
    RejectedDomain,
    /// Refusals by a milter after the whole mail.
    RejectedContent,
    /// Refusals for good by a milter, but viruses.
    Spam,
    /// Refusals by a milter because of a virus.
    Virus,
    /// Refusals and failures because of a full mailbox.
    Quota,
    /// Connections that timed out.
    Timeouts,
    /// Lines that begin with error, fatal or panic.
    Errors,
    /// Lines that begin with warning.
    Warnings,
    /// Failed logins.
    SaslFailed,
    /// Warnings about logins.
    WarningsSasl,
    /// Warnings about TLS.
    WarningsTls,
    /// Warnings of dnsblog.
    WarningsDns,
    /// Warnings of postscreen.
    WarningsPostscreen,
    /// TLS handshakes that failed.
    TlsFailed,
    /// Clients that smtpd took.
    Connections,
    /// Clients that postscreen saw.
    Connect,
    /// Clients that passed its tests.
    PassNew,
    /// Clients that had passed before.
    PassOld,
    /// Refusals by postscreen.
    PostscreenRejects,
    /// Clients on its lists.
    Dnsbl,
    /// Clients that spoke too early.
    Pregreet,
    /// Clients that left early.
    Hangup,
    /// Clients that it lets pass untested.
    Allowlisted,
}

/// How many kinds of counts there are.
const KINDS: usize = Count::Allowlisted as usize + 1;

/// The counts that are told for each hour.
pub const HOURLY: [Count; 5] =
    [Count::Received, Count::Delivered, Count::Deferrals, Count::Bounced, Count::Rejected];

/// Mails and their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Volume {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Volume {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// What became of mails to one place, or of one sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fate {
    /// Delivered recipients and the bytes that they got.
    pub delivered: Volume,
    /// Attempts that are to be repeated.
    pub deferrals: u64,
    /// Recipients for whom it failed for good.
    pub bounced: u64,
    /// Milliseconds from arrival to delivery, summed up.
    pub delay_sum: u64,
    /// The longest of these.
    pub delay_max: u64,
}

impl Fate {
    /// Delivered recipients of all that are settled, in hundredths; `None` where none is settled.
    pub fn rate(&self) -> Option<f64> {
        let settled = self.delivered.count + self.bounced;
        (settled > 0).then(|| 100.0 * self.delivered.count as f64 / settled as f64)
    }

    /// All attempts.
    pub fn attempts(&self) -> u64 {
        self.delivered.count + self.deferrals + self.bounced
    }

    /// Adds what became of others.
    pub fn add_all(&mut self, other: &Self) {
        self.delivered.count += other.delivered.count;
        self.delivered.bytes += other.delivered.bytes;
        self.deferrals += other.deferrals;
        self.bounced += other.bounced;
        self.delay_sum += other.delay_sum;
        self.delay_max = self.delay_max.max(other.delay_max);
    }

    fn add(&mut self, outcome: Outcome, bytes: u64, delay: u64) {
        match outcome {
            Outcome::Delivered => {
                self.delivered.add(bytes);
                self.delay_sum += delay;
                self.delay_max = self.delay_max.max(delay);
            }
            Outcome::Deferred => self.deferrals += 1,
            Outcome::Bounced => self.bounced += 1,
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Delivered,
    Deferred,
    Bounced,
}

/// Texts, and what belongs to each.
pub type Texts<T> = HashMap<String, T, foldhash::fast::RandomState>;

/// What happened in some time.
#[derive(Debug, Default)]
pub struct Flow {
    counts: Counts,
    /// Bytes of received mails.
    pub bytes_received: u64,
    /// Bytes of delivered mails, once for each recipient.
    pub bytes_delivered: u64,
    /// Deliveries by milliseconds from arrival. Postfix writes two digits, so these are few.
    pub delays: BTreeMap<u64, u64>,
    /// Received mails by sender; the empty sender is `<>`.
    pub senders: Names<Volume>,
    /// Received mails by the sender's domain; those without a sender by client.
    pub origins: Names<Volume>,
    /// What became of the mails of each sender's domain, where that is known.
    pub from: Names<Fate>,
    /// Deliveries by recipient.
    pub recipients: Names<Volume>,
    /// What became of mails to each domain.
    pub to: Names<Fate>,
    /// What became of mails to each provider, by the name of its servers.
    pub providers: Names<Fate>,
    /// Mails with at least one deferral.
    pub deferred: Ids,
    /// Failures by enhanced status code.
    pub bounces: Names<u64>,
    /// Reasons, by what happened and where, each with how often.
    pub reasons: HashMap<Reason, Texts<Texts<u64>>>,
    /// The counts of [`HOURLY`], by hours since 1970 (UTC).
    pub hours: BTreeMap<i64, [u64; HOURLY.len()]>,
}

/// What a text gives the reason of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A deferral, by delivery agent.
    Deferred,
    /// A failure, by relay.
    Bounced,
    /// A refusal, by stage of the SMTP session.
    Rejected,
    /// A warning, by daemon.
    Warning,
    /// An error line, by daemon.
    Error,
}

/// How often each [`Count`].
#[derive(Debug)]
struct Counts([u64; KINDS]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; KINDS])
    }
}

impl Flow {
    /// How often.
    pub fn count(&self, count: Count) -> u64 {
        self.counts.0.get(count as usize).copied().unwrap_or(0)
    }

    /// A count as a share of all that was delivered, refused or thrown away, in whole hundredths.
    pub fn share(&self, count: Count) -> Option<u64> {
        share(
            self.count(count),
            [Count::Delivered, Count::Rejected, Count::Discarded].map(|it| self.count(it)),
        )
    }

    /// Adds what happened elsewhere, or at another time.
    pub fn merge(&mut self, other: &Self) {
        self.counts.0.iter_mut().zip(other.counts.0).for_each(|(own, count)| *own += count);
        self.bytes_received += other.bytes_received;
        self.bytes_delivered += other.bytes_delivered;
        for (delay, count) in &other.delays {
            *self.delays.entry(*delay).or_default() += count;
        }
        self.senders.merge(&other.senders);
        self.origins.merge(&other.origins);
        self.from.merge(&other.from);
        self.recipients.merge(&other.recipients);
        self.to.merge(&other.to);
        self.providers.merge(&other.providers);
        self.bounces.merge(&other.bounces);
        self.deferred.merge(&other.deferred);
        for (what, places) in &other.reasons {
            let own = self.reasons.entry(*what).or_default();
            for (place, texts) in places {
                let Some(own) = within(own, place, MOST_PLACES) else { continue };
                for (text, count) in texts {
                    within(own, text, MOST_TEXTS).into_iter().for_each(|own| *own += count);
                }
            }
        }
        for (hour, counts) in &other.hours {
            let own = self.hours.entry(*hour).or_default();
            own.iter_mut().zip(counts).for_each(|(own, count)| *own += count);
        }
    }

    fn add(&mut self, count: Count) {
        if let Some(count) = self.counts.0.get_mut(count as usize) {
            *count += 1;
        }
    }

    /// Counts what is told for each hour, too.
    fn add_at(&mut self, count: Count, at: Millis) {
        self.add(count);
        let place = HOURLY.iter().position(|hourly| *hourly == count);
        let Some(place) = place else { return };
        let hour = at.0.div_euclid(3_600_000);
        if self.hours.len() >= MOST_HOURS && !self.hours.contains_key(&hour) {
            return;
        }
        if let Some(own) = self.hours.entry(hour).or_default().get_mut(place) {
            *own += 1;
        }
    }

    fn reason(&mut self, what: Reason, place: &str, text: &str) {
        let places = self.reasons.entry(what).or_default();
        let Some(texts) = within(places, place, MOST_PLACES) else { return };
        shape::of(text, |shape| {
            if let Some(count) = within(texts, shape, MOST_TEXTS) {
                *count += 1;
            }
        });
    }
}

/// What stands under a name, or under [`OTHERS`] where there are too many names.
fn within<'a, T: Default>(map: &'a mut Texts<T>, name: &str, most: usize) -> Option<&'a mut T> {
    let name = if map.len() < most || map.contains_key(name) { name } else { OTHERS };
    if !map.contains_key(name) {
        map.insert(name.to_owned(), T::default());
    }
    map.get_mut(name)
}

/// What a number is of the sum of others, in whole hundredths; `None` where there is nothing.
pub fn share(part: u64, all: [u64; 3]) -> Option<u64> {
    let all: u64 = all.iter().sum();
    (all > 0).then(|| 100 * part / all)
}

/// The delay that this share of the deliveries did not exceed, in milliseconds. `delays` are deliveries by delay, in
/// order.
pub fn percentile(delays: &BTreeMap<u64, u64>, share: f64) -> Option<u64> {
    let all: u64 = delays.values().sum();
    let wanted = (all as f64 * share).ceil().max(1.0) as u64;
    let mut seen = 0;
    delays
        .iter()
        .find(|(_, count)| {
            seen += **count;
            seen >= wanted
        })
        .map(|(delay, _)| *delay)
}

/// Whose server a relay is: the last two labels of its host name, three where the last is a country of which the last
/// but one is a common category; the address where there is no name, else the relay itself.
pub fn provider(relay: &str) -> &str {
    let host = relay.split(['[', ':']).next().unwrap_or(relay);
    let mut dots = memchr::memrchr_iter(b'.', host.as_bytes());
    let (Some(last), Some(second)) = (dots.next(), dots.next()) else {
        return if host.is_empty() { relay } else { host };
    };
    let category = host.get(second + 1..last).unwrap_or_default();
    let country = host.len() - last == 3;
    let start = match country
        && matches!(category, "co" | "com" | "net" | "org" | "ac" | "gov" | "edu" | "ne" | "or")
    {
        true => dots.next(),
        false => Some(second),
    };
    start.and_then(|start| host.get(start + 1..)).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_known_by_the_end_of_its_servers_names() {
        for (relay, expected) in [
            ("gmail-smtp-in.l.google.com[192.0.2.1]:25", "google.com"),
            ("mx.provider.co.uk[192.0.2.1]:25", "provider.co.uk"),
            ("mx.a.de[2001:db8::1]:25", "a.de"),
            ("co.uk[192.0.2.1]:25", "co.uk"),
            ("dovecot[172.22.1.250]:24", "dovecot"),
            ("local", "local"),
            ("[192.0.2.1]:25", "[192.0.2.1]:25"),
            ("", ""),
        ] {
            assert_eq!(provider(relay), expected, "{relay}");
        }
    }

    #[test]
    fn the_numbers_of_texts_and_of_places_have_an_end() {
        let mut flow = Flow::default();
        let letters = |mut n: usize| -> String {
            let mut word = String::new();
            while n > 0 {
                word.push(char::from(b'a' + (n % 26) as u8));
                n /= 26;
            }
            word
        };
        (0..MOST_TEXTS + 50).for_each(|n| flow.reason(Reason::Warning, "smtpd", &letters(n)));
        let texts = &flow.reasons[&Reason::Warning]["smtpd"];
        assert!(texts.len() <= MOST_TEXTS + 1, "{}", texts.len());
        assert_eq!(texts.values().sum::<u64>(), MOST_TEXTS as u64 + 50);
        (0..MOST_PLACES + 50).for_each(|n| flow.reason(Reason::Bounced, &letters(n), "no"));
        let places = &flow.reasons[&Reason::Bounced];
        assert!(places.len() <= MOST_PLACES + 1, "{}", places.len());
        assert_eq!(places.values().flat_map(|texts| texts.values()).sum::<u64>(), MOST_PLACES as u64 + 50);
    }

    #[test]
    fn percentiles_are_delays_that_happened() {
        let delays = BTreeMap::from([(100, 90), (5000, 9), (90_000, 1)]);
        let found = [0.0, 0.5, 0.9, 0.95, 0.99, 1.0].map(|share| percentile(&delays, share));
        assert_eq!(found, [100, 100, 100, 5000, 5000, 90_000].map(Some));
        assert_eq!(percentile(&BTreeMap::new(), 0.5), None);
    }

    #[test]
    fn a_rate_is_of_what_is_settled() {
        let mut fate = Fate::default();
        assert_eq!(fate.rate(), None);
        fate.add(Outcome::Deferred, 0, 0);
        assert_eq!(fate.rate(), None, "what is deferred may still arrive");
        fate.add(Outcome::Delivered, 10, 700);
        fate.add(Outcome::Bounced, 10, 0);
        assert_eq!((fate.rate(), fate.delay_sum, fate.attempts()), (Some(50.0), 700, 3));
        assert_eq!(super::share(1, [2, 1, 0]), Some(33));
        assert_eq!(super::share(0, [0, 0, 0]), None);
    }
}
