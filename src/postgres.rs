//! Postgres below SQL: every call of a C function of Postgres, with an interface that is safe to use.

pub mod batch_table;
pub mod compat;
pub mod current_statement;
pub mod databases;
pub mod deadlock_watch;
pub mod failure;
pub mod headroom;
pub mod jsonb;
pub mod lock_holders;
pub mod own_tables;
pub mod owner;
pub mod pinned_settings;
pub mod plans;
pub mod process;
pub mod quit_note;
pub mod relation;
pub mod segment_insert;
mod segment_shape;
pub mod session;
pub mod signals;
pub mod statement_log;
pub mod subtransaction;
pub mod timestamp;
pub mod transaction;
pub mod wait;
