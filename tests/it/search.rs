//! The search index: it may only make searches faster. Whatever its state, they find what a walk finds.

use mailcow_status::{
    ingest::{
        correlate::{Batch, Novelty, take},
        sessions::Sessions,
    },
    model::{
        event::LogLine,
        filter::{Filter, Place},
        mail::{Direction, MailId, ServerId, Status},
        scan::Scan,
        scope::{Holdings, Scope},
        time::Millis,
    },
    store::{Db, db::sql, mails, search},
};

use super::support::{
    db::{FreshDb, fresh_databases},
    portal::place,
};

const BEGIN: i64 = 1_790_000_000;
const NAMES: [&str; 6] = ["ann", "bob", "carla", "annette", "Ünal", "info"];
const DOMAINS: [&str; 4] = ["alpha.test", "beta.test", "remote.example", "annex.example"];
const WORDS: [&str; 8] = ["Invoice", "annual", "report", "Grüße", "ΟΔΟΣ", "K2 Kelvin", "re:", "zzz"];

/// Numbers that look random and are the same in each run (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// Writes `count` mails from number `first` on, with subjects, into a database.
async fn write_mails(db: &Db, first: usize, count: usize) {
    let mut dice = Dice(first as u64);
    let (mut lines, mut scans) = (Vec::new(), Vec::new());
    for n in first..first + count {
        let at = Millis::from_secs(BEGIN + dice.below(400_000) as i64);
        let (from, to) = (
            format!("{}@{}", dice.pick(&NAMES), dice.pick(&DOMAINS)),
            format!("{}@{}", dice.pick(&NAMES), dice.pick(&DOMAINS)),
        );
        let (id, ip) = (format!("4{n:08X}B"), format!("198.51.100.{}", dice.below(200)));
        let status = dice.pick(&["sent (250 ok)", "bounced (550 no)", "deferred (451 later)"]);
        for (program, text) in [
            ("postfix/smtpd", format!("{id}: client=mx.remote.example[{ip}]")),
            ("postfix/cleanup", format!("{id}: message-id=<{n}.mail@remote.example>")),
            ("postfix/qmgr", format!("{id}: from=<{from}>, size=1000, nrcpt=1 (queue active)")),
            (
                "postfix/smtp",
                format!(
                    "{id}: to=<{to}>, relay=mx.test[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status={status}"
                ),
            ),
        ] {
            lines.push((at, program, text));
        }
        if dice.below(3) > 0 {
            scans.push(Scan {
                at,
                message_id: Some(format!("{n}.mail@remote.example")),
                subject: Some(format!("{} {} {n}", dice.pick(&WORDS), dice.pick(&WORDS))),
                ip: Some(ip),
                sender: from,
                rcpts: vec![to],
                action: "no action".to_owned(),
                ..Scan::default()
            });
        }
    }
    let lines: Vec<_> = lines.iter().map(|(at, program, text)| LogLine { at: *at, program, text }).collect();
    let mut tx = db.begin().await.unwrap();
    let batch = Batch {
        server: ServerId(1),
        lines: &lines,
        scans: scans.into(),
        quarantined: &[],
        novelty: Novelty::New,
    };
    take(&mut tx, &batch, &mut Sessions::default()).await.unwrap();
    tx.commit().await.unwrap();
}

fn wishes(dice: &mut Dice, count: usize) -> Vec<Filter> {
    let parts = [
        "ann",
        "anne",
        "test",
        "a@b",
        "ÜNAL",
        "ünal",
        "grüße",
        "οδος",
        "kelvin",
        "Invoice",
        "invoice ann",
        "zz",
        "no such mail",
        "198.51.100.1",
        "<7.mail@remote.example>",
        "4000000",
        "remote",
        ".mail@",
        "  annual ",
        "re:",
    ];
    let some = |dice: &mut Dice| Some(dice.pick(&parts).to_owned());
    let one = |dice: &mut Dice| {
        let mut filter = Filter::default();
        match dice.below(6) {
            0 => filter.sender = some(dice),
            1 => filter.rcpt = some(dice),
            2 => filter.subject = some(dice),
            3 => filter.ip = Some(format!("198.51.100.{}", dice.below(200))),
            _ => filter.q = some(dice),
        }
        if dice.below(3) == 0 {
            filter.statuses = vec![Status::Bounced];
        }
        if dice.below(4) == 0 {
            filter.subject = some(dice);
        }
        if dice.below(4) == 0 {
            filter.direction = Some(Direction::In);
        }
        if dice.below(4) == 0 {
            filter.from = Some(Millis::from_secs(BEGIN + dice.below(400_000) as i64));
        }
        if dice.below(6) == 0 {
            filter.sender = Some(format!("{}@{}", dice.pick(&NAMES), dice.pick(&DOMAINS)));
        }
        filter
    };
    (0..count).map(|_| one(dice)).collect()
}

/// The ids that a visitor finds, page by page to the end.
async fn found(db: &Db, scope: &Scope, filter: &Filter, begin: Place) -> Vec<MailId> {
    let (mut ids, mut at) = (Vec::new(), begin);
    for _ in 0..1000 {
        let page = mails::search(db, scope, filter, at, 120).await.unwrap();
        let next = match begin {
            Place::After(_) => {
                ids.extend(page.mails.iter().rev().map(|mail| mail.id));
                page.newer.map(Place::After)
            }
            _ => {
                ids.extend(page.mails.iter().map(|mail| mail.id));
                page.older.map(Place::Before)
            }
        };
        let Some(next) = next else { return ids };
        at = next;
    }
    panic!("the list has no end");
}

/// Searches of every visitor find in `indexed` what they find in `plain`; tells how many mails that were.
async fn compare(plain: &Db, indexed: &Db, seed: u64, state: &str) -> usize {
    let scopes = [
        Scope::All,
        Scope::mailbox("ann@alpha.test", Millis(0)),
        Scope::mailbox("nobody@alpha.test", Millis(0)),
        Scope::Only(Holdings { domains: ["alpha.test".to_owned()].into(), ..Holdings::default() }),
    ];
    let mut total = 0;
    for filter in wishes(&mut Dice(seed), 4) {
        for scope in &scopes {
            for begin in [Place::Newest, Place::After(MailId(0))] {
                let wanted = found(plain, scope, &filter, begin).await;
                total += wanted.len();
                assert_eq!(
                    found(indexed, scope, &filter, begin).await,
                    wanted,
                    "{state}: {filter:?} {scope:?}"
                );
            }
        }
    }
    total
}

async fn feed_all(db: &Db) {
    search::shape(db).await.unwrap();
    while search::feed(db).await.unwrap() {}
}

async fn execute(db: &Db, text: &'static str) {
    let mut tx = db.begin().await.unwrap();
    tx.execute(sql(text)).await.unwrap();
    tx.commit().await.unwrap();
}

async fn open(fresh: &FreshDb) -> Db {
    Db::open(&place(&fresh.url)).await.unwrap()
}

#[tokio::test]
async fn searches_find_the_same_with_and_without_the_index() {
    for (plain, indexed) in fresh_databases().await.iter().zip(&fresh_databases().await) {
        let (plain, indexed) = (open(plain).await, open(indexed).await);
        for db in [&plain, &indexed] {
            write_mails(db, 0, 2100).await;
        }
        assert!(compare(&plain, &indexed, 1, "no index").await > 200);
        execute(&indexed, "DELETE FROM search_todo").await;
        search::shape(&indexed).await.unwrap();
        compare(&plain, &indexed, 2, "nothing fed").await;
        assert!(search::feed(&indexed).await.unwrap());
        compare(&plain, &indexed, 3, "the newest fed").await;
        feed_all(&indexed).await;
        compare(&plain, &indexed, 4, "all fed").await;
        for db in [&plain, &indexed] {
            write_mails(db, 2100, 100).await;
        }
        compare(&plain, &indexed, 5, "new mails").await;
        feed_all(&indexed).await;
        compare(&plain, &indexed, 6, "new mails fed").await;
        for (width, seed) in [("0", 7), ("12", 8)] {
            let text = format!("UPDATE search_shape SET width = {width}, rest = {}", i64::MAX);
            let mut tx = indexed.begin().await.unwrap();
            tx.execute(sql("DELETE FROM search_gram")).await.unwrap();
            tx.execute(sql(text)).await.unwrap();
            tx.commit().await.unwrap();
            feed_all(&indexed).await;
            compare(&plain, &indexed, seed, "cut otherwise").await;
        }
    }
}

#[tokio::test]
async fn a_lost_index_is_made_again_and_a_wrong_one_shows_nothing_more() {
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        write_mails(&db, 0, 300).await;
        feed_all(&db).await;
        let filter = Filter { q: Some("annual".to_owned()), ..Filter::default() };
        let wanted = found(&db, &Scope::All, &filter, Place::Newest).await;
        assert!(wanted.len() > 10);
        let ann = Scope::mailbox("ann@alpha.test", Millis(0));
        let hers = found(&db, &ann, &filter, Place::Newest).await;
        assert!(!hers.is_empty() && hers.len() < wanted.len());

        execute(&db, "DELETE FROM search_gram").await;
        assert!(
            found(&db, &Scope::All, &filter, Place::Newest).await.is_empty(),
            "the index is what is asked"
        );
        // What it holds of other people's mails must not show in how long a search takes.
        assert_eq!(found(&db, &ann, &filter, Place::Newest).await, hers, "a user's own mails are looked at");
        execute(&db, "DELETE FROM search_shape").await;
        assert_eq!(
            found(&db, &Scope::All, &filter, Place::Newest).await,
            wanted,
            "without it, mails are walked"
        );
        feed_all(&db).await;
        assert_eq!(found(&db, &Scope::All, &filter, Place::Newest).await, wanted);

        // Every block a candidate of every gram: more to read, nothing more to see.
        let all: String = "FF".repeat(960);
        let mut tx = db.begin().await.unwrap();
        tx.execute(sql(format!("UPDATE search_gram SET blocks = X'{all}'"))).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(found(&db, &Scope::All, &filter, Place::Newest).await, wanted);
        assert_eq!(found(&db, &ann, &filter, Place::Newest).await, hers);
    }
}

#[tokio::test]
async fn pruned_mails_leave_the_index() {
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        write_mails(&db, 0, 300).await;
        feed_all(&db).await;
        let size = async || -> (i64, i64) {
            let text = "SELECT COUNT(*), CAST(COALESCE(SUM(LENGTH(blocks)), 0) AS SIGNED) FROM search_gram";
            db.fetch_one(sql(text)).await.unwrap().unwrap()
        };
        let prune = async |seconds: i64| {
            let mut tx = db.begin().await.unwrap();
            mails::prune(&mut tx, Millis::from_secs(BEGIN + seconds)).await.unwrap();
            tx.commit().await.unwrap();
        };
        // So few mails lie in one segment for years: it goes when the index is looked at again.
        let whole = size().await;
        prune(300_000).await;
        feed_all(&db).await;
        assert_eq!(size().await, whole);
        execute(&db, "UPDATE search_shape SET fed = 2 * mails + 1000").await;
        feed_all(&db).await;
        let quarter = size().await;
        assert!(quarter.0 > 0 && quarter.0 * 3 < whole.0 * 2, "{whole:?} {quarter:?}");
        prune(4_000_000_000).await;
        assert_eq!(size().await, (0, 0));
    }
}
