//! Names of addresses, asked of a name server over a real socket: confirmed ones only, and no outage taken for "none".

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use mailcow_status::{
    demo::NameServer,
    remote::{
        Cause,
        dns::{Dns, Settings},
    },
};
use tokio::net::UdpSocket;
use tokio_util::sync::{CancellationToken, DropGuard};

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
    for number in 0..odd.len() {
        assert_eq!(dns.name_of(ip(&format!("192.0.2.{number}"))).await, Ok(None), "{}", odd[number]);
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
