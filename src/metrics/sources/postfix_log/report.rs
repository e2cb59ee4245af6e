//! The tallies of an hour as samples.

use std::collections::{BTreeMap, HashSet};

use serde_json::json;

use super::{
    super::quarantine::top,
    tally::{Count, Tally, domain},
};
use crate::metrics::{
    modules::{host, mailflow as m, postfix as p},
    registry::Metric,
    samples::Samples,
};

/// Entries of a top list.
const TOP: usize = 5;

/// Metrics that are a single count.
static COUNTS: &[(&Metric, Count)] = &[
    (&m::RECEIVED, Count::Received),
    (&m::DELIVERED, Count::Delivered),
    (&m::FORWARDED, Count::Forwarded),
    (&m::BOUNCED, Count::Bounced),
    (&m::REJECTED, Count::Rejected),
    (&m::REJECT_RBL, Count::RejectedByList),
    (&m::REJECT_UNKNOWN_USER, Count::RejectedUser),
    (&m::REJECT_RELAY_DENIED, Count::RejectedRelay),
    (&m::REJECT_DOMAIN_NOTFOUND, Count::RejectedDomain),
    (&m::REJECT_CLEANUP, Count::RejectedContent),
    (&m::WARNINGS_SASL, Count::WarningsSasl),
    (&m::WARNINGS_TLS, Count::WarningsTls),
    (&m::WARNINGS_DNS, Count::WarningsDns),
    (&m::WARNINGS_POSTSCREEN, Count::WarningsPostscreen),
    (&p::LOG_CONNECTION_TIMEOUT, Count::Timeouts),
    (&p::LOG_ERRORS, Count::Errors),
    (&p::LOG_QUOTA_EXCEEDED, Count::Quota),
    (&p::LOG_RBL_REJECT, Count::RejectedByList),
    (&p::LOG_RELAY_DENIED, Count::RejectedRelay),
    (&p::LOG_SASL_AUTH_FAILED, Count::SaslFailed),
    (&p::LOG_SPAM_REJECTED, Count::Spam),
    (&p::LOG_TLS_FAILED, Count::TlsFailed),
    (&p::LOG_USER_UNKNOWN, Count::RejectedUser),
    (&p::LOG_VIRUS_FOUND, Count::Virus),
    (&p::LOG_WARNINGS, Count::Warnings),
    (&p::POSTSCREEN_CONNECT, Count::Connect),
    (&p::POSTSCREEN_PASS_NEW, Count::PassNew),
    (&p::POSTSCREEN_PASS_OLD, Count::PassOld),
    (&p::POSTSCREEN_REJECT, Count::PostscreenRejects),
    (&p::POSTSCREEN_DNSBL, Count::Dnsbl),
    (&p::POSTSCREEN_PREGREET, Count::Pregreet),
    (&p::POSTSCREEN_HANGUP, Count::Hangup),
    (&p::POSTSCREEN_WHITELISTED, Count::Allowlisted),
];

pub(super) fn tell<'a>(hour: impl Iterator<Item = &'a Tally> + Clone, out: &mut Samples) {
    let sum = |count: Count| hour.clone().map(|tally| tally.count(count)).sum::<u32>();
    for (metric, count) in COUNTS {
        out.set(metric, sum(*count));
    }
    out.set(&m::BYTES_RECEIVED, hour.clone().map(|tally| tally.bytes_received).sum::<u64>());
    out.set(&m::BYTES_DELIVERED, hour.clone().map(|tally| tally.bytes_delivered).sum::<u64>());
    let deferred: HashSet<&String> = hour.clone().flat_map(|tally| &tally.deferred).collect();
    out.set(&m::DEFERRED, deferred.len());
    let (delivered, rejected) = (sum(Count::Delivered), sum(Count::Rejected));
    let tried = delivered + rejected + sum(Count::Discarded);
    let rate = (tried > 0).then(|| (100 * u64::from(rejected)) / u64::from(tried));
    match rate {
        Some(rate) => out.set(&m::REJECT_RATE, rate),
        None => out.not_in_use(&m::REJECT_RATE, "no mail came in the last hour"),
    }
    let delay: u64 = hour.clone().map(|tally| tally.delay_ms).sum();
    match delivered {
        0 => out.not_in_use(&host::DELIVERY_TIME, "nothing was delivered in the last hour"),
        count => out.set(&host::DELIVERY_TIME, (delay as f64 / f64::from(count) / 10.0).round() / 100.0),
    }
    let postscreen = sum(Count::Connect) + sum(Count::PassOld) + sum(Count::PassNew);
    match (postscreen, sum(Count::Connections)) {
        (1.., _) => out.set(&p::POSTSCREEN_ACTIVE, true),
        (0, 0) => out.unknown(&p::POSTSCREEN_ACTIVE, "nobody connected in the last hour"),
        _ => out.set(&p::POSTSCREEN_ACTIVE, false),
    }
    tell_lists(hour.clone(), &sum, deferred.len(), out);
}

fn tell_lists<'a>(
    hour: impl Iterator<Item = &'a Tally> + Clone,
    sum: &dyn Fn(Count) -> u32,
    deferred: usize,
    out: &mut Samples,
) {
    let senders = merged(hour.clone().map(|tally| &tally.senders));
    let recipients = merged(hour.clone().map(|tally| &tally.recipients));
    let domains = |addresses: &BTreeMap<String, usize>| {
        let mut domains: BTreeMap<String, usize> = BTreeMap::new();
        for (address, count) in addresses.iter().filter(|(address, _)| *address != "<>") {
            *domains.entry(domain(address).to_owned()).or_default() += count;
        }
        domains
    };
    let (from, to) = (domains(&senders), domains(&recipients));
    let mut data = json!({ "deferred": deferred, "senders": senders.len(), "recipients": recipients.len() });
    for (name, count) in [
        ("received", Count::Received),
        ("delivered", Count::Delivered),
        ("bounced", Count::Bounced),
        ("rejected", Count::Rejected),
        ("reject_warnings", Count::RejectWarnings),
        ("discarded", Count::Discarded),
        ("held", Count::Held),
        ("forwarded", Count::Forwarded),
    ] {
        data[name] = json!(sum(count));
    }
    out.set(&p::FETCH_LOG_DATA, data.to_string());
    out.set(&m::SENDERS, senders.len());
    out.set(&m::RECIPIENTS, recipients.len());
    out.set(&m::SENDING_DOMAINS, from.len());
    out.set(&m::RECIPIENT_DOMAINS, to.len());
    out.set(&m::TOP_SENDERS, top(senders, TOP, "-"));
    out.set(&m::TOP_RECIPIENTS, top(recipients, TOP, "-"));
    out.set(&m::TOP_SENDING_DOMAINS, top(from, TOP, "-"));
    out.set(&m::TOP_RECIPIENT_DOMAINS, top(to, TOP, "-"));
    out.set(&m::BOUNCE_DETAIL, top(merged(hour.map(|tally| &tally.bounces)), TOP, "-"));
    let reasons = [
        ("RBL", Count::RejectedByList),
        ("UnknownUser", Count::RejectedUser),
        ("RelayDenied", Count::RejectedRelay),
        ("DomainNotFound", Count::RejectedDomain),
        ("Cleanup", Count::RejectedContent),
    ];
    let reasons = reasons.iter().map(|(name, count)| (name, sum(*count))).filter(|(_, count)| *count > 0);
    let reasons: Vec<String> = reasons.map(|(name, count)| format!("{name}:{count}")).collect();
    out.set(&m::REJECT_DETAIL, if reasons.is_empty() { "-".to_owned() } else { reasons.join(",") });
}

fn merged<'a>(
    counts: impl Iterator<Item = &'a std::collections::HashMap<String, usize>>,
) -> BTreeMap<String, usize> {
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    for (name, count) in counts.flatten() {
        *all.entry(name.clone()).or_default() += count;
    }
    all
}
