//! Counters that batches add to: unknown lines, unknown answers, the ledger.

use std::collections::BTreeMap;

use mailcow_status::{
    model::{mail::ServerId, time::Millis},
    store::{
        Db,
        ingestion::{self, Tally},
    },
};

use super::support::{db::fresh_databases, portal::place};

#[tokio::test]
async fn batches_add_up() {
    for fresh in fresh_databases().await {
        let db = Db::open(&place(&fresh.url)).await.unwrap();
        for round in 1..=2 {
            let at = Millis(86_400_000 * 20_000 + round);
            let counted = |name: &str, count| (name.to_owned(), (count, format!("example {round}"), at));
            let phrases = BTreeMap::from([counted("one", 1), counted("two", 2)]);
            let lines =
                phrases.iter().map(|(name, row)| (("postfix/x".to_owned(), name.clone()), row.clone()));
            let mut tx = db.begin().await.unwrap();
            ingestion::add_phrases(&mut tx, &phrases).await.unwrap();
            ingestion::add_phrases(&mut tx, &BTreeMap::new()).await.unwrap();
            ingestion::add_unknown(&mut tx, ServerId(1), &lines.collect()).await.unwrap();
            let tally = Tally { lines: 10, mails: 3, unknown: 3, bad: round };
            ingestion::count(&mut tx, ServerId(1), "postfix", at, tally).await.unwrap();
            tx.commit().await.unwrap();
        }
        let phrases = ingestion::phrases(&db).await.unwrap();
        let phrases: Vec<_> =
            phrases.iter().map(|row| (row.phrase.as_str(), row.phrase_count, row.example.as_str())).collect();
        assert_eq!(phrases, [("two", 4, "example 2"), ("one", 2, "example 2")]);
        let unknown = ingestion::unknown(&db).await.unwrap();
        let unknown: Vec<_> = unknown.iter().map(|row| (row.shape.as_str(), row.line_count)).collect();
        assert_eq!(unknown, [("two", 4), ("one", 2)]);
        let days = ingestion::ledger(&db, Millis(0)).await.unwrap();
        let days: Vec<_> = days
            .iter()
            .map(|day| (day.line_count, day.mail_count, day.unknown_count, day.bad_count))
            .collect();
        assert_eq!(days, [(20, 6, 6, 3)]);
    }
}
