"""What a provider works off in the background costs once, however often it is retrieved: a batch, or a response.

LiteLLM reports each retrieval as a call, with the whole price once that is final, and with none before.
Its proxy logs the price under one id; so does this. Source: get_spend_logs_id of
spend_tracking_utils.py, batch_cost_is_final of batch_utils.py, is_unbilled_non_inference_call of
internal_call_metadata.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .tools import get

# LiteLLM prices it only on the event loop, in the handler of its async event.
PRICED_BY_ASYNC_EVENT: Final = frozenset(("aretrieve_batch",))
_BATCHES: Final = PRICED_BY_ASYNC_EVENT | {"retrieve_batch"}
_RESPONSES: Final = frozenset(("get_responses", "aget_responses"))
# No other call type means anything here.
RETRIEVALS: Final = _BATCHES | _RESPONSES
_UNFINISHED: Final = frozenset(("validating", "in_progress", "finalizing", "cancelling"))


def tells_nothing(payload: Mapping[str, Any], answer: Any) -> bool:
    """Whether a batch was retrieved whose cost is not known; a record of 0 would keep it from being counted.

    `payload`: LiteLLM's StandardLoggingPayload; `answer`: what was retrieved. `batch_models` is there where
    LiteLLM read a batch's output.
    """
    if not _is_success(payload, _BATCHES):
        return False
    if get(answer, "status") in _UNFINISHED:
        return True
    return not (payload.get("response_cost") or get(payload.get("hidden_params"), "batch_models"))


def id_of_cost(payload: Mapping[str, Any], answer: Any) -> str | None:
    """The id that every retrieval of the same work has, so that the server counts one; None for another call."""
    if _is_success(payload, _BATCHES):
        return f"{payload.get('id')}_batch_cost"
    if _is_success(payload, _RESPONSES) and payload.get("response_cost") and not is_replay(payload, answer):
        return f"{payload.get('id')}_background_cost"
    return None


def is_replay(payload: Mapping[str, Any], answer: Any) -> bool:
    """Whether a response was retrieved that was not made in the background, and priced when it was made.

    LiteLLM 1.79 prices it again.
    """
    return _is_success(payload, _RESPONSES) and get(answer, "background") is not True


def _is_success(payload: Mapping[str, Any], call_types: frozenset[str]) -> bool:
    return payload.get("call_type") in call_types and payload.get("status") == "success"
