//! Refusals, holds and discards: `STAGE from HOST[IP]: CODE X.Y.Z TEXT; from=<A> to=<B> proto=P helo=<H>
//! sasl_username=<U>`. Those that hold or discard have no codes.
//!
//! The reply's text may quote what the client chose, and the HELO name at the end is the client's too; both can
//! imitate the tail. All places where a tail could begin are read with strict addresses, and
//! - a place inside the addresses of an earlier tail is a quoted address, not a tail; unless the earlier one has a `>` in its
//!   HELO name or login, and the later one has not: then the earlier one begins in an address that the reply quotes, and
//!   takes the rest of the line for its HELO name;
//! - a place inside a HELO name that no `>` has closed yet is part of that name;
//! - of the rest the last one with all fields is true: Postfix replaces brackets, blanks and semicolons in HELO
//!   names (`src/smtpd/smtpd.c`, `NEUTER_CHARACTERS`), so that a whole earlier tail can only stand in the reply.
//!
//! Only when no tail has strict addresses, as Postfix before 3.5 logs odd ones, the first tail with lax ones is taken.

use super::address;
use crate::model::event::Refusal;

/// Tails tried at most, more than fit into an SMTP command; bounds the time that hostile text can cost.
const TRIES: usize = 1024;

/// Verbs of access tables, checks and milters that keep a mail from its way.
pub(super) fn is_verb(verb: &str) -> bool {
    matches!(verb, "reject" | "milter-reject" | "proxy-reject")
        || matches!(verb, "hold" | "milter-hold" | "discard" | "milter-discard")
}

/// What stands behind `VERB: `. `None` when the line is not of this shape.
pub(super) fn parse<'a>(verb: &'a str, body: &'a str) -> Option<Refusal<'a>> {
    for class in ["header", "body", "content", MIME_ERROR] {
        if let Some(content) = body.strip_prefix(class).and_then(|rest| rest.strip_prefix(' ')) {
            return content_check(verb, class, content);
        }
    }
    let (stage, host, ip, said) = stage_and_peer(body)?;
    let (reply, tail) = split(said, Ending::Line);
    let (code, dsn) = codes(reply);
    Some(Refusal { verb, stage, host, ip, code, dsn, reply, ..tail.fields })
}

/// `STAGE from PEER: `, or, from old proxies, `STAGE: ` alone.
fn stage_and_peer(body: &str) -> Option<(&str, &str, &str, &str)> {
    let letters = body.bytes().position(|b| !(b.is_ascii_alphabetic() || matches!(b, b'-' | b' ')))?;
    let words = body.get(..letters)?;
    if let Some(rest) = body.get(letters..)?.strip_prefix(": ")
        && !words.contains(' ')
    {
        return Some((words, "", "", rest));
    }
    let end = memchr::memchr_iter(b' ', words.as_bytes())
        .find(|at| words.get(*at..).is_some_and(|rest| rest.starts_with(" from ")))?;
    let stage = words.get(..end)?;
    let rest = body.get(stage.len() + " from ".len()..)?;
    let (host, ip, end) = peer(rest)?;
    let said = rest.get(end..)?;
    Some((stage, host, ip, said.strip_prefix(": ").or_else(|| said.strip_prefix(':'))?))
}

/// `HOST[IP]` or `HOST[IP]:PORT` at the start: host, address, and the offset behind all of it. Postscreen names no host.
pub(super) fn peer(text: &str) -> Option<(&str, &str, usize)> {
    let open = memchr::memchr2(b'[', b' ', text.as_bytes())?;
    let inner = text.get(open..)?.strip_prefix('[')?;
    let close = memchr::memchr2(b']', b' ', inner.as_bytes())?;
    let rest = inner.get(close..)?.strip_prefix(']')?;
    let port = rest.strip_prefix(':').map_or(0, |port| port.bytes().take_while(u8::is_ascii_digit).count());
    let port = if port == 0 { 0 } else { port + 1 };
    Some((text.get(..open)?, inner.get(..close)?, open + 1 + close + 1 + port))
}

/// The class of what cleanup cannot read as MIME. No recipient is `unknown` there (`src/cleanup/cleanup_message.c`,
/// `cleanup_mime_error_callback`).
const MIME_ERROR: &str = "mime-error";

/// `CLASS CONTENT from PEER; from=<A> to=<B> proto=P helo=<H>: TEXT` of cleanup's header and body checks. The content is
/// the sender's; the reply is the text at the end, which the administrator wrote, or the content where there is none.
fn content_check<'a>(verb: &'a str, stage: &'a str, content: &'a str) -> Option<Refusal<'a>> {
    let (quoted, tail) = split(content, Ending::Text);
    let (found, origin) = quoted.rsplit_once(" from ")?;
    let (host, ip) = peer(origin).map_or((origin, ""), |(host, ip, _)| (host, ip));
    let (code, dsn) = codes(tail.text);
    let reply = if tail.text.is_empty() { found } else { tail.text };
    let to = tail.fields.to.filter(|to| stage != MIME_ERROR || *to != "unknown");
    Some(Refusal { verb, stage, host, ip, code, dsn, reply, to, ..tail.fields })
}

/// `550 5.1.1 ...` or `5.7.1 ...`: reply code and enhanced code, where they stand.
fn codes(reply: &str) -> (u16, &str) {
    let bytes = reply.as_bytes();
    let coded = bytes.len() >= 3
        && bytes.iter().take(3).all(u8::is_ascii_digit)
        && bytes.get(3).is_none_or(|&b| b == b' ' || b == b'-');
    let (code, rest) = if coded { reply.split_at_checked(3).unwrap_or(("", reply)) } else { ("", reply) };
    (code.parse().unwrap_or(0), enhanced(rest.get(usize::from(coded)..).unwrap_or("")))
}

/// The enhanced code (RFC 3463) at the start of `text`, or nothing.
fn enhanced(text: &str) -> &str {
    let end = text.bytes().position(|b| !b.is_ascii_digit() && b != b'.').unwrap_or(text.len());
    let code = text.get(..end).unwrap_or("");
    let mut parts = code.split('.');
    let class = parts.next().is_some_and(|class| matches!(class, "2" | "4" | "5"));
    let mut detail = || parts.next().is_some_and(|part| matches!(part.len(), 1..=3));
    let valid = class && detail() && detail() && parts.next().is_none();
    if valid { code } else { "" }
}

/// What may follow the tail's last field.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    /// Nothing.
    Line,
    /// `: TEXT`, or nothing.
    Text,
}

/// The fields behind the reply, and where they stand.
#[derive(Clone, Copy, Default)]
struct Tail<'a> {
    fields: Refusal<'a>,
    /// Offset in the line behind the addresses.
    addresses_end: usize,
    /// Offset in the line where the HELO name begins; the end of the line without one.
    helo_at: usize,
    /// What stands behind the tail with [`Ending::Text`].
    text: &'a str,
}

impl Tail<'_> {
    /// Whether no bracket stands in what is not an address.
    fn is_plain(&self) -> bool {
        !self.fields.helo.contains('>') && self.fields.login.is_none_or(|login| !login.contains('>'))
    }
}

/// Separates the reply from the tail behind it; an empty tail where there is none. See the module's doc.
fn split(said: &str, ending: Ending) -> (&str, Tail<'_>) {
    let mut best: Option<(usize, Tail)> = None;
    for at in places(said) {
        if best.is_some_and(|(_, known)| open(said, known.helo_at, at)) {
            continue;
        }
        let Some(found) = tail(said, at + 2, ending, address::strict) else { continue };
        let worse = |known: &Tail<'_>| {
            let quoted = at < known.addresses_end && (known.is_plain() || !found.is_plain());
            quoted || (!known.fields.proto.is_empty() && found.fields.proto.is_empty())
        };
        if best.is_none_or(|(_, known)| !worse(&known)) {
            best = Some((at, found));
        }
    }
    let lax = || places(said).find_map(|at| Some((at, tail(said, at + 2, ending, address::lax)?)));
    match best.or_else(lax) {
        Some((at, tail)) => (said.get(..at).unwrap_or(said), tail),
        None => (said.strip_suffix(';').unwrap_or(said), Tail::default()),
    }
}

/// Offsets of `; ` with the name of a field behind it.
fn places(said: &str) -> impl Iterator<Item = usize> {
    let named = |at: &usize| {
        let name = said.get(at + 1..).and_then(|rest| rest.strip_prefix(' ')).unwrap_or("");
        FIRST_FIELDS.iter().any(|field| name.starts_with(field))
    };
    memchr::memchr_iter(b';', said.as_bytes()).filter(named).take(TRIES)
}

/// What a tail can begin with: VRFY has no sender, EHLO no addresses.
const FIRST_FIELDS: [&str; 4] = ["from=<", "to=<", "proto=", "helo=<"];

/// Whether no bracket closes the HELO name that begins at `helo_at` before `at`.
fn open(said: &str, helo_at: usize, at: usize) -> bool {
    said.as_bytes().get(helo_at..at).is_some_and(|name| memchr::memchr(b'>', name).is_none())
}

/// How `<ADDRESS>` is read: [`address::strict`] or [`address::lax`].
type Address = for<'a> fn(&'a str) -> Option<(&'a str, &'a str)>;

/// Reads a tail that begins at `start` and fills the line. Postscreen separates the fields by commas.
fn tail(said: &str, start: usize, ending: Ending, address: Address) -> Option<Tail<'_>> {
    let begin = said.get(start..)?;
    let mut rest = begin;
    let mut fields = Refusal::default();
    if let Some((from, behind)) = bracketed(rest, "from=", address) {
        (fields.from, rest) = (Some(from), behind);
    }
    if let Some((to, behind)) = bracketed(rest, "to=", address) {
        (fields.to, rest) = (Some(to), behind);
    }
    let addresses_end = said.len() - rest.len();
    if let Some(behind) = rest.strip_prefix("proto=") {
        let end = behind.bytes().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(behind.len());
        (fields.proto, rest) = behind.split_at_checked(end)?;
        rest = separator(rest);
    }
    let mut helo_at = said.len();
    if let Some(behind) = rest.strip_prefix("helo=<") {
        helo_at = said.len() - behind.len();
        (fields.helo, fields.login, rest) = helo(behind, ending)?;
    }
    let text = if ending == Ending::Text { rest.strip_prefix(": ").unwrap_or(rest) } else { "" };
    let complete = rest.is_empty() || (ending == Ending::Text && text.len() < rest.len());
    (complete && rest.len() < begin.len()).then_some(Tail { fields, addresses_end, helo_at, text })
}

/// `NAME<ADDRESS>` and the separator behind it.
fn bracketed<'a>(text: &'a str, name: &str, address: Address) -> Option<(&'a str, &'a str)> {
    let (address, rest) = address(text.strip_prefix(name)?)?;
    Some((address, separator(rest)))
}

/// Drops the blank, or comma and blank, between two fields.
fn separator(text: &str) -> &str {
    text.strip_prefix(' ').or_else(|| text.strip_prefix(", ")).unwrap_or(text)
}

/// The HELO name (behind `helo=<`), the login behind it, and the rest. The name goes to the last bracket of the line,
/// or to the first one when the line goes on with a login or a text.
fn helo(text: &str, ending: Ending) -> Option<(&str, Option<&str>, &str)> {
    let first = memchr::memchr(b'>', text.as_bytes())?;
    let (name, behind) = (text.get(..first)?, text.get(first + 1..)?);
    if let Some(login) = separator(behind).strip_prefix("sasl_username=<").and_then(|l| l.strip_suffix('>')) {
        return Some((name, Some(login), ""));
    }
    if ending == Ending::Text && (behind.is_empty() || behind.starts_with(": ")) {
        return Some((name, None, behind));
    }
    Some((text.strip_suffix('>')?, None, ""))
}
