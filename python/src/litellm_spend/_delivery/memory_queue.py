"""Records that wait in memory, in the order in which they came."""

from __future__ import annotations

import time
from collections import deque
from typing import NamedTuple

QueuedRecord = str | bytes
"""A record as JSON text, or the bytes that `capture.write` turns into JSON text."""


class Item(NamedTuple):
    """A record that waits."""

    number: int
    """Its place in its queue."""
    captured_at: float
    """When it was captured, in epoch seconds."""
    record: QueuedRecord


class MemoryQueue:
    """A bounded queue. The caller holds a lock."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._waiting: deque[Item] = deque()
        self._taken: deque[Item] = deque()
        self._last = 0

    def put(self, record: QueuedRecord) -> bool:
        """Adds a record. Returns False if the queue is full."""
        if self.pending() >= self.limit:
            return False
        self._last += 1
        self._waiting.append(Item(self._last, time.time(), record))
        return True

    def take(self, count: int, size: int) -> list[Item]:
        """Takes up to `count` records of up to `size` characters together, and one at least. `settle` or `put_back`
        follows for each of them."""
        items: list[Item] = []
        while self._waiting and len(items) < count and size > 0:
            items.append(self._waiting.popleft())
            size -= len(items[-1].record)
        self._taken.extend(items)
        return items

    def settle(self, items: list[Item]) -> None:
        """Forgets taken records."""
        for item in items:
            self._taken.remove(item)

    def put_back(self, items: list[Item]) -> None:
        """Puts taken records back in front."""
        self.settle(items)
        self._waiting.extendleft(reversed(items))

    def clear(self) -> int:
        """Drops the records that are not taken. Returns how many they were."""
        count = len(self._waiting)
        self._waiting.clear()
        return count

    def waiting(self) -> int:
        """How many records are not taken."""
        return len(self._waiting)

    def oldest(self) -> float | None:
        """When the oldest record was captured, in epoch seconds; None if there is none."""
        first = self._first()
        return first.captured_at if first else None

    def is_settled(self, number: int) -> bool:
        """Whether no record up to this number waits or is taken."""
        first = self._first()
        return first is None or first.number > number

    def last(self) -> int:
        """The number of the newest record, whether it still waits or not."""
        return self._last

    def pending(self) -> int:
        """How many records wait or are taken."""
        return len(self._waiting) + len(self._taken)

    def _first(self) -> Item | None:
        waiting = self._taken or self._waiting
        return waiting[0] if waiting else None
