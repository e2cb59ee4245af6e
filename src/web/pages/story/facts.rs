//! The plain facts of a mail, its recipients, and where its time went.

use std::time::Duration;

use super::{Story, answer, words_of};
use crate::{
    model::{
        filter::reply_code,
        mail::{Direction, Recipient, Status},
    },
    web::pages::{
        cause,
        look::{self, Look},
    },
};

/// A fact with its name.
pub struct Fact {
    pub name: &'static str,
    pub value: String,
    /// An id: in letters of even width.
    pub mono: bool,
}

/// One recipient as a row.
pub struct RecipientRow {
    pub address: String,
    pub through: Option<String>,
    pub look: Look,
    pub said: String,
    pub tries: String,
    pub took: String,
}

/// One part of the time, with its place in the bar of 1000 units.
pub struct Span {
    pub word: &'static str,
    pub length: String,
    pub tone: &'static str,
    pub x: u64,
    pub width: u64,
}

/// The facts of a story.
pub fn of(story: Story<'_>) -> Vec<Fact> {
    let (lang, formats, mail) = (story.lang(), &story.frame.formats, story.mail);
    let mut facts = Vec::new();
    let mut add = |name, value: Option<String>, mono| {
        facts.extend(value.filter(|value| !value.is_empty()).map(|value| Fact { name, value, mono }));
    };
    let login = mail.login.clone().filter(|login| mail.sender.as_deref() != Some(login));
    let rows: Vec<&Recipient> = mail.recipients.iter().collect();
    let to = look::names(lang, &rows);
    add(lang.t("fact.from"), Some(look::sender(mail, lang)), false);
    add(lang.t("fact.login"), login, false);
    add(lang.t("fact.to"), Some(to), false);
    add(lang.t("fact.subject"), Some(look::subject(mail, lang).0), false);
    let received = mail.direction == Direction::In;
    let mut when = format!("{}, {}", day(story), formats.time_seconds(mail.first_seen));
    if formats.is_ahead(mail.first_seen) {
        when += &format!(" ({})", lang.t("clock.ahead"));
    }
    add(if received { lang.t("fact.received") } else { lang.t("fact.sent") }, Some(when), false);
    add(lang.t("fact.size"), mail.size.map(|size| formats.bytes(size)), false);
    add(lang.t("fact.direction"), Some(lang.t_in("direction", mail.direction.code()).to_owned()), false);
    add(lang.t("fact.encrypted"), Some(encrypted(story).to_owned()), false);
    add(lang.t("fact.message_id"), mail.message_id.clone(), true);
    add(lang.t("fact.queue_id"), mail.queue_id.clone(), true);
    facts
}

/// "Today", "Yesterday" or the date.
fn day(story: Story<'_>) -> String {
    let (lang, formats) = (story.lang(), &story.frame.formats);
    let date = |at: crate::model::time::Millis| at.in_zone(&formats.zone).date();
    let (day, today) = (date(story.mail.first_seen), date(formats.now));
    if day == today {
        lang.t("word.today").to_owned()
    } else if day.tomorrow().is_ok_and(|next| next == today) {
        lang.t("word.yesterday").to_owned()
    } else {
        formats.table_date(story.mail.first_seen)
    }
}

fn encrypted(story: Story<'_>) -> &'static str {
    let (lang, mail) = (story.lang(), story.mail);
    let came = mail.client_tls.is_some();
    let tried = mail.recipients.iter().any(|row| !row.local && row.attempts > 0 && !row.relay.is_empty());
    let went = mail.recipients.iter().any(|row| !row.local && row.tls.is_some());
    match (came, tried, went) {
        (true, true, true) => lang.t("fact.encrypted.both"),
        (true, false, _) => lang.t("fact.encrypted.yes"),
        (true, true, false) => lang.t("fact.encrypted.in"),
        (false, _, true) => lang.t("fact.encrypted.out"),
        (false, _, false) => lang.t("fact.encrypted.untold"),
    }
}

/// The rows of the recipients, worst first.
pub fn recipients(story: Story<'_>) -> Vec<RecipientRow> {
    let mut rows: Vec<&Recipient> = story.mail.recipients.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.status));
    rows.into_iter().map(|row| recipient(story, row)).collect()
}

fn recipient(story: Story<'_>, row: &Recipient) -> RecipientRow {
    let (lang, formats) = (story.lang(), &story.frame.formats);
    let cause = cause::of_row(story.frame, story.dictionary, story.mail, Some(row));
    let code = code(row).map(|code| format!(" ({code})")).unwrap_or_default();
    let said = match (row.status, cause) {
        (Status::Sent, _) if row.local => lang.t("said.mailbox").to_owned(),
        (Status::Sent, _) => lang.t("said.accepted").to_owned(),
        (Status::Queued, _) => lang.t("said.nothing").to_owned(),
        (_, Some(cause)) => cause.short + &code,
        (_, None) => words_of(&row.reply).to_owned(),
    };
    let through = row.orig_to.as_ref().filter(|orig| **orig != row.address);
    RecipientRow {
        address: row.address.clone(),
        through: through.map(|orig| lang.tf("story.through", &[("address", orig)])),
        look: look::of(row.status, row.local, lang),
        said,
        tries: if row.attempts == 0 { "–".to_owned() } else { formats.number(i64::from(row.attempts)) },
        took: answer::took(row).map(|took| formats.duration_in_sentence(took)).unwrap_or_default(),
    }
}

/// `550 5.1.1`, as far as the reply tells.
pub fn code(row: &Recipient) -> Option<String> {
    let reply = reply_code(words_of(&row.reply));
    let parts: Vec<&str> =
        [reply, Some(row.dsn.as_str()).filter(|dsn| !dsn.is_empty())].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// Where the time of the worst row went: Postfix's `delays=a/b/c/d` (postconf(5) `delay_logging_resolution_limit`).
/// From the second try on, `a` holds the time in the queue, too.
pub fn spans(story: Story<'_>) -> Vec<Span> {
    let Some(row) = story.worst() else { return Vec::new() };
    let Some([before, queue, connect, transmit]) = parts(&row.delays) else { return Vec::new() };
    let first = story.attempts().find(|(_, tried)| tried.address == row.address);
    let received =
        first.and_then(|(_, tried)| parts(&tried.delays)).map_or(before, |[first, ..]| first.min(before));
    let (lang, formats) = (story.lang(), &story.frame.formats);
    let lengths = [
        (lang.t("story.time.before"), "info", received),
        (lang.t("story.time.queue"), "wait", before - received + queue),
        (lang.t("story.time.connect"), "junk", connect),
        (lang.t("story.time.transmit"), "ok", transmit),
    ];
    let whole = (before + queue + connect + transmit).max(0.001);
    let mut x = 0;
    lengths
        .into_iter()
        .map(|(word, tone, seconds)| {
            // Every part keeps a sliver, so that the colours of the list can be found in the bar.
            let width = (seconds / whole * 980.0).round().max(5.0) as u64;
            let length = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            let span = Span { word, length: formats.duration(length), tone, x, width };
            x += width + 4;
            span
        })
        .collect()
}

fn parts(delays: &str) -> Option<[f64; 4]> {
    let mut parts =
        delays.split('/').map(|part| part.parse::<f64>().ok().filter(|s| s.is_finite() && *s >= 0.0));
    Some([parts.next()??, parts.next()??, parts.next()??, parts.next()??])
}
