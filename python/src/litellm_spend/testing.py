"""A sink for the tests of an application: the records of its LLM calls, in memory and without a Postgres."""

from __future__ import annotations

import json
from typing import Any


class MemorySink:
    """Takes the records of `SpendLogger(sink=MemorySink())`, as Postgres would get them. It is safe in any thread."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records so far, in the order in which they were sent: after the defaults and `before_send`."""
        return [json.loads(text) for text in list(self._texts)]

    def clear(self) -> None:
        """Forgets the records."""
        self._texts.clear()
