"""Starts of calls that share a call id, some milliseconds apart: the server tells such calls by nothing else.

LiteLLM names a call by its call id where the provider gives no id (embeddings, images, speech, transcription,
failures). Calls that an application makes at once under one id of its own (`asyncio.gather`) may start in one
millisecond.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from ._ids import text_of
from ._seen import Recent

# A row of LiteLLM's proxy has its start cut to milliseconds, one of ours has it rounded.
_NEIGHBOURS = (-1, 0, 1)


class Starts:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reserved = Recent()

    def with_distinct_start(self, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        """A new event; with a start some milliseconds later, if another call of its id has taken its own.

        Failures are left as they are: their start tells their call's attempts apart. See `make_start_distinct`.
        """
        payload = kwargs["standard_logging_object"]
        call_id, start = payload.get("id"), payload.get("startTime")
        if payload.get("status") != "success" or call_id != text_of(kwargs.get("litellm_call_id")):
            return kwargs
        moved = self._reserve(call_id, start)
        return kwargs if moved == start else {**kwargs, "standard_logging_object": {**payload, "startTime": moved}}

    def make_start_distinct(self, record: dict[str, Any]) -> None:
        """The same for the record of a failure that is about to be sent."""
        if record.get("status") == "failure" and record.get("id") == record.get("litellm_call_id"):
            record["startTime"] = self._reserve(record["id"], record.get("startTime"))

    def _reserve(self, call_id: Any, start: Any) -> Any:
        """`start`, or the next one that is free."""
        if not isinstance(start, (int, float)):
            return start
        moment = round(start * 1000)
        with self._lock:
            free = moment + 2 * self._steps_to_free(call_id, moment)
            self._reserved.add((call_id, free))
        return start if free == moment else free / 1000

    def _steps_to_free(self, call_id: Any, moment: int) -> int:
        """Steps of two milliseconds to a free moment, found in few tries: a job may make thousands of calls at once."""
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
