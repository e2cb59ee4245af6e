//! `import-reports` into the database of the settings. Repeating it changes nothing.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
};

use tokio::{sync::mpsc, task::JoinSet};

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
    work::memory,
};

/// Inputs in one transaction, …
const INPUTS: usize = 50;
/// … or as many as hold this many bytes, unpacked. Four such batches are in memory: one that is read, one that waits, and
/// those that are stored.
const BYTES: usize = 3 << 19;
/// Transactions at once: MariaDB has a thread for each.
const AT_ONCE: usize = 2;
/// After so many batches unused memory is given back: more often, and much time goes into taking it anew.
const GIVE_BACK: usize = 4;

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
    /// Those of them that are kept as unreadable: what cannot be opened, is too large or has nothing to do with reports
    /// is not.
    pub kept: u64,
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
    let Tally { inputs, new, known, refused, kept } = tally;
    writeln!(out, "{inputs} inputs: {new} new reports, {known} known, {refused} refused")?;
    out.flush()?;
    if refused > 0 {
        anyhow::bail!("{refused} were refused; the page of unreadable reports shows {kept} of them");
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

/// Reads the inputs into a database: the next ones while the last ones are stored, in two transactions at once.
pub async fn import(args: &ImportReportsArgs, db: &Db, now: Millis) -> anyhow::Result<Tally> {
    let (sender, mut batches) = mpsc::channel(1);
    let paths = args.paths.clone();
    let reader = tokio::task::spawn_blocking(move || read(&paths, now, &sender));
    let (mut tally, mut writing) = (Tally::default(), JoinSet::new());
    let mut taken = 0_usize;
    while let Some(batch) = batches.recv().await {
        taken += 1;
        if taken.is_multiple_of(GIVE_BACK) {
            memory::give_back();
        }
        while writing.len() >= AT_ONCE {
            finish(db, &mut writing, &mut tally).await?;
        }
        writing.spawn(attempt(db.clone(), batch));
    }
    while !writing.is_empty() {
        finish(db, &mut writing, &mut tally).await?;
    }
    reader.await?;
    store::reports::refresh(db).await?;
    Ok(tally)
}

/// What became of a batch.
type Attempt = (Batch, store::Result<Vec<Vec<Taken>>>);

/// Waits for a batch. One that failed, perhaps because it got into another's way that holds the same report, is stored again
/// when it is alone; input by input then, where one of them cannot be stored.
async fn finish(db: &Db, writing: &mut JoinSet<Attempt>, tally: &mut Tally) -> anyhow::Result<()> {
    let mut again = Vec::new();
    while let Some(attempt) = writing.join_next().await {
        match attempt? {
            (batch, Ok(taken)) => tell(&batch, &taken, tally),
            (batch, Err(_)) => again.push(batch),
        }
        if again.is_empty() {
            return Ok(());
        }
    }
    for batch in again {
        match attempt(db.clone(), batch).await {
            (_, Err(error)) if error.is_busy() => return Err(error.into()),
            (batch, Ok(taken)) => tell(&batch, &taken, tally),
            (batch, Err(_)) => {
                let mut taken = Vec::with_capacity(batch.sound.len());
                for (_, reading) in &batch.sound {
                    taken.push(reports::store_alone(db, reading).await?);
                }
                tell(&batch, &taken, tally);
            }
        }
    }
    Ok(())
}

/// Stores a batch, all of it or nothing.
async fn attempt(db: Db, batch: Batch) -> Attempt {
    let stored = async {
        let readings: Vec<&Reading> = batch.sound.iter().map(|(_, reading)| reading).collect();
        let mut tx = db.begin().await?;
        let taken = reports::store(&mut tx, &readings).await?;
        tx.commit().await?;
        Ok(taken)
    };
    let stored = stored.await;
    (batch, stored)
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

fn tell(batch: &Batch, taken: &[Vec<Taken>], tally: &mut Tally) {
    tally.inputs += (batch.sound.len() + batch.failed.len()) as u64;
    for (name, error) in &batch.failed {
        refuse(tally, name, error);
    }
    for ((name, reading), taken) in batch.sound.iter().zip(taken) {
        let refused = tally.refused;
        taken.iter().for_each(|taken| count(tally, name, taken));
        tally.kept += if reading.foreign { 0 } else { tally.refused - refused };
    }
    show(tally);
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
    let Tally { inputs, new, known, refused, .. } = tally;
    if std::io::stderr().is_terminal() {
        eprint!("{inputs} inputs: {new} new, {known} known, {refused} refused   \r");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{figures::ReportFilter, scope::Scope},
        store::fresh::databases,
    };

    fn report(number: usize) -> String {
        format!(
            "<feedback><report_metadata><org_name>Post</org_name><report_id>{number}</report_id><date_range>\
             <begin>1795132800</begin><end>1795219199</end></date_range></report_metadata><policy_published>\
             <domain>a.test</domain><p>none</p></policy_published><record><row><source_ip>192.0.2.1</source_ip>\
             <count>2</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>pass</spf>\
             </policy_evaluated></row></record></feedback>"
        )
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_stands_in_two_batches_at_once_is_stored_once() {
        let folder = tempfile::tempdir().unwrap();
        // Each batch holds most of what the one beside it holds.
        let (files, reports) = (8 * INPUTS, INPUTS + 10);
        for number in 0..files {
            let path = folder.path().join(format!("{number:04}.xml"));
            std::fs::write(path, report(number % reports)).unwrap();
        }
        std::fs::write(folder.path().join("bad.xml"), "<feedback>").unwrap();
        std::fs::write(folder.path().join("letter.eml"), "Subject: x\r\n\r\nHow are you?\r\n").unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("gone.xml")).unwrap();
        let args = ImportReportsArgs { paths: vec![folder.path().to_owned()], dry_run: false, json: false };
        let (files, reports) = (files as u64, reports as u64);
        let dir = tempfile::tempdir().unwrap();
        for db in databases(&dir).await {
            let tally = import(&args, &db, Millis::now()).await.unwrap();
            let (inputs, known) = (files + 3, files - reports);
            let wanted = Tally { inputs, new: reports, known, refused: 3, kept: 1 };
            assert_eq!(tally, wanted, "{}", db.engine());
            let filter = ReportFilter::default();
            let all = store::reports::list(&db, &Scope::All, &filter, None, 1000).await.unwrap();
            assert_eq!(all.len() as u64, reports, "{}", db.engine());
            assert!(all.iter().all(|line| line.sums.messages == 2 && line.variants == 0));
            let again = import(&args, &db, Millis::now()).await.unwrap();
            assert_eq!(again, Tally { new: 0, known: files, ..wanted }, "{}", db.engine());
            db.close().await;
        }
    }
}
