"""The queue between LiteLLM's threads and the sender, with its counters.

Every record that was captured is in exactly one state: queued, in flight, sent, refused, filtered, set aside or
dropped. It waits in memory, or in the spool if there is one. The records that an earlier process left in the spool
count apart from these, as `recovered`.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .memory_queue import Item, MemoryQueue, QueuedRecord
from .spool import Spool
from .spool_directory import LockedFile
from .stats import Stats

# A full batch of ordinary records has 1 MB. This limits a batch whose `spend_logs_metadata` is huge.
_BATCH_BYTES = 8_000_000
_ASK_SECONDS = 0.25


Queue = MemoryQueue | LockedFile


@dataclass(frozen=True)
class Batch:
    """Records that were taken from one queue, in order."""

    queue: Queue
    items: list[Item]
    is_own: bool = True
    """Whether this process captured them."""

    @property
    def is_spooled(self) -> bool:
        return not isinstance(self.queue, MemoryQueue)

    def part(self, items: list[Item]) -> Batch:
        return Batch(self.queue, items, self.is_own)


class Outbox:
    def __init__(self, max_queue: int, batch_size: int, spool: Spool | None = None) -> None:
        self.max_queue = max_queue
        self.batch_size = batch_size
        self.spool = spool
        self._changed = threading.Condition(threading.Lock())
        self._memory = MemoryQueue(max_queue)
        self._in_flight_dropped = 0  # those records in flight that count as dropped
        self._captured = self._sent = self._rejected = self._refused = self._dropped = self._retries = 0
        self._recovered = self._set_aside = self._filtered = 0
        self._idle_waiters = 0  # threads that wait for a first record
        self._draining = 0  # callers that wait until records are sent
        self._last_error: str | None = None
        self._sending_since: float | None = None

    def put(self, record: QueuedRecord) -> bool:
        """Queues a record. Returns False if the queue is full and the record is dropped. Never waits for the server."""
        is_spooled = self.spool is not None and isinstance(record, str) and self.spool.put(record)
        with self._changed:
            self._captured += 1
            if not is_spooled and not self._memory.put(record):
                self._dropped += 1
                return False
            if self._idle_waiters or self._pending() == self.batch_size:
                self._changed.notify_all()
            return True

    def is_behind(self) -> bool:
        """Whether at least a full batch waits."""
        return self._memory.waiting() + self.spooled() >= self.batch_size

    def next_batch(self, count: int) -> Batch | None:
        """Takes up to `count` records that this process captured. Report their end with `settle` or `put_back`."""
        with self._changed:
            if items := self._memory.take(count, _BATCH_BYTES):
                return Batch(self._memory, items)
        return self._take(self._own_file(), count, is_own=True)

    def next_left_batch(self, count: int) -> Batch | None:
        """Takes up to `count` records that a process left which is gone."""
        while self.spool is not None and (file := self.spool.left()) is not None:
            if batch := self._take(file, count, is_own=False):
                return batch
            if file is self.spool.left():
                self.spool.finish_left()
        return None

    def settle(
        self,
        batch: Batch,
        *,
        rejected: int = 0,
        refused: bool = False,
        set_aside: bool = False,
        filtered: bool = False,
    ) -> None:
        """The records of the batch are sent, unless they are refused, set aside or filtered."""
        count = len(batch.items)
        if not isinstance(batch.queue, MemoryQueue):
            self._remove_from_file(batch.queue, batch.items)
        with self._changed:
            if isinstance(batch.queue, MemoryQueue):
                batch.queue.settle(batch.items)
            if set_aside:
                self._set_aside += count
            elif filtered:
                self._filtered += count
            elif refused:
                self._refused += count
            elif batch.is_own:
                self._sent += count
                self._rejected += rejected
            else:
                self._recovered += count
            self._last_error = self._last_error if set_aside or filtered else None
            self._changed.notify_all()

    def put_back(self, batch: Batch, error: str) -> None:
        with self._changed:
            batch.queue.put_back(batch.items)
            self._retries += 1
            self._last_error = error
            self._changed.notify_all()

    def sending(self, since: float | None) -> None:
        """Notes when an attempt to send began (monotonic), or that none runs."""
        self._sending_since = since

    def drop_all(self) -> int:
        """Drops what waits or is in flight and is not in the spool. Returns how many. Each record is counted once."""
        with self._changed:
            dropped = self._memory.clear()
            lost = dropped + max(0, self._memory.pending() - self._in_flight_dropped)
            self._in_flight_dropped = self._memory.pending()
            self._dropped += dropped
            self._changed.notify_all()
            return lost

    def wait_for_record(self, timeout: float, stopping: Callable[[], bool]) -> bool:
        """Waits for a first record. Returns True if there is one."""
        with self._changed:
            self._idle_waiters += 1
            try:
                self._changed.wait_for(lambda: self._pending() or stopping(), timeout)
                return bool(self._pending())
            finally:
                self._idle_waiters -= 1

    def wait_for_batch(self, timeout: float) -> None:
        """Waits until a batch is full, the time is over, or a caller waits until its records are sent."""
        with self._changed:
            self._changed.wait_for(lambda: self._draining or self.is_behind(), timeout)

    def wait_sent(self, deadline: float, is_hopeless: Callable[[], bool]) -> bool:
        """Waits until what is queued now is neither queued nor in flight, at most until `deadline` (monotonic).

        Does not wait for records that come later. Ends early if `is_hopeless`, which is asked now and then.
        """
        with self._changed:
            waited = [(queue, queue.last()) for queue in self._queues()]

            def is_sent() -> bool:
                return all(queue.is_settled(last) for queue, last in waited)

            self._draining += 1
            self._changed.notify_all()
            try:
                while (left := deadline - time.monotonic()) > 0 and not is_hopeless():
                    if self._changed.wait_for(is_sent, min(left, _ASK_SECONDS)):
                        return True
                return is_sent()
            finally:
                self._draining -= 1

    def pause(self, seconds: float, *, is_patient: bool) -> bool:
        """Waits before the next attempt. Unless `is_patient`, returns True soon if a caller waits for its records."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._draining and not is_patient, seconds):
                return False
        time.sleep(min(seconds, 0.2))
        return True

    def interrupt(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def pending(self) -> int:
        with self._changed:
            return self._pending()

    def spooled(self) -> int:
        """How many of the pending records outlive the process."""
        file = self._own_file()
        return 0 if file is None else file.pending()

    def stats(self) -> Stats:
        since = self._sending_since
        with self._changed:
            waiting = [at for queue in self._queues() if (at := queue.oldest()) is not None]
            return Stats(
                captured=self._captured,
                queued=self._pending(),
                sent=self._sent,
                rejected=self._rejected,
                refused=self._refused,
                dropped=self._dropped,
                retries=self._retries,
                last_error=self._last_error,
                spooled=self.spooled(),
                recovered=self._recovered,
                set_aside=self._set_aside,
                filtered=self._filtered,
                oldest_unsent_seconds=max(0.0, time.time() - min(waiting)) if waiting else None,
                sending_seconds=None if since is None else time.monotonic() - since,
            )

    def _queues(self) -> list[Queue]:
        file = self._own_file()
        return [self._memory] if file is None else [self._memory, file]

    def _own_file(self) -> LockedFile | None:
        return None if self.spool is None else self.spool.own()

    def _pending(self) -> int:
        return self._memory.pending() + self.spooled()

    def _take(self, file: LockedFile | None, count: int, *, is_own: bool) -> Batch | None:
        if file is None or self.spool is None:
            return None
        try:
            items = file.take(count, _BATCH_BYTES)
        except sqlite3.Error as error:
            self.spool.leave_broken(file, error)
            return None
        return Batch(file, items, is_own) if items else None

    def _remove_from_file(self, file: LockedFile, items: list[Item]) -> None:
        """Removes records from the spool. If that fails, they are sent again later, and the server counts them once."""
        try:
            file.settle(items)
        except sqlite3.Error as error:
            if self.spool is not None:
                self.spool.leave_broken(file, error)
