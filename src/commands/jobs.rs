//! `mailcow-status update` and `mailcow-status prune`: one run of a job, for those who use cron.

use std::io::Write;

use super::serve::{runtime, start_log};
use crate::{app::App, config::Config};

/// Polls once. Prints `ok` or `busy`.
pub fn update(out: &mut impl Write) -> anyhow::Result<()> {
    let config = Config::from_environment()?;
    start_log(config.log);
    let polled = runtime()?.block_on(async {
        let app = App::build(config).await?;
        let polled = app.worker.poll().await;
        app.db.close().await;
        polled
    })?;
    match polled {
        None => writeln!(out, "busy")?,
        Some(polled) if polled.faults.is_empty() => writeln!(out, "ok")?,
        Some(polled) => anyhow::bail!("{}", polled.faults.join("; ")),
    }
    Ok(())
}

/// Removes what is past its retention. Prints `ok` or `busy`.
pub fn prune(out: &mut impl Write) -> anyhow::Result<()> {
    let config = Config::from_environment()?;
    start_log(config.log);
    let done = runtime()?.block_on(async {
        let app = App::build(config).await?;
        let done = app.worker.prune().await;
        app.db.close().await;
        done
    })?;
    writeln!(out, "{}", if done { "ok" } else { "busy" })?;
    Ok(())
}
