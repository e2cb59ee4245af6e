//! A portal over a simulated Mailcow, both in this process, over real HTTP, with a clock that the test moves.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::routing::get;
use futures_util::{FutureExt, future::BoxFuture};
use mailcow_status::{
    demo,
    ingest::inventory,
    model::{
        brand::DomainBrand,
        open::TrackerKey,
        scope::{Role, Scope},
        time::{Clock, Millis},
        user::{Reach, RoleRules, SessionLimits, Visitor},
    },
    remote::{http, mailcow, oauth},
    store::{
        audit,
        db::{Db, Place},
        samples::Keep,
    },
    web::{
        router::{self, Access, PAGES, Page},
        state::{AppState, JobEnd, Jobs, WebSettings},
        text::Lang,
    },
    work::JobHealth,
};
use reqwest::{Method, Response, StatusCode, Url, header};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    db::{FreshDb, fresh_databases},
    rig::SERVER,
};

/// The key of `/cron/…`.
pub const CRON_KEY: &str = "cron-s3cret";

/// The token for other systems.
pub const API_TOKEN: &str = "t0ken-for-others";

/// The key of the host collector.
pub const COLLECTOR_KEY: &str = "c0llector-key";

/// The secret of open tracking.
pub const TRACKER_KEY: &str = "0123456789abcdef0123456789abcdef";

/// How a test wants its portal.
#[derive(Clone)]
pub struct Wishes {
    /// What all paths begin with.
    pub base_path: &'static str,
    /// Who has which role.
    pub rules: RoleRules,
    /// Whether there is a cron key.
    pub cron_key: bool,
    /// Whether there is a token for other systems.
    pub api_token: bool,
    /// Whether strangers see the public page.
    pub public_status: bool,
    /// Whether there is a key for the host collector.
    pub collector_key: bool,
    /// Limit for one request to Mailcow.
    pub timeout: Duration,
    /// Proxies to believe.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Whether opens are counted.
    pub tracking: bool,
    /// Names and colours by domain.
    pub brands: Vec<DomainBrand>,
    /// Scheme and host that visitors type, when not the listener's own.
    pub public_url: Option<&'static str>,
}

impl Default for Wishes {
    fn default() -> Self {
        let lent = ("bob@alpha.test".to_owned(), Reach::MailcowAdmin("alphaadmin".to_owned()));
        Self {
            base_path: "/status",
            rules: RoleRules::new(["admin@alpha.test"], [lent], Some("postmaster")),
            cron_key: true,
            api_token: true,
            public_status: true,
            collector_key: true,
            timeout: Duration::from_secs(5),
            trusted_proxies: Vec::new(),
            tracking: true,
            brands: Vec::new(),
            public_url: None,
        }
    }
}

/// Jobs that only count.
#[derive(Default)]
pub struct CountingJobs {
    /// Updates and prunes so far.
    pub runs: AtomicUsize,
    /// Those of them that came to their end.
    pub ended: Arc<AtomicUsize>,
    /// How long the next runs take.
    pub takes: Mutex<Duration>,
    /// How the next runs end.
    pub end: Mutex<Option<JobEnd>>,
    /// When a poll last succeeded.
    pub last: Mutex<Option<Millis>>,
}

impl Jobs for CountingJobs {
    fn by_hand(&self) -> &'static [&'static str] {
        &["poll", "reports", "prune"]
    }

    fn run<'a>(&'a self, _: &'a str) -> BoxFuture<'a, JobEnd> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let end = self.end.lock().unwrap().clone().unwrap_or(JobEnd::Done);
        let (takes, ended) = (*self.takes.lock().unwrap(), Arc::clone(&self.ended));
        async move {
            tokio::time::sleep(takes).await;
            ended.fetch_add(1, Ordering::SeqCst);
            end
        }
        .boxed()
    }

    fn health(&self) -> BTreeMap<&'static str, JobHealth> {
        BTreeMap::new()
    }

    fn last_success(&self) -> BoxFuture<'_, Result<Option<Millis>, String>> {
        let last = *self.last.lock().unwrap();
        async move { Ok(last) }.boxed()
    }
}

/// A running portal.
pub struct Portal {
    pub mailcow: Arc<demo::Mailcow>,
    pub state: AppState,
    pub jobs: Arc<CountingJobs>,
    /// Address of the portal with its base path, without a slash at the end.
    pub url: String,
    /// Address of the simulated Mailcow.
    pub mailcow_url: String,
    hand: Arc<AtomicI64>,
    stop: CancellationToken,
    _db: FreshDb,
}

impl Drop for Portal {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Pages that say who asks, one for each kind of access. Real pages have their own tests.
pub fn probes() -> Vec<Page> {
    async fn whoami(visitor: Visitor) -> String {
        format!("{} {} {:?}", visitor.address, visitor.role.code(), visitor.scope)
    }
    let probe = |path, access| Page { path, access, routes: || get(whoami).post(whoami), most: 1 << 16 };
    let mut probes = vec![
        probe("/probe", Access::SignedIn),
        probe("/probe/domain", Access::AtLeast(Role::DomainAdmin)),
        probe("/probe/admin", Access::AtLeast(Role::Admin)),
        // A mistake that must not open anything: a page for people that is declared public.
        probe("/probe/mistake", Access::Public),
    ];
    if !PAGES.iter().any(|page| page.path == "/") {
        probes.push(probe("/", Access::SignedIn));
    }
    probes
}

impl Portal {
    /// A portal on each engine that there is.
    pub async fn on_each_engine(wishes: Wishes) -> Vec<Self> {
        let mut portals = Vec::new();
        for db in fresh_databases().await {
            portals.push(Self::on(db, wishes.clone()).await);
        }
        portals
    }

    /// A portal on SQLite, as the tests that do not touch the database much want it.
    pub async fn start(wishes: Wishes) -> Self {
        Self::on(super::db::sqlite(), wishes).await
    }

    async fn on(fresh: FreshDb, wishes: Wishes) -> Self {
        let stop = CancellationToken::new();
        let (outside, inside) = (listen().await, listen().await);
        let local = format!("http://{}{}", outside.local_addr().unwrap(), wishes.base_path);
        let mailcow_url = format!("http://{}", inside.local_addr().unwrap());
        let options =
            demo::Options { redirect_uris: vec![format!("{local}/callback")], ..Default::default() };
        let hand = Arc::new(AtomicI64::new(options.now.0));
        let mailcow = Arc::new(demo::Mailcow::new(options));
        tokio::spawn(Arc::clone(&mailcow).serve(inside, stop.clone()));
        let base: Url = mailcow_url.parse().unwrap();
        let public_url =
            wishes.public_url.map_or_else(|| local.clone(), |url| format!("{url}{}", wishes.base_path));
        let settings = WebSettings {
            base_path: wishes.base_path.to_owned(),
            public_url: public_url.parse().unwrap(),
            mailcow_url: base.clone(),
            trusted_proxies: wishes.trusted_proxies.clone(),
            sessions: SessionLimits {
                idle: Duration::from_secs(12 * 3600),
                absolute: Duration::from_secs(7 * 24 * 3600),
            },
            cron_key: wishes.cron_key.then(|| CRON_KEY.to_owned().into()),
            api_token: wishes.api_token.then(|| API_TOKEN.to_owned().into()),
            public_status: wishes.public_status,
            collector_key: wishes.collector_key.then(|| COLLECTOR_KEY.to_owned().into()),
            server: SERVER,
            tracker: TrackerKey::new(TRACKER_KEY.to_owned().into()).filter(|_| wishes.tracking),
            default_lang: Lang::En,
            zone: jiff::tz::TimeZone::UTC,
            logo_dark: None,
            logo_light: None,
            footer_company: None,
            footer_company_url: None,
            brands: wishes.brands.clone(),
            keep_mails: Duration::from_secs(120 * 86_400),
            keep_lines: Duration::from_secs(14 * 86_400),
            keep_access: Duration::from_secs(180 * 86_400),
            keep_reports: Duration::from_secs(400 * 86_400),
            keep_samples: Keep {
                raw: Duration::from_secs(2 * 86_400),
                minutes: Duration::from_secs(30 * 86_400),
                hours: Duration::from_secs(730 * 86_400),
                mailboxes: Duration::from_secs(60 * 86_400),
            },
            declared: Vec::new(),
            report_mailbox: None,
            poll_patience: Duration::from_secs(900),
        };
        let clock = Clock::by_hand(Arc::clone(&hand));
        let client = http::Settings { timeout: wishes.timeout, ..Default::default() };
        let key = mailcow.keys.api_key.clone().into();
        let api = mailcow::Settings { base: base.clone(), key, http: client.clone() };
        let api = Arc::new(mailcow::Mailcow::new(&api, clock.clone()).unwrap());
        let oauth = oauth::OAuth::new(&oauth::Settings {
            base: base.clone(),
            browser_base: base,
            client_id: mailcow.keys.client_id.clone(),
            client_secret: mailcow.keys.client_secret.clone().into(),
            redirect: format!("{local}/callback"),
            http: client,
        })
        .unwrap();
        let db = Db::open(&place(&fresh.url)).await.unwrap();
        let jobs = Arc::new(CountingJobs::default());
        let state =
            AppState::new(db, api, oauth, settings, wishes.rules, Arc::<CountingJobs>::clone(&jobs), clock);
        let pages: Vec<Page> = PAGES.iter().copied().chain(probes()).collect();
        let service = router::assemble(state.clone(), &pages)
            .into_make_service_with_connect_info::<std::net::SocketAddr>();
        let server = axum::serve(outside, service).with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::spawn(server.into_future());
        let portal = Self { mailcow, state, jobs, url: local, mailcow_url, hand, stop, _db: fresh };
        portal.look().await;
        portal
    }

    /// The present moment.
    pub fn now(&self) -> Millis {
        Millis(self.hand.load(Ordering::SeqCst))
    }

    /// Lets time pass, here and at Mailcow.
    pub fn advance(&self, seconds: u64) {
        self.mailcow.advance(Duration::from_secs(seconds));
        self.hand.store(self.mailcow.now().0, Ordering::SeqCst);
    }

    /// Looks at Mailcow's mailboxes and aliases, as the worker does every few minutes.
    pub async fn look(&self) {
        inventory::refresh(&self.state.db, &self.state.mailcow, self.now()).await.unwrap();
    }

    /// A browser that has never been here.
    pub fn browser(&self) -> Surfer {
        Surfer::at(&self.url)
    }

    /// A browser that has signed in.
    pub async fn signed_in(&self, address: &str) -> Surfer {
        let mut browser = self.browser();
        let page = browser.sign_in(address).await;
        assert_eq!(page.status, 303, "{address}: {}", page.body);
        browser
    }

    /// All audit entries, newest first, as `action actor role detail`.
    pub async fn audit(&self) -> Vec<String> {
        let line = |it: audit::Entry| format!("{} {} {} {}", it.action, it.actor, it.role, it.detail);
        self.entries().await.into_iter().map(line).collect()
    }

    /// All audit entries, newest first, also those that are on their way.
    pub async fn entries(&self) -> Vec<audit::Entry> {
        self.state.looks.flush(&self.state.db).await.unwrap();
        audit::list(&self.state.db, &Scope::All, &audit::Filter::default(), None, 1000).await.unwrap()
    }
}

/// The place of a database address.
pub fn place(url: &str) -> Place {
    match url.strip_prefix("sqlite:") {
        Some(path) => Place::Sqlite(path.into()),
        None => Place::mysql_url(url).unwrap(),
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

/// A browser without pictures: it keeps cookies by host and path, and follows nothing by itself.
#[derive(Clone)]
pub struct Surfer {
    url: String,
    client: reqwest::Client,
    jar: HashMap<String, BTreeMap<String, (String, String)>>,
    /// Sent with every request.
    pub headers: Vec<(String, String)>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub location: String,
    pub cookies: Vec<String>,
    pub headers: header::HeaderMap,
    pub body: String,
}

impl Surfer {
    /// A browser that has never been at the portal of this address.
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), jar: HashMap::new(), client: client(), headers: Vec::new() }
    }

    /// The status of a path, if anybody answers.
    pub async fn try_get(url: &str, path: &str) -> Option<u16> {
        client().get(format!("{url}{path}")).send().await.ok().map(|answer| answer.status().as_u16())
    }

    /// Asks for a path of the portal, or a complete address.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, &[]).await
    }

    /// Sends a form.
    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.send(Method::POST, path, form).await
    }

    /// Sends any request.
    pub async fn send(&mut self, method: Method, path: &str, form: &[(&str, &str)]) -> Answer {
        let url = self.address(path);
        let host = url.origin().ascii_serialization();
        let mut request = self.client.request(method.clone(), url.clone());
        let fits =
            |place: &str| place == "/" || url.path() == place || url.path().starts_with(&format!("{place}/"));
        let cookies: Vec<String> = self
            .jar
            .get(&host)
            .into_iter()
            .flatten()
            .filter(|(_, (_, place))| fits(place))
            .map(|(name, (value, _))| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if method == Method::POST {
            request = request.form(form);
        }
        let response = request.send().await.unwrap();
        self.keep(&host, &response);
        answer(response).await
    }

    fn address(&self, path: &str) -> Url {
        if path.starts_with("http") {
            return path.parse().unwrap();
        }
        let begins_with_base = Url::parse(&self.url).unwrap().join(path).unwrap();
        let base = Url::parse(&self.url).unwrap().path().trim_end_matches('/').to_owned();
        match path.starts_with(&base) && !base.is_empty() {
            true => begins_with_base,
            false => format!("{}{path}", self.url).parse().unwrap(),
        }
    }

    fn keep(&mut self, host: &str, response: &Response) {
        let jar = self.jar.entry(host.to_owned()).or_default();
        for line in response.headers().get_all(header::SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (pair, rest) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=').unwrap();
            let path = rest.split(';').find_map(|part| part.trim().strip_prefix("Path=")).unwrap_or("/");
            match rest.contains("Max-Age=0") {
                true => drop(jar.remove(name)),
                false => drop(jar.insert(name.to_owned(), (value.to_owned(), path.to_owned()))),
            }
        }
    }

    /// The value of a cookie of the portal.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let host = Url::parse(&self.url).unwrap().origin().ascii_serialization();
        self.jar.get(&host).and_then(|jar| jar.get(name)).map(|(value, _)| value.clone())
    }

    /// Plants a cookie of the portal.
    pub fn plant(&mut self, name: &str, value: &str) {
        let host = Url::parse(&self.url).unwrap().origin().ascii_serialization();
        let place = (value.to_owned(), "/".to_owned());
        self.jar.entry(host).or_default().insert(name.to_owned(), place);
    }

    /// Goes from the portal to Mailcow, signs in there and consents; the address that Mailcow sends back to.
    pub async fn consent(&mut self, address: &str, next: &str) -> String {
        let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let start = self.get(&format!("/login/start?next={next}")).await;
        assert_eq!(start.status, 303, "{}", start.body);
        self.consent_at(address, &start.location).await
    }

    /// Signs in at Mailcow and consents at this address of its.
    pub async fn consent_at(&mut self, address: &str, authorize: &str) -> String {
        let mailcow = Url::parse(authorize).unwrap().origin().ascii_serialization();
        self.get(authorize).await;
        self.post(&format!("{mailcow}/"), &[("login_user", address), ("pass_user", demo::PASSWORD)]).await;
        let page = self.get(authorize).await;
        let token =
            page.body.split("name=\"csrf_token\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let token = token.unwrap_or_default().to_owned();
        self.post(authorize, &[("authorized", "1"), ("csrf_token", &token)]).await.location
    }

    /// Signs in; the answer of the callback.
    pub async fn sign_in(&mut self, address: &str) -> Answer {
        let back = self.consent(address, "").await;
        self.get(&back).await
    }
}

async fn answer(response: Response) -> Answer {
    let text = |name: header::HeaderName| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let cookies = response.headers().get_all(header::SET_COOKIE).iter();
    Answer {
        status: StatusCode::as_u16(&response.status()),
        location: text(header::LOCATION),
        cookies: cookies.map(|value| value.to_str().unwrap().to_owned()).collect(),
        headers: response.headers().clone(),
        body: response.text().await.unwrap(),
    }
}
