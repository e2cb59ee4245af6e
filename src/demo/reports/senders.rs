//! Who sends mail in the name of the simulated domains, as one receiver sees it on one day: the server itself, a
//! newsletter service that nobody told to sign, a forwarder, a mailing list, a new help desk, and forgers.

use std::net::IpAddr;

use super::Seen;
use crate::{
    demo::{rng::Rng, traffic::Peer},
    model::report::{DkimResult, Evaluation, Reason, Record, SpfResult},
};

/// The simulated server's addresses.
const OWN: [&str; 2] = ["198.51.100.10", "2001:db8:a1fa::10"];
/// Addresses of forgers; the last ones have no name.
const FORGERS: [&str; 5] =
    ["203.0.113.201", "203.0.113.44", "203.0.113.187", "192.0.2.251", "2001:db8:bad::7"];

/// Every source that has a name: address and name.
pub fn hosts() -> Vec<(IpAddr, String)> {
    let own = OWN.map(|ip| (ip.to_owned(), "mail.alpha.test".to_owned()));
    let others = [newsletter(1), newsletter(2), forwarder(), list(), desk()].map(|peer| (peer.ip, peer.host));
    let dynamic = (FORGERS[1].to_owned(), "dyn-203-0-113-44.dialup-77.example".to_owned());
    let all = own.into_iter().chain(others).chain([dynamic]);
    all.filter_map(|(ip, name)| Some((ip.parse().ok()?, name))).collect()
}

/// An address whose holder calls it by somebody else's name, and that name.
pub fn pretender() -> (IpAddr, &'static str) {
    (IpAddr::from([203, 0, 113, 201]), "mail.bigmail.example")
}

/// Addresses of the newsletter service.
pub fn newsletters() -> impl Iterator<Item = IpAddr> {
    [1, 2].into_iter().filter_map(|number| newsletter(number).ip.parse().ok())
}

fn newsletter(number: u8) -> Peer {
    Peer::of(&format!("out{number}"), "newsletter-hub.example")
}

fn forwarder() -> Peer {
    Peer::of("forward", "uni-nord.example")
}

fn list() -> Peer {
    Peer::of("lists", "forum.example")
}

fn desk() -> Peer {
    Peer::of("relay", "helpdesk-cloud.example")
}

/// What one receiver saw of `alpha.test`.
pub fn alpha(rng: &mut Rng, seen: &Seen) -> Vec<Record> {
    let mut rows = Vec::new();
    own(rng, seen, &mut rows);
    if seen.age % 7 == 2 || seen.age % 7 == 5 {
        for number in [1, 2] {
            let mails = rng.between(40, 190);
            rows.push(
                Row::new(&newsletter(number).ip, seen.share(mails))
                    .signed("newsletter-hub.example", "nl", "pass")
                    .envelope("bounce.newsletter-hub.example", "pass"),
            );
        }
    }
    if rng.chance(60) {
        let mails = rng.between(2, 9);
        // A forwarder leaves the signature whole, but sends from an address that SPF does not name.
        let row = Row::new(&forwarder().ip, mails).signed("alpha.test", "dkim", "pass");
        rows.push(row.envelope("alpha.test", "softfail").excused("forwarded", "looks forwarded, downgraded"));
    }
    if rng.chance(45) {
        let mails = rng.between(1, 6);
        let row = Row::new(&list().ip, mails)
            .signed("alpha.test", "dkim", "fail: body hash did not verify")
            .signed("forum.example", "l2024", "pass")
            .envelope("forum.example", "pass");
        rows.push(row.excused("mailing_list", "arc=pass as[1].d=forum.example"));
    }
    if seen.age <= 3 {
        let mails = rng.between(8, 30);
        let row = Row::new(&desk().ip, seen.share(mails)).signed("alpha.test", "helpdesk", "pass");
        rows.push(row.envelope("mail.helpdesk-cloud.example", "pass"));
    }
    forged(rng, seen, &mut rows);
    rows.into_iter().filter(|row| row.count > 0).map(|row| row.judged(seen)).collect()
}

/// What one receiver saw of a domain where all is in order and the policy is strict.
pub fn beta(rng: &mut Rng, seen: &Seen) -> Vec<Record> {
    let mails = rng.between(10, 60);
    let row = Row::new(OWN[0], seen.share(mails).max(1)).signed(seen.domain, "dkim", "pass");
    let mut rows = vec![row.envelope(seen.domain, "pass")];
    if rng.chance(70) {
        let (ip, mails) = (format!("192.0.2.{}", rng.between(100, 250)), rng.between(1, 12));
        rows.push(Row::new(&ip, mails).envelope(seen.domain, "fail"));
    }
    rows.into_iter().map(|row| row.judged(seen)).collect()
}

/// The server itself: two keys at once, a small rest with one check failed, and rarely both.
fn own(rng: &mut Rng, seen: &Seen, rows: &mut Vec<Row>) {
    let both = |ip: &str, count| {
        Row::new(ip, count).signed("alpha.test", "dkim", "pass").signed("alpha.test", "ed2026", "neutral")
    };
    let mails = rng.between(120, 260);
    rows.push(both(OWN[0], seen.share(mails)).envelope("alpha.test", "pass"));
    // Until a month ago, the SPF record forgot the server's IPv6 address.
    let six = if seen.age > 33 { "fail" } else { "pass" };
    let mails = rng.between(30, 70);
    rows.push(both(OWN[1], seen.share(mails)).envelope("alpha.test", six));
    if rng.chance(30) {
        let mails = rng.between(1, 4);
        let broken = Row::new(OWN[0], mails).signed("alpha.test", "dkim", "fail: body hash did not verify");
        rows.push(broken.envelope("alpha.test", "pass"));
    }
    if rng.chance(8) {
        let mails = rng.between(1, 2);
        // Automatic answers without a sender: nothing to check SPF by but the server's name, and that has no record.
        let row = Row::new(OWN[0], mails).signed("alpha.test", "dkim", "temperror: key could not be fetched");
        rows.push(row.envelope("mail.alpha.test", "none"));
    }
}

/// Forgers come in waves, each time from other addresses; a few come again, with a mail or two.
fn forged(rng: &mut Rng, seen: &Seen, rows: &mut Vec<Row>) {
    let wave = seen.age % 13 < 3;
    for ip in FORGERS {
        let found = if wave && rng.chance(70) {
            Some((format!("203.0.113.{}", rng.between(50, 250)), rng.between(1, 15)))
        } else {
            rng.chance(8).then(|| (ip.to_owned(), 1))
        };
        if let Some((ip, mails)) = found {
            let row = Row::new(&ip, mails).envelope("alpha.test", "softfail");
            rows.push(if rng.chance(30) { row.refused() } else { row });
        }
    }
}

/// A row under way.
struct Row {
    ip: String,
    count: u64,
    dkim: Vec<DkimResult>,
    spf: Vec<SpfResult>,
    reason: Option<Reason>,
    /// The receiver refuses by its own rules.
    refused: bool,
}

impl Row {
    fn new(ip: &str, count: u64) -> Self {
        Self { ip: ip.to_owned(), count, dkim: Vec::new(), spf: Vec::new(), reason: None, refused: false }
    }

    /// A signature and its result, with the receiver's words behind a colon.
    fn signed(mut self, domain: &str, selector: &str, result: &str) -> Self {
        let (result, words) = result.split_once(": ").map_or((result, None), |(a, b)| (a, Some(b)));
        self.dkim.push(DkimResult {
            domain: domain.to_owned(),
            selector: Some(selector.to_owned()),
            result: result.to_owned(),
            human_result: words.map(str::to_owned),
        });
        self
    }

    fn envelope(mut self, domain: &str, result: &str) -> Self {
        let (domain, result) = (domain.to_owned(), result.to_owned());
        self.spf.push(SpfResult { domain, scope: Some("mfrom".to_owned()), result, human_result: None });
        self
    }

    fn excused(mut self, kind: &str, comment: &str) -> Self {
        self.reason = Some(Reason { kind: kind.to_owned(), comment: Some(comment.to_owned()) });
        self
    }

    fn refused(mut self) -> Self {
        self.refused = true;
        self.excused("local_policy", "sender is on a block list")
    }

    /// The row as the receiver reports it: alignment follows from the results, the rest from the policy.
    fn judged(self, seen: &Seen) -> Record {
        let domain = seen.domain;
        let aligned = |other: &str| other == domain || other.ends_with(&format!(".{domain}"));
        let word = |passed| if passed { Evaluation::Pass } else { Evaluation::Fail };
        let dkim = self.dkim.iter().any(|one| one.result == "pass" && aligned(&one.domain));
        let spf = self.spf.iter().any(|one| one.result == "pass" && aligned(&one.domain));
        let excused = self.reason.is_some();
        let disposition = match (dkim || spf, self.refused, excused) {
            (true, ..) if seen.modern => "pass",
            (true, ..) | (false, false, true) => "none",
            (false, true, _) => "reject",
            (false, false, false) => seen.policy,
        };
        Record {
            source: self.ip.parse().ok(),
            source_text: None,
            count: self.count,
            disposition: disposition.to_owned(),
            dkim: word(dkim),
            spf: word(spf),
            reasons: self.reason.into_iter().filter(|_| !(dkim && spf)).collect(),
            header_from: domain.to_owned(),
            envelope_from: self.spf.first().map(|one| one.domain.clone()),
            envelope_to: None,
            dkim_results: self.dkim,
            spf_results: self.spf,
        }
    }
}
