//! Names of addresses, asked of a name server over a real socket: confirmed ones only, and no outage taken for "none".

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use mailcow_status::{
    demo::{NameServer, reports::xml},
    ingest::names,
    model::{
        figures::Span,
        report::{Arrival, Evaluation, Policy, Record, Report},
        scope::Scope,
        time::Millis,
    },
    remote::{
        Cause,
        dns::{Dns, Settings},
    },
    store::{Db, reports},
};
use tokio::net::UdpSocket;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::support::{db::fresh_databases, reports::take, rig::open};

const PATIENCE: Duration = Duration::from_millis(800);

/// Runs a name server for as long as the guard lives.
pub async fn serve(server: NameServer) -> (SocketAddr, DropGuard) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(server.serve(socket, stop.clone()));
    (address, stop.drop_guard())
}

fn client(servers: Vec<SocketAddr>) -> Dns {
    Dns::new(&Settings { servers, patience: PATIENCE }).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_name_counts_when_it_leads_back() {
    let server = NameServer::default()
        .host(ip("192.0.2.1"), "Mail.Alpha.test")
        .host(ip("2001:db8::1"), "six.alpha.test")
        // Claims a name that belongs to another address, and one that nobody has.
        .pointer(ip("192.0.2.2"), "mail.alpha.test")
        .pointer(ip("192.0.2.3"), "nobody.alpha.test")
        // Only the second of two names is its own.
        .pointer(ip("192.0.2.4"), "mail.alpha.test")
        .host(ip("192.0.2.4"), "four.alpha.test")
        // The name exists, but in the other family only.
        .pointer(ip("2001:db8::5"), "mail.alpha.test");
    let (address, _running) = serve(server).await;
    let dns = client(vec![address]);
    for (text, name) in [
        ("192.0.2.1", Some("mail.alpha.test")),
        ("::ffff:192.0.2.1", Some("mail.alpha.test")),
        ("2001:db8::1", Some("six.alpha.test")),
        ("192.0.2.2", None),
        ("192.0.2.3", None),
        ("192.0.2.4", Some("four.alpha.test")),
        ("2001:db8::5", None),
        ("192.0.2.99", None),
    ] {
        assert_eq!(dns.name_of(ip(text)).await, Ok(name.map(str::to_owned)), "{text}");
    }
}

#[tokio::test]
async fn odd_names_are_no_names_even_if_they_lead_back() {
    let odd = [
        "<script>alert(1)</script>.example",
        "a_b.example",
        "two words.example",
        "\"onload=x.example",
        "single",
    ];
    let mut server = NameServer::default();
    for (number, name) in odd.iter().enumerate() {
        server = server.host(ip(&format!("192.0.2.{number}")), name);
    }
    let (address, _running) = serve(server).await;
    let dns = client(vec![address]);
    for (number, name) in odd.iter().enumerate() {
        assert_eq!(dns.name_of(ip(&format!("192.0.2.{number}"))).await, Ok(None), "{name}");
    }
}

#[tokio::test]
async fn an_outage_is_not_taken_for_none() {
    let server = NameServer::default()
        .failing(ip("192.0.2.1"))
        .silent(ip("192.0.2.2"))
        .pointer(ip("192.0.2.3"), "three.alpha.test")
        .failing_back("three.alpha.test", ip("192.0.2.3"))
        .host(ip("192.0.2.4"), "four.alpha.test");
    let (address, running) = serve(server).await;
    let dns = client(vec![address]);
    let error = dns.name_of(ip("192.0.2.1")).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Dns(_)), "{error}");
    assert_eq!(error.to_string(), "DNS PTR 1.2.0.192.in-addr.arpa.: the name server failed (Server Failure)");
    let begin = Instant::now();
    let error = dns.name_of(ip("192.0.2.2")).await.unwrap_err();
    assert_eq!(error.cause, Cause::Timeout);
    assert!(begin.elapsed() < PATIENCE * 2, "{:?}", begin.elapsed());
    assert!(dns.name_of(ip("192.0.2.3")).await.is_err(), "the way back could not be asked for");
    assert_eq!(dns.name_of(ip("192.0.2.4")).await, Ok(Some("four.alpha.test".to_owned())));
    drop(running);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(client(vec![address]).name_of(ip("192.0.2.4")).await.is_err(), "nobody listens");
}

#[tokio::test]
async fn a_second_server_answers_where_the_first_is_away() {
    let away = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let server = NameServer::default().host(ip("192.0.2.4"), "four.alpha.test");
    let (address, _running) = serve(server).await;
    let dns = client(vec![away, address]);
    assert_eq!(dns.name_of(ip("192.0.2.4")).await, Ok(Some("four.alpha.test".to_owned())));
}

#[tokio::test]
async fn many_questions_wait_for_their_turn() {
    let mut server = NameServer::default();
    for number in 0..100 {
        server = server.host(ip(&format!("192.0.2.{number}")), &format!("h{number}.alpha.test"));
    }
    let counter = server.clone();
    let (address, _running) = serve(server).await;
    let dns = client(vec![address]);
    let asked = (0..100).map(|number| dns.name_of(ip(&format!("192.0.2.{number}"))));
    let found = futures_util::future::join_all(asked.collect::<Vec<_>>()).await;
    for (number, name) in found.into_iter().enumerate() {
        assert_eq!(name, Ok(Some(format!("h{number}.alpha.test"))));
    }
    assert!((200..=220).contains(&counter.asked()), "{}", counter.asked());
    assert_eq!(dns.name_of(ip("192.0.2.7")).await, Ok(Some("h7.alpha.test".to_owned())));
    assert!(counter.asked() <= 220, "the answer is remembered");
}

/// A report with one mail from each of these sources.
async fn report(db: &Db, at: Millis, sources: &[&str]) {
    let record = |source: &&str| Record {
        source: Some(ip(source)),
        source_text: None,
        count: 1,
        disposition: "none".to_owned(),
        dkim: Evaluation::Pass,
        spf: Evaluation::Pass,
        reasons: Vec::new(),
        header_from: "alpha.test".to_owned(),
        envelope_from: None,
        envelope_to: None,
        dkim_results: Vec::new(),
        spf_results: Vec::new(),
    };
    let report = Report {
        org: "bigmail.example".to_owned(),
        report_id: "1".to_owned(),
        begin: at,
        end: Millis(at.0 + 86_399_000),
        policy: Policy { domain: "alpha.test".to_owned(), ..Policy::default() },
        records: sources.iter().map(record).collect(),
        ..Report::default()
    };
    take(db, &Arrival { at, via: "test".to_owned(), ..Arrival::default() }, xml(&report).as_bytes()).await;
}

async fn known(db: &Db, source: &str) -> Option<String> {
    let span = Span { from: Millis(0), to: Millis(i64::MAX / 2), horizon: Millis(i64::MAX), domain: None };
    reports::source(db, &Scope::All, ip(source), &span).await.unwrap().unwrap().source.name
}

#[tokio::test]
async fn sources_get_their_names_once_a_week() {
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        let now = Millis::from_secs(1_795_000_000);
        let after = |days: i64| Millis(now.0 + days * 86_400_000);
        report(&db, Millis(now.0 - 86_400_000), &["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3"])
            .await;
        let server = NameServer::default()
            .host(ip("192.0.2.1"), "one.alpha.test")
            .host(ip("2001:db8::1"), "six.alpha.test")
            .failing(ip("192.0.2.3"));
        let counter = server.clone();
        let (address, running) = serve(server).await;
        let dns = client(vec![address]);
        assert_eq!(names::refresh(&db, &dns, now).await.unwrap(), 4);
        assert_eq!(known(&db, "192.0.2.1").await.as_deref(), Some("one.alpha.test"));
        assert_eq!(known(&db, "2001:db8::1").await.as_deref(), Some("six.alpha.test"));
        assert_eq!((known(&db, "192.0.2.2").await, known(&db, "192.0.2.3").await), (None, None));
        // Nothing is asked twice, but what failed, and that on the next day.
        let asked = counter.asked();
        assert_eq!(names::refresh(&db, &dns, now.plus(Duration::from_secs(3_600))).await.unwrap(), 0);
        assert_eq!(counter.asked(), asked);
        assert_eq!(names::refresh(&db, &dns, Millis(after(1).0 + 1_000)).await.unwrap(), 1);
        // An outage is told, and takes no name away.
        drop(running);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let error = names::refresh(&db, &client(vec![address]), after(8)).await.unwrap_err();
        assert!(matches!(error, names::Error::Remote(_)), "{error}");
        assert_eq!(known(&db, "192.0.2.1").await.as_deref(), Some("one.alpha.test"));
        // A failing name server takes no known name away, and is asked again within the hour.
        let ill = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
        let ill = ill.into_iter().fold(NameServer::default(), |server, source| server.failing(ip(source)));
        let (address, _running) = serve(ill.host(ip("2001:db8::1"), "six.alpha.test")).await;
        let hours = |hours: u32| after(8).plus(Duration::from_secs(3_600) * hours);
        let dns = client(vec![address]);
        assert_eq!(names::refresh(&db, &dns, after(8)).await.unwrap(), 4);
        assert_eq!(known(&db, "192.0.2.1").await.as_deref(), Some("one.alpha.test"));
        assert_eq!(known(&db, "192.0.2.2").await, None, "it never had one");
        assert_eq!(names::refresh(&db, &dns, hours(2)).await.unwrap(), 1, "only what has a name to lose");
        assert_eq!(known(&db, "192.0.2.1").await.as_deref(), Some("one.alpha.test"));
        let (address, _running) = serve(NameServer::default().host(ip("192.0.2.1"), "new.alpha.test")).await;
        assert_eq!(names::refresh(&db, &client(vec![address]), hours(4)).await.unwrap(), 1);
        assert_eq!(known(&db, "192.0.2.1").await.as_deref(), Some("new.alpha.test"));
        // After a week, a name is looked up again; who has none by then loses it.
        let (address, _running) = serve(NameServer::default().host(ip("192.0.2.2"), "two.alpha.test")).await;
        assert_eq!(names::refresh(&db, &client(vec![address]), after(16)).await.unwrap(), 4);
        assert_eq!(known(&db, "192.0.2.1").await, None);
        assert_eq!(known(&db, "192.0.2.2").await.as_deref(), Some("two.alpha.test"));
    }
}
