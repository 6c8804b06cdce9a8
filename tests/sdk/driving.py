"""Running an application with the callback in a process of its own, and what Postgres then holds."""

from __future__ import annotations

import json
import os
import subprocess
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
    seconds: float

    @property
    def sdk(self) -> dict[str, Any]:
        """What the SDK reported: the first line of JSON."""
        return self.reported[0]

    def log_lines(self) -> list[str]:
        """The lines of the logger `litellm_spend`."""
        return [line for line in self.log.splitlines() if line.startswith("litellm_spend: ")]


def run(python: Path, *command: str, url: str | None, timeout: float = 120, **environment: str) -> Run:
    """Runs a file or `-c` code in this folder with DATABASE_URL set; fails unless it exits with 0."""
    unset = ("DATABASE_URL", "PYTHONPATH")
    env = {name: value for name, value in os.environ.items() if name not in unset}
    env |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONPATH": str(FOLDER), **environment}
    if url is not None:
        env["DATABASE_URL"] = url
    started = time.monotonic()
    done = subprocess.run([python, *command], cwd=FOLDER, env=env, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return Run(lines, done.stderr, time.monotonic() - started)


def run_scenario(python: Path, database: Database, scenario: str, number: int = 1, registration: str = "object") -> Run:
    return run(python, "scenarios.py", scenario, registration, str(number), url=database.url)


def run_code(python: Path, code: str, *, url: str | None, **environment: str) -> Run:
    """Runs code that begins where every application does: LiteLLM, logging, a call to make."""
    return run(python, "-c", PREAMBLE + code, url=url, **environment)


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
"""


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
