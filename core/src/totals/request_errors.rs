//! `LiteLLM_DailyRequestErrors`, the table of the Errors page: failed requests of callers by day, key, team, user,
//! model group and HTTP status (LiteLLM's request_error_tracking.py).

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::columns::Column;
use super::named::Named;
use super::names::{Name, Names};
use crate::record::SpendRecord;

/// The primary key. Each field is named after its column. The order of the fields is LiteLLM's, and rows are locked in
/// that order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestErrorKey<T> {
    /// The UTC day, `YYYY-MM-DD`.
    pub date: T,
    pub api_key: T,
    pub team_id: T,
    pub user_id: T,
    /// The group of the model, or the model if there is no group.
    pub model_group: T,
    /// The HTTP status, 100 to 599; 0 if none is known.
    pub status_code: i32,
}

/// The rows while they are summed up: failed requests by key.
pub type RequestErrorTotals = HashMap<RequestErrorKey<Name>, i64>;

/// Failed requests by key, in the order in which rows are locked.
pub type RequestErrorRows<'n> = BTreeMap<RequestErrorKey<&'n str>, i64>;

/// Adds a record if it is a failure that counts as a request.
pub fn add(totals: &mut RequestErrorTotals, named: &Named, record: &SpendRecord) {
    if !record.outcome.is_failure || !record.counts_as_request() {
        return;
    }
    let key = RequestErrorKey {
        date: named.date,
        api_key: named.api_key,
        team_id: named.team,
        user_id: named.user,
        model_group: if named.model_group.is_empty() { named.model } else { named.model_group },
        status_code: record.outcome.status_code,
    };
    *totals.entry(key).or_default() += 1;
}

/// The rows with the texts of their names, in the order of their keys.
pub fn rows<'n>(totals: &RequestErrorTotals, names: &'n Names) -> RequestErrorRows<'n> {
    let text = |name| names.text(name);
    totals
        .iter()
        .map(|(key, requests)| {
            let key = RequestErrorKey {
                date: text(key.date),
                api_key: text(key.api_key),
                team_id: text(key.team_id),
                user_id: text(key.user_id),
                model_group: text(key.model_group),
                status_code: key.status_code,
            };
            (key, *requests)
        })
        .collect()
}

/// What a fold has for each column of the table.
pub fn columns<'n>(rows: &RequestErrorRows<'n>) -> Vec<Column<'n>> {
    vec![
        Column::text("date", rows.keys().map(|key| key.date)),
        Column::text("api_key", rows.keys().map(|key| key.api_key)),
        Column::text("team_id", rows.keys().map(|key| key.team_id)),
        Column::text("user_id", rows.keys().map(|key| key.user_id)),
        Column::text("model_group", rows.keys().map(|key| key.model_group)),
        Column::code("status_code", rows.keys().map(|key| key.status_code)),
        Column::count("failed_requests", rows.values().copied()),
    ]
}

#[cfg(test)]
mod tests {
    use crate::json::Json;
    use crate::record::SpendRecord;
    use crate::totals::Totals;

    fn errors(rest: &str) -> Vec<(String, i32)> {
        let text = format!(r#"{{"request_id":"r","startTime":0,"model":"m"{rest}}}"#);
        let json = Json::from_text(&text).unwrap();
        let mut totals = Totals::default();
        totals.add(&SpendRecord::decode(&json).unwrap());
        totals.request_errors().keys().map(|key| (key.model_group.to_string(), key.status_code)).collect()
    }

    #[test]
    fn a_failure_is_known_by_its_http_status() {
        let failure = |error: &str| errors(&format!(r#","status":"failure","error_information":{error}"#));
        assert_eq!(failure(r#"{"error_code":"429"}"#), [("m".to_owned(), 429)]);
        assert_eq!(failure(r#"{"error_code":503}"#), [("m".to_owned(), 503)]);
        assert_eq!(failure(r#"{"error_code":"600"}"#), [("m".to_owned(), 0)]);
        assert_eq!(failure(r#"{"error_code":"quota"}"#), [("m".to_owned(), 0)]);
        assert_eq!(failure("{}"), [("m".to_owned(), 0)]);
    }

    #[test]
    fn successes_internal_calls_and_retried_attempts_are_no_errors() {
        assert_eq!(errors(r#","spend":1"#), []);
        assert_eq!(errors(r#","status":"failure","internal_call_origin":"judge""#), []);
        assert_eq!(errors(r#","status":"failure","billed_retry_attempt":true"#), []);
    }
}
