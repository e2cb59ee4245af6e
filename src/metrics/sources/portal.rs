//! The portal itself: its collector, and what the Zabbix package says of its agent.

use futures_util::FutureExt;
use serde_json::{Map, json};

use super::{HALF_MINUTE, Reach};
use crate::{
    metrics::{
        collector::Outcome,
        modules::{collector as m, updates},
        samples::Samples,
    },
    model::time::Millis,
    store::samples::{Run, sources},
};

/// A collector that was silent for longer does not run.
const PATIENCE: u64 = 180;

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let runs = sources(&reach.db).await?;
        let now = reach.clock.now();
        tell(&runs, now, out);
        out.set(&m::AGENT_UPTIME, now.since(reach.started).as_secs());
        out.set(&updates::CONFIG_HOSTNAME, reach.hostname.as_str());
        out.set(&updates::CONFIG_TIMEZONE, reach.time_zone.as_str());
        Ok(())
    }
    .boxed()
}

pub(super) fn tell(runs: &[Run], now: Millis, out: &mut Samples) {
    let newest = runs.iter().filter_map(|run| run.ended_at).max();
    let age = newest.map(|at| now.since(at).as_secs());
    out.set_or(&m::AGE, age, "no source has run yet");
    out.set_or(&m::LAST_RUN, newest.map(Millis::secs), "no source has run yet");
    out.set_or(&m::RUNNING, age.map(|age| age <= PATIENCE), "no source has run yet");
    let seconds = |ms: i64| ms as f64 / 1000.0;
    out.set(&m::DURATION, seconds(runs.iter().map(|run| run.took_ms).sum()));
    out.set(&m::KEYS, runs.iter().map(|run| run.told).sum::<i64>());
    let failed: Vec<String> =
        runs.iter().filter_map(|run| Some(format!("{}:{}", run.source, run.error.as_ref()?))).collect();
    out.set(&m::ERRORS, failed.len());
    out.set(&m::ERROR_DETAIL, if failed.is_empty() { "-".to_owned() } else { failed.join(",") });
    let times: Map<_, _> = runs.iter().map(|run| (run.source.clone(), json!(seconds(run.took_ms)))).collect();
    out.set(&m::MODULE_TIMES, serde_json::Value::Object(times).to_string());
    out.set(&m::AGENT_RUNNING, true);
    out.set(&m::AGENT_TIMEOUT, HALF_MINUTE.as_secs());
    out.set(&m::AGENT_UNSAFE, false);
    out.set(&m::AGENT_CONFIGS, runs.len());
    let own = "only the program's own log tells it";
    for metric in [&m::AGENT_RESTARTS, &m::AGENT_LOG_ERRORS, &m::AGENT_LOG_WARNINGS] {
        out.not_in_use(metric, own);
    }
}
