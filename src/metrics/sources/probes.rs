//! What the probes over the network share.

use std::{net::IpAddr, sync::Arc};

use url::Url;

use crate::{
    metrics::collector::Trouble,
    remote::{
        self,
        dns::Dns,
        http::Http,
        ports::{Peer, Port},
        tls::Prober,
    },
};

/// What the probes over the network need. What could not be built says why.
pub struct Probes {
    /// The mail host; `None`: nothing is looked at.
    pub host: Option<String>,
    /// Where to connect to instead of its address.
    pub via: Option<String>,
    /// Its ports that are looked at.
    pub ports: Vec<Port>,
    /// Whether it is asked to relay.
    pub relay: bool,
    /// DNS block lists that are asked.
    pub block_lists: Vec<String>,
    /// Memcached: host and port.
    pub memcached: Option<(String, u16)>,
    /// The ClamAV daemon: host and port.
    pub clamd: Option<(String, u16)>,
    /// Looks at certificates; `None` without a host.
    pub tls: Option<Result<Prober, remote::Error>>,
    /// Asks name servers.
    pub dns: Result<Arc<Dns>, remote::Error>,
    /// Where Mailcow's releases are told.
    pub releases: Option<Url>,
    /// Asks for what is public: policy files of MTA-STS, releases.
    pub public: Result<Http, remote::Error>,
    /// Where policy files are served: 443.
    pub policy_port: u16,
    /// Asks for the web interface at its address.
    pub web: Result<(Http, Url), remote::Error>,
}

impl Probes {
    /// The mail host.
    pub(super) fn host(&self) -> Result<&str, Trouble> {
        let how = "Set MAIL_HOST to the host name of the mail server.";
        self.host.as_deref().ok_or_else(|| Trouble::NotGranted(how.to_owned()))
    }

    /// The mail host, and how it is reached.
    pub(super) fn peer(&self) -> Result<Peer<'_>, Trouble> {
        let name = self.host()?;
        Ok(Peer { name, via: self.via.as_deref().unwrap_or(name) })
    }

    /// What looks at certificates.
    pub(super) fn prober(&self) -> Result<&Prober, Trouble> {
        self.host()?;
        match &self.tls {
            Some(Ok(prober)) => Ok(prober),
            Some(Err(error)) => Err(error.clone().into()),
            None => Err(Trouble::Failed("nothing looks at certificates".to_owned())),
        }
    }

    /// What asks name servers.
    pub(super) fn dns(&self) -> Result<&Dns, Trouble> {
        self.dns.as_deref().map_err(|error| error.clone().into())
    }

    /// The addresses at which the Internet meets the mail host.
    pub(super) async fn public_addresses(&self) -> Result<Vec<IpAddr>, Trouble> {
        let host = self.host()?;
        let all = match host.parse() {
            Ok(ip) => vec![ip],
            Err(_) => self.dns()?.addresses(host).await?,
        };
        let public: Vec<IpAddr> = all.iter().copied().filter(|ip| is_public(*ip)).collect();
        match (all.is_empty(), public.is_empty()) {
            (true, _) => Err(Trouble::Failed(format!("the name servers know no address of {host}"))),
            (_, true) => Err(Trouble::Failed(format!(
                "the name servers know private addresses of {host} only: let DNS_RESOLVER name one that sees it as the \
                 Internet does"
            ))),
            _ => Ok(public),
        }
    }
}

/// Whether the Internet routes to an address.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let shared = first == 100 && second & 0xc0 == 64;
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || shared)
        }
        IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local())
        }
    }
}
