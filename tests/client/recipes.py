"""The files and commands of docs/recipes.md, run as they are written there."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.database import Database
from harness.interpreter import environment
from harness.postgres import PROJECT, make_tool

from .answers import Answers

DOCUMENT = (PROJECT / "docs" / "recipes.md").read_text()
BIN = PROJECT / ".build" / "venv-recipes" / "bin"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


def _named(code: str) -> tuple[str, str]:
    match = re.match(r"# (.+)\n", code)
    assert match, f"this block of docs/recipes.md does not begin with its file's name:\n{code}"
    return match[1], code


# {file name: content}. The cells of the notebook have names too.
FILES = dict(map(_named, blocks("python")))
COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]
# Nothing is sent before the process ends, or asks for it.
ONLY_AT_THE_END = {"LITELLM_SPEND_FLUSH_INTERVAL": "600"}


@dataclass
class Application:
    """A folder with the files of the document, and the environment in which its commands run."""

    folder: Path
    variables: dict[str, str]

    def run(self, command: str, *, given: str | None = None, **variables: str) -> str:
        """Run a command of the document to its end. Returns its output."""
        with self.start(command, **variables) as process:
            output, _ = process.communicate(given, timeout=120)
        assert process.returncode == 0, output
        return output

    @contextmanager
    def start(self, command: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command of the document in a process group of its own, as a shell does. All of it ends at the end."""
        assert command in COMMANDS, f"docs/recipes.md has no command {command}"
        with self.start_other(*shlex.split(command), **variables) as process:
            yield process

    @contextmanager
    def start_other(self, *command: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command that is not in the document."""
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={**self.variables, **variables},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with process:
            try:
                yield process
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def application(folder: Path, url: str, provider: str) -> Application:
    make_tool("recipes")
    for name, code in FILES.items():
        if name.endswith(".py"):
            (folder / name).write_text(code)
    variables = environment(
        url,
        PATH=f"{BIN}:{os.environ['PATH']}",
        OPENAI_API_KEY="sk-none",
        OPENAI_API_BASE=provider,
        PYTHONUNBUFFERED="1",
    )
    return Application(folder, variables)


def end(process: subprocess.Popen[str], signal_: int, *, group: bool = False) -> str:
    """Send a signal to the process, or to its group as a terminal does. Returns what it wrote, once it has ended."""
    (os.killpg if group else os.kill)(process.pid, signal_)
    return process.communicate(timeout=120)[0]


def recorded(database: Database) -> dict[str, int]:
    """The rows of each user in the log."""
    database.wait_folded()
    return dict(database.query('SELECT "user", count(*) FROM "LiteLLM_SpendLogs" GROUP BY 1'))


@pytest.fixture
def answers() -> Iterator[Answers]:
    """The provider that the applications ask."""
    with Answers() as server:
        yield server
        server.shutdown()


@pytest.fixture
def recipe(database: Database, answers: Answers, tmp_path: Path) -> Application:
    """The applications, with a database of their own."""
    return application(tmp_path, database.url, answers.address)
