//! Reads single fields of a spend record under their aliases. A field at the top level wins over the one in `metadata`.
//! User and end user of a StandardLoggingPayload are the exception: its top level holds no identity except what
//! LiteLLM read from the request body, so the identity in `metadata` wins.

use std::borrow::Cow;

use super::{BATCH_COST, CallOrigin, Savings, Text, background};
use crate::error::RecordError;
use crate::json::Json;
use crate::litellm::api_key::{self, sha256_hex};
use crate::moment::Moment;
use crate::numeric;

/// The longest id in bytes. An entry of a daily table's unique index has at most 2,704 bytes and must hold an id, a key
/// hash, a model, a provider and a tool name.
pub(super) const LONGEST_ID: usize = 1024;
const LONGEST_NAME: usize = 512;
const BATCH_CALLS: [&str; 4] = ["create_batch", "acreate_batch", "retrieve_batch", BATCH_COST];
pub(super) const LONGEST_DETAIL: usize = 256;

/// Shortens `text` to `longest` bytes. A longer text keeps its beginning, followed by a hash of the whole text.
pub(super) fn fit(text: Text<'_>, longest: usize) -> Text<'_> {
    if text.len() <= longest {
        return text;
    }
    let hash = sha256_hex(&text);
    let kept = text.floor_char_boundary(longest - hash.len() - 1);
    Cow::Owned(format!("{}#{hash}", &text[..kept]))
}

/// The bounds of a count and of a sum of money. A number beyond them is absurd. The bound of a count comes from LiteLLM
/// 1.110 (litellm/accounting/projection.py); eight million records with such a count fill a bigint.
const MOST_COUNTED: i64 = 1 << 40;
const MOST_DOLLARS: f64 = 1e290;

fn within_bounds(count: i64) -> i64 {
    count.clamp(-MOST_COUNTED, MOST_COUNTED)
}

fn dollars(amount: f64) -> f64 {
    amount.clamp(-MOST_DOLLARS, MOST_DOLLARS)
}

pub(super) struct Reader<'j, 'a> {
    record: &'j Json<'a>,
    metadata: &'j Json<'a>,
    pub(super) is_standard_logging: bool,
}

impl<'j, 'a> Reader<'j, 'a> {
    pub(super) fn new(record: &'j Json<'a>) -> Result<Self, RecordError> {
        if !matches!(record, Json::Object(_)) {
            return Err(RecordError::NotAnObject { found: record.type_name() });
        }
        Ok(Reader {
            record,
            metadata: record.get("metadata").unwrap_or(&Json::Null),
            is_standard_logging: record.given("request_id").is_none() && record.given("id").is_some(),
        })
    }

    /// The record's `metadata`; null if there is none.
    pub(super) fn metadata(&self) -> &'j Json<'a> {
        self.metadata
    }

    /// A top-level member; `None` if it is absent or null.
    pub(super) fn given(&self, key: &str) -> Option<&'j Json<'a>> {
        self.record.given(key)
    }

    /// The request id. LiteLLM names a failed request by its call id and any other request by the provider's id. It
    /// adds a suffix if the record tells the cost of work that began as another request.
    pub(super) fn request_id(&self, is_failure: bool) -> Result<Text<'a>, RecordError> {
        let suffix = self.id_suffix(is_failure);
        let is_named_by_call = self.is_standard_logging && (is_failure || suffix == background::GUARDRAIL);
        let keys: &[&str] = if is_named_by_call { &["litellm_call_id", "id"] } else { &["request_id", "id"] };
        let id = self.first_id(keys, &[]).ok_or(RecordError::Missing { key: "request_id", what: "request id" })?;
        Ok(if id.ends_with(suffix) { id } else { fit(Cow::Owned(format!("{id}{suffix}")), LONGEST_ID) })
    }

    fn id_suffix(&self, is_failure: bool) -> &'static str {
        if !self.is_standard_logging {
            return "";
        }
        let call_type = self.given("call_type").and_then(Json::as_str).unwrap_or_default();
        let cost = if is_failure { 0.0 } else { self.spend(is_failure).unwrap_or_default() };
        let guardrails = self.given("cost_breakdown").and_then(|parts| parts.given("guardrail_cost"));
        let guardrails = guardrails.and_then(Json::as_f64).unwrap_or_default();
        background::suffix(call_type, cost, guardrails, self.call_origin() == CallOrigin::CostPoll)
    }

    pub(super) fn time(&self, key: &'static str) -> Result<Option<Moment>, RecordError> {
        let moment = self.given(key).map(Moment::from_json).transpose();
        moment.map_err(|why| RecordError::BadTime { key, why })
    }

    pub(super) fn spend(&self, is_failure: bool) -> Result<f64, RecordError> {
        let Some(cost) = self.given("spend").or_else(|| self.given("response_cost")) else {
            return if is_failure { Ok(0.0) } else { Err(RecordError::Missing { key: "spend", what: "cost" }) };
        };
        cost.as_f64().map(dollars).ok_or(RecordError::BadValue { key: "spend", expected: "a finite number" })
    }

    /// A token count; 0 if the value is not a number.
    pub(super) fn count(&self, key: &str) -> i64 {
        self.given_count(key).unwrap_or(0)
    }

    fn given_count(&self, key: &str) -> Option<i64> {
        self.given(key).and_then(Json::as_i64_clamped).map(within_bounds)
    }

    /// The duration in milliseconds: the one that the record says, else the time from start to end.
    pub(super) fn duration_ms(&self, start: Moment, end: Moment) -> i64 {
        self.given_count("request_duration_ms").unwrap_or_else(|| within_bounds(end.millis_since(start)))
    }

    /// Tokens of the prompt cache: the field of the usage if it is not 0, else the first field of its prompt details
    /// that is not 0.
    pub(super) fn cache_tokens(&self, key: &str, details: &[&str]) -> i64 {
        let Some(usage) = self.metadata.given("usage_object") else { return 0 };
        let nonzero = |json: &Json, key: &str| {
            json.given(key).and_then(Json::as_i64_clamped).map(within_bounds).filter(|n| *n != 0)
        };
        nonzero(usage, key)
            .or_else(|| {
                let prompt = usage.given("prompt_tokens_details")?;
                details.iter().find_map(|key| nonzero(prompt, key))
            })
            .unwrap_or(0)
    }

    /// A short text such as a model name; `""` if there is none.
    pub(super) fn name(&self, key: &str) -> Text<'a> {
        let longest = if matches!(key, "model" | "model_group") { LONGEST_NAME } else { LONGEST_DETAIL };
        self.given(key).and_then(text_of).map(|text| fit(text, longest)).unwrap_or_default()
    }

    /// The first id that is not empty: at the top level under `keys`, then in `metadata` under `nested`.
    pub(super) fn first_id(&self, keys: &[&str], nested: &[&str]) -> Option<Text<'a>> {
        let find = |json: &Json<'a>, keys: &[&str]| {
            keys.iter().find_map(|key| json.given(key).and_then(text_of).filter(|id| !id.is_empty()))
        };
        find(self.record, keys).or_else(|| find(self.metadata, nested)).map(|id| fit(id, LONGEST_ID))
    }

    /// The user, and whether it is only the SDK's `user=`. The SDK's `user=` counts if no LiteLLM identity is known.
    pub(super) fn user(&self) -> (Text<'a>, bool) {
        if !self.is_standard_logging {
            return (self.first_id(&["user"], &["user_api_key_user_id"]).unwrap_or_default(), false);
        }
        match self.first_id(&[], &["user_api_key_user_id"]) {
            Some(user) => (user, false),
            None => (self.first_id(&["user"], &[]).unwrap_or_default(), true),
        }
    }

    /// The team, and whether it is only the caller's `metadata.team_id`.
    pub(super) fn team(&self) -> (Text<'a>, bool) {
        match self.first_id(&["team_id"], &["user_api_key_team_id"]) {
            Some(team) => (team, false),
            None => (self.first_id(&[], &["team_id"]).unwrap_or_default(), true),
        }
    }

    /// Whether the proxy described the key, so that nothing is left to look up.
    pub(super) fn has_key_alias(&self) -> bool {
        self.metadata.given("user_api_key_alias").is_some()
    }

    /// The end user. A StandardLoggingPayload's own `end_user` is the request body's `user`, which LiteLLM does not
    /// charge, so it is ignored.
    pub(super) fn end_user(&self) -> Text<'a> {
        let keys: &[&str] = if self.is_standard_logging { &[] } else { &["end_user"] };
        self.first_id(keys, &["user_api_key_end_user_id"]).unwrap_or_default()
    }

    pub(super) fn api_key(&self) -> Text<'a> {
        let key =
            self.first_id(&["api_key", "user_api_key"], &["user_api_key", "user_api_key_hash"]).unwrap_or_default();
        match api_key::stored_form(&key) {
            Cow::Borrowed(same) if same.len() == key.len() => key,
            stored => Cow::Owned(stored.into_owned()),
        }
    }

    pub(super) fn request_tags(&self) -> Json<'a> {
        match self.given("request_tags").or_else(|| self.metadata.given("tags")) {
            Some(tags @ Json::Array(_)) => tags.clone(),
            _ => Json::Array(Vec::new()),
        }
    }

    pub(super) fn cache_hit(&self) -> Text<'a> {
        match self.given("cache_hit") {
            None => Cow::Borrowed("None"),
            Some(Json::Bool(true)) => Cow::Borrowed("True"),
            Some(Json::Bool(false)) => Cow::Borrowed("False"),
            Some(other) => text_of(other).unwrap_or_default(),
        }
    }

    pub(super) fn cache_key(&self) -> Text<'a> {
        self.given("cache_key").and_then(text_of).unwrap_or(Cow::Borrowed("Cache OFF"))
    }

    /// The caller's session, which a payload holds only if LiteLLM is asked to send it, else the trace. All calls about
    /// one batch are one session (LiteLLM's `_get_session_id_for_spend_log`).
    pub(super) fn session_id(&self, request_id: &str) -> Option<Text<'a>> {
        let call_type = self.given("call_type").and_then(Json::as_str).unwrap_or_default();
        if self.is_standard_logging && BATCH_CALLS.contains(&call_type) {
            let batch = request_id.strip_suffix(background::BATCH).unwrap_or(request_id);
            return Some(Cow::Owned(batch.to_owned()));
        }
        let keys = ["session_id", "trace_id"];
        self.first_id(&keys, &keys)
    }

    pub(super) fn mcp_tool(&self) -> Option<Text<'a>> {
        let own = self.given("mcp_namespaced_tool_name");
        let nested = || self.metadata.given("mcp_tool_call_metadata")?.given("namespaced_tool_name");
        own.or_else(nested).and_then(text_of).map(|name| fit(name, LONGEST_DETAIL))
    }

    /// Whether a mark is set, at the top level or in `metadata`. Only `true` sets it, as in LiteLLM.
    pub(super) fn is_marked(&self, key: &str) -> bool {
        matches!(self.given(key).or_else(|| self.metadata.given(key)), Some(Json::Bool(true)))
    }

    pub(super) fn savings(&self) -> Savings {
        let dollars = |key| self.given(key).and_then(Json::as_f64).map(dollars).unwrap_or(0.0);
        Savings {
            compression_tokens: self.count("compression_saved_tokens"),
            compression: dollars("compression_savings_spend"),
            prompt_caching: dollars("prompt_caching_savings_spend"),
            gateway_injected_caching: dollars("gateway_injected_caching_savings_spend"),
            autorouter: dollars("autorouter_savings_spend"),
        }
    }

    /// A prompt or response that the sanitiser let through. A string is read as the JSON text of the document.
    pub(super) fn document(&self, key: &str) -> Option<Json<'a>> {
        match self.given(key)? {
            Json::Str(text) => Json::from_text(text).ok().map(Json::into_owned),
            document => Some(document.clone()),
        }
    }
}

/// A scalar as text; `None` for any other value. Ids are sometimes sent as numbers.
pub(super) fn text_of<'a>(json: &Json<'a>) -> Option<Text<'a>> {
    match json {
        Json::Str(text) => Some(text.clone()),
        Json::Int(number) => Some(Cow::Owned(number.to_string())),
        Json::Float(number) => Some(Cow::Owned(number.to_string())),
        Json::Numeric(number) => numeric::text_of(number).map(Cow::Owned),
        _ => None,
    }
}
