//! The house check: imports point down only, and each crate and each act stays in its room.
//!
//! It reads the sources as text, without comments and without tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Each room with its level. A room may import those below it, and nothing on its own level. Level 5 may import all.
const ROOMS: &[(&str, u8)] = &[
    ("main", 5),
    ("commands", 5),
    ("app", 5),
    ("config", 5),
    ("demo", 5),
    ("web", 4),
    ("doctor", 2),
    ("ingest", 2),
    ("metrics", 2),
    ("parse", 1),
    ("store", 1),
    ("remote", 1),
    ("work", 1),
    ("model", 0),
];

/// What may be written only in some places: rooms or files.
struct Rule {
    words: &'static [&'static str],
    places: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule { words: &["sqlx::"], places: &["store"] },
    Rule { words: &["reqwest::", "hickory", "tokio_rustls::", "lettre::"], places: &["remote", "demo"] },
    Rule { words: &["axum::", "askama::"], places: &["web", "demo"] },
    Rule { words: &["env::var"], places: &["config"] },
    Rule {
        words: &["SystemTime::now", "Timestamp::now", "Zoned::now", "now_utc", "Instant::now"],
        places: &["model/time.rs"],
    },
    // Time has one crate; `time::` itself is needed for tower-sessions, whose expiry is such a value.
    Rule { words: &["chrono::"], places: &[] },
];

/// What is forbidden in one place and allowed elsewhere: pages see what their visitor may see.
const FORBIDDEN: &[(&str, &str)] = &[("web", "Scope::All")];

/// File, word and reason of each exception.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("model/time.rs", "sqlx::", "the derive of sqlx::Type on the newtype that is stored as a number"),
    ("model/mail.rs", "sqlx::", "the derive of sqlx::Type on the newtypes that are stored as numbers"),
    ("remote/ports.rs", "Instant::now", "how long a port took to accept; nothing else is told by it"),
    ("commands/import_log/file.rs", "Instant::now", "how long the import took; nothing is stored"),
    ("commands/log.rs", "sqlx::", "the name under which the library logs statements; nothing of it is used"),
    ("store/fresh.rs", "env::var", "where tests find their MariaDB; it is for tests only"),
    ("web/pages/samples.rs", "Scope::All", "samples of an admin's pages, for tests only"),
];

#[test]
fn the_house_stands() {
    let files = sources();
    assert!(files.len() > 10, "the sources were not found");
    let faults: Vec<String> = files.iter().flat_map(|(path, source)| faults(path, source)).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_exception_is_still_needed() {
    let files = sources();
    for (exception, word, _) in EXCEPTIONS {
        let source = files.iter().find(|(path, _)| path == exception).map(|(_, source)| code(source));
        assert!(source.is_some_and(|source| source.contains(word)), "{exception} no longer needs {word}");
    }
}

#[test]
fn the_check_finds_what_it_is_for() {
    for (path, source) in [
        ("model/mail.rs", "use crate::parse::postfix;"),
        ("parse/postfix.rs", "use crate::{model::mail, store::db};"),
        ("store/mails.rs", "fn f() { crate::web::login::f() }"),
        ("store/db.rs", "use super::super::web;"),
        ("work.rs", "use super::{model, store};"),
        ("ingest/mod.rs", "pub use crate::{\n    model::{a, b},\n    web,\n};"),
        ("cellar/mod.rs", ""),
        ("web/pages/mails.rs", "sqlx::query(\"\")"),
        ("web/pages/mails.rs", "use sqlx::{Row};"),
        ("web/login.rs", "let scope = Scope::All;"),
        ("web/login.rs", "use crate::model::scope::{Role, Scope::{self, All}};"),
        ("ingest/poll.rs", "reqwest::get(url)"),
        ("store/db.rs", "std::env::var(\"X\")"),
        ("app.rs", "use axum::Router;"),
        ("ingest/poll.rs", "let now = Instant::now();"),
        ("ingest/poll.rs", "jiff::Timestamp::now()"),
        ("model/time.rs", "chrono::Utc"),
        ("ingest/poll.rs", "#[cfg(test)]\nmod tests;\nfn f() { reqwest::get() }"),
        ("ingest/poll.rs", "#[cfg(test)]\nmod tests {\n    fn f() {\n    }\n}\nfn f() { reqwest::get() }"),
    ] {
        assert!(!faults(path, source).is_empty(), "{path}: {source}");
    }
    for (path, source) in [
        (
            "web/pages/mails.rs",
            "// sqlx::query\n/// [`crate::app`]\nuse crate::{model::mail, store::{db, mails}};",
        ),
        ("store/db.rs", "use super::mails; use crate::model; use crate::store::mails;"),
        ("demo/mod.rs", "use crate::config; use axum::Router;"),
        ("ingest/poll.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n    std::env::var\n}\n"),
        ("ingest/poll.rs", "let scope = Scope::All;"),
    ] {
        assert_eq!(faults(path, source), Vec::<String>::new(), "{source}");
    }
}

/// Each source below `src` but tests, with its path from there. `lib.rs` is the list of rooms itself.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
        .iter()
        .map(|file| {
            (
                file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
                fs::read_to_string(file).unwrap(),
            )
        })
        .filter(|(path, _)| path != "lib.rs" && !path.split(['/', '.']).any(|part| part == "tests"))
        .collect()
}

/// What is wrong with one source.
fn faults(path: &str, source: &str) -> Vec<String> {
    let room = path.split(['/', '.']).next().unwrap();
    let Some(level) = level(room) else { return vec![format!("{path}: {room} is no room; see ROOMS")] };
    let code = code(source);
    let mut faults = Vec::new();
    for target in imports(path, &code) {
        let fine = level == 5 || target == room || self::level(&target).is_none_or(|target| target < level);
        if !fine {
            faults.push(format!("{path}: imports {target}, which is not below {room}"));
        }
    }
    for rule in RULES.iter().filter(|rule| !rule.places.iter().any(|place| [room, path].contains(place))) {
        for word in rule.words.iter().filter(|word| has_word(&code, word)) {
            if !is_excepted(path, word) {
                faults.push(format!("{path}: {word} is for {:?} only", rule.places));
            }
        }
    }
    for (_, word) in FORBIDDEN.iter().filter(|(place, word)| *place == room && !is_excepted(path, word)) {
        // Neither as it stands, nor by an import of the variant itself.
        let imported = word.replace("::", "::{self, ");
        if has_word(&code, word) || code.contains(&imported) || code.contains(&word.replace("::", "::{")) {
            faults.push(format!("{path}: {word} is forbidden in {room}"));
        }
    }
    faults
}

fn is_excepted(path: &str, word: &str) -> bool {
    EXCEPTIONS.iter().any(|(file, excepted, _)| *file == path && *excepted == word)
}

fn level(room: &str) -> Option<u8> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, level)| *level)
}

/// The source without comment lines and without test modules.
fn code(source: &str) -> String {
    let mut kept = String::new();
    let mut in_tests = false;
    let mut lines = source.lines().peekable();
    while let Some(line) = lines.next() {
        let module =
            |next: &&str| next.trim_start_matches("pub(crate) ").starts_with("mod ") && next.ends_with('{');
        in_tests |= line == "#[cfg(test)]" && lines.peek().is_some_and(module);
        if !in_tests && !line.trim_start().starts_with("//") {
            kept.extend([line, "\n"]);
        }
        in_tests &= line != "}";
    }
    kept
}

/// Whether the word occurs where no longer name ends in it.
fn has_word(code: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| !code[..at].ends_with(part_of_name))
}

/// The rooms that a source names, by `crate::` or by climbing up with `super::`.
fn imports(path: &str, code: &str) -> Vec<String> {
    let depth = path.trim_end_matches(".rs").trim_end_matches("/mod").split('/').count();
    let roots = ["crate::".to_owned(), "super::".repeat(depth)];
    let mut found = Vec::new();
    for root in &roots {
        for (at, _) in code.match_indices(root.as_str()) {
            if code[..at].ends_with("super::")
                || code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
            {
                continue;
            }
            found.extend(heads(&code[at + root.len()..]));
        }
    }
    found
}

/// The first names behind a `crate::`: one, or those of the group in braces.
fn heads(text: &str) -> Vec<String> {
    let name =
        |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let Some(group) = text.strip_prefix('{') else { return vec![name(text)] };
    let mut depth = 0;
    let mut items = vec![String::new()];
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => items.push(String::new()),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                items.last_mut().unwrap().push(c);
            }
        }
    }
    items.iter().map(|item| name(item)).collect()
}
