//! Mailcow's containers: which run, since when, and which versions their images carry.
//!
//! Mailcow lists those that Docker has, so one that was removed is in no list. What was there is known from the history of
//! the flags, which survives a restart of the portal: what was there and is missing does not run, as if it were stopped,
//! until it was down for [`PATIENCE`] or the settings name it as off on purpose. An answer without any container is a
//! failure of Mailcow's, and never reaches [`tell`].

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::FutureExt;
use serde_json::json;

use super::Reach;
use crate::{
    metrics::{
        collector::Outcome,
        modules::{clamav, docker, dovecot, postfix, rspamd, updates},
        registry::Metric,
        samples::Samples,
    },
    model::{
        mail::ServerId,
        sample::{Labels, State},
        scope::Scope,
        time::Millis,
    },
    remote::status::Container,
    store::{
        self, Db,
        samples::{Track, tracks},
    },
};

const NO_CONTAINER: &str = "Mailcow has no such container";
const NO_VERSION: &str = "the tag of the image does not tell a version";
const OFF: &str = "it is off on purpose: CONTAINERS_OFF names it";

const DAY: Duration = Duration::from_secs(24 * 3600);
/// What was seen to be down for so long and is missing was taken away for good: by the admin, or by an update of Mailcow.
const PATIENCE: Duration = DAY.saturating_mul(7);
/// What was there is looked for so far back: longer than [`PATIENCE`], because time in which nobody looked does not count.
const MEMORY: Duration = DAY.saturating_mul(30);

pub(super) fn collect<'a>(reach: &'a Reach, out: &'a mut Samples) -> Outcome<'a> {
    async {
        let containers = reach.mailcow.containers().await?;
        let now = reach.clock.now();
        let past = past(&reach.db, reach.server, now).await?;
        tell(&containers, &past, &reach.containers_off, now, out);
        Ok(())
    }
    .boxed()
}

/// The histories of the flags.
async fn past(db: &Db, server: ServerId, now: Millis) -> store::Result<Vec<Track>> {
    let flags = SERVICES.iter().map(|(flag, _)| flag.key).chain([docker::EACH_RUNNING.key]);
    let flags: Vec<&str> = flags.collect();
    tracks(db, &Scope::All, server, &flags, (now.minus(MEMORY), now)).await
}

/// Containers with a flag of their own.
const SERVICES: [(&Metric, &str); 4] = [
    (&postfix::PROCESS_RUNNING, "postfix"),
    (&dovecot::RUNNING, "dovecot"),
    (&rspamd::RUNNING, "rspamd"),
    (&clamav::RUNNING, "clamd"),
];

/// `past`: the histories of the flags. `off`: containers that may be off.
pub(super) fn tell(
    containers: &BTreeMap<String, Container>,
    past: &[Track],
    off: &[String],
    now: Millis,
    out: &mut Samples,
) {
    let listed: BTreeMap<&str, &Container> = containers.iter().map(|(name, it)| (short(name), it)).collect();
    let missing = past.iter().filter(|track| is_expected(track)).filter_map(name_of);
    let missing: BTreeSet<&str> = missing.filter(|name| !listed.contains_key(name)).collect();
    let runs = |name: &str| listed.get(name).map(|container| container.state == "running");
    let is_off = |name: &str| runs(name) != Some(true) && off.iter().any(|it| short(it) == name);
    for (metric, name) in SERVICES {
        match runs(name) {
            _ if is_off(name) => out.not_in_use(metric, OFF),
            None if missing.contains(name) => out.set(metric, false),
            // Mailcow can do without this one.
            None if name == "clamd" => out.not_in_use(metric, NO_CONTAINER),
            running => out.set_or(metric, running, NO_CONTAINER),
        }
    }
    let all: BTreeSet<&str> = listed.keys().copied().chain(missing).collect();
    for name in all.iter().filter(|name| SERVICES.iter().all(|(_, service)| service != *name)) {
        let state = match is_off(name) {
            true => State::NotInUse(OFF.to_owned()),
            false => (runs(name) == Some(true)).into(),
        };
        out.set_each(&docker::EACH_RUNNING, Labels::one("container", name), state);
    }
    tell_version(out, &updates::CONTAINER_VERSION_POSTFIX, containers.get("postfix-mailcow"));
    tell_version(out, &updates::CONTAINER_VERSION_DOVECOT, containers.get("dovecot-mailcow"));
    tell_version(out, &dovecot::VERSION, containers.get("dovecot-mailcow"));
    out.set(&docker::TOTAL, all.iter().filter(|name| !is_off(name)).count());
    out.set(&docker::RUNNING, all.iter().filter(|name| runs(name) == Some(true)).count());
    let list = containers.keys().map(|name| json!({"{#CONTAINER}": short(name), "{#CONTAINER_FULL}": name}));
    out.set(&docker::CONTAINERS, serde_json::Value::Array(list.collect()).to_string());
    for (name, container) in listed.iter().filter(|(_, container)| container.state == "running") {
        if let Ok(started) = container.started_at.parse::<jiff::Timestamp>() {
            let hours = now.since(Millis(started.as_millisecond())).as_secs() / 3600;
            out.set_each(&docker::EACH_UPTIME_H, Labels::one("container", name), hours);
        }
    }
}

/// Whose flag a history is of.
fn name_of(track: &Track) -> Option<&str> {
    let service = || SERVICES.iter().find(|(metric, _)| metric.key == track.metric).map(|(_, name)| *name);
    track.labels.value("container").or_else(service)
}

/// Whether what is missing should be there: it was seen, and was not down for too long since it last ran.
fn is_expected(track: &Track) -> bool {
    let known = track.pieces.iter().rev().filter_map(|piece| Some((piece.extremes?.1 > 0.0, piece.seconds)));
    let mut down = None;
    for (ran, seconds) in known {
        down = Some(down.unwrap_or(0.0) + if ran { 0.0 } else { seconds });
        if ran {
            break;
        }
    }
    down.is_some_and(|seconds| seconds < PATIENCE.as_secs_f64())
}

/// `postfix-mailcow` is `postfix`, exactly: `postfix-tlspol-mailcow` is another one.
fn short(name: &str) -> &str {
    name.strip_suffix("-mailcow").unwrap_or(name)
}

fn tell_version(out: &mut Samples, metric: &Metric, container: Option<&Container>) {
    match container {
        Some(container) => out.set_or(metric, version(&container.image), NO_VERSION),
        None => out.unknown(metric, NO_CONTAINER),
    }
}

/// The version in an image's tag (`…/postfix:3.10.12-1`): older tags carry Mailcow's own short number, `1.80`.
fn version(image: &str) -> Option<&str> {
    let (_, tag) = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))?;
    let upstream = tag.split('-').next().unwrap_or(tag);
    (upstream.split('.').count() >= 3 && upstream.chars().all(|c| c.is_ascii_digit() || c == '.'))
        .then_some(upstream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        metrics::modules,
        model::sample::Sample,
        store::{
            fresh::databases,
            samples::{Batch, Book},
        },
    };

    const SERVER: ServerId = ServerId(1);
    const HOUR: Duration = Duration::from_secs(3600);
    const START: Millis = Millis::from_secs(1_795_132_800);
    const ALL: [&str; 5] = ["postfix", "dovecot", "clamd", "mysql", "solr"];

    /// A portal that looks once an hour, and starts anew before each look.
    struct Portal<'a> {
        db: &'a Db,
        now: Millis,
    }

    impl Portal<'_> {
        /// What it tells an hour later of an answer with these containers.
        async fn look(&mut self, names: &[&str], off: &[&str]) -> Vec<Sample> {
            self.now = self.now.plus(HOUR);
            let container = |name: &&str| {
                let (state, image) = ("running".to_owned(), String::new());
                (format!("{name}-mailcow"), Container { state, image, started_at: String::new() })
            };
            let listed = names.iter().map(container).collect();
            let off: Vec<String> = off.iter().map(|name| (*name).to_owned()).collect();
            let past = past(self.db, SERVER, self.now).await.unwrap();
            let mut out = Samples::new(self.now);
            tell(&listed, &past, &off, self.now, &mut out);
            self.store(None, out.list()).await;
            out.list().to_vec()
        }

        async fn fail(&mut self) {
            self.now = self.now.plus(HOUR);
            self.store(Some("no answer"), &[]).await;
        }

        async fn store(&self, error: Option<&str>, samples: &[Sample]) {
            let (at, took) = (self.now, Duration::ZERO);
            let batch =
                Batch { server: SERVER, source: "containers", at, took, period: HOUR, error, samples };
            Book::default().append(self.db, batch).await.unwrap();
        }
    }

    fn state<'a>(told: &'a [Sample], name: &str) -> Option<&'a State> {
        let service = SERVICES.iter().find(|(_, service)| *service == name);
        let own = |sample: &&Sample| match service {
            Some((metric, _)) => sample.metric == metric.key,
            None => {
                sample.metric == docker::EACH_RUNNING.key && sample.labels.value("container") == Some(name)
            }
        };
        told.iter().find(own).map(|sample| &sample.state)
    }

    fn number(told: &[Sample], metric: &Metric) -> Option<f64> {
        told.iter().find(|sample| sample.metric == metric.key)?.state.number()
    }

    #[tokio::test]
    async fn what_was_there_and_is_missing_does_not_run() {
        let dir = tempfile::tempdir().unwrap();
        for db in databases(&dir).await {
            let mut portal = Portal { db: &db, now: START };
            let (down, without) = (State::from(false), ["postfix", "dovecot"]);
            let first = portal.look(&without, &[]).await;
            assert!(matches!(state(&first, "clamd"), Some(State::NotInUse(_))), "it was never there");
            assert!(matches!(state(&first, "rspamd"), Some(State::Unknown(_))));
            portal.look(&ALL, &[]).await;
            portal.fail().await;
            let told = portal.look(&without, &[]).await;
            for name in ["clamd", "mysql", "solr"] {
                assert_eq!(state(&told, name), Some(&down), "{name}");
            }
            assert_eq!(
                (number(&told, &docker::TOTAL), number(&told, &docker::RUNNING)),
                (Some(5.0), Some(2.0))
            );
            let told = portal.look(&without, &["solr-mailcow", "clamd", "postfix"]).await;
            for name in ["clamd", "solr"] {
                assert!(matches!(state(&told, name), Some(State::NotInUse(_))), "{name} is off on purpose");
            }
            assert_eq!(state(&told, "postfix"), Some(&State::from(true)), "what runs is not off");
            assert_eq!(number(&told, &docker::TOTAL), Some(3.0));
            let told = portal.look(&without, &[]).await;
            assert_eq!(state(&told, "solr"), None, "what was off on purpose is not missed later");
            assert_eq!(state(&told, "mysql"), Some(&down));
            db.close().await;
        }
    }

    #[tokio::test]
    async fn what_is_missing_for_seven_known_days_was_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        for db in databases(&dir).await {
            let mut portal = Portal { db: &db, now: START };
            portal.look(&ALL, &[]).await;
            portal.look(&["postfix"], &[]).await;
            // Ten days in which nobody looks, and an answer that fails, count for nothing.
            portal.now = portal.now.plus(DAY * 10);
            portal.fail().await;
            for _ in 0..160 {
                let told = portal.look(&["postfix"], &[]).await;
                assert_eq!(state(&told, "mysql"), Some(&State::from(false)));
            }
            for _ in 0..12 {
                portal.look(&["postfix"], &[]).await;
            }
            let told = portal.look(&["postfix"], &[]).await;
            assert_eq!(state(&told, "mysql"), None);
            assert!(matches!(state(&told, "clamd"), Some(State::NotInUse(_))));
            assert!(matches!(state(&told, "dovecot"), Some(State::Unknown(_))), "this one cannot be away");
            assert_eq!(number(&told, &docker::TOTAL), Some(1.0));
            portal.look(&ALL, &[]).await;
            let told = portal.look(&["postfix"], &[]).await;
            assert_eq!(state(&told, "mysql"), Some(&State::from(false)), "it had come back");
            db.close().await;
        }
    }

    #[test]
    fn every_flag_of_a_container_is_looked_back_at() {
        let own = modules::of(&[crate::metrics::registry::Origin::Containers]);
        let flags = own.filter(|metric| metric.kind == crate::metrics::registry::Kind::Flag);
        let known = |metric: &&Metric| SERVICES.iter().any(|(flag, _)| flag.key == metric.key);
        let rest: Vec<&str> = flags.filter(|it| !known(it)).map(|metric| metric.key).collect();
        assert_eq!(rest, [docker::EACH_RUNNING.key]);
    }
}
