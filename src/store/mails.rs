//! Mails as their visitors may see them: lists, single mails, related ones, counts.
//!
//! A list narrows by key ranges (never by a scan), reads the mails, lets the scope cut them to what the visitor
//! may see, and lets the filter decide. Work is bounded: a list that looks at too many mails without filling a
//! page stops and says so.

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem::{self, Finder};

use super::{
    correlation::StoredMail,
    db::{Db, Result, Sql, Value, filled, places, sql},
    dictionaries, gathered,
    keys::{FOUND_ONLY, Kind, address_key, key, keys_of, state},
    opens,
    search::Candidates,
};
use crate::model::{
    filter::{Filter, Place, bare_message_id},
    mail::{Direction, Mail, MailId, Status, VisibleMail},
    open::Opened,
    scope::{Holding, Holdings, Scope, normalise_domain},
    time::Millis,
};

/// How many mails one request may look at before it stops.
const WORK: usize = 6000;
/// How many mails are read at once while a filter throws most of them away.
const STRIDE: usize = 500;
/// How many ids are asked for first where the search index has a candidate.
const PROBE: usize = 32;
/// How many candidates of the search index are looked at by one statement at most; fewer at first.
const SPANS: usize = 32;
/// What a step of a search costs at least, as mails looked at.
const STEP: usize = 20;
/// With more ranges than this nothing is narrowed by them: a statement of SQLite holds 32,766 values. The scope decides anyway.
const NARROWING: usize = 4000;
/// Ranges of one statement: SQLite joins 500 selections at most, and a range lies in two tables.
const TOGETHER: usize = 200;

/// One page of a list, newest first.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The mails.
    pub mails: Vec<VisibleMail>,
    /// Begin of the page of newer mails: `Place::After` it. `None` at the end.
    pub newer: Option<MailId>,
    /// Begin of the page of older mails: `Place::Before` it. `None` at the end.
    pub older: Option<MailId>,
    /// The search stopped at its work limit; `older` goes on from there.
    pub stopped: bool,
}

/// An index range that lists mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Range {
    /// The tables of keys, with the lowest id that counts.
    Key(i32, MailId),
    /// All mails with this state.
    State(u8),
    /// All mails.
    All,
}

/// Ids to look at: from index ranges, or a fixed list (from the search index).
#[derive(Debug, Clone)]
struct Driver {
    ranges: Vec<Range>,
    /// Only mails that also lie in one of these ranges.
    within: Vec<Range>,
    /// States that the ranges' owners may see as wanted; empty means any.
    states: Vec<u8>,
    /// Ranges of shared aliases, to which `states` do not apply: their keys show what the alias as a sender sees.
    shared: Vec<Range>,
}

impl Driver {
    /// Whether it walks along the mails themselves, all of them or those of some states.
    fn walks_all(&self) -> bool {
        !self.ranges.iter().any(|range| matches!(range, Range::Key(..)))
    }
}

/// Mails that fit, newest first, `limit` a page.
pub async fn search(db: &Db, scope: &Scope, filter: &Filter, place: Place, limit: usize) -> Result<Page> {
    let Some(driver) = driver(scope, filter) else { return Ok(Page::default()) };
    // A search among few mails looks at each of them: how long it takes must not hang on mails that are not for the visitor.
    let index = if counted_ranges(scope).is_empty() { None } else { Candidates::of(db, filter).await? };
    if let Some(mut index) = index {
        let page = walk(db, scope, filter, &driver, place, limit, Some(&mut index)).await?;
        if index.still_stands(db).await? {
            return Ok(page);
        }
    }
    walk(db, scope, filter, &driver, place, limit, None).await
}

async fn walk(
    db: &Db,
    scope: &Scope,
    filter: &Filter,
    driver: &Driver,
    place: Place,
    limit: usize,
    mut index: Option<&mut Candidates>,
) -> Result<Page> {
    let backwards = matches!(place, Place::After(_));
    let mut at = place;
    let mut found: Vec<VisibleMail> = Vec::new();
    let mut looked_at = 0;
    let mut stopped = None;
    let sieve = Sieve::of(filter);
    let mut spans = SPANS / 4;
    let mut stride = match &index {
        Some(_) => PROBE,
        None if filter_needs_more(filter) => STRIDE,
        None => limit + 1,
    };
    loop {
        let (ids, last, exhausted) = match &mut index {
            Some(index) if driver.walks_all() => {
                let Some((ids, last)) = next_candidates(db, driver, filter, at, index, spans).await? else {
                    break;
                };
                spans = (2 * spans).min(SPANS);
                // Below everything nothing is left.
                (ids, last, last == MailId(i64::MIN))
            }
            index => {
                if let Some(index) = index {
                    let Some(next) = index.leap(db, at).await? else { break };
                    at = next;
                }
                let mut ids = next_ids(db, driver, filter, at, stride).await?;
                let exhausted = ids.len() < stride;
                let Some(last) = ids.last().copied() else { break };
                if let Some(index) = index {
                    index.retain(db, &mut ids).await?;
                    stride = if ids.is_empty() { STRIDE.min(stride * 2) } else { PROBE };
                }
                (ids, last, exhausted)
            }
        };
        looked_at += ids.len().max(STEP);
        let mails = read_where(db, &ids, |story| sieve.may_hold(story)).await?;
        let visible = mails.into_iter().filter_map(|mail| scope.view(mail));
        let mut fitting: Vec<VisibleMail> = visible.filter(|mail| filter.matches(mail)).collect();
        if let Some(Opened(key)) = &filter.opened {
            let opens = opens::first_opens(db, scope, key.as_ref(), &fitting).await?;
            fitting.retain(|mail| opens.contains_key(&mail.id));
        }
        let room = (limit + 1).saturating_sub(found.len());
        found.extend(fitting.into_iter().take(room));
        at = if backwards { Place::After(last) } else { Place::Before(last) };
        if found.len() > limit || exhausted {
            break;
        }
        if looked_at >= WORK {
            stopped = Some(last);
            break;
        }
    }
    Ok(page(found, place, limit, stopped))
}

fn page(mut found: Vec<VisibleMail>, place: Place, limit: usize, stopped: Option<MailId>) -> Page {
    let more = found.len() > limit;
    found.truncate(limit);
    let backwards = matches!(place, Place::After(_));
    if backwards {
        found.reverse();
    }
    let (first, last) = (found.first().map(|mail| mail.id), found.last().map(|mail| mail.id));
    match place {
        Place::Newest => Page {
            newer: None,
            older: stopped.or(last.filter(|_| more)),
            mails: found,
            stopped: stopped.is_some(),
        },
        Place::Before(from) => Page {
            newer: first.or(Some(MailId(from.0 - 1))),
            older: stopped.or(last.filter(|_| more)),
            mails: found,
            stopped: stopped.is_some(),
        },
        Place::After(from) => Page {
            newer: stopped.or(first.filter(|_| more)),
            older: last.or(Some(MailId(from.0 + 1))),
            mails: found,
            stopped: stopped.is_some(),
        },
    }
}

/// Whether mails of the driver may fail the filter, so that more than a page must be read.
pub(super) fn filter_needs_more(filter: &Filter) -> bool {
    let plain = Filter {
        direction: filter.direction,
        statuses: filter.statuses.clone(),
        from: filter.from,
        to: filter.to,
        ..Filter::default()
    };
    *filter != plain
}

/// The narrowest ranges that hold all mails of scope and filter. `None` when nothing can fit.
fn driver(scope: &Scope, filter: &Filter) -> Option<Driver> {
    let own = scope_ranges(scope);
    let states = wanted_states(filter, own == [Range::All]);
    let within = |ranges: Vec<Range>| {
        let within = if own == [Range::All] { Vec::new() } else { own.clone() };
        // The state in a key is what that key's owner sees; another owner's key does not tell ours.
        Some(Driver { ranges, within, states: Vec::new(), shared: Vec::new() })
    };
    let everything = MailId(0);
    if let Some(id) = &filter.queue_id {
        return within(vec![Range::Key(key(Kind::Queue, id.trim()), everything)]);
    }
    if let Some(id) = &filter.message_id {
        return within(vec![Range::Key(key(Kind::Message, bare_message_id(id)), everything)]);
    }
    for wish in [&filter.sender, &filter.rcpt].into_iter().flatten() {
        let wish = wish.trim();
        if let Some(domain) = wish.strip_prefix('@') {
            let domain = normalise_domain(domain)?;
            return within(vec![Range::Key(key(Kind::Domain, &domain), everything)]);
        }
        if let Some(key) = address_key(wish) {
            return within(vec![Range::Key(key, everything)]);
        }
    }
    if let Some(domain) = &filter.domain {
        let domain = normalise_domain(domain.trim().trim_start_matches('@'))?;
        return within(vec![Range::Key(key(Kind::Domain, &domain), everything)]);
    }
    if own.is_empty() {
        return None;
    }
    if own == [Range::All] && !states.is_empty() {
        let ranges = states.into_iter().map(Range::State).collect();
        return Some(Driver { ranges, within: Vec::new(), states: Vec::new(), shared: Vec::new() });
    }
    Some(Driver { ranges: own, within: Vec::new(), states, shared: shared_ranges(scope) })
}

fn scope_ranges(scope: &Scope) -> Vec<Range> {
    let Scope::Only(holdings) = scope else { return vec![Range::All] };
    let mut ranges = domain_ranges(holdings);
    ranges.extend(address_ranges(holdings));
    ranges
}

fn domain_ranges(holdings: &Holdings) -> Vec<Range> {
    holdings.domains.iter().map(|domain| Range::Key(key(Kind::Domain, domain), MailId(0))).collect()
}

fn address_ranges(holdings: &Holdings) -> Vec<Range> {
    holdings.addresses.iter().filter_map(|(address, holding)| address_range(address, holding)).collect()
}

fn address_range(address: &str, holding: &Holding) -> Option<Range> {
    Some(Range::Key(address_key(address)?, MailId::floor(holding.since)))
}

/// States that may show as one of the wanted ones. Junk in somebody else's mailbox shows as sent, so that the worst
/// of the others shows; a mail that also left the house shows as internal to its recipients here.
fn wanted_states(filter: &Filter, all: bool) -> Vec<u8> {
    if filter.statuses.is_empty() && filter.direction.is_none() {
        return Vec::new();
    }
    let mut statuses: BTreeSet<Status> = filter.statuses.iter().copied().collect();
    if !all && statuses.iter().any(|status| *status < Status::Junk) {
        statuses.insert(Status::Junk);
    }
    if statuses.is_empty() {
        statuses.extend(Status::ALL);
    }
    let directions = match filter.direction {
        None => Direction::ALL.to_vec(),
        Some(direction) if all || direction == Direction::Out => vec![direction],
        Some(direction) => vec![direction, Direction::Out],
    };
    statuses
        .into_iter()
        .flat_map(|status| directions.iter().map(move |direction| state(status, *direction)))
        .collect()
}

/// The next ids in list order.
async fn next_ids(db: &Db, driver: &Driver, filter: &Filter, at: Place, count: usize) -> Result<Vec<MailId>> {
    let mut ids: BTreeSet<MailId> = BTreeSet::new();
    for ranges in driver.ranges.chunks(TOGETHER) {
        let rows: Vec<(MailId,)> = db.fetch(ids_statement(driver, ranges, filter, at, count)).await?;
        ids.extend(rows.into_iter().map(|(id,)| id));
    }
    Ok(if matches!(at, Place::After(_)) {
        ids.into_iter().take(count).collect()
    } else {
        ids.into_iter().rev().take(count).collect()
    })
}

/// The ids in the next candidates of the search index, in list order, and how far that went; `None` at the end.
async fn next_candidates(
    db: &Db,
    driver: &Driver,
    filter: &Filter,
    at: Place,
    index: &mut Candidates,
    most: usize,
) -> Result<Option<(Vec<MailId>, MailId)>> {
    let (low, high) = bounds(filter, at);
    let backwards = matches!(at, Place::After(_));
    let at = if backwards { Place::After(MailId(low.0.saturating_sub(1))) } else { Place::Before(high) };
    let mut spans = index.spans(db, at, most).await?;
    spans.retain(|(first, end)| *end > low && *first < high);
    let Some((first, end)) = spans.last().copied() else { return Ok(None) };
    let rows: Vec<(MailId,)> = db.fetch(spans_statement(driver, &spans, (low, high), backwards)).await?;
    let mut ids: Vec<MailId> = rows.into_iter().map(|(id,)| id).collect();
    ids.sort_unstable();
    if !backwards {
        ids.reverse();
    }
    ids.truncate(STRIDE);
    let far = if backwards { MailId(end.0 - 1) } else { first };
    let last = ids.last().copied().filter(|_| ids.len() == STRIDE).unwrap_or(far);
    Ok(Some((ids, last)))
}

/// Ids of a driver that [`Driver::walks_all`] in spans of ids; of each so many that the first [`STRIDE`] are among them.
fn spans_statement(
    driver: &Driver,
    spans: &[(MailId, MailId)],
    (low, high): (MailId, MailId),
    backwards: bool,
) -> Sql<'static> {
    let states = driver.ranges.iter().filter_map(|range| match range {
        Range::State(state) => Some(*state),
        _ => None,
    });
    let states: Vec<u8> = states.collect();
    let wanted = match states.len() {
        0 => String::new(),
        count => format!(" AND x.state IN ({})", places(count)),
    };
    let order = if backwards { "ASC" } else { "DESC" };
    let (mut text, mut values) = (String::new(), Vec::new());
    for (index, (first, end)) in spans.iter().enumerate() {
        text.push_str(if index > 0 { " UNION ALL " } else { "" });
        text.push_str(&format!(
            "SELECT id FROM (SELECT x.id AS id FROM mail_story x WHERE x.id >= ? AND x.id < ?{wanted} \
             ORDER BY x.id {order} LIMIT {STRIDE}) AS r{index}"
        ));
        values.extend([Value::from(low.max(*first)), high.min(*end).into()]);
        values.extend(states.iter().map(|state| Value::from(*state)));
    }
    sql(text).bind_all(values)
}

/// The ids that a filter and a place in the list leave: from the first on, and below the second.
fn bounds(filter: &Filter, at: Place) -> (MailId, MailId) {
    let low = filter.from.map_or(MailId(i64::MIN), MailId::floor);
    let high = filter.to.map_or(MailId(i64::MAX), |to| MailId::floor(Millis(to.0.saturating_add(999))));
    match at {
        Place::Newest => (low, high),
        Place::Before(id) => (low, high.min(id)),
        Place::After(id) => (low.max(MailId(id.0.saturating_add(1))), high),
    }
}

fn ids_statement(
    driver: &Driver,
    ranges: &[Range],
    filter: &Filter,
    at: Place,
    count: usize,
) -> Sql<'static> {
    let (low, high) = bounds(filter, at);
    let order = if matches!(at, Place::After(_)) { "ASC" } else { "DESC" };
    let mut text = String::new();
    let mut values: Vec<Value<'static>> = Vec::new();
    for (index, (range, source)) in ranges.iter().flat_map(sources).enumerate() {
        if index > 0 {
            text.push_str(" UNION ALL ");
        }
        text.push_str("SELECT id FROM (");
        let column = one_source(&mut text, &mut values, (*range, source), driver, (low, high));
        text.push_str(&format!(" ORDER BY {column} {order} LIMIT {count}) AS r{index}"));
    }
    sql(text).bind_all(values)
}

/// A range in each of the tables in which it lies.
fn sources(range: &Range) -> impl Iterator<Item = (&Range, &'static str)> {
    let tables: &[&str] = match range {
        Range::Key(..) => &gathered::TABLES,
        Range::State(_) | Range::All => &["mail_story"],
    };
    tables.iter().map(move |table| (range, *table))
}

/// Selects the ids of a range in one table; the column of the id.
fn one_source(
    text: &mut String,
    values: &mut Vec<Value<'static>>,
    (range, table): (Range, &str),
    driver: &Driver,
    (low, high): (MailId, MailId),
) -> &'static str {
    let (column, narrow, floor) = match range {
        Range::Key(_, floor) => ("x.mail", "x.k = ?", floor),
        Range::State(_) => ("x.id", "x.state = ?", MailId(i64::MIN)),
        Range::All => ("x.id", "1 = 1", MailId(i64::MIN)),
    };
    match range {
        Range::Key(key, _) => values.push(key.into()),
        Range::State(state) => values.push(state.into()),
        Range::All => {}
    }
    text.push_str(&format!(
        "SELECT {column} AS id FROM {table} x WHERE {narrow} AND {column} >= ? AND {column} < ?"
    ));
    values.push(low.max(floor).into());
    values.push(high.into());
    if !driver.states.is_empty() && !driver.shared.contains(&range) {
        let more = if matches!(range, Range::Key(..)) {
            format!(" OR x.state >= {FOUND_ONLY}")
        } else {
            String::new()
        };
        text.push_str(&format!(" AND (x.state IN ({}){more})", places(driver.states.len())));
        values.extend(driver.states.iter().map(|state| Value::from(*state)));
    }
    if !driver.within.is_empty() && driver.within.len() <= NARROWING {
        let keys = driver.within.iter().filter_map(|range| match range {
            Range::Key(key, _) => Some(Value::from(*key)),
            _ => None,
        });
        let keys: Vec<_> = keys.collect();
        let places = places(keys.len());
        let stands = gathered::TABLES.map(|table| {
            values.extend(keys.iter().cloned());
            format!("EXISTS (SELECT 1 FROM {table} s WHERE s.k IN ({places}) AND s.mail = {column})")
        });
        text.push_str(&format!(" AND ({})", stands.join(" OR ")));
    }
    column
}

/// The mails with these ids, in their order.
pub(super) async fn read(db: &Db, ids: &[MailId]) -> Result<Vec<Mail>> {
    read_where(db, ids, |_| true).await
}

/// Those of the mails with these ids whose stories pass.
async fn read_where(db: &Db, ids: &[MailId], passes: impl Fn(&[u8]) -> bool) -> Result<Vec<Mail>> {
    let mut mails = BTreeMap::new();
    for ids in ids.chunks(STRIDE) {
        let ids = filled(ids);
        let text = format!("SELECT id, server, story FROM mail_story WHERE id IN ({})", places(ids.len()));
        let rows = dictionaries::mails_of(db, sql(text).bind_all(ids)).await?;
        for row in rows {
            if passes(&row.story.0) {
                mails.insert(row.id, row.mail()?);
            }
        }
    }
    Ok(ids.iter().filter_map(|id| mails.remove(id)).collect())
}

/// Tells from the bytes of a story that its mail does not hold what a filter looks for: texts lie in a story as the log
/// wrote them, and to search bytes takes a small part of what it takes to make a mail of them.
struct Sieve(Vec<Finder<'static>>);

/// UTF-8 of the two letters beyond ASCII that are ASCII in lower case: the sign of Kelvin and the I with a dot.
const FOREIGN: [&[u8]; 2] = ["\u{212a}".as_bytes(), "\u{130}".as_bytes()];

impl Sieve {
    fn of(filter: &Filter) -> Self {
        // Parts beyond ASCII have other bytes in other letter case.
        let parts = filter.parts().map(|(part, _)| part).filter(|part| part.is_ascii());
        Self(parts.map(|part| Finder::new(&part.to_ascii_lowercase()).into_owned()).collect())
    }

    fn may_hold(&self, story: &[u8]) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let lower = story.to_ascii_lowercase();
        self.0.iter().all(|part| part.find(&lower).is_some())
            || FOREIGN.iter().any(|letter| memmem::find(story, letter).is_some())
    }
}

/// Those of some mails that are there and in scope.
pub async fn find_all(db: &Db, scope: &Scope, ids: &[MailId]) -> Result<Vec<VisibleMail>> {
    Ok(read(db, ids).await?.into_iter().filter_map(|mail| scope.view(mail)).collect())
}

/// One mail; `None` when it is missing, pruned or foreign.
pub async fn find(db: &Db, scope: &Scope, id: MailId) -> Result<Option<VisibleMail>> {
    let mail = read(db, &[id]).await?.into_iter().next();
    Ok(mail.and_then(|mail| scope.view(mail)))
}

/// Mails that belong to this one and may be seen: the notices about it, the mail that it is about.
pub async fn related(db: &Db, scope: &Scope, mail: &VisibleMail) -> Result<Vec<VisibleMail>> {
    let ids: Vec<&str> =
        mail.notices.iter().map(|notice| notice.queue_id.as_str()).chain(mail.parent.as_deref()).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<i32> = ids.iter().map(|id| key(Kind::Queue, id)).collect();
    let one = |table| format!("SELECT mail FROM {table} WHERE k IN ({})", places(keys.len()));
    let text = format!("{} ORDER BY mail LIMIT 50", gathered::TABLES.map(one).join(" UNION ALL "));
    let statement = sql(text).bind_all(keys.iter().copied()).bind_all(keys.iter().copied());
    let rows: Vec<(MailId,)> = db.fetch(statement).await?;
    let rows: Vec<MailId> = rows.into_iter().map(|(id,)| id).collect();
    let near = |other: &VisibleMail| {
        // Short queue ids come back: the other mail lived when this one did.
        other.first_seen <= mail.last_seen && other.last_seen >= mail.first_seen
    };
    let mails = read(db, &rows).await?.into_iter().filter_map(|other| scope.view(other));
    Ok(mails
        .filter(|other| other.queue_id.as_deref().is_some_and(|id| ids.contains(&id)) && near(other))
        .collect())
}

/// Mails of one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HourCount {
    /// Begin of the hour.
    pub hour: Millis,
    /// Came in.
    pub received: i64,
    /// Went out or stayed inside.
    pub sent: i64,
    /// Did not arrive, or not where they should.
    pub problems: i64,
}

/// Mails per hour in a range, each once. Those of domains are counted inside the index, where a key alone tells that its mails
/// may be seen. Those of addresses are looked at: another address may have the same key, and what others send in the name of a
/// shared alias is not for all who read it.
pub async fn hours(db: &Db, scope: &Scope, from: Millis, to: Millis) -> Result<Vec<HourCount>> {
    let (low, high) = (MailId::floor(from), MailId::floor(to));
    let counted = counted_ranges(scope);
    let mut counts: BTreeMap<i64, HourCount> = BTreeMap::new();
    if !counted.is_empty() {
        let (text, values) = hour_counts(&counted, low, high);
        let rows: Vec<(i64, i64, i64)> = db.fetch(sql(text).bind_all(values)).await?;
        for (at, state, count) in rows {
            add(&mut counts, MailId(at), state, count);
        }
    }
    let Scope::Only(holdings) = scope else { return Ok(counts.into_values().collect()) };
    let is_counted = |mail: &Mail| {
        let keys = keys_of(mail);
        counted.iter().any(|range| matches!(range, Range::Key(key, _) if keys.contains_key(key)))
    };
    // Those of an administered domain are counted by its key.
    let further = holdings.addresses.iter().filter(|(address, _)| !holdings.administers(address));
    let ranges: Vec<Range> =
        further.filter_map(|(address, holding)| address_range(address, holding)).collect();
    if ranges.is_empty() {
        return Ok(counts.into_values().collect());
    }
    let driver = Driver { ranges, within: Vec::new(), states: Vec::new(), shared: Vec::new() };
    let span = Filter { from: Some(from), to: Some(to), ..Filter::default() };
    let mut at = Place::Newest;
    loop {
        let ids = next_ids(db, &driver, &span, at, STRIDE).await?;
        let Some(last) = ids.last().copied() else { break };
        for mail in read(db, &ids).await?.into_iter().filter(|mail| !is_counted(mail)) {
            if let Some(mail) = scope.view(mail) {
                add(&mut counts, mail.id, state(mail.status, mail.direction).into(), 1);
            }
        }
        at = Place::Before(last);
    }
    Ok(counts.into_values().collect())
}

/// Ranges all of whose mails the scope sees.
fn counted_ranges(scope: &Scope) -> Vec<Range> {
    match scope {
        Scope::All => vec![Range::All],
        Scope::Only(holdings) => domain_ranges(holdings),
    }
}

/// Ranges of addresses that their holder shares with others, or did once: their keys show what the address as a sender sees.
fn shared_ranges(scope: &Scope) -> Vec<Range> {
    let Scope::Only(holdings) = scope else { return Vec::new() };
    let shared = |holding: &Holding| holding.sends.is_none_or(|sends| sends > holding.since);
    let held = holdings.addresses.iter().filter(|(_, holding)| shared(holding));
    held.filter_map(|(address, holding)| address_range(address, holding)).collect()
}

/// Rows of hour, state and count. A mail that stands in several ranges counts once, in its worst state.
fn hour_counts(ranges: &[Range], low: MailId, high: MailId) -> (String, Vec<Value<'static>>) {
    let hour = || Value::from(3600_i64 << MailId::HASH_BITS);
    if ranges == [Range::All] {
        // With every state named, both engines stay inside the index on (state, id) and read no mail.
        let states: Vec<u8> = Status::ALL
            .iter()
            .flat_map(|status| Direction::ALL.map(|direction| state(*status, direction)))
            .collect();
        let text = format!(
            "SELECT id - id % ? AS h, state, COUNT(*) FROM mail_story WHERE state IN ({}) AND id >= ? AND id < ? \
             GROUP BY h, state",
            places(states.len())
        );
        let values = [hour()].into_iter().chain(states.into_iter().map(Value::from));
        return (text, values.chain([low.into(), high.into()]).collect());
    }
    let mut narrow = String::new();
    let mut bounds: Vec<Value<'static>> = Vec::new();
    for (index, range) in ranges.iter().enumerate() {
        let Range::Key(key, floor) = range else { continue };
        narrow.push_str(if index > 0 { " OR " } else { "" });
        narrow.push_str("(k = ? AND mail >= ? AND mail < ? AND state < ?)");
        bounds.extend([(*key).into(), low.max(*floor).into(), high.into(), FOUND_ONLY.into()]);
    }
    let counted =
        |from: &str| format!("SELECT mail - mail % ? AS h, state, COUNT(*) FROM {from} GROUP BY h, state");
    if ranges.len() == 1 {
        // A mail stands once under a key, in one of the tables.
        let text =
            gathered::TABLES.map(|table| counted(&format!("{table} WHERE {narrow}"))).join(" UNION ALL ");
        let once = [hour()].into_iter().chain(bounds).collect::<Vec<_>>();
        return (text, [once.clone(), once].concat());
    }
    let found = gathered::TABLES.map(|table| format!("SELECT mail, state FROM {table} WHERE {narrow}"));
    let own = format!(
        "(SELECT mail, MAX(state) AS state FROM ({}) AS found GROUP BY mail) AS own",
        found.join(" UNION ALL ")
    );
    (counted(&own), [hour()].into_iter().chain(bounds.clone()).chain(bounds).collect())
}

fn add(counts: &mut BTreeMap<i64, HourCount>, id: MailId, state: i64, count: i64) {
    let hour = id.second();
    let hour = Millis(hour.0 - hour.0.rem_euclid(3_600_000));
    let row = counts.entry(hour.0).or_insert(HourCount { hour, received: 0, sent: 0, problems: 0 });
    let status = usize::try_from(state & 15).ok().and_then(|index| Status::ALL.get(index));
    match status {
        Some(Status::Bounced | Status::Expired | Status::Virus | Status::Held | Status::Delayed) => {
            row.problems += count;
        }
        _ if state >> 4 == Direction::In as i64 => row.received += count,
        _ => row.sent += count,
    }
}

/// Forgets mails first seen before `before`, a bounded number at a time; true when there may be more.
pub async fn prune(tx: &mut super::Tx, before: Millis) -> Result<bool> {
    let rows = tx
        .fetch(
            sql("SELECT id, server, story FROM mail_story WHERE id < ? ORDER BY id LIMIT 500")
                .bind(MailId::floor(before)),
        )
        .await?;
    let rows = dictionaries::mails_in(tx, rows).await?;
    let mails = rows.iter().map(StoredMail::mail).collect::<Result<Vec<_>>>()?;
    let more = rows.len() == 500;
    let end = rows.last().map(|row| row.id).filter(|_| more).unwrap_or(MailId::floor(before));
    // In the order in which a poll writes, so that none waits for the other.
    tx.execute(sql("DELETE FROM scan WHERE id < ?").bind(end)).await?;
    tx.execute(sql("DELETE FROM scan_pending WHERE scan < ?").bind(end)).await?;
    super::correlation::remove(tx, &mails).await?;
    super::search::prune(tx, MailId::second(end)).await?;
    Ok(more)
}

#[cfg(test)]
mod tests;
