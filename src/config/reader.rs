//! Takes settings out of the environment, `.env` and files, and gathers the faults.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map},
    io,
    path::Path,
};

use super::{
    dotenv,
    fault::{Fault, Faults},
    settings::{Entry, Need, SECTIONS, Setting},
};
use crate::model::setting::{Line, Origin, Value, without_passwords};

/// Values by name, from every place that settings may come from; and what was found wrong so far.
pub struct Reader<'a> {
    values: BTreeMap<String, String>,
    /// Names whose values stand in `.env`.
    in_dotenv: BTreeSet<String>,
    read_file: &'a dyn Fn(&Path) -> io::Result<String>,
    faults: Vec<Fault>,
    taken: BTreeSet<&'static str>,
}

impl<'a> Reader<'a> {
    /// Merges the environment over the text of `.env`. Blank values count as not set, so they hide nothing.
    pub fn new(
        environment: impl Iterator<Item = (String, String)>,
        dotenv: Option<&str>,
        read_file: &'a dyn Fn(&Path) -> io::Result<String>,
    ) -> Self {
        let mut values: BTreeMap<_, _> = environment.filter(|(_, value)| !value.trim().is_empty()).collect();
        let (file, faults) = dotenv::parse(dotenv.unwrap_or_default(), |name| values.get(name).cloned());
        // Within the file the last line wins, also when it empties the value.
        let mut in_dotenv = BTreeSet::new();
        for (name, value) in
            BTreeMap::from_iter(file).into_iter().filter(|(_, value)| !value.trim().is_empty())
        {
            if let btree_map::Entry::Vacant(place) = values.entry(name) {
                in_dotenv.insert(place.key().clone());
                place.insert(value);
            }
        }
        Self { values, in_dotenv, read_file, faults, taken: BTreeSet::new() }
    }

    /// The value of a setting: as given, or its default. `None` when it is optional and not set, or faulty.
    pub fn take<T>(&mut self, setting: &Setting<T>) -> Option<T> {
        let names: Vec<String> = setting.entry.names().map(str::to_owned).collect();
        self.take_named(setting, &names)
    }

    /// As [`Reader::take`], of the mailbox of this number.
    pub fn take_nth<T>(&mut self, setting: &Setting<T>, number: u8) -> Option<T> {
        self.take_named(setting, &[setting.entry.nth_name(number)])
    }

    fn take_named<T>(&mut self, setting: &Setting<T>, names: &[String]) -> Option<T> {
        let entry = &setting.entry;
        self.taken.insert(entry.name);
        let Some((name, given)) = self.given(names)? else {
            return match entry.need {
                // A test parses every default.
                Need::Default(default) => (setting.parse)(default).ok(),
                Need::Optional(_) => None,
                Need::Required(_) => {
                    self.blame(entry, entry.name.to_owned(), "is not set".to_owned());
                    None
                }
            };
        };
        let text = if entry.secret { given.as_str() } else { given.trim() };
        let parsed = if text.contains('\u{fffd}') {
            Err("is not UTF-8 text".to_owned())
        } else {
            (setting.parse)(text)
        };
        parsed.map_err(|wrong| self.blame(entry, name, shown(entry, text, wrong))).ok()
    }

    /// Whether the setting is given anywhere, sound or not.
    pub fn has<T>(&self, setting: &Setting<T>) -> bool {
        setting.entry.names().any(|name| self.is_set(name))
    }

    /// As [`Reader::has`], of the mailbox of this number.
    pub fn has_nth<T>(&self, setting: &Setting<T>, number: u8) -> bool {
        self.is_set(&setting.entry.nth_name(number))
    }

    fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name) || self.values.contains_key(&format!("{name}_FILE"))
    }

    /// Adds a fault that only shows when several settings are seen together.
    pub fn fault(&mut self, name: &str, wrong: impl Into<String>, remedy: impl Into<String>) {
        self.faults.push(Fault::new(name, wrong, remedy));
    }

    /// Every setting as it is shown: those of the first mailbox in any case, those of others where they are given.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for section in SECTIONS {
            for &entry in section.entries {
                let names: Vec<String> = entry.names().map(str::to_owned).collect();
                lines.push(self.line(section.title, entry, &names));
            }
            for number in 2..=9 {
                let numbered = section.entries.iter().filter(|entry| entry.name.starts_with("IMAP_"));
                for entry in numbered.filter(|entry| self.is_set(&entry.nth_name(number))) {
                    lines.push(self.line(section.title, entry, &[entry.nth_name(number)]));
                }
            }
        }
        lines
    }

    fn line(&self, section: &'static str, entry: &Entry, names: &[String]) -> Line {
        let found = names.iter().find_map(|name| {
            let file = format!("{name}_FILE");
            let given = [name, &file].into_iter().find(|given| self.values.contains_key(given.as_str()))?;
            let text = self.values.get(given.as_str())?;
            Some((name.clone(), given.clone(), (*given == file).then(|| text.clone()), text.clone()))
        });
        let (name, value, origin, file) = match found {
            Some((name, given, file, text)) => {
                let origin =
                    if self.in_dotenv.contains(&given) { Origin::DotEnv } else { Origin::Environment };
                let text = match &file {
                    _ if entry.secret => None,
                    Some(path) => (self.read_file)(Path::new(path)).ok(),
                    None => Some(text),
                };
                let open = |text: String| Value::Open(without_passwords(text.trim()));
                (name, text.map_or(Value::Hidden, open), origin, file)
            }
            None => {
                let (value, origin) = match entry.need {
                    Need::Default(value) => (Value::Open(value.to_owned()), Origin::Default),
                    Need::Optional(_) | Need::Required(_) => (Value::Unset, Origin::Nowhere),
                };
                (names.first().cloned().unwrap_or_default(), value, origin, None)
            }
        };
        Line { section, name, declared: entry.name, value, origin, file, help: entry.help }
    }

    /// The end: what was built, if nothing was wrong.
    pub fn finish<T>(self, built: Option<T>) -> Result<T, Faults> {
        built.filter(|_| self.faults.is_empty()).ok_or(Faults(self.faults))
    }

    #[cfg(test)]
    pub fn taken(&self) -> &BTreeSet<&'static str> {
        &self.taken
    }

    /// Name and text of the first of a setting's names that is set, directly or by file.
    /// The outer `None` means that it was set and is faulty.
    fn given(&mut self, names: &[String]) -> Option<Option<(String, String)>> {
        for name in names {
            let file = format!("{name}_FILE");
            match (self.values.get(name.as_str()).cloned(), self.values.get(&file).cloned()) {
                (None, None) => {}
                (Some(text), None) => return Some(Some((name.to_owned(), text))),
                (None, Some(path)) => return self.content(file, &path).map(Some),
                (Some(_), Some(_)) => {
                    self.fault(name, format!("is set, and so is {file}"), "Remove one of the two.");
                    return None;
                }
            }
        }
        Some(None)
    }

    fn content(&mut self, name: String, path: &str) -> Option<(String, String)> {
        match (self.read_file)(Path::new(path)) {
            Ok(text) if text.trim().is_empty() => {
                self.fault(
                    &name,
                    format!("names the file {path:?}, which is empty"),
                    "Put the value into the file.",
                );
                None
            }
            Ok(text) => {
                let line = text.strip_suffix('\n').unwrap_or(&text);
                Some((name, line.strip_suffix('\r').unwrap_or(line).to_owned()))
            }
            Err(error) => {
                let wrong = format!("names the file {path:?}, which cannot be read ({error})");
                self.fault(&name, wrong, "Correct the path, or let the user that runs this program read it.");
                None
            }
        }
    }

    fn blame(&mut self, entry: &Entry, name: String, wrong: String) {
        let example = match entry.need {
            Need::Required("") | Need::Optional("") => String::new(),
            Need::Required(example) | Need::Optional(example) | Need::Default(example) => {
                format!(", for example {example}")
            }
        };
        self.faults.push(Fault::new(name, wrong, format!("Give {}{example}.", entry.form)));
    }
}

/// The fault with the value that caused it, unless that is a secret.
fn shown(entry: &Entry, text: &str, wrong: String) -> String {
    if entry.secret {
        return wrong;
    }
    let start: String = text.chars().take(60).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("{start:?}{more} {wrong}")
}
