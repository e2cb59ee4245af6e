//! Rows of the filter's history: verdict, score and symbols of a mail.

use super::{
    letter::{Letter, Verdict},
    scribe::Visit,
};
use crate::{
    demo::{
        json::{Json, object, pairs},
        rng::Rng,
        world::{domain_of, untagged},
    },
    model::time::Millis,
};

/// A checked mail.
pub(super) struct Scanned {
    pub row: Json,
    pub score: f64,
    pub millis: i64,
}

/// A symbol: name, score, description, options.
type Symbol = (&'static str, f64, &'static str, Vec<String>);

/// Checks `letter`; the row's score is the sum of its symbols.
pub(super) fn scan(rng: &mut Rng, letter: &Letter, visit: &Visit, message_id: &str, at: Millis) -> Scanned {
    let symbols = symbols(rng, letter, visit);
    let score = (symbols.iter().map(|symbol| symbol.1).sum::<f64>() * 1e6).round() / 1e6;
    let millis = if letter.verdict == Verdict::RateLimit { 3 } else { rng.between(60, 900) as i64 };
    let sender = untagged(&letter.sender);
    let from = letter.from.clone().unwrap_or_else(|| match sender.as_str() {
        "" => format!("MAILER-DAEMON@{}", visit.peer.host),
        sender => sender.to_owned(),
    });
    let smtp: Vec<String> = letter.targets.iter().map(|target| untagged(&target.address)).collect();
    let shown = letter.targets.iter().filter(|target| !target.hidden).map(|target| untagged(&target.address));
    let mime: Vec<String> = shown.chain(letter.elsewhere.iter().cloned()).collect();
    let mut row = pairs! {
        "time_real": millis as f64 / 1000.0 + rng.below(1000) as f64 / 1e6,
        "required_score": 15,
        "score": score,
        "sender_smtp": sender,
        "sender_mime": from,
        "rcpt_smtp": smtp,
        "rcpt_mime": mime,
        "user": letter.login().unwrap_or("unknown"),
        "symbols": render(symbols),
        "unix_time": at.secs(),
        "thresholds": thresholds(letter.verdict),
        "size": letter.size,
        "subject": letter.subject.as_deref().unwrap_or("unknown"),
        "message-id": message_id,
        "is_skipped": false,
        "action": action(letter.verdict),
        "ip": visit.peer.ip.as_str(),
    };
    if let Some(module) = forced(letter.verdict) {
        row.insert(3, ("passthrough_module".into(), module.into()));
    }
    Scanned { row: Json::Object(row), score, millis }
}

/// The action's name in the history.
fn action(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Junk => "add header",
        Verdict::Rewrite => "rewrite subject",
        Verdict::Greylist | Verdict::GreylistOnly | Verdict::RateLimit => "soft reject",
        Verdict::Spam | Verdict::Quarantine | Verdict::Virus => "reject",
        _ => "no action",
    }
}

fn forced(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Greylist | Verdict::GreylistOnly => Some("greylist"),
        Verdict::RateLimit => Some("ratelimit"),
        Verdict::Waved => Some("postmaster"),
        _ => None,
    }
}

fn thresholds(verdict: Verdict) -> Json {
    if verdict == Verdict::Rewrite {
        return object! { "add header": 12, "reject": 15, "greylist": 7, "rewrite subject": 8 };
    }
    object! { "add header": 8, "reject": 15, "greylist": 7 }
}

/// The hash under which a login's rate limit is counted.
pub(super) fn rate_hash(login: &str) -> String {
    let seed = login.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(131).wrapping_add(byte.into()));
    format!("RL{}", Rng::new(seed).hex(23))
}

fn render(symbols: Vec<Symbol>) -> Json {
    // PHP turns an empty object into an empty list.
    if symbols.is_empty() {
        return Json::List(Vec::new());
    }
    let pairs = symbols.into_iter().map(|(name, score, description, options)| {
        let mut symbol = pairs! { "score": score, "name": name, "metric_score": score };
        if !description.is_empty() {
            symbol.push(("description".into(), description.into()));
        }
        if !options.is_empty() {
            symbol.insert(1, ("options".into(), options.into()));
        }
        (name.into(), Json::Object(symbol))
    });
    Json::Object(pairs.collect())
}

fn symbols(rng: &mut Rng, letter: &Letter, visit: &Visit) -> Vec<Symbol> {
    if letter.verdict == Verdict::Waved {
        return Vec::new();
    }
    if letter.verdict == Verdict::RateLimit {
        let login = letter.login().unwrap_or_default().to_owned();
        let info = format!("mailcow({})", rate_hash(&login));
        return vec![
            ("DYN_RL", 0.0, "", vec!["25 / 1h".into(), login]),
            ("RATELIMITED", 0.0, "", vec![info]),
        ];
    }
    let mut symbols = shape(letter);
    match letter.login() {
        Some(login) => symbols.extend(outgoing(letter, login)),
        None => symbols.extend(incoming(rng, letter, visit)),
    }
    symbols
}

/// What every mail shows.
fn shape(letter: &Letter) -> Vec<Symbol> {
    let count = letter.targets.len();
    let (name, words) = match count {
        0 | 1 => ("RCPT_COUNT_ONE", "One recipient"),
        2 => ("RCPT_COUNT_TWO", "Two recipients"),
        _ => ("RCPT_COUNT_THREE", "3-5 recipients"),
    };
    vec![
        ("FROM_HAS_DN", 0.0, "From header has a display name", Vec::new()),
        ("TO_DN_NONE", 0.0, "None of the recipients have display names", Vec::new()),
        ("ARC_NA", 0.0, "ARC signature absent", Vec::new()),
        ("MIME_GOOD", -0.1, "Known content-type", vec!["multipart/alternative".into(), "text/plain".into()]),
        ("MIME_TRACE", 0.0, "", vec!["0:+,1:+,2:~".into()]),
        (name, 0.0, words, vec![count.to_string()]),
    ]
}

fn outgoing(letter: &Letter, login: &str) -> Vec<Symbol> {
    let domain = domain_of(login).to_owned();
    let signed = format!("{domain}:s=dkim");
    let mut symbols = vec![
        ("MAILCOW_AUTH", -20.0, "mailcow authenticated", Vec::new()),
        ("DKIM_SIGNED", 0.0, "", vec![signed]),
        ("DYN_RL", 0.0, "", vec!["100 / 1h".into(), domain]),
        ("LOCAL_OUTBOUND", 0.0, "Mail from local to external domain", Vec::new()),
    ];
    if letter.sender.starts_with("postmaster@") {
        symbols.push(("MAILCOW_POSTMASTER", -2500.0, "", Vec::new()));
    }
    symbols
}

fn incoming(rng: &mut Rng, letter: &Letter, visit: &Visit) -> Vec<Symbol> {
    let from = domain_of(&letter.sender).to_owned();
    let to = letter.targets.first().map_or("", |target| domain_of(&target.address)).to_owned();
    let ip = visit.peer.ip.as_str();
    let mut symbols = vec![("RCPT_MAILCOW_DOMAIN", 0.0, "", vec![to])];
    match letter.verdict {
        Verdict::Spam | Verdict::Quarantine => symbols.extend(bad(rng, &letter.sender, &from, ip)),
        Verdict::Virus => {
            symbols.push(("CLAM_VIRUS", 2000.0, "ClamAV found a virus", vec!["Eicar-Test-Signature".into()]));
            symbols.push(("R_SPF_SOFTFAIL", 2.0, "SPF verification soft-failed", vec!["~all".into()]));
        }
        Verdict::Junk | Verdict::Rewrite => {
            let odd = rng.between(0, 240) as f64 / 100.0;
            symbols.extend([
                ("BAYES_SPAM", 3.5, "Message probably spam", vec!["98.71%".to_owned()]),
                ("R_SPF_SOFTFAIL", 2.0, "SPF verification soft-failed", vec!["~all".into()]),
                ("R_DKIM_NA", 0.0, "Missing DKIM signature", Vec::new()),
                ("FORGED_SENDER", 0.3, "Sender is forged (different From and envelope)", Vec::new()),
                ("HTML_SHORT_LINK_IMG_1", 2.5, "Short HTML part with a link to an image", Vec::new()),
                ("SUBJ_ALL_CAPS", odd, "Subject contains mostly capital letters", Vec::new()),
            ]);
        }
        Verdict::Greylist | Verdict::GreylistOnly => symbols.extend([
            ("GREYLIST", 0.0, "", vec!["greylisted".to_owned(), "new record".into()]),
            ("R_SPF_NA", 0.0, "Missing SPF record", vec!["no SPF record".into()]),
            ("BAYES_SPAM", 2.6, "Message probably spam", vec!["88.02%".into()]),
            (
                "HFILTER_HOSTNAME_UNKNOWN",
                2.5,
                "Unknown client hostname (PTR or FCrDNS verification failed)",
                Vec::new(),
            ),
            ("DATE_IN_PAST", 2.1, "Message date is in past", Vec::new()),
        ]),
        verdict => symbols.extend(good(rng, verdict, &from, ip)),
    }
    symbols
}

fn bad(rng: &mut Rng, sender: &str, domain: &str, ip: &str) -> Vec<Symbol> {
    let fuzzy = rng.between(400, 1_400) as f64 / 100.0;
    vec![
        ("R_SPF_FAIL", 8.0, "SPF verification failed", vec!["-all".into()]),
        ("DMARC_POLICY_REJECT", 2.0, "DMARC reject policy", vec![domain.to_owned(), "reject".into()]),
        ("R_DKIM_REJECT", 1.0, "DKIM verification failed", vec![format!("{domain}:s=s1")]),
        ("BAYES_SPAM", 5.1, "Message probably spam", vec!["100.00%".into()]),
        ("FUZZY_DENIED", fuzzy, "Denied fuzzy hash", vec!["1:5a0b2c:1.00:txt".into()]),
        ("FROM_NEQ_ENVFROM", 0.0, "From address is different to the envelope", vec![sender.to_owned()]),
        ("RBL_SPAMHAUS_XBL", 4.0, "From address is listed in Spamhaus XBL", vec![format!("{ip}:from")]),
    ]
}

fn good(rng: &mut Rng, verdict: Verdict, domain: &str, ip: &str) -> Vec<Symbol> {
    let ham = -(rng.between(0, 300) as f64) / 100.0;
    let mut symbols = vec![
        ("R_SPF_ALLOW", -0.2, "SPF verification allows sending", vec![format!("+ip4:{ip}:c")]),
        ("R_DKIM_ALLOW", -0.2, "DKIM verification succeed", vec![format!("{domain}:s=mail")]),
        ("DMARC_POLICY_ALLOW", -0.5, "DMARC permit policy", vec![domain.to_owned(), "quarantine".into()]),
        ("BAYES_HAM", ham, "Message probably ham", vec!["99.90%".into()]),
    ];
    if verdict == Verdict::Bulk {
        symbols.extend([
            ("HAS_LIST_UNSUB", -0.01, "Has List-Unsubscribe header", Vec::new()),
            ("PRECEDENCE_BULK", 0.0, "Message marked as bulk", Vec::new()),
            ("FORGED_SENDER_VERP_SRS", 0.0, "Sender is forged, but is VERP or SRS", Vec::new()),
            ("BULK_HEADER", 2.0, "multimap, type content: BULK_HEADER", Vec::new()),
        ]);
    }
    symbols
}
