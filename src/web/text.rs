//! The words of the portal in English and German: `locales/en.txt` and `locales/de.txt`, embedded.
//!
//! A text is `key = text`, with `{name}` placeholders; a text with a number has the forms `key.one` and
//! `key.other`. A key that is missing stops a debug build and shows itself in a release.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::format;
use crate::model::explain::{Bilingual, WhoActs};

/// A language of the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// English, also where a browser asks for neither.
    #[default]
    En,
    /// German, with "Sie".
    De,
}

impl Lang {
    /// All languages, in the order in which they are offered.
    pub const ALL: [Self; 2] = [Self::En, Self::De];

    /// The best of our languages for an `Accept-Language` header (RFC 9110, 12.5.4).
    pub fn from_accept_language(header: &str) -> Self {
        let mut best = (0.0, Self::default());
        for range in header.split(',').take(50) {
            let (tag, weight) = range.split_once(';').unwrap_or((range, ""));
            let weight = match weight.trim().strip_prefix("q=") {
                Some(weight) => weight.trim().parse().unwrap_or(0.0),
                None => 1.0,
            };
            let primary = tag.trim().split('-').next().unwrap_or_default();
            if let Some(lang) = Self::from_code(primary)
                && weight > best.0
            {
                best = (weight, lang);
            }
        }
        best.1
    }

    /// The language with this code, in any case.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lang| lang.code().eq_ignore_ascii_case(code))
    }

    /// ISO 639-1 code for `<html lang>`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
        }
    }

    /// The language's own name, for the switch.
    pub const fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::De => "Deutsch",
        }
    }

    /// The text of a key.
    pub fn t(self, key: &'static str) -> &'static str {
        let text = self.words().get(key);
        debug_assert!(text.is_some(), "no text for {key} in {}", self.code());
        text.copied().unwrap_or(key)
    }

    /// The text of a word of a family: `t_in("status", "held")` is the text of `status.held`.
    /// A word without text reads as the family's `unknown`.
    pub fn t_in(self, family: &'static str, word: &str) -> &'static str {
        let words = self.words();
        let text = words.get(format!("{family}.{word}").as_str());
        let text = text.or_else(|| words.get(format!("{family}.unknown").as_str()));
        debug_assert!(text.is_some(), "no text for {family}.{word} in {}", self.code());
        text.copied().unwrap_or(family)
    }

    /// The text of a key with its placeholders filled. Values are inserted as they are.
    pub fn tf(self, key: &'static str, values: &[(&str, &str)]) -> String {
        fill(self.t(key), values)
    }

    /// As [`Lang::t_in`], with values in their places.
    pub fn tf_in(self, family: &'static str, word: &str, values: &[(&str, &str)]) -> String {
        fill(self.t_in(family, word), values)
    }

    /// The form of a text that fits the number, which fills `{count}` in the language's own writing.
    pub fn tn(self, key: &'static str, count: i64, values: &[(&str, &str)]) -> String {
        self.tn_as(key, count, &format::grouped(self, count), values)
    }

    /// As [`Lang::tn`], with other words for the number, such as "more than 50".
    pub fn tn_as(self, key: &'static str, count: i64, number: &str, values: &[(&str, &str)]) -> String {
        self.counted(key, count, number, values)
    }

    fn counted(self, key: &str, count: i64, number: &str, values: &[(&str, &str)]) -> String {
        // Both languages have one singular, for exactly 1 (CLDR, cardinal plural rules).
        let form = if count == 1 { "one" } else { "other" };
        let text = self.words().get(format!("{key}.{form}").as_str());
        debug_assert!(text.is_some(), "no text for {key}.{form} in {}", self.code());
        let values: Vec<_> = [("count", number)].into_iter().chain(values.iter().copied()).collect();
        fill(text.copied().unwrap_or(key), &values)
    }

    /// As [`Lang::tn`], of a word of a family.
    pub fn tn_in(self, family: &'static str, word: &str, count: i64, values: &[(&str, &str)]) -> String {
        self.counted(&format!("{family}.{word}"), count, &format::grouped(self, count), values)
    }

    /// This language's side of a text.
    pub fn pick<'a>(self, text: &'a Bilingual<'_>) -> &'a str {
        match self {
            Self::En => &text.en,
            Self::De => &text.de,
        }
    }

    /// The name on the pill of the one whose turn it is, as the sender reads it.
    pub fn turn(self, who: WhoActs) -> &'static str {
        match who {
            WhoActs::Sender => self.t("turn.you"),
            WhoActs::SenderAdmin => self.t("turn.your_admin"),
            WhoActs::Recipient => self.t("turn.recipient"),
            WhoActs::RecipientAdmin => self.t("turn.their_server"),
            WhoActs::NobodyWait => self.t("turn.nobody"),
        }
    }

    fn words(self) -> &'static HashMap<&'static str, &'static str> {
        static WORDS: [OnceLock<HashMap<&str, &str>>; 2] = [OnceLock::new(), OnceLock::new()];
        let [en, de] = &WORDS;
        match self {
            Self::En => en.get_or_init(|| read(include_str!("../../locales/en.txt")).collect()),
            Self::De => de.get_or_init(|| read(include_str!("../../locales/de.txt")).collect()),
        }
    }
}

fn read(file: &str) -> impl Iterator<Item = (&str, &str)> {
    file.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "))
}

/// One walk over the text, so that a value which looks like a placeholder stays what it is.
fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once('{') {
        out.push_str(head);
        let named = tail.split_once('}');
        let value = named.and_then(|(name, _)| values.iter().find(|(known, _)| *known == name));
        debug_assert!(value.is_some(), "a placeholder has no value: {text}");
        match (named, value) {
            (Some((_, behind)), Some((_, value))) => {
                out.push_str(value);
                rest = behind;
            }
            _ => {
                out.push('{');
                rest = tail;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests;
