//! Checks for any record that the sanitiser let through.

use litellm_spend_core::allowed::fields::{Fields, RECORD, Rule, rule};
use litellm_spend_core::allowed::request_body::drop_credentials;
use litellm_spend_core::allowed::sanitise::sanitise;
use litellm_spend_core::allowed::url::without_secrets;
use litellm_spend_core::json::Json;
use litellm_spend_core::litellm::api_key;

/// Sanitises a document. The result obeys the allow list at every level, and sanitising it again does not change it.
pub fn sanitise_well(json: Json<'_>, store_prompts: bool) -> Json<'_> {
    let is_record = matches!(json, Json::Object(_));
    let kept = sanitise(json, store_prompts).json;
    if is_record {
        assert!(is_allowed(&kept, RECORD, store_prompts), "{} is kept of a record", kept.to_text());
        let again = sanitise(kept.clone(), store_prompts);
        assert_eq!((again.json.to_text(), again.changed), (kept.to_text(), false), "sanitised a second time");
    }
    kept
}

/// Whether each member of an object is on the list and has a value of its rule's shape.
fn is_allowed(json: &Json, fields: Fields, store_prompts: bool) -> bool {
    let Json::Object(members) = json else { return false };
    members.iter().all(|(name, value)| rule(fields, name).is_some_and(|rule| obeys(value, rule, store_prompts)))
}

fn obeys(value: &Json, rule: &Rule, store_prompts: bool) -> bool {
    let is_scalar = |json: &Json| !matches!(json, Json::Array(_) | Json::Object(_));
    match (rule, value) {
        (_, Json::Null) | (Rule::Any, _) => true,
        (Rule::Scalar | Rule::Model | Rule::ModelGroup, _) => is_scalar(value),
        (Rule::Number, _) => is_scalar(value) && !matches!(value, Json::Str(_)),
        (Rule::Scalars, Json::Array(items)) => items.iter().all(is_scalar),
        (Rule::ApiKey, Json::Str(key)) => key.is_empty() || api_key::is_safe(key),
        (Rule::Url, Json::Str(url)) => without_secrets(url).is_none(),
        (Rule::Members(fields), _) => is_allowed(value, fields, store_prompts),
        (Rule::Prompt, _) => store_prompts,
        (Rule::RequestBody, _) => store_prompts && !is_scalar(value) && !drop_credentials(&mut value.clone()),
        _ => false,
    }
}
