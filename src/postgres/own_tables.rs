//! The extension's own relations. They are found by membership in the extension, never by name alone (invariant 10). If
//! the extension is absent, any role that may create a schema can plant a view called `litellm_spend.fold_cursor`. The
//! worker is a superuser, so it would run the view's functions if it read the view. A worker therefore reads nothing
//! else of a database before `lock` has found and locked all of these relations.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::Once;
use std::time::{Duration, Instant};

use pgrx::prelude::*;

use super::{lock_holders, pinned_settings, relation};
use crate::error::{Error, Result};

/// How long the caller of a function waits for the relations while another session holds one of them. This is far
/// longer than a truncation takes.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The pause before the next attempt to lock the relations.
const RETRY: Duration = Duration::from_millis(5);

const NAME: &CStr = c"litellm_spend";

/// The number of staging segments. With three, one is free while a long transaction pins another and a third is
/// truncated.
pub const SEGMENTS: usize = 3;
/// The number of ledger tables.
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

/// The names and kinds of the relations in the schema `litellm_spend`. The relations that tell what is pending come
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

/// The oids of the relations. An older or newer version of the SQL objects may lack some of them.
type Oids = [Option<pg_sys::Oid>; RELATIONS.len()];

/// The outcome of an attempt to lock the relations.
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

    /// The oid of the relation, if the extension is installed.
    pub fn oid(self) -> Option<pg_sys::Oid> {
        resolve()?[self.at()]
    }

    /// Locks the relation until the transaction ends, without waiting; `None` if another session holds the relation or
    /// it does not exist.
    pub fn lock_without_waiting(self, mode: u32) -> Option<pg_sys::Oid> {
        let oid = self.oid()?;
        // Another session may have dropped the relation while the lock was being granted. That is visible only now.
        (relation::try_lock(oid, mode) && self.oid() == Some(oid)).then_some(oid)
    }

    /// Locks the relation for a statement that names it, and waits as the statement would.
    ///
    /// # Errors
    /// The extension was dropped.
    pub fn lock_and_wait(self, mode: u32) -> Result<()> {
        let Some(oid) = self.oid() else { return Err(not_installed()) };
        // SAFETY: this requests a lock by oid, within a transaction.
        unsafe { pg_sys::LockRelationOid(oid, mode as pg_sys::LOCKMODE) };
        if self.oid() == Some(oid) { Ok(()) } else { Err(not_installed()) }
    }
}

/// Locks all relations for a fold until the transaction ends, without waiting. The locks keep other sessions from
/// changing the tables' shape or the views. All relations are locked before any of them is read. A fold and a DROP
/// EXTENSION can therefore not wait for each other, and each name keeps its meaning.
pub fn lock() -> Lock {
    lock_first(RELATIONS.len(), pg_sys::RowExclusiveLock)
}

/// Locks all relations for the caller of a function that writes. It waits for one second at most, because a fold may be
/// truncating a segment.
///
/// # Errors
/// Other sessions held one of the relations for all of that time, or the extension was dropped.
pub fn lock_patiently() -> Result<()> {
    patiently(lock)
}

/// Locks the relations that tell what is pending, for the caller of a function that reads. It waits for one second at
/// most, because a fold may be truncating a segment.
///
/// # Errors
/// Other sessions held one of the relations for all of that time, or the extension was dropped.
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
        if oid.is_some_and(|oid| !relation::try_lock(oid, mode)) {
            return Lock::Busy(name);
        }
    }
    match resolve() {
        None => Lock::NotInstalled,
        // Another session may have dropped the extension while a lock was being granted. That is visible only now.
        Some(now) if now != oids => Lock::Busy(NAME),
        Some(_) => Lock::Taken,
    }
}

/// The error that another session holds a relation.
fn busy(name: &CStr) -> Error {
    Error::refused(
        PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
        format!("litellm_spend.{} is locked by another session", name.to_string_lossy()),
        "Try again when that session has ended its transaction; pg_locks shows the session.",
    )
}

/// The error that the extension is gone.
fn not_installed() -> Error {
    Error::held(
        "the extension litellm_spend is not installed in this database",
        "Run CREATE EXTENSION litellm_spend, because another session has dropped it.",
    )
}

/// The oids of the relations; `None` unless the extension is installed and owns its schema. No other role can create
/// anything in a schema that the extension owns.
fn resolve() -> Option<Oids> {
    WATCH.call_once(watch);
    if let Some(known) = KNOWN.get() {
        return Some(known);
    }
    let found = look_up()?;
    KNOWN.set(Some(found));
    Some(found)
}

/// Whether an object of this catalogue belongs to the extension.
pub fn owns(catalogue: pg_sys::Oid, object: pg_sys::Oid) -> bool {
    // SAFETY: these are catalogue look-ups within a transaction. A missing object gives InvalidOid.
    unsafe {
        let extension = pg_sys::get_extension_oid(NAME.as_ptr(), true);
        extension != pg_sys::InvalidOid && pg_sys::getExtensionOfObject(catalogue, object) == extension
    }
}

fn look_up() -> Option<Oids> {
    // SAFETY: these are catalogue look-ups within a transaction. A missing object gives InvalidOid.
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
    // SAFETY: this registers callbacks once per process, and the library stays loaded.
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
