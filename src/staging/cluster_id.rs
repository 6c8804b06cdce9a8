//! The identity of this database in this cluster. Staged rows and the cursor carry it, because transaction ids mean
//! nothing in another cluster (invariant 12).

use std::cell::OnceCell;

use litellm_spend_core::litellm::api_key::sha256_hex;

use crate::postgres::{process, session};

thread_local! {
    static ORIGIN: OnceCell<i64> = const { OnceCell::new() };
}

/// 60 bits of a hash of the system identifier and the database's oid. They are cached, because a session never changes
/// its database.
pub fn this_database() -> i64 {
    ORIGIN.with(|origin| *origin.get_or_init(compute))
}

fn compute() -> i64 {
    let (system, database) = (session::system_identifier(), process::my_database().to_u32());
    let hash = sha256_hex(&format!("{system}/{database}"));
    i64::from_str_radix(&hash[..15], 16).unwrap_or_default()
}
