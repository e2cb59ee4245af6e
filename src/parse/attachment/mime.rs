//! The parts of a mail. A walk of our own over the bodies: general readers build all parts at once, in memory that
//! nothing bounds, and go as deep as a mail wants. Headers and encodings are read with `mail_parser`.

use std::borrow::Cow;

use mail_parser::{
    ContentType, HeaderName, HeaderValue, Message, MessageParser, MimeHeaders,
    decoders::{base64::base64_decode, quoted_printable::quoted_printable_decode},
};

use super::{Role, Search};

/// The longest header that is read.
const HEAD_MAX: usize = 256 * 1024;

/// Endings of names of files that should be reports.
const NAMES: [&str; 5] = [".xml", ".json", ".gz", ".zip", ".gzip"];

/// Subtypes of media types of files that should be reports, and of blocks that hide them.
const TYPES: [&str; 9] = [
    "xml",
    "gzip",
    "x-gzip",
    "zip",
    "x-zip-compressed",
    "tlsrpt+gzip",
    "tlsrpt+json",
    "pkcs7-mime",
    "x-pkcs7-mime",
];

/// The header of a mail or a part, with the empty line behind it, as far as it is read.
pub(in crate::parse) fn head(mail: &[u8]) -> &[u8] {
    let head = mail.get(..split(mail)).unwrap_or_default();
    head.get(..HEAD_MAX).unwrap_or(head)
}

impl Search<'_> {
    /// Looks into a mail, or into a part of one.
    pub(super) fn entity(&mut self, bytes: &[u8], name: &str, depth: usize, of_digest: bool) {
        if self.full || !self.count_member(name, bytes) {
            return;
        }
        if depth > self.limits.depth {
            return self.refuse(
                name,
                bytes,
                format!("more than {} mails inside of each other", self.limits.depth),
            );
        }
        // The line in front of a mail in an mbox is no header.
        let line = if bytes.starts_with(b"From ") {
            memchr::memchr(b'\n', bytes).map_or(0, |end| end + 1)
        } else {
            0
        };
        let bytes = bytes.get(line..).unwrap_or_default();
        let (head, body) = (head(bytes), bytes.get(split(bytes)..).unwrap_or_default());
        let message = MessageParser::default().parse_headers(head);
        let mut part = Part::of(message.as_ref(), of_digest);
        if part.is_multipart && part.boundary.is_none() {
            part.boundary = first_border(body).map(Cow::Borrowed);
        }
        if let Some(boundary) = part.boundary.as_deref() {
            // Against the standard, but seen: the parts themselves in base64.
            let body = match part.encoding {
                Encoding::Base64 if parts(body, boundary).next().is_none() => {
                    self.base64(body, name).map(Cow::Owned)
                }
                _ => Some(Cow::Borrowed(body)),
            };
            self.multipart(&body.unwrap_or_default(), &part, boundary, name, depth);
            return;
        }
        let name = part.name.as_deref().unwrap_or(name);
        let Some(body) = self.decoded(body, part.encoding, name) else { return };
        match part.is_mail {
            true => self.entity(&body, name, depth + 1, false),
            false => self.open(body, name, part.role(), depth + 1),
        }
    }

    fn multipart(&mut self, body: &[u8], part: &Part<'_>, boundary: &[u8], name: &str, depth: usize) {
        for bytes in parts(body, boundary) {
            // A failure report (RFC 6591) brings the mail that it is about: nothing of that is a report for us.
            if is_feedback(bytes) {
                let reason = "a failure report on a single mail (RUF, RFC 6591), not an aggregate report";
                return self.refuse(name, bytes, reason);
            }
            self.entity(bytes, name, depth + 1, part.is_digest);
        }
    }

    fn decoded<'b>(&mut self, body: &'b [u8], encoding: Encoding, name: &str) -> Option<Cow<'b, [u8]>> {
        match encoding {
            Encoding::Plain => Some(Cow::Borrowed(body)),
            Encoding::Base64 => self.base64(body, name).map(Cow::Owned),
            Encoding::Quoted => {
                if !self.spend(body.len(), name, body) {
                    return None;
                }
                Some(quoted_printable_decode(body).map_or(Cow::Borrowed(body), Cow::Owned))
            }
        }
    }

    /// Decodes base64; what does not belong there is left out.
    pub(super) fn base64(&mut self, body: &[u8], name: &str) -> Option<Vec<u8>> {
        if !self.spend(body.len().div_ceil(4) * 3, name, body) {
            return None;
        }
        let sound = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        base64_decode(body).or_else(|| {
            let rest: Vec<u8> = body.iter().copied().filter(sound).collect();
            base64_decode(&rest)
        })
    }
}

/// What the header of a part says.
#[derive(Default)]
struct Part<'m> {
    boundary: Option<Cow<'m, [u8]>>,
    is_multipart: bool,
    is_digest: bool,
    is_mail: bool,
    is_text: bool,
    is_expected: bool,
    name: Option<Cow<'m, str>>,
    encoding: Encoding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Encoding {
    #[default]
    Plain,
    Base64,
    Quoted,
}

impl<'m> Part<'m> {
    fn of(message: Option<&'m Message<'m>>, of_digest: bool) -> Self {
        let Some(message) = message else {
            return Self { is_mail: of_digest, is_text: true, ..Self::default() };
        };
        let kind = message.content_type();
        let name = message.attachment_name();
        let (main, sub) =
            kind.map_or(("text", ""), |kind| (kind.ctype(), kind.subtype().unwrap_or_default()));
        let is = |word: &str, other: &str| word.eq_ignore_ascii_case(other);
        Self {
            boundary: kind.filter(|_| is(main, "multipart")).and_then(boundary),
            is_multipart: is(main, "multipart"),
            is_digest: is(sub, "digest"),
            is_mail: if kind.is_none() {
                of_digest
            } else {
                is(main, "message") && (is(sub, "rfc822") || is(sub, "global"))
            },
            is_text: name.is_none() && (is(main, "text") && !is(sub, "xml")),
            is_expected: name.is_some_and(is_report_name) || TYPES.iter().any(|known| is(sub, known)),
            name: name.map(Cow::Borrowed),
            encoding: encoding(message),
        }
    }

    const fn role(&self) -> Role {
        match (self.is_expected, self.is_text) {
            (true, _) => Role::Expected,
            (false, true) => Role::Body,
            (false, false) => Role::Attached,
        }
    }
}

fn boundary<'m>(kind: &'m ContentType<'m>) -> Option<Cow<'m, [u8]>> {
    let boundary = kind.attribute("boundary")?.trim_end();
    (!boundary.is_empty()).then_some(Cow::Borrowed(boundary.as_bytes()))
}

/// The boundary of a body whose header does not tell it: what stands in its first line of that kind.
fn first_border(body: &[u8]) -> Option<&[u8]> {
    let mut lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    lines.find_map(|line| line.strip_prefix(b"--").filter(|boundary| !boundary.is_empty()))
}

fn is_report_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|end| name.ends_with(end))
}

/// Whether a text holds a file that should be a report as uuencode: behind a line `begin 644 report.xml.gz`.
pub(super) fn has_uuencoded(text: &[u8]) -> bool {
    let begins_line = |at: &usize| *at == 0 || text.get(at - 1) == Some(&b'\n');
    memchr::memmem::find_iter(text, b"begin ").filter(begins_line).any(|at| {
        let line =
            text.get(at..).and_then(|rest| rest.split(|byte| *byte == b'\n').next()).unwrap_or_default();
        let mut words = line.split(|byte| *byte == b' ').skip(1);
        let mode = words.next().unwrap_or_default();
        matches!(mode.len(), 3 | 4)
            && mode.iter().all(|digit| matches!(digit, b'0'..=b'7'))
            && is_report_name(String::from_utf8_lossy(line).trim_end())
    })
}

fn encoding(message: &Message<'_>) -> Encoding {
    let value = message.header(HeaderName::ContentTransferEncoding);
    let word = value.and_then(HeaderValue::as_text).unwrap_or_default().trim();
    if word.eq_ignore_ascii_case("base64") {
        Encoding::Base64
    } else if word.eq_ignore_ascii_case("quoted-printable") {
        Encoding::Quoted
    } else {
        Encoding::Plain
    }
}

/// Whether a part is the machine-readable half of a failure report.
fn is_feedback(part: &[u8]) -> bool {
    let message = MessageParser::default().parse_headers(head(part));
    let kind = message.as_ref().and_then(|message| message.content_type());
    kind.is_some_and(|kind| {
        kind.ctype().eq_ignore_ascii_case("message")
            && kind.subtype().is_some_and(|sub| sub.eq_ignore_ascii_case("feedback-report"))
    })
}

/// Where the body begins: behind the first empty line, or at the end.
fn split(bytes: &[u8]) -> usize {
    let mut at = 0;
    for end in memchr::memchr_iter(b'\n', bytes) {
        let line = bytes.get(at..end).unwrap_or_default();
        at = end + 1;
        if line.is_empty() || line == b"\r" {
            return at;
        }
    }
    bytes.len()
}

/// The parts of a multipart body, without the line break in front of each boundary. A last part without its end
/// counts.
fn parts<'b>(body: &'b [u8], boundary: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
    let mut borders = borders(body, boundary).peekable();
    std::iter::from_fn(move || {
        let border = borders.next()?;
        if border.last {
            return None;
        }
        let end = borders.peek().map_or(body.len(), |next| next.start);
        let part = body.get(border.end..end.max(border.end)).unwrap_or_default();
        let part = part.strip_suffix(b"\n").unwrap_or(part);
        Some(part.strip_suffix(b"\r").unwrap_or(part))
    })
}

/// A line between parts.
struct Border {
    start: usize,
    end: usize,
    last: bool,
}

fn borders<'b>(body: &'b [u8], boundary: &'b [u8]) -> impl Iterator<Item = Border> {
    let mark = [b"--", boundary].concat();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + memchr::memmem::find(body.get(at..)?, &mark)?;
            let behind = start + mark.len();
            at = behind;
            let begins_line = start == 0 || body.get(start - 1) == Some(&b'\n');
            let rest = body.get(behind..)?;
            let line = rest.get(..memchr::memchr(b'\n', rest).unwrap_or(rest.len()))?;
            let last = line.starts_with(b"--");
            let tail = if last { line.get(2..).unwrap_or_default() } else { line };
            // Another boundary may begin with this one.
            if begins_line && tail.trim_ascii().is_empty() {
                at = (behind + line.len() + 1).min(body.len());
                return Some(Border { start, end: at, last });
            }
        }
    })
}
