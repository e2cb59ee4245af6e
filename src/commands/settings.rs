//! `mailcow-status settings`: what can be set, derived from the declarations.

use std::io::Write;

use crate::{config, metrics};

/// Arguments of `settings`.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct SettingsArgs {
    /// An example of .env
    #[arg(long)]
    pub example: bool,
    /// The reference of all settings, as Markdown
    #[arg(long)]
    pub reference: bool,
    /// The reference of all metrics, as Markdown
    #[arg(long)]
    pub metrics: bool,
    /// A template for Zabbix 6.0 and newer, as JSON
    #[arg(long)]
    pub zabbix: bool,
    /// A dashboard for Grafana, as JSON
    #[arg(long)]
    pub grafana: bool,
}

/// Prints what was asked for.
pub fn run(args: &SettingsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let text = match args {
        SettingsArgs { reference: true, .. } => config::reference(),
        SettingsArgs { metrics: true, .. } => metrics::reference::reference(),
        SettingsArgs { zabbix: true, .. } => metrics::exports::zabbix::template(),
        SettingsArgs { grafana: true, .. } => metrics::exports::grafana::dashboard(),
        SettingsArgs { .. } => config::example(),
    };
    out.write_all(text.as_bytes())?;
    Ok(())
}
