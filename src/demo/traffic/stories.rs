//! What kinds of mail there are, how often each occurs, and how it is made up.

use super::{
    letter::{Entry, Fate, Letter, Peer, Target, Trouble, Verdict},
    scribe::Scribe,
    words::{
        FULL_HERE, GREYLISTED_THERE, JUNK, LASTING, MAILINGS, NEWS, PEOPLE, PERMANENT, SPAMMERS, STRANGE,
        SUBJECTS, TEMPORARY,
    },
};
use crate::{demo::world::domain_of, model::time::Millis};

/// A kind of mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Story {
    /// From elsewhere into one mailbox.
    Incoming,
    /// To a tagged address.
    Tagged,
    /// To `sales@`, which is ann.
    Sales,
    /// To `info@`, which ann and bob share.
    Shared,
    /// To an address of the alias domain.
    AliasDomain,
    /// To several people here, with others in Cc.
    Several,
    /// With Bcc recipients here.
    HiddenCopy,
    /// A mailing.
    Mailing,
    /// With a subject that careless pages show wrongly.
    StrangeSubject,
    /// Without a message id of its own.
    NoMessageId,
    /// Without a subject.
    NoSubject,
    /// To an alias that forwards to another server.
    Forwarded,
    /// To postmaster, past the filter.
    Postmaster,
    /// Past the filter without a row in its history.
    Unseen,
    /// Under a queue id that another mail had before.
    ReusedId,
    /// Moved to Junk.
    Junk,
    /// Marked in the subject.
    Rewritten,
    /// Refused as spam.
    Spam,
    /// Refused as spam; a copy is in quarantine.
    Quarantined,
    /// Refused because of a virus.
    Virus,
    /// Greylisted, then let in.
    Greylisted,
    /// Greylisted, and never seen again.
    GreylistedOnly,
    /// Kept back, then released.
    Released,
    /// Kept back.
    Held,
    /// Thrown away by a rule.
    Discarded,
    /// Thrown away by an alias.
    BlackHole,
    /// Into a full mailbox here.
    FullHere,
    /// To another server.
    Outgoing,
    /// To a server whose encryption is enforced.
    EnforcedTls,
    /// By web mail.
    Webmail,
    /// From colleague to colleague.
    Internal,
    /// To people here and elsewhere, with mixed fates.
    Mixed,
    /// With Bcc recipients here and elsewhere.
    OutgoingHidden,
    /// Greylisted or put off by the other server, then taken.
    Later,
    /// Put off again and again.
    Stuck,
    /// Refused by the other server.
    Bounced,
    /// Put off, then refused.
    LateBounce,
    /// Stopped by the rate limit.
    RateLimited,
    /// To somebody here who does not exist.
    UnknownRecipient,
    /// The same, from a user here.
    UnknownFromUser,
    /// To elsewhere by a stranger.
    RelayDenied,
    /// Under a sender that the login does not own.
    ForeignSender,
    /// Under a sender of ours, by a stranger, or of a domain that does not exist.
    ForgedSender,
    /// By a client on a block list.
    Listed,
    /// By a client that talks before its turn.
    TalksEarly,
    /// Wrong passwords.
    WrongPassword,
}

/// How often each story occurs among a thousand.
pub(super) const MIX: &[(Story, u32)] = &[
    (Story::Incoming, 300),
    (Story::Tagged, 15),
    (Story::Sales, 30),
    (Story::Shared, 30),
    (Story::AliasDomain, 15),
    (Story::Several, 20),
    (Story::HiddenCopy, 12),
    (Story::Mailing, 60),
    (Story::StrangeSubject, 25),
    (Story::NoMessageId, 4),
    (Story::NoSubject, 4),
    (Story::Forwarded, 8),
    (Story::Postmaster, 8),
    (Story::Unseen, 3),
    (Story::ReusedId, 4),
    (Story::Junk, 25),
    (Story::Rewritten, 6),
    (Story::Spam, 35),
    (Story::Quarantined, 15),
    (Story::Virus, 6),
    (Story::Greylisted, 30),
    (Story::GreylistedOnly, 6),
    (Story::Released, 3),
    (Story::Held, 4),
    (Story::Discarded, 4),
    (Story::BlackHole, 6),
    (Story::FullHere, 4),
    (Story::Outgoing, 105),
    (Story::EnforcedTls, 8),
    (Story::Webmail, 25),
    (Story::Internal, 45),
    (Story::Mixed, 16),
    (Story::OutgoingHidden, 12),
    (Story::Later, 25),
    (Story::Stuck, 8),
    (Story::Bounced, 30),
    (Story::LateBounce, 4),
    (Story::RateLimited, 5),
    (Story::UnknownRecipient, 25),
    (Story::UnknownFromUser, 4),
    (Story::RelayDenied, 8),
    (Story::ForeignSender, 5),
    (Story::ForgedSender, 6),
    (Story::Listed, 30),
    (Story::TalksEarly, 5),
    (Story::WrongPassword, 10),
];

const USERS: &[&str] = &[
    "ann@alpha.test",
    "ann@alpha.test",
    "ann@alpha.test",
    "bob@alpha.test",
    "bob@alpha.test",
    "carla@beta.test",
    "carla@beta.test",
    "admin@alpha.test",
    "postmaster@alpha.test",
    "emil@beta.test",
    "frida@beta.test",
];

impl Scribe<'_> {
    /// Tells `story`, beginning at `at`; gives back when it ends.
    pub fn tell(&mut self, story: Story, at: Millis) -> Millis {
        match story {
            Story::UnknownRecipient => self.unknown_recipient(at),
            Story::UnknownFromUser => self.unknown_from_user(at),
            Story::RelayDenied => self.relay_denied(at),
            Story::ForeignSender => self.foreign_sender(at),
            Story::ForgedSender => self.forged_sender(at),
            Story::Listed => self.listed(at),
            Story::TalksEarly => self.talks_early(at),
            Story::WrongPassword => self.wrong_password(at),
            Story::ReusedId => {
                let letter = self.incoming(story);
                let id = self.ids.again(self.rng, at);
                self.post_as(at, &letter, id).ends
            }
            Story::Outgoing
            | Story::EnforcedTls
            | Story::Webmail
            | Story::Internal
            | Story::Mixed
            | Story::OutgoingHidden
            | Story::Later
            | Story::Stuck
            | Story::Bounced
            | Story::LateBounce
            | Story::RateLimited => {
                let letter = self.outgoing(story);
                self.post(at, &letter).ends
            }
            _ => {
                let letter = self.incoming(story);
                self.post(at, &letter).ends
            }
        }
    }

    fn incoming(&mut self, story: Story) -> Letter {
        let sender = match story {
            Story::Mailing => self.rng.pick(MAILINGS),
            Story::Spam | Story::Quarantined | Story::Virus | Story::Junk | Story::Rewritten => {
                self.rng.pick(SPAMMERS)
            }
            _ => self.rng.pick(PEOPLE),
        };
        let subject = match story {
            Story::Mailing => self.rng.pick(NEWS),
            Story::Spam | Story::Quarantined | Story::Virus | Story::Junk | Story::Rewritten => {
                self.rng.pick(JUNK)
            }
            Story::StrangeSubject => self.rng.pick(STRANGE),
            _ => self.rng.pick(SUBJECTS),
        };
        let to = self.recipient(story);
        let mut letter = Letter::incoming(sender, &[to], subject);
        letter.verdict = verdict(story);
        if story == Story::StrangeSubject && self.rng.chance(10) {
            letter.subject = Some("Sehr lang ".repeat(95));
        }
        if matches!(story, Story::Spam | Story::Quarantined) && self.rng.chance(40) {
            letter.entry = Entry::Remote(Peer { host: "unknown".into(), ..Peer::of("x", domain_of(sender)) });
        }
        match story {
            Story::Several => {
                letter.targets.push(Target::good("bob@alpha.test"));
                letter.elsewhere.push(self.rng.pick(PEOPLE).to_owned());
            }
            Story::HiddenCopy => {
                letter.targets = vec![Target::bcc("bob@alpha.test"), Target::bcc("carla@beta.test")];
                letter.elsewhere.push(self.rng.pick(PEOPLE).to_owned());
            }
            Story::Quarantined if self.rng.chance(30) => letter.targets.push(Target::good("info@alpha.test")),
            Story::FullHere => letter.targets = vec![Target::with("emil@beta.test", Fate::Bounce(FULL_HERE))],
            Story::NoSubject => letter.subject = None,
            _ => {}
        }
        self.finish(&mut letter, story);
        letter
    }

    fn recipient(&mut self, story: Story) -> &'static str {
        match story {
            Story::Tagged => {
                self.rng.pick(&["ann+shop@alpha.test", "bob+list@alpha.test", "carla+verein@beta.test"])
            }
            Story::Sales => "sales@alpha.test",
            Story::Shared => "info@alpha.test",
            Story::AliasDomain => {
                self.rng.pick(&["ann@alpha-alias.test", "bob@alpha-alias.test", "info@alpha-alias.test"])
            }
            Story::Several => "ann@alpha.test",
            Story::Forwarded => "office@beta.test",
            Story::Postmaster => self.rng.pick(&["postmaster@alpha.test", "postmaster@beta.test"]),
            Story::BlackHole => "blackhole@alpha.test",
            _ => self.rng.pick(USERS),
        }
    }

    fn outgoing(&mut self, story: Story) -> Letter {
        let login = self.rng.pick(USERS);
        let to = match story {
            Story::EnforcedTls => "service@bank-online.example",
            Story::Internal => {
                self.rng.pick(&["bob@alpha.test", "carla@beta.test", "sales@alpha.test", "ann@alpha.test"])
            }
            _ => self.rng.pick(PEOPLE),
        };
        let subject = self.rng.pick(SUBJECTS);
        let mut letter = Letter::outgoing(login, &[to], subject);
        letter.entry = match story {
            Story::Webmail => Entry::Webmail(login.to_owned()),
            _ if self.rng.chance(30) => Entry::Smtps(login.to_owned()),
            _ => letter.entry,
        };
        letter.verdict = verdict(story);
        match story {
            Story::Mixed => {
                let fate = Fate::Bounce(self.trouble(PERMANENT));
                letter.targets.push(Target::with("gone@webfreunde.example", fate));
                let fate = Fate::Later(2, self.trouble(TEMPORARY));
                letter.targets.push(Target::with("slow@sportclub.example", fate));
                letter.targets.push(Target::good("carla@beta.test"));
                letter.targets.push(Target {
                    fate: Fate::Bounce(self.trouble(PERMANENT)),
                    ..Target::bcc("chef@outmail.example")
                });
            }
            Story::OutgoingHidden => {
                letter.targets.push(Target::bcc("bob@alpha.test"));
                letter.targets.push(Target::bcc("yuki@tokyo-trade.example"));
            }
            _ => self.doom(&mut letter, story),
        }
        self.finish(&mut letter, story);
        letter
    }

    /// Gives the only recipient of an outgoing mail the fate of its story.
    fn doom(&mut self, letter: &mut Letter, story: Story) {
        let fate = match story {
            Story::Later if self.rng.chance(60) => {
                Fate::Later(self.rng.between(1, 2) as u32, GREYLISTED_THERE)
            }
            Story::Later => Fate::Later(self.rng.between(1, 5) as u32, self.trouble(TEMPORARY)),
            Story::Stuck => Fate::Stuck(self.trouble(LASTING)),
            Story::Bounced => Fate::Bounce(self.trouble(PERMANENT)),
            Story::LateBounce => Fate::LateBounce(2, self.trouble(TEMPORARY), self.trouble(PERMANENT)),
            _ => return,
        };
        for target in &mut letter.targets {
            target.fate = fate.clone();
        }
        if story == Story::Stuck && letter.targets.len() == 1 {
            letter.targets[0].address = "info@tippfehler-gmbh.example".to_owned();
        }
    }

    fn trouble(&mut self, choices: &[Trouble]) -> Trouble {
        choices[self.rng.below(choices.len() as u64) as usize].clone()
    }

    /// Size and message id.
    fn finish(&mut self, letter: &mut Letter, story: Story) {
        letter.size = match self.rng.below(10) {
            0 => self.rng.between(200_000, 9_000_000),
            1..=3 => self.rng.between(20_000, 150_000),
            _ => self.rng.between(1_200, 18_000),
        };
        if story != Story::NoMessageId {
            letter.message_id = Some(self.message_id(domain_of(&letter.sender)));
        }
    }

    fn message_id(&mut self, domain: &str) -> String {
        match self.rng.below(4) {
            0 => format!("{}-{}-{}@{domain}", self.rng.hex(8), self.rng.hex(4), self.rng.hex(12)),
            1 => format!("CA+{}=={}@mail.{domain}", self.rng.hex(24), self.rng.hex(4)),
            2 => format!("{}.{}.JavaMail.app@{domain}", self.rng.below(99_999_999), self.rng.below(99_999)),
            _ => format!("{}$@{domain}", self.rng.hex(20).to_uppercase()),
        }
    }
}

fn verdict(story: Story) -> Verdict {
    match story {
        Story::Mailing => Verdict::Bulk,
        Story::Postmaster => Verdict::Waved,
        Story::Unseen => Verdict::Unseen,
        Story::Junk => Verdict::Junk,
        Story::Rewritten => Verdict::Rewrite,
        Story::Spam => Verdict::Spam,
        Story::Quarantined => Verdict::Quarantine,
        Story::Virus => Verdict::Virus,
        Story::Greylisted => Verdict::Greylist,
        Story::GreylistedOnly => Verdict::GreylistOnly,
        Story::Released => Verdict::Hold { released: true },
        Story::Held => Verdict::Hold { released: false },
        Story::Discarded => Verdict::Discard,
        Story::RateLimited => Verdict::RateLimit,
        _ => Verdict::Clean,
    }
}
