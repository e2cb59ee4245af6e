//! The report documents inside of a mail or a file, found by what the bytes are and not by what they are called:
//! mails in mails, gzip, zip, XML and JSON, in any order and depth that real senders use.
//!
//! Everything happens in memory, and what comes out of an input is bounded as a whole: every byte that is decoded or
//! unpacked on the way counts, wherever it stands. What is left out is always told as a [`Refusal`].

mod archive;
mod mime;
mod sniff;

use std::borrow::Cow;

pub(super) use mime::head;
use sniff::Kind;

use super::report::tidy;

/// How much an input may hold. The defaults fit reports of a hundred thousand records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an input as it comes.
    pub input: usize,
    /// Bytes that may be decoded and unpacked from one input, all steps and members together.
    pub output: usize,
    /// How many times its own size an archive may unpack to, once that is more than [`Limits::SMALL`].
    pub ratio: usize,
    /// Parts of mails and members of archives, together.
    pub members: usize,
    /// Mails, multiparts and archives inside of each other.
    pub depth: usize,
}

impl Limits {
    /// What any archive may unpack to, in bytes: small repetitive reports shrink without measure.
    pub const SMALL: usize = 1 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self { input: 32 << 20, output: 64 << 20, ratio: 200, members: 1000, depth: 16 }
    }
}

/// What an input holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unpacked {
    /// Documents that look like reports.
    pub documents: Vec<Document>,
    /// What cannot be taken. An input without a document has at least one.
    pub refused: Vec<Refusal>,
}

impl Unpacked {
    /// Whether the input has nothing to do with reports, as an ordinary mail.
    pub fn is_foreign(&self) -> bool {
        self.documents.is_empty() && self.refused.iter().all(|refusal| refusal.reason == NOTHING)
    }
}

/// The reason where an input holds nothing that has to do with reports.
const NOTHING: &str = "there is no report inside";

/// A document that looks like a report: XML or JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// File name, or what comes nearest, for people.
    pub name: String,
    /// Unpacked, in whatever encoding.
    pub bytes: Vec<u8>,
}

/// What cannot be taken, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// File name, or what comes nearest, for people.
    pub name: String,
    /// In words for people.
    pub reason: String,
    /// Size in bytes of what is refused, as far as it was read.
    pub bytes_len: usize,
}

/// Finds the report documents in a mail (eml), or in a bare xml, json, gz or zip file.
pub fn unpack(bytes: &[u8], name: Option<&str>, limits: &Limits) -> Unpacked {
    let name = name.unwrap_or("input");
    let mut search =
        Search { limits, left: limits.output, members: 0, full: false, found: Unpacked::default() };
    if bytes.len() > limits.input {
        search.refuse(name, bytes, format!("larger than {}", size(limits.input)));
    } else {
        search.open(Cow::Borrowed(bytes), name, Role::Alone, 0);
    }
    let Unpacked { documents, refused } = &search.found;
    if documents.is_empty() && refused.is_empty() {
        search.refuse(name, bytes, NOTHING);
    }
    search.found
}

/// As what some bytes came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The input itself.
    Alone,
    /// The text of a mail, which may be prose.
    Body,
    /// An attachment of which nothing tells that it should be a report.
    Attached,
    /// An attachment or a member of an archive that should be a report.
    Expected,
}

/// A search through one input.
struct Search<'l> {
    limits: &'l Limits,
    /// Bytes that may still be decoded and unpacked.
    left: usize,
    members: usize,
    /// A limit of the whole input is reached: nothing more is looked at.
    full: bool,
    found: Unpacked,
}

impl Search<'_> {
    /// Looks into some bytes.
    fn open(&mut self, bytes: Cow<'_, [u8]>, name: &str, role: Role, depth: usize) {
        if self.full {
            return;
        }
        if depth > self.limits.depth {
            self.refuse(name, &bytes, format!("packed more than {} times over", self.limits.depth));
            return;
        }
        match (sniff::kind(&bytes), role) {
            (Kind::Gzip, _) => self.gunzip(&bytes, name, depth),
            (Kind::Zip, _) => self.unzip(&bytes, name, depth),
            (Kind::Report, _) | (Kind::Xml | Kind::Json, Role::Alone | Role::Expected) => {
                self.take(bytes, name);
            }
            // The root may stand behind a long comment.
            (Kind::Xml | Kind::Json, Role::Attached) if sniff::names_report(&bytes) => self.take(bytes, name),
            (Kind::Mail, Role::Alone | Role::Expected | Role::Attached) => {
                // Some put an empty line in front of the header.
                self.entity(bytes.trim_ascii_start(), name, depth, false)
            }
            (Kind::Tnef, _) => self.refuse(name, &bytes, sniff::reason(Kind::Tnef)),
            (_, Role::Body | Role::Attached) if mime::has_uuencoded(&bytes) => {
                self.refuse(name, &bytes, "a file in uuencode, which is not read");
            }
            (Kind::Base64, _) => {
                if let Some(decoded) = self.base64(&bytes, name) {
                    self.open(Cow::Owned(decoded), name, role, depth + 1);
                }
            }
            (kind, Role::Alone | Role::Expected) => self.refuse(name, &bytes, sniff::reason(kind)),
            (_, Role::Body | Role::Attached) => {}
        }
    }

    /// Takes a document; where several were put one behind the other, each.
    fn take(&mut self, bytes: Cow<'_, [u8]>, name: &str) {
        let mut begin = 0;
        while let Some(length) = bytes.get(begin..).and_then(sniff::end_of_first) {
            if !self.count_member(name, &bytes) {
                return;
            }
            let first = bytes.get(begin..begin + length).unwrap_or_default().to_vec();
            self.found.documents.push(Document { name: label(name), bytes: first });
            begin += length;
            let rest = bytes.get(begin..).unwrap_or_default();
            begin += rest.len() - rest.trim_ascii_start().len();
        }
        let last =
            if begin == 0 { bytes.into_owned() } else { bytes.get(begin..).unwrap_or_default().to_vec() };
        self.found.documents.push(Document { name: label(name), bytes: last });
    }

    /// Counts a part or a member. False when there are too many; the rest of the input is left alone then.
    fn count_member(&mut self, name: &str, bytes: &[u8]) -> bool {
        self.members += 1;
        if self.members > self.limits.members && !self.full {
            self.refuse(
                name,
                bytes,
                format!("more than {} parts; the rest was left out", self.limits.members),
            );
            self.full = true;
        }
        !self.full
    }

    /// Takes bytes from what may be decoded. False when too few are left; the rest is left alone then.
    fn spend(&mut self, wanted: usize, name: &str, bytes: &[u8]) -> bool {
        match self.left.checked_sub(wanted) {
            Some(left) => self.left = left,
            None => self.refuse_rest(name, bytes),
        }
        !self.full
    }

    fn refuse_rest(&mut self, name: &str, bytes: &[u8]) {
        self.full = true;
        self.refuse(name, bytes, format!("unpacks to more than {}", size(self.limits.output)));
    }

    fn refuse(&mut self, name: &str, bytes: &[u8], reason: impl Into<String>) {
        let refusal = Refusal { name: label(name), reason: reason.into(), bytes_len: bytes.len() };
        self.found.refused.push(refusal);
    }
}

/// A file name for people: the last step of its path, without control characters, of bounded length.
fn label(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).find(|step| !step.is_empty()).unwrap_or("report");
    tidy(last, 200).into_owned()
}

/// A size for people.
fn size(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{bytes} bytes") }
}

#[cfg(test)]
mod tests;
