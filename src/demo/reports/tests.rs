//! The simulated reports, read by the parser that reads real ones.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::parse::{
    attachment::{Limits, unpack},
    envelope,
    report::{Parsed, read},
};

fn now() -> Millis {
    Millis::from_secs(1_795_000_000)
}

/// What the mails bring: aggregate reports, TLS reports, and how many inputs were refused.
fn readings(posts: &[Post]) -> (Vec<Report>, Vec<crate::model::report::TlsReport>, usize) {
    let (mut aggregates, mut tls, mut refused) = (Vec::new(), Vec::new(), 0);
    for post in posts {
        let unpacked = unpack(&post.bytes, None, &Limits::default());
        refused += unpacked.refused.len();
        for document in unpacked.documents {
            match read(&document.bytes) {
                Ok(Parsed::Aggregate(report)) => aggregates.push(*report),
                Ok(Parsed::Tls(report)) => tls.push(*report),
                Err(_) => refused += 1,
            }
        }
    }
    (aggregates, tls, refused)
}

#[test]
fn the_same_seed_and_moment_give_the_same_mails() {
    let all: Vec<Post> = past(3, now()).collect();
    assert_eq!(all, past(3, now()).collect::<Vec<_>>());
    assert_ne!(all, past(4, now()).collect::<Vec<_>>());
    assert_eq!(fresh(3, 1, now()), fresh(3, 1, now()));
    assert!(all.iter().all(|post| post.at <= now()) && all.len() > 300, "{}", all.len());
}

#[test]
fn everything_is_read_but_the_one_that_was_cut() {
    let posts: Vec<Post> = past(1, now()).collect();
    let (aggregates, tls, refused) = readings(&posts);
    assert_eq!(refused, 1);
    assert_eq!(aggregates.len() + tls.len() + 1, posts.len(), "one report in each mail");
    let keys: BTreeSet<_> = aggregates.iter().map(|it| (&it.org, &it.report_id, &it.policy.domain)).collect();
    assert_eq!(keys.len(), aggregates.len(), "no report comes twice");
    let mut reports: BTreeMap<&str, usize> = BTreeMap::new();
    aggregates.iter().for_each(|it| *reports.entry(&it.policy.domain).or_default() += 1);
    assert!(reports["alpha.test"] > 200 && (5..30).contains(&reports["beta.test"]), "{reports:?}");
    assert_eq!((reports["gamma.example"], reports.len()), (1, 3), "the alias domain has none");
    let kinds: BTreeSet<&str> = tls
        .iter()
        .flat_map(|it| &it.policies)
        .flat_map(|it| &it.failures)
        .map(|it| it.kind.as_str())
        .collect();
    assert!(kinds.contains("certificate-expired"), "{kinds:?}");
    assert_eq!(readings(&[fresh(1, 7, now())]).0.len(), 1);
}

#[test]
fn the_story_is_told() {
    let posts: Vec<Post> = past(1, now()).collect();
    let (aggregates, ..) = readings(&posts);
    let mut alpha: Vec<&Report> = aggregates.iter().filter(|it| it.policy.domain == "alpha.test").collect();
    alpha.sort_by_key(|it| it.begin);
    let policies: Vec<&str> = alpha.iter().filter_map(|it| it.policy.p.as_deref()).collect();
    let honest = policies.iter().filter(|p| **p == "quarantine").count();
    assert!(honest > 60 && policies.first() == Some(&"none") && policies.last() == Some(&"quarantine"));
    let rows = || aggregates.iter().flat_map(|it| &it.records);
    for disposition in ["none", "pass", "quarantine", "reject"] {
        assert!(rows().any(|row| row.disposition == disposition), "{disposition}");
    }
    assert!(rows().any(|row| row.dkim_results.len() == 2), "several signatures");
    assert!(rows().any(|row| row.source.is_some_and(|ip| ip.is_ipv6())));
    let own: IpAddr = "198.51.100.10".parse().unwrap();
    assert!(rows().any(|row| row.source == Some(own) && !row.aligned()), "even our own fails sometimes");
    assert!(rows().all(|row| row.count > 0));
}

#[test]
fn our_server_noted_what_it_found() {
    let heads = past(1, now()).filter_map(|post| envelope::look(&post.bytes));
    let results: Vec<String> = heads.map(|head| head.authentication_results.concat()).collect();
    let failed = results.iter().filter(|text| text.contains("dmarc=fail")).count();
    let none = results.iter().filter(|text| text.is_empty()).count();
    assert_eq!(failed, 1, "one is forged");
    assert!(none > 5 && results.iter().filter(|text| text.contains("dmarc=pass")).count() > 200);
}

#[test]
fn names_belong_to_one_address_each() {
    let hosts = senders::hosts();
    let addresses: BTreeSet<IpAddr> =
        hosts.iter().map(|(ip, _)| *ip).chain([senders::pretender().0]).collect();
    assert_eq!(addresses.len(), hosts.len() + 1, "{hosts:?}");
}
