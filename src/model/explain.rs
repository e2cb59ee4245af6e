//! What the replies of other servers, and Postfix's own texts, mean for people: cause, who must act, next step.
//!
//! The built-in knowledge is a table of about a thousand rows, tried from top to bottom: phrases first, then
//! enhanced codes (RFC 3463), then reply codes (RFC 5321). Rows of the kinds `own_…` explain what our own server
//! refused, all others what other servers said. Admins' corrections come before it.

mod cause;
mod phrases;
mod table;
mod wording;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use cause::short_cause;
pub use wording::{normalise, phrase_key};

use super::event::Refusal;
use table::{Fields, Hit, Table};
use wording::Wording;

/// A text in the languages of the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bilingual<'a> {
    /// English.
    pub en: Cow<'a, str>,
    /// German.
    pub de: Cow<'a, str>,
}

/// Whether a failure is final. The log knows better than any table, see [`Permanent::decided`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permanent {
    /// It is final.
    Yes,
    /// We go on trying.
    No,
    /// Only the log can tell.
    Depends,
}

impl Permanent {
    /// What the log's `status=` word (`deferred`, `bounced`, `expired`) says, else this.
    pub fn decided(self, status: Option<&str>) -> Self {
        match status {
            Some("deferred") => Self::No,
            Some("bounced" | "expired" | "undeliverable") => Self::Yes,
            _ => self,
        }
    }

    /// What the class of the reply code says, else this. A 4 means "not now" whatever the words are. A 5 of our own server
    /// is the end; after one of another server Postfix may still try the next host, or again.
    fn coded(self, class: Option<u8>, own: bool) -> Self {
        match class {
            Some(4) => Self::No,
            Some(5) if own => Self::Yes,
            _ => self,
        }
    }
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhoActs {
    /// Who wrote the mail.
    Sender,
    /// The admin of the sender's server, which is ours.
    SenderAdmin,
    /// Who was to get the mail.
    Recipient,
    /// The admin of the recipient's server.
    RecipientAdmin,
    /// Nobody: it goes on by itself.
    NobodyWait,
}

/// One piece of knowledge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Stable name, such as `gmail-quota`. `in-` and `mc-`: our own server refused something.
    pub id: Cow<'a, str>,
    /// Whose wording it is: `gmail`, `microsoft`, ..., `any`. Informs only.
    pub provider: Cow<'a, str>,
    /// Kind of cause, such as `mailbox_full`; see [`short_cause`].
    pub class: Cow<'a, str>,
    /// Whether it is final, as far as the wording tells.
    pub permanent: Permanent,
    /// Whose turn it is.
    pub who_acts: WhoActs,
    /// The cause in plain words.
    pub text: Bilingual<'a>,
    /// The next step in plain words.
    pub next: Bilingual<'a>,
    /// Where an admin looks first.
    pub admin_hint: Bilingual<'a>,
    /// The provider's own page about it.
    pub link: Option<Cow<'a, str>>,
}

/// An admin's correction of a built-in entry (same `id`), or an addition (own `id`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Name; that of a built-in entry replaces its words.
    pub id: String,
    /// Phrases joined by ` && ` that must all occur; empty only replaces the words of the built-in entry.
    pub phrase: String,
    /// Kind of cause.
    pub class: String,
    /// Whether it is final.
    pub permanent: Permanent,
    /// Whose turn it is.
    pub who_acts: WhoActs,
    /// The cause in English.
    pub text_en: String,
    /// The cause in German.
    pub text_de: String,
    /// The next step in English.
    pub next_en: String,
    /// The next step in German.
    pub next_de: String,
}

/// What a text means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation<'a> {
    /// The entry that fits.
    pub entry: Entry<'a>,
    /// False where no more than the class of the code was recognised: a phrase to collect for admins.
    pub matched: bool,
}

/// All that is known about replies: ours, and before it what admins wrote.
#[derive(Debug, Clone, Default)]
pub struct Dictionary {
    overrides: Vec<(Vec<String>, Override)>,
}

impl Dictionary {
    /// The built-in knowledge alone. Cheap: the table is read at the first explanation and shared.
    pub fn built_in() -> Self {
        Self::default()
    }

    /// Admins' entries, tried in this order before the built-in ones.
    pub fn with_overrides(overrides: Vec<Override>) -> Self {
        let phrases = |entry: &Override| {
            entry.phrase.split("&&").map(normalise).filter(|phrase| !phrase.is_empty()).collect::<Vec<_>>()
        };
        Self { overrides: overrides.into_iter().map(|entry| (phrases(&entry), entry)).collect() }
    }

    /// Explains a reply or a local text of Postfix. `dsn` is the log line's, for texts without a code.
    pub fn explain(&self, text: &str, dsn: Option<&str>) -> Explanation<'_> {
        let wording = Wording::read(text);
        let mut explanation = self.look_up(&wording, dsn);
        let permanent = &mut explanation.entry.permanent;
        *permanent = permanent.coded(wording.class(dsn), wording.own);
        explanation
    }

    fn look_up(&self, wording: &Wording, dsn: Option<&str>) -> Explanation<'_> {
        if let Some(entry) = self.added(wording) {
            return Explanation { entry: entry.to_entry(), matched: true };
        }
        let hit = Table::shared().find(wording, dsn);
        let Hit { line, matched } = hit.unwrap_or(Hit { line: "", matched: false });
        let entry = read_entry(line);
        match self.overrides.iter().find(|(_, own)| own.id == entry.id) {
            Some((_, own)) => Explanation { entry: own.to_entry(), matched: true },
            None => Explanation { entry, matched },
        }
    }

    /// Explains why our own server refused something.
    pub fn explain_refusal(&self, refusal: &Refusal<'_>) -> Explanation<'_> {
        let Refusal { verb, stage, ip, reply, dsn, .. } = refusal;
        let text = format!("NOQUEUE: {verb}: {stage} from [{ip}]: {reply}");
        self.explain(&text, Some(*dsn).filter(|dsn| !dsn.is_empty()))
    }

    fn added(&self, wording: &Wording) -> Option<&Override> {
        let fits =
            |phrases: &[String]| !phrases.is_empty() && phrases.iter().all(|one| wording.bare.contains(one));
        self.overrides.iter().find(|(phrases, _)| fits(phrases)).map(|(_, own)| own)
    }
}

impl Override {
    fn to_entry(&self) -> Entry<'_> {
        let both = |en, de| Bilingual { en: Cow::Borrowed(en), de: Cow::Borrowed(de) };
        Entry {
            id: Cow::Borrowed(&self.id),
            provider: Cow::Borrowed("any"),
            class: Cow::Borrowed(&self.class),
            permanent: self.permanent,
            who_acts: self.who_acts,
            text: both(&self.text_en, &self.text_de),
            next: both(&self.next_en, &self.next_de),
            admin_hint: both("", ""),
            link: None,
        }
    }
}

/// Reads `id,match_kind,match,provider,class,permanent,who_acts,text×2,next×2,admin_hint×2,link`.
fn read_entry(line: &str) -> Entry<'_> {
    let mut fields = Fields(Some(line));
    let mut field = || fields.next().unwrap_or_default();
    let id = field();
    let (_, _) = (field(), field());
    let (provider, class) = (field(), field());
    let permanent = match field().as_ref() {
        "yes" => Permanent::Yes,
        "no" => Permanent::No,
        _ => Permanent::Depends,
    };
    let who_acts = match field().as_ref() {
        "sender" => WhoActs::Sender,
        "recipient" => WhoActs::Recipient,
        "recipient_admin" => WhoActs::RecipientAdmin,
        "nobody_wait" => WhoActs::NobodyWait,
        _ => WhoActs::SenderAdmin,
    };
    let mut both = || Bilingual { en: field(), de: field() };
    let (text, next, admin_hint) = (both(), both(), both());
    let link = Some(field()).filter(|link| !link.is_empty());
    Entry { id, provider, class, permanent, who_acts, text, next, admin_hint, link }
}

#[cfg(test)]
mod tests;
