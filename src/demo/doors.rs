//! The doors of the simulated mail host: real servers on this machine that greet, encrypt and refuse to relay, so that the
//! probes have something to look at. Some things are wrong: one port is closed, and Dovecot still shows an old certificate.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{authority::Authority, dns::NameServer};
use crate::{
    model::time::Millis,
    remote::{
        dialogue::Speech,
        ports::{Encryption, Port},
    },
};

/// The name of the simulated mail host.
pub const HOST: &str = "mail.alpha.test";
/// A block list, on which it does not stand.
pub const BLOCK_LIST: &str = "bl.example";
/// Who does not go on is left.
const PATIENCE: Duration = Duration::from_secs(20);
/// No line is longer.
const LONGEST: u64 = 4096;
/// The port at which nobody listens.
pub const CLOSED: u16 = 110;

/// Certificates by their age: from and until so many days from now, and the ports that show them.
pub(super) const CERTIFICATES: [((i64, i64), &[u16]); 3] =
    [((-29, 61), &[25, 443, 465, 587]), ((-81, 9), &[143, 993, 995]), ((-93, -3), &[4190])];

/// Where the doors are.
#[derive(Debug, Clone)]
pub struct Doors {
    /// The authority (PEM) that vouches for their certificates.
    pub authority: String,
    /// Each usual port with the one that was free.
    pub ports: Vec<(u16, u16)>,
    /// Where policy files of MTA-STS are served.
    pub policies: u16,
    /// Mailcow's releases.
    pub releases: u16,
    /// Memcached.
    pub memcached: u16,
    /// The ClamAV daemon.
    pub clamd: u16,
    /// The digest of the key at port 25, for a TLSA record.
    pub key: Vec<u8>,
}

/// What is spoken behind a door.
#[derive(Debug, Clone, Copy)]
enum Talk {
    Mail(Speech),
    Web,
    Releases,
    Memcached,
    Clamd,
}

/// What follows an answer.
enum Next {
    Listen,
    Encrypt,
    Leave,
}

impl Doors {
    /// Opens them on this address, until `stop`.
    ///
    /// # Errors
    /// When there is no free port, or no certificate can be made.
    pub async fn open(ip: IpAddr, now: Millis, stop: &CancellationToken) -> io::Result<Self> {
        let authority = Authority::new("Demo Authority", now).map_err(io::Error::other)?;
        let (mut ports, mut key) = (Vec::new(), Vec::new());
        for (days, numbers) in CERTIFICATES {
            let identity = authority.certify(HOST, days).map_err(io::Error::other)?;
            if numbers.contains(&25) {
                key = Sha256::digest(&identity.public_key).to_vec();
            }
            let acceptor = identity.acceptor().map_err(io::Error::other)?;
            for &number in numbers {
                let port = Port::usual(number);
                let talk = if number == 443 { Talk::Web } else { Talk::Mail(port.speech) };
                ports
                    .push((number, listen(ip, talk, Some((acceptor.clone(), port.encryption)), stop).await?));
            }
        }
        ports.push((CLOSED, nobody(ip, stop)?));
        ports.sort_unstable();
        let policies = authority.certify("mta-sts.alpha.test", (-29, 61)).map_err(io::Error::other)?;
        let policies = policies.acceptor().map_err(io::Error::other)?;
        Ok(Self {
            authority: authority.pem,
            ports,
            policies: listen(ip, Talk::Web, Some((policies, Encryption::Implicit)), stop).await?,
            releases: listen(ip, Talk::Releases, None, stop).await?,
            memcached: listen(ip, Talk::Memcached, None, stop).await?,
            clamd: listen(ip, Talk::Clamd, None, stop).await?,
            key,
        })
    }

    /// The ports as the setting `PROBE_PORTS` has them.
    pub fn setting(&self) -> String {
        let ports: Vec<String> = self.ports.iter().map(|(usual, at)| format!("{usual}@{at}")).collect();
        ports.join(",")
    }
}

/// A port that is taken, but where nobody listens.
fn nobody(ip: IpAddr, stop: &CancellationToken) -> io::Result<u16> {
    let socket = if ip.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(ip, 0))?;
    let (port, stop) = (socket.local_addr()?.port(), stop.clone());
    tokio::spawn(async move {
        stop.cancelled().await;
        drop(socket);
    });
    Ok(port)
}

type Lock = Option<(TlsAcceptor, Encryption)>;

async fn listen(ip: IpAddr, talk: Talk, lock: Lock, stop: &CancellationToken) -> io::Result<u16> {
    let listener = TcpListener::bind(SocketAddr::new(ip, 0)).await?;
    let port = listener.local_addr()?.port();
    let stop = stop.clone();
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else { continue };
            // What goes wrong with one visitor is no reason to stop.
            tokio::spawn(timeout(PATIENCE, receive(stream, talk, lock.clone())));
        }
    });
    Ok(port)
}

async fn receive(stream: TcpStream, talk: Talk, lock: Lock) -> io::Result<()> {
    match lock {
        Some((acceptor, Encryption::Implicit)) => {
            let mut stream = BufReader::new(acceptor.accept(stream).await?);
            stream.write_all(greeting(talk).as_bytes()).await?;
            converse(&mut stream, talk).await?;
            stream.shutdown().await
        }
        Some((acceptor, Encryption::StartTls)) => {
            let mut stream = BufReader::new(stream);
            stream.write_all(greeting(talk).as_bytes()).await?;
            if !converse(&mut stream, talk).await? {
                return stream.shutdown().await;
            }
            let mut stream = BufReader::new(acceptor.accept(stream.into_inner()).await?);
            converse(&mut stream, talk).await?;
            stream.shutdown().await
        }
        None => {
            let mut stream = BufReader::new(stream);
            converse(&mut stream, talk).await?;
            stream.shutdown().await
        }
    }
}

/// Answers line by line; true when the visitor now wants to encrypt.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    talk: Talk,
) -> io::Result<bool> {
    let mut request = String::new();
    loop {
        let mut line = String::new();
        if (&mut *stream).take(LONGEST).read_line(&mut line).await? == 0 {
            return Ok(false);
        }
        request.push_str(&line);
        let (text, next) = match talk {
            Talk::Mail(speech) => mail(speech, line.trim_end()),
            Talk::Web if is_whole(&request) => (page(&request), Next::Leave),
            Talk::Releases if is_whole(&request) => (release(&request), Next::Leave),
            Talk::Web | Talk::Releases => continue,
            Talk::Memcached if line.starts_with("stats") => (STATS.to_owned(), Next::Listen),
            Talk::Memcached => (String::new(), Next::Leave),
            Talk::Clamd => (signatures(), Next::Leave),
        };
        stream.write_all(text.as_bytes()).await?;
        stream.flush().await?;
        match next {
            Next::Listen => {}
            Next::Encrypt => return Ok(true),
            Next::Leave => return Ok(false),
        }
    }
}

/// What clamd says of itself; its signatures are of yesterday.
fn signatures() -> String {
    let built = Millis::now().minus(Duration::from_secs(20 * 3600)).in_zone(&TimeZone::UTC);
    format!("ClamAV 1.4.3/27412/{}\n", built.strftime("%a %b %e %H:%M:%S %Y"))
}

fn greeting(talk: Talk) -> &'static str {
    match talk {
        Talk::Mail(Speech::Smtp) => "220 mail.alpha.test ESMTP Postcow\r\n",
        Talk::Mail(Speech::Imap) => "* OK [CAPABILITY IMAP4rev1 STARTTLS] Dovecot ready.\r\n",
        Talk::Mail(Speech::Pop3) => "+OK Dovecot ready.\r\n",
        Talk::Mail(Speech::Sieve) => SIEVE,
        Talk::Mail(Speech::Silent) | Talk::Web | Talk::Releases | Talk::Memcached | Talk::Clamd => "",
    }
}

const SIEVE: &str = "\"IMPLEMENTATION\" \"Dovecot Pigeonhole\"\r\n\"STARTTLS\"\r\nOK \"Dovecot ready.\"\r\n";

/// The answer of a mail server to a line.
fn mail(speech: Speech, line: &str) -> (String, Next) {
    let mut words = line.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (text, next) = match (speech, first.to_ascii_uppercase().as_str()) {
        (Speech::Smtp, "EHLO") => ("250-mail.alpha.test\r\n250-STARTTLS\r\n250 8BITMIME\r\n", Next::Listen),
        (Speech::Smtp, "STARTTLS") => ("220 2.0.0 Ready to start TLS\r\n", Next::Encrypt),
        (Speech::Smtp, "MAIL" | "RSET") => ("250 2.1.0 Ok\r\n", Next::Listen),
        (Speech::Smtp, "RCPT") => ("554 5.7.1 Relay access denied\r\n", Next::Listen),
        (Speech::Smtp, "QUIT") => ("221 2.0.0 Bye\r\n", Next::Leave),
        (Speech::Smtp, _) => ("502 5.5.2 Error: command not recognized\r\n", Next::Listen),
        (Speech::Pop3, "STLS") => ("+OK Begin TLS negotiation now.\r\n", Next::Encrypt),
        (Speech::Pop3, "QUIT") => ("+OK Logging out.\r\n", Next::Leave),
        (Speech::Pop3, _) => ("-ERR Unknown command.\r\n", Next::Listen),
        (Speech::Sieve, "STARTTLS") => ("OK \"Begin TLS negotiation now.\"\r\n", Next::Encrypt),
        (Speech::Sieve, "LOGOUT") => ("OK \"Logout completed.\"\r\n", Next::Leave),
        (Speech::Sieve, _) => ("NO \"Unknown command.\"\r\n", Next::Listen),
        (Speech::Imap, _) => return imap(first, second),
        (Speech::Silent, _) => ("", Next::Leave),
    };
    (text.to_owned(), next)
}

fn imap(tag: &str, command: &str) -> (String, Next) {
    match command.to_ascii_uppercase().as_str() {
        "STARTTLS" => (format!("{tag} OK Begin TLS negotiation now.\r\n"), Next::Encrypt),
        "LOGOUT" => (format!("* BYE Logging out\r\n{tag} OK Logout completed.\r\n"), Next::Leave),
        _ => (format!("{tag} BAD Unknown command.\r\n"), Next::Listen),
    }
}

/// A request ends with an empty line.
fn is_whole(request: &str) -> bool {
    request.ends_with("\n\n") || request.ends_with("\n\r\n") || request.len() > 16_384
}

/// Only `alpha.test` has a policy file.
fn page(request: &str) -> String {
    let policy = request.starts_with("GET /.well-known/mta-sts.txt ");
    let policy = policy && request.to_ascii_lowercase().contains("host: mta-sts.alpha.test");
    let text = "version: STSv1\r\nmode: enforce\r\nmx: mail.alpha.test\r\nmax_age: 604800\r\n";
    answer(policy.then_some(text))
}

/// The installed version is one release behind.
fn release(request: &str) -> String {
    let latest = r#"{"tag_name":"2026-10","name":"Moober 2026","draft":false,"prerelease":false}"#;
    let compared = r#"{"status":"ahead","ahead_by":37,"behind_by":0,"base_commit":{"sha":
        "5c1e0b7a94d2f36b8e0c7d1a2f4b6c8d9e0f1a2b","commit":{"committer":{"date":"2026-08-18T09:12:44Z"}}}}"#;
    let path = request.strip_prefix("GET /repos/mailcow/mailcow-dockerized/").unwrap_or_default();
    answer(match path.split([' ', '?']).next() {
        Some("releases/latest") => Some(latest),
        Some("compare/2026-08...master") => Some(compared),
        _ => None,
    })
}

fn answer(body: Option<&str>) -> String {
    let (status, body) = body.map_or(("404 Not Found", "Not found\r\n"), |body| ("200 OK", body));
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

const STATS: &str = "STAT uptime 3412207\r\nSTAT curr_items 1841\r\nSTAT bytes 3911204\r\nSTAT limit_maxbytes 67108864\r\n\
    STAT get_hits 918220\r\nSTAT get_misses 60117\r\nSTAT evictions 0\r\nEND\r\n";

/// Adds what DNS says of the simulated mail host and its domains: `alpha.test` lacks a picture only, `beta.test` has an old
/// key, a second mail server without TLSA, and no policy file.
#[must_use]
pub fn zone(names: NameServer, doors: &Doors, ip: IpAddr) -> NameServer {
    let key = "v=DKIM1;k=rsa;t=s;s=email;p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A";
    names
        .tlsa(HOST, [3, 1, 1], &doors.key)
        .exchange("alpha.test", 10, HOST)
        .text("alpha.test", "v=spf1 mx -all")
        .text("dkim._domainkey.alpha.test", key)
        .text("_dmarc.alpha.test", "v=DMARC1; p=quarantine; rua=mailto:dmarc@alpha.test")
        .text("_mta-sts.alpha.test", "v=STSv1; id=20260901")
        .address("mta-sts.alpha.test", ip)
        .text("_smtp._tls.alpha.test", "v=TLSRPTv1; rua=mailto:dmarc@alpha.test")
        .exchange("beta.test", 10, HOST)
        .exchange("beta.test", 20, "backup.beta.test")
        .address("backup.beta.test", IpAddr::from([203, 0, 113, 77]))
        .text("beta.test", "v=spf1 mx ip4:203.0.113.77 -all")
        .text("dkim._domainkey.beta.test", "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8B")
        .text("_dmarc.beta.test", "v=DMARC1; p=reject; rua=mailto:dmarc@alpha.test")
        .text("_mta-sts.beta.test", "v=STSv1; id=20250301")
        .address("mta-sts.beta.test", ip)
        .text("_smtp._tls.beta.test", "v=TLSRPTv1; rua=mailto:dmarc@alpha.test")
        .address(&format!("2.0.0.127.{BLOCK_LIST}"), IpAddr::from([127, 0, 0, 2]))
}
