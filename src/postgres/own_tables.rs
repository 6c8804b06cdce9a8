//! The extension's own relations, found by membership in the extension and never by name alone (invariant 10):
//! whoever may create a schema can plant a view called `litellm_spend.fold_cursor` where the extension is absent,
//! and a superuser's worker that reads it runs the view's functions. Nothing else of a database is read before
//! `lock` has found and locked all of these relations.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::Once;
use std::time::{Duration, Instant};

use pgrx::prelude::*;

use super::{lock_holders, pinned_settings};
use crate::error::{Error, Result};

/// How long a function's caller waits for relations of which another session holds one: far longer than a
/// truncation takes.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How soon to try again for them.
const RETRY: Duration = Duration::from_millis(5);

const NAME: &CStr = c"litellm_spend";

/// How many staging segments there are: one is free while a long transaction pins another and a third is truncated.
pub const SEGMENTS: usize = 3;
/// How many ledger tables there are.
pub const LEDGERS: usize = 3;

/// A relation of the extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    Segment(usize),
    Ledger(usize),
    Postponed,
    Rejected,
    Rotation,
}

/// The names of the relations, in the schema `litellm_spend`, and their kinds. What tells what is pending comes
/// first.
const RELATIONS: [(&CStr, u8); 15] = [
    (c"staging_0", TABLE),
    (c"staging_1", TABLE),
    (c"staging_2", TABLE),
    (c"staging", VIEW),
    (c"fold_cursor", TABLE),
    (c"postponed", TABLE),
    (c"ledger_0", TABLE),
    (c"ledger_1", TABLE),
    (c"ledger_2", TABLE),
    (c"rejected", TABLE),
    (c"rotation", TABLE),
    (c"ledger_rotation", TABLE),
    (c"counted_days", TABLE),
    (c"new_entities", TABLE),
    (c"ledger", VIEW),
];
const PENDING: usize = SEGMENTS + 3;
const TABLE: u8 = pg_sys::RELKIND_RELATION;
const VIEW: u8 = pg_sys::RELKIND_VIEW;

/// An older or newer version of the SQL objects may lack some.
type Oids = [Option<pg_sys::Oid>; RELATIONS.len()];

/// What became of an attempt to lock the relations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// The extension is not installed in this database.
    NotInstalled,
    /// Another session holds this relation.
    Busy(&'static CStr),
    Taken,
}

static WATCH: Once = Once::new();

thread_local! {
    static KNOWN: Cell<Option<Oids>> = const { Cell::new(None) };
}

impl Relation {
    fn at(self) -> usize {
        match self {
            Relation::Segment(number) => number % SEGMENTS,
            Relation::Postponed => PENDING - 1,
            Relation::Ledger(number) => PENDING + number % LEDGERS,
            Relation::Rejected => PENDING + LEDGERS,
            Relation::Rotation => PENDING + LEDGERS + 1,
        }
    }

    /// Its oid, if the extension is installed.
    pub fn oid(self) -> Option<pg_sys::Oid> {
        resolve()?[self.at()]
    }

    /// Locks it until the transaction ends, for a caller who may wait for nobody; `None` if another session
    /// holds it or it is not there.
    pub fn lock_without_waiting(self, mode: u32) -> Option<pg_sys::Oid> {
        let oid = self.oid()?;
        // A drop that committed while the lock was being granted is seen only now.
        (lock_relation(oid, mode) && self.oid() == Some(oid)).then_some(oid)
    }

    /// Locks it for a statement that names it, and waits as the statement would.
    ///
    /// # Errors
    /// The extension was dropped.
    pub fn lock_and_wait(self, mode: u32) -> Result<()> {
        let Some(oid) = self.oid() else { return Err(not_installed()) };
        // SAFETY: a lock request by oid, within a transaction.
        unsafe { pg_sys::LockRelationOid(oid, mode as pg_sys::LOCKMODE) };
        if self.oid() == Some(oid) { Ok(()) } else { Err(not_installed()) }
    }
}

/// Locks all relations for a fold until the transaction ends, without waiting: the tables against other writers
/// of their shape, the views against changes. All of them are locked before any is read, so that a fold and a
/// DROP EXTENSION cannot wait for each other, and so that no name means something else from here on.
pub fn lock() -> Lock {
    lock_first(RELATIONS.len(), pg_sys::RowExclusiveLock)
}

/// Locks all relations for the caller of a function that writes, who waits for a second at most: a fold may be
/// truncating a segment.
///
/// # Errors
/// Another session holds one of them all the while, or the extension was dropped.
pub fn lock_patiently() -> Result<()> {
    patiently(lock)
}

/// Locks the relations that tell what is pending for the caller of a function that reads, as `lock_patiently`.
///
/// # Errors
/// As those of `lock_patiently`.
pub fn lock_pending() -> Result<()> {
    patiently(|| lock_first(PENDING, pg_sys::AccessShareLock))
}

fn patiently(lock: impl Fn() -> Lock) -> Result<()> {
    let deadline = Instant::now() + LONGEST_WAIT;
    loop {
        match lock() {
            Lock::Taken => return Ok(()),
            Lock::NotInstalled => return Err(not_installed()),
            Lock::Busy(name) if Instant::now() >= deadline => {
                return Err(lock_holders::of_own_tables()?.unwrap_or_else(|| busy(name)));
            }
            Lock::Busy(_) => pinned_settings::sleep(RETRY),
        }
    }
}

fn lock_first(count: usize, mode: u32) -> Lock {
    let Some(oids) = resolve() else { return Lock::NotInstalled };
    for (oid, (name, kind)) in oids.iter().zip(RELATIONS).take(count) {
        let mode = if kind == VIEW { pg_sys::AccessShareLock } else { mode };
        if oid.is_some_and(|oid| !lock_relation(oid, mode)) {
            return Lock::Busy(name);
        }
    }
    match resolve() {
        None => Lock::NotInstalled,
        // A drop that committed while a lock was being granted is seen only now.
        Some(now) if now != oids => Lock::Busy(NAME),
        Some(_) => Lock::Taken,
    }
}

/// That another session holds a relation.
fn busy(name: &CStr) -> Error {
    Error::refused(
        PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
        format!("litellm_spend.{} is locked by another session", name.to_string_lossy()),
        "Try again when the session that pg_locks shows for it has ended its transaction.",
    )
}

/// That the extension is gone.
fn not_installed() -> Error {
    Error::held(
        "the extension litellm_spend is not installed in this database",
        "Another session has dropped it: CREATE EXTENSION litellm_spend.",
    )
}

fn lock_relation(oid: pg_sys::Oid, mode: u32) -> bool {
    // SAFETY: a lock request by oid, within a transaction; it brings in the invalidations of other sessions.
    unsafe { pg_sys::ConditionalLockRelationOid(oid, mode as pg_sys::LOCKMODE) }
}

/// The oids of the relations; `None` unless the extension is installed and its schema is its own, in which nobody
/// else can create anything.
fn resolve() -> Option<Oids> {
    WATCH.call_once(watch);
    if let Some(known) = KNOWN.get() {
        return Some(known);
    }
    let found = look_up()?;
    KNOWN.set(Some(found));
    Some(found)
}

/// Whether an object of that catalogue belongs to the extension.
pub fn owns(catalogue: pg_sys::Oid, object: pg_sys::Oid) -> bool {
    // SAFETY: catalogue look-ups within a transaction; what is missing gives InvalidOid.
    unsafe {
        let extension = pg_sys::get_extension_oid(NAME.as_ptr(), true);
        extension != pg_sys::InvalidOid && pg_sys::getExtensionOfObject(catalogue, object) == extension
    }
}

fn look_up() -> Option<Oids> {
    // SAFETY: catalogue look-ups within a transaction; what is missing gives InvalidOid.
    unsafe {
        let extension = pg_sys::get_extension_oid(NAME.as_ptr(), true);
        let schema = pg_sys::get_namespace_oid(NAME.as_ptr(), true);
        let is_member = |catalogue, oid| pg_sys::getExtensionOfObject(catalogue, oid) == extension;
        if extension == pg_sys::InvalidOid
            || schema == pg_sys::InvalidOid
            || !is_member(pg_sys::NamespaceRelationId, schema)
        {
            return None;
        }
        Some(RELATIONS.map(|(name, kind)| {
            let oid = pg_sys::get_relname_relid(name.as_ptr(), schema);
            let is_ours = oid != pg_sys::InvalidOid
                && pg_sys::get_rel_relkind(oid) as u8 == kind
                && is_member(pg_sys::RelationRelationId, oid);
            is_ours.then_some(oid)
        }))
    }
}

fn watch() {
    // SAFETY: registers callbacks of this library, which stays loaded, once in this process.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(relation_changed), pg_sys::Datum::from(0));
        pg_sys::CacheRegisterSyscacheCallback(
            pg_sys::SysCacheIdentifier::NAMESPACEOID as i32,
            Some(schema_changed),
            pg_sys::Datum::from(0),
        );
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn relation_changed(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    if relation == pg_sys::InvalidOid || KNOWN.get().is_some_and(|known| known.contains(&Some(relation))) {
        KNOWN.set(None);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn schema_changed(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    KNOWN.set(None);
}
