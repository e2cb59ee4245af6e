//! Each source on a reply: the keys that it sets are those that it declares.

use std::collections::BTreeSet;

use super::*;
use crate::{
    metrics::{
        collector_file::CollectorFile,
        exports, modules,
        registry::{Kind, Metric},
        samples::Samples,
    },
    model::sample::State,
    store::{
        fresh,
        samples::{Batch, Book},
    },
};

const NOW: Millis = Millis::from_secs(1_795_200_000);

fn samples(tell: impl FnOnce(&mut Samples)) -> Samples {
    let mut out = Samples::new(NOW);
    tell(&mut out);
    out
}

/// The told metrics are the declared ones; `apart` are those that this reply cannot tell.
fn complete(origins: &[Origin], samples: &Samples, apart: &[&Metric]) {
    let told: BTreeSet<&str> = samples.list().iter().map(|sample| sample.metric).collect();
    let apart: BTreeSet<&str> = apart.iter().map(|metric| metric.key).collect();
    let declared: BTreeSet<&str> = modules::of(origins).map(|metric| metric.key).collect();
    let expected: BTreeSet<&str> = declared.difference(&apart).copied().collect();
    assert_eq!(told, expected);
}

fn is(samples: &Samples, metric: &Metric) -> State {
    samples.list().iter().find(|sample| sample.metric == metric.key).unwrap().state.clone()
}

fn number(samples: &Samples, metric: &Metric) -> f64 {
    is(samples, metric).number().unwrap_or_else(|| panic!("{}: {:?}", metric.key, is(samples, metric)))
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap()
}

#[test]
fn every_metric_has_one_source_or_is_somebody_elses() {
    let mut owners: Vec<Origin> = SOURCES.iter().flat_map(|source| source.origins.iter().copied()).collect();
    let count = owners.len();
    owners.sort();
    owners.dedup();
    assert_eq!(owners.len(), count, "an origin has two sources");
}

/// A new source needs its reply here, or a test beside it: what it sets is what it declares.
#[test]
fn the_keys_of_every_source_are_checked() {
    let here = include_str!("tests.rs");
    // The log and the host have tests of their own, and DNS one with a real name server.
    let elsewhere = [Origin::PostfixLog, Origin::Docker, Origin::HostFiles, Origin::Host, Origin::Dns];
    for origin in SOURCES.iter().flat_map(|source| source.origins) {
        let checked = here.contains(&format!("complete(&[Origin::{origin:?}]"));
        assert_ne!(checked, elsewhere.contains(origin), "{origin:?}");
    }
}

#[test]
fn the_version() {
    use modules::updates as m;
    let out = samples(|out| super::status::tell_version("2026-08".to_owned(), out));
    complete(&[Origin::Version], &out, &[]);
    assert_eq!(is(&out, &m::VERSION_CURRENT), State::from("2026-08"));
    let silent = samples(|out| super::status::tell_version(String::new(), out));
    assert!(matches!(is(&silent, &m::VERSION_CURRENT), State::Unknown(_)), "nothing is no version");
}

#[test]
fn the_releases() {
    use crate::remote::releases::Distance;
    use modules::updates as m;
    let distance = |behind| Ok(Distance { behind, made: "2026-08-18T23:12:44Z".parse().unwrap() });
    let behind = samples(|out| super::releases::tell("2026-10", "2026-08", distance(37), out));
    complete(&[Origin::Releases], &behind, &[]);
    assert_eq!(number(&behind, &m::UPDATES_COMMITS_BEHIND), 37.0);
    assert_eq!(is(&behind, &m::UPDATES_AVAILABLE), State::from(true));
    assert_eq!(is(&behind, &m::VERSION_DATE), State::from("2026-08-18"));
    assert_eq!(is(&behind, &m::VERSION_LATEST), State::from("2026-10"));
    let ahead = samples(|out| super::releases::tell("2026-10", "2026-11a", distance(0), out));
    assert_eq!(is(&ahead, &m::UPDATES_AVAILABLE), State::from(false), "another name is not a newer one");
    let lost = |installed: &str| {
        samples(|out| super::releases::tell("2026-10", installed, Err("no such version".to_owned()), out))
    };
    complete(&[Origin::Releases], &lost("2026-10"), &[]);
    assert_eq!(is(&lost("2026-10"), &m::UPDATES_AVAILABLE), State::from(false));
    for metric in [&m::UPDATES_AVAILABLE, &m::UPDATES_COMMITS_BEHIND, &m::VERSION_DATE] {
        assert_eq!(is(&lost("x"), metric), State::Unknown("no such version".to_owned()), "{}", metric.key);
    }
}

#[test]
fn the_log_of_dovecot() {
    let mut memory = super::dovecot_log::Memory::default();
    let unread = samples(|out| memory.tell(NOW, out));
    complete(&[Origin::DovecotLog], &unread, &[]);
    assert!(unread.list().iter().all(|sample| matches!(sample.state, State::Unknown(_))), "nothing was read");
}

#[test]
fn containers() {
    let reply = json(
        r#"{"postfix-mailcow":{"state":"running","started_at":"2026-11-20T17:40:00.5Z","image":"ghcr.io/mailcow/postfix:3.10.12-1"},
        "postfix-tlspol-mailcow":{"state":"exited","started_at":"2026-11-20T17:40:00Z","image":"x/postfix-tlspol:1.8.22"},
        "dovecot-mailcow":{"state":"running","started_at":"2026-11-20T10:40:00Z","image":"mailcow/dovecot:2.33"},
        "rspamd-mailcow":{"state":"restarting","started_at":"","image":"rspamd"}}"#,
    );
    let out = samples(|out| super::containers::tell(&reply, &[], &[], NOW, out));
    complete(&[Origin::Containers], &out, &[]);
    use modules::{clamav, docker, dovecot, postfix, rspamd, updates};
    assert_eq!(number(&out, &postfix::PROCESS_RUNNING), 1.0);
    assert_eq!(number(&out, &rspamd::RUNNING), 0.0);
    assert!(matches!(is(&out, &clamav::RUNNING), State::NotInUse(_)), "no such container is no alarm");
    assert_eq!((number(&out, &docker::TOTAL), number(&out, &docker::RUNNING)), (4.0, 2.0));
    assert_eq!(is(&out, &updates::CONTAINER_VERSION_POSTFIX), State::from("3.10.12"));
    assert!(matches!(is(&out, &dovecot::VERSION), State::Unknown(_)), "an old tag tells no version");
}

#[test]
fn the_queue() {
    let reply: Vec<_> = json(
        r#"[{"queue_name":"deferred","queue_id":"499CF9E0116","arrival_time":1795110000},
        {"queue_name":"deferred","queue_id":"105C89E0115","arrival_time":1795199000},
        {"queue_name":"active","queue_id":"A","arrival_time":1795000000},{"queue_name":"hold","arrival_time":5}]"#,
    );
    let out = samples(|out| super::mail_queue::tell(&reply, NOW, out));
    complete(&[Origin::MailQueue], &out, &[]);
    use modules::postfix as m;
    assert_eq!((number(&out, &m::PFMAILQ), number(&out, &m::QUEUE_DEFERRED)), (4.0, 2.0));
    assert_eq!(number(&out, &m::QUEUE_AGE_OLDEST_HOURS), 25.0, "of the deferred ones, by arrival");
    let empty = samples(|out| super::mail_queue::tell(&[], NOW, out));
    assert_eq!((number(&empty, &m::PFMAILQ), number(&empty, &m::QUEUE_AGE_OLDEST_HOURS)), (0.0, 0.0));
}

#[test]
fn rspamd_counters() {
    let reply = json(
        r#"{"version":"4.1.4","uptime":887,"scanned":40,"learned":12,"actions":{"reject":5,"soft reject":2,
        "rewrite subject":0,"add header":3,"greylist":3,"no action":27},"statfiles":[
        {"symbol":"BAYES_SPAM","revision":150},{"symbol":"BAYES_HAM","revision":450}]}"#,
    );
    let out = samples(|out| super::rspamd::tell(&reply, &[], NOW, out));
    complete(&[Origin::RspamdStats], &out, &[]);
    use modules::rspamd as m;
    assert_eq!(number(&out, &m::BAYES_RATIO), 75.0);
    assert!(matches!(is(&out, &m::SPAM_RATE), State::Unknown(_)), "nothing is known of an hour ago");
    assert_eq!(is(&out, &m::BAYES_STATUS), State::from("good"));
    let silent = samples(|out| super::rspamd::tell(&json("{}"), &[], NOW, out));
    complete(&[Origin::RspamdStats], &silent, &[]);
    assert!(
        matches!(is(&silent, &m::SCANNED), State::Unknown(_))
            && matches!(is(&silent, &m::BAYES_STATUS), State::Unknown(_))
    );
}

#[test]
fn the_mail_store_and_the_host() {
    let full = json(r#"{"disk":"/dev/vda","used":"29G","total":"271G","used_percent":"30%"}"#);
    let out = samples(|out| super::status::tell_vmail(&full, out));
    complete(&[Origin::Vmail], &out, &[]);
    use modules::{disk, host};
    assert_eq!(number(&out, &disk::VMAIL_USED), 30.0);
    assert_eq!(
        number(&out, &disk::VMAIL_FREE),
        number(&out, &disk::VMAIL_TOTAL) - (29e9_f64 / 1024.0).floor()
    );
    let failed = json(r#"{"disk":"","used":null,"total":null,"used_percent":null}"#);
    let out = samples(|out| super::status::tell_vmail(&failed, out));
    complete(&[Origin::Vmail], &out, &[]);
    assert!(matches!(is(&out, &disk::VMAIL_EXISTS), State::Unknown(_)), "a failed call is no missing folder");
    let machine = json(
        r#"{"cpu":{"cores":2,"usage":63.1},"memory":{"total":25276510208,"usage":4.8,"swap":[0,0,0,0,0,0]},"uptime":2468.7}"#,
    );
    let out = samples(|out| super::status::tell_machine(&machine, out));
    complete(&[Origin::Machine], &out, &[]);
    assert!(matches!(is(&out, &host::SWAP), State::NotInUse(_)));
}

#[test]
fn a_file_of_the_future_is_not_of_the_present() {
    let tell = |ahead: i64| {
        let text = format!(r#"{{"timestamp":{}}}"#, NOW.secs() + ahead);
        super::host_file::tell(text.as_bytes(), NOW, &mut Samples::new(NOW))
    };
    assert!(tell(60).is_ok() && tell(-300).is_ok());
    assert!(tell(61).is_err() && tell(86_400).is_err() && tell(-301).is_err());
}

/// What is told, stored and read again: as others get it.
#[tokio::test]
async fn json_of_many_mailboxes_stays_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = 0;
    for db in fresh::databases(&dir).await {
        for count in [500, 5000] {
            let reply: Vec<_> = (0..count)
                .map(|n| {
                    json(&format!(
                        r#"{{"username":"somebody.{n:05}@department.example.org","domain":"department.example.org",
                        "active":1,"quota":3221225472,"quota_used":900000000}}"#
                    ))
                })
                .collect();
            let mut out = samples(|out| super::mailboxes::tell(&reply, out));
            out.keep(modules::all().filter(|metric| metric.kind == Kind::Json));
            server += 1;
            let batch = Batch {
                server: ServerId(server),
                source: "mailboxes",
                at: NOW,
                took: Duration::ZERO,
                period: Duration::from_secs(300),
                error: None,
                samples: out.list(),
            };
            Book::default().append(&db, batch).await.unwrap();
            let list = exports::present(&db, ServerId(server), NOW).await.unwrap();
            let object = exports::json::object(&list, NOW);
            let mut file = CollectorFile::of(&Samples::new(NOW), NOW);
            file.add_portal(object["values"].as_object().unwrap().clone());
            let file: serde_json::Value = json(&file.text());
            for metric in [&modules::mailboxes::LLD_MAILBOXES, &modules::mailboxes::LLD_MAILBOX_DATA] {
                let text = object["values"][metric.key].as_str().unwrap();
                let found: serde_json::Value = json(text);
                let length = found.as_array().map(Vec::len).or(found.as_object().map(serde_json::Map::len));
                assert_eq!(length, Some(count), "{}", metric.key);
                assert_eq!(file[metric.key], text);
            }
        }
    }
}

#[test]
fn mailboxes_domains_and_aliases() {
    use modules::{mailboxes as m, security};
    let reply: Vec<_> = json(
        r#"[{"username":"ann@a.test","domain":"a.test","active":1,"quota":1048576000,"quota_used":900000000},
        {"username":"bob@a.test","domain":"a.test","active":2,"quota":0,"quota_used":"5"},
        {"username":"cat@a.test","domain":"a.test","active":1,"quota":0,"quota_used":7}]"#,
    );
    let out = samples(|out| super::mailboxes::tell(&reply, out));
    complete(&[Origin::Mailboxes], &out, &[]);
    assert_eq!((number(&out, &m::MAILBOX_TOTAL), number(&out, &m::MAILBOX_ACTIVE)), (3.0, 2.0));
    assert_eq!((number(&out, &m::MAILBOX_UNLIMITED), number(&out, &m::MAILBOX_OVER_QUOTA)), (1.0, 1.0));
    assert_eq!(is(&out, &m::MAILBOX_OVER_DETAIL), State::from("ann@a.test:85%"));
    let unknown: Vec<_> = json(r#"[{"username":"ann@a.test","active":1,"quota":5}]"#);
    let out = samples(|out| super::mailboxes::tell(&unknown, out));
    assert!(matches!(is(&out, &m::MAILBOX_QUOTA_USED_TOTAL), State::Unknown(_)));

    let reply: Vec<_> = json(
        r#"[{"domain_name":"a.test","active":1,"mboxes_in_domain":3,"max_quota_for_domain":10485760,"bytes_total":"5242880"},
        {"domain_name":"b.test","active":0,"mboxes_in_domain":0,"max_quota_for_domain":0,"bytes_total":0}]"#,
    );
    let out = samples(|out| super::domains::tell(&reply, out));
    complete(&[Origin::Domains], &out, &[]);
    assert_eq!(
        (is(&out, &m::DOMAIN_LIST), is(&out, &security::DNS_DOMAINS)),
        (State::from("a.test"), State::from("a.test"))
    );
    assert_eq!(number(&out, &m::EACH_DOMAIN_USAGE_PCT), 50.0);

    let reply: Vec<_> = json(
        r#"[{"address":"i@a.test","goto":"ann@a.test","active":1,"internal":1},
        {"address":"n@a.test","goto":"null@localhost","active":1,"internal":0},{"address":"o@a.test","goto":"x@y.test","active":0,"internal":0}]"#,
    );
    let out = samples(|out| super::aliases::tell(&reply, out));
    complete(&[Origin::Aliases], &out, &[]);
    let counts =
        [&m::ALIAS_TOTAL, &m::ALIAS_ACTIVE, &m::ALIAS_INACTIVE, &m::ALIAS_FORWARDING, &m::ALIAS_INTERNAL];
    assert_eq!(counts.map(|metric| number(&out, metric)), [3.0, 2.0, 1.0, 1.0, 1.0]);
}

#[test]
fn sync_jobs_and_quarantine() {
    use modules::{quarantine as q, sync_jobs as m};
    let jobs: Vec<_> = json(
        r#"[{"id":1,"user2":"ann@a.test","host1":"old.test","active":1,"is_running":0,"last_run":"2026-11-20 18:00:00","success":1,"exit_status":"EX_OK"},
        {"id":2,"user2":"bob@a.test","host1":"old.test","active":1,"is_running":1,"last_run":"2026-11-18 18:00:00","success":null},
        {"id":3,"user2":"cat@a.test","host1":"old.test","active":1,"is_running":0,"last_run":null,"success":null},
        {"id":4,"user2":"cat@a.test","host1":"old.test","active":0,"is_running":0,"last_run":"2026-11-20 17:00:00","success":0,"exit_status":"EX_X"}]"#,
    );
    let seen = std::collections::HashMap::from([(2, NOW.minus(Duration::from_secs(25 * 3600)))]);
    let out = samples(|out| super::sync_jobs::tell(&jobs, &Default::default(), Some(0), NOW, out));
    complete(&[Origin::SyncJobs], &out, &[]);
    let counts = [&m::ACTIVE, &m::RUNNING, &m::FAILED, &m::NEVER_RUN, &m::STUCK];
    assert_eq!(
        counts.map(|metric| number(&out, metric)),
        [3.0, 1.0, 1.0, 1.0, 0.0],
        "just seen running is not stuck"
    );
    assert_eq!(number(&out, &m::OLDEST_RUN), 48.0, "the least recent one");
    let out = samples(|out| super::sync_jobs::tell(&jobs, &seen, Some(0), NOW, out));
    assert_eq!(number(&out, &m::STUCK), 1.0);

    let entries: Vec<_> = json(
        r#"[{"rcpt":"ann@a.test","action":"reject","virus_flag":0,"created":1795197563},
        {"rcpt":"bob@a.test","action":"reject","virus_flag":3,"created":1795100000}]"#,
    );
    let out = samples(|out| super::quarantine::tell(&entries, NOW, out));
    complete(&[Origin::Quarantine], &out, &[]);
    assert_eq!([&q::TOTAL, &q::SPAM, &q::VIRUS].map(|metric| number(&out, metric)), [2.0, 1.0, 1.0]);
    assert_eq!((number(&out, &q::AGE_OLDEST_HOURS), number(&out, &q::AGE_NEWEST_HOURS)), (27.0, 0.0));
    assert_eq!(is(&out, &q::TOP_DOMAINS), State::from("a.test:2"));
    let empty = samples(|out| super::quarantine::tell(&[], NOW, out));
    assert!(matches!(is(&empty, &q::AGE_OLDEST_HOURS), State::NotInUse(_)));
}

#[test]
fn the_watchdog() {
    use modules::watchdog as m;
    let rows: Vec<_> = json(
        r#"[{"time":"1795199990","service":"Postfix","lvl":"88"},{"time":"1795199990","message":"Sent notification"},
        {"time":"1795199980","service":"Postfix","lvl":"100"},{"time":"1795199900","service":"Clamd","lvl":"40"},
        {"time":"1795199900","service":"Fail2ban","lvl":"0"},{"time":"1795190000","service":"Redis","lvl":"0"}]"#,
    );
    let out = samples(|out| super::watchdog::tell(&rows, NOW, out));
    complete(&[Origin::Watchdog], &out, &[]);
    assert_eq!((number(&out, &m::POSTFIX), number(&out, &m::FAIL2BAN)), (88.0, 0.0));
    assert!(matches!(is(&out, &m::REDIS), State::Unknown(_)), "what is older than ten minutes is not known");
    assert!(matches!(is(&out, &m::OLEFY), State::NotInUse(_)));
    assert_eq!(
        (number(&out, &m::OVERALL), number(&out, &m::UNHEALTHY)),
        (40.0, 2.0),
        "Clamd counts, a ban does not"
    );
    let silent = samples(|out| super::watchdog::tell(&[], NOW, out));
    assert!(matches!(is(&silent, &m::OVERALL), State::Unknown(_)), "no data is no alarm and no peace");
}

#[test]
fn bans_and_their_services() {
    use modules::security as m;
    let bans = json(
        r#"{"regex":{"1":"UI: Invalid password","3":"warning: .*SASL .+ authentication failed","7":"unknown user"},
        "active_bans":[{"network":"192.0.2.7/32"},{"network":"2001:db8::/64"}],"perm_bans":[{"network":"203.0.113.2"}]}"#,
    );
    let rows: Vec<_> = json(
        r#"[{"time":5,"message":"Banning 192.0.2.7/32 for 30 minutes"},
        {"time":4,"message":"192.0.2.7 matched rule id 3 (warning: x[192.0.2.7]: SASL LOGIN authentication failed)"},
        {"time":3,"message":"Banning 2001:db8::/64 for 30 minutes"},
        {"time":3,"message":"192.0.2.7 matched rule id 1 (x)"},
        {"time":2,"message":"2001:db8::5 matched rule id 7 (auth: lua(eve@a.test,2001:db8::5,<b>): unknown user)"}]"#,
    );
    let out = samples(|out| super::netfilter::tell(&bans, &rows, out));
    complete(&[Origin::Netfilter], &out, &[]);
    let counts = [&m::FAIL2BAN_BANNED, &m::FAIL2BAN_POSTFIX, &m::FAIL2BAN_DOVECOT, &m::FAIL2BAN_SOGO];
    assert_eq!(counts.map(|metric| number(&out, metric)), [3.0, 1.0, 1.0, 0.0]);
    let out = samples(|out| super::netfilter::tell(&bans, &rows[..1], out));
    assert!(
        matches!(is(&out, &m::FAIL2BAN_SOGO), State::Unknown(_)),
        "without the reason, no service has zero"
    );
}

#[test]
fn the_portal() {
    let logged = crate::work::logged::Tally { errors: 2, warnings: 3 };
    let out = samples(|out| {
        super::portal::tell(&[], NOW, out);
        super::portal::tell_agent(NOW, &[], Some(logged), NOW, out);
    });
    use modules::{collector as m, host, updates};
    let elsewhere = [
        &updates::CONFIG_HOSTNAME,
        &updates::CONFIG_TIMEZONE,
        &host::EACH_SOURCE_UP,
        &host::EACH_SOURCE_SECONDS,
    ];
    complete(&[Origin::Portal], &out, &elsewhere);
    assert!(matches!(is(&out, &m::AGE), State::Unknown(_)), "no run is not the year 1970");
    assert_eq!((number(&out, &m::AGENT_LOG_ERRORS), number(&out, &m::AGENT_LOG_WARNINGS)), (2.0, 3.0));
}

#[test]
fn ports() {
    use modules::tls as m;
    let open = |millis| Some(std::time::Duration::from_millis(millis));
    let tries = [(443, open(2)), (587, None), (4190, open(2340))];
    let out = samples(|out| super::ports::tell(&tries, true, out));
    complete(&[Origin::Ports], &out, &[]);
    let seconds = |port: &str| {
        let mut all = out.list().iter();
        let own =
            all.find(|it| it.metric == m::EACH_PORT_SECONDS.key && it.labels.value("port") == Some(port));
        own.unwrap().state.clone()
    };
    assert_eq!((seconds("443"), seconds("4190")), (State::Number(0.0), State::Number(2.3)));
    assert!(matches!(seconds("587"), State::Unknown(_)), "a closed port is not a quick one");
    assert_eq!((number(&out, &m::HTTPS_CHECK), number(&out, &m::SUBMISSION_CHECK)), (1.0, 0.0));
    assert!(
        matches!(is(&out, &m::IMAPS_CHECK), State::NotInUse(_)),
        "a port that is not offered is not closed"
    );
}

#[test]
fn certificates() {
    use crate::remote::{
        Cause, Error,
        tls::{Certificate, Fault, Served},
    };
    use modules::tls as m;
    let served = |days: i64, faults: &[Fault]| {
        Ok(Served {
            certificate: Certificate {
                subject: "mail.a.test".to_owned(),
                issuer: "R11".to_owned(),
                names: Vec::new(),
                serial: "03AB".to_owned(),
                from: NOW.secs() - 86_400,
                until: NOW.secs() + days * 86_400 + 5,
                is_self_issued: false,
            },
            chain: vec![Vec::new(), Vec::new()],
            faults: faults.to_vec(),
            version: "TLSv1.3".to_owned(),
        })
    };
    let away = || Err(Error { target: "port 443 of a.test".to_owned(), cause: Cause::Timeout });
    let looks =
        [(25, served(-2, &[Fault::Expired, Fault::WrongName])), (443, away()), (993, served(20, &[]))];
    let out = samples(|out| super::certificates::tell(&looks, out));
    complete(&[Origin::Certificates], &out, &[]);
    assert!(matches!(is(&out, &m::CERT_DAYS_443), State::Unknown(_)), "no connection is no expiry");
    assert!(matches!(is(&out, &m::CERT_DAYS_587), State::NotInUse(_)));
    assert_eq!((number(&out, &m::CERT_DAYS_993), number(&out, &m::CERT_DAYS_LEFT)), (20.0, 20.0));
    assert_eq!((number(&out, &m::EACH_CERT_DAYS), number(&out, &m::EACH_CERT_TRUSTED)), (-2.0, 0.0));
    let State::Text(detail) = is(&out, &m::EACH_CERT_DETAIL) else { panic!() };
    assert!(detail.starts_with("expired, for another name; mail.a.test, by R11, until "), "{detail}");
    let out = samples(|out| super::certificates::tell(&[(443, away())], out));
    assert!(matches!(is(&out, &m::CERT_EXISTS), State::Unknown(_)));
}

#[test]
fn relaying() {
    use modules::security as m;
    let answer = |code, text: &str, from: &str| {
        let relaying = crate::remote::smtp::Relaying {
            code,
            text: text.to_owned(),
            from: from.parse().unwrap(),
            to: "192.0.2.25".parse().unwrap(),
        };
        let out = samples(|out| super::relay::tell(&relaying, out));
        complete(&[Origin::Relay], &out, &[]);
        is(&out, &m::OPEN_RELAY)
    };
    assert_eq!(answer(554, "5.7.1 <x@example.net>: Relay access denied", "198.51.100.1"), State::from(false));
    assert_eq!(answer(454, "4.7.1 Relay access denied", "172.22.1.9"), State::from(false));
    assert_eq!(answer(250, "2.1.5 Ok", "198.51.100.1"), State::from(true));
    assert!(matches!(answer(250, "2.1.5 Ok", "172.22.1.9"), State::Unknown(_)), "its own network is trusted");
    assert!(matches!(answer(250, "2.1.5 Ok", "192.0.2.25"), State::Unknown(_)), "so is the server itself");
    assert!(matches!(answer(450, "4.3.2 Service currently unavailable", "198.51.100.1"), State::Unknown(_)));
    assert!(matches!(answer(550, "5.7.1 blocked using x.test", "198.51.100.1"), State::Unknown(_)));
}

#[test]
fn memcached_and_clamd() {
    use modules::{clamav as c, memcached as m};
    let stats = [("curr_items", 7.0), ("bytes", 9.0), ("limit_maxbytes", 67_108_864.0), ("get_hits", 2.0)];
    let more = [("get_misses", 1.0), ("evictions", 0.0), ("uptime", 60.0)];
    let all = stats.iter().chain(&more).map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let out = samples(|out| super::memcached::tell(&all, out));
    complete(&[Origin::Memcached], &out, &[]);
    assert_eq!((number(&out, &m::LIMIT_MB), number(&out, &m::HIT_RATE)), (64.0, 66.7));
    let out = samples(|out| super::memcached::tell(&Default::default(), out));
    complete(&[Origin::Memcached], &out, &[]);
    assert!(matches!(is(&out, &m::HIT_RATE), State::Unknown(_)), "nothing known is not 0 %");

    let out = samples(|out| super::clamd::tell("ClamAV 1.4.3/27412/Tue Nov 17 09:32:11 2026", out).unwrap());
    complete(&[Origin::Clamd], &out, &[]);
    assert_eq!((is(&out, &c::VERSION), number(&out, &c::DAILY_VERSION)), (State::from("1.4.3"), 27412.0));
    assert_eq!(number(&out, &c::DAILY_AGE), 3.0);
    let out = samples(|out| super::clamd::tell("ClamAV 1.4.3", out).unwrap());
    complete(&[Origin::Clamd], &out, &[]);
    assert!(matches!(is(&out, &c::DAILY_AGE), State::Unknown(_)), "no database is not 999 days old");
    assert!(super::clamd::tell("UNKNOWN COMMAND", &mut Samples::new(NOW)).is_err());
}

#[test]
fn block_lists() {
    use super::block_lists::{Verdict, reversed, tell};
    use modules::security as m;
    assert_eq!(reversed("192.0.2.7".parse().unwrap()), "7.2.0.192");
    let six = reversed("2001:db8::1".parse().unwrap());
    assert!(six.starts_with("1.0.0.0.") && six.ends_with(".8.b.d.0.1.0.0.2") && six.len() == 63, "{six}");
    let told = |verdicts: [Verdict; 2]| {
        let verdicts: Vec<_> = ["a.test", "b.test"].map(str::to_owned).into_iter().zip(verdicts).collect();
        let out = samples(|out| tell(&verdicts, out));
        complete(&[Origin::BlockLists], &out, &[]);
        (is(&out, &m::RBL_LISTED), is(&out, &m::RBL_DETAIL))
    };
    assert_eq!(told([Ok(Vec::new()), Ok(Vec::new())]), (State::from(0_u32), State::from("clean")));
    let listed = || Ok(vec!["192.0.2.7 XBL".to_owned()]);
    let refused = || Err("the list was asked too often".to_owned());
    assert_eq!(
        told([listed(), refused()]),
        (State::from(1_u32), State::from("a.test: 192.0.2.7 XBL; b.test?"))
    );
    assert!(matches!(told([Ok(Vec::new()), refused()]).0, State::Unknown(_)), "a refusal is not clean");
}
