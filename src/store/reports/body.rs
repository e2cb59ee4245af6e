//! How reports and documents are kept: a version byte and postcard, packed; XML as base64 of gzip, which is what
//! dmarcts-report-parser writes where it is told to compress, so that its viewers read ours.

use std::{cell::RefCell, io::Read};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compress, Compression, FlushCompress, Status, read::MultiGzDecoder};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    model::report::Report,
    store::{
        Error, Result,
        pack::{Unpacked, pack},
    },
};

/// The version of the serialised form of `model::report`.
const VERSION: u8 = 1;
/// Longer XML (in base64) is not kept: a packet of the database holds 16 MiB.
const MOST_TEXT: usize = MOST_PACKED;
/// More is not kept in one row, packed: a packet of the database holds 16 MiB, and what belongs to the row needs some of it.
pub const MOST_PACKED: usize = 12 << 20;
/// No stored XML unpacks to more than this.
const MOST_XML: u64 = 256 << 20;

/// SHA-256 of a document, by which the same one is known again.
pub fn hash(bytes: &[u8]) -> Vec<u8> {
    Sha256::digest(bytes).to_vec()
}

/// What takes its time of storing a report, done before: while it is packed, others can be stored.
#[derive(Debug)]
pub struct Packed {
    pub(super) hash: Vec<u8>,
    pub(super) xml: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Packed {
    /// Packs a report and what it was read from.
    pub fn of(report: &Report, xml: &[u8]) -> Self {
        Self { hash: hash(xml), xml: xml_text(xml), body: encode(report) }
    }

    /// Whether the database can hold it.
    pub fn fits(&self) -> bool {
        self.body.len() <= MOST_PACKED
    }
}

/// The packed form of a report.
pub fn encode<T: Serialize>(report: &T) -> Vec<u8> {
    // Serialising plain strings and numbers into a growing buffer cannot fail.
    pack(&postcard::to_extend(report, vec![VERSION]).unwrap_or_default())
}

/// Reads bytes of [`encode`].
pub fn decode<T: for<'a> Deserialize<'a>>(packed: Vec<u8>) -> Result<T> {
    let bytes = Unpacked::try_from(packed)?.0;
    match bytes.split_first() {
        Some((&VERSION, rest)) => {
            postcard::from_bytes(rest).map_err(|_| Error::Damaged("a report that cannot be read"))
        }
        _ => Err(Error::Damaged("a report of an unknown version")),
    }
}

/// The text for the column `raw_xml`; `None` when it is too long to be kept.
fn xml_text(xml: &[u8]) -> Option<String> {
    let text = STANDARD.encode(gzip(xml)?);
    (text.len() <= MOST_TEXT).then_some(text)
}

thread_local! {
    /// A new one for each report takes a fifth of the time of an import: 300 KB that the kernel clears.
    static GZIP: RefCell<Compress> = RefCell::new(Compress::new_gzip(Compression::fast(), 15));
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() / 8 + 64);
    GZIP.with_borrow_mut(|gzip| {
        gzip.reset();
        loop {
            let taken = usize::try_from(gzip.total_in()).ok()?;
            match gzip.compress_vec(bytes.get(taken..)?, &mut out, FlushCompress::Finish).ok()? {
                Status::StreamEnd => return Some(out),
                Status::Ok | Status::BufError => out.reserve(out.len() / 2 + 64),
            }
        }
    })
}

/// The XML in the column `raw_xml`, which may be plain, base64 of gzip, or empty.
pub fn xml_of(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    // base64 of gzip begins with these letters; XML begins with `<` or a byte order mark.
    if !text.starts_with("H4sI") {
        return Some(text.as_bytes().to_vec());
    }
    let letters: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let mut xml = Vec::new();
    MultiGzDecoder::new(STANDARD.decode(letters).ok()?.as_slice())
        .take(MOST_XML)
        .read_to_end(&mut xml)
        .ok()?;
    Some(xml)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_one_after_the_other_comes_back() {
        let mut noise = 1_u32;
        let mut noise = |length: usize| -> Vec<u8> {
            let next = |_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 24) as u8
            };
            (0..length).map(next).collect()
        };
        for xml in [noise(300_000), b"<feedback/>".repeat(9_000), noise(70), Vec::new(), noise(70_000)] {
            assert_eq!(xml_of(&xml_text(&xml).unwrap()), Some(xml));
        }
    }

    #[test]
    fn all_three_forms_of_xml_are_read() {
        let xml = "<?xml version=\"1.0\"?><feedback>é</feedback>";
        assert_eq!(xml_of(xml).as_deref(), Some(xml.as_bytes()));
        let text = xml_text(xml.as_bytes()).unwrap();
        assert!(text.starts_with("H4sI"));
        assert_eq!(xml_of(&text).as_deref(), Some(xml.as_bytes()));
        // Perl's encode_base64 breaks lines.
        let broken: Vec<&str> =
            text.as_bytes().chunks(20).map(|line| str::from_utf8(line).unwrap()).collect();
        assert_eq!(xml_of(&broken.join("\n")).as_deref(), Some(xml.as_bytes()));
        assert_eq!(xml_of(" "), None);
        assert_eq!(xml_of("H4sIAAAA"), None, "damaged gzip is not shown as XML");
    }
}
