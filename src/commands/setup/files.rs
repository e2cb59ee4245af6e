//! Which files are written, and what each holds.

use std::path::{Path, PathBuf};

use super::{
    SetupArgs, Way,
    block::{self, Settings},
    compose,
    plan::Change,
    wish::{CONF_PREFIX, Values, Wish, uses_mariadb, writes_override},
};

const BELOW_MAILCOW: &str = include_str!("../../../deploy/nginx/site.status.custom");
const OWN_HOST: &str = include_str!("../../../deploy/nginx/status.conf");
const UNIT: &str = include_str!("../../../deploy/systemd/mailcow-status.service");
const TRACKING: &str = include_str!("../../../deploy/rspamd/open-tracking.lua");
const LOAD_TRACKING: &str = "dofile('/etc/rspamd/local.d/open-tracking.lua')\n";

/// The files that setup may ever write.
pub struct Files {
    /// Mailcow's settings.
    pub conf: PathBuf,
    /// Our services.
    pub compose: PathBuf,
    /// nginx, below Mailcow's name.
    pub below: PathBuf,
    /// nginx, under a name of its own.
    pub own_host: PathBuf,
    /// Rspamd's hook.
    pub lua: PathBuf,
    /// What makes Rspamd load it.
    pub rspamd: PathBuf,
    /// Statements for the database.
    pub sql: PathBuf,
    /// The portal's settings on the host.
    pub env: PathBuf,
    /// The portal's unit on the host.
    pub unit: PathBuf,
}

impl Files {
    /// Below the directory of Mailcow, and where the arguments say.
    pub fn at(mailcow: &Path, args: &SetupArgs) -> Self {
        Self {
            conf: mailcow.join("mailcow.conf"),
            compose: mailcow.join("docker-compose.override.yml"),
            below: mailcow.join("data/conf/nginx/site.status.custom"),
            own_host: mailcow.join("data/conf/nginx/status.conf"),
            lua: mailcow.join("data/conf/rspamd/local.d/open-tracking.lua"),
            rspamd: mailcow.join("data/conf/rspamd/local.d/rspamd.lua"),
            sql: mailcow.join("mailcow-status.sql"),
            env: args.folder.join(".env"),
            unit: args.units.join("mailcow-status.service"),
        }
    }
}

/// All files with what they will hold.
pub fn plan(wish: &Wish) -> anyhow::Result<Vec<Change>> {
    let args = &wish.args;
    let files = Files::at(&wish.mailcow, args);
    let mut changes = Vec::new();
    let conf = conf(wish);
    if conf.iter().any(|(_, value)| value.is_some()) {
        changes.push(Change::write(&files.conf, true, |was| {
            block::with_settings(was.unwrap_or_default(), &conf)
        })?);
    }
    if writes_override(args) {
        changes.push(Change::write(&files.compose, false, |was| {
            compose::merged(was.unwrap_or_default(), args, &wish.public_url(), &wish.further)
        })?);
    }
    let mut whole = |path: &Path, private: bool, comment: &str, text: String| {
        changes.push(Change::write(path, private, |_| Ok(block::whole(comment, &text)))?);
        anyhow::Ok(())
    };
    match args.host {
        None => whole(&files.below, false, "#", below(wish))?,
        Some(_) => whole(&files.own_host, false, "#", own_host(wish))?,
    }
    if uses_mariadb(args) {
        whole(&files.sql, true, "--", sql(&wish.values))?;
    }
    if args.way == Way::Host {
        whole(&files.unit, false, "#", unit(args))?;
    }
    if args.way == Way::Host {
        changes.push(Change::write(&files.env, true, |was| {
            block::with_settings(was.unwrap_or_default(), &env(wish))
        })?);
    }
    if args.open_tracking {
        changes.push(Change::write(&files.lua, false, |_| Ok(block::whole("--", TRACKING)))?);
        changes.push(Change::write(&files.rspamd, false, |was| {
            block::appended(was.unwrap_or_default(), "--", LOAD_TRACKING)
        })?);
    }
    Ok(changes)
}

/// Variables of ours in `mailcow.conf`, for the compose file.
fn conf(wish: &Wish) -> Settings {
    let Values {
        admin,
        client_id,
        client_secret,
        api_key,
        database,
        db_user,
        db_password,
        tracker_key,
        more,
    } = &wish.values;
    let inside = wish.args.way == Way::Compose;
    let stored = inside && uses_mariadb(&wish.args);
    let all = [
        ("ADMIN", admin, inside),
        ("CLIENT_ID", client_id, inside),
        ("CLIENT_SECRET", client_secret, inside),
        ("API_KEY", api_key, inside),
        // The compose file has the usual names.
        ("DB_DATABASE", database, stored && !database.is_empty()),
        ("DB_USER", db_user, stored && !db_user.is_empty()),
        ("DB_PASSWORD", db_password, stored),
        // Stays where tracking is off for a while: with another one, earlier opens would not be found again.
        ("TRACKER_KEY", tracker_key, !tracker_key.is_empty()),
    ];
    let more = more.iter().map(|(name, value)| (name.as_str(), value, inside));
    let named = |(name, value, wanted): (&str, &String, bool)| {
        (format!("{CONF_PREFIX}{name}"), wanted.then(|| value.clone()))
    };
    all.into_iter().chain(more).map(named).collect()
}

/// The portal's settings on the host.
fn env(wish: &Wish) -> Settings {
    let (args, values, conf) = (&wish.args, &wish.values, &wish.conf);
    let gate = &conf.ipv4_network;
    let stored = |value: &str| uses_mariadb(args).then(|| value.to_owned());
    let embedded =
        (!uses_mariadb(args)).then(|| "sqlite:/var/lib/mailcow-status/mailcow-status.sqlite".to_owned());
    let tracker_key = Some(values.tracker_key.clone()).filter(|key| !key.is_empty());
    let all = [
        ("MAILCOW_DOMAIN", Some(conf.hostname.clone())),
        ("MAILCOW_CLIENT_ID", Some(values.client_id.clone())),
        ("MAILCOW_CLIENT_SECRET", Some(values.client_secret.clone())),
        ("MAILCOW_CALLBACK", Some(args.callback.clone())),
        ("MAILCOW_API_KEY", Some(values.api_key.clone())),
        ("ADMIN", Some(values.admin.clone())),
        ("PUBLIC_URL", Some(wish.public_url())),
        // Mailcow's side of the bridge: its nginx gets here, the world does not.
        ("LISTEN", Some(format!("{gate}.1:8080"))),
        ("TRUSTED_PROXIES", Some(format!("{gate}.0/24"))),
        ("TIME_ZONE", Some(conf.zone.clone())),
        ("DB_HOST", stored(&conf.sql_place)),
        ("DB_DATABASE", stored(values.database())),
        ("DB_USER", stored(values.db_user())),
        ("DB_PASSWORD", stored(&values.db_password)),
        ("DATABASE_URL", embedded),
        ("OPEN_TRACKING", args.open_tracking.then(|| "YES".to_owned())),
        ("TRACKER_KEY", tracker_key),
    ];
    let more = values.more.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(more).collect()
}

fn below(wish: &Wish) -> String {
    let text = BELOW_MAILCOW.replace("status-mailcow:8080", &wish.upstream());
    match wish.args.path.as_str() {
        "/status" => text,
        // Only where it is a path: before a slash, a blank or a query.
        path => ["/status ", "/status/"].iter().fold(text, |text, old| {
            text.replace(&format!(" {old}"), &format!(" {}", old.replace("/status", path)))
        }),
    }
}

fn own_host(wish: &Wish) -> String {
    let host = wish.args.host.as_deref().unwrap_or_default();
    OWN_HOST.replace("status-mailcow:8080", &wish.upstream()).replace("status.example.org", host)
}

fn unit(args: &SetupArgs) -> String {
    UNIT.replace("/etc/mailcow-status", &args.folder.to_string_lossy())
}

/// May be run again: it makes what is missing, and sets the password.
fn sql(values: &Values) -> String {
    let (database, user, password) = (values.database(), values.db_user(), &values.db_password);
    format!(
        "CREATE DATABASE IF NOT EXISTS `{database}` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;\n\
         CREATE USER IF NOT EXISTS '{user}'@'%' IDENTIFIED BY '{password}';\n\
         ALTER USER '{user}'@'%' IDENTIFIED BY '{password}';\n\
         GRANT ALL PRIVILEGES ON `{database}`.* TO '{user}'@'%';\n"
    )
}
