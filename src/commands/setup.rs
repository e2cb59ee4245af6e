//! `mailcow-status setup`: writes what Mailcow and its nginx need to run this portal beside them, and takes it away again.
//!
//! It keeps no notes of its own. What it wrote is known by marks in the text, see [`block`]; what stood there before is in
//! backups beside it. So a second run changes nothing, and `--remove` works without the first run's arguments.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::PathBuf,
};

use anyhow::bail;
use clap::ValueEnum;

use self::{
    plan::{Change, apply},
    wish::Wish,
};
use crate::model::time::Millis;

mod block;
mod compose;
mod files;
mod plan;
mod removal;
mod show;
mod steps;
mod wish;

/// How the portal runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// As a container of Mailcow's
    Compose,
    /// On the host, by systemd
    Host,
}

/// Where the data lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// In Mailcow's MariaDB, in a database of its own
    Mariadb,
    /// In a file
    Sqlite,
}

/// Arguments of `setup`. Keep them: a later run with the same ones changes nothing, one with others changes to them.
#[derive(Debug, Clone, clap::Args)]
pub struct SetupArgs {
    /// Directory of Mailcow, with mailcow.conf; not given, the working directory or /opt/mailcow-dockerized
    #[arg(long, value_name = "DIR")]
    pub mailcow: Option<PathBuf>,
    /// How the portal runs
    #[arg(long, value_enum, default_value = "compose")]
    pub way: Way,
    /// A host name of its own instead of a path below Mailcow's
    #[arg(long, value_name = "NAME", conflicts_with = "path")]
    pub host: Option<String>,
    /// Path below Mailcow's host name
    #[arg(long, default_value = "/status")]
    pub path: String,
    /// Where the data lives
    #[arg(long, value_enum, default_value = "mariadb")]
    pub database: Engine,
    /// Image of the portal
    #[arg(long, default_value = "mailcow-status:latest")]
    pub image: String,
    /// The portal's own small network
    #[arg(long, default_value = "172.22.9.0/28")]
    pub network: ipnet::Ipv4Net,
    /// Addresses of admins, separated by commas
    #[arg(long)]
    pub admin: Option<String>,
    /// Client id of the OAuth2 app
    #[arg(long)]
    pub client_id: Option<String>,
    /// File with the client secret of the OAuth2 app
    #[arg(long, value_name = "FILE")]
    pub client_secret_file: Option<PathBuf>,
    /// File with the read-only API key
    #[arg(long, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
    /// The PHP app's .env, whose settings and database are taken over
    #[arg(long, value_name = "FILE")]
    pub php_app: Option<PathBuf>,
    /// End of the redirect URI; callback.php where the PHP app's OAuth2 app is used on
    #[arg(long, default_value = "callback", value_parser = ["callback", "callback.php"])]
    pub callback: String,
    /// Open tracking by Rspamd
    #[arg(long)]
    pub open_tracking: bool,
    /// Jobs by Mailcow's Ofelia, beside the portal's own schedule
    #[arg(long)]
    pub ofelia: bool,
    /// Leave docker-compose.override.yml alone, because the services were put there by hand
    #[arg(long)]
    pub no_override: bool,
    /// Directory of the settings with --way host
    #[arg(long, value_name = "DIR", default_value = "/etc/mailcow-status")]
    pub folder: PathBuf,
    /// Directory of the unit with --way host
    #[arg(long, value_name = "DIR", default_value = "/etc/systemd/system")]
    pub units: PathBuf,
    /// Show what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Take away what setup wrote, and put back what was there before
    #[arg(long)]
    pub remove: bool,
}

/// The arguments alone, as a command line.
#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: SetupArgs,
}

impl SetupArgs {
    /// What counts where nothing is given.
    fn usual() -> Self {
        <Line as clap::Parser>::parse_from(["setup"]).args
    }
}

/// Runs at a terminal, or without one.
pub fn run(args: &SetupArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let stdin = io::stdin();
    let talk = Talk { asks: stdin.is_terminal() && !args.yes, input: &mut stdin.lock(), out };
    session(args, talk, Millis::now())
}

/// The person at the terminal.
pub(crate) struct Talk<'a, W> {
    /// Whether there is somebody to ask.
    pub asks: bool,
    /// What they type.
    pub input: &'a mut dyn BufRead,
    /// What they read.
    pub out: &'a mut W,
}

impl<W: Write> Talk<'_, W> {
    /// One line; empty without anybody to ask.
    pub fn ask(&mut self, question: &str) -> io::Result<String> {
        if !self.asks {
            return Ok(String::new());
        }
        write!(self.out, "{question} ")?;
        self.out.flush()?;
        let mut line = String::new();
        self.input.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

fn session<W: Write>(args: &SetupArgs, mut talk: Talk<'_, W>, now: Millis) -> anyhow::Result<()> {
    let mailcow = wish::mailcow_directory(args.mailcow.as_deref())?;
    if args.remove {
        let removal = removal::plan(args, &mailcow)?;
        let secrets = wish::kept_secrets(args, &mailcow)?;
        carry_out(args, &removal.changes, &secrets, &mut talk, now)?;
        return Ok(write!(talk.out, "{}", removal.words(&mailcow))?);
    }
    let wish = Wish::gather(args, mailcow, &mut talk)?;
    let changes = files::plan(&wish)?;
    // Also those that go.
    let secrets = [wish.values.secrets(), wish::kept_secrets(args, &wish.mailcow)?].concat();
    carry_out(args, &changes, &secrets, &mut talk, now)?;
    Ok(write!(talk.out, "{}", steps::text(&wish))?)
}

/// Shows the changes; makes them, if that is wanted.
fn carry_out<W: Write>(
    args: &SetupArgs,
    changes: &[Change],
    secrets: &[String],
    talk: &mut Talk<'_, W>,
    now: Millis,
) -> anyhow::Result<()> {
    for change in changes {
        write!(talk.out, "{}", show::change(change, secrets))?;
    }
    if changes.iter().all(Change::is_nothing) {
        return Ok(writeln!(talk.out, "\nNothing to change.")?);
    }
    if args.dry_run {
        return Ok(writeln!(talk.out, "\nNothing was written (--dry-run).")?);
    }
    if !args.yes {
        if !talk.asks {
            bail!("nothing was written: add --yes to write this, or run at a terminal");
        }
        if !matches!(talk.ask("\nWrite this? [y/N]")?.as_str(), "y" | "Y" | "yes") {
            bail!("nothing was written");
        }
    }
    for backup in apply(changes, now)? {
        writeln!(talk.out, "kept what was there as {}", backup.display())?;
    }
    Ok(writeln!(talk.out, "Written.")?)
}

#[cfg(test)]
mod tests;
