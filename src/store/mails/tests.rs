//! Lists never scan: how each engine would run their statements.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    model::scope::{Holding, Holdings},
    store::{
        db::Place as At,
        fresh::{self, Step, plan},
    },
};

/// What a statement may read.
#[derive(Clone, Copy, PartialEq)]
enum May {
    /// All mails in their order, from somewhere on: the list of those who see everything.
    FollowMails,
    /// Rows under given keys only.
    FollowKeys,
}

impl May {
    fn of(driver: &Driver) -> Self {
        if driver.ranges == [Range::All] { Self::FollowMails } else { Self::FollowKeys }
    }
}

/// What another step has found already: `own`, `r`, `r0`, `r1` …, `<derived2>`.
fn is_found(name: &str) -> bool {
    let numbered = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit());
    name == "own" || name.starts_with('<') || name.strip_prefix('r').is_some_and(numbered)
}

/// The steps of a plan that read a whole table or index, or all mails of a span of time without leave.
async fn scans(db: &Db, statement: Sql<'static>, may: May) -> Vec<String> {
    // Only the key of `mail_story` has eight bytes.
    let span = if matches!(db, Db::Mysql { .. }) { " PRIMARY 8" } else { "(rowid>? AND rowid<?)" };
    let spans = |step: &Step| {
        let ranged = step.text.starts_with("range ") || step.text.starts_with("SEARCH ");
        may == May::FollowKeys && ranged && step.text.contains(span)
    };
    let steps = plan(db, statement, is_found).await.into_iter().filter(|step| step.whole || spans(step));
    steps.map(|step| step.text).collect()
}

/// A database with some mails and keys, so that the engines have a choice.
async fn filled(place: &At) -> Db {
    let db = Db::open(place).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    let id = |n: i64| MailId((1_790_000_000 + n) << MailId::HASH_BITS);
    let mails = (0..5000).map(|n| [id(n).into(), 1.into(), (n % 3).into(), vec![0_u8; 300].into()]);
    tx.upsert("mail_story", ["id", "server", "state", "story"], &["id"], &[], mails.collect()).await.unwrap();
    let keys = (0..20_000).map(|n| [(n / 4 % 50 + n % 4).into(), id(n / 4).into(), (n % 3).into()]);
    let (large, new): (Vec<_>, Vec<_>) = keys.enumerate().partition(|(n, _)| n % 2 == 0);
    for (table, keys) in [(gathered::LARGE, large), (gathered::NEW, new)] {
        let rows = keys.into_iter().map(|(_, row)| row).collect();
        tx.upsert(table, ["k", "mail", "state"], &["k", "mail"], &[], rows).await.unwrap();
    }
    tx.commit().await.unwrap();
    db
}

async fn databases(dir: &tempfile::TempDir) -> Vec<(At, Db)> {
    let mut all = Vec::new();
    for place in fresh::places(dir).await {
        let db = filled(&place).await;
        if let Db::Mysql { .. } = db {
            let mut tx = db.begin().await.unwrap();
            tx.fetch::<(String, String, String, String)>(sql(
                "ANALYZE TABLE mail_story, mail_key, mail_key_new",
            ))
            .await
            .unwrap();
            tx.commit().await.unwrap();
        }
        all.push((place, db));
    }
    all
}

#[tokio::test]
async fn no_list_scans() {
    let holding = Holding { since: Millis(5), sends: Some(Millis(5)) };
    let addresses = ["ann@alpha.test", "info@alpha.test"].map(|address| (address.to_owned(), holding));
    let scopes = [
        Scope::All,
        Scope::Only(Holdings {
            domains: BTreeSet::from(["alpha.test".to_owned()]),
            addresses: BTreeMap::from(addresses),
        }),
        Scope::mailbox("ann@alpha.test", Millis(0)),
    ];
    let text = |text: &str| Some(text.to_owned());
    let filters = [
        Filter::default(),
        Filter { statuses: vec![Status::Bounced], ..Filter::default() },
        Filter { direction: Some(Direction::In), from: Some(Millis(1)), ..Filter::default() },
        Filter { sender: text("ann@alpha.test"), ..Filter::default() },
        Filter { rcpt: text("@alpha.test"), ..Filter::default() },
        Filter { domain: text("alpha.test"), ..Filter::default() },
        Filter { queue_id: text("4ABC"), ..Filter::default() },
        Filter { message_id: text("<1@alpha.test>"), ..Filter::default() },
        Filter { q: text("words"), to: Some(Millis(9)), ..Filter::default() },
    ];
    let dir = tempfile::tempdir().unwrap();
    for (_, db) in databases(&dir).await {
        for scope in &scopes {
            for filter in &filters {
                let driver = driver(scope, filter).unwrap();
                for at in [Place::Newest, Place::Before(MailId(1 << 60)), Place::After(MailId(7))] {
                    let found =
                        scans(&db, ids_statement(&driver, &driver.ranges, filter, at, 51), May::of(&driver))
                            .await;
                    assert!(found.is_empty(), "{}: {filter:?} for {scope:?}: {found:?}", db.engine());
                }
            }
            let counted = counted_ranges(scope);
            if counted.is_empty() {
                continue;
            }
            let (text, values) =
                hour_counts(&counted, MailId(1_790_000_100 << 30), MailId(1_790_000_200 << 30));
            // MariaDB may count everybody's mails of a span by walking along them.
            let may = if *scope == Scope::All { May::FollowMails } else { May::FollowKeys };
            let found = scans(&db, sql(text).bind_all(values), may).await;
            assert!(found.is_empty(), "{}: counts for {scope:?}: {found:?}", db.engine());
        }
        let id = |n: i64| MailId((1_790_000_000 + n) << 30);
        let spans: Vec<_> = (0..8).map(|n| (id(n * 20), id(n * 20 + 10))).collect();
        for statuses in [vec![], vec![Status::Bounced, Status::Sent]] {
            let driver = driver(&Scope::All, &Filter { statuses, ..Filter::default() }).unwrap();
            for backwards in [false, true] {
                let statement = spans_statement(&driver, &spans, (id(0), id(5000)), backwards);
                let found = scans(&db, statement, May::FollowMails).await;
                assert!(found.is_empty(), "{}: candidates: {found:?}", db.engine());
            }
        }
        let ids: Vec<i64> = (0..50).collect();
        let text = format!("SELECT id, server, story FROM mail_story WHERE id IN ({})", places(ids.len()));
        let found = scans(&db, sql(text).bind_all(ids), May::FollowMails).await;
        assert!(found.is_empty(), "{}: reading a page", db.engine());
    }
}

/// The check above is worth something: it sees it when an index is gone.
#[tokio::test]
async fn a_missing_index_is_noticed() {
    let bounced = Filter { statuses: vec![Status::Bounced], ..Filter::default() };
    let scope = Scope::mailbox("ann@alpha.test", Millis(0));
    let dir = tempfile::tempdir().unwrap();
    for (place, db) in databases(&dir).await {
        let on = if matches!(db, Db::Mysql { .. }) { " ON mail_story" } else { "" };
        let steps = [
            (vec![format!("DROP INDEX mail_state{on}")], Scope::All, bounced.clone()),
            (
                [
                    "CREATE TABLE bare AS SELECT * FROM mail_key",
                    "DROP TABLE mail_key",
                    "ALTER TABLE bare RENAME TO mail_key",
                ]
                .map(str::to_owned)
                .to_vec(),
                scope.clone(),
                Filter::default(),
            ),
        ];
        for (changes, scope, filter) in steps {
            let driver = driver(&scope, &filter).unwrap();
            let statement = || ids_statement(&driver, &driver.ranges, &filter, Place::Newest, 51);
            assert!(scans(&db, statement(), May::of(&driver)).await.is_empty(), "{}", db.engine());
            let mut tx = db.begin().await.unwrap();
            for change in &changes {
                tx.execute(sql(change.clone())).await.unwrap();
            }
            tx.commit().await.unwrap();
            // A connection of SQLite that only explains does not see that the schema has changed: a new one does.
            let db = Db::open(&place).await.unwrap();
            let found = scans(&db, statement(), May::of(&driver)).await;
            assert!(!found.is_empty(), "{}: nobody notices {changes:?}", db.engine());
        }
    }
}

mod sieve {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::{
            event::{Attempt, Client, Event, Fact},
            mail::ServerId,
            scan::Scan,
        },
        store::Story,
    };

    /// Words in letters whose case is odd.
    fn words() -> impl Strategy<Value = String> {
        "[aAkKsSiIßäÄİıK\u{17f}.@<> ]{0,7}"
    }

    proptest! {
        /// No mail that fits is left out.
        #[test]
        fn what_fits_passes(
            texts in prop::collection::vec(words(), 7),
            (which, begin, length, upper) in (0..7_usize, 0..7_usize, 1..5_usize, any::<bool>()),
            other in words(),
        ) {
            let [queue_id, id, ip, sender, login, rcpt, subject] = &*texts else { unreachable!() };
            let scan = Scan { subject: Some(subject.clone()), ..Scan::default() };
            let attempt = Attempt {
                to: rcpt, orig_to: Some(login), relay: "none", delay: "1", delays: "", dsn: "2.0.0", status: "sent",
                reply: "", tls: None,
            };
            let client = Client { host: "unknown", ip, login: Some(login), parent: None, tls: None };
            let facts = [
                Fact::Client(client),
                Fact::MessageId(id),
                Fact::Checked(scan.checked("", 0)),
                Fact::Queued { sender, size: 1, nrcpt: 1 },
                Fact::Attempt(attempt),
            ];
            let events = facts.map(|fact| Event { at: Millis(0), fact, program: "postfix/smtpd" }).to_vec();
            let story = Story { queue_id, name: "", events, verdicts: BTreeMap::new() };
            let bytes = story.encode(MailId(0));
            let mail = Scope::All.view(story.fold(ServerId::FIRST)).unwrap();
            let part: String = texts[which].chars().skip(begin).take(length).collect();
            let bracketed = format!("< {part} >");
            for part in [if upper { part.to_uppercase() } else { part.to_lowercase() }, bracketed, part, other] {
                let wish = || Some(part.clone());
                for filter in [
                    Filter { q: wish(), ..Filter::default() },
                    Filter { subject: wish(), ..Filter::default() },
                    Filter { sender: wish(), rcpt: wish(), ..Filter::default() },
                    Filter { relay: wish(), code: wish(), ..Filter::default() },
                ] {
                    prop_assert!(!filter.matches(&mail) || Sieve::of(&filter).may_hold(&bytes), "{filter:?}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_kept_back() {
        let may_hold = |q: &str, text: &str| {
            let filter = Filter { q: Some(q.to_owned()), ..Filter::default() };
            Sieve::of(&filter).may_hold(text.as_bytes())
        };
        assert!(may_hold(" Invoice ", "..INVOICE..") && !may_hold("invoice", "..invo ice.."));
        assert!(may_hold("ä", "nothing") && may_hold("", "nothing") && may_hold("kelvin", "\u{212a}elvin"));
        // The only letters beyond ASCII whose lower case has a letter of it.
        let foreign = ('\u{80}'..=char::MAX).filter(|letter| letter.to_lowercase().any(|low| low.is_ascii()));
        let foreign: Vec<String> = foreign.map(String::from).collect();
        assert_eq!(foreign.iter().map(String::as_bytes).collect::<BTreeSet<_>>(), FOREIGN.into());
    }
}
