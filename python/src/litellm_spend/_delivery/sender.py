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
from .errors import Recovery, SendTimeout, explain, is_permanent, recovery_from
from .memory import ToMemory
from .memory_queue import Item
from .outbox import Batch, Outbox
from .outgoing import Outgoing

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
# What the server may have forgotten in the meantime cannot be younger than this.
_OLD_SECONDS = 60.0


class Sender:
    """`flush_interval` and `send_timeout`: the options of `SpendLogger`. `sink`: takes the texts of the records in
    place of a server.
    """

    def __init__(
        self,
        url: str | None,
        outbox: Outbox,
        flush_interval: float,
        send_timeout: float = 30.0,
        outgoing: Outgoing | None = None,
        sink: list[str] | None = None,
    ) -> None:
        self._url = url
        self.outbox = outbox
        self.outgoing = outgoing or Outgoing()
        self._sink = sink
        self.connection = Connection(url, send_timeout) if sink is None else ToMemory(sink)
        self._flush_interval = flush_interval
        self._start_lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._pause = 0.0
        self._batch_size = outbox.batch_size
        self._exit_deadline = float("inf")
        self._reported: set[str] = set()
        self._is_misconfigured = False

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
        return self._is_misconfigured

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

    def hurry(self, deadline: float) -> None:
        """Makes a call that runs give up early enough for another one before `deadline`, because the process ends."""
        self._exit_deadline = time.monotonic() + (deadline - time.monotonic()) / 2

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
        outgoing = self.outgoing.copy_for_child()
        return Sender(self._url, outbox, self._flush_interval, self.connection.send_timeout, outgoing, self._sink)

    def _run(self, stopping: threading.Event) -> None:
        try:
            self._check()
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

    def _check(self) -> None:
        """Tells at the first call if the configuration cannot work."""
        try:
            self.connection.check()
            self.outgoing.load()
        except Exception as error:
            self._note_failure(error)

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

    def send_left_batch(self) -> bool:
        """Sends one batch that a process left. Returns False if there is none or it was put back."""
        with self._send_lock:
            batch = self.outbox.next_left_batch(self._batch_size)
            return batch is not None and self._send(batch, None)

    def _send_next(self, deadline: float | None = None) -> bool:
        """Takes one batch and sends it. Returns False if there was none or it was put back."""
        with self._send_lock:
            batch = self.outbox.next_batch(self._batch_size)
            return batch is not None and self._send(batch, deadline)

    def _send(self, batch: Batch, deadline: float | None) -> bool:
        began = time.monotonic()
        self.outbox.sending(began)
        try:
            return self._record(batch, self._deadline(began, deadline))
        finally:
            self.outbox.sending(None)

    def _deadline(self, began: float, deadline: float | None) -> Callable[[], float]:
        """When a call must have ended. The end of the process brings it forward."""
        latest = min(began + self.connection.send_timeout, float("inf") if deadline is None else deadline)
        return lambda: min(latest, max(self._exit_deadline, began))

    def _record(self, batch: Batch, deadline: Callable[[], float]) -> bool:
        """Sends a batch, in parts if the server cannot take it whole. Returns False if records were put back."""
        try:
            self.outgoing.load()
            batch = self._without_forgotten(batch, deadline)
        except Exception as error:
            return self._put_back(batch, error)
        parts = [written] if (written := self._write(batch)) else []
        while parts:
            part = parts.pop()
            sent = batch.part([item for item, _ in part])
            try:
                staged = self.connection.record([text for _, text in part], deadline)
            except Exception as error:
                recovery = recovery_from(error)
                if recovery is Recovery.RETRY or (recovery is Recovery.SHRINK and len(part) == 1):
                    rest = [item for remaining in reversed([*parts, part]) for item, _ in remaining]
                    return self._put_back(batch.part(rest), error)
                if len(part) > 1:
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                else:
                    self.outbox.settle(sent, refused=True)
                    log.error("a spend record is lost because the server cannot accept it: %s", explain(error))
            else:
                self.outbox.settle(sent, rejected=max(0, len(part) - staged))
                self._note_success()
        return True

    def _write(self, batch: Batch) -> list[tuple[Item, str]]:
        """The records of a batch with their texts. A record that cannot be written as text is dropped."""
        written = []
        for item in batch.items:
            try:
                text = self.outgoing.write(item.record, is_own=batch.is_own)
            except Exception as error:
                self.outbox.settle(batch.part([item]), refused=True)
                log.error("a spend record is lost because it cannot be written as JSON: %s", type(error).__name__)
                continue
            if text is None:
                self.outbox.settle(batch.part([item]), filtered=True)
            else:
                written.append((item, text))
        return written

    def _without_forgotten(self, batch: Batch, deadline: Callable[[], float]) -> Batch:
        """Sets those records of the spool aside that the server may have counted and forgotten."""
        spool, oldest = self.outbox.spool, time.time() - batch.items[0].captured_at
        if spool is None or not batch.is_spooled or oldest < _OLD_SECONDS:
            return batch
        memory = self.connection.memory_seconds(deadline)
        forgotten = [item for item in batch.items if memory is not None and time.time() - item.captured_at > memory]
        if not forgotten:
            return batch
        path = spool.directory.set_aside(forgotten)
        for item in forgotten:
            self.outbox.settle(batch.part([item]), set_aside=True)
        log.error(
            "%d spend records of the spool are older than litellm_spend.dedupe_window, and the server keeps no log of "
            "requests: they may have been counted already, so they are in %s and are not sent",
            len(forgotten),
            path,
        )
        return batch.part([item for item in batch.items if item not in forgotten])

    def _put_back(self, batch: Batch, error: Exception) -> bool:
        """Keeps records that could not be sent. Always returns False."""
        self.outbox.put_back(batch, self._note_failure(error))
        self.connection.close()
        return False

    def _note_failure(self, error: Exception) -> str:
        """Logs an error, once until a batch is sent. Returns the sentence."""
        reason = self.connection.redact(explain(error))
        self._is_misconfigured = is_permanent(error)
        if isinstance(error, SendTimeout):
            self._batch_size = max(1, self._batch_size // 2)
        kind = getattr(error, "sqlstate", None) or type(error).__name__
        if kind not in self._reported:
            self._reported.add(kind)
            log.error("cannot record spend: %s. Records are kept and sent again later", reason)
        return reason

    def _note_success(self) -> None:
        self._pause = 0.0
        self._is_misconfigured = False
        self._batch_size = min(self._batch_size * 2, self.outbox.batch_size)
        if self._reported:
            self._reported.clear()
            log.warning("spend is recorded again")

    def _next_pause(self) -> float:
        first = _FIRST_PAUSE_OF_PERMANENT if self.is_misconfigured else _FIRST_PAUSE
        longest = _LONGEST_PAUSE_OF_PERMANENT if self.is_misconfigured else _LONGEST_PAUSE
        self._pause = min(max(first, self._pause * 2), longest)
        return self._pause * random.uniform(0.5, 1.0)
