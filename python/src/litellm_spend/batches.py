"""A provider's batch costs once, however often it is retrieved.

LiteLLM reports each retrieval as a call, with the price of the whole batch once that is final and its
output file was read, and with none before. Its proxy logs the price under one id of the batch; so does
this. Source: get_spend_logs_id of spend_tracking_utils.py, batch_cost_is_final of batch_utils.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .tools import get

# Of these LiteLLM prices the first alone, and only on the event loop, in the handler of its async event.
PRICED_BY_ASYNC_EVENT: Final = frozenset(("aretrieve_batch",))
_RETRIEVALS: Final = PRICED_BY_ASYNC_EVENT | {"retrieve_batch"}
_UNFINISHED: Final = frozenset(("validating", "in_progress", "finalizing", "cancelling"))
_SUFFIX: Final = "_batch_cost"


def is_batch_retrieval(payload: Mapping[str, Any]) -> bool:
    return payload.get("call_type") in _RETRIEVALS and payload.get("status") == "success"


def has_final_cost(payload: Mapping[str, Any], response: Any) -> bool:
    """Whether a retrieval tells what its batch cost; a record of 0 would keep the cost from being counted.

    `payload`: LiteLLM's StandardLoggingPayload. `batch_models` is there where LiteLLM read the output.
    """
    status = get(payload.get("response") if response is None else response, "status")
    if status in _UNFINISHED:
        return False
    return bool(payload.get("response_cost") or get(payload.get("hidden_params"), "batch_models"))


def name_batch(record: dict[str, Any]) -> None:
    """Gives the record the ids that every retrieval of its batch has, so that the server counts one."""
    record["id"] = record["litellm_call_id"] = f"{record.get('id')}{_SUFFIX}"
