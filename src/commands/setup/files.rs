//! Which files are written, and what each holds.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use super::{
    SetupArgs, Way, block, compose,
    plan::Change,
    wish::{Values, Wish, uses_mariadb, writes_override},
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
    if !conf.is_empty() {
        changes.push(Change::write(&files.conf, true, |was| {
            block::appended(was.unwrap_or_default(), "#", &conf)
        })?);
    }
    if writes_override(args) {
        changes.push(Change::write(&files.compose, false, |was| {
            compose::merged(was.unwrap_or_default(), args, &wish.public_url())
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
        whole(&files.sql, true, "--", sql(&wish.values.db_password))?;
    }
    if args.way == Way::Host {
        whole(&files.env, true, "#", env(wish))?;
        whole(&files.unit, false, "#", unit(args))?;
    }
    if args.open_tracking {
        whole(&files.lua, false, "--", TRACKING.to_owned())?;
        changes.push(Change::write(&files.rspamd, false, |was| {
            block::appended(was.unwrap_or_default(), "--", LOAD_TRACKING)
        })?);
    }
    Ok(changes)
}

/// Variables of ours in `mailcow.conf`, for the compose file.
fn conf(wish: &Wish) -> String {
    let Values { admin, client_id, client_secret, api_key, db_password, tracker_key } = &wish.values;
    let args = &wish.args;
    let inside = args.way == Way::Compose;
    let all = [
        ("STATUS_ADMIN", admin, inside),
        ("STATUS_CLIENT_ID", client_id, inside),
        ("STATUS_CLIENT_SECRET", client_secret, inside),
        ("STATUS_API_KEY", api_key, inside),
        ("STATUS_DB_PASSWORD", db_password, inside && uses_mariadb(args)),
        ("STATUS_TRACKER_KEY", tracker_key, args.open_tracking),
    ];
    let wanted = all.iter().filter(|(_, _, wanted)| *wanted);
    wanted.map(|(name, value, _)| format!("{name}={value}\n")).collect()
}

/// The portal's settings on the host.
fn env(wish: &Wish) -> String {
    let (args, values, conf) = (&wish.args, &wish.values, &wish.conf);
    let gate = &conf.ipv4_network;
    let mut all = vec![
        ("MAILCOW_DOMAIN", conf.hostname.clone()),
        ("MAILCOW_CLIENT_ID", values.client_id.clone()),
        ("MAILCOW_CLIENT_SECRET", values.client_secret.clone()),
        ("MAILCOW_CALLBACK", args.callback.clone()),
        ("MAILCOW_API_KEY", values.api_key.clone()),
        ("ADMIN", values.admin.clone()),
        ("PUBLIC_URL", wish.public_url()),
        // Mailcow's side of the bridge: its nginx gets here, the world does not.
        ("LISTEN", format!("{gate}.1:8080")),
        ("TRUSTED_PROXIES", format!("{gate}.0/24")),
        ("TIME_ZONE", conf.zone.clone()),
    ];
    if uses_mariadb(args) {
        all.extend([
            ("DB_HOST", conf.sql_place.clone()),
            ("DB_DATABASE", "mailcowstatus".to_owned()),
            ("DB_USER", "status".to_owned()),
            ("DB_PASSWORD", values.db_password.clone()),
        ]);
    } else {
        all.push(("DATABASE_URL", "sqlite:/var/lib/mailcow-status/mailcow-status.sqlite".to_owned()));
    }
    if args.open_tracking {
        all.extend([("OPEN_TRACKING", "YES".to_owned()), ("TRACKER_KEY", values.tracker_key.clone())]);
    }
    all.iter().fold(String::new(), |mut out, (name, value)| {
        let _ = writeln!(out, "{name}={value}");
        out
    })
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
fn sql(password: &str) -> String {
    format!(
        "CREATE DATABASE IF NOT EXISTS `mailcowstatus` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;\n\
         CREATE USER IF NOT EXISTS 'status'@'%' IDENTIFIED BY '{password}';\n\
         ALTER USER 'status'@'%' IDENTIFIED BY '{password}';\n\
         GRANT ALL PRIVILEGES ON `mailcowstatus`.* TO 'status'@'%';\n"
    )
}
