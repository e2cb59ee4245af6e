use std::io::{Read, Write};

use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::store::{Db, db::Place};

fn id(number: usize) -> String {
    format!("4AAAAA{number:04}")
}

/// The lines of a mail that was delivered.
fn mail(number: usize) -> String {
    let id = id(number);
    format!(
        "Nov 10 10:00:00 mail postfix/smtpd[1]: {id}: client=x.test[192.0.2.5]\n\
         Nov 10 10:00:00 mail postfix/cleanup[1]: {id}: message-id=<{number}@x.test>\n\
         Nov 10 10:00:00 mail postfix/qmgr[1]: {id}: from=<s@x.test>, size=500, nrcpt=1 (queue active)\n\
         Nov 10 10:00:01 mail postfix/smtp[1]: {id}: to=<r@y.test>, relay=y.test[192.0.2.9]:25, delay=1, \
         delays=0/0/1/0, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as ABC)\n\
         Nov 10 10:00:01 mail postfix/qmgr[1]: {id}: removed\n"
    )
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).expect("written");
        path
    }
}

fn args(files: &[&PathBuf]) -> ImportLogArgs {
    let files = files.iter().map(|path| (*path).clone()).collect();
    ImportLogArgs { files, dry_run: true, json: true, zone: "UTC".into(), year: None }
}

/// What a dry run prints, and whether all was read.
fn told(args: &ImportLogArgs) -> (Vec<Value>, bool) {
    let mut out = Vec::new();
    let whole = dry_run(args, &mut out).is_ok();
    let out = String::from_utf8(out).expect("text");
    (out.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect(), whole)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("in memory");
    encoder.finish().expect("in memory")
}

/// The same, of a file that was changed last at a moment.
fn gzip_of(text: &str, changed: u32) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new().mtime(changed).write(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("in memory");
    encoder.finish().expect("in memory")
}

fn date(path: &std::path::Path, changed: u64) {
    let handle = std::fs::File::options().append(true).open(path).expect("opened");
    let changed = std::time::UNIX_EPOCH + std::time::Duration::from_secs(changed);
    handle.set_modified(changed).expect("dated");
}

/// A packed log that ends in the middle, and how many mails can be read from it.
fn broken() -> (Vec<u8>, usize) {
    let packed = gzip(&(0..9000).map(mail).collect::<String>());
    let half = packed[..packed.len() / 2].to_vec();
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&half[..]).read_to_end(&mut text).expect_err("it is cut");
    (half, String::from_utf8_lossy(&text).matches(": client=").count())
}

#[test]
fn a_broken_archive_costs_only_what_cannot_be_read() {
    let (files, (half, readable)) = (Files::new(), broken());
    let (cut, good) = (files.write("cut.gz", half), files.write("good.log", mail(9999)));
    let missing = files.0.path().join("missing.log");
    let (mails, whole) = told(&args(&[&cut, &missing, &good]));
    assert!(!whole && readable > 1000);
    assert!(mails.len() >= readable - 1, "{} of {readable}", mails.len());
    assert!(mails.iter().any(|mail| mail["queue_id"] == id(9999)), "the next file is read");
}

#[tokio::test]
async fn a_broken_archive_is_stored_as_far_as_it_can_be_read() {
    let (files, (half, readable)) = (Files::new(), broken());
    let (cut, good) = (files.write("cut.gz", half), files.write("good.log", mail(9999)));
    let db = Db::open(&Place::Sqlite(files.0.path().join("x.sqlite"))).await.unwrap();
    let importer = Importer::new(db, SERVER, Millis::now(), Millis(0), Millis(0));
    let (report, faults) = import(&args(&[&cut, &good]), importer).await.unwrap();
    assert!(report.new_mails > i64::try_from(readable).unwrap() - 1, "{report:?}");
    assert!(faults.into_result().is_err());
}

#[test]
fn half_of_a_last_line_is_left_for_the_next_time() {
    let files = Files::new();
    let whole = mail(1);
    let ended = whole.trim_end();
    for end in
        ["message-id=", "message-id=<1@x", "relay=y.test", "status=se", "status=sent (250 2.0.0 Ok: queued"]
    {
        let cut = ended.find(end).expect("it is there") + end.len();
        let (mails, read) = told(&args(&[&files.write("live.log", &ended[..cut])]));
        assert!(read, "{end}: a file that is being written is no fault");
        let [mail] = &mails[..] else { panic!("{end}: {mails:?}") };
        let expected = if end.starts_with("message-id") { Value::Null } else { "1@x.test".into() };
        assert_eq!(mail["message_id"], expected, "{end}");
        assert_ne!(mail["status"], "sent", "{end}");
    }
    let delivered = ended.rfind("\nNov").expect("five lines");
    for text in [ended, &ended[..delivered]] {
        let (mails, _) = told(&args(&[&files.write("whole.log", text)]));
        assert_eq!((&mails[0]["message_id"], &mails[0]["status"]), (&"1@x.test".into(), &"sent".into()));
    }
}

/// Syslog daemons cut long lines, and write a line break behind them.
#[test]
fn a_long_line_that_lost_its_end_counts_where_it_is_not_the_last() {
    let files = Files::new();
    let lost = mail(1).replace("queued as ABC)", "queued as A");
    let (mails, _) = told(&args(&[&files.write("long.log", lost)]));
    assert_eq!(mails[0]["status"], "sent");
}

#[test]
fn the_year_is_that_of_the_files_last_change_or_the_one_given() {
    let files = Files::new();
    let first_seen = |args: &ImportLogArgs| told(args).0[0]["first_seen"].as_str().map(str::to_owned);
    let old = files.write("old.log", mail(1));
    date(&old, 1_699_956_000); // 2023-11-14
    assert_eq!(first_seen(&args(&[&old])).as_deref(), Some("2023-11-10T10:00:00Z"));
    let packed = files.write("old.log.gz", gzip_of(&mail(1), 1_668_420_000));
    assert_eq!(first_seen(&args(&[&packed])).as_deref(), Some("2022-11-10T10:00:00Z"));
    let given = ImportLogArgs { year: Some(2019), ..args(&[&packed]) };
    assert_eq!(first_seen(&given).as_deref(), Some("2019-11-10T10:00:00Z"));
}

#[test]
fn packed_files_one_behind_the_other_keep_their_own_years() {
    let files = Files::new();
    let begin = gzip_of(&mail(1).replace("Nov 10", "Nov  1"), 1_793_577_600); // 2026-11-02
    let end = |changed| gzip_of(&mail(2).replace("Nov 10", "Nov 15"), changed);
    for second in [end(1_794_787_200), end(0)] {
        let path = files.write("both.log.gz", [begin.clone(), second].concat());
        date(&path, 1_794_787_200); // 2026-11-16
        let mut seen: Vec<_> =
            told(&args(&[&path])).0.iter().map(|mail| mail["first_seen"].clone()).collect();
        seen.sort_by_key(Value::to_string);
        assert_eq!(seen, ["2026-11-01T10:00:00Z", "2026-11-15T10:00:00Z"]);
    }
}

#[test]
fn a_file_whose_lines_are_later_than_its_last_change_is_doubtful() {
    let files = Files::new();
    let path = files.write("late.log", mail(1));
    let doubtful = |changed, year| {
        date(&path, changed);
        let mut file = Faults::default().open(&path).expect("opened");
        let mut reader = Reader::new(&file, &TimeZone::UTC, year);
        while let Some(line) = file.next_line() {
            reader.read(&text(line.bytes), line.ended);
        }
        reader.doubtful_year()
    };
    assert_eq!(doubtful(1_794_787_200, None), None);
    assert_eq!(doubtful(1_793_577_600, None), Some(2025));
    assert_eq!(doubtful(1_793_577_600, Some(2026)), None);
}

/// A queue id that postsuper(1) gave up does not stay in memory to the end.
#[test]
fn a_requeued_mail_ends_its_queue_id() {
    let (mut reading, mut mails) = (Reading::default(), Vec::new());
    let mut take = |text: &str| {
        let line = LogLine { at: Millis(5000), program: "postfix/postsuper", text };
        reading.lines += 1;
        reading
            .take(&line, &mut |value| {
                mails.push(value);
                Ok(())
            })
            .expect("taken");
    };
    take("4AAAAA0001: client=x.test[192.0.2.5]");
    take("4AAAAA0001: requeued");
    (0..=LATE).for_each(|_| take("Placed on hold: 1 message"));
    assert!(reading.open.is_empty());
    assert_eq!(mails.len(), 1);
}

#[test]
fn an_attempt_that_is_held_or_thrown_away_is_not_called_refused() {
    let (mut reading, mut told) = (Reading::default(), Vec::new());
    for verb in ["reject", "hold", "discard"] {
        let text = format!(
            "NOQUEUE: {verb}: RCPT from x.test[192.0.2.5]: <x.test>: Client host triggers; from=<s@x.test> to=<r@y.test> \
             proto=ESMTP helo=<x.test>"
        );
        let line = LogLine { at: Millis(5000), program: "postfix/smtpd", text: &text };
        reading
            .take(&line, &mut |value| {
                told.push(value);
                Ok(())
            })
            .expect("taken");
    }
    assert_eq!((reading.refused, reading.kept_back), (1, 2));
    assert!(reading.summary().contains("1 refused attempts, 2 attempts held or discarded"));
    for (value, key) in told.iter().zip(["rejected", "held", "discarded"]) {
        let keys = ["rejected", "held", "discarded"].iter().filter(|key| value.get(key).is_some());
        assert_eq!(keys.collect::<Vec<_>>(), [&key]);
    }
}

#[test]
fn a_mail_whose_clocks_go_back_stays_one() {
    let files = Files::new();
    let log = "\
Oct 25 02:59:50 mail postfix/smtpd[1]: 4DDDDD0001: client=unknown[192.0.2.5]
Oct 25 02:59:51 mail postfix/qmgr[1]: 4DDDDD0001: from=<s@x.test>, size=500, nrcpt=1 (queue active)
Oct 25 02:59:52 mail postfix/smtp[1]: 4DDDDD0001: to=<r@y.test>, relay=none, delay=2, delays=0/0/2/0, dsn=4.4.1, status=deferred (connect to y.test[192.0.2.9]:25: Connection timed out)
Oct 25 02:05:01 mail postfix/smtp[1]: 4DDDDD0001: to=<r@y.test>, relay=y.test[192.0.2.9]:25, delay=311, delays=310/0/1/0, dsn=2.0.0, status=sent (250 ok)
Oct 25 02:05:01 mail postfix/qmgr[1]: 4DDDDD0001: removed
";
    let args = ImportLogArgs {
        zone: "Europe/Berlin".into(),
        year: Some(2026),
        ..args(&[&files.write("dst.log", log)])
    };
    let (mails, _) = told(&args);
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert_eq!((&mails[0]["status"], &mails[0]["recipients"][0]["attempts"]), (&"sent".into(), &2.into()));
}

#[test]
fn what_docker_keeps_is_read_and_what_is_no_log_is_told() {
    let files = Files::new();
    let each =
        |form: &dyn Fn(&str) -> String| mail(1).lines().map(|line| form(line) + "\n").collect::<String>();
    for text in [
        each(&|line| format!("postfix-mailcow-1  | {line}")),
        each(&|line| {
            json!({ "log": format!("{line}\n"), "stream": "stdout", "time": "2026-11-10T10:00:00.1Z" })
                .to_string()
        }),
    ] {
        let (mails, whole) = told(&args(&[&files.write("docker.log", text)]));
        assert!(whole);
        assert_eq!((mails.len(), &mails[0]["status"]), (1, &"sent".into()));
    }
    assert!(!told(&args(&[&files.write("no.log", "this is\nno log\n")])).1);
    assert!(told(&args(&[&files.write("empty.log", "\n")])).1, "an empty log is one");
}

#[test]
fn a_refused_recipient_does_not_end_a_mail() {
    let files = Files::new();
    let lines = mail(1);
    let (begin, end) = lines.split_at(lines.find("Nov 10 10:00:01").expect("it was sent"));
    let refused = "Nov 10 10:00:00 mail postfix/smtpd[1]: 4AAAAA0001: reject: RCPT from x.test[192.0.2.5]: 550 5.1.1 \
                   <no@y.test>: Recipient address rejected: User unknown in virtual mailbox table; from=<s@x.test> \
                   to=<no@y.test> proto=ESMTP helo=<x.test>\n";
    let others = "Nov 10 10:00:00 mail postfix/anvil[1]: statistics: max cache size 1\n".repeat(20_100);
    let (mails, _) = told(&args(&[&files.write("long.log", format!("{begin}{refused}{others}{end}"))]));
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0]["recipients"].as_array().map(Vec::len), Some(2));
}
