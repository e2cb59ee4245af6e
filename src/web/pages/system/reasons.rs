//! Why something is wrong or not known, in the visitor's language. Sources and probes say it in English; other languages have
//! a file with those sentences, in which `{}` stands for what differs. What is not in it is shown as it was said.

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
    use super::*;
    use crate::{
        parse::records,
        remote::{Cause, Error, tls::Fault},
    };

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
