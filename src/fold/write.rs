//! Writes the sums of a fold to LiteLLM's tables.

pub mod budget;
pub mod budget_windows;
pub mod counted_days;
pub mod daily;
pub mod entities;
pub mod gateway_requests;
pub mod members;
mod null_keys;
pub mod rollups;
mod saturation;
pub mod tool_index;
pub mod upsert;
