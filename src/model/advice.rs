//! From figures of reports to advice: which source is whose, what fails, what changed, whether a stricter policy
//! is safe now and why, and what to do next. Pure: no words, no database.

mod change;

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    figures::{DomainFigures, Handed, PolicySeen, Source, Sums, Verdict},
    time::Millis,
};
pub use change::{Change, History, shift};

/// Days without a failing source of one's own after which a stricter policy is safe.
pub const WINDOW_DAYS: u64 = 14;
/// That needs at least so many mails …
pub const LEAST_MAILS: u64 = 100;
/// … or so many receivers.
pub const LEAST_RECEIVERS: u64 = 5;
/// Advice at one time.
pub const MOST_STEPS: usize = 4;
/// Failing sources of one's own among them.
const MOST_MENDED: usize = MOST_STEPS - 2;
/// After so many days without a report something is wrong with the record or with its mailbox.
const SILENT_DAYS: u64 = 4;
/// From so many mails on a source is worth a word of its own.
const NOTABLE: u64 = 20;
const DAY: u64 = 86_400;

/// Whose a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// The Mailcow that this portal belongs to.
    Mailcow,
    /// An admin says that it is ours.
    Ours,
    /// An admin knows it, or the domain's own SPF record or key does.
    Known,
    /// First seen in the span, and busy enough to be looked at.
    New,
    /// Hands on mails of ours: their signature holds, the address is another's.
    Forwarder,
    /// A mailing list or a forwarder that hands on mails under a name of its own.
    List,
    /// Nothing of it passes, and nobody knows it.
    Forged,
    /// An admin says that it is not ours.
    Foreign,
}

impl Standing {
    /// All, the own ones first.
    pub const ALL: [Self; 8] = [
        Self::Mailcow,
        Self::Ours,
        Self::Known,
        Self::New,
        Self::Forwarder,
        Self::List,
        Self::Forged,
        Self::Foreign,
    ];

    /// The word in addresses and text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Mailcow => "mailcow",
            Self::Ours => "ours",
            Self::Known => "known",
            Self::New => "new",
            Self::Forwarder => "forwarder",
            Self::List => "list",
            Self::Forged => "forged",
            Self::Foreign => "foreign",
        }
    }

    /// The standing of a [`Standing::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.code() == code)
    }

    /// Whether mails from there may be wanted, so that a stricter policy could harm. A new source may be ours until
    /// somebody says otherwise.
    pub const fn is_own(self) -> bool {
        matches!(self, Self::Mailcow | Self::Ours | Self::Known | Self::New)
    }
}

/// What sources are measured by.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// Name of the own Mailcow, as `MAILCOW_DOMAIN` says.
    pub mailcow: &'a str,
    /// Begin of the span.
    pub from: Millis,
    /// Whether there are reports from before the span: without them nothing is new.
    pub has_past: bool,
    /// Messages of all sources in the span.
    pub messages: u64,
}

impl<'a> Judge<'a> {
    /// The judge of a domain's span.
    pub fn of(mailcow: &'a str, from: Millis, figures: &DomainFigures) -> Self {
        let has_past = figures.before.messages > 0;
        Self { mailcow, from, has_past, messages: figures.sums.messages }
    }

    /// Whose the source is. What an admin said wins, then the own name, then what receivers saw.
    pub fn standing(&self, source: &Source) -> Standing {
        let Sums { messages, dkim, spf, aligned, .. } = source.sums;
        match source.verdict {
            Verdict::Foreign => return Standing::Foreign,
            Verdict::Known => return Standing::Known,
            Verdict::Ours if !self.is_mailcow(source) => return Standing::Ours,
            _ if self.is_mailcow(source) => return Standing::Mailcow,
            _ => {}
        }
        let new = self.has_past && source.first >= self.from;
        // Senders of forgeries come for a day or a few mails; a device or a service comes again.
        let lasting = source.last.since(source.first).as_secs() >= DAY && messages >= NOTABLE;
        // One receiver's word is needed: a forger, too, can send under a name of its own.
        let Handed { told, .. } = source.handed;
        match aligned {
            0 if told > 0 && source.handed.all().saturating_mul(2) >= messages => Standing::List,
            0 if new && lasting => Standing::New,
            0 => Standing::Forged,
            _ if spf * 2 >= messages => Standing::Known,
            // The key alone: a service that signs for the domain sends much, somebody who hands on sends little.
            _ if dkim * 2 >= messages && messages * 20 >= self.messages => Standing::Known,
            _ => Standing::Forwarder,
        }
    }

    /// Whether the source bears the own Mailcow's name, which reverse DNS says and a forward lookup confirmed.
    pub fn is_mailcow(&self, source: &Source) -> bool {
        let bare = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
        let name = source.name.as_deref().map(bare).unwrap_or_default();
        !name.is_empty() && name == bare(self.mailcow)
    }
}

/// Whether too many mails fail: more than one in a hundred, so that a receiver's stray trouble does not count.
pub fn fails(sums: &Sums) -> bool {
    sums.failed() * 100 > sums.messages
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Whoever looks after the domain.
    You,
    /// Whoever looks after the mail server.
    Admin,
    /// It comes by itself.
    Later,
    /// Nobody.
    Nobody,
}

impl Turn {
    /// The word in text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::You => "you",
            Self::Admin => "admin",
            Self::Later => "later",
            Self::Nobody => "nobody",
        }
    }
}

/// The next stricter policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// `p=quarantine`.
    Quarantine,
    /// `p=quarantine` for all mails, no longer for a part (`pct`).
    FullQuarantine,
    /// `p=reject`.
    Reject,
    /// `p=reject` for all mails.
    FullReject,
}

impl Goal {
    /// What comes after a policy; `None` behind the strictest, and where the policy is not known.
    pub fn after(policy: &PolicySeen) -> Option<Self> {
        let partly = policy.pct.is_some_and(|pct| pct < 100);
        match policy.p.as_str() {
            "none" => Some(Self::Quarantine),
            "quarantine" if partly => Some(Self::FullQuarantine),
            "quarantine" => Some(Self::Reject),
            "reject" if partly => Some(Self::FullReject),
            _ => None,
        }
    }

    /// The word in the record.
    pub const fn p(self) -> &'static str {
        match self {
            Self::Quarantine | Self::FullQuarantine => "quarantine",
            Self::Reject | Self::FullReject => "reject",
        }
    }

    /// Whether only `pct` has to go.
    pub const fn is_full(self) -> bool {
        matches!(self, Self::FullQuarantine | Self::FullReject)
    }
}

/// Why a stricter policy cannot be judged yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// Reports of too few days.
    Days {
        /// That many so far.
        seen: u64,
    },
    /// Too few mails, told by too few receivers.
    Mails {
        /// Mails of the window.
        mails: u64,
        /// Receivers of the window.
        receivers: u64,
    },
    /// Reports have stopped.
    Silent {
        /// Begin of the last one.
        last: Millis,
    },
}

/// What makes mails of an own source fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw<'a> {
    /// Our own Mailcow: key or SPF record in the DNS.
    Mailcow,
    /// Nothing passes: it sends past Mailcow, and no signature of it holds.
    Direct,
    /// Nothing passes, as it signs for this other domain: its signatures hold, but are not aligned.
    Elsewhere(&'a str),
    /// Some pass: the service signs only a part, or not for this domain.
    Partly,
}

/// One piece of advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// An own source fails.
    Mend {
        /// The source.
        source: &'a Source,
        /// Whose.
        standing: Standing,
        /// What is wrong.
        flaw: Flaw<'a>,
    },
    /// The stricter policy is safe now.
    Tighten(Goal),
    /// The stricter policy would harm own mails; so many.
    NotYet(Goal, u64),
    /// Too little is known for a stricter policy.
    Wait(Goal, Lack),
    /// Reports have stopped, and the policy needs nothing.
    Silent(Millis),
    /// The strictest policy is in force.
    Keep,
    /// Mails of others in our name; so many.
    Ignore(u64),
    /// Mails that lists and forwarders hand on; so many.
    Lists(u64),
}

impl Step<'_> {
    /// Who acts. The own Mailcow is its admin's.
    pub const fn turn(&self) -> Turn {
        match self {
            Self::Mend { flaw: Flaw::Mailcow, .. } => Turn::Admin,
            Self::Mend { .. } | Self::Tighten(_) | Self::Silent(_) | Self::Wait(_, Lack::Silent { .. }) => {
                Turn::You
            }
            Self::NotYet(..) | Self::Wait(..) => Turn::Later,
            Self::Keep | Self::Ignore(_) | Self::Lists(_) => Turn::Nobody,
        }
    }
}

/// What advice for one domain follows from.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The present moment.
    pub now: Millis,
    /// Figures of the last [`WINDOW_DAYS`].
    pub recent: &'a DomainFigures,
    /// Sources of the last [`WINDOW_DAYS`].
    pub sources: &'a [Source],
    /// Measure of these sources.
    pub judge: Judge<'a>,
    /// Of those that [`silent`] names: the domain for which each signs, where its signatures hold.
    pub signers: &'a BTreeMap<IpAddr, String>,
}

/// Own sources of which nothing passes. What to do about them depends on whether they sign at all: only for another domain,
/// or not. As many as advice speaks of, the busiest first.
pub fn silent<'a>(sources: &'a [Source], judge: &Judge) -> Vec<&'a Source> {
    let wanted = |source: &&Source| {
        let standing = judge.standing(source);
        source.sums.aligned == 0 && standing.is_own() && standing != Standing::Mailcow
    };
    let mut silent: Vec<&Source> = sources.iter().filter(wanted).collect();
    silent.sort_by_key(|source| std::cmp::Reverse(source.sums.messages));
    silent.truncate(MOST_MENDED);
    silent
}

impl<'a> Situation<'a> {
    /// What to do next: mend own sources, then tighten, then wait, then ignore. At most [`MOST_STEPS`].
    pub fn steps(&self) -> Vec<Step<'a>> {
        let mut failing = self.failing();
        failing.sort_by_key(|(source, _)| std::cmp::Reverse(source.sums.failed()));
        let mend = failing.iter().map(|(source, standing)| Step::Mend {
            source,
            standing: *standing,
            flaw: match standing {
                Standing::Mailcow => Flaw::Mailcow,
                _ if source.sums.aligned > 0 => Flaw::Partly,
                _ => self.signers.get(&source.ip).map_or(Flaw::Direct, |domain| Flaw::Elsewhere(domain)),
            },
        });
        let mut steps: Vec<Step> = mend.take(MOST_MENDED).collect();
        steps.extend(self.policy_step());
        let forged = self.failed_of(&[Standing::Forged, Standing::Foreign]);
        steps.extend((forged > 0).then_some(Step::Ignore(forged)));
        let handed = self.failed_of(&[Standing::List]);
        steps.extend((handed > 0).then_some(Step::Lists(handed)));
        steps.truncate(MOST_STEPS);
        steps
    }

    /// Own sources that fail, with their standing.
    fn failing(&self) -> Vec<(&'a Source, Standing)> {
        let judged = self.sources.iter().map(|source| (source, self.judge.standing(source)));
        judged.filter(|(source, standing)| standing.is_own() && fails(&source.sums)).collect()
    }

    /// Mails of own sources that fail: what a stricter policy would harm.
    pub fn harmed(&self) -> u64 {
        self.failing().iter().map(|(source, _)| source.sums.failed()).sum()
    }

    /// Mails that fail from sources of these standings.
    fn failed_of(&self, standings: &[Standing]) -> u64 {
        let of = |source: &&Source| standings.contains(&self.judge.standing(source));
        self.sources.iter().filter(of).map(|source| source.sums.failed()).sum()
    }

    fn policy_step(&self) -> Option<Step<'a>> {
        let lack = self.lack();
        let Some(goal) = Goal::after(&self.recent.policy) else {
            return match lack {
                Some(Lack::Silent { last }) => Some(Step::Silent(last)),
                _ => (self.recent.policy.p == "reject").then_some(Step::Keep),
            };
        };
        Some(match (self.harmed(), lack) {
            (_, Some(lack @ Lack::Silent { .. })) => Step::Wait(goal, lack),
            (0, Some(lack)) => Step::Wait(goal, lack),
            (0, None) => Step::Tighten(goal),
            (mails, _) => Step::NotYet(goal, mails),
        })
    }

    /// What the rule still lacks, sources aside.
    fn lack(&self) -> Option<Lack> {
        let recent = self.recent;
        let (Some(first), Some(last)) = (recent.first, recent.last) else {
            return Some(Lack::Mails { mails: 0, receivers: 0 });
        };
        if self.now.since(last).as_secs() >= (SILENT_DAYS + 1) * DAY {
            return Some(Lack::Silent { last });
        }
        // The last reports tell of yesterday: a window is full when it has been seen from its first day on.
        let seen = if self.judge.has_past { WINDOW_DAYS } else { self.now.since(first).as_secs() / DAY };
        if seen < WINDOW_DAYS - 1 {
            return Some(Lack::Days { seen });
        }
        let (mails, receivers) = (recent.sums.messages, recent.receivers);
        (mails < LEAST_MAILS && receivers < LEAST_RECEIVERS).then_some(Lack::Mails { mails, receivers })
    }
}

/// Two sums together.
pub fn add(one: Sums, other: &Sums) -> Sums {
    Sums {
        messages: one.messages + other.messages,
        dkim: one.dkim + other.dkim,
        spf: one.spf + other.spf,
        aligned: one.aligned + other.aligned,
        quarantined: one.quarantined + other.quarantined,
        rejected: one.rejected + other.rejected,
    }
}

/// What a domain needs at a glance, from its figures alone. The order is that of a table, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Glance {
    /// Much fails although receivers put aside or refuse what fails.
    Harm,
    /// Much fails.
    Mend,
    /// A source is new.
    Look,
    /// Nearly all passes, and the policy is not the strictest.
    Tighten,
    /// Too few mails to judge.
    Wait,
    /// All is well.
    Fine,
}

impl Glance {
    /// The glance at a domain.
    pub fn at(figures: &DomainFigures) -> Self {
        let sums = &figures.sums;
        let many = sums.failed() * 20 > sums.messages && sums.messages >= NOTABLE;
        match figures {
            _ if many && matches!(figures.policy.p.as_str(), "quarantine" | "reject") => Self::Harm,
            _ if many => Self::Mend,
            DomainFigures { new_sources: 1.., before: Sums { messages: 1.., .. }, .. } => Self::Look,
            _ if sums.messages < LEAST_MAILS && figures.receivers < LEAST_RECEIVERS => Self::Wait,
            _ if Goal::after(&figures.policy).is_some() => Self::Tighten,
            _ => Self::Fine,
        }
    }

    /// The word in text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Harm => "harm",
            Self::Mend => "mend",
            Self::Look => "look",
            Self::Tighten => "tighten",
            Self::Wait => "wait",
            Self::Fine => "fine",
        }
    }
}

/// Who mends a kind of failure in TLS reports (RFC 8460 section 4.3). Certificates and STARTTLS are the mail
/// server's; records and the policy file are the domain's; for what is general or unknown the sender's words decide.
pub fn tls_turn(kind: &str) -> Turn {
    match kind {
        "starttls-not-supported"
        | "certificate-host-mismatch"
        | "certificate-expired"
        | "certificate-not-trusted" => Turn::Admin,
        "tlsa-invalid"
        | "dnssec-invalid"
        | "dane-required"
        | "sts-policy-fetch-error"
        | "sts-policy-invalid"
        | "sts-webpki-invalid" => Turn::You,
        _ => Turn::Later,
    }
}

#[cfg(test)]
mod tests;
