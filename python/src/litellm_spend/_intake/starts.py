"""Moves the starts of calls with one call id some milliseconds apart, because the server tells them apart by start.

LiteLLM uses the call id as the id of a call if the provider gives no id (embeddings, images, speech, transcription,
failures). If an application makes calls at once under one id of its own (`asyncio.gather`), they may start in the same
millisecond.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from .._record.ids import text_of
from .seen import Recent

# LiteLLM's proxy truncates the start in its rows to milliseconds. This project rounds it.
_NEIGHBOURS = (-1, 0, 1)


class Starts:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reserved = Recent()

    def with_distinct_start(self, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The event, with a start some milliseconds later if another call with its id has its start.

        Failures do not change here, because their start tells apart the attempts of a call; see `make_start_distinct`.
        """
        payload = kwargs["standard_logging_object"]
        call_id, start = payload.get("id"), payload.get("startTime")
        if payload.get("status") != "success" or call_id != text_of(kwargs.get("litellm_call_id")):
            return kwargs
        moved = self._reserve(call_id, start)
        return kwargs if moved == start else {**kwargs, "standard_logging_object": {**payload, "startTime": moved}}

    def make_start_distinct(self, record: dict[str, Any]) -> None:
        """Gives the record of a failure, just before it is sent, a start that no other call with its id has."""
        if record.get("status") == "failure" and record.get("id") == record.get("litellm_call_id"):
            record["startTime"] = self._reserve(record["id"], record.get("startTime"))

    def _reserve(self, call_id: Any, start: Any) -> Any:
        """Reserves `start`, or the next free start after it."""
        if not isinstance(start, (int, float)):
            return start
        moment = round(start * 1000)
        with self._lock:
            free = moment + 2 * self._steps_to_free(call_id, moment)
            self._reserved.add((call_id, free))
        return start if free == moment else free / 1000

    def _steps_to_free(self, call_id: Any, moment: int) -> int:
        """Steps of 2 ms to a free moment. It needs few tries, because a job may make thousands of calls at once."""
        if not self._is_reserved(call_id, moment):
            return 0
        reserved, free = 0, 1
        while self._is_reserved(call_id, moment + 2 * free):
            reserved, free = free, 2 * free
        while free - reserved > 1:
            middle = (reserved + free) // 2
            if self._is_reserved(call_id, moment + 2 * middle):
                reserved = middle
            else:
                free = middle
        return free

    def _is_reserved(self, call_id: Any, moment: int) -> bool:
        return any((call_id, moment + step) in self._reserved for step in _NEIGHBOURS)
