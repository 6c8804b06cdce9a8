"""Which failed attempt of a Router's call was its last: the others are no requests of their own.

A Router tries a call again, in one model group and then in the next, and LiteLLM reports each failed
attempt; no report says whether another attempt follows. So a Router's failed attempt is held until
another attempt of the call starts, and then gets LiteLLM's mark `billed_retry_attempt`, for which the
server counts no request; or until none has started for longer than a Router waits: it was the last.
Attempts of a call share the `litellm_trace_id` that the Router gives it. Where callers give several
calls one id of their own, a call's first attempt tells them apart, unless they run at the same time.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .ids import text_of

Record = dict[str, Any]

# A Router waits for a provider's Retry-After of up to 60 s before it tries again, else up to 8 s.
HOLD_SECONDS: Final = 75.0
_CALLS: Final = 10_000


@dataclass
class _Call:
    attempts: list[str]
    """The ids of the attempts seen, in the order of their start."""
    held: Record | None = None
    since: float = field(default_factory=time.monotonic)
    """When the attempt failed that is held."""
    succeeded: bool = False


class RouterAttempts:
    """Passes records to `send`, a Router's failed attempts once it is known what they are."""

    def __init__(self, send: Callable[[Record], None], hold_seconds: float) -> None:
        self._send = send
        self._hold_seconds = hold_seconds
        self._lock = threading.Lock()
        self._calls: OrderedDict[str, _Call] = OrderedDict()
        self._timer: threading.Timer | None = None

    def started(self, kwargs: Mapping[str, Any]) -> None:
        """An attempt starts, or is seen for the first time: the one before it was not the last."""
        metadata = _router_metadata(kwargs)
        trace = _trace(kwargs)
        if metadata is None or trace is None:
            return
        with self._lock:
            ready = self._start(trace, str(kwargs.get("litellm_call_id")), _is_first(metadata))
        self._pass_on(ready)

    def finished(self, kwargs: Mapping[str, Any], record: Record) -> None:
        """A call or an attempt ended with `record`."""
        trace = _trace(kwargs)
        metadata = _router_metadata(kwargs)
        if metadata is None or trace is None:
            self._send(record)
            return
        attempt = str(kwargs.get("litellm_call_id"))
        with self._lock:
            call = self._calls.get(trace)
            ready = []
            if call is None or attempt not in call.attempts:
                ready = self._start(trace, attempt, _is_first(metadata))
                call = self._calls[trace]
            if record.get("status") == "failure":
                ready += self._fail(call, attempt, record)
            else:
                ready += self._succeed(trace, call, record)
        self._pass_on(ready)

    def release(self) -> None:
        """Sends all that is held: no further attempt is expected."""
        with self._lock:
            ready = list(self._let_go(float("inf")))
        self._pass_on(ready)

    def held(self) -> int:
        with self._lock:
            return sum(call.held is not None for call in self._calls.values())

    # With the lock held; what they return is ready to be sent.

    def _start(self, trace: str, attempt: str, is_first: bool) -> list[Record]:
        call = self._calls.get(trace)
        if call is None:
            self._calls[trace] = _Call([attempt])
            return self._make_room()
        if attempt == call.attempts[-1]:
            return []
        if is_first:
            # Another call with the same id: the earlier one has failed for good.
            self._calls[trace] = _Call([attempt])
            return [call.held] if call.held else []
        call.attempts.append(attempt)
        return _mark(call)

    def _fail(self, call: _Call, attempt: str, record: Record) -> list[Record]:
        if call.succeeded or attempt != call.attempts[-1]:
            # LiteLLM reports from several threads, and this report comes late.
            return [_marked(_under_its_own_id(record) if attempt == call.attempts[-1] else record)]
        # What is still held would have been marked by the start of an attempt with another id.
        ready = [_under_its_own_id(earlier) for earlier in _mark(call)]
        call.held, call.since = record, time.monotonic()
        self._set_timer(self._hold_seconds)
        return ready

    def _succeed(self, trace: str, call: _Call, record: Record) -> list[Record]:
        if len(call.attempts) == 1 and call.held is None:
            del self._calls[trace]
        call.succeeded = True
        return [*_mark(call), record]

    def _make_room(self) -> list[Record]:
        if len(self._calls) <= _CALLS:
            return []
        _, oldest = self._calls.popitem(last=False)
        return [oldest.held] if oldest.held else []

    def _let_go(self, until: float) -> Iterator[Record]:
        for trace, call in list(self._calls.items()):
            if call.held is not None and call.since <= until:
                del self._calls[trace]
                yield call.held

    # The timer runs only while something is held.

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            return
        timer = threading.Timer(seconds, self._expire)
        timer.name = "litellm_spend attempts"
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:
            return  # The interpreter shuts down: `release` follows.
        self._timer = timer

    def _expire(self) -> None:
        now = time.monotonic()
        with self._lock:
            self._timer = None
            ready = list(self._let_go(now - self._hold_seconds))
            held_since = [call.since for call in self._calls.values() if call.held is not None]
            if held_since:
                self._set_timer(max(0.0, min(held_since) + self._hold_seconds - now))
        self._pass_on(ready)

    def _pass_on(self, ready: list[Record]) -> None:
        for record in ready:
            self._send(record)


def is_attempt(kwargs: Mapping[str, Any]) -> bool:
    """Whether a Router made the call: the others are passed on as they come."""
    return _router_metadata(kwargs) is not None and _trace(kwargs) is not None


def _mark(call: _Call) -> list[Record]:
    """Takes what the call holds and marks it as an attempt that another followed."""
    record, call.held = call.held, None
    return [] if record is None else [_marked(record)]


def _under_its_own_id(record: Record) -> Record:
    """A failure's id is its call's, which attempts share if the caller gave it: it is left to the last of them."""
    record["id"] = record["litellm_call_id"] = f"{record.get('litellm_call_id')}_attempt{record.get('startTime')}"
    return record


def _marked(record: Record) -> Record:
    record.setdefault("metadata", {})["billed_retry_attempt"] = True
    return record


def _router_metadata(kwargs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The metadata that a Router writes into the request; None outside a Router."""
    for source in (kwargs.get("litellm_params"), kwargs):
        if isinstance(source, Mapping):
            for name in ("metadata", "litellm_metadata"):
                metadata = source.get(name)
                if isinstance(metadata, Mapping) and metadata.get("model_group"):
                    return metadata
    return None


def _trace(kwargs: Mapping[str, Any]) -> str | None:
    trace = kwargs.get("litellm_trace_id") or (kwargs.get("litellm_params") or {}).get("litellm_trace_id")
    return text_of(trace)


def _is_first(metadata: Mapping[str, Any]) -> bool:
    """Whether an attempt is its call's first; LiteLLM 1.79 has no counters, but lists the attempts before."""
    counters = [metadata.get("attempted_retries"), metadata.get("attempted_fallbacks")]
    if counters == [None, None]:
        return not metadata.get("previous_models")
    return not any(counters)
