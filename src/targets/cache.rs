//! Keeps what the catalogue said until Postgres tells that one of the targets has changed, and locks the
//! tables, so that it stays true while a fold writes. What is looked up under the locks is accepted however
//! often the catalogue changes meanwhile: other sessions' tables hold no fold up.
//!
//! A fold does not queue for a table's lock while it holds another's: a migration that alters several
//! tables in one transaction would wait for the fold in turn, and one of the two would die of the deadlock.
//! It lets go of all of them and tries again.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ffi::CString;
use std::rc::Rc;
use std::sync::Once;
use std::time::{Duration, Instant};

use pgrx::prelude::*;
use pgrx::spi::{SpiClient, quote_qualified_identifier};

use super::{LockMode, Role, Table, Targets, catalogue};
use crate::error::{Error, Result};
use crate::postgres::transaction::with_latest_snapshot;
use crate::postgres::{lock_holders, pinned_settings};
use crate::settings;

static WATCH: Once = Once::new();

thread_local! {
    static CACHE: RefCell<Option<Cached>> = const { RefCell::new(None) };
    /// The relations that bear the names of targets, and their indexes.
    static WATCHED: RefCell<HashSet<pg_sys::Oid>> = RefCell::default();
    /// Whether one of them has changed since it was looked up.
    static CHANGED: Cell<bool> = const { Cell::new(false) };
}

struct Cached {
    schema: String,
    /// The setting by which `Targets::look_up` skips two of them.
    counts_gateway_requests: bool,
    /// What bears each role's name. A table that LiteLLM is about to create has no oid to watch for, so the
    /// names are resolved at every fold: that takes microseconds.
    bearers: Vec<pg_sys::Oid>,
    targets: Rc<Targets>,
}

/// How soon to try again for tables of which another session has locked one.
const RETRY: Duration = Duration::from_millis(20);

/// The targets, those of them locked for which `mode_of` names a mode; tries for as long as
/// `litellm_spend.lock_timeout`.
pub(super) fn locked(client: &mut SpiClient, mode_of: LockMode) -> Result<Rc<Targets>> {
    WATCH.call_once(watch);
    let schema = settings::target_schema();
    let deadline = Instant::now() + settings::lock_timeout();
    loop {
        let targets = match current(client, &schema) {
            Err(Error::Refused { code: PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE, .. })
                if Instant::now() < deadline =>
            {
                pinned_settings::sleep(RETRY);
                continue;
            }
            outcome => outcome?,
        };
        match lock_all(&targets, mode_of) {
            Ok(()) => {
                // A granted lock brings in all changes that were made before it, and lets none in after it.
                let under_locks = current(client, &schema)?;
                if oids(&under_locks, mode_of).eq(oids(&targets, mode_of)) {
                    return Ok(under_locks);
                }
                unlock(targets.locks(mode_of));
                if Instant::now() >= deadline {
                    return Err(replaced());
                }
            }
            Err((table, name)) if Instant::now() >= deadline => return Err(locked_by_another(table, &name)),
            Err(_) => pinned_settings::sleep(RETRY),
        }
    }
}

fn oids<'t>(targets: &'t Targets, mode_of: LockMode<'t>) -> impl Iterator<Item = pg_sys::Oid> + 't {
    targets.locks(mode_of).map(|(table, _)| table.oid)
}

/// Locks all tables or none, without waiting; the oid and name of a table that another session has locked.
fn lock_all(targets: &Targets, mode_of: LockMode) -> std::result::Result<(), (pg_sys::Oid, String)> {
    for (taken, (table, mode)) in targets.locks(mode_of).enumerate() {
        // SAFETY: a lock request by oid, released when the transaction ends or below.
        if !unsafe { pg_sys::ConditionalLockRelationOid(table.oid, mode) } {
            unlock(targets.locks(mode_of).take(taken));
            return Err((table.oid, table.name.clone()));
        }
    }
    Ok(())
}

/// Gives back locks under which nothing was read or written yet.
pub(super) fn unlock<'t>(locks: impl Iterator<Item = (&'t Table, pg_sys::LOCKMODE)>) {
    for (table, mode) in locks {
        // SAFETY: releases a lock that `lock_all` has just taken.
        unsafe { pg_sys::UnlockRelationOid(table.oid, mode) };
    }
}

/// The targets as they are now: those that were kept, unless one of them has changed.
fn current(client: &SpiClient, schema: &str) -> Result<Rc<Targets>> {
    // SAFETY: reads the invalidations that other sessions have sent.
    unsafe { pg_sys::AcceptInvalidationMessages() };
    let bearers = bearers_of_names(schema);
    let counts_gateway_requests = settings::count_gateway_requests();
    let kept = CACHE.with_borrow(|cache| {
        let valid = cache.as_ref().filter(|kept| {
            !CHANGED.get()
                && kept.schema == schema
                && kept.counts_gateway_requests == counts_gateway_requests
                && kept.bearers == bearers
        });
        valid.map(|kept| kept.targets.clone())
    });
    if let Some(targets) = kept {
        return Ok(targets);
    }
    CACHE.take();
    // A change that this look-up is too early for comes in after this line.
    CHANGED.set(false);
    let targets = with_shapes_locked(schema, &bearers, || {
        let tables: Vec<pg_sys::Oid> = bearers.iter().copied().filter(|oid| *oid != pg_sys::InvalidOid).collect();
        WATCHED.set(tables.iter().copied().collect());
        let indexes = catalogue::indexes(client, tables)?;
        WATCHED.with_borrow_mut(|watched| watched.extend(indexes));
        Targets::look_up(client, schema)
    });
    let targets = Rc::new(targets?);
    CACHE.set(Some(Cached { schema: schema.to_owned(), counts_gateway_requests, bearers, targets: targets.clone() }));
    Ok(targets)
}

/// Runs `body`, which reads the shapes of these relations: what shows the definition of an index locks its table,
/// and would wait for it.
fn with_shapes_locked<R>(schema: &str, bearers: &[pg_sys::Oid], body: impl FnOnce() -> Result<R>) -> Result<R> {
    const MODE: pg_sys::LOCKMODE = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    let there = || bearers.iter().zip(Role::all()).filter(|(oid, _)| **oid != pg_sys::InvalidOid);
    // SAFETY: releases locks that are taken below.
    let unlock = |count| there().take(count).for_each(|(oid, _)| unsafe { pg_sys::UnlockRelationOid(*oid, MODE) });
    for (taken, (oid, role)) in there().enumerate() {
        // SAFETY: a lock request by oid, released below or when the transaction ends.
        if !unsafe { pg_sys::ConditionalLockRelationOid(*oid, MODE) } {
            unlock(taken);
            return Err(locked_by_another(*oid, &quote_qualified_identifier(schema, role.table())));
        }
    }
    let outcome = with_latest_snapshot(body);
    unlock(usize::MAX);
    outcome
}

/// Runs `body` as `with_shapes_locked` does, on the tables that bear the targets' names now.
pub fn look_at<R>(schema: &str, body: impl FnOnce() -> Result<R>) -> Result<R> {
    with_shapes_locked(schema, &bearers_of_names(schema), body)
}

/// The relation of each role's name, in the order of `Role::all`; invalid where there is none.
fn bearers_of_names(schema: &str) -> Vec<pg_sys::Oid> {
    let Ok(schema) = CString::new(schema) else { return Vec::new() };
    // SAFETY: a catalogue look-up by name within a transaction; an unknown name gives InvalidOid.
    let schema = unsafe { pg_sys::get_namespace_oid(schema.as_ptr(), true) };
    let bearer = |role: Role| {
        let Ok(name) = CString::new(role.table()) else { return pg_sys::InvalidOid };
        // SAFETY: the same.
        unsafe { pg_sys::get_relname_relid(name.as_ptr(), schema) }
    };
    Role::all().map(bearer).collect()
}

fn locked_by_another(table: pg_sys::Oid, name: &str) -> Error {
    let holders = lock_holders::of_table(table).unwrap_or_default();
    Error::refused(
        PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
        match holders {
            Some(holders) => format!("{name} is locked by another session: {holders}"),
            None => format!("{name} is locked by another session"),
        },
        "Wait, or end that session: a migration or an index build may be under way. The fold goes on when the lock is \
         released.",
    )
}

fn replaced() -> Error {
    Error::held(
        "LiteLLM's tables are replaced by others faster than a fold can lock them",
        "The fold goes on when that is done.",
    )
}

fn watch() {
    // SAFETY: registers a callback of this library, which stays loaded, once in this process.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), pg_sys::Datum::from(0)) };
}

/// Called for each relation that changes; the invalid oid stands for all of them.
#[pg_guard]
unsafe extern "C-unwind" fn relation_changed(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    let is_watched =
        || WATCHED.with(|watched| watched.try_borrow().map_or(true, |watched| watched.contains(&relation)));
    if relation == pg_sys::InvalidOid || is_watched() {
        CHANGED.set(true);
    }
}
