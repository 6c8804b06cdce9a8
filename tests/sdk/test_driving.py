"""The harness itself: the process in which LiteLLM is loaded once, and the programs that are its forks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.interpreter import Interpreter
from harness.postgres import PROJECT
from harness.waiting import wait_until

from .driving import UNNAMED, Sdk


def test_a_program_that_ends_at_once_is_not_waited_for(litellm: Sdk) -> None:
    for _ in range(20):
        assert litellm.interpreter.run(UNNAMED, url=None, code="import os; os._exit(0)", timeout=10).reported == []


def test_how_a_program_ends_is_told(litellm: Sdk) -> None:
    with pytest.raises(AssertionError, match=r"exit code 3 after .*: said to stderr"):
        code = "import sys; print('said to stderr', file=sys.stderr); sys.exit(3)"
        litellm.interpreter.run(UNNAMED, url=None, code=code)
    with pytest.raises(AssertionError, match=r"exit code 1 after (.|\n)*NameError"):
        litellm.interpreter.run(UNNAMED, url=None, code="nowhere")


def test_a_program_that_does_not_end_is_killed(litellm: Sdk) -> None:
    with pytest.raises(AssertionError, match=r"exit code -9 after"):
        litellm.interpreter.run(UNNAMED, url=None, code="import time; time.sleep(600)", timeout=0.2)


def test_a_program_starts_with_nothing_but_LiteLLM(litellm: Sdk) -> None:
    code = """
import json, os, sys, threading
names = set(globals()) - {"__builtins__", "json", "os", "sys", "threading"}
folders = [folder for folder in sys.path if folder.endswith(("sdk", "harness"))]
print(json.dumps({
    "names": sorted(name for name in names if globals()[name]),
    "threads": [threading.active_count(), len(os.listdir("/proc/self/task"))],
    "litellm": ["litellm" in sys.modules, "litellm_spend" in sys.modules],
    "arguments": sys.argv,
    "folders": [*folders, os.getcwd()],
    "stdin": sys.stdin.read(),
    "url": os.environ.get("DATABASE_URL"),
}))
"""
    folder = str(UNNAMED.parent)
    assert litellm.interpreter.run(UNNAMED, "an argument", url="its URL", code=code).sdk == {
        "names": ["__file__", "__name__"],
        "threads": [1, 1],
        "litellm": [True, False],
        "arguments": [str(UNNAMED), "an argument"],
        "folders": [folder, folder],
        "stdin": "",
        "url": "its URL",
    }


# Stands in for LiteLLM where only the processes matter. It accepts any call.
STAND_IN = """
import sys
from unittest.mock import AsyncMock, MagicMock
sys.modules[__name__] = MagicMock(acompletion=AsyncMock(return_value=MagicMock()))
"""
LOADED = "import os; print(open(f'/proc/{os.getppid()}/status').read().split('PPid:')[1].split()[0], flush=True)\n"


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """An interpreter with the stand-in for LiteLLM."""
    (tmp_path / "litellm.py").write_text(STAND_IN)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return python


def test_the_loaded_process_is_shared_and_ends_with_the_last_who_uses_it(python: Path, tmp_path: Path) -> None:
    def loaded(interpreter: Interpreter) -> int:
        return int(interpreter.run(UNNAMED, url=None, code=LOADED).stdout)

    with Interpreter(python, "stand-in", tmp_path) as one:
        pid = loaded(one)
        with Interpreter(python, "stand-in", tmp_path) as other:
            assert loaded(other) == pid
        assert loaded(one) == pid
    wait_until(lambda: not is_running(pid), what="the loaded process to end")
    with Interpreter(python, "stand-in", tmp_path) as later:
        assert loaded(later) != pid


USER = f"""
import sys
from pathlib import Path
from harness.interpreter import Interpreter
code = {LOADED!r} + "print(os.getpid(), flush=True); import time; time.sleep(600)"
with Interpreter(Path(sys.argv[1]), "stand-in", Path(sys.argv[2])) as interpreter:
    with interpreter.start(Path(sys.argv[2], "program.py"), url=None, code=code) as program:
        print(program.stdout.readline() + program.stdout.readline(), end="", flush=True)
        sys.stdin.readline()
"""


def test_a_killed_run_leaves_no_process(python: Path, tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    user = [sys.executable, "-c", USER, python, tmp_path]
    modules = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(user, cwd=PROJECT / "tests", env=modules, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        loaded, program = int(process.stdout.readline()), int(process.stdout.readline())
        assert is_running(loaded) and is_running(program)
        process.kill()
    wait_until(lambda: not is_running(loaded) and not is_running(program), what="both to end")


def test_LiteLLM_that_cannot_be_loaded_is_told(python: Path, tmp_path: Path) -> None:
    (tmp_path / "litellm.py").write_text("import nowhere")
    with (
        pytest.raises(RuntimeError, match=r"LiteLLM stand-in cannot be loaded: (.|\n)*No module named 'nowhere'"),
        Interpreter(python, "stand-in", tmp_path) as interpreter,
    ):
        interpreter.run(UNNAMED, url=None, code="")


def is_running(pid: int) -> bool:
    """Whether the process is alive, and not an ended one whose exit code its parent has not read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
