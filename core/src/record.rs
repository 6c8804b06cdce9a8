//! The typed spend record: one finished LLM request, read from a sanitised document in either of
//! LiteLLM's shapes. A `StandardLoggingPayload` has `id` and no `request_id`; anything else is read
//! as a SpendLogs row. Rules: LiteLLM's `spend_tracking_utils.get_logging_payload`.

use std::borrow::Cow;

use crate::error::RecordError;
use crate::json::Json;
use crate::moment::Moment;
use crate::sanitise::is_failure;

mod metadata;
mod reader;

use reader::Reader;

type Text<'a> = Cow<'a, str>;

const CACHE_READ: &str = "cache_read_input_tokens";
const CACHE_CREATION: &str = "cache_creation_input_tokens";

/// One finished LLM request. Empty text means "none", as in LiteLLM's tables.
#[derive(Debug, Clone, PartialEq)]
pub struct SpendRecord<'a> {
    /// Never empty; at most 1 kB.
    pub request_id: Text<'a>,
    pub litellm_call_id: Option<Text<'a>>,
    pub call_type: Text<'a>,
    /// A hash or a service alias, never a raw key.
    pub api_key: Text<'a>,
    /// US dollars, finite; may be negative.
    pub spend: f64,
    pub total_tokens: i64,
    pub prompt_tokens: i64,
    pub completion_tokens: i64,
    pub cache_read_input_tokens: i64,
    pub cache_creation_input_tokens: i64,
    pub start: Moment,
    pub end: Moment,
    pub completion_start: Option<Moment>,
    pub request_duration_ms: i64,
    pub model: Text<'a>,
    pub model_id: Text<'a>,
    pub model_group: Text<'a>,
    pub custom_llm_provider: Text<'a>,
    pub api_base: Text<'a>,
    pub user: Text<'a>,
    pub team_id: Text<'a>,
    pub organization_id: Text<'a>,
    pub end_user: Text<'a>,
    pub agent_id: Option<Text<'a>>,
    pub billing_agent_id: Option<Text<'a>>,
    /// As sent, for the log row.
    pub request_tags: Json<'a>,
    /// `None`, `True` or `False`, as Python prints them.
    pub cache_hit: Text<'a>,
    pub cache_key: Text<'a>,
    pub session_id: Option<Text<'a>>,
    pub is_failure: bool,
    pub mcp_namespaced_tool_name: Option<Text<'a>>,
    pub requester_ip_address: Option<Text<'a>>,
    pub is_internal_call: bool,
    pub is_billed_retry: bool,
    pub savings: Savings,
    pub metadata: Json<'a>,
    pub messages: Option<Json<'a>>,
    pub response: Option<Json<'a>>,
    pub proxy_server_request: Option<Json<'a>>,
}

/// What caching, compression and routing saved; the first in tokens, the others in US dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Savings {
    pub compression_tokens: i64,
    pub compression: f64,
    pub prompt_caching: f64,
    pub gateway_injected_caching: f64,
    pub autorouter: f64,
}

/// An id of at most 1 kB: a longer one is cut, with a hash of the whole in place of the rest.
pub fn fit_id(id: Text<'_>) -> Text<'_> {
    reader::fit(id, reader::LONGEST_ID)
}

impl<'a> SpendRecord<'a> {
    /// Reads a sanitised document.
    ///
    /// # Errors
    /// It is no object, or lacks a request id, a start time or (unless it failed) a cost, or one of
    /// them is of the wrong type.
    pub fn decode(json: &Json<'a>) -> Result<Self, RecordError> {
        let reader = Reader::new(json)?;
        let is_failure = is_failure(json);
        let start = reader.time("startTime")?.ok_or(RecordError::Missing { key: "startTime", what: "start time" })?;
        let end = reader.time("endTime")?.unwrap_or(start);
        let request_id = reader.request_id(is_failure)?;
        let api_key = reader.api_key();
        let cache_read_input_tokens = reader.cache_tokens(CACHE_READ, &["cached_tokens"]);
        let cache_creation_input_tokens =
            reader.cache_tokens(CACHE_CREATION, &["cache_write_tokens", "cache_creation_tokens"]);
        let cached = [(CACHE_READ, cache_read_input_tokens), (CACHE_CREATION, cache_creation_input_tokens)];
        Ok(SpendRecord {
            litellm_call_id: reader.first_id(&["litellm_call_id"], &["litellm_call_id"]),
            call_type: reader.name("call_type"),
            spend: reader.spend(is_failure)?,
            total_tokens: reader.count("total_tokens"),
            prompt_tokens: reader.count("prompt_tokens"),
            completion_tokens: reader.count("completion_tokens"),
            cache_read_input_tokens,
            cache_creation_input_tokens,
            start,
            end,
            completion_start: reader.time("completionStartTime")?,
            request_duration_ms: reader.given_count("request_duration_ms").unwrap_or_else(|| end.millis_since(start)),
            model: reader.name("model"),
            model_id: reader.name("model_id"),
            model_group: reader.name("model_group"),
            custom_llm_provider: reader.name("custom_llm_provider"),
            api_base: reader.name("api_base"),
            user: reader.user(),
            team_id: reader.first_id(&["team_id"], &["user_api_key_team_id", "team_id"]).unwrap_or_default(),
            organization_id: reader.first_id(&["organization_id"], &["user_api_key_org_id"]).unwrap_or_default(),
            end_user: reader.end_user(),
            agent_id: reader.first_id(&["agent_id"], &["agent_id"]),
            billing_agent_id: reader.first_id(&["billing_agent_id"], &["billing_agent_id"]),
            request_tags: reader.tags(),
            cache_hit: reader.cache_hit(),
            cache_key: reader.cache_key(),
            session_id: reader.session_id(),
            is_failure,
            mcp_namespaced_tool_name: reader.mcp_tool(),
            requester_ip_address: reader.first_id(&["requester_ip_address"], &["requester_ip_address"]),
            is_internal_call: reader.flag("internal_call_origin"),
            is_billed_retry: reader.flag("billed_retry_attempt"),
            savings: reader.savings(),
            metadata: metadata::for_log_row(&reader, &api_key, is_failure, cached),
            messages: reader.document("messages"),
            response: reader.document("response"),
            proxy_server_request: reader.document("proxy_server_request"),
            request_id,
            api_key,
        })
    }

    /// The distinct string tags, in the order they were sent.
    pub fn tags(&self) -> Vec<Text<'a>> {
        let mut tags: Vec<Text<'a>> = Vec::new();
        if let Json::Array(items) = &self.request_tags {
            for item in items {
                if let Json::Str(tag) = item {
                    let tag = fit_id(tag.clone());
                    if !tags.contains(&tag) {
                        tags.push(tag);
                    }
                }
            }
        }
        tags
    }
}

#[cfg(test)]
mod tests;
