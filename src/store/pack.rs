//! Packing of stories and scans: a mail's facts take a third of their space with a dictionary of what all stories
//! have in common.
//!
//! The dictionary and the form of the frame are part of the format. Another one gets another version byte; those before stay
//! for what is stored.

use std::{cell::RefCell, sync::OnceLock};

use tokio_util::task::AbortOnDropHandle;
use zstd::{
    bulk::{Compressor, Decompressor},
    dict::{DecoderDictionary, EncoderDictionary},
};

use super::db::{Error, Result};

/// Typical values, chosen by zstd's trainer (COVER) from the demo world and synthetic workloads. The last one packs.
static DICTIONARIES: [&[u8]; 2] = [include_bytes!("pack.1.dict"), include_bytes!("pack.2.dict")];
/// Level 6 makes stories 4 % smaller and takes a seventh off ingestion into SQLite; level 1 makes them 8 % larger.
const LEVEL: i32 = 3;
/// No packed value unpacks to more than this.
const MOST: usize = 64 << 20;

thread_local! {
    static PACKER: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static UNPACKERS: RefCell<[Option<Decompressor<'static>>; DICTIONARIES.len()]> =
        const { RefCell::new([const { None }; DICTIONARIES.len()]) };
}

/// Whole frames with the first dictionary, as the first version wrote them.
const FIRST: u8 = 1;
/// Frames with the second dictionary, without [`MAGIC`].
const FRAME: u8 = 2;
/// The length of what was packed (a varint, seven bits a byte, lowest first), and the one compressed block of a frame with the
/// second dictionary.
const BLOCK: u8 = 3;
/// What begins each zstd frame (RFC 8878, 3.1.1).
const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
/// What is packed is never as long in a [`BLOCK`], so that its length takes one byte or two in a frame.
const BLOCK_MOST: usize = 1 << 16;

fn encoder() -> &'static EncoderDictionary<'static> {
    static DICT: OnceLock<EncoderDictionary<'static>> = OnceLock::new();
    DICT.get_or_init(|| EncoderDictionary::copy(DICTIONARIES[DICTIONARIES.len() - 1], LEVEL))
}

/// The dictionary at a place.
fn decoder(place: usize) -> &'static DecoderDictionary<'static> {
    static DICTS: [OnceLock<DecoderDictionary<'static>>; DICTIONARIES.len()] =
        [const { OnceLock::new() }; DICTIONARIES.len()];
    DICTS[place].get_or_init(|| DecoderDictionary::copy(DICTIONARIES[place]))
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

/// Packs bytes.
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    let packed = PACKER.with_borrow_mut(|packer| {
        if packer.is_none() {
            *packer = Compressor::with_prepared_dictionary(encoder()).ok();
            if let Some(packer) = packer {
                // The dictionary is known by the version byte; its id in each frame would cost four bytes.
                let _ = packer.include_dictid(false);
                let _ = packer.include_checksum(false);
            }
        }
        packer.as_mut()?.compress(bytes).ok()
    });
    // Packing fails only without memory, and then nothing else goes on either.
    let frame = packed.unwrap_or_default();
    let short = frame.get(header(bytes.len()).len() + BLOCK_HEADER..).map(|block| {
        let mut short = vec![BLOCK];
        let mut length = bytes.len();
        while length > 127 {
            short.push(length as u8 | 128);
            length >>= 7;
        }
        short.push(length as u8);
        short.extend_from_slice(block);
        short
    });
    match short {
        Some(short) if framed(&short[1..]).as_deref() == Some(&frame) => short,
        _ => [&[FRAME], frame.strip_prefix(&MAGIC).unwrap_or_default()].concat(),
    }
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

/// Bytes that were packed in the database, unpacked as they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked(pub Vec<u8>);

impl TryFrom<Vec<u8>> for Unpacked {
    type Error = Error;

    fn try_from(packed: Vec<u8>) -> Result<Self> {
        let damaged = Error::Damaged("a packed value that cannot be unpacked");
        let (place, frame) = match packed.split_first() {
            Some((&FIRST, frame)) => (0, Some(frame.to_vec())),
            Some((&FRAME, frame)) => (1, Some([&MAGIC, frame].concat())),
            Some((&BLOCK, short)) => (1, framed(short)),
            _ => (0, None),
        };
        let Some(frame) = frame else { return Err(damaged) };
        let size = zstd::zstd_safe::get_frame_content_size(&frame).ok().flatten();
        let Some(size) = size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= MOST) else {
            return Err(damaged);
        };
        let bytes = UNPACKERS.with_borrow_mut(|unpackers| {
            let unpacker = &mut unpackers[place];
            if unpacker.is_none() {
                *unpacker = Decompressor::with_prepared_dictionary(decoder(place)).ok();
            }
            unpacker.as_mut()?.decompress(&frame, size).ok()
        });
        bytes.map(Self).ok_or(damaged)
    }
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
            for version in FIRST..=BLOCK {
                let _ = Unpacked::try_from([&[version], bytes.as_slice()].concat());
            }
            for version in [0, BLOCK + 1, 255] {
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

    /// What databases hold since the first version.
    #[test]
    fn every_dictionary_still_unpacks() {
        let text = b"250 2.0.0 Ok: queued as 4bWxYz";
        for (place, dictionary) in DICTIONARIES.iter().enumerate() {
            let frame = Compressor::with_dictionary(1, dictionary).unwrap().compress(text).unwrap();
            let version = u8::try_from(place + 1).unwrap();
            let packed = [&[version], &frame[if place == 0 { 0 } else { MAGIC.len() }..]].concat();
            assert_eq!(Unpacked::try_from(packed).unwrap(), Unpacked(text.to_vec()), "{version}");
        }
        let sums = DICTIONARIES.map(twox_hash::XxHash3_64::oneshot);
        assert_eq!(
            sums,
            [5_764_790_893_521_679_731, 15_276_047_411_164_319_191],
            "a dictionary that databases were packed with is another now"
        );
    }
}
