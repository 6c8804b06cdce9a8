//! A record over its bounds loses documents and never money. Whatever the bounds are, the rest of the record counts as
//! the whole record does, is within the bounds, and names what it lost.

use std::borrow::Cow;

use litellm_spend_core::allowed::bounds::{self, Bounds, SMALLEST};
use litellm_spend_core::allowed::fields::DROPPED;
use litellm_spend_core::allowed::sanitise::sanitise;
use litellm_spend_core::error::RecordError;
use litellm_spend_core::json::Json;
use litellm_spend_core::json::raw::Raw;
use litellm_spend_core::jsonb::{self, Element};
use litellm_spend_core::record::SpendRecord;
use proptest::prelude::*;
use support::container::container;
use support::documents::document;
use support::reading::values;
use support::storing::sanitise_well;

mod support;

/// Bounds far below the smallest ones that can be set, so that small documents reach each of the cuts.
fn tight() -> impl Strategy<Value = Bounds> {
    (1500usize..6000, 70usize..300).prop_map(|(bytes, values)| Bounds { bytes, values })
}

/// The form of a document in a record.
#[derive(Debug, Clone, Copy)]
enum As {
    Value,
    Text,
}

fn under(value: Json<'static>, form: As) -> Json<'static> {
    match form {
        As::Value => value,
        As::Text => Json::Str(Cow::Owned(value.to_text())),
    }
}

fn form() -> impl Strategy<Value = As> {
    prop::sample::select(vec![As::Value, As::Text])
}

/// A record that has a document in every place for one.
fn record() -> impl Strategy<Value = Json<'static>> {
    let documents = (document(), document(), document(), document());
    let forms = (form(), form(), form(), form());
    (documents, forms, 0usize..40, any::<u16>(), any::<bool>()).prop_map(
        |((own, messages, response, unknown), forms, tags, cents, is_row)| {
            let text = |text: String| Json::Str(Cow::Owned(text));
            let metadata = Json::Object(vec![
                ("spend_logs_metadata".into(), own),
                ("user_api_key_user_id".into(), text("known".to_owned())),
                ("usage_object".into(), Json::Object(vec![("cache_read_input_tokens".into(), Json::Int(7))])),
            ]);
            let tags = Json::Array((0..tags).map(|n| text(format!("tag-{n}"))).collect());
            let (id, cost) = if is_row { ("request_id", "spend") } else { ("id", "response_cost") };
            Json::Object(vec![
                ("messages".into(), under(messages, forms.0)),
                (id.into(), text("r".to_owned())),
                (cost.into(), Json::Float(f64::from(cents) / 64.0)),
                ("x-unknown".into(), unknown),
                ("metadata".into(), under(metadata, forms.1)),
                ("response".into(), under(response, forms.2)),
                ("startTime".into(), Json::Int(86_400)),
                ("total_tokens".into(), Json::Int(9)),
                ("request_tags".into(), under(tags, forms.3)),
                ("api_key".into(), text("sk-golden".to_owned())),
            ])
        },
    )
}

type Counted = (String, f64, i64, i64, String, String, Vec<String>);

/// The part of a record that counts.
fn counted(json: Json, store_prompts: bool) -> Result<Counted, RecordError> {
    let kept = sanitise(json, store_prompts).json;
    let record = SpendRecord::decode(&kept)?;
    let tags = record.identity.tags.iter().map(|tag| tag.clone().into_owned()).collect();
    Ok((
        record.request_id.into_owned(),
        record.usage.spend,
        record.usage.total_tokens,
        record.usage.cache_read_input_tokens,
        record.identity.user.into_owned(),
        record.identity.api_key.into_owned(),
        tags,
    ))
}

fn dropped(json: &Json) -> Vec<String> {
    match json.get("metadata").and_then(|metadata| metadata.get(DROPPED)) {
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x5eed),
        ..ProptestConfig::with_cases(300)
    })]

    #[test]
    fn money_is_never_lost_to_size(record in record(), bounds in tight(), store_prompts in any::<bool>()) {
        let text = record.to_text();
        let bytes = container(&record);
        for raw in [Raw::Text(&text), Raw::Jsonb(Element::Document(&bytes))] {
            let read = bounds::read(raw, bounds, store_prompts).unwrap();
            let whole = counted(raw.json().unwrap(), store_prompts).unwrap();
            // A list that is JSON text and cannot be unescaped is one of the lost documents.
            let lost_tags = dropped(&read.json).contains(&"request_tags".to_owned());
            let mut left = counted(read.json.clone(), store_prompts).unwrap();
            if lost_tags { left.6 = whole.6.clone(); }
            let lost_metadata = dropped(&read.json).contains(&"metadata".to_owned());
            if lost_metadata { left.3 = whole.3; left.4 = whole.4.clone(); }
            prop_assert_eq!(left, whole);
            // The rest of a cut record is within the bounds, or nothing more can be cut from it.
            let kept = sanitise_well(read.json.clone(), store_prompts);
            let stored = jsonb::write(&kept).unwrap();
            let is_cut_short = !dropped(&kept).is_empty();
            prop_assert!(is_cut_short || stored.len() <= bounds.bytes + 64 && values(&kept) <= bounds.values, "{}", kept.to_text());
            prop_assert!(!is_cut_short || !read.is_whole);
        }
    }

    #[test]
    fn a_staged_record_that_is_within_its_bounds_is_left_alone(record in record(), bounds in tight()) {
        let kept = sanitise(record, true).json;
        let bytes = container(&kept);
        match bounds::cut(&bytes, bounds).unwrap() {
            None => prop_assert!(bytes.len() <= bounds.bytes && values(&jsonb::read(&bytes).unwrap()) <= bounds.values),
            Some(cut) => {
                prop_assert_eq!(counted(cut.clone(), true).unwrap().1, counted(jsonb::read(&bytes).unwrap(), true).unwrap().1);
                prop_assert!(bytes.len() > bounds.bytes || bytes.len() / 2 >= bounds.values);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_within_any_bounds(bytes in prop::collection::vec(any::<u8>(), 0..256), bounds in tight()) {
        let _ = bounds::cut(&bytes, bounds);
        let _ = bounds::weigh(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        let _ = bounds::read(Raw::Text(&text), bounds, true);
    }
}

const REQUIRED: &str = r#""request_id":"r","spend":0.5,"startTime":1"#;

fn cut_to_smallest(text: &str, store_prompts: bool) -> (Json<'_>, Vec<String>) {
    let read = bounds::read(Raw::Text(text), SMALLEST, store_prompts);
    let json = read.map_or(Json::Null, |read| read.json);
    let names = dropped(&json);
    (json, names)
}

fn nulls(count: usize) -> String {
    format!("[{}null]", "null,".repeat(count - 1))
}

#[test]
fn prompts_go_first_then_the_users_own_metadata_then_what_is_long() {
    let of = |messages: usize, own: usize, tags: usize| {
        let tags: Vec<String> = (0..tags).map(|n| format!("\"t{n}\"")).collect();
        format!(
            r#"{{{REQUIRED},"messages":{},"request_tags":[{}],"metadata":{{"spend_logs_metadata":{},"status":"success"}}}}"#,
            nulls(messages),
            tags.join(","),
            nulls(own)
        )
    };
    let dropped = |messages, own, tags| cut_to_smallest(&of(messages, own, tags), true).1;
    assert_eq!(dropped(1, 1, 1), [""; 0]);
    assert_eq!(dropped(2_000, 1, 1), ["messages"]);
    assert_eq!(dropped(1, 2_000, 1), ["messages", "metadata.spend_logs_metadata"]);
    assert_eq!(dropped(1, 1, 2_000), ["messages", "request_tags", "metadata.spend_logs_metadata"]);
    let text = of(1, 1, 2_000);
    let kept = cut_to_smallest(&text, true).0;
    assert_eq!(SpendRecord::decode(&kept).unwrap().identity.tags.len(), 100);
    // If prompts are not stored, they are not part of the record, so none is lost.
    assert_eq!(cut_to_smallest(&of(2_000, 1, 1), false).1, [""; 0]);
}

#[test]
fn an_absurd_record_of_any_kind_has_a_countable_rest() {
    let huge = "x".repeat(3 << 20);
    let digits = "7".repeat(3 << 20);
    for rest in [
        format!(r#""user":"{huge}","model":"{huge}","api_key":"{huge}","api_base":"https://u:{huge}@host""#),
        format!(r#""user":"\u0041{huge}","request_tags":["{huge}","{huge}","b"]"#),
        format!(r#""total_tokens":0.{digits},"x":{}"#, nulls(1_000_000)),
        format!(r#""metadata":"{{\"spend_logs_metadata\":{}}}""#, nulls(1_000_000)),
        format!(r#""request_tags":"{}""#, nulls(1_000_000)),
        format!(r#""tool_calls":{},"metadata":{{"applied_guardrails":{}}}"#, nulls(1_000_000), nulls(1_000_000)),
        format!(r#"{}"user":"last""#, r#""user":"first","#.repeat(200_000)),
        format!(r#"{}"z":1"#, (0..300_000).map(|n| format!("\"k{n}\":1,")).collect::<String>()),
    ] {
        let text = format!("{{{REQUIRED},{rest}}}");
        let in_jsonb = container(&Json::from_text(&text).unwrap());
        for raw in [Raw::Text(&text), Raw::Jsonb(Element::Document(&in_jsonb))] {
            let kept = sanitise(bounds::read(raw, SMALLEST, true).unwrap().json, true).json;
            let record = SpendRecord::decode(&kept).unwrap();
            assert_eq!((record.request_id.as_ref(), record.usage.spend), ("r", 0.5));
            let stored = jsonb::write(&kept).unwrap();
            assert_eq!(bounds::cut(&stored, SMALLEST).unwrap(), None, "what is left is within the smallest bounds");
            assert!(!kept.to_text().contains(&"x".repeat(1025)));
        }
    }
}

#[test]
fn an_id_that_is_larger_than_a_record_may_be_still_names_it() {
    let text = format!(r#"{{"request_id":"{}","spend":0.5,"startTime":1}}"#, "r".repeat(2 << 20));
    let whole = Json::from_text(&text).unwrap();
    let kept = cut_to_smallest(&text, true).0;
    let id = |json: &Json| SpendRecord::decode(json).unwrap().request_id.into_owned();
    assert_eq!(id(&kept), id(&whole));
}

#[test]
fn text_that_is_too_large_and_no_record_is_refused() {
    let refused = |text: &str| bounds::read(Raw::Text(text), SMALLEST, true).unwrap_err();
    assert_eq!(refused(&"[".repeat(2 << 20)), RecordError::NotJson);
    assert_eq!(refused(&nulls(1 << 20)), RecordError::NotAnObject { found: "array" });
    assert_eq!(refused(&format!(r#"{{{REQUIRED},"messages":{}"#, nulls(1 << 20))), RecordError::NotJson);
    assert_eq!(refused(&"x".repeat(2 << 20)), RecordError::NotJson);
}

#[test]
fn what_was_dropped_before_stays_named() {
    let text =
        format!(r#"{{{REQUIRED},"metadata":{{"{DROPPED}":["messages"],"spend_logs_metadata":{}}}}}"#, nulls(2_000));
    assert_eq!(cut_to_smallest(&text, true).1, ["metadata.spend_logs_metadata", "messages"]);
}

#[test]
fn a_staged_record_weighs_its_values_and_the_names_that_count() {
    let tags: Vec<String> = (0..150).map(|n| format!("\"{n}\"")).collect();
    let text = format!(r#"{{"request_tags":[{}],"tool_calls":["a","b"],"metadata":{{"tags":[1]}}}}"#, tags.join(","));
    let weight = bounds::weigh(&container(&Json::from_text(&text).unwrap()));
    assert_eq!((weight.names, weight.values), (103, 158));
}
