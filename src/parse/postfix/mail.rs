//! Lines that begin with a queue id: facts about that mail.

use super::{address, attempt, noise, queue_id, refusal};
use crate::model::event::{Client, Fact, NoticeKind, Parsed};

/// What stands behind `ID: `.
pub(super) fn parse<'a>(queue_id: &'a str, rest: &'a str) -> Parsed<'a> {
    match fact(rest) {
        Some(fact) => Parsed::Mail { queue_id, fact },
        None if noise::is_known_of_mail(rest) => Parsed::Noise,
        None => Parsed::Unknown,
    }
}

fn fact(rest: &str) -> Option<Fact<'_>> {
    let equals = memchr::memchr3(b'=', b' ', b':', rest.as_bytes());
    let Some(end) = equals else {
        return match rest {
            "removed" => Some(Fact::Removed),
            "requeued" => Some(Fact::Requeued),
            _ => None,
        };
    };
    let (word, behind) = rest.split_at_checked(end)?;
    match behind.as_bytes().first()? {
        b'=' => field(word, behind.get(1..)?),
        b':' => action(word, behind.strip_prefix(": ")?),
        _ => match (word, behind) {
            ("placed", " on hold") => Some(Fact::Held { reason: rest }),
            ("released", " from hold") => Some(Fact::Released),
            ("sender" | "postmaster", _) => notice(word, behind.get(1..)?),
            _ => None,
        },
    }
}

/// `NAME=...`, the form of most facts.
fn field<'a>(name: &str, value: &'a str) -> Option<Fact<'a>> {
    match name {
        "to" => attempt::parse(value).map(Fact::Attempt),
        "from" => queued(value),
        "client" => client(value).map(Fact::Client),
        "message-id" => Some(Fact::MessageId(without_brackets(value))),
        "uid" => pickup(value).map(|(uid, sender, _)| Fact::Pickup { uid, sender }),
        _ => None,
    }
}

/// `VERB: ...` of access tables, header checks and milters. Other verbs change nothing about the mail's way.
fn action<'a>(verb: &'a str, rest: &'a str) -> Option<Fact<'a>> {
    refusal::is_verb(verb).then_some(())?;
    let refusal = refusal::parse(verb, rest).map(Fact::Refused);
    refusal.or(match verb {
        "hold" | "milter-hold" => Some(Fact::Held { reason: rest }),
        "discard" | "milter-discard" => Some(Fact::Discarded { reason: rest }),
        _ => None,
    })
}

/// qmgr(8): `from=<A>, size=N, nrcpt=N (queue active)` or `from=<A>, status=expired, returned to sender`.
fn queued(value: &str) -> Option<Fact<'_>> {
    let (sender, fact) = address::then(value, |rest| {
        if let Some(status) = rest.strip_prefix(", status=") {
            let (status, _) = status.split_once(',').unwrap_or((status, ""));
            return matches!(status, "expired" | "force-expired").then_some(Fact::Expired { sender: "" });
        }
        let rest = rest.strip_prefix(", size=")?;
        let (size, rest) = rest.split_at_checked(memchr::memchr(b',', rest.as_bytes())?)?;
        let nrcpt = rest.strip_prefix(", nrcpt=")?.strip_suffix(" (queue active)")?;
        Some(Fact::Queued { sender: "", size: size.parse().ok()?, nrcpt: nrcpt.parse().ok()? })
    })?;
    Some(match fact {
        Fact::Queued { size, nrcpt, .. } => Fact::Queued { sender, size, nrcpt },
        _ => Fact::Expired { sender },
    })
}

/// smtpd(8): `HOST[IP], sasl_method=M, sasl_username=U, sasl_sender=S, orig_queue_id=ID, orig_client=HOST[IP]`.
fn client(value: &str) -> Option<Client<'_>> {
    let (host, ip, end) = refusal::peer(value)?;
    let fields = value.get(end..)?;
    if fields.is_empty() {
        return Some(Client { host, ip, login: None, parent: None, tls: None });
    }
    fields.starts_with(", ").then_some(())?;
    let (fields, _origin) = cut(fields, ", orig_client=");
    let (fields, parent) = cut(fields, ", orig_queue_id=");
    let (fields, _sender) = cut(fields, ", sasl_sender=");
    let login = fields.strip_prefix(", sasl_method=").and_then(|method| {
        let (_method, login) = method.split_at_checked(memchr::memchr(b',', method.as_bytes())?)?;
        login.strip_prefix(", sasl_username=")
    });
    Some(Client { host, ip, login, parent: parent.filter(|id| queue_id::is_whole(id.as_bytes())), tls: None })
}

/// What stands before and behind the last `name`, which begins with a comma; all of it before, where it is missing.
fn cut<'a>(text: &'a str, name: &str) -> (&'a str, Option<&'a str>) {
    // `name` begins with a comma, and a line has few of them.
    let begins = |at: &usize| text.get(*at..).is_some_and(|rest| rest.starts_with(name));
    let Some(at) = memchr::memrchr_iter(b',', text.as_bytes()).find(begins) else { return (text, None) };
    (text.get(..at).unwrap_or(text), text.get(at + name.len()..))
}

/// pickup(8): `N from=<A>`, with ` orig_id=ID` behind it for a mail that was put back into the queue.
pub(super) fn pickup(value: &str) -> Option<(u32, &str, Option<&str>)> {
    let (uid, rest) = value.split_once(" from=")?;
    let uid = uid.parse().ok()?;
    let (sender, before) = address::then(rest, |rest| match rest.strip_prefix(" orig_id=") {
        Some(id) => Some(Some(id).filter(|id| queue_id::is_whole(id.as_bytes()))),
        None => rest.is_empty().then_some(None),
    })?;
    Some((uid, sender, before))
}

/// bounce(8): `non-delivery notification: ID` and its kin, behind `sender ` or `postmaster `.
fn notice<'a>(whom: &str, rest: &'a str) -> Option<Fact<'a>> {
    let (what, queue_id) = rest.split_once(" notification: ")?;
    let kind = match (whom, what) {
        ("sender", "non-delivery") => NoticeKind::Bounce,
        ("sender", "delay") => NoticeKind::Delay,
        ("sender", "delivery status") => NoticeKind::Success,
        ("postmaster", "non-delivery" | "delay" | "delivery status") => NoticeKind::Postmaster,
        _ => return None,
    };
    queue_id::is_whole(queue_id.as_bytes()).then_some(Fact::Notice { kind, queue_id })
}

/// A message id without its angle brackets; an odd one (`=?UTF-8?...`) as it is.
fn without_brackets(id: &str) -> &str {
    id.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')).unwrap_or(id)
}
