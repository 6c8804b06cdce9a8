"""Workers of multiprocessing lose nothing when they end, although they run no exit handlers."""

from __future__ import annotations

import pytest

from harness.database import Database

from .driving import Sdk

CALLS = 'SELECT "user", count(*) FROM "LiteLLM_SpendLogs" GROUP BY 1 ORDER BY 1'


def test_forked_workers_lose_nothing(database: Database, litellm: Sdk) -> None:
    litellm.run("workers.py", "fork", "process", "pool", "executor", url=database.url)
    database.wait_folded()
    assert database.query(CALLS) == [("executor", 2), ("pool", 2), ("process", 2)]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_of_another_start_method_lose_nothing(database: Database, litellm: Sdk, method: str) -> None:
    with litellm.start_afresh("workers.py", method, "process", url=database.url) as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    database.wait_folded()
    assert database.query(CALLS) == [("process", 2)]
