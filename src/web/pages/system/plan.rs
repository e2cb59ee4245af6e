//! The places of the modules: their groups in the order that people learn, the value on each tile, and the charts of
//! each page.

use crate::metrics::{
    modules::{
        backup, clamav, collector, disk, docker, dovecot, host, mailboxes, mailflow, memcached, postfix,
        quarantine, rspamd, security, sync_jobs, tls, updates, watchdog,
    },
    registry::{Metric, Module},
};

/// A group of modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Mail comes and goes.
    Mail,
    /// What keeps bad mail and bad people out.
    Protection,
    /// What is stored.
    Data,
    /// What it runs on.
    Platform,
}

impl Group {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Mail, Self::Protection, Self::Data, Self::Platform];

    /// The word in text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Protection => "protection",
            Self::Data => "data",
            Self::Platform => "platform",
        }
    }
}

/// A chart: the word in its title's text key (empty: the name of its metric), and its metrics, all of one unit.
pub type Plan = (&'static str, &'static [&'static Metric]);

/// A module's place.
pub struct Place {
    /// Which.
    pub module: Module,
    /// Where.
    pub group: Group,
    /// The one value that matters.
    pub main: &'static Metric,
    /// The charts of its page.
    pub charts: &'static [Plan],
}

const fn place(module: Module, group: Group, main: &'static Metric, charts: &'static [Plan]) -> Place {
    Place { module, group, main, charts }
}

/// All modules, in the order of the tiles.
pub static PLACES: &[Place] = &[
    place(
        Module::Postfix,
        Group::Mail,
        &postfix::PFMAILQ,
        &[("", &[&postfix::CONNECTIONS]), ("", &[&postfix::PFMAILQ])],
    ),
    place(
        Module::PostfixLogs,
        Group::Mail,
        &postfix::LOG_ERRORS,
        &[
            ("postfix-lines", &[&postfix::LOG_ERRORS, &postfix::LOG_WARNINGS]),
            (
                "postfix-refusals",
                &[
                    &postfix::LOG_RBL_REJECT,
                    &postfix::LOG_RELAY_DENIED,
                    &postfix::LOG_SASL_AUTH_FAILED,
                    &postfix::LOG_SPAM_REJECTED,
                    &postfix::LOG_USER_UNKNOWN,
                ],
            ),
        ],
    ),
    place(
        Module::Postscreen,
        Group::Mail,
        &postfix::POSTSCREEN_PASS_NEW,
        &[
            (
                "postscreen-in",
                &[&postfix::POSTSCREEN_CONNECT, &postfix::POSTSCREEN_PASS_NEW, &postfix::POSTSCREEN_PASS_OLD],
            ),
            (
                "postscreen-out",
                &[
                    &postfix::POSTSCREEN_REJECT,
                    &postfix::POSTSCREEN_DNSBL,
                    &postfix::POSTSCREEN_PREGREET,
                    &postfix::POSTSCREEN_HANGUP,
                ],
            ),
        ],
    ),
    place(
        Module::Mailflow,
        Group::Mail,
        &mailflow::RECEIVED,
        &[
            (
                "mailflow",
                &[
                    &mailflow::RECEIVED,
                    &mailflow::DELIVERED,
                    &mailflow::DEFERRED,
                    &mailflow::BOUNCED,
                    &mailflow::REJECTED,
                ],
            ),
            ("", &[&host::DELIVERY_TIME]),
            ("", &[&mailflow::REJECT_RATE]),
        ],
    ),
    place(
        Module::Queues,
        Group::Mail,
        &postfix::QUEUE_DEFERRED,
        &[
            ("", &[&postfix::QUEUE_DEFERRED]),
            ("queues", &[&postfix::QUEUE_ACTIVE, &postfix::QUEUE_HOLD]),
            ("", &[&postfix::QUEUE_AGE_OLDEST_HOURS]),
        ],
    ),
    place(
        Module::Dovecot,
        Group::Mail,
        &dovecot::CONNECTIONS,
        &[
            ("", &[&dovecot::CONNECTIONS]),
            ("dovecot", &[&dovecot::IMAP_LOGIN_FAILED, &dovecot::POP3_LOGIN_FAILED, &dovecot::IMAP_ERRORS]),
        ],
    ),
    place(
        Module::SyncJobs,
        Group::Mail,
        &sync_jobs::FAILED,
        &[
            ("sync-jobs", &[&sync_jobs::ACTIVE, &sync_jobs::FAILED, &sync_jobs::STUCK]),
            ("", &[&sync_jobs::OLDEST_RUN]),
        ],
    ),
    place(
        Module::Memcached,
        Group::Mail,
        &memcached::HIT_RATE,
        &[
            ("", &[&memcached::HIT_RATE]),
            ("memcached", &[&memcached::HITS, &memcached::MISSES, &memcached::EVICTIONS]),
            ("", &[&memcached::BYTES]),
        ],
    ),
    place(
        Module::Rspamd,
        Group::Protection,
        &rspamd::SPAM_RATE,
        &[
            ("", &[&rspamd::SPAM_RATE]),
            (
                "rspamd",
                &[
                    &rspamd::HAM,
                    &rspamd::REJECT_TOTAL,
                    &rspamd::ADD_HEADER,
                    &rspamd::GREYLIST,
                    &rspamd::SOFT_REJECT,
                ],
            ),
        ],
    ),
    place(
        Module::Bayes,
        Group::Protection,
        &rspamd::BAYES_TOTAL_LEARNED,
        &[
            ("bayes", &[&rspamd::BAYES_HAM_LEARNED, &rspamd::BAYES_SPAM_LEARNED]),
            ("", &[&rspamd::BAYES_RATIO]),
        ],
    ),
    place(
        Module::Clamav,
        Group::Protection,
        &clamav::DAILY_AGE,
        &[("", &[&clamav::DAILY_AGE]), ("", &[&clamav::SIGNATURES])],
    ),
    place(
        Module::Quarantine,
        Group::Protection,
        &quarantine::TOTAL,
        &[
            ("quarantine", &[&quarantine::TOTAL, &quarantine::SPAM, &quarantine::VIRUS]),
            ("", &[&quarantine::AGE_OLDEST_HOURS]),
        ],
    ),
    place(
        Module::Security,
        Group::Protection,
        &security::FAIL2BAN_BANNED,
        &[
            (
                "bans",
                &[
                    &security::FAIL2BAN_BANNED,
                    &security::FAIL2BAN_POSTFIX,
                    &security::FAIL2BAN_DOVECOT,
                    &security::FAIL2BAN_SOGO,
                ],
            ),
            ("", &[&security::RBL_LISTED]),
        ],
    ),
    place(Module::Audit, Group::Protection, &security::AUDIT_SCORE, &[("", &[&security::AUDIT_SCORE])]),
    place(
        Module::Disk,
        Group::Data,
        &disk::VMAIL_USED,
        &[
            ("disk", &[&disk::ROOT_USED, &disk::DOCKER_USED, &disk::VMAIL_USED, &disk::LOG_USED]),
            ("", &[&disk::VMAIL_MAILDIR_SIZE]),
        ],
    ),
    place(
        Module::Mailboxes,
        Group::Data,
        &mailboxes::MAILBOX_ACTIVE,
        &[
            ("", &[&mailboxes::MAILBOX_QUOTA_USED_TOTAL]),
            ("mailboxes", &[&mailboxes::EACH_MAILBOX_USAGE_PCT]),
        ],
    ),
    place(
        Module::Aliases,
        Group::Data,
        &mailboxes::ALIAS_TOTAL,
        &[("aliases", &[&mailboxes::ALIAS_TOTAL, &mailboxes::ALIAS_ACTIVE, &mailboxes::ALIAS_FORWARDING])],
    ),
    place(
        Module::Backup,
        Group::Data,
        &backup::AGE,
        &[("", &[&backup::AGE]), ("", &[&backup::SIZE]), ("", &[&backup::DISK_FREE])],
    ),
    place(
        Module::Tls,
        Group::Platform,
        &tls::CERT_DAYS_443,
        &[
            ("certificates", &[&tls::CERT_DAYS_443, &tls::CERT_DAYS_587, &tls::CERT_DAYS_993]),
            ("ports", &[&tls::HTTPS_CHECK, &tls::IMAPS_CHECK, &tls::SUBMISSION_CHECK, &tls::UI_CHECK]),
        ],
    ),
    place(Module::Acme, Group::Platform, &tls::CERT_DAYS_LEFT, &[("", &[&tls::CERT_DAYS_LEFT])]),
    place(
        Module::Docker,
        Group::Platform,
        &docker::RUNNING,
        &[
            ("container-cpu", &[&docker::EACH_CPU]),
            ("container-memory", &[&docker::EACH_MEM_MB]),
            ("containers", &[&docker::TOTAL, &docker::RUNNING]),
        ],
    ),
    place(
        Module::Watchdog,
        Group::Platform,
        &watchdog::OVERALL,
        &[
            (
                "watchdog",
                &[
                    &watchdog::OVERALL,
                    &watchdog::POSTFIX,
                    &watchdog::DOVECOT,
                    &watchdog::RSPAMD,
                    &watchdog::MYSQL,
                ],
            ),
            ("watchdog-more", &[&watchdog::NGINX, &watchdog::SOGO, &watchdog::REDIS, &watchdog::UNBOUND]),
        ],
    ),
    place(
        Module::Updates,
        Group::Platform,
        &updates::VERSION_CURRENT,
        &[("", &[&updates::UPDATES_COMMITS_BEHIND])],
    ),
    place(Module::Discovery, Group::Platform, &mailboxes::DOMAIN_TOTAL, &[]),
    place(
        Module::Collector,
        Group::Platform,
        &collector::LAST_RUN,
        &[("", &[&collector::DURATION]), ("", &[&collector::ERRORS])],
    ),
    place(
        Module::Agent,
        Group::Platform,
        &collector::AGENT_UPTIME,
        &[("agent", &[&collector::AGENT_LOG_ERRORS, &collector::AGENT_LOG_WARNINGS])],
    ),
    place(
        Module::Host,
        Group::Platform,
        &host::CPU,
        &[
            ("host-use", &[&host::CPU, &host::MEMORY, &host::SWAP]),
            ("load", &[&host::LOAD_1, &host::LOAD_5, &host::LOAD_15]),
            ("cores", &[&host::EACH_CORE]),
            ("disks", &[&host::EACH_DISK_USED]),
            ("network", &[&host::EACH_NET_IN, &host::EACH_NET_OUT]),
            ("temperatures", &[&host::EACH_TEMPERATURE]),
        ],
    ),
];

/// Trends: eight charts on one time axis.
pub static TRENDS: &[Plan] = &[
    (
        "mailflow",
        &[
            &mailflow::RECEIVED,
            &mailflow::DELIVERED,
            &mailflow::DEFERRED,
            &mailflow::BOUNCED,
            &mailflow::REJECTED,
        ],
    ),
    ("shares", &[&rspamd::SPAM_RATE, &mailflow::REJECT_RATE]),
    ("disk", &[&disk::ROOT_USED, &disk::DOCKER_USED, &disk::VMAIL_USED, &disk::LOG_USED]),
    ("", &[&postfix::QUEUE_DEFERRED]),
    ("", &[&mailboxes::MAILBOX_QUOTA_USED_TOTAL]),
    ("", &[&security::FAIL2BAN_BANNED]),
    ("host-use", &[&host::CPU, &host::MEMORY]),
    ("certificates", &[&tls::CERT_DAYS_443, &tls::CERT_DAYS_587, &tls::CERT_DAYS_993]),
];

/// What fills up, in percent: the rows of the capacity page.
pub static FILLING: &[&Metric] = &[
    &disk::ROOT_USED,
    &disk::DOCKER_USED,
    &disk::VMAIL_USED,
    &disk::LOG_USED,
    &host::EACH_DISK_USED,
    &postfix::QUEUE_DISK,
];

/// The place of a module.
pub fn place_of(module: Module) -> Option<&'static Place> {
    PLACES.iter().find(|place| place.module == module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_has_one_place_and_a_chart_one_unit() {
        for module in Module::ALL {
            assert_eq!(PLACES.iter().filter(|place| place.module == module).count(), 1, "{}", module.code());
        }
        for (title, metrics) in PLACES.iter().flat_map(|place| place.charts).chain(TRENDS) {
            let first = metrics.first().unwrap();
            assert!(
                metrics.iter().all(|metric| metric.unit == first.unit && metric.kind == first.kind),
                "{title}"
            );
            assert!(metrics.len() <= super::super::chart::LINES && (!title.is_empty() || metrics.len() == 1));
            assert!(metrics.iter().all(|metric| metric.kind.is_numeric()), "{title}");
        }
    }
}
