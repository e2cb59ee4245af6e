//! Why something is wrong or not known, in the visitor's language. Sources and probes say it in English; other languages have
//! a file with those sentences, in which `{}` stands for what differs. What is not in it is shown as it was said: so is what a
//! peer answered. A test reads the sources for what they say, so that no sentence of ours is left out.

use std::sync::OnceLock;

use crate::web::text::Lang;

/// So deep may one sentence quote another.
const DEPTH: usize = 4;

/// A sentence: its pieces between what differs, and those of what it becomes.
struct Pattern {
    said: Vec<&'static str>,
    becomes: Vec<&'static str>,
}

fn german() -> &'static [Pattern] {
    static PATTERNS: OnceLock<Vec<Pattern>> = OnceLock::new();
    PATTERNS.get_or_init(|| {
        let file = include_str!("../../../../locales/reasons.de.txt").lines();
        let pairs = file.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = "));
        let pieces = |text: &'static str| text.split("{}").collect();
        pairs.map(|(said, becomes)| Pattern { said: pieces(said), becomes: pieces(becomes) }).collect()
    })
}

/// The reason as the visitor reads it.
pub fn in_language(lang: Lang, reason: &str) -> String {
    match lang {
        Lang::En => reason.to_owned(),
        Lang::De => translate(reason, DEPTH),
    }
}

fn translate(reason: &str, depth: usize) -> String {
    let Some(depth) = depth.checked_sub(1) else { return reason.to_owned() };
    let found = german().iter().find_map(|pattern| Some((pattern, pattern.parts(reason)?)));
    if let Some((pattern, parts)) = found {
        let mut parts = parts.into_iter().map(|part| translate(part, depth));
        let pieces = pattern.becomes.iter().enumerate();
        return pieces
            .map(|(at, piece)| match at {
                0 => (*piece).to_owned(),
                _ => parts.next().unwrap_or_default() + piece,
            })
            .collect();
    }
    // Who was asked, and what became of it.
    match reason.split_once(": ") {
        Some((who, what)) => format!("{}: {}", translate(who, depth), translate(what, depth)),
        None => reason.to_owned(),
    }
}

impl Pattern {
    /// What differs, in its order; `None` for another sentence.
    fn parts<'a>(&self, reason: &'a str) -> Option<Vec<&'a str>> {
        let (first, others) = self.said.split_first()?;
        let mut rest = reason.strip_prefix(first)?;
        let Some((last, between)) = others.split_last() else { return rest.is_empty().then(Vec::new) };
        let mut parts = Vec::new();
        for piece in between {
            let (part, behind) = rest.split_once(piece)?;
            parts.push(part);
            rest = behind;
        }
        parts.push(rest.strip_suffix(last)?);
        parts.iter().all(|part| !part.is_empty()).then_some(parts)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;
    use crate::{
        metrics::registry::Privilege,
        parse::records,
        remote::{Cause, Error, tls::Fault},
    };

    /// Where reasons are said: files and folders.
    const PLACES: [&str; 13] = [
        "metrics/collector.rs",
        "metrics/collector_file.rs",
        "metrics/exports/mod.rs",
        "metrics/samples.rs",
        "metrics/sources",
        "model/sample.rs",
        "parse/records.rs",
        "remote/clamd.rs",
        "remote/dialogue.rs",
        "remote/dns.rs",
        "remote/memcached.rs",
        "remote/mod.rs",
        "remote/tls.rs",
    ];

    /// What is said there otherwise: to the log, to peers, in records and in values, and what peers say.
    const NO_REASONS: &[&str] = &[
        "a source told nothing",
        "what a source told could not be stored",
        "notAfter={} subject=CN={}",
        "{verdict}; {}, by {}, until {}; chain of {}; {}",
        "v=BIMI1; l=https://{domain}/bimi.svg",
        "v=DMARC1; p=none; rua=mailto:postmaster@{domain}",
        "v=spf1 mx a:{} -all",
        "v=STSv1; id=1",
        "version: STSv1\\nmode: testing\\n{hosts}max_age: 86400",
        "(auth failed",
        "Password mismatch",
        "unknown user",
        "Quota exceeded",
        "quota exceeded",
        "Mailbox is full",
        "Connection closed",
        "Logged out",
        " matched rule id ",
        "auth failed",
        "no action",
        "rewrite subject",
        "soft reject",
        "add header",
        "Mail queue",
        "Dovecot replication",
        "EHLO {own}\\r\\n",
    ];

    /// The sources of a place, without comments and tests.
    fn code(place: &Path) -> Vec<String> {
        if place.is_dir() {
            let entries = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path());
            return entries.flat_map(|path| code(&path)).collect();
        }
        if place.ends_with("tests.rs") {
            return Vec::new();
        }
        let text = fs::read_to_string(place).unwrap();
        let text = text.split("\n#[cfg(test)]").next().unwrap_or_default();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        vec![lines.collect::<Vec<_>>().join("\n")]
    }

    /// The sentences in a source: texts of at least two words beside what differs.
    fn sentences(code: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut rest = code;
        while let Some((_, after)) = rest.split_once('"') {
            let mut escaped = false;
            let ends = |c: char| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            };
            let Some((text, after)) = after.split_once(ends) else { break };
            // A line that is broken goes on behind its indent.
            let text: Vec<&str> = text.split("\\\n").collect();
            let text =
                text.iter().enumerate().map(|(at, part)| if at == 0 { part } else { part.trim_start() });
            found.push(text.collect::<String>());
            rest = after;
        }
        let words = |text: &str| {
            let plain = filled(text, "");
            plain.split(' ').filter(|word| word.chars().filter(|c| c.is_alphabetic()).count() > 1).count()
        };
        found.retain(|text| words(text) > 1);
        found
    }

    /// The text with something in the place of what differs.
    fn filled(text: &str, what: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            out = out + before + what;
            rest = after.split_once('}').map_or("", |(_, behind)| behind);
        }
        out + rest
    }

    #[test]
    fn whatever_the_sources_say_is_said_in_german() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let said: Vec<String> = PLACES.iter().flat_map(|place| code(&root.join(place))).collect();
        let said: BTreeSet<String> = said.iter().flat_map(|code| sentences(code)).collect();
        assert!(
            said.len() > 100 && said.contains("it is off on purpose: CONTAINERS_OFF names it"),
            "{said:?}"
        );
        let missing = said.iter().filter(|text| {
            let text_of = filled(text, "7");
            in_language(Lang::De, &text_of) == text_of && !NO_REASONS.contains(&text.as_str())
        });
        let missing: Vec<&String> = missing.collect();
        assert!(missing.is_empty(), "locales/reasons.de.txt lacks {missing:#?}");
        let idle: Vec<_> = NO_REASONS.iter().filter(|text| !said.contains(**text)).collect();
        assert!(idle.is_empty(), "no longer said: {idle:#?}");
        for grant in Privilege::ALL.map(Privilege::grant) {
            assert_ne!(in_language(Lang::De, grant), grant);
        }
    }

    #[test]
    fn sentences_are_found_and_one_without_german_is_seen() {
        let code = r#"out.unknown(&X, "the moon is down"); f("word"); g(&format!("{a} {b}: it has {c} legs"));
            "a \"quoted\" one, \
              broken""#;
        let found = sentences(code);
        assert_eq!(
            found,
            ["the moon is down", "{a} {b}: it has {c} legs", r#"a \"quoted\" one, broken"#],
            "{found:?}"
        );
        assert_eq!(filled(&found[1], "7"), "7 7: it has 7 legs");
        assert_eq!(in_language(Lang::De, "the moon is down"), "the moon is down");
    }

    #[test]
    fn one_thing_has_one_german_word() {
        for name in ["de", "metrics.de", "reasons.de", "settings.de"] {
            let path = format!("{}/locales/{name}.txt", env!("CARGO_MANIFEST_DIR"));
            let text = fs::read_to_string(path).unwrap();
            for word in ["Kollektor", "Postfix-Log"] {
                let lines: Vec<&str> = text.lines().filter(|line| line.contains(word)).collect();
                assert!(lines.is_empty(), "{name}: Sammler, Postfix-Protokoll: {lines:?}");
            }
        }
    }

    #[test]
    fn what_probes_say_is_said_in_german() {
        let german = |text: &str| in_language(Lang::De, text);
        for text in [
            records::MISSING.to_owned(),
            records::sole(&["v=spf1".to_owned(), "v=spf1".to_owned()], "v=spf1").unwrap_err(),
            records::dmarc("v=DMARC1").unwrap_err(),
            records::dmarc("v=DMARC1; p=maybe").unwrap_err(),
            records::spf("v=spf1 ipv4:1").unwrap_err(),
            records::dkim(&["p=".to_owned()], "p=x").unwrap_err(),
            records::dkim(&["p=y".to_owned()], "p=x").unwrap_err(),
            records::mta_sts("v=STSv1").unwrap_err(),
            records::mta_sts_policy("", &[]).unwrap_err(),
            records::tls_rpt("v=TLSRPTv1").unwrap_err(),
            records::bimi("v=BIMI1; l=").unwrap_err(),
            records::bimi("v=BIMI1").unwrap_err(),
            Fault::Expired.to_string(),
            Fault::NotYetValid.to_string(),
            Fault::WrongName.to_string(),
            Fault::SelfSigned.to_string(),
            Fault::Untrusted.to_string(),
            Cause::Timeout.to_string(),
            Cause::Connect("x".to_owned()).to_string(),
            Cause::Tls("x".to_owned()).to_string(),
            Cause::Dns("x".to_owned()).to_string(),
        ] {
            assert_ne!(german(&text), text, "{text} is not in locales/reasons.de.txt");
        }
        let error = Error { target: "port 25 of mail.a.test".to_owned(), cause: Cause::Timeout };
        assert_eq!(german(&error.to_string()), "Port 25 von mail.a.test: keine Antwort in der Zeit");
        assert_eq!(german("something else"), "something else");
        assert_eq!(in_language(Lang::En, records::MISSING), "no record");
    }

    #[test]
    fn each_line_of_the_file_is_a_pair() {
        for line in
            include_str!("../../../../locales/reasons.de.txt").lines().filter(|line| !line.starts_with('#'))
        {
            let (said, becomes) = line.split_once(" = ").expect(line);
            assert!(!said.is_empty() && !becomes.is_empty(), "{line}");
            assert_eq!(said.matches("{}").count(), becomes.matches("{}").count(), "{line}");
        }
    }
}
