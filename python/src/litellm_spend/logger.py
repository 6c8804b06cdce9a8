"""SpendLogger, LiteLLM's callback: its hooks turn an event into a record and queue it, nothing else."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from . import attempts, habits, health, lifecycle, twin
from .amounts import costs
from .callers import CallersMetadata
from .capture import freeze, shape, take
from .encode import encode
from .ids import UnusableIds
from .outbox import Outbox, Record, Stats
from .prices import UnpricedCalls
from .router import is_attempt
from .seen import Seen
from .sender import Sender
from .starts import Starts

log = logging.getLogger("litellm_spend")

_COMPLAIN_EVERY = 60.0
_targets: dict[str | None, int] = {}


class SpendLogger(CustomLogger):
    """Records the spend of each LiteLLM call in Postgres: `litellm.callbacks = [SpendLogger()]`.

    `database_url`: where; DATABASE_URL, read at first use, if None. LiteLLM's own URL will do.
    `batch_size`: records in one call to the server, at most. `flush_interval`: seconds that a record
    waits for others. `max_queue`: records kept while the server is away; more are dropped, and counted.
    `record_failures`: also record failed calls that cost nothing, and count all as requests. A Router's
    failed attempts are recorded too, but its call counts as one failed request at most, and as none if an
    attempt succeeds; see `attempts`. What a failed call cost is recorded in any case.

    Its hooks never raise and never wait: a background thread talks to the server.
    """

    def __init__(
        self,
        database_url: str | None = None,
        *,
        batch_size: int = 500,
        flush_interval: float = 0.1,
        max_queue: int = 50_000,
        record_failures: bool = False,
    ) -> None:
        super().__init__()
        if batch_size < 1 or max_queue < 1 or flush_interval < 0:
            raise ValueError("batch_size and max_queue must be at least 1, flush_interval at least 0")
        # LiteLLM takes two loggers for one if their public str, bool and int attributes are equal.
        self.target = _targets.setdefault(database_url, len(_targets))
        self.record_failures = bool(record_failures)
        self._outbox = Outbox(max_queue, batch_size)
        self._sender = Sender(database_url, self._outbox, flush_interval)
        self._seen = Seen()
        self._starts = Starts()
        self._attempts = attempts.RouterAttempts(self._send_outcome, attempts.HOLD_SECONDS)
        self._unpriced = UnpricedCalls()
        self._unusable_ids = UnusableIds()
        self._callers = CallersMetadata()
        self._twin = twin.SpendLoggerTwin(self, self.target, self._receive)
        self._complaint = threading.Lock()
        self._complained_at = float("-inf")
        self._complained_about = 0
        lifecycle.register(self)

    def __repr__(self) -> str:
        return f"SpendLogger(target={self.target}, record_failures={self.record_failures})"

    # LiteLLM's hooks.

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        self._before_call(kwargs)

    async def async_pre_call_deployment_hook(self, kwargs: Any, call_type: Any) -> None:
        self._before_call(kwargs)
        try:
            self._callers.started(kwargs, call_type)
        except Exception as error:
            self._complain(f"the metadata of a call was not looked at: {type(error).__name__}")

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._receive(kwargs, response_obj)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._receive(kwargs, response_obj)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._receive_failure(kwargs, response_obj)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._receive_failure(kwargs, response_obj)

    # For the application.

    def flush(self, timeout: float = 30.0) -> bool:
        """Waits until all captured records are committed; False if `timeout` seconds ran out.

        LiteLLM delivers its events from threads and tasks of its own, some up to half a second after
        the call returned; an event that is not delivered yet is not waited for. Nor is a Router's
        failed attempt while the Router may try again.
        """
        return self._sender.drain(time.monotonic() + timeout)

    async def aflush(self, timeout: float = 30.0) -> bool:
        """Like `flush`, without blocking the event loop."""
        return await asyncio.to_thread(self.flush, timeout)

    def close(self, timeout: float = 30.0) -> bool:
        """Flushes, ends the thread and closes the connection. A later event starts both again."""
        self._attempts.release()
        return self._sender.close(time.monotonic() + timeout)

    def health_check(self) -> health.Health:
        """Connects and tells whether spend can be recorded there, and if not, why."""
        return health.check(self._sender.connection)

    def stats(self) -> Stats:
        """What became of the records so far."""
        return dataclasses.replace(
            self._outbox.stats(),
            unpriced=self._unpriced.count,
            held=self._attempts.held(),
            unusable_ids=self._unusable_ids.count,
        )

    # For `lifecycle` and registration by name.

    def attach_twin(self) -> None:
        """Makes sure that async successes arrive though their event loop ends; see `twin`."""
        try:
            twin.attach(self._twin)
        except Exception as error:
            self._complain(f"cannot attach to LiteLLM's success callbacks: {type(error).__name__}")

    def finish(self, deadline: float) -> None:
        """Sends what is left while the process exits, and says how many records that could not save."""
        self._attempts.release()
        if self._outbox.pending() and not self._sender.drain(deadline):
            reason = self._outbox.stats().last_error or "the server did not answer in time"
            log.error("%d spend records are lost at exit: %s", self._outbox.drop_all(), reason)

    def restart_in_child(self) -> None:
        """In a forked child: the parent sends the parent's records, the child starts with none."""
        self._outbox = Outbox(self._outbox.max_queue, self._outbox.batch_size)
        self._sender = self._sender.copy_for_child(self._outbox)
        self._seen = Seen()
        self._starts = Starts()
        self._attempts = attempts.RouterAttempts(self._send_outcome, attempts.HOLD_SECONDS)
        self._unpriced = UnpricedCalls()
        self._unusable_ids = UnusableIds()
        self._callers = CallersMetadata()
        self._complaint = threading.Lock()

    def _receive_failure(self, kwargs: Mapping[str, Any], response: Any) -> None:
        try:
            wanted = self.record_failures or costs(kwargs.get("standard_logging_object") or {})
        except Exception as error:
            self._complain(f"a failure could not be recorded: {type(error).__name__}")
            return
        if wanted:
            self._receive(kwargs, response)

    def _receive(self, kwargs: Mapping[str, Any], response: Any) -> None:
        try:
            payload = kwargs.get("standard_logging_object")
            if not payload or not self._seen.first_time(payload, kwargs):
                return
            kwargs = self._starts.apart(self._callers.added_to(kwargs))
            taken = take(kwargs, response, self._unusable_ids.refuse)
            if taken is None:
                return
            has_attempts = self._has_attempts(kwargs, payload)
            if payload.get("response_cost") and not has_attempts:
                # Where the sender is behind, this thread is, for once, the one that has time to write.
                self._put(encode(shape(*taken)) if self._outbox.is_behind() else freeze(taken))
            else:
                record = shape(*taken)
                self._look_at_price(record, kwargs, response)
                if has_attempts:
                    self._attempts.finished(kwargs, record)
                else:
                    self._send(record)
            deadline = lifecycle.exit_deadline()
            if deadline is not None:
                self.finish(deadline)
        except Exception as error:
            self._complain(f"an event could not be recorded: {type(error).__name__}")

    def _look_at_price(self, record: dict[str, Any], kwargs: Mapping[str, Any], response: Any) -> None:
        try:
            if twin.LITELLM_IS_OLD:
                habits.restore_lost_cost(record, kwargs, response)
            self._unpriced.look_at(record, kwargs)
        except Exception as error:
            log.debug("the price of a call was not looked at: %s", type(error).__name__)

    def _before_call(self, kwargs: Any) -> None:
        self.attach_twin()
        try:
            if twin.LITELLM_IS_OLD:
                self._seen.started(kwargs)
            if self.record_failures or self._attempts.concerns(kwargs):
                self._attempts.started(kwargs)
        except Exception as error:
            self._complain(f"the start of a call was not looked at: {type(error).__name__}")

    def _has_attempts(self, kwargs: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
        """Whether it depends on a call's other attempts how it counts."""
        if payload.get("status") == "failure":
            return True
        return is_attempt(kwargs) if self.record_failures else self._attempts.concerns(kwargs)

    def _send_outcome(self, record: dict[str, Any]) -> None:
        """Sends what it is known how to count; of a failure that nobody asked for, its cost alone counts."""
        if record.get("status") == "failure" and not self.record_failures:
            if not costs(record):
                return
            attempts.mark(record)
        self._starts.set_apart(record)
        self._send(record)

    def _send(self, record: dict[str, Any]) -> None:
        self._put(encode(record))

    def _put(self, record: Record) -> None:
        if not self._outbox.put(record):
            self._complain("spend records are dropped: the queue is full and the server does not keep up")
        self._sender.ensure_running()

    def _complain(self, what: str) -> None:
        with self._complaint:
            self._complained_about += 1
            now = time.monotonic()
            if now - self._complained_at < _COMPLAIN_EVERY:
                return
            count, self._complained_about, self._complained_at = self._complained_about, 0, now
        log.error("%s (%d since the last such line)", what, count)
