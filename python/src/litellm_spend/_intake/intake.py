"""Turns LiteLLM's event into a record in the queue, at once or when it is known how the event counts.

An `Intake` remembers earlier events, in memory only. A forked child starts with a new one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from .._delivery.memory_queue import QueuedRecord
from .._litellm import sync_delivery, workarounds
from .._proxy import proxy
from .._proxy.both_writers import BothWriters
from .._proxy.spend_counters import SpendCounters
from .._record.amounts import has_cost
from .._record.capture import freeze, shape, take
from .._record.encode import encode
from .._record.ids import UnusableIds
from . import attempts
from .callers_metadata import CallersMetadata
from .prices import UnpricedCalls
from .router import is_attempt
from .seen import Seen
from .starts import Starts

log = logging.getLogger("litellm_spend")


class Intake:
    """Turns events into records and passes them to `put`. Its methods may raise; then only their event is lost.

    `is_behind`: whether records come faster than they are sent. `is_callback`: whether LiteLLM calls the logger's hooks
    for a proxy's requests. `record_failures`: the option of `SpendLogger`.
    """

    def __init__(
        self,
        put: Callable[[QueuedRecord], None],
        is_behind: Callable[[], bool],
        is_callback: Callable[[], bool],
        *,
        record_failures: bool,
    ) -> None:
        self._put = put
        self._is_behind = is_behind
        self._is_callback = is_callback
        self._record_failures = record_failures
        self._seen = Seen()
        self._starts = Starts()
        self._attempts = attempts.RouterAttempts(self._send_outcome, attempts.HOLD_SECONDS)
        self._callers = CallersMetadata()
        self._counters = SpendCounters()
        self._both_writers = BothWriters()
        self.unpriced = UnpricedCalls()
        self.unusable_ids = UnusableIds()

    def started(self, kwargs: Any) -> None:
        """Takes the start of a call, or of a Router's attempt."""
        if sync_delivery.LITELLM_IS_OLD:
            self._seen.started(kwargs)
        if not self._ends_by_hook(kwargs) and (self._record_failures or self._attempts.may_affect(kwargs)):
            self._attempts.started(kwargs)

    def started_async(self, kwargs: Any, call_type: Any) -> None:
        """Takes the start of an async call. Runs on the event loop, in a hook that gets the caller's own arguments."""
        self._counters.remember_loop()
        self._callers.started(kwargs, call_type)

    def failed(self, kwargs: Mapping[str, Any], response: Any, *, ended: bool = False) -> None:
        """Takes the failure of a call, or (`ended`) of the proxy's request that the call belongs to."""
        if not (self._counts_failures() or has_cost(kwargs.get("standard_logging_object") or {})):
            return
        if ended or not self._ends_by_hook(kwargs):
            self.finished(kwargs, response)

    def finished(self, kwargs: Mapping[str, Any], response: Any) -> None:
        """Takes the end of a call."""
        payload = kwargs.get("standard_logging_object")
        if not payload or not self._seen.is_new(payload, kwargs):
            return
        kwargs = self._starts.with_distinct_start(self._callers.with_metadata(kwargs))
        taken = take(kwargs, response, self.unusable_ids.report_unusable)
        if taken is None:
            return
        self._both_writers.check(kwargs)
        has_attempts = self._has_attempts(kwargs, payload)
        if payload.get("response_cost") and not has_attempts:
            if proxy.own_writer_is_off():
                self._send_and_raise_counters(shape(taken))
                return
            # If the sender is behind, this thread encodes the record, so that the sender has less to do.
            self._put(encode(shape(taken)) if self._is_behind() else freeze(taken))
            return
        record = shape(taken)
        self._check_price(record, kwargs, response)
        if has_attempts:
            self._attempts.finished(kwargs, record)
        else:
            self._send(record)

    def release(self) -> None:
        """Sends all failed attempts that are held, because no further attempt is expected."""
        self._attempts.release()

    def held(self) -> int:
        return self._attempts.held()

    def _counts_failures(self) -> bool:
        return self._record_failures and proxy.logs_errors()

    def _ends_by_hook(self, kwargs: Mapping[str, Any]) -> bool:
        """Whether LiteLLM calls `async_post_call_failure_hook` if the request fails that this call belongs to."""
        return proxy.is_proxy_request(kwargs) and self._is_callback()

    def _has_attempts(self, kwargs: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
        """Whether a call's other attempts decide how it counts."""
        if self._ends_by_hook(kwargs):
            return False
        if payload.get("status") == "failure":
            return True
        return is_attempt(kwargs) if self._record_failures else self._attempts.may_affect(kwargs)

    def _check_price(self, record: dict[str, Any], kwargs: Mapping[str, Any], response: Any) -> None:
        try:
            if sync_delivery.LITELLM_IS_OLD:
                workarounds.restore_lost_cost(record, kwargs, response)
            self.unpriced.check(record, kwargs)
        except Exception as error:
            log.debug("the price of a call could not be checked: %s", type(error).__name__)

    def _send_outcome(self, record: dict[str, Any]) -> None:
        """Sends a record whose attempts are known. Without `record_failures`, only the cost of a failure counts."""
        if record.get("status") == "failure" and not self._counts_failures():
            if not has_cost(record):
                return
            attempts.mark_as_attempt(record)
        self._starts.make_start_distinct(record)
        self._send(record)

    def _send(self, record: dict[str, Any]) -> None:
        if proxy.own_writer_is_off():
            self._send_and_raise_counters(record)
        else:
            self._put(encode(record))

    def _send_and_raise_counters(self, record: dict[str, Any]) -> None:
        """Sends a record of a proxy whose own writer is off, and raises the proxy's spend counters."""
        self._put(encode(record))
        self._counters.raise_by(record)
