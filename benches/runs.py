"""How long and how often to run. The sides of a comparison run in turn, and the median of each side counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median


@dataclass(frozen=True)
class Plan:
    """How much one run of the whole program measures."""

    runs: int = 5
    """Runs of each side."""
    seconds: float = 3.0
    """The length of one run of a side that runs for a given time."""
    rows: int = 200_000
    """Rows that are staged for a fold."""
    calls: int = 40
    """Calls in one run of a side that runs a given number of calls."""
    open_loop_seconds: float = 60.0
    batch_calls: int = 200
    """Calls with a hundred records each."""
    backlog: int = 200_000
    """Rows that one transaction stages before the worker's memory is measured."""
    large_calls: int = 20
    """Calls with 10 MB of records each."""
    events: int = 20_000
    """Events of the Python callback."""
    logged: int = 5_000_000
    """Rows that the log holds for `make bench-scale`."""


FULL = Plan()
SCALE = replace(FULL, backlog=1_000_000, large_calls=200)
"""For the rows that measure the effect of size."""
QUICK = Plan(
    runs=1,
    seconds=1,
    rows=20_000,
    calls=5,
    open_loop_seconds=5,
    batch_calls=40,
    backlog=20_000,
    large_calls=3,
    events=2_000,
    logged=100_000,
)


def interleaved(runs: int, *sides: Callable[[], float]) -> list[float]:
    """The median of each side. The sides run in turn, this many times."""
    values: list[list[float]] = [[] for _ in sides]
    for _ in range(runs):
        for side, seen in zip(sides, values, strict=True):
            seen.append(side())
    return [median(seen) for seen in values]


def seconds_of(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
