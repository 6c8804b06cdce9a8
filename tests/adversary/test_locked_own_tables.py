"""While a fold waits for a lock on the extension's own tables, the session that holds it is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import discard, own_schema_database
from harness.cluster import Cluster
from harness.database import Database
from harness.records import assert_counted, spend_records


def settings(lock_timeout: str) -> dict[str, str]:
    return {"litellm_spend.lock_timeout": lock_timeout, "litellm_spend.fold_interval": "1 ms"}


@pytest.fixture(scope="module")
def impatient() -> Iterator[Cluster]:
    with Cluster(settings("100 ms")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def patient() -> Iterator[Cluster]:
    with Cluster(settings("60 s")) as cluster:
        yield cluster


@pytest.fixture
def hurried(impatient: Cluster) -> Iterator[Database]:
    database = own_schema_database(impatient)
    database.wait_folded()
    yield database
    discard(database)


@pytest.fixture
def calm(patient: Cluster) -> Iterator[Database]:
    database = own_schema_database(patient)
    database.wait_folded()
    yield database
    discard(database)


def age_backlog(database: Database) -> None:
    for segment in range(3):
        database.execute(f"UPDATE litellm_spend.staging_{segment} SET staged_at = staged_at - interval '1 day'")


@pytest.mark.parametrize("kind", ["session", "prepared transaction"])
def test_a_fold_that_cannot_have_its_own_tables_is_held_and_names_who_has_them(hurried: Database, kind: str) -> None:
    records = spend_records(3)
    with hurried.connect(autocommit=False) as blocker:
        blocker.execute("LOCK TABLE litellm_spend.rejected IN SHARE MODE")
        who = f"process {blocker.info.backend_pid} holds"
        if kind != "session":
            blocker.execute("SELECT pg_current_xact_id()")
            blocker.execute("PREPARE TRANSACTION 'forgotten'")
            who = "a prepared transaction holds"
        hurried.record(records)
        hurried.wait_for("SELECT worker FROM litellm_spend.status", "held")
        assert f"{who} ShareLock on litellm_spend.rejected" in hurried.status()["last_error"]
        age_backlog(hurried)
        state, reason, advice = hurried.query("SELECT * FROM litellm_spend.health()")[0]
        assert state == "down" and who in reason and "1 day" in reason and advice
        if kind != "session":
            hurried.execute("ROLLBACK PREPARED 'forgotten'")
    hurried.wait_folded()
    assert_counted(hurried, records)
    hurried.wait_for("SELECT last_error IS NULL FROM litellm_spend.status", True)


def test_a_slow_fold_is_told_with_its_cause(calm: Database) -> None:
    with calm.connect(autocommit=False) as blocker:
        blocker.execute("LOCK TABLE litellm_spend.rejected IN SHARE MODE")
        calm.record(spend_records(3))
        age_backlog(calm)
        state, reason, advice = calm.query("SELECT * FROM litellm_spend.health()")[0]
        assert state == "degraded", reason
        assert f"process {blocker.info.backend_pid}" in reason and "1 day" in reason
        assert "pg_terminate_backend" in advice
    calm.wait_folded()
    calm.wait_for("SELECT state FROM litellm_spend.health()", "ok")
