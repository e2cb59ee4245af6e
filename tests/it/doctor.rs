//! The check-up: each part that is wrong is told, with what to do; nothing secret is.

use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use mailcow_status::{
    commands::backup,
    doctor::{Hook, Patient},
    model::{
        finding::{Finding, Health},
        mail::ServerId,
        time::{Clock, Millis},
    },
    remote::{http, mailcow, oauth, outside::Outside},
    store::{
        Db,
        backup::schema,
        checkup,
        ingestion::{self, Gap, Source},
    },
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

use super::support::{
    db::fresh_databases,
    portal::{Portal, Wishes, place},
    rig::open,
};

fn settings() -> http::Settings {
    http::Settings { timeout: Duration::from_secs(5), roots_pem: None, ..Default::default() }
}

fn patient(portal: &Portal) -> Patient {
    Patient {
        db: portal.state.db.clone(),
        mailcow: Arc::clone(&portal.state.mailcow),
        mailcow_url: portal.mailcow_url.parse().unwrap(),
        oauth: portal.state.oauth.clone(),
        redirect: format!("{}/callback", portal.url),
        outside: Outside::new(&settings()).unwrap(),
        public_url: portal.url.parse().unwrap(),
        mailboxes: Vec::new(),
        files: Vec::new(),
        poll_patience: Duration::from_secs(300),
    }
}

fn client(portal: &Portal, id: &str, redirect: &str) -> oauth::OAuth {
    let base: reqwest::Url = portal.mailcow_url.parse().unwrap();
    oauth::OAuth::new(&oauth::Settings {
        base: base.clone(),
        browser_base: base,
        client_id: id.to_owned(),
        client_secret: "s3cret".to_owned().into(),
        redirect: redirect.to_owned(),
        http: settings(),
    })
    .unwrap()
}

async fn found(patient: &Patient, part: &str) -> (Health, &'static str) {
    let findings = patient.examine(Millis::now(), Hook::Off).await;
    let finding: &Finding = findings.iter().find(|finding| finding.part == part).unwrap();
    (finding.health, finding.says)
}

#[tokio::test]
async fn a_sound_portal_is_found_sound() {
    for portal in Portal::on_each_engine(Wishes::default()).await {
        let findings = patient(&portal).examine(Millis::now(), Hook::Off).await;
        for (part, says) in [
            ("settings", "settings_fine"),
            ("database", "database_fine"),
            ("key", "key_fine"),
            ("oauth", "oauth_fine"),
            ("address", "address_fine"),
            ("clock", "clock_fine"),
            ("dotenv", "dotenv_fine"),
            ("hook", "hook_off"),
            ("mailbox", "mailbox_none"),
        ] {
            let finding = findings.iter().find(|finding| finding.part == part).unwrap();
            assert_eq!(finding.says, says, "{finding:?}");
            assert!(finding.health <= Health::Idle, "{finding:?}");
        }
    }
}

#[tokio::test]
async fn what_mailcow_does_not_know_is_told() {
    let portal = Portal::start(Wishes::default()).await;
    let id = portal.mailcow.keys.client_id.clone();
    let callback = format!("{}/callback", portal.url);
    let with = |oauth| Patient { oauth, ..patient(&portal) };
    let elsewhere = with(client(&portal, &id, "https://elsewhere.example/callback"));
    assert_eq!(found(&elsewhere, "oauth").await, (Health::Wrong, "oauth_redirect"));
    let stranger = with(client(&portal, "ffffffffffff", &callback));
    assert_eq!(found(&stranger, "oauth").await, (Health::Wrong, "oauth_client"));
    let wrong = mailcow::Settings {
        base: portal.mailcow_url.parse().unwrap(),
        key: "AAAAAA-BBBBBB-CCCCCC-DDDDDD-EEEEEE".to_owned().into(),
        http: settings(),
    };
    let wrong = Arc::new(mailcow::Mailcow::new(&wrong, Clock::system()).unwrap());
    let patient = Patient { mailcow: wrong, ..patient(&portal) };
    let findings = patient.examine(Millis::now(), Hook::Off).await;
    let key = findings.iter().find(|finding| finding.part == "key").unwrap();
    assert!(matches!(key.says, "key_refused" | "key_unknown") && key.health == Health::Wrong, "{key:?}");
    assert!(!format!("{findings:?}").contains("BBBBBB"), "no key in a finding");
}

#[tokio::test]
async fn one_try_of_a_wrong_key_and_no_more() {
    let portal = Portal::start(Wishes::default()).await;
    let server = MockServer::start().await;
    Mock::given(path("/api/v1/get/status/version"))
        .respond_with(
            ResponseTemplate::new(401).set_body_string(r#"{"type":"error","msg":"authentication failed"}"#),
        )
        .expect(1)
        .mount(&server)
        .await;
    let refused = mailcow::Settings {
        base: server.uri().parse().unwrap(),
        key: "wrong".to_owned().into(),
        http: settings(),
    };
    let mailcow = Arc::new(mailcow::Mailcow::new(&refused, Clock::system()).unwrap());
    let patient = Patient { mailcow, ..patient(&portal) };
    for _ in 0..3 {
        assert_eq!(found(&patient, "key").await, (Health::Wrong, "key_refused"));
    }
}

#[tokio::test]
async fn an_open_dotenv_is_told_and_not_repeated() {
    let portal = Portal::start(Wishes::default()).await;
    let server = MockServer::start().await;
    let text = "MAILCOW_DOMAIN=x\nMAILCOW_API_KEY=hush-hush\nDB_PASSWORD=quiet\n";
    Mock::given(path("/status/.env"))
        .respond_with(ResponseTemplate::new(200).set_body_string(text))
        .mount(&server)
        .await;
    let patient = Patient { mailcow_url: server.uri().parse().unwrap(), ..patient(&portal) };
    let findings = patient.examine(Millis::now(), Hook::Off).await;
    let finding = findings.iter().find(|finding| finding.part == "dotenv").unwrap();
    assert_eq!((finding.health, finding.says), (Health::Wrong, "dotenv_open"));
    let all = format!("{findings:?}");
    assert!(!all.contains("hush-hush") && !all.contains("quiet"));
}

#[tokio::test]
async fn an_address_that_leads_elsewhere_and_a_wrong_clock_are_told() {
    let portal = Portal::start(Wishes::default()).await;
    let elsewhere = Patient { public_url: portal.mailcow_url.parse().unwrap(), ..patient(&portal) };
    assert_eq!(found(&elsewhere, "address").await, (Health::Wrong, "address_other"));
    let nowhere = Patient { public_url: "http://127.0.0.1:1/status".parse().unwrap(), ..patient(&portal) };
    assert_eq!(found(&nowhere, "address").await, (Health::Wrong, "address_away"));
    let findings = patient(&portal).examine(Millis::now().plus(Duration::from_secs(300)), Hook::Off).await;
    let clock = findings.iter().find(|finding| finding.part == "clock").unwrap();
    assert_eq!((clock.health, clock.says), (Health::Wrong, "clock_off"));
}

/// What answers at the portal's own address mostly has the portal's own clock.
#[tokio::test]
async fn the_clock_is_compared_with_that_of_mailcow() {
    let portal = Portal::start(Wishes::default()).await;
    let server = MockServer::start().await;
    let late = ResponseTemplate::new(200).insert_header("date", "Sat, 21 Nov 2026 00:00:00 GMT");
    Mock::given(path("/status/healthz")).respond_with(late.clone()).mount(&server).await;
    let in_front =
        Patient { public_url: format!("{}/status", server.uri()).parse().unwrap(), ..patient(&portal) };
    assert_eq!(found(&in_front, "clock").await, (Health::Fine, "clock_fine"));
    let oauth = |base: String| {
        let base: reqwest::Url = base.parse().unwrap();
        oauth::OAuth::new(&oauth::Settings {
            base: base.clone(),
            browser_base: base,
            client_id: "x".to_owned(),
            client_secret: "s3cret".to_owned().into(),
            redirect: "https://x.test/callback".to_owned(),
            http: settings(),
        })
        .unwrap()
    };
    Mock::given(path("/oauth/authorize")).respond_with(late).mount(&server).await;
    let behind = Patient { oauth: oauth(server.uri()), ..patient(&portal) };
    assert_eq!(found(&behind, "clock").await, (Health::Wrong, "clock_off"));
    let away = Patient { oauth: oauth("http://127.0.0.1:1".to_owned()), ..patient(&portal) };
    assert_eq!(found(&away, "clock").await, (Health::Unknown, "clock_untold"));
}

/// The usual order is: the new program in, a look, a backup. The old one may still be at work.
#[tokio::test]
async fn a_look_brings_no_schema_forward() {
    let portal = Portal::start(Wishes::default()).await;
    for fresh in fresh_databases().await {
        super::upgrade::make(&fresh, 5).await;
        let look = async || Db::look(&place(&fresh.url)).await.unwrap();
        let patient = Patient { db: look().await, ..patient(&portal) };
        for part in ["database", "rings"] {
            let (health, says) = found(&patient, part).await;
            let expected = [(Health::Doubtful, "database_older"), (Health::Unknown, "rings_never")];
            assert!(expected.contains(&(health, says)), "{part}: {says}");
        }
        assert_eq!(look().await.steps().await.unwrap().len(), 5, "{}", patient.db.engine());
    }
    for fresh in fresh_databases().await {
        let patient = Patient { db: Db::look(&place(&fresh.url)).await.unwrap(), ..patient(&portal) };
        assert_eq!(found(&patient, "database").await, (Health::Doubtful, "database_new"));
        assert_eq!(found(&patient, "rings").await, (Health::Unknown, "rings_never"));
        assert!(patient.db.steps().await.unwrap().is_empty());
        let file = fresh.url.strip_prefix("sqlite:");
        assert!(file.is_none_or(|file| !Path::new(file).exists()), "a file was made");
        let refused = backup::write(&patient.db, std::io::sink(), None, Millis(0)).await.unwrap_err();
        assert!(refused.to_string().contains("nothing to back up"), "{refused}");
    }
}

#[tokio::test]
async fn files_hook_and_rings_are_judged() {
    let portal = Portal::start(Wishes::default()).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let set = |mode| std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    let with_file = || Patient { files: vec![Path::to_path_buf(file.path())], ..patient(&portal) };
    for (mode, says) in [(0o600, "files_fine"), (0o640, "files_fine"), (0o644, "files_open")] {
        set(mode);
        assert_eq!(found(&with_file(), "files").await.1, says, "{mode:o}");
    }
    let now = Millis::now();
    for (hook, says) in [
        (Hook::Elsewhere, "hook_elsewhere"),
        (Hook::Here(None, now.minus(Duration::from_secs(60))), "hook_waiting"),
        (Hook::Here(None, now.minus(Duration::from_secs(3600))), "hook_missing"),
        (Hook::Here(Some(now), now), "hook_fine"),
        (Hook::Here(Some(now.minus(Duration::from_secs(3600))), now), "hook_missing"),
    ] {
        let findings = patient(&portal).examine(Millis::now(), hook).await;
        let finding = findings.iter().find(|finding| finding.part == "hook").unwrap();
        assert_eq!(finding.says, says);
    }
    assert_eq!(found(&patient(&portal), "rings").await, (Health::Unknown, "rings_never"));
    let server = ServerId(1);
    for (peak, gap, ago, says) in [
        (0.1, false, 60, "rings_fine"),
        // Nobody says what is wrong, but nothing is read any more.
        (0.1, false, 900, "rings_stuck"),
        (0.8, false, 60, "rings_tight"),
        (0.1, true, 60, "rings_lost"),
    ] {
        let mut tx = portal.state.db.begin().await.unwrap();
        let succeeded_at = Some(now.minus(Duration::from_secs(ago)));
        let source =
            Source { ring_peak: peak, ring_size: 9999, succeeded_at, ..Source::new(server, "postfix") };
        ingestion::save_source(&mut tx, &source).await.unwrap();
        if gap {
            let (from_at, to_at) = (now.minus(Duration::from_secs(60)), now.minus(Duration::from_secs(50)));
            let cause = "overrun".to_owned();
            let gap = Gap { id: 0, server, source: "postfix".to_owned(), from_at, to_at, at_least: 1, cause };
            ingestion::add_gap(&mut tx, &gap).await.unwrap();
        }
        tx.commit().await.unwrap();
        assert_eq!(found(&patient(&portal), "rings").await.1, says);
    }
}

#[tokio::test]
async fn trying_the_database_leaves_no_trace() {
    for fresh in fresh_databases().await {
        let db: Db = open(&fresh).await;
        checkup::try_writing(&db).await.unwrap();
        assert_eq!(checkup::missing_rights(&db).await.unwrap(), Some(Vec::new()));
        let rows: Vec<(String,)> =
            db.fetch(mailcow_status::store::db::sql("SELECT name FROM lease")).await.unwrap();
        assert!(rows.is_empty());
        assert!(schema() >= 7);
        // A row that cannot be written is a fault.
        let mut tx = db.begin().await.unwrap();
        let narrow = match db {
            Db::Mysql { .. } => "ALTER TABLE lease ADD CHECK (name <> 'doctor')",
            Db::Sqlite { .. } => {
                "CREATE TRIGGER no_doctor BEFORE INSERT ON lease BEGIN SELECT RAISE(ABORT, 'no'); END"
            }
        };
        tx.execute(mailcow_status::store::db::sql(narrow)).await.unwrap();
        tx.commit().await.unwrap();
        assert!(checkup::try_writing(&db).await.is_err(), "{}", db.engine());
    }
}

#[tokio::test]
async fn the_page_shows_the_last_look_and_looks_again_for_admins_only() {
    let portal = Portal::start(Wishes::default()).await;
    portal.state.checkup.equip(patient(&portal));
    let mut ann = portal.signed_in("ann@alpha.test").await;
    assert_eq!((ann.get("/doctor").await.status, ann.post("/doctor", &[]).await.status), (403, 403));
    let mut admin = portal.signed_in("admin@alpha.test").await;
    assert!(admin.get("/doctor").await.body.contains("Nobody has looked yet"));
    let answer = admin.post("/doctor", &[]).await;
    assert_eq!((answer.status, answer.location.as_str()), (303, "/status/doctor"));
    let page = admin.get("/doctor").await.body;
    for part in ["API key", "Sign-in", "Mailcow knows the client", "Clock"] {
        assert!(page.contains(part), "{part}");
    }
}
