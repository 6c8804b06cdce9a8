//! The typed spend record: one finished LLM request, read from a sanitised document in either of LiteLLM's shapes. A
//! `StandardLoggingPayload` has `id` and no `request_id`; any other document is read as a SpendLogs row. The rules
//! follow LiteLLM's `spend_tracking_utils.get_logging_payload`.

use std::borrow::Cow;

use crate::allowed::sanitise::is_failure;
use crate::error::RecordError;
use crate::json::Json;
use crate::moment::Moment;
use identity::Claim;
use reader::Reader;

mod attributes;
pub mod background;
mod groups;
mod holder;
pub mod identity;
pub mod log_row;
mod metadata;
mod reader;

#[cfg(test)]
mod tests;

pub use groups::{Call, CallOrigin, Documents, Identity, Outcome, Savings, Timing, Usage};
pub use holder::Holder;

type Text<'a> = Cow<'a, str>;

/// The call type under which LiteLLM records the cost of a batch, each time that the batch is retrieved.
pub const BATCH_COST: &str = "aretrieve_batch";
/// How many distinct names of each list (tags, tools, access groups) count: the first ones, in the list's order. Each
/// name is a row or two of LiteLLM's tables, and a person's request has only a handful.
pub const MOST_NAMES: usize = 100;
const CACHE_READ: &str = "cache_read_input_tokens";
const CACHE_CREATION: &str = "cache_creation_input_tokens";

/// One finished LLM request. Empty text means that there is no value, as in LiteLLM's tables.
#[derive(Debug, Clone, PartialEq)]
pub struct SpendRecord<'a> {
    /// The id of the request. It is never empty and has at most 1 kB.
    pub request_id: Text<'a>,
    /// LiteLLM's id of the call.
    pub litellm_call_id: Option<Text<'a>>,
    pub identity: Identity<'a>,
    pub usage: Usage,
    pub timing: Timing,
    pub call: Call<'a>,
    pub outcome: Outcome,
    pub documents: Documents<'a>,
}

/// Shortens an id to at most 1 kB. A longer id keeps its beginning, followed by a hash of the whole id.
pub fn fit_id(id: Text<'_>) -> Text<'_> {
    reader::fit(id, reader::LONGEST_ID)
}

impl<'a> SpendRecord<'a> {
    /// Whether the record counts as a request: a caller made it, and it is not an attempt of a call that has another
    /// record.
    pub fn counts_as_request(&self) -> bool {
        self.outcome.call_origin == CallOrigin::Caller && !self.outcome.is_billed_retry
    }

    /// Whether the record tells the cost of work in the background. Every retrieval of such work tells its cost.
    pub fn is_cost_of_work(&self) -> bool {
        !self.outcome.is_failure && background::is_cost(&self.call.call_type, &self.request_id)
    }

    /// What tells a repetition of this request from another request with the same id; `None` without a call id. Work in
    /// the background costs once, whichever call reported it.
    pub fn holder(&self) -> Option<Holder<'a>> {
        self.held_from(self.timing.start)
    }

    /// The holder that a log row shows if LiteLLM's proxy wrote the row. Prisma cuts a start to milliseconds, while
    /// Postgres rounds it.
    pub fn holder_in_proxys_row(&self) -> Option<Holder<'a>> {
        self.held_from(self.timing.start.cut_to_millis())
    }

    fn held_from(&self, start: Moment) -> Option<Holder<'a>> {
        if self.is_cost_of_work() {
            return Some(Holder::of_call(self.request_id.clone()));
        }
        Some(Holder::of(&self.request_id, self.litellm_call_id.clone()?, start))
    }

    /// Reads a sanitised document.
    ///
    /// # Errors
    /// The document is not an object, or lacks a request id, a start time or (unless the request failed) a cost, or one
    /// of these has the wrong type.
    pub fn decode(json: &Json<'a>) -> Result<Self, RecordError> {
        let reader = Reader::new(json)?;
        let is_failure = is_failure(json);
        let start = reader.time("startTime")?.ok_or(RecordError::Missing { key: "startTime", what: "start time" })?;
        let end = reader.time("endTime")?.unwrap_or(start);
        let request_id = reader.request_id(is_failure)?;
        let api_key = reader.api_key();
        let made_outside_proxy = reader.is_marked("made_outside_proxy");
        let (model, model_group) = (reader.name("model"), reader.name("model_group"));
        let has_no_group = made_outside_proxy && model_group.is_empty();
        let mcp_namespaced_tool_name = reader.mcp_tool();
        let request_tags = reader.request_tags();
        let tags = attributes::tags(&request_tags);
        let tools = reader.tools(mcp_namespaced_tool_name.as_ref());
        let model_access_groups = reader.model_access_groups();
        let (user, user_is_claimed) = reader.user();
        let (team_id, team_is_claimed) = reader.team();
        let claim = Claim {
            user: user_is_claimed,
            team: team_is_claimed,
            key_is_described: reader.has_key_alias(),
            active_key: None,
        };
        let cache_read_input_tokens = reader.cache_tokens(CACHE_READ, &["cached_tokens"]);
        let cache_creation_input_tokens =
            reader.cache_tokens(CACHE_CREATION, &["cache_write_tokens", "cache_creation_tokens"]);
        let cached = [(CACHE_READ, cache_read_input_tokens), (CACHE_CREATION, cache_creation_input_tokens)];
        Ok(SpendRecord {
            litellm_call_id: reader.first_id(&["litellm_call_id"], &["litellm_call_id"]),
            usage: Usage {
                spend: reader.spend(is_failure)?,
                total_tokens: reader.count("total_tokens"),
                prompt_tokens: reader.count("prompt_tokens"),
                completion_tokens: reader.count("completion_tokens"),
                cache_read_input_tokens,
                cache_creation_input_tokens,
                savings: reader.savings(),
            },
            timing: Timing {
                start,
                end,
                completion_start: reader.time("completionStartTime")?,
                request_duration_ms: reader.duration_ms(start, end),
            },
            call: Call {
                call_type: reader.name("call_type"),
                model_id: reader.name("model_id"),
                model_group: if has_no_group { model.clone() } else { model_group },
                model,
                custom_llm_provider: reader.name("custom_llm_provider"),
                api_base: reader.name("api_base"),
                cache_hit: reader.cache_hit(),
                cache_key: reader.cache_key(),
                session_id: reader.session_id(&request_id),
                requester_ip_address: reader.first_id(&["requester_ip_address"], &["requester_ip_address"]),
            },
            outcome: Outcome {
                is_failure,
                status_code: reader.status_code(),
                call_origin: reader.call_origin(),
                is_billed_retry: reader.is_marked("billed_retry_attempt"),
                made_outside_proxy,
            },
            documents: Documents {
                metadata: metadata::for_log_row(&reader, &api_key, is_failure, cached),
                messages: reader.document("messages"),
                response: reader.document("response"),
                proxy_server_request: reader.document("proxy_server_request"),
            },
            identity: Identity {
                user,
                team_id,
                organization_id: reader.first_id(&["organization_id"], &["user_api_key_org_id"]).unwrap_or_default(),
                end_user: reader.end_user(),
                project_id: reader.first_id(&["project_id"], &["user_api_key_project_id"]).unwrap_or_default(),
                proxy_budget_name: reader.first_id(&["proxy_budget_name"], &[]).unwrap_or_default(),
                agent_id: reader.first_id(&["agent_id"], &["agent_id"]),
                billing_agent_id: reader.first_id(&["billing_agent_id"], &["billing_agent_id"]),
                claim,
                names_not_counted: tags.beyond + tools.beyond + model_access_groups.beyond,
                model_access_groups: model_access_groups.names,
                tools: tools.names,
                mcp_namespaced_tool_name,
                request_tags,
                tags: tags.names,
                api_key,
            },
            request_id,
        })
    }
}
