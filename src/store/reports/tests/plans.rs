//! No question of a page reads a whole table: how each engine would run the statements.

use super::{
    super::{lines::Lines, *},
    *,
};
use crate::{
    model::figures::{Aside, ReportFilter, ReportPlace, ReportState, Span},
    store::fresh::scans,
};

/// Lines of three thousand reports over a year, so that the engines have a choice.
async fn fill(db: &Db) {
    let mut tx = db.begin().await.unwrap();
    for n in 0..3000_i64 {
        let domain = format!("d{}.test", n % 20);
        let one = report(
            &domain,
            "Big",
            &n.to_string(),
            n / 10 - 365,
            vec![record("192.0.2.1", 1, "pass", "fail", "none")],
        );
        Lines::of(n + 1, &one, Proof::Proven, 0).write(&mut tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    if let Db::Mysql { .. } = db {
        let mut tx = db.begin().await.unwrap();
        let text = "ANALYZE TABLE report_line, report_source, report_month";
        tx.fetch::<(String, String, String, String)>(sql(text)).await.unwrap();
        tx.commit().await.unwrap();
    }
}

/// No statement here reads what another step has found.
fn never(_: &str) -> bool {
    false
}

#[tokio::test]
async fn no_question_scans() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        fill(&db).await;
        let admin = admin_of(&["d1.test", "d2.test"]);
        let text = |text: &str| Some(text.to_owned());
        for scope in [&Scope::All, &admin] {
            let to = Millis(BEGIN - 70 * DAY);
            let span = Span { from: Millis(to.0 - 30 * DAY), to, horizon: Millis(i64::MAX), domain: None };
            let about = about::About::of(&db, scope, &span).await.unwrap();
            assert_eq!(about.domains.len(), if *scope == Scope::All { 20 } else { 2 });
            for part in [months::Part::Facts, months::Part::Sightings] {
                let statement = months::statement(&about.domains, about.from, about.to, part);
                let found = scans(&db, statement, never).await;
                assert!(found.is_empty(), "{}: {part:?} for {scope:?}: {found:?}", db.engine());
            }
            let hosted = BTreeSet::from(["d1.test".to_owned()]);
            for filter in [
                ReportFilter::default(),
                ReportFilter { state: Some(ReportState::Fail), ..ReportFilter::default() },
                ReportFilter { month: Some((2026, 3)), ..ReportFilter::default() },
                ReportFilter { domain: text("d1.test"), ..ReportFilter::default() },
                ReportFilter { aside: Some(Aside::Unproven), ..ReportFilter::default() },
                ReportFilter { aside: Some(Aside::Foreign), ..ReportFilter::default() },
            ] {
                let begin = Millis(BEGIN - 100 * DAY);
                let after = Some(ReportPlace { begin, serial: 5 });
                for statement in list::statements(scope, &filter, &hosted, after, 50) {
                    let found = scans(&db, statement, never).await;
                    assert!(found.is_empty(), "{}: {filter:?} for {scope:?}: {found:?}", db.engine());
                }
            }
        }
        assert!(
            scans(&db, sources::packed_statement("d1.test", 7), never).await.is_empty(),
            "{}",
            db.engine()
        );
        let statement = months::reports_statement("d1.test", (BEGIN - 100 * DAY, -1), BEGIN - 70 * DAY);
        assert!(scans(&db, statement, never).await.is_empty(), "{}: a digest", db.engine());
        let kept = digest::Extent { reports: 1, stamp: 1, last: 2950 };
        let wanted = |month| months::Wanted { domain: "d1.test", month, kept, state: (2, 2) };
        for months in [[None, None], [Some(202_608), Some(202_609)]] {
            let found = scans(&db, months::newer_statement(&months.map(wanted)), never).await;
            assert!(found.is_empty(), "{}: newer reports: {found:?}", db.engine());
        }
        assert!(scans(&db, settle::statement(2990), never).await.is_empty(), "{}: settling", db.engine());
        for whose in [Whose::Ours, Whose::Anybodys] {
            let statement = lines::oldest_statement(Millis(BEGIN - 360 * DAY), whose, 50);
            let found = scans(&db, statement, never).await;
            assert!(found.is_empty(), "{}: the oldest, {whose:?}: {found:?}", db.engine());
        }
    }
}
