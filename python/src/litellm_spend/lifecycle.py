"""Process exit and fork, for all loggers of the process.

Exit handlers run last in, first out, and LiteLLM's own may deliver events after ours: from then on each
event is sent before its hook returns. The loggers of a process share one time limit for that.
"""

from __future__ import annotations

import atexit
import os
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


def register(logger: Logger) -> None:
    _loggers.add(logger)


def exit_deadline() -> float | None:
    """When the exiting process must be done (monotonic); None while it runs."""
    return _deadline


def _at_exit() -> None:
    global _deadline
    _deadline = time.monotonic() + EXIT_SECONDS
    for logger in list(_loggers):
        logger.finish(_deadline)


def _after_fork() -> None:
    habits.revive_thread_pool()
    for logger in list(_loggers):
        logger.restart_in_child()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
