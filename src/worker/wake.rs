//! Wakes this database's worker when the transaction that staged something commits, and not before:
//! the worker must see the rows (as pg_net does, through the transaction's commit callback).

use std::cell::Cell;

use pgrx::callbacks::{PgXactCallbackEvent, register_xact_callback};
use pgrx::pg_sys;

use super::board;
use crate::postgres::{compat, process};

thread_local! {
    static REGISTERED_FOR: Cell<pg_sys::LocalTransactionId> = const { Cell::new(0) };
}

/// Asks for a fold once the running transaction has committed. Costs nothing when asked again.
pub fn at_commit() {
    if !board::is_available() {
        return;
    }
    let transaction = compat::local_transaction();
    if REGISTERED_FOR.replace(transaction) == transaction {
        return;
    }
    let database = process::my_database();
    register_xact_callback(PgXactCallbackEvent::Commit, move || board::request_fold(database));
    register_xact_callback(PgXactCallbackEvent::Prepare, move || board::note_prepared(database));
}
