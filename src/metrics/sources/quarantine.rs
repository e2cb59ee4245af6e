//! What lies in quarantine.

use std::collections::BTreeMap;

use futures_util::FutureExt;

use super::Reach;
use crate::{
    metrics::{collector::Outcome, modules::quarantine as m, samples::Samples},
    model::{scope::domain_of, time::Millis},
    remote::status::QuarantineEntry,
};

/// Domains in the list.
const TOP: usize = 5;

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        tell(&reach.mailcow.quarantine_entries().await?, reach.clock.now(), out);
        Ok(())
    }
    .boxed()
}

pub(super) fn tell(entries: &[QuarantineEntry], now: Millis, out: &mut Samples) {
    let virus = |entry: &QuarantineEntry| entry.virus_flag.is_some_and(|flag| flag > 0.0);
    out.set(&m::TOTAL, entries.len());
    out.set(&m::SPAM, entries.iter().filter(|entry| entry.action == "reject" && !virus(entry)).count());
    out.set(&m::VIRUS, entries.iter().filter(|entry| virus(entry)).count());
    let created = || entries.iter().filter_map(|entry| entry.created).filter(|at| *at > 0.0);
    let hours = |at: f64| ((now.secs() as f64 - at) / 3600.0).max(0.0).floor();
    for (metric, at) in [
        (&m::AGE_OLDEST_HOURS, created().reduce(f64::min)),
        (&m::AGE_NEWEST_HOURS, created().reduce(f64::max)),
    ] {
        match at {
            Some(at) => out.set(metric, hours(at)),
            None if entries.is_empty() => out.not_in_use(metric, "the quarantine is empty"),
            None => out.unknown(metric, "no entry has a time"),
        }
    }
    let mut domains: BTreeMap<String, usize> = BTreeMap::new();
    for domain in entries.iter().filter_map(|entry| domain_of(&entry.rcpt)) {
        *domains.entry(domain.to_lowercase()).or_default() += 1;
    }
    out.set(&m::TOP_DOMAINS, top(domains, TOP, "none"));
}

/// The greatest of some counts as `name:count`, greatest first; `none` where there are none.
pub(super) fn top(counts: BTreeMap<String, usize>, most: usize, none: &str) -> String {
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    // Stable: equal counts stay in order of name.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let named = counts.iter().take(most).map(|(name, count)| format!("{name}:{count}"));
    let text = named.collect::<Vec<_>>().join(",");
    if text.is_empty() { none.to_owned() } else { text }
}
