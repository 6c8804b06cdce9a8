//! Every difference between Postgres majors that matters to this crate. The newest major is the default arm, so the
//! next major compiles like the newest one until a difference is found.

use pgrx::prelude::*;

/// Settings of a worker that older majors do not have.
#[cfg(any(feature = "pg15", feature = "pg16"))]
pub const LATER_SETTINGS: &[(&str, &str)] = &[];
/// Settings of a worker that older majors do not have.
#[cfg(not(any(feature = "pg15", feature = "pg16")))]
pub const LATER_SETTINGS: &[(&str, &str)] = &[("transaction_timeout", "0")];

/// Installs `handler` for a signal in this process.
pub fn handle_signal(signal: u32, handler: unsafe extern "C-unwind" fn(i32)) {
    #[cfg(any(feature = "pg15", feature = "pg16", feature = "pg17"))]
    use pg_sys::pqsignal as install;
    #[cfg(not(any(feature = "pg15", feature = "pg16", feature = "pg17")))]
    use pg_sys::pqsignal_be as install;
    // SAFETY: the caller passes a handler that may run in a signal handler.
    unsafe { install(signal as i32, Some(handler)) };
}

/// A number that no two transactions of this session share.
pub fn local_transaction() -> pg_sys::LocalTransactionId {
    // SAFETY: MyProc is set in every process that runs SQL, and only this process writes the field.
    unsafe {
        #[cfg(any(feature = "pg15", feature = "pg16"))]
        return (*pg_sys::MyProc).lxid;
        #[cfg(not(any(feature = "pg15", feature = "pg16")))]
        return (*pg_sys::MyProc).vxid.lxid;
    }
}

/// A permission check of a statement: the relation and the rights on it that the statement needs.
pub type CheckedRights = (pg_sys::Oid, pg_sys::AclMode);

/// Registers `notice`, which Postgres calls for each statement that passed the permission checks of its tables. Called
/// once, by a library that stays loaded.
pub fn on_checked_permissions(notice: fn(&mut dyn Iterator<Item = CheckedRights>)) {
    // SAFETY: the hook belongs to this process, and no statement runs while it is set.
    unsafe {
        PREVIOUS = pg_sys::ExecutorCheckPerms_hook;
        NOTICE = Some(notice);
        pg_sys::ExecutorCheckPerms_hook = Some(checked_permissions);
    }
}

// SAFETY: both variables are set once at load, and only read afterwards.
static mut NOTICE: Option<fn(&mut dyn Iterator<Item = CheckedRights>)> = None;
static mut PREVIOUS: pg_sys::ExecutorCheckPerms_hook_type = None;

/// The hook that Postgres calls after a statement passed the permission checks of its tables.
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

/// The hook that Postgres calls after a statement passed the permission checks of its tables.
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
