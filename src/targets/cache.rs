//! Keeps the catalogue's description of the targets until Postgres reports that one of the targets has changed. Locks
//! the tables, so that the description stays true while a fold writes. A description that was looked up under the locks
//! is accepted, however often the catalogue changes meanwhile. Changes of other tables therefore do not delay a fold.
//!
//! A fold does not wait for a table's lock while it holds the lock of another table. A migration that alters several
//! tables in one transaction would wait for the fold, and one of the two would fail because of the deadlock. The fold
//! instead releases all locks and retries.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Once;
use std::time::{Duration, Instant};

use pgrx::prelude::*;
use pgrx::spi::{SpiClient, quote_qualified_identifier};

use super::{LockMode, Role, Table, Targets, catalogue};
use crate::error::{Error, Result};
use crate::postgres::transaction::with_latest_snapshot;
use crate::postgres::{lock_holders, pinned_settings, relation};
use crate::settings;

static WATCH: Once = Once::new();

thread_local! {
    static CACHE: RefCell<Option<Cached>> = const { RefCell::new(None) };
    /// The relations that have the names of targets, and their indexes.
    static WATCHED: RefCell<HashSet<pg_sys::Oid>> = RefCell::default();
    /// Whether one of the watched relations has changed since the targets were looked up.
    static CHANGED: Cell<bool> = const { Cell::new(false) };
}

struct Cached {
    schema: String,
    /// The setting `litellm_spend.count_gateway_requests`, which makes `Targets::look_up` skip two targets when off.
    counts_gateway_requests: bool,
    /// The relation with each role's name. A table that LiteLLM has not created yet has no oid to watch, so the names
    /// are resolved at every fold. That takes microseconds.
    bearers: Vec<pg_sys::Oid>,
    targets: Rc<Targets>,
}

/// The pause before the next attempt to lock the tables, while another session has locked one of them.
const RETRY: Duration = Duration::from_millis(20);

/// The targets. Each target for which `mode_of` names a mode is locked. Retries until `litellm_spend.lock_timeout` has
/// passed.
pub(super) fn locked(client: &mut SpiClient, mode_of: LockMode) -> Result<Rc<Targets>> {
    WATCH.call_once(|| relation::on_change(relation_changed));
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
                // A granted lock makes all earlier changes visible, and keeps later changes out.
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

/// Locks all tables or none, without waiting. The error is the oid and name of a table that another session has locked.
fn lock_all(targets: &Targets, mode_of: LockMode) -> std::result::Result<(), (pg_sys::Oid, String)> {
    for (taken, (table, mode)) in targets.locks(mode_of).enumerate() {
        if !relation::try_lock(table.oid, mode) {
            unlock(targets.locks(mode_of).take(taken));
            return Err((table.oid, table.name.clone()));
        }
    }
    Ok(())
}

/// Releases locks under which nothing was read or written yet.
pub(super) fn unlock<'t>(locks: impl Iterator<Item = (&'t Table, u32)>) {
    for (table, mode) in locks {
        relation::unlock(table.oid, mode);
    }
}

/// The targets as they are now. The kept targets are used, unless one of them has changed.
fn current(client: &SpiClient, schema: &str) -> Result<Rc<Targets>> {
    relation::accept_changes();
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
    // A change that this look-up misses is reported after this line, and sets the flag again.
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

/// Runs `body`, which reads the shapes of these relations, under locks on them. The locks are taken without waiting.
/// The function that shows an index's definition locks the table, and without these locks it would wait for the table.
fn with_shapes_locked<R>(schema: &str, bearers: &[pg_sys::Oid], body: impl FnOnce() -> Result<R>) -> Result<R> {
    const MODE: u32 = pg_sys::AccessShareLock;
    let there = || bearers.iter().zip(Role::all()).filter(|(oid, _)| **oid != pg_sys::InvalidOid);
    let unlock = |count| there().take(count).for_each(|(oid, _)| relation::unlock(*oid, MODE));
    for (taken, (oid, role)) in there().enumerate() {
        if !relation::try_lock(*oid, MODE) {
            unlock(taken);
            return Err(locked_by_another(*oid, &quote_qualified_identifier(schema, role.table())));
        }
    }
    let outcome = with_latest_snapshot(body);
    unlock(usize::MAX);
    outcome
}

/// Runs `body`, which reads the shapes of the relations that have the targets' names now, under locks on them.
pub fn look_at<R>(schema: &str, body: impl FnOnce() -> Result<R>) -> Result<R> {
    with_shapes_locked(schema, &bearers_of_names(schema), body)
}

/// The relation with each role's name, in the order of `Role::all`; `InvalidOid` for a name without a relation.
fn bearers_of_names(schema: &str) -> Vec<pg_sys::Oid> {
    relation::named(schema, Role::all().map(Role::table))
}

fn locked_by_another(table: pg_sys::Oid, name: &str) -> Error {
    let holders = lock_holders::of_table(table).unwrap_or_default();
    Error::refused(
        PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
        match holders {
            Some(holders) => format!("{name} is locked by another session: {holders}"),
            None => format!("{name} is locked by another session"),
        },
        "Wait, or end that session. It may run a migration or an index build. The fold goes on when the lock is \
         released.",
    )
}

fn replaced() -> Error {
    Error::held(
        "other sessions replace LiteLLM's tables faster than a fold can lock them",
        "Wait until these sessions are done; the fold then goes on.",
    )
}

/// The callback for each relation that changes. `InvalidOid` stands for all relations.
fn relation_changed(relation: pg_sys::Oid) {
    let is_watched =
        || WATCHED.with(|watched| watched.try_borrow().map_or(true, |watched| watched.contains(&relation)));
    if relation == pg_sys::InvalidOid || is_watched() {
        CHANGED.set(true);
    }
}
