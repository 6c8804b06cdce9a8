"""Remembers the caller's `metadata=` from the start to the end of calls for which LiteLLM drops it.

LiteLLM drops it if it serves a Responses call by a chat completion. If a call of Anthropic's messages has a `user_id`
in it, LiteLLM keeps that alone. LiteLLM 1.79 drops it for all these calls. LiteLLM's hook before an async call still
has all metadata; sync calls have no such hook. `litellm_metadata=` always arrives, and a call that has it is not
remembered: a proxy puts there what it knows of a request, and anybody may have written the request's own `metadata`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from .._record.fields import METADATA, REQUEST, REQUEST_METADATA
from .._record.ids import text_of

_CALLS: Final = 10_000
_DROPPED_BY: Final = frozenset(("aresponses", "anthropic_messages"))
# The call types that end such a call. LiteLLM 1.79 reports the chat completion that served it.
_ENDED_BY: Final = _DROPPED_BY | {"acompletion"}
# LiteLLM 1.79 gives some of these completions the sync call type, and marks them in `litellm_params`.
_SYNC_NAME, _ASYNC_MARK = "completion", "acompletion"
_NAMES: Final = frozenset((*METADATA, *REQUEST, *REQUEST_METADATA, "user_api_key")) - {"usage_object"}


class CallersMetadata:
    """The metadata by call id, for the last 10,000 calls that have any.

    If two calls run at the same time with one id, the first call loses its metadata. Otherwise it could be charged to
    whom the second call names.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def started(self, kwargs: Mapping[str, Any], call_type: Any) -> None:
        """Remembers the metadata of an async call that starts with these arguments."""
        call_id, metadata = text_of(kwargs.get("litellm_call_id")), kwargs.get("metadata")
        if call_id is None:
            return
        if getattr(call_type, "value", call_type) not in _DROPPED_BY:
            if metadata:
                self._forget(call_id)  # another call with the same id, not the completion that serves the call
            return
        remembered: dict[str, Any] = {}
        if isinstance(metadata, Mapping) and not (kwargs.get("litellm_metadata") or kwargs.get("proxy_server_request")):
            remembered = {name: metadata[name] for name in _NAMES.intersection(metadata)}
            if isinstance(tags := metadata.get("tags"), list):
                remembered["tags"] = list(tags)
        with self._lock:
            self._calls.pop(call_id, None)
            if remembered:
                self._calls[call_id] = remembered
                if len(self._calls) > _CALLS:
                    self._calls.popitem(last=False)

    def with_metadata(self, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The event of a call that ended, with the metadata that LiteLLM dropped; once a call."""
        if not self._calls or not _is_end(kwargs):
            return kwargs
        remembered = self._forget(text_of(kwargs.get("litellm_call_id")))
        if not remembered:
            return kwargs
        tags = remembered.pop("tags", [])
        payload, params = kwargs["standard_logging_object"], kwargs.get("litellm_params") or {}
        sent = payload.get("request_tags") or []
        return {
            **kwargs,
            "litellm_params": {**params, "metadata": _merged(remembered, params.get("metadata"))},
            "standard_logging_object": {
                **payload,
                "metadata": _merged(remembered, payload.get("metadata")),
                "request_tags": [*tags, *(tag for tag in sent if tag not in tags)],
            },
        }

    def _forget(self, call_id: str | None) -> dict[str, Any] | None:
        with self._lock:
            return self._calls.pop(call_id, None) if call_id is not None else None


def _is_end(kwargs: Mapping[str, Any]) -> bool:
    """Whether the event may be the end of a remembered call."""
    call_type = kwargs.get("call_type")
    if call_type == _SYNC_NAME:
        return (kwargs.get("litellm_params") or {}).get(_ASYNC_MARK) is True
    return call_type in _ENDED_BY


def _merged(remembered: dict[str, Any], given: Any) -> dict[str, Any]:
    given = given if isinstance(given, Mapping) else {}
    return {**remembered, **{name: value for name, value in given.items() if value is not None}}
