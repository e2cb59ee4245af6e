//! kill -9 in the middle of a poll, again and again: in the end nothing is missing and nothing is double.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use mailcow_status::{
    demo::{Options, Rng},
    model::time::Millis,
    store::{Db, db::sql, ingestion},
};

use super::{
    ingest::settings,
    support::{
        db::{FreshDb, fresh_databases, sqlite},
        rig::{Picture, Source, ledger, open},
    },
};

/// How often each database is interrupted.
const KILLS: usize = 15;

fn program(fresh: &FreshDb, source: &Source, command: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mailcow-status"))
        .arg(command)
        .env_clear()
        .envs(settings(fresh, &source.url, &source.mailcow.keys.api_key))
        .envs([("LISTEN", "127.0.0.1:0"), ("POLL_INTERVAL", "5s"), ("POSTFIX_COUNT", "300")])
        .current_dir(std::env::temp_dir())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for a process without holding up the simulated Mailcow.
async fn ended(child: Child) -> String {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Updates until one is done; a run that was killed may block the next, but not for long.
async fn update(fresh: &FreshDb, source: &Source) {
    let start = Instant::now();
    while ended(program(fresh, source, "update")).await == "busy" {
        assert!(start.elapsed() < Duration::from_secs(15), "a killed run blocks the next");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn free_again(db: &Db) {
    loop {
        let rows: Vec<(i64,)> =
            db.fetch(sql("SELECT expires_at FROM lease WHERE name = 'poll'")).await.unwrap();
        if rows.first().is_none_or(|(until,)| *until <= Millis::now().0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn interrupt(fresh: FreshDb, seed: u64) {
    let options = Options { seed, mails: 60, ring: 200_000, rspamd_ring: 100_000, ..Options::default() };
    let source = Source::start(options).await;
    update(&fresh, &source).await;
    let db = open(&fresh).await;
    let mut rng = Rng::new(seed);
    let (mut halfway, mut usual) = (0, Duration::from_millis(600));
    for _ in 0..KILLS {
        source.mailcow.bustle(120);
        source.advance(400);
        free_again(&db).await;
        let before = ledger(&db).await;
        let begun = Instant::now();
        let mut child = program(&fresh, &source, "update");
        let fuse = usual.mul_f64(rng.between(10, 110) as f64 / 100.0);
        while begun.elapsed() < fuse && child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if child.try_wait().unwrap().is_some() {
            usual = begun.elapsed();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let rows: Vec<(i64,)> =
            db.fetch(sql("SELECT expires_at FROM lease WHERE name = 'poll'")).await.unwrap();
        let at_work = rows.first().is_some_and(|(until,)| *until > Millis::now().0);
        halfway += usize::from(at_work && ledger(&db).await == before);
    }
    update(&fresh, &source).await;
    let history = source.mailcow.history();
    let there = (history.lines.len() as i64, history.rows.len() as i64);
    assert_eq!(ledger(&db).await, there, "{}", db.engine());
    assert!(ingestion::gaps(&db, Millis(0), Millis(i64::MAX)).await.unwrap().is_empty());
    let undisturbed = sqlite();
    update(&undisturbed, &source).await;
    let once = open(&undisturbed).await;
    Picture::of(&db).await.must_equal(&Picture::of(&once).await, db.engine());
    eprintln!("{}: {halfway} of {KILLS} kills came in the middle of a poll", db.engine());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_at_any_moment_loses_nothing_and_doubles_nothing() {
    let tests = fresh_databases().await.into_iter().zip(31..).map(|(fresh, seed)| interrupt(fresh, seed));
    futures_util::future::join_all(tests).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_serving_program_that_is_killed_goes_on_where_it_was() {
    for fresh in fresh_databases().await {
        let source = Source::start(Options { seed: 41, mails: 40, ring: 50_000, ..Options::default() }).await;
        for round in 0..3_u64 {
            source.mailcow.bustle(30);
            source.advance(100);
            let mut child = program(&fresh, &source, "serve");
            tokio::time::sleep(Duration::from_millis(400 + 450 * round)).await;
            child.kill().unwrap();
            child.wait().unwrap();
        }
        update(&fresh, &source).await;
        let db = open(&fresh).await;
        let history = source.mailcow.history();
        let there = (history.lines.len() as i64, history.rows.len() as i64);
        assert_eq!(ledger(&db).await, there, "{}", db.engine());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_at_once_take_each_row_once() {
    for fresh in fresh_databases().await {
        let source = Source::start(Options { seed: 42, mails: 30, ring: 50_000, ..Options::default() }).await;
        update(&fresh, &source).await;
        for _ in 0..3 {
            source.mailcow.bustle(60);
            source.advance(100);
            let crowd = (0..4).map(|_| ended(program(&fresh, &source, "update")));
            let said = futures_util::future::join_all(crowd).await;
            assert!(said.iter().all(|word| word == "ok" || word == "busy"), "{said:?}");
            assert!(said.iter().any(|word| word == "ok"), "{said:?}");
        }
        update(&fresh, &source).await;
        let db = open(&fresh).await;
        let history = source.mailcow.history();
        let there = (history.lines.len() as i64, history.rows.len() as i64);
        assert_eq!(ledger(&db).await, there, "{}", db.engine());
    }
}
