//! The services for `docker-compose.override.yml`, and their way into one that exists.

use std::fmt::Write;

use anyhow::bail;

use super::{
    Engine, SetupArgs, Way, block,
    wish::{CONF_PREFIX, DATABASE, DB_USER, uses_mariadb},
};

/// The top-level keys of a compose file that we add to.
struct Sections {
    services: String,
    networks: String,
    volumes: String,
}

/// What Compose puts in where `mailcow.conf` has the value.
const PASSED: &[(&str, &str)] = &[
    ("MAILCOW_DOMAIN", "${MAILCOW_HOSTNAME}"),
    ("MAILCOW_CONNECT", "nginx-mailcow:${HTTPS_PORT:-443}"),
    ("MAILCOW_CLIENT_ID", "${STATUS_CLIENT_ID}"),
    ("MAILCOW_CLIENT_SECRET", "${STATUS_CLIENT_SECRET}"),
    ("MAILCOW_API_KEY", "${STATUS_API_KEY}"),
    ("ADMIN", "${STATUS_ADMIN}"),
    ("TIME_ZONE", "${TZ}"),
    ("LISTEN", "0.0.0.0:8080"),
    // Not written by setup: whoever wants encrypted backups, or what the host collector sees, adds it to mailcow.conf.
    ("BACKUP_PASSPHRASE", "${STATUS_BACKUP_PASSPHRASE:-}"),
    ("COLLECTOR_KEY", "${STATUS_COLLECTOR_KEY:-}"),
];

/// The override file with our services: a new one, or the present one with ours put in. `public_url` is the address that
/// visitors type; `more`: names of settings that the portal gets besides. What somebody added to ours stays. Refuses what it cannot
/// merge for certain.
pub fn merged(present: &str, args: &SetupArgs, public_url: &str, more: &[String]) -> anyhow::Result<String> {
    let added = added(&block::within(present)?, args, more);
    let mut text = block::without(present)?;
    let plain =
        |line: &&str| line.starts_with([' ', '#']) || line.trim().is_empty() || top_key(line).is_some();
    if let Some(odd) = text.lines().skip_while(|line| *line == "---").find(|line| !plain(line)) {
        bail!("has a line at its margin that is no key ({odd:?}); {BY_HAND}");
    }
    let sections = sections(args, public_url, &added);
    for (name, piece) in
        [("services", &sections.services), ("networks", &sections.networks), ("volumes", &sections.volumes)]
    {
        if !piece.is_empty() {
            text = inserted(text, name, piece)?;
        }
    }
    Ok(text)
}

/// Puts a piece below a top-level key, which is added at the end when it is missing.
fn inserted(mut text: String, key: &str, piece: &str) -> anyhow::Result<String> {
    let heads: Vec<usize> = text
        .split_inclusive('\n')
        .scan(0, |at, line| Some((std::mem::replace(at, *at + line.len()), line)))
        .filter(|(_, line)| top_key(line) == Some(key))
        .map(|(at, _)| at)
        .collect();
    let [head] = heads[..] else {
        if !heads.is_empty() {
            bail!("has {key}: twice; {BY_HAND}");
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        return Ok(text + &block::marked("#", "", &format!("{key}:\n{piece}")));
    };
    let rest = text.get(head..).unwrap_or_default();
    let line = rest.split_inclusive('\n').next().unwrap_or(rest);
    let value = line.split_once(':').map_or("", |(_, value)| value).trim();
    if !value.is_empty() && !value.starts_with('#') || !line.ends_with('\n') {
        bail!("has {key}: with something on the same line; {BY_HAND}");
    }
    let body = rest.get(line.len()..).unwrap_or_default();
    let (indent, theirs) = children(body);
    let ours = children(piece).1;
    if let Some(both) = ours.iter().find(|name| theirs.contains(name)) {
        bail!("has {both} below {key}: already; {BY_HAND}");
    }
    let mut out = text.get(..head + line.len()).unwrap_or_default().to_owned();
    let indent = " ".repeat(indent.unwrap_or(2));
    let piece: String = piece
        .split_inclusive('\n')
        .map(|line| format!("{indent}{}", line.get(2..).unwrap_or(line)))
        .collect();
    out.push_str(&block::marked("#", &indent, &piece));
    out.push_str(body);
    Ok(out)
}

const BY_HAND: &str = "put the services in by hand, as deploy/docker-compose.override.yml has them, and run again with \
                       --no-override";

/// The key of a line without indentation.
fn top_key(line: &str) -> Option<&str> {
    let key = line.split_once(':')?.0.trim_end();
    (!line.starts_with([' ', '#', '\t', '{', '[', '-'])).then(|| key.trim_matches(['"', '\'']))
}

/// The indentation of the entries up to the next top-level key, and their names.
fn children(body: &str) -> (Option<usize>, Vec<&str>) {
    let depth = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let lines = body.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let lines: Vec<&str> = lines.take_while(|line| depth(line) > 0).collect();
    let first = lines.first().map(|line| depth(line));
    let names = lines
        .iter()
        .filter(|line| Some(depth(line)) == first)
        .filter_map(|line| Some(line.split_once(':')?.0.trim().trim_matches(['"', '\''])))
        .collect();
    (first, names)
}

fn sections(args: &SetupArgs, public_url: &str, added: &[String]) -> Sections {
    if args.way == Way::Host {
        // The portal is no container; Rspamd alone must know of it.
        let map = format!("http://${{IPV4_NETWORK:-172.22.1}}.1:8080{}", below(args));
        let services = rspamd(public_url, &map, false);
        return Sections { services, networks: String::new(), volumes: String::new() };
    }
    let mut services = portal(args, public_url, added);
    services.push_str("  nginx-mailcow:\n    networks:\n      status-network: {}\n");
    if uses_mariadb(args) {
        services.push_str("  mysql-mailcow:\n    networks:\n      status-network: {}\n");
    }
    if args.open_tracking {
        services.push_str(&rspamd(public_url, &format!("http://status-mailcow:8080{}", below(args)), true));
    }
    let networks = format!(
        "  # Not Mailcow's own network: whoever is on that may do everything with Mailcow's containers.\n  \
         status-network:\n    enable_ipv6: false\n    ipam:\n      config:\n        - subnet: {}\n",
        args.network
    );
    let volumes = if uses_mariadb(args) { String::new() } else { "  status-vol-1: {}\n".to_owned() };
    Sections { services, networks, volumes }
}

/// What stands before each path of the portal.
fn below(args: &SetupArgs) -> &str {
    if args.host.is_some() { "" } else { &args.path }
}

fn portal(args: &SetupArgs, public_url: &str, added: &[String]) -> String {
    // An image of no registry was built here. Mailcow's update pulls all images, and would end at one that it cannot find.
    let pull = if args.image.contains('/') { "" } else { "    pull_policy: never\n" };
    let mut out = format!("  status-mailcow:\n    image: {}\n{pull}", args.image);
    out.push_str(
        "    restart: always\n    read_only: true\n    user: \"65532:65532\"\n    cap_drop: [ALL]\n    \
         security_opt: [\"no-new-privileges:true\"]\n    tmpfs: [\"/tmp:size=16m,mode=1777\"]\n    mem_limit: 256m\n    \
         pids_limit: 64\n    healthcheck:\n      test: [CMD, /mailcow-status, health]\n      interval: 30s\n      \
         timeout: 5s\n      start_period: 60s\n      retries: 3\n    environment:\n",
    );
    for (name, value) in environment(args, public_url) {
        let _ = writeln!(out, "      - {name}={value}");
    }
    for entry in added {
        let _ = writeln!(out, "      {entry}");
    }
    if !uses_mariadb(args) {
        out.push_str("    volumes:\n      - status-vol-1:/data\n");
    }
    out.push_str("    networks:\n      status-network: {}\n");
    out.push_str(&labels(args.ofelia));
    out
}

fn environment(args: &SetupArgs, public_url: &str) -> Vec<(&'static str, String)> {
    let mut all: Vec<_> = PASSED.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    all.push(("MAILCOW_CALLBACK", args.callback.clone()));
    all.push(("PUBLIC_URL", in_terms_of_mailcow(args, public_url)));
    all.push(("TRUSTED_PROXIES", args.network.to_string()));
    if uses_mariadb(args) {
        all.push(("DB_HOST", "mysql-mailcow".to_owned()));
        all.push(("DB_DATABASE", format!("${{{CONF_PREFIX}DB_DATABASE:-{DATABASE}}}")));
        all.push(("DB_USER", format!("${{{CONF_PREFIX}DB_USER:-{DB_USER}}}")));
        all.push(("DB_PASSWORD", "${STATUS_DB_PASSWORD}".to_owned()));
    } else {
        all.push(("DATABASE_URL", "sqlite:/data/mailcow-status.sqlite".to_owned()));
    }
    if args.open_tracking {
        all.push(("OPEN_TRACKING", "YES".to_owned()));
        all.push(("TRACKER_KEY", "${STATUS_TRACKER_KEY}".to_owned()));
    }
    all
}

/// Entries of the portal's environment besides those of setup: what somebody added between our marks, and new ones.
fn added(ours: &str, args: &SetupArgs, more: &[String]) -> Vec<String> {
    let every = [Engine::Mariadb, Engine::Sqlite].map(|database| SetupArgs {
        database,
        open_tracking: true,
        ..args.clone()
    });
    let is_ours =
        |name: &str| every.iter().any(|args| environment(args, "").iter().any(|(its, _)| *its == name));
    let named =
        |entry: &str| entry.trim_start_matches(['-', ' ', '"', '\'']).split('=').next().map(str::to_owned);
    let lines = ours.lines().map(str::trim).skip_while(|line| *line != "status-mailcow:");
    let entries = lines.skip_while(|line| *line != "environment:").skip(1);
    let mut all: Vec<String> = entries
        .take_while(|line| line.is_empty() || line.starts_with(['-', '#']))
        .filter(|line| line.starts_with('-') && !named(line).is_some_and(|name| is_ours(&name)))
        .map(str::to_owned)
        .collect();
    for name in more {
        if !all.iter().any(|entry| named(entry).as_ref() == Some(name)) {
            all.push(passed(name));
        }
    }
    all
}

/// The entry that hands a further setting on.
fn passed(name: &str) -> String {
    format!("- {name}=${{{CONF_PREFIX}{name}}}")
}

/// Entries of the portal's environment that the shipped file does not have, for those who put it in by hand.
pub fn by_hand(args: &SetupArgs, public_url: &str, more: &[String]) -> Vec<String> {
    let shipped = environment(&SetupArgs::usual(), "");
    let own = environment(args, public_url).into_iter().filter(|entry| !shipped.contains(entry));
    own.map(|(name, value)| format!("- {name}={value}")).chain(more.iter().map(|name| passed(name))).collect()
}

/// The address in words that stay right when Mailcow gets another name.
fn in_terms_of_mailcow(args: &SetupArgs, public_url: &str) -> String {
    match args.host {
        Some(_) => public_url.to_owned(),
        None => format!("https://${{MAILCOW_HOSTNAME}}{}", args.path),
    }
}

/// Not needed: the portal has a schedule of its own. For those who want all jobs of the host in one place.
fn labels(active: bool) -> String {
    let lines = [
        "labels:",
        "  ofelia.enabled: \"true\"",
        "  ofelia.job-exec.status_update.schedule: \"0 */5 * * * *\"",
        "  ofelia.job-exec.status_update.user: \"65532\"",
        "  ofelia.job-exec.status_update.command: /mailcow-status update",
        "  ofelia.job-exec.status_prune.schedule: \"0 30 3 * * *\"",
        "  ofelia.job-exec.status_prune.user: \"65532\"",
        "  ofelia.job-exec.status_prune.command: /mailcow-status prune",
    ];
    let mark = if active { "" } else { "# " };
    let head = if active {
        ""
    } else {
        "    # Jobs by Mailcow's Ofelia: not needed, the portal keeps its own schedule.\n"
    };
    lines.iter().fold(head.to_owned(), |out, line| out + "    " + mark + line + "\n")
}

fn rspamd(public_url: &str, map: &str, network: bool) -> String {
    let networks = if network { "    networks:\n      status-network: {}\n" } else { "" };
    format!(
        "  rspamd-mailcow:\n    environment:\n      - TRACKER_URL={public_url}\n      - TRACKER_MAP={map}\n      \
         - TRACKER_KEY=${{STATUS_TRACKER_KEY}}\n      - TRACKER_NOTICE=1\n{networks}"
    )
}
