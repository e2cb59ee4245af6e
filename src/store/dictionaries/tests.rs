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

/// When mails come, and when learning is tried.
const AT: Millis = Millis(1_790_000_000_000);
const NOW: Millis = Millis(AT.0 + 2 * 24 * 3_600_000);
const LEAST: usize = 1500;
/// How long mails are kept.
const KEPT: Duration = Duration::from_secs(400 * 24 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Writes mails with these numbers, as ingestion does, a minute apart. Tests with other seeds write other mails, so that their
/// dictionaries are others.
async fn write(db: &Db, seed: u64, numbers: std::ops::Range<u64>) {
    let mut tx = db.begin().await.unwrap();
    let packer = packer(&mut tx).await.unwrap();
    let mut writes = Vec::new();
    for number in numbers {
        let hash = twox_hash::XxHash3_64::oneshot_with_seed(seed, &number.to_le_bytes());
        let queue_id = format!("{hash:x}");
        let to = format!("user{}@an-own-domain-{}.example", hash % 60, hash % 7);
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

async fn execute(db: &Db, text: &'static str) {
    let mut tx = db.begin().await.unwrap();
    tx.execute(sql(text)).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_dictionary_is_learnt_from_enough_mails_and_packs_those_that_come() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        write(&db, 1, 0..LEAST as u64 - 1).await;
        let learn = async |now: Millis| learn_from(&db, now, KEPT, LEAST).await.unwrap();
        assert!(!learn(NOW).await && numbers(&db).await.is_empty(), "too few");
        // The last one is of the future: a clock that ran ahead.
        write(&db, 1, 500_000..500_001).await;
        assert!(learn(NOW).await);
        let [(number, made_at)] = numbers(&db).await[..] else { panic!("one dictionary") };
        assert_eq!(made_at, NOW.0);
        assert!(!learn(NOW.plus(RENEWED).minus(DAY)).await, "one is enough");
        write(&db, 1, LEAST as u64..LEAST as u64 + 500).await;
        let packed = stories(&db).await;
        let (own, programs): (Vec<_>, Vec<_>) = packed.iter().partition(|(_, story)| is_own(story, number));
        assert_eq!((own.len(), programs.len()), (500, LEAST), "what is there stays as it is");
        assert!(programs.iter().all(|(_, story)| story[0] == 3));
        let mean = |stories: &[&(MailId, Vec<u8>)]| {
            stories.iter().map(|(_, story)| story.len()).sum::<usize>() as f64 / stories.len() as f64
        };
        assert!(mean(&own) < 0.8 * mean(&programs), "{} {}", mean(&own), mean(&programs));
        for (id, _) in [own[0], own[499], programs[0], programs[LEAST - 1]] {
            let mail = mails::find(&db, &Scope::All, *id).await.unwrap().unwrap();
            assert!(mail.recipients[0].address.contains("an-own-domain"), "{mail:?}");
        }
        // Half a year later nothing of late is there to learn from: the first one goes on, and a day later it is tried again.
        let later = NOW.plus(RENEWED);
        assert!(!learn(later).await);
        assert_eq!(numbers(&db).await, [(number, NOW.0), (0, later.0)]);
        let minutes = RENEWED.as_secs() / 60;
        write(&db, 1, minutes..minutes + LEAST as u64).await;
        let packed = stories(&db).await;
        assert!(is_own(&packed[packed.len() - 2].1, number));
        assert!(!learn(later.plus(DAY).minus(Duration::from_secs(1))).await, "not tried again at once");
        assert!(learn(later.plus(DAY)).await);
        let newer = numbers(&db).await.pop().unwrap().0;
        write(&db, 1, minutes + 5000..minutes + 5001).await;
        let packed = stories(&db).await;
        assert!(newer != number && packed.iter().any(|(_, story)| is_own(story, newer)));
        let all = mails_of(&db, sql("SELECT id, server, story FROM mail_story")).await.unwrap();
        assert_eq!(all.len(), packed.len(), "both unpack");
    }
}

#[tokio::test]
async fn a_dictionary_holds_no_word_of_a_few_mails() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        write(&db, 2, 0..LEAST as u64).await;
        assert!(learn_from(&db, NOW, KEPT, LEAST).await.unwrap());
        let data: Vec<(Vec<u8>,)> = db.fetch(sql("SELECT data FROM pack_dictionary")).await.unwrap();
        let holds = |word: &str| memchr::memmem::find(&data[0].0, word.as_bytes()).is_some();
        assert!(holds("an-own-domain-3.example") && holds("user17"), "what many have");
        let mails = mails_of(&db, sql("SELECT id, server, story FROM mail_story")).await.unwrap();
        for mail in &mails {
            let story = mail.story().unwrap();
            assert!(!holds(story.queue_id), "{}", story.queue_id);
        }
    }
}

#[test]
fn rare_words_give_way_to_noise_of_their_kind() {
    let common = "Angebot f\u{fc}r ann@alpha.test".as_bytes();
    let rare = "Entw\u{fc}rfe 4fe09a77bc01 7BA1C0FFEE99 x1@Geheimes-3.test".as_bytes();
    let mut stories = vec![common.to_vec(); COMMON];
    stories.push([common, b" ", rare].concat());
    make_noise(&mut stories).unwrap();
    assert!(stories[..COMMON].iter().all(|story| story == common));
    let last = &stories[COMMON];
    let noise = last.strip_prefix(common).and_then(|rest| rest.strip_prefix(b" ")).unwrap();
    assert_eq!(noise.len(), rare.len());
    for (index, (was, is)) in rare.iter().zip(noise).enumerate() {
        let alike = match was {
            b'0'..=b'9' => is.is_ascii_digit(),
            b'a'..=b'z' => is.is_ascii_lowercase(),
            b'A'..=b'Z' => is.is_ascii_uppercase(),
            128.. => *is >= 128,
            sign => is == sign,
        };
        assert!(alike, "{index}");
    }
    for word in ["Entw\u{fc}rfe", "4fe09a77bc01", "7BA1C0FFEE99", "Geheimes"] {
        assert!(memchr::memmem::find(noise, word.as_bytes()).is_none(), "{word}");
    }
    assert!(noise[10..22].iter().all(u8::is_ascii_hexdigit), "a number in hexadecimal stays one");
}

#[tokio::test]
async fn a_dictionary_that_another_process_made_is_taken_from_the_database() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        write(&db, 3, 0..LEAST as u64).await;
        assert!(learn_from(&db, NOW, KEPT, LEAST).await.unwrap());
        write(&db, 3, 5000..5001).await;
        let number = as_number(numbers(&db).await[0].0).unwrap();
        let (id, _) = stories(&db).await.pop().unwrap();
        let find = async || mails::find(&db, &Scope::All, id).await;
        let queue_id = find().await.unwrap().unwrap().queue_id.clone().unwrap();
        // A page.
        pack::forget(number);
        assert!(find().await.unwrap().is_some());
        // A batch that looks a mail up, and one that only writes.
        pack::forget(number);
        let mut tx = db.begin().await.unwrap();
        let names = BTreeMap::from([(queue_id.as_str(), Millis(0))]);
        assert_eq!(correlation::by_queue_ids(&mut tx, &names).await.unwrap().len(), 1);
        drop(tx);
        pack::forget(number);
        write(&db, 3, 5001..5002).await;
        let packed = stories(&db).await;
        assert!(is_own(&packed.last().unwrap().1, number.get().into()));
        // One that was damaged would tell other words: a clear error instead.
        let data: Vec<(Vec<u8>,)> = db.fetch(sql("SELECT data FROM pack_dictionary")).await.unwrap();
        let mut damaged = data[0].0.clone();
        damaged[100_000] ^= 1;
        let mut tx = db.begin().await.unwrap();
        tx.execute(sql("UPDATE pack_dictionary SET data = ?").bind(damaged)).await.unwrap();
        tx.commit().await.unwrap();
        pack::forget(number);
        assert!(matches!(find().await, Err(Error::Damaged(_))));
        // The same where the row is gone. What comes then is packed without it, whatever this process knows.
        pack::meet(number, data[0].0.clone()).unwrap();
        execute(&db, "DELETE FROM pack_dictionary").await;
        write(&db, 3, 5002..5003).await;
        assert_eq!(stories(&db).await.last().unwrap().1[0], 3);
        pack::forget(number);
        assert!(matches!(find().await, Err(Error::Unmet(unmet)) if unmet == number));
    }
}

#[tokio::test]
async fn what_a_batch_packs_with_stays_until_the_batch_ends() {
    let dir = tempfile::tempdir().unwrap();
    // SQLite has one writer at a time.
    for db in databases(&dir).await.into_iter().filter(|db| matches!(db, Db::Mysql { .. })) {
        write(&db, 6, 0..LEAST as u64).await;
        assert!(learn_from(&db, NOW, KEPT, LEAST).await.unwrap());
        let mut batch = db.begin().await.unwrap();
        packer(&mut batch).await.unwrap();
        let mut restore = db.begin().await.unwrap();
        restore.execute(sql("SET innodb_lock_wait_timeout = 1")).await.unwrap();
        let waits = restore.execute(sql("DELETE FROM pack_dictionary")).await;
        assert!(matches!(waits, Err(Error::Busy(_))), "{waits:?}");
        drop(restore);
        batch.commit().await.unwrap();
        execute(&db, "DELETE FROM pack_dictionary").await;
    }
}

#[tokio::test]
async fn a_dictionary_goes_when_no_mail_needs_it() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        write(&db, 4, 0..LEAST as u64).await;
        assert!(learn_from(&db, NOW, KEPT, LEAST).await.unwrap());
        write(&db, 4, 5000..5001).await;
        // Those who keep mails for a short time get a new one as often.
        let renewed = NOW.plus(DAY);
        assert!(learn_from(&db, renewed, DAY, LEAST).await.unwrap());
        let all = numbers(&db).await;
        assert_eq!(all.len(), 2);
        let prune = async |now: Millis| {
            prune(&db, now, DAY).await.unwrap();
            numbers(&db).await
        };
        assert_eq!(prune(renewed.plus(DAY)).await, all, "a mail still needs it");
        let (id, _) = stories(&db).await.pop().unwrap();
        let mut tx = db.begin().await.unwrap();
        tx.execute(sql("DELETE FROM mail_story WHERE id = ?").bind(id)).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(
            prune(renewed.plus(DAY).minus(Duration::from_secs(1))).await,
            all,
            "one may be on its way"
        );
        assert_eq!(prune(renewed.plus(DAY)).await, all[1..], "the newest stays");
        assert_eq!(prune(renewed.plus(KEPT)).await, all[1..]);
    }
}

#[tokio::test]
async fn where_nothing_can_be_learnt_that_is_noted() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        write(&db, 5, 0..3).await;
        assert!(!learn_from(&db, NOW, KEPT, 3).await.unwrap(), "three mails teach nothing");
        assert_eq!(numbers(&db).await, [(0, NOW.0)]);
        write(&db, 5, 3..LEAST as u64).await;
        assert!(stories(&db).await.iter().all(|(_, story)| story[0] == 3));
        assert!(learn_from(&db, NOW.plus(DAY), KEPT, 3).await.unwrap());
        assert_eq!(numbers(&db).await.len(), 2);
        // A story that cannot be read is left out.
        execute(&db, "UPDATE mail_story SET story = ''").await;
        assert!(!learn_from(&db, NOW.plus(RENEWED).plus(DAY), KEPT, 3).await.unwrap());
    }
}

#[tokio::test]
async fn backups_hold_the_dictionaries() {
    let tables = crate::store::backup::tables().await.unwrap();
    assert!(tables.iter().any(|table| table.name == "pack_dictionary" && !table.derived));
}

#[test]
fn what_packs_hardly_better_is_not_kept() {
    // Every story is of its own: a dictionary of them can be made, and is of no use.
    let story = |number: u64| -> Vec<u8> {
        (0..20_u64)
            .flat_map(|part| {
                twox_hash::XxHash3_64::oneshot_with_seed(part, &number.to_le_bytes()).to_le_bytes()
            })
            .collect()
    };
    let stories: Vec<_> = (0..LEAST as u64).map(story).collect();
    assert!(zstd::dict::from_samples(&stories, BYTES).is_ok());
    assert!(train(stories).is_none());
}
