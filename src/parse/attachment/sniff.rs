//! What some bytes are, by themselves.

use memchr::memmem;

/// How far one looks.
const NEAR: usize = 4096;

/// What bytes can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gzip,
    Zip,
    /// XML or JSON that says to be a report.
    Report,
    Xml,
    Json,
    Html,
    /// It has a mail's header.
    Mail,
    /// One of the above in base64, though nobody said so.
    Base64,
    /// S/MIME in one block: the parts are not to be seen.
    Smime,
    /// Outlook's own box for attachments (TNEF, `winmail.dat`).
    Tnef,
    Empty,
    Other,
}

/// Why something of a kind is no report.
pub(super) const fn reason(kind: Kind) -> &'static str {
    match kind {
        Kind::Html => "this is a web page, not a report",
        Kind::Smime => "signed or encrypted in one block (S/MIME): the report inside cannot be seen",
        Kind::Tnef => "attachments in Outlook's own format (TNEF, winmail.dat), which is not read",
        Kind::Empty => "empty",
        _ => "neither a mail nor XML, JSON, gzip or zip",
    }
}

/// Looks at the first bytes.
pub(super) fn kind(bytes: &[u8]) -> Kind {
    match bytes {
        [0x1f, 0x8b, ..] => return Kind::Gzip,
        // An archive; an empty one; one in parts.
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] | [b'P', b'K', 7, 8, ..] => return Kind::Zip,
        [0x78, 0x9f, 0x3e, 0x22, ..] => return Kind::Tnef,
        // ASN.1: a sequence that begins with an identifier of PKCS #7.
        [0x30, ..] if near(bytes, b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07") => return Kind::Smime,
        _ => {}
    }
    // Text of two bytes a character looks like text of one when the zeros are left out.
    let start = bytes.get(..NEAR).unwrap_or(bytes);
    let narrow: Vec<u8>;
    let start = match start.contains(&0) {
        true => {
            narrow = start.iter().copied().filter(|byte| *byte != 0).collect();
            &narrow[..]
        }
        false => start,
    };
    let text = start.trim_ascii_start();
    let text = text.strip_prefix(b"\xEF\xBB\xBF").or_else(|| text.strip_prefix(b"\xFF\xFE")).unwrap_or(text);
    let text = text.strip_prefix(b"\xFE\xFF").unwrap_or(text).trim_ascii_start();
    match text.first() {
        None => Kind::Empty,
        Some(b'<') => markup(text),
        Some(b'{') if near(text, b"\"organization-name\"") || near(text, b"\"policies\"") => Kind::Report,
        Some(b'{') => Kind::Json,
        // gzip, zip, and `<?xml ` or `<feed` in base64.
        _ if [b"H4sI", b"UEsD", b"PD94", b"PGZl"].iter().any(|start| text.starts_with(*start)) => {
            Kind::Base64
        }
        _ if is_mail(text) => Kind::Mail,
        _ => Kind::Other,
    }
}

fn markup(text: &[u8]) -> Kind {
    if near(text, b"<feedback") {
        return Kind::Report;
    }
    let lower = text.to_ascii_lowercase();
    if near(&lower, b"<feedback") || near(&lower, b":feedback") {
        return Kind::Report;
    }
    let html = [&b"<html"[..], b"<!doctype html", b"<body", b"<div", b"<p>"];
    if html.iter().any(|word| near(&lower, word)) { Kind::Html } else { Kind::Xml }
}

/// Whether XML or JSON names what only reports have, wherever that stands.
pub(super) fn names_report(bytes: &[u8]) -> bool {
    [&b"<feedback"[..], b":feedback", b"\"policies\""].iter().any(|word| memmem::find(bytes, word).is_some())
}

/// Where a DMARC report ends, if another one stands behind it.
pub(super) fn end_of_first(bytes: &[u8]) -> Option<usize> {
    const END: &[u8] = b"feedback>";
    memmem::find_iter(bytes, END).map(|at| (at, at + END.len())).find_map(|(at, end)| {
        let closes = at > 0 && matches!(bytes.get(at - 1), Some(b'/' | b':'));
        let rest = bytes.get(end..)?.trim_ascii_start();
        let rest = rest.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(rest);
        (closes && (rest.starts_with(b"<?xml") || rest.starts_with(b"<feedback"))).then_some(end)
    })
}

/// Whether one of the headers that every mail has stands in the first lines.
fn is_mail(text: &[u8]) -> bool {
    const NAMES: [&str; 8] = [
        "from",
        "received",
        "return-path",
        "date",
        "subject",
        "mime-version",
        "content-type",
        "delivered-to",
    ];
    let mut lines =
        text.split(|byte| *byte == b'\n').take(64).take_while(|line| !line.trim_ascii().is_empty());
    let mut plain = true;
    let found = lines.any(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        // A line of a header, the rest of one, or the line in front of a mail in an mbox.
        plain &= name.len() < line.len()
            || line.starts_with(b" ")
            || line.starts_with(b"\t")
            || line.starts_with(b"From ");
        !plain || NAMES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    });
    found && plain
}

/// Whether the word stands in the first bytes.
fn near(bytes: &[u8], word: &[u8]) -> bool {
    memmem::find(bytes.get(..NEAR).unwrap_or(bytes), word).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_known_by_themselves() {
        for (bytes, expected) in [
            (&b"\x1f\x8b\x08"[..], Kind::Gzip),
            (b"PK\x03\x04", Kind::Zip),
            (b"PK\x05\x06", Kind::Zip),
            (b"\n <?xml version=\"1.0\"?><x:feedback xmlns:x='y'>", Kind::Report),
            (b"\xEF\xBB\xBF<feedback>", Kind::Report),
            (b"\xFF\xFE<\0f\0e\0e\0d\0b\0a\0c\0k\0>\0", Kind::Report),
            (b"<?xml version=\"1.0\"?><other>", Kind::Xml),
            (b"<!DOCTYPE HTML><p>", Kind::Html),
            (b"{\"organization-name\":", Kind::Report),
            (b"{\"a\":1}", Kind::Json),
            (b"H4sIAAAAAAAA", Kind::Base64),
            (b"Return-Path: <a@b.example>\r\nX: y\r\n\r\n", Kind::Mail),
            (b"X-Odd: 1\r\n folded\r\nfrom: x\r\n\r\n", Kind::Mail),
            (b"From a@b.example Tue Apr 30\nSubject: x\n\n", Kind::Mail),
            (b"Dear customer,\r\nSubject: x\r\n", Kind::Other),
            (b"X: y\r\n\r\nFrom: z\r\n", Kind::Other),
            (b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", Kind::Smime),
            (b"  \r\n", Kind::Empty),
            (b"", Kind::Empty),
            (b"\x78\x9f\x3e\x22\x01\x00", Kind::Tnef),
            (b"\x89PNG", Kind::Other),
        ] {
            assert_eq!(kind(bytes), expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
