//! Keeps one record, or one row that another session holds, from stopping all other records.

pub mod contention;
pub mod fuse;
pub mod held;
pub mod postponed_walk;
mod rehearsal;
pub mod verdict;
