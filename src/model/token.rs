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

/// HMAC-SHA-256 (RFC 2104) of the parts, one after the other. (The crate `hmac` in use elsewhere is of another
/// generation than our `sha2`.)
pub fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut block = [0_u8; 64];
    let hashed = Sha256::digest(key);
    let short: &[u8] = if key.len() > block.len() { &hashed } else { key };
    block.iter_mut().zip(short).for_each(|(slot, byte)| *slot = *byte);
    let mut inner = Sha256::new_with_prefix(block.map(|byte| byte ^ 0x36));
    parts.iter().for_each(|part| inner.update(part));
    Sha256::new_with_prefix(block.map(|byte| byte ^ 0x5c)).chain_update(inner.finalize()).finalize().into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_digest_is_sha256() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(super::digest("abc"), abc, "FIPS 180-2, appendix B.1");
    }

    #[test]
    fn the_mac_is_hmac_sha256() {
        let mac = |key: &[u8], parts: &[&[u8]]| super::hex(&super::mac(key, parts));
        let second = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(mac(b"Jefe", &[b"what do ya want ", b"for nothing?"]), second, "RFC 4231, test case 2");
        let sixth = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        let data: &[u8] = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(mac(&[0xaa; 131], &[data]), sixth, "RFC 4231, test case 6");
    }
}
