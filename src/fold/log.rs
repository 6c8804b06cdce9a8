//! Writes the log row of each record and thereby decides which records count: LiteLLM's SpendLogs is
//! the memory of request ids, for rows of the proxy as well as for our own (invariant 3).

use std::collections::{HashMap, HashSet};

use litellm_spend_core::dedupe::Groups;
use litellm_spend_core::record::SpendRecord;
use pgrx::spi::SpiClient;

use super::owner;
use super::targets::{Role, Table, Target, Targets};
use crate::error::{Error, Result};

mod rows;

pub use rows::{COLUMN_NAMES as COLUMNS, moment, timestamp};

/// LiteLLM's table.
pub const TABLE: &str = "LiteLLM_SpendLogs";

/// Which records count, and how many did not.
pub struct Logged<'a> {
    pub counted: Vec<SpendRecord<'a>>,
    pub duplicates: usize,
    pub reused_ids: usize,
}

/// Logs the records of a batch.
pub fn write<'a>(client: &mut SpiClient, targets: &Targets, groups: Groups<'a>) -> Result<Logged<'a>> {
    let Some(Target { table: log, key: Some(_) }) = targets.get(Role::Log) else {
        return Err(Error::held("there is no \"LiteLLM_SpendLogs\"", "Run LiteLLM's migrations."));
    };
    owner::act_as(client, log.owner, |client| {
        let known = insert(client, log, groups.candidates())?;
        let first = groups.resolve(&known);
        let reused = Groups::new(first.renamed);
        let known = insert(client, log, reused.candidates())?;
        // A record under its own call id meets only itself.
        let second = reused.resolve(&known);
        let reused_ids = second.counted.len();
        let mut counted = first.counted;
        counted.extend(second.counted);
        Ok(Logged { counted, duplicates: first.duplicates + second.duplicates + second.renamed.len(), reused_ids })
    })
}

/// Inserts log rows and returns the ids that the table held already, with their call ids. An id that
/// was neither inserted nor is found was suppressed by a trigger: it is not in the map, and counts.
fn insert<'r, 'a: 'r>(
    client: &mut SpiClient,
    log: &Table,
    records: impl Iterator<Item = &'r SpendRecord<'a>>,
) -> Result<HashMap<String, Option<String>>> {
    let mut records: Vec<&SpendRecord> = records.collect();
    if records.is_empty() {
        return Ok(HashMap::new());
    }
    records.sort_unstable_by(|a, b| a.request_id.as_bytes().cmp(b.request_id.as_bytes()));
    let inserted: HashSet<String> = client
        .update(&rows::insert_statement(log), None, &rows::arguments(&records))?
        .filter_map(|row| row.get::<String>(1).transpose())
        .collect::<std::result::Result<_, _>>()?;
    let missing: Vec<&str> =
        records.iter().map(|record| record.request_id.as_ref()).filter(|id| !inserted.contains(*id)).collect();
    if missing.is_empty() {
        return Ok(HashMap::new());
    }
    find(client, log, missing)
}

fn find(client: &mut SpiClient, log: &Table, ids: Vec<&str>) -> Result<HashMap<String, Option<String>>> {
    let call_id = if log.has("litellm_call_id") {
        "coalesce(litellm_call_id, metadata ->> 'litellm_call_id')"
    } else {
        "metadata ->> 'litellm_call_id'"
    };
    let query = format!("SELECT request_id, {call_id} FROM {} WHERE request_id = ANY ($1)", log.name);
    let mut known = HashMap::new();
    for row in client.update(&query, None, &[ids.into()])? {
        if let Some(id) = row.get::<String>(1)? {
            known.insert(id, row.get::<String>(2)?.filter(|call_id| !call_id.is_empty()));
        }
    }
    Ok(known)
}
