//! One HTTP client for all peers: time-outs, size limits, no cookies, no redirects.

use std::{error::Error as _, net::SocketAddr, sync::Arc, time::Duration};

use reqwest::{
    Certificate, Client, Request, RequestBuilder, Response,
    dns::{Addrs, Name, Resolve, Resolving},
    header, redirect,
};

use super::{Cause, Error, dns::Dns};

/// How long to wait for a connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How the client behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Limit for one request with its answer.
    pub timeout: Duration,
    /// Further root certificates, PEM, for an internal authority.
    pub roots_pem: Option<String>,
    /// Another way to one host.
    pub detour: Option<Detour>,
}

/// Connects to another place than the name says, while the name stays in requests and must stand in the certificate:
/// from one container to another, without going out and in again by the public address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detour {
    /// The host that requests name.
    pub host: String,
    /// The host to connect to.
    pub via: String,
    /// Its port; a port in the requests' address goes first.
    pub port: u16,
}

impl Resolve for Detour {
    fn resolve(&self, name: Name) -> Resolving {
        let (host, port) = match name.as_str().eq_ignore_ascii_case(&self.host) {
            true => (self.via.clone(), self.port),
            // Port 0 leaves it to the scheme.
            false => (name.as_str().to_owned(), 0),
        };
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), roots_pem: None, detour: None }
    }
}

/// The client. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
}

/// Finds hosts by name servers of our choice.
struct Names(Arc<Dns>);

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let dns = Arc::clone(&self.0);
        Box::pin(async move {
            let found = dns.addresses(name.as_str()).await?;
            // The port is that of the address.
            Ok(Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

/// A complete answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, unpacked.
    pub body: Vec<u8>,
}

impl Http {
    /// Builds the client. Fails on a certificate that cannot be read.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        Self::build(settings, None)
    }

    /// Builds a client that finds hosts by these name servers. Fails on a certificate that cannot be read.
    pub fn by_names_of(dns: Arc<Dns>, settings: &Settings) -> Result<Self, Error> {
        Self::build(settings, Some(dns))
    }

    fn build(settings: &Settings, dns: Option<Arc<Dns>>) -> Result<Self, Error> {
        let mut builder = Client::builder()
            .user_agent(concat!("mailcow-status/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
            .timeout(settings.timeout)
            // A redirect could carry the key to another host. Nothing that we ask redirects when all is well.
            .redirect(redirect::Policy::none())
            .referer(false)
            // Mailcow is near; a proxy named in the environment has no business with its key.
            .no_proxy();
        if let Some(pem) = &settings.roots_pem {
            let roots = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| setup(&error))?;
            builder = builder.tls_certs_merge(roots);
        }
        if let Some(detour) = &settings.detour {
            builder = builder.dns_resolver(detour.clone());
        }
        if let Some(dns) = dns {
            builder = builder.dns_resolver(Arc::new(Names(dns)));
        }
        Ok(Self { client: builder.build().map_err(|error| setup(&error))? })
    }

    /// Begins a request; see [`Http::send`].
    pub fn request(&self, method: reqwest::Method, url: reqwest::Url) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// Asks for a page, at most `limit` bytes of it. `target` names the peer in errors.
    pub async fn fetch(&self, url: reqwest::Url, limit: usize, target: &str) -> Result<Answer, Error> {
        let request = self.request(reqwest::Method::GET, url).build();
        let request =
            request.map_err(|error| Error { target: target.to_owned(), cause: cause_of(&error) })?;
        self.send(request, limit, target).await
    }

    /// Sends a request and reads the answer, at most `limit` bytes of it. `target` names the peer in errors.
    pub async fn send(&self, request: Request, limit: usize, target: &str) -> Result<Answer, Error> {
        let mut incoming = self.begin(request, limit, target).await?;
        let mut body = Vec::new();
        while incoming.piece(&mut |piece| body.extend_from_slice(piece)).await? {}
        Ok(Answer { status: incoming.status(), body })
    }

    /// Sends a request and gives status, `Date` and the begin of the body, whatever they are: also of a redirect.
    pub(super) async fn peek(
        &self,
        request: Request,
        limit: usize,
        target: &str,
    ) -> Result<(u16, Option<String>, Vec<u8>), Error> {
        let failed = |cause| Error { target: target.to_owned(), cause };
        let mut response = self.client.execute(request).await.map_err(|error| failed(cause_of(&error)))?;
        let date =
            response.headers().get(header::DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| failed(cause_of(&error)))? {
            let room = limit.saturating_sub(body.len());
            body.extend_from_slice(piece.get(..room).unwrap_or(&piece));
            if body.len() >= limit {
                break;
            }
        }
        Ok((response.status().as_u16(), date, body))
    }

    /// Sends a request and hands the body on in pieces as they come, when the answer is usable (see
    /// [`Answer::usable`]), so that a large answer need not be held.
    pub async fn stream(
        &self,
        request: Request,
        limit: usize,
        target: &str,
        take: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<(), Error> {
        let mut incoming = self.begin(request, limit, target).await?;
        let mut begin = Vec::new();
        // What kind of answer this is shows at its first visible byte.
        while incoming.piece(&mut |piece| begin.extend_from_slice(piece)).await? {
            if incoming.status() == 200 && !begin.trim_ascii_start().is_empty() {
                break;
            }
        }
        take(&Answer { status: incoming.status(), body: begin }.usable(target)?);
        while incoming.piece(take).await? {}
        Ok(())
    }

    async fn begin<'a>(
        &self,
        request: Request,
        limit: usize,
        target: &'a str,
    ) -> Result<Incoming<'a>, Error> {
        let failed = |cause| Error { target: target.to_owned(), cause };
        let response = self.client.execute(request).await.map_err(|error| failed(cause_of(&error)))?;
        if response.status().is_redirection() {
            let place = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            return Err(failed(Cause::Redirect(shown(place.unwrap_or_default()))));
        }
        Ok(Incoming { response, limit, left: limit, target })
    }
}

/// An answer that is coming in.
struct Incoming<'a> {
    response: Response,
    limit: usize,
    /// How many bytes may still come.
    left: usize,
    target: &'a str,
}

impl Incoming<'_> {
    fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Hands on the next piece of the body; false at its end.
    async fn piece(&mut self, take: &mut (dyn FnMut(&[u8]) + Send)) -> Result<bool, Error> {
        let failed = |cause| Error { target: self.target.to_owned(), cause };
        let piece = self.response.chunk().await.map_err(|error| failed(cause_of(&error)))?;
        let Some(piece) = piece else { return Ok(false) };
        self.left = self.left.checked_sub(piece.len()).ok_or_else(|| failed(Cause::TooLarge(self.limit)))?;
        take(&piece);
        Ok(true)
    }
}

impl Answer {
    /// The body as one short line of plain text: tags and control characters removed.
    pub fn text(&self) -> String {
        #[derive(serde::Deserialize)]
        struct Message {
            #[serde(alias = "message")]
            msg: String,
        }
        if let Ok(message) = serde_json::from_slice::<Message>(&self.body) {
            return shown(&message.msg);
        }
        let mut in_tag = false;
        let text: String = String::from_utf8_lossy(self.body.get(..4096).unwrap_or(&self.body))
            .chars()
            .filter(|&c| {
                let inside = in_tag || c == '<';
                in_tag = (inside && c != '>') || c == '<';
                !inside
            })
            .collect();
        shown(&text)
    }

    /// The body, when the status is 200 and there is one; every other status and an empty body is an error.
    pub fn usable(self, target: &str) -> Result<Vec<u8>, Error> {
        let cause = match self.status {
            200 if self.body.iter().all(u8::is_ascii_whitespace) => Cause::NotAuthenticated,
            200 if self.body.trim_ascii_start().starts_with(b"<") => Cause::Html,
            200 => return Ok(self.body),
            status @ (401 | 403) => Cause::Refused { status, text: self.text() },
            status => Cause::Status { status, text: self.text() },
        };
        Err(Error { target: target.to_owned(), cause })
    }
}

/// A peer's words as we show them: one line, at most 200 characters, blanks folded.
pub(super) fn shown(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(200).collect()
}

fn setup(error: &reqwest::Error) -> Error {
    Error { target: "HTTP client".to_owned(), cause: Cause::Tls(innermost(error)) }
}

fn cause_of(error: &reqwest::Error) -> Cause {
    let reason = innermost(error);
    if error.is_timeout() {
        Cause::Timeout
    } else if reason.contains("certificate") || reason.contains("tls") || reason.contains("TLS") {
        Cause::Tls(reason)
    } else if error.is_connect() {
        Cause::Connect(reason)
    } else {
        Cause::Broken(reason)
    }
}

/// The last error of the chain says most; those above it repeat the address, which may hold secrets.
fn innermost(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(source) = last.source() {
        last = source;
    }
    if error.source().is_none() { "request failed".to_owned() } else { shown(&last.to_string()) }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn a_detour_leads_elsewhere_under_the_same_name() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 2048];
            let read = stream.read(&mut head).await.unwrap();
            let host = String::from_utf8_lossy(&head[..read])
                .to_lowercase()
                .contains("host: mail.example.invalid\r\n");
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n{host:5}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let detour = Detour { host: "Mail.example.invalid".to_owned(), via: "127.0.0.1".to_owned(), port };
        let http = Http::new(&Settings { detour: Some(detour), ..Settings::default() }).unwrap();
        let url = "http://mail.example.invalid/x".parse().unwrap();
        let request = http.request(reqwest::Method::GET, url).build().unwrap();
        let answer = http.send(request, 100, "Mailcow").await.unwrap();
        assert_eq!(answer.body, b"true ");
    }
}
