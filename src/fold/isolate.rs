//! What keeps one record, or one row that another session holds, from stopping all others.

pub mod contention;
pub mod fuse;
pub mod held;
pub mod postponed_walk;
mod rehearsal;
pub mod verdict;
