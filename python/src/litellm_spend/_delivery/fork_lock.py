"""A lock that a fork takes too, so that no thread is inside a C library while another thread forks.

A forked child has only the thread that forked. What another thread had locked inside libpq, OpenSSL, the resolver or
SQLite stays locked in the child for ever, and the child hangs at its first use.
"""

from __future__ import annotations

import threading
from types import TracebackType


class ForkLock:
    """`fork_seconds`: the longest that a fork waits for a thread that holds the lock. Then it goes on without the lock.

    The child must not use the lock, but replaces the object that has it.
    """

    def __init__(self, fork_seconds: float) -> None:
        self._fork_seconds = fork_seconds
        self._lock = threading.Lock()
        self._forker: int | None = None

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()

    def before_fork(self) -> bool:
        """Takes the lock. Returns False if that took too long.

        A signal handler, for example, may fork while its own thread holds the lock.
        """
        if not self._lock.acquire(timeout=self._fork_seconds):
            return False
        self._forker = threading.get_ident()
        return True

    def after_fork_in_parent(self) -> bool:
        """Releases the lock if this thread's fork took it. Several threads may fork at the same time."""
        if self._forker != threading.get_ident():
            return False
        self._forker = None
        self._lock.release()
        return True
