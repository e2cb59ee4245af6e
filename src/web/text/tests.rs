use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;
use crate::model::mail::{Direction, Status, Verdict};

const EN: &str = include_str!("../../../locales/en.txt");
const DE: &str = include_str!("../../../locales/de.txt");

fn placeholders(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|tail| tail.split_once('}')).map(|(name, _)| name).collect()
}

#[test]
fn both_languages_say_everything() {
    let (en, de): (BTreeMap<_, _>, BTreeMap<_, _>) = (read(EN).collect(), read(DE).collect());
    assert_eq!(en.keys().collect::<Vec<_>>(), de.keys().collect::<Vec<_>>());
    for (key, text) in &en {
        let other = de[key];
        assert!(!text.trim().is_empty() && !other.trim().is_empty(), "{key}");
        if !key.ends_with(".one") {
            assert_eq!(placeholders(text), placeholders(other), "{key}");
        }
    }
}

#[test]
fn every_line_is_a_text_and_no_key_stands_twice() {
    for file in [EN, DE] {
        let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert_eq!(lines.count(), read(file).count());
        assert_eq!(read(file).count(), read(file).collect::<BTreeMap<_, _>>().len());
    }
}

#[test]
fn a_number_has_two_forms_with_the_same_places() {
    for file in [EN, DE] {
        let words: BTreeMap<_, _> = read(file).collect();
        for (key, text) in &words {
            if let Some(stem) = key.strip_suffix(".one") {
                let other = words.get(format!("{stem}.other").as_str()).expect(key);
                let with_count = placeholders(text).into_iter().chain(["count"]).collect::<BTreeSet<_>>();
                assert_eq!(with_count, placeholders(other), "{key}");
            }
            // `verdict.other` is a word of its own.
            if let Some(stem) = key.strip_suffix(".other")
                && placeholders(text).contains("count")
            {
                assert!(words.contains_key(format!("{stem}.one").as_str()), "{key}");
            }
        }
    }
}

#[test]
fn no_text_scolds_or_counts_with_brackets() {
    for (key, text) in read(EN).chain(read(DE)) {
        assert!(!text.contains('!') && !text.contains("(s)") && !text.contains("..."), "{key}");
    }
}

/// What a source calls: whole keys, keys with two forms, and families of keys.
#[derive(Default)]
struct Used {
    keys: BTreeSet<String>,
    families: BTreeSet<String>,
}

fn literal_behind<'a>(source: &'a str, call: &str) -> Vec<&'a str> {
    let calls = source.split(call).skip(1).map(str::trim_start);
    calls.filter_map(|tail| tail.strip_prefix('"')?.split_once('"').map(|(key, _)| key)).collect()
}

fn collect(folder: &Path, used: &mut Used) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, used);
            continue;
        }
        let Ok(source) = std::fs::read_to_string(&path) else { continue };
        if path.ends_with("text/tests.rs") {
            continue;
        }
        // Doc comments name calls as examples.
        let code: Vec<_> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let source = code.join("\n");
        for call in [".t(", ".tf("] {
            used.keys.extend(literal_behind(&source, call).into_iter().map(str::to_owned));
        }
        for call in [".tn(", ".tn_as("] {
            for key in literal_behind(&source, call) {
                used.keys.extend([format!("{key}.one"), format!("{key}.other")]);
            }
        }
        for call in [".t_in(", ".tf_in(", ".tn_in("] {
            used.families
                .extend(literal_behind(&source, call).into_iter().map(|family| format!("{family}.")));
        }
    }
}

fn used() -> Used {
    let mut used = Used::default();
    for folder in ["src", "templates"] {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut used);
    }
    used
}

#[test]
fn every_key_that_is_used_has_a_text() {
    let used = used();
    let words: BTreeMap<_, _> = read(EN).collect();
    assert!(used.keys.contains("turn.your_admin"), "the scan finds nothing");
    let missing: Vec<_> = used.keys.iter().filter(|key| !words.contains_key(key.as_str())).collect();
    assert!(missing.is_empty(), "without text: {missing:?}");
    for family in &used.families {
        assert!(words.keys().any(|key| key.starts_with(family)), "an empty family: {family}");
    }
}

#[test]
fn every_text_is_used() {
    // Before the first page there is nothing that could use them.
    if !Path::new(env!("CARGO_MANIFEST_DIR")).join("templates").exists() {
        return;
    }
    let used = used();
    let idle =
        |key: &&str| !used.keys.contains(*key) && !used.families.iter().any(|family| key.starts_with(family));
    let unused: Vec<_> = read(EN).map(|(key, _)| key).filter(idle).collect();
    assert!(unused.is_empty(), "unused: {unused:?}");
}

#[test]
fn the_browser_decides_the_language() {
    for (header, lang) in [
        ("", Lang::En),
        ("de", Lang::De),
        ("de-AT,de;q=0.9,en;q=0.8", Lang::De),
        ("en-US,en;q=0.9,de;q=0.8", Lang::En),
        ("fr,de;q=0.5,en;q=0.4", Lang::De),
        ("fr, *;q=0.5", Lang::En),
        ("de;q=0, en;q=0.1", Lang::En),
        ("DE-ch ; q=0.7 , en ; q=0.6", Lang::De),
        ("den;q=1,de;q=x", Lang::En),
    ] {
        assert_eq!(Lang::from_accept_language(header), lang, "{header}");
    }
}

#[test]
fn texts_are_filled_once_and_counted_in_their_language() {
    let filled = Lang::En.tf("story.through", &[("address", "{address}")]);
    assert_eq!(filled, "through {address}");
    assert_eq!(Lang::De.tn("start.delayed", 1, &[]), "Eine Mail ist noch unterwegs.");
    assert_eq!(Lang::De.tn("start.delayed", 3120, &[]), "3.120 Mails sind noch unterwegs.");
    assert_eq!(Lang::En.tn("start.delayed", 0, &[]), "0 mails are still on their way.");
    assert_eq!(
        Lang::En.tn("start.domain_bad", 12, &[("domain", "a.test")]),
        "a.test: 12 mails did not arrive in the last 7 days."
    );
    let more = Lang::En.tn_as("start.bad", 50, "More than 50", &[]);
    assert_eq!(more, "More than 50 mails did not arrive.");
}

#[test]
fn every_word_of_a_mail_has_a_text() {
    let words: BTreeMap<_, _> = read(EN).collect();
    let status = Status::ALL.iter().flat_map(|one| ["status", "meaning"].map(|family| (family, one.code())));
    let direction = Direction::ALL.iter().map(|one| ("direction", one.code()));
    let verdict = Verdict::ALL.iter().map(|one| ("verdict", one.code()));
    for (family, word) in status.chain(direction).chain(verdict) {
        assert!(words.contains_key(format!("{family}.{word}").as_str()), "{family}.{word}");
    }
}

#[test]
fn a_status_that_nobody_knows_is_unknown() {
    assert_eq!(Lang::De.t_in("status", "junk"), "In Junk verschoben");
    assert_eq!(Lang::De.t_in("status", "made-up"), "Unbekannt");
}

#[test]
#[should_panic(expected = "no text for")]
fn a_missing_key_stops_a_debug_build() {
    Lang::En.t("not.a.key");
}
