//! Packing of stories and scans: a mail's facts take a third of their space with a dictionary of what all stories
//! have in common.
//!
//! The dictionary is part of the format. Another one gets another version byte; this one stays for what is stored.

use std::{cell::RefCell, sync::OnceLock};

use tokio_util::task::AbortOnDropHandle;
use zstd::{
    bulk::{Compressor, Decompressor},
    dict::{DecoderDictionary, EncoderDictionary},
};

use super::db::{Error, Result};

/// The version byte: zstd with `pack.dict`.
const ZSTD: u8 = 1;
/// Typical stories and scans, chosen by `zstd --train` from the demo world and a synthetic workload.
static DICTIONARY: &[u8] = include_bytes!("pack.dict");
/// The fastest level: the next ones win a few percent.
const LEVEL: i32 = 1;
/// No packed value unpacks to more than this.
const MOST: usize = 64 << 20;

thread_local! {
    static PACKER: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static UNPACKER: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn encoder() -> &'static EncoderDictionary<'static> {
    static DICT: OnceLock<EncoderDictionary<'static>> = OnceLock::new();
    DICT.get_or_init(|| EncoderDictionary::copy(DICTIONARY, LEVEL))
}

fn decoder() -> &'static DecoderDictionary<'static> {
    static DICT: OnceLock<DecoderDictionary<'static>> = OnceLock::new();
    DICT.get_or_init(|| DecoderDictionary::copy(DICTIONARY))
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
    let packed = packed.unwrap_or_default();
    [&[ZSTD], packed.as_slice()].concat()
}

/// Bytes that were packed in the database, unpacked as they are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked(pub Vec<u8>);

impl TryFrom<Vec<u8>> for Unpacked {
    type Error = Error;

    fn try_from(packed: Vec<u8>) -> Result<Self> {
        let damaged = Error::Damaged("a packed value that cannot be unpacked");
        let Some((&ZSTD, frame)) = packed.split_first() else { return Err(damaged) };
        let size = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten();
        let Some(size) = size.and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= MOST) else {
            return Err(damaged);
        };
        let bytes = UNPACKER.with_borrow_mut(|unpacker| {
            if unpacker.is_none() {
                *unpacker = Decompressor::with_prepared_dictionary(decoder()).ok();
            }
            unpacker.as_mut()?.decompress(frame, size).ok()
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
            let _ = Unpacked::try_from([&[ZSTD], bytes.as_slice()].concat());
            prop_assert!(Unpacked::try_from([&[9], bytes.as_slice()].concat()).is_err());
        }
    }
}
