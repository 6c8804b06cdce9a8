"""Which events were already captured: LiteLLM delivers some twice, on two threads. Bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

# Twice LiteLLM's 10,000 pending events; two generations of hashes take about 4 MB.
_GENERATION = 20_000


class Seen:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: set[int] = set()
        self._older: set[int] = set()

    def first_time(self, payload: Mapping[str, Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether this event is new.

        A call is known by its litellm_call_id; status and start tell a retry from the first attempt,
        and one call from another where the caller gives several calls one id. The payload's own id
        is of no use: a cache hit gets a new one each time it is built.
        """
        call_id = kwargs.get("litellm_call_id") or payload.get("litellm_call_id") or payload.get("id")
        key = hash((call_id, payload.get("status"), payload.get("startTime")))
        with self._lock:
            if key in self._recent or key in self._older:
                return False
            self._recent.add(key)
            if len(self._recent) >= _GENERATION:
                self._older, self._recent = self._recent, set()
            return True
