"""Where clusters have their directories: on disk, or in memory if the program asks for it and the machine has room.

A test run creates and deletes a hundred thousand small files, which memory does in a fraction of the time. Figures
of a benchmark and data of many gigabytes want the disk.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

# Both are short, for the sake of sockets: a path to one may have 107 bytes.
DISK = "/tmp"
MEMORY = "/dev/shm"
# More than all processes of a run have at a time.
ROOM = 6 << 30

_parent = DISK


def prefer_memory() -> None:
    """From now on new directories are in memory, where the system offers so much of it."""
    global _parent
    if os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free >= ROOM:
        _parent = MEMORY
        _remove_abandoned()


def new_directory() -> Path:
    """An empty directory of the caller's, who removes it."""
    return Path(tempfile.mkdtemp(prefix=f"lsp-{os.getpid()}-", dir=_parent))


def _remove_abandoned() -> None:
    """What a killed run left would hold memory until the machine restarts."""
    for folder in Path(MEMORY).glob("lsp-*-*"):
        if not Path("/proc", folder.name.split("-")[1]).exists():
            shutil.rmtree(folder, ignore_errors=True)
