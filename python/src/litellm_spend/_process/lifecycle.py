"""Handles process exit, SIGTERM and fork for all loggers of the process.

Python runs the exit handler that was registered last first, so LiteLLM's own may deliver events after ours has run.
From then on, each event is sent before its hook returns. The loggers of a process share one time limit for that.
A forked worker of multiprocessing ends with os._exit, which runs no exit handlers. But it runs multiprocessing's own
finalizers, and joins its threads after them.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import time
from typing import Any, Protocol
from weakref import WeakSet

from .._litellm import deliveries, locks, workarounds
from . import imports, termination

log = logging.getLogger("litellm_spend")

# The longest wait for callbacks when SIGTERM ends the process or it forks, because other callbacks may take minutes.
_CALLBACK_SECONDS = 1.0
# The longest wait of a fork for the imports and the locks of other threads.
_FORK_SECONDS = 5.0


class Logger(Protocol):
    def finish(self, deadline: float) -> None: ...

    def send(self, deadline: float) -> int: ...

    def before_fork(self) -> None: ...

    def after_fork_in_parent(self) -> None: ...

    def restart_in_child(self) -> None: ...


_loggers: WeakSet[Any] = WeakSet()
_flushed_at_sigterm: WeakSet[Any] = WeakSet()
# The largest `exit_timeout` of the loggers that this process created.
_exit_seconds = 0.0
_watches_sigterm = False
_deadline: float | None = None
_sigterm_deadline = float("-inf")
_in_multiprocessing = False


def register(logger: Logger, *, flush_at_sigterm: bool, exit_timeout: float) -> None:
    global _watches_sigterm, _exit_seconds
    _loggers.add(logger)
    _exit_seconds = max(_exit_seconds, exit_timeout)
    _join_multiprocessing()
    if flush_at_sigterm:
        _flushed_at_sigterm.add(logger)
        _watches_sigterm = True
        watch_sigterm()


def watch_sigterm() -> None:
    """Makes sure that the loggers send their records when SIGTERM ends the process. It is cheap."""
    if _watches_sigterm:
        termination.watch(_finish_at_sigterm, _send_at_sigterm, lambda: _exit_seconds)


def exit_deadline() -> float | None:
    """The time (monotonic) by which the exiting process must be done; None before it exits."""
    return _deadline


def _at_exit() -> None:
    global _deadline
    termination.end_if_signalled()
    if _deadline is None:
        _deadline = time.monotonic() + _exit_seconds
    for logger in list(_loggers):
        logger.finish(_deadline)
    termination.end_if_signalled()


def _finish_at_sigterm() -> None:
    """Sends what the process captured. The process ends afterwards."""
    global _deadline
    _deadline = _deadline or _deadline_at_sigterm()
    deliveries.wait(min(_deadline, time.monotonic() + _CALLBACK_SECONDS))
    for logger in list(_flushed_at_sigterm):
        logger.finish(_deadline)


async def _send_at_sigterm() -> None:
    """Sends what the process captured, and keeps what could not be sent, because the process may go on."""
    deadline = _deadline_at_sigterm()
    await deliveries.wait_async(time.monotonic() + _exit_seconds / 2)
    unsent = sum(logger.send(deadline) for logger in list(_flushed_at_sigterm))
    # If our own handler is installed, it may run next and then logs what is lost.
    if unsent and not termination.has_handler():
        log.error("%d spend records are lost if the process ends now: the database did not record them in time", unsent)


def _deadline_at_sigterm() -> float:
    """The time limit. A server that has shut down raises the signal again, and both times share one limit."""
    global _sigterm_deadline
    now = time.monotonic()
    if now > _sigterm_deadline + 1:
        _sigterm_deadline = now + _exit_seconds
    return _sigterm_deadline


def _join_multiprocessing() -> None:
    """Makes each worker of multiprocessing do at its end what any process does at exit.

    A worker first drops its parent's finalizers. Then it runs the functions that were registered to run after a fork.
    """
    global _in_multiprocessing
    if _in_multiprocessing or "multiprocessing.util" not in sys.modules:
        return
    from multiprocessing import parent_process, util

    _in_multiprocessing = True
    util.register_after_fork(_loggers, _finish_with_worker)
    if parent_process() is not None:
        _finish_with_worker()


def _finish_with_worker(_: object = None) -> None:
    from multiprocessing.util import Finalize

    Finalize(None, _at_exit, exitpriority=0)


def _before_fork() -> None:
    """Waits until LiteLLM's threads have delivered their events and no other thread imports a module. Then takes what
    no thread may use while this one forks.

    LiteLLM's first events prepare much that a child could never finish, also inside C and Rust libraries. A thread may
    begin an import while others are waited for, and may need what was taken.
    """
    if not deliveries.is_delivering():
        deliveries.wait(time.monotonic() + _CALLBACK_SECONDS)
    deadline = time.monotonic() + _FORK_SECONDS
    while True:
        imports.wait(deadline)
        locks.before_fork(deadline)
        for logger in list(_loggers):
            logger.before_fork()
        if not imports.are_running() or time.monotonic() > deadline:
            return
        _after_fork_in_parent()


def _after_fork_in_parent() -> None:
    locks.after_fork_in_parent()
    for logger in list(_loggers):
        logger.after_fork_in_parent()


def _after_fork() -> None:
    global _deadline
    _deadline = None
    imports.restart_in_child()
    _join_multiprocessing()
    termination.restart_in_child()
    workarounds.revive_thread_pool()
    locks.restart_in_child()
    for logger in list(_loggers):
        logger.restart_in_child()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)
