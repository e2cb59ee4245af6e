//! The Mailcow API, read only: every question that we ask is a [`Route`], and each of them is a harmless GET.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Method, Request, Url, header::HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use super::{
    Cause, Error,
    http::{self, Http},
    objects::{Alias, AliasDomain, Domain, DomainAdmin, HostTime, Mailbox, Quarantined, Version, rows},
};
use crate::model::time::{Clock, Millis};

/// Most bytes of a log answer: 10,000 Postfix lines are 2.5 MB, 1,000 rows of Rspamd's history 3 to 5 MB, and both rings
/// can be made longer. Answers are read row by row, so that this many are never in memory.
pub const LOG_LIMIT: usize = 256 << 20;
/// Most bytes of every other answer.
pub const OBJECT_LIMIT: usize = 8 << 20;
/// After a refusal the next single try comes this much later, unless somebody asks for it.
pub const REFUSED_PAUSE: Duration = Duration::from_secs(60 * 60);

/// A log of Mailcow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Log {
    /// Postfix.
    Postfix,
    /// Dovecot.
    Dovecot,
    /// SOGo.
    Sogo,
    /// The firewall.
    Netfilter,
    /// Mailcow's own health checks.
    Watchdog,
    /// Certificates.
    Acme,
    /// Calls of this API.
    Api,
    /// Set-up of mail programs.
    Autodiscover,
    /// Mails stopped by a rate limit.
    Ratelimited,
    /// Scheduled jobs.
    Cron,
    /// Last sign-ins.
    Sasl,
    /// The web interface.
    Ui,
    /// Rspamd's history.
    RspamdHistory,
}

impl Log {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Postfix,
        Self::Dovecot,
        Self::Sogo,
        Self::Netfilter,
        Self::Watchdog,
        Self::Acme,
        Self::Api,
        Self::Autodiscover,
        Self::Ratelimited,
        Self::Cron,
        Self::Sasl,
        Self::Ui,
        Self::RspamdHistory,
    ];

    /// Mailcow's name of the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postfix => "postfix",
            Self::Dovecot => "dovecot",
            Self::Sogo => "sogo",
            Self::Netfilter => "netfilter",
            Self::Watchdog => "watchdog",
            Self::Acme => "acme",
            Self::Api => "api",
            Self::Autodiscover => "autodiscover",
            Self::Ratelimited => "ratelimited",
            Self::Cron => "cron",
            Self::Sasl => "sasl",
            Self::Ui => "ui",
            Self::RspamdHistory => "rspamd-history",
        }
    }
}

/// A part of a log, newest first, counted from 0 whatever Mailcow counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Rows to skip.
    pub skip: u32,
    /// Rows wanted, at least 1.
    pub rows: u32,
}

impl Span {
    /// The newest rows.
    pub const fn newest(rows: u32) -> Self {
        Self { skip: 0, rows }
    }

    /// The last part of the address. Three rules live behind one form: Redis logs count from 1 and include
    /// both ends, the logs in SQL take a start and a number of rows, Rspamd's history counts from 0.
    fn path(self, log: Log) -> String {
        let Self { skip, rows } = self;
        let rows = rows.max(1);
        match log {
            _ if skip == 0 => rows.to_string(),
            // A start that is not below the number of rows is refused as a reversed range.
            Log::Sasl | Log::Ui => format!("{}-{}", skip + 1, rows.max(skip + 1)),
            Log::RspamdHistory => format!("{skip}-{}", skip + rows - 1),
            _ => format!("{}-{}", skip + 1, skip + rows),
        }
    }
}

/// Everything that may be asked. Mailcow knows a GET that deletes and others that hand out secrets; as no path
/// can be built but from here, none of them can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// A part of a log.
    Logs(Log, Span),
    /// Rspamd's counters: never empty while Rspamd is alive.
    RspamdStats,
    /// All mailboxes, without the costly fields.
    Mailboxes,
    /// All mailboxes with all fields, where Mailcow does not know the shorter form yet.
    MailboxesInFull,
    /// The mailboxes of one domain.
    MailboxesOf(&'a str),
    /// One mailbox.
    Mailbox(&'a str),
    /// All domains.
    Domains,
    /// One domain.
    Domain(&'a str),
    /// The DKIM key of a domain.
    Dkim(&'a str),
    /// All aliases.
    Aliases,
    /// The aliases of one domain.
    AliasesOf(&'a str),
    /// All alias domains.
    AliasDomains,
    /// All domain admins with their domains.
    DomainAdmins,
    /// Mailcow's version.
    Version,
    /// The host, with its wall clock.
    Host,
    /// What lies in quarantine, without the mails themselves.
    Quarantine,
    /// All containers.
    Containers,
    /// The mail store's file system.
    Vmail,
    /// The queue.
    MailQueue,
    /// All sync jobs, without their output.
    SyncJobs,
    /// Bans and what leads to them.
    Fail2ban,
}

impl Route<'_> {
    /// The path below `/api/v1/`; `None` when an argument is no name of a Mailcow object.
    pub fn path(self) -> Option<String> {
        Some(match self {
            Self::Logs(log, span) => format!("get/logs/{}/{}", log.name(), span.path(log)),
            Self::RspamdStats => "get/logs/rspamd-stats".to_owned(),
            Self::Mailboxes => "get/mailbox/reduced".to_owned(),
            Self::MailboxesInFull => "get/mailbox/all".to_owned(),
            Self::MailboxesOf(domain) => format!("get/mailbox/all/{}", segment(domain)?),
            Self::Mailbox(address) => {
                format!("get/mailbox/{}", segment(address).filter(|it| it.contains('@'))?)
            }
            Self::Domains => "get/domain/all".to_owned(),
            Self::Domain(domain) => format!("get/domain/{}", segment(domain).filter(|&it| it != "all")?),
            Self::Dkim(domain) => format!("get/dkim/{}", segment(domain)?),
            Self::Aliases => "get/alias/all".to_owned(),
            Self::AliasesOf(domain) => format!("get/alias/all/{}", segment(domain)?),
            Self::AliasDomains => "get/alias-domain/all".to_owned(),
            Self::DomainAdmins => "get/domain-admin/all".to_owned(),
            Self::Version => "get/status/version".to_owned(),
            Self::Host => "get/status/host".to_owned(),
            Self::Quarantine => "get/quarantine/all".to_owned(),
            Self::Containers => "get/status/containers".to_owned(),
            Self::Vmail => "get/status/vmail".to_owned(),
            Self::MailQueue => "get/mailq/all".to_owned(),
            Self::SyncJobs => "get/syncjobs/all/no_log".to_owned(),
            Self::Fail2ban => "get/fail2ban".to_owned(),
        })
    }

    const fn limit(self) -> usize {
        match self {
            Self::Logs(..) => LOG_LIMIT,
            _ => OBJECT_LIMIT,
        }
    }
}

/// An address or a domain as one path segment. Narrow on purpose: Mailcow splits the path after decoding it, so
/// nothing that needs encoding passes.
fn segment(name: &str) -> Option<&str> {
    let sound = !name.is_empty()
        && name.len() <= 320
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-+@=~!'".contains(c))
        && name.chars().any(|c| c.is_ascii_alphanumeric());
    sound.then_some(name)
}

/// Whom to ask, and with which key.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://mail.example.org`; a path is kept.
    pub base: Url,
    /// API key, read-only is enough.
    pub key: SecretString,
    /// How the HTTP client behaves.
    pub http: http::Settings,
}

/// A refusal after which we do not ask any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// When Mailcow refused first.
    pub since: Millis,
    /// 401 or 403.
    pub status: u16,
    /// Mailcow's words.
    pub text: String,
    next_try: Millis,
}

/// The client. Shared by all who ask, so that one refusal silences all of them.
#[derive(Debug)]
pub struct Mailcow {
    http: Http,
    base: Url,
    key: HeaderValue,
    clock: Clock,
    refusal: Mutex<Option<Refusal>>,
}

impl Mailcow {
    /// Builds the client. Fails when the key cannot stand in a header or a certificate cannot be read.
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, Error> {
        let mut key = HeaderValue::from_str(settings.key.expose_secret().trim())
            .map_err(|_| Error { target: "Mailcow API key".to_owned(), cause: Cause::BadName })?;
        key.set_sensitive(true);
        let mut base = settings.base.clone();
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self { http: Http::new(&settings.http)?, base, key, clock, refusal: Mutex::new(None) })
    }

    /// The origin of Mailcow's own pages (`https://mail.example.org`), for links and for the page policy.
    pub fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// The refusal that keeps us silent, if there is one.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Since when Mailcow refuses us.
    pub fn refused_since(&self) -> Option<Millis> {
        self.refusal().map(|refusal| refusal.since)
    }

    /// Lets the next request through although Mailcow refused: somebody says that the cause is gone.
    pub fn retry(&self) {
        if let Some(refusal) = self.refusal.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            refusal.next_try = Millis(0);
        }
    }

    /// Asks and gives the body of a usable answer: status 200, not empty, no HTML.
    pub async fn ask(&self, route: Route<'_>) -> Result<Vec<u8>, Error> {
        let (request, target) = self.request(route)?;
        let answer = self.http.send(request, route.limit(), &target).await;
        self.learn(answer.and_then(|answer| answer.usable(&target)))
    }

    fn request(&self, route: Route<'_>) -> Result<(Request, String), Error> {
        let path = route.path().ok_or_else(|| bad_name("Mailcow"))?;
        let target = format!("Mailcow {path}");
        self.pass(&target)?;
        let mut url = self.base.clone();
        url.set_path(&format!("{}/api/v1/{path}", self.base.path().trim_end_matches('/')));
        let request = self.http.request(Method::GET, url).header("X-API-Key", self.key.clone()).build();
        Ok((request.map_err(|_| bad_name(&target))?, target))
    }

    /// Refuses at once while Mailcow refuses us; after the pause one single request passes.
    fn pass(&self, target: &str) -> Result<(), Error> {
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(refusal) = refusal.as_mut() else { return Ok(()) };
        let now = self.clock.now();
        if now >= refusal.next_try {
            refusal.next_try = now.plus(REFUSED_PAUSE);
            return Ok(());
        }
        let cause = Cause::Refused { status: refusal.status, text: refusal.text.clone() };
        Err(Error { target: target.to_owned(), cause })
    }

    /// A refusal opens the breaker, a usable answer closes it; an outage says nothing about the key.
    fn learn<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        match &outcome {
            Ok(_) => *refusal = None,
            Err(Error { cause: Cause::Refused { status, text }, .. }) => {
                let now = self.clock.now();
                let since = refusal.as_ref().map_or(now, |refusal| refusal.since);
                let next_try = now.plus(REFUSED_PAUSE);
                *refusal = Some(Refusal { since, status: *status, text: text.clone(), next_try });
            }
            Err(_) => {}
        }
        drop(refusal);
        outcome
    }

    /// A part of a log: a JSON list, or `{}` when there is nothing. The answer is large, so it is handed on in pieces
    /// as they come.
    pub async fn logs(
        &self,
        log: Log,
        span: Span,
        take: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<(), Error> {
        let route = Route::Logs(log, span);
        let (request, target) = self.request(route)?;
        let mut taken = false;
        let mut take = |piece: &[u8]| {
            // That an answer begins tells that the key is good.
            if !std::mem::replace(&mut taken, true) {
                let _ = self.learn(Ok(()));
            }
            take(piece);
        };
        match self.http.stream(request, route.limit(), &target, &mut take).await {
            // Learnt already; Mailcow may have refused another request since.
            Ok(()) => Ok(()),
            failed => self.learn(failed),
        }
    }

    /// Whether Rspamd answers Mailcow: tells an empty history from a broken filter.
    pub async fn rspamd_is_alive(&self) -> Result<bool, Error> {
        let counters: HashMap<String, serde::de::IgnoredAny> =
            self.object(Route::RspamdStats).await.or_else(absent)?;
        Ok(!counters.is_empty())
    }

    /// What lies in quarantine.
    pub async fn quarantine(&self) -> Result<Vec<Quarantined>, Error> {
        self.list(Route::Quarantine).await
    }

    /// All mailboxes. A Mailcow that does not know the short form takes it for the name of a mailbox and finds
    /// none, or says that there is no such route; then the long form is asked for.
    pub async fn mailboxes(&self) -> Result<Vec<Mailbox>, Error> {
        self.all_mailboxes().await
    }

    pub(super) async fn all_mailboxes<T: DeserializeOwned>(&self) -> Result<Vec<T>, Error> {
        match self.list(Route::Mailboxes).await {
            Ok(mailboxes) if !mailboxes.is_empty() => Ok(mailboxes),
            Ok(_) | Err(Error { cause: Cause::Status { status: 404, .. } | Cause::Json(_), .. }) => {
                self.list(Route::MailboxesInFull).await
            }
            Err(error) => Err(error),
        }
    }

    /// One mailbox, if it exists.
    pub async fn mailbox(&self, address: &str) -> Result<Option<Mailbox>, Error> {
        self.object(Route::Mailbox(address)).await.map(Some).or_else(absent)
    }

    /// All domains.
    pub async fn domains(&self) -> Result<Vec<Domain>, Error> {
        self.list(Route::Domains).await
    }

    /// All aliases.
    pub async fn aliases(&self) -> Result<Vec<Alias>, Error> {
        self.list(Route::Aliases).await
    }

    /// All alias domains.
    pub async fn alias_domains(&self) -> Result<Vec<AliasDomain>, Error> {
        self.list(Route::AliasDomains).await
    }

    /// All domain admins.
    pub async fn domain_admins(&self) -> Result<Vec<DomainAdmin>, Error> {
        self.list(Route::DomainAdmins).await
    }

    /// Mailcow's version, such as `2026-08`.
    pub async fn version(&self) -> Result<String, Error> {
        Ok(self.object::<Version>(Route::Version).await?.version)
    }

    /// How far Mailcow's wall clock is ahead of UTC, in minutes, rounded to a quarter of an hour. Mailcow never
    /// tells its time zone; SQL times are in it.
    pub async fn clock_offset(&self) -> Result<Option<i32>, Error> {
        let host: HostTime = self.object(Route::Host).await?;
        Ok(host.offset_minutes(self.clock.now()))
    }

    pub(super) async fn list<T: DeserializeOwned>(&self, route: Route<'_>) -> Result<Vec<T>, Error> {
        let body = self.ask(route).await?;
        rows(&body).map_err(|reason| unreadable(route, reason))
    }

    pub(super) async fn object<T: DeserializeOwned>(&self, route: Route<'_>) -> Result<T, Error> {
        let body = self.ask(route).await?;
        if matches!(body.trim_ascii(), b"{}" | b"[]" | b"null") {
            let target = format!("Mailcow {}", route.path().unwrap_or_default());
            return Err(Error { target, cause: Cause::Missing });
        }
        serde_json::from_slice(&body).map_err(|error| unreadable(route, error.to_string()))
    }
}

fn absent<T: Default>(error: Error) -> Result<T, Error> {
    if error.cause == Cause::Missing { Ok(T::default()) } else { Err(error) }
}

fn unreadable(route: Route<'_>, reason: String) -> Error {
    Error { target: format!("Mailcow {}", route.path().unwrap_or_default()), cause: Cause::Json(reason) }
}

fn bad_name(target: &str) -> Error {
    Error { target: target.to_owned(), cause: Cause::BadName }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_route() -> Vec<Route<'static>> {
        let logs = Log::ALL.into_iter().map(|log| Route::Logs(log, Span { skip: 3, rows: 5 }));
        let others = [
            Route::RspamdStats,
            Route::Mailboxes,
            Route::MailboxesInFull,
            Route::MailboxesOf("a.test"),
            Route::Mailbox("ann@a.test"),
            Route::Domains,
            Route::Domain("a.test"),
            Route::Dkim("a.test"),
            Route::Aliases,
            Route::AliasesOf("a.test"),
            Route::AliasDomains,
            Route::DomainAdmins,
            Route::Version,
            Route::Host,
            Route::Quarantine,
            Route::Containers,
            Route::Vmail,
            Route::MailQueue,
            Route::SyncJobs,
            Route::Fail2ban,
        ];
        logs.chain(others).collect()
    }

    #[test]
    fn no_route_changes_anything_or_hands_out_secrets() {
        for route in every_route() {
            let path = route.path().unwrap();
            assert!(path.starts_with("get/"), "{path}");
            for word in ["reset", "last-login", "postcat", "oauth2", "relayhost", "app-passwd", "host/ip"] {
                assert!(!path.contains(word), "{path}");
            }
        }
    }

    #[test]
    fn each_kind_of_log_has_its_own_way_to_count() {
        let span = Span { skip: 100, rows: 50 };
        assert_eq!(span.path(Log::Postfix), "101-150");
        assert_eq!(span.path(Log::RspamdHistory), "100-149");
        assert_eq!(span.path(Log::Ui), "101-101");
        assert_eq!(Span::newest(20).path(Log::Postfix), "20");
        assert_eq!(Span::newest(0).path(Log::Postfix), "1");
    }

    #[test]
    fn a_name_cannot_leave_its_place_in_the_path() {
        for name in [
            "",
            "..",
            "a/b@c",
            "a@b/../../reset-last-login/x",
            "a%2f@b",
            "a?b@c",
            "a#b@c",
            "a&b@c",
            "a b@c",
            "a\n@b",
            "ü@b",
        ] {
            assert_eq!(Route::Mailbox(name).path(), None, "{name}");
        }
        for name in ["all", "reduced", "a.test"] {
            assert_eq!(Route::Mailbox(name).path(), None, "{name} is no address");
        }
        assert_eq!(Route::Domain("all").path(), None);
        assert_eq!(Route::Mailbox("ann+x@a.test").path().unwrap(), "get/mailbox/ann+x@a.test");
    }
}
