"""The harness itself: a program that ends at once is not waited for."""

from __future__ import annotations

from pathlib import Path

from .driving import Interpreter

# Answers the pid, which is none, and the exit code in one write.
AT_ONCE = """#!/bin/sh
read request
printf '4194305\\n0\\n'
read end
"""


def test_an_exit_code_that_comes_with_the_pid_is_seen(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(AT_ONCE)
    python.chmod(0o755)
    with Interpreter(python) as interpreter:
        assert interpreter.run("", url=None, timeout=10).reported == []
