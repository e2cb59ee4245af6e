//! Postfix log lines: a grammar that reads each field from its place only.
//!
//! Text that others chose (replies of remote servers, addresses, HELO names, header contents) stands inside these
//! lines. No field is therefore searched for: a line is read from the left, and where chosen text stands in
//! the middle, [`refusal`] says how the true end is told from a forged one. Shapes are those of Postfix 2.3
//! to 3.10 (`src/global/log_adhoc.c`, `src/smtpd/smtpd_check.c`, `src/cleanup/`, `src/postscreen/`).

mod address;
mod attempt;
mod mail;
mod noise;
mod queue_id;
mod refusal;
mod whole;

pub use whole::is_whole;

use crate::model::event::{Parsed, Session};

/// No queue id is longer: seconds and microseconds in 10 characters, and an inode of 64 bits.
const LONGEST_ID: usize = 40;

/// What one Postfix line says. `program` is the syslog program without pid, such as `postfix/smtpd`; `text` is what
/// stands behind it. Lines of other programs are [`Parsed::Noise`]; linear time, no allocation.
pub fn parse<'a>(program: &'a str, text: &'a str) -> Parsed<'a> {
    let Some(daemon) = daemon(program) else { return Parsed::Noise };
    if let Some((queue_id, rest)) = queue_id::split(text) {
        return mail::parse(queue_id, rest);
    }
    if let Some(rest) = text.strip_prefix("NOQUEUE: ") {
        return without_id(rest);
    }
    if let Some(session) = session(text) {
        return Parsed::Session(session);
    }
    if noise::is_known(daemon, text) {
        return Parsed::Noise;
    }
    match text.strip_prefix("proxy-reject: ") {
        Some(rest) => refusal::parse("proxy-reject", rest).map_or(Parsed::Unknown, Parsed::Refused),
        None => Parsed::Unknown,
    }
}

/// The queue id that a line's text begins with, as [`parse`] sees it. It may be asked of bytes that are no UTF-8.
pub fn queue_id_of(text: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b':', text.get(..LONGEST_ID.min(text.len()))?)?;
    let id = text.get(..end)?;
    let followed = text.get(end + 1) == Some(&b' ');
    (followed && queue_id::is_whole(id)).then_some(id)
}

/// The queue id under which a mail was known until postsuper(1) put it into the queue anew; pickup(8) tells it with the
/// new one.
pub fn queue_id_before(text: &str) -> Option<&str> {
    let (_, rest) = queue_id::split(text)?;
    mail::pickup(rest.strip_prefix("uid=")?)?.2
}

/// The daemon of a Postfix program: the last path part of `postfix/submission/smtpd` or `enforced-tls-smtp/smtp`.
/// `None` for programs that are not Postfix's, and for Mailcow's watchdog probes.
fn daemon(program: &str) -> Option<&str> {
    let slash = memchr::memrchr(b'/', program.as_bytes())?;
    let (path, daemon) = (program.get(..slash)?, program.get(slash + 1..)?);
    if path.starts_with("watchdog") {
        return None;
    }
    (path.starts_with("postfix") || noise::is_daemon(daemon)).then_some(daemon)
}

/// What stands before and behind the first colon with a blank behind it.
fn at_colon(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let at = memchr::memchr_iter(b':', bytes).find(|at| bytes.get(at + 1) == Some(&b' '))?;
    Some((text.get(..at)?, text.get(at + 2..)?))
}

/// `VERB: STAGE from PEER: REPLY; from=... ` behind `NOQUEUE: `. What is held or thrown away stands here only: smtpd
/// hands its wish to cleanup without a word under the queue id (`src/smtpd/smtpd_check.c`, `saved_flags`).
fn without_id(rest: &str) -> Parsed<'_> {
    let Some((verb, body)) = at_colon(rest) else { return Parsed::Unknown };
    match verb {
        _ if refusal::is_verb(verb) => refusal::parse(verb, body).map_or(Parsed::Unknown, Parsed::Refused),
        _ if noise::is_verb(verb) => Parsed::Noise,
        _ => Parsed::Unknown,
    }
}

/// `Anonymous TLS connection established from HOST[IP]: TLSv1.3 with cipher ...` (`src/tls/tls_misc.c`). The peer may
/// be followed by ` to SNI`.
fn session(text: &str) -> Option<Session<'_>> {
    text.starts_with(|first: char| first.is_ascii_uppercase()).then_some(())?;
    let rest = text.get(memchr::memchr(b' ', text.as_bytes())?..)?.strip_prefix(" TLS connection ")?;
    let rest = rest.strip_prefix("established ").or_else(|| rest.strip_prefix("reused "))?;
    let (outgoing, rest) = match rest.strip_prefix("to ") {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix("from ")?),
    };
    let (_, _, peer_end) = refusal::peer(rest)?;
    let (peer, rest) = rest.split_at_checked(peer_end)?;
    let rest = match rest.strip_prefix(": ") {
        Some(rest) => rest,
        None => at_colon(rest.strip_prefix(" to ")?)?.1,
    };
    let (protocol, rest) = rest.split_at_checked(memchr::memchr(b' ', rest.as_bytes())?)?;
    rest.starts_with(" with cipher ").then_some(Session { peer, protocol, outgoing })
}

#[cfg(test)]
mod tests;
