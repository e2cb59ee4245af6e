//! The settings as they are in force: value, origin, meaning. Nothing can be changed here, and no secret is shown.

use std::{collections::HashMap, sync::OnceLock};

use askama::Template;

use crate::{
    model::setting::{Line, Origin, Value},
    web::{pages::frame::Frame, text::Lang},
};

/// Longest text that is searched for, in characters.
const LONGEST: usize = 100;

/// The page.
#[derive(Template)]
#[template(path = "settings.html")]
pub struct SettingsPage<'a> {
    frame: &'a Frame,
    title: String,
    since: String,
    wanted: String,
    sections: Vec<Section>,
    copy: String,
}

struct Section {
    id: String,
    title: &'static str,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    value: Option<String>,
    word: &'static str,
    origin: String,
    given: bool,
    help: Vec<Piece>,
}

/// A piece of a help: code or not.
struct Piece {
    text: &'static str,
    code: bool,
}

/// The view of all settings, or of those that a text was searched in; `since` is when they were read.
pub fn view<'a>(
    frame: &'a Frame,
    lines: &[Line],
    wanted: &str,
    since: crate::model::time::Millis,
) -> SettingsPage<'a> {
    let wanted: String = wanted.trim().chars().take(LONGEST).collect();
    let mut sections: Vec<Section> = Vec::new();
    let mut last = "";
    for line in lines.iter().filter(|line| fits(frame.lang(), line, &wanted.to_lowercase())) {
        if sections.is_empty() || last != line.section {
            let id = format!("section-{}", sections.len());
            sections.push(Section { id, title: section(frame.lang(), line.section), rows: Vec::new() });
            last = line.section;
        }
        if let Some(section) = sections.last_mut() {
            section.rows.push(row(frame, line));
        }
    }
    let given = lines.iter().filter(|line| is_given(line)).count() as i64;
    let title = match wanted.is_empty() {
        true => frame.lang().tn("settings.title", given, &[]),
        false => {
            let found: usize = sections.iter().map(|section| section.rows.len()).sum();
            frame.lang().tn("settings.found", found as i64, &[("text", &wanted)])
        }
    };
    let since = frame.lang().tf("settings.since", &[("when", &frame.formats.sentence(since))]);
    SettingsPage { frame, title, since, wanted, sections, copy: copy(lines) }
}

fn is_given(line: &Line) -> bool {
    matches!(line.origin, Origin::Environment | Origin::DotEnv)
}

fn fits(lang: Lang, line: &Line, wanted: &str) -> bool {
    let value = match &line.value {
        Value::Open(text) => text.to_lowercase(),
        Value::Hidden | Value::Unset => String::new(),
    };
    let help = help(lang, line).to_lowercase();
    line.name.to_lowercase().contains(wanted) || value.contains(wanted) || help.contains(wanted)
}

fn row(frame: &Frame, line: &Line) -> Row {
    let lang = frame.lang();
    let (value, word) = match &line.value {
        Value::Open(text) => (Some(text.clone()), ""),
        Value::Hidden => (None, lang.t("settings.set")),
        Value::Unset => (None, lang.t("settings.not_set")),
    };
    let origin = lang.t_in("settings_origin", line.origin.code());
    let origin = match &line.file {
        Some(path) => lang.tf("settings.by_file", &[("path", path), ("origin", origin)]),
        None => origin.to_owned(),
    };
    Row {
        name: line.name.clone(),
        value,
        word,
        origin,
        given: is_given(line),
        help: pieces(help(lang, line)),
    }
}

/// The text in pieces: every second one between two backticks is code.
fn pieces(help: &'static str) -> Vec<Piece> {
    let all = help.trim().split('`').enumerate();
    all.filter(|(_, text)| !text.is_empty()).map(|(at, text)| Piece { text, code: at % 2 == 1 }).collect()
}

/// The heading of a section in the visitor's language.
fn section(lang: Lang, title: &'static str) -> &'static str {
    if lang == Lang::De { german("section", title).unwrap_or(title) } else { title }
}

/// The meaning of a setting in the visitor's language.
fn help(lang: Lang, line: &Line) -> &'static str {
    if lang == Lang::De { german("help", line.declared).unwrap_or(line.help) } else { line.help }
}

/// The German text for what is declared in English.
fn german(family: &str, name: &str) -> Option<&'static str> {
    static TEXTS: OnceLock<HashMap<&str, &str>> = OnceLock::new();
    let texts = TEXTS.get_or_init(|| {
        let lines = include_str!("../../../locales/settings.de.txt").lines();
        lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = ")).collect()
    });
    texts.get(format!("{family}.{name}").as_str()).copied()
}

/// What is set, to be passed on: secrets are only named.
fn copy(lines: &[Line]) -> String {
    let given = lines.iter().filter(|line| is_given(line));
    let text = |line: &Line| match &line.value {
        Value::Open(value) => format!("{}={value}\n", line.name),
        Value::Hidden | Value::Unset => format!("# {} is set\n", line.name),
    };
    given.map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::scope::Role, web::pages::samples};

    #[test]
    fn secrets_are_named_and_never_shown_or_copied() {
        let frame = samples::frame(Role::Admin, Lang::En);
        let page = view(&frame, &samples::settings(), "", samples::NOW);
        assert_eq!(page.copy, "# MAILCOW_API_KEY is set\nPOSTFIX_COUNT=2000\n");
        let row =
            page.sections.iter().flat_map(|section| &section.rows).find(|row| row.name == "MAILCOW_API_KEY");
        assert_eq!(row.map(|row| (row.value.as_deref(), row.word)), Some((None, "Set")));
    }

    #[test]
    fn a_search_finds_names_values_and_meanings() {
        let frame = samples::frame(Role::Admin, Lang::En);
        let found = |wanted: &str| {
            let page = view(&frame, &samples::settings(), wanted, samples::NOW);
            let rows = page.sections.into_iter().flat_map(|section| section.rows);
            rows.map(|row| row.name).collect::<Vec<_>>()
        };
        assert_eq!(found("postfix_c"), ["POSTFIX_COUNT"]);
        assert_eq!(found("2000"), ["POSTFIX_COUNT"]);
        assert_eq!(found("read-only key"), ["MAILCOW_API_KEY"]);
        assert!(found("nothing like that").is_empty());
    }

    #[test]
    fn code_in_a_help_is_told_apart() {
        let told: Vec<(&str, bool)> =
            pieces("`A` is as `B`,\nelse C.\n").into_iter().map(|piece| (piece.text, piece.code)).collect();
        assert_eq!(told, [("A", true), (" is as ", false), ("B", true), (",\nelse C.", false)]);
    }
}
