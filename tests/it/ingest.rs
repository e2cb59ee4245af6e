//! Logs come in: nothing lost, nothing double, whatever the order, the splits, the restarts and the faults.

use std::{io::Write, sync::Arc, time::Duration};

use mailcow_status::{
    demo::{Entry, Fate, Fault, Letter, Options, Reach, Rng, Trouble, Verdict},
    ingest::{
        correlate::{self, Batch, Novelty, take},
        import::Importer,
        sessions::Sessions,
    },
    model::{
        event::{Event, Fact, LogLine},
        filter::{Filter, Place},
        mail::{MailId, Status, StepKind, VisibleMail},
        scan::{Check, Hit, Scan, Symbol},
        scope::Scope,
        time::Millis,
        user::SessionLimits,
    },
    store::{
        Db, audit,
        correlation::{self, MailWrite},
        db::sql,
        dictionaries::{self, Packer},
        gathered, ingestion, lines, mails, scans, sessions,
    },
};

use super::support::{
    db::{FreshDb, fresh_databases, sqlite},
    rig::{Log, Picture, SERVER, Source, ledger, open},
};

/// A world in which every story occurs, with rings that hold all of it.
fn roomy(seed: u64, mails: usize) -> Options {
    Options { seed, mails, days: 3, ring: 100_000, rspamd_ring: 50_000, ..Options::default() }
}

async fn take_batch(
    db: &Db,
    lines: &[LogLine<'_>],
    scans: &[Scan],
    novelty: Novelty,
    sessions: &mut Sessions,
) {
    let mut tx = db.begin().await.unwrap();
    let batch = Batch { server: SERVER, lines, scans: scans.into(), quarantined: &[], novelty };
    let outcome = take(&mut tx, &batch, sessions).await.unwrap();
    match novelty {
        Novelty::New => lines::append(&mut tx, SERVER, "postfix", lines).await.unwrap(),
        Novelty::Perhaps => {
            let telling: Vec<_> = outcome.telling.iter().map(|index| lines[*index]).collect();
            lines::append(&mut tx, SERVER, "import", &telling).await.unwrap();
        }
    }
    tx.commit().await.unwrap();
}

/// Works the keys of some of the mails in, now and then.
async fn settle_some(db: &Db, rng: &mut Rng) {
    let ids = all_ids(db).await;
    if rng.chance(20) && !ids.is_empty() {
        gathered::settle_up_to(db, ids[rng.below(ids.len() as u64) as usize]).await.unwrap();
    }
}

async fn at_once(log: &Log, novelty: Novelty) -> Picture {
    let fresh = sqlite();
    let db = open(&fresh).await;
    let lines: Vec<_> = (0..log.lines.len()).map(|index| log.line(index)).collect();
    take_batch(&db, &lines, &log.scans, novelty, &mut Sessions::default()).await;
    Picture::of(&db).await
}

#[tokio::test]
async fn any_split_and_restart_of_a_log_gives_the_same_database() {
    for seed in 1..=6 {
        let log = Log::of(&mailcow_status::demo::Mailcow::new(roomy(seed, 220)));
        let whole = at_once(&log, Novelty::New).await;
        let claimed = whole.parts["mails"].iter().filter(|mail| mail.contains("Symbol {")).count();
        assert!(whole.parts["mails"].len() > 150 && claimed > 100, "{claimed}");
        for fresh in if seed < 3 { fresh_databases().await } else { vec![sqlite()] } {
            let mut rng = Rng::new(seed);
            let mut db = open(&fresh).await;
            let mut scans = log.scans.clone();
            let (mut begin, mut kept) = (0, String::new());
            while begin < log.lines.len() || !scans.is_empty() {
                let most = [3, 40, 900][rng.below(3) as usize];
                let end = (begin + rng.below(most) as usize).min(log.lines.len());
                let lines: Vec<_> = (begin..end).map(|index| log.line(index)).collect();
                // Verdicts run before or behind the lines of their mails.
                let lag = rng.below(40) as i64 - 20;
                let until = lines.last().map_or(i64::MAX, |line| line.at.0 + lag * 1000);
                let ready = scans.iter().take_while(|scan| scan.at.0 <= until).count();
                let ready: Vec<Scan> = scans.drain(..ready).collect();
                let mut open_sessions = Sessions::from_json(&kept);
                take_batch(&db, &lines, &ready, Novelty::New, &mut open_sessions).await;
                if let Some(last) = lines.last() {
                    open_sessions.forget(last.at);
                    kept = open_sessions.to_json();
                }
                begin = end;
                settle_some(&db, &mut rng).await;
                if rng.chance(10) {
                    db.close().await;
                    db = open(&fresh).await;
                }
            }
            Picture::of(&db).await.must_equal(&whole, &format!("seed {seed}, {}", db.engine()));
        }
    }
}

/// Pieces that begin and end with a second: an import never cuts one.
fn pieces(log: &Log, rng: &mut Rng) -> Vec<(usize, usize)> {
    let mut pieces = Vec::new();
    let mut begin = 0;
    for index in 1..=log.lines.len() {
        let cut = index == log.lines.len() || log.lines[index].0 != log.lines[index - 1].0;
        if cut && (index == log.lines.len() || rng.chance(4)) {
            pieces.push((begin, index));
            begin = index;
        }
    }
    pieces
}

#[tokio::test]
async fn order_and_repetition_do_not_matter() {
    for seed in 11..=16 {
        let log = Log::of(&mailcow_status::demo::Mailcow::new(roomy(seed, 160)));
        let whole = at_once(&log, Novelty::Perhaps).await.without_tls().without_lines();
        for fresh in if seed < 13 { fresh_databases().await } else { vec![sqlite()] } {
            let mut rng = Rng::new(seed);
            let db = open(&fresh).await;
            let mut order = pieces(&log, &mut rng);
            let again: Vec<_> = order.iter().copied().filter(|_| rng.chance(30)).collect();
            order.extend(again);
            rng.shuffle(&mut order);
            let mut scans = log.scans.clone();
            rng.shuffle(&mut scans);
            let share = scans.len() / order.len() + 1;
            for (begin, end) in order {
                let lines: Vec<_> = (begin..end).map(|index| log.line(index)).collect();
                let some: Vec<Scan> = scans.drain(..share.min(scans.len())).collect();
                take_batch(&db, &lines, &some, Novelty::Perhaps, &mut Sessions::default()).await;
                settle_some(&db, &mut rng).await;
            }
            let picture = Picture::of(&db).await.without_tls().without_lines();
            picture.must_equal(&whole, &format!("seed {seed}, {}", db.engine()));
        }
    }
}

#[tokio::test]
async fn polls_at_any_moment_give_what_one_poll_gives() {
    for seed in 21..=24 {
        for fresh in if seed == 21 { fresh_databases().await } else { vec![sqlite()] } {
            let source = Source::start(roomy(seed, 60)).await;
            let db = open(&fresh).await;
            let mut rng = Rng::new(seed);
            for _ in 0..25 {
                source.mailcow.bustle(rng.below(12) as usize);
                // One client, three recipients, one second: the lines differ far behind, or not at all.
                for _ in 0..rng.below(4) {
                    source.mailcow.log("postfix/smtpd", REFUSAL);
                }
                if rng.chance(60) {
                    let polled = source.poller(&db).poll(source.now()).await.unwrap().unwrap();
                    assert_eq!(polled.faults, [""; 0]);
                }
                source.advance([0, 0, 1, 7, 90, 4000][rng.below(6) as usize]);
            }
            source.poller(&db).poll(source.now()).await.unwrap().unwrap();
            let again = source.poller(&db).poll(source.now()).await.unwrap().unwrap();
            assert_eq!((again.lines, again.scans, again.new_mails), (0, 0, 0));
            let other = sqlite();
            let once = open(&other).await;
            source.poller(&once).poll(source.now()).await.unwrap().unwrap();
            let what = format!("seed {seed}, {}", db.engine());
            Picture::of(&db).await.must_equal(&Picture::of(&once).await, &what);
            let history = source.mailcow.history();
            let there = (history.lines.len() as i64, history.rows.len() as i64);
            assert_eq!(ledger(&db).await, there, "{what}");
            let refusals = history.lines.iter().filter(|line| line.message == REFUSAL).count();
            assert_eq!(refused(&db).await, refusals, "{what}: each identical line is an attempt");
            assert!(ingestion::gaps(&db, Millis(0), Millis(i64::MAX)).await.unwrap().is_empty(), "{what}");
        }
    }
}

const REFUSAL: &str = "NOQUEUE: reject: RCPT from unknown[192.0.2.77]: 554 5.7.1 <x@elsewhere.example>: Relay \
    access denied; from=<same@spam.example> to=<x@elsewhere.example> proto=ESMTP helo=<same>";

async fn refused(db: &Db) -> usize {
    let filter = Filter { sender: Some("same@spam.example".to_owned()), ..Filter::default() };
    mails::search(db, &Scope::All, &filter, Place::Newest, 500).await.unwrap().mails.len()
}

#[tokio::test]
async fn repetitions_that_rsyslog_folded_count_one_by_one() {
    let fresh = sqlite();
    let db = open(&fresh).await;
    let at = Millis::from_secs(1_795_000_000);
    let folded = format!("message repeated 3 times: [ {REFUSAL}]");
    for new in [4, 0] {
        let mut importer = Importer::new(db.clone(), SERVER, at, Millis(0), Millis(0));
        for (second, text) in [(0, REFUSAL), (5, folded.as_str())] {
            let at = Millis(at.0 + second * 1000);
            importer.push(&LogLine { at, program: "postfix/smtpd", text }).await.unwrap();
        }
        importer.flush().await.unwrap();
        assert_eq!((importer.report().new_mails, importer.report().lines, refused(&db).await), (new, 2, 4));
    }
}

/// What older versions kept of a `hold:` line is that line, when it is read again.
#[tokio::test]
async fn a_hold_that_was_kept_otherwise_before_is_not_told_twice() {
    let fresh = sqlite();
    let db = open(&fresh).await;
    let hold = "A000000001: hold: header Subject: x from x.test[192.0.2.5]; from=<s@x.test> to=<r@y.test> proto=ESMTP helo=<h>: why";
    let texts = [
        ("postfix/smtpd", "A000000001: client=x.test[192.0.2.5]".to_owned()),
        ("postfix/cleanup", hold.to_owned()),
    ];
    let lines = lines_at(Millis::from_secs(1_795_000_000), &texts);
    take_batch(&db, &lines[..1], &[], Novelty::Perhaps, &mut Sessions::default()).await;
    let stored = dictionaries::mails_of(&db, sql("SELECT id, server, story FROM mail_story")).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    let mut story = stored[0].story().unwrap();
    let fact = Fact::Held { reason: "header Subject: x" };
    story.events.push(Event { at: lines[1].at, fact, program: lines[1].program });
    let mail = story.fold(SERVER);
    correlation::save(&mut tx, vec![MailWrite::new(&mail, &story, Some(&mail), Packer::default())])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    take_batch(&db, &lines, &[], Novelty::Perhaps, &mut Sessions::default()).await;
    let found = all(&db).await;
    let holds = found[0].steps.iter().filter(|step| matches!(step.kind, StepKind::Held(_)));
    assert_eq!((found.len(), holds.count()), (1, 1));
}

/// smtpd tells of a rule before the mail has a queue id; the mail that the peer hands over next is the one.
#[tokio::test]
async fn what_a_rule_holds_or_throws_away_is_told_of_the_mail_that_comes() {
    let at = Millis::from_secs(1_795_000_000);
    for (verb, status) in [("hold", Status::Held), ("discard", Status::Discarded)] {
        let texts = [
            format!(
                "NOQUEUE: {verb}: RCPT from x.test[192.0.2.6]: <r@y.test>: Recipient address triggers it; \
                 from=<s@x.test> to=<r@y.test> proto=ESMTP helo=<h>"
            ),
            "A000000001: client=other.test[192.0.2.7]".to_owned(),
            "A000000002: client=x.test[192.0.2.6]".to_owned(),
            "A000000003: client=x.test[192.0.2.6]".to_owned(),
        ]
        .map(|text| ("postfix/smtpd", text));
        let lines = lines_at(at, &texts);
        let mut pictures = Vec::new();
        // In one batch and line by line; polled, and imported twice.
        for (novelty, size) in
            [(Novelty::New, 9), (Novelty::New, 1), (Novelty::Perhaps, 9), (Novelty::Perhaps, 1)]
        {
            let fresh = sqlite();
            let db = open(&fresh).await;
            let mut sessions = Sessions::default();
            let rounds = if novelty == Novelty::New { 1 } else { 2 };
            for _ in 0..rounds {
                for lines in lines.chunks(size) {
                    take_batch(&db, lines, &[], novelty, &mut sessions).await;
                    sessions = Sessions::from_json(&sessions.to_json());
                }
            }
            let found = mails::search(&db, &Scope::All, &Filter::default(), Place::Newest, 5).await.unwrap();
            let held: Vec<_> = found.mails.iter().filter(|mail| mail.status == status).collect();
            assert_eq!((found.mails.len(), held.len()), (3, 1), "{verb}");
            assert_eq!(held[0].queue_id.as_deref(), Some("A000000002"), "{verb}");
            assert_eq!(held[0].recipients[0].address, "r@y.test");
            pictures.push(Picture::of(&db).await.parts["mails"].clone());
        }
        assert!(pictures.windows(2).all(|pair| pair[0] == pair[1]), "{verb}");
    }
}

#[tokio::test]
async fn a_mail_that_is_put_into_the_queue_anew_knows_where_it_comes_from() {
    let fresh = sqlite();
    let db = open(&fresh).await;
    let texts = [
        ("postfix/smtpd", "4AAAAA0002: client=x.test[192.0.2.5]"),
        ("postfix/qmgr", "4AAAAA0002: from=<s@x.test>, size=9, nrcpt=1 (queue active)"),
        (
            "postfix/smtp",
            "4AAAAA0002: to=<r@y.test>, relay=none, delay=1, delays=0/0/1/0, dsn=4.4.1, status=deferred (timed out)",
        ),
        ("postfix/postsuper", "4AAAAA0002: requeued"),
        ("postfix/pickup", "4AAAAA0003: uid=101 from=<s@x.test> orig_id=4AAAAA0002"),
        (
            "postfix/smtp",
            "4AAAAA0003: to=<r@y.test>, relay=mx.y.test[192.0.2.9]:25, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 ok)",
        ),
    ]
    .map(|(program, text)| (program, text.to_owned()));
    let lines = lines_at(Millis::from_secs(1_795_000_000), &texts);
    take_batch(&db, &lines, &[], Novelty::New, &mut Sessions::default()).await;
    let found = mails::search(&db, &Scope::All, &Filter::default(), Place::Newest, 5).await.unwrap().mails;
    let mut found: Vec<_> =
        found.iter().map(|mail| (mail.queue_id.as_deref(), mail.parent.as_deref(), mail.status)).collect();
    found.sort_unstable();
    let (before, after) = (Some("4AAAAA0002"), Some("4AAAAA0003"));
    assert_eq!(found, [(before, None, Status::Sent), (after, before, Status::Sent)]);
}

#[tokio::test]
async fn an_import_counts_a_mail_once_in_whatever_order_its_lines_come() {
    let fresh = sqlite();
    let db = open(&fresh).await;
    let at = |second: i64| Millis::from_secs(1_795_000_000 + second);
    let mut importer = Importer::new(db.clone(), SERVER, at(100), Millis(0), Millis(0));
    for (second, program, text) in [
        (9, "postfix/qmgr", "A000000001: removed"),
        (5, "postfix/qmgr", "A000000001: from=<s@x.test>, size=9, nrcpt=1 (queue active)"),
        (1, "postfix/smtpd", "A000000001: client=x.test[192.0.2.5]"),
    ] {
        importer.push(&LogLine { at: at(second), program, text }).await.unwrap();
        importer.flush().await.unwrap();
    }
    let found = mails::search(&db, &Scope::All, &Filter::default(), Place::Newest, 5).await.unwrap().mails;
    assert_eq!((found.len(), importer.report().new_mails), (1, 1));
}

#[tokio::test]
async fn what_a_ring_lost_is_a_gap_and_never_silent() {
    for fresh in fresh_databases().await {
        let source =
            Source::start(Options { ring: 150, rspamd_ring: 20, mails: 30, ..Options::default() }).await;
        let db = open(&fresh).await;
        source.poller(&db).poll(source.now()).await.unwrap().unwrap();
        let gaps = async || ingestion::gaps(&db, Millis(0), Millis(i64::MAX)).await.unwrap();
        assert!(gaps().await.is_empty(), "the first look has no place to lose");
        let mut missing = 0;
        for round in 1..=3 {
            let before = source.mailcow.history();
            let taken = ledger(&db).await;
            source.mailcow.bustle(60);
            source.advance(130);
            let polled = source.poller(&db).poll(source.now()).await.unwrap().unwrap();
            assert_eq!(polled.faults, [""; 0]);
            let after = source.mailcow.history();
            let came = (after.lines.len() - before.lines.len(), after.rows.len() - before.rows.len());
            let now = ledger(&db).await;
            assert!(now.0 - taken.0 < came.0 as i64 && now.1 - taken.1 < came.1 as i64, "overrun");
            missing += 1;
            for name in ["postfix", "rspamd"] {
                let found: Vec<_> = gaps().await.into_iter().filter(|gap| gap.source == name).collect();
                assert_eq!(found.len(), missing, "{name}, round {round}");
                assert!(found.iter().all(|gap| gap.at_least >= 1 && gap.from_at <= gap.to_at), "{found:?}");
                let begin = before.lines.last().unwrap().time;
                assert!(
                    found[0].from_at.secs() >= begin - 120 && found[0].to_at <= source.now(),
                    "{found:?}"
                );
            }
            // A poll in time sees no gap, though the oldest rows that it took have left the ring.
            source.mailcow.bustle(1);
            source.advance(61);
            source.poller(&db).poll(source.now()).await.unwrap().unwrap();
            assert_eq!(gaps().await.len(), 2 * missing, "no gap without a loss");
        }
    }
}

#[tokio::test]
async fn a_log_that_takes_several_transactions_gives_the_same_database() {
    let source = Source::start(roomy(9, 1300)).await;
    let whole = at_once(&Log::of(&source.mailcow), Novelty::New).await;
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        let polled = source.poller(&db).poll(source.now()).await.unwrap().unwrap();
        assert!(polled.lines > 10_000, "so many go in one: {polled:?}");
        Picture::of(&db).await.must_equal(&whole, db.engine());
    }
}

#[tokio::test]
async fn whatever_mailcow_answers_nothing_is_lost_afterwards() {
    let faults = [
        Fault::Down,
        Fault::Gateway,
        Fault::Html,
        Fault::Empty,
        Fault::Object,
        Fault::Half,
        Fault::NullRows,
        Fault::Hang,
        Fault::Unauthorized,
        Fault::Forbidden,
    ];
    for fresh in fresh_databases().await {
        let source = Source::start(roomy(3, 40)).await;
        let db = open(&fresh).await;
        let poller = source.poller(&db);
        for (round, fault) in faults.into_iter().enumerate() {
            for part in ["postfix", "rspamd-history", ""] {
                source.mailcow.bustle(3);
                source.advance(20);
                source.mailcow.fail(part, fault);
                let polled = poller.poll(source.now()).await.unwrap().unwrap();
                let sources = ingestion::sources(&db).await.unwrap();
                for name in ["postfix", "rspamd"] {
                    let state = sources.iter().find(|state| state.source == name).unwrap();
                    let hit = part.is_empty() || part.starts_with(name);
                    let what = format!("{fault:?} at {part:?}, {name}: {:?}", state.error);
                    let refused = matches!(fault, Fault::Unauthorized | Fault::Forbidden);
                    // A refused key is not tried again, so both sources say so.
                    let wrong = match fault {
                        Fault::NullRows => false,
                        // An empty Postfix log is one; an empty history while mails pass is none.
                        Fault::Object => hit && name == "rspamd" && !part.is_empty(),
                        _ => hit,
                    };
                    if wrong {
                        assert!(state.error.is_some() && state.error_since.is_some(), "{what}");
                        assert!(polled.faults.iter().any(|text| text.starts_with(name)), "{what}");
                        assert_eq!(state.refused, refused, "{what}");
                    } else if !refused {
                        assert_eq!(state.error, None, "{what}");
                    }
                    assert_eq!(state.polled_at, Some(source.now()), "{what}");
                }
                source.mailcow.recover();
                source.advance(2 * 3600);
                let polled = poller.poll(source.now()).await.unwrap().unwrap();
                assert_eq!(polled.faults, [""; 0], "after {fault:?} at {part:?} (round {round})");
                let history = source.mailcow.history();
                let there = (history.lines.len() as i64, history.rows.len() as i64);
                assert_eq!(ledger(&db).await, there, "after {fault:?} at {part:?}");
            }
        }
        assert!(ingestion::gaps(&db, Millis(0), Millis(i64::MAX)).await.unwrap().is_empty());
        let other = sqlite();
        let once = open(&other).await;
        source.poller(&once).poll(source.now()).await.unwrap().unwrap();
        Picture::of(&db).await.must_equal(&Picture::of(&once).await, db.engine());
    }
}

#[tokio::test]
async fn a_refused_key_is_not_tried_again_and_again() {
    let source = Source::start(roomy(4, 5)).await;
    let fresh = sqlite();
    let db = open(&fresh).await;
    let poller = source.poller(&db);
    source.mailcow.fail("", Fault::Unauthorized);
    for round in 0..12 {
        let polled = poller.poll(source.now()).await.unwrap().unwrap();
        assert!(polled.refused);
        assert!(round > 0 || source.mailcow.calls().len() == 1, "with one log it is known for both");
        source.advance(20);
    }
    let calls = source.mailcow.calls().len();
    assert!((1..=2).contains(&calls), "{calls} calls: Mailcow bans who keeps trying");
    assert!(!source.mailcow.banned());
}

#[tokio::test]
async fn several_polls_at_once_take_each_row_once() {
    for fresh in fresh_databases().await {
        let source = Source::start(roomy(5, 40)).await;
        // Two programs share a database, each with connections of its own.
        let (first, second) = (open(&fresh).await, open(&fresh).await);
        let mut overtaken = 0;
        for _ in 0..8 {
            source.mailcow.bustle(6);
            source.advance(3);
            let pollers = [
                source.poller(&first),
                source.poller(&second),
                source.poller(&first),
                source.poller(&second),
            ];
            let now = source.now();
            let polls = pollers.iter().map(|poller| poller.poll(now));
            for polled in futures_util::future::join_all(polls).await {
                match polled {
                    Ok(polled) => overtaken += usize::from(polled.is_none()),
                    Err(mailcow_status::store::Error::Busy(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        source.poller(&first).poll(source.now()).await.unwrap().unwrap();
        assert!(overtaken > 0, "the polls did not meet");
        let history = source.mailcow.history();
        let there = (history.lines.len() as i64, history.rows.len() as i64);
        assert_eq!(ledger(&first).await, there, "{}", first.engine());
        let other = sqlite();
        let once = open(&other).await;
        source.poller(&once).poll(source.now()).await.unwrap().unwrap();
        Picture::of(&first).await.must_equal(&Picture::of(&once).await, first.engine());
    }
}

/// All mails, newest first.
async fn all(db: &Db) -> Vec<VisibleMail> {
    mails::search(db, &Scope::All, &Filter::default(), Place::Newest, 500).await.unwrap().mails
}

fn subject(mail: &VisibleMail) -> Option<&str> {
    mail.check.as_ref().and_then(|check| check.subject.as_deref())
}

#[tokio::test]
async fn a_verdict_belongs_to_the_mail_that_was_looked_at() {
    for seed in 0..8 {
        let source = Source::start(roomy(100 + seed, 0)).await;
        let fresh = sqlite();
        let db = open(&fresh).await;
        let mut rng = Rng::new(seed);
        let mut posted = Vec::new();
        let people =
            ["ann@alpha.test", "bob@alpha.test", "carla@beta.test", "info@alpha.test", "emil@beta.test"];
        for number in 0..24 {
            let to = rng.pick(&people);
            let text = format!("number {number}");
            let mut letter = match rng.below(3) {
                0 => Letter::outgoing("bob@alpha.test", &[to], &text),
                _ => Letter::incoming("list@news.example", &[to], &text),
            };
            // One id for all: a list, a resent mail, or somebody who wants to confuse.
            letter.message_id = Some("one@news.example".to_owned());
            letter.size = 1000 + rng.below(9000);
            if rng.chance(25) {
                letter.verdict = Verdict::Unseen;
            }
            if rng.chance(15) {
                letter.verdict = Verdict::Greylist;
            }
            let seen = !matches!(letter.verdict, Verdict::Unseen);
            posted.push((source.mailcow.push(&letter).queue_id, text, to, seen));
            source.advance([40, 700, 900][rng.below(3) as usize]);
            if rng.chance(40) {
                source.poller(&db).poll(source.now()).await.unwrap().unwrap();
            }
        }
        source.advance(4000);
        source.poller(&db).poll(source.now()).await.unwrap().unwrap();
        let mails = all(&db).await;
        for (queue_id, text, to, seen) in posted {
            let mail = mails.iter().find(|mail| mail.queue_id.as_deref() == Some(&queue_id)).unwrap();
            let found = subject(mail);
            if seen {
                assert_eq!(found, Some(&*text), "seed {seed}: {queue_id} to {to}");
            } else if let Some(found) = found {
                panic!("seed {seed}: {queue_id} to {to} ({text}) took the verdict of {found}");
            }
        }
    }
}

/// What the log says of a mail from outside that is put into a mailbox.
fn delivered(id: &str, message_id: &str, to: &str) -> [(&'static str, String); 3] {
    let sent = format!(
        "{id}: to=<{to}>, relay=dovecot[172.22.1.250]:24, delay=1, delays=0.5/0/0/0.5, dsn=2.0.0, status=sent \
         (250 2.0.0 <{to}> Saved)"
    );
    [
        ("postfix/smtpd", format!("{id}: client=mx.x.example[192.0.2.5]")),
        ("postfix/cleanup", format!("{id}: message-id=<{message_id}>")),
        ("postfix/lmtp", sent),
    ]
}

fn lines_at<'a>(at: Millis, texts: impl IntoIterator<Item = &'a (&'static str, String)>) -> Vec<LogLine<'a>> {
    texts.into_iter().map(|(program, text)| LogLine { at, program, text }).collect()
}

/// As older versions kept it: the verdict in a row of its own, though a mail has claimed it.
async fn as_of_old(db: &Db, scan: &Scan) {
    let text = "SELECT id, server, story FROM mail_story";
    let stored = dictionaries::mails_of(db, sql(text)).await.unwrap();
    let mut tx = db.begin().await.unwrap();
    let mut story = stored[0].story().unwrap();
    let (id, claimed) = story.verdicts.pop_first().unwrap();
    scans::insert(&mut tx, std::iter::once((id, scan, claimed.verdict))).await.unwrap();
    let mail = stored[0].mail().unwrap();
    correlation::save(&mut tx, vec![MailWrite::new(&mail, &story, Some(&mail), Packer::default())])
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_late_fact_parts_a_mail_from_a_verdict_that_is_not_its_own() {
    let at = Millis::from_secs(1_795_000_000);
    let check = Arc::new(Check { name: "R_SPF_ALLOW".to_owned(), description: Some("SPF".to_owned()) });
    let scan = Scan {
        at,
        message_id: Some("m@x.example".to_owned()),
        subject: Some("for ann only".to_owned()),
        ip: Some("192.0.2.5".to_owned()),
        sender: "list@x.example".to_owned(),
        rcpts: vec!["ann@alpha.test".to_owned()],
        action: "no action".to_owned(),
        hits: vec![Hit::new(check, -20, ["x.example:+", "192.0.2.5"].into_iter().collect())],
        ..Scan::default()
    };
    let symbol = Symbol {
        name: "R_SPF_ALLOW".to_owned(),
        score: -20,
        description: Some("SPF".to_owned()),
        options: vec!["x.example:+".to_owned(), "192.0.2.5".to_owned()],
    };
    let bobs = delivered("A0B1C2D3E4", "m@x.example", "bob@alpha.test");
    let anns = delivered("B0B1C2D3E4", "m@x.example", "ann@alpha.test");
    let visible = async |db: &Db, address: &str| {
        let scope = Scope::mailbox(address, Millis(0));
        let mails = mails::search(db, &scope, &Filter::default(), Place::Newest, 5).await.unwrap().mails;
        assert_eq!(mails.len(), 1, "{address}");
        let symbols = scans::symbols(db, &scope, &mails[0]).await.unwrap();
        (mails[0].check.as_ref().map(|check| check.subject.clone()), symbols)
    };
    let mut cases = Vec::new();
    for (old, at_once) in [(false, false), (false, true), (true, false), (true, true)] {
        cases.extend(fresh_databases().await.into_iter().map(|fresh| (fresh, old, at_once)));
    }
    for (fresh, old, at_once) in cases {
        let db = open(&fresh).await;
        let mut sessions = Sessions::default();
        take_batch(&db, &[], std::slice::from_ref(&scan), Novelty::New, &mut sessions).await;
        let rows = async || (count(&db, "scan").await, count(&db, "scan_pending").await);
        assert_eq!(rows().await, (1, 1), "it waits");
        take_batch(&db, &lines_at(at, &bobs[..2]), &[], Novelty::New, &mut sessions).await;
        assert_eq!(rows().await, (0, 0), "it lies with the only mail that it may belong to");
        if old {
            as_of_old(&db, &scan).await;
            assert_eq!(rows().await, (1, 0));
        }
        if at_once {
            let both = lines_at(at, bobs[2..].iter().chain(&anns));
            take_batch(&db, &both, &[], Novelty::New, &mut sessions).await;
        } else {
            take_batch(&db, &lines_at(at, &bobs[2..]), &[], Novelty::New, &mut sessions).await;
            assert_eq!(rows().await, (1, 1), "the verdict waits for its own mail");
            take_batch(&db, &lines_at(at, &anns), &[], Novelty::New, &mut sessions).await;
        }
        assert_eq!(visible(&db, "bob@alpha.test").await, (None, Vec::new()), "bob reads ann's subject");
        let subject = Some(Some("for ann only".to_owned()));
        assert_eq!(visible(&db, "ann@alpha.test").await, (subject, vec![symbol.clone()]));
        assert_eq!(rows().await, (0, 0));
        let mut tx = db.begin().await.unwrap();
        let known = correlate::known_scans(&mut tx, SERVER, std::slice::from_ref(&scan)).await.unwrap();
        assert_eq!(known, [true], "it is not taken again");
    }
}

/// Lines of two lives of one queue id, of which the later one is known first: its verdict finds it again, however the
/// lines of the older one come in.
#[tokio::test]
async fn a_verdict_finds_its_mail_again_after_facts_were_cut_otherwise() {
    let at = Millis::from_secs(1_795_000_000);
    let later = at.plus(Duration::from_secs(86_400));
    let scan = Scan {
        at: later,
        message_id: Some("b@x.example".to_owned()),
        subject: Some("of the second".to_owned()),
        sender: "list@x.example".to_owned(),
        rcpts: vec!["ann@alpha.test".to_owned()],
        ..Scan::default()
    };
    let second = delivered("A0B1C2D3E4", "b@x.example", "ann@alpha.test");
    let [client, message_id, _] = delivered("A0B1C2D3E4", "a@x.example", "ann@alpha.test");
    let first = [client, message_id, ("postfix/qmgr", "A0B1C2D3E4: removed".to_owned())];
    let (first, second) = (lines_at(at, &first), lines_at(later, &second));
    for split in 0..=first.len() {
        for fresh in fresh_databases().await {
            let db = open(&fresh).await;
            let mut sessions = Sessions::default();
            take_batch(&db, &second, std::slice::from_ref(&scan), Novelty::New, &mut sessions).await;
            for part in [&first[..split], &first[split..]] {
                take_batch(&db, part, &[], Novelty::Perhaps, &mut sessions).await;
            }
            let mails = all(&db).await;
            let subjects: Vec<_> =
                mails.iter().map(|mail| (mail.message_id.as_deref(), subject(mail))).collect();
            let wanted = [(Some("b@x.example"), Some("of the second")), (Some("a@x.example"), None)];
            assert_eq!(subjects, wanted, "split at {split}");
            assert_eq!((count(&db, "scan").await, count(&db, "scan_pending").await), (0, 0), "{split}");
        }
    }
}

/// Queue ids and message ids come back. What came long before is another mail, whether its keys are at hand or not; and the verdict
/// of a mail whose recipients are not known yet is its own, though another had this message id once.
#[tokio::test]
async fn what_comes_long_after_is_another_mail_whatever_was_worked_in() {
    let at = Millis::from_secs(1_795_000_000);
    let later = at.plus(Duration::from_secs(86_400 + 1));
    // The end of the first one was not logged, nor were the recipients of the second one.
    let [client, message_id, sent] = delivered("A0B1C2D3E4", "m@x.example", "ann@alpha.test");
    let first = [client.clone(), message_id.clone(), sent];
    let second = [client, message_id];
    // Of which the log tells the end before the begin: the file for a gap comes later.
    let end = [("postfix/qmgr", "A0B1C2D3E4: removed".to_owned())];
    let (first, second, end) = (lines_at(at, &first), lines_at(later, &second), lines_at(later, &end));
    let second = [second, end.clone()].concat();
    let other = delivered("B0B1C2D3E4", "n@x.example", "ann@alpha.test");
    let other = lines_at(later.plus(Duration::from_secs(60)), &other);
    let scan = |at, subject: &str| Scan {
        at,
        message_id: Some("m@x.example".to_owned()),
        subject: Some(subject.to_owned()),
        sender: "list@x.example".to_owned(),
        rcpts: vec!["ann@alpha.test".to_owned()],
        ..Scan::default()
    };
    let scans = [scan(at, "of the first"), scan(later, "of the second")];
    type Steps<'a> = Vec<(Vec<LogLine<'a>>, Vec<Scan>)>;
    let orders: [Steps<'_>; 5] = [
        vec![([&first[..], &second[..]].concat(), scans.to_vec())],
        vec![(first.clone(), scans[..1].to_vec()), (second.clone(), scans[1..].to_vec())],
        vec![(second.clone(), scans[1..].to_vec()), (first.clone(), scans[..1].to_vec())],
        vec![(first.clone(), vec![]), (second.clone(), vec![]), (vec![], scans.to_vec())],
        vec![(first.clone(), vec![]), (end, vec![]), (other, vec![]), (second.clone(), scans.to_vec())],
    ];
    for fresh in fresh_databases().await {
        for settles in [false, true] {
            for (index, steps) in orders.iter().enumerate() {
                let db = open(&fresh).await;
                for (lines, scans) in steps {
                    take_batch(&db, lines, scans, Novelty::Perhaps, &mut Sessions::default()).await;
                    let ids = all_ids(&db).await;
                    if settles {
                        gathered::settle_up_to(&db, ids[0]).await.unwrap();
                    }
                }
                let mails = all(&db).await;
                let own = mails.iter().filter(|mail| mail.queue_id.as_deref() == Some("A0B1C2D3E4"));
                let found: Vec<_> = own.map(|mail| (mail.first_seen, mail.removed, subject(mail))).collect();
                let wanted = [(later, Some(later), Some("of the second")), (at, None, Some("of the first"))];
                assert_eq!(found, wanted, "order {index}, settled {settles}, {}", db.engine());
                let mut tx = db.begin().await.unwrap();
                assert!(!mails::prune(&mut tx, later.plus(Duration::from_secs(61))).await.unwrap());
                // Empty again: no key lies anywhere.
                tx.execute(sql("UPDATE mail_key_mark SET settled = 0")).await.unwrap();
                tx.commit().await.unwrap();
                assert_eq!(all(&db).await.len(), 0);
            }
        }
    }
}

/// The copy in quarantine is of the mail that came in when it was made, not of one that had its queue id long before.
#[tokio::test]
async fn what_lies_in_quarantine_is_of_a_mail_of_its_time() {
    let at = Millis::from_secs(1_795_000_000);
    let later = at.plus(Duration::from_secs(86_400 + 60));
    let texts = [
        ("postfix/smtpd", "A0B1C2D3E4: client=mx.x.example[192.0.2.5]".to_owned()),
        (
            "postfix/cleanup",
            "A0B1C2D3E4: milter-reject: END-OF-MESSAGE from mx.x.example[192.0.2.5]: 5.7.1 Spam message rejected; \
             from=<s@x.example> to=<ann@alpha.test> proto=ESMTP helo=<x>"
                .to_owned(),
        ),
    ];
    let fresh = sqlite();
    let db = open(&fresh).await;
    let quarantined = [("A0B1C2D3E4".to_owned(), later)];
    for (lines, wanted) in [
        (lines_at(at, &texts), vec![Status::Rejected]),
        (lines_at(later, &texts), vec![Status::Quarantined, Status::Rejected]),
    ] {
        take_batch(&db, &lines, &[], Novelty::New, &mut Sessions::default()).await;
        let mut tx = db.begin().await.unwrap();
        let (scans, novelty) = (Arc::default(), Novelty::Perhaps);
        let batch = Batch { server: SERVER, lines: &[], scans, quarantined: &quarantined, novelty };
        take(&mut tx, &batch, &mut Sessions::default()).await.unwrap();
        tx.commit().await.unwrap();
        let found: Vec<_> = all(&db).await.iter().map(|mail| mail.status).collect();
        assert_eq!(found, wanted);
    }
}

/// Two verdicts that differ by the sender alone: the one that leaves its mail does not take the other's id.
#[tokio::test]
async fn a_verdict_that_leaves_its_mail_keeps_apart_from_a_like_one() {
    let at = Millis::from_secs(1_795_000_000);
    let scan = |sender: &str| Scan {
        at,
        message_id: Some("m@x.example".to_owned()),
        sender: sender.to_owned(),
        size: 900,
        subject: Some(sender.to_owned()),
        rcpts: vec!["ann@alpha.test".to_owned()],
        ..Scan::default()
    };
    let texts = |id: &str, from: &str| {
        let [client, message_id, sent] = delivered(id, "m@x.example", "ann@alpha.test");
        let queued = format!("{id}: from=<{from}>, size=900, nrcpt=1 (queue active)");
        let removed = ("postfix/qmgr", format!("{id}: removed"));
        [client, message_id, ("postfix/qmgr", queued), sent, removed]
    };
    let (one, other) = (texts("A0B1C2D3E4", "one@x.example"), texts("B0B1C2D3E4", "third@x.example"));
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        let mut sessions = Sessions::default();
        let begin = lines_at(at, one[..4].iter().chain([&other[0], &other[1], &other[3]]));
        let scans = [scan("one@x.example"), scan("two@x.example")];
        take_batch(&db, &begin, &scans, Novelty::New, &mut sessions).await;
        let checked = async || {
            let mails = all(&db).await;
            let mut found: Vec<_> = mails.iter().map(|mail| subject(mail).map(str::to_owned)).collect();
            found.sort();
            found
        };
        let both = [Some("one@x.example".to_owned()), Some("two@x.example".to_owned())];
        assert_eq!(checked().await, both);
        // Who sent the second mail is known at last, and it is nobody of the two.
        for late in [&other[2], &other[4], &one[4]] {
            take_batch(&db, &lines_at(at, [late]), &[], Novelty::New, &mut sessions).await;
            assert_eq!(checked().await, [None, Some("one@x.example".to_owned())]);
            assert_eq!((count(&db, "scan").await, count(&db, "scan_pending").await), (1, 1));
        }
    }
}

/// Rows of Rspamd's history that nothing tells apart are as many as came, whether they wait or were claimed.
#[tokio::test]
async fn equal_verdicts_are_counted_one_by_one() {
    let scan = Scan {
        at: Millis::from_secs(1_795_000_000),
        message_id: Some("m@x.example".to_owned()),
        sender: "list@x.example".to_owned(),
        rcpts: vec!["ann@alpha.test".to_owned()],
        ..Scan::default()
    };
    let nameless = Scan { message_id: None, ..scan.clone() };
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        for round in 1..=4 {
            let both = [scan.clone(), nameless.clone()];
            take_batch(&db, &[], &both, Novelty::New, &mut Sessions::default()).await;
            assert_eq!(count(&db, "scan").await, 2 * round);
            assert_eq!(count(&db, "scan_pending").await, round);
        }
        let texts = delivered("A0B1C2D3E4", "m@x.example", "ann@alpha.test");
        let lines = lines_at(scan.at, &texts);
        take_batch(&db, &lines, &[], Novelty::New, &mut Sessions::default()).await;
        assert_eq!((count(&db, "scan").await, count(&db, "scan_pending").await), (7, 3), "one was claimed");
        let again = [scan.clone()];
        take_batch(&db, &[], &again, Novelty::New, &mut Sessions::default()).await;
        assert_eq!((count(&db, "scan").await, count(&db, "scan_pending").await), (8, 4));
        let mut tx = db.begin().await.unwrap();
        let other = Scan { size: 5, ..scan.clone() };
        let known = correlate::known_scans(&mut tx, SERVER, &[scan.clone(), other]).await.unwrap();
        assert_eq!(known, [true, false]);
    }
}

#[tokio::test]
async fn a_queue_id_that_comes_back_is_another_mail() {
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        let mut sessions = Sessions::default();
        for (number, who) in ["ann", "bob", "carla"].into_iter().enumerate() {
            let at = Millis::from_secs(1_795_000_000 + 3600 * number as i64);
            let texts = [
                ("postfix/smtpd", format!("0A1B2C3D: client=mx.x.example[192.0.2.{number}]")),
                ("postfix/cleanup", format!("0A1B2C3D: message-id=<{number}@x.example>")),
                (
                    "postfix/qmgr",
                    format!("0A1B2C3D: from=<s{number}@x.example>, size=9{number}, nrcpt=1 (queue active)"),
                ),
                (
                    "postfix/lmtp",
                    format!(
                        "0A1B2C3D: to=<{who}@alpha.test>, relay=dovecot[172.22.1.250]:24, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 ok)"
                    ),
                ),
                ("postfix/qmgr", "0A1B2C3D: removed".to_owned()),
            ];
            for (program, text) in &texts {
                take_batch(&db, &[LogLine { at, program, text }], &[], Novelty::New, &mut sessions).await;
            }
        }
        let mails = all(&db).await;
        let told: Vec<_> = mails
            .iter()
            .map(|mail| {
                (mail.sender.clone().unwrap(), mail.recipients[0].address.clone(), mail.recipients.len())
            })
            .collect();
        let wanted = [("s2", "carla"), ("s1", "bob"), ("s0", "ann")]
            .map(|(from, to)| (format!("{from}@x.example"), format!("{to}@alpha.test"), 1));
        assert_eq!(told, wanted, "{}", db.engine());
        for (number, mail) in mails.iter().rev().enumerate() {
            let raw =
                lines::of_mail(&db, &Scope::All, mail, mailcow_status::parse::postfix::parse).await.unwrap();
            assert_eq!(raw.lines.len(), 5);
            assert!(raw.lines[2].text.contains(&format!("from=<s{number}@")), "{:?}", raw.lines);
        }
    }
}

#[tokio::test]
async fn a_mail_that_is_delivered_after_all_is_not_delayed_for_ever() {
    let source = Source::start(roomy(6, 0)).await;
    let fresh = sqlite();
    let db = open(&fresh).await;
    let trouble =
        Trouble { dsn: "4.2.0".into(), reach: Reach::Answered, text: "450 4.2.0 Greylisted".into() };
    let mut letter = Letter::outgoing("ann@alpha.test", &["x@kunde-gmbh.example"], "Hello");
    letter.targets[0].fate = Fate::Later(3, trouble);
    letter.entry = Entry::Submission("ann@alpha.test".to_owned());
    let queue_id = source.mailcow.push(&letter).queue_id;
    let mut seen = Vec::new();
    for _ in 0..40 {
        source.advance(120);
        source.poller(&db).poll(source.now()).await.unwrap().unwrap();
        let mails = all(&db).await;
        assert_eq!(mails.len(), 1);
        assert_eq!(mails[0].queue_id.as_deref(), Some(&*queue_id));
        seen.push(mails[0].status);
    }
    seen.dedup();
    assert_eq!(seen, [Status::Delayed, Status::Sent]);
    assert_eq!(all(&db).await[0].recipients[0].attempts, 4);
}

/// Every table that holds people's data, with the column that says when.
async fn count(db: &Db, table: &str) -> i64 {
    let rows: Vec<(i64,)> = db.fetch(sql(format!("SELECT COUNT(*) FROM {table}"))).await.unwrap();
    rows[0].0
}

#[tokio::test]
async fn pruning_leaves_nothing_behind_and_takes_nothing_too_early() {
    for fresh in fresh_databases().await {
        let source = Source::start(Options { days: 14, ..roomy(7, 400) }).await;
        let db = open(&fresh).await;
        source.poller(&db).poll(source.now()).await.unwrap().unwrap();
        let now = source.now();
        let mut tx = db.begin().await.unwrap();
        let gap = |days: u64| ingestion::Gap {
            id: 0,
            server: SERVER,
            source: "postfix".to_owned(),
            from_at: now.minus(Duration::from_secs((days + 1) * 86_400)),
            to_at: now.minus(Duration::from_secs(days * 86_400)),
            at_least: 1,
            cause: "overrun".to_owned(),
        };
        ingestion::add_gap(&mut tx, &gap(9)).await.unwrap();
        ingestion::add_gap(&mut tx, &gap(2)).await.unwrap();
        let old = now.minus(Duration::from_secs(400 * 86_400));
        for at in [old, now] {
            let entry = audit::Entry::new(at, "ann@alpha.test", audit::Action::SignIn, "192.0.2.1");
            audit::record(&mut tx, &entry).await.unwrap();
            let sign_in = sessions::SignIn { browser: "b".into(), wish: "/".into(), created_at: at };
            sessions::begin_sign_in(&mut tx, &format!("{}", at.0), &sign_in).await.unwrap();
        }
        tx.commit().await.unwrap();
        // Verdicts that no mail claims.
        let waiting = [8, 2].map(|days| Scan {
            at: now.minus(Duration::from_secs(days * 86_400)),
            message_id: Some(format!("{days}@nowhere.example")),
            ..Scan::default()
        });
        take_batch(&db, &[], &waiting, Novelty::New, &mut Sessions::default()).await;
        assert_eq!((count(&db, "scan").await, count(&db, "scan_pending").await), (2, 2));
        let before = now.minus(Duration::from_secs(5 * 86_400));
        let kept: Vec<MailId> =
            all_ids(&db).await.into_iter().filter(|id| *id >= MailId::floor(before)).collect();
        let ids = all_ids(&db).await;
        assert!(kept.len() > 50 && ids.len() > kept.len() + 50);
        gathered::settle_up_to(&db, ids[(ids.len() - kept.len()) / 2]).await.unwrap();
        let limits = SessionLimits { idle: Duration::from_secs(3600), absolute: Duration::from_secs(86_400) };
        loop {
            let mut tx = db.begin().await.unwrap();
            let more =
                mails::prune(&mut tx, before).await.unwrap() | lines::prune(&mut tx, before).await.unwrap();
            ingestion::prune(&mut tx, before).await.unwrap();
            audit::prune(&mut tx, before, now).await.unwrap();
            sessions::prune(&mut tx, &limits, now).await.unwrap();
            tx.commit().await.unwrap();
            if !more {
                break;
            }
        }
        assert_eq!(all_ids(&db).await, kept, "{}", db.engine());
        let strays = [
            "mail_key WHERE mail NOT IN (SELECT id FROM mail_story)",
            "mail_key_new WHERE mail NOT IN (SELECT id FROM mail_story)",
            "scan_pending WHERE scan NOT IN (SELECT id FROM scan)",
        ];
        for stray in strays {
            assert_eq!(count(&db, stray).await, 0, "{stray}");
        }
        let floor = MailId::floor(before).0;
        assert_eq!(count(&db, &format!("scan WHERE id < {floor}")).await, 0);
        assert_eq!(count(&db, "scan").await, 1, "what waits and is young enough");
        assert_eq!(count(&db, &format!("line_chunk WHERE last_at < {}", before.0)).await, 0);
        assert!(count(&db, "line_chunk").await > 0);
        assert_eq!(count(&db, "log_gap").await, 1);
        assert_eq!((count(&db, "audit").await, count(&db, "sign_in").await), (1, 1));
        assert!(count(&db, "log_ledger").await > 0);
        // What is left is whole: the mails read, and a poll goes on from its place.
        assert_eq!(Picture::of(&db).await.parts["mails"].len(), kept.len());
        let polled = source.poller(&db).poll(now).await.unwrap().unwrap();
        assert_eq!((polled.lines, polled.new_mails), (0, 0));
        // And in the end, nothing at all.
        let later = now.plus(Duration::from_secs(86_400));
        loop {
            let mut tx = db.begin().await.unwrap();
            let more =
                mails::prune(&mut tx, later).await.unwrap() | lines::prune(&mut tx, later).await.unwrap();
            ingestion::prune(&mut tx, later).await.unwrap();
            tx.commit().await.unwrap();
            if !more {
                break;
            }
        }
        for table in [
            "mail_story",
            "mail_key",
            "mail_key_new",
            "scan",
            "scan_pending",
            "line_chunk",
            "log_gap",
            "log_ledger",
            "unknown_line",
        ] {
            assert_eq!(count(&db, table).await, 0, "{table} on {}", db.engine());
        }
    }
}

async fn all_ids(db: &Db) -> Vec<MailId> {
    let rows: Vec<(MailId,)> = db.fetch(sql("SELECT id FROM mail_story ORDER BY id")).await.unwrap();
    rows.into_iter().map(|(id,)| id).collect()
}

/// Runs the program; what it prints.
pub fn program(fresh: &FreshDb, arguments: &[&str]) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_mailcow-status"))
        .args(arguments)
        .env_clear()
        .envs(settings(fresh, "http://127.0.0.1:1", "A-B"))
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The settings that every command needs.
pub fn settings(fresh: &FreshDb, mailcow: &str, key: &str) -> Vec<(&'static str, String)> {
    vec![
        ("DATABASE_URL", fresh.url.clone()),
        ("MAILCOW_DOMAIN", mailcow.to_owned()),
        ("MAILCOW_API_KEY", key.to_owned()),
        ("MAILCOW_CLIENT_ID", "0123456789ab".to_owned()),
        ("MAILCOW_CLIENT_SECRET", "0123456789abcdef01234567".to_owned()),
        ("PUBLIC_URL", "http://127.0.0.1:8080/".to_owned()),
        ("RETENTION", "3650".to_owned()),
        ("LOG_LEVEL", "warn".to_owned()),
    ]
}

#[tokio::test]
async fn old_files_come_in_once_in_any_form_and_beside_polled_lines() {
    let now = Millis(Millis::now().0 / 1000 * 1000);
    for fresh in fresh_databases().await {
        let source = Source::start(Options { now, ..roomy(8, 150) }).await;
        let log = Log::of(&source.mailcow);
        let dir = tempfile::tempdir().unwrap();
        let utc = jiff::tz::TimeZone::UTC;
        let text = |format: &str, part: &[(Millis, String, String)]| -> String {
            part.iter()
                .map(|(at, program, text)| {
                    let stamp = at.in_zone(&utc).strftime(format).to_string();
                    format!("{stamp} mail {program}[99]: {text}\n")
                })
                .collect()
        };
        let half = log.lines.len() / 2;
        let (old, iso, packed) =
            (dir.path().join("old.log"), dir.path().join("iso.log"), dir.path().join("all.log.gz"));
        std::fs::write(&old, text("%b %e %H:%M:%S", &log.lines[..half + 200])).unwrap();
        std::fs::write(&iso, text("%Y-%m-%dT%H:%M:%S.000000+00:00", &log.lines[half..])).unwrap();
        let mut gz = flate2::write::GzEncoder::new(
            std::fs::File::create(&packed).unwrap(),
            flate2::Compression::fast(),
        );
        gz.write_all(text("%Y-%m-%dT%H:%M:%S+00:00", &log.lines).as_bytes()).unwrap();
        gz.finish().unwrap();
        // Half of it was polled before.
        let db = open(&fresh).await;
        let mut sessions = Sessions::default();
        let first: Vec<_> = (0..half / 2).map(|index| log.line(index)).collect();
        take_batch(&db, &first, &[], Novelty::New, &mut sessions).await;
        let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
        program(&fresh, &["import-log", &path(&old), &path(&iso)]);
        let whole = at_once(&Log { lines: log.lines.clone(), scans: Vec::new() }, Novelty::New).await;
        let picture = Picture::of(&db).await.without_tls().without_lines();
        picture.must_equal(&whole.without_tls().without_lines(), db.engine());
        // Once more, from the packed file: nothing changes, not even the raw lines and the ledger.
        let before = (Picture::of(&db).await, ingestion::ledger(&db, Millis(0)).await.unwrap());
        let said = program(&fresh, &["import-log", &path(&packed)]);
        assert!(said.contains(" 0 new mails"), "{said}");
        Picture::of(&db).await.must_equal(&before.0, "a second import");
        assert_eq!(ingestion::ledger(&db, Millis(0)).await.unwrap(), before.1);
    }
}
