"""Charges work in the background (a batch, a response, a video) once, however often it is retrieved.

LiteLLM reports each retrieval as a call. The call has the whole price once the price is final, and none before. If the
creation of a response was streamed to its end, or finished at once, that event already has the price. All events with
the price get the one id under which LiteLLM's proxy logs it. Source: get_spend_logs_id of spend_tracking_utils.py,
batch_utils.py, is_unbilled_non_inference_call of internal_call_metadata.py.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, Final

from .tools import get

# LiteLLM computes the price of these calls only on the event loop, in the handler of the async event.
PRICED_BY_ASYNC_EVENT: Final = frozenset(("aretrieve_batch",))
_BATCHES: Final = PRICED_BY_ASYNC_EVENT | {"retrieve_batch"}
_READS: Final = frozenset(("get_responses", "aget_responses", "cancel_responses", "acancel_responses"))
_RESPONSES: Final = _READS | {"responses", "aresponses"}
_VIDEOS: Final = frozenset(("video_status", "avideo_status"))
# The call types for which the server's id of the request depends on the price.
NAMED_BY_PRICE: Final = _READS | _VIDEOS
# The call types that this module handles.
IN_BACKGROUND: Final = _BATCHES | _RESPONSES | _VIDEOS
# The endings of ids that are created for a cost. `_END_OF_ATTEMPT`: of ids that the callback creates for attempts.
COST_ID_ENDINGS: Final = ("_batch_cost", "_background_cost", "_video_cost", "_guardrail_cost")
_END_OF_ATTEMPT: Final = re.compile(r"_attempt[0-9.]+\Z")
_UNFINISHED: Final = frozenset(("validating", "queued", "in_progress", "finalizing", "cancelling"))
# The origin of the calls with which LiteLLM's proxy polls the price of a response, under the id that it logs.
_COST_POLL: Final = "background_response_cost_poll"
# LiteLLM's ids of responses and videos are base64 of text like this.
_RESPONSE_ID: Final = re.compile(r"litellm:custom_llm_provider:([^;]*);model_id:[^;]*;response_id:(.*)", re.DOTALL)


def has_no_cost_yet(payload: Mapping[str, Any], answer: Any) -> bool:
    """Whether a batch was retrieved whose cost is not known yet. A record with a cost of 0 would block the real cost.

    `payload`: LiteLLM's StandardLoggingPayload; `answer`: what was retrieved. `batch_models` is set if LiteLLM has
    read the batch's output.
    """
    if not _is_success(payload, _BATCHES):
        return False
    if get(answer, "status") in _UNFINISHED:
        return True
    return not (payload.get("response_cost") or get(payload.get("hidden_params"), "batch_models"))


def id_of_cost(payload: Mapping[str, Any], kwargs: Mapping[str, Any], answer: Any, origin: Any) -> str | None:
    """The id that all events with the price of the same work share, so that the server counts one of them.

    None for an event that is a request like any other. `kwargs`: LiteLLM's event; `origin`: the purpose of a call that
    LiteLLM itself made.
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
    """Whether a call's own id ends like an id that is created for a cost. The server counts such an id only once."""
    call_id = call_id.replace("\0", "")  # NUL is not sent
    return call_id.endswith(COST_ID_ENDINGS) or _END_OF_ATTEMPT.search(call_id) is not None


def repeats_price(payload: Mapping[str, Any], kwargs: Mapping[str, Any], answer: Any) -> bool:
    """Whether another event charges a retrieval's price: the creation of the work, or a retrieval when it is done.

    LiteLLM 1.79 gives a response a price again each time it is read.
    """
    if _is_success(payload, _READS):
        return not _is_finished_in_background(answer)
    return _is_success(payload, _VIDEOS) and _video_status(kwargs, answer) in _UNFINISHED


def _is_success(payload: Mapping[str, Any], call_types: frozenset[str]) -> bool:
    return payload.get("call_type") in call_types and payload.get("status") == "success"


def _is_finished_in_background(answer: Any) -> bool:
    """Whether a response, or the last event of its stream, says that background work is finished."""
    answer = get(answer, "response") or answer
    return get(answer, "background") is True and get(answer, "status") not in _UNFINISHED


def _response_id(payload: Mapping[str, Any]) -> str:
    """LiteLLM's id of a response, in the form that a call without a Router gives it.

    A Router's id also names the deployment. The id of the same response read without a Router does not. LiteLLM 1.79's
    cancellation has the provider's own id.
    """
    id_ = str(payload.get("id"))
    provider = payload.get("custom_llm_provider")
    if found := _RESPONSE_ID.fullmatch(_decoded(id_, "resp_")):
        provider, id_ = found.groups()
    return _encoded(f"litellm:custom_llm_provider:{provider};model_id:None;response_id:{id_}", "resp_")


def _id_of_video_cost(payload: Mapping[str, Any], kwargs: Mapping[str, Any], answer: Any) -> str | None:
    """The id of a poll's cost; None if the video is not finished.

    The first poll that has the video's price charges it. A poll that has only the cost of guardrails charges that each
    time. The id is that of the video that the caller named, because it says who created the video.
    """
    guardrails = get(payload.get("cost_breakdown"), "guardrail_cost") or 0.0
    if payload["response_cost"] <= guardrails:
        return f"{kwargs.get('litellm_call_id')}_guardrail_cost"
    if _video_status(kwargs, answer) in _UNFINISHED:
        return None
    id_ = str(get(kwargs.get("litellm_params"), "video_id") or payload.get("id"))
    if ";" in (named := _decoded(id_, "video_")):
        id_ = _encoded(named, "video_")  # the caller may have left out the padding
    return f"{id_}_video_cost"


def _video_status(kwargs: Mapping[str, Any], answer: Any) -> Any:
    """The status from the event, if LiteLLM keeps it there (1.110), because a redacted answer has none."""
    return kwargs.get("polled_video_status") or get(answer, "status")


def _decoded(id_: str, prefix: str) -> str:
    """The text of an id that LiteLLM created; empty for a provider's own id."""
    if not id_.startswith(prefix):
        return ""
    try:
        return base64.b64decode(id_.removeprefix(prefix) + "==").decode()
    except ValueError:
        return ""


def _encoded(text: str, prefix: str) -> str:
    return prefix + base64.b64encode(text.encode()).decode()
