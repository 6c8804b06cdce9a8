//! Keeps the statement that calls `litellm_record_spend`, or writes to `litellm_spend.inbox`, out of the server log: a payload written as a
//! literal may hold a raw key or a prompt, and by default the log shows the statement of an error, and
//! the statements around it as its context.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::prelude::*;

const RECORDER: &[u8] = b"litellm_record_spend";
const INBOX_SCHEMA: &[u8] = b"litellm_spend";
const INBOX: &[u8] = b"inbox";

thread_local! {
    static RECORDING_STATEMENT: Cell<Option<pg_sys::TimestampTz>> = const { Cell::new(None) };
}

// SAFETY: set once at load, before any error can call the hook; only ever read afterwards.
static mut PREVIOUS_HOOK: pg_sys::emit_log_hook_type = None;

/// Notes that the running statement calls the recorder, by whatever way: the client's text may name a
/// function of its own only.
pub fn hide_this_statement() {
    // SAFETY: reads the session's own statement time.
    RECORDING_STATEMENT.set(Some(unsafe { pg_sys::GetCurrentStatementStartTimestamp() }));
}

/// Installs the hook; called once as the library is loaded.
pub fn install() {
    // SAFETY: `_PG_init` runs once per process, before other threads or errors.
    unsafe {
        PREVIOUS_HOOK = pg_sys::emit_log_hook;
        pg_sys::emit_log_hook = Some(hide_recording_statement);
    }
}

/// # Safety
/// Called by Postgres with the error that is about to be logged.
unsafe extern "C-unwind" fn hide_recording_statement(error: *mut pg_sys::ErrorData) {
    // SAFETY: Postgres passes a valid error; the previous hook has the same contract. Nothing here
    // allocates or raises, as the hook may run for a PANIC.
    unsafe {
        if RECORDING_STATEMENT.get() == Some(pg_sys::GetCurrentStatementStartTimestamp()) || client_names_recorder() {
            (*error).hide_stmt = true;
            (*error).hide_ctx = true;
        }
        if let Some(previous) = PREVIOUS_HOOK {
            previous(error);
        }
    }
}

/// Whether the client's statement names the recorder or the inbox: one that fails before either runs (for
/// a payload that is no JSON, or a missing privilege) is hidden too.
///
/// # Safety
/// Called in a process whose `debug_query_string` is null or a C string.
unsafe fn client_names_recorder() -> bool {
    // SAFETY: as the caller says.
    unsafe {
        let text = pg_sys::debug_query_string;
        !text.is_null() && names_recorder(CStr::from_ptr(text).to_bytes())
    }
}

fn names_recorder(statement: &[u8]) -> bool {
    let names_inbox = |after: &[u8]| {
        let dot_and_quotes = after.iter().take_while(|byte| b"\". \t\r\n".contains(byte)).count();
        let name = &after[dot_and_quotes..];
        dot_and_quotes > 0 && name.get(..INBOX.len()).is_some_and(|name| name.eq_ignore_ascii_case(INBOX))
    };
    statement.windows(RECORDER.len()).any(|part| part.eq_ignore_ascii_case(RECORDER))
        || (0..statement.len()).any(|at| {
            let rest = &statement[at..];
            let schema = rest.get(..INBOX_SCHEMA.len());
            schema.is_some_and(|schema| schema.eq_ignore_ascii_case(INBOX_SCHEMA))
                && names_inbox(&rest[INBOX_SCHEMA.len()..])
        })
}
