//! Reading what people did, newest first, page by page along an index.

use std::collections::BTreeMap;

use super::{Action, Entry};
use crate::{
    model::{scope::Scope, time::Millis},
    store::db::{Db, Result, Sql, Value, places, sql},
};

/// What is wanted. Addresses and domains are compared as they stand, lower case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Who.
    pub person: Option<String>,
    /// Anybody but this one.
    pub other_than: Option<String>,
    /// Whose: an address or a domain of this server.
    pub owner: Option<String>,
    /// What.
    pub action: Option<Action>,
    /// From when on.
    pub from: Millis,
}

/// Where a page begins: behind this entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// When it was.
    pub at: Millis,
    /// Its number.
    pub id: i64,
}

impl Place {
    /// Before the newest.
    const NEWEST: Self = Self { at: Millis(i64::MAX), id: i64::MAX };
}

/// Entries in scope, newest first, behind a place. Who does not see everything sees what concerns the own addresses
/// since they are theirs, and nothing else.
pub async fn list(
    db: &Db,
    scope: &Scope,
    filter: &Filter,
    after: Option<Place>,
    limit: usize,
) -> Result<Vec<Entry>> {
    let Some(statement) = statement(scope, filter, after, limit) else { return Ok(Vec::new()) };
    with_owners(db, db.fetch(statement).await?).await
}

/// What somebody did, newest first: for themselves.
pub async fn by(db: &Db, person: &str, from: Millis, limit: usize) -> Result<Vec<Entry>> {
    let filter = Filter { person: Some(person.to_owned()), from, ..Filter::default() };
    db.fetch(along(&filter, Place::NEWEST, limit)).await
}

pub(super) fn statement(
    scope: &Scope,
    filter: &Filter,
    after: Option<Place>,
    limit: usize,
) -> Option<Sql<'static>> {
    let after = after.unwrap_or(Place::NEWEST);
    match (scope, &filter.owner) {
        (Scope::All, None) => Some(along(filter, after, limit)),
        (Scope::All, Some(owner)) => Some(owned(&[(owner.clone(), filter.from)], filter, after, limit)),
        (Scope::Only(holdings), owner) => {
            let wanted =
                holdings.addresses.iter().filter(|(own, _)| owner.as_ref().is_none_or(|it| it == *own));
            let since = |held: Millis| held.max(filter.from);
            let owners: Vec<_> = wanted.map(|(own, held)| (own.clone(), since(held.since))).collect();
            (!owners.is_empty()).then(|| owned(&owners, filter, after, limit))
        }
    }
}

const COLUMNS: &str = "a.id, a.at, a.actor, a.action, a.role, a.client, a.detail";

/// Along the entries of a person, of a kind, or all.
fn along(filter: &Filter, after: Place, limit: usize) -> Sql<'static> {
    let (rest, values) = conditions(filter);
    let text = format!(
        "SELECT {COLUMNS} FROM audit a WHERE a.at >= ? AND a.at <= ? AND (a.at < ? OR a.id < ?){rest} \
         ORDER BY a.at DESC, a.id DESC LIMIT ?"
    );
    let begin = sql(text).bind(filter.from).bind(after.at).bind(after.at).bind(after.id);
    begin.bind_all(values).bind(i64::try_from(limit).unwrap_or(i64::MAX))
}

/// Along what concerns these owners, each from a moment on.
fn owned(owners: &[(String, Millis)], filter: &Filter, after: Place, limit: usize) -> Sql<'static> {
    let (rest, values) = conditions(filter);
    let one = "(o.owner = ? AND o.at >= ? AND o.at <= ?)";
    let ranges = vec![one; owners.len()].join(" OR ");
    // An entry may concern several own addresses and is one entry all the same.
    let (once, order) = match owners.len() {
        1 => ("", "o.at DESC, o.entry DESC"),
        _ => ("DISTINCT ", "a.at DESC, a.id DESC"),
    };
    let text = format!(
        "SELECT {once}{COLUMNS} FROM audit_owner o JOIN audit a ON a.id = o.entry \
         WHERE ({ranges}) AND (o.at < ? OR o.entry < ?){rest} ORDER BY {order} LIMIT ?"
    );
    let ranges = owners.iter().flat_map(|(owner, from)| -> [Value<'static>; 3] {
        [owner.clone().into(), (*from).into(), after.at.into()]
    });
    let begin = sql(text).bind_all(ranges).bind(after.at).bind(after.id);
    begin.bind_all(values).bind(i64::try_from(limit).unwrap_or(i64::MAX))
}

fn conditions(filter: &Filter) -> (String, Vec<Value<'static>>) {
    let action = filter.action.map(|action| action.code().to_owned());
    let all = [
        (" AND a.actor = ?", filter.person.clone()),
        (" AND a.actor <> ?", filter.other_than.clone()),
        (" AND a.action = ?", action),
    ];
    let given = all.into_iter().filter_map(|(text, value)| Some((text, Value::from(value?))));
    given.unzip()
}

async fn with_owners(db: &Db, mut entries: Vec<Entry>) -> Result<Vec<Entry>> {
    if entries.is_empty() {
        return Ok(entries);
    }
    let text = format!(
        "SELECT entry, owner FROM audit_owner WHERE entry IN ({}) ORDER BY owner",
        places(entries.len())
    );
    let rows: Vec<(i64, String)> = db.fetch(sql(text).bind_all(entries.iter().map(|entry| entry.id))).await?;
    let mut owners: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (entry, owner) in rows {
        owners.entry(entry).or_default().push(owner);
    }
    for entry in &mut entries {
        entry.owners = owners.remove(&entry.id).unwrap_or_default();
    }
    Ok(entries)
}

/// When each of these people was last here.
pub async fn last_visits(db: &Db, people: &[String]) -> Result<BTreeMap<String, Millis>> {
    let mut last: BTreeMap<String, Millis> = BTreeMap::new();
    for people in people.chunks(200) {
        let places = places(people.len());
        for text in [
            format!("SELECT actor, MAX(at) FROM audit WHERE actor IN ({places}) GROUP BY actor"),
            format!("SELECT address, MAX(seen_at) FROM session WHERE address IN ({places}) GROUP BY address"),
        ] {
            let rows: Vec<(String, Millis)> = db.fetch(sql(text).bind_all(people)).await?;
            for (person, at) in rows {
                let known = last.entry(person).or_insert(at);
                *known = at.max(*known);
            }
        }
    }
    Ok(last)
}

/// One who looked at many stories of another.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Crowd {
    /// Who looked.
    pub actor: String,
    /// Whose stories.
    pub owner: String,
    /// How many.
    pub stories: i64,
}

/// What the log says in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// People who looked at stories.
    pub people: i64,
    /// Stories that were looked at.
    pub stories: i64,
    /// Who looked at most stories of one other person.
    pub crowd: Option<Crowd>,
    /// Sign-ins that were refused, and the address that most came from.
    pub refused: (i64, String),
    /// Wrong keys, each address once an hour.
    pub keys: (i64, String),
    /// Addresses that asked too often, each once an hour.
    pub limited: (i64, String),
    /// Changes of roles.
    pub roles: i64,
}

/// More entries of one kind are not looked at for a sentence.
const MOST: i64 = 20_000;

/// The sentence's figures, for those who see everything; empty for all others.
pub async fn summary(db: &Db, scope: &Scope, from: Millis) -> Result<Summary> {
    if *scope != Scope::All {
        return Ok(Summary::default());
    }
    let looked: Option<(i64, i64)> = db.fetch_one(looked_statement(from)).await?;
    let (people, stories) = looked.unwrap_or_default();
    Ok(Summary {
        people,
        stories,
        crowd: db.fetch_one(crowd_statement(from)).await?,
        refused: counted(db, Action::SignInRefused, from).await?,
        keys: counted(db, Action::KeyRefused, from).await?,
        limited: counted(db, Action::Limited, from).await?,
        roles: counted(db, Action::RoleChanged, from).await?.0,
    })
}

/// The newest entries of a kind, as a table `t`.
const NEWEST: &str =
    "(SELECT id, actor, client FROM audit WHERE action = ? AND at >= ? ORDER BY at DESC LIMIT ?) t";

fn newest(text: String, action: Action, from: Millis) -> Sql<'static> {
    sql(text).bind(action.code()).bind(from).bind(MOST)
}

pub(super) fn looked_statement(from: Millis) -> Sql<'static> {
    newest(format!("SELECT COUNT(DISTINCT actor), COUNT(*) FROM {NEWEST}"), Action::Story, from)
}

pub(super) fn crowd_statement(from: Millis) -> Sql<'static> {
    let text = format!(
        "SELECT t.actor, o.owner, COUNT(*) AS stories FROM {NEWEST} JOIN audit_owner o ON o.entry = t.id \
         WHERE o.owner <> t.actor AND o.owner LIKE '%@%' GROUP BY t.actor, o.owner ORDER BY stories DESC LIMIT 1"
    );
    newest(text, Action::Story, from)
}

/// How many entries of a kind there are, and where most came from.
async fn counted(db: &Db, action: Action, from: Millis) -> Result<(i64, String)> {
    let rows: Vec<(String, i64)> = db.fetch(clients_statement(action, from)).await?;
    let all = rows.iter().map(|(_, count)| count).sum();
    Ok((all, rows.into_iter().next().map(|(client, _)| client).unwrap_or_default()))
}

pub(super) fn clients_statement(action: Action, from: Millis) -> Sql<'static> {
    let text = format!("SELECT client, COUNT(*) FROM {NEWEST} GROUP BY client ORDER BY 2 DESC, client");
    newest(text, action, from)
}
