//! All our tables in a form that both engines share: read at one moment, and written back as a whole.
//!
//! Which tables there are, an empty database in memory tells, so that nothing has to be listed twice. What stands for
//! people at work (sessions, login links) or for jobs at work (leases, runs, what is remembered) is left out: what was signed out since must not
//! come back, and no job may wait for one of the past.

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, MySql, Row, migrate::Migrator, pool::PoolConnection, sqlite::SqlitePoolOptions};

use super::{
    db::{self, Db, Error, Result, SQLITE_MIGRATIONS, Tx, Value, places, sql},
    gathered, traffic,
};

/// Tables that are not copied.
const PASSING: [&str; 7] =
    ["job_run", "lease", "list_stamp", "login_link", "mail_key_mark", "session", "sign_in"];
/// Tables whose rows are made from others: they are not copied, and empty after a restore.
const DERIVED: [&str; 7] = [
    "report_debut",
    "report_digest",
    "search_gram",
    "search_shape",
    "search_todo",
    "traffic_due",
    "traffic_hour",
];
/// Moments that are TIMESTAMP on MariaDB and Unix seconds on SQLite.
const MOMENTS: [(&str, &str); 2] = [("report", "mindate"), ("report", "maxdate")];

/// A table of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// Made from other tables: not copied. Backups of older versions hold its rows, in a form of their own.
    pub derived: bool,
}

/// A column of a table of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    kind: Kind,
    in_key: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Real,
    Text,
    Bytes,
}

/// A row: a value for each column.
pub type Cells = Vec<Value<'static>>;

/// The step of the schema that this program makes.
pub fn schema() -> i64 {
    db::schema().max().unwrap_or(0)
}

/// The tables that are copied, and those that are made from them.
pub async fn tables() -> Result<Vec<Table>> {
    tables_of(&db::schema().collect::<Vec<_>>()).await
}

/// The same in a database that has these steps of the schema.
pub async fn tables_of(steps: &[i64]) -> Result<Vec<Table>> {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    let made = SQLITE_MIGRATIONS.iter().filter(|step| steps.contains(&step.version));
    Migrator::with_migrations(made.cloned().collect())
        .run(&pool)
        .await
        .map_err(|error| Error::Broken(sqlx::Error::Migrate(Box::new(error))))?;
    let rows: Vec<(String, String, String, i64)> = sqlx::query_as(
        "SELECT t.name, c.name, c.type, c.pk FROM sqlite_master t JOIN pragma_table_info(t.name) c \
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite!_%' ESCAPE '!' AND t.name <> '_sqlx_migrations' \
         ORDER BY t.name, c.cid",
    )
    .fetch_all(&pool)
    .await?;
    pool.close().await;
    let mut tables: Vec<Table> = Vec::new();
    for (table, name, declared, key) in rows {
        if PASSING.contains(&table.as_str()) {
            continue;
        }
        if tables.last().is_none_or(|last| last.name != table) {
            let derived = DERIVED.contains(&table.as_str());
            tables.push(Table { name: table, columns: Vec::new(), derived });
        }
        let kind = match declared.as_str() {
            "INTEGER" => Kind::Int,
            "REAL" => Kind::Real,
            "TEXT" => Kind::Text,
            _ => Kind::Bytes,
        };
        if let Some(table) = tables.last_mut() {
            table.columns.push(Column { name, kind, in_key: key > 0 });
        }
    }
    Ok(tables)
}

/// The database as it is at one moment, whatever is written meanwhile.
pub enum Snapshot {
    /// SQLite: a reading transaction of the write-ahead log.
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    /// MariaDB or MySQL: a transaction with a consistent snapshot.
    Mysql(PoolConnection<MySql>),
}

impl Snapshot {
    /// Takes hold of the present state.
    pub async fn begin(db: &Db) -> Result<Self> {
        match db {
            Db::Sqlite { read, .. } => {
                let mut tx = read.begin().await?;
                // The moment of the first read counts.
                let _: i64 =
                    sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_master").fetch_one(&mut *tx).await?;
                Ok(Self::Sqlite(tx))
            }
            Db::Mysql { pool, .. } => {
                let mut connection = pool.acquire().await?;
                for statement in [
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
                ] {
                    sqlx::raw_sql(statement).execute(&mut *connection).await?;
                }
                Ok(Self::Mysql(connection))
            }
        }
    }

    /// Hands on each row of a table, in order of its key; few are in memory at once.
    pub async fn read<E: From<Error>>(
        &mut self,
        table: &Table,
        take: &mut dyn FnMut(Cells) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        match self {
            Self::Sqlite(tx) => {
                let text = select(table, |column| quoted(&column.name));
                let mut rows = sqlx::query(AssertSqlSafe(text)).fetch(&mut **tx);
                while let Some(row) = rows.try_next().await.map_err(Error::from)? {
                    take(cells(&row, table).map_err(Error::from)?)?;
                }
            }
            Self::Mysql(connection) => {
                let text = select(table, |column| mysql_reading(table, column));
                let mut rows = sqlx::query(AssertSqlSafe(text)).fetch(&mut **connection);
                while let Some(row) = rows.try_next().await.map_err(Error::from)? {
                    take(cells(&row, table).map_err(Error::from)?)?;
                }
            }
        }
        Ok(())
    }

    /// Lets go of it.
    pub async fn end(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await?,
            Self::Mysql(mut connection) => {
                sqlx::raw_sql("ROLLBACK").execute(&mut *connection).await?;
            }
        }
        Ok(())
    }
}

fn select(table: &Table, reading: impl Fn(&Column) -> String) -> String {
    let columns: Vec<String> = table.columns.iter().map(reading).collect();
    let key: Vec<String> =
        table.columns.iter().filter(|column| column.in_key).map(|column| quoted(&column.name)).collect();
    format!("SELECT {} FROM {} ORDER BY {}", columns.join(", "), quoted(&table.name), key.join(", "))
}

/// Backquotes serve both engines.
fn quoted(name: &str) -> String {
    format!("`{name}`")
}

fn mysql_reading(table: &Table, column: &Column) -> String {
    let name = quoted(&column.name);
    match column.kind {
        Kind::Int if is_moment(table, column) => format!("CAST(UNIX_TIMESTAMP({name}) AS SIGNED)"),
        Kind::Int => format!("CAST({name} AS SIGNED)"),
        _ => name,
    }
}

fn is_moment(table: &Table, column: &Column) -> bool {
    MOMENTS.contains(&(table.name.as_str(), column.name.as_str()))
}

fn cells<'r, R>(row: &'r R, table: &Table) -> std::result::Result<Cells, sqlx::Error>
where
    R: Row,
    usize: sqlx::ColumnIndex<R>,
    Option<i64>: sqlx::Decode<'r, R::Database>,
    Option<f64>: sqlx::Decode<'r, R::Database>,
    Option<String>: sqlx::Decode<'r, R::Database>,
    Option<Vec<u8>>: sqlx::Decode<'r, R::Database>,
{
    let cell = |(index, column): (usize, &Column)| {
        Ok(match column.kind {
            Kind::Int => row.try_get_unchecked::<Option<i64>, _>(index)?.into(),
            Kind::Real => row.try_get_unchecked::<Option<f64>, _>(index)?.into(),
            Kind::Text => row.try_get_unchecked::<Option<String>, _>(index)?.into(),
            Kind::Bytes => row.try_get_unchecked::<Option<Vec<u8>>, _>(index)?.into(),
        })
    };
    table.columns.iter().enumerate().map(cell).collect()
}

/// The first of these tables that holds anything.
pub async fn occupied<'t>(tx: &mut Tx, tables: &'t [Table]) -> Result<Option<&'t Table>> {
    for table in tables {
        let text = format!("SELECT 1 FROM {} LIMIT 1", quoted(&table.name));
        if tx.fetch_one::<(i64,)>(sql(text)).await?.is_some() {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

/// Empties all our tables, also those that are not copied: whoever is signed in signs in anew.
pub async fn clear(tx: &mut Tx, tables: &[Table]) -> Result<()> {
    for name in tables.iter().map(|table| table.name.as_str()).chain(PASSING) {
        tx.execute(sql(format!("DELETE FROM {}", quoted(name)))).await?;
    }
    Ok(())
}

/// To be called when all rows are in: what is made from them is made anew.
pub async fn complete(tx: &mut Tx) -> Result<()> {
    tx.touch_lists();
    gathered::mark_anew(tx).await?;
    traffic::count_anew(tx).await
}

/// Inserts rows with values for these columns of the table.
pub async fn insert(tx: &mut Tx, table: &Table, columns: &[&Column], rows: Vec<Cells>) -> Result<()> {
    let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
    let head = format!("INSERT INTO {} ({}) VALUES ", quoted(&table.name), names.join(", "));
    let mysql = tx.is_mysql();
    let place = |column: &&Column| match mysql && is_moment(table, column) {
        true => "FROM_UNIXTIME(?)".to_owned(),
        false => places(1),
    };
    let one_row = format!("({})", columns.iter().map(place).collect::<Vec<_>>().join(", "));
    let mut left = rows.len();
    let mut rows = rows.into_iter();
    while left > 0 {
        // Powers of two, so that few forms of the statement exist.
        let count = 1 << left.ilog2();
        left -= count;
        let text = head.clone() + &vec![one_row.as_str(); count].join(",");
        tx.execute(sql(text).bind_all(rows.by_ref().take(count).flatten())).await?;
    }
    Ok(())
}
