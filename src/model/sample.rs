//! A sample: what one series was at one moment. A value is known, unknown (with the reason), or not in use; there
//! is no fourth way, and above all no zero that stands for "we do not know".

use std::fmt;

use super::{
    scope::{normalise_address, normalise_domain},
    time::Millis,
};

/// Label of series that belong to a mail domain: its admins see them.
pub const DOMAIN: &str = "domain";
/// Label of series that belong to a mailbox: its owner and its domain's admins see them.
pub const MAILBOX: &str = "mailbox";

/// Longest text kept of a value or a reason, in characters.
const LONGEST: usize = 16_000;
/// Longest JSON that is kept, in bytes: that of 40,000 mailboxes.
const LONGEST_JSON: usize = 4 << 20;

/// What a series is at one moment.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// A number; flags are 0 and 1, moments are Unix seconds.
    Number(f64),
    /// A text, or JSON as text.
    Text(String),
    /// It should be known but is not; the reason, for people.
    Unknown(String),
    /// Nobody granted what is needed to know it, or the thing is not there; how to grant it, for people.
    NotInUse(String),
}

impl State {
    /// The number, if it is known and finite.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) if number.is_finite() => Some(*number),
            _ => None,
        }
    }

    /// Whether there is a value.
    pub fn is_known(&self) -> bool {
        matches!(self, Self::Number(_) | Self::Text(_))
    }

    /// What is stored: infinite numbers are none, and texts have an end.
    pub fn sound(self) -> Self {
        let cut = |text: String| match text.char_indices().nth(LONGEST) {
            Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
            None => text,
        };
        match self {
            Self::Number(number) if !number.is_finite() => Self::Unknown("not a number".to_owned()),
            Self::Number(number) => Self::Number(number),
            Self::Text(text) => Self::Text(cut(text)),
            Self::Unknown(reason) => Self::Unknown(cut(reason)),
            Self::NotInUse(how) => Self::NotInUse(cut(how)),
        }
    }

    /// As [`Self::sound`], of JSON: it is whole or unknown, since nobody can read a part.
    pub fn sound_json(self) -> Self {
        match self {
            Self::Text(text) if text.len() > LONGEST_JSON => {
                Self::Unknown(format!("it is longer than {LONGEST_JSON} bytes"))
            }
            Self::Text(text) => Self::Text(text),
            other => other.sound(),
        }
    }
}

impl From<f64> for State {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for State {
    fn from(flag: bool) -> Self {
        Self::Number(f64::from(u8::from(flag)))
    }
}

impl From<u32> for State {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<i64> for State {
    fn from(number: i64) -> Self {
        Self::Number(number as f64)
    }
}

impl From<u64> for State {
    fn from(number: u64) -> Self {
        Self::Number(number as f64)
    }
}

impl From<usize> for State {
    fn from(number: usize) -> Self {
        Self::Number(number as f64)
    }
}

impl From<String> for State {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for State {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// What tells the series of one metric apart: names with values, in the order in which the metric declares them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Labels(Vec<(String, String)>);

impl Labels {
    /// No labels: the metric has one series.
    pub const NONE: Self = Self(Vec::new());

    /// One label.
    pub fn one(name: &str, value: &str) -> Self {
        Self::NONE.with(name, value)
    }

    /// These labels and one more. Line breaks in a value become blanks.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.replace(char::is_control, " ")));
        self
    }

    /// The labels, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of a label.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The stored form: `name=value`, one a line.
    pub fn text(&self) -> String {
        self.to_string()
    }

    /// The labels of a stored form.
    pub fn parse(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The mailbox whose series this is, normalised.
    pub fn mailbox(&self) -> Option<String> {
        self.value(MAILBOX).and_then(normalise_address)
    }

    /// The domain whose series this is, normalised: its own label, or the domain of the mailbox.
    pub fn domain(&self) -> Option<String> {
        let own = self.value(DOMAIN).and_then(normalise_domain);
        own.or_else(|| self.mailbox()?.rsplit_once('@').map(|(_, domain)| domain.to_owned()))
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.iter().enumerate() {
            let line = if index > 0 { "\n" } else { "" };
            write!(f, "{line}{name}={value}")?;
        }
        Ok(())
    }
}

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric's key.
    pub metric: &'static str,
    /// Which series of the metric.
    pub labels: Labels,
    /// What it was.
    pub state: State,
    /// When.
    pub at: Millis,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_order_and_survive_storing() {
        let labels = Labels::one("job", "7").with(MAILBOX, "Ann@Alpha.test").with("x", "a=b\nc");
        assert_eq!(labels.text(), "job=7\nmailbox=Ann@Alpha.test\nx=a=b c");
        assert_eq!(Labels::parse(&labels.text()), labels);
        assert_eq!(Labels::parse(""), Labels::NONE);
        assert_eq!(labels.mailbox().as_deref(), Some("ann@alpha.test"));
        assert_eq!(labels.domain().as_deref(), Some("alpha.test"));
        assert_eq!(Labels::one(DOMAIN, "Beta.test").domain().as_deref(), Some("beta.test"));
        assert_eq!(Labels::one("container", "postfix").domain(), None);
    }

    #[test]
    fn only_finite_numbers_are_numbers() {
        assert_eq!(State::from(f64::NAN).sound(), State::Unknown("not a number".to_owned()));
        assert_eq!(State::Number(f64::INFINITY).number(), None);
        assert_eq!(State::from(true), State::Number(1.0));
        assert!(!State::Unknown(String::new()).is_known() && State::from("x").is_known());
        let long = State::from("ä".repeat(LONGEST + 5)).sound();
        assert_eq!(long, State::Text("ä".repeat(LONGEST)));
    }

    #[test]
    fn json_is_whole_or_unknown() {
        let fits = State::from("ä".repeat(LONGEST_JSON / 2));
        assert_eq!(fits.clone().sound_json(), fits);
        let State::Unknown(why) = State::from("x".repeat(LONGEST_JSON + 1)).sound_json() else { panic!() };
        assert_eq!(why, "it is longer than 4194304 bytes");
        assert_eq!(State::from(f64::NAN).sound_json(), State::from(f64::NAN).sound());
    }
}
