//! The log lines themselves: compressed chunks in order of arrival, kept for a few weeks.

use std::{
    io::{Read, Write},
    sync::Arc,
};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};

use super::{
    db::{Db, Error, Result, Tx, Value, sql},
    pack::Apart,
};
use crate::model::{
    event::{Fact, LogLine, Parsed},
    mail::{ServerId, VisibleMail},
    scope::{Scope, Sight, normalise_address},
    time::Millis,
};

/// Lines of one chunk: small enough to be read for one mail, large enough to compress well.
const CHUNK: usize = 1000;
/// No chunk holds more than this many bytes.
const CHUNK_BYTES: u64 = 64 << 20;

/// A log line as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawLine {
    /// When it was logged.
    pub at: Millis,
    /// syslog program.
    pub program: String,
    /// The message.
    pub text: String,
}

/// The lines of one mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// The lines that the visitor may see, oldest first.
    pub lines: Vec<RawLine>,
    /// True when lines of this mail have passed their retention.
    pub gone: bool,
}

/// Appends lines, oldest first.
pub async fn append(tx: &mut Tx, server: ServerId, source: &str, lines: &[LogLine<'_>]) -> Result<()> {
    for lines in lines.chunks(CHUNK) {
        Chunk::of(lines).append(tx, server, source).await?;
    }
    Ok(())
}

/// Lines while another core packs them.
pub struct Packing(Apart<Vec<Chunk>>);

/// Begins to pack those `lines` of a log that are picked of it, oldest first.
pub fn begin_packing<T: Send + Sync + 'static>(
    log: Arc<T>,
    lines: impl FnOnce(&T) -> Vec<LogLine<'_>> + Send + 'static,
) -> Packing {
    Packing(Apart::begin(move || lines(&log).chunks(CHUNK).map(Chunk::of).collect()))
}

/// Appends lines that were packed meanwhile.
pub async fn append_packed(tx: &mut Tx, server: ServerId, source: &str, packing: Packing) -> Result<()> {
    for chunk in packing.0.end().await? {
        chunk.append(tx, server, source).await?;
    }
    Ok(())
}

struct Chunk {
    first: Millis,
    last: Millis,
    count: usize,
    data: Vec<u8>,
}

impl Chunk {
    fn of(lines: &[LogLine<'_>]) -> Self {
        Self {
            first: lines.iter().map(|line| line.at).min().unwrap_or_default(),
            last: lines.iter().map(|line| line.at).max().unwrap_or_default(),
            count: lines.len(),
            data: pack(lines),
        }
    }

    async fn append(self, tx: &mut Tx, server: ServerId, source: &str) -> Result<()> {
        let columns = ["server", "source", "first_at", "last_at", "line_count", "data"];
        let row = [
            Value::Int(server.0.into()),
            source.to_owned().into(),
            self.first.into(),
            self.last.into(),
            Value::Int(i64::try_from(self.count).unwrap_or(i64::MAX)),
            self.data.into(),
        ];
        // One statement a chunk: they are large.
        tx.insert("line_chunk", columns, row).await
    }
}

fn pack(lines: &[LogLine<'_>]) -> Vec<u8> {
    // Packed in one go: the packer clears its whole output buffer at each write.
    let mut plain = Vec::with_capacity(lines.iter().map(|line| line.text.len() + 48).sum());
    for line in lines {
        // Writing into memory cannot fail. A line has no line break: syslog ends it there.
        let _ = write!(plain, "{}\t{}\t", line.at.0, line.program);
        plain.extend(line.text.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte }));
        plain.push(b'\n');
    }
    let mut packer = ZlibEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::new(1));
    let _ = packer.write_all(&plain);
    packer.finish().unwrap_or_default()
}

fn unpack(data: &[u8]) -> Result<String> {
    let mut text = String::new();
    let mut reader = ZlibDecoder::new(data).take(CHUNK_BYTES);
    reader.read_to_string(&mut text).map_err(|_| Error::Damaged("log lines that cannot be unpacked"))?;
    Ok(text)
}

fn unpack_line(line: &str) -> Option<RawLine> {
    let mut parts = line.splitn(3, '\t');
    let at = Millis(parts.next()?.parse().ok()?);
    Some(RawLine { at, program: parts.next()?.to_owned(), text: parts.next()?.to_owned() })
}

/// The lines of a mail that its visitor may see. `parse` is `parse::postfix::parse`, handed in because rooms of
/// one level do not know each other.
pub async fn of_mail(
    db: &Db,
    scope: &Scope,
    mail: &VisibleMail,
    parse: impl for<'a> Fn(&'a str, &'a str) -> Parsed<'a>,
) -> Result<Lines> {
    let Some(queue_id) = mail.queue_id.as_deref() else {
        return refused_attempt(db, mail, parse).await;
    };
    let mut moments: Vec<Millis> = mail.steps.iter().map(|step| step.at).chain([mail.first_seen]).collect();
    moments.dedup_by_key(|at| at.secs());
    let mut lines = Vec::new();
    for text in chunks_at(db, mail, &moments).await? {
        for line in text.lines().filter(|line| line.contains(queue_id)) {
            let Some(mut line) = unpack_line(line) else { continue };
            if line.at < mail.first_seen || line.at > mail.last_seen {
                continue;
            }
            if line.text.split_once(':').is_none_or(|(own, _)| own != queue_id) {
                continue;
            }
            match visible(scope, mail, parse(&line.program, &line.text)) {
                Sees::Whole => lines.push(line),
                Sees::WithoutCount => {
                    line.text = without_count(&line.text);
                    lines.push(line);
                }
                Sees::Nothing => {}
            }
        }
    }
    lines.sort_by_key(|line| line.at);
    let gone = lines.is_empty() || lines.first().is_some_and(|line| line.at > mail.first_seen);
    Ok(Lines { lines, gone })
}

/// The line of an attempt that got no queue id. A client may try several recipients within a second, one line each:
/// only the one that names the visible recipient is this mail's.
async fn refused_attempt(
    db: &Db,
    mail: &VisibleMail,
    parse: impl for<'a> Fn(&'a str, &'a str) -> Parsed<'a>,
) -> Result<Lines> {
    let mut lines = Vec::new();
    for text in chunks_at(db, mail, &[mail.first_seen]).await? {
        for line in text.lines().filter_map(unpack_line).filter(|line| line.at == mail.first_seen) {
            let Parsed::Refused(refusal) = parse(&line.program, &line.text) else { continue };
            let same = mail.refusal.as_ref().is_some_and(|own| own.reply == refusal.reply)
                && mail.sender.as_deref() == refusal.from
                && mail.client_ip.as_deref().unwrap_or_default() == refusal.ip
                && match refusal.to {
                    Some(to) => mail.recipients.iter().any(|row| row.address == to),
                    None => mail.recipients.is_empty(),
                };
            if same && lines.is_empty() {
                lines.push(line);
            }
        }
    }
    Ok(Lines { gone: lines.is_empty(), lines })
}

/// The chunks that hold these moments, unpacked, each once.
async fn chunks_at(db: &Db, mail: &VisibleMail, moments: &[Millis]) -> Result<Vec<String>> {
    let mut seen = std::collections::BTreeMap::new();
    for at in moments.iter().take(64) {
        let rows: Vec<(i64, Vec<u8>)> = db
            .fetch(
                sql("SELECT id, data FROM line_chunk WHERE last_at >= ? AND first_at <= ? AND server = ? \
                     ORDER BY last_at LIMIT 6")
                .bind(*at)
                .bind(*at)
                .bind(mail.server.0),
            )
            .await?;
        seen.extend(rows);
    }
    seen.values().map(|data| unpack(data)).collect()
}

enum Sees {
    Whole,
    WithoutCount,
    Nothing,
}

/// Which lines tell a recipient among several nothing about the others. Unknown kinds stay hidden.
fn visible(scope: &Scope, mail: &VisibleMail, parsed: Parsed) -> Sees {
    if *scope == Scope::All || mail.sight() != Sight::Recipients {
        return Sees::Whole;
    }
    let Parsed::Mail { fact, .. } = parsed else { return Sees::Nothing };
    let own = |address: &str| {
        let address = normalise_address(address);
        mail.recipients.iter().any(|row| normalise_address(&row.address) == address)
    };
    // One address may stand on the envelope twice, once by an alias that is not the visitor's.
    let own_row = |to: &str, orig_to: Option<&str>| {
        mail.recipients.iter().any(|row| row.address == to && row.orig_to.as_deref() == orig_to)
    };
    match fact {
        Fact::Client(_) | Fact::Pickup { .. } | Fact::MessageId(_) | Fact::Parent { .. } => Sees::Whole,
        Fact::Attempt(attempt) if own_row(attempt.to, attempt.orig_to) => Sees::Whole,
        Fact::Refused(refusal) if refusal.to.is_some_and(own) => Sees::Whole,
        Fact::Queued { .. } => Sees::WithoutCount,
        _ => Sees::Nothing,
    }
}

/// `nrcpt=3` tells how many others there are.
fn without_count(text: &str) -> String {
    match text.rsplit_once(", nrcpt=") {
        Some((head, tail)) => {
            let rest = tail.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{head}{}", rest)
        }
        None => String::new(),
    }
}

/// Forgets lines older than `before`, a bounded number of chunks at a time; true when there may be more.
pub async fn prune(tx: &mut Tx, before: Millis) -> Result<bool> {
    let rows: Vec<(i64,)> = tx
        .fetch(sql("SELECT id FROM line_chunk WHERE last_at < ? ORDER BY last_at LIMIT 500").bind(before))
        .await?;
    let ids: Vec<i64> = rows.iter().map(|(id,)| *id).collect();
    if !ids.is_empty() {
        let text = format!("DELETE FROM line_chunk WHERE id IN ({})", super::db::places(ids.len()));
        tx.execute(sql(text).bind_all(ids.iter().copied())).await?;
    }
    Ok(ids.len() == 500)
}

/// The next chunk of a log behind the chunk `after` that reaches beyond `from`, with its number; for workers only:
/// a scope that does not see everything sees nothing of it.
pub async fn next_chunk(
    db: &Db,
    scope: &Scope,
    server: ServerId,
    source: &str,
    after: i64,
    from: Millis,
) -> Result<Option<(i64, Vec<RawLine>)>> {
    if *scope != Scope::All {
        return Ok(None);
    }
    let text = "SELECT id, data FROM line_chunk WHERE last_at >= ? AND id > ? AND server = ? AND source = ? \
         ORDER BY id LIMIT 1";
    let statement = sql(text).bind(from).bind(after).bind(server.0).bind(source);
    let Some((id, data)): Option<(i64, Vec<u8>)> = db.fetch_one(statement).await? else { return Ok(None) };
    let lines = unpack(&data)?.lines().filter_map(unpack_line).filter(|line| line.at >= from).collect();
    Ok(Some((id, lines)))
}
