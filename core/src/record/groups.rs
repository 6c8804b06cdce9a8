//! The fields of a spend record, grouped by what they tell. Empty text means that there is no value, as in LiteLLM's
//! tables.

use std::borrow::Cow;

use super::identity::Claim;
use crate::json::Json;
use crate::moment::Moment;

type Text<'a> = Cow<'a, str>;

/// Who is charged for a request, and the names under which it counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity<'a> {
    /// The hash of the API key, or a service alias; never a raw key.
    pub api_key: Text<'a>,
    /// The user who is charged.
    pub user: Text<'a>,
    /// The team that is charged.
    pub team_id: Text<'a>,
    /// The organization that is charged.
    pub organization_id: Text<'a>,
    /// The customer of the application, LiteLLM's end user.
    pub end_user: Text<'a>,
    /// The project that is charged.
    pub project_id: Text<'a>,
    /// A user row that holds a proxy's own budget. It is charged in addition to the user.
    pub proxy_budget_name: Text<'a>,
    /// The agent that is charged.
    pub agent_id: Option<Text<'a>>,
    /// LiteLLM's `billing_agent_id`, for the log row only.
    pub billing_agent_id: Option<Text<'a>>,
    /// What the record says about who is charged, and how sure that is.
    pub claim: Claim<'a>,
    /// The distinct access groups, at most `MOST_NAMES`.
    pub model_access_groups: Vec<Text<'a>>,
    /// The distinct tools that the request called, the MCP tool first; at most `MOST_NAMES`.
    pub tools: Vec<Text<'a>>,
    /// The MCP tool that the request called, with the name of its server.
    pub mcp_namespaced_tool_name: Option<Text<'a>>,
    /// The tags as they were sent, for the log row.
    pub request_tags: Json<'a>,
    /// The distinct string tags, in the order in which they were sent; at most `MOST_NAMES`.
    pub tags: Vec<Text<'a>>,
    /// How many distinct tags, tools and access groups follow the first `MOST_NAMES` of each.
    pub names_not_counted: usize,
}

/// What a request cost and used. A count of tokens may be negative.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// The cost in US dollars. It is finite and may be negative.
    pub spend: f64,
    /// Tokens of the prompt and the completion together, as the record says.
    pub total_tokens: i64,
    /// Tokens of the prompt.
    pub prompt_tokens: i64,
    /// Tokens of the completion.
    pub completion_tokens: i64,
    /// Tokens that were read from the prompt cache.
    pub cache_read_input_tokens: i64,
    /// Tokens that were written to the prompt cache.
    pub cache_creation_input_tokens: i64,
    /// What the request saved.
    pub savings: Savings,
}

/// What caching, compression and routing saved: `compression_tokens` in tokens, the other fields in US dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Savings {
    pub compression_tokens: i64,
    pub compression: f64,
    pub prompt_caching: f64,
    pub gateway_injected_caching: f64,
    pub autorouter: f64,
}

/// When a request was made, and how long it took. A moment has microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    pub start: Moment,
    pub end: Moment,
    pub completion_start: Option<Moment>,
    /// The duration in milliseconds. It may be negative.
    pub request_duration_ms: i64,
}

/// Which model was called, and how.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Call<'a> {
    pub call_type: Text<'a>,
    pub model: Text<'a>,
    pub model_id: Text<'a>,
    /// The group of the model. A request from outside a proxy that names no group has the model here.
    pub model_group: Text<'a>,
    pub custom_llm_provider: Text<'a>,
    pub api_base: Text<'a>,
    /// `None`, `True` or `False`, as Python prints them.
    pub cache_hit: Text<'a>,
    pub cache_key: Text<'a>,
    pub session_id: Option<Text<'a>>,
    pub requester_ip_address: Option<Text<'a>>,
}

/// How a request ended, and whether it counts as a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    pub is_failure: bool,
    /// The HTTP status of a failed request, 100 to 599; 0 if none is known.
    pub status_code: i32,
    /// Who made the call.
    pub call_origin: CallOrigin,
    /// Whether the record is an attempt of a call that has another record.
    pub is_billed_retry: bool,
    /// Whether the client marked the request as made outside a proxy. No LiteLLM proxy counts such a request.
    pub made_outside_proxy: bool,
}

/// Who made a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOrigin {
    /// The caller made it, so it counts as a request.
    Caller,
    /// LiteLLM made it on the caller's account. It costs money, but it is not a request.
    Internal,
    /// LiteLLM polled for the cost of a background response. Model usage shows this call too.
    CostPoll,
}

/// The documents of the log row, each named after its column. A prompt or an answer is `None` if it is not stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Documents<'a> {
    pub metadata: Json<'a>,
    pub messages: Option<Json<'a>>,
    pub response: Option<Json<'a>>,
    pub proxy_server_request: Option<Json<'a>>,
}
