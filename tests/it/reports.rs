//! Reports from a mailbox to the database: a real Dovecot, other mail programs beside us, servers that misbehave, and
//! kill -9.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use mailcow_status::{
    ingest::fetch::{After, Fetched, Fetcher, Mailbox, Tally},
    model::{report::Proof, time::Clock},
    remote::imap::{Account, Limits, Security},
    store::{
        Db,
        db::sql,
        mailbox_cursor::{self, Work},
        unreadable,
    },
};

use super::{
    ingest::settings,
    support::{
        db::{FreshDb, fresh_databases, sqlite},
        imap::{Act, Dovecot, Scripted, sound},
        rig::open,
    },
};

/// A mail with a report of one record on `a.test`, from `google.com`.
fn report_mail(id: u32) -> String {
    let report = format!(
        "<?xml version=\"1.0\"?><feedback><report_metadata><org_name>google.com</org_name>\
         <email>noreply@google.com</email><report_id>{id}</report_id><date_range><begin>1700000000</begin>\
         <end>1700086399</end></date_range></report_metadata><policy_published><domain>a.test</domain><p>none</p>\
         </policy_published><record><row><source_ip>192.0.2.1</source_ip><count>{id}</count><policy_evaluated>\
         <disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row><identifiers>\
         <header_from>a.test</header_from></identifiers><auth_results><dkim><domain>a.test</domain>\
         <result>pass</result></dkim></auth_results></record></feedback>"
    );
    mail(id, "text/xml; name=\"google.com!a.test!1700000000!1700086399.xml\"", &report)
}

fn mail(id: u32, kind: &str, content: &str) -> String {
    format!(
        "Authentication-Results: mail.a.test;\r\n dmarc=pass (policy=none) header.from=google.com\r\n\
         From: noreply@google.com\r\nTo: dmarc@a.test\r\nSubject: Mail {id}\r\nMessage-ID: <{id}@google.com>\r\n\
         Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMIME-Version: 1.0\r\nContent-Type: {kind}\r\n\
         Content-Disposition: attachment\r\n\r\n{content}\r\n"
    )
}

fn letter(id: u32) -> String {
    format!("From: ann@a.test\r\nSubject: Mail {id}\r\nMessage-ID: <{id}@a.test>\r\n\r\nHow are you?\r\n")
}

fn broken(id: u32) -> String {
    mail(id, "text/xml; name=\"broken.xml\"", "<?xml version=\"1.0\"?><feedback><report_metadata><org_name>")
}

fn fetcher(db: &Db, account: &Account, folder: &str, after: After) -> Fetcher {
    let (account, authserv) = (account.clone(), vec!["mail.a.test".to_owned()]);
    let mailbox = Mailbox { account, folders: vec![folder.to_owned()], after, authserv };
    Fetcher {
        db: db.clone(),
        mailboxes: vec![mailbox],
        limits: Limits { mail: 200_000, ..Limits::default() },
        clock: Clock::system(),
    }
}

async fn run(fetcher: &Fetcher) -> Fetched {
    fetcher.run(&|_| ()).await.unwrap()
}

/// A run that must go well.
async fn tally(fetcher: &Fetcher) -> Tally {
    let fetched = run(fetcher).await;
    assert_eq!(fetched.faults, Vec::<String>::new());
    fetched.tally
}

async fn stored(db: &Db) -> (i64, i64) {
    let rows: Vec<(i64, i64)> = db
        .fetch(sql("SELECT COUNT(*), COALESCE(CAST(SUM(rcount) AS SIGNED), 0) FROM rptrecord"))
        .await
        .unwrap();
    rows[0]
}

/// The sum of the counts of reports 1 to n, which the counts of their records are.
fn sum(n: i64) -> i64 {
    n * (n + 1) / 2
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mail_is_read_once_whatever_another_program_does() {
    let Some(dovecot) = Dovecot::find() else { return };
    for fresh in fresh_databases().await {
        let (db, account) = (open(&fresh).await, dovecot.account());
        let mut other = dovecot.client(&account.user).await;
        other.append("INBOX", &(1..=25).map(report_mail).collect::<Vec<_>>()).await;
        let large = mail(
            28,
            "text/xml; name=\"large.xml\"",
            &format!("<?xml version=\"1.0\"?><feedback>{}", "x".repeat(300_000)),
        );
        other.append("INBOX", &[letter(26), broken(27), large]).await;
        let fetcher = fetcher(&db, &account, "INBOX", After::Keep);
        let expected = Tally { mails: 28, reports: 25, known: 0, refused: 2, others: 1 };
        assert_eq!(tally(&fetcher).await, expected, "{}", db.engine());
        assert_eq!(stored(&db).await, (25, sum(25)));
        let kept = unreadable::list(&db, None, 10).await.unwrap();
        assert!(kept.iter().any(|it| it.reason.contains("are the most that is taken")), "{kept:?}");
        assert!(kept.iter().all(|it| it.arrival.proof == Proof::Proven), "{kept:?}");

        other.say("SELECT INBOX").await;
        let flags = other.say("FETCH 1:* (FLAGS)").await.join("\n");
        assert!(!flags.contains("\\Seen"), "reading must leave no trace: {flags}");
        other.say("STORE 1:20 +FLAGS (\\Seen \\Flagged)").await;
        assert_eq!(tally(&fetcher).await, Tally::default());
        other.append("INBOX", &[report_mail(26)]).await;
        other.say("STORE 29 +FLAGS (\\Seen)").await;
        other.say("STORE 1:10 +FLAGS (\\Deleted)").await;
        other.say("EXPUNGE").await;
        assert_eq!(tally(&fetcher).await, Tally { mails: 1, reports: 1, ..Tally::default() });
        assert_eq!(tally(&fetcher).await, Tally::default());

        let state = &mailbox_cursor::accounts(&db).await.unwrap()[0];
        assert_eq!((state.mails, state.reports, state.refused, state.others), (29, 26, 2, 1));
        assert_eq!((state.account.as_str(), state.error.clone()), (account.name().as_str(), None));
        assert!(state.succeeded_at.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mails_go_only_after_their_reports_are_stored_and_others_never() {
    let Some(dovecot) = Dovecot::find() else { return };
    let target = || After::Move("Gelöscht & gelesen".to_owned());
    // On 127.0.0.2 the server cannot MOVE.
    let slow = |account: Account| Account {
        host: "127.0.0.2".to_owned(),
        port: dovecot.plain,
        security: Security::Plain,
        ..account
    };
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        for (account, after, moved) in [
            (dovecot.account(), target(), true),
            (slow(dovecot.account()), target(), true),
            (dovecot.account(), After::Delete, false),
        ] {
            let mut other = dovecot.client(&account.user).await;
            other
                .append("INBOX", &[report_mail(1), letter(2), report_mail(3), broken(4), report_mail(5)])
                .await;
            let fetcher = fetcher(&db, &account, "INBOX", after);
            tally(&fetcher).await;
            assert_eq!(other.count("INBOX").await, 2, "the letter and what could not be read stay");
            let target = "\"Gel&APY-scht &- gelesen\"";
            assert_eq!(other.count(target).await, if moved { 3 } else { 0 });
            assert_eq!(tally(&fetcher).await, Tally::default());
        }
        assert_eq!(stored(&db).await, (3, 9), "the same reports from three mailboxes count once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_was_made_anew_is_read_anew_and_nothing_is_double() {
    let Some(dovecot) = Dovecot::find() else { return };
    for fresh in fresh_databases().await {
        let (db, account) = (open(&fresh).await, dovecot.account());
        let mut other = dovecot.client(&account.user).await;
        other.say("CREATE Reports").await;
        other.append("Reports", &[report_mail(1), report_mail(2), broken(3)]).await;
        let fetcher = fetcher(&db, &account, "Reports", After::Keep);
        tally(&fetcher).await;
        other.say("DELETE Reports").await;
        tokio::time::sleep(Duration::from_millis(1100)).await;
        other.say("CREATE Reports").await;
        other.append("Reports", &[report_mail(4), report_mail(1), report_mail(2), broken(3)]).await;
        let expected = Tally { mails: 4, reports: 1, known: 2, refused: 1, others: 0 };
        assert_eq!(tally(&fetcher).await, expected, "{}", db.engine());
        assert_eq!(stored(&db).await, (3, 7));
        assert_eq!(unreadable::list(&db, None, 10).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_server_with_a_good_certificate_and_the_right_password_is_believed() {
    let Some(dovecot) = Dovecot::find() else { return };
    let fresh = sqlite();
    let db = open(&fresh).await;
    let good = dovecot.account();
    dovecot.client(&good.user).await.append("INBOX", &[report_mail(1)]).await;
    for (account, told) in [
        (Account { roots_pem: None, ..good.clone() }, "certificate"),
        (Account { host: "127.0.0.2".to_owned(), ..good.clone() }, "certificate"),
        (
            Account { security: Security::StartTls, port: dovecot.plain, roots_pem: None, ..good.clone() },
            "certificate",
        ),
        (Account { password: "wrong".into(), ..good.clone() }, "login was refused"),
        (Account { port: 1, ..good.clone() }, "cannot be reached"),
    ] {
        let fetched = run(&fetcher(&db, &account, "INBOX", After::Keep)).await;
        assert_eq!(fetched.tally, Tally::default());
        assert!(fetched.faults[0].contains(told), "{:?}", fetched.faults);
        let state = mailbox_cursor::find(&db, &account.name(), "INBOX").await.unwrap();
        assert!(state.error.unwrap().contains(told) && state.succeeded_at.is_none());
    }
    let started = Account { security: Security::StartTls, port: dovecot.plain, ..good };
    assert_eq!(tally(&fetcher(&db, &started, "INBOX", After::Keep)).await.reports, 1);
    assert_eq!(mailbox_cursor::find(&db, &started.name(), "INBOX").await.unwrap().error, None);
    let missing = run(&fetcher(&db, &started, "Nowhere", After::Keep)).await;
    assert!(missing.faults[0].contains("folder Nowhere"), "{:?}", missing.faults);
}

fn program(fresh: &FreshDb, dovecot: &Dovecot, account: &Account, after: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mailcow-status"))
        .arg("fetch-reports")
        .env_clear()
        .envs(settings(fresh, "http://127.0.0.1:9", "AAAAAA-BBBBBB-CCCCCC-DDDDDD-EEEEEE"))
        .envs([("IMAP_HOST", &account.host), ("IMAP_USER", &account.user), ("IMAP_PASS", &dovecot.password)])
        .envs([("IMAP_CA_FILE", dovecot.ca_file.as_str()), ("IMAP_AFTER", after)])
        .env("IMAP_PORT", account.port.to_string())
        .env("IMAP_TLS", if account.security == Security::Plain { "plain" } else { "tls" })
        .current_dir(std::env::temp_dir())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn fetch_to_the_end(fresh: &FreshDb, dovecot: &Dovecot, account: &Account, after: &str) {
    let start = Instant::now();
    loop {
        let child = program(fresh, dovecot, account, after);
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        if output.stdout != b"busy\n" {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(15), "a killed run blocks the next");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_between_fetching_storing_and_moving_loses_and_doubles_nothing() {
    const REPORTS: u32 = 150;
    let Some(dovecot) = Dovecot::find() else { return };
    for fresh in fresh_databases().await {
        let slow = Account {
            host: "127.0.0.2".to_owned(),
            port: dovecot.plain,
            security: Security::Plain,
            ..dovecot.account()
        };
        for (account, after) in
            [(dovecot.account(), "move:Done"), (slow, "move:Done"), (dovecot.account(), "delete")]
        {
            let db = open(&fresh).await;
            let mut other = dovecot.client(&account.user).await;
            other.append("INBOX", &(1..=REPORTS).map(report_mail).collect::<Vec<_>>()).await;
            other.append("INBOX", &[letter(1000)]).await;
            for kill in 1..=6_u64 {
                let mut child = program(&fresh, &dovecot, &account, after);
                tokio::time::sleep(Duration::from_millis(60 * kill)).await;
                child.kill().unwrap();
                child.wait().unwrap();
                // As if the lease of the killed run had run out.
                let mut tx = db.begin().await.unwrap();
                tx.execute(sql("UPDATE lease SET expires_at = 0 WHERE name = 'reports'")).await.unwrap();
                tx.commit().await.unwrap();
            }
            fetch_to_the_end(&fresh, &dovecot, &account, after).await;
            assert_eq!(stored(&db).await, (i64::from(REPORTS), sum(i64::from(REPORTS))), "{}", db.engine());
            assert_eq!(other.count("INBOX").await, 1, "{after} on {}", account.host);
            let moved = if after == "delete" { 0 } else { REPORTS as usize };
            assert_eq!(other.count("Done").await, moved, "{after} on {}", account.host);
            let state = mailbox_cursor::find(&db, &account.name(), "INBOX").await.unwrap();
            for work in [Work::Clear, Work::Copied, Work::Again] {
                assert!(mailbox_cursor::tasks(&db, &state, work).await.unwrap().is_empty());
            }
        }
    }
}

/// Runs the program over a database to its end; what it printed, and whether it says that all is well.
async fn said(fresh: &FreshDb, arguments: &[&str], more: &[(&str, &str)]) -> (String, bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailcow-status"));
    let key = "AAAAAA-BBBBBB-CCCCCC-DDDDDD-EEEEEE";
    command.args(arguments).env_clear().envs(settings(fresh, "http://127.0.0.1:9", key));
    command.envs(more.iter().copied()).current_dir(std::env::temp_dir());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.success())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_are_imported_by_hand_once_and_pruned_when_their_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    for id in 1..=5 {
        std::fs::write(path(&format!("{id}.eml")), report_mail(id)).unwrap();
    }
    let mbox: String =
        (4..=8).map(|id| format!("From x\n{}\n", report_mail(id).replace("\r\n", "\n"))).collect();
    std::fs::write(path("old.mbox"), mbox).unwrap();
    for fresh in fresh_databases().await {
        let import = ["import-reports", dir.path().to_str().unwrap()];
        let told = said(&fresh, &import, &[]).await;
        assert_eq!(told, ("10 inputs: 8 new reports, 2 known, 0 refused\n".to_owned(), true));
        let told = said(&fresh, &import, &[]).await;
        assert_eq!(told, ("10 inputs: 0 new reports, 10 known, 0 refused\n".to_owned(), true));
        let db = open(&fresh).await;
        assert_eq!(stored(&db).await, (8, sum(8)));
        std::fs::write(path("broken.eml"), broken(9)).unwrap();
        let told = said(&fresh, &["import-reports", &path("broken.eml")], &[]).await;
        assert_eq!(told, ("1 inputs: 0 new reports, 0 known, 1 refused\n".to_owned(), false));
        let kept = unreadable::list(&db, None, 10).await.unwrap();
        assert_eq!(kept[0].arrival.evidence.as_deref(), Some("by hand"));
        std::fs::remove_file(path("broken.eml")).unwrap();

        // The reports are of the year 2023.
        assert_eq!(
            said(&fresh, &["prune"], &[("RETENTION_REPORTS", "36500")]).await,
            ("ok\n".to_owned(), true)
        );
        assert_eq!(stored(&db).await, (8, sum(8)));
        assert_eq!(
            said(&fresh, &["prune"], &[("RETENTION_REPORTS", "400")]).await,
            ("ok\n".to_owned(), true)
        );
        assert_eq!(stored(&db).await, (0, 0), "{}", db.engine());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_run_left_between_copy_and_removal_is_not_copied_again() {
    let Some(dovecot) = Dovecot::find() else { return };
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        let account = Account {
            host: "127.0.0.2".to_owned(),
            port: dovecot.plain,
            security: Security::Plain,
            ..dovecot.account()
        };
        let mut other = dovecot.client(&account.user).await;
        other.append("INBOX", &[report_mail(1), report_mail(21)]).await;
        tally(&fetcher(&db, &account, "INBOX", After::Keep)).await;
        // The second was copied and not removed, the first, whose Message-ID is a part of the other, not even copied.
        other.say("CREATE Done").await;
        other.append("Done", &[report_mail(21)]).await;
        let state = mailbox_cursor::find(&db, &account.name(), "INBOX").await.unwrap();
        let tasks = [(1, 1), (2, 21)]
            .map(|(uid, id)| mailbox_cursor::Task::new(uid, Some(format!("{id}@google.com"))));
        let mut tx = db.begin().await.unwrap();
        mailbox_cursor::note(&mut tx, &state, Work::Copied, &tasks).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(
            tally(&fetcher(&db, &account, "INBOX", After::Move("Done".to_owned()))).await,
            Tally::default()
        );
        assert_eq!((other.count("INBOX").await, other.count("Done").await), (0, 2));
    }
}

/// Limits that let a test end soon.
fn strict(mut fetcher: Fetcher) -> Fetcher {
    let step = Duration::from_millis(600);
    fetcher.limits =
        Limits { connect: step, step, total: Duration::from_secs(4), mail: 200_000, bytes: 4 << 20 };
    fetcher
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_misbehaves_costs_little_and_is_shown() {
    type Script = fn(&str) -> Act;
    let usual = |line: &str| Act::Say(sound(line, &[(1, report_mail(1))]));
    let scripts: Vec<(&str, Script, Security)> = vec![
        ("no answer in time", |_| Act::Stall, Security::Plain),
        ("no mailbox server (SSH-2.0-x)", |_| Act::Say(b"SSH-2.0-x\r\n".to_vec()), Security::Plain),
        ("an answer of more than 65536 bytes", |_| Act::Repeat(vec![b'x'; 4096]), Security::Plain),
        ("BYE too busy", |_| Act::Leave(b"* BYE too busy\r\n".to_vec()), Security::Plain),
        ("the secure connection failed", |_| Act::Repeat(b"* OK ready\r\n".to_vec()), Security::Tls),
        (
            "does not encrypt: BAD what?",
            |line| {
                Act::Say(if line.is_empty() {
                    b"* OK ready\r\n".to_vec()
                } else {
                    b"S1 BAD what?\r\n".to_vec()
                })
            },
            Security::StartTls,
        ),
        (
            "said more before the encryption began",
            |line| {
                Act::Say(if line.is_empty() {
                    b"* OK ready\r\n".to_vec()
                } else {
                    b"S1 OK go\r\nA1 OK in\r\n".to_vec()
                })
            },
            Security::StartTls,
        ),
        (
            "does not let the encryption begin",
            |_| Act::Say(b"* PREAUTH hello\r\n".to_vec()),
            Security::StartTls,
        ),
        (
            "login was refused: NO [AUTHENTICATIONFAILED] not … again",
            |line| match line {
                "hush hush" => Act::Say(b"A1 NO [AUTHENTICATIONFAILED] not hush hush again\r\n".to_vec()),
                _ => Act::Say(sound(line, &[])),
            },
            Security::Plain,
        ),
        (
            "no UIDVALIDITY",
            |line| Act::Say(if line.contains("EXAMINE") { b"A2 OK\r\n".to_vec() } else { sound(line, &[]) }),
            Security::Plain,
        ),
        (
            "more data than one run takes",
            |line| match line.contains("RFC822.SIZE") {
                true => Act::Repeat(b"* 1 FETCH (UID 1 RFC822.SIZE 9)\r\n".repeat(100)),
                false => Act::Say(sound(line, &[])),
            },
            Security::Plain,
        ),
        (
            "an answer of more than",
            |line| match line.contains("BODY.PEEK") {
                true => Act::Say(b"* 1 FETCH (UID 1 BODY[]<0> {4000000000}\r\n".to_vec()),
                false => Act::Say(sound(line, &[(1, "x".to_owned())])),
            },
            Security::Plain,
        ),
    ];
    let fresh = sqlite();
    let db = open(&fresh).await;
    for (told, script, security) in scripts {
        let server = Scripted::start(security, script).await;
        let begun = Instant::now();
        let fetched = run(&strict(fetcher(&db, &server.account, "INBOX", After::Keep))).await;
        assert!(begun.elapsed() < Duration::from_secs(6), "{told}: {:?}", begun.elapsed());
        assert!(fetched.faults[0].contains(told), "{told}: {:?}", fetched.faults);
        assert!(!fetched.faults[0].contains("hush"), "{:?}", fetched.faults);
        let state = mailbox_cursor::find(&db, &server.account.name(), "INBOX").await.unwrap();
        assert!(state.error.is_some_and(|error| error.contains(told)), "{told}");
        if security != Security::Plain {
            assert!(
                !server.heard.lock().unwrap().contains("hush"),
                "{told}: the password was sent in the clear"
            );
        }
    }
    let server = Scripted::start(Security::Plain, usual).await;
    assert_eq!(tally(&strict(fetcher(&db, &server.account, "INBOX", After::Keep))).await.reports, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_on_which_the_line_drops_comes_with_the_next_run() {
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        let mut dropped = false;
        let server = Scripted::start(Security::Plain, move |line| {
            let mails: Vec<(u32, String)> = (1..=3).map(|id| (id, report_mail(id))).collect();
            let whole = sound(line, &mails);
            if line.contains("BODY.PEEK") && !std::mem::replace(&mut dropped, true) {
                return Act::Leave(whole[..whole.len() / 2].to_vec());
            }
            Act::Say(whole)
        })
        .await;
        let fetcher = strict(fetcher(&db, &server.account, "INBOX", After::Keep));
        let first = run(&fetcher).await;
        assert_eq!(first.tally.reports, 1);
        assert!(first.faults[0].contains("the connection broke"), "{:?}", first.faults);
        assert_eq!(tally(&fetcher).await.reports, 2);
        assert_eq!(stored(&db).await, (3, 6));
        assert_eq!(tally(&fetcher).await, Tally::default());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_never_comes_does_not_hold_up_the_others_and_is_shown_in_the_end() {
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        let server = Scripted::start(Security::Plain, |line| {
            let mails: Vec<(u32, String)> = (1..=4).map(|id| (id, report_mail(id))).collect();
            let evil =
                line.contains("BODY.PEEK") && line.split([' ', ',']).any(|part| matches!(part, "1:4" | "2"));
            match evil {
                true => {
                    let mut words = sound(line, &mails[..1]);
                    words.truncate(words.len() - "A4 OK done\r\n".len());
                    words.extend_from_slice(b"* 2 FETCH (UID 2 BODY[]<0> {4000000000}\r\n");
                    Act::Say(words)
                }
                // The third is listed and never handed over.
                false if line.contains("BODY.PEEK") => {
                    Act::Say(sound(line, &[mails[0].clone(), mails[3].clone()]))
                }
                false => Act::Say(sound(line, &mails)),
            }
        })
        .await;
        let fetcher = strict(fetcher(&db, &server.account, "INBOX", After::Keep));
        for _ in 0..12 {
            run(&fetcher).await;
        }
        assert_eq!(stored(&db).await, (2, 5), "the first and the fourth are there");
        let kept = unreadable::list(&db, None, 10).await.unwrap();
        let reasons: Vec<&str> = kept.iter().map(|it| it.reason.as_str()).collect();
        assert_eq!(kept.len(), 2, "{reasons:?}");
        assert!(reasons.iter().any(|reason| reason.contains("an answer of more than")), "{reasons:?}");
        assert!(reasons.iter().any(|reason| reason.contains("does not hand it over")), "{reasons:?}");
        assert_eq!(tally(&fetcher).await, Tally::default(), "given up, it is left alone");
    }
}

async fn change(db: &Db, text: &'static str) {
    let mut tx = db.begin().await.unwrap();
    tx.execute(sql(text)).await.unwrap();
    tx.commit().await.unwrap();
}

/// A report that the database refuses keeps no other out, and a database that refuses all loses none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_mail_that_cannot_be_stored_stops_no_other() {
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        let server = Scripted::start(Security::Plain, |line| {
            let subject =
                |id: u32, mail: String| mail.replace(&format!("Mail {id}"), &"long ".repeat(30_000));
            let mut mails: Vec<(u32, String)> = (1..=5).map(|id| (id, report_mail(id))).collect();
            mails.push((6, subject(6, report_mail(6))));
            Act::Say(sound(line, &mails))
        })
        .await;
        let second =
            Scripted::start(Security::Plain, |line| Act::Say(sound(line, &[(1, report_mail(7))]))).await;
        let mut fetcher = fetcher(&db, &server.account, "INBOX", After::Keep);
        let mut other = fetcher.mailboxes[0].clone();
        other.account = second.account.clone();
        other.account.user = "other@a.test".to_owned();
        fetcher.mailboxes.push(other);
        let account = fetcher.mailboxes[0].account.name();

        change(&db, "ALTER TABLE rptrecord RENAME TO away").await;
        let fetched = run(&fetcher).await;
        assert_eq!((fetched.tally, fetched.faults.len()), (Tally::default(), 2), "{:?}", fetched.faults);
        for account in [&account, &fetcher.mailboxes[1].account.name()] {
            let state = mailbox_cursor::find(&db, account, "INBOX").await.unwrap();
            assert!(state.error.is_some_and(|error| error.contains("rptrecord")), "{account}");
            assert_eq!(state.last_uid, 0, "{account}");
        }
        assert_eq!(unreadable::list(&db, None, 9).await.unwrap().len(), 0);
        change(&db, "ALTER TABLE away RENAME TO rptrecord").await;

        let refuse = match db.engine() {
            "SQLite" => {
                "CREATE TRIGGER refuse BEFORE INSERT ON report WHEN NEW.reportid = '3' \
                 BEGIN SELECT RAISE(ABORT, 'no three'); END"
            }
            _ => "ALTER TABLE report ADD CONSTRAINT refuse CHECK (reportid <> '3')",
        };
        change(&db, refuse).await;
        let expected = Tally { mails: 7, reports: 6, refused: 1, ..Tally::default() };
        assert_eq!(tally(&fetcher).await, expected, "{}", db.engine());
        assert_eq!(stored(&db).await, (6, 28 - 3));
        let kept = unreadable::list(&db, None, 9).await.unwrap();
        assert!(kept[0].reason.starts_with("it cannot be stored: ") && kept[0].kept, "{kept:?}");
        assert_eq!(tally(&fetcher).await, Tally::default());
    }
}

/// What comes in does not wait for what cannot go out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_goes_on_where_mails_cannot_be_moved() {
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        let server = Scripted::start(Security::Plain, |line| {
            let mails: Vec<(u32, String)> = (1..=130).map(|id| (id, report_mail(id))).collect();
            let tag = line.split(' ').next().unwrap_or_default();
            if line.contains("CAPABILITY") {
                return Act::Say(format!("* CAPABILITY IMAP4rev1 MOVE\r\n{tag} OK done\r\n").into_bytes());
            }
            match line.contains("UID MOVE") {
                true => Act::Say(format!("{tag} NO [OVERQUOTA] full\r\n").into_bytes()),
                false => Act::Say(sound(line, &mails)),
            }
        })
        .await;
        let fetcher = fetcher(&db, &server.account, "INBOX", After::Move("Done".to_owned()));
        let first = run(&fetcher).await;
        assert_eq!(first.tally.reports, 130, "{}", db.engine());
        assert!(first.faults[0].contains("could not be moved") && first.faults[0].contains("OVERQUOTA"));
        let state = mailbox_cursor::find(&db, &server.account.name(), "INBOX").await.unwrap();
        assert!(
            state.succeeded_at.is_some() && state.error.as_deref().is_some_and(|it| it.contains("OVERQUOTA"))
        );
        assert_eq!(mailbox_cursor::tasks(&db, &state, Work::Clear).await.unwrap().len(), 130);
        let again = run(&fetcher).await;
        assert_eq!((again.tally, again.faults.len()), (Tally::default(), 1));
        let later = mailbox_cursor::find(&db, &server.account.name(), "INBOX").await.unwrap();
        assert_eq!(later.error_since, state.error_since, "it is the same fault all the while");
    }
}
