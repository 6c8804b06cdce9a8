"""Waiting until a program's main thread sleeps, before a signal is sent to it.

Python runs a signal's handler between two bytecodes. If the signal comes in the moment before the main thread falls
asleep, the handler therefore waits until that thread wakes up, which may never happen.
"""

from __future__ import annotations

import time
from pathlib import Path

# A thread that waits for the interpreter wakes up every 5 ms.
PAUSE = 0.05


def wait_until_asleep(pid: int) -> None:
    """Wait until the main thread has not run between two looks."""
    deadline = time.monotonic() + 60
    before: list[str] = []
    while (now := state_of(pid)) != before or "S" not in now[0]:
        assert time.monotonic() < deadline, f"process {pid} never sleeps: {now}"
        before = now
        time.sleep(PAUSE)


def state_of(pid: int) -> list[str]:
    """The main thread's state, and how often it yielded to other threads."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return [line.split(":")[1].strip() for line in lines if line.startswith("State") or "ctxt_switches" in line]
