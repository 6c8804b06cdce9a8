"""The logger's name and options in the design that this package replaces, which buffered spend in Redis."""

from __future__ import annotations

import logging
from typing import Any

from ._logger import SpendLogger

log = logging.getLogger("litellm_spend")

_has_told = False


class PrismaProxyLogger(SpendLogger):
    """`SpendLogger` under its earlier name. It takes all options of SpendLogger.

    `redis_url`, `use_redis_buffer`: accepted and not needed. One log line says so.
    """

    def __init__(self, *arguments: Any, redis_url: Any = None, use_redis_buffer: Any = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if redis_url is not None or use_redis_buffer is not None:
            _tell_once()


def _tell_once() -> None:
    global _has_told
    if not _has_told:
        _has_told = True
        log.warning(
            "PrismaProxyLogger needs no Redis: redis_url and use_redis_buffer have no effect and can be removed. To "
            "keep records while the server is away, name a spool_dir"
        )
