//! The parts of a mail's story: the answer, the timeline, the recipients, the facts.

pub mod answer;
pub mod facts;
pub mod timeline;

use std::time::Duration;

use crate::{
    model::{
        explain::Dictionary,
        mail::{Recipient, Status, StepKind, VisibleMail},
        open::Open,
        time::Millis,
    },
    store::ingestion::Gap,
    web::{
        pages::{
            cause::{self, Cause, Party, Shared},
            frame::Frame,
            look,
        },
        text::Lang,
    },
};

/// postconf(5) `minimal_backoff_time`, `maximal_backoff_time` and `queue_run_delay`, as Postfix has them.
const PAUSE_LEAST: Duration = Duration::from_secs(300);
const PAUSE_MOST: Duration = Duration::from_secs(4000);
const QUEUE_RUN: Duration = Duration::from_secs(300);
/// postconf(5) `maximal_queue_lifetime`.
const QUEUE_LIFE: Duration = Duration::from_secs(5 * 86_400);

/// What all parts of a story need.
#[derive(Clone, Copy)]
pub struct Story<'a> {
    pub frame: &'a Frame,
    pub dictionary: &'a Dictionary,
    pub mail: &'a VisibleMail,
    pub gaps: &'a [Gap],
    pub related: &'a [VisibleMail],
    pub opens: &'a [Open],
}

impl<'a> Story<'a> {
    /// The row that explains the mail's status.
    pub fn worst(self) -> Option<&'a Recipient> {
        look::worst(self.mail)
    }

    /// Why it is not where it should be.
    pub fn cause(self) -> Option<Cause> {
        cause::of(self.frame, self.dictionary, self.mail)
    }

    /// Each distinct cause, with its recipients.
    pub fn causes(self) -> Vec<Shared<'a>> {
        cause::all(self.frame, self.dictionary, self.mail)
    }

    /// Whether we go on trying this recipient.
    pub fn goes_on(self, row: &Recipient) -> bool {
        row.status == Status::Delayed && self.mail.removed.is_none()
    }

    pub fn lang(self) -> Lang {
        self.frame.lang()
    }

    /// Whether the visitor wrote the mail.
    pub fn wrote(self) -> bool {
        cause::visitor(self.frame, self.mail) == Some(Party::Sender)
    }

    /// Whether the visitor is who it was for.
    pub fn gets(self) -> bool {
        cause::visitor(self.frame, self.mail) == Some(Party::Recipient)
    }

    /// Gaps of the log that touch the mail's life so far.
    pub fn touching(self) -> impl Iterator<Item = &'a Gap> {
        let open = !self.mail.status.is_final() && self.mail.removed.is_none();
        let (from, to) =
            (self.mail.first_seen, if open { self.frame.formats.now } else { self.mail.last_seen });
        self.gaps.iter().filter(move |gap| gap.to_at >= from && gap.from_at <= to)
    }

    /// When the server will probably try again: it waits as long as the mail has been in the queue, within
    /// limits (qmgr(8)), and looks every few minutes. `None` when no try is to come or it is overdue.
    pub fn next_try(self) -> Option<Millis> {
        let waiting = self.mail.recipients.iter().filter(|row| row.status == Status::Delayed);
        let last = waiting.map(|row| row.last_attempt).max()?;
        if self.mail.removed.is_some() {
            return None;
        }
        let pause = last.since(self.mail.first_seen).clamp(PAUSE_LEAST, PAUSE_MOST);
        let next = last.plus(pause + QUEUE_RUN);
        let five = 300_000;
        (next > self.frame.formats.now).then(|| Millis(next.0 - next.0.rem_euclid(five)))
    }

    /// Until when the server goes on.
    pub fn until(self) -> Millis {
        self.mail.first_seen.plus(QUEUE_LIFE)
    }

    /// All attempts, in order.
    pub fn attempts(self) -> impl Iterator<Item = (Millis, &'a Recipient)> {
        self.mail.steps.iter().filter_map(|step| match &step.kind {
            StepKind::Attempt(row) => Some((step.at, row.as_ref())),
            _ => None,
        })
    }
}

/// The other side's words: without the log's frame around them.
pub fn words_of(reply: &str) -> &str {
    let words = match reply.split_once(" said: ") {
        Some((head, words)) if head.starts_with("host ") => words,
        _ => reply,
    };
    words.rsplit_once(" (in reply to ").map_or(words, |(words, _)| words).trim()
}

/// `TLS 1.3` from `TLSv1.3`.
pub fn tls_name(protocol: &str) -> String {
    protocol.replace("TLSv", "TLS ")
}

/// The first sentence of a text as the end of another: in English it goes on in lower case.
pub fn clause(lang: Lang, text: &str) -> String {
    let first = text.split_inclusive(". ").next().unwrap_or(text).trim_end();
    let mut letters = first.chars();
    let lower = match (letters.next(), letters.next()) {
        (Some(head), Some(second)) if lang == Lang::En && (second.is_lowercase() || second == ' ') => {
            head.is_uppercase() && !first.starts_with("I ")
        }
        _ => false,
    };
    let name = first.split_whitespace().next().is_some_and(is_name);
    if lower && !name {
        first.chars().take(1).flat_map(char::to_lowercase).chain(first.chars().skip(1)).collect()
    } else {
        first.to_owned()
    }
}

/// Providers whose names begin some of the dictionary's texts.
fn is_name(word: &str) -> bool {
    const NAMES: [&str; 12] = [
        "Gmail",
        "Google",
        "Microsoft",
        "Yahoo",
        "Apple",
        "Outlook",
        "Spamhaus",
        "Barracuda",
        "Mimecast",
        "Proofpoint",
        "Telekom",
        "Postfix",
    ];
    NAMES.iter().any(|name| word.trim_end_matches(['.', ',', '\'']).trim_end_matches("'s") == *name)
}

/// Numbers up to ten as words, as in running text.
pub fn spelled(lang: Lang, number: usize) -> String {
    const EN: [&str; 11] =
        ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    const DE: [&str; 11] =
        ["keinem", "einem", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"];
    let words = if lang == Lang::En { EN } else { DE };
    words.get(number).map_or_else(|| number.to_string(), |word| (*word).to_owned())
}

/// The first letter large, for a number word that begins a sentence.
pub fn capital(text: &str) -> String {
    text.chars().take(1).flat_map(char::to_uppercase).chain(text.chars().skip(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_sides_words_stand_alone() {
        let reply = "host mx.gamma.example[198.51.100.61] said: 550 5.1.1 <o@gamma.example>: User unknown (in reply to RCPT TO command)";
        assert_eq!(words_of(reply), "550 5.1.1 <o@gamma.example>: User unknown");
        assert_eq!(words_of("250 2.0.0 Ok: queued as 7F21B0C4"), "250 2.0.0 Ok: queued as 7F21B0C4");
    }

    #[test]
    fn a_clause_goes_on_in_lower_case_in_english_only() {
        assert_eq!(clause(Lang::En, "The mailbox is full. Wait."), "the mailbox is full.");
        assert_eq!(clause(Lang::En, "Microsoft does not take it."), "Microsoft does not take it.");
        assert_eq!(clause(Lang::De, "Das Postfach ist voll. Warten Sie."), "Das Postfach ist voll.");
    }
}
