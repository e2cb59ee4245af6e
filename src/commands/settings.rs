//! `mailcow-status settings`: what can be set, derived from the declarations.

use std::io::Write;

use crate::config;

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
}

/// Prints what was asked for.
pub fn run(args: &SettingsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let text = if args.reference { config::reference() } else { config::example() };
    out.write_all(text.as_bytes())?;
    Ok(())
}
