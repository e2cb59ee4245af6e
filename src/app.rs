//! Builds the parts, starts the workers, serves the pages, and shuts down in order.

mod jobs;
pub mod probes;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use jobs::Worker;

use crate::{
    config::{Config, DatabaseSettings, MysqlAddress, secret_files},
    doctor::Patient,
    ingest::{fetch::Fetcher, opens, poll::Poller},
    metrics::{
        collector::Collector,
        sources::{Memory, Probes, Reach, SOURCES},
    },
    model::{
        explain::Dictionary,
        mail::ServerId,
        time::{Clock, Millis},
    },
    remote::{dns, dns::Dns, http, imap, mailcow, mailcow::Mailcow, oauth, outside::Outside},
    store::{Db, db::Place, reports},
    web::{
        looks, router,
        state::{AppState, Jobs, WebSettings},
        text::Lang,
    },
    work::{Health, Job, Next, RetryAfter, memory, run_every},
};

/// The one Mailcow that the settings know.
pub const SERVER: ServerId = ServerId::FIRST;
/// Names of sources are looked up this often.
const NAMES_PAUSE: Duration = Duration::from_secs(60);
/// The pause between two turns while more names are wanted.
const NAMES_BREATH: Duration = Duration::from_secs(2);
/// How long requests under way may go on after the signal to stop.
const GRACE: Duration = Duration::from_secs(10);

/// How long visitors may wait at the start.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// All parts, ready to serve or to run one job.
pub struct App {
    /// The database.
    pub db: Db,
    /// Poll, prune, inventory and reports.
    pub worker: Arc<Worker>,
    config: Config,
    mailcow: Arc<Mailcow>,
}

impl App {
    /// Opens the database and builds the clients. Nothing is asked of Mailcow yet.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let probes = probes::open(&config);
        Self::build_with(config, probes).await
    }

    /// The same, with probes that are not those of the settings alone.
    pub async fn build_with(config: Config, probes: Probes) -> anyhow::Result<Self> {
        let db = open_database(&config.database).await?;
        Self::build_around(db, config, probes)
    }

    /// The same to look only: the schema of the database stays as it is.
    pub async fn build_to_look(config: Config) -> anyhow::Result<Self> {
        let db = look_at_database(&config.database).await?;
        let probes = probes::open(&config);
        Self::build_around(db, config, probes)
    }

    fn build_around(db: Db, config: Config, probes: Probes) -> anyhow::Result<Self> {
        let settings = mailcow::Settings {
            base: config.mailcow.base.clone(),
            key: config.mailcow.api_key.clone(),
            http: http_settings(&config),
        };
        let mailcow = Arc::new(Mailcow::new(&settings, Clock::system()).context("MAILCOW_API_KEY")?);
        let poller = Poller {
            db: db.clone(),
            mailcow: Arc::clone(&mailcow),
            server: SERVER,
            counts: (config.mailcow.postfix_count, config.mailcow.rspamd_count),
            longest: config.poll_interval,
            dictionary: Arc::new(Dictionary::built_in()),
        };
        let fetcher = Fetcher {
            db: db.clone(),
            mailboxes: config.reports.mailboxes.clone(),
            limits: imap::Limits::default(),
            clock: Clock::system(),
        };
        let reach = Reach {
            db: db.clone(),
            mailcow: Arc::clone(&mailcow),
            server: SERVER,
            clock: Clock::system(),
            collector_file: config.collector_file.clone(),
            containers_off: config.containers_off.clone(),
            collector_posts: config.web.collector_key.is_some(),
            probes,
            hostname: config.mailcow.base.host_str().unwrap_or_default().to_owned(),
            time_zone: config.time_zone.iana_name().unwrap_or("unknown").to_owned(),
            started: Millis::now(),
            memory: Memory::default(),
        };
        let collector = Collector::new(SOURCES, reach, db.clone(), SERVER, Clock::system());
        let worker = Worker::new(poller, fetcher, collector, config.retention, config.web.session);
        let worker = Arc::new(worker.resolving(open_dns(&config)));
        Ok(Self { db, worker, config, mailcow })
    }

    /// What `doctor` looks at.
    pub fn patient(&self, mut files: Vec<PathBuf>) -> anyhow::Result<Patient> {
        if let DatabaseSettings::Sqlite(path) = &self.config.database {
            let beside = ["-wal", "-shm"].map(|end| {
                let mut name = path.clone().into_os_string();
                name.push(end);
                PathBuf::from(name)
            });
            files.push(path.clone());
            files.extend(beside.into_iter().filter(|path| path.exists()));
        }
        let mailboxes = self.config.reports.mailboxes.iter();
        Ok(Patient {
            db: self.db.clone(),
            mailcow: Arc::clone(&self.mailcow),
            mailcow_url: self.config.mailcow.base.clone(),
            oauth: self.oauth()?,
            redirect: self.config.web.redirect_uri(),
            outside: Outside::new(&http_settings(&self.config)).context("MAILCOW_CA")?,
            public_url: self.config.web.public_url.clone(),
            mailboxes: mailboxes.map(|it| (it.account.clone(), it.folders.clone())).collect(),
            files,
            poll_patience: self.poll_patience(),
        })
    }

    /// A log that was not read for so long is stuck.
    fn poll_patience(&self) -> Duration {
        self.config.poll_interval * 3 + Duration::from_secs(120)
    }

    /// The client for Mailcow's API.
    pub fn mailcow(&self) -> &Mailcow {
        &self.mailcow
    }

    /// Serves until `stop`; then lets requests and jobs under way finish, for a while.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
        let state = self.state()?;
        self.get_ready(&stop).await;
        let health = Arc::clone(self.worker.health());
        let tasks = TaskTracker::new();
        self.start_workers(&tasks, &stop, &health);
        self.start_flushes(&state, &tasks, &stop, &health);
        router::serve(state.clone(), listener, stop.clone(), GRACE).await.context("the web server failed")?;
        stop.cancel();
        tasks.close();
        let _ = tokio::time::timeout(GRACE, tasks.wait()).await;
        // What was opened while the rest came to its end.
        if let Err(error) = state.opens.flush(&self.db, Millis::now()).await {
            tracing::warn!(%error, "the last opens could not be stored");
        }
        if let Err(error) = state.flush().await {
            tracing::warn!(%error, "the last visits and entries of the access log could not be stored");
        }
        self.db.close().await;
        Ok(())
    }

    /// Works out what pages read of reports, where an upgrade left nothing. Visitors wait at the listener meanwhile, as they
    /// do while the database gets its schema; what takes longer is worked out as it is asked for.
    async fn get_ready(&self, stop: &CancellationToken) {
        let refreshed = tokio::time::timeout(READY_WITHIN, reports::refresh(&self.db));
        let refreshed = stop.run_until_cancelled(refreshed).await;
        if let Some(Ok(Err(error))) = refreshed {
            tracing::warn!(%error, "figures of reports could not be worked out beforehand");
        }
        // The code of the start is needed no more.
        memory::give_back();
    }

    fn start_workers(&self, tasks: &TaskTracker, stop: &CancellationToken, health: &Arc<Health>) {
        let worker = Arc::clone(&self.worker);
        let poll = Job::every("poll", self.config.poll_interval);
        tasks.spawn(run_every(poll, stop.clone(), Arc::clone(health), move || {
            let worker = Arc::clone(&worker);
            async move {
                match worker.poll().await? {
                    Some(polled) if polled.refused => {
                        let cause = anyhow::anyhow!("{}", polled.faults.join("; "));
                        Err(cause.context(RetryAfter(mailcow::REFUSED_PAUSE)))
                    }
                    Some(polled) if !polled.faults.is_empty() => {
                        anyhow::bail!("{}", polled.faults.join("; "))
                    }
                    Some(polled) => Ok(Next::After(polled.pause)),
                    None => Ok(Next::Usual),
                }
            }
        }));
        let worker = Arc::clone(&self.worker);
        let inventory = Job::every("inventory", Duration::from_secs(300));
        tasks.spawn(run_every(inventory, stop.clone(), Arc::clone(health), move || {
            let worker = Arc::clone(&worker);
            async move { worker.inventory().await.map(|_| Next::Usual) }
        }));
        let worker = Arc::clone(&self.worker);
        let index = Job::every("search", Duration::from_secs(20));
        tasks.spawn(run_every(index, stop.clone(), Arc::clone(health), move || {
            let worker = Arc::clone(&worker);
            async move { worker.index().await.map(|_| Next::Usual) }
        }));
        self.start_report_workers(tasks, stop, health);
    }

    fn start_report_workers(&self, tasks: &TaskTracker, stop: &CancellationToken, health: &Arc<Health>) {
        let worker = Arc::clone(&self.worker);
        let reports = Job::every("reports", self.config.reports.interval);
        tasks.spawn(run_every(reports, stop.clone(), Arc::clone(health), move || {
            let worker = Arc::clone(&worker);
            async move {
                match worker.fetch_reports(&|_| ()).await? {
                    Some(fetched) if !fetched.faults.is_empty() => {
                        anyhow::bail!("{}", fetched.faults.join("; "))
                    }
                    _ => Ok(Next::Usual),
                }
            }
        }));
        let worker = Arc::clone(&self.worker);
        let settle = Job::every("settle", Duration::from_secs(300));
        tasks.spawn(run_every(settle, stop.clone(), Arc::clone(health), move || {
            let worker = Arc::clone(&worker);
            async move { worker.settle_reports().await.map(|_| Next::Usual) }
        }));
        let worker = Arc::clone(&self.worker);
        let names = Job::every("names", NAMES_PAUSE);
        tasks.spawn(run_every(names, stop.clone(), Arc::clone(health), move || {
            let worker = Arc::clone(&worker);
            async move {
                let more = worker.names().await?;
                Ok(if more == Some(true) { Next::After(NAMES_BREATH) } else { Next::Usual })
            }
        }));
        let worker = Arc::clone(&self.worker);
        let measure = Job::every("measure", Duration::from_secs(60));
        tasks.spawn(run_every(measure, stop.clone(), Arc::clone(health), move || {
            let worker = Arc::clone(&worker);
            async move { worker.measure().await.map(|()| Next::Usual) }
        }));
        let worker = Arc::clone(&self.worker);
        let roll = Job::every("roll-up", Duration::from_secs(300));
        tasks.spawn(run_every(roll, stop.clone(), Arc::clone(health), move || {
            let worker = Arc::clone(&worker);
            async move { worker.roll().await.map(|_| Next::Usual) }
        }));
        let worker = Arc::clone(&self.worker);
        let traffic = Job::every("traffic", Duration::from_secs(60));
        tasks.spawn(run_every(traffic, stop.clone(), Arc::clone(health), move || {
            let worker = Arc::clone(&worker);
            async move { worker.count_traffic().await.map(|_| Next::Usual) }
        }));
        let worker = Arc::clone(&self.worker);
        let prune = Job::every("prune", Duration::from_secs(6 * 3600));
        tasks.spawn(run_every(prune, stop.clone(), Arc::clone(health), move || {
            let worker = Arc::clone(&worker);
            async move { worker.prune().await.map(|_| Next::Usual) }
        }));
    }

    /// Each process brings the opens that it took, that its visitors were here and what they looked at to the database.
    fn start_flushes(
        &self,
        state: &AppState,
        tasks: &TaskTracker,
        stop: &CancellationToken,
        health: &Arc<Health>,
    ) {
        let (db, taken) = (self.db.clone(), state.clone());
        let job = Job::every("opens", opens::PERIOD);
        tasks.spawn(run_every(job, stop.clone(), Arc::clone(health), move || {
            let (db, state) = (db.clone(), taken.clone());
            async move { Ok(state.opens.flush(&db, Millis::now()).await.map(|()| Next::Usual)?) }
        }));
        let state = state.clone();
        let job = Job::every("access", looks::PERIOD);
        tasks.spawn(run_every(job, stop.clone(), Arc::clone(health), move || {
            let state = state.clone();
            async move { Ok(state.flush().await.map(|()| Next::Usual)?) }
        }));
    }

    /// Where reports are to be sent, as far as the settings tell: the user of the first mailbox, when it is an address.
    fn report_mailbox(&self) -> Option<String> {
        let user = &self.config.reports.mailboxes.first()?.account.user;
        user.contains('@').then(|| user.clone())
    }

    fn oauth(&self) -> anyhow::Result<oauth::OAuth> {
        oauth::OAuth::new(&oauth::Settings {
            base: self.config.mailcow.base.clone(),
            browser_base: self.config.mailcow.base.clone(),
            client_id: self.config.mailcow.client_id.clone(),
            client_secret: self.config.mailcow.client_secret.clone(),
            redirect: self.config.web.redirect_uri(),
            http: http_settings(&self.config),
        })
        .context("the OAuth2 client cannot be built")
    }

    fn state(&self) -> anyhow::Result<AppState> {
        let web = &self.config.web;
        let oauth = self.oauth()?;
        let settings = WebSettings {
            base_path: web.base_path.clone(),
            public_url: web.public_url.clone(),
            mailcow_url: self.config.mailcow.base.clone(),
            trusted_proxies: web.trusted_proxies.clone(),
            sessions: web.session,
            cron_key: web.cron_key.clone(),
            api_token: web.api_token.clone(),
            public_status: web.public_status,
            collector_key: web.collector_key.clone(),
            server: SERVER,
            tracker: web.tracker.clone(),
            default_lang: Lang::from_code(&web.default_lang).unwrap_or(Lang::En),
            zone: self.config.time_zone.clone(),
            logo_dark: web.branding.logo_dark.clone(),
            logo_light: web.branding.logo_light.clone(),
            footer_company: web.branding.company.clone(),
            footer_company_url: web.branding.company_url.clone(),
            brands: web.branding.brands.clone(),
            keep_mails: self.config.retention.mails,
            keep_lines: self.config.retention.lines,
            keep_access: self.config.retention.access,
            keep_reports: self.config.retention.reports,
            keep_samples: self.config.retention.samples,
            declared: self.config.lines.clone(),
            report_mailbox: self.report_mailbox(),
            poll_patience: self.poll_patience(),
        };
        let jobs: Arc<dyn Jobs> = Arc::clone(&self.worker) as Arc<dyn Jobs>;
        let (db, mailcow) = (self.db.clone(), Arc::clone(&self.mailcow));
        let state =
            AppState::new(db, mailcow, oauth, settings, self.config.roles.clone(), jobs, Clock::system());
        state.checkup.equip(self.patient(secret_files())?);
        Ok(state)
    }
}

/// Opens the database that the settings name and brings its schema up to date.
pub async fn open_database(settings: &DatabaseSettings) -> anyhow::Result<Db> {
    Db::open(&place(settings)).await.with_context(|| format!("cannot open the database {settings}"))
}

/// Opens the database that the settings name, and leaves its schema as it is.
pub async fn look_at_database(settings: &DatabaseSettings) -> anyhow::Result<Db> {
    Db::look(&place(settings)).await.with_context(|| format!("cannot open the database {settings}"))
}

/// Opens another program's database, and leaves its schema alone.
pub async fn connect_database(settings: &DatabaseSettings) -> anyhow::Result<Db> {
    Db::connect(&place(settings)).await.with_context(|| format!("cannot open the database {settings}"))
}

fn place(settings: &DatabaseSettings) -> Place {
    match settings {
        DatabaseSettings::Sqlite(path) => Place::Sqlite(path.clone()),
        DatabaseSettings::Mysql(mysql) => Place::mysql(
            match &mysql.address {
                MysqlAddress::Tcp { host, port } => crate::store::db::Address::Tcp(host, *port),
                MysqlAddress::Socket(path) => crate::store::db::Address::Socket(path),
            },
            &mysql.user,
            secrecy::ExposeSecret::expose_secret(&mysql.password),
            &mysql.database,
        ),
    }
}

/// The client for names of addresses. Without a list of name servers the portal works all the same, without names.
fn open_dns(config: &Config) -> Option<Dns> {
    let settings = dns::Settings { servers: config.names.servers.clone(), ..dns::Settings::default() };
    let dns = config.names.resolve.then(|| Dns::new(&settings))?;
    dns.inspect_err(|error| tracing::warn!(%error, "names of addresses are not looked up")).ok()
}

fn http_settings(config: &Config) -> http::Settings {
    let detour = config.mailcow.connect.as_ref().map(|(via, port)| http::Detour {
        host: config.mailcow.base.host_str().unwrap_or_default().to_owned(),
        via: via.clone(),
        port: *port,
    });
    http::Settings { roots_pem: config.mailcow.ca.clone(), detour, ..http::Settings::default() }
}
