use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

#[derive(Deserialize)]
struct Case {
    id: String,
    text: String,
    expect: String,
    dsn: Option<String>,
}

#[test]
fn all_known_replies_match_their_entry() {
    let dictionary = Dictionary::built_in();
    let cases = include_str!("../../../tests/fixtures/replies.jsonl");
    let mut wrong = Vec::new();
    for line in cases.lines() {
        let case: Case = serde_json::from_str(line).expect("a case per line");
        let explanation = dictionary.explain(&case.text, case.dsn.as_deref());
        if explanation.entry.id != case.expect {
            wrong.push((case.id, case.expect, explanation.entry.id.into_owned()));
        }
    }
    assert!(cases.lines().count() >= 304 && wrong.is_empty(), "{wrong:#?}");
}

fn id(text: &str, dsn: Option<&str>) -> String {
    Dictionary::built_in().explain(text, dsn).entry.id.into_owned()
}

#[test]
fn words_in_names_and_addresses_do_not_match() {
    assert_eq!(
        id("host spam.dmarc.example[192.0.2.1] said: 550 5.1.1 <virus@spam.example>: Gone", None),
        "enh-5-1-1"
    );
}

#[test]
fn the_log_lines_code_counts_only_where_the_text_has_none() {
    assert_eq!(id("something odd", Some("5.1.1")), "enh-5-1-1");
    assert_eq!(id("something odd", None), "fallback-none");
    assert_eq!(id("550 something odd", Some("4.2.2")), "basic-550");
    assert_eq!(id("something odd", Some("nonsense")), "fallback-none");
}

#[test]
fn a_whole_class_is_no_match() {
    let dictionary = Dictionary::built_in();
    for (text, matched) in
        [("550 5.99.99 odd", true), ("599 odd", false), ("odd", false), ("odd (#4.88.7)", false)]
    {
        let explanation = dictionary.explain(text, None);
        assert_eq!(explanation.matched, matched, "{text}: {}", explanation.entry.id);
    }
    assert_eq!(dictionary.explain("599 odd", None).entry.class, "permanent_unknown");
}

#[test]
fn an_entry_carries_everything_from_its_row() {
    let dictionary = Dictionary::built_in();
    let entry = dictionary
        .explain("552-5.2.2 The recipient's inbox is out of storage space and inactive.", None)
        .entry;
    assert_eq!(
        (&*entry.id, &*entry.provider, &*entry.class),
        ("gmail-quota-inactive", "gmail", "mailbox_full")
    );
    assert_eq!(entry.who_acts, WhoActs::Recipient);
    assert!(entry.text.en.ends_with('.') && entry.text.de.ends_with('.') && entry.next.de.ends_with('.'));
    assert!(entry.admin_hint.en.len() > 5 && entry.admin_hint.de.len() > 5);
    assert!(entry.link.is_none_or(|link| link.starts_with("https://")));
}

fn own(id: &str, phrase: &str) -> Override {
    Override {
        id: id.into(),
        phrase: phrase.into(),
        class: "policy".into(),
        permanent: Permanent::Yes,
        who_acts: WhoActs::SenderAdmin,
        text_en: "Ours.".into(),
        text_de: "Unseres.".into(),
        next_en: "Ask.".into(),
        next_de: "Fragen.".into(),
    }
}

#[test]
fn admins_entries_come_first_or_replace() {
    let dictionary = Dictionary::with_overrides(vec![own("mine", "Odd  Words && TWO"), own("gen-virus", "")]);
    let added = dictionary.explain("550 5.1.1 two odd\nwords", None);
    assert_eq!((&*added.entry.id, added.matched), ("mine", true));
    assert_eq!(dictionary.explain("550 5.1.1 odd words", None).entry.id, "enh-5-1-1");
    let replaced = dictionary.explain("550 a virus was found", None);
    assert_eq!((&*replaced.entry.id, &*replaced.entry.text.de), ("gen-virus", "Unseres."));
}

#[test]
fn our_own_refusals_are_told_from_those_of_others() {
    let reply = "550 5.1.1 <x@a.test>: Recipient address rejected: User unknown in virtual mailbox table";
    let refusal = Refusal {
        verb: "reject",
        stage: "RCPT",
        ip: "192.0.2.9",
        code: 550,
        dsn: "5.1.1",
        reply,
        ..Refusal::default()
    };
    assert_eq!(Dictionary::built_in().explain_refusal(&refusal).entry.id, "in-user-unknown-mailbox");
    let milter = Refusal {
        verb: "milter-reject",
        stage: "END-OF-MESSAGE",
        reply: "4.7.1 Wait",
        dsn: "4.7.1",
        ..refusal
    };
    assert_eq!(Dictionary::built_in().explain_refusal(&milter).entry.id, "mc-milter-reject-4");
}

/// Whatever stands in a refusal of ours, nobody is told that the recipient's server said it.
#[test]
fn no_words_make_a_refusal_of_ours_that_of_another_server() {
    for line in include_str!("replies.csv").lines().skip(1) {
        let words = table::Fields(Some(line)).nth(2).expect("a pattern").replace(" && ", " ");
        for (code, verb) in [("550 5.7.1", "reject"), ("450 4.7.1", "reject"), ("554 5.7.1", "milter-reject")]
        {
            let id = id(&format!("NOQUEUE: {verb}: RCPT from x[192.0.2.1]: {code} {words}"), None);
            assert!(id.starts_with("in-") || id.starts_with("mc-"), "{words}: {id}");
            assert!(!id.ends_with("-remote"), "{words}: {id}");
        }
    }
}

#[test]
fn a_refusal_of_ours_that_no_row_knows_is_final_by_its_code() {
    let dictionary = Dictionary::built_in();
    for (reply, expected) in [
        ("550 5.7.1 odd", ("in-refused", Permanent::Yes, WhoActs::RecipientAdmin)),
        ("450 4.7.1 odd", ("in-refused-4", Permanent::No, WhoActs::NobodyWait)),
        ("450 odd", ("in-refused-4", Permanent::No, WhoActs::NobodyWait)),
        ("451 4.3.5 odd", ("in-own-fault", Permanent::No, WhoActs::SenderAdmin)),
        ("503 5.5.1 odd", ("in-protocol", Permanent::Yes, WhoActs::SenderAdmin)),
        ("odd", ("in-refused", Permanent::Depends, WhoActs::RecipientAdmin)),
    ] {
        let refusal = Refusal { verb: "reject", stage: "RCPT", ip: "192.0.2.9", reply, ..Refusal::default() };
        let entry = dictionary.explain_refusal(&refusal).entry;
        assert_eq!((&*entry.id, entry.permanent, entry.who_acts), expected, "{reply}");
    }
}

#[test]
fn the_log_decides_what_is_final() {
    assert_eq!(Permanent::Yes.decided(Some("deferred")), Permanent::No);
    assert_eq!(Permanent::Depends.decided(Some("bounced")), Permanent::Yes);
    assert_eq!(Permanent::Depends.decided(None), Permanent::Depends);
    assert_eq!(Permanent::No.decided(Some("sent")), Permanent::No);
}

#[test]
fn every_class_of_the_table_has_a_short_cause() {
    for line in include_str!("replies.csv").lines().skip(1) {
        let class = read_entry(line).class;
        assert!(cause::CAUSES.iter().any(|(known, ..)| *known == class), "{class}");
    }
}

#[test]
fn hostile_lengths_stay_bounded() {
    let begun = Instant::now();
    for unit in [
        "<",
        "<a@b",
        "550-",
        "550 5.7.1 ",
        "host a said: ",
        "5.",
        "spam ",
        "rec",
        "; from=",
        "ü\u{0}\u{202e}",
        "(",
        ": 550",
    ] {
        let text = unit.repeat(100_000 / unit.len());
        assert!(!Dictionary::built_in().explain(&text, None).entry.id.is_empty());
        assert!(phrase_key(&text).chars().count() <= 200);
    }
    // A guard against squares, not a measurement: a square of 100,000 takes minutes in a debug build.
    assert!(begun.elapsed() < Duration::from_secs(20));
}

proptest! {
    #[test]
    fn any_text_is_explained(text in any::<String>(), dsn in proptest::option::of("[0-9.]{0,9}")) {
        prop_assert!(!Dictionary::built_in().explain(&text, dsn.as_deref()).entry.id.is_empty());
        prop_assert!(phrase_key(&text).chars().count() <= 200);
    }

    #[test]
    fn any_shape_of_reply_is_explained(text in "(host [a-z.]{1,9}(\\[[0-9.]{1,9}\\])? said: )?[2-6]?[0-9]{0,3}[- ]?([245]\\.[0-9]{1,4}\\.[0-9]{1,4})?.{0,40}(550[- ]| |<|>|@|\\(|: ){0,20}") {
        prop_assert!(!Dictionary::built_in().explain(&text, None).entry.id.is_empty());
    }
}
