//! The settings of `mailcow-status serve`: one [`Config`], read from the environment and a `.env` file.
//!
//! [`settings`] declares each setting once, in a table of our own: clap's `env` reports one fault at a time and knows
//! neither `.env` nor `NAME_FILE`. Parsing, faults, [`example`] and [`reference`] follow from the table.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use jiff::tz::TimeZone;
use secrecy::SecretString;
use url::Url;

pub use self::{
    database::{DatabaseSettings, MysqlAddress, MysqlSettings},
    fault::{Fault, Faults},
    mailboxes::ReportSettings,
    print::{example, reference},
    probes::ProbeSettings,
};
use self::{reader::Reader, settings as s};
use crate::{
    model::{
        brand::DomainBrand,
        open::TrackerKey,
        setting::Line,
        user::{RoleRules, SessionLimits},
    },
    store::{reports::Whose, samples::Keep},
};

mod brands;
mod database;
pub(crate) mod dotenv;
mod fault;
mod kind;
mod mailboxes;
mod print;
mod probes;
mod reader;
mod roles;
pub(crate) mod settings;

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// The Mailcow server.
    pub mailcow: MailcowSettings,
    /// Where the data lives.
    pub database: DatabaseSettings,
    /// How long it is kept.
    pub retention: RetentionSettings,
    /// Where reports come from.
    pub reports: ReportSettings,
    /// What visitors' browsers meet.
    pub web: WebSettings,
    /// Who is more than a user.
    pub roles: RoleRules,
    /// The longest pause between two polls.
    pub poll_interval: Duration,
    /// How the names of addresses are found.
    pub names: NameSettings,
    /// The zone of dates, where the visitor has not chosen one.
    pub time_zone: TimeZone,
    /// Where the host collector writes.
    pub collector_file: Option<PathBuf>,
    /// Mailcow's containers that are off on purpose.
    pub containers_off: Vec<String>,
    /// What is looked at over the network.
    pub probes: ProbeSettings,
    /// The log of this program.
    pub log: LogSettings,
    /// Every setting as it is shown to admins.
    pub lines: Vec<Line>,
}

/// How to reach Mailcow, and how much to ask for.
#[derive(Debug, Clone)]
pub struct MailcowSettings {
    /// Root of the server, path `/`. Plain http only on this very machine.
    pub base: Url,
    /// Host and port to connect to instead.
    pub connect: Option<(String, u16)>,
    /// OAuth2 client id.
    pub client_id: String,
    /// OAuth2 client secret.
    pub client_secret: SecretString,
    /// API key; never empty.
    pub api_key: SecretString,
    /// Further root certificates, PEM.
    pub ca: Option<String>,
    /// Postfix lines asked for at first.
    pub postfix_count: u32,
    /// Rspamd rows asked for at first.
    pub rspamd_count: u32,
}

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionSettings {
    /// Mails and their stories.
    pub mails: Duration,
    /// Raw log lines.
    pub lines: Duration,
    /// DMARC and TLS reports.
    pub reports: Duration,
    /// Whether that is true of DMARC reports, too, that other programs wrote into the same tables.
    pub whose_reports: Whose,
    /// What people did and looked at.
    pub access: Duration,
    /// What was measured.
    pub samples: Keep,
}

/// How the names of addresses are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameSettings {
    /// Whether they are looked up at all.
    pub resolve: bool,
    /// Name servers; none: those of this machine.
    pub servers: Vec<SocketAddr>,
}

/// What visitors' browsers meet.
#[derive(Debug, Clone)]
pub struct WebSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Empty for the root, else as `/status`: stands before a path that starts with a slash.
    pub base_path: String,
    /// The address that visitors type; its path is `base_path`, or `/`. Plain http only on this very machine.
    pub public_url: Url,
    /// The end of the redirect URI, as it is registered with Mailcow: `callback` or `callback.php`.
    pub callback: &'static str,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Key of the cron addresses, never empty. `None`: they refuse everybody.
    pub cron_key: Option<SecretString>,
    /// Token of the addresses for other systems, never empty. `None`: only admins may.
    pub api_token: Option<SecretString>,
    /// Whether strangers see the public page.
    pub public_status: bool,
    /// Key of the host collector's posts, never empty. `None`: they are refused.
    pub collector_key: Option<SecretString>,
    /// The key of open tracking; `None` where that is off.
    pub tracker: Option<TrackerKey>,
    /// How long a session lives.
    pub session: SessionLimits,
    /// `en` or `de`.
    pub default_lang: String,
    /// Logo, footer, and what differs by domain.
    pub branding: Branding,
}

/// Logo, footer, and what differs by domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Branding {
    /// Logo on dark ground: http(s) address, or path on the same host.
    pub logo_dark: Option<String>,
    /// Logo on light ground.
    pub logo_light: Option<String>,
    /// Name at the foot of each page.
    pub company: Option<String>,
    /// Where that name leads to: http(s) only.
    pub company_url: Option<String>,
    /// Names and colours by domain.
    pub brands: Vec<DomainBrand>,
}

/// The log of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// The least important level that is written.
    pub level: tracing::Level,
    /// For whom.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads the process's environment, `.env` in the working directory, and the files that they name.
    pub fn from_environment() -> Result<Self, Faults> {
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let environment = std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value)));
        let dotenv = match std::fs::read_to_string(".env") {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let remedy = "Let the user that runs this program read it, or remove it.";
                return Err(Faults(vec![Fault::new(".env", format!("cannot be read ({error})"), remedy)]));
            }
        };
        Self::load(environment, dotenv.as_deref(), |path| std::fs::read_to_string(path))
    }

    /// The settings of an environment and a `.env` text, or everything that is wrong with them.
    pub fn load(
        environment: impl Iterator<Item = (String, String)>,
        dotenv: Option<&str>,
        read_file: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, Faults> {
        let mut reader = Reader::new(environment, dotenv, &read_file);
        let config = Self::take(&mut reader);
        reader.finish(config)
    }

    /// Takes every setting before it gives up on any, so that all faults are told.
    fn take(reader: &mut Reader) -> Option<Self> {
        let mailcow = MailcowSettings::take(reader);
        let poll_interval = reader.take(&s::POLL_INTERVAL);
        let database = DatabaseSettings::take(reader);
        let mails = reader.take(&s::RETENTION);
        let lines = reader.take(&s::RETENTION_LINES);
        let collector_file = reader.take(&s::COLLECTOR_FILE).map(PathBuf::from);
        let containers_off = reader.take(&s::CONTAINERS_OFF).unwrap_or_default();
        let probes = ProbeSettings::take(reader, mailcow.as_ref().map(|mailcow| &mailcow.base));
        let raw = reader.take(&s::RETENTION_SAMPLES);
        let minutes = reader.take(&s::RETENTION_SAMPLES_5M);
        let hours = reader.take(&s::RETENTION_SAMPLES_HOURLY);
        let mailboxes = reader.take(&s::RETENTION_SAMPLES_MAILBOXES);
        let reports = ReportSettings::take(reader, mailcow.as_ref().map(|mailcow| &mailcow.base));
        let kept_reports = reader.take(&s::RETENTION_REPORTS);
        // What others wrote goes only where somebody said so.
        let whose_reports = if reader.has(&s::RETENTION_REPORTS) { Whose::Anybodys } else { Whose::Ours };
        let access = reader.take(&s::RETENTION_ACCESS);
        let admins = reader.take(&s::ADMIN).unwrap_or_default();
        let domain_admins = reader.take(&s::DOMAIN_ADMINS).unwrap_or_default();
        let prefix = reader.take(&s::DOMAIN_ADMIN_PREFIX);
        let roles = RoleRules::new(admins, domain_admins, prefix.as_deref());
        let web = WebSettings::take(reader, mailcow.as_ref().map(|mailcow| &mailcow.base));
        let resolve = reader.take(&s::RESOLVE_NAMES);
        let servers = reader.take(&s::DNS_RESOLVER).unwrap_or_default();
        // Backups are made by commands, which take it when they run; a fault is told before that.
        let _ = reader.take(&s::BACKUP_PASSPHRASE);
        let time_zone = reader.take(&s::TIME_ZONE).unwrap_or_else(TimeZone::system);
        let level = reader.take(&s::LOG_LEVEL);
        let format = reader.take(&s::LOG_FORMAT);
        Some(Self {
            mailcow: mailcow?,
            database: database?,
            retention: RetentionSettings {
                mails: mails?,
                lines: lines?,
                reports: kept_reports?,
                whose_reports,
                access: access?,
                samples: Keep { raw: raw?, minutes: minutes?, hours: hours?, mailboxes: mailboxes? },
            },
            collector_file,
            containers_off,
            probes: probes?,
            reports: reports?,
            web: web?,
            roles,
            poll_interval: poll_interval?,
            names: NameSettings { resolve: resolve?, servers },
            time_zone,
            log: LogSettings { level: level?, format: format? },
            lines: reader.lines(),
        })
    }
}

/// What opens a portal to the host collector, which has no other settings: from the environment and the files that it
/// names.
#[derive(Debug, Clone, Default)]
pub struct PortalSecrets {
    /// Opens what the portal knows.
    pub api_token: Option<SecretString>,
    /// Lets post.
    pub collector_key: Option<SecretString>,
}

impl PortalSecrets {
    /// Reads the process's environment.
    pub fn from_environment() -> Result<Self, Faults> {
        let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let environment = std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value)));
        let mut reader = Reader::new(environment, None, &|path| std::fs::read_to_string(path));
        let secrets =
            Self { api_token: reader.take(&s::API_TOKEN), collector_key: reader.take(&s::COLLECTOR_KEY) };
        reader.finish(Some(secrets))
    }
}

/// The passphrase of backups: that in this file, or that of the settings, from which nothing else is taken.
pub fn backup_passphrase(file: Option<&Path>) -> Result<Option<SecretString>, Faults> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let environment = std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value)));
    let named =
        file.map(|path| (format!("{}_FILE", s::BACKUP_PASSPHRASE.entry.name), path.display().to_string()));
    let dotenv = std::fs::read_to_string(".env").ok();
    let read_file = |path: &Path| std::fs::read_to_string(path);
    let mut reader = match named {
        Some(named) => Reader::new(std::iter::once(named), None, &read_file),
        None => Reader::new(environment, dotenv.as_deref(), &read_file),
    };
    let passphrase = reader.take(&s::BACKUP_PASSPHRASE);
    reader.finish(Some(passphrase))
}

/// The level of a word, as `LOG_LEVEL` has it; the error is a whole sentence.
pub fn log_level(word: &str) -> Result<tracing::Level, String> {
    s::LOG_LEVEL.read_word(word)
}

/// The format of a word, as `LOG_FORMAT` has it; the error is a whole sentence.
pub fn log_format(word: &str) -> Result<LogFormat, String> {
    s::LOG_FORMAT.read_word(word)
}

/// Where the shipped systemd unit reads the settings from; the program itself meets them in its environment.
const UNIT_SETTINGS: &str = "/etc/mailcow-status/.env";

/// The files that hold secrets: `.env` in the working directory, that of the systemd unit, and those that settings name by
/// `…_FILE`.
pub fn secret_files() -> Vec<PathBuf> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let environment = std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value)));
    let dotenv = std::fs::read_to_string(".env").ok();
    let (file, _) = dotenv::parse(dotenv.as_deref().unwrap_or_default(), |_| None);
    let mut files: Vec<PathBuf> = named_files(environment.chain(file)).collect();
    files.extend(dotenv.map(|_| PathBuf::from(".env")));
    files.extend(there(UNIT_SETTINGS.into()).filter(|_| !same_file(".env", UNIT_SETTINGS)));
    files
}

/// The path, unless nothing is there: a file that is hidden from us is there.
fn there(path: PathBuf) -> Option<PathBuf> {
    let missing = std::fs::metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    (!missing).then_some(path)
}

fn same_file(one: &str, other: &str) -> bool {
    std::fs::canonicalize(one).is_ok_and(|one| std::fs::canonicalize(other).is_ok_and(|other| one == other))
}

/// Values of those names that stand for the file of a secret.
fn named_files(values: impl Iterator<Item = (String, String)>) -> impl Iterator<Item = PathBuf> {
    let entries = || s::SECTIONS.iter().flat_map(|section| section.entries);
    let secret = move |name: &str| {
        entries().filter(|entry| entry.secret).any(|entry| {
            let mut numbered = (2..=9).map(|number| entry.nth_name(number));
            entry.names().any(|known| known == name) || numbered.any(|known| known == name)
        })
    };
    values
        .filter(move |(name, value)| {
            !value.trim().is_empty() && name.strip_suffix("_FILE").is_some_and(&secret)
        })
        .map(|(_, value)| PathBuf::from(value))
}

impl MailcowSettings {
    fn take(reader: &mut Reader) -> Option<Self> {
        let base = reader.take(&s::MAILCOW_DOMAIN);
        let connect = reader.take(&s::MAILCOW_CONNECT);
        let client_id = reader.take(&s::MAILCOW_CLIENT_ID);
        let client_secret = reader.take(&s::MAILCOW_CLIENT_SECRET);
        let api_key = reader.take(&s::MAILCOW_API_KEY);
        let ca = reader.take(&s::MAILCOW_CA);
        let postfix_count = reader.take(&s::POSTFIX_COUNT);
        let rspamd_count = reader.take(&s::RSPAMD_COUNT);
        Some(Self {
            base: base?,
            connect,
            client_id: client_id?,
            client_secret: client_secret?,
            api_key: api_key?,
            ca,
            postfix_count: postfix_count?,
            rspamd_count: rspamd_count?,
        })
    }
}

impl WebSettings {
    /// The address of a path of this portal, as `/mails`, for somebody elsewhere: redirects by Mailcow, links in mails.
    pub fn absolute(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_str().trim_end_matches('/'))
    }

    /// Where Mailcow sends browsers back to, exactly as registered there.
    pub fn redirect_uri(&self) -> String {
        self.absolute(&format!("/{}", self.callback))
    }

    fn take(reader: &mut Reader, mailcow: Option<&Url>) -> Option<Self> {
        let php = reader.has(&s::DB_HOST) && !reader.has(&s::PUBLIC_URL) && !reader.has(&s::BASE_PATH);
        let callback =
            reader.take(&s::MAILCOW_CALLBACK).unwrap_or(if php { "callback.php" } else { "callback" });
        let session_idle = reader.take(&s::SESSION_IDLE);
        let session_max = reader.take(&s::SESSION_MAX);
        let cron_key = reader.take(&s::CRON_KEY);
        let api_token = reader.take(&s::API_TOKEN);
        let public_status = reader.take(&s::PUBLIC_STATUS);
        let collector_key = reader.take(&s::COLLECTOR_KEY);
        let listen = reader.take(&s::LISTEN);
        let public = PublicAddress::take(reader, listen, mailcow);
        let trusted_proxies = reader.take(&s::TRUSTED_PROXIES).unwrap_or_default();
        let tracker = take_tracker(reader);
        let default_lang = reader.take(&s::DEFAULT_LANG);
        let branding = Branding {
            logo_dark: reader.take(&s::LOGO_DARK),
            logo_light: reader.take(&s::LOGO_LIGHT),
            company: reader.take(&s::FOOTER_COMPANY),
            company_url: reader.take(&s::FOOTER_COMPANY_URL),
            brands: reader.take(&s::BRANDS).unwrap_or_default(),
        };
        let PublicAddress { base_path, public_url } = public?;
        Some(Self {
            listen: listen?,
            base_path,
            public_url,
            callback,
            trusted_proxies,
            cron_key,
            api_token,
            public_status: public_status?,
            collector_key,
            tracker,
            session: SessionLimits { idle: session_idle?, absolute: session_max? },
            default_lang: default_lang?,
            branding,
        })
    }
}

/// `OPEN_TRACKING` and `TRACKER_KEY`, the one of which needs the other.
fn take_tracker(reader: &mut Reader) -> Option<TrackerKey> {
    let wished = reader.take(&s::OPEN_TRACKING) == Some(true);
    let given = reader.has(&s::TRACKER_KEY);
    let key = reader.take(&s::TRACKER_KEY).and_then(TrackerKey::new);
    if given && key.is_none() {
        let remedy = "Take the output of: openssl rand -hex 32";
        reader.fault("TRACKER_KEY", "is shorter than 32 characters", remedy);
    } else if wished && !given {
        let remedy = "Set TRACKER_KEY to the output of openssl rand -hex 32, or OPEN_TRACKING to NO.";
        reader.fault("OPEN_TRACKING", "is YES, but TRACKER_KEY is not set", remedy);
    }
    key.filter(|_| wished)
}

/// `PUBLIC_URL` and `BASE_PATH`, each of which may follow from the other.
struct PublicAddress {
    base_path: String,
    public_url: Url,
}

impl PublicAddress {
    fn take(reader: &mut Reader, listen: Option<SocketAddr>, mailcow: Option<&Url>) -> Option<Self> {
        let public_url = reader.take(&s::PUBLIC_URL);
        let base_path = reader.take(&s::BASE_PATH);
        let Some(public_url) = public_url else {
            return Self::derived(base_path, listen?, mailcow?);
        };
        let path = public_url.path().trim_end_matches('/').to_owned();
        if let Some(base_path) = base_path.filter(|base_path| *base_path != path) {
            let wrong =
                format!("is {:?}, but the path of PUBLIC_URL is {:?}", base_path + "/", path.clone() + "/");
            reader.fault("BASE_PATH", wrong, "Make them equal, or leave BASE_PATH out.");
        }
        Some(Self { base_path: path, public_url })
    }

    /// Beside a Mailcow the root is Mailcow's own; one on this very machine is a trial, without a proxy in front.
    fn derived(base_path: Option<String>, listen: SocketAddr, mailcow: &Url) -> Option<Self> {
        let trial = kind::is_loopback(mailcow);
        let base_path = base_path.unwrap_or_else(|| if trial { String::new() } else { "/status".to_owned() });
        let mut public_url =
            if trial { Url::parse(&format!("http://{listen}")).ok()? } else { mailcow.clone() };
        public_url.set_path(&base_path);
        Some(Self { base_path, public_url })
    }
}

#[cfg(test)]
mod tests;
