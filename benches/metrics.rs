//! What measuring costs: `cargo bench --bench metrics`, or with `-- cycle`, `-- history`, `-- pages`.
//!
//! - `cycle`: all sources once, beside a simulated Mailcow with 500 mailboxes in 20 domains on threads of its own: processor
//!   time of our threads, without the waits.
//! - `history`: a day of 300 series and one of 5,000 mailboxes at 60 s on SQLite: rows and bytes, and what a minute costs
//!   in which nothing changes.
//! - `pages`: overview and chart over HTTP, with a history of `MAILCOW_STATUS_BENCH_DAYS` (365) days behind them.

#[allow(dead_code, unused_imports)]
#[path = "../tests/it/support/mod.rs"]
mod support;

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use mailcow_status::{
    demo::NameServer,
    metrics::{
        collector::Collector,
        modules::{self, mailboxes},
        sources::{Memory, Probes, Reach, SOURCES},
    },
    model::{
        mail::ServerId,
        sample::{Labels, MAILBOX, Sample, State},
        time::{Clock, Millis},
    },
    remote::{dns, dns::Dns, http, http::Http, mailcow, mailcow::Mailcow, ports::Port},
    store::{
        Db,
        db::{Place, sql},
        samples::{self, Batch, Book},
    },
};
use support::portal::{Portal, Wishes};
use tokio::{net::UdpSocket, runtime::Runtime};
use tokio_util::sync::CancellationToken;

const SERVER: ServerId = ServerId::FIRST;
const MINUTE: Duration = Duration::from_secs(60);
const DAY: i64 = 86_400_000;
/// Names of our threads, and of the library's that write for us.
const OURS: [&str; 2] = ["ours", "sqlx-sqlite"];

fn main() {
    let wished: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |name: &str| wished.is_empty() || wished.iter().any(|wish| wish == name);
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    if wants("cycle") {
        cycle();
    }
    if wants("history") {
        runtime("ours").block_on(history());
    }
    if wants("pages") {
        runtime("ours").block_on(pages());
    }
}

fn runtime(name: &str) -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(name)
        .enable_all()
        .build()
        .unwrap()
}

/// Processor time so far of threads with these names, in milliseconds (proc(5), `schedstat`).
fn cpu(names: &[&str]) -> f64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| task.path());
    let own = |task: &Path| {
        let name = fs::read_to_string(task.join("comm")).ok()?;
        names.iter().any(|own| name.starts_with(own)).then_some(())?;
        let stat = fs::read_to_string(task.join("schedstat")).ok()?;
        stat.split(' ').next()?.parse::<f64>().ok()
    };
    tasks.filter_map(|task| own(&task)).sum::<f64>() / 1e6
}

/// All sources once, again and again.
fn cycle() {
    let (theirs, ours) = (runtime("mailcow"), runtime("ours"));
    let (portal, names) = theirs.block_on(async {
        let portal = Portal::start(Wishes::default()).await;
        portal.mailcow.change(|world| {
            let (domain, mailbox) = (world.domains[0].clone(), world.mailboxes[0].clone());
            for n in 0..18 {
                world
                    .domains
                    .push(mailcow_status::demo::Domain { name: format!("d{n}.test"), ..domain.clone() });
            }
            for n in 0..500 - world.mailboxes.len() {
                let address = format!("u{n}@d{}.test", n % 18);
                world.mailboxes.push(mailcow_status::demo::Mailbox { address, ..mailbox.clone() });
            }
        });
        portal.mailcow.bustle(2000);
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(NameServer::default().serve(socket, CancellationToken::new()));
        (portal, address)
    });
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::by_hand(Arc::new(portal.now().0.into()));
    let file = dir.path().join("collector.json");
    fs::write(&file, portal.mailcow.vitals().collector_file(portal.now())).unwrap();
    let reach = async || Reach {
        db: Db::open(&Place::Sqlite(dir.path().join("x.sqlite"))).await.unwrap(),
        mailcow: Arc::new(client(&portal, &clock)),
        server: SERVER,
        clock: clock.clone(),
        collector_file: Some(file.clone()),
        containers_off: Vec::new(),
        collector_posts: false,
        probes: probes(&portal, names),
        hostname: "mail.alpha.test".to_owned(),
        time_zone: "UTC".to_owned(),
        started: portal.now(),
        memory: Memory::default(),
    };
    ours.block_on(async {
        let db = Db::open(&Place::Sqlite(dir.path().join("x.sqlite"))).await.unwrap();
        for round in 0..6 {
            // Each round is a first one for the schedule: all sources are due, the hourly ones, too.
            if round > 0 {
                let mut tx = db.begin().await.unwrap();
                tx.execute(sql("UPDATE sample_source SET ended_at = NULL, claimed_until = 0")).await.unwrap();
                tx.commit().await.unwrap();
            }
            let collector = Collector::new(SOURCES, reach().await, db.clone(), SERVER, clock.clone());
            let (begin, start) = (cpu(&OURS), Instant::now());
            for source in collector.begin().await.unwrap() {
                source.await.unwrap();
            }
            let (took, waited) = (cpu(&OURS) - begin, start.elapsed().as_millis());
            let told = samples::sources(&db).await.unwrap();
            let failed: Vec<&str> =
                told.iter().filter(|run| run.error.is_some()).map(|run| run.source.as_str()).collect();
            let series: i64 = told.iter().map(|run| run.told).sum();
            println!(
                "cycle {round}: {took:.1} ms of processor time, {waited} ms in all, {} sources, {series} series, \
                 failed: {failed:?}",
                told.len()
            );
        }
    });
}

fn client(portal: &Portal, clock: &Clock) -> Mailcow {
    let settings = mailcow::Settings {
        base: portal.mailcow_url.parse().unwrap(),
        key: portal.mailcow.keys.api_key.clone().into(),
        http: http::Settings::default(),
    };
    Mailcow::new(&settings, clock.clone()).unwrap()
}

/// A host that offers nothing: its ports are refused at once.
fn probes(portal: &Portal, names: std::net::SocketAddr) -> Probes {
    let dns = Dns::new(&dns::Settings { servers: vec![names], patience: Duration::from_millis(500) });
    let dns = dns.map(Arc::new);
    let web = Http::new(&http::Settings::default());
    Probes {
        host: Some("127.0.0.1".to_owned()),
        via: None,
        ports: [25, 110, 143, 465, 587, 993, 995, 4190].map(Port::usual).to_vec(),
        relay: true,
        block_lists: Vec::new(),
        memcached: None,
        clamd: None,
        tls: None,
        releases: None,
        public: dns.clone().and_then(|dns| Http::by_names_of(dns, &http::Settings::default())),
        dns,
        policy_port: 9,
        web: web.map(|http| (http, portal.mailcow_url.parse().unwrap())),
    }
}

/// A series' number at a minute; how often it changes differs.
fn number(series: usize, minute: i64) -> f64 {
    let (series, pause) = (series as i64, [1, 15, 5000][series % 3]);
    ((minute + series) / pause * 37 % 1009) as f64
}

/// What a mailbox uses: it changes about ten times a day.
fn used(mailbox: usize, minute: i64) -> f64 {
    let mailbox = mailbox as i64;
    (100 + mailbox % 900 + (minute + mailbox * 7) / 144) as f64
}

fn plain(at: Millis, minute: i64, keys: &[&'static str]) -> Vec<Sample> {
    let sample = |(index, metric): (usize, &&'static str)| Sample {
        metric,
        labels: Labels::NONE,
        state: State::Number(number(index, minute)),
        at,
    };
    keys.iter().enumerate().map(sample).collect()
}

fn of_mailboxes(at: Millis, minute: i64, count: usize) -> Vec<Sample> {
    let metrics = [
        &mailboxes::EACH_MAILBOX_ACTIVE,
        &mailboxes::EACH_MAILBOX_USED_MB,
        &mailboxes::EACH_MAILBOX_QUOTA_MB,
        &mailboxes::EACH_MAILBOX_USAGE_PCT,
    ];
    let each = |mailbox: usize| {
        let used = used(mailbox, minute);
        let states = [1.0, used, 3072.0, (used / 30.72).round()];
        metrics.into_iter().zip(states).map(move |(metric, state)| Sample {
            metric: metric.key,
            labels: Labels::one(MAILBOX, &format!("user{mailbox}@domain{}.test", mailbox % 50)),
            state: State::Number(state),
            at,
        })
    };
    (0..count).flat_map(each).collect()
}

async fn append(db: &Db, book: &mut Book, source: &str, at: Millis, period: Duration, samples: &[Sample]) {
    let batch = Batch { server: SERVER, source, at, took: MINUTE / 60, period, error: None, samples };
    book.append(db, batch).await.unwrap();
}

/// Keys of our own for series that are only counted.
fn keys(count: usize) -> Vec<&'static str> {
    (0..count).map(|n| &*Box::leak(format!("bench.series.number{n}").into_boxed_str())).collect()
}

/// A day of each kind of series.
async fn history() {
    for (name, series, mailboxes) in [("300 series", 300, 0), ("5,000 mailboxes", 0, 5000)] {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&Place::Sqlite(dir.path().join("x.sqlite"))).await.unwrap();
        let (keys, mut book) = (keys(series), Book::default());
        let begin = 20_770 * DAY;
        let told = |minute: i64| {
            let at = Millis(begin + minute * 60_000);
            (at, [plain(at, minute, &keys), of_mailboxes(at, minute, mailboxes)].concat())
        };
        // The first hour makes series and states.
        for minute in -60..0 {
            let (at, samples) = told(minute);
            append(&db, &mut book, "bench", at, MINUTE, &samples).await;
        }
        samples::roll(&db, Millis(begin)).await.unwrap();
        let (rows, bytes) = (counts(&db).await, size(&db).await);
        let (before, start) = (cpu(&OURS), Instant::now());
        for minute in 0..1440 {
            let (at, samples) = told(minute);
            append(&db, &mut book, "bench", at, MINUTE, &samples).await;
            if minute % 5 == 0 {
                samples::roll(&db, at).await.unwrap();
            }
        }
        samples::roll(&db, Millis(begin + DAY + 600_000)).await.unwrap();
        let (day_cpu, day_wall) = (cpu(&OURS) - before, start.elapsed().as_secs());
        let (rows_after, bytes_after) = (counts(&db).await, size(&db).await);
        let difference: Vec<i64> =
            rows_after.iter().zip(rows).map(|(after, before)| after - before).collect();
        let (at, samples) = told(1440);
        append(&db, &mut book, "bench", at, MINUTE, &samples).await;
        let before = cpu(&OURS);
        for more in 1..=100 {
            append(&db, &mut book, "bench", at.plus(MINUTE * more), MINUTE, &samples).await;
        }
        let idle = (cpu(&OURS) - before) / 100.0;
        println!(
            "{name}: a day makes {} changes, roll-ups {:?} (5 minutes, hour, day), {:.2} MB; {day_cpu:.0} ms of \
             processor time, {day_wall} s in all; a minute without a change {idle:.2} ms for {} series",
            difference[0],
            &difference[1..],
            (bytes_after - bytes) as f64 / 1e6,
            samples.len()
        );
        db.close().await;
    }
}

async fn counts(db: &Db) -> [i64; 4] {
    let mut counts = [0; 4];
    let froms = [
        "sample",
        "sample_roll WHERE step = 300",
        "sample_roll WHERE step = 3600",
        "sample_roll WHERE step = 86400",
    ];
    for (count, from) in counts.iter_mut().zip(froms) {
        *count =
            db.fetch_one::<(i64,)>(sql(format!("SELECT COUNT(*) FROM {from}"))).await.unwrap().unwrap().0;
    }
    counts
}

/// Bytes of all pages in use.
async fn size(db: &Db) -> i64 {
    let one = async |text: &'static str| db.fetch_one::<(i64,)>(sql(text)).await.unwrap().unwrap().0;
    (one("PRAGMA page_count").await - one("PRAGMA freelist_count").await) * one("PRAGMA page_size").await
}

/// Overview and chart with a year behind them.
async fn pages() {
    let days: i64 = std::env::var("MAILCOW_STATUS_BENCH_DAYS").map_or(365, |days| days.parse().unwrap());
    let portal = Portal::start(Wishes::default()).await;
    let db = portal.state.db.clone();
    let keys: Vec<&'static str> = modules::all()
        .filter(|metric| metric.labels.is_empty() && metric.kind.is_numeric())
        .map(|metric| metric.key)
        .collect();
    let (mut book, hour) = (Book::default(), MINUTE * 60);
    let now = portal.now();
    let start = Instant::now();
    for n in (8 * 24..days * 24).rev() {
        let at = now.minus(hour * u32::try_from(n).unwrap());
        append(&db, &mut book, "bench", at, hour, &plain(at, -n * 60, &keys)).await;
        if n % 240 == 0 {
            samples::roll(&db, at).await.unwrap();
        }
    }
    // The last week is that of the demo, with a few things wrong.
    portal.mailcow.vitals().tell_past(&db, SERVER).await.unwrap();
    for n in [1, 0] {
        let at = now.minus(MINUTE * n);
        append(&db, &mut book, "mailboxes", at, hour, &of_mailboxes(at, 0, 500)).await;
    }
    println!("{} numbers over {days} days were written in {} s", keys.len(), start.elapsed().as_secs());
    let mut admin = portal.signed_in("admin@alpha.test").await;
    for path in ["/healthz", "/system", "/chart/mailcow.queue.deferred?range=1y", "/system/queues?range=1y"] {
        let (mut took, begin) = (Vec::new(), cpu(&OURS));
        for _ in 0..200 {
            let start = Instant::now();
            let answer = admin.get(path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            took.push(start.elapsed().as_secs_f64() * 1000.0);
        }
        let cpu = (cpu(&OURS) - begin) / 200.0;
        took.sort_by(f64::total_cmp);
        println!(
            "{path}: median {:.2} ms, 95 of 100 within {:.2} ms, {cpu:.2} ms of processor time",
            took[100], took[190]
        );
    }
}
