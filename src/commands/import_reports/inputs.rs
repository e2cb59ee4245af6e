//! Files, folders, maildirs and mbox files as a row of inputs, of which one at a time is in memory.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;

use crate::parse::mbox::{self, Mail, Mails};

/// What is read at once, and how far one looks to see what a file is.
const CHUNK: usize = 64 * 1024;

/// A mail or a file, not yet unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The path; for a mail of an mbox with its number, beginning at 1.
    pub name: String,
    /// The bytes, or why there are none, in words for people.
    pub bytes: Result<Vec<u8>, String>,
}

/// All inputs below some paths, in the order of their names.
pub struct Inputs {
    waiting: VecDeque<PathBuf>,
    mbox: Option<Mbox>,
    limit: usize,
}

/// An mbox that is being read.
struct Mbox {
    name: String,
    mails: Mails<Box<dyn BufRead>>,
    number: usize,
}

impl Inputs {
    /// Reads files, mbox files and everything below folders; `-` is standard input. What is larger than `limit`
    /// bytes is told, not read; an mbox may have any size.
    pub fn new(paths: &[PathBuf], limit: usize) -> Self {
        Self { waiting: paths.iter().cloned().collect(), mbox: None, limit }
    }

    /// The next mail of the open mbox.
    fn next_mail(&mut self) -> Option<Input> {
        let mbox = self.mbox.as_mut()?;
        mbox.number += 1;
        let name = format!("{}#{}", mbox.name, mbox.number);
        let bytes = match mbox.mails.next_mail() {
            Ok(Some(Mail::Whole(bytes))) => Ok(bytes),
            Ok(Some(Mail::TooLong(length))) => Err(too_large(length as u64, self.limit)),
            Ok(None) => {
                self.mbox = None;
                return None;
            }
            Err(error) => {
                self.mbox = None;
                Err(format!("cannot be read: {error}"))
            }
        };
        Some(Input { name, bytes })
    }

    /// Opens a file. An mbox is read mail by mail from then on.
    fn open(&mut self, path: &Path) -> io::Result<Option<Result<Vec<u8>, String>>> {
        let stream: Box<dyn Read> = match path.as_os_str() == "-" {
            true => Box::new(io::stdin()),
            false => Box::new(File::open(path)?),
        };
        let mut stream = BufReader::with_capacity(CHUNK, stream);
        let start = stream.fill_buf()?;
        let packed = MultiGzDecoder::new(start);
        let mut word = Vec::new();
        // An mbox may be packed as a whole; a packed report begins otherwise.
        let is_packed_mbox = packed.take(5).read_to_end(&mut word).is_ok() && mbox::begins(&word);
        let mails: Option<Box<dyn BufRead>> = if is_packed_mbox {
            Some(Box::new(BufReader::with_capacity(CHUNK, MultiGzDecoder::new(stream))))
        } else if mbox::begins(start) {
            Some(Box::new(stream))
        } else {
            return self.whole(stream).map(Some);
        };
        let name = path.display().to_string();
        self.mbox = mails.map(|stream| Mbox { name, mails: Mails::new(stream, self.limit), number: 0 });
        Ok(None)
    }

    fn whole(&self, stream: impl Read) -> io::Result<Result<Vec<u8>, String>> {
        let mut bytes = Vec::new();
        stream.take(self.limit as u64 + 1).read_to_end(&mut bytes)?;
        Ok(if bytes.len() > self.limit { Err(too_large(bytes.len() as u64, self.limit)) } else { Ok(bytes) })
    }
}

impl Iterator for Inputs {
    type Item = Input;

    fn next(&mut self) -> Option<Input> {
        loop {
            if let Some(mail) = self.next_mail() {
                return Some(mail);
            }
            let path = self.waiting.pop_front()?;
            let bytes = if path.is_dir() {
                match below(&path) {
                    Ok(paths) => {
                        paths.into_iter().rev().for_each(|path| self.waiting.push_front(path));
                        continue;
                    }
                    Err(error) => Err(format!("cannot be read: {error}")),
                }
            } else {
                match self.open(&path) {
                    Ok(Some(bytes)) => bytes,
                    Ok(None) => continue,
                    Err(error) => Err(format!("cannot be read: {error}")),
                }
            };
            return Some(Input { name: path.display().to_string(), bytes });
        }
    }
}

fn too_large(length: u64, limit: usize) -> String {
    format!("too large: {length} bytes or more, and {limit} at most are read")
}

/// What a folder holds, by name. Of a maildir the mails and the folders only, not its server's notes.
fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let is_maildir = folder.join("cur").is_dir() && folder.join("new").is_dir();
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name());
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        let wanted = match is_maildir {
            // Mails that are being written stand in tmp; other folders of the mailbox begin with a dot.
            true => kind.is_dir() && name != "tmp",
            false => !(is_hidden || kind.is_symlink() && entry.path().is_dir()),
        };
        if wanted {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn read(root: &Path, paths: &[&str], limit: usize) -> Vec<(String, Result<String, String>)> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| root.join(path)).collect();
        Inputs::new(&paths, limit)
            .map(|input| {
                let name = input
                    .name
                    .strip_prefix(&format!("{}/", root.display()))
                    .unwrap_or(&input.name)
                    .to_owned();
                (name, input.bytes.map(|bytes| String::from_utf8(bytes).unwrap()))
            })
            .collect()
    }

    fn ok(name: &str, text: &str) -> (String, Result<String, String>) {
        (name.to_owned(), Ok(text.to_owned()))
    }

    #[test]
    fn folders_maildirs_and_mbox_files_are_walked_in_order() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for folder in ["a/b", "mail/cur", "mail/new", "mail/tmp", "mail/.Reports/cur", "mail/.Reports/new"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(b"From x\nP: 1\n\nFrom y\nP: 2\n").unwrap();
        fs::write(root.join("a/c.mbox.gz"), packed.finish().unwrap()).unwrap();
        for (name, text) in [
            ("a/b/2.xml", "two"),
            ("a/b/1.xml", "one"),
            ("a/box", "From x\nA: 1\n\nFrom y\nB: 2\n"),
            ("a/.hidden", "x"),
            ("mail/dovecot-uidlist", "x"),
            ("mail/cur/1:2,S", "seen"),
            ("mail/new/2", "new"),
            ("mail/tmp/3", "half"),
            ("mail/.Reports/new/4", "folder"),
        ] {
            fs::write(root.join(name), text).unwrap();
        }
        std::os::unix::fs::symlink(root.join("a"), root.join("a/b/loop")).unwrap();
        let expected = [
            ok("a/b/1.xml", "one"),
            ok("a/b/2.xml", "two"),
            ok("a/box#1", "A: 1\n\n"),
            ok("a/box#2", "B: 2\n"),
            ok("a/c.mbox.gz#1", "P: 1\n\n"),
            ok("a/c.mbox.gz#2", "P: 2\n"),
            ok("mail/.Reports/new/4", "folder"),
            ok("mail/cur/1:2,S", "seen"),
            ok("mail/new/2", "new"),
        ];
        assert_eq!(read(root, &["a", "mail"], 100), expected);
    }

    #[test]
    fn what_cannot_be_read_is_told_and_the_rest_is_read() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::write(root.join("long"), "x".repeat(101)).unwrap();
        fs::write(root.join("box"), format!("From x\n{}\n\nFrom y\nB: 2\n", "x".repeat(200))).unwrap();
        fs::write(root.join("good"), "g").unwrap();
        let found = read(root, &["missing", "long", "box", "good"], 100);
        let faults: Vec<&str> =
            found.iter().filter_map(|(_, bytes)| bytes.as_ref().err().map(String::as_str)).collect();
        assert_eq!(faults.len(), 3);
        assert!(faults[0].starts_with("cannot be read: "), "{faults:?}");
        assert!(faults[1..].iter().all(|fault| fault.starts_with("too large: ")), "{faults:?}");
        assert_eq!(found[3..], [ok("box#2", "B: 2\n"), ok("good", "g")]);
    }
}
