//! `mailcow-status import-php`: takes over the mails that the PHP app kept. Its tables stay as they are, and repeating it
//! changes nothing: run it again after the switch to take what came in between.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
};

use anyhow::{Context, bail};

use super::{log::LogArgs, serve::runtime};
use crate::{
    app::{App, SERVER, connect_database},
    config::{Config, DatabaseSettings},
    ingest::{
        inventory,
        php_app::{Import, Report},
    },
    model::time::Millis,
    store::{self, Db},
};

/// Arguments of `import-php`.
#[derive(Debug, clap::Args)]
pub struct ImportPhpArgs {
    /// Address of the app's database, as in DATABASE_URL; without it, the database of the settings
    #[arg(long, value_name = "URL", conflicts_with = "from_file")]
    pub from: Option<String>,
    /// A file that holds that address, so that nobody on this host reads the password from the list of processes
    #[arg(long, value_name = "FILE")]
    pub from_file: Option<PathBuf>,
}

impl ImportPhpArgs {
    fn source(&self) -> anyhow::Result<Option<DatabaseSettings>> {
        let text = match (&self.from, &self.from_file) {
            (Some(url), _) => url.clone(),
            (None, Some(path)) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {} (--from-file)", path.display()))?,
            (None, None) => return Ok(None),
        };
        let settings = DatabaseSettings::from_url(text.trim());
        settings.map(Some).map_err(|wrong| anyhow::anyhow!("the address of the PHP app's database {wrong}"))
    }
}

/// Takes over everything and says what came in.
pub fn run(args: &ImportPhpArgs, log: LogArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let source = args.source()?;
    let config = Config::from_environment()?;
    log.start(config.log);
    let keep = Millis::now().minus(config.retention.mails);
    let report = runtime()?.block_on(async {
        let app = App::build(config).await?;
        let from = match source {
            Some(source) => connect_database(&source).await?,
            None => app.db.clone(),
        };
        let report = import(&app, &from, keep).await;
        from.close().await;
        app.db.close().await;
        report
    })?;
    tell(report, out)
}

async fn import(app: &App, from: &Db, keep: Millis) -> anyhow::Result<Report> {
    if !store::php_app::is_there(from).await? {
        bail!("there are no tables mail and mail_history of the PHP app; name its database with --from");
    }
    // Which domains are ours tells what went out. Mailcow may be away: then what was known serves.
    if let Err(error) = inventory::refresh(&app.db, app.mailcow(), Millis::now()).await {
        tracing::warn!(%error, "Mailcow was not asked for its domains; mails that went out may show as incoming");
    }
    let hosted = store::reports::hosted(&app.db).await?.unwrap_or_default();
    let import = Import { from, to: &app.db, server: SERVER, keep, hosted };
    let visible = std::io::stderr().is_terminal();
    let report = import.run(&|share, report| show(visible, share, report)).await?;
    if visible {
        eprintln!();
    }
    Ok(report)
}

fn show(visible: bool, share: f64, report: Report) {
    if visible {
        let filled = (share * 20.0) as usize;
        let bar = format!("[{}{}]", "#".repeat(filled), "-".repeat(20_usize.saturating_sub(filled)));
        eprint!("\r{bar} {:3.0} %, {} mails, {} new   ", share * 100.0, report.mails, report.new);
    }
}

fn tell(report: Report, out: &mut impl Write) -> anyhow::Result<()> {
    let Report { mails, new, renewed, unusable, too_old, opens } = report;
    writeln!(out, "{mails} mails: {new} new, {renewed} renewed, {opens} opens")?;
    if too_old > 0 {
        writeln!(out, "{too_old} mails are past RETENTION and were left out; raise it to keep them")?;
    }
    if unusable > 0 {
        writeln!(out, "{unusable} rows without a moment were left out")?;
    }
    out.flush()?;
    Ok(())
}
