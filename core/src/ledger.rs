//! The hashes by which the ledger remembers counted requests. A hash keeps each entry small and of one size, however
//! long the ids are. 128 bits tell request ids apart. 64 bits are enough for call ids, because the ledger compares them
//! only under one request id.

use sha2::{Digest, Sha256};

/// The first 16 bytes of the sha256 of a request id.
pub fn request_hash(request_id: &str) -> [u8; 16] {
    first_bytes(request_id)
}

/// The first 8 bytes, big-endian, of the sha256 of a `litellm_call_id`.
pub fn call_hash(call_id: &str) -> i64 {
    i64::from_be_bytes(first_bytes(call_id))
}

/// The first 8 bytes, big-endian, of the sha256 of a `litellm_call_id` and a start, in milliseconds since 1970. A NUL
/// separates the two; no id holds one.
pub fn started_hash(call_id: &str, start: i64) -> i64 {
    i64::from_be_bytes(first_bytes(&format!("{call_id}\0{start}")))
}

/// The number of a request in the fingerprint of a set of requests. The fingerprint is the exclusive or of these
/// numbers, so a set has the same fingerprint in whatever order its requests were counted.
pub fn fingerprint(request_id: &str) -> i64 {
    i64::from_be_bytes(first_bytes(request_id))
}

fn first_bytes<const N: usize>(text: &str) -> [u8; N] {
    let digest = Sha256::digest(text.as_bytes());
    std::array::from_fn(|at| digest[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_the_start_of_the_sha256() {
        // sha256("abc") = ba7816bf 8f01cfea 414140de 5dae2223 …
        assert_eq!(u128::from_be_bytes(request_hash("abc")), 0xba78_16bf_8f01_cfea_4141_40de_5dae_2223);
        assert_eq!(call_hash("abc").cast_unsigned(), 0xba78_16bf_8f01_cfea);
    }
}
