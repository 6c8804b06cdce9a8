//! Records with a needle in every place that must not be stored, in both of LiteLLM's shapes. Whatever the record is,
//! the sanitiser's output holds no needle. Decoding that output, or a record that the sanitiser never saw, never
//! panics.

use std::borrow::Cow;
use std::collections::BTreeSet;

use litellm_spend_core::allowed::fields::{Fields, RECORD, Rule, rule};
use litellm_spend_core::allowed::sanitise::sanitise;
use litellm_spend_core::allowed::unchanged::is_unchanged;
use litellm_spend_core::json::Json;
use litellm_spend_core::jsonb;
use litellm_spend_core::record::SpendRecord;
use proptest::prelude::*;
use support::sensitive::SENSITIVE;
use support::storing::sanitise_well;

mod support;

/// The needle in every key and text that must never be stored.
const NEEDLE: &str = "n33dle";
/// The needle in the prompts and responses that `store_prompts` lets through.
const PROMPT: &str = "pr0mpt";
type Value = Json<'static>;
type Members = Vec<(Cow<'static, str>, Value)>;

fn text(text: impl Into<String>) -> Value {
    Json::Str(Cow::Owned(text.into()))
}

/// Text that must not be stored: a raw key in one of its spellings, or a user's words.
fn secret() -> BoxedStrategy<String> {
    let spelt = prop::sample::select(vec![
        "sk-",
        "Bearer sk-",
        " bearer  sk-",
        "BEARER Bearer sk-",
        "hashed-jwt-",
        "ключ-",
        "",
    ]);
    (spelt, "[0-9a-f]{0,58}", prop::sample::select(vec!["", " ", "\n", "/v1", "\u{1F511}"]))
        .prop_map(|(before, middle, after)| format!("{before}{NEEDLE}{middle}{after}"))
        .boxed()
}

/// A needle as text, or an object or a list that is full of them.
fn secrets() -> BoxedStrategy<Value> {
    secret()
        .prop_map(text)
        .prop_recursive(4, 12, 3, |inner| {
            prop_oneof![
                containers(inner.clone()),
                // JSON text within JSON text.
                containers(inner).prop_map(|json| text(json.to_text())),
            ]
        })
        .boxed()
}

fn containers(inner: impl Strategy<Value = Value> + Clone + 'static) -> BoxedStrategy<Value> {
    let listed = prop::sample::select(RECORD.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>());
    let key = prop_oneof![secret(), listed].prop_map(Cow::Owned);
    prop_oneof![
        prop::collection::vec(inner.clone(), 1..3).prop_map(Json::Array),
        prop::collection::vec((key, inner), 1..3).prop_map(Json::Object),
    ]
    .boxed()
}

fn secret_containers() -> BoxedStrategy<Value> {
    containers(secrets())
}

/// A value for a field of scalars: a number at its extremes, or text without a needle.
fn scalar() -> BoxedStrategy<Value> {
    let times =
        vec!["2026-03-14T15:09:26.5Z", "9999-12-31T23:59:59.9999999+00", "-009999-01-01T00:00:00Z", "0000-00-00", "é"];
    prop_oneof![
        any::<bool>().prop_map(Json::Bool),
        number(),
        prop::sample::select(times).prop_map(text),
        "\\PC{0,20}".prop_map(text),
        "x{0,3}é{500,1200}".prop_map(text),
    ]
    .boxed()
}

fn number() -> BoxedStrategy<Value> {
    let floats = vec![f64::MAX, f64::MIN, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -0.0, 5e-324, 1e18, -1e30, 1.5];
    prop_oneof![
        any::<i64>().prop_map(Json::Int),
        prop::sample::select(vec![i64::MIN, -1, 0, 1, i64::MAX]).prop_map(Json::Int),
        prop::sample::select(floats).prop_map(Json::Float),
        any::<f64>().prop_map(Json::Float),
    ]
    .boxed()
}

/// A value for a field under `rule`. A part that the rule lets through holds no needle.
fn value(rule: &'static Rule, failed: bool) -> BoxedStrategy<Value> {
    let own = prop_oneof![Just(Json::Null), scalar()];
    let lists = || prop::collection::vec(prop_oneof![scalar(), secret_containers()], 0..4).prop_map(Json::Array);
    match rule {
        Rule::Scalar => prop_oneof![own, secret_containers()].boxed(),
        Rule::Number => prop_oneof![number(), secrets()].boxed(),
        Rule::Scalars => {
            prop_oneof![lists(), lists().prop_map(|list| text(list.to_text())), secret().prop_map(text)].boxed()
        }
        Rule::ApiKey => secrets(),
        Rule::Url => {
            let urls = (secret(), prop::sample::select(vec!["https://", "", "postgres://"]), 0u8..4).prop_map(
                |(secret, scheme, place)| {
                    let secret = secret.replace([' ', '\n', '/'], "");
                    text(match place {
                        0 => format!("{scheme}u:{secret}@host/v1"),
                        1 => format!("{scheme}{secret}@host/v1?key={secret}#{secret}"),
                        2 => format!("{scheme}host/v1#{secret}"),
                        _ => format!("{scheme}host?{secret}@host"),
                    })
                },
            );
            prop_oneof![urls, secret_containers()].boxed()
        }
        Rule::Model | Rule::ModelGroup if failed => {
            let prompts = prop_oneof![
                Just(format!("tell me {NEEDLE}")),
                Just(format!("MCP: a {NEEDLE}")),
                Just(NEEDLE.repeat(50))
            ];
            prop_oneof![prompts.prop_map(text), secret_containers()].boxed()
        }
        Rule::Model | Rule::ModelGroup => prop_oneof![own, secret_containers()].boxed(),
        Rule::Members(fields) => {
            let inner = move || members(fields, failed).prop_map(Json::Object);
            let not_an_object =
                prop_oneof![secret().prop_map(text), prop::collection::vec(secrets(), 0..3).prop_map(Json::Array)];
            prop_oneof![4 => inner(), 2 => inner().prop_map(|object| text(object.to_text())), 1 => not_an_object]
                .boxed()
        }
        Rule::Any => own.boxed(),
        Rule::RequestBody => {
            (prop::sample::select(vec!["api_key", "X-Api-Key", "Authorization", "headers"]), secrets())
                .prop_map(|(name, secret)| Json::Object(vec![("input".into(), text(PROMPT)), (name.into(), secret)]))
                .prop_flat_map(|body| prop_oneof![Just(text(body.to_text())), Just(body)])
                .boxed()
        }
        Rule::Prompt => prop_oneof![Just(text(PROMPT)), Just(Json::Array(vec![text(PROMPT)]))].boxed(),
    }
}

fn members(fields: Fields, failed: bool) -> BoxedStrategy<Members> {
    let of_other_levels: Vec<&str> = all_names(RECORD).into_iter().chain(SENSITIVE.iter().copied()).collect();
    let unknown: Vec<&str> = of_other_levels.into_iter().filter(|name| rule(fields, name).is_none()).collect();
    // A sensitive field stays in this test even if it gets onto the list.
    let unknown: Vec<&str> = unknown.into_iter().chain(SENSITIVE.iter().copied()).collect();
    let unknown = prop_oneof![prop::sample::select(unknown).prop_map(String::from), secret()];
    let known = (0..fields.len()).prop_flat_map(move |at| {
        let (name, rule) = &fields[at];
        value(rule, failed).prop_map(|value| (Cow::Borrowed(*name), value))
    });
    prop::collection::vec(prop_oneof![3 => known, 1 => (unknown.prop_map(Cow::Owned), secrets())], 0..12).boxed()
}

fn all_names(fields: Fields) -> BTreeSet<&'static str> {
    let deeper = fields
        .iter()
        .filter_map(|(_, rule)| if let Rule::Members(inner) = rule { Some(all_names(inner)) } else { None });
    deeper.flatten().chain(fields.iter().map(|(name, _)| *name)).collect()
}

/// The place at which a record says that its request failed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Failed {
    No,
    AtTop,
    InMetadata,
    InMetadataAsText,
}

fn record() -> BoxedStrategy<Value> {
    let failed = prop::sample::select(vec![Failed::No, Failed::AtTop, Failed::InMetadata, Failed::InMetadataAsText]);
    (failed, any::<bool>())
        .prop_flat_map(|(failed, is_payload)| {
            let metadata = RECORD.iter().find_map(|(name, rule)| match rule {
                Rule::Members(fields) if *name == "metadata" => Some(*fields),
                _ => None,
            });
            let any_failure = failed != Failed::No;
            (members(RECORD, any_failure), members(metadata.unwrap_or_default(), any_failure)).prop_map(
                move |(mut record, mut metadata)| {
                    let status = (Cow::Borrowed("status"), text("failure"));
                    match failed {
                        Failed::No => {}
                        Failed::AtTop => record.push(status),
                        Failed::InMetadata | Failed::InMetadataAsText => metadata.push(status),
                    }
                    let metadata = Json::Object(metadata);
                    let as_text = failed == Failed::InMetadataAsText;
                    record.push(("metadata".into(), if as_text { text(metadata.to_text()) } else { metadata }));
                    if any_failure {
                        record.push(("model_id".into(), Json::Null));
                    }
                    let (id, cost) = if is_payload { ("id", "response_cost") } else { ("request_id", "spend") };
                    record.extend([
                        (id.into(), text("r")),
                        (cost.into(), Json::Int(1)),
                        ("startTime".into(), Json::Int(1)),
                    ]);
                    Json::Object(record)
                },
            )
        })
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 500,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x5eed),
        ..ProptestConfig::with_cases(500)
    })]

    #[test]
    fn no_needle_is_stored(record in record(), store_prompts in any::<bool>()) {
        let sent_a_prompt = ["messages", "response", "proxy_server_request"].iter().any(|key| record.given(key).is_some());
        let kept_text = sanitise_well(record.clone(), store_prompts).to_text();
        prop_assert!(!kept_text.contains(NEEDLE), "{}\nof\n{}", kept_text, record.to_text());
        prop_assert_eq!(kept_text.contains(PROMPT), store_prompts && sent_a_prompt);
    }

    #[test]
    fn no_needle_of_an_element_that_is_no_object_is_stored(element in prop_oneof![
        secret().prop_map(text),
        prop::collection::vec(secrets(), 0..3).prop_map(Json::Array),
    ]) {
        prop_assert!(!sanitise(element, true).json.to_text().contains(NEEDLE));
    }

    /// A record that the walk vouches for is stored without a change, so the sanitiser must leave it as it is and
    /// decoding it must succeed.
    #[test]
    fn what_is_vouched_for_is_stored_as_it_came(record in record(), store_prompts in any::<bool>()) {
        let bytes = support::container::container(&record);
        if is_unchanged(&bytes, store_prompts) {
            // jsonb keeps the last of duplicate keys.
            let sanitised = sanitise(jsonb::read(&bytes).unwrap(), store_prompts);
            prop_assert!(!sanitised.changed && SpendRecord::decode(&sanitised.json).is_ok());
        }
    }

    /// The row of a record that the sanitiser saw holds no needle. The row of a record that it did not see holds no
    /// key.
    #[test]
    fn any_record_is_decoded_or_refused(record in record()) {
        if let Ok(decoded) = SpendRecord::decode(&record) {
            prop_assert!(!decoded.identity.api_key.contains(NEEDLE));
        }
        let kept = sanitise(record, false).json;
        if let Ok(decoded) = SpendRecord::decode(&kept) {
            let row = format!("{decoded:?}");
            prop_assert!(!row.contains(NEEDLE));
        }
    }

    #[test]
    fn any_value_in_place_of_a_field_is_decoded_or_refused(
        values in prop::collection::vec((0..RECORD.len(), prop_oneof![scalar(), secrets()]), 0..20),
    ) {
        let required = [("id", text("r")), ("response_cost", Json::Int(1)), ("startTime", Json::Int(1))];
        let values = values.into_iter().map(|(at, value)| (RECORD[at].0, value));
        let members = required.into_iter().chain(values).map(|(key, value)| (key.into(), value));
        let _ = SpendRecord::decode(&Json::Object(members.collect()));
    }
}

/// Only the user's own data stands under a rule without a limit.
#[test]
fn only_the_users_own_data_is_stored_whole() {
    fn whole(fields: Fields) -> Vec<&'static str> {
        let names = fields.iter().map(|(name, rule)| match rule {
            Rule::Any => vec![*name],
            Rule::Members(inner) => whole(inner),
            _ => Vec::new(),
        });
        names.flatten().collect()
    }
    assert_eq!(whole(RECORD), ["spend_logs_metadata"]);
}
