//! The program `mailcow-status`.

use clap::Parser;
use mailcow_status::commands::{Cli, Command, explain, import_log};

fn main() -> anyhow::Result<()> {
    let out = &mut std::io::BufWriter::new(std::io::stdout().lock());
    match Cli::parse().command {
        Command::Explain(args) => explain::run(args, std::io::stdin().lock(), out),
        Command::ImportLog(args) => import_log::dry_run(&args, out),
    }
}
