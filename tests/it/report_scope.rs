//! Who sees which reports, against an oracle: every report carries a word of its own in each of its places, and no page,
//! list, download or answer may show the word of a domain that is not the visitor's.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use mailcow_status::{
    demo::reports::{json, xml},
    model::{
        figures::ReportFilter,
        report::{
            Arrival, DkimResult, Evaluation, Policy, Reason, Record, Report, SpfResult, TlsFailure,
            TlsPolicy, TlsReport,
        },
        scope::Scope,
        time::Millis,
    },
    store::{names, reports, tls_reports},
};

use super::support::{
    crawl::crawl,
    portal::{Answer, Portal, Surfer, Wishes},
    reports::take,
};

/// Domains that look like one another, or like a part of one another. Each number is the domain's mark.
const DOMAINS: &[&str] = &[
    "alpha.test",
    "beta.test",
    "alpha-alias.test",
    "xalpha.test",
    "sub.alpha.test",
    "alpha.test.evil.example",
    "alpha.tes",
    "alpha-test",
    "pha.test",
    "gamma.example",
];

/// The first of them are hosted by the simulated Mailcow.
const HOSTED: usize = 3;

/// Who signs in, and the domains whose reports are theirs. `postmaster@` has the own domain and its alias domain;
/// `bob@alpha.test` has what Mailcow's domain admin `alphaadmin` has; the admin has all.
const VISITORS: &[(&str, &[usize])] = &[
    ("postmaster@alpha.test", &[0, 2]),
    ("bob@alpha.test", &[0, 2]),
    ("postmaster@beta.test", &[1]),
    ("admin@alpha.test", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
];

/// The word of a domain in a place: `zq3qorgz`.
fn word(domain: usize, place: &str) -> String {
    format!("zq{domain}q{place}z")
}

/// The marks in a text.
fn marks(text: &str) -> BTreeSet<usize> {
    let starts = text.match_indices("zq").map(|(at, _)| &text[at + 2..]);
    starts.filter_map(|rest| rest.split_once('q')?.0.parse().ok()).collect()
}

fn source(domain: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, 10 + domain as u8])
}

/// An address that sends in the name of all of them.
const SHARED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 200));

fn aggregate(domain: usize, number: i64) -> Report {
    let begin = Millis::from_secs(1_794_900_000 - number * 86_400);
    let some = |place: &str| Some(word(domain, place));
    let record = |ip: IpAddr| Record {
        source: Some(ip),
        source_text: None,
        count: 5,
        disposition: "none".to_owned(),
        dkim: Evaluation::Fail,
        spf: if number % 2 == 0 { Evaluation::Pass } else { Evaluation::Fail },
        reasons: vec![Reason { kind: "other".to_owned(), comment: some("comment") }],
        header_from: format!("{}.example", word(domain, "from")),
        envelope_from: some("mfrom"),
        envelope_to: some("rcpt"),
        dkim_results: vec![DkimResult {
            domain: word(domain, "dkim"),
            selector: some("selector"),
            result: "fail".to_owned(),
            human_result: some("words"),
        }],
        spf_results: vec![SpfResult {
            domain: word(domain, "spf"),
            scope: None,
            result: "fail".to_owned(),
            human_result: some("spfwords"),
        }],
    };
    Report {
        org: format!("{}.example", word(domain, "org")),
        email: some("email"),
        extra_contact_info: some("contact"),
        report_id: format!("{}-{number}", word(domain, "id")),
        begin,
        end: Millis(begin.0 + 86_399_000),
        generator: some("generator"),
        errors: vec![word(domain, "error")],
        policy: Policy {
            domain: DOMAINS[domain].to_owned(),
            p: Some("none".to_owned()),
            ..Policy::default()
        },
        records: vec![record(source(domain)), record(SHARED)],
        ..Report::default()
    }
}

/// A TLS report of several policies: each visitor may see those of their domains.
fn tls(number: i64, domains: &[usize]) -> TlsReport {
    let begin = Millis::from_secs(1_794_900_000 - number * 86_400);
    let policy = |&domain: &usize| TlsPolicy {
        kind: "sts".to_owned(),
        domain: DOMAINS[domain].to_owned(),
        text: vec![word(domain, "text")],
        mx_hosts: vec![word(domain, "mxhost")],
        successful: 4,
        failed: 1,
        failures: vec![TlsFailure {
            kind: "certificate-expired".to_owned(),
            mx: Some(word(domain, "mx")),
            sessions: 1,
            more: Some(word(domain, "more")),
            ..TlsFailure::default()
        }],
    };
    let mark = domains.iter().map(|&domain| word(domain, "tlsid")).collect::<Vec<_>>();
    // The report's own words belong to all its domains; they carry a mark only where there is one domain.
    let alone = mark.first().filter(|_| domains.len() == 1).cloned();
    TlsReport {
        org: alone.clone().unwrap_or_else(|| "Shared receiver".to_owned()),
        contact: alone.clone(),
        report_id: format!("{}-{number}", alone.unwrap_or_else(|| "shared".to_owned())),
        begin,
        end: Millis(begin.0 + 86_399_000),
        policies: domains.iter().map(policy).collect(),
    }
}

async fn fill(portal: &Portal) {
    let db = &portal.state.db;
    for domain in 0..DOMAINS.len() {
        let arrival = Arrival {
            at: portal.now(),
            via: word(domain, "via"),
            name: word(domain, "file"),
            sender: Some(format!("{}@x.example", word(domain, "sender"))),
            evidence: Some(word(domain, "evidence")),
            ..Arrival::default()
        };
        for number in 1..=3 {
            take(db, &arrival, xml(&aggregate(domain, number)).as_bytes()).await;
        }
        // Another body under the same key is kept beside it.
        let mut other = aggregate(domain, 1);
        other.records[0].count = 77;
        take(db, &arrival, xml(&other).as_bytes()).await;
        take(db, &arrival, json(&tls(1, &[domain])).as_bytes()).await;
        let mut other = tls(1, &[domain]);
        other.policies[0].failed = 2;
        take(db, &arrival, json(&other).as_bytes()).await;
        take(db, &arrival, format!("<feedback>{}", word(domain, "broken")).as_bytes()).await;
        let mut tx = db.begin().await.unwrap();
        let name = format!("{}.example", word(domain, "ptr"));
        names::note(&mut tx, source(domain), Some(&name), portal.now()).await.unwrap();
        tx.commit().await.unwrap();
    }
    let arrival = Arrival { at: portal.now(), via: "test".to_owned(), ..Arrival::default() };
    take(db, &arrival, json(&tls(2, &(0..DOMAINS.len()).collect::<Vec<_>>())).as_bytes()).await;
}

/// Every address that belongs to one report, source or domain, with its domain; as an admin could know them.
async fn addresses(portal: &Portal) -> Vec<(usize, String)> {
    let db = &portal.state.db;
    let number = |domain: &str| DOMAINS.iter().position(|&one| one == domain).unwrap();
    let mut all = Vec::new();
    for line in reports::list(db, &Scope::All, &ReportFilter::default(), None, 200).await.unwrap() {
        let domain = number(&line.domain);
        all.push((domain, format!("/dmarc/reports/{}", line.serial)));
        all.push((domain, format!("/dmarc/reports/{}/xml", line.serial)));
        let stored = reports::find(db, &Scope::All, line.serial).await.unwrap().unwrap();
        for (other, _) in stored.others {
            all.push((domain, format!("/dmarc/reports/{}/xml?other={other}", line.serial)));
        }
    }
    for line in tls_reports::list(db, &Scope::All, None, None, 200).await.unwrap() {
        if line.org != "Shared receiver" {
            let domain = number(&line.domain);
            all.push((domain, format!("/tls-reports/{}", line.id)));
            all.push((domain, format!("/tls-reports/{}/json", line.id)));
            let stored = tls_reports::find(db, &Scope::All, line.id).await.unwrap().unwrap();
            for (other, _) in stored.others {
                all.push((domain, format!("/tls-reports/{}/json?other={other}", line.id)));
            }
        }
    }
    for (number, domain) in DOMAINS.iter().enumerate() {
        all.push((number, format!("/dmarc/{domain}")));
        all.push((number, format!("/dmarc/sources/{}", source(number))));
        all.push((number, format!("/dmarc/reports?domain={domain}")));
        all.push((number, format!("/dmarc/reports?org={}", word(number, "org"))));
        all.push((number, format!("/dmarc/sources?domain={domain}")));
        all.push((number, format!("/tls-reports?domain={domain}")));
    }
    all
}

/// What the visitor sent themselves comes back in filters: it tells nothing.
fn without_the_question(address: &str, body: &str) -> String {
    address.split_once("org=").map_or_else(|| body.to_owned(), |(_, org)| body.replace(org, ""))
}

async fn visit(surfer: &Surfer, address: &str) -> Answer {
    surfer.clone().get(address).await
}

#[tokio::test]
async fn nobody_reads_a_report_of_a_foreign_domain() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        fill(&portal).await;
        let addresses = addresses(&portal).await;
        assert!(addresses.len() > 100, "{}", addresses.len());
        let others = addresses.iter().filter(|(_, address)| address.contains("?other=")).count();
        assert_eq!(others, 2 * DOMAINS.len(), "each domain has a report of either kind with another body");
        for &(who, theirs) in VISITORS {
            let theirs: BTreeSet<usize> = theirs.iter().copied().collect();
            let surfer = portal.signed_in(who).await;
            let starts = ["/dmarc", "/dmarc/sources", "/dmarc/reports", "/tls-reports", "/"];
            let pages = crawl(&surfer, &starts, &["/dmarc", "/tls-reports"]).await;
            let mut seen = BTreeSet::new();
            for (address, answer) in &pages {
                let found = marks(&answer.body);
                let foreign: Vec<_> = found.difference(&theirs).collect();
                assert!(foreign.is_empty(), "{who} sees {foreign:?} at {address}");
                seen.extend(found);
            }
            assert_eq!(seen, theirs, "{who} sees all that is theirs on {} pages", pages.len());
            for (domain, address) in &addresses {
                let answer = visit(&surfer, address).await;
                let found = marks(&without_the_question(address, &answer.body));
                let foreign: Vec<_> = found.difference(&theirs).collect();
                assert!(foreign.is_empty(), "{who} sees {foreign:?} at {address}");
                // Figures of sources are about domains that Mailcow hosts.
                let uncounted = *domain >= HOSTED && address.starts_with("/dmarc/sources/");
                if theirs.contains(domain) && !uncounted {
                    assert_eq!(answer.status, 200, "{who} {address}");
                } else if !address.contains('?') || address.contains("?other=") {
                    assert_eq!(answer.status, 404, "{who} {address}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_foreign_report_looks_like_none() {
    let portal = Portal::start(Wishes::default()).await;
    fill(&portal).await;
    let surfer = portal.signed_in("postmaster@alpha.test").await;
    let mut bodies: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (domain, address) in addresses(&portal).await {
        let kind =
            ["/xml", "/json", "/dmarc/reports/", "/tls-reports/"].into_iter().find(|it| address.contains(it));
        let (Some(kind), false) = (kind, [0, 2].contains(&domain) || address.contains('?')) else { continue };
        bodies.entry(kind).or_default().insert(visit(&surfer, &address).await.body);
    }
    for (kind, nothing) in [
        ("/dmarc/reports/", "/dmarc/reports/987654"),
        ("/xml", "/dmarc/reports/987654/xml"),
        ("/tls-reports/", "/tls-reports/987654"),
        ("/json", "/tls-reports/987654/json"),
    ] {
        let answer = visit(&surfer, nothing).await;
        assert_eq!(answer.status, 404, "{nothing}");
        // Only the address of the page itself may differ, as in the form that changes the language.
        let plain = |body: &str| body.replace(|c: char| c.is_ascii_digit(), "");
        for body in &bodies[kind] {
            assert_eq!(plain(body), plain(&answer.body), "{kind}");
        }
    }
}

#[tokio::test]
async fn users_and_strangers_get_no_report_page_at_all() {
    let portal = Portal::start(Wishes::default()).await;
    fill(&portal).await;
    let ann = portal.signed_in("ann@alpha.test").await;
    let admin = portal.signed_in("admin@alpha.test").await;
    let domain_admin = portal.signed_in("postmaster@alpha.test").await;
    for (_, address) in addresses(&portal).await {
        let answer = visit(&ann, &address).await;
        assert_eq!((answer.status, marks(&answer.body)), (403, BTreeSet::new()), "{address}");
        let answer = visit(&portal.browser(), &address).await;
        assert_eq!((answer.status, answer.body.as_str()), (303, ""), "{address}");
    }
    for address in ["/dmarc/unreadable", "/dmarc/upload"] {
        assert_eq!(visit(&admin, address).await.status, 200, "{address}");
        let answer = visit(&domain_admin, address).await;
        assert_eq!((answer.status, marks(&answer.body)), (403, BTreeSet::new()), "{address}");
    }
}

#[tokio::test]
async fn the_json_of_a_shared_report_is_for_those_who_see_all_of_it() {
    let portal = Portal::start(Wishes::default()).await;
    fill(&portal).await;
    let lines = tls_reports::list(&portal.state.db, &Scope::All, None, None, 200).await.unwrap();
    let shared = lines.iter().find(|line| line.org == "Shared receiver").unwrap();
    let (page, json) = (format!("/tls-reports/{}", shared.id), format!("/tls-reports/{}/json", shared.id));
    for (who, may) in [("postmaster@alpha.test", false), ("admin@alpha.test", true)] {
        let surfer = portal.signed_in(who).await;
        let answer = visit(&surfer, &page).await;
        assert_eq!((answer.status, answer.body.contains(&json)), (200, may), "{who}");
        assert_eq!(visit(&surfer, &json).await.status, if may { 200 } else { 404 }, "{who}");
    }
}

#[tokio::test]
async fn admins_see_what_is_set_aside_and_which_domains_have_no_reports() {
    let portal = Portal::start(Wishes::default()).await;
    let arrival = Arrival { at: portal.now(), via: "test".to_owned(), ..Arrival::default() };
    for domain in [0, 9] {
        take(&portal.state.db, &arrival, xml(&aggregate(domain, 1)).as_bytes()).await;
    }
    let admin = portal.signed_in("admin@alpha.test").await;
    let table = visit(&admin, "/dmarc").await.body;
    for domain in &DOMAINS[..HOSTED] {
        assert!(table.contains(&format!("/dmarc/{domain}\"")), "{domain}");
    }
    let page = visit(&admin, "/dmarc/gamma.example").await.body;
    assert!(
        page.contains("gamma.example is not hosted here") && page.contains("One report about it is kept")
    );
    assert!(!page.contains("IN  TXT"), "nobody is asked to publish a record of others");
    let page = visit(&admin, "/dmarc/beta.test").await.body;
    assert!(page.contains("IN  TXT"));
}
