//! `import-reports` into the database of the settings. Repeating it changes nothing.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
};

use tokio::sync::mpsc;

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
    store::{self, Db},
};

/// Inputs in one transaction, …
const INPUTS: usize = 50;
/// … or as many as hold this many bytes, unpacked. Three such batches are in memory: one that is read, one that waits,
/// one that is stored.
const BYTES: usize = 3 << 19;

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

/// Inputs that were read and go into one transaction.
#[derive(Default)]
struct Batch {
    sound: Vec<(String, Reading)>,
    bytes: usize,
    /// Files that could not be read at all, with the reason.
    failed: Vec<(String, String)>,
}

/// Reads the inputs into a database: the next ones while the last ones are stored.
pub async fn import(args: &ImportReportsArgs, db: &Db, now: Millis) -> anyhow::Result<Tally> {
    let (sender, mut batches) = mpsc::channel(1);
    let paths = args.paths.clone();
    let reader = tokio::task::spawn_blocking(move || read(&paths, now, &sender));
    let mut tally = Tally::default();
    while let Some(batch) = batches.recv().await {
        write(db, batch, &mut tally).await?;
    }
    reader.await?;
    store::reports::refresh(db).await?;
    Ok(tally)
}

/// Reads all inputs, in batches, as long as somebody takes them.
fn read(paths: &[PathBuf], now: Millis, batches: &mpsc::Sender<Batch>) {
    let mut batch = Batch::default();
    for input in Inputs::new(paths, Limits::default().input) {
        match input.bytes {
            Ok(content) => {
                let reading = reports::read(&trust::by_hand("import", &input.name, now), &content);
                batch.bytes += reading.bytes();
                batch.sound.push((input.name, reading));
            }
            Err(error) => batch.failed.push((input.name, error)),
        }
        if (batch.sound.len() >= INPUTS || batch.bytes >= BYTES)
            && batches.blocking_send(std::mem::take(&mut batch)).is_err()
        {
            return;
        }
    }
    // Nobody takes the last ones only when storing failed, which is told there.
    let _ = batches.blocking_send(batch);
}

async fn write(db: &Db, batch: Batch, tally: &mut Tally) -> anyhow::Result<()> {
    let readings: Vec<&Reading> = batch.sound.iter().map(|(_, reading)| reading).collect();
    let mut tx = db.begin().await?;
    let taken = reports::store(&mut tx, &readings).await?;
    tx.commit().await?;
    tally.inputs += (batch.sound.len() + batch.failed.len()) as u64;
    for (name, error) in &batch.failed {
        refuse(tally, name, error);
    }
    for ((name, _), taken) in batch.sound.iter().zip(&taken) {
        taken.iter().for_each(|taken| count(tally, name, taken));
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
