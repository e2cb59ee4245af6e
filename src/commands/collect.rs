//! `mailcow-status collect`: looks at the mail host and writes what it sees into one file. The only command that may
//! need root, and it does nothing else: it reads, it runs no program, and it listens to nobody.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::serve::{runtime, stop_on_signal};
use crate::{
    config::PortalSecrets,
    metrics::{
        collector_file::CollectorFile,
        host::{self, Places},
    },
    model::time::Millis,
    remote::portal::{self, Portal},
};

mod output;

use output::Output;

/// Arguments of `collect`.
#[derive(Debug, clap::Args)]
pub struct CollectArgs {
    /// The file to write
    #[arg(long, default_value = "/var/tmp/mailcow-monitor.json")]
    pub output: PathBuf,
    /// The group that may read the file, by name or number; else that of the process
    #[arg(long)]
    pub group: Option<String>,
    /// Write no file, only post
    #[arg(long, requires = "portal")]
    pub no_file: bool,
    /// Look once, then end; for a timer
    #[arg(long)]
    pub once: bool,
    /// Seconds between two looks
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..=3600))]
    pub interval: u64,
    /// Address of a portal: with API_TOKEN, what it knows is added to the file; with COLLECTOR_KEY, what the host tells
    /// is posted to it. Both secrets come from the environment or from the files that API_TOKEN_FILE and
    /// COLLECTOR_KEY_FILE name
    #[arg(long)]
    pub portal: Option<Url>,
    /// Further root certificates that the portal's own may be signed with, a PEM file
    #[arg(long, requires = "portal")]
    pub portal_ca: Option<PathBuf>,
    /// Where the host's file system is mounted, when this runs in a container
    #[arg(long, default_value = "/")]
    pub root: PathBuf,
    /// Mailcow's folder on the host
    #[arg(long, default_value = "/opt/mailcow-dockerized")]
    pub mailcow: PathBuf,
    /// The backup folder on the host; else /opt/backup or /backup
    #[arg(long)]
    pub backup: Option<PathBuf>,
    /// Docker's socket on the host
    #[arg(long, default_value = "/var/run/docker.sock")]
    pub docker: PathBuf,
}

/// Looks once, or again and again until it is told to stop.
pub fn run(args: &CollectArgs) -> anyhow::Result<()> {
    let places = Places {
        root: args.root.clone(),
        mailcow: args.mailcow.clone(),
        backup: args.backup.clone(),
        docker: args.docker.clone(),
    };
    let mut collector = Collector {
        places,
        portal: portal(args)?,
        output: match args.no_file {
            true => None,
            false => Some(Output::new(&args.output, args.group.as_deref())?),
        },
        before: if args.no_file { CollectorFile::default() } else { written(&args.output) },
    };
    runtime()?.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        loop {
            let looked = tokio::select! {
                looked = collector.look() => looked,
                () = stop.cancelled() => return Ok(()),
            };
            if args.once {
                return looked;
            }
            if let Err(error) = looked {
                eprintln!("mailcow-status: {error:#}");
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(args.interval)) => {}
                () = stop.cancelled() => return Ok(()),
            }
        }
    })
}

/// The client of the portal, if one is named.
fn portal(args: &CollectArgs) -> anyhow::Result<Option<Portal>> {
    let Some(base) = args.portal.clone() else { return Ok(None) };
    let PortalSecrets { api_token, collector_key } = PortalSecrets::from_environment()?;
    if api_token.is_none() && collector_key.is_none() {
        bail!("--portal needs API_TOKEN or COLLECTOR_KEY (or API_TOKEN_FILE, COLLECTOR_KEY_FILE)");
    }
    if args.no_file && collector_key.is_none() {
        bail!("--no-file needs COLLECTOR_KEY or COLLECTOR_KEY_FILE: there would be no result");
    }
    let read = |path: &PathBuf| {
        fs::read_to_string(path).with_context(|| format!("--portal-ca: cannot read {}", path.display()))
    };
    let roots_pem = args.portal_ca.as_ref().map(read).transpose()?;
    let settings = portal::Settings { base, api_token, collector_key, roots_pem };
    Ok(Some(Portal::new(&settings).context("--portal")?))
}

/// What the run before wrote. A file that is missing or damaged, or that somebody else wrote, only means that slow
/// values are read anew.
fn written(output: &Path) -> CollectorFile {
    let text = output::is_our_own(output).then(|| fs::read(output).ok()).flatten();
    text.and_then(|text| CollectorFile::parse(&text).ok()).unwrap_or_default()
}

struct Collector {
    places: Places,
    portal: Option<Portal>,
    output: Option<Output>,
    /// The result of the look before.
    before: CollectorFile,
}

impl Collector {
    /// One look. A portal that is away costs its values only: the file is written without them, and then the post fails.
    async fn look(&mut self) -> anyhow::Result<()> {
        let known = async {
            match &self.portal {
                Some(portal) => portal.values().await,
                None => Ok(serde_json::Map::new()),
            }
        };
        let (samples, known) = tokio::join!(host::look(&self.places, &self.before, Millis::now()), known);
        let mut file = host::file_of(&samples, &self.before, Millis::now());
        self.before = file.clone();
        let post = file.of_host().text();
        match known {
            Ok(known) => file.add_portal(known),
            Err(error) => eprintln!("mailcow-status: the file goes without what the portal knows: {error}"),
        }
        if let Some(output) = &self.output {
            output.write(&file.text())?;
        }
        match &self.portal {
            Some(portal) => portal.post(post).await.context("what the host tells could not be posted"),
            None => Ok(()),
        }
    }
}
