"""A lock between the processes of a distributed run: one of them creates what all use, while the others wait."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

import versions


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Only one of the processes that give this name is inside at a time. If it dies, the next process enters."""
    file = versions.CARGO_TOML.parent / ".build" / f"{name}.lock"
    file.parent.mkdir(exist_ok=True)
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
