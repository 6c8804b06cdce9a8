//! The pure part of litellm_spend: what a spend record is, what of it may be stored, which rows a
//! snapshot window holds and what a batch of records adds up to. No Postgres, no `unsafe`; all of
//! it runs under plain `cargo test`.
#![forbid(unsafe_code)]

pub mod aggregate;
pub mod api_key;
pub mod backoff;
pub mod blame;
pub mod bounds;
pub mod budget_window;
pub mod daily;
pub mod dedupe;
pub mod endpoint;
pub mod entity;
pub mod error;
pub mod fields;
pub mod gateway_requests;
pub mod identity;
pub mod json;
pub mod json_text;
pub mod jsonb;
pub mod ledger;
pub mod model_usage;
pub mod moment;
pub mod named;
pub mod names;
pub mod raw;
pub mod record;
pub mod request_body;
pub mod request_errors;
pub mod sanitise;
pub mod snapshot;
pub mod sum;
pub mod tool_spend;
pub mod unchanged;
pub mod url;
pub mod version;
pub mod window;
