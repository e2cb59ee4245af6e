//! The jobs: poll, inventory, reports, names, measure, prune. Each runs under a lease in the database, so that two
//! processes (or a cron call and the schedule) never run one twice, and a killed run blocks nobody for long.

use std::{
    sync::atomic::{AtomicI64, Ordering},
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
        self, Db, audit, ingestion, lease, lines, mails, opens, reports, samples, search, sessions,
        tls_reports, traffic, unreadable,
    },
    web::state::{JobEnd, Jobs},
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
        Self { poller, fetcher, collector, retention, sessions, holder, dns: None, quarantine_at }
    }

    /// The same worker, which looks up names of addresses.
    #[must_use]
    pub fn resolving(self, dns: Option<Dns>) -> Self {
        Self { dns, ..self }
    }

    /// Polls once; `None` when somebody else does at present.
    pub async fn poll(&self) -> anyhow::Result<Option<Polled>> {
        let Some(held) = Held::take(&self.poller.db, "poll", &self.holder).await? else { return Ok(None) };
        let polled = self.poller.poll(Millis::now()).await;
        if let Ok(Some(polled)) = &polled
            && polled.new_mails > 0
        {
            self.look_into_quarantine(Millis::now()).await;
        }
        held.release().await;
        Ok(polled?)
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
        let Some(held) = Held::take(&self.poller.db, "reports", &self.holder).await? else { return Ok(None) };
        let fetched = self.fetcher.run(watcher).await;
        held.release().await;
        Ok(Some(fetched?))
    }

    /// Takes in what another program, as dmarcts-report-parser, has written into the tables of reports.
    pub async fn settle_reports(&self) -> anyhow::Result<()> {
        let Some(held) = Held::take(&self.poller.db, "settle", &self.holder).await? else { return Ok(()) };
        let settled = reports::settle(&self.poller.db).await;
        held.release().await;
        settled.map(drop).context("reports that another program wrote")
    }

    /// Looks at Mailcow's mailboxes, aliases and domain admins.
    pub async fn inventory(&self) -> anyhow::Result<()> {
        let Some(held) = Held::take(&self.poller.db, "inventory", &self.holder).await? else { return Ok(()) };
        let (db, mailcow, now) = (&self.poller.db, &self.poller.mailcow, Millis::now());
        let found = inventory::refresh(db, mailcow, now).await;
        held.release().await;
        found.map(drop).context("the inventory of mailboxes and aliases")
    }

    /// Brings the search index up to date.
    pub async fn index(&self) -> anyhow::Result<()> {
        let Some(held) = Held::take(&self.poller.db, "search", &self.holder).await? else { return Ok(()) };
        let fed = self.feed_index().await;
        held.release().await;
        fed.context("the search index")
    }

    async fn feed_index(&self) -> store::Result<()> {
        let db = &self.poller.db;
        search::shape(db).await?;
        while search::feed(db).await? {
            // Between two steps, pollers and visitors get their turn.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Begins the sources that are due; each is claimed by itself, so no lease is needed.
    pub async fn measure(&self) -> anyhow::Result<()> {
        self.collector.begin().await.map(drop).context("the collector")
    }

    /// Rolls up what was measured.
    pub async fn roll(&self) -> anyhow::Result<()> {
        let Some(held) = Held::take(&self.poller.db, "roll-up", &self.holder).await? else { return Ok(()) };
        let rolled = samples::roll(&self.poller.db, Millis::now()).await;
        held.release().await;
        rolled.context("the roll-ups of what was measured")
    }

    /// Counts the mail flow of hours whose mails have changed.
    pub async fn count_traffic(&self) -> anyhow::Result<()> {
        let db = &self.poller.db;
        // Most runs find nothing; they need no lease for that.
        if traffic::due(db, 1).await.context("the mail flow")?.is_empty() {
            return Ok(());
        }
        let Some(held) = Held::take(db, "traffic", &self.holder).await? else { return Ok(()) };
        let counted = traffic::catch_up(db).await;
        held.release().await;
        counted.context("the mail flow")
    }

    /// Looks up names of sources, if that is wanted; true when more are waiting.
    pub async fn names(&self) -> anyhow::Result<bool> {
        let Some(dns) = &self.dns else { return Ok(false) };
        let Some(held) = Held::take(&self.poller.db, "names", &self.holder).await? else { return Ok(false) };
        let looked = names::refresh(&self.poller.db, dns, Millis::now()).await;
        held.release().await;
        Ok(looked.context("the names of sources")? == names::TURN)
    }

    /// Removes what is past its retention; false when somebody else does at present.
    pub async fn prune(&self) -> anyhow::Result<bool> {
        let Some(held) = Held::take(&self.poller.db, "prune", &self.holder).await? else { return Ok(false) };
        let pruned = self.prune_all(Millis::now()).await;
        held.release().await;
        pruned?;
        Ok(true)
    }

    async fn prune_all(&self, now: Millis) -> store::Result<()> {
        let db = &self.poller.db;
        loop {
            let mut tx = db.begin().await?;
            let more_mails = mails::prune(&mut tx, now.minus(self.retention.mails)).await?;
            let more_lines = lines::prune(&mut tx, now.minus(self.retention.lines)).await?;
            let more_opens = opens::prune(&mut tx, now.minus(self.retention.mails)).await?;
            let before = now.minus(self.retention.reports);
            let more_reports = reports::prune(&mut tx, before).await?;
            let more_tls_reports = tls_reports::prune(&mut tx, before).await?;
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
        samples::prune(db, &self.retention.samples, now).await?;
        let mut tx = db.begin().await?;
        ingestion::prune(&mut tx, now.minus(self.retention.mails)).await?;
        sessions::prune(&mut tx, &self.sessions, now).await?;
        tx.commit().await
    }
}

impl Jobs for Worker {
    fn update(&self) -> BoxFuture<'_, JobEnd> {
        async {
            match self.poll().await {
                Ok(None) => JobEnd::Busy,
                Ok(Some(polled)) if polled.faults.is_empty() => JobEnd::Done,
                Ok(Some(polled)) => JobEnd::Failed(polled.faults.join("; ")),
                Err(error) => JobEnd::Failed(format!("{error:#}")),
            }
        }
        .boxed()
    }

    fn reports(&self) -> BoxFuture<'_, JobEnd> {
        async {
            match self.fetch_reports(&|_| ()).await {
                Ok(None) => JobEnd::Busy,
                Ok(Some(fetched)) if fetched.faults.is_empty() => JobEnd::Done,
                Ok(Some(fetched)) => JobEnd::Failed(fetched.faults.join("; ")),
                Err(error) => JobEnd::Failed(format!("{error:#}")),
            }
        }
        .boxed()
    }

    fn prune(&self) -> BoxFuture<'_, JobEnd> {
        async {
            match Self::prune(self).await {
                Ok(true) => JobEnd::Done,
                Ok(false) => JobEnd::Busy,
                Err(error) => JobEnd::Failed(format!("{error:#}")),
            }
        }
        .boxed()
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

    async fn release(self) {
        self.renewing.cancel();
        if let Err(error) = lease::release(&self.db, self.name, &self.holder).await {
            tracing::warn!(lease = self.name, %error, "the lease could not be given back; it runs out by itself");
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.renewing.cancel();
    }
}
