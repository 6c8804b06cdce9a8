//! Every difference between Postgres majors that this crate meets. The newest major is the default arm, so that the next
//! one compiles as it does until somebody finds a difference.

use pgrx::prelude::*;

/// Settings of a worker that older majors do not have.
#[cfg(any(feature = "pg15", feature = "pg16"))]
pub const LATER_SETTINGS: &[(&str, &str)] = &[];
/// Settings of a worker that older majors do not have.
#[cfg(not(any(feature = "pg15", feature = "pg16")))]
pub const LATER_SETTINGS: &[(&str, &str)] = &[("transaction_timeout", "0")];

/// Has this process run `handler` at a signal.
pub fn handle_signal(signal: u32, handler: unsafe extern "C-unwind" fn(i32)) {
    #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17"))]
    use pg_sys::pqsignal as install;
    #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17")))]
    use pg_sys::pqsignal_be as install;
    // SAFETY: the caller's handler is written for signals.
    unsafe { install(signal as i32, Some(handler)) };
}

/// A number that no two transactions of this session share.
pub fn local_transaction() -> pg_sys::LocalTransactionId {
    // SAFETY: MyProc is set in every process that runs SQL; the field is this process's own.
    unsafe {
        #[cfg(any(feature = "pg15", feature = "pg16"))]
        return (*pg_sys::MyProc).lxid;
        #[cfg(not(any(feature = "pg15", feature = "pg16")))]
        return (*pg_sys::MyProc).vxid.lxid;
    }
}

/// A permission check of a statement: the relation and the rights on it that the statement needs.
pub type CheckedRights = (pg_sys::Oid, pg_sys::AclMode);

/// Has `notice` called for each statement that may do all that it does with its tables. Called once, by a library that
/// stays loaded.
pub fn on_checked_permissions(notice: fn(&mut dyn Iterator<Item = CheckedRights>)) {
    // SAFETY: the hook is this process's own, set while no statement runs.
    unsafe {
        PREVIOUS = pg_sys::ExecutorCheckPerms_hook;
        NOTICE = Some(notice);
        pg_sys::ExecutorCheckPerms_hook = Some(checked_permissions);
    }
}

// SAFETY: both are set once at load, and only read afterwards.
static mut NOTICE: Option<fn(&mut dyn Iterator<Item = CheckedRights>)> = None;
static mut PREVIOUS: pg_sys::ExecutorCheckPerms_hook_type = None;

/// Postgres calls it once it has found that the role may do all that a statement does with its tables.
#[cfg(feature = "pg15")]
#[pg_guard]
unsafe extern "C-unwind" fn checked_permissions(tables: *mut pg_sys::List, raises: bool) -> bool {
    // SAFETY: Postgres passes a list of RangeTblEntry; the previous hook has the same contract.
    unsafe {
        let checked = pgrx::PgList::<pg_sys::RangeTblEntry>::from_pg(tables);
        if let Some(notice) = NOTICE {
            notice(&mut checked.iter_ptr().map(|table| ((*table).relid, (*table).requiredPerms)));
        }
        PREVIOUS.is_none_or(|previous| previous(tables, raises))
    }
}

/// Postgres calls it once it has found that the role may do all that a statement does with its tables.
#[cfg(not(feature = "pg15"))]
#[pg_guard]
unsafe extern "C-unwind" fn checked_permissions(
    tables: *mut pg_sys::List,
    permissions: *mut pg_sys::List,
    raises: bool,
) -> bool {
    // SAFETY: Postgres passes a list of RTEPermissionInfo; the previous hook has the same contract.
    unsafe {
        let checked = pgrx::PgList::<pg_sys::RTEPermissionInfo>::from_pg(permissions);
        if let Some(notice) = NOTICE {
            notice(&mut checked.iter_ptr().map(|table| ((*table).relid, (*table).requiredPerms)));
        }
        PREVIOUS.is_none_or(|previous| previous(tables, permissions, raises))
    }
}
