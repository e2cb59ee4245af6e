//! Whole configurations: what is derived, what is refused, what is never shown.

use secrecy::ExposeSecret;

use super::{roles::DomainAdmin, settings::SECTIONS, *};
use crate::{ingest::fetch::After, remote::imap::Security};

const LEAST: &str = "MAILCOW_DOMAIN=mail.example.org\nMAILCOW_CLIENT_ID=id\nMAILCOW_CLIENT_SECRET=hush1\nMAILCOW_API_KEY=hush2\n";

fn no_files(_: &Path) -> io::Result<String> {
    Err(io::ErrorKind::NotFound.into())
}

fn from(text: &str) -> Result<Config, Faults> {
    Config::load(std::iter::empty(), Some(&format!("{LEAST}{text}")), no_files)
}

fn faults(text: &str) -> Vec<String> {
    from(text).expect_err(text).0.iter().map(ToString::to_string).collect()
}

#[test]
fn the_least_there_is_gets_defaults() {
    let config = from("").unwrap();
    assert_eq!(config.mailcow.base.as_str(), "https://mail.example.org/");
    assert_eq!((config.mailcow.postfix_count, config.mailcow.rspamd_count), (1000, 100));
    assert!(
        matches!(&config.database, DatabaseSettings::Sqlite(path) if path == Path::new("mailcow-status.sqlite"))
    );
    assert_eq!(config.retention.mails, Duration::from_secs(120 * 86_400));
    assert_eq!(config.web.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.poll_interval, Duration::from_secs(60));
    assert_eq!(config.roles, RoleRules::default(), "no role comes by default, not even postmaster's");
    assert!(config.web.cron_key.is_none() && config.web.trusted_proxies.is_empty());
}

#[test]
fn a_file_of_the_php_app_works_unchanged() {
    let old = r#"
# Mailcow
MAILCOW_DOMAIN="mail.example.org"
MAILCOW_CLIENT_ID="0123"
MAILCOW_CLIENT_SECRET="4567"
MAILCOW_API_KEY="AAAA-BBBB"
POSTFIX_COUNT=2000
RSPAMD_COUNT="200"
DB_HOST=mysql
DB_DATABASE=mailcowstatus
DB_USER=status
DB_PASSWORD="p@ss/w:rd#%41$x"
ADMIN=Admin@example.org, boss@example.org
DOMAIN_ADMIN_PREFIX=postmaster
RETENTION=30
CRON_KEY=
LOGO_DARK=
LOGO_LIGHT="https://example.org/logo.svg"
FOOTER_COMPANY="Example Ltd"
FOOTER_COMPANY_URL=https://example.org
"#;
    let config = Config::load(std::iter::empty(), Some(old), no_files).unwrap();
    let DatabaseSettings::Mysql(mysql) = &config.database else { panic!("{}", config.database) };
    assert_eq!(mysql.address, MysqlAddress::Tcp { host: "mysql".into(), port: 3306 });
    assert_eq!(mysql.password.expose_secret(), "p@ss/w:rd#%41$x");
    let none: [DomainAdmin; 0] = [];
    let expected = RoleRules::new(["admin@example.org", "boss@example.org"], none, Some("postmaster"));
    assert_eq!(config.roles, expected);
    assert_eq!(config.retention.mails, Duration::from_secs(30 * 86_400));
    assert_eq!(config.retention.whose_reports, Whose::Ours, "the reports of the app are left alone");
    let with = Config::load(std::iter::empty(), Some(&format!("{old}RETENTION_REPORTS=400")), no_files);
    assert_eq!(with.unwrap().retention.whose_reports, Whose::Anybodys);
    assert!(config.web.cron_key.is_none(), "an empty key must not open the cron addresses");
    assert_eq!(config.web.branding.logo_dark, None);
    assert_eq!(config.web.redirect_uri(), "https://mail.example.org/status/callback.php");
}

#[test]
fn the_redirect_uri_is_that_of_the_php_app_only_with_its_file_or_on_wish() {
    let database = "DB_HOST=mysql\nDB_DATABASE=d\nDB_USER=u\nDB_PASSWORD=p\n";
    let end = |more: &str| {
        let uri = from(more).unwrap().web.redirect_uri();
        uri.rsplit('/').next().unwrap().to_owned()
    };
    assert_eq!(end(""), "callback");
    assert_eq!(end(database), "callback.php");
    assert_eq!(end(&format!("{database}BASE_PATH=/status\n")), "callback");
    assert_eq!(end(&format!("{database}MAILCOW_CALLBACK=callback\n")), "callback");
    assert_eq!(end("MAILCOW_CALLBACK=callback.php\n"), "callback.php");
}

#[test]
fn all_faults_are_told_at_once_by_name_and_remedy() {
    let bad = "MAILCOW_DOMAIN=http://mail.example.org\nPOSTFIX_COUNT=many\nADMIN=admin\nRETENTION=0\nLISTEN=8080\n\
               TIME_ZONE=Mars/Base\nFOOTER_COMPANY_URL=javascript:x\nBASE_PATH=/a b\nmore text";
    let error = Config::load(std::iter::empty(), Some(bad), no_files).unwrap_err();
    let names: Vec<&str> = error.0.iter().map(|fault| fault.name.as_str()).collect();
    let expected = [
        ".env line 9",
        "MAILCOW_DOMAIN",
        "MAILCOW_CLIENT_ID",
        "MAILCOW_CLIENT_SECRET",
        "MAILCOW_API_KEY",
        "POSTFIX_COUNT",
        "RETENTION",
        "ADMIN",
        "LISTEN",
        "BASE_PATH",
        "FOOTER_COMPANY_URL",
        "TIME_ZONE",
    ];
    assert_eq!(names, expected);
    let text = error.to_string();
    assert!(text.starts_with("12 settings need attention:\n"), "{text}");
    assert!(text.contains("  POSTFIX_COUNT: \"many\" is no whole number. Give a number of rows from 1 to 100000, for example 1000.\n"), "{text}");
    assert!(text.contains("  MAILCOW_API_KEY: is not set. Give the secret text"), "{text}");
}

#[test]
fn an_empty_or_blank_api_key_is_a_fault() {
    for value in ["", "\"\"", "'  '"] {
        let told = faults(&format!("MAILCOW_API_KEY={value}"));
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("MAILCOW_API_KEY: is not set."), "{told:?}");
    }
}

#[test]
fn the_environment_wins_unless_it_is_empty() {
    let environment =
        [("LISTEN", "0.0.0.0:80"), ("RETENTION", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    let dotenv = format!("{LEAST}LISTEN=1.1.1.1:1\nRETENTION=9");
    let config = Config::load(environment.into_iter(), Some(&dotenv), no_files).unwrap();
    assert_eq!(config.web.listen.to_string(), "0.0.0.0:80");
    assert_eq!(config.retention.mails, Duration::from_secs(9 * 86_400));
}

#[test]
fn any_setting_can_come_from_a_file() {
    let read = |path: &Path| match path.to_str() {
        Some("/run/key") => Ok("secret word \n".to_owned()),
        Some("/run/days") => Ok("7\r\n".to_owned()),
        Some("/run/empty") => Ok("\n".to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    };
    let load = |text: &str| Config::load(std::iter::empty(), Some(&format!("{LEAST}{text}")), read);
    let config = load("CRON_KEY_FILE=/run/key\nRETENTION_FILE=/run/days").unwrap();
    assert_eq!(config.web.cron_key.unwrap().expose_secret(), "secret word ");
    assert_eq!(config.retention.mails, Duration::from_secs(7 * 86_400));
    for (text, told) in [
        (
            "CRON_KEY=a\nCRON_KEY_FILE=/run/key",
            "CRON_KEY: is set, and so is CRON_KEY_FILE. Remove one of the two.",
        ),
        (
            "CRON_KEY_FILE=/none",
            "CRON_KEY_FILE: names the file \"/none\", which cannot be read (entity not found).",
        ),
        ("CRON_KEY_FILE=/run/empty", "CRON_KEY_FILE: names the file \"/run/empty\", which is empty."),
        ("MAILCOW_CA_FILE=/run/key", "MAILCOW_CA_FILE: holds no PEM certificate."),
    ] {
        let error = load(text).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
        assert!(!error.contains("secret word"));
    }
}

#[test]
fn secrets_are_never_shown() {
    let config = from("CRON_KEY=hush3\nDATABASE_URL=mysql://u:hush4@h/d").unwrap();
    assert!(!format!("{config:?}").contains("hush"));
    let told = faults("DATABASE_URL=hush5\nMAILCOW_CA=hush6\nMAILCOW_API_KEY_FILE=/x").join("\n");
    assert_eq!(told.lines().count(), 3, "{told}");
    assert!(!told.contains("hush"), "{told}");
}

#[test]
fn the_old_database_settings_come_together_or_not_at_all() {
    let told = faults("DB_PASSWORD=x\nDB_NAME=d");
    assert_eq!(told.iter().map(|t| &t[..7]).collect::<Vec<_>>(), ["DB_HOST", "DB_USER"], "{told:?}");
    let config = from("DB_HOST=h:1\nDB_NAME=d\nDB_USER=u\nDB_PASS=p").unwrap();
    assert_eq!(config.database.to_string(), "mysql://u@h:1/d");
    let config = from("DB_HOST=h\nDATABASE_URL=sqlite:x.db").unwrap();
    assert_eq!(config.database.to_string(), "sqlite:x.db");
}

#[test]
fn public_address_and_base_path_follow_from_each_other() {
    for (text, base_path, page) in [
        ("", "/status", "https://mail.example.org/status/mails"),
        ("BASE_PATH=/", "", "https://mail.example.org/mails"),
        ("BASE_PATH=portal/", "/portal", "https://mail.example.org/portal/mails"),
        ("PUBLIC_URL=https://status.example.org", "", "https://status.example.org/mails"),
        ("PUBLIC_URL=https://x.example.org/a/b/\nBASE_PATH=/a/b", "/a/b", "https://x.example.org/a/b/mails"),
        ("MAILCOW_DOMAIN=http://127.0.0.1:9\nLISTEN=[::1]:80", "", "http://[::1]/mails"),
        ("MAILCOW_DOMAIN=localhost:9\nBASE_PATH=/s", "/s", "http://127.0.0.1:8080/s/mails"),
    ] {
        let web = from(text).unwrap().web;
        assert_eq!((web.base_path.as_str(), web.absolute("/mails").as_str()), (base_path, page), "{text}");
    }
    let told = faults("PUBLIC_URL=https://x.example.org/a\nBASE_PATH=/b");
    assert_eq!(
        told,
        [
            "BASE_PATH: is \"/b/\", but the path of PUBLIC_URL is \"/a/\". Make them equal, or leave BASE_PATH out."
        ]
    );
    assert!(
        faults("PUBLIC_URL=http://x.example.org")[0]
            .starts_with("PUBLIC_URL: \"http://x.example.org\" is not https")
    );
}

#[test]
fn mailboxes_of_reports_are_numbered_and_fall_back_on_the_mailcow() {
    assert!(from("").unwrap().reports.mailboxes.is_empty(), "nobody's mail is read unasked");
    let text = "IMAP_USER=dmarc@a.test\nIMAP_PASS=hush5\nIMAP_FOLDER=INBOX, Reports\nIMAP_AFTER=move:Done\n\
                IMAP_3_HOST=mail.b.test\nIMAP_3_USER=tls@b.test\nIMAP_3_PASS=hush6\nIMAP_3_TLS=starttls\n\
                IMAP_3_AFTER=delete\nREPORT_INTERVAL=30m";
    let reports = from(text).unwrap().reports;
    let [first, third] = &reports.mailboxes[..] else { panic!("{:?}", reports.mailboxes) };
    assert_eq!(first.account.name(), "dmarc@a.test at mail.example.org");
    assert_eq!((first.account.port, first.account.security), (993, Security::Tls));
    assert_eq!(
        (&first.folders[..], &first.after),
        (&["INBOX".to_owned(), "Reports".to_owned()][..], &After::Move("Done".into()))
    );
    assert_eq!((third.account.host.as_str(), third.account.port), ("mail.b.test", 143));
    assert_eq!((third.account.security, &third.after), (Security::StartTls, &After::Delete));
    assert_eq!(reports.interval, Duration::from_secs(1800));
    let trusted = |text: &str| -> Vec<Vec<String>> {
        from(text).unwrap().reports.mailboxes.into_iter().map(|mailbox| mailbox.authserv).collect()
    };
    assert_eq!(trusted(text), [["mail.example.org"], ["mail.b.test"]], "each believes its own server");
    for host in ["dovecot", "172.22.1.250", "mail.example.org"] {
        let text = format!("IMAP_HOST={host}\nIMAP_USER=x\nIMAP_PASS=y");
        assert_eq!(trusted(&text), [["mail.example.org"]], "{host}");
    }
    assert!(!format!("{reports:?}").contains("hush"), "{reports:?}");
    // What anybody could write under Authentication-Results proves nothing.
    let local = "MAILCOW_DOMAIN=http://127.0.0.1:1\nIMAP_HOST=localhost\nIMAP_USER=x\nIMAP_PASS=y";
    assert_eq!(trusted(local), [[""; 0]]);
    let named = format!("{text}\nREPORT_AUTHSERV=MX.a.test, b.test");
    assert_eq!(trusted(&named), [["mx.a.test", "b.test"]; 2]);
}

#[test]
fn a_mailbox_of_reports_that_is_half_set_is_a_fault() {
    for (text, name) in [
        ("IMAP_HOST=mail.a.test\nIMAP_USER=x", "IMAP_PASS: is not set"),
        ("IMAP_HOST=mail.a.test\nIMAP_PASS=x", "IMAP_USER: is not set"),
        ("IMAP_2_HOST=mail.a.test\nIMAP_2_USER=x", "IMAP_2_PASS: is not set"),
        ("IMAP_USER=x\nIMAP_PASS=y\nIMAP_AFTER=move:INBOX", "IMAP_AFTER: moves to \"INBOX\""),
        ("IMAP_USER=x\nIMAP_PASS=y\nIMAP_AFTER=move:inbox", "IMAP_AFTER: moves to \"inbox\""),
        ("IMAP_USER=x\nIMAP_PASS=y\nIMAP_AFTER=burn", "IMAP_AFTER: \"burn\" is not among"),
        ("IMAP_USER=x\nIMAP_PASS=y\nIMAP_HOST=mail a", "IMAP_HOST: \"mail a\" is no host name"),
        ("IMAP_2_USER=x\nIMAP_2_PASS=y\nIMAP_2_TLS=none", "IMAP_2_TLS: \"none\" is not among"),
        ("IMAP_USER=x\nIMAP_PASS=y\nIMAP_PORT=0", "IMAP_PORT: \"0\" is no port"),
    ] {
        let told = faults(text);
        assert!(told.len() == 1 && told[0].starts_with(name), "{told:?}");
    }
}

#[test]
fn sessions_have_both_limits() {
    let session = from("SESSION_MAX=1h").unwrap().web.session;
    assert_eq!((session.idle, session.absolute), (Duration::from_secs(12 * 3600), Duration::from_secs(3600)));
}

#[test]
fn text_that_is_not_utf8_is_a_fault() {
    assert!(faults("FOOTER_COMPANY=a\u{fffd}")[0].contains("is not UTF-8 text"));
}

#[test]
fn every_declared_setting_is_read_and_every_default_parses() {
    let mut reader = Reader::new(
        LEAST.lines().filter_map(|line| line.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())),
        None,
        &no_files,
    );
    let config = Config::take(&mut reader);
    let declared: Vec<_> =
        SECTIONS.iter().flat_map(|section| section.entries).map(|entry| entry.name).collect();
    let unread: Vec<_> = declared.iter().filter(|name| !reader.taken().contains(*name)).collect();
    assert!(unread.is_empty(), "declared and never read: {unread:?}");
    assert!(config.is_some(), "a default does not parse");
}

#[test]
fn the_example_file_is_sound() {
    let required = |name: &str| LEAST.contains(&format!("{name}="));
    let text = example();
    let told = Config::load(std::iter::empty(), Some(&text), no_files).unwrap_err();
    assert!(told.0.iter().all(|fault| required(&fault.name) && fault.wrong == "is not set"), "{told}");
    // With every commented setting switched on, too, nothing but the secrets is missing.
    let on: String = text
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
                .unwrap_or(line)
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let config = Config::load(
        std::iter::empty(),
        Some(&format!("{on}\n{LEAST}DB_PASSWORD=x\nIMAP_PASS=x\n")),
        no_files,
    );
    assert!(config.unwrap().roles.needs_live_domains("bob@b.test"));
}

#[test]
fn committed_example_and_reference_are_those_of_the_code() {
    for (path, text) in [(".env.example", example()), ("docs/settings.md", reference())] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if std::env::var_os("MAILCOW_STATUS_WRITE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{} is stale: run the tests once with MAILCOW_STATUS_WRITE=1",
            path.display()
        );
    }
}

#[test]
fn open_tracking_needs_a_key_that_nobody_guesses() {
    let with = |more: &str| {
        let minimal =
            "MAILCOW_DOMAIN=m.test\nMAILCOW_CLIENT_ID=a\nMAILCOW_CLIENT_SECRET=b\nMAILCOW_API_KEY=c\n";
        Config::load(std::iter::empty(), Some(&format!("{minimal}{more}")), |_| unreachable!())
    };
    let key = "TRACKER_KEY=0123456789abcdef0123456789abcdef\n";
    assert!(with("").unwrap().web.tracker.is_none());
    assert!(with(key).unwrap().web.tracker.is_none(), "off unless it is switched on");
    assert!(with(&format!("OPEN_TRACKING=yes\n{key}")).unwrap().web.tracker.is_some());
    for (wrong, named) in [
        ("OPEN_TRACKING=YES", "OPEN_TRACKING"),
        ("TRACKER_KEY=hush", "TRACKER_KEY"),
        ("OPEN_TRACKING=perhaps", "OPEN_TRACKING"),
    ] {
        let faults = with(wrong).unwrap_err();
        assert_eq!(faults.0.len(), 1, "{faults}");
        assert_eq!(faults.0[0].name, named);
        assert!(!faults.to_string().contains("hush"), "{faults}");
    }
}

#[test]
fn settings_are_shown_with_their_origin_and_without_secrets() {
    use crate::model::setting::{Origin, Value};
    let environment = [
        ("POSTFIX_COUNT", "2000"),
        ("DATABASE_URL", "mysql://status:hush3@db/x"),
        ("LOGO_DARK", "https://u:hush4@example.org/logo.svg"),
        ("CRON_KEY_FILE", "/run/secrets/cron"),
        ("FOOTER_COMPANY_FILE", "/run/company"),
        ("IMAP_2_HOST", "imap.b.test"),
        ("IMAP_2_USER", "dmarc@b.test"),
        ("IMAP_2_PASS", "hush5"),
    ];
    let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let files = |path: &Path| Ok(if path.ends_with("cron") { "hush6" } else { "Example Ltd\n" }.to_owned());
    let dotenv = format!("{LEAST}POSTFIX_COUNT=3\nRSPAMD_COUNT=7\nDB_NAME=old");
    let config = Config::load(environment, Some(&dotenv), files);
    // DB_NAME alone is a fault only where DATABASE_URL is not set.
    let lines = config.unwrap().lines;
    let find = |name: &str| {
        let line = lines.iter().find(|line| line.name == name).unwrap_or_else(|| panic!("{name}"));
        (line.value.clone(), line.origin, line.file.clone())
    };
    let open = |text: &str| Value::Open(text.to_owned());
    assert_eq!(find("POSTFIX_COUNT"), (open("2000"), Origin::Environment, None));
    assert_eq!(find("RSPAMD_COUNT"), (open("7"), Origin::DotEnv, None));
    assert_eq!(find("POLL_INTERVAL"), (open("60s"), Origin::Default, None));
    assert_eq!(find("ADMIN"), (Value::Unset, Origin::Nowhere, None));
    assert_eq!(find("MAILCOW_API_KEY"), (Value::Hidden, Origin::DotEnv, None));
    assert_eq!(find("DATABASE_URL"), (Value::Hidden, Origin::Environment, None));
    assert_eq!(find("DB_NAME").0, open("old"), "under the name by which it was given");
    assert_eq!(find("LOGO_DARK").0, open("https://u:•••@example.org/logo.svg"));
    let path = Some("/run/secrets/cron".to_owned());
    assert_eq!(find("CRON_KEY"), (Value::Hidden, Origin::Environment, path));
    assert_eq!(find("FOOTER_COMPANY").0, open("Example Ltd"));
    assert_eq!(find("IMAP_2_HOST").0, open("imap.b.test"));
    assert_eq!(find("IMAP_2_PASS").0, Value::Hidden);
    assert!(!lines.iter().any(|line| line.name == "IMAP_3_HOST"));
    assert!(!format!("{lines:?}").contains("hush"), "a secret is shown");
    let declared: usize = SECTIONS.iter().map(|section| section.entries.len()).sum();
    assert_eq!(lines.len(), declared + 3, "every setting, and the three of the second mailbox");
}

#[test]
fn every_setting_is_explained_in_german_too() {
    let file = include_str!("../../locales/settings.de.txt");
    let known: std::collections::BTreeSet<&str> = file
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(" = ").unwrap().0)
        .collect();
    let sections = SECTIONS.iter().map(|section| format!("section.{}", section.title));
    let helps =
        SECTIONS.iter().flat_map(|section| section.entries).map(|entry| format!("help.{}", entry.name));
    let declared: std::collections::BTreeSet<String> = sections.chain(helps).collect();
    let missing: Vec<_> = declared.iter().filter(|key| !known.contains(key.as_str())).collect();
    let extra: Vec<_> = known.iter().filter(|key| !declared.contains(**key)).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing {missing:?}, extra {extra:?}");
}
