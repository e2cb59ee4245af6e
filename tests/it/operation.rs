//! The pages of Operation that are about the portal itself.

use std::{sync::atomic::Ordering, time::Duration};

use mailcow_status::{
    model::time::Millis,
    store::{db::sql, job_runs, lease},
    web::state::JobEnd,
};

use super::support::{
    db::fresh_databases,
    portal::{Portal, Wishes},
    rig::open,
};

#[tokio::test]
async fn a_job_is_run_by_hand_and_that_is_written_down() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let mut admin = portal.signed_in("admin@alpha.test").await;
        for (end, word, says) in [
            (JobEnd::Done, "done", "Done: Read the logs."),
            (JobEnd::Busy, "busy", "Nothing was begun."),
            (JobEnd::Failed("key=hush".to_owned()), "failed", "The table says why."),
        ] {
            *portal.jobs.end.lock().unwrap() = Some(end);
            let answer = admin.post("/jobs/poll/run", &[]).await;
            assert_eq!(answer.status, 303);
            assert_eq!(answer.location, format!("/status/jobs?ran=poll&end={word}"));
            let page = admin.get(&answer.location).await.body;
            assert!(page.contains(says) && page.contains("role=\"status\""), "{word}: {page}");
        }
        assert_eq!(portal.jobs.runs.load(Ordering::SeqCst), 3);
        let written = portal.audit().await;
        let runs = written.iter().filter(|entry| *entry == "run-now admin@alpha.test admin poll");
        assert_eq!(runs.count(), 3, "{written:?}");
        assert_eq!(admin.post("/ingestion/read", &[]).await.status, 303);
        assert_eq!(portal.audit().await[0], "run-now admin@alpha.test admin poll");
    }
}

#[tokio::test]
async fn nobody_else_runs_a_job() {
    let portal = Portal::start(Wishes::default()).await;
    let mut admin = portal.signed_in("admin@alpha.test").await;
    for unknown in ["nothing", "POLL", "poll%20", "..%2Fpoll"] {
        assert_eq!(admin.post(&format!("/jobs/{unknown}/run"), &[]).await.status, 404, "{unknown}");
    }
    for address in ["ann@alpha.test", "postmaster@alpha.test"] {
        let mut other = portal.signed_in(address).await;
        assert_eq!(other.post("/jobs/poll/run", &[]).await.status, 403, "{address}");
    }
    assert_eq!(portal.browser().post("/jobs/poll/run", &[]).await.status, 401);
    // A link, and a form on another site.
    assert_eq!(admin.get("/jobs/poll/run").await.status, 405);
    admin.headers = vec![
        ("origin".to_owned(), "https://evil.example".to_owned()),
        ("sec-fetch-site".to_owned(), "cross-site".to_owned()),
    ];
    assert_eq!(admin.post("/jobs/poll/run", &[]).await.status, 403);
    assert_eq!(portal.jobs.runs.load(Ordering::SeqCst), 0);
    assert!(!portal.audit().await.iter().any(|entry| entry.starts_with("run-now")));
}

#[tokio::test]
async fn a_run_is_kept_with_its_error_until_one_goes_well() {
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        let note = async |from: i64, to: i64, error: Option<&str>| {
            let mut tx = db.begin().await.unwrap();
            job_runs::record(&mut tx, "poll", Millis(from), Millis(to), error).await.unwrap();
            tx.commit().await.unwrap();
            job_runs::find(&db, "poll").await.unwrap().unwrap()
        };
        assert_eq!(job_runs::find(&db, "poll").await.unwrap(), None);
        let first = note(1_000, 1_250, None).await;
        assert_eq!((first.took_ms, first.succeeded_at, first.error), (250, Some(Millis(1_000)), None));
        note(2_000, 2_100, Some("away")).await;
        let ill = note(3_000, 3_100, Some("still away")).await;
        assert_eq!((ill.error.as_deref(), ill.error_since), (Some("still away"), Some(Millis(2_000))));
        assert_eq!(ill.succeeded_at, Some(Millis(1_000)), "what went well stays known");
        let well = note(4_000, 4_001, None).await;
        assert_eq!((well.error, well.error_since), (None, None));
        assert_eq!(job_runs::all(&db).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn leases_are_told_while_they_last() {
    for fresh in fresh_databases().await {
        let db = open(&fresh).await;
        let (now, minute) = (Millis(1_000_000), Duration::from_secs(60));
        assert!(lease::take(&db, "prune", "me", now, minute).await.unwrap());
        assert_eq!(lease::taken(&db, now).await.unwrap(), ["prune"]);
        assert!(lease::taken(&db, now.plus(minute)).await.unwrap().is_empty());
        let mut tx = db.begin().await.unwrap();
        lease::release(&mut tx, "prune", "me").await.unwrap();
        tx.commit().await.unwrap();
        assert!(lease::taken(&db, now).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_portal_tells_what_it_holds() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let engine = portal.state.db.engine();
        let mut tx = portal.state.db.begin().await.unwrap();
        let statement =
            "INSERT INTO job_run (name, started_at, took_ms, succeeded_at) VALUES ('prune', ?, 5, ?)";
        tx.execute(sql(statement).bind(portal.now()).bind(portal.now())).await.unwrap();
        tx.commit().await.unwrap();
        let page = portal.signed_in("admin@alpha.test").await.get("/about").await;
        assert_eq!(page.status, 200);
        for part in [env!("CARGO_PKG_VERSION"), engine, "<code>mail_story</code>", "120 days", "Last cleared"]
        {
            assert!(page.body.contains(part), "{engine}: {part}\n{}", page.body);
        }
        // No mail is stored, but the audit log knows the sign-in.
        assert!(page.body.contains("None yet"), "{engine}");
        let memory = page.body.split("Memory of this process</dt><dd>").nth(1).unwrap();
        assert!(memory.split('<').next().unwrap().ends_with("MiB"), "{memory:.40}");
    }
}
