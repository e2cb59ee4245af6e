//! Everything that changes on the simulated server.

use std::{collections::VecDeque, time::Duration};

use jiff::tz::TimeZone;

use super::{
    Options,
    book::Book,
    json::{Json, object},
    oauth::Grants,
    rng::Rng,
    session::Sessions,
    traffic::{
        Line, Traffic,
        timeline::{Deed, Kept, Step},
    },
    world::World,
};
use crate::model::time::Millis;

/// What a test may do to the answers. See [`super::Mailcow::fail`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 500 with a sentence in HTML, as when Redis, MariaDB or the docker API service is down.
    Down,
    /// 502 with an HTML page, as when PHP is down.
    Gateway,
    /// 200 with an HTML page.
    Html,
    /// 200 with an empty body.
    Empty,
    /// 200 with `{}`, as when Rspamd is down.
    Object,
    /// The right answer, cut in the middle.
    Half,
    /// The right list with a `null` before its first and after its last row.
    NullRows,
    /// No answer at all.
    Hang,
    /// 401: authentication failed.
    Unauthorized,
    /// 403.
    Forbidden,
}

/// A request that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// When.
    pub at: Millis,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Whether it carried an API key.
    pub with_key: bool,
    /// Whether it carried a cookie.
    pub with_cookie: bool,
    /// HTTP status of the answer; 0 when there was none.
    pub status: u16,
}

/// Everything that the server ever logged, oldest first, however small its rings are.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Postfix lines.
    pub lines: Vec<Line>,
    /// Rows of Rspamd's history as JSON text.
    pub rows: Vec<String>,
}

/// A mail in the queue.
#[derive(Debug)]
pub(super) struct Waiting {
    pub id: String,
    pub queue: &'static str,
    pub arrival: Millis,
    pub size: u64,
    pub sender: String,
    pub recipients: Vec<(String, String)>,
}

/// The latest login of a user from an address at a service.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub service: &'static str,
    pub username: String,
    pub ip: String,
    pub at: Millis,
}

/// Mailcow's logs in Redis, and Rspamd's history.
#[derive(Debug)]
pub(super) struct Books {
    pub postfix: Book,
    pub rspamd: Book,
    pub dovecot: Book,
    pub sogo: Book,
    pub netfilter: Book,
    pub watchdog: Book,
    pub acme: Book,
    pub api: Book,
    pub ratelimited: Book,
    pub autodiscover: Book,
    pub cron: Book,
}

/// The state behind the lock.
#[derive(Debug)]
pub(super) struct State {
    pub world: World,
    pub traffic: Traffic,
    pub books: Books,
    pub history: Option<History>,
    pub ui: Vec<Json>,
    pub logins: Vec<Login>,
    pub queue: Vec<Waiting>,
    pub quarantine: Vec<Json>,
    pub actions: Vec<(&'static str, u64)>,
    pub faults: Vec<(String, Fault)>,
    pub calls: VecDeque<Call>,
    pub failures: VecDeque<Millis>,
    pub banned: bool,
    pub sessions: Sessions,
    pub grants: Grants,
    pub redirect_uris: Vec<String>,
    pub rng: Rng,
    pub zone: TimeZone,
    live: Option<(Duration, Millis)>,
    minute: i64,
}

impl State {
    pub fn new(options: &Options, zone: TimeZone) -> Self {
        let world = World::sample(options.now);
        let mut traffic = Traffic::new(options.seed, zone.clone());
        traffic.preload(&world, options.now, options.mails, options.days);
        let ring = |limit| Book::new(limit);
        let mut state = Self {
            world,
            traffic,
            books: Books {
                postfix: ring(options.ring),
                rspamd: ring(options.rspamd_ring),
                dovecot: ring(options.ring),
                sogo: ring(options.ring),
                netfilter: ring(options.ring),
                watchdog: ring(options.ring),
                acme: ring(options.ring),
                api: ring(options.ring),
                ratelimited: ring(options.ring),
                autodiscover: ring(100),
                cron: ring(options.ring),
            },
            history: options.keep_history.then(History::default),
            ui: Vec::new(),
            logins: Vec::new(),
            queue: Vec::new(),
            quarantine: Vec::new(),
            actions: ["reject", "soft reject", "rewrite subject", "add header", "greylist", "no action"]
                .map(|name| (name, 0))
                .to_vec(),
            faults: Vec::new(),
            calls: VecDeque::new(),
            failures: VecDeque::new(),
            banned: false,
            sessions: Sessions::default(),
            grants: Grants::default(),
            redirect_uris: options.redirect_uris.clone(),
            rng: Rng::new(options.seed ^ 0x5E55_1015),
            zone,
            live: options.live.map(|pause| (pause, options.now)),
            minute: 0,
        };
        if options.preload_fits {
            state.books.postfix.widen(usize::MAX);
            state.books.rspamd.widen(usize::MAX);
        }
        state.furnish(options.now);
        state.settle(options.now);
        if options.preload_fits {
            state.books.postfix.resize(options.ring.max(state.books.postfix.len() + 1000));
            state.books.rspamd.resize(options.rspamd_ring.max(state.books.rspamd.len() + 1000));
        }
        state
    }

    /// Lets everything happen that is due at `now`.
    pub fn settle(&mut self, now: Millis) {
        while let Some((pause, next)) = self.live
            && next <= now
        {
            self.traffic.tell_any(&self.world, next);
            self.live = Some((pause, next.plus(self.traffic.pause(pause))));
        }
        while let Some((at, deed)) = self.traffic.due(now) {
            self.tick(at);
            self.happen(at, deed);
        }
        self.tick(now);
    }

    /// Once a minute a job cuts the Redis lists to their limit + 1.
    fn tick(&mut self, at: Millis) {
        let minute = at.secs().div_euclid(60);
        if minute <= self.minute {
            return;
        }
        self.minute = minute;
        let Books { postfix, dovecot, sogo, netfilter, watchdog, acme, api, ratelimited, cron, .. } =
            &mut self.books;
        for book in [postfix, dovecot, sogo, netfilter, watchdog, acme, api, ratelimited, cron] {
            book.trim(1);
        }
        if self.live.is_some() {
            self.watch(at);
        }
    }

    /// What the watchdog says each minute, while time goes on.
    fn watch(&mut self, at: Millis) {
        const SERVICES: [&str; 14] = [
            "Postfix",
            "Dovecot",
            "Rspamd",
            "MySQL/MariaDB",
            "Nginx",
            "SOGo",
            "Redis",
            "Unbound",
            "PHP-FPM",
            "Fail2ban",
            "ACME",
            "Mail queue",
            "Olefy",
            "Ratelimit",
        ];
        for service in SERVICES {
            let level = if service == "SOGo" { "80" } else { "100" };
            let row = object! {
                "time": at.secs().to_string(), "service": service, "lvl": level, "hpnow": "8", "hptotal": "8",
                "hpdiff": "0",
            };
            self.books.watchdog.push(row.pretty(1));
        }
    }

    fn happen(&mut self, at: Millis, deed: Deed) {
        match deed {
            Deed::Postfix(line) => self.log_postfix(line),
            Deed::Dovecot(message) => self.books.dovecot.push(syslog(at, "dovecot", "info", &message)),
            Deed::Scan(row) => self.log_scan(&row),
            Deed::Netfilter { priority, message } => self.log_netfilter(at, priority, message),
            Deed::Ratelimited(row) => self.books.ratelimited.push(row.pretty(1)),
            Deed::Quarantine(kept) => self.quarantine(at, &kept),
            Deed::Queue { id, step } => self.move_in_queue(at, id, step),
        }
    }

    fn log_postfix(&mut self, line: Line) {
        let row = object! {
            "time": line.time.to_string(),
            "program": line.program.as_ref(),
            "priority": line.priority,
            "message": line.message.as_str(),
        };
        self.books.postfix.push(row.pretty(1));
        if let Some(history) = &mut self.history {
            history.lines.push(line);
        }
    }

    fn log_scan(&mut self, row: &Json) {
        if let Json::Object(pairs) = row {
            let text = |name| {
                pairs.iter().find_map(|(key, value)| match value {
                    Json::Text(text) if key == name => Some(text.as_str()),
                    _ => None,
                })
            };
            // The statistics count greylisting apart, although the history calls it a soft reject.
            let action = match text("passthrough_module") {
                Some("greylist") => Some("greylist"),
                _ => text("action"),
            };
            for (name, count) in &mut self.actions {
                *count += u64::from(Some(*name) == action);
            }
        }
        let text = row.pretty(1);
        if let Some(history) = &mut self.history {
            history.rows.push(text.clone());
        }
        self.books.rspamd.push(text);
        self.books.rspamd.trim(0);
    }

    pub fn log_netfilter(&mut self, at: Millis, priority: &'static str, message: String) {
        let row = object! { "time": at.secs(), "priority": priority, "message": message };
        self.books.netfilter.push(row.pretty(1));
    }

    fn quarantine(&mut self, at: Millis, kept: &Kept) {
        self.quarantine.push(object! {
            "id": self.quarantine.len() + 1,
            "qid": kept.id.as_str(),
            "subject": kept.subject.as_str(),
            "virus_flag": if kept.virus { 17 } else { 0 },
            "score": kept.score,
            "rcpt": kept.to.as_str(),
            "sender": kept.sender.as_str(),
            "action": "reject",
            "created": at.secs(),
            "notified": 0,
        });
    }

    fn move_in_queue(&mut self, at: Millis, id: String, step: Step) {
        let known = self.queue.iter().position(|mail| mail.id == id);
        match (step, known) {
            (Step::Active { sender, size, recipients }, _) => {
                self.enter_queue("active", at, known, id, sender, size, recipients);
            }
            (Step::Hold { sender, size, recipients }, _) => {
                self.enter_queue("hold", at, known, id, sender, size, recipients);
            }
            (Step::Wait { to, reason }, Some(index)) => {
                let mail = &mut self.queue[index];
                mail.queue = "deferred";
                if let Some(entry) = mail.recipients.iter_mut().find(|entry| entry.0 == to) {
                    entry.1 = reason;
                }
            }
            (Step::Leave { to }, Some(index)) => self.queue[index].recipients.retain(|entry| entry.0 != to),
            (Step::Gone, Some(index)) => _ = self.queue.remove(index),
            (Step::Wait { .. } | Step::Leave { .. } | Step::Gone, None) => {}
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn enter_queue(
        &mut self,
        queue: &'static str,
        at: Millis,
        known: Option<usize>,
        id: String,
        sender: String,
        size: u64,
        recipients: Vec<String>,
    ) {
        match known {
            Some(index) => self.queue[index].queue = queue,
            None => {
                let recipients = recipients.into_iter().map(|to| (to, String::new())).collect();
                self.queue.push(Waiting { id, queue, arrival: at, size, sender, recipients });
            }
        }
    }

    /// Notes a request to the API in its log.
    pub fn log_api(&mut self, at: Millis, method: &str, uri: &str, remote: &str, data: &str) {
        let row = object! { "time": at.secs(), "uri": uri, "method": method, "remote": remote, "data": data };
        self.books.api.push(row.pretty(1));
    }

    /// Notes what a login came to.
    pub fn log_ui(
        &mut self,
        at: Millis,
        kind: &str,
        msg: String,
        call: Option<String>,
        user: &str,
        remote: &str,
    ) {
        let role = if user == "unauthenticated" { user } else { "user" };
        self.ui.push(object! {
            "id": self.ui.len() + 1,
            "task": self.rng.hex(6).to_uppercase(),
            "type": kind,
            "msg": msg,
            "call": call,
            "user": user,
            "role": role,
            "remote": remote,
            "time": at.secs(),
        });
    }

    /// Notes a good login; only the latest one of a user, address and service is kept.
    pub fn log_login(&mut self, at: Millis, service: &'static str, username: &str, ip: &str) {
        self.logins
            .retain(|old| (old.service, old.username.as_str(), old.ip.as_str()) != (service, username, ip));
        self.logins.push(Login { service, username: username.to_owned(), ip: ip.to_owned(), at });
    }

    /// Notes a failed API key; ten within 600 s ban the caller.
    pub fn count_failure(&mut self, at: Millis, remote: &str) {
        self.failures.retain(|old| at.since(*old) < Duration::from_secs(600));
        self.failures.push_back(at);
        let text =
            format!("{remote} matched rule id 1 (mailcow UI: Invalid password for API_USER by {remote})");
        self.log_netfilter(at, "warn", text);
        if self.failures.len() >= 10 && !self.banned {
            self.banned = true;
            self.log_netfilter(at, "crit", format!("Banning {remote}/32 for 30 minutes"));
        }
    }

    /// The fault that applies to `path`, if any.
    pub fn fault(&self, path: &str) -> Option<Fault> {
        self.faults.iter().find(|(part, _)| path.contains(part.as_str())).map(|(_, fault)| *fault)
    }

    /// Local time without a zone, as everything from SQL.
    pub fn local(&self, at: Millis) -> String {
        at.in_zone(&self.zone).strftime("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// The quieter logs: a few typical rows before `now`.
    fn furnish(&mut self, now: Millis) {
        let ago = |seconds| now.minus(Duration::from_secs(seconds));
        for (seconds, service, lvl, hp) in
            [(300, "Postfix", 100, 8), (200, "Rspamd", 100, 5), (80, "Mail queue", 95, 19)]
        {
            let row = object! {
                "time": ago(seconds).secs().to_string(), "service": service, "lvl": lvl.to_string(),
                "hpnow": hp.to_string(), "hptotal": (hp * 100 / lvl).to_string(), "hpdiff": "0",
            };
            self.books.watchdog.push(row.pretty(1));
        }
        let text = object! { "time": ago(60).secs().to_string(), "message": "Mail queue hit error limit" };
        self.books.watchdog.push(text.pretty(1));
        for (seconds, message) in [
            (86_400, "Validated CAA for parent domain alpha.test"),
            (
                86_390,
                "Certificates were successfully validated, no changes or renewals required, sleeping for another day.",
            ),
        ] {
            let message = format!("{} - {message}", self.world.host);
            let row = object! { "time": ago(seconds).secs().to_string(), "message": message };
            self.books.acme.push(row.pretty(1));
        }
        let seen = r#"[43]: 198.51.100.24 "GET /SOGo/so/ann@alpha.test/Mail/view HTTP/1.1" 200 18211/0 0.051 - - 8M - 12"#;
        self.books.sogo.push(syslog(ago(120), "sogod", "notice", seen));
        let phone = object! {
            "time": ago(7_200).secs(), "ua": "Outlook/16.0", "user": vec!["ann@alpha.test"],
            "ip": "198.51.100.24", "service": "imap",
        };
        let nobody = object! {
            "time": ago(3_600).secs(), "ua": "scanner", "user": "none", "ip": "203.0.113.9",
            "service": "Error: invalid or missing request data",
        };
        self.books.autodiscover.push(phone.pretty(1));
        self.books.autodiscover.push(nobody.pretty(1));
        self.log_netfilter(ago(86_400), "info", "Watching Redis channel F2B_CHANNEL".to_owned());
        for (seconds, service, user) in [
            (9_000, "imap", "bob@alpha.test"),
            (4_000, "smtp", "ann@alpha.test"),
            (900, "imap", "ann@alpha.test"),
        ] {
            self.log_login(ago(seconds), service, user, "198.51.100.24");
        }
    }
}

/// A row of the logs that syslog-ng writes; all values are strings.
fn syslog(at: Millis, program: &str, priority: &str, message: &str) -> String {
    let time = at.secs().to_string();
    object! { "time": time, "program": program, "priority": priority, "message": message }.pretty(1)
}
