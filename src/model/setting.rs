//! A setting as it is shown: what it is, where that comes from, what it means. Never a secret.

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The environment of the process.
    Environment,
    /// The file `.env` in the working directory.
    DotEnv,
    /// Nobody gave one, and there is a default.
    Default,
    /// Nobody gave one, and there is no default.
    Nowhere,
}

impl Origin {
    /// The word in text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::DotEnv => "dotenv",
            Self::Default => "default",
            Self::Nowhere => "nowhere",
        }
    }
}

/// A value as far as it may be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// As it was given, without passwords in addresses.
    Open(String),
    /// Set, and secret.
    Hidden,
    /// Not set.
    Unset,
}

/// A setting as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The heading that it belongs to, in English.
    pub section: &'static str,
    /// The name under which it was given, else its first one.
    pub name: String,
    /// The first name under which it was declared.
    pub declared: &'static str,
    /// The value.
    pub value: Value,
    /// Where it comes from.
    pub origin: Origin,
    /// The file that holds the value, where `NAME_FILE` names one.
    pub file: Option<String>,
    /// What it means, in English: Markdown lines with nothing but code in it.
    pub help: &'static str,
}

/// The text with the password of each address in it (`scheme://user:password@host`) blotted out.
pub fn without_passwords(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        // A password may hold an unescaped @ or /: all up to the last @ before a space may belong to it.
        let whole = after.split(char::is_whitespace).next().unwrap_or(after);
        rest = match whole.rsplit_once('@') {
            Some((person, _)) => {
                out.push_str(person.split_once(':').map_or(person, |(user, _)| user));
                if person.contains(':') {
                    out.push_str(":•••");
                }
                after.get(person.len()..).unwrap_or_default()
            }
            None => after,
        };
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::without_passwords;

    #[test]
    fn passwords_in_addresses_are_blotted_out() {
        for (text, expected) in [
            ("https://example.org/a", "https://example.org/a"),
            ("mysql://status:p@ss/w:rd@db:3306/x", "mysql://status:•••@db:3306/x"),
            ("mysql://status@db/x", "mysql://status@db/x"),
            ("a https://u:p@h/1 b https://:q@h/2", "a https://u:•••@h/1 b https://:•••@h/2"),
            ("ann@a.test:a.test", "ann@a.test:a.test"),
        ] {
            assert_eq!(without_passwords(text), expected);
        }
    }
}
