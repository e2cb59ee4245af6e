//! Certificates for simulated servers: an authority that nobody trusts but those who are told of it.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData, date_time_ymd,
};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio_rustls::TlsAcceptor;

use crate::model::time::Millis;

const DAY: i64 = 86_400_000;

/// A certificate could not be made.
pub type Error = rcgen::Error;

/// A chain with its key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// The public key (DER), for which a TLSA record can stand.
    pub public_key: Vec<u8>,
}

/// Who vouches for certificates.
pub struct Authority {
    /// Its own certificate (PEM), for those who shall trust it.
    pub pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    now: Millis,
}

impl Authority {
    /// An authority of this name, whose days are counted from `now`.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(name: &str, now: Millis) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key)?;
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Ok(Self { pem, der, issuer: Issuer::new(params, key), now })
    }

    /// A certificate for a name, from and until so many days from now.
    ///
    /// # Errors
    /// When no key can be made, or the name is none.
    pub fn certify(&self, name: &str, (from, until): (i64, i64)) -> Result<Identity, Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        let day = |days: i64| {
            let day = Millis(self.now.0 + days * DAY).in_zone(&jiff::tz::TimeZone::UTC).date();
            date_time_ymd(day.year().into(), day.month().unsigned_abs(), day.day().unsigned_abs())
        };
        (params.not_before, params.not_after) = (day(from), day(until));
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(identity(vec![certificate.der().clone(), self.der.clone()], &key))
    }
}

/// A certificate that vouches for itself.
///
/// # Errors
/// When no key can be made, or the name is none.
pub fn self_signed(name: &str) -> Result<Identity, Error> {
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![name.to_owned()])?.self_signed(&key)?;
    Ok(identity(vec![certificate.der().clone()], &key))
}

fn identity(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Identity {
    let public_key = key.subject_public_key_info();
    Identity { chain, key: PrivateKeyDer::Pkcs8(key.serialize_der().into()), public_key }
}

impl Identity {
    /// What encrypts for a server with this identity.
    ///
    /// # Errors
    /// When key and chain do not belong together.
    pub fn acceptor(self) -> Result<TlsAcceptor, rustls::Error> {
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain, self.key)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
