"""Finds the Pythons of this machine: on PATH, or where pyenv keeps them.

Usage: interpreters.py VERSION, which prints the path of that Python. VERSION is a minor version such as 3.12.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_TELL = "import sys; print('{}.{}'.format(*sys.version_info[:2]), sys.executable)"


@functools.cache
def find(version: str) -> Path | None:
    """The interpreter of this minor version; None if this machine has none."""
    for candidate in _candidates(version):
        # pyenv puts a command on PATH for each version, and the command of a version that is not chosen fails.
        try:
            told = subprocess.run([candidate, "-c", _TELL], capture_output=True, text=True, check=True).stdout.split()
        except (OSError, subprocess.CalledProcessError):
            continue
        if told and told[0] == version:
            return Path(told[1])
    return None


def _candidates(version: str) -> Iterator[str | Path]:
    yield f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python"))


if __name__ == "__main__":
    found = find(sys.argv[1])
    if found is None:
        sys.exit(
            f"error: Python {sys.argv[1]} was found neither on PATH nor among pyenv's versions. "
            f"Install it so that python{sys.argv[1]} is on PATH, then run this again."
        )
    print(found)
