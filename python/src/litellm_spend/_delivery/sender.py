"""The background thread takes batches from the outbox and sends them to the server.

If the outcome of a batch is unknown, because the connection broke or the server did not answer in time, the batch is
sent again on a new connection. The server counts a request id once. Records are kept while the server is away, and the
wait between attempts grows to half a minute.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from .._litellm import workarounds
from .connection import SHORTEST_CONNECT_SECONDS, Connection
from .outbox import Batch, Outbox
from .outgoing import Outgoing
from .sending import Sending

log = logging.getLogger("litellm_spend")

_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 30.0
# A wrong password that is tried often can lock the role, or fill the server's log.
_FIRST_PAUSE_OF_PERMANENT = 2.0
_LONGEST_PAUSE_OF_PERMANENT = 60.0
# How long a caller waits for records that a wrong configuration keeps from the server.
_HOPELESS_SECONDS = 1.0
_IDLE_CLOSE = 60.0
_WATCH_EVERY = 0.2


class Sender:
    """`flush_interval`: the option of `SpendLogger`."""

    def __init__(self, outbox: Outbox, connection: Connection, outgoing: Outgoing, flush_interval: float) -> None:
        self.outbox = outbox
        self.connection = connection
        self.outgoing = outgoing
        self._sending = Sending(outbox, connection, outgoing)
        self._flush_interval = flush_interval
        self._start_lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._pause = 0.0
        self._hurried_at = self._hurried_deadline = float("-inf")

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

    @property
    def is_misconfigured(self) -> bool:
        """Whether the last attempt failed in a way that no waiting fixes."""
        return self._sending.is_misconfigured

    def drain(self, deadline: float) -> bool:
        """Sends the records that are queued now, at most until `deadline` (monotonic). Returns whether all are sent.

        With a configuration that cannot work it waits a second at most.
        """
        began = time.monotonic()

        def is_hopeless() -> bool:
            return self.is_misconfigured and time.monotonic() > began + _HOPELESS_SECONDS

        self.ensure_running()
        if self._is_running():
            return self.outbox.wait_sent(deadline, is_hopeless)
        while self.outbox.pending() and (left := deadline - time.monotonic()) > 0 and not is_hopeless():
            if left < SHORTEST_CONNECT_SECONDS and not self.connection.is_open:
                break
            if not self._send_next(deadline):
                time.sleep(min(self._next_pause(), max(0.0, deadline - time.monotonic())))
        return not self.outbox.pending()

    def drain_left(self, deadline: float) -> None:
        """Sends what processes left that are gone, at most until `deadline` (monotonic)."""
        while time.monotonic() < deadline and self.send_left_batch(deadline):
            pass

    def hurry(self, deadline: float) -> None:
        """Makes a call that runs now give up early enough for another one before `deadline`."""
        self._hurried_at = time.monotonic()
        self._hurried_deadline = (self._hurried_at + deadline) / 2

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
        return Sender(outbox, self.connection.copy_for_child(), self.outgoing.copy_for_child(), self._flush_interval)

    def _run(self, stopping: threading.Event) -> None:
        try:
            self._sending.check()
            while not stopping.is_set():
                if not self._wait_for_record(stopping):
                    self._send_left(stopping)
                    with self._send_lock:
                        self.connection.close()
                    continue
                self.outbox.wait_for_batch(self._flush_interval)
                while self._send_next():
                    pass
                if self.outbox.pending():
                    self._wait_and_watch(self._next_pause(), self._wait_after_failure, stopping)
                else:
                    self._send_left(stopping)
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

    def _wait_after_failure(self, seconds: float) -> bool:
        return self.outbox.pause(seconds, is_patient=self.is_misconfigured)

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

    def _send_left(self, stopping: threading.Event) -> None:
        """Sends what processes left that are gone, until this process has records of its own."""
        while not stopping.is_set() and not self.outbox.pending() and self.send_left_batch():
            pass

    def send_left_batch(self, deadline: float | None = None) -> bool:
        """Sends one batch that a process left. Returns False if there is none or it was put back."""
        with self._send_lock:
            batch = self.outbox.next_left_batch(self._sending.batch_size)
            return batch is not None and self._send(batch, deadline)

    def _send_next(self, deadline: float | None = None) -> bool:
        """Takes one batch and sends it. Returns False if there was none or it was put back."""
        with self._send_lock:
            batch = self.outbox.next_batch(self._sending.batch_size)
            return batch is not None and self._send(batch, deadline)

    def _send(self, batch: Batch, deadline: float | None) -> bool:
        began = time.monotonic()
        latest = min(began + self.connection.send_timeout, float("inf") if deadline is None else deadline)

        def limit() -> float:
            return min(latest, self._hurried_deadline) if began < self._hurried_at else latest

        if not self._sending.send(batch, limit):
            return False
        self._pause = 0.0
        return True

    def _next_pause(self) -> float:
        first = _FIRST_PAUSE_OF_PERMANENT if self.is_misconfigured else _FIRST_PAUSE
        longest = _LONGEST_PAUSE_OF_PERMANENT if self.is_misconfigured else _LONGEST_PAUSE
        self._pause = min(max(first, self._pause * 2), longest)
        return self._pause * random.uniform(0.5, 1.0)
