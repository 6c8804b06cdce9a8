//! The walk over the binary form vouches for the records that LiteLLM sends of an ordinary call. It does not vouch for
//! a record that the sanitiser would change or that cannot be counted.

use std::borrow::Cow;

use litellm_spend_core::allowed::sanitise::sanitise;
use litellm_spend_core::allowed::unchanged::is_unchanged;
use litellm_spend_core::json::Json;
use litellm_spend_core::record::SpendRecord;
use support::container::container;

mod support;

const KEY: &str = "30323e05e0a491d1721c5452dc51a07c9b247c1aee3a78677c384efd94476167";

type Record = Vec<(Cow<'static, str>, Json<'static>)>;

fn json(text: &str) -> Json<'static> {
    Json::from_text(text).map_or(Json::Null, Json::into_owned)
}

/// A record of an ordinary call as the callback sends it.
fn ordinary() -> Record {
    let text = format!(
        r#"{{"id":"chatcmpl-1","litellm_call_id":"c","trace_id":"t","call_type":"acompletion","status":"success",
            "startTime":1772366400,"endTime":1772366401,"completionStartTime":null,"response_cost":1,
            "total_tokens":3,"model":"gpt 4o","model_id":"m","custom_llm_provider":"openai",
            "api_base":"https://api.openai.com/v1","cache_hit":false,"request_tags":["a",1,null],
            "cost_breakdown":{{"input_cost":1}},"user_api_key":"{KEY}",
            "metadata":{{"user_api_key_hash":"{KEY}","user_api_key_user_id":"u","applied_guardrails":[],
                "spend_logs_metadata":{{"any":[{{"thing":1}}]}},
                "usage_object":{{"prompt_tokens":1,"prompt_tokens_details":{{"cached_tokens":0}}}}}}}}"#
    );
    match json(&text) {
        Json::Object(members) => members,
        _ => Vec::new(),
    }
}

/// An ordinary record with another value at `path`, which is added if only its last key is missing.
fn with(path: &[&str], value: &str) -> Json<'static> {
    fn set(members: &mut Record, path: &[&str], value: Json<'static>) {
        let at = members.iter().position(|(key, _)| key == path[0]);
        match (path, at.map(|at| &mut members[at].1)) {
            ([_], Some(present)) => *present = value,
            ([key], None) => members.push((Cow::Owned((*key).to_owned()), value)),
            ([_, rest @ ..], Some(Json::Object(inner))) => set(inner, rest, value),
            _ => {}
        }
    }
    let mut members = ordinary();
    set(&mut members, path, json(value));
    Json::Object(members)
}

fn without(key: &str) -> Json<'static> {
    Json::Object(ordinary().into_iter().filter(|(name, _)| name != key).collect())
}

#[test]
fn ordinary_records_are_vouched_for() {
    let key_alias = r#""litellm_proxy_master_key""#;
    for record in [
        Json::Object(ordinary()),
        with(&["startTime"], r#""2026-03-01T12:00:00.000Z""#),
        with(&["request_id"], r#""r""#),
        with(&["metadata", "status"], r#""success""#),
        with(&["metadata", "user_api_key_hash"], key_alias),
        with(&["metadata"], "null"),
        with(&["response_cost"], "-5"),
    ] {
        let bytes = container(&record);
        assert!(is_unchanged(&bytes, false), "{record:?}");
        assert!(!sanitise(record.clone(), false).changed && SpendRecord::decode(&record).is_ok(), "{record:?}");
    }
    let prompts = container(&with(&["messages"], r#"[{"content":"prompt"}]"#));
    assert!(is_unchanged(&prompts, true) && !is_unchanged(&prompts, false));
}

#[test]
fn whatever_is_changed_or_cannot_be_counted_is_not() {
    let raw_key = r#""sk-secret""#;
    for record in [
        without("id"),
        without("startTime"),
        without("response_cost"),
        json("{}"),
        with(&["id"], r#""""#),
        with(&["request_id"], r#""""#),
        with(&["startTime"], r#""yesterday""#),
        with(&["startTime"], "1772366400000"),
        with(&["startTime"], "true"),
        with(&["endTime"], r#""yesterday""#),
        with(&["completionStartTime"], "true"),
        with(&["response_cost"], r#""1""#),
        with(&["response_cost"], "true"),
        with(&["status"], r#""failure""#),
        with(&["metadata", "status"], r#""failure""#),
        with(&["metadata"], r#""{}""#),
        with(&["metadata", "headers"], "{}"),
        with(&["metadata", "user_api_key_hash"], raw_key),
        with(&["user_api_key"], raw_key),
        with(&["metadata", "usage_object", "prompt_tokens"], r#""1""#),
        with(&["metadata", "usage_object", "prompt_tokens_details"], "[]"),
        with(&["api_base"], r#""https://u:p@host""#),
        with(&["api_base"], r#""https://host?key=1""#),
        with(&["api_base"], "1"),
        with(&["user"], "{}"),
        with(&["request_tags"], "[[]]"),
        with(&["request_tags"], r#""[]""#),
        with(&["request_tags"], "{}"),
        with(&["total_tokens"], r#""3""#),
        with(&["unknown"], "1"),
        with(&["proxy_server_request"], "{}"),
    ] {
        for store_prompts in [true, false] {
            assert!(!is_unchanged(&container(&record), store_prompts), "{record:?}");
        }
    }
    assert!(!is_unchanged(&container(&json("[1]")), false));
}
