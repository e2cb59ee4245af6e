//! Builds what the probes over the network need. What cannot be built is told by the sources that need it.

use std::sync::Arc;

use super::http_settings;
use crate::{
    config::Config,
    metrics::sources::Probes,
    remote::{
        dns::{self, Dns},
        http::{self, Http},
        ports::Port,
        tls::Prober,
    },
};

/// The probes of the settings.
pub fn open(config: &Config) -> Probes {
    let wanted = &config.probes;
    let servers = dns::Settings { servers: config.names.servers.clone(), ..dns::Settings::default() };
    let dns = Dns::new(&servers).map(Arc::new);
    // The authorities of the settings have no say about what is public.
    let public = dns.clone().and_then(|dns| Http::by_names_of(dns, &http::Settings::default()));
    Probes {
        host: wanted.host.clone(),
        via: wanted.via.clone(),
        ports: wanted.ports.iter().map(|&(number, at)| Port { at, ..Port::usual(number) }).collect(),
        relay: wanted.relay,
        block_lists: wanted.block_lists.clone(),
        memcached: wanted.memcached.clone(),
        clamd: wanted.clamd.clone(),
        tls: wanted.host.as_ref().map(|_| Prober::new(config.mailcow.ca.as_deref())),
        releases: wanted.releases.clone(),
        dns,
        public,
        policy_port: 443,
        web: Http::new(&http_settings(config)).map(|http| (http, config.mailcow.base.clone())),
    }
}
