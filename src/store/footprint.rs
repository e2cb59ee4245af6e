//! How much the database holds: size and rows by table, and how far back each kind of data goes. Nothing is counted:
//! MariaDB keeps figures of its own, and of SQLite's trees a few pages are looked at, whatever their size.

use std::collections::HashMap;

use super::db::{Db, Result, sql};
use crate::model::{mail::MailId, time::Millis};

/// Pages of a tree that are looked at. A tree of fewer pages is known exactly.
const PAGES: usize = 64;

/// What the database holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footprint {
    /// The engine's own version.
    pub version: String,
    /// Bytes of the whole database.
    pub bytes: u64,
    /// Bytes of them that are empty and will be filled before it grows.
    pub free: u64,
    /// The tables, the largest one first.
    pub tables: Vec<Table>,
}

/// A table with its indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// Whether rows and bytes are exact; else they are estimates.
    pub exact: bool,
}

/// How far back each kind of data goes; `None` where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Oldest {
    /// Mails and their stories.
    pub mails: Option<Millis>,
    /// Raw log lines.
    pub lines: Option<Millis>,
    /// DMARC reports.
    pub reports: Option<Millis>,
    /// TLS reports.
    pub tls_reports: Option<Millis>,
    /// Opens.
    pub opens: Option<Millis>,
    /// Changes of metrics, roll-ups of five minutes, of an hour.
    pub samples: [Option<Millis>; 3],
    /// What people did.
    pub audit: Option<Millis>,
}

/// What the database holds. For admins.
pub async fn measure(db: &Db) -> Result<Footprint> {
    let mut found = match db {
        Db::Sqlite { .. } => sqlite(db).await?,
        Db::Mysql { .. } => mysql(db).await?,
    };
    found.tables.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    Ok(found)
}

/// The begin of each kind of data: the first entry of an index each, all in one statement.
pub async fn oldest(db: &Db) -> Result<Oldest> {
    let Some(first) = db.fetch_one::<Firsts>(sql(FIRSTS)).await? else { return Ok(Oldest::default()) };
    Ok(Oldest {
        mails: first.mails.map(|id| MailId(id).second()),
        lines: first.line_chunks.map(Millis),
        reports: first.reports.map(Millis),
        tls_reports: first.tls_reports.map(Millis),
        opens: first.opens.map(Millis),
        samples: [first.raw, first.minutes, first.hours].map(|from| from.map(Millis)),
        audit: first.audit.map(Millis),
    })
}

/// One value a column: the rows of a UNION have no order.
#[derive(Debug, sqlx::FromRow)]
struct Firsts {
    mails: Option<i64>,
    line_chunks: Option<i64>,
    reports: Option<i64>,
    tls_reports: Option<i64>,
    opens: Option<i64>,
    audit: Option<i64>,
    raw: Option<i64>,
    minutes: Option<i64>,
    hours: Option<i64>,
}

const FIRSTS: &str = "SELECT (SELECT MIN(id) FROM mail_story) AS mails, (SELECT MIN(last_at) FROM line_chunk) AS line_chunks, \
    (SELECT MIN(begin_at) FROM report_line) AS reports, (SELECT MIN(begin_at) FROM tls_report) AS tls_reports, \
    (SELECT MIN(at) FROM opened) AS opens, (SELECT MIN(at) FROM audit) AS audit, \
    (SELECT kept_from FROM sample_rolled WHERE step = 0) AS raw, \
    (SELECT kept_from FROM sample_rolled WHERE step = 300) AS minutes, \
    (SELECT kept_from FROM sample_rolled WHERE step = 3600) AS hours";

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

async fn mysql(db: &Db) -> Result<Footprint> {
    type Found = (String, String, i64, i64, i64);
    let rows: Vec<Found> = db
        .fetch(sql("SELECT CAST(VERSION() AS CHAR), CAST(TABLE_NAME AS CHAR), \
             CAST(COALESCE(TABLE_ROWS, 0) AS SIGNED), \
             CAST(COALESCE(DATA_LENGTH, 0) + COALESCE(INDEX_LENGTH, 0) AS SIGNED), \
             CAST(COALESCE(DATA_FREE, 0) AS SIGNED) \
             FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE'"))
        .await?;
    let version = rows.first().map(|row| row.0.clone()).unwrap_or_default();
    let free = rows.iter().map(|row| unsigned(row.4)).sum();
    let table = |(_, name, rows, bytes, _): Found| Table {
        name,
        rows: unsigned(rows),
        bytes: unsigned(bytes),
        exact: false,
    };
    let tables: Vec<Table> = rows.into_iter().map(table).collect();
    let bytes = tables.iter().map(|table| table.bytes).sum();
    Ok(Footprint { version, bytes, free, tables })
}

async fn sqlite(db: &Db) -> Result<Footprint> {
    let whole = "SELECT sqlite_version(), c.page_count, s.page_size, f.freelist_count \
                 FROM pragma_page_count c, pragma_page_size s, pragma_freelist_count f";
    let whole: Option<(String, i64, i64, i64)> = db.fetch_one(sql(whole)).await?;
    let (version, pages, page, free) = whole.unwrap_or_default();
    // In a table without rowids, rows lie in the inner pages, too.
    let trees = "SELECT m.tbl_name, m.name, m.type = 'table', COALESCE(l.wr, 0) FROM sqlite_schema m \
                 LEFT JOIN pragma_table_list l ON l.name = m.name AND l.schema = 'main' \
                 WHERE m.rootpage > 0 AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY m.tbl_name, m.type DESC";
    let trees: Vec<(String, String, bool, bool)> = db.fetch(sql(trees)).await?;
    let seen = first_pages(db, trees.iter().map(|(_, tree, ..)| tree.as_str()).collect()).await?;
    let mut tables: Vec<Table> = Vec::new();
    for (table, tree, is_table, without_rowid) in trees {
        let size = estimate(seen.get(&tree).map(Vec::as_slice).unwrap_or_default(), without_rowid);
        if tables.last().is_none_or(|last| last.name != table) {
            tables.push(Table { name: table, rows: 0, bytes: 0, exact: true });
        }
        let Some(last) = tables.last_mut() else { continue };
        last.rows += if is_table { size.rows } else { 0 };
        last.bytes += size.pages * unsigned(page);
        last.exact &= size.exact;
    }
    Ok(Footprint { version, bytes: unsigned(pages * page), free: unsigned(free * page), tables })
}

/// The first pages of each tree, by its name. SQLite joins 500 selections at most; there are not nearly that many trees.
async fn first_pages(db: &Db, trees: Vec<&str>) -> Result<HashMap<String, Vec<PageSeen>>> {
    let one = format!(
        "SELECT * FROM (SELECT name, path, pagetype, ncell FROM dbstat WHERE name = ? LIMIT {PAGES})"
    );
    let mut seen: HashMap<String, Vec<PageSeen>> = HashMap::new();
    for trees in trees.chunks(400) {
        let text = vec![one.as_str(); trees.len()].join(" UNION ALL ");
        for page in db.fetch::<PageSeen>(sql(text).bind_all(trees.iter().copied())).await? {
            seen.entry(page.name.clone()).or_default().push(page);
        }
    }
    Ok(seen)
}

/// A page of a tree: `path` is `/` for the root, `/000/` for its first child, `/000/000/` for the first child of that,
/// and `/000/000+000000` for the first page that a long entry flows over to. `cells`: its entries.
#[derive(Debug, Clone, sqlx::FromRow)]
struct PageSeen {
    name: String,
    path: String,
    pagetype: String,
    #[sqlx(rename = "ncell")]
    cells: i64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Size {
    rows: u64,
    pages: u64,
    exact: bool,
}

/// The size of a tree by its first pages, from the root down. All leaves lie equally deep, so the means of children,
/// of entries and of overflowing pages tell the rest.
fn estimate(seen: &[PageSeen], rows_inside: bool) -> Size {
    let of = |kind: &'static str| seen.iter().filter(move |page| page.pagetype == kind);
    let level = |page: &PageSeen| page.path.matches('/').count().saturating_sub(1);
    let sum = |kind| of(kind).map(|page| page.cells).sum::<i64>();
    if seen.len() < PAGES {
        let rows = sum("leaf") + if rows_inside { sum("internal") } else { 0 };
        return Size { rows: unsigned(rows), pages: seen.len() as u64, exact: true };
    }
    let leaves = of("leaf").count().max(1) as f64;
    let depth = of("leaf").map(level).max().unwrap_or_default();
    let (mut on_level, mut pages, mut inside) = (1.0, 0.0, 0.0);
    for at in 0..depth {
        let inner: Vec<f64> =
            of("internal").filter(|page| level(page) == at).map(|page| page.cells as f64).collect();
        let mean = inner.iter().sum::<f64>() / (inner.len().max(1) as f64);
        pages += on_level;
        inside += on_level * mean;
        on_level *= mean + 1.0;
    }
    let rows = on_level * sum("leaf") as f64 / leaves + if rows_inside { inside } else { 0.0 };
    pages += on_level * (1.0 + of("overflow").count() as f64 / leaves);
    Size { rows: rows.round() as u64, pages: pages.round() as u64, exact: false }
}

#[cfg(test)]
mod tests;
