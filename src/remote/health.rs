//! Asks a running portal on this machine whether it lives: plain HTTP to one address, without names, proxies or TLS.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Cause, Error};

/// How long the whole question may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// More than the answer ever is.
const MOST_BYTES: u64 = 8192;

/// The words of the portal at `path`, when its status is 200. `listen` is where it listens; an unspecified address
/// stands for this machine.
pub async fn ask(listen: SocketAddr, path: &str) -> Result<String, Error> {
    let host = if listen.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listen.ip() };
    let address = SocketAddr::new(host, listen.port());
    let failed = |cause| Error { target: format!("the portal on {address}"), cause };
    let answer = match timeout(PATIENCE, exchange(address, path)).await {
        Err(_) => return Err(failed(Cause::Timeout)),
        Ok(Err(error)) => return Err(failed(Cause::Connect(error.to_string()))),
        Ok(Ok(answer)) => answer,
    };
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let text = body.trim().to_owned();
    if status == 200 { Ok(text) } else { Err(failed(Cause::Status { status, text })) }
}

async fn exchange(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn answering(words: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /status/healthz HTTP/1.0\r\n"));
            stream.write_all(words.as_bytes()).await.unwrap();
        });
        address
    }

    #[tokio::test]
    async fn only_a_good_answer_is_good() {
        let well = answering("HTTP/1.1 200 OK\r\nx: y\r\n\r\nok").await;
        assert_eq!(ask(well, "/status/healthz").await.unwrap(), "ok");
        let anywhere = SocketAddr::new(
            Ipv4Addr::UNSPECIFIED.into(),
            answering("HTTP/1.0 200 OK\r\n\r\nok").await.port(),
        );
        assert_eq!(ask(anywhere, "/status/healthz").await.unwrap(), "ok");
        let ill = answering("HTTP/1.1 503 Service Unavailable\r\n\r\nthe database does not answer").await;
        let error = ask(ill, "/status/healthz").await.unwrap_err().to_string();
        assert!(error.contains("the database does not answer"), "{error}");
        assert!(ask(answering("nonsense").await, "/status/healthz").await.is_err());
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(ask(gone, "/status/healthz").await.is_err());
    }
}
