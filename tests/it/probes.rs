//! The probes over the network, against real TLS servers, a real name server, a real Memcached, and scripted dialogues.

mod dns;
mod servers;

use std::{collections::BTreeSet, process::Command, time::Duration};

use mailcow_status::{
    demo::authority::{Authority, self_signed},
    remote::{
        Cause, clamd,
        dialogue::Speech,
        dns::Tlsa,
        http::{self, Http},
        memcached,
        ports::{self, Encryption, Port},
        releases, smtp,
        tls::{Fault, Prober, Served, matches},
    },
};
use sha2::{Digest, Sha256};
use url::Url;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{path, query_param},
};

use self::servers::{Script, serve, serve_tls};

const PATIENCE: Duration = Duration::from_secs(5);
const HTTPS: Script = Script { greeting: "", steps: &[] };
const SMTP: Script = Script {
    greeting: "220-mail.alpha.test\r\n220 ESMTP\r\n",
    steps: &[("EHLO [127.0.0.1]", "250-mail\r\n250 STARTTLS\r\n"), ("STARTTLS", "220 go\r\n")],
};
const IMAP: Script = Script {
    greeting: "* OK ready\r\n",
    steps: &[("S1 STARTTLS", "* CAPABILITY IMAP4rev1\r\nS1 OK go\r\n")],
};
const POP3: Script = Script { greeting: "+OK ready\r\n", steps: &[("STLS", "+OK go\r\n")] };
const SIEVE: Script = Script {
    greeting: "\"IMPLEMENTATION\" \"x\"\r\n\"STARTTLS\"\r\nOK \"ready\"\r\n",
    steps: &[("STARTTLS", "OK \"go\"\r\n")],
};

fn https(number: u16) -> Port {
    Port { number, at: number, speech: Speech::Silent, encryption: Encryption::Implicit }
}

fn starttls(number: u16, speech: Speech) -> Port {
    Port { number, at: number, speech, encryption: Encryption::StartTls }
}

/// What a server with such a certificate shows to somebody who asks for `localhost`.
async fn shown(prober: &Prober, authority: &Authority, name: &str, days: (i64, i64)) -> Served {
    let (port, _) = serve_tls(&HTTPS, authority.certify(name, days).unwrap()).await;
    prober.look("localhost", https(port), PATIENCE).await.unwrap()
}

#[tokio::test]
async fn certificates_are_seen_with_their_faults() {
    let authority = servers::authority();
    let prober = Prober::new(Some(&authority.pem)).unwrap();
    let good = shown(&prober, &authority, "localhost", (-1, 90)).await;
    assert_eq!((good.faults, good.chain.len()), (vec![], 2));
    assert_eq!(good.certificate.names, ["localhost"]);
    assert_eq!(
        (good.certificate.issuer.as_str(), good.version.as_str()),
        ("Authority of the tests", "TLSv1.3")
    );
    assert!((good.certificate.until - good.certificate.from) / 86_400 == 91, "{:?}", good.certificate);
    let expiring = shown(&prober, &authority, "localhost", (-80, 2)).await;
    assert_eq!(expiring.faults, vec![], "soon is not yet");
    assert_eq!(shown(&prober, &authority, "localhost", (-90, -2)).await.faults, [Fault::Expired]);
    assert_eq!(shown(&prober, &authority, "localhost", (2, 90)).await.faults, [Fault::NotYetValid]);
    assert_eq!(shown(&prober, &authority, "other.test", (-1, 90)).await.faults, [Fault::WrongName]);
    let both = shown(&prober, &authority, "other.test", (-90, -2)).await;
    assert_eq!(both.faults, [Fault::Expired, Fault::WrongName], "one fault does not hide the other");
    let stranger = shown(&prober, &servers::authority(), "localhost", (-1, 90)).await;
    assert_eq!(stranger.faults, [Fault::Untrusted]);
    let (port, _) = serve_tls(&HTTPS, self_signed("localhost").unwrap()).await;
    let own = prober.look("localhost", https(port), PATIENCE).await.unwrap();
    assert_eq!(own.faults, [Fault::SelfSigned]);
}

#[tokio::test]
async fn encryption_begins_in_each_protocol_and_ends_politely() {
    let authority = servers::authority();
    let prober = Prober::new(Some(&authority.pem)).unwrap();
    for (speech, script, word) in [
        (Speech::Smtp, &SMTP, "QUIT\r\n"),
        (Speech::Imap, &IMAP, "S2 LOGOUT\r\n"),
        (Speech::Pop3, &POP3, "QUIT\r\n"),
        (Speech::Sieve, &SIEVE, "LOGOUT\r\n"),
    ] {
        let (port, mut heard) = serve_tls(script, authority.certify("localhost", (-1, 30)).unwrap()).await;
        let served = prober.look("localhost", starttls(port, speech), PATIENCE).await.unwrap();
        assert_eq!(served.faults, vec![], "{speech:?}");
        assert_eq!(heard.recv().await.unwrap(), word, "{speech:?}");
    }
}

#[tokio::test]
async fn what_is_no_encryption_is_an_error_and_no_fault() {
    let prober = Prober::new(None).unwrap();
    let steps: &[(&str, &str)] = &[("EHLO", "250 mail\r\n"), ("STARTTLS", "502 5.5.1 not implemented\r\n")];
    let (port, _) = serve("220 mail\r\n", steps).await;
    let error = prober.look("localhost", starttls(port, Speech::Smtp), PATIENCE).await.unwrap_err();
    assert!(matches!(&error.cause, Cause::Tls(text) if text.contains("502")), "{error}");
    // Words of somebody in between must not count as said in the encrypted part.
    let steps: &[(&str, &str)] = &[("EHLO", "250 mail\r\n"), ("STARTTLS", "220 go\r\n250 injected\r\n")];
    let (port, _) = serve("220 mail\r\n", steps).await;
    let error = prober.look("localhost", starttls(port, Speech::Smtp), PATIENCE).await.unwrap_err();
    assert!(matches!(&error.cause, Cause::Tls(text) if text.contains("clear text")), "{error}");
    let (port, _) = serve("554 no\r\n", &[]).await;
    let error = prober.look("localhost", starttls(port, Speech::Smtp), PATIENCE).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Answer(_)), "{error}");
    // Somebody who never speaks.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let brief = Duration::from_millis(300);
    let error = prober.look("localhost", https(port), brief).await.unwrap_err();
    assert_eq!(error.cause, Cause::Timeout);
    drop(silent);
    let error = prober.look("localhost", https(port), PATIENCE).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Connect(_)), "{error}");
}

#[tokio::test]
async fn tlsa_records_stand_for_certificates() {
    let authority = servers::authority();
    let prober = Prober::new(Some(&authority.pem)).unwrap();
    let identity = authority.certify("localhost", (-1, 30)).unwrap();
    let key = identity.public_key.clone();
    let (port, _) = serve_tls(&HTTPS, identity).await;
    let chain = prober.look("localhost", https(port), PATIENCE).await.unwrap().chain;
    let record =
        |usage, selector, matching, data: &[u8]| Tlsa { usage, selector, matching, data: data.to_vec() };
    let digest = |bytes: &[u8]| Sha256::digest(bytes).to_vec();
    for (record, stands) in [
        (record(3, 1, 1, &digest(&key)), true),
        (record(3, 0, 1, &digest(&chain[0])), true),
        (record(3, 0, 0, &chain[0]), true),
        (record(2, 0, 1, &digest(&chain[1])), true),
        (record(3, 0, 1, &digest(&chain[1])), false),
        (record(1, 1, 1, &digest(&key)), false),
        (record(3, 1, 1, &digest(b"another key")), false),
    ] {
        assert_eq!(matches(&record, &chain), stands, "{record:?}");
    }
}

#[tokio::test]
async fn open_ports_are_left_politely() {
    let (port, mut heard) = serve("220 mail\r\n", &[]).await;
    assert!(ports::open_after("127.0.0.1", starttls(port, Speech::Smtp), PATIENCE).await.is_some());
    assert_eq!(heard.recv().await.unwrap(), "QUIT\r\n");
    // What others find at 587 is reached elsewhere from here.
    let submission = Port { at: port, ..Port::usual(587) };
    assert!(ports::open_after("127.0.0.1", submission, PATIENCE).await.is_some());
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = gone.local_addr().unwrap().port();
    drop(gone);
    assert_eq!(ports::open_after("127.0.0.1", https(port), PATIENCE).await, None);
    assert!(ports::find("nobody.invalid", PATIENCE).await.is_err(), "no such host is no closed port");
}

#[tokio::test]
async fn asking_to_relay_sends_no_mail() {
    let steps: &[(&str, &str)] = &[
        ("EHLO [127.0.0.1]", "250-mail\r\n250 SIZE\r\n"),
        ("MAIL FROM:<>", "250 2.1.0 Ok\r\n"),
        ("RCPT TO:<relay-test@example.net>", "554 5.7.1 <relay-test@example.net>: Relay access denied\r\n"),
        ("RSET", "250 2.0.0 Ok\r\n"),
    ];
    let (port, mut heard) = serve("220 mail\r\n", steps).await;
    let answer = smtp::relaying("127.0.0.1", port, PATIENCE).await.unwrap();
    assert_eq!(
        (answer.code, answer.text.as_str()),
        (554, "5.7.1 <relay-test@example.net>: Relay access denied")
    );
    assert_eq!(heard.recv().await.unwrap(), "QUIT\r\n", "nothing else was said");
    // Also where the server would take it.
    let steps: &[(&str, &str)] =
        &[("EHLO", "250 mail\r\n"), ("MAIL", "250 ok\r\n"), ("RCPT", "250 ok\r\n"), ("RSET", "250 ok\r\n")];
    let (port, mut heard) = serve("220 mail\r\n", steps).await;
    assert_eq!(smtp::relaying("127.0.0.1", port, PATIENCE).await.unwrap().code, 250);
    assert_eq!(heard.recv().await.unwrap(), "QUIT\r\n", "nothing else was said");
    let (port, _) = serve("554 5.7.1 you are blocked\r\n", &[]).await;
    assert!(
        smtp::relaying("127.0.0.1", port, PATIENCE).await.is_err(),
        "a refusal at the door tells nothing"
    );
}

#[tokio::test]
async fn memcached_counts() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut child = Command::new("memcached")
        .args(["-l", "127.0.0.1", "-U", "0", "-u", "nobody", "-m", "64", "-p", &port.to_string()])
        .spawn()
        .expect("memcached is missing: tests/run installs it");
    let mut found = memcached::stats("127.0.0.1", port, PATIENCE).await;
    for _ in 0..50 {
        if found.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        found = memcached::stats("127.0.0.1", port, PATIENCE).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let stats = found.unwrap();
    let names = ["curr_items", "bytes", "limit_maxbytes", "get_hits", "get_misses", "evictions", "uptime"];
    let known: BTreeSet<&str> = stats.keys().map(String::as_str).collect();
    assert!(names.iter().all(|name| known.contains(name)), "{known:?}");
    assert_eq!(stats["limit_maxbytes"], 67_108_864.0);
    assert!(memcached::stats("127.0.0.1", port, PATIENCE).await.is_err(), "it is gone");
    let (port, _) = serve("", &[("stats", "ERROR\r\n")]).await;
    assert!(memcached::stats("127.0.0.1", port, PATIENCE).await.is_err());
}

#[tokio::test]
async fn clamd_tells_its_version() {
    let answer = "ClamAV 1.4.3/27412/Thu Nov 19 09:32:11 2026";
    let (port, _) = serve("", &[("nVERSION", "ClamAV 1.4.3/27412/Thu Nov 19 09:32:11 2026\n")]).await;
    assert_eq!(clamd::version("127.0.0.1", port, PATIENCE).await.unwrap(), answer);
}

#[tokio::test]
async fn releases_are_asked_for_without_the_files_that_changed() {
    let server = MockServer::start().await;
    let mount = async |place: &str, status: u16, body: &str| {
        let answer = ResponseTemplate::new(status).set_body_string(body);
        let page = [("per_page", "1"), ("page", "2")];
        let mock = Mock::given(path(format!("/repos/moo/cow/{place}")));
        let compared = place.starts_with("compare/");
        let mock = page
            .iter()
            .filter(|_| compared)
            .fold(mock, |mock, (name, value)| mock.and(query_param(*name, *value)));
        mock.respond_with(answer).mount(&server).await;
    };
    mount("releases/latest", 200, r#"{"tag_name":"2026-10","name":"October"}"#).await;
    let base = r#"{"sha":"5c1e0b7a94","commit":{"author":{},"committer":{"date":"2026-08-18T09:12:44Z"}}}"#;
    mount(
        "compare/2026-08...master",
        200,
        &format!(r#"{{"ahead_by":37,"behind_by":0,"base_commit":{base}}}"#),
    )
    .await;
    mount("compare/2026-07...master", 200, r#"{"ahead_by":37}"#).await;
    mount("compare/mine...master", 404, r#"{"message":"Not Found","status":"404"}"#).await;
    let limit = r#"{"message":"API rate limit exceeded for 192.0.2.1."}"#;
    mount("compare/2026-06...master", 403, limit).await;
    let http = Http::new(&http::Settings::default()).unwrap();
    // With a slash at its end, too.
    for feed in ["/repos/moo/cow", "/repos/moo/cow/"] {
        let feed = Url::parse(&format!("{}{feed}", server.uri())).unwrap();
        assert_eq!(releases::latest(&http, &feed).await.unwrap(), "2026-10");
        let found = releases::distance(&http, &feed, "2026-08").await.unwrap();
        assert_eq!(found.behind, 37);
        assert_eq!(found.made.to_string(), "2026-08-18T09:12:44Z");
        let why = async |version: &str| releases::distance(&http, &feed, version).await.unwrap_err();
        assert!(matches!(why("2026-07").await.cause, Cause::Json(_)));
        assert!(why("mine").await.to_string().ends_with("an error with 404: Not Found"));
        assert!(why("2026-06").await.to_string().contains("API rate limit exceeded"));
    }
    let nowhere = Url::parse(&format!("{}/repos/other", server.uri())).unwrap();
    assert!(releases::latest(&http, &nowhere).await.is_err());
}
