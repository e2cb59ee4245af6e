//! The tallies of an hour as samples.

use std::{cmp::Reverse, collections::BTreeMap};

use serde_json::json;

use super::super::quarantine::top;
use crate::{
    metrics::{
        modules::{flow as f, host, mailflow as m, postfix as p},
        registry::Metric,
        samples::Samples,
    },
    model::{
        flow::{Count, Fate, Flow, Ids, Names, Tally, percentile, share},
        sample::{DOMAIN, Labels},
    },
};

/// Entries of a top list.
const TOP: usize = 5;
/// So many providers are told apart.
const PROVIDERS: usize = 10;

/// Metrics that are a single count.
static COUNTS: &[(&Metric, Count)] = &[
    (&m::RECEIVED, Count::Received),
    (&m::DELIVERED, Count::Delivered),
    (&m::FORWARDED, Count::Forwarded),
    (&m::BOUNCED, Count::Bounced),
    (&m::REJECTED, Count::Rejected),
    (&f::DEFERRALS, Count::Deferrals),
    (&f::EXPIRED, Count::Expired),
    (&f::HELD, Count::Held),
    (&f::DISCARDED, Count::Discarded),
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

/// Tells the hour; `domains` are those of this server.
pub(super) fn tell<'a>(hour: impl Iterator<Item = &'a Flow> + Clone, domains: &[String], out: &mut Samples) {
    let sum = |count: Count| hour.clone().map(|flow| flow.count(count)).sum::<u64>();
    for (metric, count) in COUNTS {
        out.set(metric, sum(*count));
    }
    out.set(&m::BYTES_RECEIVED, hour.clone().map(|flow| flow.bytes_received).sum::<u64>());
    out.set(&m::BYTES_DELIVERED, hour.clone().map(|flow| flow.bytes_delivered).sum::<u64>());
    let mut deferred = Ids::default();
    hour.clone().for_each(|flow| deferred.merge(&flow.deferred));
    out.set(&m::DEFERRED, deferred.len());
    match share(sum(Count::Rejected), [Count::Delivered, Count::Rejected, Count::Discarded].map(sum)) {
        Some(rate) => out.set(&m::REJECT_RATE, rate),
        None => out.not_in_use(&m::REJECT_RATE, "no mail came in the last hour"),
    }
    tell_delays(hour.clone(), out);
    let postscreen = sum(Count::Connect) + sum(Count::PassOld) + sum(Count::PassNew);
    match (postscreen, sum(Count::Connections)) {
        (1.., _) => out.set(&p::POSTSCREEN_ACTIVE, true),
        (0, 0) => out.unknown(&p::POSTSCREEN_ACTIVE, "nobody connected in the last hour"),
        _ => out.set(&p::POSTSCREEN_ACTIVE, false),
    }
    tell_rate(&sum, out);
    tell_places(hour.clone(), domains, out);
    tell_lists(hour.clone(), &sum, deferred.len(), out);
}

fn tell_rate(sum: &dyn Fn(Count) -> u64, out: &mut Samples) {
    let delivered = sum(Count::Delivered);
    let settled = delivered + sum(Count::Bounced) + sum(Count::Expired);
    match settled {
        0 => out.not_in_use(&f::DELIVERY_RATE, "nothing was settled in the last hour"),
        settled => out.set(&f::DELIVERY_RATE, (1000.0 * delivered as f64 / settled as f64).round() / 10.0),
    }
}

/// Seconds, to hundredths.
fn seconds(milliseconds: f64) -> f64 {
    (milliseconds / 10.0).round() / 100.0
}

fn tell_delays<'a>(hour: impl Iterator<Item = &'a Flow>, out: &mut Samples) {
    let mut delays: BTreeMap<u64, u64> = BTreeMap::new();
    for (delay, count) in hour.flat_map(|flow| &flow.delays) {
        *delays.entry(*delay).or_default() += count;
    }
    let all: u64 = delays.values().sum();
    let sum: u64 = delays.iter().map(|(delay, count)| delay * count).sum();
    let average = (all > 0).then(|| sum as f64 / all as f64);
    let share = |share: f64| percentile(&delays, share).map(|delay| delay as f64);
    for (metric, delay) in [
        (&host::DELIVERY_TIME, average),
        (&f::DELAY_MEDIAN, share(0.5)),
        (&f::DELAY_95, share(0.95)),
        (&f::DELAY_MAX, share(1.0)),
    ] {
        match delay {
            Some(delay) => out.set(metric, seconds(delay)),
            None => out.not_in_use(metric, "nothing was delivered in the last hour"),
        }
    }
}

fn tell_lists<'a>(
    hour: impl Iterator<Item = &'a Flow> + Clone,
    sum: &dyn Fn(Count) -> u64,
    deferred: usize,
    out: &mut Samples,
) {
    let senders = merged(hour.clone().map(|flow| &flow.senders), |volume| volume.count);
    let recipients = merged(hour.clone().map(|flow| &flow.recipients), |volume| volume.count);
    let from = merged(hour.clone().map(|flow| &flow.origins), |volume| volume.count);
    let mut to = merged(hour.clone().map(|flow| &flow.to), |fate| fate.delivered.count);
    to.retain(|_, count| *count > 0);
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
    out.set(&m::BOUNCE_DETAIL, top(merged(hour.map(|flow| &flow.bounces), |count| *count), TOP, "-"));
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

/// What became of mails, by place.
fn tell_places<'a>(hour: impl Iterator<Item = &'a Flow> + Clone, domains: &[String], out: &mut Samples) {
    let providers = fates(hour.clone().map(|flow| &flow.providers));
    let mut busiest: Vec<(&str, Fate)> = providers.into_iter().collect();
    // Stable: equal ones stay in order of name.
    busiest.sort_by_key(|(_, fate)| Reverse(fate.attempts()));
    for (provider, fate) in busiest.into_iter().take(PROVIDERS) {
        let labels = || Labels::one("provider", provider);
        out.set_each(&f::EACH_PROVIDER_DELIVERED, labels(), fate.delivered.count);
        out.set_each(&f::EACH_PROVIDER_DEFERRALS, labels(), fate.deferrals);
        out.set_each(&f::EACH_PROVIDER_BOUNCED, labels(), fate.bounced);
    }
    let (to, from) = (fates(hour.clone().map(|flow| &flow.to)), fates(hour.map(|flow| &flow.from)));
    let fate = |fates: &BTreeMap<&str, Fate>, domain: &str| fates.get(domain).copied().unwrap_or_default();
    for domain in domains {
        let labels = || Labels::one(DOMAIN, domain);
        let sent = fate(&from, domain);
        out.set_each(&f::EACH_DOMAIN_DELIVERED, labels(), fate(&to, domain).delivered.count);
        out.set_each(&f::EACH_DOMAIN_SENT, labels(), sent.delivered.count);
        out.set_each(&f::EACH_DOMAIN_DEFERRALS, labels(), sent.deferrals);
        out.set_each(&f::EACH_DOMAIN_BOUNCED, labels(), sent.bounced);
    }
}

fn fates<'a>(all: impl Iterator<Item = &'a Names<Fate>>) -> BTreeMap<&'a str, Fate> {
    let mut sum: BTreeMap<&str, Fate> = BTreeMap::new();
    for (place, fate) in all.flat_map(Names::iter) {
        sum.entry(place).or_default().add_all(fate);
    }
    sum
}

fn merged<'a, T: Tally + 'a>(
    all: impl Iterator<Item = &'a Names<T>>,
    count: impl Fn(&T) -> u64,
) -> BTreeMap<String, usize> {
    let mut sum: BTreeMap<String, usize> = BTreeMap::new();
    for (name, value) in all.flat_map(Names::iter) {
        *sum.entry(name.to_owned()).or_default() += usize::try_from(count(value)).unwrap_or(usize::MAX);
    }
    sum
}
