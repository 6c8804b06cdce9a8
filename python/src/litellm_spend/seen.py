"""Which events were already captured: LiteLLM delivers some twice, on two threads. Bounded memory.

LiteLLM 1.79 also reports a Responses or Messages call that it serves by a chat completion twice: once as
either. Both reports have the call's id and its full cost.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

# Twice LiteLLM's 10,000 pending events; two generations take some 10 MB.
_GENERATION: Final = 20_000
_CHAT: Final = frozenset(("completion", "acompletion"))
_SERVED_BY_CHAT: Final = frozenset(("responses", "aresponses", "anthropic_messages"))


class _Report(NamedTuple):
    call_type: Any
    start: float
    end: float


class Seen:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: dict[int, _Report | None] = {}
        self._older: dict[int, _Report | None] = {}

    def first_time(self, payload: Mapping[str, Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether this event is new.

        A call is known by its litellm_call_id; status and start tell a retry from the first attempt,
        and one call from another where the caller gives several calls one id. The payload's own id
        is of no use: a cache hit gets a new one each time it is built.
        """
        call_id = kwargs.get("litellm_call_id") or payload.get("litellm_call_id") or payload.get("id")
        status, start = payload.get("status"), payload.get("startTime")
        key = hash((call_id, status, start))
        report = _Report(payload.get("call_type"), start or 0.0, payload.get("endTime") or 0.0)
        with self._lock:
            if key in self._recent or key in self._older:
                return False
            call = hash((call_id, status))
            other = self._recent.get(call) or self._older.get(call)
            self._recent[key] = None
            self._recent[call] = report
            if len(self._recent) >= 2 * _GENERATION:
                self._older, self._recent = self._recent, {}
        return other is None or not _are_one_call(report, other)


def _are_one_call(one: _Report, other: _Report) -> bool:
    """Whether one reports the chat completion by which LiteLLM served the other, at the same time."""
    types = {one.call_type, other.call_type}
    if not (types & _CHAT and types & _SERVED_BY_CHAT):
        return False
    return one.start <= other.end and other.start <= one.end
