"""What goes wrong in a hook is told in the log, once a minute at most: hooks never raise."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

log = logging.getLogger("litellm_spend")

_EVERY: Final = 60.0


class Complaints:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told_at = float("-inf")
        self._untold = 0

    def tell(self, what: str) -> None:
        """Logs the sentence, with the number of those that were not logged since the last one."""
        with self._lock:
            self._untold += 1
            now = time.monotonic()
            if now - self._told_at < _EVERY:
                return
            count, self._untold, self._told_at = self._untold, 0, now
        log.error("%s (%d since the last such line)", what, count)
