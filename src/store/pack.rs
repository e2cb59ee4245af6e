//! Packing of stories and scans: a mail's facts take a third of their space with a dictionary of what all stories
//! have in common.
//!
//! Some dictionaries are part of the program, others were made from the stories of a database and lie in it
//! ([`dictionaries`](super::dictionaries)). Dictionary and form of the frame are part of the format: another one gets another
//! version byte, and those before stay for what is stored.

use std::{
    borrow::Cow,
    cell::RefCell,
    collections::BTreeMap,
    num::NonZeroU16,
    sync::{LazyLock, OnceLock, RwLock},
};

use tokio_util::task::AbortOnDropHandle;
use zstd::{
    bulk::{Compressor, Decompressor},
    dict::{DecoderDictionary, EncoderDictionary},
};

use super::db::{Error, Result};

/// Typical values, chosen by zstd's trainer (COVER) from the demo world and synthetic workloads. The second one packs.
static PROGRAMS: [&[u8]; 2] = [include_bytes!("pack.1.dict"), include_bytes!("pack.2.dict")];
/// Level 6 makes stories 4 % smaller and takes a seventh off ingestion into SQLite; level 1 makes them 8 % larger.
const LEVEL: i32 = 3;
/// With a database's own dictionary, which is larger, level 5 makes stories 6 % smaller for 5 microseconds each.
const OWN_LEVEL: i32 = 5;
/// No packed value unpacks to more than this.
const MOST: usize = 64 << 20;

/// A dictionary as both directions need it.
struct Dictionary {
    bytes: Cow<'static, [u8]>,
    level: i32,
    encoder: OnceLock<EncoderDictionary<'static>>,
    decoder: OnceLock<DecoderDictionary<'static>>,
}

impl Dictionary {
    fn new(bytes: impl Into<Cow<'static, [u8]>>, level: i32) -> Self {
        Self { bytes: bytes.into(), level, encoder: OnceLock::new(), decoder: OnceLock::new() }
    }

    fn encoder(&self) -> &EncoderDictionary<'static> {
        self.encoder.get_or_init(|| EncoderDictionary::copy(&self.bytes, self.level))
    }

    fn decoder(&self) -> &DecoderDictionary<'static> {
        self.decoder.get_or_init(|| DecoderDictionary::copy(&self.bytes))
    }
}

static OF_PROGRAM: LazyLock<[Dictionary; PROGRAMS.len()]> =
    LazyLock::new(|| PROGRAMS.map(|bytes| Dictionary::new(bytes, LEVEL)));
/// Dictionaries of databases that this process has met, by number. They stay as long as the process: there are few.
static OF_DATABASES: RwLock<BTreeMap<NonZeroU16, &'static Dictionary>> = RwLock::new(BTreeMap::new());

thread_local! {
    /// With the dictionary that it was set to last.
    static PACKER: RefCell<Option<(Compressor<'static>, &'static Dictionary)>> = const { RefCell::new(None) };
    static UNPACKER: RefCell<Option<(Decompressor<'static>, &'static Dictionary)>> = const { RefCell::new(None) };
}

/// Whole frames with the first dictionary, as the first version wrote them.
const FIRST: u8 = 1;
/// Frames with the second dictionary, without [`MAGIC`].
const FRAME: u8 = 2;
/// The length of what was packed (a varint, seven bits a byte, lowest first), and the one compressed block of a frame with the
/// second dictionary.
const BLOCK: u8 = 3;
/// The number of a database's dictionary in two bytes, lowest first; then as in a [`BLOCK`].
pub(super) const OWN_BLOCK: u8 = 4;
/// What begins each zstd frame (RFC 8878, 3.1.1).
const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
/// What is packed is never as long in a block's form, so that its length takes one byte or two in a frame.
const BLOCK_MOST: usize = 1 << 16;

/// Makes a dictionary of a database known to this process. What it is made of must be whole: zstd takes damaged ones, too.
///
/// # Errors
/// It has the number of another one that is known.
pub(super) fn meet(number: NonZeroU16, bytes: Vec<u8>) -> Result<()> {
    let mut known = OF_DATABASES.write().unwrap_or_else(|poisoned| poisoned.into_inner());
    match known.get(&number) {
        Some(dictionary) if dictionary.bytes == bytes => Ok(()),
        Some(_) => Err(Error::Damaged("two dictionaries have one number")),
        None => {
            known.insert(number, Box::leak(Box::new(Dictionary::new(bytes, OWN_LEVEL))));
            Ok(())
        }
    }
}

fn met(number: NonZeroU16) -> Option<&'static Dictionary> {
    let known = OF_DATABASES.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    known.get(&number).copied()
}

/// Packing that another core does meanwhile.
pub(super) struct Apart<T>(AbortOnDropHandle<T>);

impl<T: Send + 'static> Apart<T> {
    pub(super) fn begin(work: impl FnOnce() -> T + Send + 'static) -> Self {
        Self(AbortOnDropHandle::new(tokio::task::spawn_blocking(work)))
    }

    /// What came of it.
    pub(super) async fn end(self) -> Result<T> {
        Ok(self.0.await.map_err(|_| sqlx::Error::WorkerCrashed)?)
    }
}

/// What stories are packed with: a database's own dictionary, or by default the program's.
#[derive(Clone, Copy, Default)]
pub struct Packer(Option<(NonZeroU16, &'static Dictionary)>);

impl Packer {
    /// With this dictionary of a database; `None` when this process has not met it yet.
    pub(super) fn own(number: NonZeroU16) -> Option<Self> {
        met(number).map(|dictionary| Self(Some((number, dictionary))))
    }

    /// Packs bytes.
    pub fn pack(self, bytes: &[u8]) -> Vec<u8> {
        let (head, dictionary) = match self.0 {
            Some((number, dictionary)) => {
                let [low, high] = number.get().to_le_bytes();
                (vec![OWN_BLOCK, low, high], dictionary)
            }
            None => (vec![BLOCK], &OF_PROGRAM[1]),
        };
        // Packing fails only without memory, and then nothing else goes on either.
        let frame = compress(bytes, dictionary).unwrap_or_default();
        if let Some(short) = shortened(bytes.len(), &frame) {
            return [head, short].concat();
        }
        match self.0 {
            // Long, or hardly to be packed at all: the program's dictionary does as well.
            Some(_) => Self::default().pack(bytes),
            None => [&[FRAME], frame.strip_prefix(&MAGIC).unwrap_or_default()].concat(),
        }
    }
}

/// How many bytes these values take, packed with a database's dictionary of these bytes and with the program's.
///
/// # Errors
/// The dictionary cannot be used.
pub(super) fn sizes<'v>(
    dictionary: &[u8],
    values: impl Iterator<Item = &'v [u8]>,
) -> std::io::Result<(usize, usize)> {
    let mut packer = Compressor::with_dictionary(OWN_LEVEL, dictionary)?;
    packer.include_dictid(false)?;
    let (mut own, mut programs) = (0, 0);
    for value in values {
        let frame = packer.compress(value)?;
        own += 3 + shortened(value.len(), &frame).unwrap_or(frame).len();
        programs += pack(value).len();
    }
    Ok((own, programs))
}

/// Packs bytes with the program's dictionary.
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    Packer::default().pack(bytes)
}

fn compress(bytes: &[u8], dictionary: &'static Dictionary) -> Option<Vec<u8>> {
    PACKER.with_borrow_mut(|slot| {
        if slot.as_ref().is_none_or(|(_, known)| !std::ptr::eq(*known, dictionary)) {
            let mut packer = match slot.take() {
                Some((packer, _)) => packer,
                None => {
                    let mut packer = Compressor::new(LEVEL).ok()?;
                    // The dictionary is known by the version byte; its id in each frame would cost four bytes.
                    packer.include_dictid(false).ok()?;
                    packer.include_checksum(false).ok()?;
                    packer
                }
            };
            packer.set_prepared_dictionary(dictionary.encoder()).ok()?;
            *slot = Some((packer, dictionary));
        }
        slot.as_mut()?.0.compress(bytes).ok()
    })
}

fn decompress(frame: &[u8], size: usize, dictionary: &'static Dictionary) -> Option<Vec<u8>> {
    UNPACKER.with_borrow_mut(|slot| {
        if slot.as_ref().is_none_or(|(_, known)| !std::ptr::eq(*known, dictionary)) {
            let mut unpacker = match slot.take() {
                Some((unpacker, _)) => unpacker,
                None => Decompressor::new().ok()?,
            };
            unpacker.set_prepared_dictionary(dictionary.decoder()).ok()?;
            *slot = Some((unpacker, dictionary));
        }
        slot.as_mut()?.0.decompress(frame, size).ok()
    })
}

/// A frame of so many bytes as [`framed`] takes it; `None` where it cannot be told so.
fn shortened(length: usize, frame: &[u8]) -> Option<Vec<u8>> {
    let block = frame.get(header(length).len() + BLOCK_HEADER..)?;
    let mut short = Vec::with_capacity(3 + block.len());
    let mut left = length;
    while left > 127 {
        short.push(left as u8 | 128);
        left >>= 7;
    }
    short.push(left as u8);
    short.extend_from_slice(block);
    (framed(&short)? == frame).then_some(short)
}

/// What a frame begins with that holds so many bytes, all in one segment (RFC 8878, 3.1.1.1).
fn header(length: usize) -> Vec<u8> {
    let (flag, size) = match length {
        0..256 => (0x20, vec![length as u8]),
        _ => (0x60, (length - 256).to_le_bytes()[..2].to_vec()),
    };
    [&MAGIC[..], &[flag], &size].concat()
}

/// Bytes before each block (RFC 8878, 3.1.1.2).
const BLOCK_HEADER: usize = 3;

/// The frame that a [`BLOCK`] stands for: its only block is the last one, and compressed.
fn framed(short: &[u8]) -> Option<Vec<u8>> {
    let (mut length, mut rest) = (0, short);
    for place in 0..3 {
        let (byte, behind) = rest.split_first()?;
        length |= usize::from(byte & 127) << (7 * place);
        rest = behind;
        if byte & 128 == 0 {
            break;
        }
    }
    if length >= BLOCK_MOST || rest.len() >= BLOCK_MOST {
        return None;
    }
    let block = 1 | 2 << 1 | rest.len() << 3;
    Some([&header(length), &block.to_le_bytes()[..BLOCK_HEADER], rest].concat())
}

/// Unpacks what [`Packer::pack`] made.
///
/// # Errors
/// [`Error::Unmet`] where this process has yet to meet the dictionary; damage.
pub(super) fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    let damaged = Error::Damaged("a packed value that cannot be unpacked");
    let (dictionary, frame) = match packed {
        [FIRST, frame @ ..] => (&OF_PROGRAM[0], Some(frame.to_vec())),
        [FRAME, frame @ ..] => (&OF_PROGRAM[1], Some([&MAGIC, frame].concat())),
        [BLOCK, short @ ..] => (&OF_PROGRAM[1], framed(short)),
        [OWN_BLOCK, low, high, short @ ..] => {
            let Some(number) = NonZeroU16::new(u16::from_le_bytes([*low, *high])) else {
                return Err(damaged);
            };
            (met(number).ok_or(Error::Unmet(number))?, framed(short))
        }
        _ => return Err(damaged),
    };
    let Some(frame) = frame else { return Err(damaged) };
    let size = zstd::zstd_safe::get_frame_content_size(&frame).ok().flatten();
    let Some(size) = size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= MOST) else {
        return Err(damaged);
    };
    decompress(&frame, size, dictionary).ok_or(damaged)
}

/// Bytes that were packed in the database with a dictionary of the program, unpacked as they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked(pub Vec<u8>);

impl TryFrom<Vec<u8>> for Unpacked {
    type Error = Error;

    fn try_from(packed: Vec<u8>) -> Result<Self> {
        unpack(&packed).map(Self)
    }
}

/// Forgets a dictionary, as a process does that has not met it.
#[cfg(test)]
pub(super) fn forget(number: NonZeroU16) {
    OF_DATABASES.write().unwrap().remove(&number);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(Unpacked::try_from(pack(&bytes)).ok(), Some(Unpacked(bytes)));
        }

        #[test]
        fn damage_is_an_error_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for version in FIRST..=OWN_BLOCK {
                let _ = Unpacked::try_from([&[version], bytes.as_slice()].concat());
            }
            for version in [0, OWN_BLOCK + 1, 255] {
                prop_assert!(Unpacked::try_from([&[version], bytes.as_slice()].concat()).is_err());
            }
        }
    }

    #[test]
    fn what_fits_into_a_block_is_packed_without_the_rest_of_a_frame() {
        let line = b"250 2.0.0 Ok: queued as 4bWxYz";
        for (length, version) in [
            (1, FRAME),
            (30, BLOCK),
            (127, BLOCK),
            (255, BLOCK),
            (256, BLOCK),
            (65_535, BLOCK),
            (65_536, FRAME),
        ] {
            let bytes: Vec<u8> = line.iter().copied().cycle().take(length).collect();
            let packed = pack(&bytes);
            assert_eq!(packed[0], version, "{length}");
            assert_eq!(Unpacked::try_from(packed).unwrap(), Unpacked(bytes), "{length}");
        }
        // Random bytes lie in a block that is not compressed.
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        let bytes: Vec<u8> = (0..300).map(|_| random()).collect();
        let packed = pack(&bytes);
        assert_eq!((packed[0], Unpacked::try_from(packed).unwrap()), (FRAME, Unpacked(bytes)));
    }

    #[test]
    fn own_dictionaries_pack_what_they_know_better() {
        let line = |n: usize| {
            format!("250 2.0.0 <user{n}@an-own-domain.example> {n:022} Saved by mx{}.example", n % 7)
        };
        let samples: Vec<String> = (0..3000).map(line).collect();
        let dictionary = zstd::dict::from_samples(&samples, 4096).unwrap();
        let number = NonZeroU16::new(4711).unwrap();
        let text = line(5000).into_bytes();
        assert!(Packer::own(number).is_none(), "not met yet");
        let foreign = [&[OWN_BLOCK, 0x67, 0x12, 30], text.as_slice()].concat();
        assert!(matches!(unpack(&foreign), Err(Error::Unmet(unmet)) if unmet == number));
        meet(number, dictionary.clone()).unwrap();
        meet(number, dictionary.clone()).unwrap();
        assert!(meet(number, dictionary[1..].to_vec()).is_err(), "another one with its number");
        let own = Packer::own(number).unwrap();
        // In turns, so that both dictionaries come and go.
        for _ in 0..3 {
            let (packed, generic) = (own.pack(&text), pack(&text));
            assert_eq!(packed[..3], [OWN_BLOCK, 0x67, 0x12]);
            assert!(packed.len() + 10 < generic.len(), "{} {}", packed.len(), generic.len());
            assert_eq!(unpack(&packed).unwrap(), text);
            assert_eq!(unpack(&generic).unwrap(), text);
        }
        let long = text.repeat(2000);
        let packed = own.pack(&long);
        assert_eq!((packed[0], unpack(&packed).unwrap()), (FRAME, long), "without a form of its own");
        assert!(
            unpack(&[OWN_BLOCK, 0, 0, 3, 1, 2, 3]).is_err_and(|error| matches!(error, Error::Damaged(_)))
        );
    }

    /// What databases hold since the first version.
    #[test]
    fn every_dictionary_still_unpacks() {
        let text = b"250 2.0.0 Ok: queued as 4bWxYz";
        for (place, dictionary) in PROGRAMS.iter().enumerate() {
            let frame = Compressor::with_dictionary(1, dictionary).unwrap().compress(text).unwrap();
            let version = u8::try_from(place + 1).unwrap();
            let packed = [&[version], &frame[if place == 0 { 0 } else { MAGIC.len() }..]].concat();
            assert_eq!(Unpacked::try_from(packed).unwrap(), Unpacked(text.to_vec()), "{version}");
        }
        let sums = PROGRAMS.map(twox_hash::XxHash3_64::oneshot);
        assert_eq!(
            sums,
            [5_764_790_893_521_679_731, 15_276_047_411_164_319_191],
            "a dictionary that databases were packed with is another now"
        );
    }
}
