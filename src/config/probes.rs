//! What is looked at over the network.

use url::Url;

use super::{reader::Reader, settings as s};

/// What is looked at over the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSettings {
    /// The mail host; `None`: nothing is looked at.
    pub host: Option<String>,
    /// Where to connect to instead of its address.
    pub via: Option<String>,
    /// Its ports by what is usual there, each with the one where that is reached.
    pub ports: Vec<(u16, u16)>,
    /// Whether it is asked to relay.
    pub relay: bool,
    /// Where Mailcow's releases are told.
    pub releases: Option<Url>,
    /// DNS block lists that are asked.
    pub block_lists: Vec<String>,
    /// Memcached.
    pub memcached: Option<(String, u16)>,
    /// The ClamAV daemon.
    pub clamd: Option<(String, u16)>,
}

impl ProbeSettings {
    pub(super) fn take(reader: &mut Reader, mailcow: Option<&Url>) -> Option<Self> {
        let host = reader.take(&s::MAIL_HOST);
        // Plain http leads to this very machine: a trial, or a proxy that says nothing of the mail host's name.
        let own = mailcow.filter(|base| base.scheme() == "https").and_then(Url::host_str);
        let via = reader.take(&s::MAIL_CONNECT);
        let ports = reader.take(&s::PROBE_PORTS);
        let relay = reader.take(&s::PROBE_RELAY);
        let block_lists = reader.take(&s::BLOCK_LISTS).unwrap_or_default();
        let releases = reader.take(&s::RELEASES);
        let memcached = reader.take(&s::MEMCACHED);
        let clamd = reader.take(&s::CLAMD);
        let host = host.or_else(|| own.map(str::to_owned));
        Some(Self { host, via, ports: ports?, relay: relay?, releases, block_lists, memcached, clamd })
    }
}
