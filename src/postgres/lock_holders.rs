//! Finds the sessions that keep a fold waiting. These are the sessions with a conflicting lock on one of the
//! extension's own tables, and the sessions that the worker waits for. This reads only the server's locks and the
//! catalogue.

use pgrx::prelude::*;

use crate::error::{Error, Result};
use crate::worker::board;

/// A lock that a session still waits for blocks a fold too, because a lock request without waiting fails behind it.
const OF_TABLES: &str = "
    SELECT pg_catalog.string_agg(
               pg_catalog.format('%s %s %s on %s', h.who, h.has, h.mode, h.first)
                   || CASE WHEN h.relations > 1 THEN pg_catalog.format(' and %s more', h.relations - 1) ELSE '' END,
               ', ' ORDER BY h.has, h.who, h.mode)
    FROM (SELECT l.who, l.has, l.mode, pg_catalog.min(l.name) AS first, pg_catalog.count(*) AS relations
          FROM (SELECT l.relation, l.database, l.locktype, l.pid, l.mode, l.relation::pg_catalog.regclass::pg_catalog.text AS name,
                       CASE WHEN l.granted THEN 'holds' ELSE 'waits for' END AS has,
                       CASE WHEN l.pid IS NULL THEN 'a prepared transaction' ELSE 'process ' || l.pid END AS who
                FROM pg_catalog.pg_locks AS l) AS l
          WHERE l.locktype = 'relation' AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
            AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
            AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d
                              WHERE d.datname = pg_catalog.current_database())
            AND {which}
          GROUP BY l.who, l.has, l.mode) AS h";

/// The extension's own tables are found by membership in the extension, never by name.
const ARE_OWN: &str = "
          EXISTS (SELECT FROM pg_catalog.pg_depend AS m JOIN pg_catalog.pg_extension AS e ON e.oid = m.refobjid
                  WHERE e.extname = 'litellm_spend' AND m.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
                    AND m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND m.objid = l.relation
                    AND m.deptype = 'e')";

const OF_WORKER: &str = "
    SELECT 'the worker waits for process ' || pg_catalog.string_agg(p::pg_catalog.text, ', ' ORDER BY p)
    FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) AS p";

/// The sessions that hold, or wait for, a lock on this table that blocks its writers; `None` if there are none.
pub fn of_table(table: pg_sys::Oid) -> Result<Option<String>> {
    let query = OF_TABLES.replace("{which}", "l.relation = $1");
    Spi::connect(|client| Ok(client.select(&query, Some(1), &[table.into()])?.first().get(1)?))
}

/// The error that tells which sessions lock the extension's own tables; `None` if no session does so by now. Must run
/// under `pinned_settings::pinned`.
pub fn of_own_tables() -> Result<Option<Error>> {
    let holders: Option<String> =
        Spi::connect(|client| client.select(&OF_TABLES.replace("{which}", ARE_OWN), Some(1), &[])?.first().get(1))?;
    Ok(holders.map(|holders| {
        Error::refused(
            PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
            format!("the tables of litellm_spend are locked: {holders}"),
            "Commit or roll back that transaction, or end its process with pg_terminate_backend().",
        )
    }))
}

/// What folds of this database wait for now: locks on the extension's tables, or the processes that the worker waits
/// for. Null if folds wait for nothing.
#[pg_extern(stable, parallel_unsafe, schema = "litellm_spend")]
#[search_path(pg_catalog, pg_temp)]
fn lock_holders() -> std::result::Result<Option<String>, pgrx::pg_sys::panic::ErrorReport> {
    let worker = board::state_of_this_database().pid.unwrap_or(0);
    let holders = Spi::connect(|client| -> Result<Option<String>> {
        let of_tables: Option<String> =
            client.select(&OF_TABLES.replace("{which}", ARE_OWN), Some(1), &[])?.first().get(1)?;
        match of_tables {
            None => Ok(client.select(OF_WORKER, Some(1), &[worker.into()])?.first().get(1)?),
            found => Ok(found),
        }
    })?;
    Ok(holders)
}
