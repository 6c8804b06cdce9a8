//! Keeps what the catalogue said until Postgres tells that something changed there, and locks the
//! tables, so that it stays true while a fold writes.
//!
//! A fold does not queue for a table's lock while it holds another's: a migration that alters several
//! tables in one transaction would wait for the fold in turn, and one of the two would die of the deadlock.
//! It lets go of all of them and tries again.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pgrx::prelude::*;
use pgrx::spi::SpiClient;

use super::{Table, Targets};
use crate::error::{Error, Result};
use crate::settings;

/// Goes up with every change of a relation or schema. Every relation counts: a table that LiteLLM is
/// about to create has no oid yet to watch for, and a look-up takes a few milliseconds.
static GENERATION: AtomicU64 = AtomicU64::new(0);
static WATCH: Once = Once::new();

thread_local! {
    static CACHE: RefCell<Option<Cached>> = const { RefCell::new(None) };
}

struct Cached {
    generation: u64,
    schema: String,
    targets: Rc<Targets>,
}

/// How soon to try again for tables of which another session has locked one.
const RETRY: Duration = Duration::from_millis(20);

/// The targets, locked; tries for as long as `litellm_spend.lock_timeout`.
pub(super) fn locked(client: &mut SpiClient) -> Result<Rc<Targets>> {
    WATCH.call_once(watch);
    let schema = settings::target_schema();
    let deadline = Instant::now() + settings::lock_timeout();
    loop {
        let (generation, targets) = cached(client, &schema)?;
        match lock_all(&targets) {
            // A granted lock brings in all changes that were made before it.
            Ok(()) if GENERATION.load(Ordering::Relaxed) == generation => return Ok(targets),
            Ok(()) => {
                unlock(targets.locks());
                if Instant::now() >= deadline {
                    return Err(changing());
                }
            }
            Err(busy) if Instant::now() >= deadline => return Err(locked_by_another(&busy)),
            Err(_) => sleep(RETRY),
        }
    }
}

/// Locks all tables or none, without waiting; the name of a table that another session has locked.
fn lock_all(targets: &Targets) -> std::result::Result<(), String> {
    for (taken, (table, mode)) in targets.locks().enumerate() {
        // SAFETY: a lock request by oid, released when the transaction ends or below.
        if !unsafe { pg_sys::ConditionalLockRelationOid(table.oid, mode) } {
            unlock(targets.locks().take(taken));
            return Err(table.name.clone());
        }
    }
    Ok(())
}

/// Gives back locks under which nothing was read or written yet.
fn unlock<'t>(locks: impl Iterator<Item = (&'t Table, i32)>) {
    for (table, mode) in locks {
        // SAFETY: releases a lock that `lock_all` has just taken.
        unsafe { pg_sys::UnlockRelationOid(table.oid, mode) };
    }
}

/// Sleeps, and serves a cancel or a shutdown after it.
fn sleep(duration: Duration) {
    // SAFETY: sleeps; interrupts are served at a safe place.
    unsafe { pg_sys::pg_usleep(i64::try_from(duration.as_micros()).unwrap_or(0)) };
    pgrx::check_for_interrupts!();
}

fn cached(client: &mut SpiClient, schema: &str) -> Result<(u64, Rc<Targets>)> {
    // SAFETY: reads the invalidations that other sessions have sent.
    unsafe { pg_sys::AcceptInvalidationMessages() };
    let generation = GENERATION.load(Ordering::Relaxed);
    let kept = CACHE.with_borrow(|cache| {
        let valid = cache.as_ref().filter(|cached| cached.generation == generation && cached.schema == schema);
        valid.map(|cached| cached.targets.clone())
    });
    if let Some(targets) = kept {
        return Ok((generation, targets));
    }
    let targets = Rc::new(Targets::look_up(client, schema)?);
    let entry = Cached { generation, schema: schema.to_owned(), targets: targets.clone() };
    CACHE.with_borrow_mut(|cache| *cache = Some(entry));
    Ok((generation, targets))
}

fn locked_by_another(name: &str) -> Error {
    Error::refused(
        PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
        format!("{name} is locked by another session"),
        "A migration, index build or LOCK TABLE may be under way; the fold goes on when it is done.",
    )
}

fn changing() -> Error {
    Error::held(
        "tables of this database are made or altered faster than a fold can read the catalogue",
        "The fold goes on when that is done.",
    )
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
unsafe extern "C-unwind" fn relation_changed(_argument: pg_sys::Datum, _relation: pg_sys::Oid) {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

#[pg_guard]
unsafe extern "C-unwind" fn schema_changed(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
