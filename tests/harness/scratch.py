"""Where clusters have their directories: on disk, or in memory if the program asks for it and the machine has room.

A test run creates and deletes a hundred thousand small files, which memory does in a fraction of the time. Figures
of a benchmark and data of many gigabytes want the disk.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

# Both are short, because the path of a socket may have at most 107 bytes.
DISK = "/tmp"
MEMORY = "/dev/shm"
# This is more than all processes of a run use at a time.
ROOM = 6 << 30

_parent = DISK


def prefer_memory() -> None:
    """Create new directories in memory from now on, if the system offers this much of it."""
    global _parent
    if os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free >= ROOM:
        _parent = MEMORY
        _remove_abandoned()


def new_directory() -> Path:
    """A new empty directory, which the caller removes."""
    return Path(tempfile.mkdtemp(prefix=f"lsp-{os.getpid()}-", dir=_parent))


def _remove_abandoned() -> None:
    """Remove the directories of killed runs, because they would hold memory until the machine restarts."""
    for folder in Path(MEMORY).glob("lsp-*-*"):
        if not Path("/proc", folder.name.split("-")[1]).exists():
            shutil.rmtree(folder, ignore_errors=True)
