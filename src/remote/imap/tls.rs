//! Connecting: TLS, STARTTLS, or plain to this very machine; certificates are always verified.

use std::{io, sync::Arc};

use rustls_platform_verifier::Verifier;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use super::{
    Account, Cause, Limits, Security,
    answer::{self, Answer, State},
    said,
    wire::{Stream, Wire},
};

/// The tag of STARTTLS, which is asked before the session has tags of its own.
const TAG: &str = "S1";

/// A line on which the server has greeted and which is encrypted as the account wishes.
pub async fn connect(account: &Account, limits: &Limits) -> Result<Wire, Cause> {
    let target = (account.host.as_str(), account.port);
    let stream = timeout(limits.connect, TcpStream::connect(target)).await.map_err(|_| Cause::Timeout)?;
    let stream = stream.map_err(|error| Cause::Connect(error.to_string()))?;
    // Commands are small and wait for their answers.
    let _ = stream.set_nodelay(true);
    match account.security {
        Security::Tls => {
            let mut wire = Wire::new(encrypted(Box::new(stream), account, limits).await?, limits);
            greeting(&mut wire).await?;
            Ok(wire)
        }
        Security::StartTls => {
            let mut wire = Wire::new(Box::new(stream), limits);
            // Who is welcomed as somebody already cannot encrypt any more (RFC 9051 section 11.3).
            if greeting(&mut wire).await?.word != "OK" {
                return Err(Cause::Tls("the server does not let the encryption begin".to_owned()));
            }
            start_tls(&mut wire).await?;
            Ok(Wire::new(encrypted(wire.into_stream()?, account, limits).await?, limits))
        }
        Security::Plain => {
            let peer = stream.peer_addr().map_err(|error| Cause::Connect(error.to_string()))?;
            if !peer.ip().is_loopback() {
                return Err(Cause::Tls("a password goes unencrypted to this very machine only".to_owned()));
            }
            let mut wire = Wire::new(Box::new(stream), limits);
            greeting(&mut wire).await?;
            Ok(wire)
        }
    }
}

async fn greeting(wire: &mut Wire) -> Result<State, Cause> {
    let raw = wire.answer().await?;
    let line = String::from_utf8_lossy(&raw.line).into_owned();
    match answer::read(raw) {
        Answer::State(state) if state.word == "OK" || state.word == "PREAUTH" => Ok(state),
        Answer::State(state) => Err(Cause::Answer(said(&state))),
        _ => Err(Cause::Garbled(super::shown(&line).chars().take(60).collect())),
    }
}

async fn start_tls(wire: &mut Wire) -> Result<(), Cause> {
    wire.send(format!("{TAG} STARTTLS\r\n").as_bytes()).await?;
    loop {
        match answer::read(wire.answer().await?) {
            Answer::Done(tag, state) if tag == TAG && state.word == "OK" => return Ok(()),
            Answer::Done(tag, state) if tag == TAG => {
                return Err(Cause::Tls(format!("the server does not encrypt: {}", said(&state))));
            }
            _ => {}
        }
    }
}

async fn encrypted(
    stream: Box<dyn Stream>,
    account: &Account,
    limits: &Limits,
) -> Result<Box<dyn Stream>, Cause> {
    let failed = |error: String| Cause::Tls(error);
    let config = client_config(account.roots_pem.as_deref())?;
    let name = ServerName::try_from(account.host.clone()).map_err(|error| failed(error.to_string()))?;
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = timeout(limits.connect, handshake).await.map_err(|_| Cause::Timeout)?;
    Ok(Box::new(stream.map_err(|error| failed(reason(&error)))?))
}

/// The system's roots and those of the settings. What is called dangerous here is to bring a verifier of one's own; this
/// one is that of the platform, as the HTTP client has it.
fn client_config(roots_pem: Option<&str>) -> Result<ClientConfig, Cause> {
    let failed = |error: &dyn std::error::Error| Cause::Tls(error.to_string());
    let roots: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(roots_pem.unwrap_or_default().as_bytes()).collect();
    let roots = roots.map_err(|error| failed(&error))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        Verifier::new_with_extra_roots(roots, Arc::clone(&provider)).map_err(|error| failed(&error))?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

fn reason(error: &io::Error) -> String {
    super::shown(&error.get_ref().map_or_else(|| error.to_string(), ToString::to_string))
}
