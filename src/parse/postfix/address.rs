//! Addresses in angle brackets, as Postfix logs them.
//!
//! Since Postfix 3.5 (`info_log_addr_form = external`) a local part with odd characters is quoted, with `\` before `"`
//! and `\`; older versions print it bare, so that `>` and `, relay=` can stand in it.

/// How many closing brackets are tried for a bare odd address. Bounds the time that hostile text can cost.
const TRIES: usize = 16;

/// Reads `<ADDRESS>` in its quoted form and gives the address without brackets and what follows.
pub(super) fn strict(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('<')?;
    let domain_at = if inner.starts_with('"') { end_of_quotes(inner)? } else { 0 };
    let end = domain_at + memchr::memchr(b'>', inner.as_bytes().get(domain_at..)?)?;
    let address = inner.get(..end)?;
    let plain = |b: &u8| !matches!(b, b' ' | b'"' | b'<' | b';');
    address.as_bytes().get(domain_at..)?.iter().all(plain).then_some(())?;
    Some((address, inner.get(end + 1..)?))
}

/// Reads `<ADDRESS>` of any form in the tail of a refusal: up to the first bracket with another field, a text or nothing
/// behind it.
pub(super) fn lax(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('<')?;
    let ends = memchr::memchr_iter(b'>', inner.as_bytes()).take(TRIES);
    ends.filter_map(|end| Some((inner.get(..end)?, inner.get(end + 1..)?)))
        .find(|(_, rest)| rest.is_empty() || LAX_NEXT.iter().any(|next| rest.starts_with(next)))
}

/// What follows an address in the tail of a refusal.
const LAX_NEXT: [&str; 6] = [" to=<", ", to=<", " proto=", ", proto=", " helo=<", ": "];

/// Offset behind the closing quote of a text that begins with one.
fn end_of_quotes(text: &str) -> Option<usize> {
    let mut at = 1;
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', text.as_bytes().get(at..)?)?;
        if text.as_bytes().get(found) == Some(&b'"') {
            return Some(found + 1);
        }
        at = found + 2;
    }
}

/// Reads an address and whatever `next` reads behind it. A bare odd address ends at the first bracket behind which
/// `next` succeeds; an address without brackets ends at the first comma.
pub(super) fn then<'a, T>(text: &'a str, next: impl Fn(&'a str) -> Option<T>) -> Option<(&'a str, T)> {
    if let Some((address, rest)) = strict(text)
        && let Some(found) = next(rest)
    {
        return Some((address, found));
    }
    let Some(inner) = text.strip_prefix('<') else {
        let end = memchr::memchr(b',', text.as_bytes()).unwrap_or(text.len());
        return Some((text.get(..end)?, next(text.get(end..)?)?));
    };
    memchr::memchr_iter(b'>', inner.as_bytes())
        .take(TRIES)
        .find_map(|end| Some((inner.get(..end)?, next(inner.get(end + 1..)?)?)))
}
