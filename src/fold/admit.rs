//! Which records of a batch count, and whom they charge. LiteLLM's own rows name the payer. The log and the ledger find
//! duplicates.

pub mod dedupe;
pub mod deliveries;
pub mod identity;
mod ledger;
mod log;
