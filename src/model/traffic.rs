//! Mail flow by what became of mails: figures of one hour as far as one domain goes, which add up to days and weeks.
//! Pure; made from mails, kept by `store::traffic`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    flow::provider,
    mail::{Mail, Recipient, Refused, Status},
    scope::{domain_of, normalise_address},
};

/// Names of a list that are kept of each hour; what the rest did is kept together.
pub const NAMES: usize = 40;

/// Which mails of a domain are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// To it: recipients of the domain.
    In,
    /// From it: mails whose sender, or else whose login, is of the domain.
    Out,
}

impl Side {
    /// Both.
    pub const ALL: [Self; 2] = [Self::In, Self::Out];

    /// The word in the database, in addresses and in text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }

    /// The side of a [`Side::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|side| side.code() == code)
    }
}

/// What became of the recipients of somebody's mails, or of mails to somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fate {
    /// Delivered.
    pub delivered: u64,
    /// Still to be tried again.
    pub waiting: u64,
    /// Failed for good: refused, returned, given up.
    pub failed: u64,
    /// Bytes that were delivered.
    pub bytes: u64,
    /// Milliseconds from arrival to delivery, summed up.
    pub delay: u64,
}

impl Fate {
    /// All recipients.
    pub fn count(&self) -> u64 {
        self.delivered + self.waiting + self.failed
    }

    /// Milliseconds from arrival to delivery on average.
    pub fn mean_delay(&self) -> Option<u64> {
        self.delay.checked_div(self.delivered)
    }

    fn merge(&mut self, other: &Self) {
        self.delivered += other.delivered;
        self.waiting += other.waiting;
        self.failed += other.failed;
        self.bytes += other.bytes;
        self.delay += other.delay;
    }
}

/// Who, and what became of it: the busiest by name, all others together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Top {
    /// By name.
    pub names: BTreeMap<String, Fate>,
    /// All others.
    pub others: Fate,
}

impl Top {
    fn add(&mut self, name: &str, fate: &Fate) {
        match self.names.get_mut(name) {
            Some(known) => known.merge(fate),
            None => drop(self.names.insert(name.to_owned(), *fate)),
        }
    }

    fn merge(&mut self, other: &Self) {
        for (name, fate) in &other.names {
            self.add(name, fate);
        }
        self.others.merge(&other.others);
    }

    /// The busiest first, of equals by name.
    pub fn busiest(&self) -> Vec<(&str, &Fate)> {
        let mut names: Vec<(&str, &Fate)> =
            self.names.iter().map(|(name, fate)| (name.as_str(), fate)).collect();
        names.sort_by_key(|(_, fate)| std::cmp::Reverse(fate.count()));
        names
    }

    /// Whether some are counted without their names, so that figures of a name may be too low.
    pub fn is_cut(&self) -> bool {
        self.others.count() > 0
    }

    fn cut(&mut self, most: usize) {
        let rest: Vec<String> =
            self.busiest().into_iter().skip(most).map(|(name, _)| name.to_owned()).collect();
        for name in rest {
            if let Some(fate) = self.names.remove(&name) {
                self.others.merge(&fate);
            }
        }
    }
}

/// Figures of some time. Stored in the order of the fields (`store::traffic`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Traffic {
    /// Mails that were taken in.
    pub mails: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Mails that were refused as a whole, before any recipient was known.
    pub refused: u64,
    /// Recipients by [`Status`], as they are now.
    pub rows: [u64; Status::ALL.len()],
    /// Recipients that became others: forwarded mails.
    pub forwarded: u64,
    /// Bytes that were delivered, once for each recipient.
    pub bytes_delivered: u64,
    /// Milliseconds from arrival to delivery, summed up.
    pub delay: u64,
    /// The longest of these.
    pub delay_max: u64,
    /// Deliveries by [`step_of`] their delay.
    pub delays: BTreeMap<u16, u64>,
    /// Refusals by reason.
    pub reasons: BTreeMap<String, u64>,
    /// By sender; the empty sender is that of notices.
    pub senders: Top,
    /// By recipient.
    pub recipients: Top,
    /// By the sender's domain.
    pub from: Top,
    /// By the recipient's domain.
    pub to: Top,
    /// By whose server took the mail.
    pub providers: Top,
}

/// Steps for a doubling of a delay.
const STEPS: f64 = 4.0;

/// The step of a delay in milliseconds: each is about a fifth longer than the one before.
pub fn step_of(millis: u64) -> u16 {
    ((millis.max(1) as f64).log2() * STEPS).floor().min(f64::from(u16::MAX)) as u16
}

/// The middle of a step in milliseconds.
fn middle_of(step: u16) -> u64 {
    2_f64.powf((f64::from(step) + 0.5) / STEPS) as u64
}

impl Traffic {
    /// Recipients with a status.
    pub fn count(&self, status: Status) -> u64 {
        self.rows.get(status as usize).copied().unwrap_or(0)
    }

    /// Recipients with any of these.
    pub fn sum(&self, statuses: &[Status]) -> u64 {
        statuses.iter().map(|status| self.count(*status)).sum()
    }

    /// What was delivered.
    pub fn delivered(&self) -> u64 {
        self.sum(&[Status::Sent, Status::Junk])
    }

    /// What failed for good after it was taken.
    pub fn bounced(&self) -> u64 {
        self.sum(&[Status::Bounced, Status::Expired])
    }

    /// What was refused, for good or for now.
    pub fn rejected(&self) -> u64 {
        self.sum(&[Status::Rejected, Status::SoftRejected, Status::Virus]) + self.refused
    }

    /// What waits for another try.
    pub fn waiting(&self) -> u64 {
        self.sum(&[Status::Delayed, Status::Queued])
    }

    /// Milliseconds that this share of deliveries did not exceed, by about a tenth.
    pub fn delay_at(&self, share: f64) -> Option<u64> {
        let all: u64 = self.delays.values().sum();
        let wanted = (all as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let step = self.delays.iter().find(|(_, count)| {
            seen += **count;
            seen >= wanted
        })?;
        Some(middle_of(*step.0).min(self.delay_max))
    }

    /// Milliseconds from arrival to delivery on average.
    pub fn mean_delay(&self) -> Option<u64> {
        self.delay.checked_div(self.delays.values().sum())
    }

    /// Adds figures of another time or domain.
    pub fn merge(&mut self, other: &Self) {
        self.mails += other.mails;
        self.bytes += other.bytes;
        self.refused += other.refused;
        self.rows.iter_mut().zip(other.rows).for_each(|(own, more)| *own += more);
        self.forwarded += other.forwarded;
        self.bytes_delivered += other.bytes_delivered;
        self.delay += other.delay;
        self.delay_max = self.delay_max.max(other.delay_max);
        let counts = other.delays.iter();
        counts.for_each(|(step, count)| *self.delays.entry(*step).or_default() += count);
        let counts = other.reasons.iter();
        counts.for_each(|(reason, count)| *self.reasons.entry(reason.clone()).or_default() += count);
        for (own, more) in self.tops().into_iter().zip([
            &other.senders,
            &other.recipients,
            &other.from,
            &other.to,
            &other.providers,
        ]) {
            own.merge(more);
        }
    }

    fn tops(&mut self) -> [&mut Top; 5] {
        [&mut self.senders, &mut self.recipients, &mut self.from, &mut self.to, &mut self.providers]
    }

    /// Cuts the lists to what is kept.
    pub fn cut(mut self) -> Self {
        self.tops().into_iter().for_each(|top| top.cut(NAMES));
        self
    }

    /// Counts a mail with some of its recipients.
    pub fn add<'a>(&mut self, mail: &Mail, rows: impl IntoIterator<Item = &'a Recipient>) {
        let size = mail.size.unwrap_or(0);
        // What was refused has no life in the queue.
        if mail.queue_id.is_some() && mail.refusal.is_none() {
            self.mails += 1;
            self.bytes += size;
        }
        let mut any = false;
        for row in rows {
            any = true;
            self.row(mail, row, size);
        }
        if let Some(refusal) = mail.refusal.as_ref().filter(|_| !any) {
            self.refused += 1;
            self.reason(refused(mail.status, &refusal.reply, &refusal.dsn, Some(refusal)));
        }
    }

    fn row(&mut self, mail: &Mail, row: &Recipient, size: u64) {
        if let Some(count) = self.rows.get_mut(row.status as usize) {
            *count += 1;
        }
        let mut fate = Fate::default();
        match row.status {
            Status::Sent | Status::Junk => {
                fate.delivered = 1;
                fate.bytes = size;
                self.bytes_delivered += size;
                self.forwarded += u64::from(row.goes_on());
                if let Some(delay) = row.delay.parse::<f64>().ok().filter(|delay| *delay >= 0.0) {
                    let millis = (delay * 1000.0) as u64;
                    fate.delay = millis;
                    self.delay += millis;
                    self.delay_max = self.delay_max.max(millis);
                    *self.delays.entry(step_of(millis)).or_default() += 1;
                }
            }
            Status::Queued | Status::Delayed | Status::Held | Status::Unknown => fate.waiting = 1,
            _ => fate.failed = 1,
        }
        if matches!(row.status, Status::Rejected | Status::SoftRejected | Status::Virus) {
            let refusal = mail.refusal.as_ref();
            let reply = if row.reply.is_empty() { refusal.map_or("", |it| &it.reply) } else { &row.reply };
            self.reason(refused(row.status, reply, &row.dsn, refusal));
        }
        let sender = mail.sender.as_deref().unwrap_or_default();
        self.senders.add(sender, &fate);
        self.recipients.add(&row.address, &fate);
        self.from.add(domain_of(sender).unwrap_or_default(), &fate);
        self.to.add(domain_of(&row.address).unwrap_or_default(), &fate);
        if !row.relay.is_empty() {
            self.providers.add(provider(&row.relay), &fate);
        }
    }

    fn reason(&mut self, reason: &str) {
        match self.reasons.get_mut(reason) {
            Some(count) => *count += 1,
            None => drop(self.reasons.insert(reason.to_owned(), 1)),
        }
    }
}

/// Why our server refused: a word that text keys know.
fn refused(status: Status, reply: &str, dsn: &str, whole: Option<&Refused>) -> &'static str {
    let lower = reply.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let milter = whole.is_some_and(|refusal| refusal.verb == "milter-reject");
    match () {
        () if status == Status::Virus => "virus",
        () if says(&["blocked using", "blocklist", "blacklist", "dnsbl"]) => "list",
        () if says(&["user unknown", "unknown in ", "no such user", "undeliverable address"]) => "user",
        () if says(&["relay access denied", "relaying denied"]) => "relay",
        () if says(&["domain not found", "hostname not found", "cannot find your"]) => "domain",
        () if says(&["greylist", "try again later"]) => "greylist",
        () if says(&["over quota", "mailbox is full", "mailbox full"]) || dsn.ends_with(".2.2") => "quota",
        () if says(&["sender address rejected", "not owned by user", "not logged in"]) => "sender",
        () if says(&["rate limit", "ratelimit", "too many"]) => "rate",
        () if milter || says(&["spam"]) => "spam",
        () => "other",
    }
}

/// The figures of one hour: of all mails, and of each of our domains by side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hour {
    /// All mails.
    pub all: Traffic,
    /// By domain and side.
    pub domains: BTreeMap<(String, Side), Traffic>,
}

impl Hour {
    /// Counts a mail. `ours`: our domains, normalised. Each recipient counts for one domain on each side at most, so
    /// figures of several domains add up without counting anything twice.
    pub fn add(&mut self, mail: &Mail, ours: &BTreeSet<String>) {
        self.all.add(mail, &mail.recipients);
        let known = |address: Option<&str>| {
            let domain = domain_of(&normalise_address(address?)?)?.to_owned();
            ours.contains(&domain).then_some(domain)
        };
        if let Some(domain) = known(mail.sender.as_deref()).or_else(|| known(mail.login.as_deref())) {
            self.side(domain, Side::Out).add(mail, &mail.recipients);
        }
        let mut rows: BTreeMap<String, Vec<&Recipient>> = BTreeMap::new();
        for row in &mail.recipients {
            if let Some(domain) = known(Some(&row.address)).or_else(|| known(row.orig_to.as_deref())) {
                rows.entry(domain).or_default().push(row);
            }
        }
        for (domain, rows) in rows {
            self.side(domain, Side::In).add(mail, rows);
        }
    }

    fn side(&mut self, domain: String, side: Side) -> &mut Traffic {
        self.domains.entry((domain, side)).or_default()
    }
}

#[cfg(test)]
mod tests;
