//! On SQLite, and on MariaDB where there is one.

use std::collections::BTreeMap;

use super::*;
use crate::{
    model::{
        event::{Attempt, Event, Fact},
        mail::ServerId,
        scope::Scope,
    },
    store::{
        Story,
        correlation::{self, MailWrite},
        fresh::databases,
        mails,
    },
};

const AT: Millis = Millis(1_790_000_000_000);
const LEAST: i64 = 1500;

/// Writes mails with these numbers, as ingestion does.
async fn write(db: &Db, numbers: std::ops::Range<u64>) {
    let mut tx = db.begin().await.unwrap();
    let packer = packer(&mut tx).await.unwrap();
    let mut writes = Vec::new();
    for number in numbers {
        let hash = twox_hash::XxHash3_64::oneshot(&number.to_le_bytes());
        let queue_id = format!("{hash:x}");
        let to = format!("user{}@an-own-domain-{}.example", hash % 300, hash % 7);
        let reply = format!("250 2.0.0 <{to}> {:x} Saved", hash / 3);
        let attempt = Attempt {
            to: &to,
            orig_to: None,
            relay: "dovecot[172.22.1.250]:24",
            delay: "1",
            delays: "0.1/0/0.5/0.4",
            dsn: "2.0.0",
            status: "sent",
            reply: &reply,
            tls: None,
        };
        let facts =
            [Fact::Queued { sender: "bob@beta.test", size: hash % 9000, nrcpt: 1 }, Fact::Attempt(attempt)];
        let at = Millis(AT.0 + number as i64 * 60_000);
        let events = facts.map(|fact| Event { at, fact, program: "postfix/lmtp" }).to_vec();
        let story = Story { queue_id: &queue_id, name: "", events, verdicts: BTreeMap::new() };
        let mail = story.fold(ServerId::FIRST);
        writes.push(MailWrite::new(&mail, &story, None, packer));
    }
    correlation::save(&mut tx, writes).await.unwrap();
    tx.commit().await.unwrap();
}

/// Ids and stories, in the order of the ids.
async fn stories(db: &Db) -> Vec<(MailId, Vec<u8>)> {
    db.fetch(sql("SELECT id, story FROM mail_story ORDER BY id")).await.unwrap()
}

async fn numbers(db: &Db) -> Vec<(i64, i64)> {
    db.fetch(sql("SELECT number, made_at FROM pack_dictionary ORDER BY made_at")).await.unwrap()
}

fn is_own(story: &[u8], number: i64) -> bool {
    story[0] == 4 && i64::from(u16::from_le_bytes([story[1], story[2]])) == number
}

#[tokio::test]
async fn a_dictionary_is_learnt_from_enough_mails_and_packs_those_that_come() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        write(&db, 0..LEAST as u64 - 1).await;
        assert!(!learn_from(&db, AT, LEAST).await.unwrap() && numbers(&db).await.is_empty(), "too few");
        write(&db, LEAST as u64 - 1..LEAST as u64).await;
        assert!(learn_from(&db, AT, LEAST).await.unwrap());
        let [(number, made_at)] = numbers(&db).await[..] else { panic!("one dictionary") };
        assert_eq!(made_at, AT.0);
        assert!(
            !learn_from(&db, AT.plus(RENEWED).minus(Duration::from_secs(1)), LEAST).await.unwrap(),
            "one is enough"
        );
        let first = LEAST as usize;
        write(&db, LEAST as u64..LEAST as u64 + 500).await;
        let packed = stories(&db).await;
        let (before, after) = packed.split_at(first);
        assert!(before.iter().all(|(_, story)| story[0] == 3), "what is there stays as it is");
        assert!(after.iter().all(|(_, story)| is_own(story, number)));
        let mean = |stories: &[(MailId, Vec<u8>)]| {
            stories.iter().map(|(_, story)| story.len()).sum::<usize>() as f64 / stories.len() as f64
        };
        assert!(mean(after) < 0.8 * mean(before), "{} {}", mean(before), mean(after));
        for (id, _) in [&packed[0], &packed[first], &packed[packed.len() - 1]] {
            let mail = mails::find(&db, &Scope::All, *id).await.unwrap().unwrap();
            assert!(mail.recipients[0].address.contains("an-own-domain"), "{mail:?}");
        }
        // Half a year later there are others, and the first one still unpacks.
        assert!(learn_from(&db, AT.plus(RENEWED), LEAST).await.unwrap());
        let [_, (newer, _)] = numbers(&db).await[..] else { panic!("two dictionaries") };
        assert_ne!(number, newer);
        write(&db, 5000..5001).await;
        let packed = stories(&db).await;
        assert!(is_own(&packed.last().unwrap().1, newer) && is_own(&packed[first].1, number));
        let all = mails_of(&db, sql("SELECT id, server, story FROM mail_story")).await.unwrap();
        assert_eq!(all.len(), packed.len());
    }
}

#[tokio::test]
async fn a_dictionary_that_another_process_made_is_taken_from_the_database() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        write(&db, 0..LEAST as u64).await;
        assert!(learn_from(&db, AT, LEAST).await.unwrap());
        write(&db, 5000..5001).await;
        let number = as_number(numbers(&db).await[0].0).unwrap();
        let (id, _) = stories(&db).await.pop().unwrap();
        let queue_id = mails::find(&db, &Scope::All, id).await.unwrap().unwrap().queue_id.clone().unwrap();
        // A page.
        pack::forget(number);
        assert!(mails::find(&db, &Scope::All, id).await.unwrap().is_some());
        // A batch that looks a mail up, and one that only writes.
        pack::forget(number);
        let mut tx = db.begin().await.unwrap();
        let names = BTreeMap::from([(queue_id.as_str(), Millis(0))]);
        assert_eq!(correlation::by_queue_ids(&mut tx, &names).await.unwrap().len(), 1);
        drop(tx);
        pack::forget(number);
        write(&db, 5001..5002).await;
        let packed = stories(&db).await;
        assert!(is_own(&packed.last().unwrap().1, number.get().into()));
        // A row that is gone: a clear error, no other bytes. What comes then is packed without it, whatever this process knows.
        let mut tx = db.begin().await.unwrap();
        tx.execute(sql("DELETE FROM pack_dictionary")).await.unwrap();
        tx.commit().await.unwrap();
        write(&db, 5002..5003).await;
        assert_eq!(stories(&db).await.last().unwrap().1[0], 3);
        pack::forget(number);
        let lost = mails::find(&db, &Scope::All, id).await.unwrap_err();
        assert!(matches!(lost, Error::Unmet(unmet) if unmet == number), "{lost}");
    }
}

#[tokio::test]
async fn where_nothing_can_be_learnt_that_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        write(&db, 0..3).await;
        assert!(!learn_from(&db, AT, 3).await.unwrap(), "three mails teach nothing");
        assert_eq!(numbers(&db).await, [(0, AT.0)]);
        write(&db, 3..LEAST as u64).await;
        assert!(stories(&db).await.iter().all(|(_, story)| story[0] == 3));
        assert!(
            !learn_from(&db, AT.plus(Duration::from_secs(60)), 3).await.unwrap(),
            "not tried again at once"
        );
        assert!(learn_from(&db, AT.plus(RENEWED), 3).await.unwrap());
        assert_eq!(numbers(&db).await.len(), 2);
    }
}

#[tokio::test]
async fn backups_hold_the_dictionaries() {
    let tables = crate::store::backup::tables().await.unwrap();
    assert!(tables.iter().any(|table| table.name == "pack_dictionary" && !table.derived));
}
