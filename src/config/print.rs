//! The declared settings as `.env.example` and as `docs/settings.md`.

use std::fmt::Write;

use super::settings::{Entry, Need, SECTIONS};

/// The text of `.env.example`: every setting with its help, those with a default commented out.
pub fn example() -> String {
    let mut out = String::from(
        "# Settings of mailcow-status. Copy this file to .env and fill in what is empty.\n\
         # Each NAME can come from a file instead: NAME_FILE=/path. Derived from the code by\n\
         # `mailcow-status settings --example`; do not edit.\n",
    );
    for section in SECTIONS {
        let _ = write!(out, "\n# ---- {} ----\n", section.title);
        for entry in section.entries {
            out.push('\n');
            for line in entry.help.lines() {
                let _ = writeln!(out, "# {}", line.trim());
            }
            let _ = match entry.need {
                Need::Required("") => writeln!(out, "{}=", entry.name),
                Need::Required(example) => writeln!(out, "# For example {example}\n{}=", entry.name),
                Need::Default(value) | Need::Optional(value) => writeln!(out, "#{}={value}", entry.name),
            };
        }
    }
    out
}

/// The text of `docs/settings.md`: the rules, and a table for each section.
pub fn reference() -> String {
    let mut out = String::from(
        "# Settings\n\n\
         Derived from the code by `mailcow-status settings --reference`; do not edit.\n\n\
         - Settings come from the environment and from a file `.env` in the working directory. The environment wins.\n\
         - In `.env`, `#` begins a comment, `export` may stand before a name, and values may stand in `\"` (with `\\\"`,\n  \
         `\\\\`, `\\$`, `\\n`) or in `'` (as they are). `${NAME}` stands for another setting, except in `'`.\n\
         - Each `NAME` can come from a file: `NAME_FILE=/run/secrets/name`. One line end at the end of the file is dropped.\n\
         - An empty value is the same as none.\n\
         - All faults are told at once when the program starts. Secrets are never printed.\n",
    );
    for section in SECTIONS {
        let _ = write!(
            out,
            "\n## {}\n\n| setting | value | default | meaning |\n|---|---|---|---|\n",
            section.title
        );
        for entry in section.entries {
            row(&mut out, entry);
        }
    }
    out
}

fn row(out: &mut String, entry: &Entry) {
    let names: Vec<String> = entry.names().map(|name| format!("`{name}`")).collect();
    let secret = if entry.secret { " Never printed." } else { "" };
    let (default, example) = match entry.need {
        Need::Required(example) => ("**required**".to_owned(), example),
        Need::Default(value) => (format!("`{value}`"), ""),
        Need::Optional(example) => ("none".to_owned(), example),
    };
    let example = if example.is_empty() { String::new() } else { format!(" Example: `{example}`.") };
    let help = entry.help.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let cells = [names.join(" or "), entry.form.to_owned(), default, format!("{help}{example}{secret}")];
    let cells = cells.map(|cell| cell.replace('|', "\\|"));
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}
