"""Runs an application of the SDK with the callback in a process of its own, and reads the rows of Postgres."""

from __future__ import annotations

import subprocess
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.database import Database
from harness.interpreter import Interpreter, environment
from harness.program import Program, Run

FOLDER = Path(__file__).parent
# Code that is in no file runs under this name.
UNNAMED = FOLDER / "program.py"
# Sums of floats in another order differ in the last digits.
TOLERANCE = 1e-9


class Sdk:
    """Runs programs of this folder and scenarios with one version of LiteLLM."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter
        self.version = interpreter.version
        self.is_1_79 = interpreter.version.startswith("1.79.")

    def run(self, script: str, *arguments: str, url: str | None) -> Run:
        """Run a program of this folder."""
        return self.interpreter.run(FOLDER / script, *arguments, url=url)

    def run_code(self, code: str, *arguments: str, url: str | None, **variables: str) -> Run:
        """Run code that starts with what every application has: LiteLLM, logging, a function that makes a call."""
        return self.interpreter.run(UNNAMED, *arguments, url=url, code=PREAMBLE + code, **variables)

    def start_code(self, code: str, *arguments: str, url: str | None) -> AbstractContextManager[Program]:
        """Start code that begins as that of `run_code`, to talk with it while it runs."""
        return self.interpreter.start(UNNAMED, *arguments, url=url, code=PREAMBLE + code)

    def run_scenario(self, database: Database, scenario: str, number: int = 1, registration: str = "object") -> Run:
        return self.run("scenarios.py", scenario, registration, str(number), url=database.url)

    def run_scenarios_afresh(self, database: Database, scenario: str, number: int, *, times: int) -> list[Run]:
        """Run `python scenarios.py` as a user would, several at the same time."""
        processes = [
            self.start_afresh("scenarios.py", scenario, "object", str(number), url=database.url) for _ in range(times)
        ]
        runs = []
        for process in processes:
            stdout, stderr = process.communicate(timeout=120)
            assert process.returncode == 0, stderr
            runs.append(Run(stdout, stderr))
        return runs

    def start_afresh(
        self, script: str, *arguments: str, url: str | None, under: tuple[str, ...] = ()
    ) -> subprocess.Popen[str]:
        """Start `python script ...`, which loads LiteLLM itself. The caller waits for its end.

        `under` is the command that starts Python, if there is one.
        """
        command = [*under, self.interpreter.python, script, *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=FOLDER, env=environment(url), text=True, stdout=pipe, stderr=pipe)


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
# For programs whose records nobody takes. Without it they would retry for five seconds at exit.
GIVE_UP_SOON = 'os.environ["LITELLM_SPEND_EXIT_TIMEOUT"] = "0.5"\n'


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
    """LiteLLM's tables hold the sums that the SDK reported, and nothing was rejected."""
    for totals in (logged(database), daily(database)):
        assert totals.requests == sdk["calls"]
        assert (totals.prompt_tokens, totals.completion_tokens) == (sdk["prompt_tokens"], sdk["completion_tokens"])
        assert totals.spend == pytest.approx(sdk["cost"], rel=TOLERANCE)
    assert user_spend(database) == pytest.approx(sdk["users"], rel=TOLERANCE)
    assert database.value("SELECT count(*) FROM litellm_spend.rejected") == 0
