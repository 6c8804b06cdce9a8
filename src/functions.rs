//! The functions that people and monitoring call.

mod create_tables;
mod flush;
pub mod fold;
pub mod health;
mod retry_rejected;
pub mod status;
pub mod targets;
