//! The pure part of litellm_spend. It decides what a spend record is, which of its fields may be stored, which rows a
//! snapshot window holds and what a batch of records adds up to. It uses no Postgres and no `unsafe`; all of it runs
//! under plain `cargo test`.
#![forbid(unsafe_code)]

pub mod allowed;
pub mod backoff;
pub mod dedupe;
pub mod error;
pub mod fault;
pub mod json;
pub mod jsonb;
pub mod ledger;
pub mod litellm;
pub mod moment;
pub mod numeric;
pub mod pace;
pub mod record;
pub mod snapshot;
pub mod step;
pub mod totals;
pub mod version;
