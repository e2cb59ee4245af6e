//! What a visitor looks for among the mails that they may see. Pure: the store narrows by indexes, this decides.

use super::{
    mail::{Direction, MailId, Recipient, Status, Verdict, VisibleMail},
    open::Opened,
    scope::{domain_of, normalise_address, untagged},
    time::Millis,
};

/// A search over mails. Every text is literal (no wildcards) and compared without regard to case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Anywhere: addresses, subject, ids, sender's IP.
    pub q: Option<String>,
    /// Only this direction.
    pub direction: Option<Direction>,
    /// One of these statuses; empty means any.
    pub statuses: Vec<Status>,
    /// First seen at or after.
    pub from: Option<Millis>,
    /// First seen before.
    pub to: Option<Millis>,
    /// Envelope sender or login: an address, `@domain`, or a part of one.
    pub sender: Option<String>,
    /// Recipient, before or after aliases: an address, `@domain`, or a part of one.
    pub rcpt: Option<String>,
    /// A part of the subject.
    pub subject: Option<String>,
    /// Sender's IP, complete.
    pub ip: Option<String>,
    /// Queue id, complete.
    pub queue_id: Option<String>,
    /// Message id, complete, with or without angle brackets.
    pub message_id: Option<String>,
    /// At least this many bytes.
    pub size_from: Option<u64>,
    /// At most this many bytes.
    pub size_to: Option<u64>,
    /// One of these verdicts of the spam filter; empty means any.
    pub verdicts: Vec<Verdict>,
    /// A part of the next server's name or address.
    pub relay: Option<String>,
    /// Reply code (`550`) or enhanced status code (`5.1.1`) of the last answer.
    pub code: Option<String>,
    /// Encrypted on the way in or out; mails whose lines do not tell never match `Some(false)`.
    pub tls: Option<bool>,
    /// Domain of the sender or of a recipient.
    pub domain: Option<String>,
    /// Only mails that a person opened. No mail tells that itself: the store looks where opens lie.
    pub opened: Option<Opened>,
}

/// The texts of a mail in which a [`Filter`] looks for a part, by what they are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Text {
    /// What machines made up: queue id, message id, sender's IP.
    Ids,
    /// What people read and write: addresses, login and subject.
    Words,
}

/// Where in the list a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    /// The newest mails.
    #[default]
    Newest,
    /// Mails older than this one.
    Before(MailId),
    /// Mails newer than this one.
    After(MailId),
}

impl Filter {
    /// Whether the mail, as its visitor sees it, fits.
    pub fn matches(&self, mail: &VisibleMail) -> bool {
        self.from.is_none_or(|from| mail.first_seen >= from)
            && self.to.is_none_or(|to| mail.first_seen < to)
            && self.direction.is_none_or(|direction| mail.direction == direction)
            && (self.statuses.is_empty() || self.statuses.contains(&mail.status))
            && (self.verdicts.is_empty() || self.verdicts.contains(&mail.verdict))
            && self.size_from.is_none_or(|least| mail.size.is_some_and(|size| size >= least))
            && self.size_to.is_none_or(|most| mail.size.is_some_and(|size| size <= most))
            && wanted(&self.queue_id, |id| mail.queue_id.as_deref().is_some_and(|own| own == id.trim()))
            && wanted(&self.message_id, |id| mail.message_id.as_deref() == Some(bare_message_id(id)))
            && wanted(&self.ip, |ip| mail.client_ip.as_deref() == Some(ip.trim()))
            && wanted(&self.subject, |part| {
                mail.check.as_ref().and_then(|check| check.subject.as_deref()).is_some_and(|s| has(s, part))
            })
            && wanted(&self.sender, |wish| senders(mail).any(|address| address_fits(address, wish)))
            && wanted(&self.rcpt, |wish| {
                mail.recipients.iter().flat_map(addresses).any(|address| address_fits(address, wish))
            })
            && wanted(&self.domain, |wish| self.domain_fits(mail, wish))
            && wanted(&self.relay, |part| mail.recipients.iter().any(|row| has(&row.relay, part)))
            && wanted(&self.code, |code| code_fits(mail, code.trim()))
            && self.tls.is_none_or(|tls| tls_fits(mail, tls))
            && wanted(&self.q, |part| anywhere(mail, part))
    }

    /// Texts that each fitting mail holds in one piece, letter case aside, and in what; `None` where either will do.
    pub fn parts(&self) -> impl Iterator<Item = (&str, Option<Text>)> {
        let q = self.q.as_deref().map(|q| (bare_message_id(q), None));
        // With an `@`, an address is compared as a whole, without its tag.
        let addresses = [&self.sender, &self.rcpt].into_iter().flatten().filter(|part| !part.contains('@'));
        let words = self.subject.iter().chain(addresses).map(|part| (part.as_str(), Some(Text::Words)));
        q.into_iter().chain(words).map(|(part, text)| (part.trim(), text))
    }

    fn domain_fits(&self, mail: &VisibleMail, wish: &str) -> bool {
        let wish = wish.trim().trim_start_matches('@').to_lowercase();
        senders(mail)
            .chain(mail.recipients.iter().flat_map(addresses))
            .any(|address| domain_of(address).is_some_and(|domain| domain.to_lowercase() == wish))
    }
}

/// A message id without angle brackets and blanks.
pub fn bare_message_id(id: &str) -> &str {
    let id = id.trim();
    id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id)
}

fn wanted(wish: &Option<String>, fits: impl FnOnce(&str) -> bool) -> bool {
    wish.as_deref().is_none_or(fits)
}

fn senders(mail: &VisibleMail) -> impl Iterator<Item = &str> {
    mail.sender.as_deref().into_iter().chain(mail.login.as_deref())
}

fn addresses(row: &Recipient) -> impl Iterator<Item = &str> {
    std::iter::once(row.address.as_str()).chain(row.orig_to.as_deref())
}

/// `wish` is a whole address (tags of the mail do not matter), `@domain`, or any part.
fn address_fits(address: &str, wish: &str) -> bool {
    let wish = wish.trim().to_lowercase();
    match wish.split_once('@') {
        Some(("", domain)) => domain_of(address).is_some_and(|own| own.to_lowercase() == domain),
        Some(_) => normalise_address(address).is_some_and(|own| own == wish || untagged(&own) == wish),
        None => has(address, &wish),
    }
}

fn code_fits(mail: &VisibleMail, code: &str) -> bool {
    let rows = mail.recipients.iter().any(|row| row.dsn == code || reply_code(&row.reply) == Some(code));
    rows || mail
        .refusal
        .as_ref()
        .is_some_and(|refused| refused.dsn == code || refused.code.to_string() == code)
}

/// The three-digit code of a reply such as `host x[y] said: 550 5.1.1 ...` or `250 2.0.0 Ok`.
pub fn reply_code(reply: &str) -> Option<&str> {
    let words =
        reply.split_once(": ").filter(|(head, _)| head.contains('[')).map_or(reply, |(_, words)| words);
    let code = words.get(..3)?;
    let ends = words.as_bytes().get(3).is_none_or(|byte| matches!(byte, b' ' | b'-'));
    (ends && code.bytes().all(|byte| byte.is_ascii_digit())).then_some(code)
}

fn tls_fits(mail: &VisibleMail, wanted: bool) -> bool {
    let told = mail.client_tls.is_some() || mail.recipients.iter().any(|row| row.tls.is_some());
    told == wanted && (wanted || mail.removed.is_some())
}

fn anywhere(mail: &VisibleMail, part: &str) -> bool {
    let part = part.trim();
    let id = bare_message_id(part);
    mail.queue_id.as_deref().is_some_and(|own| has(own, part))
        || mail.message_id.as_deref().is_some_and(|own| has(own, id))
        || mail.client_ip.as_deref().is_some_and(|own| has(own, part))
        || senders(mail).any(|own| has(own, part))
        || mail.recipients.iter().flat_map(addresses).any(|own| has(own, part))
        || mail.check.as_ref().and_then(|check| check.subject.as_deref()).is_some_and(|own| has(own, part))
}

/// Whether `text` contains `part`, letter case aside.
fn has(text: &str, part: &str) -> bool {
    let part = part.trim();
    if text.is_ascii() && part.is_ascii() {
        let (text, part) = (text.as_bytes(), part.as_bytes());
        return part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
    }
    text.to_lowercase().contains(&part.to_lowercase())
}
