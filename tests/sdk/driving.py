"""Running an application with the callback in a process of its own, and what Postgres then holds."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.database import Database

FOLDER = Path(__file__).parent
# Sums of floats in another order differ in the last digits.
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Run:
    """What a process printed and how it ended."""

    reported: list[dict[str, Any]]
    log: str
    seconds: float = 0.0

    @classmethod
    def of(cls, stdout: str, stderr: str, seconds: float = 0.0) -> Run:
        return cls([json.loads(line) for line in stdout.splitlines() if line.startswith("{")], stderr, seconds)

    @property
    def sdk(self) -> dict[str, Any]:
        """What the SDK reported: the first line of JSON."""
        return self.reported[0]

    def log_lines(self) -> list[str]:
        """The lines of the logger `litellm_spend`."""
        return [line for line in self.log.splitlines() if line.startswith("litellm_spend: ")]


class Interpreter:
    """Runs programs with one version of LiteLLM, each as a process of its own in this folder."""

    def __init__(self, python: Path) -> None:
        self.python = python
        self._forks: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Interpreter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._forks is not None:
            self._forks.stdin.close()
            self._forks.wait(30)

    def run(self, code: str, *arguments: str, url: str | None, timeout: float = 120, **variables: str) -> Run:
        """Runs `code` where LiteLLM is loaded (see preloaded.py); fails unless it exits with 0."""
        forks = self._preloaded()
        with tempfile.TemporaryDirectory() as folder:
            stdout, stderr = Path(folder, "stdout"), Path(folder, "stderr")
            stdout.touch()
            stderr.touch()
            request = {
                "code": code,
                "argv": ["<program>", *arguments],
                "variables": variables if url is None else {"DATABASE_URL": url, **variables},
                "stdout": str(stdout),
                "stderr": str(stderr),
            }
            started = time.monotonic()
            forks.stdin.write(json.dumps(request).encode() + b"\n")
            pid = int(forks.stdout.readline())
            if not select.select([forks.stdout], [], [], timeout)[0]:
                os.kill(pid, signal.SIGKILL)
            exit_code = int(forks.stdout.readline())
            seconds = time.monotonic() - started
            assert exit_code == 0, f"exit code {exit_code} after {seconds:.1f} s: {stderr.read_text()}"
            return Run.of(stdout.read_text(), stderr.read_text(), seconds)

    def run_code(self, code: str, *arguments: str, url: str | None, **variables: str) -> Run:
        """Runs code that begins where every application does: LiteLLM, logging, a call to make."""
        return self.run(PREAMBLE + code, *arguments, url=url, **variables)

    def run_scenario(self, database: Database, scenario: str, number: int = 1, registration: str = "object") -> Run:
        code = (FOLDER / "scenarios.py").read_text()
        return self.run(code, scenario, registration, str(number), url=database.url)

    def run_scenarios_afresh(self, database: Database, scenario: str, number: int, *, times: int) -> list[Run]:
        """As a user would: `python scenarios.py`, several at the same time."""
        command = [self.python, "scenarios.py", scenario, "object", str(number)]
        processes = [self.start(*command, url=database.url) for _ in range(times)]
        runs = []
        for process in processes:
            stdout, stderr = process.communicate(timeout=120)
            assert process.returncode == 0, stderr
            runs.append(Run.of(stdout, stderr))
        return runs

    def start(self, *command: str | Path, url: str | None, **variables: str) -> subprocess.Popen[str]:
        """Starts a process whose streams are pipes; the caller waits for its end."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=FOLDER, env=environment(url, **variables), text=True, stdin=pipe, stdout=pipe, stderr=pipe
        )

    def _preloaded(self) -> subprocess.Popen[bytes]:
        if self._forks is None:
            command = [self.python, "preloaded.py"]
            pipe = subprocess.PIPE
            # Unbuffered: `select` does not see a line that a buffer already holds.
            self._forks = subprocess.Popen(
                command, cwd=FOLDER, env=environment(None), bufsize=0, stdin=pipe, stdout=pipe
            )
        return self._forks


def environment(url: str | None, **variables: str) -> dict[str, str]:
    """This process's environment with no DATABASE_URL but the given one."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "PYTHONPATH")}
    given = {} if url is None else {"DATABASE_URL": url}
    return {**kept, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONPATH": str(FOLDER), **given, **variables}


PREAMBLE = """
import asyncio, json, logging, os, sys, threading, time
import litellm
logging.getLogger("litellm_spend").addHandler(handler := logging.StreamHandler())
logging.getLogger("litellm_spend").setLevel("INFO")
logging.getLogger("litellm_spend").propagate = False
handler.setFormatter(logging.Formatter("%(name)s: %(levelname)s %(message)s"))
import litellm_spend
from litellm_spend import SpendLogger

def call(user="user-0", **others):
    messages = [{"role": "user", "content": "what does it cost?"}]
    return litellm.completion(model="gpt-4o-mini", messages=messages, user=user, mock_response="not much", **others)

def say(**what):
    print(json.dumps(what), flush=True)

def wait_until(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"60 s passed before {what}"
        time.sleep(0.01)
"""
# For programs whose records nobody takes, where it is not the point that they try for five seconds at exit.
GIVE_UP_SOON = "import litellm_spend.lifecycle; litellm_spend.lifecycle.EXIT_SECONDS = 0.5\n"


@dataclass(frozen=True)
class Totals:
    """The sums of one table."""

    requests: int
    spend: float
    prompt_tokens: int
    completion_tokens: int


def logged(database: Database) -> Totals:
    database.wait_folded()
    return Totals(
        *database.query(
            """SELECT count(*), coalesce(sum(spend), 0), coalesce(sum(prompt_tokens), 0)::int,
                      coalesce(sum(completion_tokens), 0)::int
               FROM "LiteLLM_SpendLogs" WHERE status = 'success'"""
        )[0]
    )


def daily(database: Database) -> Totals:
    database.wait_folded()
    return Totals(
        *database.query(
            """SELECT coalesce(sum(successful_requests), 0)::int, coalesce(sum(spend), 0),
                      coalesce(sum(prompt_tokens), 0)::int, coalesce(sum(completion_tokens), 0)::int
               FROM "LiteLLM_DailyUserSpend" """
        )[0]
    )


def user_spend(database: Database) -> dict[str, float]:
    database.wait_folded()
    return dict(database.query('SELECT user_id, spend FROM "LiteLLM_UserTable"'))


def assert_recorded(database: Database, sdk: dict[str, Any]) -> None:
    """Recorded = made: LiteLLM's tables hold the sums that the SDK reported, and nothing was rejected."""
    for totals in (logged(database), daily(database)):
        assert totals.requests == sdk["calls"]
        assert (totals.prompt_tokens, totals.completion_tokens) == (sdk["prompt_tokens"], sdk["completion_tokens"])
        assert totals.spend == pytest.approx(sdk["cost"], rel=TOLERANCE)
    assert user_spend(database) == pytest.approx(sdk["users"], rel=TOLERANCE)
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 0
