//! What a metric is. Each is a `static` in [`super::modules`], made by const functions; the doc comment is its help.

use crate::model::sample::{Labels, State};

/// The unit of a metric's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// No unit: texts and flags.
    None,
    /// Things, as the help names them.
    Count,
    /// Hundredths.
    Percent,
    /// Bytes.
    Bytes,
    /// 1,024 bytes.
    Kib,
    /// 1,048,576 bytes.
    Mib,
    /// Seconds.
    Seconds,
    /// Hours.
    Hours,
    /// Days.
    Days,
    /// Degrees Celsius.
    Celsius,
    /// Bytes in a second.
    BytesPerSecond,
}

impl Unit {
    /// The word in the reference and in exports; empty where there is none.
    pub const fn code(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Count => "count",
            Self::Percent => "%",
            Self::Bytes => "B",
            Self::Kib => "KiB",
            Self::Mib => "MiB",
            Self::Seconds => "s",
            Self::Hours => "h",
            Self::Days => "d",
            Self::Celsius => "°C",
            Self::BytesPerSecond => "B/s",
        }
    }
}

/// What a metric's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A number that goes up and down.
    Gauge,
    /// A number that only grows, until its owner restarts: show its rate.
    Counter,
    /// 0 or 1.
    Flag,
    /// A moment, as Unix seconds.
    Moment,
    /// A text.
    Text,
    /// JSON as text.
    Json,
}

impl Kind {
    /// The word in the reference.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Gauge => "number",
            Self::Counter => "counter",
            Self::Flag => "flag",
            Self::Moment => "moment",
            Self::Text => "text",
            Self::Json => "JSON",
        }
    }

    /// Whether values are numbers, which history keeps; of texts it keeps the newest only.
    pub const fn is_numeric(self) -> bool {
        matches!(self, Self::Gauge | Self::Counter | Self::Flag | Self::Moment)
    }
}

/// What time a value speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// The moment of the sample.
    Now,
    /// The last ten minutes before it.
    TenMinutes,
    /// The hour before it, by the time stamps of the events.
    Hour,
    /// The 24 hours before it.
    Day,
    /// Since the counter's owner was started or reset.
    Start,
}

impl Window {
    /// The words in the reference.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::TenMinutes => "last 10 minutes",
            Self::Hour => "last hour",
            Self::Day => "last 24 hours",
            Self::Start => "since its start or reset",
        }
    }
}

/// How bad a value is, from least to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Look at it soon.
    Warning,
    /// Do something.
    High,
    /// Mail does not flow, or will not for long.
    Disaster,
}

impl Severity {
    /// The word in text keys and exports.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::High => "high",
            Self::Disaster => "disaster",
        }
    }
}

/// Limits that come with the metric; admins can set their own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limits {
    /// No value is bad in itself.
    None,
    /// More than this is bad.
    Above(&'static [(Severity, f64)]),
    /// Less than this is bad.
    Below(&'static [(Severity, f64)]),
    /// Exactly this is bad.
    Is(&'static [(Severity, f64)]),
    /// As [`Self::Is`], with steps for each value of this label.
    IsBy(&'static str, &'static [(&'static str, &'static [(Severity, f64)])]),
    /// A greater step than this between two samples is bad.
    Grows(&'static [(Severity, f64)]),
    /// Just this text is bad.
    Says(Severity, &'static str),
}

impl Limits {
    /// Those of one series.
    pub fn of(self, labels: &Labels) -> Self {
        let Self::IsBy(label, kinds) = self else { return self };
        let value = labels.value(label);
        kinds.iter().find(|(kind, _)| Some(*kind) == value).map_or(Self::None, |(_, steps)| Self::Is(steps))
    }

    /// The limits of numbers, mildest first; none where they differ from series to series.
    pub const fn steps(self) -> &'static [(Severity, f64)] {
        match self {
            Self::None | Self::Says(..) | Self::IsBy(..) => &[],
            Self::Above(steps) | Self::Below(steps) | Self::Is(steps) | Self::Grows(steps) => steps,
        }
    }
}

/// Whether more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Neither.
    Neutral,
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
}

/// What somebody must have granted before a value can be known, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Privilege {
    /// Nothing: the portal's own doings and settings.
    Itself,
    /// The read-only key of Mailcow's API.
    Api,
    /// Outgoing connections.
    Network,
    /// A place in Mailcow's Docker network.
    DockerNetwork,
    /// The host collector.
    Host,
}

impl Privilege {
    /// All of them, least first.
    pub const ALL: [Self; 5] = [Self::Itself, Self::Api, Self::Network, Self::DockerNetwork, Self::Host];

    /// The word in text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Itself => "itself",
            Self::Api => "api",
            Self::Network => "network",
            Self::DockerNetwork => "docker-network",
            Self::Host => "host",
        }
    }

    /// How it is granted, for people.
    pub const fn grant(self) -> &'static str {
        match self {
            Self::Itself => "Nothing to grant.",
            Self::Api => "Set MAILCOW_API_KEY; the read-only key is enough.",
            Self::Network => "Allow the portal connections to the mail server's ports and to a DNS resolver.",
            Self::DockerNetwork => {
                "Join the portal's container to Mailcow's Docker network, and set MEMCACHED and CLAMD."
            }
            Self::Host => {
                "Run `mailcow-status collect` on the mail host, and let COLLECTOR_FILE name the file that it writes or \
                 COLLECTOR_KEY let it post."
            }
        }
    }
}

/// Where values come from. The keys of a source are the metrics that name its origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The portal's own settings and state.
    Portal,
    /// `get/status/containers`.
    Containers,
    /// `get/status/vmail`.
    Vmail,
    /// `get/status/version`.
    Version,
    /// `get/status/host`.
    Machine,
    /// `get/mailq/all`.
    MailQueue,
    /// `get/logs/rspamd-stats`.
    RspamdStats,
    /// `get/mailbox/reduced`.
    Mailboxes,
    /// `get/domain/all`.
    Domains,
    /// `get/alias/all`.
    Aliases,
    /// `get/syncjobs/all/no_log`.
    SyncJobs,
    /// `get/quarantine/all`.
    Quarantine,
    /// `get/logs/watchdog`.
    Watchdog,
    /// `get/fail2ban` and `get/logs/netfilter`.
    Netfilter,
    /// `get/logs/dovecot`.
    DovecotLog,
    /// The Postfix lines that the portal stores.
    PostfixLog,
    /// DNS records of the domains and of the mail host.
    Dns,
    /// DNS block lists.
    BlockLists,
    /// Open ports of the mail host, and its web interface.
    Ports,
    /// TLS certificates that the mail host shows.
    Certificates,
    /// A test whether the server relays for strangers.
    Relay,
    /// Mailcow's releases.
    Releases,
    /// Memcached.
    Memcached,
    /// The ClamAV daemon.
    Clamd,
    /// Docker, by the host collector.
    Docker,
    /// The host's file systems, by the host collector.
    HostFiles,
    /// The host itself, by the host collector.
    Host,
}

impl Origin {
    /// What must be granted.
    pub const fn privilege(self) -> Privilege {
        match self {
            Self::Portal => Privilege::Itself,
            Self::Dns
            | Self::BlockLists
            | Self::Ports
            | Self::Certificates
            | Self::Relay
            | Self::Releases => Privilege::Network,
            Self::Memcached | Self::Clamd => Privilege::DockerNetwork,
            Self::Docker | Self::HostFiles | Self::Host => Privilege::Host,
            _ => Privilege::Api,
        }
    }

    /// The words in the reference.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Portal => "the portal itself",
            Self::Containers => "API `status/containers`",
            Self::Vmail => "API `status/vmail`",
            Self::Version => "API `status/version`",
            Self::Machine => "API `status/host`",
            Self::MailQueue => "API `mailq/all`",
            Self::RspamdStats => "API `logs/rspamd-stats`",
            Self::Mailboxes => "API `mailbox/reduced`",
            Self::Domains => "API `domain/all`",
            Self::Aliases => "API `alias/all`",
            Self::SyncJobs => "API `syncjobs/all/no_log`",
            Self::Quarantine => "API `quarantine/all`",
            Self::Watchdog => "API `logs/watchdog`",
            Self::Netfilter => "API `fail2ban`, `logs/netfilter`",
            Self::DovecotLog => "API `logs/dovecot`",
            Self::PostfixLog => "the stored Postfix log",
            Self::Dns => "DNS",
            Self::BlockLists => "DNS block lists",
            Self::Ports => "ports of the mail host",
            Self::Certificates => "certificates of the mail host",
            Self::Relay => "an SMTP dialogue with the mail host",
            Self::Releases => "Mailcow's public releases",
            Self::Memcached => "Memcached",
            Self::Clamd => "clamd",
            Self::Docker => "Docker, by the host collector",
            Self::HostFiles => "file systems, by the host collector",
            Self::Host => "the host, by the host collector",
        }
    }
}

/// What a metric belongs to: a page each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Module {
    /// Postfix: process, queue length, connections.
    Postfix,
    /// What Postfix's log says in an hour.
    PostfixLogs,
    /// Postscreen.
    Postscreen,
    /// Dovecot.
    Dovecot,
    /// Rspamd.
    Rspamd,
    /// Rspamd's Bayes filter.
    Bayes,
    /// DNS records, bans, block lists, relaying.
    Security,
    /// The mail security score and its parts.
    Audit,
    /// File systems.
    Disk,
    /// IMAP sync jobs.
    SyncJobs,
    /// Mailboxes and domains.
    Mailboxes,
    /// Aliases.
    Aliases,
    /// Mail flow.
    Mailflow,
    /// ClamAV.
    Clamav,
    /// Mailcow's watchdog.
    Watchdog,
    /// Mailcow's certificate.
    Acme,
    /// Containers.
    Docker,
    /// SOGo's Memcached.
    Memcached,
    /// Quarantine.
    Quarantine,
    /// The queues and their age.
    Queues,
    /// Certificates by port, and reachability.
    Tls,
    /// Versions and updates.
    Updates,
    /// Backups.
    Backup,
    /// Our own collector.
    Collector,
    /// What the Zabbix package says of its agent: here, of this program.
    Agent,
    /// Lists for discovery by other systems.
    Discovery,
    /// The host.
    Host,
}

impl Module {
    /// All, in the order of the pages.
    pub const ALL: [Self; 27] = [
        Self::Postfix,
        Self::PostfixLogs,
        Self::Postscreen,
        Self::Dovecot,
        Self::Rspamd,
        Self::Bayes,
        Self::Security,
        Self::Audit,
        Self::Disk,
        Self::SyncJobs,
        Self::Mailboxes,
        Self::Aliases,
        Self::Mailflow,
        Self::Clamav,
        Self::Watchdog,
        Self::Acme,
        Self::Docker,
        Self::Memcached,
        Self::Quarantine,
        Self::Queues,
        Self::Tls,
        Self::Updates,
        Self::Backup,
        Self::Collector,
        Self::Agent,
        Self::Discovery,
        Self::Host,
    ];

    /// The word in addresses and text keys.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Postfix => "postfix",
            Self::PostfixLogs => "postfix-logs",
            Self::Postscreen => "postscreen",
            Self::Dovecot => "dovecot",
            Self::Rspamd => "rspamd",
            Self::Bayes => "bayes",
            Self::Security => "security",
            Self::Audit => "audit",
            Self::Disk => "disk",
            Self::SyncJobs => "sync-jobs",
            Self::Mailboxes => "mailboxes",
            Self::Aliases => "aliases",
            Self::Mailflow => "mailflow",
            Self::Clamav => "clamav",
            Self::Watchdog => "watchdog",
            Self::Acme => "acme",
            Self::Docker => "docker",
            Self::Memcached => "memcached",
            Self::Quarantine => "quarantine",
            Self::Queues => "queues",
            Self::Tls => "tls",
            Self::Updates => "updates",
            Self::Backup => "backup",
            Self::Collector => "collector",
            Self::Agent => "agent",
            Self::Discovery => "discovery",
            Self::Host => "host",
        }
    }

    /// The module of a [`Module::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|module| module.code() == code)
    }
}

/// Who may see a metric's series. It follows from the labels: see `model::sample`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Admins.
    Admins,
    /// The admins of the series' domain, too.
    DomainAdmins,
    /// The owner of the series' mailbox and the admins of its domain, too.
    Owners,
}

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The exact key; a discovered one keeps its macro, as in `mailcow.docker.cpu[{#CONTAINER}]`.
    pub key: &'static str,
    /// What it means: Markdown lines.
    pub help: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// The unit of its numbers.
    pub unit: Unit,
    /// What it belongs to.
    pub module: Module,
    /// Where it comes from.
    pub origin: Origin,
    /// What time a value speaks of.
    pub window: Window,
    /// Names of its labels; most metrics have none and thereby one series.
    pub labels: &'static [&'static str],
    /// Limits that come with it.
    pub limits: Limits,
    /// What the Zabbix package gets wrong under this key, and what is done here; empty where it is right.
    pub corrects: &'static str,
}

impl Metric {
    const fn new(key: &'static str, kind: Kind, unit: Unit) -> Self {
        Self {
            key,
            help: "",
            kind,
            unit,
            module: Module::Postfix,
            origin: Origin::Portal,
            window: Window::Now,
            labels: &[],
            limits: Limits::None,
            corrects: "",
        }
    }

    /// A number that goes up and down.
    pub const fn gauge(key: &'static str, unit: Unit) -> Self {
        Self::new(key, Kind::Gauge, unit)
    }

    /// A number that only grows, until its owner restarts.
    pub const fn counter(key: &'static str, unit: Unit) -> Self {
        let metric = Self::new(key, Kind::Counter, unit);
        Self { window: Window::Start, ..metric }
    }

    /// Yes or no.
    pub const fn flag(key: &'static str) -> Self {
        Self::new(key, Kind::Flag, Unit::None)
    }

    /// A moment, as Unix seconds.
    pub const fn moment(key: &'static str) -> Self {
        Self::new(key, Kind::Moment, Unit::None)
    }

    /// A text.
    pub const fn text(key: &'static str) -> Self {
        Self::new(key, Kind::Text, Unit::None)
    }

    /// JSON as text.
    pub const fn json(key: &'static str) -> Self {
        Self::new(key, Kind::Json, Unit::None)
    }

    /// Where it comes from.
    pub const fn from(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// What time a value speaks of.
    pub const fn over(self, window: Window) -> Self {
        Self { window, ..self }
    }

    /// Its labels.
    pub const fn per(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }

    /// More than this is bad.
    pub const fn above(self, steps: &'static [(Severity, f64)]) -> Self {
        Self { limits: Limits::Above(steps), ..self }
    }

    /// Less than this is bad.
    pub const fn below(self, steps: &'static [(Severity, f64)]) -> Self {
        Self { limits: Limits::Below(steps), ..self }
    }

    /// Exactly this is bad.
    pub const fn bad_at(self, steps: &'static [(Severity, f64)]) -> Self {
        Self { limits: Limits::Is(steps), ..self }
    }

    /// As [`Self::bad_at`], as the value of a label says.
    pub const fn bad_by(
        self,
        label: &'static str,
        kinds: &'static [(&'static str, &'static [(Severity, f64)])],
    ) -> Self {
        Self { limits: Limits::IsBy(label, kinds), ..self }
    }

    /// A greater step than this between two samples is bad.
    pub const fn grows(self, steps: &'static [(Severity, f64)]) -> Self {
        Self { limits: Limits::Grows(steps), ..self }
    }

    /// Just this text is bad.
    pub const fn bad_as(self, severity: Severity, text: &'static str) -> Self {
        Self { limits: Limits::Says(severity, text), ..self }
    }

    /// What the Zabbix package gets wrong, and what is done here.
    pub const fn corrects(self, corrects: &'static str) -> Self {
        Self { corrects, ..self }
    }

    /// Its place and its help; called by [`metrics!`].
    pub const fn named(self, module: Module, help: &'static str) -> Self {
        Self { module, help, ..self }
    }

    /// Who may see its series.
    pub fn audience(&self) -> Audience {
        use crate::model::sample::{DOMAIN, MAILBOX};
        if self.labels.contains(&MAILBOX) {
            Audience::Owners
        } else if self.labels.contains(&DOMAIN) {
            Audience::DomainAdmins
        } else {
            Audience::Admins
        }
    }

    /// Whether more is better.
    pub const fn direction(&self) -> Direction {
        match self.limits {
            Limits::None | Limits::Says(..) | Limits::IsBy(..) => Direction::Neutral,
            Limits::Above(_) | Limits::Grows(_) => Direction::Lower,
            Limits::Below(_) => Direction::Higher,
            Limits::Is([(_, bad), ..]) if *bad > 0.0 => Direction::Lower,
            Limits::Is(_) => Direction::Higher,
        }
    }

    /// How bad a state is by the limits that come with the metric: the worst limit that is passed. `None` where
    /// nothing is known, which is not the same as well; growth is not seen in one state.
    pub fn severity(&self, state: &State) -> Option<Severity> {
        self.severity_of(&Labels::NONE, state)
    }

    /// How bad the state of one series is.
    pub fn severity_of(&self, labels: &Labels, state: &State) -> Option<Severity> {
        let limits = self.limits.of(labels);
        if let (Limits::Says(severity, bad), State::Text(text)) = (limits, state) {
            return (text == bad).then_some(severity);
        }
        let number = state.number()?;
        let passed = |limit: f64| match limits {
            Limits::Above(_) => number > limit,
            Limits::Below(_) => number < limit,
            Limits::Is(_) => number == limit,
            Limits::None | Limits::IsBy(..) | Limits::Grows(_) | Limits::Says(..) => false,
        };
        let steps = limits.steps().iter();
        steps.filter(|(_, limit)| passed(*limit)).map(|(severity, _)| *severity).max()
    }
}

/// Declares metrics: for each module a list of `/// help` and `NAME = Metric::…;`. Makes a `static` of each, and
/// `ALL` with all of them.
macro_rules! metrics {
    ($($module:ident {$(
        $(#[doc = $help:literal])+
        $name:ident = $metric:expr;
    )+})+) => {
        $($(
            $(#[doc = $help])+
            pub static $name: $crate::metrics::registry::Metric =
                $metric.named($crate::metrics::registry::Module::$module, concat!($($help, "\n"),+));
        )+)+

        /// All metrics of this file, in order.
        pub static ALL: &[&$crate::metrics::registry::Metric] = &[$($(&$name),+),+];
    };
}
pub(super) use metrics;

#[cfg(test)]
mod tests {
    use super::*;

    const QUEUE: Metric =
        Metric::gauge("q", Unit::Count).above(&[(Severity::Warning, 10.0), (Severity::High, 50.0)]);

    #[test]
    fn the_worst_passed_limit_counts() {
        let severity = |number: f64| QUEUE.severity(&State::Number(number));
        assert_eq!(severity(10.0), None);
        assert_eq!(severity(11.0), Some(Severity::Warning));
        assert_eq!(severity(51.0), Some(Severity::High));
        assert_eq!(QUEUE.severity(&State::Unknown("away".to_owned())), None);
        let up = Metric::flag("up").bad_at(&[(Severity::Disaster, 0.0)]);
        assert_eq!(up.severity(&false.into()), Some(Severity::Disaster));
        assert_eq!(up.severity(&true.into()), None);
        assert_eq!(up.direction(), Direction::Higher);
        let check = Metric::flag("c")
            .bad_by("check", &[("SPF", &[(Severity::High, 0.0)]), ("MX", &[(Severity::Info, 0.0)])]);
        let failed = |name: &str| check.severity_of(&Labels::one("check", name), &false.into());
        assert_eq!((failed("SPF"), failed("MX")), (Some(Severity::High), Some(Severity::Info)));
        assert_eq!((failed("other"), check.severity(&false.into())), (None, None));
        let days = Metric::gauge("d", Unit::Days).below(&[(Severity::High, 14.0), (Severity::Disaster, 3.0)]);
        assert_eq!(days.severity(&State::Number(2.0)), Some(Severity::Disaster));
        assert_eq!((QUEUE.direction(), days.direction()), (Direction::Lower, Direction::Higher));
    }
}
