//! `mailcow-status health`: asks the running portal whether it is well, for a container's health check. The image has no
//! shell and no curl.

use std::io::Write;

use super::serve::runtime;
use crate::{config::Config, remote::health};

/// Arguments of `health`.
#[derive(Debug, clap::Args)]
pub struct HealthArgs {
    /// Ask whether it is ready, too: the database answers and the last poll is recent
    #[arg(long)]
    pub ready: bool,
}

/// Prints the portal's answer; anything but a good one is an error.
pub fn run(args: &HealthArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let config = Config::from_environment()?;
    let path = format!("{}{}", config.web.base_path, if args.ready { "/readyz" } else { "/healthz" });
    let answer = runtime()?.block_on(health::ask(config.web.listen, &path))?;
    writeln!(out, "{answer}")?;
    Ok(())
}
