use super::*;

const START: &str = r#""startTime":1773500966.535897"#;

fn decode(text: &str) -> Result<SpendRecord<'_>, RecordError> {
    SpendRecord::decode(&Json::from_text(text).unwrap())
}

fn standard(members: &str) -> SpendRecord<'static> {
    let text = Box::leak(format!(r#"{{"id":"r","response_cost":1,{START}{members}}}"#).into_boxed_str());
    decode(text).unwrap()
}

#[test]
fn both_shapes_name_the_same_request() {
    let payload = decode(
        r#"{"id":"r","litellm_call_id":"c","response_cost":0.5,"startTime":1773500966.5,"endTime":1773500966.75,
        "trace_id":"s","metadata":{"user_api_key_user_id":"u","user_api_key_team_id":"t","user_api_key_org_id":"o"}}"#,
    )
    .unwrap();
    let row = decode(
        r#"{"request_id":"r","litellm_call_id":"c","spend":0.5,"startTime":"2026-03-14T15:09:26.5Z",
        "endTime":"2026-03-14T15:09:26.75Z","session_id":"s","user":"u","team_id":"t","organization_id":"o"}"#,
    )
    .unwrap();
    let without_metadata = |mut record: SpendRecord<'static>| {
        record.documents.metadata = Json::Null;
        record
    };
    assert_eq!(without_metadata(payload), without_metadata(row));
}

#[test]
fn what_is_required_is_named_when_it_is_missing() {
    let error = |text| decode(text).unwrap_err();
    assert_eq!(error(r#"{"spend":1,"startTime":1}"#).key(), Some("request_id"));
    assert_eq!(error(r#"{"request_id":"","spend":1,"startTime":1}"#).key(), Some("request_id"));
    assert_eq!(error(r#"{"request_id":"r","spend":1}"#).key(), Some("startTime"));
    assert_eq!(error(r#"{"request_id":"r","startTime":1}"#).key(), Some("spend"));
    assert_eq!(error(r#"{"request_id":"r","startTime":1,"spend":"a"}"#).sqlstate(), "22023");
    assert_eq!(error(r#"{"request_id":"r","startTime":"x","spend":1}"#).sqlstate(), "22007");
    assert_eq!(error(r#"{"request_id":"r","startTime":1773500966000,"spend":1}"#).sqlstate(), "22008");
    assert_eq!(error("[]").sqlstate(), "22023");
}

#[test]
fn only_a_failure_may_leave_out_its_cost_and_is_named_by_its_call_id() {
    let record = decode(r#"{"id":"r","litellm_call_id":"c","status":"failure","startTime":1}"#).unwrap();
    assert_eq!((record.request_id.as_ref(), record.usage.spend, record.outcome.is_failure), ("c", 0.0, true));
}

#[test]
fn the_sdks_user_counts_only_without_an_identity() {
    assert_eq!(standard(r#","user":"sdk""#).identity.user, "sdk");
    assert_eq!(standard(r#","user":"sdk","metadata":{"user_api_key_user_id":"known"}"#).identity.user, "known");
    assert_eq!(standard(r#","metadata":{"team_id":"sdk"}"#).identity.team_id, "sdk");
    assert_eq!(standard(r#","metadata":{"team_id":"sdk","user_api_key_team_id":"known"}"#).identity.team_id, "known");
}

#[test]
fn the_body_user_of_a_payload_is_no_end_user() {
    assert_eq!(standard(r#","end_user":"body""#).identity.end_user, "");
    assert_eq!(standard(r#","end_user":"body","metadata":{"user_api_key_end_user_id":"e"}"#).identity.end_user, "e");
}

#[test]
fn cached_tokens_come_from_the_usage_or_its_details() {
    let read = |usage: &str| {
        let record = standard(&format!(r#","metadata":{{"usage_object":{usage}}}"#));
        (record.usage.cache_read_input_tokens, record.usage.cache_creation_input_tokens)
    };
    assert_eq!(read(r#"{"cache_read_input_tokens":7,"cache_creation_input_tokens":9}"#), (7, 9));
    assert_eq!(read(r#"{"cache_read_input_tokens":0,"prompt_tokens_details":{"cached_tokens":3}}"#), (3, 0));
    assert_eq!(read(r#"{"prompt_tokens_details":{"cache_write_tokens":0,"cache_creation_tokens":5}}"#), (0, 5));
}

#[test]
fn values_of_another_type_never_lose_a_record() {
    let record =
        standard(r#","prompt_tokens":"many","total_tokens":1e30,"user":7,"request_tags":{"a":1},"model":null"#);
    assert_eq!((record.usage.prompt_tokens, record.usage.total_tokens), (0, 1 << 40));
    assert_eq!((record.identity.user.as_ref(), record.call.model.as_ref()), ("7", ""));
    assert!(record.identity.tags.is_empty());
}

#[test]
fn distinct_string_tags_count_once() {
    assert_eq!(standard(r#","request_tags":["a","b","a",1,null,""]"#).identity.tags, ["a", "b", ""]);
}

#[test]
fn of_each_list_the_first_hundred_distinct_names_count_and_the_row_keeps_all() {
    let list = |of: &str| {
        let names: Vec<String> = (0..150).map(|n| format!("\"{of}-{}\"", n / 2)).collect();
        let more: Vec<String> = (0..40).map(|n| format!("\"{of}+{n}\"")).collect();
        format!("[{},{}]", names.join(","), more.join(","))
    };
    let record = standard(&format!(
        r#","request_tags":{},"tool_calls":{},"request_model_access_groups":{}"#,
        list("tag"),
        list("tool"),
        list("group")
    ));
    for (of, counted) in [
        ("tag", &record.identity.tags),
        ("tool", &record.identity.tools),
        ("group", &record.identity.model_access_groups),
    ] {
        let expected: Vec<String> =
            (0..75).map(|n| format!("{of}-{n}")).chain((0..25).map(|n| format!("{of}+{n}"))).collect();
        assert_eq!(*counted, expected);
    }
    assert_eq!(record.identity.names_not_counted, 3 * 15);
    assert!(matches!(&record.identity.request_tags, Json::Array(tags) if tags.len() == 190));
}

#[test]
fn an_id_over_a_kilobyte_is_cut_and_stays_distinct() {
    let long = |tail: &str| standard(&format!(r#","user":"{}{tail}""#, "ü".repeat(600))).identity.user;
    assert!(long("a").len() <= reader::LONGEST_ID);
    assert_ne!(long("a"), long("b"));
}

#[test]
fn a_raw_key_is_hashed_even_without_the_sanitiser() {
    assert_eq!(standard(r#","api_key":"Bearer sk-golden-key-1""#).identity.api_key.len(), 64);
}

#[test]
fn absurd_amounts_are_bounded_so_that_sums_of_them_stay_in_range() {
    let record = standard(r#","prompt_tokens":9223372036854775807,"response_cost":1.7e308"#);
    assert_eq!((record.usage.prompt_tokens, record.usage.spend), (1 << 40, 1e290));
    let ages = standard(r#","startTime":"0001-01-01","endTime":"9999-01-01""#);
    assert_eq!(ages.timing.request_duration_ms, 1 << 40);
}

#[test]
fn the_cost_of_what_began_as_another_request_has_an_id_of_its_own() {
    let id = |members: &str| standard(members).request_id.into_owned();
    assert_eq!(id(r#","call_type":"aretrieve_batch""#), "r_batch_cost");
    assert_eq!(id(r#","call_type":"aretrieve_batch","id":"r_batch_cost""#), "r_batch_cost");
    assert_eq!(id(r#","call_type":"acreate_batch""#), "r");
    let poll = r#","internal_call_origin":"background_response_cost_poll""#;
    assert_eq!(id(&format!(r#","call_type":"aget_responses"{poll}"#)), "r_background_cost");
    assert_eq!(id(&format!(r#","call_type":"aresponses"{poll}"#)), "r");
    let row = decode(r#"{"request_id":"r","call_type":"aretrieve_batch","spend":1,"startTime":0}"#).unwrap();
    assert_eq!(row.request_id, "r", "LiteLLM's own rows have it already");
}

#[test]
fn what_a_read_of_a_response_or_a_poll_of_a_video_costs_is_the_cost_of_that_work() {
    let id = |call_type: &str, cost: f64, members: &str| {
        let text = format!(
            r#"{{"id":"r","litellm_call_id":"c","call_type":"{call_type}","response_cost":{cost},{START}{members}}}"#
        );
        decode(Box::leak(text.into_boxed_str())).unwrap().request_id.into_owned()
    };
    for read in ["get_responses", "aget_responses", "cancel_responses", "acancel_responses"] {
        assert_eq!(id(read, 1.0, ""), "r_background_cost");
        assert_eq!(id(read, 0.0, ""), "r", "made in the foreground, or not done");
        assert_eq!(id(read, 0.0, r#","internal_call_origin":"background_response_cost_poll""#), "r_background_cost");
        assert_eq!(id(read, 1.0, r#","status":"failure""#), "c");
    }
    for poll in ["video_status", "avideo_status"] {
        assert_eq!(id(poll, 1.0, ""), "r_video_cost");
        assert_eq!(id(poll, 1.0, r#","cost_breakdown":{"guardrail_cost":0.1}"#), "r_video_cost");
        assert_eq!(id(poll, 1.0, r#","cost_breakdown":{"guardrail_cost":1}"#), "c_guardrail_cost");
        assert_eq!(id(poll, 0.0, ""), "r", "not done");
    }
}

#[test]
fn the_session_is_the_callers_else_the_trace_and_of_a_batch_the_batch() {
    let session = |members: &str| standard(members).call.session_id.unwrap().into_owned();
    assert_eq!(session(r#","trace_id":"t""#), "t");
    assert_eq!(session(r#","trace_id":"t","session_id":"""#), "t");
    assert_eq!(session(r#","trace_id":"t","session_id":"s""#), "s");
    assert_eq!(session(r#","trace_id":"t","call_type":"acreate_batch""#), "r");
    assert_eq!(session(r#","trace_id":"t","call_type":"aretrieve_batch""#), "r");
}

#[test]
fn many_tags_take_no_quadratic_time() {
    let tags: Vec<String> = (0..200_000).map(|n| format!("\"{n}\"")).collect();
    let record = standard(&format!(r#","request_tags":[{}]"#, tags.join(",")));
    assert_eq!((record.identity.tags.len(), record.identity.names_not_counted), (MOST_NAMES, 200_000 - MOST_NAMES));
}

#[test]
fn a_log_row_keeps_how_a_request_counts() {
    let text = r#"{"request_id":"r","spend":1,"startTime":0,"internal_call_origin":"judge","billed_retry_attempt":true,
        "made_outside_proxy":true,"error_information":{"error_code":"429"},"metadata":{"internal_call_origin":null}}"#;
    let json = Json::from_text(text).unwrap();
    let metadata = SpendRecord::decode(&json).unwrap().documents.metadata;
    assert_eq!(metadata.get("internal_call_origin").and_then(Json::as_str), Some("judge"));
    assert_eq!(metadata.get("billed_retry_attempt"), Some(&Json::Bool(true)));
    assert_eq!(metadata.get("made_outside_proxy"), Some(&Json::Bool(true)));
    assert!(metadata.get("error_information").is_some());
}

#[test]
fn the_model_is_the_group_of_a_request_that_was_made_outside_a_proxy() {
    let group = |members: &str| standard(members).call.model_group.into_owned();
    assert_eq!(group(r#","model":"m""#), "");
    assert_eq!(group(r#","model":"m","made_outside_proxy":true"#), "m");
    assert_eq!(group(r#","model":"m","model_group":"","made_outside_proxy":true"#), "m");
    assert_eq!(group(r#","model":"m","model_group":"g","made_outside_proxy":true"#), "g", "a Router's");
}
