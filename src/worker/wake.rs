//! Wakes this database's worker when a transaction that staged records commits, and not earlier, because the worker
//! must see the rows. It uses the transaction's commit callback, as pg_net does.

use std::cell::Cell;

use pgrx::callbacks::{PgXactCallbackEvent, register_xact_callback};
use pgrx::pg_sys;

use super::board;
use crate::postgres::{compat, process};

thread_local! {
    static REGISTERED_FOR: Cell<pg_sys::LocalTransactionId> = const { Cell::new(0) };
}

/// Asks for a fold after the running transaction commits. A repeated call costs nothing.
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
