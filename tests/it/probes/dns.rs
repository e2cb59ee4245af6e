//! The DNS health of domains, asked of a real name server, with Mailcow's keys and a real policy server.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use mailcow_status::{
    demo::{NameServer, authority::Authority},
    metrics::{
        collector::{Run, run},
        modules,
        sources::{Memory, Probes, Reach, SOURCES},
    },
    model::{
        mail::ServerId,
        sample::State,
        time::{Clock, Millis},
    },
    remote::{
        dns::{self, Dns},
        http::{self, Http},
        mailcow,
        mailcow::Mailcow,
    },
    store::{Db, db::Place},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Semaphore,
};
use tokio_util::sync::DropGuard;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

use super::servers::authority;
use crate::dns::serve;

const KEY: &str = "v=DKIM1;k=rsa;t=s;s=email;p=MIIBIjANBgkq";
const DOMAINS: [&str; 4] = ["alpha.test", "beta.test", "gamma.test", "delta.test"];

/// Everything is as it should be in alpha; beta has faults; gamma's servers fail; delta has nothing at all.
fn world() -> NameServer {
    let long = format!("v=DKIM1; k=rsa; p=MIIBIjAN Bgkq; n={}", "x".repeat(400));
    NameServer::default()
        .host("203.0.113.5".parse().unwrap(), "mail.alpha.test")
        .tlsa("mail.alpha.test", [3, 1, 1], &[7; 32])
        .exchange("alpha.test", 10, "mail.alpha.test")
        .text("alpha.test", "some=verification")
        .text("alpha.test", "v=spf1 mx include:spf.alpha.test -all")
        .text("spf.alpha.test", "v=spf1 ip4:192.0.2.0/24 -all")
        .text("dkim._domainkey.alpha.test", &long)
        .text("_dmarc.alpha.test", "v=DMARC1; p=reject")
        .text("_mta-sts.alpha.test", "v=STSv1; id=1")
        .address("mta-sts.alpha.test", "127.0.0.1".parse().unwrap())
        .text("_smtp._tls.alpha.test", "v=TLSRPTv1; rua=mailto:tls@alpha.test")
        .text("default._bimi.alpha.test", "v=BIMI1; l=https://alpha.test/x.svg")
        .exchange("beta.test", 10, "mail.alpha.test")
        .exchange("beta.test", 20, "backup.beta.test")
        .text("beta.test", "v=spf1 a -all")
        .text("beta.test", "v=spf1 mx -all")
        .text("dkim._domainkey.beta.test", "v=DKIM1; p=AAAA")
        .text("_dmarc.beta.test", "v=DMARC1; p=maybe")
        .text("_mta-sts.beta.test", "v=STSv1; id=1")
        .address("mta-sts.beta.test", "127.0.0.1".parse().unwrap())
        .exchange("gamma.test", 10, "mail.alpha.test")
        .failing_text("gamma.test")
        .silent_text("_dmarc.gamma.test")
        .failing_text("dkim._domainkey.gamma.test")
}

/// Serves the policy file of alpha only; its certificate is for both domains' hosts.
async fn policies(authority: &Authority) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = authority.certify("mta-sts.alpha.test", (-1, 30)).unwrap().acceptor().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 2000];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /.well-known/mta-sts.txt "));
            let body = "version: STSv1\r\nmode: enforce\r\nmx: mail.alpha.test\r\nmax_age: 86400\r\n";
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    port
}

async fn api() -> MockServer {
    let server = MockServer::start().await;
    let domains: Vec<_> =
        DOMAINS.iter().map(|name| serde_json::json!({"domain_name": name, "active": 1})).collect();
    let mount = |at: String, body: serde_json::Value| {
        Mock::given(path(at)).respond_with(ResponseTemplate::new(200).set_body_json(body)).mount(&server)
    };
    mount("/api/v1/get/domain/all".to_owned(), domains.into()).await;
    for name in DOMAINS {
        let key = match name {
            "delta.test" => serde_json::json!({}),
            _ => {
                serde_json::json!({"dkim_selector": "dkim", "dkim_txt": KEY, "length": "2048", "privkey": ""})
            }
        };
        mount(format!("/api/v1/get/dkim/{name}"), key).await;
    }
    server
}

struct Rig {
    reach: Reach,
    _api: MockServer,
    _names: DropGuard,
    _dir: tempfile::TempDir,
}

async fn rig(names: NameServer, block_lists: &[&str]) -> Rig {
    let (authority, api, dir) = (authority(), api().await, tempfile::tempdir().unwrap());
    let (address, names) = serve(names).await;
    let settings = dns::Settings { servers: vec![address], patience: Duration::from_millis(600) };
    let dns = Arc::new(Dns::new(&settings).unwrap());
    let trusting = http::Settings { roots_pem: Some(authority.pem.clone()), ..http::Settings::default() };
    let settings = mailcow::Settings {
        base: api.uri().parse().unwrap(),
        key: "AAAAAA-BBBBBB".to_owned().into(),
        http: http::Settings::default(),
    };
    let probes = Probes {
        host: Some("mail.alpha.test".to_owned()),
        via: None,
        ports: Vec::new(),
        relay: false,
        block_lists: block_lists.iter().map(|&list| list.to_owned()).collect(),
        memcached: None,
        clamd: None,
        tls: None,
        dns: Ok(Arc::clone(&dns)),
        releases: None,
        public: Http::by_names_of(dns, &trusting),
        policy_port: policies(&authority).await,
        web: Http::new(&http::Settings::default()).map(|http| (http, api.uri().parse().unwrap())),
    };
    let reach = Reach {
        db: Db::open(&Place::Sqlite(dir.path().join("x.sqlite"))).await.unwrap(),
        mailcow: Arc::new(Mailcow::new(&settings, Clock::system()).unwrap()),
        server: ServerId(1),
        clock: Clock::system(),
        collector_file: None,
        containers_off: Vec::new(),
        collector_posts: false,
        probes,
        hostname: "mail.alpha.test".to_owned(),
        time_zone: "UTC".to_owned(),
        started: Millis::now(),
        memory: Memory::default(),
    };
    Rig { reach, _api: api, _names: names, _dir: dir }
}

async fn collect(rig: &Rig, name: &str) -> Run {
    let source = SOURCES.iter().find(|source| source.name == name).unwrap();
    let run = run(source, &rig.reach, &rig.reach.clock, &Semaphore::new(1)).await;
    let told: BTreeSet<&str> = run.samples.list().iter().map(|sample| sample.metric).collect();
    for metric in source.metrics() {
        let has = told.contains(metric.key);
        assert!(has || !metric.labels.is_empty(), "{} is not told", metric.key);
    }
    run
}

fn state(run: &Run, key: &str, labels: &str) -> State {
    let mut samples = run.samples.list().iter();
    let found = samples.find(|sample| sample.metric == key && sample.labels.text() == labels);
    found.unwrap_or_else(|| panic!("{key} {labels} is not told")).state.clone()
}

fn check(run: &Run, domain: &str, check: &str) -> State {
    state(run, "portal.dns.check[{#DOMAIN},{#CHECK}]", &format!("domain={domain}\ncheck={check}"))
}

fn detail(run: &Run, domain: &str) -> String {
    match state(run, "portal.dns.detail[{#DOMAIN}]", &format!("domain={domain}")) {
        State::Text(text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_domain_gets_its_verdicts() {
    let rig = rig(world(), &[]).await;
    let run = collect(&rig, "dns").await;
    assert_eq!(run.error, None);
    let told: BTreeSet<&str> = run.samples.list().iter().map(|sample| sample.metric).collect();
    let source = SOURCES.iter().find(|source| source.name == "dns").unwrap();
    assert!(
        modules::of(source.origins).all(|metric| told.contains(metric.key)),
        "all that is declared is told"
    );
    assert_eq!(detail(&run, "alpha.test"), "OK");
    assert_eq!(state(&run, "portal.dns.score[{#DOMAIN}]", "domain=alpha.test"), State::Number(7.0));
    let beta = detail(&run, "beta.test");
    for words in [
        "SPF: 2 records where one is allowed",
        "DKIM: another key than Mailcow's",
        "DMARC: unknown policy maybe",
        "DANE: backup.beta.test: no record",
        "MTA-STS: the policy file cannot be had: the secure connection failed",
        "TLS-RPT: no record",
        "BIMI: no record",
        "MX: backup.beta.test has no address",
    ] {
        assert!(beta.contains(words), "{words:?} is not in {beta:?}");
    }
    assert_eq!(state(&run, "portal.dns.score[{#DOMAIN}]", "domain=beta.test"), State::Number(0.0));
    for failed in ["SPF", "DKIM", "DMARC"] {
        assert!(
            matches!(check(&run, "gamma.test", failed), State::Unknown(_)),
            "{failed}: an outage is not missing"
        );
    }
    assert_eq!(check(&run, "gamma.test", "BIMI"), State::Number(0.0));
    assert!(matches!(state(&run, "portal.dns.score[{#DOMAIN}]", "domain=gamma.test"), State::Unknown(_)));
    assert!(detail(&run, "delta.test").contains("DKIM: Mailcow has no key for it"));
    assert_eq!(check(&run, "delta.test", "MX"), State::Number(0.0));
    // Of all together.
    for key in ["mailcow.dns.spf.exists", "mailcow.dns.dkim.exists", "mailcow.security.bimi.exists"] {
        assert_eq!(state(&run, key, ""), State::Number(0.0), "{key}");
    }
    assert_eq!(state(&run, "mailcow.security.dane.exists", ""), State::Number(1.0));
    assert_eq!(state(&run, "mailcow.security.audit.score", ""), State::Number(0.0), "the worst domain's");
    let State::Text(missing) = state(&run, "mailcow.security.audit.detail", "") else { panic!("no text") };
    assert!(missing.contains("beta.test:SPF DKIM DMARC DANE MTA-STS TLS-RPT BIMI, "), "{missing}");
    assert_eq!(state(&run, "mailcow.dns.ptr.valid", ""), State::Number(1.0));
    assert_eq!(state(&run, "portal.dns.ptr[{#ADDRESS}]", "address=203.0.113.5"), State::Number(1.0));
    let missing = "beta.test:SPF DKIM DMARC, gamma.test:SPF? DKIM? DMARC?, delta.test:SPF DKIM DMARC";
    assert_eq!(state(&run, "mailcow.dns.detail", ""), State::from(missing));
}

#[tokio::test]
async fn a_record_may_let_everybody_send_by_another() {
    let names = NameServer::default()
        .text("alpha.test", "v=spf1 redirect=spf.provider.test")
        .text("beta.test", "v=spf1 mx include:spf.provider.test -all")
        .text("gamma.test", "v=spf1 ?include:spf.provider.test -all")
        .text("spf.provider.test", "v=spf1 ip4:192.0.2.0/24 include:all.provider.test -all")
        .text("all.provider.test", "v=spf1 +all");
    let run = collect(&rig(names, &[]).await, "dns").await;
    for domain in ["alpha.test", "beta.test"] {
        assert_eq!(check(&run, domain, "SPF"), State::Number(0.0), "{domain}");
        assert!(detail(&run, domain).contains("SPF: lets everybody send"), "{domain}");
    }
    assert_eq!(check(&run, "gamma.test", "SPF"), State::Number(1.0));
}

#[tokio::test]
async fn without_an_answer_nothing_is_known() {
    let away = NameServer::default().failing("203.0.113.5".parse().unwrap());
    let rig = rig(away, &[]).await;
    // Nobody listens any more.
    let Rig { reach, _api, _names, _dir } = rig;
    drop(_names);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let source = SOURCES.iter().find(|source| source.name == "dns").unwrap();
    let run = run(source, &reach, &reach.clock, &Semaphore::new(1)).await;
    assert!(run.error.is_some());
    assert!(matches!(state(&run, "mailcow.dns.spf.exists", ""), State::Unknown(_)));
    assert!(matches!(state(&run, "mailcow.dns.ptr.valid", ""), State::Unknown(_)));
}

#[tokio::test]
async fn the_reverse_name_is_that_of_the_host() {
    let other = NameServer::default()
        .address("mail.alpha.test", "203.0.113.5".parse().unwrap())
        .host("203.0.113.5".parse().unwrap(), "static-5.provider.test");
    let run = collect(&rig(other, &[]).await, "dns").await;
    assert_eq!(state(&run, "mailcow.dns.ptr.valid", ""), State::Number(0.0));
    assert_eq!(state(&run, "portal.dns.ptr[{#ADDRESS}]", "address=203.0.113.5"), State::Number(1.0));
    let private = NameServer::default().host("172.22.1.253".parse().unwrap(), "mail.alpha.test");
    let run = collect(&rig(private, &[]).await, "dns").await;
    assert!(
        matches!(state(&run, "mailcow.dns.ptr.valid", ""), State::Unknown(_)),
        "the Internet sees another"
    );
}

#[tokio::test]
async fn block_lists_are_understood() {
    let ip = |text: &str| text.parse().unwrap();
    let world = world()
        .address("2.0.0.127.good.test", ip("127.0.0.2"))
        .address("2.0.0.127.zen.spamhaus.org", ip("127.0.0.2"))
        .address("5.113.0.203.zen.spamhaus.org", ip("127.0.0.4"))
        .address("2.0.0.127.refusing.test", ip("127.255.255.254"));
    let lists = ["good.test", "zen.spamhaus.org", "refusing.test", "dead.test"];
    let run = collect(&rig(world.clone(), &lists).await, "block-lists").await;
    let listed =
        |run: &Run, list: &str| state(run, "portal.blocklist.listed[{#LIST}]", &format!("list={list}"));
    assert_eq!(listed(&run, "good.test"), State::Number(0.0));
    assert_eq!(listed(&run, "zen.spamhaus.org"), State::Number(1.0));
    assert!(matches!(listed(&run, "refusing.test"), State::Unknown(_)), "a refusal is no listing");
    assert!(matches!(listed(&run, "dead.test"), State::Unknown(_)), "a dead list is no clean one");
    assert_eq!(state(&run, "mailcow.security.rbl.listed", ""), State::Number(1.0));
    let run = collect(&rig(world, &lists[2..]).await, "block-lists").await;
    assert!(matches!(state(&run, "mailcow.security.rbl.listed", ""), State::Unknown(_)));
    // No third party is asked unless it is named.
    let unasked = NameServer::default().host(ip("203.0.113.5"), "mail.alpha.test");
    let counter = unasked.clone();
    let run = collect(&rig(unasked, &[]).await, "block-lists").await;
    assert!(matches!(state(&run, "mailcow.security.rbl.listed", ""), State::NotInUse(_)));
    assert_eq!((run.error, counter.asked()), (None, 0));
}

#[tokio::test]
async fn what_is_not_granted_is_not_in_use() {
    let mut rig = rig(NameServer::default(), &[]).await;
    rig.reach.probes.host = None;
    for name in ["ports", "certificates", "dns", "relay", "block-lists", "memcached", "clamd"] {
        let run = collect(&rig, name).await;
        assert_eq!(run.error, None, "{name}");
        let own = ["portal.source.up[{#SOURCE}]", "portal.source.seconds[{#SOURCE}]"];
        let mut states = run.samples.list().iter().filter(|sample| !own.contains(&sample.metric));
        assert!(states.all(|sample| matches!(sample.state, State::NotInUse(_))), "{name}");
    }
}
