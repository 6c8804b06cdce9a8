"""Turns the failed request of a LiteLLM proxy into an event like those that LiteLLM gives its loggers.

The proxy calls a hook once per request, when its Router has given up. LiteLLM's own writer then writes one log row,
and one more for each attempt that the provider billed before. Source: `_ProxyDBLogger` of LiteLLM's
proxy_track_cost_callback.py. The body of a request may hold anything if its sender could not log in. So the key that
LiteLLM found says who is charged, and the cost comes only from fields that a client cannot set.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from .._record.ids import text_of
from . import proxy

Event = dict[str, Any]

_NOT_FOUND: Final = "ProxyModelNotFoundError"
_UNKNOWN_MODEL: Final = "unknown-model"
# The names in a record's metadata, and the attributes of LiteLLM's `UserAPIKeyAuth`.
_IDENTITY: Final = {
    "user_api_key_hash": "api_key",
    "user_api_key_alias": "key_alias",
    "user_api_key_user_id": "user_id",
    "user_api_key_user_email": "user_email",
    "user_api_key_team_id": "team_id",
    "user_api_key_team_alias": "team_alias",
    "user_api_key_org_id": "org_id",
    "user_api_key_org_alias": "organization_alias",
    "user_api_key_project_id": "project_id",
    "user_api_key_project_alias": "project_alias",
    "user_api_key_end_user_id": "end_user_id",
}
_OF_REQUEST: Final = ("requester_ip_address", "user_agent", "spend_logs_metadata")
# A route that keeps the caller's `metadata` has these in `litellm_metadata`.
_ROUTED: Final = ("model_group", "tags", "model_info", "deployment")
_TOKENS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")


def failure_events(request: Mapping[str, Any], error: BaseException, key: Any) -> Iterator[Event]:
    """The event of a failed request, and one event for each earlier attempt that the provider billed.

    `request`, `error` and `key` are what LiteLLM gives `async_post_call_failure_hook`.
    """
    if not proxy.logs_failures_of(getattr(key, "request_route", None), getattr(key, "team_id", None)):
        return
    if proxy.suppresses_failure(error, request):
        return
    identity = {name: getattr(key, attribute, None) for name, attribute in _IDENTITY.items()}
    if getattr(key, "is_session_token", False) and identity["user_api_key_alias"]:
        identity["user_api_key_hash"] = identity["user_api_key_alias"]
    event = _event(request, error, identity)
    yield event
    attempts = request.get("billed_failed_attempts")
    for position, attempt in enumerate(attempts if isinstance(attempts, tuple) else ()):
        yield _attempt(event, attempt, position)


def _event(request: Mapping[str, Any], error: BaseException, identity: Mapping[str, Any]) -> Event:
    payload = _mapping(request.get("standard_logging_object"))
    metadata = {**_metadata(request), **identity, "user_api_key": identity["user_api_key_hash"]}
    group = metadata.get("model_group") or payload.get("model_group") or ""
    model = payload.get("model") or request.get("model")
    if type(error).__name__ == _NOT_FOUND or not isinstance(model, str):
        # The name is no known model and may be a prompt, so LiteLLM logs this name instead.
        model, group = _UNKNOWN_MODEL, "" if group == request.get("model") else group
    call_id = text_of(request.get("litellm_call_id")) or str(uuid4())  # a body may hold any value
    start = request.get("start_time")
    usage, cost = _recovered(request, payload)
    of_payload = {name: value for name, value in _mapping(payload.get("metadata")).items() if name not in identity}
    seen = {name: metadata[name] for name in _OF_REQUEST if metadata.get(name) is not None}
    return {
        "call_type": request.get("call_type"),
        "litellm_call_id": call_id,
        "start_time": start if isinstance(start, datetime) else datetime.now(),
        "litellm_params": {"metadata": metadata, "preset_cache_key": proxy.cache_key(request)},
        "standard_logging_object": {
            **payload,
            "id": call_id,
            "litellm_call_id": call_id,
            "trace_id": payload.get("trace_id") or request.get("litellm_trace_id") or call_id,
            "call_type": request.get("call_type") or "",
            "status": "failure",
            "endTime": time.time(),
            "completionStartTime": time.time(),
            "model": model,
            "model_group": group,
            "custom_llm_provider": request.get("custom_llm_provider")
            or payload.get("custom_llm_provider")
            or proxy.provider_of_group(group),
            "cache_hit": False,
            "request_tags": metadata.get("tags") if payload.get("request_tags") is None else payload["request_tags"],
            "error_information": _error_information(error),
            "metadata": {**of_payload, **seen, **identity},
            **usage,
            "response_cost": cost,
        },
    }


def _attempt(event: Event, attempt: Any, position: int) -> Event:
    """The event of an earlier attempt: its own id, cost and deployment, and the mark that no request is counted."""
    payload = event["standard_logging_object"]
    call_id = f"{payload['litellm_call_id']}-attempt-{position}"
    deployment = proxy.deployment(attempt.deployment_id)
    marked = {"attempted_retries": attempt.attempted_retries, "billed_retry_attempt": True}
    return {
        **event,
        "litellm_call_id": call_id,
        "litellm_params": {**event["litellm_params"], "metadata": {**event["litellm_params"]["metadata"], **marked}},
        "standard_logging_object": {
            **payload,
            **deployment,
            **_tokens(attempt.usage),
            "id": call_id,
            "litellm_call_id": call_id,
            "model_id": attempt.deployment_id or payload.get("model_id"),
            "response_cost": attempt.response_cost,
        },
    }


def _metadata(request: Mapping[str, Any]) -> dict[str, Any]:
    own, routed = _mapping(request.get("metadata")), _mapping(request.get("litellm_metadata"))
    return {**{name: routed[name] for name in _ROUTED if routed.get(name)}, **own}


def _recovered(request: Mapping[str, Any], payload: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
    """The tokens and cost that the provider billed despite the failure, as far as LiteLLM knows them."""
    usage, cost = request.get("combined_usage_object"), 0.0
    if isinstance(usage, Mapping) or not all(hasattr(usage, name) for name in _TOKENS):
        usage = None
    elif isinstance(request.get("response_cost"), (int, float)):
        cost = max(float(request["response_cost"]), 0.0)
    if payload.get("cost_finalized") is True and isinstance(payload.get("response_cost"), (int, float)):
        cost = payload["response_cost"]
    return {} if usage is None else _tokens(usage), cost


def _tokens(usage: Any) -> dict[str, Any]:
    return {name: getattr(usage, name, 0) for name in _TOKENS}


def _error_information(error: BaseException) -> Mapping[str, Any]:
    """LiteLLM's own description of an error; only its status and class if LiteLLM has none."""
    setup = getattr(sys.modules.get("litellm.litellm_core_utils.litellm_logging"), "StandardLoggingPayloadSetup", None)
    if setup is not None:
        information: Mapping[str, Any] = setup.get_error_information(original_exception=error)
        return information
    return {"error_code": str(getattr(error, "status_code", "")), "error_class": type(error).__name__}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
