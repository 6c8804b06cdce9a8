"""Finds out which failed attempt of a Router's call was its last, and which attempts are charged.

A Router tries a call again, in one model group and then in the next. LiteLLM reports each failed attempt, but no
report says whether another attempt follows. So this module holds a Router's failed attempt. If another attempt of
the call starts, the held one gets LiteLLM's mark `billed_retry_attempt`, and the server counts no request for it. If
none starts for longer than a Router waits, the held attempt was the last.

LiteLLM gives some failed attempts a cost, such as a stream that the provider cut. A call that succeeds costs what its
success says, as in LiteLLM's proxy. If another deployment continued the stream, that cost includes the failed
attempts. A call that fails costs what all its attempts cost. So an attempt with a cost is held until its call ends. If
its cost was sent before the call's success, because the hold time was over, it is subtracted from the success.

Attempts of a call share the `litellm_trace_id` that the Router gives it. If a caller gives several calls one id of
its own, a call's first attempt tells them apart, unless they run at the same time. LiteLLM may report a success after
the next call with the same id has started. Such a call is found by its last attempt.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .._record.amounts import Amounts, Record, has_cost, remove_cost
from .router import call_of, is_first, sent_at

# A Router waits for a provider's Retry-After of up to 60 s before it tries again, else up to 8 s.
HOLD_SECONDS: Final = 75.0
_CALLS: Final = 10_000
_ATTEMPTS: Final = 1_000


@dataclass
class _Call:
    attempts: deque[str]
    """The ids of the attempts seen last, in the order of their start."""
    held: Record | None = None
    """The attempt that failed last, until another attempt starts."""
    sent: float = 0.0
    """When the held attempt was sent. This tells apart attempts that share one id and one start."""
    costly: list[Record] = field(default_factory=list)
    """Failed attempts with a cost that another attempt followed."""
    since: float = field(default_factory=time.monotonic)
    """When the last attempt failed."""
    charged: Amounts = field(default_factory=Amounts)
    """The cost and tokens of the call that were sent before it ended."""
    success: float | None = None
    """The start of the attempt that succeeded."""

    def is_held(self) -> bool:
        return self.held is not None or bool(self.costly)

    def has_running_attempt(self) -> bool:
        """Whether an attempt started after the attempts with a cost, and LiteLLM has not reported its end yet."""
        return bool(self.costly) and self.held is None and self.success is None

    def has(self, attempt: str, record: Record) -> bool:
        """Whether an attempt belongs to this call: it was seen, or it is older than the attempt that succeeded."""
        return attempt in self.attempts or (self.success is not None and _start_of(record) < self.success)


class RouterAttempts:
    """Passes records to `send`. It holds a Router's failed attempts until it knows how they count."""

    def __init__(self, send: Callable[[Record], None], hold_seconds: float) -> None:
        self._send = send
        self._hold_seconds = hold_seconds
        self._lock = threading.Lock()
        self._calls: OrderedDict[str, _Call] = OrderedDict()
        self._timer: threading.Timer | None = None

    def started(self, kwargs: Mapping[str, Any]) -> None:
        """Notes an attempt that starts, or is seen for the first time. So the attempt before it was not the last."""
        trace = call_of(kwargs)
        if trace is None:
            return
        with self._lock:
            ready = self._on_start(trace, str(kwargs.get("litellm_call_id")), is_first(kwargs))
        self._send_all(ready)

    def finished(self, kwargs: Mapping[str, Any], record: Record) -> None:
        """Takes the record of a call or an attempt that ended."""
        trace = call_of(kwargs)
        if trace is None:
            self._send(record)
            return
        attempt = str(kwargs.get("litellm_call_id"))
        with self._lock:
            if (earlier := _key_of_earlier(trace, attempt)) in self._calls:
                trace = earlier
            call = self._calls.get(trace)
            ready = []
            if call is None or not call.has(attempt, record):
                ready = self._on_start(trace, attempt, is_first(kwargs))
                call = self._calls[trace]
            if record.get("status") == "failure":
                ready += self._on_failure(call, attempt, record, sent_at(kwargs) or _start_of(record))
            else:
                ready += self._on_success(trace, call, record, alone=is_first(kwargs))
        self._send_all(ready)

    def may_affect(self, kwargs: Mapping[str, Any]) -> bool:
        """Whether a start or a success may affect failed attempts with a cost."""
        trace = call_of(kwargs)
        return trace is not None and (trace in self._calls or not is_first(kwargs))

    def release(self) -> None:
        """Sends all that is held, because no further attempt is expected."""
        with self._lock:
            ready = list(self._end_idle_calls(float("inf")))
        self._send_all(ready)

    def held(self) -> int:
        with self._lock:
            return sum(call.is_held() for call in self._calls.values())

    # The caller of the following methods holds the lock. They return the records that are ready to be sent.

    def _on_start(self, trace: str, attempt: str, first: bool) -> list[Record]:
        call = self._calls.get(trace)
        if call is None:
            self._calls[trace] = _Call(deque([attempt], _ATTEMPTS))
            return self._end_oldest()
        if attempt == call.attempts[-1]:
            return []
        if first:
            self._calls[trace] = _Call(deque([attempt], _ATTEMPTS))
            if call.has_running_attempt():
                # Another call with the same id has started, and the end of the earlier call is reported late.
                self._calls[_key_of_earlier(trace, call.attempts[-1])] = call
                return self._end_oldest()
            # Another call with the same id has started, so the earlier call has failed.
            return _take_all(call)
        call.attempts.append(attempt)
        return _take_superseded(call)

    def _on_failure(self, call: _Call, attempt: str, record: Record, sent: float) -> list[Record]:
        if call.success is not None or attempt != call.attempts[-1]:
            # LiteLLM reports from several threads, so this report came late.
            late = mark_as_attempt(_with_own_id(record, sent) if attempt == call.attempts[-1] else record)
            if call.success is not None:
                return [remove_cost(late)]
            return self._hold(call, late) if has_cost(late) else [late]
        # The held attempt has the same id: the start of an attempt with another id would have marked it.
        if call.held is not None:
            _with_own_id(call.held, call.sent)
        ready = _take_superseded(call)
        call.held, call.sent = record, sent
        self._hold(call)
        return ready

    def _hold(self, call: _Call, *costly: Record) -> list[Record]:
        call.costly += costly
        call.since = time.monotonic()
        self._set_timer(self._hold_seconds)
        return []

    def _on_success(self, trace: str, call: _Call, record: Record, *, alone: bool) -> list[Record]:
        if alone and len(call.attempts) == 1 and not call.is_held():
            del self._calls[trace]
        ready = [*_take_superseded(call), *call.costly]
        call.success, call.costly = _start_of(record), []
        call.charged.subtract_from(record)
        return [*map(remove_cost, ready), record]

    def _end_oldest(self) -> list[Record]:
        if len(self._calls) <= _CALLS:
            return []
        _, oldest = self._calls.popitem(last=False)
        return _take_all(oldest)

    def _end_idle_calls(self, until: float) -> Iterator[Record]:
        for trace, call in list(self._calls.items()):
            if call.is_held() and call.since <= until:
                ready = _take_all(call)
                if not call.charged:
                    del self._calls[trace]
                yield from ready

    # The timer runs only while an attempt is held.

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            return
        timer = threading.Timer(seconds, self._expire)
        timer.name = "litellm_spend attempts"
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:
            return  # The interpreter shuts down, and `release` follows.
        self._timer = timer

    def _expire(self) -> None:
        now = time.monotonic()
        with self._lock:
            self._timer = None
            ready = list(self._end_idle_calls(now - self._hold_seconds))
            held_since = [call.since for call in self._calls.values() if call.is_held()]
            if held_since:
                self._set_timer(max(0.0, min(held_since) + self._hold_seconds - now))
        self._send_all(ready)

    def _send_all(self, ready: list[Record]) -> None:
        for record in ready:
            self._send(record)


def _key_of_earlier(trace: str, attempt: str) -> str:
    """The key of a call that another call with its id has followed, while its last attempt runs."""
    return f"{trace} {attempt}"


def _start_of(record: Record) -> float:
    return record.get("startTime") or 0.0


def _take_superseded(call: _Call) -> list[Record]:
    """Removes the held attempt, because another followed. If it has a cost, it stays held as costly."""
    record, call.held = call.held, None
    if record is None:
        return []
    mark_as_attempt(record)
    if not has_cost(record):
        return [record]
    call.costly.append(record)
    return []


def _take_all(call: _Call) -> list[Record]:
    """Removes all attempts that are held, because the call counts as failed."""
    ready = [*call.costly, *([call.held] if call.held else [])]
    call.costly, call.held = [], None
    for record in ready:
        call.charged.add(record)
    return ready


def _with_own_id(record: Record, sent: float) -> Record:
    """Gives an attempt an id of its own. Attempts share an id that the caller gave; the last one keeps it."""
    record["id"] = record["litellm_call_id"] = f"{record.get('litellm_call_id')}_attempt{sent}"
    return record


def mark_as_attempt(record: Record) -> Record:
    """Marks a record, so that the server counts its spend and tokens but no request."""
    record.setdefault("metadata", {})["billed_retry_attempt"] = True
    return record
