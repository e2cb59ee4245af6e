//! Lines of Postfix's log, counted. The words mean what they mean in pflogsumm, but that all services count, also
//! those under another syslog name.

use std::collections::{HashMap, HashSet};

use crate::{
    model::{
        event::{Attempt, Fact, Parsed, Refusal},
        scope::domain_of,
        time::Millis,
    },
    parse::postfix,
};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    Received,
    Delivered,
    Forwarded,
    Bounced,
    Rejected,
    RejectWarnings,
    Held,
    Discarded,
    RejectedByList,
    RejectedUser,
    RejectedRelay,
    RejectedDomain,
    RejectedContent,
    Spam,
    Virus,
    Quota,
    Timeouts,
    Errors,
    Warnings,
    SaslFailed,
    WarningsSasl,
    WarningsTls,
    WarningsDns,
    WarningsPostscreen,
    TlsFailed,
    Connections,
    Connect,
    PassNew,
    PassOld,
    PostscreenRejects,
    Dnsbl,
    Pregreet,
    Hangup,
    Allowlisted,
}

/// How many kinds of counts there are.
const KINDS: usize = Count::Allowlisted as usize + 1;

/// What happened in a minute.
#[derive(Debug)]
pub(super) struct Tally {
    counts: [u32; KINDS],
    pub(super) bytes_received: u64,
    pub(super) bytes_delivered: u64,
    /// Sum of the seconds from arrival to delivery, in milliseconds.
    pub(super) delay_ms: u64,
    pub(super) senders: HashMap<String, usize>,
    pub(super) recipients: HashMap<String, usize>,
    pub(super) bounces: HashMap<String, usize>,
    pub(super) deferred: HashSet<String>,
    pub(super) deferrals: usize,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            counts: [0; KINDS],
            bytes_received: 0,
            bytes_delivered: 0,
            delay_ms: 0,
            senders: HashMap::new(),
            recipients: HashMap::new(),
            bounces: HashMap::new(),
            deferred: HashSet::new(),
            deferrals: 0,
        }
    }
}

impl Tally {
    pub(super) fn count(&self, count: Count) -> u32 {
        self.counts.get(count as usize).copied().unwrap_or(0)
    }

    fn add(&mut self, count: Count) {
        if let Some(count) = self.counts.get_mut(count as usize) {
            *count += 1;
        }
    }
}

/// What is remembered of a queue id while it lives.
#[derive(Debug)]
struct Life {
    seen: Millis,
    /// A client or a program handed it in, and its size was not told yet.
    fresh: bool,
    size: u64,
}

/// Reads lines in their order.
#[derive(Debug, Default)]
pub(super) struct Reader {
    lives: HashMap<String, Life>,
}

impl Reader {
    /// Forgets queue ids without a line since.
    pub(super) fn forget(&mut self, before: Millis) {
        self.lives.retain(|_, life| life.seen >= before);
    }

    /// Counts one line.
    pub(super) fn count(&mut self, at: Millis, program: &str, text: &str, tally: &mut Tally) {
        let Some((path, daemon)) = program.rsplit_once('/').filter(|(path, _)| !path.starts_with("watchdog"))
        else {
            return;
        };
        match postfix::parse(program, text) {
            Parsed::Mail { queue_id, fact } => self.fact(at, queue_id, fact, tally),
            Parsed::Refused(refusal) => {
                if daemon == "postscreen" {
                    tally.add(Count::PostscreenRejects);
                }
                refused(&refusal, tally);
            }
            Parsed::Session(_) => {}
            Parsed::Noise | Parsed::Unknown => plain(path, daemon, text, tally),
        }
    }

    fn fact(&mut self, at: Millis, queue_id: &str, fact: Fact<'_>, tally: &mut Tally) {
        match fact {
            Fact::Client(_) | Fact::Pickup { .. } => {
                tally.add(Count::Received);
                self.lives.insert(queue_id.to_owned(), Life { seen: at, fresh: true, size: 0 });
            }
            Fact::Queued { sender, size, .. } => {
                let life = Life { seen: at, fresh: false, size };
                if self.lives.insert(queue_id.to_owned(), life).is_some_and(|before| before.fresh) {
                    tally.bytes_received += size;
                    *tally.senders.entry(address(sender)).or_default() += 1;
                }
            }
            Fact::Attempt(attempt) => self.attempt(at, queue_id, &attempt, tally),
            Fact::Refused(refusal) => refused(&refusal, tally),
            Fact::Held { .. } => tally.add(Count::Held),
            Fact::Discarded { .. } => tally.add(Count::Discarded),
            Fact::Removed => {
                self.lives.remove(queue_id);
            }
            _ => {}
        }
    }

    fn attempt(&mut self, at: Millis, queue_id: &str, attempt: &Attempt<'_>, tally: &mut Tally) {
        let size = self.lives.get_mut(queue_id).map_or(0, |life| {
            life.seen = at;
            life.size
        });
        match attempt.status {
            "sent" if attempt.reply.contains("forwarded as ") => tally.add(Count::Forwarded),
            "sent" => {
                tally.add(Count::Delivered);
                tally.bytes_delivered += size;
                tally.delay_ms += attempt.delay.parse::<f64>().map_or(0, |seconds| (seconds * 1000.0) as u64);
                *tally.recipients.entry(address(attempt.to)).or_default() += 1;
            }
            "deferred" => {
                tally.deferred.insert(queue_id.to_owned());
                tally.deferrals += 1;
            }
            "bounced" => {
                tally.add(Count::Bounced);
                *tally.bounces.entry(attempt.dsn.to_owned()).or_default() += 1;
            }
            _ => {}
        }
        if attempt.status != "sent" && is_full(attempt.dsn, attempt.reply) {
            tally.add(Count::Quota);
        }
    }
}

/// An address as pflogsumm tells them apart: the domain in lower case; the empty sender is one.
fn address(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain.to_lowercase()),
        None if address.is_empty() => "<>".to_owned(),
        None => address.to_owned(),
    }
}

/// The domain of an address of a tally.
pub(super) fn domain(address: &str) -> &str {
    domain_of(address).unwrap_or(address)
}

fn is_full(dsn: &str, reply: &str) -> bool {
    let reply = reply.to_lowercase();
    dsn.ends_with(".2.2") || reply.contains("quota") || (reply.contains("mailbox") && reply.contains("full"))
}

fn refused(refusal: &Refusal<'_>, tally: &mut Tally) {
    tally.add(Count::Rejected);
    let reply = refusal.reply;
    let milter = refusal.verb == "milter-reject";
    if reply.contains("blocked using ") {
        tally.add(Count::RejectedByList);
    } else if reply.contains("User unknown in ") {
        tally.add(Count::RejectedUser);
    } else if reply.contains("Relay access denied") {
        tally.add(Count::RejectedRelay);
    } else if reply.contains("Domain not found") {
        tally.add(Count::RejectedDomain);
    } else if milter && refusal.stage == "END-OF-MESSAGE" {
        tally.add(Count::RejectedContent);
    }
    let virus = reply.to_lowercase().contains("virus");
    if milter && virus {
        tally.add(Count::Virus);
    } else if milter && (refusal.code / 100 == 5 || refusal.dsn.starts_with('5')) {
        tally.add(Count::Spam);
    }
    if is_full(refusal.dsn, reply) {
        tally.add(Count::Quota);
    }
}

/// Lines that say nothing about a mail.
fn plain(path: &str, daemon: &str, text: &str, tally: &mut Tally) {
    if daemon == "postscreen" {
        postscreen(text, tally);
    }
    let begins = |word: &str| text.starts_with(word);
    if begins("warning: ") {
        warning(daemon, text, tally);
    } else if begins("error: ") || begins("fatal: ") || begins("panic: ") {
        tally.add(Count::Errors);
    } else if begins("SSL_accept error") || begins("SSL_connect error") {
        tally.add(Count::TlsFailed);
    } else if begins("timeout after ") || (begins("connect to ") && text.ends_with(": Connection timed out"))
    {
        tally.add(Count::Timeouts);
    } else if daemon == "smtpd" && begins("connect from ") && path.starts_with("postfix") {
        tally.add(Count::Connections);
    } else if text.contains("reject_warning: ") && text.find("reject_warning: ").is_some_and(|at| at < 30) {
        tally.add(Count::RejectWarnings);
    }
}

fn warning(daemon: &str, text: &str, tally: &mut Tally) {
    tally.add(Count::Warnings);
    // Several of these may hold for one line, as in pflogsumm's table of warnings.
    if text.contains("SASL") {
        tally.add(Count::WarningsSasl);
        if text.contains("authentication failed") {
            tally.add(Count::SaslFailed);
        }
    }
    if text.contains("TLS") {
        tally.add(Count::WarningsTls);
    }
    match daemon {
        "dnsblog" => tally.add(Count::WarningsDns),
        "postscreen" => tally.add(Count::WarningsPostscreen),
        _ => {}
    }
}

fn postscreen(text: &str, tally: &mut Tally) {
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
        tally.add(*count);
    }
}
