//! Adds a batch's sums to one daily table: one set-based upsert, rows in key order (invariant 8),
//! naming just the columns that the table has.

use litellm_spend_core::daily::{DailyKey, DailyKind, DailyRow, DailyRows};
use pgrx::datum::DatumWithOid;
use pgrx::spi::{SpiClient, quote_identifier};

use super::owner;
use super::targets::DailyTable;
use crate::error::Result;

const KEY_COLUMNS: [&str; 6] =
    ["date", "api_key", "model", "custom_llm_provider", "mcp_namespaced_tool_name", "endpoint"];

type CountOf = fn(&DailyRow) -> i64;
type DollarsOf = fn(&DailyRow) -> f64;

const COUNTS: [(&str, CountOf); 10] = [
    ("prompt_tokens", |row| row.prompt_tokens),
    ("completion_tokens", |row| row.completion_tokens),
    ("cache_read_input_tokens", |row| row.cache_read_input_tokens),
    ("cache_creation_input_tokens", |row| row.cache_creation_input_tokens),
    ("api_requests", |row| row.api_requests),
    ("successful_requests", |row| row.successful_requests),
    ("failed_requests", |row| row.failed_requests),
    ("total_response_time_ms", |row| row.total_response_time_ms),
    ("timed_requests", |row| row.timed_requests),
    ("compression_saved_tokens", |row| row.compression_saved_tokens),
];

const DOLLARS: [(&str, DollarsOf); 5] = [
    ("spend", |row| row.spend.value()),
    ("compression_savings_spend", |row| row.compression_savings_spend.value()),
    ("prompt_caching_savings_spend", |row| row.prompt_caching_savings_spend.value()),
    ("gateway_injected_caching_savings_spend", |row| row.gateway_injected_caching_savings_spend.value()),
    ("autorouter_savings_spend", |row| row.autorouter_savings_spend.value()),
];

/// Writes the rows of one daily table.
pub fn write(client: &mut SpiClient, kind: DailyKind, daily: &DailyTable, rows: &DailyRows) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let statement = upsert_statement(kind, daily);
    let arguments = arguments(rows);
    owner::act_as(client, daily.table.owner, |client| {
        client.update(&statement, None, &arguments)?;
        Ok(())
    })
}

fn upsert_statement(kind: DailyKind, daily: &DailyTable) -> String {
    let texts = [kind.entity_column()].into_iter().chain(KEY_COLUMNS).chain(["model_group", "request_id"]);
    let typed = texts
        .map(|name| (name, "pg_catalog.text"))
        .chain(COUNTS.map(|(name, _)| (name, "pg_catalog.int8")))
        .chain(DOLLARS.map(|(name, _)| (name, "pg_catalog.float8")));
    let all: Vec<(String, &str, bool)> =
        typed.map(|(name, of)| (quote_identifier(name), of, daily.table.has(name))).collect();
    let parameters: Vec<String> = (1..).zip(&all).map(|(n, (_, of, _))| format!("${n}::{of}[]")).collect();
    let aliases: Vec<&str> = all.iter().map(|(name, ..)| name.as_str()).collect();
    let present: Vec<&str> = all.iter().filter(|(.., present)| *present).map(|(name, ..)| name.as_str()).collect();

    let summed = COUNTS.map(|(name, _)| name).into_iter().chain(DOLLARS.map(|(name, _)| name));
    let mut changes: Vec<String> = summed
        .filter(|name| daily.table.has(name))
        .map(|name| format!("{name} = t.{name} + EXCLUDED.{name}"))
        .collect();
    if daily.table.has("request_id") {
        changes.push("request_id = coalesce(EXCLUDED.request_id, t.request_id)".to_owned());
    }
    changes.push("updated_at = EXCLUDED.updated_at".to_owned());

    format!(
        "INSERT INTO {} AS t (id, created_at, updated_at, {}) \
         SELECT pg_catalog.gen_random_uuid()::pg_catalog.text, pg_catalog.timezone('UTC', pg_catalog.now()), \
                pg_catalog.timezone('UTC', pg_catalog.now()), {} \
         FROM unnest({}) AS r ({}) ON CONFLICT ({}) DO UPDATE SET {}",
        daily.table.name,
        present.join(", "),
        present.iter().map(|name| format!("r.{name}")).collect::<Vec<_>>().join(", "),
        parameters.join(", "),
        aliases.join(", "),
        daily.key,
        changes.join(", ")
    )
}

fn arguments<'a>(rows: &'a DailyRows<'a>) -> Vec<DatumWithOid<'a>> {
    let of_key = |column: &dyn Fn(&'a DailyKey<'a>) -> &'a str| -> DatumWithOid<'a> {
        rows.keys().map(column).collect::<Vec<&str>>().into()
    };
    let of_row = |column: &dyn Fn(&'a DailyRow<'a>) -> &'a str| -> DatumWithOid<'a> {
        rows.values().map(column).collect::<Vec<&str>>().into()
    };
    let mut arguments = vec![
        of_key(&|key| &key.entity),
        of_key(&|key| &key.date),
        of_key(&|key| &key.api_key),
        of_key(&|key| &key.model),
        of_key(&|key| &key.custom_llm_provider),
        of_key(&|key| &key.mcp_namespaced_tool_name),
        of_key(&|key| key.endpoint),
        of_row(&|row| &row.model_group),
        of_row(&|row| &row.request_id),
    ];
    arguments.extend(COUNTS.map(|(_, count)| rows.values().map(count).collect::<Vec<i64>>().into()));
    arguments.extend(DOLLARS.map(|(_, dollars)| rows.values().map(dollars).collect::<Vec<f64>>().into()));
    arguments
}
