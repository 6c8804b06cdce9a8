//! The one rule by which an API key becomes the form that the tables hold: LiteLLM's sha256 hex. A raw key never leaves
//! this module (LiteLLM: spend_tracking_utils.py, `get_logging_payload`).

use std::borrow::Cow;
use std::fmt::Write;

use sha2::{Digest, Sha256};

/// Names that LiteLLM's proxy uses in place of a key hash.
const SERVICE_ALIASES: &[&str] = &["litellm_proxy_master_key", "litellm-internal-health-check", "litellm-cli"];
const HASHED_JWT_PREFIX: &str = "hashed-jwt-";

/// The stored form of an API key. `""`, 64 hex digits and LiteLLM's service aliases stay as they are. Any other key is
/// hashed, without a leading `Bearer `.
pub fn stored_form(key: &str) -> Cow<'_, str> {
    let key = key.trim();
    let key = match key.get(..7) {
        Some(prefix) if prefix.eq_ignore_ascii_case("bearer ") => key[7..].trim_start(),
        _ => key,
    };
    if key.is_empty() || is_safe(key) { Cow::Borrowed(key) } else { Cow::Owned(sha256_hex(key)) }
}

/// Whether a key may be stored as it is: it is a hash or a service alias.
pub fn is_safe(key: &str) -> bool {
    is_sha256_hex(key)
        || SERVICE_ALIASES.contains(&key)
        || key.strip_prefix(HASHED_JWT_PREFIX).is_some_and(is_sha256_hex)
}

/// The lower-case sha256 hex digest of `text`.
pub fn sha256_hex(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn is_sha256_hex(key: &str) -> bool {
    key.len() == 64 && key.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY_ONE: &str = "30323e05e0a491d1721c5452dc51a07c9b247c1aee3a78677c384efd94476167";

    #[test]
    fn a_raw_key_is_hashed_with_or_without_bearer() {
        assert_eq!(stored_form("sk-golden-key-1"), KEY_ONE);
        assert_eq!(stored_form("Bearer sk-golden-key-1"), KEY_ONE);
        assert_eq!(stored_form("bEARER  sk-golden-key-1 "), KEY_ONE);
    }

    #[test]
    fn a_hash_and_a_service_alias_stay() {
        for key in [KEY_ONE, "litellm_proxy_master_key", "litellm-cli", &format!("hashed-jwt-{KEY_ONE}"), ""] {
            assert_eq!(stored_form(key), key);
        }
    }

    #[test]
    fn a_key_that_only_looks_like_an_alias_is_hashed() {
        assert_ne!(stored_form("hashed-jwt-sk-secret"), "hashed-jwt-sk-secret");
        assert_ne!(stored_form("ключ"), "ключ");
    }
}
