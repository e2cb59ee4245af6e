//! What every handler may use. Built once by `app`, shared by all requests.

use std::{collections::BTreeMap, ops::Deref, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use jiff::tz::TimeZone;
use secrecy::SecretString;
use url::{Host, Url};

use super::{
    client::Client,
    doctor::Checkup,
    errors::WebError,
    limits::{Class, Limits},
    looks::Looks,
    public::Shop,
    replies::Replies,
    text::Lang,
    visitor::Scopes,
    visits::Visits,
};
use crate::{
    ingest::opens::Opens,
    model::{
        brand::DomainBrand,
        mail::ServerId,
        open::TrackerKey,
        setting::Line,
        time::{Clock, Millis},
        user::{RoleRules, SessionLimits},
    },
    remote::{mailcow::Mailcow, oauth::OAuth},
    store::{
        self,
        audit::{Action, Entry},
        db::Db,
        samples::Keep,
    },
    work::JobHealth,
};

/// How the pages are served, as the settings say.
#[derive(Debug, Clone)]
pub struct WebSettings {
    /// What all paths begin with: empty, or `/status`.
    pub base_path: String,
    /// The address that visitors type, with the base path.
    pub public_url: Url,
    /// Mailcow, as browsers reach it.
    pub mailcow_url: Url,
    /// Networks of proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How long sessions last.
    pub sessions: SessionLimits,
    /// Key of `/cron/…`; without one, nobody may.
    pub cron_key: Option<SecretString>,
    /// Token of `/metrics` and `/api/metrics`; without one, only admins may.
    pub api_token: Option<SecretString>,
    /// Whether strangers see the public page.
    pub public_status: bool,
    /// Key of the host collector's posts; without one, they are refused.
    pub collector_key: Option<SecretString>,
    /// The server whose metrics are shown.
    pub server: ServerId,
    /// The key of open tracking; without one, nothing is counted.
    pub tracker: Option<TrackerKey>,
    /// Language of browsers that ask for none of ours.
    pub default_lang: Lang,
    /// Time zone of visitors who chose none.
    pub zone: TimeZone,
    /// Logo on dark ground: an address.
    pub logo_dark: Option<String>,
    /// Logo on light ground: an address.
    pub logo_light: Option<String>,
    /// Name at the foot of each page.
    pub footer_company: Option<String>,
    /// Where that name leads to.
    pub footer_company_url: Option<String>,
    /// Names and colours by domain.
    pub brands: Vec<DomainBrand>,
    /// How long mails and their stories are kept.
    pub keep_mails: Duration,
    /// How long raw log lines are kept.
    pub keep_lines: Duration,
    /// How long the access log is kept.
    pub keep_access: Duration,
    /// How long reports are kept.
    pub keep_reports: Duration,
    /// How long what was measured is kept.
    pub keep_samples: Keep,
    /// Every setting as admins see it.
    pub declared: Vec<Line>,
    /// Address of the mailbox that reports come to, when one is set up.
    pub report_mailbox: Option<String>,
    /// `/readyz` fails when the last successful poll is older than this.
    pub poll_patience: Duration,
}

impl WebSettings {
    /// A path of ours, for links: `path` begins with `/`.
    pub fn at(&self, path: &str) -> String {
        match path {
            "/" if !self.base_path.is_empty() => format!("{}/", self.base_path),
            _ => format!("{}{path}", self.base_path),
        }
    }

    /// Whether cookies are marked `Secure`: always, but for plain http on this very machine.
    pub fn secure_cookies(&self) -> bool {
        let loopback = match self.public_url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        !(loopback && self.public_url.scheme() == "http")
    }
}

/// How a job that was asked for by hand ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// All went well.
    Done,
    /// It runs already, here or elsewhere.
    Busy,
    /// What went wrong, in words without secrets.
    Failed(String),
}

/// The jobs, and how they are; `app` provides them.
pub trait Jobs: Send + Sync {
    /// Those that can be run by hand, the most important one first.
    fn by_hand(&self) -> &'static [&'static str];
    /// Runs a job once, unless somebody does already.
    fn run<'a>(&'a self, name: &'a str) -> BoxFuture<'a, JobEnd>;
    /// How the jobs of this process's schedule are.
    fn health(&self) -> BTreeMap<&'static str, JobHealth>;
    /// When a poll last succeeded; an error when the database cannot be asked.
    fn last_success(&self) -> BoxFuture<'_, Result<Option<Millis>, String>>;
}

/// Somebody who asks for a job waits for its end so long at most: less than a page may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a job because somebody asked for it. It comes to its end, and is noted, also when nobody waits for it any more.
/// `None` when it takes longer than that.
async fn run_within(jobs: Arc<dyn Jobs>, name: &'static str, patience: Duration) -> Option<JobEnd> {
    let running = tokio::spawn(async move {
        let end = jobs.run(name).await;
        if let JobEnd::Failed(words) = &end {
            tracing::warn!(job = name, words, "a job that was asked for failed");
        }
        end
    });
    let ran = tokio::time::timeout(patience, running).await.ok()?;
    Some(ran.unwrap_or_else(|_| JobEnd::Failed("It broke off; the log of the portal tells more.".to_owned())))
}

/// The parts of an [`AppState`].
pub struct Parts {
    /// The database.
    pub db: Db,
    /// Mailcow's API.
    pub mailcow: Arc<Mailcow>,
    /// Mailcow's OAuth2.
    pub oauth: OAuth,
    /// How pages are served.
    pub settings: WebSettings,
    /// Who has which role.
    pub rules: RoleRules,
    /// Poll and prune.
    pub jobs: Arc<dyn Jobs>,
    /// The present moment.
    pub clock: Clock,
    /// When the process began to serve.
    pub started: Millis,
    /// Opens on their way to the database.
    pub opens: Opens,
    /// What other servers' answers mean, with the admins' corrections.
    pub(super) replies: Replies,
    /// The check-up for admins.
    pub checkup: Checkup,
    /// Scopes worked out a moment ago.
    pub(super) scopes: Scopes,
    /// What people look at, on its way to the access log.
    pub looks: Looks,
    /// That they were here, on its way to their sessions.
    pub visits: Visits,
    /// Who asked how often.
    pub limits: Limits,
    /// What strangers saw last.
    pub(super) shop: Shop,
}

/// What every handler may use. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Parts>);

impl AppState {
    /// Puts the parts together.
    pub fn new(
        db: Db,
        mailcow: Arc<Mailcow>,
        oauth: OAuth,
        settings: WebSettings,
        rules: RoleRules,
        jobs: Arc<dyn Jobs>,
        clock: Clock,
    ) -> Self {
        let started = clock.now();
        let (scopes, replies) = (Scopes::default(), Replies::default());
        let opens = Opens::new(settings.tracker.clone());
        Self(Arc::new(Parts {
            db,
            opens,
            mailcow,
            oauth,
            settings,
            rules,
            jobs,
            clock,
            started,
            replies,
            checkup: Checkup::default(),
            scopes,
            looks: Looks::default(),
            visits: Visits::default(),
            limits: Limits::default(),
            shop: Shop::default(),
        }))
    }

    /// Brings to the database that people were here, and what they looked at. What cannot be written waits.
    pub async fn flush(&self) -> store::Result<()> {
        let (visits, looks) = (self.visits.flush(&self.db).await, self.looks.flush(&self.db).await);
        visits.and(looks)
    }

    /// Runs a job because somebody asked for it; it goes on when the caller has gone. `None`: it still does.
    pub(super) async fn run_job(&self, name: &'static str) -> Option<JobEnd> {
        run_within(Arc::clone(&self.jobs), name, PATIENCE).await
    }

    /// Counts a request of a class; one too many is an error, and written down.
    pub(super) fn admit(&self, class: Class, client: Client) -> Result<(), WebError> {
        let now = self.clock.now();
        self.limits.admit(class, client, now).map_err(|wait| self.too_many(class, client, wait))
    }

    /// Takes what a program's key was worth: an error after too many wrong ones from its address.
    pub(super) fn weigh(&self, client: Client, right: bool, what: &'static str) -> Result<(), WebError> {
        let now = self.clock.now();
        let weighed = self.limits.weigh(client, right, now);
        if !right && weighed.is_ok() {
            self.looks.note(Entry::new(now, "", Action::KeyRefused, &client.to_string()).detail(what));
        }
        weighed.map_err(|wait| self.too_many(Class::Guess, client, wait))
    }

    fn too_many(&self, class: Class, client: Client, wait: Duration) -> WebError {
        let entry = Entry::new(self.clock.now(), "", Action::Limited, &client.to_string());
        self.looks.note(entry.detail(class.code()));
        WebError::TooMany(wait)
    }
}

impl Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::FutureExt;

    use super::*;

    /// A job that takes a minute.
    #[derive(Default)]
    struct Slow(AtomicBool);

    impl Jobs for Slow {
        fn by_hand(&self) -> &'static [&'static str] {
            &[]
        }

        fn run<'a>(&'a self, name: &'a str) -> BoxFuture<'a, JobEnd> {
            async move {
                assert!(name != "broken", "it breaks");
                tokio::time::sleep(Duration::from_secs(60)).await;
                self.0.store(true, Ordering::SeqCst);
                JobEnd::Done
            }
            .boxed()
        }

        fn health(&self) -> BTreeMap<&'static str, JobHealth> {
            BTreeMap::new()
        }

        fn last_success(&self) -> BoxFuture<'_, Result<Option<Millis>, String>> {
            async { Ok(None) }.boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_goes_on_when_nobody_waits_any_more() {
        let jobs = Arc::new(Slow::default());
        let run = |name, patience| run_within(Arc::clone(&jobs) as _, name, Duration::from_secs(patience));
        assert_eq!(run("poll", 61).await, Some(JobEnd::Done));
        jobs.0.store(false, Ordering::SeqCst);
        assert_eq!(run("poll", 20).await, None);
        assert!(!jobs.0.load(Ordering::SeqCst));
        tokio::time::sleep(Duration::from_secs(41)).await;
        assert!(jobs.0.load(Ordering::SeqCst));
        assert!(matches!(run("broken", 20).await, Some(JobEnd::Failed(_))), "a panic is told, too");
    }
}
