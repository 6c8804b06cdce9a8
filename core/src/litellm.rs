//! Facts that LiteLLM decides: its tables, the order in which it writes them, how it hashes keys, and the endpoint of
//! each call type.

pub mod api_key;
pub mod columns;
pub mod endpoint;
pub mod tables;
pub mod write_order;
