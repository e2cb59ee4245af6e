//! What is wrong with the settings, all of it at once.

use std::fmt;

/// One thing wrong with one setting. Never holds the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The setting, or the place in `.env`.
    pub name: String,
    /// What is wrong; continues a sentence that starts with the name.
    pub wrong: String,
    /// What to do: one or more whole sentences.
    pub remedy: String,
}

impl Fault {
    pub(super) fn new(name: impl Into<String>, wrong: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name: name.into(), wrong: wrong.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}. {}", self.name, self.wrong, self.remedy)
    }
}

/// Every fault of the settings, in the order of the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "one setting needs attention:")?,
            n => write!(f, "{n} settings need attention:")?,
        }
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}
