//! Each function on SQLite, and on MariaDB where there is one; and how each engine would run the questions.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    list::{clients_statement, crowd_statement, looked_statement, statement},
    *,
};
use crate::{
    model::scope::{Holding, Holdings, Scope},
    store::fresh::{databases, places, scans},
};

const START: Millis = Millis::from_secs(1_795_132_800);
const DAY: i64 = 86_400_000;

fn at(minute: i64) -> Millis {
    Millis(START.0 + minute * 60_000)
}

fn entry(minute: i64, actor: &str, action: Action, owners: &[&str]) -> Entry {
    let entry = Entry::new(at(minute), actor, action, "192.0.2.1").role(Role::Admin);
    entry.about(owners.iter().map(|&owner| owner.to_owned()))
}

async fn write(db: &Db, entries: &[Entry]) {
    let mut tx = db.begin().await.unwrap();
    for entry in entries {
        record(&mut tx, entry).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn count(db: &Db, table: &str) -> i64 {
    db.fetch_one::<(i64,)>(sql(format!("SELECT COUNT(*) FROM {table}"))).await.unwrap().unwrap().0
}

fn own(addresses: &[(&str, Millis)]) -> Scope {
    let held = |(address, since): &(&str, Millis)| {
        ((*address).to_owned(), Holding { since: *since, sends: Some(*since) })
    };
    let addresses: BTreeMap<String, Holding> = addresses.iter().map(held).collect();
    Scope::Only(Holdings { domains: BTreeSet::from(["alpha.test".to_owned()]), addresses })
}

#[tokio::test]
async fn the_log_is_filtered_and_paged_and_nobody_sees_a_stranger_s() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        write(
            &db,
            &[
                entry(1, "boss@alpha.test", Action::Story, &["ann@alpha.test", "alpha.test"]).detail("7"),
                entry(
                    2,
                    "boss@alpha.test",
                    Action::Mails,
                    &["ann@alpha.test", "info@alpha.test", "alpha.test"],
                ),
                entry(3, "ann@alpha.test", Action::Story, &["ann@alpha.test", "alpha.test"]),
                entry(3, "boss@alpha.test", Action::Report, &["beta.test"]),
                entry(4, "ann@alpha.test", Action::SignIn, &[]),
            ],
        )
        .await;
        let ask = async |scope: &Scope, filter: &Filter| -> Vec<String> {
            let found = list(&db, scope, filter, None, 50).await.unwrap();
            found.iter().map(|it| format!("{} {}", it.action, (it.at.0 - START.0) / 60_000)).collect()
        };
        let text = |text: &str| Some(text.to_owned());
        let all = Filter::default();
        assert_eq!(ask(&Scope::All, &all).await, ["sign-in 4", "report 3", "story 3", "mails 2", "story 1"]);
        let person = Filter { person: text("ann@alpha.test"), ..Filter::default() };
        assert_eq!(ask(&Scope::All, &person).await, ["sign-in 4", "story 3"]);
        let owner = Filter { owner: text("info@alpha.test"), ..Filter::default() };
        assert_eq!(ask(&Scope::All, &owner).await, ["mails 2"]);
        let domain = Filter { owner: text("alpha.test"), action: Some(Action::Story), ..Filter::default() };
        assert_eq!(ask(&Scope::All, &domain).await, ["story 3", "story 1"]);
        let late = Filter { action: Some(Action::Story), from: at(2), ..Filter::default() };
        assert_eq!(ask(&Scope::All, &late).await, ["story 3"]);
        // The own log: both own addresses in one entry, which counts once; others' deeds only; since they are own.
        let mine = own(&[("ann@alpha.test", at(0)), ("info@alpha.test", at(0))]);
        let others = Filter { other_than: text("ann@alpha.test"), ..Filter::default() };
        assert_eq!(ask(&mine, &others).await, ["mails 2", "story 1"]);
        let later = own(&[("ann@alpha.test", at(2))]);
        assert_eq!(ask(&later, &others).await, ["mails 2"], "what was before belongs to somebody else");
        assert!(ask(&own(&[("bob@alpha.test", at(0))]), &all).await.is_empty());
        assert!(ask(&own(&[]), &all).await.is_empty(), "the own domains show nothing of others");
        let foreign = Filter { owner: text("beta.test"), ..Filter::default() };
        assert!(ask(&mine, &foreign).await.is_empty());
        // Pages follow each other without a loss, also within one moment.
        let mut place = None;
        let mut seen = Vec::new();
        loop {
            let page = list(&db, &Scope::All, &all, place, 2).await.unwrap();
            let Some(last) = page.last() else { break };
            place = Some(Place { at: last.at, id: last.id });
            seen.extend(page.into_iter().map(|it| it.id));
        }
        assert_eq!(seen.len(), 5, "{seen:?}");
        let first = &list(&db, &Scope::All, &all, None, 50).await.unwrap()[4];
        assert_eq!((first.detail.as_str(), first.client.as_str()), ("7", "192.0.2.1"));
        assert_eq!(first.owners, ["alpha.test", "ann@alpha.test"]);
        assert_eq!(by(&db, "ann@alpha.test", at(0), 9).await.unwrap().len(), 2);
        db.close().await;
    }
}

#[tokio::test]
async fn the_summary_counts_people_and_who_looked_most() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let mut entries = vec![
            entry(1, "ann@alpha.test", Action::Story, &["ann@alpha.test", "alpha.test"]),
            entry(2, "boss@alpha.test", Action::Story, &["ann@alpha.test", "alpha.test"]),
            entry(3, "boss@alpha.test", Action::Story, &["ann@alpha.test", "alpha.test"]),
            entry(4, "boss@alpha.test", Action::Story, &["bob@alpha.test", "alpha.test"]),
            entry(-9, "old@alpha.test", Action::Story, &[]),
            entry(5, "ann@alpha.test", Action::RoleChanged, &[]),
        ];
        for (client, count) in [("192.0.2.7", 3), ("192.0.2.8", 1)] {
            let refused = |_| Entry::new(at(6), "", Action::SignInRefused, client);
            entries.extend((0..count).map(refused));
        }
        write(&db, &entries).await;
        let told = summary(&db, &Scope::All, at(0)).await.unwrap();
        let crowd = Crowd { actor: "boss@alpha.test".into(), owner: "ann@alpha.test".into(), stories: 2 };
        let expected = Summary {
            people: 2,
            stories: 4,
            crowd: Some(crowd),
            refused: (4, "192.0.2.7".to_owned()),
            roles: 1,
            ..Summary::default()
        };
        assert_eq!(told, expected);
        assert_eq!(summary(&db, &own(&[]), at(0)).await.unwrap(), Summary::default());
        db.close().await;
    }
}

#[tokio::test]
async fn a_role_that_changed_is_noticed_once() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let turn = async |role, minute| role_change(&db, "ann@alpha.test", role, at(minute)).await.unwrap();
        assert_eq!(turn(Role::Admin, 0).await, None, "nothing is known of before");
        let sign_in = Entry::new(at(1), "ann@alpha.test", Action::SignIn, "").role(Role::User);
        write(&db, &[sign_in]).await;
        assert_eq!(turn(Role::User, 2).await, None);
        let change = turn(Role::DomainAdmin, 3).await.unwrap();
        assert_eq!((change.role.as_str(), change.detail.as_str()), ("domain-admin", "user"));
        write(&db, &[change]).await;
        assert_eq!(turn(Role::DomainAdmin, 4).await, None);
        let visits =
            last_visits(&db, &["ann@alpha.test".to_owned(), "x@alpha.test".to_owned()]).await.unwrap();
        assert_eq!(visits, BTreeMap::from([("ann@alpha.test".to_owned(), at(3))]));
        db.close().await;
    }
}

#[tokio::test]
async fn what_is_old_goes_with_its_owners_and_refusals_go_sooner() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let day = |day: i64| day * 24 * 60;
        let mut entries: Vec<Entry> =
            (0..1200).map(|n| entry(n % 60, "boss@alpha.test", Action::Story, &["ann@alpha.test"])).collect();
        for days in [100, 170] {
            entries.push(entry(day(days), "ann@alpha.test", Action::SignIn, &["ann@alpha.test"]));
            entries.push(entry(day(days), "", Action::KeyRefused, &[]));
        }
        write(&db, &entries).await;
        let (before, now) = (at(day(1)), at(day(181)));
        let mut rounds = 0;
        loop {
            let mut tx = db.begin().await.unwrap();
            let more = prune(&mut tx, before, now).await.unwrap();
            tx.commit().await.unwrap();
            rounds += 1;
            if !more {
                break;
            }
        }
        assert_eq!(rounds, 3, "in pieces");
        assert_eq!((count(&db, "audit").await, count(&db, "audit_owner").await), (3, 2));
        db.close().await;
    }
}

/// What another step has found already.
fn is_found(name: &str) -> bool {
    name == "t" || name.starts_with('<')
}

/// A log of half a year, so that the engines have a choice.
async fn fill(db: &Db) {
    let mut tx = db.begin().await.unwrap();
    for n in 0..6000_i64 {
        let moment = Millis(START.0 + n * 180 * DAY / 6000);
        let action = Action::ALL[usize::try_from(n).unwrap() % Action::ALL.len()];
        let owner = format!("u{}@alpha.test", n % 50);
        let entry = Entry::new(moment, &format!("p{}@alpha.test", n % 30), action, "192.0.2.1");
        record(&mut tx, &entry.about([owner, "alpha.test".to_owned()])).await.unwrap();
    }
    tx.commit().await.unwrap();
    if let Db::Mysql { .. } = db {
        let mut tx = db.begin().await.unwrap();
        let text = "ANALYZE TABLE audit, audit_owner";
        tx.fetch::<(String, String, String, String)>(sql(text)).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn no_question_scans() {
    let dir = tempfile::tempdir().unwrap();
    let text = |text: &str| Some(text.to_owned());
    for db in databases(&dir).await {
        fill(&db).await;
        let from = Millis(START.0 + 150 * DAY);
        let place = Some(Place { at: Millis(START.0 + 170 * DAY), id: 5700 });
        let mine = own(&[("u1@alpha.test", START), ("u2@alpha.test", START)]);
        for filter in [
            Filter::default(),
            Filter { person: text("p1@alpha.test"), ..Filter::default() },
            Filter { owner: text("u1@alpha.test"), ..Filter::default() },
            Filter { owner: text("alpha.test"), ..Filter::default() },
            Filter { action: Some(Action::Story), ..Filter::default() },
            Filter { person: text("p1@alpha.test"), action: Some(Action::Story), ..Filter::default() },
            Filter { owner: text("u1@alpha.test"), person: text("p1@alpha.test"), ..Filter::default() },
        ] {
            for from in [Millis(0), from] {
                let filter = Filter { from, ..filter.clone() };
                for scope in [&Scope::All, &mine] {
                    for place in [None, place] {
                        let Some(statement) = statement(scope, &filter, place, 51) else { continue };
                        let found = scans(&db, statement, is_found).await;
                        assert!(found.is_empty(), "{}: {filter:?} for {scope:?}: {found:?}", db.engine());
                    }
                }
            }
        }
        for statement in
            [looked_statement(from), crowd_statement(from), clients_statement(Action::SignIn, from)]
        {
            let found = scans(&db, statement, is_found).await;
            assert!(found.is_empty(), "{}: summary: {found:?}", db.engine());
        }
        db.close().await;
    }
}

/// The check above is worth something: it sees it when an index is gone.
#[tokio::test]
async fn a_missing_index_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    for place in places(&dir).await {
        let db = Db::open(&place).await.unwrap();
        fill(&db).await;
        let on = if matches!(db, Db::Mysql { .. }) { " ON audit" } else { "" };
        let mut tx = db.begin().await.unwrap();
        for index in ["audit_actor", "audit_action", "audit_at"] {
            tx.execute(sql(format!("DROP INDEX {index}{on}"))).await.unwrap();
        }
        tx.commit().await.unwrap();
        // A connection of SQLite that only explains does not see that the schema has changed: a new one does.
        db.close().await;
        let db = Db::connect(&place).await.unwrap();
        for filter in [Filter::default(), Filter { action: Some(Action::Story), ..Filter::default() }] {
            let statement = statement(&Scope::All, &filter, None, 51).unwrap();
            let found = scans(&db, statement, is_found).await;
            assert!(!found.is_empty(), "{}: nobody notices for {filter:?}", db.engine());
        }
    }
}
