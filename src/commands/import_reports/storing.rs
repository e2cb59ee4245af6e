//! `import-reports` into the database of the settings. Repeating it changes nothing.

use std::io::{IsTerminal, Write};

use super::{ImportReportsArgs, inputs::Inputs};
use crate::{
    app::open_database,
    commands::{log::LogArgs, serve::runtime},
    config::Config,
    ingest::{
        reports::{self, Fate, Reading, Taken},
        trust,
    },
    model::time::Millis,
    parse::attachment::Limits,
    store::Db,
};

/// Inputs in one transaction, …
const INPUTS: usize = 100;
/// … or as many as hold this many bytes, unpacked.
const BYTES: usize = 8 << 20;

/// What an import brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Files and mails.
    pub inputs: u64,
    /// New reports.
    pub new: u64,
    /// Reports that were known, also those that are kept as another text of a known one.
    pub known: u64,
    /// Documents and files that could not be read.
    pub refused: u64,
}

/// Reads the inputs into the database of the settings.
///
/// # Errors
/// When something was refused, or the database cannot be used.
pub fn run(args: &ImportReportsArgs, log: LogArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let config = Config::from_environment()?;
    log.start(config.log);
    let tally = runtime()?.block_on(async {
        let db = open_database(&config.database).await?;
        let tally = import(args, &db, Millis::now()).await;
        db.close().await;
        tally
    })?;
    let Tally { inputs, new, known, refused } = tally;
    writeln!(out, "{inputs} inputs: {new} new reports, {known} known, {refused} refused")?;
    out.flush()?;
    if refused > 0 {
        anyhow::bail!("{refused} inputs were refused; the page of unreadable reports shows them");
    }
    Ok(())
}

/// Reads the inputs into a database.
pub async fn import(args: &ImportReportsArgs, db: &Db, now: Millis) -> anyhow::Result<Tally> {
    let (mut tally, mut waiting, mut bytes) = (Tally::default(), Vec::new(), 0);
    for input in Inputs::new(&args.paths, Limits::default().input) {
        tally.inputs += 1;
        match input.bytes {
            Ok(content) => {
                let reading = reports::read(&trust::by_hand("import", &input.name, now), &content);
                bytes += reading.bytes();
                waiting.push((input.name, reading));
            }
            Err(error) => refuse(&mut tally, &input.name, &error),
        }
        if waiting.len() >= INPUTS || bytes >= BYTES {
            write(db, &mut waiting, &mut tally).await?;
            bytes = 0;
        }
    }
    write(db, &mut waiting, &mut tally).await?;
    Ok(tally)
}

async fn write(db: &Db, waiting: &mut Vec<(String, Reading)>, tally: &mut Tally) -> anyhow::Result<()> {
    let mut tx = db.begin().await?;
    let mut told = Vec::new();
    for (name, reading) in waiting.drain(..) {
        told.push((name, reports::store(&mut tx, &reading).await?));
    }
    tx.commit().await?;
    for (input, taken) in told {
        taken.iter().for_each(|taken| count(tally, &input, taken));
    }
    show(tally);
    Ok(())
}

fn count(tally: &mut Tally, input: &str, taken: &Taken) {
    match &taken.fate {
        Fate::New(_) => tally.new += 1,
        Fate::Known(_) | Fate::Variant(_) => tally.known += 1,
        Fate::Refused(reason) => refuse(tally, input, reason),
    }
}

fn refuse(tally: &mut Tally, input: &str, reason: &str) {
    tally.refused += 1;
    eprintln!("{input}: refused: {reason}");
}

fn show(tally: &Tally) {
    let Tally { inputs, new, known, refused } = tally;
    if std::io::stderr().is_terminal() {
        eprint!("{inputs} inputs: {new} new, {known} known, {refused} refused   \r");
    }
}
