"""Starts of calls that share a call id, some milliseconds apart: the server tells such calls by nothing else.

LiteLLM names a call by its call id where the provider gives no id (embeddings, images, speech, transcription). Calls
that an application makes at once under one id of its own (`asyncio.gather`) may start in one millisecond.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from .seen import Recent

# A row of LiteLLM's proxy has its start cut to milliseconds, one of ours has it rounded.
_NEIGHBOURS = (-1, 0, 1)


class Starts:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = Recent()

    def apart(self, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        """A new event; with a start some milliseconds later, if another call of its id has taken its own."""
        payload = kwargs["standard_logging_object"]
        call_id, start = payload.get("id"), payload.get("startTime")
        if call_id != kwargs.get("litellm_call_id") or payload.get("status") != "success":
            return kwargs
        if not isinstance(start, (int, float)):
            return kwargs
        first = moment = round(start * 1000)
        with self._lock:
            while any((call_id, moment + step) in self._taken for step in _NEIGHBOURS):
                moment += 2
            self._taken.add((call_id, moment))
        if moment == first:
            return kwargs
        return {**kwargs, "standard_logging_object": {**payload, "startTime": moment / 1000}}
