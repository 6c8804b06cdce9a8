"""Logs what goes wrong in a hook, once a minute at most, and what is told once in a process. Hooks never raise."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from typing import Final

log = logging.getLogger("litellm_spend")

_EVERY_SECONDS: Final = 60.0


class Once:
    """Whether something happens for the first time. It has no lock, which a forked child could find held."""

    def __init__(self) -> None:
        self._times = itertools.count()

    def is_first(self) -> bool:
        """True for the first call of all threads."""
        return next(self._times) == 0


class RateLimitedLog:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logged_at = float("-inf")
        self._unlogged = 0
        self._last = ""

    def error(self, what: str) -> None:
        """Logs the sentence, with the number of errors since the last logged one."""
        with self._lock:
            self._unlogged += 1
            now = time.monotonic()
            if now - self._logged_at < _EVERY_SECONDS:
                return
            count, self._unlogged, self._logged_at, self._last = self._unlogged, 0, now, what
        log.error("%s (%d since the last such line)", what, count)

    def finish(self) -> None:
        """Logs the errors that no line counts yet, because the process ends."""
        with self._lock:
            count, self._unlogged = self._unlogged, 0
        if count:
            log.error("%s (%d since the last such line)", self._last, count)
