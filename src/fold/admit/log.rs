//! LiteLLM's SpendLogs: a row for each request. It is therefore a memory of request ids, for rows of the proxy as well
//! as for our own. The fold also reads it where `litellm_spend.write_spend_logs` is off.

use std::borrow::Cow;
use std::collections::HashSet;

use litellm_spend_core::dedupe::Known;
use litellm_spend_core::litellm::tables::Role;
use litellm_spend_core::record::{Holder, SpendRecord, background};
use pgrx::datum::Timestamp;
use pgrx::spi::{SpiClient, SpiTupleTable};

use crate::error::Result;
use crate::postgres::batch_table::{self, Rows};
use crate::postgres::timestamp::moment;
use crate::postgres::{owner, plans};
use crate::settings;
use crate::targets::{Table, Targets};
use columns::Columns;

mod columns;
mod missing_partition;

/// The table SpendLogs.
pub struct LogTable<'t> {
    table: &'t Table,
    /// Whether a request id is unique in the table. It is not unique if the table is partitioned by "startTime".
    has_unique_ids: bool,
    is_written: bool,
}

impl<'t> LogTable<'t> {
    /// The log, if LiteLLM's schema has one.
    pub fn of(targets: &'t Targets) -> Option<Self> {
        let target = targets.get(Role::Log)?;
        let has_unique_ids = target.key.as_ref().is_some_and(|key| key.columns.len() == 1);
        Some(LogTable { table: &target.table, has_unique_ids, is_written: settings::write_spend_logs() })
    }

    /// Whether `insert` by itself finds the ids that the table held.
    pub fn insert_tells_known_ids(&self) -> bool {
        self.is_written && self.has_unique_ids
    }

    /// Inserts log rows, unless none are to be written, and adds to `known` the ids that the table held already. A
    /// trigger has suppressed an id that was neither inserted nor found. Such an id is not known, and its record
    /// counts. Expects records in the byte order of their ids (invariant 8).
    pub fn insert(&self, client: &mut SpiClient, records: &[&SpendRecord], known: &mut Known) -> Result<()> {
        if !self.is_written || records.is_empty() {
            return Ok(());
        }
        let columns = Columns::of(self.table);
        let inserted: HashSet<String> = owner::act_as(client, self.table.owner, |_| {
            let ids = |new: SpiTupleTable| {
                Ok(new.filter_map(|row| row.get::<String>(1).transpose()).collect::<std::result::Result<_, _>>()?)
            };
            missing_partition::explained(self.table, records, || {
                let fill = |rows: &mut Rows| columns.fill(rows, records);
                batch_table::run(&columns.insert_statement(), &columns.types(), fill, ids)
            })
        })?;
        let missing: Vec<&SpendRecord> =
            records.iter().copied().filter(|record| !inserted.contains(record.request_id.as_ref())).collect();
        self.find(client, &missing, known)
    }

    /// Adds to `known` the ids of these records that the table holds. Where the table is partitioned, only rows that
    /// start within a day of these records are looked at.
    pub fn find(&self, client: &mut SpiClient, records: &[&SpendRecord], known: &mut Known) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let call_id = if self.table.has("litellm_call_id") {
            "coalesce(nullif(litellm_call_id, ''), metadata ->> 'litellm_call_id')"
        } else {
            "metadata ->> 'litellm_call_id'"
        };
        let query = format!(
            r#"SELECT request_id, {call_id}, CASE WHEN spend > 0 THEN call_type END, "startTime"::pg_catalog.timestamp
             FROM {} WHERE request_id = ANY ($1)"#,
            self.table.name
        );
        let ids = |records: &[&SpendRecord]| -> Vec<String> {
            records.iter().map(|record| record.request_id.as_ref().to_owned()).collect()
        };
        owner::act_as(client, self.table.owner, |client| {
            if self.has_unique_ids {
                return add_found(plans::run(client, &query, &[ids(records).into()])?, known);
            }
            let query = format!(r#"{query} AND "startTime" BETWEEN $2 - interval '1 day' AND $3 + interval '1 day'"#);
            for near in columns::near_in_time(records) {
                let Some((first, last)) = columns::starts(&near) else { continue };
                // A kept plan locks every partition. A plan for just these starts leaves the other partitions alone.
                let arguments = [ids(&near).into(), first.into(), last.into()];
                add_found(client.update(&query, None, &arguments)?, known)?;
            }
            Ok(())
        })
    }
}

fn add_found(rows: SpiTupleTable, known: &mut Known) -> Result<()> {
    for row in rows {
        if let Some(id) = row.get::<String>(1)? {
            let call = row.get::<String>(2)?.filter(|call| !call.is_empty());
            let start = row.get::<Timestamp>(4)?.map(|start| moment(start.into()));
            // A row whose call or start is not known holds its id for every record.
            known.add_logged(&id, call.zip(start).map(|(call, start)| Holder::of(&id, Cow::Owned(call), start)));
            if row.get::<String>(3)?.is_some_and(|call_type| background::is_cost(&call_type, &id)) {
                known.add_charged_work(&id);
            }
        }
    }
    Ok(())
}
