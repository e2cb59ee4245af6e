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
        sample::{Labels, MAILBOX, State},
        time::Millis,
    },
    remote::status::SyncJob,
    store::inventory,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// When each job was first seen running: Mailcow tells the end of a run only.
#[derive(Debug, Default)]
pub(super) struct Memory(HashMap<i64, Millis>);

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let jobs = reach.mailcow.sync_jobs().await?;
        let offset = inventory::last_look(&reach.db).await?.and_then(|look| look.clock_offset);
        let mut memory = reach.memory.sync_jobs.lock().await;
        tell(&jobs, &mut memory, offset, reach.clock.now(), out);
        Ok(())
    }
    .boxed()
}

pub(super) fn tell(
    jobs: &[SyncJob],
    memory: &mut Memory,
    offset: ClockOffset,
    now: Millis,
    out: &mut Samples,
) {
    let is = |value: Option<f64>| value == Some(1.0);
    let last_run = |job: &SyncJob| job.last_run.as_deref().and_then(|text| moment(text, offset, now));
    let count = |wanted: &dyn Fn(&SyncJob) -> bool| jobs.iter().filter(|job| wanted(job)).count();
    out.set(&m::ACTIVE, count(&|job| is(job.active)));
    out.set(&m::RUNNING, count(&|job| is(job.is_running)));
    out.set(&m::NEVER_RUN, count(&|job| is(job.active) && job.last_run.is_none()));
    let recent = |job: &SyncJob| last_run(job).is_some_and(|at| now.since(at) < DAY);
    out.set(&m::FAILED, count(&|job| job.success == Some(0.0) && recent(job)));
    memory.0.retain(|id, _| jobs.iter().any(|job| job.id == *id && is(job.is_running)));
    for job in jobs.iter().filter(|job| is(job.is_running)) {
        memory.0.entry(job.id).or_insert(now);
    }
    out.set(&m::STUCK, memory.0.values().filter(|since| now.since(**since) > DAY).count());
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
    let labels = || Labels::one("job", &job.id.to_string()).with(MAILBOX, &job.user2);
    let flag = |value: f64| f64::from(u8::from(value == 1.0));
    let mut data = json!({ "user": job.user2, "host": job.host1 });
    let why = if job.is_running == Some(1.0) { "it runs" } else { "it never ran" };
    let mut note = |name: &str, metric, value: Option<State>| {
        match &value {
            Some(State::Number(number)) => data[name] = json!(number),
            Some(State::Text(text)) => data[name] = json!(text),
            _ => {}
        }
        out.set_each(metric, labels(), value.unwrap_or_else(|| State::Unknown(why.to_owned())));
    };
    note("active", &m::EACH_SYNCJOB_ACTIVE, job.active.map(flag).map(State::Number));
    note("running", &m::EACH_SYNCJOB_RUNNING, job.is_running.map(flag).map(State::Number));
    note("success", &m::EACH_SYNCJOB_SUCCESS, job.success.map(flag).map(State::Number));
    let hours = last_run.map(|at| now.since(at).as_secs() / 3600);
    note("age_hours", &m::EACH_SYNCJOB_AGE_HOURS, hours.map(State::from));
    note("exit_status", &m::EACH_SYNCJOB_EXIT_STATUS, job.exit_status.clone().map(State::Text));
    data
}
