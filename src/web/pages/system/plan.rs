//! The places of the modules: their groups in the order that people learn, the value on each tile, and the charts of
//! each page.

use crate::metrics::{
    health::Value,
    modules::{
        backup, clamav, collector, disk, docker, dovecot, host, mailboxes, mailflow, memcached, postfix,
        quarantine, rspamd, security, sync_jobs, tls, updates, watchdog,
    },
    registry::{Metric, Module, Origin},
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
pub type Plan<'a> = (&'static str, &'a [&'static Metric]);

/// A module's place.
pub struct Place {
    /// Which.
    pub module: Module,
    /// Where.
    pub group: Group,
    /// The one value that matters.
    pub main: &'static Metric,
    /// The charts of its page.
    pub charts: &'static [Plan<'static>],
}

/// A chart of each `[…]`; one with several metrics has the word of its title before it.
macro_rules! charts {
    ($($($title:literal)? [$($metric:path),+ $(,)?])*) => {
        &[$((concat!("", $($title)?), &[$(&$metric),+])),*]
    };
}

macro_rules! places {
    ($($group:ident { $($module:ident by $main:path => $($($title:literal)? [$($metric:path),+ $(,)?])*;)+ })+) => {
        &[$($(Place {
            module: Module::$module,
            group: Group::$group,
            main: &$main,
            charts: charts![$($($title)? [$($metric),+])*],
        }),+),+]
    };
}

/// All modules, in the order of the tiles: the value on the tile, and the charts of the page.
pub static PLACES: &[Place] = places! {
    Mail {
        Postfix by postfix::PFMAILQ =>
            [postfix::CONNECTIONS]
            [postfix::PFMAILQ];
        PostfixLogs by postfix::LOG_ERRORS =>
            "postfix-lines" [postfix::LOG_ERRORS, postfix::LOG_WARNINGS]
            "postfix-refusals" [
                postfix::LOG_RBL_REJECT, postfix::LOG_RELAY_DENIED, postfix::LOG_SASL_AUTH_FAILED,
                postfix::LOG_SPAM_REJECTED, postfix::LOG_USER_UNKNOWN
            ];
        Postscreen by postfix::POSTSCREEN_PASS_NEW =>
            "postscreen-in" [
                postfix::POSTSCREEN_CONNECT, postfix::POSTSCREEN_PASS_NEW, postfix::POSTSCREEN_PASS_OLD
            ]
            "postscreen-out" [
                postfix::POSTSCREEN_REJECT, postfix::POSTSCREEN_DNSBL, postfix::POSTSCREEN_PREGREET,
                postfix::POSTSCREEN_HANGUP
            ];
        Mailflow by mailflow::RECEIVED =>
            "mailflow" [
                mailflow::RECEIVED, mailflow::DELIVERED, mailflow::DEFERRED, mailflow::BOUNCED,
                mailflow::REJECTED
            ]
            [host::DELIVERY_TIME]
            [mailflow::REJECT_RATE];
        Queues by postfix::QUEUE_DEFERRED =>
            [postfix::QUEUE_DEFERRED]
            "queues" [postfix::QUEUE_ACTIVE, postfix::QUEUE_HOLD]
            [postfix::QUEUE_AGE_OLDEST_HOURS];
        Dovecot by dovecot::CONNECTIONS =>
            [dovecot::CONNECTIONS]
            "dovecot" [dovecot::IMAP_LOGIN_FAILED, dovecot::POP3_LOGIN_FAILED, dovecot::IMAP_ERRORS];
        SyncJobs by sync_jobs::FAILED =>
            "sync-jobs" [sync_jobs::ACTIVE, sync_jobs::FAILED, sync_jobs::STUCK]
            [sync_jobs::OLDEST_RUN];
        Memcached by memcached::HIT_RATE =>
            [memcached::HIT_RATE]
            "memcached" [memcached::HITS, memcached::MISSES, memcached::EVICTIONS]
            [memcached::BYTES];
    }
    Protection {
        Rspamd by rspamd::SPAM_RATE =>
            [rspamd::SPAM_RATE]
            "rspamd" [
                rspamd::HAM, rspamd::REJECT_TOTAL, rspamd::ADD_HEADER, rspamd::GREYLIST, rspamd::SOFT_REJECT
            ];
        Bayes by rspamd::BAYES_TOTAL_LEARNED =>
            "bayes" [rspamd::BAYES_HAM_LEARNED, rspamd::BAYES_SPAM_LEARNED]
            [rspamd::BAYES_RATIO];
        Clamav by clamav::DAILY_AGE =>
            [clamav::DAILY_AGE]
            [clamav::SIGNATURES];
        Quarantine by quarantine::TOTAL =>
            "quarantine" [quarantine::TOTAL, quarantine::SPAM, quarantine::VIRUS]
            [quarantine::AGE_OLDEST_HOURS];
        Security by security::FAIL2BAN_BANNED =>
            "bans" [
                security::FAIL2BAN_BANNED, security::FAIL2BAN_POSTFIX, security::FAIL2BAN_DOVECOT,
                security::FAIL2BAN_SOGO
            ]
            [security::RBL_LISTED];
        Audit by security::AUDIT_SCORE => [security::AUDIT_SCORE];
    }
    Data {
        Disk by disk::VMAIL_USED =>
            "disk" [disk::ROOT_USED, disk::DOCKER_USED, disk::VMAIL_USED, disk::LOG_USED]
            [disk::VMAIL_MAILDIR_SIZE];
        Mailboxes by mailboxes::MAILBOX_ACTIVE =>
            [mailboxes::MAILBOX_QUOTA_USED_TOTAL]
            "mailboxes" [mailboxes::EACH_MAILBOX_USAGE_PCT];
        Aliases by mailboxes::ALIAS_TOTAL =>
            "aliases" [mailboxes::ALIAS_TOTAL, mailboxes::ALIAS_ACTIVE, mailboxes::ALIAS_FORWARDING];
        Backup by backup::AGE =>
            [backup::AGE]
            [backup::SIZE]
            [backup::DISK_FREE];
    }
    Platform {
        Tls by tls::CERT_DAYS_443 =>
            "certificates" [tls::CERT_DAYS_443, tls::CERT_DAYS_587, tls::CERT_DAYS_993]
            "ports" [tls::HTTPS_CHECK, tls::IMAPS_CHECK, tls::SUBMISSION_CHECK, tls::UI_CHECK];
        Acme by tls::CERT_DAYS_LEFT => [tls::CERT_DAYS_LEFT];
        Docker by docker::RUNNING =>
            "container-cpu" [docker::EACH_CPU]
            "container-memory" [docker::EACH_MEM_MB]
            "containers" [docker::TOTAL, docker::RUNNING];
        Watchdog by watchdog::OVERALL =>
            "watchdog" [
                watchdog::OVERALL, watchdog::POSTFIX, watchdog::DOVECOT, watchdog::RSPAMD, watchdog::MYSQL
            ]
            "watchdog-more" [watchdog::NGINX, watchdog::SOGO, watchdog::REDIS, watchdog::UNBOUND];
        Updates by updates::VERSION_CURRENT => [updates::UPDATES_COMMITS_BEHIND];
        Discovery by mailboxes::DOMAIN_TOTAL =>;
        Collector by collector::LAST_RUN =>
            [collector::DURATION]
            [collector::ERRORS];
        Agent by collector::AGENT_UPTIME =>
            "agent" [collector::AGENT_LOG_ERRORS, collector::AGENT_LOG_WARNINGS];
        Host by host::CPU =>
            "host-use" [host::CPU, host::MEMORY, host::SWAP]
            "load" [host::LOAD_1, host::LOAD_5, host::LOAD_15]
            "cores" [host::EACH_CORE]
            "disks" [host::EACH_DISK_USED]
            "network" [host::EACH_NET_IN, host::EACH_NET_OUT]
            "temperatures" [host::EACH_TEMPERATURE];
    }
};

/// Trends: eight charts on one time axis.
pub static TRENDS: &[Plan<'static>] = charts! [
    "mailflow" [
        mailflow::RECEIVED, mailflow::DELIVERED, mailflow::DEFERRED, mailflow::BOUNCED, mailflow::REJECTED
    ]
    "shares" [rspamd::SPAM_RATE, mailflow::REJECT_RATE]
    "disk" [disk::ROOT_USED, disk::DOCKER_USED, disk::VMAIL_USED, disk::LOG_USED]
    [postfix::QUEUE_DEFERRED]
    [mailboxes::MAILBOX_QUOTA_USED_TOTAL]
    [security::FAIL2BAN_BANNED]
    "host-use" [host::CPU, host::MEMORY]
    "certificates" [tls::CERT_DAYS_443, tls::CERT_DAYS_587, tls::CERT_DAYS_993]
];

/// When one series says what another says better.
#[derive(Debug, Clone, Copy)]
enum Twin {
    /// When both have the same number, but for what it changed between two looks.
    Number,
    /// When it is of the same thing.
    Thing,
    /// Whenever the other one is in trouble: that is its cause.
    Cause,
}

/// Metrics that say again what the second one says better, of each by its name: such trouble is told once.
static TWINS: &[(&Metric, &Metric, Twin)] = &[
    (&tls::HTTPS_CHECK, &tls::EACH_PORT_OPEN, Twin::Number),
    (&tls::IMAPS_CHECK, &tls::EACH_PORT_OPEN, Twin::Number),
    (&tls::SUBMISSION_CHECK, &tls::EACH_PORT_OPEN, Twin::Number),
    (&tls::CERT_DAYS_443, &tls::EACH_CERT_DAYS, Twin::Number),
    (&tls::CERT_DAYS_587, &tls::EACH_CERT_DAYS, Twin::Number),
    (&tls::CERT_DAYS_993, &tls::EACH_CERT_DAYS, Twin::Number),
    (&tls::CERT_DAYS_LEFT, &tls::EACH_CERT_DAYS, Twin::Number),
    (&tls::EACH_CERT_TRUSTED, &tls::EACH_CERT_DAYS, Twin::Thing),
    (&security::AUDIT_SCORE, &security::EACH_SCORE, Twin::Cause),
    (&security::EACH_SCORE, &security::EACH_CHECK, Twin::Thing),
    (&security::DNS_SPF_EXISTS, &security::EACH_CHECK, Twin::Cause),
    (&security::DNS_DKIM_EXISTS, &security::EACH_CHECK, Twin::Cause),
    (&security::DNS_DMARC_EXISTS, &security::EACH_CHECK, Twin::Cause),
    (&security::RBL_LISTED, &security::EACH_LISTED, Twin::Cause),
    (&sync_jobs::FAILED, &sync_jobs::EACH_SYNCJOB_SUCCESS, Twin::Cause),
    (&mailboxes::MAILBOX_OVER_QUOTA, &mailboxes::EACH_MAILBOX_USAGE_PCT, Twin::Cause),
    (&disk::ROOT_USED, &host::EACH_DISK_USED, Twin::Number),
    (&disk::DOCKER_USED, &host::EACH_DISK_USED, Twin::Number),
];

/// Whether one of the others says better what this value says.
pub fn is_told_better<'a, 'b: 'a>(
    value: &Value<'_>,
    mut others: impl Iterator<Item = &'a Value<'b>>,
) -> bool {
    let says = |other: &Value<'_>| {
        TWINS.iter().any(|(twin, each, how)| {
            let same = match how {
                Twin::Number => {
                    other.number().zip(value.number()).is_some_and(|(other, own)| (other - own).abs() < 1.0)
                }
                Twin::Thing => value.latest.zip(other.latest).is_some_and(|(value, other)| {
                    value.labels.iter().all(|(name, thing)| other.labels.value(name) == Some(thing))
                }),
                Twin::Cause => true,
            };
            twin.key == value.metric.key && each.key == other.metric.key && same
        })
    };
    others.any(says)
}

/// The page on which a metric is explained best, by its address below `/system/`.
pub fn page_of(metric: &Metric) -> &'static str {
    match metric.origin {
        Origin::Ports if metric.key != tls::UI_CHECK.key => "ports",
        Origin::Certificates => "certificates",
        Origin::Dns if metric.labels.starts_with(security::EACH_SCORE.labels) => "dns",
        _ => metric.module.code(),
    }
}

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
