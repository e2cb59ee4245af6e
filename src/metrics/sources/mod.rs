//! Where samples come from: one file per source, each a call and a pure function from the reply to samples.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{
    collector::{Source, Tier},
    registry::Origin,
};
use crate::{
    model::{
        mail::ServerId,
        time::{Clock, Millis},
    },
    remote::mailcow::Mailcow,
    store::Db,
};

mod aliases;
mod block_lists;
mod certificates;
mod clamd;
mod containers;
mod dns_health;
mod domains;
mod dovecot_log;
mod host_file;
mod mail_queue;
mod mailboxes;
mod memcached;
mod netfilter;
mod portal;
mod ports;
mod postfix_log;
mod probes;
mod quarantine;
mod relay;
mod releases;
mod rspamd;
mod status;
mod sync_jobs;
mod watchdog;
mod window;

/// What the sources reach.
pub struct Reach {
    /// The database, with the stored log.
    pub db: Db,
    /// Mailcow's API.
    pub mailcow: Arc<Mailcow>,
    /// Whose samples these are.
    pub server: ServerId,
    /// The present moment.
    pub clock: Clock,
    /// Where the host collector writes.
    pub collector_file: Option<PathBuf>,
    /// Whether it may post instead.
    pub collector_posts: bool,
    /// Mailcow's containers that are off on purpose.
    pub containers_off: Vec<String>,
    /// What the probes over the network need.
    pub probes: Probes,
    /// Mailcow's host name.
    pub hostname: String,
    /// The zone of the settings.
    pub time_zone: String,
    /// When this program was started.
    pub started: Millis,
    /// What sources remember between two runs.
    pub memory: Memory,
}

/// What sources remember between two runs; nothing is lost with it but the time to fill it again.
#[derive(Default)]
pub struct Memory {
    dovecot: tokio::sync::Mutex<dovecot_log::Memory>,
    postfix: tokio::sync::Mutex<postfix_log::Memory>,
}

pub use probes::Probes;

const HALF_MINUTE: Duration = Duration::from_secs(30);

/// Hundreds of domains have some thousand records, of name servers all over the world.
const TEN_MINUTES: Duration = Duration::from_secs(600);

macro_rules! source {
    ($name:literal, $tier:ident, [$($origin:ident),+], $module:ident::$collect:ident) => {
        source!($name, $tier, [$($origin),+], $module::$collect, HALF_MINUTE)
    };
    ($name:literal, $tier:ident, [$($origin:ident),+], $module:ident::$collect:ident, $timeout:expr) => {
        Source {
            name: $name,
            origins: &[$(Origin::$origin),+],
            tier: Tier::$tier,
            timeout: $timeout,
            collect: $module::$collect,
        }
    };
}

/// All sources, quick ones first.
pub static SOURCES: &[Source<Reach>] = &[
    source!("containers", Minute, [Containers], containers::collect),
    source!("mail-queue", Minute, [MailQueue], mail_queue::collect),
    source!("rspamd", Minute, [RspamdStats], rspamd::collect),
    source!("vmail", Minute, [Vmail], status::collect_vmail),
    source!("machine", Minute, [Machine], status::collect_machine),
    source!("watchdog", Minute, [Watchdog], watchdog::collect),
    source!("netfilter", Minute, [Netfilter], netfilter::collect),
    source!("dovecot-log", Minute, [DovecotLog], dovecot_log::collect),
    source!("postfix-log", Minute, [PostfixLog], postfix_log::collect),
    source!("sync-jobs", Minute, [SyncJobs], sync_jobs::collect),
    source!("quarantine", Minute, [Quarantine], quarantine::collect),
    source!("host", Minute, [Docker, HostFiles, Host], host_file::collect),
    source!("ports", Minute, [Ports], ports::collect),
    source!("memcached", Minute, [Memcached], memcached::collect),
    source!("portal", Minute, [Portal], portal::collect),
    source!("mailboxes", FiveMinutes, [Mailboxes], mailboxes::collect),
    source!("domains", FiveMinutes, [Domains], domains::collect),
    source!("aliases", FiveMinutes, [Aliases], aliases::collect),
    source!("clamd", FiveMinutes, [Clamd], clamd::collect),
    source!("certificates", Hour, [Certificates], certificates::collect),
    source!("relay", Hour, [Relay], relay::collect, Duration::from_secs(60)),
    source!("block-lists", Hour, [BlockLists], block_lists::collect, TEN_MINUTES),
    source!("dns", Hour, [Dns], dns_health::collect, TEN_MINUTES),
    source!("releases", Hour, [Releases], releases::collect),
    source!("version", Hour, [Version], status::collect_version),
];

#[cfg(test)]
mod tests;
