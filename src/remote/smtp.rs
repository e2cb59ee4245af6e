//! Whether a mail server would pass on a stranger's mail. The question is taken back before any mail could be sent: no
//! DATA is ever said.

use std::{net::IpAddr, time::Duration};

use tokio::{net::TcpStream, time::timeout};

use super::{Cause, Error, dialogue::Dialogue, ports::connect};

/// A recipient that no server but those of the reserved domain (RFC 2606) could be responsible for.
const STRANGER: &str = "relay-test@example.net";

/// What the server said to a recipient that is not its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relaying {
    /// Its reply code to RCPT, or to what it refused before.
    pub code: u16,
    /// Its words.
    pub text: String,
    /// Our own address, as the server saw it unless something between changed it.
    pub from: IpAddr,
    /// The server's address.
    pub to: IpAddr,
}

/// Asks the server at a port to take a mail for a stranger, and takes the question back.
///
/// # Errors
/// When the server cannot be reached, or does not speak SMTP.
pub async fn relaying(host: &str, port: u16, patience: Duration) -> Result<Relaying, Error> {
    let failed = |cause| Error { target: format!("port {port} of {host}"), cause };
    let stream = connect(host, port, patience).await?;
    timeout(patience, ask(stream)).await.map_err(|_| failed(Cause::Timeout))?.map_err(failed)
}

async fn ask(stream: TcpStream) -> Result<Relaying, Cause> {
    let address = |address: std::io::Result<std::net::SocketAddr>| {
        address.map(|it| it.ip().to_canonical()).map_err(|error| Cause::Broken(error.to_string()))
    };
    let (from, to) = (address(stream.local_addr())?, address(stream.peer_addr())?);
    let literal = if from.is_ipv6() { format!("[IPv6:{from}]") } else { format!("[{from}]") };
    let mut dialogue = Dialogue::new(stream);
    let (mut code, mut text) = dialogue.smtp().await?;
    let steps = [format!("EHLO {literal}"), "MAIL FROM:<>".to_owned(), format!("RCPT TO:<{STRANGER}>")];
    for step in steps {
        if !(200..300).contains(&code) {
            // A refusal before the question says nothing of relaying.
            dialogue.end("QUIT\r\n").await;
            return Err(Cause::Answer(format!("{code} {text}")));
        }
        dialogue.send(&format!("{step}\r\n")).await?;
        (code, text) = dialogue.smtp().await?;
    }
    dialogue.send("RSET\r\n").await?;
    // Whatever it says to that, nothing was sent.
    let _ = dialogue.smtp().await;
    dialogue.end("QUIT\r\n").await;
    Ok(Relaying { code, text, from, to })
}
