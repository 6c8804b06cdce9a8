"""The verdict of each golden case, in both shapes: one line a case.

Every case is compared in every table of this slice. `equal` says that nothing may differ from LiteLLM's
result; `different` lists why, and by which rules, a better value is asserted instead; `not_here` says
which of LiteLLM's targets or steps the case is about, and that this slice lacks; the rules then say
what follows for the tables that are compared. Tables that do not exist here are in
`expectation.NOT_WRITTEN`.
"""

from __future__ import annotations

from dataclasses import dataclass

from .expected import Rule
from .rules import (
    clamped_log_row,
    created,
    each_string_tag_once,
    empty_ids_are_missing,
    identity_as_sent,
    long_ids_are_cut,
    no_estimated_tokens,
    no_proxy_budget,
    no_router_attempts,
    one_key,
    recorded_without_identity,
    reused_id_is_logged,
    sdk_user,
    sync_endpoint,
)


@dataclass(frozen=True)
class Verdict:
    kind: str
    rules: tuple[Rule, ...] = ()
    lacks: str = ""


EQUAL = Verdict("equal")


def different(*rules: Rule) -> Verdict:
    return Verdict("different on purpose", rules)


def not_here(lacks: str, *rules: Rule) -> Verdict:
    return Verdict("not in this slice", rules, lacks)


# Cases of which LiteLLM records nothing, because their cost is no number: here the record is rejected.
REJECTED = {"nan_cost_in_slo", "none_cost_in_slo"}

VERDICTS = {
    "basic_full_identity": different(created),
    "user_only": EQUAL,
    "key_only_resolved_from_key_row": not_here("identity from the key's row", identity_as_sent),
    "key_only_org_from_key": not_here("identity from the key's row", identity_as_sent),
    "key_plus_user_no_resolution": EQUAL,
    "key_only_unknown_key": EQUAL,
    "key_raw_sk": EQUAL,
    "key_non_sk_plain_string": EQUAL,
    "key_hash_without_user_api_key_hash_marker": different(one_key),
    "end_user_only_new_is_created": EQUAL,
    "agent_only": not_here("LiteLLM_AgentsTable, LiteLLM_DailyAgentSpend"),
    "org_only_not_tracked": different(recorded_without_identity),
    "tags_only_not_tracked": different(recorded_without_identity),
    "no_identity_not_tracked": different(recorded_without_identity),
    "sdk_user_param_only_not_tracked": different(recorded_without_identity, sdk_user, created),
    "unknown_entities": different(created),
    "team_member_on_roster_created": not_here("LiteLLM_TeamMembership"),
    "team_member_not_on_roster": not_here("LiteLLM_TeamMembership"),
    "team_member_total_spend_floor": not_here("LiteLLM_TeamMembership"),
    "key_total_spend_no_floor": EQUAL,
    "ids_with_double_colon": not_here("LiteLLM_TeamMembership"),
    "empty_string_ids": different(empty_ids_are_missing, identity_as_sent),
    "unicode_ids": different(created),
    "org_member": not_here("LiteLLM_OrganizationMembership"),
    "project_via_metadata": not_here("LiteLLM_ProjectTable"),
    "model_access_group": not_here("LiteLLM_ModelAccessGroupBudgetTable"),
    "global_proxy_budget_user": not_here("the proxy's own budget", no_proxy_budget),
    "key_hash_only_no_user_api_key": different(one_key),
    "tags_unicode_long": different(long_ids_are_cut, created),
    "tags_empty_list": EQUAL,
    "tags_duplicates": different(each_string_tag_once),
    "tags_non_string": different(each_string_tag_once),
    "tags_not_a_list": EQUAL,
    "tags_user_agent_from_proxy_request": different(created),
    "zero_cost_unknown_model": EQUAL,
    "custom_price_leaks_to_next_call": EQUAL,
    "huge_cost": EQUAL,
    "tiny_cost": EQUAL,
    "negative_cost": EQUAL,
    "nan_cost": EQUAL,
    "nan_cost_in_slo": EQUAL,
    "none_cost_in_slo": EQUAL,
    "float_sum_three": EQUAL,
    "cached_tokens_openai": EQUAL,
    "cache_tokens_anthropic": EQUAL,
    "int4_overflow_tokens": different(clamped_log_row),
    "stream_async": EQUAL,
    "aembedding": EQUAL,
    "atext_completion": EQUAL,
    "tool_calls": not_here("LiteLLM_DailyToolSpend, LiteLLM_SpendLogToolIndex"),
    "mcp_tool_call": not_here("LiteLLM_DailyToolSpend, LiteLLM_SpendLogToolIndex"),
    "model_with_provider_prefix": EQUAL,
    "model_bedrock_prefixed": EQUAL,
    "router_alias": not_here("the router's attempts", no_router_attempts),
    "router_two_groups_same_model": not_here("the router's attempts", no_router_attempts),
    "session_id_metadata": EQUAL,
    "requester_ip_and_spend_logs_metadata": EQUAL,
    "internal_call_origin": EQUAL,
    "store_prompts": EQUAL,
    "duplicate_request_id": different(reused_id_is_logged),
    "n_choices": EQUAL,
    "midnight_start_exact": EQUAL,
    "two_days_in_one_flush": EQUAL,
    "naive_local_time_la": EQUAL,
    "zero_duration": EQUAL,
    "failure_rate_limit": different(no_estimated_tokens),
    "failure_internal_server_error": different(no_estimated_tokens),
    "failure_generic_exception": different(no_estimated_tokens),
    "failure_no_identity": different(no_estimated_tokens),
    "failure_prompt_shaped_model": EQUAL,
    "null_vs_empty_merge": different(sync_endpoint),
    "two_flushes_same_key": EQUAL,
}
