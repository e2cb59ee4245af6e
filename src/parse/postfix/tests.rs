//! Fixtures (`tests/fixtures/logs/`, a log and what it means) and properties of the grammar.

use std::{fs, path::Path};

use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    model::{event::Fact, time::Millis},
    parse::syslog,
};

/// 2026-11-21: the fixtures are older.
const NOW: Millis = Millis(1_795_257_000_000);

fn fixtures() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs");
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("fixtures").map(|entry| entry.expect("entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "log"));
    paths.sort();
    assert!(!paths.is_empty());
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    paths.iter().map(|path| (read(path), read(&path.with_extension("json")))).collect()
}

/// What a log means, one value a line.
fn meaning(log: &str) -> Vec<Value> {
    let mut clock = syslog::YearGuess::new(TimeZone::UTC, NOW);
    let meaning = |line| {
        let Some(line) = syslog::parse_line(line, &mut clock) else { return json!(null) };
        json!({ "at": line.at.in_zone(&TimeZone::UTC).timestamp().to_string(), "says": parse(line.program, line.text) })
    };
    log.lines().map(meaning).collect()
}

/// To add a shape, add a line to a log, run this, and copy what it prints after checking it.
#[test]
fn fixtures_mean_what_they_should() {
    for (log, expected) in fixtures() {
        let expected: Vec<Value> = serde_json::from_str(&expected).expect("a list of meanings");
        let found = meaning(&log);
        for (number, line) in log.lines().enumerate() {
            let found = &found[number];
            assert_eq!(Some(found), expected.get(number), "{line}\nmeans\n{found}");
        }
        assert_eq!(found.len(), expected.len());
    }
}

#[test]
fn queue_ids_of_both_kinds_and_nothing_else() {
    for (text, id) in [
        ("0F5383D: removed", Some("0F5383D")),
        ("ABCDEF: removed", Some("ABCDEF")),
        ("48rT2v1hQrz1J0N: removed", Some("48rT2v1hQrz1J0N")),
        ("ABCDE: removed", None),
        ("0f5383d: removed", None),
        ("48rT2v1hQr1J0N: removed", None),
        ("48rT2v1hQrz1a0N: removed", None),
        ("warning: removed", None),
        ("NOQUEUE: removed", None),
        ("0F5383D:removed", None),
        ("0F5383D", None),
        ("", None),
    ] {
        assert_eq!(queue_id::split(text).map(|(id, _)| id), id, "{text}");
    }
}

#[test]
fn a_requeued_mail_tells_its_queue_id_of_before() {
    for (text, id) in [
        ("264FE1A1A: uid=106 from=<root> orig_id=264FE1A19", Some("264FE1A19")),
        ("264FE1A1A: uid=106 from=<\"> orig_id=264FE1A18\"@a.example> orig_id=264FE1A19", Some("264FE1A19")),
        ("264FE1A1A: uid=106 from=<root> orig_id=nobody", None),
        ("264FE1A1A: uid=106 from=<root>", None),
        ("264FE1A1A: message-id=<x> orig_id=264FE1A19", None),
        ("uid=106 from=<root> orig_id=264FE1A19", None),
    ] {
        assert_eq!(queue_id_before(text), id, "{text}");
    }
}

/// Thousands of places where a field could begin; without the bounds on tries this test would not end soon.
#[test]
fn thousands_of_forgeries_come_to_an_end() {
    let forged = "; from=<\"; to=<\"".repeat(4000);
    let line =
        format!("NOQUEUE: reject: RCPT from a[1.2.3.4]: 550 x{forged}; from=<a@b> proto=SMTP helo=<h>");
    assert!(matches!(parse("postfix/smtpd", &line), Parsed::Refused(_)));
    let line = format!("ABCDEF1: to=<{}", "a>, relay=none".repeat(4000));
    assert_eq!(parse("postfix/smtp", &line), Parsed::Unknown);
}

/// Lines of all fixtures, cut and joined at any place.
fn mutated() -> impl Strategy<Value = String> {
    let lines: Vec<String> =
        fixtures().iter().flat_map(|(log, _)| log.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let line = proptest::sample::select(lines);
    (line.clone(), line, any::<(proptest::sample::Index, proptest::sample::Index)>(), ".{0,8}").prop_map(
        |(one, two, (cut, join), middle)| {
            let head = one.get(..cut.index(one.len() + 1)).unwrap_or(&one);
            let tail = two.get(join.index(two.len() + 1)..).unwrap_or(&two);
            format!("{head}{middle}{tail}")
        },
    )
}

/// A local part as Postfix logs it: quoted, with `\` before quotes and backslashes.
fn quoted(local: &str) -> String {
    format!("\"{}\"", local.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Text that looks like fields.
fn forgery() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        ">",
        "<",
        "\"",
        "\\",
        ", ",
        "; ",
        " ",
        ")",
        "(",
        "from=<e@e>",
        "to=<e@e>",
        " to=<",
        "; from=<",
        "proto=ESMTP",
        " helo=<x>",
        "relay=none",
        ", relay=",
        ", delay=0",
        ", delays=0/0/0/0",
        ", dsn=2.0.0",
        ", status=sent (ok)",
        "status=sent",
        ": ",
        "a",
    ]);
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A recipient that is quoted in the reply opens a tail there, and the sender ends it.
#[test]
fn an_address_in_the_reply_begins_no_tail() {
    let (local, odd) = ("; from=<", "@x> proto=ESMTP helo=<n> sasl_username=<");
    for sender in
        ["> helo=<x>", "@x> helo=<x>", "@x> proto=ESMTP helo=<x>", "@x> to=<e@e> proto=ESMTP helo=<", odd]
    {
        let (to, from) = (format!("\"{local}\"@a.example"), format!("\"{sender}\"@b.example"));
        let line = format!(
            "NOQUEUE: reject: RCPT from m[1.2.3.4]: 550 5.1.1 <{to}>: no; from=<{from}> to=<{to}> proto=ESMTP helo=<m>"
        );
        let Parsed::Refused(refusal) = parse("postfix/smtpd", &line) else { panic!("{line}") };
        assert_eq!(
            (refusal.from, refusal.to, refusal.helo, refusal.login),
            (Some(&*from), Some(&*to), "m", None)
        );
    }
}

proptest! {
    #[test]
    fn never_panics(program in "(postfix/|x/|)(smtpd|smtp|qmgr|cleanup|postscreen|.{0,5})", text in ".{0,200}", line in mutated()) {
        parse(&program, &text);
        let mut clock = syslog::YearGuess::new(TimeZone::UTC, NOW);
        syslog::parse_line(&text, &mut clock);
        if let Some(line) = syslog::parse_line(&line, &mut clock) {
            parse(line.program, line.text);
        }
    }

    #[test]
    fn replies_and_addresses_forge_no_delivery(local in forgery(), orig in forgery(), reply in forgery()) {
        let (to, orig) = (format!("{}@b.example", quoted(&local)), format!("{}@a.example", quoted(&orig)));
        let line = format!("ABCDEF1: to=<{to}>, orig_to=<{orig}>, relay=m[1.2.3.4]:25, delay=1, delays=1/0/0/0, dsn=5.0.0, status=bounced ({reply})");
        let Parsed::Mail { queue_id: "ABCDEF1", fact: Fact::Attempt(attempt) } = parse("postfix/smtp", &line) else {
            return Err(TestCaseError::fail(line));
        };
        prop_assert_eq!(attempt.to, to);
        prop_assert_eq!(attempt.orig_to, Some(&*orig));
        prop_assert_eq!((attempt.relay, attempt.dsn, attempt.status), ("m[1.2.3.4]:25", "5.0.0", "bounced"));
        prop_assert_eq!(attempt.reply, reply);
    }

    #[test]
    fn addresses_forge_no_refusal(local in forgery(), sender in forgery()) {
        let (to, from) = (format!("{}@a.example", quoted(&local)), format!("{}@b.example", quoted(&sender)));
        let reply = format!("550 5.1.1 <{to}>: Recipient address rejected");
        let line = format!("NOQUEUE: reject: RCPT from m[1.2.3.4]: {reply}; from=<{from}> to=<{to}> proto=ESMTP helo=<m>");
        let Parsed::Refused(refusal) = parse("postfix/smtpd", &line) else { return Err(TestCaseError::fail(line)) };
        prop_assert_eq!((refusal.from, refusal.to), (Some(&*from), Some(&*to)));
        prop_assert_eq!((refusal.code, refusal.dsn, refusal.helo, refusal.reply), (550, "5.1.1", "m", &*reply));
    }

    /// As postscreen and Postfix before it neutralised HELO names could log it.
    #[test]
    fn open_helo_names_forge_no_refusal(helo in forgery().prop_map(|helo| helo.replace('>', ""))) {
        let line = format!("NOQUEUE: reject: RCPT from m[1.2.3.4]: 550 no; from=<a@b> to=<c@d> proto=ESMTP helo=<{helo}>");
        let Parsed::Refused(refusal) = parse("postfix/smtpd", &line) else { return Err(TestCaseError::fail(line)) };
        prop_assert_eq!((refusal.from, refusal.to, refusal.helo), (Some("a@b"), Some("c@d"), &*helo));
    }

    #[test]
    fn header_contents_forge_no_refusal(content in forgery()) {
        let line = format!("ABCDEF1: reject: header Subject: {content} from m[1.2.3.4]; from=<a@b> to=<c@d> proto=ESMTP helo=<m>: 5.7.1 no");
        let Parsed::Mail { fact: Fact::Refused(refusal), .. } = parse("postfix/cleanup", &line) else {
            return Err(TestCaseError::fail(line));
        };
        prop_assert_eq!((refusal.from, refusal.to, refusal.host, refusal.ip), (Some("a@b"), Some("c@d"), "m", "1.2.3.4"));
        prop_assert_eq!((refusal.dsn, refusal.reply), ("5.7.1", "5.7.1 no"));
    }
}
