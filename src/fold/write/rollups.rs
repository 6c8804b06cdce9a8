//! The rollups beside the daily tables: model usage, tool spend and request errors.

use litellm_spend_core::totals::model_usage::ModelUsageRows;
use litellm_spend_core::totals::request_errors::RequestErrorRows;
use litellm_spend_core::totals::tool_spend::ToolSpendRows;
use pgrx::spi::SpiClient;

use super::upsert::{self, Column, On, Values};
use crate::error::Result;
use crate::targets::Target;

pub const MODEL_USAGE_KEY: [&str; 5] = ["date", "model_group", "model", "custom_llm_provider", "task_type"];
pub const MODEL_USAGE_COLUMNS: [&str; 13] = [
    "date",
    "model_group",
    "model",
    "custom_llm_provider",
    "task_type",
    "spend",
    "prompt_tokens",
    "completion_tokens",
    "request_count",
    "successful_requests",
    "failed_requests",
    "created_at",
    "updated_at",
];
pub const TOOL_SPEND_KEY: [&str; 2] = ["date", "tool_name"];
pub const TOOL_SPEND_COLUMNS: [&str; 7] =
    ["date", "tool_name", "spend", "total_tokens", "request_count", "created_at", "updated_at"];
pub const REQUEST_ERROR_KEY: [&str; 6] = ["date", "api_key", "team_id", "user_id", "model_group", "status_code"];
pub const REQUEST_ERROR_COLUMNS: [&str; 9] = [
    "date",
    "api_key",
    "team_id",
    "user_id",
    "model_group",
    "status_code",
    "failed_requests",
    "created_at",
    "updated_at",
];

/// Adds to `LiteLLM_DailyModelUsage`.
pub fn write_model_usage(client: &mut SpiClient, target: &Target, rows: &ModelUsageRows) -> Result<()> {
    upsert::write(client, target, model_usage_values(rows))
}

/// What a fold has for each column of it.
pub fn model_usage_values<'n>(rows: &ModelUsageRows<'n>) -> Vec<Column<'n>> {
    vec![
        Column::first("date", rows.keys().map(|key| key.date).collect()),
        Column::first("model_group", rows.keys().map(|key| key.model_group).collect()),
        Column::first("model", rows.keys().map(|key| key.model).collect()),
        Column::first("custom_llm_provider", rows.keys().map(|key| key.custom_llm_provider).collect()),
        Column::first("task_type", rows.keys().map(|key| key.task_type).collect()),
        Column::dollars("spend", rows.values().map(|row| row.spend.value()).collect()),
        Column::count("prompt_tokens", rows.values().map(|row| row.prompt_tokens).collect()),
        Column::count("completion_tokens", rows.values().map(|row| row.completion_tokens).collect()),
        Column::count("request_count", rows.values().map(|row| row.request_count).collect()),
        Column::count("successful_requests", rows.values().map(|row| row.successful_requests).collect()),
        Column::count("failed_requests", rows.values().map(|row| row.failed_requests).collect()),
    ]
}

/// Adds to `LiteLLM_DailyToolSpend`.
pub fn write_tool_spend(client: &mut SpiClient, target: &Target, rows: &ToolSpendRows) -> Result<()> {
    upsert::write(client, target, tool_spend_values(rows))
}

/// What a fold has for each column of it.
pub fn tool_spend_values<'n>(rows: &ToolSpendRows<'n>) -> Vec<Column<'n>> {
    vec![
        Column::first("date", rows.keys().map(|(date, _)| *date).collect()),
        Column::first("tool_name", rows.keys().map(|(_, tool)| *tool).collect()),
        Column::dollars("spend", rows.values().map(|row| row.spend.value()).collect()),
        Column::count("total_tokens", rows.values().map(|row| row.total_tokens).collect()),
        Column::count("request_count", rows.values().map(|row| row.request_count).collect()),
    ]
}

/// Adds to `LiteLLM_DailyRequestErrors`.
pub fn write_request_errors(client: &mut SpiClient, target: &Target, rows: &RequestErrorRows) -> Result<()> {
    upsert::write(client, target, request_errors_values(rows))
}

/// What a fold has for each column of it.
pub fn request_errors_values<'n>(rows: &RequestErrorRows<'n>) -> Vec<Column<'n>> {
    let status = Values::Code(rows.keys().map(|key| key.status_code).collect());
    vec![
        Column::first("date", rows.keys().map(|key| key.date).collect()),
        Column::first("api_key", rows.keys().map(|key| key.api_key).collect()),
        Column::first("team_id", rows.keys().map(|key| key.team_id).collect()),
        Column::first("user_id", rows.keys().map(|key| key.user_id).collect()),
        Column::first("model_group", rows.keys().map(|key| key.model_group).collect()),
        Column { name: "status_code", on: On::First, values: status },
        Column::count("failed_requests", rows.values().copied().collect()),
    ]
}
