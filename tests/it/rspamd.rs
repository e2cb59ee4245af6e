//! A real Rspamd with our Lua file: a mail goes in over the milter protocol, as from Postfix, and comes out with the
//! image, signed; the signature holds, the image is loaded from a running portal, and its story tells of it.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use mailcow_status::{
    model::{
        filter::{Filter, Place},
        scope::Scope,
    },
    store::mails,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};

use super::{
    opens::write_mail,
    support::portal::{Portal, TRACKER_KEY, Wishes},
};

const QUEUE_ID: &str = "4cQm1L2Xz7k";
const HEAD: &str = "From: Ann <ann@alpha.test>\r\nTo: hannah@gamma.example\r\nSubject: Offer\r\n\
                    Message-ID: <offer@alpha.test>\r\nDate: Sat, 21 Nov 2026 13:00:00 +0000\r\nMIME-Version: 1.0\r\n";

/// Rspamd on ports of its own, stopped at the end.
struct Rspamd {
    process: Child,
    milter: u16,
    folder: tempfile::TempDir,
}

impl Drop for Rspamd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where Debian puts it; `tests/run` installs it and says so.
fn program() -> Option<PathBuf> {
    let program = std::env::var("MAILCOW_STATUS_TEST_RSPAMD").ok();
    if program.is_none() {
        eprintln!("left out: MAILCOW_STATUS_TEST_RSPAMD is not set (tests/run sets it)");
    }
    program.map(PathBuf::from)
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Modules of Debian's configuration that would ask the network or a Redis.
const OFF: [&str; 20] = [
    "arc",
    "asn",
    "bayes_expiry",
    "dmarc",
    "fuzzy_check",
    "greylist",
    "hfilter",
    "milter_headers",
    "mx_check",
    "neural",
    "once_received",
    "phishing",
    "ratelimit",
    "rbl",
    "replies",
    "reputation",
    "spf",
    "surbl",
    "url_redirector",
    "whitelist",
];

impl Rspamd {
    /// Starts it with our Lua file and these settings of its environment, and waits until it takes mails.
    async fn start(program: &Path, environment: &[(&str, &str)]) -> Self {
        let dkim = dkim_key();
        let dns = name_server(dkim.1.clone()).await;
        let folder = tempfile::tempdir().unwrap();
        let (milter, normal, controller) = (free_port(), free_port(), free_port());
        let home = folder.path().display().to_string();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for module in OFF {
            write(&format!("local.d/{module}.conf"), "enabled = false;\n");
        }
        write("local.d/rspamd.lua", include_str!("../../deploy/rspamd/open-tracking.lua"));
        write("local.d/logging.inc", "type = \"console\";\nlevel = \"info\";\ncolor = false;\n");
        write("local.d/worker-normal.inc", &format!("bind_socket = \"127.0.0.1:{normal}\";\ncount = 1;\n"));
        // Without a controller, the worker itself reads the maps.
        write(
            "local.d/worker-controller.inc",
            &format!("bind_socket = \"127.0.0.1:{controller}\";\nenabled = false;\n"),
        );
        // As in Mailcow: the milter hands each mail to a worker.
        let upstream = format!("upstream \"local\" {{ default = yes; hosts = \"127.0.0.1:{normal}\"; }}");
        let proxy = format!("bind_socket = \"127.0.0.1:{milter}\";\nmilter = yes;\n{upstream}\n");
        write("override.d/worker-proxy.inc", &proxy);
        // No mail of these tests is spam.
        write("local.d/actions.conf", "reject = 999;\nadd_header = 998;\ngreylist = 997;\n");
        // Debian's list of public suffixes takes seconds to compile.
        write("suffixes.dat", "com\nexample\ntest\n");
        let nameserver = format!("dns {{ nameserver = [\"127.0.0.1:{dns}\"]; timeout = 1s; }}");
        let options = format!(
            "{nameserver}\nfilters = \"dkim\";\nmap_watch_interval = 1s;\nlocal_addrs = [];\n\
             url_tld = \"{home}/suffixes.dat\";\nmaps_cache_dir = \"{home}\";\n"
        );
        write("local.d/options.inc", &options);
        let signing = format!(
            "sign_authenticated = true;\nselector = \"s1\";\npath = \"{home}/dkim.key\";\nuse_esld = false;\n"
        );
        write(
            "local.d/dkim_signing.conf",
            &(signing + "allow_username_mismatch = true;\ncheck_pubkey = false;\n"),
        );
        std::fs::write(folder.path().join("dkim.key"), &dkim.0).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(program)
            .args(["-f", "-i", "-c", "/etc/rspamd/rspamd.conf"])
            .args(["LOCAL_CONFDIR", "DBDIR", "RUNDIR", "LOGDIR"].map(|name| format!("--var={name}={home}")))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let rspamd = Self { process, milter, folder };
        rspamd
            .wait_for(|log| log.contains("starting hs_helper process") || log.contains("loaded hyperscan"))
            .await;
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", milter)).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        rspamd
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.path().join("log")).unwrap()).into_owned()
    }

    async fn wait_for(&self, sight: impl Fn(&str) -> bool) {
        for _ in 0..600 {
            if sight(&self.log()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log = self.log();
        panic!("Rspamd does not get there: {}", &log[log.len().saturating_sub(4000)..]);
    }

    /// What becomes of a mail that `sender` hands in, signed in or not.
    async fn pass(&self, mail: &str, login: Option<&str>, recipients: &[&str]) -> String {
        let mut milter = Milter(TcpStream::connect(("127.0.0.1", self.milter)).await.unwrap());
        milter.pass(mail, login, recipients).await
    }
}

/// The MTA's side of a milter (libmilter's mfdef.h): packets of length, command, data.
struct Milter(TcpStream);

impl Milter {
    async fn say(&mut self, command: u8, data: &[u8]) {
        let length = u32::try_from(data.len() + 1).unwrap();
        let packet = [&length.to_be_bytes()[..], &[command], data].concat();
        self.0.write_all(&packet).await.unwrap();
    }

    async fn hear(&mut self) -> (u8, Vec<u8>) {
        let length = tokio::time::timeout(Duration::from_secs(30), self.0.read_u32()).await.unwrap().unwrap();
        let mut packet = vec![0; length as usize];
        self.0.read_exact(&mut packet).await.unwrap();
        (packet.remove(0), packet)
    }

    async fn pass(&mut self, mail: &str, login: Option<&str>, recipients: &[&str]) -> String {
        let (head, body) = mail.split_once("\r\n\r\n").unwrap();
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in head.split("\r\n") {
            match (line.starts_with([' ', '\t']), headers.last_mut()) {
                (true, Some((_, value))) => value.push_str(&format!("\r\n{line}")),
                _ => {
                    let (name, value) = line.split_once(':').unwrap();
                    headers.push((name.to_owned(), value.trim_start().to_owned()));
                }
            }
        }
        // Version 6, all actions, no step left out but the answers that Rspamd does not give.
        self.say(b'O', &[0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0, 0, 0]).await;
        assert_eq!(self.hear().await.0, b'O');
        self.say(b'C', b"client.example\x004\x11\x5c192.0.2.7\0").await;
        self.say(b'H', b"client.example\0").await;
        let mut macros = format!("Mi\0{QUEUE_ID}\0");
        if let Some(login) = login {
            macros += &format!("{{auth_authen}}\0{login}\0{{auth_type}}\0PLAIN\0");
        }
        self.say(b'D', macros.as_bytes()).await;
        self.say(b'M', format!("<{}>\0", login.unwrap_or("ann@alpha.test")).as_bytes()).await;
        for recipient in recipients {
            self.say(b'R', format!("<{recipient}>\0").as_bytes()).await;
        }
        self.say(b'T', b"").await;
        for (name, value) in &headers {
            self.say(b'L', format!("{name}\0{value}\0").as_bytes()).await;
        }
        self.say(b'N', b"").await;
        self.say(b'B', body.as_bytes()).await;
        self.say(b'E', b"").await;
        self.answer(headers, body).await
    }

    /// Does to the mail what the milter says, as Postfix would.
    async fn answer(&mut self, mut headers: Vec<(String, String)>, body: &str) -> String {
        let (mut body, mut replaced) = (body.to_owned(), String::new());
        loop {
            let (command, data) = self.hear().await;
            let text = String::from_utf8_lossy(&data).into_owned();
            match command {
                b'b' => replaced.push_str(&text),
                b'm' | b'i' => {
                    let index = u32::from_be_bytes(data[..4].try_into().unwrap()) as usize;
                    let (name, value) = text[4..].split_once('\0').unwrap();
                    let value = value.trim_end_matches('\0').replace("\r\n", "\n").replace('\n', "\r\n");
                    if command == b'i' {
                        headers.insert(0, (name.to_owned(), value));
                    } else {
                        let named = headers
                            .iter()
                            .enumerate()
                            .filter(|(_, (known, _))| known.eq_ignore_ascii_case(name));
                        let at = named.map(|(at, _)| at).nth(index.saturating_sub(1));
                        assert!(value.is_empty(), "{name} is changed to {value}");
                        at.map(|at| headers.remove(at));
                    }
                }
                b'h' => {
                    let (name, value) = text.split_once('\0').unwrap();
                    headers.push((name.to_owned(), value.trim_end_matches('\0').to_owned()));
                }
                b'a' | b'c' => break,
                other => panic!("the milter answers {:?} {text}", char::from(other)),
            }
        }
        if !replaced.is_empty() {
            body = replaced;
        }
        let head: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("{head}\r\n{body}")
    }
}

/// A new DKIM key and its DNS record, made by Rspamd's own tool.
fn dkim_key() -> (String, String) {
    let made =
        Command::new("rspamadm").args(["dkim_keygen", "-s", "s1", "-d", "alpha.test"]).output().unwrap();
    let text = String::from_utf8(made.stdout).unwrap();
    let (key, record) = text.split_once("s1._domainkey").unwrap();
    // The record stands in pieces between quotation marks.
    (key.to_owned(), record.split('"').skip(1).step_by(2).collect())
}

/// A name server that knows one thing: our DKIM key.
async fn name_server(record: String) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut question = [0; 1500];
        while let Ok((length, peer)) = socket.recv_from(&mut question).await {
            let question = &question[..length];
            // The name ends at the first empty label; type and class follow. What comes behind (EDNS) is left out.
            let Some(end) = question[12..].iter().position(|byte| *byte == 0).map(|at| 12 + at + 5) else {
                continue;
            };
            let known = question[12..end].starts_with(b"\x02s1\x0a_domainkey\x05alpha\x04test\0\0\x10");
            let mut answer = question[..2].to_vec();
            answer.extend([0x81, if known { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(known), 0, 0, 0, 0]);
            answer.extend(&question[12..end]);
            if known {
                let texts: Vec<u8> = record
                    .as_bytes()
                    .chunks(255)
                    .flat_map(|text| [&[u8::try_from(text.len()).unwrap()], text].concat())
                    .collect();
                answer.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60]);
                answer.extend(u16::try_from(texts.len()).unwrap().to_be_bytes());
                answer.extend(texts);
            }
            let _ = socket.send_to(&answer, peer).await;
        }
    });
    port
}

/// The address of the image in a mail, whatever its encoding.
fn image(mail: &str, url: &str) -> Option<String> {
    let plain = mail.replace("=\r\n", "").replace("=3D", "=");
    let (_, rest) = plain.split_once(&format!("src=\"{url}/track/"))?;
    Some(format!("/track/{}", rest.split_once('"')?.0))
}

fn mail(kind: &str, body: &str) -> String {
    format!("{HEAD}{kind}\r\n\r\n{body}")
}

const QUOTED: &str = "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable";
const BASE64: &str = "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64";
const HTML: &str = "<html><body><p>Gr=C3=BC=C3=9Fe</p></body></html>\r\n";
const OUTSIDE: &[&str] = &["hannah@gamma.example"];
const ANN: Option<&str> = Some("ann@alpha.test");

async fn with_map(portal: &Portal, program: &Path, notice: &str) -> Rspamd {
    let environment =
        [("TRACKER_URL", portal.url.as_str()), ("TRACKER_KEY", TRACKER_KEY), ("TRACKER_NOTICE", notice)];
    let rspamd = Rspamd::start(program, &environment).await;
    let read = |line: &str| {
        line.contains("(normal)") && line.contains("read hash") && line.contains("/internal/tracked.map")
    };
    rspamd.wait_for(|log| log.lines().any(read)).await;
    rspamd
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_goes_out_with_the_image_and_its_opening_is_seen() {
    let Some(program) = program() else { return };
    let portal = Portal::start(Wishes::default()).await;
    let rspamd = with_map(&portal, &program, "1").await;
    assert!(portal.state.opens.numbers().map_read.is_some());
    let sent = mail(&format!("X-Track-Opens: yes\r\n{QUOTED}"), HTML);
    let out = rspamd.pass(&sent, ANN, OUTSIDE).await;
    let path = image(&out, &portal.url).unwrap_or_else(|| panic!("no image: {out}\n{}", rspamd.log()));
    assert!(out.contains("Gr=C3=BC=C3=9Fe") && out.contains("tells its sender"), "{out}");
    assert!(!out.to_lowercase().contains("x-track-opens"), "{out}");
    assert!(out.lines().all(|line| line.len() <= 78 || line.contains("DKIM")), "{out}");

    // The mail arrives elsewhere: the signature holds, and breaks with the image gone.
    assert!(out.starts_with("DKIM-Signature:"), "{out}");
    rspamd.pass(&out, None, &["ann@alpha.test"]).await;
    rspamd.wait_for(|log| log.contains("R_DKIM_ALLOW")).await;
    rspamd.pass(&out.replace("track/", "trick/"), None, &["ann@alpha.test"]).await;
    rspamd.wait_for(|log| log.contains("R_DKIM_REJECT")).await;

    // The test's clock stands elsewhere than Rspamd's, so the time since the sending, and with it the kind of reader,
    // means nothing here.
    let db = &portal.state.db;
    write_mail(db, portal.now().minus(Duration::from_secs(60)), QUEUE_ID, "offer@alpha.test").await;
    let mut reader = portal.browser();
    reader.headers.push(("user-agent".to_owned(), "Mozilla/5.0 (Macintosh) AppleWebKit/605".to_owned()));
    assert_eq!(reader.get(&path).await.status, 200);
    portal.state.opens.flush(db, portal.now()).await.unwrap();
    let filter = Filter { queue_id: Some(QUEUE_ID.to_owned()), ..Filter::default() };
    let found = mails::search(db, &Scope::All, &filter, Place::Newest, 1).await.unwrap().mails.remove(0);
    let story = portal.signed_in("ann@alpha.test").await.get(&format!("/mails/{}", found.id.0)).await.body;
    assert_eq!(portal.state.opens.numbers().strange, 0);
    assert!(
        story.contains("Probably opened") || story.contains("checking program"),
        "an opening is in the story: {story}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_encoding_keeps_its_words_and_its_headers() {
    let Some(program) = program() else { return };
    let portal = Portal::start(Wishes::default()).await;
    let rspamd = with_map(&portal, &program, "").await;
    let latin = "Content-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable";
    let eight = "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit";
    let plain = "Content-Type: text/html";
    let parts = "Content-Type: multipart/alternative; boundary=\"b\"";
    let both = "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nWords\r\n--b\r\n\
                Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\
                Content-ID: <part@alpha.test>\r\n\r\n<p>W=C3=B6rter</p>\r\n--b--\r\n";
    for (kind, body, words) in [
        (QUOTED, HTML, "Gr=C3=BC=C3=9Fe"),
        (latin, "<p>Gr=FC=DFe</p>", "Gr=FC=DFe"),
        (eight, "<HTML><BODY>Grüße</BODY></HTML>\r\n", "Grüße"),
        (plain, "<p>Words</p>\r\n", "Words"),
        (parts, both, "Content-ID: <part@alpha.test>\r\n\r\n<p>W=C3=B6rter</p>"),
    ] {
        let sent = mail(kind, body);
        let out = rspamd.pass(&sent, ANN, OUTSIDE).await;
        assert!(image(&out, &portal.url).is_some(), "{kind}: {out}\n{}", rspamd.log());
        assert!(out.contains(words), "{kind}: {out}");
        let (head, fresh) = out.split_once("\r\n\r\n").unwrap();
        assert!(
            head.ends_with(sent.split_once("\r\n\r\n").unwrap().0),
            "{kind}: no header but the signature: {head}"
        );
        let before = body.to_lowercase().find("</body").map_or(body.trim_end().len(), |at| at);
        let lost = body[..before].lines().find(|line| !fresh.contains(line));
        assert_eq!(lost, None, "{kind}: {fresh}");
        let end = fresh.to_lowercase().find("</body").unwrap_or(fresh.len());
        assert!(fresh[..end].contains("track/"), "{kind}: before the end of the body: {fresh}");
    }
    // <p>Grüße</p> and the body's end.
    let out = rspamd.pass(&mail(BASE64, "PHA+R3LDvMOfZTwvcD48L2JvZHk+\r\n"), ANN, OUTSIDE).await;
    let body = out.split_once("\r\n\r\n").unwrap().1;
    assert!(body.starts_with("PHA+R3LDvMOfZTwvcD48") && body.len() > 100, "{out}");
    assert!(body.lines().all(|line| line.len() <= 76), "{body}");
    rspamd.pass(&out, None, &["ann@alpha.test"]).await;
    rspamd.wait_for(|log| log.contains("R_DKIM_ALLOW")).await;
}

/// The same words stand elsewhere in the mail, too: in a header, in the plain text beside, in an earlier part.
#[tokio::test(flavor = "multi_thread")]
async fn the_image_goes_into_the_html_part_wherever_its_words_stand_too() {
    let Some(program) = program() else { return };
    let portal = Portal::start(Wishes::default()).await;
    let rspamd = with_map(&portal, &program, "").await;
    let html = "Content-Type: text/html";
    let parts = |parts: &[&str]| {
        let parts: String = parts.iter().map(|part| format!("--b\r\n{part}\r\n")).collect();
        mail("Content-Type: multipart/mixed; boundary=b", &format!("{parts}--b--\r\n"))
    };
    let words = "<p>Words</p>";
    let plain = format!("Content-Type: text/plain\r\n\r\nOur page says: {words} Bye\r\n");
    let page =
        format!("{html}; name=a.html\r\nContent-Disposition: attachment; filename=a.html\r\n\r\n{words}");
    let shown = format!("{html}\r\n\r\n{words}");
    let blank = format!("{html}\r\n\r\n\r\n \r\n");
    let second = format!("Content-ID: <2>\r\n{shown}");
    for (sent, before) in [
        (mail(html, "Offer"), "\r\n\r\nOffer"),
        (mail(&format!("{html}\r\nX-Offer: {words}"), words), "\r\n\r\n<p>Words</p>"),
        (parts(&[&plain, &shown]), "text/html\r\n\r\n<p>Words</p>"),
        (parts(&[&page, &shown]), "text/html\r\n\r\n<p>Words</p>"),
        (parts(&[&shown, &page]), "text/html\r\n\r\n<p>Words</p>"),
        (parts(&[&shown, &second]), "Content-ID: <2>\r\nContent-Type: text/html\r\n\r\n<p>Words</p>"),
        (parts(&[&shown, &blank]), "--b\r\nContent-Type: text/html\r\n\r\n<p>Words</p>"),
    ] {
        let out = rspamd.pass(&sent, ANN, OUTSIDE).await;
        let (start, _) =
            out.split_once("<img").unwrap_or_else(|| panic!("no image: {out}\n{}", rspamd.log()));
        assert!(start.trim_end().ends_with(before), "{sent}\nbecomes\n{out}");
        let (_, end) = out.split_once("height:1px\">").unwrap();
        let (head, body) = sent.split_once("\r\n\r\n").unwrap();
        let kept = format!("{start}{end}");
        let flat = |text: &str| text.split_whitespace().collect::<String>();
        assert!(kept.contains(head), "{out}");
        assert!(flat(&kept).ends_with(&flat(body)), "nothing else changes: {out}");
    }
    assert_eq!(rspamd.log().matches("open tracking failed").count(), 0, "{}", rspamd.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_stay_as_it_is_stays() {
    let Some(program) = program() else { return };
    let portal = Portal::start(Wishes::default()).await;
    let rspamd = with_map(&portal, &program, "").await;
    let html = "Content-Type: text/html\r\n\r\n<p>Words</p>";
    let with = |kind: &str, second: &str| {
        mail(
            &format!("Content-Type: {kind}; boundary=b"),
            &format!("--b\r\n{html}\r\n--b\r\n{second}\r\n--b--\r\n"),
        )
    };
    let untouched = [
        with(
            "multipart/signed; protocol=\"application/pgp-signature\"",
            "Content-Type: application/pgp-signature\r\n\r\nx",
        ),
        with("multipart/encrypted", "Content-Type: application/octet-stream\r\n\r\nx"),
        with(
            "multipart/report; report-type=disposition-notification",
            "Content-Type: text/plain\r\n\r\nRead",
        ),
        with(
            "multipart/alternative",
            "Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nEND:VCALENDAR",
        ),
        with(
            "multipart/mixed",
            "Content-Type: message/rfc822\r\n\r\nFrom: x@y.example\r\nContent-Type: text/html\r\n\r\n<p>Nested</p>",
        ),
        with("multipart/mixed", "Content-Type: application/pkcs7-mime; name=smime.p7m\r\n\r\nx"),
        with(
            "multipart/alternative",
            "Content-Type: text/plain\r\n\r\n-----BEGIN PGP MESSAGE-----\r\nx\r\n-----END PGP MESSAGE-----",
        ),
        mail("Content-Type: text/plain", "Words\r\n"),
        mail(
            "Content-Type: text/html; charset=utf-16\r\nContent-Transfer-Encoding: base64",
            "PABwAD4AVwA8AC8AcAA+AA==\r\n",
        ),
        mail(
            "Content-Type: text/html; name=page.html\r\nContent-Disposition: attachment; filename=page.html",
            "<p>Words</p>\r\n",
        ),
        // Nothing is shown: only a subject, or an empty alternative.
        mail("Content-Type: text/html", ""),
        mail("Content-Type: text/html", "\r\n"),
        mail(BASE64, "DQo=\r\n"),
        with("multipart/alternative", "").replace(html, "Content-Type: text/html\r\n\r\n\r\n"),
        mail(&format!("Auto-Submitted: auto-replied\r\n{QUOTED}"), HTML),
        mail(&format!("X-Track-Opens: no\r\n{QUOTED}"), HTML),
    ];
    for sent in &untouched {
        let out = rspamd.pass(sent, ANN, OUTSIDE).await;
        assert!(!out.contains("/track/") && !out.contains("open tracking failed"), "{out}");
        assert_eq!(out.split_once("\r\n\r\n").unwrap().1, sent.split_once("\r\n\r\n").unwrap().1, "{sent}");
    }
    let sent = mail(QUOTED, HTML);
    for (login, recipients, why) in [
        (None, OUTSIDE, "nobody signed in"),
        (Some("bob@alpha.test"), OUTSIDE, "did not opt in"),
        (Some("ann@elsewhere.example"), OUTSIDE, "not from here"),
        (ANN, &["bob@alpha.test"][..], "stays here"),
    ] {
        let out = rspamd.pass(&sent, login, recipients).await;
        assert!(!out.contains("track/"), "{why}: {out}");
    }
    let wished = mail(&format!("X-Track-Opens: yes\r\n{QUOTED}"), HTML);
    let out = rspamd.pass(&wished, Some("bob@alpha.test"), OUTSIDE).await;
    assert!(image(&out, &portal.url).is_some(), "one mail, by its header: {out}");
    let out = rspamd.pass(&sent, ANN, &["bob@alpha.test", "hannah@gamma.example"]).await;
    assert!(image(&out, &portal.url).is_some(), "one of them is outside: {out}");
    assert!(!rspamd.log().contains("open tracking failed"), "{}", rspamd.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_portal_mails_go_on_as_they_are() {
    let Some(program) = program() else { return };
    let away = format!("http://127.0.0.1:{}/status", free_port());
    let environment = [("TRACKER_URL", away.as_str()), ("TRACKER_KEY", TRACKER_KEY)];
    let rspamd = Rspamd::start(&program, &environment).await;
    for head in [QUOTED.to_owned(), format!("X-Track-Opens: yes\r\n{QUOTED}")] {
        let began = std::time::Instant::now();
        let out = rspamd.pass(&mail(&head, HTML), ANN, OUTSIDE).await;
        assert!(began.elapsed() < Duration::from_secs(5), "nothing waits for the portal");
        assert!(out.starts_with("DKIM-Signature:") && out.ends_with(HTML), "{out}");
        assert!(!out.to_lowercase().contains("x-track-opens"), "{out}");
    }
    // Without its settings the file does nothing at all.
    let bare = Rspamd::start(&program, &[]).await;
    let sent = mail(&format!("X-Track-Opens: yes\r\n{QUOTED}"), HTML);
    let out = bare.pass(&sent, ANN, OUTSIDE).await;
    assert!(out.ends_with(&sent), "{out}");
}
