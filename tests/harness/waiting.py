"""Waiting for a condition: poll with a deadline, never a bare sleep. And how a program is told to stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
# The pause between two looks doubles from the first to the last.
FIRST_PAUSE, LAST_PAUSE = 0.005, 0.08


def wait_until(predicate: Callable[[], T], *, deadline: float = 30.0, what: str = "", show: Callable = repr) -> T:
    """Call predicate until it returns something true, and return that.

    After `deadline` seconds fail, and show `what` was awaited and the last value seen.
    """
    end = time.monotonic() + deadline
    pause = FIRST_PAUSE
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline:g} s for {what or predicate!r}; last seen: {show(value)}")
        time.sleep(pause)
        pause = min(2 * pause, LAST_PAUSE)


def wait_for_value(read: Callable[[], T], expected: T, *, deadline: float = 30.0, what: str = "") -> None:
    """Call read until it returns `expected`. On failure show the last value instead of a bare False."""
    seen: list[T] = []

    def reached() -> bool:
        seen[:] = [read()]
        return seen[0] == expected

    text = f"{what or 'a value'} to become {expected!r}"
    wait_until(reached, deadline=deadline, what=text, show=lambda _: repr(seen[0]))


def interrupt_on_sigterm() -> None:
    """From now on a SIGTERM unwinds this program as Ctrl-C does, so that it stops its servers."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
