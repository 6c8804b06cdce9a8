//! A needle at every place that must not be stored: at one place at a time and at all of them. Whatever form the needle
//! has, the sanitiser's output does not hold it.

use std::borrow::Cow;

use litellm_spend_core::allowed::fields::{Fields, RECORD, Rule, rule};
use litellm_spend_core::allowed::sanitise::sanitise;
use litellm_spend_core::json::Json;
use support::sensitive::SENSITIVE;
use support::storing::sanitise_well;

mod support;

const NEEDLE: &str = "sk-n33dle";
/// Objects that LiteLLM sends in addition to those that a record may hold.
const UNLISTED: &[&str] = &["litellm_params", "standard_logging_object", "kwargs", "litellm_metadata"];

type Path = Vec<&'static str>;

fn text(text: impl Into<String>) -> Json<'static> {
    Json::Str(Cow::Owned(text.into()))
}

fn object(name: &'static str, value: Json<'static>) -> Json<'static> {
    Json::Object(vec![(name.into(), value)])
}

/// The forms of a needle: alone, and within values of every shape.
fn forms() -> Vec<Json<'static>> {
    let nested = || object("id", Json::Array(vec![object("metadata", text(NEEDLE))]));
    vec![
        text(NEEDLE),
        text(format!("Bearer {NEEDLE}")),
        nested(),
        Json::Array(vec![text(NEEDLE), nested()]),
        text(nested().to_text()),
        text(text(nested().to_text()).to_text()),
        Json::Object(vec![(NEEDLE.into(), Json::Int(1))]),
    ]
}

/// The record `{path[0]: {path[1]: … {name: value}}}` with the members that every record has. If `as_text` is set, each
/// object of the path is JSON text.
fn record(path: &[&'static str], name: &'static str, value: Json<'static>, as_text: bool) -> Json<'static> {
    let own = path.iter().rev().fold((name, value), |(name, value), outer| {
        let inner = object(name, value);
        (*outer, if as_text { text(inner.to_text()) } else { inner })
    });
    let required = [("id", text("r")), ("spend", Json::Int(1)), ("startTime", Json::Int(1))];
    let members = required.into_iter().filter(|(name, _)| *name != own.0).chain([own.clone()]);
    Json::Object(members.map(|(name, value)| (name.into(), value)).collect())
}

/// The path of every object that a record may hold.
fn objects(fields: Fields, path: &[&'static str]) -> Vec<(Path, Fields)> {
    let mut found = vec![(path.to_vec(), fields)];
    for (name, rule) in fields {
        if let Rule::Members(inner) = rule {
            found.extend(objects(inner, &[path, &[*name]].concat()));
        }
    }
    found
}

fn assert_no_needle(record: &Json<'static>, store_prompts: bool) {
    let kept = sanitise_well(record.clone(), store_prompts).to_text();
    assert!(!kept.contains("n33dle"), "{kept}\nof\n{}", record.to_text());
    // A rejected element, which takes the place of a record.
    let element = Json::Array(vec![record.clone()]);
    assert!(!sanitise(element, store_prompts).json.to_text().contains("n33dle"));
}

#[test]
fn a_sensitive_field_is_stored_nowhere() {
    let listed = objects(RECORD, &[]).into_iter().map(|(path, _)| path);
    let unlisted = UNLISTED.iter().flat_map(|name| [vec![*name], vec![*name, "metadata"], vec!["metadata", *name]]);
    let places: Vec<Path> = listed.chain(unlisted).chain([vec!["proxy_server_request"]]).collect();
    assert!(places.len() > 20, "{places:?}");
    for name in SENSITIVE {
        for path in &places {
            for form in forms() {
                for as_text in [false, true] {
                    let store_prompts = path.first() != Some(&"proxy_server_request");
                    assert_no_needle(&record(path, name, form.clone(), as_text), store_prompts);
                }
            }
        }
    }
}

#[test]
fn a_raw_key_is_stored_nowhere_but_in_a_name_or_the_users_own_data() {
    for (path, fields) in objects(RECORD, &[]) {
        for (name, rule) in fields {
            for form in forms() {
                for as_text in [false, true] {
                    let record = record(&path, name, form.clone(), as_text);
                    match rule {
                        // This is a name that the client gives to something. Nothing tells a key from any other name.
                        Rule::Scalar | Rule::Model | Rule::ModelGroup if form.as_str().is_some() => {
                            assert!(sanitise_well(record, false).to_text().contains("n33dle"), "{name} is stored");
                        }
                        Rule::Scalars if matches!(form, Json::Array(_)) => {
                            let kept = sanitise_well(record, false).to_text();
                            assert_eq!(kept.matches("n33dle").count(), 1, "the names of {name} are stored");
                        }
                        Rule::Any => {
                            let kept = sanitise_well(record, false).to_text();
                            assert!(kept.contains("n33dle"), "{name} is stored whole");
                        }
                        // The text is read as the host of the URL, and a host is not a key.
                        Rule::Url if form.as_str().is_some() => {}
                        _ => assert_no_needle(&record, false),
                    }
                }
            }
        }
    }
}

#[test]
fn with_prompts_stored_a_request_body_still_loses_its_credentials() {
    let credentials = [
        "api_key",
        "API-Key",
        "x-api-key",
        "user_api_key",
        "user_api_key_hash",
        "openai_apikey",
        "Authorization",
        "proxy-authorization",
        "headers",
        "extra_headers",
        "cookie",
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "azure_ad_token",
        "client_secret",
        "aws_secret_key",
        "private_key",
        "azure_password",
        "vertex_credentials",
        "secret_fields",
    ];
    let bodies: [&[&str]; 5] = [
        &["proxy_server_request"],
        &["proxy_server_request", "body"],
        &["proxy_server_request", "body", "litellm_params"],
        &["proxy_server_request", "body", "metadata"],
        &["proxy_server_request", "headers"],
    ];
    for name in credentials {
        for path in bodies {
            for form in forms() {
                assert_no_needle(&record(path, name, form.clone(), false), true);
                // LiteLLM's SpendLogs payload holds the body as text, which may be a list.
                let tool = object(name, form);
                let body = object("tools", Json::Array(vec![tool.clone(), tool]));
                assert_no_needle(&record(&[], "proxy_server_request", body.clone(), false), true);
                assert_no_needle(&record(&[], "proxy_server_request", text(body.to_text()), false), true);
            }
        }
    }
    for form in forms().into_iter().filter(|form| form.as_str().is_some()) {
        assert_no_needle(&record(&[], "proxy_server_request", text(format!("{} ", form.to_text())), false), true);
    }
    let prompt = object("messages", text("tell me"));
    let kept = sanitise_well(record(&["proxy_server_request"], "body", prompt, true), true).to_text();
    assert!(kept.contains("tell me"), "{kept}");
}

#[test]
fn an_address_is_stored_without_its_secrets() {
    let urls = [
        "https://u:sk-n33dle@host/v1",
        "https://sk-n33dle@host/v1",
        "//u:sk-n33dle@host/v1",
        "u:sk-n33dle@host/v1",
        "https:/u:sk-n33dle@host/v1",
        "https:\\\\u:sk-n33dle@host/v1",
        "https://u:pw@host/v1?api_key=sk-n33dle",
        "https://host/v1?api_key=sk-n33dle#sk-n33dle",
        "https://host?sk-n33dle@host",
        "https://u:sk-n33dle/x@host/v1",
        "https://u:x?sk-n33dle@host/v1",
        "https://gateway/https://u:sk-n33dle@host/v1",
        "https://u:sk-n33dle@a@host/v1",
    ];
    for url in urls {
        assert_no_needle(&record(&[], "api_base", text(url), false), true);
        for name in ["api_base", "base_url", "server_url"] {
            assert_no_needle(&record(&["proxy_server_request", "body"], name, text(url), false), true);
        }
        let kept = sanitise_well(record(&[], "api_base", text(url), false), false).to_text();
        assert!(kept.contains("host"), "{kept}");
    }
}

/// A model id that is not stored does not vouch for the name of the model.
#[test]
fn a_failed_requests_prompt_in_place_of_a_model_is_not_stored_whatever_its_model_id() {
    for model_id in forms().into_iter().filter(|form| form.as_str().is_none()) {
        for name in ["model", "model_group"] {
            let members = [
                ("status", text("failure")),
                ("model_id", model_id.clone()),
                (name, text(format!("tell me {NEEDLE}"))),
            ];
            assert_no_needle(&Json::Object(members.map(|(name, value)| (name.into(), value)).into()), false);
        }
    }
}

#[test]
fn every_sensitive_name_is_off_the_list() {
    for (path, fields) in objects(RECORD, &[]) {
        for name in SENSITIVE {
            assert!(rule(fields, name).is_none(), "{path:?} lists {name}");
        }
    }
}
