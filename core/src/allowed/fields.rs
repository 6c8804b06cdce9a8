//! The allow list: every field of a spend record that may be stored, at every level. A key that is not on the list is
//! dropped before anything is written, so that no prompt, response, header, credential or traceback reaches a table or
//! WAL. The names are LiteLLM's: the SpendLogs row and its metadata (`SpendLogsPayload`, `SpendLogsMetadata`) and
//! `StandardLoggingPayload`.

use std::cmp::Ordering;

/// The kind of value that may stand under a known key.
#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// A string, number, boolean or null.
    Scalar,
    /// A number, boolean or null; never text.
    Number,
    /// A list of scalars, or JSON text of such a list.
    Scalars,
    /// An API key. It is hashed unless it is a hash already.
    ApiKey,
    /// A URL. It is stored without user, password, query and fragment.
    Url,
    /// A model name. In a failed request it may be a prompt that was sent as the model by mistake.
    Model,
    /// The name of a group of models. It may repeat such a prompt.
    ModelGroup,
    /// An object with these members, or JSON text of such an object.
    Members(Fields),
    /// The user's own data, stored as it is.
    Any,
    /// A prompt or a response. It is stored only with `litellm_spend.store_prompts`.
    Prompt,
    /// The body of the request, or JSON text of it. It is stored like a prompt, without the credentials in it.
    RequestBody,
}

/// Keys and their rules, in the order in which jsonb sorts keys.
pub type Fields = &'static [(&'static str, Rule)];

/// The key of metadata under which a record that was larger than its bounds names what it lost (see [`super::bounds`]).
pub const DROPPED: &str = "litellm_spend_dropped";

/// The length in bytes that no key on the list exceeds.
pub const LONGEST_KEY: usize = 64;

/// The rule for `key`; `None` if `key` is not on the list.
pub fn rule(fields: Fields, key: &str) -> Option<&'static Rule> {
    entry(fields, key).map(|(_, rule)| rule)
}

/// The entry for `key`, which holds the key as it stands on the list and its rule; `None` if `key` is not on the list.
pub fn entry(fields: Fields, key: &str) -> Option<&'static (&'static str, Rule)> {
    let at = fields.binary_search_by(|(name, _)| in_jsonb(name.as_bytes(), key.as_bytes())).ok()?;
    Some(&fields[at])
}

/// Looks up keys that come in jsonb's order, in one pass over the list.
pub struct InOrder(Fields);

impl InOrder {
    /// Starts at the beginning of a list.
    pub fn new(fields: Fields) -> Self {
        InOrder(fields)
    }

    /// The rule for `key`; `None` if it is not on the list or does not come after the key of the previous call.
    pub fn rule(&mut self, key: &[u8]) -> Option<&'static Rule> {
        while let [(name, rule), rest @ ..] = self.0 {
            match in_jsonb(name.as_bytes(), key) {
                Ordering::Less => self.0 = rest,
                Ordering::Equal => return Some(rule),
                Ordering::Greater => return None,
            }
        }
        None
    }
}

/// Compares keys in jsonb's order: shorter keys first, then byte by byte.
fn in_jsonb(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Sorts a list of this file in jsonb's order. The lists of this file are written in an order that is easy to read.
const fn sorted<const N: usize>(mut fields: [(&'static str, Rule); N]) -> [(&'static str, Rule); N] {
    let mut sorted = 1;
    while sorted < N {
        let mut at = sorted;
        while at > 0 && comes_before(fields[at].0.as_bytes(), fields[at - 1].0.as_bytes()) {
            (fields[at], fields[at - 1]) = (fields[at - 1], fields[at]);
            at -= 1;
        }
        sorted += 1;
    }
    fields
}

/// Whether `a` comes before `b` in jsonb's order. The compiler can evaluate it, unlike `in_jsonb`.
const fn comes_before(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while a.len() == b.len() && at < a.len() && a[at] == b[at] {
        at += 1;
    }
    if a.len() == b.len() { at < a.len() && a[at] < b[at] } else { a.len() < b.len() }
}

use Rule::{Any, ApiKey, Members, Model, ModelGroup, Number, Prompt, RequestBody, Scalar, Scalars, Url};

/// A spend record in either shape, with the fields that only litellm_spend's client sends.
pub const RECORD: Fields = &sorted([
    ("request_id", Scalar),
    ("id", Scalar),
    ("litellm_call_id", Scalar),
    ("call_type", Scalar),
    ("status", Scalar),
    ("startTime", Scalar),
    ("endTime", Scalar),
    ("completionStartTime", Scalar),
    ("request_duration_ms", Number),
    ("spend", Number),
    ("response_cost", Number),
    ("total_tokens", Number),
    ("prompt_tokens", Number),
    ("completion_tokens", Number),
    ("model", Model),
    ("model_id", Scalar),
    ("model_group", ModelGroup),
    ("custom_llm_provider", Scalar),
    ("api_base", Url),
    ("api_key", ApiKey),
    ("user_api_key", ApiKey),
    ("user", Scalar),
    ("team_id", Scalar),
    ("organization_id", Scalar),
    ("end_user", Scalar),
    ("agent_id", Scalar),
    ("billing_agent_id", Scalar),
    ("project_id", Scalar),
    ("proxy_budget_name", Scalar),
    ("metadata", Members(METADATA)),
    ("cache_hit", Scalar),
    ("cache_key", Scalar),
    ("request_tags", Scalars),
    ("session_id", Scalar),
    ("trace_id", Scalar),
    ("mcp_namespaced_tool_name", Scalar),
    ("requester_ip_address", Scalar),
    ("user_agent", Scalar),
    ("cost_breakdown", Members(COST_BREAKDOWN)),
    ("error_information", Members(ERROR_INFORMATION)),
    ("model_map_information", Members(MODEL_MAP)),
    ("request_model_access_groups", Scalars),
    ("internal_call_origin", Scalar),
    ("billed_retry_attempt", Number),
    ("made_outside_proxy", Number),
    ("tool_calls", Scalars),
    ("compression_saved_tokens", Number),
    ("compression_savings_spend", Number),
    ("prompt_caching_savings_spend", Number),
    ("gateway_injected_caching_savings_spend", Number),
    ("autorouter_savings_spend", Number),
    ("messages", Prompt),
    ("response", Prompt),
    ("proxy_server_request", RequestBody),
]);

const METADATA: Fields = &sorted([
    ("user_api_key", ApiKey),
    ("user_api_key_hash", ApiKey),
    ("user_api_key_alias", Scalar),
    ("user_api_key_user_id", Scalar),
    ("user_api_key_user_email", Scalar),
    ("user_api_key_team_id", Scalar),
    ("user_api_key_team_alias", Scalar),
    ("user_api_key_org_id", Scalar),
    ("user_api_key_org_alias", Scalar),
    ("user_api_key_project_id", Scalar),
    ("user_api_key_project_alias", Scalar),
    ("user_api_key_end_user_id", Scalar),
    ("team_id", Scalar),
    ("team_alias", Scalar),
    ("agent_id", Scalar),
    ("billing_agent_id", Scalar),
    ("actor_agent_id", Scalar),
    ("target_agent_id", Scalar),
    ("agent_execution_mode", Scalar),
    ("verified_human_user_id", Scalar),
    ("status", Scalar),
    ("litellm_call_id", Scalar),
    ("session_id", Scalar),
    ("trace_id", Scalar),
    ("usage_object", Members(USAGE)),
    ("additional_usage_values", Members(USAGE)),
    ("cost_breakdown", Members(COST_BREAKDOWN)),
    ("model_map_information", Members(MODEL_MAP)),
    ("error_information", Members(ERROR_INFORMATION)),
    ("mcp_tool_call_metadata", Members(MCP_TOOL_CALL)),
    ("spend_logs_metadata", Any),
    (DROPPED, Scalars),
    ("requester_ip_address", Scalar),
    ("user_agent", Scalar),
    ("applied_guardrails", Scalars),
    ("internal_call_origin", Scalar),
    ("billed_retry_attempt", Number),
    ("made_outside_proxy", Number),
    ("attempted_retries", Number),
    ("attempted_fallbacks", Number),
    ("max_retries", Number),
    ("original_model_group", ModelGroup),
    ("upstream_provider", Scalar),
    ("batch_models", Scalars),
    ("batch_successful_requests", Number),
    ("batch_failed_requests", Number),
    ("cold_storage_object_key", Scalar),
    ("litellm_overhead_time_ms", Number),
    ("litellm_gateway_injected_cache", Scalar),
    ("litellm_roi_estimator", Number),
    ("used_client_oauth_token", Number),
    ("azure_spillover", Members(&[("from_deployment", Scalar)])),
    ("tags", Scalars),
]);

const USAGE: Fields = &sorted([
    ("prompt_tokens", Number),
    ("completion_tokens", Number),
    ("total_tokens", Number),
    ("input_tokens", Number),
    ("output_tokens", Number),
    ("reasoning_tokens", Number),
    ("cache_read_input_tokens", Number),
    ("cache_creation_input_tokens", Number),
    ("cost", Number),
    ("is_byok", Number),
    ("cached_tokens", Number),
    ("prompt_cache_hit_tokens", Number),
    ("prompt_cache_miss_tokens", Number),
    ("output_image_count", Number),
    ("seconds", Number),
    ("batch_unknown_usage_requests", Number),
    ("service_tier", Scalar),
    ("inference_geo", Scalar),
    ("type", Scalar),
    ("prompt_tokens_details", Members(TOKEN_DETAILS)),
    ("completion_tokens_details", Members(TOKEN_DETAILS)),
    ("input_tokens_details", Members(TOKEN_DETAILS)),
    ("output_tokens_details", Members(TOKEN_DETAILS)),
    ("server_tool_use", Members(TOKEN_DETAILS)),
]);

const TOKEN_DETAILS: Fields = &sorted([
    ("cached_tokens", Number),
    ("cache_write_tokens", Number),
    ("cache_creation_tokens", Number),
    ("text_tokens", Number),
    ("audio_tokens", Number),
    ("image_tokens", Number),
    ("video_tokens", Number),
    ("reasoning_tokens", Number),
    ("accepted_prediction_tokens", Number),
    ("rejected_prediction_tokens", Number),
    ("character_count", Number),
    ("image_count", Number),
    ("video_length_seconds", Number),
    ("web_search_requests", Number),
    ("tool_search_requests", Number),
    ("browser_open_requests", Number),
    ("google_maps_grounding_requests", Number),
    ("tool_use_tokens", Number),
    ("initial_prompt_tokens", Number),
    ("audio_length_seconds", Number),
    ("query_count", Number),
    ("cache_type", Scalar),
    ("cache_creation_token_details", Members(CACHE_CREATION)),
]);

const CACHE_CREATION: Fields = &sorted([
    ("ephemeral_5m_input_tokens", Number),
    ("ephemeral_30m_input_tokens", Number),
    ("ephemeral_1h_input_tokens", Number),
    ("ephemeral_12h_input_tokens", Number),
]);

const COST_BREAKDOWN: Fields = &sorted([
    ("input_cost", Number),
    ("output_cost", Number),
    ("reasoning_cost", Number),
    ("guardrail_cost", Number),
    ("total_cost", Number),
    ("original_cost", Number),
    ("tool_usage_cost", Number),
    ("cache_read_cost", Number),
    ("cache_creation_cost", Number),
    ("discount_percent", Number),
    ("discount_amount", Number),
    ("margin_percent", Number),
    ("margin_fixed_amount", Number),
    ("margin_total_amount", Number),
    ("service_tier", Scalar),
    ("data_residency", Scalar),
    ("vertex_location", Scalar),
]);

/// The kind of an error and who caused it. Messages and tracebacks are left out, because they may quote the prompt.
const ERROR_INFORMATION: Fields = &sorted([
    ("error_code", Scalar),
    ("error_class", Scalar),
    ("llm_provider", Scalar),
    ("error_provider_request_id", Scalar),
    ("error_rate_limit_category", Scalar),
    ("error_rate_limit_type", Scalar),
    ("error_budget_entity_type", Scalar),
    ("error_budget_entity_id", Scalar),
    ("error_budget_limit", Number),
    ("error_budget_spend", Number),
    ("normalized_error", Scalar),
]);

/// Only the name. The entry of the price map beside it has 10 kB.
const MODEL_MAP: Fields = &sorted([("model_map_key", Scalar)]);

const MCP_TOOL_CALL: Fields =
    &sorted([("name", Scalar), ("namespaced_tool_name", Scalar), ("mcp_server_name", Scalar)]);

#[cfg(test)]
mod tests {
    use super::*;

    fn each_list(fields: Fields, visit: &mut impl FnMut(Fields)) {
        visit(fields);
        for (_, rule) in fields {
            if let Members(members) = rule {
                each_list(members, visit);
            }
        }
    }

    #[test]
    fn every_list_is_in_jsonbs_order_without_repetitions() {
        each_list(RECORD, &mut |fields| {
            for pair in fields.windows(2) {
                assert!(in_jsonb(pair[0].0.as_bytes(), pair[1].0.as_bytes()).is_lt(), "{} {}", pair[0].0, pair[1].0);
            }
            assert!(fields.iter().all(|(name, _)| name.len() <= LONGEST_KEY));
        });
    }

    #[test]
    fn keys_in_order_find_their_rules_in_one_pass() {
        each_list(RECORD, &mut |fields| {
            let mut all = InOrder::new(fields);
            assert!(
                fields.iter().all(|(name, wanted)| all.rule(name.as_bytes()).is_some_and(|r| std::ptr::eq(r, wanted)))
            );
            let mut unknown = InOrder::new(fields);
            assert!(unknown.rule(b"~").is_none() && unknown.rule(&[b'~'; 99]).is_none());
        });
    }
}
