"""The memory of a process of the server."""

from __future__ import annotations

from pathlib import Path


def anonymous_kb(pid: int) -> int:
    """The process's own memory, or 0 if the process is gone."""
    return _from_status(pid, "RssAnon")


def peak_kb(pid: int) -> int:
    """The most memory that the process has had so far, with the shared buffers that it touched, or 0 if it is gone."""
    return _from_status(pid, "VmHWM")


def _from_status(pid: int, name: str) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:")), 0)
