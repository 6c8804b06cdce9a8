"""The shapes in which a request is sent: LiteLLM's SpendLogs row, its StandardLoggingPayload, and the record that the
callback of python/ makes of the payload."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from .case import Golden, Request, golden

Record = dict[str, Any]
# A request with a row in LiteLLM's log, of the same kind as the requests that LiteLLM does not track.
TWIN_OF_UNTRACKED = "user_only"
# The metadata of a Router's call has these, and LiteLLM's payload does not.
ROUTER_ATTEMPTS = ("attempted_retries", "max_retries", "attempted_fallbacks", "original_model_group")


class Shape(Enum):
    SPEND_LOGS = "SpendLogs row"
    STANDARD_LOGGING = "StandardLoggingPayload"
    CALLBACK = "record of the callback"


# Makes the records of a case in a shape.
Source = Callable[[Golden, Shape], list[Record]]
LITELLMS_OWN = (Shape.SPEND_LOGS, Shape.STANDARD_LOGGING)
# The shapes that hold what a StandardLoggingPayload holds.
PAYLOADS = (Shape.STANDARD_LOGGING, Shape.CALLBACK)


def records(case: Golden, shape: Shape) -> list[Record]:
    """The case's requests in one of LiteLLM's own shapes, with what the client adds."""
    one = sent_spend_log if shape is Shape.SPEND_LOGS else sent_payload
    return [{**one(request), **_extras(case, request)} for request in case.requests]


def sent_spend_log(request: Request) -> Record:
    """LiteLLM's SpendLogs payload. The goldens blank the price map's entry in it, its name included,
    which the StandardLoggingPayload still has."""
    [row] = request.spend_logs or [_untracked_spend_log(request)]
    known = request.payload["model_map_information"]
    return {**row, "metadata": {**row["metadata"], "model_map_information": known}}


def sent_payload(request: Request) -> Record:
    """LiteLLM's StandardLoggingPayload, with what only the call has.

    If the call had a raw API key, the key is sent raw, because the server must hash it too."""
    record = _finite(request.payload)
    record["agent_id"] = request.kwargs.get("agent_id") or request.metadata.get("agent_id")
    record["user"] = request.kwargs.get("user")
    record["internal_call_origin"] = request.metadata.get("internal_call_origin")
    if not request.payload["metadata"].get("user_api_key_hash"):
        record["user_api_key"] = request.metadata.get("user_api_key")
    attempts = {name: request.metadata[name] for name in ROUTER_ATTEMPTS if name in request.metadata}
    record["metadata"] = {**record["metadata"], **attempts}
    return {name: value for name, value in record.items() if value is not None}


def _extras(case: Golden, request: Request) -> Record:
    """What neither shape holds.

    The client works out the savings from LiteLLM's price map. Here they are the golden's, which a case of one request
    shows unmixed."""
    sent: Record = {}
    daily = case.rows.get("LiteLLM_DailyUserSpend", [])
    if len(case.requests) == 1 and daily and daily[0]["prompt_caching_savings_spend"]:
        sent["prompt_caching_savings_spend"] = daily[0]["prompt_caching_savings_spend"]
    sent["request_model_access_groups"] = request.payload["request_model_access_groups"]
    choices = (request.payload.get("response") or {}).get("choices") or []
    calls = [call for choice in choices for call in choice.get("message", {}).get("tool_calls") or []]
    if calls:
        sent["tool_calls"] = [call["function"]["name"] for call in calls]
    return sent


def _untracked_spend_log(request: Request) -> Record:
    """The SpendLogs payload of a request for which LiteLLM makes none: the payload of its tracked twin, with the
    request's own identity in place of the twin's."""
    [twin] = golden(TWIN_OF_UNTRACKED).requests[0].spend_logs
    payload = _finite(request.payload)
    identity = payload["metadata"]
    return {
        **twin,
        "request_id": payload["id"],
        "litellm_call_id": payload["litellm_call_id"],
        "session_id": payload["trace_id"],
        "spend": payload["response_cost"],
        "user": identity["user_api_key_user_id"] or request.kwargs.get("user") or "",
        "organization_id": identity["user_api_key_org_id"] or "",
        "request_tags": payload["request_tags"],
        "metadata": {
            **twin["metadata"],
            "litellm_call_id": payload["litellm_call_id"],
            "user_api_key_user_id": identity["user_api_key_user_id"],
            "user_api_key_org_id": identity["user_api_key_org_id"],
        },
    }


def _finite(payload: Record) -> Record:
    """JSON has no NaN: a client can only send its name, which is no number."""
    cost = payload["response_cost"]
    return {**payload, "response_cost": cost["$nonfinite"] if isinstance(cost, dict) else cost}
