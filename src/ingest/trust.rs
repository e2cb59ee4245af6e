//! Who sent a report: what our own server found out about the mail that brought it.
//!
//! Anybody can mail a report in the name of anybody. What counts is the topmost `Authentication-Results` header, if one of
//! our own servers wrote it: those below were there when the last server took the mail, and anybody can write our name into
//! them (RFC 8601, 5).

use crate::{
    model::{
        report::{Arrival, Proof},
        scope::normalise_domain,
        time::Millis,
    },
    parse::{
        authentication::{self, Authentication, Finding},
        envelope::Envelope,
    },
};

/// Below a country, these stand for a kind of owner and not for one: the owner is one label more.
const KINDS_OF_OWNERS: &[&str] = &[
    "ac", "co", "com", "edu", "go", "gob", "gouv", "gov", "govt", "gv", "ltd", "mil", "ne", "net", "nhs",
    "nom", "or", "org", "plc", "sch",
];

/// Longest evidence kept, in characters.
const EVIDENCE: usize = 300;

/// The arrival of a mail, with what our own servers found out about its sender. `trusted`: their names, lower case.
pub fn arrival(envelope: &Envelope, trusted: &[String], via: &str, at: Millis) -> Arrival {
    let (proof, evidence) = of_mail(envelope, trusted);
    Arrival {
        at,
        via: via.to_owned(),
        name: envelope.subject.clone().unwrap_or_default(),
        sender: envelope.from.clone(),
        proof,
        evidence: evidence.map(|text| text.chars().take(EVIDENCE).collect()),
    }
}

/// The arrival of what an admin brought.
pub fn by_hand(via: &str, name: &str, at: Millis) -> Arrival {
    let evidence = Some("by hand".to_owned());
    Arrival { at, via: via.to_owned(), name: name.to_owned(), sender: None, proof: Proof::Proven, evidence }
}

/// The arrival of a report that says to be of `org`, with this address to ask: who is proven to have sent the mail must
/// be the one in whose name the report speaks. An `org` that is no domain cannot be compared: the address alone can prove
/// it then, and disproves nothing, as some have the address at another domain of theirs.
pub fn of_report(mail: &Arrival, org: &str, contact: Option<&str>) -> Arrival {
    let sender = mail.sender.as_deref().and_then(domain_of).filter(|_| mail.proof == Proof::Proven);
    let Some(sender) = sender else { return mail.clone() };
    let domain = normalise_domain(org).filter(|org| is_domain(org));
    let contact = contact.and_then(|contact| domain_of(contact.trim().trim_end_matches('>')));
    if [&domain, &contact].into_iter().flatten().any(|name| same_owner(name, &sender)) {
        return mail.clone();
    }
    let proof = if domain.is_some() { Proof::Failed } else { Proof::Unchecked };
    let told = format!("sent by {sender}, in the name of {org}");
    Arrival { proof, evidence: Some(told), ..mail.clone() }
}

fn of_mail(envelope: &Envelope, trusted: &[String]) -> (Proof, Option<String>) {
    let topmost = envelope.authentication_results.first().map(|value| authentication::read(value));
    let Some(ours) = topmost.filter(|header| trusted.contains(&header.server)) else {
        return (Proof::Unchecked, None);
    };
    let Some(from) = envelope.from.as_deref().and_then(domain_of) else {
        return (Proof::Failed, Some("no single sender in the From header".to_owned()));
    };
    let (proof, evidence) = checked(&ours, &from);
    (proof, Some(evidence))
}

/// A result counts only once: where a header holds two of a method that has one, words of the sender are among them.
fn checked(ours: &Authentication, from: &str) -> (Proof, String) {
    if let Some(dmarc) = only(ours, "dmarc") {
        let its = dmarc.property("header.from").map_or(from, |its| its);
        let told = format!("dmarc={} header.from={its}", dmarc.result);
        match dmarc.result.as_str() {
            "pass" if same_owner(its, from) => return (Proof::Proven, told),
            "pass" | "fail" => return (Proof::Failed, told),
            _ => {}
        }
    }
    for dkim in ours.results.iter().filter(|it| it.method == "dkim" && it.result == "pass") {
        let signer = dkim.property("header.d").or_else(|| dkim.property("header.i"));
        let signer = signer.map(|signer| domain_of(signer).unwrap_or_else(|| signer.to_owned()));
        if let Some(signer) = signer.filter(|signer| same_owner(signer, from)) {
            return (Proof::Proven, format!("dkim=pass header.d={signer}"));
        }
    }
    if let Some(spf) = only(ours, "spf").filter(|spf| spf.result == "pass") {
        let sender = spf.property("smtp.mailfrom").unwrap_or_default();
        let sender = domain_of(sender).unwrap_or_else(|| sender.to_owned());
        if same_owner(&sender, from) {
            return (Proof::Proven, format!("spf=pass smtp.mailfrom={sender}"));
        }
    }
    let results = ours.results.iter().filter(|it| matches!(it.method.as_str(), "dmarc" | "dkim" | "spf"));
    let results: Vec<String> = results.map(|it| format!("{}={}", it.method, it.result)).collect();
    (Proof::Failed, format!("nothing passed for {from}: {}", results.join(" ")))
}

fn only<'a>(ours: &'a Authentication, method: &str) -> Option<&'a Finding> {
    let mut found = ours.results.iter().filter(|it| it.method == method);
    found.next().filter(|_| found.next().is_none())
}

/// Whether two domains belong to the same owner, as far as their names tell: relaxed alignment (RFC 7489 section
/// 3.1) with a short list in place of the Public Suffix List.
pub fn same_owner(one: &str, other: &str) -> bool {
    match (normalise_domain(one), normalise_domain(other)) {
        (Some(one), Some(other)) => {
            is_domain(&one) && is_domain(&other) && owner(&one).eq_ignore_ascii_case(owner(&other))
        }
        _ => false,
    }
}

/// The last two labels, or three below `co.uk` and its like.
fn owner(domain: &str) -> &str {
    let mut dots = domain.rmatch_indices('.').map(|(at, _)| at);
    let (Some(last), second) = (dots.next(), dots.next()) else { return domain };
    let Some(second) = second else { return domain };
    let country = domain.len() - last == 3;
    let kind = domain.get(second + 1..last).unwrap_or_default();
    let cut = if country && KINDS_OF_OWNERS.contains(&kind) { dots.next() } else { Some(second) };
    cut.and_then(|cut| domain.get(cut + 1..)).unwrap_or(domain)
}

fn is_domain(text: &str) -> bool {
    let label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    text.contains('.') && text.split('.').all(label) && !text.ends_with(|c: char| c.is_ascii_digit())
}

/// What stands behind the last `@`.
fn domain_of(address: &str) -> Option<String> {
    address.rsplit_once('@').and_then(|(_, domain)| normalise_domain(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(headers: &[&str], from: &str) -> Arrival {
        let envelope = Envelope {
            from: Some(from.to_owned()).filter(|from| !from.is_empty()),
            authentication_results: headers.iter().map(|&text| text.to_owned()).collect(),
            ..Envelope::default()
        };
        arrival(&envelope, &["mail.ours.test".to_owned()], "test", Millis(1))
    }

    fn proof(results: &str, from: &str) -> Proof {
        verdict(&[&format!("mail.ours.test; {results}")], from).proof
    }

    #[test]
    fn an_aligned_pass_proves_the_sender() {
        for results in [
            "dkim=fail; dmarc=pass (policy=reject) header.from=google.com",
            "dmarc=pass",
            "dmarc=none; dkim=pass header.d=google.com",
            "dkim=pass header.i=@mail.google.com",
            "dkim=pass header.d=other.test; dkim=pass header.d=google.com",
            "spf=pass (of x) smtp.mailfrom=bounce@report.google.com",
            "spf=pass smtp.mailfrom=google.com; dmarc=temperror",
        ] {
            assert_eq!(proof(results, "noreply@google.com"), Proof::Proven, "{results}");
        }
        let told = verdict(&["mail.ours.test; dkim=pass header.d=Google.com"], "a@google.com").evidence;
        assert_eq!(told.as_deref(), Some("dkim=pass header.d=Google.com"));
    }

    #[test]
    fn everything_else_does_not() {
        for results in [
            "dmarc=fail header.from=google.com; dkim=pass header.d=google.com",
            "dmarc=pass header.from=evil.test",
            "dkim=pass header.d=evil.test; spf=pass smtp.mailfrom=x@evil.test",
            "dkim=pass header.d=com",
            "dkim=pass header.d=notgoogle.com",
            "dkim=pass header.d=google.com.evil.test",
            "dkim=none; spf=softfail smtp.mailfrom=x@google.com",
            "dkim=pass",
            "none",
            // A sender that could slip in a result of a method that has one only.
            "dmarc=none; dmarc=pass header.from=google.com",
            "spf=none; spf=pass smtp.mailfrom=google.com",
        ] {
            assert_eq!(proof(results, "noreply@google.com"), Proof::Failed, "{results}");
        }
        assert_eq!(proof("dmarc=pass", ""), Proof::Failed, "no single sender");
    }

    #[test]
    fn only_the_topmost_header_counts_if_it_is_of_our_own() {
        let (pass, fail) = ("mail.ours.test; dmarc=pass", "MAIL.ours.test; dmarc=fail");
        let forged = "mail.ours.test.evil.test; dmarc=pass";
        assert_eq!(verdict(&[fail, pass, forged], "a@b.test").proof, Proof::Failed);
        assert_eq!(verdict(&[pass, fail, forged], "a@b.test").proof, Proof::Proven);
        let elsewhere = "mx.bigmail.test; dmarc=fail";
        assert_eq!(verdict(&[elsewhere, pass], "a@b.test").proof, Proof::Unchecked, "our name, by anybody");
        let none = verdict(&[forged, "dmarc=pass"], "a@b.test");
        assert_eq!((none.proof, none.evidence), (Proof::Unchecked, None));
        assert_eq!(verdict(&[], "a@b.test").proof, Proof::Unchecked);
    }

    #[test]
    fn who_sent_a_report_must_be_who_speaks_in_it() {
        let google = verdict(&["mail.ours.test; dmarc=pass"], "noreply@google.com");
        assert_eq!(of_report(&google, "google.com", None).proof, Proof::Proven);
        assert_eq!(of_report(&google, "mail.google.com", None).proof, Proof::Proven);
        for (contact, proof) in [
            (Some("smtp-tls-reporting@google.com"), Proof::Proven),
            (Some("a@evil.test"), Proof::Unchecked),
            (Some("nobody"), Proof::Unchecked),
            (None, Proof::Unchecked),
        ] {
            assert_eq!(of_report(&google, "Google Inc.", contact).proof, proof, "{contact:?}");
        }
        assert_eq!(of_report(&google, "youtube.com", Some("x@google.com")).proof, Proof::Proven);
        let other = of_report(&google, "yahoo.com", Some("x@yahoo.com"));
        assert_eq!(other.proof, Proof::Failed);
        assert_eq!(other.evidence.as_deref(), Some("sent by google.com, in the name of yahoo.com"));
        let hand = by_hand("upload", "x.xml", Millis(1));
        assert_eq!(of_report(&hand, "yahoo.com", None), hand);
    }

    #[test]
    fn owners_are_told_by_their_names() {
        for (one, other) in
            [("a.test", "A.test."), ("x.a.test", "y.a.test"), ("x.a.co.uk", "a.co.uk"), ("t.co", "x.t.co")]
        {
            assert!(same_owner(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("a.test", "b.test"),
            ("a.co.uk", "b.co.uk"),
            ("co.uk", "a.co.uk"),
            ("a", "a"),
            ("", ""),
            ("1.2.3.4", "9.2.3.4"),
        ] {
            assert!(!same_owner(one, other), "{one} {other}");
        }
    }
}
