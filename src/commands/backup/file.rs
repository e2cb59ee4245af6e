//! The file of a backup: frames within zstd, with a sum at the end.

use std::io::{Read, Write};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    model::time::Millis,
    store::{
        backup::{Cells, Table},
        db::Value,
    },
};

/// The first bytes of each backup: what it is, and the number of its form.
const MAGIC: &[u8] = b"mailcow-status backup 1\n";
/// A frame of rows ends with the row that brings it here.
const FRAME: usize = 1 << 20;
/// Rows of a frame at most.
const ROWS: usize = 256;
/// No frame is longer: one row may hold the largest value of the database.
const LONGEST: usize = 128 << 20;
const LEVEL: i32 = 3;
const DAMAGED: &str = "the backup is damaged or was cut; nothing was changed";

/// What comes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Version of the program that wrote it.
    pub program: String,
    /// The engine that it was read from.
    pub engine: String,
    /// The step of the schema.
    pub schema: i64,
    /// When.
    pub at: Millis,
}

/// A part of a backup.
#[derive(Debug, Serialize, Deserialize)]
pub enum Frame {
    /// The first frame.
    Head(Head),
    /// The rows that follow are of this table.
    Table {
        /// Its name.
        name: String,
        /// The columns of its rows.
        columns: Vec<String>,
    },
    /// Some rows.
    Rows(Vec<Cells>),
    /// The last frame: SHA-256 of all frames before it.
    End([u8; 32]),
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Version of the program that wrote it.
    pub program: String,
    /// The step of the schema.
    pub schema: i64,
    /// Its tables.
    pub tables: Vec<TableSum>,
}

/// What a backup holds of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSum {
    /// Its name.
    pub name: String,
    /// The columns of its rows.
    pub columns: Vec<String>,
    /// How many rows.
    pub rows: u64,
    /// SHA-256 of its rows: equal where two backups hold the same.
    pub sum: [u8; 32],
}

/// Sums up frames as they pass.
struct Count {
    whole: Sha256,
    of_table: Sha256,
    head: Option<Head>,
    tables: Vec<TableSum>,
}

impl Count {
    fn new() -> Self {
        Self { whole: Sha256::new(), of_table: Sha256::new(), head: None, tables: Vec::new() }
    }

    fn pass(&mut self, frame: &Frame, bytes: &[u8]) {
        match frame {
            Frame::Head(head) => self.head = Some(head.clone()),
            Frame::Table { name, columns } => {
                self.of_table = Sha256::new();
                self.tables.push(TableSum {
                    name: name.clone(),
                    columns: columns.clone(),
                    rows: 0,
                    sum: [0; 32],
                });
            }
            Frame::Rows(rows) => {
                self.of_table.update(bytes);
                if let Some(table) = self.tables.last_mut() {
                    table.rows += rows.len() as u64;
                    table.sum = self.of_table.clone().finalize().into();
                }
            }
            Frame::End(_) => return,
        }
        self.whole.update(bytes);
    }

    fn sum(&self) -> [u8; 32] {
        self.whole.clone().finalize().into()
    }

    fn summary(self) -> Option<Summary> {
        let head = self.head?;
        Some(Summary { program: head.program, schema: head.schema, tables: self.tables })
    }
}

/// Writes a backup.
pub struct Writer<W: Write> {
    out: zstd::Encoder<'static, W>,
    count: Count,
    rows: Vec<Cells>,
    size: usize,
}

impl<W: Write> Writer<W> {
    /// Begins with the head.
    pub fn begin(mut out: W, head: Head) -> anyhow::Result<Self> {
        out.write_all(MAGIC)?;
        let out = zstd::Encoder::new(out, LEVEL)?;
        let mut writer = Self { out, count: Count::new(), rows: Vec::new(), size: 0 };
        writer.put(Frame::Head(head))?;
        Ok(writer)
    }

    /// The rows that follow are of this table.
    pub fn table(&mut self, table: &Table) -> anyhow::Result<()> {
        self.flush()?;
        let columns = table.columns.iter().map(|column| column.name.clone()).collect();
        self.put(Frame::Table { name: table.name.clone(), columns })
    }

    /// Takes a row.
    pub fn row(&mut self, cells: Cells) -> anyhow::Result<()> {
        self.size += cells.iter().map(size).sum::<usize>();
        self.rows.push(cells);
        if self.size >= FRAME || self.rows.len() >= ROWS { self.flush() } else { Ok(()) }
    }

    /// Writes the end, and hands back what was written to.
    pub fn end(mut self) -> anyhow::Result<(Summary, W)> {
        self.flush()?;
        let sum = self.count.sum();
        self.put(Frame::End(sum))?;
        let mut out = self.out.finish()?;
        out.flush()?;
        Ok((self.count.summary().context("a backup without a head")?, out))
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.size = 0;
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.rows);
        self.put(Frame::Rows(rows))
    }

    fn put(&mut self, frame: Frame) -> anyhow::Result<()> {
        let bytes = postcard::to_stdvec(&frame)?;
        let length = u32::try_from(bytes.len()).context("a row is too large for a backup")?;
        self.out.write_all(&length.to_le_bytes()).context("the backup cannot be written")?;
        self.out.write_all(&bytes).context("the backup cannot be written")?;
        self.count.pass(&frame, &bytes);
        Ok(())
    }
}

fn size(value: &Value<'_>) -> usize {
    match value {
        Value::Text(text) => text.len() + 8,
        Value::Bytes(bytes) => bytes.len() + 8,
        _ => 8,
    }
}

/// Reads a backup.
pub struct Frames<R: Read> {
    input: zstd::Decoder<'static, std::io::BufReader<R>>,
    count: Count,
    ended: bool,
}

impl<R: Read> Frames<R> {
    /// Reads the begin.
    pub fn open(mut input: R) -> anyhow::Result<Self> {
        let mut magic = Vec::new();
        input.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic).context(DAMAGED)?;
        if magic != MAGIC {
            bail!("this is no backup of this program, or one of a form that it does not know");
        }
        Ok(Self { input: zstd::Decoder::new(input)?, count: Count::new(), ended: false })
    }

    /// The next frame; `None` behind a sound end. A file that was cut or changed is an error.
    pub fn read(&mut self) -> anyhow::Result<Option<Frame>> {
        if self.ended {
            return Ok(None);
        }
        let mut length = [0; 4];
        self.input.read_exact(&mut length).context(DAMAGED)?;
        let length = usize::try_from(u32::from_le_bytes(length))?;
        if length > LONGEST {
            bail!(DAMAGED);
        }
        let mut bytes = Vec::new();
        self.input.by_ref().take(length as u64).read_to_end(&mut bytes).context(DAMAGED)?;
        if bytes.len() != length {
            bail!(DAMAGED);
        }
        let frame: Frame = postcard::from_bytes(&bytes).context(DAMAGED)?;
        let is_head = matches!(frame, Frame::Head(_));
        if is_head != self.count.head.is_none() {
            bail!(DAMAGED);
        }
        if let Frame::End(sum) = &frame {
            if *sum != self.count.sum() {
                bail!("the checksum of the backup is wrong: it is damaged; nothing was changed");
            }
            // What an encrypted file ends with is looked at, too.
            if self.input.read(&mut [0]).context(DAMAGED)? > 0 {
                bail!(DAMAGED);
            }
            self.ended = true;
            return Ok(None);
        }
        self.count.pass(&frame, &bytes);
        Ok(Some(frame))
    }

    /// What was read, once all is.
    pub fn summary(self) -> anyhow::Result<Summary> {
        if !self.ended {
            bail!("the backup was not read to its end");
        }
        self.count.summary().context("a backup without a head")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head { program: "1".into(), engine: "SQLite".into(), schema: 7, at: Millis(5) }
    }

    fn written() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::begin(&mut bytes, head()).unwrap();
        writer.put(Frame::Table { name: "t".into(), columns: vec!["a".into(), "b".into()] }).unwrap();
        for number in 0..1000_i64 {
            writer.row(vec![number.into(), Value::Text(format!("row {number}").into())]).unwrap();
        }
        let (summary, _) = writer.end().unwrap();
        assert_eq!((summary.tables[0].rows, summary.schema), (1000, 7));
        bytes
    }

    fn read(bytes: &[u8]) -> anyhow::Result<Summary> {
        let mut frames = Frames::open(bytes)?;
        while frames.read()?.is_some() {}
        frames.summary()
    }

    #[test]
    fn what_was_written_is_read_and_equal_rows_have_equal_sums() {
        let (first, second) = (read(&written()).unwrap(), read(&written()).unwrap());
        assert_eq!(first, second);
        assert_eq!(first.tables[0].rows, 1000);
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let whole = written();
        for cut in [0, 5, MAGIC.len(), whole.len() / 2, whole.len() - 1] {
            assert!(read(&whole[..cut]).is_err(), "cut at {cut}");
        }
        assert!(read(&[&whole[..], b"more"].concat()).is_err());
        for at in (0..whole.len()).step_by(97) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x20;
            let outcome = read(&bytes);
            // zstd carries bits that mean nothing; then all is as it was.
            assert!(outcome.is_err() || outcome.unwrap() == read(&whole).unwrap(), "byte {at}");
        }
    }
}
