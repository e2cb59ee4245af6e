//! Runs a task on a period: with jitter, back-off after failures, health for pages and `/readyz`, and an orderly end.
//!
//! Every loop of the program goes through [`run_every`]. A failure, or a panic, of a task is logged, counted and tried
//! again later; it never ends the loop, let alone the process.

pub mod cores;
pub mod logged;
pub mod memory;

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::model::time::Millis;

/// What is run, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// Name in the log and in [`Health`].
    pub name: &'static str,
    /// Usual pause between the end of one run and the start of the next.
    pub period: Duration,
    /// Pause after the first failure; each further one doubles it.
    pub first_retry: Duration,
    /// The longest pause that doubling leads to.
    pub longest_retry: Duration,
    /// How long a run may go on after the shutdown has begun.
    pub grace: Duration,
}

impl Job {
    /// A job with this period that retries after 5 seconds at first, later within 5 minutes, and ends within 10 seconds.
    pub const fn every(name: &'static str, period: Duration) -> Self {
        Self {
            name,
            period,
            first_retry: Duration::from_secs(5),
            longest_retry: Duration::from_secs(300),
            grace: Duration::from_secs(10),
        }
    }

    /// The pause after this many failures in a row, before jitter.
    fn retry(&self, failures: u32) -> Duration {
        let doubled = self.first_retry.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        doubled.min(self.longest_retry)
    }
}

/// When a task that went well wants to run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// After the period of the job.
    Usual,
    /// After this pause.
    After(Duration),
}

/// Added as context to an error: how long to leave the peer alone, in place of the usual back-off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter(pub Duration);

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "next try in {} s", self.0.as_secs())
    }
}

/// Runs `task` at once, and then again and again until `cancel`. A run in progress then may finish within the grace.
/// (No `AsyncFnMut`: the compiler cannot yet tell that its futures are `Send`, which `tokio::spawn` asks for.)
pub async fn run_every<T, Run>(job: Job, cancel: CancellationToken, health: Arc<Health>, mut task: T)
where
    T: FnMut() -> Run,
    Run: Future<Output = anyhow::Result<Next>>,
{
    while !cancel.is_cancelled() {
        health.started(job.name);
        // A task that panicked is called again: what it keeps between runs must bear that.
        let step = AssertUnwindSafe(async { task().await }).catch_unwind();
        let Some(outcome) = within_grace(step, &cancel, job.grace).await else {
            tracing::warn!(
                job = job.name,
                "stopped in the middle: not done within the grace of the shutdown"
            );
            return;
        };
        memory::give_back();
        let outcome = outcome.unwrap_or_else(|panic| Err(anyhow::anyhow!("panic: {}", panic_text(&*panic))));
        let pause = match outcome {
            Ok(next) => {
                note_success(&job, &health);
                match next {
                    Next::Usual => job.period,
                    Next::After(pause) => pause,
                }
            }
            Err(error) => note_failure(&job, &health, &error),
        };
        let pause = jittered(pause, random());
        health.rests(job.name, pause);
        tokio::select! {
            () = cancel.cancelled() => {}
            () = sleep(pause) => {}
        }
    }
}

/// The output of `step`, or `None` when it was still running at the end of the grace that `cancel` starts.
async fn within_grace<T>(
    step: impl Future<Output = T>,
    cancel: &CancellationToken,
    grace: Duration,
) -> Option<T> {
    tokio::pin!(step);
    tokio::select! {
        biased;
        outcome = &mut step => Some(outcome),
        () = cancel.cancelled() => timeout(grace, step).await.ok(),
    }
}

fn note_success(job: &Job, health: &Health) {
    let failures = health.succeeded(job.name);
    if failures > 0 {
        tracing::info!(job = job.name, failures, "works again");
    }
}

/// Counts and logs a failure, the same one in a row only once; returns the pause before the next try.
fn note_failure(job: &Job, health: &Health, error: &anyhow::Error) -> Duration {
    let text = format!("{error:#}");
    let Failed { in_a_row, new } = health.failed(job.name, &text);
    let pause = error.downcast_ref::<RetryAfter>().map_or_else(|| job.retry(in_a_row), |later| later.0);
    let seconds = pause.as_secs();
    if new {
        tracing::error!(job = job.name, error = text, retry_in_s = seconds, "failed");
    } else {
        tracing::debug!(job = job.name, in_a_row, retry_in_s = seconds, "failed in the same way again");
    }
    pause
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}

/// The pause, made up to a tenth shorter or longer, so that several processes do not move in step. `random` is 0 to 1.
fn jittered(pause: Duration, random: f64) -> Duration {
    pause.mul_f64(0.9 + 0.2 * random.clamp(0.0, 1.0))
}

/// From 0 to 1; the middle where the system has no randomness.
fn random() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}

/// How the jobs of this process are doing.
#[derive(Debug)]
pub struct Health {
    jobs: Mutex<BTreeMap<&'static str, JobHealth>>,
    clock: fn() -> Millis,
}

/// How one job is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobHealth {
    /// When the newest run began.
    pub last_start: Option<Millis>,
    /// How long the newest run took; `None` while it goes on.
    pub took: Option<Duration>,
    /// When the next run begins; `None` while one goes on.
    pub next: Option<Millis>,
    /// When a run last ended well.
    pub last_success: Option<Millis>,
    /// What is wrong now; `None` once a run has gone well again.
    pub trouble: Option<Trouble>,
    /// Runs begun since the start of the process.
    pub runs: u64,
    /// Runs that failed since the start of the process.
    pub failures: u64,
}

/// What is wrong with a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The newest error with its causes.
    pub error: String,
    /// When the first failure in this row was.
    pub since: Millis,
    /// Failures in a row.
    pub in_a_row: u32,
}

struct Failed {
    in_a_row: u32,
    new: bool,
}

impl Health {
    /// Nothing is known yet. `clock` is [`Millis::now`] but in tests.
    pub fn new(clock: fn() -> Millis) -> Self {
        Self { jobs: Mutex::default(), clock }
    }

    /// How a job is doing, or `None` before its first run.
    pub fn job(&self, name: &str) -> Option<JobHealth> {
        self.lock().get(name).cloned()
    }

    /// How every job is doing, by name.
    pub fn jobs(&self) -> BTreeMap<&'static str, JobHealth> {
        self.lock().clone()
    }

    fn started(&self, name: &'static str) {
        let now = (self.clock)();
        let mut jobs = self.lock();
        let job = jobs.entry(name).or_default();
        job.last_start = Some(now);
        (job.took, job.next) = (None, None);
        job.runs += 1;
    }

    /// The newest run has ended; the next one begins after this pause.
    fn rests(&self, name: &'static str, pause: Duration) {
        let now = (self.clock)();
        let mut jobs = self.lock();
        let job = jobs.entry(name).or_default();
        job.took = job.last_start.map(|start| now.since(start));
        job.next = Some(now.plus(pause));
    }

    /// Returns how many failures in a row this ends.
    fn succeeded(&self, name: &'static str) -> u32 {
        let now = (self.clock)();
        let mut jobs = self.lock();
        let job = jobs.entry(name).or_default();
        job.last_success = Some(now);
        job.trouble.take().map_or(0, |trouble| trouble.in_a_row)
    }

    fn failed(&self, name: &'static str, error: &str) -> Failed {
        let now = (self.clock)();
        let mut jobs = self.lock();
        let job = jobs.entry(name).or_default();
        job.failures += 1;
        let before = job.trouble.take();
        let new = before.as_ref().is_none_or(|before| before.error != error);
        let in_a_row = before.as_ref().map_or(0, |before| before.in_a_row).saturating_add(1);
        let since = before.map_or(now, |before| before.since);
        job.trouble = Some(Trouble { error: error.to_owned(), since, in_a_row });
        Failed { in_a_row, new }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, JobHealth>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use anyhow::{Context, anyhow, bail};
    use tokio::time::Instant;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const JOB: Job = Job::every("poll", Duration::from_secs(60));

    /// Runs a task whose nth call (from 0) is given, for this many seconds of paused time; the seconds of each call.
    async fn seconds_of_calls(
        seconds: u64,
        health: &Arc<Health>,
        task: impl Fn(usize) -> anyhow::Result<Next>,
    ) -> Vec<f64> {
        let (start, cancel) = (Instant::now(), CancellationToken::new());
        let mut calls = Vec::new();
        let run = run_every(JOB, cancel.clone(), Arc::clone(health), || {
            calls.push(start.elapsed().as_secs_f64());
            std::future::ready(task(calls.len() - 1))
        });
        let stop = async {
            sleep(SECOND * u32::try_from(seconds).unwrap()).await;
            cancel.cancel();
        };
        tokio::join!(run, stop);
        calls
    }

    fn gaps(calls: &[f64]) -> Vec<f64> {
        calls.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    fn near(gap: f64, expected: f64) -> bool {
        (expected * 0.9 - 0.01..=expected * 1.1 + 0.01).contains(&gap)
    }

    fn health() -> Arc<Health> {
        Arc::new(Health::new(|| Millis(7)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_runs_at_once_and_then_on_its_period_or_when_it_wishes() {
        let health = health();
        let calls =
            seconds_of_calls(200, &health, |n| Ok(if n == 0 { Next::After(SECOND) } else { Next::Usual }))
                .await;
        assert_eq!(calls[0], 0.0);
        let gaps = gaps(&calls);
        assert!(near(gaps[0], 1.0) && near(gaps[1], 60.0) && near(gaps[2], 60.0), "{gaps:?}");
        let job = health.job("poll").unwrap();
        assert_eq!((job.runs, job.failures, job.trouble), (calls.len() as u64, 0, None));
        assert_eq!((job.last_start, job.last_success), (Some(Millis(7)), Some(Millis(7))));
        assert_eq!(job.took, Some(Duration::ZERO));
        let next = job.next.unwrap().since(Millis(7)).as_secs_f64();
        assert!(near(next, 60.0), "{next}");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_back_off_up_to_a_bound_and_are_forgotten_after_success() {
        let health = health();
        let calls = seconds_of_calls(1300, &health, |n| match n {
            0..=8 => Err(anyhow!("connection refused").context("asking Mailcow")),
            _ => Ok(Next::Usual),
        })
        .await;
        let gaps = gaps(&calls);
        for (gap, expected) in
            gaps.iter().zip([5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0, 60.0])
        {
            assert!(near(*gap, expected), "{gaps:?}");
        }
        let job = health.job("poll").unwrap();
        assert_eq!((job.failures, job.trouble), (9, None));
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_is_kept_with_its_causes() {
        let health = health();
        seconds_of_calls(8, &health, |_| Err(anyhow!("connection refused").context("asking Mailcow"))).await;
        let trouble = health.job("poll").unwrap().trouble.unwrap();
        assert_eq!(trouble.error, "asking Mailcow: connection refused");
        assert_eq!((trouble.in_a_row, trouble.since), (2, Millis(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_can_ask_for_a_longer_rest() {
        let calls = seconds_of_calls(4000, &health(), |_| {
            Err(anyhow!("403")).context(RetryAfter(Duration::from_secs(3600))).context("asking Mailcow")
        })
        .await;
        assert_eq!(calls.len(), 2);
        assert!(near(calls[1], 3600.0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_a_failure_and_nothing_more() {
        let health = health();
        let calls =
            seconds_of_calls(30, &health, |n| if n == 0 { panic!("index {n}") } else { bail!("later") })
                .await;
        assert!(calls.len() >= 2, "the loop must go on after a panic");
        assert_eq!(health.job("poll").unwrap().failures, calls.len() as u64);
        let health = self::health();
        seconds_of_calls(1, &health, |_| panic!("index 0")).await;
        assert_eq!(health.job("poll").unwrap().trouble.unwrap().error, "panic: index 0");
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_lets_a_run_finish_but_not_for_ever() {
        for (length, finished) in [(5, 1), (50, 0)] {
            let (cancel, start, done) =
                (CancellationToken::new(), Instant::now(), Arc::new(AtomicU32::new(0)));
            let counter = Arc::clone(&done);
            let run = tokio::spawn(run_every(JOB, cancel.clone(), health(), move || {
                let counter = Arc::clone(&counter);
                async move {
                    sleep(SECOND * length).await;
                    counter.fetch_add(1, Ordering::Relaxed);
                    Ok(Next::Usual)
                }
            }));
            sleep(SECOND).await;
            cancel.cancel();
            run.await.unwrap();
            assert_eq!(done.load(Ordering::Relaxed), finished);
            assert!(start.elapsed() <= SECOND * 12, "{:?}", start.elapsed());
        }
    }

    #[test]
    fn jitter_stays_within_a_tenth() {
        assert_eq!(jittered(SECOND * 10, 0.0), SECOND * 9);
        assert_eq!(jittered(SECOND * 10, 1.0), SECOND * 11);
    }
}
