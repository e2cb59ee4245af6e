//! `mailcow-status update`, `mailcow-status fetch-reports` and `mailcow-status prune`: one run of a job, for those who use cron.

use std::io::{IsTerminal, Write};

use super::{log::LogArgs, serve::runtime};
use crate::{
    app::App,
    config::Config,
    ingest::fetch::{Progress, Tally},
};

/// Polls once. Prints `ok` or `busy`.
pub fn update(log: LogArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let config = Config::from_environment()?;
    log.start(config.log);
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

/// Looks into the mailboxes once and shows on standard error how far it is. Prints what came in, or `busy`.
pub fn fetch_reports(log: LogArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let config = Config::from_environment()?;
    if config.reports.mailboxes.is_empty() {
        anyhow::bail!("no mailbox is set: give IMAP_HOST, IMAP_USER and IMAP_PASS");
    }
    log.start(config.log);
    let fetched = runtime()?.block_on(async {
        let app = App::build(config).await?;
        let fetched = app.worker.fetch_reports(&show).await;
        app.db.close().await;
        fetched
    })?;
    let Some(fetched) = fetched else { return Ok(writeln!(out, "busy")?) };
    writeln!(out, "{}", told(fetched.tally))?;
    out.flush()?;
    if fetched.faults.is_empty() { Ok(()) } else { anyhow::bail!("{}", fetched.faults.join("; ")) }
}

fn show(progress: Progress<'_>) {
    let Progress { account, folder, done, of, tally } = progress;
    let end = if std::io::stderr().is_terminal() && done < of { "   \r" } else { "\n" };
    eprint!("{account}, {folder}: {done} of {of} mails; {}{end}", told(tally));
}

fn told(tally: Tally) -> String {
    let Tally { mails, reports, known, refused, others } = tally;
    format!(
        "{mails} mails: {reports} new reports, {known} known, {refused} unreadable, {others} mails without a report"
    )
}

/// Removes what is past its retention. Prints `ok` or `busy`.
pub fn prune(log: LogArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let config = Config::from_environment()?;
    log.start(config.log);
    let done = runtime()?.block_on(async {
        let app = App::build(config).await?;
        let done = app.worker.prune().await;
        app.db.close().await;
        done
    })?;
    writeln!(out, "{}", if done.is_some() { "ok" } else { "busy" })?;
    Ok(())
}
