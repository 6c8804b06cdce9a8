//! Which records of a batch count, and as whose: LiteLLM's own rows name the payer, the log and the ledger find
//! duplicates.

pub mod dedupe;
pub mod deliveries;
pub mod identity;
mod ledger;
pub mod log;
