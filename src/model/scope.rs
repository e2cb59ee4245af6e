//! Who may see what: the one place where sight of a mail is decided. Exact, and closed when in doubt.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    mail::{Direction, Entrance, Mail, Recipient, Status, StepKind, VisibleMail},
    time::Millis,
};

/// A role, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sees the mails of the own mailbox.
    User,
    /// Sees the mails of some domains, too.
    DomainAdmin,
    /// Sees everything.
    Admin,
}

impl Role {
    /// The word in the database, in command lines and in text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::DomainAdmin => "domain-admin",
            Self::Admin => "admin",
        }
    }

    /// The role of a [`Role::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::User, Self::DomainAdmin, Self::Admin].into_iter().find(|role| role.code() == code)
    }
}

/// What a visitor may see. Every function of `store` that returns people's data takes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything: admins and workers.
    All,
    /// Own addresses and administered domains only.
    Only(Holdings),
}

/// The addresses and domains of one visitor. Empty holdings see nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    /// Administered domains, normalised.
    pub domains: BTreeSet<String>,
    /// Own addresses, normalised, with how each is held.
    pub addresses: BTreeMap<String, Holding>,
}

/// How an address belongs to a visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// From when on the address was theirs; earlier mails belong to somebody else.
    pub since: Millis,
    /// From when on mails *from* this address are theirs, too: of the mailbox, and of aliases that lead to nobody else.
    /// `None` while others hold the address as well.
    pub sends: Option<Millis>,
}

impl Holding {
    fn sends_at(&self, at: Millis) -> bool {
        self.since <= at && self.sends.is_some_and(|sends| sends <= at)
    }
}

/// What a scope sees of one mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// All recipients: admins, and domain admins of the sender's domain.
    Full,
    /// All recipients, but not what happened inside other people's mailboxes: the sender.
    Sender,
    /// Only the recipients that are theirs.
    Recipients,
}

impl Scope {
    /// The scope of one mailbox and nothing else.
    pub fn mailbox(address: &str, since: Millis) -> Self {
        let holding = Holding { since, sends: Some(since) };
        Self::Only(Holdings {
            domains: BTreeSet::new(),
            addresses: normalise_address(address).map(|address| (address, holding)).into_iter().collect(),
        })
    }

    /// What of this scope is the own mailbox of its visitor, without what a role adds.
    pub fn own(&self, address: &str) -> Self {
        match self {
            Self::All => Self::mailbox(address, Millis(0)),
            Self::Only(holdings) => {
                Self::Only(Holdings { domains: BTreeSet::new(), addresses: holdings.addresses.clone() })
            }
        }
    }

    /// Whether this scope sees the mail, and how much of it.
    pub fn sight(&self, mail: &Mail) -> Option<Sight> {
        let Self::Only(holdings) = self else { return Some(Sight::Full) };
        let sender = mail.sender.as_deref().unwrap_or_default();
        let login = mail.login.as_deref().unwrap_or_default();
        let sends = holdings.administers(sender);
        if holdings.administers(login) || sends && !claims_sender(mail) {
            return Some(Sight::Full);
        }
        if holdings.holds_login(login, mail.first_seen) || holdings.wrote(mail) || sends {
            return Some(Sight::Sender);
        }
        let own = mail.recipients.iter().any(|recipient| holdings.sees_recipient(recipient, mail.first_seen));
        own.then_some(Sight::Recipients)
    }

    /// The mail as this scope may see it, or `None` when it may not be seen at all.
    pub fn view(&self, mail: Mail) -> Option<VisibleMail> {
        let sight = self.sight(&mail)?;
        let mail = match (self, sight) {
            (Self::Only(holdings), Sight::Recipients) => own_rows(mail, holdings),
            (Self::Only(holdings), Sight::Sender) => without_foreign_mailboxes(mail, holdings),
            _ => mail,
        };
        Some(VisibleMail { mail, sight })
    }
}

/// Whether whoever holds the sender's address wrote the mail, as far as the log tells. Not so: the copy that a Bcc map makes in
/// the sender's name, what somebody else was not let through with, and what somebody else, being logged in, sent under an
/// address with a tag, which may be an alias of their own.
pub fn is_written_by(mail: &Mail, sender: &str) -> bool {
    let copied = mail.entrance == Some(Entrance::BccCopy);
    let refused = mail.refusal.is_some();
    let tagged = normalise_address(sender).is_some_and(|sender| untagged(&sender) != sender);
    !copied && !(mail.login.is_some() && (refused || tagged))
}

/// Whether nothing but the envelope says who wrote the mail: it came in at port 25, where anybody may claim to be anybody.
fn claims_sender(mail: &Mail) -> bool {
    mail.login.is_none() && matches!(mail.entrance, None | Some(Entrance::Smtp))
}

/// Keeps the rows of the visitor's own recipients and the steps that tell nothing of the others.
fn own_rows(mut mail: Mail, holdings: &Holdings) -> Mail {
    let at = mail.first_seen;
    let own = |recipient: &Recipient| holdings.sees_recipient(recipient, at);
    mail.recipients.retain(own);
    mail.steps.retain(|step| match &step.kind {
        StepKind::Attempt(recipient) | StepKind::RecipientRefused(recipient) => own(recipient),
        // Notices go to the sender; the end of the queue id depends on the other recipients.
        // What the PHP app noted does not say which recipient it is about.
        StepKind::Notice(_) | StepKind::Removed | StepKind::Expired | StepKind::Noted(..) => false,
        StepKind::Deleted => mail.recipients.iter().any(|row| row.status == Status::Discarded),
        StepKind::Requeued => mail.recipients.iter().any(Recipient::goes_on),
        _ => true,
    });
    for step in &mut mail.steps {
        // The words of a rule may name the recipient that it is about, who need not have a row yet.
        if let StepKind::Held(reason) | StepKind::Discarded(reason) = &mut step.kind {
            reason.clear();
        }
    }
    mail.direction = own_direction(&mail);
    mail.notices.clear();
    mail.removed = None;
    mail.status = mail.recipients.iter().map(|recipient| recipient.status).max().unwrap_or(Status::Unknown);
    let last = mail.steps.iter().map(|step| step.at).max();
    mail.last_seen = last.unwrap_or(mail.first_seen);
    mail
}

/// Which way the mail went as far as the recipients at hand tell: that it also left the house would tell of others.
fn own_direction(mail: &Mail) -> Direction {
    let mut tried = mail.recipients.iter().filter(|row| row.attempts > 0 && !row.relay.is_empty()).peekable();
    let all_local = tried.peek().is_some() && tried.all(|row| row.local);
    match mail.direction {
        Direction::Out if all_local && mail.entrance == Some(Entrance::System) => Direction::In,
        Direction::Out if all_local => Direction::Internal,
        direction => direction,
    }
}

/// Hides from a sender what happened inside mailboxes of other people: folder, quarantine and spam score.
fn without_foreign_mailboxes(mut mail: Mail, holdings: &Holdings) -> Mail {
    let at = mail.first_seen;
    let mut all_own = true;
    for recipient in &mut mail.recipients {
        if recipient.local && !holdings.sees_recipient(recipient, at) {
            all_own = false;
            if recipient.status == Status::Junk {
                recipient.status = Status::Sent;
            }
        }
    }
    // Only a mail that was handed in with a login was checked for its sender.
    if mail.login.is_none() && !all_own {
        mail.check = mail.check.take().map(|check| super::mail::Check {
            score: 0,
            limit: None,
            junk_limit: None,
            action: String::new(),
            forced_by: None,
            scan: 0,
            ..check
        });
        mail.verdict = super::mail::Verdict::None;
    }
    let worst = mail.recipients.iter().map(|recipient| recipient.status).max();
    mail.status = match worst {
        Some(worst) if mail.refusal.is_none() => worst,
        _ => mail.status,
    };
    for step in &mut mail.steps {
        if let StepKind::Attempt(recipient) = &mut step.kind
            && recipient.status == Status::Junk
            && !holdings.sees_recipient(recipient, at)
        {
            recipient.status = Status::Sent;
        }
    }
    mail
}

impl Holdings {
    /// Whether one of the administered domains is the domain of `address`.
    pub fn administers(&self, address: &str) -> bool {
        !self.domains.is_empty()
            && normalise_address(address)
                .and_then(|address| domain_of(&address).map(|domain| self.domains.contains(domain)))
                .unwrap_or(false)
    }

    /// Whether a recipient row belongs to this visitor: it ended in an own address, or it was for an administered domain.
    pub fn sees_recipient(&self, recipient: &Recipient, at: Millis) -> bool {
        self.administers(&recipient.address)
            || recipient.orig_to.as_deref().is_some_and(|orig_to| self.administers(orig_to))
            || self.holding(&recipient.address).is_some_and(|holding| holding.since <= at)
    }

    fn holds_login(&self, login: &str, at: Millis) -> bool {
        self.holding(login).is_some_and(|holding| holding.sends_at(at))
    }

    fn wrote(&self, mail: &Mail) -> bool {
        let sender = mail.sender.as_deref().unwrap_or_default();
        is_written_by(mail, sender)
            && self.holding(sender).is_some_and(|holding| holding.sends_at(mail.first_seen))
    }

    fn holding(&self, address: &str) -> Option<&Holding> {
        let address = normalise_address(address)?;
        self.addresses.get(&address).or_else(|| self.addresses.get(untagged(&address).as_ref()))
    }
}

/// The form in which addresses are compared: trimmed, lower case. `None` when it is no address
/// (no `@`, nothing on one side of it, blanks or control characters, longer than RFC 5321 allows).
pub fn normalise_address(address: &str) -> Option<String> {
    let address = address.trim();
    let (local, domain) = address.rsplit_once('@')?;
    let sound = !local.is_empty()
        && !domain.is_empty()
        && address.len() <= 320
        && !address.chars().any(|c| c.is_control())
        && !domain.chars().any(char::is_whitespace);
    sound.then(|| address.to_lowercase())
}

/// The form in which domains are compared. `None` when it is no domain name.
pub fn normalise_domain(domain: &str) -> Option<String> {
    let domain = domain.trim().trim_end_matches('.').to_lowercase();
    let sound = !domain.is_empty()
        && domain.len() <= 253
        && !domain.chars().any(|c| c.is_whitespace() || c.is_control() || c == '@' || c == '*' || c == '%');
    sound.then_some(domain)
}

/// The part behind the last `@`.
pub fn domain_of(address: &str) -> Option<&str> {
    address.rsplit_once('@').map(|(_, domain)| domain)
}

/// The address without its `+tag`: where Mailcow delivers `ann+shop@` and what Rspamd reports.
pub fn untagged(address: &str) -> std::borrow::Cow<'_, str> {
    let Some((local, domain)) = address.rsplit_once('@') else { return address.into() };
    match local.split_once('+') {
        Some((name, _)) if !name.is_empty() => format!("{name}@{domain}").into(),
        _ => address.into(),
    }
}
