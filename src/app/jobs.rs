//! The jobs: poll, inventory, reports, names, measure, prune. Each runs under a lease in the database, so that two
//! processes (or a cron call and the schedule) never run one twice, and a killed run blocks nobody for long.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use futures_util::{FutureExt, future::BoxFuture};
use tokio_util::sync::CancellationToken;

use crate::{
    config::RetentionSettings,
    ingest::{
        fetch::{Fetched, Fetcher, Progress},
        inventory, names,
        poll::{Polled, Poller},
        quarantine,
    },
    metrics::{collector::Collector, sources::Reach},
    model::{time::Millis, user::SessionLimits},
    remote::dns::Dns,
    store::{
        self, Db, audit, dictionaries, gathered, ingestion, job_runs, lease, lines, mails, opens, reports,
        samples, search, sessions, tls_reports, traffic, unreadable,
    },
    web::state::{JobEnd, Jobs},
    work::{Health, JobHealth, memory},
};

/// A lease ends this long after its last renewal: so long a killed run blocks the next.
///
/// It only saves work: who loses it while polling finds out in the database, and takes nothing twice.
const LEASE: Duration = Duration::from_secs(5);

/// The quarantine is read this often at most.
const QUARANTINE_PAUSE: Duration = Duration::from_secs(60);
/// A mail may come into sight later than its copy came into quarantine.
const QUARANTINE_OVERLAP: Duration = Duration::from_secs(24 * 3600);

/// Runs the jobs of one Mailcow.
pub struct Worker {
    poller: Poller,
    fetcher: Fetcher,
    collector: Collector<Reach>,
    retention: RetentionSettings,
    sessions: SessionLimits,
    holder: String,
    /// Asks for the names of addresses; `None`: they are not looked up.
    dns: Option<Dns>,
    /// When the quarantine was last read, in milliseconds since the epoch.
    quarantine_at: AtomicI64,
    health: Arc<Health>,
}

impl Worker {
    /// A worker with a name of its own among all processes that share the database.
    pub fn new(
        poller: Poller,
        fetcher: Fetcher,
        collector: Collector<Reach>,
        retention: RetentionSettings,
        sessions: SessionLimits,
    ) -> Self {
        let mut noise = [0_u8; 8];
        // Without randomness, the process id and the moment still tell processes apart.
        let _ = getrandom::fill(&mut noise);
        let holder = format!("{}-{}-{:x}", std::process::id(), Millis::now().0, u64::from_le_bytes(noise));
        let quarantine_at = AtomicI64::new(0);
        let health = Arc::new(Health::new(Millis::now));
        Self { poller, fetcher, collector, retention, sessions, holder, dns: None, quarantine_at, health }
    }

    /// How the jobs of this process's schedule are.
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// Runs `work` under the lease of this name, and notes how it went: it failed by an error, or by what `fault`
    /// finds in its outcome. `None` when somebody else has the lease.
    async fn leased<T>(
        &self,
        name: &'static str,
        work: impl Future<Output = anyhow::Result<T>>,
        fault: impl Fn(&T) -> Option<String>,
    ) -> anyhow::Result<Option<T>> {
        let Some(held) = Held::take(&self.poller.db, name, &self.holder).await? else { return Ok(None) };
        let started = Millis::now();
        let done = work.await;
        let error = match &done {
            Ok(done) => fault(done),
            Err(error) => Some(format!("{error:#}")),
        };
        held.release(started, error.as_deref()).await;
        done.map(Some)
    }

    /// The same worker, which looks up names of addresses.
    #[must_use]
    pub fn resolving(self, dns: Option<Dns>) -> Self {
        Self { dns, ..self }
    }

    /// Polls once; `None` when somebody else does at present.
    pub async fn poll(&self) -> anyhow::Result<Option<Polled>> {
        let polling = async {
            let polled = self.poller.poll(Millis::now()).await?;
            if polled.as_ref().is_some_and(|polled| polled.new_mails > 0) {
                self.look_into_quarantine(Millis::now()).await;
            }
            Ok(polled)
        };
        let fault = |polled: &Option<Polled>| polled.as_ref().and_then(|polled| told(&polled.faults));
        Ok(self.leased("poll", polling, fault).await?.flatten())
    }

    /// Marks mails that Mailcow keeps in quarantine, once a minute at most; the first look of a process takes all.
    /// A failure costs only that mark, so it does not fail the poll.
    async fn look_into_quarantine(&self, now: Millis) {
        let last = Millis(self.quarantine_at.load(Ordering::Relaxed));
        if now.since(last) < QUARANTINE_PAUSE {
            return;
        }
        let (db, mailcow, server) = (&self.poller.db, &self.poller.mailcow, self.poller.server);
        match quarantine::refresh(db, mailcow, server, last.minus(QUARANTINE_OVERLAP)).await {
            Ok(_) => self.quarantine_at.store(now.0, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "the quarantine could not be read"),
        }
    }

    /// Looks for reports in the mailboxes; `None` when somebody else does at present.
    pub async fn fetch_reports(
        &self,
        watcher: &(dyn Fn(Progress<'_>) + Send + Sync),
    ) -> anyhow::Result<Option<Fetched>> {
        let fetching = async {
            let fetched = self.fetcher.run(watcher).await?;
            reports::refresh(&self.poller.db).await.context("the digests of reports")?;
            Ok(fetched)
        };
        self.leased("reports", fetching, |fetched| told(&fetched.faults)).await
    }

    /// Takes in what another program, as dmarcts-report-parser, has written into the tables of reports; `None` when
    /// somebody else does at present.
    pub async fn settle_reports(&self) -> anyhow::Result<Option<()>> {
        let settling = async {
            let settled = reports::settle(&self.poller.db).await;
            settled.map(drop).context("reports that another program wrote")
        };
        self.leased("settle", settling, |()| None).await
    }

    /// Looks at Mailcow's mailboxes, aliases and domain admins; `None` when somebody else does at present.
    pub async fn inventory(&self) -> anyhow::Result<Option<()>> {
        let looking = async {
            let (db, mailcow) = (&self.poller.db, &self.poller.mailcow);
            let found = inventory::refresh(db, mailcow, Millis::now()).await;
            found.map(drop).context("the inventory of mailboxes and aliases")
        };
        self.leased("inventory", looking, |()| None).await
    }

    /// Works gathered keys in, brings the search index up to date, and learns how to pack mails; `None` when somebody else does at present.
    pub async fn index(&self) -> anyhow::Result<Option<()>> {
        let feeding = async {
            gathered::settle(&self.poller.db, Millis::now()).await.context("the keys of mails")?;
            self.feed_index().await.context("the search index")?;
            let learnt = dictionaries::learn(&self.poller.db, Millis::now(), self.retention.mails).await;
            if learnt.context("a dictionary for packing")? {
                memory::give_back();
            }
            Ok(())
        };
        self.leased("search", feeding, |()| None).await
    }

    async fn feed_index(&self) -> store::Result<()> {
        let db = &self.poller.db;
        search::shape(db).await?;
        while search::feed(db).await? {
            memory::give_back();
            // Between two steps, pollers and visitors get their turn.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Begins the sources that are due; each is claimed by itself, so no lease is needed.
    pub async fn measure(&self) -> anyhow::Result<()> {
        self.collector.begin().await.map(drop).context("the collector")
    }

    /// Rolls up what was measured; `None` when somebody else does at present.
    pub async fn roll(&self) -> anyhow::Result<Option<()>> {
        let rolling = async {
            let rolled = samples::roll(&self.poller.db, Millis::now()).await;
            rolled.context("the roll-ups of what was measured")
        };
        self.leased("roll-up", rolling, |()| None).await
    }

    /// Counts the mail flow of hours whose mails have changed; `None` when somebody else does at present.
    pub async fn count_traffic(&self) -> anyhow::Result<Option<()>> {
        let db = &self.poller.db;
        // Most runs find nothing; they need no lease for that.
        if traffic::due(db, 1).await.context("the mail flow")?.is_empty() {
            return Ok(Some(()));
        }
        let counting = async { traffic::catch_up(db).await.context("the mail flow").map(drop) };
        self.leased("traffic", counting, |()| None).await
    }

    /// Looks up names of sources, if that is wanted; true when more are waiting. `None` when somebody else does at
    /// present.
    pub async fn names(&self) -> anyhow::Result<Option<bool>> {
        let Some(dns) = &self.dns else { return Ok(Some(false)) };
        let looking = async {
            let looked = names::refresh(&self.poller.db, dns, Millis::now()).await;
            Ok(looked.context("the names of sources")? == names::TURN)
        };
        self.leased("names", looking, |_| None).await
    }

    /// Removes what is past its retention; `None` when somebody else does at present.
    pub async fn prune(&self) -> anyhow::Result<Option<()>> {
        let pruning = async { Ok(self.prune_all(Millis::now()).await?) };
        self.leased("prune", pruning, |()| None).await
    }

    async fn prune_all(&self, now: Millis) -> store::Result<()> {
        let db = &self.poller.db;
        let mut more_reports = true;
        loop {
            let mut tx = db.begin().await?;
            let more_mails = mails::prune(&mut tx, now.minus(self.retention.mails)).await?;
            let more_lines = lines::prune(&mut tx, now.minus(self.retention.lines)).await?;
            let more_opens = opens::prune(&mut tx, now.minus(self.retention.mails)).await?;
            let before = now.minus(self.retention.reports);
            let whose = self.retention.whose_reports;
            // Those that others wrote are passed by each time: not once more for the sake of mails.
            more_reports = more_reports && reports::prune(&mut tx, before, now, whose).await?;
            let more_tls_reports = tls_reports::prune(&mut tx, before, now).await?;
            let more_unreadable = unreadable::prune(&mut tx, before).await?;
            let more_access = audit::prune(&mut tx, now.minus(self.retention.access), now).await?;
            tx.commit().await?;
            if !(more_mails
                || more_lines
                || more_opens
                || more_reports
                || more_tls_reports
                || more_unreadable
                || more_access)
            {
                break;
            }
            // Between two pieces, pollers and visitors get their turn.
            tokio::task::yield_now().await;
        }
        dictionaries::prune(db, now, self.retention.mails).await?;
        samples::prune(db, &self.retention.samples, now).await?;
        let mut tx = db.begin().await?;
        ingestion::prune(&mut tx, now.minus(self.retention.mails)).await?;
        sessions::prune(&mut tx, &self.sessions, now).await?;
        tx.commit().await
    }
}

/// Faults as one text, if there are any.
fn told(faults: &[String]) -> Option<String> {
    (!faults.is_empty()).then(|| faults.join("; "))
}

/// How a run ended that was asked for by hand. `fault` is as in [`Worker::leased`].
fn end<T>(ran: anyhow::Result<Option<T>>, fault: impl Fn(&T) -> Option<String>) -> JobEnd {
    match ran {
        Ok(None) => JobEnd::Busy,
        Ok(Some(done)) => fault(&done).map_or(JobEnd::Done, JobEnd::Failed),
        Err(error) => JobEnd::Failed(format!("{error:#}")),
    }
}

impl Jobs for Worker {
    fn by_hand(&self) -> &'static [&'static str] {
        &[
            "poll",
            "inventory",
            "search",
            "reports",
            "settle",
            "names",
            "measure",
            "roll-up",
            "traffic",
            "prune",
        ]
    }

    fn run<'a>(&'a self, name: &'a str) -> BoxFuture<'a, JobEnd> {
        async move {
            match name {
                "poll" => end(self.poll().await, |polled| told(&polled.faults)),
                "inventory" => end(self.inventory().await, |()| None),
                "search" => end(self.index().await, |()| None),
                "reports" => end(self.fetch_reports(&|_| ()).await, |fetched| told(&fetched.faults)),
                "settle" => end(self.settle_reports().await, |()| None),
                "names" => end(self.names().await, |_| None),
                "measure" => end(self.measure().await.map(Some), |()| None),
                "roll-up" => end(self.roll().await, |()| None),
                "traffic" => end(self.count_traffic().await, |()| None),
                "prune" => end(self.prune().await, |()| None),
                _ => JobEnd::Failed(format!("there is no job {name:?}")),
            }
        }
        .boxed()
    }

    fn health(&self) -> BTreeMap<&'static str, JobHealth> {
        self.health.jobs()
    }

    fn last_success(&self) -> BoxFuture<'_, Result<Option<Millis>, String>> {
        async {
            let sources = ingestion::sources(&self.poller.db).await.map_err(|error| error.to_string())?;
            // The source that lags most decides.
            Ok(sources.iter().map(|source| source.succeeded_at).min().flatten())
        }
        .boxed()
    }
}

/// A lease that is renewed until it is released; dropped without, it runs out by itself.
struct Held {
    db: Db,
    name: &'static str,
    holder: String,
    renewing: CancellationToken,
}

impl Held {
    async fn take(db: &Db, name: &'static str, holder: &str) -> store::Result<Option<Self>> {
        // A process may be asked twice at once, too: each run is a holder of its own.
        let holder = format!("{holder}-{}", Millis::now().0);
        let holder: String = holder.chars().take(64).collect();
        if !lease::take(db, name, &holder, Millis::now(), LEASE).await? {
            return Ok(None);
        }
        let renewing = CancellationToken::new();
        let held = Self { db: db.clone(), name, holder, renewing };
        held.keep();
        Ok(Some(held))
    }

    fn keep(&self) {
        let (db, name, holder) = (self.db.clone(), self.name, self.holder.clone());
        let done = self.renewing.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = done.cancelled() => return,
                    () = tokio::time::sleep(LEASE / 3) => {}
                }
                if let Err(error) = lease::take(&db, name, &holder, Millis::now(), LEASE).await {
                    tracing::warn!(lease = name, %error, "the lease could not be renewed");
                }
            }
        });
    }

    /// Gives the lease back and notes how the run went.
    async fn release(self, started: Millis, error: Option<&str>) {
        self.renewing.cancel();
        let noted = async {
            let mut tx = self.db.begin().await?;
            lease::release(&mut tx, self.name, &self.holder).await?;
            job_runs::record(&mut tx, self.name, started, Millis::now(), error).await?;
            tx.commit().await
        };
        if let Err(error) = noted.await {
            tracing::warn!(lease = self.name, %error, "the lease could not be given back; it runs out by itself");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.renewing.cancel();
    }
}
