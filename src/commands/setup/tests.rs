//! The whole command in directories that look like Mailcow's, with what people have there.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use clap::Parser;

use super::*;
use crate::{
    commands::{Cli, Command},
    config::Config,
};

const CONF: &str =
    "# mailcow\nMAILCOW_HOSTNAME=mail.example.org\nDBROOT=rootpw\nTZ=Europe/Berlin\nHTTPS_PORT=443\n";

fn mailcow(conf: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["data/conf/nginx", "data/conf/rspamd/local.d"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    fs::write(dir.path().join("mailcow.conf"), conf).unwrap();
    dir
}

fn args(dir: &Path, more: &[&str]) -> SetupArgs {
    let place = dir.to_str().unwrap();
    let folder = format!("{place}/etc");
    let mut line =
        vec!["mailcow-status", "setup", "--mailcow", place, "--folder", &folder, "--units", &folder];
    line.extend(more);
    match Cli::try_parse_from(line).unwrap().command {
        Command::Setup(args) => *args,
        other => panic!("{other:?}"),
    }
}

fn said(dir: &Path, more: &[&str], input: Option<&str>) -> (String, anyhow::Result<()>) {
    let mut out = Vec::new();
    let talk =
        Talk { asks: input.is_some(), input: &mut input.unwrap_or_default().as_bytes(), out: &mut out };
    let result = session(&args(dir, more), talk, Millis(1_795_000_000_000));
    (String::from_utf8(out).unwrap(), result)
}

fn done(dir: &Path, more: &[&str]) -> String {
    let (out, result) = said(dir, &[more, &["--yes"]].concat(), None);
    result.unwrap();
    out
}

/// Every file below, with text and rights; without the portal's folder of backups nothing is left out.
fn picture(dir: &Path) -> Vec<(String, u32, String)> {
    let mut all = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let mode = path.metadata().unwrap().mode() & 0o777;
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                all.push((name, mode, fs::read_to_string(path).unwrap()));
            }
        }
    }
    all.sort();
    all
}

fn without_backups(dir: &Path) -> Vec<(String, String)> {
    let all = picture(dir).into_iter().filter(|(name, _, _)| !name.ends_with(".bak"));
    all.map(|(name, _, text)| (name, text)).collect()
}

fn text(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap()
}

#[test]
fn a_second_run_changes_nothing_and_remove_leaves_what_was_there() {
    let ways: [&[&str]; 4] = [
        &["--admin", "admin@example.org"],
        &["--way", "host", "--open-tracking"],
        &["--host", "status.example.org", "--database", "sqlite", "--ofelia"],
        &["--path", "/portal", "--open-tracking", "--network", "10.9.8.0/29"],
    ];
    for more in ways {
        let dir = mailcow(CONF);
        let before = without_backups(dir.path());
        done(dir.path(), more);
        let first = picture(dir.path());
        let again = done(dir.path(), more);
        assert!(again.contains("Nothing to change."), "{again}");
        assert_eq!(picture(dir.path()), first, "{more:?}");
        done(dir.path(), &["--remove"]);
        assert_eq!(without_backups(dir.path()), before, "{more:?}");
    }
}

#[test]
fn secrets_are_for_their_owner_only_and_never_shown() {
    let dir = mailcow(CONF);
    let key = dir.path().join("key");
    fs::write(&key, "AAAAAA-BBBBBB\n").unwrap();
    let more = ["--way", "host", "--api-key-file", key.to_str().unwrap(), "--open-tracking"];
    let out = done(dir.path(), &more);
    let env = text(dir.path(), "etc/.env");
    let value = |name: &str| {
        env.lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")))
            .unwrap_or_else(|| panic!("{name}"))
            .to_owned()
    };
    for secret in
        [value("DB_PASSWORD"), value("TRACKER_KEY"), "AAAAAA-BBBBBB".to_owned(), "rootpw".to_owned()]
    {
        assert!(secret.len() > 5 && !out.contains(&secret), "{out}");
        for (name, mode, _) in picture(dir.path()).into_iter().filter(|(_, _, text)| text.contains(&secret)) {
            assert!(mode & 0o077 == 0 || name == "key" || name.ends_with(".bak"), "{name} {mode:o}");
        }
    }
    for name in ["etc/.env", "mailcow-status.sql", "mailcow.conf"] {
        assert_eq!(dir.path().join(name).metadata().unwrap().mode() & 0o777, 0o600, "{name}");
    }
    assert!(
        text(dir.path(), "mailcow-status.sql").contains(&format!("IDENTIFIED BY '{}'", value("DB_PASSWORD")))
    );
    fs::set_permissions(dir.path().join("etc/.env"), std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .unwrap();
    assert!(done(dir.path(), &more).contains("closed to others"));
    assert_eq!(dir.path().join("etc/.env").metadata().unwrap().mode() & 0o777, 0o600);
    let (password, key) = (value("DB_PASSWORD"), value("TRACKER_KEY"));
    let removed = done(dir.path(), &["--way", "host", "--remove"]);
    assert!(removed.contains("IDENTIFIED BY '********'"), "{removed}");
    assert!(!removed.contains(&password) && !removed.contains(&key), "{removed}");
}

#[test]
fn a_dry_run_and_a_no_write_nothing() {
    let dir = mailcow(CONF);
    let before = picture(dir.path());
    let (out, result) = said(dir.path(), &["--dry-run"], None);
    result.unwrap();
    assert!(out.contains("  + STATUS_DB_PASSWORD=********") && out.contains("Nothing was written"), "{out}");
    assert!(out.contains("https://mail.example.org/status/callback\n"), "the exact redirect URI: {out}");
    let (_, result) = said(dir.path(), &[], None);
    assert!(result.unwrap_err().to_string().contains("--yes"));
    let (_, result) = said(dir.path(), &[], Some("admin@example.org\n\n\nn\n"));
    assert!(result.is_err());
    assert_eq!(picture(dir.path()), before);
}

#[test]
fn answers_at_the_terminal_are_taken_and_kept() {
    let dir = mailcow(CONF);
    let (out, result) = said(dir.path(), &[], Some("a@x.test,b@x.test\n0123456789ab\nhush\nAA-BB\ny\n"));
    result.unwrap();
    assert!(out.contains("redirect URI\n  https://mail.example.org/status/callback"), "{out}");
    let conf = text(dir.path(), "mailcow.conf");
    for line in [
        "STATUS_ADMIN=a@x.test,b@x.test",
        "STATUS_CLIENT_ID=0123456789ab",
        "STATUS_CLIENT_SECRET=hush",
        "STATUS_API_KEY=AA-BB",
    ] {
        assert!(conf.contains(&format!("{line}\n")), "{conf}");
    }
    done(dir.path(), &["--path", "/other"]);
    assert!(text(dir.path(), "mailcow.conf").contains("STATUS_CLIENT_SECRET=hush\n"), "kept from run to run");
    let (_, result) = said(dir.path(), &["--admin", "a'b@x.test", "--yes"], None);
    assert!(result.unwrap_err().to_string().contains("addresses of admins"));
}

#[test]
fn nothing_is_overwritten_without_a_backup_and_remove_puts_it_back() {
    let dir = mailcow(CONF);
    let snippet = dir.path().join("data/conf/nginx/site.status.custom");
    fs::write(&snippet, "location /status/ { return 204; }\n").unwrap();
    let before = without_backups(dir.path());
    let out = done(dir.path(), &[]);
    assert!(
        out.contains("  - location /status/ { return 204; }") && out.contains("site.status.custom.2026"),
        "{out}"
    );
    fs::write(&snippet, text(dir.path(), "data/conf/nginx/site.status.custom") + "# mine\n").unwrap();
    done(dir.path(), &[]);
    let kept = |what: &str| {
        picture(dir.path()).iter().any(|(name, _, text)| name.ends_with(".bak") && text.contains(what))
    };
    assert!(kept("# mine") && kept("return 204"));
    done(dir.path(), &["--remove"]);
    assert_eq!(without_backups(dir.path()), before);
    done(dir.path(), &["--remove"]);
    assert_eq!(without_backups(dir.path()), before, "what is not of setup stays");
}

#[test]
fn services_of_others_stay_and_doubtful_files_are_refused() {
    let theirs = "# mine\nservices:\n    roundcube:\n        image: x\n        networks: [mailcow-network]\nnetworks:\n    other: {}\n";
    let dir = mailcow(CONF);
    let compose = dir.path().join("docker-compose.override.yml");
    fs::write(&compose, theirs).unwrap();
    done(dir.path(), &[]);
    let merged = fs::read_to_string(&compose).unwrap();
    assert!(merged.contains("\n    status-mailcow:\n") && merged.contains("\n    roundcube:\n"), "{merged}");
    assert_eq!(merged.matches("\nservices:").count(), 1);
    fs::write(&compose, merged + "# later\n").unwrap();
    done(dir.path(), &["--remove"]);
    assert_eq!(fs::read_to_string(&compose).unwrap(), format!("{theirs}# later\n"));
    for odd in [
        "services:\n  nginx-mailcow:\n    x: y\n",
        "services:\n  \"status-mailcow\":\n    x: y\n",
        "services: {a: {image: b}}\n",
        "{services: {}}\n",
        "services:\n  a: {}\nservices:\n  b: {}\n",
        "services:\n  # >>> mailcow-status setup\n",
        "services:\n  a: {}\n---\nservices:\n  b: {}\n",
    ] {
        fs::write(&compose, odd).unwrap();
        let before = picture(dir.path());
        let (_, result) = said(dir.path(), &["--yes"], None);
        assert!(result.is_err(), "{odd}");
        assert_eq!(picture(dir.path()), before, "{odd}");
    }
    done(dir.path(), &["--no-override"]);
}

#[test]
fn odd_files_of_mailcow_are_read_or_refused() {
    for (conf, sound) in [
        ("MAILCOW_HOSTNAME='mail.example.org' # us\nIPV4_NETWORK=\n", true),
        ("export MAILCOW_HOSTNAME=\"mail.example.org\"\r\nODD LINE\r\nPASS=\"a b$c'd\"\r\n", true),
        ("MAILCOW_HOSTNAME=mail.example.org", true),
        ("TZ=UTC\n", false),
        ("MAILCOW_HOSTNAME=mail.example.org;rm\n", false),
        ("MAILCOW_HOSTNAME=mail.example.org\nIPV4_NETWORK=nonsense\n", false),
        ("MAILCOW_HOSTNAME=mail.example.org\nIPV4_NETWORK=172.22.9\n", false),
    ] {
        let dir = mailcow(conf);
        let (_, result) = said(dir.path(), &["--yes"], None);
        assert_eq!(result.is_ok(), sound, "{conf}: {result:?}");
        let now = text(dir.path(), "mailcow.conf");
        assert!(now.starts_with(conf) && (now == conf) != sound, "{now}");
    }
}

#[test]
fn links_stay_links_and_spaces_do_no_harm() {
    let dir = mailcow(CONF);
    let inner = dir.path().join("my mailcow");
    fs::create_dir(&inner).unwrap();
    for name in ["data", "mailcow.conf"] {
        std::os::unix::fs::symlink(dir.path().join(name), inner.join(name)).unwrap();
    }
    done(&inner, &["--way", "host"]);
    done(&inner, &[]);
    assert!(inner.join("mailcow.conf").is_symlink());
    assert!(text(dir.path(), "mailcow.conf").contains("STATUS_DB_PASSWORD="));
    std::os::unix::fs::symlink("nowhere", dir.path().join("docker-compose.override.yml")).unwrap();
    let (_, result) = said(dir.path(), &["--yes"], None);
    assert!(result.unwrap_err().to_string().contains("leads nowhere"));
}

#[test]
fn where_one_file_cannot_be_written_none_is() {
    let dir = mailcow(CONF);
    // Also root cannot make a file below a file.
    fs::write(dir.path().join("etc"), "").unwrap();
    let before = picture(dir.path());
    let (_, result) = said(dir.path(), &["--way", "host", "--yes"], None);
    assert!(result.is_err());
    assert_eq!(picture(dir.path()), before);
    fs::remove_file(dir.path().join("etc")).unwrap();
    fs::create_dir_all(dir.path().join("mailcow-status.sql/x")).unwrap();
    let (_, result) = said(dir.path(), &["--yes"], None);
    assert!(result.is_err());
    let (_, result) = said(&dir.path().join("data"), &["--yes"], None);
    assert!(result.unwrap_err().to_string().contains("no Mailcow"));
}

#[test]
fn arguments_that_would_break_files_of_others_are_refused() {
    let dir = mailcow(CONF);
    for more in [
        ["--path", "/"],
        ["--path", "/a b"],
        ["--path", "/a;b"],
        ["--host", "a b"],
        ["--host", "mail.example.org"],
        ["--image", "x\n  privileged: true"],
        ["--network", "172.22.1.16/28"],
        ["--network", "172.16.0.0/12"],
        ["--network", "10.0.0.0/31"],
    ] {
        let (_, result) = said(dir.path(), &[&more[..], &["--yes"]].concat(), None);
        assert!(result.is_err(), "{more:?}");
    }
}

#[test]
fn the_settings_of_the_host_are_sound() {
    let dir = mailcow(CONF);
    fs::write(dir.path().join("s"), "hush").unwrap();
    let secret = dir.path().join("s");
    let secret = secret.to_str().unwrap();
    done(
        dir.path(),
        &["--way", "host", "--client-id", "ab12", "--client-secret-file", secret, "--api-key-file", secret],
    );
    let env = text(dir.path(), "etc/.env");
    let config =
        Config::load(std::iter::empty(), Some(&env), |_| Err(io::ErrorKind::NotFound.into())).unwrap();
    assert_eq!(config.web.redirect_uri(), "https://mail.example.org/status/callback");
    assert_eq!(config.web.listen.to_string(), "172.22.1.1:8080");
    assert!(text(dir.path(), "data/conf/nginx/site.status.custom").contains("172.22.1.1:8080"));
}

/// The command that a run prints for the next one, as its arguments.
fn printed(out: &str, file: &str) -> Vec<String> {
    let line = out.lines().find_map(|line| line.trim().strip_prefix("mailcow-status setup ")).unwrap();
    line.replace("FILE", file).replace(" ID ", " 0123 ").split(' ').map(str::to_owned).collect()
}

#[test]
fn the_command_that_is_printed_changes_nothing_but_what_it_names() {
    let ways: [&[&str]; 3] = [
        &["--database", "sqlite", "--callback", "callback.php", "--open-tracking", "--ofelia"],
        &["--way", "host", "--path", "/portal", "--open-tracking"],
        &["--host", "status.example.org", "--image", "example.org/a:1", "--network", "10.9.8.0/29"],
    ];
    for more in ways {
        let dir = mailcow(CONF);
        fs::write(dir.path().join("given"), "hush").unwrap();
        let out = done(dir.path(), more);
        let before = without_backups(dir.path());
        let line = printed(&out, dir.path().join("given").to_str().unwrap());
        // Typed literally: nothing but what stands there.
        let mut said = Vec::new();
        let line =
            ["mailcow-status", "setup"].into_iter().chain(line.iter().map(String::as_str)).chain(["--yes"]);
        let Command::Setup(args) = Cli::try_parse_from(line).unwrap().command else { panic!() };
        let talk = Talk { asks: false, input: &mut "".as_bytes(), out: &mut said };
        session(&args, talk, Millis(1_795_000_000_000)).unwrap();
        for ((name, was), (_, now)) in before.iter().zip(without_backups(dir.path())) {
            let kept = |text: &str| -> Vec<String> {
                let lines = text
                    .lines()
                    .filter(|line| !line.contains("CLIENT_ID") && !line.contains("CLIENT_SECRET"));
                lines.map(str::to_owned).collect()
            };
            assert_eq!(kept(was), kept(&now), "{more:?} {name}");
        }
        assert!(
            picture(dir.path()).iter().any(|(_, _, text)| text.contains("CLIENT_SECRET=hush")),
            "{more:?}"
        );
    }
}

#[test]
fn what_somebody_added_stays() {
    let dir = mailcow(CONF);
    let host = ["--way", "host", "--open-tracking"];
    done(dir.path(), &host);
    let env = dir.path().join("etc/.env");
    let key = text(dir.path(), "etc/.env")
        .lines()
        .find(|line| line.starts_with("TRACKER_KEY="))
        .unwrap()
        .to_owned();
    let edited = text(dir.path(), "etc/.env").replace("ADMIN=", "# inside\nIMAP_USER='a b'\nADMIN=")
        + "RETENTION=30\n";
    fs::write(&env, &edited).unwrap();
    done(dir.path(), &host);
    let stays = |what: &[&str]| {
        let now = text(dir.path(), "etc/.env");
        assert!(what.iter().all(|line| now.lines().any(|its| its == *line)), "{now}");
    };
    stays(&["# inside", "IMAP_USER='a b'", "RETENTION=30", &key]);
    assert!(done(dir.path(), &host).contains("Nothing to change."));
    done(dir.path(), &["--way", "host"]);
    stays(&["IMAP_USER='a b'", "RETENTION=30", &key]);
    assert!(
        !text(dir.path(), "etc/.env").contains("OPEN_TRACKING"),
        "what setup wrote goes when it is not wanted"
    );
    done(dir.path(), &["--remove"]);
    assert_eq!(text(dir.path(), "etc/.env"), "RETENTION=30\n");

    let inside = ["--database", "sqlite", "--open-tracking"];
    done(dir.path(), &inside);
    let key = text(dir.path(), "mailcow.conf")
        .lines()
        .find_map(|line| line.strip_prefix("STATUS_TRACKER_KEY=").map(str::to_owned))
        .unwrap();
    let compose = dir.path().join("docker-compose.override.yml");
    let with = |name: &str| {
        text(dir.path(), "docker-compose.override.yml").replace("    environment:\n      - MAILCOW", name)
    };
    fs::write(&compose, with("    environment:\n      - \"IMAP_USER=a b\"\n      # mine\n      - MAILCOW"))
        .unwrap();
    fs::write(
        dir.path().join("mailcow.conf"),
        text(dir.path(), "mailcow.conf").replace("STATUS_ADMIN", "STATUS_IMAP_PASS=x\nSTATUS_ADMIN"),
    )
    .unwrap();
    done(dir.path(), &inside);
    done(dir.path(), &[]);
    let now = text(dir.path(), "docker-compose.override.yml");
    assert_eq!(now.matches("\n      - \"IMAP_USER=a b\"\n").count(), 1, "{now}");
    assert!(!now.contains("OPEN_TRACKING") && !now.contains("DATABASE_URL"), "{now}");
    let conf = text(dir.path(), "mailcow.conf");
    assert!(
        conf.contains("STATUS_IMAP_PASS=x\n") && conf.contains(&format!("STATUS_TRACKER_KEY={key}\n")),
        "{conf}"
    );
    assert!(done(dir.path(), &[]).contains("Nothing to change."));
}

const PHP_APP: &str = "# the app's\nMAILCOW_DOMAIN=mail.example.org\nMAILCOW_CLIENT_ID=ab12\nMAILCOW_CLIENT_SECRET=hush\n\
    MAILCOW_API_KEY=AA-BB\nPOSTFIX_COUNT=2000\nDB_HOST=mysql\nDB_DATABASE=old-status\nDB_USER=reader\n\
    DB_PASSWORD=\"USE_A_STR0NG_P@SSW0RD! # 'no'\"\nADMIN=admin@example.org\nDOMAIN_ADMIN_PREFIX=postmaster\nRETENTION=45\n\
    CRON_KEY=cr0n\nFOOTER_COMPANY=\"Alpha & Söhne: #1\"\nLOGO_DARK=\n";

#[test]
fn the_settings_of_the_php_app_are_taken_over() {
    let password = "USE_A_STR0NG_P@SSW0RD! # $x \"no\"";
    let app = PHP_APP.replace("\"USE_A_STR0NG_P@SSW0RD! # 'no'\"", &format!("'{password}'"));
    for way in ["host", "compose"] {
        let dir = mailcow(CONF);
        fs::create_dir_all(dir.path().join("data/web/status")).unwrap();
        let place = dir.path().join("data/web/status/.env");
        let place = place.to_str().unwrap();
        fs::write(place, PHP_APP).unwrap();
        let (_, result) = said(dir.path(), &["--way", way, "--yes"], None);
        let words = result.unwrap_err().to_string();
        assert!(words.contains("--php-app"), "its user would get another password: {words}");
        let more = ["--way", way, "--callback", "callback.php", "--php-app", place];
        let (_, result) = said(dir.path(), &[&more[..], &["--yes"]].concat(), None);
        assert!(result.unwrap_err().to_string().contains("password"), "' is refused");
        fs::write(place, app.replace("=mysql", "=db.example.org")).unwrap();
        let (_, result) = said(dir.path(), &[&more[..], &["--yes"]].concat(), None);
        assert!(result.unwrap_err().to_string().contains("not Mailcow's"));
        fs::write(place, &app).unwrap();
        let out = done(dir.path(), &more);
        assert!(!out.contains("STR0NG") && !out.contains("cr0n"), "{out}");
        assert!(done(dir.path(), &more).contains("Nothing to change."));
        assert!(done(dir.path(), &more[..4]).contains("Nothing to change."), "kept from run to run");
        let sql = text(dir.path(), "mailcow-status.sql");
        assert!(
            sql.contains(&format!("'reader'@'%' IDENTIFIED BY '{password}'"))
                && sql.contains("`old-status`.*")
        );
        let env = match way {
            "host" => text(dir.path(), "etc/.env"),
            // As Compose hands them on: `mailcow.conf` is a .env of its own.
            _ => {
                let compose = text(dir.path(), "docker-compose.override.yml");
                let portal = compose.lines().skip_while(|line| *line != "    environment:");
                let entries = portal.filter_map(|line| line.strip_prefix("      - "));
                let entries: String =
                    entries.filter(|entry| entry.contains('=')).map(|entry| format!("{entry}\n")).collect();
                let entries =
                    entries.replace(":-443}", "}").replace(":-mailcowstatus}", "}").replace(":-status}", "}");
                let entries =
                    entries.replace("${HTTPS_PORT}", "443").replace("${STATUS_BACKUP_PASSPHRASE:-}", "");
                text(dir.path(), "mailcow.conf") + &entries.replace("${STATUS_COLLECTOR_KEY:-}", "")
            }
        };
        let config =
            Config::load(std::iter::empty(), Some(&env), |_| Err(io::ErrorKind::NotFound.into())).unwrap();
        assert_eq!(config.web.redirect_uri(), "https://mail.example.org/status/callback.php");
        let shown = format!("{:?}", config.web);
        assert!(shown.contains("Alpha & Söhne: #1"), "{shown}");
        let url = config.database.clone();
        assert!(format!("{url:?}").contains("old-status"), "{url:?}");
        if way == "compose" {
            // Mailcow's scripts read it as a shell does.
            let print = "set -eu; . ./mailcow.conf; printf %s \"$STATUS_DB_PASSWORD\"";
            let read =
                std::process::Command::new("sh").current_dir(&dir).args(["-c", print]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&read.stdout), password);
            let compose = text(dir.path(), "docker-compose.override.yml");
            assert!(
                !compose.contains("cr0n") && compose.contains("CRON_KEY=${STATUS_CRON_KEY}"),
                "{compose}"
            );
        }
    }
}

#[test]
fn what_opens_one_door_is_never_mixed() {
    for way in ["host", "compose"] {
        let dir = mailcow(CONF);
        let place = |name: &str, text: &str| {
            fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name).to_str().unwrap().to_owned()
        };
        let (app, other) = (place("app", PHP_APP), place("other", "other-secret"));
        let app = app.as_str();
        fs::write(app, PHP_APP.replace("\"USE_A_STR0NG_P@SSW0RD! # 'no'\"", "apps-own")).unwrap();
        let settings = |name: &str| {
            let file = if way == "host" { "etc/.env" } else { "mailcow.conf" };
            let (found, _) = crate::config::dotenv::parse(&text(dir.path(), file), |_| None);
            let line = found.into_iter().rev().find(|(its, _)| its.ends_with(name));
            line.map(|(_, value)| value).unwrap_or_default()
        };
        done(dir.path(), &["--way", way, "--client-id", "9999"]);
        let made_up = settings("DB_PASSWORD");
        assert!(made_up.len() > 20, "{way}");
        let out = done(dir.path(), &["--way", way, "--php-app", app]);
        assert!(!out.contains(&made_up) && !out.contains("apps-own"), "{way}: {out}");
        let login = ["DB_DATABASE", "DB_USER", "DB_PASSWORD"].map(settings);
        assert_eq!(login, ["old-status", "reader", "apps-own"], "{way}");
        let sql = text(dir.path(), "mailcow-status.sql");
        assert!(sql.contains("ALTER USER 'reader'@'%' IDENTIFIED BY 'apps-own'"), "{way}: {sql}");
        assert_eq!(["CLIENT_ID", "CLIENT_SECRET"].map(settings), ["9999", ""], "{way}");
        done(dir.path(), &["--way", way, "--client-secret-file", &other]);
        assert_eq!(["CLIENT_ID", "CLIENT_SECRET"].map(settings), ["9999", "other-secret"], "{way}");
        done(dir.path(), &["--way", way, "--client-id", "7777"]);
        assert_eq!(["CLIENT_ID", "CLIENT_SECRET"].map(settings), ["7777", ""], "{way}");
        fs::write(app, PHP_APP.replace("DB_PASSWORD", "# DB_PASSWORD")).unwrap();
        let (_, result) = said(dir.path(), &["--way", way, "--php-app", app, "--yes"], None);
        assert!(result.unwrap_err().to_string().contains("no DB_PASSWORD"), "{way}");
    }
}

#[test]
fn further_settings_go_along_when_the_way_changes() {
    for (first, then) in [("compose", "host"), ("host", "compose")] {
        let dir = mailcow(CONF);
        let app = dir.path().join("app");
        fs::write(&app, PHP_APP.replace("! # 'no'", "")).unwrap();
        done(dir.path(), &["--way", first, "--php-app", app.to_str().unwrap()]);
        let out = done(dir.path(), &["--way", then]);
        assert!(!out.contains("cr0n"), "{out}");
        let (file, begin) = if then == "host" { ("etc/.env", "") } else { ("mailcow.conf", "STATUS_") };
        let now = text(dir.path(), file);
        for line in ["RETENTION=45", "CRON_KEY=cr0n", "FOOTER_COMPANY='Alpha & Söhne: #1'"] {
            assert!(now.contains(&format!("\n{begin}{line}\n")), "{then}: {now}");
        }
        if then == "compose" {
            let compose = text(dir.path(), "docker-compose.override.yml");
            assert!(compose.contains("- RETENTION=${STATUS_RETENTION}\n"), "{compose}");
        }
        assert!(done(dir.path(), &["--way", then]).contains("Nothing to change."), "{then}");
    }
}

#[test]
fn what_the_override_of_others_lacks_is_said() {
    let dir = mailcow(CONF);
    let app = dir.path().join("app");
    fs::write(&app, PHP_APP.replace("! # 'no'", "")).unwrap();
    let more = ["--no-override", "--callback", "callback.php"];
    let first = done(dir.path(), &[&more[..], &["--php-app", app.to_str().unwrap()]].concat());
    for out in [first, done(dir.path(), &more)] {
        for line in [
            "- RETENTION=${STATUS_RETENTION}",
            "- CRON_KEY=${STATUS_CRON_KEY}",
            "- MAILCOW_CALLBACK=callback.php",
        ] {
            assert!(out.lines().any(|its| its.trim() == line), "{out}");
        }
        assert!(!out.contains("- LOGO_DARK") && !out.contains("- ADMIN="), "{out}");
    }
}

#[test]
fn settings_that_an_earlier_version_wrote_without_marks_are_taken_over() {
    let old = block::whole(
        "#",
        "MAILCOW_CLIENT_ID=ab12\nDATABASE_URL=sqlite:old\nDB_DATABASE=x\nDB_USER=y\nDB_PASSWORD=hush-hush\n",
    );
    for (old, added) in [(old.clone(), ""), (old + "RETENTION=30\n", "RETENTION=30\n")] {
        let dir = mailcow(CONF);
        fs::create_dir(dir.path().join("etc")).unwrap();
        let env = dir.path().join("etc/.env");
        fs::write(&env, &old).unwrap();
        done(dir.path(), &["--way", "host"]);
        let now = fs::read_to_string(&env).unwrap();
        assert!(now.starts_with(&format!("{added}# >>>")) && !now.contains("sqlite:old"), "{now}");
        assert_eq!(now.matches("DB_PASSWORD=hush-hush\n").count(), 1, "{now}");
        assert!(done(dir.path(), &["--way", "host"]).contains("Nothing to change."));
        fs::write(&env, &old).unwrap();
        let out = done(dir.path(), &["--remove"]);
        assert!(!env.exists() && !out.contains("hush-hush"), "{out}");
    }
}

#[test]
fn the_shipped_override_is_what_setup_writes() {
    let dir = mailcow(CONF);
    let args = args(dir.path(), &[]);
    let written = compose::merged("", &args, "https://mail.example.org/status", &[]).unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/docker-compose.override.yml");
    if std::env::var_os("MAILCOW_STATUS_WRITE").is_some() {
        fs::write(path, &written).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), written, "MAILCOW_STATUS_WRITE=1 writes it");
}
