//! The `metadata` document of a SpendLogs row. A SpendLogs row brings its own; for a
//! StandardLoggingPayload it is put together as LiteLLM does, without the keys that would be null.

use std::borrow::Cow;

use super::Text;
use super::reader::Reader;
use crate::json::Json;

/// Members that LiteLLM moves from the payload's top level into the log row's metadata.
const MOVED: &[&str] =
    &["cost_breakdown", "model_map_information", "error_information", "litellm_call_id", "internal_call_origin"];
/// The three totals have columns of their own.
const TOTALS: &[&str] = &["prompt_tokens", "completion_tokens", "total_tokens"];
/// Members of the payload's metadata that the log row holds elsewhere or not at all.
const NOT_LOGGED: &[&str] = &["user_api_key_hash", "user_api_key", "team_id", "team_alias", "tags"];

pub(super) fn for_log_row<'a>(reader: &Reader<'_, 'a>, api_key: &Text<'a>, is_failure: bool) -> Json<'a> {
    let own: &[(Text<'a>, Json<'a>)] = match reader.metadata() {
        Json::Object(members) => members,
        _ => &[],
    };
    if !reader.is_standard_logging {
        return Json::Object(own.to_vec());
    }
    let mut members: Vec<(Text<'a>, Json<'a>)> = own
        .iter()
        .filter(|(key, value)| !matches!(value, Json::Null) && !NOT_LOGGED.contains(&key.as_ref()))
        .cloned()
        .collect();
    members.push((Cow::Borrowed("user_api_key"), Json::Str(api_key.clone())));
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
        let rest = usage.iter().filter(|(key, _)| !TOTALS.contains(&key.as_ref())).cloned().collect();
        members.push((Cow::Borrowed("additional_usage_values"), Json::Object(rest)));
    }
    Json::Object(members)
}
