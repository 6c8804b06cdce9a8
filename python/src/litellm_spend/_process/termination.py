"""Sends captured records when SIGTERM ends the process, because SIGTERM runs no exit handlers.

This module acts on two dispositions of SIGTERM. For a uvicorn server's handler, see `uvicorn_shutdown`. The default
disposition is replaced by a handler: it starts a thread that sends the remaining records, waits for the thread,
restores the default and raises the signal again. So the process ends by the signal, as it does without this package.
Any other disposition is the application's own and is left alone.

A signal handler runs in the main thread, between any two bytecodes. While it runs, the main thread cannot release a
lock that it holds. So the handler takes no lock but its own, and logs nothing. It also does not wait without a break:
now and then it lets the main thread run for a moment, so that it releases locks that the sending thread may need.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time

# The public `signal.getsignal` looks up an enum member at each call. It takes 2 microseconds, 60 times as long.
from _signal import getsignal  # type: ignore[import-not-found]
from _thread import allocate_lock, start_new_thread
from collections.abc import Awaitable, Callable
from typing import Any

from . import uvicorn_shutdown

# How long the main thread waits without a break, and how long it then runs before it waits again.
_WAIT_SECONDS = 0.5
_RUN_SECONDS = 0.02

_watch_lock = threading.Lock()
_handler_at_last_look: Any = None
_ending: Ending | None = None


class Ending:
    """The end of a process that got SIGTERM. A thread runs `finish`, and the main thread waits for it."""

    def __init__(self, finish: Callable[[], None], seconds: Callable[[], float]) -> None:
        self.finish = finish
        self.limit = seconds
        self._until = float("inf")
        # Locks of the interpreter, because `threading.Thread` and `Event` use locks that the main thread may hold.
        self._begun = allocate_lock()
        self._unfinished = allocate_lock()
        self._unfinished.acquire()

    @property
    def seconds(self) -> float:
        """The time that the thread has: one second more, because it may still have to log what is lost."""
        return self.limit() + 1

    def begin(self) -> None:
        """Starts the thread. A second call does nothing."""
        if not self._begun.acquire(blocking=False):
            return
        self._until = time.monotonic() + self.seconds
        try:
            start_new_thread(self._run, ())
        except RuntimeError:  # no thread can start, because the interpreter shuts down or the machine has none left
            self._unfinished.release()

    def has_begun(self) -> bool:
        return self._begun.locked()

    def wait(self, seconds: float) -> bool:
        """Waits until the thread is done or its time is over. Returns False if `seconds` are over before."""
        left = max(0.0, self._until - time.monotonic())
        if self._unfinished.acquire(timeout=min(seconds, left)):
            self._unfinished.release()
            return True
        return left <= seconds

    def _run(self) -> None:
        try:
            self.finish()
        finally:
            self._unfinished.release()


def watch(finish: Callable[[], None], send: Callable[[], Awaitable[None]], seconds: Callable[[], float]) -> None:
    """Acts on the current disposition of SIGTERM. It is cheap unless the disposition has changed since the last call.

    `finish` sends the remaining records within `seconds()`, in a process that ends. `send` does it in one that may go
    on. Servers install their handlers late, so each event calls this. Only the main thread can install a handler.
    """
    global _handler_at_last_look, _ending
    if getsignal(signal.SIGTERM) is _handler_at_last_look:
        return
    with _watch_lock:
        handler = getsignal(signal.SIGTERM)
        server = uvicorn_shutdown.server_of(handler)
        if server is not None:
            uvicorn_shutdown.send_after_shutdown(server, send)
        elif handler == signal.SIG_DFL and _may_handle():
            if threading.current_thread() is not threading.main_thread():
                return
            _ending = _ending or Ending(finish, seconds)
            with contextlib.suppress(ValueError):  # a subinterpreter handles no signals
                signal.signal(signal.SIGTERM, _handle)
        _handler_at_last_look = getsignal(signal.SIGTERM)


def has_handler() -> bool:
    """Whether our handler was installed. Another handler may have replaced it since, and may restore it."""
    return _ending is not None


def end_if_signalled() -> None:
    """At exit, ends the process by SIGTERM if it got one and the main thread then ended while it was allowed to run."""
    if _ending is not None and _ending.has_begun():
        _ending.wait(_ending.seconds)
        _die()


def restart_in_child() -> None:
    """Resets a forked child, which inherits the handler but must not continue the end that its parent has begun."""
    global _watch_lock, _handler_at_last_look, _ending
    _watch_lock = threading.Lock()
    _handler_at_last_look = None
    if _ending is not None:
        _ending = Ending(_ending.finish, _ending.limit)
    if getsignal(signal.SIGTERM) is _handle and not _ends_by_default():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _may_handle() -> bool:
    return os.name == "posix" and _ends_by_default() and not _is_worker_of_multiprocessing()


def _ends_by_default() -> bool:
    """Whether SIGTERM ends this process if nothing handles it.

    It does not end the first process of a namespace, such as a container, because the kernel ignores it there.
    """
    return os.getpid() != 1


def _is_worker_of_multiprocessing() -> bool:
    """Whether this is a worker of multiprocessing. Its parent ends it by SIGTERM and waits for its end.

    A forked worker inherits the parent's handler.
    """
    process = sys.modules.get("multiprocessing.process")
    if process is None:
        return False
    # A worker that was not forked loads the application's modules before it knows its parent.
    return process.parent_process() is not None or getattr(process.current_process(), "_inheriting", False)


def _handle(*_: Any) -> None:
    """The signal handler. A handler that has replaced it may call it, as the previous handler."""
    ending = _ending
    if ending is None:
        return
    with contextlib.suppress(BaseException):  # after Ctrl-C, for example, the process ends at once
        ending.begin()
        is_in_place = getsignal(signal.SIGTERM) is _handle
        if not ending.wait(_WAIT_SECONDS if is_in_place else ending.seconds):
            start_new_thread(_call_again, ())
            return
    _die()


def _call_again() -> None:
    time.sleep(_RUN_SECONDS)
    if getsignal(signal.SIGTERM) is _handle:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def _die() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)
