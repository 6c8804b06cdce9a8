"""Keeps a fork away from the imports of other threads.

A thread that imports a module holds the module's lock. If another thread forks meanwhile, the lock stays locked in the
child for ever, and so does each import of this module there: LiteLLM's threads, the sender or the application hang.
LiteLLM loads modules at its first calls, on its threads. This may take seconds, so a fork does not wait for ever.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
from typing import Any, Final

_LOOK_SECONDS: Final = 0.001

_endless: set[str] = set()
"""The modules whose import was waited for in vain. A module may run a whole server while it is imported."""


def wait(deadline: float) -> None:
    """Waits until no other thread imports a module, at most until `deadline` (monotonic).

    Waits for nothing in a thread that imports a module itself, because others may wait for that one.
    """
    while imported := _imported_elsewhere() - _endless:
        if time.monotonic() >= deadline:
            _endless.update(imported)
            return
        time.sleep(_LOOK_SECONDS)


def are_running() -> bool:
    """Whether `wait` would wait."""
    return bool(_imported_elsewhere() - _endless)


def restart_in_child() -> None:
    """Forgets the imports that other threads of the parent did not finish, so that the child begins them anew."""
    for name in _imported_elsewhere():
        _locks().pop(name, None)
        sys.modules.pop(name, None)


def _imported_elsewhere() -> set[str]:
    owners = _owners()
    return set() if threading.get_ident() in owners.values() else set(owners)


def _owners() -> dict[str, int]:
    """The modules that are imported now, with the thread that does it; none if Python's own names have moved."""
    owners = {name: getattr(reference(), "owner", None) for name, reference in list(_locks().items())}
    return {name: owner for name, owner in owners.items() if owner is not None}


def _locks() -> dict[str, Any]:
    """Python's locks of modules, by weak references."""
    locks: dict[str, Any] = getattr(getattr(importlib, "_bootstrap", None), "_module_locks", {})
    return locks
