//! The certificates that servers show. A fault of a certificate is not an error here, but what was looked for: the
//! verifier writes it down and lets the handshake go on. Nothing secret is ever said on such a connection.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls_platform_verifier::Verifier;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, SignatureScheme,
        client::{
            danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
            verify_server_name,
        },
        crypto::{CryptoProvider, aws_lc_rs},
        pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
        server::ParsedCertificate,
    },
};

pub use self::certificate::{Certificate, matches};
use super::{
    Cause, Error,
    dialogue::Dialogue,
    http::shown,
    ports::{Encryption, Peer, Port, bare, connect},
};

mod certificate;

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// It is for other names.
    WrongName,
    /// It vouches for itself.
    SelfSigned,
    /// No authority that we know vouches for it; perhaps one between is missing.
    Untrusted,
    /// Something else, in the words of the verifier.
    Other(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "expired",
            Self::NotYetValid => "not yet valid",
            Self::WrongName => "for another name",
            Self::SelfSigned => "self-signed",
            Self::Untrusted => "from an unknown authority, or one between is missing",
            Self::Other(text) => text,
        })
    }
}

/// What a server showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Its certificate.
    pub certificate: Certificate,
    /// The whole chain as sent (DER), its own first.
    pub chain: Vec<Vec<u8>>,
    /// What is wrong with it; nothing: it can be trusted.
    pub faults: Vec<Fault>,
    /// `TLSv1.3`.
    pub version: String,
}

impl Served {
    /// The owners of the chain, the server's own certificate first; a question mark for what is no certificate.
    pub fn owners(&self) -> Vec<String> {
        let owner = |der: &Vec<u8>| Certificate::parse(der).map_or_else(|| "?".to_owned(), |it| it.subject);
        self.chain.iter().map(owner).collect()
    }

    /// The data of the TLSA record that stands for its key (RFC 6698: usage 3, selector 1, matching 1).
    pub fn tlsa(&self) -> Option<String> {
        self.chain.first().and_then(|der| certificate::tlsa(der))
    }
}

/// Looks at certificates. It holds the authorities, which are read once.
pub struct Prober {
    provider: Arc<CryptoProvider>,
    verifier: Arc<Verifier>,
}

impl Prober {
    /// The system's authorities and those of the settings (PEM).
    ///
    /// # Errors
    /// When there are none, or the settings' cannot be read.
    pub fn new(roots_pem: Option<&str>) -> Result<Self, Error> {
        let failed =
            |text: String| Error { target: "certificate authorities".to_owned(), cause: Cause::Tls(text) };
        let roots: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(roots_pem.unwrap_or_default().as_bytes()).collect();
        let roots = roots.map_err(|error| failed(error.to_string()))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider));
        let verifier = Arc::new(verifier.map_err(|error| failed(error.to_string()))?);
        Ok(Self { provider, verifier })
    }

    /// What the server at a port shows to somebody who asks for a host by its name.
    ///
    /// # Errors
    /// When there is no connection or no encryption.
    pub async fn look(
        &self,
        peer: impl Into<Peer<'_>>,
        port: Port,
        patience: Duration,
    ) -> Result<Served, Error> {
        let Peer { name, via } = peer.into();
        let failed = |cause| Error { target: format!("port {} of {name}", port.number), cause };
        let stream = connect(via, port.at, patience).await.map_err(|error| failed(error.cause))?;
        let looked = timeout(patience, self.shake(stream, name, port)).await;
        looked.map_err(|_| failed(Cause::Timeout))?.map_err(failed)
    }

    async fn shake(&self, stream: TcpStream, host: &str, port: Port) -> Result<Served, Cause> {
        let own = stream.local_addr().map_err(|error| Cause::Broken(error.to_string()))?.ip();
        let literal = if own.is_ipv6() { format!("[IPv6:{own}]") } else { format!("[{own}]") };
        let stream = match port.encryption {
            Encryption::Implicit => stream,
            Encryption::StartTls => {
                let mut dialogue = Dialogue::new(stream);
                port.speech.greeting(&mut dialogue).await?;
                port.speech.start_tls(&mut dialogue, &literal).await?;
                dialogue.into_stream()?
            }
        };
        let name =
            ServerName::try_from(bare(host).to_owned()).map_err(|error| Cause::Tls(error.to_string()))?;
        let notes = Arc::new(Recorder { verifier: Arc::clone(&self.verifier), seen: Mutex::default() });
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Cause::Tls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&notes) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let stream = stream.map_err(|error| Cause::Tls(reason(&error)))?;
        let version = stream.get_ref().1.protocol_version().and_then(|version| version.as_str());
        let version = version.unwrap_or("TLS").replace('_', ".");
        leave(stream, port).await;
        let (chain, faults) = notes.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let certificate = chain.first().and_then(|der| Certificate::parse(der));
        let certificate = certificate.ok_or_else(|| Cause::Tls("an unreadable certificate".to_owned()))?;
        Ok(Served { certificate, chain, faults, version })
    }
}

/// Says goodbye in the words of the protocol.
async fn leave(stream: TlsStream<TcpStream>, port: Port) {
    let mut dialogue = Dialogue::new(stream);
    // Who speaks before the greeting looks like a spammer.
    if port.encryption == Encryption::Implicit && port.speech.greeting(&mut dialogue).await.is_err() {
        return;
    }
    dialogue.end(port.speech.farewell()).await;
}

/// Writes down what the real verifier says, and lets the handshake go on.
#[derive(Debug)]
struct Recorder {
    verifier: Arc<Verifier>,
    seen: Mutex<(Vec<Vec<u8>>, Vec<Fault>)>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let verdict =
            self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let mut faults: Vec<Fault> =
            verdict.err().map(|error| fault(&error, end_entity)).into_iter().collect();
        // The verifier stops at the first fault, and looks at the name last.
        let named =
            ParsedCertificate::try_from(end_entity).and_then(|it| verify_server_name(&it, server_name));
        if named.is_err() && !faults.contains(&Fault::WrongName) {
            faults.push(Fault::WrongName);
        }
        let chain = [end_entity].into_iter().chain(intermediates).map(|der| der.to_vec()).collect();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = (chain, faults);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn fault(error: &TlsError, end_entity: &CertificateDer<'_>) -> Fault {
    let TlsError::InvalidCertificate(error) = error else { return Fault::Other(shown(&error.to_string())) };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Fault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Fault::NotYetValid,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Fault::WrongName
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            let own = Certificate::parse(end_entity).is_some_and(|it| it.is_self_issued);
            if own { Fault::SelfSigned } else { Fault::Untrusted }
        }
        other => Fault::Other(shown(&other.to_string())),
    }
}

fn reason(error: &std::io::Error) -> String {
    shown(&error.get_ref().map_or_else(|| error.to_string(), ToString::to_string))
}
