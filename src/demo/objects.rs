//! The things of the API that are not logs: mailboxes, domains, aliases, the queue, the host.

use std::time::Duration;

use super::{
    Keys,
    json::{Json, object, pairs},
    state::{Login, State},
    vitals::Vitals,
    world::{Alias, Mailbox, domain_of},
};
use crate::model::time::Millis;

const GIB: u64 = 1 << 30;

/// A mailbox; the reduced form lacks what costs Mailcow a query per mailbox.
pub(super) fn mailbox(state: &State, mailbox: &Mailbox, full: bool) -> Json {
    let (local, domain) = mailbox.address.rsplit_once('@').unwrap_or((&mailbox.address, ""));
    let percent = match mailbox.quota {
        0 => Json::from("- "),
        quota => Json::from(mailbox.used * 100 / quota),
    };
    let class = match mailbox.used * 100 / mailbox.quota.max(1) {
        _ if mailbox.quota == 0 => "info",
        0..75 => "success",
        75..90 => "warning",
        _ => "danger",
    };
    let last = |service: &str| {
        let logins =
            state.logins.iter().filter(|login| login.service == service && login.username == mailbox.address);
        logins.map(|login| login.at.secs()).max().unwrap_or(0)
    };
    let mut value = pairs! {
        "username": mailbox.address.as_str(),
        "active": i64::from(mailbox.active),
        "active_int": i64::from(mailbox.active),
        "domain": domain,
        "name": mailbox.name.as_str(),
        "local_part": local,
        "quota": mailbox.quota,
        "messages": mailbox.messages,
        "attributes": attributes(&state.local(mailbox.created)),
        "custom_attributes": custom_attributes(&mailbox.address),
        "quota_used": mailbox.used,
        "percent_in_use": percent,
        "created": state.local(mailbox.created),
        "modified": mailbox.modified.map(|at| state.local(at)),
        "authsource": "mailcow",
        "percent_class": class,
        "last_imap_login": last("imap"),
        "last_smtp_login": last("smtp"),
        "last_pop3_login": last("pop3"),
        "last_sso_login": 0,
    };
    if full {
        value.extend([
            ("max_new_quota".into(), Json::from(4 * GIB)),
            ("spam_aliases".into(), Json::from(0)),
            ("pushover_active".into(), Json::from(0)),
            ("rl".into(), object! { "value": "100", "frame": "h" }),
            ("rl_scope".into(), Json::from("domain")),
            ("is_relayed".into(), Json::from(0)),
            ("sender_acl".into(), Json::List(Vec::new())),
        ]);
    }
    Json::Object(value)
}

/// One mailbox lets its mails be tracked. PHP writes an empty map as a list.
fn custom_attributes(address: &str) -> Json {
    match address {
        "ann@alpha.test" => object! { "OPEN_TRACKING": "YES" },
        _ => Json::List(Vec::new()),
    }
}

fn attributes(passwd_update: &str) -> Json {
    object! {
        "force_pw_update": "0", "force_tfa": "0", "tls_enforce_in": "0", "tls_enforce_out": "0",
        "sogo_access": "1", "imap_access": "1", "pop3_access": "1", "smtp_access": "1", "sieve_access": "1",
        "eas_access": "1", "dav_access": "1", "relayhost": "0", "passwd_update": passwd_update,
        "mailbox_format": "maildir:", "quarantine_notification": "hourly", "quarantine_category": "reject",
        "attribute_hash": "",
    }
}

/// A domain; an alias domain answers its target.
pub(super) fn domain(state: &State, name: &str) -> Option<Json> {
    let world = &state.world;
    let alias = world.alias_domains.iter().find(|alias| alias.name == name);
    let name = alias.map_or(name, |alias| alias.target.as_str());
    let domain = world.domains.iter().find(|domain| domain.name == name)?;
    let boxes: Vec<&Mailbox> =
        world.mailboxes.iter().filter(|mailbox| domain_of(&mailbox.address) == name).collect();
    let aliases = world.aliases.iter().filter(|alias| domain_of(&alias.address) == name).count();
    let admins: Vec<&str> = world
        .domain_admins
        .iter()
        .filter(|admin| admin.domains.iter().any(|domain| domain == name))
        .map(|admin| admin.username.as_str())
        .collect();
    let sum = |of: fn(&Mailbox) -> u64| match boxes.iter().map(|mailbox| of(mailbox)).sum::<u64>() {
        // Strings, but the number 0 when there is nothing.
        0 => Json::from(0),
        sum => Json::from(sum.to_string()),
    };
    Some(object! {
        "max_new_mailbox_quota": 4 * GIB,
        "def_new_mailbox_quota": GIB,
        "quota_used_in_domain": sum(|mailbox| mailbox.quota),
        "bytes_total": sum(|mailbox| mailbox.used),
        "msgs_total": sum(|mailbox| mailbox.messages),
        "mboxes_in_domain": boxes.len(),
        "mboxes_left": 20_usize.saturating_sub(boxes.len()),
        "domain_name": name,
        "domain_h_name": name,
        "description": domain.description.as_str(),
        "max_num_aliases_for_domain": 400,
        "max_num_mboxes_for_domain": 20,
        "def_quota_for_mbox": GIB,
        "max_quota_for_mbox": 4 * GIB,
        "max_quota_for_domain": 20 * GIB,
        "relayhost": "0",
        "backupmx": 0,
        "backupmx_int": 0,
        "gal": 1,
        "gal_int": 1,
        "rl": object! { "value": "100", "frame": "h" },
        "active": 1,
        "active_int": 1,
        "relay_all_recipients": 0,
        "relay_all_recipients_int": 0,
        "relay_unknown_only": 0,
        "relay_unknown_only_int": 0,
        "created": state.local(domain.created),
        "modified": Json::Null,
        "aliases_in_domain": aliases,
        "aliases_left": 400_usize.saturating_sub(aliases),
        "domain_admins": if admins.is_empty() { "-".to_owned() } else { admins.join(", ") },
    })
}

/// All aliases, or those of a domain.
pub(super) fn aliases(state: &State, domain: Option<&str>) -> Json {
    let wanted = |alias: &&Alias| domain.is_none_or(|domain| domain_of(&alias.address) == domain);
    Json::List(state.world.aliases.iter().filter(wanted).map(|alias| render_alias(state, alias)).collect())
}

/// The alias with this id.
pub(super) fn alias(state: &State, id: &str) -> Option<Json> {
    let id: u64 = id.parse().ok()?;
    state.world.aliases.iter().find(|alias| alias.id == id).map(|alias| render_alias(state, alias))
}

fn render_alias(state: &State, alias: &Alias) -> Json {
    object! {
        "in_primary_domain": "",
        "id": alias.id,
        "domain": domain_of(&alias.address),
        "public_comment": alias.comment.clone(),
        "private_comment": Json::Null,
        "goto": alias.goto.join(","),
        "address": alias.address.as_str(),
        "is_catch_all": i64::from(alias.address.starts_with('@')),
        "internal": 0,
        "active": i64::from(alias.active),
        "active_int": i64::from(alias.active),
        "sogo_visible": 1,
        "sogo_visible_int": 1,
        "sender_allowed": 0,
        "created": state.local(alias.created),
        "modified": Json::Null,
    }
}

/// All alias domains.
pub(super) fn alias_domains(state: &State) -> Json {
    let rows = state.world.alias_domains.iter().map(|alias| {
        object! {
            "alias_domain": alias.name.as_str(),
            "parent_is_backupmx": 0,
            "target_domain": alias.target.as_str(),
            "active": 1,
            "active_int": 1,
            "rl": false,
            "created": state.local(alias.created),
            "modified": Json::Null,
        }
    });
    Json::List(rows.collect())
}

/// All domain administrators.
pub(super) fn domain_admins(state: &State) -> Json {
    let rows = state.world.domain_admins.iter().map(|admin| {
        let others = state.world.domains.iter().map(|domain| domain.name.clone());
        let others: Vec<String> = others.filter(|name| !admin.domains.contains(name)).collect();
        object! {
            "username": admin.username.as_str(),
            "tfa_active": 0,
            "tfa_active_int": 0,
            "active": i64::from(admin.active),
            "active_int": i64::from(admin.active),
            "created": state.local(admin.created),
            "attributes": object! { "force_tfa": "0", "force_pw_update": "0" },
            "selected_domains": admin.domains.clone(),
            "unselected_domains": others,
        }
    });
    Json::List(rows.collect())
}

/// The one administrator.
pub(super) fn admins(state: &State, now: Millis) -> Json {
    let created = state.local(now.minus(Duration::from_secs(430 * 86_400)));
    Json::List(vec![object! {
        "username": "admin", "tfa_active": 0, "tfa_active_int": 0, "active": 1, "active_int": 1,
        "created": created, "attributes": object! { "force_tfa": "0", "force_pw_update": "0" },
    }])
}

/// What lies in the queue.
pub(super) fn mailq(state: &State) -> Json {
    let rows = state.queue.iter().map(|mail| {
        let recipients: Vec<String> = mail
            .recipients
            .iter()
            .map(|(to, reason)| if reason.is_empty() { to.clone() } else { format!("{to} ({reason})") })
            .collect();
        object! {
            "queue_name": mail.queue,
            "queue_id": mail.id.as_str(),
            "arrival_time": mail.arrival.secs(),
            "message_size": mail.size,
            "forced_expire": false,
            "sender": mail.sender.as_str(),
            "recipients": recipients,
        }
    });
    Json::List(rows.collect())
}

/// The OAuth2 client, secret included.
pub(super) fn oauth2_clients(state: &State, keys: &Keys) -> Json {
    Json::List(vec![object! {
        "id": 1,
        "client_id": keys.client_id.as_str(),
        "client_secret": keys.client_secret.as_str(),
        "redirect_uri": state.redirect_uris.join(" "),
        "grant_types": Json::Null,
        "scope": "profile",
        "user_id": Json::Null,
    }])
}

/// A row of the table of last logins.
pub(super) fn login(state: &State, login: &Login) -> Json {
    object! {
        "service": login.service,
        "app_password": 0,
        "username": login.username.as_str(),
        "real_rip": login.ip.as_str(),
        "datetime": state.local(login.at),
    }
}

/// The last logins of a mailbox.
pub(super) fn last_login(state: &State, address: &str) -> Json {
    let rows = state.logins.iter().rev().filter(|login| login.username == address).map(|login| {
        let public = !login.ip.starts_with("127.") && !login.ip.starts_with("172.22.");
        let ip = if public { login.ip.clone() } else { format!("Web/EAS/Internal ({})", login.ip) };
        let mut row = vec![
            ("real_rip".into(), Json::from(ip)),
            ("datetime".into(), Json::from(state.local(login.at))),
            ("service".into(), Json::from(login.service)),
            ("app_password".into(), Json::from(0)),
            ("app_password_name".into(), Json::Null),
        ];
        if public {
            row.push(("location".into(), Json::from(false)));
        }
        Json::Object(row)
    });
    object! { "ui": false, "sasl": rows.collect::<Vec<_>>() }
}

/// Rspamd's counters since its start.
pub(super) fn rspamd_stats(state: &State) -> Json {
    let count = |names: &[&str]| {
        state.actions.iter().filter(|(name, _)| names.contains(name)).map(|(_, count)| count).sum::<u64>()
    };
    let scanned: u64 = state.actions.iter().map(|(_, count)| count).sum();
    let actions = state.actions.iter().map(|(name, count)| ((*name).into(), Json::from(*count)));
    object! {
        "version": "4.1.4",
        "config_id": "demo",
        "uptime": 86_400,
        "read_only": false,
        "scanned": scanned,
        "learned": 12,
        "actions": Json::Object(actions.collect()),
        "scan_times": (0..31_u64).map(|n| if n < scanned { Json::from(0.05) } else { Json::Null }).collect::<Vec<_>>(),
        "spam_count": count(&["reject", "add header", "rewrite subject"]),
        "ham_count": count(&["no action", "greylist", "soft reject"]),
        "connections": scanned,
        "control_connections": 17,
        "pools_allocated": 372,
        "pools_freed": 329,
        "bytes_allocated": 17_599_312,
        "chunks_allocated": 52,
        "shared_chunks_allocated": 2,
        "chunks_freed": 0,
        "chunks_oversized": 0,
        "fragmented": 0,
        "total_learns": 12,
        "statfiles": [("BAYES_HAM", 4_210), ("BAYES_SPAM", 1_702)]
            .map(|(symbol, revision)| object! { "symbol": symbol, "revision": revision, "used": 0, "total": 0 })
            .to_vec(),
    }
}

/// The same action counts as pairs.
pub(super) fn rspamd_actions(state: &State) -> Json {
    let pairs = state.actions.iter().filter(|(name, _)| *name != "greylist");
    Json::List(pairs.map(|(name, count)| Json::List(vec![Json::from(*name), Json::from(*count)])).collect())
}

/// The host as the docker API container sees it.
pub(super) fn host(vitals: &Vitals, now: Millis) -> Json {
    let number = |key: &str| vitals.number(key, now).unwrap_or_default();
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap_or(jiff::tz::TimeZone::UTC);
    object! {
        "cpu": object! { "cores": 4, "usage": number("host.cpu.used") },
        "memory": object! {
            "total": 8 * GIB, "usage": number("host.memory.used"), "swap": vec![0, 0, 0, 0, 0, 0],
        },
        "uptime": 1_209_600.25,
        "system_time": now.in_zone(&zone).strftime("%d.%m.%Y %H:%M:%S").to_string(),
        "architecture": "x86_64",
    }
}

/// The file system of the mails.
pub(super) fn vmail(vitals: &Vitals, now: Millis) -> Json {
    let percent = vitals.number("mailcow.disk.vmail.used", now).unwrap_or_default().round();
    object! {
        "type": "info", "disk": "/dev/vda", "used": "29G", "total": "271G", "used_percent": format!("{percent}%"),
    }
}

/// Containers and their images.
pub(super) static IMAGES: [(&str, &str); 17] = [
    ("unbound", "ghcr.io/mailcow/unbound:1.24"),
    ("mysql", "mariadb:10.11"),
    ("redis", "redis:7.4.6-alpine"),
    ("clamd", "ghcr.io/mailcow/clamd:1.71"),
    ("rspamd", "ghcr.io/mailcow/rspamd:4.1.4-1"),
    ("php-fpm", "ghcr.io/mailcow/phpfpm:8.2.29-3"),
    ("sogo", "ghcr.io/mailcow/sogo:5.12.9-1"),
    ("dovecot", "ghcr.io/mailcow/dovecot:2.3.21.1-2"),
    ("postfix", "ghcr.io/mailcow/postfix:3.7.11-2"),
    ("nginx", "ghcr.io/mailcow/nginx:1.06"),
    ("acme", "ghcr.io/mailcow/acme:1.94"),
    ("memcached", "memcached:alpine"),
    ("netfilter", "ghcr.io/mailcow/netfilter:1.63"),
    ("watchdog", "ghcr.io/mailcow/watchdog:2.09"),
    ("dockerapi", "ghcr.io/mailcow/dockerapi:2.11"),
    ("ofelia", "mcuadros/ofelia:latest"),
    ("olefy", "ghcr.io/mailcow/olefy:1.15"),
];

/// The containers; one has stopped.
pub(super) fn containers(now: Millis) -> Json {
    let started = now.minus(Duration::from_secs(14 * 86_400)).in_zone(&jiff::tz::TimeZone::UTC);
    let started = started.strftime("%Y-%m-%dT%H:%M:%S.012411355Z").to_string();
    let pairs = IMAGES.map(|(name, image)| {
        let container = format!("{name}-mailcow");
        let value = object! {
            "type": "info", "container": container.as_str(),
            "state": if name == "olefy" { "exited" } else { "running" },
            "started_at": started.as_str(), "image": image,
        };
        (container.into(), value)
    });
    Json::Object(pairs.into())
}

/// Settings that never change here.
pub(super) fn setting(category: &str, name: &str) -> Option<Json> {
    match category {
        "fail2ban" => Some(object! {
            "ban_time": 1800, "ban_time_increment": true, "max_ban_time": 10_000, "netban_ipv4": 32,
            "netban_ipv6": 128, "max_attempts": 10, "retry_window": 600,
            "banlist_id": "5d3a4f0e-0000-4000-8000-00000000demo", "manage_external": 0,
            "regex": object! { "1": "mailcow UI: Invalid password for .+ by ([0-9a-f\\.:]+)" },
            "whitelist": "127.0.0.1", "blacklist": "",
            "active_bans": vec![object! { "network": "203.0.113.9/32", "queued_for_unban": 0, "banned_until": "0h 21m 4s" }],
        }),
        "dkim" if matches!(name, "alpha.test" | "beta.test") => Some(object! {
            "pubkey": "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A", "length": "2048",
            "dkim_txt": "v=DKIM1;k=rsa;t=s;s=email;p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A",
            "dkim_selector": "dkim", "privkey": "",
        }),
        "rl-domain" if name == "all" => Some(Json::List(vec![
            object! { "value": "100", "frame": "h", "domain": "alpha.test" },
            object! { "value": "100", "frame": "h", "domain": "beta.test" },
        ])),
        "rl-mbox" if name == "all" => {
            Some(Json::List(vec![object! { "value": "25", "frame": "h", "mailbox": "bob@alpha.test" }]))
        }
        "rl-mbox" if name == "bob@alpha.test" => Some(object! { "value": "25", "frame": "h" }),
        "passwordpolicy" => Some(object! {
            "length": "6", "chars": "0", "special_chars": "0", "lowerupper": "0", "numbers": "0",
        }),
        "spam-score" => Some(object! { "score": "8,15" }),
        "identity-provider" => Some(object! { "login_provisioning": 1 }),
        "global_filters" => Some(object! { "prefilter": false, "postfilter": false }),
        _ => None,
    }
}

/// The sync jobs: one never ran, one is fine, one fails since its password was changed.
pub(super) fn syncjobs(state: &State, now: Millis, no_log: bool) -> Json {
    let ran = |minutes: u64| Json::from(state.local(now.minus(Duration::from_secs(minutes * 60))));
    Json::List(vec![
        syncjob(1, ["carla@beta.test", "carla@old.example"], no_log, [Json::Null, Json::Null, Json::Null]),
        syncjob(
            2,
            ["ann@alpha.test", "ann@old.example"],
            no_log,
            [ran(11), Json::from(1), Json::from("EX_OK")],
        ),
        syncjob(
            3,
            ["bob@alpha.test", "bob@old.example"],
            no_log,
            [ran(19), Json::from(0), Json::from("EXIT_AUTHENTICATION_FAILURE_USER1")],
        ),
    ])
}

fn syncjob(id: i64, [to, from]: [&str; 2], no_log: bool, [last, success, exit]: [Json; 3]) -> Json {
    object! {
        "id": id, "user2": to, "host1": "imap.old.example", "authmech1": "PLAIN",
        "regextrans2": "", "authmd51": 0, "domain2": "", "subfolder2": "External", "user1": from,
        "exclude": "(?i)spam|(?i)junk", "maxage": 0, "mins_interval": 20, "maxbytespersecond": "0",
        "port1": 993, "enc1": "SSL", "delete2duplicates": 1, "delete1": 0, "delete2": 0, "automap": 1,
        "skipcrossduplicates": 0, "custom_params": "", "timeout1": 600, "timeout2": 600, "subscribeall": 1,
        "dry": 0, "is_running": 0, "last_run": last, "success": success, "exit_status": exit,
        "created": "2025-10-01 10:00:00", "modified": Json::Null, "active": 1,
        "log": if no_log { "" } else { "Exiting with return value 0" },
    }
}
