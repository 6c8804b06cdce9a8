"""A second, sync-only callback that receives async successes in LiteLLM's thread pool.

LiteLLM passes async successes to a worker task, which `asyncio.run` cancels. Without this callback, a script that
gathers 100 calls and exits loses between 1 and all of them. The pool's threads are joined at exit.
LiteLLM 1.79 runs sync callbacks of async calls only if one of them is a plain function. It then calls the logging_hook
and no log_success_event. Later versions call both. `Seen` drops an event that comes twice.
If LiteLLM computes the price of a call only for its async event, the async event alone is recorded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger
from litellm.litellm_core_utils.litellm_logging import Logging

from .._record.retrievals import PRICED_BY_ASYNC_EVENT

Receive = Callable[[Mapping[str, Any], Any], None]
# Whether LiteLLM is so old (1.79 and some later versions) that it does not sort callbacks into sync and async ones by
# the hooks that they override.
LITELLM_IS_OLD = not hasattr(Logging, "_get_completed_success_callbacks")


class SyncDelivery(CustomLogger):
    """Passes the events that it gets to `receive`, while `owner` is one of LiteLLM's callbacks."""

    def __init__(self, owner: CustomLogger, destination: int, receive: Receive) -> None:
        super().__init__()
        self.destination = destination
        self.owner = owner
        self._receive = receive

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        if kwargs.get("call_type") not in PRICED_BY_ASYNC_EVENT and is_registered(self.owner):
            self._receive(kwargs, response_obj)

    def logging_hook(self, kwargs: dict[str, Any], result: Any, call_type: str) -> tuple[dict[str, Any], Any]:
        # Unlike events, hooks also run for the chunks of streams and for calls that ask not to be logged.
        if LITELLM_IS_OLD and not _is_stream_chunk(kwargs) and not _is_unlogged(kwargs):
            self.log_success_event(kwargs, result, None, None)
        return kwargs, result


def start_sync_delivery(kwargs: Any, *_: Any) -> None:
    """Does nothing. LiteLLM 1.79 runs the sync callbacks of async calls because this function is among them."""


def attach(delivery: SyncDelivery) -> None:
    """Adds `delivery` to LiteLLM's callbacks. It is cheap and does nothing if it was added before.

    One callback for each destination is enough, because LiteLLM calls one of several loggers with the same destination.
    The callback of a logger that was replaced does not count.
    """
    callbacks = litellm.success_callback
    others = [other for other in callbacks if type(other) is SyncDelivery and other.destination == delivery.destination]
    for other in others:
        if not is_registered(other.owner):
            with contextlib.suppress(ValueError):  # another call's thread removed it first
                callbacks.remove(other)
    if not any(is_registered(other.owner) for other in others):
        callbacks.append(delivery)
    if LITELLM_IS_OLD and start_sync_delivery not in callbacks:
        callbacks.append(start_sync_delivery)


def is_registered(logger: CustomLogger) -> bool:
    names = ("callbacks", "success_callback", "_async_success_callback")
    return any(other is logger for name in names for other in getattr(litellm, name, ()))


def _is_stream_chunk(kwargs: dict[str, Any]) -> bool:
    return bool(kwargs.get("stream")) and "complete_streaming_response" not in kwargs


def _is_unlogged(kwargs: dict[str, Any]) -> bool:
    if litellm.global_disable_no_log_param:
        return False
    return (kwargs.get("litellm_params") or {}).get("no-log", False) is True
