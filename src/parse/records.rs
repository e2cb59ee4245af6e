//! What DNS records of mail say: SPF, DKIM, DMARC, MTA-STS, TLS-RPT, BIMI, and the answers of block lists. Each function
//! tells what is wrong, in a few words for people.

use std::{collections::HashMap, net::Ipv4Addr};

/// Nothing is wrong, or what is.
pub type Sound<T = ()> = Result<T, String>;

/// Most lookups that an SPF record may cost (RFC 7208 section 4.6.4).
pub const SPF_LOOKUPS: usize = 10;
/// What is said where a record is missing.
pub const MISSING: &str = "no record";

/// The one record of this version among the texts of a name. Two are as bad as none: receivers then use neither.
///
/// # Errors
/// When there is none, or more than one.
pub fn sole<'a>(texts: &'a [String], version: &str) -> Sound<&'a str> {
    let mut found = of(texts, version);
    match (found.next(), found.count()) {
        (None, _) => Err(MISSING.to_owned()),
        (Some(record), 0) => Ok(record),
        (Some(_), more) => Err(format!("{} records where one is allowed", more + 1)),
    }
}

/// The records of a version among the texts of a name.
pub fn of<'a>(texts: &'a [String], version: &str) -> impl Iterator<Item = &'a str> {
    texts.iter().map(|text| text.trim()).filter(move |text| has_version(text, version))
}

fn has_version(text: &str, version: &str) -> bool {
    let end = text.find([';', ' ']).unwrap_or(text.len());
    let first: String = if version.starts_with("v=spf") {
        text.get(..end).unwrap_or_default().to_owned()
    } else {
        // Tag lists allow blanks around the equals sign.
        text.split(';').next().unwrap_or_default().split_whitespace().collect()
    };
    first.eq_ignore_ascii_case(version)
}

/// The value of a tag in a list as `v=DMARC1; p=none`.
fn tag<'a>(record: &'a str, name: &str) -> Option<&'a str> {
    let tags = record.split(';').filter_map(|tag| tag.split_once('='));
    tags.map(|(own, value)| (own.trim(), value.trim()))
        .find(|(own, _)| own.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// What an SPF record refers to (RFC 7208).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spf {
    /// Its own terms that cost a lookup.
    pub lookups: usize,
    /// What decides on senders that no other term names, in order.
    pub rest: Vec<Rest>,
}

/// A term that may match every sender: whether those may send, whom it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// `all`.
    All(bool),
    /// `include`, or `redirect`: it matches whom the record of this domain lets send.
    Other(bool, String),
}

impl Spf {
    /// Domains whose records are looked up, too; those with macros are left out.
    pub fn others(&self) -> impl Iterator<Item = &str> {
        self.rest.iter().filter_map(|rest| match rest {
            Rest::All(_) => None,
            Rest::Other(_, domain) => Some(domain.as_str()),
        })
    }

    fn refer(&mut self, pass: bool, domain: &str) {
        self.lookups += 1;
        if !domain.is_empty() && !domain.contains('%') {
            self.rest.push(Rest::Other(pass, domain.to_owned()));
        }
    }
}

/// Whether the record of a domain lets everybody send, itself or by those that it refers to (RFC 7208 sections 5.1, 5.2
/// and 6.1), as far as the records are known.
pub fn lets_everybody_send(domain: &str, known: &HashMap<String, Spf>) -> bool {
    type Decided<'a> = HashMap<&'a str, bool>;
    fn decide<'a>(domain: &'a str, known: &'a HashMap<String, Spf>, decided: &mut Decided<'a>) -> bool {
        if let Some(decided) = decided.get(domain) {
            return *decided;
        }
        // Who refers to itself decides nothing by that.
        decided.insert(domain, false);
        let mut rest = known.get(domain).into_iter().flat_map(|spf| &spf.rest);
        let found = rest.find_map(|rest| match rest {
            Rest::All(pass) => Some(*pass),
            Rest::Other(pass, other) => decide(other, known, decided).then_some(*pass),
        });
        decided.insert(domain, found.unwrap_or(false));
        found.unwrap_or(false)
    }
    decide(domain, known, &mut Decided::new())
}

/// Reads an SPF record.
///
/// # Errors
/// When it has a term that makes receivers give up.
pub fn spf(record: &str) -> Sound<Spf> {
    let mut spf = Spf::default();
    // Terms behind `all` mean nothing, and with it neither does `redirect`.
    let (mut ended, mut redirect) = (false, None);
    for term in record.split_whitespace().skip(1) {
        let bare = term.trim_start_matches(['+', '-', '~', '?']);
        let end = bare.find([':', '/', '=']).unwrap_or(bare.len());
        let (name, rest) = bare.split_at(end);
        let domain = rest.trim_start_matches([':', '=']);
        let pass = !term.starts_with(['-', '~', '?']);
        match name.to_ascii_lowercase().as_str() {
            "ip4" | "ip6" | "exp" => {}
            "redirect" => redirect = Some(domain),
            "all" | "a" | "mx" | "ptr" | "exists" | "include" if ended => {}
            "all" => {
                spf.rest.push(Rest::All(pass));
                ended = true;
            }
            "a" | "mx" | "ptr" | "exists" => spf.lookups += 1,
            "include" => spf.refer(pass, domain),
            _ if rest.starts_with('=') => {}
            _ => return Err(format!("unknown term {}", short(term))),
        }
    }
    if let Some(domain) = redirect.filter(|_| !ended) {
        spf.refer(true, domain);
    }
    Ok(spf)
}

/// Checks a DMARC record (RFC 7489 section 6.3).
///
/// # Errors
/// When it has no sound policy.
pub fn dmarc(record: &str) -> Sound {
    match tag(record, "p").map(str::to_ascii_lowercase).as_deref() {
        Some("none" | "quarantine" | "reject") => Ok(()),
        Some(other) => Err(format!("unknown policy {}", short(other))),
        None => Err("no policy".to_owned()),
    }
}

/// Checks the key that is published at a selector (RFC 6376 section 3.6.1) against the key that signs. Tags are compared by
/// their meaning, not their spelling.
///
/// # Errors
/// When there is no key, a withdrawn one, or another one.
pub fn dkim(texts: &[String], signing: &str) -> Sound {
    let bare = |key: &str| key.split_whitespace().collect::<String>();
    let keys: Vec<&String> = texts.iter().filter(|text| tag(text, "p").is_some()).collect();
    let [record] = keys.as_slice() else {
        return Err(match keys.len() {
            0 => MISSING.to_owned(),
            count => format!("{count} records where one is allowed"),
        });
    };
    if tag(record, "v").is_some_and(|version| version != "DKIM1") {
        return Err("unknown version".to_owned());
    }
    let (published, signing) = (tag(record, "p").map(bare), tag(signing, "p").map(bare));
    match published.as_deref() {
        None | Some("") => Err("the key is withdrawn".to_owned()),
        _ if signing.is_none() || published == signing => Ok(()),
        _ => Err("another key than Mailcow's".to_owned()),
    }
}

/// Checks the announcement of MTA-STS (RFC 8461 section 3.1).
///
/// # Errors
/// When it has no sound id.
pub fn mta_sts(record: &str) -> Sound {
    let id = tag(record, "id").unwrap_or_default();
    let sound = matches!(id.len(), 1..=32) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if sound { Ok(()) } else { Err("no sound id".to_owned()) }
}

/// Checks a policy file of MTA-STS (RFC 8461 section 3.2) against the mail servers of the domain.
///
/// # Errors
/// When it is none, or leaves a mail server out: senders would then not deliver.
pub fn mta_sts_policy(file: &str, exchanges: &[String]) -> Sound {
    let value = |name: &'static str| {
        let lines = file.lines().filter_map(|line| line.split_once(':'));
        lines.filter(move |(own, _)| own.trim() == name).map(|(_, value)| value.trim())
    };
    if value("version").next() != Some("STSv1") {
        return Err("the policy file has no version".to_owned());
    }
    let days = value("max_age").next().and_then(|age| age.parse::<u32>().ok());
    if days.is_none_or(|age| age > 31_557_600) {
        return Err("the policy file has no sound max_age".to_owned());
    }
    match value("mode").next() {
        Some("none") => return Ok(()),
        Some("enforce" | "testing") => {}
        _ => return Err("the policy file has no known mode".to_owned()),
    }
    let left_out = exchanges.iter().find(|host| !value("mx").any(|pattern| covers(pattern, host)));
    match left_out {
        Some(host) => Err(format!("the policy file leaves {host} out")),
        None => Ok(()),
    }
}

/// `*.` stands for exactly one label.
fn covers(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (pattern.to_ascii_lowercase(), host.to_ascii_lowercase());
    match pattern.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
        None => pattern == host,
    }
}

/// Checks where reports of TLS are wished (RFC 8460 section 3).
///
/// # Errors
/// When there is no address.
pub fn tls_rpt(record: &str) -> Sound {
    let mut places = tag(record, "rua").unwrap_or_default().split(',').map(str::trim);
    let sound = places.any(|place| place.starts_with("mailto:") || place.starts_with("https://"));
    if sound { Ok(()) } else { Err("no address for reports".to_owned()) }
}

/// Checks a BIMI record: a picture over HTTPS.
///
/// # Errors
/// When there is none; an empty address says that the domain takes no part.
pub fn bimi(record: &str) -> Sound {
    match tag(record, "l") {
        Some(place) if place.to_ascii_lowercase().starts_with("https://") => Ok(()),
        Some("") => Err("the domain takes no part".to_owned()),
        _ => Err("no picture over https".to_owned()),
    }
}

/// What an answer of a block list means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// The address is on the list; the part of the list, where it is known.
    Listed(&'static str),
    /// The list does not answer us, or somebody else answers in its place: nothing is known.
    Refused(&'static str),
}

/// The meaning of a block list's answer (RFC 5782 section 2.1, and the lists' own pages). Above all a refusal is no
/// listing.
pub fn listing(list: &str, answer: Ipv4Addr) -> Listing {
    let spamhaus = list.ends_with("spamhaus.org");
    match answer.octets() {
        [127, 255, 255, 252] => Listing::Refused("the list's name is mistyped"),
        [127, 255, 255, 254] => Listing::Refused("the list answers no public resolver: set DNS_RESOLVER"),
        [127, 255, 255, 255] => Listing::Refused("the list was asked too often"),
        [127, 255, _, _] => Listing::Refused("the list refuses to answer"),
        [127, 0, 0, 1] => Listing::Refused("the list does not let this resolver ask"),
        [127, 0, 0, 2] if spamhaus => Listing::Listed("SBL"),
        [127, 0, 0, 3] if spamhaus => Listing::Listed("CSS"),
        [127, 0, 0, 4..=7] if spamhaus => Listing::Listed("XBL"),
        [127, 0, 0, 9] if spamhaus => Listing::Listed("DROP"),
        [127, 0, 0, 10 | 11] if spamhaus => Listing::Listed("PBL"),
        [127, ..] => Listing::Listed(""),
        _ => Listing::Refused("somebody else answers in the list's place"),
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn one_record_counts() {
        let all = texts(&["google-site-verification=x", "v=spf1 mx -all", "v=spf10 x", "V=DMARC1;p=none"]);
        assert_eq!(sole(&all, "v=spf1"), Ok("v=spf1 mx -all"));
        assert_eq!(sole(&all, "v=DMARC1"), Ok("V=DMARC1;p=none"));
        assert_eq!(sole(&texts(&["v = DMARC1 ; p=none"]), "v=DMARC1"), Ok("v = DMARC1 ; p=none"));
        assert_eq!(sole(&all, "v=BIMI1"), Err(MISSING.to_owned()));
        let two = texts(&["v=spf1 -all", "v=spf1"]);
        assert_eq!(sole(&two, "v=spf1"), Err("2 records where one is allowed".to_owned()));
    }

    #[test]
    fn spf_terms_cost_lookups() {
        let found = spf("v=spf1 ip4:192.0.2.1 a mx:x.test/24 include:a.test ?exists:%{i}.b.test redirect=c.test exp=d.test").unwrap();
        let rest = ["a.test", "c.test"].map(|name| Rest::Other(true, name.to_owned()));
        assert_eq!(found, Spf { lookups: 5, rest: rest.into() });
        let ended = spf("v=spf1 redirect=c.test a -all mx include:b.test").unwrap();
        assert_eq!(ended, Spf { lookups: 1, rest: vec![Rest::All(false)] });
        assert_eq!(spf("v=spf1 include:a.test ipv4:1.2.3.4").unwrap_err(), "unknown term ipv4:1.2.3.4");
        assert_eq!(spf("v=spf1 include:%{d}.a.test -all").unwrap().others().count(), 0);
    }

    #[test]
    fn everybody_may_send_also_by_another_record() {
        let round = format!("v=spf1{} -all", " include:round.test".repeat(50));
        let world = [
            ("everybody.test", "v=spf1 +all"),
            ("by.redirect.test", "v=spf1 mx redirect=everybody.test"),
            ("nobody.test", "v=spf1 -all"),
            ("round.test", round.as_str()),
        ];
        let world = world.map(|(name, record)| (name.to_owned(), spf(record).unwrap()));
        let known: HashMap<String, Spf> = world.into_iter().collect();
        for (record, all) in [
            ("v=spf1 +all", true),
            ("v=spf1 all", true),
            ("v=spf1 ?all", false),
            ("v=spf1", false),
            ("v=spf1 -all +all", false),
            ("v=spf1 redirect=everybody.test", true),
            ("v=spf1 redirect=everybody.test -all", false),
            ("v=spf1 include:everybody.test -all", true),
            ("v=spf1 mx include:nobody.test include:by.redirect.test -all", true),
            ("v=spf1 -include:everybody.test +all", false),
            ("v=spf1 ?include:everybody.test -all", false),
            ("v=spf1 -all include:everybody.test", false),
            ("v=spf1 include:nobody.test ~all", false),
            ("v=spf1 include:round.test include:unheard.of.test -all", false),
        ] {
            let mut known = known.clone();
            known.insert("own.test".to_owned(), spf(record).unwrap());
            assert_eq!(lets_everybody_send("own.test", &known), all, "{record}");
        }
    }

    #[test]
    fn policies_and_keys() {
        assert_eq!(dmarc("v=DMARC1; p = Reject; sp=none"), Ok(()));
        assert!(dmarc("v=DMARC1; rua=mailto:a@a.test").is_err() && dmarc("v=DMARC1; p=maybe").is_err());
        let signing = "v=DKIM1;k=rsa;t=s;s=email;p=MIIBI jAN";
        assert_eq!(
            dkim(&texts(&["other", "p=MIIBIjAN; k=rsa"]), signing),
            Ok(()),
            "order and blanks mean nothing"
        );
        assert_eq!(dkim(&texts(&["v=DKIM1; p=AAAA"]), signing), Err("another key than Mailcow's".to_owned()));
        assert_eq!(dkim(&texts(&["v=DKIM1; p="]), signing), Err("the key is withdrawn".to_owned()));
        assert_eq!(dkim(&texts(&["v=spf1"]), signing), Err(MISSING.to_owned()));
        assert!(dkim(&texts(&["v=DKIM2; p=MIIBIjAN"]), signing).is_err());
        assert!(mta_sts("v=STSv1; id=20261121T000000").is_ok() && mta_sts("v=STSv1; id=a b").is_err());
        assert!(tls_rpt("v=TLSRPTv1; rua=mailto:a@a.test").is_ok() && tls_rpt("v=TLSRPTv1").is_err());
        assert!(
            bimi("v=BIMI1; l=https://a.test/x.svg; a=").is_ok()
                && bimi("v=BIMI1; l=http://a.test/x.svg").is_err()
        );
        assert!(bimi("v=BIMI1; l=; a=;").is_err());
    }

    #[test]
    fn a_policy_file_names_all_mail_servers() {
        let file =
            "version: STSv1\r\nmode: enforce\r\nmx: mail.a.test\r\nmx: *.b.test\r\nmax_age: 604800\r\n";
        let hosts = |list: &[&str]| mta_sts_policy(file, &texts(list));
        assert_eq!(hosts(&["mail.a.test", "mx1.b.test"]), Ok(()));
        assert_eq!(hosts(&["mx.c.test"]), Err("the policy file leaves mx.c.test out".to_owned()));
        assert!(hosts(&["x.y.b.test"]).is_err(), "one label only");
        assert!(hosts(&["b.test"]).is_err());
        assert_eq!(
            mta_sts_policy("version: STSv1\nmode: none\nmax_age: 86400\n", &texts(&["x.test"])),
            Ok(())
        );
        for wrong in ["<html>", "version: STSv1\nmode: enforce\n", "version: STSv1\nmode: x\nmax_age: 1\n"] {
            assert!(mta_sts_policy(wrong, &[]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_refusal_is_no_listing() {
        let zen = |last: [u8; 4]| listing("zen.spamhaus.org", last.into());
        assert_eq!(zen([127, 0, 0, 4]), Listing::Listed("XBL"));
        assert_eq!(zen([127, 0, 0, 11]), Listing::Listed("PBL"));
        assert_eq!(listing("bl.example.test", [127, 0, 0, 4].into()), Listing::Listed(""));
        for refused in [
            [127, 255, 255, 252],
            [127, 255, 255, 254],
            [127, 255, 255, 255],
            [127, 0, 0, 1],
            [203, 0, 113, 9],
        ] {
            assert!(matches!(zen(refused), Listing::Refused(_)), "{refused:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,200}", other in ".{0,80}") {
            let list = [text.clone(), other.clone()];
            for version in ["v=spf1", "v=DMARC1"] {
                let _ = sole(&list, version);
            }
            let _ = (spf(&text), dmarc(&text), dkim(&list, &other), mta_sts(&text), tls_rpt(&text), bimi(&text));
            let _ = mta_sts_policy(&text, &list);
        }
    }
}
