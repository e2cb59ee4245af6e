//! The system's pages with samples: fine, warning, critical, unknown, old, not in use, empty.

use std::collections::BTreeMap;

use askama::Template;

use crate::{
    metrics::{
        facts,
        health::{self, judge},
        modules::{backup, clamav, disk, docker, host, mailboxes, postfix, security, sync_jobs, tls},
        registry::{Metric, Module},
    },
    model::{
        history::Point,
        mail::ServerId,
        sample::{Labels, State},
    },
    store::samples::{Latest, Range, Run},
    web::pages::{
        frame::{Entry, Frame},
        samples,
        system::{
            self, Filling, Which, certificates,
            chart::{self, Line, Reach},
            dns, grid, overview, own, plan, ports,
            table::{self, Listed, Query},
            window,
        },
    },
};

fn latest(metric: &Metric, labels: Labels, state: State) -> Latest {
    Latest {
        metric: metric.key.to_owned(),
        labels,
        state,
        since: samples::ago(4_000),
        source: "mail-queue".to_owned(),
        told: samples::ago(30),
        fresh: true,
    }
}

/// A bit of everything; `text` stands wherever a stranger may write.
fn all(text: &str) -> Vec<Latest> {
    let one = |metric, state| latest(metric, Labels::NONE, state);
    let mailbox = |name: &str| Labels::one("mailbox", name);
    let job = |id: &str, name: &str| Labels::one("job", id).with("mailbox", name);
    let mut list = vec![
        one(&postfix::QUEUE_DEFERRED, State::Number(18.0)),
        one(&postfix::QUEUE_ACTIVE, State::Number(1.0)),
        one(&postfix::PROCESS_RUNNING, State::Number(0.0)),
        one(&backup::AGE, State::Unknown(text.to_owned())),
        one(&clamav::DAILY_AGE, State::NotInUse("Join the portal's container.".to_owned())),
        Latest { fresh: false, ..one(&disk::ROOT_USED, State::Number(41.0)) },
        one(&disk::DOCKER_USED, State::Number(83.6)),
        one(&disk::DOCKER_TOP_CONTAINERS, State::Text(text.to_owned())),
        one(&host::CPU, State::Number(23.0)),
        latest(&host::EACH_CORE, Labels::one(host::EACH_CORE.labels[0], "0"), State::Number(41.0)),
        latest(&host::EACH_DISK_USED, Labels::one(host::EACH_DISK_USED.labels[0], text), State::Number(71.0)),
        one(&docker::RUNNING, State::Number(16.0)),
        one(&docker::TOTAL, State::Number(17.0)),
        latest(&sync_jobs::EACH_SYNCJOB_SUCCESS, job("3", "bob@alpha.test"), State::Number(0.0)),
        latest(
            &sync_jobs::EACH_SYNCJOB_EXIT_STATUS,
            job("3", "bob@alpha.test"),
            State::Text(text.to_owned()),
        ),
        latest(
            &sync_jobs::EACH_SYNCJOB_AGE_HOURS,
            job("4", "ann@alpha.test"),
            State::Unknown("it never ran".to_owned()),
        ),
    ];
    for (name, share) in [("ann@alpha.test", 97.0), ("bob@alpha.test", 12.5), (text, 81.0)] {
        list.push(latest(&mailboxes::EACH_MAILBOX_USAGE_PCT, mailbox(name), State::Number(share)));
        list.push(latest(&mailboxes::EACH_MAILBOX_USED_MB, mailbox(name), State::Number(share * 10.0)));
    }
    list.sort_by(|a, b| (&a.metric, &a.labels).cmp(&(&b.metric, &b.labels)));
    list
}

fn range() -> Range {
    let point = |index: u64| {
        let number = (!(20..30).contains(&index)).then_some(f64::from(index as u32 % 17));
        Point {
            at: samples::ago((96 - index) * 900),
            extremes: number.map(|number| (number - 1.0, number + 2.0)),
            total: number.unwrap_or_default() * 900.0,
            seconds: number.map_or(0.0, |_| 900.0),
            last: number,
            told: true,
        }
    };
    Range { width: 900_000, points: (0..96).map(point).collect() }
}

fn chart(frame: &Frame, names: &[&str]) -> chart::Chart {
    let line =
        |name: &&str| Line { name: (*name).to_owned(), metric: &postfix::QUEUE_DEFERRED, range: range() };
    let span = (samples::ago(86_400), samples::NOW);
    chart::draw(frame, &names.concat(), names.join(", "), names.iter().map(line).collect(), span)
}

fn run(error: Option<&str>) -> Run {
    Run {
        server: ServerId::FIRST,
        source: "mail-queue".to_owned(),
        run: 7,
        ended_at: Some(samples::ago(30)),
        succeeded_at: Some(samples::ago(30)),
        took_ms: 41,
        period_ms: 60_000,
        told: 5,
        error: error.map(str::to_owned),
        error_since: error.map(|_| samples::ago(600)),
    }
}

fn module(frame: &Frame, latest: &[Latest], which: Which, text: &str) -> String {
    let healths = judge(latest);
    let ranges = [(&postfix::QUEUE_DEFERRED, String::new(), range())];
    let filling: Vec<Filling<'_>> = healths
        .iter()
        .flat_map(|health| &health.values)
        .filter(|value| value.metric.key == disk::DOCKER_USED.key && which == Which::Capacity)
        .map(|value| Filling { value: *value, forecast: system::forecast(&range().points) })
        .collect();
    let runs = [run(None), run(Some(text))];
    let is_collector = which == Which::Module(Module::Collector);
    let input = system::Input {
        which,
        healths: &healths,
        charts: vec![chart(frame, &["one"]), chart(frame, &["one", text])],
        window: window::Window::back(Reach::Day, samples::NOW),
        apart: None,
        ranges: &ranges,
        table: which.listed().map(|listed| table::view(frame, listed, latest, Query::default())),
        runs: if is_collector { &runs } else { &[] },
        filling: &filling,
        since: Some(samples::ago(4_000)),
    };
    system::view(frame, input).render().unwrap()
}

fn overview(frame: &Frame, latest: &[Latest], runs: &[Run]) -> String {
    let healths = judge(latest);
    let input = overview::Input { healths: &healths, since: &[Some(samples::ago(4_000)), None], runs };
    overview::view(frame, input).render().unwrap()
}

/// The past of a port: open, slow, closed, unknown, open again.
fn past(numbers: impl Fn(u64) -> Option<f64>) -> Range {
    let point = |index: u64| {
        let number = numbers(index);
        Point {
            at: samples::ago((24 * 60 - index) * 60),
            extremes: number.map(|number| (number, number)),
            total: number.unwrap_or_default() * 60.0,
            seconds: number.map_or(0.0, |_| 60.0),
            last: number,
            told: true,
        }
    };
    Range { width: 60_000, points: (0..24 * 60).map(point).collect() }
}

fn ports_page(frame: &Frame, all: &[(&str, State)]) -> String {
    let (list, reach) = (Vec::new(), grid::Reach::Day);
    let healths = judge(&list);
    let bounds = reach.bounds(samples::NOW, &frame.formats.zone);
    let series: Vec<Latest> = all
        .iter()
        .map(|(port, state)| latest(&tls::EACH_PORT_OPEN, Labels::one("port", port), state.clone()))
        .collect();
    let open = |index: u64| match index {
        300..=330 => Some(0.0),
        600..=700 => None,
        _ => Some(1.0),
    };
    let port = |one: &'static str, latest| ports::Port {
        number: one,
        latest,
        closed_since: (latest.state == State::Number(0.0)).then(|| samples::ago(4_000)),
        open: past(open),
        seconds: Some(past(|index| Some(if index > 1300 { 2.5 } else { 0.1 }))),
    };
    let known = ["25", "443", "8443"];
    let found = known.into_iter().zip(&series).map(|(one, latest)| port(one, latest)).collect();
    let absent = State::NotInUse("Set MAIL_HOST to the host name of the mail server.".to_owned());
    let input = ports::Input {
        healths: &healths,
        ports: found,
        reach,
        bounds: &bounds,
        sort: ("closed", true),
        absent: Some(&absent),
    };
    ports::view(frame, input).render().unwrap()
}

fn shown(text: &str, serial: &str, days: i64, faults: &[&str]) -> facts::Shown {
    facts::Shown {
        subject: text.to_owned(),
        issuer: text.to_owned(),
        names: vec![text.to_owned(), "autodiscover.alpha.test".to_owned()],
        serial: serial.to_owned(),
        from: samples::NOW.secs() - 50 * 86_400,
        until: samples::NOW.secs() + days * 86_400,
        faults: faults.iter().map(|fault| (*fault).to_owned()).collect(),
        chain: vec![text.to_owned(), "R12".to_owned()],
        version: "TLSv1.3".to_owned(),
    }
}

fn certificates_page(frame: &Frame, found: &[(&str, Result<facts::Shown, String>)], by: &str) -> String {
    let list = Vec::new();
    let healths = judge(&list);
    let ports = found.iter().map(|(number, shown)| certificates::Port { number, shown: shown.clone() });
    let input = certificates::Input {
        healths: &healths,
        ports: ports.collect(),
        told: Some(samples::ago(600)),
        sort: (by, false),
        absent: None,
    };
    certificates::view(frame, input).render().unwrap()
}

fn finding(check: &str, outcome: facts::Outcome, text: &str) -> facts::Finding {
    let publish = facts::Publish { name: text.to_owned(), kind: "TXT".to_owned(), value: text.to_owned() };
    facts::Finding {
        check: check.to_owned(),
        outcome,
        why: if outcome == facts::Outcome::Good { String::new() } else { text.to_owned() },
        found: vec![text.to_owned()],
        publish: if outcome == facts::Outcome::Bad { vec![publish] } else { Vec::new() },
    }
}

/// A domain with so many good records; the others are bad, or not known.
fn domain(good: usize, rest: facts::Outcome, text: &str) -> facts::Records {
    let checks = ["SPF", "DKIM", "DMARC", "DANE", "MTA-STS", "TLS-RPT", "BIMI", "MX"];
    let outcome = |at: usize| if at < good { facts::Outcome::Good } else { rest };
    facts::Records {
        findings: checks.iter().enumerate().map(|(at, check)| finding(check, outcome(at), text)).collect(),
    }
}

fn dns_page(frame: &Frame, domains: &[(&str, facts::Records)], query: &str) -> String {
    let list = Vec::new();
    let healths = judge(&list);
    let found = domains.iter().map(|(name, records)| dns::Domain { name, records: records.clone() });
    let input = dns::Input {
        healths: &healths,
        domains: found.collect(),
        told: Some(samples::ago(600)),
        query: dns::Query::parse(query),
        absent: None,
    };
    dns::view(frame, input).render().unwrap()
}

fn network_pages(frame: &Frame, pages: &mut BTreeMap<String, String>) {
    let some =
        [("25", State::Number(1.0)), ("443", State::Number(0.0)), ("8443", State::Unknown("x".to_owned()))];
    pages.insert("system-ports".to_owned(), ports_page(frame, &some));
    pages.insert("system-ports-fine".to_owned(), ports_page(frame, &some[..1]));
    pages.insert("system-ports-unknown".to_owned(), ports_page(frame, &[some[2].clone()]));
    pages.insert("system-ports-empty".to_owned(), ports_page(frame, &[]));
    let name = "mail.alpha.test";
    let certificates = [
        ("25", Ok(shown(name, "A", 40, &[]))),
        ("443", Ok(shown(name, "A", 40, &[]))),
        ("993", Ok(shown(name, "B", 9, &[]))),
        ("4190", Ok(shown(name, "C", -3, &["expired", "for another name"]))),
        ("587", Err("port 587 of mail.alpha.test: no answer in time".to_owned())),
    ];
    pages.insert("system-certificates".to_owned(), certificates_page(frame, &certificates, ""));
    pages.insert("system-certificates-fine".to_owned(), certificates_page(frame, &certificates[..1], "name"));
    pages.insert("system-certificates-unknown".to_owned(), certificates_page(frame, &certificates[4..], ""));
    pages.insert("system-certificates-empty".to_owned(), certificates_page(frame, &[], ""));
    let many: Vec<String> = (0..60).map(|number| format!("d{number:02}.test")).collect();
    let bad = facts::Outcome::Bad;
    let many: Vec<(&str, facts::Records)> =
        many.iter().enumerate().map(|(at, name)| (name.as_str(), domain(at % 8, bad, "no record"))).collect();
    pages.insert("system-dns".to_owned(), dns_page(frame, &many[..2], ""));
    pages.insert(
        "system-dns-many".to_owned(),
        dns_page(frame, &many, "only=trouble&sort=name&page=1&domain=d03.test"),
    );
    let unknown = [("alpha.test", domain(4, facts::Outcome::Unknown, "no answer in time"))];
    pages.insert("system-dns-unknown".to_owned(), dns_page(frame, &unknown, ""));
    pages.insert("system-dns-fine".to_owned(), dns_page(frame, &[("alpha.test", domain(8, bad, "x"))], ""));
    pages.insert("system-dns-empty".to_owned(), dns_page(frame, &[], ""));
}

/// The pages for admins.
pub fn pages(frame: &mut Frame, pages: &mut BTreeMap<String, String>) {
    frame.entry = Some(Entry::System);
    let some = all("Connection refused");
    let fine = vec![latest(&postfix::QUEUE_DEFERRED, Labels::NONE, State::Number(1.0))];
    pages.insert("system".to_owned(), overview(frame, &some, &[run(None), run(Some("no answer"))]));
    pages.insert("system-fine".to_owned(), overview(frame, &fine, &[run(None)]));
    pages.insert("system-empty".to_owned(), overview(frame, &[], &[]));
    for place in plan::PLACES {
        let which = Which::Module(place.module);
        pages.insert(format!("system-{}", which.code()), module(frame, &some, which, "no answer"));
    }
    for which in [Which::Trends, Which::Capacity, Which::Domains] {
        pages.insert(format!("system-{}", which.code()), module(frame, &some, which, "x"));
    }
    network_pages(frame, pages);
    pages.insert("system-queues-fine".to_owned(), module(frame, &fine, Which::Module(Module::Queues), "x"));
    pages.insert("system-queues-empty".to_owned(), module(frame, &[], Which::Module(Module::Queues), "x"));
}

/// The pages for everybody.
pub fn own_pages(frame: &mut Frame, pages: &mut BTreeMap<String, String>) {
    let some = all("carla@alpha.test");
    let tables = |latest: &[Latest]| {
        let view = |listed| table::view(frame, listed, latest, Query::default());
        vec![view(Listed::Mailboxes), view(Listed::SyncJobs)]
    };
    let used = Some(("970 MiB".to_owned(), Some("1 GiB".to_owned())));
    let page =
        own::mailbox(frame, used, own::logins(frame, None), vec![chart(frame, &["one"])], tables(&some));
    pages.insert("mailbox".to_owned(), page.render().unwrap());
    let empty = own::mailbox(frame, None, Vec::new(), Vec::new(), tables(&[]));
    pages.insert("mailbox-empty".to_owned(), empty.render().unwrap());
    let checks = own::Checks::from([
        ("SPF", Some(true)),
        ("DKIM", Some(true)),
        ("DMARC", Some(false)),
        ("BIMI", None),
    ]);
    let all: own::Checks<'_> = ["SPF", "DKIM", "DMARC", "DANE", "MTA-STS", "TLS-RPT", "BIMI"]
        .map(|name| (name, Some(name != "BIMI")))
        .into();
    let flow = ["carla@alpha.test"; 2].map(super::traffic::some);
    let card = |name, checks, flow| own::card(frame, name, checks, flow);
    let cards = vec![card("alpha.test", &checks, Some(&flow)), card("beta.test", &all, None)];
    pages.insert("domains".to_owned(), own::domains(frame, cards, 2, tables(&some)).render().unwrap());
    pages.insert(
        "domains-empty".to_owned(),
        own::domains(frame, Vec::new(), 0, tables(&[])).render().unwrap(),
    );
}

/// Pages with a hostile text wherever a stranger may write.
pub fn hostile(frame: &Frame, payload: &str) -> Vec<String> {
    let some = all(payload);
    vec![
        module(frame, &some, Which::Module(Module::Disk), payload),
        module(frame, &some, Which::Module(Module::Mailboxes), payload),
        module(frame, &some, Which::Module(Module::SyncJobs), payload),
        module(frame, &some, Which::Module(Module::Collector), payload),
        overview(frame, &some, &[run(Some(payload))]),
        certificates_page(
            frame,
            &[("25", Ok(shown(payload, "A", 5, &[payload]))), ("26", Err(payload.to_owned()))],
            "",
        ),
        dns_page(frame, &[(payload, domain(3, facts::Outcome::Bad, payload))], ""),
        ports_page(frame, &[("25", State::Unknown(payload.to_owned()))]),
    ]
}

#[test]
fn unknown_and_old_are_never_shown_as_numbers_or_as_fine() {
    let frame = samples::frame(crate::model::scope::Role::Admin, crate::web::text::Lang::En);
    let page = module(&frame, &all("Connection refused"), Which::Module(Module::Backup), "x");
    assert!(page.contains("Backup: not everything is known.") && page.contains("Connection refused"));
    let tiles = overview(&frame, &all("x"), &[]);
    assert!(!tiles.contains("Everything is all right."));
    let disk = module(&frame, &all("x"), Which::Module(Module::Disk), "x");
    assert!(disk.contains("Its source has not reported for too long."));
}

#[test]
fn trouble_is_told_once_and_by_its_name() {
    let one = |metric: &'static Metric, state| latest(metric, Labels::NONE, State::Number(state));
    let port = |port: &str, metric: &'static Metric, number| {
        latest(metric, Labels::one("port", port), State::Number(number))
    };
    let mut list = vec![
        one(&tls::CERT_DAYS_993, 2.0),
        one(&tls::CERT_DAYS_443, 1.0),
        one(&tls::UI_CHECK, 0.0),
        one(&tls::HTTPS_CHECK, 1.0),
        one(&tls::IMAPS_CHECK, 0.0),
        port("110", &tls::EACH_PORT_OPEN, 0.0),
        port("993", &tls::EACH_PORT_OPEN, 0.0),
        port("143", &tls::EACH_CERT_DAYS, 2.0),
        port("993", &tls::EACH_CERT_DAYS, 2.0),
        port("587", &tls::EACH_CERT_DAYS, 20.0),
    ];
    list.sort_by(|a, b| (&a.metric, &a.labels).cmp(&(&b.metric, &b.labels)));
    let healths = judge(&list);
    let told: Vec<(&str, usize)> =
        overview::troubles(&healths).iter().map(|all| (all[0].metric.key, all.len())).collect();
    let times = |metric: &Metric| {
        let own = metric.key;
        told.iter().filter(move |(key, _)| *key == own).map(|(_, count)| *count)
    };
    assert_eq!(times(&tls::EACH_PORT_OPEN).collect::<Vec<_>>(), [2], "{told:?}");
    assert_eq!(times(&tls::EACH_CERT_DAYS).collect::<Vec<_>>(), [2, 1], "one for each standing");
    assert_eq!(times(&tls::IMAPS_CHECK).count() + times(&tls::CERT_DAYS_993).count(), 0, "told by port");
    assert_eq!(times(&tls::CERT_DAYS_443).count(), 1, "no port tells it");
    assert_eq!(times(&tls::UI_CHECK).count(), 1);
    let frame = samples::frame(crate::model::scope::Role::Admin, crate::web::text::Lang::En);
    let page = overview(&frame, &list, &[]);
    assert!(
        page.contains("2 ports are closed: POP3, IMAP, encrypted (IMAPS).")
            && page.contains("/system/ports\"")
            && page.contains("5 things"),
        "{page}"
    );
}

#[test]
fn one_cause_under_several_keys_is_one_trouble() {
    let one = |metric: &'static Metric, state| latest(metric, Labels::NONE, State::Number(state));
    let domain = |metric: &'static Metric, number| {
        latest(metric, Labels::one("domain", "beta.test"), State::Number(number))
    };
    let check = |name: &str| {
        let labels = Labels::one("domain", "beta.test").with("check", name);
        latest(&security::EACH_CHECK, labels, State::Number(0.0))
    };
    let job = Labels::one("job", "3").with("mailbox", "bob@alpha.test");
    let mut list = vec![
        one(&security::DNS_DKIM_EXISTS, 0.0),
        one(&security::AUDIT_SCORE, 3.0),
        domain(&security::EACH_SCORE, 3.0),
        check("DKIM"),
        check("BIMI"),
        one(&sync_jobs::FAILED, 1.0),
        latest(&sync_jobs::EACH_SYNCJOB_SUCCESS, job, State::Number(0.0)),
    ];
    list.sort_by(|a, b| (&a.metric, &a.labels).cmp(&(&b.metric, &b.labels)));
    let frame = samples::frame(crate::model::scope::Role::Admin, crate::web::text::Lang::En);
    let page = overview(&frame, &list, &[]);
    for words in
        ["2 things need you.", "beta.test fails the DKIM check", "sync job 3 for bob@alpha.test failed"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[test]
fn one_file_system_under_several_names_fills_up_once() {
    let frame = samples::frame(crate::model::scope::Role::Admin, crate::web::text::Lang::En);
    let disk = |name: &str, number| {
        let labels = Labels::one(host::EACH_DISK_USED.labels[0], name);
        latest(&host::EACH_DISK_USED, labels, State::Number(number))
    };
    let one = |metric: &'static Metric, state| latest(metric, Labels::NONE, State::Number(state));
    let mut list = vec![
        one(&disk::DOCKER_USED, 83.6),
        disk("/var/lib/docker", 83.7),
        disk("/", 41.0),
        one(&postfix::QUEUE_DISK, 41.0),
        disk("/backup", 54.0),
    ];
    list.sort_by(|a, b| (&a.metric, &a.labels).cmp(&(&b.metric, &b.labels)));
    let healths = judge(&list);
    let values = healths.iter().flat_map(|health| &health.values).filter(|value| value.latest.is_some());
    let forecast = health::Forecast { per_day: 0.2, days: Some((90.0, 93.0)), known: 7.1 };
    let filling: Vec<Filling<'_>> =
        values.map(|value| Filling { value: *value, forecast: Some(forecast) }).collect();
    let input = system::Input {
        which: Which::Capacity,
        healths: &healths,
        charts: Vec::new(),
        window: window::Window::back(Reach::Day, samples::NOW),
        apart: None,
        ranges: &[],
        table: None,
        runs: &[],
        filling: &filling,
        since: None,
    };
    let page = system::view(&frame, input).render().unwrap();
    let rows = page.split("id=\"filling\"").nth(1).unwrap().matches("scope=\"row\"").count();
    assert_eq!(rows, 3, "{page}");
    assert!(
        page.contains("+1.4 points") && page.contains(">3 months<") && page.contains("last 7 days"),
        "{page}"
    );
}

#[test]
fn what_is_wrong_with_domains_stands_in_the_heading() {
    let frame = samples::frame(crate::model::scope::Role::DomainAdmin, crate::web::text::Lang::En);
    let flow = ["carla@alpha.test"; 2].map(super::traffic::some);
    let names = ["SPF", "DKIM", "DMARC", "DANE", "MTA-STS", "TLS-RPT", "BIMI"];
    let but = |bad: &'static str| own::Checks::from(names.map(|name| (name, Some(name != bad))));
    let heading = |bad: &'static str| {
        let cards = vec![
            own::card(&frame, "alpha.test", &but(bad), Some(&flow)),
            own::alias(&frame, "alpha-alias.test", "alpha.test", Some(&flow)),
        ];
        let page = own::domains(&frame, cards, 2, Vec::new()).render().unwrap();
        assert!(page.contains("Another name of alpha.test") && !page.contains("Unknown"), "{page}");
        let title = page.split("<h1>").nth(1).unwrap().split("</h1>").next().unwrap();
        title.to_owned()
    };
    assert_eq!(heading("BIMI"), "Your 2 domains are fine.");
    assert_eq!(heading("DKIM"), "One of your 2 domains needs a look.");
}

#[test]
fn a_port_is_closed_since_the_same_moment_whatever_is_shown() {
    let frame = samples::frame(crate::model::scope::Role::Admin, crate::web::text::Lang::En);
    let page = ports_page(&frame, &[("25", State::Number(1.0)), ("443", State::Number(0.0))]);
    let since = frame.formats.sentence(samples::ago(4_000));
    assert!(page.contains(&format!("has been closed since {since}")), "{page}");
    assert!(page.contains(&format!("<b class=\"bad\">since {since}</b>")), "{page}");
}

#[test]
fn tables_are_sorted_searched_and_cut_into_pages() {
    let frame = samples::frame(crate::model::scope::Role::Admin, crate::web::text::Lang::En);
    let many: Vec<Latest> = (0..120)
        .map(|number| {
            let labels = Labels::one("mailbox", &format!("m{number:03}@alpha.test"));
            latest(&mailboxes::EACH_MAILBOX_USAGE_PCT, labels, State::Number(f64::from(number)))
        })
        .collect();
    let names = |query: &str| -> Vec<String> {
        let table = table::view(&frame, Listed::Mailboxes, &many, Query::parse(query));
        table.rows.into_iter().map(|row| row.name).collect()
    };
    assert_eq!(names("")[0], "m119@alpha.test", "the fullest first");
    assert_eq!((names("").len(), names("page=2").len(), names("page=99").len()), (50, 20, 20));
    assert_eq!(names("sort=name")[0], "m000@alpha.test");
    assert_eq!(names("sort=name&order=asc")[0], "m119@alpha.test");
    let key = mailboxes::EACH_MAILBOX_USAGE_PCT.key;
    let sorted: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("sort", key).finish();
    assert_eq!(names(&format!("{sorted}&order=asc"))[0], "m000@alpha.test");
    assert_eq!(names("q=M07").len(), 10);
    assert_eq!(names("only=trouble&page=0").len(), 39, "those over 80 percent");
}

#[test]
fn ports_tell_closed_slow_and_unknown_apart() {
    let frame = samples::frame(crate::model::scope::Role::Admin, crate::web::text::Lang::En);
    let page = ports_page(&frame, &[("25", State::Number(1.0)), ("443", State::Number(0.0))]);
    // 31 minutes in all, across a full hour and so in two cells.
    for words in [
        "Web (HTTPS) has been closed since",
        "closed for 15 min",
        "closed for 16 min",
        "31 min",
        ": slow<",
        ": not known<",
        ": open<",
    ] {
        assert!(page.contains(words), "{words:?} is missing");
    }
    assert!(page.contains("Nothing is known of 1 h 41 min"), "{page}");
    // 31 minutes of the 1,339 that are known.
    assert!(page.contains("97.7"), "the share is that of the known time");
    let absent = ports_page(&frame, &[]);
    assert!(absent.contains("Ports: not in use.") && absent.contains("Set MAIL_HOST"));
}

#[test]
fn certificates_say_what_is_wrong_and_what_to_do() {
    let frame = samples::frame(crate::model::scope::Role::Admin, crate::web::text::Lang::En);
    let page = |found: &[(&str, Result<facts::Shown, String>)]| certificates_page(&frame, found, "");
    let name = "mail.alpha.test";
    let fresh = ("443", Ok(shown(name, "A", 40, &[])));
    let old =
        page(&[fresh.clone(), ("993", Ok(shown(name, "B", 9, &[]))), ("143", Ok(shown(name, "B", 9, &[])))]);
    for words in [
        "at port 993, 143 ends in 9 days",
        "The ports of mail.alpha.test show different certificates.",
        "docker compose restart dovecot-mailcow",
        "other ports show a newer one",
    ] {
        assert!(old.contains(words), "{words:?} is missing");
    }
    assert!(page(std::slice::from_ref(&fresh)).contains("good for at least 40 more days"));
    let late = page(&[("443", Ok(shown(name, "A", 20, &[])))]);
    assert!(late.contains("renewal was due") && late.contains("acme-mailcow"), "not yet expiring, but late");
    let expired = page(&[fresh, ("25", Ok(shown("other.test", "C", -3, &["expired"])))]);
    assert!(expired.contains("other.test at port 25 ended 3 days ago"), "{expired}");
    let strange = page(&[("443", Ok(shown(name, "A", 60, &["self-signed"])))]);
    assert!(strange.contains("cannot be trusted: self-signed"));
    let unseen = page(&[("443", Err("port 443 of a.test: no answer in time".to_owned()))]);
    assert!(unseen.contains("No certificate could be seen."), "unknown is not fine");
}

#[test]
fn domains_are_judged_by_what_is_known() {
    use crate::metrics::health::Standing;
    use facts::Outcome::{Bad, Unknown};
    let judged = |good, rest| dns::standing(&domain(good, rest, "x"));
    assert_eq!((judged(7, Bad), judged(5, Bad)), (Standing::Fine, Standing::Fine));
    assert_eq!((judged(4, Bad), judged(2, Bad)), (Standing::Warning, Standing::Critical));
    assert_eq!(judged(4, Unknown), Standing::Unknown, "they may be there, or not");
    assert_eq!(judged(5, Unknown), Standing::Fine, "enough are there, whatever the others are");
    let frame = samples::frame(crate::model::scope::Role::Admin, crate::web::text::Lang::En);
    let page = dns_page(&frame, &[("alpha.test", domain(4, Unknown, "x"))], "");
    assert!(page.contains("at least 4 of 7"), "{page}");
    let many = [("a.test", domain(7, Bad, "x")), ("b.test", domain(2, Bad, "no record"))];
    let page = dns_page(&frame, &many, "");
    assert!(page.find("b.test").unwrap() < page.find(">a.test").unwrap(), "the worst first");
    assert!(page.contains("One domain lacks DNS records: b.test has 2 of 7 points."));
    assert!(!dns_page(&frame, &many, "only=trouble").contains(">a.test"));
    assert!(dns_page(&frame, &many, "domain=a.test").contains("<h2 class=\"any\">a.test"));
}
