//! How long lists take beside many mails: `cargo bench --bench lists`.
//!
//! Fills a database with `MAILCOW_STATUS_BENCH_MAILS` mails (a million unless told otherwise) over 120 days, feeds
//! the search index, and prints for each question the median and the 95th percentile. SQLite by default;
//! `MAILCOW_STATUS_TEST_MYSQL` (an empty database's address) measures MariaDB instead. `MAILCOW_STATUS_BENCH_DB` names
//! a SQLite file that is kept, and used again when it is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use mailcow_status::{
    ingest::{
        correlate::{Batch, Novelty, take},
        sessions::Sessions,
    },
    model::{
        event::LogLine,
        filter::{Filter, Place as At},
        mail::{MailId, ServerId, Status},
        scan::Scan,
        scope::{Holding, Holdings, Scope},
        time::Millis,
        traffic::Side,
    },
    store::{
        Db,
        db::{Place, sql},
        dictionaries, gathered, mails, search,
        traffic::{self, Whose},
    },
};

#[path = "support/sizes.rs"]
mod sizes;

const BEGIN: i64 = 1_785_000_000;
const SPAN: i64 = 120 * 86_400;
const BATCH: usize = 4000;
const RUNS: usize = 200;
const WORDS: [&str; 24] = [
    "invoice",
    "meeting",
    "your",
    "order",
    "report",
    "question",
    "weekly",
    "newsletter",
    "tomorrow",
    "delivery",
    "contract",
    "draft",
    "photos",
    "welcome",
    "reminder",
    "offer",
    "account",
    "project",
    "budget",
    "lunch",
    "status",
    "update",
    "ticket",
    "travel",
];

/// Numbers that look random and are the same in each run (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len() as u64) as usize]
    }

    fn letters(&mut self, count: usize) -> String {
        (0..count).map(|_| (b'a' + self.below(26) as u8) as char).collect()
    }

    /// One of 10,000 mailboxes here.
    fn local(&mut self) -> String {
        format!("user{}@domain{}.example", self.below(50), self.below(200))
    }

    fn remote(&mut self) -> String {
        format!("{}.{}@host{}.example.net", self.word(), self.below(2000), self.below(3000))
    }
}

fn lines_of(n: usize, at: Millis, dice: &mut Dice, lines: &mut Vec<(Millis, &'static str, String)>) -> Scan {
    // Long queue ids have no vowels.
    let id = format!("4b{n:09}zQ");
    let outgoing = dice.below(3) == 0;
    let (from, to) = if outgoing { (dice.local(), dice.remote()) } else { (dice.remote(), dice.local()) };
    let ip = format!("203.0.{}.{}", dice.below(113), dice.below(256));
    let message_id = format!("{:x}.{n}.{}@{}", at.0, dice.letters(8), from.rsplit('@').next().unwrap_or("x"));
    let client = if outgoing {
        (
            "postfix/smtps/smtpd",
            format!("{id}: client=unknown[{ip}], sasl_method=PLAIN, sasl_username={from}"),
        )
    } else {
        ("postfix/smtpd", format!("{id}: client=mx.example.net[{ip}]"))
    };
    let (status, dsn) = match dice.below(50) {
        0 => ("bounced (host mx.example.net[203.0.113.9] said: 550 5.1.1 no such user)", "5.1.1"),
        1 => ("deferred (host mx.example.net[203.0.113.9] said: 451 4.7.1 try again later)", "4.7.1"),
        _ => ("sent (250 2.0.0 Ok: queued)", "2.0.0"),
    };
    let attempt = if outgoing {
        (
            "postfix/smtp",
            format!(
                "{id}: to=<{to}>, relay=mx.example.net[203.0.113.9]:25, delay=1.2, delays=0.1/0/0.5/0.6, dsn={dsn}, status={status}"
            ),
        )
    } else {
        (
            "postfix/lmtp",
            format!(
                "{id}: to=<{to}>, relay=dovecot[172.22.1.250]:24, delay=0.5, delays=0.3/0/0.1/0.1, dsn={dsn}, status={status}"
            ),
        )
    };
    let size = 1000 + dice.below(100_000);
    for (program, text) in [
        client,
        ("postfix/cleanup", format!("{id}: message-id=<{message_id}>")),
        ("postfix/qmgr", format!("{id}: from=<{from}>, size={size}, nrcpt=1 (queue active)")),
        attempt,
        ("postfix/qmgr", format!("{id}: removed")),
    ] {
        lines.push((at, program, text));
    }
    Scan {
        at,
        message_id: Some(message_id),
        subject: Some(format!("{} {} {} {n}", dice.word(), dice.word(), dice.word())),
        size,
        ip: Some(ip),
        user: outgoing.then(|| from.clone()),
        sender: from,
        rcpts: vec![to],
        action: "no action".to_owned(),
        ..Scan::default()
    }
}

async fn fill(db: &Db, count: usize) {
    let mut dice = Dice(1);
    let mut sessions = Sessions::default();
    for first in (0..count).step_by(BATCH) {
        let (mut lines, mut scans) = (Vec::new(), Vec::new());
        for n in first..(first + BATCH).min(count) {
            let at = Millis::from_secs(BEGIN + SPAN * n as i64 / count as i64);
            scans.push(lines_of(n, at, &mut dice, &mut lines));
        }
        let lines: Vec<_> =
            lines.iter().map(|(at, program, text)| LogLine { at: *at, program, text }).collect();
        let mut tx = db.begin().await.expect("a transaction");
        let batch = Batch {
            server: ServerId(1),
            lines: &lines,
            scans: scans.into(),
            quarantined: &[],
            novelty: Novelty::New,
        };
        take(&mut tx, &batch, &mut sessions).await.expect("mails");
        tx.commit().await.expect("a commit");
        gathered::settle(db, Millis::from_secs(BEGIN + SPAN)).await.expect("keys");
        let now = Millis::from_secs(BEGIN + SPAN * (first + BATCH) as i64 / count as i64);
        dictionaries::learn(db, now, Duration::MAX).await.expect("a dictionary");
    }
}

/// Runs a question many times, and prints how long it took.
async fn ask<T, F: Future<Output = T>>(
    name: &str,
    mut question: impl FnMut(u64) -> F,
    rows: impl Fn(&T) -> String,
) {
    let (mut times, mut shown) = (Vec::new(), String::new());
    for run in 0..RUNS + 5 {
        let began = Instant::now();
        let answer = question(run as u64).await;
        if run >= 5 {
            times.push(began.elapsed());
        }
        shown = rows(&answer);
    }
    times.sort();
    let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e3;
    println!("| {name} | {:.2} | {:.2} | {shown} |", at(50), at(95));
}

async fn measure(db: &Db) {
    let domain_admin = Scope::Only(Holdings {
        domains: BTreeSet::from(["domain7.example".to_owned()]),
        addresses: BTreeMap::new(),
    });
    let holding = Holding { since: Millis(0), sends: Some(Millis(0)) };
    let several = ["user7@domain7.example", "user8@domain7.example", "user9@domain8.example"];
    let addresses = several.into_iter().map(|address| (address.to_owned(), holding)).collect();
    let aliases = Scope::Only(Holdings { domains: BTreeSet::new(), addresses });
    let user = Scope::mailbox("user7@domain7.example", Millis(0));
    let nobody = Scope::mailbox("nobody@domain7.example", Millis(0));
    let deep: Vec<(MailId,)> =
        db.fetch(sql("SELECT id FROM mail_story ORDER BY id DESC LIMIT 1 OFFSET 99950")).await.expect("ids");
    let deep = deep.first().map_or(At::Newest, |(id,)| At::Before(*id));
    let q = |text: String| Filter { q: Some(text), ..Filter::default() };
    let plain = Filter::default;
    let bounced = Filter { statuses: vec![Status::Bounced], ..Filter::default() };
    let sender = Filter { sender: Some("user7@domain7.example".to_owned()), ..Filter::default() };
    println!("| question | median ms | p95 ms | mails |\n|---|---|---|---|");
    type Wish = Box<dyn Fn(u64) -> Filter>;
    let lists: [(&str, &Scope, At, Wish); 17] = [
        ("first page, admin", &Scope::All, At::Newest, Box::new(move |_| plain())),
        ("first page, domain admin", &domain_admin, At::Newest, Box::new(move |_| plain())),
        ("first page, user", &user, At::Newest, Box::new(move |_| plain())),
        ("first page, user with two aliases", &aliases, At::Newest, Box::new(move |_| plain())),
        ("first page, user without mail", &nobody, At::Newest, Box::new(move |_| plain())),
        ("page 2,000, admin", &Scope::All, deep, Box::new(move |_| plain())),
        (
            "bounced, admin",
            &Scope::All,
            At::Newest,
            Box::new({
                let f = bounced.clone();
                move |_| f.clone()
            }),
        ),
        ("bounced, domain admin", &domain_admin, At::Newest, Box::new(move |_| bounced.clone())),
        (
            "exact sender, admin",
            &Scope::All,
            At::Newest,
            Box::new({
                let f = sender.clone();
                move |_| f.clone()
            }),
        ),
        ("exact sender, domain admin", &domain_admin, At::Newest, Box::new(move |_| sender.clone())),
        (
            "contains, many matches, admin",
            &Scope::All,
            At::Newest,
            Box::new(move |n| q(WORDS[n as usize % 24].to_owned())),
        ),
        (
            "contains, one old match, admin",
            &Scope::All,
            At::Newest,
            Box::new(move |n| q(format!(" {}", 100_000 + n * 13))),
        ),
        (
            "contains, no match: letters, admin",
            &Scope::All,
            At::Newest,
            Box::new(move |n| q(Dice(n).letters(8))),
        ),
        (
            "contains, no match: two words, admin",
            &Scope::All,
            At::Newest,
            Box::new(move |n| {
                let mut dice = Dice(n);
                q(format!("{}{}", dice.word(), dice.word()))
            }),
        ),
        (
            "contains, no match: two words, domain admin",
            &domain_admin,
            At::Newest,
            Box::new(move |n| {
                let mut dice = Dice(n);
                q(format!("{}{}", dice.word(), dice.word()))
            }),
        ),
        ("contains, no match: letters, user", &user, At::Newest, Box::new(move |n| q(Dice(n).letters(8)))),
        (
            "contains, many matches, user",
            &user,
            At::Newest,
            Box::new(move |n| q(WORDS[n as usize % 24].to_owned())),
        ),
    ];
    for (name, scope, at, wish) in &lists {
        ask(
            name,
            |run| {
                let filter = wish(run);
                async move { mails::search(db, scope, &filter, *at, 50).await.expect("a list") }
            },
            |page| format!("{}{}", page.mails.len(), if page.stopped { ", stopped" } else { "" }),
        )
        .await;
    }
    let now = Millis::from_secs(BEGIN + SPAN);
    for (name, scope) in [("admin", &Scope::All), ("domain admin", &domain_admin), ("user", &user)] {
        ask(
            &format!("counts of a week, {name}"),
            |_| async {
                mails::hours(db, scope, now.minus(Duration::from_secs(7 * 86_400)), now)
                    .await
                    .expect("counts")
            },
            |hours| hours.len().to_string(),
        )
        .await;
    }
}

/// Counts the mail flow of all hours, and asks for it as the page does.
async fn measure_flow(db: &Db) {
    let ours: BTreeSet<String> = (0..200).map(|n| format!("domain{n}.example")).collect();
    let (began, mut counted) = (Instant::now(), 0);
    loop {
        let due = traffic::due(db, 1000).await.expect("hours");
        if due.is_empty() {
            break;
        }
        for hour in due {
            traffic::count(db, hour, &ours).await.expect("an hour");
            counted += 1;
        }
    }
    println!("mail flow of {counted} hours counted in {:.0} s", began.elapsed().as_secs_f64());
    let domains = BTreeSet::from(["domain7.example".to_owned()]);
    let admin = Scope::Only(Holdings { domains, addresses: BTreeMap::new() });
    let now = Millis::from_secs(BEGIN + SPAN);
    println!("| question | median ms | p95 ms | hours |\n|---|---|---|---|");
    for (days, name) in [(1, "a day"), (7, "a week"), (30, "30 days")] {
        let span = (now.minus(Duration::from_secs(days * 86_400)), now);
        for (who, scope) in [("admin", &Scope::All), ("domain admin", &admin)] {
            ask(
                &format!("mail flow of {name}, {who}"),
                |_| async { traffic::hours(db, scope, &Whose::All(Side::In), span).await.expect("figures") },
                |hours| hours.len().to_string(),
            )
            .await;
        }
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let count = std::env::var("MAILCOW_STATUS_BENCH_MAILS")
            .ok()
            .and_then(|n| n.parse().ok())
            .unwrap_or(1_000_000);
        let dir = tempfile::tempdir().expect("a directory");
        let place = match std::env::var("MAILCOW_STATUS_TEST_MYSQL") {
            Ok(url) => Place::mysql_url(&url).expect("an address"),
            Err(_) => {
                let file = std::env::var_os("MAILCOW_STATUS_BENCH_DB").map(PathBuf::from);
                Place::Sqlite(file.unwrap_or_else(|| dir.path().join("lists.sqlite")))
            }
        };
        let db = Db::open(&place).await.expect("a database");
        let known: Vec<(i64,)> = db.fetch(sql("SELECT COUNT(*) FROM mail_story")).await.expect("a count");
        if known == [(0,)] {
            let began = Instant::now();
            fill(&db, count).await;
            println!("{}: {count} mails written in {:.0} s", db.engine(), began.elapsed().as_secs_f64());
        }
        let began = Instant::now();
        search::shape(&db).await.expect("a shape");
        while search::feed(&db).await.expect("a step") {}
        println!("search index fed in {:.0} s", began.elapsed().as_secs_f64());
        measure(&db).await;
        measure_flow(&db).await;
        sizes::print(&db).await;
    });
}
