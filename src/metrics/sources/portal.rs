//! The portal itself: its collector, and what the Zabbix package says of its agent.

use std::{collections::BTreeSet, time::Duration};

use futures_util::FutureExt;
use serde_json::{Map, json};

use super::{HALF_MINUTE, Reach};
use crate::{
    metrics::{
        collector::Outcome,
        modules::{collector as m, updates},
        samples::Samples,
    },
    model::{scope::Scope, time::Millis},
    store::samples::{Run, Track, sources, tracks},
    work::logged::{LOGGED, Tally},
};

/// So far back earlier starts are looked for.
const MEMORY: Duration = DAY.saturating_mul(30);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Said where nobody counts what is logged.
const NOT_COUNTED: &str = "the log of this program is not counted";
/// A collector that was silent for longer does not run.
const PATIENCE: u64 = 180;

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let runs = sources(&reach.db).await?;
        let now = reach.clock.now();
        tell(&runs, now, out);
        let span = (now.minus(MEMORY), now);
        let past = tracks(&reach.db, &Scope::All, reach.server, &[m::STARTED.key], span).await?;
        tell_agent(reach.started, &past, LOGGED.last_hour(now), now, out);
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
    out.set(&m::AGENT_CONFIGS, runs.len());
}

/// What the Zabbix package says of its agent, of this program. `past`: when it was started, as it told before.
pub(super) fn tell_agent(
    started: Millis,
    past: &[Track],
    logged: Option<Tally>,
    now: Millis,
    out: &mut Samples,
) {
    out.set(&m::STARTED, started.secs());
    out.set(&m::AGENT_UPTIME, now.since(started).as_secs());
    out.set(&m::AGENT_RUNNING, true);
    out.set(&m::AGENT_TIMEOUT, HALF_MINUTE.as_secs());
    out.set(&m::AGENT_UNSAFE, false);
    out.set(&m::AGENT_RESTARTS, restarts(started, past, now));
    out.set_or(&m::AGENT_LOG_ERRORS, logged.map(|tally| tally.errors), NOT_COUNTED);
    out.set_or(&m::AGENT_LOG_WARNINGS, logged.map(|tally| tally.warnings), NOT_COUNTED);
}

/// How often the program was started in the last 24 hours, the first time of all left out.
fn restarts(started: Millis, past: &[Track], now: Millis) -> usize {
    let told = past.iter().flat_map(|track| &track.pieces).filter_map(|piece| piece.extremes);
    let starts = told.flat_map(|(first, last)| [first as i64, last as i64]).chain([started.secs()]);
    let (recent, before): (BTreeSet<i64>, BTreeSet<i64>) =
        starts.partition(|start| *start > now.minus(DAY).secs());
    recent.len() - usize::from(before.is_empty() && !recent.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{mail::ServerId, sample::State},
        store::{
            fresh::databases,
            samples::{Batch, Book},
        },
    };

    #[tokio::test]
    async fn starts_are_counted_across_starts() {
        const SERVER: ServerId = ServerId(1);
        const BEGIN: Millis = Millis::from_secs(1_795_132_800);
        let dir = tempfile::tempdir().unwrap();
        for db in databases(&dir).await {
            // Hours at which a program tells that was started at another hour.
            let look = async |hour: u64, started: u64| {
                let at = |hour: u64| BEGIN.plus(Duration::from_secs(hour * 3600));
                let (now, started) = (at(hour), at(started));
                let span = (now.minus(MEMORY), now);
                let past = tracks(&db, &Scope::All, SERVER, &[m::STARTED.key], span).await.unwrap();
                let mut out = Samples::new(now);
                tell_agent(started, &past, None, now, &mut out);
                let (took, period, samples) = (Duration::ZERO, Duration::from_secs(60), out.list());
                let batch =
                    Batch { server: SERVER, source: "portal", at: now, took, period, error: None, samples };
                Book::default().append(&db, batch).await.unwrap();
                let of = |metric: &str| samples.iter().find(|it| it.metric == metric).unwrap().state.clone();
                assert!(matches!(of(m::AGENT_LOG_ERRORS.key), State::Unknown(_)), "nobody counts");
                of(m::AGENT_RESTARTS.key).number().unwrap()
            };
            assert_eq!(look(0, 0).await, 0.0, "the first start of all is no restart");
            assert_eq!(look(1, 1).await, 1.0);
            assert_eq!(look(2, 1).await, 1.0, "the same start again");
            assert_eq!(look(3, 3).await, 2.0);
            assert_eq!(look(26, 3).await, 1.0);
            assert_eq!(look(28, 3).await, 0.0);
            assert_eq!(look(100, 100).await, 1.0, "after days in which it did not run");
            db.close().await;
        }
    }
}
