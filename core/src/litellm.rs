//! What LiteLLM itself decides: how it hashes keys and which endpoint a call type is.

pub mod api_key;
pub mod endpoint;
