//! Secrets that a browser or a link carries. We keep their digests only, so that a stolen database opens nothing.

use sha2::{Digest as _, Sha256};

/// SHA-256 of a secret, 64 hex digits. Enough for secrets of 256 random bits; no passwords pass here.
pub fn digest(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Lower-case hex digits of some bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_digest_is_sha256() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(super::digest("abc"), abc, "FIPS 180-2, appendix B.1");
    }
}
