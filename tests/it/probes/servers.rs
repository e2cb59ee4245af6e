//! Servers that follow a script, with certificates of our own authority.

use mailcow_status::{
    demo::authority::{Authority, Identity},
    model::time::Millis,
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

/// Who vouches for the certificates of a test.
pub fn authority() -> Authority {
    Authority::new("Authority of the tests", Millis::now()).unwrap()
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
    start(*script, Some(identity.acceptor().unwrap())).await
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
