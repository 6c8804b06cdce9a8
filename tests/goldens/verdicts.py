"""The verdict of each golden case, in both shapes, with one line for each case.

Every case is compared in every table that folds write. `equal` says that nothing may differ from
LiteLLM's result; `different` lists why, and by which rules, a better value is asserted instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from .expected import Rule
from .rules import (
    clamped_log_row,
    created,
    each_string_tag_once,
    empty_ids_are_missing,
    long_ids_are_cut,
    members_as_sent,
    no_estimated_tokens,
    no_proxy_budget,
    one_key,
    organization_of_team,
    recorded_without_identity,
    reused_id_is_logged,
    sdk_user,
    sync_endpoint,
)


@dataclass(frozen=True)
class Verdict:
    kind: str
    rules: tuple[Rule, ...] = ()


EQUAL = Verdict("equal")


def different(*rules: Rule) -> Verdict:
    return Verdict("different on purpose", rules)


# LiteLLM records nothing of these cases, because their cost is no number. We reject the record.
REJECTED = {"nan_cost_in_slo", "none_cost_in_slo"}

VERDICTS = {
    "basic_full_identity": different(created),
    "user_only": EQUAL,
    "key_only_resolved_from_key_row": EQUAL,
    "key_only_org_from_key": EQUAL,
    "key_plus_user_no_resolution": EQUAL,
    "key_only_unknown_key": EQUAL,
    "key_raw_sk": EQUAL,
    "key_non_sk_plain_string": EQUAL,
    "key_hash_without_user_api_key_hash_marker": different(one_key),
    "end_user_only_new_is_created": EQUAL,
    "agent_only": EQUAL,
    "org_only_not_tracked": different(recorded_without_identity),
    "tags_only_not_tracked": different(recorded_without_identity),
    "no_identity_not_tracked": different(recorded_without_identity),
    "sdk_user_param_only_not_tracked": different(recorded_without_identity, sdk_user, created),
    "unknown_entities": different(created),
    "team_member_on_roster_created": different(organization_of_team),
    "team_member_not_on_roster": different(organization_of_team),
    "team_member_total_spend_floor": different(organization_of_team),
    "key_total_spend_no_floor": EQUAL,
    "ids_with_double_colon": different(members_as_sent),
    "empty_string_ids": different(empty_ids_are_missing),
    "unicode_ids": different(created),
    "org_member": EQUAL,
    "project_via_metadata": EQUAL,
    "model_access_group": EQUAL,
    "global_proxy_budget_user": different(no_proxy_budget),
    "key_hash_only_no_user_api_key": different(one_key),
    "tags_unicode_long": different(long_ids_are_cut, created),
    "tags_empty_list": EQUAL,
    "tags_duplicates": different(each_string_tag_once),
    "tags_non_string": different(each_string_tag_once),
    "tags_not_a_list": EQUAL,
    "tags_user_agent_from_proxy_request": EQUAL,
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
    "tool_calls": EQUAL,
    "mcp_tool_call": EQUAL,
    "model_with_provider_prefix": EQUAL,
    "model_bedrock_prefixed": EQUAL,
    "router_alias": EQUAL,
    "router_two_groups_same_model": EQUAL,
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
