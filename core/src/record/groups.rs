//! The fields of a spend record, by what they tell. Empty text means "none", as in LiteLLM's tables.

use std::borrow::Cow;

use super::identity::Claim;
use crate::json::Json;
use crate::moment::Moment;

type Text<'a> = Cow<'a, str>;

/// On whose account a request counts, and under which names.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity<'a> {
    /// A hash or a service alias, never a raw key.
    pub api_key: Text<'a>,
    pub user: Text<'a>,
    pub team_id: Text<'a>,
    pub organization_id: Text<'a>,
    pub end_user: Text<'a>,
    pub project_id: Text<'a>,
    /// The user row by which a proxy enforces a budget of its own, charged beside the user.
    pub proxy_budget_name: Text<'a>,
    pub agent_id: Option<Text<'a>>,
    pub billing_agent_id: Option<Text<'a>>,
    /// What the record says of who is charged, and how sure it is of that.
    pub claim: Claim<'a>,
    /// Distinct names, `MOST_NAMES` at most.
    pub model_access_groups: Vec<Text<'a>>,
    /// Tools that the request called, the MCP tool first; distinct, `MOST_NAMES` at most.
    pub tools: Vec<Text<'a>>,
    pub mcp_namespaced_tool_name: Option<Text<'a>>,
    /// As sent, for the log row.
    pub request_tags: Json<'a>,
    /// The distinct string tags, in the order they were sent, `MOST_NAMES` at most.
    pub tags: Vec<Text<'a>>,
    /// Distinct tags, tools and access groups beyond `MOST_NAMES` of each.
    pub names_not_counted: usize,
}

/// What a request cost and used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// US dollars, finite; may be negative.
    pub spend: f64,
    pub total_tokens: i64,
    pub prompt_tokens: i64,
    pub completion_tokens: i64,
    pub cache_read_input_tokens: i64,
    pub cache_creation_input_tokens: i64,
    pub savings: Savings,
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

/// When a request was made, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    pub start: Moment,
    pub end: Moment,
    pub completion_start: Option<Moment>,
    /// Milliseconds.
    pub request_duration_ms: i64,
}

/// Which model was called, and how.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Call<'a> {
    pub call_type: Text<'a>,
    pub model: Text<'a>,
    pub model_id: Text<'a>,
    /// Of a request that was made outside a proxy the model, where it names no group.
    pub model_group: Text<'a>,
    pub custom_llm_provider: Text<'a>,
    pub api_base: Text<'a>,
    /// `None`, `True` or `False`, as Python prints them.
    pub cache_hit: Text<'a>,
    pub cache_key: Text<'a>,
    pub session_id: Option<Text<'a>>,
    pub requester_ip_address: Option<Text<'a>>,
}

/// How a request ended, and whether it counts as one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    pub is_failure: bool,
    /// HTTP status of a failed request, 100 to 599; 0 where none is known.
    pub status_code: i32,
    pub call_origin: CallOrigin,
    /// An attempt of a call that has another record.
    pub is_billed_retry: bool,
    /// The client marked it: no LiteLLM proxy answered it, so none counts it as a request.
    pub made_outside_proxy: bool,
}

/// Who made a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOrigin {
    /// The caller: it counts as a request.
    Caller,
    /// LiteLLM itself, on the caller's account: it costs, but is no request.
    Internal,
    /// LiteLLM's poll for the cost of a background response, which model usage shows too.
    CostPoll,
}

/// What the log row shows of the request and its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Documents<'a> {
    pub metadata: Json<'a>,
    pub messages: Option<Json<'a>>,
    pub response: Option<Json<'a>>,
    pub proxy_server_request: Option<Json<'a>>,
}
