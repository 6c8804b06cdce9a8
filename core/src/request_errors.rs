//! `LiteLLM_DailyRequestErrors`, the Errors page: failed requests of callers by day, key, team, user,
//! model group and HTTP status (LiteLLM's request_error_tracking.py).

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::record::{CallOrigin, SpendRecord};

type Text<'a> = Cow<'a, str>;

/// LiteLLM's table.
pub const TABLE: &str = "LiteLLM_DailyRequestErrors";

/// The primary key; the order of its fields is LiteLLM's, in which rows are locked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestErrorKey<'a> {
    /// `YYYY-MM-DD`, UTC.
    pub date: String,
    pub api_key: Text<'a>,
    pub team_id: Text<'a>,
    pub user_id: Text<'a>,
    /// The model where there is no group.
    pub model_group: Text<'a>,
    /// 100 to 599, or 0 where none is known.
    pub status_code: i32,
}

/// Failed requests by key.
pub type RequestErrorRows<'a> = BTreeMap<RequestErrorKey<'a>, i64>;

/// Adds a record if it is a failure that counts as a request.
pub fn add<'a>(rows: &mut RequestErrorRows<'a>, record: &SpendRecord<'a>) {
    if !record.is_failure || record.origin != CallOrigin::Caller || record.is_billed_retry {
        return;
    }
    let model_group = if record.model_group.is_empty() { &record.model } else { &record.model_group };
    let key = RequestErrorKey {
        date: record.start.utc_date(),
        api_key: record.api_key.clone(),
        team_id: record.team_id.clone(),
        user_id: record.user.clone(),
        model_group: model_group.clone(),
        status_code: record.status_code,
    };
    *rows.entry(key).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;

    fn errors(rest: &str) -> Vec<(String, i32)> {
        let text = format!(r#"{{"request_id":"r","startTime":0,"model":"m"{rest}}}"#);
        let json = Json::from_text(&text).unwrap();
        let mut rows = RequestErrorRows::new();
        add(&mut rows, &SpendRecord::decode(&json).unwrap());
        rows.keys().map(|key| (key.model_group.to_string(), key.status_code)).collect()
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
