//! The answer on top of a story: what became of the mail, in one sentence, and the grounds below it.

use std::time::Duration;

use super::{Story, capital, clause, spelled};
use crate::{
    model::{
        mail::{Direction, Recipient, Status, StepKind},
        scope::domain_of,
    },
    web::pages::{cause::Shared, look},
};

/// Signal, sentence and grounds.
pub struct Answer {
    pub tone: &'static str,
    pub icon: &'static str,
    pub text: String,
    pub grounds: String,
}

/// The answer of a story.
pub fn of(story: Story<'_>) -> Answer {
    let (icon, tone) = look::sign(story.mail.status);
    let text = sentence(story);
    let text = match story.touching().next() {
        None => text,
        Some(_) => story.lang().tf("story.as_far", &[("answer", &clause_whole(story, &text))]),
    };
    Answer { tone, icon, text, grounds: grounds(story) }
}

fn clause_whole(story: Story<'_>, text: &str) -> String {
    let (head, rest) = text.split_once(". ").map_or((text, ""), |(head, rest)| (head, rest));
    let head = clause(story.lang(), head);
    if rest.is_empty() { head } else { format!("{head}. {rest}") }
}

fn sentence(story: Story<'_>) -> String {
    let lang = story.lang();
    let cause = story.cause().map(|cause| clause(lang, &cause.text));
    match story.mail.status {
        Status::Sent if story.mail.has(&StepKind::Requeued) => lang.t("story.requeued").to_owned(),
        Status::Sent => sent(story),
        Status::Queued => lang.t("story.queued").to_owned(),
        Status::Delayed => delayed(story, cause),
        Status::Bounced | Status::Expired if story.mail.recipients.len() > 1 => some_lost(story),
        Status::Bounced => match cause {
            Some(cause) => lang.tf("story.bounced.cause", &[("cause", &cause)]),
            None => lang.t("story.bounced").to_owned(),
        },
        Status::Expired => expired(story),
        Status::Junk => junk(story),
        Status::Quarantined if story.gets() => lang.t("story.quarantine").to_owned(),
        Status::Quarantined => lang.t("story.quarantine.other").to_owned(),
        Status::Rejected => match cause {
            Some(cause) => lang.tf("story.rejected.cause", &[("cause", &cause)]),
            None => lang.t("story.rejected").to_owned(),
        },
        Status::SoftRejected if story.mail.login.is_some() => lang.t("story.soft_rejected.own").to_owned(),
        Status::SoftRejected => lang.t("story.soft_rejected").to_owned(),
        Status::Held => lang.t("story.held").to_owned(),
        Status::Discarded if story.mail.has(&StepKind::Deleted) => lang.t("story.deleted").to_owned(),
        Status::Discarded => lang.t("story.discarded").to_owned(),
        Status::Virus => lang.t("story.virus").to_owned(),
        Status::Unknown => lang.t("story.unknown").to_owned(),
    }
}

fn sent(story: Story<'_>) -> String {
    let (lang, formats) = (story.lang(), &story.frame.formats);
    let [row] = story.mail.recipients.as_slice() else {
        let count = spelled(lang, story.mail.recipients.len());
        return lang.tf("story.all_sent", &[("count", &count)]);
    };
    if row.local && story.gets() {
        return lang.tf("story.delivered.own", &[("time", &formats.sentence(row.last_attempt))]);
    }
    let when = formats.when(row.last_attempt);
    if row.local {
        return lang.tf("story.delivered", &[("recipient", &row.address), ("when", &when)]);
    }
    let server = look::relay_host(&row.relay);
    let server = if server.is_empty() { domain(row) } else { server };
    lang.tf("story.sent", &[("recipient", &row.address), ("server", server), ("when", &when)])
}

fn delayed(story: Story<'_>, cause: Option<String>) -> String {
    let lang = story.lang();
    let waits = story.cause().is_some_and(|cause| cause.class == "greylisted");
    let waiting = count(story, is_waiting);
    match (story.worst(), cause) {
        _ if story.mail.recipients.len() > 1 => some_wait(story, waiting),
        (Some(row), _) if waits => lang.tf("story.delayed", &[("domain", domain(row))]),
        (_, Some(cause)) => lang.tf("story.delayed.cause", &[("cause", &cause)]),
        _ => lang.t("story.delayed.plain").to_owned(),
    }
}

/// "One of three recipients does not have this mail yet."
fn some_wait(story: Story<'_>, some: usize) -> String {
    let lang = story.lang();
    let (bad, all) = (capital(&spelled(lang, some)), spelled(lang, story.mail.recipients.len()));
    match some {
        1 => lang.tf("story.waits_one", &[("count", &all)]),
        _ => lang.tf("story.waits_some", &[("bad", &bad), ("count", &all)]),
    }
}

/// "One of three recipients did not get this mail", why if there is one reason, and how many still wait.
fn some_lost(story: Story<'_>) -> String {
    let lang = story.lang();
    let (lost, waiting) = (count(story, is_lost), count(story, is_waiting));
    let causes = story.causes().into_iter().filter(|(_, rows)| rows.iter().any(|row| is_lost(row.status)));
    let causes: Vec<Shared<'_>> = causes.collect();
    let cause = match causes.as_slice() {
        [(cause, _)] => clause(lang, &cause.text),
        _ => lang.t("story.reasons").to_owned(),
    };
    let (bad, all) = (capital(&spelled(lang, lost)), spelled(lang, story.mail.recipients.len()));
    let head = match lost {
        _ if lost == story.mail.recipients.len() => lang.tf("story.bounced.cause", &[("cause", &cause)]),
        1 => lang.tf("story.one_of", &[("count", &all), ("cause", &cause)]),
        _ => lang.tf("story.some_of", &[("bad", &bad), ("count", &all), ("cause", &cause)]),
    };
    let many = capital(&spelled(lang, waiting));
    match waiting {
        0 => head,
        _ => format!("{head} {}", lang.tn_as("story.and_wait", waiting as i64, &many, &[])),
    }
}

fn is_lost(status: Status) -> bool {
    matches!(status, Status::Bounced | Status::Expired | Status::Rejected)
}

fn is_waiting(status: Status) -> bool {
    matches!(status, Status::Delayed | Status::Queued | Status::Held | Status::SoftRejected)
}

fn expired(story: Story<'_>) -> String {
    let last = story.worst().map_or(story.mail.last_seen, |row| row.last_attempt);
    let hours = last.since(story.mail.first_seen).as_secs() / 3600;
    let days = i64::try_from((hours + 12) / 24).unwrap_or(5).max(1);
    if story.wrote() {
        story.lang().tn("story.expired", days, &[])
    } else {
        story.lang().tn("story.expired.sender", days, &[])
    }
}

fn junk(story: Story<'_>) -> String {
    let (lang, formats) = (story.lang(), &story.frame.formats);
    if !story.gets() {
        return lang.t("story.junk.other").to_owned();
    }
    let scores = story.mail.check.as_ref().and_then(|check| Some((check.score, check.junk_limit?)));
    match scores {
        Some((score, limit)) => {
            let (score, limit) = (formats.score(score), formats.limit(limit));
            lang.tf("story.junk", &[("score", &score), ("limit", &limit)])
        }
        None => lang.t("story.junk.plain").to_owned(),
    }
}

fn grounds(story: Story<'_>) -> String {
    let (lang, formats, mail) = (story.lang(), &story.frame.formats, story.mail);
    let (subject, known) = look::subject(mail, lang);
    let subject = if known { lang.tf("story.quoted", &[("subject", &subject)]) } else { subject };
    let incoming = mail.direction == Direction::In;
    let mut parts = vec![if incoming {
        lang.tf("story.grounds.from", &[("subject", &subject), ("sender", &look::sender(mail, lang))])
    } else {
        let recipient = story.worst().map_or(lang.t("mails.recipient_unknown"), |row| &row.address);
        match mail.recipients.len() {
            0 | 1 => lang.tf("story.grounds.to", &[("subject", &subject), ("recipient", recipient)]),
            all => {
                let more = spelled(lang, all - 1);
                let values = [("subject", subject.as_str()), ("recipient", recipient), ("more", &more)];
                lang.tf("story.grounds.to_more", &values)
            }
        }
    }];
    let ago = formats.ago(mail.first_seen);
    let ago = if incoming {
        lang.tf("story.grounds.received", &[("ago", &ago)])
    } else {
        lang.tf("story.grounds.sent", &[("ago", &ago)])
    };
    let tries = story.worst().map_or(0, |row| row.attempts);
    let tried = (mail.status == Status::Delayed && tries > 0)
        .then(|| lang.tn("story.grounds.tried", i64::from(tries), &[]));
    let next =
        story.next_try().map(|next| lang.tf("story.grounds.next", &[("next", &formats.sentence(next))]));
    let late: Vec<String> = [Some(ago), tried, next].into_iter().flatten().collect();
    parts.push(late.join(", ") + ".");
    if mail.recipients.len() > 1 && others_have_it(story) {
        parts.push(lang.t("story.grounds.others").to_owned());
    }
    parts.join(" ")
}

fn others_have_it(story: Story<'_>) -> bool {
    let has_it = |status| matches!(status, Status::Sent | Status::Junk);
    let (lost, fine) = (count(story, is_lost), count(story, has_it));
    lost > 0 && fine > 0 && lost + fine == story.mail.recipients.len()
}

fn count(story: Story<'_>, is: impl Fn(Status) -> bool) -> usize {
    story.mail.recipients.iter().filter(|row| is(row.status)).count()
}

fn domain(row: &Recipient) -> &str {
    domain_of(&row.address).unwrap_or(&row.address)
}

/// How long the whole took for one row, from the log's seconds.
pub fn took(row: &Recipient) -> Option<Duration> {
    let seconds: f64 = row.delay.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}
