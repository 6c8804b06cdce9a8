//! The `metadata` document of a SpendLogs row. A SpendLogs row brings its own. For a StandardLoggingPayload the
//! document is put together as LiteLLM does it, without the keys that would be null.

use std::borrow::Cow;

use super::Text;
use super::reader::Reader;
use crate::json::Json;

/// Members that LiteLLM moves from the payload's top level into the log row's metadata.
const MOVED: &[&str] = &[
    "cost_breakdown",
    "model_map_information",
    "error_information",
    "litellm_call_id",
    "internal_call_origin",
    "billed_retry_attempt",
    "made_outside_proxy",
    "billing_agent_id",
];
/// Members of the usage that have columns of their own.
const TOTALS: &[&str] = &["prompt_tokens", "completion_tokens", "total_tokens"];
/// Members of the payload's metadata that the log row keeps elsewhere, or does not keep.
const NOT_LOGGED: &[&str] = &[
    "user_api_key_hash",
    "user_api_key",
    "user_api_key_end_user_id",
    "user_api_key_org_alias",
    "team_id",
    "team_alias",
    "tags",
];

/// The metadata of the log row. `cached` holds the tokens that were read from and written to the prompt cache, each
/// under its name in the usage.
pub(super) fn for_log_row<'a>(
    reader: &Reader<'_, 'a>,
    api_key: &Text<'a>,
    is_failure: bool,
    cached: [(&'static str, i64); 2],
) -> Json<'a> {
    let own: &[(Text<'a>, Json<'a>)] = match reader.metadata() {
        Json::Object(members) => members,
        _ => &[],
    };
    if !reader.is_standard_logging {
        return with_members_without_column(own.to_vec(), reader);
    }
    let mut members: Vec<(Text<'a>, Json<'a>)> = own
        .iter()
        .filter(|(key, value)| !matches!(value, Json::Null) && !NOT_LOGGED.contains(&key.as_ref()))
        .cloned()
        .collect();
    if !api_key.is_empty() {
        members.push((Cow::Borrowed("user_api_key"), Json::Str(api_key.clone())));
    }
    if is_failure {
        members.push((Cow::Borrowed("status"), Json::Str(Cow::Borrowed("failure"))));
    }
    for key in MOVED {
        if let Some(value) = reader.given(key)
            && (*key != "error_information" || is_failure)
        {
            members.push((Cow::Borrowed(*key), value.clone()));
        }
    }
    if let Some(Json::Object(usage)) = reader.metadata().given("usage_object") {
        let mut rest: Vec<_> = usage.iter().filter(|(key, _)| !TOTALS.contains(&key.as_ref())).cloned().collect();
        for (key, tokens) in cached {
            if tokens != 0 && !rest.iter().any(|(own, value)| own == key && *value != Json::Null) {
                rest.push((Cow::Borrowed(key), Json::Int(tokens)));
            }
        }
        members.push((Cow::Borrowed("additional_usage_values"), Json::Object(rest)));
    }
    Json::Object(members)
}

/// Members at the top level of a SpendLogs row for which the log has no column, or has one only in some versions. The
/// call id tells a repeated request from a repeated id; the other members tell whether and how a request counts.
const WITHOUT_COLUMN: &[&str] =
    &["litellm_call_id", "internal_call_origin", "billed_retry_attempt", "made_outside_proxy", "error_information"];

fn with_members_without_column<'a>(mut members: Vec<(Text<'a>, Json<'a>)>, reader: &Reader<'_, 'a>) -> Json<'a> {
    for key in WITHOUT_COLUMN {
        if let Some(value) = reader.given(key)
            && reader.metadata().given(key).is_none()
        {
            members.retain(|(name, _)| name != key);
            members.push((Cow::Borrowed(*key), value.clone()));
        }
    }
    Json::Object(members)
}
