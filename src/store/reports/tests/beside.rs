//! Other programs beside ours, other bodies of a report, and what the two tables keep.

use sqlx::{Connection, Executor, Row};

use super::*;
use crate::{
    model::{
        advice::{Judge, Standing},
        figures::{Day, DomainFigures, ReportFilter, ReportState, SourceFilter, Span, Sums, Verdict},
        report::Reason,
    },
    store::{db::Place, fresh::mysql_url},
};

/// The tables as an old dmarcts-report-parser made them, with a report in them.
const OLD: [&str; 4] = [
    "CREATE TABLE report (serial int(10) unsigned NOT NULL AUTO_INCREMENT, mindate timestamp NOT NULL DEFAULT \
     CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, maxdate timestamp NULL, domain varchar(255) NOT NULL, org \
     varchar(255) NOT NULL, reportid varchar(255) NOT NULL, PRIMARY KEY (serial), UNIQUE KEY domain \
     (domain, org, reportid)) ROW_FORMAT=COMPRESSED",
    "CREATE TABLE rptrecord (serial int(10) unsigned NOT NULL, ip int(10) unsigned NOT NULL, rcount int(10) unsigned \
     NOT NULL, disposition enum('none','quarantine','reject'), reason varchar(255), dkimdomain varchar(255), \
     dkimresult enum('none','pass','fail','neutral','policy','temperror','permerror'), spfdomain varchar(255), \
     spfresult enum('none','neutral','pass','fail','softfail','temperror','permerror'), KEY serial (serial, ip))",
    "INSERT INTO report (mindate, maxdate, domain, org, reportid) VALUES \
     (FROM_UNIXTIME(1700000000), FROM_UNIXTIME(1700086399), 'Alpha.test', 'Old', '1')",
    "INSERT INTO rptrecord (serial, ip, rcount, disposition) VALUES (1, 3221225985, 7, 'reject')",
];

/// What their parser runs for one report of 2023-11-15, at UTC.
const THEIRS: [&str; 3] = [
    "INSERT INTO report (mindate, maxdate, domain, org, reportid, email, extra_contact_info, policy_adkim, policy_aspf, \
     policy_p, policy_sp, policy_pct, raw_xml) VALUES (FROM_UNIXTIME(1700006400), FROM_UNIXTIME(1700092799), \
     'alpha.test', 'Theirs', '2', 'a@theirs.test', '', 'r', 'r', 'quarantine', 'none', 100, '<feedback/>')",
    "INSERT INTO rptrecord (serial, ip, rcount, disposition, spf_align, dkim_align, reason, dkimdomain, dkimresult, \
     spfdomain, spfresult, identifier_hfrom) VALUES (LAST_INSERT_ID(), INET_ATON('192.0.2.1'), 5, 'none', 'pass', \
     'fail', 'forwarded/other', 'alpha.test/esp.test', 'fail', 'alpha.test', 'pass', 'alpha.test')",
    "INSERT INTO rptrecord (serial, ip6, rcount, disposition, spf_align, dkim_align, dkimdomain, dkimresult, spfdomain, \
     spfresult, identifier_hfrom) VALUES (LAST_INSERT_ID(), INET6_ATON('2001:db8::1'), 3, 'quarantine', 'fail', 'fail', \
     NULL, NULL, 'spam.test', 'softfail', 'alpha.test')",
];

async fn run(url: &str, statements: &[&'static str]) -> sqlx::MySqlConnection {
    let mut connection = sqlx::MySqlConnection::connect(url).await.unwrap();
    for statement in statements {
        connection.execute(*statement).await.unwrap();
    }
    connection
}

fn ever() -> Span {
    Span { from: Millis(0), to: Millis(40_000 * DAY), horizon: Millis(i64::MAX), domain: None }
}

fn span(from: i64, to: i64) -> Span {
    Span { from: Millis(BEGIN + from * DAY), to: Millis(BEGIN + to * DAY), ..ever() }
}

#[tokio::test]
async fn a_database_of_dmarcts_report_parser_is_used_in_place() {
    let Some(url) = mysql_url().await else { return };
    run(&url, &OLD).await;
    let db = Db::open(&Place::mysql_url(&url).unwrap()).await.unwrap();
    assert_eq!(settle(&db).await.unwrap(), 1);
    let lines = list(&db, &Scope::All, &ReportFilter::default(), None, 9).await.unwrap();
    let line = &lines[0];
    assert_eq!(
        (line.domain.as_str(), line.org.as_str(), line.begin),
        ("alpha.test", "Old", Millis(1_700_000_000_000))
    );
    assert_eq!((line.sums.messages, line.sums.rejected, line.state), (7, 7, ReportState::Other));
    assert_eq!(line.end, Millis(1_700_086_399_000));

    // The same report id with another span is another report now, and the old one has not moved.
    let again = "INSERT INTO report (mindate, maxdate, domain, org, reportid) VALUES \
        (FROM_UNIXTIME(1700086400), FROM_UNIXTIME(1700172799), 'Alpha.test', 'Old', '1')";
    let mut connection = run(&url, &[again]).await;
    let begin =
        connection.fetch_one("SELECT UNIX_TIMESTAMP(mindate) FROM report WHERE serial = 1").await.unwrap();
    assert_eq!(begin.get::<i64, _>(0), 1_700_000_000);

    // Opened again, nothing is done twice.
    let db = Db::open(&Place::mysql_url(&url).unwrap()).await.unwrap();
    assert_eq!(settle(&db).await.unwrap(), 1);
    assert_eq!(settle(&db).await.unwrap(), 0);
}

#[tokio::test]
async fn their_parser_writes_beside_ours() {
    let Some(url) = mysql_url().await else { return };
    let db = Db::open(&Place::mysql_url(&url).unwrap()).await.unwrap();
    put(
        &db,
        &arrival(Proof::Proven),
        &report("alpha.test", "Ours", "1", 0, vec![record("192.0.2.1", 2, "pass", "fail", "none")]),
        "1",
    )
    .await;
    // Their program may be cut off between a report and its records.
    let mut connection = run(&url, &THEIRS[..1]).await;
    assert_eq!(settle(&db).await.unwrap(), 1);
    assert_eq!(list(&db, &Scope::All, &ReportFilter::default(), None, 9).await.unwrap()[1].sums.messages, 0);
    for statement in &THEIRS[1..] {
        connection.execute(*statement).await.unwrap();
    }
    assert_eq!(settle(&db).await.unwrap(), 1);
    assert_eq!(settle(&db).await.unwrap(), 0);
    let line = list(&db, &Scope::All, &ReportFilter::default(), None, 9).await.unwrap().remove(1);
    assert_eq!((line.sums.messages, line.sums.spf, line.sums.dkim, line.sums.aligned), (8, 5, 0, 5));
    let stored = find(&db, &Scope::All, line.serial).await.unwrap().unwrap();
    assert_eq!((stored.arrival, stored.has_xml), (None, true));
    assert_eq!(stored.report.records[0].source, "192.0.2.1".parse().ok());
    assert_eq!(stored.report.records[1].source, "2001:db8::1".parse().ok());
    assert_eq!(stored.report.records[0].reasons.len(), 2);
    assert_eq!(xml(&db, &Scope::All, line.serial).await.unwrap().unwrap(), b"<feedback/>");
    let filter = SourceFilter { span: ever(), ..SourceFilter::default() };
    assert_eq!(sources(&db, &Scope::All, &filter, 9).await.unwrap().len(), 2);
    let detail = source(&db, &Scope::All, "192.0.2.1".parse().unwrap(), &ever()).await.unwrap().unwrap();
    let signers: Vec<&str> = detail.signers.iter().map(|share| share.name.as_str()).collect();
    assert_eq!(signers, ["alpha.test/esp.test (fail)", "alpha.test (pass)"]);

    // The same report comes to us by mail: known, and now with all that it says. Another body is a variant.
    let mut whole = stored.report.clone();
    whole.records[0].envelope_to = Some("theirs.test".to_owned());
    let known = put(&db, &arrival(Proof::Proven), &whole, "theirs").await;
    assert_eq!(known, Stored::Known(line.serial));
    let stored = find(&db, &Scope::All, line.serial).await.unwrap().unwrap();
    assert_eq!((&stored.report, stored.line.proof), (&whole, Proof::Proven));
    whole.records.pop();
    assert_eq!(put(&db, &arrival(Proof::Unchecked), &whole, "other").await, Stored::Variant(line.serial));
    forget(&db, Whose::Ours).await;
    assert_eq!((count(&db, "report").await, count(&db, "rptrecord").await), (1, 2), "theirs stay");
}

async fn forget(db: &Db, whose: Whose) {
    let mut tx = db.begin().await.unwrap();
    while prune(&mut tx, Millis(i64::MAX), Millis(i64::MAX), whose).await.unwrap() {}
    tx.commit().await.unwrap();
}

/// Of what another program wrote, no row goes unless an admin set for how long it stays: also not when the same report came to
/// us later.
#[tokio::test]
async fn only_our_reports_pass_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let one = |id: &str| {
            report("alpha.test", "Big", id, 0, vec![record("192.0.2.1", 2, "pass", "pass", "none")])
        };
        for id in ["ours", "theirs", "both"] {
            put(&db, &arrival(Proof::Proven), &one(id), id).await;
        }
        // Theirs have no body.
        let mut tx = db.begin().await.unwrap();
        let text =
            "DELETE FROM report_body WHERE serial IN (SELECT serial FROM report WHERE reportid <> 'ours')";
        tx.execute(sql(text)).await.unwrap();
        tx.commit().await.unwrap();
        assert!(matches!(put(&db, &arrival(Proof::Proven), &one("both"), "both").await, Stored::Known(_)));
        forget(&db, Whose::Ours).await;
        let left: Vec<(String,)> =
            db.fetch(sql("SELECT reportid FROM report ORDER BY serial")).await.unwrap();
        let left: Vec<&str> = left.iter().map(|(id,)| id.as_str()).collect();
        assert_eq!(left, ["theirs", "both"], "{}", db.engine());
        assert_eq!((count(&db, "rptrecord").await, count(&db, "report_line").await), (2, 2));
        forget(&db, Whose::Anybodys).await;
        refresh(&db).await.unwrap();
        for table in TABLES {
            assert_eq!(count(&db, table).await, 0, "{} {table}", db.engine());
        }
    }
}

#[tokio::test]
async fn their_viewers_read_ours() {
    let Some(url) = mysql_url().await else { return };
    let db = Db::open(&Place::mysql_url(&url).unwrap()).await.unwrap();
    let mut ours = record("2001:db8::7", 5_000_000_000, "pass", "fail", "pass");
    ours.reasons = ["forwarded", "local_policy"]
        .map(|kind| Reason { kind: kind.to_owned(), comment: Some("why".to_owned()) })
        .to_vec();
    ours.spf_results[0].result = "hardfail".to_owned();
    ours.dkim_results.insert(
        0,
        DkimResult { domain: "esp.test".to_owned(), result: "fail".to_owned(), ..DkimResult::default() },
    );
    let one = report("alpha.test", "Ours", "1", 0, vec![ours]);
    let xml = "<feedback>ö</feedback>".repeat(50);
    put(&db, &arrival(Proof::Proven), &one, &xml).await;
    let mut connection = run(&url, &[]).await;
    // A session of theirs in another time zone reads the same moment.
    connection.execute("SET time_zone = '+02:00'").await.unwrap();
    let text = "SELECT UNIX_TIMESTAMP(mindate) = ?, INET6_NTOA(ip6), rcount = 4294967295, CAST(reason AS CHAR), \
        CAST(dkimdomain AS CHAR), CAST(dkimresult AS CHAR), CAST(spfresult AS CHAR), CAST(disposition AS CHAR), \
        CAST(spf_align AS CHAR), CAST(dkim_align AS CHAR), UNCOMPRESS(NULL) IS NULL \
        FROM report JOIN rptrecord USING (serial)";
    type Row = (i64, String, i64, String, String, String, String, String, String, String, i64);
    let row: Row = sqlx::query_as(text).bind(one.begin.secs()).fetch_one(&mut connection).await.unwrap();
    let words = "forwarded/local_policy esp.test/alpha.test pass unknown none fail pass";
    let found = [&row.3, &row.4, &row.5, &row.6, &row.7, &row.8, &row.9].map(String::as_str).join(" ");
    assert_eq!((row.0, row.1.as_str(), row.2, found.as_str()), (1, "2001:db8::7", 1, words));
    // Proving it later must not move `mindate`, nor must another body that takes its place.
    put(&db, &arrival(Proof::Unchecked), &report("alpha.test", "Ours", "2", 0, Vec::new()), "forged").await;
    put(&db, &arrival(Proof::Proven), &report("alpha.test", "Ours", "2", 0, Vec::new()), "true").await;
    let moved: (i64,) = sqlx::query_as("SELECT COUNT(*) FROM report WHERE UNIX_TIMESTAMP(mindate) <> ?")
        .bind(one.begin.secs())
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(moved, (0,));
}

#[tokio::test]
async fn all_that_a_report_says_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let mut one = report(
            "alpha.test",
            &"ö".repeat(300),
            &"i".repeat(400),
            0,
            vec![record("x", 3, "pass", "odd", "odd")],
        );
        one.errors = vec!["error".to_owned()];
        one.policy.np = Some("reject".to_owned());
        one.begin = Millis(-5000);
        one.end = Millis(99_999_999_999_000);
        let Stored::New(serial) = put(&db, &arrival(Proof::Unchecked), &one, "<a/>").await else {
            panic!("new")
        };
        // A long id that begins alike is another report.
        let mut other = one.clone();
        other.report_id.push('x');
        assert!(matches!(put(&db, &arrival(Proof::Unchecked), &other, "<b/>").await, Stored::New(_)));
        let stored = find(&db, &Scope::All, serial).await.unwrap().unwrap();
        assert_eq!(
            (&stored.report, stored.arrival),
            (&one, Some(arrival(Proof::Unchecked))),
            "{}",
            db.engine()
        );
        assert_eq!(xml(&db, &Scope::All, serial).await.unwrap().unwrap(), b"<a/>");
        for scope in [
            admin_of(&["beta.test"]),
            admin_of(&["test"]),
            admin_of(&[]),
            Scope::mailbox("a@alpha.test", Millis(0)),
        ] {
            assert_eq!(find(&db, &scope, serial).await.unwrap(), None);
            assert_eq!(xml(&db, &scope, serial).await.unwrap(), None);
            assert!(domain_names(&db, &scope).await.unwrap().is_empty());
            assert!(months(&db, &scope).await.unwrap().is_empty());
        }
        assert!(find(&db, &admin_of(&["alpha.test"]), serial).await.unwrap().is_some());
        assert_eq!(months(&db, &Scope::All).await.unwrap(), [(1969, 12)]);
    }
}

#[tokio::test]
async fn a_forged_report_does_not_keep_the_true_one_out() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let forged =
            report("alpha.test", "Big", "1", 0, vec![record("192.0.2.1", 9000, "fail", "fail", "none")]);
        let real = report("alpha.test", "Big", "1", 0, vec![record("192.0.2.2", 9, "pass", "pass", "none")]);
        let Stored::New(serial) = put(&db, &arrival(Proof::Failed), &forged, "forged").await else {
            panic!("new")
        };
        let span = ever();
        assert!(days(&db, &Scope::All, &span).await.unwrap().is_empty());
        assert_eq!(domains(&db, &Scope::All, &span).await.unwrap()[0].set_aside, 1);
        assert_eq!(put(&db, &arrival(Proof::Proven), &real, "real").await, Stored::Variant(serial));
        assert_eq!(days(&db, &Scope::All, &span).await.unwrap()[0].sums.messages, 9);
        for (proof, body) in [(Proof::Proven, "real"), (Proof::Failed, "forged"), (Proof::Unchecked, "real")]
        {
            let body_of = if body == "real" { &real } else { &forged };
            assert_eq!(put(&db, &arrival(proof), body_of, body).await, Stored::Known(serial));
        }
        let stored = find(&db, &Scope::All, serial).await.unwrap().unwrap();
        assert_eq!((&stored.report, stored.line.variants, stored.others.len()), (&real, 1, 1));
        assert_eq!(stored.others[0].1.proof, Proof::Failed);
        let number = stored.others[0].0;
        assert_eq!(variant_xml(&db, &Scope::All, serial, number).await.unwrap().unwrap(), b"forged");
        assert_eq!(variant_xml(&db, &admin_of(&["beta.test"]), serial, number).await.unwrap(), None);
        assert_eq!(xml(&db, &Scope::All, serial).await.unwrap().unwrap(), b"real");
        // An admin takes it out of the figures, and lets it in again.
        for (proof, messages) in [(Proof::Failed, 0), (Proof::Proven, 9)] {
            let mut tx = db.begin().await.unwrap();
            prove(&mut tx, serial, proof, Some("an admin said so")).await.unwrap();
            tx.commit().await.unwrap();
            let days = days(&db, &Scope::All, &span).await.unwrap();
            assert_eq!(days.first().map_or(0, |day| day.sums.messages), messages);
        }
    }
}

#[tokio::test]
async fn a_policy_that_changed_is_told() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        for (day, p) in [(0, "reject"), (1, "none"), (3, "none"), (5, "quarantine"), (8, "quarantine")] {
            let mut one = report("alpha.test", "Big", &day.to_string(), day, Vec::new());
            one.policy.p = Some(p.to_owned());
            // Some receivers leave out what is the rule anyway; that is no other policy.
            one.policy.pct = (day == 5).then_some(100);
            one.policy.sp = (day == 8).then(|| p.to_owned());
            put(&db, &arrival(Proof::Proven), &one, p).await;
        }
        let figures = domains(&db, &Scope::All, &ever()).await.unwrap().remove(0);
        assert_eq!(figures.policy.p, "quarantine");
        let (before, since) = figures.policy_before.unwrap();
        assert_eq!((before.p.as_str(), since), ("none", Millis(BEGIN + 5 * DAY)));
    }
}

#[tokio::test]
async fn a_report_from_the_future_tells_nothing_and_goes_as_it_came() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let span = Span { horizon: Millis(BEGIN + 12 * DAY), ..span(0, 10) };
        let seen = |day, id: &str, p: &str| {
            let records = vec![record("192.0.2.1", 9, "fail", "fail", "none")];
            let mut one = report("alpha.test", "Big", id, day, records);
            one.policy.p = Some(p.to_owned());
            one
        };
        for (day, p) in [(8, "none"), (11, "quarantine"), (300, "reject")] {
            put(&db, &arrival(Proof::Proven), &seen(day, p, p), p).await;
            refresh(&db).await.unwrap();
        }
        let figures = domains(&db, &Scope::All, &span).await.unwrap().remove(0);
        assert_eq!((figures.policy.p.as_str(), figures.reports), ("quarantine", 1), "clocks differ a little");
        let filter = SourceFilter { span: span.clone(), ..SourceFilter::default() };
        let last = Millis(BEGIN + 11 * DAY);
        assert_eq!(sources(&db, &Scope::All, &filter, 9).await.unwrap()[0].last, last);
        let detail = source(&db, &Scope::All, "192.0.2.1".parse().unwrap(), &span).await.unwrap();
        assert_eq!(detail.unwrap().source.last, last);
        // All came on the ninth day, so that all are old some day; the one from the future as well.
        let now = Millis(BEGIN + 100 * DAY);
        for (before, left) in [(8, 3), (9, 2), (10, 1)] {
            let mut tx = db.begin().await.unwrap();
            while prune(&mut tx, Millis(BEGIN + before * DAY), now, Whose::Anybodys).await.unwrap() {}
            tx.commit().await.unwrap();
            assert_eq!(count(&db, "report").await, left, "{before}");
        }
        let figures = domains(&db, &Scope::All, &ever()).await.unwrap().remove(0);
        assert_eq!(figures.policy.p, "quarantine");
    }
}

#[tokio::test]
async fn the_newest_word_on_test_mode_counts() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        for (day, word, testing) in [
            (0, None, false),
            (1, Some("y"), true),
            (2, None, true),
            (3, Some("odd"), true),
            (4, Some("n"), false),
            (5, Some("y"), true),
            (19, None, true),
            (20, None, false),
        ] {
            let mut one = report("alpha.test", "Big", &day.to_string(), day, Vec::new());
            (one.policy.p, one.policy.testing) = (Some("reject".to_owned()), word.map(str::to_owned));
            put(&db, &arrival(Proof::Proven), &one, "x").await;
            for _ in 0..2 {
                let policy = domains(&db, &Scope::All, &ever()).await.unwrap().remove(0).policy;
                assert_eq!((policy.p.as_str(), policy.testing), ("reject", testing), "{word:?}");
                refresh(&db).await.unwrap();
            }
        }
    }
}

/// Hundreds of forgers who send much must not hide one source of ours that fails.
#[tokio::test]
async fn a_survey_counts_all_sources_and_finds_the_failing_one_among_them() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let forgers = (0..700_u32).map(|number| std::net::Ipv4Addr::from_bits(0xc633_6400 + number));
        let mut records: Vec<Record> =
            forgers.map(|ip| record(&ip.to_string(), 9, "fail", "fail", "none")).collect();
        records.push(record("192.0.2.1", 2, "fail", "fail", "none"));
        put(&db, &arrival(Proof::Proven), &report("alpha.test", "Big", "1", 0, records), "1").await;
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let mut tx = db.begin().await.unwrap();
        judge(&mut tx, ip, Some("Printer"), Verdict::Ours).await.unwrap();
        tx.commit().await.unwrap();
        let filter = SourceFilter { span: ever(), ..SourceFilter::default() };
        let all = Judge::of("mail.alpha.test", &ever(), &DomainFigures::default());
        let (found, first) = survey(&db, &Scope::All, &filter, &all, None, 500).await.unwrap();
        let tally = found.of(|_| true);
        assert_eq!((tally.sources, tally.messages, first.len()), (701, 6302, 500));
        let [(Standing::Ours, printer)] = found.failing() else { panic!("{:?}", found.failing()) };
        assert_eq!((printer.ip, printer.label.as_deref()), (ip, Some("Printer")));
        let (_, ours) = survey(&db, &Scope::All, &filter, &all, Some(Standing::Ours), 500).await.unwrap();
        assert_eq!(ours.len(), 1, "the filter comes before the cut");
    }
}

#[tokio::test]
async fn what_admins_and_reverse_dns_say_of_sources() {
    use crate::store::names;
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let records = [("192.0.2.1", 9), ("192.0.2.2", 5), ("2001:db8::1", 7)];
        let records = records.map(|(ip, count)| record(ip, count, "pass", "fail", "none")).to_vec();
        put(&db, &arrival(Proof::Proven), &report("alpha.test", "Big", "1", 0, records), "1").await;
        let ips: Vec<IpAddr> =
            ["192.0.2.1", "2001:db8::1", "192.0.2.2"].map(|ip| ip.parse().unwrap()).to_vec();
        let now = Millis(BEGIN + 10 * DAY);
        assert_eq!(names::wanted(&db, now, 2).await.unwrap(), ips[..2]);
        let mut tx = db.begin().await.unwrap();
        names::note(&mut tx, ips[0], Some("mail.alpha.test"), now).await.unwrap();
        names::note(&mut tx, ips[1], None, now).await.unwrap();
        judge(&mut tx, ips[2], Some("Printer"), Verdict::Ours).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(names::wanted(&db, now, 9).await.unwrap(), ips[2..]);
        assert_eq!(names::wanted(&db, Millis(now.0 + 8 * DAY), 9).await.unwrap(), ips);
        let filter = SourceFilter { span: ever(), ..SourceFilter::default() };
        let judge_of_all = Judge::of("mail.alpha.test", &ever(), &DomainFigures::default());
        let of = |standing| survey(&db, &Scope::All, &filter, &judge_of_all, Some(standing), 9);
        let (all, found) = of(Standing::Ours).await.unwrap();
        assert_eq!(found.iter().map(|source| source.ip).collect::<Vec<_>>(), ips[2..]);
        assert_eq!(found[0].label.as_deref(), Some("Printer"));
        assert_eq!((all.of(|_| true).sources, all.of(|_| true).messages), (3, 21), "whatever is chosen");
        let (_, found) = of(Standing::Mailcow).await.unwrap();
        assert_eq!(found.iter().map(|source| source.ip).collect::<Vec<_>>(), ips[..1], "by its name");
        let mut tx = db.begin().await.unwrap();
        judge(&mut tx, ips[2], Some("Printer"), Verdict::Foreign).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(of(Standing::Ours).await.unwrap().1, [], "a new word is in force at once");
        let filter = SourceFilter { sort: crate::model::figures::SourceSort::Name, ..filter };
        let found = sources(&db, &Scope::All, &filter, 9).await.unwrap();
        let found: Vec<_> = found.iter().map(|source| (source.ip, source.name.as_deref())).collect();
        assert_eq!(found, [(ips[0], Some("mail.alpha.test")), (ips[2], None), (ips[1], None)]);
        let mut tx = db.begin().await.unwrap();
        judge(&mut tx, ips[2], None, Verdict::Unsaid).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(count(&db, "source_judgement").await, 0);
    }
}

/// A table of another program may compare names without regard to case: what it takes for one report is one.
#[tokio::test]
async fn names_that_a_table_takes_for_the_same_come_in_one_batch() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        if let Db::Mysql { .. } = db {
            let mut tx = db.begin().await.unwrap();
            let text = "ALTER TABLE report MODIFY org VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci NOT NULL";
            tx.execute(sql(text)).await.unwrap();
            tx.commit().await.unwrap();
        }
        let first = report("alpha.test", "receiver.test", "r-1", 1, Vec::new());
        let other = Report { org: first.org.to_uppercase(), ..first.clone() };
        let arrival = arrival(Proof::Proven);
        let xml = b"<feedback/>";
        let packed = [&first, &other].map(|report| Packed::of(report, xml));
        let (one, two) = ((&first, &packed[0]), (&other, &packed[1]));
        let incoming =
            [one, two, one].map(|(report, packed)| Incoming { arrival: &arrival, report, xml, packed });
        let mut tx = db.begin().await.unwrap();
        let stored = insert(&mut tx, &incoming).await.unwrap();
        tx.commit().await.unwrap();
        let serial = |stored: Stored| match stored {
            Stored::New(serial) | Stored::Known(serial) | Stored::Variant(serial) => serial,
        };
        assert!(matches!(stored[0], Stored::New(_)) && stored[2] == Stored::Known(serial(stored[0])));
        let same = matches!(db, Db::Mysql { .. });
        assert_eq!(serial(stored[1]) == serial(stored[0]), same, "{}: {stored:?}", db.engine());
        assert_eq!(count(&db, "report").await, if same { 1 } else { 2 });
    }
}

/// A report may say that it begins in the first month of all, or on a day that is in no calendar of ours.
#[tokio::test]
async fn odd_days_are_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let day = |at: i64| Day { at: Millis(at), sums: Sums { messages: 2, ..Sums::default() } };
    let last = 253_402_300_799_000;
    for db in databases(&dir).await {
        for (number, begin) in [0, DAY, BEGIN, last].into_iter().enumerate() {
            let records = vec![record("192.0.2.1", 2, "fail", "fail", "none")];
            let odd = report("alpha.test", "receiver.test", &number.to_string(), 0, records);
            let odd = Report { begin: Millis(begin), end: Millis(begin), ..odd };
            put(&db, &arrival(Proof::Proven), &odd, "<feedback/>").await;
        }
        let span =
            |from, to| Span { from: Millis(from), to: Millis(to), horizon: Millis(i64::MAX), domain: None };
        for kept in ["worked out", "kept"] {
            db.forget_answers();
            let at = format!("{} {kept}", db.engine());
            let all = days(&db, &Scope::All, &span(0, i64::MAX)).await.unwrap();
            assert_eq!(all, [day(0), day(DAY), day(BEGIN), day(last - last % DAY)], "{at}");
            let some = days(&db, &Scope::All, &span(DAY, BEGIN)).await.unwrap();
            assert_eq!(some, [day(DAY)], "{at}");
            let late = days(&db, &Scope::All, &span(BEGIN + DAY, i64::MAX)).await.unwrap();
            assert_eq!(late, [day(last - last % DAY)], "{at}");
            assert_eq!(domains(&db, &Scope::All, &span(0, DAY)).await.unwrap()[0].new_sources, 1, "{at}");
            refresh(&db).await.unwrap();
            assert_eq!(count(&db, "report_digest").await, 2, "{at}: the first month of all, and November");
        }
    }
}

/// What is kept is brought up to date by the newer reports alone, but only where nothing else has changed.
#[tokio::test]
async fn figures_read_the_newer_reports_alone() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let store = async |number: &str, day: i64, ips: &[&str]| {
            let records = ips.iter().map(|ip| record(ip, 2, "fail", "fail", "none")).collect();
            let one = report("alpha.test", "receiver.test", number, day, records);
            match put(&db, &arrival(Proof::Proven), &one, number).await {
                Stored::New(serial) => serial,
                other => panic!("{other:?}"),
            }
        };
        let span = |from, to| Span {
            from: Millis(BEGIN + from * DAY),
            to: Millis(BEGIN + to * DAY),
            horizon: Millis(i64::MAX),
            domain: None,
        };
        let told = async || -> Result<(Vec<u64>, [u64; 2], usize)> {
            db.forget_answers();
            let days = days(&db, &Scope::All, &span(0, 40)).await?;
            let mut fresh = [0, 0];
            for (fresh, span) in fresh.iter_mut().zip([span(0, 1), span(1, 40)]) {
                *fresh = domains(&db, &Scope::All, &span).await?[0].new_sources;
            }
            let filter = SourceFilter { span: span(0, 40), ..SourceFilter::default() };
            let sources = sources(&db, &Scope::All, &filter, 99).await?;
            Ok((days.iter().map(|day| day.sums.messages).collect(), fresh, sources.len()))
        };
        let first = store("1", 0, &["192.0.2.1", "2001:db8::1"]).await;
        store("2", 1, &["192.0.2.1"]).await;
        refresh(&db).await.unwrap();
        // Whoever reads these again fails.
        let mut tx = db.begin().await.unwrap();
        tx.execute(sql("UPDATE report_source SET sources = ''")).await.unwrap();
        tx.commit().await.unwrap();
        let at = db.engine();
        assert_eq!(told().await.unwrap(), (vec![4, 2], [2, 0], 2), "{at}");
        store("3", 1, &["192.0.2.1", "192.0.2.3"]).await;
        store("4", 30, &["2001:db8::1", "2001:db8::2"]).await;
        store("5", 0, &["192.0.2.3", "192.0.2.4"]).await;
        for kept in ["added up", "kept"] {
            assert_eq!(told().await.unwrap(), (vec![8, 6, 4], [4, 1], 5), "{at} {kept}");
            refresh(&db).await.unwrap();
            assert_eq!(count(&db, "report_digest").await, 2, "{at} {kept}");
        }
        // Another change is not taken for newer reports, also where the count says so.
        let mut tx = db.begin().await.unwrap();
        prove(&mut tx, first, Proof::Failed, None).await.unwrap();
        tx.commit().await.unwrap();
        store("6", 1, &["192.0.2.1"]).await;
        assert!(told().await.is_err(), "{at}");
        assert!(refresh(&db).await.is_err(), "{at}");
    }
}

/// Tables of an old parser in latin1, in each form in which servers made them.
#[tokio::test]
async fn old_tables_in_latin1_take_every_name() {
    for form in ["", " ROW_FORMAT=COMPRESSED", " ROW_FORMAT=COMPACT", " ENGINE=MyISAM"] {
        let Some(url) = mysql_url().await else { return };
        let mut connection = run(&url, &[]).await;
        for table in &OLD[..2] {
            let table = table.replace(" ROW_FORMAT=COMPRESSED", "");
            let create = format!("{table}{form} DEFAULT CHARSET=latin1");
            connection.execute(sqlx::AssertSqlSafe(create)).await.unwrap();
        }
        connection = run(&url, &OLD[2..]).await;
        connection.execute("UPDATE report SET mindate = mindate, org = 'Müller'").await.unwrap();
        let db = Db::open(&Place::mysql_url(&url).unwrap()).await.unwrap();
        settle(&db).await.unwrap();
        let lines = list(&db, &Scope::All, &ReportFilter::default(), None, 9).await.unwrap();
        let told: Vec<_> =
            lines.iter().map(|line| (line.org.as_str(), line.begin, line.sums.messages)).collect();
        assert_eq!(told, [("Müller", Millis(1_700_000_000_000), 7)], "{form}");

        let one =
            report("alpha.test", "Пример", "😀", 0, vec![record("192.0.2.1", 2, "pass", "fail", "none")]);
        let Stored::New(serial) = put(&db, &arrival(Proof::Proven), &one, "<a/>").await else {
            panic!("{form}")
        };
        assert_eq!(put(&db, &arrival(Proof::Proven), &one, "<a/>").await, Stored::Known(serial), "{form}");
        assert_eq!(rows::look(&db, serial).await.unwrap().unwrap().org, "Пример", "{form}");
        let mut connection = run(&url, &THEIRS).await;
        let odd = "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name IN \
            ('report', 'rptrecord') AND (collation_name <> 'utf8mb4_bin' OR data_type = 'varchar' AND \
            character_maximum_length NOT IN (20, 255))";
        assert_eq!(connection.fetch_one(odd).await.unwrap().get::<i64, _>(0), 0, "{form}");

        // Tables whose letters are all there are left as they are, also where another collation was chosen.
        let text = include_str!("../../../../migrations/mysql/0023_report_charset.sql");
        connection
            .execute("ALTER TABLE report COLLATE utf8mb4_general_ci, COMMENT = 'untouched'")
            .await
            .unwrap();
        connection
            .execute("ALTER TABLE report MODIFY org VARCHAR(255) COLLATE utf8mb4_general_ci NOT NULL")
            .await
            .unwrap();
        connection.execute(sqlx::raw_sql(text)).await.unwrap();
        let left = "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = \
            'report' AND column_name = 'org' AND collation_name = 'utf8mb4_general_ci'";
        assert_eq!(connection.fetch_one(left).await.unwrap().get::<i64, _>(0), 1, "{form}");
    }
}

#[tokio::test]
async fn what_another_program_stored_first_gives_way_to_a_proven_report() {
    let Some(url) = mysql_url().await else { return };
    let db = Db::open(&Place::mysql_url(&url).unwrap()).await.unwrap();
    let mut connection = run(&url, &THEIRS).await;
    settle(&db).await.unwrap();
    let line = list(&db, &Scope::All, &ReportFilter::default(), None, 9).await.unwrap().remove(0);
    let theirs = rows::look(&db, line.serial).await.unwrap().unwrap();
    let real = Report { records: vec![record("192.0.2.9", 4, "pass", "pass", "none")], ..theirs };
    // Nothing of it is lost: without its text it stays.
    connection.execute("UPDATE report SET mindate = mindate, raw_xml = ''").await.unwrap();
    assert_eq!(put(&db, &arrival(Proof::Proven), &real, "real").await, Stored::Variant(line.serial));
    assert_eq!(find(&db, &Scope::All, line.serial).await.unwrap().unwrap().line.sums.messages, 8);
    connection.execute("UPDATE report SET mindate = mindate, raw_xml = '<feedback/>'").await.unwrap();
    assert_eq!(put(&db, &arrival(Proof::Proven), &real, "real").await, Stored::Variant(line.serial));
    let stored = find(&db, &Scope::All, line.serial).await.unwrap().unwrap();
    assert_eq!((&stored.report, stored.line.proof, stored.line.sums.messages), (&real, Proof::Proven, 4));
    let [(number, other)] = &stored.others[..] else { panic!("{:?}", stored.others) };
    assert_eq!((other.proof, other.via.as_str()), (Proof::Unchecked, "another program"));
    let text = variant_xml(&db, &Scope::All, line.serial, *number).await.unwrap().unwrap();
    assert_eq!(text, b"<feedback/>");
    forget(&db, Whose::Ours).await;
    assert_eq!(count(&db, "report").await, 1, "it is still theirs");
}
