//! How TLS reports are stored and counted: on SQLite, and on MariaDB where one is named.

use super::*;
use crate::{
    model::report::TlsFailure,
    store::{
        fresh::databases,
        reports::tests::{BEGIN, DAY, admin_of, arrival, count},
    },
};

fn policy(domain: &str, successful: u64, failures: &[(&str, &str, u64)]) -> TlsPolicy {
    let failures = failures.iter().map(|(kind, mx, sessions)| TlsFailure {
        kind: (*kind).to_owned(),
        mx: Some((*mx).to_owned()),
        sessions: *sessions,
        ..TlsFailure::default()
    });
    let failures: Vec<TlsFailure> = failures.collect();
    TlsPolicy {
        kind: "sts".to_owned(),
        domain: domain.to_owned(),
        successful,
        failed: failures.iter().map(|failure| failure.sessions).sum(),
        failures,
        ..TlsPolicy::default()
    }
}

fn report(id: &str, day: i64, policies: Vec<TlsPolicy>) -> TlsReport {
    TlsReport {
        org: "Big".to_owned(),
        contact: None,
        report_id: id.to_owned(),
        begin: Millis(BEGIN + day * DAY),
        end: Millis(BEGIN + (day + 1) * DAY - 1000),
        policies,
    }
}

async fn put(db: &Db, proof: Proof, report: &TlsReport, json: &str) -> Stored {
    let mut tx = db.begin().await.unwrap();
    let stored = insert(&mut tx, &arrival(proof), report, json.as_bytes()).await.unwrap();
    tx.commit().await.unwrap();
    stored
}

fn span(domain: Option<&str>) -> Span {
    Span {
        from: Millis(BEGIN),
        to: Millis(BEGIN + 9 * DAY),
        horizon: Millis(i64::MAX),
        domain: domain.map(str::to_owned),
    }
}

#[tokio::test]
async fn reports_are_counted_for_those_who_may_see_them() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let expired = ("certificate-expired", "mx.alpha.test");
        let both = report(
            "1",
            0,
            vec![
                policy("alpha.test", 90, &[(expired.0, expired.1, 4), (expired.0, expired.1, 1)]),
                policy("Alpha.test.", 10, &[("starttls-not-supported", "mx.alpha.test", 2)]),
                policy("beta.test", 7, &[]),
            ],
        );
        let Stored::New(first) = put(&db, Proof::Proven, &both, "{1}").await else { panic!("new") };
        assert_eq!(put(&db, Proof::Proven, &both, "{1}").await, Stored::Known(first));
        let later = report("2", 1, vec![policy("alpha.test", 5, &[(expired.0, expired.1, 3)])]);
        let Stored::New(second) = put(&db, Proof::Unchecked, &later, "{2}").await else { panic!("new") };
        let forged = report("3", 2, vec![policy("alpha.test", 0, &[("forged", "", 1000)])]);
        put(&db, Proof::Failed, &forged, "{3}").await;

        let (alpha, beta) = (admin_of(&["alpha.test"]), admin_of(&["beta.test"]));
        let user = Scope::mailbox("ann@alpha.test", Millis(0));
        let day = |day: i64, successful, failed| TlsDay { at: Millis(BEGIN + day * DAY), successful, failed };
        assert_eq!(days(&db, &alpha, &span(None)).await.unwrap(), [day(0, 100, 7), day(1, 5, 3)]);
        assert_eq!(days(&db, &beta, &span(None)).await.unwrap(), [day(0, 7, 0)]);
        assert_eq!(days(&db, &Scope::All, &span(None)).await.unwrap(), [day(0, 107, 7), day(1, 5, 3)]);
        assert!(days(&db, &beta, &span(Some("alpha.test"))).await.unwrap().is_empty());
        assert!(days(&db, &user, &span(None)).await.unwrap().is_empty());
        let sums = failures(&db, &alpha, &span(None)).await.unwrap();
        let sums: Vec<_> = sums.iter().map(|sum| (sum.kind.as_str(), sum.sessions, sum.last.0)).collect();
        assert_eq!(sums, [(expired.0, 8, BEGIN + DAY), ("starttls-not-supported", 2, BEGIN)]);
        assert!(failures(&db, &beta, &span(None)).await.unwrap().is_empty());

        let lines =
            |lines: Vec<TlsLine>| lines.into_iter().map(|line| (line.id, line.domain)).collect::<Vec<_>>();
        let name = str::to_owned;
        assert_eq!(
            lines(list(&db, &Scope::All, None, Some(second), 1).await.unwrap()),
            [(first, name("alpha.test")), (first, name("beta.test"))],
            "a report's lines stay together"
        );
        assert_eq!(lines(list(&db, &beta, None, None, 9).await.unwrap()), [(first, name("beta.test"))]);
        assert_eq!(list(&db, &Scope::All, Some("alpha.test"), None, 9).await.unwrap().len(), 3);
        assert!(list(&db, &user, None, None, 9).await.unwrap().is_empty());
        assert_eq!(domain_names(&db, &alpha).await.unwrap(), ["alpha.test"]);

        let own = find(&db, &beta, first).await.unwrap().unwrap();
        assert_eq!(own.report.policies, [policy("beta.test", 7, &[])]);
        assert_eq!(own.arrival, arrival(Proof::Proven));
        assert_eq!(find(&db, &beta, second).await.unwrap(), None);
        assert_eq!(find(&db, &user, first).await.unwrap(), None);
        assert_eq!(json(&db, &beta, first, None).await.unwrap(), None, "it speaks of another's domain, too");
        assert_eq!(json(&db, &alpha, second, None).await.unwrap().unwrap(), b"{2}");
        assert_eq!(json(&db, &Scope::All, first, None).await.unwrap().unwrap(), b"{1}");

        // Another body is marked in the list, and can be had by whoever sees all of the report.
        assert_eq!(put(&db, Proof::Unchecked, &both, "{1b}").await, Stored::Variant(first));
        let marked = list(&db, &beta, None, None, 9).await.unwrap();
        assert_eq!(marked.iter().map(|line| line.variants).collect::<Vec<_>>(), [1]);
        let own = find(&db, &beta, first).await.unwrap().unwrap();
        assert_eq!((own.whole, own.others), (false, Vec::new()));
        let whole = find(&db, &Scope::All, first).await.unwrap().unwrap();
        assert!(whole.whole);
        let [(number, _)] = whole.others[..] else { panic!("{:?}", whole.others) };
        assert_eq!(json(&db, &Scope::All, first, Some(number)).await.unwrap().unwrap(), b"{1b}");
        assert_eq!(json(&db, &beta, first, Some(number)).await.unwrap(), None);
        assert_eq!(json(&db, &Scope::All, second, Some(number)).await.unwrap(), None, "of another report");

        let mut tx = db.begin().await.unwrap();
        prove(&mut tx, second, Proof::Failed, None).await.unwrap();
        crate::store::reports::host(&mut tx, ["beta.test"]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(days(&db, &alpha, &span(None)).await.unwrap(), [day(0, 100, 7)]);
        put(&db, Proof::Proven, &report("4", 300, vec![policy("alpha.test", 1, &[])]), "{4}").await;
        // All came on the ninth day; the one from the future goes once it is old for its coming.
        for (before, now, left) in [(0, 20, 4), (10, 400, 1), (10, 400, 1), (9, 20, 1), (10, 20, 0)] {
            let mut tx = db.begin().await.unwrap();
            let (before, now) = (Millis(BEGIN + before * DAY), Millis(BEGIN + now * DAY));
            assert!(!prune(&mut tx, before, now).await.unwrap());
            tx.commit().await.unwrap();
            assert_eq!(count(&db, "tls_report").await, left, "{before:?} {now:?}");
        }
        for table in ["tls_report", "tls_line", "tls_failure", "report_variant"] {
            assert_eq!(count(&db, table).await, 0, "{table}");
        }
    }
}

#[tokio::test]
async fn the_better_proven_body_counts() {
    let dir = tempfile::tempdir().unwrap();
    for db in databases(&dir).await {
        let [forged, real] = [9000, 5].map(|count| report("1", 0, vec![policy("alpha.test", count, &[])]));
        put(&db, Proof::Failed, &forged, "forged").await;
        let Stored::Variant(id) = put(&db, Proof::Proven, &real, "real").await else { panic!("a variant") };
        assert_eq!(find(&db, &Scope::All, id).await.unwrap().unwrap().report, real);
        for (proof, one, json) in [(Proof::Failed, &forged, "forged"), (Proof::Unchecked, &real, "real")] {
            assert_eq!(put(&db, proof, one, json).await, Stored::Known(id));
        }
        assert_eq!(days(&db, &Scope::All, &span(None)).await.unwrap()[0].successful, 5);
        assert_eq!((count(&db, "tls_report").await, count(&db, "report_variant").await), (1, 1));
    }
}
