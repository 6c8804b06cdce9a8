"""SpendLogger, the callback for LiteLLM: its options, and the methods that an application calls."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import litellm

from . import __version__, _metrics, _settings
from ._delivery import health
from ._delivery.memory_queue import QueuedRecord
from ._delivery.outbox import Outbox
from ._delivery.set_up import set_up
from ._delivery.stats import Stats
from ._hooks import Hooks
from ._intake.intake import Intake
from ._litellm import deliveries, sync_delivery
from ._log import RateLimitedLog
from ._process import lifecycle
from ._settings import BeforeSend
from .testing import MemorySink

log = logging.getLogger("litellm_spend")

# The numbers of the loggers' databases and sinks.
_destinations: dict[str | int | None, int] = {}


class SpendLogger(Hooks):
    """Records the spend of each LiteLLM call in Postgres: `litellm.callbacks = [SpendLogger()]`.

    `_settings.Settings` says what each option means. An option that is not given comes from its environment variable,
    which is LITELLM_SPEND_ and its name in capitals, else it has its default. A wrong value raises ValueError.
    `sink`: takes the records in place of a database, for an application's tests.

    Its hooks never raise and never wait. A background thread talks to the server.
    """

    def __init__(
        self,
        database_url: str | None = None,
        *,
        batch_size: int | None = None,
        flush_interval: float | None = None,
        max_queue: int | None = None,
        record_failures: bool | None = None,
        flush_at_sigterm: bool | None = None,
        exit_timeout: float | None = None,
        enabled: bool | None = None,
        default_team: str | None = None,
        default_tags: Sequence[str] | None = None,
        default_metadata: Mapping[str, Any] | None = None,
        before_send: BeforeSend | None = None,
        otel_metrics: bool | None = None,
        send_timeout: float | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
        spool_max_mb: int | None = None,
        sink: MemorySink | None = None,
    ) -> None:
        # Each option is an argument of the same name.
        settings = _settings.read(locals())
        self._sender = set_up(settings, sink)
        self._outbox = self._sender.outbox
        super().__init__()
        # LiteLLM treats two loggers as one if their public str, bool and int attributes are equal.
        self._sink = sink  # kept, because another sink could get its id
        destination = settings.database_url if sink is None else id(sink)
        self.destination = _destinations.setdefault(destination, len(_destinations))
        self.record_failures = settings.record_failures
        self._is_enabled = settings.enabled
        self._intake = self._new_intake()
        self._sync_delivery = sync_delivery.SyncDelivery(self, self.destination, self._receive)
        self._hook_log = RateLimitedLog()
        self._drop_log = RateLimitedLog()
        self._has_warned_of_flush = self._has_started = False
        if settings.enabled:
            deliveries.track()
            lifecycle.register(self, flush_at_sigterm=settings.flush_at_sigterm, exit_timeout=settings.exit_timeout)
            if settings.otel_metrics:
                _metrics.report(self, __version__)

    def __repr__(self) -> str:
        return f"SpendLogger(destination={self.destination}, record_failures={self.record_failures})"

    # The methods that an application calls.

    def flush(self, timeout: float = 30.0) -> bool:
        """Waits until the calls that have ended are recorded; False if `timeout` seconds passed before.

        LiteLLM reports a call from a thread or task of its own, after the call has returned. `flush` waits for these
        threads, and then until what they captured is committed. It does not wait for calls that end later, nor for a
        Router's failed attempt that is held because the Router may try again.

        It waits for no event loop. So an application that makes async calls uses `await aflush()`. On the thread of a
        running event loop, and in a callback, `flush` waits for nothing and returns False.
        """
        if not self._is_enabled:
            return True
        if deliveries.has_running_loop() or deliveries.is_delivering():
            self._warn_of_flush()
            return False
        deadline = time.monotonic() + timeout
        are_delivered = deliveries.wait(deadline)
        return self._sender.drain(deadline) and are_delivered

    async def aflush(self, timeout: float = 30.0) -> bool:
        """Does what `flush` does, also for the async calls of this event loop, and without blocking it.

        In a callback it waits for nothing and returns False.
        """
        if not self._is_enabled:
            return True
        if deliveries.is_delivering():
            self._warn_of_flush()
            return False
        deadline = time.monotonic() + timeout
        are_delivered = await deliveries.wait_async(deadline)
        return await in_thread(lambda: self._sender.drain(deadline)) and are_delivered

    def close(self, timeout: float = 30.0) -> bool:
        """Flushes, ends the background thread and closes the connection. A later event starts both again.

        On the thread of a running event loop it does not wait for calls that LiteLLM has not reported yet.
        """
        if not self._is_enabled:
            return True
        deadline = time.monotonic() + timeout
        if not deliveries.has_running_loop() and not deliveries.is_delivering():
            deliveries.wait(deadline)
        self._intake.release()
        return self._sender.close(deadline)

    def health_check(self) -> health.Health:
        """Connects to the database and tells whether spend can be recorded there, and why not.

        A logger with a sink needs no database, so all is well.
        """
        return health.check(self._sender.connection, self._sender.outgoing)

    def stats(self) -> Stats:
        """Counts what happened to the records so far."""
        return dataclasses.replace(
            self._outbox.stats(),
            unpriced=self._intake.unpriced.count,
            held=self._intake.held(),
            unusable_ids=self._intake.unusable_ids.count,
        )

    # The methods that `_process.lifecycle` and the registration by name call.

    def attach_sync_delivery(self) -> None:
        """Makes sure that async successes arrive although their event loop ends; see `_litellm.sync_delivery`."""
        if not self._is_enabled:
            return
        try:
            sync_delivery.attach(self._sync_delivery)
        except Exception as error:
            self._hook_log.error(f"the logger cannot be added to LiteLLM's success callbacks: {type(error).__name__}")

    def finish(self, deadline: float) -> None:
        """Sends the remaining records while the process exits, and logs how many are lost or wait in the spool."""
        if self._outbox.spooled() and self._outbox.stats().last_error:
            deadline = min(deadline, time.monotonic() + 1)  # a later process sends what is in the spool
        self._sender.hurry(deadline)
        unsent = self.send(deadline)
        reason = self._outbox.stats().last_error or "the server did not answer in time"
        if unsent and (lost := self._outbox.drop_all()):
            log.error("%s lost at exit: %s", _spend_records(lost), reason)
        self._drop_log.finish()
        if (spool := self._outbox.spool) is not None:
            if not self._outbox.pending() and self._outbox.stats().captured:
                self._sender.drain_left(deadline)
            if spooled := self._outbox.spooled():
                log.warning(
                    "%s kept in %s at exit: %s. The next process with this spool_dir or litellm-spend drain sends them",
                    _spend_records(spooled),
                    spool.directory.path,
                    reason,
                )
            spool.release()

    def send(self, deadline: float) -> int:
        """Sends what is held and queued. Returns how many records would be lost at `deadline` (monotonic)."""
        self._intake.release()
        # While the process exits, other threads may capture further records, and wait for them.
        while (pending := self._outbox.pending()) and self._sender.drain(deadline) and time.monotonic() < deadline:
            pass
        return max(0, pending - self._outbox.spooled())

    def before_fork(self) -> None:
        self._sender.connection.before_fork()
        if self._outbox.spool is not None:
            self._outbox.spool.before_fork()

    def after_fork_in_parent(self) -> None:
        self._sender.connection.after_fork_in_parent()
        if self._outbox.spool is not None:
            self._outbox.spool.after_fork_in_parent()

    def restart_in_child(self) -> None:
        """Empties the logger in a forked child, because the parent sends the parent's records."""
        deliveries.forget()
        spool = self._outbox.spool
        self._outbox = Outbox(
            self._outbox.max_queue, self._outbox.batch_size, None if spool is None else spool.copy_for_child()
        )
        self._sender = self._sender.copy_for_child(self._outbox)
        self._intake = self._new_intake()
        self._hook_log = RateLimitedLog()
        self._drop_log = RateLimitedLog()
        self._has_started = False

    def _new_intake(self) -> Intake:
        return Intake(
            self._put,
            self._outbox.is_behind,
            lambda: any(callback is self for callback in litellm.callbacks),
            record_failures=self.record_failures,
        )

    def _start_sender(self) -> None:
        # LiteLLM keeps calling a logger that the application has replaced or closed.
        if not self._has_started:
            self._has_started = True
            self._sender.ensure_running()

    def _finish_if_exiting(self) -> None:
        deadline = lifecycle.exit_deadline()
        if deadline is not None:
            self.finish(deadline)

    def _put(self, record: QueuedRecord) -> None:
        if self._outbox.spool is not None:
            record = self._sender.outgoing.for_spool(record)
        if not self._outbox.put(record):
            self._drop_log.error(
                "spend records are dropped because the queue is full: check the server, or raise max_queue"
            )
        self._sender.ensure_running()

    def _warn_of_flush(self) -> None:
        if not self._has_warned_of_flush:
            self._has_warned_of_flush = True
            log.warning(
                "flush() waits for nothing on the thread of a running event loop and in a callback: write "
                "`await logger.aflush()` in the application's own code"
            )


async def in_thread(wait: Callable[[], bool]) -> bool:
    """Waits in a thread of its own, because all threads of the event loop's executor may be busy."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bool] = loop.create_future()

    def settle(result: bool) -> None:
        if not done.done():
            done.set_result(result)

    def run() -> None:
        result = wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=run, name="litellm_spend flush", daemon=True).start()
    return await done


def _spend_records(count: int) -> str:
    return "1 spend record is" if count == 1 else f"{count} spend records are"
