//! The command line: one file per command, each thin.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod backup;
pub mod collect;
pub mod demo;
pub mod doctor;
pub mod explain;
pub mod health;
pub mod import_log;
pub mod import_php;
pub mod import_reports;
pub mod jobs;
pub mod log;
pub mod log_report;
pub mod login_link;
pub mod serve;
pub mod settings;
pub mod setup;
pub mod status;

/// What became of each mail, for every user, domain admin and admin of a Mailcow server.
#[derive(Debug, Parser)]
#[command(name = "mailcow-status", version, about)]
pub struct Cli {
    /// How this program logs
    #[command(flatten)]
    pub log: log::LogArgs,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the portal beside a real Mailcow; settings come from the environment and from .env
    Serve,
    /// Try everything in a browser, with a simulated Mailcow inside
    Demo(demo::DemoArgs),
    /// Look at every part of the set-up: what is wrong, and how to mend it
    Doctor(doctor::DoctorArgs),
    /// Poll Mailcow's logs once, as `serve` does by itself
    Update,
    /// Look for reports in the mailboxes once, as `serve` does by itself
    FetchReports,
    /// Remove what is past its retention, as `serve` does by itself
    Prune,
    /// Look at the mail host and write what is seen to a file, for the portal and for Zabbix; needs no settings
    Collect(collect::CollectArgs),
    /// Read old Postfix logs
    ImportLog(import_log::ImportLogArgs),
    /// Take over the mails that the PHP app kept; its tables stay as they are
    ImportPhp(import_php::ImportPhpArgs),
    /// Sum up the mail flow of Postfix logs, as pflogsumm does; needs no settings
    LogReport(log_report::LogReportArgs),
    /// Read DMARC and TLS reports from files
    ImportReports(import_reports::ImportReportsArgs),
    /// Write all data into one file, while the portal runs
    Backup(backup::BackupArgs),
    /// Put such a file back, into either kind of database
    Restore(backup::RestoreArgs),
    /// Say what a reply of another mail server means
    Explain(explain::ExplainArgs),
    /// Say whether everything is all right: services, queue, disks, certificate, ports, DNS
    Status(status::StatusArgs),
    /// Make a link that signs somebody in once, for admins without a mailbox
    LoginLink(login_link::LoginLinkArgs),
    /// Write what Mailcow and its nginx need to run this portal beside them, or take it away again
    Setup(Box<setup::SetupArgs>),
    /// Ask the running portal whether it is well, for health checks
    Health(health::HealthArgs),
    /// Print an example of .env, the reference of all settings or of all metrics, or a template for other systems
    Settings(settings::SettingsArgs),
}

/// Runs a command to its end; the exit code, which differs from 0 without a fault for `doctor` and `status` only.
pub fn run(Cli { log, command }: Cli) -> anyhow::Result<ExitCode> {
    let out = &mut std::io::BufWriter::new(std::io::stdout().lock());
    let done = match command {
        Command::Doctor(args) => return doctor::run(&args, log, out),
        Command::Serve => serve::run(log),
        Command::Demo(args) => demo::run(args, log),
        Command::Update => jobs::update(log, out),
        Command::FetchReports => jobs::fetch_reports(log, out),
        Command::Prune => jobs::prune(log, out),
        Command::Collect(args) => collect::run(&args),
        Command::ImportLog(args) if args.dry_run => import_log::dry_run(&args, out),
        Command::ImportLog(args) => import_log::run(&args, log, out),
        Command::ImportPhp(args) => import_php::run(&args, log, out),
        Command::LogReport(args) => log_report::run(&args, out),
        Command::ImportReports(args) if args.dry_run => import_reports::dry_run(&args, out),
        Command::ImportReports(args) => import_reports::storing::run(&args, log, out),
        Command::Backup(args) => backup::run(&args, log, out),
        Command::Restore(args) => backup::restore_run(&args, log, out),
        Command::Explain(args) => explain::run(args, std::io::stdin().lock(), out),
        Command::Status(args) => return status::run(&args, out),
        Command::LoginLink(args) => login_link::run(&args, out),
        Command::Setup(args) => setup::run(&args, out),
        Command::Health(args) => health::run(&args, out),
        Command::Settings(args) => settings::run(&args, out),
    };
    done.map(|()| ExitCode::SUCCESS)
}
