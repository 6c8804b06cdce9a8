"""Process exit and fork, for all loggers of the process.

Exit handlers run last in, first out, and LiteLLM's own may deliver events after ours: from then on each
event is sent before its hook returns. The loggers of a process share one time limit for that.
A worker of multiprocessing that was forked ends with os._exit, which runs no exit handlers, but it runs
multiprocessing's own finalizers, and joins its threads after them.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from typing import Any, Protocol
from weakref import WeakSet

from . import habits

EXIT_SECONDS = 5.0


class Logger(Protocol):
    def finish(self, deadline: float) -> None: ...

    def restart_in_child(self) -> None: ...


_loggers: WeakSet[Any] = WeakSet()
_deadline: float | None = None
_in_multiprocessing = False


def register(logger: Logger) -> None:
    _loggers.add(logger)
    _join_multiprocessing()


def exit_deadline() -> float | None:
    """When the exiting process must be done (monotonic); None while it runs."""
    return _deadline


def _at_exit() -> None:
    global _deadline
    if _deadline is None:
        _deadline = time.monotonic() + EXIT_SECONDS
    for logger in list(_loggers):
        logger.finish(_deadline)


def _join_multiprocessing() -> None:
    """Has each worker of multiprocessing do at its end what any process does at exit.

    A worker begins by dropping its parent's finalizers, and then runs what was registered for after a fork.
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


def _after_fork() -> None:
    global _deadline
    _deadline = None
    _join_multiprocessing()
    habits.revive_thread_pool()
    for logger in list(_loggers):
        logger.restart_in_child()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
