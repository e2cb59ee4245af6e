//! Reads the lines of a log in their order.

use std::{borrow::Cow, collections::HashMap, sync::LazyLock, time::Duration};

use compact_str::CompactString;
use memchr::memmem::Finder;

use super::{Count, Flow, Outcome, Reason, ids::print, provider};
use crate::model::{
    event::{Action, Attempt, Client, Fact, Parsed, Refusal, holds, names_virus},
    time::Millis,
};

/// Queue ids that are remembered; a log whose mails never end has more.
const MOST_LIVES: usize = 200_000;
/// Postfix gives up earlier (postconf(5), `maximal_queue_lifetime`: five days).
const LONGEST_LIFE: Duration = Duration::from_secs(8 * 86_400);

/// Words that are looked for in many lines.
type Word = LazyLock<Finder<'static>>;

static FORWARDED: Word = Word::new(|| Finder::new("forwarded as "));
static BY_LIST: Word = Word::new(|| Finder::new("blocked using "));
static NO_USER: Word = Word::new(|| Finder::new("User unknown in "));
static NO_RELAY: Word = Word::new(|| Finder::new("Relay access denied"));
static NO_DOMAIN: Word = Word::new(|| Finder::new("Domain not found"));

/// What is remembered of a queue id while it lives.
#[derive(Debug, Default)]
struct Life {
    seen: Millis,
    /// The client that handed it in, until its size is told.
    fresh: Option<CompactString>,
    size: u64,
    /// Domain of the sender; empty for notices.
    domain: CompactString,
}

/// What of a line must be counted in the order of the log, since its meaning hangs on earlier lines of the same mail.
#[derive(Debug)]
pub struct Step<'a> {
    at: Millis,
    /// [`print`] of the queue id.
    life: u64,
    what: What<'a>,
}

#[derive(Debug)]
enum What<'a> {
    /// Handed in by this client.
    Received(&'a str),
    /// The sender and bytes, told again at each attempt.
    Queued(&'a str, u64),
    Tried {
        to: Cow<'a, str>,
        relay: &'a str,
        outcome: Outcome,
        delay: u64,
    },
    /// A try that is not counted.
    Seen,
    Removed,
}

/// Counts one line: its program without pid, its text, and what the parser made of them. What hangs on other lines is left
/// to [`Reader::step`].
pub fn count<'a>(
    at: Millis,
    program: &str,
    text: &str,
    parsed: &Parsed<'a>,
    flow: &mut Flow,
) -> Option<Step<'a>> {
    match parsed {
        Parsed::Mail { queue_id, fact } => {
            let what = fact_of(at, program, queue_id, fact, flow)?;
            return Some(Step { at, life: print(queue_id), what });
        }
        Parsed::Refused(refusal) => {
            if daemon_of(program)?.1 == "postscreen" {
                flow.add(Count::PostscreenRejects);
            }
            opposed(at, refusal, flow);
        }
        Parsed::Session(_) => {}
        Parsed::Noise | Parsed::Unknown => {
            let (path, daemon) = daemon_of(program)?;
            if !path.starts_with("watchdog") {
                plain(path, daemon, text, flow);
            }
        }
    }
    None
}

/// What stands before and behind the last slash of a program's name.
fn daemon_of(program: &str) -> Option<(&str, &str)> {
    let slash = memchr::memrchr(b'/', program.as_bytes())?;
    Some((program.get(..slash)?, program.get(slash + 1..)?))
}

fn fact_of<'a>(
    at: Millis,
    program: &str,
    queue_id: &str,
    fact: &Fact<'a>,
    flow: &mut Flow,
) -> Option<What<'a>> {
    match fact {
        Fact::Client(client) => return received(at, origin(client), flow),
        Fact::Pickup { .. } => return received(at, "localhost", flow),
        Fact::Queued { sender, size, .. } => return Some(What::Queued(sender, *size)),
        Fact::Attempt(attempt) => return tried(at, program, queue_id, attempt, flow),
        Fact::Removed => return Some(What::Removed),
        Fact::Refused(refusal) => opposed(at, refusal, flow),
        Fact::Expired { .. } => flow.add(Count::Expired),
        Fact::Held { .. } => flow.add(Count::Held),
        Fact::Discarded { .. } => flow.add(Count::Discarded),
        _ => {}
    }
    None
}

fn received<'a>(at: Millis, client: &'a str, flow: &mut Flow) -> Option<What<'a>> {
    flow.add_at(Count::Received, at);
    Some(What::Received(client))
}

/// Counts how an attempt ended.
fn tried<'a>(
    at: Millis,
    program: &str,
    queue_id: &str,
    attempt: &Attempt<'a>,
    flow: &mut Flow,
) -> Option<What<'a>> {
    let &Attempt { relay, reply, dsn, .. } = attempt;
    let delay = attempt.delay.parse::<f64>().map_or(0, |seconds| (seconds * 1000.0) as u64);
    let outcome = match attempt.status {
        "sent" if FORWARDED.find(reply.as_bytes()).is_some() => {
            flow.add(Count::Forwarded);
            return Some(What::Seen);
        }
        "sent" => {
            flow.add_at(Count::Delivered, at);
            *flow.delays.entry(delay).or_default() += 1;
            Outcome::Delivered
        }
        _ if attempt.is_deferred() => {
            flow.deferred.insert(queue_id);
            flow.add_at(Count::Deferrals, at);
            flow.reason(Reason::Deferred, daemon_of(program)?.1, reply);
            Outcome::Deferred
        }
        "bounced" => {
            flow.add_at(Count::Bounced, at);
            flow.bounces.change(dsn, |count| *count += 1);
            flow.reason(Reason::Bounced, provider(relay), reply);
            Outcome::Bounced
        }
        _ => return Some(What::Seen),
    };
    if outcome != Outcome::Delivered && is_full(dsn, reply) {
        flow.add(Count::Quota);
    }
    Some(What::Tried { to: address(attempt.to), relay, outcome, delay })
}

/// Counts what hangs on earlier lines, in the order of the log.
#[derive(Debug, Default)]
pub struct Reader {
    /// By [`print`] of the queue id.
    lives: HashMap<u64, Life, foldhash::fast::RandomState>,
}

impl Reader {
    /// Forgets queue ids without a line since.
    pub fn forget(&mut self, before: Millis) {
        self.lives.retain(|_, life| life.seen >= before);
    }

    /// Forgets the oldest, when there are too many.
    fn make_room(&mut self, now: Millis) {
        if self.lives.len() < MOST_LIVES {
            return;
        }
        let mut age = LONGEST_LIFE;
        while self.lives.len() > MOST_LIVES / 2 && !age.is_zero() {
            self.forget(now.minus(age));
            age /= 2;
        }
        if self.lives.len() > MOST_LIVES / 2 {
            self.lives.clear();
        }
    }

    /// Counts what [`count`] left of a line.
    pub fn step(&mut self, step: &Step<'_>, flow: &mut Flow) {
        let Step { at, life, what } = step;
        match what {
            What::Received(client) => {
                self.make_room(*at);
                let life_of = Life { seen: *at, fresh: Some((*client).into()), ..Life::default() };
                self.lives.insert(*life, life_of);
            }
            What::Queued(sender, size) => self.queued(*at, *life, sender, *size, flow),
            What::Tried { to, relay, outcome, delay } => {
                let found = self.lives.get_mut(life);
                let (size, from) = found.map_or((0, ""), |life| {
                    life.seen = *at;
                    (life.size, life.domain.as_str())
                });
                if *outcome == Outcome::Delivered {
                    flow.bytes_delivered += size;
                    flow.recipients.change(to, |volume| volume.add(size));
                }
                let provider = if *relay == "none" { "" } else { provider(relay) };
                let places =
                    [(&mut flow.to, domain(to)), (&mut flow.from, from), (&mut flow.providers, provider)];
                for (fates, place) in places {
                    if !place.is_empty() {
                        fates.change(place, |fate| fate.add(*outcome, size, *delay));
                    }
                }
            }
            What::Seen => {
                if let Some(life) = self.lives.get_mut(life) {
                    life.seen = *at;
                }
            }
            What::Removed => {
                self.lives.remove(life);
            }
        }
    }

    /// Only the first time of a received mail counts.
    fn queued(&mut self, at: Millis, life: u64, sender: &str, size: u64, flow: &mut Flow) {
        if self.lives.len() >= MOST_LIVES && !self.lives.contains_key(&life) {
            self.make_room(at);
        }
        let life = self.lives.entry(life).or_default();
        life.seen = at;
        // The first size stays, as in pflogsumm.
        if life.size == 0 {
            life.size = size;
        }
        let address = address(sender);
        if life.domain.is_empty() {
            life.domain = domain(&address).into();
        }
        let Some(client) = life.fresh.take() else { return };
        flow.bytes_received += size;
        flow.senders.change(&address, |volume| volume.add(size));
        let origin = if life.domain.is_empty() { &client } else { &life.domain };
        flow.origins.change(origin, |volume| volume.add(size));
    }
}

/// What a mail without a sender is counted under.
fn origin<'a>(client: &Client<'a>) -> &'a str {
    if client.host == "unknown" || client.host.is_empty() { client.ip } else { provider(client.host) }
}

/// An address as pflogsumm tells them apart: the domain in lower case; the empty sender is one.
fn address(address: &str) -> Cow<'_, str> {
    let at = memchr::memrchr(b'@', address.as_bytes());
    match at.and_then(|at| Some((address.get(..at)?, address.get(at + 1..)?))) {
        Some((local, domain)) if domain.bytes().any(|b| !b.is_ascii() || b.is_ascii_uppercase()) => {
            Cow::Owned(format!("{local}@{}", domain.to_lowercase()))
        }
        None if address.is_empty() => Cow::Borrowed("<>"),
        _ => Cow::Borrowed(address),
    }
}

/// The domain of an address; empty where it has none.
fn domain(address: &str) -> &str {
    memchr::memrchr(b'@', address.as_bytes()).and_then(|at| address.get(at + 1..)).unwrap_or_default()
}

fn is_full(dsn: &str, reply: &str) -> bool {
    dsn.ends_with(".2.2") || holds(reply, "quota") || (holds(reply, "mailbox") && holds(reply, "full"))
}

fn opposed(at: Millis, refusal: &Refusal<'_>, flow: &mut Flow) {
    match refusal.action() {
        Action::Refuse => refused(at, refusal, flow),
        Action::Hold => flow.add(Count::Held),
        Action::Discard => flow.add(Count::Discarded),
    }
}

fn refused(at: Millis, refusal: &Refusal<'_>, flow: &mut Flow) {
    flow.add_at(Count::Rejected, at);
    let reply = refusal.reply;
    flow.reason(Reason::Rejected, refusal.stage, reply.split(';').next().unwrap_or(reply));
    let milter = refusal.verb == "milter-reject";
    let says = |word: &Word| word.find(reply.as_bytes()).is_some();
    if says(&BY_LIST) {
        flow.add(Count::RejectedByList);
    } else if says(&NO_USER) {
        flow.add(Count::RejectedUser);
    } else if says(&NO_RELAY) {
        flow.add(Count::RejectedRelay);
    } else if says(&NO_DOMAIN) {
        flow.add(Count::RejectedDomain);
    } else if milter && refusal.stage == "END-OF-MESSAGE" {
        flow.add(Count::RejectedContent);
    }
    if names_virus(refusal.verb, reply) {
        flow.add(Count::Virus);
    } else if milter && (refusal.code / 100 == 5 || refusal.dsn.starts_with('5')) {
        flow.add(Count::Spam);
    }
    if is_full(refusal.dsn, reply) {
        flow.add(Count::Quota);
    }
}

/// Lines that say nothing about a mail.
fn plain(path: &str, daemon: &str, text: &str, flow: &mut Flow) {
    if daemon == "postscreen" {
        postscreen(text, flow);
    }
    let begins = |word: &str| text.starts_with(word);
    if begins("warning: ") {
        warning(daemon, text, flow);
        flow.reason(Reason::Warning, daemon, text.strip_prefix("warning: ").unwrap_or(text));
    } else if begins("error: ") || begins("fatal: ") || begins("panic: ") {
        flow.add(Count::Errors);
        flow.reason(Reason::Error, daemon, text);
    } else if begins("SSL_accept error") || begins("SSL_connect error") {
        flow.add(Count::TlsFailed);
    } else if begins("timeout after ") || (begins("connect to ") && text.ends_with(": Connection timed out"))
    {
        flow.add(Count::Timeouts);
    } else if daemon == "smtpd" && begins("connect from ") && path.starts_with("postfix") {
        flow.add(Count::Connections);
    } else if begins("reject_warning: ") || warns(daemon, behind_id(text)) {
        flow.add(Count::RejectWarnings);
    }
}

/// Whether smtpd warns instead of refusing (postconf(5), `warn_if_reject`), or cleanup of what a check found
/// (header_checks(5), `WARN`).
fn warns(daemon: &str, rest: &str) -> bool {
    let found = |begins: &&str| daemon == "cleanup" && rest.starts_with(begins);
    rest.starts_with("reject_warning: ") || ["warning: header ", "warning: body "].iter().any(found)
}

/// What stands behind `ID: ` or `NOQUEUE: `.
fn behind_id(text: &str) -> &str {
    let colon = memchr::memchr(b':', text.as_bytes());
    colon.and_then(|at| text.get(at + 1..)?.strip_prefix(' ')).unwrap_or_default()
}

fn warning(daemon: &str, text: &str, flow: &mut Flow) {
    flow.add(Count::Warnings);
    // Several of these may hold for one line, as in pflogsumm's table of warnings.
    if text.contains("SASL") {
        flow.add(Count::WarningsSasl);
        if text.contains("authentication failed") {
            flow.add(Count::SaslFailed);
        }
    }
    if text.contains("TLS") {
        flow.add(Count::WarningsTls);
    }
    match daemon {
        "dnsblog" => flow.add(Count::WarningsDns),
        "postscreen" => flow.add(Count::WarningsPostscreen),
        _ => {}
    }
}

fn postscreen(text: &str, flow: &mut Flow) {
    let kinds = [
        ("CONNECT from ", Count::Connect),
        ("PASS NEW ", Count::PassNew),
        ("PASS OLD ", Count::PassOld),
        ("DNSBL rank ", Count::Dnsbl),
        ("PREGREET ", Count::Pregreet),
        ("HANGUP ", Count::Hangup),
        ("ALLOWLISTED ", Count::Allowlisted),
        ("WHITELISTED ", Count::Allowlisted),
    ];
    if let Some((_, count)) = kinds.iter().find(|(word, _)| text.starts_with(word)) {
        flow.add(*count);
    }
}
