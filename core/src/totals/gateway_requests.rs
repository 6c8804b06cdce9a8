//! `LiteLLM_DailyGatewayRequests` and `LiteLLM_DailyGatewayFailedRequests`, the UI's total requests and success rate. A
//! LiteLLM proxy counts there the requests that it answered, by route. A fold counts the requests that were made
//! outside a proxy, in rows with a category and route of their own.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::columns::Column;
use super::named::Named;
use super::names::{Name, Names};
use crate::record::SpendRecord;

/// LiteLLM's category for calls of a model.
pub const CATEGORY: &str = "llm";
/// The route of the requests outside a proxy. No path of a proxy equals it, because each of LiteLLM's routes begins
/// with `/` or `:`.
pub const ROUTE: &str = "sdk";

/// How many requests there were, by day and HTTP status. The status is `None` for a request that succeeded.
pub type GatewayRequestTotals = HashMap<(Name, Option<i32>), i64>;

/// How many requests of one day succeeded and how many failed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct GatewayRequests {
    /// Requests that succeeded.
    pub successful: i64,
    /// Requests that failed.
    pub failed: i64,
}

/// Requests by UTC day, `YYYY-MM-DD`.
pub type GatewayRequestRows<'n> = BTreeMap<&'n str, GatewayRequests>;

/// Failed requests by UTC day and HTTP status. The status is 0 if none is known.
pub type GatewayFailedRequestRows<'n> = BTreeMap<(&'n str, i32), i64>;

/// Counts a record if it is a request that was made outside a proxy.
pub fn add(totals: &mut GatewayRequestTotals, named: &Named, record: &SpendRecord) {
    if record.outcome.made_outside_proxy && record.counts_as_request() {
        let status = record.outcome.is_failure.then_some(record.outcome.status_code);
        *totals.entry((named.date, status)).or_default() += 1;
    }
}

/// The rows of requests, in the order of their days.
pub fn rows<'n>(totals: &GatewayRequestTotals, names: &'n Names) -> GatewayRequestRows<'n> {
    let mut rows = GatewayRequestRows::new();
    for ((date, status), requests) in totals {
        let row = rows.entry(names.text(*date)).or_default();
        *(if status.is_some() { &mut row.failed } else { &mut row.successful }) += requests;
    }
    rows
}

/// The rows of failed requests, in the order of their days and statuses.
pub fn failed_rows<'n>(totals: &GatewayRequestTotals, names: &'n Names) -> GatewayFailedRequestRows<'n> {
    let failed = totals.iter().filter_map(|((date, status), requests)| Some((*date, (*status)?, *requests)));
    failed.map(|(date, status, requests)| ((names.text(date), status), requests)).collect()
}

/// What a fold has for each column of the table of requests.
pub fn columns<'n>(rows: &GatewayRequestRows<'n>) -> Vec<Column<'n>> {
    let mut columns = key_columns(rows.keys().copied().collect());
    columns.push(Column::count("successful_requests", rows.values().map(|row| row.successful)));
    columns.push(Column::count("failed_requests", rows.values().map(|row| row.failed)));
    columns
}

/// What a fold has for each column of the table of failed requests.
pub fn failed_columns<'n>(rows: &GatewayFailedRequestRows<'n>) -> Vec<Column<'n>> {
    let mut columns = key_columns(rows.keys().map(|(date, _)| *date).collect());
    columns.push(Column::code("status_code", rows.keys().map(|(_, status)| *status)));
    columns.push(Column::count("failed_requests", rows.values().copied()));
    columns
}

/// The key columns that both tables have.
fn key_columns(dates: Vec<&str>) -> Vec<Column<'_>> {
    let rows = dates.len();
    vec![
        Column::text("date", dates),
        Column::text("category", vec![CATEGORY; rows]),
        Column::text("route", vec![ROUTE; rows]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;
    use crate::totals::Totals;

    const OUTSIDE: &str = r#","made_outside_proxy":true"#;

    fn totals(records: &[&str]) -> Totals {
        let mut totals = Totals::default();
        for rest in records {
            let text = format!(r#"{{"request_id":"r","spend":1,"startTime":0{rest}}}"#);
            totals.add(&SpendRecord::decode(&Json::from_text(&text).unwrap()).unwrap());
        }
        totals
    }

    fn counted(rest: &str) -> (i64, i64) {
        let totals = totals(&[rest]);
        totals.gateway_requests().values().fold((0, 0), |sum, row| (sum.0 + row.successful, sum.1 + row.failed))
    }

    #[test]
    fn a_request_is_counted_by_day_and_a_failure_by_status() {
        let failure = |rest: &str| format!(r#"{OUTSIDE},"status":"failure"{rest}"#);
        let limited = failure(r#","error_information":{"error_code":"429"}"#);
        let tomorrow = format!(r#"{OUTSIDE},"startTime":86400"#);
        let totals = totals(&[OUTSIDE, OUTSIDE, &limited, &limited, &failure(""), &tomorrow]);
        let requests: Vec<_> = totals.gateway_requests().into_iter().collect();
        let row = |successful, failed| GatewayRequests { successful, failed };
        assert_eq!(requests, [("1970-01-01", row(2, 3)), ("1970-01-02", row(1, 0))]);
        let failed: Vec<_> = totals.gateway_failed_requests().into_iter().collect();
        assert_eq!(failed, [(("1970-01-01", 0), 1), (("1970-01-01", 429), 2)]);
    }

    #[test]
    fn only_what_is_marked_is_counted() {
        assert_eq!(counted(""), (0, 0));
        assert_eq!(counted(r#","made_outside_proxy":false"#), (0, 0));
        assert_eq!(counted(r#","made_outside_proxy":"true""#), (0, 0));
        assert_eq!(counted(OUTSIDE), (1, 0));
        assert_eq!(counted(r#","metadata":{"made_outside_proxy":true}"#), (1, 0), "as in a log row");
    }

    #[test]
    fn what_is_no_request_in_the_daily_tables_is_none_here() {
        assert_eq!(counted(&format!(r#"{OUTSIDE},"internal_call_origin":"judge""#)), (0, 0));
        assert_eq!(counted(&format!(r#"{OUTSIDE},"billed_retry_attempt":true"#)), (0, 0));
        assert_eq!(counted(&format!(r#"{OUTSIDE},"billed_retry_attempt":true,"status":"failure""#)), (0, 0));
    }
}
