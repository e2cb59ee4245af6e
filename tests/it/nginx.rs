//! The shipped nginx files in a real nginx, beside something that stands for Mailcow's own pages. What is swapped for the
//! test: the name server, the ports, and for the own host the certificate.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mailcow_status::web::session::{COOKIES, SIGN_IN_COOKIE};
use reqwest::{StatusCode, header};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};
use url::Url;

use super::support::portal::{Portal, Wishes};

const BELOW: &str = include_str!("../../deploy/nginx/site.status.custom");
const OWN_HOST: &str = include_str!("../../deploy/nginx/status.conf");

/// A running nginx with its files.
struct Nginx {
    child: Child,
    url: String,
    dir: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers on SIGTERM; kill() would leave them behind.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

impl Nginx {
    /// Its access log, once it has written of a request that has this in its address.
    async fn log_with(&self, last: &str) -> String {
        for _ in 0..100 {
            let log = fs::read_to_string(self.dir.path().join("access")).unwrap();
            if log.contains(last) {
                return log;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{last} is not in the access log");
    }
}

/// Docker's name server: knows the portal's container while that exists.
struct Names {
    address: SocketAddr,
    present: Arc<AtomicBool>,
}

impl Names {
    async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let present = Arc::new(AtomicBool::new(true));
        let there = Arc::clone(&present);
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((size, from)) = socket.recv_from(&mut buffer).await {
                let answer = named(&buffer[..size], there.load(Ordering::SeqCst));
                let _ = socket.send_to(&answer, from).await;
            }
        });
        Self { address, present }
    }
}

/// An answer: 127.0.0.1 to questions for A, nothing to others, "no such name" while the container is away.
fn named(question: &[u8], present: bool) -> Vec<u8> {
    let is_a = question[question.len() - 4..] == [0, 1, 0, 1];
    let mut answer = question.to_vec();
    answer[2..4].copy_from_slice(if present { &[0x81, 0x80] } else { &[0x81, 0x83] });
    if present && is_a {
        answer[7] = 1;
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
        answer.extend(Ipv4Addr::LOCALHOST.octets());
    }
    answer
}

/// A server that answers with the head of the request.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap_or(0) > 0 {}
                let begin =
                    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", head.len());
                let _ = stream.write_all(&[begin.as_bytes(), &head].concat()).await;
            });
        }
    });
    port
}

/// `None`, with a word, where there is no nginx; `tests/run` sees to it.
async fn nginx(files: impl Fn(u16) -> (String, String)) -> Option<Nginx> {
    let Some(program) = std::env::var_os("MAILCOW_STATUS_TEST_NGINX") else {
        eprintln!("left out: MAILCOW_STATUS_TEST_NGINX is not set (tests/run sets it)");
        return None;
    };
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let (inside, beside) = files(port);
    fs::write(dir.path().join("nginx.conf"), configuration(dir.path(), port, &inside, &beside)).unwrap();
    let error_log = fs::File::create(dir.path().join("errors")).unwrap();
    let child = Command::new(program)
        .args(["-p", dir.path().to_str().unwrap(), "-c", "nginx.conf"])
        .stderr(Stdio::from(error_log))
        .spawn()
        .unwrap();
    let running = Nginx { child, url: format!("http://127.0.0.1:{port}"), dir };
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Some(running);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nginx: {}", fs::read_to_string(running.dir.path().join("errors")).unwrap());
}

/// As Mailcow's: the same defaults of the server, its waiting page, its cookie, and locations that compete for paths.
fn configuration(dir: &Path, port: u16, inside: &str, beside: &str) -> String {
    let user = if dir.metadata().is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0) {
        "user root;"
    } else {
        ""
    };
    format!(
        "{user} daemon off; worker_processes 1; pid nginx.pid; error_log stderr warn;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log access; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4;\n\
         scgi_temp_path t5;\n{beside}\n\
         server {{ listen 127.0.0.1:{port}; server_name mail.example.org; absolute_redirect off;\n\
         add_header X-Frame-Options SAMEORIGIN always; add_header Referrer-Policy strict-origin;\n\
         error_page 502 @awaitingupstream;\n\
         location / {{ add_header Set-Cookie 'MCSESSID=mailcow; Path=/'; return 200 'ui $http_cookie'; }}\n\
         location ~ \\.php$ {{ return 200 'php of the ui'; }}\n\
         location ~ ^/(fonts|js|css|img)/ {{ return 200 'files of the ui'; }}\n\
         location @awaitingupstream {{ return 200 'mailcow is waiting'; }}\n{inside}\n}} }}\n"
    )
}

fn fitted(text: &str, names: &Names, portal: u16) -> String {
    assert!(
        text.contains("resolver 127.0.0.11 ") && text.contains("status-mailcow:8080"),
        "the test swaps these"
    );
    text.replace("127.0.0.11", &names.address.to_string())
        .replace("status-mailcow:8080", &format!("status-mailcow:{portal}"))
}

/// The server of its own, without what only Mailcow has: certificates, and where to listen.
fn own_host(names: &Names, portal: u16, port: u16) -> String {
    let text = fitted(OWN_HOST, names, portal);
    let lines = text.lines().filter(|line| !line.contains("ssl_") && !line.contains("listen_ssl.active"));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    text.replace("include /etc/nginx/conf.d/listen_plain.active;", &format!("listen 127.0.0.1:{port};"))
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

#[tokio::test]
async fn mailcow_stays_up_while_the_portal_is_away() {
    let names = Names::start().await;
    names.present.store(false, Ordering::SeqCst);
    let gone = echo().await;
    let Some(nginx) = nginx(|_| (fitted(BELOW, &names, gone), String::new())).await else { return };
    let client = client();
    let get = |path: &str| client.get(format!("{}{path}", nginx.url)).send();
    let ui = get("/").await.unwrap();
    assert_eq!(ui.status(), StatusCode::OK, "nginx starts although the portal's name is unknown");
    let away = get("/status/mails").await.unwrap();
    assert_eq!(away.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(away.headers()["retry-after"], "30");
    let words = away.text().await.unwrap();
    assert!(words.contains("The status pages are away") && !words.contains("mailcow is waiting"), "{words}");
    names.present.store(true, Ordering::SeqCst);
    let mut status = StatusCode::SERVICE_UNAVAILABLE;
    for _ in 0..150 {
        status = get("/status/mails").await.unwrap().status();
        if status == StatusCode::OK {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(status, StatusCode::OK, "it finds the portal by itself once that is there");
}

#[tokio::test]
async fn a_portal_that_refuses_connections_is_told_from_one_that_answers_badly() {
    let names = Names::start().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let Some(nginx) = nginx(|_| (fitted(BELOW, &names, closed), String::new())).await else { return };
    let away = client().get(format!("{}/status/", nginx.url)).send().await.unwrap();
    assert_eq!(away.status(), StatusCode::SERVICE_UNAVAILABLE);
    let words = away.text().await.unwrap();
    assert!(words.contains("away") && words.contains("nicht da"), "{words}");
    let said = |text: &str| text.lines().find(|line| line.contains("return 503")).unwrap().trim().to_owned();
    assert_eq!(said(BELOW), said(OWN_HOST), "both say the same");
    assert_eq!(
        client().get(format!("{}/status.html", nginx.url)).send().await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn the_portal_gets_its_own_paths_and_cookies_and_true_headers() {
    let names = Names::start().await;
    let echo = echo().await;
    let Some(nginx) = nginx(|_| (fitted(BELOW, &names, echo), String::new())).await else { return };
    let client = client();
    let ask = async |path: &str, cookies: &str| {
        let request =
            client.get(format!("{}{path}", nginx.url)).header(header::HOST, "mail.example.org:8443");
        let request = request.header("X-Forwarded-For", "6.6.6.6").header("X-Forwarded-Proto", "https");
        let request = request.header("X-API-Key", "AAAA-BBBB").header(header::COOKIE, cookies);
        request.send().await.unwrap()
    };
    let answer = ask("/status/js/a.php?x=%2F&y=1", "").await;
    assert!(answer.headers().get("x-frame-options").is_none(), "the portal's own, not Mailcow's");
    let head = answer.text().await.unwrap();
    assert!(head.starts_with("GET /status/js/a.php?x=%2F&y=1 HTTP/1.1\r\n"), "{head}");
    let has = |line: &str| head.lines().any(|found| found.eq_ignore_ascii_case(line));
    assert!(has("Host: mail.example.org:8443") && has("X-Forwarded-For: 127.0.0.1"), "{head}");
    assert!(has("X-Forwarded-Proto: https") && !head.contains("AAAA") && !head.contains("6.6.6.6"), "{head}");
    for (sent, expected) in [
        ("MCSESSID=secret", vec![]),
        (
            "MCSESSID=secret; status_session=abc; 0xHIGHFLYxSOGo=x; theme=dark",
            vec!["status_session=abc", "theme=dark"],
        ),
        ("xstatus_session=no; xlang=no; a=lang=no; status-x=no; status_sign_in_0a1b=1", vec![]),
        ("a=1;status_session=tight;b=2", vec!["status_session=tight"]),
        ("status_signed_out=1", vec!["status_signed_out=1"]),
    ] {
        let head = ask("/status/", sent).await.text().await.unwrap();
        let line = head.lines().find_map(|line| line.strip_prefix("Cookie: "));
        let found: Vec<&str> =
            line.unwrap_or_default().split(';').map(str::trim).filter(|it| !it.is_empty()).collect();
        assert_eq!(found, expected, "{sent}: {head}");
        assert_eq!(line.is_none(), expected.is_empty(), "no header without cookies: {head}");
    }
    let own = COOKIES.map(|name| format!("{name}=of-{name}"));
    let many: String = (0..40).map(|number| format!("{SIGN_IN_COOKIE}{number:016x}={number}; ")).collect();
    let sent = format!("MCSESSID=secret; {many}{}; {SIGN_IN_COOKIE}00000000000000ff=newest", own.join("; "));
    for (state, sign_in) in [
        (format!("{:064}", 0), Some("status_sign_in_0000000000000000=0")),
        (format!("00000000000000ff{:048}", 7), Some("status_sign_in_00000000000000ff=newest")),
        (format!("0000000000000111{:048}", 7), None),
        (".*".to_owned(), None),
    ] {
        let head = ask(&format!("/status/callback?code=x&state={state}"), &sent).await.text().await.unwrap();
        let line = head.lines().find_map(|line| line.strip_prefix("Cookie: ")).unwrap();
        let expected: Vec<&str> = own.iter().map(String::as_str).chain(sign_in).collect();
        assert_eq!(line.split("; ").collect::<Vec<_>>(), expected, "every own one, and that of this sign-in");
    }
    let moved = ask("/status?a=b", "").await;
    assert_eq!(
        (moved.status(), &moved.headers()["location"]),
        (StatusCode::MOVED_PERMANENTLY, &"/status/?a=b".parse().unwrap())
    );
    assert_eq!(ask("/js/a.js", "").await.text().await.unwrap(), "files of the ui");
}

/// Marks of readers, keys and sign-ins, as they stand in addresses.
const SECRET: [&str; 8] = [
    "/track/t0ken.gif",
    "/track.php?msg=T0KEN",
    "/internal/tracked.map?key=k3y",
    "/login/link/l1nk",
    "/cron/update?key=k3y",
    "/cron/prune.php?key=k3y",
    "/callback?code=c0de&state=st4te",
    "/callback.php?code=c0de&state=st4te",
];

#[tokio::test]
async fn what_is_secret_in_addresses_is_in_no_access_log() {
    let names = Names::start().await;
    let there = echo().await;
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    for (portal, status) in [(there, StatusCode::OK), (away, StatusCode::SERVICE_UNAVAILABLE)] {
        let files = |port: u16| (fitted(BELOW, &names, portal), own_host(&names, portal, port));
        let Some(nginx) = nginx(files).await else { return };
        let client = client();
        let ask = async |host: &str, proto: &str, path: &str| {
            let request = client.get(format!("{}{path}", nginx.url)).header(header::HOST, host);
            request.header("X-Forwarded-Proto", proto).send().await.unwrap()
        };
        for path in SECRET {
            let answer = ask("mail.example.org", "https", &format!("/status{path}")).await;
            assert_eq!(answer.status(), status, "{path}");
            let answer = ask("status.example.org", "https", path).await;
            assert_eq!(answer.status(), status, "{path}");
            let said = answer.text().await.unwrap();
            if status == StatusCode::OK {
                assert!(
                    said.contains("X-Forwarded-Proto: https") && said.contains(path),
                    "as others: {said}"
                );
            }
            let answer = ask("status.example.org", "http", path).await;
            assert_eq!(answer.status(), StatusCode::MOVED_PERMANENTLY, "{path}");
        }
        ask("mail.example.org", "https", "/status/mailbox/tracking?below").await;
        ask("status.example.org", "https", "/mailbox/tracking?own").await;
        let log = nginx.log_with("tracking?own").await;
        assert!(log.contains("tracking?below"), "all else is: {log}");
        assert_eq!(log.lines().count(), 2, "{log}");
    }
}

#[tokio::test]
async fn people_sign_in_through_it() {
    let portal =
        Portal::start(Wishes { trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()], ..Wishes::default() })
            .await;
    let names = Names::start().await;
    let inside = Url::parse(&portal.url).unwrap();
    let Some(nginx) = nginx(|_| (fitted(BELOW, &names, inside.port().unwrap()), String::new())).await else {
        return;
    };
    let at_nginx = |address: &str| address.replace(&inside.origin().ascii_serialization(), &nginx.url);
    let mut browser = portal.browser();
    browser.get(&format!("{}/", nginx.url)).await;
    let start = browser.get(&format!("{}/status/login/start?next=", nginx.url)).await;
    assert_eq!(start.status, 303, "{}", start.body);
    let back = browser.consent_at("ann@alpha.test", &start.location).await;
    let entered = browser.get(&at_nginx(&back)).await;
    assert_eq!(entered.status, 303, "{}", entered.body);
    let page = browser.get(&format!("{}/status/probe", nginx.url)).await;
    assert!(page.status == 200 && page.body.starts_with("ann@alpha.test "), "{}", page.body);
    let policy = page.headers.get_all("x-frame-options").iter().count();
    assert_eq!(policy, 1, "the portal's header, once");
    let ui = browser.get(&format!("{}/", nginx.url)).await;
    assert_eq!(ui.body, "ui MCSESSID=mailcow", "Mailcow gets none of the portal's cookies");
    assert!(
        portal.audit().await.iter().any(|line| line.starts_with("sign-in ann@alpha.test")),
        "{:?}",
        portal.audit().await
    );
}

#[tokio::test]
async fn a_host_name_of_its_own_stands_beside_mailcows() {
    let names = Names::start().await;
    let echo = echo().await;
    let Some(nginx) = nginx(|port| (String::new(), own_host(&names, echo, port))).await else { return };
    let client = client();
    let ask = async |host: &str, proto: &str| {
        let request = client.get(format!("{}/mails?a=b", nginx.url)).header(header::HOST, host);
        request.header("X-Forwarded-Proto", proto).send().await.unwrap()
    };
    let portal = ask("status.example.org", "https").await.text().await.unwrap();
    assert!(portal.starts_with("GET /mails?a=b ") && portal.contains("X-Forwarded-Proto: https"), "{portal}");
    let plain = ask("status.example.org", "http").await;
    assert_eq!(plain.headers()["location"], "https://status.example.org/mails?a=b");
    assert!(ask("mail.example.org", "https").await.text().await.unwrap().starts_with("ui"));
}
