//! The kinds of record that mail needs.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use hickory_resolver::proto::rr::{Name, RData, RecordType};

use super::{Cause, Dns, Error, hostname};

/// A TLSA record (RFC 6698).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tlsa {
    /// Which certificate: 2 an authority, 3 the server's own; 0 and 1 mean nothing to mail servers.
    pub usage: u8,
    /// Which part of it: 0 all, 1 its public key.
    pub selector: u8,
    /// How it is written: 0 in full, 1 SHA-256, 2 SHA-512.
    pub matching: u8,
    /// The part itself or its digest.
    pub data: Vec<u8>,
}

impl fmt::Display for Tlsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data: String = self.data.iter().map(|byte| format!("{byte:02x}")).collect();
        write!(f, "{} {} {} {data}", self.usage, self.selector, self.matching)
    }
}

impl Dns {
    /// The texts of a name (TXT), each put together from its pieces; empty when there are none.
    ///
    /// # Errors
    /// When a name server could not be asked, or failed.
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, Error> {
        let records = self.ask(full(name)?, RecordType::TXT).await?;
        let texts = records.iter().filter_map(|data| match data {
            RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
            _ => None,
        });
        Ok(texts.collect())
    }

    /// The addresses of a name (A and AAAA); empty when there are none.
    ///
    /// # Errors
    /// When a name server could not be asked, or failed.
    pub async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Error> {
        let name = full(name)?;
        let (four, six) = (self.ask(name.clone(), RecordType::A), self.ask(name, RecordType::AAAA));
        let (four, six) = tokio::try_join!(four, six)?;
        let addresses = four.iter().chain(&six).filter_map(|data| match data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        });
        Ok(addresses.collect())
    }

    /// The IPv4 addresses of a name, which block lists answer with; empty when there are none.
    ///
    /// # Errors
    /// When a name server could not be asked, or failed.
    pub async fn answers(&self, name: &str) -> Result<Vec<Ipv4Addr>, Error> {
        let records = self.ask(full(name)?, RecordType::A).await?;
        let answers = records.iter().filter_map(|data| match data {
            RData::A(address) => Some(address.0),
            _ => None,
        });
        Ok(answers.collect())
    }

    /// The mail servers of a domain (MX), most preferred first, in lower case; the one name `.` says that it takes no mail
    /// (RFC 7505). Empty when there are none.
    ///
    /// # Errors
    /// When a name server could not be asked, or failed.
    pub async fn exchanges(&self, domain: &str) -> Result<Vec<String>, Error> {
        let records = self.ask(full(domain)?, RecordType::MX).await?;
        let exchanges = records.iter().filter_map(|data| match data {
            RData::MX(mx) if mx.exchange.is_root() => Some((mx.preference, ".".to_owned())),
            RData::MX(mx) => Some((mx.preference, hostname(&mx.exchange.to_ascii())?)),
            _ => None,
        });
        let mut exchanges: Vec<(u16, String)> = exchanges.collect();
        exchanges.sort();
        exchanges.dedup();
        Ok(exchanges.into_iter().map(|(_, name)| name).collect())
    }

    /// The TLSA records of a host's port 25; empty when there are none.
    ///
    /// # Errors
    /// When a name server could not be asked, or failed.
    pub async fn tlsa(&self, host: &str) -> Result<Vec<Tlsa>, Error> {
        let records = self.ask(full(&format!("_25._tcp.{host}"))?, RecordType::TLSA).await?;
        let records = records.into_iter().filter_map(|data| match data {
            RData::TLSA(tlsa) => Some(Tlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data,
            }),
            _ => None,
        });
        Ok(records.collect())
    }
}

fn full(name: &str) -> Result<Name, Error> {
    let bad = |_| Error { target: "DNS".to_owned(), cause: Cause::BadName };
    let mut name = Name::from_ascii(name).map_err(bad)?;
    // Else the search domains of this machine would be tried, too.
    name.set_fqdn(true);
    Ok(name)
}
