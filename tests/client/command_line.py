"""Runs `python -m litellm_spend` in a process of its own, as a user does, and makes roles for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

import versions
from conftest import litellm_python
from harness.database import Database

# Gives the URL of a new login role, over TCP and with a password, after these statements of SQL with {role}.
Roles = Callable[..., str]
PASSWORD = "needle-4711"


@dataclass(frozen=True)
class Ran:
    """What the program printed, and how it ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()


@dataclass(frozen=True)
class CommandLine:
    """The command line of the package that is installed beside this Python."""

    python: Path

    def run(self, *arguments: str, folder: Path | None = None, **variables: str) -> Ran:
        """Run the program with these variables and none of the caller's that name a database."""
        kept = {name: value for name, value in os.environ.items() if not name.endswith("_URL") and name[:2] != "PG"}
        done = subprocess.run(
            [self.python, "-m", "litellm_spend", *arguments],
            cwd=folder,
            env={**kept, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "COLUMNS": "100", **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
        )
        return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def command_line() -> CommandLine:
    """The command line where the newest LiteLLM and the extra `report` are installed."""
    return CommandLine(litellm_python(versions.LITELLM[-1]))


@pytest.fixture(scope="session")
def command_line_without_extra() -> CommandLine:
    """The command line where the extra `report` is not installed."""
    return CommandLine(litellm_python(versions.LITELLM[0]))


@pytest.fixture
def roles(database: Database) -> Iterator[Roles]:
    made = []

    def make(name: str, *statements: str) -> str:
        database.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
        made.append(name)
        for statement in statements:
            database.execute(statement.format(role=name))
        return psycopg.conninfo.make_conninfo(database.url, user=name, password=PASSWORD)

    yield make
    for name in made:
        database.execute(f"DROP OWNED BY {name}")
        database.execute(f"DROP ROLE {name}")
