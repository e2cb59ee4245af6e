//! Lines per second from the log API to committed mails, beside a bare loop that inserts the same rows.
//!
//! `cargo bench --bench ingest` measures SQLite; with `MAILCOW_STATUS_TEST_MYSQL` (an address of a MariaDB where
//! databases may be made) that, too. `MAILCOW_STATUS_BENCH_LOGS` names a folder with `postfix.jsonl` and
//! `rspamd.jsonl`, oldest first, to be served.
//!
//! With `MAILCOW_STATUS_BENCH_SIZES` it prints what the mails of that log take, with their search index.
//!
//! With `MAILCOW_STATUS_BENCH_BESIDE` (an address as in `DATABASE_URL`) the steady state is measured instead: polls that
//! bring 2,500 lines, 1,700 of them new, into that database, which may hold a million mails (`benches/lists.rs` makes
//! such ones).

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use mailcow_status::{
    ingest::poll::Poller,
    model::{
        explain::Dictionary,
        mail::{MailId, ServerId},
        time::{Clock, Millis},
    },
    remote::{http, mailcow},
    store::{
        Db,
        db::{Place, Value, sql},
        dictionaries, gathered, search,
    },
};

/// New lines of a poll in the steady state.
const FRESH: usize = 1700;
/// Lines that such a poll asks for.
const ASKED: u32 = 2500;

/// How long mails are kept.
const RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);

/// Later than all that is served.
const FUTURE: Millis = Millis(4_000_000_000_000);

#[path = "support/sizes.rs"]
mod sizes;

struct Logs {
    postfix: Log,
    rspamd: Log,
}

/// A log as Mailcow answers it, newest first: the text, and where each row ends.
struct Log {
    body: String,
    ends: Vec<usize>,
    /// How many of the newest rows are still to come.
    hidden: AtomicUsize,
}

impl Logs {
    /// The logs of a folder; as if the first line of Postfix were of this moment, in seconds, where one is given.
    fn read(dir: &std::path::Path, begin: Option<i64>) -> Self {
        let postfix = rows(&dir.join("postfix.jsonl"));
        let later = begin.map_or(0, |begin| begin - postfix.first().map_or(0, seconds));
        let rspamd = rows(&dir.join("rspamd.jsonl"));
        Self { postfix: Log::new(postfix, later), rspamd: Log::new(rspamd, later) }
    }
}

fn rows(path: &std::path::Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).expect("a log to serve");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The moment of a row: Postfix's are texts, Rspamd's numbers.
fn seconds(row: &serde_json::Value) -> i64 {
    let text = row["time"].as_str().and_then(|text| text.parse().ok());
    text.or(row["unix_time"].as_i64()).unwrap_or_default()
}

impl Log {
    fn new(rows: Vec<serde_json::Value>, later: i64) -> Self {
        let mut log = Self { body: "[".to_owned(), ends: Vec::new(), hidden: AtomicUsize::new(0) };
        for mut row in rows.into_iter().rev() {
            if later != 0 {
                let moved = seconds(&row) + later;
                for (name, value) in [("time", moved.to_string().into()), ("unix_time", moved.into())] {
                    if row[name].is_string() || row[name].is_number() {
                        row[name] = value;
                    }
                }
            }
            log.body.push_str(if log.ends.is_empty() { "\n" } else { ",\n" });
            log.body.push_str(&serde_json::to_string_pretty(&row).expect("JSON").replace('/', "\\/"));
            log.ends.push(log.body.len());
        }
        log
    }

    /// The answer to a wish for `count` rows.
    fn newest(&self, count: usize) -> String {
        let hidden = self.hidden.load(Ordering::Relaxed);
        let rows = count.min(self.ends.len() - hidden);
        let end = |row: usize| row.checked_sub(1).map_or(0, |last| self.ends[last]);
        // Each row but the first begins behind a comma, as the first does behind the bracket.
        let rows = &self.body[end(hidden) + 1..end(hidden + rows).max(end(hidden) + 1)];
        format!("[{rows}\n]")
    }

    /// Lets all but a share of the rows be still to come.
    fn show(&self, share: f64) {
        let shown = (self.ends.len() as f64 * share) as usize;
        self.hidden.store(self.ends.len() - shown, Ordering::Relaxed);
    }
}

async fn serve(logs: Arc<Logs>) -> reqwest::Url {
    let app = Router::new()
        .route(
            "/api/v1/get/logs/postfix/{n}",
            get(|State(logs): State<Arc<Logs>>, Path(n): Path<usize>| async move { logs.postfix.newest(n) }),
        )
        .route(
            "/api/v1/get/logs/rspamd-history/{n}",
            get(|State(logs): State<Arc<Logs>>, Path(n): Path<usize>| async move { logs.rspamd.newest(n) }),
        )
        .with_state(logs);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}").parse().expect("an address")
}

async fn places(name: &str) -> Vec<(&'static str, Place)> {
    let dir = std::env::temp_dir().join(format!("mailcow-status-bench-{}", std::process::id()));
    let _ = std::fs::create_dir_all(&dir);
    let mut places = vec![("SQLite", Place::Sqlite(dir.join(format!("{name}_{}.sqlite", Millis::now().0))))];
    if let Ok(url) = std::env::var("MAILCOW_STATUS_TEST_MYSQL") {
        let name = format!("bench_{name}_{}", Millis::now().0);
        let admin = sqlx::MySqlPool::connect(&url).await.expect("MariaDB");
        sqlx::query(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&admin)
            .await
            .expect("a database");
        let url = format!(
            "{}/{name}",
            url.trim_end_matches('/')
                .rsplit_once('/')
                .filter(|(head, _)| head.len() > 8)
                .map_or(url.trim_end_matches('/'), |(head, _)| head)
        );
        places.push(("MariaDB", Place::mysql_url(&url).expect("an address")));
    }
    places
}

/// One plain row for each row of the logs, 500 a statement and a commit: what a program takes that only keeps the logs.
async fn bare_lines(logs: &Logs, to: &Db) -> f64 {
    let rows: Vec<(i64, String, String)> = [("message", &logs.postfix), ("subject", &logs.rspamd)]
        .into_iter()
        .flat_map(|(text, log)| {
            let rows: Vec<serde_json::Value> =
                serde_json::from_str(&log.newest(log.ends.len())).expect("JSON");
            rows.into_iter().map(move |row| {
                let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
                (word("time").parse().unwrap_or_default(), word("program"), word(text))
            })
        })
        .collect();
    let mut tx = to.begin().await.expect("a transaction");
    let table = match to {
        Db::Sqlite { .. } => "id INTEGER PRIMARY KEY, at INTEGER, program TEXT, text TEXT",
        Db::Mysql { .. } => "id BIGINT AUTO_INCREMENT PRIMARY KEY, at BIGINT, program VARCHAR(64), text TEXT",
    };
    tx.execute(sql(format!("CREATE TABLE bare_line ({table})"))).await.expect("a table");
    tx.commit().await.expect("a commit");
    let began = Instant::now();
    for (index, rows) in rows.chunks(500).enumerate() {
        let id = |row: usize| Value::Int((index * 500 + row + 1) as i64);
        let rows = rows.iter().enumerate().map(|(row, (at, program, text))| {
            [id(row), Value::Int(*at), program.as_str().into(), text.as_str().into()]
        });
        let mut tx = to.begin().await.expect("a transaction");
        tx.insert_all("bare_line", ["id", "at", "program", "text"], rows.collect()).await.expect("rows");
        tx.commit().await.expect("a commit");
    }
    began.elapsed().as_secs_f64()
}

/// The same rows with nothing around them: what the engine itself can take.
async fn bare_loop(from: &Db, to: &Db) -> f64 {
    let mails: Vec<(i64, i64, i64, Vec<u8>)> =
        from.fetch(sql("SELECT id, server, state, story FROM mail_story ORDER BY id")).await.expect("mails");
    let keys: Vec<(i64, i64, i64)> =
        from.fetch(sql("SELECT k, mail, state FROM mail_key_new ORDER BY mail")).await.expect("keys");
    let scans: Vec<(i64, Vec<u8>)> =
        from.fetch(sql("SELECT id, data FROM scan ORDER BY id")).await.expect("scans");
    let chunks: Vec<(i64, i64, i64, Vec<u8>)> = from
        .fetch(sql("SELECT first_at, last_at, line_count, data FROM line_chunk ORDER BY id"))
        .await
        .expect("chunks");
    let began = Instant::now();
    let mut tx = to.begin().await.expect("a transaction");
    let rows =
        mails.iter().map(|(a, b, c, d)| [Value::Int(*a), Value::Int(*b), Value::Int(*c), Value::from(d)]);
    tx.upsert("mail_story", ["id", "server", "state", "story"], &["id"], &["state"], rows.collect())
        .await
        .expect("rows");
    let rows = keys.iter().map(|(a, b, c)| [Value::Int(*a), Value::Int(*b), Value::Int(*c)]);
    tx.upsert("mail_key_new", ["k", "mail", "state"], &["k", "mail"], &["state"], rows.collect())
        .await
        .expect("rows");
    let rows = scans.iter().map(|(a, b)| [Value::Int(*a), Value::from(b)]);
    tx.upsert("scan", ["id", "data"], &["id"], &[], rows.collect()).await.expect("rows");
    for (a, b, c, d) in &chunks {
        let row =
            [0_i64.into(), "bench".into(), Value::Int(*a), Value::Int(*b), Value::Int(*c), Value::from(d)];
        tx.insert("line_chunk", ["server", "source", "first_at", "last_at", "line_count", "data"], row)
            .await
            .expect("rows");
    }
    tx.commit().await.expect("a commit");
    began.elapsed().as_secs_f64()
}

fn poller(db: &Db, base: &reqwest::Url, counts: (u32, u32)) -> Poller {
    let key = "AAAAAA-BBBBBB".to_owned().into();
    let settings = mailcow::Settings { base: base.clone(), key, http: http::Settings::default() };
    Poller {
        db: db.clone(),
        mailcow: Arc::new(mailcow::Mailcow::new(&settings, Clock::system()).expect("a client")),
        server: ServerId(1),
        counts,
        longest: std::time::Duration::from_secs(60),
        dictionary: Arc::new(Dictionary::built_in()),
    }
}

/// Processor time of this process so far, in seconds: the served log is in it, the engine of MariaDB is not.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    // Hundredths of a second, as on every Linux.
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The database whose steady state is to be measured.
async fn beside(url: &str) -> Db {
    let place = match url.strip_prefix("sqlite:") {
        Some(file) => Place::Sqlite(file.into()),
        None => Place::mysql_url(url).expect("an address"),
    };
    Db::open(&place).await.expect("a database")
}

/// The moment of the newest mail, in seconds.
async fn newest(db: &Db) -> i64 {
    let id: Option<(Option<MailId>,)> =
        db.fetch_one(sql("SELECT MAX(id) FROM mail_story")).await.expect("an id");
    id.and_then(|(id,)| id).map_or(0, |id| id.second().secs())
}

async fn steady(db: Db, base: &reqwest::Url, logs: &Logs) {
    let poller = poller(&db, base, (ASKED, 300));
    let total = logs.postfix.ends.len();
    let (mut times, mut used) = (Vec::new(), 0.0);
    for shown in (total / 5..=total).step_by(FRESH) {
        let share = shown as f64 / total as f64;
        logs.postfix.show(share);
        logs.rspamd.show(share);
        let (began, before) = (Instant::now(), processor());
        let polled = poller.poll(Millis::now()).await.expect("a poll").expect("nobody else polls");
        // The first one takes what was there before.
        if shown > total / 5 {
            assert!(polled.lines.abs_diff(FRESH as i64) < 2, "{polled:?}");
            times.push(began.elapsed().as_secs_f64() * 1e3);
            used += processor() - before;
        }
        // The jobs that run beside the polls.
        gathered::settle(&db, FUTURE).await.expect("keys");
    }
    times.sort_by(f64::total_cmp);
    println!(
        "{}: {} polls of {FRESH} new lines: best {:.1} ms, median {:.1} ms, worst {:.1} ms; processor {:.1} ms",
        db.engine(),
        times.len(),
        times[0],
        times[times.len() / 2],
        times[times.len() - 1],
        used * 1e3 / times.len() as f64
    );
    let (began, before) = (Instant::now(), processor());
    for _ in 0..100 {
        poller.poll(Millis::now()).await.expect("a poll").expect("nobody else polls");
    }
    let (took, used) = (began.elapsed().as_secs_f64(), processor() - before);
    println!("polls with nothing new: {:.1} ms; processor {:.1} ms", took * 10.0, used * 10.0);
}

/// What the mails of the log take, search index included. It comes in pieces of 10,000 lines, behind each of which the jobs run.
async fn room(base: &reqwest::Url, logs: &Logs) {
    for (engine, place) in places("room").await {
        let db = Db::open(&place).await.expect("a database");
        let poller = poller(&db, base, (1000, 100));
        let pieces = logs.postfix.ends.len().div_ceil(10_000);
        for piece in 1..=pieces {
            logs.postfix.show(piece as f64 / pieces as f64);
            logs.rspamd.show(piece as f64 / pieces as f64);
            poller.poll(Millis::now()).await.expect("a poll").expect("nobody else polls");
            gathered::settle(&db, FUTURE).await.expect("keys");
            search::shape(&db).await.expect("a shape");
            while search::feed(&db).await.expect("a step") {}
            let now = Millis::from_secs(newest(&db).await);
            dictionaries::learn(&db, now, RETENTION).await.expect("a dictionary");
        }
        println!("{engine}");
        sizes::print(&db).await;
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let dir = std::env::var("MAILCOW_STATUS_BENCH_LOGS").expect("MAILCOW_STATUS_BENCH_LOGS");
        let dir = std::path::Path::new(&dir);
        let beside = match std::env::var("MAILCOW_STATUS_BENCH_BESIDE") {
            Ok(url) => Some(beside(&url).await),
            Err(_) => None,
        };
        // What comes is newer than what is there.
        let after = match &beside {
            Some(db) => Some(newest(db).await + 60),
            None => None,
        };
        let logs = Arc::new(Logs::read(dir, after));
        let lines = logs.postfix.ends.len() as i64;
        let base = serve(logs.clone()).await;
        if let Some(db) = beside {
            return steady(db, &base, &logs).await;
        }
        if std::env::var_os("MAILCOW_STATUS_BENCH_SIZES").is_some() {
            return room(&base, &logs).await;
        }
        for round in 0..3 {
            let bare = places("bare").await;
            for ((engine, place), (_, bare)) in places("full").await.into_iter().zip(bare) {
                let db = Db::open(&place).await.expect("a database");
                let poller = poller(&db, &base, (1000, 100));
                let began = Instant::now();
                let polled = poller.poll(Millis::now()).await.expect("a poll").expect("nobody else polls");
                let took = began.elapsed().as_secs_f64();
                let began = Instant::now();
                let again = poller.poll(Millis::now()).await.expect("a poll").expect("nobody else polls");
                let nothing = began.elapsed().as_secs_f64();
                assert_eq!((polled.lines, again.lines), (lines, 0), "{:?} {:?}", polled.faults, again.faults);
                let empty = Db::open(&bare).await.expect("a database");
                let bare = bare_loop(&db, &empty).await;
                let plain = bare_lines(&logs, &empty).await;
                println!(
                    "{round} {engine}: {} lines, {} mails in {:.0} ms = {:.0} lines/s; bare loop {:.0} ms, ratio {:.2}; as plain rows {:.0} ms, ratio {:.2}; nothing new {:.1} ms",
                    polled.lines, polled.new_mails, took * 1e3, polled.lines as f64 / took, bare * 1e3, bare / took, plain * 1e3, plain / took, nothing * 1e3
                );
            }
        }
    });
}
