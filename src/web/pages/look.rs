//! Icon, colour and word of each status: one place, the same on all pages.

use crate::{
    model::mail::{Direction, Recipient, Status, VisibleMail},
    web::text::Lang,
};

/// How a status looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Name in the icon file.
    pub icon: &'static str,
    /// `ok`, `wait`, `bad`, `info`, `junk` or `idle`.
    pub tone: &'static str,
    /// The word; never without the icon, and the icon never without it.
    pub word: &'static str,
}

/// The look of a status. `delivered` when the last stop is a mailbox here.
pub fn of(status: Status, delivered: bool, lang: Lang) -> Look {
    let (icon, tone) = sign(status);
    let word = if status == Status::Sent && delivered {
        lang.t("status.delivered")
    } else {
        lang.t_in("status", status.code())
    };
    Look { icon, tone, word }
}

/// Icon and tone of a status.
pub fn sign(status: Status) -> (&'static str, &'static str) {
    match status {
        Status::Queued => ("inbox", "info"),
        Status::Sent => ("check-circle", "ok"),
        Status::Delayed => ("clock-history", "wait"),
        Status::Bounced => ("arrow-return-left", "bad"),
        Status::Expired => ("hourglass-bottom", "bad"),
        Status::Rejected => ("slash-circle", "bad"),
        Status::SoftRejected => ("arrow-repeat", "wait"),
        Status::Held => ("pause-circle", "wait"),
        Status::Discarded => ("trash3", "idle"),
        Status::Junk => ("folder-symlink", "junk"),
        Status::Quarantined => ("shield-exclamation", "junk"),
        Status::Virus => ("bug", "bad"),
        Status::Unknown => ("question-circle", "idle"),
    }
}

/// The look of a whole mail.
pub fn of_mail(mail: &VisibleMail, lang: Lang) -> Look {
    let delivered = !mail.recipients.is_empty() && mail.recipients.iter().all(|row| row.local);
    of(mail.status, delivered, lang)
}

/// The row that explains the mail's status: the first with the worst one.
pub fn worst(mail: &VisibleMail) -> Option<&Recipient> {
    let status = mail.recipients.iter().map(|row| row.status).max()?;
    mail.recipients.iter().find(|row| row.status == status)
}

/// "+2 more": recipients whom the visitor sees besides the one that is named.
pub fn more(mail: &VisibleMail, lang: Lang) -> Option<String> {
    let more = mail.recipients.len().checked_sub(1).filter(|more| *more > 0)?;
    Some(lang.tn("mails.more_recipients", more as i64, &[]))
}

/// Recipients named in one sentence.
const NAMED: usize = 3;

/// The first addresses of some recipients, and how many more.
pub fn names(lang: Lang, rows: &[&Recipient]) -> String {
    let named: Vec<&str> = rows.iter().take(NAMED).map(|row| row.address.as_str()).collect();
    let named = named.join(", ");
    match rows.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named}, {}", lang.tn("mails.more_recipients", more as i64, &[])),
    }
}

/// The icon of a direction.
pub fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "arrow-down-left",
        Direction::Out => "arrow-up-right",
        Direction::Internal => "arrow-left-right",
    }
}

/// Whether a status is a problem that somebody may want to look at.
pub const fn is_trouble(status: Status) -> bool {
    matches!(
        status,
        Status::Bounced
            | Status::Expired
            | Status::Virus
            | Status::Held
            | Status::Quarantined
            | Status::Delayed
    )
}

/// The subject, or why there is none.
pub fn subject(mail: &VisibleMail, lang: Lang) -> (String, bool) {
    match &mail.check {
        Some(check) if check.subject_hidden => (lang.t("mails.subject_hidden").to_owned(), false),
        Some(check) => match check.subject.as_deref().map(str::trim).filter(|subject| !subject.is_empty()) {
            Some(subject) => (subject.to_owned(), true),
            None => (lang.t("mails.no_subject").to_owned(), false),
        },
        None if mail.refusal.is_some() => (lang.t("mails.before_data").to_owned(), false),
        None if mail.sender.as_deref() == Some("") => (lang.t("mails.notice_subject").to_owned(), false),
        None => (lang.t("mails.subject_unknown").to_owned(), false),
    }
}

/// The sender as people read it; notices come from the mail system.
pub fn sender(mail: &VisibleMail, lang: Lang) -> String {
    match mail.sender.as_deref() {
        Some("") => lang.t("mails.mail_system").to_owned(),
        Some(sender) => sender.to_owned(),
        None => mail.login.clone().unwrap_or_else(|| lang.t("mails.sender_unknown").to_owned()),
    }
}

/// A relay as the log has it; empty where there is none.
pub fn relay(relay: &str) -> &str {
    if relay == "none" { "" } else { relay }
}

/// Host name of a relay `HOST[IP]:PORT`, else its address; empty where there is none.
pub fn relay_host(relay: &str) -> &str {
    match relay.split_once('[') {
        Some(("", rest)) => rest.split(']').next().unwrap_or_default(),
        Some((host, _)) => host,
        None => self::relay(relay),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_shows_its_host_else_its_address() {
        assert_eq!(relay_host("mx1.delta.example[198.51.100.61]:25"), "mx1.delta.example");
        assert_eq!(relay_host("[2001:db8::1]:25"), "2001:db8::1");
        assert_eq!(relay_host("none"), "");
        assert_eq!(relay_host("dovecot"), "dovecot");
    }
}
