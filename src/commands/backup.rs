//! `mailcow-status backup FILE` and `restore FILE`: all tables of ours in one file, whichever engine keeps them.
//!
//! The file is a line that names it, and then zstd over frames: a head, for each table its name and its rows, and an end
//! with the SHA-256 of all frames before it. A frame is its length (four bytes, little endian) and itself in postcard.
//! A backup of one engine can be restored into the other. With a passphrase all of that is sealed, see [`age`].

mod age;
mod file;

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use secrecy::SecretString;

use file::{Frame, Frames, Head, Writer};
pub use file::{Summary, TableSum};

use super::{log::LogArgs, serve::runtime};
use crate::{
    app::{look_at_database, open_database},
    config::{Config, backup_passphrase},
    model::time::Millis,
    store::{
        Db,
        backup::{self, Cells, Column, Snapshot, Table},
    },
};

/// Rows that are handed to the database at once, …
const ROWS: usize = 256;

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// The file to write; `-` is standard output
    pub file: PathBuf,
    /// Encrypt it with the passphrase in this file; BACKUP_PASSPHRASE does the same always
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// Arguments of `restore`.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// A file that `backup` wrote
    pub file: PathBuf,
    /// The file with the passphrase, where the backup is encrypted and BACKUP_PASSPHRASE is not set
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Replace what the database holds; without it, only an empty database is filled
    #[arg(long)]
    pub replace: bool,
    /// Only read the file and check that it is whole
    #[arg(long, conflicts_with = "replace")]
    pub check: bool,
}

/// Writes a backup of the database of the settings.
pub fn run(args: &BackupArgs, log: LogArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let config = Config::from_environment()?;
    let passphrase = backup_passphrase(args.passphrase_file.as_deref())?;
    log.start(config.log);
    let what = if passphrase.is_some() { "written, encrypted" } else { "written" };
    runtime()?.block_on(async {
        // The backup before an upgrade must not be the upgrade.
        let db = look_at_database(&config.database).await?;
        let done = async {
            if args.file.as_os_str() == "-" {
                let summary = write(&db, &mut *out, passphrase.as_ref(), Millis::now()).await?;
                out.flush()?;
                eprintln!("{}", told(what, &summary));
            } else {
                let summary = write_file(&db, &args.file, passphrase.as_ref(), Millis::now()).await?;
                writeln!(out, "{}", told(what, &summary))?;
            }
            anyhow::Ok(())
        };
        let done = done.await;
        db.close().await;
        done
    })
}

/// Puts a backup into the database of the settings.
pub fn restore_run(args: &RestoreArgs, log: LogArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let passphrase = backup_passphrase(args.passphrase_file.as_deref())?;
    if args.check {
        let summary = check(&args.file, passphrase.as_ref())?;
        return Ok(writeln!(out, "{}", told("whole", &summary))?);
    }
    let config = Config::from_environment()?;
    log.start(config.log);
    let summary = runtime()?.block_on(async {
        let db = open_database(&config.database).await?;
        let done = restore(&db, &args.file, passphrase.as_ref(), args.replace).await;
        db.close().await;
        done
    })?;
    Ok(writeln!(out, "{}", told("restored", &summary))?)
}

fn told(what: &str, summary: &Summary) -> String {
    let rows: u64 = summary.tables.iter().map(|table| table.rows).sum();
    format!("{what}: {rows} rows of {} tables, schema step {}", summary.tables.len(), summary.schema)
}

/// Writes a backup to a file that appears only when it is whole, readable by its owner alone. With a passphrase, it is
/// encrypted.
pub async fn write_file(
    db: &Db,
    path: &Path,
    passphrase: Option<&SecretString>,
    now: Millis,
) -> anyhow::Result<Summary> {
    let mut name = path.file_name().context("the path names no file")?.to_owned();
    name.push(format!(".part-{}", std::process::id()));
    let part = path.with_file_name(name);
    let written = async {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
        let mut file = file.with_context(|| format!("cannot write {}", part.display()))?;
        let summary = write(db, BufWriter::new(&mut file), passphrase, now).await?;
        file.sync_all()?;
        std::fs::rename(&part, path).with_context(|| format!("cannot write {}", path.display()))?;
        anyhow::Ok(summary)
    };
    let written = written.await;
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// Writes the database as it is at this moment; it may be written to meanwhile.
pub async fn write(
    db: &Db,
    out: impl Write,
    passphrase: Option<&SecretString>,
    now: Millis,
) -> anyhow::Result<Summary> {
    let Some(passphrase) = passphrase else {
        return Ok(write_frames(db, out, now).await?.0);
    };
    let sealed = age::Sealed::begin(out, passphrase).context("the backup cannot be encrypted")?;
    let (summary, sealed) = write_frames(db, sealed, now).await?;
    sealed.end().context("the backup cannot be written")?;
    Ok(summary)
}

async fn write_frames<W: Write>(db: &Db, out: W, now: Millis) -> anyhow::Result<(Summary, W)> {
    let mut snapshot = Snapshot::begin(db).await?;
    // Who reads them later than the rows finds at most more of them, and then the rows tell that they are missing.
    let steps = db.steps().await?;
    let schema = steps.last().copied();
    let schema = schema.context("the database has no tables of this program: there is nothing to back up")?;
    let tables = backup::tables_of(&steps).await?;
    let head = Head {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        engine: db.engine().to_owned(),
        schema,
        at: now,
    };
    let mut writer = Writer::begin(out, head)?;
    for table in tables.iter().filter(|table| !table.derived) {
        writer.table(table)?;
        snapshot.read::<anyhow::Error>(table, &mut |cells| writer.row(cells)).await?;
    }
    snapshot.end().await?;
    writer.end()
}

/// Reads a backup to its end and checks that it is whole.
pub fn check(path: &Path, passphrase: Option<&SecretString>) -> anyhow::Result<Summary> {
    let mut frames = open(path, passphrase)?;
    while frames.read()?.is_some() {}
    frames.summary()
}

/// Opens a backup; whether it is encrypted, the file itself tells.
fn open(path: &Path, passphrase: Option<&SecretString>) -> anyhow::Result<Frames<Box<dyn Read>>> {
    let what = || path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut file = BufReader::new(file);
    let input: Box<dyn Read> = match age::is_sealed(file.fill_buf().with_context(what)?) {
        false => Box::new(file),
        true => {
            let passphrase = passphrase.with_context(|| {
                format!(
                    "{} is encrypted: name the file of its passphrase by --passphrase-file or \
                     BACKUP_PASSPHRASE_FILE. Nothing was changed",
                    path.display()
                )
            })?;
            let opened = age::Opened::begin(file, passphrase);
            Box::new(
                opened
                    .with_context(|| format!("{} cannot be opened; nothing was changed", path.display()))?,
            )
        }
    };
    Frames::open(input).with_context(what)
}

/// Puts a backup into a database, in one transaction: all of it or nothing. The file is checked before anything is
/// touched.
pub async fn restore(
    db: &Db,
    path: &Path,
    passphrase: Option<&SecretString>,
    replace: bool,
) -> anyhow::Result<Summary> {
    let whole = check(path, passphrase)?;
    let tables = backup::tables().await?;
    fits(&whole, &tables)?;
    let mut tx = db.begin().await?;
    if replace {
        backup::clear(&mut tx, &tables).await?;
    } else if let Some(table) = backup::occupied(&mut tx, &tables).await? {
        bail!(
            "the database is not empty (the table {} has rows). Nothing was changed; --replace puts the backup in the \
             place of what is there",
            table.name
        );
    }
    let mut frames = open(path, passphrase)?;
    let mut target: Option<(&Table, Vec<&Column>)> = None;
    while let Some(frame) = frames.read()? {
        match (frame, &target) {
            (Frame::Table { name, columns }, _) => target = Some(matched(&tables, &name, &columns)?),
            (Frame::Rows(_), Some((table, _))) if table.derived => {}
            (Frame::Rows(rows), Some((table, columns))) => insert(&mut tx, table, columns, rows).await?,
            _ => {}
        }
    }
    let read = frames.summary()?;
    if read != whole {
        bail!("{} changed while it was read; nothing was changed", path.display());
    }
    backup::complete(&mut tx).await?;
    tx.commit().await?;
    Ok(read)
}

async fn insert(
    tx: &mut crate::store::Tx,
    table: &Table,
    columns: &[&Column],
    rows: Vec<Cells>,
) -> anyhow::Result<()> {
    if rows.iter().any(|row| row.len() != columns.len()) {
        bail!("a row of the table {} has too many or too few values; nothing was changed", table.name);
    }
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let piece = rows.by_ref().take(ROWS).collect();
        backup::insert(tx, table, columns, piece)
            .await
            .with_context(|| format!("the table {} cannot be filled; nothing was changed", table.name))?;
    }
    Ok(())
}

/// Whether this version of the program can keep what the backup holds.
fn fits(backup: &Summary, tables: &[Table]) -> anyhow::Result<()> {
    if backup.schema > backup::schema() {
        bail!(
            "the backup was made by a newer version of this program ({}, schema step {}; this one has {}); upgrade the \
             program. Nothing was changed",
            backup.program,
            backup.schema,
            backup::schema()
        );
    }
    backup.tables.iter().try_for_each(|table| matched(tables, &table.name, &table.columns).map(drop))
}

fn matched<'t>(
    tables: &'t [Table],
    name: &str,
    columns: &[String],
) -> anyhow::Result<(&'t Table, Vec<&'t Column>)> {
    let table = tables.iter().find(|table| table.name == name);
    let table =
        table.with_context(|| format!("the backup has a table {name}, which this version does not know"))?;
    let column = |wished: &String| {
        let found = table.columns.iter().find(|column| column.name == *wished);
        found.with_context(|| {
            format!("the backup has a column {wished} of {name}, which this version does not know")
        })
    };
    if table.derived {
        return Ok((table, Vec::new()));
    }
    Ok((table, columns.iter().map(column).collect::<anyhow::Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::db::{Place, Value, sql};

    #[tokio::test]
    async fn what_an_older_version_made_from_other_tables_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("old");
        let tables = backup::tables().await.unwrap();
        let table = |name: &str| tables.iter().find(|table| table.name == name).unwrap().clone();
        let mut digest = table("report_digest");
        digest.columns.retain(|column| column.name != "last");
        let head = Head { program: "0.0.9".into(), engine: "SQLite".into(), schema: 13, at: Millis(0) };
        let mut writer = Writer::begin(File::create(&path).unwrap(), head).unwrap();
        for table in [digest, table("traffic_hour")] {
            writer.table(&table).unwrap();
            writer.row(table.columns.iter().map(|_| Value::Int(7)).collect()).unwrap();
        }
        writer.end().unwrap();
        let db = Db::open(&Place::Sqlite(dir.path().join("db"))).await.unwrap();
        restore(&db, &path, None, false).await.unwrap();
        for table in ["report_digest", "traffic_hour"] {
            let (rows,): (i64,) =
                db.fetch_one(sql(format!("SELECT COUNT(*) FROM {table}"))).await.unwrap().unwrap();
            assert_eq!(rows, 0, "{table}");
        }
    }
}
