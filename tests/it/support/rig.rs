//! A simulated Mailcow with a poller over it, and pictures of a whole database to compare.

use std::{
    collections::BTreeMap,
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use flate2::read::ZlibDecoder;
use mailcow_status::{
    demo,
    ingest::poll::Poller,
    model::{
        event::LogLine,
        explain::Dictionary,
        mail::ServerId,
        scan::{Checks, Scan},
        scope::Scope,
        time::{Clock, Millis},
    },
    parse::rspamd,
    remote::{http, mailcow},
    store::{
        db::{Db, Place, sql},
        dictionaries, ingestion, scans,
    },
};
use tokio_util::sync::CancellationToken;

use super::db::FreshDb;

/// Whose logs these are.
pub const SERVER: ServerId = ServerId(1);

/// Opens a database of the tests.
pub async fn open(fresh: &FreshDb) -> Db {
    let place = match fresh.url.strip_prefix("sqlite:") {
        Some(path) => Place::Sqlite(path.into()),
        None => Place::mysql_url(&fresh.url).unwrap(),
    };
    Db::open(&place).await.unwrap()
}

/// A simulated Mailcow over real HTTP.
pub struct Source {
    pub mailcow: Arc<demo::Mailcow>,
    pub url: String,
    hand: Arc<AtomicI64>,
    stop: CancellationToken,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Source {
    pub async fn start(options: demo::Options) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let hand = Arc::new(AtomicI64::new(options.now.0));
        let mailcow = Arc::new(demo::Mailcow::new(options));
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&mailcow).serve(listener, stop.clone()));
        Self { mailcow, url, hand, stop }
    }

    /// Lets time pass, here and at Mailcow.
    pub fn advance(&self, seconds: u64) {
        self.mailcow.advance(Duration::from_secs(seconds));
        self.hand.store(self.mailcow.now().0, Ordering::SeqCst);
    }

    /// The present moment.
    pub fn now(&self) -> Millis {
        self.mailcow.now()
    }

    /// A poller with a client of its own; its clock is Mailcow's.
    pub fn poller(&self, db: &Db) -> Poller {
        let settings = mailcow::Settings {
            base: self.url.parse().unwrap(),
            key: self.mailcow.keys.api_key.clone().into(),
            http: http::Settings { timeout: Duration::from_millis(1500), ..Default::default() },
        };
        let clock = Clock::by_hand(Arc::clone(&self.hand));
        Poller {
            db: db.clone(),
            mailcow: Arc::new(mailcow::Mailcow::new(&settings, clock).unwrap()),
            server: SERVER,
            counts: (200, 100),
            longest: Duration::from_secs(60),
            dictionary: Arc::new(Dictionary::built_in()),
        }
    }
}

/// A log as the parsers take it.
pub struct Log {
    pub lines: Vec<(Millis, String, String)>,
    pub scans: Vec<Scan>,
}

impl Log {
    /// Everything that a simulated Mailcow ever logged.
    pub fn of(mailcow: &demo::Mailcow) -> Self {
        let history = mailcow.history();
        let lines = history.lines.into_iter();
        let mut checks = Checks::default();
        Self {
            lines: lines
                .map(|line| (Millis::from_secs(line.time), line.program.into_owned(), line.message))
                .collect(),
            scans: history.rows.iter().map(|row| rspamd::parse(row, &mut checks).unwrap()).collect(),
        }
    }

    pub fn line(&self, index: usize) -> LogLine<'_> {
        let (at, program, text) = &self.lines[index];
        LogLine { at: *at, program, text }
    }
}

/// A whole database, in words: what there is by kind, in an order of its own.
#[derive(Debug, Default)]
pub struct Picture {
    pub parts: BTreeMap<&'static str, Vec<String>>,
}

impl Picture {
    /// All mails with all their facts folded, all keys, verdicts and symbols, what waits, and the raw lines.
    pub async fn of(db: &Db) -> Self {
        let mut parts = BTreeMap::new();
        let text = "SELECT id, server, story FROM mail_story ORDER BY id";
        let stored = dictionaries::mails_of(db, sql(text)).await.unwrap();
        let mut mails = Vec::new();
        for mail in stored.iter().map(|row| row.mail().unwrap()) {
            let text = format!("{mail:?}");
            let visible = Scope::All.view(mail).unwrap();
            let symbols = scans::symbols(db, &Scope::All, &visible).await.unwrap();
            mails.push(format!("{text} {symbols:?}"));
        }
        parts.insert("mails", mails);
        let words = |rows: Vec<(i64, i64, i64)>| rows.iter().map(|row| format!("{row:?}")).collect();
        let keys = "SELECT k, mail, state FROM mail_key UNION ALL SELECT k, mail, state FROM mail_key_new";
        let keys: Vec<(i64, i64, i64)> = db.fetch(sql(format!("{keys} ORDER BY k, mail"))).await.unwrap();
        let twice = keys.windows(2).filter(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1));
        assert_eq!(twice.count(), 0, "each key stands in one table");
        parts.insert("keys", words(keys));
        let above = "SELECT COUNT(*) FROM mail_key, mail_key_mark WHERE mail > settled";
        assert_eq!(
            db.fetch::<(i64,)>(sql(above)).await.unwrap(),
            [(0,)],
            "keys of younger mails are gathered"
        );
        let states = db.fetch(sql("SELECT id, id, state FROM mail_story ORDER BY id")).await.unwrap();
        parts.insert("states", words(states));
        let scans = db.fetch(sql("SELECT id, id, 0 FROM scan ORDER BY id")).await.unwrap();
        parts.insert("scans", words(scans));
        let pending = db.fetch(sql("SELECT k, scan, 0 FROM scan_pending ORDER BY k, scan")).await.unwrap();
        parts.insert("pending", words(pending));
        let chunks: Vec<(i64, Vec<u8>)> =
            db.fetch(sql("SELECT id, data FROM line_chunk ORDER BY id")).await.unwrap();
        let mut lines = Vec::new();
        for (_, data) in chunks {
            let mut text = String::new();
            ZlibDecoder::new(&data[..]).read_to_string(&mut text).unwrap();
            lines.extend(text.lines().map(str::to_owned));
        }
        lines.sort();
        parts.insert("lines", lines);
        Self { parts }
    }

    /// The same without what only the order of arrival can tell: which session a mail came in.
    pub fn without_tls(mut self) -> Self {
        for text in self.parts.get_mut("mails").into_iter().flatten() {
            for name in ["client_tls: Some(\"", "tls: Some(\""] {
                while let Some(at) = text.find(name) {
                    let end = at + name.len() + text[at + name.len()..].find("\")").unwrap() + 2;
                    text.replace_range(at..end, "tls: None");
                }
            }
            *text = text.replace("client_tls: None", "tls: None");
        }
        self
    }

    /// The same without the raw lines, of which an import keeps those that tell something.
    pub fn without_lines(mut self) -> Self {
        self.parts.remove("lines");
        self
    }

    /// Fails at the first difference.
    pub fn must_equal(&self, other: &Self, what: &str) {
        for (name, rows) in &self.parts {
            let theirs = &other.parts[name];
            for (mine, yours) in rows.iter().zip(theirs) {
                assert_eq!(mine, yours, "{what}: {name}");
            }
            assert_eq!(rows.len(), theirs.len(), "{what}: number of {name}");
        }
    }
}

/// Lines in the ledger, of Postfix and of Rspamd.
pub async fn ledger(db: &Db) -> (i64, i64) {
    let days = ingestion::ledger(db, Millis(0)).await.unwrap();
    let sum = |source: &str| days.iter().filter(|day| day.source == source).map(|day| day.line_count).sum();
    (sum("postfix"), sum("rspamd"))
}
