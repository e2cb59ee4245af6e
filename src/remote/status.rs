//! What Mailcow tells of its own state: containers, disks, queue, quarantine, jobs, bans, Rspamd's counters. Only the
//! fields that we use; what is absent or unreadable is `None`, never 0.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::{
    Cause, Error,
    mailcow::{Log, Mailcow, Route, Span},
};

/// A container of Mailcow.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Container {
    /// `running`, `exited`, `restarting`, `paused`, `created`.
    #[serde(default)]
    pub state: String,
    /// RFC 3339, UTC.
    #[serde(default)]
    pub started_at: String,
    /// With its tag.
    #[serde(default)]
    pub image: String,
}

/// The file system of the mail store, in human-readable decimal units.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Vmail {
    /// The device; empty when Mailcow could not tell.
    #[serde(default, deserialize_with = "word")]
    pub disk: Option<String>,
    /// `29G`.
    #[serde(default, deserialize_with = "word")]
    pub used: Option<String>,
    /// `271G`.
    #[serde(default, deserialize_with = "word")]
    pub total: Option<String>,
    /// `30%`.
    #[serde(default, deserialize_with = "word")]
    pub used_percent: Option<String>,
}

/// The host, as the docker API container sees it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Machine {
    /// Processor.
    #[serde(default)]
    pub cpu: Cpu,
    /// Memory.
    #[serde(default)]
    pub memory: Memory,
    /// Seconds since its start.
    #[serde(default, deserialize_with = "number")]
    pub uptime: Option<f64>,
}

/// Processor.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Cpu {
    /// Cores.
    #[serde(default, deserialize_with = "number")]
    pub cores: Option<f64>,
    /// Percent since the last call.
    #[serde(default, deserialize_with = "number")]
    pub usage: Option<f64>,
}

/// Memory.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Memory {
    /// Bytes.
    #[serde(default, deserialize_with = "number")]
    pub total: Option<f64>,
    /// Percent.
    #[serde(default, deserialize_with = "number")]
    pub usage: Option<f64>,
    /// Total, used, free, percent, in, out.
    #[serde(default)]
    pub swap: Vec<f64>,
}

/// A message in the queue.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct QueuedMail {
    /// `active`, `deferred`, `incoming`, `hold`, `maildrop`.
    #[serde(default)]
    pub queue_name: String,
    /// Unix seconds.
    #[serde(default, deserialize_with = "number")]
    pub arrival_time: Option<f64>,
}

/// Rspamd's counters.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RspamdStats {
    /// Version.
    #[serde(default, deserialize_with = "word")]
    pub version: Option<String>,
    /// Seconds since its start.
    #[serde(default, deserialize_with = "number")]
    pub uptime: Option<f64>,
    /// Messages scanned.
    #[serde(default, deserialize_with = "number")]
    pub scanned: Option<f64>,
    /// Messages learned.
    #[serde(default, deserialize_with = "number")]
    pub learned: Option<f64>,
    /// Messages by action.
    #[serde(default)]
    pub actions: BTreeMap<String, f64>,
    /// What the Bayes filter keeps.
    #[serde(default)]
    pub statfiles: Vec<Statfile>,
}

/// A part of the Bayes filter.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Statfile {
    /// `BAYES_HAM` or `BAYES_SPAM`.
    #[serde(default)]
    pub symbol: String,
    /// Messages learned.
    #[serde(default, deserialize_with = "number")]
    pub revision: Option<f64>,
}

/// What a mailbox takes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct MailboxUse {
    /// The address.
    pub username: String,
    /// Its domain.
    #[serde(default)]
    pub domain: String,
    /// 1 active, 0 off, 2 receives but nobody can log in.
    #[serde(default, deserialize_with = "number")]
    pub active: Option<f64>,
    /// Bytes, 0 for no limit.
    #[serde(default, deserialize_with = "number")]
    pub quota: Option<f64>,
    /// Bytes.
    #[serde(default, deserialize_with = "number")]
    pub quota_used: Option<f64>,
}

/// A DKIM key; of the two halves only the public one is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Dkim {
    /// Where it is published: `SELECTOR._domainkey.DOMAIN`.
    #[serde(rename = "dkim_selector")]
    pub selector: String,
    /// The record to publish.
    #[serde(rename = "dkim_txt")]
    pub record: String,
}

/// What a domain takes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DomainUse {
    /// The name.
    pub domain_name: String,
    /// 1 when in use.
    #[serde(default, deserialize_with = "number")]
    pub active: Option<f64>,
    /// Mailboxes.
    #[serde(default, deserialize_with = "number")]
    pub mboxes_in_domain: Option<f64>,
    /// Most mailboxes.
    #[serde(default, deserialize_with = "number")]
    pub max_num_mboxes_for_domain: Option<f64>,
    /// Most aliases.
    #[serde(default, deserialize_with = "number")]
    pub max_num_aliases_for_domain: Option<f64>,
    /// Bytes for all mailboxes together.
    #[serde(default, deserialize_with = "number")]
    pub max_quota_for_domain: Option<f64>,
    /// Bytes that one mailbox may have at most.
    #[serde(default, deserialize_with = "number")]
    pub max_quota_for_mbox: Option<f64>,
    /// Bytes of all mails.
    #[serde(default, deserialize_with = "number")]
    pub bytes_total: Option<f64>,
}

/// An alias, as far as it is counted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct AliasUse {
    /// The address.
    #[serde(default)]
    pub address: String,
    /// Where it leads to, separated by commas.
    #[serde(default)]
    pub goto: String,
    /// 1 when in use.
    #[serde(default, deserialize_with = "number")]
    pub active: Option<f64>,
    /// 1 when it can be reached only from inside.
    #[serde(default, deserialize_with = "number")]
    pub internal: Option<f64>,
}

/// An IMAP sync job.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SyncJob {
    /// Its number.
    pub id: i64,
    /// The mailbox here.
    #[serde(default)]
    pub user2: String,
    /// The host there.
    #[serde(default)]
    pub host1: String,
    /// 1 when enabled.
    #[serde(default, deserialize_with = "number")]
    pub active: Option<f64>,
    /// 1 while it runs.
    #[serde(default, deserialize_with = "number")]
    pub is_running: Option<f64>,
    /// End of the last run, server time without zone.
    #[serde(default, deserialize_with = "word")]
    pub last_run: Option<String>,
    /// 1 or 0; `None` while it runs and before the first run.
    #[serde(default, deserialize_with = "number")]
    pub success: Option<f64>,
    /// imapsync's word.
    #[serde(default, deserialize_with = "word")]
    pub exit_status: Option<String>,
}

/// A quarantined mail, as far as it is counted; one entry per final mailbox.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct QuarantineEntry {
    /// `reject`, `add header`, `rewrite subject`.
    #[serde(default)]
    pub action: String,
    /// The final mailbox.
    #[serde(default)]
    pub rcpt: String,
    /// Greater than 0 when a virus was found.
    #[serde(default, deserialize_with = "number")]
    pub virus_flag: Option<f64>,
    /// Unix seconds.
    #[serde(default, deserialize_with = "number")]
    pub created: Option<f64>,
}

/// A ban.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ban {
    /// An address or a network.
    #[serde(default)]
    pub network: String,
}

/// Mailcow's bans. The lists are absent when empty.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Bans {
    /// Bans that end.
    #[serde(default)]
    pub active_bans: Vec<Ban>,
    /// Bans that do not.
    #[serde(default)]
    pub perm_bans: Vec<Ban>,
    /// What is looked for in the logs, by number.
    #[serde(default)]
    pub regex: Option<serde_json::Value>,
}

/// A line of a log that Mailcow keeps in Redis. Health lines of the watchdog have a service and a level.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct LogRow {
    /// Unix seconds.
    #[serde(default, deserialize_with = "number")]
    pub time: Option<f64>,
    /// The text.
    #[serde(default)]
    pub message: String,
    /// `info`, `warning`, `err`, ...
    #[serde(default)]
    pub priority: String,
    /// The watchdog's name of a service.
    #[serde(default)]
    pub service: String,
    /// Percent.
    #[serde(default, deserialize_with = "number")]
    pub lvl: Option<f64>,
}

impl Mailcow {
    /// All containers by service. An error when Mailcow cannot see Docker.
    pub async fn containers(&self) -> Result<BTreeMap<String, Container>, Error> {
        self.object(Route::Containers).await
    }

    /// The mail store's file system.
    pub async fn vmail(&self) -> Result<Vmail, Error> {
        self.object(Route::Vmail).await
    }

    /// The host.
    pub async fn machine(&self) -> Result<Machine, Error> {
        self.object(Route::Host).await
    }

    /// The queue, at most 10,000 messages.
    pub async fn queue(&self) -> Result<Vec<QueuedMail>, Error> {
        self.list(Route::MailQueue).await
    }

    /// Rspamd's counters. An error while Rspamd does not answer Mailcow.
    pub async fn rspamd_stats(&self) -> Result<RspamdStats, Error> {
        self.object(Route::RspamdStats).await
    }

    /// All mailboxes with what they take.
    pub async fn mailbox_use(&self) -> Result<Vec<MailboxUse>, Error> {
        self.all_mailboxes().await
    }

    /// All domains with what they take.
    pub async fn domain_use(&self) -> Result<Vec<DomainUse>, Error> {
        self.list(Route::Domains).await
    }

    /// The DKIM key with which Mailcow signs for a domain; `None` when there is none.
    pub async fn dkim(&self, domain: &str) -> Result<Option<Dkim>, Error> {
        match self.object(Route::Dkim(domain)).await {
            Ok(key) => Ok(Some(key)),
            Err(Error { cause: Cause::Missing, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All aliases.
    pub async fn alias_use(&self) -> Result<Vec<AliasUse>, Error> {
        self.list(Route::Aliases).await
    }

    /// All sync jobs, without their output.
    pub async fn sync_jobs(&self) -> Result<Vec<SyncJob>, Error> {
        self.list(Route::SyncJobs).await
    }

    /// What lies in quarantine.
    pub async fn quarantine_entries(&self) -> Result<Vec<QuarantineEntry>, Error> {
        self.list(Route::Quarantine).await
    }

    /// The bans.
    pub async fn bans(&self) -> Result<Bans, Error> {
        self.object(Route::Fail2ban).await
    }

    /// The newest rows of a log, newest first.
    pub async fn log_rows(&self, log: Log, rows: u32) -> Result<Vec<LogRow>, Error> {
        self.list(Route::Logs(log, Span::newest(rows))).await
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Loose {
    Number(f64),
    Text(String),
    Flag(bool),
    Other(serde::de::IgnoredAny),
}

/// A number, also one written as text; `None` for everything else.
fn number<'de, D: Deserializer<'de>>(source: D) -> Result<Option<f64>, D::Error> {
    Ok(match Loose::deserialize(source)? {
        Loose::Number(number) => Some(number),
        Loose::Text(text) => text.trim().parse().ok(),
        Loose::Flag(flag) => Some(f64::from(u8::from(flag))),
        Loose::Other(_) => None,
    })
}

/// A text that is not empty.
fn word<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    Ok(match Loose::deserialize(source)? {
        Loose::Text(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Loose::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_is_none_and_not_zero() {
        let mailbox: MailboxUse =
            serde_json::from_str(r#"{"username":"a@x.test","quota":"5","quota_used":null}"#).unwrap();
        assert_eq!((mailbox.quota, mailbox.quota_used, mailbox.active), (Some(5.0), None, None));
        let vmail: Vmail =
            serde_json::from_str(r#"{"type":"info","disk":"","used":null,"total":null,"used_percent":null}"#)
                .unwrap();
        assert_eq!(vmail, Vmail::default());
        let job: SyncJob =
            serde_json::from_str(r#"{"id":3,"success":null,"is_running":1,"last_run":null}"#).unwrap();
        assert_eq!((job.success, job.is_running, job.last_run), (None, Some(1.0), None));
    }
}
