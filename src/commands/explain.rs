//! `mailcow-status explain`: what a reply of another server, or a log line of Postfix, means.

use std::io::{BufRead, Write};

use serde::Serialize;

use crate::model::{
    event::{Fact, Parsed, Refusal},
    explain::{Dictionary, Explanation, Permanent, WhoActs},
};
use crate::parse::postfix;
use crate::web::text::Lang;

/// What to explain and how to print it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ExplainArgs {
    /// A reply, a text of Postfix or a whole log line; without it, or as `-`, each line of standard input
    #[arg(value_name = "TEXT")]
    pub text: Vec<String>,
    /// Print one JSON object a text, with both languages
    #[arg(long)]
    pub json: bool,
    /// Language of the plain output: en or de
    #[arg(long, default_value = "en", value_parser = read_lang)]
    pub lang: Lang,
}

/// Explains the text, or each line of `input` that is not blank. Fails when reading or writing fails.
pub fn run(args: ExplainArgs, mut input: impl BufRead, out: &mut impl Write) -> anyhow::Result<()> {
    let dictionary = Dictionary::built_in();
    let text = args.text.join(" ");
    if !text.is_empty() && text != "-" {
        explain(&dictionary, &text, &args, out)?;
        return Ok(out.flush()?);
    }
    let mut line = Vec::new();
    let mut first = true;
    while input.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            if !first && !args.json {
                writeln!(out)?;
            }
            first = false;
            explain(&dictionary, &text, &args, out)?;
        }
        line.clear();
    }
    Ok(out.flush()?)
}

fn read_lang(code: &str) -> Result<Lang, String> {
    Lang::from_code(code).ok_or_else(|| "use en or de".to_owned())
}

fn explain(
    dictionary: &Dictionary,
    text: &str,
    args: &ExplainArgs,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let said = Said::read(text);
    let explanation = match refusal(said.reply) {
        Some(refusal) => dictionary.explain_refusal(&refusal),
        None => dictionary.explain(said.reply, said.dsn),
    };
    let permanent = explanation.entry.permanent.decided(said.status);
    if args.json {
        print_json(&explanation, permanent, out)
    } else {
        print_plain(&explanation, args.lang, out)
    }
}

#[derive(Serialize)]
struct Printed<'a> {
    id: &'a str,
    class: &'a str,
    who_acts: WhoActs,
    permanent: Permanent,
    matched: bool,
    text_en: &'a str,
    next_en: &'a str,
    text_de: &'a str,
    next_de: &'a str,
    link: Option<&'a str>,
}

fn print_json(
    explanation: &Explanation<'_>,
    permanent: Permanent,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let entry = &explanation.entry;
    let printed = Printed {
        id: &entry.id,
        class: &entry.class,
        who_acts: entry.who_acts,
        permanent,
        matched: explanation.matched,
        text_en: &entry.text.en,
        next_en: &entry.next.en,
        text_de: &entry.text.de,
        next_de: &entry.next.de,
        link: entry.link.as_deref(),
    };
    serde_json::to_writer(&mut *out, &printed)?;
    Ok(writeln!(out)?)
}

fn print_plain(explanation: &Explanation<'_>, lang: Lang, out: &mut impl Write) -> anyhow::Result<()> {
    let entry = &explanation.entry;
    writeln!(out, "{}", lang.pick(&entry.text))?;
    writeln!(out, "{}", lang.tf("turn.who", &[("who", lang.turn(entry.who_acts))]))?;
    writeln!(out, "{}", lang.tf("turn.next", &[("step", lang.pick(&entry.next))]))?;
    if let Some(link) = &entry.link {
        writeln!(out, "{}", lang.tf("turn.more", &[("link", link)]))?;
    }
    Ok(())
}

/// What a text says: of a log line of a delivery its reply, code and status, else all of it.
struct Said<'a> {
    reply: &'a str,
    dsn: Option<&'a str>,
    status: Option<&'a str>,
}

impl<'a> Said<'a> {
    fn read(text: &'a str) -> Self {
        let text = text.trim();
        Self::delivery(text).unwrap_or(Self { reply: without_syslog_head(text), dsn: None, status: None })
    }

    /// `..., dsn=5.1.1, status=bounced (host x said: ...)` of the delivery agents (smtp(8), lmtp(8)).
    fn delivery(text: &'a str) -> Option<Self> {
        let (head, tail) = text.split_once("status=")?;
        // A reply that merely talks of a status has no fields of the log before it.
        if !(head.is_empty() || head.contains("dsn=") || head.contains("delay=")) {
            return None;
        }
        let (status, reply) = tail.split_once(" (")?;
        if status.is_empty() || !status.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
            return None;
        }
        let dsn = head.rsplit_once("dsn=").map(|(_, dsn)| dsn.trim_end_matches([' ', ',']));
        Some(Self { reply: reply.strip_suffix(')').unwrap_or(reply), dsn, status: Some(status) })
    }
}

/// A refusal of our own server, as the log has it: only the grammar tells its reply from what a sender wrote.
fn refusal(text: &str) -> Option<Refusal<'_>> {
    match postfix::parse("postfix/smtpd", text) {
        Parsed::Refused(refusal) | Parsed::Mail { fact: Fact::Refused(refusal), .. } => Some(refusal),
        _ => None,
    }
}

/// Cuts time, host and program, whose words must not count: `Nov 20 18:44:52 mx postfix/smtpd[17]: `.
fn without_syslog_head(text: &str) -> &str {
    let head_end = text.find("]: ").map(|at| at + 3);
    let is_head =
        |head: &&str| head.contains("postfix") && !head.contains("said:") && !head.contains(" from ");
    match head_end.and_then(|end| text.split_at_checked(end)) {
        Some((head, rest)) if is_head(&head) => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ExplainArgs,
    }

    fn output(words: &[&str], input: &str) -> String {
        let line = Line::parse_from([&["explain"], words].concat());
        let mut out = Vec::new();
        run(line.args, input.as_bytes(), &mut out).expect("runs");
        String::from_utf8(out).expect("text")
    }

    fn objects(words: &[&str], input: &str) -> Vec<serde_json::Value> {
        output(words, input)
            .lines()
            .map(|line| serde_json::from_str(line).expect("an object a line"))
            .collect()
    }

    #[test]
    fn a_text_is_explained_in_words() {
        let plain = output(&["552 5.2.2 Mailbox full"], "");
        let lines: Vec<_> = plain.lines().collect();
        assert!(lines[0].contains("mailbox") && lines[0].ends_with('.'), "{plain}");
        assert_eq!(lines[1], "Who must act: The recipient");
        assert!(lines[2].starts_with("Next step: "));
        let german = output(&["--lang", "de", "552", "5.2.2", "Mailbox", "full"], "");
        assert!(german.contains("Postfach") && german.contains("Am Zug: Der Empfänger"), "{german}");
    }

    #[test]
    fn json_has_both_languages() {
        let [object] = &objects(&["--json", "552 5.2.2 Mailbox full"], "")[..] else { panic!("one object") };
        let keys: Vec<_> = object.as_object().expect("an object").keys().map(String::as_str).collect();
        let mut wanted = [
            "id",
            "class",
            "who_acts",
            "permanent",
            "matched",
            "text_en",
            "next_en",
            "text_de",
            "next_de",
            "link",
        ];
        wanted.sort_unstable();
        let mut keys = keys;
        keys.sort_unstable();
        assert_eq!(keys, wanted);
        assert_eq!(object["class"], "mailbox_full");
        assert_eq!(object["who_acts"], "recipient");
        assert_eq!(object["matched"], true);
    }

    #[test]
    fn each_line_of_standard_input_is_a_text() {
        let input = "550 5.1.1 User unknown\r\n\n451 4.7.1 Greylisted\nodd";
        for words in [&["--json"][..], &["--json", "-"]] {
            let classes: Vec<_> =
                objects(words, input).into_iter().map(|object| object["class"].clone()).collect();
            assert_eq!(classes, ["unknown_recipient", "greylisted", "temporary_unknown"]);
        }
        assert_eq!(output(&[], input).matches("\n\n").count(), 2);
    }

    #[test]
    fn standard_input_may_hold_any_bytes() {
        let mut out = Vec::new();
        let args = ExplainArgs { json: true, ..ExplainArgs::default() };
        run(args, &b"550 \xff\xfe no such user\n"[..], &mut out).expect("runs");
        assert!(String::from_utf8_lossy(&out).contains("unknown_recipient"));
    }

    #[test]
    fn a_whole_log_line_is_understood() {
        let line = |status: &str, reply: &str| {
            format!(
                "Nov 20 18:44:52 spam postfix/smtp[9]: 4ABC: to=<virus@b.example>, relay=none, delay=3, \
                 delays=1/1/1/0, dsn=4.4.1, status={status} ({reply})"
            )
        };
        let full = line(
            "deferred",
            "host mx.b.example[192.0.2.1] said: 452 4.2.2 Mailbox full (in reply to RCPT TO command)",
        );
        let [object] = &objects(&["--json", &full], "")[..] else { panic!("one object") };
        assert_eq!((&object["class"], &object["permanent"]), (&"mailbox_full".into(), &"no".into()));
        let codeless = line("bounced", "strange words");
        let [object] = &objects(&["--json"], &codeless)[..] else { panic!("one object") };
        assert_eq!((&object["id"], &object["permanent"]), (&"enh-4-4-1".into(), &"yes".into()));
    }

    #[test]
    fn a_refusal_of_ours_is_understood_without_its_host_names() {
        let line = "2026-11-20T18:44:52+01:00 virus postfix/smtpd[17]: NOQUEUE: milter-reject: END-OF-MESSAGE from \
                    unknown[192.0.2.9]: 4.7.1 Wait; from=<a@b.example> to=<c@d.test> proto=ESMTP helo=<x>";
        assert_eq!(objects(&["--json", line], "")[0]["id"], "mc-milter-reject-4");
    }

    #[test]
    fn a_header_that_was_refused_does_not_explain_itself() {
        let line = "4ABC123: reject: header Subject: greylist; from=<a@b.example> milter-reject: virus from \
                    mx[192.0.2.9]; from=<a@b.example> to=<c@d.test> proto=ESMTP helo=<x>: 5.7.1 message content rejected";
        let [object] = &objects(&["--json", line], "")[..] else { panic!("one object") };
        assert_eq!((&object["id"], &object["permanent"]), (&"in-header-check".into(), &"yes".into()));
    }

    #[test]
    fn the_reply_code_tells_what_is_final() {
        for (text, permanent) in [
            (
                "NOQUEUE: reject: RCPT from x[192.0.2.9]: 450 4.7.1 <x>: Helo command rejected: Host not found",
                "no",
            ),
            (
                "NOQUEUE: reject: RCPT from x[192.0.2.9]: 550 5.7.1 <x>: Helo command rejected: Host not found",
                "yes",
            ),
            ("NOQUEUE: reject: RCPT from x[192.0.2.9]: 454 4.7.1 <a@b>: Relay access denied", "no"),
            ("NOQUEUE: reject: RCPT from x[192.0.2.9]: 450 4.7.1 Session encryption is required", "no"),
            ("NOQUEUE: reject: RCPT from x[192.0.2.9]: 550 5.7.1 what nobody knows", "yes"),
            ("4ABC123: milter-reject: END-OF-MESSAGE from x[192.0.2.9]: 4.7.1 no", "no"),
            ("host x[192.0.2.9] said: 450 4.1.1 <a@b>: User unknown", "no"),
            ("dsn=4.1.1, status=bounced (host x[192.0.2.9] said: 450 4.1.1 <a@b>: User unknown)", "yes"),
        ] {
            assert_eq!(objects(&["--json", text], "")[0]["permanent"], permanent, "{text}");
        }
    }

    #[test]
    fn a_reply_that_talks_of_a_status_is_a_reply() {
        let text = "host x said: 550 no, status=bad (really)";
        let said = Said::read(text);
        assert_eq!((said.reply, said.dsn, said.status), (text, None, None));
        let said = Said::read("status=deferred (host x said: 450 later, status=sent (250 ok))");
        assert_eq!(
            (said.reply, said.status),
            ("host x said: 450 later, status=sent (250 ok)", Some("deferred"))
        );
    }
}
