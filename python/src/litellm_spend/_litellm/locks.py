"""Locks of LiteLLM and of pydantic, which a fork takes before and releases after it, in both processes.

A thread that holds such a lock does not exist in a child, where the lock then stays held for ever, and a call hangs.
Both hold theirs for long at a process's first calls, while they build LiteLLM's types.
A lock that is not there, because the names have moved, is not taken.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any, Final

# The order in which LiteLLM takes them.
_LOCKS: Final = (
    ("litellm.types.llms.base_model", "_SCHEMA_BUILD_LOCK"),
    ("pydantic.main", "_rebuild_lock"),
    ("litellm.litellm_core_utils.logging_callback_manager", "_callback_lists_lock"),
    ("litellm.anthropic_beta_headers_manager", "_BETA_HEADERS_CONFIG_LOCK"),
    ("litellm.caching.evicted_client_closer", "_LOOP_TOKEN_LOCK"),
)
_TYPES: Final = (type(threading.Lock()), type(threading.RLock()))

_taken: dict[int, list[Any]] = {}
"""The locks that the fork of a thread took."""


def before_fork(deadline: float) -> None:
    """Takes the locks. A lock that is not free until `deadline` (monotonic) is left alone."""
    taken = _taken[threading.get_ident()] = []
    for lock in _locks():
        if lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            taken.append(lock)


def after_fork_in_parent() -> None:
    for lock in reversed(_taken.pop(threading.get_ident(), [])):
        lock.release()


def restart_in_child() -> None:
    """Releases the locks, and frees those that the fork could not take."""
    taken = _taken.pop(threading.get_ident(), [])
    _taken.clear()
    for lock in _locks():
        if any(lock is other for other in taken):
            lock.release()
        else:
            lock._at_fork_reinit()


def _locks() -> list[Any]:
    cache = getattr(sys.modules.get("litellm"), "in_memory_llm_clients_cache", None)
    of_modules = [getattr(sys.modules.get(module), name, None) for module, name in _LOCKS]
    return [lock for lock in (*of_modules, *getattr(cache, "__dict__", {}).values()) if isinstance(lock, _TYPES)]
