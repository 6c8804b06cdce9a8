//! Reduces a spend record to what may be stored (`fields`): it removes unknown keys, hashes API keys and takes the
//! secrets out of URLs. A value that is not an object keeps only its type and length.

use std::borrow::Cow;

use super::fields::{self, Fields, Rule};
use super::request_body::drop_credentials;
use super::url::without_secrets;
use crate::json::Json;
use crate::litellm::api_key;

/// A record that may be stored.
#[derive(Debug)]
pub struct Sanitised<'a> {
    /// The record without what must not be stored.
    pub json: Json<'a>,
    /// Whether anything was removed or replaced. False only if every key is on the list and every value stayed as it
    /// came.
    pub changed: bool,
}

/// The model name that LiteLLM stores for a failed request whose model looks like a prompt.
pub const UNKNOWN_MODEL: &str = "unknown-model";
const LONGEST_MODEL_NAME: usize = 256;
/// The text that LiteLLM puts before the name of a tool, in place of a model.
const MCP_CALL: &str = "MCP: ";

/// Sanitises one element of a payload.
pub fn sanitise(element: Json<'_>, store_prompts: bool) -> Sanitised<'_> {
    if !matches!(element, Json::Object(_)) {
        return Sanitised { json: describe(&element), changed: true };
    }
    let model_may_be_a_prompt = is_failure(&element) && !names_a_deployment(&element);
    let mut filter = Filter { store_prompts, model_may_be_a_prompt, changed: false };
    let json = filter.object(element, fields::RECORD);
    Sanitised { json, changed: filter.changed }
}

/// The type and length of an element that is not an object, which is all that is kept of it if it is rejected. The
/// length is in items of an array, else in bytes.
pub fn describe(element: &Json) -> Json<'static> {
    let length = match element {
        Json::Str(text) => text.len(),
        Json::Array(items) => items.len(),
        other => other.to_text().len(),
    };
    Json::Object(vec![
        (Cow::Borrowed("type"), Json::Str(Cow::Borrowed(element.type_name()))),
        (Cow::Borrowed("length"), Json::Int(i64::try_from(length).unwrap_or(i64::MAX))),
    ])
}

/// Whether a record is about a failed request.
pub fn is_failure(record: &Json) -> bool {
    let failed = |json: &Json| json.given("status").and_then(Json::as_str) == Some("failure");
    failed(record)
        || match record.get("metadata") {
            // LiteLLM's SpendLogs payload sends metadata as JSON text.
            Some(Json::Str(text)) => Json::from_text(text).is_ok_and(|metadata| failed(&metadata)),
            Some(metadata) => failed(metadata),
            None => false,
        }
}

/// Whether the record has a model id that is stored. A model id of any other shape says nothing.
fn names_a_deployment(record: &Json) -> bool {
    record.get("model_id").is_some_and(|id| is_scalar(id) && id.is_truthy())
}

fn is_scalar(json: &Json) -> bool {
    !matches!(json, Json::Array(_) | Json::Object(_))
}

struct Filter {
    store_prompts: bool,
    model_may_be_a_prompt: bool,
    changed: bool,
}

impl Filter {
    fn object<'a>(&mut self, json: Json<'a>, fields: Fields) -> Json<'a> {
        let Json::Object(members) = json else { return self.drop_value() };
        let mut kept: Vec<(Cow<'a, str>, Json<'a>)> = Vec::with_capacity(members.len().min(fields.len()));
        let sent = members.len();
        for (key, value) in members {
            let Some(rule) = fields::rule(fields, &key) else { continue };
            // A later duplicate wins, as in jsonb, even if nothing of it may stay.
            kept.retain(|(earlier, _)| *earlier != key);
            if let Some(value) = self.value(value, rule) {
                kept.push((key, value));
            }
        }
        self.changed |= kept.len() < sent;
        Json::Object(kept)
    }

    /// The value under its rule; `None` if nothing of it may stay.
    fn value<'a>(&mut self, value: Json<'a>, rule: &'static Rule) -> Option<Json<'a>> {
        if matches!(value, Json::Null) {
            return Some(value);
        }
        let is_scalar = is_scalar(&value);
        let is_text = matches!(value, Json::Str(_));
        let kept = match rule {
            Rule::Any => Some(value),
            Rule::Prompt => self.store_prompts.then_some(value),
            Rule::RequestBody => self.store_prompts.then(|| self.request_body(value)).flatten(),
            Rule::Scalar => is_scalar.then_some(value),
            Rule::Number => (is_scalar && !is_text).then_some(value),
            Rule::ApiKey => self.replace_text(value, |key| match api_key::stored_form(key) {
                Cow::Borrowed(same) if same.len() == key.len() => None,
                stored => Some(stored.into_owned()),
            }),
            Rule::Url => self.replace_text(value, without_secrets),
            Rule::Model if self.model_may_be_a_prompt => {
                self.replace_text(value, |name| looks_like_a_prompt(name).then(|| UNKNOWN_MODEL.to_owned()))
            }
            Rule::ModelGroup if self.model_may_be_a_prompt && value.as_str().is_some_and(looks_like_a_prompt) => None,
            Rule::Model | Rule::ModelGroup => is_scalar.then_some(value),
            Rule::Scalars => self.list(value),
            Rule::Members(fields) => self.parsed(value).map(|object| self.object(object, fields)),
        };
        if kept.is_none() {
            self.changed = true;
        }
        kept
    }

    fn replace_text<'a>(&mut self, value: Json<'a>, replace: impl Fn(&str) -> Option<String>) -> Option<Json<'a>> {
        let Json::Str(text) = value else { return None };
        match replace(&text) {
            Some(replaced) => {
                self.changed = true;
                Some(Json::Str(Cow::Owned(replaced)))
            }
            None => Some(Json::Str(text)),
        }
    }

    fn list<'a>(&mut self, value: Json<'a>) -> Option<Json<'a>> {
        let Some(Json::Array(items)) = self.parsed(value) else { return None };
        let before = items.len();
        let kept: Vec<_> = items.into_iter().filter(is_scalar).collect();
        self.changed |= kept.len() != before;
        Some(Json::Array(kept))
    }

    fn request_body<'a>(&mut self, value: Json<'a>) -> Option<Json<'a>> {
        // Text that is not a body may be anything, so it is dropped.
        let mut body = self.parsed(value).filter(|body| !is_scalar(body))?;
        self.changed |= drop_credentials(&mut body);
        Some(body)
    }

    /// The list or object that a string holds as JSON text, because LiteLLM's SpendLogs payload sends both as text. A
    /// value that is not a string stays as it is.
    fn parsed<'a>(&mut self, value: Json<'a>) -> Option<Json<'a>> {
        let Json::Str(text) = value else { return Some(value) };
        self.changed = true;
        match text {
            Cow::Borrowed(text) => Json::from_text(text).ok(),
            Cow::Owned(text) => Json::from_text(&text).ok().map(Json::into_owned),
        }
    }

    fn drop_value<'a>(&mut self) -> Json<'a> {
        self.changed = true;
        Json::Null
    }
}

fn looks_like_a_prompt(model: &str) -> bool {
    let model = model.strip_prefix(MCP_CALL).unwrap_or(model);
    model.chars().any(char::is_whitespace) || model.chars().count() > LONGEST_MODEL_NAME
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sanitised(text: &str) -> (String, bool) {
        let done = sanitise(Json::from_text(text).unwrap(), false);
        (done.json.to_text(), done.changed)
    }

    #[test]
    fn a_record_of_known_fields_stays_as_it_came() {
        let text = r#"{"id":"r","response_cost":0.5,"metadata":{"user_api_key_user_id":"u","spend_logs_metadata":{"a":[{"b":1}]}},"request_tags":["a",1]}"#;
        assert_eq!(sanitised(text), (text.to_owned(), false));
    }

    #[test]
    fn unknown_keys_go_at_every_level() {
        let (text, changed) = sanitised(
            r#"{"id":"r","x":"sk-1","metadata":{"headers":{"a":"sk-2"},"usage_object":{"prompt_tokens":1,"sk-3":2},
                "error_information":{"error_code":"429","error_message":"prompt","traceback":"prompt"}},
                "messages":[{"content":"prompt"}],"response":"prompt","error_str":"prompt"}"#,
        );
        assert_eq!(
            text,
            r#"{"id":"r","metadata":{"usage_object":{"prompt_tokens":1},"error_information":{"error_code":"429"}}}"#
        );
        assert!(changed);
    }

    #[test]
    fn a_known_key_of_another_shape_is_dropped() {
        let (text, _) = sanitised(
            r#"{"id":"r","user":{"a":"prompt"},"spend":"prompt","api_key":["sk-1"],"metadata":"prompt","request_tags":[["x"],"t"]}"#,
        );
        assert_eq!(text, r#"{"id":"r","request_tags":["t"]}"#);
    }

    #[test]
    fn keys_are_hashed_wherever_they_stand() {
        let (text, _) = sanitised(
            r#"{"api_key":"sk-golden-key-1","metadata":"{\"user_api_key\": \"Bearer sk-golden-key-1\", \"user_api_key_hash\": \"sk-golden-key-1\"}"}"#,
        );
        assert_eq!(text.matches("30323e05e0a491d1721c5452dc51a07c9b247c1aee3a78677c384efd94476167").count(), 3);
        assert!(!text.contains("sk-"));
    }

    #[test]
    fn the_model_of_a_failed_request_is_no_place_for_a_prompt() {
        let (text, _) = sanitised(r#"{"status":"failure","model":"tell me a secret","model_group":"gpt-4o"}"#);
        assert_eq!(text, r#"{"status":"failure","model":"unknown-model","model_group":"gpt-4o"}"#);
        for kept in [
            r#"{"status":"success","model":"my model"}"#,
            r#"{"status":"failure","model":"my model","model_id":"1"}"#,
            r#"{"status":"failure","model":"MCP: search"}"#,
            r#"{"status":"success","model":"gpt-4o","model_group":"my group"}"#,
        ] {
            assert_eq!(sanitised(kept), (kept.to_owned(), false));
        }
    }

    #[test]
    fn a_failure_told_by_metadata_that_is_text_is_one_too() {
        let (text, _) = sanitised(r#"{"model":"tell me a secret","metadata":"{\"status\":\"failure\"}"}"#);
        assert_eq!(text, r#"{"model":"unknown-model","metadata":{"status":"failure"}}"#);
    }

    #[test]
    fn a_model_group_that_looks_like_a_prompt_is_dropped_with_a_failed_request() {
        let (text, _) = sanitised(
            r#"{"status":"failure","model":"tell me","model_group":"tell me","metadata":{"original_model_group":"tell me"}}"#,
        );
        assert_eq!(text, r#"{"status":"failure","model":"unknown-model","metadata":{}}"#);
    }

    #[test]
    fn a_later_duplicate_wins_also_where_nothing_of_it_is_kept() {
        let (text, changed) = sanitised(
            r#"{"user":"a","user":{"b":1},"model":"tell me","metadata":{"status":"failure"},"metadata":"c","model":"d"}"#,
        );
        assert_eq!((text.as_str(), changed), (r#"{"model":"d"}"#, true));
    }

    #[test]
    fn an_element_that_is_no_object_keeps_only_its_type_and_length() {
        assert_eq!(sanitised(r#""sk-secret""#).0, r#"{"type":"string","length":9}"#);
        assert_eq!(sanitised("[1,2]").0, r#"{"type":"array","length":2}"#);
    }
}
