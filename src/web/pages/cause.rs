//! Why a mail is not where it should be, whose turn it is, and what to do: the dictionary's words, seen from
//! where the visitor stands.

use crate::{
    model::{
        event::Refusal,
        explain::{Dictionary, Explanation, WhoActs, short_cause},
        mail::{Direction, Recipient, Status, StepKind, Verdict, VisibleMail},
        scope::{Role, Sight, normalise_address},
    },
    web::pages::{frame::Frame, look},
};

/// Who can have the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// Who wrote the mail.
    Sender,
    /// Who is to get it.
    Recipient,
    /// The other server.
    TheirServer,
    /// The admin of this server.
    Admin,
}

/// The cause of a mail's trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Whose turn it is; `None` when nobody can do anything.
    pub party: Option<Party>,
    /// Three to five words.
    pub short: String,
    /// The cause in a sentence.
    pub text: String,
    /// The next step; may be empty.
    pub next: String,
    /// Kind of cause, such as `greylisted`; empty for causes that no reply told.
    pub class: String,
    /// False where the reply says something that the dictionary does not know.
    pub known: bool,
    /// Where an admin looks first, and the provider's page; for admins only.
    pub hint: Option<(String, Option<String>)>,
}

/// A pill of "Whose turn is it?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pill {
    /// Name in the icon file.
    pub icon: &'static str,
    /// Who.
    pub word: &'static str,
    /// Whether it is their turn.
    pub here: bool,
}

/// Which party the visitor is, where they are one.
pub fn visitor(frame: &Frame, mail: &VisibleMail) -> Option<Party> {
    let badge = frame.visitor.as_ref()?;
    let own = normalise_address(&badge.address);
    let is_own = |address: &str| own.is_some() && normalise_address(address) == own;
    let wrote = mail.sender.iter().chain(&mail.login).any(|address| is_own(address));
    let gets = mail.recipients.iter().any(|row| is_own(&row.address));
    match (mail.sight(), badge.role) {
        _ if wrote => Some(Party::Sender),
        _ if gets => Some(Party::Recipient),
        (Sight::Sender, _) => Some(Party::Sender),
        (_, Role::Admin) => Some(Party::Admin),
        (Sight::Recipients, Role::User) => Some(Party::Recipient),
        _ => None,
    }
}

/// The four pills, the visitor's own first where they write or get the mail; `turns` are those who must act.
pub fn pills(frame: &Frame, mail: &VisibleMail, turns: &[Party]) -> Vec<Pill> {
    let you = visitor(frame, mail);
    let ends = match (you, mail.direction) {
        (Some(Party::Recipient), _) | (Some(Party::Admin) | None, Direction::In) => {
            [Party::Recipient, Party::Sender]
        }
        _ => [Party::Sender, Party::Recipient],
    };
    let pill = |party: Party| {
        let (icon, word) = match party {
            _ if you == Some(party) => ("person", frame.t("turn.you")),
            Party::Sender => ("person-fill-check", frame.t("turn.sender")),
            Party::Recipient => ("person-fill-check", frame.t("turn.recipient")),
            Party::TheirServer => ("hdd-network", frame.t("turn.their_server")),
            Party::Admin if frame.is_admin() => ("headset", frame.t("turn.you_admin")),
            Party::Admin => ("headset", frame.t("turn.your_admin")),
        };
        Pill { icon, word, here: turns.contains(&party) }
    };
    ends.into_iter().chain([Party::TheirServer, Party::Admin]).map(pill).collect()
}

/// Whether it is the visitor who must act.
pub fn is_yours(frame: &Frame, mail: &VisibleMail, party: Party) -> bool {
    visitor(frame, mail) == Some(party) || (party == Party::Admin && frame.is_admin())
}

/// "Your turn", or whose else; "Nothing to do" only where nobody can do anything.
pub fn turn_word(frame: &Frame, mail: &VisibleMail, party: Option<Party>) -> &'static str {
    match party {
        None => frame.t("turn.rest"),
        Some(party) if is_yours(frame, mail, party) => frame.t("turn.yours"),
        Some(Party::Sender) => frame.t("turn.of.sender"),
        Some(Party::Recipient) => frame.t("turn.of.recipient"),
        Some(Party::TheirServer) => frame.t("turn.of.their_server"),
        Some(Party::Admin) => frame.t("turn.of.your_admin"),
    }
}

impl Cause {
    /// Cause and next step in one text; where there is no step for the visitor, where an admin looks first.
    pub fn words(&self) -> String {
        let step = match (&self.hint, self.next.as_str()) {
            (Some((hint, _)), "") => hint,
            (_, next) => next,
        };
        format!("{} {step}", self.text).trim().to_owned()
    }
}

/// The cause of the worst row's status, or of the mail's own; `None` when all is well.
pub fn of(frame: &Frame, dictionary: &Dictionary, mail: &VisibleMail) -> Option<Cause> {
    of_row(frame, dictionary, mail, look::worst(mail))
}

/// A cause with all the recipients whom it concerns; none where the mail has none.
pub type Shared<'a> = (Cause, Vec<&'a Recipient>);

/// Each distinct cause of the mail's trouble, worst first.
pub fn all<'a>(frame: &Frame, dictionary: &Dictionary, mail: &'a VisibleMail) -> Vec<Shared<'a>> {
    let mut rows: Vec<&Recipient> = mail.recipients.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.status));
    if rows.is_empty() {
        return of_row(frame, dictionary, mail, None).into_iter().map(|cause| (cause, Vec::new())).collect();
    }
    let mut causes: Vec<Shared<'a>> = Vec::new();
    for row in rows {
        let Some(cause) = of_row(frame, dictionary, mail, Some(row)) else { continue };
        match causes.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, rows)) => rows.push(row),
            None => causes.push((cause, vec![row])),
        }
    }
    causes
}

/// The cause of one row's status; the mail's own where there is no row.
pub fn of_row(
    frame: &Frame,
    dictionary: &Dictionary,
    mail: &VisibleMail,
    row: Option<&Recipient>,
) -> Option<Cause> {
    let status = row.map_or(mail.status, |row| row.status);
    match status {
        Status::Sent | Status::Queued => None,
        Status::Delayed | Status::Bounced | Status::Expired => {
            let row = row.filter(|row| !row.reply.is_empty())?;
            let explanation =
                dictionary.explain(&row.reply, Some(row.dsn.as_str()).filter(|dsn| !dsn.is_empty()));
            Some(told(frame, mail, &explanation, status, ours(row)))
        }
        Status::Rejected | Status::SoftRejected => Some(refused(frame, dictionary, mail, row, status)),
        _ => Some(fixed(frame, mail, row, status)),
    }
}

/// Whether the row's reply came from this server itself.
fn ours(row: &Recipient) -> bool {
    row.local || row.relay.is_empty()
}

fn refused(
    frame: &Frame,
    dictionary: &Dictionary,
    mail: &VisibleMail,
    row: Option<&Recipient>,
    status: Status,
) -> Cause {
    let whole = mail.refusal.as_ref();
    let refusal = Refusal {
        verb: whole.map_or("reject", |refused| &refused.verb),
        stage: whole.map_or("RCPT", |refused| &refused.stage),
        ip: mail.client_ip.as_deref().unwrap_or_default(),
        reply: whole.map(|refused| &refused.reply).or(row.map(|row| &row.reply)).map_or("", String::as_str),
        dsn: whole.map(|refused| &refused.dsn).or(row.map(|row| &row.dsn)).map_or("", String::as_str),
        ..Refusal::default()
    };
    told(frame, mail, &dictionary.explain_refusal(&refusal), status, true)
}

/// `by_us` when our own server said it: then a foreign sender's admin is the other side's, and the recipient's is ours.
fn told(
    frame: &Frame,
    mail: &VisibleMail,
    explanation: &Explanation<'_>,
    status: Status,
    by_us: bool,
) -> Cause {
    let (lang, entry) = (frame.lang(), &explanation.entry);
    // What other servers answer is told to the sender.
    let answered = matches!(status, Status::Delayed | Status::Bounced | Status::Expired);
    let aside = answered && visitor(frame, mail) != Some(Party::Sender);
    // The dictionary knows the answer only; the log knows that we do not go on.
    let over = matches!(status, Status::Bounced | Status::Expired);
    let waits = entry.who_acts == WhoActs::NobodyWait || status == Status::Expired;
    let from_outside = by_us && mail.direction == Direction::In;
    let party = match entry.who_acts {
        WhoActs::Sender => Some(Party::Sender),
        WhoActs::Recipient => Some(Party::Recipient),
        WhoActs::SenderAdmin if from_outside && entry.class != "local_config" => Some(Party::TheirServer),
        WhoActs::SenderAdmin => Some(Party::Admin),
        WhoActs::RecipientAdmin if by_us => Some(Party::Admin),
        WhoActs::RecipientAdmin => Some(Party::TheirServer),
        WhoActs::NobodyWait if over => Some(Party::Sender),
        WhoActs::NobodyWait => Some(Party::TheirServer),
    };
    let hint = lang.pick(&entry.admin_hint);
    let link = entry.link.as_deref().filter(|link| link.starts_with("https://")).map(str::to_owned);
    let short = short_cause(&entry.class);
    let goes_on = entry.who_acts == WhoActs::NobodyWait && !over;
    let next = if over && waits { lang.t("why.over.next") } else { lang.pick(&entry.next) };
    Cause {
        party,
        // The class speaks of our server; here it is the other one that stands on the list.
        short: match entry.class.as_ref() {
            "blocked_ip" if from_outside => lang.t("why.in_blocklist.short").to_owned(),
            _ => lang.pick(&short).to_owned(),
        },
        text: match aside && speaks_to_you(&entry.text.en) {
            true => format!("{}.", lang.pick(&short)),
            false => lang.pick(&entry.text).to_owned(),
        },
        next: match party {
            // "Tell your admin": the hint says it better.
            Some(Party::Admin) if frame.is_admin() && !hint.is_empty() => String::new(),
            _ if aside && !goes_on && !next.is_empty() => lang.tf("why.sender.next", &[("step", next)]),
            _ => next.to_owned(),
        },
        class: entry.class.to_string(),
        known: explanation.matched,
        hint: (frame.is_admin() && !hint.is_empty()).then(|| (hint.to_owned(), link)),
    }
}

fn speaks_to_you(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_alphabetic());
    words.any(|word| word.eq_ignore_ascii_case("you") || word.eq_ignore_ascii_case("your"))
}

/// Causes that no reply tells.
fn fixed(frame: &Frame, mail: &VisibleMail, row: Option<&Recipient>, status: Status) -> Cause {
    let lang = frame.lang();
    let scored = mail.check.as_ref().and_then(|check| {
        let limit = if mail.verdict == Verdict::Junk { check.junk_limit } else { check.limit };
        let (score, limit) = (frame.formats.score(check.score), frame.formats.limit(limit?));
        Some(lang.tf("why.score", &[("score", &score), ("limit", &limit)]))
    });
    let word = row.map_or("", |row| row.status_word.as_str());
    let (party, short, text, next) = match status {
        Status::Junk => (None, lang.t("why.junk.short"), lang.t("why.junk"), lang.t("why.junk.next")),
        Status::Quarantined => (
            Some(Party::Recipient),
            lang.t("why.quarantined.short"),
            lang.t("why.quarantined"),
            lang.t("why.quarantined.next"),
        ),
        Status::Held => {
            (Some(Party::Admin), lang.t("why.held.short"), lang.t("why.held"), lang.t("why.held.next"))
        }
        Status::Discarded if mail.has(&StepKind::Deleted) => {
            (None, lang.t("why.deleted.short"), lang.t("why.deleted"), lang.t("why.deleted.next"))
        }
        Status::Discarded => {
            (None, lang.t("why.discarded.short"), lang.t("why.discarded"), lang.t("why.discarded.next"))
        }
        Status::Virus if visitor(frame, mail) == Some(Party::Sender) => (
            Some(Party::Sender),
            lang.t("why.virus.short"),
            lang.t("why.virus"),
            lang.t("why.virus.next.sender"),
        ),
        Status::Virus => (None, lang.t("why.virus.short"), lang.t("why.virus"), lang.t("why.virus.next")),
        _ => (None, lang.t("why.unknown.short"), lang.t("why.unknown"), lang.t("why.unknown.next")),
    };
    let scores = matches!(status, Status::Junk | Status::Quarantined);
    Cause {
        party,
        short: scored.filter(|_| scores).unwrap_or_else(|| short.to_owned()),
        text: if word.is_empty() { text.to_owned() } else { lang.tf("why.word", &[("word", word)]) },
        next: next.to_owned(),
        class: String::new(),
        known: true,
        hint: None,
    }
}
