//! `mailcow-status doctor`: looks at every part of the set-up and says what is wrong and how to mend it. Exit code 0:
//! all is fine; 1: something should be better or could not be told; 2: something is wrong.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use serde_json::json;

use super::{log::LogArgs, serve::runtime};
use crate::{
    app::App,
    config::{Config, secret_files},
    doctor::Hook,
    model::{
        finding::{Finding, Health},
        time::Millis,
    },
    web::text::Lang,
};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Looks, tells, and gives the exit code.
pub fn run(args: &DoctorArgs, log: LogArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let config = match Config::from_environment() {
        Ok(config) => config,
        Err(faults) => {
            match args.json {
                true => writeln!(
                    out,
                    "{}",
                    json!({"part": "settings", "health": "wrong", "says": faults.to_string()})
                )?,
                false => writeln!(out, "{faults}")?,
            }
            out.flush()?;
            return Ok(ExitCode::from(2));
        }
    };
    log.start(config.log);
    let findings = runtime()?.block_on(async {
        let tracking = config.web.tracker.is_some();
        let app = App::build_to_look(config).await?;
        let hook = if tracking { Hook::Elsewhere } else { Hook::Off };
        let findings = app.patient(secret_files())?.examine(Millis::now(), hook).await;
        app.db.close().await;
        anyhow::Ok(findings)
    });
    let findings = match findings {
        Ok(findings) => findings,
        // Without a database there is nothing to look further with.
        Err(error) => vec![
            Finding::new("database", Health::Wrong, "database_away")
                .with("engine", "The database")
                .with("error", format!("{error:#}")),
        ],
    };
    for finding in &findings {
        match args.json {
            true => writeln!(out, "{}", as_json(finding))?,
            false => writeln!(out, "{}", as_line(finding, std::io::stdout().is_terminal()))?,
        }
    }
    out.flush()?;
    Ok(code(&findings))
}

fn code(findings: &[Finding]) -> ExitCode {
    match findings.iter().map(|finding| finding.health).max() {
        Some(Health::Wrong) => ExitCode::from(2),
        Some(Health::Doubtful | Health::Unknown) => ExitCode::from(1),
        _ => ExitCode::SUCCESS,
    }
}

fn sentence(finding: &Finding) -> (String, Option<String>) {
    let values: Vec<(&str, &str)> =
        finding.values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let says = Lang::En.tf_in("doctor_says", finding.says, &values);
    let mend = finding.has_remedy().then(|| Lang::En.tf_in("doctor_mend", finding.says, &values));
    (says, mend)
}

fn as_json(finding: &Finding) -> serde_json::Value {
    let (says, mend) = sentence(finding);
    json!({"part": finding.part, "health": finding.health.code(), "says": says, "mend": mend})
}

fn as_line(finding: &Finding, colour: bool) -> String {
    let (says, mend) = sentence(finding);
    let (word, tone) = match finding.health {
        Health::Fine => ("ok", "32"),
        Health::Idle => ("off", "90"),
        Health::Unknown => ("?", "33"),
        Health::Doubtful => ("warn", "33"),
        Health::Wrong => ("WRONG", "31"),
    };
    let word = if colour { format!("\u{1b}[{tone}m{word:5}\u{1b}[0m") } else { format!("{word:5}") };
    let part = Lang::En.t_in("doctor_part", finding.part);
    let mend = mend.map(|mend| format!(" -> {mend}")).unwrap_or_default();
    // A peer's words may hold anything; a line stays a line.
    let line = format!("{part}: {says}{mend}").replace(|c: char| c.is_control(), " ");
    format!("{word} {line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_gives_the_code() {
        let with = |healths: &[Health]| {
            let findings: Vec<Finding> =
                healths.iter().map(|health| Finding::new("clock", *health, "clock_fine")).collect();
            format!("{:?}", code(&findings))
        };
        let plain = |code: u8| format!("{:?}", ExitCode::from(code));
        assert_eq!(with(&[Health::Fine, Health::Idle]), plain(0));
        assert_eq!(with(&[Health::Fine, Health::Unknown]), plain(1));
        assert_eq!(with(&[Health::Doubtful]), plain(1));
        assert_eq!(with(&[Health::Wrong, Health::Fine]), plain(2));
    }

    #[test]
    fn a_line_says_what_is_wrong_and_how_to_mend_it() {
        let finding =
            Finding::new("oauth", Health::Wrong, "oauth_redirect").with("redirect", "https://x/\ncallback");
        let line = as_line(&finding, false);
        assert!(line.starts_with("WRONG Sign-in: ") && line.contains(" -> Enter exactly"), "{line}");
        assert!(!line.contains('\n'));
        assert_eq!(as_json(&finding)["health"], "wrong");
    }
}
