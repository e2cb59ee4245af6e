//! Lines per second from the log API to committed mails, beside a bare loop that inserts the same rows.
//!
//! `cargo bench --bench ingest` measures SQLite; with `MAILCOW_STATUS_TEST_MYSQL` (an address of a MariaDB where
//! databases may be made) that, too. `MAILCOW_STATUS_BENCH_LOGS` names a folder with `postfix.jsonl` and
//! `rspamd.jsonl`, oldest first, to be served instead of the built-in demo world.

use std::{sync::Arc, time::Instant};

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use mailcow_status::{
    ingest::poll::Poller,
    model::{
        explain::Dictionary,
        mail::ServerId,
        time::{Clock, Millis},
    },
    remote::{http, mailcow},
    store::{
        Db,
        db::{Place, Value, sql},
    },
};

struct Logs {
    postfix: Log,
    rspamd: Log,
}

/// A log as Mailcow answers it, newest first: the text, and where each row ends.
struct Log {
    body: String,
    ends: Vec<usize>,
}

impl Log {
    fn read(path: &std::path::Path) -> Self {
        let text = std::fs::read_to_string(path).expect("a log to serve");
        let mut log = Self { body: "[".to_owned(), ends: Vec::new() };
        for line in text.lines().rev() {
            let row: serde_json::Value = serde_json::from_str(line).expect("JSON");
            log.body.push_str(if log.ends.is_empty() { "\n" } else { ",\n" });
            log.body.push_str(&serde_json::to_string_pretty(&row).expect("JSON").replace('/', "\\/"));
            log.ends.push(log.body.len());
        }
        log
    }

    /// The answer to a wish for `count` rows.
    fn newest(&self, count: usize) -> String {
        let rows = count.min(self.ends.len());
        let end = rows.checked_sub(1).map_or(1, |last| self.ends[last]);
        let mut body = String::with_capacity(end + 2);
        body.push_str(&self.body[..end]);
        body.push_str("\n]");
        body
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

/// The same rows with nothing around them: what the engine itself can take.
async fn bare_loop(from: &Db, to: &Db) -> f64 {
    let mails: Vec<(i64, i64, i64, Vec<u8>)> =
        from.fetch(sql("SELECT id, server, state, story FROM mail_story ORDER BY id")).await.expect("mails");
    let keys: Vec<(i64, i64, i64)> =
        from.fetch(sql("SELECT k, mail, state FROM mail_key ORDER BY mail")).await.expect("keys");
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
    tx.upsert("mail_key", ["k", "mail", "state"], &["k", "mail"], &["state"], rows.collect())
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

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let dir = std::env::var("MAILCOW_STATUS_BENCH_LOGS").expect("MAILCOW_STATUS_BENCH_LOGS");
        let dir = std::path::Path::new(&dir);
        let logs = Arc::new(Logs {
            postfix: Log::read(&dir.join("postfix.jsonl")),
            rspamd: Log::read(&dir.join("rspamd.jsonl")),
        });
        let lines = logs.postfix.ends.len() as i64;
        let base = serve(logs.clone()).await;
        for round in 0..3 {
            let bare = places("bare").await;
            for ((engine, place), (_, bare)) in places("full").await.into_iter().zip(bare) {
                let db = Db::open(&place).await.expect("a database");
                let settings = mailcow::Settings { base: base.clone(), key: "AAAAAA-BBBBBB".to_owned().into(), http: http::Settings::default() };
                let poller = Poller {
                    db: db.clone(),
                    mailcow: Arc::new(mailcow::Mailcow::new(&settings, Clock::system()).expect("a client")),
                    server: ServerId(1),
                    counts: (1000, 100),
                    longest: std::time::Duration::from_secs(60),
                    dictionary: Arc::new(Dictionary::built_in()),
                };
                let began = Instant::now();
                let polled = poller.poll(Millis::now()).await.expect("a poll").expect("nobody else polls");
                let took = began.elapsed().as_secs_f64();
                let began = Instant::now();
                let again = poller.poll(Millis::now()).await.expect("a poll").expect("nobody else polls");
                let nothing = began.elapsed().as_secs_f64();
                assert_eq!((polled.lines, again.lines), (lines, 0), "{:?} {:?}", polled.faults, again.faults);
                let empty = Db::open(&bare).await.expect("a database");
                let bare = bare_loop(&db, &empty).await;
                println!(
                    "{round} {engine}: {} lines, {} mails in {:.0} ms = {:.0} lines/s; bare loop {:.0} ms, ratio {:.2}; nothing new {:.1} ms",
                    polled.lines, polled.new_mails, took * 1e3, polled.lines as f64 / took, bare * 1e3, bare / took, nothing * 1e3
                );
            }
        }
    });
}
