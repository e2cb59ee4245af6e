//! What a look at the whole set-up found: one finding for each part, in words that both languages have.

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// As it must be.
    Fine,
    /// Not in use.
    Idle,
    /// It cannot be told from here.
    Unknown,
    /// It works, and should be better.
    Doubtful,
    /// It does not work, or endangers something.
    Wrong,
}

impl Health {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Fine, Self::Idle, Self::Unknown, Self::Doubtful, Self::Wrong];

    /// The word in text keys and in JSON.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Idle => "idle",
            Self::Unknown => "untold",
            Self::Doubtful => "doubtful",
            Self::Wrong => "wrong",
        }
    }
}

/// What was found of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which part; the word of its name in the texts.
    pub part: &'static str,
    /// How it is.
    pub health: Health,
    /// What was found; the word of its sentence in the texts. All but the fine and the idle have a remedy there.
    pub says: &'static str,
    /// What fills the sentence and the remedy. No secrets.
    pub values: Vec<(&'static str, String)>,
}

impl Finding {
    /// A finding without values.
    pub const fn new(part: &'static str, health: Health, says: &'static str) -> Self {
        Self { part, health, says, values: Vec::new() }
    }

    /// The same, with a value.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.values.push((name, value.to_string()));
        self
    }

    /// Whether something is to be done, so that the texts have a remedy.
    pub fn has_remedy(&self) -> bool {
        matches!(self.health, Health::Doubtful | Health::Wrong | Health::Unknown)
    }
}
