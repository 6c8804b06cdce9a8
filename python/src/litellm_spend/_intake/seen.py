"""Remembers which events were captured, because LiteLLM delivers some twice, on two threads. The memory is limited.

Both reports of a success have the same start. The reports of a failure may have different ones: if an async function
calls a sync one that fails at once (`aspeech` and `speech`, for example), LiteLLM reports the failure with the start
of each. The object with which LiteLLM logs a call has one start. So a failure is identified by that start, and recorded
with it, as LiteLLM's proxy does. Attempts that share this object are told apart by the time when each was sent.

If LiteLLM 1.79 serves a Responses call by a chat completion, it reports the call twice: once as each, on two threads,
in any order. Both reports have the call's id and its full cost. Only the completion's report has the provider and the
caller's `user`, so that report counts.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from datetime import datetime
from typing import Any, Final

from .._record.ids import text_of
from .._record.start import start_of

# Twice LiteLLM's 10,000 pending events. Two generations of both sets take about 8 MB.
_GENERATION: Final = 20_000
_CHAT: Final = frozenset(("completion", "acompletion"))
_SERVED_BY_CHAT: Final = frozenset(("responses", "aresponses"))


class Seen:
    def __init__(self) -> None:
        self._events = Recent()
        self._chats = Recent()

    def started(self, kwargs: Mapping[str, Any]) -> None:
        """Notes an attempt that starts. If it is a chat completion, it may serve another call."""
        self._note_chat(kwargs.get("call_type"), text_of(kwargs.get("litellm_call_id")))

    def is_new(self, payload: Mapping[str, Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether this event is new.

        A call is identified by its litellm_call_id. Status and start tell a retry from the first attempt. They also
        tell calls apart to which the caller gives one id, as in the server. The payload's own id cannot be used,
        because a cache hit gets a new one each time it is built.
        """
        call_id = text_of(kwargs.get("litellm_call_id")) or text_of(payload.get("litellm_call_id")) or payload.get("id")
        call_type = payload.get("call_type")
        self._note_chat(call_type, call_id)  # LiteLLM reports no start for a provider of the application's own
        if call_type in _SERVED_BY_CHAT and not payload.get("custom_llm_provider") and call_id in self._chats:
            return False
        return self._events.add((call_id, payload.get("status"), start_of(payload, kwargs), _sent_at(payload, kwargs)))

    def _note_chat(self, call_type: Any, call_id: Any) -> None:
        if call_type in _CHAT:
            self._chats.add(call_id)


def _sent_at(payload: Mapping[str, Any], kwargs: Mapping[str, Any]) -> datetime | None:
    """When a failed attempt was sent to the provider; None for a success, or if it was not sent."""
    sent = kwargs.get("api_call_start_time")
    return sent if payload.get("status") == "failure" and isinstance(sent, datetime) else None


class Recent:
    """The last keys that were added: at least one generation, at most two."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: set[int] = set()
        self._older: set[int] = set()

    def add(self, key: Hashable) -> bool:
        """Adds the key. Returns whether it is new."""
        digest = hash(key)
        with self._lock:
            if digest in self._recent or digest in self._older:
                return False
            self._recent.add(digest)
            if len(self._recent) >= _GENERATION:
                self._older, self._recent = self._recent, set()
            return True

    def __contains__(self, key: Hashable) -> bool:
        digest = hash(key)
        with self._lock:
            return digest in self._recent or digest in self._older
