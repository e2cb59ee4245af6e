//! What is to be set up: from the arguments, `mailcow.conf`, what an earlier run wrote, and the person at the terminal.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::{Engine, SetupArgs, Talk, Way, plan, show};
use crate::{config::dotenv, model::token::hex};

/// Begins the names of our variables in `mailcow.conf`.
pub const CONF_PREFIX: &str = "STATUS_";
/// The usual name of the database.
pub const DATABASE: &str = "mailcowstatus";
/// The usual name of its user.
pub const DB_USER: &str = "status";

/// Everything that the files are made from.
#[derive(Debug)]
pub struct Wish {
    /// What was asked for.
    pub args: SetupArgs,
    /// Directory of Mailcow.
    pub mailcow: PathBuf,
    /// What `mailcow.conf` says.
    pub conf: Conf,
    /// What is kept from one run to the next.
    pub values: Values,
    /// Names of the further settings that the portal is to have, whether they stand there already or come now.
    pub further: Vec<String>,
}

/// The part of `mailcow.conf` that matters here.
#[derive(Debug)]
pub struct Conf {
    /// `MAILCOW_HOSTNAME`.
    pub hostname: String,
    /// `IPV4_NETWORK`, the first three numbers of Mailcow's network.
    pub ipv4_network: String,
    /// Where MariaDB listens on the host.
    pub sql_place: String,
    /// `TZ`.
    pub zone: String,
}

/// Values that an earlier run wrote, or that are given now. Empty: not known yet.
#[derive(Debug, Default)]
pub struct Values {
    /// Addresses of admins.
    pub admin: String,
    /// Client id of the OAuth2 app.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// API key.
    pub api_key: String,
    /// Database, unless it has the usual name.
    pub database: String,
    /// Its user, unless it has the usual name.
    pub db_user: String,
    /// Password of the database user, made here unless the PHP app has one.
    pub db_password: String,
    /// What the portal and Rspamd share, made here.
    pub tracker_key: String,
    /// Further settings that the portal and the PHP app know by the same names; what is written of them: those that come now.
    pub more: Vec<(String, String)>,
}

/// Where the PHP app has its settings, below Mailcow's directory.
const PHP_APP: &str = "data/web/status/.env";
/// By which names the app finds Mailcow's database.
const MAILCOWS_MARIADB: &[&str] = &["", "mysql", "mysql-mailcow"];
/// What else stands there and is meant for the portal, too; a change of the way takes it along.
const FURTHER: &[&str] = &[
    "POSTFIX_COUNT",
    "RSPAMD_COUNT",
    "DOMAIN_ADMIN_PREFIX",
    "RETENTION",
    "CRON_KEY",
    "LOGO_DARK",
    "LOGO_LIGHT",
    "FOOTER_COMPANY",
    "FOOTER_COMPANY_URL",
];

/// The directory of Mailcow that is meant.
pub fn mailcow_directory(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let usual = [Path::new("."), Path::new("/opt/mailcow-dockerized")];
    let is_mailcow =
        |path: &Path| path.join("mailcow.conf").is_file() && path.join("data/conf/nginx").is_dir();
    let found = match given {
        Some(path) => Some(path).filter(|path| is_mailcow(path)),
        None => usual.into_iter().find(|path| is_mailcow(path)),
    };
    let Some(found) = found else {
        let place = given.map_or("here".to_owned(), |path| format!("in {}", path.display()));
        bail!(
            "there is no Mailcow {place}: give its directory, with mailcow.conf and data/conf/nginx, by --mailcow"
        );
    };
    fs::canonicalize(found).with_context(|| found.display().to_string())
}

impl Wish {
    /// Gathers all, and asks for what is missing.
    pub fn gather<W: Write>(
        args: &SetupArgs,
        mailcow: PathBuf,
        talk: &mut Talk<'_, W>,
    ) -> anyhow::Result<Self> {
        let (_, text) = plan::read(&mailcow.join("mailcow.conf"))?;
        let text = text.unwrap_or_default();
        let conf = Conf::read(&text)?;
        let env = plan::read(&args.folder.join(".env"))?.1.unwrap_or_default();
        let (kept, other) = match args.way {
            Way::Compose => (text, env),
            Way::Host => (env, text),
        };
        let values = Values::kept(&kept).or(Values::kept(&other));
        let mut wish = Self { args: checked(args, &conf)?, mailcow, conf, values, further: Vec::new() };
        wish.take_over_php_app()?;
        wish.values.more.retain(|(_, value)| !value.is_empty());
        wish.further = wish.values.more.iter().map(|(name, _)| name.clone()).collect();
        // What somebody has in the file stays as it is.
        let there = Values::kept(&kept).more;
        wish.values.more.retain(|(name, _)| !there.iter().any(|(its, _)| its == name));
        wish.values.take(args)?;
        wish.values.make_up(args.open_tracking)?;
        wish.ask(talk)?;
        wish.values.check()?;
        Ok(wish)
    }

    /// What the PHP app has: its database with user and password, and the rest where an earlier run did not know
    /// better. Where the app is here, and nothing is to be taken over, its database user would get a new password.
    fn take_over_php_app(&mut self) -> anyhow::Result<()> {
        let Some(path) = &self.args.php_app else {
            let usual = self.mailcow.join(PHP_APP);
            if uses_mariadb(&self.args) && self.values.db_password.is_empty() && usual.is_file() {
                bail!(
                    "{} belongs to the PHP app, whose database would be shared: add --php-app '{}' to take its settings \
                     over, and --callback callback.php to use its OAuth2 app on",
                    usual.display(),
                    usual.display()
                );
            }
            return Ok(());
        };
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let (found, faults) = dotenv::parse(&text, |_| None);
        if let Some(fault) = faults.first() {
            bail!("{}: {fault}", path.display());
        }
        let place = found.iter().rev().find(|(name, _)| name == "DB_HOST").map(|(_, place)| place.as_str());
        if uses_mariadb(&self.args) && place.is_some_and(|place| !MAILCOWS_MARIADB.contains(&place)) {
            bail!("{}: its database is not Mailcow's, which setup does not know to write", path.display());
        }
        let app = Values::kept(&text);
        let names_a_login = !app.database.is_empty() || !app.db_user.is_empty();
        if uses_mariadb(&self.args) && names_a_login && app.db_password.is_empty() {
            bail!("{}: its database has no DB_PASSWORD, and its user would get a new one", path.display());
        }
        if !app.db_password.is_empty() {
            // Whoever names the app wants its database, also where an earlier run made one up.
            self.values.take_login(&app);
        }
        self.values = std::mem::take(&mut self.values).or(app);
        Ok(())
    }

    /// The address that visitors type.
    pub fn public_url(&self) -> String {
        match &self.args.host {
            Some(host) => format!("https://{host}"),
            None => format!("https://{}{}", self.conf.hostname, self.args.path),
        }
    }

    /// What Mailcow must have registered, exactly.
    pub fn redirect_uri(&self) -> String {
        format!("{}/{}", self.public_url(), self.args.callback)
    }

    /// Where nginx finds the portal.
    pub fn upstream(&self) -> String {
        match self.args.way {
            Way::Compose => "status-mailcow:8080".to_owned(),
            Way::Host => format!("{}.1:8080", self.conf.ipv4_network),
        }
    }

    fn ask<W: Write>(&mut self, talk: &mut Talk<'_, W>) -> anyhow::Result<()> {
        let uri = self.redirect_uri();
        if self.values.admin.is_empty() {
            self.values.admin =
                talk.ask("Addresses of mailboxes that shall see everything, separated by commas:")?;
        }
        if self.values.client_id.is_empty() {
            let question = format!(
                "In Mailcow, System, Configuration, Access, OAuth2 apps: add one with the redirect URI\n  {uri}\n\
                 Its client id (empty: later):"
            );
            self.values.client_id = talk.ask(&question)?;
        }
        if !self.values.client_id.is_empty() && self.values.client_secret.is_empty() {
            self.values.client_secret = talk.ask("Its client secret (shown as you type):")?;
        }
        if self.values.api_key.is_empty() {
            let question = "In Mailcow, System, Configuration, Access, Administrators, API: the read-only key \
                            (shown as you type; empty: later):";
            self.values.api_key = talk.ask(question)?;
        }
        Ok(())
    }
}

/// The arguments, with everything that would end up in files of others looked at.
fn checked(args: &SetupArgs, conf: &Conf) -> anyhow::Result<SetupArgs> {
    let mut args = args.clone();
    args.path = format!("/{}", args.path.trim_matches('/'));
    let plain = |text: &str, more: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    if !plain(&args.path, "/-_") || args.path == "/" || args.path.contains("//") {
        bail!(
            "--path must be made of letters, digits, - and _, such as /status; for a host name of its own, --host"
        );
    }
    if args.host.as_ref().is_some_and(|host| !plain(host, ".-") || *host == conf.hostname) {
        bail!("--host must be a host name, and another than Mailcow's");
    }
    if !plain(&args.image, "./:@_-") {
        bail!("--image must be the name of an image");
    }
    let mailcow = format!("{}.0/24", conf.ipv4_network);
    let overlaps = mailcow.parse::<ipnet::Ipv4Net>().is_ok_and(|mailcow| {
        mailcow.contains(&args.network.network()) || args.network.contains(&mailcow.network())
    });
    if overlaps || args.network.prefix_len() > 29 {
        bail!("--network must have eight addresses or more, and none of Mailcow's {mailcow}");
    }
    if args.way == Way::Host && args.ofelia {
        bail!("--ofelia goes with --way compose: Mailcow's Ofelia runs jobs in containers only");
    }
    Ok(args)
}

impl Conf {
    /// Lines that cannot be read are Mailcow's affair, as long as ours are there.
    fn read(text: &str) -> anyhow::Result<Self> {
        let (found, _) = dotenv::parse(text, |_| None);
        let value = |name: &str| {
            found
                .iter()
                .rev()
                .find(|(its, value)| its == name && !value.is_empty())
                .map(|(_, value)| value.clone())
        };
        let hostname = value("MAILCOW_HOSTNAME").context("mailcow.conf has no MAILCOW_HOSTNAME")?;
        if !hostname.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)) {
            bail!("MAILCOW_HOSTNAME in mailcow.conf is no host name");
        }
        let ipv4_network = value("IPV4_NETWORK").unwrap_or_else(|| "172.22.1".to_owned());
        if format!("{ipv4_network}.1").parse::<std::net::Ipv4Addr>().is_err() {
            bail!("IPV4_NETWORK in mailcow.conf is not the first three numbers of a network");
        }
        let sql = value("SQL_PORT").unwrap_or_else(|| "127.0.0.1:13306".to_owned());
        let sql_place = if sql.contains(':') { sql } else { format!("127.0.0.1:{sql}") };
        Ok(Self { hostname, ipv4_network, sql_place, zone: value("TZ").unwrap_or_default() })
    }
}

/// What an earlier run wrote and must not be shown, whichever way it was for.
pub fn kept_secrets(args: &SetupArgs, mailcow: &Path) -> anyhow::Result<Vec<String>> {
    let mut secrets = Vec::new();
    for path in [mailcow.join("mailcow.conf"), args.folder.join(".env")] {
        secrets.extend(Values::kept(&plan::read(&path)?.1.unwrap_or_default()).secrets());
    }
    Ok(secrets)
}

impl Values {
    /// What must not be shown.
    pub fn secrets(&self) -> Vec<String> {
        let own =
            [&self.client_secret, &self.api_key, &self.db_password, &self.tracker_key].map(Clone::clone);
        let more = self.more.iter().filter(|(name, _)| show::is_secret(name)).map(|(_, value)| value.clone());
        own.into_iter().chain(more).collect()
    }

    /// From what an earlier run wrote: both kinds of file have the same values under two names.
    fn kept(text: &str) -> Self {
        let (found, _) = dotenv::parse(text, |_| None);
        let value = |names: [&str; 2]| {
            let line =
                found.iter().rev().find(|(its, value)| names.contains(&its.as_str()) && !value.is_empty());
            line.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let further = |name: &str| {
            let is_it = |its: &str| its.strip_prefix(CONF_PREFIX).unwrap_or(its) == name;
            let line = found.iter().rev().find(|(its, _)| is_it(its));
            line.map(|(_, value)| (name.to_owned(), value.clone()))
        };
        let more = FURTHER.iter().filter_map(|name| further(name)).collect();
        Self {
            admin: value(["STATUS_ADMIN", "ADMIN"]),
            client_id: value(["STATUS_CLIENT_ID", "MAILCOW_CLIENT_ID"]),
            client_secret: value(["STATUS_CLIENT_SECRET", "MAILCOW_CLIENT_SECRET"]),
            api_key: value(["STATUS_API_KEY", "MAILCOW_API_KEY"]),
            database: value(["STATUS_DB_DATABASE", "DB_DATABASE"]),
            db_user: value(["STATUS_DB_USER", "DB_USER"]),
            db_password: value(["STATUS_DB_PASSWORD", "DB_PASSWORD"]),
            tracker_key: value(["STATUS_TRACKER_KEY", "TRACKER_KEY"]),
            more,
        }
    }

    /// These values, and others where one is not known. What opens one door is never mixed: neither the id of one OAuth2
    /// app with the secret of another, nor the user of one database with the password of another.
    fn or(mut self, others: Self) -> Self {
        if self.db_password.is_empty() && !others.db_password.is_empty() {
            self.take_login(&others);
        }
        if self.client_id.is_empty() && self.client_secret.is_empty() {
            self.client_id = others.client_id.clone();
        }
        if self.client_id == others.client_id && self.client_secret.is_empty() {
            self.client_secret = others.client_secret;
        }
        for (name, value) in others.more {
            if !self.more.iter().any(|(its, _)| *its == name) {
                self.more.push((name, value));
            }
        }
        let or = |one: String, other: String| if one.is_empty() { other } else { one };
        Self {
            admin: or(self.admin, others.admin),
            api_key: or(self.api_key, others.api_key),
            tracker_key: or(self.tracker_key, others.tracker_key),
            ..self
        }
    }

    /// Database, user and password of others.
    fn take_login(&mut self, others: &Self) {
        self.database.clone_from(&others.database);
        self.db_user.clone_from(&others.db_user);
        self.db_password.clone_from(&others.db_password);
    }

    /// The name of the database.
    pub fn database(&self) -> &str {
        if self.database.is_empty() { DATABASE } else { &self.database }
    }

    /// The name of its user.
    pub fn db_user(&self) -> &str {
        if self.db_user.is_empty() { DB_USER } else { &self.db_user }
    }

    fn take(&mut self, args: &SetupArgs) -> anyhow::Result<()> {
        let file = |path: &PathBuf| {
            let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
            anyhow::Ok(text.trim().to_owned())
        };
        if let Some(admin) = &args.admin {
            self.admin = admin.replace(' ', "");
        }
        if let Some(id) = &args.client_id {
            if !self.client_id.is_empty() && self.client_id != *id {
                self.client_secret.clear();
            }
            self.client_id = id.clone();
        }
        if let Some(path) = &args.client_secret_file {
            self.client_secret = file(path)?;
        }
        if let Some(path) = &args.api_key_file {
            self.api_key = file(path)?;
        }
        Ok(())
    }

    fn make_up(&mut self, tracking: bool) -> anyhow::Result<()> {
        if self.db_password.is_empty() {
            self.db_password = secret()?;
        }
        if tracking && self.tracker_key.is_empty() {
            self.tracker_key = secret()?;
        }
        Ok(())
    }

    /// The values stand in files that Compose, systemd, Mailcow's shell scripts and MariaDB read, each with rules of its own:
    /// between single quotes, all but these two characters mean themselves everywhere.
    fn check(&self) -> anyhow::Result<()> {
        let all = [
            ("the addresses of admins", &self.admin),
            ("the client id", &self.client_id),
            ("the client secret", &self.client_secret),
            ("the API key", &self.api_key),
            ("the database password", &self.db_password),
            ("the tracker key", &self.tracker_key),
        ];
        let more = self.more.iter().map(|(name, value)| (name.as_str(), value));
        for (name, value) in all.into_iter().chain(more) {
            if value.chars().any(|c| c.is_control() || c == '\'' || c == '\\') {
                bail!("{name}: a line of text without ' and \\ can be taken");
            }
        }
        for (name, value) in [("the database", self.database()), ("the database user", self.db_user())] {
            if !value.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c)) {
                bail!("the name of {name}: only letters, digits, _ and - can be taken");
            }
        }
        Ok(())
    }
}

fn secret() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 24];
    getrandom::fill(&mut bytes).ok().context("this machine gives no random numbers")?;
    Ok(hex(&bytes))
}

/// Whether the compose file is to be written.
pub fn writes_override(args: &SetupArgs) -> bool {
    let needed = args.way == Way::Compose || args.open_tracking;
    needed && !args.no_override
}

/// Whether the database is Mailcow's.
pub fn uses_mariadb(args: &SetupArgs) -> bool {
    args.database == Engine::Mariadb
}
