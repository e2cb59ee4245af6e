//! Who opted in to open tracking, and what was opened: counted apart from the mails, which never change by it.

use std::collections::{BTreeMap, BTreeSet};

use super::db::{Db, Result, Tx, Value, places, sql};
use crate::model::{
    mail::{MailId, VisibleMail},
    open::{Open, Reader, TrackerKey, marks_of},
    scope::{Scope, Sight},
    time::Millis,
};

/// Opens of one mail that are kept at most: more tell nothing new, and their number is in strangers' hands.
pub const MOST_PER_MAIL: i64 = 200;
/// One reader of one mail within one window, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Stands for the mail; see `model::open`.
    pub token: i64,
    /// Mark of the reader.
    pub reader: i64,
    /// Begin of the window.
    pub slot: Millis,
    /// The first load that tells the class.
    pub at: Millis,
    /// Loads.
    pub loads: i64,
    /// Who, as far as it can be told.
    pub class: Reader,
    /// Whether the token was ours.
    pub verified: bool,
}

/// Adds opens; those of a reader who is there already are joined. Those beyond [`MOST_PER_MAIL`] are left out.
pub async fn add(tx: &mut Tx, rows: &[Row]) -> Result<()> {
    tx.touch_lists();
    let tokens: BTreeSet<i64> = rows.iter().map(|row| row.token).collect();
    let tokens: Vec<i64> = tokens.into_iter().collect();
    let mut room: BTreeMap<i64, i64> = tokens.iter().map(|token| (*token, MOST_PER_MAIL)).collect();
    for tokens in tokens.chunks(200) {
        let places = places(tokens.len());
        let text = format!("SELECT token, COUNT(*) FROM opened WHERE token IN ({places}) GROUP BY token");
        let counts: Vec<(i64, i64)> = tx.fetch(sql(text).bind_all(tokens.iter().copied())).await?;
        room.extend(counts.into_iter().map(|(token, count)| (token, MOST_PER_MAIL - count)));
    }
    let fits = |row: &&Row| {
        room.get_mut(&row.token).is_some_and(|room| {
            *room -= 1;
            *room >= 0
        })
    };
    let rows: Vec<[Value<'_>; 7]> = rows.iter().filter(fits).map(Row::values).collect();
    let columns = ["token", "reader", "slot", "at", "loads", "class", "verified"];
    // As Row::join.
    let set = |new: &dyn Fn(&str) -> String| {
        format!(
            "loads = opened.loads + {}, at = CASE WHEN {class} < opened.class THEN {} ELSE opened.at END, \
             class = CASE WHEN {class} < opened.class THEN {class} ELSE opened.class END",
            new("loads"),
            new("at"),
            class = new("class"),
        )
    };
    tx.upsert_setting("opened", columns, &["token", "reader", "slot"], set, rows).await
}

/// Adds opens of another tracker that are not there yet; those that are there stay as they are.
pub async fn add_missing(tx: &mut Tx, rows: &[Row]) -> Result<()> {
    tx.touch_lists();
    let rows = rows.iter().map(Row::values).collect();
    let columns = ["token", "reader", "slot", "at", "loads", "class", "verified"];
    tx.upsert("opened", columns, &["token", "reader", "slot"], &[], rows).await
}

impl Row {
    /// Joins a later row of the same reader and window: all loads count, and the open is that of who is most like a person. A
    /// mail program may load the image once while the mail is hardly on its way, and again when somebody reads it.
    pub fn join(&mut self, later: &Self) {
        self.loads += later.loads;
        if later.class < self.class {
            (self.class, self.at) = (later.class, later.at);
        }
    }

    fn values(&self) -> [Value<'static>; 7] {
        [
            self.token.into(),
            self.reader.into(),
            self.slot.into(),
            self.at.into(),
            self.loads.into(),
            (self.class as u8).into(),
            self.verified.into(),
        ]
    }
}

/// Opens of a mail, in order, for those who see it as its sender does. A token tells the mail and not which of its
/// recipients, so no recipient learns of another. `key` is that of the tokens; without it only old links count.
pub async fn of_mail(
    db: &Db,
    scope: &Scope,
    key: Option<&TrackerKey>,
    mail: &VisibleMail,
) -> Result<Vec<Open>> {
    if !may_know(scope, mail) {
        return Ok(Vec::new());
    }
    let marks = marks_of(key, mail);
    if marks.is_empty() {
        return Ok(Vec::new());
    }
    // What stands under the marks from before this mail belongs to one whose ids came back.
    let text = format!(
        "SELECT at, class, loads, verified FROM opened WHERE token IN ({}) AND at >= ? ORDER BY at, reader",
        places(marks.len())
    );
    let rows: Vec<(Millis, i64, i64, i64)> =
        db.fetch(sql(text).bind_all(marks).bind(mail.first_seen)).await?;
    let open = |(at, class, loads, verified): (Millis, i64, i64, i64)| Open {
        at,
        reader: Reader::ALL.into_iter().find(|reader| *reader as i64 == class).unwrap_or(Reader::Scanner),
        loads,
        verified: verified == 1,
    };
    Ok(rows.into_iter().map(open).collect())
}

/// The visible mail was made by a scope; asking again keeps this room closed on its own.
fn may_know(scope: &Scope, mail: &VisibleMail) -> bool {
    *scope == Scope::All || mail.sight() != Sight::Recipients
}

/// When each of some mails was first opened by a person, for those who may know.
pub async fn first_opens(
    db: &Db,
    scope: &Scope,
    key: Option<&TrackerKey>,
    mails: &[VisibleMail],
) -> Result<BTreeMap<MailId, Millis>> {
    let marks: Vec<(i64, &VisibleMail)> = mails
        .iter()
        .filter(|mail| may_know(scope, mail))
        .flat_map(|mail| marks_of(key, mail).into_iter().map(move |mark| (mark, mail)))
        .collect();
    let mut opens: BTreeMap<i64, Millis> = BTreeMap::new();
    for marks in marks.chunks(256) {
        let text = format!(
            "SELECT token, MIN(at) FROM opened WHERE token IN ({}) AND class = ? GROUP BY token",
            places(marks.len())
        );
        let statement = sql(text).bind_all(marks.iter().map(|(mark, _)| *mark));
        let rows: Vec<(i64, Millis)> = db.fetch(statement.bind(Reader::Person as u8)).await?;
        opens.extend(rows);
    }
    let mut found: BTreeMap<MailId, Millis> = BTreeMap::new();
    for (mark, mail) in marks {
        if let Some(at) = opens.get(&mark).filter(|at| **at >= mail.first_seen) {
            found.entry(mail.id).and_modify(|known| *known = (*known).min(*at)).or_insert(*at);
        }
    }
    Ok(found)
}

/// How many opens are kept. A number only.
pub async fn count(db: &Db) -> Result<i64> {
    Ok(db.fetch_one(sql("SELECT COUNT(*) FROM opened")).await?.map_or(0, |(count,): (i64,)| count))
}

/// Puts the mailboxes that opted in in the place of those before.
pub async fn replace_tracked(tx: &mut Tx, addresses: &BTreeSet<String>) -> Result<()> {
    tx.execute(sql("DELETE FROM tracked_mailbox")).await?;
    let rows = addresses.iter().map(|address| [Value::from(address)]).collect();
    tx.upsert("tracked_mailbox", ["address"], &["address"], &[], rows).await
}

/// Mailboxes that opted in, as far as the scope reaches: the own one, and those of administered domains.
pub async fn tracked(db: &Db, scope: &Scope) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = db.fetch(sql("SELECT address FROM tracked_mailbox ORDER BY address")).await?;
    let seen = |address: &String| match scope {
        Scope::All => true,
        Scope::Only(holdings) => {
            holdings.administers(address) || holdings.addresses.contains_key(address.as_str())
        }
    };
    Ok(rows.into_iter().map(|(address,)| address).filter(seen).collect())
}

/// Removes opens from before `before`, a bounded number at a time; true when there may be more.
pub async fn prune(tx: &mut Tx, before: Millis) -> Result<bool> {
    tx.touch_lists();
    let last: Option<(Millis,)> = tx
        .fetch_one(sql("SELECT at FROM opened WHERE at < ? ORDER BY at LIMIT 1 OFFSET 4999").bind(before))
        .await?;
    let end = last.map_or(before, |(at,)| Millis(at.0 + 1));
    tx.execute(sql("DELETE FROM opened WHERE at < ?").bind(end)).await?;
    Ok(last.is_some())
}
