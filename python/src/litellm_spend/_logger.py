"""SpendLogger, the callback for LiteLLM. Its hooks turn an event into a record and queue it, nothing else."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Mapping
from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger

from ._delivery import health
from ._delivery.outbox import Outbox, QueuedRecord, Stats
from ._delivery.sender import Sender
from ._intake.intake import Intake
from ._litellm import sync_delivery
from ._process import lifecycle
from ._proxy.failures import failure_events
from ._rate_limited_log import RateLimitedLog

log = logging.getLogger("litellm_spend")

_destinations: dict[str | None, int] = {}


class SpendLogger(CustomLogger):
    """Records the spend of each LiteLLM call in Postgres: `litellm.callbacks = [SpendLogger()]`.

    `database_url`: the database; if None, DATABASE_URL, which is read at first use. LiteLLM's own URL works.
    `batch_size`: the most records in one call to the server.
    `flush_interval`: the seconds that a record waits for others.
    `max_queue`: the most records that are kept while the server is away. Further records are dropped and counted.
    `record_failures`: also record failed calls that cost nothing, and count all failed calls as requests. A Router's
    failed attempts are recorded too, but its call counts as one failed request at most, and as none if an attempt
    succeeds. The cost of a failed call is always recorded. In a LiteLLM proxy a request fails as a whole.
    `flush_at_sigterm`: also send the captured records when SIGTERM ends the process.

    Its hooks never raise and never wait. A background thread talks to the server.
    """

    def __init__(
        self,
        database_url: str | None = None,
        *,
        batch_size: int = 500,
        flush_interval: float = 0.1,
        max_queue: int = 50_000,
        record_failures: bool = False,
        flush_at_sigterm: bool = True,
    ) -> None:
        super().__init__()
        if batch_size < 1 or max_queue < 1 or flush_interval < 0:
            raise ValueError("batch_size and max_queue must be at least 1, flush_interval at least 0")
        # LiteLLM treats two loggers as one if their public str, bool and int attributes are equal.
        self.destination = _destinations.setdefault(database_url, len(_destinations))
        self.record_failures = bool(record_failures)
        self._outbox = Outbox(max_queue, batch_size)
        self._sender = Sender(database_url, self._outbox, flush_interval)
        self._intake = self._new_intake()
        self._sync_delivery = sync_delivery.SyncDelivery(self, self.destination, self._receive)
        self._log_error = RateLimitedLog().error
        lifecycle.register(self, flush_at_sigterm=flush_at_sigterm)

    def __repr__(self) -> str:
        return f"SpendLogger(destination={self.destination}, record_failures={self.record_failures})"

    # The hooks that LiteLLM calls.

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        self._before_call(kwargs)

    async def async_pre_call_deployment_hook(self, kwargs: Any, call_type: Any) -> None:
        self._before_call(kwargs)
        try:
            self._intake.started_async(kwargs, call_type)
        except Exception as error:
            self._log_error(f"the metadata of a call could not be read: {type(error).__name__}")

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._receive(kwargs, response_obj)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._receive(kwargs, response_obj)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._receive_failure(kwargs, response_obj)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._receive_failure(kwargs, response_obj)

    async def async_post_call_failure_hook(
        self, request_data: Any, original_exception: Any, user_api_key_dict: Any, traceback_str: Any = None
    ) -> None:
        """LiteLLM calls this when a proxy's request has failed, with all its attempts."""
        try:
            for event in failure_events(request_data, original_exception, user_api_key_dict):
                self._receive_failure(event, None, ended=True)
        except Exception as error:
            self._log_error(f"a failed request of the proxy could not be recorded: {type(error).__name__}")

    # The methods that an application calls.

    def flush(self, timeout: float = 30.0) -> bool:
        """Waits until all captured records are committed; False if `timeout` seconds passed before.

        LiteLLM delivers its events from threads and tasks of its own, some up to half a second after the call
        returned. `flush` does not wait for an event that is not delivered yet. It does not wait either for a Router's
        failed attempt that is held because the Router may try again.
        """
        return self._sender.drain(time.monotonic() + timeout)

    async def aflush(self, timeout: float = 30.0) -> bool:
        """Does what `flush` does, without blocking the event loop."""
        return await asyncio.to_thread(self.flush, timeout)

    def close(self, timeout: float = 30.0) -> bool:
        """Flushes, ends the background thread and closes the connection. A later event starts both again."""
        self._intake.release()
        return self._sender.close(time.monotonic() + timeout)

    def health_check(self) -> health.Health:
        """Connects to the database and tells whether spend can be recorded there, and why not."""
        return health.check(self._sender.connection)

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
        try:
            sync_delivery.attach(self._sync_delivery)
        except Exception as error:
            self._log_error(f"the logger cannot be added to LiteLLM's success callbacks: {type(error).__name__}")

    def finish(self, deadline: float) -> None:
        """Sends the remaining records while the process exits, and logs how many are lost."""
        if self.send(deadline):
            reason = self._outbox.stats().last_error or "the server did not answer in time"
            if lost := self._outbox.drop_all():
                log.error("%d spend records are lost at exit: %s", lost, reason)

    def send(self, deadline: float) -> int:
        """Sends what is held and queued. Returns how many records are still unsent at `deadline` (monotonic)."""
        self._intake.release()
        if self._outbox.pending():
            self._sender.drain(deadline)
        return self._outbox.pending()

    def restart_in_child(self) -> None:
        """Empties the logger in a forked child, because the parent sends the parent's records."""
        self._outbox = Outbox(self._outbox.max_queue, self._outbox.batch_size)
        self._sender = self._sender.copy_for_child(self._outbox)
        self._intake = self._new_intake()
        self._log_error = RateLimitedLog().error

    def _new_intake(self) -> Intake:
        return Intake(
            self._put,
            self._outbox.is_behind,
            lambda: any(callback is self for callback in litellm.callbacks),
            record_failures=self.record_failures,
        )

    def _before_call(self, kwargs: Any) -> None:
        self.attach_sync_delivery()
        try:
            lifecycle.watch_sigterm()
            self._intake.started(kwargs)
        except Exception as error:
            self._log_error(f"the start of a call could not be handled: {type(error).__name__}")

    def _receive(self, kwargs: Mapping[str, Any], response: Any) -> None:
        try:
            lifecycle.watch_sigterm()
            self._intake.finished(kwargs, response)
            self._finish_if_exiting()
        except Exception as error:
            self._log_error(f"an event could not be recorded: {type(error).__name__}")

    def _receive_failure(self, kwargs: Mapping[str, Any], response: Any, *, ended: bool = False) -> None:
        try:
            lifecycle.watch_sigterm()
            self._intake.failed(kwargs, response, ended=ended)
            self._finish_if_exiting()
        except Exception as error:
            self._log_error(f"a failure could not be recorded: {type(error).__name__}")

    def _finish_if_exiting(self) -> None:
        deadline = lifecycle.exit_deadline()
        if deadline is not None:
            self.finish(deadline)

    def _put(self, record: QueuedRecord) -> None:
        if not self._outbox.put(record):
            self._log_error(
                "spend records are dropped, because the queue is full: check the server, or raise max_queue"
            )
        self._sender.ensure_running()
