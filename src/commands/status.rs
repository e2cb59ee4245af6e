//! `mailcow-status status`: is everything all right? For a terminal, and for scripts by its exit code.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use serde_json::json;

use super::serve::runtime;
use crate::{
    app::{SERVER, open_database},
    config::Config,
    metrics::{
        exports,
        summary::{Mark, Row, summary, worst},
    },
    model::time::Millis,
};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Prints the summary. The code is 0 when all is well, 1 for a warning or what is not known, 2 for worse, also when
/// the database cannot be asked.
pub fn run(args: &StatusArgs, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let read = || {
        let config = Config::from_environment()?;
        runtime()?.block_on(async {
            let db = open_database(&config.database).await?;
            let list = exports::present(&db, SERVER, Millis::now()).await;
            db.close().await;
            anyhow::Ok(list?)
        })
    };
    let list = match read() {
        Ok(list) => list,
        Err(error) => {
            eprintln!("mailcow-status: {error:#}");
            return Ok(ExitCode::from(2));
        }
    };
    let blocks = summary(&list);
    match args.json {
        true => print_json(&blocks, out)?,
        false => print_plain(&blocks, std::io::stdout().is_terminal(), out)?,
    }
    out.flush()?;
    Ok(ExitCode::from(code(worst(&blocks))))
}

const fn code(worst: Mark) -> u8 {
    match worst {
        Mark::NotInUse | Mark::Well => 0,
        Mark::Unknown | Mark::Warning => 1,
        Mark::Bad => 2,
    }
}

fn print_json(blocks: &[(&'static str, Vec<Row>)], out: &mut impl Write) -> anyhow::Result<()> {
    let row = |row: &Row| json!({ "key": row.key, "title": row.title, "value": row.value, "state": row.mark.code() });
    let rows = |rows: &[Row]| rows.iter().map(row).collect::<Vec<_>>();
    let blocks: Vec<_> =
        blocks.iter().map(|(name, list)| json!({ "name": name, "rows": rows(list) })).collect();
    Ok(writeln!(out, "{}", json!({ "blocks": blocks }))?)
}

fn print_plain(
    blocks: &[(&'static str, Vec<Row>)],
    colour: bool,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    for (name, rows) in blocks {
        writeln!(out, "{}", name.to_uppercase())?;
        for row in rows {
            // Words of other servers must not steer the terminal.
            let value: String = row.value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let title: String = row.title.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            writeln!(out, "  {} {title}: {value}", sign(row.mark, colour))?;
        }
    }
    Ok(())
}

fn sign(mark: Mark, colour: bool) -> String {
    let (sign, shade) = match mark {
        Mark::Well => ("✓", 32),
        Mark::Warning => ("!", 33),
        Mark::Bad => ("✗", 31),
        Mark::Unknown => ("?", 33),
        Mark::NotInUse => ("-", 90),
    };
    if colour { format!("\u{1b}[{shade}m{sign}\u{1b}[0m") } else { sign.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<(&'static str, Vec<Row>)> {
        let row = |title: &str, value: &str, mark| Row {
            key: "k",
            title: title.to_owned(),
            value: value.to_owned(),
            mark,
        };
        vec![(
            "queue",
            vec![row("Mails", "51", Mark::Warning), row("Oldest", "no\u{1b}[2Janswer", Mark::Unknown)],
        )]
    }

    #[test]
    fn each_row_has_its_mark_and_no_word_steers_the_terminal() {
        let mut out = Vec::new();
        print_plain(&rows(), false, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "QUEUE\n  ! Mails: 51\n  ? Oldest: no [2Janswer\n");
        assert_eq!(sign(Mark::Bad, true), "\u{1b}[31m✗\u{1b}[0m");
    }

    #[test]
    fn scripts_get_words_and_a_code() {
        let mut out = Vec::new();
        print_json(&rows(), &mut out).unwrap();
        let found: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(found["blocks"][0]["rows"][0]["state"], "warning");
        let codes = [Mark::NotInUse, Mark::Well, Mark::Unknown, Mark::Warning, Mark::Bad].map(code);
        assert_eq!(codes, [0, 0, 1, 1, 2]);
    }
}
