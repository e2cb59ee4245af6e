//! What a certificate says of itself (RFC 5280).

use sha2::{Digest, Sha256, Sha512};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer, x509::X509Name};

use super::super::{dns::Tlsa, http::shown};

/// More names than these are not kept.
const NAMES: usize = 100;

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Common name of its owner; the first DNS name where there is none.
    pub subject: String,
    /// Common name of who vouches for it, or the whole name where there is none.
    pub issuer: String,
    /// DNS names that it is for.
    pub names: Vec<String>,
    /// Serial number in hexadecimal digits.
    pub serial: String,
    /// Begin of its time, Unix seconds.
    pub from: i64,
    /// End of its time, Unix seconds.
    pub until: i64,
    /// Whether owner and issuer have the same name.
    pub is_self_issued: bool,
}

impl Certificate {
    /// Reads DER; `None` when it is no certificate.
    pub fn parse(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let names = names.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(shown(name)),
            _ => None,
        });
        let names: Vec<String> = names.take(NAMES).collect();
        let subject = common_name(certificate.subject()).or_else(|| names.first().cloned());
        let issuer = common_name(certificate.issuer());
        Some(Self {
            subject: subject.unwrap_or_else(|| shown(&certificate.subject().to_string())),
            issuer: issuer.unwrap_or_else(|| shown(&certificate.issuer().to_string())),
            names,
            serial: certificate.raw_serial().iter().map(|byte| format!("{byte:02X}")).collect(),
            from: certificate.validity().not_before.timestamp(),
            until: certificate.validity().not_after.timestamp(),
            is_self_issued: certificate.subject() == certificate.issuer(),
        })
    }
}

fn common_name(name: &X509Name<'_>) -> Option<String> {
    let first = name.iter_common_name().next()?;
    Some(shown(first.as_str().ok()?)).filter(|name| !name.is_empty())
}

/// The data of a TLSA record `3 1 1` for a certificate.
pub(super) fn tlsa(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let digest = Sha256::digest(certificate.public_key().raw);
    Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether a TLSA record stands for a certificate of the chain (RFC 7672 section 3.1: mail knows the usages 2, an authority
/// of the chain, and 3, the server's own certificate, only).
pub fn matches(record: &Tlsa, chain: &[Vec<u8>]) -> bool {
    let meant = match record.usage {
        2 => chain,
        3 => chain.get(..1).unwrap_or_default(),
        _ => return false,
    };
    meant.iter().any(|der| {
        let selected = match record.selector {
            0 => Some(der.clone()),
            1 => X509Certificate::from_der(der).ok().map(|(_, it)| it.public_key().raw.to_vec()),
            _ => None,
        };
        selected.is_some_and(|bytes| match record.matching {
            0 => bytes == record.data,
            1 => Sha256::digest(&bytes)[..] == record.data[..],
            2 => Sha512::digest(&bytes)[..] == record.data[..],
            _ => false,
        })
    })
}
