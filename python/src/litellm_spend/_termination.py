"""SIGTERM, which ends a process without its exit handlers: what was captured is sent first.

Two dispositions are acted on. A uvicorn server's: see `_uvicorn_shutdown`. The default one: a handler takes its
place that has a thread send what is left, waits for it, restores the default and raises the signal again, so
that the process ends as without us. Any other disposition is the application's own and is left alone.

A signal handler runs in the main thread, between any two bytecodes, and nobody can release a lock that this
thread holds meanwhile. So the handler takes no lock but its own, and logs nothing. It does not wait in one go
either: now and then it lets the main thread run for a moment, which releases what the sending thread may
wait for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time

# The public `signal.getsignal` looks for an enum's member at each call, which takes 2 microseconds: 60 times as long.
from _signal import getsignal
from _thread import allocate_lock, start_new_thread
from collections.abc import Awaitable, Callable
from typing import Any

from . import _uvicorn_shutdown

# How long the main thread waits in one go, and how long it then runs before it waits again.
_WAIT_SECONDS = 0.5
_RUN_SECONDS = 0.02

_watch_lock = threading.Lock()
_handler_at_last_look: Any = None
_ending: Ending | None = None


class Ending:
    """The end of a process that got SIGTERM: a thread runs `finish`, for which the main thread waits."""

    def __init__(self, finish: Callable[[], None], seconds: float) -> None:
        self.finish = finish
        self.seconds = seconds
        self._until = float("inf")
        # Locks of the interpreter: `threading.Thread` and `Event` take some that the main thread may hold.
        self._begun = allocate_lock()
        self._unfinished = allocate_lock()
        self._unfinished.acquire()

    def begin(self) -> None:
        """Starts the thread; does nothing the second time."""
        if not self._begun.acquire(blocking=False):
            return
        self._until = time.monotonic() + self.seconds
        try:
            start_new_thread(self._run, ())
        except RuntimeError:  # no thread can start: the interpreter shuts down, or the machine has no more
            self._unfinished.release()

    def has_begun(self) -> bool:
        return self._begun.locked()

    def wait(self, seconds: float) -> bool:
        """Waits until the thread is done or has had its time; False if `seconds` are over before."""
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


def watch(finish: Callable[[], None], send: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Sees to SIGTERM as it is handled now; cheap unless that has changed since the last look.

    `finish` sends what is left in a process that ends, within `seconds`, and `send` in one that may go on.
    Servers install their handlers late, so each event looks. Only the main thread can install a handler.
    """
    global _handler_at_last_look, _ending
    if getsignal(signal.SIGTERM) is _handler_at_last_look:
        return
    with _watch_lock:
        handler = getsignal(signal.SIGTERM)
        server = _uvicorn_shutdown.server_of(handler)
        if server is not None:
            _uvicorn_shutdown.send_after_shutdown(server, send)
        elif handler == signal.SIG_DFL and _may_handle():
            if threading.current_thread() is not threading.main_thread():
                return
            # A second more: that thread may still have to tell what is lost.
            _ending = _ending or Ending(finish, seconds + 1)
            with contextlib.suppress(ValueError):  # a subinterpreter handles no signals
                signal.signal(signal.SIGTERM, _handle)
        _handler_at_last_look = getsignal(signal.SIGTERM)


def has_handler() -> bool:
    """Whether the handler was installed; another one may have taken its place since, and may give it back."""
    return _ending is not None


def end_if_signalled() -> None:
    """At exit: ends the process by SIGTERM if it got one and its main thread ended while it was let run."""
    if _ending is not None and _ending.has_begun():
        _ending.wait(_ending.seconds)
        _die()


def restart_in_child() -> None:
    """In a forked child, which inherits the handler: the end that its parent has begun is not its own."""
    global _watch_lock, _handler_at_last_look, _ending
    _watch_lock = threading.Lock()
    _handler_at_last_look = None
    if _ending is not None:
        _ending = Ending(_ending.finish, _ending.seconds)
    if getsignal(signal.SIGTERM) is _handle and not _ends_by_default():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _may_handle() -> bool:
    return os.name == "posix" and _ends_by_default() and not _is_worker_of_multiprocessing()


def _ends_by_default() -> bool:
    """Whether SIGTERM ends this process if nothing handles it.

    It does not end the first process of a namespace, such as a container's: the kernel ignores it there.
    """
    return os.getpid() != 1


def _is_worker_of_multiprocessing() -> bool:
    """Its parent ends it by SIGTERM and waits for that. One that was forked inherits the parent's handler."""
    process = sys.modules.get("multiprocessing.process")
    if process is None:
        return False
    # Before it knows its parent, a worker that was not forked loads the modules of the application.
    return process.parent_process() is not None or getattr(process.current_process(), "_inheriting", False)


def _handle(*_: Any) -> None:
    """The handler. Another one that took its place may call it, to go on with what was before."""
    ending = _ending
    if ending is None:
        return
    with contextlib.suppress(BaseException):  # Ctrl-C, say: then it ends at once
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
