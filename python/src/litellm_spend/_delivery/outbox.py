"""The bounded queue between LiteLLM's threads and the sender, with its counters.

Every record that was put into it is in exactly one state: queued, in flight, sent, refused or dropped.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

QueuedRecord = str | bytes
"""A record as JSON text, or the bytes that `capture.write` turns into JSON text."""

# A full batch of ordinary records has 1 MB. This limits a batch whose `spend_logs_metadata` is huge.
_BATCH_BYTES = 8_000_000


@dataclass(frozen=True)
class Stats:
    """What happened to the records of one logger, counted since the process started (or was forked)."""

    captured: int
    """Records built from LiteLLM's events."""
    queued: int
    """Records that wait, or are on their way to the server."""
    sent: int
    """Records that the server committed, including the rejected ones."""
    rejected: int
    """Those of `sent` that the server put into litellm_spend.rejected."""
    refused: int
    """Records that the server refused even alone."""
    dropped: int
    """Lost records: the queue was full, or the process ended while the server was away."""
    retries: int
    """Attempts to send that failed and are repeated."""
    last_error: str | None
    """The last error, without secrets; None if the last attempt succeeded."""
    unpriced: int = 0
    """Successful calls that cost 0 because LiteLLM has no price for their model."""
    held: int = 0
    """A Router's failed attempts that are held until it is known how they count; not yet in `captured`."""
    unusable_ids: int = 0
    """Ids (of a user, team or tag, for example) for which nobody is charged: no string, number, UUID or Enum."""


class Outbox:
    def __init__(self, max_queue: int, batch_size: int) -> None:
        self.max_queue = max_queue
        self.batch_size = batch_size
        self._changed = threading.Condition(threading.Lock())
        self._queue: deque[QueuedRecord] = deque()
        self._in_flight = 0
        self._in_flight_dropped = 0  # those records in flight that count as dropped
        self._captured = self._sent = self._rejected = self._refused = self._dropped = self._retries = 0
        self._idle_waiters = 0  # threads that wait for a first record
        self._draining = 0  # callers that wait until the queue is empty
        self._last_error: str | None = None

    def put(self, record: QueuedRecord) -> bool:
        """Queues a record. Returns False if the queue is full and the record is dropped. Never waits."""
        with self._changed:
            self._captured += 1
            if len(self._queue) + self._in_flight >= self.max_queue:
                self._dropped += 1
                return False
            self._queue.append(record)
            if self._idle_waiters or len(self._queue) == self.batch_size:
                self._changed.notify_all()
            return True

    def is_behind(self) -> bool:
        """Whether at least a full batch is queued."""
        return len(self._queue) >= self.batch_size

    def next_batch(self) -> list[QueuedRecord]:
        """Takes up to one batch from the queue, in order. Report its end with `settle` or `put_back`."""
        with self._changed:
            batch: list[QueuedRecord] = []
            size = 0
            while self._queue and len(batch) < self.batch_size and size < _BATCH_BYTES:
                size += len(self._queue[0])
                batch.append(self._queue.popleft())
            self._in_flight += len(batch)
            return batch

    def settle(self, *, sent: int = 0, rejected: int = 0, refused: int = 0) -> None:
        with self._changed:
            self._in_flight -= sent + refused
            self._sent += sent
            self._rejected += rejected
            self._refused += refused
            self._last_error = None
            self._changed.notify_all()

    def put_back(self, batch: list[QueuedRecord], error: str) -> None:
        with self._changed:
            self._in_flight -= len(batch)
            self._queue.extendleft(reversed(batch))
            self._retries += 1
            self._last_error = error

    def drop_all(self) -> int:
        """Drops what is queued and in flight. Returns how many they are. Each record is counted once."""
        with self._changed:
            lost = len(self._queue) + max(0, self._in_flight - self._in_flight_dropped)
            self._in_flight_dropped = self._in_flight
            self._dropped += len(self._queue)
            self._queue.clear()
            self._changed.notify_all()
            return lost

    def wait_for_record(self, timeout: float, stopping: Callable[[], bool]) -> bool:
        """Waits for a first record. Returns True if there is one."""
        with self._changed:
            self._idle_waiters += 1
            try:
                self._changed.wait_for(lambda: self._queue or stopping(), timeout)
                return bool(self._queue)
            finally:
                self._idle_waiters -= 1

    def wait_for_batch(self, timeout: float) -> None:
        """Waits until a batch is full, the time is over, or a caller waits until the queue is empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._draining or len(self._queue) >= self.batch_size, timeout)

    def wait_empty(self, deadline: float) -> bool:
        """Waits until nothing is queued or in flight, at most until `deadline` (monotonic)."""
        with self._changed:
            self._draining += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not self._pending(), max(0.0, deadline - time.monotonic()))
            finally:
                self._draining -= 1

    def pause(self, seconds: float) -> bool:
        """Waits before the next attempt. Returns True soon if a caller waits until the queue is empty."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._draining, seconds):
                return False
        time.sleep(min(seconds, 0.2))
        return True

    def interrupt(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _pending(self) -> int:
        return len(self._queue) + self._in_flight

    def pending(self) -> int:
        with self._changed:
            return self._pending()

    def stats(self) -> Stats:
        with self._changed:
            return Stats(
                self._captured,
                self._pending(),
                self._sent,
                self._rejected,
                self._refused,
                self._dropped,
                self._retries,
                self._last_error,
            )
