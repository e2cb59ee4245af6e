//! Every metric, declared once. The exact keys are those of the Zabbix package, so that what reads it can read us.

use std::{collections::HashMap, sync::LazyLock};

use super::registry::{Metric, Origin};

pub mod backup;
pub mod clamav;
pub mod collector;
pub mod disk;
pub mod docker;
pub mod dovecot;
pub mod flow;
pub mod host;
pub mod mailboxes;
pub mod mailflow;
pub mod memcached;
pub mod postfix;
pub mod quarantine;
pub mod rspamd;
pub mod security;
pub mod sync_jobs;
pub mod tls;
pub mod updates;
pub mod watchdog;

/// The metrics of each file, in the order of the pages.
static FILES: &[&[&Metric]] = &[
    postfix::ALL,
    dovecot::ALL,
    rspamd::ALL,
    security::ALL,
    disk::ALL,
    sync_jobs::ALL,
    mailboxes::ALL,
    mailflow::ALL,
    flow::ALL,
    clamav::ALL,
    watchdog::ALL,
    tls::ALL,
    docker::ALL,
    memcached::ALL,
    quarantine::ALL,
    updates::ALL,
    backup::ALL,
    collector::ALL,
    host::ALL,
];

/// Every metric.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    FILES.iter().flat_map(|file| file.iter().copied())
}

/// The metric with this exact key.
pub fn by_key(key: &str) -> Option<&'static Metric> {
    static KEYS: LazyLock<HashMap<&str, &Metric>> =
        LazyLock::new(|| all().map(|metric| (metric.key, metric)).collect());
    KEYS.get(key).copied()
}

/// The metrics that come from these origins: what a source declares.
pub fn of(origins: &[Origin]) -> impl Iterator<Item = &'static Metric> {
    all().filter(move |metric| origins.contains(&metric.origin))
}
