//! Packing of stories and scans: a mail's facts take a third of their space with a dictionary of what all stories
//! have in common.
//!
//! The dictionary is part of the format. Another one gets another version byte; those before stay for what is stored.

use std::{cell::RefCell, sync::OnceLock};

use tokio_util::task::AbortOnDropHandle;
use zstd::{
    bulk::{Compressor, Decompressor},
    dict::{DecoderDictionary, EncoderDictionary},
};

use super::db::{Error, Result};

/// Typical values, chosen by zstd's trainer (COVER) from the demo world and synthetic workloads. The version byte is a
/// dictionary's place, counted from one; the last one packs.
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

/// The version byte of what is packed now.
const NEWEST: u8 = DICTIONARIES.len() as u8;
/// What begins each zstd frame (RFC 8878, 3.1.1). Only values of the first version keep it.
const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();

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
    [&[NEWEST], frame.strip_prefix(&MAGIC).unwrap_or_default()].concat()
}

/// Bytes that were packed in the database, unpacked as they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked(pub Vec<u8>);

impl TryFrom<Vec<u8>> for Unpacked {
    type Error = Error;

    fn try_from(packed: Vec<u8>) -> Result<Self> {
        let damaged = Error::Damaged("a packed value that cannot be unpacked");
        let version = packed.first().copied().map(usize::from);
        let place = version.and_then(|version| version.checked_sub(1));
        let Some(place) = place.filter(|place| *place < DICTIONARIES.len()) else { return Err(damaged) };
        let mut frame = packed;
        frame.splice(..1, MAGIC.into_iter().filter(|_| place > 0));
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
            for version in 1..=NEWEST {
                let _ = Unpacked::try_from([&[version], bytes.as_slice()].concat());
            }
            for version in [0, NEWEST + 1, 255] {
                prop_assert!(Unpacked::try_from([&[version], bytes.as_slice()].concat()).is_err());
            }
        }
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
