//! Each function on SQLite, and on MariaDB where there is one.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    model::{
        sample::{DOMAIN, Labels, MAILBOX},
        scope::{Holding, Holdings, Scope},
    },
    store::fresh::databases,
};

const SERVER: ServerId = ServerId(1);
const MINUTE: Duration = Duration::from_secs(60);
/// A midnight, so that all steps begin here.
const START: Millis = Millis::from_secs(1_795_132_800);

fn sample(metric: &'static str, labels: Labels, state: impl Into<State>) -> Sample {
    Sample { metric, labels, state: state.into(), at: START }
}

async fn tell(db: &Db, book: &mut Book, at: Millis, error: Option<&str>, samples: &[Sample]) -> usize {
    let took = Duration::from_millis(40);
    let batch = Batch { server: SERVER, source: "queue", at, took, period: MINUTE, error, samples };
    book.append(db, batch).await.unwrap()
}

async fn count(db: &Db, table: &str) -> i64 {
    db.fetch_one::<(i64,)>(sql(format!("SELECT COUNT(*) FROM {table}"))).await.unwrap().unwrap().0
}

async fn all(db: &Db, now: Millis) -> Vec<(String, State, i64)> {
    let latest = latest(db, &Scope::All, SERVER, Which::All, now).await.unwrap();
    latest.into_iter().map(|it| (it.metric, it.state, it.since.since(START).as_secs() as i64)).collect()
}

async fn range(
    db: &Db,
    scope: &Scope,
    server: ServerId,
    series: (&str, &Labels),
    span: (Millis, Millis),
    points: u32,
) -> Result<Option<Range>> {
    Ok(ranges(db, scope, server, &[series], span, points).await?.pop().flatten())
}

fn minute(n: i64) -> Millis {
    Millis(START.0 + n * 60_000)
}

#[tokio::test]
async fn only_changes_are_written_and_each_state_says_since_when() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let mut book = Book::default();
        let first = [sample("a", Labels::NONE, 5_u32), sample("v", Labels::NONE, "2026-08")];
        assert_eq!(tell(&db, &mut book, minute(0), None, &first).await, 2);
        assert_eq!(tell(&db, &mut book, minute(1), None, &first).await, 0);
        assert_eq!(count(&db, "sample").await, 1, "unchanged numbers and texts have no rows");
        // Another process wrote in between: this one notices.
        let mut other = Book::default();
        let second = [sample("a", Labels::NONE, 6_u32), sample("v", Labels::NONE, "2026-09")];
        assert_eq!(tell(&db, &mut other, minute(2), None, &second).await, 2);
        assert_eq!(tell(&db, &mut book, minute(3), None, &second).await, 0);
        assert_eq!(count(&db, "sample").await, 2);
        // A failure makes everything unknown, with one reason after the other since one moment.
        tell(&db, &mut book, minute(4), Some("no answer"), &[]).await;
        tell(&db, &mut book, minute(5), Some("refused"), &[]).await;
        let unknown = State::Unknown("refused".to_owned());
        let expected = [("a".to_owned(), unknown.clone(), 240), ("v".to_owned(), unknown, 240)];
        assert_eq!(all(&db, minute(5)).await, expected);
        assert_eq!(count(&db, "sample").await, 3, "one row says that the number is not known");
        let run = &sources(&db).await.unwrap()[0];
        assert_eq!((run.error.as_deref(), run.error_since), (Some("refused"), Some(minute(4))));
        assert_eq!((run.succeeded_at, run.run, run.took_ms), (Some(minute(3)), 6, 40));
        // What is told no more is not shown; what comes back is.
        tell(&db, &mut book, minute(6), None, &second[..1]).await;
        assert_eq!(all(&db, minute(6)).await, [("a".to_owned(), State::Number(6.0), 360)]);
        tell(&db, &mut book, minute(7), None, &second).await;
        assert_eq!(all(&db, minute(7)).await.len(), 2);
        db.close().await;
    }
}

#[tokio::test]
async fn what_admins_see_is_read_anew_once_something_was_told_and_what_others_see_always() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let mut book = Book::default();
        let mine = Labels::NONE.with(MAILBOX, "ann@alpha.test");
        tell(&db, &mut book, minute(0), None, &[sample("m", mine.clone(), 5_u32)]).await;
        let ann = Scope::mailbox("ann@alpha.test", Millis(0));
        let told = async |db: &Db, scope: &Scope, at: Millis| {
            let latest = latest(db, scope, SERVER, Which::All, at).await.unwrap();
            latest.into_iter().map(|it| (it.state.number().unwrap(), it.fresh)).collect::<Vec<_>>()
        };
        assert_eq!(told(&db, &Scope::All, minute(0)).await, [(5.0, true)]);
        // Nobody writes past a batch: only so is it to be seen that nothing is read.
        let mut tx = db.begin().await.unwrap();
        tx.execute(sql("UPDATE series_state SET number = 6")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(told(&db, &Scope::All, minute(9)).await, [(5.0, false)], "time goes on all the same");
        assert_eq!(told(&db, &ann, minute(0)).await, [(6.0, true)]);
        assert_eq!(told(&db, &Scope::mailbox("bob@alpha.test", Millis(0)), minute(0)).await, []);
        // A batch that changes nothing is one that told something, and so is a wish.
        tell(&db, &mut book, minute(1), None, &[sample("m", mine, 5_u32)]).await;
        assert_eq!(told(&db, &Scope::All, minute(1)).await, [(6.0, true)]);
        let mut tx = db.begin().await.unwrap();
        wish(&mut tx, SERVER, "queue", minute(1)).await.unwrap();
        tx.execute(sql("UPDATE series_state SET number = 7")).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(told(&db, &Scope::All, minute(1)).await, [(7.0, true)]);
        db.close().await;
    }
}

#[tokio::test]
async fn a_silent_source_was_not_measuring() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let mut book = Book::default();
        let one = [sample("a", Labels::NONE, 5_u32)];
        tell(&db, &mut book, minute(0), None, &one).await;
        tell(&db, &mut book, minute(1), None, &one).await;
        assert!(latest(&db, &Scope::All, SERVER, Which::All, minute(3)).await.unwrap()[0].fresh);
        assert!(!latest(&db, &Scope::All, SERVER, Which::All, minute(9)).await.unwrap()[0].fresh);
        tell(&db, &mut Book::default(), minute(20), None, &one).await;
        let none = Labels::NONE;
        let chart = range(&db, &Scope::All, SERVER, ("a", &none), (minute(0), minute(22)), 22)
            .await
            .unwrap()
            .unwrap();
        let known: Vec<f64> = chart.points.iter().map(|point| point.seconds).collect();
        let expected = [[60.0; 2].as_slice(), &[0.0; 18], &[60.0; 2]].concat();
        assert_eq!(known, expected, "it is known for two minutes, then not, then again");
        db.close().await;
    }
}

#[tokio::test]
async fn since_when_a_limit_has_been_passed_is_found_as_far_back_as_history_goes() {
    let dir = tempfile::tempdir().unwrap();
    let hours = 60 * 24 * 60 * MINUTE;
    let keep = Keep { raw: 40 * MINUTE, minutes: 3 * 60 * MINUTE, hours, mailboxes: hours };
    let (none, owned) = (Labels::NONE, Labels::one(MAILBOX, "ann@alpha.test"));
    for db in databases(&dir).await {
        let mut book = Book::default();
        let since_by = async |scope: &Scope, gap: Gap| {
            let asked = [
                ("a", &none, vec![Passed::Above(10.0), Passed::At(3.0)]),
                ("b", &none, vec![]),
                ("a", &owned, vec![Passed::Below(99.0)]),
            ]
            .map(|(metric, labels, passed)| Beyond { metric, labels, passed, gap });
            let begins = beyond_since(&db, scope, SERVER, &asked).await.unwrap();
            begins.into_iter().map(|at| at.map(|at| (at.0 - START.0) / 60_000)).collect::<Vec<_>>()
        };
        let since = async |scope: &Scope| since_by(scope, Gap::Pause).await;
        let mut now = 0;
        let mut go_on = async |until: i64, number: Option<f64>| {
            while now < until {
                let told = number.map(|number| number + (now / 30 % 2) as f64);
                let samples = [
                    sample("a", Labels::NONE, told.map_or(State::Unknown("no".to_owned()), State::Number)),
                    sample("b", Labels::NONE, 1_u32),
                    sample("a", owned.clone(), 7_u32),
                ];
                tell(&db, &mut book, minute(now), None, &samples).await;
                now += 1;
            }
            now
        };
        go_on(10, Some(5.0)).await;
        assert_eq!(
            since(&Scope::All).await,
            [None, None, Some(0)],
            "not beyond, no limit, from the beginning"
        );
        go_on(15, Some(20.0)).await;
        assert_eq!(since(&Scope::All).await[0], Some(10));
        go_on(16, None).await;
        assert_eq!(since(&Scope::All).await[0], None, "not known");
        assert_eq!(since_by(&Scope::All, Gap::Bridged).await[0], Some(10));
        go_on(20, Some(20.0)).await;
        assert_eq!(since(&Scope::All).await[0], Some(16), "a time in which nothing is known is a pause");
        assert_eq!(since_by(&Scope::All, Gap::Bridged).await[0], Some(10), "or is bridged");
        let now = go_on(110, Some(20.0)).await;
        roll(&db, minute(now)).await.unwrap();
        prune(&db, &keep, minute(now)).await.unwrap();
        assert!(count(&db, "sample").await < 10, "the samples of the begin are gone");
        assert_eq!(
            since(&Scope::All).await[0],
            Some(10),
            "as exact as five minutes, in which the pause is lost"
        );
        let now = go_on(10 * 60, Some(20.0)).await;
        roll(&db, minute(now)).await.unwrap();
        prune(&db, &keep, minute(now)).await.unwrap();
        assert_eq!(since(&Scope::All).await[0], Some(0), "as exact as an hour");
        let holding = Holding { since: minute(4), sends: Some(minute(4)) };
        let addresses = BTreeMap::from([("ann@alpha.test".to_owned(), holding)]);
        let user = Scope::Only(Holdings { domains: BTreeSet::new(), addresses });
        assert_eq!(since(&user).await, [None, None, Some(4)], "not from before it was theirs");
        assert_eq!(since(&Scope::Only(Holdings::default())).await, [None, None, None]);
        db.close().await;
    }
}

#[tokio::test]
async fn people_see_their_own_series_only() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let mut book = Book::default();
        let told = [
            sample("host", Labels::NONE, 1_u32),
            sample("domain", Labels::one(DOMAIN, "alpha.test"), 2_u32),
            sample("domain", Labels::one(DOMAIN, "beta.test"), 3_u32),
            sample("box", Labels::one(MAILBOX, "Ann@alpha.test"), 4_u32),
            sample("box", Labels::one(MAILBOX, "bob@alpha.test"), 5_u32),
            sample("job", Labels::one("job", "7").with(MAILBOX, "ann@alpha.test"), 6_u32),
        ];
        for n in 0..10 {
            tell(&db, &mut book, minute(n), None, &told).await;
        }
        let holding = Holding { since: minute(4), sends: Some(minute(4)) };
        let user = Scope::Only(Holdings {
            domains: BTreeSet::new(),
            addresses: BTreeMap::from([("ann@alpha.test".to_owned(), holding)]),
        });
        let admin = Scope::Only(Holdings {
            domains: BTreeSet::from(["alpha.test".to_owned()]),
            addresses: BTreeMap::new(),
        });
        let nobody = Scope::Only(Holdings::default());
        for (scope, expected) in [
            (&Scope::All, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            (&user, vec![4.0, 6.0]),
            (&admin, vec![2.0, 4.0, 5.0, 6.0]),
            (&nobody, vec![]),
        ] {
            let latest = latest(&db, scope, SERVER, Which::All, minute(9)).await.unwrap();
            let mut found: Vec<f64> = latest.iter().filter_map(|it| it.state.number()).collect();
            found.sort_by(f64::total_cmp);
            assert_eq!(found, expected);
            for sample in &told {
                let series = (sample.metric, &sample.labels);
                let chart = range(&db, scope, SERVER, series, (minute(0), minute(10)), 100).await.unwrap();
                let seen = expected.contains(&sample.state.number().unwrap());
                assert_eq!(chart.is_some(), seen, "{sample:?}");
            }
        }
        let own = Labels::one(MAILBOX, "Ann@alpha.test");
        for (scope, first) in [(&user, minute(4)), (&admin, minute(0))] {
            let chart = range(&db, scope, SERVER, ("box", &own), (minute(0), minute(10)), 100).await.unwrap();
            assert_eq!(chart.unwrap().points[0].at, first, "what was before belongs to another owner");
        }
        let some =
            latest(&db, &Scope::All, SERVER, Which::Metrics(&["host", "job"]), minute(9)).await.unwrap();
        assert_eq!(some.len(), 2);
        assert_eq!(latest(&db, &Scope::All, SERVER, Which::Source("x"), minute(9)).await.unwrap(), []);
        let limit = |metric, passed| Limit { metric, passed };
        for (limits, expected) in [
            (&[][..], vec![1.0, 2.0, 3.0]),
            (&[limit("box", Passed::Above(4.0)), limit("job", Passed::Below(6.0))], vec![1.0, 2.0, 3.0, 5.0]),
            (&[limit("box", Passed::At(4.0)), limit("job", Passed::At(6.0))], vec![1.0, 2.0, 3.0, 4.0, 6.0]),
        ] {
            let which = Which::Notable(limits);
            let found = latest(&db, &Scope::All, SERVER, which, minute(9)).await.unwrap();
            let mut found: Vec<f64> = found.iter().filter_map(|it| it.state.number()).collect();
            found.sort_by(f64::total_cmp);
            assert_eq!(found, expected, "{limits:?}");
            let theirs = latest(&db, &user, SERVER, which, minute(9)).await.unwrap();
            assert!(theirs.iter().all(|it| it.labels.mailbox().as_deref() == Some("ann@alpha.test")));
        }
        db.close().await;
    }
}

/// A generator of our own: the same numbers each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// What the chart must say: told each minute, one after the other.
fn expected(told: &BTreeMap<i64, Option<f64>>, from: i64, to: i64) -> (f64, f64, Option<(f64, f64)>) {
    let numbers: Vec<f64> = (from..to).filter_map(|minute| told.get(&minute).copied().flatten()).collect();
    let low = numbers.iter().copied().reduce(f64::min);
    let high = numbers.iter().copied().reduce(f64::max);
    (numbers.iter().sum::<f64>() * 60.0, numbers.len() as f64 * 60.0, low.zip(high))
}

#[tokio::test]
async fn roll_ups_tell_what_was_told_whenever_they_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let hours = 60 * 24 * 60 * MINUTE;
    let keep = Keep { raw: 40 * MINUTE, minutes: 3 * 60 * MINUTE, hours, mailboxes: hours };
    for db in databases(&dir).await {
        let (mut dice, mut book, mut told) = (Dice(7), Book::default(), BTreeMap::new());
        let (mut state, mut now) = (State::Number(0.0), 0);
        let end = 2 * 24 * 60;
        while now < end {
            match dice.below(12) {
                0 => state = State::Unknown("no answer".to_owned()),
                1..4 => state = State::Number(dice.below(50) as f64 - 10.0),
                _ => {}
            }
            let samples = [sample("a", Labels::NONE, state.clone()), sample("b", Labels::NONE, 1_u32)];
            tell(&db, &mut book, minute(now), None, &samples).await;
            told.insert(now, state.number());
            if dice.below(9) == 0 {
                roll(&db, minute(now)).await.unwrap();
            }
            if dice.below(200) == 0 {
                prune(&db, &keep, minute(now)).await.unwrap();
            }
            // Now and then nobody measures for hours.
            now += 1;
            if dice.below(300) == 0 {
                let pause = 4 + dice.below(400) as i64;
                now += pause;
            }
        }
        let now = told.keys().last().copied().unwrap() + 1;
        roll(&db, minute(now)).await.unwrap();
        let none = Labels::NONE;
        for (points, from) in [(2, 0), (48, 0), (20, now - 100), (30, now - 30), (13, now - 60)] {
            let series = ("a", &none);
            let chart = range(&db, &Scope::All, SERVER, series, (minute(from), minute(now)), points)
                .await
                .unwrap()
                .unwrap();
            for point in &chart.points {
                let begin = (point.at.0 - START.0) / 60_000;
                let (total, seconds, extremes) =
                    expected(&told, begin, (begin + chart.width / 60_000).min(now));
                let at = format!("{points} points from {from}, {begin}");
                assert_eq!(point.extremes, extremes, "{at}");
                assert!(
                    (point.total - total).abs() < 1e-6 && (point.seconds - seconds).abs() < 1e-6,
                    "{at}: {point:?} {total} {seconds}"
                );
            }
            assert!(chart.points.len() <= points as usize + 1);
        }
        let constant = range(&db, &Scope::All, SERVER, ("b", &none), (minute(0), minute(now)), 48)
            .await
            .unwrap()
            .unwrap();
        assert!(constant.points.iter().all(|point| point.extremes.is_none_or(|it| it == (1.0, 1.0))));
        let rows = count(&db, "sample").await + count(&db, "sample_roll").await;
        let constant = db
            .fetch_one::<(i64,)>(sql(
                "SELECT COUNT(*) FROM sample_roll r JOIN series s ON s.id = r.series WHERE s.metric = 'b'",
            ))
            .await
            .unwrap()
            .unwrap()
            .0;
        assert!(constant < 60, "a number that does not move costs next to nothing: {constant} of {rows}");
        db.close().await;
    }
}

#[tokio::test]
async fn single_mailboxes_keep_days_for_as_long_as_all_and_hours_for_less() {
    let dir = tempfile::tempdir().unwrap();
    let day = 24 * 60 * MINUTE;
    let keep = Keep { raw: day, minutes: 3 * day, hours: 100 * day, mailboxes: 2 * day };
    for db in databases(&dir).await {
        let mut book = Book::default();
        let end = 6 * 24 * 60;
        for at in (0..end).step_by(180) {
            let number = u32::try_from(at).unwrap();
            let told = [
                sample("host", Labels::NONE, number),
                sample("box", Labels::one(MAILBOX, "ann@alpha.test"), number),
            ];
            let (took, period) = (MINUTE, 180 * MINUTE);
            let at = minute(at);
            let batch = Batch { server: SERVER, source: "x", at, took, period, error: None, samples: &told };
            book.append(&db, batch).await.unwrap();
        }
        roll(&db, minute(end + 60)).await.unwrap();
        let own = Labels::one(MAILBOX, "ann@alpha.test");
        let series = [("host", &Labels::NONE), ("box", &own)];
        let chart = async |series, from, to, points| {
            let span = (minute(from), minute(to));
            range(&db, &Scope::All, SERVER, series, span, points).await.unwrap().unwrap()
        };
        let sum = |range: &Range| range.points.iter().map(|point| point.total).sum::<f64>();
        let whole = chart(series[0], 0, end, 6).await;
        prune(&db, &keep, minute(end)).await.unwrap();
        // Days are kept of both.
        for series in series {
            let kept = chart(series, 0, end, 6).await;
            assert_eq!((kept.width, sum(&kept)), (whole.width, sum(&whole)), "{series:?}");
        }
        // Hours are kept of one: of the other the chart shows days, and not nothing.
        let two_days = |series| chart(series, 24 * 60, 3 * 24 * 60, 100);
        let (host, mailbox) = (two_days(series[0]).await, two_days(series[1]).await);
        assert_eq!((host.width, mailbox.width), (3_600_000, 86_400_000));
        assert_eq!(sum(&host), sum(&mailbox));
        assert_eq!(
            chart(series[1], end - 24 * 60, end, 100).await.width,
            3_600_000,
            "the last days have hours"
        );
        let hours = "SELECT COUNT(*) FROM sample_roll r JOIN series s ON s.id = r.series \
            WHERE r.step = 3600 AND s.metric = ";
        let count = async |metric: &str| {
            db.fetch_one::<(i64,)>(sql(format!("{hours}'{metric}'"))).await.unwrap().unwrap().0
        };
        assert!(count("box").await < count("host").await / 2);
        // Nothing is rolled up anew because of it.
        roll(&db, minute(end + 120)).await.unwrap();
        assert_eq!(sum(&chart(series[1], 0, end, 6).await), sum(&whole));
        db.close().await;
    }
}

#[tokio::test]
async fn what_nobody_tells_any_more_is_forgotten_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let mut book = Book::default();
        let two = [sample("a", Labels::NONE, 1_u32), sample("b", Labels::NONE, 2_u32)];
        tell(&db, &mut book, minute(0), None, &two).await;
        tell(&db, &mut book, minute(1), None, &two[..1]).await;
        roll(&db, minute(3000)).await.unwrap();
        let hours = 2 * 24 * 60 * MINUTE;
        let keep = Keep { raw: MINUTE, minutes: MINUTE, hours, mailboxes: hours };
        prune(&db, &keep, minute(2000)).await.unwrap();
        assert_eq!(count(&db, "series").await, 2, "its history is still kept");
        prune(&db, &keep, minute(4000)).await.unwrap();
        assert_eq!(count(&db, "series").await, 1);
        assert!(count(&db, "sample").await >= 1, "the newest row holds, however old");
        db.close().await;
    }
}

#[tokio::test]
async fn a_source_is_run_by_one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let wanted = [("queue", MINUTE, 30 * MINUTE), ("dns", 60 * MINUTE, 30 * MINUTE)];
        assert_eq!(claim(&db, SERVER, &wanted, minute(0)).await.unwrap(), ["queue", "dns"]);
        assert!(claim(&db, SERVER, &wanted, minute(1)).await.unwrap().is_empty(), "both are under way");
        tell(&db, &mut Book::default(), minute(1), None, &[]).await;
        assert_eq!(claim(&db, SERVER, &wanted, minute(2)).await.unwrap(), ["queue"]);
        assert_eq!(
            claim(&db, SERVER, &wanted, minute(40)).await.unwrap(),
            ["queue", "dns"],
            "a killed run blocks nobody for long"
        );
        // Somebody wishes to have it looked at again.
        tell(&db, &mut Book::default(), minute(41), None, &[]).await;
        assert!(claim(&db, SERVER, &wanted[..1], minute(41)).await.unwrap().is_empty(), "it has just run");
        let mut tx = db.begin().await.unwrap();
        for name in ["queue", "nobody"] {
            wish(&mut tx, SERVER, name, minute(41)).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert_eq!(claim(&db, SERVER, &wanted[..1], minute(41)).await.unwrap(), ["queue"]);
        let runs = sources(&db).await.unwrap();
        let queue = runs.iter().find(|run| run.source == "queue").unwrap();
        assert!(
            queue.fresh_until().is_some_and(|until| until > minute(42)),
            "what it told is still believed"
        );
        db.close().await;
    }
}

/// Sources fall silent at different times, and single mailboxes are kept by other steps.
#[tokio::test]
async fn several_histories_at_once_are_those_of_each_alone() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let mut book = Book::default();
        let ann = Labels::NONE.with(MAILBOX, "ann@alpha.test");
        for n in 0..600_i64 {
            let number = |step: i64| u32::try_from(n / step % 5).unwrap();
            let samples = [sample("a", Labels::NONE, number(3)), sample("m", ann.clone(), number(50))];
            tell(&db, &mut book, minute(n), None, &samples).await;
            if n < 200 {
                let samples = &[sample("b", Labels::NONE, number(7))];
                let (at, took) = (minute(n), Duration::ZERO);
                let batch =
                    Batch { server: SERVER, source: "dns", at, took, period: MINUTE, error: None, samples };
                book.append(&db, batch).await.unwrap();
            }
        }
        roll(&db, minute(599)).await.unwrap();
        let none = Labels::NONE;
        let wanted = [("a", &none), ("b", &none), ("missing", &none), ("m", &ann), ("a", &none)];
        for (from, to, points) in [(0, 599, 600), (0, 599, 120), (30, 599, 8), (150, 260, 20), (300, 599, 5)]
        {
            let span = (minute(from), minute(to));
            let all = ranges(&db, &Scope::All, SERVER, &wanted, span, points).await.unwrap();
            for (found, series) in all.iter().zip(wanted) {
                let alone = range(&db, &Scope::All, SERVER, series, span, points).await.unwrap();
                assert_eq!(*found, alone, "{} {series:?} {span:?} {points}", db.engine());
            }
            assert!(all[0].is_some() && all[1].is_some() && all[2].is_none() && all[3].is_some());
            let all = tracks(&db, &Scope::All, SERVER, &["a", "b", "m"], span).await.unwrap();
            let mut alone = Vec::new();
            for metric in ["a", "b", "m"] {
                alone.extend(tracks(&db, &Scope::All, SERVER, &[metric], span).await.unwrap());
            }
            assert_eq!((all.len(), &all), (3, &alone), "{} {span:?}", db.engine());
            let mine = Scope::mailbox("ann@alpha.test", Millis(0));
            let mine = ranges(&db, &mine, SERVER, &wanted, span, points).await.unwrap();
            assert_eq!(
                mine.iter().map(Option::is_some).collect::<Vec<_>>(),
                [false, false, false, true, false]
            );
        }
        db.close().await;
    }
}

/// Whatever is rolled up and pruned, a flag's history tells the same sum; recent changes stay exact.
#[tokio::test]
async fn a_track_is_as_fine_as_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let mut book = Book::default();
        // Down for 20 minutes every 5 hours, over 4 days; from minute 3000 on for 2 hours nobody tells.
        let days = 4 * 1440;
        let is_up = |n: i64| !(100..120).contains(&(n % 300));
        let mut expected = (0.0, 0.0);
        for n in 0..days {
            if (3000..3120).contains(&n) {
                continue;
            }
            let state = if is_up(n) { 1_u32 } else { 0 };
            tell(&db, &mut book, minute(n), None, &[sample("up", Labels::NONE, state)]).await;
            let known = if n == 2999 || n < days - 1 { 60.0 } else { 0.0 };
            expected.0 += known;
            expected.1 += if is_up(n) { 0.0 } else { known };
        }
        let now = minute(days - 1);
        let keep = Keep {
            raw: Duration::from_secs(86_400 / 2),
            minutes: Duration::from_secs(2 * 86_400),
            hours: Duration::from_secs(700 * 86_400),
            mailboxes: Duration::from_secs(60 * 86_400),
        };
        for pruned in [false, true] {
            roll(&db, now).await.unwrap();
            if pruned {
                prune(&db, &keep, now).await.unwrap();
            }
            let tracks = tracks(&db, &Scope::All, SERVER, &["up", "other"], (minute(0), now)).await.unwrap();
            assert_eq!((tracks.len(), tracks[0].until), (1, now));
            let sum = |pick: fn(&crate::model::history::Span) -> f64| {
                tracks[0].pieces.iter().map(pick).sum::<f64>()
            };
            assert!(
                (sum(|piece| piece.seconds) - expected.0).abs() < 1e-6,
                "known {}",
                sum(|piece| piece.seconds)
            );
            assert!(
                (sum(|piece| piece.seconds - piece.total) - expected.1).abs() < 1e-6,
                "down, pruned {pruned}"
            );
            let gaps = tracks[0].pieces.windows(2).filter(|pair| pair[0].until != pair[1].at).count();
            assert_eq!(gaps, 0);
            let last = crate::model::uptime::outages(&tracks[0].pieces, now, &[]).pop().unwrap();
            assert_eq!((last.exact, last.down), (true, 1200.0));
        }
        assert!(
            tracks(&db, &Scope::mailbox("ann@alpha.test", Millis(0)), SERVER, &["up"], (minute(0), now))
                .await
                .unwrap()
                .is_empty(),
            "the host is for admins"
        );
        db.close().await;
    }
}
