"""The background thread takes batches from the outbox and sends them to the server.

If the outcome of a batch is unknown, because the connection broke, the batch is sent again. The server counts a
request id once. Records are kept while the server is away, and the wait between attempts grows to half a minute.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from .._litellm import workarounds
from .._record.capture import write
from .connection import SHORTEST_CONNECT_SECONDS, Connection
from .errors import Recovery, explain, recovery_from
from .outbox import Outbox, QueuedRecord

log = logging.getLogger("litellm_spend")

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 30.0
_IDLE_CLOSE = 60.0
_WATCH_EVERY = 0.2


class Sender:
    def __init__(self, url: str | None, outbox: Outbox, flush_interval: float) -> None:
        self._url = url
        self.outbox = outbox
        self.connection = Connection(url)
        self._flush_interval = flush_interval
        self._start_lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._pause = _FIRST_PAUSE
        self._reported: set[str] = set()

    def ensure_running(self) -> None:
        """Starts the thread if none is running. At interpreter shutdown no thread can start.

        If a thread is about to end, another one starts, because the first may not look for records again.
        """
        if self._is_running():
            return
        with self._start_lock:
            if self._is_running():
                return
            stopping = threading.Event()
            thread = threading.Thread(target=self._run, args=(stopping,), name="litellm_spend", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return
            self._thread, self._stopping = thread, stopping

    def _is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive() and not self._stopping.is_set()

    def drain(self, deadline: float) -> bool:
        """Sends all queued records, at most until `deadline` (monotonic). Returns True if none are left."""
        self.ensure_running()
        if self._is_running():
            return self.outbox.wait_empty(deadline)
        while self.outbox.pending() and (left := deadline - time.monotonic()) > 0:
            if left < SHORTEST_CONNECT_SECONDS and not self.connection.is_open:
                break
            if not self._send_batch(deadline):
                time.sleep(min(self._next_pause(), max(0.0, deadline - time.monotonic())))
        return not self.outbox.pending()

    def close(self, deadline: float) -> bool:
        """Drains the queue, ends the thread and closes the connection. The next record starts both again."""
        drained = self.drain(deadline)
        self._stop(deadline)
        if drained and self.outbox.pending():
            self.ensure_running()  # a record came in the meantime
        return drained

    def _stop(self, deadline: float) -> None:
        thread = self._thread
        self._stopping.set()
        self.outbox.interrupt()
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))

    def copy_for_child(self, outbox: Outbox) -> Sender:
        """A sender for a forked child. The parent's connection is not closed."""
        self.connection.abandon()
        return Sender(self._url, outbox, self._flush_interval)

    def _run(self, stopping: threading.Event) -> None:
        try:
            while not stopping.is_set():
                if not self._wait_for_record(stopping):
                    with self._send_lock:
                        self.connection.close()
                    continue
                self.outbox.wait_for_batch(self._flush_interval)
                while self.outbox.pending() and self._send_batch():
                    pass
                if self.outbox.pending():
                    self._wait_and_watch(self._next_pause(), self.outbox.pause, stopping)
        except Exception as error:
            # The next record starts a new thread.
            log.error("the sender stopped, and the next record starts it again: %s", type(error).__name__)
        finally:
            with self._send_lock:
                self.connection.close()

    def _wait_for_record(self, stopping: threading.Event) -> bool:
        """Waits for a record. Returns False if none came for so long that the connection can be closed."""
        return self._wait_and_watch(
            _IDLE_CLOSE, lambda seconds: self.outbox.wait_for_record(seconds, stopping.is_set), stopping
        )

    def _wait_and_watch(self, seconds: float, wait: Callable[[float], bool], stopping: threading.Event) -> bool:
        """Waits until `wait` returns True. If LiteLLM's worker can hang, watches it in the meantime."""
        watching = workarounds.may_hang_at_exit()
        until = time.monotonic() + seconds
        while (remaining := until - time.monotonic()) > 0 and not stopping.is_set():
            if wait(min(remaining, _WATCH_EVERY) if watching else remaining):
                return True
            if watching:
                workarounds.end_cancelled_worker()
        return False

    def _send_batch(self, deadline: float | None = None) -> bool:
        """Takes one batch and sends it. Returns False if there was none or it was put back."""
        with self._send_lock:
            batch = self.outbox.next_batch()
            if not batch:
                return False
            return self._record(self._write(batch), deadline)

    def _write(self, batch: list[QueuedRecord]) -> list[str]:
        """The texts of a batch. A record that cannot be written as text is dropped."""
        texts = []
        for record in batch:
            try:
                texts.append(write(record))
            except Exception as error:
                self.outbox.settle(refused=1)
                log.error("a spend record is lost because it cannot be written as JSON: %s", type(error).__name__)
        return texts

    def _record(self, batch: list[str], deadline: float | None) -> bool:
        parts = [batch] if batch else []
        while parts:
            part = parts.pop()
            try:
                staged = self.connection.record(part, deadline)
            except Exception as error:
                recovery = recovery_from(error)
                if recovery is Recovery.RETRY or (recovery is Recovery.SHRINK and len(part) == 1):
                    self._put_back([record for rest in reversed([*parts, part]) for record in rest], error)
                    return False
                if len(part) > 1:
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                else:
                    self.outbox.settle(refused=1)
                    log.error("a spend record is lost because the server cannot accept it: %s", explain(error))
            else:
                self.outbox.settle(sent=len(part), rejected=max(0, len(part) - staged))
                self._note_success()
        return True

    def _put_back(self, batch: list[str], error: Exception) -> None:
        reason = self.connection.redact(explain(error))
        self.outbox.put_back(batch, reason)
        self.connection.close()
        kind = getattr(error, "sqlstate", None) or type(error).__name__
        if kind not in self._reported:
            self._reported.add(kind)
            log.error("cannot record spend: %s. Records are kept and sent again later", reason)

    def _note_success(self) -> None:
        self._pause = _FIRST_PAUSE
        if self._reported:
            self._reported.clear()
            log.warning("spend is recorded again")

    def _next_pause(self) -> float:
        pause = self._pause
        self._pause = min(pause * 2, _LONGEST_PAUSE)
        return pause * random.uniform(0.5, 1.0)
