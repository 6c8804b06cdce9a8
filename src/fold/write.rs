//! Writes the sums of a fold to LiteLLM's tables.

mod budget;
pub mod budget_windows;
pub mod counted_days;
pub mod entities;
pub mod members;
mod null_keys;
mod saturation;
pub mod tool_index;
pub mod upsert;
