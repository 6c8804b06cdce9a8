//! The fold: one transaction that counts staged rows in every target and marks them consumed (invariants 1 and 2).
//! `pass` begins and ends it. `batches` decides how much to count. `count` counts it: `admit` says which records count,
//! and `write` writes their sums. `isolate` decides what happens to a record that fails, or that needs what another
//! session holds.

pub mod admit;
mod batches;
mod count;
pub mod isolate;
mod pace;
pub mod pass;
pub mod preconditions;
mod row_key;
mod row_waits;
pub mod version;
pub mod write;
