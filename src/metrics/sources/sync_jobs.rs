//! IMAP sync jobs.

use std::{collections::HashMap, time::Duration};

use futures_util::FutureExt;
use serde_json::{Map, Value, json};

use super::Reach;
use crate::{
    metrics::{
        collector::Outcome,
        modules::{mailboxes, sync_jobs as m},
        samples::Samples,
    },
    model::{
        inventory::{ClockOffset, moment},
        mail::ServerId,
        sample::{Labels, MAILBOX, State},
        scope::Scope,
        time::Millis,
    },
    remote::status::SyncJob,
    store::{
        self, Db, inventory,
        samples::{Beyond, Gap, Passed, beyond_since},
    },
};

const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let jobs = reach.mailcow.sync_jobs().await?;
        let offset = inventory::last_look(&reach.db).await?.and_then(|look| look.clock_offset);
        let begins = begins(&reach.db, reach.server, &jobs).await?;
        tell(&jobs, &begins, offset, reach.clock.now(), out);
        Ok(())
    }
    .boxed()
}

/// Since when each job that runs was seen to run: Mailcow tells the end of a run only, so the history of the flag is asked. In
/// a time in which nobody looked it went on, unless a run ended meanwhile; [`tell`] knows.
async fn begins(db: &Db, server: ServerId, jobs: &[SyncJob]) -> store::Result<HashMap<i64, Millis>> {
    let running: Vec<(i64, Labels)> =
        jobs.iter().filter(|job| is(job.is_running)).map(|job| (job.id, labels(job))).collect();
    let asked = running.iter().map(|(_, labels)| Beyond {
        metric: m::EACH_SYNCJOB_RUNNING.key,
        labels,
        passed: vec![Passed::At(1.0)],
        gap: Gap::Bridged,
    });
    let asked: Vec<Beyond<'_>> = asked.collect();
    let since = beyond_since(db, &Scope::All, server, &asked).await?;
    Ok(running.iter().zip(since).filter_map(|((id, _), since)| Some((*id, since?))).collect())
}

fn is(value: Option<f64>) -> bool {
    value == Some(1.0)
}

fn labels(job: &SyncJob) -> Labels {
    Labels::one("job", &job.id.to_string()).with(MAILBOX, &job.user2)
}

pub(super) fn tell(
    jobs: &[SyncJob],
    begins: &HashMap<i64, Millis>,
    offset: ClockOffset,
    now: Millis,
    out: &mut Samples,
) {
    let last_run = |job: &SyncJob| job.last_run.as_deref().and_then(|text| moment(text, offset, now));
    let count = |wanted: &dyn Fn(&SyncJob) -> bool| jobs.iter().filter(|job| wanted(job)).count();
    out.set(&m::ACTIVE, count(&|job| is(job.active)));
    out.set(&m::RUNNING, count(&|job| is(job.is_running)));
    out.set(&m::NEVER_RUN, count(&|job| is(job.active) && job.last_run.is_none()));
    let recent = |job: &SyncJob| last_run(job).is_some_and(|at| now.since(at) < DAY);
    out.set(&m::FAILED, count(&|job| job.success == Some(0.0) && recent(job)));
    // The run that goes on began after the last one ended.
    let began = |job: &SyncJob| begins.get(&job.id).map(|at| last_run(job).map_or(*at, |end| end.max(*at)));
    let stuck = |job: &SyncJob| is(job.is_running) && began(job).is_some_and(|at| now.since(at) > DAY);
    out.set(&m::STUCK, count(&stuck));
    let oldest = jobs.iter().filter(|job| is(job.active)).filter_map(last_run).min();
    match oldest {
        Some(at) => out.set(&m::OLDEST_RUN, now.since(at).as_secs() / 3600),
        None => out.not_in_use(&m::OLDEST_RUN, "no active job has run"),
    }
    let mut data = Map::new();
    for job in jobs {
        data.insert(job.id.to_string(), tell_each(job, last_run(job), now, out));
    }
    let list = jobs.iter().map(|job| {
        let (user, host, active) = (&job.user2, &job.host1, i64::from(is(job.active)));
        json!({"{#SYNCJOB_ID}": job.id, "{#SYNCJOB_USER}": user, "{#SYNCJOB_HOST}": host, "{#ACTIVE}": active})
    });
    out.set(&mailboxes::LLD_SYNCJOBS, Value::Array(list.collect()).to_string());
    out.set(&mailboxes::LLD_SYNCJOB_DATA, Value::Object(data).to_string());
}

fn tell_each(job: &SyncJob, last_run: Option<Millis>, now: Millis, out: &mut Samples) -> Value {
    let flag = |value: f64| f64::from(u8::from(value == 1.0));
    let mut data = json!({ "user": job.user2, "host": job.host1 });
    let why = if is(job.is_running) { "it runs" } else { "it never ran" };
    let mut note = |name: &str, metric, value: Option<State>| {
        match &value {
            Some(State::Number(number)) => data[name] = json!(number),
            Some(State::Text(text)) => data[name] = json!(text),
            _ => {}
        }
        out.set_each(metric, labels(job), value.unwrap_or_else(|| State::Unknown(why.to_owned())));
    };
    note("active", &m::EACH_SYNCJOB_ACTIVE, job.active.map(flag).map(State::Number));
    note("running", &m::EACH_SYNCJOB_RUNNING, job.is_running.map(flag).map(State::Number));
    note("success", &m::EACH_SYNCJOB_SUCCESS, job.success.map(flag).map(State::Number));
    let hours = last_run.map(|at| now.since(at).as_secs() / 3600);
    note("age_hours", &m::EACH_SYNCJOB_AGE_HOURS, hours.map(State::from));
    note("exit_status", &m::EACH_SYNCJOB_EXIT_STATUS, job.exit_status.clone().map(State::Text));
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        fresh::databases,
        samples::{Batch, Book},
    };

    const SERVER: ServerId = ServerId(1);
    const HOUR: Duration = Duration::from_secs(3600);
    /// 2026-11-20 00:00 UTC.
    const START: Millis = Millis::from_secs(1_795_132_800);

    #[tokio::test]
    async fn a_job_that_hangs_is_known_after_a_restart_of_the_portal() {
        let dir = tempfile::tempdir().unwrap();
        for db in databases(&dir).await {
            // Each look is that of a portal that was just started.
            let look = async |hour: u32, running: u8, last_run: &str| {
                let text = format!(
                    r#"[{{"id":7,"user2":"ann@a.test","active":1,"is_running":{running},"last_run":"{last_run}"}}]"#
                );
                let (jobs, now): (Vec<SyncJob>, _) =
                    (serde_json::from_str(&text).unwrap(), START.plus(HOUR * hour));
                let begins = begins(&db, SERVER, &jobs).await.unwrap();
                let mut out = Samples::new(now);
                tell(&jobs, &begins, Some(0), now, &mut out);
                let (took, samples) = (Duration::ZERO, out.list());
                let batch = Batch {
                    server: SERVER,
                    source: "sync-jobs",
                    at: now,
                    took,
                    period: HOUR,
                    error: None,
                    samples,
                };
                Book::default().append(&db, batch).await.unwrap();
                samples.iter().find(|it| it.metric == m::STUCK.key).unwrap().state.number().unwrap()
            };
            let before = "2026-11-19 20:00:00";
            assert_eq!(look(0, 0, before).await, 0.0);
            for hour in 1..=3 {
                assert_eq!(look(hour, 1, before).await, 0.0);
            }
            assert_eq!(look(24, 1, before).await, 0.0, "nobody looked for most of a day: 23 hours");
            assert_eq!(look(26, 1, before).await, 1.0, "25 hours, most of which nobody saw");
            assert_eq!(look(27, 1, "2026-11-21 02:30:00").await, 0.0, "a run ended, and another began");
            assert_eq!(look(28, 0, "2026-11-21 03:30:00").await, 0.0);
            assert_eq!(look(29, 1, "2026-11-21 03:30:00").await, 0.0);
            db.close().await;
        }
    }
}
