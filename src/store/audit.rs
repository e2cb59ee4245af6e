//! What people did and looked at: who, in which role, what, whose, from where, when.

mod list;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::db::{Db, Result, Tx, places, sql};
use crate::model::{scope::Role, time::Millis};

pub use list::{Crowd, Filter, Place, Summary, by, last_visits, list, summary};

macro_rules! actions {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal;)+) => {
        /// What was done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Action {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Action {
            /// All of them, in the order in which they are offered.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word in the database and in text keys.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }
        }
    };
}

actions! {
    /// Looked at the story of a mail with its log lines; the detail is the mail's id.
    Story = "story";
    /// Looked at the print form of a story; the detail is the mail's id.
    Proof = "proof";
    /// Looked at a list of mails, among them other people's.
    Mails = "mails";
    /// Searched mails, among them other people's; the detail is what for.
    Search = "search";
    /// Saved mails as a file; the detail is the filter.
    Export = "export";
    /// Looked at the mail flow with its busiest senders and recipients; the detail is the domain.
    MailFlow = "mail-flow";
    /// Looked at a DMARC report; the detail is its number.
    Report = "report";
    /// Saved the XML of a DMARC report; the detail is its number.
    ReportXml = "report-xml";
    /// Looked at a TLS report; the detail is its number.
    TlsReport = "tls-report";
    /// Saved the JSON of a TLS report; the detail is its number.
    TlsReportJson = "tls-report-json";
    /// Looked at this log.
    AccessLog = "access-log";
    /// Saved this log as a file; the detail is the filter.
    AccessExport = "access-export";
    /// Signed in at Mailcow.
    SignIn = "sign-in";
    /// Tried to sign in and was refused; the detail says why.
    SignInRefused = "sign-in-refused";
    /// Signed in by a login link.
    LinkUsed = "link-used";
    /// A login link was made at the command line.
    LinkMade = "link-made";
    /// Signed out.
    SignOut = "sign-out";
    /// Signed out everywhere.
    SignOutEverywhere = "sign-out-everywhere";
    /// Mailcow's answer ended the session.
    SessionEnded = "session-ended";
    /// Has another role or other domains than before; the detail is what was.
    RoleChanged = "role-changed";
    /// Said whose a source of DMARC reports is.
    SourceJudged = "source-judged";
    /// Chose which services strangers see; the detail is which, under which names.
    PublicServices = "public-services";
    /// Announced something to strangers, or changed, ended or removed that; the detail is what.
    Announced = "announced";
    /// Brought reports by hand.
    ReportsUploaded = "reports-uploaded";
    /// Had what could not be read read again.
    ReportRetried = "report-retried";
    /// Changed what an answer of other servers means.
    ReplyExplained = "reply-explained";
    /// Had a job run at once; the detail is its name.
    RunNow = "run-now";
    /// A program sent a wrong key; the detail says for what.
    KeyRefused = "key-refused";
    /// Asked more often than is allowed; the detail says for what.
    Limited = "limited";
}

impl Action {
    /// The action of a [`Action::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.code() == code)
    }
}

/// One thing that somebody did.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Entry {
    /// Its number; 0 before it is written.
    pub id: i64,
    /// When.
    pub at: Millis,
    /// Whose address; empty when nobody proved one.
    pub actor: String,
    /// [`Action::code`].
    pub action: String,
    /// The role at that time, as [`Role::code`]; may be empty.
    pub role: String,
    /// Address of the browser, or `command line`.
    pub client: String,
    /// More words; never a secret.
    pub detail: String,
    /// Whose things it is about: addresses and domains of this server.
    #[sqlx(skip)]
    pub owners: Vec<String>,
}

impl Entry {
    /// An entry without role and detail.
    pub fn new(at: Millis, actor: &str, action: Action, client: &str) -> Self {
        Self {
            id: 0,
            at,
            actor: actor.to_owned(),
            action: action.code().to_owned(),
            role: String::new(),
            client: client.to_owned(),
            detail: String::new(),
            owners: Vec::new(),
        }
    }

    /// The same with a role.
    pub fn role(mut self, role: Role) -> Self {
        self.role = role.code().to_owned();
        self
    }

    /// The same with more words.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The same about the things of these.
    pub fn about(mut self, owners: impl IntoIterator<Item = String>) -> Self {
        self.owners.extend(owners);
        self
    }
}

/// Writes an entry down.
pub async fn record(tx: &mut Tx, entry: &Entry) -> Result<()> {
    let columns = ["at", "actor", "action", "role", "client", "detail"];
    let row = [
        entry.at.into(),
        (&entry.actor).into(),
        (&entry.action).into(),
        (&entry.role).into(),
        (&entry.client).into(),
        (&entry.detail).into(),
    ];
    let id = tx.insert_numbered("audit", columns, row).await?;
    let owners = entry.owners.iter().map(|owner| [owner.into(), entry.at.into(), id.into()]).collect();
    let columns = ["owner", "at", "entry"];
    tx.upsert("audit_owner", columns, &columns, &[], owners).await
}

/// What to write down when somebody turns up in this role: nothing, unless they were last known in another one.
pub async fn role_change(db: &Db, actor: &str, role: Role, at: Millis) -> Result<Option<Entry>> {
    let known =
        sql("SELECT role FROM audit WHERE actor = ? AND action IN (?, ?) ORDER BY at DESC, id DESC LIMIT 1")
            .bind(actor)
            .bind(Action::SignIn.code())
            .bind(Action::RoleChanged.code());
    let known: Option<(String,)> = db.fetch_one(known).await?;
    let before = known.map(|(role,)| role).filter(|before| before != role.code());
    Ok(before.map(|before| Entry::new(at, actor, Action::RoleChanged, "").role(role).detail(before)))
}

/// What strangers can make many of.
const STRANGERS: [Action; 3] = [Action::SignInRefused, Action::KeyRefused, Action::Limited];
/// How long that is kept at most.
pub const REFUSED_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Entries that go at once.
const PIECE: i64 = 500;

/// Removes some of what came before a moment, and refusals past their own time. True: more may be left.
pub async fn prune(tx: &mut Tx, before: Millis, now: Millis) -> Result<bool> {
    let old = sql("SELECT id FROM audit WHERE at < ? ORDER BY at LIMIT ?").bind(before).bind(PIECE);
    let mut more = remove(tx, old).await?;
    for action in STRANGERS {
        let old = sql("SELECT id FROM audit WHERE action = ? AND at < ? ORDER BY at LIMIT ?");
        let old = old.bind(action.code()).bind(now.minus(REFUSED_LIFE)).bind(PIECE);
        more |= remove(tx, old).await?;
    }
    Ok(more)
}

async fn remove(tx: &mut Tx, selected: super::db::Sql<'_>) -> Result<bool> {
    let ids: Vec<(i64,)> = tx.fetch(selected).await?;
    if ids.is_empty() {
        return Ok(false);
    }
    for (table, column) in [("audit_owner", "entry"), ("audit", "id")] {
        let text = format!("DELETE FROM {table} WHERE {column} IN ({})", places(ids.len()));
        tx.execute(sql(text).bind_all(ids.iter().map(|(id,)| *id))).await?;
    }
    Ok(ids.len() as i64 == PIECE)
}
