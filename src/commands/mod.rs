//! The command line: one file per command, each thin.

use clap::{Parser, Subcommand};

pub mod explain;
pub mod import_log;

/// What became of each mail, for every user, domain admin and admin of a Mailcow server.
#[derive(Debug, Parser)]
#[command(name = "mailcow-status", version, about)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what a reply of another mail server means
    Explain(explain::ExplainArgs),
    /// Read old Postfix logs
    ImportLog(import_log::ImportLogArgs),
}
