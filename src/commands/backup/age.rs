//! The file format of age, version 1, with a passphrase (<https://c2sp.org/age>): what the program `age` writes with `-p`
//! and opens with `-d`. A head holds the key of the file, locked by a key that scrypt makes of the passphrase; behind it
//! come sealed pieces of 64 KiB, so that neither side needs much memory and no piece can be left out, doubled or moved.

use std::io::{self, BufRead, Read, Write};

use aws_lc_rs::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey},
    hkdf, hmac,
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use secrecy::{ExposeSecret, SecretString};

const INTRO: &str = "age-encryption.org/v1";
/// Bytes of a piece before it is sealed.
const PIECE: usize = 64 << 10;
const TAG: usize = 16;
/// scrypt's N as a power of two: 64 MiB of memory. `age` takes four times that, which is all that a container of ours has.
const WORK: u8 = 16;
/// The most that is taken from a file: 1 GiB.
const MOST_WORK: u8 = 20;
/// No line of a head with a passphrase is longer.
const LINE: u64 = 128;

/// Why an encrypted file cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// For keys, not for a passphrase; or in letters.
    #[error("it is encrypted with age, but not with a passphrase; open it with `age -d` first")]
    OtherLock,
    /// More work than is taken.
    #[error("opening it needs more than 1 GiB of memory; open it with `age -d` first")]
    TooMuchWork,
    /// The key of the file does not come out.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// Cut, or not as it was written.
    #[error("the encrypted file was cut short or altered")]
    Altered,
    /// The machine lacks something: randomness, memory.
    #[error("this machine cannot encrypt")]
    Unable,
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// Whether a file that begins like this is encrypted with age.
pub fn is_sealed(begin: &[u8]) -> bool {
    begin.starts_with(INTRO.as_bytes()) || begin.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----")
}

/// Seals what is written. [`Sealed::end`] must be called, else the file is cut.
pub struct Sealed<W: Write> {
    out: W,
    pieces: Pieces,
    piece: Vec<u8>,
}

impl<W: Write> Sealed<W> {
    /// Writes the head.
    pub fn begin(out: W, passphrase: &SecretString) -> io::Result<Self> {
        Self::begin_with(out, passphrase, WORK)
    }

    fn begin_with(mut out: W, passphrase: &SecretString, work: u8) -> io::Result<Self> {
        let (file_key, salt, nonce): ([u8; 16], [u8; 16], [u8; 16]) = (random()?, random()?, random()?);
        let mut locked = file_key.to_vec();
        let lock = passphrase_key(passphrase, &salt, work)?;
        let sealed = lock.seal_in_place_append_tag(zero_nonce(), Aad::empty(), &mut locked);
        sealed.map_err(|_| Error::Unable)?;
        let salt = BASE64.encode(salt);
        let head = format!("{INTRO}\n-> scrypt {salt} {work}\n{}\n---", BASE64.encode(locked));
        let mac = hmac::sign(&head_key(&file_key)?, head.as_bytes());
        out.write_all(format!("{head} {}\n", BASE64.encode(mac)).as_bytes())?;
        out.write_all(&nonce)?;
        Ok(Self { out, pieces: Pieces::new(&file_key, &nonce)?, piece: Vec::with_capacity(PIECE + TAG) })
    }

    /// Seals the last piece and hands back what was written to.
    pub fn end(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        let nonce = self.pieces.nonce(last);
        let sealed = self.pieces.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut self.piece);
        sealed.map_err(|_| Error::Unable)?;
        self.out.write_all(&self.piece)?;
        self.piece.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Only now is it known that a full piece is not the last one.
        if self.piece.len() == PIECE && !bytes.is_empty() {
            self.seal(false)?;
        }
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads what was sealed. Nothing is handed out that was not found genuine; the end is reached only where it was written.
pub struct Opened<R: BufRead> {
    input: R,
    pieces: Pieces,
    piece: Vec<u8>,
    /// Bytes of the piece that were handed out, and that there are.
    done: usize,
    ready: usize,
    ended: bool,
}

impl<R: BufRead> Opened<R> {
    /// Reads the head. An [`Error`] is in the `io::Error` unless the file cannot be read at all.
    pub fn begin(mut input: R, passphrase: &SecretString) -> io::Result<Self> {
        let file_key = file_key(&mut input, passphrase)?;
        let mut nonce = [0; 16];
        input.read_exact(&mut nonce).map_err(cut)?;
        let pieces = Pieces::new(&file_key, &nonce)?;
        Ok(Self { input, pieces, piece: Vec::new(), done: 0, ready: 0, ended: false })
    }

    fn open_next(&mut self) -> io::Result<()> {
        let first = self.pieces.number == 0;
        self.piece.clear();
        self.input.by_ref().take((PIECE + TAG) as u64).read_to_end(&mut self.piece)?;
        self.ended = self.input.fill_buf()?.is_empty();
        let nonce = self.pieces.nonce(self.ended);
        let opened = self.pieces.key.open_in_place(nonce, Aad::empty(), &mut self.piece);
        self.ready = opened.map_err(|_| Error::Altered)?.len();
        self.done = 0;
        // Only what is empty as a whole ends with an empty piece.
        if self.ready == 0 && !first { Err(Error::Altered.into()) } else { Ok(()) }
    }
}

impl<R: BufRead> Read for Opened<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        while self.done == self.ready {
            if self.ended {
                return Ok(0);
            }
            self.open_next()?;
        }
        let left = self.piece.get(self.done..self.ready).unwrap_or_default();
        let count = left.len().min(target.len());
        for (to, from) in target.iter_mut().zip(left) {
            *to = *from;
        }
        self.done += count;
        Ok(count)
    }
}

/// Reads the head, and unlocks the key of the file.
fn file_key(input: &mut impl BufRead, passphrase: &SecretString) -> io::Result<[u8; 16]> {
    if line(input)? != INTRO {
        return Err(Error::OtherLock.into());
    }
    let stanza = line(input)?;
    let Some(words) = stanza.strip_prefix("-> scrypt ") else {
        return Err(Error::OtherLock.into());
    };
    let (salt, work) = words.split_once(' ').ok_or(Error::Altered)?;
    let (body, mac) = (line(input)?, line(input)?);
    let number =
        work.parse::<u8>().ok().filter(|number| (1..64).contains(number) && number.to_string() == work);
    let number = number.ok_or(Error::Altered)?;
    if number > MOST_WORK {
        return Err(Error::TooMuchWork.into());
    }
    let decoded = |text: &str| BASE64.decode(text).map_err(|_| Error::Altered);
    let (head_mac, mut locked) = (decoded(mac.strip_prefix("--- ").ok_or(Error::Altered)?)?, decoded(&body)?);
    let salt_bytes = decoded(salt)?;
    if salt_bytes.len() != 16 || locked.len() != 16 + TAG {
        return Err(Error::Altered.into());
    }
    let lock = passphrase_key(passphrase, &salt_bytes, number)?;
    let key =
        lock.open_in_place(zero_nonce(), Aad::empty(), &mut locked).map_err(|_| Error::WrongPassphrase)?;
    let key: [u8; 16] = (&*key).try_into().map_err(|_| Error::Altered)?;
    let head = format!("{INTRO}\n{stanza}\n{body}\n---");
    hmac::verify(&head_key(&key)?, head.as_bytes(), &head_mac).map_err(|_| Error::Altered)?;
    Ok(key)
}

fn line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    input.take(LINE).read_until(b'\n', &mut line)?;
    let text = line.strip_suffix(b"\n").ok_or(Error::Altered)?;
    String::from_utf8(text.to_vec()).map_err(|_| Error::Altered.into())
}

/// The key of the pieces, and the number of the next one.
struct Pieces {
    key: LessSafeKey,
    number: u64,
}

impl Pieces {
    fn new(file_key: &[u8], nonce: &[u8]) -> Result<Self, Error> {
        Ok(Self { key: sealing_key(&derived(file_key, nonce, b"payload")?)?, number: 0 })
    }

    /// Eleven bytes that count the pieces, and one that marks the last.
    fn nonce(&mut self, last: bool) -> Nonce {
        let mut bytes = [0; 12];
        for (to, from) in
            bytes.iter_mut().skip(3).zip(self.number.to_be_bytes().into_iter().chain([last.into()]))
        {
            *to = from;
        }
        self.number += 1;
        Nonce::assume_unique_for_key(bytes)
    }
}

fn passphrase_key(passphrase: &SecretString, salt: &[u8], work: u8) -> Result<LessSafeKey, Error> {
    let params = scrypt::Params::new(work, 8, 1).map_err(|_| Error::Altered)?;
    let salt = [format!("{INTRO}/scrypt").as_bytes(), salt].concat();
    let mut key = [0; 32];
    scrypt::scrypt(passphrase.expose_secret().as_bytes(), &salt, &params, &mut key)
        .map_err(|_| Error::Unable)?;
    sealing_key(&key)
}

fn sealing_key(key: &[u8; 32]) -> Result<LessSafeKey, Error> {
    Ok(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| Error::Unable)?))
}

fn head_key(file_key: &[u8]) -> Result<hmac::Key, Error> {
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &derived(file_key, &[], b"header")?))
}

fn derived(secret: &[u8], salt: &[u8], purpose: &[u8]) -> Result<[u8; 32], Error> {
    let mut key = [0; 32];
    let made = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret);
    let filled = made.expand(&[purpose], hkdf::HKDF_SHA256).and_then(|it| it.fill(&mut key));
    filled.map(|()| key).map_err(|_| Error::Unable)
}

/// Each key that it is used with is used once.
fn zero_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn random() -> Result<[u8; 16], Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map(|()| bytes).map_err(|_| Error::Unable)
}

fn cut(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::UnexpectedEof { Error::Altered.into() } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        text.into()
    }

    fn sealed(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Sealed::begin_with(&mut out, &secret("a long passphrase"), 2).unwrap();
        // Odd portions, as zstd makes them.
        text.chunks(7_001).for_each(|portion| writer.write_all(portion).unwrap());
        writer.end().unwrap();
        out
    }

    fn opened(bytes: &[u8], passphrase: &str) -> Result<Vec<u8>, Error> {
        let read = || -> io::Result<Vec<u8>> {
            let mut text = Vec::new();
            Opened::begin(bytes, &secret(passphrase))?.read_to_end(&mut text)?;
            Ok(text)
        };
        read().map_err(|error| *error.into_inner().unwrap().downcast::<Error>().unwrap())
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn what_was_sealed_is_opened_whatever_its_length() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 5] {
            let bytes = sealed(&text(length));
            assert!(is_sealed(&bytes));
            assert_eq!(opened(&bytes, "a long passphrase"), Ok(text(length)), "{length}");
            assert_eq!(opened(&bytes, "a long passphrasE"), Err(Error::WrongPassphrase), "{length}");
        }
        assert_ne!(sealed(b"x"), sealed(b"x"), "no key is used twice");
    }

    #[test]
    fn no_cut_and_no_other_byte_goes_unseen() {
        let whole = sealed(&text(2 * PIECE));
        let head = whole.iter().rposition(|byte| *byte == b'\n').unwrap();
        let pieces = whole.len() - 2 * (PIECE + TAG);
        for cut in [1, 30, head, pieces - 5, pieces, pieces + 9, pieces + PIECE + TAG, whole.len() - 1] {
            assert!(opened(&whole[..cut], "a long passphrase").is_err(), "cut at {cut}");
        }
        for at in (0..pieces + 2).chain((pieces..whole.len()).step_by(4099)) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert!(opened(&bytes, "a long passphrase").is_err(), "byte {at}");
        }
        let (first, second) = whole[pieces..].split_at(PIECE + TAG);
        for moved in [[second, first].concat(), [first, first, second].concat(), second.to_vec()] {
            let bytes = [&whole[..pieces], &moved].concat();
            assert_eq!(opened(&bytes, "a long passphrase"), Err(Error::Altered));
        }
        assert_eq!(opened(&[&whole[..], b"x"].concat(), "a long passphrase"), Err(Error::Altered));
    }

    #[test]
    fn other_locks_are_named() {
        let body = "A".repeat(43);
        for (head, expected) in [
            (format!("{INTRO}\n-> X25519 abc\n{body}\n--- {body}\n"), Error::OtherLock),
            ("-----BEGIN AGE ENCRYPTED FILE-----\nabc\n".to_owned(), Error::OtherLock),
            (
                format!("{INTRO}\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 30\n{body}\n--- {body}\n"),
                Error::TooMuchWork,
            ),
            (format!("{INTRO}\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 02\n{body}\n--- {body}\n"), Error::Altered),
        ] {
            assert_eq!(opened(head.as_bytes(), "a long passphrase"), Err(expected), "{head}");
        }
    }
}
