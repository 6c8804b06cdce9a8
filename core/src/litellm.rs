//! What LiteLLM itself decides: its tables, the order in which it writes them, how it hashes keys, and which endpoint
//! a call type is.

pub mod api_key;
pub mod columns;
pub mod endpoint;
pub mod tables;
pub mod write_order;
