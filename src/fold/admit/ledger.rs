//! The ledger of counted requests, by hash (invariant 3). It is the memory of request ids where SpendLogs cannot be the
//! memory. Three tables take turns, each for half of `litellm_spend.dedupe_window`. The oldest table is truncated for
//! reuse once everything in it is a window old. An id is therefore remembered for at least one window. Folds take
//! turns, so what a fold finds here cannot change before it commits.

use std::collections::HashMap;

use litellm_spend_core::dedupe::Known;
use litellm_spend_core::ledger::request_hash;
use litellm_spend_core::record::SpendRecord;
use pgrx::datum::Uuid;
use pgrx::spi::SpiClient;

use crate::error::Result;
use crate::postgres::batch_table::{self, Type, Value};
use crate::postgres::own_tables::{self, Relation};
use crate::postgres::{plans, relation};
use crate::settings;
use crate::staging::{cluster_id, postponed, truncation};

const COUNT: usize = own_tables::LEDGERS;

/// Reads the number of the table in use, and whether the next table's turn has come and its contents may be forgotten.
/// Everything in the next table is older than the start of the table after it, which is the table that was in use
/// before.
const READ: &str = "
    SELECT r.current,
           r.started_at[r.current + 1] <= pg_catalog.clock_timestamp() - w.length / 2
           AND r.started_at[(r.current + 2) % 3 + 1] <= pg_catalog.clock_timestamp() - w.length
    FROM litellm_spend.ledger_rotation r
    CROSS JOIN pg_catalog.make_interval(secs => $2) AS w (length)
    WHERE r.origin = $1";

/// The ledger as a fold uses it.
pub struct Ledger {
    /// The table that new ids go to.
    current: usize,
    is_kept: bool,
}

impl Ledger {
    /// Moves on to the next table if it is time. Returns `None` if there is nothing to read and nothing to write. A
    /// ledger that is no longer kept is read until it is a window old.
    pub fn open(client: &mut SpiClient, is_kept: bool) -> Result<Option<Self>> {
        if !is_kept && (0..COUNT).all(is_empty) {
            return Ok(None);
        }
        let (current, next_is_due) = read_rotation(client)?;
        let next = (current + 1) % COUNT;
        // While a record is postponed nothing is forgotten, because a repetition of the record may count meanwhile.
        let moves_on = next_is_due && !postponed::exists()? && make_empty(client, next)?;
        if moves_on {
            plans::run(
                client,
                "UPDATE litellm_spend.ledger_rotation
                 SET current = $2, started_at[$2 + 1] = pg_catalog.clock_timestamp() WHERE origin = $1",
                &[cluster_id::this_database().into(), i16::try_from(next).unwrap_or(0).into()],
            )?;
        }
        Ok(Some(Ledger { current: if moves_on { next } else { current }, is_kept }))
    }

    /// Adds to `known` what the ledger holds of these records' ids.
    pub fn find(&self, client: &mut SpiClient, records: &[&SpendRecord], known: &mut Known) -> Result<()> {
        let ids: HashMap<Uuid, &str> =
            records.iter().map(|record| (hashed(record), record.request_id.as_ref())).collect();
        let hashes: Vec<Uuid> = ids.keys().copied().collect();
        let found = plans::run(
            client,
            "SELECT l.request_hash, l.call_hash FROM litellm_spend.ledger l WHERE l.request_hash = ANY ($1)",
            &[hashes.into()],
        )?;
        for row in found {
            if let Some(id) = row.get::<Uuid>(1)?.and_then(|hash| ids.get(&hash)) {
                known.add(id, row.get(2)?);
            }
        }
        Ok(())
    }

    /// Enters records that count and that `find` did not find.
    pub fn remember(&self, records: &[&SpendRecord]) -> Result<()> {
        if !self.is_kept || records.is_empty() {
            return Ok(());
        }
        let statement = format!(
            "INSERT INTO litellm_spend.ledger_{} (request_hash, call_hash) SELECT request_hash, call_hash FROM batch",
            self.current
        );
        let mut entries: Vec<(Uuid, Value)> = records
            .iter()
            .map(|record| (hashed(record), record.holder().map_or(Value::Null, |holder| Value::Count(holder.hash()))))
            .collect();
        // The entries are written in the order of the index, so that each page of the index is visited once.
        entries.sort_unstable_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
        batch_table::write(&statement, &[("request_hash", Type::Uuid), ("call_hash", Type::Count)], |rows| {
            for (hash, call) in entries {
                rows.push(&[Value::Uuid(hash), call]);
            }
        })
    }
}

fn hashed(record: &SpendRecord) -> Uuid {
    Uuid::from_bytes(request_hash(&record.request_id))
}

/// The number of the table in use, and whether the next table's turn has come.
fn read_rotation(client: &mut SpiClient) -> Result<(usize, bool)> {
    let arguments = [cluster_id::this_database().into(), settings::dedupe_window().as_secs_f64().into()];
    let mut rows = plans::run(client, READ, &arguments)?;
    if rows.is_empty() {
        plans::run(
            client,
            "INSERT INTO litellm_spend.ledger_rotation (origin) VALUES ($1)",
            &[cluster_id::this_database().into()],
        )?;
        rows = plans::run(client, READ, &arguments)?;
    }
    let row = rows.first();
    let current: Option<i16> = row.get(1)?;
    Ok((usize::from(current.unwrap_or(0).unsigned_abs()) % COUNT, row.get(2)? == Some(true)))
}

fn is_empty(table: usize) -> bool {
    Relation::Ledger(table).oid().is_none_or(|oid| relation::heap_bytes(oid) == 0)
}

/// Truncates a table. Returns false if another session uses it, for example a dump; the present table then stays in
/// use.
fn make_empty(client: &mut SpiClient, table: usize) -> Result<bool> {
    if is_empty(table) {
        return Ok(true);
    }
    let locked = truncation::lock(Relation::Ledger(table));
    if locked {
        client.update(&format!("TRUNCATE litellm_spend.ledger_{table}"), None, &[])?;
    }
    Ok(locked)
}
