//! Runs the sources: each on its own period, a few at a time, each with a time-out, so that a slow one delays no other.

use std::{fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    sync::{Mutex, Semaphore},
    task::JoinHandle,
    time::timeout,
};

use super::{
    modules::{self, host},
    registry::{Metric, Origin, Privilege},
    samples::Samples,
};
use crate::{
    model::{
        mail::ServerId,
        sample::{Labels, State},
        time::Clock,
    },
    remote,
    store::{
        self, Db,
        samples::{Batch, Book, claim},
    },
};

/// So many sources run at once.
const AT_ONCE: usize = 6;
/// A source may have to wait for others before it begins.
const WAIT: Duration = Duration::from_secs(120);
/// Said of a declared metric that its source did not tell.
const NOT_TOLD: &str = "the source did not tell it";

/// How often a source runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Each minute.
    Minute,
    /// Every five minutes.
    FiveMinutes,
    /// Each hour.
    Hour,
}

impl Tier {
    /// The pause between two runs.
    pub const fn period(self) -> Duration {
        Duration::from_secs(match self {
            Self::Minute => 60,
            Self::FiveMinutes => 300,
            Self::Hour => 3600,
        })
    }
}

/// Why a source told nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// What it needs was not granted; how to grant it. Its metrics are not in use.
    NotGranted(String),
    /// It failed. Its metrics are unknown.
    Failed(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::NotGranted(text) | Self::Failed(text)) = self;
        f.write_str(text)
    }
}

impl From<remote::Error> for Trouble {
    fn from(error: remote::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<store::Error> for Trouble {
    fn from(error: store::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What a run of a source gives: it writes into the samples.
pub type Outcome<'a> = BoxFuture<'a, Result<(), Trouble>>;

/// Where samples come from. `R` is what the sources of a list reach: databases, clients, files.
pub struct Source<R: 'static> {
    /// Its name, as on the collector's page.
    pub name: &'static str,
    /// What it reads: its metrics are those of these origins.
    pub origins: &'static [Origin],
    /// How often.
    pub tier: Tier,
    /// Longest run.
    pub timeout: Duration,
    /// Reads, and says what it read.
    pub collect: for<'a> fn(&'a R, &'a mut Samples) -> Outcome<'a>,
}

impl<R> Source<R> {
    /// The metrics that it declares.
    pub fn metrics(&self) -> impl Iterator<Item = &'static Metric> {
        modules::of(self.origins)
    }

    /// What it needs.
    pub fn privilege(&self) -> Privilege {
        self.origins.iter().map(|origin| origin.privilege()).max().unwrap_or(Privilege::Itself)
    }
}

/// One run of a source.
#[derive(Debug)]
pub struct Run {
    /// The source's name.
    pub source: &'static str,
    /// What it told: each declared metric without labels is among it.
    pub samples: Samples,
    /// How long it took.
    pub took: Duration,
    /// What is wrong; nothing is wrong where something was just not granted.
    pub error: Option<String>,
}

/// Waits for its turn and runs a source to its end, its time-out or its panic.
pub async fn run<R>(source: &Source<R>, reach: &R, clock: &Clock, turns: &Semaphore) -> Run {
    // The semaphore is never closed.
    let _turn = turns.acquire().await.ok();
    let start = clock.now();
    let mut samples = Samples::new(start);
    let step = AssertUnwindSafe((source.collect)(reach, &mut samples)).catch_unwind();
    let outcome = match timeout(source.timeout, step).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Trouble::Failed("a defect of this program: see its log".to_owned())),
        Err(_) => Err(Trouble::Failed(format!("not done within {} s", source.timeout.as_secs()))),
    };
    let took = clock.now().since(start);
    let (rest, error) = match outcome {
        Ok(()) => (State::Unknown(NOT_TOLD.to_owned()), None),
        Err(trouble) => {
            // Half of the truth is none.
            samples = Samples::new(start);
            match trouble {
                Trouble::NotGranted(how) => (State::NotInUse(how), None),
                Trouble::Failed(why) => (State::Unknown(why.clone()), Some(why)),
            }
        }
    };
    samples.keep(source.metrics());
    samples.fill(source.metrics(), &rest);
    let own = || Labels::one("source", source.name);
    samples.set_each(&host::EACH_SOURCE_UP, own(), error.is_none());
    samples.set_each(&host::EACH_SOURCE_SECONDS, own(), (took.as_secs_f64() * 100.0).round() / 100.0);
    Run { source: source.name, samples, took, error }
}

/// The collector of one list of sources.
pub struct Collector<R: Send + Sync + 'static> {
    sources: &'static [Source<R>],
    reach: Arc<R>,
    db: Db,
    server: ServerId,
    clock: Clock,
    book: Arc<Mutex<Book>>,
    turns: Arc<Semaphore>,
}

impl<R: Send + Sync + 'static> Collector<R> {
    /// A collector; nothing runs yet.
    pub fn new(sources: &'static [Source<R>], reach: R, db: Db, server: ServerId, clock: Clock) -> Self {
        Self {
            sources,
            reach: Arc::new(reach),
            db,
            server,
            clock,
            book: Arc::default(),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Begins all sources that are due and that no other process runs, and does not wait for them. What a source
    /// tells is stored as soon as it is told. Call it once a minute.
    pub async fn begin(&self) -> store::Result<Vec<JoinHandle<()>>> {
        let wanted = self.sources.iter().map(|it| (it.name, it.tier.period(), it.timeout + WAIT));
        let wanted: Vec<(&str, Duration, Duration)> = wanted.collect();
        let due = claim(&self.db, self.server, &wanted, self.clock.now()).await?;
        let due = self.sources.iter().filter(|source| due.contains(&source.name));
        Ok(due.map(|source| self.spawn(source)).collect())
    }

    fn spawn(&self, source: &'static Source<R>) -> JoinHandle<()> {
        let (reach, clock, turns) = (Arc::clone(&self.reach), self.clock.clone(), Arc::clone(&self.turns));
        let (db, book, server) = (self.db.clone(), Arc::clone(&self.book), self.server);
        tokio::spawn(async move {
            let run = run(source, &reach, &clock, &turns).await;
            if let Some(error) = &run.error {
                tracing::debug!(source = run.source, error, "a source told nothing");
            }
            let batch = Batch {
                server,
                source: run.source,
                at: clock.now(),
                took: run.took,
                period: source.tier.period(),
                error: run.error.as_deref(),
                samples: run.samples.list(),
            };
            if let Err(error) = book.lock().await.append(&db, batch).await {
                tracing::warn!(source = run.source, %error, "what a source told could not be stored");
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use futures_util::{StreamExt, stream::FuturesUnordered};
    use tokio::time::Instant;

    use super::{
        super::modules::{quarantine, updates},
        *,
    };
    use crate::model::time::Millis;

    const SECOND: Duration = Duration::from_secs(1);

    struct Hand(Arc<AtomicI64>);

    fn fast<'a>(_: &'a Hand, out: &'a mut Samples) -> Outcome<'a> {
        out.set(&updates::VERSION_CURRENT, "2026-08");
        async { Ok(()) }.boxed()
    }

    fn failing<'a>(hand: &'a Hand, out: &'a mut Samples) -> Outcome<'a> {
        out.set(&quarantine::TOTAL, 0_u32);
        hand.0.fetch_add(1500, Ordering::SeqCst);
        async { Err(Trouble::Failed("no answer".to_owned())) }.boxed()
    }

    fn slow<'a>(_: &'a Hand, _: &'a mut Samples) -> Outcome<'a> {
        std::future::pending().boxed()
    }

    fn broken<'a>(_: &'a Hand, _: &'a mut Samples) -> Outcome<'a> {
        async { panic!("index out of bounds") }.boxed()
    }

    fn missing<'a>(_: &'a Hand, _: &'a mut Samples) -> Outcome<'a> {
        async { Err(Trouble::NotGranted("set COLLECTOR_FILE".to_owned())) }.boxed()
    }

    const fn source(
        name: &'static str,
        origins: &'static [Origin],
        collect: for<'a> fn(&'a Hand, &'a mut Samples) -> Outcome<'a>,
    ) -> Source<Hand> {
        Source { name, origins, tier: Tier::Minute, timeout: Duration::from_secs(30), collect }
    }

    static SOURCES: &[Source<Hand>] = &[
        source("slow", &[Origin::Relay], slow),
        source("failing", &[Origin::Quarantine], failing),
        source("broken", &[Origin::Aliases], broken),
        source("missing", &[Origin::Vmail], missing),
        source("fast", &[Origin::Version], fast),
    ];

    async fn runs(turns: usize) -> Vec<(Duration, Run)> {
        let (start, turns) = (Instant::now(), Semaphore::new(turns));
        let hand = Arc::new(AtomicI64::new(1000));
        let (clock, reach) = (Clock::by_hand(Arc::clone(&hand)), Hand(hand));
        let all: FuturesUnordered<_> =
            SOURCES.iter().map(|source| async { run(source, &reach, &clock, &turns).await }).collect();
        all.map(|run| (start.elapsed(), run)).collect().await
    }

    fn state<'a>(runs: &'a [(Duration, Run)], metric: &Metric) -> &'a State {
        let samples = runs.iter().flat_map(|(_, run)| run.samples.list());
        &samples.clone().find(|sample| sample.metric == metric.key).unwrap().state
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_source_delays_no_other_and_every_metric_has_a_state() {
        let runs = runs(2).await;
        let at = |name: &str| runs.iter().find(|(_, run)| run.source == name).unwrap();
        for name in ["failing", "broken", "missing", "fast"] {
            assert_eq!(at(name).0, Duration::ZERO, "{name} waited");
        }
        assert_eq!(at("slow").0, SECOND * 30);
        assert_eq!(at("slow").1.error.as_deref(), Some("not done within 30 s"));
        assert_eq!(at("failing").1.took, SECOND * 3 / 2);
        assert!(at("broken").1.error.is_some());
        assert_eq!(at("missing").1.error, None, "what is not granted is no failure");
        for (_, run) in &runs {
            let source = SOURCES.iter().find(|source| source.name == run.source).unwrap();
            for metric in source.metrics().filter(|metric| metric.labels.is_empty()) {
                assert!(
                    run.samples.list().iter().any(|sample| sample.metric == metric.key),
                    "{}",
                    metric.key
                );
            }
        }
        assert_eq!(state(&runs, &updates::VERSION_CURRENT), &State::from("2026-08"));
        assert_eq!(
            state(&runs, &quarantine::TOTAL),
            &State::Unknown("no answer".to_owned()),
            "no half truth"
        );
        let vmail = modules::by_key("mailcow.disk.vmail.used").unwrap();
        assert_eq!(state(&runs, vmail), &State::NotInUse("set COLLECTOR_FILE".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_bound_run_at_once() {
        let runs = runs(1).await;
        let fast = runs.iter().find(|(_, run)| run.source == "fast").unwrap();
        assert_eq!(fast.0, SECOND * 30, "with one turn, the others wait for the slow one");
    }

    #[tokio::test]
    async fn a_cycle_stores_what_each_source_tells() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&store::db::Place::Sqlite(dir.path().join("x.sqlite"))).await.unwrap();
        let hand = Arc::new(AtomicI64::new(1_795_132_800_000));
        let clock = Clock::by_hand(Arc::clone(&hand));
        let collector =
            Collector::new(SOURCES.split_at(1).1, Hand(hand), db.clone(), ServerId(1), clock.clone());
        for handle in collector.begin().await.unwrap() {
            handle.await.unwrap();
        }
        let scope = crate::model::scope::Scope::All;
        let which = store::samples::Which::Source("failing");
        let latest = store::samples::latest(&db, &scope, ServerId(1), which, clock.now()).await.unwrap();
        let up = latest.iter().find(|it| it.metric == host::EACH_SOURCE_UP.key).unwrap();
        assert_eq!((&up.state, up.labels.value("source")), (&State::Number(0.0), Some("failing")));
        let runs = store::samples::sources(&db).await.unwrap();
        assert_eq!(runs.len(), 4);
        let failing = runs.iter().find(|run| run.source == "failing").unwrap();
        assert_eq!((failing.error.as_deref(), failing.took_ms), (Some("no answer"), 1500));
        assert!(collector.begin().await.unwrap().is_empty(), "none is due again at once");
        assert!(failing.succeeded_at.is_none_or(|at| at == Millis(0)));
    }
}
