//! From lines and verdicts to mails. A mail is the fold of all facts of its queue id, so a batch loads what is
//! known of the queue ids that it touches, adds its facts, folds again and writes what changed. Order, repeats
//! and restarts do not change the result.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{join, sessions::Sessions, shapes};
use crate::{
    model::{
        event::{Action, Event, Fact, LogLine, Parsed, Refusal},
        fold::{REUSE, begins, mail_id, split},
        mail::{Mail, MailId, ServerId},
        scan::Scan,
        time::Millis,
    },
    parse::postfix,
    store::{
        self, Claimed, Story, Tx,
        correlation::{self, MailWrite, StoredMail},
        dictionaries::{self, Packer},
        scans::{self, Making, StoredScan},
    },
    work::cores,
};

/// Two mails with one queue id whose message ids do not tell are the same when they began within this time, in
/// milliseconds. The PHP app moved some moments by two days.
const SAME_LIFE: u64 = 3 * 86_400_000;

/// Mails of all times.
const EVER: Millis = Millis(0);

/// How a batch relates to what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// Every row is new: a poll has found its place in the log. Equal refusals of one second are several.
    New,
    /// Rows may be stored already: an imported file. Equal refusals are the same, unless the file repeats them.
    Perhaps,
}

/// Rows to be taken, oldest first.
pub struct Batch<'a> {
    /// Whose log.
    pub server: ServerId,
    /// Postfix lines.
    pub lines: &'a [LogLine<'a>],
    /// Rows of Rspamd's history.
    pub scans: Arc<[Scan]>,
    /// Queue ids of mails of which a copy is in quarantine, and since when. May be known already.
    pub quarantined: &'a [(String, Millis)],
    /// Whether the rows may be known.
    pub novelty: Novelty,
}

/// What a batch brought.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Mails that were not known before, less those that were and turned out to be part of others.
    pub new_mails: i64,
    /// Mails whose story changed, new ones included.
    pub changed: Vec<MailId>,
    /// Lines that no rule knows: (program, shape) to (count, example, latest).
    pub unknown: BTreeMap<(String, String), (i64, String, Millis)>,
    /// Words of other servers that ended or delayed a delivery, with the moment.
    pub replies: Vec<(Millis, String, String)>,
    /// Indexes of lines that told something new.
    pub telling: Vec<usize>,
}

/// Takes a batch within the caller's transaction.
pub async fn take(tx: &mut Tx, batch: &Batch<'_>, sessions: &mut Sessions) -> store::Result<Outcome> {
    let mut outcome = Outcome::default();
    let parsed: Vec<Parsed> =
        batch.lines.iter().map(|line| postfix::parse(line.program, line.text)).collect();
    let told = told_before(batch.lines, &parsed, sessions);
    let mut facts = sort_facts(batch.lines, parsed, &told, &mut outcome);
    for (queue_id, at) in batch.quarantined {
        let event = Event { at: *at, fact: Fact::Quarantined, program: "quarantine" };
        facts.by_queue_id.entry(queue_id).or_default().push((usize::MAX, event));
    }
    let verdicts = Making::begin(tx, &batch.scans).await?;
    let newest = correlation::newest(tx).await?;
    let begun = facts.by_queue_id.iter().map(|(queue_id, facts)| (*queue_id, begun_since(facts, newest)));
    let stored = correlation::by_queue_ids(tx, &begun.collect()).await?;
    let works = merge(batch.server, facts.by_queue_id, &stored, &mut outcome)?;
    let refused = refusals(tx, batch, &facts.refusals, &mut outcome).await?;
    let refused = refused.iter().map(|(name, event)| {
        let story = Story { queue_id: "", name, events: vec![*event], verdicts: BTreeMap::new() };
        Work { stored: None, story, changed: true }
    });
    settle(tx, batch.server, (&batch.scans, verdicts), works, refused, &mut outcome).await?;
    Ok(outcome)
}

/// Mails that the PHP app kept, with what it kept of each.
pub struct KeptMail<'a> {
    /// Queue id; empty where it had none.
    pub queue_id: &'a str,
    /// What identifies the mail where it has no queue id.
    pub name: &'a str,
    /// The facts.
    pub events: Vec<Event<'a>>,
    /// What Rspamd said, where that was kept.
    pub scan: Option<Scan>,
}

/// Takes mails of the PHP app within the caller's transaction. A mail that the log has told of is left as it is; one
/// that was taken over before is taken anew.
pub async fn take_kept(tx: &mut Tx, server: ServerId, mails: &[KeptMail<'_>]) -> store::Result<Outcome> {
    let mut outcome = Outcome::default();
    let queue_ids = mails.iter().map(|mail| (mail.queue_id, EVER)).filter(|(id, _)| !id.is_empty()).collect();
    let stored = correlation::by_queue_ids(tx, &queue_ids).await?;
    let names = mails.iter().filter(|mail| mail.queue_id.is_empty());
    let named_id = |mail: &KeptMail<'_>| {
        let first = mail.events.iter().map(|event| event.at).min().unwrap_or_default();
        mail_id(server, first, mail.name)
    };
    let taken = correlation::taken(tx, &names.map(named_id).collect::<Vec<_>>()).await?;
    let mut known: HashMap<&str, Vec<(&StoredMail, Story)>> = HashMap::new();
    for mail in stored.iter().filter(|mail| mail.server == server) {
        let story = mail.story()?;
        known.entry(story.queue_id).or_default().push((mail, story));
    }
    let (mut works, mut scans) = (Vec::new(), Vec::new());
    for mail in mails {
        let fresh = match mail.queue_id {
            "" => !taken.contains(&named_id(mail)),
            queue_id => {
                let own = known.get(queue_id).into_iter().flatten().find(|(_, story)| is_same(story, mail));
                match own {
                    Some((_, story)) if !story.events.iter().any(is_kept) => continue,
                    Some((stored, story)) => {
                        works.extend(renewed(stored, story, mail));
                        continue;
                    }
                    None => true,
                }
            }
        };
        if fresh {
            let mut events = mail.events.clone();
            events.sort_unstable();
            let story = Story { queue_id: mail.queue_id, name: mail.name, events, verdicts: BTreeMap::new() };
            works.push(Work { stored: None, story, changed: true });
            scans.extend(mail.scan.clone());
        }
    }
    let scans = scans.into();
    let verdicts = Making::begin(tx, &scans).await?;
    settle(tx, server, (&scans, verdicts), works, std::iter::empty(), &mut outcome).await?;
    Ok(outcome)
}

fn is_kept(event: &Event<'_>) -> bool {
    matches!(event.fact, Fact::Kept(_) | Fact::Noted { .. })
}

/// Whether a stored mail is the one that the PHP app kept: queue ids come back.
fn is_same(story: &Story<'_>, mail: &KeptMail<'_>) -> bool {
    let ids = (story.message_id(), mail.events.iter().find_map(Event::message_id));
    let near = || {
        let moment = |events: &[Event<'_>]| events.iter().map(|event| event.at.0).min().unwrap_or(0);
        moment(&story.events).abs_diff(moment(&mail.events)) < SAME_LIFE
    };
    match ids {
        (Some(ours), Some(theirs)) => ours == theirs,
        _ => near(),
    }
}

/// A mail that was taken over before, with what the PHP app has now. What the log has added stays.
fn renewed<'a>(stored: &'a StoredMail, story: &Story<'a>, mail: &KeptMail<'a>) -> Option<Work<'a>> {
    let mut events: Vec<Event<'a>> = story.events.iter().copied().filter(|event| !is_kept(event)).collect();
    let seen: HashSet<_> = events.iter().map(identity).collect();
    events.extend(mail.events.iter().copied().filter(|event| !seen.contains(&identity(event))));
    events.sort_unstable();
    let changed = events != story.events;
    changed.then(|| Work { stored: Some(stored), story: Story { events, ..story.clone() }, changed })
}

/// Deals the verdicts out to the mails at hand, and writes what changed.
async fn settle<'a>(
    tx: &mut Tx,
    server: ServerId,
    (scans, verdicts): (&[Scan], Making),
    works: Vec<Work<'a>>,
    alone: impl Iterator<Item = Work<'a>>,
    outcome: &mut Outcome,
) -> store::Result<()> {
    let mut works = works;
    let waited = waiting_scans(tx, scans, &works).await?;
    let seen = scans.iter().chain(waited.iter().map(|pooled| &*pooled.scan));
    let others = other_mails(tx, server, seen, &works).await?;
    for other in &others {
        works.push(Work::known(other)?);
    }
    let pool = gather(tx, (scans, verdicts), waited, &mut works).await?;
    let (mut waiting, claimed) = join(&mut works, &pool);
    // One by one: all of them at once would have to live as long as the caller's.
    for work in alone {
        works.push(work);
    }
    let (writes, removed) = fold(tx, server, works, outcome).await?;
    give_ids(tx, &pool, &mut waiting).await?;
    // Nothing of what is written from here on is read again: it goes its way while the next is made.
    let nameless =
        pool.iter().filter(|pooled| pooled.origin == Origin::Batch && pooled.scan.message_id.is_none());
    let rows = waiting.iter().map(|(_, id, pooled)| (*id, *pooled));
    let rows = rows.chain(nameless.map(|pooled| (pooled.id, pooled)));
    scans::insert(tx, rows.map(|(id, pooled)| (id, &*pooled.scan, &*pooled.verdict))).await?;
    let waiting: Vec<(&str, i64)> = waiting.iter().map(|(message_id, id, _)| (*message_id, *id)).collect();
    scans::set_pending(tx, &waiting, &claimed).await?;
    correlation::remove(tx, &removed).await?;
    correlation::save(tx, writes).await
}

/// The facts of a batch, by what they concern.
struct Facts<'a> {
    by_queue_id: BTreeMap<&'a str, Vec<(usize, Event<'a>)>>,
    refusals: Vec<(usize, Event<'a>)>,
}

/// When stored mails may have begun that have to do with these facts of their queue id. One that began long before a first fact is
/// another one, as long as nothing later was taken for its own; `newest`: when the newest mail began, and so much is stored.
fn begun_since(facts: &[(usize, Event<'_>)], newest: Millis) -> Millis {
    let first = facts.iter().map(|(_, event)| event).min();
    let first = first.filter(|first| begins(&first.fact) && first.at.secs() >= newest.secs());
    first.map_or(EVER, |first| first.at.minus(REUSE))
}

/// What earlier lines of its session tell of a line, by its index. Owned first, so that facts can borrow.
#[derive(Default)]
struct Told {
    /// TLS protocols.
    protocols: HashMap<usize, String>,
    /// Texts of the lines by which mails are held or thrown away before they have a queue id.
    rules: HashMap<usize, String>,
}

fn told_before(lines: &[LogLine<'_>], parsed: &[Parsed<'_>], sessions: &mut Sessions) -> Told {
    let mut told = Told::default();
    for (index, (line, parsed)) in lines.iter().zip(parsed).enumerate() {
        let protocol = match parsed {
            Parsed::Session(session) => {
                sessions.begin(line, session);
                None
            }
            Parsed::Refused(refusal) if !refusal.refuses() => {
                sessions.stop(line, refusal);
                None
            }
            Parsed::Mail { fact: Fact::Client(client), .. } => {
                told.rules.extend(sessions.rule_of(line, client).map(|rule| (index, rule)));
                sessions.of_client(line, client)
            }
            Parsed::Mail { fact: Fact::Attempt(attempt), .. } if attempt.tls.is_none() => {
                sessions.of_attempt(line, attempt)
            }
            Parsed::Noise => {
                if let Some(peer) = line.text.strip_prefix("connect from ") {
                    sessions.connect(line, peer);
                }
                None
            }
            _ => None,
        };
        if let Some(protocol) = protocol {
            told.protocols.insert(index, protocol.to_owned());
        }
    }
    told
}

fn sort_facts<'a>(
    lines: &'a [LogLine<'a>],
    parsed: Vec<Parsed<'a>>,
    told: &'a Told,
    outcome: &mut Outcome,
) -> Facts<'a> {
    let mut facts = Facts { by_queue_id: BTreeMap::new(), refusals: Vec::new() };
    for (index, (line, parsed)) in lines.iter().zip(parsed).enumerate() {
        let event = |fact| Event { at: line.at, fact, program: line.program };
        match parsed {
            Parsed::Mail { queue_id, fact } => {
                let fact = with_protocol(fact, told.protocols.get(&index).map(String::as_str));
                let rule = told.rules.get(&index).map(|text| postfix::parse(line.program, text));
                if let Some(Parsed::Refused(rule)) = rule {
                    facts.by_queue_id.entry(queue_id).or_default().push((index, event(Fact::Refused(rule))));
                }
                if let Some((child, parent)) = parent_fact(queue_id, &fact, line.text) {
                    facts.by_queue_id.entry(child).or_default().push((index, event(parent)));
                }
                note_reply(line, &fact, outcome);
                facts.by_queue_id.entry(queue_id).or_default().push((index, event(fact)));
            }
            Parsed::Refused(refusal) if refusal.refuses() => {
                facts.refusals.push((index, event(Fact::Refused(refusal))));
            }
            // What is held or thrown away is told of the mail that comes next; one that is refused after all comes not.
            Parsed::Refused(_) | Parsed::Session(_) | Parsed::Noise => {}
            Parsed::Unknown => {
                let key = (line.program.chars().take(64).collect(), shapes::shape(line.text));
                let entry = outcome.unknown.entry(key).or_insert((0, String::new(), line.at));
                *entry = (entry.0 + 1, shapes::example(line.text), entry.2.max(line.at));
            }
        }
    }
    facts
}

fn with_protocol<'a>(fact: Fact<'a>, protocol: Option<&'a str>) -> Fact<'a> {
    match fact {
        Fact::Client(mut client) => {
            client.tls = client.tls.or(protocol);
            Fact::Client(client)
        }
        Fact::Attempt(mut attempt) => {
            attempt.tls = attempt.tls.or(protocol);
            Fact::Attempt(attempt)
        }
        fact => fact,
    }
}

/// From which mail another one comes, as a line of either tells: a notice is about its mail, a forwarded mail goes on, and so
/// does one that was put into the queue anew.
fn parent_fact<'a>(queue_id: &'a str, fact: &Fact<'a>, text: &'a str) -> Option<(&'a str, Fact<'a>)> {
    match fact {
        Fact::Pickup { .. } => {
            let parent = postfix::queue_id_before(text)?;
            Some((queue_id, Fact::Parent { queue_id: parent, kind: None }))
        }
        Fact::Notice { kind, queue_id: other } => Some((other, Fact::Parent { queue_id, kind: Some(*kind) })),
        Fact::Attempt(attempt) => {
            let other = attempt.reply.strip_prefix("forwarded as ")?;
            let plain = other.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !other.is_empty();
            plain.then_some((other, Fact::Parent { queue_id, kind: None }))
        }
        _ => None,
    }
}

fn note_reply(line: &LogLine<'_>, fact: &Fact<'_>, outcome: &mut Outcome) {
    if let Fact::Attempt(attempt) = fact
        && (attempt.is_deferred() || matches!(attempt.status, "bounced" | "expired"))
    {
        outcome.replies.push((line.at, attempt.reply.to_owned(), attempt.dsn.to_owned()));
    }
}

/// One mail in the making.
struct Work<'a> {
    /// What lies in the database, if it does.
    stored: Option<&'a StoredMail>,
    story: Story<'a>,
    /// Its facts have grown or shrunk.
    changed: bool,
}

impl<'a> Work<'a> {
    fn known(stored: &'a StoredMail) -> store::Result<Self> {
        Ok(Self { stored: Some(stored), story: stored.story()?, changed: false })
    }

    fn fold(self, server: ServerId, packer: Packer) -> store::Result<Folded> {
        let known = self.stored.map(StoredMail::mail).transpose()?;
        if self.story.events.is_empty() {
            return Ok(Folded::Gone(known.map(Box::new)));
        }
        let mut mail = self.story.fold(server);
        if let Some(known) = &known {
            mail.id = known.id;
        }
        let write = MailWrite::new(&mail, &self.story, known.as_ref(), packer);
        Ok(Folded::Write { new: known.is_none(), write })
    }
}

/// What becomes of one mail.
enum Folded {
    /// It is written.
    Write { new: bool, write: MailWrite },
    /// It was cut otherwise: what lies in the database goes.
    Gone(Option<Box<Mail>>),
}

/// Adds the batch's facts to the stored ones and cuts them into mails.
fn merge<'a>(
    server: ServerId,
    facts: BTreeMap<&'a str, Vec<(usize, Event<'a>)>>,
    stored: &'a [StoredMail],
    outcome: &mut Outcome,
) -> store::Result<Vec<Work<'a>>> {
    let mut known: HashMap<&str, Vec<(&StoredMail, Story)>> = HashMap::new();
    for mail in stored.iter().filter(|mail| mail.server == server) {
        let story = mail.story()?;
        if facts.contains_key(story.queue_id) {
            known.entry(story.queue_id).or_default().push((mail, story));
        }
    }
    let mut works = Vec::new();
    for (queue_id, fresh) in facts {
        let old = known.remove(queue_id).unwrap_or_default();
        let mut events: Vec<Event<'a>> =
            old.iter().flat_map(|(_, story)| story.events.iter().copied()).collect();
        let before = events.len();
        let mut seen: HashSet<_> = events.iter().map(identity).collect();
        let former: HashSet<(i64, Action)> = events.iter().filter_map(former_action).collect();
        for (index, event) in fresh {
            let known = matches!(event.fact, Fact::Refused(rule) if former.contains(&(event.at.secs(), rule.action())));
            if !known && seen.insert(identity(&event)) {
                events.push(event);
                outcome.telling.push(index);
            }
        }
        // What lies in quarantine belongs to a mail that the log knows and that is not long past, or to none of ours.
        let moments: Vec<Millis> =
            events.iter().filter(|event| event.fact != Fact::Quarantined).map(|event| event.at).collect();
        let is_near = |event: &Event<'_>| {
            moments.iter().any(|at| at.0.abs_diff(event.at.0) <= REUSE.as_millis() as u64)
        };
        events.retain(|event| event.fact != Fact::Quarantined || is_near(event));
        if events.len() > before {
            works.extend(recut(queue_id, events, old));
        }
    }
    Ok(works)
}

/// What older versions made of a line that today is a [`Fact::Refused`] with this action, and when.
fn former_action(event: &Event<'_>) -> Option<(i64, Action)> {
    let action = match event.fact {
        Fact::Held { .. } => Action::Hold,
        Fact::Discarded { .. } => Action::Discard,
        _ => return None,
    };
    Some((event.at.secs(), action))
}

/// What makes two facts the same: imported lines may know fractions of a second that polled ones do not, and
/// a TLS line may have been out of sight.
fn identity<'a>(event: &Event<'a>) -> (i64, Fact<'a>, &'a str) {
    let fact = match event.fact {
        Fact::Client(mut client) => {
            client.tls = None;
            Fact::Client(client)
        }
        Fact::Attempt(mut attempt) => {
            attempt.tls = None;
            Fact::Attempt(attempt)
        }
        fact => fact,
    };
    (event.at.secs(), fact, event.program)
}

fn recut<'a>(
    queue_id: &'a str,
    events: Vec<Event<'a>>,
    old: Vec<(&'a StoredMail, Story<'a>)>,
) -> Vec<Work<'a>> {
    let verdicts: BTreeMap<i64, Claimed<'a>> =
        old.iter().flat_map(|(_, story)| story.verdicts.clone()).collect();
    let mut old = old;
    let mut works: Vec<Work<'a>> = split(events)
        .into_iter()
        .map(|events| {
            let begins = events.first().map(|event| event.at.secs());
            let same = old.iter().position(|(mail, _)| Some(mail.id.second().secs()) == begins);
            let stored = same.map(|index| old.swap_remove(index));
            let changed = stored.as_ref().is_none_or(|(_, story)| story.events != events);
            let mut story = Story { queue_id, name: "", events, verdicts: BTreeMap::new() };
            story.verdicts = story.scans().filter_map(|scan| Some((scan, *verdicts.get(&scan)?))).collect();
            Work { stored: stored.map(|(mail, _)| mail), story, changed }
        })
        .collect();
    // What is left was cut otherwise before: its facts have moved into the others.
    works.extend(old.into_iter().map(|(mail, story)| Work {
        stored: Some(mail),
        story: Story { events: Vec::new(), verdicts: BTreeMap::new(), ..story },
        changed: true,
    }));
    works
}

/// A scan with what its mail takes of it.
struct PoolScan<'a> {
    id: i64,
    scan: Cow<'a, Scan>,
    rcpts: String,
    verdict: Vec<u8>,
    origin: Origin,
}

/// Where a scan lay before this batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Nowhere: the batch brought it.
    Batch,
    /// In a row, waiting for its mail.
    Row,
    /// In the story of a mail that had claimed it.
    Story,
    /// In a row though a mail had claimed it, as older versions kept it.
    ClaimedRow,
}

impl<'a> PoolScan<'a> {
    fn new(id: i64, scan: Cow<'a, Scan>, verdict: Vec<u8>, origin: Origin) -> Self {
        Self { id, rcpts: scan.rcpts.join("\n"), scan, verdict, origin }
    }

    fn stored(stored: StoredScan, origin: Origin) -> Self {
        Self::new(stored.id, Cow::Owned(stored.scan), stored.verdict, origin)
    }
}

/// The scans that wait for one of the mails at hand, or for a mail with the message id of another scan.
async fn waiting_scans(
    tx: &mut Tx,
    fresh: &[Scan],
    works: &[Work<'_>],
) -> store::Result<Vec<PoolScan<'static>>> {
    let ids = fresh.iter().filter_map(|scan| scan.message_id.as_deref());
    let wanted = works.iter().filter_map(|work| work.story.message_id()).chain(ids).collect();
    let waiting = scans::pending(tx, &wanted).await?;
    Ok(waiting.into_iter().map(|stored| PoolScan::stored(stored, Origin::Row)).collect())
}

/// Stored mails with the message ids at hand that the batch does not touch itself.
async fn other_mails(
    tx: &mut Tx,
    server: ServerId,
    scans: impl Iterator<Item = &Scan>,
    works: &[Work<'_>],
) -> store::Result<Vec<StoredMail>> {
    let scanned = scans.filter_map(|scan| Some((scan.message_id.as_deref()?, scan.at)));
    let begun =
        works.iter().filter_map(|work| Some((work.story.message_id()?, work.story.events.first()?.at)));
    let wanted = reaches(scanned.chain(begun));
    let at_hand: BTreeSet<MailId> = works.iter().filter_map(|work| work.stored).map(|mail| mail.id).collect();
    let mails = correlation::by_message_ids(tx, &wanted).await?;
    let mails = mails.into_iter().filter(|mail| mail.server == server && !at_hand.contains(&mail.id));
    mails
        .filter_map(|mail| match mail.story() {
            Ok(story) => story.message_id().is_some_and(|id| wanted.contains_key(id)).then_some(Ok(mail)),
            Err(error) => Some(Err(error)),
        })
        .collect()
}

/// How far back mails may have begun that have to do with what has these message ids at these moments.
fn reaches<'a>(moments: impl Iterator<Item = (&'a str, Millis)>) -> BTreeMap<&'a str, Millis> {
    let mut reaches: BTreeMap<&str, Millis> = BTreeMap::new();
    for (message_id, at) in moments {
        let since = at.minus(join::REACH);
        reaches.entry(message_id).and_modify(|reach| *reach = since.min(*reach)).or_insert(since);
    }
    reaches
}

/// The scans that may belong to the mails at hand: new ones, those that wait, and those that these mails have claimed
/// before. All are dealt out anew, so that it does not matter which of mails and scans came first, and a fact that
/// comes late can still part a mail from a scan that is not its own.
async fn gather<'a>(
    tx: &mut Tx,
    (fresh, verdicts): (&'a [Scan], Making),
    waiting: Vec<PoolScan<'a>>,
    works: &mut [Work<'_>],
) -> store::Result<Vec<PoolScan<'a>>> {
    let mut pool = waiting;
    // Each claimed scan once, with the mail that has it.
    let mut holders: BTreeMap<i64, usize> = BTreeMap::new();
    let (mut claimed, mut in_rows) = (Vec::new(), Vec::new());
    for (index, work) in works.iter().enumerate() {
        for event in &work.story.events {
            let Fact::Checked(checked) = event.fact else { continue };
            if holders.insert(checked.scan, index).is_some() {
                continue;
            }
            match work.story.verdicts.get(&checked.scan) {
                Some(verdict) => {
                    let stored = scans::unclaimed(event.at, &checked, verdict)?;
                    claimed.push(PoolScan::stored(stored, Origin::Story));
                }
                None => in_rows.push(checked.scan),
            }
        }
    }
    let old = scans::by_ids(tx, &in_rows).await?;
    claimed.extend(old.into_iter().map(|stored| PoolScan::stored(stored, Origin::ClaimedRow)));
    for pooled in &claimed {
        let Some(work) = holders.get(&pooled.id).and_then(|index| works.get_mut(*index)) else { continue };
        // Its facts were cut otherwise since: a scan with another message id is none of this mail.
        if pooled.scan.message_id.as_deref() != work.story.message_id() {
            work.story
                .events
                .retain(|event| !matches!(event.fact, Fact::Checked(checked) if checked.scan == pooled.id));
            work.story.verdicts.remove(&pooled.id);
            work.changed = true;
        }
    }
    pool.extend(claimed);
    let ids = scans::free_ids(tx, fresh, holders.into_keys().collect()).await?;
    let fresh = fresh.iter().zip(ids).zip(verdicts.end().await?);
    pool.extend(
        fresh.map(|((scan, id), verdict)| PoolScan::new(id, Cow::Borrowed(scan), verdict, Origin::Batch)),
    );
    Ok(pool)
}

/// Those of some rows of Rspamd's history that are stored, waiting or claimed, or that cannot be told from one that is.
pub async fn known_scans(tx: &mut Tx, server: ServerId, scans: &[Scan]) -> store::Result<Vec<bool>> {
    let (wished, mut known) = scans::wished_ids(tx, scans).await?;
    let reaches = reaches(scans.iter().filter_map(|scan| Some((scan.message_id.as_deref()?, scan.at))));
    for mail in correlation::by_message_ids(tx, &reaches).await? {
        if mail.server == server {
            known.extend(mail.story()?.scans());
        }
    }
    Ok(wished.iter().map(|id| known.contains(id)).collect())
}

/// A scan that waits from now on: its message id, the id of its row, and the scan.
type Waiting<'a> = (&'a str, i64, &'a PoolScan<'a>);

/// Deals the scans out to the mails. Returns those that wait from now on, and those whose rows are not needed any more,
/// with their message ids.
fn join<'a>(works: &mut [Work<'a>], pool: &'a [PoolScan<'a>]) -> (Vec<Waiting<'a>>, Vec<(&'a str, i64)>) {
    let mut groups: BTreeMap<&str, (Vec<usize>, Vec<&PoolScan<'_>>)> = BTreeMap::new();
    for pooled in pool {
        if let Some(id) = pooled.scan.message_id.as_deref() {
            groups.entry(id).or_default().1.push(pooled);
        }
    }
    for (index, work) in works.iter().enumerate() {
        if let Some((mails, _)) = work.story.message_id().and_then(|id| groups.get_mut(id)) {
            mails.push(index);
        }
    }
    let matched = cores::map(groups.values().collect(), |(mails, scans)| match_up(works, mails, scans));
    let (mut waiting, mut claimed) = (Vec::new(), Vec::new());
    for ((message_id, (mails, scans)), pairs) in groups.into_iter().zip(matched) {
        for index in &mails {
            let own: Vec<&PoolScan<'_>> =
                scans.iter().copied().filter(|pooled| pairs.get(&pooled.id) == Some(index)).collect();
            let work = &mut works[*index];
            if work.story.scans().eq(own.iter().map(|pooled| pooled.id)) {
                continue;
            }
            work.changed = true;
            let story = &mut work.story;
            story.events.retain(|event| !matches!(event.fact, Fact::Checked(_)));
            story.events.extend(own.iter().map(|pooled| {
                let fact = Fact::Checked(pooled.scan.checked(&pooled.rcpts, pooled.id));
                Event { at: pooled.scan.at, fact, program: "rspamd" }
            }));
            story.events.sort_unstable();
            let claimed_now = |pooled: &&'a PoolScan<'a>| Claimed { message_id, verdict: &pooled.verdict };
            story.verdicts = own.iter().map(|pooled| (pooled.id, claimed_now(pooled))).collect();
            let in_rows = own.iter().filter(|pooled| pooled.origin == Origin::ClaimedRow);
            claimed.extend(in_rows.map(|pooled| (message_id, pooled.id)));
        }
        for pooled in scans {
            match (pairs.get(&pooled.id), pooled.origin) {
                (Some(_), Origin::Row) => claimed.push((message_id, pooled.id)),
                (Some(_), _) | (None, Origin::Row) => {}
                (None, _) => waiting.push((message_id, pooled.id, pooled)),
            }
        }
    }
    (waiting, claimed)
}

/// Scans that have left the story of a mail get rows of their own, under ids that no row and no other scan at hand has.
async fn give_ids(tx: &mut Tx, pool: &[PoolScan<'_>], waiting: &mut [Waiting<'_>]) -> store::Result<()> {
    let left: Vec<&mut Waiting<'_>> =
        waiting.iter_mut().filter(|(.., pooled)| pooled.origin == Origin::Story).collect();
    if left.is_empty() {
        return Ok(());
    }
    let leaves = |pooled: &&PoolScan<'_>| left.iter().any(|(.., leaving)| std::ptr::eq(*leaving, *pooled));
    let taken = pool.iter().filter(|pooled| !leaves(pooled)).map(|pooled| pooled.id).collect();
    let scans: Vec<Scan> = left.iter().map(|(.., pooled)| Scan::clone(&pooled.scan)).collect();
    let ids = scans::free_ids(tx, &scans, taken).await?;
    for ((_, id, _), free) in left.into_iter().zip(ids) {
        *id = free;
    }
    Ok(())
}

/// Which scan belongs to which mail: each mail gets one, the best fitting pairs first.
fn match_up(works: &[Work<'_>], mails: &[usize], scans: &[&PoolScan<'_>]) -> BTreeMap<i64, usize> {
    let folded = mails.iter().map(|index| {
        let mut story = works[*index].story.clone();
        story.events.retain(|event| !matches!(event.fact, Fact::Checked(_)));
        (*index, story.fold(ServerId::default()))
    });
    let folded: Vec<(usize, Mail)> = folded.collect();
    let begun = Moments::new(folded.iter().map(|(_, mail)| mail.first_seen));
    let scanned = Moments::new(scans.iter().map(|pooled| pooled.scan.at));
    let mut candidates = Vec::new();
    for (index, mail) in &folded {
        let alone = [&begun, &scanned].iter().all(|moments| moments.near(mail.first_seen) == 1);
        for pooled in scans {
            if let Some(fit) = join::fit(mail, &pooled.scan, alone) {
                candidates.push((fit, pooled.id, mail.first_seen, works[*index].story.queue_id, *index));
            }
        }
    }
    candidates.sort_unstable();
    let mut pairs = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for (_, scan, .., index) in candidates {
        if !pairs.contains_key(&scan) && taken.insert(index) {
            pairs.insert(scan, index);
        }
    }
    pairs
}

/// Moments in order.
struct Moments(Vec<Millis>);

impl Moments {
    fn new(moments: impl Iterator<Item = Millis>) -> Self {
        let mut moments: Vec<Millis> = moments.collect();
        moments.sort_unstable();
        Self(moments)
    }

    /// How many are [`join::NEAR`] this one.
    fn near(&self, at: Millis) -> usize {
        let (first, last) = (at.minus(join::NEAR), at.plus(join::NEAR));
        self.0.partition_point(|moment| *moment <= last) - self.0.partition_point(|moment| *moment < first)
    }
}

/// Attempts that were refused before they got a queue id: each is a mail of its own. Gives the new ones with
/// the name that identifies them.
async fn refusals<'a>(
    tx: &mut Tx,
    batch: &Batch<'_>,
    refusals: &[(usize, Event<'a>)],
    outcome: &mut Outcome,
) -> store::Result<Vec<(String, Event<'a>)>> {
    let mut counts: HashMap<(i64, u64), u32> = HashMap::new();
    let named = |event: &Event<'_>, occurrence: u32| {
        let name = refusal_name(event, occurrence);
        (mail_id(batch.server, event.at, &name), name)
    };
    let mut wished = Vec::new();
    for (index, event) in refusals {
        let hash = refusal_hash(event);
        let count = counts.entry((event.at.secs(), hash)).or_default();
        wished.push((*index, *event, *count));
        *count += 1;
    }
    let ids: Vec<MailId> = wished.iter().map(|(_, event, count)| named(event, *count).0).collect();
    let mut taken = correlation::taken(tx, &ids).await?;
    let mut fresh = Vec::new();
    for (index, event, mut count) in wished {
        let (mut id, mut name) = named(&event, count);
        if taken.contains(&id) {
            if batch.novelty == Novelty::Perhaps {
                continue;
            }
            while taken.contains(&id) {
                count += 1;
                (id, name) = named(&event, count);
                taken.extend(correlation::taken(tx, &[id]).await?);
            }
        }
        taken.insert(id);
        outcome.telling.push(index);
        fresh.push((name, event));
    }
    Ok(fresh)
}

fn refusal_hash(event: &Event<'_>) -> u64 {
    let bytes = match &event.fact {
        Fact::Refused(refusal) => refusal_text(event.program, refusal),
        _ => String::new(),
    };
    twox_hash::XxHash3_64::oneshot(bytes.as_bytes())
}

fn refusal_text(program: &str, refusal: &Refusal<'_>) -> String {
    format!("{program} {refusal:?}")
}

/// What identifies a refused attempt within its second: its words, and which of several equal ones it is.
fn refusal_name(event: &Event<'_>, occurrence: u32) -> String {
    format!("{:016x}-{occurrence}", refusal_hash(event))
}

/// Folds what changed: the mails to be written, under free ids, and those to be removed because they were cut otherwise.
async fn fold(
    tx: &mut Tx,
    server: ServerId,
    works: Vec<Work<'_>>,
    outcome: &mut Outcome,
) -> store::Result<(Vec<MailWrite>, Vec<Mail>)> {
    let changed: Vec<Work<'_>> = works.into_iter().filter(|work| work.changed).collect();
    let packer = if changed.is_empty() { Packer::default() } else { dictionaries::packer(tx).await? };
    let mut writes = Vec::new();
    let mut removed = Vec::new();
    for folded in cores::map(changed, |work: Work<'_>| work.fold(server, packer)) {
        match folded? {
            Folded::Write { new, write } => writes.push((new, write)),
            Folded::Gone(mail) => removed.extend(mail.map(|mail| *mail)),
        }
    }
    let fresh: Vec<MailId> = writes.iter().filter(|(new, _)| *new).map(|(_, write)| write.id).collect();
    let gone: BTreeSet<MailId> = removed.iter().map(|mail| mail.id).collect();
    let mut taken = &correlation::taken(tx, &fresh).await? - &gone;
    for (new, write) in &mut writes {
        if *new {
            outcome.new_mails += 1;
            free_id(tx, &mut write.id, &mut taken, &gone).await?;
        }
        outcome.changed.push(write.id);
    }
    // What was cut otherwise was counted when it came.
    outcome.new_mails -= i64::try_from(removed.len()).unwrap_or(i64::MAX);
    Ok((writes.into_iter().map(|(_, write)| write).collect(), removed))
}

/// Two mails of one second may have the same hash: the later one moves on. The ids of mails that are gone are free.
async fn free_id(
    tx: &mut Tx,
    id: &mut MailId,
    taken: &mut BTreeSet<MailId>,
    gone: &BTreeSet<MailId>,
) -> store::Result<()> {
    while !taken.insert(*id) {
        *id = id.next_in_second();
        taken.extend(&correlation::taken(tx, &[*id]).await? - gone);
    }
    Ok(())
}
