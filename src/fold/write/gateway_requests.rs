//! The requests that were made outside a proxy, in the tables in which LiteLLM's proxies count what they answered.

use litellm_spend_core::totals::gateway_requests::{CATEGORY, GatewayFailedRequestRows, GatewayRequestRows, ROUTE};
use pgrx::spi::SpiClient;

use super::upsert::{self, Column, On, Values};
use crate::error::Result;
use crate::targets::Target;

pub const KEY: [&str; 3] = ["date", "category", "route"];
pub const COLUMNS: [&str; 7] =
    ["date", "category", "route", "successful_requests", "failed_requests", "created_at", "updated_at"];
pub const FAILED_KEY: [&str; 4] = ["date", "category", "route", "status_code"];
pub const FAILED_COLUMNS: [&str; 7] =
    ["date", "category", "route", "status_code", "failed_requests", "created_at", "updated_at"];

/// Adds to `LiteLLM_DailyGatewayRequests`.
pub fn write(client: &mut SpiClient, target: &Target, rows: &GatewayRequestRows) -> Result<()> {
    upsert::write(client, target, values(rows))
}

/// What a fold has for each column of it.
pub fn values<'n>(rows: &GatewayRequestRows<'n>) -> Vec<Column<'n>> {
    let mut columns = key_values(rows.keys().copied().collect());
    columns.push(Column::count("successful_requests", rows.values().map(|row| row.successful).collect()));
    columns.push(Column::count("failed_requests", rows.values().map(|row| row.failed).collect()));
    columns
}

/// Adds to `LiteLLM_DailyGatewayFailedRequests`.
pub fn write_failed(client: &mut SpiClient, target: &Target, rows: &GatewayFailedRequestRows) -> Result<()> {
    upsert::write(client, target, failed_values(rows))
}

/// What a fold has for each column of it.
pub fn failed_values<'n>(rows: &GatewayFailedRequestRows<'n>) -> Vec<Column<'n>> {
    let mut columns = key_values(rows.keys().map(|(date, _)| *date).collect());
    let status = Values::Code(rows.keys().map(|(_, status)| *status).collect());
    columns.push(Column { name: "status_code", on: On::First, values: status });
    columns.push(Column::count("failed_requests", rows.values().copied().collect()));
    columns
}

/// The part of the key that both tables have.
fn key_values(dates: Vec<&str>) -> Vec<Column<'_>> {
    let rows = dates.len();
    vec![
        Column::first("date", dates),
        Column::first("category", vec![CATEGORY; rows]),
        Column::first("route", vec![ROUTE; rows]),
    ]
}
