//! `LiteLLM_SpendLogToolIndex`: which logged request called which tool.

use litellm_spend_core::record::SpendRecord;
use pgrx::spi::SpiClient;

use super::log::timestamp;
use super::owner;
use super::targets::Target;
use crate::error::Result;

pub const COLUMNS: [&str; 3] = ["request_id", "tool_name", "start_time"];

/// Adds an entry for each tool of each record; one that is there stays.
pub fn write(client: &mut SpiClient, target: &Target, records: &[SpendRecord]) -> Result<()> {
    let mut entries: Vec<(&str, &str, _)> = records
        .iter()
        .flat_map(|record| record.tools.iter().map(|tool| (record.request_id.as_ref(), tool.as_ref(), record.start)))
        .collect();
    if entries.is_empty() {
        return Ok(());
    }
    entries.sort_unstable();
    let statement = format!(
        "INSERT INTO {} (request_id, tool_name, start_time)
         SELECT * FROM unnest($1::pg_catalog.text[], $2::pg_catalog.text[], $3::pg_catalog.timestamp[])
         ON CONFLICT DO NOTHING",
        target.table.name
    );
    let requests: Vec<&str> = entries.iter().map(|(request, ..)| *request).collect();
    let tools: Vec<&str> = entries.iter().map(|(_, tool, _)| *tool).collect();
    let starts: Vec<_> = entries.iter().map(|(.., start)| timestamp(*start)).collect();
    owner::act_as(client, target.table.owner, |client| {
        client.update(&statement, None, &[requests.into(), tools.into(), starts.into()])?;
        Ok(())
    })
}
