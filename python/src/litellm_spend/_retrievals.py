"""What a provider works off in the background costs once, however often it is asked for: a batch, a response, a video.

LiteLLM reports each retrieval as a call, with the whole price once that is final, and with none before. A response
whose creation was streamed to its end, or was done at once, has its price in that event already. Each of these events
gets the one id under which LiteLLM's proxy logs the price. Source: get_spend_logs_id of spend_tracking_utils.py,
batch_utils.py, is_unbilled_non_inference_call of internal_call_metadata.py.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, Final

from ._tools import get

# LiteLLM prices it only on the event loop, in the handler of its async event.
PRICED_BY_ASYNC_EVENT: Final = frozenset(("aretrieve_batch",))
_BATCHES: Final = PRICED_BY_ASYNC_EVENT | {"retrieve_batch"}
_READS: Final = frozenset(("get_responses", "aget_responses", "cancel_responses", "acancel_responses"))
_RESPONSES: Final = _READS | {"responses", "aresponses"}
_VIDEOS: Final = frozenset(("video_status", "avideo_status"))
# No other call type means anything here.
IN_BACKGROUND: Final = _BATCHES | _RESPONSES | _VIDEOS
# What the ids end with that are made for a cost, and those that the callback makes for a Router's failed attempts.
COST_ID_ENDINGS: Final = ("_batch_cost", "_background_cost", "_video_cost", "_guardrail_cost")
_END_OF_ATTEMPT: Final = re.compile(r"_attempt[0-9.]+\Z")
_UNFINISHED: Final = frozenset(("validating", "queued", "in_progress", "finalizing", "cancelling"))
# The call in which LiteLLM's proxy tells the price of a response that it follows, under the id that the proxy logs.
_COST_POLL: Final = "background_response_cost_poll"
# LiteLLM's ids of responses and videos are base64 of such text.
_RESPONSE_ID: Final = re.compile(r"litellm:custom_llm_provider:([^;]*);model_id:[^;]*;response_id:(.*)", re.DOTALL)


def has_no_cost_yet(payload: Mapping[str, Any], answer: Any) -> bool:
    """Whether a batch was retrieved whose cost is not known; a record of 0 would keep it from being counted.

    `payload`: LiteLLM's StandardLoggingPayload; `answer`: what was retrieved. `batch_models` is there where
    LiteLLM read a batch's output.
    """
    if not _is_success(payload, _BATCHES):
        return False
    if get(answer, "status") in _UNFINISHED:
        return True
    return not (payload.get("response_cost") or get(payload.get("hidden_params"), "batch_models"))


def id_of_cost(payload: Mapping[str, Any], kwargs: Mapping[str, Any], answer: Any, origin: Any) -> str | None:
    """The id that every event with the price of the same work has, so that the server counts one.

    None for an event that is a request like any other. `kwargs`: LiteLLM's event; `origin`: what LiteLLM itself
    made the call for, if it did.
    """
    if _is_success(payload, _BATCHES):
        return f"{payload.get('id')}_batch_cost"
    if not payload.get("response_cost"):
        return None
    if _is_success(payload, _READS) and origin == _COST_POLL:
        return f"{payload.get('id')}_background_cost"
    if _is_success(payload, _RESPONSES) and _is_finished_in_background(answer):
        return f"{_response_id(payload)}_background_cost"
    if _is_success(payload, _VIDEOS):
        return _id_of_video_cost(payload, kwargs, answer)
    return None


def has_reserved_ending(call_id: str) -> bool:
    """Whether a call's own id ends like one that was made. The server counts such an id once, whatever it names."""
    call_id = call_id.replace("\0", "")  # which is not sent
    return call_id.endswith(COST_ID_ENDINGS) or _END_OF_ATTEMPT.search(call_id) is not None


def repeats_price(payload: Mapping[str, Any], kwargs: Mapping[str, Any], answer: Any) -> bool:
    """Whether a retrieval's price is told elsewhere: when the work was made, or when it is finished.

    LiteLLM 1.79 prices a response again that it reads.
    """
    if _is_success(payload, _READS):
        return not _is_finished_in_background(answer)
    return _is_success(payload, _VIDEOS) and _video_status(kwargs, answer) in _UNFINISHED


def _is_success(payload: Mapping[str, Any], call_types: frozenset[str]) -> bool:
    return payload.get("call_type") in call_types and payload.get("status") == "success"


def _is_finished_in_background(answer: Any) -> bool:
    """Of a response, or of the last event of its stream."""
    answer = get(answer, "response") or answer
    return get(answer, "background") is True and get(answer, "status") not in _UNFINISHED


def _response_id(payload: Mapping[str, Any]) -> str:
    """LiteLLM's id of a response, as a call without a Router gives it.

    A Router's ids also name the deployment, those of the same response read without it do not, and LiteLLM 1.79's
    cancellation gives the provider's own id.
    """
    id_ = str(payload.get("id"))
    provider = payload.get("custom_llm_provider")
    if found := _RESPONSE_ID.fullmatch(_decoded(id_, "resp_")):
        provider, id_ = found.groups()
    return _encoded(f"litellm:custom_llm_provider:{provider};model_id:None;response_id:{id_}", "resp_")


def _id_of_video_cost(payload: Mapping[str, Any], kwargs: Mapping[str, Any], answer: Any) -> str | None:
    """A video is charged by the first poll that has its price; what guardrails cost, by each poll that has nothing
    else to charge. The video is the one that the caller named, because that id tells who made it."""
    guardrails = get(payload.get("cost_breakdown"), "guardrail_cost") or 0.0
    if payload["response_cost"] <= guardrails:
        return f"{kwargs.get('litellm_call_id')}_guardrail_cost"
    if _video_status(kwargs, answer) in _UNFINISHED:
        return None
    id_ = str(get(kwargs.get("litellm_params"), "video_id") or payload.get("id"))
    if ";" in (named := _decoded(id_, "video_")):
        id_ = _encoded(named, "video_")  # a caller may have left out the padding
    return f"{id_}_video_cost"


def _video_status(kwargs: Mapping[str, Any], answer: Any) -> Any:
    """From the event, where LiteLLM keeps it (1.110): a redacted answer has none."""
    return kwargs.get("polled_video_status") or get(answer, "status")


def _decoded(id_: str, prefix: str) -> str:
    """The text of an id that LiteLLM made; empty if it is a provider's own."""
    if not id_.startswith(prefix):
        return ""
    try:
        return base64.b64decode(id_.removeprefix(prefix) + "==").decode()
    except ValueError:
        return ""


def _encoded(text: str, prefix: str) -> str:
    return prefix + base64.b64encode(text.encode()).decode()
