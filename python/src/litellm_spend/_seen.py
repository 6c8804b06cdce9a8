"""Which events were already captured: LiteLLM delivers some twice, on two threads. Bounded memory.

Both reports of a success have the same start. Those of a failure may not: where an async function calls a sync
one that fails at once (`aspeech` and `speech`, say), LiteLLM reports the failure with the start of either. The
object that LiteLLM logs a call with began once, so a failure is known by that start, and recorded with it: its
proxy logs a failure so too. Attempts that share this object are told apart by when each was sent.

LiteLLM 1.79 also reports a Responses call that it serves by a chat completion twice: once as either, on
two threads, in any order. Both reports have the call's id and its full cost; the completion's alone knows
the provider and the caller's `user`, so it is the one that counts.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from datetime import datetime
from typing import Any, Final

from ._ids import text_of

# Twice LiteLLM's 10,000 pending events; two generations of both sets take some 8 MB.
_GENERATION: Final = 20_000
_CHAT: Final = frozenset(("completion", "acompletion"))
_SERVED_BY_CHAT: Final = frozenset(("responses", "aresponses"))


class Seen:
    def __init__(self) -> None:
        self._events = Recent()
        self._chats = Recent()

    def started(self, kwargs: Mapping[str, Any]) -> None:
        """An attempt starts; if it is a chat completion, it may be the one that serves another call."""
        self._note_chat(kwargs.get("call_type"), text_of(kwargs.get("litellm_call_id")))

    def is_new(self, payload: Mapping[str, Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether this event is new.

        A call is known by its litellm_call_id; status and start tell a retry from the first attempt,
        and one call from another where the caller gives several calls one id, as the server does. The
        payload's own id is of no use: a cache hit gets a new one each time it is built.
        """
        call_id = text_of(kwargs.get("litellm_call_id")) or text_of(payload.get("litellm_call_id")) or payload.get("id")
        call_type = payload.get("call_type")
        self._note_chat(call_type, call_id)  # a provider of the application's own has no start
        if call_type in _SERVED_BY_CHAT and not payload.get("custom_llm_provider") and call_id in self._chats:
            return False
        return self._events.add((call_id, payload.get("status"), start_of(payload, kwargs), _sent_at(payload, kwargs)))

    def _note_chat(self, call_type: Any, call_id: Any) -> None:
        if call_type in _CHAT:
            self._chats.add(call_id)


def start_of(payload: Mapping[str, Any], kwargs: Mapping[str, Any]) -> Any:
    """When a call started, the same in each report of it; in epoch seconds."""
    logged_from = kwargs.get("start_time")
    if payload.get("status") == "failure" and isinstance(logged_from, datetime):
        return logged_from.timestamp()
    return payload.get("startTime")


def _sent_at(payload: Mapping[str, Any], kwargs: Mapping[str, Any]) -> datetime | None:
    """When a failed attempt was sent to the provider; None of a success, and if it was not."""
    sent = kwargs.get("api_call_start_time")
    return sent if payload.get("status") == "failure" and isinstance(sent, datetime) else None


class Recent:
    """The last keys that were added: a generation of them at least, two at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: set[int] = set()
        self._older: set[int] = set()

    def add(self, key: Hashable) -> bool:
        """Whether the key is new."""
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
