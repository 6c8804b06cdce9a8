//! Keeps a failed statement that records out of the server log. Its payload, written as a literal, may contain a raw
//! key or a prompt. By default the log shows the statement of an error, and the surrounding statements as its context.
//!
//! A statement is hidden as soon as Postgres has admitted it to `litellm_record_spend` or to an INSERT into
//! `litellm_spend.inbox`. By then Postgres has found exactly these objects and checked the role's privilege. The text
//! of the statement does not matter, so naming these objects in the text does not hide a statement.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::prelude::*;

use super::compat::{self, CheckedRights};
use super::own_tables;

const RECORDER: &CStr = c"litellm_record_spend";
const INBOX: &CStr = c"inbox";

thread_local! {
    /// The start time of the client's statement that records.
    static RECORDING_STATEMENT: Cell<Option<pg_sys::TimestampTz>> = const { Cell::new(None) };
    /// The oid of the recorder, once a statement of this session has called it. No other function gets this oid.
    static KNOWN_RECORDER: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::InvalidOid) };
}

// SAFETY: both variables are set once at load, before any error can call a hook, and only read afterwards.
static mut PREVIOUS_LOG_HOOK: pg_sys::emit_log_hook_type = None;
static mut PREVIOUS_ACCESS_HOOK: pg_sys::object_access_hook_type = None;

/// Notes that the running statement records. The recorder and the inbox call this function too, for two reasons. A
/// session that does not preload the library has no hooks before its first call. And Postgres checks a compiled
/// expression only once.
pub fn hide_this_statement() {
    // SAFETY: this reads the start time of the session's statement.
    RECORDING_STATEMENT.set(Some(unsafe { pg_sys::GetCurrentStatementStartTimestamp() }));
}

/// Installs the hooks. Called once, when the library is loaded.
pub fn install() {
    // SAFETY: `_PG_init` runs once per process, before any other thread or error exists.
    unsafe {
        PREVIOUS_LOG_HOOK = pg_sys::emit_log_hook;
        pg_sys::emit_log_hook = Some(hide_recording_statement);
        PREVIOUS_ACCESS_HOOK = pg_sys::object_access_hook;
        pg_sys::object_access_hook = Some(notice_call);
    }
    compat::on_checked_permissions(notice_inbox);
}

/// # Safety
/// Postgres calls this function with the error that it is about to log.
unsafe extern "C-unwind" fn hide_recording_statement(error: *mut pg_sys::ErrorData) {
    // SAFETY: Postgres passes a valid error, and the previous hook has the same contract. The code here neither
    // allocates nor raises an error, because the hook may run for a PANIC.
    unsafe {
        if RECORDING_STATEMENT.get() == Some(pg_sys::GetCurrentStatementStartTimestamp()) {
            (*error).hide_stmt = true;
            (*error).hide_ctx = true;
        }
        if let Some(previous) = PREVIOUS_LOG_HOOK {
            previous(error);
        }
    }
}

/// The hook that Postgres calls for a function that the role may execute, before it evaluates the arguments.
#[pg_guard]
unsafe extern "C-unwind" fn notice_call(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    part: std::ffi::c_int,
    argument: *mut std::ffi::c_void,
) {
    if access == pg_sys::ObjectAccessType::OAT_FUNCTION_EXECUTE && is_recorder(object) {
        hide_this_statement();
    }
    // SAFETY: the previous hook has the same contract.
    unsafe {
        if let Some(previous) = PREVIOUS_ACCESS_HOOK {
            previous(access, class, object, part, argument);
        }
    }
}

/// Whether a function is the extension's own `litellm_record_spend`, and not another function with that name.
fn is_recorder(function: pg_sys::Oid) -> bool {
    if function == KNOWN_RECORDER.get() {
        return true;
    }
    // SAFETY: this is a catalogue look-up by oid.
    let is_recorder = function.to_u32() >= pg_sys::FirstNormalObjectId
        && unsafe { is_named(pg_sys::get_func_name(function), RECORDER) }
        && own_tables::owns(pg_sys::ProcedureRelationId, function);
    if is_recorder {
        KNOWN_RECORDER.set(function);
    }
    is_recorder
}

/// Looks for an INSERT or COPY into the inbox among a statement's tables and the privileges that it needs.
fn notice_inbox(tables: &mut dyn Iterator<Item = CheckedRights>) {
    let is_inserted = |rights: pg_sys::AclMode| rights & pg_sys::AclMode::from(pg_sys::ACL_INSERT) != 0;
    for (table, rights) in tables {
        if is_inserted(rights) && is_inbox(table) {
            hide_this_statement();
            return;
        }
    }
}

fn is_inbox(table: pg_sys::Oid) -> bool {
    // SAFETY: these are catalogue look-ups by oid.
    table.to_u32() >= pg_sys::FirstNormalObjectId
        && unsafe {
            pg_sys::get_rel_relkind(table) as u8 == pg_sys::RELKIND_VIEW && is_named(pg_sys::get_rel_name(table), INBOX)
        }
        && own_tables::owns(pg_sys::RelationRelationId, table)
}

/// # Safety
/// `name` is a palloc'd C string, which this function frees, or null for no name.
unsafe fn is_named(name: *mut std::ffi::c_char, expected: &CStr) -> bool {
    if name.is_null() {
        return false;
    }
    // SAFETY: the caller keeps the contract above.
    unsafe {
        let is_named = CStr::from_ptr(name) == expected;
        pg_sys::pfree(name.cast());
        is_named
    }
}
