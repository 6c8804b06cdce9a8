//! The fold: one transaction that counts staged rows in every target and marks them consumed (invariants 1
//! and 2). `pass` is its beginning and end; `batches` decides how much to count, `count` counts it: `admit` says which
//! records count, `write` writes their sums. What becomes of a record that fails, or that needs what another session
//! holds, is decided in `isolate`.

pub mod admit;
mod batches;
pub mod count;
pub mod isolate;
mod pace;
pub mod pass;
pub mod preconditions;
pub mod row_key;
mod row_waits;
pub mod version;
pub mod write;
