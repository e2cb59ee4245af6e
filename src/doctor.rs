//! Is everything set up as it must be? One careful look at each part, with what was found and how to mend it. Nothing is
//! changed anywhere, and Mailcow is asked with the key once only: those who keep trying a wrong key are banned.

use std::{path::PathBuf, sync::Arc, time::Duration};

use url::Url;

use crate::{
    model::{
        finding::{Finding, Health},
        time::Millis,
    },
    remote::{
        Cause, Error,
        imap::{self, Access, Account, Limits},
        mailcow::Mailcow,
        oauth::OAuth,
        outside::Outside,
    },
    store::{self, Db, checkup, db::schema, ingestion},
};

/// Clocks that differ by more than this make sign-ins and times fail.
const SKEW: Duration = Duration::from_secs(30);
/// A ring of which this share was new at a poll is close to losing lines.
const TIGHT: f64 = 0.5;
/// Lines that were lost this long ago still count.
const LATELY: Duration = Duration::from_secs(86_400);
/// Rspamd reads the list of those who opted in every minute or so.
const MAP: Duration = Duration::from_secs(900);

/// What is known of the hook for open tracking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Open tracking is off.
    Off,
    /// Only the running portal knows.
    Elsewhere,
    /// When Rspamd last asked this process for the list, if it did, and since when it could.
    Here(Option<Millis>, Millis),
}

/// What is looked at.
pub struct Patient {
    /// The database.
    pub db: Db,
    /// Mailcow's API.
    pub mailcow: Arc<Mailcow>,
    /// Mailcow's address.
    pub mailcow_url: Url,
    /// Mailcow's OAuth2.
    pub oauth: OAuth,
    /// The redirect address of this portal.
    pub redirect: String,
    /// Looks from outside.
    pub outside: Outside,
    /// The address that visitors type.
    pub public_url: Url,
    /// Mailboxes that reports come to, each with its folders.
    pub mailboxes: Vec<(Account, Vec<String>)>,
    /// Files that hold secrets.
    pub files: Vec<PathBuf>,
    /// A log that was not read for so long is stuck.
    pub poll_patience: Duration,
}

impl Patient {
    /// Looks at all parts.
    pub async fn examine(&self, now: Millis, hook: Hook) -> Vec<Finding> {
        let (database, key, (oauth, clock), rings, mailboxes, address, dotenv) = tokio::join!(
            self.database(),
            self.key(),
            self.client(now),
            self.rings(now),
            self.mailboxes(),
            self.address(),
            self.dotenv(),
        );
        let mut findings =
            vec![Finding::new("settings", Health::Fine, "settings_fine"), database, key, oauth];
        findings.extend(rings);
        findings.extend(mailboxes);
        findings.extend([address, clock, hook_finding(hook, now), dotenv]);
        findings.extend(self.files());
        findings
    }

    async fn database(&self) -> Finding {
        let finding = |health, says| Finding::new("database", health, says).with("engine", self.db.engine());
        let broken = |error: store::Error| finding(Health::Wrong, "database_away").with("error", error);
        let steps = match self.db.steps().await {
            Ok(steps) => steps,
            Err(error) => return broken(error),
        };
        let step = steps.last().copied();
        if step.is_some()
            && let Err(error) = checkup::try_writing(&self.db).await
        {
            return broken(error);
        }
        let more = schema().count() - steps.len();
        match (checkup::missing_rights(&self.db).await, step) {
            (Err(error), _) => broken(error),
            (Ok(Some(missing)), _) if !missing.is_empty() => {
                finding(Health::Doubtful, "database_rights").with("rights", missing.join(", "))
            }
            (Ok(_), None) => finding(Health::Doubtful, "database_new"),
            (Ok(_), Some(step)) if more > 0 => {
                finding(Health::Doubtful, "database_older").with("step", step).with("count", more)
            }
            (Ok(Some(_)), Some(step)) => finding(Health::Fine, "database_fine").with("step", step),
            (Ok(None), Some(step)) => finding(Health::Unknown, "database_role").with("step", step),
        }
    }

    /// One request, and none while Mailcow refuses us.
    async fn key(&self) -> Finding {
        let finding = |health, says| Finding::new("key", health, says);
        match self.mailcow.version().await {
            Ok(version) => finding(Health::Fine, "key_fine").with("version", version),
            Err(Error { cause: Cause::Refused { status, text }, .. }) => {
                finding(Health::Wrong, "key_refused").with("status", status).with("words", text)
            }
            Err(Error { cause: Cause::NotAuthenticated, .. }) => finding(Health::Wrong, "key_unknown"),
            Err(error) => finding(Health::Wrong, "mailcow_away").with("error", error),
        }
    }

    /// Asks to sign in as a browser does, and goes no further: Mailcow then says whether it knows us, and what time it has.
    async fn client(&self, now: Millis) -> (Finding, Finding) {
        let finding = |health, says| Finding::new("oauth", health, says).with("redirect", &self.redirect);
        let url = self.oauth.authorize_url("doctor", &"d".repeat(64));
        let seen = self.outside.look(url, "Mailcow oauth/authorize").await;
        let clock = clock(seen.as_ref().ok().and_then(|seen| seen.date), now);
        let client = match seen {
            Ok(seen) if seen.holds("redirect_uri_mismatch") => finding(Health::Wrong, "oauth_redirect"),
            Ok(seen) if seen.holds("invalid_client") => finding(Health::Wrong, "oauth_client"),
            Ok(seen) if matches!(seen.status, 200 | 302 | 303) => finding(Health::Fine, "oauth_fine"),
            Ok(seen) => finding(Health::Unknown, "oauth_odd").with("status", seen.status),
            Err(error) => finding(Health::Wrong, "mailcow_away").with("error", error),
        };
        (client, clock)
    }

    async fn rings(&self, now: Millis) -> Vec<Finding> {
        let finding = |health, says| Finding::new("rings", health, says);
        let read = async {
            if self.db.steps().await?.is_empty() {
                return Ok((Vec::new(), Vec::new()));
            }
            let gaps = ingestion::gaps(&self.db, now.minus(LATELY), now).await?;
            Ok::<_, store::Error>((ingestion::sources(&self.db).await?, gaps))
        };
        let (sources, gaps) = match read.await {
            Ok(read) => read,
            Err(error) => return vec![finding(Health::Unknown, "rings_untold").with("error", error)],
        };
        if sources.is_empty() {
            return vec![finding(Health::Unknown, "rings_never")];
        }
        let judge = |source: &ingestion::Source| {
            let lost = gaps.iter().filter(|gap| gap.source == source.source).count();
            let share = (source.ring_peak * 100.0).round();
            let age = source.succeeded_at.map(|at| now.since(at)).filter(|age| *age > self.poll_patience);
            let finding = match (&source.error, lost) {
                (Some(error), _) => finding(Health::Wrong, "rings_error").with("error", error),
                (None, _) if let Some(age) = age => {
                    finding(Health::Wrong, "rings_stuck").with("minutes", age.as_secs() / 60)
                }
                (None, 1..) => finding(Health::Wrong, "rings_lost").with("gaps", lost),
                (None, 0) if source.ring_peak > TIGHT => finding(Health::Doubtful, "rings_tight"),
                _ => finding(Health::Fine, "rings_fine"),
            };
            finding.with("source", &source.source).with("size", source.ring_size).with("share", share)
        };
        sources.iter().map(judge).collect()
    }

    async fn mailboxes(&self) -> Vec<Finding> {
        if self.mailboxes.is_empty() {
            return vec![Finding::new("mailbox", Health::Idle, "mailbox_none")];
        }
        let mut findings = Vec::new();
        for (account, folders) in &self.mailboxes {
            let finding =
                |health, says| Finding::new("mailbox", health, says).with("account", account.name());
            findings.push(match visit(account, folders).await {
                Ok(()) => finding(Health::Fine, "mailbox_fine"),
                Err(error) => finding(Health::Wrong, "mailbox_wrong").with("error", error),
            });
        }
        findings
    }

    /// The portal as visitors reach it.
    async fn address(&self) -> Finding {
        let url = self.public_url.as_str().trim_end_matches('/').to_owned() + "/healthz";
        let finding = |health, says| Finding::new("address", health, says).with("url", &url);
        let Ok(address) = Url::parse(&url) else { return finding(Health::Unknown, "address_odd") };
        match self.outside.look(address, &url).await {
            Ok(seen) if seen.status == 200 && seen.is("ok") => finding(Health::Fine, "address_fine"),
            Ok(seen) => finding(Health::Wrong, "address_other").with("status", seen.status),
            Err(error) => finding(Health::Wrong, "address_away").with("error", error),
        }
    }

    /// The settings of the PHP app lay in Mailcow's web folder.
    async fn dotenv(&self) -> Finding {
        let mut url = self.mailcow_url.clone();
        url.set_path("/status/.env");
        let finding = |health, says| Finding::new("dotenv", health, says).with("url", &url);
        match self.outside.look(url.clone(), "the old .env").await {
            Ok(seen) if seen.status == 200 && (seen.holds("MAILCOW_") || seen.holds("DB_PASSWORD")) => {
                finding(Health::Wrong, "dotenv_open")
            }
            Ok(_) => finding(Health::Fine, "dotenv_fine"),
            Err(error) => finding(Health::Unknown, "dotenv_untold").with("error", error),
        }
    }

    fn files(&self) -> Vec<Finding> {
        let finding = |health, says| Finding::new("files", health, says);
        let open: Vec<Finding> = self
            .files
            .iter()
            .filter(|path| is_open(path))
            .map(|path| finding(Health::Doubtful, "files_open").with("path", path.display()))
            .collect();
        match (open.is_empty(), self.files.is_empty()) {
            (false, _) => open,
            (true, true) => vec![finding(Health::Idle, "files_none")],
            (true, false) => vec![finding(Health::Fine, "files_fine").with("count", self.files.len())],
        }
    }
}

fn hook_finding(hook: Hook, now: Millis) -> Finding {
    let finding = |health, says| Finding::new("hook", health, says);
    match hook {
        Hook::Off => finding(Health::Idle, "hook_off"),
        Hook::Elsewhere => finding(Health::Unknown, "hook_elsewhere"),
        Hook::Here(Some(read), _) if now.since(read) <= MAP => finding(Health::Fine, "hook_fine"),
        Hook::Here(None, since) if now.since(since) <= MAP => finding(Health::Unknown, "hook_waiting"),
        Hook::Here(..) => finding(Health::Wrong, "hook_missing"),
    }
}

/// Mailcow's clock beside ours.
fn clock(mailcow: Option<Millis>, now: Millis) -> Finding {
    let finding = |health, says| Finding::new("clock", health, says);
    let Some(date) = mailcow else { return finding(Health::Unknown, "clock_untold") };
    let skew = date.0.abs_diff(now.0) / 1000;
    match skew <= SKEW.as_secs() {
        true => finding(Health::Fine, "clock_fine"),
        false => finding(Health::Wrong, "clock_off").with("seconds", skew),
    }
}

async fn visit(account: &Account, folders: &[String]) -> Result<(), Error> {
    let mut session = imap::Session::open(account, &Limits::default()).await?;
    for folder in folders {
        session.enter(folder, Access::Read).await?;
    }
    session.close().await;
    Ok(())
}

/// Whether others than its owner and its group may read a file. One that is missing is not open.
fn is_open(path: &std::path::Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o007 != 0)
}
