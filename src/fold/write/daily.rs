//! The columns of a daily table and a fold's sums for them.

use litellm_spend_core::totals::daily::{DailyKey, DailyKind, DailyRows, DailySums};
use pgrx::spi::SpiClient;

use super::upsert::{self, Column, On, Values};
use crate::error::Result;
use crate::targets::Target;

/// The key columns that came with later versions of LiteLLM.
pub const OPTIONAL_KEY: [&str; 3] = ["mcp_namespaced_tool_name", "endpoint", "model_group"];

type TextOf = for<'n> fn(&DailyKey<&'n str>) -> &'n str;
type CountOf = fn(&DailySums) -> i64;
type DollarsOf = fn(&DailySums) -> f64;

const KEY: [(&str, TextOf); 6] = [
    ("date", |key| key.date),
    ("api_key", |key| key.api_key),
    ("model", |key| key.model),
    ("custom_llm_provider", |key| key.custom_llm_provider),
    ("mcp_namespaced_tool_name", |key| key.mcp_namespaced_tool_name),
    ("endpoint", |key| key.endpoint),
];

const COUNTS: [(&str, CountOf); 10] = [
    ("prompt_tokens", |sums| sums.prompt_tokens),
    ("completion_tokens", |sums| sums.completion_tokens),
    ("cache_read_input_tokens", |sums| sums.cache_read_input_tokens),
    ("cache_creation_input_tokens", |sums| sums.cache_creation_input_tokens),
    ("api_requests", |sums| sums.api_requests),
    ("successful_requests", |sums| sums.successful_requests),
    ("failed_requests", |sums| sums.failed_requests),
    ("total_response_time_ms", |sums| sums.total_response_time_ms),
    ("timed_requests", |sums| sums.timed_requests),
    ("compression_saved_tokens", |sums| sums.compression_saved_tokens),
];

const DOLLARS: [(&str, DollarsOf); 5] = [
    ("spend", |sums| sums.spend.value()),
    ("compression_savings_spend", |sums| sums.compression_savings_spend.value()),
    ("prompt_caching_savings_spend", |sums| sums.prompt_caching_savings_spend.value()),
    ("gateway_injected_caching_savings_spend", |sums| sums.gateway_injected_caching_savings_spend.value()),
    ("autorouter_savings_spend", |sums| sums.autorouter_savings_spend.value()),
];

/// The key columns that every version of LiteLLM has.
pub fn required_key(kind: DailyKind) -> &'static [&'static str] {
    match kind {
        DailyKind::User => &["user_id", "date", "api_key", "model", "custom_llm_provider"],
        DailyKind::Team => &["team_id", "date", "api_key", "model", "custom_llm_provider"],
        DailyKind::Organization => &["organization_id", "date", "api_key", "model", "custom_llm_provider"],
        DailyKind::EndUser => &["end_user_id", "date", "api_key", "model", "custom_llm_provider"],
        DailyKind::Agent => &["agent_id", "date", "api_key", "model", "custom_llm_provider"],
        DailyKind::Tag => &["tag", "date", "api_key", "model", "custom_llm_provider"],
    }
}

/// Every column that a fold fills.
pub fn columns(kind: DailyKind) -> Vec<&'static str> {
    let names = KEY.map(|(name, _)| name).into_iter().chain(COUNTS.map(|(name, _)| name));
    let of_tags = (kind == DailyKind::Tag).then_some("request_id");
    ["id", "created_at", "updated_at", kind.entity_column()]
        .into_iter()
        .chain(names)
        .chain(DOLLARS.map(|(name, _)| name))
        .chain(["model_group"])
        .chain(of_tags)
        .collect()
}

/// Writes the rows of one daily table.
pub fn write(client: &mut SpiClient, kind: DailyKind, target: &Target, rows: &DailyRows) -> Result<()> {
    upsert::write(client, target, values(kind, rows))
}

/// What a fold has for each column of one daily table.
pub fn values<'n>(kind: DailyKind, rows: &DailyRows<'n>) -> Vec<Column<'n>> {
    let mut columns = vec![Column::first(kind.entity_column(), rows.keys().map(|key| key.entity).collect())];
    columns.extend(KEY.map(|(name, text)| Column::first(name, rows.keys().map(text).collect())));
    columns.push(Column::first("model_group", rows.values().map(|row| row.model_group).collect()));
    columns.push(Column {
        name: "request_id",
        on: On::Latest,
        values: Values::Text(rows.values().map(|row| row.request_id).collect()),
    });
    columns
        .extend(COUNTS.map(|(name, count)| Column::count(name, rows.values().map(|row| count(&row.sums)).collect())));
    columns.extend(
        DOLLARS.map(|(name, dollars)| Column::dollars(name, rows.values().map(|row| dollars(&row.sums)).collect())),
    );
    columns
}
