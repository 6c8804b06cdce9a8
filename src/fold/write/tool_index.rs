//! `LiteLLM_SpendLogToolIndex`: which logged request called which tool.

use litellm_spend_core::record::SpendRecord;
use pgrx::spi::SpiClient;

use crate::error::Result;
use crate::postgres::batch_table::{self, Type, Value};
use crate::postgres::owner;
use crate::postgres::timestamp::timestamp;
use crate::targets::Target;

/// Adds an entry for each tool of each record. An entry that exists stays.
pub fn write(client: &mut SpiClient, target: &Target, records: &[SpendRecord]) -> Result<()> {
    let mut entries: Vec<(&str, &str, _)> = records
        .iter()
        .flat_map(|record| {
            record.identity.tools.iter().map(|tool| (record.request_id.as_ref(), tool.as_ref(), record.timing.start))
        })
        .collect();
    if entries.is_empty() {
        return Ok(());
    }
    entries.sort_unstable();
    let statement = format!(
        "INSERT INTO {} (request_id, tool_name, start_time)
         SELECT request_id, tool_name, start_time FROM batch ON CONFLICT DO NOTHING",
        target.table.name
    );
    let types = [("request_id", Type::Text), ("tool_name", Type::Text), ("start_time", Type::Time)];
    owner::act_as(client, target.table.owner, |_| {
        batch_table::write(&statement, &types, |rows| {
            for (request, tool, start) in entries {
                rows.push(&[Value::Text(request), Value::Text(tool), Value::Time(timestamp(start))]);
            }
        })
    })
}
