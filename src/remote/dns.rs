//! Questions to the name servers: of this machine, or those of the settings. What does not exist is `None`; an
//! answer that could not be had is an error, and must never be taken for "does not exist".

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, NoRecords, runtime::TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, RecordType},
    },
};
use tokio::{sync::Semaphore, time::timeout};

pub use self::records::Tlsa;
use super::{Cause, Error};

mod records;

/// Questions under way at the same time; more wait for their turn.
const AT_ONCE: usize = 8;
/// Names of one address that are confirmed at most: an address of a crowded host can have thousands.
const POINTERS: usize = 4;
/// Answers that are remembered for as long as their owners allow; each costs memory.
const REMEMBERED: u64 = 512;

/// Whom to ask, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Name servers; none: those of this machine's `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// How long to wait for an answer, repeats included.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { servers: Vec::new(), patience: Duration::from_secs(5) }
    }
}

/// A client of the name servers.
pub struct Dns {
    resolver: TokioResolver,
    patience: Duration,
    turns: Semaphore,
}

impl Dns {
    /// Builds the client; nothing is asked yet.
    ///
    /// # Errors
    /// When this machine's own name servers are wanted, and its list of them cannot be read.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let unusable = |error: NetError| Error { target: "DNS".to_owned(), cause: cause_of(&error) };
        let mut builder = if settings.servers.is_empty() {
            TokioResolver::builder_tokio().map_err(unusable)?
        } else {
            let servers = settings.servers.iter().map(|&server| name_server(server)).collect();
            let config = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        limit(builder.options_mut(), settings.patience);
        let resolver = builder.build().map_err(unusable)?;
        Ok(Self { resolver, patience: settings.patience, turns: Semaphore::new(AT_ONCE) })
    }

    /// The host name of an address by reverse DNS, if that name leads back to the address. Whoever holds an address
    /// can call it `google.com`; only the holder of the name can confirm it.
    ///
    /// # Errors
    /// When a name server could not be asked, or failed.
    pub async fn name_of(&self, ip: IpAddr) -> Result<Option<String>, Error> {
        let ip = ip.to_canonical();
        let mut unanswered = None;
        for name in self.pointers(ip).await?.into_iter().take(POINTERS) {
            match self.leads_to(&name, ip).await {
                Ok(true) => return Ok(Some(name)),
                Ok(false) => {}
                Err(error) => unanswered = Some(error),
            }
        }
        unanswered.map_or(Ok(None), Err)
    }

    /// The names that an address claims (PTR records), as far as they are host names, in lower case.
    ///
    /// # Errors
    /// When a name server could not be asked, or failed.
    pub async fn pointers(&self, ip: IpAddr) -> Result<Vec<String>, Error> {
        let records = self.ask(ip.into(), RecordType::PTR).await?;
        let names = records.iter().filter_map(|data| match data {
            RData::PTR(name) => hostname(&name.to_ascii()),
            _ => None,
        });
        Ok(names.collect())
    }

    /// Whether a name has this address (A or AAAA record).
    ///
    /// # Errors
    /// When a name server could not be asked, or failed.
    pub async fn leads_to(&self, name: &str, ip: IpAddr) -> Result<bool, Error> {
        let Ok(mut fqdn) = Name::from_ascii(name) else { return Ok(false) };
        // Else the search domains of this machine would be tried, too.
        fqdn.set_fqdn(true);
        let kind = if ip.is_ipv4() { RecordType::A } else { RecordType::AAAA };
        let records = self.ask(fqdn, kind).await?;
        Ok(records.iter().any(|data| match data {
            RData::A(address) => IpAddr::V4(address.0) == ip,
            RData::AAAA(address) => IpAddr::V6(address.0) == ip,
            _ => false,
        }))
    }

    /// The records of one kind that a name has, aliases followed; empty when there are none.
    async fn ask(&self, name: Name, kind: RecordType) -> Result<Vec<RData>, Error> {
        let target = format!("DNS {kind} {name}");
        let Ok(_turn) = self.turns.acquire().await else {
            return Err(Error { target, cause: Cause::Timeout });
        };
        match timeout(self.patience, self.resolver.lookup(name, kind)).await {
            Ok(Ok(lookup)) => Ok(lookup.answers().iter().map(|record| record.data.clone()).collect()),
            Ok(Err(error)) if does_not_exist(&error) => Ok(Vec::new()),
            Ok(Err(error)) => Err(Error { target, cause: cause_of(&error) }),
            Err(_) => Err(Error { target, cause: Cause::Timeout }),
        }
    }
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let mut config = NameServerConfig::udp_and_tcp(server.ip());
    for connection in &mut config.connections {
        connection.port = server.port();
    }
    config
}

fn limit(options: &mut ResolverOpts, patience: Duration) {
    // One repeat fits into the patience: a datagram may get lost.
    options.timeout = patience / 2;
    options.attempts = 2;
    options.cache_size = REMEMBERED;
    // Names that only this machine knows confirm nothing.
    options.use_hosts_file = ResolveHosts::Never;
}

/// A name server said so. A referral to other servers says nothing of the name.
fn does_not_exist(error: &NetError) -> bool {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, ns, soa, .. })) => {
            match *response_code {
                ResponseCode::NXDomain => true,
                ResponseCode::NoError => soa.is_some() || ns.as_ref().is_none_or(|ns| ns.is_empty()),
                _ => false,
            }
        }
        _ => false,
    }
}

fn cause_of(error: &NetError) -> Cause {
    match error {
        NetError::Timeout => Cause::Timeout,
        NetError::Io(error) => Cause::Connect(error.to_string()),
        NetError::NoConnections => Cause::Connect("no name server".to_owned()),
        NetError::Dns(
            DnsError::ResponseCode(code) | DnsError::NoRecordsFound(NoRecords { response_code: code, .. }),
        ) => Cause::Dns(code.to_str().to_owned()),
        other => Cause::Broken(other.to_string().chars().take(200).collect()),
    }
}

/// A text as host name in lower case: letters, digits and hyphens between dots (RFC 1123 section 2.1), at least two
/// parts; else `None`. Name servers hand out any bytes, and names end up on pages and in exports.
pub fn hostname(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let sound = |label: &str| {
        matches!(label.len(), 1..=63)
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let top_is_a_word =
        name.rsplit('.').next().is_some_and(|top| top.bytes().any(|b| b.is_ascii_alphabetic()));
    let fits = name.len() <= 253 && name.contains('.') && top_is_a_word && name.split('.').all(sound);
    fits.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::hostname;

    #[test]
    fn only_host_names_count_as_names() {
        for (text, name) in [
            ("Mail.Example.ORG.", "mail.example.org"),
            ("a-1.b", "a-1.b"),
            ("198-51-100-7.dyn.xn--bcher-kva.example.", "198-51-100-7.dyn.xn--bcher-kva.example"),
        ] {
            assert_eq!(hostname(text).as_deref(), Some(name));
        }
        let (label, long) = ("a".repeat(64), ["a23456789"; 26].join("."));
        for text in [
            "",
            ".",
            "localhost.",
            "a..b",
            ".a.b",
            "-a.b",
            "a-.b",
            "a_b.example",
            "a b.example",
            "<script>alert(1)</script>.example",
            "\"><img.example",
            "bücher.example",
            "=cmd|x.example",
            "a\\046b.example",
            "a.example\r\nx",
            "192.0.2.1",
            &format!("{label}.example"),
            &format!("{long}.example"),
        ] {
            assert_eq!(hostname(text), None, "{text:?}");
        }
    }
}
