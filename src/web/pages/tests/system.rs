//! The system's pages with samples: fine, warning, critical, unknown, old, not in use, empty.

use std::collections::BTreeMap;

use askama::Template;

use crate::{
    metrics::{
        health::judge,
        modules::{backup, clamav, disk, docker, host, mailboxes, postfix, sync_jobs},
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
            self, Filling, Which,
            chart::{self, Line, Reach},
            overview, own, plan,
            table::{self, Listed, Query},
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
        reach: Reach::Day,
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
    let traffic = super::traffic::some("carla@alpha.test");
    let card = |name, checks| own::card(frame, name, checks, &traffic, &traffic);
    let cards = vec![card("alpha.test", &checks), card("beta.test", &all)];
    pages.insert("domains".to_owned(), own::domains(frame, cards, tables(&some)).render().unwrap());
    pages.insert("domains-empty".to_owned(), own::domains(frame, Vec::new(), tables(&[])).render().unwrap());
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
