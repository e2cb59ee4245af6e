//! On SQLite, and on MariaDB where there is one.

use proptest::prelude::*;

use super::*;
use crate::{
    model::mail::{Check, Direction, Recipient, ServerId, Status, Verdict},
    store::fresh::databases,
};

/// Segments of the index, and grams of [`WISH`], when each row has a number.
const SEGMENTS: i64 = 2 * TOGETHER + 5;
const WISH: &str = "abcdefgh";
pub(super) const SHAPE: Shape = Shape { width: 6, rest: MailId(0), mails: 1000, fed: 0 };

/// An index with these rows.
pub(super) async fn index(db: &Db, rows: &BTreeMap<(i64, i32), BTreeSet<i64>>) {
    let mut tx = db.begin().await.unwrap();
    tx.execute(sql("DELETE FROM search_gram")).await.unwrap();
    tx.execute(sql("DELETE FROM search_shape")).await.unwrap();
    let Shape { width, rest, mails, fed } = SHAPE;
    let values = [1.into(), width.into(), rest.into(), mails.into(), fed.into()];
    tx.insert("search_shape", ["id", "width", "rest", "mails", "fed"], values).await.unwrap();
    for ((segment, gram), numbers) in rows {
        let mut blocks = Blocks::none();
        numbers.iter().for_each(|number| assert!(blocks.add(*number)));
        tx.insert("search_gram", ["segment", "gram", "blocks"], row(*segment, *gram, &blocks)).await.unwrap();
    }
    tx.commit().await.unwrap();
}

fn wish() -> Filter {
    Filter { q: Some(WISH.to_owned()), ..Filter::default() }
}

fn grams(of: Text, parts: &[&str]) -> BTreeSet<i32> {
    let mut grams = BTreeSet::new();
    parts.iter().for_each(|part| add_grams(&mut grams, of, part));
    grams
}

/// Which segments are looked at in turn, and how often each gram occurs where: in so many of 40 blocks of each third segment.
fn indexes() -> impl Strategy<Value = (Vec<i64>, Vec<[usize; 3]>)> {
    let often = prop::sample::select(vec![0, 1, 6, 20, 34, 40]);
    (
        prop::collection::vec(-2..SEGMENTS + 2, 1..6),
        prop::collection::vec(prop::array::uniform3(often), 2 * (WISH.len() - 2)),
    )
}

#[test]
fn candidates_are_the_blocks_that_hold_all_grams() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    for db in runtime.block_on(databases(&dir)) {
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(24));
        let check = |(turns, often): (Vec<i64>, Vec<[usize; 3]>)| {
            let wishes = wanted(&wish());
            let mut rows: BTreeMap<(i64, i32), BTreeSet<i64>> = BTreeMap::new();
            for segment in 0..SEGMENTS {
                for (at, (gram, often)) in wishes.iter().flatten().zip(&often).enumerate() {
                    // Other blocks for each gram and segment, the same in each run.
                    let first = 7 * at + 13 * segment as usize;
                    let numbers = (first..first + often[segment as usize % 3]).map(|n| n as i64 * 11 % 40);
                    rows.insert((segment, *gram), numbers.collect());
                }
            }
            rows.retain(|_, numbers| !numbers.is_empty());
            let expected = |segment: i64, wishes: &[Vec<i32>]| {
                let set = |gram: &i32| rows.get(&(segment, *gram)).cloned().unwrap_or_default();
                let all = |grams: &Vec<i32>| grams.iter().map(set).reduce(|a, b| &a & &b).unwrap();
                wishes.iter().map(all).reduce(|a, b| &a | &b).unwrap()
            };
            runtime.block_on(async {
                index(&db, &rows).await;
                let mut candidates = Candidates::of(&db, &wish()).await.unwrap().unwrap();
                let mut first = BTreeSet::new();
                for segment in turns {
                    candidates.look_at(&db, segment).await.unwrap();
                    if first.is_empty() {
                        first = candidates.looked_at.clone();
                    }
                    let known = candidates.known.get(&segment);
                    let found = (0..BLOCKS).filter(|block| known.is_some_and(|known| known.has(*block)));
                    let found: BTreeSet<i64> = found.collect();
                    // What cut hardly anything in the first segments is left out of the others: they may have more, and miss none.
                    let sharp = if first.contains(&segment) { &wishes } else { &candidates.wishes };
                    prop_assert_eq!(&found, &expected(segment, sharp), "segment {}", segment);
                    prop_assert!(found.is_superset(&expected(segment, &wishes)));
                }
                Ok(())
            })
        };
        runner.run(&indexes(), check).unwrap();
        runtime.block_on(db.close());
    }
}

#[tokio::test]
async fn common_grams_are_read_only_where_the_rare_ones_leave_candidates() {
    let dir = tempfile::tempdir().unwrap();
    // Only SQLite has a row that cannot be read: a number in place of bytes.
    let db = databases(&dir).await.swap_remove(0);
    let wish = Filter { subject: Some(WISH.to_owned()), ..Filter::default() };
    let [grams] = wanted(&wish).try_into().unwrap();
    let (common, rare) = grams.split_at(grams.len() - SHARPEST);
    let last = 3 * TOGETHER - 1;
    let both = 2 * TOGETHER - 5;
    let mut rows = BTreeMap::new();
    for segment in 0..=last {
        rows.extend(common.iter().map(|gram| ((segment, *gram), (0..2000).collect())));
        let at = |n: usize| if segment == both { 77 } else { n as i64 };
        rows.extend(rare.iter().enumerate().map(|(n, gram)| ((segment, *gram), BTreeSet::from([at(n)]))));
    }
    index(&db, &rows).await;
    let mut tx = db.begin().await.unwrap();
    let text = format!(
        "UPDATE search_gram SET blocks = 1 WHERE segment <= {} AND segment <> {both} AND gram NOT IN (?, ?)",
        last - FIRST
    );
    assert!(tx.execute(sql(text).bind_all(rare.iter().copied())).await.unwrap() > 0);
    tx.commit().await.unwrap();
    let mut candidates = Candidates::of(&db, &wish).await.unwrap().unwrap();
    let leap = candidates.leap(&db, Place::Newest).await.unwrap();
    assert_eq!(leap, Some(Place::Before(SHAPE.begin(both * BLOCKS + 78))));
    let after = SHAPE.begin(both * BLOCKS + 77);
    assert_eq!(candidates.leap(&db, Place::Before(after)).await.unwrap(), None, "and all else is none");
    let known: Vec<i64> = candidates.known.into_keys().collect();
    assert_eq!(known, [both]);
}

#[test]
fn grams_are_sharp_next_to_those_before_them() {
    let set = |numbers: std::ops::Range<i64>| {
        let mut blocks = Blocks::none();
        numbers.for_each(|number| assert!(blocks.add(number)));
        BTreeMap::from([(0, blocks)])
    };
    let all = || BTreeMap::from([(0, Blocks::all())]);
    // 1 and 2 are of one word, 3 and 4 of another; 5 is everywhere.
    let sample: BTreeMap<i32, _> =
        [(1, set(0..100)), (2, set(0..101)), (3, set(50..400)), (4, set(50..390)), (5, set(0..BLOCKS))]
            .into();
    assert_eq!(sharpest(&[1, 2, 3, 4, 5], &sample, all()), [1, 3]);
    assert_eq!(sharpest(&[5, 3, 2], &sample, all()), [2, 3]);
    // With nothing left nobody knows what the others cut elsewhere: all stay, the rarest first.
    let apart: BTreeMap<i32, _> = [(1, set(0..100)), (2, set(200..500)), (3, set(0..BLOCKS))].into();
    assert_eq!(sharpest(&[3, 1, 2], &apart, all()), [1, 2, 3]);
    assert_eq!(sharpest(&[3, 9], &apart, all()), [9, 3], "without a row it is the rarest of all");
    assert_eq!(sharpest(&[3], &apart, all()), [3], "one stays");
}

#[test]
fn a_part_must_lie_in_ids_or_in_words_as_its_field_tells() {
    use Text::{Ids, Words};
    let text = |text: &str| Some(text.to_owned());
    let sets = |filter: &Filter| -> Vec<BTreeSet<i32>> {
        wanted(filter).into_iter().map(|grams| grams.into_iter().collect()).collect()
    };
    let q = Filter { q: text(" <Order-7> "), ..Filter::default() };
    assert_eq!(sets(&q), [grams(Ids, &["order-7"]), grams(Words, &["order-7"])]);
    let others =
        Filter { subject: text("lunch"), rcpt: text("anna"), ip: text("192.0.2.7"), ..Filter::default() };
    let fixed = &grams(Words, &["lunch", "anna"]) | &grams(Ids, &["192.0.2.7"]);
    assert_eq!(sets(&others), std::slice::from_ref(&fixed));
    let all = Filter { q: q.q.clone(), ..others.clone() };
    assert_eq!(sets(&all), [&grams(Ids, &["order-7"]) | &fixed, &grams(Words, &["order-7"]) | &fixed]);
    let short = Filter { q: text("ab"), ..others };
    assert_eq!(sets(&short), [fixed], "what is too short for a gram narrows nothing");
    let only_short = Filter { q: text("ab"), sender: text("anna@example.com"), ..Filter::default() };
    assert_eq!(wanted(&only_short), Vec::<Vec<i32>>::new());
}

/// A mail that has every text in which is searched.
pub(super) fn mail() -> Mail {
    Mail {
        id: MailId(1),
        server: ServerId(1),
        first_seen: Millis(0),
        last_seen: Millis(0),
        queue_id: Some("queueid".to_owned()),
        message_id: Some("messageid@host".to_owned()),
        sender: Some("sender@one.test".to_owned()),
        login: Some("login@two.test".to_owned()),
        client_host: None,
        client_ip: Some("192.0.2.77".to_owned()),
        helo: None,
        client_tls: None,
        entrance: None,
        size: None,
        direction: Direction::In,
        status: Status::Sent,
        verdict: Verdict::None,
        check: Some(Check {
            action: "no action".to_owned(),
            score: 0,
            limit: None,
            junk_limit: None,
            subject: Some("A Subject".to_owned()),
            subject_hidden: false,
            virus: false,
            forced_by: None,
            signed_for: None,
            scan: 1,
        }),
        recipients: vec![Recipient {
            address: "final@three.test".to_owned(),
            orig_to: Some("before@four.test".to_owned()),
            ..Recipient::default()
        }],
        refusal: None,
        notices: Vec::new(),
        parent: None,
        removed: None,
        steps: Vec::new(),
    }
}

#[test]
fn each_text_of_a_mail_is_found_as_what_it_is() {
    let ids = grams(Text::Ids, &["queueid", "messageid@host", "192.0.2.77"]);
    let words = grams(
        Text::Words,
        &["sender@one.test", "login@two.test", "a subject", "final@three.test", "before@four.test"],
    );
    assert!(ids.is_disjoint(&words));
    assert_eq!(grams_of(&mail()), &ids | &words);
    assert_eq!(grams(Text::Ids, &["abcd"]), BTreeSet::from([0x0061_6263 << 1, 0x0062_6364 << 1]));
}
