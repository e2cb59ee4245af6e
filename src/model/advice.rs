//! From figures of reports to advice: which source is whose, what fails, what changed, whether a stricter policy
//! is safe now and why, and what to do next. Pure: no words, no database.

mod change;
mod survey;

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    figures::{DomainFigures, PolicySeen, Source, Span, Sums, Verdict},
    time::Millis,
};
pub use change::{Change, History, shift};
pub use survey::{LEADING, Survey, Tally};

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
/// From so many mails in [`WINDOW_DAYS`] on a source is worth a word of its own.
pub const NOTABLE: u64 = 20;
/// Who forges comes for a day or two; a source that still comes after so many days is asked about.
pub const LASTING_DAYS: u64 = 7;
const DAY: u64 = 86_400;

/// Whose a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// The Mailcow that this portal belongs to.
    Mailcow,
    /// An admin says that it is ours.
    Ours,
    /// An admin knows it, or the domain's own SPF record or key does.
    Known,
    /// Nothing of it passes; first seen in the span, and busy enough to be looked at.
    New,
    /// Nothing of it passes, but it comes again and again like a service does, and nobody has said whose it is.
    Unclear,
    /// Hands on mails of ours: their signature holds, the address is another's.
    Forwarder,
    /// A mailing list or a forwarder that hands on mails under a name of its own.
    List,
    /// Nothing of it passes, nobody knows it, and it sends little or came only for a short time.
    Forged,
    /// An admin says that it is not ours.
    Foreign,
}

impl Standing {
    /// All, the own ones first.
    pub const ALL: [Self; 9] = [
        Self::Mailcow,
        Self::Ours,
        Self::Known,
        Self::New,
        Self::Unclear,
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
            Self::Unclear => "unclear",
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

    /// Whether mails from there may be wanted, so that a stricter policy could harm. What is asked about may be ours
    /// until somebody says otherwise.
    pub const fn is_own(self) -> bool {
        matches!(self, Self::Mailcow | Self::Ours | Self::Known) || self.is_asked()
    }

    /// Whether an admin has to say whose it is: reports cannot tell.
    pub const fn is_asked(self) -> bool {
        matches!(self, Self::New | Self::Unclear)
    }
}

/// What sources are measured by.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// Name of the own Mailcow, as `MAILCOW_DOMAIN` says.
    pub mailcow: &'a str,
    /// Begin of the span.
    pub from: Millis,
    /// End of the span.
    pub to: Millis,
    /// Whether there are reports from before the span: without them nothing is new.
    pub has_past: bool,
    /// Messages of all sources in the span.
    pub messages: u64,
}

impl<'a> Judge<'a> {
    /// The judge of a domain's span.
    pub fn of(mailcow: &'a str, span: &Span, figures: &DomainFigures) -> Self {
        let has_past = figures.before.messages > 0;
        Self { mailcow, from: span.from, to: span.to, has_past, messages: figures.sums.messages }
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
        match aligned {
            0 => self.standing_of_silent(source),
            _ if spf * 2 >= messages => Standing::Known,
            // The key alone: a service that signs for the domain sends much, somebody who hands on sends little.
            _ if dkim * 2 >= messages && messages * 20 >= self.messages => Standing::Known,
            _ => Standing::Forwarder,
        }
    }

    /// Whose a source is of which nothing passes. Such are forgers, but also the newsletter service that signs in its own
    /// name, and the scanner that sends past Mailcow. Forgeries come from many addresses, for a short time or a few mails
    /// each, and prove no name; so whoever sends much and comes again is asked about, and sooner if most mails prove a name.
    fn standing_of_silent(&self, source: &Source) -> Standing {
        let (messages, handed) = (source.sums.messages, source.handed);
        let most = |mails: u64| mails.saturating_mul(2) >= messages;
        // One receiver's word is needed: a forger, too, can send under a name of its own.
        if handed.told > 0 && most(handed.all()) {
            return Standing::List;
        }
        let days = source.last.since(source.first).as_secs() / DAY;
        let new = self.has_past && source.first >= self.from;
        match days {
            _ if !self.is_busy(source) => Standing::Forged,
            1.. if new => Standing::New,
            LASTING_DAYS.. => Standing::Unclear,
            1.. if most(handed.own) => Standing::Unclear,
            _ => Standing::Forged,
        }
    }

    /// Whether a source sends [`NOTABLE`] mails in [`WINDOW_DAYS`], or as much for the part of a longer span since it came.
    fn is_busy(&self, source: &Source) -> bool {
        let days = self.to.since(source.first.max(self.from)).as_secs().div_ceil(DAY);
        source.sums.messages.saturating_mul(WINDOW_DAYS) >= NOTABLE * days.max(WINDOW_DAYS)
    }

    /// Whether the source bears the own Mailcow's name, which reverse DNS says and a forward lookup confirmed.
    pub fn is_mailcow(&self, source: &Source) -> bool {
        source.name.as_deref().is_some_and(|name| self.is_called(name))
    }

    /// Whether a name is the own Mailcow's.
    pub fn is_called(&self, name: &str) -> bool {
        let bare = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
        let name = bare(name);
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

/// What a policy demands of receivers, the mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    /// Reports only.
    None,
    /// Put aside what fails.
    Quarantine,
    /// Refuse what fails.
    Reject,
}

impl Demand {
    /// That of a word in the record; `None` for a word that no standard knows.
    pub fn of(word: &str) -> Option<Self> {
        [Self::None, Self::Quarantine, Self::Reject].into_iter().find(|demand| demand.word() == word)
    }

    /// The word in the record.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }
}

/// The next stricter policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Another `p`.
    Policy(Demand),
    /// The same `p` in force, no longer only tested (`t=y`, RFC 9990).
    InForce(Demand),
    /// The same `p` for all mails, no longer for a part (`pct`).
    Whole(Demand),
    /// The same `p` for subdomains, too, for which `sp` demands less.
    Subdomains(Demand),
}

impl Goal {
    /// What comes after a policy; `None` behind the strictest, and where the policy is not known.
    pub fn after(policy: &PolicySeen) -> Option<Self> {
        let p = Demand::of(&policy.p)?;
        let sp = policy.sp.as_deref().and_then(Demand::of).unwrap_or(p);
        match p {
            Demand::None => Some(Self::Policy(Demand::Quarantine)),
            _ if policy.testing => Some(Self::InForce(p)),
            _ if policy.pct.is_some_and(|pct| pct < 100) => Some(Self::Whole(p)),
            _ if sp < p => Some(Self::Subdomains(p)),
            Demand::Quarantine => Some(Self::Policy(Demand::Reject)),
            Demand::Reject => None,
        }
    }

    /// The word in the record.
    pub const fn p(self) -> &'static str {
        match self {
            Self::Policy(p) | Self::InForce(p) | Self::Whole(p) | Self::Subdomains(p) => p.word(),
        }
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

/// Mails that fail of own sources of which no more than one in a hundred does ([`fails`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stray {
    /// That many.
    pub failed: u64,
    /// Of so many mails of these sources.
    pub messages: u64,
}

/// Mails that a stricter policy would harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Harm {
    /// Those of own sources.
    pub own: u64,
    /// Those of sources that are asked about.
    pub asked: u64,
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
    /// Nothing of a source passes, and only an admin can say whether it is a service of ours.
    Ask {
        /// The source.
        source: &'a Source,
        /// The domain for which it signs, where its signatures hold.
        signer: Option<&'a str>,
    },
    /// The stricter policy is safe now.
    Tighten(Goal, Stray),
    /// The stricter policy would harm own mails.
    NotYet(Goal, Harm),
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
            Self::Mend { .. }
            | Self::Ask { .. }
            | Self::Tighten(..)
            | Self::Silent(_)
            | Self::Wait(_, Lack::Silent { .. }) => Turn::You,
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
    /// What the sources of the last [`WINDOW_DAYS`] come to.
    pub survey: &'a Survey,
    /// Whether there are reports from before these days.
    pub has_past: bool,
    /// Of those that [`silent`] names: the domain for which each signs, where its signatures hold.
    pub signers: &'a BTreeMap<IpAddr, String>,
}

/// Own sources of which nothing passes, as far as advice speaks of them. What to do about them depends on whether they sign
/// at all: only for another domain, or not.
pub fn silent(survey: &Survey) -> impl Iterator<Item = &Source> {
    let wanted =
        |(standing, source): &&(Standing, Source)| source.sums.aligned == 0 && *standing != Standing::Mailcow;
    survey.failing().iter().take(MOST_MENDED).filter(wanted).map(|(_, source)| source)
}

impl<'a> Situation<'a> {
    /// What to do next: mend own sources and ask about others, then tighten, then wait, then ignore. At most [`MOST_STEPS`].
    pub fn steps(&self) -> Vec<Step<'a>> {
        let failing = self.survey.failing().iter().take(MOST_MENDED);
        let mut steps: Vec<Step> = failing.map(|(standing, source)| self.mend(source, *standing)).collect();
        steps.extend(self.policy_step());
        let forged = self.survey.of(|one| matches!(one, Standing::Forged | Standing::Foreign)).failed;
        steps.extend((forged > 0).then_some(Step::Ignore(forged)));
        let handed = self.survey.of(|one| one == Standing::List).failed;
        steps.extend((handed > 0).then_some(Step::Lists(handed)));
        steps.truncate(MOST_STEPS);
        steps
    }

    fn mend(&self, source: &'a Source, standing: Standing) -> Step<'a> {
        let signer = self.signers.get(&source.ip).map(String::as_str);
        let flaw = match standing {
            _ if standing.is_asked() => return Step::Ask { source, signer },
            Standing::Mailcow => Flaw::Mailcow,
            _ if source.sums.aligned > 0 => Flaw::Partly,
            _ => signer.map_or(Flaw::Direct, Flaw::Elsewhere),
        };
        Step::Mend { source, standing, flaw }
    }

    /// What a stricter policy would harm.
    pub fn harm(&self) -> Harm {
        let own = self.survey.of(|one| one.is_own() && !one.is_asked()).harmed;
        Harm { own, asked: self.survey.of(Standing::is_asked).harmed }
    }

    /// What fails although no source fails by the rule.
    fn stray(&self) -> Stray {
        let Tally { failed, messages, .. } = self.survey.of(Standing::is_own);
        Stray { failed, messages }
    }

    fn policy_step(&self) -> Option<Step<'a>> {
        let lack = self.lack();
        let Some(goal) = Goal::after(&self.recent.policy) else {
            return match lack {
                Some(Lack::Silent { last }) => Some(Step::Silent(last)),
                _ => (self.recent.policy.p == "reject").then_some(Step::Keep),
            };
        };
        Some(match (self.harm(), lack) {
            (_, Some(lack @ Lack::Silent { .. })) => Step::Wait(goal, lack),
            (Harm { own: 0, asked: 0 }, Some(lack)) => Step::Wait(goal, lack),
            (Harm { own: 0, asked: 0 }, None) => Step::Tighten(goal, self.stray()),
            (harm, _) => Step::NotYet(goal, harm),
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
        let seen = if self.has_past { WINDOW_DAYS } else { self.now.since(first).as_secs() / DAY };
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
            _ if many && matches!(figures.policy.in_force(), "quarantine" | "reject") => Self::Harm,
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
