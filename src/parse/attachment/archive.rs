//! Archives, as far as the limits allow. No size that an archive declares is believed.

use std::{
    borrow::Cow,
    io::{Cursor, Read},
};

use flate2::bufread::GzDecoder;
use memchr::memmem;
use zip::{ZipArchive, result::ZipError};

use super::{Limits, Role, Search, size};

/// What is unpacked at once.
const CHUNK: usize = 64 * 1024;

/// Why unpacking stopped.
enum Stop {
    /// The archive may unpack to no more.
    Ratio,
    /// The whole input may.
    Full,
    Broken(String),
}

impl Search<'_> {
    /// Unpacks gzip, also of several members. What follows the last one does not matter.
    pub(super) fn gunzip(&mut self, bytes: &[u8], name: &str, depth: usize) {
        let mut rest = bytes;
        let mut unpacked = Vec::new();
        let mut allowed = self.allowed(bytes);
        while rest.starts_with(&[0x1f, 0x8b]) {
            let mut decoder = GzDecoder::new(rest);
            if let Err(stop) = self.fill(&mut decoder, &mut unpacked, &mut allowed) {
                return self.stopped(stop, bytes, name, "gzip");
            }
            rest = decoder.into_inner();
        }
        let inner = name.strip_suffix(".gz").unwrap_or(name);
        self.open(Cow::Owned(unpacked), inner, Role::Expected, depth + 1);
    }

    /// Unpacks the members of a zip archive one after the other.
    pub(super) fn unzip(&mut self, bytes: &[u8], name: &str, depth: usize) {
        let most = self.limits.members;
        if central_entries(bytes).take(most + 1).count() > most
            || declared_entries(bytes).any(|count| count > most as u64)
        {
            return self.refuse(name, bytes, format!("a zip archive of more than {most} members"));
        }
        let mut archive = match ZipArchive::new(Cursor::new(bytes)) {
            Ok(archive) => archive,
            Err(error) => {
                return self.refuse(name, bytes, format!("the zip archive is broken: {}", words(&error)));
            }
        };
        if archive.is_empty() {
            return self.refuse(name, bytes, "the zip archive is empty");
        }
        let mut allowed = self.allowed(bytes);
        for index in 0..archive.len() {
            if !self.count_member(name, bytes) {
                return;
            }
            let mut member = match archive.by_index(index) {
                Ok(member) => member,
                Err(error) => {
                    self.refuse(
                        name,
                        bytes,
                        format!("a member of the zip archive cannot be read: {}", words(&error)),
                    );
                    continue;
                }
            };
            let inner = String::from_utf8_lossy(member.name_raw()).into_owned();
            // Directories, and what macOS adds.
            if inner.ends_with('/') || inner.starts_with("__MACOSX/") {
                continue;
            }
            let mut unpacked = Vec::new();
            match self.fill(&mut member, &mut unpacked, &mut allowed) {
                Ok(()) => self.open(Cow::Owned(unpacked), &inner, Role::Expected, depth + 1),
                Err(stop @ Stop::Broken(_)) => self.stopped(stop, bytes, &inner, "zip archive"),
                Err(stop) => return self.stopped(stop, bytes, name, "zip archive"),
            }
        }
    }

    /// How many bytes an archive may unpack to.
    fn allowed(&self, bytes: &[u8]) -> usize {
        bytes.len().saturating_mul(self.limits.ratio).max(Limits::SMALL)
    }

    /// Reads to the end, or until a limit is reached.
    fn fill(&mut self, from: &mut impl Read, into: &mut Vec<u8>, allowed: &mut usize) -> Result<(), Stop> {
        loop {
            let begin = into.len();
            let most = CHUNK.min(allowed.saturating_add(1)).min(self.left.saturating_add(1));
            let read = from.take(most as u64).read_to_end(into);
            let got = into.len() - begin;
            self.left = self.left.checked_sub(got).ok_or(Stop::Full)?;
            *allowed = allowed.checked_sub(got).ok_or(Stop::Ratio)?;
            match read {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(Stop::Broken(error.to_string())),
            }
        }
    }

    fn stopped(&mut self, stop: Stop, bytes: &[u8], name: &str, what: &str) {
        match stop {
            Stop::Full => self.refuse_rest(name, bytes),
            Stop::Ratio => {
                let reason = format!(
                    "the {what} of {} unpacks to more than {} times its size",
                    size(bytes.len()),
                    self.limits.ratio
                );
                self.refuse(name, bytes, reason);
            }
            Stop::Broken(error) => self.refuse(name, bytes, format!("the {what} is broken: {error}")),
        }
    }
}

fn words(error: &ZipError) -> String {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => "it needs a password".to_owned(),
        error => error.to_string(),
    }
}

/// Where entries of a zip archive's directory may begin. Each entry begins so, and what else does so hardly happens.
fn central_entries(bytes: &[u8]) -> impl Iterator<Item = usize> {
    memmem::find_iter(bytes, b"PK\x01\x02")
}

/// The numbers of members that a zip archive declares in the records at its end (4.3.14 and 4.3.16 of the format's
/// description, APPNOTE.TXT), on this disk and altogether: the reader makes room for as many before it reads the first.
fn declared_entries(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let short = memmem::find_iter(bytes, b"PK\x05\x06").flat_map(|at| [at + 8, at + 10]).filter_map(|at| {
        let field: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
        // All ones: the number stands in the long record.
        Some(u16::from_le_bytes(field)).filter(|count| *count != u16::MAX).map(u64::from)
    });
    let long = memmem::find_iter(bytes, b"PK\x06\x06").flat_map(|at| [at + 24, at + 32]).filter_map(|at| {
        let field: [u8; 8] = bytes.get(at..at + 8)?.try_into().ok()?;
        Some(u64::from_le_bytes(field))
    });
    short.chain(long)
}
