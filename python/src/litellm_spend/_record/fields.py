"""The allow list: every field of a StandardLoggingPayload that is sent, at every level.

A key that is not here is never sent. So no prompt, response, header, credential or traceback is sent.
The server has a list of its own and drops what it does not know. This list saves network traffic.
`None` means a string, number or boolean, and `LIST` a list of those. `ID` means a value that `ids` turns into text,
and `IDS` a list of those. A dict means an object with these members. `ANY` means the user's own data, limited in size.
"""

from __future__ import annotations

from typing import Any, Final

LIST: Final = "list"
ID: Final = "id"
IDS: Final = "ids"
ANY: Final = "any"
Fields = dict[str, Any]


class Counts(dict[str, Any]):
    """The fields of an object of counts and prices. LiteLLM keeps no text of a request or an error in it."""


_CACHE_CREATION: Final = Counts.fromkeys(
    (
        "ephemeral_5m_input_tokens",
        "ephemeral_30m_input_tokens",
        "ephemeral_1h_input_tokens",
        "ephemeral_12h_input_tokens",
    )
)

_TOKEN_DETAILS: Final = Counts(
    {
        **dict.fromkeys(
            (
                "cached_tokens",
                "cache_write_tokens",
                "cache_creation_tokens",
                "text_tokens",
                "audio_tokens",
                "image_tokens",
                "video_tokens",
                "reasoning_tokens",
                "accepted_prediction_tokens",
                "rejected_prediction_tokens",
                "character_count",
                "image_count",
                "video_length_seconds",
                "web_search_requests",
                "tool_search_requests",
                "browser_open_requests",
                "google_maps_grounding_requests",
                "tool_use_tokens",
                "initial_prompt_tokens",
                "audio_length_seconds",
                "query_count",
                "cache_type",
            )
        ),
        "cache_creation_token_details": _CACHE_CREATION,
    }
)

_USAGE: Final = Counts(
    {
        **dict.fromkeys(
            (
                "prompt_tokens",
                "completion_tokens",
                "total_tokens",
                "input_tokens",
                "output_tokens",
                "reasoning_tokens",
                "cache_read_input_tokens",
                "cache_creation_input_tokens",
                "cost",
                "is_byok",
                "cached_tokens",
                "prompt_cache_hit_tokens",
                "prompt_cache_miss_tokens",
                "output_image_count",
                "seconds",
                "batch_unknown_usage_requests",
                "service_tier",
                "inference_geo",
                "type",
            )
        ),
        "prompt_tokens_details": _TOKEN_DETAILS,
        "completion_tokens_details": _TOKEN_DETAILS,
        "input_tokens_details": _TOKEN_DETAILS,
        "output_tokens_details": _TOKEN_DETAILS,
        "server_tool_use": _TOKEN_DETAILS,
    }
)

_COST_BREAKDOWN: Final = Counts.fromkeys(
    (
        "input_cost",
        "output_cost",
        "reasoning_cost",
        "guardrail_cost",
        "total_cost",
        "original_cost",
        "tool_usage_cost",
        "cache_read_cost",
        "cache_creation_cost",
        "discount_percent",
        "discount_amount",
        "margin_percent",
        "margin_fixed_amount",
        "margin_total_amount",
        "service_tier",
        "data_residency",
        "vertex_location",
    )
)

_MCP_TOOL_CALL: Final[Fields] = dict.fromkeys(("name", "namespaced_tool_name", "mcp_server_name"))

METADATA: Final[Fields] = {
    **dict.fromkeys(
        (
            "user_api_key_alias",
            "user_api_key_user_id",
            "user_api_key_user_email",
            "user_api_key_team_id",
            "user_api_key_team_alias",
            "user_api_key_org_id",
            "user_api_key_org_alias",
            "user_api_key_project_id",
            "user_api_key_project_alias",
            "user_api_key_end_user_id",
            "team_id",
            "team_alias",
        ),
        ID,
    ),
    **dict.fromkeys(("requester_ip_address", "user_agent", "cold_storage_object_key", "used_client_oauth_token")),
    "usage_object": _USAGE,
    "mcp_tool_call_metadata": _MCP_TOOL_CALL,
    "applied_guardrails": LIST,
    "spend_logs_metadata": ANY,
}

# LiteLLM's `StandardLoggingPayload` (litellm/types/utils.py).
RECORD: Final[Fields] = {
    **dict.fromkeys(("id", "litellm_call_id", "trace_id", "session_id", "model_id", "end_user"), ID),
    **dict.fromkeys(
        (
            "call_type",
            "status",
            "startTime",
            "endTime",
            "completionStartTime",
            "response_cost",
            "total_tokens",
            "prompt_tokens",
            "completion_tokens",
            "model",
            "model_group",
            "custom_llm_provider",
            "api_base",
            "cache_hit",
            "cache_key",
            "requester_ip_address",
            "user_agent",
        )
    ),
    "metadata": METADATA,
    "cost_breakdown": _COST_BREAKDOWN,
    # The kind and source of an error. The message and the traceback are not sent, because they may quote the prompt.
    "error_information": dict.fromkeys(
        (
            "error_code",
            "error_class",
            "llm_provider",
            "error_provider_request_id",
            "error_rate_limit_category",
            "error_rate_limit_type",
            "error_budget_entity_type",
            "error_budget_entity_id",
            "error_budget_limit",
            "error_budget_spend",
            "normalized_error",
        )
    ),
    # Only the name is sent, because the price map's entry beside it has up to 10 kB.
    "model_map_information": dict.fromkeys(("model_map_key",)),
    "request_tags": IDS,
    "request_model_access_groups": IDS,
}

# The members of the payload's `hidden_params` that LiteLLM's proxy puts into the log row's metadata.
HIDDEN: Final[Fields] = {
    **dict.fromkeys(
        ("litellm_overhead_time_ms", "upstream_provider", "batch_successful_requests", "batch_failed_requests")
    ),
    "batch_models": LIST,
}

# What only the request's own metadata holds, or what only it holds in every version of LiteLLM: the payload of 1.79
# lacks projects and the caller's team. `REQUEST` goes into the record, `REQUEST_METADATA` into its `metadata`.
REQUEST: Final[Fields] = {
    **dict.fromkeys(("agent_id", "billing_agent_id", "project_id"), ID),
    "internal_call_origin": None,
}
REQUEST_METADATA: Final[Fields] = {
    **dict.fromkeys(
        (
            "billed_retry_attempt",
            "attempted_retries",
            "max_retries",
            "attempted_fallbacks",
            "original_model_group",
            "agent_execution_mode",
        )
    ),
    **dict.fromkeys(
        (
            "user_api_key_org_alias",
            "user_api_key_project_id",
            "user_api_key_project_alias",
            "user_api_key_end_user_id",
            "team_id",
            "team_alias",
            "actor_agent_id",
            "target_agent_id",
            "verified_human_user_id",
        ),
        ID,
    ),
}
