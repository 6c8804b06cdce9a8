"""Logs what goes wrong in a hook, once a minute at most. Hooks never raise."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

log = logging.getLogger("litellm_spend")

_EVERY_SECONDS: Final = 60.0


class RateLimitedLog:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logged_at = float("-inf")
        self._unlogged = 0

    def error(self, what: str) -> None:
        """Logs the sentence, with the number of errors since the last logged one."""
        with self._lock:
            self._unlogged += 1
            now = time.monotonic()
            if now - self._logged_at < _EVERY_SECONDS:
                return
            count, self._unlogged, self._logged_at = self._unlogged, 0, now
        log.error("%s (%d since the last such line)", what, count)
