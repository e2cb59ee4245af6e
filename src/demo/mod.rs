//! A simulated Mailcow: HTTP API, OAuth2 server and mail traffic, over real HTTP.
//!
//! It knows nothing of the portal. It answers as a real Mailcow does, oddities included: an empty list is
//! `{}`, a request without a key gets 200 and nothing, every API answer sets a cookie that is an
//! administrator's session, each log has its own idea of a range, and a code is given to whoever asks.
//! The command `demo` and the tests run the portal against it.

mod api;
pub mod authority;
mod book;
mod dns;
pub mod doors;
mod json;
mod oauth;
mod objects;
mod outside;
mod pages;
pub mod readers;
pub mod reports;
mod rng;
mod session;
mod state;
#[cfg(test)]
mod tests;
mod traffic;
pub mod uptime;
mod vitals;
mod world;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing};
use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;

use crate::model::time::Millis;
pub use dns::NameServer;
pub use rng::Rng;
use state::State;
pub use state::{Call, Fault, History};
pub use traffic::{Entry, Fate, Letter, Line, Peer, Posted, Reach, Story, Target, Trouble, Verdict};
pub use vitals::Vitals;
pub use world::{Alias, AliasDomain, Domain, DomainAdmin, Mailbox, PASSWORD, World};

/// How the simulated server is set up. Begin with [`Options::demo`] or, for tests, the default.
#[derive(Debug, Clone)]
pub struct Options {
    /// The same seed and `now` give the same world, byte for byte.
    pub seed: u64,
    /// Mails that have already passed.
    pub mails: usize,
    /// The present moment at the start.
    pub now: Millis,
    /// Days over which the mails of the past are spread.
    pub days: u32,
    /// Redirect URIs registered for the OAuth2 client.
    pub redirect_uris: Vec<String>,
    /// Rows that each log keeps (Mailcow's `LOG_LINES`); the Postfix log among them.
    pub ring: usize,
    /// Rows that Rspamd keeps.
    pub rspamd_ring: usize,
    /// Widens both rings so that all preloaded mails fit.
    pub preload_fits: bool,
    /// Mean pause between fresh mails; `None`: none come.
    pub live: Option<Duration>,
    /// Time stands still, except for [`Mailcow::advance`].
    pub frozen: bool,
    /// Keeps every line ever logged for [`Mailcow::history`].
    pub keep_history: bool,
    /// Lists the sample logins on the login page.
    pub hints: bool,
    /// Addresses that may use the API key; `None`: all.
    pub allow_from: Option<Vec<IpAddr>>,
}

impl Default for Options {
    /// For tests: an empty server, a clock that stands still, rings as Mailcow ships them.
    fn default() -> Self {
        Self {
            seed: 1,
            mails: 0,
            now: Millis::from_secs(1_795_000_000),
            days: 14,
            redirect_uris: vec!["http://127.0.0.1:8080/callback".to_owned()],
            ring: 9_999,
            rspamd_ring: 1_000,
            preload_fits: false,
            live: None,
            frozen: true,
            keep_history: true,
            hints: false,
            allow_from: None,
        }
    }
}

impl Options {
    /// For the command `demo`: `mails` in the past, and a fresh one every few seconds.
    pub fn demo(seed: u64, mails: usize, now: Millis) -> Self {
        Self {
            seed,
            mails,
            now,
            preload_fits: true,
            live: Some(Duration::from_secs(4)),
            frozen: false,
            keep_history: false,
            hints: true,
            ..Self::default()
        }
    }
}

/// What an administrator would hand to a client of the API and of OAuth2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Read-only API key: five groups of six upper-case hex digits.
    pub api_key: String,
    /// OAuth2 client id, 12 hex digits.
    pub client_id: String,
    /// OAuth2 client secret, 24 hex digits.
    pub client_secret: String,
}

/// The simulated server.
#[derive(Debug)]
pub struct Mailcow {
    /// Key and OAuth2 client.
    pub keys: Keys,
    options: Options,
    started: Millis,
    advanced: AtomicI64,
    state: Mutex<State>,
}

impl Mailcow {
    /// Sets up the world and lets the mails of the past pass.
    pub fn new(options: Options) -> Self {
        let mut rng = Rng::new(options.seed ^ 0x00C0_FFEE);
        let groups: Vec<String> = (0..5).map(|_| rng.hex(6).to_uppercase()).collect();
        let keys = Keys { api_key: groups.join("-"), client_id: rng.hex(12), client_secret: rng.hex(24) };
        let zone = TimeZone::get("Europe/Berlin").unwrap_or(TimeZone::UTC);
        let state = Mutex::new(State::new(&options, zone));
        Self { keys, options, started: Millis::now(), advanced: AtomicI64::new(0), state }
    }

    /// All routes.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/api/v1/{*rest}", routing::any(api::answer))
            .route("/", routing::get(oauth::login_form).post(oauth::login))
            .route("/oauth/authorize", routing::get(oauth::authorize).post(oauth::consent))
            .route("/oauth/token", routing::any(oauth::token))
            .route("/oauth/profile", routing::any(oauth::profile))
            .route("/demo.css", routing::get(pages::style))
            .layer(tower_http::compression::CompressionLayer::new())
            .with_state(Arc::clone(self))
    }

    /// Serves until `shutdown`; requests still under way then have one second.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self: Arc<Self>,
        listener: tokio::net::TcpListener,
        shutdown: CancellationToken,
    ) -> std::io::Result<()> {
        let service = self.router().into_make_service_with_connect_info::<SocketAddr>();
        let server =
            axum::serve(listener, service).with_graceful_shutdown(shutdown.clone().cancelled_owned());
        tokio::select! {
            ended = server.into_future() => ended,
            () = async {
                shutdown.cancelled().await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            } => Ok(()),
        }
    }

    /// The server's present moment.
    pub fn now(&self) -> Millis {
        let elapsed = if self.options.frozen { 0 } else { Millis::now().0 - self.started.0 };
        Millis(self.options.now.0 + elapsed + self.advanced.load(Ordering::SeqCst))
    }

    /// Lets time pass at once; what was due in it happens.
    pub fn advance(&self, by: Duration) {
        self.advanced.fetch_add(i64::try_from(by.as_millis()).unwrap_or(0), Ordering::SeqCst);
        drop(self.state());
    }

    /// Hands in a mail now. Its later lines appear as time passes.
    pub fn push(&self, letter: &Letter) -> Posted {
        self.push_at(self.now(), letter)
    }

    /// Hands in a mail at `at`; lines of the past appear at once, but behind what is logged already.
    pub fn push_at(&self, at: Millis, letter: &Letter) -> Posted {
        let now = self.now();
        let mut state = self.state();
        let State { traffic, world, .. } = &mut *state;
        let posted = traffic.post(world, at, letter);
        state.settle(now);
        posted
    }

    /// Tells a story now.
    pub fn tell(&self, story: Story) {
        let now = self.now();
        let mut state = self.state();
        let State { traffic, world, .. } = &mut *state;
        traffic.tell(world, now, story);
        state.settle(now);
    }

    /// `count` mails of all kinds, which begin now.
    pub fn bustle(&self, count: usize) {
        let now = self.now();
        let mut state = self.state();
        let State { traffic, world, .. } = &mut *state;
        (0..count).for_each(|_| traffic.tell_any(world, now));
        state.settle(now);
    }

    /// Logs one Postfix line now, whatever it says.
    pub fn log(&self, program: &str, message: &str) {
        let now = self.now();
        let line = Line {
            time: now.secs(),
            program: program.to_owned().into(),
            priority: "info",
            message: message.to_owned(),
        };
        let mut state = self.state();
        state.traffic.put(now, traffic::timeline::Deed::Postfix(line));
        state.settle(now);
    }

    /// Every line and row so far, if [`Options::keep_history`]; else nothing.
    pub fn history(&self) -> History {
        self.state().history.clone().unwrap_or_default()
    }

    /// Spoils the answers to paths below `/api/v1/` that contain `part` (`""`: all); adds to earlier faults.
    pub fn fail(&self, part: &str, fault: Fault) {
        self.state().faults.push((part.to_owned(), fault));
    }

    /// Ends all faults and lifts the ban.
    pub fn recover(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.failures.clear();
        state.banned = false;
    }

    /// True once ten bad keys within ten minutes got the caller banned.
    pub fn banned(&self) -> bool {
        self.state().banned
    }

    /// The requests so far, oldest first; the last 10,000.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.iter().cloned().collect()
    }

    /// Looks at the world.
    pub fn world(&self) -> World {
        self.state().world.clone()
    }

    /// Changes the world: accounts, aliases, admins.
    pub fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.state().world);
    }

    /// Switches a mailbox off.
    pub fn deactivate(&self, address: &str) {
        self.set_active(address, 0);
    }

    /// Switches a mailbox: 1 on, 0 off, 2 receives but no login.
    pub fn set_active(&self, address: &str, active: u8) {
        self.change(|world| {
            if let Some(mailbox) = world.mailbox_mut(address) {
                mailbox.active = active;
            }
        });
    }

    /// How the server feels.
    pub fn vitals(&self) -> Vitals {
        Vitals::new(self.options.now)
    }

    /// The state, after everything that is due has happened.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.settle(self.now());
        state
    }
}
