//! Delivery attempts: `to=<A>, orig_to=<B>, relay=R, conn_use=N, delay=S, delays=a/b/c/d, tls=T, dsn=X.Y.Z, status=W (TEXT)`.

use super::address;
use crate::model::event::Attempt;

/// A host name, an address and a port, or the path of a socket: no relay is longer.
const RELAY_MAX: usize = 600;

/// What stands behind `to=`. Everything from the first `(` on is the reply, whatever it looks like.
pub(super) fn parse(text: &str) -> Option<Attempt<'_>> {
    let (to, (orig_to, fields)) = address::then(text, |rest| {
        let Some(rest) = rest.strip_prefix(", orig_to=") else { return Some((None, fields(rest)?)) };
        let (orig_to, fields) = address::then(rest, fields)?;
        Some((Some(orig_to), fields))
    })?;
    Some(Attempt { to, orig_to, ..fields })
}

/// From `, relay=` to the end of the line. `delays`, `dsn` (Postfix 2.3), `conn_use` and `tls` (3.10) may be missing.
fn fields(text: &str) -> Option<Attempt<'_>> {
    let rest = text.strip_prefix(", relay=")?;
    let (relay, rest) = relay(rest)?;
    let (delay, rest) = number(rest)?;
    let (delays, rest) = optional(rest, ", delays=")?;
    let (tls, rest) = optional(rest, ", tls=")?;
    let (dsn, rest) = optional(rest, ", dsn=")?;
    let rest = rest.strip_prefix(", status=")?;
    let end = memchr::memchr(b' ', rest.as_bytes()).unwrap_or(rest.len());
    let (status, reply) = rest.split_at_checked(end)?;
    let reply = reply.strip_prefix(' ').unwrap_or(reply);
    let reply = reply.strip_prefix('(').unwrap_or(reply);
    let reply = reply.strip_suffix(')').unwrap_or(reply);
    let tls = (!tls.is_empty()).then_some(tls);
    is_word(status).then_some(Attempt {
        to: "",
        orig_to: None,
        relay,
        delay,
        delays,
        dsn,
        status,
        reply,
        tls,
    })
}

/// The relay and what follows `, delay=`.
fn relay(text: &str) -> Option<(&str, &str)> {
    let window = text.as_bytes().get(..RELAY_MAX.min(text.len()))?;
    let begins = |at: &usize| window.get(*at..).is_some_and(|rest| rest.starts_with(b", delay="));
    let end = memchr::memchr_iter(b',', window).find(begins)?;
    let (relay, rest) = (text.get(..end)?, text.get(end + ", delay=".len()..)?);
    let reused = memchr::memrchr(b',', relay.as_bytes());
    let plain = reused.and_then(|comma| relay.split_at_checked(comma));
    let plain = plain.filter(|(_, behind)| behind.starts_with(", conn_use="));
    Some((plain.map_or(relay, |(relay, _)| relay), rest))
}

/// Digits and points at the start of `text`.
fn number(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|b| !b.is_ascii_digit() && b != b'.').unwrap_or(text.len());
    (end > 0).then(|| text.split_at_checked(end))?
}

/// A field that has no comma in it; empty where `text` does not begin with `name`.
fn optional<'a>(text: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let Some(rest) = text.strip_prefix(name) else { return Some(("", text)) };
    let end = memchr::memchr2(b',', b' ', rest.as_bytes())?;
    rest.split_at_checked(end)
}

/// Postfix's status words: letters and hyphens (`undeliverable-but-not-cached`, `SOFTBOUNCE`).
fn is_word(status: &str) -> bool {
    !status.is_empty() && status.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-')
}
