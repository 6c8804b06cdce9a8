//! What this session is, and in which state its transaction is.

use std::ffi::CStr;

use pgrx::prelude::*;

/// Whether the server is loading libraries at its start.
pub fn is_preloading() -> bool {
    // SAFETY: a plain flag of this process, set before libraries are loaded.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}

/// Whether pg_upgrade runs the server.
pub fn is_binary_upgrade() -> bool {
    // SAFETY: a plain flag of this process, set before libraries are loaded.
    unsafe { pg_sys::IsBinaryUpgrade }
}

/// Whether the server is a standby, or recovers from a crash.
pub fn is_in_recovery() -> bool {
    // SAFETY: reads the state of the server.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// The server's identifier, the same for as long as its data directory lives.
pub fn system_identifier() -> u64 {
    // SAFETY: the control file is read at the server's start.
    unsafe { pg_sys::GetSystemIdentifier() }
}

/// Raises an error on a standby and in a read-only transaction; `function` is the name that the error shows.
pub fn require_writes(function: &CStr) {
    // SAFETY: both raise an error or return.
    unsafe {
        pg_sys::PreventCommandDuringRecovery(function.as_ptr());
        pg_sys::PreventCommandIfReadOnly(function.as_ptr());
    }
}

/// Whether the running statement is part of a transaction block or of a subtransaction.
pub fn is_in_transaction_block() -> bool {
    // SAFETY: reads this session's transaction state.
    unsafe { pg_sys::IsTransactionBlock() || pg_sys::GetCurrentTransactionNestLevel() > 1 }
}

/// Whether the transaction has written something.
pub fn has_written() -> bool {
    // SAFETY: reads this session's transaction state.
    let xid = unsafe { pg_sys::GetTopTransactionIdIfAny() };
    xid != pg_sys::InvalidTransactionId
}

/// Whether the transaction reads under one snapshot, at REPEATABLE READ or SERIALIZABLE.
pub fn keeps_its_snapshot() -> bool {
    // SAFETY: reads this session's transaction state.
    let isolation = unsafe { pg_sys::XactIsoLevel };
    isolation >= pg_sys::XACT_REPEATABLE_READ as i32
}

/// The transaction's id with its epoch; gives it one, as its first write would.
pub fn transaction_id() -> u64 {
    // SAFETY: gives the top-level transaction an id, as its insert would.
    unsafe { pg_sys::GetTopFullTransactionId() }.value
}

/// The transaction's id with its epoch; 0 if it has none yet.
pub fn transaction_id_if_any() -> u64 {
    // SAFETY: reads this transaction's own id.
    unsafe { pg_sys::GetTopFullTransactionIdIfAny() }.value
}

/// Ends whatever transaction an error at the session's end has left, as the server itself does before it drops
/// temporary tables.
pub fn abort_at_exit() {
    // SAFETY: called while the process ends, outside of any body that could go on.
    unsafe { pg_sys::AbortOutOfAnyTransaction() };
}

/// Shows a process of this library in pg_stat_activity under this name.
pub fn report_name(name: &'static CStr) {
    // SAFETY: reports this process; the text is static.
    unsafe { pg_sys::pgstat_report_appname(name.as_ptr()) };
}

/// Shows in pg_stat_activity what the process does, and whether it does it now.
pub fn report_activity(is_running: bool, what: &'static CStr) {
    let state = if is_running { pg_sys::BackendState::STATE_RUNNING } else { pg_sys::BackendState::STATE_IDLE };
    // SAFETY: reports this process; the text is static.
    unsafe { pg_sys::pgstat_report_activity(state, what.as_ptr()) };
}
