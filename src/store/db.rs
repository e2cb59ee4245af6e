//! The two engines behind one face: SQLite and MariaDB/MySQL.
//!
//! A statement is one text for both, with `?` for values. Reads take [`Db`], writes take [`Tx`]. SQLite gets
//! two pools, many readers and one writer that begins immediately; what differs elsewhere is in the
//! migration folders.

use std::{
    borrow::Cow,
    fmt::Write,
    fs::OpenOptions,
    num::NonZeroU16,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, FromRow, MySqlPool, SqlitePool,
    migrate::Migrator,
    mysql::{MySqlConnectOptions, MySqlDatabaseError, MySqlPoolOptions, MySqlRow},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::answers::Answers;
use crate::model::{mail::MailId, time::Millis};

pub(super) static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
pub(super) static MYSQL_MIGRATIONS: Migrator = sqlx::migrate!("migrations/mysql");

/// The steps of the schema that this program makes; the same for both engines.
pub fn schema() -> impl Iterator<Item = i64> {
    SQLITE_MIGRATIONS.iter().map(|step| step.version)
}

/// Rows in one statement. Rows go in powers of two, so that few forms of a statement exist and all stay prepared: to
/// prepare one anew means to close another, and over TCP each such pair of small packets waits for a delayed
/// acknowledgement of 40 ms, because the driver leaves Nagle's algorithm on.
const ROWS_PER_STATEMENT: usize = 256;
/// Statements with more values than this are not kept prepared.
const VALUES_KEPT: usize = 2048;
/// Where a statement with values written out ends: far below the largest packet of any server.
const STATEMENT_BYTES: usize = 64 << 10;
/// MariaDB gets rows and long lists with their values written out: to prepare a statement it describes each of its places in a
/// packet of its own, which costs more than to read the values. Larger values are bound, as writing them out would double them.
const LARGE: usize = 16 << 10;

/// How many values one IN list takes at most; a power of two, see [`Tx::fetch_in`].
pub(super) const LIST: usize = 1024;

/// Rows that SQLite's thread reads before they are taken: it need not wait for who takes them.
const ROWS_AHEAD: usize = 1024;

/// Pages of SQLite's log after which it goes into the database (16 MB): the keys of a few hundred mails lie on more than a thousand
/// pages, which is its usual limit, and each poll would write them twice.
const CHECKPOINT: &str = "4000";

/// A connection that was used a moment ago is taken to be alive; else the server is asked.
const FRESH: Duration = Duration::from_secs(1);

/// Statements of one transaction that may be on their way: bounds memory.
const AHEAD: usize = 4;

/// Where the data are kept.
#[derive(Clone)]
pub enum Place {
    /// A SQLite file, made when missing, for its owner only.
    Sqlite(PathBuf),
    /// A MariaDB or MySQL database.
    Mysql(Box<MySqlConnectOptions>),
}

impl Place {
    /// A `mysql://user:password@host:port/database` address.
    pub fn mysql_url(url: &str) -> Result<Self> {
        Ok(Self::Mysql(Box::new(MySqlConnectOptions::from_str(url).map_err(Error::from)?)))
    }

    /// A database by its parts, so that a password needs no escaping.
    pub fn mysql(address: Address<'_>, user: &str, password: &str, database: &str) -> Self {
        let options = MySqlConnectOptions::new().username(user).password(password).database(database);
        Self::Mysql(Box::new(match address {
            Address::Tcp(host, port) => options.host(host).port(port),
            Address::Socket(path) => options.socket(path),
        }))
    }
}

/// Where a MariaDB or MySQL server listens.
#[derive(Debug, Clone, Copy)]
pub enum Address<'a> {
    /// Host and port.
    Tcp(&'a str, u16),
    /// A Unix socket.
    Socket(&'a std::path::Path),
}

/// Why the database could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A row with this key exists already, or a rule of the schema forbids the row.
    #[error("the row conflicts with one that exists")]
    Conflict(#[source] sqlx::Error),
    /// The database is busy or away; later may be better.
    #[error("the database is busy or cannot be reached: {0}")]
    Busy(#[source] sqlx::Error),
    /// The schema was made by a newer version of this program.
    #[error(
        "the database was made by a newer version of this program (its schema has step {0}); upgrade the program"
    )]
    NewerSchema(i64),
    /// Anything else: a defect of ours, a damaged file, missing rights.
    #[error("the database failed: {0}")]
    Broken(#[source] sqlx::Error),
    /// A stored value is packed with a dictionary that this process has not met, and that the database does not have.
    #[error("a stored value is packed with dictionary {0}, which the database does not have")]
    Unmet(NonZeroU16),
    /// A stored value cannot be read back.
    #[error("a stored value is damaged: {0}")]
    Damaged(&'static str),
}

impl Error {
    /// Whether the same may go well later, without anybody doing something about it.
    pub const fn is_busy(&self) -> bool {
        matches!(self, Self::Busy(_))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(inner)
                if inner.is_unique_violation()
                    || inner.is_foreign_key_violation()
                    || inner.is_check_violation() =>
            {
                Self::Conflict(error)
            }
            sqlx::Error::Database(inner) if is_busy(&**inner) => Self::Busy(error),
            sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::PoolClosed => Self::Busy(error),
            _ => Self::Broken(error),
        }
    }
}

/// Whether a later try may do better. MariaDB is asked for its number: its SQLSTATE is mostly HY000, the general error.
fn is_busy(error: &dyn sqlx::error::DatabaseError) -> bool {
    match error.try_downcast_ref::<MySqlDatabaseError>() {
        // Lock wait timeout, deadlock, changed since the transaction's first look (MariaDB from 11.6.2 on), too many connections,
        // shutting down.
        Some(error) => matches!(error.number(), 1205 | 1213 | 1020 | 1040 | 1053),
        // SQLite: busy, locked.
        None => matches!(error.code().as_deref(), Some("5" | "6" | "261" | "517")),
    }
}

/// What the functions of this room answer.
pub type Result<T> = std::result::Result<T, Error>;

/// A row type that both engines can fill; `#[derive(sqlx::FromRow)]` makes one.
pub trait Record: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, MySqlRow> + Send + Unpin {}
impl<T> Record for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, MySqlRow> + Send + Unpin {}

/// A value bound to a statement.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Value<'a> {
    /// NULL.
    Null,
    /// Any integer.
    Int(i64),
    /// A floating number.
    Real(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
}

macro_rules! value_from {
    ($($from:ty => |$name:ident| $value:expr),* $(,)?) => {
        $(impl<'a> From<$from> for Value<'a> { fn from($name: $from) -> Self { $value } })*
    };
}

value_from! {
    i64 => |v| Self::Int(v),
    i32 => |v| Self::Int(v.into()),
    i16 => |v| Self::Int(v.into()),
    u8 => |v| Self::Int(v.into()),
    u32 => |v| Self::Int(v.into()),
    bool => |v| Self::Int(v.into()),
    f64 => |v| Self::Real(v),
    Millis => |v| Self::Int(v.0),
    MailId => |v| Self::Int(v.0),
    &'a str => |v| Self::Text(Cow::Borrowed(v)),
    &'a String => |v| Self::Text(Cow::Borrowed(v)),
    String => |v| Self::Text(Cow::Owned(v)),
    Cow<'a, str> => |v| Self::Text(v),
    &'a [u8] => |v| Self::Bytes(Cow::Borrowed(v)),
    &'a Vec<u8> => |v| Self::Bytes(Cow::Borrowed(v)),
    Vec<u8> => |v| Self::Bytes(Cow::Owned(v)),
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A statement with its values.
#[derive(Debug, Clone)]
pub struct Sql<'a> {
    text: Cow<'static, str>,
    values: Vec<Value<'a>>,
    /// Sent as it is, with its values written out; for MariaDB.
    whole: bool,
}

/// Begins a statement. The text is written by us: values from outside go through [`Sql::bind`] only.
pub fn sql<'a>(text: impl Into<Cow<'static, str>>) -> Sql<'a> {
    Sql { text: text.into(), values: Vec::new(), whole: false }
}

impl<'a> Sql<'a> {
    /// The value of the next `?`.
    pub fn bind(mut self, value: impl Into<Value<'a>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// The values of the next several `?`, as [`places`] writes them.
    pub fn bind_all<V: Into<Value<'a>>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        self.values.extend(values.into_iter().map(Into::into));
        self
    }
}

impl Sql<'_> {
    /// Sends the statement as it is: its values are written out. For MariaDB.
    fn whole(text: String) -> Self {
        Self { text: text.into(), values: Vec::new(), whole: true }
    }

    fn into_owned(self) -> Sql<'static> {
        let values = self.values.into_iter().map(Value::into_owned).collect();
        Sql { text: self.text, values, whole: self.whole }
    }
}

impl Value<'_> {
    /// Bytes of a text or of bytes.
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Null | Self::Int(_) | Self::Real(_) => 0,
        }
    }

    /// Writes the value into a statement for MariaDB or MySQL. Texts and bytes are written in hexadecimal (MySQL manual, 11.1.4),
    /// so that none of them can end early, whatever is in it and however the server is set.
    fn write_out(&self, text: &mut String) {
        let hexadecimal = |text: &mut String, bytes: &[u8]| {
            const DIGITS: [char; 16] =
                ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
            text.push_str("x'");
            for byte in bytes {
                text.extend([byte >> 4, byte & 15].map(|digit| DIGITS[usize::from(digit)]));
            }
            text.push('\'');
        };
        // Writing into a string cannot fail.
        let _ = match self {
            Self::Null => text.write_str("NULL"),
            Self::Int(value) => write!(text, "{value}"),
            // With an exponent it is a double, and no decimal number.
            Self::Real(value) => write!(text, "{value:e}"),
            Self::Text(value) => {
                text.push_str("_utf8mb4 ");
                hexadecimal(text, value.as_bytes());
                Ok(())
            }
            Self::Bytes(value) => {
                hexadecimal(text, value);
                Ok(())
            }
        };
    }

    fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Int(value) => Value::Int(value),
            Self::Real(value) => Value::Real(value),
            Self::Text(text) => Value::Text(text.into_owned().into()),
            Self::Bytes(bytes) => Value::Bytes(bytes.into_owned().into()),
        }
    }
}

#[cfg(test)]
impl Sql<'_> {
    /// The statement that asks the engine how it would run this one.
    pub fn explained(mut self, db: &Db) -> Self {
        let word = if matches!(db, Db::Sqlite { .. }) { "EXPLAIN QUERY PLAN" } else { "EXPLAIN" };
        self.text = format!("{word} {}", self.text).into();
        self
    }
}

/// `?, ?, ?` for `count` values.
pub fn places(count: usize) -> String {
    let mut text = "?, ".repeat(count);
    text.truncate(text.len().saturating_sub(2));
    text
}

/// Values of a list, filled up to a power of two with the last one: statements have few lengths and stay prepared.
pub(super) fn filled<V: Copy>(values: &[V]) -> Vec<V> {
    let length = values.len().next_power_of_two();
    let filling = values.last().into_iter().cycle().take(length - values.len());
    values.iter().chain(filling).copied().collect()
}

macro_rules! bound {
    ($query:expr, $values:expr) => {{
        let mut query = $query.persistent($values.len() <= VALUES_KEPT);
        for value in $values {
            query = match value {
                Value::Null => query.bind(None::<i64>),
                Value::Int(value) => query.bind(value),
                Value::Real(value) => query.bind(value),
                Value::Text(Cow::Borrowed(value)) => query.bind(value),
                Value::Text(Cow::Owned(value)) => query.bind(value),
                Value::Bytes(Cow::Borrowed(value)) => query.bind(value),
                Value::Bytes(Cow::Owned(value)) => query.bind(value),
            };
        }
        query
    }};
}

macro_rules! fetched {
    ($sql:expr, $on:expr) => {
        bound!(sqlx::query_as(AssertSqlSafe($sql.text)), $sql.values).fetch_all($on).await?
    };
}

/// What was worked out before.
#[derive(Clone, Default)]
pub struct Memory {
    /// Figures of reports, and what series are at present.
    pub(super) answers: Answers<96>,
    /// Lists of mails: many small ones, so that they do not crowd out what is dear.
    pub(super) lists: Answers<48>,
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub enum Db {
    /// SQLite.
    Sqlite {
        /// Readers.
        read: SqlitePool,
        /// The one writer.
        write: SqlitePool,
        /// What was worked out before.
        memory: Memory,
    },
    /// MariaDB or MySQL.
    Mysql {
        /// Readers and writers.
        pool: MySqlPool,
        /// What was worked out before.
        memory: Memory,
    },
}

impl Db {
    /// Opens the database and brings its schema up to date.
    pub async fn open(place: &Place) -> Result<Self> {
        let db = Self::connect(place).await?;
        db.migrate().await?;
        Ok(db)
    }

    /// Opens the database and leaves its schema as it is: an older version of this program may be at work on it. A file that
    /// is missing is not made, and looked at as an empty database.
    pub async fn look(place: &Place) -> Result<Self> {
        match place {
            Place::Sqlite(path) if !path.exists() => Self::sqlite(SqliteConnectOptions::new()).await,
            _ => Self::connect(place).await,
        }
    }

    /// The steps of the schema that the database has, in order. One that this program does not know is an error.
    pub async fn steps(&self) -> Result<Vec<i64>> {
        let known = match self {
            Self::Sqlite { .. } => "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'",
            Self::Mysql { .. } => {
                "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() \
                 AND table_name = '_sqlx_migrations'"
            }
        };
        if self.fetch_one::<(i64,)>(sql(known)).await?.is_none_or(|(tables,)| tables == 0) {
            return Ok(Vec::new());
        }
        let text = "SELECT version FROM _sqlx_migrations WHERE success = TRUE ORDER BY version";
        let steps: Vec<(i64,)> = self.fetch(sql(text)).await?;
        let steps: Vec<i64> = steps.into_iter().map(|(step,)| step).collect();
        let ours: Vec<i64> = schema().collect();
        match steps.iter().find(|step| !ours.contains(step)) {
            Some(newer) => Err(Error::NewerSchema(*newer)),
            None => Ok(steps),
        }
    }

    /// Opens a database and leaves its schema alone: another program's.
    pub async fn connect(place: &Place) -> Result<Self> {
        Ok(match place {
            Place::Sqlite(path) => {
                make_private(path);
                let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
                Self::sqlite(options).await?
            }
            Place::Mysql(options) => {
                // Statements may hold their values, which are nothing for a log.
                let options = (**options).clone().disable_statement_logging();
                let pool = MySqlPoolOptions::new()
                    .max_connections(8)
                    .acquire_timeout(Duration::from_secs(15))
                    .test_before_acquire(false)
                    .before_acquire(|connection, used| {
                        // A question of its own before each statement would double the way to the server and back.
                        let fresh = used.idle_for < FRESH;
                        Box::pin(async move { Ok(fresh || connection.ping().await.is_ok()) })
                    })
                    .connect_with(options)
                    .await?;
                Self::Mysql { pool, memory: Memory::default() }
            }
        })
    }

    async fn sqlite(options: SqliteConnectOptions) -> Result<Self> {
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(15))
            .row_buffer_size(ROWS_AHEAD)
            .pragma("cache_size", "-1500")
            .pragma("wal_autocheckpoint", CHECKPOINT);
        // A file does not go away like a server: nothing is asked before each statement.
        let pool = |most| SqlitePoolOptions::new().max_connections(most).test_before_acquire(false);
        let write = pool(1).connect_with(options.clone()).await?;
        let read = pool(4).connect_lazy_with(options);
        Ok(Self::Sqlite { read, write, memory: Memory::default() })
    }

    async fn migrate(&self) -> Result<()> {
        let outcome = match self {
            Self::Sqlite { write, .. } => SQLITE_MIGRATIONS.run(write).await,
            Self::Mysql { pool, .. } => match MYSQL_MIGRATIONS.run(pool).await {
                // MariaDB commits each table by itself: a process that was killed between two of them left a step
                // half done. Its statements can be repeated.
                Err(sqlx::migrate::MigrateError::Dirty(_)) => {
                    sqlx::query("DELETE FROM _sqlx_migrations WHERE success = FALSE").execute(pool).await?;
                    MYSQL_MIGRATIONS.run(pool).await
                }
                outcome => outcome,
            },
        };
        outcome.map_err(|error| match error {
            sqlx::migrate::MigrateError::VersionMissing(version) => Error::NewerSchema(version),
            sqlx::migrate::MigrateError::Execute(error) => error.into(),
            other => Error::Broken(sqlx::Error::Migrate(Box::new(other))),
        })
    }

    /// Which engine this is, for pages and messages.
    pub fn engine(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "SQLite",
            Self::Mysql { .. } => "MariaDB",
        }
    }

    /// What was worked out before.
    pub(super) fn memory(&self) -> &Memory {
        match self {
            Self::Sqlite { memory, .. } | Self::Mysql { memory, .. } => memory,
        }
    }

    /// Forgets what was worked out before, as a restart does: for tests and measurements.
    pub fn forget_answers(&self) {
        self.memory().answers.forget();
        self.memory().lists.forget();
    }

    /// All rows of a reading statement.
    pub async fn fetch<T: Record>(&self, sql: Sql<'_>) -> Result<Vec<T>> {
        Ok(match self {
            Self::Sqlite { read, .. } => fetched!(sql, read),
            Self::Mysql { pool, .. } => fetched!(sql, pool),
        })
    }

    /// The first row of a reading statement, if there is one.
    pub async fn fetch_one<T: Record>(&self, sql: Sql<'_>) -> Result<Option<T>> {
        Ok(self.fetch(sql).await?.into_iter().next())
    }

    /// Begins a transaction. SQLite takes its write lock at once.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(Tx::new(match self {
            Self::Sqlite { write, .. } => Engine::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            Self::Mysql { pool, .. } => Engine::Mysql(pool.begin().await?),
        }))
    }

    /// Closes all connections, after those in use have been given back.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { read, write, .. } => {
                read.close().await;
                write.close().await;
            }
            Self::Mysql { pool, .. } => pool.close().await,
        }
    }
}

/// Makes a missing database file, readable for its owner only; SQLite, which would let everybody read it, gives its log the
/// same mode. A file that is there keeps its mode and is not even opened: to close it would take SQLite's locks away from
/// this process (SQLite, "How To Corrupt", 2.2). Why it cannot be made, SQLite tells when it tries in its turn.
fn make_private(path: &Path) {
    let _ = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
}

/// A transaction; dropped without [`Tx::commit`] it leaves no trace.
///
/// Inserts do not wait for the engine: some statements are on their way while their caller prepares the next. Whatever
/// else is asked of the transaction comes after them; what went wrong with them is told by the next statement or by the
/// commit, and then nothing of the transaction lasts.
pub struct Tx {
    mysql: bool,
    /// At hand; missing while statements are on their way, and for good after one of these failed.
    engine: Option<Engine>,
    writing: Option<Writing>,
    /// What lists show has changed.
    lists: bool,
}

enum Engine {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Mysql(sqlx::Transaction<'static, sqlx::MySql>),
}

/// Statements on their way, and the task that has the transaction meanwhile.
struct Writing {
    statements: mpsc::Sender<Sql<'static>>,
    task: JoinHandle<Result<Engine>>,
}

impl Engine {
    async fn execute(&mut self, sql: Sql<'_>) -> Result<u64> {
        Ok(match self {
            Self::Sqlite(tx) => bound!(sqlx::query(AssertSqlSafe(sql.text)), sql.values)
                .execute(&mut **tx)
                .await?
                .rows_affected(),
            Self::Mysql(tx) if sql.whole => {
                sqlx::raw_sql(AssertSqlSafe(sql.text)).execute(&mut **tx).await?.rows_affected()
            }
            Self::Mysql(tx) => bound!(sqlx::query(AssertSqlSafe(sql.text)), sql.values)
                .execute(&mut **tx)
                .await?
                .rows_affected(),
        })
    }

    /// Runs statements until no more can come.
    async fn execute_all(mut self, mut statements: mpsc::Receiver<Sql<'static>>) -> Result<Self> {
        while let Some(sql) = statements.recv().await {
            self.execute(sql).await?;
        }
        Ok(self)
    }
}

impl Tx {
    fn new(engine: Engine) -> Self {
        Self { mysql: matches!(engine, Engine::Mysql(_)), engine: Some(engine), writing: None, lists: false }
    }

    /// Whether the engine is MariaDB or MySQL, for the few statements that differ.
    pub fn is_mysql(&self) -> bool {
        self.mysql
    }

    /// The transaction, once all statements on their way have run.
    async fn settled(&mut self) -> Result<&mut Engine> {
        if let Some(Writing { statements, task }) = self.writing.take() {
            drop(statements);
            self.engine = Some(task.await.map_err(|_| sqlx::Error::WorkerCrashed)??);
        }
        // A statement failed before, and its error was told.
        Ok(self.engine.as_mut().ok_or(sqlx::Error::WorkerCrashed)?)
    }

    /// Sends a writing statement on its way; waits only while [`AHEAD`] others are.
    pub async fn write(&mut self, sql: Sql<'_>) -> Result<()> {
        let writing = match self.writing.take() {
            Some(writing) => writing,
            None => {
                let engine = self.engine.take().ok_or(sqlx::Error::WorkerCrashed)?;
                let (statements, received) = mpsc::channel(AHEAD);
                Writing { statements, task: tokio::spawn(engine.execute_all(received)) }
            }
        };
        // Whoever gives up waiting here has no transaction any more, instead of one that lacks a statement.
        let sent = writing.statements.send(sql.into_owned()).await;
        self.writing = Some(writing);
        if sent.is_err() {
            // Nobody takes any more: one before has failed.
            self.settled().await?;
        }
        Ok(())
    }

    /// Says that what `lists` remembers may not be true any more.
    pub(super) fn touch_lists(&mut self) {
        self.lists = true;
    }

    /// Makes the writes last.
    pub async fn commit(mut self) -> Result<()> {
        if self.lists {
            // Last, as all wait for this row. Any other number will do.
            let stamp = getrandom::u64().map_err(|_| Error::Damaged("no randomness"))?.cast_signed();
            let row = [1_i64.into(), stamp.into()];
            self.upsert("list_stamp", ["id", "stamp"], &["id"], &["stamp"], vec![row]).await?;
        }
        self.settled().await?;
        match self.engine {
            Some(Engine::Sqlite(tx)) => tx.commit().await?,
            Some(Engine::Mysql(tx)) => tx.commit().await?,
            None => {}
        }
        Ok(())
    }

    /// Runs a writing statement. The count of touched rows differs between the engines for upserts: use it
    /// for plain UPDATE and DELETE only.
    pub async fn execute(&mut self, sql: Sql<'_>) -> Result<u64> {
        self.settled().await?.execute(sql).await
    }

    /// Inserts one row into a table that numbers its rows itself; says the number.
    pub async fn insert_numbered<'v, const N: usize>(
        &mut self,
        table: &'static str,
        columns: [&'static str; N],
        row: [Value<'v>; N],
    ) -> Result<i64> {
        let text = format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), places(N));
        self.insert_serial(sql(text).bind_all(row)).await
    }

    /// All rows of a reading statement, seen by this transaction.
    pub async fn fetch<T: Record>(&mut self, sql: Sql<'_>) -> Result<Vec<T>> {
        Ok(match self.settled().await? {
            Engine::Sqlite(tx) => fetched!(sql, &mut **tx),
            Engine::Mysql(tx) if sql.whole => {
                let rows = sqlx::raw_sql(AssertSqlSafe(sql.text)).fetch_all(&mut **tx).await?;
                rows.iter().map(T::from_row).collect::<sqlx::Result<_>>()?
            }
            Engine::Mysql(tx) => fetched!(sql, &mut **tx),
        })
    }

    /// The first row of a reading statement, if there is one.
    pub async fn fetch_one<T: Record>(&mut self, sql: Sql<'_>) -> Result<Option<T>> {
        Ok(self.fetch(sql).await?.into_iter().next())
    }

    /// All rows for many values, in bounded IN lists. `statement` gets what stands in the list. SQLite's are [`filled`];
    /// MariaDB gets the values written out, see [`LARGE`].
    pub(super) async fn fetch_in<'v, T: Record, V: Into<Value<'v>> + Copy>(
        &mut self,
        values: &[V],
        statement: impl Fn(&str) -> String,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        for values in values.chunks(LIST) {
            found.extend(if self.mysql {
                let mut list = String::new();
                for value in values {
                    if !list.is_empty() {
                        list.push(',');
                    }
                    (*value).into().write_out(&mut list);
                }
                self.fetch(Sql::whole(statement(&list))).await?
            } else {
                let values = filled(values);
                self.fetch(sql(statement(&places(values.len()))).bind_all(values)).await?
            });
        }
        Ok(found)
    }

    /// Runs an INSERT of one row and answers the number that the table gave it.
    pub async fn insert_serial(&mut self, sql: Sql<'_>) -> Result<i64> {
        Ok(match self.settled().await? {
            Engine::Sqlite(tx) => bound!(sqlx::query(AssertSqlSafe(sql.text)), sql.values)
                .execute(&mut **tx)
                .await?
                .last_insert_rowid(),
            Engine::Mysql(tx) => bound!(sqlx::query(AssertSqlSafe(sql.text)), sql.values)
                .execute(&mut **tx)
                .await?
                .last_insert_id()
                .cast_signed(),
        })
    }

    /// Inserts one row.
    pub async fn insert<'v, const N: usize>(
        &mut self,
        table: &'static str,
        columns: [&'static str; N],
        row: [Value<'v>; N],
    ) -> Result<()> {
        self.insert_all(table, columns, vec![row]).await
    }

    /// Inserts rows, none of which may be there.
    pub async fn insert_all<'v, const N: usize>(
        &mut self,
        table: &'static str,
        columns: [&'static str; N],
        rows: Vec<[Value<'v>; N]>,
    ) -> Result<()> {
        self.insert_rows(table, columns, rows, "").await
    }

    /// Inserts rows of `columns`; where a row with the same `keys` exists, its `update` columns are set to the
    /// new values. Names are ours, values are bound. `keys` must be the table's primary or only unique key.
    pub async fn upsert<'v, const N: usize>(
        &mut self,
        table: &'static str,
        columns: [&'static str; N],
        keys: &[&'static str],
        update: &[&'static str],
        rows: Vec<[Value<'v>; N]>,
    ) -> Result<()> {
        self.upsert_adding(table, columns, keys, update, &[], rows).await
    }

    /// As [`Tx::upsert`], but the numbers in the `add` columns are added to those that are there.
    pub async fn upsert_adding<'v, const N: usize>(
        &mut self,
        table: &'static str,
        columns: [&'static str; N],
        keys: &[&'static str],
        update: &[&'static str],
        add: &[&'static str],
        rows: Vec<[Value<'v>; N]>,
    ) -> Result<()> {
        let set = |fresh: &dyn Fn(&str) -> String| {
            let set = update.iter().map(|column| format!("{column} = {}", fresh(column)));
            let sums = add.iter().map(|column| format!("{column} = {table}.{column} + {}", fresh(column)));
            set.chain(sums).collect::<Vec<_>>().join(", ")
        };
        self.upsert_setting(table, columns, keys, set, rows).await
    }

    /// As [`Tx::upsert`], but `set` writes what becomes of a row that is there; it is told how the new value of a column is
    /// named. MariaDB assigns one after the other, so what others are made from comes last.
    pub async fn upsert_setting<'v, const N: usize>(
        &mut self,
        table: &'static str,
        columns: [&'static str; N],
        keys: &[&'static str],
        set: impl FnOnce(&dyn Fn(&str) -> String) -> String,
        rows: Vec<[Value<'v>; N]>,
    ) -> Result<()> {
        let mysql = self.mysql;
        let set = set(&|column| match mysql {
            false => format!("excluded.{column}"),
            true => format!("VALUES({column})"),
        });
        let tail = self.conflict_clause(keys, &set);
        self.insert_rows(table, columns, rows, &tail).await
    }

    /// Inserts rows by statements whose text ends with `tail`. Those that are prepared have numbers of rows that are powers of
    /// two, so that there are few.
    async fn insert_rows<'v, const N: usize>(
        &mut self,
        table: &'static str,
        columns: [&'static str; N],
        rows: Vec<[Value<'v>; N]>,
        tail: &str,
    ) -> Result<()> {
        let head = format!("INSERT INTO {table} ({}) VALUES ", columns.join(", "));
        if self.mysql && rows.iter().flatten().all(|value| value.len() <= LARGE) {
            return self.insert_written_out(&head, rows, tail).await;
        }
        let one_row = format!("({})", places(N));
        let mut left = rows.len();
        let mut rows = rows.into_iter();
        while left > 0 {
            let count = (1 << left.ilog2()).min(ROWS_PER_STATEMENT);
            left -= count;
            let values: Vec<Value<'v>> = rows.by_ref().take(count).flatten().collect();
            let mut text = String::with_capacity(head.len() + (one_row.len() + 1) * count + tail.len());
            text.push_str(&head);
            for index in 0..count {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&one_row);
            }
            text.push_str(tail);
            self.write(sql(text).bind_all(values)).await?;
        }
        Ok(())
    }

    async fn insert_written_out<const N: usize>(
        &mut self,
        head: &str,
        rows: Vec<[Value<'_>; N]>,
        tail: &str,
    ) -> Result<()> {
        let mut text = String::new();
        let mut rows = rows.into_iter().peekable();
        while let Some(row) = rows.next() {
            text.push_str(if text.is_empty() { head } else { "," });
            for (index, value) in row.iter().enumerate() {
                text.push(if index == 0 { '(' } else { ',' });
                value.write_out(&mut text);
            }
            text.push(')');
            if text.len() >= STATEMENT_BYTES || rows.peek().is_none() {
                text.push_str(tail);
                self.write(Sql::whole(std::mem::take(&mut text))).await?;
            }
        }
        Ok(())
    }

    fn conflict_clause(&self, keys: &[&str], set: &str) -> String {
        match self.mysql {
            false if set.is_empty() => format!(" ON CONFLICT ({}) DO NOTHING", keys.join(", ")),
            false => format!(" ON CONFLICT ({}) DO UPDATE SET {set}", keys.join(", ")),
            // Setting a key to itself is MySQL's "do nothing".
            true if set.is_empty() => {
                format!(" ON DUPLICATE KEY UPDATE {0} = {0}", keys.first().copied().unwrap_or("id"))
            }
            true => format!(" ON DUPLICATE KEY UPDATE {set}"),
        }
    }
}

#[cfg(test)]
mod tests;
