//! Keeps a statement that records out of the server log when it fails: a payload written as a literal may hold a raw
//! key or a prompt, and by default the log shows the statement of an error, and the statements around it as its
//! context.
//!
//! A statement is hidden from the moment Postgres has let it through to `litellm_record_spend` or to an INSERT into
//! `litellm_spend.inbox`: it has found just these objects and checked the role's privilege. What the text says does
//! not matter, so nobody else can hide a statement by naming them in it.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::prelude::*;

use super::compat::{self, CheckedRights};
use super::own_tables;

const RECORDER: &CStr = c"litellm_record_spend";
const INBOX: &CStr = c"inbox";

thread_local! {
    /// The start of the client's statement that records.
    static RECORDING_STATEMENT: Cell<Option<pg_sys::TimestampTz>> = const { Cell::new(None) };
    /// The recorder, once a statement of this session has called it. No other function gets its oid.
    static KNOWN_RECORDER: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::InvalidOid) };
}

// SAFETY: set once at load, before any error can call a hook; only ever read afterwards.
static mut PREVIOUS_LOG_HOOK: pg_sys::emit_log_hook_type = None;
static mut PREVIOUS_ACCESS_HOOK: pg_sys::object_access_hook_type = None;

/// Notes that the running statement records. The recorder and the inbox call it too, because a session that does
/// not preload the library has no hooks before its first call, and a compiled expression is checked only once.
pub fn hide_this_statement() {
    // SAFETY: reads the session's own statement time.
    RECORDING_STATEMENT.set(Some(unsafe { pg_sys::GetCurrentStatementStartTimestamp() }));
}

/// Installs the hooks; called once as the library is loaded.
pub fn install() {
    // SAFETY: `_PG_init` runs once per process, before other threads or errors.
    unsafe {
        PREVIOUS_LOG_HOOK = pg_sys::emit_log_hook;
        pg_sys::emit_log_hook = Some(hide_recording_statement);
        PREVIOUS_ACCESS_HOOK = pg_sys::object_access_hook;
        pg_sys::object_access_hook = Some(notice_call);
    }
    compat::on_checked_permissions(notice_inbox);
}

/// # Safety
/// Called by Postgres with the error that is about to be logged.
unsafe extern "C-unwind" fn hide_recording_statement(error: *mut pg_sys::ErrorData) {
    // SAFETY: Postgres passes a valid error; the previous hook has the same contract. Nothing here
    // allocates or raises, as the hook may run for a PANIC.
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

/// Postgres calls it for a function that the role may execute, before it evaluates the arguments.
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

/// Whether a function is the extension's own `litellm_record_spend`, and not just one of that name.
fn is_recorder(function: pg_sys::Oid) -> bool {
    if function == KNOWN_RECORDER.get() {
        return true;
    }
    // SAFETY: a catalogue look-up by oid.
    let is_recorder = function.to_u32() >= pg_sys::FirstNormalObjectId
        && unsafe { is_named(pg_sys::get_func_name(function), RECORDER) }
        && own_tables::owns(pg_sys::ProcedureRelationId, function);
    if is_recorder {
        KNOWN_RECORDER.set(function);
    }
    is_recorder
}

/// Looks for an INSERT or COPY into the inbox among the tables of a statement and the privileges that it needs.
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
    // SAFETY: catalogue look-ups by oid.
    table.to_u32() >= pg_sys::FirstNormalObjectId
        && unsafe {
            pg_sys::get_rel_relkind(table) as u8 == pg_sys::RELKIND_VIEW && is_named(pg_sys::get_rel_name(table), INBOX)
        }
        && own_tables::owns(pg_sys::RelationRelationId, table)
}

/// # Safety
/// `name` is a palloc'd C string, which is freed, or null, which is no name.
unsafe fn is_named(name: *mut std::ffi::c_char, expected: &CStr) -> bool {
    if name.is_null() {
        return false;
    }
    // SAFETY: as the caller says.
    unsafe {
        let is_named = CStr::from_ptr(name) == expected;
        pg_sys::pfree(name.cast());
        is_named
    }
}
