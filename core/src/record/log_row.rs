//! The columns of a row of LiteLLM's log, and the part of a record that fills each.

use super::SpendRecord;
use crate::json::Json;
use crate::moment::Moment;

/// A column of the log.
#[derive(Clone, Copy)]
pub struct Column {
    /// The column's name.
    pub name: &'static str,
    /// What fills the column.
    pub value: Value,
    /// Whether the column decides how a request counts: for whom, on which day, how much.
    pub counts: bool,
}

/// How a record fills a column.
#[derive(Clone, Copy)]
pub enum Value {
    /// Text; empty if there is no value.
    Text(for<'r> fn(&'r SpendRecord<'r>) -> &'r str),
    /// Text; NULL if there is no value.
    OptionalText(for<'r> fn(&'r SpendRecord<'r>) -> Option<&'r str>),
    /// US dollars.
    Dollars(fn(&SpendRecord) -> f64),
    /// A `bigint`, or an `integer` in LiteLLM's older logs.
    Count(fn(&SpendRecord) -> i64),
    /// A time in UTC; NULL if there is no value.
    Time(fn(&SpendRecord) -> Option<Moment>),
    /// A JSON document. `{}` stands for no document, because LiteLLM stores that in place of a prompt that it does not
    /// keep.
    Document(for<'r> fn(&'r SpendRecord<'r>) -> Option<&'r Json<'r>>),
}

use Value::{Count, Document, Dollars, OptionalText, Text, Time};

/// A column that decides how a request counts.
const fn counted(name: &'static str, value: Value) -> Column {
    Column { name, value, counts: true }
}

/// A column that nothing but people reads.
const fn shown(name: &'static str, value: Value) -> Column {
    Column { name, value, counts: false }
}

/// The columns that a fold fills if the log has them.
pub const COLUMNS: [Column; 34] = [
    counted("request_id", Text(|r| &r.request_id)),
    counted("call_type", Text(|r| &r.call.call_type)),
    counted("api_key", Text(|r| &r.identity.api_key)),
    counted("spend", Dollars(|r| r.usage.spend)),
    counted("total_tokens", Count(|r| r.usage.total_tokens)),
    counted("prompt_tokens", Count(|r| r.usage.prompt_tokens)),
    counted("completion_tokens", Count(|r| r.usage.completion_tokens)),
    counted("startTime", Time(|r| Some(r.timing.start))),
    counted("endTime", Time(|r| Some(r.timing.end))),
    shown("completionStartTime", Time(|r| r.timing.completion_start)),
    counted("request_duration_ms", Count(|r| r.timing.request_duration_ms)),
    counted("model", Text(|r| &r.call.model)),
    shown("model_id", Text(|r| &r.call.model_id)),
    counted("model_group", Text(|r| &r.call.model_group)),
    counted("custom_llm_provider", Text(|r| &r.call.custom_llm_provider)),
    shown("api_base", Text(|r| &r.call.api_base)),
    counted("user", Text(|r| &r.identity.user)),
    counted("team_id", Text(|r| &r.identity.team_id)),
    counted("organization_id", Text(|r| &r.identity.organization_id)),
    counted("end_user", Text(|r| &r.identity.end_user)),
    counted("agent_id", OptionalText(|r| r.identity.agent_id.as_deref())),
    shown("billing_agent_id", OptionalText(|r| r.identity.billing_agent_id.as_deref())),
    counted("metadata", Document(|r| Some(&r.documents.metadata))),
    shown("cache_hit", Text(|r| &r.call.cache_hit)),
    shown("cache_key", Text(|r| &r.call.cache_key)),
    counted("request_tags", Document(|r| Some(&r.identity.request_tags))),
    shown("requester_ip_address", OptionalText(|r| r.call.requester_ip_address.as_deref())),
    shown("session_id", OptionalText(|r| r.call.session_id.as_deref())),
    counted("status", Text(|r| if r.outcome.is_failure { "failure" } else { "success" })),
    counted("mcp_namespaced_tool_name", OptionalText(|r| r.identity.mcp_namespaced_tool_name.as_deref())),
    shown("litellm_call_id", OptionalText(|r| r.litellm_call_id.as_deref())),
    shown("messages", Document(|r| r.documents.messages.as_ref())),
    shown("response", Document(|r| r.documents.response.as_ref())),
    shown("proxy_server_request", Document(|r| r.documents.proxy_server_request.as_ref())),
];
