"""What the processes of a distributed run make at first use, one of them makes while the others wait."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

import versions


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """One process at a time is inside of those that gave this name; a process that dies lets the next one in."""
    file = versions.CARGO_TOML.parent / ".build" / f"{name}.lock"
    file.parent.mkdir(exist_ok=True)
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
