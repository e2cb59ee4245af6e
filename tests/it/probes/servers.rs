//! Servers that follow a script, with certificates of our own authority.

use std::sync::Arc;

use mailcow_status::model::time::Millis;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData, date_time_ymd,
};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

/// What a server says first, and what it answers to what: beginnings of lines that must come in this order.
#[derive(Clone, Copy)]
pub struct Script {
    pub greeting: &'static str,
    pub steps: &'static [(&'static str, &'static str)],
}

/// A chain with its key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pub public_key: Vec<u8>,
}

pub struct Authority {
    pub pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority of the tests");
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { pem, der, issuer: Issuer::new(params, key) }
    }

    /// A certificate for a name, from and until so many days from now.
    pub fn certify(&self, name: &str, (from, until): (i64, i64)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let day = |days: i64| {
            let day = Millis(Millis::now().0 + days * 86_400_000).in_zone(&jiff::tz::TimeZone::UTC).date();
            date_time_ymd(day.year().into(), day.month() as u8, day.day() as u8)
        };
        (params.not_before, params.not_after) = (day(from), day(until));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        identity(vec![certificate.der().clone(), self.der.clone()], &key)
    }
}

pub fn self_signed(name: &str) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    identity(vec![certificate.der().clone()], &key)
}

fn identity(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Identity {
    let public_key = key.subject_public_key_info();
    Identity { chain, key: PrivateKeyDer::Pkcs8(key.serialize_der().into()), public_key }
}

/// A server that follows a script and then hears the rest; returns its port and the rests.
pub async fn serve(
    greeting: &'static str,
    steps: &'static [(&'static str, &'static str)],
) -> (u16, mpsc::UnboundedReceiver<String>) {
    start(Script { greeting, steps }, None).await
}

/// The same, which then encrypts; the rest is what comes encrypted.
pub async fn serve_tls(script: &Script, identity: Identity) -> (u16, mpsc::UnboundedReceiver<String>) {
    start(*script, Some(acceptor(identity))).await
}

pub fn acceptor(identity: Identity) -> TlsAcceptor {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn start(script: Script, acceptor: Option<TlsAcceptor>) -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, tell) = (acceptor.clone(), tell.clone());
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                stream.write_all(script.greeting.as_bytes()).await.unwrap();
                for (wanted, answer) in script.steps {
                    let mut line = String::new();
                    stream.read_line(&mut line).await.unwrap();
                    assert!(line.starts_with(wanted), "{line:?} instead of {wanted:?}");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
                let rest = match acceptor {
                    None => rest(stream).await,
                    Some(acceptor) => match acceptor.accept(stream.into_inner()).await {
                        Ok(stream) => rest(stream).await,
                        Err(_) => return,
                    },
                };
                let _ = tell.send(rest);
            });
        }
    });
    (port, heard)
}

async fn rest(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    String::from_utf8(rest).unwrap()
}
